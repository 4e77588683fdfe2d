//! A body that is passed on as it is: the little that a gateway has to know of it, and where the model's name stands.
//!
//! What else is in it is for the other side to judge, so it is only checked to be JSON.

use std::borrow::Cow;
use std::ops::Range;

use super::body::{Request, user_id};
use super::check;
use super::cursor::Cursor;
use super::invalid::InvalidRequest;

/// The model that a body asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedModel<'a> {
    /// Its name as written.
    pub name: Cow<'a, str>,
    /// Where it stands in the body, in bytes, the quotes included.
    pub place: Range<usize>,
}

/// Finds the model that a body asks for, reading no further than that; `None` when the body is not one to serve.
#[must_use]
pub fn asked_model(body: &str) -> Option<AskedModel<'_>> {
    let mut found = None;
    // The error ends the reading; nobody sees it.
    let _ = Cursor::new(body).object(|cursor, key| {
        if key != "model" {
            return cursor.skip();
        }
        let (raw, name) = {
            let mut name = None;
            let raw = cursor.raw_with(|cursor| {
                name = Some(cursor.text()?);
                Ok(())
            })?;
            (raw.as_str(), name)
        };
        let start = raw.as_ptr().addr() - body.as_ptr().addr();
        found = name.map(|name| AskedModel {
            name,
            place: start..start + raw.len(),
        });
        Err(InvalidRequest::here(String::new()))
    });
    found
}

impl<'a> Request<'a> {
    /// Reads of a body of `POST /v1/messages` what is needed to pass it on: model, limit, stream, and whose it is.
    /// The rest stays empty here.
    ///
    /// # Errors
    /// When it is not JSON, or names no model.
    pub fn parse_to_pass(body: &'a str) -> Result<Self, InvalidRequest> {
        let mut model = None;
        let mut request = Self {
            body_len: body.len(),
            ..Self::default()
        };
        let mut cursor = Cursor::new(body);
        cursor
            .object(|cursor, key| {
                match key.as_ref() {
                    // The first one is replaced when the name is mapped, and others may read the second.
                    "model" if model.is_some() => {
                        return Err(InvalidRequest::here("It is given twice"));
                    }
                    "model" => model = Some(cursor.text()?),
                    "max_tokens" => {
                        request.max_tokens = cursor.nullable(Cursor::integer)?.unwrap_or_default();
                    }
                    "stream" => {
                        request.stream = cursor.nullable(Cursor::boolean)?.unwrap_or(false);
                    }
                    "thread" => {
                        let begins = check::begins_a_thread(cursor.raw()?);
                        request.lost_thread = begins.err().map(|lost| lost.within("thread"));
                    }
                    "metadata" => request.user_id = cursor.nullable(user_id)?.flatten(),
                    _ => cursor.skip()?,
                }
                Ok(())
            })
            .and_then(|()| cursor.finish())
            .map_err(InvalidRequest::of_body)?;
        request.model = model.ok_or_else(|| InvalidRequest::missing("model"))?;
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_found_where_it_stands() {
        let body = r#" {"a":{"model":"inner"},"b":["\"model\":\"x\""], "model" : "claude-\u006fpus" , "c":["#;
        let asked = asked_model(body).unwrap();
        assert_eq!(asked.name, "claude-opus");
        assert_eq!(body.get(asked.place), Some(r#""claude-\u006fpus""#));
    }

    #[test]
    fn what_names_no_model_has_none() {
        for body in [
            "",
            "[]",
            "{}",
            r#"{"model":1}"#,
            r#"{"a":"#,
            r#"{"a":tru,"model":"x"}"#,
        ] {
            assert_eq!(asked_model(body), None, "{body}");
        }
    }

    #[test]
    fn a_body_to_pass_may_hold_what_nobody_here_knows() {
        let body = r#"{"model":"m","max_tokens":7,"mcp_servers":[1],"messages":[{"role":"new"}],"stream":true,
                       "metadata":{"user_id":"u_session_s"}}"#;
        let request = Request::parse_to_pass(body).unwrap();
        assert_eq!((request.model.as_ref(), request.stream), ("m", true));
        assert_eq!(request.max_tokens, 7);
        assert_eq!(request.session_id().as_deref(), Some("s"));
        assert_eq!(request.body_len, body.len());
    }

    #[test]
    fn a_body_to_pass_may_begin_a_thread_and_says_when_it_goes_on_with_one() {
        let lost = |thread: &str| {
            let body = format!(r#"{{"model":"m","thread":{thread}}}"#);
            let request = Request::parse_to_pass(&body).unwrap();
            request.lost_thread.map(|lost| (lost.path, lost.code))
        };
        assert_eq!(lost("null"), None);
        assert_eq!(lost(r#"{"type":"create"}"#), None);
        let goes_on = lost(r#"{"type":"continue"}"#);
        assert_eq!(
            goes_on,
            Some(("thread".to_owned(), Some("thread_not_found")))
        );
    }

    #[test]
    fn a_body_to_pass_is_json_with_one_model() {
        for (body, said) in [
            ("{", "body: The request body is not valid JSON"),
            ("{}", "model: Field required"),
            (r#"{"model":"a","model":"b"}"#, "model: It is given twice"),
            (
                r#"{"model":"a","stream":"yes"}"#,
                "stream: Input should be a valid boolean",
            ),
            (r#"{"model":"a"} x"#, "something follows"),
        ] {
            let refused = Request::parse_to_pass(body).unwrap_err().to_string();
            assert!(refused.contains(said), "{body}: {refused}");
        }
    }
}
