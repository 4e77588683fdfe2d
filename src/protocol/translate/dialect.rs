//! Which dialect of chat completions an upstream speaks: what OpenRouter adds, what OpenAI defines, and what lies between.
//!
//! This file must not know upstreams by name.

use serde::Serialize;

/// A dialect of chat completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Dialect {
    /// OpenRouter's own fields: `session_id`, `provider`, `models`, `plugins`, `reasoning_details`, server tools.
    pub extensions: bool,
    /// Marks for the prompt cache.
    pub cache_control: bool,
    /// How the model is asked to reason.
    pub reasoning: ReasoningField,
    /// How the limit on the answer is called.
    pub limit: LimitField,
    /// `stream_options`, which ask for the token counts of a stream.
    pub usage_on_request: bool,
}

/// How the limit on the answer is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitField {
    /// `max_tokens`, which all know.
    MaxTokens,
    /// `max_completion_tokens`, which OpenAI's newer models demand.
    MaxCompletionTokens,
}

impl LimitField {
    /// The field's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// How a model is asked to reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningField {
    /// OpenRouter's `reasoning` object.
    Object,
    /// OpenAI's `reasoning_effort`.
    Effort,
    /// Not at all.
    None,
}

impl Dialect {
    /// OpenRouter's.
    pub const OPENROUTER: Self = Self {
        extensions: true,
        cache_control: true,
        reasoning: ReasoningField::Object,
        limit: LimitField::MaxTokens,
        usage_on_request: true,
    };

    /// What every server of chat completions understands. Models that cannot reason refuse a request to, and a plain
    /// server does not say which can: so they are not asked.
    pub const PLAIN: Self = Self {
        extensions: false,
        cache_control: false,
        reasoning: ReasoningField::None,
        limit: LimitField::MaxTokens,
        usage_on_request: true,
    };
}

impl Default for Dialect {
    fn default() -> Self {
        Self::OPENROUTER
    }
}
