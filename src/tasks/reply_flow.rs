//! A streamed answer on its way: upstream bytes in, Anthropic events out, one piece per pull.
//!
//! The client's socket pulls; what the upstream has ready is translated in one go and flushed. While there is nothing to
//! say the client gets pings, whether the upstream is silent or thinks aloud what the client has not asked for; after too
//! much silence of the upstream's, an error. However it ends, the tail is reported once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::Stream;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::convert_response::ReplySummary;
use super::converter::Converter;
use super::record::Record;
use crate::engine::{FlowEnd, TailReporter, TaskError};
use crate::events::{Reporter, Timestamp};
use crate::facts::{self, payload};
use crate::protocol::anthropic::error::ApiError;
use crate::upstream::{ByteFlow, byte_flow::broken};

/// A piece handed to the socket is not grown beyond this while more is ready.
const FULL_PIECE: usize = 16 << 10;
/// How long the usage may come after the finish; some upstreams never send it.
const USAGE_WAIT: Duration = Duration::from_secs(2);
/// How long the connection may go on after the answer; its proper end lets it be used again.
const END_WAIT: Duration = Duration::from_millis(250);
/// Chunks that follow one another this fast come from one burst.
const RUSH: Duration = Duration::from_micros(200);
/// How often the run is told how much has passed.
const PROGRESS_PAUSE: Duration = Duration::from_millis(200);

/// What clients are told whose answer a stopping process cannot wait for.
pub const STOPPING: &str = "Dagway is being stopped, and this answer took longer than it could wait; ask again in a moment";

/// What the run says of an answer that had not begun by then.
pub const GIVEN_UP: &str = "Dagway was being stopped and gave it up";

/// What the run of a client says that let go of its answer.
pub const HUNG_UP: &str = "the client hung up";

/// How long silence is borne.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long the client is told nothing before it gets a ping.
    pub ping_after: Duration,
    /// The upstream's silence without any byte after which the stream is given up.
    pub idle: Duration,
    /// The upstream's silence without data after which the stream is given up, comments or not.
    pub progress: Duration,
}

/// When an answer was asked for, and how long its silence is borne.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// When the attempt that gave it was sent.
    pub sent: Instant,
    /// How long silence is borne.
    pub patience: Patience,
}

/// A streamed answer on its way.
pub struct ReplyFlow {
    upstream: Option<ByteFlow>,
    converter: Converter,
    tail: Option<TailReporter<ReplySummary>>,
    reporter: Reporter,
    patience: Patience,
    timer: Pin<Box<Sleep>>,
    /// Ends when the process can wait no longer for this answer.
    last_call: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// The same, to be asked when the client takes nothing more.
    stop: Option<CancellationToken>,
    was_stopped: bool,
    out: Vec<u8>,
    /// What came of the upstream; nothing where its answer was recorded before.
    answered: Option<Record>,
    given: Record,
    sent: Instant,
    /// When the upstream's first data came, if that was held back.
    began: Option<Instant>,
    /// The upstream's chunks follow one another faster than they are worth a system call each.
    is_rushing: bool,
    has_waited: bool,
    last_byte: Instant,
    last_data: Instant,
    /// When the client was told something last.
    last_given: Instant,
    last_progress: Instant,
    data_lines: u64,
    /// Whether the client has heard a word.
    has_spoken: bool,
    /// Whether a piece of its own has gone out.
    has_given: bool,
    pieces: u64,
    bytes: u64,
}

impl ReplyFlow {
    /// Wraps an upstream's stream.
    #[must_use]
    pub fn new(
        upstream: ByteFlow,
        converter: Converter,
        Timing { sent, patience }: Timing,
        tail: TailReporter<ReplySummary>,
        reporter: Reporter,
    ) -> Self {
        let now = Instant::now();
        let began = upstream.began;
        let is_to_record = upstream.is_as_it_came;
        let mut flow = Self {
            began,
            upstream: Some(upstream),
            converter,
            tail: Some(tail),
            reporter,
            patience,
            timer: Box::pin(tokio::time::sleep(patience.ping_after)),
            last_call: None,
            stop: None,
            was_stopped: false,
            out: Vec::new(),
            answered: is_to_record.then_some(Record::new(payload::UPSTREAM_RESPONSE)),
            given: Record::new(payload::CLIENT_RESPONSE),
            sent,
            is_rushing: false,
            has_waited: false,
            last_byte: now,
            last_data: now,
            // A client whose answer was held back has waited since.
            last_given: began.unwrap_or(now),
            last_progress: now,
            data_lines: 0,
            has_spoken: false,
            has_given: false,
            pieces: 0,
            bytes: 0,
        };
        flow.set_timer();
        flow
    }

