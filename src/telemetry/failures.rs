//! Watches runs and logs a line about each one that came to no good end.
//!
//! The line says which step failed, how often it was tried and what the client was answered. It does not say why in
//! words: an error may quote what was asked, which belongs on the run's page and into no log.

use std::collections::HashMap;
use std::sync::Arc;

use super::record::{error_type, is_error};
use crate::events::{
    EventBatch, EventKind, FactValue, Observer, PlanInfo, RunId, RunStart, State, StepIndex,
    Timestamp,
};
use crate::facts;

/// Logs failed and cancelled runs, under the target `dagway::telemetry::failures`.
#[derive(Debug)]
pub struct FailureLog {
    open: HashMap<RunId, Open>,
    most_open: usize,
}

/// What is remembered of a run under way.
#[derive(Debug)]
struct Open {
    start: Arc<RunStart>,
    plan: Arc<PlanInfo>,
    /// The step by which it failed, how, and at which attempt.
    failed: Option<(StepIndex, State, u16)>,
    error_type: Option<Arc<str>>,
    status: Option<i64>,
}

impl FailureLog {
    /// Watches at most `most_open` runs at a time.
    #[must_use]
    pub fn new(most_open: usize) -> Self {
        Self {
            open: HashMap::new(),
            most_open,
        }
    }
}

impl Observer for FailureLog {
    fn observe(&mut self, batch: &EventBatch) {
        for event in &batch.events {
            match &event.kind {
                EventKind::Started { start, plan } if self.open.len() < self.most_open => {
                    self.open.insert(batch.run, Open::new(start, plan));
                }
                EventKind::Ended { state, .. } => {
                    if let Some(open) = self.open.remove(&batch.run) {
                        open.log(*state, event.at);
                    }
                }
                kind => {
                    if let Some(open) = self.open.get_mut(&batch.run) {
                        open.take_in(kind);
                    }
                }
            }
        }
    }
}

impl Open {
    fn new(start: &Arc<RunStart>, plan: &Arc<PlanInfo>) -> Self {
        Self {
            start: Arc::clone(start),
            plan: Arc::clone(plan),
            failed: None,
            error_type: None,
            status: None,
        }
    }

    fn take_in(&mut self, kind: &EventKind) {
        match kind {
            EventKind::Step {
                step,
                state,
                attempt,
                ..
            } if is_error(*state) && self.failed.is_none() && !self.is_optional(*step) => {
                self.failed = Some((*step, *state, *attempt));
            }
            EventKind::Fact {
                name: facts::ERROR_TYPE,
                value: FactValue::Text(kind),
            } => self.error_type = Some(Arc::clone(kind)),
            EventKind::Fact {
                name: facts::STATUS,
                value: FactValue::Int(status),
            } => self.status = Some(*status),
            _ => {}
        }
    }

    fn is_optional(&self, step: StepIndex) -> bool {
        let info = self.plan.steps.get(usize::from(step));
        info.is_some_and(|info| info.optional)
    }

    fn log(&self, state: State, ended: Timestamp) {
        let workflow = self.plan.name.as_str();
        // To the microsecond, without what arithmetic adds behind it.
        let micros = (ended.since(self.start.at).as_secs_f64() * 1e6).round();
        let duration_ms = micros / 1e3;
        let (run, request) = (self.start.id, &self.start.request_id);
        if state == State::Cancelled {
            tracing::info!(
                workflow,
                duration_ms,
                run.id = %run,
                request.id = %request,
                "run cancelled: its client hung up"
            );
        }
        if !is_error(state) {
            return;
        }
        let step = self
            .failed
            .and_then(|(step, ..)| self.plan.steps.get(usize::from(step)));
        let cause = self.failed.map_or(state, |(_, state, _)| state);
        let kind = self.error_type.as_deref();
        tracing::warn!(
            workflow,
            state = state.name(),
            task.name = step.map(|info| info.name.as_str()),
            attempts = self.failed.map(|(_, _, attempts)| attempts),
            error.type = kind.unwrap_or_else(|| error_type(cause)),
            status = self.status,
            duration_ms,
            run.id = %run,
            request.id = %request,
            "run failed; its page says why"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{CALL, LOG_USAGE, START, Story, plan};
    use super::super::logging::{Format, tests::written};
    use super::*;

    /// The fields of the lines that are logged about a run, without its ids.
    fn logged(story: Story) -> Vec<serde_json::Value> {
        let id = story.run.to_string();
        let text = written(Format::Json, "info", || {
            let mut log = FailureLog::new(2);
            story.batches().for_each(|batch| log.observe(&batch));
            assert!(log.open.is_empty());
        });
        let lines = text.lines().map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            let fields = line.as_object_mut().unwrap();
            assert_eq!(fields["run.id"], id);
            assert_eq!(fields["request.id"], "req_011CSHoEeqs5C35K2UUqR7Fy");
            fields.retain(|name, _| {
                !["run.id", "request.id", "timestamp", "target"].contains(&name.as_str())
            });
            line
        });
        lines.collect()
    }

    #[test]
    fn a_failed_run_is_a_line_that_names_the_step_and_quotes_nothing() {
        let mut story = Story::new(&plan());
        story.prepare();
        story.step(500, CALL, State::Running, 1);
        story.fault(900, CALL, State::Retrying, "secret prompt");
        story.step(1_200, CALL, State::Running, 2);
        story.push(
            1_500,
            EventKind::Step {
                step: CALL,
                state: State::Failed,
                attempt: 2,
                message: Some("secret prompt".into()),
                retry_in: None,
            },
        );
        story.fact(facts::ERROR_TYPE, "rate_limit_error");
        story.fact(facts::STATUS, 429_i64);
        story.end(2_000, State::Failed, Some("call_upstream: secret prompt"));
        insta::assert_snapshot!(logged(story)[0], @r#"{"level":"WARN","message":"run failed; its page says why","workflow":"messages","state":"Failed","task.name":"call_upstream","attempts":2,"error.type":"rate_limit_error","status":429,"duration_ms":2}"#);
    }

    #[test]
    fn a_run_that_was_cancelled_is_a_line_and_a_good_one_is_none() {
        let mut story = Story::new(&plan());
        story.prepare();
        story.end(2_500, State::Cancelled, None);
        insta::assert_snapshot!(logged(story)[0], @r#"{"level":"INFO","message":"run cancelled: its client hung up","workflow":"messages","duration_ms":2.5}"#);

        let mut story = Story::new(&plan());
        story.fault(900, LOG_USAGE, State::Failed, "optional");
        story.end(2_500, State::Completed, None);
        assert!(logged(story).is_empty());
    }

    #[test]
    fn a_step_that_may_fail_is_not_the_one_that_did() {
        let mut story = Story::new(&plan());
        story.fault(900, LOG_USAGE, State::Failed, "optional");
        story.fault(950, CALL, State::Crashed, "panic");
        story.end(2_500, State::Failed, None);
        let line = &logged(story)[0];
        assert_eq!(
            (&line["task.name"], &line["error.type"]),
            (&"call_upstream".into(), &"panic".into())
        );
    }

    #[test]
    fn no_more_runs_are_remembered_than_may_be() {
        let mut log = FailureLog::new(2);
        for _ in 0..5 {
            log.observe(&Story::new(&plan()).batch());
        }
        assert_eq!(log.open.len(), 2);
        assert_eq!(log.open.values().next().unwrap().start.at, Timestamp(START));
    }
}
