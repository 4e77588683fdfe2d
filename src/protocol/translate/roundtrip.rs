//! Reasoning through a client and back: the stream of each family, the history that a client makes of it, and the
//! request of the next turns, compared with what the upstream first wrote.

use std::fmt::Write;

use serde_json::{Value, json};

use super::build::tests::{body, sent, sent_to};
use super::model::Target;
use super::reply::{ReplySettings, whole};
use crate::protocol::anthropic::request::Request;

/// A family's turns: the pieces of `reasoning_details` (or of strings) in each, around its text and its call.
struct Family {
    model: &'static str,
    /// Of each turn, its deltas.
    turns: Vec<Vec<Value>>,
    /// Of each turn, the field that must come back and what must stand in it.
    original: Vec<(&'static str, Value)>,
    /// A model that cannot read any of it.
    stranger: &'static str,
}

fn details(pieces: &Value) -> Value {
    json!({"role": "assistant", "content": "", "reasoning_details": pieces})
}

fn said(text: &str) -> Value {
    json!({"role": "assistant", "content": text})
}

fn calls(id: &str) -> Value {
    json!({"content": null, "tool_calls": [
        {"index": 0, "id": id, "type": "function", "function": {"name": "Read", "arguments": "{\"p\":"}}]})
}

fn rest_of_call() -> Value {
    json!({"content": null, "tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]})
}

/// Frames deltas as OpenRouter does, the finish twice.
fn framed(model: &str, deltas: &[Value]) -> String {
    let mut stream = ": OPENROUTER PROCESSING\n\n".to_owned();
    let mut chunk = |choice: Value, usage: Value| {
        let mut chunk = json!({"id": "gen-1", "model": model, "choices": [choice]});
        if !usage.is_null() {
            chunk["usage"] = usage;
        }
        write!(stream, "data: {chunk}\n\n").unwrap();
    };
    for delta in deltas {
        chunk(
            json!({"index": 0, "delta": delta, "finish_reason": null}),
            Value::Null,
        );
    }
    let finish = json!({"index": 0, "delta": {"content": ""}, "finish_reason": "tool_calls"});
    chunk(finish.clone(), Value::Null);
    chunk(finish, json!({"prompt_tokens": 9, "completion_tokens": 9}));
    stream + "data: [DONE]\n\n"
}

fn settings(family: &Family, history: &[Value], display_omitted: bool) -> ReplySettings {
    let text = body(&json!({"messages": history})).to_string();
    ReplySettings {
        message_id: format!("msg_{:08}", history.len()),
        model: "claude-opus-5".to_owned(),
        target_model: family.model.to_owned(),
        thinking_asked: true,
        display_omitted,
        used_tool_ids: Request::parse(&text).unwrap().tool_ids(),
        ..ReplySettings::default()
    }
}

/// How an answer reaches the client.
#[derive(Clone, Copy, Debug)]
enum Delivery {
    Streamed,
    Omitted,
    /// One completion, with the entries whole.
    Whole,
}

fn answer(family: &Family, turn: usize, history: &[Value], delivery: Delivery) -> Value {
    let omitted = matches!(delivery, Delivery::Omitted);
    let settings = settings(family, history, omitted);
    let stream = framed(family.model, &family.turns[turn]);
    let body = match delivery {
        Delivery::Streamed | Delivery::Omitted => stream,
        Delivery::Whole => {
            let (field, original) = &family.original[turn];
            let opening = family.turns[turn]
                .iter()
                .find(|delta| delta["tool_calls"][0]["id"].is_string());
            let mut calls = opening.unwrap()["tool_calls"].clone();
            calls[0]["function"]["arguments"] = json!("{\"p\":1}");
            let mut message = json!({"role": "assistant", "content": "step", "tool_calls": calls});
            message[*field] = original.clone();
            json!({"id": "gen-1", "model": family.model, "usage": {"prompt_tokens": 9, "completion_tokens": 9},
                "choices": [{"message": message, "finish_reason": "tool_calls"}]})
            .to_string()
        }
    };
    let (message, summary) = whole(settings, body.as_bytes());
    let message = message.unwrap_or_else(|error| panic!("{error:?} {summary:?}"));
    serde_json::from_slice(&message).unwrap()
}

/// The history of all turns, as the client keeps it.
fn history(family: &Family, delivery: Delivery) -> Vec<Value> {
    let mut history = vec![json!({"role": "user", "content": "go"})];
    for turn in 0..family.turns.len() {
        let message = answer(family, turn, &history, delivery);
        let call = message["content"].as_array().unwrap().last().unwrap();
        assert_eq!(call["type"], "tool_use", "{message}");
        let result = json!({"type": "tool_result", "tool_use_id": call["id"], "content": "ok"});
        history.push(json!({"role": "assistant", "content": message["content"]}));
        history.push(json!({"role": "user", "content": [result]}));
    }
    history
}

fn comes_back(family: &Family) {
    for delivery in [Delivery::Streamed, Delivery::Omitted, Delivery::Whole] {
        let history = history(family, delivery);
        let request = body(&json!({"messages": history}));
        let upstream = sent(&request, family.model);
        let turns: Vec<&Value> = upstream["messages"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|message| message["role"] == "assistant")
            .collect();
        assert_eq!(turns.len(), family.original.len());
        for (turn, (field, original)) in turns.iter().zip(&family.original) {
            assert_eq!(&turn[*field], original, "{delivery:?} {}", family.model);
            let other = if *field == "reasoning" {
                "reasoning_details"
            } else {
                "reasoning"
            };
            assert!(turn.get(other).is_none(), "{turn}");
        }
        let once: Vec<&str> = family
            .original
            .iter()
            .flat_map(|(_, value)| opaque(value))
            .collect();
        let text = upstream.to_string();
        for opaque in once {
            assert_eq!(text.matches(opaque).count(), 1, "{delivery:?} {opaque}");
        }
        is_lost_on(family, &request, delivery);
    }
}

/// Another vendor's model gets none of it, and the run says so.
fn is_lost_on(family: &Family, request: &Value, delivery: Delivery) {
    let (upstream, notes) = sent_to(request, &Target::new(family.stranger, None));
    let text = upstream.to_string();
    assert!(!text.contains("reasoning"), "{delivery:?} {text}");
    for opaque in family.original.iter().flat_map(|(_, value)| opaque(value)) {
        assert!(!text.contains(opaque), "{delivery:?} {opaque}");
    }
    let notes: Vec<&str> = notes.iter().map(super::Note::as_str).collect();
    assert!(
        notes.concat().contains("earlier thought(s) were left out"),
        "{notes:?}"
    );
}

/// Signatures and encrypted texts.
fn opaque(value: &Value) -> Vec<&str> {
    let entries = value.as_array().into_iter().flatten();
    let fields = entries.flat_map(|entry| [entry["signature"].as_str(), entry["data"].as_str()]);
    fields.flatten().collect()
}

#[test]
fn claudes_signed_thoughts_come_back_byte_for_byte() {
    const A: &str = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk=";
    const B: &str = "ErUBCkYIBRgCIkDx0Y9mFz/+LMNnq3Ya0b5zAAAA";
    let piece = |mut extra: Value| {
        extra["type"] = json!("reasoning.text");
        extra["format"] = json!("anthropic-claude-v1");
        extra["index"] = json!(0);
        details(&json!([extra]))
    };
    let entry = |text: &str, signature: &str| json!([{"type": "reasoning.text", "text": text, "signature": signature, "format": "anthropic-claude-v1", "index": 0}]);
    comes_back(&Family {
        model: "anthropic/claude-sonnet-4.5",
        stranger: "openai/gpt-5",
        turns: vec![
            vec![
                piece(json!({"text": "I \"look\"\n"})),
                piece(json!({"text": "— at é 😀"})),
                piece(json!({"signature": A})),
                said("step 0"),
                calls("toolu_bdrk_0"),
                rest_of_call(),
            ],
            vec![
                piece(json!({"text": "Then."})),
                piece(json!({"signature": B})),
                calls("toolu_bdrk_1"),
                rest_of_call(),
            ],
        ],
        original: vec![
            ("reasoning_details", entry("I \"look\"\n— at é 😀", A)),
            ("reasoning_details", entry("Then.", B)),
        ],
    });
}

#[test]
fn claudes_thoughts_of_one_turn_stay_apart_and_encrypted_ones_among_them() {
    let entries = json!([
        {"type": "reasoning.text", "text": "one", "signature": "EqQBCgIYAhIM1gbcDa9GJw", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "EmwKAhgBEgy3va3pzix", "format": "anthropic-claude-v1", "index": 1},
        {"type": "reasoning.text", "text": "two", "signature": "ErUBCkYIBRgCIkDx0Y9mFz", "format": "anthropic-claude-v1", "index": 2},
    ]);
    let pieces: Vec<Value> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| details(&json!([entry])))
        .collect();
    let mut turn = pieces;
    turn.extend([said("step 0"), calls("toolu_0"), rest_of_call()]);
    comes_back(&Family {
        model: "anthropic/claude-sonnet-4.5",
        stranger: "google/gemini-3-pro",
        turns: vec![turn],
        original: vec![("reasoning_details", entries)],
    });
}

#[test]
fn openais_summaries_and_encrypted_items_come_back_byte_for_byte() {
    let summary = |text: &str| json!({"type": "reasoning.summary", "summary": text, "format": "openai-responses-v1", "index": 0});
    let encrypted = |id: &str, data: &str| json!({"type": "reasoning.encrypted", "data": data, "id": id, "format": "openai-responses-v1", "index": 0, "status": null, "phase": {"n": 1}});
    let turn = |n: usize, parts: &[&str], data: &str| {
        let mut deltas: Vec<Value> = parts
            .iter()
            .map(|part| details(&json!([summary(part)])))
            .collect();
        deltas.extend([calls(&format!("call_{n}")), rest_of_call()]);
        // The encrypted item comes behind the call.
        deltas.push(details(&json!([encrypted(&format!("rs_{n}"), data)])));
        deltas
    };
    let original = |n: usize, text: &str, data: &str| {
        let entries = json!([summary(text), encrypted(&format!("rs_{n}"), data)]);
        ("reasoning_details", entries)
    };
    comes_back(&Family {
        model: "openai/gpt-5",
        stranger: "anthropic/claude-sonnet-4.5",
        turns: vec![
            turn(0, &["**Looking** ", "at \\ it"], "gAAAAABo+/=x"),
            turn(1, &["So"], "gAAAAABp-_y"),
        ],
        original: vec![
            original(0, "**Looking** at \\ it", "gAAAAABo+/=x"),
            original(1, "So", "gAAAAABp-_y"),
        ],
    });
}

#[test]
fn geminis_thought_signatures_come_back_with_the_ids_of_their_calls() {
    let encrypted = |id: &str, data: &str| json!({"type": "reasoning.encrypted", "data": data, "id": id, "format": "google-gemini-v1", "index": 0});
    let turn = |id: &str, data: &str| {
        vec![
            details(&json!([encrypted(id, data)])),
            calls(id),
            rest_of_call(),
        ]
    };
    comes_back(&Family {
        model: "google/gemini-3-pro",
        stranger: "x-ai/grok-5",
        turns: vec![
            turn("tool_Read_x1", "CiQB4/H/Xg=="),
            turn("tool_Read_x2", "CiQB4/H/Yh=="),
        ],
        original: vec![
            (
                "reasoning_details",
                json!([encrypted("tool_Read_x1", "CiQB4/H/Xg==")]),
            ),
            (
                "reasoning_details",
                json!([encrypted("tool_Read_x2", "CiQB4/H/Yh==")]),
            ),
        ],
    });
}

#[test]
fn deepseeks_thoughts_come_back_as_details_where_they_came_as_details() {
    let entry = |text: &str| json!({"type": "reasoning.text", "text": text, "format": "unknown", "index": 0, "id": null});
    let turn = |parts: [&str; 2], id: &str| {
        let both = |text: &str| json!({"content": "", "reasoning": text, "reasoning_details": [entry(text)]});
        vec![
            both(parts[0]),
            both(parts[1]),
            said("step"),
            calls(id),
            rest_of_call(),
        ]
    };
    comes_back(&Family {
        model: "deepseek/deepseek-v3.2",
        stranger: "openai/gpt-5",
        turns: vec![
            turn(["We <b>", "must\u{2028}"], "call_0"),
            turn(["Then", " that"], "call_1"),
        ],
        original: vec![
            ("reasoning_details", json!([entry("We <b>must\u{2028}")])),
            ("reasoning_details", json!([entry("Then that")])),
        ],
    });
}

#[test]
fn kimis_thoughts_come_back_as_the_string_that_they_were() {
    for field in ["reasoning_content", "reasoning"] {
        let thought = |text: &str| {
            let mut delta = json!({"content": ""});
            delta[field] = json!(text);
            delta
        };
        comes_back(&Family {
            model: "moonshotai/kimi-k2-thinking",
            stranger: "openai/gpt-5",
            turns: vec![
                vec![
                    thought("先看 "),
                    thought("\"它\"\t"),
                    said("step 0"),
                    calls("functions.Read:0"),
                    rest_of_call(),
                ],
                vec![thought("ok"), calls("functions.Read:1"), rest_of_call()],
            ],
            original: vec![
                ("reasoning", json!("先看 \"它\"\t")),
                ("reasoning", json!("ok")),
            ],
        });
    }
}

#[test]
fn unsigned_thoughts_do_not_come_back_to_those_who_sign() {
    for (model, format) in [
        ("anthropic/claude-sonnet-4.5", "anthropic-claude-v1"),
        ("google/gemini-3-pro", "google-gemini-v1"),
    ] {
        let entry = json!([{"type": "reasoning.text", "text": "hm", "format": format, "index": 0}]);
        for thought in [
            details(&entry),
            json!({"reasoning": "hm"}),
            json!({"reasoning": "hm", "reasoning_details": entry}),
        ] {
            let family = Family {
                model,
                stranger: "openai/gpt-5",
                turns: vec![vec![thought, said("step"), calls("call_0"), rest_of_call()]],
                original: vec![],
            };
            let request = body(&json!({"messages": history(&family, Delivery::Streamed)}));
            is_lost_on(&family, &request, Delivery::Streamed);
            let (upstream, notes) = sent_to(&request, &Target::new(model, None));
            let text = upstream.to_string();
            assert!(!text.contains("hm"), "{text}");
            let notes: Vec<&str> = notes.iter().map(super::Note::as_str).collect();
            assert!(
                notes.concat().contains("earlier thought(s) were left out"),
                "{notes:?}"
            );
        }
    }
}
