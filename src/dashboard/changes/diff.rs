//! Two requests side by side: what is the same, what is new, what is gone, what became something else.
//!
//! It must not know what a difference means.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use similar::{Algorithm, ChangeTag, DiffOp, TextDiff};

use super::request::{Piece, Place};
use crate::dashboard::format;

/// How long may be looked for the shortest way from one text to another; afterwards a longer one will do.
const LONGEST_SEARCH: Duration = Duration::from_millis(100);
/// Lines that stay the same and are shown around one that does not.
const CONTEXT: usize = 2;
/// Lines of one piece that are shown.
const LINES: usize = 200;
/// Characters of one line that are shown.
const LONGEST_LINE: usize = 2_000;
/// Characters of all pieces together, and a little more; what comes later is counted.
const BUDGET: usize = 120_000;
/// What a line or a piece costs beside its text, so that many empty ones end, too.
const LINE: usize = 20;
/// Pieces that are unfolded at first.
const OPEN: usize = 6;
/// Lines longer than this are compared sentence by sentence.
const LONG_LINE: usize = 200;

/// The way from an earlier request to a later one.
#[derive(Debug, Default)]
pub(super) struct Diff {
    pub(super) groups: Vec<Group>,
    /// Pieces at the beginning that are the same.
    pub(super) same_first: usize,
    /// Differences that are not shown.
    pub(super) left_out: usize,
}

/// Pieces that are the same, or one that is not.
#[derive(Debug)]
pub(super) enum Group {
    Same {
        what: String,
    },
    /// Here ends what a cache of the earlier request can give.
    CacheEnd,
    Other(Box<Difference>),
}

/// A piece that is not the same in both.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) kind: Kind,
    pub(super) label: String,
    pub(super) is_open: bool,
    pub(super) lines: Vec<Line>,
    /// There are more lines than are shown.
    pub(super) cut: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Added,
    Removed,
    Changed,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// A line of a difference, in pieces; those that are stressed make the difference within the line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) sign: Sign,
    pub(super) parts: Vec<(bool, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Plus,
    Minus,
    Same,
    /// Lines between are left out.
    Gap,
}

impl Sign {
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Plus => "plus",
            Self::Minus => "minus",
            Self::Same => "same",
            Self::Gap => "gap",
        }
    }

    pub(super) const fn mark(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "−",
            Self::Same => "",
            Self::Gap => "⋯",
        }
    }
}

/// How many pieces the two have in common at the beginning: what a cache of the earlier one can give.
pub(super) fn same_first(earlier: &[Piece], later: &[Piece]) -> usize {
    let pairs = earlier.iter().zip(later);
    pairs.take_while(|(a, b)| a.key() == b.key()).count()
}

/// How much the two have in common, wherever it stands: bytes of JSON.
pub(super) fn in_common(earlier: &[Piece], later: &[Piece]) -> usize {
    let mut left: HashMap<&str, usize> = HashMap::new();
    for piece in later {
        *left.entry(piece.key()).or_default() += 1;
    }
    let common = earlier.iter().filter(|piece| {
        let left = left.get_mut(piece.key()).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    });
    common.map(Piece::weight).sum()
}

/// Compares them.
pub(super) fn between(earlier: &[Piece], later: &[Piece]) -> Diff {
    let before: Vec<&str> = earlier.iter().map(Piece::key).collect();
    let after: Vec<&str> = later.iter().map(Piece::key).collect();
    let deadline = Instant::now() + LONGEST_SEARCH;
    let ops =
        similar::capture_diff_slices_deadline(Algorithm::Myers, &before, &after, Some(deadline));
    let mut teller = Teller {
        earlier,
        later,
        deadline,
        budget: BUDGET,
        diff: Diff {
            same_first: same_first(earlier, later),
            ..Diff::default()
        },
    };
    let is_same = ops.iter().all(|op| matches!(op, DiffOp::Equal { .. }));
    if teller.diff.same_first == 0 && !is_same {
        teller.diff.groups.push(Group::CacheEnd);
    }
    for (number, op) in ops.into_iter().enumerate() {
        teller.tell(op);
        if number == 0 && teller.diff.same_first > 0 && !is_same {
            teller.diff.groups.push(Group::CacheEnd);
        }
    }
    teller.diff
}

