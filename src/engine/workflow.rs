//! A workflow file as written: TOML with every value of the right form.
//!
//! Unknown keys and wrong forms are faults; whether the graph makes sense is not this file's to know.

use std::ops::Range;
use std::time::Duration;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::report::{Report, suggestion};
use super::retry::{Backoff, Retry};

/// A place in the file's text.
pub(super) type Span = Range<usize>;

const KEYS: [&str; 5] = ["name", "about", "route", "reply", "steps"];
const STEP_KEYS: [&str; 7] = [
    "task", "needs", "after", "with", "timeout", "retry", "optional",
];
const RETRY_KEYS: [&str; 6] = [
    "attempts",
    "backoff",
    "base",
    "max",
    "jitter",
    "honour_retry_after",
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
#[derive(Clone)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) span: Span,
}

pub(super) struct StepDraft {
    pub(super) name: Name,
    pub(super) task: Name,
    pub(super) needs: Vec<Name>,
    pub(super) after: Vec<Name>,
    pub(super) with: Value,
    pub(super) with_span: Span,
    pub(super) timeout: Option<Duration>,
    pub(super) retry: Option<Retry>,
    pub(super) optional: bool,
}

/// Reads the file. What cannot be read is reported, and left out or replaced by its default.
pub(super) fn read(text: &str, report: &mut Report<'_>) -> Workflow {
    // What the parser finds after its first error is mostly a consequence of it.
    let document = DeTable::parse(text).unwrap_or_else(|error| {
        let message = error.message().replace('\n', ", ");
        let span = error.span().unwrap_or_default();
        report.add(&span, format!("this is not TOML: {message}"));
        Spanned::new(0..0, DeTable::new())
    });
    if !report.is_empty() {
        return Workflow::default();
    }
    let place = Spanned::new(document.span(), document.get_ref());
    let mut table = Table::new("the workflow", &place, &KEYS, report);
    let name = table.get("name", "a text", text_of);
    let about = table.get("about", "a text", text_of);
    let route = table.get(
        "route",
        "a method and a path, such as \"POST /v1/messages\"",
        route_of,
    );
    let reply = table.get("reply", "the name of a step", text_of);
    let steps = table.get("steps", "a table of steps", DeValue::as_table);
    table.demand("name", "begin with name = \"messages\" or the like");
    table.demand(
        "reply",
        "add reply = \"…\" with the name of the step that gives it",
    );
    let text_of = |name: Option<(&str, Span)>| name.map(|(text, _)| text.to_owned());
    Workflow {
        name: text_of(name).unwrap_or_default(),
        about: text_of(about).unwrap_or_else(|| leading_comment(text)),
        route: text_of(route),
        reply: reply.map(|(text, span)| Name {
            text: text.to_owned(),
            span,
        }),
        steps: steps.map_or_else(Vec::new, |(steps, _)| read_steps(steps, report)),
    }
}

fn leading_comment(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix('#'));
    let lines: Vec<_> = lines.map(str::trim).collect();
    lines.join("\n").trim().to_owned()
}

fn read_steps(steps: &DeTable<'_>, report: &mut Report<'_>) -> Vec<StepDraft> {
    let mut drafts = Vec::new();
    for (name, value) in in_order(steps) {
        let whose = format!("step `{}`", name.get_ref());
        let Some(entries) = value.get_ref().as_table() else {
            let cure = format!("write [steps.{}] above its keys", name.get_ref());
            report.add(&name.span(), format!("{whose} is not a table: {cure}"));
            continue;
        };
        let name = Name {
            text: name.get_ref().to_string(),
            span: name.span(),
        };
        drafts.push(read_step(&whose, name, entries, report));
    }
    drafts
}

fn read_step(whose: &str, name: Name, entries: &DeTable<'_>, report: &mut Report<'_>) -> StepDraft {
    let place = Spanned::new(name.span.clone(), entries);
    let mut table = Table::new(whose, &place, &STEP_KEYS, report);
    let task = table.get("task", "the name of a task", text_of);
    let with = table.get("with", "a table of settings", |v| {
        v.as_table().map(|_| json_of(v))
    });
    let timeout = table.get("timeout", DURATION, duration_of);
    let optional = table.get("optional", "true or false", DeValue::as_bool);
    let retry = table.get(
        "retry",
        "a table such as { attempts = 3 }",
        DeValue::as_table,
    );
    if let Some((Duration::ZERO, span)) = &timeout {
        table.report.add(
            span,
            format!("{whose} has no time at all: give `timeout` more than zero"),
        );
    }
    let (with, with_span) =
        with.unwrap_or_else(|| (Value::Object(serde_json::Map::new()), name.span.clone()));
    let task = task.map_or_else(
        || name.clone(),
        |(text, span)| Name {
            text: text.to_owned(),
            span,
        },
    );
    StepDraft {
        needs: table.names("needs"),
        after: table.names("after"),
        retry: retry.map(|(retry, span)| read_retry(whose, &Spanned::new(span, retry), report)),
        timeout: timeout.map(|(timeout, _)| timeout),
        optional: optional.is_some_and(|(optional, _)| optional),
        task,
        with,
        with_span,
        name,
    }
}

