//! Runs go in as events, lines of text come out.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::fixture::{self, CALL, CONVERT, Story};
use super::metrics::Metrics;
use super::observer::RunObserver;
use super::probe::Probe;
use crate::events::{EventBatch, Observer, RunId, State, TraceContext, event_queue};
use crate::facts;

pub(super) fn observer(most_open: usize) -> (Arc<Metrics>, RunObserver) {
    let metrics = Arc::new(Metrics::new(Vec::new()).unwrap());
    let observer = RunObserver::of_at_most(most_open, Arc::clone(&metrics), None);
    (metrics, observer)
}

fn text_after(story: Story) -> String {
    let (metrics, mut observer) = observer(10);
    for batch in story.batches() {
        observer.observe(&batch);
    }
    metrics.render()
}

fn streamed() -> Story {
    let run = RunId::now();
    fixture::streamed(&fixture::plan(), run, TraceContext::of_run(run))
}

fn failed(error_type: &str) -> Story {
    let mut story = Story::new(&fixture::plan());
    story.prepare();
    story.fact(facts::MODEL_SENT, "made/up-by-a-client");
    story.fact(facts::PROVIDER, "openrouter");
    story.fact(facts::ERROR_TYPE, error_type);
    story.step(400, CALL, State::Running, 1);
    story.fault(9_000, CALL, State::Failed, "no");
    story.step(9_001, CONVERT, State::Skipped, 0);
    story.end(9_010, State::Failed, Some("no"));
    story
}

/// Checks that `text` has these lines, each whole.
pub(super) fn has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(
            text.lines().any(|found| found == *line),
            "{line}\nin\n{text}"
        );
    }
}

/// A strict reader of the text format: gives the value of each series, and panics at whatever the format forbids.
pub(super) fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut series = BTreeMap::new();
    let mut families = HashSet::new();
    let (mut name, mut kind) = (String::new(), String::new());
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (of, words) = help.split_once(' ').unwrap();
            assert!(families.insert(of.to_owned()), "{of} is described twice");
            assert!(words.ends_with('.'), "{of} is described by a sentence");
            name = of.to_owned();
        } else if let Some(of) = line.strip_prefix("# TYPE ") {
            let (of, is) = of.split_once(' ').unwrap();
            assert_eq!(of, name, "the type follows the description");
            assert!(["counter", "gauge", "histogram"].contains(&is), "{line}");
            assert_eq!(is == "counter", of.ends_with("_total"), "{of} is a {is}");
            kind = is.to_owned();
        } else {
            let (head, value) = line.rsplit_once(' ').unwrap();
            let (sample, labels) = head.split_once('{').unwrap_or((head, "}"));
            check_sample(&name, &kind, sample);
            check_labels(labels);
            let value: f64 = value.parse().unwrap();
            assert!(value.is_finite(), "{line}");
            let is_new = series.insert(head.to_owned(), value).is_none();
            assert!(is_new, "{head} stands twice");
        }
    }
    series
}

fn check_sample(family: &str, kind: &str, sample: &str) {
    let suffix = sample.strip_prefix(family).unwrap();
    let suffixes: &[&str] = match kind {
        "histogram" => &["_bucket", "_sum", "_count"],
        _ => &[""],
    };
    assert!(suffixes.contains(&suffix), "{sample} in {family}");
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    assert!(sample.chars().all(is_name), "{sample}");
}

/// `a="b",c="d"}`, with quotes, backslashes and line ends in values escaped.
fn check_labels(labels: &str) {
    let mut rest = labels;
    while rest != "}" {
        let (name, value) = rest.split_once("=\"").unwrap();
        assert!(name.chars().all(|c| c.is_ascii_lowercase()), "{name}");
        let mut escaped = false;
        let end = value.find(|c| {
            let is_end = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            is_end
        });
        let (_, after) = value.split_at(end.unwrap());
        let after = after.strip_prefix('"').unwrap();
        rest = after.strip_prefix(',').unwrap_or(after);
    }
}

