//! The way out for spans: OpenTelemetry's batch processor and OTLP over HTTP, behind a gate.
//!
//! The gate admits a trace whole or not at all, so that a full queue never leaves a trace without its root, and it
//! counts, because the processor drops in silence. Nothing here blocks a caller: a collector that is down or slow costs
//! its spans and a line in the log at most once a minute.
//! This file must not know what a run is.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, Span, SpanData, SpanExporter,
    SpanProcessor,
};
use tokio::runtime::Handle;

use super::collector;
pub use super::collector::{Settings, pairs};
use super::otlp::answer::partial_success;
use super::otlp::request::Sender;
use super::probe::Probe;
use super::record::cut;
use super::transport::{LastFailure, Post, Transport};

/// The shortest time between two log lines about lost spans.
const BETWEEN_COMPLAINTS: Duration = Duration::from_mins(1);
/// Spans in one request to the collector.
const MOST_SPANS_A_REQUEST: usize = 512;

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The endpoint is not one. It is not shown, for a password or a token may stand in it.
    #[error(
        "OTEL_EXPORTER_OTLP_ENDPOINT is no OTLP endpoint; give the collector's base address, such as \
         http://localhost:4318, with nothing from a `?` on"
    )]
    Endpoint,
    /// A header cannot be sent.
    #[error(
        "the OTLP header `{0}` cannot be sent: its name or its value holds a character that no header may have; \
         OTEL_EXPORTER_OTLP_HEADERS takes name=value pairs with commas between them"
    )]
    Header(String),
    /// Something between two commas is no pair.
    #[error(
        "entry {place} of {variable} is no name=value pair; write such pairs with commas between them, and %2C for a \
         comma in a value"
    )]
    Pair {
        /// Where it was written.
        variable: &'static str,
        /// Which, counted from one.
        place: usize,
    },
    /// Spans were left when the time was up.
    #[error("spans were left unexported at shutdown: {0}")]
    Shutdown(#[source] OTelSdkError),
}

/// The running export. Cheap to clone; end it once with [`SpanExport::shutdown`].
#[derive(Clone, Debug)]
pub struct SpanExport {
    gate: Arc<Gate>,
    provider: SdkTracerProvider,
}

#[derive(Debug)]
struct Gate {
    processor: BatchSpanProcessor,
    room: usize,
    counts: Arc<Counts>,
    last_failure: LastFailure,
    complaint: Mutex<Complaint>,
}

#[derive(Debug, Default)]
struct Counts {
    waiting: AtomicUsize,
    exported: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    given_up: AtomicBool,
}

#[derive(Debug, Default)]
struct Complaint {
    last: Option<Instant>,
    lost_then: u64,
}

impl SpanExport {
    /// Starts to export to the collector that `settings` name, over `client`, whose requests run on `runtime`.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn start(
        settings: &Settings,
        client: reqwest::Client,
        runtime: Handle,
    ) -> Result<Self, Error> {
        let last_failure = LastFailure::default();
        let counts = Arc::new(Counts::default());
        let post = post(settings, client, last_failure.clone())?;
        let resource = collector::resource(settings);
        let exporter = Exporter {
            sender: Sender::new(&resource),
            transport: Transport::new(post, runtime),
            counts: Arc::clone(&counts),
            last_failure: last_failure.clone(),
        };
        let room = settings.queue.max(MOST_SPANS_A_REQUEST);
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(room)
            .with_max_export_batch_size(MOST_SPANS_A_REQUEST)
            .with_scheduled_delay(settings.delay)
            .build();
        let gate = Arc::new(Gate {
            processor: BatchSpanProcessor::new(exporter, config),
            room,
            counts,
            last_failure,
            complaint: Mutex::default(),
        });
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Background(Arc::clone(&gate)))
            .with_resource(resource)
            .build();
        Ok(Self { gate, provider })
    }

    /// Takes places for the spans of one trace: for all of them or, when there is no room, for none.
    pub(super) fn admit(&self, spans: usize) -> Option<Admission<'_>> {
        let gate = &*self.gate;
        gate.admit(spans).then(|| Admission { gate, left: spans })
    }

    /// For the spans of background work, which `tracing` opens.
    pub(super) fn provider(&self) -> &SdkTracerProvider {
        &self.provider
    }

    /// Logs what was lost since the last time, unless that was less than a minute ago.
    pub(super) fn complain(&self) {
        self.gate.complain();
    }

    /// What happened to the spans so far, for `/metrics`.
    #[must_use]
    pub fn probes(&self) -> Vec<Probe> {
        let probe = |name, help, count: fn(&Counts) -> u64| {
            let counts = Arc::clone(&self.gate.counts);
            Probe::new(name, help, move || count(&counts))
        };
        vec![
            probe(
                "dagway_spans_exported_total",
                "Spans that the OTLP collector took.",
                |counts| counts.exported.load(Ordering::Relaxed),
            ),
            probe(
                "dagway_spans_failed_total",
                "Spans lost because the OTLP collector could not be reached or refused them.",
                |counts| counts.failed.load(Ordering::Relaxed),
            ),
            probe(
                "dagway_spans_dropped_total",
                "Spans lost because too many were waiting for export.",
                |counts| counts.dropped.load(Ordering::Relaxed),
            ),
            probe(
                "dagway_spans_waiting",
                "Spans waiting for export.",
                |counts| u64::try_from(counts.waiting.load(Ordering::Relaxed)).unwrap_or(u64::MAX),
            ),
        ]
    }

    /// Exports what waits and ends the export, within `deadline`. It blocks: call it where blocking is allowed, after
    /// the observers have finished and while the runtime still runs.
    ///
    /// # Errors
    /// When the time was up or the last export failed; what was left is lost.
    pub fn shutdown(&self, deadline: Duration) -> Result<(), Error> {
        let outcome = self.gate.processor.shutdown_with_timeout(deadline);
        self.gate.counts.given_up.store(true, Ordering::Relaxed);
        self.gate.complain();
        match outcome {
            Ok(()) | Err(OTelSdkError::AlreadyShutdown) => Ok(()),
            Err(error) => Err(Error::Shutdown(error)),
        }
    }
}

