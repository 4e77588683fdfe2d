//! A simulated OpenRouter on a real socket, plainly labelled as simulated in everything it says.
//!
//! `dagway demo`, the integration tests and the end-to-end tests talk to it as they would to the real one.
//! It is faithful in the peculiarities that break clients (terminal chunk twice, signature in a delta of its own,
//! comments, fragments) and strict about requests, so that a wrong translation fails where it can be seen.
//! It must not know Dagway: it shares no type with the modules that are tested against it.
//!
//! 1. [`Simulator::start`] binds a port; [`Simulator::base_url`] is what `OPENROUTER_BASE_URL` wants.
//! 2. Answers come from a [`Script`], else from a `SIM[…]` directive in the user's text, else from a built-in model.
//! 3. [`Simulator::requests`] tells what arrived, and whether the client hung up.
//!
//! A directive is JSON in the text of a user message: `SIM[{"turns":[{"tool":"Bash","args":{"command":"ls"}},{"text":"done"}]}]`.
//! Its turns are [`Turn`]s; the model plays the one whose number is the count of assistant messages that follow the directive.
//!
//! [`sessions`] is the other end: a client that leads realistic conversations.

mod catalogue;
mod completion;
mod conversation;
mod dialect;
mod directive;
mod line;
mod native;
mod persona;
mod refusal;
mod routes;
mod script;
mod seen;
mod server;
pub mod sessions;
mod signature;
mod state;
mod stories;
mod stream;
mod strict;
mod usage;

#[cfg(test)]
mod tests;

pub use script::{
    Answer, Break, BreakKind, Citation, End, Failure, Finish, Piece, Script, ToolCall, ToolIds,
    Turn, Usage,
};
pub use seen::Seen;
pub use server::{Host, Settings, Simulator};
