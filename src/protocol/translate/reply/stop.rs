//! Why the model stopped: the upstream's finish reasons in Anthropic's words, and stop sequences met locally.
//!
//! Upstreams take four stop sequences, some none, and none says which one was met. The translator therefore looks for
//! all of them itself ([`StopScanner`]); what the upstream did not cut is cut here, as Anthropic does it.
//! This file must not know how a stream is written.

use aho_corasick::{AhoCorasick, MatchKind};

use crate::protocol::anthropic::message::StopReason;

/// A finish reason, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    Length,
    /// The limit was that of the model's context window.
    Window,
    ToolCalls,
    /// Tools of the server's own were run, and the answer goes on when it is asked for.
    Paused,
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
            "length" | "max_tokens" | "max_output_tokens" | "model_length" | "incomplete" => {
                Self::Length
            }
            "model_context_window_exceeded" => Self::Window,
            "tool_calls" | "tool_use" | "tool_call" | "function_call" => Self::ToolCalls,
            "pause_turn" => Self::Paused,
            "abort" | "aborted" | "cancelled" | "canceled" | "user_cancel" | "timeout" => {
                Self::Aborted
            }
            // Some servers write the word for nothing as a string.
            "" | "null" => Self::Missing,
            word if is_failure(word) => Self::Failed,
            word if is_refusal(word) || word == RECITATION => Self::Filtered,
            _ => Self::Unknown,
        }
    }

    /// Whether a limit ended the answer, so that what stands last may be half; the provider may be the only one to say so.
    pub(super) fn is_limit(self, native: &str) -> bool {
        matches!(self, Self::Length | Self::Window) || Self::of(native) == Self::Window
    }
}

/// The word for an answer that was taken back because it repeats what others wrote.
const RECITATION: &str = "recitation";

/// Whether a word, in small letters, says that the answer broke. Some are followed by what went wrong.
fn is_failure(word: &str) -> bool {
    matches!(word, "insufficient_system_resource" | "network_error")
        || word.starts_with("error")
        || word.starts_with("function_call_filter")
        || word.contains("malformed")
}

/// Whether a word, in small letters, is one with which a provider withholds an answer.
fn is_refusal(word: &str) -> bool {
    matches!(
        word,
        "refusal" | "safety" | "prohibited_content" | "blocklist" | "spii" | "sensitive"
    ) || word.starts_with("content_filter")
}

/// What tells most of an answer that failed: the provider's word, or else the upstream's if it is more than `error`.
pub(super) fn failure<'a>(finish: &'a str, native: &'a str) -> &'a str {
    if native.is_empty() && !finish.eq_ignore_ascii_case("error") {
        finish
    } else {
        native
    }
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
    let native = said_by_provider(ending);
    let has_no_room =
        ending.finish == Finish::Window || native == Some(StopReason::ContextWindowExceeded);
    let limit = if has_no_room {
        StopReason::ContextWindowExceeded
    } else {
        StopReason::MaxTokens
    };
    if ending.lost_a_call {
        return Some(limit);
    }
    if ending.has_calls {
        return Some(StopReason::ToolUse);
    }
    match ending.finish {
        Finish::Failed | Finish::Aborted => None,
        Finish::Filtered => Some(StopReason::Refusal),
        _ if ending.has_refusal => Some(StopReason::Refusal),
        Finish::Length | Finish::Window => Some(limit),
        Finish::Paused => Some(StopReason::PauseTurn),
        Finish::Unknown if !ending.has_content => None,
        Finish::Stop | Finish::ToolCalls | Finish::Missing | Finish::Unknown => {
            Some(native.unwrap_or(StopReason::EndTurn))
        }
    }
}

/// What the provider's word says beyond the upstream's. An answer that was taken back before it began is empty, and may
/// come whole when it is asked for again.
fn said_by_provider(ending: Ending<'_>) -> Option<StopReason> {
    match ending.native.to_ascii_lowercase().as_str() {
        word if is_refusal(word) => Some(StopReason::Refusal),
        RECITATION if ending.has_content => Some(StopReason::Refusal),
        "model_context_window_exceeded" => Some(StopReason::ContextWindowExceeded),
        "pause_turn" => Some(StopReason::PauseTurn),
        "stop_sequence" => Some(StopReason::StopSequence),
        _ => None,
    }
}

/// Looks for stop sequences in text that arrives in pieces. What a piece costs hardly depends on how many there are.
#[derive(Debug)]
pub(super) struct StopScanner {
    /// In the order in which the client gave them.
    sequences: Vec<String>,
    /// Finds the first of them.
    first: AhoCorasick,
    /// In the order of their bytes.
    sorted: Vec<String>,
    /// The length of the longest.
    longest: usize,
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
    /// `None` when there is nothing to look for. White space alone is none that the upstream is given either: it would cut
    /// every answer.
    pub(super) fn new(sequences: &[String]) -> Option<Self> {
        let mut sequences = sequences.to_vec();
        sequences.retain(|sequence| !sequence.trim().is_empty());
        let longest = sequences.iter().map(String::len).max()?;
        let first = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(&sequences)
            .expect("a request may hold far less than an automaton does");
        let mut sorted = sequences.clone();
        sorted.sort_unstable();
        Some(Self {
            sequences,
            first,
            sorted,
            longest,
            held: String::new(),
        })
    }

