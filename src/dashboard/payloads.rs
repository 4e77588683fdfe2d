//! The payloads of a run: what the client asked, what was sent on (and sent again, when something of it was refused),
//! what came back, what the client got.
//!
//! Secrets are redacted where payloads are recorded; headers are redacted here once more, because a page is where
//! a forgotten one would be seen.

use actix_web::{HttpResponse, web};
use askama::Template;

use super::changes;
use super::conversation::{self, Conversation};
use super::page::{Failure, failed, guard, part};
use super::pretty::{self, Pretty, Token};
use super::run::{View, parse_id};
use super::side::Side;
use super::{Dashboard, format};
use crate::facts::payload::{self, is_secret_header};
use crate::store::{PayloadInfo, RunDetail, Store};

/// Bytes of a body that are shown; the rest is behind the raw link.
const BODY: usize = 48_000;
/// Events of a stream that are shown.
const EVENTS: usize = 300;

#[derive(Template)]
#[template(path = "parts/payloads.html")]
struct Payloads {
    tabs: Vec<Tab>,
    title: &'static str,
    headers: Vec<(String, String)>,
    body: Body,
    raw: String,
    size: String,
}

struct Tab {
    title: &'static str,
    size: Option<String>,
    href: String,
    on: bool,
}

/// A body as it is shown.
enum Body {
    Absent(&'static str),
    Text {
        tokens: Vec<Token>,
        cut: bool,
    },
    Events {
        events: Vec<Event>,
        cut: bool,
    },
    Conversation(Conversation),
    /// HTML.
    Changes(String),
}

struct Event {
    number: usize,
    name: String,
    tokens: Vec<Token>,
}

/// The payloads of a run, one of them open.
pub(super) async fn of_run(
    store: &dyn Store,
    run: &RunDetail,
    view: &View,
) -> Result<String, Failure> {
    let side = view.payload().unwrap_or_else(|| Side::of_interest(run));
    let id = run.summary.id;
    let info = |name: &str| run.payloads.iter().find(|payload| payload.name == name);
    let sides = Side::ALL.into_iter();
    let shown = sides.filter(|side| side.is_usual() || info(side.body()).is_some());
    let tabs = shown.map(|other| Tab {
        title: other.title(),
        size: info(other.body())
            .filter(|_| other.is_payload())
            .map(|payload| format::bytes(payload.bytes)),
        href: view.href_of_payload(&run.summary, other),
        on: other == side,
    });
    let headers = match side.headers().filter(|name| info(name).is_some()) {
        Some(name) => store.payload(id, name).await?,
        None => None,
    };
    let body = if side == Side::Changes {
        Body::Changes(changes::of_run(store, &run.summary, view).await?)
    } else {
        body(store, run, side).await?
    };
    Ok(part(&Payloads {
        tabs: tabs.collect(),
        title: side.title(),
        headers: headers.map(|bytes| header_rows(&bytes)).unwrap_or_default(),
        raw: format!("/runs/{id}/payloads/{}", side.body()),
        size: info(side.body()).map_or_else(String::new, |payload| format::bytes(payload.bytes)),
        body,
    }))
}

/// What the open tab shows.
async fn body(store: &dyn Store, run: &RunDetail, side: Side) -> Result<Body, Failure> {
    let id = run.summary.id;
    let info = |name: &str| run.payloads.iter().find(|payload| payload.name == name);
    let body = match info(side.body()) {
        Some(PayloadInfo { gone: false, .. }) => store.payload(id, side.body()).await?,
        _ => None,
    };
    Ok(match (body, info(side.body())) {
        (Some(bytes), _) if side == Side::Refused => Body::of_refusals(&bytes),
        (Some(asked), _) if side == Side::Conversation => {
            let got = store.payload(id, payload::CLIENT_RESPONSE).await?;
            Body::of_conversation(&asked, got.as_deref())
        }
        (Some(bytes), _) => Body::read(&String::from_utf8_lossy(&bytes)),
        (None, Some(_)) => Body::Absent(
            "The text is not kept: retention removed it, or it was left out while the recorder was behind or the store refused to be written.",
        ),
        (None, None) if info(payload::UPSTREAM_REFUSALS).is_some() => Body::Absent(
            "There was none that could be used: what came instead is under “Provider refused”.",
        ),
        (None, None) if run.summary.state.is_final() => Body::Absent(match side.body() {
            payload::CLIENT_REQUEST => {
                "It was not kept: the body was refused before it was read, or the settings keep none."
            }
            _ => "There was none.",
        }),
        (None, None) => Body::Absent("Nothing yet."),
    })
}

impl Body {
    /// All refusals, as a list.
    fn of_refusals(lines: &[u8]) -> Self {
        let shown: Vec<String> = refusals(lines).map(|line| line.to_string()).collect();
        let Pretty { tokens, cut } = pretty::json(&format!("[{}]", shown.join(",")), BODY);
        Self::Text { tokens, cut }
    }

