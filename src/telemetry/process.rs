//! What the kernel says of this process: memory, processor time, open files. Linux only; elsewhere there is nothing.
//!
//! Names and meaning are those that every Prometheus client gives.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use super::probe::{Probe, as_float};

/// The unit of times in `/proc` on every architecture that Linux runs on (`USER_HZ`).
const TICKS_A_SECOND: f64 = 100.0;

/// The figures of this process; none where there is no `/proc`.
pub(super) fn probes() -> Vec<Probe> {
    if cpu_seconds().is_none() {
        return Vec::new();
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let started = now.unwrap_or_default().as_secs_f64();
    vec![
        Probe::measure(
            "process_cpu_seconds_total",
            "Processor time used so far, user and system, in seconds.",
            || cpu_seconds().unwrap_or(0.0),
        ),
        Probe::new(
            "process_resident_memory_bytes",
            "Memory of the process that is in RAM, in bytes.",
            || status_field("VmRSS:").unwrap_or(0) * 1024,
        ),
        Probe::new("process_threads", "Threads of the process.", || {
            status_field("Threads:").unwrap_or(0)
        }),
        Probe::new(
            "process_open_fds",
            "Files and sockets that are open.",
            || open_files().unwrap_or(0),
        ),
        Probe::new(
            "process_max_fds",
            "Files and sockets that may be open.",
            || most_files().unwrap_or(0),
        ),
        Probe::measure(
            "process_start_time_seconds",
            "When the process began, in seconds since the Unix epoch.",
            move || started,
        ),
    ]
}

/// User and system time, from the 14th and 15th field of `/proc/self/stat`. The second is the program's name, in
/// parentheses, and may hold anything.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(as_float(user + system) / TICKS_A_SECOND)
}

fn status_field(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The limit that holds, which is the first of the two on its line; one that is none has no number.
fn most_files() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_ascii_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        limit => limit.parse().ok(),
    }
}

/// Open descriptors, without the one that the listing itself needs.
fn open_files() -> Option<u64> {
    let listing = fs::read_dir("/proc/self/fd").ok()?;
    u64::try_from(listing.count()).ok()?.checked_sub(1)
}
