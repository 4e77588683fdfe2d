//! The upstream's token counts in Anthropic's arithmetic.
//!
//! OpenRouter's `prompt_tokens` holds cache reads and writes; Anthropic's `input_tokens` holds neither. Without the
//! subtraction every context meter and every cost is doubled.
//! This file must not know prices.

use serde::Deserialize;
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

const MOST_DOLLARS: f64 = 1e9;

/// The upstream's `usage`; what stands in a field is looked at when it is asked for.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told<'a> {
    #[serde(borrow)]
    prompt_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    completion_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt_tokens_details: Option<&'a RawValue>,
    #[serde(borrow)]
    completion_tokens_details: Option<&'a RawValue>,
    #[serde(borrow)]
    server_tool_use_details: Option<&'a RawValue>,
    #[serde(borrow)]
    server_tool_use: Option<&'a RawValue>,
    #[serde(borrow)]
    cost: Option<&'a RawValue>,
    /// What `cost` does not hold, when the user's own key at the provider was used: the provider's bill.
    #[serde(borrow)]
    cost_details: Option<&'a RawValue>,
    #[serde(borrow)]
    is_byok: Option<&'a RawValue>,
    /// Where DeepSeek has its cache reads.
    #[serde(borrow)]
    prompt_cache_hit_tokens: Option<&'a RawValue>,
    /// And Moonshot.
    #[serde(borrow)]
    cached_tokens: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CostDetails<'a> {
    #[serde(borrow)]
    upstream_inference_cost: Option<&'a RawValue>,
}

/// The details of all kinds of tokens; each kind has some of them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Details<'a> {
    #[serde(borrow)]
    cached_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_write_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    web_search_requests: Option<&'a RawValue>,
}

