//! The conformance suite: whether a gateway between the Anthropic Messages API and chat completions loses anything.
//!
//! ```text
//!   case (a data file) ──► client ──request──► the gateway under test ──request──► upstream (a port of the suite's own)
//!                            ▲                                                        │ checked against the case
//!                            └── checked against the case ◄── answer ◄── script ◄─────┘ replayed whole, byte by byte, at random
//! ```
//!
//! It works against any base URL, and must not know how the gateway is made: HTTP, JSON and sockets are all it has.
//! `tests/conformance/README.md` documents the format of the cases and lists what each pins.

mod case;
mod client;
mod expect;
mod fold;
mod judge;
mod library;
mod listing;
mod mode;
mod report;
mod runner;
mod script;
mod slot;
mod stream;
mod text;
mod upstream;
mod wire;

pub use case::{Case, Exchange, Expected, Request, Turn};
pub use library::{Error, embedded, read_folder};
pub use listing::{list, markdown};
pub use mode::Mode;
pub use report::{Failure, Outcome, Report};
pub use runner::{Options, run};
pub use upstream::Upstream;
