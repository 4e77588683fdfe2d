//! The real Claude Code CLI works through Dagway: its answers, its tools, its mishaps, its ways to name a model.

use std::time::Duration;

use dagway::simulator::{Answer, End, Piece, Script, Seen};
use serde_json::{Value, json};

use crate::support::{Claude, Lane, Stage, Told};

fn bash(command: &str) -> Value {
    json!({ "tool": "Bash", "args": { "command": command, "description": "A step of the test" } })
}

/// The messages of a role that a request carries.
fn of_role<'a>(seen: &'a Seen, role: &str) -> Vec<&'a Value> {
    let messages = seen.body["messages"]
        .as_array()
        .expect("a request has messages");
    messages
        .iter()
        .filter(|message| message["role"] == role)
        .collect()
}

/// Every request was taken, and every run completed.
async fn all_went_well(stage: &Stage, requests: usize) -> Vec<Value> {
    let seen = stage.completions();
    let refused: Vec<&Option<String>> = seen
        .iter()
        .map(|seen| &seen.refused)
        .filter(|text| text.is_some())
        .collect();
    assert_eq!(
        refused,
        Vec::<&Option<String>>::new(),
        "the simulator refused requests"
    );
    assert_eq!(
        seen.len(),
        requests,
        "so many requests reached the upstream"
    );
    let runs = stage.runs(requests).await;
    let states: Vec<&str> = runs
        .iter()
        .filter_map(|run| run["state"].as_str())
        .collect();
    assert_eq!(states, vec!["Completed"; requests]);
    runs
}

#[tokio::test]
async fn a_plain_answer_arrives_and_its_run_has_the_figures() {
    let stage = Stage::start().await;
    let told = Claude::new(&stage)
        .ask(&json!([{ "think": "Easy.", "text": "Forty-two, äöü €😀." }]))
        .await;
    assert_eq!(told.answer(), "Forty-two, äöü €😀.");
    let runs = all_went_well(&stage, 1).await;
    let facts = &runs[0]["facts"];
    assert_eq!(facts["dagway.model.asked"], "claude-opus-5-5");
    assert_eq!(facts["gen_ai.request.model"], "anthropic/claude-opus-5.5");
    assert_eq!(facts["gen_ai.conversation.id"], told.result()["session_id"]);
    assert!(
        facts["gen_ai.usage.input_tokens"]
            .as_i64()
            .is_some_and(|tokens| tokens > 1_000),
        "{facts:#}"
    );
    assert!(
        facts["dagway.cost_usd"]
            .as_f64()
            .is_some_and(|cost| cost > 0.0),
        "{facts:#}"
    );
    let usage = &told.result()["usage"];
    assert!(
        usage["output_tokens"]
            .as_u64()
            .is_some_and(|tokens| tokens > 0),
        "{usage:#}"
    );

    let seen = stage.completions();
    let body = seen[0].body.to_string();
    assert!(
        !body.contains("x-anthropic-billing-header"),
        "the billing line goes no further"
    );
    assert!(
        !body.contains("DeferredToolPlaceholder"),
        "the placeholder is no tool"
    );
    assert!(
        seen[0].body["session_id"].is_string(),
        "the session keeps its host"
    );
    stage.close().await;
}

#[tokio::test]
async fn tools_change_real_files_and_their_results_come_back() {
    let stage = Stage::start().await;
    let claude = Claude::new(&stage);
    claude.write("existing.txt", "alpha\nbeta\n");
    let told = claude
        .ask(&json!([
            bash("echo from-bash > bash.txt && echo said-$((40 + 2))"),
            { "tool": "Write", "args": { "file_path": claude.file("new.txt"), "content": "line one\n\"quoted\" \\ back\n" } },
            { "tool": "Read", "args": { "file_path": claude.file("existing.txt") } },
            { "tool": "Edit", "args": { "file_path": claude.file("existing.txt"), "old_string": "beta", "new_string": "gamma" } },
            { "text": "All done." },
        ]))
        .await;
    assert_eq!(told.answer(), "All done.");
    told.no_tool_failed();
    assert_eq!(claude.read("bash.txt"), "from-bash\n");
    assert_eq!(claude.read("new.txt"), "line one\n\"quoted\" \\ back\n");
    assert_eq!(claude.read("existing.txt"), "alpha\ngamma\n");
    all_went_well(&stage, 5).await;
    let seen = stage.completions();
    let results = of_role(&seen[4], "tool");
    assert_eq!(results.len(), 4);
    assert!(
        results[0]["content"].to_string().contains("said-42"),
        "{}",
        results[0]
    );
    assert!(
        results[2]["content"].to_string().contains("alpha"),
        "{}",
        results[2]
    );
    stage.close().await;
}

