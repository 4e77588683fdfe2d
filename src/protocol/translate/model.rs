//! The model that a request goes to, and what is known of it.
//!
//! This file must not know where the catalogue comes from.

use serde::Serialize;

use super::dialect::Dialect;
use super::model_name::is_version;
use crate::protocol::openrouter::catalogue::{
    Entry, Modalities, Parameters, Pricing, ReasoningAbility,
};

pub use super::family::Family;
pub use super::model_name::{DISCOVERY_PREFIX, meant, resolve};

/// The model that a request goes to, as far as it is known. What is not known is not held against it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Target {
    /// The upstream's id.
    pub id: String,
    /// Who made it.
    pub family: Family,
    /// Whether the catalogue knows it.
    pub known: bool,
    /// The context, in tokens.
    pub context_length: Option<u64>,
    /// The longest answer, in tokens.
    pub max_output: Option<u64>,
    /// What goes in besides text.
    pub inputs: Option<Modalities>,
    /// Which request fields it knows.
    pub parameters: Option<Parameters>,
    /// How it reasons.
    pub reasoning: Option<ReasoningAbility>,
    /// What it costs.
    pub pricing: Option<Pricing>,
    /// How its upstream is spoken to.
    pub dialect: Dialect,
}

impl Target {
    /// Gathers what the catalogue says of a model, if it knows it.
    #[must_use]
    pub fn new(id: impl Into<String>, entry: Option<&Entry>) -> Self {
        let id = id.into();
        Self {
            family: Family::of(&id),
            known: entry.is_some(),
            context_length: entry.and_then(|entry| entry.context_length),
            max_output: entry.and_then(Entry::max_output),
            inputs: entry.and_then(Entry::inputs),
            parameters: entry.and_then(|entry| entry.supported_parameters),
            reasoning: entry.and_then(|entry| entry.reasoning),
            pricing: entry.and_then(|entry| entry.pricing),
            dialect: Dialect::default(),
            id,
        }
    }

    /// Says whether marked cache breakpoints mean something to it and may be sent to its upstream.
    #[must_use]
    pub fn takes_cache_control(&self) -> bool {
        self.dialect.cache_control && self.family.takes_cache_control()
    }

    /// Says whether it is known to lack something.
    pub(super) fn lacks(&self, has: impl FnOnce(&Parameters) -> bool) -> bool {
        self.parameters.as_ref().is_some_and(|known| !has(known))
    }

    /// For a Claude model, its version as `(major, minor)`.
    pub(super) fn claude_version(&self) -> Option<(u32, u32)> {
        if self.family != Family::Claude {
            return None;
        }
        let is_end = |byte: &u8| matches!(byte, b':' | b'@');
        let named = self.id.as_bytes().split(is_end).next()?;
        // By bytes: it is asked for several times a request.
        let words = named.split(|byte| matches!(byte, b'-' | b'/'));
        let begins = |word: &&[u8]| word.first().is_some_and(u8::is_ascii_digit);
        let version = words
            .filter(begins)
            .filter_map(|word| std::str::from_utf8(word).ok())
            .find(|word| is_version(word))?;
        match version.split_once('.') {
            Some((major, minor)) => Some((major.parse().ok()?, minor.parse().ok()?)),
            None => Some((version.parse().ok()?, 0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breakpoints_are_marked_where_model_and_upstream_both_take_them() {
        let takes = |id: &str, cache_control: bool| {
            let mut target = Target::new(id, None);
            target.dialect.cache_control = cache_control;
            target.takes_cache_control()
        };
        assert!(takes("anthropic/claude-opus-5", true));
        assert!(!takes("anthropic/claude-opus-5", false));
        assert!(!takes("openai/gpt-5", true));
    }

    #[test]
    fn the_version_of_a_claude_is_read_from_its_id() {
        for (id, version) in [
            ("anthropic/claude-sonnet-4.5", Some((4, 5))),
            ("anthropic/claude-3.5-haiku:beta", Some((3, 5))),
            ("anthropic/claude-opus-5", Some((5, 0))),
            ("~anthropic/claude-latest", None),
            ("openai/gpt-4.1", None),
        ] {
            assert_eq!(Target::new(id, None).claude_version(), version, "{id}");
        }
    }
}
