//! What the translator does where things meet that rarely do: the first word counts, nothing is said twice or lost.

use serde_json::{Value, json};

use super::grammar;
use super::script::{
    call, claude, delta, details, encrypted, ended, finish, finish_with_usage, quiet, replay,
    replay_with, restored, settings, stream, text, tools, usage,
};
use super::translator::origin;
use super::{ReplySettings, Summary, Translator};

fn thought(text: &str) -> Value {
    delta(json!({"reasoning": text}))
}

fn stopping_at(sequences: &[&str]) -> ReplySettings {
    ReplySettings {
        stop_sequences: sequences
            .iter()
            .map(|&sequence| sequence.to_owned())
            .collect(),
        ..quiet()
    }
}

fn searching() -> ReplySettings {
    ReplySettings {
        web_search: true,
        ..quiet()
    }
}

/// What is known of an answer whose connection broke.
fn known_of(settings: ReplySettings, chunks: &[Value]) -> Summary {
    let mut translator = Translator::new(settings);
    translator.push(stream(chunks).as_bytes(), &mut Vec::new());
    translator.summary()
}

fn with_usage(mut chunk: Value, tokens: u64) -> Value {
    chunk["usage"] = json!({"prompt_tokens": 10, "completion_tokens": tokens});
    chunk
}

fn server_call(tool: &str, arguments: &Value, result: impl Into<Value>) -> Value {
    details(
        json!([{"type": "reasoning.server_tool_call", "tool_name": tool,
        "arguments": arguments.to_string(), "result": result.into()}]),
    )
}

fn cited(urls: &[String]) -> Value {
    let annotations: Vec<Value> = urls
        .iter()
        .map(|url| json!({"type": "url_citation", "url_citation": {"url": url, "title": "", "content": "c"}}))
        .collect();
    delta(json!({"content": "", "annotations": annotations}))
}

#[test]
fn the_first_finish_counts() {
    let mut first = finish("length");
    first["choices"][0]["native_finish_reason"] = json!("model_context_window_exceeded");
    let chunks = [text("Hi"), first, finish_with_usage("stop")];
    let (received, summary, _) = replay_with(&settings(), &stream(&chunks));
    assert_eq!(received.stop_reason(), "model_context_window_exceeded");
    assert_eq!(
        summary.native_finish.as_deref(),
        Some("model_context_window_exceeded")
    );
}

#[test]
fn the_first_id_model_and_provider_that_are_said_count() {
    let named = |id: &str, model: &str, provider: &str| {
        let mut chunk = text("x");
        chunk["id"] = json!(id);
        chunk["model"] = json!(model);
        chunk["provider"] = json!(provider);
        chunk
    };
    let chunks = [
        named("", "", ""),
        named("a", "b/c", "P"),
        named("x", "y/z", "Q"),
    ];
    let summary = known_of(settings(), &chunks);
    let said = (summary.response_id, summary.model_used, summary.provider);
    assert_eq!(
        said,
        (Some("a".into()), Some("b/c".into()), Some("P".into()))
    );
}

#[test]
fn counts_that_grow_with_every_chunk_do_not_end_the_answer() {
    let chunks = [
        with_usage(text("Hi"), 1),
        with_usage(text(" you"), 2),
        finish("stop"),
        with_usage(json!({"choices": []}), 3),
    ];
    let received = replay(&stream(&chunks));
    assert_eq!(received.message["usage"]["output_tokens"], 3);
    assert_eq!(received.text(), "Hi you");
}

#[test]
fn a_guess_counts_what_was_written_thought_and_called() {
    let eight = "12345678";
    let chunks = [thought(eight), text(eight), call(0, "a", "A", "{\"x\":12}")];
    let shown = known_of(settings(), &chunks);
    assert_eq!(shown.usage.output_tokens, 6);
    let unasked = known_of(quiet(), &chunks);
    assert_eq!(unasked.usage.output_tokens, 6);
    let omitted = ReplySettings {
        display_omitted: true,
        ..settings()
    };
    assert_eq!(known_of(omitted, &chunks).usage.output_tokens, 6);
    let whole = stream(&chunks) + &stream(&[finish("tool_calls")]);
    let (received, summary, _) = replay_with(&settings(), &whole);
    assert_eq!(received.message["usage"]["output_tokens"], 6);
    assert_eq!(
        summary.notes,
        ["the upstream sent no usage, so it was estimated"]
    );
    assert_eq!(received.message["usage"].get("server_tool_use"), None);
}

