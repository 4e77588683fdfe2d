//! An answer that begins before there is one.
//!
//! Some upstreams say nothing, not even headers, until their model speaks; with a long prompt on a small machine that
//! takes minutes, and clients, and proxies between, do not wait for ever. Who asked for a stream gets one after a while
//! all the same, with pings in it, and the answer once it has come. The price: a failure is then told by an event, for its
//! status is gone. This file must not know what a run does to get its answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::body::Taken;
use super::errors;
use super::gateway::{Afterwards, Gateway, go_on_with_turn};
use super::turn::Turn;
use crate::engine::RunFailure;
use crate::events::Reporter;
use crate::facts::{self, payload};
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::anthropic::event;
use crate::protocol::anthropic::request::Request;
use crate::tasks::reply_flow::{GIVEN_UP, ReplyFlow, STOPPING};
use crate::tasks::{ClientReply, Content};

/// How long a client that asked for a stream is left without one.
#[derive(Clone, Copy, Debug)]
pub struct Early {
    /// Until the answer begins.
    pub answer_after: Duration,
    /// From ping to ping until there is something to say.
    pub ping_after: Duration,
}

impl Early {
    /// Waits until an answer to this request has to begin; for ever when it cannot, because no stream was asked for.
    pub(super) async fn due(self, body: Option<&[u8]>) {
        tokio::time::sleep(self.answer_after).await;
        let text = body.and_then(|body| std::str::from_utf8(body).ok());
        let asked = text.and_then(|text| Request::parse_to_pass(text).ok());
        if !asked.is_some_and(|request| request.stream) {
            std::future::pending::<()>().await;
        }
    }
}

/// What a run gives for an answer; nothing when the process can wait no longer.
type Outcome = Option<Result<ClientReply, RunFailure>>;

/// A stream that begins with pings and goes on with the answer of a run.
pub(super) struct EarlyAnswer {
    stage: Stage,
    ping: Pin<Box<Sleep>>,
    ping_after: Duration,
    reporter: Reporter,
    /// The id that the answer's headers told.
    request_id: Arc<str>,
    /// What the client was given before the answer.
    pieces: u64,
    bytes: u64,
    /// Of the request, until its answer is there.
    room: Option<Taken>,
    last_call: CancellationToken,
    tracker: TaskTracker,
    afterwards: Afterwards,
}

/// Waits for what a run gives.
type Asking = Pin<Box<dyn Future<Output = (Turn, Outcome)>>>;

enum Stage {
    Asking(Asking),
    Answering(Box<ReplyFlow>),
    Over,
}

impl EarlyAnswer {
    /// Goes on with a turn whose answer has not come, and gives the room of its request back when it has.
    pub(super) fn new(turn: Turn, gateway: &Gateway, room: Taken) -> Self {
        let last_call = gateway.last_call.clone();
        Self {
            request_id: Arc::clone(&turn.reporter().start().request_id),
            reporter: turn.reporter().clone(),
            stage: Stage::Asking(ask(turn, last_call.clone())),
            // The first one goes out at once: it is what the client has waited for.
            ping: Box::pin(tokio::time::sleep(Duration::ZERO)),
            ping_after: gateway.early.ping_after,
            pieces: 0,
            bytes: 0,
            room: Some(room),
            last_call,
            tracker: gateway.tracker.clone(),
            afterwards: gateway.afterwards.clone(),
        }
    }

    /// Takes what the run gave; returns what is to be said at once.
    fn take(&mut self, mut turn: Turn, outcome: Outcome) -> Option<Bytes> {
        let outcome = match outcome {
            Some(Err(failure)) => match turn.fall_back(failure) {
                Ok(()) => {
                    self.go_on_with(turn);
                    return None;
                }
                Err(told) => Some(Err(told)),
            },
            outcome => outcome,
        };
        self.stage = Stage::Over;
        self.room = None;
        // Who ends it before its time from now on is Dagway.
        turn.if_dropped(GIVEN_UP);
        let Some(replied) = outcome else {
            return Some(self.fail(&ApiError::overloaded(STOPPING)));
        };
        let said = match replied {
            Ok(reply) => match reply.content {
                Content::Stream(mut flow) => {
                    flow.end_at(self.last_call.clone());
                    flow.go_on_after(self.pieces, self.bytes);
                    self.stage = Stage::Answering(flow);
                    None
                }
                Content::Whole(_) => {
                    let message = "the answer came whole, where a stream had begun already";
                    Some(self.fail(&ApiError::api(message)))
                }
            },
            Err(failure) => Some(self.fail(&errors::of_run(&failure))),
        };
        go_on_with_turn(&self.tracker, &self.afterwards, turn);
        said
    }

    /// Waits for another run, to which the client's stream belongs from now on.
    fn go_on_with(&mut self, turn: Turn) {
        self.reporter = turn.reporter().clone();
        self.reporter.fact(facts::STATUS, 200_i64);
        (self.pieces, self.bytes) = (0, 0);
        self.stage = Stage::Asking(ask(turn, self.last_call.clone()));
    }

    fn fail(&mut self, error: &ApiError) -> Bytes {
        self.reporter.fact(facts::ERROR_TYPE, error.kind.name());
        let event = error.event(&self.request_id);
        self.say(event)
    }

    fn say(&mut self, event: Vec<u8>) -> Bytes {
        let event = Bytes::from(event);
        self.pieces += 1;
        self.bytes += event.len() as u64;
        self.reporter.progress(self.pieces, self.bytes);
        self.reporter
            .payload(payload::CLIENT_RESPONSE, event.clone());
        event
    }
}

/// Waits for what the turn's run gives.
fn ask(mut turn: Turn, last_call: CancellationToken) -> Asking {
    let span = turn.span().clone();
    let asking = async move {
        let replied = tokio::select! {
            biased;
            replied = turn.attempt() => Some(replied),
            () = last_call.cancelled() => None,
        };
        (turn, replied)
    };
    Box::pin(asking.instrument(span))
}

impl Stream for EarlyAnswer {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while let Stage::Asking(asking) = &mut this.stage {
            if let Poll::Ready((turn, outcome)) = asking.as_mut().poll(cx) {
                if let Some(said) = this.take(turn, outcome) {
                    return Poll::Ready(Some(Ok(said)));
                }
            } else if this.ping.as_mut().poll(cx).is_ready() {
                this.ping.as_mut().reset(Instant::now() + this.ping_after);
                // It has to be asked to hear of the next one.
                cx.waker().wake_by_ref();
                let mut ping = Vec::new();
                event::ping(&mut ping);
                return Poll::Ready(Some(Ok(this.say(ping))));
            } else {
                return Poll::Pending;
            }
        }
        match &mut this.stage {
            Stage::Answering(flow) => Pin::new(&mut **flow).poll_next(cx),
            Stage::Asking(_) | Stage::Over => Poll::Ready(None),
        }
    }
}
