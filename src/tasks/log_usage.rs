//! `log_usage`: states the run's figures, and writes one line about the turn.

use std::sync::Arc;

use serde::Deserialize;

use super::price_usage::PricedReply;
use crate::engine::{Cx, Task, TaskError};
use crate::events::{Level, Timestamp, shortened};
use crate::facts;
use crate::protocol::anthropic::message::StopReason;
use crate::protocol::translate::reply::Summary;

/// Bytes of a model's name in the log: an upstream may call it what it likes.
const LONGEST_MODEL: usize = 256;

/// States tokens, model and stop reason.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogUsage {}

impl Task for LogUsage {
    const NAME: &'static str = "log_usage";
    const ABOUT: &'static str = "States tokens, cost and stop reason of the turn";
    type Input = Arc<PricedReply>;
    type Output = ();

    async fn run(&self, priced: Arc<PricedReply>, cx: &Cx) -> Result<(), TaskError> {
        let summary = &priced.reply.0;
        state_labels(summary, cx);
        state_tokens(summary, cx);
        for note in &summary.notes {
            cx.log(Level::Warn, note.clone());
        }
        let usage = &summary.usage;
        let model = summary.model_used.as_deref().unwrap_or_default();
        tracing::info!(
            model = shortened(model, LONGEST_MODEL).as_ref(),
            stop_reason = summary.stop_reason.map(StopReason::name),
            input_tokens = usage.input_tokens,
            cache_read_tokens = usage.cache_read_input_tokens,
            cache_write_tokens = usage.cache_creation_input_tokens,
            output_tokens = usage.output_tokens,
            cost_usd = priced.usd.map(rounded),
            estimated = summary.usage_is_estimate.then_some(true),
            duration_ms = rounded(Timestamp::now().since(cx.start().at).as_secs_f64() * 1e3),
            "turn ended"
        );
        Ok(())
    }
}

/// An amount without the last digits of its arithmetic: `0.00010036`, not `0.00010036000000000001`.
fn rounded(usd: f64) -> f64 {
    format!("{usd:.7e}").parse().unwrap_or(usd)
}

fn state_labels(summary: &Summary, cx: &Cx) {
    let labels = [
        (facts::MODEL_USED, &summary.model_used),
        (facts::PROVIDER_BEHIND, &summary.provider),
        (facts::RESPONSE_ID, &summary.response_id),
    ];
    if let Some(reason) = summary.stop_reason {
        cx.fact(facts::FINISH_REASON, reason.name());
    }
    for (name, value) in labels {
        if let Some(value) = value {
            cx.fact(name, value.as_str());
        }
    }
}

fn state_tokens(summary: &Summary, cx: &Cx) {
    let usage = &summary.usage;
    let count = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
    let read = usage.cache_read_input_tokens;
    let written = usage.cache_creation_input_tokens;
    let input = usage.input_tokens.saturating_add(read);
    cx.fact(facts::INPUT_TOKENS, count(input.saturating_add(written)));
    cx.fact(facts::CACHE_READ_TOKENS, count(read));
    cx.fact(facts::CACHE_WRITE_TOKENS, count(written));
    cx.fact(facts::OUTPUT_TOKENS, count(usage.output_tokens));
    cx.fact(
        facts::REASONING_TOKENS,
        count(usage.thinking_tokens.unwrap_or(0)),
    );
    if summary.usage_is_estimate {
        cx.fact(facts::USAGE_IS_ESTIMATE, true);
    }
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn an_amount_is_logged_in_eight_digits() {
        assert_eq!(rounded(0.000_100_360_000_000_000_01), 0.000_100_36);
        assert_eq!(rounded(12.345_678_912), 12.345_679);
        assert_eq!(rounded(0.0), 0.0);
        assert!(rounded(f64::INFINITY).is_infinite());
    }
}
