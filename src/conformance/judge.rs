//! Compares one run of a case with its file: what the upstream saw, and what the client got.
//!
//! This file must not know how requests travel.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::case::{Exchange, Expected, Request};
use super::client::{Call, Got};
use super::expect::{Bindings, differences, substitute};
use super::fold;
use super::mode::Mode;
use super::report::Failure;
use super::slot::Slot;
use super::stream::{Event, events, faults, joined};
use super::wire::Seen;

/// How soon the upstream must be let go when the client has hung up.
const LET_GO_WAIT: Duration = Duration::from_secs(10);

/// Compares one run of a case with its file.
pub(super) struct Judge<'a> {
    slot: &'a Slot,
    models: &'a BTreeMap<String, String>,
    bindings: Bindings,
    pub(super) failures: Vec<Failure>,
    replay: String,
    pub(super) turn: usize,
}

impl<'a> Judge<'a> {
    pub(super) fn new(slot: &'a Slot, mode: Mode, models: &'a BTreeMap<String, String>) -> Self {
        Self {
            slot,
            models,
            bindings: Bindings::new(),
            failures: Vec::new(),
            replay: mode.to_string(),
            turn: 0,
        }
    }

    pub(super) fn fail(&mut self, side: &str, path: &str, expected: &str, got: &str) {
        self.failures.push(Failure {
            replay: self.replay.clone(),
            turn: self.turn,
            side: side.to_owned(),
            path: path.to_owned(),
            expected: expected.to_owned(),
            got: got.to_owned(),
        });
    }

    /// Makes the request that the client sends.
    pub(super) fn call(&self, request: &Request) -> Result<Call, String> {
        let raw = request.raw.as_ref().map(|raw| self.slot.mark.fill(raw));
        let body = match &request.body {
            Some(body) => {
                let mut body = self.pattern(body)?;
                substitute(&mut body, &self.bindings)?;
                Some(body.to_string())
            }
            None => raw,
        };
        let text =
            |given: &Option<String>, usual: &str| given.clone().unwrap_or_else(|| usual.to_owned());
        Ok(Call {
            method: text(&request.method, "POST"),
            path: text(&request.path, "/v1/messages"),
            headers: request.headers.clone(),
            body,
            hangs_up: false,
        })
    }

    /// Reads a JSON text of the case, with marks filled in and models renamed.
    fn pattern(&self, text: &str) -> Result<Value, String> {
        let filled = self.slot.mark.fill(text);
        let mut value = serde_json::from_str(&filled).map_err(|e| format!("{e} in {filled}"))?;
        rename_models(&mut value, self.models);
        Ok(value)
    }

    fn compare(&mut self, side: &str, pattern: &str, got: Option<&Value>) {
        match self.pattern(pattern) {
            Ok(pattern) => self.compare_value(side, "", &pattern, got),
            Err(error) => self.fail(side, "/", "a pattern in JSON", &error),
        }
    }

    fn compare_value(&mut self, side: &str, at: &str, pattern: &Value, got: Option<&Value>) {
        for found in differences(pattern, got, &mut self.bindings) {
            let path = format!("{at}{}", found.path);
            self.fail(side, &path, &found.expected, &found.got);
        }
    }

    fn headers(
        &mut self,
        side: &str,
        patterns: &BTreeMap<String, String>,
        got: &BTreeMap<String, String>,
    ) {
        for (name, pattern) in patterns {
            let value = got.get(name).map(|value| Value::from(value.as_str()));
            let at = format!("header {name}");
            let pattern = Value::from(self.slot.mark.fill(pattern));
            self.compare_value(side, &at, &pattern, value.as_ref());
        }
    }

    /// The client has hung up: nobody shall pay for what nobody reads.
    pub(super) async fn upstream_is_let_go(&mut self) {
        let let_go = self.slot.let_go.notified();
        if tokio::time::timeout(LET_GO_WAIT, let_go).await.is_err() {
            let expected = "a connection that is closed when the client hangs up";
            self.fail("upstream", "/", expected, "a connection that stays");
        }
    }

    /// What the upstream saw.
    pub(super) fn upstream(&mut self, exchanges: &[Exchange], seen: &[Seen]) {
        let may_repeat = exchanges.last().is_some_and(|last| last.may_repeat);
        let is_right = seen.len() == exchanges.len() || may_repeat && seen.len() >= exchanges.len();
        if !is_right {
            let expected = format!("{} requests", exchanges.len());
            let got = format!("{} requests", seen.len());
            self.fail("upstream", "/", &expected, &got);
        }
        for (at, (exchange, seen)) in exchanges.iter().zip(seen).enumerate() {
            let side = format!("upstream {}", at + 1);
            let path = exchange.path.as_deref().unwrap_or("/chat/completions");
            if !seen.path.ends_with(path) {
                self.fail(&side, "path", path, &seen.path);
            }
            self.headers(&side, &exchange.expects_headers, &seen.headers);
            if let Some(expects) = &exchange.expects {
                let body = serde_json::from_str(&seen.body).ok();
                // The upstream's names of models are its own, so nothing is renamed here.
                match serde_json::from_str(&self.slot.mark.fill(expects)) {
                    Ok(pattern) => self.compare_value(&side, "", &pattern, body.as_ref()),
                    Err(error) => self.fail(&side, "/", expects, &error.to_string()),
                }
            }
        }
    }

