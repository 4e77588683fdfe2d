//! What is too old or too much goes, the oldest first, and takes nothing along that somebody still needs.

use std::time::{Duration, Instant};

use super::stage::Stage;
use super::{Script, open_in, plan, settings};
use crate::events::{Observer, RunId, State, Timestamp};
use crate::facts::payload;
use crate::store::{Opened, RunFilter, Settings, open};

const T0: i64 = 1_790_000_000_000_000;
const MINUTE: i64 = 60_000_000;
const SHARED: &str = "the same in every run ";

/// A request whose system prompt is in all of them and whose only message is its own.
fn body(own: &str) -> String {
    // Noise, so that compression cannot hide what is kept.
    let mut noise = fastrand::Rng::with_seed(own.len() as u64);
    let own = own.to_owned()
        + &std::iter::repeat_with(|| noise.alphanumeric())
            .take(40_000)
            .collect::<String>();
    serde_json::json!({"system": [SHARED.repeat(300)], "messages": [own]}).to_string()
}

fn record(opened: &mut Opened, at: i64, own: &str) -> RunId {
    let mut script = Script::new(at, &plan())
        .payload(payload::CLIENT_REQUEST, &body(own))
        .step(0, State::Completed)
        .ended(State::Completed);
    opened.recorder.observe(&script.batch());
    opened.recorder.write(Instant::now());
    script.id
}

/// Tidies to the end and returns how many steps that took.
fn tidy(opened: &mut Opened, now: i64) -> usize {
    let mut steps = 0;
    // An engine that announces what will go needs a second and a third look.
    for _ in 0..3 {
        steps += 1;
        while opened.recorder.tidy(Timestamp(now)) {
            steps += 1;
            assert!(steps < 10_000, "it never ends");
        }
    }
    steps
}

