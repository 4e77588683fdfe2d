//! What the translator does beyond the vectors: settings, searches, stop sequences, whole completions, failures.

use serde_json::{Value, json};

use super::grammar;
use super::script::{
    call, claude, delta, details, ended, finish, finish_with_usage, quiet, replay, replay_with,
    restored, settings, stream, text, tools, usage,
};
use super::{Beginning, Peek, ReplySettings, Translator, judged, may_be_empty, peek, whole};
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::anthropic::message::AppliedEdit;
use crate::protocol::translate::envelope::{Unpacked, unpack};
use crate::protocol::translate::tool_names::ToolNames;

fn omitted() -> ReplySettings {
    ReplySettings {
        display_omitted: true,
        ..settings()
    }
}

fn message(settings: ReplySettings, body: &Value) -> Value {
    let (message, _) = whole(settings, body.to_string().as_bytes());
    serde_json::from_slice(&message.unwrap()).unwrap()
}

fn completion(message: Value, finish: &str) -> Value {
    let mut body = json!({"id": "gen-1", "object": "chat.completion", "model": "openai/gpt-5", "provider": "P",
        "choices": [{"index": 0, "finish_reason": finish, "native_finish_reason": finish}], "usage": usage()});
    body["choices"][0]["message"] = message;
    body
}

#[test]
fn omitted_thinking_is_an_empty_block_that_carries_everything() {
    let chunks = vec![
        claude(json!({"text": "Hm"})),
        claude(json!({"signature": "c2ln"})),
        text("Hi"),
    ];
    let (received, _, transcript) = replay_with(&omitted(), &ended(chunks, "stop"));
    assert!(!transcript.contains("thinking_delta"));
    assert_eq!(received.kinds(), ["thinking", "text"]);
    let carried = restored(&received.content()[0]);
    assert_eq!(carried.text, "Hm");
    assert_eq!(carried.details[0].signature.as_deref(), Some("c2ln"));
}

#[test]
fn what_context_management_did_is_told_at_the_end_in_both_forms() {
    let edits = |applied_edits| ReplySettings {
        applied_edits,
        ..settings()
    };
    let edit = AppliedEdit::ToolUses {
        cleared_tool_uses: 3,
        cleared_input_tokens: 900,
    };
    let told = json!({"applied_edits": [
        {"type": "clear_tool_uses_20250919", "cleared_tool_uses": 3, "cleared_input_tokens": 900},
    ]});
    for (applied, told) in [
        (Some(vec![edit]), told),
        (Some(Vec::new()), json!({"applied_edits": []})),
        (None, Value::Null),
    ] {
        let body = completion(json!({"role": "assistant", "content": "Hi"}), "stop");
        let whole = message(edits(applied.clone()), &body);
        assert_eq!(whole["context_management"], told);
        assert_eq!(whole["usage"]["service_tier"], "standard");
        let (_, _, transcript) = replay_with(&edits(applied), &ended(vec![text("Hi")], "stop"));
        let end = transcript
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
            .find(|event| event["type"] == "message_delta")
            .unwrap();
        assert_eq!(end["context_management"], told);
    }
}

#[test]
fn the_client_is_spoken_to_from_the_first_word_on_and_not_before() {
    let mut translator = Translator::new(settings());
    let mut out = Vec::new();
    let spoken = [text(""), text("Hi"), text(" there")].map(|chunk| {
        translator.push(stream(&[chunk]).as_bytes(), &mut out);
        translator.has_spoken()
    });
    assert_eq!(spoken, [false, true, true]);
}

#[test]
fn omitted_thinking_opens_its_block_at_once() {
    let mut translator = Translator::new(omitted());
    let mut out = Vec::new();
    translator.push(
        stream(&[delta(json!({"reasoning": "Hm"}))]).as_bytes(),
        &mut out,
    );
    assert!(String::from_utf8_lossy(&out).contains("\"type\":\"thinking\""));
    translator.push(ended(vec![text("Hi")], "stop").as_bytes(), &mut out);
    let received = grammar::complete(&out).unwrap();
    assert_eq!(restored(&received.content()[0]).text, "Hm");
}

