//! The letters of JSON: what a value consists of, where it ends.
//!
//! Everything is checked, nothing is kept.
//! This file must not know what a value is wanted for.

use super::invalid::InvalidRequest;
use crate::protocol::json_text::{BLOCK, Near, end_of_plain, marks, near_end_of_plain};

/// How deep values may be nested; the bits of [`Nesting`].
pub(super) const DEEPEST: u32 = 128;
/// How deep the input of a tool's call may be nested: around it are the body, the messages, one of them, its content and a
/// block.
pub(in crate::protocol) const DEEPEST_INPUT: usize = DEEPEST as usize - 5;

/// What may stand behind a backslash alone; a table, because comparing one by one is guessed wrong too often.
const ESCAPES: [bool; 256] = {
    let mut escapes = [false; 256];
    let mut letters: &[u8] = b"\"\\/bfnrt";
    while let [letter, rest @ ..] = letters {
        escapes[*letter as usize] = true;
        letters = rest;
    }
    escapes
};

/// A step, or what is wrong where it stopped. Faults are two words here, as steps are taken thousands of times.
type Scanned<T = ()> = Result<T, &'static str>;

const CONTROL: &str = "a control character in a string is not escaped";

/// So many blocks without an escape are followed by more.
const MANY_PLAIN: u32 = 4;

/// What there was in a block of a string.
enum Passed {
    /// No escape.
    Plain,
    /// Escapes.
    Marked,
    /// The end of the string.
    End,
}

/// A place in a JSON text.
pub(super) struct Scanner<'a> {
    text: &'a str,
    /// In bytes; always before an ASCII byte or at the end of one.
    pub(super) at: usize,
    /// How many objects and arrays are open around it.
    pub(super) depth: u32,
}