/// Where requests go, as `settings` say, and with what.
pub(super) fn post(
    settings: &Settings,
    client: reqwest::Client,
    last_failure: LastFailure,
) -> Result<Post, Error> {
    Ok(Post {
        client,
        url: collector::traces_url(&settings.endpoint)?,
        headers: collector::headers(&settings.headers)?,
        timeout: settings.timeout,
        last_failure,
    })
}

/// Places in the queue that have been taken for one trace.
#[derive(Debug)]
pub(super) struct Admission<'a> {
    gate: &'a Gate,
    left: usize,
}

impl Admission<'_> {
    /// Hands over the next span; one that has no place is left out.
    #[inline]
    pub(super) fn send(&mut self, span: SpanData) {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            self.gate.processor.on_end(span);
        }
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        self.gate
            .counts
            .waiting
            .fetch_sub(self.left, Ordering::AcqRel);
    }
}

impl Gate {
    /// Makes room for `spans`, or counts them as dropped. What is admitted the processor's queue has room for:
    /// places are taken here before the spans enter it, and given back after they have left it.
    fn admit(&self, spans: usize) -> bool {
        let waiting = self.counts.waiting.fetch_add(spans, Ordering::AcqRel);
        if waiting + spans <= self.room {
            return true;
        }
        self.counts.waiting.fetch_sub(spans, Ordering::AcqRel);
        add(&self.counts.dropped, spans);
        false
    }

    fn complain(&self) {
        let dropped = self.counts.dropped.load(Ordering::Relaxed);
        let failed = self.counts.failed.load(Ordering::Relaxed);
        let due = self
            .complaint
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .due(dropped + failed, Instant::now());
        let Some(lost) = due else { return };
        let reason = self.last_failure.get();
        tracing::warn!(
            spans.lost = lost,
            spans.failed = failed,
            spans.dropped = dropped,
            error = reason.as_deref().unwrap_or("too many spans at once"),
            "spans were lost on their way to the OTLP collector; runs are not affected"
        );
    }
}

impl Complaint {
    /// How many spans were lost since the last complaint, when it is time for another.
    fn due(&mut self, lost: u64, now: Instant) -> Option<u64> {
        let is_too_soon = self
            .last
            .is_some_and(|last| now.duration_since(last) < BETWEEN_COMPLAINTS);
        if lost == self.lost_then || is_too_soon {
            return None;
        }
        let since = lost - self.lost_then;
        self.last = Some(now);
        self.lost_then = lost;
        Some(since)
    }
}

/// Writes spans as OTLP, has them carried to the collector, and counts what became of them.
#[derive(Debug)]
struct Exporter {
    sender: Sender,
    transport: Transport,
    counts: Arc<Counts>,
    last_failure: LastFailure,
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.counts.waiting.fetch_sub(spans, Ordering::AcqRel);
        if self.counts.given_up.load(Ordering::Relaxed) {
            add(&self.counts.failed, spans);
            return Err(OTelSdkError::AlreadyShutdown);
        }
        let request = self.sender.request(&batch);
        drop(batch);
        match self.transport.deliver(request.into()).await {
            Ok(answer) => {
                self.count_taken(&answer, spans);
                Ok(())
            }
            Err(failure) => {
                add(&self.counts.failed, spans);
                Err(OTelSdkError::InternalFailure(failure.to_string()))
            }
        }
    }
}

impl Exporter {
    /// Counts the spans of a request that was taken: as failed those that the answer says were not.
    fn count_taken(&self, answer: &[u8], spans: usize) {
        let said = partial_success(answer);
        let rejected = usize::try_from(said.rejected).map_or(spans, |rejected| rejected.min(spans));
        add(&self.counts.exported, spans - rejected);
        add(&self.counts.failed, rejected);
        let message = cut(&said.message);
        if rejected > 0 {
            self.last_failure
                .set(format!("the collector rejected spans: {message}"));
        } else if !message.is_empty() {
            tracing::debug!(message, "the collector took all spans and made a remark");
        }
    }
}

/// Lets the spans of background work through the same gate.
#[derive(Debug)]
struct Background(Arc<Gate>);

impl SpanProcessor for Background {
    fn on_start(&self, _span: &mut Span, _cx: &opentelemetry::Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.0.admit(1) {
            self.0.processor.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.processor.force_flush()
    }

    /// Leaves the processor running: it is ended by [`SpanExport::shutdown`], for all its users at once.
    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn add(counter: &AtomicU64, spans: usize) {
    counter.fetch_add(u64::try_from(spans).unwrap_or(0), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_told_at_once_and_the_next_one_a_minute_later() {
        let mut complaint = Complaint::default();
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(complaint.due(0, now), None);
        assert_eq!(complaint.due(5, now), Some(5));
        assert_eq!(complaint.due(9, later(59)), None);
        assert_eq!(complaint.due(12, later(60)), Some(7));
        assert_eq!(complaint.due(12, later(600)), None);
        assert_eq!(complaint.due(13, later(601)), Some(1));
    }
}
