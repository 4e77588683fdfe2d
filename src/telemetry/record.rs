//! What telemetry remembers of a run: its events folded into one record.
//!
//! Traces, metrics and the log's lines about failures are all made from such records. The memory is bounded: so many
//! notes a run, so many characters a note; what does not fit is counted. This file must not know what is made of a record.

use std::sync::Arc;
use std::time::Duration;

use super::attempts::Attempts;
use super::outline::{CallOutline, Outline};
use super::stated::StatedFacts;
use crate::events::{
    Event, EventBatch, EventKind, FactValue, Level, RunStart, State, StepIndex, StepInfo, Timestamp,
};

/// Notes kept of one run; more of them are counted only.
const MOST_NOTES: usize = 64;
/// Bytes kept of one line or error.
pub(super) const LONGEST_TEXT: usize = 1024;

/// A run as far as its events tell.
#[derive(Debug)]
pub(super) struct RunRecord {
    pub(super) start: Arc<RunStart>,
    pub(super) plan: Arc<Outline>,
    /// In the order of [`Outline::steps`].
    pub(super) steps: Vec<StepRecord>,
    pub(super) facts: StatedFacts,
    /// When its reply was handed over.
    replied: Option<Timestamp>,
    /// Those to call the model.
    pub(super) attempts: Attempts,
    /// Whether it is counted among those that its upstream has to serve.
    pub(super) is_in_flight: bool,
    pub(super) notes: Vec<Note>,
    pub(super) notes_dropped: u32,
}

/// A step run as far as its events tell.
#[derive(Clone, Debug)]
pub(super) struct StepRecord {
    /// When its first attempt began.
    pub(super) started: Option<Timestamp>,
    /// When it reached a final state.
    pub(super) ended: Option<Timestamp>,
    /// When its flow was last seen passing.
    pub(super) progressed: Option<Timestamp>,
    pub(super) state: State,
    pub(super) attempts: u16,
    pub(super) retries: u16,
    pub(super) error: Option<Box<str>>,
}

/// Something worth showing on a span.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) at: Timestamp,
    /// `None` for the run itself.
    pub(super) step: Option<StepIndex>,
    pub(super) what: NoteKind,
}

#[derive(Debug)]
pub(super) enum NoteKind {
    Retry {
        attempt: u16,
        pause: Option<Duration>,
        error: Box<str>,
    },
    Log {
        level: Level,
        line: Box<str>,
    },
}

/// How a run came to its end.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) at: Timestamp,
    pub(super) state: State,
    pub(super) error: Option<Box<str>>,
}

impl RunRecord {
    pub(super) fn new(start: &Arc<RunStart>, plan: Arc<Outline>) -> Self {
        const NOT_BEGUN: StepRecord = StepRecord {
            started: None,
            ended: None,
            progressed: None,
            state: State::Pending,
            attempts: 0,
            retries: 0,
            error: None,
        };
        Self {
            start: Arc::clone(start),
            steps: vec![NOT_BEGUN; plan.steps.len()],
            facts: StatedFacts::new(),
            replied: None,
            attempts: Attempts::default(),
            is_in_flight: false,
            notes: Vec::new(),
            notes_dropped: 0,
            plan,
        }
    }

    /// The last value stated under this name.
    pub(super) fn fact(&self, name: &str) -> Option<&FactValue> {
        self.facts.get(name)
    }

    pub(super) fn text(&self, name: &str) -> Option<&Arc<str>> {
        match self.fact(name)? {
            FactValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether this was stated to be so.
    pub(super) fn is(&self, name: &str) -> bool {
        matches!(self.fact(name), Some(FactValue::Bool(true)))
    }

    /// A measure or a count, when it is one that can be added up: neither negative nor infinite.
    pub(super) fn measure(&self, name: &str) -> Option<f64> {
        let measure = match self.fact(name)? {
            FactValue::Float(float) => *float,
            FactValue::Int(int) => f64::from(i32::try_from(*int).ok()?),
            FactValue::Text(_) | FactValue::Bool(_) => return None,
        };
        (measure.is_finite() && measure >= 0.0).then_some(measure)
    }

    /// A count that is one: not negative.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        match self.fact(name)? {
            FactValue::Int(int) => u64::try_from(*int).ok(),
            _ => None,
        }
    }

