//! Who may come in: the Host header on loopback, strangers' pages, client keys, the dashboard's password, the metrics'
//! token. And request ids on every answer.

use std::sync::Arc;
use std::time::Instant;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderName,
    HeaderValue, ORIGIN, WWW_AUTHENTICATE,
};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, web};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::browser::{self, Page};
use super::errors;
use super::refusals::{Reason, Refusals};
use crate::events::RunId;
use crate::protocol::anthropic::error::ApiError;

/// Who may come in.
#[derive(Debug, Default)]
pub struct Guard {
    /// Keys that clients of the Messages API may present; any or none when empty.
    pub client_keys: Vec<ClientKey>,
    /// The password of dashboard, run API and metrics; none when empty.
    pub password: Option<SecretString>,
    /// What opens the metrics alone; none when empty.
    pub metrics_token: Option<SecretString>,
    /// Host names under which the server may be addressed, besides the loopback ones; `None`: do not look.
    pub allowed_hosts: Option<Vec<String>>,
    /// Those who were not let in.
    pub refusals: Arc<Refusals>,
}

/// A key that clients may present.
#[derive(Debug)]
pub struct ClientKey {
    /// Whose it is, where that is known.
    pub name: Option<Arc<str>>,
    /// The key.
    pub key: SecretString,
}

/// The name of the key that a request came in with, among the request's extensions; none where the key has no name.
#[derive(Clone, Debug)]
pub struct KeyName(pub Arc<str>);

/// Which door a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    /// The Messages API.
    Clients,
    /// Dashboard, run API, metrics.
    Operators,
    /// Liveness and greetings.
    Everybody,
}

/// Lets a request in or answers in its place.
///
/// # Errors
/// Those of the handlers behind it.
pub async fn check<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let since = Instant::now();
    let guard = request
        .app_data::<web::Data<Guard>>()
        .expect("the server is set up with its guard");
    let (page, answer) = (guard.page(&request), guard.turn_away(&request));
    let is_question = page.is_some() && browser::is_question(&request);
    let answer = answer.or_else(|| is_question.then(|| Page::may_ask(&request)));
    let mut response = match answer {
        Some(answer) => request.into_response(answer).map_into_right_body(),
        None => next.call(request).await?.map_into_left_body(),
    };
    complete(response.headers_mut(), since);
    if let Some(page) = page {
        page.may_read(response.headers_mut());
    }
    Ok(response)
}

/// Adds what every answer has and this one has not. An answer of a run knows better: it leaves the upstream's time out.
fn complete(headers: &mut HeaderMap, since: Instant) {
    let id = HeaderName::from_static("request-id");
    if !headers.contains_key(&id)
        && let Ok(value) = HeaderValue::from_str(&request_id())
    {
        headers.insert(id, value);
    }
    let overhead = HeaderName::from_static("x-dagway-overhead-us");
    if !headers.contains_key(&overhead)
        && let Ok(value) = HeaderValue::from_str(&since.elapsed().as_micros().to_string())
    {
        headers.insert(overhead, value);
    }
}

impl Guard {
    /// The page behind a request to the Messages API, where pages can have a key.
    fn page(&self, request: &ServiceRequest) -> Option<Page> {
        if self.client_keys.is_empty() {
            return None;
        }
        Page::of(request).filter(|_| door(request) == Door::Clients)
    }

    /// What is answered to one who may not come in, who is counted. One who may has the name of its key noted.
    fn turn_away(&self, request: &ServiceRequest) -> Option<HttpResponse> {
        let (reason, response) = self.refuse(request)?;
        // A browser asks without a password before it asks its user for one.
        let is_first_try =
            reason == Reason::Password && !request.headers().contains_key(AUTHORIZATION);
        self.refusals.note(reason, request, !is_first_try);
        Some(response)
    }

