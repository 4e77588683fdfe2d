//! The upstream's token counts in Anthropic's arithmetic.
//!
//! OpenRouter's `prompt_tokens` holds cache reads and writes; Anthropic's `input_tokens` holds neither. Without the
//! subtraction every context meter and every cost is doubled.
//! This file must not know prices.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::protocol::anthropic::message::Usage;

/// Bytes of text that make a token, for an answer whose usage never came.
const BYTES_PER_TOKEN: u64 = 4;

/// What an answer used and cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Figures {
    /// In Anthropic's arithmetic.
    pub(super) usage: Usage,
    /// In US dollars, when the upstream says so.
    pub(super) cost_usd: Option<f64>,
}

/// Reads the upstream's `usage`; `None` when it is no object.
#[must_use]
pub(super) fn read(usage: &RawValue) -> Option<Figures> {
    let usage: Value = serde_json::from_str(usage.get()).ok()?;
    usage.as_object()?;
    let prompt = &usage["prompt_tokens_details"];
    let cache_read = count(&prompt["cached_tokens"]).unwrap_or(0);
    let cache_write = count(&prompt["cache_write_tokens"]).unwrap_or(0);
    let input = count(&usage["prompt_tokens"]).unwrap_or(0);
    let searches = ["server_tool_use_details", "server_tool_use"]
        .into_iter()
        .find_map(|field| count(&usage[field]["web_search_requests"]));
    let figures = Figures {
        usage: Usage {
            input_tokens: input.saturating_sub(cache_read).saturating_sub(cache_write),
            cache_creation_input_tokens: cache_write,
            cache_read_input_tokens: cache_read,
            output_tokens: count(&usage["completion_tokens"]).unwrap_or(0),
            thinking_tokens: count(&usage["completion_tokens_details"]["reasoning_tokens"]),
            web_search_requests: searches,
            web_fetch_requests: None,
        },
        cost_usd: usage["cost"].as_f64(),
    };
    Some(figures)
}

/// What to say of an answer whose usage never came.
#[must_use]
pub(super) fn estimate(input_tokens: u64, output_bytes: u64) -> Usage {
    Usage {
        input_tokens,
        output_tokens: output_bytes.div_ceil(BYTES_PER_TOKEN),
        ..Usage::default()
    }
}

fn count(value: &Value) -> Option<u64> {
    match value.as_u64() {
        Some(count) => Some(count),
        None => value
            .as_f64()
            .filter(|count| *count >= 0.0)
            .map(|count| count as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(json: &str) -> Option<Figures> {
        read(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn cache_reads_and_writes_are_taken_out_of_the_input() {
        let figures = figures(
            r#"{"prompt_tokens":1000,"completion_tokens":50,"cost":0.0125,
                "prompt_tokens_details":{"cached_tokens":700,"cache_write_tokens":200},
                "completion_tokens_details":{"reasoning_tokens":30},
                "server_tool_use_details":{"web_search_requests":2}}"#,
        )
        .unwrap();
        let expected = Usage {
            input_tokens: 100,
            cache_creation_input_tokens: 200,
            cache_read_input_tokens: 700,
            output_tokens: 50,
            thinking_tokens: Some(30),
            web_search_requests: Some(2),
            web_fetch_requests: None,
        };
        assert_eq!(figures.usage, expected);
        assert_eq!(figures.cost_usd, Some(0.0125));
    }

    #[test]
    fn odd_counts_do_not_wrap_or_fail() {
        let figures = figures(
            r#"{"prompt_tokens":10.0,"completion_tokens":"x","prompt_tokens_details":{"cached_tokens":70}}"#,
        )
        .unwrap();
        assert_eq!(figures.usage.input_tokens, 0);
        assert_eq!(figures.usage.output_tokens, 0);
        assert_eq!(figures_of_no_object(), None);
    }

    fn figures_of_no_object() -> Option<Figures> {
        figures("[1]")
    }
}
