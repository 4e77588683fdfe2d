//! Gathers events and decides when to write them: off the hot path, in few transactions, never late.
//!
//! What was observed is in the database a few tens of milliseconds later, so that a killed process loses nothing
//! older than 100 ms. When the recorder is behind it leaves texts out before anything else, and says so.
//! It must not know which database it writes to, and it never logs what a run contains.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use super::batch::{Batch, Change, Keep, Sink};
use super::block::Intake;
use super::familiar::Familiar;
use super::live::Live;
use super::open_run::{Desk, OpenRun, Shedding, Urgency};
use super::outage::Outage;
use super::recent::RecentBodies;
use super::settings::Settings;
use super::stats::{RecorderStats, add};
use crate::events::{EventBatch, EventKind, Observer, PlanInfo, RunId, Timestamp};

/// A change waits at most this long for others to share its transaction.
const LONGEST_WAIT: Duration = Duration::from_millis(40);
/// So many rows, or bytes, are enough for a transaction.
const ENOUGH_ROWS: usize = 512;
const ENOUGH_BYTES: usize = 4 << 20;
/// The progress of a flow is written at most this often.
const PROGRESS_PAUSE: Duration = Duration::from_millis(200);
/// After the database refused a write it is left alone for a moment, and for twice as long as it took to refuse: the
/// events that come meanwhile are taken in, for one that hangs must not hold the runs up.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_RETRY_PAUSE: Duration = Duration::from_secs(15);
/// So many runs wait for a database that refuses them; the oldest finished ones beyond are given up.
const MOST_UNWRITTEN: usize = 20_000;
/// How often the process is noted to live while runs are under way. It is one row for all of them.
const PULSE: Duration = Duration::from_secs(1);
/// How long the recorder tries to write the last changes when the process ends, counted from when the last run had ended:
/// what it waited for then is a part of it, so that a database that hangs delays the end by no more.
const LAST_TRIES: Duration = Duration::from_secs(8);
/// How long it tries at the least, however long it took to get there.
const LEAST_LAST_TRIES: Duration = Duration::from_secs(2);
/// How often retention looks, and how soon again when it did not get through.
const TIDY_PAUSE: Duration = Duration::from_secs(60);
const TIDY_AGAIN: Duration = Duration::from_millis(100);
const TIDY_BUDGET: Duration = Duration::from_millis(20);

/// Writes what is observed into a database.
pub struct Recorder {
    sink: Box<dyn Sink>,
    settings: Settings,
    live: Live,
    stats: Arc<RecorderStats>,
    queue: Option<Queue>,
    /// When the process began to end, if it did.
    closed: Box<dyn Fn() -> Option<Instant> + Send>,
    runs: HashMap<RunId, OpenRun, RandomState>,
    dirty: Vec<RunId>,
    dirty_since: Option<Instant>,
    journal_bytes: usize,
    slow_progress: VecDeque<(Instant, RunId)>,
    plans: Vec<Arc<PlanInfo>>,
    known_plans: HashSet<String>,
    intake: Intake,
    scratch: Vec<u8>,
    recent: RecentBodies,
    familiar: Familiar,
    retry_at: Option<Instant>,
    outage: Option<Outage>,
    next_pulse: Instant,
    next_tidy: Instant,
}

/// How full the queue before the recorder is.
struct Queue {
    capacity: usize,
    depth: Box<dyn Fn() -> usize + Send>,
}

impl Recorder {
    pub(crate) fn new(
        sink: Box<dyn Sink>,
        settings: Settings,
        live: Live,
        stats: Arc<RecorderStats>,
    ) -> Self {
        Self {
            sink,
            settings,
            live,
            stats,
            queue: None,
            closed: Box::new(|| None),
            runs: HashMap::default(),
            dirty: Vec::new(),
            dirty_since: None,
            journal_bytes: 0,
            slow_progress: VecDeque::new(),
            plans: Vec::new(),
            known_plans: HashSet::new(),
            intake: Intake::default(),
            scratch: Vec::new(),
            recent: RecentBodies::default(),
            familiar: Familiar::default(),
            retry_at: None,
            outage: None,
            next_pulse: Instant::now() + PULSE,
            next_tidy: Instant::now() + TIDY_AGAIN,
        }
    }

