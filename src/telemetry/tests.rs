//! Runs go in as events, spans come out of a real socket.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use secrecy::SecretString;
use tokio::runtime::Handle;

use super::export::{Error, Settings, SpanExport};
use super::fixture::{self, START, Story};
use super::metrics::Metrics;
use super::observer::RunObserver;
use super::probe::Probe;
use super::receiver::{Answer, Collector};
use super::traces::RunTraces;
use crate::events::trace::{call_span_id, root_span_id, step_span_id};
use crate::events::{Level, Observer, RunId, State, TraceContext};
use crate::facts;

/// Root, nine steps, the call.
const SPANS_A_RUN: usize = 11;
const AMPLE: Duration = Duration::from_secs(60);

fn settings(endpoint: &str) -> Settings {
    Settings {
        delay: Duration::from_millis(5),
        ..Settings::new(endpoint)
    }
}

fn export(settings: &Settings) -> SpanExport {
    // A second installation fails, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    SpanExport::start(settings, reqwest::Client::new(), Handle::current()).unwrap()
}

fn observer(export: &SpanExport) -> RunObserver {
    observer_of(100, RunTraces::new(export.clone(), true))
}

fn observer_of(most: usize, traces: RunTraces) -> RunObserver {
    let metrics = Arc::new(Metrics::new(Vec::new()).unwrap());
    RunObserver::of_at_most(most, metrics, Some(traces))
}

/// An address where nobody listens.
fn dead_end() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn observe(observer: &mut RunObserver, story: Story) {
    for batch in story.batches() {
        observer.observe(&batch);
    }
}

fn read(probes: &[Probe], name: &str) -> usize {
    let probe = probes.iter().find(|probe| probe.name == name);
    counted(probe.unwrap())
}

fn counted(probe: &Probe) -> usize {
    let text = (probe.read)().to_string();
    text.parse().unwrap()
}

/// Sends one run and gives its spans as they arrived.
async fn exported(story: Story) -> Vec<Span> {
    exported_with(true, story).await
}

/// Does so with or without the messages.
async fn exported_with(messages: bool, story: Story) -> Vec<Span> {
    let collector = Collector::start();
    let export = export(&settings(collector.endpoint()));
    let traces = RunTraces::new(export.clone(), messages);
    observe(&mut observer_of(100, traces), story);
    let received = collector
        .wait_until(|received| {
            let is_root = |span: &Span| span.name.starts_with("invoke_workflow");
            received.spans.iter().any(is_root)
        })
        .await;
    received.spans
}

fn by_name<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans
        .iter()
        .find(|span| span.name == name)
        .unwrap_or_else(|| panic!("there is a span `{name}`"))
}

/// A line for each span: kind, name, parent, microseconds from the run's start to the span's start and end.
fn outline(spans: &[Span]) -> String {
    let since_start = |nanos: u64| i64::try_from(nanos / 1000).unwrap() - START;
    let mut lines = String::new();
    for span in spans {
        let parent = spans
            .iter()
            .find(|parent| parent.span_id == span.parent_span_id)
            .map_or("-", |parent| &parent.name);
        writeln!(
            lines,
            "{} {} < {parent} {}..{}",
            span.kind().as_str_name().trim_start_matches("SPAN_KIND_"),
            span.name,
            since_start(span.start_time_unix_nano),
            since_start(span.end_time_unix_nano),
        )
        .unwrap();
    }
    lines
}

fn attributes(span: &Span) -> String {
    let mut lines = String::new();
    for pair in &span.attributes {
        let value = attribute(&span.attributes, &pair.key).unwrap();
        writeln!(lines, "{} = {value}", pair.key).unwrap();
    }
    lines
}

/// The value of an attribute as a test would write it: `text`, `1`, `0.5`, `true`, `["a","b"]`.
fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    written(found.value.as_ref()?)
}