#[test]
fn a_run_is_counted_with_its_steps_tokens_and_times() {
    let text = text_after(streamed());
    has(
        &text,
        &[
            r#"dagway_runs_total{state="Completed",workflow="messages"} 1"#,
            "dagway_runs_in_flight 0",
            r#"dagway_run_duration_seconds_sum{workflow="messages"} 2.800005"#,
            r#"dagway_run_duration_seconds_bucket{workflow="messages",le="2.56"} 0"#,
            r#"dagway_run_duration_seconds_bucket{workflow="messages",le="5.12"} 1"#,
            r#"dagway_steps_total{state="Completed",step="call_upstream",workflow="messages"} 1"#,
            r#"dagway_step_duration_seconds_sum{step="call_upstream",workflow="messages"} 0.7996"#,
            r#"dagway_step_duration_seconds_count{step="log_usage",workflow="messages"} 1"#,
            r#"dagway_step_retries_total{cause="529",step="call_upstream",workflow="messages"} 1"#,
            r#"dagway_step_retries_total{cause="429",step="call_upstream",workflow="messages"} 0"#,
            r#"dagway_step_retries_total{cause="other",step="validate",workflow="messages"} 0"#,
            r#"dagway_tokens_total{kind="input",model="anthropic/claude-4.5-sonnet-20250929"} 20100"#,
            r#"dagway_tokens_total{kind="cache_read",model="anthropic/claude-4.5-sonnet-20250929"} 18000"#,
            r#"dagway_tokens_total{kind="reasoning",model="anthropic/claude-4.5-sonnet-20250929"} 100"#,
            r#"dagway_cost_usd_total{model="anthropic/claude-4.5-sonnet-20250929"} 0.0187"#,
            r#"dagway_first_token_seconds_sum{model="anthropic/claude-4.5-sonnet-20250929"} 0.42"#,
            r#"dagway_client_first_token_seconds_sum{model="anthropic/claude-4.5-sonnet-20250929"} 0.77"#,
            r#"dagway_overhead_seconds_sum{workflow="messages"} 0.00018"#,
            concat!(
                r#"dagway_build_info{version=""#,
                env!("CARGO_PKG_VERSION"),
                r#""} 1"#
            ),
        ],
    );
    assert!(!text.contains("dagway_upstream_errors_total{"));
}

#[test]
fn the_text_is_what_prometheus_reads() {
    let series = parse(&text_after(streamed()));
    assert!(series.len() > 200);
    for (head, count) in &series {
        let Some(histogram) = head.strip_suffix(r#",le="+Inf"}"#) else {
            continue;
        };
        let total = histogram.replace("_bucket{", "_count{") + "}";
        assert_eq!(series.get(&total), Some(count), "{head}");
    }
}

#[test]
fn the_process_describes_itself() {
    let series = parse(&Metrics::new(Vec::new()).unwrap().render());
    assert!(series["process_resident_memory_bytes"] > 1e6);
    assert!(series["process_open_fds"] >= 3.0);
    assert!(series["process_max_fds"] >= series["process_open_fds"]);
    assert!(series["process_threads"] >= 1.0);
    assert!(series["process_start_time_seconds"] > 1.7e9);
    assert!(series.contains_key("process_cpu_seconds_total"));
}

#[test]
fn a_failed_call_is_counted_by_kind_and_upstream() {
    let text = text_after(failed("overloaded_error"));
    has(
        &text,
        &[
            r#"dagway_runs_total{state="Failed",workflow="messages"} 1"#,
            r#"dagway_steps_total{state="Skipped",step="convert_response",workflow="messages"} 1"#,
            r#"dagway_step_duration_seconds_count{step="convert_response",workflow="messages"} 0"#,
            r#"dagway_upstream_errors_total{type="overloaded_error",upstream="openrouter"} 1"#,
        ],
    );
    assert!(
        !text.contains("made/up"),
        "a model that never answered has no figures"
    );
}

