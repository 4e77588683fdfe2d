//! Logs a line about each run that came to no good end.
//!
//! The line says which step failed, how often it was tried and what the client was answered, and by what other logs know
//! the run: model, upstream, session, trace. It does not say why in words: an error may quote what was asked, which belongs
//! on the run's page and into no log.
//!
//! Its level is that of a warning, unless it is for the client to mend what it asked.

use super::blame;
use super::record::{Ending, RunRecord, error_type, is_error};
use crate::events::{FactValue, State};
use crate::facts;

/// Logs the run if it failed or was cancelled, under this module's path as the target.
pub(super) fn log(record: &RunRecord, ending: &Ending) {
    if ending.state == State::Cancelled {
        log_cancelled(record, ending);
    } else if is_error(ending.state) {
        log_failed(record, ending);
    }
}

fn log_cancelled(record: &RunRecord, ending: &Ending) {
    tracing::info!(
        workflow = &*record.plan.name,
        duration_ms = duration_ms(record, ending),
        key = record.text(facts::KEY).map(|name| &**name),
        run.id = %record.start.id,
        request.id = %record.start.request_id,
        "run cancelled: its client hung up"
    );
}

fn log_failed(record: &RunRecord, ending: &Ending) {
    let failed = record.failed_step();
    let cause = failed.map_or(ending.state, |(_, step)| step.state);
    let text = |name| record.text(name).map(|text| &**text);
    let kind = text(facts::ERROR_TYPE).unwrap_or_else(|| error_type(cause));
    // The level of a line is part of its place in the source.
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                workflow = &*record.plan.name,
                state = ending.state.name(),
                task.name = failed.map(|(info, _)| info.name.as_str()),
                attempts = failed.map(|(_, step)| step.attempts),
                error.type = kind,
                status = status(record, facts::STATUS),
                model = text(facts::MODEL_SENT).or_else(|| text(facts::MODEL_ASKED)),
                upstream = text(facts::PROVIDER),
                upstream.status = status(record, facts::UPSTREAM_STATUS),
                duration_ms = duration_ms(record, ending),
                session = text(facts::SESSION),
                key = text(facts::KEY),
                run.id = %record.start.id,
                request.id = %record.start.request_id,
                trace.id = format_args!("{:032x}", u128::from_be_bytes(record.start.trace.trace_id)),
                "run failed; its page says why"
            )
        };
    }
    if blame::is_the_clients(kind) {
        line!(info);
    } else {
        line!(warn);
    }
}

/// To the microsecond, without what arithmetic adds behind it.
fn duration_ms(record: &RunRecord, ending: &Ending) -> f64 {
    let micros = (ending.at.since(record.start.at).as_secs_f64() * 1e6).round();
    micros / 1e3
}

fn status(record: &RunRecord, name: &str) -> Option<i64> {
    match record.fact(name)? {
        FactValue::Int(status) => Some(*status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::fixture::{CALL, CONVERT, LOG_USAGE, Story, plan};
    use super::super::logging::{Format, tests::written};
    use super::super::metrics::Metrics;
    use super::super::observer::RunObserver;
    use super::*;
    use crate::events::{EventKind, Observer};

    /// The fields of the lines that are logged about a run, without its ids.
    fn logged(story: Story) -> Vec<serde_json::Value> {
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
            let trace = fields.shift_remove("trace.id");
            let is_failure = fields["message"]
                .as_str()
                .unwrap()
                .starts_with("run failed");
            assert_eq!(trace, is_failure.then(|| id.replace('-', "").into()));
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
        story.fact(facts::MODEL_ASKED, "sonnet");
        story.fact(facts::MODEL_SENT, "anthropic/claude-sonnet-4.5");
        story.fact(facts::PROVIDER, "openrouter");
        story.fact(facts::UPSTREAM_STATUS, 503_i64);
        story.fact(facts::SESSION, "a7f0c2de-session");
        story.fact(facts::KEY, "alice");
        story.fact(facts::ERROR_TYPE, "rate_limit_error");
        story.fact(facts::STATUS, 429_i64);
        story.end(2_000, State::Failed, Some("call_upstream: secret prompt"));
        insta::assert_snapshot!(logged(story)[0], @r#"{"level":"WARN","message":"run failed; its page says why","workflow":"messages","state":"Failed","task.name":"call_upstream","attempts":2,"error.type":"rate_limit_error","status":429,"model":"anthropic/claude-sonnet-4.5","upstream":"openrouter","upstream.status":503,"duration_ms":2,"session":"a7f0c2de-session","key":"alice"}"#);
    }

    #[test]
    fn a_run_that_was_cancelled_is_a_line_and_a_good_one_is_none() {
        let mut story = Story::new(&plan());
        story.prepare();
        story.fact(facts::KEY, "alice");
        story.end(2_500, State::Cancelled, None);
        insta::assert_snapshot!(logged(story)[0], @r#"{"level":"INFO","message":"run cancelled: its client hung up","workflow":"messages","duration_ms":2.5,"key":"alice"}"#);

        let mut story = Story::new(&plan());
        story.fault(900, LOG_USAGE, State::Failed, "optional");
        story.end(2_500, State::Completed, None);
        assert!(logged(story).is_empty());
    }

    #[test]
    fn what_the_client_has_to_mend_warns_nobody() {
        for (kind, level) in [
            ("invalid_request_error", "INFO"),
            ("not_found_error", "INFO"),
            ("request_too_large", "INFO"),
            ("authentication_error", "WARN"),
            ("api_error", "WARN"),
            ("overloaded_error", "WARN"),
        ] {
            let mut story = Story::new(&plan());
            story.fact(facts::MODEL_ASKED, "sonnet");
            story.fact(facts::ERROR_TYPE, kind);
            story.fault(900, 0, State::Failed, "no");
            story.end(2_500, State::Failed, None);
            let line = &logged(story)[0];
            assert_eq!(
                (&line["level"], &line["model"], line.get("upstream.status")),
                (&level.into(), &"sonnet".into(), None),
                "{kind}"
            );
        }
    }

    #[test]
    fn of_two_steps_that_failed_the_first_is_named() {
        for (first, second, name) in [
            (CONVERT, CALL, "convert_response"),
            (CALL, CONVERT, "call_upstream"),
        ] {
            let mut story = Story::new(&plan());
            story.fault(900, first, State::Failed, "no");
            story.fault(950, second, State::Failed, "neither");
            story.end(2_500, State::Failed, None);
            assert_eq!(logged(story)[0]["task.name"], name);
        }
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
}
