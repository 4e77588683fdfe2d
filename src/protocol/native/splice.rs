//! Replaces values in a JSON text and leaves every other byte as it was.

use std::ops::Range;

use serde_json::value::RawValue;

use crate::protocol::anthropic::request::{Raw, asked_model};
use crate::protocol::json_text;

/// Values of one JSON text that are to be replaced.
pub(super) struct Splice<'a> {
    text: &'a [u8],
    changes: Vec<(Range<usize>, Vec<u8>)>,
}

impl<'a> Splice<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            changes: Vec::new(),
        }
    }

    /// Replaces a value that was read from the text.
    pub(super) fn replace(&mut self, value: &RawValue, by: impl Into<Vec<u8>>) {
        let place = self.place(value);
        self.changes.push((place, by.into()));
    }

    /// Replaces a string that was read from the text.
    pub(super) fn replace_string(&mut self, value: &RawValue, by: &str) {
        self.replace(value, quoted(by));
    }

    /// Adds members, written as `"name":value` with commas between them, to an object that was read from the text.
    pub(super) fn add(&mut self, object: &RawValue, members: &str) {
        let start = self.place(object).start;
        self.add_at(start, members);
    }

    /// Adds members to the object that the text is.
    pub(super) fn add_to_all(&mut self, members: &str) {
        let brace = memchr::memchr(b'{', self.text);
        self.add_at(brace.unwrap_or_default(), members);
    }

    fn add_at(&mut self, brace: usize, members: &str) {
        let behind = brace + 1;
        let rest = self.text.get(behind..).unwrap_or_default();
        let comma = if rest.trim_ascii_start().starts_with(b"}") {
            ""
        } else {
            ","
        };
        let members = format!("{members}{comma}");
        self.changes.push((behind..behind, members.into_bytes()));
    }

    /// The text with its changes; `None` when there are none.
    pub(super) fn done(mut self) -> Option<Vec<u8>> {
        if self.changes.is_empty() {
            return None;
        }
        self.changes.sort_by_key(|(place, _)| place.start);
        let added: usize = self.changes.iter().map(|(_, by)| by.len()).sum();
        let removed: usize = self.changes.iter().map(|(place, _)| place.len()).sum();
        let room = (self.text.len() + added).saturating_sub(removed);
        let mut out = Vec::with_capacity(room);
        let mut at = 0;
        for (place, by) in &self.changes {
            out.extend_from_slice(self.text.get(at..place.start).unwrap_or_default());
            out.extend_from_slice(by);
            at = place.end;
        }
        out.extend_from_slice(self.text.get(at..).unwrap_or_default());
        Some(out)
    }

    /// Where a value stands that borrows from the text.
    fn place(&self, value: &RawValue) -> Range<usize> {
        place(self.text, value.get())
    }
}

/// Where a part of a text stands in it.
fn place(text: &[u8], part: &str) -> Range<usize> {
    let start = part.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    start..start.wrapping_add(part.len())
}

/// A body with another model's name in the place of its own, and with the `cuts` made: places that do not overlap, each with
/// what stands there instead; `None` when nothing changes.
#[must_use]
pub fn spliced<'c>(
    body: &str,
    model: &str,
    cuts: impl IntoIterator<Item = (&'c Range<usize>, &'c str)>,
) -> Option<Vec<u8>> {
    let mut splice = Splice::new(body.as_bytes());
    let asked = asked_model(body).filter(|asked| asked.name != model);
    let model = asked.map(|asked| (asked.place, quoted(model)));
    splice.changes.extend(model);
    let cuts = cuts.into_iter();
    splice
        .changes
        .extend(cuts.map(|(place, instead)| (place.clone(), instead.as_bytes().to_vec())));
    splice.done()
}

/// The cut for [`spliced`] that gives a member to a body that has other members: in front of them, or, where the body has it as
/// `null`, in the place of that.
#[must_use]
pub fn with_member(
    body: &str,
    name: &str,
    value: &str,
    null: Option<Raw<'_>>,
) -> (Range<usize>, String) {
    if let Some(null) = null {
        return (place(body.as_bytes(), null.as_str()), value.to_owned());
    }
    let brace = memchr::memchr(b'{', body.as_bytes()).unwrap_or_default();
    let behind = brace + 1;
    (behind..behind, format!("\"{name}\":{value},"))
}

