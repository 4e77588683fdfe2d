//! The pages and the run API as a browser gets them, over a store in memory.

use std::collections::HashSet;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{App, test, web};

use super::fixture::{self, FakeStore};
use super::page::POLICY;
use crate::events::{FactValue, RunId};
use crate::facts;
use crate::store::RunDetail;

/// Before all runs of the fixture.
const LONG_AGO: &str = "2026-11-01T00:00:00Z";

struct Answer {
    status: StatusCode,
    headers: actix_web::http::header::HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn get_from(runs: Vec<RunDetail>, path: &str) -> Answer {
    let (dashboard, _changes) = fixture::dashboard(Arc::new(FakeStore::new(runs)));
    let app = App::new()
        .app_data(web::Data::new(dashboard))
        .configure(super::routes)
        .configure(super::api::routes)
        .default_service(web::to(super::not_found));
    let app = test::init_service(app).await;
    let response = test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
    let status = response.status();
    let headers = response.headers().clone();
    let body = test::read_body(response).await;
    Answer {
        status,
        headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

async fn get(path: &str) -> Answer {
    get_from(fixture::all_runs(), path).await
}

fn page_of(run: &RunDetail) -> String {
    format!("/runs/{}", run.summary.id)
}

/// Every page in every mood.
fn pages() -> Vec<String> {
    let mut pages: Vec<String> = [
        "/",
        "/runs",
        "/runs?state=Failed&q=x",
        "/runs?session=0",
        "/runs?sort=duration&limit=1",
        "/usage",
        "/usage?by=session&since=2026-11-01T00:00:00Z&state=Completed",
        "/usage?by=client&since=1970-01-01T00:00:00Z",
        "/workflows",
        "/workflows/messages",
    ]
    .map(str::to_owned)
    .into();
    for run in fixture::all_runs() {
        pages.push(page_of(&run));
        pages.push(format!("{}?payload=got&scale=stretched", page_of(&run)));
        pages.push(format!("{}?payload=answered", page_of(&run)));
        pages.push(format!("{}?payload=conversation", page_of(&run)));
        pages.push(format!("{}?payload=changes", page_of(&run)));
    }
    pages
}

/// The open tags of a page, as written.
fn tags(html: &str) -> Vec<&str> {
    html.split('<')
        .skip(1)
        .filter(|piece| piece.starts_with(|c: char| c.is_ascii_alphabetic()))
        .filter_map(|piece| piece.split('>').next())
        .collect()
}

#[actix_web::test]
async fn pages_are_well_formed_and_have_nothing_inline() {
    for path in pages() {
        let answer = get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.header("content-security-policy"), POLICY);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");

        let mut ids = HashSet::new();
        for tag in tags(&answer.body) {
            // Every other piece between quotes is an attribute's value.
            let names: String = tag.split('"').step_by(2).collect();
            for inline in [" style=", " on"] {
                assert!(!names.contains(inline), "{path}: <{names}>");
            }
            assert!(
                !tag.starts_with("script") || tag.contains("src=\"/assets/"),
                "{path}: <{tag}>"
            );
            if let Some(id) = tag.split(" id=\"").nth(1) {
                let id = id.split('"').next().unwrap();
                assert!(ids.insert(id.to_owned()), "{path} has #{id} twice");
            }
        }
        for name in [
            "a", "bdi", "div", "details", "dl", "li", "ol", "p", "section", "span", "svg", "table",
            "td", "tr",
        ] {
            let open = tags(&answer.body)
                .iter()
                .filter(|tag| tag.split([' ', '\n']).next() == Some(name))
                .count();
            let closed = answer.body.matches(&format!("</{name}>")).count();
            assert_eq!(open, closed, "{path}: <{name}>");
        }
    }
}

#[actix_web::test]
async fn every_box_that_scrolls_is_reached_by_keys() {
    let scrolls = ["code", "events", "log", "log wide", "source"];
    let mut seen = HashSet::new();
    for path in pages() {
        let page = get(&path).await.body;
        for tag in tags(&page) {
            let class = tag.split("class=\"").nth(1).unwrap_or_default();
            let class = class.split('"').next().unwrap_or_default();
            if let Some(class) = scrolls.iter().find(|scrolls| **scrolls == class) {
                seen.insert(*class);
                assert!(tag.contains(" tabindex=\"0\""), "{path}: <{tag}>");
                let is_list = tag.starts_with("ol");
                assert_eq!(is_list, tag.contains(" aria-label"), "{path}: <{tag}>");
            }
        }
    }
    assert_eq!(seen.len(), scrolls.len(), "{seen:?}");
}

#[actix_web::test]
async fn a_long_error_can_be_scrolled_by_keys_and_a_short_one_is_no_stop() {
    for (length, is_stop) in [(20, false), (2_000, true)] {
        let mut run = fixture::failed_run();
        run.summary.error = Some("e".repeat(length));
        let path = page_of(&run);
        let page = get_from(vec![run], &path).await.body;
        let stop = "<p class=\"fault-text\" tabindex=\"0\" role=\"group\" aria-label=\"Error\">";
        assert_eq!(page.contains(stop), is_stop, "{length}");
    }
}

#[actix_web::test]
async fn hostile_text_is_escaped_everywhere() {
    let hostile = fixture::hostile_run();
    for path in [
        "/runs".to_owned(),
        format!("/usage?since={LONG_AGO}"),
        format!("/usage?since={LONG_AGO}&by=provider"),
        page_of(&hostile),
        format!("{}?payload=got", page_of(&hostile)),
        format!("{}?payload=conversation", page_of(&hostile)),
    ] {
        let answer = get(&path).await;
        assert!(answer.body.contains("&#60;script&#62;alert(1)"), "{path}");
        assert!(!answer.body.contains("<script>"), "{path}");
        assert!(!answer.body.contains("<img"), "{path}");
        assert!(!answer.body.contains("<hx-partial"), "{path}");
    }
    let echoed = [
        "/runs?q=%22%3E%3Cscript%3E",
        "/runs?state=%3Cscript%3E",
        "/runs/%3Cscript%3E",
        "/nowhere/%3Cscript%3E",
    ];
    for path in echoed {
        let answer = get(path).await;
        assert!(!answer.body.contains("<script>"), "{path}");
        assert_eq!(answer.header("content-security-policy"), POLICY, "{path}");
    }
}

#[actix_web::test]
async fn secrets_in_headers_are_shown_nowhere() {
    let run = fixture::completed_run();
    let id = run.summary.id;
    for side in [
        "asked",
        "sent",
        "refused",
        "answered",
        "got",
        "conversation",
    ] {
        let page = get(&format!("/runs/{id}?payload={side}")).await;
        assert!(!page.body.contains("sk-leaked"), "{side}");
    }
    assert!(run.payloads.len() >= 8);
    for name in run.payloads.iter().map(|payload| &payload.name) {
        for path in [
            format!("/runs/{id}/payloads/{name}"),
            format!("/api/runs/{id}/payloads/{name}"),
        ] {
            let raw = get(&path).await;
            assert_eq!(raw.status, StatusCode::OK, "{path}");
            assert!(!raw.body.contains("sk-leaked"), "{path}");
            assert_eq!(raw.header("x-content-type-options"), "nosniff", "{path}");
        }
    }
}

#[actix_web::test]
async fn a_payload_is_never_a_page() {
    let id = fixture::completed_run().summary.id;
    let json = get(&format!("/runs/{id}/payloads/client.request")).await;
    assert_eq!(json.header("content-type"), "application/json");
    let events = get(&format!("/runs/{id}/payloads/client.response")).await;
    assert_eq!(events.header("content-type"), "text/plain; charset=utf-8");
}

#[actix_web::test]
async fn what_does_not_exist_is_said_with_a_page() {
    let nobody = RunId::now();
    for (path, status) in [
        ("/runs/nope".to_owned(), 404),
        (format!("/runs/{nobody}"), 404),
        ("/workflows/nope".to_owned(), 404),
        ("/nowhere".to_owned(), 404),
        (
            format!("{}/payloads/nope", page_of(&fixture::completed_run())),
            404,
        ),
        (
            format!("{}?step=nope", page_of(&fixture::completed_run())),
            400,
        ),
        (
            format!("{}?payload=nope", page_of(&fixture::completed_run())),
            400,
        ),
        (
            format!("{}?against=nope", page_of(&fixture::completed_run())),
            404,
        ),
        ("/live/runs?limit=0".to_owned(), 400),
    ] {
        let answer = get(&path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert!(answer.body.contains("<h1>"), "{path}");
    }
}

/// The command of an empty list, as it is shown and as it is copied, and the page.
async fn beginning(host: &str, demands_key: bool) -> ([String; 2], String) {
    let (mut dashboard, _changes) = fixture::dashboard(Arc::new(FakeStore::new(Vec::new())));
    dashboard.demands_key = demands_key;
    let app = App::new()
        .app_data(web::Data::new(dashboard))
        .configure(super::routes);
    let app = test::init_service(app).await;
    let request = test::TestRequest::get()
        .uri("/")
        .insert_header(("host", host));
    let body = test::call_and_read_body(&app, request.to_request()).await;
    let page = String::from_utf8(body.to_vec()).unwrap();
    let between = |before: &str, after: &str| {
        let rest = page.split(before).nth(1).unwrap();
        rest.split(after).next().unwrap().to_owned()
    };
    let shown = between("aria-label=\"Command\">", "</pre>");
    let shown = shown
        .replace("<span id=\"origin\">", "")
        .replace("</span>", "");
    ([shown, between("data-copy=\"", "\"")], page)
}

#[actix_web::test]
async fn an_empty_list_says_how_to_begin() {
    for (host, origin) in [
        ("127.0.0.1:4100", "http://127.0.0.1:4100"),
        ("gateway.test", "http://gateway.test"),
        ("[::1]:4000", "http://[::1]:4000"),
        ("a;rm${IFS}-r", "http://127.0.0.1:4000"),
        ("<script>", "http://127.0.0.1:4000"),
    ] {
        let (commands, page) = beginning(host, false).await;
        let command = format!("ANTHROPIC_BASE_URL={origin} ANTHROPIC_AUTH_TOKEN=dagway claude");
        assert_eq!(commands, [command.clone(), command], "{host}");
        assert!(!page.contains("DAGWAY_CLIENT_KEYS"));
    }
    let filtered = get("/runs?q=nothing-like-it").await;
    assert!(filtered.body.contains("No run matches"));
}

#[actix_web::test]
async fn where_client_keys_are_demanded_an_empty_list_says_so() {
    let ([shown, copied], page) = beginning("127.0.0.1:4000", true).await;
    assert!(
        shown.ends_with("ANTHROPIC_AUTH_TOKEN=YOUR_CLIENT_KEY claude"),
        "{shown}"
    );
    assert_eq!(shown, copied);
    assert!(page.contains("put one of <code>DAGWAY_CLIENT_KEYS</code>"));
}

#[actix_web::test]
async fn a_filter_that_cannot_be_read_stays_as_it_was_typed_and_says_what_is_wrong() {
    let page = get("/runs?min_duration=a%20while&min_cost=0.05&model=son&q=x").await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    let field = |name: &str| {
        let field = page.body.split(&format!("name=\"{name}\"")).nth(1).unwrap();
        field.split('>').next().unwrap().to_owned()
    };
    let wrong = field("min_duration");
    assert!(
        wrong.contains("value=\"a while\" aria-invalid=\"true\""),
        "{wrong}"
    );
    assert!(page.body.contains("<title>x, son · Runs · Dagway</title>"));
    for (name, value) in [("min_cost", "0.05"), ("model", "son"), ("q", "x")] {
        let kept = field(name);
        assert!(kept.contains(&format!("value=\"{value}\"")), "{kept}");
        assert!(!kept.contains("aria-invalid"), "{kept}");
    }
    assert!(
        page.body.contains("min_duration: `a while`"),
        "{}",
        page.body
    );
    assert!(
        !page.body.contains("<tr id="),
        "no run is let through by mistake"
    );
    assert!(!page.body.contains("hx-sse:connect"));
}

#[actix_web::test]
async fn older_runs_are_a_page_away() {
    let first = get("/runs?limit=2").await;
    assert_eq!(first.body.matches("<tr id=").count(), 2);
    let has_room = |page: &str| !page.contains("data-more");
    assert!(
        !has_room(&first.body),
        "older runs that come late stand on the next page"
    );
    assert!(has_room(&get("/runs").await.body), "they are inserted here");
    let older = first
        .body
        .split("href=\"/runs?limit=2&#38;after=")
        .nth(1)
        .unwrap();
    let after = older.split('"').next().unwrap();
    let second = get(&format!("/runs?limit=2&after={after}")).await;
    assert_eq!(second.body.matches("<tr id=").count(), 2);
    assert!(second.body.contains("data-paged"));
    let retried = fixture::retried_run().summary.id;
    let row = second
        .body
        .split(&format!("<tr id=\"run-{retried}\""))
        .nth(1);
    let row = row.and_then(|rest| rest.split("</tr>").next()).unwrap();
    assert!(row.contains("2 retries"), "{row}");
    assert!(
        !first.body.contains("2 retries"),
        "only where there were some"
    );
}

#[actix_web::test]
async fn a_page_behind_a_run_that_is_no_longer_kept_says_so_where_its_figure_is_needed() {
    let gone = RunId::now();
    for path in ["/runs", "/api/runs"] {
        let lost = get(&format!("{path}?sort=cost&after={gone}")).await;
        assert_eq!(lost.status, 404);
        assert!(
            lost.body.contains("no longer kept; begin again"),
            "{}",
            lost.body
        );
        let by_time = get(&format!("{path}?after={gone}")).await;
        assert_eq!(by_time.status, 200);
        let known = get("/api/runs?sort=cost&limit=200").await.json();
        let last = known["runs"].as_array().unwrap().last().unwrap();
        let end = format!("{path}?sort=cost&after={}", last["id"].as_str().unwrap());
        assert_eq!(get(&end).await.status, 200, "the end is a page");
    }
}

#[actix_web::test]
async fn a_list_can_be_put_in_the_order_of_its_costs() {
    let mut listed = Vec::new();
    let mut path = "/runs?sort=cost&limit=3".to_owned();
    loop {
        let page = get(&path).await.body;
        assert!(page.contains(r#"<option value="cost" selected>"#), "{path}");
        assert_eq!(page.matches("aria-sort").count(), 1);
        assert!(
            page.contains("aria-sort=\"descending\"><a class=\"order-link\" href=\"/runs?sort=cost&#38;limit=3\">Cost"),
            "{page}"
        );
        assert!(page.contains(r#"href="/runs?limit=3">Started"#), "{page}");
        assert!(
            page.contains(" data-paged"),
            "new runs are announced, not put in"
        );
        let rows = page.split("<tr id=\"run-").skip(1);
        listed.extend(rows.map(|row| row.get(..36).unwrap().to_owned()));
        let Some((before, _)) = page.split_once("\" rel=\"next\">Next") else {
            break;
        };
        let next = before.rsplit("href=\"").next().unwrap();
        path = next.replace("&#38;", "&");
    }
    let api = get("/api/runs?sort=cost&limit=200").await.json();
    let costs: Vec<_> = api["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["facts"]["dagway.cost_usd"].as_f64().unwrap_or(-1.0))
        .collect();
    assert!(costs.is_sorted_by(|one, next| one >= next), "{costs:?}");
    assert!(costs[0] > 0.0);
    let ids: Vec<_> = api["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["id"].as_str().unwrap())
        .collect();
    assert_eq!(listed, ids);
}

#[actix_web::test]
async fn a_store_that_refuses_writes_is_said_wherever_runs_are_read() {
    for takes_writes in [false, true] {
        let mut store = FakeStore::new(vec![fixture::streaming_run()]);
        store.takes_writes = takes_writes;
        let (dashboard, _changes) = fixture::dashboard(Arc::new(store));
        let app = App::new()
            .app_data(web::Data::new(dashboard))
            .configure(super::api::routes)
            .configure(super::routes);
        let app = test::init_service(app).await;
        let id = fixture::streaming_run().summary.id;
        for path in ["/", "/workflows", &format!("/runs/{id}"), "/api/runs"] {
            let request = test::TestRequest::get().uri(path).to_request();
            let body = test::call_and_read_body(&app, request).await;
            let body = String::from_utf8(body.to_vec()).unwrap();
            let is_said = body.contains("The run store has refused to be written since 20");
            assert_eq!(is_said, !takes_writes, "{path}");
            let is_hidden = body.contains("id=\"trouble\" role=\"alert\" hidden");
            assert_eq!(
                is_hidden,
                takes_writes && !path.starts_with("/api"),
                "{path}"
            );
        }
    }
}

#[actix_web::test]
async fn a_banner_stands_on_every_page() {
    let (mut dashboard, _changes) = fixture::dashboard(Arc::new(FakeStore::new(Vec::new())));
    dashboard.notice = Some("Simulated upstream: no real model answers".to_owned());
    let app = App::new()
        .app_data(web::Data::new(dashboard))
        .configure(super::routes);
    let app = test::init_service(app).await;
    for path in ["/", "/workflows", "/runs/nope"] {
        let request = test::TestRequest::get().uri(path).to_request();
        let body = test::call_and_read_body(&app, request).await;
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(
            body.contains("Simulated upstream: no real model answers"),
            "{path}"
        );
    }
}

#[actix_web::test]
async fn refused_files_are_told_on_the_pages_of_workflows_and_in_the_api() {
    let (mut dashboard, _changes) = fixture::dashboard(Arc::new(FakeStore::new(Vec::new())));
    let mut present = fixture::workflows();
    let mut faults = vec!["a.toml:7: there is no task `<img src=x>`; write `validate`.".to_owned()];
    faults.extend((8..40).map(|line| format!("a.toml:{line}: {}.", "x".repeat(4000))));
    let at = present.since;
    present.refused = Some(super::Refused { at, faults });
    dashboard.workflows = tokio::sync::watch::channel(present).1;
    let app = App::new()
        .app_data(web::Data::new(dashboard))
        .configure(super::routes)
        .configure(super::api::routes);
    let app = test::init_service(app).await;
    for path in ["/workflows", "/workflows/messages"] {
        let request = test::TestRequest::get().uri(path).to_request();
        let body = test::call_and_read_body(&app, request).await;
        let body = String::from_utf8(body.to_vec()).unwrap();
        let fault =
            "there is no task <code>&#60;img src=x&#62;</code>; write <code>validate</code>.";
        assert!(body.contains(fault), "{path}: {body}");
        assert!(
            body.contains("… and 13 more") && body.contains("stay in use"),
            "{path}"
        );
        let notice = body.split("id=\"refused-title\"").nth(1).unwrap();
        let notice = notice.split("</section>").next().unwrap();
        assert!(notice.len() < 20_000, "it stays readable");
    }
    let request = test::TestRequest::get().uri("/api/workflows").to_request();
    let told: serde_json::Value = test::call_and_read_body_json(&app, request).await;
    assert_eq!(told["refused"]["faults"].as_array().unwrap().len(), 33);
    assert_eq!(told["workflows"].as_array().unwrap().len(), 2);
}

#[actix_web::test]
async fn pages_are_compressed_and_streams_are_not() {
    let (dashboard, _changes) = fixture::dashboard(Arc::new(FakeStore::new(fixture::all_runs())));
    let app = App::new()
        .app_data(web::Data::new(dashboard))
        .configure(super::routes);
    let app = test::init_service(app).await;
    for (path, encoding) in [("/runs", Some("gzip")), ("/live/runs", None)] {
        let request = test::TestRequest::get()
            .uri(path)
            .insert_header(("accept-encoding", "gzip"))
            .to_request();
        let response = test::call_service(&app, request).await;
        let found = response.headers().get("content-encoding");
        assert_eq!(
            found.map(|value| value.to_str().unwrap()),
            encoding,
            "{path}"
        );
    }
}

#[actix_web::test]
async fn assets_are_cached_for_ever_by_their_hash() {
    let style = get(&super::assets::url("app.css")).await;
    assert_eq!(style.status, StatusCode::OK);
    assert_eq!(
        style.header("cache-control"),
        "public, max-age=31536000, immutable"
    );
    assert_eq!(get("/assets/app.css").await.status, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn the_api_lists_runs_page_by_page() {
    let first = get("/api/runs?limit=2").await.json();
    assert_eq!(first["runs"].as_array().unwrap().len(), 2);
    let next = first["next"].as_str().unwrap();
    let second = get(&format!("/api/runs?limit=200&after={next}"))
        .await
        .json();
    assert_eq!(second["runs"].as_array().unwrap().len(), 3);
    assert!(second["next"].is_null());
    let mut failed = get("/api/runs?state=Failed&model=claude-sonnet-4-5")
        .await
        .json();
    assert_eq!(failed["runs"][0]["facts"]["dagway.overhead_us"], 241);
    failed["runs"][0]["facts"] = "elsewhere".into();
    insta::assert_json_snapshot!(failed["runs"][0], @r#"
    {
      "id": "01a2026b-8aa0-705a-805a-5a5a5a5a0003",
      "state": "Failed",
      "streaming": false,
      "workflow": "messages",
      "plan": "5f1d0c2a9be84e7716a3c0ffee5eed01",
      "request_id": "req_0003c0ffee5eed01",
      "trace_id": "0af7651916cd43dd8448eb211c80319c",
      "started": "2026-11-22T08:42:12.000000Z",
      "replied": null,
      "ended": "2026-11-22T08:42:12.241310Z",
      "duration_ms": 241.31,
      "first_token_ms": null,
      "error": "the upstream answered 402: this request needs more credits, or fewer max_tokens; add credits at https://openrouter.ai/settings/credits",
      "pieces": 0,
      "bytes": 0,
      "facts": "elsewhere"
    }
    "#);
}

#[actix_web::test]
async fn the_api_shows_a_run_whole() {
    let id = fixture::retried_run().summary.id;
    let run = get(&format!("/api/runs/{id}")).await.json();
    let members: Vec<&str> = run
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(members, ["run", "steps", "logs", "request", "payloads"]);
    insta::assert_json_snapshot!(run["steps"][fixture::CALL_UPSTREAM], @r#"
    {
      "name": "call_upstream",
      "task": "call_upstream",
      "state": "Completed",
      "streaming": false,
      "gives_flow": true,
      "started": "2026-11-22T08:47:12.000196Z",
      "ended": "2026-11-22T08:47:16.099600Z",
      "duration_ms": 4099.404,
      "attempts": 3,
      "error": "the upstream answered 503: no provider is available",
      "history": [
        {
          "at": "2026-11-22T08:47:12.000000Z",
          "state": "Pending",
          "attempt": 0,
          "message": null,
          "retry_in_ms": null
        },
        {
          "at": "2026-11-22T08:47:12.000196Z",
          "state": "Running",
          "attempt": 1,
          "message": null,
          "retry_in_ms": null
        },
        {
          "at": "2026-11-22T08:47:12.182000Z",
          "state": "Retrying",
          "attempt": 1,
          "message": "the upstream answered 429: rate limit exceeded, try again in 1 s",
          "retry_in_ms": 1000.0
        },
        {
          "at": "2026-11-22T08:47:13.184000Z",
          "state": "Running",
          "attempt": 2,
          "message": null,
          "retry_in_ms": null
        },
        {
          "at": "2026-11-22T08:47:13.402000Z",
          "state": "Retrying",
          "attempt": 2,
          "message": "the upstream answered 503: no provider is available",
          "retry_in_ms": 512.0
        },
        {
          "at": "2026-11-22T08:47:13.915000Z",
          "state": "Running",
          "attempt": 3,
          "message": null,
          "retry_in_ms": null
        },
        {
          "at": "2026-11-22T08:47:16.099600Z",
          "state": "Completed",
          "attempt": 3,
          "message": null,
          "retry_in_ms": null
        }
      ],
      "outputs": []
    }
    "#);
    insta::assert_json_snapshot!(run["logs"][0], @r#"
    {
      "at": "2026-11-22T08:47:12.000072Z",
      "level": "info",
      "step": "map_model",
      "message": "claude-sonnet-4-5 is anthropic/claude-sonnet-4.5 upstream"
    }
    "#);
    insta::assert_json_snapshot!(run["payloads"][0], @r#"
    {
      "name": "client.request",
      "bytes": 480,
      "gone": false
    }
    "#);
}

#[actix_web::test]
async fn the_api_shows_workflows() {
    let workflows = get("/api/workflows").await.json();
    let messages = &workflows["workflows"][1];
    assert_eq!(workflows["refused"], serde_json::Value::Null);
    assert!(workflows["in_use_since"].is_string());
    assert_eq!(messages["name"], "messages");
    insta::assert_json_snapshot!(messages["steps"][fixture::CALL_UPSTREAM], @r#"
    {
      "name": "call_upstream",
      "task": "call_upstream",
      "about": "Sends the request and waits for the first byte",
      "with": {},
      "optional": false,
      "timeout_ms": 60000.0,
      "retry": {
        "attempts": 3,
        "backoff": "exponential",
        "base_ms": 250.0,
        "max_ms": 8000.0,
        "jitter": true,
        "honour_retry_after": true,
        "timeouts": true
      },
      "limit": 8,
      "takes": [
        "UpstreamRequest"
      ],
      "gives": [
        "UpstreamReply"
      ]
    }
    "#);
    insta::assert_json_snapshot!(messages["edges"][0], @r#"
    {
      "from": "request",
      "to": "validate",
      "kind": "shared",
      "artifact": "ClientRequest"
    }
    "#);
}

#[actix_web::test]
async fn the_api_answers_errors_as_sentences() {
    let wrong = get("/api/runs?limit=many").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    insta::assert_json_snapshot!(wrong.json(), @r#"
    {
      "error": {
        "message": "limit: `many` does not do; give a whole number from 1 to 200"
      }
    }
    "#);
    let missing = get("/api/runs/nope").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    insta::assert_json_snapshot!(missing.json(), @r#"
    {
      "error": {
        "message": "nope is not the id of a run: give the x-dagway-run of an answer, or its request-id."
      }
    }
    "#);
}

#[actix_web::test]
async fn a_run_is_found_by_the_id_that_its_client_was_told() {
    let run = fixture::completed_run().summary;
    let request_id = run.id.request_id();
    let page = get(&format!("/runs/{request_id}?scale=linear")).await;
    assert_eq!(page.status, StatusCode::PERMANENT_REDIRECT);
    assert_eq!(
        page.header("location"),
        format!("/runs/{}?scale=linear", run.id)
    );
    let found = get(&format!("/api/runs/{request_id}")).await;
    assert_eq!(found.json()["run"]["id"], run.id.to_string());
    let listed = get(&format!("/api/runs?request_id={}", run.request_id)).await;
    assert_eq!(listed.json()["runs"][0]["id"], run.id.to_string());
    let none = get("/api/runs?request_id=req_none").await;
    assert_eq!(none.json()["runs"], serde_json::json!([]));
}

#[actix_web::test]
async fn a_slash_too_many_leads_to_the_page_and_nowhere_else() {
    for (path, place) in [
        ("/runs/", "/runs"),
        ("/runs//?state=failed", "/runs?state=failed"),
        ("/workflows/", "/workflows"),
        ("/workflows/messages/", "/workflows/messages"),
    ] {
        let got = get(path).await;
        assert_eq!(got.status, StatusCode::PERMANENT_REDIRECT, "{path}");
        assert_eq!(got.header("location"), place);
    }
    for path in [
        "/nowhere/",
        "//evil.test/",
        "//evil.test//runs/",
        "/runsx/",
        "/%2fevil.test/",
    ] {
        let got = get(path).await;
        assert_eq!(got.status, StatusCode::NOT_FOUND, "{path}");
        assert!(got.body.contains("Nothing is here"), "{path}");
    }
}

#[actix_web::test]
async fn usage_is_told_by_what_runs_were_of_and_leads_to_them() {
    let answer = get(&format!(
        "/usage?by=model&since={LONG_AGO}&workflow=messages"
    ))
    .await;
    assert_eq!(answer.status, StatusCode::OK);
    let since = "since=2026-11-01T00%3A00%3A00.000000Z";
    for part in [
        "<h2 id=\"usage-title\">By model</h2>".to_owned(),
        "<bdi class=\"tag\">workflow messages</bdi>".to_owned(),
        "title=\"anthropic/claude-sonnet-4.5\"".to_owned(),
        // a group, a tab, a column
        format!("href=\"/runs?workflow=messages&#38;{since}&#38;model_sent="),
        format!("href=\"/usage?by=provider&#38;workflow=messages&#38;{since}\""),
        "href=\"/runs?workflow=messages&#38;since=2026-11-22T".to_owned(),
    ] {
        assert!(answer.body.contains(&part), "{part} in {}", answer.body);
    }
}

#[actix_web::test]
async fn the_run_api_tells_usage_in_figures() {
    let path = format!("/api/usage?by=workflow&since={LONG_AGO}");
    let usage = get(&path).await.json();
    let runs = get("/api/runs").await.json()["runs"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(usage["by"], "workflow");
    assert_eq!(usage["since"], "2026-11-01T00:00:00.000000Z");
    assert_eq!(usage["until"], serde_json::Value::Null);
    assert_eq!(usage["total"]["runs"], runs);
    let sum = |list: &str, figure: &str| -> f64 {
        let groups = usage[list].as_array().unwrap().iter();
        groups.map(|group| group[figure].as_f64().unwrap()).sum()
    };
    for figure in [
        "runs",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "duration_ms",
    ] {
        let total = usage["total"][figure].as_f64().unwrap();
        assert!(total > 0.0, "{figure}");
        for list in ["groups", "slots"] {
            assert!((sum(list, figure) - total).abs() < 1e-6, "{list} {figure}");
        }
    }
    let costs: Vec<f64> = usage["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["cost_usd"].as_f64().unwrap())
        .collect();
    assert!(
        costs.is_sorted_by(|dearer, other| dearer >= other),
        "{costs:?}"
    );
    assert_eq!(usage["groups"][0]["name"], "messages");
}

/// One that a fallback replaced, after a retry, the one that stood in for it, one whose named model was spared, and one that
/// failed for its client, too.
fn runs_with_fallbacks() -> Vec<RunDetail> {
    let with = |mut run: RunDetail, stated: &[(&str, FactValue)]| {
        run.summary.id = RunId::now();
        for (fact, value) in stated {
            run.summary.facts.insert((*fact).to_owned(), value.clone());
        }
        run
    };
    let by = (facts::FALLBACK_BY, "0199-2".into());
    let model = (facts::FALLBACK_MODEL, "openai/gpt-5".into());
    let after = (facts::FALLBACK_AFTER, "0199-1".into());
    vec![
        with(fixture::failed_run(), &[by, (facts::RETRIES, 1.into())]),
        with(fixture::completed_run(), &[model.clone(), after]),
        with(fixture::completed_run(), &[model]),
        with(fixture::failed_run(), &[]),
    ]
}

#[actix_web::test]
async fn a_list_shows_which_runs_were_replaced_and_which_stand_in() {
    let list = get_from(runs_with_fallbacks(), "/runs").await.body;
    for part in [
        "title=\"A fallback was asked instead, after 1 retry, in the run 0199-2\">replaced</span>",
        "title=\"It stands in for the run 0199-1\">fallback</span>",
        "title=\"openai/gpt-5 was asked instead of the model that was named, which could not be had of late\">fallback</span>",
    ] {
        assert_eq!(list.matches(part).count(), 1, "{part} in {list}");
    }
    let list = get_from(runs_with_fallbacks(), "/runs?replaced=yes")
        .await
        .body;
    for part in [
        "name=\"replaced\" value=\"yes\" checked>",
        "</i>Replaced</span>",
    ] {
        assert!(list.contains(part), "{part} in {list}");
    }
    let others = get_from(runs_with_fallbacks(), "/runs?replaced=no")
        .await
        .body;
    assert!(others.contains("</i>Not replaced</span>"), "{others}");
}

#[actix_web::test]
async fn usage_tells_runs_that_were_replaced_from_those_that_failed() {
    let path = format!("/api/usage?since={LONG_AGO}");
    let usage = get_from(runs_with_fallbacks(), &path).await.json();
    let total = &usage["total"];
    assert_eq!((&total["runs"], &total["replaced"]), (&4.into(), &1.into()));
    assert_eq!(
        total["by_state"],
        serde_json::json!({ "Completed": 2, "Failed": 1 })
    );
    let path = format!("/usage?since={LONG_AGO}");
    let page = get_from(runs_with_fallbacks(), &path).await.body;
    for part in [
        "67 % success",
        "<i class=\"dot fill-replaced\"></i>1 replaced",
        "4 runs · 2 completed · 1 failed · 1 replaced",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let narrowed = get_from(runs_with_fallbacks(), &format!("{path}&replaced=yes")).await;
    assert!(
        narrowed.body.contains("replaced by a fallback: yes"),
        "{}",
        narrowed.body
    );
}

#[actix_web::test]
async fn what_cannot_be_asked_of_usage_is_refused_with_the_cure() {
    for (query, sentence) in [
        (
            "by=colour",
            "by: runs are not told apart by `colour`; give one of model, provider, session, client, key, workflow",
        ),
        (
            "sort=cost",
            "sort: lists of runs are put in order and paged, figures are not; leave it out",
        ),
        (
            "limit=0",
            "limit: `0` is no number of groups; give one from 1 to 1000",
        ),
        (
            "colour=red",
            "there is no parameter `colour`; figures take by and what a list of runs takes: state,",
        ),
        ("since=yesterday", "since: `yesterday` is not a moment"),
    ] {
        let refused = get(&format!("/api/usage?{query}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{query}");
        let message = refused.json()["error"]["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(message.starts_with(sentence), "{message}");
        let page = get(&format!("/usage?{query}")).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

/// What `/usage` says of itself when it cannot add figures up.
async fn refused_usage(store: FakeStore, is_crowded: bool) -> String {
    let (dashboard, _changes) = fixture::dashboard(Arc::new(store));
    if is_crowded {
        dashboard.places.adders.close();
    }
    let app = App::new()
        .app_data(web::Data::new(dashboard))
        .configure(super::routes);
    let app = test::init_service(app).await;
    let request = test::TestRequest::get().uri("/usage").to_request();
    let response = test::call_service(&app, request).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    String::from_utf8(test::read_body(response).await.to_vec()).unwrap()
}

#[actix_web::test]
async fn who_gets_no_turn_to_add_figures_up_is_told_to_come_again() {
    let page = refused_usage(FakeStore::new(fixture::all_runs()), true).await;
    assert!(page.contains("Others are adding figures up; load this page again in a moment."));
}

#[actix_web::test]
async fn what_takes_too_long_to_add_up_says_how_it_would_be_shorter() {
    let mut store = FakeStore::new(fixture::all_runs());
    store.is_slow = true;
    let page = refused_usage(store, false).await;
    assert!(
        page.contains(
            "Adding these runs up takes longer than 5 s; take a shorter time, or a filter."
        )
    );
}