struct Teller<'a> {
    earlier: &'a [Piece],
    later: &'a [Piece],
    deadline: Instant,
    budget: usize,
    diff: Diff,
}

impl Teller<'_> {
    fn tell(&mut self, op: DiffOp) {
        let (before, after) = (op.old_range(), op.new_range());
        if let DiffOp::Equal { .. } = op {
            let what = summary(self.later.get(after).unwrap_or_default());
            self.diff.groups.push(Group::Same { what });
            return;
        }
        let (earlier, later) = (self.earlier, self.later);
        let mut gone = earlier.get(before).unwrap_or_default();
        let mut new = later.get(after).unwrap_or_default();
        // The first that can have become another; what stands before it on either side has not.
        while let Some((a, b)) = pair(gone, new) {
            self.apart(gone.get(..a), new.get(..b));
            if let (Some(a), Some(b)) = (gone.get(a), new.get(b)) {
                self.changed(a, b);
            }
            gone = gone.get(a + 1..).unwrap_or_default();
            new = new.get(b + 1..).unwrap_or_default();
        }
        self.apart(Some(gone), Some(new));
    }

    fn apart(&mut self, gone: Option<&[Piece]>, new: Option<&[Piece]>) {
        for piece in gone.unwrap_or_default() {
            self.whole(Kind::Removed, piece);
        }
        for piece in new.unwrap_or_default() {
            self.whole(Kind::Added, piece);
        }
    }

    /// A piece that only one of them has.
    fn whole(&mut self, kind: Kind, piece: &Piece) {
        let sign = if kind == Kind::Added {
            Sign::Plus
        } else {
            Sign::Minus
        };
        let lines = piece.text.lines().map(|line| Line {
            sign,
            parts: vec![(false, line.to_owned())],
        });
        self.push(kind, piece.label.clone(), lines);
    }

    /// A piece that became another.
    fn changed(&mut self, before: &Piece, after: &Piece) {
        if self.budget == 0 {
            self.diff.left_out += 1;
            return;
        }
        let (old, new) = (sentences(&before.text), sentences(&after.text));
        let diff = TextDiff::configure()
            .deadline(self.deadline)
            .diff_slices(&old, &new);
        let mut lines = Vec::new();
        for (number, hunk) in diff.grouped_ops(CONTEXT).iter().enumerate() {
            let begins = hunk.first().is_some_and(|op| op.old_range().start == 0);
            if number > 0 || !begins {
                lines.push(Line {
                    sign: Sign::Gap,
                    parts: Vec::new(),
                });
            }
            for op in hunk {
                let changes = diff.iter_inline_changes_deadline(op, Some(self.deadline));
                lines.extend(changes.map(|change| {
                    Line {
                        sign: match change.tag() {
                            ChangeTag::Insert => Sign::Plus,
                            ChangeTag::Delete => Sign::Minus,
                            ChangeTag::Equal => Sign::Same,
                        },
                        parts: change
                            .iter_strings_lossy()
                            .map(|(stressed, text)| (stressed, text.into_owned()))
                            .collect(),
                    }
                }));
            }
        }
        self.push(Kind::Changed, after.label.clone(), lines.into_iter());
    }

    fn push(&mut self, kind: Kind, label: String, lines: impl Iterator<Item = Line>) {
        if self.budget == 0 {
            self.diff.left_out += 1;
            return;
        }
        let mut lines = lines.peekable();
        let mut shown = Vec::new();
        while shown.len() < LINES
            && self.budget > 0
            && let Some(line) = lines.next()
        {
            let line = shortened(line);
            let length = line.parts.iter().map(|(_, text)| text.len()).sum::<usize>();
            self.budget = self.budget.saturating_sub(length + LINE);
            shown.push(line);
        }
        self.budget = self.budget.saturating_sub(LINE);
        let others = self.diff.groups.iter();
        let count = others.filter(|group| matches!(group, Group::Other(_)));
        self.diff.groups.push(Group::Other(Box::new(Difference {
            kind,
            label,
            is_open: count.count() < OPEN,
            lines: shown,
            cut: lines.peek().is_some(),
        })));
    }
}

