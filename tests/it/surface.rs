//! What else the server answers: counts, models, greetings, health, metrics, keys, hosts.

use dagway::settings::{ClientKey, Fallback, Secret};
use dagway::simulator::sessions::{self, Pace};
use dagway::simulator::{Answer, Script, Turn};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{DEADLINE, TestApp, ask, block_on, read};

#[test]
fn tokens_are_counted_over_system_tools_and_all_blocks() {
    block_on(async {
        let app = TestApp::start().await;
        let count = async |body: serde_json::Value| {
            let got = app.post("/v1/messages/count_tokens?beta=true", &body).await;
            assert_eq!(got.status, 200, "{}", got.body);
            got.json()["input_tokens"].as_u64().unwrap()
        };
        let small =
            count(json!({ "model": "opus", "messages": [{ "role": "user", "content": "hi" }] }))
                .await;
        let with_system = count(json!({ "model": "opus", "system": "You are terse. ".repeat(50), "messages": [{ "role": "user", "content": "hi" }] })).await;
        let with_tools = count(json!({ "model": "opus", "tools": [{ "name": "Bash", "description": "Runs a command. ".repeat(50), "input_schema": { "type": "object" } }], "messages": [{ "role": "user", "content": "hi" }] })).await;
        let with_result = count(json!({ "model": "opus", "messages": [
            { "role": "user", "content": "hi" },
            { "role": "assistant", "content": [{ "type": "tool_use", "id": "t1", "name": "Bash", "input": { "command": "cat" } }] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t1", "content": "a long line of text ".repeat(50) }] },
        ] })).await;
        assert!((1..40).contains(&small), "{small}");
        assert!(with_system > small + 150, "{with_system}");
        assert!(with_tools > small + 150, "{with_tools}");
        assert!(with_result > small + 200, "{with_result}");
        app.stop().await;
    });
}

#[test]
fn models_are_listed_in_anthropics_shape() {
    block_on(async {
        let app = TestApp::start().await;
        let got = app.get("/v1/models?limit=3").await;
        assert_eq!(got.status, 200, "{}", got.body);
        let page = got.json();
        let data = page["data"].as_array().unwrap();
        assert_eq!(data.len(), 3);
        assert_eq!(page["has_more"], true);
        for model in data {
            assert_eq!(model["type"], "model");
            assert!(
                model["id"].is_string()
                    && model["display_name"].is_string()
                    && model["created_at"].is_string(),
                "{model}"
            );
        }
        let rest = app
            .get(&format!(
                "/v1/models?limit=1000&after_id={}",
                page["last_id"].as_str().unwrap()
            ))
            .await
            .json();
        assert_eq!(rest["has_more"], false);
        assert!(
            rest["data"]
                .as_array()
                .unwrap()
                .iter()
                .all(|model| !data.contains(model))
        );
        let one = app.get("/v1/models/anthropic/claude-opus-5.5").await;
        assert_eq!(one.status, 200, "{}", one.body);
        assert_eq!(one.json()["id"], "anthropic/claude-opus-5.5");
        for name in ["claude-opus-5-5", "claude-opus-5-5[1m]", "opus"] {
            let meant = app.get(&format!("/v1/models/{name}")).await;
            assert_eq!(meant.status, 200, "{name}: {}", meant.body);
            assert_eq!(meant.json()["id"], "anthropic/claude-opus-5.5", "{name}");
        }
        let retired = app.get("/v1/models?lifecycle[]=retired").await.json();
        assert_eq!(retired["data"], json!([]));
        let wrong = app.get("/v1/models?lifecycle[]=young").await;
        assert_eq!(wrong.status, 400);
        assert!(
            wrong.body.contains("lifecycle: Input should be"),
            "{}",
            wrong.body
        );
        let none = app.get("/v1/models/nobody/nothing").await;
        assert_eq!(
            (none.status, none.json()["error"]["type"].clone()),
            (404, json!("not_found_error"))
        );
        app.stop().await;
    });
}

#[test]
fn greetings_health_and_metrics_answer() {
    block_on(async {
        let app = TestApp::start().await;
        for path in ["/", "/api/hello"] {
            let response = app.http.head(app.url(path)).send().await.unwrap();
            assert_eq!(response.status(), 200, "{path}");
            for name in ["request-id", "x-dagway-overhead-us"] {
                assert!(response.headers().contains_key(name), "{path}: {name}");
            }
        }
        assert_eq!(app.get("/health").await.json()["status"], "ok");
        let ready = app.get("/health/ready").await;
        assert_eq!(ready.status, 200, "{}", ready.body);
        assert_eq!(ready.json()["store"]["ok"], true);
        assert_eq!(ready.json()["upstreams"]["openrouter"]["ok"], true);
        let metrics = app.get("/metrics").await.body;
        for line in [
            r#"dagway_runs_total{state="Failed",workflow="messages"} 0"#,
            r#"dagway_runs_total{state="Failed",workflow="count_tokens"} 0"#,
            r#"dagway_run_errors_total{type="api_error",workflow="native"} 0"#,
            "dagway_store_up 1",
            "dagway_store_waiting_runs 0",
            "dagway_store_last_commit_seconds 0",
            "dagway_event_queue_batches_limit 16384",
            "dagway_request_body_bytes_limit 1073741824",
        ] {
            let is_there = metrics.lines().any(|found| found == line);
            assert!(is_there, "{line}\nbefore the first run in\n{metrics}");
        }
        let got = app.messages(&ask("hello")).await;
        app.ended_run(&got.run()).await;
        let metrics = app.get("/metrics").await.body;
        let took = metrics
            .lines()
            .find_map(|line| line.strip_prefix("dagway_store_last_commit_seconds "));
        let took: f64 = took.unwrap().parse().unwrap();
        assert!(0.0 < took && took < 60.0, "{took}");
        app.stop().await;
    });
}

#[test]
fn every_metric_that_the_readme_or_an_alert_names_is_there() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.models.fallbacks = vec![Fallback {
                pattern: "qwen/*".to_owned(),
                models: vec!["openai/gpt-5".to_owned()],
                patience: None,
            }];
        })
        .await;
        let refused = Answer::error(402, "no credit");
        app.script(Script::new().then(refused).then(Turn::text("Hello.")));
        for _ in 0..2 {
            let got = app.messages(&ask("hello")).await;
            app.ended_run(&got.run()).await;
        }
        let metrics = app.get("/metrics").await.body;
        let (_, section) = include_str!("../../README.md")
            .split_once("\n### Metrics\n")
            .unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        for text in [section, include_str!("../../.docker/alerts.yml")] {
            let words = text.split(|c: char| !c.is_ascii_lowercase() && c != '_');
            // Those of the process are Linux's alone.
            let is_linux = cfg!(target_os = "linux");
            let is_metric = |word: &&str| {
                word.starts_with("dagway_") || is_linux && word.starts_with("process_")
            };
            let names: Vec<&str> = words.filter(is_metric).collect();
            assert!(names.len() > 12, "{names:?}");
            for name in names {
                let family = name.trim_end_matches("_bucket");
                let is_there = metrics.contains(&format!("\n# TYPE {family} "));
                assert!(is_there, "{family}\nin\n{metrics}");
            }
        }
        app.stop().await;
    });
}

