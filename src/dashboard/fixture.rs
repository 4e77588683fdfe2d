//! Runs as the recorder would have left them, and a store in memory that holds them. For tests alone.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::dashboard::{Dashboard, Workflows};
use crate::events::{
    Carries, EdgeInfo, FactValue, Level, PlanInfo, RunId, State, StepIndex, StepInfo, Timestamp,
};
use crate::facts;
use crate::store::{
    By, Changed, Error, Figure, LogLine, PayloadInfo, Preview, RunDetail, RunFilter, RunPage,
    RunSummary, StateChange, StepRun, Store, Totals, Usage,
};

/// The place of `call_upstream` in [`messages_plan`].
pub(crate) const CALL_UPSTREAM: usize = 5;

/// The moment at which the fixture's pages are looked at.
pub(crate) fn now() -> Timestamp {
    Timestamp(1_795_337_652_000_000)
}

const SOURCE: &str = r#"# Turns an Anthropic message request into an upstream request and streams the answer back.
name  = "messages"
route = "POST /v1/messages"
reply = "convert_response"

[steps.validate]
needs = ["request"]

[steps.map_model]
needs = ["validate"]
with  = { aliases = { big = "anthropic/claude-sonnet-4.5" } }

[steps.convert_messages]
needs = ["validate"]

[steps.convert_tools]
needs = ["validate"]

[steps.build_request]
needs = ["validate", "map_model", "convert_messages", "convert_tools"]

[steps.call_upstream]
needs   = ["build_request"]
timeout = "60s"                              # to the first byte
retry   = { attempts = 3, backoff = "exponential", base = "250ms", max = "8s", jitter = true, honour_retry_after = true }

[steps.convert_response]
needs = ["validate", "call_upstream"]

[steps.price_usage]                          # starts when the answer has ended
needs    = ["map_model", "convert_response"]

[steps.log_usage]
needs    = ["price_usage"]
optional = true                              # its failure does not fail the run
"#;

/// Name, line about itself, what it takes, what it gives.
const TASKS: [(&str, &str, &str, &str); 9] = [
    (
        "validate",
        "Checks that the request is one that can be served",
        "ClientRequest",
        "ValidRequest",
    ),
    (
        "map_model",
        "Maps the model the client asked for",
        "ValidRequest",
        "ModelChoice",
    ),
    (
        "convert_messages",
        "Converts the conversation to chat messages",
        "ValidRequest",
        "ChatMessages",
    ),
    (
        "convert_tools",
        "Converts tool definitions",
        "ValidRequest",
        "ChatTools",
    ),
    (
        "build_request",
        "Builds the upstream request",
        "ChatMessages",
        "UpstreamRequest",
    ),
    (
        "call_upstream",
        "Sends the request and waits for the first byte",
        "UpstreamRequest",
        "UpstreamReply",
    ),
    (
        "convert_response",
        "Translates the answer while it streams",
        "UpstreamReply",
        "ClientReply",
    ),
    (
        "price_usage",
        "Prices the tokens that were used",
        "ReplySummary",
        "Price",
    ),
    (
        "log_usage",
        "Writes the usage into the run's log",
        "Price",
        "()",
    ),
];

/// A plan like the one that serves messages.
pub(crate) fn messages_plan() -> PlanInfo {
    let steps = TASKS
        .iter()
        .map(|(name, about, takes, gives)| StepInfo {
            name: (*name).to_owned(),
            task: (*name).to_owned(),
            about: (*about).to_owned(),
            with: if *name == "map_model" {
                r#"{"aliases":{"big":"anthropic/claude-sonnet-4.5"}}"#.to_owned()
            } else {
                "{}".to_owned()
            },
            optional: *name == "log_usage",
            timeout: (*name == "call_upstream").then(|| Duration::from_secs(60)),
            retry: (*name == "call_upstream").then(|| crate::events::Retry {
                attempts: 3,
                backoff: crate::events::Backoff::Exponential,
                base: Duration::from_millis(250),
                max: Duration::from_secs(8),
                jitter: true,
                honour_retry_after: true,
                timeouts: true,
            }),
            limit: (*name == "call_upstream").then_some(8),
            takes: vec![(*takes).to_owned()],
            gives: vec![(*gives).to_owned()],
        })
        .collect();
    PlanInfo {
        name: "messages".to_owned(),
        about: "Turns an Anthropic message request into an upstream request and streams the answer back.".to_owned(),
        file: "workflows/messages.toml".to_owned(),
        source: SOURCE.to_owned(),
        route: Some("POST /v1/messages".to_owned()),
        hash: "5f1d0c2a9be84e7716a3c0ffee5eed01".to_owned(),
        reply: 6,
        steps,
        edges: edges(),
    }
}

