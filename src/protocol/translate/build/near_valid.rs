//! Requests that are almost right, made by chance: none may cost more than a refusal that names its place.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::protocol::anthropic::request::Request;
use crate::protocol::translate::model::{Target, resolve};
use crate::protocol::translate::{convert_messages, convert_tools, tokens};

const MODELS: [&str; 6] = [
    "anthropic/claude-sonnet-4.5",
    "anthropic/claude-opus-5.5",
    "openai/gpt-5",
    "google/gemini-3-pro",
    "deepseek/deepseek-v3.2",
    "mistralai/devstral-medium",
];

/// Runs a body through everything; a body that is taken must give JSON with messages that hold together.
fn survives(body: &str) -> Result<(), TestCaseError> {
    let request = match Request::parse(body) {
        Ok(request) => request,
        Err(refused) => {
            prop_assert!(!refused.path.is_empty() && !refused.message.is_empty());
            return Ok(());
        }
    };
    let counted = tokens::countable(&request);
    prop_assert!(tokens::estimate(&request) >= counted.fixed);
    prop_assert!(
        request
            .session_id()
            .is_none_or(|session| !session.is_empty())
    );
    prop_assert!(request.end_user().is_none_or(|user| user.len() == 32));
    serde_json::to_string(&request).unwrap();
    let (messages, tools) = match (convert_messages(&request), convert_tools(&request)) {
        (Ok(messages), Ok(tools)) => (messages, tools),
        (Err(refused), _) | (_, Err(refused)) => {
            prop_assert!(!refused.path.is_empty());
            return Ok(());
        }
    };
    for model in MODELS {
        let target = Target::new(model, None);
        let built =
            build_request(&request, &messages, &tools, &target, &Routing::default()).unwrap();
        let sent: Value = serde_json::from_slice(&built.body).unwrap();
        prop_assert!(holds_together(&sent), "{sent}");
    }
    Ok(())
}

/// Each call is answered at once, in order, exactly once; nothing is empty; breakpoints are four at most.
fn holds_together(sent: &Value) -> bool {
    let mut open: Vec<&Value> = Vec::new();
    for message in sent["messages"].as_array().unwrap() {
        match message["role"].as_str().unwrap() {
            "tool" if open.first() == Some(&&message["tool_call_id"]) => {
                open.remove(0);
            }
            "tool" => return false,
            _ if !open.is_empty() => return false,
            _ => {}
        }
        let calls = message["tool_calls"].as_array();
        open = match calls {
            Some(calls) => calls.iter().map(|call| &call["id"]).collect(),
            None => open,
        };
        let empty = match &message["content"] {
            Value::String(text) => text.is_empty(),
            Value::Array(parts) => parts.is_empty() || parts.iter().any(|part| part["text"] == ""),
            _ => calls.is_none(),
        };
        if empty {
            return false;
        }
    }
    open.is_empty() && sent.to_string().matches("\"cache_control\":{").count() <= 4
}

fn text() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!("")),
        Just(json!(" \n")),
        Just(json!("x-anthropic-billing-header: a")),
        Just(json!("<system-reminder>a")),
        "[a-z\"\\\\\n{}é😀]{1,12}".prop_map(Into::into),
        Just(json!(null)),
    ]
}

fn id() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!("a"),
        json!("b"),
        json!(""),
        json!("dgw_x0_ZnVuY3Rpb25zLkJhc2g6MA"),
        json!("dgw_u1_a"),
        json!(7),
    ])
}

