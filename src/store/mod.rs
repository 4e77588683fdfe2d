//! Runs on disk: the [`Recorder`] writes them from events, the [`Store`] reads them back.
//!
//! It knows the engine's events and nothing else of it; it knows neither HTTP nor pages.
//!
//! | file | what |
//! | --- | --- |
//! | [`model`] | what is read: runs as rows, runs whole, pages, totals |
//! | [`settings`] | where and how long runs are kept |
//! | [`recorder`] | gathers events and decides when to write |
//! | [`outage`] | what the log says while the database refuses to be written |
//! | [`open_run`] | one run while its events come in |
//! | [`payload`] | the large texts of a run, cut into blocks |
//! | [`cut`] | where a request body is cut, so that its parts repeat from turn to turn |
//! | [`recent`] | the bodies seen last, so that what they repeat costs a comparison |
//! | [`familiar`] | the short texts seen last, so that only what is new in the next one is kept |
//! | [`delta`] | a text as its difference from another |
//! | [`number`] | numbers in few bytes |
//! | [`block`] | texts kept once, by their hash |
//! | [`preview`] | an artifact's text, capped |
//! | [`private`] | folders and files for this user alone |
//! | [`journal`] | what happened in a run, as bytes |
//! | [`detail`] | the journal read back as a run whole |
//! | [`batch`] | what is written in one transaction, and the [`Sink`](batch::Sink) that writes it |
//! | [`live`] | who changed, after each commit |
//! | [`stats`] | how the recorder fares |
//! | [`words`] | what a search looks for |
//! | [`conditions`] | a filter as SQL |
//! | [`grouping`] | what runs are told apart by |
//! | [`admission`] | a filter's judgement of one run |
//! | [`stored`] | values of the database, read back |
//! | [`sqlite`] | the SQLite engine: the only place with its SQL |
//! | [`postgres`] | the PostgreSQL engine, likewise |

mod admission;
pub(crate) mod batch;
pub(crate) mod block;
pub(crate) mod conditions;
pub(crate) mod cut;
pub(crate) mod delta;
pub(crate) mod detail;
pub(crate) mod familiar;
pub(crate) mod grouping;
pub(crate) mod journal;
pub mod live;
pub mod model;
pub(crate) mod number;
pub(crate) mod open_run;
mod outage;
pub(crate) mod payload;
pub mod postgres;
pub(crate) mod preview;
pub mod private;
pub(crate) mod recent;
pub mod recorder;
pub mod settings;
pub mod sqlite;
pub mod stats;
pub(crate) mod stored;
#[cfg(test)]
mod tests;
pub(crate) mod words;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use live::{Changed, Live};
pub use model::*;
pub use recorder::Recorder;
pub use settings::Settings;
pub use sqlite::{Examined, OpenError, SqliteStore, examine, holder, open};
pub use stats::RecorderStats;

use crate::events::{PlanInfo, RunId, Timestamp};

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database said no.
    #[error("the run store failed: {0}")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The file of the database is not as it was written: the disk, or somebody else.
    #[error(
        "the database of the run store is damaged ({0}); stop Dagway and ask `dagway doctor` what to do"
    )]
    Damaged(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database's file was deleted, moved or replaced: what is written now, nobody would find.
    #[error(
        "{} is not there any more, or is another file than the one that Dagway opened; put it back, or start Dagway anew",
        .0.display()
    )]
    Gone(PathBuf),
    /// A read took longer than it may.
    #[error("a read took longer than {} s and was given up", .0.as_secs_f32())]
    TooSlow(Duration),
    /// The database did not answer whoever writes in time.
    #[error("the database did not answer within {} s", .0.as_secs_f32())]
    NoAnswer(Duration),
    /// What stands in the database cannot be read.
    #[error("the run store holds something unreadable: {0}")]
    Corrupt(String),
}

/// The recorder cannot write at present.
#[derive(Debug, thiserror::Error)]
#[error("the last write was refused; the log says why")]
struct Refused;

/// What opening a store gives.
pub struct Opened {
    /// Reads runs.
    pub store: Arc<dyn Store>,
    /// Writes them: hand it to [`EventSource::feed`](crate::events::EventSource::feed).
    pub recorder: Recorder,
    /// Tells which runs change.
    pub live: Live,
    /// Runs that were under way when their process ended, and were found when the store was opened.
    pub crashed: usize,
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
    /// A page of runs, those with the greatest figure first: those that come after `after`, at most `limit`.
    ///
    /// No index helps here: every run that the filter lets through is looked at.
    async fn runs_by(
        &self,
        figure: Figure,
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
    /// Figures over the runs that a filter lets through; `None` when there are more than `most`.
    async fn totals_of(&self, filter: &RunFilter, most: u32) -> Result<Option<Totals>, Error>;
    /// When the oldest run was accepted; of those of one millisecond any may be meant.
    async fn oldest(&self) -> Result<Option<Timestamp>, Error>;
    /// What the runs used that a filter lets through, in one pass over them. Slots are counted from the Unix epoch.
    async fn usage(&self, by: By, slot: Duration, filter: &RunFilter) -> Result<Usage, Error>;
    /// Whether the store answers and can be written.
    async fn ready(&self) -> Result<(), Error>;
    /// Since when it has refused to be written, if it does: what is read is as old.
    fn refuses_since(&self) -> Option<Timestamp>;
}
