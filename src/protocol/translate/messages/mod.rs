//! The conversation in the order and shape that chat completions want, for whatever model.
//!
//! | Anthropic | here |
//! | --- | --- |
//! | tool results in a user message, in the order in which they were ready | [`Turn::Tool`]s directly after the call, in the order of the calls |
//! | images and documents in a tool result | a user turn after the results |
//! | calls without a result, results without a call | answered as interrupted, left out |
//! | several user messages in a row | one |
//! | thinking with a signature | [`Thought`]s, unpacked where Dagway packed them |
//!
//! Nothing in here depends on the model that answers; [`build`](super::build) does the rest.

mod assistant;
mod clearing;
mod convert;
mod fold;
mod pairing;
mod part;
mod result;
mod turn;
mod user;

#[cfg(test)]
mod tests;

pub use clearing::edited;
pub use convert::convert_messages;
pub use part::{Media, Part, Text, escape};
pub use turn::{Assistant, Call, Messages, Thought, ToolTurn, Turn};