    /// What the client got.
    pub(super) fn answer(&mut self, expected: &Expected, got: &Got) {
        let before = self.failures.len();
        let is_error = expected.error.is_some() && expected.status.is_none();
        let status = expected.status.unwrap_or(200);
        if got.status != status && !(is_error && got.status >= 400) {
            self.fail(
                "answer",
                "status",
                &status.to_string(),
                &got.status.to_string(),
            );
        }
        self.headers("answer", &expected.headers, &got.headers);
        let kind = got.headers.get("content-type");
        if kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            self.stream(expected, &got.body);
        } else {
            self.whole(expected, got);
        }
        if self.failures.len() > before {
            self.fail("answer", "the whole answer", "as above", &got.body);
        }
    }

    fn whole(&mut self, expected: &Expected, got: &Got) {
        let body: Option<Value> = serde_json::from_str(&got.body).ok();
        if let Some(pattern) = &expected.body {
            self.compare("answer", pattern, body.as_ref());
        }
        if let Some(pattern) = &expected.error {
            let body = body.as_ref();
            let kind = body.and_then(|body| body.get("type"));
            self.compare_value("answer", "/type", &"error".into(), kind);
            self.compare("answer", pattern, body.and_then(|body| body.get("error")));
        } else if expected.message.is_some() || expected.events.is_some() {
            self.fail("answer", "/", "a stream of events", "a whole body");
        }
    }

    fn stream(&mut self, expected: &Expected, body: &str) {
        let (pings, events): (Vec<_>, Vec<_>) = match events(body) {
            Ok(events) => events.into_iter().partition(|event| event.name == "ping"),
            Err(fault) => return self.fail("answer", "/", "a stream that SDKs can read", &fault),
        };
        if pings.len() < expected.pings {
            let (expected, got) = (format!("{} pings", expected.pings), pings.len());
            self.fail("answer", "pings", &expected, &got.to_string());
        }
        for fault in faults(&events) {
            self.fail("answer", "/", "a stream by the grammar", &fault);
        }
        if expected.body.is_some() {
            self.fail("answer", "/", "a whole body", "a stream of events");
        }
        let last = events.last().filter(|event| event.name == "error");
        match (&expected.error, last) {
            (Some(pattern), last) => {
                self.compare(
                    "answer",
                    pattern,
                    last.and_then(|last| last.data.get("error")),
                );
            }
            (None, Some(last)) => {
                self.fail("answer", "/", "no error event", &last.data.to_string());
            }
            (None, None) => {}
        }
        if let Some(pattern) = &expected.message {
            self.compare("answer", pattern, Some(&fold::message(&events)));
        }
        if let Some(lines) = &expected.events {
            self.events(lines, &joined(&events));
        }
    }

    /// Compares event by event: `name` or `name {pattern}`, one a line.
    fn events(&mut self, lines: &str, got: &[Event]) {
        let lines: Vec<&str> = lines
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        let names = |names: Vec<&str>| names.join(" ");
        let expected = lines
            .iter()
            .map(|line| line.split(' ').next().unwrap_or_default());
        let expected = names(expected.collect());
        let found = names(got.iter().map(|event| event.name.as_str()).collect());
        if expected != found {
            return self.fail("answer", "events", &expected, &found);
        }
        for (at, (line, event)) in lines.iter().zip(got).enumerate() {
            let Some((name, pattern)) = line.split_once(' ') else {
                continue;
            };
            match self.pattern(pattern) {
                Ok(pattern) => {
                    let at = format!("event {at} {name}");
                    self.compare_value("answer", &at, &pattern, Some(&event.data));
                }
                Err(error) => self.fail("answer", "events", "patterns in JSON", &error),
            }
        }
    }
}

/// Gives models the names that the gateway under test has for them.
fn rename_models(value: &mut Value, models: &BTreeMap<String, String>) {
    match value {
        Value::Object(keys) => {
            for (key, value) in keys {
                let renamed = value
                    .as_str()
                    .filter(|_| key == "model")
                    .and_then(|name| models.get(name));
                match renamed {
                    Some(name) => *value = name.as_str().into(),
                    None => rename_models(value, models),
                }
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| rename_models(item, models)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