#[test]
fn readiness_says_that_the_upstream_is_gone() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.simulate("http://127.0.0.1:9/api/v1", "sk-or-test");
        })
        .await;
        let ready = app.get("/health/ready").await;
        assert_eq!(ready.status, 503);
        assert_eq!(ready.json()["upstreams"]["openrouter"]["ok"], false);
        assert!(
            ready.json()["upstreams"]["openrouter"]["error"]
                .as_str()
                .unwrap()
                .contains("127.0.0.1"),
            "{}",
            ready.body
        );
        app.stop().await;
    });
}

/// The counts that Anthropic's documentation of `count_tokens` gives for its own examples.
#[test]
fn counts_are_within_five_percent_of_the_documented_ones_and_say_that_they_are_estimates() {
    block_on(async {
        let app = TestApp::start().await;
        let weather = json!({ "name": "get_weather", "description": "Get the current weather in a given location",
            "input_schema": { "type": "object", "properties": { "location": { "type": "string",
                "description": "The city and state, e.g. San Francisco, CA" } }, "required": ["location"] } });
        let image = json!({ "type": "image", "source": { "type": "base64", "media_type": "image/jpeg", "data": "/9j/4AAQ" } });
        for (documented, body) in [
            (
                14,
                json!({ "system": "You are a scientist", "messages": [{ "role": "user", "content": "Hello, Claude" }] }),
            ),
            (
                403,
                json!({ "tools": [weather], "messages": [{ "role": "user", "content": "What's the weather like in San Francisco?" }] }),
            ),
            (
                1551,
                json!({ "messages": [{ "role": "user", "content": [image, { "type": "text", "text": "Describe this image" }] }] }),
            ),
        ] {
            let mut body = body;
            body["model"] = "claude-opus-5-5".into();
            let got = app.post("/v1/messages/count_tokens", &body).await;
            assert_eq!(got.status, 200, "{}", got.body);
            assert_eq!(got.header("x-dagway-token-count"), "estimate");
            let counted = got.json()["input_tokens"].as_f64().unwrap();
            let off = (counted - f64::from(documented)).abs() / f64::from(documented);
            assert!(off <= 0.05, "{counted} for {documented}");
        }
        app.stop().await;
    });
}

