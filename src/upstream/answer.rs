//! What an upstream answers: headers, then a flow of bytes or a whole body.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use jiff::Timestamp;
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;
use serde_json::value::RawValue;

use super::client::Api;
use super::headers;
use crate::protocol::native;
use crate::protocol::openrouter::error::{Headers, UpstreamError, from_answer};
use crate::protocol::translate::reply::{Beginning, Peek, is_object, judged, peek};

/// The longest body that is read whole.
const LONGEST_BODY: usize = 64 << 20;
/// The longest body of an error that is read.
const LONGEST_ERROR: usize = 1 << 20;
/// The longest beginning of a stream that is held back.
const LONGEST_PEEK: usize = 64 << 10;
/// How long the rest of an error's body may take.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(5);

/// What an error's body is read with.
#[derive(Clone, Debug)]
pub struct AnswerHead {
    api: Api,
    status: u16,
    content_type: String,
    retry_after: Option<String>,
    retry_after_ms: Option<String>,
    should_retry: Option<bool>,
    rate_limit_reset: Option<String>,
    /// Anthropic's own, which go along with an error as with an answer.
    anthropics: Vec<(String, String)>,
}

impl AnswerHead {
    /// The error that a body is.
    #[must_use]
    pub fn error(&self, body: &[u8]) -> UpstreamError {
        let headers = Headers {
            retry_after: self.retry_after.as_deref(),
            retry_after_ms: self.retry_after_ms.as_deref(),
            should_retry: self.should_retry,
            rate_limit_reset: self.rate_limit_reset.as_deref(),
            came: Timestamp::now(),
        };
        let read = match self.api {
            Api::Chat => from_answer,
            Api::Messages => native::from_answer,
        };
        let mut error = read(self.status, &self.content_type, headers, body);
        error.api.headers.clone_from(&self.anthropics);
        error
    }
}

/// Why there is no answer to go on with.
#[derive(Debug)]
pub struct Failure {
    /// The failure, mapped for the client.
    pub error: Box<UpstreamError>,
    /// What the upstream said, if it answered at all.
    pub refusal: Option<Box<Refusal>>,
}

/// An answer that is a refusal.
#[derive(Debug)]
pub struct Refusal {
    /// Its status: 200 when the error is all that the body says.
    pub status: u16,
    /// Its headers, for showing.
    pub headers: Bytes,
    /// Its body, as far as it was read.
    pub body: Bytes,
}

impl Refusal {
    /// What this means for the call.
    #[must_use]
    pub fn into_failure(self, error: UpstreamError) -> Failure {
        Failure {
            error: Box::new(error),
            refusal: Some(Box::new(self)),
        }
    }

    /// The answer as one line of JSON, for the record: a body that is JSON as such, any other as a text.
    #[must_use]
    pub fn line(&self, attempt: u16) -> Bytes {
        let headers = String::from_utf8_lossy(&self.headers);
        let body = match serde_json::from_slice::<&RawValue>(&self.body) {
            // Line ends are white space in JSON, and would end the line here.
            Ok(json) => json.get().replace(['\n', '\r'], " "),
            Err(_) => Value::from(String::from_utf8_lossy(&self.body)).to_string(),
        };
        let status = self.status;
        format!(
            "{{\"attempt\":{attempt},\"status\":{status},\"headers\":{headers},\"body\":{body}}}\n"
        )
        .into()
    }
}

impl From<UpstreamError> for Failure {
    fn from(error: UpstreamError) -> Self {
        Self {
            error: Box::new(error),
            refusal: None,
        }
    }
}

/// An answer whose headers are in and whose status is a success.
pub struct Answer {
    /// Which endpoint gave it.
    api: Api,
    /// Its status.
    pub status: u16,
    /// OpenRouter's id of the generation, for support and accounting.
    pub generation: Option<String>,
    /// Anthropic's own headers (rate limits, organization), of an answer of the Messages API.
    pub anthropics: Vec<(String, String)>,
    /// The headers, for showing.
    pub headers: Bytes,
    /// What follows.
    pub body: Body,
}

/// The body of an answer.
pub enum Body {
    /// Server-sent events.
    Stream(ByteFlow),
    /// One JSON document.
    Whole(ByteFlow),
}

