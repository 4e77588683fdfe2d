//! A client's bytes: refused with the path of the fault, or turned into a request that every family of models takes.

use std::collections::HashSet;

use dagway::protocol::anthropic::request::{InvalidRequest, Request};
use dagway::protocol::json_text::whole_characters;
use dagway::protocol::native::{own_blocks, spliced, with_member};
use dagway::protocol::openrouter::catalogue::Catalogue;
use dagway::protocol::translate::model::Target as Model;
use dagway::protocol::translate::{
    Messages, Routing, Tools, build_request, convert_messages, convert_tools, tokens,
};
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::driver::{Target, fuzz};
use crate::json;

/// One model of each family, two generations of Claude.
const MODELS: [&str; 9] = [
    "anthropic/claude-opus-5.5",
    "anthropic/claude-sonnet-4.5",
    "openai/gpt-5",
    "google/gemini-3-pro",
    "deepseek/deepseek-v4",
    "moonshotai/kimi-k3",
    "qwen/qwen3.5-coder",
    "x-ai/grok-5",
    "tiny/plain-8b",
];

/// What the catalogue says of two of them; the others are unknown to it.
const CATALOGUE: &str = r#"{"data":[
    {"id":"tiny/plain-8b","context_length":8192,"architecture":{"input_modalities":["text"],"output_modalities":["text"]},
     "top_provider":{"max_completion_tokens":2048},"supported_parameters":["max_tokens","stop","temperature"],
     "pricing":{"prompt":"0.00000005","completion":"0.00000005"}},
    {"id":"anthropic/claude-sonnet-4.5","context_length":200000,"architecture":{"input_modalities":["text","image","file"]},
     "top_provider":{"max_completion_tokens":64000},"pricing":{"prompt":"0.000003","completion":"0.000015"},
     "supported_parameters":["max_tokens","stop","temperature","tools","tool_choice","response_format","structured_outputs","reasoning"],
     "reasoning":{"mandatory":false,"default_enabled":false,"supported_efforts":["high","low"],"supports_max_tokens":true}}
]}"#;

#[test]
fn a_request_is_refused_with_a_path_or_translated_for_every_family() {
    fuzz(&Target {
        name: "request",
        judge,
        mutate: json::mutate,
    });
}

fn judge(input: &[u8]) -> Result<String, String> {
    // Bytes that are no text are refused before anybody parses them.
    let text = String::from_utf8_lossy(input);
    let text = whole_characters(&text);
    passes(&text)?;
    if let Ok(counted) = Request::parse_for_count(&text) {
        let fixed = tokens::countable(&counted).fixed;
        if tokens::estimate(&counted) < fixed {
            return Err("the estimate is below what is fixed".to_owned());
        }
    }
    let request = match Request::parse(&text) {
        Ok(request) => request,
        Err(refused) => return refusal(&refused),
    };
    if request
        .session_id()
        .is_some_and(|session| session.is_empty())
    {
        return Err("a session without a name".to_owned());
    }
    if request.end_user().is_some_and(|user| user.len() != 32) {
        return Err("an end user with another name than a hash".to_owned());
    }
    shown(&request)?;
    let messages = match convert_messages(&request) {
        Ok(messages) => messages,
        Err(refused) => return refusal(&refused),
    };
    let tools = match convert_tools(&request) {
        Ok(tools) => tools,
        Err(refused) => return refusal(&refused),
    };
    shown(&messages)?;
    shown(&tools)?;
    let catalogue = Catalogue::parse(CATALOGUE.as_bytes()).map_err(|error| error.to_string())?;
    let mut treatment = String::new();
    for id in MODELS {
        let model = Model::new(id, catalogue.get(id));
        treatment += &sent_to(&model, &request, &messages, &tools)
            .map_err(|fault| format!("for {id}: {fault}"))?;
    }
    Ok(treatment)
}

/// On the native lane only the model's name changes.
fn passes(text: &str) -> Result<(), String> {
    let request = match Request::parse_to_pass(text) {
        Ok(request) => request,
        Err(refused) => return refusal(&refused).map(drop),
    };
    let dagways = own_blocks(text);
    let dagways = dagways.cuts.iter();
    let dagways = dagways.map(|(place, instead)| (place, instead.as_ref()));
    let own = request.anthropics_own.iter();
    let own = own.map(|own| (&own.place, own.instead));
    let wish = (request.own_provider().is_none())
        .then(|| with_member(text, "provider", "{\"zdr\":true}", request.provider));
    let wish = wish.iter().map(|(place, json)| (place, json.as_str()));
    let without = spliced(text, "vendor/other", own.chain(dagways).chain(wish));
    if let Some(without) = without
        && serde_json::from_slice::<IgnoredAny>(&without).is_err()
    {
        let without = String::from_utf8_lossy(&without).into_owned();
        return Err(format!("what was passed is no JSON: {without}"));
    }
    let Some(body) = spliced(text, "vendor/other", []) else {
        return Ok(());
    };
    let (Ok(Some(before)), Ok(Some(after))) = (read(text.as_bytes()), read(&body)) else {
        return Ok(());
    };
    let mut expected = before;
    expected["model"] = "vendor/other".into();
    if after == expected {
        Ok(())
    } else {
        Err(format!("{after} was passed for {expected}"))
    }
}

