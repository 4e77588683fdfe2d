//! No bytes and no script of chunks make the translator panic, break the grammar or end otherwise than once.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::fold::folded;
use super::grammar;
use super::{ReplySettings, Translator, peek, whole};
use crate::protocol::openrouter::chunk::Chunk;
use crate::protocol::openrouter::error::{self, Headers};

fn settings(flags: u8) -> ReplySettings {
    let flag = |bit: u8| flags & (1 << bit) != 0;
    ReplySettings {
        message_id: "msg_p".to_owned(),
        model: "m".to_owned(),
        request_id: "req_p".to_owned(),
        target_model: "openai/gpt-5".to_owned(),
        thinking_asked: flag(0),
        display_omitted: flag(1),
        stop_sequences: if flag(2) {
            vec!["ab".to_owned(), "</x>".to_owned()]
        } else {
            vec![]
        },
        used_tool_ids: vec!["c0".to_owned()],
        web_search: flag(3),
        ..ReplySettings::default()
    }
}

/// Feeds the pieces with pings between them; the end is an error or the upstream's own.
fn run(flags: u8, pieces: &[Vec<u8>]) -> Vec<u8> {
    let mut translator = Translator::new(settings(flags));
    let mut out = Vec::new();
    for piece in pieces {
        translator.push(piece, &mut out);
        if flags & 16 != 0 {
            translator.ping(&mut out);
        }
    }
    translator.end(&mut out);
    let _ = translator.summary();
    out
}

fn some_text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]{0,4}", "(ab|</x|>|\\\\|\"|ä|😀|\n){0,4}"]
}

fn detail() -> impl Strategy<Value = Value> {
    let kind = prop::sample::select(vec![
        "text",
        "summary",
        "encrypted",
        "server_tool_call",
        "odd",
    ]);
    let format = prop::sample::select(vec!["anthropic-claude-v1", "google-gemini-v1", "unknown"]);
    let optional = |pattern: &'static str| prop::option::of(pattern);
    (kind, format, some_text(), optional("[QR]{4}"), optional("c[0-2]"), prop::option::of(0i64..2)).prop_map(
        |(kind, format, text, secret, id, index)| {
            let mut detail = json!({"type": format!("reasoning.{kind}"), "format": format, "id": id, "index": index});
            match kind {
                "text" => {
                    detail["text"] = json!(text);
                    detail["signature"] = json!(secret);
                }
                "summary" => detail["summary"] = json!(text),
                _ => detail["data"] = json!(secret),
            }
            detail
        },
    )
}

fn tool_call() -> impl Strategy<Value = Value> {
    let arguments = prop_oneof![
        "(\\{|\\}|\"x\":|1|,|\"a| ){0,5}".prop_map(Value::from),
        Just(json!({"x": 1})),
        Just(json!(null))
    ];
    (prop::option::of(-1i64..4), prop::option::of("(c[0-2]|f:0|)"), prop::option::of("[AB]?"), arguments).prop_map(
        |(index, id, name, arguments)| json!({"index": index, "id": id, "function": {"name": name, "arguments": arguments}}),
    )
}

