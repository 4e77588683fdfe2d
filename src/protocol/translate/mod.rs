//! Anthropic Messages into OpenRouter chat completions, and back.

pub mod tool_names;
