//! Reads a workflow file. What cannot be read is reported, and left out or replaced by its default.

use std::time::Duration;

use serde_json::Value;
use toml::Spanned;
use toml::de::DeTable;

use super::report::Report;
use super::table::{Keys, Table};
use super::{Name, StepDraft, Workflow};
use crate::duration;
use crate::events::{Backoff, Retry};

const KEYS: Keys = &[
    ("name", "\"messages\""),
    ("about", "\"What it does\""),
    ("route", "\"POST /v1/messages\""),
    ("reply", "\"convert_response\""),
    ("steps", "{ validate = {} }"),
];
const STEP_KEYS: Keys = &[
    ("task", "\"validate\""),
    ("needs", "[\"validate\"]"),
    ("after", "[\"validate\"]"),
    ("with", "{ setting = \"value\" }"),
    ("timeout", "\"60s\""),
    ("retry", "{ attempts = 3 }"),
    ("limit", "4"),
    ("optional", "true"),
];
const RETRY_KEYS: Keys = &[
    ("attempts", "3"),
    ("backoff", "\"exponential\""),
    ("base", "\"250ms\""),
    ("max", "\"8s\""),
    ("jitter", "true"),
    ("honour_retry_after", "true"),
    ("timeouts", "true"),
];

/// Reads the file. What cannot be read is reported, and left out or replaced by its default.
pub(crate) fn read(text: &str, report: &mut Report<'_>) -> Workflow {
    // What the parser finds after its first error is mostly a consequence of it.
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let message = error.message().replace('\n', ", ");
            let span = error.span().unwrap_or_default();
            report.add(&span, format!("this is not TOML: {message}"));
            return Workflow::default();
        }
    };
    let entries = Spanned::new(0..0, document.get_ref());
    let mut table = Table::new("the workflow", &entries, KEYS, report);
    table.demand("name");
    table.demand("reply");
    let name: Option<String> = table.get("name");
    let about = table.get("about");
    let route = table.parse("route", |text| is_route(text).then(|| text.to_owned()));
    let reply = table.get("reply");
    let steps = table
        .table("steps")
        .map(|steps| read_steps(steps.get_ref(), report));
    Workflow {
        name: name.unwrap_or_default(),
        about: about.unwrap_or_else(|| leading_comment(text)),
        route,
        reply,
        steps: steps.unwrap_or_default(),
    }
}

fn leading_comment(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix('#'));
    let lines: Vec<_> = lines.map(str::trim).collect();
    lines.join("\n").trim().to_owned()
}

fn read_steps(steps: &DeTable<'_>, report: &mut Report<'_>) -> Vec<StepDraft> {
    let mut in_order: Vec<_> = steps.iter().collect();
    in_order.sort_by_key(|(name, _)| name.span().start);
    let mut drafts = Vec::new();
    for (key, value) in in_order {
        let (name, span) = (key.get_ref().to_string(), key.span());
        let whose = format!("step `{name}`");
        let Some(entries) = value.get_ref().as_table() else {
            report.add(
                &span,
                format!("{whose} is not a table: write [steps.{name}] above its keys"),
            );
            continue;
        };
        let entries = Spanned::new(span.clone(), entries);
        let table = Table::new(&whose, &entries, STEP_KEYS, report);
        drafts.push(read_step(Name::new(span, name), table));
    }
    drafts
}

fn read_step(name: Name, mut table: Table<'_, '_, '_>) -> StepDraft {
    let with = table.table("with").and_then(|_| table.get("with"));
    let timeout = table.parse("timeout", duration::parse);
    if timeout == Some(Duration::ZERO) {
        table.report("has no time at all: give `timeout` more than zero");
    }
    let limit = table.get("limit");
    if limit == Some(0) {
        table.report("lets no attempt begin: give `limit` at least 1, or remove it");
    }
    let empty = || Spanned::new(name.span(), Value::Object(serde_json::Map::new()));
    StepDraft {
        task: table.get("task").unwrap_or_else(|| name.clone()),
        needs: table.names("needs"),
        after: table.names("after"),
        with: with.unwrap_or_else(empty),
        timeout,
        limit,
        optional: table.get("optional").unwrap_or(false),
        retry: table.table("retry").map(|entries| {
            let whose = format!("`retry` of {}", table.whose);
            read_retry(Table::new(&whose, &entries, RETRY_KEYS, table.report))
        }),
        name,
    }
}

fn read_retry(mut table: Table<'_, '_, '_>) -> Retry {
    table.demand("attempts");
    let attempts = table.get("attempts").unwrap_or(1);
    if attempts == 0 {
        table.report("allows no attempt at all: give `attempts` at least 1, the first included");
    }
    let base = table.parse("base", duration::parse);
    let base = base.unwrap_or(Duration::from_millis(250));
    let max = table.parse("max", duration::parse);
    let max = max.unwrap_or(Duration::from_secs(8));
    if max < base {
        table.report(&format!(
            "begins with a pause of {base:?}, longer than its `max`, which is {max:?} (8s if it is not given): give a \
             `base` up to `max`"
        ));
    }
    Retry {
        attempts,
        backoff: table.get("backoff").unwrap_or(Backoff::Exponential),
        base,
        max,
        jitter: table.get("jitter").unwrap_or(true),
        honour_retry_after: table.get("honour_retry_after").unwrap_or(true),
        timeouts: table.get("timeouts").unwrap_or(true),
    }
}

/// Whether this is a method and a path.
fn is_route(text: &str) -> bool {
    let (method, path) = text.split_once(' ').unwrap_or_default();
    let is_method = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
    is_method && path.starts_with('/') && !path.contains(char::is_whitespace)
}
