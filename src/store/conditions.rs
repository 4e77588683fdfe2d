//! A filter as SQL, for every database: a list of conditions with a question mark for each value.
//!
//! What the databases write differently stands in a [`Dialect`]. This file must not know how a query is sent.

use std::time::Duration;

use crate::events::{RunId, State, Timestamp};
use crate::store::model::{By, Figure, RunFilter};
use crate::store::words::{Digits, SEARCHED, STATUSES, Words};

/// What one database writes differently from another.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// Compares a text with a pattern, in either case.
    pub(crate) like: &'static str,
    /// The table of runs.
    pub(crate) runs: &'static str,
    /// A run's id as hexadecimal digits.
    pub(crate) id_digits: &'static str,
    /// The text of a fact, from the JSON object in the column of facts.
    pub(crate) text_of_facts: fn(&str) -> String,
    /// Put before a column, keeps its index from being used; empty where the planner has statistics and knows better.
    pub(crate) without_index: &'static str,
    /// Whether a list for each state, merged, is read faster than one list for all.
    pub(crate) list_for_each_state: bool,
}

/// A value in the place of a question mark.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A run's id.
    Id(RunId),
    /// A text.
    Text(String),
    /// A count, a moment, a length of time.
    Int(i64),
    /// An amount.
    Float(f64),
}

/// What runs have to satisfy, as SQL with its values.
pub(crate) struct Conditions {
    dialect: &'static Dialect,
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    /// No conditions yet.
    pub(crate) const fn none(dialect: &'static Dialect) -> Self {
        Self {
            dialect,
            conditions: Vec::new(),
            values: Vec::new(),
        }
    }

    /// What `filter` says of runs older than `after`, as lists to be merged, each of which one index gives in order.
    pub(crate) fn lists(
        dialect: &'static Dialect,
        filter: &RunFilter,
        after: Option<RunId>,
    ) -> Vec<Self> {
        let is_wanted = |state: &State| filter.states.contains(state);
        let wanted = State::ALL.into_iter().filter(is_wanted);
        let is_one_list = filter.session.is_some() || !dialect.list_for_each_state;
        if filter.states.is_empty() || is_one_list {
            let mut list = Self::of(dialect, filter, after);
            list.in_states(&filter.states, dialect.without_index);
            return vec![list];
        }
        wanted
            .map(|state| {
                let mut list = Self::of(dialect, filter, after);
                list.add("state = ?", [text(state.name())]);
                list
            })
            .collect()
    }

    /// What `filter` says of runs, those with the greatest `figure` first, and how that order is written; only those
    /// that come after `after` in it.
    pub(crate) fn greatest(
        dialect: &'static Dialect,
        figure: Figure,
        filter: &RunFilter,
        after: Option<RunId>,
    ) -> (Self, String) {
        let key = match figure {
            Figure::Duration => format!("coalesce(ended, {}) - started", Timestamp::now().0),
            Figure::Cost => "coalesce(cost_usd, -1)".to_owned(),
            // Added up as decimals, because two counts of a hostile upstream may be more than an integer holds. Without an
            // output, the tokens were counted and sent to nobody.
            Figure::Tokens => "CASE WHEN output_tokens IS NULL THEN -1 ELSE coalesce(input_tokens, 0) + 0.0 + output_tokens END"
                .to_owned(),
        };
        let mut list = Self::of(dialect, filter, None);
        list.in_states(&filter.states, "");
        if let Some(after) = after {
            let runs = dialect.runs;
            let comes_after = format!("({key}, id) < ((SELECT {key} FROM {runs} WHERE id = ?), ?)");
            list.add(&comes_after, [Value::Id(after), Value::Id(after)]);
        }
        (list, format!("{key} DESC, id DESC"))
    }

    /// What `filter` says of runs, in no order.
    pub(crate) fn all(dialect: &'static Dialect, filter: &RunFilter) -> Self {
        let mut all = Self::of(dialect, filter, None);
        all.in_states(&filter.states, "");
        all
    }

    fn in_states(&mut self, states: &[State], prefix: &str) {
        let wanted = State::ALL
            .into_iter()
            .filter(|state| states.contains(state));
        let names: Vec<Value> = wanted.map(|state| text(state.name())).collect();
        if !names.is_empty() {
            let marks = vec!["?"; names.len()].join(", ");
            self.add(&format!("{prefix}state IN ({marks})"), names);
        }
    }

