//! Where a request body is cut, so that what a client repeats from turn to turn is the same bytes again.
//!
//! A body is a JSON object with `messages`, and perhaps `system` and `tools`. Each message is a part of its own,
//! together with the comma before it, so is each block of a system prompt; all tools are one part; a long message is cut
//! at its content blocks too. What lies between is the envelope. The scanner looks at brackets and quotes only and
//! builds nothing. It must not know what the members mean.

use memchr::memchr2;

/// A message longer than this is cut at its content blocks.
const LONG_MESSAGE: usize = 4 << 10;
/// No part is longer than this, whatever it is.
const LONGEST_PART: usize = 1 << 20;
/// How a text is cut that is not a request body.
const FIXED_PART: usize = 64 << 10;

/// Fills `cuts` with the ends of the parts of `body`, in ascending order; the last one is the end of `body`.
pub(crate) fn cut(body: &[u8], cuts: &mut Vec<usize>) {
    cuts.clear();
    let (is_request, longest) = match request(body, cuts) {
        Some(()) => (true, LONGEST_PART),
        None => (false, FIXED_PART),
    };
    if !is_request {
        cuts.clear();
    }
    cuts.push(body.len());
    cuts.dedup();
    split_long_parts(cuts, longest);
}

/// Adds cuts so that no part is longer than `longest`.
fn split_long_parts(cuts: &mut Vec<usize>, longest: usize) {
    let mut start = 0;
    let mut index = 0;
    while let Some(end) = cuts.get(index).copied() {
        if end - start > longest {
            cuts.insert(index, start + longest);
            start += longest;
        } else {
            start = end;
        }
        index += 1;
    }
}

/// Cuts a request body; `None` when it is not a JSON object.
fn request(body: &[u8], cuts: &mut Vec<usize>) -> Option<()> {
    let end = members(body, skip_space(body, 0), cuts, &|key, value, cuts| {
        let is_list = body.get(value) == Some(&b'[');
        match key {
            b"messages" | b"system" if is_list => elements(body, value, cuts),
            b"tools" => {
                cuts.push(value);
                let end = skip_value(body, value)?;
                cuts.push(end);
                Some(end)
            }
            _ => skip_value(body, value),
        }
    })?;
    (skip_space(body, end) == body.len()).then_some(())
}

/// Looks at a member of an object: its key and where its value starts. Gives the value's end.
type Member<'a> = &'a dyn Fn(&[u8], usize, &mut Vec<usize>) -> Option<usize>;

