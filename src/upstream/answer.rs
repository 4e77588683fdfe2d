//! What an upstream answers: headers, then a flow of bytes or a whole body.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::Response;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};

use super::byte_flow::ByteFlow;
use super::client::Api;
use super::form::{Form, Said, first_event};
use super::headers;
use super::refusal::{Failure, Refusal};
use crate::protocol::native;
use crate::protocol::openrouter::error::{Headers, UpstreamError, from_answer};
use crate::protocol::sse::without_mark;

/// The longest body of an error that is read.
const LONGEST_ERROR: usize = 1 << 20;
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
    /// The error that a body is: a document, or events, of which the first says it.
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
        let event = first_event(body);
        let said = event.as_deref().unwrap_or_else(|| without_mark(body));
        let mut error = read(self.status, &self.content_type, headers, said);
        error.api.headers.clone_from(&self.anthropics);
        error
    }

    /// The error that an answer is whose body comes in this packing. Nothing is unpacked here: it was asked for plain.
    fn packed(&self, packing: &str) -> UpstreamError {
        let sentence = format!(
            "it sent its answer packed (`content-encoding: {packing}`), though it was asked not to; is there a proxy in \
             between that packs answers? Have it let them pass as they are"
        );
        if self.status < 300 {
            return UpstreamError::of_no_use_ever(&sentence);
        }
        let mut error = self.error(b"");
        error.api.message = format!(
            "the upstream answered with status {}, and {sentence}",
            self.status
        );
        error
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
        if let Some(packing) = packing(response.headers()) {
            let error = head.packed(&packing);
            let refusal = Refusal {
                status: status.as_u16(),
                headers,
                body: Bytes::new(),
            };
            return Err(refusal.into_failure(error));
        }
        let generation = text(response.headers(), "x-generation-id");
        let content_type = head.content_type.clone();
        let mut flow = ByteFlow::of_response(response);
        let form = match Form::of(&content_type) {
            _ if !status.is_success() => None,
            Said::This(form) => Some(form),
            Said::Nothing => flow.form().await?,
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
        let Some(error) = flow.early_error(wait, self.api).await else {
            return Ok(self);
        };
        let refusal = Refusal {
            status: self.status,
            headers: self.headers,
            body: Bytes::copy_from_slice(flow.beginning()),
        };
        Err(refusal.into_failure(error))
    }

    /// Reads the body whole, without a byte order mark.
    ///
    /// # Errors
    /// When the connection breaks or the body is longer than 64 MB.
    pub async fn whole(self) -> Result<Bytes, UpstreamError> {
        match self.body {
            Body::Stream(flow) | Body::Whole(flow) => {
                let body = flow.whole().await?;
                Ok(body.slice_ref(without_mark(&body)))
            }
        }
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

/// What the body is packed with, if it is.
fn packing(headers: &HeaderMap) -> Option<String> {
    const LONGEST: usize = 60;
    let codings = headers.get_all(CONTENT_ENCODING).iter();
    codings
        .map(|coding| String::from_utf8_lossy(coding.as_bytes()))
        .find(|coding| !coding.trim().is_empty() && !coding.trim().eq_ignore_ascii_case("identity"))
        .map(|coding| coding.trim().chars().take(LONGEST).collect())
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn head(api: Api, status: u16) -> AnswerHead {
        head_of(api, status, &HeaderMap::new())
    }

    #[test]
    fn an_error_is_read_from_events_and_behind_a_mark_too() {
        let document = r#"{"error":{"message":"pay up","code":402}}"#;
        for body in [
            format!("data: {document}\n\ndata: [DONE]\n\n"),
            format!(": wait\n\ndata: {document}"),
            format!("\u{feff}{document}"),
            document.to_owned(),
        ] {
            let error = head(Api::Chat, 402).error(body.as_bytes());
            assert_eq!(error.api.status, 402, "{body}");
            assert!(error.api.message.starts_with("pay up"), "{error}");
        }
        let native =
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        let body = format!("event: error\ndata: {native}\n\n");
        let error = head(Api::Messages, 529).error(body.as_bytes());
        assert_eq!(error.api.body("req_1"), native.as_bytes());
    }

    #[test]
    fn a_packed_answer_is_told_by_its_packing_and_useless_for_ever_unless_its_status_says_more() {
        let mut headers = HeaderMap::new();
        assert_eq!(packing(&headers), None);
        headers.append(CONTENT_ENCODING, HeaderValue::from_static("Identity"));
        assert_eq!(packing(&headers), None);
        headers.append(CONTENT_ENCODING, HeaderValue::from_static("br"));
        assert_eq!(packing(&headers).as_deref(), Some("br"));
        for (status, told, retryable) in [(200, 502, false), (429, 429, true), (403, 403, false)] {
            let error = head(Api::Chat, status).packed("br");
            assert_eq!((error.api.status, error.retryable), (told, retryable));
            let message = &error.api.message;
            assert!(message.contains("`content-encoding: br`"), "{message}");
        }
    }
}
