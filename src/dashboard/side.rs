//! The sides from which the payloads of a run are looked at: a tab each.

use super::page::Failure;
use crate::events::State;
use crate::facts::payload;
use crate::store::RunDetail;

/// A tab of the payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Asked,
    Sent,
    SentSecond,
    SentThird,
    Refused,
    Answered,
    Got,
    Conversation,
    Changes,
}

impl Side {
    /// In the order in which they pass.
    pub(crate) const ALL: [Self; 9] = [
        Self::Asked,
        Self::Sent,
        Self::SentSecond,
        Self::SentThird,
        Self::Refused,
        Self::Answered,
        Self::Got,
        Self::Conversation,
        Self::Changes,
    ];

    /// Its name in URLs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Sent => "sent",
            Self::SentSecond => "sent-2",
            Self::SentThird => "sent-3",
            Self::Refused => "refused",
            Self::Answered => "answered",
            Self::Got => "got",
            Self::Conversation => "conversation",
            Self::Changes => "changes",
        }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Asked => "Client asked",
            Self::Sent => "Dagway sent",
            Self::SentSecond => "Sent 2nd form",
            Self::SentThird => "Sent 3rd form",
            Self::Refused => "Provider refused",
            Self::Answered => "Provider answered",
            Self::Got => "Client got",
            Self::Conversation => "Conversation",
            Self::Changes => "Since last turn",
        }
    }

    /// Whether it is a payload as it is, and not what is told from some.
    pub(crate) const fn is_payload(self) -> bool {
        !matches!(self, Self::Conversation | Self::Changes)
    }

    /// The payload that is shown, or that what is shown begins with.
    pub(crate) const fn body(self) -> &'static str {
        match self {
            Self::Asked | Self::Conversation | Self::Changes => payload::CLIENT_REQUEST,
            Self::Sent => payload::UPSTREAM_REQUEST,
            Self::SentSecond => payload::UPSTREAM_REQUEST_AGAIN[0],
            Self::SentThird => payload::UPSTREAM_REQUEST_AGAIN[1],
            Self::Refused => payload::UPSTREAM_REFUSALS,
            Self::Answered => payload::UPSTREAM_RESPONSE,
            Self::Got => payload::CLIENT_RESPONSE,
        }
    }

    /// The payload that its headers are; refusals have theirs within, what is told needs none.
    pub(super) const fn headers(self) -> Option<&'static str> {
        match self {
            Self::Asked => Some(payload::CLIENT_REQUEST_HEADERS),
            Self::Sent | Self::SentSecond | Self::SentThird => {
                Some(payload::UPSTREAM_REQUEST_HEADERS)
            }
            Self::Refused | Self::Conversation | Self::Changes => None,
            Self::Answered => Some(payload::UPSTREAM_RESPONSE_HEADERS),
            Self::Got => Some(payload::CLIENT_RESPONSE_HEADERS),
        }
    }

    /// What is looked for first: why a run failed that was refused, else what was asked.
    pub(super) fn of_interest(run: &RunDetail) -> Self {
        let is_bad = matches!(run.summary.state, State::Failed | State::TimedOut);
        let mut payloads = run.payloads.iter();
        if is_bad && payloads.any(|payload| payload.name == payload::UPSTREAM_REFUSALS) {
            Self::Refused
        } else {
            Self::Asked
        }
    }

    /// Whether every run has it; other sides are shown only of a run that does.
    pub(super) const fn is_usual(self) -> bool {
        !matches!(self, Self::SentSecond | Self::SentThird | Self::Refused)
    }

    /// Reads a name as written by [`Side::name`].
    pub(super) fn parse(name: &str) -> Result<Self, Failure> {
        Self::ALL
            .into_iter()
            .find(|side| side.name() == name)
            .ok_or_else(|| {
                Failure::Bad(
                    "payload: give asked, sent, sent-2, sent-3, refused, answered, got, conversation or changes, or leave it out"
                        .to_owned(),
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::fixture;

    #[test]
    fn of_a_run_that_was_refused_the_refusals_come_first_and_of_any_other_the_request() {
        let mut run = fixture::failed_run();
        run.payloads
            .retain(|payload| payload.name != payload::UPSTREAM_REFUSALS);
        assert_eq!(Side::of_interest(&run), Side::Asked);
        run.payloads.push(crate::store::PayloadInfo {
            name: payload::UPSTREAM_REFUSALS.to_owned(),
            bytes: 1,
            gone: false,
        });
        assert_eq!(Side::of_interest(&run), Side::Refused);
        run.summary.state = State::Completed;
        assert_eq!(Side::of_interest(&run), Side::Asked);
    }
}
