//! What is written in one transaction, and the interface of the engine that writes it.
//!
//! The recorder gathers the same batches for every database; only a [`Sink`] knows SQL.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Error;
use super::block::{Minute, NewBlock, Touched};
use super::model::By;
use crate::events::{FactValue, PlanInfo, RunStart, State, Timestamp};
use crate::facts;

/// Everything that changed since the last commit.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    /// Plans that runs are pinned to and that the database may not have.
    pub(crate) plans: &'a [Arc<PlanInfo>],
    /// Runs, in the order in which they changed first.
    pub(crate) runs: Vec<RunWrite<'a>>,
    /// Blocks that the database may not have.
    pub(crate) blocks: &'a [NewBlock],
    /// Blocks that it has.
    pub(crate) touched: &'a [Touched],
}

impl Batch<'_> {
    /// Rows that will be written.
    pub(crate) fn rows(&self) -> usize {
        let parts = self.runs.iter().filter(|run| !run.journal.is_empty());
        self.plans.len() + self.runs.len() + parts.count() + self.blocks.len() + self.touched.len()
    }
}

/// What to write of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunWrite<'a> {
    /// The run as it stands.
    pub(crate) row: &'a RunRow,
    /// What of the row.
    pub(crate) change: Change,
    /// Where the next part goes in the run's journal, from 0.
    pub(crate) part: u32,
    /// That part; nothing when empty.
    pub(crate) journal: &'a [u8],
}

/// How much of a run's row is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// The progress of its flow, and when it was seen last.
    Progress,
    /// All that can change.
    Whole,
    /// The database has no row of it yet.
    New,
}

/// A run as a row.
#[derive(Debug)]
pub(crate) struct RunRow {
    pub(crate) start: Arc<RunStart>,
    pub(crate) plan: Arc<PlanInfo>,
    pub(crate) state: State,
    pub(crate) streaming: bool,
    pub(crate) replied: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
    /// The last event: the end of a run whose process ended.
    pub(crate) seen: Timestamp,
    pub(crate) error: Option<Box<str>>,
    pub(crate) pieces: u64,
    pub(crate) bytes: u64,
    pub(crate) facts: Vec<(&'static str, FactValue)>,
}

impl RunRow {
    fn fact(&self, name: &str) -> Option<&FactValue> {
        let mut facts = self.facts.iter();
        facts.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// A label.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.fact(name)? {
            FactValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A count.
    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        match self.fact(name)? {
            FactValue::Int(int) => Some(*int),
            _ => None,
        }
    }

    /// A measure.
    pub(crate) fn float(&self, name: &str) -> Option<f64> {
        match self.fact(name)? {
            FactValue::Float(float) => Some(*float),
            _ => None,
        }
    }

    /// Whether another run went on with its request.
    pub(crate) fn is_replaced(&self) -> bool {
        self.text(facts::FALLBACK_BY).is_some()
    }

    /// Whether this was stated to be so.
    pub(crate) fn is(&self, name: &str) -> bool {
        matches!(self.fact(name), Some(FactValue::Bool(true)))
    }

    /// What it is told apart by, but for the workflow.
    pub(crate) fn name(&self, by: By) -> Option<&str> {
        by.of(|fact| self.text(fact))
    }

    /// The models asked, sent and used, each once, a line each: what a search by model looks at.
    pub(crate) fn models(&self, out: &mut String) {
        out.clear();
        let mut known: [Option<&str>; 3] = [None; 3];
        let names = [facts::MODEL_ASKED, facts::MODEL_SENT, facts::MODEL_USED];
        for (index, name) in names.into_iter().enumerate() {
            let model = self.text(name);
            if model.is_none() || known.contains(&model) {
                continue;
            }
            known[index] = model;
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(model.unwrap_or_default());
        }
    }

