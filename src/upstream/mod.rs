//! The other side: OpenRouter, Anthropic, or any OpenAI-compatible endpoint, over HTTP.
//!
//! | file | what |
//! | --- | --- |
//! | [`upstreams`] | all upstreams, and which model is where |
//! | [`client`] | one pooled HTTP client for one upstream, its headers and time-outs |
//! | [`answer`] | what comes back: a flow of bytes or a whole body |
//! | [`headers`] | headers as they are shown and kept |
//! | [`models`] | an upstream's model catalogue, kept fresh in the background |
//!
//! It knows the dialect of errors from [`crate::protocol`]; it knows neither runs nor clients.

pub mod answer;
pub mod client;
pub mod headers;
pub mod models;
mod pools;
mod routes;
pub mod upstreams;

pub use answer::{Answer, Body, ByteFlow};
pub use client::{Api, Call, Client, Config, Kind, Probed};
pub use models::Models;
pub use upstreams::{Lane, Route, Rule, Upstream, Upstreams};
