//! The upstreams and rules of the settings, as the tasks use them.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::SecretString;
use serde_json::value::RawValue;

use crate::protocol::translate::dialect::{self, Dialect};
use crate::settings::{self, Settings};
use crate::upstream::client::ConfigError;
use crate::upstream::upstreams::{Pattern, UnknownAlias, UnknownFallback};
use crate::upstream::{Client, Config, Fallback, Kind, Lane, Rule, Upstream, Upstreams};

/// The name of the upstream that takes what no rule fits.
const FIRST: &str = "openrouter";

/// Why the upstreams cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One of them cannot be spoken to.
    #[error(transparent)]
    Client(#[from] ConfigError),
    /// An alias stands for no model.
    #[error(transparent)]
    Alias(#[from] UnknownAlias),
    /// A fallback is at none of them.
    #[error(transparent)]
    Fallback(#[from] UnknownFallback),
}

/// Makes the upstreams that the settings name. No connection is opened.
///
/// # Errors
/// When one of them cannot be used, or an alias or a fallback leads to no model that Dagway knows.
pub fn of(settings: &Settings) -> Result<Upstreams, Error> {
    let mut by_name = BTreeMap::new();
    for (name, upstream) in &settings.upstreams {
        let client = Client::new(&config(name, upstream, settings))?;
        by_name.insert(name.as_str(), Arc::new(Upstream::new(client)));
    }
    let models = &settings.models;
    let everywhere = object(&models.provider);
    let rules = models.rules.iter().filter_map(|rule| {
        let upstream = Arc::clone(by_name.get(rule.upstream.as_str())?);
        let lane = match rule.lane {
            Some(settings::Lane::Chat) => Lane::Chat,
            Some(settings::Lane::Native) => Lane::Native,
            None => upstream.client.kind().usual_lane(),
        };
        Some(Rule {
            pattern: Pattern::from(rule.pattern.as_str()),
            upstream,
            lane,
            send: rule.send.as_deref().map(Pattern::from),
            provider: match &rule.provider {
                Some(own) => object(own),
                None => everywhere.clone(),
            },
        })
    });
    let rules: Vec<Rule> = rules.collect();
    let first = by_name
        .remove(FIRST)
        .expect("the defaults hold it, and a user's file only adds to them");
    let others = by_name.into_values().collect();
    let fallbacks = models.fallbacks.iter().map(|fallback| Fallback {
        pattern: Pattern::from(fallback.pattern.as_str()),
        models: fallback
            .models
            .iter()
            .map(|model| model.as_str().into())
            .collect(),
        patience: fallback.patience,
    });
    let upstreams = Upstreams::new(first, others, rules, models.aliases.clone());
    let upstreams = upstreams.with_provider(everywhere);
    upstreams.prove_aliases()?;
    Ok(upstreams.with_fallbacks(fallbacks.collect(), models.cooldown)?)
}

/// Made once, so that no request has to.
fn object(provider: &settings::Provider) -> Option<Arc<RawValue>> {
    let json = provider.json()?.to_owned();
    let object = RawValue::from_string(json).expect("the settings hold a JSON object or nothing");
    Some(Arc::from(object))
}

fn config(name: &str, upstream: &settings::Upstream, settings: &Settings) -> Config {
    let kind = match upstream.kind {
        settings::Kind::OpenRouter => Kind::OpenRouter,
        settings::Kind::OpenAi => Kind::OpenAi,
        settings::Kind::Anthropic => Kind::Anthropic,
    };
    let headers = upstream.headers.iter();
    Config {
        name: name.to_owned(),
        kind,
        base_url: upstream.base_url.clone(),
        key: SecretString::from(upstream.key.expose()),
        key_env: upstream.key_env.clone(),
        headers: headers
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        dialect: dialect_of(kind, upstream.quirks),
        connect_timeout: settings.upstream.connect_timeout,
        early_error_wait: settings.upstream.early_error_wait,
    }
}

/// What the kind speaks, with its quirks.
fn dialect_of(kind: Kind, quirks: settings::Quirks) -> Dialect {
    let usual = match kind {
        Kind::OpenRouter => Dialect::OPENROUTER,
        Kind::OpenAi | Kind::Anthropic => Dialect::PLAIN,
    };
    let limit = |field| match field {
        settings::LimitField::MaxTokens => dialect::LimitField::MaxTokens,
        settings::LimitField::MaxCompletionTokens => dialect::LimitField::MaxCompletionTokens,
    };
    let reasoning = |field| match field {
        settings::ReasoningField::Object => dialect::ReasoningField::Object,
        settings::ReasoningField::Effort => dialect::ReasoningField::Effort,
        settings::ReasoningField::None => dialect::ReasoningField::None,
    };
    Dialect {
        extensions: quirks.extensions.unwrap_or(usual.extensions),
        cache_control: quirks.cache_control.unwrap_or(usual.cache_control),
        reasoning: quirks.reasoning.map_or(usual.reasoning, reasoning),
        limit: quirks.max_tokens.map_or(usual.limit, limit),
        usage_on_request: quirks.usage_on_request.unwrap_or(usual.usage_on_request),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_that_leads_nowhere_is_told_and_one_that_a_rule_takes_leads_somewhere() {
        let with = |alias: &str, meant: &str| {
            let mut settings = Settings::defaults().unwrap();
            settings
                .models
                .aliases
                .insert(alias.to_owned(), meant.to_owned());
            settings.models.rules.push(settings::Rule {
                pattern: "qwen*".to_owned(),
                upstream: FIRST.to_owned(),
                lane: None,
                send: Some("q/w*".to_owned()),
                provider: None,
            });
            of(&settings).map(drop).map_err(|error| error.to_string())
        };
        for (alias, meant) in [
            ("mine", "qwen3"),
            ("gpt*", "openai/gpt-5"),
            ("big", "claude-opus-5-5"),
        ] {
            assert_eq!(with(alias, meant), Ok(()), "{alias}");
        }
        for alias in ["mine", "gpt*"] {
            assert_eq!(
                with(alias, "nowhere").unwrap_err(),
                format!(
                    "models.aliases: the alias `{alias}` stands for `nowhere`, which is no model: write an id such as `vendor/model` there"
                )
            );
        }
        let fallback = with("mine", "sonnet-9.x").unwrap_err();
        assert!(fallback.starts_with("models.aliases: "), "{fallback}");
    }

    #[test]
    fn the_provider_of_a_rule_takes_the_place_of_the_one_for_all_models() {
        let mut settings = Settings::defaults().unwrap();
        settings.models.provider = "{\"zdr\":true}".parse().unwrap();
        let rule = |pattern: &str, provider: Option<&str>| settings::Rule {
            pattern: pattern.to_owned(),
            upstream: FIRST.to_owned(),
            lane: None,
            send: None,
            provider: provider.map(|json| json.parse().unwrap()),
        };
        settings.models.rules = vec![
            rule("anthropic/claude-opus-*", Some("{\"only\":[\"a\"]}")),
            rule("anthropic/*", None),
            rule("google/*", Some("")),
        ];
        let upstreams = of(&settings).unwrap();
        for (asked, expected) in [
            ("claude-opus-5-5", Some("{\"only\":[\"a\"]}")),
            ("claude-sonnet-5-5", Some("{\"zdr\":true}")),
            ("openai/gpt-5", Some("{\"zdr\":true}")),
            ("google/gemini-3-pro", None),
        ] {
            for _ in 0..2 {
                let provider = upstreams.route(asked).unwrap().provider;
                assert_eq!(provider.as_deref().map(RawValue::get), expected, "{asked}");
            }
        }
    }
}