#[test]
fn a_refusal_is_told_with_its_details_and_said_only_when_nothing_else_is() {
    let mut last = finish_with_usage("content_filter");
    last["choices"][0]["stop_details"] = json!({"type": "refusal", "category": "x"});
    let refusal = delta(json!({"refusal": "I will not."}));
    let received = replay(&stream(&[refusal.clone(), last.clone()]));
    assert_eq!(
        (received.text().as_str(), received.stop_reason()),
        ("I will not.", "refusal")
    );
    assert_eq!(received.message["stop_details"]["category"], "x");
    let late = stream(&[text("Hi"), refusal.clone(), last.clone()]);
    let (received, summary, _) = replay_with(&quiet(), &late);
    assert_eq!(received.text(), "Hi");
    assert!(summary.notes[0].contains("the words of the refusal"));
    let thinking = replay(&stream(&[thought("hm"), refusal.clone(), last.clone()]));
    assert_eq!(thinking.text(), "I will not.", "a thought is no answer");
    let with_call = vec![refusal, call(0, "a", "A", "{}")];
    let received = replay(&ended(with_call, "tool_calls"));
    assert_eq!(received.kinds(), ["tool_use"]);
    for untyped in [
        json!({"category": "x"}),
        json!({}),
        json!({"type": null, "category": "x"}),
    ] {
        last["choices"][0]["stop_details"] = untyped.clone();
        let received = replay(&stream(&[text("Hi"), last.clone()]));
        let details = &received.message["stop_details"];
        assert_eq!(
            (&details["type"], &details["category"]),
            (&json!("refusal"), &untyped["category"])
        );
    }
    last["choices"][0]["stop_details"] = json!("words");
    let received = replay(&stream(&[text("Hi"), last]));
    assert_eq!(
        received
            .message
            .get("stop_details")
            .filter(|told| !told.is_null()),
        None
    );
}

#[test]
fn one_answer_of_several_is_taken_whatever_their_order() {
    let of = |index: u64, text: &str| json!({"index": index, "delta": {"content": text}});
    let other = json!({"choices": [of(1, "B")]});
    let last_of_other = json!({"choices": [{"index": 1, "delta": {}, "finish_reason": "length"}]});
    let both = json!({"choices": [of(1, "C"), of(0, "D"), of(0, "E")]});
    let chunks = vec![other, text("A"), last_of_other, both];
    let (received, summary, _) = replay_with(&settings(), &ended(chunks, "stop"));
    assert_eq!(
        (received.text().as_str(), received.stop_reason()),
        ("AD", "end_turn")
    );
    assert_eq!(
        summary.notes,
        ["the upstream gave more than one answer, and the first alone was taken"]
    );
    let odd = json!({"choices": [{"index": "x", "delta": {"content": "Hi"}}]});
    let (received, summary, _) = replay_with(&settings(), &ended(vec![odd], "stop"));
    assert_eq!(received.text(), "Hi");
    assert!(summary.notes.is_empty());
}

#[test]
fn a_long_refusal_is_kept_up_to_a_megabyte() {
    let half = "x".repeat(1 << 19);
    let piece = |said: &str| delta(json!({ "refusal": said }));
    let mut translator = Translator::new(quiet());
    let mut out = Vec::new();
    let chunks = [
        piece(&half),
        piece(&half),
        piece("y"),
        finish_with_usage("stop"),
    ];
    translator.push(stream(&chunks).as_bytes(), &mut out);
    let received = grammar::complete(&out).unwrap();
    assert_eq!(received.text(), half.repeat(2));
}

#[test]
fn thoughts_that_nobody_asked_for_do_not_cut_a_text_in_two() {
    let chunks = vec![text("a"), thought("Hm"), text("b")];
    let (received, ..) = replay_with(&quiet(), &ended(chunks, "stop"));
    assert_eq!(
        (received.kinds(), received.text().as_str()),
        (vec!["text"], "ab")
    );
}