fn written(value: &AnyValue) -> Option<String> {
    Some(match value.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::BoolValue(bool) => bool.to_string(),
        Value::IntValue(int) => int.to_string(),
        Value::DoubleValue(double) => double.to_string(),
        Value::ArrayValue(array) => {
            let items: Vec<_> = array.values.iter().filter_map(written).collect();
            format!("{items:?}")
        }
        _ => return None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_becomes_one_trace() {
    let run = RunId::now();
    let plan = fixture::plan();
    let spans = exported(fixture::streamed(&plan, run, TraceContext::of_run(run))).await;

    assert_eq!(
        outline(&spans),
        "INTERNAL invoke_workflow messages < - 0..2800110\n\
         INTERNAL validate < invoke_workflow messages 10..100\n\
         INTERNAL map_model < invoke_workflow messages 110..200\n\
         INTERNAL convert_messages < invoke_workflow messages 112..202\n\
         INTERNAL convert_tools < invoke_workflow messages 114..204\n\
         INTERNAL build_request < invoke_workflow messages 300..390\n\
         INTERNAL call_upstream < invoke_workflow messages 400..800000\n\
         CLIENT chat anthropic/claude-sonnet-4.5 < call_upstream 400..2800005\n\
         INTERNAL convert_response < invoke_workflow messages 800010..2800000\n\
         INTERNAL price_usage < invoke_workflow messages 2800005..2800030\n\
         INTERNAL log_usage < invoke_workflow messages 2800040..2800100\n"
    );
    for span in &spans {
        assert_eq!(span.trace_id, run.as_bytes(), "{}", span.name);
        assert_eq!(span.status.as_ref().unwrap().code, 0, "{}", span.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_have_the_ids_that_were_sent_upstream_before() {
    let run = RunId::now();
    let plan = fixture::plan();
    let spans = exported(fixture::streamed(&plan, run, TraceContext::of_run(run))).await;

    let root = by_name(&spans, "invoke_workflow messages");
    assert_eq!(root.span_id, root_span_id(run));
    for (index, step) in (0..).zip(fixture::STEPS) {
        assert_eq!(by_name(&spans, step).span_id, step_span_id(run, index));
    }
    let chat = by_name(&spans, "chat anthropic/claude-sonnet-4.5");
    assert_eq!(chat.span_id, call_span_id(run, fixture::CALL));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_carries_what_the_conventions_name() {
    let run = RunId::now();
    let plan = fixture::plan();
    let spans = exported(fixture::streamed(&plan, run, TraceContext::of_run(run))).await;

    let chat = by_name(&spans, "chat anthropic/claude-sonnet-4.5");
    assert_eq!(
        attributes(chat),
        "gen_ai.operation.name = chat\n\
         gen_ai.request.model = anthropic/claude-sonnet-4.5\n\
         gen_ai.response.model = anthropic/claude-4.5-sonnet-20250929\n\
         gen_ai.conversation.id = a7f0c2de-session\n\
         gen_ai.request.stream = true\n\
         gen_ai.request.max_tokens = 32000\n\
         gen_ai.provider.name = openrouter\n\
         openrouter.provider = Anthropic\n\
         gen_ai.response.id = gen-1762\n\
         gen_ai.response.finish_reasons = [\"tool_use\"]\n\
         gen_ai.response.time_to_first_chunk = 0.42\n\
         gen_ai.usage.input_tokens = 20100\n\
         gen_ai.usage.cache_read.input_tokens = 18000\n\
         gen_ai.usage.cache_creation.input_tokens = 2000\n\
         gen_ai.usage.output_tokens = 321\n\
         gen_ai.usage.reasoning.output_tokens = 100\n\
         dagway.cost_usd = 0.0187\n\
         server.address = openrouter.ai\n\
         server.port = 443\n\
         http.response.status_code = 200\n"
    );
    let root = by_name(&spans, "invoke_workflow messages");
    let run = run.to_string();
    for (name, value) in [
        ("gen_ai.operation.name", "invoke_workflow"),
        ("gen_ai.workflow.name", "messages"),
        ("gen_ai.conversation.id", "a7f0c2de-session"),
        ("dagway.run.id", &run),
        ("dagway.request.id", "req_011CSHoEeqs5C35K2UUqR7Fy"),
        ("dagway.state", "Completed"),
        ("dagway.model.asked", "sonnet"),
        ("dagway.overhead_us", "180"),
        ("http.response.status_code", "200"),
    ] {
        let found = attribute(&root.attributes, name);
        assert_eq!(found.as_deref(), Some(value), "{name}");
    }
    for name in [facts::INPUT_TOKENS, facts::OUTPUT_TOKENS, facts::COST_USD] {
        let found = attribute(&root.attributes, name);
        assert_eq!(found, None, "{name} would be counted twice");
    }
    let call = by_name(&spans, "call_upstream");
    assert_eq!(
        attributes(call),
        "dagway.task = call_upstream\ndagway.attempts = 2\ndagway.state = Completed\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_request_it_was_stands_on_the_span_of_the_run_alone() {
    let mut story = Story::new(&fixture::plan());
    story.fact(facts::KEY, "alice");
    story.prepare();
    story.figures();
    story.step(400, fixture::CALL, State::Running, 1);
    story.step(800, fixture::CALL, State::Completed, 1);
    story.end(2_000, State::Completed, None);
    let spans = exported(story).await;

    let told: Vec<&str> = spans
        .iter()
        .filter(|span| attribute(&span.attributes, "enduser.id").as_deref() == Some("alice"))
        .map(|span| span.name.as_str())
        .collect();
    assert_eq!(told, ["invoke_workflow messages"]);
    assert!(spans.iter().any(|span| span.name.starts_with("chat ")));
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_and_warnings_are_events_of_their_step() {
    let run = RunId::now();
    let plan = fixture::plan();
    let spans = exported(fixture::streamed(&plan, run, TraceContext::of_run(run))).await;

    let call = by_name(&spans, "call_upstream");
    let names: Vec<_> = call.events.iter().map(|event| &event.name).collect();
    assert_eq!(names, ["retry", "log"]);
    let [retry, warning] = &call.events[..] else {
        panic!("there are two")
    };
    let retry_at = u64::try_from(START + 100_000).unwrap() * 1000;
    assert_eq!(retry.time_unix_nano, retry_at);
    let pause = attribute(&retry.attributes, "dagway.retry_in_ms");
    assert_eq!(pause.as_deref(), Some("250"));
    let error = attribute(&retry.attributes, "error.message");
    assert_eq!(error.as_deref(), Some("the provider is overloaded"));
    let line = attribute(&warning.attributes, "log.message");
    assert_eq!(line.as_deref(), Some("a chunk came late"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_errors_say_and_steps_log_can_be_left_out() {
    let mut story = Story::new(&fixture::plan());
    story.prepare();
    story.step(400, fixture::CALL, State::Running, 1);
    story.fault(500, fixture::CALL, State::Retrying, "secret prompt");
    story.log(600, Some(fixture::CALL), Level::Warn, "secret prompt");
    story.step(700, fixture::CALL, State::Running, 2);
    story.fault(9_000, fixture::CALL, State::Failed, "secret prompt");
    story.fact(facts::ERROR_TYPE, "rate_limit_error");
    story.end(9_010, State::Failed, Some("call_upstream: secret prompt"));
    let spans = exported_with(false, story).await;

    let told = format!("{spans:?}");
    assert!(!told.contains("secret"), "{told}");
    let call = by_name(&spans, "call_upstream");
    let names: Vec<_> = call.events.iter().map(|event| &event.name).collect();
    assert_eq!(names, ["retry"]);
    let root = by_name(&spans, "invoke_workflow messages");
    let status = root.status.clone().unwrap();
    assert_eq!((status.code, status.message.as_str()), (2, "Failed"));
    let kind = attribute(&root.attributes, "error.type");
    assert_eq!(kind.as_deref(), Some("rate_limit_error"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_span_is_the_parent() {
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let trace = TraceContext::parse(caller).unwrap();
    let story = fixture::streamed(&fixture::plan(), RunId::now(), trace);
    let spans = exported(story).await;

    let root = by_name(&spans, "invoke_workflow messages");
    assert_eq!(
        Some(root.parent_span_id.as_slice()),
        trace.parent.as_ref().map(<[u8; 8]>::as_slice)
    );
    assert!(spans.iter().all(|span| span.trace_id == trace.trace_id));
    // OTLP: bit 8 says that it is known whether the parent is remote, bit 9 that it is.
    assert_eq!(root.flags, 0x301);
    assert_eq!(by_name(&spans, "validate").flags, 0x101);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_the_caller_does_not_sample_leaves_no_trace() {
    let collector = Collector::start();
    let export = export(&settings(collector.endpoint()));
    let mut observer = observer(&export);
    let plan = fixture::plan();
    let unsampled = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
    let story = fixture::streamed(&plan, RunId::now(), unsampled.unwrap());
    observe(&mut observer, story);
    let story = fixture::quick(&plan);
    let sampled = story.run;
    observe(&mut observer, story);

    let received = collector
        .wait_until(|received| received.spans.len() >= SPANS_A_RUN)
        .await;
    assert!(
        received
            .spans
            .iter()
            .all(|span| span.trace_id == sampled.as_bytes())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_on_the_spans_it_happened_to() {
    let mut story = Story::new(&fixture::plan());
    story.prepare();
    story.fact(facts::MODEL_SENT, "vendor/model");
    story.fact(facts::UPSTREAM_STATUS, 529_i64);
    story.fact(facts::ERROR_TYPE, "overloaded_error");
    story.step(400, fixture::CALL, State::Running, 1);
    story.fault(
        9_000,
        fixture::CALL,
        State::Failed,
        "the provider is overloaded",
    );
    story.step(9_001, fixture::CONVERT, State::Skipped, 0);
    story.step(9_001, fixture::PRICE, State::Skipped, 0);
    story.log(9_002, None, Level::Error, "no reply could be made");
    story.end(9_010, State::Failed, Some("step `call_upstream` Failed"));
    let spans = exported(story).await;

    assert_eq!(spans.len(), 8, "steps that never ran have no span");
    for (name, message) in [
        ("invoke_workflow messages", "step `call_upstream` Failed"),
        ("call_upstream", "the provider is overloaded"),
        ("chat vendor/model", "the provider is overloaded"),
    ] {
        let status = by_name(&spans, name).status.clone().unwrap();
        assert_eq!(
            (status.code, status.message.as_str()),
            (2, message),
            "{name}"
        );
    }
    let chat = by_name(&spans, "chat vendor/model");
    let error = attribute(&chat.attributes, "error.type");
    assert_eq!(error.as_deref(), Some("overloaded_error"));
    let answered = attribute(&chat.attributes, "http.response.status_code");
    assert_eq!(answered.as_deref(), Some("529"));
    assert_eq!(
        chat.end_time_unix_nano,
        by_name(&spans, "call_upstream").end_time_unix_nano
    );
    let root = by_name(&spans, "invoke_workflow messages");
    assert_eq!(
        root.events.len(),
        1,
        "what the run itself logged is on the root"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn when_no_model_was_called_the_root_tells_all() {
    let mut story = Story::new(&fixture::plan());
    story.fact(facts::MODEL_SENT, "vendor/model");
    story.step(100, 0, State::Running, 1);
    story.fault(200, 0, State::Failed, "max_tokens: it is compulsory");
    story.end(300, State::Failed, Some("step `validate` Failed"));
    let spans = exported(story).await;
    let root = by_name(&spans, "invoke_workflow messages");
    let model = attribute(&root.attributes, facts::MODEL_SENT);
    assert_eq!(model.as_deref(), Some("vendor/model"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_fails_the_call_that_gave_it() {
    let mut story = Story::new(&fixture::plan());
    story.prepare();
    story.step(400, fixture::CALL, State::Running, 1);
    story.step(500, fixture::CALL, State::Completed, 1);
    story.step(510, fixture::CONVERT, State::Running, 1);
    story.fault(
        70_000,
        fixture::CONVERT,
        State::Failed,
        "the stream broke off",
    );
    story.step(70_010, fixture::PRICE, State::Running, 1);
    story.step(70_020, fixture::PRICE, State::Completed, 1);
    story.end(70_030, State::Failed, Some("the stream broke off"));
    let spans = exported(story).await;

    let chat = by_name(&spans, "chat");
    assert_eq!(chat.status.clone().unwrap().message, "the stream broke off");
    assert_eq!(
        attribute(&chat.attributes, "error.type").as_deref(),
        Some("_OTHER")
    );
    assert_eq!(
        by_name(&spans, "call_upstream")
            .status
            .clone()
            .unwrap()
            .code,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_is_no_error() {
    let mut story = Story::new(&fixture::plan());
    story.prepare();
    story.step(400, fixture::CALL, State::Running, 1);
    story.end(5_000, State::Cancelled, None);
    let spans = exported(story).await;

    assert!(
        spans
            .iter()
            .all(|span| span.status.as_ref().unwrap().code == 0)
    );
    let ends = |name| by_name(&spans, name).end_time_unix_nano;
    assert_eq!(ends("chat"), ends("invoke_workflow messages"));
    let root = by_name(&spans, "invoke_workflow messages");
    let state = attribute(&root.attributes, "dagway.state");
    assert_eq!(state.as_deref(), Some("Cancelled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_collector_learns_who_sends() {
    let collector = Collector::start();
    let settings = Settings {
        headers: vec![("x-api-key".into(), SecretString::from("sesame"))],
        resource: vec![
            ("deployment.environment.name".into(), "test".into()),
            ("service.name".into(), "overridden".into()),
        ],
        service_name: Some("gateway".into()),
        ..settings(collector.endpoint())
    };
    let export = export(&settings);
    observe(&mut observer(&export), fixture::quick(&fixture::plan()));
    let received = collector
        .wait_until(|received| !received.spans.is_empty())
        .await;

    let header = ("x-api-key".to_owned(), "sesame".to_owned());
    assert!(received.headers.contains(&header));
    for (name, value) in [
        ("service.name", "gateway"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("deployment.environment.name", "test"),
        ("telemetry.sdk.language", "rust"),
        ("process.pid", &std::process::id().to_string()),
    ] {
        let found = attribute(&received.resource, name);
        assert_eq!(found.as_deref(), Some(value), "{name}");
    }
    let instance = attribute(&received.resource, "service.instance.id").unwrap();
    assert!(uuid::Uuid::parse_str(&instance).is_ok(), "{instance}");
    assert!(!format!("{settings:?}").contains("sesame"));
}

/// Observes 10,000 runs while nothing can be exported, and checks that none of their spans is unaccounted for.
fn ten_thousand_runs(export: &SpanExport, queue: usize) -> Vec<Probe> {
    const RUNS: usize = 10_000;
    let traces = RunTraces::new(export.clone(), true);
    let left_out = traces.probe();
    let mut observer = observer_of(100, traces);
    let plan = fixture::plan();
    let batches: Vec<_> = (0..RUNS).map(|_| fixture::quick(&plan).batch()).collect();
    let began = Instant::now();
    for batch in &batches {
        observer.observe(batch);
    }
    let took = began.elapsed();
    let mut probes = export.probes();
    probes.push(left_out);

    assert!(took < AMPLE, "it took {took:?}");
    assert!(read(&probes, "dagway_spans_waiting") <= queue);
    let dropped = read(&probes, "dagway_spans_dropped_total");
    assert!(dropped > 0, "there is no room for all of them");
    assert_eq!(dropped % SPANS_A_RUN, 0, "traces are dropped whole");
    assert_eq!(
        dropped / SPANS_A_RUN,
        read(&probes, "dagway_runs_untraced_total")
    );
    probes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_collector_costs_runs_nothing() {
    let settings = Settings {
        queue: 2_000,
        ..settings(&dead_end())
    };
    let export = export(&settings);
    let probes = ten_thousand_runs(&export, 2_000);
    assert_eq!(read(&probes, "dagway_spans_exported_total"), 0);

    let began = Instant::now();
    let closing = export.clone();
    let closed = tokio::task::spawn_blocking(move || closing.shutdown(Duration::from_millis(50)));
    let _ = closed.await.unwrap();
    assert!(began.elapsed() < AMPLE, "the deadline is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_collector_gets_whole_traces_later() {
    let collector = Collector::start();
    collector.answer(Answer::Silence);
    let export = export(&Settings {
        queue: 2_000,
        timeout: Duration::from_secs(600),
        ..settings(collector.endpoint())
    });
    let probes = ten_thousand_runs(&export, 2_000);
    collector.answer(Answer::TakeAllBut(0));

    let dropped = read(&probes, "dagway_spans_dropped_total");
    let kept = SPANS_A_RUN * 10_000 - dropped;
    let received = collector
        .wait_until(|received| received.spans.len() >= kept)
        .await;
    assert_eq!(received.spans.len(), kept);
    let roots = received
        .spans
        .iter()
        .filter(|span| span.parent_span_id.is_empty());
    assert_eq!(roots.count() * SPANS_A_RUN, kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_sends_what_waits() {
    let collector = Collector::start();
    let export = export(&Settings {
        delay: Duration::from_secs(3600),
        ..Settings::new(collector.endpoint())
    });
    observe(&mut observer(&export), fixture::quick(&fixture::plan()));
    let closing = export.clone();
    let closed = tokio::task::spawn_blocking(move || closing.shutdown(AMPLE));
    closed.await.unwrap().unwrap();

    let received = collector.wait_until(|_| true).await;
    assert_eq!(received.spans.len(), SPANS_A_RUN);
    assert_eq!(read(&export.probes(), "dagway_spans_exported_total"), 11);
    assert_eq!(read(&export.probes(), "dagway_spans_waiting"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_spans_are_counted() {
    let collector = Collector::start();
    collector.answer(Answer::Refuse(400));
    let export = export(&settings(collector.endpoint()));
    observe(&mut observer(&export), fixture::quick(&fixture::plan()));
    let closing = export.clone();
    let closed = tokio::task::spawn_blocking(move || closing.shutdown(AMPLE));
    let _ = closed.await.unwrap();

    assert_eq!(read(&export.probes(), "dagway_spans_failed_total"), 11);
    assert_eq!(collector.wait_until(|_| true).await.requests, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_busy_is_asked_again() {
    let collector = Collector::start();
    collector.answer(Answer::Refuse(503));
    let export = export(&settings(collector.endpoint()));
    observe(&mut observer(&export), fixture::quick(&fixture::plan()));
    collector
        .wait_until(|received| received.requests == 1)
        .await;
    collector.answer(Answer::TakeAllBut(0));
    let received = collector
        .wait_until(|received| !received.spans.is_empty())
        .await;
    assert_eq!(received.spans.len(), SPANS_A_RUN);
    assert_eq!(read(&export.probes(), "dagway_spans_failed_total"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_stays_busy_is_asked_four_times() {
    let collector = Collector::start();
    collector.answer(Answer::Refuse(429));
    let export = export(&settings(collector.endpoint()));
    observe(&mut observer(&export), fixture::quick(&fixture::plan()));
    let closing = export.clone();
    let closed = tokio::task::spawn_blocking(move || closing.shutdown(AMPLE));
    let _ = closed.await.unwrap();

    assert_eq!(read(&export.probes(), "dagway_spans_failed_total"), 11);
    assert_eq!(collector.wait_until(|_| true).await.requests, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_attempts_share_one_time_limit() {
    let collector = Collector::start();
    collector.answer(Answer::Refuse(503));
    let export = export(&Settings {
        timeout: Duration::from_millis(90),
        ..settings(collector.endpoint())
    });
    observe(&mut observer(&export), fixture::quick(&fixture::plan()));
    let closing = export.clone();
    let closed = tokio::task::spawn_blocking(move || closing.shutdown(AMPLE));
    let _ = closed.await.unwrap();

    assert_eq!(read(&export.probes(), "dagway_spans_failed_total"), 11);
    let requests = collector.wait_until(|_| true).await.requests;
    assert!(requests <= 1, "the first pause is longer than what is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_that_a_collector_rejects_are_counted_as_failed() {
    let collector = Collector::start();
    collector.answer(Answer::TakeAllBut(4));
    let export = export(&settings(collector.endpoint()));
    observe(&mut observer(&export), fixture::quick(&fixture::plan()));
    let closing = export.clone();
    let closed = tokio::task::spawn_blocking(move || closing.shutdown(AMPLE));
    closed.await.unwrap().unwrap();

    let count = |name| read(&export.probes(), name);
    assert_eq!(count("dagway_spans_exported_total"), 7);
    assert_eq!(count("dagway_spans_failed_total"), 4);
    assert_eq!(count("dagway_spans_waiting"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_beyond_the_limit_are_counted_and_not_remembered() {
    let collector = Collector::start();
    let export = export(&settings(collector.endpoint()));
    let traces = RunTraces::new(export.clone(), true);
    let left_out = traces.probe();
    let mut observer = observer_of(2, traces);
    let plan = fixture::plan();
    let mut stories: Vec<_> = (0..5)
        .map(|_| fixture::quick(&plan).batches().collect::<Vec<_>>())
        .collect();
    let rests: Vec<_> = stories.iter_mut().map(|story| story.split_off(1)).collect();
    for batch in stories.iter().chain(&rests).flatten() {
        observer.observe(batch);
    }
    assert_eq!(counted(&left_out), 3);
    let received = collector
        .wait_until(|received| received.spans.len() >= 2 * SPANS_A_RUN)
        .await;
    assert_eq!(received.spans.len(), 2 * SPANS_A_RUN);
}

#[tokio::test]
async fn wrong_settings_are_sentences() {
    let start = |settings: &Settings| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        SpanExport::start(settings, reqwest::Client::new(), Handle::current()).unwrap_err()
    };
    for endpoint in [
        "",
        "localhost:4318",
        "grpc://collector:4317",
        "http://",
        "http://me:secret@collector:4318?key=secret",
        "me:secret@collector:4318",
    ] {
        let error = start(&Settings::new(endpoint));
        assert!(matches!(error, Error::Endpoint), "{endpoint}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let error = start(&Settings {
        headers: vec![("a b".into(), SecretString::from("c"))],
        ..Settings::new("http://localhost:4318")
    });
    assert!(error.to_string().contains("`a b`"), "{error}");
}
