//! The streams that must work, each replayed whole and in pieces, each answer checked by [`super::grammar`].
//!
//! The numbers in the names are those of the vectors in the design's reference.

use serde_json::{Value, json};

use super::grammar;
use super::script::{
    call, claude, delta, details, encrypted, ended, error_chunk, finish, finish_with_usage,
    more_arguments, push_all, quiet, replay, replay_with, restored, settings, stream, text, tools,
    usage,
};
use super::{Peek, ReplySettings, Translator, peek, whole};
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::translate::tool_ids;

#[test]
fn v01_two_finish_chunks_end_once_with_the_usage_of_the_second() {
    let (received, summary, _) =
        replay_with(&settings(), &ended(vec![text("Hi"), text("!")], "stop"));
    assert_eq!(
        (received.text().as_str(), received.stop_reason()),
        ("Hi!", "end_turn")
    );
    let usage = &received.message["usage"];
    assert_eq!(usage["input_tokens"], 15);
    assert_eq!(usage["cache_read_input_tokens"], 30);
    assert_eq!(usage["cache_creation_input_tokens"], 5);
    assert_eq!(usage["output_tokens"], 9);
    assert_eq!(usage["output_tokens_details"]["thinking_tokens"], 4);
    assert_eq!(summary.response_id.as_deref(), Some("gen-1"));
    assert_eq!(
        (summary.cost_usd, summary.usage_is_estimate),
        (Some(0.001), false)
    );
    assert_eq!(summary.provider.as_deref(), Some("P"));
}

#[test]
fn v02_usage_with_empty_or_absent_choices_counts() {
    for choices in [json!([]), json!(null)] {
        let usage = json!({"choices": choices, "usage": usage()});
        let received = replay(&stream(&[text("Hi"), finish("stop"), usage]));
        assert_eq!(received.message["usage"]["output_tokens"], 9);
        assert_eq!(received.stop_reason(), "end_turn");
    }
    let received = replay(&stream(&[
        text("Hi"),
        finish("stop"),
        json!({"usage": usage()}),
    ]));
    assert_eq!(received.message["usage"]["output_tokens"], 9);
}

#[test]
fn v03_usage_on_the_only_finish_chunk_ends_the_message() {
    let mut translator = Translator::new(settings());
    let mut out = Vec::new();
    let stream = stream(&[text("Hi"), finish_with_usage("stop")]);
    translator.push(stream.as_bytes(), &mut out);
    assert!(translator.is_done());
    assert_eq!(
        grammar::complete(&out).unwrap().message["usage"]["output_tokens"],
        9
    );
}

#[test]
fn v04_without_usage_it_is_estimated_and_said_so() {
    let stream = stream(&[text("12345678"), finish("stop")]) + "data: [DONE]\n\n";
    let (received, summary, _) = replay_with(&settings(), &stream);
    assert_eq!(received.message["usage"]["output_tokens"], 2);
    assert_eq!(received.message["usage"]["input_tokens"], 100);
    assert!(summary.usage_is_estimate && summary.notes.iter().any(|note| note.contains("usage")));
}

#[test]
fn v05_a_missing_done_does_not_matter_after_finish() {
    let received = replay(&stream(&[text("Hi"), finish("stop")]));
    assert_eq!(received.stop_reason(), "end_turn");
}

#[test]
fn v06_done_without_finish_ends_what_is_whole() {
    let done = "data: [DONE]\n\n";
    assert_eq!(
        replay(&(stream(&[text("Hi")]) + done)).stop_reason(),
        "end_turn"
    );
    let tool = call(0, "a", "Bash", "{\"x\":1}");
    assert_eq!(replay(&(stream(&[tool]) + done)).stop_reason(), "tool_use");
    for cut in [
        call(0, "a", "Bash", "{\"x\":"),
        call(0, "a", "Bash", ""),
        delta(json!({"reasoning": "hm"})),
    ] {
        assert_eq!(replay(&(stream(&[cut]) + done)).error_type(), "api_error");
    }
    assert_eq!(replay(done).error_type(), "api_error");
}