    /// Goes on with an answer of which the client was given so much already.
    pub fn go_on_after(&mut self, pieces: u64, bytes: u64) {
        self.pieces = pieces;
        self.bytes = bytes;
    }

    /// Has the answer end with an error when `last_call` is cancelled.
    pub fn end_at(&mut self, last_call: CancellationToken) {
        self.last_call = Some(Box::pin(last_call.clone().cancelled_owned()));
        self.stop = Some(last_call);
    }

    /// When the process can wait no longer, the answer ends with an error.
    fn heed_last_call(&mut self, cx: &mut Context<'_>) {
        let heard = self.last_call.as_mut();
        if !heard.is_some_and(|call| call.as_mut().poll(cx).is_ready()) {
            return;
        }
        self.last_call = None;
        self.upstream = None;
        if self.converter.is_finishing() {
            // Only figures were missing: what the client has is whole.
            self.converter.end(&mut self.out);
            return;
        }
        self.was_stopped = true;
        let error = ApiError::overloaded(STOPPING);
        self.converter.fail(error, &mut self.out);
    }

    /// Takes what the upstream has ready. Returns whether it has ended.
    fn pull(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_read = false;
        while self.out.len() < FULL_PIECE {
            let Some(upstream) = self.upstream.as_mut() else {
                return true;
            };
            match Pin::new(upstream).poll_next(cx) {
                Poll::Ready(Some(Ok(bytes))) => {
                    has_read = true;
                    if let Some(answered) = &mut self.answered {
                        answered.take(&bytes, &self.reporter);
                    }
                    // What is made of a chunk is seldom longer than it.
                    self.out.reserve(bytes.len());
                    self.converter.push(&bytes, &mut self.out);
                }
                // Only figures were missing: what the client has is whole.
                Poll::Ready(Some(Err(_))) if self.converter.is_finishing() => {
                    self.converter.end(&mut self.out);
                    self.upstream = None;
                }
                Poll::Ready(Some(Err(error))) => {
                    self.converter.fail(broken(&error).api, &mut self.out);
                    self.upstream = None;
                }
                Poll::Ready(None) => {
                    self.converter.end(&mut self.out);
                    self.upstream = None;
                }
                Poll::Pending => break,
            }
        }
        if has_read {
            self.note_arrival();
        }
        false
    }

    fn note_arrival(&mut self) {
        let now = Instant::now();
        self.is_rushing = now.duration_since(self.last_byte) < RUSH;
        self.last_byte = now;
        if !self.has_spoken && self.converter.has_spoken() {
            self.has_spoken = true;
            state_first(&self.reporter);
        }
        let data_lines = self.converter.chunks();
        if data_lines != self.data_lines {
            if self.data_lines == 0 {
                let began = self.began.unwrap_or(now);
                let of_the_attempt = began.duration_since(self.sent);
                self.reporter
                    .fact(facts::FIRST_TOKEN, of_the_attempt.as_secs_f64());
            }
            self.data_lines = data_lines;
            self.last_data = now;
            if self.converter.is_finishing() || self.converter.is_done() {
                self.set_timer();
            }
        }
    }