    /// The step by which the call that `step` makes has failed: itself or, in mid-stream, one that its flow passes.
    pub(super) fn failure_of_call(
        &self,
        step: StepIndex,
        call: &CallOutline,
    ) -> Option<&StepRecord> {
        std::iter::once(&step)
            .chain(&call.flow)
            .filter_map(|step| self.steps.get(usize::from(*step)))
            .find(|step| step.started.is_some() && is_error(step.state))
    }

    /// When the last byte of the answer to a call of `step` had passed: the flow outlives the step that called, so the end
    /// is the latest that the steps it passes through, its progress and the steps that wait for its end tell of.
    /// `None` while the call is open.
    pub(super) fn end_of_call(&self, call: &CallOutline, step: &StepRecord) -> Option<Timestamp> {
        let step_of = |index: &StepIndex| self.steps.get(usize::from(*index));
        let mut end = step.ended?;
        let passing = call.flow.iter().filter_map(step_of);
        for passing in passing.filter(|step| step.started.is_some()) {
            end = end.max(passing.ended?);
            end = end.max(passing.progressed.unwrap_or(end));
        }
        let waiting = call.waiting.iter().filter_map(step_of);
        let waited_for_end = waiting.filter_map(|step| step.started).min();
        Some(end.max(waited_for_end.unwrap_or(end)))
    }

    /// The calls of the model that have begun.
    fn calls(&self) -> impl Iterator<Item = (&CallOutline, &StepRecord)> {
        std::iter::zip(&self.plan.steps, &self.steps)
            .filter_map(|(outline, step)| Some((outline.call.as_ref()?, step)))
            .filter(|(_, step)| step.started.is_some())
    }

    /// Whether a call of the model is under way, or an answer to one still passes.
    pub(super) fn has_open_call(&self) -> bool {
        let has_ended = |index: &StepIndex| {
            let step = self.steps.get(usize::from(*index));
            step.is_none_or(|step| step.ended.is_some())
        };
        self.calls()
            .any(|(call, step)| step.ended.is_none() || !call.flow.iter().all(has_ended))
    }

    /// When the client had the last of its answer, as far as events tell: other steps of the run may go on after that.
    pub(super) fn answered(&self, ending: &Ending) -> Timestamp {
        let Some(replied) = self.replied else {
            return ending.at;
        };
        self.calls()
            .map(|(call, step)| self.end_of_call(call, step).unwrap_or(ending.at))
            .fold(replied, Timestamp::max)
    }

    /// The first step that failed among those that must not, and what it was to do.
    pub(super) fn failed_step(&self) -> Option<(&StepInfo, &StepRecord)> {
        std::iter::zip(&self.plan.info.steps, &self.steps)
            .filter(|(info, step)| is_error(step.state) && !info.optional)
            .min_by_key(|(_, step)| step.ended)
    }

    /// Takes in events until one ends the run.
    pub(super) fn take_in_all(&mut self, batch: &EventBatch) -> Option<Ending> {
        batch.events.iter().find_map(|event| self.take_in(event))
    }

    fn take_in(&mut self, event: &Event) -> Option<Ending> {
        match &event.kind {
            EventKind::Step { .. } => self.change_step(event),
            EventKind::Progress { step, .. } => {
                if let Some(record) = self.steps.get_mut(usize::from(*step)) {
                    record.progressed = Some(event.at);
                }
            }
            EventKind::Log {
                step,
                level,
                message,
            } if *level >= Level::Warn => {
                let (level, line) = (*level, cut(message).into());
                self.note(event.at, *step, NoteKind::Log { level, line });
            }
            EventKind::Fact { name, value } => {
                if let Some(value) = value {
                    self.attempts.state(name, value);
                }
                self.facts.state(name, value.clone());
            }
            EventKind::Ended { state, error } => {
                return Some(Ending {
                    at: event.at,
                    state: *state,
                    error: error.as_deref().map(|error| cut(error).into()),
                });
            }
            EventKind::Started { .. }
            | EventKind::Produced { .. }
            | EventKind::Payload { .. }
            | EventKind::Log { .. } => {}
            EventKind::Replied => self.replied = Some(event.at),
        }
        None
    }