    /// Lets the recorder see how many batches wait for it in a queue of `capacity`
    /// ([`EventSink::depth`](crate::events::EventSink::depth)).
    /// From a quarter on it leaves out the texts of artifacts, from three eighths on also requests and answers:
    /// before the half, where new runs have to wait.
    #[must_use]
    pub fn with_queue(
        mut self,
        capacity: usize,
        depth: impl Fn() -> usize + Send + 'static,
    ) -> Self {
        self.queue = Some(Queue {
            capacity,
            depth: Box::new(depth),
        });
        self
    }

    /// Lets the recorder see when the queue before it was closed ([`EventSink::closed`](crate::events::EventSink::closed)).
    #[must_use]
    pub fn with_end(mut self, closed: impl Fn() -> Option<Instant> + Send + 'static) -> Self {
        self.closed = Box::new(closed);
        self
    }

    /// How it fares.
    #[must_use]
    pub fn stats(&self) -> &Arc<RecorderStats> {
        &self.stats
    }

    fn shedding(&self) -> Shedding {
        if self.retry_at.is_some() {
            return Shedding::Payloads;
        }
        let Some(queue) = &self.queue else {
            return Shedding::Nothing;
        };
        let depth = (queue.depth)();
        if depth * 8 >= queue.capacity * 3 {
            Shedding::Payloads
        } else if depth * 4 >= queue.capacity {
            Shedding::Previews
        } else {
            Shedding::Nothing
        }
    }

    fn open(&mut self, batch: &EventBatch) {
        let Some(EventKind::Started { start, plan }) = batch.events.first().map(|e| &e.kind) else {
            return;
        };
        if !self.known_plans.contains(&plan.hash) {
            self.known_plans.insert(plan.hash.clone());
            self.plans.push(Arc::clone(plan));
        }
        self.runs
            .entry(batch.run)
            .or_insert_with(|| OpenRun::new(Arc::clone(start), Arc::clone(plan)));
    }

    fn take(&mut self, batch: &EventBatch, now: Instant) {
        let shedding = self.shedding();
        let Some(run) = self.runs.get_mut(&batch.run) else {
            return;
        };
        let mut desk = Desk {
            intake: &mut self.intake,
            stats: &self.stats,
            scratch: &mut self.scratch,
            recent: &mut self.recent,
            familiar: &mut self.familiar,
            shedding,
            preview_bytes: self.settings.preview_bytes,
            payloads: self.settings.payloads,
        };
        let bytes_before = run.waiting_bytes();
        let mut has_progress = false;
        for event in &batch.events {
            has_progress |= run.take(event, &mut desk) == Urgency::Progress;
        }
        self.journal_bytes += run.waiting_bytes() - bytes_before;
        if has_progress && !run.is_dirty() && !run.progress_waits {
            let is_due = run
                .progress_written
                .is_none_or(|written| now.duration_since(written) >= PROGRESS_PAUSE);
            if is_due {
                run.mark(Change::Progress);
            } else {
                run.progress_waits = true;
                self.slow_progress
                    .push_back((now + PROGRESS_PAUSE, batch.run));
            }
        }
        if run.is_dirty() && !run.is_listed {
            run.is_listed = true;
            self.dirty.push(batch.run);
            self.dirty_since.get_or_insert(now);
        }
    }

