//! What an answer of the Messages API says of itself: id, model, stop reason, usage, price.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::protocol::anthropic::message::{StopReason, Usage};
use crate::protocol::translate::reply::Summary;

/// Bytes of an answer for each token, where the upstream has not counted.
const BYTES_PER_TOKEN: u64 = 4;

/// What was heard so far.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) summary: Summary,
    /// Whether the stop reason has come, known or not.
    pub(super) has_stopped: bool,
    /// Whether the upstream has counted what it read.
    has_counted_input: bool,
    /// Whether it has counted what it said, at the end: what a stream says at its start is a beginning.
    has_counted_output: bool,
    /// Bytes of text, thoughts and arguments that came.
    said: u64,
}

/// What a message says of itself, whole or at its start.
#[derive(Deserialize)]
pub(super) struct Head<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) model: Option<&'a RawValue>,
    #[serde(borrow, default)]
    provider: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) content: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) stop_sequence: Option<&'a RawValue>,
}

/// What there is to read in a block or a delta: one of these.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Words<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) partial_json: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

impl Words<'_> {
    /// Their bytes, without the quotes.
    pub(super) fn bytes(&self) -> usize {
        let words = [self.text, self.thinking, self.partial_json, self.input];
        let bytes = words.iter().flatten().map(|raw| raw.get().len());
        bytes.map(|bytes| bytes.saturating_sub(2)).sum()
    }
}

impl Figures {
    /// Hears what a message says of itself.
    pub(super) fn head(&mut self, head: &Head<'_>) {
        let summary = &mut self.summary;
        for (slot, value) in [
            (&mut summary.response_id, head.id),
            (&mut summary.model_used, head.model),
            (&mut summary.provider, head.provider),
        ] {
            if let Some(text) = value.and_then(text) {
                *slot = Some(text);
            }
        }
        self.stopped(head.stop_reason);
        self.used(head.usage);
    }

    /// Hears why the model stopped.
    pub(super) fn stopped(&mut self, reason: Option<&RawValue>) {
        let Some(reason) = reason.and_then(text) else {
            return;
        };
        self.has_stopped = true;
        self.summary.stop_reason = StopReason::named(&reason);
        self.summary.native_finish = Some(reason);
    }

    /// Hears what was used; what is said later counts, as it does for the SDKs.
    pub(super) fn used(&mut self, usage: Option<&RawValue>) {
        let Some(said) = usage.and_then(|usage| serde_json::from_str::<Value>(usage.get()).ok())
        else {
            return;
        };
        let Usage {
            input_tokens,
            cache_creation_input_tokens,
            cache_read_input_tokens,
            output_tokens,
            thinking_tokens,
            web_search_requests,
            web_fetch_requests,
        } = &mut self.summary.usage;
        for (slot, name) in [
            (input_tokens, "input_tokens"),
            (cache_creation_input_tokens, "cache_creation_input_tokens"),
            (cache_read_input_tokens, "cache_read_input_tokens"),
            (output_tokens, "output_tokens"),
        ] {
            if let Some(count) = said[name].as_u64() {
                *slot = count;
            }
        }
        for (slot, count) in [
            (
                thinking_tokens,
                &said["output_tokens_details"]["thinking_tokens"],
            ),
            (
                web_search_requests,
                &said["server_tool_use"]["web_search_requests"],
            ),
            (
                web_fetch_requests,
                &said["server_tool_use"]["web_fetch_requests"],
            ),
        ] {
            *slot = count.as_u64().or(*slot);
        }
        self.has_counted_input |= self.summary.usage.input_tokens > 0;
        self.summary.cost_usd = cost(&said).or(self.summary.cost_usd);
    }

    /// Hears the usage with which an answer ends.
    pub(super) fn used_in_all(&mut self, usage: Option<&RawValue>) {
        self.used(usage);
        let Some(count) = usage.and_then(output_tokens) else {
            return;
        };
        // Zero tokens for words that came are no count.
        self.has_counted_output = count > 0 || self.said == 0;
    }

    /// Hears so many bytes of the answer's words.
    pub(super) fn said(&mut self, bytes: usize) {
        self.said = self.said.saturating_add(bytes as u64);
    }

    /// Whether the upstream has counted any of the tokens that it read.
    pub(super) fn has_counted_input(&self) -> bool {
        let usage = &self.summary.usage;
        let is_cached = usage.cache_read_input_tokens > 0 || usage.cache_creation_input_tokens > 0;
        self.has_counted_input || is_cached
    }

    /// Tokens that were said, as the upstream counts them or, until it does, by what came.
    pub(super) fn output_tokens(&self) -> u64 {
        let counted = self.summary.usage.output_tokens;
        if self.has_counted_output {
            return counted;
        }
        counted.max(self.said.div_ceil(BYTES_PER_TOKEN))
    }

    /// What is known by now; input tokens are `estimate` when the upstream never said.
    pub(super) fn summary(&self, estimate: u64) -> Summary {
        let mut summary = self.summary.clone();
        summary.usage.output_tokens = self.output_tokens();
        if !self.has_counted_input() {
            summary.usage.input_tokens = estimate;
        }
        summary.usage_is_estimate = !self.has_counted_input() || !self.has_counted_output;
        summary
    }
}

fn output_tokens(usage: &RawValue) -> Option<u64> {
    #[derive(Deserialize)]
    struct Usage {
        output_tokens: u64,
    }
    let usage: Usage = serde_json::from_str(usage.get()).ok()?;
    Some(usage.output_tokens)
}

