//! Replaces values in a JSON text and leaves every other byte as it was.

use std::ops::Range;

use serde_json::value::RawValue;

use crate::protocol::anthropic::request::asked_model;
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
        let mut out = Vec::with_capacity(self.text.len() + 64);
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
        let value = value.get();
        let start = value
            .as_ptr()
            .addr()
            .wrapping_sub(self.text.as_ptr().addr());
        start..start.wrapping_add(value.len())
    }
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

fn quoted(text: &str) -> Vec<u8> {
    let mut out = vec![b'"'];
    json_text::escape(text, &mut out);
    out.push(b'"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
