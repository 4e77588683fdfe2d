//! Gathers what is wrong with a workflow file, so that its author hears all of it at once.

use std::fmt::Display;

use strsim::levenshtein;

use super::{Name, Span};

/// All that is wrong with a workflow file: sentences that name file, step and cure.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Faults(pub Vec<String>);

/// The faults of one file, found so far.
pub(crate) struct Report<'a> {
    file: &'a str,
    text: &'a str,
    found: Vec<(usize, String)>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        let found = Vec::new();
        Self { file, text, found }
    }

    /// Adds a fault of the text at `span`: a sentence without its full stop.
    pub(crate) fn add(&mut self, span: &Span, sentence: impl Into<String>) {
        let before = self.text.as_bytes().iter().take(span.start);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        self.found.push((line, sentence.into()));
    }

    /// Adds a fault of the step of this name: what is wrong with it.
    pub(crate) fn add_of_step(&mut self, step: &Name, wrong: impl Display) {
        self.add(&step.span(), format!("step `{}` {wrong}", step.get_ref()));
    }

    /// All faults in the order of their lines, or nothing if there are none.
    pub(crate) fn close(mut self) -> Result<(), Faults> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort();
        self.found.dedup();
        let file = self.file;
        let sentence = |(line, sentence)| format!("{file}:{line}: {sentence}.");
        Err(Faults(self.found.into_iter().map(sentence).collect()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

/// ``write `…` if that is what was meant``, when one of `known` is near enough to `written`, else the list of all.
pub(crate) fn suggestion<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.into_iter().collect();
    let nearest = known.iter().min_by_key(|name| levenshtein(written, name));
    match nearest {
        Some(name) if levenshtein(written, name) <= 1 + name.len() / 3 => {
            format!("write `{name}` if that is what was meant")
        }
        Some(_) => format!("the known ones are {}", listed(&known)),
        None => "there are none".to_owned(),
    }
}

/// `` `a`, `b` and `c` ``.
pub(crate) fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let quoted: Vec<_> = names.iter().map(|n| format!("`{}`", n.as_ref())).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_far_from_everything_gets_the_list() {
        let known = ["needs", "after"];
        assert_eq!(
            suggestion("neds", known),
            "write `needs` if that is what was meant"
        );
        assert_eq!(
            suggestion("frequency", known),
            "the known ones are `needs` and `after`"
        );
    }
}
