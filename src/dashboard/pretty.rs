//! JSON as people read it: indented and coloured, from text that may be cut off, huge or no JSON at all.
//!
//! It walks over the text once and never fails; it must not know where the text comes from.

/// A piece of text with the class of its colour.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// `key`, `string`, `number`, `word`, or empty for the rest.
    pub(crate) class: &'static str,
    pub(crate) text: String,
}

/// A readable text.
#[derive(Debug, Default)]
pub(crate) struct Pretty {
    pub(crate) tokens: Vec<Token>,
    /// The text goes on after the last token.
    pub(crate) cut: bool,
}

/// Characters of one string that are shown; the rest is counted.
const LONGEST_STRING: usize = 2_000;
/// Spaces of indentation at most, so that deep nesting does not push the text off the page.
const DEEPEST: usize = 24;

/// Indents `text` if it looks like JSON. At most about `cap` bytes of it are shown.
pub(crate) fn json(text: &str, cap: usize) -> Pretty {
    let trimmed = text.trim_start();
    if !trimmed.starts_with(['{', '[', '"']) {
        return plain(text, cap);
    }
    let mut printer = Printer::default();
    let mut rest = trimmed;
    while let Some(first) = rest.chars().next() {
        if printer.written > cap {
            printer.pretty.cut = true;
            break;
        }
        rest = printer.take(first, rest);
    }
    printer.flush();
    printer.pretty
}

/// The text as it is, cut after about `cap` bytes.
pub(crate) fn plain(text: &str, cap: usize) -> Pretty {
    let end = floor(text, cap);
    let (shown, rest) = text.split_at(end);
    Pretty {
        tokens: vec![Token {
            class: "",
            text: shown.to_owned(),
        }],
        cut: !rest.is_empty(),
    }
}

#[derive(Default)]
struct Printer {
    pretty: Pretty,
    /// Punctuation and white space not yet made a token.
    pending: String,
    depth: usize,
    written: usize,
}

impl Printer {
    /// Prints what `rest` begins with and gives back what follows it.
    fn take<'a>(&mut self, first: char, rest: &'a str) -> &'a str {
        let after = rest.strip_prefix(first).unwrap_or_default();
        match first {
            '{' | '[' => {
                let closing = if first == '{' { '}' } else { ']' };
                self.pending.push(first);
                if let Some(after_both) = after.trim_start().strip_prefix(closing) {
                    self.pending.push(closing);
                    return after_both;
                }
                self.depth += 1;
                self.break_line();
                after
            }
            '}' | ']' => {
                self.depth = self.depth.saturating_sub(1);
                self.break_line();
                self.pending.push(first);
                after
            }
            ',' => {
                self.pending.push(',');
                self.break_line();
                after
            }
            ':' => {
                self.pending.push_str(": ");
                after
            }
            '"' => self.string(rest),
            _ if first.is_whitespace() => after,
            _ => self.word(rest),
        }
    }

    fn string<'a>(&mut self, rest: &'a str) -> &'a str {
        let end = string_end(rest);
        let (string, after) = rest.split_at(end);
        let is_key = after.trim_start().starts_with(':');
        let shown = floor(string, LONGEST_STRING);
        let mut text = string.get(..shown).unwrap_or_default().to_owned();
        let hidden = string.len() - shown;
        if hidden > 0 {
            text.push_str("… (");
            text.push_str(&super::format::bytes(u64::try_from(hidden).unwrap_or(0)));
            text.push_str(" more)\"");
        }
        self.token(if is_key { "key" } else { "string" }, text);
        after
    }

    fn word<'a>(&mut self, rest: &'a str) -> &'a str {
        let end = rest
            .find(|c: char| {
                c.is_whitespace() || matches!(c, '{' | '}' | '[' | ']' | ',' | ':' | '"')
            })
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let is_number = word.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        let shown = floor(word, LONGEST_STRING);
        let text = word.get(..shown).unwrap_or_default().to_owned();
        self.token(if is_number { "number" } else { "word" }, text);
        after
    }

    fn token(&mut self, class: &'static str, text: String) {
        self.flush();
        self.written += text.len();
        self.pretty.tokens.push(Token { class, text });
    }

    fn break_line(&mut self) {
        self.pending.push('\n');
        let indent = (self.depth * 2).min(DEEPEST);
        self.pending.extend(std::iter::repeat_n(' ', indent));
    }

    fn flush(&mut self) {
        if !self.pending.is_empty() {
            let text = std::mem::take(&mut self.pending);
            self.written += text.len();
            self.pretty.tokens.push(Token { class: "", text });
        }
    }
}

/// Where the string that `text` begins with ends, its quotes included.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The largest place at or before `at` that lies between two characters.
fn floor(text: &str, at: usize) -> usize {
    if at >= text.len() {
        return text.len();
    }
    (0..=at)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pretty: &Pretty) -> String {
        pretty
            .tokens
            .iter()
            .map(|token| token.text.as_str())
            .collect()
    }

    #[test]
    fn json_is_indented() {
        let pretty = json(r#"{"a":[1,-2.5e3,true,null],"b":{},"c":"x\"y"}"#, 10_000);
        insta::assert_snapshot!(text(&pretty), @r#"
        {
          "a": [
            1,
            -2.5e3,
            true,
            null
          ],
          "b": {},
          "c": "x\"y"
        }
        "#);
        let classes: Vec<_> = pretty
            .tokens
            .iter()
            .filter(|token| !token.class.is_empty())
            .map(|token| token.class)
            .collect();
        assert_eq!(
            classes,
            [
                "key", "number", "number", "word", "word", "key", "key", "string"
            ]
        );
    }

    #[test]
    fn what_is_cut_off_is_still_readable() {
        let pretty = json(r#"{"a":{"b":"unfinish"#, 10_000);
        assert_eq!(text(&pretty), "{\n  \"a\": {\n    \"b\": \"unfinish");
    }

    #[test]
    fn long_strings_are_counted_and_long_texts_cut() {
        let long = format!("{{\"a\":\"{}\"}}", "é".repeat(4_000));
        let shown = text(&json(&long, 100_000));
        assert!(shown.contains("… (6.0 KB more)"), "{shown}");
        let many = format!("[{}1]", "1,".repeat(50_000));
        let pretty = json(&many, 1_000);
        assert!(pretty.cut);
        assert!(text(&pretty).len() < 1_200);
    }

    #[test]
    fn no_json_is_left_alone() {
        assert_eq!(text(&json("not json at all", 100)), "not json at all");
        assert!(json("ééé", 3).cut);
    }

    #[test]
    fn any_text_is_survived() {
        use proptest::prelude::proptest;
        proptest!(|(text in "[\\[\\]{}:,\"\\\\a1é \n-]{0,60}", cap in 0_usize..80)| {
            let _ = json(&text, cap);
            let _ = json(&format!("[{text}"), cap);
        });
    }
}
