//! Thoughts in a client's history that no upstream has signed.
//!
//! The chat lane packs the reasoning of other models into a signature of Dagway's own. When the session goes on with a
//! model of the native lane, these come along, and a server of the Messages API answers a signature that is not its own
//! with a 400, in this turn and all that follow. This file must not know what is packed into them.

use std::ops::Range;

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::protocol::translate::envelope::PREFIX;

/// What stands in a message that would be empty, which the API refuses.
const NOTHING: &str = r#"{"type":"text","text":"(no content)"}"#;

/// Where such thoughts stand in a body, and what stands there instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnThoughts {
    /// The places in bytes, in ascending order, each with what stands there instead.
    pub cuts: Vec<(Range<usize>, &'static str)>,
    /// How many thoughts are in them.
    pub count: usize,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    messages: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, default)]
    signature: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// Finds them. What is no history passes, for the other side to judge.
#[must_use]
pub fn own_thoughts(body: &str) -> OwnThoughts {
    let mut found = OwnThoughts::default();
    // Few bodies hold one, and to look for the word costs next to nothing.
    if memmem::find(body.as_bytes(), PREFIX.as_bytes()).is_none() {
        return found;
    }
    let Ok(Body { messages }) = serde_json::from_str(body) else {
        return found;
    };
    for message in messages {
        if let Ok(Message { content }) = serde_json::from_str(message.get()) {
            let blocks = content.iter().map(|block| Placed {
                place: place(body, block.get()),
                is_own: is_own(block),
            });
            found.leave_out(&blocks.collect::<Vec<_>>());
        }
    }
    found
}

/// A block of a message.
struct Placed {
    place: Range<usize>,
    is_own: bool,
}

impl OwnThoughts {
    /// Cuts such blocks out of a message, with the commas between.
    fn leave_out(&mut self, blocks: &[Placed]) {
        self.count += blocks.iter().filter(|block| block.is_own).count();
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
            return;
        };
        let Some(last_kept) = blocks.iter().rposition(|block| !block.is_own) else {
            self.cuts.push((first.place.start..last.place.end, NOTHING));
            return;
        };
        for pair in blocks[..=last_kept].windows(2) {
            if pair[0].is_own {
                self.cuts
                    .push((pair[0].place.start..pair[1].place.start, ""));
            }
        }
        if last_kept + 1 < blocks.len() {
            self.cuts
                .push((blocks[last_kept].place.end..last.place.end, ""));
        }
    }
}

fn is_own(block: &RawValue) -> bool {
    let Ok(Block { signature, data }) = serde_json::from_str(block.get()) else {
        return false;
    };
    let begins = |text: &RawValue| {
        let text = text.get().strip_prefix('"');
        text.is_some_and(|text| text.starts_with(PREFIX))
    };
    signature.is_some_and(begins) || data.is_some_and(begins)
}

/// Where a part of a body stands in it.
fn place(body: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - body.as_ptr().addr();
    start..start + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content with the cuts made, and how many thoughts that were.
    fn left(content: &str) -> (String, usize) {
        let around = |content: &str| {
            format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":"hi dgw1."}}, {{"role":"assistant","content":{content}}}]}}"#
            )
        };
        let body = around(content);
        let OwnThoughts { cuts, count } = own_thoughts(&body);
        let mut left = body;
        for (place, instead) in cuts.into_iter().rev() {
            left.replace_range(place, instead);
        }
        let (head, tail) = (around("|"), "|");
        let (head, tail) = head.split_once(tail).unwrap();
        let left = left.strip_prefix(head).unwrap().strip_suffix(tail).unwrap();
        (left.to_owned(), count)
    }

    #[test]
    fn thoughts_that_dagway_signed_are_cut_out_and_all_else_stays() {
        const OURS: &str = r#"{"type":"thinking","thinking":"x","signature":"dgw1.AAAA"}"#;
        const HIDDEN: &str = r#"{"type":"redacted_thinking","data":"dgw1.BBBB"}"#;
        const THEIRS: &str = r#"{"type":"thinking","thinking":"dgw1.","signature":"ErUB"}"#;
        const CALL: &str =
            r#"{"type":"tool_use","id":"t","name":"n","input":{"signature":"dgw1."}}"#;
        for (content, expected, count) in [
            (format!("[{OURS},{CALL}]"), format!("[{CALL}]"), 1),
            (
                format!("[ {OURS} , {HIDDEN} , {CALL} ]"),
                format!("[ {CALL} ]"),
                2,
            ),
            (format!("[{CALL},{OURS}]"), format!("[{CALL}]"), 1),
            (
                format!("[{OURS},{CALL},{HIDDEN},{THEIRS},{OURS},{OURS}]"),
                format!("[{CALL},{THEIRS}]"),
                4,
            ),
            (format!("[{OURS},{HIDDEN}]"), format!("[{NOTHING}]"), 2),
            (
                format!("[{THEIRS},{CALL}]"),
                format!("[{THEIRS},{CALL}]"),
                0,
            ),
            (
                r#""dgw1. in a text""#.to_owned(),
                r#""dgw1. in a text""#.to_owned(),
                0,
            ),
            ("[7,null]".to_owned(), "[7,null]".to_owned(), 0),
            ("[]".to_owned(), "[]".to_owned(), 0),
        ] {
            assert_eq!(left(&content), (expected, count), "{content}");
        }
    }

    #[test]
    fn what_is_no_history_passes() {
        for body in ["dgw1.", r#"{"messages":"dgw1."}"#, r#"["dgw1."]"#] {
            assert_eq!(own_thoughts(body), OwnThoughts::default(), "{body}");
        }
    }
}
