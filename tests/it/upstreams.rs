//! Named upstreams: models routed by rules to OpenRouter, to a plain OpenAI server, and to Anthropic's own API.

use dagway::settings::{Kind, Lane, LimitField, Quirks, Rule, Secret, Settings, Upstream};
use dagway::simulator::{self, Host, Simulator};
use serde_json::{Value, json};

use crate::support::plain::Plain;
use crate::support::{TestApp, ask, ask_whole, block_on};

fn rule(pattern: &str, upstream: &str, send: Option<&str>) -> Rule {
    Rule {
        pattern: pattern.to_owned(),
        upstream: upstream.to_owned(),
        lane: None,
        send: send.map(str::to_owned),
        provider: None,
    }
}

fn upstream(kind: Kind, base_url: &str, key: &str) -> Upstream {
    Upstream {
        kind,
        base_url: base_url.to_owned(),
        key: Secret::new(key),
        key_env: None,
        key_file: None,
        headers: [("x-team".to_owned(), "blue".to_owned())].into(),
        quirks: Quirks::default(),
    }
}

fn plain(settings: &mut Settings, url: &str, key: &str) {
    let local = upstream(Kind::OpenAi, url, key);
    settings.upstreams.insert("local".to_owned(), local);
    settings
        .models
        .rules
        .push(rule("local/*", "local", Some("*")));
}

/// A request with all that a plain server would stumble over.
fn demanding(text: &str) -> Value {
    let mut body = ask(text);
    body["model"] = "local/tiny-1b".into();
    body["system"] =
        json!([{ "type": "text", "text": "Be plain.", "cache_control": { "type": "ephemeral" } }]);
    body["thinking"] = json!({ "type": "adaptive" });
    body["top_k"] = 5.into();
    body["metadata"] = json!({ "user_id": "u_session_s" });
    body["speed"] = "fast".into();
    body
}

#[test]
fn a_base_url_without_a_path_has_a_catalogue() {
    block_on(async {
        let server = Plain::start();
        let root = server.url.strip_suffix("/v1").unwrap();
        let app = TestApp::start_with(|settings| plain(settings, root, "plain-key")).await;
        let models = app.get("/v1/models?limit=1000").await.body;
        assert!(models.contains("tiny-1b"), "{models}");
        app.stop().await;
        server.stop().await;
    });
}

