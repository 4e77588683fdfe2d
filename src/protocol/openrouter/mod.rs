//! OpenRouter chat completions as the upstream speaks them.

pub mod catalogue;
pub mod chunk;
pub mod error;
mod hints;
mod lenient;
mod overflow;
mod pricing;
mod reason;
mod reasoning_piece;
pub mod wait;