/// Bytes as they arrive. Dropping it closes the connection: nobody pays for tokens that nobody reads.
pub struct ByteFlow {
    held: Option<Bytes>,
    /// When its first data came, if that was held back.
    pub began: Option<Instant>,
    rest: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
}

/// What the body of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Events,
    Document,
}

/// What a media type says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    This(Form),
    /// Servers that set no type, and proxies that set their own.
    Nothing,
    /// Such as a page for people.
    AnotherThing,
}

impl Form {
    /// What a media type says, which may be written in any case (RFC 9110, 8.3.1).
    fn of(content_type: &str) -> Said {
        let essence = content_type.split(';').next().unwrap_or_default();
        match essence.trim().to_ascii_lowercase().as_str() {
            "text/event-stream" => Said::This(Self::Events),
            "application/json" | "text/json" => Said::This(Self::Document),
            other if other.ends_with("+json") => Said::This(Self::Document),
            "" | "text/plain" | "application/octet-stream" => Said::Nothing,
            _ => Said::AnotherThing,
        }
    }

    /// What the beginning of a body says; nothing when it is neither, or blank.
    fn of_body(body: &[u8]) -> Option<Self> {
        let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
        let body = body.trim_ascii_start();
        let fields: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];
        if fields.iter().any(|field| body.starts_with(field)) {
            return Some(Self::Events);
        }
        (body.first() == Some(&b'{')).then_some(Self::Document)
    }
}

impl Answer {
    /// Sorts an answer out by status and content type; an error's body is read here.
    pub(super) async fn read(response: Response, api: Api) -> Result<Self, Failure> {
        let status = response.status();
        let head = head_of(api, status.as_u16(), response.headers());
        let headers = headers::to_json(
            response
                .headers()
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes())),
        );
        let generation = text(response.headers(), "x-generation-id");
        let content_type = head.content_type.clone();
        let mut flow = ByteFlow {
            held: None,
            began: None,
            rest: Box::pin(response.bytes_stream()),
        };
        let form = match Form::of(&content_type) {
            _ if !status.is_success() => None,
            Said::This(form) => Some(form),
            Said::Nothing => flow.form().await,
            Said::AnotherThing => None,
        };
        let body = if let Some(form) = form {
            match form {
                Form::Events => Body::Stream(flow),
                Form::Document => Body::Whole(flow),
            }
        } else {
            let body = flow.read_up_to(LONGEST_ERROR, ERROR_BODY_WAIT).await;
            let error = head.error(&body);
            let refusal = Refusal {
                status: status.as_u16(),
                headers,
                body: body.into(),
            };
            return Err(refusal.into_failure(error));
        };
        Ok(Self {
            api,
            status: status.as_u16(),
            generation,
            anthropics: head.anthropics,
            headers,
            body,
        })
    }

    /// Holds the beginning of a stream back, for at most `wait`, until it is known not to be an error.
    ///
    /// # Errors
    /// The error with which the stream begins, while it can still become a status and be retried.
    pub async fn past_early_errors(mut self, wait: Duration) -> Result<Self, Failure> {
        let Body::Stream(flow) = &mut self.body else {
            return Ok(self);
        };
        let mut seen = BytesMut::new();
        let looked = tokio::time::timeout(wait, flow.look(&mut seen, self.api)).await;
        let seen = seen.freeze();
        flow.held = (!seen.is_empty()).then(|| seen.clone());
        match looked {
            Ok(Some(error)) => Err(Refusal {
                status: self.status,
                headers: self.headers,
                body: seen,
            }
            .into_failure(error)),
            Ok(None) | Err(_) => Ok(self),
        }
    }

    /// Reads the body whole.
    ///
    /// # Errors
    /// When the connection breaks or the body is longer than 64 MB.
    pub async fn whole(self) -> Result<Bytes, UpstreamError> {
        match self.body {
            Body::Stream(flow) | Body::Whole(flow) => flow.whole().await,
        }
    }
}

impl ByteFlow {
    /// A JSON document as a stream of one event.
    #[must_use]
    pub fn of_event(document: &[u8]) -> Self {
        let mut event = BytesMut::with_capacity(document.len() + 32);
        event.extend_from_slice(b"data: ");
        // Line ends are white space in JSON, and would end the line here.
        let line = document.iter().map(|byte| match byte {
            b'\n' | b'\r' => b' ',
            other => *other,
        });
        event.extend(line);
        event.extend_from_slice(b"\n\ndata: [DONE]\n\n");
        Self {
            held: Some(event.freeze()),
            began: None,
            rest: Box::pin(futures_util::stream::empty()),
        }
    }

