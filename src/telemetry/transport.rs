//! Carries OTLP requests over the process's own HTTP client.
//!
//! The span processor exports from a thread of its own, where no reactor runs; the clients that come with the exporter
//! panic there or start a hidden runtime. This one hands each request to the process's runtime and waits for it.
//! It must not know what the bytes mean.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use opentelemetry_http::{HttpClient, HttpError, Request, Response, ResponseBodyTooLarge};
use tokio::runtime::Handle;

/// Answers to an export are a few bytes; whoever sends more is no collector.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Sends requests on a runtime that runs elsewhere, each within a time limit.
#[derive(Debug)]
pub(super) struct Transport {
    pub(super) client: reqwest::Client,
    pub(super) runtime: Handle,
    pub(super) timeout: Duration,
    pub(super) last_failure: LastFailure,
}

/// Why the last request failed, in words, for whoever reports it.
#[derive(Clone, Debug, Default)]
pub(super) struct LastFailure(Arc<Mutex<Option<String>>>);

impl LastFailure {
    fn set(&self, words: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
    }

    pub(super) fn get(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[async_trait]
impl HttpClient for Transport {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, timeout) = (self.client.clone(), self.timeout);
        // The timer needs the runtime as much as the request does.
        let sending = async move { tokio::time::timeout(timeout, send(client, request)).await };
        let outcome = match self.runtime.spawn(sending).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(format!("no answer within {:?}", self.timeout).into()),
            Err(_) => Err("the runtime has shut down".into()),
        };
        match &outcome {
            Ok(answer) if !answer.status().is_success() => {
                self.last_failure
                    .set(format!("the collector answered {}", answer.status()));
            }
            Ok(_) => {}
            Err(error) => self.last_failure.set(in_words(error.as_ref())),
        }
        outcome
    }
}

async fn send(
    client: reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let request = reqwest::Request::try_from(request)?;
    let mut answer = client
        .execute(request)
        .await
        .map_err(reqwest::Error::without_url)?;
    let mut body = BytesMut::new();
    while let Some(piece) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + piece.len() > LONGEST_ANSWER {
            return Err(Box::new(ResponseBodyTooLarge::new()));
        }
        body.extend_from_slice(&piece);
    }
    let mut response = Response::new(body.freeze());
    *response.status_mut() = answer.status();
    std::mem::swap(response.headers_mut(), answer.headers_mut());
    Ok(response)
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
