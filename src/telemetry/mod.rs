//! Logs, traces and metrics: observers of what the engine tells.
//!
//! | file | what |
//! | --- | --- |
//! | [`logging`] | the process's log |
//! | [`json_lines`] | a log line as JSON |
//! | [`people_lines`] | the fields of a log line for people |
//! | [`blame`] | the kinds of errors, and whose they are |
//! | [`mod@line`] | what the log's lines about runs have in common |
//! | [`turns`] | logs each turn |
//! | [`failures`] | logs the runs that came to no good end |
//! | [`observer`] | follows runs for all of these |
//! | [`open_runs`] | the runs under way, bounded |
//! | [`record`] | what is remembered of a run, bounded |
//! | [`stated`] | the facts stated of it |
//! | [`attempts`] | its attempts to call a model |
//! | [`outline`] | what is asked of a plan after every run of it |
//! | [`traces`] | sends a trace for each run |
//! | [`span_data`] | a finished run as a trace |
//! | [`export`] | the way out for spans, bounded |
//! | [`examine`] | asks a collector whether it would take them |
//! | [`collector`] | where they go, and who sends them |
//! | [`otlp`] | how they are written |
//! | [`transport`] | carries them over the process's HTTP client |
//! | [`retries`] | when that is tried again |
//! | [`metrics`] | the figures for Prometheus, and their text |
//! | [`meters`] | adds each run to the figures |
//! | [`upstream_meters`] | adds each attempt to call a model |
//! | [`probe`] | figures that others keep |
//! | [`process`] | figures of the process itself |
//!
//! It knows the engine's events and the names of facts, nothing else of the crate.

pub mod attempts;
pub mod blame;
mod collector;
pub mod examine;
pub mod export;
mod failures;
#[cfg(test)]
mod fixture;
mod json_lines;
mod line;
pub mod logging;
mod meters;
pub mod metrics;
#[cfg(test)]
mod metrics_tests;
pub mod observer;
mod open_runs;
mod otlp;
mod outline;
mod people_lines;
pub mod probe;
mod process;
#[cfg(test)]
#[path = "../../tests/it/support/otlp.rs"]
mod receiver;
mod record;
mod retries;
mod span_data;
mod stated;
#[cfg(test)]
mod tests;
pub mod traces;
mod transport;
mod turns;
mod upstream_meters;
#[cfg(test)]
mod upstream_metrics_tests;

pub use export::SpanExport;
pub use metrics::Metrics;
pub use observer::RunObserver;
pub use probe::Probe;
pub use traces::RunTraces;
