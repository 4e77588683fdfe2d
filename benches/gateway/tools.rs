//! The 20 tools of the Claude Code turn: real names of tools, schemas with the keywords that its schemas use.

use serde_json::{Map, Value, json};

use crate::prose::Prose;

const DESCRIPTION: usize = 1_150;

/// A parameter: its name, its kind, whether it must be given.
type Parameter = (&'static str, Kind, bool);

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Url,
    Number,
    Flag,
    OneOf(&'static [&'static str]),
    Texts,
    Objects(&'static [(&'static str, Self)]),
}

const TODO_ITEM: &[(&str, Kind)] = &[
    ("content", Kind::Text),
    (
        "status",
        Kind::OneOf(&["pending", "in_progress", "completed"]),
    ),
    ("activeForm", Kind::Text),
];
const EDITS: &[(&str, Kind)] = &[
    ("old_string", Kind::Text),
    ("new_string", Kind::Text),
    ("replace_all", Kind::Flag),
];
const QUESTIONS: &[(&str, Kind)] = &[
    ("question", Kind::Text),
    ("header", Kind::Text),
    ("options", Kind::Texts),
    ("multiSelect", Kind::Flag),
];

const TOOLS: [(&str, &[Parameter]); 20] = [
    (
        "Agent",
        &[
            ("description", Kind::Text, true),
            ("prompt", Kind::Text, true),
            ("subagent_type", Kind::Text, false),
            ("run_in_background", Kind::Flag, false),
        ],
    ),
    (
        "AskUserQuestion",
        &[("questions", Kind::Objects(QUESTIONS), true)],
    ),
    (
        "Bash",
        &[
            ("command", Kind::Text, true),
            ("timeout", Kind::Number, false),
            ("description", Kind::Text, false),
            ("run_in_background", Kind::Flag, false),
        ],
    ),
    (
        "CronCreate",
        &[
            ("schedule", Kind::Text, true),
            ("prompt", Kind::Text, true),
            ("recurring", Kind::Flag, false),
        ],
    ),
    ("CronDelete", &[("id", Kind::Text, true)]),
    (
        "Edit",
        &[
            ("file_path", Kind::Text, true),
            ("old_string", Kind::Text, true),
            ("new_string", Kind::Text, true),
            ("replace_all", Kind::Flag, false),
        ],
    ),
    ("EnterWorktree", &[("name", Kind::Text, false)]),
    (
        "Glob",
        &[("pattern", Kind::Text, true), ("path", Kind::Text, false)],
    ),
    (
        "Grep",
        &[
            ("pattern", Kind::Text, true),
            ("path", Kind::Text, false),
            (
                "output_mode",
                Kind::OneOf(&["content", "files_with_matches", "count"]),
                false,
            ),
            ("-n", Kind::Flag, false),
            ("-A", Kind::Number, false),
            ("head_limit", Kind::Number, false),
            ("multiline", Kind::Flag, false),
        ],
    ),
    ("ListAgents", &[]),
    (
        "Monitor",
        &[
            ("command", Kind::Text, true),
            ("timeout_ms", Kind::Number, false),
        ],
    ),
    (
        "MultiEdit",
        &[
            ("file_path", Kind::Text, true),
            ("edits", Kind::Objects(EDITS), true),
        ],
    ),
    (
        "NotebookEdit",
        &[
            ("notebook_path", Kind::Text, true),
            ("new_source", Kind::Text, true),
            (
                "edit_mode",
                Kind::OneOf(&["replace", "insert", "delete"]),
                false,
            ),
        ],
    ),
    (
        "Read",
        &[
            ("file_path", Kind::Text, true),
            ("offset", Kind::Number, false),
            ("limit", Kind::Number, false),
            ("pages", Kind::Text, false),
        ],
    ),
    (
        "Skill",
        &[("skill", Kind::Text, true), ("args", Kind::Text, false)],
    ),
    ("TodoWrite", &[("todos", Kind::Objects(TODO_ITEM), true)]),
    (
        "WebFetch",
        &[("url", Kind::Url, true), ("prompt", Kind::Text, true)],
    ),
    (
        "WebSearch",
        &[
            ("query", Kind::Text, true),
            ("allowed_domains", Kind::Texts, false),
            ("blocked_domains", Kind::Texts, false),
        ],
    ),
    (
        "Write",
        &[
            ("file_path", Kind::Text, true),
            ("content", Kind::Text, true),
        ],
    ),
    (
        "mcp__tracker__create_issue",
        &[
            ("title", Kind::Text, true),
            ("body", Kind::Text, false),
            ("labels", Kind::Texts, false),
        ],
    ),
];

/// All of them, as the `tools` of a request.
pub(crate) fn all(prose: &mut Prose) -> Value {
    TOOLS
        .iter()
        .map(|(name, parameters)| {
            json!({"name": name, "description": prose.paragraphs(DESCRIPTION), "input_schema": input_schema(parameters, prose)})
        })
        .collect()
}

fn input_schema(parameters: &[Parameter], prose: &mut Prose) -> Value {
    let mut properties = Map::new();
    for (name, kind, _) in parameters {
        properties.insert((*name).to_owned(), schema(*kind, prose));
    }
    let required: Vec<&str> = parameters
        .iter()
        .filter(|(_, _, is_required)| *is_required)
        .map(|(name, _, _)| *name)
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    })
}

fn schema(kind: Kind, prose: &mut Prose) -> Value {
    let about = prose.paragraphs(90);
    match kind {
        Kind::Text => json!({"description": about, "type": "string"}),
        Kind::Url => json!({"description": about, "type": "string", "format": "uri"}),
        Kind::Number => {
            json!({"description": about, "type": "integer", "exclusiveMinimum": 0, "maximum": 9_007_199_254_740_991_u64})
        }
        Kind::Flag => json!({"description": about, "type": "boolean", "default": false}),
        Kind::OneOf(values) => json!({"description": about, "type": "string", "enum": values}),
        Kind::Texts => {
            json!({"description": about, "type": "array", "items": {"type": "string", "minLength": 2}})
        }
        Kind::Objects(fields) => {
            let mut properties = Map::new();
            for (name, kind) in fields {
                properties.insert((*name).to_owned(), schema(*kind, prose));
            }
            let required: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
            let item = json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
            json!({"description": about, "type": "array", "minItems": 1, "items": item})
        }
    }
}