fn quoted(text: &str) -> Vec<u8> {
    let mut out = vec![b'"'];
    json_text::escape(text, &mut out);
    out.push(b'"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::protocol::anthropic::request::Request;

    #[test]
    fn only_the_models_name_changes() {
        let body = "{ \"x\": [1, 2.50], \"model\" : \"opus\",\n\"y\":\"\\u00e9\" }";
        let renamed = spliced(body, "anthropic/claude-opus-5.5", []).unwrap();
        let expected = body.replace("\"opus\"", "\"anthropic/claude-opus-5.5\"");
        assert_eq!(String::from_utf8(renamed).unwrap(), expected);
        assert_eq!(spliced(body, "opus", []), None);
        assert_eq!(spliced("{}", "opus", []), None);
    }

    #[test]
    fn values_are_replaced_where_they_stand() {
        #[derive(serde::Deserialize)]
        struct Pair<'a> {
            #[serde(borrow)]
            a: &'a RawValue,
            #[serde(borrow)]
            b: &'a RawValue,
        }
        let text = br#"{"b": 1,"c":"1", "a":"x"}"#;
        let pair: Pair<'_> = serde_json::from_slice(text).unwrap();
        let mut splice = Splice::new(text);
        splice.replace_string(pair.a, "\"");
        splice.replace(pair.b, "22");
        let done = String::from_utf8(splice.done().unwrap()).unwrap();
        assert_eq!(done, r#"{"b": 22,"c":"1", "a":"\""}"#);
        assert_eq!(Splice::new(text).done(), None);
    }

    #[test]
    fn members_are_added_in_front_of_those_that_are_there() {
        #[derive(serde::Deserialize)]
        struct Outer<'a> {
            #[serde(borrow)]
            a: &'a RawValue,
            #[serde(borrow)]
            b: &'a RawValue,
        }
        let text = br#"{"a":{ },"b":{"x":1}}"#;
        let outer: Outer<'_> = serde_json::from_slice(text).unwrap();
        let mut splice = Splice::new(text);
        splice.add(outer.b, r#""y":2,"z":3"#);
        splice.add(outer.a, r#""y":2"#);
        splice.add_to_all(r#""c":4"#);
        let done = String::from_utf8(splice.done().unwrap()).unwrap();
        assert_eq!(done, r#"{"c":4,"a":{"y":2 },"b":{"y":2,"z":3,"x":1}}"#);
    }

    const WISH: &str = "{\"order\":[\"a\"],\"zdr\":true}";

    /// The body with a `provider`, as the native lane sends it.
    fn with_wish(body: &str, model: &str) -> String {
        let request = Request::parse_to_pass(body).unwrap();
        let (place, json) = with_member(body, "provider", WISH, request.provider);
        let sent = spliced(body, model, [(&place, json.as_str())]).unwrap();
        assert_eq!(sent.len(), sent.capacity(), "one copy, with room enough");
        String::from_utf8(sent).unwrap()
    }

    #[test]
    fn a_member_stands_in_front_or_where_null_was() {
        let body = " { \"x\": [1, 2.50], \"model\" : \"opus\" }";
        let expected =
            format!(" {{\"provider\":{WISH}, \"x\": [1, 2.50], \"model\" : \"anthropic/opus\" }}");
        assert_eq!(with_wish(body, "anthropic/opus"), expected);
        let body = "{\"model\":\"opus\",\"provider\" : null ,\"x\":1}";
        let expected = format!("{{\"model\":\"opus\",\"provider\" : {WISH} ,\"x\":1}}");
        assert_eq!(with_wish(body, "opus"), expected);
    }

    /// Members of a body besides its model, and how much white space is between them.
    fn members() -> impl Strategy<Value = (Vec<(String, Value)>, usize, usize)> {
        let value = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
            prop::collection::vec("[{}\",: a]{0,4}", 0..4).prop_map(Value::from),
        ];
        let name = prop_oneof![Just("provider".to_owned()), "[a-c{}\",]{1,3}"];
        let name = name.prop_filter("not twice", |name| name != "model");
        (
            prop::collection::btree_map(name, value, 0..5),
            0..3usize,
            0..6usize,
        )
            .prop_map(|(members, space, at)| (members.into_iter().collect(), space, at))
    }

    proptest! {
        #[test]
        fn the_rest_of_a_body_is_the_same_byte_for_byte((mut members, space, at) in members()) {
            members.retain(|(name, value)| name != "provider" || value.is_null());
            let has_null = members.iter().any(|(name, _)| name == "provider");
            let at = at.min(members.len());
            members.insert(at, ("model".to_owned(), "opus".into()));
            let space = " ".repeat(space);
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{space}{}{space}:{space}{value}", Value::from(name.as_str())))
                .collect();
            let body = format!("{space}{{{}{space}}}", members.join(","));
            let sent = with_wish(&body, "opus");
            let without = match has_null {
                true => sent.replacen(WISH, "null", 1),
                false => sent.replacen(&format!("\"provider\":{WISH},"), "", 1),
            };
            prop_assert_eq!(&without, &body);
            let mut read: Value = serde_json::from_str(&sent).unwrap();
            let wish = read.as_object_mut().unwrap().remove("provider").unwrap();
            prop_assert_eq!(wish, serde_json::from_str::<Value>(WISH).unwrap());
            let mut before: Value = serde_json::from_str(&body).unwrap();
            before.as_object_mut().unwrap().remove("provider");
            prop_assert_eq!(read, before);
        }
    }
}