#[test]
fn a_failed_run_is_counted_by_what_the_client_was_told() {
    let (metrics, mut observer) = observer(10);
    for told in [
        "request_too_large",
        "api_error",
        "api_error",
        "made \"up\"\n",
        "another",
        "other",
    ] {
        observer.observe(&failed(told).batch());
    }
    let mut untold = Story::new(&fixture::plan());
    untold.end(30, State::TimedOut, None);
    observer.observe(&untold.batch());
    let mut cancelled = Story::new(&fixture::plan());
    cancelled.fact(facts::ERROR_TYPE, "overloaded_error");
    cancelled.end(30, State::Cancelled, None);
    observer.observe(&cancelled.batch());
    let text = metrics.render();
    has(
        &text,
        &[
            r#"dagway_run_errors_total{type="request_too_large",workflow="messages"} 1"#,
            r#"dagway_run_errors_total{type="api_error",workflow="messages"} 2"#,
            r#"dagway_run_errors_total{type="other",workflow="messages"} 4"#,
        ],
    );
    assert_eq!(text.matches("dagway_run_errors_total{").count(), 3);
}

#[test]
fn a_run_with_a_fallback_is_an_upstream_error_and_none_of_its_clients() {
    let (metrics, mut observer) = observer(10);
    let mut first = failed("overloaded_error");
    // Nothing counts that is said after the end.
    let end = first.events.pop();
    first.fact(facts::FALLBACK_BY, "0199-2");
    first.events.extend(end);
    observer.observe(&first.batch());
    let mut fallback = Story::new(&fixture::plan());
    fallback.fact(facts::FALLBACK_MODEL, "openai/gpt-5");
    fallback.end(30, State::Completed, None);
    observer.observe(&fallback.batch());
    let text = metrics.render();
    has(
        &text,
        &[
            r#"dagway_upstream_errors_total{type="overloaded_error",upstream="openrouter"} 1"#,
            r#"dagway_fallbacks_total{model="openai/gpt-5"} 1"#,
        ],
    );
    assert!(!text.contains("dagway_run_errors_total{"), "{text}");
}

#[test]
fn each_end_of_a_run_has_a_line_before_the_first_has_come_to_it() {
    let (metrics, mut observer) = observer(10);
    metrics.expect("messages");
    let lines = |completed: u32| {
        [
            ("Completed", completed),
            ("Failed", 0),
            ("TimedOut", 0),
            ("Cancelled", 0),
            ("Crashed", 0),
        ]
        .map(|(state, runs)| {
            format!("dagway_runs_total{{state=\"{state}\",workflow=\"messages\"}} {runs}")
        })
    };
    let text = metrics.render();
    has(&text, &lines(0).each_ref().map(String::as_str));
    assert_eq!(text.matches("dagway_runs_total{").count(), 5);
    let no_error = r#"dagway_run_errors_total{type="api_error",workflow="messages"} 0"#;
    has(&text, &[no_error]);

    observer.observe(&streamed().batch());
    metrics.expect("messages");
    let text = metrics.render();
    has(&text, &lines(1).each_ref().map(String::as_str));
}

#[test]
fn a_request_that_was_refused_is_no_upstream_error() {
    let mut story = Story::new(&fixture::plan());
    story.fact(facts::ERROR_TYPE, "invalid_request_error");
    story.step(10, 0, State::Running, 1);
    story.fault(20, 0, State::Failed, "messages.0.role is missing");
    story.end(30, State::Failed, None);
    assert!(!text_after(story).contains("dagway_upstream_errors_total{"));
}

#[test]
fn runs_under_way_are_a_gauge() {
    let (metrics, mut observer) = observer(2);
    let mut stories: Vec<Vec<EventBatch>> =
        (0..3).map(|_| streamed().batches().collect()).collect();
    for story in &mut stories {
        observer.observe(&story.remove(0));
    }
    let text = metrics.render();
    has(
        &text,
        &["dagway_runs_in_flight 2", "dagway_runs_unmeasured_total 1"],
    );
    for batch in stories.iter().flatten() {
        observer.observe(batch);
    }
    let text = metrics.render();
    has(
        &text,
        &["dagway_runs_in_flight 0", "dagway_runs_unmeasured_total 1"],
    );
}

