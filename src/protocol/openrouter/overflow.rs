//! Requests that do not fit the context window, reworded so that Claude Code understands them.
//!
//! Every provider says it in its own words. Claude Code compacts the conversation when it reads
//! "prompt is too long: A tokens > B maximum", and repeats with fewer `max_tokens` when it reads
//! "input length and `max_tokens` exceed context limit: A + B > C".
//! This file must not know anything else about errors.

/// Phrases that say that a prompt does not fit.
const PHRASES: [&str; 14] = [
    "context size",
    "exceeded model token limit",
    "exceeds max length",
    "`max_new_tokens` must be",
    "context length",
    "maximum context",
    "context window",
    "context limit",
    "too many tokens",
    "prompt is too long",
    "input length",
    "input is too long",
    "maximum prompt length",
    "input token count",
];
/// Codes that say it: OpenAI's, llama.cpp's, Z.ai's.
const CODES: [&str; 3] = [
    "context_length_exceeded",
    "exceed_context_size_error",
    "1261",
];
/// The room for output below which asking again with fewer `max_tokens` is not worth it.
const LEAST_ROOM: u64 = 4096;

/// Rewords the message of an error if it is about the context window. `said` is the message with its provider.
pub(super) fn reworded(code: &str, message: &str, said: &str) -> Option<String> {
    let lower = message.to_ascii_lowercase();
    let is_overflow = CODES.contains(&code) || PHRASES.iter().any(|phrase| lower.contains(phrase));
    if !is_overflow {
        return None;
    }
    let known = lower.contains("prompt is too long:")
        || lower.contains("input length and `max_tokens` exceed context limit:");
    if known {
        return Some(message.to_owned());
    }
    let reworded = match Sizes::read(&lower) {
        Some(sizes) => sizes.reworded(),
        None => "prompt is too long".to_owned(),
    };
    Some(format!("{reworded} ({said})"))
}

/// The numbers of such a message.
#[derive(Debug, PartialEq, Eq)]
struct Sizes {
    limit: u64,
    /// What was sent.
    input: u64,
    /// The room for output that was asked for, when it is told.
    output: u64,
}

impl Sizes {
    fn read(lower: &str) -> Option<Self> {
        const LIMIT: [&str; 11] = [
            "maximum context length is ",
            "maximum prompt length is ",
            "maximum number of tokens allowed (",
            "maximum context length of ",
            "context window of ",
            "context limit of ",
            "context length is ",
            "context length is only ",
            "available context size (",
            "model token limit: ",
            "must be <= ",
        ];
        const INPUT: [&str; 12] = [
            "your messages resulted in ",
            "your prompt contains at least ",
            "your prompt contains ",
            "your request has ",
            "request contains ",
            "input token count (",
            "input token count is ",
            "prompt contains at least ",
            "resulted in ",
            "request (",
            "given: ",
            "has ",
        ];
        const BEFORE_OUTPUT: [&str; 4] = [
            "in the output",
            "in the completion",
            "for the completion",
            "output tokens",
        ];
        const AFTER_OUTPUT: [&str; 2] = ["is too large: ", "`inputs` tokens and "];
        const TOTAL: [&str; 4] = [
            "you requested a total of ",
            "you requested about ",
            "you requested ",
            "requested: ",
        ];
        let after = |phrases: &[&str]| {
            let mut phrases = phrases.iter();
            phrases.find_map(|phrase| number_after(lower, phrase))
        };
        let limit = after(&LIMIT)?;
        let output = BEFORE_OUTPUT
            .iter()
            .find_map(|phrase| number_before(lower, phrase))
            .or_else(|| after(&AFTER_OUTPUT))
            .unwrap_or(0);
        let input = match (after(&INPUT), after(&TOTAL)) {
            (Some(input), _) => input,
            (None, Some(total)) => total.saturating_sub(output),
            (None, None) => return None,
        };
        Some(Self {
            limit,
            input,
            output,
        })
    }

    fn reworded(&self) -> String {
        let Self {
            limit,
            input,
            output,
        } = *self;
        if output > 0 && input.saturating_add(LEAST_ROOM) <= limit {
            return format!(
                "input length and `max_tokens` exceed context limit: {input} + {output} > {limit}, \
                 decrease input length or `max_tokens` and try again"
            );
        }
        format!("prompt is too long: {input} tokens > {limit} maximum")
    }
}

fn number_after(text: &str, phrase: &str) -> Option<u64> {
    let (_, after) = text.split_once(phrase)?;
    let end = after
        .find(|c: char| !c.is_ascii_digit() && c != ',')
        .unwrap_or(after.len());
    digits(after.get(..end)?)
}

fn number_before(text: &str, phrase: &str) -> Option<u64> {
    let (before, _) = text.split_once(phrase)?;
    let before = before.trim_end().trim_end_matches("tokens").trim_end();
    let start = before
        .rfind(|c: char| !c.is_ascii_digit() && c != ',')
        .map_or(0, |at| at + 1);
    digits(before.get(start..)?)
}

