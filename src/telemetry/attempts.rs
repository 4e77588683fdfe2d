//! The attempts to call a model, each as far as the events of its run tell, and by what it is counted: the status of its
//! answer or, where no status tells how it went, a word.
//!
//! This file must not know what is made of an attempt.

use super::metrics::OTHER;
use crate::events::{FactValue, State, StepIndex};
use crate::facts;

/// The words that may be stated as [`facts::UPSTREAM_FAILURE`]. Any other is counted as `other`.
pub const FAILURES: [&str; 6] = [
    "unreachable",
    "cut",
    "empty_answer",
    "unusable_answer",
    "too_many_open_files",
    TIMEOUT,
];
/// The step's time was up.
const TIMEOUT: &str = "timeout";
/// The client hung up, or the process stopped.
const CANCELLED: &str = "cancelled";

/// What attempts may be made again for, besides further statuses.
pub(super) const USUAL_CAUSES: [Code; 11] = [
    Code::Status(429),
    Code::Status(500),
    Code::Status(502),
    Code::Status(503),
    Code::Status(529),
    Code::Word(FAILURES[0]),
    Code::Word(FAILURES[1]),
    Code::Word(FAILURES[2]),
    Code::Word(FAILURES[3]),
    Code::Word(FAILURES[4]),
    Code::Word(TIMEOUT),
];
/// How attempts end in other ways, besides further statuses.
pub(super) const USUAL_ENDS: [Code; 2] = [Code::Status(200), Code::Word(CANCELLED)];

/// By what an attempt is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Status(u16),
    Word(&'static str),
}

impl Code {
    pub(super) const OTHER: Self = Self::Word(OTHER);
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => status.fmt(f),
            Self::Word(word) => f.write_str(word),
        }
    }
}

/// An attempt of a step that calls the model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) step: StepIndex,
    /// Seconds until the headers of its answer were in.
    pub(super) headers: Option<f64>,
    /// The status of its answer.
    pub(super) status: Option<u16>,
    /// How it failed where no status tells.
    pub(super) failure: Option<&'static str>,
    /// Whether another one follows.
    pub(super) is_made_again: bool,
}

/// The attempts of one run.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    open: Vec<Attempt>,
    ended: Vec<Attempt>,
    last: Option<Attempt>,
}

impl Attempts {
    /// The attempts that have ended since this was asked last.
    pub(super) fn take_ended(&mut self) -> std::vec::Drain<'_, Attempt> {
        self.ended.drain(..)
    }

    /// Whether any has ended since that was asked, or is under way.
    pub(super) fn are_there(&self) -> bool {
        !self.ended.is_empty() || !self.open.is_empty()
    }

    /// The one that ended last.
    pub(super) fn last(&self) -> Option<&Attempt> {
        self.last.as_ref()
    }

    /// Takes in what a step that calls the model has come to.
    pub(super) fn change(&mut self, step: StepIndex, state: State) {
        if state == State::Running {
            self.open.push(Attempt::new(step));
        } else if state == State::Retrying || state.is_final() {
            let place = self.open.iter().position(|attempt| attempt.step == step);
            // A step that is skipped, or cancelled in a pause, has none under way.
            let Some(place) = place else { return };
            let attempt = self.open.swap_remove(place).ended_as(state);
            self.ended.push(attempt);
            self.last = Some(attempt);
        }
    }

    /// Takes in a fact, which is of the attempt that began last.
    pub(super) fn state(&mut self, name: &str, value: &FactValue) {
        let Some(attempt) = self.open.last_mut() else {
            return;
        };
        match (name, value) {
            (facts::UPSTREAM_STATUS, FactValue::Int(status)) => {
                let status = u16::try_from(*status).ok();
                attempt.status = status.filter(|status| (100..1_000).contains(status));
            }
            (facts::UPSTREAM_FAILURE, FactValue::Text(stated)) => {
                let known = FAILURES.into_iter().find(|word| **stated == **word);
                attempt.failure = Some(known.unwrap_or(OTHER));
            }
            (facts::UPSTREAM_HEADERS, FactValue::Float(seconds)) => {
                attempt.headers = Some(*seconds)
                    .filter(|seconds| seconds.is_finite() && seconds.is_sign_positive());
            }
            _ => {}
        }
    }
}

impl Attempt {
    const fn new(step: StepIndex) -> Self {
        Self {
            step,
            headers: None,
            status: None,
            failure: None,
            is_made_again: false,
        }
    }