fn chunk() -> impl Strategy<Value = Value> {
    let finish = prop::sample::select(vec![
        "stop",
        "length",
        "tool_calls",
        "content_filter",
        "error",
        "odd",
        "",
    ]);
    let delta = prop_oneof![
        4 => some_text().prop_map(|text| json!({"content": text})),
        2 => some_text().prop_map(|text| json!({"reasoning": text})),
        3 => prop::collection::vec(detail(), 0..3).prop_map(|details| json!({"content": "", "reasoning_details": details})),
        4 => prop::collection::vec(tool_call(), 0..3).prop_map(|calls| json!({"content": null, "tool_calls": calls})),
        1 => some_text().prop_map(|text| json!({"refusal": text})),
        1 => Just(json!({"annotations": [{"url_citation": {"url": "u", "title": "t"}}], "images": [{}]})),
        1 => Just(json!(null)),
    ];
    prop_oneof![
        12 => delta.prop_map(|delta| json!({"id": "g", "choices": [{"delta": delta, "finish_reason": null}]})),
        2 => finish.prop_map(|finish| json!({"choices": [{"delta": {"content": ""}, "finish_reason": finish}]})),
        1 => Just(json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}})),
        1 => Just(json!({"error": {"code": 429, "message": "m"}})),
        1 => Just(json!([1])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(384))]

    #[test]
    fn every_script_of_chunks_ends_once_in_good_grammar(chunks in prop::collection::vec(chunk(), 0..10), flags: u8, done: bool, cut in 0usize..2000) {
        let mut stream: Vec<u8> = Vec::new();
        for chunk in &chunks {
            stream.extend_from_slice(format!("data: {chunk}\n\n").as_bytes());
        }
        if done {
            stream.extend_from_slice(b"data: [DONE]\n\n");
        }
        let (head, tail) = stream.split_at(cut.min(stream.len()));
        let out = run(flags, &[head.to_vec(), tail.to_vec()]);
        let checked = grammar::complete(&out);
        prop_assert!(checked.is_ok(), "{:?}\n{}", checked, String::from_utf8_lossy(&out));
        if flags & 16 == 0 {
            prop_assert_eq!(run(flags, &[stream]), out);
        }
    }

    #[test]
    fn a_whole_message_is_what_its_events_add_up_to(chunks in prop::collection::vec(chunk(), 0..6), flags: u8) {
        // A completion that comes as a stream to a client that did not ask for one.
        let mut stream: Vec<u8> = b": hello\n\n".to_vec();
        for chunk in &chunks {
            stream.extend_from_slice(format!("data: {chunk}\n\n").as_bytes());
        }
        let mut completion = chunks.last().cloned().unwrap_or_default();
        if let Some(choice) = completion.pointer_mut("/choices/0") {
            choice["message"] = choice["delta"].take();
        }
        for body in [stream, completion.to_string().into_bytes()] {
            let (message, summary) = whole(settings(flags), &body);
            let mut translator = Translator::new(settings(flags));
            let mut events = Vec::new();
            if body.starts_with(b":") {
                translator.push(&body, &mut events);
                translator.end(&mut events);
            } else if let Ok(chunk) = Chunk::read(&body) {
                translator.chunk(&chunk, &mut events);
                translator.finish(&mut events);
            }
            match message {
                Ok(message) => {
                    prop_assert_eq!(Some(message), folded(&events));
                    prop_assert_eq!(format!("{summary:?}"), format!("{:?}", translator.summary()));
                }
                Err(_) => prop_assert!(translator.summary().stop_reason.is_none()),
            }
        }
    }

    #[test]
    fn every_whole_completion_is_a_message_or_an_error(chunk in chunk(), flags: u8) {
        let body = chunk.to_string().replace("\"delta\"", "\"message\"");
        if let (Ok(message), summary) = whole(settings(flags), body.as_bytes()) {
            let message: Value = serde_json::from_slice(&message).unwrap();
            prop_assert!(message["content"].is_array() && message["usage"]["output_tokens"].is_u64());
            prop_assert!(summary.stop_reason.is_some());
        }
    }

    #[test]
    fn any_bytes_end_once_in_good_grammar(pieces in prop::collection::vec(prop_oneof![
        any::<Vec<u8>>(),
        "data: ?[\\[\\]{}\",:a-z0-9\\\\]{0,30}\n?\n?".prop_map(String::into_bytes),
        "data: \\{\"choices\":\\[\\{\"delta\":\\{\"content\":\"[a\\\\u0]{0,8}\"\\}\\}\\]\\}\n\n".prop_map(String::into_bytes),
    ], 0..6), flags: u8) {
        let _ = peek(&pieces.concat());
        let _ = whole(settings(flags), &pieces.concat());
        let _ = error::from_answer(500, "", Headers::default(), &pieces.concat());
        let out = run(flags, &pieces);
        let checked = grammar::complete(&out);
        prop_assert!(checked.is_ok(), "{:?}\n{}", checked, String::from_utf8_lossy(&out));
    }
}
