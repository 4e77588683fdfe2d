//! The end of a process whose database hangs: soon, and with everything that could be written.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::stage::{Database, Stage};
use super::{Script, plan};
use crate::events::{EventSink, Observer, State, event_queue};
use crate::store::Opened;

const T0: i64 = 1_790_000_000_000_000;
/// The longest that a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);
/// The last tries of a recorder, and what threads may take besides.
const SOON: Duration = Duration::from_millis(9_500);

/// A recorder on a thread of its own, as a process has it.
struct Recording {
    events: EventSink,
    thread: thread::JoinHandle<()>,
}

impl Recording {
    /// Begins with a run that is over.
    fn of(opened: Opened, script: &mut Script) -> Self {
        let (events, source) = event_queue(64);
        let queue = events.clone();
        let recorder = opened.recorder.with_end(move || queue.closed());
        let thread = thread::spawn(move || {
            source.feed(&mut [Box::new(recorder) as Box<dyn Observer>]);
        });
        events.hand_over(script.batch());
        Self { events, thread }
    }

    /// Says that the process ends, and gives how long that takes.
    async fn end(self) -> Duration {
        let begun = Instant::now();
        self.events.close();
        let ended = tokio::task::spawn_blocking(|| self.thread.join());
        ended.await.unwrap().unwrap();
        begun.elapsed()
    }
}

/// Waits until a statement waits for a lock that somebody else has.
async fn until_it_hangs(watcher: &tokio_postgres::Client) {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let since = Instant::now();
    while watcher.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(since.elapsed() < PATIENCE, "nothing was written");
    }
}

/// A database of which the runs are locked by `BEGIN`.
async fn locked(database: &Database) -> tokio_postgres::Client {
    let client = database.connect().await;
    let lock = "BEGIN; LOCK TABLE dagway.runs IN ACCESS EXCLUSIVE MODE";
    client.batch_execute(lock).await.unwrap();
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_does_not_hold_the_end_up() {
    let database = Database::make().await;
    let opened = database.open().await;
    let stats = opened.recorder.stats().clone();
    let (_lock, watcher) = (locked(&database).await, database.connect().await);
    let mut script = Script::new(T0, &plan()).ended(State::Completed);
    let recording = Recording::of(opened, &mut script);
    until_it_hangs(&watcher).await;
    let took = recording.end().await;
    assert!(took < SOON, "the end took {took:?}");
    assert_eq!(stats.lost_runs.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_goes_on_before_the_end_gets_everything() {
    let database = Database::make().await;
    let opened = database.open().await;
    let (stats, store) = (opened.recorder.stats().clone(), opened.store.clone());
    let (lock, watcher) = (locked(&database).await, database.connect().await);
    let mut script = Script::new(T0, &plan()).ended(State::Completed);
    let recording = Recording::of(opened, &mut script);
    until_it_hangs(&watcher).await;
    let ending = recording.end();
    let goes_on = async {
        // The first write is given up before.
        tokio::time::sleep(Duration::from_secs(6)).await;
        lock.batch_execute("COMMIT").await.unwrap();
    };
    let (took, ()) = tokio::join!(ending, goes_on);
    assert!(took < SOON, "the end took {took:?}");
    assert_eq!(stats.lost_runs.load(Ordering::Relaxed), 0);
    let run = store.run(script.id).await.unwrap().unwrap();
    assert_eq!(run.summary.state, State::Completed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_locks_the_file_does_not_hold_the_end_up() {
    let folder = tempfile::tempdir().unwrap();
    let program = rusqlite::Connection::open(folder.path().join("dagway.db")).unwrap();
    let stage = Stage::Sqlite(folder);
    let opened = stage.open().await;
    let stats = opened.recorder.stats().clone();
    program.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut script = Script::new(T0, &plan()).ended(State::Completed);
    let took = Recording::of(opened, &mut script).end().await;
    assert!(took < SOON, "the end took {took:?}");
    assert_eq!(stats.lost_runs.load(Ordering::Relaxed), 1);
}
