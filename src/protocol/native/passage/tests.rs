//! What passes of a stream, and what is mended in it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::super::repeat::LEFT_OUT;
use super::*;
use crate::protocol::anthropic::message::StopReason;

const START: &str = r#"{"type":"message_start","message":{"id":"gen-1","model":"anthropic/claude-4.6-sonnet","content":[],"usage":{"input_tokens":0,"output_tokens":0},"provider":"Anthropic"}}"#;
const THINKING: &str = r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#;
const SIGNED: &str = r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"sig"}}"#;
const STOP_0: &str = r#"{"type":"content_block_stop","index":0}"#;
const TEXT: &str =
    r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"hi"}}"#;
const TEXT_START: &str =
    r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#;
const TEXT_STOP: &str = r#"{"type":"content_block_stop","index":1}"#;
const DELTA: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":11,"cache_read_input_tokens":5,"output_tokens":7,"output_tokens_details":{"thinking_tokens":3},"cost":0.25}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

fn copy(index: u64) -> [String; 2] {
    let data = BASE64_STANDARD.encode(r#"{"signature":"sig","text":"t","type":"reasoning.text"}"#);
    [
        format!(
            r#"{{"type":"content_block_start","index":{index},"content_block":{{"type":"redacted_thinking","data":"openrouter.reasoning:{data}"}}}}"#
        ),
        format!(r#"{{"type":"content_block_stop","index":{index}}}"#),
    ]
}

fn stream(events: &[&str]) -> String {
    events.iter().map(|data| stream_of("x", data)).collect()
}

fn stream_of(name: &str, data: &str) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

/// A stream as OpenRouter's Messages endpoint sends it, with all that breaks SDKs.
fn openrouters() -> String {
    let [copy_start, copy_stop] = copy(2);
    let events = [
        START,
        THINKING,
        SIGNED,
        STOP_0,
        TEXT_START,
        TEXT,
        TEXT_STOP,
        &copy_start,
        &copy_stop,
        DELTA,
        STOP,
    ];
    let events = stream(&events);
    format!(": OPENROUTER\n\n{events}event: data\ndata: [DONE]\n\n")
}

fn passage() -> Passage {
    let body =
        r#"{"model":"sonnet","max_tokens":1,"messages":[{"role":"user","content":"hello you"}]}"#;
    Passage::new(PassageSettings {
        message_id: "msg_ours".to_owned(),
        model: Some("sonnet".to_owned()),
        request_id: "req_1".to_owned(),
        only_stop: Some("</x>".to_owned()),
        body: Some(Arc::new(body.to_owned())),
    })
}

fn passed(stream: &str, piece: usize) -> (String, Summary) {
    let mut passage = passage();
    let mut out = Vec::new();
    for bytes in stream.as_bytes().chunks(piece) {
        passage.push(bytes, &mut out);
    }
    if !passage.is_done() {
        passage.end(&mut out);
    }
    (String::from_utf8(out).unwrap(), passage.summary())
}

#[test]
fn everything_of_a_block_that_repeats_a_thought_is_left_out() {
    let [copy_start, copy_stop] = copy(1);
    let inside = r#"{"type":"content_block_delta","index":1,"delta":{"type":"x","signature":"y"}}"#;
    let [again_start, again_stop] = copy(2);
    let text =
        r#"{"type":"content_block_start","index":3,"content_block":{"type":"text","text":""}}"#;
    let events = [
        START,
        THINKING,
        SIGNED,
        STOP_0,
        &copy_start,
        inside,
        inside,
        &copy_stop,
        &again_start,
        &again_stop,
        text,
        DELTA,
        STOP,
    ];
    let (out, summary) = passed(&stream(&events), usize::MAX);
    assert_eq!(out.matches("event: content_block").count(), 5, "{out}");
    assert!(
        out.contains(r#""index":1,"content_block":{"type":"text""#),
        "{out}"
    );
    assert_eq!(
        summary.notes,
        [LEFT_OUT, "a block was left open, and was closed"]
    );
    assert_eq!(summary.chunks, 13);
}

#[test]
fn tokens_that_were_counted_in_any_way_are_not_estimated() {
    let plain = stream(&[START, TEXT, TEXT, TEXT, DELTA, STOP]);
    for (count, is_estimated) in [
        (r#""input_tokens":0"#, true),
        (r#""input_tokens":0,"cache_read_input_tokens":9"#, false),
        (r#""input_tokens":0,"cache_creation_input_tokens":9"#, false),
        (
            r#""input_tokens":3,"cache_creation_input_tokens":9,"cache_read_input_tokens":5"#,
            false,
        ),
        (
            r#""input_tokens":18446744073709551615,"cache_read_input_tokens":1"#,
            false,
        ),
    ] {
        let (out, summary) = passed(&plain.replacen(r#""input_tokens":0"#, count, 1), usize::MAX);
        assert_eq!(!out.contains(count), is_estimated, "{out}");
        assert_eq!(summary.chunks, 6);
    }
    assert_eq!(estimate(&"x".repeat(350)), 100);
}

#[test]
fn what_is_no_event_does_not_pass() {
    for stream in [
        "data: {\"type\":\"content_block_delta\",\"index\":0",
        "data: {\"type\":\"content_block_delta\",]}\n\n",
        "data: {\"type\":\"x\\n\\ndata: {}\"}\n\n",
        "data: {\"type\":\"\"}\n\n",
        "data: {\"type\":\"a word\"}\n\n",
        "data: {}\n\n",
        "data: [\"ping\"]\n\n",
    ] {
        let (passed, _) = passed(stream, usize::MAX);
        assert!(passed.starts_with("event: error\n"), "{passed}");
        assert_eq!(passed.matches("event: ").count(), 1, "{passed}");
    }
}

#[test]
fn a_stream_passes_without_what_breaks_sdks_however_it_is_cut() {
    let whole = openrouters();
    let (out, _) = passed(&whole, usize::MAX);
    for piece in [1, 2, 3, 7, 64] {
        assert_eq!(passed(&whole, piece).0, out, "in pieces of {piece}");
    }
    let names: Vec<&str> = out
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    assert_eq!(
        names,
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert!(!out.contains("DONE") && !out.contains("redacted"));
    assert!(
        out.contains(r#""id":"msg_ours","model":"sonnet","content":[]"#),
        "{out}"
    );
    assert!(!out.contains(r#""input_tokens":0"#), "{out}");
    assert!(out.contains(&format!("data: {DELTA}\n\n")), "untouched");
}

#[test]
fn what_a_stream_says_of_itself_is_known_at_its_end() {
    let (_, summary) = passed(&openrouters(), usize::MAX);
    assert_eq!(summary.response_id.as_deref(), Some("gen-1"));
    assert_eq!(
        summary.model_used.as_deref(),
        Some("anthropic/claude-4.6-sonnet")
    );
    assert_eq!(summary.provider.as_deref(), Some("Anthropic"));
    assert_eq!(summary.stop_reason, Some(StopReason::EndTurn));
    let usage = summary.usage;
    assert_eq!(
        (
            usage.input_tokens,
            usage.cache_read_input_tokens,
            usage.output_tokens
        ),
        (11, 5, 7)
    );
    assert_eq!(
        (usage.thinking_tokens, summary.cost_usd),
        (Some(3), Some(0.25))
    );
    assert!(!summary.usage_is_estimate);
    assert_eq!(summary.notes.len(), 1);
}

#[test]
fn blocks_behind_one_that_is_left_out_move_up() {
    let [copy_start, copy_stop] = copy(1);
    let later = [
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"text","text":"","x":"{\"index\":2}"}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"x"}}"#,
        r#"{"index":2,"type":"content_block_stop"}"#,
    ];
    let mut events = vec![START, THINKING, SIGNED, STOP_0, &copy_start, &copy_stop];
    events.extend(later);
    events.extend([DELTA, STOP]);
    let (out, _) = passed(&stream(&events), usize::MAX);
    assert!(
        out.contains(r#""index":1,"content_block":{"type":"text","text":"","x":"{\"index\":2}"}"#),
        "{out}"
    );
    assert!(
        out.contains(r#""index":1,"delta""#)
            && out.contains(r#"{"index":1,"type":"content_block_stop"}"#)
    );
}

#[test]
fn what_anthropic_sends_passes_byte_for_byte() {
    let start = r#"{"type": "message_start", "message": {"id":"msg_1","model":"sonnet","content":[],"usage":{"input_tokens":3,"output_tokens":1}}}"#;
    let new = r#"{"type":"brand_new","x":[1,2]}"#;
    let mut expected = String::new();
    for (name, data) in [
        ("message_start", start),
        ("ping", r#"{"type": "ping"}"#),
        ("brand_new", new),
        ("message_delta", DELTA),
        ("message_stop", STOP),
    ] {
        expected.push_str(&stream_of(name, data));
    }
    let mut passage = Passage::new(PassageSettings::default());
    let mut out = Vec::new();
    passage.push(expected.as_bytes(), &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    assert!(passage.is_done());
}

#[test]
fn a_passage_is_known_to_be_under_way_finishing_or_done() {
    let mut passage = passage();
    let mut out = Vec::new();
    let states = [START, TEXT, DELTA, STOP].map(|data| {
        passage.push(stream(&[data]).as_bytes(), &mut out);
        let state = (passage.is_finishing(), passage.is_done(), passage.events());
        (passage.has_spoken(), state)
    });
    assert_eq!(
        states,
        [
            (false, (false, false, 1)),
            (true, (false, false, 2)),
            (true, (true, false, 3)),
            (true, (false, true, 4))
        ]
    );
    let length = out.len();
    passage.ping(&mut out);
    passage.fail(ApiError::timeout("late"), &mut out);
    passage.push(stream(&[TEXT]).as_bytes(), &mut out);
    assert_eq!(out.len(), length, "nothing follows the last event");
    assert!(passage.summary().error.is_none());
}

#[test]
fn a_ping_of_the_gateways_own_may_stand_between_events() {
    let mut passage = passage();
    let mut out = Vec::new();
    passage.ping(&mut out);
    let out = String::from_utf8(out).unwrap();
    assert_eq!(out, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
    assert_eq!(passage.events(), 0);
}

#[test]
fn an_event_over_several_lines_passes_in_one() {
    let cut = "data: {\"type\":\ndata: \"ping\",\ndata: \"x\":1}\n\ndata:\n\n";
    let mut passage = passage();
    let mut out = Vec::new();
    passage.push(cut.as_bytes(), &mut out);
    let out = String::from_utf8(out).unwrap();
    assert_eq!(out, "event: ping\ndata: {\"type\": \"ping\", \"x\":1}\n\n");
}

#[test]
fn an_answer_whose_last_line_is_cut_is_judged_by_what_came() {
    let events = [START, THINKING, STOP_0, TEXT_START, TEXT, TEXT_STOP, DELTA];
    let whole = stream(&events) + "data: " + STOP;
    let (out, summary) = passed(&whole, usize::MAX);
    assert!(summary.error.is_none(), "{out}");
    assert_eq!(out.matches("event: message_stop").count(), 1);
    assert_eq!(summary.notes.len(), 0, "{:?}", summary.notes);
}

#[test]
fn a_thought_that_was_never_said_is_no_repeat() {
    let [copy_start, copy_stop] = copy(0);
    let (out, _) = passed(&stream(&[START, &copy_start, &copy_stop, DELTA, STOP]), 5);
    assert!(out.contains(&format!("data: {copy_start}\n")), "{out}");
    assert!(out.contains(&format!("data: {copy_stop}\n")), "{out}");
}

#[test]
fn a_copy_repeats_a_thought_and_nothing_else_that_was_said() {
    let data = BASE64_STANDARD.encode(r#"{"signature":null,"text":"t"}"#);
    let unsigned = format!(
        r#"{{"type":"content_block_start","index":1,"content_block":{{"type":"redacted_thinking","data":"openrouter.reasoning:{data}"}}}}"#
    );
    let [signed, _] = copy(1);
    let text =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    let at_once = THINKING.replace(r#""signature":"""#, r#""signature":"sig""#);
    for (said, copy, is_left_out) in [
        (text, &unsigned, false),
        (THINKING, &unsigned, true),
        (THINKING, &signed, false),
        (&at_once, &signed, true),
    ] {
        let (out, _) = passed(&stream(&[START, said, STOP_0, copy]), usize::MAX);
        assert_eq!(!out.contains("redacted"), is_left_out, "{said} {copy}");
    }
}

#[test]
fn a_signature_in_pieces_is_known_once_its_block_has_ended() {
    let [piece, rest] = ["s", "ig"].map(|piece| SIGNED.replace("\"sig\"", &format!("{piece:?}")));
    let [signed, _] = copy(1);
    let events = [START, THINKING, &piece, &rest, STOP_0, &signed];
    let (out, _) = passed(&stream(&events), usize::MAX);
    assert!(!out.contains("redacted"), "{out}");
    let events = [START, THINKING, &piece, &rest, &signed];
    let (out, _) = passed(&stream(&events), usize::MAX);
    assert!(out.contains("redacted"), "{out}");
}

#[test]
fn an_error_passes_word_for_word_and_ends_the_answer() {
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"theirs"}"#;
    let (out, summary) = passed(&stream(&[START, TEXT, error, TEXT]), usize::MAX);
    assert!(
        out.ends_with(&format!("event: error\ndata: {error}\n\n")),
        "{out}"
    );
    assert_eq!(summary.error.unwrap().message, "Overloaded");
    assert_eq!(summary.stop_reason, None);
}

#[test]
fn a_broken_stream_ends_in_an_error_and_a_stopped_one_in_its_stop() {
    let (out, summary) = passed(&stream(&[START, TEXT]), usize::MAX);
    assert!(out.contains("event: error") && out.contains("req_1") && !out.contains("message_stop"));
    assert!(summary.error.is_some() && summary.usage_is_estimate && summary.usage.input_tokens > 0);
    let (out, summary) = passed(&stream(&[START, TEXT, DELTA]), usize::MAX);
    assert!(out.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
    assert!(summary.error.is_none());
    let (out, _) = passed("data: <html>\n\n", usize::MAX);
    assert!(out.contains("no event of the Messages API"), "{out}");
}

#[test]
fn an_error_without_a_type_keeps_its_words_and_its_kind() {
    let untyped = r#"{"error":{"message":"Provider rate limited","code":429}}"#;
    let (told, summary) = told(&[START, TEXT, untyped]);
    let error = &told.last().unwrap()["error"];
    assert_eq!(error["type"], "rate_limit_error");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("Provider rate limited"), "{message}");
    assert_eq!(summary.error.unwrap().status, 429);
    for none in [r#"{"error":null}"#, r#"{"errors":{}}"#, r#"[{"error":1}]"#] {
        let (out, _) = passed(&stream(&[START, none]), usize::MAX);
        assert!(out.contains("no event of the Messages API"), "{out}");
    }
}

#[test]
fn an_answer_that_stops_without_a_reason_is_broken() {
    let unsaid = r#"{"type":"message_delta","delta":{"stop_reason":null}}"#;
    for events in [&[START, TEXT, STOP][..], &[START, TEXT, unsaid, STOP]] {
        let (told, summary) = told(events);
        assert_eq!(kinds(&told).last(), Some(&"error"), "{told:?}");
        assert!(!kinds(&told).contains(&"message_stop"));
        assert!(summary.error.unwrap().message.contains("without a reason"));
    }
    let unended = WHOLE.replace(r#""stop_reason":"tool_use""#, r#""stop_reason":null"#);
    let (told, summary) = told(&[&unended]);
    assert_eq!(kinds(&told).last(), Some(&"message_stop"));
    assert!(summary.error.is_none());
}

#[test]
fn a_document_may_begin_with_a_byte_order_mark() {
    let marked = format!("data: \u{feff}{WHOLE}\n\n");
    let (out, summary) = passed(&marked, usize::MAX);
    assert!(out.contains("message_stop"), "{out}");
    assert!(summary.error.is_none());
}

/// The events that a client gets of a stream, as JSON.
fn told(events: &[&str]) -> (Vec<serde_json::Value>, Summary) {
    let (out, summary) = passed(&stream(events), usize::MAX);
    let lines = out.lines().filter_map(|line| line.strip_prefix("data: "));
    let told = lines.map(|data| serde_json::from_str(data).unwrap());
    (told.collect(), summary)
}

fn kinds(told: &[serde_json::Value]) -> Vec<&str> {
    told.iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}

const CALL: &str = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu_1","name":"Bash","input":{}}}"#;
const FILLED_CALL: &str = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu_1","name":"Bash","input":{"command":"ls"}}}"#;
const INPUT: &str = r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"command\":\"pwd\"}"}}"#;

fn ended(reason: &str) -> String {
    DELTA.replace("end_turn", reason)
}

#[test]
fn a_start_that_is_missing_is_said_and_a_second_one_is_not() {
    let (told, summary) = told(&[THINKING, STOP_0, START, DELTA, STOP]);
    assert_eq!(
        kinds(&told),
        [
            "message_start",
            "content_block_start",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    let message = &told[0]["message"];
    assert_eq!(
        (&message["id"], &message["model"]),
        (&"msg_ours".into(), &"sonnet".into())
    );
    assert_eq!(message["usage"]["input_tokens"], 10);
    assert_eq!(summary.notes.len(), 2, "{:?}", summary.notes);
    for (first, is_missed) in [
        (DELTA, true),
        (STOP, true),
        (r#"{"type":"brand_new"}"#, false),
    ] {
        let (out, _) = passed(&stream(&[first, START]), usize::MAX);
        assert_eq!(out.starts_with("event: message_start"), is_missed, "{out}");
    }
}

#[test]
fn a_start_gets_the_usage_and_the_content_that_sdks_take_for_granted() {
    for (start, added) in [
        (r#"{"id":"msg_1","model":"m"}"#, true),
        (r#"{"id":"msg_1","content":[],"usage":null}"#, true),
        (r#"{"id":"msg_1","content":[],"usage":{}}"#, true),
        (r#"{"id":"msg_1","content":null,"usage":[]}"#, true),
        (
            r#"{"id":"msg_1","content":[],"usage":{"input_tokens":3}}"#,
            false,
        ),
    ] {
        let start = format!(r#"{{"type":"message_start","message":{start}}}"#);
        let (told, _) = told(&[&start, DELTA, STOP]);
        let message = &told[0]["message"];
        assert_eq!(message["content"], serde_json::json!([]));
        let input = message["usage"]["input_tokens"].as_u64().unwrap();
        assert_eq!(input != 3, added, "{message}");
        assert!(input > 0);
    }
}

#[test]
fn blocks_are_numbered_without_holes_and_never_twice() {
    let far = THINKING.replace("\"index\":0", "\"index\":7");
    let far_piece = TEXT.replace("\"index\":1", "\"index\":7");
    let far_stop = STOP_0.replace("\"index\":0", "\"index\":7");
    let again = TEXT_START.replace("\"index\":1", "\"index\":0");
    let events = [
        START, &far, &far_piece, &far_stop, TEXT_START, TEXT, TEXT_STOP, &again, STOP_0, DELTA,
        STOP,
    ];
    let (told, _) = told(&events);
    let numbers: Vec<u64> = told
        .iter()
        .filter_map(|event| event["index"].as_u64())
        .collect();
    assert_eq!(numbers, [0, 0, 0, 1, 1, 1, 2, 2]);
}

#[test]
fn what_was_never_begun_begins_and_what_is_not_open_does_not_end() {
    let (text, summary) = told(&[START, TEXT, TEXT_STOP, TEXT_STOP, DELTA, STOP]);
    assert_eq!(
        kinds(&text),
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert_eq!(text[1]["content_block"]["type"], "text");
    assert_eq!(summary.notes.len(), 2, "{:?}", summary.notes);
    let (call, summary) = told(&[START, INPUT, DELTA, STOP]);
    assert_eq!(
        kinds(&call),
        ["message_start", "error"],
        "a call has a name"
    );
    assert!(summary.error.unwrap().message.contains("never began"));
}

#[test]
fn what_is_open_at_the_end_is_closed_unless_it_may_be_half_a_call() {
    for (start, reason, is_closed) in [
        (CALL, "tool_use", true),
        (CALL, "max_tokens", false),
        (CALL, "brand_new", false),
        (THINKING, "max_tokens", true),
        (THINKING, "end_turn", true),
    ] {
        let (told, _) = told(&[START, start, &ended(reason), STOP]);
        let stops = kinds(&told).contains(&"content_block_stop");
        assert_eq!(stops, is_closed, "{start} {reason}");
    }
    let (told, _) = told(&[START, THINKING, CALL, INPUT, STOP_0, DELTA, STOP]);
    let expected = [
        "message_start",
        "content_block_start",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
    ];
    assert_eq!(kinds(&told)[..6], expected, "another took its number");
}

#[test]
fn an_input_that_came_with_the_beginning_of_a_call_is_said_once() {
    let inputs = |events: &[&str]| -> Vec<String> {
        let (told, _) = told(events);
        let pieces = told.iter().map(|event| &event["delta"]["partial_json"]);
        pieces
            .filter_map(|piece| piece.as_str().map(str::to_owned))
            .collect()
    };
    let end = ended("tool_use");
    let empty = INPUT.replace("{\\\"command\\\":\\\"pwd\\\"}", "");
    assert_ne!(empty, INPUT);
    let at_the_start = r#"{"command":"ls"}"#;
    let in_pieces = r#"{"command":"pwd"}"#;
    assert_eq!(
        inputs(&[START, FILLED_CALL, STOP_0, &end, STOP]),
        [at_the_start]
    );
    assert_eq!(
        inputs(&[START, FILLED_CALL, &empty, STOP_0, &end, STOP]),
        ["", at_the_start]
    );
    assert_eq!(inputs(&[START, FILLED_CALL, &end, STOP]), [at_the_start]);
    assert_eq!(
        inputs(&[START, FILLED_CALL, INPUT, STOP_0, &end, STOP]),
        [in_pieces]
    );
    assert_eq!(
        inputs(&[START, CALL, INPUT, STOP_0, &end, STOP]),
        [in_pieces]
    );
    assert_eq!(inputs(&[START, CALL, STOP_0, &end, STOP]), [""; 0]);
}

#[test]
fn words_that_came_with_the_beginning_of_a_block_follow_it() {
    let start = TEXT_START.replace(r#""text":"""#, r#""text":"a \"word\"""#);
    let (told, summary) = told(&[START, &start, TEXT, TEXT_STOP, DELTA, STOP]);
    assert_eq!(told[1]["content_block"]["text"], "");
    let texts = told
        .iter()
        .filter_map(|event| event["delta"]["text"].as_str());
    assert_eq!(texts.collect::<String>(), "a \"word\"hi");
    assert_eq!(summary.notes.len(), 1, "{:?}", summary.notes);
}

#[test]
fn a_signature_that_came_with_the_beginning_of_a_thought_is_said_once() {
    let signed = THINKING.replace(r#""signature":"""#, r#""signature":"at \"once\"""#);
    let signatures = |events: &[&str]| -> Vec<String> {
        let (told, _) = told(events);
        let pieces = told.iter().map(|event| &event["delta"]["signature"]);
        pieces
            .filter_map(|piece| piece.as_str().map(str::to_owned))
            .collect()
    };
    let thought = TEXT
        .replace(r#""index":1"#, r#""index":0"#)
        .replace("text", "thinking");
    for events in [
        &[START, &signed, STOP_0, DELTA, STOP][..],
        &[START, &signed, &thought, STOP_0, DELTA, STOP],
        &[START, &signed, DELTA, STOP],
    ] {
        assert_eq!(signatures(events), ["at \"once\""]);
        assert_eq!(told(events).0[1]["content_block"]["signature"], "");
    }
    let in_pieces = [START, &signed, SIGNED, STOP_0, DELTA, STOP];
    assert_eq!(signatures(&in_pieces), ["sig"]);
    let unsigned = [START, THINKING, STOP_0, DELTA, STOP];
    assert_eq!(signatures(&unsigned), [""; 0]);
}

#[test]
fn an_end_has_usage_and_keeps_to_its_first_reason() {
    let bare = r#"{"type":"message_delta"}"#;
    let null = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":null}}"#;
    assert_eq!(told(&[START, null]).0[1]["usage"]["output_tokens"], 0);
    let later =
        r#"{"type":"message_delta","delta":{"stop_reason":null},"usage":{"input_tokens":9}}"#;
    let other = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}"#;
    let (told, summary) = told(&[
        START,
        CALL,
        INPUT,
        STOP_0,
        bare,
        &ended("tool_use"),
        later,
        other,
        bare,
        STOP,
    ]);
    let ends: Vec<_> = told
        .iter()
        .filter(|event| event["type"] == "message_delta")
        .map(|event| {
            let output = event["usage"]["output_tokens"].as_u64().unwrap();
            (event["delta"]["stop_reason"].as_str(), output)
        })
        .collect();
    let tool_use = Some("tool_use");
    assert_eq!(
        ends,
        [
            (None, 6),
            (tool_use, 7),
            (tool_use, 7),
            (tool_use, 9),
            (tool_use, 9)
        ]
    );
    assert_eq!(summary.stop_reason, Some(StopReason::ToolUse));
    assert_eq!(summary.usage.output_tokens, 9);
    assert!(!summary.usage_is_estimate);
}

#[test]
fn the_only_stop_sequence_is_named_when_it_was_met() {
    let end = |delta: &str| format!(r#"{{"type":"message_delta","delta":{delta}}}"#);
    for (delta, named) in [
        (
            r#"{"stop_reason":"stop_sequence","stop_sequence":null}"#,
            Some("</x>"),
        ),
        (r#"{"stop_reason":"stop_sequence"}"#, Some("</x>")),
        (
            r#"{"stop_reason":"stop_sequence","stop_sequence":"a"}"#,
            Some("a"),
        ),
        (r#"{"stop_reason":"end_turn","stop_sequence":null}"#, None),
    ] {
        let (told, _) = told(&[START, &end(delta), STOP]);
        assert_eq!(told[1]["delta"]["stop_sequence"].as_str(), named, "{delta}");
    }
}

const WHOLE: &str = concat!(
    r#"{"type":"message","id":"gen-1","model":"anthropic/claude-x","role":"assistant","content":["#,
    r#"{"type":"thinking","thinking":"so","signature":"sig"},{"type":"text","text":"hi","citations":[1]},"#,
    r#"{"type":"tool_use","id":"toolu_1","name":"Bash","input":{"command":"ls"}},{"type":"brand_new","x":1}],"#,
    r#""stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":9},"x":[2]}"#,
);

#[test]
fn a_message_that_came_whole_is_told_as_events() {
    let (told, summary) = told(&[WHOLE]);
    let block = [
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
    ];
    let signed = [&block[..2], &block[1..]].concat();
    let mut expected = vec!["message_start"];
    expected.extend(signed);
    expected.extend(block);
    expected.extend(block);
    expected.extend([
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]);
    assert_eq!(kinds(&told), expected);
    assert_eq!(summary.notes, [message::CAME_WHOLE]);
    assert_eq!(summary.chunks, 1);
    assert_eq!(
        (summary.usage.output_tokens, summary.stop_reason),
        (9, Some(StopReason::ToolUse))
    );
}

#[test]
fn nothing_of_a_message_that_came_whole_is_lost() {
    let (told, _) = told(&[WHOLE]);
    let start = &told[0]["message"];
    assert_eq!(start["content"], serde_json::json!([]));
    assert_eq!(start["stop_reason"], serde_json::Value::Null);
    assert_eq!(start["x"], serde_json::json!([2]));
    assert_eq!(
        (&start["id"], &start["model"]),
        (&"msg_ours".into(), &"sonnet".into())
    );
    let deltas: Vec<String> = told
        .iter()
        .map(|event| event["delta"].to_string())
        .collect();
    for said in [
        r#""so""#,
        r#""sig""#,
        r#""hi""#,
        r#""{\"command\":\"ls\"}""#,
        r#""tool_use""#,
    ] {
        assert!(
            deltas.iter().any(|delta| delta.contains(said)),
            "{said}: {deltas:?}"
        );
    }
    assert_eq!(
        told[5]["content_block"]["citations"],
        serde_json::json!([1])
    );
    let thought = &told[1]["content_block"];
    assert_eq!(thought["signature"], "", "it is said once: {thought}");
}

#[test]
fn what_is_called_a_message_and_is_none_passes() {
    let odd = r#"{"type":"message","content":"no list"}"#;
    let (told, _) = told(&[
        odd,
        START,
        r#"{"type":"message","content":[]}"#,
        DELTA,
        STOP,
    ]);
    assert_eq!(
        kinds(&told),
        [
            "message",
            "message_start",
            "message",
            "message_delta",
            "message_stop"
        ]
    );
}

#[test]
fn the_words_of_an_answer_that_breaks_off_are_counted() {
    let start = START.replace(
        r#""input_tokens":0,"output_tokens":0"#,
        r#""input_tokens":3,"output_tokens":1"#,
    );
    let words = TEXT.replace("hi", &"word".repeat(50));
    let (_, summary) = told(&[&start, THINKING, STOP_0, TEXT_START, &words, &words]);
    assert!(summary.error.is_some() && summary.usage_is_estimate);
    assert_eq!(
        (summary.usage.input_tokens, summary.usage.output_tokens),
        (3, 100)
    );
}
