//! The folder: who may use it, what is found in it, and the sentences when it cannot be used.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::{Script, open_in, plan, settings};
use crate::events::{Observer, RunId, State, Timestamp};
use crate::store::{OpenError, Opened, Settings, open};

fn refusal(settings: Settings) -> OpenError {
    match open(settings) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

/// The refusal once nobody has the folder's lock; see [`open_in`] for who may.
fn refusal_of_database(folder: &tempfile::TempDir) -> OpenError {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match refusal(settings(folder)) {
            OpenError::Locked { .. } if Instant::now() < deadline => std::thread::yield_now(),
            error => return error,
        }
    }
}

fn record(opened: &mut Opened, script: &mut Script) -> RunId {
    opened.recorder.observe(&script.batch());
    opened.recorder.finish();
    script.id
}

#[cfg(unix)]
#[test]
fn folder_and_files_are_for_this_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a").join("b");
    let opened = open(Settings {
        folder: folder.clone(),
        ..Settings::default()
    })
    .unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        files += 1;
    }
    assert!(files >= 2);
    drop(opened);
}

#[tokio::test]
async fn a_file_that_is_gone_refuses_what_would_be_lost_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut opened = open_in(&folder);
    let script = || Script::new(1_790_000_000_000_000, &plan()).ended(State::Completed);
    let first = record(&mut opened, &mut script());
    let there = folder.path().join("dagway.db");
    let elsewhere = folder.path().join("elsewhere");
    std::fs::rename(&there, &elsewhere).unwrap();
    let second = record(&mut opened, &mut script());
    assert!(opened.recorder.stats().is_failing());
    let ready = opened.store.ready().await.unwrap_err();
    assert!(ready.to_string().contains("was refused"), "{ready}");

    std::fs::rename(&elsewhere, &there).unwrap();
    let third = record(&mut opened, &mut script());
    assert!(!opened.recorder.stats().is_failing());
    let found = opened.store.runs_by_id(&[first, second, third]).await;
    assert_eq!(found.unwrap().len(), 3, "what waited is written");
}

#[tokio::test]
async fn runs_of_a_process_that_is_gone_are_crashed_and_the_others_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = 1_790_000_000_000_000;
    let mut opened = open_in(&folder);
    let done = record(
        &mut opened,
        &mut Script::new(at, &plan()).ended(State::Completed),
    );
    let mut script = Script::new(at, &plan())
        .step(0, State::Running)
        .step(0, State::Completed)
        .step(1, State::Running)
        .progress(1, 3, 30)
        .step(2, State::Pending);
    let open_run = record(&mut opened, &mut script);
    drop(opened);

    let opened = open_in(&folder);
    assert_eq!(opened.crashed, 1);
    let counted = &opened.recorder.stats().crashed_runs;
    assert_eq!(counted.load(Ordering::Relaxed), 1);
    let run = opened.store.run(open_run).await.unwrap().unwrap();
    assert_eq!(run.summary.state, State::Crashed);
    assert!(run.summary.error.as_deref().unwrap().contains("process"));
    assert_eq!(run.summary.ended.unwrap().0, at + 5000);
    let states: Vec<State> = run.steps.iter().map(|step| step.state).collect();
    let expected = [
        State::Completed,
        State::Crashed,
        State::Skipped,
        State::Skipped,
    ];
    assert_eq!(states, expected);
    assert!(run.steps.iter().all(|step| !step.streaming));
    let run = opened.store.run(done).await.unwrap().unwrap();
    assert_eq!(run.summary.state, State::Completed);
    drop(opened);
    assert_eq!(open_in(&folder).crashed, 0);
}

#[tokio::test]
async fn a_run_that_waited_when_its_process_died_lasted_until_the_process_was_last_known_to_live() {
    let folder = tempfile::tempdir().unwrap();
    let mut opened = open_in(&folder);
    let mut waits = Script::now(&plan()).step(0, State::Running);
    let mut done = Script::now(&plan()).ended(State::Completed);
    let started = waits.batch();
    let began = started.events[0].at.0;
    opened.recorder.observe(&started);
    opened.recorder.observe(&done.batch());
    opened.recorder.write(Instant::now());
    for second in 1..=8 {
        opened.recorder.pulse(Timestamp(began + second * 1_000_000));
    }
    drop(opened);

    let opened = open_in(&folder);
    assert_eq!(opened.crashed, 1);
    let run = opened.store.run(waits.id).await.unwrap().unwrap();
    assert_eq!(run.summary.state, State::Crashed);
    assert_eq!(run.summary.ended.unwrap().0, began + 8_000_000);
    assert_eq!(run.steps[0].ended, run.summary.ended);
    let run = opened.store.run(done.id).await.unwrap().unwrap();
    assert!(run.summary.ended.unwrap().0 < began + 1_000_000);
}

#[test]
fn a_folder_has_one_recorder() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open_in(&folder);
    let error = refusal(settings(&folder));
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("stop it or choose another"));
    drop(opened);
    open_in(&folder);
}

#[test]
fn a_store_that_is_still_read_keeps_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let Opened {
        store, recorder, ..
    } = open_in(&folder);
    drop(recorder);
    assert!(matches!(
        refusal(settings(&folder)),
        OpenError::Locked { .. }
    ));
    drop(store);
    open_in(&folder);
}

#[test]
fn a_folder_that_cannot_be_made_is_named_with_the_cure() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    std::fs::write(&file, "").unwrap();
    for folder in [file.clone(), file.join("below")] {
        let error = refusal(Settings {
            folder,
            ..Settings::default()
        });
        assert!(matches!(error, OpenError::NoFolder { .. }), "{error}");
        let expected = format!("{} is a file, not a folder; choose another", file.display());
        assert!(error.to_string().contains(&expected), "{error}");
    }
}

#[test]
fn databases_that_are_newer_foreign_or_broken_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dagway.db");
    drop(open_in(&folder));
    let database = Connection::open(&file).unwrap();
    database.pragma_update(None, "user_version", 1_000).unwrap();
    drop(database);
    let error = refusal_of_database(&folder);
    assert!(
        matches!(error, OpenError::Newer { found: 1_000, .. }),
        "{error}"
    );

    let database = Connection::open(&file).unwrap();
    database.pragma_update(None, "application_id", 1).unwrap();
    drop(database);
    let error = refusal_of_database(&folder);
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");

    let noise = "no database ".repeat(1000);
    std::fs::write(&file, &noise).unwrap();
    let error = refusal_of_database(&folder);
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    let said = error.to_string();
    assert!(
        said.contains("move it away") && said.contains(".recover"),
        "{said}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), noise);
}