    /// All figures as a JSON object. A figure that JSON cannot hold (an infinity) is left out.
    pub(crate) fn facts_json(&self, out: &mut Vec<u8>) {
        out.clear();
        out.push(b'{');
        for (name, value) in &self.facts {
            let start = out.len();
            if start > 1 {
                out.push(b',');
            }
            // A name stands in the source, and holds nothing to escape.
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            let is_finite = !matches!(value, FactValue::Float(float) if !float.is_finite());
            if serde_json::to_writer(&mut *out, value).is_err() || !is_finite {
                out.truncate(start);
            }
        }
        out.push(b'}');
    }
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    /// Runs accepted before this moment are deleted.
    pub(crate) since: Timestamp,
    /// The oldest runs are deleted beyond this size.
    pub(crate) bytes: u64,
    /// How long one step of deleting may take.
    pub(crate) budget: Duration,
}

/// Remembers that a store that had grown too big is being made smaller: by a tenth, so that this does not happen at every
/// commit.
#[derive(Debug, Default)]
pub(crate) struct Shrinking(bool);

impl Shrinking {
    /// Whether a store in which so many bytes are used has to become smaller.
    pub(crate) const fn is_due(&mut self, used: u64, keep_bytes: u64) -> bool {
        let bound = if self.0 {
            keep_bytes - keep_bytes / 10
        } else {
            keep_bytes
        };
        self.0 = used > bound;
        self.0
    }
}

/// What a step of retention did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tidied {
    /// Runs deleted.
    pub(crate) runs: usize,
    /// Runs whose process was found to be gone, which are marked as crashed.
    pub(crate) crashed: usize,
    /// Blocks last used before this minute may be gone.
    pub(crate) blocks_before: Option<Minute>,
    /// The budget was spent before the work was done.
    pub(crate) more: bool,
}

/// Writes batches into one database. Everything is called from one thread and may block.
pub(crate) trait Sink: Send {
    /// Called before each batch is made: the time to see to it that there is a connection, which may take a moment.
    /// Returns whether one was lost since it was asked last, here or by [`Sink::look`]. A database that has failed over may
    /// have lost what was written over it, so that nothing may be taken for stored any more.
    fn reach(&mut self) -> bool {
        false
    }

    /// Writes all of `batch`, or fails: then it is to be written again, with the content of what was only touched. Runs that
    /// the database can never hold are given up; returned is how many.
    fn write(&mut self, batch: &Batch<'_>) -> Result<usize, Error>;

    /// Notes that the process lives and has runs under way.
    fn alive(&mut self, at: Timestamp) -> Result<(), Error>;

    /// Called now and then while there may be nothing to write: the time to look whether writing would be possible, without
    /// waiting. Returns the same as [`Sink::reach`].
    fn look(&mut self) -> bool {
        false
    }

    /// Says that the process ends: work that begins from now on is given up at `until`. A sink that never
    /// waits has no need of it.
    fn end_by(&mut self, until: Instant) {
        let _ = until;
    }

    /// Deletes some of what is too old or too much.
    fn tidy(&mut self, keep: &Keep) -> Result<Tidied, Error>;

    /// Called once, after the last batch.
    fn close(&mut self) -> Result<(), Error>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{plan, start};

    fn row(facts: Vec<(&'static str, FactValue)>) -> RunRow {
        RunRow {
            start: start(1),
            plan: plan(),
            state: State::Running,
            streaming: false,
            replied: None,
            ended: None,
            seen: Timestamp(1),
            error: None,
            pieces: 0,
            bytes: 0,
            facts,
        }
    }

    #[test]
    fn an_infinite_figure_is_left_out_and_the_rest_is_json() {
        let row = row(vec![
            ("a", FactValue::Float(f64::NAN)),
            ("b", FactValue::Int(1)),
            ("c", FactValue::Float(f64::INFINITY)),
            ("d", FactValue::from("\"")),
        ]);
        let mut out = Vec::new();
        row.facts_json(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"b":1,"d":"\""}"#);
    }

    #[test]
    fn each_model_is_listed_once() {
        let row = row(vec![
            (facts::MODEL_ASKED, FactValue::from("opus")),
            (facts::MODEL_SENT, FactValue::from("anthropic/opus")),
            (facts::MODEL_USED, FactValue::from("anthropic/opus")),
        ]);
        let mut out = String::new();
        row.models(&mut out);
        assert_eq!(out, "opus\nanthropic/opus");
    }
}
