//! The recorder and its store together, on a real folder and a real server.
//!
//! [`story`], [`lists`] and [`retention`] are what any database engine has to tell, on a [`stage`] of each; [`replicas`] is
//! about PostgreSQL, the rest about SQLite and its folder.

mod ending;
mod examination;
mod folder;
mod kill;
mod likeness;
mod lists;
mod older;
mod pressure;
mod refusals;
mod replicas;
mod retention;
mod script;
mod stage;
mod story;
mod usage;
mod wire;

use std::future::Future;
use std::time::{Duration, Instant};

pub(crate) use script::{Script, plan, plan_of, start};

use super::{OpenError, Opened, Settings, open};
use crate::events::Observer;

/// Opens a store in `folder` with settings under which nothing expires.
///
/// A child process that another test is starting has a copy of the folder's lock until it becomes another program.
fn open_in(folder: &tempfile::TempDir) -> Opened {
    open_with(|| settings(folder))
}

/// Opens a store with these settings; see [`open_in`].
fn open_with(settings: impl Fn() -> Settings) -> Opened {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match open(settings()) {
            Err(OpenError::Locked { .. }) if Instant::now() < deadline => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

fn settings(folder: &tempfile::TempDir) -> Settings {
    Settings {
        folder: folder.path().to_owned(),
        keep_for: Duration::from_secs(100 * 365 * 24 * 60 * 60),
        ..Settings::default()
    }
}

/// Lets the recorder idle until `read` finds what it looks for.
async fn eventually<T, F: Future<Output = Option<T>>>(
    recorder: &mut dyn Observer,
    mut read: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        recorder.idle();
        if let Some(found) = read().await {
            return found;
        }
        assert!(Instant::now() < deadline, "it never came");
    }
}
