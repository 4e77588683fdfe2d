//! Frames chunks as server-sent events and paces them over a connection that may go away.
//!
//! It must not know what is in the chunks.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use serde_json::{Value, json};

use super::completion::{Completion, Frame};
use super::refusal::error_type;
use super::script::{Break, BreakKind, End, Piece};
use super::seen::Watch;

const COMMENT: &str = ": OPENROUTER PROCESSING\n\n";
const BREATH: Duration = Duration::from_millis(20);
const DONE: &str = "data: [DONE]\n\n";

/// How fast a stream goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tempo {
    pub(super) first: Duration,
    pub(super) pace: Duration,
    /// How many comments come before the first chunk.
    pub(super) comments: u32,
}

/// The pieces of a completion, broken off where `breaks` says so.
pub(super) fn pieces(
    completion: Completion,
    tempo: Tempo,
    breaks: Option<&Break>,
) -> (impl Iterator<Item = Piece> + use<>, End) {
    let frame = completion.frame.clone();
    let chunks = completion.into_chunks();
    let until = breaks.map_or(usize::MAX, |breaks| breaks.after);
    let spoken = chunks.take(until).enumerate().map(move |(index, chunk)| {
        let pause = if index == 0 {
            remaining_wait(tempo)
        } else {
            tempo.pace
        };
        piece(pause, data(&chunk))
    });
    let last_chunk = breaks.and_then(|breaks| last_words(&frame, breaks));
    let last = last_chunk.map(|chunk| piece(tempo.pace, data(&chunk)));
    let end = match breaks.map(|breaks| breaks.kind) {
        None
        | Some(
            BreakKind::Error | BreakKind::BareError | BreakKind::FinishError | BreakKind::Close,
        ) => End::Clean,
        Some(BreakKind::Cut) => End::Cut,
        Some(BreakKind::Hang) => End::Hang,
    };
    let is_done = breaks.is_none() || last.is_some();
    let done = is_done.then(|| piece(Duration::ZERO, DONE.to_owned()));
    (
        waiting(tempo)
            .into_iter()
            .chain(spoken)
            .chain(last)
            .chain(done),
        end,
    )
}

/// The comments that come while the model has not begun.
fn waiting(tempo: Tempo) -> Vec<Piece> {
    (0..tempo.comments)
        .map(|nth| {
            let pause = if nth == 0 {
                Duration::ZERO
            } else {
                tempo.first / tempo.comments
            };
            piece(pause, COMMENT.to_owned())
        })
        .collect()
}

fn remaining_wait(tempo: Tempo) -> Duration {
    tempo.first / tempo.comments.max(1)
}

fn last_words(frame: &Frame, breaks: &Break) -> Option<Value> {
    let error = json!({
        "code": breaks.code,
        "message": breaks.message,
        "metadata": { "error_type": error_type(breaks.code), "provider_code": "simulated" },
    });
    let mut chunk = frame.chunk(&json!({ "content": "" }));
    chunk["choices"][0]["finish_reason"] = "error".into();
    match breaks.kind {
        BreakKind::Error => {
            chunk["error"] = error;
            chunk["choices"][0]["native_finish_reason"] = "error".into();
            Some(chunk)
        }
        BreakKind::BareError => Some(json!({ "error": error })),
        BreakKind::FinishError => {
            chunk["choices"][0]["native_finish_reason"] = "MALFORMED_FUNCTION_CALL".into();
            Some(chunk)
        }
        BreakKind::Cut | BreakKind::Close | BreakKind::Hang => None,
    }
}

fn data(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}

fn piece(pause: Duration, text: String) -> Piece {
    Piece {
        pause,
        bytes: Bytes::from(text),
    }
}

/// Why a body ends without its end.
#[derive(Debug, thiserror::Error)]
#[error("the simulator breaks the connection, as it was told to")]
pub(super) struct Broken;

/// Sends the pieces one by one; dropped early, it leaves word in the log.
pub(super) fn body(
    pieces: impl Iterator<Item = Piece>,
    end: End,
    watch: Watch,
) -> impl Stream<Item = Result<Bytes, Broken>> {
    let state = (pieces, watch, false);
    unfold(
        state,
        move |(mut pieces, mut watch, is_broken)| async move {
            if is_broken {
                return None;
            }
            if let Some(piece) = pieces.next() {
                if !piece.pause.is_zero() {
                    tokio::time::sleep(piece.pause).await;
                }
                return Some((Ok(piece.bytes), (pieces, watch, false)));
            }
            match end {
                End::Clean => {
                    watch.finished();
                    None
                }
                End::Cut => {
                    // The server drops what it has not flushed when a body fails; a breath lets it flush.
                    tokio::time::sleep(BREATH).await;
                    watch.finished();
                    Some((Err(Broken), (pieces, watch, true)))
                }
                End::Hang => {
                    let never: Infallible = std::future::pending().await;
                    match never {}
                }
            }
        },
    )
}
