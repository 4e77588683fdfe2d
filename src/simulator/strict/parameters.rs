//! The fields beside messages and tools: known names, types, bounds.

use serde_json::Value;

use crate::simulator::catalogue::{Family, Reasoning};
use crate::simulator::conversation::{Conversation, array};
use crate::simulator::refusal::Refusal;

/// Every field that OpenRouter documents; another one is a word of another dialect that slipped through.
const KNOWN: &[&str] = &[
    "audio",
    "cache_control",
    "debug",
    "deferred_tools",
    "frequency_penalty",
    "image_config",
    "include_reasoning",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "max_tool_calls",
    "messages",
    "metadata",
    "min_p",
    "modalities",
    "model",
    "models",
    "parallel_tool_calls",
    "plugins",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "provider",
    "reasoning",
    "reasoning_effort",
    "repetition_penalty",
    "response_format",
    "route",
    "seed",
    "service_tier",
    "session_id",
    "stop",
    "stop_server_tools_when",
    "stream",
    "stream_options",
    "structured_outputs",
    "temperature",
    "tool_choice",
    "tools",
    "top_a",
    "top_k",
    "top_logprobs",
    "top_p",
    "trace",
    "transforms",
    "usage",
    "user",
    "verbosity",
    "web_search_options",
];

const REASONING_FIELDS: &[&str] = &[
    "context",
    "effort",
    "enabled",
    "exclude",
    "max_tokens",
    "mode",
    "summary",
];
const EFFORTS: &[&str] = &["max", "xhigh", "high", "medium", "low", "minimal", "none"];

pub(super) fn check(conversation: &Conversation<'_>) -> Result<(), Refusal> {
    names(conversation)?;
    ranges(conversation.body)?;
    texts(conversation.body)?;
    stops(conversation)?;
    limits(conversation)?;
    reasoning(conversation)?;
    response_format(conversation.body)
}

fn names(conversation: &Conversation<'_>) -> Result<(), Refusal> {
    let fields = conversation
        .body
        .as_object()
        .into_iter()
        .flat_map(|object| object.keys());
    for name in fields {
        if !KNOWN.contains(&name.as_str()) {
            let message = format!("{name}: Extra inputs are not permitted");
            return Err(Refusal::provider(conversation.model.family, message));
        }
    }
    Ok(())
}

fn ranges(body: &Value) -> Result<(), Refusal> {
    for (name, low, high) in [
        ("temperature", 0.0, 2.0),
        ("top_p", 0.0, 1.0),
        ("min_p", 0.0, 1.0),
        ("top_a", 0.0, 1.0),
        ("frequency_penalty", -2.0, 2.0),
        ("presence_penalty", -2.0, 2.0),
        ("top_k", 0.0, 1e9),
    ] {
        match body.get(name) {
            None | Some(Value::Null) => {}
            Some(value) => match value.as_f64() {
                Some(number) if (low..=high).contains(&number) => {}
                _ => {
                    return Err(invalid(format!(
                        "{name}: expected a number from {low} to {high}, got {value}"
                    )));
                }
            },
        }
    }
    Ok(())
}

fn texts(body: &Value) -> Result<(), Refusal> {
    for (name, longest) in [
        ("session_id", 256),
        ("user", 512),
        ("prompt_cache_key", 512),
    ] {
        match body.get(name) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if !text.is_empty() && text.len() <= longest => {}
            Some(_) => {
                return Err(invalid(format!(
                    "{name}: expected a string of 1 to {longest} characters"
                )));
            }
        }
    }
    let metadata = body.get("metadata");
    let pairs = metadata.and_then(Value::as_object);
    let fits = |(name, value): (&String, &Value)| {
        name.len() <= 64 && value.as_str().is_some_and(|text| text.len() <= 512)
    };
    let is_right = pairs.is_some_and(|pairs| pairs.len() <= 16 && pairs.iter().all(fits));
    if metadata.is_some() && !is_right {
        return Err(invalid(
            "metadata: expected at most 16 pairs of short strings",
        ));
    }
    Ok(())
}

fn stops(conversation: &Conversation<'_>) -> Result<(), Refusal> {
    let stops = conversation.stops();
    let given = match conversation.body.get("stop") {
        None | Some(Value::Null) => 0,
        Some(Value::String(_)) => 1,
        other => array(other).len().max(1),
    };
    if stops.len() != given {
        return Err(invalid("stop: expected a string or a list of strings"));
    }
    if stops.len() > 4 {
        return Err(invalid("stop: array too long, expected at most 4 strings"));
    }
    if stops.iter().any(|stop| stop.trim().is_empty()) {
        let message = "stop_sequences: each stop sequence must contain non-whitespace";
        return Err(Refusal::provider(conversation.model.family, message));
    }
    Ok(())
}

