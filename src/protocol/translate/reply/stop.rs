//! Why the model stopped: the upstream's finish reasons in Anthropic's words, and stop sequences met locally.
//!
//! Upstreams take four stop sequences, some none, and none says which one was met. The translator therefore looks for
//! all of them itself ([`StopScanner`]); what the upstream did not cut is cut here, as Anthropic does it.
//! This file must not know how a stream is written.

use crate::protocol::anthropic::message::StopReason;

/// A finish reason, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    Length,
    ToolCalls,
    Filtered,
    Failed,
    /// The upstream gave the answer up.
    Aborted,
    /// The stream ended in order without one.
    Missing,
    Unknown,
}

impl Finish {
    /// Servers write the words of their providers and of their engines, in any case.
    pub(super) fn of(reason: &str) -> Self {
        match reason.to_ascii_lowercase().as_str() {
            "stop" | "end_turn" | "stop_sequence" | "stop_token" | "eos" | "eos_token"
            | "completed" | "complete" => Self::Stop,
            "length" | "max_tokens" | "max_output_tokens" | "model_length" => Self::Length,
            "tool_calls" | "tool_use" | "tool_call" | "function_call" => Self::ToolCalls,
            "content_filter" => Self::Filtered,
            word if is_refusal(word) => Self::Filtered,
            "error" => Self::Failed,
            "abort" | "aborted" | "cancelled" | "canceled" => Self::Aborted,
            "" => Self::Missing,
            _ => Self::Unknown,
        }
    }
}

/// Whether a word, in small letters, is one with which a provider withholds an answer.
fn is_refusal(word: &str) -> bool {
    matches!(
        word,
        "refusal" | "safety" | "recitation" | "prohibited_content" | "blocklist" | "spii"
    )
}

/// What a stop reason is made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending<'a> {
    pub(super) finish: Finish,
    /// The provider's word for it.
    pub(super) native: &'a str,
    /// Anything was said.
    pub(super) has_content: bool,
    /// Complete tool calls are in the answer.
    pub(super) has_calls: bool,
    /// A tool call was cut off by the limit and left out.
    pub(super) lost_a_call: bool,
    pub(super) has_refusal: bool,
}

/// Gives Anthropic's reason; `None` when the ending is not one of a whole answer. A reason that nobody knows is taken for
/// the end of what was said.
pub(super) fn stop_reason(ending: Ending<'_>) -> Option<StopReason> {
    if matches!(ending.finish, Finish::Failed | Finish::Aborted) {
        return None;
    }
    if ending.lost_a_call {
        return Some(StopReason::MaxTokens);
    }
    if ending.has_calls {
        return Some(StopReason::ToolUse);
    }
    let native = match ending.native.to_ascii_lowercase().as_str() {
        word if is_refusal(word) => Some(StopReason::Refusal),
        "model_context_window_exceeded" => Some(StopReason::ContextWindowExceeded),
        "pause_turn" => Some(StopReason::PauseTurn),
        "stop_sequence" => Some(StopReason::StopSequence),
        _ => None,
    };
    match ending.finish {
        Finish::Failed | Finish::Aborted => None,
        Finish::Filtered => Some(StopReason::Refusal),
        _ if ending.has_refusal => Some(StopReason::Refusal),
        Finish::Length => Some(match native {
            Some(StopReason::ContextWindowExceeded) => StopReason::ContextWindowExceeded,
            _ => StopReason::MaxTokens,
        }),
        Finish::Unknown if !ending.has_content => None,
        Finish::Stop | Finish::ToolCalls | Finish::Missing | Finish::Unknown => {
            Some(native.unwrap_or(StopReason::EndTurn))
        }
    }
}

/// Looks for stop sequences in text that arrives in pieces.
#[derive(Debug)]
pub(super) struct StopScanner {
    sequences: Vec<String>,
    /// Text that may be the beginning of a sequence.
    held: String,
}