/// Method, path, status, and words of the sentence.
const ELSEWHERE: [(&str, &str, u16, &str); 40] = [
    (
        "POST",
        "/v1/messages/batches",
        404,
        "Batches are not served yet",
    ),
    ("GET", "/v1/messages/batches", 404, "POST /v1/messages"),
    ("GET", "/v1/messages/batches/b_1", 404, "POST /v1/messages"),
    (
        "DELETE",
        "/v1/messages/batches/b_1",
        404,
        "POST /v1/messages",
    ),
    (
        "POST",
        "/v1/messages/batches/b_1/cancel",
        404,
        "POST /v1/messages",
    ),
    (
        "GET",
        "/v1/messages/batches/b_1/results",
        404,
        "POST /v1/messages",
    ),
    ("POST", "/v1/files", 404, "files are not stored"),
    ("GET", "/v1/files", 404, "files are not stored"),
    ("GET", "/v1/files/f_1/content", 404, "as base64"),
    ("DELETE", "/v1/files/f_1", 404, "files are not stored"),
    ("POST", "/v1/skills", 404, "system prompt"),
    ("GET", "/v1/skills/s_1/versions", 404, "system prompt"),
    ("POST", "/v1/complete", 404, "POST /v1/messages"),
    ("POST", "/v1/agents", 404, "Claude Code"),
    ("POST", "/v1/sessions", 404, "Claude Code"),
    ("GET", "/v1/sessions/s_1/events", 404, "Claude Code"),
    ("GET", "/v1/environments", 404, "Claude Code"),
    ("GET", "/v1/deployments", 404, "Claude Code"),
    ("GET", "/v1/dreams", 404, "Claude Code"),
    ("GET", "/v1/memory_stores", 404, "Claude Code"),
    ("GET", "/v1/tunnels", 404, "Claude Code"),
    ("GET", "/v1/vaults", 404, "Claude Code"),
    ("GET", "/v1/webhooks", 404, "Claude Code"),
    ("GET", "/v1/user_profiles", 404, "DAGWAY_CLIENT_KEYS"),
    ("GET", "/v1/organizations/me", 404, "DAGWAY_CLIENT_KEYS"),
    (
        "GET",
        "/v1/organizations/usage_report/messages",
        404,
        "GET /metrics",
    ),
    ("GET", "/v1/organizations/cost_report", 404, "GET /metrics"),
    ("GET", "/v1/nothing/at/all", 404, "serves POST /v1/messages"),
    ("POST", "/messages", 404, "serves POST /v1/messages"),
    ("POST", "/api/v1/files", 404, "files are not stored"),
    ("GET", "/api/v1/messages", 405, "serves POST /v1/messages"),
    ("GET", "/api/oauth/profile", 404, "serves POST /v1/messages"),
    (
        "GET",
        "/v1/models//",
        404,
        "GET /v1/models lists the models",
    ),
    ("POST", "/v1/models/", 405, "GET /v1/models"),
    ("POST", "//v1/messages", 404, "base URL"),
    ("GET", "//v1/models", 404, "base URL"),
    ("GET", "/v1/messages", 405, "serves POST /v1/messages"),
    (
        "GET",
        "/v1/messages/count_tokens",
        405,
        "serves POST /v1/messages",
    ),
    ("POST", "/v1/models", 405, "GET /v1/models"),
    ("DELETE", "/v1/models/openai/gpt-5", 405, "GET /v1/models"),
];