    /// What it looks like, once it has begun.
    async fn form(&mut self) -> Option<Form> {
        let mut seen = BytesMut::new();
        while let Some(Ok(piece)) = self.next().await {
            let is_blank = piece.trim_ascii().is_empty();
            seen.extend_from_slice(&piece);
            if !is_blank || seen.len() > LONGEST_PEEK {
                break;
            }
        }
        let seen = seen.freeze();
        let form = Form::of_body(&seen);
        self.held = (!seen.is_empty()).then_some(seen);
        form
    }

    /// What was held back of its beginning.
    #[must_use]
    pub fn beginning(&self) -> &[u8] {
        self.held.as_deref().unwrap_or_default()
    }

    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Option<reqwest::Result<Bytes>> {
        futures_util::StreamExt::next(self).await
    }

    /// Reads to the end. Events, where a document was asked for, are over with their own end: some servers keep the
    /// connection open.
    ///
    /// # Errors
    /// When the connection breaks or the body is longer than 64 MB.
    pub async fn whole(mut self) -> Result<Bytes, UpstreamError> {
        let Some(first) = self.next().await else {
            return Ok(Bytes::new());
        };
        let first = first.map_err(|error| broken(&error))?;
        let mut all = BytesMut::from(first);
        while !has_said_its_last(&all)
            && let Some(piece) = self.next().await
        {
            all.extend_from_slice(&piece.map_err(|error| broken(&error))?);
            if all.len() > LONGEST_BODY {
                return Err(failed("its answer is longer than 64 MB"));
            }
        }
        Ok(all.freeze())
    }

    /// Gathers into `seen` until it is known whether the stream begins with an error. To end or to break before the
    /// answer begins is one.
    async fn look(&mut self, seen: &mut BytesMut, api: Api) -> Option<UpstreamError> {
        let mut beginning = Beginning::default();
        while let Some(piece) = self.next().await {
            match piece {
                Ok(piece) => seen.extend_from_slice(&piece),
                Err(error) => return Some(broken(&error)),
            }
            let peek = match is_object(seen) {
                true => look_at(seen, api),
                false => beginning.look(seen, judge_of(api)),
            };
            match peek {
                Peek::Error(error) => return Some(*error),
                Peek::Fine => return None,
                Peek::More if seen.len() > LONGEST_PEEK => return None,
                Peek::More if beginning.has_data() => {
                    self.began.get_or_insert_with(Instant::now);
                }
                Peek::More => {}
            }
        }
        if is_silent(seen) {
            return Some(failed("it answered 200 with an empty stream"));
        }
        if is_object(seen) {
            return None;
        }
        match beginning.finish(judge_of(api)) {
            Peek::Error(error) => Some(*error),
            Peek::More => Some(failed("it ended its answer before it began")),
            Peek::Fine => None,
        }
    }

    async fn read_up_to(&mut self, limit: usize, wait: Duration) -> Vec<u8> {
        let mut body = Vec::new();
        let read = async {
            while let Some(Ok(piece)) = self.next().await {
                let room = limit - body.len();
                body.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
                if body.len() >= limit {
                    break;
                }
            }
        };
        // A body that does not come in time is as good as none: the status is what counts.
        let _ = tokio::time::timeout(wait, read).await;
        body
    }
}

impl Stream for ByteFlow {
    type Item = reqwest::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(held) = self.held.take() {
            return Poll::Ready(Some(Ok(held)));
        }
        self.rest.as_mut().poll_next(cx)
    }
}

/// Whether a stream says nothing: no byte, or comments alone.
fn is_silent(stream: &[u8]) -> bool {
    let mut lines = stream.split(|byte| matches!(byte, b'\n' | b'\r'));
    lines.all(|line| line.is_empty() || line.starts_with(b":"))
}

/// A connection that broke while the body was read.
#[must_use]
pub fn broken(error: &reqwest::Error) -> UpstreamError {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        reason = inner.to_string();
        cause = inner.source();
    }
    failed(&format!("it broke the connection: {reason}"))
}

/// An answer that is no use, for a reason that another attempt may not meet.
fn failed(reason: &str) -> UpstreamError {
    UpstreamError::no_use(reason)
}