#[test]
fn v07_neither_finish_nor_done_is_an_error() {
    let tool = call(0, "a", "Bash", "{\"x\":1}");
    for chunks in [vec![text("All is said.")], vec![text("x"), tool], vec![]] {
        let received = replay(&stream(&chunks));
        assert_eq!(received.error_type(), "api_error");
        assert!(!received.kinds().contains(&"tool_use"));
    }
}

#[test]
fn v08_an_error_chunk_is_an_error_event_and_closes_no_block() {
    let tool = call(0, "a", "Bash", "{\"x\":");
    for before in [vec![], vec![text("Hal")], vec![text("x"), tool]] {
        let mut chunks = before;
        chunks.push(error_chunk());
        let (received, summary, transcript) = replay_with(&settings(), &ended(chunks, "stop"));
        assert_eq!(received.error_type(), "rate_limit_error");
        assert!(!transcript.contains("content_block_stop"));
        assert_eq!(summary.error.unwrap().status, 429);
        assert_eq!(summary.stop_reason, None);
    }
}

#[test]
fn v09_finish_reason_error_alone_is_an_error() {
    let received = replay(&ended(vec![text("x")], "error"));
    assert_eq!(received.error_type(), "overloaded_error");
    let malformed = json!({"choices": [{"delta": {}, "finish_reason": "error", "native_finish_reason": "MALFORMED_FUNCTION_CALL"}]});
    let received = replay(&stream(&[malformed]));
    assert!(
        received.error.unwrap()["message"]
            .as_str()
            .unwrap()
            .contains("MALFORMED_FUNCTION_CALL")
    );
}

#[test]
fn v10_a_bare_error_is_an_error() {
    let bare = json!({"error": {"code": 402, "message": "no credits"}});
    assert_eq!(replay(&stream(&[bare])).error_type(), "billing_error");
    let word = json!({"error": {"code": "server_error", "message": "oops"}});
    assert_eq!(replay(&stream(&[word])).error_type(), "api_error");
    let text_only = json!({"error": "plain words"});
    let received = replay(&stream(&[text_only]));
    assert_eq!(received.error.unwrap()["message"], "plain words");
}

#[test]
fn v11_a_json_error_instead_of_a_stream_is_an_error() {
    let body = json!({"error": {"code": 503, "message": "no room"}, "user_id": "u"}).to_string();
    assert!(matches!(peek(body.as_bytes()), Peek::Error(error) if error.api.status == 529));
    assert_eq!(peek(&body.as_bytes()[..20]), Peek::More);
    assert_eq!(replay(&body).error_type(), "overloaded_error");
    let (refused, summary) = whole(settings(), body.as_bytes());
    assert_eq!(refused.unwrap_err().status, 529);
    assert!(summary.error.is_some());
}

#[test]
fn v12_comments_carriage_returns_and_split_characters_change_nothing() {
    let plain = ended(vec![text("Grüße 😀"), text("日本")], "stop");
    let odd = plain.replace("\n\n", "\r\n\r\n: OPENROUTER PROCESSING\r\n\r\n");
    let expected = replay(&plain);
    assert_eq!(replay(&odd).message, expected.message);
    assert_eq!(replay(&plain.replace('\n', "\r")).message, expected.message);
    assert_eq!(
        replay(&format!("\u{feff}{plain}")).message,
        expected.message
    );
    assert_eq!(
        replay(&plain.replace("data: {", "data:{")).message,
        expected.message
    );
    assert_eq!(replay(plain.trim_end()).message, expected.message);
}

#[test]
fn v13_every_form_of_no_content_and_lists_of_parts_are_understood() {
    let parts = json!({"content": [{"type": "text", "text": "a"}, {"type": "x"}, {"type": "text", "text": "b"}]});
    let chunks = vec![
        delta(json!(null)),
        delta(json!({})),
        delta(json!({"content": null})),
        delta(json!({"content": ""})),
        delta(json!({"content": 7})),
        delta(parts),
        json!({"choices": [{"message": {"content": "not read beside deltas"}}]}),
        json!({"choices": [{}]}),
        json!([1]),
        json!("x"),
        json!(null),
        json!({"id": 5, "model": {}, "provider": [], "choices": {}}),
        json!({"choices": "none", "usage": "none"}),
    ];
    let received = replay(&ended(chunks, "stop"));
    assert_eq!(
        (received.text().as_str(), received.kinds().len()),
        ("ab", 1)
    );
    let alone = |content: &str| json!({"choices": [{"message": {"content": content}}]});
    let received = replay(&ended(vec![alone("c"), alone("d")], "stop"));
    assert_eq!(received.text(), "cd");
}

