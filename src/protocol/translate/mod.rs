//! Anthropic Messages into OpenRouter chat completions, and back.

mod annotations;
mod calls;
mod details;
pub mod envelope;
mod stop;
pub mod tool_ids;
pub mod tool_names;
pub mod usage;
