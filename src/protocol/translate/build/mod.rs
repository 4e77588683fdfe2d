//! The upstream request: what was converted, written for one model.
//!
//! Most of a body is text that passes through, so it is written once, straight into the buffer that is sent:
//! escaped texts are copied between quotes, schemas and tool inputs as they are.

mod assistant;
mod body;
mod breakpoints;
mod call_ids;
mod conversation;
mod format;
mod limits;
mod offers;
mod thoughts;
mod writer;

#[cfg(test)]
mod near_valid;
#[cfg(test)]
pub(super) mod tests;

pub use body::{Built, CLIENTS_PROVIDER, Demand, Routing, build_request};