/// The first two pieces that can be one that was changed: the earliest of `new` for the earliest of `gone` that has one.
fn pair(gone: &[Piece], new: &[Piece]) -> Option<(usize, usize)> {
    /// Further apart than this nobody would take them for the same.
    const REACH: usize = 16;
    let mut reach = gone.iter().take(REACH).enumerate();
    reach.find_map(|(at, a)| {
        let there = new.iter().take(REACH).position(|b| a.is_like(b));
        there.map(|there| (at, there))
    })
}

/// The lines of a text, long ones cut after their sentences, so that a word's change is not the whole line's.
fn sentences(text: &str) -> Vec<&str> {
    let lines = text.lines();
    lines
        .flat_map(|line| {
            let pieces = if line.len() > LONG_LINE { ". " } else { "\n" };
            line.split_inclusive(pieces)
        })
        .collect()
}

fn shortened(mut line: Line) -> Line {
    let mut left = LONGEST_LINE;
    for (_, text) in &mut line.parts {
        *text = format::ellipsis(text.trim_end_matches(['\n', '\r']), left.max(1));
        left = left.saturating_sub(text.chars().count());
    }
    line
}

/// What the pieces are, counted: `17 tools, 3 blocks of the system prompt, messages 1 to 14`.
fn summary(pieces: &[Piece]) -> String {
    let count = |place: Place| pieces.iter().filter(|piece| piece.place == place).count();
    let mut parts = Vec::new();
    match count(Place::Tools) {
        0 => {}
        1 => parts.push("1 tool".to_owned()),
        tools => parts.push(format!("{tools} tools")),
    }
    match count(Place::System) {
        0 => {}
        1 => parts.push("1 block of the system prompt".to_owned()),
        blocks => parts.push(format!("{blocks} blocks of the system prompt")),
    }
    let mut numbers = pieces.iter().filter_map(|piece| match piece.place {
        Place::Message(number) => Some(number),
        Place::Tools | Place::System => None,
    });
    if let Some(first) = numbers.next() {
        let last = numbers.next_back().unwrap_or(first);
        parts.push(if first == last {
            format!("message {first}")
        } else {
            format!("messages {first} to {last}")
        });
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::request;
    use super::*;

    fn pieces(body: &Value) -> Vec<Piece> {
        request::read(body.to_string().as_bytes()).unwrap().pieces
    }

    fn told(earlier: &Value, later: &Value) -> String {
        let diff = between(&pieces(earlier), &pieces(later));
        let groups = diff.groups.iter().map(|group| match group {
            Group::Same { what } => format!("= {what}\n"),
            Group::CacheEnd => "--- cache\n".to_owned(),
            Group::Other(other) => {
                let lines = other.lines.iter().map(|line| {
                    let parts = line.parts.iter().map(|(stressed, text)| {
                        if *stressed {
                            format!("[{text}]")
                        } else {
                            text.clone()
                        }
                    });
                    format!("    {} {}\n", line.sign.mark(), parts.collect::<String>())
                });
                let mark = if other.is_open { "open" } else { "shut" };
                let name = other.kind.name();
                format!(
                    "{name} {mark} {}\n{}",
                    other.label,
                    lines.collect::<String>()
                )
            }
        });
        groups.collect()
    }

    fn said(texts: &[&str]) -> Value {
        let messages = texts.iter().zip(0..).map(|(text, number)| {
            let role = if number % 2 == 0 { "user" } else { "assistant" };
            json!({"role": role, "content": text})
        });
        json!({"messages": messages.collect::<Vec<_>>()})
    }

    #[test]
    fn a_turn_that_goes_on_adds_to_the_end() {
        let mut later = said(&["one", "two", "three"]);
        later["tools"] = json!([{"name": "Read"}]);
        let mut earlier = said(&["one"]);
        earlier["tools"] = later["tools"].clone();
        insta::assert_snapshot!(told(&earlier, &later), @r"
        = 1 tool, message 1
        --- cache
        added open message 2, assistant
            + two
        added open message 3, user
            + three
        ");
    }

    #[test]
    fn a_tool_that_changed_is_shown_by_its_lines() {
        let tool =
            |about: &str, more: Value| json!({"name": "Read", "description": about, "x": more});
        let earlier = json!({"tools": [tool("Reads a file.\nNever a folder.", json!(1)), {"name": "Old"}, {"name": "Bash"}], "system": "Be brief."});
        let later = json!({"tools": [tool("Reads a file.\nNever a link.", json!(1)), {"name": "New"}, {"name": "Bash"}], "system": "Be brief."});
        insta::assert_snapshot!(told(&earlier, &later), @r"
        --- cache
        changed open tool Read
            ⋯ 
             description:
               Reads a file.
            −   Never a [folder.]
            +   Never a [link.]
             x: 1
        removed open tool Old
            − name: Old
        added open tool New
            + name: New
        = 1 tool, 1 block of the system prompt
        ");
    }

    #[test]
    fn of_a_long_line_the_sentence_that_changed_is_shown() {
        let text = |word: &str| {
            format!(
                "{}It is {word}. {}",
                "So it goes. ".repeat(20),
                "And so on. ".repeat(20)
            )
        };
        insta::assert_snapshot!(told(&said(&[&text("red")]), &said(&[&text("blue")])), @r"
        --- cache
        changed open message 1, user
            ⋯ 
             So it goes. 
             So it goes. 
            − It is [red.] 
            + It is [blue.] 
             And so on. 
             And so on.
        ");
    }

    #[test]
    fn what_is_shown_has_an_end() {
        let long = "x ".repeat(LONGEST_LINE);
        let lines = format!("{long}\n").repeat(LINES + 1);
        let diff = between(&[], &pieces(&said(&[&lines, &lines])));
        let Some(Group::Other(first)) = diff.groups.get(1) else {
            panic!("{:?}", diff.groups);
        };
        assert!(first.cut && first.lines.len() < LINES);
        assert!(first.lines[0].parts[0].1.chars().count() <= LONGEST_LINE);
        assert_eq!(diff.left_out, 1);
        let short = "x\n".repeat(LINES + 1);
        let diff = between(&pieces(&said(&[&short])), &[]);
        let Some(Group::Other(first)) = diff.groups.get(1) else {
            panic!("{:?}", diff.groups);
        };
        assert!(first.cut && first.lines.len() == LINES);
        assert_eq!(diff.left_out, 0);
    }

    #[test]
    fn only_the_first_differences_are_unfolded() {
        let many: Vec<String> = (0..OPEN + 2).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let told = told(&said(&[]), &said(&many));
        assert_eq!(told.matches("added open").count(), OPEN);
        assert_eq!(told.matches("added shut").count(), 2);
    }

    proptest! {
        #[test]
        fn each_piece_is_told_once(
            earlier in prop::collection::vec("[ab]{1,2}", 0..8),
            later in prop::collection::vec("[ab]{1,2}", 0..8),
        ) {
            let texts = |texts: &[String]| pieces(&said(&texts.iter().map(String::as_str).collect::<Vec<_>>()));
            let (before, after) = (texts(&earlier), texts(&later));
            let diff = between(&before, &after);
            let count = |kind| {
                let others = diff.groups.iter();
                others.filter(|group| matches!(group, Group::Other(other) if other.kind == kind)).count()
            };
            let changed = count(Kind::Changed);
            prop_assert_eq!(
                before.len() - count(Kind::Removed) - changed,
                after.len() - count(Kind::Added) - changed
            );
            let ends = diff.groups.iter().filter(|group| matches!(group, Group::CacheEnd)).count();
            let is_same = earlier == later;
            prop_assert_eq!(is_same, changed + count(Kind::Removed) + count(Kind::Added) == 0);
            prop_assert_eq!(ends, usize::from(!is_same));
            let place = diff.groups.iter().position(|group| matches!(group, Group::CacheEnd));
            prop_assert!(is_same || place == Some(usize::from(diff.same_first > 0)));
        }

        #[test]
        fn a_change_shows_both_texts(before in "[a-c .\n]{0,40}", after in "[a-c .\n]{0,40}") {
            prop_assume!(before != after);
            let diff = between(&pieces(&said(&[&before])), &pieces(&said(&[&after])));
            let Some(Group::Other(change)) = diff.groups.get(1) else {
                panic!("{:?}", diff.groups);
            };
            let side = |text: &str, sign| {
                let told: Vec<String> = change.lines.iter().filter(|line| line.sign == sign)
                    .map(|line| line.parts.iter().map(|(_, text)| text.as_str()).collect())
                    .collect();
                told.iter().all(|line| text.contains(line.as_str()))
            };
            prop_assert!(side(&before, Sign::Minus) && side(&after, Sign::Plus));
        }
    }
}
