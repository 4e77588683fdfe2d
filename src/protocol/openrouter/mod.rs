//! OpenRouter chat completions as the upstream speaks them.

mod overflow;
pub mod catalogue;
pub mod chunk;
pub mod error;
