//! Figures over time as columns: runs by how they ended, tokens, cost, duration.
//!
//! It must not know how figures are fetched, nor what stands around the columns.

use std::time::Duration;

use super::format;
use super::state::in_order;
use crate::events::Timestamp;
use crate::store::Totals;

const DAY: u64 = 86_400;
/// Lengths of a slot in seconds, shortest first.
const SLOTS: [u64; 11] = [
    60,
    300,
    900,
    3_600,
    3 * 3_600,
    6 * 3_600,
    DAY,
    2 * DAY,
    7 * DAY,
    28 * DAY,
    364 * DAY,
];
/// More columns than these are too thin to be hit.
const MOST: i64 = 32;
/// Measures of a drawing: how tall it is, how wide a slot and its column are.
pub(super) const TALL: f64 = 48.0;
const STEP: usize = 10;
/// A part that stands for something is seen.
const LEAST: f64 = 1.0;

/// A span of time in slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    /// The number of the first slot, counted from the Unix epoch, and how many there are.
    first: i64,
    count: i64,
    /// How long each is.
    pub(super) slot: Duration,
}

/// What a drawing shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    Runs,
    Tokens,
    Cost,
    /// The 95th percentile, and in it the median.
    Duration,
}

/// What happened in one slot.
#[derive(Debug, PartialEq)]
pub(super) struct Column {
    pub(super) x: i64,
    /// Class, top and height, from the ground up.
    pub(super) parts: Vec<(String, String, String)>,
    /// When it was, and all of its figures.
    pub(super) title: String,
    /// The moment that the title begins with, for scripts; a day is one of UTC and has none.
    pub(super) since: Option<String>,
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

impl Axis {
    /// The slots between two moments, as short as they can be without being too many; of a longer time only its end.
    pub(super) fn between(since: Timestamp, until: Timestamp) -> Self {
        let last = until.0.saturating_sub(1).max(since.0);
        let longest = SLOTS[SLOTS.len() - 1];
        let place = |at: i64, seconds: u64| at.div_euclid(micros(seconds));
        let fits = |seconds: &u64| place(last, *seconds) - place(since.0, *seconds) < MOST;
        let seconds = SLOTS.into_iter().find(fits).unwrap_or(longest);
        let [first, last] = [since.0, last].map(|at| place(at, seconds));
        let count = (last - first + 1).min(MOST);
        Self {
            first: last - count + 1,
            count,
            slot: Duration::from_secs(seconds),
        }
    }

    /// How wide its drawing is.
    pub(super) fn width(&self) -> i64 {
        self.count * STEP as i64
    }

    /// How long a slot is, in words.
    pub(super) fn slot_words(&self) -> &'static str {
        match self.slot.as_secs() {
            60 => "a minute",
            300 => "five minutes",
            900 => "a quarter of an hour",
            3_600 => "an hour",
            10_800 => "three hours",
            21_600 => "six hours",
            DAY => "a day",
            172_800 => "two days",
            604_800 => "a week",
            2_419_200 => "four weeks",
            _ => "364 days",
        }
    }

    /// When the first slot begins.
    pub(super) fn begin(&self) -> Timestamp {
        Timestamp(self.first.saturating_mul(self.length()))
    }

    fn length(&self) -> i64 {
        micros(self.slot.as_secs())
    }

    /// Where the slot stands that begins at a moment; nothing outside.
    fn x(&self, from: Timestamp) -> Option<i64> {
        let place = from.0.div_euclid(self.length()) - self.first;
        (0..self.count)
            .contains(&place)
            .then(|| place * STEP as i64)
    }

    /// The moments of a slot in words, in UTC.
    fn words(&self, from: Timestamp) -> String {
        match self.slot.as_secs() {
            ..DAY => format::date_and_minute(from),
            DAY => format::date(from),
            _ => format!(
                "the {} days from {}",
                self.slot.as_secs() / DAY,
                format::date(from)
            ),
        }
    }
}

fn micros(seconds: u64) -> i64 {
    i64::try_from(seconds)
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000)
}

