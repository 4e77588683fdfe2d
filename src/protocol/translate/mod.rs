//! Anthropic Messages into OpenRouter chat completions, and back.
//!
#![doc = include_str!("coverage.md")]

pub mod betas;
pub mod build;
pub mod coverage;
pub mod dialect;
pub mod envelope;
mod family;
pub mod messages;
pub mod model;
mod model_name;
pub mod models;
pub mod note;
mod published;
pub mod reply;
#[cfg(test)]
mod roundtrip;
pub mod schema;
pub mod thinking;
pub mod tokens;
pub mod tool_ids;
pub mod tool_names;
pub mod tools;

pub use build::{Built, CLIENTS_PROVIDER, Demand, Routing, build_request};
pub use messages::{Messages, convert_messages};
pub use note::Note;
pub use tools::{Tools, convert_tools};
