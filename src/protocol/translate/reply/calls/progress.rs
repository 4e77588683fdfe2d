//! The text of a JSON object that comes in pieces: where it ends, and what mends it when it is nearly one.
//!
//! This file must not know what a call is.

use crate::protocol::json_text;

/// How far a JSON object has come, known without parsing it again for each piece.
#[derive(Debug, Default)]
pub(super) struct Progress {
    depth: usize,
    deepest: usize,
    in_string: bool,
    after_backslash: bool,
    begun: Begun,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Begun {
    #[default]
    Nothing,
    Object,
    Whole,
    /// No object: its end is not known.
    SomethingElse,
}

impl Progress {
    /// Whether its end has come.
    pub(super) fn is_whole(&self) -> bool {
        self.begun == Begun::Whole
    }

    /// Whether it has begun and its end has not come.
    pub(super) fn is_under_way(&self) -> bool {
        self.begun == Begun::Object
    }

    /// How deep it is nested, so far.
    pub(super) fn deepest(&self) -> usize {
        self.deepest
    }

    /// Takes text, and tells how much of it belongs to the object.
    pub(super) fn advance(&mut self, text: &str) -> usize {
        for (at, byte) in text.bytes().enumerate() {
            match self.begun {
                Begun::Nothing if byte.is_ascii_whitespace() => {}
                Begun::Nothing if byte == b'{' => {
                    self.begun = Begun::Object;
                    self.depth = 1;
                    self.deepest = 1;
                }
                Begun::Nothing => self.begun = Begun::SomethingElse,
                Begun::Object => {
                    self.step(byte);
                    if self.depth == 0 {
                        self.begun = Begun::Whole;
                        return at + 1;
                    }
                }
                Begun::Whole | Begun::SomethingElse => return text.len(),
            }
        }
        text.len()
    }

    fn step(&mut self, byte: u8) {
        if self.after_backslash {
            self.after_backslash = false;
            return;
        }
        match byte {
            b'\\' => self.after_backslash = self.in_string,
            b'"' => self.in_string = !self.in_string,
            b'{' | b'[' if !self.in_string => {
                self.depth += 1;
                self.deepest = self.deepest.max(self.depth);
            }
            b'}' | b']' if !self.in_string => self.depth -= 1,
            _ => {}
        }
    }
}

/// Takes out commas before a closing bracket, drops what follows the object, adds brackets that are missing, and escapes
/// line breaks and other control characters in strings, unless a backslash stands before them.
/// A string that was not closed was cut off and stays so.
pub(super) fn repaired(arguments: &str) -> String {
    let mut text = String::with_capacity(arguments.len() + 8);
    let mut open: Vec<char> = Vec::new();
    let mut in_string = false;
    let mut after_backslash = false;
    for c in arguments.chars() {
        if in_string {
            let is_bare = !after_backslash && c < ' ';
            in_string = after_backslash || c != '"';
            after_backslash = c == '\\' && !after_backslash;
            if is_bare {
                text.push_str(&json_text::escaped(c.encode_utf8(&mut [0; 4])));
            } else {
                text.push(c);
            }
            continue;
        }
        match c {
            '"' => in_string = true,
            '{' => open.push('}'),
            '[' => open.push(']'),
            '}' | ']' => {
                drop_comma(&mut text);
                open.pop();
            }
            _ => {}
        }
        text.push(c);
        if open.is_empty() {
            return text;
        }
    }
    if !in_string {
        drop_comma(&mut text);
        text.extend(open.iter().rev());
    }
    text
}

fn drop_comma(text: &mut String) {
    text.truncate(text.trim_end().len());
    if text.ends_with(',') {
        text.pop();
    }
}