#[test]
fn v14_reasoning_is_shown_once_whether_string_details_or_both() {
    let detail = |text: &str| json!([{"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}]);
    let forms: [Vec<Value>; 4] = [
        vec![
            delta(json!({"reasoning": "Hm, "})),
            delta(json!({"reasoning": "so"})),
        ],
        vec![
            delta(json!({"reasoning_content": "Hm, "})),
            delta(json!({"reasoning_content": "so"})),
        ],
        vec![details(detail("Hm, ")), details(detail("so"))],
        vec![
            delta(json!({"reasoning": "Hm, ", "reasoning_details": detail("Hm, ")})),
            delta(json!({"reasoning": "so", "reasoning_details": detail("so")})),
        ],
    ];
    for mut chunks in forms {
        chunks.push(text("Hi"));
        let received = replay(&ended(chunks, "stop"));
        assert_eq!(received.kinds(), ["thinking", "text"]);
        let thinking = &received.content()[0];
        assert_eq!(thinking["thinking"], "Hm, so");
        assert_eq!(restored(thinking).text, "Hm, so");
    }
}

#[test]
fn v15_claudes_signature_travels_bare_and_a_late_one_in_an_envelope_before_the_tool() {
    let early = vec![
        claude(json!({"text": "Hm"})),
        claude(json!({"signature": "EqQBsig="})),
        text("Hi"),
    ];
    let received = replay(&ended(early, "stop"));
    assert_eq!(received.content()[0]["signature"], "EqQBsig=");
    let late = vec![
        claude(json!({"text": "Hm"})),
        text("Hi"),
        claude(json!({"signature": "EqQBsig="})),
        call(0, "a", "Bash", "{}"),
    ];
    let received = replay(&ended(late, "tool_calls"));
    assert_eq!(
        received.kinds(),
        ["thinking", "text", "thinking", "tool_use"]
    );
    assert!(restored(&received.content()[0]).details.is_empty());
    let carried = restored(&received.content()[2]).details;
    assert_eq!(carried[0].signature.as_deref(), Some("EqQBsig="));
    assert_eq!(carried[0].text.as_deref(), Some("Hm"));
}

#[test]
fn v15_two_signed_thoughts_make_two_blocks() {
    let chunks = vec![
        claude(json!({"text": "one"})),
        claude(json!({"signature": "c2lnMQ=="})),
        claude(json!({"text": "two", "index": 1})),
        claude(json!({"signature": "c2lnMg==", "index": 1})),
        text("Hi"),
    ];
    let received = replay(&ended(chunks, "stop"));
    let signatures: Vec<_> = received
        .content()
        .iter()
        .map(|block| block["signature"].as_str())
        .collect();
    assert_eq!(signatures, [Some("c2lnMQ=="), Some("c2lnMg=="), None]);
}

#[test]
fn v16_a_summary_and_an_encrypted_entry_of_one_index_travel_apart() {
    let chunks = vec![
        details(
            json!([{"type": "reasoning.summary", "summary": "I ", "index": 0, "format": "openai-responses-v1"}]),
        ),
        details(
            json!([{"type": "reasoning.summary", "summary": "see", "index": 0, "format": "openai-responses-v1"}]),
        ),
        details(
            json!([{"type": "reasoning.encrypted", "data": "QUJD", "id": "rs_1", "index": 0, "format": "openai-responses-v1"}]),
        ),
        text("Hi"),
    ];
    let received = replay(&ended(chunks, "stop"));
    assert_eq!(received.content()[0]["thinking"], "I see");
    let carried = restored(&received.content()[0]).details;
    assert_eq!(carried[0].summary.as_deref(), Some("I see"));
    assert_eq!(
        (carried[1].data.as_deref(), carried[1].id.as_deref()),
        (Some("QUJD"), Some("rs_1"))
    );
}

#[test]
fn v17_encrypted_reasoning_after_the_tools_stands_before_them() {
    let chunks = vec![text("Hi"), call(0, "a", "Bash", "{}"), encrypted("rs_1")];
    let received = replay(&ended(chunks.clone(), "tool_calls"));
    assert_eq!(received.kinds(), ["text", "thinking", "tool_use"]);
    assert_eq!(received.content()[1]["thinking"], "");
    let (received, ..) = replay_with(&quiet(), &ended(chunks, "tool_calls"));
    assert_eq!(received.kinds(), ["text", "thinking", "tool_use"]);
    let only = replay(&ended(vec![encrypted("rs_1"), text("Hi")], "stop"));
    assert_eq!(only.kinds(), ["thinking", "text"]);
    let (quiet, ..) = replay_with(
        &quiet(),
        &ended(vec![encrypted("rs_1"), text("Hi")], "stop"),
    );
    assert_eq!(quiet.kinds(), ["text"]);
}

#[test]
fn v18_geminis_entry_keeps_naming_its_call_even_when_the_call_was_renamed() {
    for (used, said, outward) in [
        (vec![], "tool_0", "tool_0"),
        (vec!["tool_0".to_owned()], "tool_0", "dgw_u1_tool_0"),
        (vec![], "tool:0", "dgw_x0_dG9vbDow"),
        (
            vec!["dgw_x0_dG9vbDow".to_owned()],
            "tool:0",
            "dgw_x1_dG9vbDow",
        ),
    ] {
        let settings = ReplySettings {
            used_tool_ids: used,
            ..settings()
        };
        let chunks = vec![encrypted(said), call(0, said, "Bash", "{}")];
        let (received, ..) = replay_with(&settings, &ended(chunks, "tool_calls"));
        assert_eq!(received.kinds(), ["thinking", "tool_use"]);
        let carried = restored(&received.content()[0]).details;
        assert_eq!(carried[0].id.as_deref(), Some(outward));
        assert_eq!(received.content()[1]["id"], outward);
    }
}

#[test]
fn v19_two_calls_are_told_apart_in_every_order() {
    let scripts: [Vec<Value>; 6] = [
        vec![
            call(0, "a", "A", ""),
            call(1, "b", "B", ""),
            more_arguments(1, "{\"n\":2}"),
            more_arguments(0, "{\"n\":1}"),
        ],
        vec![
            more_arguments(0, "{\"n\""),
            call(0, "a", "A", ":1}"),
            call(4, "b", "B", "{\"n\":2}"),
        ],
        vec![
            call(0, "a", "A", "{\"n\":1}"),
            call(0, "b", "B", "{\"n\":"),
            more_arguments(0, "2}"),
        ],
        vec![
            call(0, "x", "A", "{\"n\":1}"),
            call(1, "x", "B", "{\"n\":2}"),
        ],
        vec![call(0, "", "A", "{\"n\":1}"), call(1, "", "B", "{\"n\":2}")],
        vec![
            delta(
                json!({"tool_calls": [{"id": "a", "function": {"name": "A", "arguments": "{\"n\":"}}]}),
            ),
            delta(
                json!({"tool_calls": [{"function": {"arguments": "1}"}}, {"id": "b", "function": {"name": "B", "arguments": "{\"n\":2}"}}]}),
            ),
        ],
    ];
    for chunks in scripts {
        let received = replay(&ended(chunks, "tool_calls"));
        let expected = [
            ("A".to_owned(), json!({"n": 1})),
            ("B".to_owned(), json!({"n": 2})),
        ];
        assert_eq!(tools(&received), expected);
        assert_eq!(received.stop_reason(), "tool_use");
    }
}

#[test]
fn v20_arguments_may_be_an_object_missing_or_blank() {
    let object = delta(
        json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "A", "arguments": {"x": [1]}}}]}),
    );
    let missing =
        delta(json!({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "B"}}]}));
    let chunks = vec![
        object,
        missing,
        call(2, "c", "C", ""),
        more_arguments(2, " \n"),
    ];
    let received = replay(&ended(chunks, "tool_calls"));
    let expected = [
        ("A".to_owned(), json!({"x": [1]})),
        ("B".to_owned(), json!({})),
        ("C".to_owned(), json!({})),
    ];
    assert_eq!(tools(&received), expected);
}

