//! A body that is passed on as it is: the little that a gateway has to know of it, and where the model's name stands.
//!
//! What else is in it is for the other side to judge, so it is only checked to be JSON.

use std::borrow::Cow;
use std::ops::Range;

use super::body::{LONGEST_STOPS, Request, TWICE, user_id};
use super::check;
use super::cursor::{Cursor, Kind};
use super::invalid::InvalidRequest;
use super::raw::RawStr;
use crate::protocol::json_text;

type Parsed<T> = Result<T, InvalidRequest>;

/// The model that a body asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedModel<'a> {
    /// Its name as written.
    pub name: Cow<'a, str>,
    /// Where it stands in the body, in bytes, the quotes included.
    pub place: Range<usize>,
}

/// Claude Code's attribution at the beginning of a system prompt, which only Anthropic's own API takes off again; anywhere
/// else it spoils the cache.
pub const BILLING: &str = "x-anthropic-billing-header:";

/// A part of a body that is meant for Anthropic's own API and for nobody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnthropicsOwn {
    /// Where it stands in the body, in bytes.
    pub place: Range<usize>,
    /// What stands there for others.
    pub instead: &'static str,
    /// What it is, and why it goes no further.
    pub why: &'static str,
}

impl AnthropicsOwn {
    const WHY_NO_SAFEGUARDS: &str = "`safeguards` was left out, because it tells Anthropic's own safety check about this \
                                     machine: folders, rules, the state of git";
    const WHY_NO_BILLING: &str = "Claude Code's billing line was left out of the system prompt, because only Anthropic's own \
                                  API takes it off again";

    fn safeguards(place: Range<usize>) -> Self {
        Self {
            place,
            instead: "[]",
            why: Self::WHY_NO_SAFEGUARDS,
        }
    }

    fn billing(place: Range<usize>) -> Self {
        Self {
            place,
            instead: "",
            why: Self::WHY_NO_BILLING,
        }
    }
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
        found = name.map(|name| AskedModel {
            name,
            place: place(body, raw),
        });
        Err(InvalidRequest::here(String::new()))
    });
    found
}

/// Where a part of a body stands in it.
fn place(body: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - body.as_ptr().addr();
    start..start + part.len()
}

/// The billing line of a system prompt: the line, or the block that is nothing else, with the comma behind it.
fn billing<'a>(cursor: &mut Cursor<'a>, body: &'a str) -> Parsed<Option<AnthropicsOwn>> {
    let mut first = None;
    let mut line = None;
    let mut second = None;
    match cursor.kind() {
        Kind::String => line = line_of(cursor.string()?),
        Kind::Array => cursor.array(|cursor, index| {
            let mut text = None;
            let is_first = index == 0 && cursor.kind() == Kind::Object;
            let raw = cursor.raw_with(|cursor| match is_first {
                true => cursor.object(|cursor, key| {
                    if key == "text" && cursor.kind() == Kind::String {
                        text = Some(cursor.string()?);
                        return Ok(());
                    }
                    cursor.skip()
                }),
                false => cursor.skip(),
            })?;
            match index {
                0 => (first, line) = (Some(raw.as_str()), text.and_then(line_of)),
                1 => second = Some(raw.as_str()),
                _ => {}
            }
            Ok(())
        })?,
        _ => cursor.skip()?,
    }
    let Some((line, is_all)) = line else {
        return Ok(None);
    };
    let mut cut = place(body, line);
    if let Some(block) = first.filter(|_| is_all) {
        cut = place(body, block);
        cut.end = second.map_or(cut.end, |second| place(body, second).start);
    }
    Ok(Some(AnthropicsOwn::billing(cut)))
}

/// The billing line with which a text begins, and whether nothing else is in it.
fn line_of(text: RawStr<'_>) -> Option<(&str, bool)> {
    let text = text.escaped();
    if !text.starts_with(BILLING) {
        return None;
    }
    let rest = json_text::behind_first_line(text);
    let line = text.get(..text.len() - rest.len())?;
    Some((line, json_text::unescape(rest).trim().is_empty()))
}

