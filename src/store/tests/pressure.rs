//! When and what the recorder writes, and what it leaves out when it is behind: against a database that counts.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Script, eventually, plan, settings};
use crate::events::{EventKind, Observer, RunId, State, Timestamp};
use crate::facts::payload;
use crate::store::batch::{Batch, Change, Keep, Sink, Tidied};
use crate::store::block::BlockHash;
use crate::store::live::Live;
use crate::store::{Error, Recorder, RecorderStats, Settings, open};

const T0: i64 = 1_790_000_000_000_000;

/// A database that remembers which changes it was given, and refuses as many writes as it is told to.
#[derive(Default)]
struct Ledger {
    writes: Vec<Vec<(RunId, Change)>>,
    last: HashMap<RunId, (State, u64)>,
    plans: HashSet<String>,
    blocks: HashSet<BlockHash>,
    /// The connection was lost, and the recorder has not asked yet.
    was_lost: bool,
    refuse: usize,
    /// How long it takes to refuse.
    hangs: Duration,
    pulses: usize,
    /// When work was to be given up, each time that this was said.
    ends: Vec<Instant>,
    tidied: usize,
    /// Runs of processes that are gone, for the next look.
    crashed: usize,
}

#[derive(Clone, Default)]
struct Counting(Arc<Mutex<Ledger>>);

