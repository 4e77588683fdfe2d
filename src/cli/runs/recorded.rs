//! A recorded request, as it is sent again: where to, with which headers, and its body.
//!
//! It must not know what becomes of it.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::answer::{Payload, Whole, Workflows};
use super::client::Client;
use super::text;
use crate::cli::{Failure, say_error};
use crate::events::RunId;
use crate::facts::payload::{self, is_secret_header};
use crate::protocol::anthropic::request::asked_model;
use crate::protocol::native::spliced;

const MESSAGES: &str = "/v1/messages";
const COUNT_TOKENS: &str = "/v1/messages/count_tokens";
/// By which the new run says whose request it is.
const REPLAY_OF: HeaderName = HeaderName::from_static("x-dagway-replay-of");

/// A request that can be sent.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) path: &'static str,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Recorded {
    /// The request of a run.
    ///
    /// # Errors
    /// When it was not kept, or not whole.
    pub(super) async fn of(client: &Client, whole: &Whole) -> Result<Self, Failure> {
        Ok(Self {
            body: body(client, whole).await?,
            path: path(client, &whole.run.workflow).await?,
            query: whole.query(),
            headers: headers(client, whole).await?,
        })
    }

    /// The model that it names.
    pub(super) fn model(&self) -> Option<String> {
        asked_model(&self.body).map(|asked| asked.name.into_owned())
    }

    /// Puts another model in the place of the one that it names, and leaves every other byte as it is.
    ///
    /// # Errors
    /// When it names none.
    pub(super) fn ask(&mut self, model: &str) -> Result<(), Failure> {
        if self.model().is_none() {
            return Err(Failure::Usage(
                "the recorded request names no model that another could be put in place of; leave --model out".to_owned(),
            ));
        }
        let renamed = spliced(&self.body, model, []);
        // What is put into a text in place of a JSON string is one.
        if let Some(renamed) = renamed.and_then(|renamed| String::from_utf8(renamed).ok()) {
            self.body = renamed;
        }
        Ok(())
    }
}

async fn body(client: &Client, whole: &Whole) -> Result<String, Failure> {
    let id = whole.run.id;
    let kept = whole.payload(payload::CLIENT_REQUEST);
    let Some(Payload {
        bytes, gone: false, ..
    }) = kept
    else {
        return Err(Failure::Usage(why_missing(client, whole)));
    };
    let path = payload_path(id, payload::CLIENT_REQUEST);
    let body = client.whole(client.get(&path, &[]).await?).await?;
    if let Some(why) = why_incomplete(id, body.len() as u64, *bytes) {
        return Err(Failure::Usage(why));
    }
    String::from_utf8(body).map_err(|error| client.unreadable(&error).into())
}

/// Why what is kept of a body is not the body.
fn why_incomplete(id: RunId, kept: u64, bytes: u64) -> Option<String> {
    (kept != bytes).then(|| {
        format!(
            "{kept} of the {bytes} bytes of the body of the request of run {id} are kept, which are not that request; choose \
             another run, as `dagway runs` lists them"
        )
    })
}

/// Why there is no body to be sent.
fn why_missing(client: &Client, whole: &Whole) -> String {
    let id = whole.run.id;
    let has = |name| whole.payload(name).is_some();
    if has(payload::CLIENT_REQUEST) {
        return format!(
            "the body of the request of run {id} is no longer kept: retention removed it, or it was left out while the \
             recorder was behind; choose a newer run, as `dagway runs` lists them"
        );
    }
    if has(payload::CLIENT_REQUEST_HEADERS) {
        return format!(
            "the request of run {id} has no body to be sent again: it was empty, or refused before it was read; \
             `dagway runs show {id}` says why, and the client has to send it anew"
        );
    }
    format!(
        "the Dagway at {} kept no bodies when it served run {id} (store.payloads = false); set DAGWAY_STORE_PAYLOADS=true \
         where it starts, and replay a run that comes after that",
        client.url()
    )
}

/// The path of the Messages API that a workflow serves. One that is no longer in use is known by the name it has in Dagway.
async fn path(client: &Client, workflow: &str) -> Result<&'static str, Failure> {
    let json = client.json("/api/workflows", &[]).await?;
    let present: Workflows = client.read(&json)?;
    let mut all = present.workflows.iter();
    let found = all.find(|one| one.name == workflow);
    let route = found.and_then(|found| found.route.as_deref());
    let is_count = route.map_or(workflow == "count_tokens", |route| {
        route.ends_with(COUNT_TOKENS)
    });
    Ok(if is_count { COUNT_TOKENS } else { MESSAGES })
}

async fn headers(client: &Client, whole: &Whole) -> Result<HeaderMap, Failure> {
    let id = whole.run.id;
    let kept = whole.payload(payload::CLIENT_REQUEST_HEADERS);
    let recorded: Map<String, Value> = if kept.is_some_and(|kept| !kept.gone) {
        let path = payload_path(id, payload::CLIENT_REQUEST_HEADERS);
        client.read(&client.json(&path, &[]).await?)?
    } else {
        say_error(&format!(
            "the headers of run {id} are no longer kept, so it is sent without its session and anthropic-beta"
        ));
        Map::new()
    };
    let mut headers = again(&recorded);
    let json = HeaderValue::from_static("application/json");
    headers.insert(CONTENT_TYPE, json);
    let of = HeaderValue::from_str(&id.text()).map_err(|error| client.unreadable(&error))?;
    headers.insert(REPLAY_OF, of);
    Ok(headers)
}