    fn of_conversation(asked: &[u8], got: Option<&[u8]>) -> Self {
        conversation::read(asked, got).map_or(
            Self::Absent("What was asked is no conversation: see “Client asked”."),
            Self::Conversation,
        )
    }

    fn read(text: &str) -> Self {
        let start = text.trim_start();
        let is_stream = ["event:", "data:", ":", "id:"]
            .iter()
            .any(|field| start.starts_with(field));
        if !is_stream {
            let Pretty { tokens, cut } = pretty::json(text, BODY);
            return Self::Text { tokens, cut };
        }
        let mut shown = 0;
        let mut all = events(text);
        let mut events = Vec::new();
        let cut = loop {
            let Some((name, data)) = all.next() else {
                break false;
            };
            if events.len() >= EVENTS || shown > BODY {
                break true;
            }
            shown += data.len();
            events.push(Event {
                number: events.len() + 1,
                name,
                tokens: one_line(&data),
            });
        };
        Self::Events { events, cut }
    }
}

/// The events of a stream as name and data; a comment is an event named `:`.
pub(super) fn events(text: &str) -> impl Iterator<Item = (String, String)> {
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        let (mut name, mut data, mut any) = (String::new(), String::new(), false);
        for line in lines.by_ref() {
            if line.is_empty() {
                if any {
                    break;
                }
                continue;
            }
            any = true;
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut name),
                "data" => {
                    if !data.is_empty() {
                        data.push('\n');
                    }
                    data.push_str(value);
                }
                "" if data.is_empty() => {
                    ":".clone_into(&mut name);
                    value.clone_into(&mut data);
                }
                _ => {}
            }
        }
        any.then_some((name, data))
    })
}

/// The data of an event, coloured, on one line.
fn one_line(data: &str) -> Vec<Token> {
    const LONGEST: usize = 4_000;
    let mut tokens = pretty::json(data, LONGEST).tokens;
    for token in tokens.iter_mut().filter(|token| token.class.is_empty()) {
        if token.text.contains('\n') {
            let lines: Vec<&str> = token.text.split('\n').map(str::trim).collect();
            token.text = lines.join(" ");
        }
    }
    tokens
}

/// The headers of a payload by name, secrets redacted. What is no JSON object is not shown at all: it could hide one.
fn header_rows(bytes: &[u8]) -> Vec<(String, String)> {
    let Some(headers) = redacted(bytes) else {
        return vec![(
            "unreadable".to_owned(),
            "the recorded headers are no JSON object".to_owned(),
        )];
    };
    let mut rows: Vec<(String, String)> = headers
        .into_iter()
        .map(|(name, value)| {
            let value = match value {
                serde_json::Value::String(text) => text,
                serde_json::Value::Array(values) => values
                    .iter()
                    .map(|value| {
                        value
                            .as_str()
                            .map_or_else(|| value.to_string(), str::to_owned)
                    })
                    .collect::<Vec<_>>()
                    .join(", "),
                other => other.to_string(),
            };
            (name, value)
        })
        .collect();
    rows.sort_by_cached_key(|(name, _)| name.to_ascii_lowercase());
    rows
}

fn redacted(bytes: &[u8]) -> Option<serde_json::Map<String, serde_json::Value>> {
    let mut headers: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(bytes).ok()?;
    for (name, value) in &mut headers {
        if is_secret_header(&name.to_ascii_lowercase()) {
            *value = "[redacted]".into();
        }
    }
    Some(headers)
}