impl Counting {
    fn with<T>(&self, look: impl FnOnce(&mut Ledger) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    fn writes(&self) -> usize {
        self.with(|ledger| ledger.writes.len())
    }
}

impl Sink for Counting {
    fn reach(&mut self) -> bool {
        self.with(|ledger| std::mem::take(&mut ledger.was_lost))
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<usize, Error> {
        self.with(|ledger| {
            if ledger.refuse > 0 {
                ledger.refuse -= 1;
                std::thread::park_timeout(ledger.hangs);
                return Err(Error::Corrupt("refused on purpose".to_owned()));
            }
            let plans = batch.plans.iter().map(|plan| plan.hash.clone());
            ledger.plans.extend(plans);
            let blocks = batch.blocks.iter().map(|block| block.hash);
            ledger.blocks.extend(blocks);
            let runs = batch.runs.iter();
            ledger
                .writes
                .push(runs.map(|run| (run.row.start.id, run.change)).collect());
            for run in &batch.runs {
                let row = run.row;
                ledger.last.insert(row.start.id, (row.state, row.pieces));
            }
            Ok(0)
        })
    }

    fn alive(&mut self, _: Timestamp) -> Result<(), Error> {
        self.with(|ledger| ledger.pulses += 1);
        Ok(())
    }

    fn end_by(&mut self, until: Instant) {
        self.with(|ledger| ledger.ends.push(until));
    }

    fn tidy(&mut self, _: &Keep) -> Result<Tidied, Error> {
        self.with(|ledger| ledger.tidied += 1);
        let crashed = self.with(|ledger| std::mem::take(&mut ledger.crashed));
        Ok(Tidied {
            crashed,
            ..Tidied::default()
        })
    }

    fn close(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

fn counting() -> (Counting, Recorder) {
    let sink = Counting::default();
    let recorder = Recorder::new(
        Box::new(sink.clone()),
        Settings::default(),
        Live::default(),
        Arc::new(RecorderStats::default()),
    );
    (sink, recorder)
}

/// The lines that `work` logs, each a JSON object.
fn logged(work: impl FnOnce()) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    let log = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .without_time()
        .with_target(false)
        .with_writer(file.reopen().unwrap());
    tracing::subscriber::with_default(log.finish(), work);
    std::fs::read_to_string(file.path()).unwrap()
}

/// Idles until there are so many writes.
async fn until_written(sink: &Counting, recorder: &mut Recorder, writes: usize) {
    eventually(recorder, || {
        std::future::ready((sink.writes() >= writes).then_some(()))
    })
    .await;
}

/// A recorder of a process that began to end at this moment.
fn ending(closed: Instant) -> (Counting, Recorder) {
    let (sink, recorder) = counting();
    (sink, recorder.with_end(move || Some(closed)))
}

#[tokio::test]
async fn each_of_the_last_writes_is_given_up_8_s_after_the_end_began_and_nothing_else_begins() {
    let closed = Instant::now();
    let (sink, mut recorder) = ending(closed);
    let last = Script::new(T0, &plan()).ended(State::Completed).batch();
    recorder.observe(&last);
    until_written(&sink, &mut recorder, 1).await;
    let told = sink.with(|ledger| ledger.ends.clone());
    assert_eq!(told, [closed + Duration::from_secs(8)]);
    // Retention would be due.
    std::thread::park_timeout(Duration::from_millis(150));
    recorder.idle();
    assert_eq!(sink.with(|ledger| ledger.tidied), 0);
    recorder.finish();
    let told = sink.with(|ledger| ledger.ends.clone());
    assert_eq!(told, [closed + Duration::from_secs(8); 2]);
}

#[test]
fn who_comes_late_to_the_end_still_has_two_seconds_and_tries_again_in_them() {
    let begun = Instant::now();
    let closed = begun.checked_sub(Duration::from_secs(20)).unwrap();
    let (sink, mut recorder) = ending(closed);
    let last = Script::new(T0, &plan()).ended(State::Completed).batch();
    recorder.observe(&last);
    sink.with(|ledger| ledger.refuse = 2);
    recorder.finish();
    assert_eq!(sink.writes(), 1);
    let until = sink.with(|ledger| ledger.ends.last().copied()).unwrap();
    assert!(until >= begun + Duration::from_secs(2) && until < begun + Duration::from_secs(5));
}

#[tokio::test]
async fn a_database_that_hangs_holds_the_recorder_up_for_a_third_of_the_time_at_most() {
    let (sink, mut recorder) = counting();
    sink.with(|ledger| {
        ledger.refuse = usize::MAX;
        ledger.hangs = Duration::from_millis(250);
    });
    let tried = || sink.with(|ledger| usize::MAX - ledger.refuse);
    let full = |recorder: &mut Recorder| {
        for number in 0..512 {
            recorder.observe(&Script::new(T0 + number, &plan()).batch());
        }
    };
    full(&mut recorder);
    assert_eq!(tried(), 1);
    // Enough for ten more writes is taken in at once.
    let refused = Instant::now();
    for _ in 0..10 {
        full(&mut recorder);
    }
    assert!(refused.elapsed() > Duration::from_millis(500) || tried() == 1);
    sink.with(|ledger| ledger.refuse = 0);
    until_written(&sink, &mut recorder, 1).await;
    assert!(refused.elapsed() >= Duration::from_millis(500));
    let runs = sink.with(|ledger| ledger.last.len());
    assert_eq!(runs, 11 * 512);
}

#[tokio::test]
async fn a_run_between_two_commits_is_one_insert() {
    let (sink, mut recorder) = counting();
    let mut scripts: Vec<Script> = (0..100).map(|n| Script::new(T0 + n, &plan())).collect();
    for script in &mut scripts {
        recorder.observe(&script.batch());
    }
    for script in scripts {
        recorder.observe(&script.ended(State::Completed).batch());
    }
    until_written(&sink, &mut recorder, 1).await;
    let writes = sink.with(|ledger| ledger.writes.clone());
    let rows: usize = writes.iter().map(Vec::len).sum();
    assert_eq!(rows, 100);
    assert!(
        writes
            .iter()
            .flatten()
            .all(|(_, change)| *change == Change::New)
    );
}

#[tokio::test]
async fn a_lone_event_waits_40_ms_and_512_runs_do_not_wait_at_all() {
    let (sink, mut recorder) = counting();
    let begun = Instant::now();
    recorder.observe(&Script::new(T0, &plan()).batch());
    until_written(&sink, &mut recorder, 1).await;
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(40), "{waited:?}");

    let (sink, mut recorder) = counting();
    for number in 0..512 {
        recorder.observe(&Script::new(T0 + number, &plan()).batch());
    }
    assert!(
        sink.writes() >= 1,
        "nobody called idle, and it must write all the same"
    );
}

#[tokio::test]
async fn progress_is_written_five_times_a_second_at_most_and_the_last_one_is_not_lost() {
    let (sink, mut recorder) = counting();
    let mut script = Script::new(T0, &plan())
        .step(2, State::Running)
        .progress(2, 1, 10);
    let id = script.id;
    recorder.observe(&script.batch());
    until_written(&sink, &mut recorder, 1).await;
    let begun = Instant::now();
    let mut pieces = 1;
    while begun.elapsed() < Duration::from_millis(300) {
        pieces += 1;
        script = script.progress(2, pieces, pieces * 10);
        recorder.observe(&script.batch());
        recorder.idle();
    }
    assert!(pieces > 50);
    let writes = u32::try_from(sink.writes()).unwrap();
    let allowed = 2 + begun.elapsed().as_millis() / 200;
    assert!(u128::from(writes) <= allowed, "{writes} writes");
    // The flow falls silent: what it had reached is written without another event.
    eventually(&mut recorder, || {
        let last = sink.with(|ledger| ledger.last[&id].1);
        std::future::ready((last == pieces).then_some(()))
    })
    .await;
}

#[tokio::test]
async fn a_database_that_refuses_for_a_while_gets_everything_in_the_end() {
    let (sink, mut recorder) = counting();
    sink.with(|ledger| ledger.refuse = 3);
    let mut open_run = Script::new(T0, &plan()).step(0, State::Running);
    recorder.observe(&open_run.batch());
    eventually(&mut recorder, || {
        std::future::ready((sink.with(|ledger| ledger.refuse) == 2).then_some(()))
    })
    .await;
    assert!(recorder.stats().is_failing());
    assert_eq!(recorder.stats().waiting_runs.load(Ordering::Relaxed), 1);
    let mut late = Script::new(T0 + 5, &plan()).ended(State::Failed);
    recorder.observe(&late.batch());
    recorder.observe(&open_run.ended(State::Completed).batch());
    until_written(&sink, &mut recorder, 1).await;
    assert!(!recorder.stats().is_failing());
    assert_eq!(recorder.stats().waiting_runs.load(Ordering::Relaxed), 0);
    assert_eq!(recorder.stats().errors.load(Ordering::Relaxed), 3);
    let last = sink.with(|ledger| ledger.last.clone());
    assert_eq!(last[&late.id].0, State::Failed);
    assert_eq!(last.len(), 2);
    assert!(last.values().all(|(state, _)| state.is_final()));
}

/// A run that is over, with a request in which one message is long.
fn turn(at: i64) -> Script {
    let body = serde_json::json!({"messages": ["the same ".repeat(1000)]}).to_string();
    Script::new(at, &plan())
        .payload(payload::CLIENT_REQUEST, &body)
        .ended(State::Completed)
}

#[test]
fn what_a_database_has_lost_with_the_connection_is_written_again() {
    let (sink, mut recorder) = counting();
    recorder.observe(&turn(T0).batch());
    recorder.write(Instant::now());
    let stored = sink.with(|ledger| {
        ledger.was_lost = true;
        (
            std::mem::take(&mut ledger.plans),
            std::mem::take(&mut ledger.blocks),
        )
    });
    assert!(!stored.0.is_empty() && !stored.1.is_empty());
    // It learns of the loss when it has taken this turn in, and has taken its block for stored.
    recorder.observe(&turn(T0 + 60_000_000).batch());
    recorder.write(Instant::now());
    let again = sink.with(|ledger| (ledger.plans.clone(), ledger.blocks.clone()));
    assert_eq!(again, stored);
    assert_eq!(recorder.stats().errors.load(Ordering::Relaxed), 0);
}

#[test]
fn what_was_to_be_touched_and_its_plan_are_written_after_a_refusal() {
    let (sink, mut recorder) = counting();
    recorder.observe(&turn(T0).batch());
    recorder.write(Instant::now());
    let stored = sink.with(|ledger| {
        ledger.refuse = 1;
        (
            std::mem::take(&mut ledger.plans),
            std::mem::take(&mut ledger.blocks),
        )
    });
    recorder.observe(&turn(T0 + 60_000_000).batch());
    recorder.write(Instant::now());
    assert!(recorder.stats().is_failing());
    recorder.write(Instant::now());
    assert!(!recorder.stats().is_failing());
    let again = sink.with(|ledger| (ledger.plans.clone(), ledger.blocks.clone()));
    assert_eq!(again, stored);
}

#[test]
fn an_outage_is_told_at_once_then_each_minute_and_when_it_is_over() {
    let (sink, mut recorder) = counting();
    sink.with(|ledger| ledger.refuse = 4);
    let begun = Instant::now();
    let text = logged(|| {
        let mut script = Script::new(T0, &plan()).ended(State::Completed);
        recorder.observe(&script.batch());
        for second in [0, 59, 60, 119] {
            recorder.write(begun + Duration::from_secs(second));
            let mut script = Script::new(T0, &plan())
                .produced(Some(0), "left out")
                .payload(payload::CLIENT_REQUEST, "this too")
                .ended(State::Completed);
            recorder.observe(&script.batch());
        }
        recorder.write(begun + Duration::from_secs(121));
    });
    insta::assert_snapshot!(text, @r#"
    {"level":"ERROR","message":"the run store refused a write; it is tried again, texts are left out until then","error":"the run store holds something unreadable: refused on purpose"}
    {"level":"ERROR","message":"the run store still refuses to be written","error":"the run store holds something unreadable: refused on purpose","seconds":60,"runs_waiting":3,"texts_left_out":2,"body_bytes_left_out":16,"runs_lost":0}
    {"level":"INFO","message":"the run store takes writes again","seconds":121,"runs_written":5,"texts_left_out":4,"body_bytes_left_out":32,"runs_lost":0}
    "#);
}

#[test]
fn runs_that_others_left_behind_are_counted_and_told() {
    let (sink, mut recorder) = counting();
    let text = logged(|| {
        for crashed in [0, 3, 2] {
            sink.with(|ledger| ledger.crashed = crashed);
            recorder.tidy(Timestamp(T0));
        }
    });
    assert_eq!(text.lines().count(), 2, "{text}");
    let first = r#"{"level":"WARN","message":"runs were open when another process ended; they are shown as Crashed","runs":3}"#;
    assert_eq!(text.lines().next(), Some(first));
    let crashed = recorder.stats().crashed_runs.load(Ordering::Relaxed);
    assert_eq!(crashed, 5);
}

#[test]
fn a_database_that_refuses_for_ever_does_not_take_all_memory() {
    let (sink, mut recorder) = counting();
    sink.with(|ledger| ledger.refuse = usize::MAX);
    for number in 0..21_000 {
        let mut script = Script::new(T0 + number, &plan()).ended(State::Completed);
        recorder.observe(&script.batch());
    }
    recorder.finish();
    let lost = recorder.stats().lost_runs.load(Ordering::Relaxed);
    assert_eq!(lost, 21_000);
}

#[test]
fn a_run_that_the_database_has_comes_to_its_end_there_however_long_it_refuses() {
    let (sink, mut recorder) = counting();
    let mut known = Script::new(T0, &plan()).step(0, State::Running);
    recorder.observe(&known.batch());
    recorder.write(Instant::now());
    assert_eq!(sink.writes(), 1);
    sink.with(|ledger| ledger.refuse = usize::MAX);
    let mut known = known.step(0, State::Completed).ended(State::Completed);
    recorder.observe(&known.batch());
    for number in 1..=21_000 {
        let mut script = Script::new(T0 + number, &plan()).ended(State::Completed);
        recorder.observe(&script.batch());
    }
    recorder.write(Instant::now());
    recorder.write(Instant::now());
    let lost = recorder.stats().lost_runs.load(Ordering::Relaxed);
    assert_eq!(lost, 1 + 1_000, "each is counted once");
    sink.with(|ledger| ledger.refuse = 0);
    recorder.write(Instant::now());
    let last = sink.with(|ledger| ledger.last.clone());
    assert_eq!(last[&known.id].0, State::Completed);
    assert_eq!(last.len(), 1 + 20_000);
}

#[tokio::test]
async fn under_pressure_previews_go_first_then_payloads_and_the_run_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(settings(&folder)).unwrap();
    let depth = Arc::new(AtomicUsize::new(0));
    let probe = Arc::clone(&depth);
    let mut recorder = opened
        .recorder
        .with_queue(80, move || probe.load(Ordering::Relaxed));
    let stats = Arc::clone(recorder.stats());
    let mut ids = Vec::new();
    for waiting in [19, 20, 30] {
        depth.store(waiting, Ordering::Relaxed);
        let mut script = Script::new(T0, &plan())
            .produced(Some(0), "an output")
            .payload(payload::CLIENT_REQUEST, "a request")
            .payload(payload::CLIENT_RESPONSE, "an answer, ");
        ids.push(script.id);
        recorder.observe(&script.batch());
        // A text with a hole is of no use, even when there is time again.
        depth.store(0, Ordering::Relaxed);
        let mut script = script
            .payload(payload::CLIENT_RESPONSE, "and its end")
            .ended(State::Completed);
        recorder.observe(&script.batch());
    }
    recorder.finish();
    let mut seen = Vec::new();
    for id in ids {
        let run = opened.store.run(id).await.unwrap().unwrap();
        assert_eq!(run.summary.state, State::Completed);
        let answer = run
            .payloads
            .iter()
            .find(|p| p.name == payload::CLIENT_RESPONSE);
        let answer = answer.unwrap();
        assert_eq!(answer.bytes, 22);
        let text = opened
            .store
            .payload(id, payload::CLIENT_RESPONSE)
            .await
            .unwrap();
        assert_eq!(text.is_none(), answer.gone);
        seen.push((run.steps[0].outputs.len(), answer.gone, run.logs.len()));
    }
    assert_eq!(seen, [(1, false, 0), (0, false, 1), (0, true, 1)]);
    assert_eq!(stats.shed_previews.load(Ordering::Relaxed), 2);
    let shed = stats.shed_payload_bytes.load(Ordering::Relaxed);
    assert_eq!(shed, "a request".len() as u64 + 22);
}

#[tokio::test]
async fn payloads_can_be_switched_off() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        payloads: false,
        ..settings(&folder)
    };
    let mut opened = open(settings).unwrap();
    let mut script = Script::new(T0, &plan())
        .payload(payload::CLIENT_REQUEST, "secret")
        .ended(State::Completed);
    opened.recorder.observe(&script.batch());
    opened.recorder.finish();
    let run = opened.store.run(script.id).await.unwrap().unwrap();
    assert!(run.payloads.is_empty());
}

