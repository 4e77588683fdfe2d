//! Where a request body is cut, so that what a client repeats from turn to turn is the same bytes again.
//!
//! A body is a JSON object with `messages`, and perhaps `system` and `tools`. Each message is a part of its own,
//! together with the comma before it, so is each block of a system prompt; all tools are one part; a long message is cut
//! at its content blocks too. What lies between is the envelope. The scanner looks at brackets and quotes only and
//! builds nothing. It must not know what the members mean.
//!
//! It goes from left to right, and all it knows after an element of a list is that it is there, so that it can resume
//! there in a body that begins like an earlier one, and stop where the two end alike.

use memchr::memchr2;

/// A message longer than this is cut at its content blocks.
const LONG_MESSAGE: usize = 4 << 10;

/// A place where a body is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The end of the part before.
    pub(crate) end: usize,
    /// What ends there.
    pub(crate) after: After,
}

/// What ends at a cut; after an element or a member the scanner can resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Nothing that it could resume after.
    Other,
    /// An element of `messages` or `system`.
    Element,
    /// The member `tools`.
    Member,
}

/// An earlier body, and what a new one has in common with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alike<'a> {
    /// The earlier body's cuts, as [`cut`] gave them.
    pub(crate) cuts: &'a [Cut],
    /// Its length.
    pub(crate) length: usize,
    /// Bytes that are the same at the beginning.
    pub(crate) prefix: usize,
    /// Bytes that are the same at the end.
    pub(crate) suffix: usize,
}

/// How many parts are the same as in the earlier body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Same {
    /// At the beginning.
    pub(crate) first: usize,
    /// At the end.
    pub(crate) last: usize,
}

/// Fills `cuts` with the ends of the parts of `body`, in ascending order; the last one is the end of `body`.
///
/// `None` when it is not a JSON object: then there is one part. With an earlier body that is `alike` the cuts are the
/// same as without, but what the two have in common is not looked at again.
pub(crate) fn cut(body: &[u8], alike: Option<Alike<'_>>, cuts: &mut Vec<Cut>) -> Option<Same> {
    cuts.clear();
    let mut scan = Scan {
        text: body,
        cuts,
        alike,
        same: Same::default(),
    };
    if scan.request().is_some() || scan.same.last > 0 {
        let same = scan.same;
        if same.last == 0 {
            cuts.push(Cut::inside(body.len()));
        }
        return Some(same);
    }
    cuts.clear();
    cuts.push(Cut::inside(body.len()));
    None
}

impl Cut {
    const fn inside(end: usize) -> Self {
        Self {
            end,
            after: After::Other,
        }
    }
}

struct Scan<'a> {
    text: &'a [u8],
    cuts: &'a mut Vec<Cut>,
    alike: Option<Alike<'a>>,
    same: Same,
}

