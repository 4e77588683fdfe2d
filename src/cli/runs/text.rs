//! Texts of strangers on a terminal: nothing in them is obeyed, and they take the place they are given.
//!
//! Pure text; it must not know where a text comes from.

use std::borrow::Cow;
use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A text as a part of one line: what a terminal would obey is written out, and blanks of every kind are one.
pub(super) fn line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    shown(&words.join(" "), |_| false)
}

/// A text as a name in a table: as [`line()`], and no longer than leaves room for others.
pub(super) fn name(text: &str, places: usize) -> String {
    cut(&line(text), places).into_owned()
}

/// A text of several lines: what a terminal would obey is written out, but for the ends of lines.
pub(super) fn lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\t', "    ");
    shown(&text, |character| character == '\n')
}

fn shown(text: &str, is_kept: impl Fn(char) -> bool) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if is_kept(character) || !is_obeyed(character) {
            clean.push(character);
        } else {
            let _ = write!(clean, "{}", character.escape_unicode());
        }
    }
    clean
}

/// JSON that means the same and holds nothing that a terminal would obey: JSON has such characters in texts alone, where
/// they may be written out. Those below a blank it never has as they are, but between its tokens.
pub(super) fn json(json: &str) -> Cow<'_, str> {
    let is_harmful = |character: char| is_obeyed(character) && !character.is_ascii_whitespace();
    if !json.contains(is_harmful) {
        return Cow::Borrowed(json);
    }
    let mut clean = String::with_capacity(json.len() + 64);
    for character in json.chars() {
        if is_harmful(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(clean, "\\u{unit:04x}");
            }
        } else {
            clean.push(character);
        }
    }
    Cow::Owned(clean)
}

/// Whether a terminal does something else with a character than to show it: control characters, and those that turn or
/// hide what stands beside them.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// How many places of a line a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// At most so many places of a text, with an ellipsis where the rest was.
pub(super) fn cut(text: &str, places: usize) -> Cow<'_, str> {
    if text.width() <= places && text.len() <= longest(places) {
        return Cow::Borrowed(text);
    }
    let mut cut = head(text, places.saturating_sub(1)).to_owned();
    if places > 0 {
        cut.push('…');
    }
    Cow::Owned(cut)
}

/// As much of the beginning of a text as fits.
fn head(text: &str, places: usize) -> &str {
    let mut taken = 0;
    for (at, character) in text.char_indices() {
        taken += character.width().unwrap_or(0);
        if taken > places || at + character.len_utf8() > longest(places) {
            return text.get(..at).unwrap_or(text);
        }
    }
    text
}

/// Bytes that so many places may take: a letter with hundreds of accents is no text.
const fn longest(places: usize) -> usize {
    places.saturating_mul(8)
}

/// A text with blanks behind it until it takes so many places.
pub(super) fn left(text: &str, places: usize) -> String {
    let blanks = places.saturating_sub(width(text));
    format!("{text}{:blanks$}", "")
}

/// A text with blanks before it until it takes so many places.
pub(super) fn right(text: &str, places: usize) -> String {
    let blanks = places.saturating_sub(width(text));
    format!("{:blanks$}{text}", "")
}

/// A text in lines of at most so many places, broken between words where that is possible.
pub(super) fn wrap(text: &str, places: Option<usize>) -> Vec<String> {
    let Some(places) = places.map(|places| places.max(1)) else {
        return text.lines().map(str::to_owned).collect();
    };
    text.lines()
        .flat_map(|line| wrap_line(line, places))
        .collect()
}

fn wrap_line(mut rest: &str, places: usize) -> Vec<String> {
    let mut wrapped = Vec::new();
    loop {
        let fits = head(rest, places);
        if fits.len() == rest.len() {
            wrapped.push(rest.to_owned());
            return wrapped;
        }
        // Where nothing fits, a character must go nevertheless.
        let least = rest.chars().next().map_or(1, char::len_utf8);
        let is_between_words = rest
            .get(fits.len()..)
            .is_some_and(|next| next.starts_with(' '));
        let blank = fits.rfind(' ').filter(|at| *at > 0);
        let end = match blank {
            _ if is_between_words => fits.len(),
            Some(blank) => blank,
            None => fits.len().max(least),
        };
        let (line, next) = rest.split_at(end);
        wrapped.push(line.trim_end().to_owned());
        rest = next.trim_start_matches(' ');
        if rest.is_empty() {
            return wrapped;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_of_a_stranger_is_obeyed() {
        let hostile = "a\u{1b}[2Jb\u{7}\u{9b}31mc\u{202e}d\u{7f}e\u{200b}f\rg\n\n h\t";
        assert_eq!(
            line(hostile),
            "a\\u{1b}[2Jb\\u{7}\\u{9b}31mc\\u{202e}d\\u{7f}e\\u{200b}f g h"
        );
        assert_eq!(lines("a\r\nb\u{1b}\tc\rd"), "a\nb\\u{1b}    c\\u{d}d");
        assert_eq!(line("Grüße 世界 ✓ 12\u{202f}345"), "Grüße 世界 ✓ 12 345");
    }

    #[test]
    fn json_stays_what_it_is() {
        let value = serde_json::json!({ "a\u{9b}": "\u{1b}[2J\u{7f}\u{202e}\u{e0041}é\n" });
        let written = serde_json::to_string_pretty(&value).unwrap();
        let clean = json(&written);
        assert!(clean.chars().all(|c| c == '\n' || !is_obeyed(c)), "{clean}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&clean).unwrap(),
            value
        );
        assert!(matches!(json("{\"a\":\"é\"}\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn wide_characters_take_two_places() {
        assert_eq!(width("世界"), 4);
        assert_eq!(cut("世界你好", 8), "世界你好");
        assert_eq!(cut("世界你好", 6), "世界…");
        assert_eq!(cut("abc", 2), "a…");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(left("世", 4), "世  ");
        assert_eq!(right("abc", 5), "  abc");
        let accents = format!("a{}", "\u{301}".repeat(10_000));
        assert!(cut(&accents, 10).len() < 100);
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("one two three", Some(7)), ["one two", "three"]);
        assert_eq!(wrap("one twothree", Some(6)), ["one", "twothr", "ee"]);
        assert_eq!(wrap("a\n\nb", Some(6)), ["a", "", "b"]);
        assert_eq!(wrap("世界", Some(1)), ["世", "界"]);
        assert_eq!(wrap("\u{17d8}a", Some(2)), ["\u{17d8}", "a"]);
        assert_eq!(wrap("one two three", None), ["one two three"]);
    }

    proptest! {
        #[test]
        fn wrapped_lines_fit_and_lose_no_word(text in "\\PC{0,60}", places in 2_usize..20) {
            let text = line(&text);
            let wrapped = wrap(&text, Some(places));
            for line in &wrapped {
                let takes: usize = line.chars().map(|c| c.width().unwrap_or(0)).sum();
                // A character that is wider than the line stands alone.
                prop_assert!(takes <= places || line.chars().count() == 1, "{line}");
            }
            let bare = |text: &str| text.replace(' ', "");
            prop_assert_eq!(bare(&wrapped.concat()), bare(&text));
        }
    }
}
