//! What steps that are not written in Rust are told, and what they may answer.
//!
//! They get one JSON document, `{"run": {…}, "needs": {…}}`, with all of what each step named in `needs` gave. What they
//! answer becomes a [`Json`]. To refuse the request they fail with an error in the shape of Anthropic's API.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::client_request::ClientRequest;
use crate::engine::{Cx, Needs, TaskError};
use crate::events::{Artifact, trace};
use crate::protocol::anthropic::error::{ApiError, ErrorKind};
use crate::protocol::json_text::whole_characters;

/// The longest answer, in bytes: as long as a request may be.
pub const LONGEST_ANSWER: usize = 32 << 20;

/// What a step gave that is not written in Rust.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Json(pub Box<RawValue>);

impl Artifact for Json {
    const NAME: &'static str = "Json";
    const MAY_QUOTE: bool = true;
}

/// Why such a step failed when it did not refuse the request: for its run's page and its operator, not for the client.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Broke(pub String);

/// The document that such a step is told.
#[derive(Serialize)]
struct Question<'a> {
    run: AboutRun<'a>,
    needs: BTreeMap<&'a str, Given>,
}

#[derive(Serialize)]
struct AboutRun<'a> {
    id: String,
    request_id: &'a str,
    workflow: &'a str,
    step: &'a str,
    attempt: u16,
}

/// What a step gave: several things stand under their names.
#[derive(Serialize)]
#[serde(untagged)]
enum Given {
    One(Box<RawValue>),
    Several(BTreeMap<&'static str, Box<RawValue>>),
}

/// Writes what a step is told. Halves of characters (lone surrogates) are replaced, for many a parser refuses the whole
/// document because of one.
///
/// # Errors
/// When the client's request is among it and has no body that could be told: nobody is asked about that, and no step's
/// failure hides why it is refused. When something cannot be written as JSON, which would be a fault of Dagway's own.
pub(super) fn question(needs: &Needs, cx: &Cx) -> Result<Vec<u8>, TaskError> {
    let mut by_step: BTreeMap<&str, BTreeMap<&'static str, Box<RawValue>>> = BTreeMap::new();
    check(needs)?;
    for need in &needs.0 {
        let mut text = Vec::new();
        need.value.write_whole(&mut text).map_err(TaskError::ours)?;
        let whole = serde_json::from_slice(&text).map_err(TaskError::ours)?;
        let given = by_step.entry(&need.step).or_default();
        given.insert(need.value.name(), whole);
    }
    let needs = by_step.into_iter().map(|(step, mut given)| {
        let given = match given.pop_first() {
            Some((_, only)) if given.is_empty() => Given::One(only),
            first => {
                given.extend(first);
                Given::Several(given)
            }
        };
        (step, given)
    });
    let question = Question {
        run: AboutRun {
            id: cx.run_id().text(),
            request_id: &cx.start().request_id,
            workflow: &cx.plan().name,
            step: step_of(cx),
            attempt: cx.attempt(),
        },
        needs: needs.collect(),
    };
    let text = serde_json::to_string(&question).map_err(TaskError::ours)?;
    Ok(match whole_characters(&text) {
        Cow::Owned(whole) => whole,
        Cow::Borrowed(_) => text,
    }
    .into_bytes())
}

/// Looks whether a step may be told of these.
///
/// # Errors
/// When a client's request is among them that was not taken or is no JSON.
pub(super) fn check(needs: &Needs) -> Result<(), TaskError> {
    let mut requests = needs.0.iter().filter_map(|need| {
        let value: &dyn Any = &*need.value;
        value.downcast_ref::<ClientRequest>()
    });
    requests.try_for_each(ClientRequest::check)
}

/// The name of the step that speaks.
pub(super) fn step_of(cx: &Cx) -> &str {
    let step = cx.plan().steps.get(usize::from(cx.step()));
    step.map_or("", |step| step.name.as_str())
}

/// The header that makes the step's span the parent of what it sets off elsewhere.
pub(super) fn traceparent(cx: &Cx) -> String {
    let span = trace::step_span_id(cx.run_id(), cx.step());
    cx.start().trace.traceparent(span)
}

/// Reads what such a step says: nothing is null, and what is no JSON is a string.
///
/// # Errors
/// When it is not UTF-8.
pub(super) fn answer(said: Vec<u8>) -> Result<Json, TaskError> {
    let said = String::from_utf8(said).map_err(|_| broke("it answered what is not UTF-8 text"))?;
    let said = match said.trim() {
        "" => "null",
        trimmed => trimmed,
    };
    let raw = RawValue::from_string(said.to_owned());
    let raw = raw.or_else(|_| serde_json::value::to_raw_value(said));
    raw.map(Json).map_err(TaskError::ours)
}

/// What such a step says when it refuses the request: an error in the shape of Anthropic's API.
#[derive(Deserialize)]
struct Refusal {
    error: RefusalError,
}

#[derive(Deserialize)]
struct RefusalError {
    #[serde(rename = "type")]
    kind: String,
    message: String,
}

/// Reads a refusal of the request, if that is what a step said before it failed.
pub(super) fn refusal(said: &[u8]) -> Option<ApiError> {
    let Refusal { error } = serde_json::from_slice(said).ok()?;
    let kind = ErrorKind::named(&error.kind)?;
    Some(ApiError::new(kind, error.message))
}

/// A failure that is nobody's but the step's own.
pub(super) fn broke(how: impl Into<String>) -> TaskError {
    TaskError::ours(Broke(how.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        answer(text.into()).unwrap().0.get().to_owned()
    }

    #[test]
    fn an_answer_is_json_or_a_string_or_nothing() {
        assert_eq!(said(""), "null");
        assert_eq!(said(" \n"), "null");
        assert_eq!(said("{\"a\": 1.10}\n"), "{\"a\": 1.10}");
        assert_eq!(said("ok\n"), "\"ok\"");
        assert_eq!(said("{\"a\": 1} {"), "\"{\\\"a\\\": 1} {\"");
        let error = answer(vec![b'"', 0xff, b'"']).unwrap_err();
        assert_eq!(error.to_string(), "it answered what is not UTF-8 text");
    }

    #[test]
    fn a_refusal_has_the_shape_of_anthropics_errors_and_one_of_their_types() {
        let refused = |text: &str| refusal(text.as_bytes()).map(|error| error.to_string());
        let whole = r#"{"type": "error", "error": {"type": "permission_error", "message": "no"}, "request_id": null}"#;
        assert_eq!(refused(whole).as_deref(), Some("no"));
        let short = r#"{"error": {"type": "rate_limit_error", "message": "later"}}"#;
        assert_eq!(refusal(short.as_bytes()).unwrap().status, 429);
        for other in [
            "",
            "no",
            r#"{"error": "no"}"#,
            r#"{"error": {"message": "no"}}"#,
            r#"{"error": {"type": "my_error", "message": "no"}}"#,
        ] {
            assert_eq!(refused(other), None, "{other}");
        }
    }
}
