//! Words for the bodies: the same on every run, with the quotes, line ends and braces that real ones have.

use std::fmt::Write;

const WORDS: [&str; 40] = [
    "the", "file", "that", "names", "a", "step", "is", "read", "before", "any", "test", "runs",
    "and", "its", "path", "must", "stay", "inside", "project", "folder", "when", "command",
    "fails", "look", "at", "last", "lines", "of", "output", "then", "change", "only", "what",
    "was", "asked", "for", "never", "more", "without", "asking",
];

/// A source of text.
#[derive(Debug)]
pub(crate) struct Prose {
    random: fastrand::Rng,
}

impl Prose {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Exactly `length` bytes that JSON writes as they are.
    pub(crate) fn plain(&mut self, length: usize) -> String {
        let mut text = String::with_capacity(length + 16);
        while text.len() < length {
            text.push_str(self.word());
            text.push(' ');
        }
        text.truncate(length);
        text
    }

    /// Sentences with Markdown in them, about `length` bytes.
    pub(crate) fn paragraphs(&mut self, length: usize) -> String {
        let mut text = String::with_capacity(length + 128);
        while text.len() < length {
            for _ in 0..self.random.usize(6..14) {
                text.push_str(self.word());
                text.push(' ');
            }
            text.push_str(match self.random.u8(0..6) {
                0 => "(see `src/lib.rs`).\n",
                1 => "\"as is\".\n\n- ",
                _ => "so.\n",
            });
        }
        text
    }

    /// Lines of a program or of a tool's output, about `length` bytes.
    pub(crate) fn code(&mut self, length: usize) -> String {
        let mut text = String::with_capacity(length + 128);
        while text.len() < length {
            let (name, other) = (self.word(), self.word());
            let line = self.random.u16(1..900);
            let made = match self.random.u8(0..4) {
                0 => writeln!(
                    text,
                    "src/{name}/{other}.rs:{line}:    let {name} = map.get(\"{other}\")?;"
                ),
                1 => writeln!(
                    text,
                    "\tif {name} > {line} {{ return Err(\"{other}\\n\".into()); }}"
                ),
                2 => writeln!(text, "test {name}::{other}_{line} ... ok"),
                _ => writeln!(text, "    {name}({other}, {line});"),
            };
            made.expect("a string takes every text");
        }
        text
    }

    /// Bytes without a pattern.
    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.random.u8(..))
            .take(length)
            .collect()
    }

    fn word(&mut self) -> &'static str {
        let index = self.random.usize(..WORDS.len());
        WORDS.get(index).copied().unwrap_or_default()
    }
}
