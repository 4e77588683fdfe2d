//! OpenRouter chat completions as the upstream speaks them.

pub mod catalogue;