/// Those of the recorded headers that say something of the request, and not of the connection, of the way it took, or of
/// who sent it.
fn again(recorded: &Map<String, Value>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in recorded.iter().filter(|(name, _)| is_of_the_request(name)) {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            continue;
        };
        let lines = match value {
            Value::Array(lines) => lines.as_slice(),
            line => std::slice::from_ref(line),
        };
        for line in lines.iter().filter_map(Value::as_str) {
            if let Ok(line) = HeaderValue::from_bytes(line.as_bytes()) {
                headers.append(name.clone(), line);
            }
        }
    }
    headers
}

fn is_of_the_request(name: &str) -> bool {
    let begins = ["anthropic-", "x-claude-code-", "x-stainless-"];
    let is_one = begins.iter().any(|begin| name.starts_with(begin));
    (is_one || matches!(name, "accept" | "user-agent" | "x-app")) && !is_secret_header(name)
}

fn payload_path(id: RunId, name: &str) -> String {
    format!("/api/runs/{id}/payloads/{name}")
}

/// What is said before it is sent: what goes where.
pub(super) fn announced(client: &Client, of: RunId, was: Option<&str>, now: &Recorded) -> String {
    let shown = |model: &str| text::name(model, 80);
    let asked = now.model();
    let model = match (was, asked.as_deref()) {
        (Some(was), Some(now)) if was != now => {
            format!("`{}` in place of `{}`", shown(now), shown(was))
        }
        (_, Some(now)) => format!("`{}`", shown(now)),
        (_, None) => "no model".to_owned(),
    };
    let query = now.query.as_deref().map(|query| format!("?{query}"));
    let query = text::line(&query.unwrap_or_default());
    format!(
        "sends the request of run {of} again: it asks {model}, with {} bytes, at {}{}{query}",
        now.body.len(),
        client.url(),
        now.path
    )
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::dashboard::api::run_json;
    use crate::dashboard::fixture;
    use crate::settings::Settings;

    #[test]
    fn headers_of_the_request_are_sent_again_and_no_others() {
        let recorded = json!({
            "anthropic-version": "2023-06-01",
            "anthropic-beta": ["one", "two,three"],
            "anthropic-auth-token": "[redacted]",
            "x-claude-code-session-id": "s-1",
            "user-agent": "claude-cli/2.1",
            "x-stainless-lang": "js",
            "x-app": "cli",
            "accept": "text/event-stream",
            "x-api-key": "[redacted]",
            "authorization": "[redacted]",
            "cookie": "[redacted]",
            "host": "example.org",
            "origin": "https://example.org",
            "content-length": "12",
            "content-encoding": "gzip",
            "transfer-encoding": "chunked",
            "connection": "keep-alive",
            "traceparent": "00-1-2-01",
            "x-forwarded-for": "10.0.0.1",
            "x-dagway-replay-of": "another",
        });
        let sent = again(recorded.as_object().unwrap());
        let mut sent: Vec<_> = sent
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        sent.sort_unstable();
        let expected = [
            ("accept", "text/event-stream"),
            ("anthropic-beta", "one"),
            ("anthropic-beta", "two,three"),
            ("anthropic-version", "2023-06-01"),
            ("user-agent", "claude-cli/2.1"),
            ("x-app", "cli"),
            ("x-claude-code-session-id", "s-1"),
            ("x-stainless-lang", "js"),
        ];
        assert_eq!(sent, expected);
    }

    #[test]
    fn why_there_is_no_body_is_told_by_what_else_is_there() {
        let settings = Settings::defaults().unwrap();
        let client = Client::new(None, &settings).unwrap();
        let mut answered = run_json(&fixture::completed_run(), fixture::now());
        let mut why = |payloads: Value| {
            answered["payloads"] = payloads;
            why_missing(&client, &Whole::deserialize(&answered).unwrap())
        };
        let of = |name: &str, gone| json!({ "name": name, "bytes": 7, "gone": gone });
        let headers = of(payload::CLIENT_REQUEST_HEADERS, false);
        let gone = why(json!([of(payload::CLIENT_REQUEST, true), headers]));
        assert!(gone.contains("no longer kept: retention"), "{gone}");
        let refused = why(json!([headers]));
        assert!(refused.contains("refused before it was read"), "{refused}");
        let none = why(json!([]));
        assert!(none.contains("set DAGWAY_STORE_PAYLOADS=true"), "{none}");
    }

    #[test]
    fn a_part_of_a_body_is_not_sent() {
        let id = fixture::completed_run().summary.id;
        let part = why_incomplete(id, 5, 7).unwrap();
        assert!(part.starts_with("5 of the 7 bytes"), "{part}");
        assert_eq!(why_incomplete(id, 7, 7), None);
    }

    #[test]
    fn another_model_is_asked_with_every_other_byte_as_it_was() {
        let of = |body: &str| Recorded {
            path: MESSAGES,
            query: None,
            headers: HeaderMap::new(),
            body: body.to_owned(),
        };
        let body = r#"{ "x":{"model":"a"}, "model" : "a","y":[1,  2.50,"\u00e9"] }"#;
        let mut recorded = of(body);
        recorded.ask("b\"c").unwrap();
        let expected = body.replace(r#""model" : "a""#, r#""model" : "b\"c""#);
        assert_eq!(recorded.body, expected);
        recorded.ask("b\"c").unwrap();
        assert_eq!(recorded.body, expected, "it is asked already");
        assert!(of("{}").ask("b").is_err());
    }
}