#[test]
fn a_thought_alone_is_an_answer_when_it_was_asked_for() {
    let received = replay(&ended(vec![thought("Hm")], "stop"));
    assert_eq!(
        (received.kinds(), received.stop_reason()),
        (vec!["thinking"], "end_turn")
    );
    let received = replay(&ended(vec![encrypted("rs")], "stop"));
    assert_eq!(received.kinds(), ["thinking"]);
    assert_eq!(restored(&received.content()[0]).details.len(), 1);
    let (received, ..) = replay_with(&quiet(), &ended(vec![encrypted("rs")], "stop"));
    assert_eq!(received.error_type(), "overloaded_error");
}

#[test]
fn a_thought_is_taken_from_the_string_that_says_something() {
    let both = |reasoning: &str, content: &str| {
        let chunk = delta(json!({"reasoning": reasoning, "reasoning_content": content}));
        let received = replay(&ended(vec![chunk, text("Hi")], "stop"));
        received.content()[0]["thinking"].clone()
    };
    assert_eq!(both("", "so"), "so");
    assert_eq!(both("Hm", "so"), "Hm");
}

#[test]
fn reasoning_that_comes_too_late_to_be_carried_is_noted() {
    let chunks = vec![text("Hi"), encrypted("rs")];
    let late = "reasoning that came after the text was not carried to the next turn";
    let (received, summary, _) = replay_with(&settings(), &ended(chunks.clone(), "stop"));
    assert_eq!(
        (received.kinds(), summary.notes),
        (vec!["text"], vec![late.to_owned()])
    );
    let (_, summary, _) = replay_with(&quiet(), &ended(chunks, "stop"));
    assert_eq!(summary.notes, [""; 0]);
}

#[test]
fn reasoning_beyond_all_measure_is_given_up_and_the_answer_goes_on() {
    let data = "QUJD".repeat(1 << 20);
    let long = details(json!([{"type": "reasoning.encrypted", "data": data + "x", "index": 0}]));
    let mut translator = Translator::new(settings());
    let mut out = Vec::new();
    translator.push(ended(vec![long, text("Hi")], "stop").as_bytes(), &mut out);
    assert_eq!(grammar::complete(&out).unwrap().kinds(), ["text"]);
    assert_eq!(
        translator.summary().notes,
        ["the reasoning was too long to be carried to the next turn"]
    );
}

#[test]
fn what_follows_a_stop_sequence_is_left_out_whatever_it_is() {
    let meeting = delta(json!({"content": "a STOP b",
        "images": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}],
        "tool_calls": [{"index": 0, "id": "a", "function": {"name": "A", "arguments": "{}"}}]}));
    let (received, summary, _) =
        replay_with(&stopping_at(&["STOP"]), &ended(vec![meeting], "tool_calls"));
    assert_eq!(
        (received.kinds(), received.text().as_str()),
        (vec!["text"], "a ")
    );
    assert_eq!(received.message["stop_sequence"], "STOP");
    assert_eq!(
        summary.usage.output_tokens, 1,
        "only what was shown is counted"
    );
    let called = vec![call(0, "a", "A", "{}"), text("x STOP")];
    let (received, summary, _) = replay_with(&stopping_at(&["STOP"]), &ended(called, "stop"));
    assert_eq!(received.kinds(), ["text"]);
    assert!(
        summary
            .notes
            .contains(&"tool calls after a stop sequence were left out".to_owned())
    );
    let (_, summary, _) = replay_with(
        &stopping_at(&["STOP"]),
        &ended(vec![text("x STOP")], "stop"),
    );
    assert_eq!(
        summary.notes,
        ["the upstream sent no usage, so it was estimated"]
    );
}

#[test]
fn text_that_was_held_back_to_the_end_is_an_answer() {
    let (received, ..) = replay_with(&stopping_at(&["STOP"]), &ended(vec![text("ST")], "stop"));
    assert_eq!(
        (received.text().as_str(), received.stop_reason()),
        ("ST", "end_turn")
    );
    let done = stream(&[text("ST")]) + "data: [DONE]\n\n";
    let (received, ..) = replay_with(&stopping_at(&["STOP"]), &done);
    assert_eq!(received.text(), "ST");
}

