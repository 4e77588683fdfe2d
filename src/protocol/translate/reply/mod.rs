//! The way back: chat-completion bytes into Anthropic events, messages and errors.
//!
//! ```text
//!  bytes ─► sse ─► chunk ─► Translator ─┬─ thinking ─► details ─► envelope   (leading blocks)
//!                                       ├─ text, searches                    (as they come)
//!                                       └─ calls ─► tool_ids                 (held until they are whole)
//!                                            └─► blocks ─► anthropic::delivery ─► bytes: events, or a whole message
//! ```
//!
//! One dictionary, two deliveries: a completion that was not streamed is fed to the same [`Translator`] as one chunk
//! ([`whole()`]), which then writes a message instead of events.
//! Three rules come before all others. Blocks follow one another without holes, because the SDKs find them by index.
//! A broken stream ends in `event: error` with its block left open, because Claude Code runs every tool block that
//! was closed. And finishing happens once, because upstreams send the last chunk twice.

#[cfg(test)]
mod behaviour;
mod blocks;
mod calls;
#[cfg(test)]
mod corners;
mod deltas;
mod details;
mod ending;
mod fetches;
#[cfg(test)]
mod fold;
mod form;
#[cfg(test)]
mod grammar;
#[cfg(test)]
mod other_words;
mod peek;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod script;
mod searches;
mod server_tool;
mod stop;
mod summary;
mod thinking;
#[cfg(test)]
mod tolerance;
#[cfg(test)]
mod transcripts;
mod translator;
mod usage;
#[cfg(test)]
mod vectors;
mod whole;

pub use peek::{Beginning, Peek, answering_model, is_object, judged, may_be_empty, peek};
pub use summary::Summary;
pub use translator::{ReplySettings, Translator};
pub use whole::whole;
