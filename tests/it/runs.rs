//! The record of runs: what the run API tells, and that the four bodies are kept byte for byte.

use dagway::simulator::{Script, Turn};
use serde_json::{Value, json};

use crate::support::{STEPS, TestApp, ask, ask_whole, block_on};

#[test]
fn a_run_is_recorded_whole() {
    block_on(async {
        let app = TestApp::start().await;
        app.script(Script::new().then(Turn::text("Hello.")));
        let request = app
            .http
            .post(app.url("/v1/messages?beta=true"))
            .header("x-claude-code-session-id", "session-7")
            .header("x-claude-code-agent-id", "agent-3")
            .header("authorization", "Bearer very-secret")
            .header("user-agent", "claude-cli/2.1.330 (external, sdk-cli)");
        let got =
            crate::support::read(request.body(ask("hello").to_string()).send().await.unwrap())
                .await;
        let run = app.ended_run(&got.run()).await;
        assert_eq!(run["state"], "Completed", "{run}");
        assert_eq!(run["workflow"], "messages");
        assert_eq!(run["request_id"], got.header("request-id"));
        let facts = &run["facts"];
        assert_eq!(facts["dagway.model.asked"], "claude-sonnet-5-5");
        assert_eq!(facts["gen_ai.request.model"], "anthropic/claude-sonnet-5.5");
        assert_eq!(facts["gen_ai.conversation.id"], "session-7");
        assert_eq!(facts["gen_ai.agent.id"], "agent-3");
        assert_eq!(facts["dagway.upstream.status_code"], 200);
        assert!(
            facts["gen_ai.usage.input_tokens"].as_i64().unwrap() > 0,
            "{facts}"
        );
        assert!(facts["gen_ai.usage.output_tokens"].as_i64().unwrap() > 0);
        assert!(facts["dagway.cost_usd"].as_f64().unwrap() > 0.0);
        let names: Vec<&str> = run["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step["name"].as_str().unwrap())
            .collect();
        for step in STEPS {
            assert!(names.contains(&step), "{names:?}");
        }
        assert!(
            run["steps"]
                .as_array()
                .unwrap()
                .iter()
                .all(|step| step["state"] == "Completed"),
            "{run}"
        );
        let headers = app
            .get(&format!(
                "/api/runs/{}/payloads/client.request.headers",
                got.run()
            ))
            .await;
        assert!(
            headers.body.contains("[redacted]") && !headers.body.contains("very-secret"),
            "{}",
            headers.body
        );
        app.stop().await;
    });
}

#[test]
fn betas_that_the_upstream_understands_go_on_to_claude_alone() {
    block_on(async {
        let app = TestApp::start().await;
        let sent = async |model: &str| {
            let mut body = ask("hello");
            body["model"] = model.into();
            let betas = "claude-code-20250219,interleaved-thinking-2025-05-14";
            let request = app.http.post(app.url("/v1/messages"));
            let request = request.header("anthropic-beta", betas);
            let got =
                crate::support::read(request.body(body.to_string()).send().await.unwrap()).await;
            assert_eq!(got.status, 200, "{}", got.body);
            let seen = app.simulator.requests();
            let seen = seen.iter().rfind(|seen| seen.path.ends_with("completions"));
            seen.unwrap().header("x-anthropic-beta").map(str::to_owned)
        };
        let to_claude = sent("claude-sonnet-5-5").await;
        assert_eq!(
            to_claude.as_deref(),
            Some("interleaved-thinking-2025-05-14")
        );
        assert_eq!(sent("openai/gpt-5").await, None);
        app.stop().await;
    });
}

#[test]
fn the_four_bodies_are_kept_byte_for_byte() {
    block_on(async {
        let app = TestApp::start().await;
        for stream in [true, false] {
            app.script(Script::new().then(Turn::text("Grüße. ✓")));
            let mut body = ask("hello “world”");
            body["stream"] = stream.into();
            body["system"] = json!([{ "type": "text", "text": "be kind" }]);
            let text = serde_json::to_string_pretty(&body).unwrap();
            let got = app
                .post_bytes("/v1/messages", text.clone().into_bytes())
                .await;
            app.ended_run(&got.run()).await;
            let payload = async |name: &str| {
                app.get(&format!("/api/runs/{}/payloads/{name}", got.run()))
                    .await
                    .body
            };
            assert_eq!(payload("client.request").await, text);
            assert_eq!(payload("client.response").await, got.body);
            let sent: Value = serde_json::from_str(&payload("upstream.request").await).unwrap();
            let seen = app
                .simulator
                .requests()
                .into_iter()
                .rfind(|seen| seen.path.ends_with("completions"))
                .unwrap();
            assert_eq!(&sent, seen.body.as_ref());
            assert!(payload("upstream.response").await.contains("✓"));
        }
        app.stop().await;
    });
}

#[test]
fn runs_are_listed_newest_first_filtered_and_paged() {
    block_on(async {
        let app = TestApp::start().await;
        let mut ids = Vec::new();
        for number in 0..7 {
            let mut body = ask_whole(&format!("number {number}"));
            body["metadata"] =
                json!({ "user_id": format!("{{\"session_id\":\"s{}\"}}", number % 2) });
            let got = app.messages(&body).await;
            app.ended_run(&got.run()).await;
            ids.push(got.run());
        }
        ids.reverse();
        let list = async |query: &str| app.get(&format!("/api/runs?{query}")).await.json();
        let names = |page: &Value| -> Vec<String> {
            page["runs"]
                .as_array()
                .unwrap()
                .iter()
                .map(|run| run["id"].as_str().unwrap().to_owned())
                .collect()
        };
        let first = list("limit=3").await;
        assert_eq!(names(&first), ids[..3]);
        let second = list(&format!(
            "limit=3&after={}",
            first["next"].as_str().unwrap()
        ))
        .await;
        assert_eq!(names(&second), ids[3..6]);
        let third = list(&format!(
            "limit=3&after={}",
            second["next"].as_str().unwrap()
        ))
        .await;
        assert_eq!(
            (names(&third), third["next"].clone()),
            (ids[6..].to_vec(), Value::Null)
        );
        assert_eq!(
            list("session=s0").await["runs"].as_array().unwrap().len(),
            4
        );
        assert_eq!(
            list("state=Failed").await["runs"].as_array().unwrap().len(),
            0
        );
        assert_eq!(
            list("model=sonnet").await["runs"].as_array().unwrap().len(),
            7
        );
        let wrong = app.get("/api/runs?state=Happy").await;
        assert_eq!(wrong.status, 400, "{}", wrong.body);
        app.stop().await;
    });
}

#[test]
fn workflows_are_told_as_they_are() {
    block_on(async {
        let app = TestApp::start().await;
        let got = app.get("/api/workflows").await.json();
        let workflows = got["workflows"]
            .as_array()
            .unwrap_or_else(|| got.as_array().unwrap());
        let names: Vec<&str> = workflows
            .iter()
            .map(|workflow| workflow["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["messages", "native", "count_tokens"]);
        app.stop().await;
    });
}
