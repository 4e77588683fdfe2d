//! What an upstream answers: headers, then a flow of bytes or a whole body.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, HeaderMap};

use super::byte_flow::ByteFlow;
use super::client::Api;
use super::form::{Form, Said};
use super::headers;
use super::refusal::{Failure, Refusal};
use crate::protocol::native;
use crate::protocol::openrouter::error::{Headers, UpstreamError, from_answer};

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
        let generation = text(response.headers(), "x-generation-id");
        let content_type = head.content_type.clone();
        let mut flow = ByteFlow::of_response(response);
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
