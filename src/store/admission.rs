//! A filter's judgement of one run, for lists that are looked at while runs change.
//!
//! The databases answer the same question by [`conditions`](super::conditions); the tests of lists ask both.

use super::model::{By, RunFilter, RunSummary};
use super::words::Words;
use crate::events::Timestamp;
use crate::facts;

impl RunFilter {
    /// Whether the run, as it is `now`, belongs to the list.
    #[must_use]
    pub fn admits(&self, run: &RunSummary, now: Timestamp) -> bool {
        self.is_of_kind(run)
            && self
                .search
                .as_ref()
                .is_none_or(|text| Words::of(text).are_in(run))
            && self.since.is_none_or(|since| run.started >= since)
            && self.until.is_none_or(|until| run.started < until)
            && self
                .min_duration
                .is_none_or(|least| run.duration(now) >= least)
            && self
                .min_cost
                .is_none_or(|least| run.float(facts::COST_USD).is_some_and(|cost| cost >= least))
            && self
                .min_retries
                .is_none_or(|least| run.int(facts::RETRIES).unwrap_or(0) >= i64::from(least))
    }

    /// What is compared with one word of the run's.
    fn is_of_kind(&self, run: &RunSummary) -> bool {
        (self.states.is_empty() || self.states.contains(&run.state))
            && is_none_or_same(self.workflow.as_deref(), Some(&run.workflow))
            && is_none_or_same(self.session.as_deref(), run.text(facts::SESSION))
            && is_none_or_same(
                self.model_sent.as_deref(),
                By::Model.of(|fact| run.text(fact)),
            )
            && is_none_or_same(
                self.provider.as_deref(),
                By::Provider.of(|fact| run.text(fact)),
            )
            && is_none_or_same(self.client.as_deref(), By::Client.of(|fact| run.text(fact)))
            && is_none_or_same(self.key.as_deref(), By::Key.of(|fact| run.text(fact)))
            && self
                .replaced
                .is_none_or(|replaced| run.is_replaced() == replaced)
            && is_none_or_same(self.request_id.as_deref(), Some(&run.request_id))
            && self.model.as_ref().is_none_or(|words| {
                let words = words.to_lowercase();
                [facts::MODEL_ASKED, facts::MODEL_SENT, facts::MODEL_USED]
                    .into_iter()
                    .filter_map(|fact| run.text(fact))
                    .any(|model| model.to_lowercase().contains(&words))
            })
    }
}

fn is_none_or_same(wanted: Option<&str>, has: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| has == Some(wanted))
}