#[test]
fn every_other_endpoint_of_the_api_says_what_dagway_does_instead() {
    block_on(async {
        let app = TestApp::start().await;
        for (method, path, status, words) in ELSEWHERE {
            let request = app.http.request(method.parse().unwrap(), app.url(path));
            let got = read(request.send().await.unwrap()).await;
            let error = got.json();
            assert_eq!(
                (got.status, &error["type"]),
                (status, &json!("error")),
                "{method} {path}"
            );
            let kind = if status == 404 {
                "not_found_error"
            } else {
                "invalid_request_error"
            };
            assert_eq!(error["error"]["type"], kind, "{method} {path}");
            let message = error["error"]["message"].as_str().unwrap();
            assert!(
                message.contains(words) && message.contains(path),
                "{method} {path}: {message}"
            );
            assert_eq!(error["request_id"], got.header("request-id"));
            assert_eq!(got.header("x-should-retry"), "false");
            if status == 405 {
                let allowed = if words.contains("POST") {
                    "POST"
                } else {
                    "GET, HEAD"
                };
                assert_eq!(got.header("allow"), allowed, "{method} {path}");
            }
            assert!(
                !got.headers.contains_key("x-dagway-run"),
                "no run was started"
            );
        }
        let logged = app
            .post("/api/event_logging/batch", &json!({ "events": [] }))
            .await;
        assert_eq!((logged.status, logged.body.as_str()), (204, ""));
        app.stop().await;
    });
}

#[test]
fn a_base_url_that_ends_in_v1_or_api_works_too() {
    block_on(async {
        let app = TestApp::start().await;
        for base in ["/v1", "/api"] {
            let path = format!("{base}/v1/messages?beta=true");
            let got = app.post(&path, &ask("hello")).await;
            assert_eq!(got.status, 200, "{}", got.body);
            let model = app.get(&format!("{base}/v1/models/opus")).await;
            assert_eq!(model.status, 200, "{}", model.body);
        }
        app.stop().await;
    });
}

#[test]
fn keys_password_and_host_are_checked() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.server.client_keys = vec![ClientKey::nameless("client-key")];
            settings.server.dashboard_password = Secret::new("open sesame");
        })
        .await;
        let refused = app.messages(&ask("hello")).await;
        assert_eq!(refused.status, 401);
        assert_eq!(refused.json()["error"]["type"], "authentication_error");
        let post = |name: &'static str, value: &'static str| {
            app.http
                .post(app.url("/v1/messages"))
                .header(name, value)
                .body(ask("hello").to_string())
                .send()
        };
        assert_eq!(post("x-api-key", "client-key").await.unwrap().status(), 200);
        assert_eq!(
            post("authorization", "Bearer client-key")
                .await
                .unwrap()
                .status(),
            200
        );
        assert_eq!(app.get("/api/runs").await.status, 401);
        let with_password = app
            .http
            .get(app.url("/api/runs"))
            .header("authorization", "Basic bWU6b3BlbiBzZXNhbWU=");
        assert_eq!(read(with_password.send().await.unwrap()).await.status, 200);
        // An escaped path leads to the same place and through the same door.
        let escaped = app
            .http
            .post(app.url("/%761/messages"))
            .header("authorization", "Basic bWU6b3BlbiBzZXNhbWU=")
            .body(ask("hello").to_string());
        assert_eq!(read(escaped.send().await.unwrap()).await.status, 401);
        let rebound = app
            .http
            .get(app.url("/health"))
            .header("host", "evil.example");
        assert_eq!(read(rebound.send().await.unwrap()).await.status, 403);
        let metrics = app
            .http
            .get(app.url("/metrics"))
            .header("authorization", "Basic bWU6b3BlbiBzZXNhbWU=");
        let metrics = read(metrics.send().await.unwrap()).await.body;
        for (reason, count) in [
            ("client_key", 2),
            ("password", 1),
            ("host", 1),
            ("origin", 0),
        ] {
            let line = format!("dagway_refused_requests_total{{reason=\"{reason}\"}} {count}\n");
            assert!(metrics.contains(&line), "no {line} in {metrics}");
        }
        app.stop().await;
    });
}

