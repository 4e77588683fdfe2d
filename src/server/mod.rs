//! The HTTP server: routes in one table, thin handlers.
//!
//! | file | what |
//! | --- | --- |
//! | [`routes`] | every route, in one table |
//! | [`gateway`] | what handlers share |
//! | [`runs`] | a request becomes a run, a run becomes an answer |
//! | [`turn`] | the runs of one request, of which a later one steps in for one that failed |
//! | [`early`] | an answer that begins before there is one |
//! | [`body`] | a request's body, read within limits |
//! | [`errors`] | failures as Anthropic errors; nothing else makes such bodies |
//! | [`elsewhere`] | endpoints of Anthropic's that are not served, and what to do instead |
//! | [`head`] | HEAD wherever GET is |
//! | [`http10`] | streams for clients of HTTP/1.0 |
//! | [`upgrade`] | offers of another protocol, all declined |
//! | [`browser`] | pages that have a key |
//! | [`guard`] | keys, password, Host header, request ids |
//! | [`refusals`] | who was not let in |
//! | [`models`] | `/v1/models` |
//! | [`health`] | liveness, readiness, metrics, greetings |
//!
//! It knows nothing of SQL and makes no pages of the dashboard.

pub mod body;
mod browser;
pub mod early;
pub mod elsewhere;
pub mod errors;
pub mod gateway;
pub mod guard;
pub mod head;
pub mod health;
pub mod http10;
pub mod models;
pub mod refusals;
pub mod routes;
pub mod runs;
mod turn;
pub mod upgrade;

pub use gateway::{Afterwards, Gateway};
