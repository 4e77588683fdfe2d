//! The turns of a session as columns: how its context grows, what a cache gives of it, what each turn costs.
//!
//! It must not know how runs are fetched, nor how the list below is shown.

use std::collections::HashMap;

use askama::Template;

use super::format;
use super::page::part;
use super::state::StateView;
use crate::events::{RunId, State};
use crate::facts;
use crate::store::RunSummary;

/// Turns that are drawn: the newest.
pub(super) const TURNS: u16 = 80;
/// Pixels from one column to the next: of few turns, which still fit a phone, and of many.
const WIDE: usize = 28;
const NARROW: usize = 16;
/// Turns that are few.
const FEW: usize = 12;
/// Pixels between two columns.
const GAP: usize = 4;
/// Pixels of the tallest column of tokens, and of the dearest turn.
const TALLEST: f64 = 88.0;
const DEAREST: f64 = 24.0;
/// Whatever a provider says, no turn has more tokens.
const MOST: i64 = 1 << 40;
/// Fewer tokens than these no provider keeps (<https://openrouter.ai/docs/guides/best-practices/prompt-caching>).
const LEAST_CACHED: i64 = 1_024;

#[derive(Debug, Template)]
#[template(path = "parts/session.html")]
struct Chart {
    /// There may be older turns than these.
    is_cut: bool,
    width: usize,
    /// From one column to the next, and of one column.
    step: usize,
    bar: usize,
    columns: Vec<Column>,
    /// The tallest column and the dearest turn, in words.
    most: String,
    dearest: String,
    /// A turn came to no good end, or is under way.
    has_marks: bool,
    /// Turns for which a cache gave much less than for the turn before.
    lost: usize,
}

#[derive(Debug, PartialEq)]
struct Column {
    id: RunId,
    x: usize,
    /// Class, top and height, from the ground up.
    parts: Vec<(&'static str, String, String)>,
    /// Top and height.
    cost: Option<(String, String)>,
    /// The state's class, unless all is well.
    mark: Option<&'static str>,
    lost: bool,
    title: String,
}

/// Draws the turns of a session, given newest first; nothing when there are too few to compare.
pub(super) fn chart(runs: &[RunSummary]) -> String {
    let turns: Vec<Turn<'_>> = runs.iter().rev().filter_map(Turn::of).collect();
    if turns.len() < 2 {
        return String::new();
    }
    part(&draw(&turns, runs.len() >= usize::from(TURNS)))
}

/// A run that asked a model.
struct Turn<'a> {
    run: &'a RunSummary,
    /// Its tokens are told.
    is_known: bool,
    input: i64,
    cached: i64,
    written: i64,
    output: i64,
    cost: f64,
}

impl<'a> Turn<'a> {
    /// Nothing of a run that asks no model, such as one that counts tokens.
    fn of(run: &'a RunSummary) -> Option<Self> {
        run.text(facts::MODEL_SENT)?;
        let count = |fact| run.int(fact).unwrap_or_default().clamp(0, MOST);
        let input = count(facts::INPUT_TOKENS);
        let cost = run.float(facts::COST_USD).unwrap_or_default();
        let cached = count(facts::CACHE_READ_TOKENS).min(input);
        Some(Self {
            run,
            is_known: input > 0 || run.int(facts::OUTPUT_TOKENS).is_some_and(|out| out > 0),
            input,
            cached,
            written: count(facts::CACHE_WRITE_TOKENS).min(input - cached),
            output: count(facts::OUTPUT_TOKENS),
            cost: if cost.is_finite() { cost.max(0.0) } else { 0.0 },
        })
    }

    /// Whose conversation it is: sub-agents and other models have contexts and caches of their own.
    fn line(&self) -> [Option<&'a str>; 2] {
        [facts::AGENT, facts::MODEL_SENT].map(|fact| self.run.text(fact))
    }

    fn tokens(&self) -> i64 {
        self.input + self.output
    }

    fn title(&self, lost: bool) -> String {
        let run = self.run;
        let about = |text: String| {
            if run.is(facts::USAGE_IS_ESTIMATE) {
                format::about(&text)
            } else {
                text
            }
        };
        let StateView { label, .. } = run.state.into();
        let model = format::ellipsis(run.text(facts::MODEL_SENT).unwrap_or_default(), 60);
        let mut said = vec![model, label.to_owned()];
        said.push(if self.is_known {
            format!(
                "{} in, {} of them cached, {} out",
                about(format::tokens(self.input)),
                about(format::tokens(self.cached)),
                about(format::tokens(self.output)),
            )
        } else {
            "tokens are not known".to_owned()
        });
        let cost = run.float(facts::COST_USD).filter(|_| self.is_known);
        said.extend(cost.map(|_| about(format::money(self.cost))));
        said.extend(lost.then(|| "the cache was missed".to_owned()));
        said.join(" · ")
    }
}