/// Reads the upstream's `usage`; `None` when it is no object, or tells nothing: no prompt has no tokens. A field of another
/// type than expected counts as absent.
#[must_use]
pub(super) fn read(usage: &RawValue) -> Option<Figures> {
    let told: Told<'_> = object(usage)?;
    let details = |field: Option<_>| field.and_then(object::<Details<'_>>).unwrap_or_default();
    let prompt = details(told.prompt_tokens_details);
    let cache_read = [
        prompt.cached_tokens,
        told.prompt_cache_hit_tokens,
        told.cached_tokens,
    ];
    let cache_read = cache_read.into_iter().find_map(count).unwrap_or(0);
    let cache_write = count(prompt.cache_write_tokens).unwrap_or(0);
    let input = count(told.prompt_tokens).unwrap_or(0);
    if input == 0 && told.cost.is_none() {
        return None;
    }
    let searches = [told.server_tool_use_details, told.server_tool_use]
        .into_iter()
        .find_map(|field| count(details(field).web_search_requests));
    let thought = details(told.completion_tokens_details).reasoning_tokens;
    let figures = Figures {
        usage: Usage {
            input_tokens: input.saturating_sub(cache_read).saturating_sub(cache_write),
            cache_creation_input_tokens: cache_write,
            cache_read_input_tokens: cache_read,
            output_tokens: count(told.completion_tokens).unwrap_or(0),
            thinking_tokens: count(thought),
            web_search_requests: searches,
            web_fetch_requests: None,
        },
        cost_usd: cost(&told),
    };
    Some(figures)
}

/// What the answer cost: what the upstream charged, and what the provider charges for the use of the user's own key.
fn cost(told: &Told<'_>) -> Option<f64> {
    let charged = told.cost.and_then(dollars)?;
    let is_own_key = told.is_byok.is_some_and(|is| is.get() == "true");
    let details = told.cost_details.filter(|_| is_own_key);
    let details = details.and_then(object::<CostDetails<'_>>);
    let bill = details.and_then(|details| dollars(details.upstream_inference_cost?));
    Some(charged + bill.unwrap_or(0.0))
}

/// An amount that can be one: less than nothing, or more than a billion, is a mistake that would spoil all sums.
fn dollars(amount: &RawValue) -> Option<f64> {
    let amount: f64 = amount.get().parse().ok()?;
    (0.0..MOST_DOLLARS).contains(&amount).then_some(amount)
}

fn object<'a, T: Deserialize<'a>>(text: &'a RawValue) -> Option<T> {
    let text = Some(text.get()).filter(|text| text.starts_with('{'))?;
    serde_json::from_str(text).ok()
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

/// A count, however the number is written.
fn count(number: Option<&RawValue>) -> Option<u64> {
    let text = number?.get();
    text.parse().ok().or_else(|| {
        let count = text.parse().ok().filter(|count: &f64| *count >= 0.0)?;
        Some(count as u64)
    })
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
    fn the_providers_bill_for_the_users_own_key_belongs_to_the_cost() {
        for (said, expected) in [
            (
                r#""cost":0.006,"is_byok":true,"cost_details":{"upstream_inference_cost":0.12}"#,
                Some(0.126),
            ),
            (
                r#""cost":0,"is_byok":true,"cost_details":{"upstream_inference_cost":null}"#,
                Some(0.0),
            ),
            (r#""cost":0,"is_byok":true,"cost_details":7"#, Some(0.0)),
            (
                r#""cost":0.5,"is_byok":false,"cost_details":{"upstream_inference_cost":0.4}"#,
                Some(0.5),
            ),
            (r#""cost":1e308"#, None),
        ] {
            let figures = figures(&format!(r#"{{"prompt_tokens":1,{said}}}"#)).unwrap();
            assert_eq!(figures.cost_usd, expected, "{said}");
        }
    }

    #[test]
    fn counts_are_read_however_they_are_written() {
        for (number, count) in [
            ("7", 7),
            ("7.9", 7),
            ("1e2", 100),
            ("0", 0),
            ("-1", 0),
            ("-0.5", 0),
            ("null", 0),
            ("\"7\"", 0),
            ("[7]", 0),
        ] {
            let figures = figures(&format!(
                "{{\"prompt_tokens\":1,\"completion_tokens\":{number}}}"
            ))
            .unwrap();
            assert_eq!(figures.usage.output_tokens, count, "{number}");
        }
    }

    #[test]
    fn a_cost_is_a_number_that_can_be_added_up() {
        for (cost, expected) in [
            ("0.5", Some(0.5)),
            ("0", Some(0.0)),
            ("-0.0", Some(0.0)),
            ("-0.01", None),
            ("1e999", None),
            ("\"1\"", None),
        ] {
            let figures = figures(&format!("{{\"cost\":{cost}}}")).unwrap();
            assert_eq!(figures.cost_usd, expected, "{cost}");
        }
    }

    #[test]
    fn searches_are_counted_in_either_of_two_fields() {
        for (told, expected) in [
            (r#""server_tool_use":{"web_search_requests":3}"#, Some(3)),
            (
                r#""server_tool_use_details":{},"server_tool_use":{"web_search_requests":3}"#,
                Some(3),
            ),
            (
                r#""server_tool_use_details":{"web_search_requests":2},"server_tool_use":{"web_search_requests":3}"#,
                Some(2),
            ),
            (r#""server_tool_use":[3]"#, None),
            (r#""x":1"#, None),
        ] {
            let figures = figures(&format!("{{\"prompt_tokens\":1,{told}}}")).unwrap();
            assert_eq!(figures.usage.web_search_requests, expected, "{told}");
        }
    }

    #[test]
    fn a_usage_without_a_prompt_tells_nothing() {
        for told in [
            "{}",
            r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#,
            r#"{"input_tokens":7,"output_tokens":3}"#,
        ] {
            assert_eq!(figures(told), None, "{told}");
        }
    }

    #[test]
    fn cache_reads_are_read_where_each_server_tells_them() {
        for told in [
            r#""prompt_tokens_details":{"cached_tokens":4}"#,
            r#""prompt_cache_hit_tokens":4,"prompt_cache_miss_tokens":6"#,
            r#""cached_tokens":4"#,
        ] {
            let usage = figures(&format!("{{\"prompt_tokens\":10,{told}}}"))
                .unwrap()
                .usage;
            let read = (usage.cache_read_input_tokens, usage.input_tokens);
            assert_eq!(read, (4, 6), "{told}");
        }
    }

    #[test]
    fn an_estimate_counts_a_token_for_four_bytes_begun() {
        for (bytes, tokens) in [(0, 0), (1, 1), (4, 1), (5, 2)] {
            let usage = estimate(9, bytes);
            assert_eq!((usage.input_tokens, usage.output_tokens), (9, tokens));
        }
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
