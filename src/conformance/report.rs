//! What a run of the suite found, for eyes and for machines.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// The longest value shown of a difference.
const LONGEST_SHOWN: usize = 600;

/// One place at which a gateway is not as a case expects.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// How streams were replayed.
    pub replay: String,
    /// Which request of the conversation, from 1.
    pub turn: usize,
    /// `answer`, or `upstream` with the number of the exchange.
    pub side: String,
    /// Where in it.
    pub path: String,
    /// What the case says.
    pub expected: String,
    /// What was there.
    pub got: String,
}

/// What came of one case.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// `group/name`.
    pub case: String,
    /// What it pins.
    pub pins: String,
    /// How often it was replayed.
    pub replays: usize,
    /// All differences; none means that it passed.
    pub failures: Vec<Failure>,
}

/// What came of all cases.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The seed of what was random.
    pub seed: u64,
    /// Every case, in order of names.
    pub outcomes: Vec<Outcome>,
    /// Requests that reached the upstream and belonged to no case.
    pub strays: Vec<String>,
}

impl Report {
    /// How many cases failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        let failed = self.outcomes.iter().filter(|o| !o.failures.is_empty());
        failed.count()
    }

    /// Whether everything was as it should be.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failed() == 0 && self.strays.is_empty()
    }

    fn write_failures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for outcome in self.outcomes.iter().filter(|o| !o.failures.is_empty()) {
            writeln!(f, "{}\n  {}", outcome.case, outcome.pins)?;
            for failure in &outcome.failures {
                writeln!(
                    f,
                    "  turn {}, {} ({})\n    at       {}\n    expected {}\n    got      {}",
                    failure.turn,
                    failure.side,
                    failure.replay,
                    failure.path,
                    shown(&failure.expected),
                    shown(&failure.got),
                )?;
            }
            writeln!(f)?;
        }
        for stray in &self.strays {
            writeln!(f, "{stray} reached the upstream and belongs to no case")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_failures(f)?;
        let mut groups: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for outcome in &self.outcomes {
            let group = outcome.case.split('/').next().unwrap_or_default();
            let (cases, failed) = groups.entry(group).or_default();
            *cases += 1;
            *failed += usize::from(!outcome.failures.is_empty());
        }
        writeln!(
            f,
            "{:<28} {:>6} {:>7} {:>7}",
            "group", "cases", "passed", "failed"
        )?;
        for (group, (cases, failed)) in groups {
            writeln!(
                f,
                "{group:<28} {cases:>6} {:>7} {failed:>7}",
                cases - failed
            )?;
        }
        let replays: usize = self.outcomes.iter().map(|o| o.replays).sum();
        write!(
            f,
            "\n{} cases in {replays} replays (seed {}): {} passed, {} failed",
            self.outcomes.len(),
            self.seed,
            self.outcomes.len() - self.failed(),
            self.failed(),
        )
    }
}

/// A value, cut where it becomes too long to read.
fn shown(text: &str) -> String {
    match text.char_indices().nth(LONGEST_SHOWN) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}