#[test]
fn v21_a_call_with_finish_stop_is_tool_use() {
    let received = replay(&ended(vec![call(0, "a", "A", "{}")], "stop"));
    assert_eq!(received.stop_reason(), "tool_use");
}

#[test]
fn v22_a_call_cut_by_the_limit_is_left_out() {
    let chunks = vec![
        text("x"),
        call(0, "a", "A", "{}"),
        call(1, "b", "B", "{\"x\":\"ha"),
    ];
    let (received, summary, _) = replay_with(&settings(), &ended(chunks, "length"));
    assert_eq!(received.stop_reason(), "max_tokens");
    assert_eq!(received.kinds(), ["text", "tool_use"]);
    assert!(summary.notes.iter().any(|note| note.contains("cut off")));
    let orderly = vec![call(0, "b", "B", "{\"x\":\"ha")];
    assert_eq!(
        replay(&ended(orderly, "tool_calls")).error_type(),
        "api_error"
    );
}

#[test]
fn v23_text_around_a_tool_is_one_text_before_it() {
    let received = replay(&ended(
        vec![text("a"), call(0, "a", "A", "{}"), text("b")],
        "tool_calls",
    ));
    assert_eq!(received.kinds(), ["text", "tool_use"]);
    assert_eq!(received.text(), "ab");
}