#[test]
fn thinking_nobody_asked_for_is_dropped_unless_tools_are_called() {
    let think = delta(json!({"reasoning": "Hm"}));
    let (received, ..) = replay_with(&quiet(), &ended(vec![think.clone(), text("Hi")], "stop"));
    assert_eq!(received.kinds(), ["text"]);
    let chunks = vec![think.clone(), text("Hi"), call(0, "a", "A", "{}")];
    let (received, ..) = replay_with(&quiet(), &ended(chunks, "tool_calls"));
    assert_eq!(received.kinds(), ["text", "thinking", "tool_use"]);
    assert_eq!(restored(&received.content()[1]).text, "Hm");
    let (received, ..) = replay_with(&quiet(), &ended(vec![think.clone()], "stop"));
    assert_eq!(received.error_type(), "overloaded_error");
    let (received, ..) = replay_with(&quiet(), &ended(vec![think], "length"));
    assert_eq!(received.stop_reason(), "max_tokens");
}

#[test]
fn thinking_after_text_is_a_block_of_its_own() {
    let think = |text: &str| delta(json!({"reasoning": text}));
    let chunks = vec![think("one"), text("a"), think("two"), text("b")];
    let received = replay(&ended(chunks, "stop"));
    assert_eq!(received.kinds(), ["thinking", "text", "thinking", "text"]);
}

#[test]
fn an_envelope_names_the_model_that_was_asked_or_the_vendor_that_stepped_in() {
    let signature = |model: &str| {
        let mut think = delta(json!({"reasoning": "Hm"}));
        think["model"] = json!(model);
        let received = replay(&ended(vec![think, text("Hi")], "stop"));
        match unpack(received.content()[0]["signature"].as_str().unwrap()) {
            Unpacked::Details(envelope) => envelope,
            other => panic!("{other:?}"),
        }
    };
    assert!(signature("openai/gpt-5-2025-08-07").fits("openai/gpt-5"));
    assert!(signature("z-ai/glm-5").fits("z-ai/glm-5"));
    assert!(!signature("z-ai/glm-5").fits("openai/gpt-5"));
}

#[test]
fn a_stop_sequence_that_the_upstream_did_not_cut_is_cut_here() {
    let settings = ReplySettings {
        stop_sequences: vec!["</severity>".to_owned(), "STOP".to_owned()],
        ..quiet()
    };
    let chunks = vec![text("low</sev"), text("erity>and more"), text("!")];
    let (received, summary, _) = replay_with(&settings, &ended(chunks, "stop"));
    assert_eq!(
        (received.text().as_str(), received.stop_reason()),
        ("low", "stop_sequence")
    );
    assert_eq!(received.message["stop_sequence"], "</severity>");
    assert!(summary.usage_is_estimate);
    let (received, ..) = replay_with(&settings, &ended(vec![text("a</sev")], "stop"));
    assert_eq!(
        (received.text().as_str(), received.stop_reason()),
        ("a</sev", "end_turn")
    );
}

#[test]
fn the_only_stop_sequence_is_named_when_the_upstream_says_it_met_one() {
    let settings = ReplySettings {
        stop_sequences: vec!["</block>".to_owned()],
        ..quiet()
    };
    let mut last = finish_with_usage("stop");
    last["choices"][0]["native_finish_reason"] = json!("stop_sequence");
    let (received, ..) = replay_with(&settings, &stream(&[text("no"), last]));
    assert_eq!(received.message["stop_sequence"], "</block>");
}

fn found(url: &str) -> Value {
    json!({"type": "url_citation", "url_citation": {"url": url, "title": "T", "content": "said", "start_index": 0}})
}

