//! What is measured: the list of loads, and how one of them is put on one target.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use crate::bodies::Size;
use crate::cpu::Spent;
use crate::load::{Crew, Stop, Tally};
use crate::stats::percentile;
use crate::target::Target;
use crate::upstream::{Flow, Reply, Upstream};

/// What connections are tried out with before a stream is measured.
pub(crate) const SHORT_STREAM: Reply = Reply::Stream {
    chunks: 2,
    flow: Flow::AtOnce,
};
/// In shorter streams the request, not the chunks, is what costs.
const FEWEST_CHUNKS: u32 = 50;

/// One load.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) size: Size,
    pub(crate) reply: Reply,
    pub(crate) pace: Pace,
    pub(crate) connections: usize,
}

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Closed,
    /// So many a second.
    Open(u32),
}

/// What one round of a load on one target showed. Times in microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) requests: usize,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
    pub(crate) per_second: f64,
    pub(crate) first_token: Option<f64>,
    pub(crate) cpu: Option<f64>,
    pub(crate) cpu_per_chunk: Option<f64>,
    /// Of the processor time a request, which kind of thread used how much.
    pub(crate) cpu_by_thread: BTreeMap<String, f64>,
    pub(crate) failures: u64,
    pub(crate) first_failure: Option<String>,
    /// Requests that the upstream saw for each that was sent; another number than 1 is a fault.
    pub(crate) upstream_calls: f64,
}

/// How long and how much.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extent {
    Quick,
    Full,
}

impl Extent {
    pub(crate) fn rounds(self) -> usize {
        match self {
            Self::Quick => 3,
            Self::Full => 5,
        }
    }

    /// Each of these starts every process anew.
    pub(crate) fn crowd_rounds(self) -> usize {
        match self {
            Self::Quick => 2,
            Self::Full => 3,
        }
    }

    fn round(self) -> Duration {
        match self {
            Self::Quick => Duration::from_millis(250),
            Self::Full => Duration::from_secs(2),
        }
    }

    /// All loads but the thousand streams at once.
    pub(crate) fn scenarios(self) -> Vec<Scenario> {
        let mut all = Vec::new();
        for connections in [1, 16, 64, 256] {
            all.push(closed(Size::Small, connections));
        }
        let (turns, images, small_rates, turn_rates): (&[usize], &[usize], &[u32], &[u32]) =
            match self {
                Self::Quick => (&[1, 16], &[1], &[1000], &[200]),
                Self::Full => (
                    &[1, 16, 64, 256],
                    &[1, 4],
                    &[500, 1000, 2000, 4000],
                    &[100, 200, 400],
                ),
            };
        all.extend(
            turns
                .iter()
                .map(|connections| closed(Size::Turn, *connections)),
        );
        all.extend(
            images
                .iter()
                .map(|connections| closed(Size::Image, *connections)),
        );
        all.extend(small_rates.iter().map(|rate| open(Size::Small, *rate)));
        all.extend(turn_rates.iter().map(|rate| open(Size::Turn, *rate)));
        all.extend(self.streams());
        all
    }

    fn streams(self) -> Vec<Scenario> {
        let paced = |millis| Flow::Paced(Duration::from_millis(millis));
        let mut all = vec![
            stream("first-token", Size::Small, (3, paced(3)), 1),
            stream("first-token", Size::Turn, (3, paced(3)), 1),
            stream("stream-at-once", Size::Small, (200, Flow::AtOnce), 16),
            stream("stream-one-by-one", Size::Small, (200, Flow::OneByOne), 16),
            stream("stream-paced", Size::Small, (150, paced(5)), 32),
        ];
        if matches!(self, Self::Full) {
            all.push(stream(
                "stream-at-once",
                Size::Small,
                (200, Flow::AtOnce),
                1,
            ));
            all.push(stream(
                "stream-one-by-one",
                Size::Small,
                (200, Flow::OneByOne),
                1,
            ));
            all.push(stream("stream-paced", Size::Turn, (100, paced(10)), 16));
        }
        all
    }
}