#[test]
fn a_plain_server_gets_plain_chat_completions_and_its_answers_are_understood() {
    block_on(async {
        let server = Plain::start();
        let app = TestApp::start_with(|settings| plain(settings, &server.url, "plain-key")).await;
        let got = app.messages(&demanding("hello")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(got.text(), "Plain as can be.");
        let thoughts: String = got
            .events()
            .iter()
            .filter_map(|(_, event)| event["delta"]["thinking"].as_str().map(str::to_owned))
            .collect();
        assert_eq!(thoughts, "Plainly.");
        let run = app.ended_run(&got.run()).await;
        let facts = &run["facts"];
        assert_eq!(
            facts["gen_ai.usage.input_tokens"], 12,
            "it was asked to count: {facts}"
        );
        assert_eq!(
            (
                &facts["gen_ai.provider.name"],
                &facts["gen_ai.request.model"]
            ),
            (&json!("local"), &json!("tiny-1b"))
        );
        let mut whole = demanding("hello");
        whole["stream"] = false.into();
        let got = app.messages(&whole).await.json();
        assert_eq!(got["content"][1]["text"], "Plain as can be.");
        assert_eq!(got["usage"]["output_tokens"], 5);
        assert!(
            app.simulator
                .requests()
                .iter()
                .all(|seen| seen.method != "POST")
        );
        app.stop().await;
        server.stop().await;
    });
}

#[test]
fn tools_go_round_with_a_plain_server() {
    block_on(async {
        let server = Plain::start();
        let app = TestApp::start_with(|settings| plain(settings, &server.url, "plain-key")).await;
        let mut body = demanding("list the files");
        body["tools"] = json!([
            { "name": "Bash", "input_schema": { "type": "object", "properties": { "command": { "type": "string" } } }, "cache_control": { "type": "ephemeral" } },
            { "type": "web_search_20250305", "name": "web_search" },
        ]);
        let got = app.messages(&body).await;
        let events = got.events();
        let call = events
            .iter()
            .find_map(|(_, event)| event["content_block"]["id"].as_str());
        let call = call.unwrap_or_else(|| panic!("{}", got.body)).to_owned();
        assert!(got.body.contains("\"tool_use\""), "{}", got.body);
        let messages = body["messages"].as_array_mut().unwrap();
        messages.push(json!({ "role": "assistant", "content": [{ "type": "tool_use", "id": call, "name": "Bash", "input": { "command": "ls" } }] }));
        messages.push(json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": call, "content": "README" }] }));
        let got = app.messages(&body).await;
        assert_eq!(got.text(), "Plain as can be.", "{}", got.body);
        let run = app.ended_run(&got.run()).await;
        assert!(run["steps"].to_string().contains("convert_tools"), "{run}");
        let sent = server.bodies();
        assert_eq!(sent.len(), 2);
        assert_eq!(
            sent[0]["tools"].as_array().unwrap().len(),
            1,
            "it has no server tools"
        );
        app.stop().await;
        server.stop().await;
    });
}

#[test]
fn quirks_change_what_is_sent() {
    block_on(async {
        let server = Plain::start();
        let app = TestApp::start_with(|settings| {
            plain(settings, &server.url, "plain-key");
            let local = settings.upstreams.get_mut("local").unwrap();
            local.quirks = Quirks {
                max_tokens: Some(LimitField::MaxCompletionTokens),
                reasoning: Some(dagway::settings::ReasoningField::Effort),
                usage_on_request: Some(false),
                ..Quirks::default()
            };
        })
        .await;
        let mut body = demanding("hello");
        body["output_config"] = json!({ "effort": "low" });
        let got = app.messages(&body).await;
        assert_eq!(got.text(), "Plain as can be.", "{}", got.body);
        let sent = &server.bodies()[0];
        assert_eq!(sent["max_completion_tokens"], 1024);
        assert_eq!(sent["reasoning_effort"], "low");
        assert_eq!(
            (sent.get("max_tokens"), sent.get("stream_options")),
            (None, None)
        );
        let run = app.ended_run(&got.run()).await;
        assert!(
            run["facts"]["gen_ai.usage.input_tokens"].as_i64().unwrap() > 0,
            "estimated: {run}"
        );
        app.stop().await;
        server.stop().await;
    });
}

#[test]
fn errors_of_a_plain_server_are_told_as_anthropics() {
    block_on(async {
        let server = Plain::start();
        let app = TestApp::start_with(|settings| {
            plain(settings, &server.url, "wrong-key");
            let right = upstream(Kind::OpenAi, &server.url, "plain-key");
            settings.upstreams.insert("right".to_owned(), right);
            settings
                .models
                .rules
                .push(rule("right/*", "right", Some("*")));
            settings.log.filter = "off".to_owned();
        })
        .await;
        for (model, status, kind, words) in [
            (
                "local/tiny-1b",
                401,
                "authentication_error",
                "Incorrect API key",
            ),
            (
                "right/none",
                404,
                "not_found_error",
                "The model does not exist",
            ),
            (
                "right/full-1b",
                400,
                "invalid_request_error",
                "prompt is too long: 9001 tokens > 8192 maximum",
            ),
        ] {
            let mut body = ask_whole("hello");
            body["model"] = model.into();
            let got = app.messages(&body).await;
            let error = got.json()["error"].clone();
            assert_eq!(
                (got.status, &error["type"]),
                (status, &json!(kind)),
                "{model}"
            );
            assert!(
                error["message"].as_str().unwrap().contains(words),
                "{error}"
            );
            assert!(!got.body.contains("wrong-key") && !got.body.contains("plain-key"));
        }
        app.stop().await;
        server.stop().await;
    });
}

#[test]
fn models_health_and_runs_know_all_upstreams() {
    block_on(async {
        let server = Plain::start();
        let app = TestApp::start_with(|settings| {
            plain(settings, &server.url, "plain-key");
            let gone = upstream(Kind::OpenAi, "http://127.0.0.1:9/v1", "k");
            settings.upstreams.insert("gone".to_owned(), gone);
        })
        .await;
        let models = app.get("/v1/models?limit=1000").await.json();
        let ready = app.get("/health/ready").await;
        assert_eq!(ready.status, 200, "{}", ready.body);
        let ready = ready.json();
        let upstreams = &ready["upstreams"];
        for (name, is_ok) in [("openrouter", true), ("local", true), ("gone", false)] {
            assert_eq!(upstreams[name]["ok"], is_ok, "{upstreams}");
        }
        assert_eq!(upstreams["local"]["models"], 1);
        let ids: Vec<&str> = models["data"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|model| model["id"].as_str())
            .collect();
        assert!(
            ids.contains(&"anthropic/claude-opus-5.5")
                && ids.contains(&"anthropic-or/openai/gpt-5"),
            "{ids:?}"
        );
        assert!(ids.contains(&"anthropic-or/local/tiny-1b"), "{ids:?}");
        assert_eq!(
            app.get("/v1/models/anthropic-or/local/tiny-1b")
                .await
                .status,
            200
        );
        let mut body = ask_whole("hello");
        body["model"] = "anthropic-or/local/tiny-1b".into();
        assert_eq!(
            app.messages(&body).await.json()["content"][0]["text"],
            "Plain as can be.",
            "as listed, so asked"
        );
        app.stop().await;
        server.stop().await;
    });
}

#[test]
fn anthropics_own_api_is_an_upstream_too() {
    block_on(async {
        let anthropic = simulator::Settings {
            host: Host::Anthropic,
            ..simulator::Settings::immediate()
        };
        let anthropic = Simulator::start(anthropic).await.unwrap();
        let app = TestApp::start_with(|settings| {
            let upstream = upstream(Kind::Anthropic, &anthropic.base_url(), "sk-ant-1");
            settings.upstreams.insert("anthropic".to_owned(), upstream);
            settings
                .models
                .rules
                .push(rule("claude-*", "anthropic", None));
        })
        .await;
        let mut body = ask("hello");
        body["safeguards"] = json!([{ "classifier_context": {} }]);
        body["system"] = json!("x-anthropic-billing-header: cc_version=2.1.330;");
        let got = app.messages(&body).await;
        assert_eq!(got.status, 200, "{}", got.body);
        let requests = anthropic.requests();
        let seen = requests.iter().rfind(|seen| seen.method == "POST").unwrap();
        assert_eq!(
            (seen.header("x-api-key"), seen.header("authorization")),
            (Some("sk-ant-1"), None)
        );
        assert_eq!(seen.header("x-team"), Some("blue"));
        assert_eq!(
            seen.body["model"], "claude-sonnet-5-5",
            "its own name for it"
        );
        assert_eq!(seen.header("x-session-id"), None, "that is OpenRouter's");
        for name in ["safeguards", "system"] {
            assert_eq!(seen.body[name], body[name], "it is Anthropic's own");
        }
        let run = app.ended_run(&got.run()).await;
        assert_eq!(run["workflow"], "native");
        let models = app.get("/v1/models/claude-sonnet-5-5").await;
        assert_eq!(models.status, 200, "{}", models.body);
        let shown = app
            .get(&format!(
                "/api/runs/{}/payloads/upstream.request.headers",
                got.run()
            ))
            .await;
        assert!(
            !shown.body.contains("sk-ant-1") && shown.body.contains("[redacted]"),
            "{}",
            shown.body
        );
        assert!(
            !shown.body.contains("blue"),
            "a header of the settings may be a key"
        );
        app.stop().await;
        anthropic.stop().await;
    });
}

#[test]
fn a_model_with_another_provider_is_no_fallback_of_a_request() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.models.rules.push(Rule {
                provider: Some("{\"zdr\":true}".parse().unwrap()),
                ..rule("google/*", "openrouter", None)
            });
        })
        .await;
        let mut body = ask_whole("hello");
        body["model"] = "openai/gpt-5".into();
        body["fallbacks"] =
            json!([{ "model": "google/gemini-3-pro" }, { "model": "qwen/qwen3.5-coder" }]);
        let got = app.messages(&body).await;
        let detail = app.ended_run(&got.run()).await;
        assert_eq!(detail["state"], "Completed", "{detail}");
        body["provider"] = json!({ "zdr": true });
        app.messages(&body).await;
        let requests = app.simulator.requests();
        let asked: Vec<&Value> = requests
            .iter()
            .filter(|seen| seen.method == "POST")
            .map(|seen| &seen.body["models"])
            .collect();
        let all = json!(["openai/gpt-5", "google/gemini-3-pro", "qwen/qwen3.5-coder"]);
        assert_eq!(
            asked,
            [&json!(["openai/gpt-5", "qwen/qwen3.5-coder"]), &all]
        );
        let log = app.get(&format!("/api/runs/{}", got.run())).await.body;
        assert!(
            log.contains("the settings have another `provider` for it"),
            "{log}"
        );
        app.stop().await;
    });
}

