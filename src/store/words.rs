//! What a search looks for in a run, and whether a run has it.
//!
//! The databases answer the same question by [`conditions`](super::conditions), which reads it from here: a list that
//! is looked at is judged by both.

use super::model::RunSummary;
use crate::facts;

/// So few hexadecimal digits, such as `529`, stand in many ids by chance: they do not mean a run's id.
const MEANT_AS_ID: usize = 6;
/// How a request id begins, whose digits are those of the run's id.
const REQUEST: &str = "req_";

/// The texts among a run's facts that are searched, besides its models and its session.
pub(crate) const SEARCHED: [&str; 2] = [facts::ERROR_TYPE, facts::PROVIDER_BEHIND];
/// The numbers that are.
pub(crate) const STATUSES: [&str; 2] = [facts::STATUS, facts::UPSTREAM_STATUS];

/// What is searched for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Words<'a> {
    /// In errors, models, sessions, and the texts of [`SEARCHED`], in either case.
    pub(crate) text: &'a str,
    /// In the run's id.
    pub(crate) id: Option<Digits>,
    /// As one of [`STATUSES`].
    pub(crate) status: Option<u16>,
}

/// A piece of a run's id, as hexadecimal digits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Digits {
    /// It begins so.
    Begin(String),
    /// They stand somewhere in it.
    Anywhere(String),
}

impl<'a> Words<'a> {
    /// Reads what someone typed.
    pub(crate) fn of(text: &'a str) -> Self {
        let text = text.trim();
        Self {
            text,
            id: Digits::of(text),
            status: (text.len() == 3)
                .then(|| text.parse().ok())
                .flatten()
                .filter(|status| (100..600).contains(status)),
        }
    }

    /// Whether the run has it.
    pub(crate) fn are_in(&self, run: &RunSummary) -> bool {
        let needle = self.text.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&needle);
        let texts = [
            facts::MODEL_ASKED,
            facts::MODEL_SENT,
            facts::MODEL_USED,
            facts::SESSION,
        ];
        let mut texts = texts.into_iter().chain(SEARCHED);
        let status = self.status.map(i64::from);
        run.error.as_deref().is_some_and(has)
            || texts.any(|fact| run.text(fact).is_some_and(has))
            || self.id.as_ref().is_some_and(|digits| digits.are_of(run))
            || status.is_some() && STATUSES.into_iter().any(|fact| run.int(fact) == status)
    }
}

impl Digits {
    fn of(text: &str) -> Option<Self> {
        let (is_request, rest) = match text.strip_prefix(REQUEST) {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let digits = rest.replace('-', "").to_ascii_lowercase();
        let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        match (is_hex, is_request) {
            (true, true) => Some(Self::Begin(digits)),
            (true, false) if digits.len() >= MEANT_AS_ID => Some(Self::Anywhere(digits)),
            _ => None,
        }
    }

    fn are_of(&self, run: &RunSummary) -> bool {
        let id = run.id.simple().to_string();
        match self {
            Self::Begin(digits) => id.starts_with(digits),
            Self::Anywhere(digits) => id.contains(digits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_mean_an_id_when_they_are_many_or_said_to() {
        let begin = |digits: &str| Some(Digits::Begin(digits.to_owned()));
        let anywhere = |digits: &str| Some(Digits::Anywhere(digits.to_owned()));
        for (text, id) in [
            ("529", None),
            ("01a20", None),
            ("01A209", anywhere("01a209")),
            ("01a2-09db", anywhere("01a209db")),
            ("req_01", begin("01")),
            ("req_", None),
            ("req_x", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(Words::of(text).id, id, "{text}");
        }
    }

    #[test]
    fn three_digits_may_be_a_status() {
        for (text, status) in [("529", Some(529)), (" 402 ", Some(402)), ("999", None)] {
            assert_eq!(Words::of(text).status, status, "{text}");
        }
        for text in ["+40", "0529", "52", "5 9", ""] {
            assert_eq!(Words::of(text).status, None, "{text}");
        }
    }
}