/// Errors name a path; what is told of them is the same for the same kind of fault.
fn refusal(refused: &InvalidRequest) -> Result<String, String> {
    if refused.path.is_empty() || refused.message.is_empty() {
        return Err(format!("a refusal without path or words: {refused:?}"));
    }
    let words = format!("{}: {}", refused.path, refused.message);
    let mut kind: String = words
        .chars()
        .filter(|letter| !letter.is_ascii_digit())
        .collect();
    kind.truncate(
        kind.char_indices()
            .nth(120)
            .map_or(kind.len(), |(place, _)| place),
    );
    Ok(kind)
}

/// What the dashboard shows is JSON.
fn shown(thing: &impl serde::Serialize) -> Result<(), String> {
    let text = serde_json::to_vec(thing).map_err(|error| format!("it cannot be shown: {error}"))?;
    read(&text)
        .map(drop)
        .map_err(|error| format!("what is shown is no JSON: {error}"))
}

/// Reads JSON; nothing is read of a text whose only fault is that this reader has no such number.
pub(crate) fn read(text: &[u8]) -> serde_json::Result<Option<Value>> {
    match serde_json::from_slice(text) {
        Err(error) if error.to_string().starts_with("number out of range") => {
            serde_json::from_slice::<IgnoredAny>(text).map(|_| None)
        }
        read => read.map(Some),
    }
}

fn sent_to(
    model: &Model,
    request: &Request<'_>,
    messages: &Messages<'_>,
    tools: &Tools<'_>,
) -> Result<String, String> {
    let built = match build_request(request, messages, tools, model, &Routing::default()) {
        Ok(built) => built,
        Err(refused) => return refusal(&refused),
    };
    let body = read(&built.body)
        .map_err(|error| format!("{error} in {}", String::from_utf8_lossy(&built.body)))?;
    let Some(body) = body else {
        return Ok("huge".to_owned());
    };
    holds_together(&body).map_err(|fault| format!("{fault} in {body}"))?;
    let keys: Vec<&String> = body
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key)
        .collect();
    let notes: Vec<String> = built.notes.iter().map(ToString::to_string).collect();
    let notes: String = notes
        .concat()
        .chars()
        .filter(|letter| !letter.is_ascii_digit())
        .collect();
    Ok(format!("{keys:?}{notes}"))
}

/// What every host demands of a conversation.
fn holds_together(body: &Value) -> Result<(), String> {
    if body["model"].as_str().is_none_or(str::is_empty) {
        return Err("no model".to_owned());
    }
    let messages = body["messages"].as_array().ok_or("no messages")?;
    let mut open: Vec<&str> = Vec::new();
    let mut ids = HashSet::new();
    for (place, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().ok_or("a message without a role")?;
        let answered = message["tool_call_id"].as_str();
        match (role, open.first(), answered) {
            ("tool", Some(call), Some(answered)) if *call == answered => drop(open.remove(0)),
            ("tool", _, _) => return Err(format!("messages.{place} answers no open call")),
            (_, Some(call), _) => {
                return Err(format!(
                    "messages.{place} comes before the result of {call}"
                ));
            }
            ("system" | "user" | "assistant", None, _) => {}
            _ => return Err(format!("messages.{place} has the role {role}")),
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            open.push(
                checked_call(call, &mut ids)
                    .map_err(|fault| format!("messages.{place}: {fault}"))?,
            );
        }
        if is_empty(message) {
            return Err(format!("messages.{place} is empty"));
        }
    }
    if let Some(call) = open.first() {
        return Err(format!("{call} has no result"));
    }
    match breakpoints(body) {
        0..=4 => Ok(()),
        many => Err(format!("{many} cache breakpoints")),
    }
}

fn checked_call<'a>(call: &'a Value, ids: &mut HashSet<&'a str>) -> Result<&'a str, String> {
    let id = call["id"].as_str().ok_or("a call without an id")?;
    if id.is_empty() || !ids.insert(id) {
        return Err(format!("the id {id:?} is empty or taken"));
    }
    let arguments = call["function"]["arguments"]
        .as_str()
        .ok_or("a call without arguments")?;
    let arguments =
        read(arguments.as_bytes()).map_err(|error| format!("{error} in the arguments of {id}"))?;
    if arguments.is_some_and(|arguments| !arguments.is_object()) {
        return Err(format!("the arguments of {id} are no object"));
    }
    Ok(id)
}

fn is_empty(message: &Value) -> bool {
    match &message["content"] {
        Value::String(text) => text.is_empty() && message["role"] != "tool",
        Value::Array(parts) => parts.is_empty() || parts.iter().any(|part| part["text"] == ""),
        _ => {
            message["tool_calls"].as_array().is_none_or(Vec::is_empty)
                && message["reasoning_details"].is_null()
        }
    }
}

/// Counts breakpoints where they mean something, not in schemas or arguments.
fn breakpoints(body: &Value) -> usize {
    let messages = body["messages"].as_array().into_iter().flatten();
    let parts = messages
        .filter_map(|message| message["content"].as_array())
        .flatten();
    let tools = body["tools"].as_array().into_iter().flatten();
    parts
        .chain(tools)
        .filter(|thing| thing.get("cache_control").is_some())
        .count()
}