/// The columns of the slots in which there were runs.
pub(super) fn columns(axis: &Axis, slots: &[(Timestamp, Totals)], measure: Measure) -> Vec<Column> {
    let whole = |parts: &[(String, f64)]| parts.iter().map(|(_, part)| part).sum::<f64>();
    let most = slots
        .iter()
        .map(|(_, totals)| whole(&measure.parts(totals)));
    let most = most.fold(0.0, f64::max);
    let column = |(from, totals): &(Timestamp, Totals)| {
        Some(Column {
            x: axis.x(*from)?,
            parts: stacked(measure.parts(totals), most),
            title: format!("{} · {}", axis.words(*from), words(totals)),
            since: (axis.slot.as_secs() < DAY).then(|| format::rfc3339(*from)),
            from: *from,
            until: Timestamp(from.0.saturating_add(axis.length())),
        })
    };
    slots.iter().filter_map(column).collect()
}

fn most(slots: &[(Timestamp, Totals)], measure: Measure) -> f64 {
    let whole = |totals: &Totals| {
        measure
            .parts(totals)
            .iter()
            .map(|(_, part)| part)
            .sum::<f64>()
    };
    slots
        .iter()
        .map(|(_, totals)| whole(totals))
        .fold(0.0, f64::max)
}

/// How much the tallest column is, in words; nothing where there are none.
pub(super) fn peak(slots: &[(Timestamp, Totals)], measure: Measure) -> String {
    let most = most(slots, measure);
    if most <= 0.0 {
        return String::new();
    }
    match measure {
        Measure::Runs => format::thousands(most as i64),
        Measure::Tokens => format::tokens(most as i64),
        Measure::Cost => format::money(most),
        Measure::Duration => {
            Duration::try_from_secs_f64(most).map_or_else(|_| String::new(), format::duration)
        }
    }
}

fn stacked(parts: Vec<(String, f64)>, most: f64) -> Vec<(String, String, String)> {
    let mut ground = TALL;
    let mut stacked = Vec::new();
    for (class, part) in parts.into_iter().filter(|(_, part)| *part > 0.0) {
        let height = (part / most * TALL).max(LEAST);
        ground = (ground - height).max(0.0);
        stacked.push((class, format!("{ground:.1}"), format!("{height:.1}")));
    }
    stacked
}

impl Measure {
    /// What a column is made of, from the ground up: class and amount.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a pixel more or less is nothing"
    )]
    fn parts(self, totals: &Totals) -> Vec<(String, f64)> {
        let tokens = |class: &str, count: i64| (class.to_owned(), count.max(0) as f64);
        match self {
            Self::Runs => in_order(totals)
                .into_iter()
                .map(|(state, runs)| (format!("fill-{}", state.class), runs as f64))
                .collect(),
            Self::Tokens => {
                let cached = totals
                    .cache_read_tokens
                    .clamp(0, totals.input_tokens.max(0));
                vec![
                    tokens("token-cache-read", cached),
                    tokens("token-fresh", totals.input_tokens.saturating_sub(cached)),
                    tokens("token-answer", totals.output_tokens),
                ]
            }
            Self::Cost => vec![("amount".to_owned(), totals.cost_usd.max(0.0))],
            Self::Duration => {
                let (half, most) = totals.duration_p50_p95.unwrap_or_default();
                vec![
                    ("amount".to_owned(), half.as_secs_f64()),
                    (
                        "amount-more".to_owned(),
                        most.saturating_sub(half).as_secs_f64(),
                    ),
                ]
            }
        }
    }
}