fn closed(size: Size, connections: usize) -> Scenario {
    let name = format!("closed/{}/{connections}", size.name());
    Scenario {
        name,
        size,
        reply: Reply::Whole,
        pace: Pace::Closed,
        connections,
    }
}

fn open(size: Size, rate: u32) -> Scenario {
    let name = format!("open/{}/{rate}rps", size.name());
    Scenario {
        name,
        size,
        reply: Reply::Whole,
        pace: Pace::Open(rate),
        connections: 64,
    }
}

fn stream(kind: &str, size: Size, (chunks, flow): (u32, Flow), connections: usize) -> Scenario {
    let name = format!("{kind}/{}/{chunks}x{connections}", size.name());
    Scenario {
        name,
        size,
        reply: Reply::Stream { chunks, flow },
        pace: Pace::Closed,
        connections,
    }
}

impl Scenario {
    /// Puts the load on `target` once.
    pub(crate) async fn run(
        &self,
        target: Target,
        upstream: &Upstream,
        extent: Extent,
    ) -> Result<Sample> {
        let is_stream = self.reply != Reply::Whole;
        upstream.answer_with(if is_stream {
            SHORT_STREAM
        } else {
            Reply::Whole
        });
        let crew = Crew::warm(target, self.size, is_stream, self.connections).await?;
        upstream.answer_with(self.reply);
        if let Some(meter) = target.meter {
            meter.settled_since(&meter.read()).await;
        }
        let calls_before = upstream.completions();
        let before = target.meter.map(|meter| (meter, meter.read()));
        let tally = match self.pace {
            Pace::Closed => {
                crew.closed(Stop {
                    after: extent.round(),
                    at_least: 1,
                })
                .await?
            }
            Pace::Open(rate) => crew.open(rate, extent.round()).await?,
        };
        let spent = match before {
            Some((meter, before)) => Some(meter.settled_since(&before).await),
            None => None,
        };
        let calls = upstream.completions() - calls_before;
        Ok(self.sample(tally, spent, calls))
    }

    fn sample(&self, tally: Tally, spent: Option<Spent>, calls: u64) -> Sample {
        let mut latencies: Vec<Duration> = tally.shots.iter().map(|shot| shot.latency).collect();
        let mut first_tokens: Vec<Duration> = tally
            .shots
            .iter()
            .filter_map(|shot| shot.first_token)
            .collect();
        latencies.sort_unstable();
        first_tokens.sort_unstable();
        let requests = latencies.len();
        let spent = spent.filter(|_| requests > 0);
        let per_request = |time: Duration| micros(time) / requests as f64;
        let cpu = spent.as_ref().map(|spent| per_request(spent.total));
        let by_thread = spent.map(|spent| spent.by_thread).unwrap_or_default();
        let by_thread = by_thread
            .into_iter()
            .map(|(name, time)| (name, per_request(time)));
        let cpu_per_chunk = match self.reply {
            Reply::Stream { chunks, .. } if chunks >= FEWEST_CHUNKS => {
                cpu.map(|cpu| cpu / f64::from(chunks))
            }
            Reply::Stream { .. } | Reply::Whole => None,
        };
        Sample {
            requests,
            p50: micros(percentile(&latencies, 50)),
            p99: micros(percentile(&latencies, 99)),
            max: micros(percentile(&latencies, 100)),
            per_second: requests as f64 / tally.elapsed.as_secs_f64(),
            first_token: (!first_tokens.is_empty()).then(|| micros(percentile(&first_tokens, 50))),
            cpu,
            cpu_per_chunk,
            cpu_by_thread: by_thread.collect(),
            failures: tally.failures,
            first_failure: tally.first_failure,
            upstream_calls: calls as f64 / (requests as f64 + tally.failures as f64).max(1.0),
        }
    }
}

fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1000.0
}
