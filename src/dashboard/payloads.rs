//! The payloads of a run: what the client asked, what was sent on (and sent again, when something of it was refused),
//! what came back, what the client got.
//!
//! Secrets are redacted where payloads are recorded; headers are redacted here once more, because a page is where
//! a forgotten one would be seen.

use std::collections::VecDeque;

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
/// Events of a stream that are shown, beside its last ones.
const EVENTS: usize = 300;
/// Events that a stream ends with, and that are shown however long it is: they say how it ended.
const LAST_EVENTS: usize = 5;

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
    Events(Vec<Event>),
    Conversation(Conversation),
    /// HTML.
    Changes(String),
}

struct Event {
    number: usize,
    /// How many before it are not shown.
    left_out: usize,
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
        Self::Events(first_and_last(events(text)))
    }
}

/// The events at the beginning of a stream, as many as there is room for, and the last ones.
fn first_and_last(all: impl Iterator<Item = (String, String)>) -> Vec<Event> {
    let mut shown = Vec::new();
    let mut last = VecDeque::with_capacity(LAST_EVENTS + 1);
    let mut room = BODY;
    for (number, (name, data)) in (1..).zip(all) {
        if last.is_empty() && shown.len() < EVENTS && room > 0 {
            let event = Event::new(number, name, &data);
            let length: usize = event.tokens.iter().map(|token| token.text.len()).sum();
            room = room.saturating_sub(length);
            shown.push(event);
            continue;
        }
        last.push_back((number, name, data));
        if last.len() > LAST_EVENTS {
            last.pop_front();
        }
    }
    let mut before = shown.len();
    for (number, name, data) in last {
        let mut event = Event::new(number, name, &data);
        event.left_out = number - before - 1;
        before = number;
        shown.push(event);
    }
    shown
}

impl Event {
    fn new(number: usize, name: String, data: &str) -> Self {
        Self {
            number,
            left_out: 0,
            name,
            tokens: one_line(data),
        }
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
    let Pretty { mut tokens, cut } = pretty::json(data, LONGEST);
    for token in tokens.iter_mut().filter(|token| token.class.is_empty()) {
        if token.text.contains('\n') {
            let lines: Vec<&str> = token.text.split('\n').map(str::trim).collect();
            token.text = lines.join(" ");
        }
    }
    tokens.extend(cut.then(|| Token {
        class: "",
        text: " …".to_owned(),
    }));
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

    /// The numbers of the events that are shown, and how many are left out before each.
    fn shown(text: &str) -> Vec<(usize, usize)> {
        let Body::Events(events) = Body::read(text) else {
            panic!("no events");
        };
        let numbers = events.iter().map(|event| (event.number, event.left_out));
        numbers.collect()
    }

    #[test]
    fn of_a_long_stream_beginning_and_end_are_shown() {
        let all: Vec<_> = (1..=EVENTS + LAST_EVENTS)
            .map(|number| (number, 0))
            .collect();
        let of = |count: usize| shown(&"data: 1\n\n".repeat(count));
        assert_eq!(of(3), all[..3]);
        assert_eq!(of(all.len()), all);
        let longer = of(all.len() + 20);
        assert_eq!(longer[..EVENTS], all[..EVENTS]);
        assert_eq!(longer[EVENTS], (EVENTS + 21, 20));
        assert_eq!(
            longer[EVENTS + 1..]
                .iter()
                .map(|event| event.1)
                .sum::<usize>(),
            0
        );
        assert_eq!(longer.last(), Some(&(EVENTS + LAST_EVENTS + 20, 0)));
    }

    #[test]
    fn what_is_cut_from_an_event_takes_no_room_from_the_others() {
        let large = format!("data: {{\"text\":\"{}\"}}\n\n", "0123456789".repeat(9_600));
        let all: Vec<_> = (1..=20).map(|number| (number, 0)).collect();
        assert_eq!(shown(&large.repeat(20)), all);
        let many = shown(&large.repeat(100));
        assert!((20..40).contains(&many.len()), "{many:?}");
        assert_eq!(many.last(), Some(&(100, 0)));
    }

    #[test]
    fn an_event_that_is_cut_says_so() {
        let numbers = (0..2_000).map(|number| number.to_string());
        let long = format!("[{}]", numbers.collect::<Vec<_>>().join(","));
        let text = |data: &str| {
            one_line(data)
                .into_iter()
                .map(|token| token.text)
                .collect::<String>()
        };
        assert!(text(&long).ends_with(" …"));
        assert_eq!(text("[1]"), "[ 1 ]");
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