/// What became of a piece of text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scanned {
    /// What may be shown.
    pub(super) text: String,
    /// The sequence that was met; everything after it is cut.
    pub(super) met: Option<String>,
}

impl StopScanner {
    /// `None` when there is nothing to look for.
    pub(super) fn new(sequences: &[String]) -> Option<Self> {
        let mut sequences = sequences.to_vec();
        sequences.retain(|sequence| !sequence.is_empty());
        (!sequences.is_empty()).then_some(Self {
            sequences,
            held: String::new(),
        })
    }

    pub(super) fn scan(&mut self, piece: &str) -> Scanned {
        let mut text = std::mem::take(&mut self.held);
        text.push_str(piece);
        let first = self
            .sequences
            .iter()
            .filter_map(|sequence| Some((text.find(sequence.as_str())?, sequence)))
            .min_by_key(|(at, _)| *at);
        if let Some((at, sequence)) = first {
            let met = Some(sequence.clone());
            text.truncate(at);
            return Scanned { text, met };
        }
        let free = text.len() - self.held_length(&text);
        self.held = text.split_off(free);
        Scanned { text, met: None }
    }

    /// Whether text was held back.
    pub(super) fn holds_text(&self) -> bool {
        !self.held.is_empty()
    }

    /// No more text follows: gives what was held back.
    pub(super) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// The length of the longest end of `text` with which a sequence begins.
    fn held_length(&self, text: &str) -> usize {
        let longest = |sequence: &String| {
            (1..sequence.len())
                .rev()
                .filter_map(|length| sequence.get(..length))
                .find(|beginning| text.ends_with(beginning))
                .map_or(0, str::len)
        };
        self.sequences.iter().map(longest).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reason(finish: &str, native: &str, has_calls: bool) -> Option<StopReason> {
        stop_reason(Ending {
            finish: Finish::of(finish),
            native,
            has_content: has_calls,
            has_calls,
            lost_a_call: false,
            has_refusal: false,
        })
    }

    #[test]
    fn every_row_of_the_table_holds() {
        let rows = [
            ("stop", "end_turn", false, Some(StopReason::EndTurn)),
            ("stop", "STOP", true, Some(StopReason::ToolUse)),
            (
                "stop",
                "stop_sequence",
                false,
                Some(StopReason::StopSequence),
            ),
            ("stop", "pause_turn", false, Some(StopReason::PauseTurn)),
            ("length", "max_tokens", false, Some(StopReason::MaxTokens)),
            ("length", "length", true, Some(StopReason::ToolUse)),
            (
                "length",
                "model_context_window_exceeded",
                false,
                Some(StopReason::ContextWindowExceeded),
            ),
            ("tool_calls", "tool_use", false, Some(StopReason::EndTurn)),
            (
                "content_filter",
                "refusal",
                false,
                Some(StopReason::Refusal),
            ),
            ("stop", "SAFETY", false, Some(StopReason::Refusal)),
            ("error", "MALFORMED_FUNCTION_CALL", true, None),
            ("", "", false, Some(StopReason::EndTurn)),
            ("whatever", "", false, None),
        ];
        for (finish, native, calls, expected) in rows {
            assert_eq!(reason(finish, native, calls), expected, "{finish}/{native}");
        }
    }

    #[test]
    fn every_word_of_an_upstream_is_understood() {
        use Finish::{Aborted, Failed, Filtered, Length, Missing, Stop, ToolCalls, Unknown};
        for (words, finish) in [
            (
                &[
                    "stop",
                    "end_turn",
                    "stop_sequence",
                    "eos",
                    "eos_token",
                    "stop_token",
                    "completed",
                    "complete",
                    "STOP",
                    "Stop",
                ][..],
                Stop,
            ),
            (
                &[
                    "length",
                    "max_tokens",
                    "MAX_TOKENS",
                    "max_output_tokens",
                    "model_length",
                ],
                Length,
            ),
            (
                &["tool_calls", "tool_use", "tool_call", "function_call"],
                ToolCalls,
            ),
            (
                &[
                    "content_filter",
                    "refusal",
                    "SAFETY",
                    "safety",
                    "RECITATION",
                    "PROHIBITED_CONTENT",
                    "BLOCKLIST",
                    "SPII",
                ],
                Filtered,
            ),
            (&["error"], Failed),
            (&["abort", "aborted", "cancelled", "canceled"], Aborted),
            (&[""], Missing),
            (&["x"], Unknown),
        ] {
            for word in words {
                assert_eq!(Finish::of(word), finish, "{word}");
            }
        }
        for word in [
            "refusal",
            "SAFETY",
            "safety",
            "RECITATION",
            "PROHIBITED_CONTENT",
            "BLOCKLIST",
            "SPII",
        ] {
            assert_eq!(
                reason("stop", word, false),
                Some(StopReason::Refusal),
                "{word}"
            );
            assert_eq!(
                reason("length", word, false),
                Some(StopReason::MaxTokens),
                "{word}"
            );
        }
    }

    #[test]
    fn a_lost_call_a_whole_call_and_a_refusal_weigh_in_that_order() {
        use StopReason::{EndTurn, MaxTokens, Refusal, ToolUse};
        for (finish, lost_a_call, has_calls, has_refusal, expected) in [
            ("stop", true, true, true, Some(MaxTokens)),
            ("stop", false, true, true, Some(ToolUse)),
            ("stop", false, false, true, Some(Refusal)),
            ("length", false, false, true, Some(Refusal)),
            ("", false, false, true, Some(Refusal)),
            ("stop", false, false, false, Some(EndTurn)),
            ("content_filter", false, true, false, Some(ToolUse)),
            ("odd", false, true, false, Some(ToolUse)),
            ("odd", false, false, true, Some(Refusal)),
            ("odd", false, false, false, Some(EndTurn)),
            ("error", false, true, true, None),
            ("abort", false, true, false, None),
            ("abort", true, false, false, None),
            ("cancelled", false, false, false, None),
        ] {
            let ending = Ending {
                finish: Finish::of(finish),
                native: "",
                has_content: true,
                has_calls,
                lost_a_call,
                has_refusal,
            };
            assert_eq!(stop_reason(ending), expected, "{ending:?}");
        }
    }

    fn scanned(sequences: &[&str], pieces: &[&str]) -> (String, Option<String>) {
        let sequences: Vec<String> = sequences.iter().map(|&s| s.to_owned()).collect();
        let mut scanner = StopScanner::new(&sequences).unwrap();
        let mut shown = String::new();
        for piece in pieces {
            let scanned = scanner.scan(piece);
            shown.push_str(&scanned.text);
            if scanned.met.is_some() {
                return (shown, scanned.met);
            }
        }
        shown.push_str(&scanner.finish());
        (shown, None)
    }

    #[test]
    fn a_sequence_is_found_across_pieces_and_the_first_one_wins() {
        let met = |text: &str, sequence: &str| (text.to_owned(), Some(sequence.to_owned()));
        assert_eq!(
            scanned(&["</b>"], &["yes<", "/b", ">no"]),
            met("yes", "</b>")
        );
        assert_eq!(scanned(&["b", "a"], &["xab"]), met("x", "a"));
        assert_eq!(scanned(&["aab"], &["aa", "ab"]), met("a", "aab"));
    }

    #[test]
    fn text_that_only_looked_like_a_sequence_is_shown() {
        assert_eq!(
            scanned(&["</b>"], &["yes</", "i>"]),
            ("yes</i>".to_owned(), None)
        );
        assert_eq!(scanned(&["</b>"], &["yes</b"]), ("yes</b".to_owned(), None));
        assert!(StopScanner::new(&[String::new()]).is_none());
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(pieces in prop::collection::vec("[abä]{0,4}", 0..6), sequence in "[abä]{1,3}") {
            let whole = pieces.concat();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            prop_assert_eq!(scanned(&[&sequence], &pieces), scanned(&[&sequence], &[&whole]));
        }
    }
}