fn digits(text: &str) -> Option<u64> {
    text.replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(message: &str) -> Option<String> {
        let reworded = reworded("", message, message)?;
        let end = reworded.find(" (").unwrap_or(reworded.len());
        reworded.get(..end).map(str::to_owned)
    }

    #[test]
    fn each_providers_words_become_the_clients() {
        let rows = [
            (
                "This endpoint's maximum context length is 131072 tokens. However, you requested about 150000 tokens (140000 of text input, 5000 of tool input, 5000 in the output). Please reduce the length.",
                "prompt is too long: 145000 tokens > 131072 maximum",
            ),
            (
                "This endpoint's maximum context length is 131072 tokens. However, you requested about 164000 tokens (100000 of text input, 64000 in the output).",
                "input length and `max_tokens` exceed context limit: 100000 + 64000 > 131072, decrease input length or `max_tokens` and try again",
            ),
            (
                "This model's maximum context length is 128,000 tokens. However, your messages resulted in 130,001 tokens.",
                "prompt is too long: 130001 tokens > 128000 maximum",
            ),
            (
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
                "prompt is too long: 1200000 tokens > 1048576 maximum",
            ),
            (
                "This model's maximum prompt length is 131072 but the request contains 150000 tokens.",
                "prompt is too long: 150000 tokens > 131072 maximum",
            ),
            (
                "Input is too long for requested model.",
                "prompt is too long",
            ),
            // vLLM, from 0.18 on and before; SGLang.
            (
                "This model's maximum context length is 32768 tokens. However, you requested 32000 output tokens and your prompt contains at least 12000 input tokens, for a total of at least 44000 tokens.",
                "input length and `max_tokens` exceed context limit: 12000 + 32000 > 32768, decrease input length or `max_tokens` and try again",
            ),
            (
                "'max_tokens' or 'max_completion_tokens' is too large: 32000. This model's maximum context length is 32768 tokens and your request has 12000 input tokens (32000 > 32768 - 12000).",
                "input length and `max_tokens` exceed context limit: 12000 + 32000 > 32768, decrease input length or `max_tokens` and try again",
            ),
            (
                "Requested token count exceeds the model's maximum context length of 32768 tokens. You requested a total of 44000 tokens: 12000 tokens from the input messages and 32000 tokens for the completion.",
                "input length and `max_tokens` exceed context limit: 12000 + 32000 > 32768, decrease input length or `max_tokens` and try again",
            ),
            // llama.cpp, Moonshot, Z.ai, Text Generation Inference.
            (
                "request (9000 tokens) exceeds the available context size (4096 tokens), try increasing it",
                "prompt is too long: 9000 tokens > 4096 maximum",
            ),
            ("Context size has been exceeded.", "prompt is too long"),
            (
                "Invalid request: Your request exceeded model token limit: 262144 (requested: 270000)",
                "prompt is too long: 270000 tokens > 262144 maximum",
            ),
            ("Prompt exceeds max length", "prompt is too long"),
            (
                "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 32769. Given: 12000 `inputs` tokens and 32000 `max_new_tokens`",
                "input length and `max_tokens` exceed context limit: 12000 + 32000 > 32769, decrease input length or `max_tokens` and try again",
            ),
        ];
        for (said, expected) in rows {
            assert_eq!(plain(said).as_deref(), Some(expected), "{said}");
        }
    }

    #[test]
    fn fewer_output_tokens_help_while_four_thousand_are_left_for_them() {
        let said = |input: u64, output: u64| {
            let requested = input + output;
            plain(&format!("maximum context length is 10000 tokens, you requested {requested} tokens ({input} in the messages, {output} in the completion)")).unwrap()
        };
        assert!(said(5904, 6000).starts_with(
            "input length and `max_tokens` exceed context limit: 5904 + 6000 > 10000"
        ));
        assert_eq!(
            said(5905, 6000),
            "prompt is too long: 5905 tokens > 10000 maximum"
        );
        assert_eq!(
            said(100, 0),
            "prompt is too long: 100 tokens > 10000 maximum"
        );
    }

    #[test]
    fn the_numbers_are_found_in_every_phrase() {
        for said in [
            "maximum context length is 10 and you requested about 20",
            "maximum prompt length is 10 but your prompt contains 20",
            "the input token count is 20; maximum number of tokens allowed (10)",
            "a maximum context length of 10, but the prompt contains at least 20",
            "exceeds the context window of 10: it has 20 tokens",
            "context limit of 10: resulted in 20",
            "the model's context length is only 10; request contains 20",
        ] {
            let reworded = plain(said);
            assert_eq!(
                reworded.as_deref(),
                Some("prompt is too long: 20 tokens > 10 maximum"),
                "{said}"
            );
        }
        for said in [
            "context length is 10, you requested 20 (15 output tokens)",
            "context length is 10, you requested 20 (15 tokens in the output)",
            "context length is 10, you requested 20 (15 for the completion)",
        ] {
            assert_eq!(
                plain(said).as_deref(),
                Some("prompt is too long: 5 tokens > 10 maximum"),
                "{said}"
            );
        }
        assert_eq!(
            reworded("context_length_exceeded", "no", "[P] no").unwrap(),
            "prompt is too long ([P] no)"
        );
    }

    #[test]
    fn anthropics_own_words_stay_as_they_are() {
        for said in [
            "prompt is too long: 210000 tokens > 200000 maximum",
            "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000, decrease input length or `max_tokens` and try again",
        ] {
            assert_eq!(reworded("", said, "x").as_deref(), Some(said));
        }
    }

    #[test]
    fn other_errors_are_left_alone() {
        assert_eq!(plain("max_tokens must be at least 16"), None);
        assert_eq!(
            plain("tools.0.name: String should have at most 64 characters"),
            None
        );
    }

    #[test]
    fn odd_numbers_do_not_overflow() {
        let said = "maximum context length is 99999999999999999999999 tokens, you requested 5 (7 in the output)";
        assert_eq!(plain(said).as_deref(), Some("prompt is too long"));
        let said = "maximum context length is 10 tokens, you requested 5 (7 in the output)";
        assert_eq!(
            plain(said).as_deref(),
            Some("prompt is too long: 0 tokens > 10 maximum")
        );
    }
}