fn read_retry(whose: &str, entries: &Spanned<&DeTable<'_>>, report: &mut Report<'_>) -> Retry {
    let whose = format!("`retry` of {whose}");
    let mut table = Table::new(&whose, entries, &RETRY_KEYS, report);
    let attempts = table.get("attempts", "a whole number of at least 1", |value| {
        let number = value.as_integer()?;
        let number = u16::from_str_radix(number.as_str(), number.radix()).ok()?;
        (number > 0).then_some(number)
    });
    let backoff = table.get(
        "backoff",
        "\"exponential\" or \"constant\"",
        |value| match value.as_str()? {
            "exponential" => Some(Backoff::Exponential),
            "constant" => Some(Backoff::Constant),
            _ => None,
        },
    );
    let base = table.get("base", DURATION, duration_of);
    let max = table.get("max", DURATION, duration_of);
    let jitter = table.get("jitter", "true or false", DeValue::as_bool);
    let honour_retry_after = table.get("honour_retry_after", "true or false", DeValue::as_bool);
    table.demand("attempts", "add attempts = 3 or the like");
    let retry = Retry {
        attempts: attempts.map_or(1, |(attempts, _)| attempts),
        backoff: backoff.map_or(Backoff::Exponential, |(backoff, _)| backoff),
        base: base.map_or(Duration::from_millis(250), |(base, _)| base),
        max: max.map_or(Duration::from_secs(8), |(max, _)| max),
        jitter: jitter.is_none_or(|(jitter, _)| jitter),
        honour_retry_after: honour_retry_after.is_none_or(|(honour, _)| honour),
    };
    if retry.max < retry.base {
        let sentence = "begins with a longer pause than it allows: give a `base` up to `max`";
        report.add(&entries.span(), format!("{whose} {sentence}"));
    }
    retry
}

/// A table of the file while it is read.
struct Table<'a, 'r, 'f> {
    whose: &'a str,
    entries: &'a DeTable<'a>,
    span: Span,
    report: &'r mut Report<'f>,
}

impl<'a, 'r, 'f> Table<'a, 'r, 'f> {
    /// Begins to read; keys that are not `known` are faults.
    fn new(
        whose: &'a str,
        entries: &Spanned<&'a DeTable<'a>>,
        known: &[&str],
        report: &'r mut Report<'f>,
    ) -> Self {
        let span = entries.span();
        let entries = *entries.get_ref();
        for key in entries.keys() {
            let written = key.get_ref();
            if !known.contains(&written.as_ref()) {
                let cure = suggestion(written, known.iter().copied());
                report.add(
                    &key.span(),
                    format!("{whose} has the unknown key `{written}`: {cure}"),
                );
            }
        }
        Self {
            whose,
            entries,
            span,
            report,
        }
    }

    /// Reads the value of `key`, which has to be of a certain `form`.
    fn get<T>(
        &mut self,
        key: &str,
        form: &str,
        read: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
    ) -> Option<(T, Span)> {
        let value = self.entries.get(key)?;
        let span = value.span();
        if let Some(read) = read(value.get_ref()) {
            return Some((read, span));
        }
        let whose = self.whose;
        self.report.add(
            &span,
            format!("the `{key}` of {whose} has the wrong form: write {form}"),
        );
        None
    }

    /// Reports a fault if `key` is not there at all.
    fn demand(&mut self, key: &str, cure: &str) {
        if !self.entries.contains_key(key) {
            let whose = self.whose;
            let sentence = format!("{whose} has no `{key}`: {cure}");
            self.report.add(&self.span, sentence);
        }
    }

    /// Reads a list of step names, none of which may stand there twice.
    fn names(&mut self, key: &str) -> Vec<Name> {
        let array = self.get(
            key,
            "a list of step names, such as [\"validate\"]",
            |value| {
                let array = value.as_array()?;
                array
                    .iter()
                    .all(|item| item.get_ref().is_str())
                    .then_some(array)
            },
        );
        let mut names: Vec<Name> = Vec::new();
        for item in array.iter().flat_map(|(array, _)| array.iter()) {
            let text = item.get_ref().as_str().unwrap_or_default();
            if names.iter().any(|name| name.text == text) {
                let whose = self.whose;
                self.report.add(
                    &item.span(),
                    format!("{whose} names `{text}` twice in `{key}`: once is enough"),
                );
            } else {
                names.push(Name {
                    text: text.to_owned(),
                    span: item.span(),
                });
            }
        }
        names
    }
}

const DURATION: &str = "a time such as \"250ms\", \"8s\" or \"2m\"";

fn duration_of(value: &DeValue<'_>) -> Option<Duration> {
    let text = value.as_str()?;
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = digits.parse().ok()?;
    match unit.trim_start() {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

fn text_of<'a>(value: &'a DeValue<'_>) -> Option<&'a str> {
    value.as_str().filter(|text| !text.is_empty())
}

fn route_of<'a>(value: &'a DeValue<'_>) -> Option<&'a str> {
    let text = value.as_str()?;
    let (method, path) = text.split_once(' ')?;
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    (is_method && path.starts_with('/') && !path.contains(char::is_whitespace)).then_some(text)
}

/// The table's entries as the file orders them.
fn in_order<'a>(
    table: &'a DeTable<'a>,
) -> Vec<(
    &'a Spanned<std::borrow::Cow<'a, str>>,
    &'a Spanned<DeValue<'a>>,
)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// A TOML value as JSON, keys in the order of the file. What JSON cannot say becomes a text.
fn json_of(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => {
            let (digits, radix) = (number.as_str(), number.radix());
            let signed = i64::from_str_radix(digits, radix).map(Value::from);
            let number = signed.or_else(|_| u64::from_str_radix(digits, radix).map(Value::from));
            number.unwrap_or_else(|_| Value::from(digits))
        }
        DeValue::Float(number) => {
            let parsed = number.as_str().parse().ok();
            let parsed = parsed.and_then(serde_json::Number::from_f64);
            parsed.map_or_else(|| Value::from(number.as_str()), Value::Number)
        }
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Datetime(time) => Value::from(time.to_string()),
        DeValue::Array(items) => items.iter().map(|item| json_of(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let entries = in_order(table).into_iter();
            let entries =
                entries.map(|(key, value)| (key.get_ref().to_string(), json_of(value.get_ref())));
            Value::Object(entries.collect())
        }
    }
}
