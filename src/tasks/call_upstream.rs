//! `call_upstream`: asks the model. It is asked again here and nowhere else: later, something may have reached the client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use super::build_request::UpstreamRequest;
use super::forms::Without;
use super::map_model::MappedModel;
use crate::engine::{Cx, Fault, Own, Owned, Task, TaskError};
use crate::events::{Level, trace};
use crate::facts;
use crate::protocol::openrouter::error::UpstreamError;
use crate::protocol::sse::without_mark;
use crate::protocol::translate::reply::{Peek, may_be_empty};
use crate::upstream::byte_flow::look_at;
use crate::upstream::headers::sent_to_json;
use crate::upstream::{Answer, Api, Body, ByteFlow, Call, Client, Failure, Refusal};

/// Sends the request and returns when the answer's headers are in and it does not begin with an error.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallUpstream {}

/// The upstream's answer.
pub struct UpstreamAnswer {
    /// What follows.
    pub content: UpstreamContent,
    /// OpenRouter's id of the generation.
    pub generation: Option<String>,
    /// Anthropic's own headers, for a lane in which they pass.
    pub passed_headers: Vec<(String, String)>,
    /// When the attempt that gave it was sent.
    pub sent: Instant,
    /// When it came.
    pub arrived: Instant,
}

/// The body of an upstream's answer.
pub enum UpstreamContent {
    /// One JSON document, read whole, for a client that wants one.
    Whole(Bytes),
    /// One JSON document, read whole, for a client that wants events.
    AsEvent(Bytes),
    /// Server-sent events, for a client that wants them.
    Stream(ByteFlow),
}

impl Owned for UpstreamAnswer {
    const NAME: &'static str = "UpstreamAnswer";
}

impl Task for CallUpstream {
    const NAME: &'static str = "call_upstream";
    const ABOUT: &'static str = "Asks the upstream, again where that may help";
    const WAITS_FOR: Fault = Fault::Upstream;
    type Input = (Arc<UpstreamRequest>, Arc<MappedModel>);
    type Output = Own<UpstreamAnswer>;

    async fn run(
        &self,
        (request, model): Self::Input,
        cx: &Cx,
    ) -> Result<Own<UpstreamAnswer>, TaskError> {
        let client = &model.upstream.client;
        let call = call_of(cx, &request);
        let headers = client.headers_of(&call);
        if cx.attempt() == 1 {
            say_where_it_goes(cx, client, &headers);
            // Until there is an answer: pauses before further attempts are no time of Dagway's own.
            cx.waits_since(request.built);
        } else {
            // They were the last attempt's.
            cx.no_fact(facts::UPSTREAM_STATUS);
            cx.no_fact(facts::UPSTREAM_FAILURE);
        }
        let sent = Instant::now();
        let begins = || {
            cx.fact(facts::UPSTREAM_HEADERS, sent.elapsed().as_secs_f64());
        };
        let answer = ask(cx, client, &call, headers, begins)
            .await
            .map_err(|failure| task_error(cx, &request, failure))?;
        let content = match answer.body {
            Body::Stream(flow) if request.stream => UpstreamContent::Stream(flow),
            Body::Stream(_) if call.api == Api::Messages => {
                let failure = Failure::from(events_for_a_whole());
                return Err(task_error(cx, &request, failure));
            }
            // The client gets what it asked for, events or a whole, whatever the upstream prefers to write.
            Body::Stream(flow) | Body::Whole(flow) => {
                let refusal = Refusal {
                    status: answer.status,
                    headers: answer.headers.clone(),
                    body: Bytes::new(),
                };
                let body = whole(flow, &call, refusal).await;
                let body = body.map_err(|failure| task_error(cx, &request, failure))?;
                if request.stream {
                    UpstreamContent::AsEvent(body)
                } else {
                    UpstreamContent::Whole(body)
                }
            }
        };
        cx.fact(facts::UPSTREAM_STATUS, i64::from(answer.status));
        let shown = facts::payload::UPSTREAM_RESPONSE_HEADERS;
        cx.payload(shown, answer.headers);
        cx.waits_no_more();
        Ok(Own(UpstreamAnswer {
            content,
            generation: answer.generation,
            passed_headers: answer.anthropics,
            sent,
            arrived: Instant::now(),
        }))
    }
}

/// Events for a client that wants a whole message, and that would break over them.
fn events_for_a_whole() -> UpstreamError {
    UpstreamError::of_no_use_ever(
        "it sent a stream of events where one document was asked for; give this model `lane = \"chat\"` in \
         [[models.rules]], where both are understood",
    )
}