fn cache() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => Just(json!(null)),
        4 => Just(json!({"type":"ephemeral"})),
        1 => Just(json!({"type":"ephemeral","ttl":"1h"})),
        1 => Just(json!({"type":"other"})),
    ]
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (text(), cache()).prop_map(|(text, cache)| json!({"type":"text","text":text,"cache_control":cache})),
        1 => (text(), id()).prop_map(|(text, id)| json!({"type":"thinking","thinking":text,"signature":id})),
        1 => text().prop_map(|text| json!({"type":"thinking","thinking":text,"signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3h"})),
        1 => text().prop_map(|text| json!({"type":"redacted_thinking","data":text})),
        4 => (id(), cache()).prop_map(|(id, cache)| json!({"type":"tool_use","id":id,"name":"T.t","input":{"a":[1]},"cache_control":cache})),
        2 => cache().prop_map(|cache| json!({"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA"},"cache_control":cache})),
        1 => text().prop_map(|text| json!({"type":"document","title":text,"source":{"type":"text","media_type":"text/plain","data":text}})),
        1 => Just(json!({"type":"document","source":{"type":"url","url":"https://a"},"citations":{"enabled":true}})),
        1 => (text(), cache()).prop_map(|(text, cache)| json!({"type":"web_search_tool_result","tool_use_id":"s","content":[{"title":text,"url":"u"}],"cache_control":cache})),
        1 => Just(json!({"type":"tool_reference","tool_name":"T t"})),
        1 => prop::sample::select(vec!["tool_addition", "tool_removal"]).prop_flat_map(|kind| changed_tool().prop_map(move |tool| json!({"type":kind,"tool":tool}))),
        1 => text().prop_map(|text| json!({"type":text})),
    ]
}

fn changed_tool() -> impl Strategy<Value = Value> {
    prop_oneof![
        id().prop_map(|name| json!({"type":"tool_reference","name":name})),
        id().prop_map(|name| json!({"type":"tool_definition","definition":{"name":name,"input_schema":{"anyOf":[name]}}})),
        Just(json!({"type":"mcp_toolset_reference"})),
        Just(json!(null)),
    ]
}

/// An edit of the conversation that reaches into it.
fn edit() -> impl Strategy<Value = Value> {
    let kind = prop::sample::select(vec![
        "clear_tool_uses_20250919",
        "clear_thinking_20251015",
        "compact_20260112",
    ]);
    (kind, 0..3_u64, any::<bool>()).prop_map(|(kind, kept, inputs)| {
        let counted = if kind == "clear_thinking_20251015" { "thinking_turns" } else { "tool_uses" };
        json!({"type":kind,"keep":{"type":counted,"value":kept},"trigger":{"type":"tool_uses","value":0},"clear_tool_inputs":inputs})
    })
}

fn block() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => leaf(),
        2 => (id(), prop::collection::vec(leaf(), 0..3), any::<bool>(), cache())
            .prop_map(|(id, content, failed, cache)| json!({"type":"tool_result","tool_use_id":id,"content":content,"is_error":failed,"cache_control":cache})),
    ]
}

fn message() -> impl Strategy<Value = Value> {
    let content = prop_oneof![
        1 => text(),
        4 => prop::collection::vec(block(), 0..4).prop_map(Into::into),
    ];
    let role = prop::sample::select(vec![
        "user",
        "assistant",
        "system",
        "user",
        "assistant",
        "tool",
    ]);
    (role, content).prop_map(|(role, content)| json!({"role":role,"content":content}))
}

/// A message whose blocks its role may have, so that most bodies come through.
fn good_message() -> impl Strategy<Value = Value> {
    message().prop_map(|mut message| {
        let role = message["role"].as_str().unwrap_or_default().to_owned();
        if role == "tool" {
            message["role"] = json!("user");
        }
        if let Some(blocks) = message["content"].as_array_mut() {
            blocks.retain(|block| {
                let kind = block["type"].as_str().unwrap_or_default();
                let there = block["text"].is_string() || kind != "text";
                there && match kind {
                    "text" => true,
                    "thinking" => role == "assistant" && block["thinking"].is_string() && block["signature"].is_string(),
                    "redacted_thinking" => role == "assistant" && block["data"].is_string(),
                    "tool_use" => role == "assistant" && block["id"].is_string(),
                    "tool_result" => role != "assistant" && role != "system" && block["tool_use_id"].is_string(),
                    "image" | "web_search_tool_result" => role != "system",
                    "tool_addition" | "tool_removal" => role == "system" && block["tool"]["name"].is_string(),
                    _ => false,
                }
            });
            for block in blocks {
                if block["cache_control"]["type"] == "other" {
                    block["cache_control"] = json!(null);
                }
                if block["type"] == "tool_result" {
                    block["content"] = json!([{"type":"text","text":"r"},{"type":"image","source":{"type":"url","url":"https://u"}}]);
                }
            }
        } else if !message["content"].is_string() {
            message["content"] = json!("");
        }
        message
    })
}

