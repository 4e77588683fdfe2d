//! `price_usage`: what the answer cost, by the upstream's own word or by the catalogue's prices.

use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::convert_response::ReplySummary;
use super::map_model::MappedModel;
use crate::engine::{Cx, End, Task, TaskError};
use crate::events::Artifact;
use crate::facts;
use crate::protocol::openrouter::catalogue::Metered;

/// Puts a price on an answer that has ended.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PriceUsage {}

/// An answer and its price.
#[derive(Debug, Serialize)]
pub struct PricedReply {
    /// US dollars; `None` when nobody knows.
    pub usd: Option<f64>,
    /// Who says so.
    pub source: PriceSource,
    /// The answer. In the record it is named by its id, for there it stands already, as what the step before gave.
    #[serde(serialize_with = "id_of")]
    pub reply: Arc<ReplySummary>,
}

fn id_of<S: Serializer>(reply: &Arc<ReplySummary>, serializer: S) -> Result<S::Ok, S::Error> {
    reply.0.response_id.serialize(serializer)
}

/// Who says what an answer cost.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceSource {
    /// The upstream, in the answer itself.
    Upstream,
    /// The catalogue's prices times the tokens.
    Catalogue,
    /// Nobody.
    Unknown,
}

/// A priced answer with all that is known of it.
#[derive(Serialize)]
struct Whole<'a> {
    usd: Option<f64>,
    source: PriceSource,
    reply: &'a ReplySummary,
}

impl Artifact for PricedReply {
    const NAME: &'static str = "PricedReply";

    fn write_whole(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        let whole = Whole {
            usd: self.usd,
            source: self.source,
            reply: &self.reply,
        };
        serde_json::to_writer(out, &whole)
    }
}

impl Task for PriceUsage {
    const NAME: &'static str = "price_usage";
    const ABOUT: &'static str = "Puts a price on the answer";
    type Input = (End<ReplySummary>, Arc<MappedModel>);
    type Output = PricedReply;

    async fn run(&self, (end, model): Self::Input, cx: &Cx) -> Result<PricedReply, TaskError> {
        let summary = &end.value.0;
        // Nobody charges for an answer that failed before its first token, and its input is a guess of ours.
        let is_free = summary.error.is_some()
            && summary.usage_is_estimate
            && summary.usage.output_tokens == 0;
        let by_catalogue = || {
            if is_free {
                return None;
            }
            let pricing = model.target.pricing.as_ref()?;
            let usage = &summary.usage;
            pricing.cost(&Metered {
                input: usage.input_tokens,
                cache_read: usage.cache_read_input_tokens,
                cache_write: usage.cache_creation_input_tokens,
                output: usage.output_tokens,
                web_searches: usage.web_search_requests.unwrap_or(0),
            })
        };
        let (usd, source) = match summary.cost_usd {
            Some(usd) => (Some(usd), PriceSource::Upstream),
            None => match by_catalogue() {
                Some(usd) => (Some(usd), PriceSource::Catalogue),
                None => (None, PriceSource::Unknown),
            },
        };
        if let Some(usd) = usd {
            cx.fact(facts::COST_USD, usd);
        }
        Ok(PricedReply {
            usd,
            source,
            reply: end.value,
        })
    }
}
