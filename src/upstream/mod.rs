//! The other side: OpenRouter, Anthropic, or any OpenAI-compatible endpoint, over HTTP.
//!
//! | file | what |
//! | --- | --- |
//! | [`upstreams`] | all upstreams, and which model is where |
//! | [`fallbacks`] | what may be asked instead of a model, and which models failed of late |
//! | [`client`] | one pooled HTTP client for one upstream, its headers and time-outs |
//! | [`config`] | address, key and headers of an upstream, and the sentences when they cannot be used |
//! | [`pools`] | a pool of connections for each worker thread |
//! | [`answer`] | what comes back, sorted out by status and media type |
//! | [`form`] | whether a body is events or a document |
//! | [`byte_flow`] | a body's bytes as they arrive |
//! | [`refusal`] | why there is no answer to go on with |
//! | [`routes`] | where names of models led of late |
//! | [`headers`] | headers as they are shown and kept |
//! | [`models`] | an upstream's model catalogue, kept fresh in the background |
//!
//! It knows the dialect of errors from [`crate::protocol`]; it knows neither runs nor clients.

pub mod answer;
pub mod byte_flow;
pub mod client;
mod config;
pub mod fallbacks;
mod form;
pub mod headers;
pub mod models;
mod pools;
pub mod refusal;
mod routes;
pub mod upstreams;

pub use answer::{Answer, Body};
pub use byte_flow::ByteFlow;
pub use client::{Api, Call, Client, Config, Kind, Probed};
pub use fallbacks::{Candidate, Fallback};
pub use models::Models;
pub use pools::Pools;
pub use refusal::{Failure, Refusal};
pub use upstreams::{Lane, Route, Rule, Upstream, Upstreams};
