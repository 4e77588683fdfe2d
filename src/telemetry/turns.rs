//! Logs a line about each turn, which is a run whose tokens are known, however it ended: which model of which upstream
//! answered, how fast, and what it used.
//!
//! It says nothing of what was asked or answered. This file must not know why a run failed.

use super::line::Line;
use super::record::{Ending, RunRecord};
use crate::facts;

/// Logs the run if it was a turn, under this module's path as the target.
pub(super) fn log(record: &RunRecord, ending: &Ending) {
    let Some(output_tokens) = record.count(facts::OUTPUT_TOKENS) else {
        return;
    };
    let line = Line::of(record, ending);
    let read = record.count(facts::CACHE_READ_TOKENS).unwrap_or(0);
    let written = record.count(facts::CACHE_WRITE_TOKENS).unwrap_or(0);
    // As Anthropic counts: without those of a cache.
    let all_input = record.count(facts::INPUT_TOKENS).unwrap_or(0);
    let input = all_input.saturating_sub(read).saturating_sub(written);
    tracing::info!(
        workflow = line.workflow(),
        state = line.state(),
        model = line.model().as_deref(),
        model.used = line.model_used().as_deref(),
        upstream = line.upstream(),
        upstream.status = line.upstream_status(),
        upstream.failure = line.upstream_failure(),
        attempts = attempts(record),
        stop_reason = line.text(facts::FINISH_REASON),
        input_tokens = input,
        cache_read_tokens = read,
        cache_write_tokens = written,
        output_tokens,
        cost_usd = record.measure(facts::COST_USD).map(rounded),
        estimated = record.is(facts::USAGE_IS_ESTIMATE).then_some(true),
        first_token_ms = line.first_token_ms(),
        duration_ms = line.duration_ms(),
        session = line.text(facts::SESSION),
        key = line.text(facts::KEY),
        fallback.after = line.text(facts::FALLBACK_AFTER),
        run.id = %record.start.id,
        request.id = %record.start.request_id,
        trace.id = %line.trace_id(),
        "turn ended"
    );
}

/// How often the model was called.
fn attempts(record: &RunRecord) -> Option<u16> {
    let step = record.attempts.last()?.step;
    record
        .steps
        .get(usize::from(step))
        .map(|step| step.attempts)
}

/// An amount without the last digits of its arithmetic: `0.00010036`, not `0.00010036000000000001`.
fn rounded(usd: f64) -> f64 {
    format!("{usd:.7e}").parse().unwrap_or(usd)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{self, CALL, CONVERT, Story};
    use super::super::line::tests::logged;
    use super::rounded;
    use crate::events::{RunId, State, TraceContext};
    use crate::facts;

    #[test]
    fn a_turn_is_a_line_that_says_who_answered_how_fast_and_for_how_much() {
        let run = RunId::now();
        let story = fixture::streamed(&fixture::plan(), run, TraceContext::of_run(run));
        let lines = logged(story);
        assert_eq!(lines.len(), 1);
        insta::assert_snapshot!(lines[0], @r#"{"level":"INFO","message":"turn ended","workflow":"messages","state":"Completed","model":"anthropic/claude-sonnet-4.5","model.used":"anthropic/claude-4.5-sonnet-20250929","upstream":"openrouter","upstream.status":200,"attempts":2,"stop_reason":"tool_use","input_tokens":100,"cache_read_tokens":18000,"cache_write_tokens":2000,"output_tokens":321,"cost_usd":0.0187,"first_token_ms":770,"duration_ms":2800.005,"session":"a7f0c2de-session"}"#);
    }

    #[test]
    fn a_turn_that_broke_off_is_a_turn_and_a_failure() {
        let mut story = Story::new(&fixture::plan());
        story.prepare();
        story.step(400, CALL, State::Running, 1);
        story.fact(facts::PROVIDER, "openrouter");
        story.fact(facts::UPSTREAM_STATUS, 200_i64);
        story.step(800, CALL, State::Completed, 1);
        story.step(810, CONVERT, State::Running, 1);
        story.fact(facts::OUTPUT_TOKENS, 7_i64);
        story.fact(facts::USAGE_IS_ESTIMATE, true);
        story.fault(900, CONVERT, State::Failed, "secret prompt");
        story.end(1_000, State::Failed, Some("secret prompt"));
        let lines = logged(story);
        let messages = lines.iter().map(|line| line["message"].as_str().unwrap());
        assert_eq!(
            Vec::from_iter(messages),
            ["turn ended", "run failed; its page says why"]
        );
        for line in &lines {
            assert_eq!(line["upstream.status"], 200, "{line}");
            assert_eq!(line["state"], "Failed", "{line}");
            assert!(!line.to_string().contains("secret"), "{line}");
        }
        assert_eq!(lines[0]["estimated"], true);
    }

    #[test]
    fn a_name_that_is_too_long_is_shortened() {
        let mut story = Story::new(&fixture::plan());
        story.fact(facts::MODEL_ASKED, "a".repeat(900));
        story.fact(facts::MODEL_USED, "b".repeat(900));
        story.fact(facts::OUTPUT_TOKENS, 7_i64);
        story.end(1_000, State::Completed, None);
        let line = &logged(story)[0];
        for name in ["model", "model.used"] {
            let shown = line[name].as_str().unwrap();
            assert!((200..300).contains(&shown.len()), "{line}");
        }
    }

    #[test]
    fn what_used_no_tokens_is_no_turn() {
        let mut story = Story::new(&fixture::plan());
        story.fact(facts::INPUT_TOKENS, 7_i64);
        story.end(1_000, State::Completed, None);
        assert!(logged(story).is_empty());
    }

    #[test]
    fn an_amount_is_logged_in_eight_digits() {
        assert_eq!(rounded(0.000_100_360_000_000_000_01), 0.000_100_36);
        assert_eq!(rounded(12.345_678_912), 12.345_679);
        assert_eq!(rounded(0.0), 0.0);
        assert!(rounded(f64::INFINITY).is_infinite());
    }
}
