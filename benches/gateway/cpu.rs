//! What a process and its children use, read from `/proc`: processor time to the nanosecond, resident memory.
//!
//! The scheduler's own count per thread (`schedstat`) is exact; the classic one (`stat`) goes in steps of 10 ms, but also
//! holds what ended threads used. The larger of the two differences is taken.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::time::{Duration, Instant};

/// Linux shows times to user space in 1/100 s on every architecture in use.
const TICK: Duration = Duration::from_millis(10);
/// A process that uses less than this in one look has finished what it had left to do.
const QUIET: Duration = Duration::from_micros(500);
const LOOK_EVERY: Duration = Duration::from_millis(25);
const QUIET_LOOKS: u32 = 3;
const LONGEST_SETTLING: Duration = Duration::from_secs(3);

/// Watches a process and its descendants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    root: u32,
}

/// Processor time up to some moment.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    threads: HashMap<u32, Thread>,
    ticks: Duration,
}

#[derive(Debug)]
struct Thread {
    name: String,
    used: Duration,
}

/// Processor time between two moments.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) total: Duration,
    /// By name of thread, threads of one kind together.
    pub(crate) by_thread: BTreeMap<String, Duration>,
}

impl Usage {
    fn since(&self, before: &Self) -> Spent {
        let mut spent = Spent::default();
        for (id, now) in &self.threads {
            let earlier = before
                .threads
                .get(id)
                .map_or(Duration::ZERO, |thread| thread.used);
            let used = now.used.saturating_sub(earlier);
            spent.total += used;
            *spent.by_thread.entry(now.name.clone()).or_default() += used;
        }
        let coarse = self.ticks.saturating_sub(before.ticks);
        // Two ticks of rounding are no sign of threads that ended.
        if coarse > spent.total + 2 * TICK {
            spent
                .by_thread
                .insert("ended threads".to_owned(), coarse - spent.total);
            spent.total = coarse;
        }
        spent
    }
}

impl Meter {
    pub(crate) fn new(root: u32) -> Self {
        Self { root }
    }

    pub(crate) fn read(self) -> Usage {
        let mut usage = Usage::default();
        for pid in self.processes() {
            usage.ticks += ticks(pid).unwrap_or_default();
            usage
                .threads
                .extend(threads(pid).into_iter().map(|id| (id, thread(pid, id))));
        }
        usage
    }

    /// What was used since `before`, once the process has finished what a load left behind (such as its records).
    pub(crate) async fn settled_since(self, before: &Usage) -> Spent {
        let started = Instant::now();
        let mut last = self.read();
        let mut quiet = 0;
        while quiet < QUIET_LOOKS && started.elapsed() < LONGEST_SETTLING {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.read();
            quiet = if now.since(&last).total < QUIET {
                quiet + 1
            } else {
                0
            };
            last = now;
        }
        last.since(before)
    }

    /// Resident memory now, in bytes.
    pub(crate) fn resident(self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The highest that resident memory ever was, in bytes.
    pub(crate) fn peak(self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(self, line: &str) -> u64 {
        let of = |pid: u32| status_kilobytes(pid, line).unwrap_or(0) * 1024;
        self.processes().into_iter().map(of).sum()
    }

    /// The process, its children, and theirs.
    pub(crate) fn processes(self) -> Vec<u32> {
        let mut found = vec![self.root];
        let mut next = 0;
        while let Some(&pid) = found.get(next) {
            for thread in threads(pid) {
                let path = format!("/proc/{pid}/task/{thread}/children");
                let text = fs::read_to_string(path).unwrap_or_default();
                found.extend(
                    text.split_whitespace()
                        .filter_map(|child| child.parse::<u32>().ok()),
                );
            }
            next += 1;
        }
        found
    }
}

/// The three load averages, as the kernel writes them.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// What the processor calls itself.
pub(crate) fn model_name() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    let name = line
        .and_then(|line| line.split_once(": "))
        .map(|(_, name)| name);
    name.unwrap_or("unknown processor").to_owned()
}

/// How many files this process, and each that it starts, may have open.
pub(crate) fn open_files_limit() -> usize {
    let text = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3));
    soft.and_then(|limit| limit.parse().ok()).unwrap_or(1024)
}

fn threads(pid: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

fn thread(pid: u32, id: u32) -> Thread {
    let read = |file: &str| {
        fs::read_to_string(format!("/proc/{pid}/task/{id}/{file}")).unwrap_or_default()
    };
    let schedstat = read("schedstat");
    let nanos = schedstat
        .split(' ')
        .next()
        .and_then(|nanos| nanos.parse().ok());
    // Workers of one kind are told apart by a number at the end.
    let name = read("comm")
        .trim()
        .trim_end_matches(|last: char| last.is_ascii_digit() || "-:_ ".contains(last))
        .to_owned();
    Thread {
        name,
        used: Duration::from_nanos(nanos.unwrap_or(0)),
    }
}

fn ticks(pid: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces; what follows it does not.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * (user + system))
}

fn status_kilobytes(pid: u32, line: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find(|candidate| candidate.starts_with(line))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
