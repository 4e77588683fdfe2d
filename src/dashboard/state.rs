//! How states look: label, class and icon. The colours are Prefect's, in `tokens.css`.

use crate::events::{Level, State};

/// A state as pages show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StateView {
    /// In words.
    pub(crate) label: &'static str,
    /// The suffix of its class, `state-…`.
    pub(crate) class: &'static str,
    /// The symbol of the icon sheet, so that colour is never the only sign.
    pub(crate) icon: &'static str,
    /// A sign for places that take text alone.
    pub(crate) sign: &'static str,
}

impl From<State> for StateView {
    fn from(state: State) -> Self {
        let (label, class, icon) = match state {
            State::Scheduled => ("Scheduled", "scheduled", "clock"),
            State::Pending => ("Pending", "pending", "dots"),
            State::Running => ("Running", "running", "play"),
            State::Retrying => ("Retrying", "retrying", "again"),
            State::Completed => ("Completed", "completed", "check"),
            State::Cached => ("Cached", "cached", "check"),
            State::Failed => ("Failed", "failed", "cross"),
            State::TimedOut => ("Timed out", "timedout", "clock"),
            State::Cancelling => ("Cancelling", "cancelling", "minus"),
            State::Cancelled => ("Cancelled", "cancelled", "minus"),
            State::Crashed => ("Crashed", "crashed", "bang"),
            State::Paused => ("Paused", "paused", "pause"),
            State::Skipped => ("Skipped", "skipped", "skip"),
        };
        let sign = match icon {
            "check" => "✓",
            "cross" => "✕",
            "play" => "▶",
            "again" => "↻",
            "minus" => "−",
            "bang" => "!",
            "clock" => "◷",
            _ => "○",
        };
        Self {
            label,
            class,
            icon,
            sign,
        }
    }
}

/// A level of a log line, in words.
pub(crate) const fn level(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

/// A share of a bar that shows how many runs ended how.
#[derive(Debug, PartialEq)]
pub(crate) struct StateShare {
    pub(crate) state: StateView,
    /// As it is shown.
    pub(crate) count: String,
    /// Where it starts and how wide it is, as SVG attributes.
    pub(crate) from: String,
    pub(crate) width: String,
}

/// Counts by state that are not nothing, in the order of [`State::ALL`] but the good ones first.
pub(crate) fn in_order(by_state: &[(State, u64)]) -> Vec<(State, u64)> {
    let counts = by_state.iter().copied();
    let mut sorted: Vec<(State, u64)> = counts.filter(|(_, count)| *count > 0).collect();
    sorted.sort_by_key(|(state, _)| {
        let place = State::ALL.iter().position(|other| other == state);
        (*state != State::Completed, place)
    });
    sorted
}

/// A bar of counts by state, [`in_order`].
pub(crate) fn shares(by_state: &[(State, u64)]) -> Vec<StateShare> {
    let total: u64 = by_state.iter().map(|(_, count)| count).sum();
    let mut before = 0;
    in_order(by_state)
        .into_iter()
        .map(|(state, count)| {
            let from = before as f64 / total as f64;
            before += count;
            StateShare {
                state: state.into(),
                count: super::format::thousands(i64::try_from(count).unwrap_or(i64::MAX)),
                from: super::format::percent_attribute(from),
                width: super::format::percent_attribute(count as f64 / total as f64),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_fill_the_bar() {
        let shares = shares(&[
            (State::Failed, 1),
            (State::Completed, 3),
            (State::Crashed, 0),
        ]);
        let bar: Vec<_> = shares
            .iter()
            .map(|share| (share.state.label, share.from.as_str(), share.width.as_str()))
            .collect();
        assert_eq!(
            bar,
            [
                ("Completed", "0.00%", "75.00%"),
                ("Failed", "75.00%", "25.00%")
            ]
        );
    }
}
