//! Several processes on one PostgreSQL database: what they tell each other, and what becomes of those that are cut off.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::broadcast::error::TryRecvError;

use super::stage::Database;
use super::wire::Wire;
use super::{Script, eventually, plan};
use crate::events::{EventKind, Observer, RunId, State, Timestamp};
use crate::facts::{self, payload};
use crate::store::{Opened, RunFilter, RunSummary};

const T0: i64 = 1_790_000_000_000_000;
const MINUTE: i64 = 60_000_000;

fn begin(opened: &mut Opened, at: i64) -> Script {
    let mut script = Script::new(at, &plan()).step(0, State::Running);
    opened.recorder.observe(&script.batch());
    opened.recorder.write(Instant::now());
    script
}

async fn summary(opened: &Opened, id: RunId) -> Option<RunSummary> {
    opened.store.runs_by_id(&[id]).await.unwrap().pop()
}

async fn state(opened: &Opened, id: RunId) -> Option<State> {
    summary(opened, id).await.map(|run| run.state)
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(Instant::now() < deadline, "it never came");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_reads_the_runs_of_all_and_hears_of_them_once() {
    let database = Database::make().await;
    let (mut one, other) = (database.open().await, database.open().await);
    let (mut own, mut heard) = (one.live.subscribe(), other.live.subscribe());
    let script = begin(&mut one, T0);
    assert_eq!(state(&other, script.id).await, Some(State::Running));
    let changed = eventually(&mut one.recorder, || {
        std::future::ready(heard.try_recv().ok())
    })
    .await;
    assert_eq!(&*changed.runs, [script.id]);
    // The announcement has come back to the one that made it too, or will: it has told its pages itself.
    assert_eq!(&*own.try_recv().unwrap().runs, [script.id]);
    let next = begin(&mut one, T0 + MINUTE);
    let changed = eventually(&mut one.recorder, || {
        std::future::ready(heard.try_recv().ok())
    })
    .await;
    assert_eq!(&*changed.runs, [next.id]);
    assert_eq!(&*own.try_recv().unwrap().runs, [next.id]);
    assert_eq!(own.try_recv().unwrap_err(), TryRecvError::Empty);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_changes_at_once_are_announced_whole() {
    let database = Database::make().await;
    let (mut one, other) = (database.open().await, database.open().await);
    let mut heard = other.live.subscribe();
    let scripts: Vec<Script> = (0..500)
        .map(|number| {
            let mut script = Script::new(T0 + number, &plan());
            one.recorder.observe(&script.batch());
            script
        })
        .collect();
    one.recorder.write(Instant::now());
    let mut runs = Vec::new();
    eventually(&mut one.recorder, || {
        if let Ok(changed) = heard.try_recv() {
            runs.extend(changed.runs.iter().copied());
        }
        std::future::ready((runs.len() == scripts.len()).then_some(()))
    })
    .await;
    runs.sort_unstable();
    let mut expected: Vec<RunId> = scripts.iter().map(|script| script.id).collect();
    expected.sort_unstable();
    assert_eq!(runs, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_of_a_process_that_lives_are_left_alone_and_those_of_a_dead_one_are_crashed() {
    let database = Database::make().await;
    let (mut one, mut other) = (database.open().await, database.open().await);
    let left = begin(&mut one, T0);
    let kept = begin(&mut other, T0 + MINUTE);
    one.recorder.pulse(Timestamp(T0 + 5 * MINUTE));
    assert_eq!(database.open().await.crashed, 0);
    let mut heard = other.live.subscribe();
    drop(one);
    // The server has to see first that the connection is closed. The other one looks as it tidies.
    until(async || {
        other.recorder.tidy(Timestamp(T0));
        state(&other, left.id).await == Some(State::Crashed)
    })
    .await;
    let counted = &other.recorder.stats().crashed_runs;
    assert_eq!(counted.load(Ordering::Relaxed), 1);
    let crashed = summary(&other, left.id).await.unwrap();
    assert_eq!(crashed.ended, Some(Timestamp(T0 + 5 * MINUTE)));
    assert!(crashed.error.unwrap().contains("the process ended"));
    assert_eq!(state(&other, kept.id).await, Some(State::Running));
    let told = tokio::time::timeout(Duration::from_secs(20), heard.recv()).await;
    assert_eq!(&*told.unwrap().unwrap().runs, [left.id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_connection_loses_nothing_and_what_others_took_for_crashed_runs_on() {
    let database = Database::make().await;
    let wire = Wire::before(&database).await;
    let mut one = wire.open(&database).await;
    let mut script = begin(&mut one, T0);
    wire.cut();
    let other = database.open().await;
    until(async || {
        // Each start looks for the dead.
        database.open().await;
        state(&other, script.id).await == Some(State::Crashed)
    })
    .await;

    script = script
        .payload(
            payload::CLIENT_REQUEST,
            "written while there is no database",
        )
        .step(0, State::Completed);
    one.recorder.observe(&script.batch());
    one.recorder.write(Instant::now());
    assert!(one.recorder.stats().is_failing());
    assert!(one.store.ready().await.is_err());
    let (mut told, mut heard) = (one.live.subscribe(), other.live.subscribe());
    wire.mend();
    eventually(&mut one.recorder, || async {
        (state(&other, script.id).await? == State::Running).then_some(())
    })
    .await;
    // Its own pages have missed what others announced; everybody's have to hear that the run goes on.
    let missed = || std::future::ready(told.try_recv().ok());
    assert!(eventually(&mut one.recorder, missed).await.runs.is_empty());
    let revived = || std::future::ready(heard.try_recv().ok());
    assert_eq!(
        &*eventually(&mut one.recorder, revived).await.runs,
        [script.id]
    );
    script = script.step(1, State::Running).ended(State::Completed);
    one.recorder.observe(&script.batch());
    let whole = eventually(&mut one.recorder, || async {
        let run = other.store.run(script.id).await.unwrap()?;
        (run.summary.state == State::Completed).then_some(run)
    })
    .await;
    assert_eq!(whole.steps[0].history.len(), 2);
    assert_eq!(whole.summary.error, None);
    one.store.ready().await.unwrap();
    assert_eq!(one.recorder.stats().lost_runs.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_cut_is_waited_out_also_when_it_was_seen_before_the_write() {
    let database = Database::make().await;
    let wire = Wire::before(&database).await;
    let mut one = wire.open(&database).await;
    let begun = Instant::now();
    let mut idle_until = async |moment| {
        until(async || {
            one.recorder.idle();
            begun.elapsed() > moment
        })
        .await;
    };
    // It tidies soon after the start, and then not for a minute.
    idle_until(Duration::from_millis(300)).await;
    wire.cut();
    // It looks at its connection once a second.
    idle_until(Duration::from_millis(1200)).await;
    wire.mend();
    let script = begin(&mut one, T0);
    assert_eq!(one.recorder.stats().errors.load(Ordering::Relaxed), 0);
    assert_eq!(state(&one, script.id).await, Some(State::Running));
}

/// Records a run that is over, whose request is one that others had too.
fn record(opened: &mut Opened, at: i64, body: &str) -> RunId {
    let mut script = Script::new(at, &plan())
        .payload(payload::CLIENT_REQUEST, body)
        .ended(State::Completed);
    opened.recorder.observe(&script.batch());
    opened.recorder.write(Instant::now());
    script.id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_has_lost_that_failed_over_is_written_again() {
    let database = Database::make().await;
    let wire = Wire::before(&database).await;
    let (mut one, other) = (wire.open(&database).await, database.open().await);
    let body = serde_json::json!({"messages": ["the same ".repeat(1000)]}).to_string();
    let mut open_run = begin(&mut one, T0);
    record(&mut one, T0, &body);
    wire.cut();
    let lose = "DELETE FROM dagway.plans; DELETE FROM dagway.blocks";
    database.connect().await.batch_execute(lose).await.unwrap();
    wire.mend();
    // It looks at its connection once a second, and writes nothing meanwhile.
    let begun = Instant::now();
    until(async || {
        one.recorder.idle();
        begun.elapsed() > Duration::from_millis(1200)
    })
    .await;
    // In the same minute, in which it would not even say that the block is used again.
    let next = record(&mut one, T0 + 1000, &body);
    assert!(!one.recorder.stats().is_failing());
    let text = other.store.payload(next, payload::CLIENT_REQUEST).await;
    assert_eq!(text.unwrap().unwrap(), body.as_bytes());
    assert!(other.store.run(next).await.unwrap().is_some());
    open_run = open_run.ended(State::Completed);
    one.recorder.observe(&open_run.batch());
    one.recorder.write(Instant::now());
    let whole = other.store.run(open_run.id).await.unwrap().unwrap();
    assert_eq!(whole.summary.state, State::Completed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_is_gone_when_it_is_touched_is_written_again() {
    let database = Database::make().await;
    let mut one = database.open().await;
    let body = serde_json::json!({"messages": ["the same ".repeat(1000)]}).to_string();
    record(&mut one, T0, &body);
    let lose = "DELETE FROM dagway.blocks";
    database.connect().await.batch_execute(lose).await.unwrap();
    let next = record(&mut one, T0 + MINUTE, &body);
    assert!(one.recorder.stats().is_failing());
    one.recorder.write(Instant::now());
    assert!(!one.recorder.stats().is_failing());
    assert_eq!(one.recorder.stats().errors.load(Ordering::Relaxed), 1);
    let text = one.store.payload(next, payload::CLIENT_REQUEST).await;
    assert_eq!(text.unwrap().unwrap(), body.as_bytes());
    // To touch one that is there is a write like any other.
    record(&mut one, T0 + 2 * MINUTE, &body);
    assert_eq!(one.recorder.stats().errors.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_is_given_up_and_the_recorder_does_not_wait_for_it_again() {
    let database = Database::make().await;
    let wire = Wire::before(&database).await;
    let mut one = wire.open(&database).await;
    wire.hold();
    let mut script = Script::new(T0, &plan());
    one.recorder.observe(&script.batch());
    let begun = Instant::now();
    one.recorder.write(Instant::now());
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "it waited too long"
    );
    assert!(one.recorder.stats().is_failing());
    // The first look for a new connection may take a moment; from then on there is no waiting.
    one.recorder.write(Instant::now());
    let again = Instant::now();
    one.recorder.write(Instant::now());
    assert!(
        again.elapsed() < Duration::from_millis(200),
        "it waited again"
    );
    wire.mend();
    eventually(&mut one.recorder, || async {
        one.store.runs_by_id(&[script.id]).await.ok()?.pop()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_start_together_and_write_the_same_texts_do_not_hinder_each_other() {
    const EACH: i64 = 60;
    let database = Arc::new(Database::make().await);
    let processes = (0..3_i64).map(|process| {
        let database = Arc::clone(&database);
        tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Handle::current();
            let mut opened = runtime.block_on(database.open());
            for number in 0..EACH {
                // All write the same thousand blocks, each in another order.
                let mut blocks: Vec<i64> = (0..20)
                    .map(|block| (block * (process * 2 + 1) + number) % 1000)
                    .collect();
                blocks.reverse();
                let messages: Vec<String> = blocks
                    .iter()
                    .map(|block| format!("{block} ").repeat(600))
                    .collect();
                let body = serde_json::json!({ "messages": messages }).to_string();
                let at = T0 + number * MINUTE + process;
                let mut script = Script::new(at, &plan())
                    .payload(payload::CLIENT_REQUEST, &body)
                    .ended(State::Completed);
                opened.recorder.observe(&script.batch());
                opened.recorder.write(Instant::now());
                opened.recorder.tidy(Timestamp(at));
            }
            opened.recorder.finish();
            opened.recorder.stats().errors.load(Ordering::Relaxed)
        })
    });
    let errors = futures_util::future::join_all(processes).await;
    for errors in errors {
        assert_eq!(errors.unwrap(), 0);
    }
    let opened = database.open().await;
    let page = opened
        .store
        .runs(&RunFilter::default(), None, 500)
        .await
        .unwrap();
    assert_eq!(page.runs.len(), usize::try_from(3 * EACH).unwrap());
    for run in page.runs {
        let text = opened
            .store
            .payload(run.id, payload::CLIENT_REQUEST)
            .await
            .unwrap();
        assert!(text.is_some(), "{}", run.id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_go_only_when_every_process_has_heard_of_it() {
    let database = Database::make().await;
    let an_hour = |heard_after| {
        move |settings: &mut crate::store::Settings| {
            settings.keep_for = Duration::from_secs(60 * 60);
            settings.heard_after = heard_after;
        }
    };
    let patient = an_hour(Duration::from_secs(1000));
    let mut tidier = database.open_with(patient).await.unwrap();
    let mut writer = database.open().await;
    let body = serde_json::json!({"messages": ["the same ".repeat(1000)]}).to_string();
    let record = |opened: &mut Opened, at| {
        let mut script = Script::new(at, &plan())
            .payload(payload::CLIENT_REQUEST, &body)
            .ended(State::Completed);
        opened.recorder.observe(&script.batch());
        opened.recorder.write(Instant::now());
        script.id
    };
    let old = record(&mut writer, T0);
    let now = T0 + 100 * MINUTE;
    for _ in 0..3 {
        tidier.recorder.tidy(Timestamp(now));
    }
    assert!(tidier.store.run(old).await.unwrap().is_none());
    // It remembers the block, and has not been told that it will go: it only says that the block is used again.
    let young = record(&mut writer, now);
    for _ in 0..3 {
        tidier.recorder.tidy(Timestamp(now));
    }
    let text = writer.store.payload(young, payload::CLIENT_REQUEST).await;
    assert_eq!(text.unwrap().unwrap(), body.as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_of_an_older_run_that_was_written_after_all_have_heard_are_kept() {
    let database = Database::make().await;
    let (mut one, mut late) = (database.open().await, database.open().await);
    let body = serde_json::json!({"messages": ["the same ".repeat(1000)]}).to_string();
    let mut young = Script::new(T0 + 90 * MINUTE, &plan()).ended(State::Completed);
    one.recorder.observe(&young.batch());
    one.recorder.write(Instant::now());
    let mut tidy = || {
        for _ in 0..3 {
            while one.recorder.tidy(Timestamp(T0 + 90 * MINUTE)) {}
        }
    };
    tidy();
    let mut old = Script::new(T0, &plan())
        .payload(payload::CLIENT_REQUEST, &body)
        .ended(State::Completed);
    late.recorder.observe(&old.batch());
    late.recorder.write(Instant::now());
    tidy();
    let text = late.store.payload(old.id, payload::CLIENT_REQUEST).await;
    assert_eq!(text.unwrap().unwrap(), body.as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_stays_within_its_size_and_the_newest_runs_stay_whole() {
    const LIMIT: u64 = 2 << 20;
    let database = Database::make().await;
    let small = |settings: &mut crate::store::Settings| settings.keep_bytes = LIMIT;
    let mut opened = database.open_with(small).await.unwrap();
    let mut noise = fastrand::Rng::with_seed(7);
    let mut ids = Vec::new();
    for number in 0..200 {
        let own: String = std::iter::repeat_with(|| noise.alphanumeric())
            .take(40_000)
            .collect();
        let body = serde_json::json!({"messages": [own]}).to_string();
        let at = T0 + number * 10 * MINUTE;
        let mut script = Script::new(at, &plan())
            .payload(payload::CLIENT_REQUEST, &body)
            .ended(State::Completed);
        opened.recorder.observe(&script.batch());
        opened.recorder.write(Instant::now());
        ids.push((script.id, body));
        if number % 50 == 49 {
            // Announced, heard, gone.
            for _ in 0..3 {
                while opened.recorder.tidy(Timestamp(at)) {}
            }
            let client = database.connect().await;
            let stored = "SELECT (SELECT sum(octet_length(data)) FROM dagway.blocks)::bigint
                + (SELECT sum(octet_length(data)) FROM dagway.journal)::bigint
                + (SELECT count(*) * 1024 FROM dagway.runs)";
            let stored: i64 = client.query_one(stored, &[]).await.unwrap().get(0);
            let counted = "SELECT sum(bytes)::bigint FROM dagway.processes";
            let counted: i64 = client.query_one(counted, &[]).await.unwrap().get(0);
            assert_eq!(stored, counted);
            assert!(
                u64::try_from(stored).unwrap() <= LIMIT,
                "{stored} bytes after run {number}"
            );
        }
    }
    let page = opened
        .store
        .runs(&RunFilter::default(), None, 500)
        .await
        .unwrap();
    let left: Vec<RunId> = page.runs.iter().map(|run| run.id).collect();
    assert!(left.len() > 20, "only {} are left", left.len());
    for ((id, body), found) in ids.iter().rev().zip(&left) {
        assert_eq!(id, found);
        let text = opened.store.payload(*id, payload::CLIENT_REQUEST).await;
        assert_eq!(text.unwrap().unwrap(), body.as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_postgresql_cannot_hold_is_kept_all_the_same() {
    let database = Database::make().await;
    let mut opened = database.open().await;
    let mut script = Script::new(T0, &plan())
        .fact(facts::SESSION, "a\0b")
        .fact(facts::MODEL_ASKED, "model\0")
        .payload(payload::CLIENT_REQUEST, "{\"a\0\"")
        .then(EventKind::Step {
            step: 1,
            state: State::Failed,
            attempt: 1,
            message: Some("no\0".into()),
            retry_in: None,
        })
        .failed("step `x` said \0");
    opened.recorder.observe(&script.batch());
    opened.recorder.finish();
    let run = opened.store.run(script.id).await.unwrap().unwrap();
    // The figures and what happened are as they were; the columns that are searched show the sign for what cannot be shown.
    assert_eq!(run.summary.text(facts::SESSION), Some("a\0b"));
    assert_eq!(run.steps[1].error.as_deref(), Some("no\0"));
    assert_eq!(run.summary.error.as_deref(), Some("step `x` said \u{fffd}"));
    let filter = RunFilter {
        session: Some("a\0b".to_owned()),
        ..RunFilter::default()
    };
    assert_eq!(
        opened
            .store
            .runs(&filter, None, 5)
            .await
            .unwrap()
            .runs
            .len(),
        1
    );
    let text = opened
        .store
        .payload(script.id, payload::CLIENT_REQUEST)
        .await;
    assert_eq!(text.unwrap().unwrap(), b"{\"a\0\"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_comes_back_while_the_process_ends_still_gets_everything() {
    let database = Database::make().await;
    let wire = Wire::before(&database).await;
    let mut one = wire.open(&database).await;
    wire.cut();
    let mut script = Script::new(T0, &plan()).ended(State::Completed);
    one.recorder.observe(&script.batch());
    let ending = tokio::task::spawn_blocking(move || {
        one.recorder.finish();
        one.recorder.stats().lost_runs.load(Ordering::Relaxed)
    });
    tokio::time::sleep(Duration::from_millis(1500)).await;
    wire.mend();
    assert_eq!(ending.await.unwrap(), 0);
    assert_eq!(
        state(&database.open().await, script.id).await,
        Some(State::Completed)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_that_were_given_up_do_not_hinder_the_next() {
    let database = Database::make().await;
    let wire = Wire::before(&database).await;
    let one = Arc::new(wire.open(&database).await.store);
    let read_four = || async {
        let reads = (0..4).map(|_| one.ready());
        futures_util::future::join_all(reads).await
    };
    assert!(read_four().await.iter().all(Result::is_ok));
    wire.hold();
    assert!(read_four().await.iter().all(Result::is_err));
    wire.mend();
    assert!(read_four().await.iter().all(Result::is_ok));

    let client = database.connect().await;
    client
        .batch_execute("BEGIN; LOCK TABLE dagway.runs")
        .await
        .unwrap();
    let filter = RunFilter::default();
    let impatient = Duration::from_millis(50);
    for _ in 0..8 {
        assert!(
            tokio::time::timeout(impatient, one.runs(&filter, None, 1))
                .await
                .is_err()
        );
    }
    let begun = Instant::now();
    one.ready().await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "it waited for the others"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_index_or_a_column_cannot_hold_keeps_no_other_run_from_being_written() {
    let database = Database::make().await;
    let mut opened = database.open().await;
    let mut noise = fastrand::Rng::with_seed(1);
    let session: String = std::iter::repeat_with(|| noise.alphanumeric())
        .take(20_000)
        .collect();
    let mut long = Script::new(T0, &plan()).fact(facts::SESSION, session.clone());
    opened.recorder.observe(&long.batch());
    opened.recorder.write(Instant::now());
    let filter = RunFilter {
        session: Some(session.clone()),
        ..RunFilter::default()
    };
    let found = opened.store.runs(&filter, None, 5).await.unwrap().runs;
    assert_eq!(found[0].text(facts::SESSION), Some(session.as_str()));

    let constraint = "ALTER TABLE dagway.runs ADD CHECK (error <> 'poison')";
    database
        .connect()
        .await
        .batch_execute(constraint)
        .await
        .unwrap();
    let mut scripts: Vec<Script> = (1..4)
        .map(|number| Script::new(T0 + number, &plan()))
        .collect();
    for (number, script) in scripts.iter_mut().enumerate() {
        opened.recorder.observe(&script.batch());
        let error = if number == 1 { "poison" } else { "a usual one" };
        *script = std::mem::replace(script, Script::new(T0, &plan())).failed(error);
        opened.recorder.observe(&script.batch());
    }
    opened.recorder.finish();
    for (script, is_kept) in scripts.iter().zip([true, false, true]) {
        let kept = state(&opened, script.id).await == Some(State::Failed);
        assert_eq!(kept, is_kept);
    }
    assert!(!opened.recorder.stats().is_failing());
    assert_eq!(opened.recorder.stats().lost_runs.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn room_that_somebody_else_has_made_costs_no_runs() {
    let database = Database::make().await;
    let small = |settings: &mut crate::store::Settings| settings.keep_bytes = 1 << 20;
    let mut opened = database.open_with(small).await.unwrap();
    let counted = "UPDATE dagway.processes SET bytes = 100 << 20";
    database
        .connect()
        .await
        .batch_execute(counted)
        .await
        .unwrap();
    let mut script = Script::new(T0, &plan()).ended(State::Completed);
    opened.recorder.observe(&script.batch());
    opened.recorder.write(Instant::now());
    for _ in 0..3 {
        while opened.recorder.tidy(Timestamp(T0)) {}
    }
    assert_eq!(state(&opened, script.id).await, Some(State::Completed));
}