#[test]
fn a_web_search_is_shown_with_its_hits_and_citations() {
    let settings = ReplySettings {
        web_search: true,
        ..quiet()
    };
    let call = json!([{"type": "reasoning.server_tool_call", "tool_name": "openrouter:web_search", "arguments": "{\"query\":\"rust\"}"}]);
    let chunks = vec![
        details(call),
        text("Rust is"),
        delta(
            json!({"content": "", "annotations": [found("https://a"), found("https://b"), found("https://a")]}),
        ),
    ];
    let (received, ..) = replay_with(&settings, &ended(chunks, "stop"));
    assert_eq!(
        received.kinds(),
        ["text", "server_tool_use", "web_search_tool_result"]
    );
    let [said, asked, found] = received.content() else {
        panic!("{received:?}")
    };
    assert_eq!(said["citations"][1]["url"], "https://b");
    assert_eq!(asked["input"]["query"], "rust");
    assert_eq!(found["tool_use_id"], asked["id"]);
    let urls: Vec<_> = found["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|page| &page["url"])
        .collect();
    assert_eq!(urls, ["https://a", "https://b"]);
}

fn server_call(tool: &str, arguments: &Value, result: &Value) -> Value {
    details(
        json!([{"type": "reasoning.server_tool_call", "tool_name": tool, "index": 0, "tool_call_id": "c",
        "arguments": arguments.to_string(), "result": result.to_string()}]),
    )
}

#[test]
fn pages_that_a_search_found_are_hits_even_when_no_text_cites_them() {
    let settings = ReplySettings {
        web_search: true,
        ..quiet()
    };
    let found = json!({"results": [{"url": "https://a", "title": "A"}, {"url": "https://b"}, {"url": "https://a"}]});
    let call = server_call("openrouter:web_search", &json!({"query": "q"}), &found);
    let (received, ..) = replay_with(&settings, &ended(vec![call, text("Said.")], "stop"));
    assert_eq!(
        received.kinds(),
        ["server_tool_use", "web_search_tool_result", "text"]
    );
    let pages = &received.content()[1]["content"];
    assert_eq!(
        (&pages[0]["title"], &pages[1]["title"]),
        (&json!("A"), &json!("https://b"))
    );
    assert_eq!(pages.as_array().unwrap().len(), 2);
    assert!(received.content()[2].get("citations").is_none());
}

#[test]
fn pages_that_were_fetched_are_shown_as_documents() {
    let settings = ReplySettings {
        web_fetch: true,
        ..quiet()
    };
    let fetch = |url: &str, result: Value| {
        server_call("openrouter:web_fetch", &json!({"url": url}), &result)
    };
    let chunks = vec![
        fetch(
            "https://a",
            json!({"url": "https://a", "title": "A", "content": "page \"a\""}),
        ),
        fetch("https://b", json!({"error": "not found"})),
        text("Read."),
    ];
    let (received, ..) = replay_with(&settings, &ended(chunks.clone(), "stop"));
    let kinds = ["server_tool_use", "web_fetch_tool_result"];
    assert_eq!(
        received.kinds(),
        [kinds[0], kinds[1], kinds[0], kinds[1], "text"]
    );
    let content = received.content();
    assert_eq!(content[0]["input"], json!({"url": "https://a"}));
    assert_eq!(content[1]["tool_use_id"], content[0]["id"]);
    assert_eq!(
        content[1]["content"],
        json!({"type": "web_fetch_result", "url": "https://a", "retrieved_at": null, "content": {
            "type": "document", "title": "A",
            "source": {"type": "text", "media_type": "text/plain", "data": "page \"a\""}}})
    );
    assert_eq!(content[3]["content"]["type"], "web_fetch_tool_result_error");
    assert_eq!(
        received.message["usage"]["server_tool_use"]["web_fetch_requests"],
        2
    );
    let (unasked, ..) = replay_with(&quiet(), &ended(chunks, "stop"));
    assert_eq!(unasked.kinds(), ["text"]);
}

#[test]
fn an_answer_that_breaks_its_schema_is_given_out_and_noted() {
    let settings = ReplySettings {
        schema: Some(json!({"type": "object", "required": ["a"]}).to_string()),
        ..settings()
    };
    let notes = |said: &[&str], finish: &str| {
        let chunks = said.iter().map(|said| text(said)).collect();
        let (received, summary, _) = replay_with(&settings, &ended(chunks, finish));
        assert_eq!(received.text(), said.concat());
        summary.notes
    };
    assert!(notes(&["{\"a\"", ":\"\u{e9}\"}"], "stop").is_empty());
    assert!(notes(&["{\"b\":1}"], "stop")[0].contains("does not fit the schema"));
    assert!(notes(&["Sure"], "stop")[0].contains("not the JSON"));
    assert!(notes(&["{\"b"], "length").is_empty());
}

#[test]
fn an_excerpt_cut_inside_a_character_costs_nothing() {
    let settings = ReplySettings {
        web_search: true,
        ..quiet()
    };
    let cut = "data: {\"choices\":[{\"delta\":{\"content\":\"x\",\"annotations\":[{\"url_citation\":{\"url\":\"u\",\"content\":\"a\\ud83d\"}}]}}]}\n\n";
    let (received, ..) = replay_with(&settings, &(cut.to_owned() + &ended(vec![], "stop")));
    assert_eq!(
        received.content()[2]["citations"][0]["cited_text"],
        "a\u{fffd}"
    );
}

#[test]
fn a_web_search_of_a_whole_completion_stands_before_its_text() {
    let settings = ReplySettings {
        web_search: true,
        ..quiet()
    };
    let body = completion(
        json!({"content": "Rust is", "annotations": [found("https://a")]}),
        "stop",
    );
    let message = message(settings, &body);
    let kinds: Vec<_> = message["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|block| &block["type"])
        .collect();
    assert_eq!(kinds, ["server_tool_use", "web_search_tool_result", "text"]);
    assert_eq!(message["content"][2]["citations"][0]["cited_text"], "said");
    let unasked = whole(quiet(), body.to_string().as_bytes()).0.unwrap();
    assert!(!String::from_utf8(unasked).unwrap().contains("web_search"));
}

#[test]
fn a_whole_completion_is_what_its_stream_folds_to() {
    let details = json!([
        {"type": "reasoning.text", "text": "H\"m", "format": "anthropic-claude-v1", "index": 0, "signature": "c2ln"}
    ]);
    let calls = json!([{"type": "function", "index": 0, "id": "a", "function": {"name": "A", "arguments": "{\"x\":\"é\"}"}}]);
    let body = completion(
        json!({"role": "assistant", "content": "Hi\n", "refusal": null, "reasoning": "H\"m", "reasoning_details": details, "tool_calls": calls}),
        "tool_calls",
    );
    let chunks = vec![
        delta(json!({"reasoning_details": details, "reasoning": "H\"m"})),
        text("Hi\n"),
        delta(json!({"tool_calls": calls})),
    ];
    let streamed = replay(&ended(chunks, "tool_calls")).message;
    assert_eq!(message(settings(), &body), streamed);
}

#[test]
fn a_whole_completion_may_be_padded_cut_or_no_completion_at_all() {
    let good = completion(json!({"content": "Hi"}), "stop").to_string();
    let (message, summary) = whole(settings(), format!("\n \n{good}\n").as_bytes());
    assert!(message.is_ok() && summary.chunks == 1);
    let refused = |body: &[u8]| whole(settings(), body).0.unwrap_err();
    assert_eq!(refused(&good.as_bytes()[..good.len() - 3]).status, 502);
    assert_eq!(refused(b"<html>").status, 502);
    assert_eq!(refused(b"").status, 502);
    assert_eq!(refused(b"{\"id\":\"x\",\"choices\":[]}").status, 502);
    assert_eq!(
        refused(b"{\"error\":{\"code\":429,\"message\":\"x\"}}").status,
        429
    );
    let failed = json!({"choices": [{"message": {"content": "Ha"}, "finish_reason": "error", "error": {"code": 502, "message": "broke"}}]});
    assert_eq!(refused(failed.to_string().as_bytes()).message, "broke");
}

#[test]
fn a_stream_in_place_of_a_whole_completion_is_folded_too() {
    let body = ended(vec![text("Hi")], "stop");
    let (message, _) = whole(settings(), body.as_bytes());
    assert!(
        String::from_utf8(message.unwrap())
            .unwrap()
            .contains("\"text\":\"Hi\"")
    );
}

#[test]
fn a_ping_begins_the_message_and_an_error_may_follow() {
    let mut translator = Translator::new(settings());
    let mut out = Vec::new();
    translator.ping(&mut out);
    translator.ping(&mut out);
    assert!(translator.has_started());
    translator.fail(
        ApiError::timeout("the upstream said nothing for 240 s"),
        &mut out,
    );
    let received = grammar::complete(&out).unwrap();
    assert_eq!(received.error_type(), "timeout_error");
    assert!(
        String::from_utf8(out)
            .unwrap()
            .contains("\"request_id\":\"req_1\"")
    );
}

#[test]
fn usage_is_worth_a_short_wait_after_the_finish() {
    let mut translator = Translator::new(settings());
    let mut out = Vec::new();
    translator.push(stream(&[text("Hi"), finish("stop")]).as_bytes(), &mut out);
    assert!(translator.is_finishing() && !translator.is_done());
    translator.end(&mut out);
    assert_eq!(grammar::complete(&out).unwrap().stop_reason(), "end_turn");
}

#[test]
fn a_dropped_stream_still_counts() {
    let mut translator = Translator::new(settings());
    let mut out = Vec::new();
    translator.push(stream(&[text("12345678")]).as_bytes(), &mut out);
    let summary = translator.summary();
    assert_eq!(
        (summary.usage.output_tokens, summary.usage.input_tokens),
        (2, 100)
    );
    assert_eq!((summary.chunks, summary.stop_reason), (1, None));
    assert!(
        serde_json::to_string(&summary)
            .unwrap()
            .contains("\"usage_is_estimate\":true")
    );
}

#[test]
fn a_tools_own_name_and_unique_ids_reach_the_client() {
    let mut names = ToolNames::default();
    let odd = "mcp__a.b__c d";
    let sent = names.outward(odd).into_owned();
    let settings = ReplySettings {
        names,
        used_tool_ids: vec!["call_0".to_owned()],
        ..settings()
    };
    let chunks = vec![
        call(0, "call_0", &sent, "{}"),
        call(1, "call_1", "Bash", "{}"),
    ];
    let (received, ..) = replay_with(&settings, &ended(chunks, "tool_calls"));
    assert_eq!(tools(&received)[0].0, odd);
    let ids: Vec<_> = received
        .content()
        .iter()
        .map(|block| &block["id"])
        .collect();
    assert_eq!(ids, ["dgw_u1_call_0", "call_1"]);
}

#[test]
fn odd_elements_of_lists_cost_nothing_but_themselves() {
    let odd = json!({
        "content": "Said.",
        "images": [null, {"image_url": "data:image/png;base64,AAAA"}],
        "annotations": [null, {"url_citation": "https://x"}, 7],
        "reasoning_details": [null, "thought", []],
    });
    let settings = ReplySettings {
        web_search: true,
        ..settings()
    };
    let (received, summary, _) = replay_with(&settings, &ended(vec![delta(odd)], "stop"));
    assert!(received.text().starts_with("Said."), "{}", received.text());
    assert_eq!(summary.error, None);
}

#[test]
fn images_become_remarks_and_a_character_in_halves_is_mended() {
    let image = |url: &str| {
        delta(json!({"content": "", "images": [{"type": "image_url", "image_url": {"url": url}}]}))
    };
    let chunks = vec![
        image("https://x/y.png"),
        image("data:image/png;base64,AAAA"),
    ];
    let (received, summary, _) = replay_with(&settings(), &ended(chunks, "stop"));
    assert!(received.text().contains("![image](https://x/y.png)"));
    assert!(!received.text().contains("AAAA") && summary.notes.len() == 1);
    let halves = "data: {\"choices\":[{\"delta\":{\"content\":\"\\ud83d\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"\\ude00\"}}]}\n\n";
    let received = replay(&(halves.to_owned() + &ended(vec![], "stop")));
    assert_eq!(received.text(), "😀");
    let half = "data: {\"choices\":[{\"delta\":{\"content\":\"a\\ud83d\"}}]}\n\n";
    assert_eq!(
        replay(&(half.to_owned() + &ended(vec![], "stop"))).text(),
        "a\u{fffd}"
    );
}

#[test]
fn what_is_no_chunk_is_an_error_before_the_finish_and_nothing_after_it() {
    let broken = stream(&[text("Hi")]) + "data: {\"choices\":[\n\n";
    assert_eq!(replay(&broken).error_type(), "api_error");
    let after = stream(&[text("Hi"), finish("stop")]) + "data: {\"choices\":[\n\n";
    assert_eq!(replay(&after).stop_reason(), "end_turn");
}

#[test]
fn a_peek_tells_errors_from_beginnings() {
    let error = stream(&[json!({"error": {"code": 429, "message": "slow"}, "choices": []})]);
    assert!(matches!(peek(error.as_bytes()), Peek::Error(error) if error.api.status == 429));
    let failed = stream(&[finish("error")]);
    assert!(matches!(peek(failed.as_bytes()), Peek::Error(error) if error.api.status == 529));
    let done = peek(b": x\n\ndata: [DONE]\n\n");
    assert!(matches!(done, Peek::Error(error) if error.retryable && error.api.status == 502));
    let of_choice = stream(&[json!({"choices": [{"error": {"code": 503, "message": "m"}}]})]);
    assert!(matches!(peek(of_choice.as_bytes()), Peek::Error(error) if error.api.status == 529));
    assert_eq!(peek(b"data: \n\n"), Peek::More);
    for malformed in [
        &b"{\"id\":]"[..],
        b"data: {\"id\":]\n\n",
        b"data: junk\n\n",
        b"{\"choices\":[]}",
    ] {
        let error = peek(malformed);
        assert!(matches!(error, Peek::Error(error) if error.retryable && error.api.status == 502));
    }
    let elsewhere = peek(b"{\"id\":\"x\"}");
    assert!(matches!(elsewhere, Peek::Error(error) if !error.retryable));
    let filtered = stream(&[json!({"choices": [], "prompt_filter_results": []})]);
    assert_eq!(peek(filtered.as_bytes()), Peek::More);
    assert_eq!(peek(b"data: {\"id\":"), Peek::More);
    assert_eq!(peek(b""), Peek::More);
    assert_eq!(peek(b"data: 5\n\n"), Peek::More, "passed over");
}

#[test]
fn a_chunk_that_says_nothing_is_no_beginning() {
    let role = json!({"choices": [{"delta": {"role": "assistant", "content": ""}}]});
    let failed = json!({"error": {"code": 429, "message": "slow"}});
    let at = |chunks: &[Value]| peek(stream(chunks).as_bytes());
    let no_thought = json!([{"type": "reasoning.text", "text": "", "format": "unknown"}]);
    let no_thought = json!({"choices": [{"delta": {"reasoning_details": no_thought}}]});
    let no_choice = json!({"choices": [], "debug": {}});
    for silent in [role.clone(), text(""), no_choice, no_thought] {
        assert_eq!(at(std::slice::from_ref(&silent)), Peek::More, "{silent}");
        let error = at(&[silent.clone(), failed.clone()]);
        assert!(matches!(error, Peek::Error(error) if error.api.status == 429));
        let error = at(&[silent, finish("error")]);
        assert!(matches!(error, Peek::Error(error) if error.retryable));
    }
    for delta in [
        json!({"content": "a"}),
        json!({"content": [{"type": "text", "text": "a"}]}),
        json!({"reasoning": "a"}),
        json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": "a"}]}),
        json!({"reasoning_details": [{"text": ""}, {"summary": "a"}]}),
        json!({"reasoning_details": [{"signature": "a"}]}),
        json!({"reasoning_details": "a"}),
        json!({"refusal": "no"}),
        json!({"tool_calls": [{"index": 0}]}),
    ] {
        let begun = json!({"choices": [{"delta": delta}]});
        assert_eq!(at(&[role.clone(), begun, failed.clone()]), Peek::Fine);
    }
    for (reason, is_empty) in [("stop", true), ("length", false), ("content_filter", false)] {
        let end = at(&[role.clone(), finish(reason)]);
        assert_eq!(
            matches!(end, Peek::Error(error) if error.retryable),
            is_empty,
            "{reason}"
        );
    }
    let whole = |content: &str, reason: Option<&str>| {
        let answer =
            json!({"choices": [{"finish_reason": reason, "message": {"content": content}}]});
        peek(answer.to_string().as_bytes())
    };
    for reason in [None, Some("stop")] {
        assert_eq!(whole("a", reason), Peek::Fine);
        let empty = whole("", reason);
        assert!(matches!(empty, Peek::Error(error) if error.api.status == 529));
    }
    for (body, is_suspect) in [
        (r#"{"message":{"content": ""}}"#, true),
        (r#"{"message":{"content":null}}"#, true),
        (r#"{"message":{"content":"a"}}"#, false),
        (r#"{"content": "#, false),
    ] {
        assert_eq!(may_be_empty(body.as_bytes()), is_suspect, "{body}");
    }
}

#[test]
fn a_beginning_is_read_alike_however_it_comes() {
    let role = json!({"choices": [{"delta": {"role": "assistant"}}]});
    let failed = json!({"error": {"code": 429, "message": "slow"}});
    let whole = stream(&[role.clone(), role, failed]);
    let mut beginning = Beginning::default();
    let mut told = Vec::new();
    for end in 1..=whole.len() {
        told.push(beginning.look(&whole.as_bytes()[..end], judged));
        if told.last() != Some(&Peek::More) {
            break;
        }
    }
    assert!(matches!(told.pop(), Some(Peek::Error(error)) if error.api.status == 429));
    assert!(told.iter().all(|peek| *peek == Peek::More));
    let mut cut = Beginning::default();
    let last = whole.trim_end();
    assert_eq!(cut.look(last.split_at(20).0.as_bytes(), judged), Peek::More);
    assert_eq!(cut.look(last.as_bytes(), judged), Peek::More);
    assert!(matches!(cut.finish(judged), Peek::Error(_)));
}