/// Figures in a line.
fn words(totals: &Totals) -> String {
    let counted = |count: u64| format::thousands(i64::try_from(count).unwrap_or(i64::MAX));
    let runs = totals.runs();
    let mut said = vec![match runs {
        1 => "1 run".to_owned(),
        runs => format!("{} runs", counted(runs)),
    }];
    for (state, runs) in in_order(totals) {
        let label = state.label.to_lowercase();
        said.push(format!("{} {label}", counted(runs)));
    }
    if totals.input_tokens > 0 || totals.output_tokens > 0 {
        let (input, output) = (
            format::tokens(totals.input_tokens),
            format::tokens(totals.output_tokens),
        );
        said.push(format!("{input} tokens in, {output} out"));
    }
    if totals.cost_usd > 0.0 {
        said.push(format::money(totals.cost_usd));
    }
    if let Some((half, most)) = totals.duration_p50_p95 {
        said.push(format!(
            "p50 {}, p95 {}",
            format::duration(half),
            format::duration(most)
        ));
    }
    said.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::State;

    const HOUR: i64 = 3_600_000_000;
    /// 2026-09-21 14:13:20 UTC.
    const NOW: i64 = 1_790_000_000_000_000;

    fn totals(completed: u64, failed: u64, cost_usd: f64) -> Totals {
        Totals {
            by_state: vec![(State::Failed, failed), (State::Completed, completed)],
            cost_usd,
            ..Totals::default()
        }
    }

    #[test]
    fn slots_are_as_short_as_they_can_be_without_being_too_many() {
        let slots = |hours: i64| {
            let axis = Axis::between(Timestamp(NOW - hours * HOUR), Timestamp(NOW));
            (axis.slot.as_secs(), axis.count)
        };
        assert_eq!(slots(1), (300, 13));
        assert_eq!(slots(24), (3_600, 25));
        assert_eq!(slots(24 * 7), (6 * 3_600, 29));
        assert_eq!(slots(24 * 30), (DAY, 31));
        assert_eq!(slots(24 * 365), (28 * DAY, 14));
        let nothing = Axis::between(Timestamp(NOW), Timestamp(NOW));
        assert_eq!((nothing.slot.as_secs(), nothing.count), (60, 1));
        let backwards = Axis::between(Timestamp(NOW), Timestamp(NOW - HOUR));
        assert_eq!(backwards.count, 1);
    }

    #[test]
    fn of_a_time_beyond_all_measure_the_end_is_shown() {
        for (since, until) in [(i64::MIN, NOW), (i64::MIN, i64::MAX), (0, i64::MAX)] {
            let axis = Axis::between(Timestamp(since), Timestamp(until));
            assert_eq!((axis.slot.as_secs(), axis.count), (364 * DAY, MOST));
            assert_eq!(axis.x(Timestamp(i64::MIN)), None);
        }
    }

    #[test]
    fn a_column_stands_in_its_slot_and_is_as_tall_as_its_share_of_the_tallest() {
        let axis = Axis::between(Timestamp(NOW - 24 * HOUR), Timestamp(NOW));
        let slot = |hours: i64| Timestamp((NOW / HOUR - hours) * HOUR);
        let slots = [
            (slot(24), totals(3, 1, 0.5)),
            (slot(0), totals(1, 0, 0.25)),
            (slot(400), totals(9, 0, 9.0)),
        ];
        let runs = columns(&axis, &slots[..2], Measure::Runs);
        let shape: Vec<_> = runs
            .iter()
            .map(|column| (column.x, &column.parts[..]))
            .collect();
        let part = |class: &str, top: &str, height: &str| {
            (class.to_owned(), top.to_owned(), height.to_owned())
        };
        assert_eq!(
            shape,
            [
                (
                    0,
                    &[
                        part("fill-completed", "12.0", "36.0"),
                        part("fill-failed", "0.0", "12.0")
                    ][..]
                ),
                (240, &[part("fill-completed", "36.0", "12.0")][..]),
            ]
        );
        assert_eq!(
            runs[0].title,
            "2026-09-20 14:00 UTC · 4 runs · 3 completed · 1 failed · $0.500"
        );
        assert_eq!(
            runs[0].since.as_deref(),
            Some("2026-09-20T14:00:00.000000Z")
        );
        assert_eq!(runs[1].until.0 - runs[1].from.0, HOUR);
        let cost = columns(&axis, &slots, Measure::Cost);
        assert_eq!(cost.len(), 2, "what was before is not shown");
    }

    #[test]
    fn what_is_little_is_seen_and_what_is_nothing_is_not() {
        let axis = Axis::between(Timestamp(NOW - HOUR), Timestamp(NOW));
        let slots = [
            (Timestamp(NOW), totals(100_000, 1, 0.0)),
            (Timestamp(NOW - HOUR), totals(1, 0, 0.0)),
        ];
        let runs = columns(&axis, &slots, Measure::Runs);
        assert_eq!(runs[0].parts[1].2, "1.0");
        assert_eq!(runs[1].parts[0].2, "1.0");
        let cost = columns(&axis, &slots, Measure::Cost);
        assert!(cost.iter().all(|column| column.parts.is_empty()));
    }
}
