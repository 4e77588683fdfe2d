//! `[upstreams.NAME]`: places where models are, and what each is like.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use reqwest::Url;
use serde::Deserialize;

use super::Secret;
use crate::facts::payload::is_secret_header;

/// The name of the upstream that is built in.
pub(super) const OPENROUTER: &str = "openrouter";

/// `[upstreams.NAME]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Which API it has.
    pub kind: Kind,
    /// The API's base URL, such as `https://openrouter.ai/api/v1`.
    pub base_url: String,
    /// The key for it; once read, the one that counts, wherever it was given.
    #[serde(default = "Secret::none")]
    pub key: Secret,
    /// The variable that holds the key.
    #[serde(default)]
    pub key_env: Option<String>,
    /// The file that holds the key.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// More headers for every request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Where it differs from its kind.
    #[serde(default)]
    pub quirks: Quirks,
}

impl Upstream {
    /// Whether it is on this machine.
    #[must_use]
    pub fn is_here(&self) -> bool {
        let url = Url::parse(&self.base_url);
        let host = url.as_ref().ok().and_then(Url::host_str);
        host.is_some_and(|host| {
            let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
            host == "localhost" || address.is_ok_and(|address| address.is_loopback())
        })
    }

    /// Whether there is a key for it, or a header in which one may stand.
    #[must_use]
    pub fn may_have_a_key(&self) -> bool {
        let mut given = self.headers.iter().filter(|(_, value)| !value.is_empty());
        let is_secret = |name: &String| is_secret_header(&name.to_ascii_lowercase());
        !self.key.is_empty() || given.any(|(name, _)| is_secret(name))
    }
}

/// Which API an upstream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Chat completions with OpenRouter's extensions, and a Messages endpoint.
    OpenRouter,
    /// Chat completions as OpenAI defines them.
    OpenAi,
    /// The Messages API.
    Anthropic,
}

/// Where an upstream differs from its kind; what is absent is as the kind has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quirks {
    /// How the limit on the answer is called.
    pub max_tokens: Option<LimitField>,
    /// How it is asked to reason.
    pub reasoning: Option<ReasoningField>,
    /// Whether it takes marks for the prompt cache.
    pub cache_control: Option<bool>,
    /// Whether it knows `stream_options`.
    pub usage_on_request: Option<bool>,
    /// Whether it knows OpenRouter's own fields.
    pub extensions: Option<bool>,
}

/// How the limit on the answer is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitField {
    /// `max_tokens`.
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

/// How an upstream is asked to reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningField {
    /// OpenRouter's `reasoning` object.
    Object,
    /// OpenAI's `reasoning_effort`.
    Effort,
    /// Not at all.
    None,
}
