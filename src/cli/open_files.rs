//! How many files and connections the process may have open.
//!
//! Most systems start a program with room for 1,024 and let it ask for more. A turn under way has two of them open, the
//! client's and the upstream's connection, so that a few hundred streams would be the end.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Failure;
use crate::settings::Settings;

/// The most that macOS grants where it names no limit at all.
const MACOS_MOST: u64 = 10_240;
/// With fewer than this, a team notices.
const FEW: u64 = 4_096;
/// What is open before the first request comes, and for that one.
const LEAST: u64 = 32;
/// What each worker has open beside it.
const OF_A_WORKER: u64 = 4;

/// Where the limit is set.
const HOW: &str = "`ulimit -Hn`, LimitNOFILE= of a systemd unit, --ulimit nofile= of a container";

/// Asks for as many as the system lets the process have.
pub(super) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    for wanted in [limit.maximum, Some(MACOS_MOST)] {
        let is_more = limit
            .current
            .is_some_and(|now| wanted.is_none_or(|wanted| wanted > now));
        let raised = Rlimit {
            current: wanted,
            maximum: limit.maximum,
        };
        if !is_more || setrlimit(Resource::Nofile, raised).is_ok() {
            break;
        }
    }
}

/// Looks whether they suffice to serve: a worker that could not even wait for requests would leave a process that lives
/// and never answers.
///
/// # Errors
/// When they do not.
pub(super) fn suffice(settings: &Settings) -> Result<(), Failure> {
    let least = least(settings.server.threads());
    match fewer_than(least) {
        Some(files) => Err(Failure::Usage(format!(
            "only {files} connections and files may be open, and with so many workers Dagway needs {least}; raise the \
             limit ({HOW}), or set DAGWAY_SERVER_WORKERS lower"
        ))),
        None => Ok(()),
    }
}

fn least(workers: usize) -> u64 {
    let workers = u64::try_from(workers).unwrap_or(u64::MAX);
    workers.saturating_mul(OF_A_WORKER).saturating_add(LEAST)
}

/// Says in the log that they are few, when they are.
pub(super) fn warn_of_few() {
    if let Some(files) = fewer_than(FEW) {
        tracing::warn!(
            files,
            "few connections and files may be open: a turn takes two of them; raise the limit ({HOW})"
        );
    }
}

fn fewer_than(number: u64) -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    limit.current.filter(|files| *files < number)
}
