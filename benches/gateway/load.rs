//! The load generator: closed loops, in which each connection waits for its answer, and open loops at a fixed rate.
//!
//! It runs on the rig's main thread. In an open loop the latency counts from the moment at which the request should have
//! gone out: a target that stalls makes every later request late, and that is seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::bodies::Size;
use crate::connection::{Connection, Shot};
use crate::target::Target;

/// After this many failures a connection gives up: the target does not work.
const MOST_FAILURES: u64 = 20;
/// What an open loop may need to answer what was sent, after the last request should have gone out.
const LONGEST_OVERTIME: Duration = Duration::from_secs(5);

/// Connections that are open and have each been used once.
#[derive(Debug)]
pub(crate) struct Crew {
    connections: Vec<Connection>,
}

/// What came of a load.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) shots: Vec<Shot>,
    pub(crate) elapsed: Duration,
    pub(crate) failures: u64,
    pub(crate) first_failure: Option<String>,
}

/// When to stop asking.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    /// No request begins later.
    pub(crate) after: Duration,
    /// Each connection asks at least this often, whatever the time.
    pub(crate) at_least: u32,
}

impl Tally {
    fn failed(&mut self, error: &anyhow::Error) {
        self.failures += 1;
        self.first_failure
            .get_or_insert_with(|| format!("{error:#}"));
    }

    fn merge(&mut self, other: Self) {
        self.shots.extend(other.shots);
        self.failures += other.failures;
        self.first_failure = self.first_failure.take().or(other.first_failure);
    }
}

impl Crew {
    /// Opens the connections and sends one request over each, so that what is measured is not the beginning.
    pub(crate) async fn warm(
        target: Target,
        size: Size,
        is_stream: bool,
        count: usize,
    ) -> Result<Self> {
        let request = target.request(size, is_stream);
        let mut warming = JoinSet::new();
        for _ in 0..count {
            let request = request.clone();
            warming.spawn(async move {
                let mut connection = Connection::open(target, request, is_stream).await?;
                connection.ask(Instant::now(), || ()).await?;
                anyhow::Ok(connection)
            });
        }
        let mut connections = Vec::with_capacity(count);
        while let Some(warmed) = warming.join_next().await {
            let connection =
                warmed?.with_context(|| format!("the first request to {}", target.way.name()))?;
            connections.push(connection);
        }
        Ok(Self { connections })
    }

    /// Each connection asks again as soon as it is answered.
    pub(crate) async fn closed(self, stop: Stop) -> Result<Tally> {
        let started = Instant::now();
        let mut loops = JoinSet::new();
        for connection in self.connections {
            loops.spawn(closed_loop(connection, started, stop));
        }
        gather(loops, started).await
    }

    /// `rate` requests a second for `time`, over whichever connection is free.
    pub(crate) async fn open(self, rate: u32, time: Duration) -> Result<Tally> {
        let period = Duration::from_secs(1) / rate;
        let count = u32::try_from(time.as_nanos() / period.as_nanos()).unwrap_or(u32::MAX);
        let started = Instant::now();
        let schedule = Arc::new(Schedule {
            started,
            period,
            count,
            due: Semaphore::new(0),
            next: AtomicU32::new(0),
        });
        let ticking = Arc::clone(&schedule);
        let ticker = std::thread::Builder::new()
            .name("ticker".to_owned())
            .spawn(move || ticking.tick())?;
        let mut loops = JoinSet::new();
        for connection in self.connections {
            loops.spawn(open_loop(connection, Arc::clone(&schedule)));
        }
        let mut tally = gather(loops, started).await?;
        let asked = u64::try_from(tally.shots.len())? + tally.failures;
        let unanswered = u64::from(count).saturating_sub(asked);
        if unanswered > 0 {
            tally.failures += unanswered;
            tally
                .first_failure
                .get_or_insert_with(|| format!("{unanswered} requests could not be sent in time"));
        }
        // The last tick is over, or nobody would have been answered.
        let _ = ticker.join();
        Ok(tally)
    }
}

async fn closed_loop(mut connection: Connection, started: Instant, stop: Stop) -> Tally {
    let mut tally = Tally::default();
    let mut asked = 0;
    while (asked < stop.at_least || started.elapsed() < stop.after)
        && tally.failures < MOST_FAILURES
    {
        asked += 1;
        match connection.ask(Instant::now(), || ()).await {
            Ok(shot) => tally.shots.push(shot),
            Err(error) => {
                tally.failed(&error);
                // The next request fails, and says why, if this does.
                let _ = connection.reopen().await;
            }
        }
    }
    tally
}

async fn open_loop(mut connection: Connection, schedule: Arc<Schedule>) -> Tally {
    let mut tally = Tally::default();
    while let Some(intended) = schedule.next().await {
        match connection.ask(intended, || ()).await {
            Ok(shot) => tally.shots.push(shot),
            Err(error) => {
                tally.failed(&error);
                let _ = connection.reopen().await;
            }
        }
    }
    tally
}

async fn gather(mut loops: JoinSet<Tally>, started: Instant) -> Result<Tally> {
    let mut all = Tally::default();
    while let Some(tally) = loops.join_next().await {
        all.merge(tally?);
    }
    all.elapsed = started.elapsed();
    Ok(all)
}

/// When each request of an open loop should go out.
#[derive(Debug)]
struct Schedule {
    started: Instant,
    period: Duration,
    count: u32,
    due: Semaphore,
    next: AtomicU32,
}

impl Schedule {
    /// Makes each request due at its moment. The runtime's timer counts in milliseconds, which is too coarse for this.
    fn tick(&self) {
        for index in 0..self.count {
            let moment = self.moment(index);
            loop {
                let left = moment.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                std::thread::park_timeout(left);
            }
            self.due.add_permits(1);
        }
        // Whoever waits now learns that there is no more.
        self.due.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// The intended moment of the next request, at that moment or, when all connections were busy, later.
    async fn next(&self) -> Option<Instant> {
        self.due.acquire().await.ok()?.forget();
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        let is_too_late =
            self.started.elapsed() > self.moment(self.count) + LONGEST_OVERTIME - self.started;
        (index < self.count && !is_too_late).then(|| self.moment(index))
    }

    fn moment(&self, index: u32) -> Instant {
        self.started + self.period * index
    }
}