/// Walks over the members of the object at `at` and returns its end.
fn members(text: &[u8], at: usize, cuts: &mut Vec<usize>, member: Member<'_>) -> Option<usize> {
    let mut at = skip_space(text, expect(text, at, b'{')?);
    if text.get(at) == Some(&b'}') {
        return Some(at + 1);
    }
    loop {
        let key_start = expect(text, at, b'"')?;
        let key_end = skip_string(text, key_start)?;
        let key = text.get(key_start..key_end - 1)?;
        at = expect(text, skip_space(text, key_end), b':')?;
        at = skip_space(text, member(key, skip_space(text, at), cuts)?);
        match text.get(at)? {
            b',' => at = skip_space(text, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// Cuts around each element of the list at `at` and returns the list's end.
fn elements(text: &[u8], at: usize, cuts: &mut Vec<usize>) -> Option<usize> {
    let mut at = expect(text, at, b'[')?;
    cuts.push(at);
    at = skip_space(text, at);
    if text.get(at) == Some(&b']') {
        return Some(at + 1);
    }
    loop {
        let end = skip_value(text, at)?;
        if end - at > LONG_MESSAGE && text.get(at) == Some(&b'{') {
            content_blocks(text, at, cuts)?;
        }
        cuts.push(end);
        at = skip_space(text, end);
        match text.get(at)? {
            b',' => at = skip_space(text, at + 1),
            b']' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// Cuts around the content blocks of the message at `at`.
fn content_blocks(text: &[u8], at: usize, cuts: &mut Vec<usize>) -> Option<usize> {
    members(text, at, cuts, &|key, value, cuts| {
        let end = skip_value(text, value)?;
        if key == b"content" && text.get(value) == Some(&b'[') {
            block_ends(text, value, cuts)?;
        }
        Some(end)
    })
}

fn block_ends(text: &[u8], list: usize, cuts: &mut Vec<usize>) -> Option<()> {
    let mut at = skip_space(text, expect(text, list, b'[')?);
    cuts.push(at);
    while text.get(at)? != &b']' {
        at = skip_value(text, at)?;
        cuts.push(at);
        at = skip_space(text, at);
        if text.get(at)? == &b',' {
            at = skip_space(text, at + 1);
        }
    }
    Some(())
}

fn expect(text: &[u8], at: usize, byte: u8) -> Option<usize> {
    (text.get(at)? == &byte).then_some(at + 1)
}

fn skip_space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
        at += 1;
    }
    at
}

fn skip_value(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' => skip_string(text, at + 1),
        b'{' | b'[' => skip_container(text, at),
        b',' | b'}' | b']' | b':' => None,
        _ => Some(skip_scalar(text, at)),
    }
}

fn skip_scalar(text: &[u8], mut at: usize) -> usize {
    while let Some(byte) = text.get(at) {
        if matches!(
            byte,
            b',' | b'}' | b']' | b':' | b' ' | b'\n' | b'\r' | b'\t'
        ) {
            break;
        }
        at += 1;
    }
    at
}

/// The end of the string whose opening quote is before `at`.
fn skip_string(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

fn skip_container(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        let byte = text.get(at)?;
        at += 1;
        match byte {
            b'"' => at = skip_string(text, at)?,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn parts(body: &[u8]) -> Vec<Vec<u8>> {
        let mut cuts = Vec::new();
        cut(body, &mut cuts);
        let mut start = 0;
        let mut parts = Vec::new();
        for end in cuts {
            parts.push(body[start..end].to_vec());
            start = end;
        }
        parts
    }

    fn texts(body: &str) -> Vec<String> {
        parts(body.as_bytes())
            .into_iter()
            .map(|part| String::from_utf8(part).unwrap())
            .collect()
    }

    #[test]
    fn messages_system_blocks_and_tools_are_parts() {
        let body = r#"{"model":"m","system":[{"text":"a]\""}, {"text":"b"}],"tools":[{"name":"[t"}],"messages":[{"role":"user"},"odd" ],"x":1}"#;
        let expected = [
            r#"{"model":"m","system":["#,
            r#"{"text":"a]\""}"#,
            r#", {"text":"b"}"#,
            r#"],"tools":"#,
            r#"[{"name":"[t"}]"#,
            r#","messages":["#,
            r#"{"role":"user"}"#,
            r#","odd""#,
            r#" ],"x":1}"#,
        ];
        assert_eq!(texts(body), expected);
    }

    #[test]
    fn a_long_message_is_cut_at_its_content_blocks() {
        let long = "x".repeat(LONG_MESSAGE);
        let body = format!(
            r#"{{"messages":[{{"role":"user","content":[{{"text":"{long}"}},{{"text":"b"}}],"z":0}}]}}"#
        );
        let expected = [
            r#"{"messages":["#.to_owned(),
            r#"{"role":"user","content":["#.to_owned(),
            format!(r#"{{"text":"{long}"}}"#),
            r#",{"text":"b"}"#.to_owned(),
            r#"],"z":0}"#.to_owned(),
            "]}".to_owned(),
        ];
        assert_eq!(texts(&body), expected);
    }

    #[test]
    fn an_appended_message_leaves_the_other_parts_as_they_were() {
        let mut body = json!({"model": "m", "messages": [{"a": 1}, {"b": "}]"}]});
        let before = texts(&body.to_string());
        body["messages"].as_array_mut().unwrap().push(json!("new"));
        let after = texts(&body.to_string());
        assert_eq!(after.len(), before.len() + 1);
        assert!(before.iter().all(|part| after.contains(part)));
    }

    #[test]
    fn what_is_no_json_object_gets_fixed_cuts() {
        for text in ["x", "[1,2,3]", "{\"messages\":[", "{\"a\":1}trailing"] {
            let body = text.repeat(FIXED_PART);
            let parts = parts(body.as_bytes());
            assert!(parts.len() >= body.len() / FIXED_PART, "{text}");
            assert!(parts.iter().all(|part| part.len() <= FIXED_PART), "{text}");
            assert_eq!(parts.concat(), body.as_bytes(), "{text}");
        }
    }

    #[test]
    fn no_part_is_longer_than_the_longest() {
        let image = "A".repeat(3 * LONGEST_PART);
        let body = json!({"messages": [{"content": image}]}).to_string();
        let parts = parts(body.as_bytes());
        assert!(parts.iter().all(|part| part.len() <= LONGEST_PART));
        assert_eq!(parts.concat(), body.as_bytes());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
            r#"["\\\[\]{},: a-z]{0,12}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            let key = prop_oneof![
                Just("messages".to_owned()),
                Just("system".to_owned()),
                Just("tools".to_owned()),
                Just("content".to_owned()),
                r#"["\\\[\]{},:]{0,4}"#,
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((key, inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_message_of_any_json_is_a_part(value in any_json(), pretty in any::<bool>()) {
            let body = if pretty { format!("{value:#}") } else { value.to_string() };
            let parts = parts(body.as_bytes());
            prop_assert_eq!(parts.concat(), body.as_bytes());
            let Value::Object(members) = &value else { return Ok(()) };
            for name in ["messages", "system"] {
                for element in members.get(name).and_then(Value::as_array).into_iter().flatten() {
                    let is_part = parts.iter().any(|part| {
                        let text = std::str::from_utf8(part).unwrap().trim_start_matches(',');
                        serde_json::from_str::<Value>(text).is_ok_and(|part| part == *element)
                    });
                    prop_assert!(is_part, "{element} in {body}");
                }
            }
        }

        #[test]
        fn the_parts_of_any_bytes_are_the_bytes(
            body in r#"[{]("(messages|system|tools|content)":[\[{]|["\\\[\]{},: 1a]){0,60}"#,
            tail in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut body = body.into_bytes();
            body.extend(tail);
            prop_assert_eq!(parts(&body).concat(), body);
        }
    }
}
