//! What the body of an answer is, by what it says of itself or how it begins: events or a document.

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
        let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
        let body = body.trim_ascii_start();
        let fields: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];
        if fields.iter().any(|field| body.starts_with(field)) {
            return Some(Self::Events);
        }
        (body.first() == Some(&b'{')).then_some(Self::Document)
    }
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
}
