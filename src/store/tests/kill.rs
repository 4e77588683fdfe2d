//! A real `kill -9`: what a process accepted 100 ms before is there, and what it left open is Crashed.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{channel, sync_channel};
use std::time::{Duration, Instant};

use super::stage::{Database, Stage};
use super::{Script, open_in, plan, settings};
use crate::events::{Observer, RunId, State, Timestamp, event_queue};
use crate::facts::payload;
use crate::store::{Opened, RunFilter, Settings, Store, open};

/// Tells the test that it is the process to be killed, and where to record: a folder, or the URL of a database.
const PLACE: &str = "DAGWAY_TEST_KILL";
const NAME: &str = "store::tests::kill::a_killed_process_loses_nothing_that_is_older_than_100_ms";
const PROMISE: i64 = 100_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_nothing_that_is_older_than_100_ms() {
    if let Some(place) = std::env::var_os(PLACE) {
        return record_until_killed(&place).await;
    }
    for stage in Stage::all().await {
        the_promise_is_kept(&stage).await;
    }
}

async fn the_promise_is_kept(stage: &Stage) {
    // A machine that gives the recorder no time for 40 ms breaks the promise, not the recorder: it gets another try.
    const TRIES: usize = 4;
    let mut late = Vec::new();
    for _ in 0..TRIES {
        let missing = kill_once(stage).await;
        assert!(
            missing < 20 * PROMISE,
            "a run was missing after {missing} µs"
        );
        if missing < PROMISE {
            return;
        }
        late.push(missing);
    }
    panic!("runs were missing that had been accepted these µs before: {late:?}");
}

/// Kills a recording process and returns how long before the kill the oldest missing run had been accepted.
async fn kill_once(stage: &Stage) -> i64 {
    let (accepted, killed) = watch_and_kill(&stage.place());
    assert!(accepted.len() > 100);

    let opened = open_after_the_kill(stage).await;
    let mut found = HashSet::new();
    let mut after = None;
    loop {
        let page = opened
            .store
            .runs(&RunFilter::default(), after, 500)
            .await
            .unwrap();
        for run in page.runs {
            let is_over = [State::Completed, State::Crashed].contains(&run.state);
            assert!(is_over && run.ended.is_some() && !run.streaming, "{run:?}");
            found.insert(run.id);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    the_oldest_run_is_whole(&*opened.store, accepted[0].0).await;
    let missing = accepted.iter().filter(|(id, _)| !found.contains(id));
    missing.map(|(_, at)| killed - at).max().unwrap_or(0)
}

/// Opens the store when the dead process is known to be dead: at once in a folder; in a database when the server has
/// seen its connection closed.
async fn open_after_the_kill(stage: &Stage) -> Opened {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let opened = stage.open().await;
        if opened.crashed > 0 {
            return opened;
        }
        assert!(Instant::now() < deadline, "nobody noticed its death");
        assert!(
            matches!(stage, Stage::Postgres(_)),
            "it is the folder's only one"
        );
    }
}

async fn the_oldest_run_is_whole(store: &dyn Store, id: RunId) {
    let run = store.run(id).await.unwrap().unwrap();
    assert_eq!(run.summary.state, State::Crashed);
    assert_eq!(run.steps[0].state, State::Completed);
    assert_eq!(run.steps[1].state, State::Crashed);
    let text = store.payload(id, payload::CLIENT_REQUEST).await.unwrap();
    assert_eq!(text.unwrap(), body(0).as_bytes());
}

/// The runs that the process said it had accepted, each with the time, and the time of the kill.
fn watch_and_kill(place: &OsStr) -> (Vec<(RunId, i64)>, i64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(PLACE, place)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut accepted: Vec<(RunId, i64)> = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    while accepted.len() < 2 || accepted[accepted.len() - 1].1 - accepted[0].1 < 700_000 {
        assert!(Instant::now() < deadline, "it recorded nothing");
        let line = lines.next().expect("it ended by itself").unwrap();
        accepted.extend(acceptance(&line));
    }
    let killed = Timestamp::now().0;
    kill(&mut child);
    for line in lines.map_while(Result::ok) {
        accepted.extend(acceptance(&line));
    }
    (accepted, killed)
}

/// On Unix this is SIGKILL.
fn kill(child: &mut Child) {
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(!status.success());
}

fn acceptance(line: &str) -> Option<(RunId, i64)> {
    let mut words = line.split("accepted ").nth(1)?.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

fn body(number: u64) -> String {
    let messages: Vec<String> = (0..20)
        .map(|message| format!("{number} {message} ").repeat(50))
        .collect();
    serde_json::json!({ "messages": messages }).to_string()
}

/// Accepts a run each millisecond, as the server would, and says so after each. Every other one is left open.
async fn record_until_killed(place: &OsStr) {
    let (sink, source) = event_queue(4096);
    let recorder = open_there(place).await.recorder;
    let mut observers: Vec<Box<dyn Observer>> = vec![Box::new(recorder)];
    std::thread::spawn(move || source.feed(&mut observers));
    let (_never, pace) = channel::<()>();
    let plan = plan();
    let begun = Instant::now();
    for number in 0.. {
        let mut script = Script::now(&plan)
            .payload(payload::CLIENT_REQUEST, &body(number))
            .step(0, State::Running)
            .step(0, State::Completed)
            .step(1, State::Running);
        if number % 2 == 1 {
            script = script.ended(State::Completed);
        }
        sink.hand_over(script.batch());
        println!("accepted {} {}", script.id, Timestamp::now().0);
        let _ = pace.recv_timeout(Duration::from_millis(1));
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "nobody killed it"
        );
    }
}

async fn open_there(place: &OsStr) -> Opened {
    if let Some(url) = place
        .to_str()
        .filter(|place| place.starts_with("postgres://"))
    {
        return Database::at(url).open().await;
    }
    let folder = place.into();
    let settings = Settings {
        folder,
        ..Settings::default()
    };
    open(settings).unwrap()
}

#[test]
fn a_second_process_is_told_to_choose_another_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(PLACE, folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (sender, first_line) = sync_channel(1);
    let stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        for line in lines.filter(|line| acceptance(line).is_some()) {
            let _ = sender.try_send(line);
        }
    });
    first_line.recv_timeout(Duration::from_secs(60)).unwrap();
    let refused = open(settings(&folder)).err().map(|error| error.to_string());
    kill(&mut child);
    reader.join().unwrap();
    assert!(refused.unwrap().contains("another Dagway"));
    open_in(&folder);
}
