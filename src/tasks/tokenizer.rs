//! Tokens of a text of any length, by OpenAI's `o200k` vocabulary.
//!
//! Its pattern is matched with backtracking, which a million blanks in a row overflow, and a word of megabytes is merged
//! for seconds. So a text is cut before it is encoded: where the pattern ends a match anyway, which changes no count,
//! and inside runs that no ordinary text has. It must not know what is counted, nor for whom.

/// How texts are cut, in bytes.
#[derive(Clone, Copy)]
struct Limits {
    /// A piece ends at the last boundary before this length.
    piece: usize,
    /// A run longer than this is cut wherever it is.
    run: usize,
}

const LIMITS: Limits = Limits {
    piece: 16 << 10,
    run: 8 << 10,
};

/// Counts the tokens of `text`; `None` as soon as nobody wants to know any more.
pub(super) fn count(text: &str, is_wanted: impl Fn() -> bool) -> Option<usize> {
    let tokenizer = tiktoken_rs::o200k_base_singleton();
    let mut tokens = 0;
    for piece in pieces(text, LIMITS) {
        if !is_wanted() {
            return None;
        }
        tokens += tokenizer.encode_ordinary(piece).len();
    }
    Some(tokens)
}

fn pieces(text: &str, limits: Limits) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(first_cut(rest, limits));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Where the first piece of `text` ends. No character is looked at more than twice on the way to the last piece.
fn first_cut(text: &str, limits: Limits) -> usize {
    let mut runs = Runs::default();
    let mut boundary = None;
    let mut before = None;
    for (at, character) in text.char_indices() {
        if before.is_some_and(|before| is_boundary(before, character)) {
            boundary = Some(at);
        }
        runs.take(character);
        match boundary {
            Some(boundary) if at >= limits.piece || runs.longest() > limits.run => return boundary,
            None if at > 0 && runs.longest() > limits.run => return at,
            Some(_) | None => before = Some(character),
        }
    }
    text.len()
}

/// Whether the pattern surely ends a match between two characters: no part of it goes on from a letter or digit to
/// anything but letters, marks, digits and the apostrophe of `don't`.
const fn is_boundary(before: char, after: char) -> bool {
    let is_letter_or_digit =
        before.is_ascii_alphanumeric() || matches!(before, '\u{4e00}'..='\u{9fff}');
    is_letter_or_digit && after.is_ascii() && !after.is_ascii_alphanumeric() && after != '\''
}

/// The lengths of the runs that a position stands in. A match of the pattern is made of at most one of each.
#[derive(Default)]
struct Runs {
    blanks: usize,
    others: usize,
    /// Of slashes and line ends, which the pattern lets follow signs in any order.
    line_ends: usize,
}

impl Runs {
    fn take(&mut self, character: char) {
        let length = character.len_utf8();
        let grown = |run: usize, goes_on: bool| if goes_on { run + length } else { 0 };
        let is_blank = character.is_whitespace();
        self.blanks = grown(self.blanks, is_blank);
        self.others = grown(self.others, !is_blank);
        self.line_ends = grown(self.line_ends, matches!(character, '\r' | '\n' | '/'));
    }

    fn longest(&self) -> usize {
        self.blanks.max(self.others).max(self.line_ends)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SMALL: Limits = Limits { piece: 40, run: 24 };

    fn whole(text: &str) -> usize {
        tiktoken_rs::o200k_base_singleton()
            .encode_ordinary(text)
            .len()
    }

    fn cut(text: &str, limits: Limits) -> usize {
        pieces(text, limits).map(whole).sum()
    }

    fn longest_run(text: &str) -> usize {
        let mut runs = Runs::default();
        let lengths = text.chars().map(|character| {
            runs.take(character);
            runs.longest()
        });
        lengths.max().unwrap_or(0)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn a_text_without_long_runs_counts_as_it_would_whole(
            words in prop::collection::vec("[ \n\r\t/]{0,3}[a-zA-Z0-9'_.,:;!?(){}\"/\\-éßя中文。\u{301}\u{93e}]{0,8}", 0..60)
        ) {
            let text = words.concat();
            if longest_run(&text) <= SMALL.run {
                prop_assert_eq!(cut(&text, SMALL), whole(&text));
            }
        }

        #[test]
        fn pieces_are_the_text_and_end(text in "[ \n/a中\u{301}!']{0,400}") {
            let cut: Vec<&str> = pieces(&text, SMALL).collect();
            prop_assert!(cut.iter().all(|piece| !piece.is_empty()));
            prop_assert!(cut.iter().all(|piece| longest_run(piece) <= SMALL.run));
            prop_assert_eq!(cut.concat(), text);
        }
    }

    #[test]
    fn a_long_run_with_boundaries_counts_as_it_would_whole() {
        let text = r#"{"id":12,"path":"/a/b-c","who":"x's"},"#.repeat(40);
        assert!(longest_run(&text) > SMALL.run);
        assert_eq!(cut(&text, Limits { run: 120, ..SMALL }), whole(&text));
    }

    /// The pattern itself gives up at a million.
    #[test]
    fn a_million_blanks_are_counted() {
        for blank in [" ", "\t", "\u{a0}"] {
            let text = format!("x{}y", blank.repeat(1_000_001));
            assert!(
                count(&text, || true).is_some_and(|tokens| tokens > 1_000),
                "{blank:?}"
            );
        }
    }

    #[test]
    fn no_match_of_the_pattern_is_much_longer_than_a_run_may_be() {
        for part in [
            "a", "A", "é", "!", "\u{301}", "!\u{93e}", "/\n", "!/\n/", "\r\n ", "0", "中",
        ] {
            let text = part.repeat(50_000 / part.len());
            for piece in pieces(&text, LIMITS) {
                assert!(longest_run(piece) <= LIMITS.run, "{part:?}");
            }
        }
    }

    #[test]
    fn counting_ends_when_nobody_wants_to_know() {
        let asked = std::cell::Cell::new(0);
        let is_wanted = || asked.replace(asked.get() + 1) < 2;
        assert_eq!(count(&"word ".repeat(100_000), is_wanted), None);
        assert_eq!(asked.get(), 3);
    }
}
