//! How states look: label, class and icon. The colours are Prefect's, in `tokens.css`.

use crate::events::{Level, State};
use crate::store::Totals;

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

impl StateView {
    /// What a run is with whose request a fallback went on: how its client fared is for the last run of the request to say.
    pub(crate) const REPLACED: Self = Self {
        label: "Replaced",
        class: "replaced",
        icon: "again",
        sign: "↻",
    };
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

/// How many runs ended how, those ways left out in which none did: the good ones first, then in the order of [`State::ALL`],
/// and those at the end that a fallback replaced.
pub(crate) fn in_order(totals: &Totals) -> Vec<(StateView, u64)> {
    let mut sorted = totals.by_state.clone();
    sorted.sort_by_key(|(state, _)| {
        let place = State::ALL.iter().position(|other| other == state);
        (*state != State::Completed, place)
    });
    let by_state = sorted
        .into_iter()
        .map(|(state, count)| (state.into(), count));
    let all = by_state.chain([(StateView::REPLACED, totals.replaced)]);
    all.filter(|(_, count)| *count > 0).collect()
}

/// A bar of how many runs ended how, [`in_order`].
pub(crate) fn shares(totals: &Totals) -> Vec<StateShare> {
    let total = totals.runs();
    let mut before = 0;
    in_order(totals)
        .into_iter()
        .map(|(state, count)| {
            let from = before as f64 / total as f64;
            before += count;
            StateShare {
                state,
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
        let shares = shares(&Totals {
            by_state: vec![
                (State::Failed, 1),
                (State::Completed, 6),
                (State::Crashed, 0),
            ],
            replaced: 1,
            ..Totals::default()
        });
        let bar: Vec<_> = shares
            .iter()
            .map(|share| (share.state.label, share.from.as_str(), share.width.as_str()))
            .collect();
        assert_eq!(
            bar,
            [
                ("Completed", "0.00%", "75.00%"),
                ("Failed", "75.00%", "12.50%"),
                ("Replaced", "87.50%", "12.50%")
            ]
        );
    }
}