    /// Lists the runs whose progress has waited long enough.
    fn release_progress(&mut self, now: Instant) {
        while let Some((due, id)) = self.slow_progress.front().copied() {
            if due > now {
                break;
            }
            self.slow_progress.pop_front();
            let Some(run) = self.runs.get_mut(&id).filter(|run| run.progress_waits) else {
                continue;
            };
            run.mark(Change::Progress);
            if !run.is_listed {
                run.is_listed = true;
                self.dirty.push(id);
                self.dirty_since.get_or_insert(now);
            }
        }
    }

    fn write_if_due(&mut self, now: Instant) {
        let Some(since) = self.dirty_since else {
            return;
        };
        let is_due = now.duration_since(since) >= LONGEST_WAIT
            || self.dirty.len() + self.intake.new.len() + self.intake.touched.len() >= ENOUGH_ROWS
            || self.journal_bytes + self.intake.bytes >= ENOUGH_BYTES;
        let may_write = self.retry_at.is_none_or(|retry| now >= retry);
        if is_due && may_write {
            if let Some(end) = self.end() {
                self.sink.end_by(end);
            }
            self.write(now);
        }
    }

    /// When the last tries are over, once the process ends.
    fn end(&self) -> Option<Instant> {
        (self.closed)().map(|closed| closed + LAST_TRIES)
    }

    /// Writes what was gathered, however little.
    pub(crate) fn write(&mut self, now: Instant) {
        if self.dirty.is_empty() {
            return;
        }
        let begun = Instant::now();
        if self.sink.reach() {
            self.forget();
        }
        let runs = self.dirty.iter().filter_map(|id| self.runs.get(id));
        let batch = Batch {
            plans: &self.plans,
            runs: runs.filter_map(OpenRun::to_write).collect(),
            blocks: &self.intake.new,
            touched: &self.intake.touched,
        };
        let rows = batch.rows();
        match self.sink.write(&batch) {
            Ok(given_up) => {
                add(&self.stats.lost_runs, given_up);
                self.retry_at = None;
                if let Some(outage) = self.outage.take() {
                    outage.end(now, self.dirty.len(), &self.stats);
                }
                self.stats.committed(rows, now.elapsed());
                self.written(now);
            }
            Err(error) => self.refused(&error, now, begun.elapsed()),
        }
    }

    fn written(&mut self, now: Instant) {
        for id in &self.dirty {
            let Some(run) = self.runs.get_mut(id) else {
                continue;
            };
            run.written(now);
            if run.is_over() {
                self.runs.remove(id);
            }
        }
        self.live.publish(self.dirty.iter().copied());
        self.dirty.clear();
        self.dirty_since = None;
        self.journal_bytes = 0;
        self.plans.clear();
        self.intake.committed();
    }

    /// Takes nothing for stored any more: blocks and plans are written again when they are needed again.
    fn forget(&mut self) {
        self.intake.forget();
        let listed = self.plans.iter().map(|plan| plan.hash.clone());
        self.known_plans = listed.collect();
        for run in self.runs.values() {
            let plan = run.plan();
            if !self.known_plans.contains(&plan.hash) {
                self.known_plans.insert(plan.hash.clone());
                self.plans.push(Arc::clone(plan));
            }
        }
    }

    fn refused(&mut self, error: &super::Error, now: Instant, took: Duration) {
        if self.outage.is_none() {
            self.outage = Some(Outage::begin(error, now, &self.stats));
            // Others may delete blocks meanwhile, and nobody listens.
            self.forget();
        }
        let pause = RETRY_PAUSE.max(took * 2).min(LONGEST_RETRY_PAUSE);
        self.retry_at = Some(Instant::now() + pause);
        self.stats.failed();
        let excess = self.dirty.len().saturating_sub(MOST_UNWRITTEN);
        let (mut given_up, mut lost) = (0, 0);
        self.dirty.retain(|id| {
            let run = self.runs.get_mut(id);
            let run = run.filter(|run| given_up < excess && run.is_over());
            let Some(run) = run else { return true };
            given_up += 1;
            if run.is_new() {
                lost += 1;
                self.runs.remove(id);
                return false;
            }
            // The database has its row: it would stay open there for ever.
            lost += usize::from(run.give_up_journal());
            true
        });
        add(&self.stats.lost_runs, lost);
        let waiting = self.dirty.len();
        self.stats.wait(waiting);
        if let Some(outage) = &mut self.outage {
            outage.go_on(error, now, waiting, &self.stats);
        }
    }

