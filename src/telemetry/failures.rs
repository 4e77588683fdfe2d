//! Logs a line about each run that came to no good end.
//!
//! The line says which step failed, how often it was tried and what the client was answered, and by what other logs know
//! the run: model, upstream, session, trace. It does not say why in words: an error may quote what was asked, which belongs
//! on the run's page and into no log.
//!
//! Its level is that of a warning, unless it is for the client to mend what it asked.

use super::blame;
use super::line::Line;
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
    let line = Line::of(record, ending);
    tracing::info!(
        workflow = line.workflow(),
        state = line.state(),
        model = line.model().as_deref(),
        upstream = line.upstream(),
        upstream.status = line.upstream_status(),
        upstream.failure = line.upstream_failure(),
        first_token_ms = line.first_token_ms(),
        duration_ms = line.duration_ms(),
        session = line.text(facts::SESSION),
        key = line.text(facts::KEY),
        run.id = %record.start.id,
        request.id = %record.start.request_id,
        trace.id = %line.trace_id(),
        "run cancelled; its page says why"
    );
}

fn log_failed(record: &RunRecord, ending: &Ending) {
    let told = Line::of(record, ending);
    let failed = record.failed_step();
    let cause = failed.map_or(ending.state, |(_, step)| step.state);
    let kind = told
        .text(facts::ERROR_TYPE)
        .unwrap_or_else(|| error_type(cause));
    // The level of a line is part of its place in the source.
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                workflow = told.workflow(),
                state = told.state(),
                task.name = failed.map(|(info, _)| info.name.as_str()),
                attempts = failed.map(|(_, step)| step.attempts),
                error.type = kind,
                status = status(record),
                model = told.model().as_deref(),
                model.used = told.model_used().as_deref(),
                upstream = told.upstream(),
                upstream.status = told.upstream_status(),
                upstream.failure = told.upstream_failure(),
                first_token_ms = told.first_token_ms(),
                duration_ms = told.duration_ms(),
                session = told.text(facts::SESSION),
                key = told.text(facts::KEY),
                fallback.run = told.text(facts::FALLBACK_BY),
                run.id = %record.start.id,
                request.id = %record.start.request_id,
                trace.id = %told.trace_id(),
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

/// The status that the client was answered.
fn status(record: &RunRecord) -> Option<i64> {
    match record.fact(facts::STATUS)? {
        FactValue::Int(status) => Some(*status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{CALL, CONVERT, LOG_USAGE, Story, plan};
    use super::super::line::tests::logged;
    use super::*;
    use crate::events::EventKind;

    #[test]
    fn a_failed_run_is_a_line_that_names_the_step_and_quotes_nothing() {
        let mut story = Story::new(&plan());
        story.prepare();
        story.step(500, CALL, State::Running, 1);
        story.fact(facts::PROVIDER, "openrouter");
        story.fact(facts::UPSTREAM_STATUS, 529_i64);
        story.fault(900, CALL, State::Retrying, "secret prompt");
        story.step(1_200, CALL, State::Running, 2);
        story.fact(facts::UPSTREAM_STATUS, 503_i64);
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
        insta::assert_snapshot!(logged(story)[0], @r#"{"level":"INFO","message":"run cancelled; its page says why","workflow":"messages","state":"Cancelled","duration_ms":2.5,"key":"alice"}"#);

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
    fn where_no_status_came_the_line_says_how_the_last_attempt_failed_and_no_older_status() {
        for (stated, state, failure) in [
            (Some("unreachable"), State::Failed, "unreachable"),
            (None, State::TimedOut, "timeout"),
        ] {
            let mut story = Story::new(&plan());
            story.prepare();
            story.step(500, CALL, State::Running, 1);
            story.fact(facts::UPSTREAM_STATUS, 503_i64);
            story.fault(900, CALL, State::Retrying, "no");
            story.step(1_200, CALL, State::Running, 2);
            if let Some(word) = stated {
                story.fact(facts::UPSTREAM_FAILURE, word);
            }
            story.fault(1_500, CALL, state, "no");
            story.end(2_000, state, None);
            let line = &logged(story)[0];
            assert_eq!(
                (line.get("upstream.status"), &line["upstream.failure"]),
                (None, &failure.into())
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
