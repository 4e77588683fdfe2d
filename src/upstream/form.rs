//! What the body of an answer is, by what it says of itself or how it begins: events or a document.

use crate::protocol::sse::{Reader, without_mark};

/// What the body of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Events,
    Document,
}

/// What a media type says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    This(Form),
    /// Servers that set no type, and proxies that set their own.
    Nothing,
    /// Such as a page for people.
    AnotherThing,
}

impl Form {
    /// What a media type says, which may be written in any case (RFC 9110, 8.3.1).
    pub(super) fn of(content_type: &str) -> Said {
        let essence = content_type.split(';').next().unwrap_or_default();
        match essence.trim().to_ascii_lowercase().as_str() {
            "text/event-stream" => Said::This(Self::Events),
            "application/json" | "text/json" => Said::This(Self::Document),
            other if other.ends_with("+json") => Said::This(Self::Document),
            "" | "text/plain" | "application/octet-stream" => Said::Nothing,
            _ => Said::AnotherThing,
        }
    }

    /// What the beginning of a body says; nothing when it is neither, or blank.
    pub(super) fn of_body(body: &[u8]) -> Option<Self> {
        let body = without_mark(body).trim_ascii_start();
        let fields: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];
        if fields.iter().any(|field| body.starts_with(field)) {
            return Some(Self::Events);
        }
        (body.first() == Some(&b'{')).then_some(Self::Document)
    }
}

/// The data of the first event of a body that consists of events, or would if it went on.
pub(super) fn first_event(body: &[u8]) -> Option<Vec<u8>> {
    if Form::of_body(body) != Some(Form::Events) {
        return None;
    }
    let is_said = |data: &&[u8]| !data.trim_ascii().is_empty();
    let mut reader = Reader::default();
    let mut input = body;
    while let Ok(Some(data)) = reader.next(&mut input) {
        if is_said(&data) {
            return Some(data.to_vec());
        }
    }
    let last = reader.finish().ok()?;
    last.filter(is_said).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_an_answer_is_read_in_any_case_and_from_the_body_where_nothing_says_it() {
        let said = |kind: &str| Form::of(kind);
        for kind in [
            "text/event-stream",
            "Text/Event-Stream; charset=UTF-8",
            " text/event-stream ;x",
        ] {
            assert_eq!(said(kind), Said::This(Form::Events), "{kind}");
        }
        for kind in [
            "Application/JSON",
            "text/json",
            "application/problem+json;x",
        ] {
            assert_eq!(said(kind), Said::This(Form::Document), "{kind}");
        }
        for kind in ["", "text/plain; charset=utf-8", "application/octet-stream"] {
            assert_eq!(said(kind), Said::Nothing, "{kind}");
        }
        for kind in ["text/html", "image/png", "json"] {
            assert_eq!(said(kind), Said::AnotherThing, "{kind}");
        }
        let body = |body: &str| Form::of_body(body.as_bytes());
        assert_eq!(body("\u{feff}data: {}"), Some(Form::Events));
        assert_eq!(body("\n: hello\n"), Some(Form::Events));
        assert_eq!(body(" {\"id\""), Some(Form::Document));
        assert_eq!(body("<html>"), None);
        assert_eq!(body(" "), None);
    }

    #[test]
    fn the_first_event_is_the_first_that_says_anything() {
        let first = |body: &str| {
            let data = first_event(body.as_bytes());
            data.map(|data| String::from_utf8(data).unwrap())
        };
        assert_eq!(first("data: a\n\ndata: b\n\n").as_deref(), Some("a"));
        let late = "\u{feff}: wait\n\nevent: error\r\ndata: {\"x\":1}";
        assert_eq!(first(late).as_deref(), Some("{\"x\":1}"));
        assert_eq!(first("retry: later, please"), None);
        assert_eq!(first("{\"error\":1}"), None);
        assert_eq!(first("slow down"), None);
    }
}
