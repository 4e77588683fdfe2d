//! A receiver of traces that others have written: `oteltap` (`PyPI`), which decodes OTLP by OpenTelemetry's own definitions
//! for Python and prints each span as a line of JSON.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Lane, Program, Stage, free_port, in_this_folder, needed};

const SOON: Duration = Duration::from_secs(30);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
/// A rate limit that is gone at the second attempt.
const ONCE: &str =
    r#"SIM[{"turns":[{"text":"hello","fail":{"status":429,"times":1,"retry_after":1}}]}]"#;

/// The spans of one trace.
struct Trace(Vec<Value>);

impl Trace {
    /// Those of the lines with this trace's id.
    fn of(lines: &str, id: &str) -> Self {
        let spans = lines
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        Self(spans.filter(|span: &Value| span["traceId"] == id).collect())
    }

    fn span(&self, name: &str) -> &Value {
        let found = self.0.iter().find(|span| span["name"] == name);
        found.unwrap_or_else(|| panic!("no span {name} in {:?}", self.0))
    }
}

fn attribute<'a>(of: &'a Value, name: &str) -> &'a Value {
    let all = of["attributes"].as_array().expect("there are attributes");
    let found = all.iter().find(|attribute| attribute["key"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name} in {of}"));
    &found["value"]
}

async fn ask(stage: &Stage, text: &str) -> (u16, String) {
    let body = json!({ "model": "openai/gpt-5", "max_tokens": 64, "stream": true,
        "messages": [{ "role": "user", "content": text }] });
    let asked = stage
        .http
        .post(format!("{}/v1/messages", stage.url))
        .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
        .body(body.to_string());
    let answer = asked.send().await.expect("dagway answers");
    let status = answer.status().as_u16();
    (status, answer.text().await.expect("the answer ends"))
}

#[tokio::test]
async fn another_receiver_reads_a_run_as_one_trace() {
    let tap = needed("oteltap", &[in_this_folder(".venv/bin/oteltap")]);
    let port = free_port();
    let arguments = ["--port", &port, "--await-span", "^log_usage$"];
    let tap = Program::start(&tap, &arguments, &std::env::temp_dir(), &[]);
    let address = tap.listening_on(&port).await;
    let settings = format!("[telemetry]\nendpoint = 'http://{address}'\n");
    let stage = Stage::with(Lane::Chat, &settings).await;
    let (status, answer) = ask(&stage, ONCE).await;
    assert_eq!(status, 200, "{answer}");
    let lines = tap.end(SOON).await.succeeded("oteltap");
    let trace = Trace::of(&lines, TRACE);
    let run = trace.span("invoke_workflow messages");
    assert_eq!(run["parentSpanId"], CALLER);
    for step in [
        "validate",
        "map_model",
        "convert_messages",
        "build_request",
        "convert_response",
        "log_usage",
    ] {
        let span = trace.span(step);
        assert_eq!(span["parentSpanId"], run["spanId"], "{step}");
        assert_eq!(span["status"]["code"], 0, "{span}");
    }
    let step = trace.span("call_upstream");
    assert_eq!(step["events"][0]["name"], "retry", "{step}");
    let said = attribute(&step["events"][0], "error.message");
    assert!(
        said["stringValue"]
            .as_str()
            .is_some_and(|said| said.contains("Rate limit")),
        "{said}"
    );
    let call = trace.span("chat openai/gpt-5");
    assert_eq!(call["parentSpanId"], step["spanId"]);
    assert_eq!(call["kind"], 3, "a client's span");
    let model = attribute(call, "gen_ai.request.model");
    assert_eq!(model["stringValue"], "openai/gpt-5");
    let reason = attribute(call, "gen_ai.response.finish_reasons");
    assert_eq!(reason["arrayValue"]["values"][0]["stringValue"], "end_turn");
    stage.close().await;
}

#[tokio::test]
async fn another_receiver_reads_why_a_run_failed() {
    let tap = needed("oteltap", &[in_this_folder(".venv/bin/oteltap")]);
    let port = free_port();
    let arguments = ["--port", &port, "--await-span", "^chat "];
    let tap = Program::start(&tap, &arguments, &std::env::temp_dir(), &[]);
    let address = tap.listening_on(&port).await;
    let settings = format!("[telemetry]\nendpoint = 'http://{address}'\n");
    let stage = Stage::with(Lane::Chat, &settings).await;
    let refused = r#"SIM[{"turns":[{"text":"hello","fail":{"status":402,"times":9}}]}]"#;
    let (status, answer) = ask(&stage, refused).await;
    assert_eq!(status, 402, "{answer}");
    let lines = tap.end(SOON).await.succeeded("oteltap");
    let trace = Trace::of(&lines, TRACE);
    for name in [
        "invoke_workflow messages",
        "call_upstream",
        "chat openai/gpt-5",
    ] {
        let span = trace.span(name);
        assert_eq!(span["status"]["code"], 2, "{span}");
        let message = span["status"]["message"].as_str();
        assert!(
            message.is_some_and(|text| text.contains("simulated")),
            "{span}"
        );
    }
    let call = trace.span("chat openai/gpt-5");
    let kind = attribute(call, "error.type");
    assert_eq!(kind["stringValue"], "billing_error");
    stage.close().await;
}