async fn open_for_an_hour(stage: &Stage) -> Opened {
    let hour = Duration::from_secs(60 * 60);
    stage.open_with(|settings| settings.keep_for = hour).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_runs_go_and_take_only_their_own_blocks_along() {
    for stage in Stage::all().await {
        let mut opened = open_for_an_hour(&stage).await;
        let old = record(&mut opened, T0, "old");
        let young = record(&mut opened, T0 + 30 * MINUTE, "young one");
        let open_run = {
            let mut script = Script::new(T0 + MINUTE, &plan());
            opened.recorder.observe(&script.batch());
            opened.recorder.write(Instant::now());
            script.id
        };
        assert_eq!(stage.rows("blocks").await, 3);
        tidy(&mut opened, T0 + 60 * MINUTE);
        assert_eq!(stage.rows("runs").await, 3, "nothing is older than an hour");

        tidy(&mut opened, T0 + 75 * MINUTE);
        assert!(opened.store.run(old).await.unwrap().is_none());
        assert!(
            opened.store.run(open_run).await.unwrap().is_some(),
            "it is still open"
        );
        let text = opened
            .store
            .payload(young, payload::CLIENT_REQUEST)
            .await
            .unwrap();
        assert_eq!(text.unwrap(), body("young one").as_bytes());
        assert_eq!(stage.rows("journal").await, 1);
        assert_eq!(
            opened
                .recorder
                .stats()
                .expired_runs
                .load(std::sync::atomic::Ordering::Relaxed),
            1
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_was_deleted_is_written_again_when_it_comes_again() {
    for stage in Stage::all().await {
        let mut opened = open_for_an_hour(&stage).await;
        record(&mut opened, T0, "old");
        let young = record(&mut opened, T0 + 90 * MINUTE, "young one");
        tidy(&mut opened, T0 + 100 * MINUTE);
        assert_eq!(stage.rows("blocks").await, 2);
        let again = record(&mut opened, T0 + 101 * MINUTE, "old");
        for (id, own) in [(young, "young one"), (again, "old")] {
            let text = opened
                .store
                .payload(id, payload::CLIENT_REQUEST)
                .await
                .unwrap();
            assert_eq!(text.unwrap(), body(own).as_bytes());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_is_used_again_by_a_run_not_yet_written_is_kept() {
    for stage in Stage::all().await {
        let mut opened = open_for_an_hour(&stage).await;
        record(&mut opened, T0, "old");
        let mut script = Script::new(T0 + 90 * MINUTE, &plan())
            .payload(payload::CLIENT_REQUEST, &body("old"))
            .ended(State::Completed);
        opened.recorder.observe(&script.batch());
        tidy(&mut opened, T0 + 100 * MINUTE);
        assert_eq!(stage.rows("runs").await, 1);
        let text = opened
            .store
            .payload(script.id, payload::CLIENT_REQUEST)
            .await
            .unwrap();
        assert_eq!(text.unwrap(), body("old").as_bytes());
    }
}

#[tokio::test]
async fn the_file_stays_within_its_size_and_the_newest_runs_stay_whole() {
    const LIMIT: u64 = 2 << 20;
    let folder = tempfile::tempdir().unwrap();
    let mut opened = open(Settings {
        keep_bytes: LIMIT,
        ..settings(&folder)
    })
    .unwrap();
    let mut ids = Vec::new();
    for number in 0..200 {
        ids.push(record(
            &mut opened,
            T0 + number * 10 * MINUTE,
            &"n".repeat(usize::try_from(number).unwrap()),
        ));
        if number % 50 == 49 {
            let steps = tidy(&mut opened, T0 + number * 10 * MINUTE);
            assert!(steps > 0);
            opened.recorder.finish();
            let length = std::fs::metadata(folder.path().join("dagway.db"))
                .unwrap()
                .len();
            assert!(length <= LIMIT, "{length} bytes after run {number}");
        }
    }
    let page = opened
        .store
        .runs(&RunFilter::default(), None, 500)
        .await
        .unwrap();
    let left: Vec<RunId> = page.runs.iter().map(|run| run.id).collect();
    let newest: Vec<RunId> = ids.iter().rev().take(left.len()).copied().collect();
    assert!(left.len() > 10, "only {} are left", left.len());
    assert_eq!(left, newest);
    for (number, id) in ids.iter().enumerate().skip(200 - left.len()) {
        let text = opened
            .store
            .payload(*id, payload::CLIENT_REQUEST)
            .await
            .unwrap();
        assert_eq!(text.unwrap(), body(&"n".repeat(number)).as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_stays_open_does_not_cost_those_that_are_finished() {
    for stage in Stage::all().await {
        let mut opened = stage
            .open_with(|settings| settings.keep_bytes = 2 << 20)
            .await;
        let mut script = Script::new(T0, &plan()).step(0, State::Running);
        opened.recorder.observe(&script.batch());
        opened.recorder.write(Instant::now());
        let mut ids = Vec::new();
        for number in 1..=100 {
            let own = "n".repeat(usize::try_from(number).unwrap());
            ids.push(record(&mut opened, T0 + number * 10 * MINUTE, &own));
        }
        tidy(&mut opened, T0 + 1000 * MINUTE);
        let page = opened.store.runs(&RunFilter::default(), None, 500).await;
        let mut left: Vec<RunId> = page.unwrap().runs.iter().map(|run| run.id).collect();
        assert_eq!(left.pop(), Some(script.id), "it is still open");
        assert!(left.len() > 10, "only {} are left", left.len());
        assert!(left.len() < 60, "{} are left", left.len());
        let newest: Vec<RunId> = ids.iter().rev().take(left.len()).copied().collect();
        assert_eq!(left, newest);
        assert!(stage.rows("blocks").await <= 60, "their blocks are left");
        for (number, id) in (1..).zip(&ids).skip(ids.len() - left.len()) {
            let text = opened.store.payload(*id, payload::CLIENT_REQUEST).await;
            assert_eq!(text.unwrap().unwrap(), body(&"n".repeat(number)).as_bytes());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_uses_in_one_commit_the_later_one_counts() {
    for stage in Stage::all().await {
        let mut opened = stage.open().await;
        record(&mut opened, T0, "same");
        for minute in 1..=2 {
            let mut script = Script::new(T0 + minute * MINUTE, &plan())
                .payload(payload::CLIENT_REQUEST, &body("same"))
                .ended(State::Completed);
            opened.recorder.observe(&script.batch());
        }
        opened.recorder.write(Instant::now());
        let used = stage.number("SELECT min(used) FROM blocks").await;
        assert_eq!(used, T0 / MINUTE + 2);
    }
}

#[test]
fn a_store_that_only_tidies_moves_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut opened = open_in(&folder);
    let database = rusqlite::Connection::open(folder.path().join("dagway.db")).unwrap();
    database
        .pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))
        .unwrap();
    let fill = "INSERT INTO blocks (hash, used, bytes, data)
        VALUES (x'00', 9223372036854775807, 8000000, zeroblob(8000000))";
    database.execute(fill, []).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        opened.recorder.tidy(Timestamp(T0));
        let log = database.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| {
            Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
        let (pages, moved) = log.unwrap();
        if pages > 0 && pages == moved {
            break;
        }
        assert!(Instant::now() < deadline, "{moved} of {pages} were moved");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_whose_block_is_missing_is_gone_and_the_run_can_be_read() {
    for stage in Stage::all().await {
        let mut opened = stage.open().await;
        let id = record(&mut opened, T0, "a");
        stage
            .execute("DELETE FROM blocks WHERE bytes > 10000")
            .await;
        let run = opened.store.run(id).await.unwrap().unwrap();
        assert!(run.payloads[0].gone);
        assert_eq!(run.payloads[0].bytes, body("a").len() as u64);
        let text = opened
            .store
            .payload(id, payload::CLIENT_REQUEST)
            .await
            .unwrap();
        assert!(text.is_none());
    }
}