    /// There is nothing to say: pings, or gives up. Returns whether there is something to say now, or nothing any more.
    fn bear_silence(&mut self, cx: &mut Context<'_>) -> bool {
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let since_byte = now.duration_since(self.last_byte);
            let since_data = now.duration_since(self.last_data);
            if self.converter.is_done() {
                self.upstream = None;
                return true;
            }
            let is_stuck = since_data >= self.patience.progress;
            if self.converter.is_finishing() {
                if since_data >= USAGE_WAIT {
                    self.converter.end(&mut self.out);
                    self.upstream = None;
                    return true;
                }
            } else if since_byte >= self.patience.idle || is_stuck {
                let silent = since_byte.max(since_data).as_secs();
                let message =
                    format!("the upstream sent nothing for {silent} s, so its answer was given up");
                self.converter
                    .fail(ApiError::timeout(message), &mut self.out);
                self.upstream = None;
                return true;
            }
            if now.duration_since(self.last_given) >= self.patience.ping_after {
                self.converter.ping(&mut self.out);
                self.last_given = now;
            }
            self.set_timer();
            if !self.out.is_empty() {
                return true;
            }
        }
        false
    }

    /// Sets the timer to the first moment at which something may be due. What arrives later puts most of these off, so
    /// the timer is asked anew only when it has run out, or when the answer is nearly over.
    fn set_timer(&mut self) {
        let Patience {
            ping_after,
            idle,
            progress,
        } = self.patience;
        let until = if self.converter.is_done() {
            self.last_data + END_WAIT
        } else if self.converter.is_finishing() {
            self.last_data + USAGE_WAIT
        } else {
            let given_up = (self.last_byte + idle).min(self.last_data + progress);
            given_up.min(self.last_given + ping_after)
        };
        self.timer
            .as_mut()
            .reset(tokio::time::Instant::from_std(until));
    }

    /// Whether to let the connection's task run once more before a piece goes out: it hands over one chunk at a time,
    /// so a burst would become as many writes as it has chunks. Never waits for time to pass, and never twice in vain.
    fn is_worth_waiting(&mut self, has_ended: bool, before: usize) -> bool {
        let has_grown = self.out.len() > before;
        let may_grow = !has_ended && self.upstream.is_some() && self.out.len() < FULL_PIECE;
        self.has_waited = self.is_rushing && may_grow && (has_grown || !self.has_waited);
        self.has_waited
    }

    /// The next piece for the client.
    fn piece(&mut self) -> Bytes {
        let piece = Bytes::from(std::mem::take(&mut self.out));
        self.given.take(&piece, &self.reporter);
        self.pieces += 1;
        self.bytes += piece.len() as u64;
        self.last_given = self.last_given.max(self.last_byte);
        let now = self.last_byte;
        if now.duration_since(self.last_progress) >= PROGRESS_PAUSE || !self.has_given {
            self.has_given = true;
            self.last_progress = now;
            self.reporter.progress(self.pieces, self.bytes);
            self.reporter.flush();
        }
        piece
    }

    /// Says whose fault it was that the answer broke off.
    fn blame(&self, error: ApiError) -> TaskError {
        if self.was_stopped {
            return TaskError::ours(error);
        }
        if error.message.starts_with("the upstream") {
            return TaskError::upstream(error);
        }
        let message = format!("the upstream failed in mid-answer: {}", error.message);
        TaskError::upstream(ApiError { message, ..error })
    }

    /// Only the client's socket pulls, so nobody else can have let go, unless the process closed it to stop.
    fn hung_up(&self) -> TaskError {
        if self
            .stop
            .as_ref()
            .is_some_and(CancellationToken::is_cancelled)
        {
            return TaskError::ours(self.reporter.after(GIVEN_UP));
        }
        TaskError::client(self.reporter.after(HUNG_UP))
    }

    /// Reports the end, once.
    fn close(&mut self) {
        let Some(tail) = self.tail.take() else { return };
        self.upstream = None;
        if let Some(answered) = &mut self.answered {
            answered.hand_over(&self.reporter);
        }
        self.given.hand_over(&self.reporter);
        self.reporter.progress(self.pieces, self.bytes);
        let summary = self.converter.summary();
        if let Some(error) = &summary.error {
            self.reporter.fact(facts::ERROR_TYPE, error.kind.name());
        }
        let how = match &summary.error {
            Some(error) => FlowEnd::Failed(Arc::new(self.blame(error.clone()))),
            None if self.converter.is_done() => FlowEnd::Finished,
            None => FlowEnd::Dropped(Arc::new(self.hung_up())),
        };
        tail.report(ReplySummary(summary), how);
        self.reporter.flush();
    }
}

/// States that now the first of the answer is there for the client.
pub(super) fn state_first(reporter: &Reporter) {
    let waited = Timestamp::now().since(reporter.start().at);
    reporter.fact(facts::FIRST_FOR_CLIENT, waited.as_secs_f64());
}

impl Stream for ReplyFlow {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let before = this.out.len();
        // Asked first: an upstream that always has more ready must not keep the process from stopping.
        this.heed_last_call(cx);
        let has_ended = this.pull(cx);
        if this.out.is_empty() && has_ended {
            this.close();
            return Poll::Ready(None);
        }
        if this.out.is_empty() && !this.bear_silence(cx) {
            return Poll::Pending;
        }
        if this.out.is_empty() {
            this.close();
            return Poll::Ready(None);
        }
        if this.is_worth_waiting(has_ended, before) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(this.piece())))
    }
}

impl Drop for ReplyFlow {
    fn drop(&mut self) {
        self.close();
    }
}