    /// All that `filter` says except for the states.
    fn of(dialect: &'static Dialect, filter: &RunFilter, after: Option<RunId>) -> Self {
        let mut all = Self::none(dialect);
        if let Some(after) = after {
            all.add("id < ?", [Value::Id(after)]);
        }
        if let Some(session) = &filter.session {
            all.add("session = ?", [text(session)]);
        }
        for (by, wanted) in [
            (By::Model, &filter.model_sent),
            (By::Provider, &filter.provider),
            (By::Client, &filter.client),
            (By::Key, &filter.key),
        ] {
            if let Some(wanted) = wanted {
                all.add(&format!("{} = ?", by.column()), [text(wanted)]);
            }
        }
        if let Some(request_id) = &filter.request_id {
            // A request id is made from the run's id, by which the run is found at once.
            if let Some(id) = RunId::of_request(request_id) {
                all.add("id = ?", [Value::Id(id)]);
            }
            all.add("request_id = ?", [text(request_id)]);
        }
        if let Some(workflow) = &filter.workflow {
            let is_narrowest = filter.session.is_none() && filter.states.is_empty();
            let prefix = if is_narrowest {
                ""
            } else {
                dialect.without_index
            };
            all.add(&format!("{prefix}workflow = ?"), [text(workflow)]);
        }
        if let Some(model) = &filter.model {
            let like = dialect.like;
            all.add(&format!("models {like} ? ESCAPE '\\'"), [containing(model)]);
        }
        if let Some(words) = &filter.search {
            all.search(&Words::of(words));
        }
        if let Some(since) = filter.since {
            all.since(since);
        }
        if let Some(until) = filter.until {
            all.until(until);
        }
        all.at_least(filter.min_duration, filter.min_cost);
        if let Some(retries) = filter.min_retries {
            all.add("retries >= ?", [Value::Int(retries.into())]);
        }
        if let Some(replaced) = filter.replaced {
            all.add(if replaced { "replaced" } else { "NOT replaced" }, []);
        }
        all
    }

    /// Runs accepted at or after `since`. The id narrows the rows to look at, since it is made at acceptance.
    pub(crate) fn since(&mut self, since: Timestamp) {
        let first = first_id(Timestamp(since.0.saturating_sub(CLOCK_SLACK)));
        self.add("id >= ?", [Value::Id(first)]);
        self.add("started >= ?", [Value::Int(since.0)]);
    }

    fn until(&mut self, until: Timestamp) {
        let last = first_id(Timestamp(until.0.saturating_add(CLOCK_SLACK)));
        self.add("id < ?", [Value::Id(last)]);
        self.add("started < ?", [Value::Int(until.0)]);
    }

    fn at_least(&mut self, duration: Option<Duration>, cost: Option<f64>) {
        if let Some(duration) = duration {
            let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
            let values = [Timestamp::now().0, micros].map(Value::Int);
            self.add("coalesce(ended, ?) - started >= ?", values);
        }
        if let Some(cost) = cost {
            self.add("cost_usd >= ?", [Value::Float(cost)]);
        }
    }

    fn search(&mut self, words: &Words<'_>) {
        let like = self.dialect.like;
        let mut tests = Vec::new();
        let mut values = Vec::new();
        let mut test = |column: &str, pattern: Value| {
            tests.push(format!("{column} {like} ? ESCAPE '\\'"));
            values.push(pattern);
        };
        for column in ["error", "models", "session"] {
            test(column, containing(words.text));
        }
        for fact in SEARCHED {
            test(&(self.dialect.text_of_facts)(fact), containing(words.text));
        }
        // A run's id is shown with hyphens and stored without.
        match &words.id {
            Some(Digits::Begin(digits)) => {
                test(self.dialect.id_digits, Value::Text(format!("{digits}%")));
            }
            Some(Digits::Anywhere(digits)) => test(self.dialect.id_digits, containing(digits)),
            None => {}
        }
        if let Some(status) = words.status {
            for fact in STATUSES {
                test("facts", containing(&format!("\"{fact}\":{status}")));
            }
        }
        self.add(&format!("({})", tests.join(" OR ")), values);
    }

    fn add(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.conditions.push(condition.to_owned());
        self.values.extend(values);
    }

    /// The `WHERE` clause; empty when everything is let through.
    pub(crate) fn clause(&self) -> String {
        if self.conditions.is_empty() {
            return String::new();
        }
        format!(" WHERE {}", self.conditions.join(" AND "))
    }

    /// The values of its question marks.
    pub(crate) fn into_values(self) -> Vec<Value> {
        self.values
    }
}

/// How far the clock may be set while a request is accepted: an hour, in microseconds.
const CLOCK_SLACK: i64 = 3_600_000_000;

/// The smallest id of a run accepted at `at`: UUIDs of version 7 begin with the milliseconds in 48 bits.
fn first_id(at: Timestamp) -> RunId {
    let millis = u128::try_from(at.0.max(0) / 1000).unwrap_or(0);
    RunId::from_bytes((millis << 80).to_be_bytes())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// A pattern for `LIKE` that finds `words` anywhere.
fn containing(words: &str) -> Value {
    let mut pattern = String::with_capacity(words.len() + 2);
    pattern.push('%');
    for character in words.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        // SQLite ends a pattern at a NUL, and PostgreSQL knows none.
        pattern.push(if character == '\0' {
            char::REPLACEMENT_CHARACTER
        } else {
            character
        });
    }
    pattern.push('%');
    Value::Text(pattern)
}