#[test]
fn a_server_that_takes_openrouters_fields_gets_a_provider_too() {
    block_on(async {
        let server = Plain::start();
        let app = TestApp::start_with(|settings| {
            plain(settings, &server.url, "plain-key");
            let local = settings.upstreams.get_mut("local").unwrap();
            local.quirks.extensions = Some(true);
            let rule = settings.models.rules.last_mut().unwrap();
            rule.provider = Some("{\"zdr\":true}".parse().unwrap());
            settings.check().unwrap();
        })
        .await;
        let mut body = ask("hello");
        body["model"] = "local/tiny-1b".into();
        app.messages(&body).await;
        assert_eq!(server.bodies()[0]["provider"], json!({ "zdr": true }));
        app.stop().await;
        server.stop().await;
    });
}

#[test]
fn only_openrouter_gets_a_provider_and_the_run_says_so() {
    block_on(async {
        let anthropic = simulator::Settings {
            host: Host::Anthropic,
            ..simulator::Settings::immediate()
        };
        let anthropic = Simulator::start(anthropic).await.unwrap();
        let server = Plain::start();
        let app = TestApp::start_with(|settings| {
            settings.models.provider = "{\"zdr\":true}".parse().unwrap();
            plain(settings, &server.url, "plain-key");
            let upstream = upstream(Kind::Anthropic, &anthropic.base_url(), "sk-ant-1");
            settings.upstreams.insert("anthropic".to_owned(), upstream);
            let rules = &mut settings.models.rules;
            rules.push(rule("claude-*", "anthropic", None));
        })
        .await;
        for (model, reason) in [
            ("claude-sonnet-5-5", "`anthropic` does not take it"),
            ("local/tiny-1b", "plain chat completions have no such field"),
        ] {
            let mut body = ask("hello");
            body["model"] = model.into();
            let got = app.messages(&body).await;
            assert_eq!(got.status, 200, "{}", got.body);
            app.ended_run(&got.run()).await;
            let detail = app.get(&format!("/api/runs/{}", got.run())).await.json();
            let log = detail["logs"].to_string();
            assert!(log.contains("`provider`") && log.contains(reason), "{log}");
        }
        let requests = anthropic.requests();
        let seen = requests.iter().rfind(|seen| seen.method == "POST").unwrap();
        let bodies = [seen.body.clone(), server.bodies()[0].clone().into()];
        for body in bodies {
            assert!(
                body["model"].is_string() && body.get("provider").is_none(),
                "{body}"
            );
        }
        app.stop().await;
        anthropic.stop().await;
        server.stop().await;
    });
}

#[test]
fn a_rule_may_choose_the_chat_lane_for_claude() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.models.rules = vec![
                Rule {
                    lane: Some(Lane::Chat),
                    ..rule("claude-haiku-*", "openrouter", None)
                },
                Rule {
                    lane: Some(Lane::Native),
                    ..rule("anthropic/*", "openrouter", None)
                },
            ];
        })
        .await;
        for (model, path) in [
            ("claude-haiku-5-5", "/api/v1/chat/completions"),
            ("claude-opus-5-5", "/api/v1/messages"),
        ] {
            let mut body = ask_whole("hello");
            body["model"] = model.into();
            let got = app.messages(&body).await;
            assert_eq!(got.status, 200, "{}", got.body);
            let requests = app.simulator.requests();
            let seen = requests.iter().rfind(|seen| seen.method == "POST").unwrap();
            assert_eq!(seen.path, path, "{model}");
        }
        app.stop().await;
    });
}
