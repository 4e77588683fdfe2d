//! The built-in model: it answers whatever it is asked, plausibly and without pretending to be more than simulated.
//!
//! It must not know the wire.

use serde_json::{Map, Value, json};

use super::conversation::{Conversation, calls, role, texts};
use super::directive::{self, Cue};
use super::script::{Citation, Turn};
use super::stories;

/// What the model says now.
pub(super) fn answer(conversation: &Conversation<'_>) -> Cue {
    compaction(conversation)
        .or_else(|| directive::cue(conversation))
        .or_else(|| stories::cue(conversation))
        .unwrap_or_else(|| Cue::new(improvise(conversation), conversation, "improvised"))
}

/// Claude Code asks for a summary of a conversation that has become too long; whatever was directed before is no answer.
fn compaction(conversation: &Conversation<'_>) -> Option<Cue> {
    let last = conversation.messages.last()?;
    let asks = role(last) == "user"
        && texts(last)
            .iter()
            .any(|text| text.contains("<summary>") && text.contains("Do NOT call any tools"));
    let summary = "<analysis>It was simulated.</analysis>\n<summary>A simulated conversation took place.</summary>";
    asks.then(|| Cue::new(Turn::text(summary), conversation, "compaction"))
}

fn improvise(conversation: &Conversation<'_>) -> Turn {
    if let Some(schema) = conversation
        .body
        .pointer("/response_format/json_schema/schema")
    {
        return Turn::text(sample(schema, 0).to_string());
    }
    if let Some(name) = conversation.forced_tool() {
        return forced_call(conversation, name);
    }
    let last = conversation
        .messages
        .iter()
        .rev()
        .find(|message| role(message) != "system");
    match last {
        Some(message) if role(message) == "tool" => sum_up(conversation),
        _ => begin(conversation),
    }
}

fn forced_call(conversation: &Conversation<'_>, name: &str) -> Turn {
    let functions = conversation.functions();
    let chosen = functions
        .iter()
        .find(|(offered, _)| name.is_empty() || *offered == name);
    match chosen {
        Some((name, parameters)) => Turn::tool(name, sample(parameters, 0)),
        None => Turn::text("There is no tool to call."),
    }
}

/// Says what the tools gave since the last words of the model.
fn sum_up(conversation: &Conversation<'_>) -> Turn {
    let asked = conversation
        .messages
        .iter()
        .rposition(|message| !calls(message).is_empty())
        .unwrap_or(0);
    let results = conversation
        .messages
        .iter()
        .skip(asked)
        .filter(|message| role(message) == "tool");
    let shown: Vec<String> = results
        .flat_map(|message| {
            texts(message)
                .into_iter()
                .map(|text| text.chars().take(160).collect())
        })
        .collect();
    Turn::text(format!(
        "The tools answered (I am simulated and only repeat it): {}",
        shown.join(" · ")
    ))
    .thinking("The results are in. I repeat their beginnings.")
}

fn begin(conversation: &Conversation<'_>) -> Turn {
    let asked = conversation.last_user_text();
    let quoted: String = asked.chars().take(200).collect();
    if conversation.offers("openrouter:web_search") {
        return Turn {
            citations: vec![Citation {
                url: "https://example.com/simulated".to_owned(),
                title: "A simulated page".to_owned(),
            }],
            ..Turn::text(format!("A simulated search for {quoted:?} found one page."))
        };
    }
    let wants_a_look = ["files", "folder", "directory", "list"]
        .iter()
        .any(|word| asked.contains(word));
    if wants_a_look && conversation.offers("Bash") {
        let args = json!({ "command": "ls", "description": "List the files here" });
        return Turn::tool("Bash", args).thinking("A look at the folder comes first.");
    }
    Turn::text(format!(
        "I am {}, simulated by Dagway: no model runs behind this answer. You wrote: {quoted:?}",
        conversation.model.id
    ))
    .thinking("I am simulated, so I say so and repeat what I was asked.")
}