    fn refuse(&self, request: &ServiceRequest) -> Option<(Reason, HttpResponse)> {
        if !self.host_is_ours(request) {
            let message = "this host name is not one of Dagway's; address it as localhost or 127.0.0.1, \
                           or add the name to server.allowed_hosts";
            let response = if is_browser(request) {
                stranger_page()
            } else {
                errors::answer(&ApiError::permission(message), &request_id())
            };
            return Some((Reason::Host, response));
        }
        match door(request) {
            Door::Clients => self.refuse_client(request),
            Door::Operators if !self.operator_may(request) && !self.scraper_may(request) => {
                Some((Reason::Password, self.demand_password(request)))
            }
            _ => None,
        }
    }

    /// What is answered to a client that may not come in. Whose key it is that lets one in is noted.
    fn refuse_client(&self, request: &ServiceRequest) -> Option<(Reason, HttpResponse)> {
        if self.client_keys.is_empty() {
            let message = "this request was made by a web page of another origin, and nothing shows that you want it; \
                           set DAGWAY_CLIENT_KEYS, and let the page send one of them";
            return is_of_a_strangers_page(request).then(|| {
                let error = ApiError::permission(message);
                (Reason::Origin, errors::answer(&error, &request_id()))
            });
        }
        if let Some(presented) = self.presented(request) {
            if let Some(name) = presented.name.clone() {
                request.extensions_mut().insert(KeyName(name));
            }
            return None;
        }
        if browser::is_question(request) {
            return None;
        }
        let message = "this is not one of Dagway's client keys; send one from DAGWAY_CLIENT_KEYS \
                       as x-api-key or as a bearer token (ANTHROPIC_AUTH_TOKEN)";
        let error = ApiError::authentication(message);
        Some((Reason::ClientKey, errors::answer(&error, &request_id())))
    }

    fn demand_password(&self, request: &ServiceRequest) -> HttpResponse {
        let challenge = "Basic realm=\"Dagway\", charset=\"UTF-8\"";
        let said = if self.metrics_token.is_some() && is_of_metrics(request) {
            "the metrics need the token of DAGWAY_METRICS_TOKEN, as a bearer token or as the password of HTTP Basic, or \
             else the dashboard's password, which is that of DAGWAY_DASHBOARD_PASSWORD; any user name will do"
        } else {
            "the dashboard needs its password, which is that of DAGWAY_DASHBOARD_PASSWORD; any user name will do"
        };
        HttpResponse::Unauthorized()
            .insert_header((WWW_AUTHENTICATE, challenge))
            .content_type("text/plain; charset=utf-8")
            .body(said)
    }

    /// A page of a stranger must not reach a server on loopback under the stranger's own name (DNS rebinding).
    fn host_is_ours(&self, request: &ServiceRequest) -> bool {
        let Some(allowed) = &self.allowed_hosts else {
            return true;
        };
        // A target that names a host counts before the header (RFC 9112, 3.2.2).
        let named = request.uri().host();
        let by_header = || {
            let host = request.headers().get(HOST)?.to_str().ok()?;
            Some(without_port(host))
        };
        let Some(name) = named.or_else(by_header) else {
            return true;
        };
        let is_loopback = name.eq_ignore_ascii_case("localhost")
            || name
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback());
        is_loopback
            || allowed
                .iter()
                .any(|allowed| allowed.eq_ignore_ascii_case(name))
    }

    /// The key that a request came with, if it is one of ours.
    fn presented(&self, request: &ServiceRequest) -> Option<&ClientKey> {
        let text = |name: &str| {
            request
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let bearer = text(AUTHORIZATION.as_str()).and_then(|value| credentials(value, "bearer"));
        let presented = [text("x-api-key"), bearer];
        presented.into_iter().flatten().find_map(|given| {
            self.client_keys
                .iter()
                .find(|known| is_same(&known.key, given))
        })
    }

    fn operator_may(&self, request: &ServiceRequest) -> bool {
        let Some(password) = &self.password else {
            return true;
        };
        basic_password(request).is_some_and(|given| is_same(password, &given))
    }

    /// Whether it wants the metrics, and has their token.
    fn scraper_may(&self, request: &ServiceRequest) -> bool {
        let Some(token) = self
            .metrics_token
            .as_ref()
            .filter(|_| is_of_metrics(request))
        else {
            return false;
        };
        let bearer = authorization(request).and_then(|value| credentials(value, "bearer"));
        bearer.is_some_and(|given| is_same(token, given))
            || basic_password(request).is_some_and(|given| is_same(token, &given))
    }
}

