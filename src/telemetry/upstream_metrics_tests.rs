//! Attempts go in as events, lines about upstreams come out.

use std::sync::Arc;

use super::fixture::{self, CALL, CONVERT, PRICE, Story};
use super::metrics::Metrics;
use super::metrics_tests::{has, observer, parse};
use super::observer::RunObserver;
use crate::events::{EventBatch, EventKind, Observer, State};
use crate::facts;

/// A run whose call of this upstream is under way.
fn calling(upstream: &str) -> Story {
    let mut story = Story::new(&fixture::plan());
    story.prepare();
    story.step(400, CALL, State::Running, 1);
    story.fact(facts::PROVIDER, upstream);
    story
}

/// What happens next in a story, as one batch; its end, if it comes to one, is left to the caller.
fn next(story: &mut Story) -> EventBatch {
    let events = std::mem::take(&mut story.events);
    let run = story.run;
    EventBatch { run, events }
}

fn told(metrics: &Metrics, observer: &mut RunObserver, story: &mut Story, lines: &[&str]) {
    observer.observe(&next(story));
    has(&metrics.render(), lines);
}

#[test]
fn an_attempt_is_counted_when_it_ends_and_not_when_its_run_does() {
    let (metrics, mut observer) = observer(10);
    let mut story = calling("mine");
    let lines = ["dagway_upstream_runs_in_flight{upstream=\"mine\"} 1"];
    told(&metrics, &mut observer, &mut story, &lines);
    assert!(!metrics.render().contains("dagway_upstream_requests_total{"));

    story.fact(facts::UPSTREAM_STATUS, 429_i64);
    story.fact(facts::UPSTREAM_HEADERS, 0.25);
    story.fault(900, CALL, State::Retrying, "slow down");
    let lines = [
        r#"dagway_upstream_requests_total{code="429",upstream="mine"} 1"#,
        r#"dagway_step_retries_total{cause="429",step="call_upstream",workflow="messages"} 1"#,
        r#"dagway_upstream_headers_seconds_sum{upstream="mine"} 0.25"#,
        r#"dagway_upstream_runs_in_flight{upstream="mine"} 1"#,
    ];
    told(&metrics, &mut observer, &mut story, &lines);

    story.step(1_200, CALL, State::Running, 2);
    story.fact(facts::UPSTREAM_STATUS, 200_i64);
    story.fact(facts::UPSTREAM_HEADERS, 0.5);
    story.step(1_500, CALL, State::Completed, 2);
    let lines = [
        r#"dagway_upstream_requests_total{code="200",upstream="mine"} 1"#,
        r#"dagway_upstream_headers_seconds_sum{upstream="mine"} 0.75"#,
        r#"dagway_upstream_headers_seconds_count{upstream="mine"} 2"#,
        r#"dagway_upstream_runs_in_flight{upstream="mine"} 1"#,
    ];
    told(&metrics, &mut observer, &mut story, &lines);

    story.end(9_000, State::Completed, None);
    let lines = [
        r#"dagway_upstream_requests_total{code="429",upstream="mine"} 1"#,
        r#"dagway_upstream_requests_total{code="200",upstream="mine"} 1"#,
        r#"dagway_step_retries_total{cause="429",step="call_upstream",workflow="messages"} 1"#,
        r#"dagway_upstream_runs_in_flight{upstream="mine"} 0"#,
    ];
    told(&metrics, &mut observer, &mut story, &lines);
    parse(&metrics.render());
}

#[test]
fn steps_after_an_answer_keep_no_upstream_busy_and_lengthen_no_turn() {
    let (metrics, mut observer) = observer(10);
    let mut story = calling("mine");
    story.step(500, CALL, State::Completed, 1);
    story.step(510, CONVERT, State::Running, 1);
    story.push(600, EventKind::Replied);
    let is_busy = |runs: u8| format!("dagway_upstream_runs_in_flight{{upstream=\"mine\"}} {runs}");
    told(&metrics, &mut observer, &mut story, &[&is_busy(1)]);

    story.step(500_000, CONVERT, State::Completed, 1);
    story.step(500_005, PRICE, State::Running, 1);
    told(&metrics, &mut observer, &mut story, &[&is_busy(0)]);

    story.step(3_500_000, PRICE, State::Completed, 1);
    story.end(3_500_000, State::Completed, None);
    let duration = r#"dagway_run_duration_seconds_sum{workflow="messages"} 0.500005"#;
    told(
        &metrics,
        &mut observer,
        &mut story,
        &[&is_busy(0), duration],
    );
}

#[test]
fn what_got_no_headers_has_no_time() {
    let (metrics, mut observer) = observer(10);
    for (word, state) in [
        (Some("unreachable"), State::Failed),
        (None, State::TimedOut),
        (None, State::Cancelled),
    ] {
        let mut story = calling("mine");
        if let Some(word) = word {
            story.fact(facts::UPSTREAM_FAILURE, word);
        }
        story.step(900, CALL, state, 1);
        story.end(1_000, state, None);
        observer.observe(&story.batch());
    }
    let lines = [
        r#"dagway_upstream_requests_total{code="unreachable",upstream="mine"} 1"#,
        r#"dagway_upstream_requests_total{code="timeout",upstream="mine"} 1"#,
        r#"dagway_upstream_requests_total{code="cancelled",upstream="mine"} 1"#,
        r#"dagway_upstream_headers_seconds_count{upstream="mine"} 0"#,
        r#"dagway_upstream_runs_in_flight{upstream="mine"} 0"#,
    ];
    has(&metrics.render(), &lines);
}

#[test]
fn a_run_that_asked_no_upstream_is_in_nobodys_figures() {
    let (metrics, mut observer) = observer(10);
    let mut story = Story::new(&fixture::plan());
    story.prepare();
    story.fact(facts::PROVIDER, "mine");
    story.step(400, CALL, State::Skipped, 0);
    story.end(1_000, State::Failed, None);
    observer.observe(&story.batch());
    let text = metrics.render();
    assert!(!text.contains("upstream=\"mine\""), "{text}");
}

#[test]
fn statuses_beyond_the_limit_share_a_line() {
    let (metrics, mut observer) = observer(10);
    for status in 100..1_000_i64 {
        let mut story = calling("mine");
        story.fact(facts::UPSTREAM_STATUS, status);
        story.step(900, CALL, State::Failed, 1);
        story.end(1_000, State::Failed, None);
        observer.observe(&story.batch());
    }
    let text = metrics.render();
    let lines = [
        r#"dagway_upstream_requests_total{code="139",upstream="mine"} 1"#,
        r#"dagway_upstream_requests_total{code="other",upstream="mine"} 860"#,
    ];
    has(&text, &lines);
    assert_eq!(text.matches("dagway_upstream_requests_total{").count(), 41);
}

#[test]
fn an_upstream_has_its_lines_before_it_is_asked() {
    let metrics = Arc::new(Metrics::new(Vec::new()).unwrap());
    metrics.expect_upstream("mine");
    let text = metrics.render();
    let lines = [
        r#"dagway_upstream_requests_total{code="200",upstream="mine"} 0"#,
        r#"dagway_upstream_requests_total{code="429",upstream="mine"} 0"#,
        r#"dagway_upstream_requests_total{code="unreachable",upstream="mine"} 0"#,
        r#"dagway_upstream_requests_total{code="cancelled",upstream="mine"} 0"#,
        r#"dagway_upstream_headers_seconds_count{upstream="mine"} 0"#,
        r#"dagway_upstream_runs_in_flight{upstream="mine"} 0"#,
    ];
    has(&text, &lines);
    parse(&text);
}
