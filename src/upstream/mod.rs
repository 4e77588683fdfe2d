//! The other side: OpenRouter, or any OpenAI-compatible endpoint, over HTTP.
//!
//! | file | what |
//! | --- | --- |
//! | [`client`] | one pooled HTTP client, its headers and time-outs |
//! | [`answer`] | what comes back: a flow of bytes or a whole body |
//! | [`headers`] | headers as they are shown and kept |
//! | [`models`] | the model catalogue, kept fresh in the background |
//!
//! It knows the dialect of errors from [`crate::protocol`]; it knows neither runs nor clients.

pub mod answer;
pub mod client;
pub mod headers;
pub mod models;

pub use answer::{Answer, Body, ByteFlow};
pub use client::{Call, Client, Config};
pub use models::Models;
