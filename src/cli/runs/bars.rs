//! When a step worked, waited and streamed, drawn in characters on the run's time axis.
//!
//! It must not know what stands beside the bars.

use clap::builder::styling::{AnsiColor, Style};

use super::answer::{Run, Step};
use super::terminal::{Paper, colour};
use crate::events::{State, Timestamp};

/// What a step did meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// It worked; and whether the attempt came to nothing.
    Work { failed: bool },
    /// What it gave was passing.
    Stream,
    /// It waited for its next attempt.
    Pause,
}

/// A stretch of time in which a step did one thing.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    from: Timestamp,
    to: Timestamp,
    doing: Doing,
}

/// What the characters mean.
pub(super) const LEGEND: &str = "█ works  ▒ its output streams  ┄ waits to try again";
/// Work that is much shorter than a character is wide.
const MOMENT: char = '▏';

impl Doing {
    const fn sign(self) -> char {
        match self {
            Self::Work { .. } => '█',
            Self::Stream => '▒',
            Self::Pause => '┄',
        }
    }

    const fn style(self) -> Style {
        colour(match self {
            Self::Work { failed: false } => AnsiColor::Green,
            Self::Work { failed: true } => AnsiColor::Red,
            Self::Stream => AnsiColor::Cyan,
            Self::Pause => AnsiColor::Yellow,
        })
    }
}

/// The bar of a step on an axis of so many places, without the blanks behind it.
pub(super) fn bar(run: &Run, step: &Step, places: usize, paper: Paper) -> String {
    let stretches = stretches(run, step);
    let drawn = (0..places).map(|place| at(run, &stretches, place, places));
    let drawn: Vec<(char, Option<Doing>)> = drawn
        .map(|found| found.map_or((' ', None), |(sign, doing)| (sign, Some(doing))))
        .collect();
    let alike = drawn.chunk_by(|(_, one), (_, next)| one == next);
    let painted = alike.map(|piece| {
        let signs: String = piece.iter().map(|(sign, _)| sign).collect();
        let doing = piece.first().and_then(|(_, doing)| *doing);
        match doing {
            Some(doing) => paper.paint(&signs, doing.style()),
            None => signs,
        }
    });
    let bar: String = painted.collect();
    bar.trim_end().to_owned()
}

/// What is drawn at a place: what took the most of its time, but for pauses.
fn at(run: &Run, stretches: &[Stretch], place: usize, places: usize) -> Option<(char, Doing)> {
    let whole = run.until().since(run.started).as_secs_f64().max(1e-6);
    let scaled = |at: Timestamp| at.since(run.started).as_secs_f64() / whole * places as f64;
    let here = place as f64;
    let last = (places - 1) as f64;
    let candidates = stretches.iter().filter_map(|stretch| {
        let (from, to) = (scaled(stretch.from), scaled(stretch.to));
        // What took no time is seen where it was.
        let begins_here = from.min(last).floor() == here;
        let share = to.min(here + 1.0) - from.max(here);
        (share > 0.0 || begins_here).then_some((share.max(0.0), stretch.doing))
    });
    // A short attempt is not hidden by the pause before it.
    let (share, doing) = candidates.max_by(|(one, first), (other, second)| {
        let waits = (*first == Doing::Pause).cmp(&(*second == Doing::Pause));
        waits.reverse().then(one.total_cmp(other))
    })?;
    let is_moment = share < 0.3 && matches!(doing, Doing::Work { .. });
    Some((if is_moment { MOMENT } else { doing.sign() }, doing))
}

/// A step that gives a flow works until the run's reply is handed over; from then on its flow passes.
fn stretches(run: &Run, step: &Step) -> Vec<Stretch> {
    let end = step.ended.unwrap_or_else(|| run.until());
    let replied = run.replied.filter(|_| step.gives_flow);
    let mut stretches = Vec::new();
    for (index, change) in step.history.iter().enumerate() {
        let next = step.history.get(index + 1);
        let (from, to) = (change.at, next.map_or(end, |next| next.at));
        let ended_in = next.and_then(|next| State::from_name(&next.state));
        let failed = matches!(
            ended_in,
            Some(State::Retrying | State::Failed | State::TimedOut | State::Crashed)
        );
        let stretch = |from, to, doing| Stretch { from, to, doing };
        match (State::from_name(&change.state), replied) {
            (Some(State::Running), Some(replied)) if from <= replied && replied < to => {
                stretches.push(stretch(from, replied, Doing::Work { failed: false }));
                stretches.push(stretch(replied, to, Doing::Stream));
            }
            (Some(State::Running), _) => stretches.push(stretch(from, to, Doing::Work { failed })),
            (Some(State::Retrying), _) => stretches.push(stretch(from, to, Doing::Pause)),
            _ => {}
        }
    }
    stretches
}
