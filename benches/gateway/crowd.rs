//! A fresh process: how soon it is ready, what it needs idle, and what a thousand open streams add to that.
//!
//! Memory is measured in a process that has done nothing else yet, because an allocator that has once held much does
//! not give it back, and later loads would look free.
//! Streams that are all opened at once need more for a while than streams opened in turn: their requests are read,
//! converted and sent at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

use crate::bodies::Size;
use crate::connection::Connection;
use crate::load::Crew;
use crate::process::Process;
use crate::scenario::{Extent, SHORT_STREAM};
use crate::target::Target;
use crate::upstream::{Flow, Reply, Upstream};

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Streams that are all open at the same time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    pub(crate) size: Size,
    pub(crate) streams: usize,
    pub(crate) chunks: u32,
    pub(crate) gap: Duration,
    /// How long after the one before each is opened.
    pub(crate) apart: Duration,
}

/// What was seen of a fresh process. Directly to the upstream there is no process and no memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fresh {
    pub(crate) ready_ms: Option<f64>,
    /// Bytes.
    pub(crate) idle: Option<f64>,
    /// Bytes a stream, at the highest while the most were open. What has ended is given back later, if at all, and must not be
    /// counted for those that are left.
    pub(crate) per_stream: Option<f64>,
    /// The highest resident memory, in bytes.
    pub(crate) peak: Option<f64>,
    pub(crate) completed: usize,
    pub(crate) failures: usize,
    pub(crate) first_failure: Option<String>,
    /// The most streams that were open at once.
    pub(crate) open_at_once: usize,
    /// From the first request to the last answer's end.
    pub(crate) seconds: f64,
    /// Microseconds of processor time a chunk, the opening of the streams included.
    pub(crate) cpu_per_chunk: Option<f64>,
}

impl Crowd {
    pub(crate) fn all(extent: Extent, streams: usize) -> Vec<Self> {
        let crowd = |size, chunks, apart| Self {
            size,
            streams,
            chunks,
            gap: Duration::from_millis(250),
            apart,
        };
        let (at_once, in_turn) = (Duration::ZERO, Duration::from_millis(2));
        match extent {
            Extent::Quick => vec![
                crowd(Size::Small, 8, at_once),
                crowd(Size::Small, 16, in_turn),
            ],
            Extent::Full => vec![
                crowd(Size::Small, 40, at_once),
                crowd(Size::Small, 40, in_turn),
                crowd(Size::Turn, 40, at_once),
            ],
        }
    }

    pub(crate) fn name(&self) -> String {
        let opened = if self.apart.is_zero() {
            "at-once"
        } else {
            "in-turn"
        };
        format!("streams-{opened}/{}/{}", self.size.name(), self.streams)
    }

    /// Measures a process that has just become ready.
    pub(crate) async fn run(
        &self,
        target: Target,
        process: Option<&Process>,
        upstream: &Upstream,
    ) -> Result<Fresh> {
        let mut fresh = Fresh {
            ready_ms: process.map(|process| process.ready_after().as_secs_f64() * 1e3),
            ..Fresh::default()
        };
        if let Some(meter) = target.meter {
            meter.settled_since(&meter.read()).await;
            fresh.idle = Some(meter.resident() as f64);
        }
        upstream.answer_with(SHORT_STREAM);
        // What the first request of all makes the process set up belongs to no stream.
        drop(Crew::warm(target, self.size, true, 1).await?);
        upstream.answer_with(Reply::Stream {
            chunks: self.chunks,
            flow: Flow::Paced(self.gap),
        });
        self.open_all(target, &mut fresh).await?;
        Ok(fresh)
    }

    async fn open_all(&self, target: Target, fresh: &mut Fresh) -> Result<()> {
        let before = target
            .meter
            .map(|meter| (meter, meter.read(), meter.resident()));
        let open = Arc::new(AtomicUsize::new(0));
        let started = Instant::now();
        let mut streams = JoinSet::new();
        let request = target.request(self.size, true);
        for index in 0..self.streams {
            let (open, request) = (Arc::clone(&open), request.clone());
            let turn = started + self.apart * u32::try_from(index)?;
            streams.spawn(async move {
                tokio::time::sleep_until(turn.into()).await;
                let mut connection = Connection::open(target, request, true).await?;
                let ended = connection
                    .ask(Instant::now(), || _ = open.fetch_add(1, Ordering::Relaxed))
                    .await;
                open.fetch_sub(1, Ordering::Relaxed);
                ended
            });
        }
        let mut per_stream: Option<f64> = None;
        let mut look = tokio::time::interval(LOOK_EVERY);
        while !streams.is_empty() {
            tokio::select! {
                Some(ended) = streams.join_next() => match ended? {
                    Ok(_) => fresh.completed += 1,
                    Err(error) => {
                        fresh.failures += 1;
                        fresh.first_failure.get_or_insert_with(|| format!("{error:#}"));
                    }
                },
                _ = look.tick() => {
                    let now = open.load(Ordering::Relaxed);
                    // A stream that fails before its first token counts down without having counted up.
                    let now = if now > self.streams { 0 } else { now };
                    if now > fresh.open_at_once {
                        fresh.open_at_once = now;
                        per_stream = None;
                    }
                    let is_fullest = now > 0 && now == fresh.open_at_once;
                    if let Some((meter, _, resident)) = before.as_ref().filter(|_| is_fullest) {
                        let added = meter.resident().saturating_sub(*resident) as f64 / now as f64;
                        per_stream = Some(per_stream.map_or(added, |highest| highest.max(added)));
                    }
                }
            }
        }
        fresh.seconds = started.elapsed().as_secs_f64();
        if let Some((meter, usage, _)) = before {
            let spent = meter.settled_since(&usage).await;
            let chunks = self.streams as f64 * f64::from(self.chunks);
            fresh.cpu_per_chunk = Some(spent.total.as_secs_f64() * 1e6 / chunks);
            fresh.per_stream = per_stream;
            fresh.peak = Some(meter.peak() as f64);
        }
        Ok(())
    }
}