/// Whether these are events, to the last.
fn has_said_its_last(bytes: &[u8]) -> bool {
    let are_events = bytes.starts_with(b"data:") || bytes.starts_with(b":");
    are_events && bytes.trim_ascii_end().ends_with(b"data: [DONE]")
}

/// Looks whether an answer begins with an error, in the words of the endpoint that gave it.
#[must_use]
pub fn look_at(bytes: &[u8], api: Api) -> Peek {
    match api {
        Api::Chat => peek(bytes),
        Api::Messages => native::peek(bytes),
    }
}

/// Reads an event of a stream, in the words of the endpoint that gave it.
fn judge_of(api: Api) -> fn(&[u8]) -> Peek {
    match api {
        Api::Chat => judged,
        Api::Messages => native::judged,
    }
}

fn head_of(api: Api, status: u16, headers: &HeaderMap) -> AnswerHead {
    AnswerHead {
        api,
        status,
        content_type: text(headers, CONTENT_TYPE.as_str()).unwrap_or_default(),
        retry_after: text(headers, "retry-after"),
        retry_after_ms: text(headers, "retry-after-ms"),
        should_retry: text(headers, "x-should-retry").and_then(|word| word.parse().ok()),
        rate_limit_reset: text(headers, "x-ratelimit-reset"),
        anthropics: match api {
            Api::Chat => Vec::new(),
            Api::Messages => anthropics(headers),
        },
    }
}

fn anthropics(headers: &HeaderMap) -> Vec<(String, String)> {
    let named = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("anthropic-"));
    named
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect()
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_an_answer_is_read_in_any_case_and_from_the_body_where_nothing_says_it() {
        let said = |kind: &str| Form::of(kind);
        for kind in [
            "text/event-stream",
            "Text/Event-Stream; charset=UTF-8",
            " text/event-stream ;x",
        ] {
            assert_eq!(said(kind), Said::This(Form::Events), "{kind}");
        }
        for kind in [
            "Application/JSON",
            "text/json",
            "application/problem+json;x",
        ] {
            assert_eq!(said(kind), Said::This(Form::Document), "{kind}");
        }
        for kind in ["", "text/plain; charset=utf-8", "application/octet-stream"] {
            assert_eq!(said(kind), Said::Nothing, "{kind}");
        }
        for kind in ["text/html", "image/png", "json"] {
            assert_eq!(said(kind), Said::AnotherThing, "{kind}");
        }
        let body = |body: &str| Form::of_body(body.as_bytes());
        assert_eq!(body("\u{feff}data: {}"), Some(Form::Events));
        assert_eq!(body("\n: hello\n"), Some(Form::Events));
        assert_eq!(body(" {\"id\""), Some(Form::Document));
        assert_eq!(body("<html>"), None);
        assert_eq!(body(" "), None);
    }

    #[tokio::test]
    async fn an_answer_that_says_nothing_is_not_gathered_for_ever() {
        let blank = Bytes::from(vec![b' '; 1 << 10]);
        let endless = futures_util::stream::repeat_with(move || Ok(blank.clone()));
        let mut flow = ByteFlow {
            held: None,
            began: None,
            rest: Box::pin(endless),
        };
        assert_eq!(flow.form().await, None);
        assert_eq!(flow.beginning().len(), LONGEST_PEEK + (1 << 10));
    }

    #[test]
    fn a_refusal_is_one_line_whatever_its_body() {
        for (body, shown) in [
            (
                &b"{\"error\":\n{\"code\": 1.0}}\r\n"[..],
                "{\"error\": {\"code\": 1.0}}",
            ),
            (
                b"<h1>\nBad \"gateway\"</h1>",
                r#""<h1>\nBad \"gateway\"</h1>""#,
            ),
            (b"", "\"\""),
            (b"\xff", "\"\u{fffd}\""),
        ] {
            let refusal = Refusal {
                status: 502,
                headers: Bytes::from_static(b"{\"x\":\"y\"}"),
                body: body.into(),
            };
            let line = String::from_utf8(refusal.line(2).to_vec()).unwrap();
            assert_eq!(
                line,
                format!(
                    "{{\"attempt\":2,\"status\":502,\"headers\":{{\"x\":\"y\"}},\"body\":{shown}}}\n"
                )
            );
            serde_json::from_str::<Value>(&line).unwrap();
        }
    }
}
