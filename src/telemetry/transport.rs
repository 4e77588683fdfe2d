//! Carries OTLP requests over the process's own HTTP client, and tries again what a collector may take later.
//!
//! The span processor exports from a thread of its own, where no reactor runs. So each request is handed to the process's
//! runtime, with all its attempts and the pauses between them in one time limit, and waited for.
//! It must not know what the bytes mean.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use reqwest::{StatusCode, Url};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::retries::Retries;

/// Answers to an export are a few bytes; whoever sends more is no collector.
const LONGEST_ANSWER: usize = 64 * 1024;
/// Who is at the collector's door.
const DAGWAY: &str = concat!("dagway/", env!("CARGO_PKG_VERSION"));

/// Sends requests on a runtime that runs elsewhere.
#[derive(Debug)]
pub(super) struct Transport {
    post: Arc<Post>,
    runtime: Handle,
}

/// Where requests go and with what.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) client: reqwest::Client,
    pub(super) url: Url,
    /// Sent with each request; they take precedence over the transport's own.
    pub(super) headers: HeaderMap,
    /// The time for a request with all its attempts.
    pub(super) timeout: Duration,
    pub(super) last_failure: LastFailure,
}

/// Why the last request failed, in words, for whoever reports it.
#[derive(Clone, Debug, Default)]
pub(super) struct LastFailure(Arc<Mutex<Option<String>>>);

impl LastFailure {
    pub(super) fn set(&self, words: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
    }

    pub(super) fn get(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the collector answered {status}")]
    Refused {
        status: StatusCode,
        /// The wait that the collector asked for.
        wait: Option<Duration>,
    },
    /// There is no connection.
    #[error("{0}")]
    Unreachable(String),
    /// There is one, and no HTTP answer came over it.
    #[error("{0}")]
    Broken(String),
    #[error("the collector's answer is longer than {LONGEST_ANSWER} bytes")]
    LongAnswer,
    #[error("no answer within {0:?}")]
    OutOfTime(Duration),
    #[error("the runtime has shut down")]
    NoRuntime,
}

impl Transport {
    pub(super) fn new(mut post: Post, runtime: Handle) -> Self {
        let own = [
            (CONTENT_TYPE, "application/x-protobuf"),
            (USER_AGENT, DAGWAY),
        ];
        for (name, value) in own {
            let header = post.headers.entry(name);
            header.or_insert(HeaderValue::from_static(value));
        }
        let post = Arc::new(post);
        Self { post, runtime }
    }

    /// Sends a request once, on the runtime on which it is waited for, and gives the answer of the collector that took it.
    ///
    /// # Errors
    /// When it was not taken.
    pub(super) async fn deliver_once(&self, body: Bytes) -> Result<Bytes, Failure> {
        let limit = self.post.timeout;
        let answer = tokio::time::timeout(limit, self.post.send(body)).await;
        answer.unwrap_or(Err(Failure::OutOfTime(limit)))
    }

    /// Sends a request and gives the answer of the collector that took it.
    ///
    /// # Errors
    /// When no attempt succeeded.
    pub(super) async fn deliver(&self, body: Bytes) -> Result<Bytes, Failure> {
        let post = Arc::clone(&self.post);
        // The timers need the runtime as much as the requests do.
        #[expect(
            clippy::disallowed_methods,
            reason = "whoever waits for the delivery owns it: dropped, it ends"
        )]
        let delivery = self
            .runtime
            .spawn(async move { post.send_until_taken(body).await });
        AbortOnDropHandle::new(delivery).await.unwrap_or_else(|_| {
            self.post.last_failure.set(Failure::NoRuntime.to_string());
            Err(Failure::NoRuntime)
        })
    }
}

impl Post {
    async fn send_until_taken(&self, body: Bytes) -> Result<Bytes, Failure> {
        let began = Instant::now();
        let left = || self.timeout.saturating_sub(began.elapsed());
        let mut retries = Retries::new();
        loop {
            let attempt = tokio::time::timeout(left(), self.send(body.clone()));
            let outcome = attempt.await;
            let failure = match outcome.unwrap_or(Err(Failure::OutOfTime(self.timeout))) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            self.last_failure.set(failure.to_string());
            let pause = match failure.may_pass() {
                Some(wait) => retries.next(wait),
                None => None,
            };
            match pause {
                Some(pause) if pause < left() => tokio::time::sleep(pause).await,
                _ => return Err(failure),
            }
        }
    }

    async fn send(&self, body: Bytes) -> Result<Bytes, Failure> {
        let request = self.client.post(self.url.clone());
        let request = request.headers(self.headers.clone()).body(body);
        let mut answer = request.send().await.map_err(Failure::of)?;
        let mut body = BytesMut::new();
        while let Some(piece) = answer.chunk().await.map_err(Failure::of)? {
            if body.len() + piece.len() > LONGEST_ANSWER {
                return Err(Failure::LongAnswer);
            }
            body.extend_from_slice(&piece);
        }
        let status = answer.status();
        if status.is_success() {
            return Ok(body.freeze());
        }
        let wait = answer.headers().get(RETRY_AFTER).and_then(wait);
        Err(Failure::Refused { status, wait })
    }
}

impl Failure {
    fn of(error: reqwest::Error) -> Self {
        let failure = if error.is_connect() {
            Self::Unreachable
        } else {
            Self::Broken
        };
        failure(in_words(&error.without_url()))
    }

    /// Whether another attempt may succeed, by OTLP's list of statuses, and the wait that the collector asked for.
    const fn may_pass(&self) -> Option<Option<Duration>> {
        match self {
            Self::Refused { status, wait } => match status.as_u16() {
                429 | 503 => Some(*wait),
                502 | 504 => Some(None),
                _ => None,
            },
            Self::Unreachable(_) | Self::Broken(_) => Some(None),
            Self::LongAnswer | Self::OutOfTime(_) | Self::NoRuntime => None,
        }
    }
}

/// The wait in a `Retry-After`: seconds, or the moment at which it is over.
fn wait(header: &HeaderValue) -> Option<Duration> {
    let text = header.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let over = DateTimeParser::new().parse_timestamp(text).ok()?;
    over.duration_since(Timestamp::now()).try_into().ok()
}

/// The error and its causes on one line: a client's own message seldom says what really happened.
fn in_words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_from_seconds_and_from_a_date() {
        for (text, seconds) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("-1", None),
            ("soon", None),
            ("Fri, 31 Dec 1999 23:59:59 GMT", None),
        ] {
            let header = HeaderValue::from_static(text);
            assert_eq!(wait(&header), seconds.map(Duration::from_secs), "{text}");
        }
        let far = wait(&HeaderValue::from_static("Wed, 01 Jan 9000 00:00:00 GMT"));
        assert!(far.is_some_and(|wait| wait > Duration::from_hours(24)));
    }
}