#[test]
fn the_metrics_token_opens_the_metrics_and_nothing_else() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.server.client_keys = vec![ClientKey::nameless("client-key")];
            settings.server.dashboard_password = Secret::new("open sesame");
            settings.server.metrics_token = Secret::new("read-the-figures");
        })
        .await;
        let get = async |path: &str, header: &str| {
            let request = app.http.get(app.url(path)).header("authorization", header);
            read(request.send().await.unwrap()).await
        };
        // `prometheus:read-the-figures`.
        let basic = "Basic cHJvbWV0aGV1czpyZWFkLXRoZS1maWd1cmVz";
        for token in ["Bearer read-the-figures", basic] {
            let metrics = get("/metrics", token).await;
            assert_eq!(metrics.status, 200, "{token}");
            assert!(metrics.body.contains("dagway_runs_in_flight 0"));
            for path in [
                "/",
                "/runs",
                "/usage",
                "/api/runs",
                "/v1/models",
                "/metrics/",
            ] {
                assert_eq!(get(path, token).await.status, 401, "{path}");
            }
        }
        let with_password = get("/metrics", "Basic bWU6b3BlbiBzZXNhbWU=").await;
        assert_eq!(with_password.status, 200);
        let wrong = get("/metrics", "Bearer read-the-figure").await;
        assert_eq!(wrong.status, 401);
        assert!(
            wrong.body.contains("DAGWAY_METRICS_TOKEN"),
            "{}",
            wrong.body
        );
        let elsewhere = get("/runs", "Bearer read-the-figures").await;
        assert!(!elsewhere.body.contains("DAGWAY_METRICS_TOKEN"));
        app.stop().await;
    });
}

#[test]
fn named_hosts_are_checked_on_open_addresses_too() {
    block_on(async {
        for (names, strangers_status) in [(vec![], 200), (vec!["gateway.example".to_owned()], 403)]
        {
            let app = TestApp::start_with(|settings| {
                settings.server.listen = "0.0.0.0:0".parse().unwrap();
                settings.server.client_keys = vec![ClientKey::nameless("client-key")];
                settings.server.dashboard_password = Secret::new("open sesame");
                settings.server.allowed_hosts = names;
            })
            .await;
            for (host, status) in [
                ("localhost:4000", 200),
                ("gateway.example", 200),
                ("evil.example", strangers_status),
            ] {
                let asked = app.http.get(app.url("/health")).header("host", host);
                let got = read(asked.send().await.unwrap()).await;
                assert_eq!(got.status, status, "{host}: {}", got.body);
            }
            app.stop().await;
        }
    });
}

#[test]
fn simulated_sessions_present_a_key_where_one_is_demanded() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.server.client_keys = vec![ClientKey::nameless("client-key")];
        })
        .await;
        let report = sessions::drive(&app.app.url(), Some("client-key"), Pace::Fast)
            .await
            .unwrap();
        let runs = app.get("/api/runs?limit=200").await.json();
        assert!(!runs["runs"].as_array().unwrap().is_empty(), "{report}");
        assert_eq!(report.faults, Vec::<String>::new());
        assert!(report.answers > 0, "{report}");
        app.stop().await;
    });
}

#[test]
fn head_is_answered_wherever_get_is() {
    block_on(async {
        let app = TestApp::start().await;
        let got = app.messages(&ask("hello")).await;
        let run = got.run();
        app.ended_run(&run).await;
        for path in [
            "/health",
            "/health/ready",
            "/metrics",
            "/api/hello",
            "/runs",
            &format!("/runs/{run}"),
            "/usage",
            "/workflows",
            "/api/runs",
            &format!("/api/runs/{run}"),
            "/api/runs/nope",
            "/api/usage",
            "/api/usage?by=colour",
            "/api/workflows",
            "/v1/models",
            "/v1/models/nobody/nothing",
            "/v1/messages",
            "/live/runs",
            "/nowhere",
        ] {
            let got = app.http.get(app.url(path)).send().await.unwrap();
            let head = app.http.head(app.url(path)).send().await.unwrap();
            assert_eq!(head.status(), got.status(), "{path}");
            for name in [
                "content-type",
                "cache-control",
                "allow",
                "content-security-policy",
            ] {
                assert_eq!(
                    head.headers().get(name),
                    got.headers().get(name),
                    "{path}: {name}"
                );
            }
            assert!(head.headers().contains_key("request-id"), "{path}");
            assert_eq!(head.bytes().await.unwrap(), "", "{path}");
        }
        // The connections are in step still.
        assert_eq!(app.get("/health").await.json()["status"], "ok");
        app.stop().await;
    });
}

