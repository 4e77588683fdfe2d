//! The bytes of an answer as they arrive.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use reqwest::Response;

use super::client::Api;
use super::form::Form;
use crate::protocol::native;
use crate::protocol::openrouter::error::UpstreamError;
use crate::protocol::sse::without_mark;
use crate::protocol::translate::reply::{Beginning, Peek, is_object, judged, peek};

/// The longest body that is read whole.
const LONGEST_BODY: usize = 64 << 20;
/// The longest beginning of a stream that is held back.
const LONGEST_PEEK: usize = 64 << 10;

/// Bytes as they arrive. Dropping it closes the connection: nobody pays for tokens that nobody reads.
pub struct ByteFlow {
    held: Option<Bytes>,
    /// When its first data came, if that was held back.
    pub began: Option<Instant>,
    /// Whether these are the bytes that came, and not a form that they were put into.
    pub is_as_it_came: bool,
    rest: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
}

impl ByteFlow {
    /// The body of an answer.
    pub(super) fn of_response(response: Response) -> Self {
        Self {
            held: None,
            began: None,
            is_as_it_came: true,
            rest: Box::pin(response.bytes_stream()),
        }
    }

    /// A JSON document as a stream of one event.
    #[must_use]
    pub fn of_event(document: &[u8]) -> Self {
        let mut event = BytesMut::with_capacity(document.len() + 32);
        event.extend_from_slice(b"data: ");
        // Line ends are white space in JSON, and would end the line here.
        let line = without_mark(document).iter().map(|byte| match byte {
            b'\n' | b'\r' => b' ',
            other => *other,
        });
        event.extend(line);
        event.extend_from_slice(b"\n\ndata: [DONE]\n\n");
        Self {
            held: Some(event.freeze()),
            began: None,
            is_as_it_came: false,
            rest: Box::pin(futures_util::stream::empty()),
        }
    }

    /// What it looks like, once enough of it has come to tell.
    ///
    /// # Errors
    /// When the connection breaks before that.
    pub(super) async fn form(&mut self) -> Result<Option<Form>, UpstreamError> {
        /// The longest word that tells, `retry:`, and as much again.
        const ENOUGH: usize = 12;
        let mut seen = BytesMut::new();
        let mut form = None;
        while let Some(piece) = self.next().await {
            seen.extend_from_slice(&piece.map_err(|error| broken(&error))?);
            form = Form::of_body(&seen);
            let said = without_mark(&seen).trim_ascii_start().len();
            if form.is_some() || said >= ENOUGH || seen.len() > LONGEST_PEEK {
                break;
            }
        }
        self.held = (!seen.is_empty()).then(|| seen.freeze());
        Ok(form)
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

    /// Holds the beginning back, for at most `wait`, until it is known whether the stream begins with an error.
    pub(super) async fn early_error(&mut self, wait: Duration, api: Api) -> Option<UpstreamError> {
        let mut seen = BytesMut::new();
        let looked = tokio::time::timeout(wait, self.look(&mut seen, api)).await;
        self.held = (!seen.is_empty()).then(|| seen.freeze());
        looked.ok().flatten()
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
            Peek::More => Some(UpstreamError::cut("it ended its answer before it began")),
            Peek::Fine => None,
        }
    }

    /// Reads as far as it comes within `wait` and is no longer than `limit`.
    pub(super) async fn read_up_to(&mut self, limit: usize, wait: Duration) -> Vec<u8> {
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
    let reason = root_cause(error);
    UpstreamError::cut(&format!("it broke the connection: {reason}"))
}

/// What lies at the bottom of an error: those above it say in general words what this says exactly.
#[must_use]
pub fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// An answer that is no use, for a reason that another attempt may not meet.
fn failed(reason: &str) -> UpstreamError {
    UpstreamError::no_use(reason)
}

/// Whether these are events, to the last.
fn has_said_its_last(bytes: &[u8]) -> bool {
    let bytes = without_mark(bytes);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_that_says_nothing_is_not_gathered_for_ever() {
        let blank = Bytes::from(vec![b' '; 1 << 10]);
        let endless = futures_util::stream::repeat_with(move || Ok(blank.clone()));
        let mut flow = ByteFlow {
            held: None,
            began: None,
            is_as_it_came: true,
            rest: Box::pin(endless),
        };
        assert_eq!(flow.form().await, Ok(None));
        assert_eq!(flow.beginning().len(), LONGEST_PEEK + (1 << 10));
    }

    #[tokio::test]
    async fn the_form_is_told_however_small_the_pieces_are() {
        for (body, form) in [
            ("\u{feff}data: {}", Some(Form::Events)),
            (" \n {\"id\":1}", Some(Form::Document)),
            ("<!doctype html>", None),
            ("dat", None),
        ] {
            let pieces: Vec<_> = body.bytes().map(|byte| Ok(vec![byte].into())).collect();
            let mut flow = ByteFlow {
                held: None,
                began: None,
                is_as_it_came: true,
                rest: Box::pin(futures_util::stream::iter(pieces)),
            };
            assert_eq!(flow.form().await, Ok(form), "{body}");
            assert!(body.as_bytes().starts_with(flow.beginning()), "{body}");
        }
    }
}