#[tokio::test]
async fn glob_and_grep_find_what_is_there() {
    let stage = Stage::start().await;
    let claude = Claude::new(&stage).with(&["--tools", "Bash,Read,Glob,Grep"]);
    claude.write("needle.rs", "fn the_needle() {}\n");
    claude.write("hay.txt", "nothing here\n");
    let told = claude
        .ask(&json!([
            { "tool": "Glob", "args": { "pattern": "*.rs" } },
            { "tool": "Grep", "args": { "pattern": "the_needle" } },
            { "text": "Found." },
        ]))
        .await;
    assert_eq!(told.answer(), "Found.");
    told.no_tool_failed();
    all_went_well(&stage, 3).await;
    let seen = stage.completions();
    for result in of_role(&seen[2], "tool") {
        let text = result["content"].to_string();
        assert!(
            text.contains("needle.rs") && !text.contains("hay.txt"),
            "{text}"
        );
    }
    stage.close().await;
}

#[tokio::test]
async fn parallel_calls_whose_arguments_interleave_are_kept_apart() {
    let stage = Stage::start().await;
    let claude = Claude::new(&stage);
    let write = |name: &str, text: &str| json!({ "name": "Write", "args": { "file_path": claude.file(name), "content": text.repeat(20) } });
    let tools = json!([
        write("a.txt", "first line\n"),
        write("b.txt", "second line\n"),
        write("c.txt", "third line\n")
    ]);
    let told = claude
        .ask(&json!([
            { "text": "Three at once.", "tools": tools, "interleave": true },
            { "text": "Written." },
        ]))
        .await;
    assert_eq!(told.answer(), "Written.");
    told.no_tool_failed();
    assert_eq!(claude.read("a.txt"), "first line\n".repeat(20));
    assert_eq!(claude.read("b.txt"), "second line\n".repeat(20));
    assert_eq!(claude.read("c.txt"), "third line\n".repeat(20));
    all_went_well(&stage, 2).await;
    stage.close().await;
}

#[tokio::test]
async fn ids_that_repeat_from_turn_to_turn_lose_no_result() {
    let stage = Stage::start().await;
    let claude = Claude::new(&stage).with(&["--model", "openai/gpt-5"]);
    let turn = |word: &str| {
        let tools = json!([
            { "name": "Bash", "args": { "command": format!("echo {word}-left"), "description": "Left" } },
            { "name": "Bash", "args": { "command": format!("echo {word}-right"), "description": "Right" } },
        ]);
        json!({ "tools": tools, "ids": "repeat" })
    };
    let told = claude
        .ask(&json!([turn("one"), turn("two"), turn("three"), { "text": "Counted." }]))
        .await;
    assert_eq!(told.answer(), "Counted.");
    told.no_tool_failed();
    all_went_well(&stage, 4).await;
    let seen = stage.completions();
    let results: Vec<String> = of_role(&seen[3], "tool")
        .iter()
        .map(|message| message["content"].to_string())
        .collect();
    let expected = [
        "one-left",
        "one-right",
        "two-left",
        "two-right",
        "three-left",
        "three-right",
    ];
    assert_eq!(results.len(), expected.len(), "{results:?}");
    for (result, word) in results.iter().zip(expected) {
        assert!(result.contains(word), "{word} in {results:?}");
    }
    stage.close().await;
}