/// The recorded refusals, a value each, secrets among their headers redacted.
fn refusals(lines: &[u8]) -> impl Iterator<Item = serde_json::Value> {
    let lines = lines.split(|byte| *byte == b'\n');
    lines.filter_map(|line| {
        let mut refusal: serde_json::Value = serde_json::from_slice(line).ok()?;
        let headers = refusal.get_mut("headers")?;
        let shown = redacted(headers.to_string().as_bytes())?;
        *headers = serde_json::Value::Object(shown);
        Some(refusal)
    })
}

/// A payload's bytes as they may be shown, and their type.
///
/// # Errors
/// There is no such run, no such payload, or it is gone.
pub(super) async fn load(
    store: &dyn Store,
    id: &str,
    name: &str,
) -> Result<(Vec<u8>, &'static str), Failure> {
    let id = parse_id(id)?;
    if !payload::ALL.contains(&name) {
        let name = format::ellipsis(name, 60);
        let names = payload::ALL.join(", ");
        return Err(Failure::Missing(format!(
            "A run has no payload {name}; there are {names}."
        )));
    }
    let missing = || {
        Failure::Missing(format!(
            "The run {id} has no payload {name}, or it is no longer kept."
        ))
    };
    let bytes = store.payload(id, name).await?.ok_or_else(missing)?;
    let bytes = if name.ends_with(".headers") {
        let headers = redacted(&bytes).ok_or_else(missing)?;
        serde_json::Value::Object(headers).to_string().into_bytes()
    } else if name == payload::UPSTREAM_REFUSALS {
        let lines = refusals(&bytes).map(|refusal| format!("{refusal}\n"));
        return Ok((
            lines.collect::<String>().into_bytes(),
            "application/x-ndjson",
        ));
    } else {
        bytes
    };
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let is_json = matches!(first, Some(b'{' | b'['));
    let content_type = if is_json {
        "application/json"
    } else {
        "text/plain; charset=utf-8"
    };
    Ok((bytes, content_type))
}

/// `GET /runs/{id}/payloads/{name}`: the bytes alone, never as a page.
pub(super) async fn raw(
    dashboard: web::Data<Dashboard>,
    path: web::Path<(String, String)>,
) -> HttpResponse {
    let (id, name) = path.into_inner();
    match load(dashboard.store.as_ref(), &id, &name).await {
        Err(failure) => failed(&dashboard, &failure),
        Ok((bytes, content_type)) => {
            let mut response = HttpResponse::Ok();
            guard(&mut response);
            response
                .content_type(content_type)
                .insert_header(("cache-control", "no-store"))
                .body(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_a_list_of_events() {
        let text = ": hello\n\nevent: ping\ndata: {\"a\":\ndata: 1}\r\n\n\ndata: [DONE]";
        let events: Vec<_> = events(text).collect();
        let expected = [(":", "hello"), ("ping", "{\"a\":\n1}"), ("", "[DONE]")]
            .map(|(name, data)| (name.to_owned(), data.to_owned()));
        assert_eq!(events, expected);
    }

    #[test]
    fn long_streams_are_cut() {
        let text = "data: 1\n\n".repeat(EVENTS + 1);
        let Body::Events { events, cut } = Body::read(&text) else {
            panic!("no events");
        };
        assert_eq!((events.len(), cut), (EVENTS, true));
        let exactly = Body::read(&"data: 1\n\n".repeat(EVENTS));
        assert!(matches!(exactly, Body::Events { cut: false, .. }));
    }

    #[test]
    fn headers_stand_by_name_and_secrets_are_redacted_whatever_their_case() {
        let rows = header_rows(br#"{"X-Api-Key":"sk-1","Accept":["a","b"],"cookie":["c"]}"#);
        let expected = [
            ("Accept", "a, b"),
            ("cookie", "[redacted]"),
            ("X-Api-Key", "[redacted]"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(rows, expected);
        let unreadable = header_rows(b"authorization: Bearer sk-1");
        assert!(!format!("{unreadable:?}").contains("sk-1"));
    }
}