#[test]
fn models_and_errors_beyond_the_limit_share_a_line() {
    let (metrics, mut observer) = observer(10);
    let plan = fixture::plan();
    for number in 0..150_i64 {
        let mut story = Story::new(&plan);
        story.fact(facts::MODEL_USED, format!("vendor/model-{number}"));
        story.fact(facts::OUTPUT_TOKENS, 2_i64);
        story.end(100, State::Completed, None);
        observer.observe(&story.batch());
        observer.observe(&failed(&format!("error \"{number}\"\n")).batch());
    }
    let text = metrics.render();
    has(
        &text,
        &[
            r#"dagway_tokens_total{kind="output",model="vendor/model-99"} 2"#,
            r#"dagway_tokens_total{kind="output",model="other"} 100"#,
            r#"dagway_upstream_errors_total{type="error \"31\"\n",upstream="openrouter"} 1"#,
            r#"dagway_upstream_errors_total{type="other",upstream="openrouter"} 118"#,
        ],
    );
    assert!(!text.contains("vendor/model-100"));
    parse(&text);
}

#[test]
fn a_run_whose_figures_are_estimates_is_counted_as_one() {
    let told = |is_estimate| {
        let mut story = Story::new(&fixture::plan());
        story.fact(facts::MODEL_USED, "vendor/model");
        story.fact(facts::OUTPUT_TOKENS, 5_i64);
        story.fact(facts::USAGE_IS_ESTIMATE, is_estimate);
        story.end(100, State::Cancelled, None);
        text_after(story)
    };
    let counted = |runs| format!("dagway_estimated_runs_total{{model=\"vendor/model\"}} {runs}");
    has(&told(true), &[&counted(1)]);
    has(&told(false), &[&counted(0)]);
}

#[test]
fn hostile_figures_count_nothing() {
    let mut story = Story::new(&fixture::plan());
    story.fact(facts::MODEL_USED, "vendor/model");
    story.fact(facts::OUTPUT_TOKENS, -5_i64);
    story.fact(facts::INPUT_TOKENS, "many");
    story.fact(facts::COST_USD, f64::NAN);
    story.fact(facts::FIRST_TOKEN, f64::INFINITY);
    story.fact(facts::FIRST_FOR_CLIENT, -1.0);
    story.fact(facts::OVERHEAD_US, -1.0);
    story.step(10, 60_000, State::Running, 1);
    story.end(100, State::Completed, None);
    let text = text_after(story);
    parse(&text);
    has(
        &text,
        &[
            r#"dagway_tokens_total{kind="output",model="vendor/model"} 0"#,
            r#"dagway_cost_usd_total{model="vendor/model"} 0"#,
            r#"dagway_first_token_seconds_count{model="vendor/model"} 0"#,
            r#"dagway_client_first_token_seconds_count{model="vendor/model"} 0"#,
        ],
    );
}

#[test]
fn probes_are_read_when_the_text_is_made() {
    let (sink, _source) = event_queue(8);
    let recorded = Probe::new("recorder_rows_total", "Rows written.", || 42);
    let metrics = Metrics::new(
        Probe::event_queue(&sink)
            .into_iter()
            .chain([recorded])
            .collect(),
    )
    .unwrap();
    has(
        &metrics.render(),
        &[
            "dagway_event_queue_batches 0",
            "dagway_event_queue_batches_limit 8",
            "dagway_event_queue_bytes_limit 268435456",
            "# TYPE recorder_rows_total counter",
            "recorder_rows_total 42",
        ],
    );
    sink.offer(streamed().batch()).unwrap();
    has(&metrics.render(), &["dagway_event_queue_batches 1"]);
}

#[test]
fn probes_of_one_name_are_told_apart_by_their_label() {
    let probe =
        |value, count| Probe::new("judged_total", "Judged.", move || count).with_label("as", value);
    let metrics = Metrics::new(vec![probe("good", 3), probe("bad", 1)]).unwrap();
    let text = metrics.render();
    has(
        &text,
        &["judged_total{as=\"bad\"} 1", "judged_total{as=\"good\"} 3"],
    );
    assert_eq!(text.matches("# TYPE judged_total counter").count(), 1);
    assert!(Metrics::new(vec![probe("good", 3), probe("good", 1)]).is_err());
}

#[test]
fn a_probe_that_cannot_be_shown_is_refused() {
    for name in ["no name", "", "dagway_runs_total"] {
        let error = Metrics::new(vec![Probe::new(name, "Help.", || 1)]).unwrap_err();
        assert_eq!(error.name, name);
    }
}
