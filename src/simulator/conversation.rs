//! A chat-completions request, read as what a model needs to know of it.
//!
//! It reads leniently; whether the request is right is for `strict` to say.

use serde_json::Value;

use super::catalogue::{self, Family, Model, Reasoning};
use super::refusal::Refusal;

/// A request to a model of the catalogue.
pub(super) struct Conversation<'a> {
    pub(super) body: &'a Value,
    pub(super) model: &'static Model,
    pub(super) messages: &'a [Value],
}

impl<'a> Conversation<'a> {
    /// Reads a request; it fails without a known model or without messages.
    pub(super) fn read(body: &'a Value) -> Result<Self, Refusal> {
        if !body.is_object() {
            return Err(Refusal::platform(400, "the body must be a JSON object"));
        }
        let messages = match body.get("messages").and_then(Value::as_array) {
            Some(messages) if !messages.is_empty() => messages,
            _ => {
                return Err(Refusal::platform(
                    400,
                    "Input required: specify \"prompt\" or \"messages\"",
                ));
            }
        };
        Ok(Self {
            body,
            model: asked_model(body)?,
            messages,
        })
    }

    pub(super) fn streams(&self) -> bool {
        self.body.get("stream").and_then(Value::as_bool) == Some(true)
    }

    /// The limit on output tokens that the request sets.
    pub(super) fn max_tokens(&self) -> Option<u64> {
        ["max_tokens", "max_completion_tokens"]
            .iter()
            .find_map(|name| self.body.get(name).and_then(Value::as_u64))
    }

    /// The function tools that are offered: name and parameters.
    pub(super) fn functions(&self) -> Vec<(&'a str, &'a Value)> {
        self.tools()
            .iter()
            .filter_map(|tool| {
                let function = tool.get("function")?;
                let parameters = function.get("parameters").unwrap_or(&Value::Null);
                Some((function.get("name")?.as_str()?, parameters))
            })
            .collect()
    }

    /// Whether a tool of that name or type is offered.
    pub(super) fn offers(&self, name: &str) -> bool {
        self.functions().iter().any(|(offered, _)| *offered == name)
            || self
                .tools()
                .iter()
                .any(|tool| tool.get("type").and_then(Value::as_str) == Some(name))
    }

    pub(super) fn tools(&self) -> &'a [Value] {
        array(self.body.get("tools"))
    }

    /// The function that must be called: its name, or `""` for any.
    pub(super) fn forced_tool(&self) -> Option<&'a str> {
        match self.body.get("tool_choice")? {
            Value::String(mode) if mode == "required" => Some(""),
            Value::Object(choice) => choice.get("function")?.get("name")?.as_str(),
            _ => None,
        }
    }

    /// The strings at which the answer stops.
    pub(super) fn stops(&self) -> Vec<&'a str> {
        match self.body.get("stop") {
            Some(Value::String(stop)) => vec![stop],
            other => array(other).iter().filter_map(Value::as_str).collect(),
        }
    }

    /// Whether the model reasons in its answer.
    pub(super) fn reasons(&self) -> bool {
        match self.model.reasoning {
            Reasoning::Never => false,
            Reasoning::Always => true,
            Reasoning::OnRequest | Reasoning::ByDefault => {
                let silenced = self.model.family == Family::Claude && self.forced_tool().is_some();
                !silenced
                    && self
                        .asks_to_reason()
                        .unwrap_or(self.model.reasoning == Reasoning::ByDefault)
            }
        }
    }

    /// What the request says of reasoning, if anything.
    pub(super) fn asks_to_reason(&self) -> Option<bool> {
        if let Some(effort) = self.body.get("reasoning_effort").and_then(Value::as_str) {
            return Some(effort != "none");
        }
        let reasoning = self.body.get("reasoning")?.as_object()?;
        if let Some(enabled) = reasoning.get("enabled").and_then(Value::as_bool) {
            return Some(enabled);
        }
        Some(reasoning.get("effort").and_then(Value::as_str) != Some("none"))
    }

    /// Whether reasoning is to be kept out of the answer.
    pub(super) fn hides_reasoning(&self) -> bool {
        let excluded = self
            .body
            .pointer("/reasoning/exclude")
            .and_then(Value::as_bool);
        excluded == Some(true)
            || self.body.get("include_reasoning").and_then(Value::as_bool) == Some(false)
    }

    /// A rough count of the input: four bytes a token, 1,500 tokens a picture or file, and what a model is told about
    /// the use of tools.
    pub(super) fn prompt_tokens(&self) -> u64 {
        let tools = self.body.get("tools").map_or(0, weight);
        let messages: usize = self.messages.iter().map(weight).sum();
        let about_tools = if tools > 0 { ABOUT_TOOLS } else { 0 };
        tokens(tools + messages) + 3 + about_tools
    }

    /// The name under which the host keeps a conversation together.
    pub(super) fn session(&self) -> String {
        let named = self.body.get("session_id").and_then(Value::as_str);
        match named {
            Some(session) => format!("{}/{session}", self.model.id),
            None => {
                let first: Vec<String> =
                    self.messages.iter().take(2).map(Value::to_string).collect();
                format!(
                    "{}/{}",
                    self.model.id,
                    blake3::hash(first.concat().as_bytes()).to_hex()
                )
            }
        }
    }

    /// How many calls the assistant has made so far.
    pub(super) fn calls_so_far(&self) -> usize {
        self.messages
            .iter()
            .map(|message| calls(message).len())
            .sum()
    }

    /// The last text of the user that is not a reminder of a client.
    pub(super) fn last_user_text(&self) -> String {
        let of_user = self
            .messages
            .iter()
            .rev()
            .filter(|message| role(message) == "user");
        let mut texts = of_user.flat_map(|message| texts(message).into_iter().rev());
        texts
            .find(|text| !text.trim_start().starts_with("<system-reminder>"))
            .unwrap_or_default()
            .to_owned()
    }
}

fn asked_model(body: &Value) -> Result<&'static Model, Refusal> {
    let first = body.get("model").and_then(Value::as_str);
    let fallback = || array(body.get("models")).first().and_then(Value::as_str);
    let Some(name) = first.or_else(fallback) else {
        return Err(Refusal::platform(400, "No models provided"));
    };
    catalogue::find(name)
        .ok_or_else(|| Refusal::platform(400, format!("{name} is not a valid model ID")))
}

/// The role of a message, or `""`.
pub(super) fn role(message: &Value) -> &str {
    message
        .get("role")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The calls of an assistant message.
pub(super) fn calls(message: &Value) -> &[Value] {
    array(message.get("tool_calls"))
}

/// The texts of a message, part by part.
pub(super) fn texts(message: &Value) -> Vec<&str> {
    match message.get("content") {
        Some(Value::String(text)) => vec![text],
        other => array(other)
            .iter()
            .filter_map(|part| part.get("text").and_then(Value::as_str))
            .collect(),
    }
}

/// Tokens of the prompt that comes with any tools: about what Claude gets.
const ABOUT_TOOLS: u64 = 346;

/// The elements of an array; none of anything else.
pub(super) fn array(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Tokens in so many bytes, roughly.
pub(super) fn tokens(bytes: usize) -> u64 {
    bytes.div_ceil(4) as u64
}

fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) if text.starts_with("data:") => 6_000,
        Value::String(text) => text.len(),
        Value::Array(elements) => elements.iter().map(|element| weight(element) + 1).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| name.len() + weight(value) + 2)
            .sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 4,
    }
}
