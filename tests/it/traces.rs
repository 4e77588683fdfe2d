//! One trace per run, as an OTLP collector receives it: names, parents, kinds, attributes, and what goes upstream.

use dagway::simulator::{Script, Turn};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use crate::program::Server;
use crate::support::otlp::{Answer, Collector};
use crate::support::{STEPS, TestApp, ask, block_on, read};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// What the span of an upstream call says, among other things.
const CALL_ATTRIBUTES: [(&str, &str); 5] = [
    ("gen_ai.operation.name", "chat"),
    ("gen_ai.provider.name", "openrouter"),
    ("gen_ai.request.model", "anthropic/claude-sonnet-5.5"),
    ("gen_ai.response.finish_reasons", "end_turn"),
    ("server.address", "127.0.0.1"),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, name: &str) -> String {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key == name);
    let value = found.unwrap_or_else(|| {
        panic!(
            "no attribute {name} on {}: {:?}",
            span.name, span.attributes
        )
    });
    format!(
        "{:?}",
        value
            .value
            .as_ref()
            .and_then(|value| value.value.as_ref())
            .unwrap()
    )
}

/// Of the program, not of a server in the test's process: one log is for one process.
#[test]
fn the_fetch_of_a_catalogue_is_traced_as_background_work() {
    block_on(async {
        let collector = Collector::start();
        let folder = tempfile::tempdir().unwrap();
        let endpoint = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())];
        let server = Server::start_with(folder.path(), "http://127.0.0.1:9/api/v1", &endpoint);
        let received = collector
            .wait_until(|received| !received.spans.is_empty())
            .await;
        let [span] = &received.spans[..] else {
            panic!("there is one, not {:?}", received.spans)
        };
        assert_eq!(span.name, "fetch_catalogue");
        assert!(attribute(span, "dagway.upstream").contains("openrouter"));
        let status = span.status.as_ref().unwrap();
        assert_eq!(status.code(), StatusCode::Error);
        assert!(status.message.contains("cannot reach"), "{status:?}");
        drop(server);
    });
}

#[test]
fn a_run_is_one_trace_below_its_caller() {
    block_on(async {
        let collector = Collector::start();
        let endpoint = collector.endpoint().to_owned();
        let app = TestApp::start_with(|settings| settings.telemetry.endpoint = endpoint).await;
        app.script(Script::new().then(Turn::text("Hello.")));
        let request = app
            .http
            .post(app.url("/v1/messages"))
            .header("traceparent", format!("00-{TRACE}-{CALLER}-01"));
        let got = read(request.body(ask("hello").to_string()).send().await.unwrap()).await;
        let run = app.ended_run(&got.run()).await;
        assert_eq!(run["trace_id"], TRACE);
        let spans = collector
            .wait_until(|seen| seen.spans.len() >= 11)
            .await
            .spans;
        let named = |name: &str| {
            spans
                .iter()
                .find(|span| span.name == name)
                .unwrap_or_else(|| panic!("no span {name}: {:?}", names(&spans)))
        };
        let root = named("invoke_workflow messages");
        assert_eq!(
            (hex(&root.trace_id), hex(&root.parent_span_id)),
            (TRACE.to_owned(), CALLER.to_owned())
        );
        for step in STEPS {
            let span = named(step);
            assert_eq!(hex(&span.parent_span_id), hex(&root.span_id), "{step}");
            assert_eq!(span.kind(), SpanKind::Internal, "{step}");
            assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
        }
        let call = named("chat anthropic/claude-sonnet-5.5");
        assert_eq!(call.kind(), SpanKind::Client);
        assert_eq!(
            hex(&call.parent_span_id),
            hex(&named("call_upstream").span_id)
        );
        for (name, value) in CALL_ATTRIBUTES {
            assert!(
                attribute(call, name).contains(value),
                "{name}: {}",
                attribute(call, name)
            );
        }
        assert!(attribute(call, "gen_ai.usage.input_tokens").contains("IntValue"));
        assert!(attribute(root, "dagway.request.id").contains(got.header("request-id")));
        let sent = app
            .simulator
            .requests()
            .into_iter()
            .rfind(|seen| seen.path.ends_with("completions"))
            .unwrap();
        let traceparent = sent
            .header("traceparent")
            .expect("the trace goes on upstream");
        assert_eq!(traceparent, format!("00-{TRACE}-{}-01", hex(&call.span_id)));
        app.stop().await;
    });
}

#[test]
fn a_tracestate_goes_on_with_its_trace_and_not_without() {
    block_on(async {
        let app = TestApp::start().await;
        let sent = async |caller: &str| {
            let request = app
                .http
                .post(app.url("/v1/messages"))
                .header("traceparent", format!("00-{TRACE}-{caller}-01"))
                .header("tracestate", "congo=t61rcWkgMzE")
                .header("tracestate", "rojo=00f067aa0ba902b7");
            let got = read(request.body(ask("hello").to_string()).send().await.unwrap()).await;
            assert_eq!(got.status, 200, "{}", got.body);
            let mut requests = app.simulator.requests().into_iter();
            let last = requests.rfind(|seen| seen.path.ends_with("completions"));
            last.unwrap().header("tracestate").map(str::to_owned)
        };
        let state = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7";
        assert_eq!(sent(CALLER).await.as_deref(), Some(state));
        assert_eq!(sent("0000000000000000").await, None);
        app.stop().await;
    });
}

#[test]
fn a_failed_run_is_a_failed_trace() {
    block_on(async {
        let collector = Collector::start();
        let endpoint = collector.endpoint().to_owned();
        let app = TestApp::start_with(|settings| settings.telemetry.endpoint = endpoint).await;
        let mut body = ask("hello");
        body["max_tokens"] = "many".into();
        let got = app.messages(&body).await;
        assert_eq!(got.status, 400);
        let spans = collector
            .wait_until(|seen| seen.spans.len() >= 2)
            .await
            .spans;
        assert_eq!(names(&spans), ["invoke_workflow messages", "validate"]);
        for span in &spans {
            let status = span.status.as_ref().unwrap();
            assert!(status.message.contains("max_tokens"), "{status:?}");
        }
        app.stop().await;
    });
}

#[test]
fn a_collector_that_is_down_costs_requests_nothing() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.telemetry.endpoint = "http://127.0.0.1:9".to_owned();
        })
        .await;
        for _ in 0..20 {
            let got = app.messages(&ask("hello")).await;
            assert_eq!(got.status, 200);
            assert_eq!(app.ended_run(&got.run()).await["state"], "Completed");
        }
        app.stop().await;
    });
}

#[test]
fn a_collector_that_is_silent_or_refuses_costs_requests_nothing() {
    block_on(async {
        let collector = Collector::start();
        let endpoint = collector.endpoint().to_owned();
        let app = TestApp::start_with(|settings| settings.telemetry.endpoint = endpoint).await;
        let mut exports = 0;
        for answer in [Answer::Silence, Answer::Refuse(400)] {
            collector.answer(answer);
            let got = app.messages(&ask("hello")).await;
            assert_eq!(got.status, 200);
            assert_eq!(app.ended_run(&got.run()).await["state"], "Completed");
            exports = collector
                .wait_until(|seen| seen.requests > exports)
                .await
                .requests;
        }
        app.stop().await;
    });
}

fn names(spans: &[Span]) -> Vec<&str> {
    let mut names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    names
}