#[test]
fn a_stop_sequence_that_the_upstream_met_is_named_when_only_one_can_be_meant() {
    let mut last = finish_with_usage("stop");
    last["choices"][0]["native_finish_reason"] = json!("stop_sequence");
    let named = |sequences: &[&str]| {
        let (received, ..) = replay_with(
            &stopping_at(sequences),
            &stream(&[text("no"), last.clone()]),
        );
        assert_eq!(received.stop_reason(), "stop_sequence");
        received.message["stop_sequence"].clone()
    };
    assert_eq!(named(&["A"]), "A");
    assert_eq!(named(&["A", "B"]), Value::Null);
    let (received, ..) = replay_with(&stopping_at(&["A"]), &ended(vec![text("no")], "stop"));
    assert_eq!(received.message["stop_sequence"], Value::Null);
}

#[test]
fn repaired_arguments_and_faults_behind_the_end_are_noted_once() {
    let faulty = vec![
        call(0, "a", "A", "{\"x\":1,}"),
        call(1, "b", "B", "{\"x\":[1,]}"),
    ];
    let (received, summary, _) = replay_with(&settings(), &ended(faulty, "tool_calls"));
    assert_eq!(tools(&received).len(), 2);
    assert_eq!(
        summary.notes,
        ["the arguments of a tool call were repaired"]
    );
    let good = vec![call(0, "a", "A", "{}")];
    assert!(
        replay_with(&settings(), &ended(good, "tool_calls"))
            .1
            .notes
            .is_empty()
    );
    let after = stream(&[text("Hi"), finish("stop")]) + "data: {]\n\ndata: {]\n\n";
    let (_, summary, _) = replay_with(
        &settings(),
        &(after + &stream(&[json!({"usage": usage()})])),
    );
    assert_eq!(
        summary.notes,
        ["something that is no chunk followed the end of the answer"]
    );
}

#[test]
fn a_long_input_goes_out_in_pieces_of_four_kilobytes() {
    let input = json!({"x": "y".repeat(9000)}).to_string();
    let chunks = vec![call(0, "a", "A", &input)];
    let (received, _, transcript) = replay_with(&settings(), &ended(chunks, "tool_calls"));
    assert_eq!(tools(&received)[0].1["x"].as_str().unwrap().len(), 9000);
    assert_eq!(transcript.matches("input_json_delta").count(), 3);
}

#[test]
fn two_hundred_pages_are_hits_and_no_more() {
    let urls: Vec<String> = (0..=200).map(|n| format!("https://{n}")).collect();
    let pages: Vec<Value> = urls.iter().map(|url| json!({"url": url})).collect();
    let found = server_call(
        "web_search",
        &json!({"query": "q"}),
        json!(pages).to_string(),
    );
    for chunk in [cited(&urls), found] {
        let (received, ..) = replay_with(&searching(), &ended(vec![chunk, text("x")], "stop"));
        let hits = received.content()[1]["content"].as_array().unwrap();
        assert_eq!(hits.len(), 200);
        assert_eq!(
            hits[199]["title"], "https://199",
            "a page without a title has its address"
        );
    }
}

