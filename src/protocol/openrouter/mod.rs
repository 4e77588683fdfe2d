//! OpenRouter chat completions as the upstream speaks them.

pub mod catalogue;
pub mod chunk;
pub mod error;
mod overflow;
mod pricing;
