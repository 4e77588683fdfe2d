//! The states of runs and step runs.

/// The state of a run or of a step run. Names and meaning are Prefect's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum State {
    /// Known, to start at a later time.
    Scheduled,
    /// Waiting for what it needs.
    Pending,
    /// At work; for a flow that is still passing, with the label *streaming*.
    Running,
    /// An attempt failed; the next one waits for its time (Prefect: `AwaitingRetry`).
    Retrying,
    /// Done.
    Completed,
    /// Done with a result kept from earlier.
    Cached,
    /// Ended by an error.
    Failed,
    /// Ended because its time was up.
    TimedOut,
    /// Told to stop, not stopped yet.
    Cancelling,
    /// Stopped, because nobody wants the result any more.
    Cancelled,
    /// The process ended while it was running.
    Crashed,
    /// Waiting for a human.
    Paused,
    /// Never ran, because something it needs failed.
    Skipped,
}

impl State {
    /// All states, in the order of their declaration.
    pub const ALL: [Self; 13] = [
        Self::Scheduled,
        Self::Pending,
        Self::Running,
        Self::Retrying,
        Self::Completed,
        Self::Cached,
        Self::Failed,
        Self::TimedOut,
        Self::Cancelling,
        Self::Cancelled,
        Self::Crashed,
        Self::Paused,
        Self::Skipped,
    ];

    /// The name as shown and stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "Scheduled",
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Retrying => "Retrying",
            Self::Completed => "Completed",
            Self::Cached => "Cached",
            Self::Failed => "Failed",
            Self::TimedOut => "TimedOut",
            Self::Cancelling => "Cancelling",
            Self::Cancelled => "Cancelled",
            Self::Crashed => "Crashed",
            Self::Paused => "Paused",
            Self::Skipped => "Skipped",
        }
    }

    /// Reads a name as written by [`State::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing can follow.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Completed
                | Self::Cached
                | Self::Failed
                | Self::TimedOut
                | Self::Cancelled
                | Self::Crashed
                | Self::Skipped
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_state_reads_back() {
        for state in State::ALL {
            assert_eq!(State::from_name(state.name()), Some(state));
        }
    }
}