    fn change_step(&mut self, event: &Event) {
        let EventKind::Step {
            step,
            state,
            attempt,
            message,
            retry_in,
        } = &event.kind
        else {
            return;
        };
        let Some(record) = self.steps.get_mut(usize::from(*step)) else {
            return;
        };
        let outline = self.plan.steps.get(usize::from(*step));
        if outline.is_some_and(|outline| outline.call.is_some()) {
            self.attempts.change(*step, *state);
        }
        record.state = *state;
        record.attempts = record.attempts.max(*attempt);
        if *state == State::Running && record.started.is_none() {
            record.started = Some(event.at);
        }
        if state.is_final() {
            record.ended = Some(event.at);
        }
        if *state == State::Retrying {
            record.retries = record.retries.saturating_add(1);
        }
        record.error = message.as_deref().map(|message| cut(message).into());
        if *state == State::Retrying {
            let retry = NoteKind::Retry {
                attempt: *attempt,
                pause: *retry_in,
                error: record.error.clone().unwrap_or_default(),
            };
            self.note(event.at, Some(*step), retry);
        }
    }

    fn note(&mut self, at: Timestamp, step: Option<StepIndex>, what: NoteKind) {
        if self.notes.len() < MOST_NOTES {
            self.notes.push(Note { at, step, what });
        } else {
            self.notes_dropped = self.notes_dropped.saturating_add(1);
        }
    }
}

/// A run that was cancelled did not fail: its client hung up.
pub(super) const fn is_error(state: State) -> bool {
    matches!(state, State::Failed | State::TimedOut | State::Crashed)
}

/// For a failure that nobody gave a kind.
pub(super) const fn error_type(state: State) -> &'static str {
    match state {
        State::TimedOut => "timeout",
        State::Crashed => "panic",
        _ => "_OTHER",
    }
}

/// The beginning of `text` that is kept.
pub(super) fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST_TEXT))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{self, CALL, Story};
    use super::super::open_runs::{Folded, OpenRuns};
    use super::*;

    fn ended(story: Story) -> RunRecord {
        let mut open = OpenRuns::new(1);
        let Folded::Ended(run) = open.fold(&story.batch()) else {
            panic!("the story ends")
        };
        run.0
    }

    #[test]
    fn what_a_run_says_is_bounded() {
        let mut story = Story::new(&fixture::plan());
        for _ in 0..1_000 {
            story.log(1, Some(CALL), Level::Warn, &"é".repeat(10_000));
        }
        story.fault(2, CALL, State::Failed, &"x".repeat(10_000));
        story.end(3, State::Failed, None);
        let record = ended(story);

        assert_eq!(record.notes.len(), MOST_NOTES);
        assert_eq!(record.notes_dropped, 1_000 - 64);
        let NoteKind::Log { line, .. } = &record.notes[0].what else {
            panic!("it is a line")
        };
        assert_eq!(line.len(), LONGEST_TEXT);
        let error = record.steps[usize::from(CALL)].error.as_deref();
        assert_eq!(error.map(str::len), Some(LONGEST_TEXT));
    }

    #[test]
    fn events_that_fit_nowhere_are_passed_over() {
        let mut story = Story::new(&fixture::plan());
        story.step(1, 999, State::Running, 1);
        let (step, pieces, bytes) = (999, 1, 1);
        let progress = EventKind::Progress {
            step,
            pieces,
            bytes,
        };
        story.push(2, progress);
        story.log(3, Some(999), Level::Error, "from nowhere");
        story.end(4, State::Completed, None);
        let late = story.events.split_off(1);
        let mut open = OpenRuns::new(1);
        let run = story.run;
        let unknown = EventBatch { run, events: late };
        let folded = open.fold(&unknown);
        assert!(
            matches!(folded, Folded::Unknown),
            "it was never seen to begin"
        );
        open.fold(&story.batch());
        let folded = open.fold(&unknown);
        assert!(matches!(folded, Folded::Ended(_)));
        assert_eq!(open.len(), 0);
    }
}
