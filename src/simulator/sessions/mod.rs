//! The other end: a client of the Anthropic Messages API that leads realistic conversations through a gateway.
//!
//! It behaves as a coding agent does: a growing history, tools, thinking that goes back untouched, sub-requests,
//! and the mishaps of ordinary work. It says of itself that it is simulated, and knows nothing of the gateway but its URL.

mod client;
mod lanes;
mod report;
mod request;
mod user;

use std::time::Duration;

pub use client::Error;
pub use report::Report;

/// How fast the simulated users are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as the gateway answers: what tests want.
    Fast,
    /// With pauses, as people and tools make them.
    Human,
}

impl Pace {
    /// The pause that a tool's work takes.
    fn tool(self) -> Duration {
        self.pause(400, 1_400)
    }

    /// The pause before a user asks again.
    fn user(self) -> Duration {
        self.pause(1_500, 4_000)
    }

    fn pause(self, least: u64, most: u64) -> Duration {
        match self {
            Self::Fast => Duration::ZERO,
            Self::Human => Duration::from_millis(fastrand::u64(least..most)),
        }
    }
}

/// Leads one round of conversations through the gateway at `base_url`, several at a time, and ends. `key` is for a
/// gateway that demands one.
///
/// # Errors
/// When the gateway cannot be reached at all. What goes wrong in single conversations is in the report.
pub async fn drive(base_url: &str, key: Option<&str>, pace: Pace) -> Result<Report, Error> {
    let client = client::Client::new(base_url, key)?;
    client.reach().await?;
    Ok(lanes::all(&client, pace).await)
}
