//! Runs on disk: the recorder writes them from events, the [`Store`] reads them back.
//!
//! It knows the engine's events and nothing else of it; it knows neither HTTP nor pages.

pub mod live;
pub mod model;

use std::collections::HashMap;

use async_trait::async_trait;

pub use live::Changed;
pub use model::*;

use crate::engine::{PlanInfo, RunId, Timestamp};

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database said no.
    #[error("the run store failed: {0}")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What stands in the database cannot be read.
    #[error("the run store holds something unreadable: {0}")]
    Corrupt(String),
}

/// Reads recorded runs. Writing is the recorder's alone.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// A page of runs, newest first: those after `after`, at most `limit`.
    async fn runs(
        &self,
        filter: &RunFilter,
        after: Option<RunId>,
        limit: u16,
    ) -> Result<RunPage, Error>;
    /// The rows of these runs, in any order; unknown ids are left out.
    async fn runs_by_id(&self, ids: &[RunId]) -> Result<Vec<RunSummary>, Error>;
    /// A run whole.
    async fn run(&self, id: RunId) -> Result<Option<RunDetail>, Error>;
    /// A large text of a run; `None` when it has none of this name or it is gone.
    async fn payload(&self, id: RunId, name: &str) -> Result<Option<Vec<u8>>, Error>;
    /// A plan by its hash.
    async fn plan(&self, hash: &str) -> Result<Option<PlanInfo>, Error>;
    /// Figures over the runs accepted at or after `since`.
    async fn totals(&self, since: Timestamp) -> Result<Totals, Error>;
    /// Runs per workflow accepted at or after `since`, with their states.
    async fn totals_by_workflow(&self, since: Timestamp) -> Result<HashMap<String, Totals>, Error>;
    /// Whether the store answers and can be written.
    async fn ready(&self) -> Result<(), Error>;
}
