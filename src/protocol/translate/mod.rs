//! Anthropic Messages into OpenRouter chat completions, and back.

mod annotations;
pub mod build;
mod calls;
mod details;
pub mod envelope;
pub mod messages;
pub mod model;
pub mod note;
pub mod schema;
mod stop;
pub mod thinking;
pub mod tokens;
pub mod tool_ids;
pub mod tool_names;
pub mod tools;
pub mod usage;

pub use build::{Built, Routing, build_request};
pub use messages::{Messages, convert_messages};
pub use note::Note;
pub use tools::{Tools, convert_tools};