    fn ended_as(mut self, state: State) -> Self {
        self.is_made_again = state == State::Retrying;
        let says_nothing = self.status.is_none() && self.failure.is_none();
        self.failure = match state {
            State::TimedOut => Some(TIMEOUT),
            State::Cancelled => Some(CANCELLED),
            // What the task itself gives up, it says why.
            State::Retrying if says_nothing => Some(TIMEOUT),
            _ => self.failure,
        };
        self
    }

    /// By what it is counted.
    pub(super) fn code(&self) -> Code {
        let word = self.failure.map(Code::Word);
        word.or_else(|| self.status.map(Code::Status))
            .unwrap_or(Code::OTHER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: StepIndex = 5;

    /// The code of an attempt of which these facts were stated and that came to this state.
    fn code(stated: &[(&str, FactValue)], state: State) -> String {
        let mut attempts = Attempts::default();
        attempts.change(STEP, State::Running);
        for (name, value) in stated {
            attempts.state(name, value);
        }
        attempts.change(STEP, state);
        let ended: Vec<Code> = attempts
            .take_ended()
            .map(|attempt| attempt.code())
            .collect();
        assert_eq!(ended.len(), 1, "{stated:?}");
        assert!(!attempts.are_there());
        ended[0].to_string()
    }

    #[test]
    fn an_attempt_is_counted_by_its_status_or_by_a_word_that_says_more() {
        let status = |status: i64| (facts::UPSTREAM_STATUS, FactValue::Int(status));
        let failure = |word: &str| (facts::UPSTREAM_FAILURE, FactValue::from(word));
        for (stated, state, expected) in [
            (vec![status(200)], State::Completed, "200"),
            (vec![status(429)], State::Retrying, "429"),
            (vec![status(402)], State::Failed, "402"),
            (vec![failure("unreachable")], State::Retrying, "unreachable"),
            (
                vec![status(200), failure("unusable_answer")],
                State::Failed,
                "unusable_answer",
            ),
            (vec![failure("made up\n")], State::Failed, "other"),
            (vec![status(70_000)], State::Failed, "other"),
            (vec![status(-1)], State::Completed, "other"),
            (vec![], State::TimedOut, "timeout"),
            (vec![], State::Retrying, "timeout"),
            (vec![], State::Cancelled, "cancelled"),
            (vec![], State::Crashed, "other"),
        ] {
            assert_eq!(code(&stated, state), expected, "{stated:?} {state:?}");
        }
    }

    #[test]
    fn what_one_attempt_says_is_not_said_of_the_next() {
        let mut attempts = Attempts::default();
        attempts.state(facts::UPSTREAM_STATUS, &FactValue::Int(418));
        for (status, state) in [(503, State::Retrying), (0, State::Failed)] {
            attempts.change(STEP, State::Running);
            assert!(attempts.are_there());
            if status > 0 {
                attempts.state(facts::UPSTREAM_STATUS, &FactValue::Int(status));
                attempts.state(facts::UPSTREAM_HEADERS, &FactValue::Float(0.5));
            }
            attempts.change(STEP, state);
        }
        // Nothing is under way: a pause that is cut short ends no attempt.
        attempts.change(STEP, State::Cancelled);
        let last = *attempts.last().unwrap();
        assert_eq!((last.status, last.headers), (None, None));
        let ended: Vec<Attempt> = attempts.take_ended().collect();
        let told = ended
            .iter()
            .map(|one| (one.code().to_string(), one.headers, one.is_made_again));
        assert_eq!(
            Vec::from_iter(told),
            [
                ("503".to_owned(), Some(0.5), true),
                ("other".to_owned(), None, false)
            ]
        );
    }

    #[test]
    fn two_calls_at_a_time_are_two_attempts() {
        let mut attempts = Attempts::default();
        attempts.change(1, State::Running);
        attempts.change(2, State::Running);
        attempts.state(facts::UPSTREAM_STATUS, &FactValue::Int(200));
        attempts.change(2, State::Completed);
        attempts.state(facts::UPSTREAM_STATUS, &FactValue::Int(500));
        attempts.change(1, State::Failed);
        let codes = attempts.take_ended().map(|one| (one.step, one.code()));
        assert_eq!(
            Vec::from_iter(codes),
            [(2, Code::Status(200)), (1, Code::Status(500))]
        );
    }

    #[test]
    fn a_time_that_is_none_is_not_kept() {
        let mut attempts = Attempts::default();
        attempts.change(STEP, State::Running);
        for seconds in [f64::NAN, f64::INFINITY, -1.0] {
            attempts.state(facts::UPSTREAM_HEADERS, &FactValue::Float(seconds));
            assert_eq!(attempts.open[0].headers, None, "{seconds}");
        }
    }
}
