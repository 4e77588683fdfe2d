//! What HTTP and browsers demand of the server beside its answers: offers of other protocols, pages that have a key,
//! slashes behind paths.

use dagway::settings::ClientKey;
use dagway::simulator::{Script, Turn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{DEADLINE, Got, TestApp, ask, ask_whole, block_on, read};

/// Sends a request with these lines in its head, and reads until the connection ends.
async fn until_the_end(app: &TestApp, lines: &str) -> String {
    let address = app.app.url().trim_start_matches("http://").to_owned();
    let mut socket = TcpStream::connect(&address).await.unwrap();
    let body = ask_whole("hello").to_string();
    let length = body.len();
    let request = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: {address}\r\ncontent-length: {length}\r\n{lines}\r\n{body}"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let whole = socket.read_to_string(&mut answer);
    tokio::time::timeout(DEADLINE, whole)
        .await
        .expect("the connection ends with the answer")
        .unwrap();
    answer
}

#[test]
fn an_offer_of_another_protocol_is_declined_and_the_connection_says_that_it_ends() {
    block_on(async {
        let app = TestApp::start().await;
        for lines in [
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAA\r\n",
            "Connection: Upgrade\r\nUpgrade: websocket\r\n",
            "Upgrade: websocket\r\n",
        ] {
            app.script(Script::new().then(Turn::text("Hello.")));
            let answer = until_the_end(&app, lines).await;
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 200"), "{lines}: {head}");
            assert!(head.contains("\r\nconnection: close"), "{lines}: {head}");
            assert!(body.contains("Hello."), "{lines}: {body}");
        }
        app.stop().await;
    });
}

async fn with_a_key() -> TestApp {
    TestApp::start_with(|settings| {
        settings.server.client_keys = vec![ClientKey::nameless("client-key")];
    })
    .await
}

async fn send(request: reqwest::RequestBuilder) -> Got {
    read(request.send().await.unwrap()).await
}

#[test]
fn a_page_with_a_key_may_ask_and_read() {
    block_on(async {
        let app = with_a_key().await;
        let of_page = |method: &str, path: &str| {
            let request = app.http.request(method.parse().unwrap(), app.url(path));
            request.header("origin", "https://app.test")
        };
        let wanted = "anthropic-dangerous-direct-browser-access,content-type,x-api-key";
        let question = of_page("OPTIONS", "/v1/messages")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", wanted);
        let may = send(question).await;
        assert_eq!((may.status, may.body.as_str()), (204, ""));
        assert_eq!(
            may.header("access-control-allow-origin"),
            "https://app.test"
        );
        assert_eq!(may.header("access-control-allow-headers"), wanted);
        let methods = may.header("access-control-allow-methods");
        assert!(methods.contains("POST"), "{methods}");
        assert_eq!(may.header("vary"), "Origin");
        let post = |key: &'static str, body: String| {
            let request = of_page("POST", "/v1/messages").header("x-api-key", key);
            send(request.body(body))
        };
        for (got, status) in [
            (post("client-key", ask("hello").to_string()).await, 200),
            (post("client-key", "{}".to_owned()).await, 400),
            (post("wrong", ask("hello").to_string()).await, 401),
        ] {
            assert_eq!(got.status, status, "{}", got.body);
            assert_eq!(
                got.header("access-control-allow-origin"),
                "https://app.test"
            );
            assert_eq!(got.header("vary"), "Origin");
            let shown: Vec<_> = got
                .header("access-control-expose-headers")
                .split(", ")
                .collect();
            assert!(shown.contains(&"request-id"), "{shown:?}");
            assert_eq!(shown.contains(&"x-dagway-run"), status != 401, "{shown:?}");
        }
        app.stop().await;
    });
}

#[test]
fn pages_hear_nothing_of_operators_paths_nor_where_there_is_no_key() {
    block_on(async {
        let (keyed, open) = (with_a_key().await, TestApp::start().await);
        for (app, method, path) in [
            (&keyed, "GET", "/api/runs"),
            (&keyed, "GET", "/runs"),
            (&keyed, "OPTIONS", "/api/runs"),
            (&open, "GET", "/v1/models"),
            (&open, "OPTIONS", "/v1/messages"),
            (&open, "POST", "/v1/messages"),
        ] {
            let request = app.http.request(method.parse().unwrap(), app.url(path));
            let request = request
                .header("origin", "https://app.test")
                .header("access-control-request-method", "POST");
            let got = send(request).await;
            let said = got.headers.keys().map(reqwest::header::HeaderName::as_str);
            let said: Vec<_> = said.filter(|name| name.starts_with("access-")).collect();
            assert!(said.is_empty(), "{method} {path}: {said:?}");
        }
        let plain = keyed.get("/v1/models").await;
        assert!(!plain.headers.contains_key("vary"), "{plain:?}");
        keyed.stop().await;
        open.stop().await;
    });
}

#[test]
fn a_slash_behind_a_path_of_the_api_changes_nothing() {
    block_on(async {
        let app = TestApp::start().await;
        let got = app.post("/v1/messages/?beta=true", &ask("hello")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        let counted = app.post("/v1/messages/count_tokens/", &ask("hello")).await;
        assert_eq!(counted.status, 200, "{}", counted.body);
        let models = app.get("/v1/models/?limit=2").await;
        assert_eq!(models.json()["data"].as_array().map(Vec::len), Some(2));
        for path in ["/v1/models/opus/", "/api/v1/models/opus/"] {
            let model = app.get(path).await;
            assert_eq!(model.json()["id"], "anthropic/claude-opus-5.5", "{path}");
        }
        let other = app.get("/v1/messages/").await;
        assert_eq!(other.status, 405, "{}", other.body);
        app.stop().await;
    });
}
