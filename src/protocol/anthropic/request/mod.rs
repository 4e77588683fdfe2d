//! The request body of `POST /v1/messages`, borrowed from its text.
//!
//! A Claude Code turn is 100 KB of JSON of which a translator looks at perhaps 2 KB.
//! So the body is read once, by a cursor that checks every byte but decodes only what somebody compares:
//! texts stay as the client escaped them ([`RawStr`]), schemas and tool inputs stay JSON ([`Raw`]).
//! Of a field that is written twice the last counts, as for those who read JSON on the other side; a second model is refused,
//! because the first was found before, by [`asked_model`].
//! Every error knows its JSON path and speaks as Anthropic's does where theirs is documented.
//! This module must not know where a request goes.

mod answering;
mod block;
mod body;
mod change;
mod check;
mod cursor;
mod edits;
mod inside;
mod invalid;
mod media;
mod message;
mod options;
mod passed;
mod preview;
mod raw;
mod scan;
mod source;
mod tool;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(in crate::protocol) use block::EXPECTED as EXPECTED_BLOCKS;
pub use block::{Block, ServerResult, TextBlock, ToolResult, ToolUse};
pub use body::Request;
pub use change::ToolChange;
pub(crate) use check::THREAD_NOT_FOUND;
pub use edits::{ClearToolUses, Edit, Inputs, Trigger};
pub use invalid::InvalidRequest;
pub use message::{Message, Role};
pub use options::{CacheControl, Display, Effort, Format, OutputConfig, Thinking, Ttl};
pub use passed::{AnthropicsOwn, AskedModel, BILLING, asked_model};
pub use raw::{Raw, RawStr};
pub(in crate::protocol) use scan::DEEPEST_INPUT;
pub use source::{Document, SearchResult, Source};
pub(in crate::protocol) use tool::ZOOMS;
pub use tool::{ChoiceMode, CustomTool, ServerTool, Tool, ToolChoice};