/// Whether it reads the metrics; HEAD stands for GET here as elsewhere.
fn is_of_metrics(request: &ServiceRequest) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
        && request.match_info().as_str() == "/metrics"
}

fn authorization(request: &ServiceRequest) -> Option<&str> {
    request.headers().get(AUTHORIZATION)?.to_str().ok()
}

/// The password of HTTP Basic, whatever the user's name.
fn basic_password(request: &ServiceRequest) -> Option<String> {
    let encoded = credentials(authorization(request)?, "basic")?;
    let pair = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
    pair.split_once(':').map(|(_, given)| given.to_owned())
}

/// Whether a browser sent this for a page that is not ours, and it may cost something.
///
/// A page may send a plain POST anywhere without asking first, and the address of a gateway on loopback is well known.
/// Browsers say where a request comes from (Fetch Metadata, W3C, 2.1); older ones name the page's origin at least.
fn is_of_a_strangers_page(request: &ServiceRequest) -> bool {
    if request.method().is_safe() {
        return false;
    }
    let text = |name: &str| request.headers().get(name).map(HeaderValue::as_bytes);
    match (text("sec-fetch-site"), text(ORIGIN.as_str())) {
        (Some(site), _) => !matches!(site, b"same-origin" | b"none"),
        (None, Some(origin)) => {
            let named = memchr::memmem::find(origin, b"://").map(|at| &origin[at + 3..]);
            let target = request.uri().authority();
            let target = target.map(|target| target.as_str().as_bytes());
            named.is_none() || named != target.or_else(|| text(HOST.as_str()))
        }
        (None, None) => false,
    }
}

/// Whether a person reads the answer.
fn is_browser(request: &ServiceRequest) -> bool {
    let accepted = request.headers().get(ACCEPT);
    accepted
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("text/html"))
}

/// The page for a person who came by a name that is not ours. It says nothing that the request holds.
fn stranger_page() -> HttpResponse {
    HttpResponse::Forbidden()
        .content_type("text/html; charset=utf-8")
        .insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(STRANGER_PAGE)
}

/// Stands alone: below a foreign name nothing else of the dashboard can be fetched.
const STRANGER_PAGE: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>Not a name of Dagway's</title>
<h1>This host name is not one of Dagway's</h1>
<p>Address it as <code>localhost</code> or <code>127.0.0.1</code>, with the same port, \
or add the name to <code>server.allowed_hosts</code> in its settings.</p>
<p>This protects it from pages of strangers that point a name of theirs here.</p>
</html>
";

/// Judges the path as the routes do: with its escapes resolved.
fn door(request: &ServiceRequest) -> Door {
    let path = request.match_info().as_str();
    let is_api = matches!(path.trim_start_matches('/').split('/').next(), Some("v1"))
        || path.starts_with("/api/v1/");
    let is_clients_own = path.starts_with("/api/event_logging/") || path.starts_with("/api/oauth/");
    let is_greeting =
        is_clients_own || path == "/api/hello" || (path == "/" && request.method() == Method::HEAD);
    if is_greeting || path == "/health" || path == "/health/ready" {
        return Door::Everybody;
    }
    if is_api {
        Door::Clients
    } else {
        Door::Operators
    }
}

/// What `authorization` holds under a scheme, whose name may be written in any case (RFC 9110, 11.1).
fn credentials<'a>(authorization: &'a str, scheme: &str) -> Option<&'a str> {
    let (named, rest) = authorization.trim().split_once(' ')?;
    named
        .eq_ignore_ascii_case(scheme)
        .then(|| rest.trim_start())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') =>
        {
            name
        }
        _ => host,
    }
}

/// Compares without telling by the time it takes how much was right.
fn is_same(known: &SecretString, given: &str) -> bool {
    known
        .expose_secret()
        .as_bytes()
        .ct_eq(given.as_bytes())
        .into()
}