    /// Notes now and then that the process lives: a killed one leaves no better trace of when its runs ended.
    fn pulse_if_due(&mut self, now: Instant) {
        if now < self.next_pulse {
            return;
        }
        self.next_pulse = now + PULSE;
        if self.sink.look() {
            self.forget();
        }
        if self.retry_at.is_none() && !self.runs.is_empty() {
            self.pulse(Timestamp::now());
        }
    }

    pub(crate) fn pulse(&mut self, at: Timestamp) {
        if let Err(error) = self.sink.alive(at) {
            add(&self.stats.errors, 1);
            tracing::debug!(%error, "the process could not be noted to live");
        }
    }

    /// Deletes what is too old or too much, a little at a time.
    fn tidy_if_due(&mut self, now: Instant) {
        if now >= self.next_tidy && self.retry_at.is_none() {
            let pause = if self.tidy(Timestamp::now()) {
                TIDY_AGAIN
            } else {
                TIDY_PAUSE
            };
            self.next_tidy = now + pause;
        }
    }

    /// One step of retention; returns whether there is more to do.
    pub(crate) fn tidy(&mut self, now: Timestamp) -> bool {
        // A block that a run which is not yet written has used again must not look unused.
        self.write(Instant::now());
        if !self.dirty.is_empty() {
            return false;
        }
        let age = i64::try_from(self.settings.keep_for.as_micros()).unwrap_or(i64::MAX);
        let keep = Keep {
            since: Timestamp(now.0.saturating_sub(age)),
            bytes: self.settings.keep_bytes,
            budget: TIDY_BUDGET,
        };
        match self.sink.tidy(&keep) {
            Ok(tidied) => {
                add(&self.stats.expired_runs, tidied.runs);
                add(&self.stats.crashed_runs, tidied.crashed);
                if tidied.crashed > 0 {
                    tracing::warn!(
                        runs = tidied.crashed,
                        "runs were open when another process ended; they are shown as Crashed"
                    );
                }
                if let Some(minute) = tidied.blocks_before {
                    self.intake.deleted_before(minute);
                }
                tidied.more
            }
            Err(error) => {
                add(&self.stats.errors, 1);
                self.intake.forget();
                tracing::warn!(%error, "old runs could not be deleted");
                false
            }
        }
    }
}

impl Observer for Recorder {
    fn observe(&mut self, batch: &EventBatch) {
        let now = Instant::now();
        self.open(batch);
        self.take(batch, now);
        self.release_progress(now);
        self.write_if_due(now);
    }

    fn idle(&mut self) {
        let now = Instant::now();
        self.release_progress(now);
        self.write_if_due(now);
        if self.end().is_none() {
            self.pulse_if_due(now);
            self.tidy_if_due(now);
        }
    }

    fn finish(&mut self) {
        let now = Instant::now();
        let until = self.end().unwrap_or(now + LAST_TRIES);
        let until = until.max(now + LEAST_LAST_TRIES);
        self.sink.end_by(until);
        self.release_progress(Instant::now() + PROGRESS_PAUSE);
        self.write(Instant::now());
        while !self.dirty.is_empty() && Instant::now() < until {
            std::thread::park_timeout(RETRY_PAUSE);
            self.write(Instant::now());
        }
        if !self.dirty.is_empty() {
            let runs = self.dirty.len();
            tracing::error!(
                runs,
                "runs were lost: the run store refused them to the end"
            );
            add(&self.stats.lost_runs, runs);
        }
        if let Err(error) = self.sink.close() {
            tracing::warn!(%error, "the run store was not closed cleanly");
        }
    }
}