/// What this attempt sends.
fn call_of(cx: &Cx, request: &UpstreamRequest) -> Call {
    let span = trace::call_span_id(cx.run_id(), cx.step());
    let form = request.forms.send();
    if let Some((what, count)) = form.left_out {
        say_what_is_left_out(cx, what, count, &form.body);
    }
    let mut headers = request.envelope.headers.clone();
    if let Some(state) = &cx.start().tracestate {
        headers.push(("tracestate".to_owned(), state.to_string()));
    }
    Call {
        api: request.envelope.api,
        body: form.body,
        stream: request.stream,
        traceparent: Some(cx.start().trace.traceparent(span)),
        headers,
        query: request.envelope.query.clone(),
    }
}

/// One attempt: sends, and looks whether the answer begins with an error. Where another model is asked unless this one has
/// begun in time, it is held back until it begins.
async fn ask(
    cx: &Cx,
    client: &Client,
    call: &Call,
    headers: HeaderMap,
    begins: impl FnOnce(),
) -> Result<Answer, Failure> {
    let answer = client.complete(call, headers, begins).await?;
    let wait = match cx.reply_due() {
        // The engine ends this attempt then.
        Some(_) => Duration::MAX,
        None => client.early_error_wait(),
    };
    answer.past_early_errors(wait).await
}

/// Reads a whole answer here, so that an error in a 200 can still be retried, and can be a status for a client that gets
/// events. `refusal` is what the answer is then, but for its body.
async fn whole(flow: ByteFlow, call: &Call, refusal: Refusal) -> Result<Bytes, Failure> {
    let body = flow.whole().await?;
    match error_in(without_mark(&body), call) {
        None => Ok(body),
        Some(error) => Err(Refusal { body, ..refusal }.into_failure(error)),
    }
}

/// The error that a whole answer is, though its status says nothing of one.
fn error_in(body: &[u8], call: &Call) -> Option<UpstreamError> {
    if is_cut(body) {
        let reason = "it ended its answer before it was complete";
        return Some(UpstreamError::cut(reason));
    }
    // Every error says so in this word; to look for it costs less than to read the body twice.
    let is_suspect = memchr::memmem::find(body, b"\"error\"").is_some()
        || (call.api == Api::Chat && may_be_empty(body));
    if !call.stream && !is_suspect {
        return None;
    }
    match look_at(body, call.api) {
        Peek::Error(error) => Some(*error),
        Peek::Fine | Peek::More => None,
    }
}

/// Whether a document is missing, or its end: a connection that breaks may look like one that is closed in order.
fn is_cut(body: &[u8]) -> bool {
    let text = body.trim_ascii();
    text.is_empty() || (text.starts_with(b"{") && !text.ends_with(b"}"))
}

fn task_error(cx: &Cx, request: &UpstreamRequest, failure: Failure) -> TaskError {
    let Failure { error, refusal } = failure;
    if let Some(refusal) = refusal {
        let name = facts::payload::UPSTREAM_REFUSALS;
        cx.payload(name, refusal.line(cx.attempt()));
    }
    if let Some(status) = error.status {
        cx.fact(facts::UPSTREAM_STATUS, i64::from(status));
    }
    if let Some(word) = error.failure() {
        cx.fact(facts::UPSTREAM_FAILURE, word);
    }
    if does_without(cx, request, &error) {
        return TaskError::upstream(*error).retry(None);
    }
    let retry_after = error.api.retry_after;
    let retryable = error.retryable;
    let failed = TaskError::upstream(*error);
    if retryable {
        failed.retry(retry_after)
    } else {
        failed
    }
}

/// Whether the next attempt can leave out what the upstream refuses, or may have stumbled on: some providers answer
/// reasoning that they cannot verify with a 500 that says nothing.
fn does_without(cx: &Cx, request: &UpstreamRequest, error: &UpstreamError) -> bool {
    let is_suspect = error.retryable && error.api.status == 500 && cx.attempt() > 1;
    let refused = [
        (Without::Thoughts, error.rejects_reasoning || is_suspect),
        (Without::Strictness, error.rejects_strictness),
    ];
    let mut refused = refused.into_iter().filter(|(_, is_refused)| *is_refused);
    refused.any(|(what, _)| request.forms.leave_out(what))
}

/// Said when it is sent, and not when it is made: there may be no attempt left to send it.
fn say_what_is_left_out(cx: &Cx, what: Without, count: usize, body: &Bytes) {
    let what = match what {
        Without::Thoughts => "the reasoning of earlier turns",
        Without::Strictness => "`strict` of the schema",
    };
    let note = format!("this attempt leaves out {what}, which the upstream refused");
    cx.log(Level::Warn, note);
    let names = facts::payload::UPSTREAM_REQUEST_AGAIN;
    if let Some(name) = names.get(count - 1) {
        cx.payload(name, body.clone());
    }
}

fn say_where_it_goes(cx: &Cx, client: &Client, headers: &HeaderMap) {
    cx.fact(facts::PROVIDER, client.name());
    cx.fact(facts::SERVER_ADDRESS, client.host());
    cx.fact(facts::SERVER_PORT, i64::from(client.port()));
    cx.payload(
        facts::payload::UPSTREAM_REQUEST_HEADERS,
        sent_to_json(headers),
    );
}