fn edges() -> Vec<EdgeInfo> {
    let shared = |name: &str| Carries::Shared(name.to_owned());
    let edge =
        |from: Option<StepIndex>, to: StepIndex, carries: Carries| EdgeInfo { from, to, carries };
    vec![
        edge(None, 0, shared("ClientRequest")),
        edge(Some(0), 1, shared("ValidRequest")),
        edge(Some(0), 2, shared("ValidRequest")),
        edge(Some(0), 3, shared("ValidRequest")),
        edge(Some(0), 4, shared("ValidRequest")),
        edge(Some(1), 4, shared("ModelChoice")),
        edge(Some(2), 4, shared("ChatMessages")),
        edge(Some(3), 4, shared("ChatTools")),
        edge(Some(4), 5, shared("UpstreamRequest")),
        edge(Some(0), 6, shared("ValidRequest")),
        edge(Some(5), 6, Carries::Owned("UpstreamReply".to_owned())),
        edge(Some(1), 7, shared("ModelChoice")),
        edge(Some(6), 7, Carries::End("ReplySummary".to_owned())),
        edge(Some(6), 8, Carries::End("ReplySummary".to_owned())),
        edge(Some(7), 8, shared("Price")),
    ]
}

/// A small plan beside it.
pub(crate) fn count_tokens_plan() -> PlanInfo {
    let mut plan = messages_plan();
    plan.name = "count_tokens".to_owned();
    plan.about = "Counts the tokens of a request without sending it anywhere.".to_owned();
    plan.file = "workflows/count_tokens.toml".to_owned();
    plan.source = "# Counts the tokens of a request without sending it anywhere.\nname  = \"count_tokens\"\nroute = \"POST /v1/messages/count_tokens\"\nreply = \"count_tokens\"\n\n[steps.validate]\nneeds = [\"request\"]\n\n[steps.count_tokens]\nneeds = [\"validate\"]\n".to_owned();
    plan.route = Some("POST /v1/messages/count_tokens".to_owned());
    plan.hash = "0badcafe0badcafe0badcafe0badcafe".to_owned();
    plan.reply = 1;
    plan.steps.truncate(2);
    if let Some(step) = plan.steps.get_mut(1) {
        "count_tokens".clone_into(&mut step.name);
        "count_tokens".clone_into(&mut step.task);
        "Counts with the tokenizer nearest to the model's".clone_into(&mut step.about);
        "{}".clone_into(&mut step.with);
    }
    plan.edges.truncate(2);
    plan
}

/// A plan of `steps` steps, each of which needs the request or steps before it.
pub(crate) fn random_plan(steps: u16, links: &[(u16, u16)]) -> PlanInfo {
    let mut plan = messages_plan();
    let model = plan.steps[0].clone();
    plan.hash = "random".to_owned();
    plan.steps = (0..steps)
        .map(|index| StepInfo {
            name: format!("step_{}", "x".repeat(usize::from(index) * 3)),
            ..model.clone()
        })
        .collect();
    plan.edges = links
        .iter()
        .filter_map(|(a, b)| {
            let (from, to) = (a % steps, b % steps);
            (from < to).then_some(EdgeInfo {
                from: Some(from),
                to,
                carries: Carries::Order,
            })
        })
        .collect();
    for to in 0..steps {
        if plan.edges.iter().all(|edge| edge.to != to) {
            plan.edges.push(EdgeInfo {
                from: None,
                to,
                carries: Carries::Shared("Request".to_owned()),
            });
        }
    }
    plan
}

/// An id whose order is that of `at`.
pub(crate) fn id(at: Timestamp, sequence: u16) -> RunId {
    let millis = u64::try_from(at.0 / 1_000).unwrap();
    let mut bytes = [0x5a; 16];
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    bytes[6] = 0x70;
    bytes[8] = 0x80;
    bytes[14..].copy_from_slice(&sequence.to_be_bytes());
    RunId::from_bytes(bytes)
}

