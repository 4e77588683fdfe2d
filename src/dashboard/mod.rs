//! The built-in dashboard: runs, one run, workflows; and the same as JSON.
//!
//! Pages are rendered on the server and stay true by Server-Sent Events that carry the parts which changed.
//! Everything shown came from a client or a model and is hostile: templates escape it, and the
//! Content-Security-Policy allows no inline script and no inline style.
//! It reads plans and the [`Store`]; it must not know how requests are served, nor change anything.
//!
//! | file | what |
//! | --- | --- |
//! | [`mod@routes`] | the table of routes |
//! | `page` | what all pages share: shell, headers, error pages |
//! | `runs`, `run`, `workflows` | one page each |
//! | `rows` | runs as rows of a table |
//! | `usage`, `over_time` | what runs use: told apart by what they were of, and over time |
//! | `totals` | the figures above the list of runs |
//! | `session` | the turns of a session, drawn above its runs |
//! | `run_head`, `picture`, `bars`, `panel`, `payloads` | one part of a run's page each |
//! | `side` | the sides from which payloads are looked at |
//! | `changes` | a request beside that of the turn before |
//! | `conversation` | a request and its answer as messages |
//! | `live` | the streams that keep pages true |
//! | [`api`] | the run API |
//! | `filter` | the parameters of lists |
//! | `graph`, `timeline` | geometry of pictures |
//! | `format`, `pretty`, `state` | how figures, JSON and states are written |
//! | `disarm` | characters that would change how the text around them looks |
//! | `assets` | styles and scripts |

pub mod api;
mod assets;
mod bars;
mod changes;
mod conversation;
mod disarm;
pub(crate) mod filter;
#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod format;
mod graph;
mod live;
mod over_time;
mod page;
mod panel;
mod payloads;
mod picture;
mod pretty;
pub mod routes;
mod rows;
mod run;
mod run_head;
mod runs;
mod session;
pub(crate) mod side;
pub(crate) mod state;
#[cfg(test)]
mod tests;
mod timeline;
mod totals;
pub(crate) mod usage;
mod workflows;

use std::sync::Arc;

use tokio::sync::{Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::store::{self, Changed, RunPage, Store};

use filter::Query;
use page::Failure;
pub use page::not_found;
pub use routes::routes;
pub use workflows::{Refused, Workflows};

/// So many pages stay live at a time; each costs the store a reading whenever something changes.
const MOST_VIEWERS: usize = 256;

/// So many add figures up at the same time, so that lists are read meanwhile.
const MOST_ADDING: usize = 2;

/// How many may be served at the same time, of what lasts or is dear.
#[derive(Clone, Debug)]
pub struct Places {
    /// Each open page that stays live holds one of these.
    pub(crate) viewers: Arc<Semaphore>,
    /// Who adds figures up holds one of these.
    pub(crate) adders: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            viewers: Arc::new(Semaphore::new(MOST_VIEWERS)),
            adders: Arc::new(Semaphore::new(MOST_ADDING)),
        }
    }
}

/// What the dashboard is made of. It is given to its routes as `web::Data<Dashboard>`.
#[derive(Clone)]
pub struct Dashboard {
    /// Where runs are read.
    pub store: Arc<dyn Store>,
    /// The workflows at present; they may be replaced at any time.
    pub workflows: watch::Receiver<Workflows>,
    /// Gives one more ear to the news of changed runs.
    pub changes: Arc<dyn Fn() -> broadcast::Receiver<Changed> + Send + Sync>,
    /// How many it serves at the same time.
    pub places: Places,
    /// Cancelled when the process is asked to stop: no open page must make it wait.
    pub closing: CancellationToken,
    /// A sentence shown as a banner on every page, such as that no real model answers.
    pub notice: Option<String>,
    /// Whether requests must bring a client key.
    pub demands_key: bool,
    /// Where traces can be looked at.
    pub trace_url: Option<TraceUrl>,
    /// The version of the program.
    pub version: &'static str,
}

/// The address of a trace: what stands before its id, and what behind.
#[derive(Clone, Debug)]
pub struct TraceUrl(String, String);

impl TraceUrl {
    /// Reads an address in which `mark` stands for the id; nothing when it does not.
    #[must_use]
    pub fn new(address: &str, mark: &str) -> Option<Self> {
        let (before, after) = address.split_once(mark)?;
        Some(Self(before.to_owned(), after.to_owned()))
    }

    fn of(&self, id: &str) -> String {
        [&self.0, id, &self.1].concat()
    }
}

impl Dashboard {
    /// Why what is shown may not be true, in a sentence: the store cannot be written.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let since = format::date_and_clock(self.store.refuses_since()?);
        Some(format!(
            "The run store has refused to be written since {since}: later runs are missing here, and runs that ended \
             later look as if they went on. The server's log says why."
        ))
    }

    /// The page of runs that a URL asks for, unless its place in an order is lost.
    async fn page(&self, query: &Query) -> Result<RunPage, Failure> {
        let page = self.list(query).await?;
        // By time a page begins wherever the last one ended, by a figure only behind a run that can be asked for its own.
        let begins_behind = query.after.filter(|_| query.sort.is_some());
        if let Some(last) = begins_behind.filter(|_| page.runs.is_empty())
            && self.store.runs_by_id(&[last]).await?.is_empty()
        {
            return Err(Failure::Missing(format!(
                "Run {last}, behind which this page begins, is no longer kept; begin again with the first page, without `after`"
            )));
        }
        Ok(page)
    }

    /// The page of runs that a URL asks for.
    async fn list(&self, query: &Query) -> Result<RunPage, store::Error> {
        let (filter, after, limit) = (&query.filter, query.after, query.limit);
        match query.sort {
            Some(sort) => {
                let page = self.store.runs_by(sort.figure, filter, after, limit);
                page.await
            }
            None => self.store.runs(filter, after, limit).await,
        }
    }
}
