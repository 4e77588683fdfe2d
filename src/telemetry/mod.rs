//! Logs, traces and metrics: observers of what the engine tells.
//!
//! | file | what |
//! | --- | --- |
//! | [`export`] | the way out for spans: OTLP over HTTP, bounded |
//! | [`spans`] | a trace for each run |
//! | [`probe`] | figures that others keep |
//!
//! It knows the engine's events and the names of facts, nothing else of the crate.

pub mod export;
#[cfg(test)]
mod fixture;
#[cfg(test)]
#[path = "../../tests/it/support/otlp.rs"]
mod otlp;
pub mod probe;
mod record;
mod span_data;
pub mod spans;
#[cfg(test)]
mod tests;
mod transport;

pub use export::SpanExport;
pub use probe::Probe;
pub use spans::SpanObserver;