impl<'a> Request<'a> {
    /// Reads of a body of `POST /v1/messages` what is needed to pass it on: model, limit, stream, stop sequences,
    /// wish for a provider, and whose it is.
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
                        return Err(InvalidRequest::here(TWICE));
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
                    "stop_sequences" => {
                        let given = Some(cursor.raw()?.as_str());
                        let given = given.filter(|given| given.len() <= LONGEST_STOPS);
                        let given = given.and_then(|given| serde_json::from_str(given).ok());
                        request.stop_sequences = given.unwrap_or_default();
                    }
                    "provider" => request.provider = Some(cursor.raw()?),
                    "metadata" => request.user_id = cursor.nullable(user_id)?.flatten(),
                    "safeguards" => {
                        let place = place(body, cursor.raw()?.as_str());
                        request
                            .anthropics_own
                            .push(AnthropicsOwn::safeguards(place));
                    }
                    "system" => request.anthropics_own.extend(billing(cursor, body)?),
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
    use super::super::raw::Raw;
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
        assert_eq!(request.provider, None);
        assert_eq!(request.body_len, body.len());
        for (written, read) in [
            (r#"["\n","b"]"#, &["\n", "b"][..]),
            ("[7]", &[]),
            ("7", &[]),
        ] {
            let body = format!(r#"{{"model":"m","stop_sequences":{written}}}"#);
            let request = Request::parse_to_pass(&body).unwrap();
            assert_eq!(request.stop_sequences, read, "{written}");
        }
    }

    #[test]
    fn a_body_to_pass_may_say_who_shall_answer() {
        for (written, own) in [
            ("null", None),
            ("{\"zdr\" : true}", Some("{\"zdr\" : true}")),
            ("7", Some("7")),
        ] {
            let body = format!(r#"{{"provider" : {written} ,"model":"m"}}"#);
            let request = Request::parse_to_pass(&body).unwrap();
            assert_eq!(request.provider.map(Raw::as_str), Some(written));
            assert_eq!(request.own_provider().map(Raw::as_str), own);
        }
    }

    #[test]
    fn of_a_field_that_is_written_twice_the_last_counts_and_nothing_of_anthropics_own_is_left() {
        for (first, last) in [
            (r#""provider":{"zdr":true}"#, r#""provider":null"#),
            (r#""provider":null"#, r#""provider":{"zdr":true}"#),
            (r#""stream":true"#, r#""stream":null"#),
            (r#""max_tokens":1"#, r#""max_tokens":2"#),
            (r#""stop_sequences":["a"]"#, r#""stop_sequences":[]"#),
            (r#""metadata":{"user_id":"a"}"#, r#""metadata":{}"#),
            (r#""thread":{"type":"continue"}"#, r#""thread":null"#),
        ] {
            let read = |fields: &str| {
                let body = format!(r#"{{"model":"m",{fields}}}"#);
                let request = Request::parse_to_pass(&body).unwrap();
                format!(
                    "{:?}",
                    Request {
                        body_len: 0,
                        ..request
                    }
                )
            };
            assert_eq!(read(&format!("{first},{last}")), read(last));
            assert_ne!(read(first), read(last), "{first} says something");
        }
        let system = format!(r#""system":"{BILLING} x","safeguards":[{{"cwd":"/home"}}]"#);
        let body = format!(r#"{{"model":"m",{system},{system}}}"#);
        let own = Request::parse_to_pass(&body).unwrap().anthropics_own;
        assert_eq!(own.len(), 4);
    }

    #[test]
    fn what_is_anthropics_own_is_found_where_it_stands() {
        let line = "x-anthropic-billing-header: cc_version=2.1; \\\\n";
        let block =
            |text: &str| format!(r#"{{"type":"text","text":"{text}","cache_control":null}}"#);
        for (system, expected) in [
            (format!(r#""{line}\nYou are.""#), r#""You are.""#.to_owned()),
            (format!(r#""{line}""#), r#""""#.to_owned()),
            (
                format!("[ {} , {}]", block(line), block("You are.")),
                format!("[ {}]", block("You are.")),
            ),
            (format!("[{}]", block(line)), "[]".to_owned()),
            (
                format!("[{},{}]", block(&format!("{line}\\nYou")), block("are.")),
                format!("[{},{}]", block("You"), block("are.")),
            ),
            (
                format!("[{}]", block("You are.")),
                format!("[{}]", block("You are.")),
            ),
            (
                r#"[7,{"text":8}]"#.to_owned(),
                r#"[7,{"text":8}]"#.to_owned(),
            ),
            ("null".to_owned(), "null".to_owned()),
        ] {
            let body = format!(
                r#"{{"model":"m", "system" : {system},"safeguards":[{{"cwd":"/home"}}],"x":1}}"#
            );
            let request = Request::parse_to_pass(&body).unwrap();
            let mut left = body.clone();
            for own in request.anthropics_own.iter().rev() {
                left.replace_range(own.place.clone(), own.instead);
            }
            let expected =
                format!(r#"{{"model":"m", "system" : {expected},"safeguards":[],"x":1}}"#);
            assert_eq!(left, expected);
            let notes = request.anthropics_own.len();
            assert_eq!(notes, 1 + usize::from(system.contains(BILLING)), "{system}");
        }
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
