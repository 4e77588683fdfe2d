//! The native lane: a server of the Messages API itself is on the other side.
//!
//! Bodies pass as they are. What is changed is what would break Anthropic's SDKs or lie to the client, and nothing else:
//!
//! | what comes | what goes on | why |
//! | --- | --- | --- |
//! | `data: [DONE]` | nothing | both SDKs parse every event as JSON and lose the whole answer |
//! | a `redacted_thinking` block that repeats a thinking block (`openrouter.reasoning:…`) | nothing | clients take it for a thought of its own, behind the tool calls |
//! | `usage.input_tokens: 0` in `message_start` | an estimate | context meters start from it; the true number follows in `message_delta` |
//! | an id that does not begin with `msg_` | one that does | clients check it |
//! | the model's name, where it was mapped on the way there | the name that was asked for | what was replaced is put back |
//! | the end of the stream without `message_stop`, after a stop reason | `message_stop` | the answer is whole |
//! | the end of the stream before that, or `message_stop` | an `error` event | a broken answer must not look like a short one |
//! | numbers of blocks with holes, or used again | 0, 1, 2 … | SDKs append a block and look it up by its number: an input would be `{}` |
//! | no `message_start`, or a text or thought that never began | the event that is missing | SDKs throw, Claude Code asks again |
//! | a second `message_start`, the end of a block that is not open | nothing | SDKs throw |
//! | a block that is open at the end | `content_block_stop`, unless it may be half a call | Claude Code loses what is not closed, and runs what is |
//! | an input, first words or a signature in `content_block_start` alone | the same in a delta | Claude Code loses them |
//! | an error without a type | an `error` event with its words and its kind | they would be lost |
//! | no `usage`, `content`, `delta`, `signature` … where SDKs take them for granted | an empty or estimated one | SDKs throw |
//! | no name for the stop sequence that was met, when one alone was asked for | its name | OpenRouter's endpoint loses it |
//! | a whole message where events were asked for | its events | SDKs and Claude Code wait for events |
//! | several `message_delta` with different stop reasons | the first reason in all | the last one would win over `tool_use` |
//!
//! What was mended is noted in the run, unless it was only a member that was missing.
//! Of a request, what the chat lane itself put into the history goes no further, because nobody else can verify it
//! ([`own_blocks`]): its thoughts and citations are left out, its web searches are told in words.
//! Every event gets its `event:` line, which the SDKs need. Comments are passed over: Dagway pings by itself.
//! This module must not know how bytes are fetched.

mod block;
mod blocks;
mod catalogue;
mod error;
mod figures;
mod own;
mod passage;
mod peek;
mod repeat;
mod splice;
mod whole;

pub use catalogue::catalogue;
pub use error::from_answer;
pub use own::{OwnBlocks, own_blocks};
pub use passage::{Passage, PassageSettings};
pub use peek::{answering_model, judged, peek};
pub use splice::{spliced, with_member};
pub use whole::whole;