#[test]
fn what_is_not_there_or_not_to_be_done_is_said_in_the_form_of_its_neighbours() {
    block_on(async {
        let app = TestApp::start().await;
        for (method, path, status) in [
            ("GET", "/api/nowhere", 404),
            ("GET", "/api", 404),
            ("GET", "//api/runs", 404),
            ("GET", "/api/runs/", 404),
            ("POST", "/api/runs", 405),
            ("DELETE", "/api/runs/x", 405),
            ("POST", "/health", 405),
            ("POST", "/metrics", 405),
        ] {
            let request = app.http.request(method.parse().unwrap(), app.url(path));
            let got = read(request.send().await.unwrap()).await;
            assert_eq!(got.status, status, "{method} {path}");
            let message = got.json()["error"]["message"].as_str().map(str::to_owned);
            assert!(
                message.is_some_and(|message| message.contains("GET")),
                "{}",
                got.body
            );
            if status == 405 {
                assert_eq!(got.header("allow"), "GET, HEAD", "{method} {path}");
            }
        }
        for (method, path, status) in [
            ("GET", "/nowhere", 404),
            ("GET", "/runs/%FF", 404),
            ("POST", "/runs", 405),
            ("DELETE", "/", 405),
            ("PUT", "/workflows/messages", 405),
        ] {
            let request = app.http.request(method.parse().unwrap(), app.url(path));
            let got = read(request.send().await.unwrap()).await;
            assert_eq!(got.status, status, "{method} {path}");
            assert_eq!(got.header("content-type"), "text/html; charset=utf-8");
            assert!(
                got.body.contains("<html") && got.body.contains("To the runs"),
                "{}",
                got.body
            );
            if status == 405 {
                assert_eq!(got.header("allow"), "GET, HEAD", "{method} {path}");
            }
        }
        let moved = app.get("/runs/?state=failed").await;
        assert_eq!(moved.status, 308, "{}", moved.body);
        assert_eq!(moved.header("location"), "/runs?state=failed");
        app.stop().await;
    });
}

#[test]
fn a_query_that_cannot_be_read_is_told_by_its_parameter() {
    block_on(async {
        let app = TestApp::start().await;
        for query in [
            "limit=abc",
            "limit=",
            "limit=-1",
            "limit=0",
            "limit=1001",
            "limit=1.5",
        ] {
            let got = app.get(&format!("/v1/models?{query}")).await;
            assert_eq!(got.status, 400, "{query}: {}", got.body);
            let error = got.json()["error"].take();
            assert_eq!(error["type"], "invalid_request_error");
            let message = error["message"].as_str().unwrap();
            assert!(
                message.starts_with("limit: ") && message.contains("between 1 and 1000"),
                "{message}"
            );
        }
        let got = app
            .get("/v1/models?limit=2&limit=3&beta=true&%FF=%FF")
            .await;
        assert_eq!(
            got.json()["data"].as_array().map(Vec::len),
            Some(3),
            "{}",
            got.body
        );
        let got = app.get("/v1/models/%FF").await;
        assert_eq!(
            (got.status, &got.json()["error"]["type"]),
            (404, &json!("not_found_error"))
        );
        app.stop().await;
    });
}

#[test]
fn a_packed_body_is_refused_by_the_name_of_its_packing() {
    block_on(async {
        let app = TestApp::start().await;
        for path in ["/v1/messages", "/v1/messages/count_tokens"] {
            let post = |coding: &'static str, body: Vec<u8>| {
                let request = app.http.post(app.url(path));
                request.header("content-encoding", coding).body(body).send()
            };
            let gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
            let got = read(post("gzip", gzip).await.unwrap()).await;
            assert_eq!(got.status, 415, "{}", got.body);
            let error = got.json()["error"].take();
            assert_eq!(error["type"], "invalid_request_error");
            let message = error["message"].as_str().unwrap();
            assert!(
                message.contains("content-encoding") && message.contains("gzip"),
                "{message}"
            );
            let plain = ask("hello").to_string().into_bytes();
            let got = read(post("identity", plain).await.unwrap()).await;
            assert_eq!(got.status, 200, "{}", got.body);
        }
        app.stop().await;
    });
}

#[test]
fn a_client_of_http_1_0_gets_a_stream_without_chunks() {
    block_on(async {
        let app = TestApp::start().await;
        app.script(Script::new().then(Turn::text("Hello.")));
        let address = app.app.url().trim_start_matches("http://").to_owned();
        let mut socket = TcpStream::connect(&address).await.unwrap();
        let body = ask("hello").to_string();
        let request = format!(
            "POST /v1/messages HTTP/1.0\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let whole = socket.read_to_string(&mut answer);
        tokio::time::timeout(DEADLINE, whole)
            .await
            .expect("the connection ends with the answer")
            .unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.0 200"), "{head}");
        assert!(!head.contains("transfer-encoding"), "{head}");
        assert!(body.starts_with("event: message_start\n"), "{body}");
        assert!(
            body.ends_with("data: {\"type\":\"message_stop\"}\n\n"),
            "{body}"
        );
        app.stop().await;
    });
}
