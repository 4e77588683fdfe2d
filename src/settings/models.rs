//! `[models]`: what names mean, and where each model is.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::Provider;

/// `[models]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Models {
    /// OpenRouter's `provider` for every model whose rule has none of its own.
    pub provider: Provider,
    /// Names that people type, and the model each stands for.
    pub aliases: BTreeMap<String, String>,
    /// Where a model is and in which lane its requests go; the first that fits counts.
    pub rules: Vec<Rule>,
    /// What may be asked instead when a model cannot be had; the first that fits counts.
    pub fallbacks: Vec<Fallback>,
    /// For how long a model that could not be had is asked last.
    #[serde(deserialize_with = "super::time_or_none")]
    pub cooldown: Duration,
}

/// One of `[[models.fallbacks]]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    /// A model's name, as in [`Rule`].
    #[serde(rename = "match")]
    pub pattern: String,
    /// Who may step in, in this order, by names as a client may write them.
    pub models: Vec<String>,
    /// How long a model has until the first piece of its answer is there, before the next one is asked; without it, as long
    /// as it takes.
    #[serde(default, deserialize_with = "super::some_time")]
    pub patience: Option<Duration>,
}

/// One of `[[models.rules]]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A model's name; `*` stands for anything.
    #[serde(rename = "match")]
    pub pattern: String,
    /// A name of `[upstreams]`.
    #[serde(default = "openrouter")]
    pub upstream: String,
    /// How requests go there; by default as the upstream's kind wants it.
    #[serde(default)]
    pub lane: Option<Lane>,
    /// The model's name for the upstream; by default as matched.
    #[serde(default)]
    pub send: Option<String>,
    /// OpenRouter's `provider` for these models, in the place of [`Models::provider`] as a whole; even when it says nothing.
    #[serde(default)]
    pub provider: Option<Provider>,
}

/// How requests go to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Translated to chat completions.
    Chat,
    /// As they are, to its own Messages endpoint.
    Native,
}

fn openrouter() -> String {
    super::upstreams::OPENROUTER.to_owned()
}