#[tokio::test]
async fn events_of_unknown_runs_and_runs_told_twice_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let mut opened = open(settings(&folder)).unwrap();
    let mut script = Script::new(T0, &plan());
    let started = script.batch();
    let mut stray = Script::new(T0, &plan());
    stray.batch();
    opened
        .recorder
        .observe(&stray.then(EventKind::Replied).batch());
    opened.recorder.observe(&started);
    opened.recorder.observe(&started);
    opened
        .recorder
        .observe(&script.ended(State::Completed).batch());
    opened.recorder.finish();
    opened.recorder.observe(&started);
    opened.recorder.finish();
    let page = opened
        .store
        .runs(&Default::default(), None, 10)
        .await
        .unwrap();
    assert_eq!(page.runs.len(), 1);
    assert_eq!(page.runs[0].state, State::Completed);
    assert_eq!(opened.recorder.stats().errors.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_process_is_noted_to_live_once_for_all_runs_and_only_while_there_are_any() {
    let (sink, mut recorder) = counting();
    let pulses = |sink: &Counting| sink.with(|ledger| ledger.pulses);
    let mut scripts: Vec<Script> = (0..1000).map(|_| Script::now(&plan())).collect();
    for script in &mut scripts {
        recorder.observe(&script.batch());
    }
    let since = Instant::now();
    eventually(&mut recorder, || {
        std::future::ready((pulses(&sink) > 0).then_some(()))
    })
    .await;
    let most = 1 + usize::try_from(since.elapsed().as_secs()).unwrap();
    assert!(pulses(&sink) <= most, "{} for 1000 runs", pulses(&sink));

    for script in scripts {
        recorder.observe(&script.ended(State::Completed).batch());
    }
    recorder.finish();
    let before = pulses(&sink);
    for _ in 0..100 {
        recorder.idle();
    }
    assert_eq!(pulses(&sink), before);
}