/// All of these give the position after what they have read; `None` when the text is not what they expect,
/// or when the rest was taken over from the earlier body.
impl Scan<'_> {
    fn request(&mut self) -> Option<()> {
        let end = match self.take_over_first() {
            Some(cut) => self.resume(cut)?,
            None => self.object()?,
        };
        (skip_space(self.text, end) == self.text.len()).then_some(())
    }

    fn resume(&mut self, cut: Cut) -> Option<usize> {
        let at = self.unless_rest_is_same(cut)?;
        match cut.after {
            After::Other => None,
            After::Element => {
                let list_end = self.elements_after(at)?;
                self.members_after(list_end)
            }
            After::Member => self.members_after(at),
        }
    }

    /// Takes over the cuts up to the last one after which it can resume, if the byte that follows is common too.
    fn take_over_first(&mut self) -> Option<Cut> {
        let alike = self.alike?;
        let is_common = |cut: &Cut| cut.after != After::Other && cut.end < alike.prefix;
        let last = alike.cuts.iter().rposition(is_common)?;
        self.cuts.extend_from_slice(&alike.cuts[..=last]);
        self.same.first = last + 1;
        Some(alike.cuts[last])
    }

    /// Cuts, and goes on behind the cut unless the rest was taken over.
    fn cut(&mut self, end: usize, after: After) -> Option<usize> {
        let cut = Cut { end, after };
        self.cuts.push(cut);
        self.unless_rest_is_same(cut)
    }

    /// Takes over all cuts after `cut` and gives `None`, if both bodies are cut there and the rest is the same.
    fn unless_rest_is_same(&mut self, cut: Cut) -> Option<usize> {
        let Some(alike) = self.alike else {
            return Some(cut.end);
        };
        let rest = self.text.len() - cut.end;
        if rest > alike.suffix {
            return Some(cut.end);
        }
        let earlier_end = alike.length - rest;
        let earlier = alike.cuts.binary_search_by_key(&earlier_end, |cut| cut.end);
        let Some(index) = earlier
            .ok()
            .filter(|index| alike.cuts[*index].after == cut.after)
        else {
            return Some(cut.end);
        };
        let last = &alike.cuts[index + 1..];
        let shifted = last.iter().map(|same| Cut {
            end: same.end - earlier_end + cut.end,
            ..*same
        });
        self.cuts.extend(shifted);
        self.same.last = last.len();
        None
    }

    fn object(&mut self) -> Option<usize> {
        let at = expect(self.text, skip_space(self.text, 0), b'{')?;
        let at = skip_space(self.text, at);
        if self.text.get(at) == Some(&b'}') {
            return Some(at + 1);
        }
        let at = self.member(at)?;
        self.members_after(at)
    }

    fn members_after(&mut self, mut at: usize) -> Option<usize> {
        while let Some(next) = next_in(self.text, at, b'}')? {
            at = self.member(next)?;
        }
        Some(skip_space(self.text, at) + 1)
    }

    fn member(&mut self, at: usize) -> Option<usize> {
        let (key, value) = key(self.text, at)?;
        let is_list = self.text.get(value) == Some(&b'[');
        match key {
            b"messages" | b"system" if is_list => self.elements(value),
            b"tools" => {
                self.cuts.push(Cut::inside(value));
                let end = skip_value(self.text, value)?;
                self.cut(end, After::Member)
            }
            _ => skip_value(self.text, value),
        }
    }

    /// Cuts around each element of the list at `at`.
    fn elements(&mut self, at: usize) -> Option<usize> {
        let at = expect(self.text, at, b'[')?;
        self.cuts.push(Cut::inside(at));
        let at = skip_space(self.text, at);
        if self.text.get(at) == Some(&b']') {
            return Some(at + 1);
        }
        let at = self.element(at)?;
        self.elements_after(at)
    }

    fn elements_after(&mut self, mut at: usize) -> Option<usize> {
        while let Some(next) = next_in(self.text, at, b']')? {
            at = self.element(next)?;
        }
        Some(skip_space(self.text, at) + 1)
    }

    fn element(&mut self, at: usize) -> Option<usize> {
        let end = skip_value(self.text, at)?;
        if end - at > LONG_MESSAGE && self.text.get(at) == Some(&b'{') {
            self.content_blocks(at)?;
        }
        self.cut(end, After::Element)
    }

    /// Cuts around the content blocks of the message at `at`.
    fn content_blocks(&mut self, at: usize) -> Option<()> {
        let mut at = skip_space(self.text, expect(self.text, at, b'{')?);
        if self.text.get(at) == Some(&b'}') {
            return Some(());
        }
        loop {
            let (key, value) = key(self.text, at)?;
            if key == b"content" && self.text.get(value) == Some(&b'[') {
                self.block_ends(value)?;
            }
            let end = skip_value(self.text, value)?;
            match next_in(self.text, end, b'}')? {
                Some(next) => at = next,
                None => return Some(()),
            }
        }
    }

    fn block_ends(&mut self, list: usize) -> Option<()> {
        let mut at = skip_space(self.text, expect(self.text, list, b'[')?);
        self.cuts.push(Cut::inside(at));
        if self.text.get(at) == Some(&b']') {
            return Some(());
        }
        loop {
            let end = skip_value(self.text, at)?;
            self.cuts.push(Cut::inside(end));
            match next_in(self.text, end, b']')? {
                Some(next) => at = next,
                None => return Some(()),
            }
        }
    }
}