fn request_id() -> String {
    RunId::now().request_id()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn key(name: Option<&str>, key: &str) -> ClientKey {
        ClientKey {
            name: name.map(Arc::from),
            key: SecretString::from(key),
        }
    }

    fn guard() -> Guard {
        Guard {
            client_keys: vec![key(None, "key-1"), key(Some("alice"), "key-2")],
            password: Some(SecretString::from("open sesame")),
            metrics_token: Some(SecretString::from("read-the-figures")),
            allowed_hosts: Some(vec!["gateway.test".to_owned()]),
            refusals: Arc::default(),
        }
    }

    fn status(request: TestRequest) -> Option<u16> {
        guard()
            .turn_away(&request.to_srv_request())
            .map(|response| response.status().as_u16())
    }

    #[test]
    fn a_strangers_host_name_is_refused() {
        for host in [
            "evil.test",
            "localhost.evil.test:4000",
            "127.0.0.1.evil.test",
            "[::2]:80",
            "",
        ] {
            let request = TestRequest::get()
                .uri("/health")
                .insert_header((HOST, host));
            assert_eq!(status(request), Some(403), "{host}");
        }
        for host in [
            "localhost",
            "LOCALHOST:4000",
            "127.0.0.1:1",
            "127.8.8.8",
            "[::1]:4000",
            "gateway.test:80",
        ] {
            let request = TestRequest::get()
                .uri("/health")
                .insert_header((HOST, host));
            assert_eq!(status(request), None, "{host}");
        }
    }

    #[test]
    fn a_target_that_names_a_host_counts_before_the_header() {
        let come = |target: &str, host: &'static str| {
            status(TestRequest::get().uri(target).insert_header((HOST, host)))
        };
        let ours = "127.0.0.1:4000";
        assert_eq!(come("http://evil.test/health", ours), Some(403));
        assert_eq!(come("http://127.0.0.1@evil.test/health", ours), Some(403));
        assert_eq!(come("http://[::1]:4000/health", ours), None);
        assert_eq!(come("http://localhost:4000/health", "evil.test"), None);
        let open = Guard::default();
        let request = TestRequest::post()
            .uri("http://evil.test/v1/messages")
            .insert_header((HOST, ours))
            .insert_header(("origin", "http://127.0.0.1:4000"));
        assert!(open.turn_away(&request.to_srv_request()).is_some());
    }

    #[test]
    fn only_a_browsers_question_comes_without_a_key() {
        let question = |method: Method| {
            TestRequest::default()
                .method(method)
                .uri("/v1/messages")
                .insert_header(("origin", "https://app.test"))
        };
        let asked = ("access-control-request-method", "POST");
        let options = Method::OPTIONS;
        let post = Method::POST;
        assert_eq!(status(question(options.clone()).insert_header(asked)), None);
        assert_eq!(status(question(options)), Some(401));
        assert_eq!(status(question(post).insert_header(asked)), Some(401));
    }

    #[test]
    fn a_person_at_a_strangers_host_name_gets_a_page() {
        let kind = |accept: &str| {
            let request = TestRequest::get()
                .insert_header((HOST, "evil.test"))
                .insert_header((ACCEPT, accept));
            let response = guard().turn_away(&request.to_srv_request()).unwrap();
            assert_eq!(response.status(), 403);
            let kind = response.headers().get("content-type").unwrap();
            kind.to_str().unwrap().to_owned()
        };
        let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
        assert_eq!(kind(browser), "text/html; charset=utf-8");
        assert_eq!(kind("application/json"), "application/json");
        assert_eq!(kind("*/*"), "application/json");
    }

    #[test]
    fn a_client_needs_one_of_the_keys_in_either_header() {
        let with = |name: &'static str, value: &'static str| {
            TestRequest::post()
                .uri("/v1/messages")
                .insert_header((name, value))
        };
        assert_eq!(status(TestRequest::post().uri("/v1/messages")), Some(401));
        assert_eq!(status(with("x-api-key", "key-3")), Some(401));
        assert_eq!(status(with("authorization", "Bearer key-")), Some(401));
        assert_eq!(status(with("x-api-key", "key-1")), None);
        assert_eq!(
            status(with("x-api-key", "key-1").uri("/api/v1/messages")),
            None
        );
        for word in ["Bearer", "bearer", "BEARER", "bearer "] {
            let value = format!("{word} key-2");
            let request = TestRequest::post()
                .uri("/v1/messages")
                .insert_header(("authorization", value));
            assert_eq!(status(request), None, "{word}");
        }
        assert_eq!(status(with("authorization", "Basic key-2")), Some(401));
        assert_eq!(status(with("authorization", "key-2")), Some(401));
    }

    #[test]
    fn the_name_of_the_key_is_noted_for_the_run() {
        let noted = |headers: &[(&'static str, &'static str)]| {
            let request = TestRequest::post().uri("/v1/messages");
            let request = headers
                .iter()
                .fold(request, |request, header| request.insert_header(*header))
                .to_srv_request();
            let is_in = guard().turn_away(&request).is_none();
            let name = request.extensions().get::<KeyName>().cloned();
            (is_in, name.map(|KeyName(name)| name.to_string()))
        };
        let alice = Some("alice".to_owned());
        let (right, bearer) = (("x-api-key", "key-2"), ("authorization", "Bearer key-2"));
        assert_eq!(noted(&[right]), (true, alice.clone()));
        assert_eq!(noted(&[bearer]), (true, alice.clone()));
        assert_eq!(noted(&[("x-api-key", "wrong"), bearer]), (true, alice));
        // The first of two that are right counts, and has no name.
        assert_eq!(noted(&[("x-api-key", "key-1"), bearer]), (true, None));
        assert_eq!(noted(&[("x-api-key", "alice")]), (false, None));
        assert_eq!(noted(&[]), (false, None));
    }

    #[test]
    fn an_escaped_path_leads_to_the_same_door() {
        for path in [
            "/%761/messages",
            "/v%31/messages",
            "/%76%31/messages",
            "/api/%761/messages",
            "/%61pi/v1/messages",
        ] {
            let by_password = format!("Basic {}", BASE64_STANDARD.encode("me:open sesame"));
            let request = TestRequest::post()
                .uri(path)
                .insert_header((AUTHORIZATION, by_password));
            let refusal = guard().turn_away(&request.to_srv_request());
            let kind = refusal.map(|response| {
                let kind = response.headers().get("content-type").cloned();
                (response.status().as_u16(), kind)
            });
            let expected = HeaderValue::from_static("application/json");
            assert_eq!(kind, Some((401, Some(expected))), "{path}");
        }
        assert_eq!(status(TestRequest::get().uri("/%72uns")), Some(401));
        assert_eq!(status(TestRequest::get().uri("/%68ealth")), None);
    }

    #[test]
    fn a_page_of_a_stranger_spends_nothing() {
        let open = Guard::default();
        let status = |path: &str, headers: &[(&'static str, &'static str)]| {
            let request = headers
                .iter()
                .fold(TestRequest::post().uri(path), |request, header| {
                    request.insert_header(*header)
                });
            let request = request.insert_header((HOST, "127.0.0.1:4000"));
            let refusal = open.turn_away(&request.to_srv_request());
            refusal.map(|response| response.status().as_u16())
        };
        let strangers: [&[_]; 6] = [
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "https://evil.test")],
            &[("origin", "null")],
            &[("origin", "http://127.0.0.1:3000")],
            &[
                ("origin", "http://127.0.0.1:4000"),
                ("sec-fetch-site", "cross-site"),
            ],
        ];
        for headers in strangers {
            assert_eq!(status("/v1/messages", headers), Some(403), "{headers:?}");
            assert_eq!(status("/%761/messages", headers), Some(403), "{headers:?}");
        }
        let friends: [&[_]; 4] = [
            &[],
            // Node's own fetch.
            &[("sec-fetch-mode", "cors")],
            &[("sec-fetch-site", "none")],
            &[("origin", "http://127.0.0.1:4000")],
        ];
        for headers in friends {
            assert_eq!(status("/v1/messages", headers), None, "{headers:?}");
        }
        // A key is proof enough: a page has to be given it.
        let request = TestRequest::post()
            .uri("/v1/messages")
            .insert_header(("origin", "https://app.test"))
            .insert_header((HOST, "gateway.test"))
            .insert_header(("x-api-key", "key-1"));
        assert!(guard().turn_away(&request.to_srv_request()).is_none());
    }

    #[test]
    fn who_is_turned_away_is_counted_by_the_reason() {
        let guard = guard();
        let come = |request: TestRequest| guard.turn_away(&request.to_srv_request()).is_some();
        let strange = TestRequest::get().insert_header((HOST, "evil.test"));
        assert!(come(strange));
        for _ in 0..2 {
            assert!(come(TestRequest::post().uri("/v1/messages")));
        }
        assert!(come(TestRequest::get().uri("/runs")));
        assert!(!come(TestRequest::get().uri("/health")));
        let counts = Reason::ALL.map(|reason| guard.refusals.count(reason));
        assert_eq!(counts, [1, 0, 2, 1]);
    }

    #[test]
    fn an_operator_needs_the_password() {
        let by = |scheme: &str, pair: &str| {
            let basic = format!("{scheme} {}", BASE64_STANDARD.encode(pair));
            TestRequest::get()
                .uri("/api/runs")
                .insert_header((AUTHORIZATION, basic))
        };
        let with = |pair: &str| by("Basic", pair);
        assert_eq!(status(TestRequest::get().uri("/")), Some(401));
        assert_eq!(status(TestRequest::get().uri("/metrics")), Some(401));
        assert_eq!(status(with("me:open says me")), Some(401));
        assert_eq!(status(with("me:open sesame")), None);
        assert_eq!(status(by("basic", "me:open sesame")), None);
        assert_eq!(status(by("Bearer", "me:open sesame")), Some(401));
        assert_eq!(status(TestRequest::get().uri("/health")), None);
    }

    /// What is answered to one who comes with the metrics' token.
    fn status_with_token(method: Method, path: &str, header: &str) -> Option<u16> {
        let request = TestRequest::default().method(method).uri(path);
        status(request.insert_header((AUTHORIZATION, header)))
    }

    #[test]
    fn the_metrics_token_opens_the_metrics_in_either_scheme_and_nothing_else() {
        let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
        let bearer = "Bearer read-the-figures".to_owned();
        for header in [&bearer, &basic("me:read-the-figures")] {
            for (method, path, expected) in [
                (Method::GET, "/metrics", None),
                (Method::HEAD, "/metrics", None),
                (Method::GET, "/metrics?x=y", None),
                (Method::GET, "/%6detrics", None),
                (Method::POST, "/metrics", Some(401)),
                (Method::GET, "/metrics/", Some(401)),
                (Method::GET, "/metrics/../runs", Some(401)),
                (Method::GET, "/metrics%2f..%2fruns", Some(401)),
                (Method::GET, "/", Some(401)),
                (Method::GET, "/runs", Some(401)),
                (Method::GET, "/runs/metrics", Some(401)),
                (Method::GET, "/api/runs", Some(401)),
                (Method::GET, "/v1/models", Some(401)),
                (Method::POST, "/v1/messages", Some(401)),
            ] {
                let got = status_with_token(method.clone(), path, header);
                assert_eq!(got, expected, "{method} {path} {header}");
            }
        }
        let get = |header: &str| status_with_token(Method::GET, "/metrics", header);
        assert_eq!(get(&basic("me:open sesame")), None);
        for wrong in ["Bearer read-the-figure", "Bearer open sesame", "Bearer", ""] {
            assert_eq!(get(wrong), Some(401), "{wrong}");
        }
        assert_eq!(get(&basic("read-the-figures:")), Some(401));
        let none = Guard {
            metrics_token: None,
            ..guard()
        };
        let request = TestRequest::get()
            .uri("/metrics")
            .insert_header((AUTHORIZATION, bearer));
        assert!(none.turn_away(&request.to_srv_request()).is_some());
    }

    #[test]
    fn a_client_key_does_not_open_the_metrics() {
        assert_eq!(
            status_with_token(Method::GET, "/metrics", "Bearer key-1"),
            Some(401)
        );
    }
}
