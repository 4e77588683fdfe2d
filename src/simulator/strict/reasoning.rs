//! Reasoning that comes back: untouched, once, and from the same family of models.

use std::collections::HashSet;

use serde_json::Value;

use crate::simulator::catalogue::Family;
use crate::simulator::conversation::{Conversation, array, calls, role};
use crate::simulator::dialect::{CLAUDE, CLAUDE_REDACTED, GEMINI, OPENAI};
use crate::simulator::refusal::Refusal;
use crate::simulator::signature::is_genuine;

pub(super) fn check(conversation: &Conversation<'_>) -> Result<(), Refusal> {
    let mut seen = HashSet::new();
    for (index, message) in conversation.messages.iter().enumerate() {
        if role(message) != "assistant" {
            continue;
        }
        let details = array(message.get("reasoning_details"));
        match conversation.model.family {
            Family::Claude => claude(index, details, &mut seen)?,
            Family::OpenAi => openai(details, &mut seen)?,
            Family::Gemini => gemini(message, details)?,
            Family::DeepSeek | Family::Kimi => words_are_back(conversation, index, message)?,
            Family::Other => {}
        }
    }
    if conversation.model.family == Family::Gemini && conversation.reasons() {
        return thought_is_back(conversation);
    }
    Ok(())
}

fn field<'a>(detail: &'a Value, name: &str) -> &'a str {
    detail.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a detail was made by another family; one that does not say is taken as one's own.
fn is_foreign(detail: &Value, format: &str) -> bool {
    let own = field(detail, "format");
    !own.is_empty() && own != format
}

fn claude<'a>(
    index: usize,
    details: &'a [Value],
    seen: &mut HashSet<&'a str>,
) -> Result<(), Refusal> {
    for (place, detail) in details.iter().enumerate() {
        let at = format!("messages.{index}.content.{place}");
        let (token, is_right) = match field(detail, "type") {
            "reasoning.text" => {
                let token = field(detail, "signature");
                (token, is_genuine(token, CLAUDE, "", field(detail, "text")))
            }
            "reasoning.encrypted" => {
                let token = field(detail, "data");
                (token, is_genuine(token, CLAUDE_REDACTED, "", ""))
            }
            _ => ("", false),
        };
        if token.is_empty() && field(detail, "type") == "reasoning.text" {
            let text = format!("{at}.thinking.signature: Field required");
            return Err(Refusal::provider(Family::Claude, text));
        }
        if is_foreign(detail, CLAUDE) || !is_right {
            let text = format!("{at}: Invalid `signature` in `thinking` block");
            return Err(Refusal::provider(Family::Claude, text));
        }
        if !seen.insert(token) {
            let text = format!(
                "{at}: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified. \
                 These blocks must remain as they were in the original response."
            );
            return Err(Refusal::provider(Family::Claude, text));
        }
    }
    Ok(())
}

fn openai<'a>(details: &'a [Value], seen: &mut HashSet<&'a str>) -> Result<(), Refusal> {
    for detail in details {
        let is_right = match field(detail, "type") {
            "reasoning.summary" => true,
            "reasoning.encrypted" => {
                let id = field(detail, "id");
                is_genuine(field(detail, "data"), OPENAI, id, "") && seen.insert(id)
            }
            _ => false,
        };
        if is_foreign(detail, OPENAI) || !is_right {
            return Err(Refusal::masked());
        }
    }
    Ok(())
}

fn gemini(message: &Value, details: &[Value]) -> Result<(), Refusal> {
    for detail in details {
        let is_right = match field(detail, "type") {
            "reasoning.text" => field(detail, "format") == GEMINI,
            "reasoning.encrypted" => {
                let id = field(detail, "id");
                let belongs = calls(message).iter().any(|call| field(call, "id") == id);
                is_genuine(field(detail, "data"), GEMINI, "", "") && (id.is_empty() || belongs)
            }
            _ => false,
        };
        if is_foreign(detail, GEMINI) || !is_right {
            return Err(Refusal::provider(
                Family::Gemini,
                "Corrupted thought signature.",
            ));
        }
    }
    Ok(())
}

/// Gemini wants the thought behind the first call of every step since the user spoke.
fn thought_is_back(conversation: &Conversation<'_>) -> Result<(), Refusal> {
    let since = conversation
        .messages
        .iter()
        .rposition(|message| role(message) == "user")
        .unwrap_or(0);
    for message in conversation.messages.iter().skip(since) {
        let Some(first) = calls(message).first() else {
            continue;
        };
        let details = array(message.get("reasoning_details"));
        if details
            .iter()
            .any(|detail| field(detail, "type") == "reasoning.encrypted")
        {
            continue;
        }
        let name = first
            .pointer("/function/name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let text = format!(
            "Function call `{name}` is missing a `thought_signature` in functionCall parts."
        );
        return Err(Refusal::provider(Family::Gemini, text));
    }
    Ok(())
}

/// These models want the words of their reasoning beside their calls, be they empty.
fn words_are_back(
    conversation: &Conversation<'_>,
    index: usize,
    message: &Value,
) -> Result<(), Refusal> {
    let has_words = ["reasoning", "reasoning_content", "reasoning_details"]
        .iter()
        .any(|name| message.get(name).is_some_and(|value| !value.is_null()));
    if calls(message).is_empty() || has_words || !conversation.reasons() {
        return Ok(());
    }
    let text = match conversation.model.family {
        Family::Kimi => format!(
            "thinking is enabled but reasoning_content is missing in assistant tool call message at index {index}"
        ),
        _ => format!(
            "messages[{index}]: the reasoning_content in the thinking mode must be passed back to the API"
        ),
    };
    Err(Refusal::provider(conversation.model.family, text))
}
