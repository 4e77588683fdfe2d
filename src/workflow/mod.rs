//! A workflow file as written: TOML with every value of the right form, and the sentences when it is not.
//!
//! Whether the graph makes sense is not known here: [`crate::engine`] proves that, and reports what is wrong in the same
//! way, so that a user hears all of it at once.
//!
//! | file | what |
//! | --- | --- |
//! | [`mod@read`] | reads the file: its keys and what they may say |
//! | [`table`] | reads one table of it, each wrong value a fault of its own |
//! | [`report`] | gathers the sentences |

mod read;
mod report;
mod table;

use std::ops::Range;
use std::time::Duration;

use serde_json::Value;
use toml::Spanned;

use crate::events::Retry;

pub(crate) use read::read;
pub use report::Faults;
pub(crate) use report::{Report, listed, suggestion};

/// A place in the file's text.
pub(crate) type Span = Range<usize>;

/// A workflow as its file draws it.
#[derive(Default)]
pub(crate) struct Workflow {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) route: Option<String>,
    pub(crate) reply: Option<Name>,
    /// In the order of the file.
    pub(crate) steps: Vec<StepDraft>,
}

/// A name and where it stands.
pub(crate) type Name = Spanned<String>;

pub(crate) struct StepDraft {
    pub(crate) name: Name,
    pub(crate) task: Name,
    pub(crate) needs: Vec<Name>,
    pub(crate) after: Vec<Name>,
    pub(crate) with: Spanned<Value>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<Retry>,
    pub(crate) limit: Option<u16>,
    pub(crate) optional: bool,
}

impl Workflow {
    /// The names of the steps.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(StepDraft::name)
    }
}

impl StepDraft {
    pub(crate) fn name(&self) -> &str {
        self.name.get_ref()
    }
}
