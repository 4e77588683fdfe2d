//! What an answer of the Messages API says of itself: id, model, stop reason, usage, price.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::protocol::anthropic::message::{StopReason, Usage};
use crate::protocol::translate::reply::Summary;

/// What was heard so far.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) summary: Summary,
    /// Whether the stop reason has come, known or not.
    pub(super) has_stopped: bool,
    /// Whether the upstream has counted.
    has_counted: bool,
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
    #[serde(borrow, default)]
    pub(super) usage: Option<&'a RawValue>,
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
        self.has_counted |= self.summary.usage.input_tokens > 0;
        self.summary.cost_usd = said["cost"].as_f64().or(self.summary.cost_usd);
    }

    /// What is known by now; input tokens are `estimate` when the upstream never said.
    pub(super) fn summary(&self, estimate: u64) -> Summary {
        let mut summary = self.summary.clone();
        let is_cached = summary.usage.cache_read_input_tokens > 0
            || summary.usage.cache_creation_input_tokens > 0;
        summary.usage_is_estimate = !self.has_counted && !is_cached;
        if summary.usage_is_estimate {
            summary.usage.input_tokens = estimate;
        }
        summary
    }
}

/// A string, decoded.
pub(super) fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
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
            let summary = heard(usages).summary(9);
            let told = (summary.usage.input_tokens, summary.usage_is_estimate);
            assert_eq!(told, (input, is_estimate), "{usages:?}");
        }
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
        let later =
            json!({"output_tokens":40,"output_tokens_details":{"thinking_tokens":50},"cost":1.5});
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
