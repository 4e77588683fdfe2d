//! Anthropic Messages into OpenRouter chat completions, and back.

pub mod envelope;
pub mod reply;
pub mod tool_ids;
pub mod tool_names;