fn field() -> impl Strategy<Value = (String, Value)> {
    let odd = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        Just(json!(-1)),
        Just(json!(1e300)),
        Just(json!("x")),
        Just(json!([])),
        Just(json!({})),
        Just(json!([{"type":"text","text":"s"}])),
        Just(json!({"type":"auto"})),
        Just(json!({"type":"any"})),
        Just(json!({"type":"tool","name":"T.t"})),
        Just(json!({"type":"enabled","budget_tokens":2000})),
        Just(json!({"type":"adaptive"})),
        Just(json!({"type":"disabled"})),
        Just(json!({"effort":"max","format":{"type":"json_schema","schema":{"type":"object"}}})),
        Just(json!(["a", ""])),
        Just(
            json!([{"name":"T.t","input_schema":{"allOf":[{"$ref":"#"}]}},{"type":"web_search_20250305","name":"web_search"}])
        ),
        Just(json!({"user_id":"{\"session_id\":\"s\"}"})),
        Just(json!(0.5)),
    ];
    let name = prop::sample::select(vec![
        "system",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "output_format",
        "stop_sequences",
        "temperature",
        "top_p",
        "top_k",
        "metadata",
        "stream",
        "service_tier",
        "speed",
        "cache_control",
        "fallbacks",
        "container",
        "new",
    ]);
    (name.prop_map(ToOwned::to_owned), odd)
}

fn request(
    messages: impl Strategy<Value = Vec<Value>>,
    fields: std::ops::Range<usize>,
) -> impl Strategy<Value = Value> {
    (messages, prop::collection::vec(field(), fields)).prop_map(|(messages, fields)| {
        let mut body: Map<String, Value> = fields.into_iter().collect();
        body.insert("model".to_owned(), json!("m"));
        body.insert("max_tokens".to_owned(), json!(9000));
        body.insert("messages".to_owned(), messages.into());
        Value::Object(body)
    })
}

proptest! {
    #[test]
    fn conversations_of_all_shapes_come_out_whole(body in request(prop::collection::vec(good_message(), 1..9), 0..1)) {
        survives(&body.to_string())?;
    }

    #[test]
    fn edits_leave_a_conversation_whole(mut body in request(prop::collection::vec(good_message(), 1..9), 0..1), edits in prop::collection::vec(edit(), 1..3)) {
        body["context_management"] = json!({"edits":edits});
        survives(&body.to_string())?;
    }

    #[test]
    fn near_misses_are_refused_with_a_path(body in request(prop::collection::vec(message(), 0..4), 0..5)) {
        survives(&body.to_string())?;
    }

    #[test]
    fn damaged_bodies_are_refused_with_a_path(body in request(prop::collection::vec(good_message(), 1..4), 0..2), at in any::<prop::sample::Index>(), new in ".") {
        let mut text = body.to_string();
        let spots: Vec<usize> = text.char_indices().map(|(spot, _)| spot).collect();
        let spot = *at.get(&spots);
        text.remove(spot);
        text.insert_str(spot, &new);
        survives(&text)?;
    }

    #[test]
    fn cut_bodies_are_refused_with_a_path(body in request(prop::collection::vec(good_message(), 1..4), 0..2), at in any::<prop::sample::Index>()) {
        let text = body.to_string();
        let spots: Vec<usize> = text.char_indices().map(|(spot, _)| spot).collect();
        let cut = text.get(..*at.get(&spots)).unwrap();
        prop_assert!(Request::parse(cut).is_err());
    }

    #[test]
    fn any_text_is_survived(text in "\\PC{0,60}") {
        survives(&text)?;
        Request::parse_for_count(&text).unwrap_err();
    }

    #[test]
    fn any_name_is_resolved_or_refused(name in "\\PC{0,60}", alias in "\\PC{0,10}") {
        let aliases = BTreeMap::from([(alias, "a/b".to_owned())]);
        if let Err(refused) = resolve(&name, &aliases) {
            prop_assert_eq!(refused.path, "model");
        }
    }
}

#[test]
fn most_conversations_made_by_chance_are_taken() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = request(prop::collection::vec(good_message(), 1..9), 0..1);
    let taken = (0..100)
        .filter(|_| {
            let body = strategy
                .new_tree(&mut runner)
                .unwrap()
                .current()
                .to_string();
            Request::parse(&body).is_ok()
        })
        .count();
    assert!(taken > 80, "{taken} of 100");
}