/// The key of the member at `at`, and where its value begins.
fn key(text: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let start = expect(text, at, b'"')?;
    let end = skip_string(text, start)?;
    let colon = expect(text, skip_space(text, end), b':')?;
    Some((text.get(start..end - 1)?, skip_space(text, colon)))
}

/// After a value: where the next one begins, or `Some(None)` when `close` ends the container.
fn next_in(text: &[u8], at: usize, close: u8) -> Option<Option<usize>> {
    let at = skip_space(text, at);
    match text.get(at)? {
        b',' => Some(Some(skip_space(text, at + 1))),
        byte if *byte == close => Some(None),
        _ => None,
    }
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

    fn cuts(body: &[u8]) -> Option<Vec<Cut>> {
        let mut cuts = Vec::new();
        cut(body, None, &mut cuts).map(|_| cuts)
    }

    fn parts(body: &[u8]) -> Vec<Vec<u8>> {
        let mut cuts = Vec::new();
        cut(body, None, &mut cuts);
        let mut start = 0;
        let mut parts = Vec::new();
        for cut in cuts {
            parts.push(body[start..cut.end].to_vec());
            start = cut.end;
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
    fn what_is_no_json_object_is_one_part() {
        let texts = ["", "x", "[1,2,3]", "{\"messages\":[", "{\"a\":1} trailing"];
        for text in texts.into_iter().chain(["{\"messages\":[1 2]}"]) {
            assert_eq!(cuts(text.as_bytes()), None, "{text}");
            assert_eq!(parts(text.as_bytes()), [text.as_bytes()]);
        }
    }

    /// Cuts `body` with the help of `earlier`, and checks that this changes nothing; says what was the same.
    fn cut_alike(earlier: &str, body: &str) -> Option<Same> {
        let earlier_cuts = cuts(earlier.as_bytes())?;
        let pairs = || earlier.bytes().zip(body.bytes());
        let reversed = earlier.bytes().rev().zip(body.bytes().rev());
        let alike = Alike {
            cuts: &earlier_cuts,
            length: earlier.len(),
            prefix: pairs().take_while(|(a, b)| a == b).count(),
            suffix: reversed.take_while(|(a, b)| a == b).count(),
        };
        let mut with_help = Vec::new();
        let same = cut(body.as_bytes(), Some(alike), &mut with_help);
        assert_eq!(
            same.map(|_| with_help),
            cuts(body.as_bytes()),
            "{earlier} {body}"
        );
        let same = same?;
        let (ours, theirs) = (parts(body.as_bytes()), parts(earlier.as_bytes()));
        assert_eq!(ours[..same.first], theirs[..same.first]);
        assert_eq!(
            ours[ours.len() - same.last..],
            theirs[theirs.len() - same.last..]
        );
        Some(same)
    }

    #[test]
    fn only_what_is_new_is_looked_at() {
        let earlier = r#"{"messages":[1,{"a":2},3],"system":[{"s":1}],"tools":[4],"n":5}"#;
        let cases = [
            (earlier.to_owned(), Same { first: 8, last: 1 }),
            (
                earlier.replace(",3]", ",3,{\"new\":6}]"),
                Same { first: 3, last: 5 },
            ),
            (earlier.replace(",3]", "]"), Same { first: 2, last: 5 }),
            (earlier.replace('5', "55"), Same { first: 8, last: 0 }),
            (earlier.replace("[4]", "[5]"), Same { first: 6, last: 1 }),
            ("{\"messages\":[7]}".to_owned(), Same::default()),
        ];
        for (body, same) in cases {
            assert_eq!(cut_alike(earlier, &body), Some(same), "{body}");
        }
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
        fn an_earlier_body_never_changes_the_cuts(
            value in any_json(),
            at in any::<prop::sample::Index>(),
            removed in 0..9_usize,
            added in r#"(,[{]"a":1[}]|,"tools":\[\]|\]|\[|"|1|,){0,3}"#,
        ) {
            let earlier = serde_json::json!({"messages": [value, 1, value], "system": [value], "tools": [1]}).to_string();
            let at = at.index(earlier.len());
            let (before, after) = (earlier.get(..at), earlier.get((at + removed).min(earlier.len())..));
            if let Some((before, after)) = before.zip(after) {
                cut_alike(&earlier, &format!("{before}{added}{after}"));
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
