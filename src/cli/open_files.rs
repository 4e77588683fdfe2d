//! How many files and connections the process may have open.
//!
//! Most systems start a program with room for 1,024 and let it ask for more. A turn under way has two of them open, the
//! client's and the upstream's connection, so that a few hundred streams would be the end.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most that macOS grants where it names no limit at all.
const MACOS_MOST: u64 = 10_240;
/// With fewer than this, a team notices.
const FEW: u64 = 4_096;

/// Asks for as many as the system lets the process have, and says so in the log if that is little.
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
    if let Some(files) = getrlimit(Resource::Nofile).current
        && files < FEW
    {
        tracing::warn!(
            files,
            "few connections and files may be open: a turn takes two of them; raise the limit (`ulimit -Hn`, \
             LimitNOFILE= of a systemd unit, --ulimit nofile= of a container)"
        );
    }
}