#[tokio::test]
async fn thinking_comes_back_as_it_was_given() {
    for (model, kind) in [
        ("claude-opus-5-5", "signature"),
        ("claude-sonnet-4-5", "signature"),
        ("openai/gpt-5", "data"),
        ("google/gemini-3-pro", "data"),
        ("deepseek/deepseek-v4", "text"),
        ("moonshotai/kimi-k3", "text"),
    ] {
        let stage = Stage::start().await;
        let claude = Claude::new(&stage).with(&["--model", model]);
        let mut first = bash("echo one");
        first["think"] = "First I look.".into();
        let mut second = bash("echo two");
        second["think"] = "Then I look again.".into();
        let told = claude
            .ask(&json!([first, second, { "think": "Enough.", "text": "Seen." }]))
            .await;
        assert_eq!(told.answer(), "Seen.", "{model}");
        all_went_well(&stage, 3).await;
        // The simulator refuses whatever was changed, so presence is all that is left to prove.
        let seen = stage.completions();
        let asked = of_role(&seen[2], "assistant");
        assert_eq!(asked.len(), 2, "{model}");
        for message in asked {
            let details = message["reasoning_details"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            let is_there = details.iter().any(|detail| detail.get(kind).is_some());
            let has_words = kind == "text" && message["reasoning"].is_string();
            assert!(is_there || has_words, "{model}: {message:#}");
        }
        stage.close().await;
    }
}

#[tokio::test]
async fn a_rate_limit_is_waited_out_without_the_client_knowing() {
    let stage = Stage::start().await;
    let fail = json!({ "status": 429, "times": 1, "retry_after": 1 });
    let told = Claude::new(&stage)
        .ask(&json!([{ "fail": fail, "text": "Patience." }]))
        .await;
    assert_eq!(told.answer(), "Patience.");
    assert!(
        told.events
            .iter()
            .all(|event| event["subtype"] != "api_retry"),
        "the client had to retry"
    );
    let statuses: Vec<Option<u16>> = stage.completions().iter().map(|seen| seen.status).collect();
    assert_eq!(statuses, [Some(429), Some(200)]);
    let runs = stage.runs(1).await;
    assert_eq!((runs.len(), &runs[0]["state"]), (1, &json!("Completed")));
    let run = stage
        .get(&format!(
            "/api/runs/{}",
            runs[0]["id"].as_str().expect("an id")
        ))
        .await;
    let steps = run["steps"].as_array().expect("a run has steps");
    let upstream = steps
        .iter()
        .find(|step| step.to_string().contains("call_upstream"));
    assert_eq!(
        upstream.expect("a step calls the upstream")["attempts"],
        2,
        "{run:#}"
    );
    stage.close().await;
}

#[tokio::test]
async fn an_error_in_mid_stream_is_said_and_the_answer_comes_in_the_end() {
    let stage = Stage::start().await;
    let cut =
        json!({ "after": 4, "kind": "error", "code": 502, "message": "Provider disconnected" });
    let told = Claude::new(&stage)
        .ask(&json!([{ "text": "A sentence that is torn in the middle.", "break": cut }]))
        .await;
    assert_eq!(told.answer(), "A sentence that is torn in the middle.");
    let runs = stage.runs(2).await;
    let states: Vec<&Value> = runs.iter().map(|run| &run["state"]).collect();
    assert_eq!(states, ["Failed", "Completed"]);
    let error = runs[0]["error"].as_str().unwrap_or_default();
    assert!(error.contains("Provider disconnected"), "{error}");
    stage.close().await;
}

#[tokio::test]
async fn ctrl_c_in_mid_stream_frees_the_upstream_and_cancels_the_run() {
    let stage = Stage::start().await;
    let claude = Claude::new(&stage);
    let endless = json!([{ "text": "On and on. ", "chunks": 100_000, "pause_ms": 20 }]);
    let program = claude.start(&endless);
    stage
        .until("the answer streams", |stage| {
            stage
                .completions()
                .iter()
                .any(|seen| seen.status == Some(200))
        })
        .await;
    streaming(&stage).await;
    program.interrupt().await;
    let told = Told::from(program.end(Duration::from_secs(30)).await);
    assert!(
        !told
            .events
            .iter()
            .any(|event| event["result"] == "On and on. ")
    );
    stage
        .until("the upstream is freed", |stage| {
            stage.completions()[0].hung_up
        })
        .await;
    let runs = stage.runs(1).await;
    assert_eq!(runs[0]["state"], "Cancelled", "{:#}", runs[0]);
    assert!(
        runs[0]["facts"]["gen_ai.usage.output_tokens"]
            .as_i64()
            .is_some(),
        "what was seen is counted: {:#}",
        runs[0]
    );
    stage.close().await;
}

/// Waits until pieces of the first run's answer have passed.
async fn streaming(stage: &Stage) {
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let page = stage.get("/api/runs").await;
            let run = &page["runs"][0];
            if run["streaming"] == true && run["pieces"].as_u64().unwrap_or(0) > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    waited.await.expect("the run shows that it streams");
}

#[tokio::test]
async fn every_way_to_name_a_model_reaches_that_model() {
    for (asked, sent) in [
        ("sonnet", "anthropic/claude-sonnet-5.5"),
        ("haiku", "anthropic/claude-haiku-5.5"),
        ("claude-sonnet-4-5", "anthropic/claude-sonnet-4.5"),
        ("claude-opus-4-6", "anthropic/claude-opus-4.6"),
        ("claude-3-5-haiku-20241022", "anthropic/claude-3.5-haiku"),
        ("anthropic/claude-sonnet-4.5", "anthropic/claude-sonnet-4.5"),
        ("claude-sonnet-5-5[1m]", "anthropic/claude-sonnet-5.5"),
        ("openai/gpt-5", "openai/gpt-5"),
        ("qwen/qwen3.5-coder", "qwen/qwen3.5-coder"),
    ] {
        let stage = Stage::start().await;
        let claude = Claude::new(&stage).with(&["--model", asked]);
        let told = claude
            .ask(&json!([bash("echo named > named.txt"), { "text": "Named." }]))
            .await;
        assert_eq!(told.answer(), "Named.", "{asked}");
        assert_eq!(claude.read("named.txt"), "named\n", "{asked}");
        all_went_well(&stage, 2).await;
        for seen in stage.completions() {
            assert_eq!(seen.body["model"], sent, "{asked}");
        }
        stage.close().await;
    }
}

#[tokio::test]
async fn a_stream_that_begins_with_pings_before_there_is_an_answer_is_borne() {
    let early = "[server]\nanswer_after = '200ms'\nping_after = '200ms'\n";
    let stage = Stage::with(Lane::Chat, early).await;
    let said = json!({ "choices": [{ "index": 0, "delta": { "content": "At last." }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 5, "completion_tokens": 2 } });
    let late = Piece {
        pause: Duration::from_millis(1_200),
        bytes: format!("data: {said}\n\ndata: [DONE]\n\n").into(),
    };
    stage.simulator.script(Script::new().then(Answer::Sse {
        pieces: vec![late],
        end: End::Clean,
    }));
    let told = Claude::new(&stage).ask(&json!([])).await;
    assert_eq!(told.answer(), "At last.");
    let runs = all_went_well(&stage, 1).await;
    let id = runs[0]["id"].as_str().expect("a run has an id");
    let url = format!("{}/api/runs/{id}/payloads/client.response", stage.url);
    let got = stage.http.get(url).send().await.unwrap();
    let got = String::from_utf8(got.bytes().await.unwrap().to_vec()).unwrap();
    let pings = got.split("event: message_start").next().unwrap_or_default();
    assert!(pings.matches("event: ping").count() >= 2, "{got:.300}");
}

#[tokio::test]
async fn a_fallback_takes_the_whole_session_over_where_the_model_is_away() {
    // Nobody listens there.
    let settings = "[upstreams.away]\nkind = 'openai'\nbase_url = 'http://127.0.0.1:1/v1'\n\
                    [[models.rules]]\nmatch = 'away/*'\nupstream = 'away'\n\
                    [[models.fallbacks]]\nmatch = 'away/*'\nmodels = ['anthropic/claude-opus-5.5']\n";
    let stage = Stage::with(Lane::Native, settings).await;
    let claude = Claude::new(&stage).with(&["--model", "away/big"]);
    let mut first = bash("echo there > there.txt");
    first["think"] = "First I look.".into();
    let told = claude
        .ask(&json!([first, { "think": "Enough.", "text": "I stepped in." }]))
        .await;
    assert_eq!(told.answer(), "I stepped in.");
    assert_eq!(claude.read("there.txt"), "there\n");
    let runs = stage.runs(3).await;
    let facts =
        |fact: &str| -> Vec<&Value> { runs.iter().map(|run| &run["facts"][fact]).collect() };
    let states: Vec<&Value> = runs.iter().map(|run| &run["state"]).collect();
    assert_eq!(states, ["Failed", "Completed", "Completed"]);
    let sent = "anthropic/claude-opus-5.5";
    assert_eq!(facts("gen_ai.request.model"), ["away/big", sent, sent]);
    let nothing = &Value::Null;
    // The turn after it asks the fallback first.
    assert_eq!(
        facts("dagway.fallback.after_run"),
        [nothing, &runs[0]["id"], nothing]
    );
    let seen = stage.simulator.requests();
    let asked: Vec<&Seen> = seen.iter().filter(|seen| seen.method == "POST").collect();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|seen| seen.refused.is_none()), "{asked:?}");
    stage.close().await;
}
