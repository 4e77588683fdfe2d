//! The signals that end the process. What they do to it is for whoever listens.
//!
//! SIGXFSZ is taken, so that it does nothing: the write that it stands for fails, and who writes knows what to do then.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The bit of SIGHUP in the mask of signals that Linux tells of a process.
const HANGUP_BIT: u64 = 1;

/// The signals that end the process.
pub struct Signals {
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
    hangup: Hangup,
}

/// SIGHUP: the terminal has been closed, or the connection to it was lost.
pub struct Hangup(Option<Signal>);

impl Signals {
    /// Listens to SIGTERM, Ctrl-C and SIGHUP from now on: they do not end the process by themselves any more.
    #[must_use]
    pub fn listen() -> Self {
        Self {
            terminate: signal(SignalKind::terminate()).ok(),
            interrupt: signal(SignalKind::interrupt()).ok(),
            hangup: Hangup::listen(),
        }
    }

    /// Returns when the next one has come.
    pub async fn next(&mut self) {
        tokio::select! {
            () = received(self.terminate.as_mut()) => {}
            () = received(self.interrupt.as_mut()) => {}
            () = self.hangup.next() => {}
        }
    }
}

impl Hangup {
    /// Listens to it from now on, unless the process was started to ignore it, as `nohup` does. Where that cannot be
    /// seen, it is left alone, and does what it always did.
    #[must_use]
    pub fn listen() -> Self {
        let ignored = std::fs::read_to_string("/proc/self/status");
        let ignored = ignored.ok().and_then(|status| ignored_signals(&status));
        let is_to_be_heard = ignored.is_some_and(|mask| mask & HANGUP_BIT == 0);
        Self(
            is_to_be_heard
                .then(|| signal(SignalKind::hangup()).ok())
                .flatten(),
        )
    }

    /// Returns when it has come.
    pub async fn next(&mut self) {
        received(self.0.as_mut()).await;
    }
}

/// Has a write beyond the largest size that a file may have (`ulimit -f`) fail from now on, and not end the process.
/// Programs that this one starts have the signal as it was.
pub fn outlive_file_limit() {
    // What is taken once stays taken when nobody listens any more. Where it cannot be taken, it does what it always did.
    drop(signal(SignalKind::from_raw(
        rustix::process::Signal::XFSZ.as_raw(),
    )));
}

/// A signal that could not be listened to never comes.
async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// The mask of ignored signals in what Linux tells of a process.
fn ignored_signals(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    u64::from_str_radix(mask?.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_ignores_is_read_from_what_linux_tells_of_it() {
        let status =
            "Name:\tdagway\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert_eq!(ignored_signals(status), Some(0x1001));
        assert_eq!(ignored_signals("Name:\tdagway\n"), None);
    }
}