/// A value that is there, if it is `null`, too, which is not the same as one that is missing.
pub(super) fn present<'de: 'a, 'a, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(value).map(Some)
}

/// A string, decoded.
pub(super) fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// What the answer cost: what the upstream charged, and what the provider charges for the use of the user's own key. An
/// amount of less than nothing, or of a billion, is a mistake that would spoil all sums.
fn cost(usage: &Value) -> Option<f64> {
    const MOST_DOLLARS: f64 = 1e9;
    let is_one = |amount: &f64| (0.0..MOST_DOLLARS).contains(amount);
    let dollars = |amount: &Value| amount.as_f64().filter(is_one);
    let charged = dollars(&usage["cost"])?;
    let bill = match usage["is_byok"] {
        Value::Bool(true) => dollars(&usage["cost_details"]["upstream_inference_cost"]),
        _ => None,
    };
    Some(charged + bill.unwrap_or(0.0))
}

/// What a value holds, if it is an object: a struct can be read from a list, too.
pub(super) fn object<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    let text = Some(raw.get()).filter(|text| text.starts_with('{'))?;
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn heard(usages: &[Value]) -> Figures {
        let mut figures = Figures::default();
        for usage in usages {
            let usage = usage.to_string();
            figures.used(Some(serde_json::from_str(&usage).unwrap()));
        }
        figures
    }

    #[test]
    fn input_is_estimated_only_where_nothing_of_it_was_counted() {
        for (usages, input, is_estimate) in [
            (&[][..], 9, true),
            (&[json!({"input_tokens":0,"output_tokens":5})], 9, true),
            (&[json!({"input_tokens":3})], 3, false),
            (&[json!({"cache_read_input_tokens":5})], 0, false),
            (&[json!({"cache_creation_input_tokens":5})], 0, false),
            (
                &[json!({"input_tokens":3}), json!({"input_tokens":0})],
                0,
                false,
            ),
            (
                &[json!({"input_tokens":0}), json!({"input_tokens":3})],
                3,
                false,
            ),
            (&[json!({"input_tokens":"3"})], 9, true),
            (&[json!([3])], 9, true),
        ] {
            let mut figures = heard(usages);
            figures.has_counted_output = true;
            let summary = figures.summary(9);
            let told = (summary.usage.input_tokens, summary.usage_is_estimate);
            assert_eq!(told, (input, is_estimate), "{usages:?}");
        }
    }

    #[test]
    fn output_is_estimated_until_the_end_has_counted_it() {
        let at_the_end = |count: Option<u64>, said: usize| {
            let mut figures = heard(&[json!({"input_tokens": 3, "output_tokens": 2})]);
            figures.said(said);
            if let Some(count) = count {
                let usage = json!({ "output_tokens": count }).to_string();
                figures.used_in_all(Some(serde_json::from_str(&usage).unwrap()));
            }
            let summary = figures.summary(9);
            (summary.usage.output_tokens, summary.usage_is_estimate)
        };
        assert_eq!(at_the_end(None, 0), (2, true), "the start counts a little");
        assert_eq!(at_the_end(None, 401), (101, true), "what came is counted");
        assert_eq!(at_the_end(Some(7), 401), (7, false));
        assert_eq!(at_the_end(Some(0), 0), (0, false), "nothing was said");
        assert_eq!(at_the_end(Some(0), 401), (101, true), "zero is no count");
    }

    #[test]
    fn what_is_said_later_counts_and_what_is_not_said_stays() {
        let first = json!({"input_tokens":1,"cache_creation_input_tokens":2,"cache_read_input_tokens":3,"output_tokens":4,
            "output_tokens_details":{"thinking_tokens":5},"server_tool_use":{"web_search_requests":6,"web_fetch_requests":7},"cost":0.5});
        let all = Usage {
            input_tokens: 1,
            cache_creation_input_tokens: 2,
            cache_read_input_tokens: 3,
            output_tokens: 4,
            thinking_tokens: Some(5),
            web_search_requests: Some(6),
            web_fetch_requests: Some(7),
        };
        let summary = heard(&[first.clone(), json!({})]).summary(0);
        assert_eq!((summary.usage, summary.cost_usd), (all, Some(0.5)));
        let later = json!({"output_tokens":40,"output_tokens_details":{"thinking_tokens":50},"cost":0.5,
                   "is_byok":true,"cost_details":{"upstream_inference_cost":1.0}});
        let summary = heard(&[first, later]).summary(0);
        let later = Usage {
            output_tokens: 40,
            thinking_tokens: Some(50),
            ..all
        };
        assert_eq!((summary.usage, summary.cost_usd), (later, Some(1.5)));
    }

    #[test]
    fn a_reason_that_nobody_knows_is_a_reason_too() {
        let stopped = |reason: &Value| {
            let reason = reason.to_string();
            let mut figures = Figures::default();
            figures.stopped(Some(serde_json::from_str(&reason).unwrap()));
            let summary = figures.summary(0);
            (
                figures.has_stopped,
                summary.stop_reason,
                summary.native_finish,
            )
        };
        assert_eq!(
            stopped(&json!("end_turn")),
            (true, Some(StopReason::EndTurn), Some("end_turn".to_owned()))
        );
        assert_eq!(
            stopped(&json!("brand_new")),
            (true, None, Some("brand_new".to_owned()))
        );
        assert_eq!(stopped(&json!(null)), (false, None, None));
    }
}
