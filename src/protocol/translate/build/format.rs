//! The form that an answer must have: a schema that is enforced, or one that the model is asked to follow.

use serde_json::Value;

use super::super::messages::{Text, escape};
use super::super::model::{Family, Target};
use super::super::note::Note;
use super::super::schema;
use super::super::tool_names::ToolNames;
use super::body::Demand;
use super::writer::Writer;
use crate::protocol::anthropic::request::{Format, RawStr};

/// How a schema is put to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Enforced.
    Schema,
    /// Told, for whoever can make use of it.
    Told,
    /// JSON is enforced, the schema asked for.
    Json,
    /// Asked for.
    Words,
}

/// Chooses the strongest way that the model knows.
pub(super) fn way(target: &Target, demand: Demand, notes: &mut Vec<Note>) -> Way {
    let way = if target.lacks(|known| known.response_format) {
        Way::Words
    } else if target.lacks(|known| known.structured_outputs) {
        Way::Json
    } else if demand == Demand::Lenient {
        Way::Told
    } else {
        Way::Schema
    };
    if matches!(way, Way::Json | Way::Words) {
        notes.push(Note::new(format!(
            "{} cannot be held to a schema, so it was asked in words to follow it",
            target.id
        )));
    }
    way
}

/// What the system prompt says about the form when the upstream does not enforce it.
pub(super) fn appendix(format: &Format<'_>) -> Text<'static> {
    Text::escaped(format!(
        "Answer with one JSON value that fits this JSON Schema, and nothing else:\\n{}",
        escape(format.schema.as_str())
    ))
}

/// Writes `response_format`.
pub(super) fn write(
    out: &mut Writer,
    format: &Format<'_>,
    way: Way,
    target: &Target,
    notes: &mut Vec<Note>,
) {
    match way {
        Way::Words => {}
        Way::Json => out
            .key("response_format")
            .object(|out| out.key("type").string("json_object")),
        Way::Schema | Way::Told => out.key("response_format").object(|out| {
            out.key("type").string("json_schema");
            out.key("json_schema")
                .object(|out| json_schema(out, format, way, target, notes));
        }),
    }
}

fn json_schema(
    out: &mut Writer,
    format: &Format<'_>,
    way: Way,
    target: &Target,
    notes: &mut Vec<Note>,
) {
    let name = format
        .name
        .map(RawStr::decode)
        .filter(|name| !name.is_empty());
    let name = name.as_deref().unwrap_or("answer");
    out.key("name").string(&ToolNames::default().outward(name));
    let text = format.schema.as_str();
    let is_strict =
        || serde_json::from_str::<Value>(text).is_ok_and(|schema| schema::is_strict(&schema));
    if way == Way::Schema && is_strict() {
        // A schema that says less is refused in strict mode, or leaves no provider.
        out.key("strict").boolean(true);
    }
    out.key("schema");
    if target.family == Family::Gemini {
        let schema = schema::for_google(text);
        if schema.is_cut {
            notes.push(Note::new(format!(
                "the schema of the answer was cut, because {} takes no references, and it is too deep without them",
                target.id
            )));
        }
        out.raw(&schema.text);
    } else {
        out.raw(text);
    }
}