fn limits(conversation: &Conversation<'_>) -> Result<(), Refusal> {
    let model = conversation.model;
    for name in ["max_tokens", "max_completion_tokens"] {
        let Some(value) = conversation.body.get(name).filter(|value| !value.is_null()) else {
            continue;
        };
        let Some(limit) = value.as_u64().filter(|limit| *limit >= 1) else {
            return Err(invalid(format!(
                "{name}: expected an integer of at least 1, got {value}"
            )));
        };
        if model.family == Family::OpenAi && limit < 16 {
            let message = format!(
                "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got {limit} instead."
            );
            return Err(Refusal::provider(model.family, message));
        }
        if limit > model.max_output {
            let message = format!(
                "max_tokens: {limit} > {}, which is the maximum allowed number of output tokens for {}",
                model.max_output, model.id
            );
            return Err(Refusal::provider(model.family, message));
        }
    }
    let input = conversation.prompt_tokens();
    let output = conversation.max_tokens().unwrap_or(0);
    if input + output > model.context {
        let message = format!(
            "This endpoint's maximum context length is {} tokens. However, you requested about {} tokens \
             ({input} of text input, {output} in the output). Please reduce the length of either one.",
            model.context,
            input + output
        );
        return Err(Refusal::platform_of_type(
            400,
            "context_length_exceeded",
            message,
        ));
    }
    Ok(())
}

fn reasoning(conversation: &Conversation<'_>) -> Result<(), Refusal> {
    let model = conversation.model;
    let Some(reasoning) = conversation
        .body
        .get("reasoning")
        .filter(|value| !value.is_null())
    else {
        return mandatory(conversation);
    };
    let Some(fields) = reasoning.as_object() else {
        return Err(invalid("reasoning: expected an object"));
    };
    if let Some(name) = fields
        .keys()
        .find(|name| !REASONING_FIELDS.contains(&name.as_str()))
    {
        return Err(invalid(format!("reasoning: unrecognized key '{name}'")));
    }
    let effort = fields.get("effort").filter(|value| !value.is_null());
    let budget = fields.get("max_tokens").filter(|value| !value.is_null());
    if effort.is_some() && budget.is_some() {
        return Err(invalid(
            "Only one of \"reasoning.effort\" and \"reasoning.max_tokens\" can be specified",
        ));
    }
    if let Some(effort) = effort
        && !effort
            .as_str()
            .is_some_and(|effort| EFFORTS.contains(&effort))
    {
        return Err(invalid(format!(
            "reasoning.effort: invalid option {effort}"
        )));
    }
    if let Some(budget) = budget {
        let Some(tokens) = budget.as_u64() else {
            return Err(invalid(format!(
                "reasoning.max_tokens: expected an integer, got {budget}"
            )));
        };
        budget_fits(conversation, tokens)?;
    }
    if model.reasoning == Reasoning::Never {
        return Ok(());
    }
    mandatory(conversation)
}

fn budget_fits(conversation: &Conversation<'_>, tokens: u64) -> Result<(), Refusal> {
    let model = conversation.model;
    if model.family != Family::Claude || !model.budgets {
        return Ok(());
    }
    if tokens < 1024 {
        let message =
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024";
        return Err(Refusal::provider(model.family, message));
    }
    if conversation
        .max_tokens()
        .is_some_and(|limit| limit <= tokens)
    {
        let message = "`max_tokens` must be greater than `thinking.budget_tokens`.";
        return Err(Refusal::provider(model.family, message));
    }
    Ok(())
}

fn mandatory(conversation: &Conversation<'_>) -> Result<(), Refusal> {
    let is_off = conversation.asks_to_reason() == Some(false);
    if is_off && conversation.model.reasoning == Reasoning::Always {
        return Err(invalid(
            "Reasoning is mandatory for this endpoint and cannot be disabled.",
        ));
    }
    Ok(())
}

fn response_format(body: &Value) -> Result<(), Refusal> {
    let Some(format) = body.get("response_format").filter(|value| !value.is_null()) else {
        return Ok(());
    };
    match format.get("type").and_then(Value::as_str) {
        Some("text" | "json_object" | "grammar" | "python") => Ok(()),
        Some("json_schema") => {
            let name = format.pointer("/json_schema/name").and_then(Value::as_str);
            let schema = format
                .pointer("/json_schema/schema")
                .and_then(Value::as_object);
            if name.is_some_and(super::tools::is_name) && schema.is_some() {
                return Ok(());
            }
            Err(invalid(
                "response_format.json_schema: expected a name of 1 to 64 letters, digits, _ or - and a schema",
            ))
        }
        _ => Err(invalid("response_format.type: invalid option")),
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::platform(400, message)
}
