//! A writer of JSON that knows where commas go and trusts its caller with the rest.

use super::super::messages::Text;
use crate::protocol::json_text;

/// JSON under way.
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn object(&mut self, fields: impl FnOnce(&mut Self)) {
        self.comma();
        self.bytes.push(b'{');
        fields(self);
        self.bytes.push(b'}');
    }

    pub(super) fn array(&mut self, items: impl FnOnce(&mut Self)) {
        self.comma();
        self.bytes.push(b'[');
        items(self);
        self.bytes.push(b']');
    }

    /// Writes a key of ours, which needs no escaping; a value must follow.
    pub(super) fn key(&mut self, key: &'static str) -> &mut Self {
        self.comma();
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.extend_from_slice(b"\":");
        self
    }

    /// Writes a text, escaping it.
    pub(super) fn string(&mut self, text: &str) {
        self.comma();
        json_text::quote(text, &mut self.bytes);
    }

    /// Writes escaped texts as one string.
    pub(super) fn escaped(&mut self, pieces: &[&str]) {
        self.comma();
        self.bytes.push(b'"');
        for piece in pieces {
            self.bytes.extend_from_slice(piece.as_bytes());
        }
        self.bytes.push(b'"');
    }

    /// Writes texts as one string, with empty lines between those that do not go on with the one before.
    pub(super) fn joined<'t>(&mut self, texts: impl Iterator<Item = &'t Text<'t>>) {
        self.comma();
        self.bytes.push(b'"');
        for (index, text) in texts.enumerate() {
            if index > 0 && !text.goes_on {
                self.bytes.extend_from_slice(b"\\n\\n");
            }
            self.bytes.extend_from_slice(text.escaped.as_bytes());
        }
        self.bytes.push(b'"');
    }

    /// Writes JSON text as a value.
    pub(super) fn raw(&mut self, json: &str) {
        self.comma();
        self.bytes.extend_from_slice(json.as_bytes());
    }

    pub(super) fn integer(&mut self, number: u64) {
        self.value(&number);
    }

    pub(super) fn boolean(&mut self, yes: bool) {
        self.raw(if yes { "true" } else { "false" });
    }

    /// Writes whatever `serde` can.
    pub(super) fn value(&mut self, value: &impl serde::Serialize) {
        self.comma();
        serde_json::to_writer(&mut self.bytes, value).expect("a vector takes every byte");
    }

    /// A value or key that follows another needs a comma; values never end in one of these bytes.
    fn comma(&mut self) {
        if !matches!(self.bytes.last(), None | Some(b'{' | b'[' | b':')) {
            self.bytes.push(b',');
        }
    }
}