#[test]
fn a_search_is_shown_when_the_upstream_counted_one_or_named_a_page() {
    let kinds = |settings: ReplySettings, searches: Option<u64>, before: Vec<Value>| {
        let mut last = finish_with_usage("stop");
        if let Some(searches) = searches {
            last["usage"]["server_tool_use"] = json!({"web_search_requests": searches});
        }
        let mut chunks = before;
        chunks.extend([text("Hi"), last]);
        let (received, ..) = replay_with(&settings, &stream(&chunks));
        received
            .kinds()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let asked = server_call("web_search", &json!({"query": "q"}), "");
    let shown = ["text", "server_tool_use", "web_search_tool_result"];
    assert_eq!(kinds(searching(), Some(1), vec![]), shown);
    assert_eq!(kinds(searching(), Some(0), vec![]), ["text"]);
    assert_eq!(kinds(searching(), None, vec![asked]), ["text"]);
    assert_eq!(kinds(quiet(), Some(1), vec![]), ["text"]);
}

#[test]
fn the_first_query_is_told_and_pages_are_told_once() {
    let pages = json!({"results": [{"url": "https://a"}, {"url": ""}]});
    let chunks = vec![
        server_call("web_search", &json!({"query": "first"}), pages.to_string()),
        server_call("web_search", &json!({"query": "second"}), pages.to_string()),
        text("Hi"),
    ];
    let (received, summary, _) = replay_with(&searching(), &ended(chunks, "stop"));
    assert_eq!(
        received.kinds(),
        ["server_tool_use", "web_search_tool_result", "text"]
    );
    assert_eq!(
        summary.notes,
        ["several searches are shown as one, with the query of the first"]
    );
    assert_eq!(received.content()[0]["input"]["query"], "first");
    assert_eq!(
        received.content()[1]["content"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn pages_that_come_after_the_text_began_are_cited_and_noted() {
    let said = |text: &str, url: &str, content: &str| {
        let citation = json!({"url": url, "title": "", "content": content});
        delta(json!({"content": text, "annotations": [{"url_citation": citation}]}))
    };
    let late = "pages that were found after the text began are not in the block of search results";
    for (url, notes) in [("https://b", &[late][..]), ("https://a", &[])] {
        let chunks = vec![said("One.", "https://a", "x"), said(" Two.", url, "y")];
        let (received, summary, _) = replay_with(&searching(), &ended(chunks, "stop"));
        let content = received.content();
        assert_eq!(content[1]["content"].as_array().unwrap().len(), 1);
        assert_eq!(content[2]["citations"][1]["url"], url);
        assert_eq!(summary.notes, notes);
    }
}

#[test]
fn each_text_has_the_citations_that_came_with_it() {
    let settings = ReplySettings {
        web_search: true,
        ..settings()
    };
    let one = |url: &str| cited(&[url.to_owned()]);
    let chunks = vec![
        text("a"),
        one("https://a"),
        thought("Hm"),
        text("b"),
        one("https://b"),
    ];
    let (received, ..) = replay_with(&settings, &ended(chunks, "stop"));
    let citations: Vec<_> = received
        .content()
        .iter()
        .filter(|block| block["type"] == "text")
        .map(|block| {
            (
                block["citations"].as_array().unwrap().len(),
                &block["citations"][0]["url"],
            )
        })
        .collect();
    assert_eq!(
        citations,
        [(1, &json!("https://a")), (1, &json!("https://b"))]
    );
}

#[test]
fn a_servers_call_is_shown_as_what_the_client_asked_for() {
    let chunks = vec![
        server_call("web_fetch", &json!({"url": "https://a"}), "page"),
        text("Hi"),
    ];
    let kinds = |web_search: bool, web_fetch: bool| {
        let settings = ReplySettings {
            web_search,
            web_fetch,
            ..quiet()
        };
        let (received, ..) = replay_with(&settings, &ended(chunks.clone(), "stop"));
        received.kinds().len()
    };
    assert_eq!((kinds(false, false), kinds(true, false)), (1, 1));
    assert_eq!((kinds(false, true), kinds(true, true)), (3, 3));
}

#[test]
fn a_hundred_fetches_are_shown_and_what_is_no_json_is_the_page() {
    let settings = ReplySettings {
        web_fetch: true,
        ..quiet()
    };
    let mut chunks = vec![server_call(
        "web_fetch",
        &json!({"url": "https://a"}),
        "plain \"page\"",
    )];
    chunks.push(server_call(
        "web_fetch",
        &json!({"address": "https://a"}),
        "x",
    ));
    chunks.push(server_call("web_fetch", &json!({"url": "https://b"}), ""));
    chunks.extend(
        (0..99).map(|n| server_call("web_fetch", &json!({"url": format!("https://{n}")}), "x")),
    );
    chunks.push(text("Hi"));
    let (received, ..) = replay_with(&settings, &ended(chunks, "stop"));
    assert_eq!(
        received.message["usage"]["server_tool_use"]["web_fetch_requests"],
        100
    );
    assert_eq!(received.kinds().len(), 201);
    let [_, page, _, nothing, ..] = received.content() else {
        panic!("{received:?}")
    };
    assert_eq!(
        page["content"]["content"]["source"]["data"],
        "plain \"page\""
    );
    assert_eq!(nothing["content"]["type"], "web_fetch_tool_result_error");
}

#[test]
fn the_origin_of_a_thought_is_the_model_that_was_asked_or_anothers_vendor() {
    for (target, used, expected) in [
        ("openai/gpt-5", None, "openai/gpt-5"),
        ("openai/gpt-5", Some("openai/gpt-5-mini"), "openai/gpt-5"),
        ("openai/gpt-5", Some("z-ai/glm"), "z-ai/glm"),
        (
            "~openai/gpt-latest",
            Some("openai/gpt-5"),
            "~openai/gpt-latest",
        ),
        ("local", Some("other"), "local"),
        ("local", Some("x/other"), "x/other"),
    ] {
        assert_eq!(origin(target, used), expected, "{target} {used:?}");
    }
}

#[test]
fn nothing_follows_the_end_of_an_answer() {
    let mut translator = Translator::new(settings());
    let mut out = Vec::new();
    translator.push(ended(vec![text("Hi")], "stop").as_bytes(), &mut out);
    let length = out.len();
    translator.ping(&mut out);
    translator.push(stream(&[text("more")]).as_bytes(), &mut out);
    translator.end(&mut out);
    assert_eq!(out.len(), length);
    assert_eq!((translator.chunks(), translator.summary().error), (3, None));
}

#[test]
fn a_message_starts_with_the_first_thing_that_is_shown() {
    let mut translator = Translator::new(quiet());
    let mut out = Vec::new();
    for (chunk, has_started) in [
        (thought("Hm"), false),
        (text(""), false),
        (text("Hi"), true),
    ] {
        translator.push(stream(&[chunk]).as_bytes(), &mut out);
        assert_eq!(
            (translator.has_started(), out.is_empty()),
            (has_started, !has_started)
        );
    }
}

#[test]
fn a_thought_that_is_shown_is_not_carried_in_its_signature_as_well() {
    let signature = |thoughts: &[&str]| {
        let mut chunks: Vec<Value> = thoughts.iter().map(|said| thought(said)).collect();
        chunks.push(text("Hi"));
        let received = replay(&ended(chunks, "stop"));
        received.content()[0]["signature"].as_str().unwrap().len()
    };
    let long = "a thought that is like no other: 0123456789abcdefghijklmnopqrstuvwxyz";
    assert!(signature(&[long, long]) < signature(&["Hm"]) + 10);
}

#[test]
fn four_megabytes_of_thought_that_is_not_shown_are_kept() {
    let omitted = ReplySettings {
        display_omitted: true,
        ..settings()
    };
    let mut translator = Translator::new(omitted);
    let mut out = Vec::new();
    let half = "x".repeat(2 << 20);
    let chunks = vec![thought(&half), thought(&half), thought("y"), text("Hi")];
    translator.push(ended(chunks, "stop").as_bytes(), &mut out);
    let received = grammar::complete(&out).unwrap();
    assert_eq!(restored(&received.content()[0]).text, half.repeat(2));
}

#[test]
fn a_half_character_at_the_end_of_a_thought_is_replaced() {
    let half = "data: {\"choices\":[{\"delta\":{\"reasoning\":\"a\\ud83d\"}}]}\n\n";
    let received = replay(&(half.to_owned() + &ended(vec![text("Hi")], "stop")));
    assert_eq!(received.content()[0]["thinking"], "a\u{fffd}");
}

#[test]
fn details_win_over_strings_as_soon_as_they_say_something() {
    let chunks = vec![
        claude(json!({"text": "one "})),
        thought("again"),
        claude(json!({"text": "two"})),
        text("Hi"),
    ];
    let received = replay(&ended(chunks, "stop"));
    assert_eq!(received.content()[0]["thinking"], "one two");
}