struct Change(i64, State, u16, Option<&'static str>, Option<u64>);

fn step(start: Timestamp, index: StepIndex, changes: &[Change]) -> StepRun {
    let history: Vec<StateChange> = changes
        .iter()
        .map(
            |Change(offset, state, attempt, message, retry_ms)| StateChange {
                at: Timestamp(start.0 + offset),
                state: *state,
                attempt: *attempt,
                message: message.map(str::to_owned),
                retry_in: retry_ms.map(Duration::from_millis),
            },
        )
        .collect();
    let last = history.last();
    let state = last.map_or(State::Pending, |change| change.state);
    StepRun {
        step: index,
        state,
        streaming: false,
        started: history
            .iter()
            .find(|change| change.state == State::Running)
            .map(|change| change.at),
        ended: last
            .filter(|change| change.state.is_final())
            .map(|change| change.at),
        attempts: history
            .iter()
            .map(|change| change.attempt)
            .max()
            .unwrap_or(0),
        error: history
            .iter()
            .rev()
            .find_map(|change| change.message.clone()),
        history,
        outputs: Vec::new(),
    }
}

fn done(start: Timestamp, index: StepIndex, from: i64, to: i64) -> StepRun {
    step(
        start,
        index,
        &[
            Change(0, State::Pending, 0, None, None),
            Change(from, State::Running, 1, None, None),
            Change(to, State::Completed, 1, None, None),
        ],
    )
}

fn preparation(start: Timestamp) -> Vec<StepRun> {
    let mut steps = vec![
        done(start, 0, 18, 61),
        done(start, 1, 66, 74),
        done(start, 2, 66, 151),
        done(start, 3, 67, 118),
        done(start, 4, 155, 193),
    ];
    let output = |artifact: &str, json: &str| Preview {
        artifact: artifact.to_owned(),
        json: json.to_owned(),
        truncated: false,
    };
    steps[0].outputs.push(output("ValidRequest", r#"{"model":"claude-sonnet-4-5","max_tokens":32000,"stream":true,"messages":41,"tools":17}"#));
    steps[1].outputs.push(output("ModelChoice", r#"{"asked":"claude-sonnet-4-5","send":"anthropic/claude-sonnet-4.5","because":"a dated or plain Claude name"}"#));
    steps[2].outputs.push(Preview {
        artifact: "ChatMessages".to_owned(),
        json: r#"[{"role":"system","content":[{"type":"text","text":"You are a careful engineer.","cache_control":{"type":"ephemeral"}}]},{"role":"user","content":"List the files, then read the two largest and tell me"#.to_owned(),
        truncated: true,
    });
    steps[3].outputs.push(output("ChatTools", r#"[{"type":"function","function":{"name":"Bash","parameters":{"type":"object","properties":{"command":{"type":"string"}},"required":["command"]}}}]"#));
    steps[4].outputs.push(output(
        "UpstreamRequest",
        r#"{"model":"anthropic/claude-sonnet-4.5","stream":true,"bytes":96214}"#,
    ));
    steps
}

fn text(value: &str) -> FactValue {
    value.into()
}

fn summary(start: Timestamp, sequence: u16, plan: &PlanInfo) -> RunSummary {
    let facts = [
        (facts::MODEL_ASKED, text("claude-sonnet-4-5")),
        (facts::MODEL_SENT, text("anthropic/claude-sonnet-4.5")),
        (facts::MODEL_USED, text("anthropic/claude-sonnet-4.5")),
        (facts::PROVIDER, text("openrouter")),
        (facts::PROVIDER_BEHIND, text("Anthropic")),
        (facts::SESSION, text("6f0c1a52-2f7e-4d51-9d0e-aa5f1be0c7e1")),
        (facts::STREAM, FactValue::Bool(true)),
        (facts::FIRST_TOKEN, FactValue::Float(0.612)),
        (facts::INPUT_TOKENS, FactValue::Int(48_213)),
        (facts::CACHE_READ_TOKENS, FactValue::Int(45_120)),
        (facts::CACHE_WRITE_TOKENS, FactValue::Int(2_304)),
        (facts::OUTPUT_TOKENS, FactValue::Int(1_187)),
        (facts::REASONING_TOKENS, FactValue::Int(402)),
        (facts::COST_USD, FactValue::Float(0.0414)),
        (facts::OVERHEAD_US, FactValue::Int(241)),
        (facts::FINISH_REASON, text("tool_use")),
        (facts::STATUS, FactValue::Int(200)),
        (
            facts::USER_AGENT,
            text("claude-cli/2.1.330 (external, cli)"),
        ),
        (facts::SERVER_ADDRESS, text("openrouter.ai")),
    ];
    RunSummary {
        id: id(start, sequence),
        state: State::Completed,
        streaming: false,
        workflow: plan.name.clone(),
        plan: plan.hash.clone(),
        request_id: format!("req_{sequence:04x}c0ffee5eed01"),
        trace_id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
        started: start,
        replied: None,
        ended: None,
        error: None,
        pieces: 0,
        bytes: 0,
        facts: facts
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<BTreeMap<_, _>>(),
    }
}

fn payloads() -> Vec<PayloadInfo> {
    let usual = facts::payload::ALL
        .iter()
        .filter(|name| !facts::payload::UPSTREAM_REQUEST_AGAIN.contains(name));
    usual
        .map(|name| PayloadInfo {
            name: (*name).to_owned(),
            bytes: u64::try_from(payload_text(name).len()).unwrap(),
            gone: false,
        })
        .collect()
}

fn payload_text(name: &str) -> String {
    match name {
        facts::payload::CLIENT_REQUEST => r#"{"model":"claude-sonnet-4-5","max_tokens":32000,"stream":true,"system":[{"type":"text","text":"You are a careful engineer.","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":[{"type":"text","text":"List the files, then read the two largest and tell me what they have in common."}]}],"tools":[{"name":"Bash","input_schema":{"type":"object","properties":{"command":{"type":"string"}},"required":["command"]}}],"metadata":{"user_id":null},"temperature":1.0}"#.to_owned(),
        "upstream.request" | "upstream.request.2" | "upstream.request.3" => r#"{"model":"anthropic/claude-sonnet-4.5","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"system","content":"You are a careful engineer."},{"role":"user","content":"List the files, then read the two largest and tell me what they have in common."}],"usage":{"include":true}}"#.to_owned(),
        facts::payload::UPSTREAM_RESPONSE => ": OPENROUTER PROCESSING\n\ndata: {\"id\":\"gen-1\",\"provider\":\"Anthropic\",\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"I will look\"}}]}\n\ndata: {\"id\":\"gen-1\",\"choices\":[{\"delta\":{\"content\":\" at the files.\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n".to_owned(),
        facts::payload::CLIENT_RESPONSE => "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"gen-1\",\"role\":\"assistant\",\"content\":[]}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"I will look\"}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n".to_owned(),
        facts::payload::CLIENT_REQUEST_HEADERS => r#"{"host":"127.0.0.1:4000","user-agent":"claude-cli/2.1.330 (external, cli)","x-api-key":"sk-leaked","anthropic-beta":["a","b"],"content-type":"application/json"}"#.to_owned(),
        facts::payload::UPSTREAM_REQUEST_HEADERS => r#"{"authorization":"Bearer sk-leaked","content-type":"application/json","http-referer":"https://dagway.dev","x-title":"Dagway"}"#.to_owned(),
        facts::payload::UPSTREAM_REFUSALS => concat!(
            r#"{"attempt":1,"status":429,"headers":{"retry-after":"1","set-cookie":"session=sk-leaked"},"body":{"error":{"code":429,"message":"slow down"}}}"#,
            "\n",
            r#"{"attempt":2,"status":502,"headers":{},"body":"<html>bad gateway</html>"}"#,
            "\n",
        )
        .to_owned(),
        _ => r#"{"content-type":"text/event-stream","cache-control":"no-cache","set-cookie":"session=sk-leaked"}"#.to_owned(),
    }
}

fn detail(mut summary: RunSummary, steps: Vec<StepRun>) -> RunDetail {
    let plan = messages_plan();
    let last = steps.iter().filter_map(|step| step.ended).max();
    if summary.state.is_final() {
        summary.ended = last;
    }
    let logs = vec![
        LogLine {
            at: Timestamp(summary.started.0 + 72),
            step: Some(1),
            level: Level::Info,
            message: "claude-sonnet-4-5 is anthropic/claude-sonnet-4.5 upstream".to_owned(),
        },
        LogLine {
            at: Timestamp(summary.started.0 + 140),
            step: Some(2),
            level: Level::Debug,
            message: "41 messages, 17 tools, 3 cache breakpoints".to_owned(),
        },
        LogLine {
            at: Timestamp(summary.started.0 + 612_000),
            step: Some(5),
            level: Level::Info,
            message: "status 200 from openrouter.ai, provider Anthropic".to_owned(),
        },
    ];
    RunDetail {
        summary,
        plan,
        steps,
        logs,
        request: Some(Preview {
            artifact: "ClientRequest".to_owned(),
            json: r#"{"model":"claude-sonnet-4-5","max_tokens":32000,"stream":true}"#.to_owned(),
            truncated: false,
        }),
        payloads: payloads(),
    }
}

fn at(minutes_ago: i64) -> Timestamp {
    Timestamp(now().0 - minutes_ago * 60_000_000)
}

/// A run in which everything went well.
pub(crate) fn completed_run() -> RunDetail {
    completed_at(at(2), 1, 3_420_000)
}

/// One that started at `start` and took `micros`.
pub(crate) fn completed_at(start: Timestamp, sequence: u16, micros: i64) -> RunDetail {
    let first = micros / 5;
    let mut steps = preparation(start);
    steps.push(done(start, 5, 196, micros - 240));
    steps.push(done(start, 6, first + 8, micros - 210));
    steps.push(done(start, 7, micros - 190, micros - 120));
    steps.push(done(start, 8, micros - 110, micros));
    let mut summary = summary(start, sequence, &messages_plan());
    summary.replied = Some(Timestamp(start.0 + first + 30));
    summary.pieces = 214;
    summary.bytes = 48_112;
    summary.facts.insert(
        facts::FIRST_TOKEN.to_owned(),
        FactValue::Float(first as f64 / 1e6),
    );
    detail(summary, steps)
}

/// A run whose upstream refused twice.
pub(crate) fn retried_run() -> RunDetail {
    let start = at(7);
    let mut steps = preparation(start);
    let busy = Some("the upstream answered 429: rate limit exceeded, try again in 1 s");
    let down = Some("the upstream answered 503: no provider is available");
    steps.push(step(
        start,
        5,
        &[
            Change(0, State::Pending, 0, None, None),
            Change(196, State::Running, 1, None, None),
            Change(182_000, State::Retrying, 1, busy, Some(1_000)),
            Change(1_184_000, State::Running, 2, None, None),
            Change(1_402_000, State::Retrying, 2, down, Some(512)),
            Change(1_915_000, State::Running, 3, None, None),
            Change(4_099_600, State::Completed, 3, None, None),
        ],
    ));
    steps.push(done(start, 6, 2_400_000, 4_099_700));
    steps.push(done(start, 7, 4_099_720, 4_099_790));
    steps.push(done(start, 8, 4_099_800, 4_100_000));
    let mut summary = summary(start, 2, &messages_plan());
    summary.replied = Some(Timestamp(start.0 + 2_400_050));
    let first = FactValue::Float(2.4);
    summary
        .facts
        .insert(facts::FIRST_FOR_CLIENT.to_owned(), first);
    let retries = FactValue::Int(2);
    summary.facts.insert(facts::RETRIES.to_owned(), retries);
    detail(summary, steps)
}

/// A run that ended in an error.
pub(crate) fn failed_run() -> RunDetail {
    let start = at(12);
    let error = "the upstream answered 402: this request needs more credits, or fewer max_tokens; add credits at https://openrouter.ai/settings/credits";
    let mut steps = preparation(start);
    steps.push(step(
        start,
        5,
        &[
            Change(0, State::Pending, 0, None, None),
            Change(196, State::Running, 1, None, None),
            Change(241_300, State::Failed, 1, Some(error), None),
        ],
    ));
    for index in 6..9 {
        steps.push(step(
            start,
            index,
            &[
                Change(0, State::Pending, 0, None, None),
                Change(241_310, State::Skipped, 0, None, None),
            ],
        ));
    }
    let mut summary = summary(start, 3, &messages_plan());
    summary.state = State::Failed;
    summary.error = Some(error.to_owned());
    for name in [
        facts::MODEL_USED,
        facts::PROVIDER_BEHIND,
        facts::FIRST_TOKEN,
        facts::INPUT_TOKENS,
        facts::CACHE_READ_TOKENS,
        facts::CACHE_WRITE_TOKENS,
        facts::OUTPUT_TOKENS,
        facts::REASONING_TOKENS,
        facts::COST_USD,
        facts::FINISH_REASON,
    ] {
        summary.facts.remove(name);
    }
    summary
        .facts
        .insert(facts::STATUS.to_owned(), FactValue::Int(402));
    summary
        .facts
        .insert(facts::ERROR_TYPE.to_owned(), text("billing_error"));
    let mut run = detail(summary, steps);
    run.logs.truncate(2);
    run.logs.push(LogLine {
        at: Timestamp(start.0 + 241_300),
        step: Some(5),
        level: Level::Error,
        message: error.to_owned(),
    });
    run
}

/// A run whose answer is passing at [`now`].
pub(crate) fn streaming_run() -> RunDetail {
    let start = Timestamp(now().0 - 2_350_000);
    let mut steps = preparation(start);
    let running = |index, from| {
        let mut running = step(
            start,
            index,
            &[
                Change(0, State::Pending, 0, None, None),
                Change(from, State::Running, 1, None, None),
            ],
        );
        running.streaming = true;
        running
    };
    steps.push(running(5, 196));
    steps.push(running(6, 702_100));
    steps.push(step(start, 7, &[Change(0, State::Pending, 0, None, None)]));
    steps.push(step(start, 8, &[Change(0, State::Pending, 0, None, None)]));
    let mut summary = summary(start, 4, &messages_plan());
    summary.state = State::Running;
    summary.streaming = true;
    summary.replied = Some(Timestamp(start.0 + 702_160));
    let first = FactValue::Float(0.702);
    summary
        .facts
        .insert(facts::FIRST_FOR_CLIENT.to_owned(), first);
    summary.pieces = 87;
    summary.bytes = 21_400;
    for name in [
        facts::OUTPUT_TOKENS,
        facts::REASONING_TOKENS,
        facts::COST_USD,
        facts::FINISH_REASON,
    ] {
        summary.facts.remove(name);
    }
    summary
        .facts
        .insert(facts::AGENT.to_owned(), text("a4f1-explore"));
    let mut run = detail(summary, steps);
    run.payloads.truncate(4);
    run
}

/// What stands in every text of [`hostile_run`].
pub(crate) const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> \u{202e}evil\u{202c} <hx-partial hx-target=\"body\">";

/// A run whose every text wants to be markup, or is very long.
pub(crate) fn hostile_run() -> RunDetail {
    let mut run = failed_run();
    let long = format!("{HOSTILE}{}", "wide".repeat(1_250));
    let start = at(15);
    run.summary.id = id(start, 5);
    run.summary.started = start;
    run.summary.error = Some(long.clone());
    for name in [
        facts::MODEL_ASKED,
        facts::MODEL_SENT,
        facts::MODEL_USED,
        facts::PROVIDER,
        facts::PROVIDER_BEHIND,
        facts::SESSION,
        facts::AGENT,
        facts::USER_AGENT,
        facts::ERROR_TYPE,
        facts::FALLBACK_MODEL,
        facts::FALLBACK_AFTER,
        facts::FALLBACK_BY,
        facts::REPLAY_OF,
    ] {
        run.summary.facts.insert(name.to_owned(), text(&long));
    }
    run.summary.request_id = HOSTILE.to_owned();
    for line in &mut run.logs {
        line.message.clone_from(&long);
    }
    for step in &mut run.steps {
        step.error = Some(long.clone());
        for change in &mut step.history {
            change.message = Some(long.clone());
        }
        step.outputs = vec![Preview {
            artifact: HOSTILE.to_owned(),
            json: format!("{{\"{HOSTILE}\":[\"{long}"),
            truncated: true,
        }];
    }
    for step in &mut run.plan.steps {
        step.about = HOSTILE.to_owned();
        step.name = format!("{HOSTILE}{}", step.name);
        step.with = format!("{{\"a\":\"{HOSTILE}\"}}");
    }
    run.plan.source = HOSTILE.to_owned();
    run.plan.about = HOSTILE.to_owned();
    run.plan.hash = "hostile".to_owned();
    for edge in &mut run.plan.edges {
        edge.carries = Carries::Shared(HOSTILE.to_owned());
    }
    run
}

/// One of each, newest first.
pub(crate) fn all_runs() -> Vec<RunDetail> {
    vec![
        streaming_run(),
        completed_run(),
        retried_run(),
        failed_run(),
        hostile_run(),
    ]
}

/// Runs in memory, newest first.
pub(crate) struct FakeStore {
    pub(crate) runs: Mutex<Vec<RunDetail>>,
    /// By name, or by run and name.
    pub(crate) payloads: HashMap<String, Vec<u8>>,
    pub(crate) takes_writes: bool,
    /// Whoever asks if it is ready waits for ever.
    pub(crate) is_silent: bool,
    /// Adding up takes longer than a read may.
    pub(crate) is_slow: bool,
    /// So many of the next reads of rows fail.
    pub(crate) failures: AtomicU32,
}

impl FakeStore {
    /// Holds these runs, whose payloads are all the same.
    pub(crate) fn new(runs: Vec<RunDetail>) -> Self {
        let payloads = facts::payload::ALL
            .iter()
            .map(|name| ((*name).to_owned(), payload_text(name).into_bytes()))
            .collect();
        Self {
            runs: Mutex::new(runs),
            payloads,
            takes_writes: true,
            is_silent: false,
            is_slow: false,
            failures: AtomicU32::new(0),
        }
    }

    fn summaries(&self) -> Vec<RunSummary> {
        let runs = self.runs.lock().unwrap();
        runs.iter().map(|run| run.summary.clone()).collect()
    }
}

#[async_trait]
impl Store for FakeStore {
    async fn runs(
        &self,
        filter: &RunFilter,
        after: Option<RunId>,
        limit: u16,
    ) -> Result<RunPage, Error> {
        let mut runs: Vec<RunSummary> = self
            .summaries()
            .into_iter()
            .filter(|run| {
                after.is_none_or(|after| run.id < after) && filter.admits(run, Timestamp::now())
            })
            .collect();
        let limit = usize::from(limit);
        let next = (runs.len() > limit).then(|| runs[limit - 1].id);
        runs.truncate(limit);
        Ok(RunPage { runs, next })
    }

    async fn runs_by(
        &self,
        figure: Figure,
        filter: &RunFilter,
        after: Option<RunId>,
        limit: u16,
    ) -> Result<RunPage, Error> {
        let mut runs = self.runs(filter, None, u16::MAX).await?.runs;
        let now = Timestamp::now();
        let tokens = |run: &RunSummary| {
            run.int(facts::INPUT_TOKENS).unwrap_or(0) + run.int(facts::OUTPUT_TOKENS).unwrap_or(0)
        };
        runs.sort_by(|one, other| match figure {
            Figure::Duration => other.duration(now).cmp(&one.duration(now)),
            Figure::Cost => {
                let cost = |run: &RunSummary| run.float(facts::COST_USD).unwrap_or(-1.0);
                cost(other).total_cmp(&cost(one))
            }
            Figure::Tokens => tokens(other).cmp(&tokens(one)),
        });
        if let Some(after) = after {
            let behind = runs.iter().position(|run| run.id == after);
            runs.drain(..behind.map_or(runs.len(), |last| last + 1));
        }
        let limit = usize::from(limit);
        let next = (runs.len() > limit).then(|| runs[limit - 1].id);
        runs.truncate(limit);
        Ok(RunPage { runs, next })
    }

    async fn runs_by_id(&self, ids: &[RunId]) -> Result<Vec<RunSummary>, Error> {
        let failures = &self.failures;
        let fail = |left: u32| left.checked_sub(1);
        if failures.fetch_update(Relaxed, Relaxed, fail).is_ok() {
            return Err(Error::Corrupt("for a test".to_owned()));
        }
        let mut runs = self.summaries();
        runs.retain(|run| ids.contains(&run.id));
        Ok(runs)
    }

    async fn run(&self, id: RunId) -> Result<Option<RunDetail>, Error> {
        let runs = self.runs.lock().unwrap();
        Ok(runs.iter().find(|run| run.summary.id == id).cloned())
    }

    async fn payload(&self, id: RunId, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let runs = self.runs.lock().unwrap();
        let has = runs.iter().any(|run| {
            run.summary.id == id && run.payloads.iter().any(|payload| payload.name == name)
        });
        let own = self.payloads.get(&format!("{id} {name}"));
        let text = own.or_else(|| self.payloads.get(name));
        Ok(text.filter(|_| has).cloned())
    }

    async fn plan(&self, hash: &str) -> Result<Option<PlanInfo>, Error> {
        let runs = self.runs.lock().unwrap();
        Ok(runs
            .iter()
            .find(|run| run.plan.hash == hash)
            .map(|run| run.plan.clone()))
    }

    async fn totals(&self, since: Timestamp) -> Result<Totals, Error> {
        let filter = RunFilter::accepted_since(since);
        let totals = self.totals_of(&filter, u32::MAX).await?;
        Ok(totals.unwrap_or_default())
    }

    async fn totals_of(&self, filter: &RunFilter, most: u32) -> Result<Option<Totals>, Error> {
        let runs = self.runs(filter, None, u16::MAX).await?.runs;
        Ok((runs.len() as u64 <= u64::from(most)).then(|| added_up(&runs)))
    }

    async fn oldest(&self) -> Result<Option<Timestamp>, Error> {
        let runs = self.runs.lock().unwrap();
        Ok(runs.iter().map(|run| run.summary.started).min())
    }

    async fn usage(&self, by: By, slot: Duration, filter: &RunFilter) -> Result<Usage, Error> {
        if self.is_slow {
            return Err(Error::TooSlow(Duration::from_secs(5)));
        }
        let runs = self.runs(filter, None, u16::MAX).await?.runs;
        let name = |run: &RunSummary| match by {
            By::Workflow => Some(run.workflow.clone()),
            by => by.of(|fact| run.text(fact)).map(str::to_owned),
        };
        let length = slot.as_micros() as i64;
        let begin = |run: &RunSummary| Timestamp(run.started.0 / length * length);
        let mut slots = told_apart(&runs, begin);
        slots.sort_unstable_by_key(|(begin, _)| *begin);
        Ok(Usage {
            all: added_up(&runs),
            groups: told_apart(&runs, name),
            slots,
        })
    }

    fn refuses_since(&self) -> Option<Timestamp> {
        (!self.takes_writes).then(now)
    }

    async fn ready(&self) -> Result<(), Error> {
        if self.is_silent {
            std::future::pending::<()>().await;
        }
        match self.takes_writes {
            true => Ok(()),
            false => Err(Error::Corrupt("the disk is full".to_owned())),
        }
    }
}

fn told_apart<K: Eq + Hash>(
    runs: &[RunSummary],
    name: impl Fn(&RunSummary) -> K,
) -> Vec<(K, Totals)> {
    let mut groups: HashMap<K, Vec<RunSummary>> = HashMap::new();
    for run in runs {
        groups.entry(name(run)).or_default().push(run.clone());
    }
    let groups = groups.into_iter();
    groups.map(|(name, runs)| (name, added_up(&runs))).collect()
}

fn count_state(totals: &mut Totals, state: State) {
    let mut counts = totals.by_state.iter_mut();
    match counts.find(|(counted, _)| *counted == state) {
        Some((_, count)) => *count += 1,
        None => totals.by_state.push((state, 1)),
    }
}

fn added_up(runs: &[RunSummary]) -> Totals {
    let mut totals = Totals::default();
    for run in runs {
        if run.is_replaced() {
            totals.replaced += 1;
        } else {
            count_state(&mut totals, run.state);
        }
        let int = |name| run.int(name).unwrap_or(0);
        totals.input_tokens += int(facts::INPUT_TOKENS);
        totals.cache_read_tokens += int(facts::CACHE_READ_TOKENS);
        totals.output_tokens += int(facts::OUTPUT_TOKENS);
        totals.cost_usd += run.float(facts::COST_USD).unwrap_or(0.0);
        totals.estimated += u64::from(run.is(facts::USAGE_IS_ESTIMATE));
    }
    let duration = |run: &&RunSummary| Some(run.ended?.since(run.started));
    totals.duration = runs.iter().filter_map(|run| duration(&run)).sum();
    let completed = runs.iter().filter(|run| run.state == State::Completed);
    let mut durations: Vec<Duration> = completed.filter_map(|run| duration(&run)).collect();
    durations.sort_unstable();
    let last = durations.len().saturating_sub(1);
    totals.duration_p50_p95 = durations
        .get(last / 2)
        .copied()
        .zip(durations.get(last * 95 / 100).copied());
    totals
}

/// Workflows of which none was changed.
pub(crate) fn workflows() -> Workflows {
    Workflows {
        plans: vec![Arc::new(count_tokens_plan()), Arc::new(messages_plan())],
        since: at(90),
        watched: Some("/etc/dagway/workflows".to_owned()),
        refused: None,
    }
}

/// A dashboard over these runs, and the means to say that some have changed.
pub(crate) fn dashboard(store: Arc<dyn Store>) -> (Dashboard, broadcast::Sender<Changed>) {
    let (sender, _) = broadcast::channel(16);
    let changes = sender.clone();
    let dashboard = Dashboard {
        store,
        workflows: tokio::sync::watch::channel(workflows()).1,
        changes: Arc::new(move || changes.subscribe()),
        places: crate::dashboard::Places::default(),
        closing: tokio_util::sync::CancellationToken::new(),
        notice: None,
        demands_key: false,
        trace_url: None,
        version: "0.1.0",
    };
    (dashboard, sender)
}
