//! `log_usage`: states the run's figures. The log's line about the turn is made of them, off the hot path.

use std::sync::Arc;

use serde::Deserialize;

use super::price_usage::PricedReply;
use crate::engine::{Cx, Task, TaskError};
use crate::events::Level;
use crate::facts;
use crate::protocol::translate::reply::Summary;

/// States tokens, models and stop reason of the turn.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogUsage {}

impl Task for LogUsage {
    const NAME: &'static str = "log_usage";
    const ABOUT: &'static str = "States tokens, models and stop reason of the turn";
    type Input = Arc<PricedReply>;
    type Output = ();

    async fn run(&self, priced: Arc<PricedReply>, cx: &Cx) -> Result<(), TaskError> {
        let summary = &priced.reply.0;
        state_labels(summary, cx);
        state_tokens(summary, cx);
        for note in &summary.notes {
            cx.log(Level::Warn, note.clone());
        }
        Ok(())
    }
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
