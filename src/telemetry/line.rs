//! What the log's lines about runs have in common: the same words for the same facts, found in one place.
//!
//! This file must not know which runs are logged.

use std::borrow::Cow;
use std::fmt;

use super::record::{Ending, RunRecord};
use crate::events::shortened;
use crate::facts;

/// Bytes of a model's name in the log: a client or an upstream may call it what it likes.
const LONGEST_MODEL: usize = 256;

/// A run as the log's lines name it.
pub(super) struct Line<'r> {
    record: &'r RunRecord,
    ending: &'r Ending,
}

impl<'r> Line<'r> {
    pub(super) const fn of(record: &'r RunRecord, ending: &'r Ending) -> Self {
        Self { record, ending }
    }

    pub(super) fn workflow(&self) -> &'r str {
        &self.record.plan.name
    }

    pub(super) const fn state(&self) -> &'static str {
        self.ending.state.name()
    }

    /// What was stated under this name.
    pub(super) fn text(&self, name: &str) -> Option<&'r str> {
        self.record.text(name).map(|text| &**text)
    }

    /// The model that was asked of the upstream or, as long as none was, of Dagway.
    pub(super) fn model(&self) -> Option<Cow<'r, str>> {
        let model = self.text(facts::MODEL_SENT);
        let model = model.or_else(|| self.text(facts::MODEL_ASKED));
        model.map(|model| shortened(model, LONGEST_MODEL))
    }

    /// The model that answered, as the upstream says.
    pub(super) fn model_used(&self) -> Option<Cow<'r, str>> {
        let model = self.text(facts::MODEL_USED);
        model.map(|model| shortened(model, LONGEST_MODEL))
    }

    pub(super) fn upstream(&self) -> Option<&'r str> {
        self.text(facts::PROVIDER)
    }

    /// The status that the last attempt got.
    pub(super) fn upstream_status(&self) -> Option<u16> {
        self.record.attempts.last()?.status
    }

    /// How the last attempt failed where no status tells.
    pub(super) fn upstream_failure(&self) -> Option<&'static str> {
        self.record.attempts.last()?.failure
    }

    /// Milliseconds until the first of the answer was there for the client.
    pub(super) fn first_token_ms(&self) -> Option<f64> {
        self.record.measure(facts::FIRST_FOR_CLIENT).map(millis)
    }

    /// Milliseconds from the acceptance of the request to the end of its answer.
    pub(super) fn duration_ms(&self) -> f64 {
        let answered = self.record.answered(self.ending);
        millis(answered.since(self.record.start.at).as_secs_f64())
    }

    pub(super) fn trace_id(&self) -> impl fmt::Display {
        let id = u128::from_be_bytes(self.record.start.trace.trace_id);
        fmt::from_fn(move |f| write!(f, "{id:032x}"))
    }
}

/// To the microsecond, without what arithmetic adds behind it.
fn millis(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e3
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::super::fixture::Story;
    use super::super::logging::{Format, tests::written};
    use super::super::metrics::Metrics;
    use super::super::observer::RunObserver;
    use super::millis;
    use crate::events::Observer;

    /// The fields of the lines that are logged about a run, without its ids.
    pub(in crate::telemetry) fn logged(story: Story) -> Vec<serde_json::Value> {
        let id = story.run.to_string();
        let text = written(Format::Json, "info", || {
            let metrics = Arc::new(Metrics::new(Vec::new()).unwrap());
            let mut observer = RunObserver::new(metrics, None);
            story.batches().for_each(|batch| observer.observe(&batch));
        });
        let lines = text.lines().map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            let fields = line.as_object_mut().unwrap();
            assert_eq!(fields["run.id"], id);
            assert_eq!(fields["request.id"], "req_011CSHoEeqs5C35K2UUqR7Fy");
            // Nobody gave it another one.
            assert_eq!(fields["trace.id"], id.replace('-', ""));
            fields.retain(|name, _| {
                !["run.id", "request.id", "trace.id", "timestamp", "target"]
                    .contains(&name.as_str())
            });
            line
        });
        lines.collect()
    }

    #[test]
    fn a_time_is_told_to_the_microsecond() {
        assert_eq!(millis(0.612_345_678), 612.346);
        assert_eq!(millis(2.800_11), 2_800.11);
    }
}
