//! What the end of a message says: why it stopped and what it used.
//!
//! This file must not know how an upstream counts or names these things.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// Why the model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// A natural end.
    EndTurn,
    /// The limit on output tokens was reached.
    MaxTokens,
    /// One of the client's stop sequences was written.
    StopSequence,
    /// Tools are to be run.
    ToolUse,
    /// A loop of server tools paused.
    PauseTurn,
    /// The model or a filter refused.
    Refusal,
    /// The context window is full.
    ContextWindowExceeded,
}

impl StopReason {
    /// The word that stands in `stop_reason`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EndTurn => "end_turn",
            Self::MaxTokens => "max_tokens",
            Self::StopSequence => "stop_sequence",
            Self::ToolUse => "tool_use",
            Self::PauseTurn => "pause_turn",
            Self::Refusal => "refusal",
            Self::ContextWindowExceeded => "model_context_window_exceeded",
        }
    }

    /// The reason that a word in `stop_reason` stands for.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [
            Self::EndTurn,
            Self::MaxTokens,
            Self::StopSequence,
            Self::ToolUse,
            Self::PauseTurn,
            Self::Refusal,
            Self::ContextWindowExceeded,
        ]
        .into_iter()
        .find(|reason| reason.name() == name)
    }
}

impl Serialize for StopReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What a message used. The whole prompt is the sum of the three input figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Input tokens that were neither read from nor written to a cache.
    pub input_tokens: u64,
    /// Input tokens written to a cache.
    pub cache_creation_input_tokens: u64,
    /// Input tokens read from a cache.
    pub cache_read_input_tokens: u64,
    /// Output tokens, thinking included.
    pub output_tokens: u64,
    /// Output tokens spent on thinking, when the upstream says so.
    pub thinking_tokens: Option<u64>,
    /// Web searches that the upstream ran, when it says so.
    pub web_search_requests: Option<u64>,
    /// Pages that the upstream fetched, when it says so.
    pub web_fetch_requests: Option<u64>,
}

#[derive(Serialize)]
struct OutputDetails {
    thinking_tokens: u64,
}

#[derive(Serialize)]
struct ServerToolUse {
    web_search_requests: u64,
    web_fetch_requests: u64,
}

impl Serialize for Usage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut usage = serializer.serialize_struct("Usage", 6)?;
        usage.serialize_field("input_tokens", &self.input_tokens)?;
        usage.serialize_field(
            "cache_creation_input_tokens",
            &self.cache_creation_input_tokens,
        )?;
        usage.serialize_field("cache_read_input_tokens", &self.cache_read_input_tokens)?;
        usage.serialize_field("output_tokens", &self.output_tokens)?;
        match self.thinking_tokens {
            Some(thinking_tokens) => {
                let details = OutputDetails { thinking_tokens };
                usage.serialize_field("output_tokens_details", &details)?;
            }
            None => usage.skip_field("output_tokens_details")?,
        }
        match (self.web_search_requests, self.web_fetch_requests) {
            (None, None) => usage.skip_field("server_tool_use")?,
            (searches, fetches) => {
                let tools = ServerToolUse {
                    web_search_requests: searches.unwrap_or_default(),
                    web_fetch_requests: fetches.unwrap_or_default(),
                };
                usage.serialize_field("server_tool_use", &tools)?;
            }
        }
        usage.end()
    }
}

/// What an edit did, as the answer tells it in `context_management.applied_edits`. The tokens may be an estimate.
///
/// Source: the response types of Anthropic's SDKs (`BetaContextManagementResponse`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum AppliedEdit {
    /// Results of old tool calls went.
    #[serde(rename = "clear_tool_uses_20250919")]
    ToolUses {
        /// How many.
        cleared_tool_uses: u64,
        /// What that saved.
        cleared_input_tokens: u64,
    },
    /// Thoughts of old turns went.
    #[serde(rename = "clear_thinking_20251015")]
    Thinking {
        /// Of how many turns.
        cleared_thinking_turns: u64,
        /// What that saved.
        cleared_input_tokens: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_says_only_what_is_known() {
        let mut usage = Usage {
            input_tokens: 3,
            cache_read_input_tokens: 2,
            output_tokens: 5,
            ..Usage::default()
        };
        let plain = r#"{"input_tokens":3,"cache_creation_input_tokens":0,"cache_read_input_tokens":2,"output_tokens":5}"#;
        assert_eq!(serde_json::to_string(&usage).unwrap(), plain);
        usage.thinking_tokens = Some(4);
        usage.web_search_requests = Some(1);
        let full = serde_json::to_value(usage).unwrap();
        assert_eq!(full["output_tokens_details"]["thinking_tokens"], 4);
        assert_eq!(full["server_tool_use"]["web_search_requests"], 1);
    }
}
