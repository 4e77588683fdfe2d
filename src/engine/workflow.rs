//! A workflow file as written: TOML with every value of the right form.
//!
//! Each value is read by itself, so that each wrong one is a fault of its own. Whether the graph makes sense is not
//! this file's to know.

use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::report::{Report, suggestion};
use crate::duration;
use crate::events::{Backoff, Retry};

/// A place in the file's text.
pub(super) type Span = Range<usize>;

/// The keys of a table, each with a right value.
type Keys = &'static [(&'static str, &'static str)];

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

#[derive(Default)]
pub(super) struct Workflow {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) route: Option<String>,
    pub(super) reply: Option<Name>,
    /// In the order of the file.
    pub(super) steps: Vec<StepDraft>,
}

/// A name and where it stands.
pub(super) type Name = Spanned<String>;

pub(super) struct StepDraft {
    pub(super) name: Name,
    pub(super) task: Name,
    pub(super) needs: Vec<Name>,
    pub(super) after: Vec<Name>,
    pub(super) with: Spanned<Value>,
    pub(super) timeout: Option<Duration>,
    pub(super) retry: Option<Retry>,
    pub(super) optional: bool,
}

impl Workflow {
    /// The names of the steps.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(StepDraft::name)
    }
}

impl StepDraft {
    pub(super) fn name(&self) -> &str {
        self.name.get_ref()
    }
}

/// Reads the file. What cannot be read is reported, and left out or replaced by its default.
pub(super) fn read(text: &str, report: &mut Report<'_>) -> Workflow {
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
    let empty = || Spanned::new(name.span(), Value::Object(serde_json::Map::new()));
    StepDraft {
        task: table.get("task").unwrap_or_else(|| name.clone()),
        needs: table.names("needs"),
        after: table.names("after"),
        with: with.unwrap_or_else(empty),
        timeout,
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
        table.report("begins with a longer pause than it allows: give a `base` up to `max`");
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

/// A table of the file while it is read.
struct Table<'a, 'r, 'f> {
    whose: &'a str,
    entries: &'a DeTable<'a>,
    span: Span,
    keys: Keys,
    report: &'r mut Report<'f>,
}

impl<'a, 'r, 'f> Table<'a, 'r, 'f> {
    /// Begins to read; other keys than `keys` are faults.
    fn new(
        whose: &'a str,
        entries: &Spanned<&'a DeTable<'a>>,
        keys: Keys,
        report: &'r mut Report<'f>,
    ) -> Self {
        let known = || keys.iter().map(|(key, _)| *key);
        for key in entries.get_ref().keys() {
            let written = key.get_ref();
            if known().all(|known| known != written) {
                let cure = suggestion(written, known());
                let wrong = format!("{whose} has the unknown key `{written}`: {cure}");
                report.add(&key.span(), wrong);
            }
        }
        Self {
            whose,
            span: entries.span(),
            entries: entries.get_ref(),
            keys,
            report,
        }
    }

    /// Reports that `key` is missing or empty, if it is.
    fn demand(&mut self, key: &str) {
        let value = self.entries.get(key);
        if value.is_none_or(|value| value.get_ref().as_str() == Some("")) {
            let cure = self.example(key);
            self.report(&format!("has no `{key}`: {cure}"));
        }
    }

    /// Reports that something is wrong with the whole table.
    fn report(&mut self, wrong: &str) {
        let whose = self.whose;
        self.report.add(&self.span, format!("{whose} {wrong}"));
    }

    /// Reads the value of `key`, if it is there and of the right form.
    fn get<T: Deserialize<'a>>(&mut self, key: &str) -> Option<T> {
        let value = self.entries.get(key)?;
        let read = T::deserialize(ValueDeserializer::from(value.clone()));
        read.inspect_err(|_| self.report_form(key, value)).ok()
    }

    /// Reads the text of `key` by `parse`, which gives nothing for one of the wrong form.
    fn parse<T>(&mut self, key: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let value = self.entries.get(key)?;
        let read = value.get_ref().as_str().and_then(parse);
        if read.is_none() {
            self.report_form(key, value);
        }
        read
    }

    /// The table under `key`, if it is there and is one.
    fn table(&mut self, key: &str) -> Option<Spanned<&'a DeTable<'a>>> {
        let value = self.entries.get(key)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.report_form(key, value);
        }
        Some(Spanned::new(value.span(), table?))
    }

    /// Reads a list of step names, none of which may stand there twice.
    fn names(&mut self, key: &str) -> Vec<Name> {
        let mut names: Vec<Name> = Vec::new();
        for name in self.get::<Vec<Name>>(key).unwrap_or_default() {
            let whose = self.whose;
            if names
                .iter()
                .any(|earlier| earlier.get_ref() == name.get_ref())
            {
                let twice = format!(
                    "{whose} names `{}` twice in `{key}`: once is enough",
                    name.get_ref()
                );
                self.report.add(&name.span(), twice);
            } else {
                names.push(name);
            }
        }
        names
    }

    fn report_form(&mut self, key: &str, value: &Spanned<DeValue<'_>>) {
        let (whose, cure) = (self.whose, self.example(key));
        let wrong = format!("{whose} says `{key}` in a way that cannot be read: {cure}");
        self.report.add(&value.span(), wrong);
    }

    fn example(&self, key: &str) -> String {
        let right = self.keys.iter().find(|(known, _)| *known == key);
        let right = right.map_or("…", |(_, right)| right);
        format!("write {key} = {right} or the like")
    }
}

/// Whether this is a method and a path.
fn is_route(text: &str) -> bool {
    let (method, path) = text.split_once(' ').unwrap_or_default();
    let is_method = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
    is_method && path.starts_with('/') && !path.contains(char::is_whitespace)
}