    pub(super) fn scan(&mut self, piece: &str) -> Scanned {
        let mut text = std::mem::take(&mut self.held);
        text.push_str(piece);
        if let Some(first) = self.first.find(&text) {
            let met = self.sequences.get(first.pattern().as_usize()).cloned();
            text.truncate(first.start());
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

    /// The length of the longest end of `text` with which a sequence begins; none stands whole in it.
    fn held_length(&self, text: &str) -> usize {
        let least = text.len().saturating_sub(self.longest - 1);
        let mut ends = (least..text.len()).filter_map(|start| text.get(start..));
        let begins_one = |end: &&str| {
            let place = self.sorted.partition_point(|known| known.as_str() < *end);
            let next = self.sorted.get(place);
            next.is_some_and(|sequence| sequence.starts_with(end))
        };
        ends.find(begins_one).map_or(0, str::len)
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
            (
                "model_context_window_exceeded",
                "",
                false,
                Some(StopReason::ContextWindowExceeded),
            ),
            ("pause_turn", "", false, Some(StopReason::PauseTurn)),
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
        use Finish::{
            Aborted, Failed, Filtered, Length, Missing, Paused, Stop, ToolCalls, Unknown, Window,
        };
        for (words, finish) in [
            (
                "stop end_turn stop_sequence eos eos_token stop_token completed complete STOP Stop",
                Stop,
            ),
            (
                "length max_tokens MAX_TOKENS max_output_tokens model_length incomplete",
                Length,
            ),
            ("model_context_window_exceeded", Window),
            ("pause_turn PAUSE_TURN", Paused),
            ("tool_calls tool_use tool_call function_call", ToolCalls),
            (
                "content_filter refusal SAFETY safety RECITATION PROHIBITED_CONTENT BLOCKLIST SPII sensitive content_filter:SAFETY",
                Filtered,
            ),
            (
                "error error_limit ERROR_TOXIC error:oops insufficient_system_resource network_error MALFORMED_FUNCTION_CALL function_call_filter:MALFORMED_FUNCTION_CALL function_call_filter_x",
                Failed,
            ),
            (
                "abort aborted cancelled canceled timeout user_cancel USER_CANCEL",
                Aborted,
            ),
            ("", Missing),
            ("null", Missing),
            ("x", Unknown),
        ] {
            for word in words.split(' ') {
                assert_eq!(Finish::of(word), finish, "{word}");
            }
        }
    }

    #[test]
    fn a_word_of_the_provider_withholds_an_answer_unless_a_limit_ended_it() {
        for word in [
            "refusal",
            "SAFETY",
            "safety",
            "PROHIBITED_CONTENT",
            "BLOCKLIST",
            "SPII",
            "sensitive",
            "content_filter",
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
    fn what_was_taken_back_is_a_refusal_where_something_was_said_or_the_upstream_says_so() {
        for (finish, has_content, expected) in [
            ("stop", false, StopReason::EndTurn),
            ("stop", true, StopReason::Refusal),
            ("content_filter", false, StopReason::Refusal),
            ("RECITATION", false, StopReason::Refusal),
        ] {
            let ending = Ending {
                finish: Finish::of(finish),
                native: "RECITATION",
                has_content,
                has_calls: false,
                lost_a_call: false,
                has_refusal: false,
            };
            assert_eq!(stop_reason(ending), Some(expected), "{ending:?}");
        }
    }

    #[test]
    fn a_lost_call_a_whole_call_and_a_refusal_weigh_in_that_order() {
        use StopReason::{ContextWindowExceeded, EndTurn, MaxTokens, Refusal, ToolUse};
        for (finish, lost_a_call, has_calls, has_refusal, expected) in [
            ("stop", true, true, true, Some(MaxTokens)),
            (
                "model_context_window_exceeded",
                true,
                true,
                true,
                Some(ContextWindowExceeded),
            ),
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

        #[test]
        fn the_first_is_met_and_the_longest_beginning_held(
            text in "[abä]{0,8}",
            sequences in prop::collection::vec("[abä]{1,4}", 1..6),
        ) {
            let met = sequences.iter().filter_map(|one| Some((text.find(one.as_str())?, one)));
            let mut scanner = StopScanner::new(&sequences).unwrap();
            let scanned = scanner.scan(&text);
            if let Some((at, first)) = met.min_by_key(|(at, _)| *at) {
                prop_assert_eq!((Some(scanned.text.as_str()), scanned.met.as_ref()), (text.get(..at), Some(first)));
            } else {
                let is_begun = |end: &&str| sequences.iter().any(|one| one.starts_with(end));
                let ends = text.char_indices().filter_map(|(start, _)| text.get(start..));
                let held = { ends }.find(is_begun).unwrap_or_default();
                prop_assert_eq!(scanner.finish(), held);
                prop_assert_eq!((scanned.text + held, scanned.met), (text.clone(), None));
            }
        }
    }
}
