//! The upstream's `reasoning_details`, put together from pieces, and the signatures that carry them to the client.
//!
//! Pieces are merged by type and id, else by type and index; never by index alone, because a summary and an encrypted
//! entry may share one. What a closed thinking block carries is sealed: later pieces make new entries, except a
//! signature that comes late, which makes its entry be carried again, whole.
//! This file must not know how blocks are written.

use serde_json::Value;

use crate::protocol::openrouter::chunk::ReasoningPiece;
use crate::protocol::translate::envelope::{Detail, Envelope, Shown};

/// What the entries of one answer may hold in bytes, and how many there may be, for each piece is compared with them; beyond
/// it they are given up, and the answer goes on without them.
const LARGEST: usize = 4 << 20;
const MOST: usize = 1_024;
const TEXT: &str = "reasoning.text";
const SUMMARY: &str = "reasoning.summary";
const ENCRYPTED: &str = "reasoning.encrypted";
const CLAUDE: &str = "anthropic-claude-v1";
const GEMINI: &str = "google-gemini-v1";

/// The entries of one answer.
#[derive(Debug, Default)]
pub(super) struct Details {
    entries: Vec<Entry>,
    size: usize,
    given_up: bool,
}

#[derive(Debug)]
struct Entry {
    detail: Detail,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No block has carried it.
    Open,
    /// A block has carried it, or left it out because its signature was missing.
    Sealed,
    /// Left out of its block; its signature came afterwards.
    Late,
}

impl Details {
    /// Adds a piece, whose text or summary is `text`.
    pub(super) fn merge(&mut self, piece: &ReasoningPiece<'_>, text: &str) {
        if self.given_up || !matches!(piece.kind.as_str(), TEXT | SUMMARY | ENCRYPTED) {
            return;
        }
        let data = piece.data.as_str();
        let rest = piece.rest.iter();
        let rest = rest
            .map(|(name, value)| name.as_str().len() + value.map_or(0, |value| value.get().len()));
        self.size += text.len() + data.len() + piece.signature.as_str().len() + rest.sum::<usize>();
        if self.size > LARGEST || self.entries.len() > MOST {
            self.given_up = true;
            self.entries.clear();
            return;
        }
        if text.is_empty() && data.is_empty() && self.sign_late(piece) {
            return;
        }
        let index = index_of(piece);
        match self.place_of(piece, index) {
            Some(detail) => join(detail, piece, text),
            None => {
                let mut detail = Detail {
                    kind: piece.kind.as_str().to_owned(),
                    ..Detail::default()
                };
                join(&mut detail, piece, text);
                self.entries.push(Entry {
                    detail,
                    state: State::Open,
                });
            }
        }
    }

    /// Whether a piece begins a new thought of Claude's after a signed one, which must not share its block.
    pub(super) fn begins_after_signed(&self, piece: &ReasoningPiece<'_>) -> bool {
        let Some(last) = self
            .entries
            .iter()
            .rfind(|entry| entry.state == State::Open)
        else {
            return false;
        };
        last.detail.signature.is_some()
            && piece.kind.as_str() == TEXT
            && piece.text.is_some()
            && !matches_piece(&last.detail, piece, index_of(piece))
    }

    /// Whether there is something that no block has carried and that is worth carrying.
    pub(super) fn has_unsent(&self) -> bool {
        self.entries.iter().any(Entry::is_worth_sending)
    }

    /// Whether they grew beyond all measure and were dropped.
    pub(super) fn were_given_up(&self) -> bool {
        self.given_up
    }

    /// A call went out, perhaps under another id than its upstream's: entries that name it follow.
    pub(super) fn follow_call(&mut self, upstream_id: &str, id: &str) {
        for entry in &mut self.entries {
            if entry.state != State::Sealed && entry.detail.id.as_deref() == Some(upstream_id) {
                entry.detail.id = Some(id.to_owned());
            }
        }
    }

    /// Makes the signature of a block that shows `shown` and carries everything that is not sealed.
    /// `hidden` is thinking that the block does not show and that came without details.
    pub(super) fn seal(&mut self, model: &str, shown: Shown, hidden: String) -> String {
        let mut carried: Vec<Detail> = Vec::new();
        for entry in &mut self.entries {
            if entry.is_worth_sending() {
                let kept = entry.without_text();
                carried.push(std::mem::replace(&mut entry.detail, kept));
            }
            entry.state = State::Sealed;
        }
        let told = Shown::of(carried.iter().filter_map(text_of));
        if let [only] = carried.as_slice()
            && only.format.as_deref() == Some(CLAUDE)
            && only.kind == TEXT
            && told == shown
            && only.rest.values().all(Value::is_null)
            && let Some(signature) = &only.signature
        {
            return signature.clone();
        }
        if told == shown {
            for detail in &mut carried {
                let text = detail.text.take().or_else(|| detail.summary.take());
                detail.visible = text.map(|text| text.len());
            }
        }
        Envelope::new(model, shown, hidden, carried).pack()
    }

