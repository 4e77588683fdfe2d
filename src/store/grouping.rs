//! What runs are told apart by: the facts that say it, and the column that has it in every database.
//!
//! This file must not know how a query is sent.

use super::model::By;
use crate::facts;

impl By {
    /// The column; NULL for a run that has none.
    pub(crate) const fn column(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Session => "session",
            Self::Client => "client",
            Self::Key => "key_name",
            Self::Workflow => "workflow",
        }
    }

    /// What a run's facts say, of which `text` gives one by its name. The workflow is no fact.
    pub(crate) fn of<'a>(self, text: impl Fn(&'static str) -> Option<&'a str>) -> Option<&'a str> {
        let names: &[&'static str] = match self {
            Self::Model => &[facts::MODEL_SENT, facts::MODEL_ASKED],
            Self::Provider => &[facts::PROVIDER_BEHIND, facts::PROVIDER],
            Self::Session => &[facts::SESSION],
            Self::Client => &[facts::USER_AGENT],
            Self::Key => &[facts::KEY],
            Self::Workflow => &[],
        };
        let mut told = names.iter().filter_map(|name| text(name));
        told.find(|told| !told.is_empty())
    }
}
