//! What an answer uses and costs, as OpenRouter accounts for it.

use serde_json::{Value, json};

use super::catalogue::Family;
use super::conversation::{Conversation, tokens};
use super::script::{Turn, Usage};

/// What a turn uses: what it claims, or an estimate. `cached` input tokens were seen before.
pub(super) fn used(
    turn: &Turn,
    conversation: &Conversation<'_>,
    output: usize,
    cached: u64,
) -> Usage {
    let reasoning = if conversation.reasons() {
        tokens(turn.think.len())
    } else {
        0
    };
    let prompt = conversation.prompt_tokens();
    let cached = cached.min(prompt);
    let marks_cache =
        conversation.model.family == Family::Claude && has_cache_mark(conversation.body);
    let estimated = Usage {
        prompt,
        cached,
        written: if marks_cache { prompt - cached } else { 0 },
        completion: tokens(output).max(1) + reasoning,
        reasoning,
    };
    turn.usage.unwrap_or(estimated)
}

fn has_cache_mark(value: &Value) -> bool {
    match value {
        Value::Array(elements) => elements.iter().any(has_cache_mark),
        Value::Object(fields) => {
            fields.contains_key("cache_control") || fields.values().any(has_cache_mark)
        }
        _ => false,
    }
}

/// The `usage` of an answer, with its price.
pub(super) fn priced(usage: &Usage, conversation: &Conversation<'_>, searches: usize) -> Value {
    let [input, output, read, write] = conversation.model.prices.map(|price| price / 1e6);
    let plain = usage.prompt.saturating_sub(usage.cached + usage.written);
    let prompt_cost =
        dollars(plain, input) + dollars(usage.cached, read) + dollars(usage.written, write);
    let output_cost = dollars(usage.completion, output);
    let mut json = json!({
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "cost": prompt_cost + output_cost,
        "is_byok": false,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached, "cache_write_tokens": usage.written,
            "audio_tokens": 0, "video_tokens": 0,
        },
        "cost_details": {
            "upstream_inference_cost": null,
            "upstream_inference_prompt_cost": prompt_cost,
            "upstream_inference_completions_cost": output_cost,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning, "image_tokens": 0, "audio_tokens": 0,
        },
    });
    if searches > 0 {
        json["server_tool_use_details"] =
            json!({ "web_search_requests": 1, "tool_calls_executed": 1 });
    }
    json
}

fn dollars(tokens: u64, price: f64) -> f64 {
    let exact = u32::try_from(tokens).unwrap_or(u32::MAX);
    f64::from(exact) * price
}
