//! What Anthropic's servers did in earlier turns, told in words: no other API knows their blocks. The words carry the
//! block's cache breakpoint.

use serde_json::Value;

use super::part::{Text, escape};
use crate::protocol::anthropic::request::{ServerResult, TextBlock, ToolUse};
use crate::protocol::translate::note::Note;

/// Tells of a call of a server tool: by what it looked for, if it was given nothing else.
pub(super) fn call<'a>(call: &ToolUse<'a>) -> Text<'a> {
    let told = match serde_json::from_str::<Value>(call.input.as_str()) {
        Ok(input) => {
            let fields = input.as_object().filter(|fields| fields.len() == 1);
            let only =
                fields.and_then(|fields| text(fields, "query").or_else(|| text(fields, "url")));
            only.unwrap_or(call.input.as_str()).to_owned()
        }
        Err(_) => String::new(),
    };
    Text {
        cache: call.cache,
        ..Text::plain(format!("[{}: {told}]", call.name))
    }
}

/// Tells what a server tool gave.
pub(super) fn result<'a>(result: &ServerResult<'a>, notes: &mut Vec<Note>) -> Text<'a> {
    let content = result
        .content
        .and_then(|content| serde_json::from_str::<Value>(content.as_str()).ok());
    let mut told = Vec::new();
    if let Some(content) = &content {
        tell(content, &mut told);
    }
    if told.is_empty() {
        told.push("(no text)".to_owned());
        if content.as_ref().is_some_and(is_encrypted) {
            notes.push(Note::new(format!(
                "a `{}` block was told as `(no text)`, because it holds nothing that another model can read",
                result.kind
            )));
        }
    } else if content.as_ref().is_some_and(holds_files) {
        notes.push(Note::new(format!(
            "files in a `{}` block were left out, because only Anthropic's servers hold them",
            result.kind
        )));
    }
    let name = result.kind.trim_end_matches("_tool_result");
    let what = if result.is_error {
        "Error of"
    } else {
        "Result of"
    };
    Text {
        cache: result.cache,
        ..Text::plain(format!("[{what} {name}]\n{}", told.join("\n")))
    }
}

/// Whether anything in it is for Anthropic's servers only.
fn is_encrypted(content: &Value) -> bool {
    match content {
        Value::Array(items) => items.iter().any(is_encrypted),
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            let is_cipher = || value.as_str().is_some_and(|cipher| !cipher.is_empty());
            name.starts_with("encrypted_") && is_cipher() || is_encrypted(value)
        }),
        _ => false,
    }
}

/// Whether code that was run has written files, of which there is only an id.
fn holds_files(content: &Value) -> bool {
    let outputs = content.get("content").and_then(Value::as_array);
    outputs.is_some_and(|outputs| outputs.iter().any(|output| output["file_id"].is_string()))
}

/// Puts the summary that stands for an earlier part of the conversation.
pub(super) fn summary(summary: TextBlock<'_>) -> Text<'_> {
    let told = format!(
        "{}{}",
        escape("Summary of the conversation so far:\n"),
        summary.text.escaped()
    );
    Text {
        cache: summary.cache,
        ..Text::escaped(told)
    }
}

/// Collects what a reader can use: links, texts, outputs, errors. Encrypted content is worthless elsewhere.
fn tell(value: &Value, told: &mut Vec<String>) {
    match value {
        Value::String(text) if !text.trim().is_empty() => told.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| tell(item, told)),
        Value::Object(fields) => {
            if let (Some(title), Some(url)) = (text(fields, "title"), text(fields, "url")) {
                told.push(format!("{title} — {url}"));
            } else if let Some(either) = text(fields, "title").or_else(|| text(fields, "url")) {
                told.push(either.to_owned());
            }
            for name in [
                "error_code",
                "error_message",
                "text",
                "stdout",
                "stderr",
                "tool_name",
            ] {
                if let Some(found) = text(fields, name) {
                    told.push(found.to_owned());
                }
            }
            if let Some(code) = fields.get("return_code").and_then(Value::as_i64)
                && code != 0
            {
                told.push(format!("exit code {code}"));
            }
            for name in ["content", "lines", "tool_references"] {
                if let Some(inner) = fields.get(name) {
                    tell(inner, told);
                }
            }
            if text(fields, "media_type") == Some("text/plain")
                && let Some(data) = text(fields, "data")
            {
                told.push(data.to_owned());
            }
            if let Some(source @ Value::Object(_)) = fields.get("source") {
                tell(source, told);
            }
        }
        _ => {}
    }
}

fn text<'v>(fields: &'v serde_json::Map<String, Value>, name: &str) -> Option<&'v str> {
    fields
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sources_and_references_are_told_where_they_can_be_read() {
        for (value, expected) in [
            (json!({"title":"T"}), &["T"][..]),
            (json!({"error_code":"c","error_message":"m"}), &["c", "m"]),
            (json!({"stdout":"o","return_code":1}), &["o", "exit code 1"]),
            (json!({"stdout":"o","return_code":0}), &["o"]),
            (json!({"lines":["-a","+b"]}), &["-a", "+b"]),
            (json!({"title":"","url":"https://a"}), &["https://a"]),
            (json!({"stdout":"o","stderr":"e","text":""}), &["o", "e"]),
            (
                json!({"tool_references":[{"tool_name":"A"},{"tool_name":"B"}]}),
                &["A", "B"],
            ),
            (json!({"media_type":"text/plain","data":"d"}), &["d"]),
            (json!({"media_type":"application/pdf","data":"d"}), &[]),
            (
                json!({"source":{"media_type":"text/plain","data":"d"}}),
                &["d"],
            ),
            (json!({"source":"https://a"}), &[]),
            (json!([7, null, true]), &[]),
        ] {
            let mut told = Vec::new();
            tell(&value, &mut told);
            assert_eq!(told, expected, "{value}");
        }
    }

    #[test]
    fn what_a_reader_can_use_is_told() {
        let value = json!([
            "said", " ", {"title":"T","url":"https://a"}, {"url":"https://b"}, {"error_code":"unavailable"},
            {"content":[{"text":"inside"}],"encrypted_content":"xxx"}
        ]);
        let mut told = Vec::new();
        tell(&value, &mut told);
        assert_eq!(
            told,
            [
                "said",
                "T — https://a",
                "https://b",
                "unavailable",
                "inside"
            ]
        );
    }
}