#[test]
fn v24_a_refusal_is_text_with_its_reason() {
    let refusal = |text: &str| delta(json!({"content": "", "refusal": text}));
    let received = replay(&ended(
        vec![refusal("I can"), refusal("not.")],
        "content_filter",
    ));
    assert_eq!(
        (received.text().as_str(), received.stop_reason()),
        ("I cannot.", "refusal")
    );
    let received = replay(&ended(vec![text("I was")], "content_filter"));
    assert_eq!(
        (received.text().as_str(), received.stop_reason()),
        ("I was", "refusal")
    );
    let mut with_details = finish_with_usage("content_filter");
    with_details["choices"][0]["stop_details"] = json!({"type": "refusal", "category": "cyber"});
    let received = replay(&stream(&[refusal("No"), with_details]));
    assert_eq!(received.message["stop_details"]["category"], "cyber");
}

#[test]
fn v25_an_empty_stream_is_an_error() {
    let comments = ": OPENROUTER PROCESSING\n\n".repeat(3);
    assert_eq!(peek(comments.as_bytes()), Peek::More);
    assert_eq!(replay(&comments).error_type(), "api_error");
    assert_eq!(replay("").error_type(), "api_error");
    assert_eq!(
        replay(&ended(vec![], "stop")).error_type(),
        "overloaded_error"
    );
    let probe = replay(&ended(vec![], "length"));
    assert_eq!(
        (probe.stop_reason(), probe.content().len()),
        ("max_tokens", 0)
    );
}

#[test]
fn v26_a_huge_argument_arrives_whole() {
    let huge = "ä\"\\\n".repeat(25_000);
    let arguments = json!({"x": huge}).to_string();
    let stream = ended(vec![call(0, "a", "A", &arguments)], "tool_calls");
    // Cut at every offset, it would take seconds; the other vectors are.
    let pieces: Vec<&[u8]> = stream.as_bytes().chunks(4_001).collect();
    let received = grammar::complete(&push_all(settings(), &pieces).0).unwrap();
    assert_eq!(tools(&received)[0].1["x"], huge);
}

#[test]
fn v27_kimis_id_goes_out_in_anthropics_form_and_comes_back_in_kimis() {
    let received = replay(&ended(
        vec![call(0, "functions.Bash:0", "Bash", "{}")],
        "tool_calls",
    ));
    let id = received.content()[0]["id"].as_str().unwrap();
    assert_eq!(tool_ids::decode(id), "functions.Bash:0");
}

#[test]
fn v28_nothing_follows_the_end() {
    let stream = ended(vec![text("Hi")], "stop") + &stream(&[text("more"), error_chunk()]);
    let received = replay(&stream);
    assert_eq!(
        (received.text().as_str(), received.stop_reason()),
        ("Hi", "end_turn")
    );
    let mut translator = Translator::new(settings());
    let mut out = Vec::new();
    translator.push(stream.as_bytes(), &mut out);
    let length = out.len();
    translator.ping(&mut out);
    translator.fail(ApiError::timeout("late"), &mut out);
    translator.end(&mut out);
    assert_eq!(out.len(), length);
}