    /// A piece that only signs: finds the sealed entry that was left out for lack of a signature.
    fn sign_late(&mut self, piece: &ReasoningPiece<'_>) -> bool {
        let Some(signature) = piece.signature.filled() else {
            return false;
        };
        let index = index_of(piece);
        let matching = |entry: &&mut Entry| matches_piece(&entry.detail, piece, index);
        let Some(entry) = self.entries.iter_mut().rev().find(matching) else {
            return false;
        };
        if entry.state != State::Sealed {
            return false;
        }
        // What was carried is remembered without its text; what still has one was left out.
        if entry.detail.text.is_some() {
            entry.detail.signature = Some(signature.to_owned());
            entry.state = State::Late;
        }
        true
    }

    fn place_of(&mut self, piece: &ReasoningPiece<'_>, index: Option<i64>) -> Option<&mut Detail> {
        let open = || {
            self.entries
                .iter()
                .enumerate()
                .rev()
                .filter(|(_, entry)| entry.state == State::Open)
        };
        let same = open().find(|(_, entry)| matches_piece(&entry.detail, piece, index));
        let adopting = || {
            open().find(|(_, entry)| {
                let detail = &entry.detail;
                detail.id.is_none() && detail.kind == piece.kind.as_str() && detail.index == index
            })
        };
        let (place, _) = same.or_else(adopting)?;
        self.entries.get_mut(place).map(|entry| &mut entry.detail)
    }
}

impl Entry {
    /// Whether an upstream would take it back.
    fn is_worth_sending(&self) -> bool {
        let detail = &self.detail;
        if self.state == State::Sealed {
            return false;
        }
        match detail.kind.as_str() {
            ENCRYPTED => detail
                .data
                .as_deref()
                .is_some_and(|data| !data.is_empty() && data != "[REDACTED]"),
            TEXT if matches!(detail.format.as_deref(), Some(CLAUDE | GEMINI)) => {
                detail.signature.is_some()
            }
            _ => text_of(detail).is_some_and(|text| !text.is_empty()) || detail.signature.is_some(),
        }
    }

    /// What is remembered of an entry that was carried: enough to know its pieces again.
    fn without_text(&self) -> Detail {
        Detail {
            kind: self.detail.kind.clone(),
            id: self.detail.id.clone(),
            index: self.detail.index,
            ..Detail::default()
        }
    }
}

fn matches_piece(detail: &Detail, piece: &ReasoningPiece<'_>, index: Option<i64>) -> bool {
    if detail.kind != piece.kind.as_str() {
        return false;
    }
    match piece.id.filled() {
        Some(id) => detail.id.as_deref() == Some(id),
        None => detail.index == index,
    }
}

fn join(detail: &mut Detail, piece: &ReasoningPiece<'_>, text: &str) {
    match detail.kind.as_str() {
        SUMMARY => detail.summary.get_or_insert_default().push_str(text),
        TEXT => detail.text.get_or_insert_default().push_str(text),
        _ => {}
    }
    if let Some(data) = piece.data.filled()
        && detail.data.as_deref() != Some(data)
    {
        detail.data.get_or_insert_default().push_str(data);
    }
    for (name, value) in &piece.rest {
        let value = value.and_then(|value| serde_json::from_str(value.get()).ok());
        detail
            .rest
            .insert(name.as_str().to_owned(), value.unwrap_or_default());
    }
    for (field, value) in [
        (&mut detail.signature, piece.signature.filled()),
        (&mut detail.format, piece.format.filled()),
        (&mut detail.id, piece.id.filled()),
    ] {
        if let Some(value) = value
            && field.as_deref() != Some(value)
        {
            *field = Some(value.to_owned());
        }
    }
    detail.index = detail.index.or_else(|| index_of(piece));
    if !detail.rest.is_empty() {
        forget_what_came(detail);
    }
}

/// A field that was `null` in one piece and says something in another is no longer `null`.
fn forget_what_came(detail: &mut Detail) {
    let Detail {
        text,
        summary,
        data,
        signature,
        id,
        format,
        index,
        rest,
        ..
    } = detail;
    for (name, came) in [
        ("type", true),
        ("text", text.is_some()),
        ("summary", summary.is_some()),
        ("data", data.is_some()),
        ("signature", signature.is_some()),
        ("id", id.is_some()),
        ("format", format.is_some()),
        ("index", index.is_some()),
    ] {
        if came {
            rest.shift_remove(name);
        }
    }
}

fn text_of(detail: &Detail) -> Option<&str> {
    detail.text.as_deref().or(detail.summary.as_deref())
}

fn index_of(piece: &ReasoningPiece<'_>) -> Option<i64> {
    piece.index.and_then(|index| index.get().parse().ok())
}

#[cfg(test)]
mod tests;