const DEEPEST: usize = 8;

/// A value that fits a JSON Schema, for the keywords that matter most.
fn sample(schema: &Value, depth: usize) -> Value {
    if let Some(value) = schema.get("const").or_else(|| schema.get("default")) {
        return value.clone();
    }
    if let Some(first) = schema
        .get("enum")
        .and_then(Value::as_array)
        .and_then(|values| values.first())
    {
        return first.clone();
    }
    let choices = ["anyOf", "oneOf", "allOf"]
        .iter()
        .find_map(|name| schema.get(name)?.as_array()?.first());
    if let Some(choice) = choices {
        return sample(choice, depth + 1);
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        other => other.and_then(Value::as_str),
    };
    match kind {
        Some("string") => "simulated".into(),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| 1.into()),
        Some("boolean") => true.into(),
        Some("array") if depth < DEEPEST => schema
            .get("items")
            .map_or_else(|| json!([]), |items| json!([sample(items, depth + 1)])),
        Some("array") => json!([]),
        Some("null") => Value::Null,
        _ => sample_object(schema, depth),
    }
}

fn sample_object(schema: &Value, depth: usize) -> Value {
    let required: Vec<&str> = match schema.get("required").and_then(Value::as_array) {
        Some(names) => names.iter().filter_map(Value::as_str).collect(),
        None => Vec::new(),
    };
    let mut fields = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        if required.contains(&name.as_str()) && depth < DEEPEST {
            fields.insert(name.clone(), sample(property, depth + 1));
        }
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{answer, sample};
    use crate::simulator::conversation::Conversation;

    fn answer_to(body: &Value) -> crate::simulator::Turn {
        answer(&Conversation::read(body).expect("the request is readable")).turn
    }

    #[test]
    fn a_sample_fits_its_schema() {
        let schema = json!({
            "type": "object",
            "properties": {
                "title": { "type": "string" },
                "kind": { "enum": ["a", "b"] },
                "tags": { "type": "array", "items": { "type": "integer", "minimum": 3 } },
                "optional": { "type": "string" },
            },
            "required": ["title", "kind", "tags"],
        });
        assert_eq!(
            sample(&schema, 0),
            json!({ "title": "simulated", "kind": "a", "tags": [3] })
        );
    }

    #[test]
    fn a_forced_tool_is_called_with_arguments_that_fit() {
        let turn = answer_to(&json!({
            "model": "openai/gpt-5",
            "messages": [{ "role": "user", "content": "hello" }],
            "tools": [{ "type": "function", "function": { "name": "greet", "parameters": {
                "type": "object", "properties": { "who": { "type": "string" } }, "required": ["who"] } } }],
            "tool_choice": { "type": "function", "function": { "name": "greet" } },
        }));
        let call = turn.tools.first().expect("it calls the tool");
        assert_eq!(call.name, "greet");
        assert_eq!(call.args, json!({ "who": "simulated" }));
    }

    #[test]
    fn a_conversation_that_is_compacted_gets_a_summary_whatever_was_directed() {
        let turn = answer_to(&json!({
            "model": "openai/gpt-5",
            "messages": [
                { "role": "user", "content": "SIM[{\"turns\":[{\"text\":\"one\"},{\"text\":\"two\"}]}]" },
                { "role": "assistant", "content": "one" },
                { "role": "user", "content": "Do NOT call any tools. Respond with a <summary> block." },
            ],
        }));
        assert!(turn.text.contains("</summary>"), "{}", turn.text);
    }

    #[test]
    fn an_answer_says_that_it_is_simulated() {
        let turn = answer_to(&json!({
            "model": "qwen/qwen3.5-coder",
            "messages": [{ "role": "user", "content": "Who are you?" }],
        }));
        assert!(turn.text.contains("simulated"), "{}", turn.text);
    }
}