impl<'a> Scanner<'a> {
    /// Stands before the first value of a text.
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
        }
    }

    /// Steps over any value, checking it.
    pub(super) fn skip(&mut self) -> Scanned {
        let mut nesting = Nesting::default();
        loop {
            self.space();
            let opened = match self.byte() {
                Some(b'"') => {
                    self.skip_string()?;
                    false
                }
                Some(b'{') => self.enter(&mut nesting, true)?,
                Some(b'[') => self.enter(&mut nesting, false)?,
                Some(b'-' | b'0'..=b'9') => {
                    self.skip_number()?;
                    false
                }
                _ => {
                    self.skip_word()?;
                    false
                }
            };
            if !opened && self.leave(&mut nesting)? {
                return Ok(());
            }
        }
    }

    #[inline]
    pub(super) fn space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    #[inline]
    pub(super) fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn slice(&self, start: usize, end: usize) -> &'a str {
        self.text
            .get(start..end)
            .expect("the cursor stops at ASCII bytes, which begin characters")
    }

    fn skip_key(&mut self) -> Scanned {
        self.skip_key_string()?;
        self.skip_colon()
    }

    pub(super) fn skip_key_string(&mut self) -> Scanned {
        if self.byte() == Some(b'"') {
            self.skip_string()
        } else {
            Err("expected a key in double quotes")
        }
    }

    pub(super) fn skip_colon(&mut self) -> Scanned {
        self.space();
        if self.byte() != Some(b':') {
            return Err("expected `:`");
        }
        self.at += 1;
        Ok(())
    }

    pub(super) fn skip_string(&mut self) -> Scanned {
        let bytes = self.text.as_bytes();
        self.at = match near_end_of_plain(bytes, self.at + 1) {
            Near::Ends(end) if bytes.get(end) == Some(&b'"') => {
                self.at = end + 1;
                return Ok(());
            }
            Near::Ends(at) | Near::GoesOn(at) => at,
        };
        let mut plain_blocks = 0;
        while let Some(block) = bytes.get(self.at..).and_then(<[u8]>::first_chunk::<BLOCK>) {
            match self.skip_block(block)? {
                Passed::End => return Ok(()),
                Passed::Marked => plain_blocks = 0,
                Passed::Plain => plain_blocks += 1,
            }
            // An image rather than code.
            if plain_blocks == MANY_PLAIN {
                self.at = end_of_plain(bytes, self.at);
                plain_blocks = 0;
            }
        }
        self.skip_rest_of_string()
    }

    /// Steps over the next block of a string, and over an escape that begins in it.
    #[inline]
    fn skip_block(&mut self, block: &[u8; BLOCK]) -> Scanned<Passed> {
        let start = self.at;
        let mut marks = marks(block);
        if marks == 0 {
            self.at = start + BLOCK;
            return Ok(Passed::Plain);
        }
        while marks != 0 {
            let place = marks.trailing_zeros() as usize;
            self.at = start + place;
            match block.get(place) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Passed::End);
                }
                Some(b'\\') => self.skip_escape()?,
                _ => return Err(CONTROL),
            }
            let behind = self.at - start;
            if behind >= BLOCK {
                return Ok(Passed::Marked);
            }
            marks &= u64::MAX << behind;
        }
        self.at = start + BLOCK;
        Ok(Passed::Marked)
    }

    /// The end of a text is shorter than a block.
    fn skip_rest_of_string(&mut self) -> Scanned {
        loop {
            self.at = end_of_plain(self.text.as_bytes(), self.at);
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.skip_escape()?,
                Some(_) => return Err(CONTROL),
                None => return Err("a string does not end"),
            }
        }
    }

    fn skip_escape(&mut self) -> Scanned {
        let escaped = self.text.as_bytes().get(self.at + 1).copied();
        let escaped = escaped.unwrap_or_default();
        if ESCAPES[usize::from(escaped)] {
            self.at += 2;
            return Ok(());
        }
        let digits = self.text.as_bytes().get(self.at + 2..self.at + 6);
        let is_hex = digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        if escaped != b'u' || !is_hex {
            return Err("an escape in a string is not one of JSON's");
        }
        self.at += 6;
        Ok(())
    }

    pub(super) fn skip_number(&mut self) -> Scanned {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            _ => self.skip_digits()?,
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.skip_digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.skip_digits()?;
        }
        Ok(())
    }

    fn skip_digits(&mut self) -> Scanned {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start {
            return Err("a number lacks a digit");
        }
        Ok(())
    }

    fn skip_word(&mut self) -> Scanned {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        for word in ["true", "false", "null"] {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(());
            }
        }
        Err("expected a value")
    }

    /// Enters an object or array; an object's first key is read. Says whether a value follows inside it.
    fn enter(&mut self, nesting: &mut Nesting, object: bool) -> Scanned<bool> {
        self.at += 1;
        self.space();
        let end = if object { b'}' } else { b']' };
        if self.byte() == Some(end) {
            self.at += 1;
            return Ok(false);
        }
        if nesting.depth + self.depth >= DEEPEST {
            return Err("it is nested more than 128 deep");
        }
        nesting.push(object);
        if object {
            self.skip_key()?;
        }
        Ok(true)
    }

    /// Goes on after a value: closes what ends here, up to the next value. Says whether the outermost one has ended.
    fn leave(&mut self, nesting: &mut Nesting) -> Scanned<bool> {
        while let Some(in_object) = nesting.top() {
            self.space();
            match (self.byte(), in_object) {
                (Some(b','), true) => {
                    self.at += 1;
                    self.space();
                    self.skip_key()?;
                    return Ok(false);
                }
                (Some(b','), false) => {
                    self.at += 1;
                    return Ok(false);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.at += 1;
                    nesting.pop();
                }
                (_, true) => return Err("expected `,` or `}`"),
                (_, false) => return Err("expected `,` or `]`"),
            }
        }
        Ok(true)
    }

    #[cold]
    pub(super) fn syntax(&self, what: &str) -> InvalidRequest {
        let before = self.text.as_bytes().get(..self.at).unwrap_or_default();
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        let column = before.len() - memchr::memrchr(b'\n', before).map_or(0, |end| end + 1) + 1;
        InvalidRequest::here(format!(
            "The request body is not valid JSON: {what} at line {line} column {column}"
        ))
    }
}

/// Which of the open values are objects, one bit each.
#[derive(Default)]
struct Nesting {
    objects: u128,
    depth: u32,
}

impl Nesting {
    fn push(&mut self, object: bool) {
        self.objects = self.objects << 1 | u128::from(object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }

    fn top(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.objects & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_ends_where_it_ends_and_breaks_where_it_breaks() {
        let scanned = |text: &str| {
            let mut scanner = Scanner::new(text);
            (scanner.skip_string(), scanner.at)
        };
        for before in 0..40 {
            let plain = "x".repeat(before);
            let end = before + 1;
            for (rest, step, fault) in [
                ("\"", 1, None),
                ("\" \"", 1, None),
                (r#"\\" "#, 3, None),
                (r#"\"" "#, 3, None),
                (r#"\\\"\n" "#, 7, None),
                (r#"\u00e9\u12aB" "#, 13, None),
                ("é\"", 3, None),
                ("", 0, Some("a string does not end")),
                (
                    "\u{1}\"",
                    0,
                    Some("a control character in a string is not escaped"),
                ),
                ("\\", 0, Some("an escape in a string is not one of JSON's")),
                (
                    "\\u12\"",
                    0,
                    Some("an escape in a string is not one of JSON's"),
                ),
                (
                    "\\n\\x\"",
                    2,
                    Some("an escape in a string is not one of JSON's"),
                ),
            ] {
                let text = format!("\"{plain}{rest}");
                let expected = fault.map_or(Ok(()), Err);
                assert_eq!(scanned(&text), (expected, end + step), "{text}");
            }
        }
    }
}