fn draw(turns: &[Turn<'_>], is_cut: bool) -> Chart {
    let most = turns.iter().map(Turn::tokens).max().unwrap_or_default();
    let dearest = turns.iter().map(|turn| turn.cost).fold(0.0, f64::max);
    let lost = losses(turns);
    let columns = turns.iter().zip(&lost).enumerate();
    let step = if turns.len() <= FEW { WIDE } else { NARROW };
    let columns: Vec<Column> = columns
        .map(|(place, (turn, lost))| column(place * step + GAP / 2, turn, *lost, (most, dearest)))
        .collect();
    Chart {
        is_cut,
        width: turns.len() * step,
        step,
        bar: step - GAP,
        has_marks: columns.iter().any(|column| column.mark.is_some()),
        columns,
        most: format::tokens(most),
        dearest: format::money(dearest),
        lost: lost.iter().filter(|lost| **lost).count(),
    }
}

/// Which turns read less than half of what they could from a cache, though their line had read from one before.
fn losses(turns: &[Turn<'_>]) -> Vec<bool> {
    let mut lines: HashMap<[Option<&str>; 2], (i64, bool)> = HashMap::new();
    let mut lost = Vec::new();
    for turn in turns {
        let (before, has_cached) = lines.get(&turn.line()).copied().unwrap_or_default();
        let is_known = turn.input > 0;
        // Of a context that became shorter, no more than what is left of it can come from a cache.
        let hoped = before.min(turn.input);
        lost.push(is_known && has_cached && hoped >= LEAST_CACHED && turn.cached < hoped / 2);
        if is_known {
            let has_cached = has_cached || turn.cached > 0;
            lines.insert(turn.line(), (turn.input, has_cached));
        }
    }
    lost
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a pixel more or less is nothing"
)]
fn column(x: usize, turn: &Turn<'_>, lost: bool, (most, dearest): (i64, f64)) -> Column {
    let length = |tokens: i64| tokens as f64 / most.max(1) as f64 * TALLEST;
    let mut ground = TALLEST;
    let pieces = [
        ("cache-read", turn.cached),
        ("cache-write", turn.written),
        ("fresh", turn.input - turn.cached - turn.written),
        ("answer", turn.output),
    ];
    let mut parts = Vec::new();
    for (class, tokens) in pieces.into_iter().filter(|(_, tokens)| *tokens > 0) {
        let height = length(tokens);
        ground -= height;
        parts.push((class, pixels(ground), pixels(height)));
    }
    let state = turn.run.state;
    let is_well = matches!(state, State::Completed | State::Cached);
    let StateView { class, .. } = state.into();
    Column {
        id: turn.run.id,
        x,
        parts,
        cost: (turn.cost > 0.0).then(|| {
            let height = (turn.cost / dearest * DEAREST).max(1.0);
            (pixels(DEAREST - height), pixels(height))
        }),
        mark: (!is_well).then_some(class),
        lost,
        title: turn.title(lost),
    }
}

fn pixels(length: f64) -> String {
    format!("{length:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::fixture;
    use crate::events::FactValue;

    /// A turn of a line, with its tokens and its cost.
    fn run(model: &str, [input, cached, output]: [i64; 3], cost: f64) -> RunSummary {
        let mut run = fixture::completed_run().summary;
        run.state = State::Completed;
        run.facts = [
            (facts::MODEL_SENT, FactValue::Text(model.into())),
            (facts::INPUT_TOKENS, FactValue::Int(input)),
            (facts::CACHE_READ_TOKENS, FactValue::Int(cached)),
            (facts::OUTPUT_TOKENS, FactValue::Int(output)),
            (facts::COST_USD, FactValue::Float(cost)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        run
    }

    fn drawn(runs: &[RunSummary]) -> Chart {
        let turns: Vec<Turn<'_>> = runs.iter().filter_map(Turn::of).collect();
        draw(&turns, false)
    }

    #[test]
    fn a_column_is_what_was_cached_what_was_new_and_what_came_out() {
        let mut failed = run("m", [0, 0, 0], 0.0);
        failed.state = State::Failed;
        let chart = drawn(&[
            run("m", [60, 40, 20], 0.5),
            failed,
            run("m", [30, 0, 10], 0.25),
        ]);
        let told = chart.columns.iter().map(|column| {
            let parts: Vec<String> = column
                .parts
                .iter()
                .map(|(class, top, height)| format!("{class} {top}+{height}"))
                .collect();
            let cost = column
                .cost
                .as_ref()
                .map(|(top, height)| format!("{top}+{height}"));
            format!(
                "{} [{}] {cost:?} {:?}\n",
                column.x,
                parts.join(", "),
                column.mark
            )
        });
        insta::assert_snapshot!(told.collect::<String>(), @r#"
        2 [cache-read 44.0+44.0, fresh 22.0+22.0, answer 0.0+22.0] Some("0.0+24.0") None
        30 [] None Some("failed")
        58 [fresh 55.0+33.0, answer 44.0+11.0] Some("12.0+12.0") None
        "#);
        assert_eq!(
            (chart.most.as_str(), chart.dearest.as_str()),
            ("80", "$0.500")
        );
        assert_eq!((chart.width, chart.bar), (3 * WIDE, WIDE - GAP));
        assert_eq!(
            chart.columns[0].title,
            "m · Completed · 60 in, 40 of them cached, 20 out · $0.500"
        );
        assert_eq!(chart.columns[1].title, "m · Failed · tokens are not known");
        assert!(chart.has_marks);
    }

    #[test]
    fn a_cache_is_missed_only_where_it_could_have_helped() {
        let lost = |turns: &[(&str, i64, i64)]| {
            let runs = turns
                .iter()
                .map(|(model, input, cached)| run(model, [*input, *cached, 1], 0.1));
            let chart = drawn(&runs.collect::<Vec<_>>());
            chart
                .columns
                .iter()
                .map(|column| column.lost)
                .collect::<Vec<_>>()
        };
        // The third reads less than half; the fourth has become short; the fifth is another model's.
        assert_eq!(
            lost(&[
                ("a", 3_000, 0),
                ("a", 4_000, 3_000),
                ("a", 5_000, 1_999),
                ("a", 2_100, 2_100),
                ("b", 5_000, 0)
            ]),
            [false, false, true, false, false]
        );
        assert_eq!(lost(&[("a", 3_000, 0), ("a", 4_000, 0)]), [false, false]);
        assert_eq!(
            lost(&[("a", 4_000, 9), ("a", 4_000, 2_000)]),
            [false, false]
        );
        assert_eq!(lost(&[("a", 1_024, 9), ("a", 1_024, 0)]), [false, true]);
        assert_eq!(lost(&[("a", 1_023, 9), ("a", 1_023, 0)]), [false, false]);
        // Of a turn that failed nothing is known.
        assert_eq!(
            lost(&[("a", 4_000, 9), ("a", 0, 0), ("a", 4_000, 0)]),
            [false, false, true]
        );
    }

    #[test]
    fn absurd_figures_stay_within_the_picture() {
        let most = i64::MAX;
        let runs = [
            run("m", [most, most, most], f64::INFINITY),
            run("m", [-5, 10, -5], f64::NAN),
            run("m", [5, 10, 5], -1.0),
            run("m", [5, 0, 5], 1e300),
        ];
        let html = chart(&runs);
        assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
        for column in drawn(&runs).columns {
            for (_, top, height) in &column.parts {
                let bottom = top.parse::<f64>().unwrap() + height.parse::<f64>().unwrap();
                assert!(top.parse::<f64>().unwrap() > -0.1, "{column:?}");
                assert!(bottom < TALLEST + 0.1, "{column:?}");
            }
        }
    }

    #[test]
    fn there_is_no_picture_of_less_than_two_turns() {
        let mut counting = run("m", [5, 0, 0], 0.0);
        counting.facts.remove(facts::MODEL_SENT);
        assert_eq!(chart(&[]), "");
        assert_eq!(chart(&[run("m", [5, 0, 5], 0.1), counting]), "");
        let html = chart(&[run("<i>", [5, 0, 5], 0.1), run("m", [5, 0, 5], 0.1)]);
        assert!(
            html.contains("&#60;i&#62;") && !html.contains("<i>"),
            "{html}"
        );
        assert!(!html.contains("the newest"));
        let many = vec![run("m", [5, 0, 5], 0.1); usize::from(TURNS)];
        assert!(chart(&many).contains("the newest 80"));
    }
}
