//! What a model costs, and what a request cost.
//!
//! The upstream says with each answer what it charged; these prices stand in where it does not.
//! This file must not know where tokens were counted.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// What a model costs, in US dollars per token unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pricing {
    /// Input.
    #[serde(deserialize_with = "dollars")]
    pub prompt: Option<f64>,
    /// Output, reasoning included.
    #[serde(deserialize_with = "dollars")]
    pub completion: Option<f64>,
    /// Per request.
    #[serde(deserialize_with = "dollars")]
    pub request: Option<f64>,
    /// Per web search.
    #[serde(deserialize_with = "dollars")]
    pub web_search: Option<f64>,
    /// Input read from a cache.
    #[serde(deserialize_with = "dollars")]
    pub input_cache_read: Option<f64>,
    /// Input written to a cache.
    #[serde(deserialize_with = "dollars")]
    pub input_cache_write: Option<f64>,
}

/// What a request used, as far as it is priced. The three inputs do not overlap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metered {
    /// Input tokens that no cache knew.
    pub input: u64,
    /// Input tokens read from a cache.
    pub cache_read: u64,
    /// Input tokens written to a cache.
    pub cache_write: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Web searches made by the upstream.
    pub web_searches: u64,
}

impl Pricing {
    /// Prices a request in US dollars; nothing when the price depends on where the request is routed.
    #[must_use]
    pub fn cost(&self, used: &Metered) -> Option<f64> {
        let prompt = self.prompt?;
        let completion = self.completion?;
        let share = |tokens: u64, price: f64| tokens as f64 * price;
        Some(
            share(used.input, prompt)
                + share(used.cache_read, self.input_cache_read.unwrap_or(prompt))
                + share(used.cache_write, self.input_cache_write.unwrap_or(prompt))
                + share(used.output, completion)
                + share(used.web_searches, self.web_search.unwrap_or(0.0))
                + self.request.unwrap_or(0.0),
        )
    }
}

/// Reads a price: a string or number; -1 means that it varies.
fn dollars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let price = match Value::deserialize(deserializer)? {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.as_f64(),
        _ => None,
    };
    Ok(price.filter(|price: &f64| price.is_finite() && *price >= 0.0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cents(prices: Value, used: &Metered) -> Option<f64> {
        let pricing: Pricing = serde_json::from_value(prices).unwrap();
        pricing.cost(used).map(|dollars| (dollars * 100.0).round())
    }

    #[test]
    fn each_kind_of_token_has_its_price() {
        let used = Metered {
            input: 1,
            cache_read: 10,
            cache_write: 100,
            output: 1000,
            web_searches: 10_000,
        };
        let all = json!({"prompt":"2","completion":"3","request":"0.5","web_search":"4",
            "input_cache_read":"0.1","input_cache_write":"5"});
        assert_eq!(
            cents(all, &used),
            Some(100.0 * (2.0 + 1.0 + 500.0 + 3000.0 + 40_000.0 + 0.5))
        );
        let least = json!({"prompt":2,"completion":"3"});
        assert_eq!(
            cents(least, &used),
            Some(100.0 * (2.0 + 20.0 + 200.0 + 3000.0))
        );
    }

    #[test]
    fn a_price_that_varies_or_is_none_prices_nothing() {
        let used = Metered::default();
        for (prompt, is_priced) in [
            (json!("0"), true),
            (json!(" 0.5 "), true),
            (json!(0.5), true),
            (json!("-1"), false),
            (json!(-0.1), false),
            (json!("NaN"), false),
            (json!("inf"), false),
            (json!(null), false),
            (json!([1]), false),
        ] {
            let priced = |prompt: &Value, completion: &Value| {
                cents(json!({"prompt":prompt,"completion":completion}), &used).is_some()
            };
            assert_eq!(priced(&prompt, &json!("1")), is_priced, "{prompt}");
            assert_eq!(priced(&json!("1"), &prompt), is_priced, "{prompt}");
        }
    }
}
