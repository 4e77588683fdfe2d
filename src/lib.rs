//! Dagway.

pub mod dashboard;
pub mod engine;
pub mod facts;
pub mod protocol;
pub mod settings;
pub mod simulator;
pub mod store;
pub mod telemetry;
