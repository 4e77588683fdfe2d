//! The signals that end the process. What they do to it is for whoever listens.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end the process.
pub struct Signals {
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
}

impl Signals {
    /// Listens to SIGTERM and Ctrl-C from now on: they do not end the process by themselves any more.
    #[must_use]
    pub fn listen() -> Self {
        Self {
            terminate: signal(SignalKind::terminate()).ok(),
            interrupt: signal(SignalKind::interrupt()).ok(),
        }
    }

    /// Returns when the next one has come.
    pub async fn next(&mut self) {
        tokio::select! {
            () = received(self.terminate.as_mut()) => {}
            () = received(self.interrupt.as_mut()) => {}
        }
    }
}

/// A signal that could not be listened to never comes.
async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
