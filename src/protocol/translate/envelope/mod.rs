//! The envelope: how an upstream's reasoning travels through a client that only knows thinking blocks.
//!
//! Anthropic's history can carry a thinking text and an opaque `signature`; OpenRouter wants its `reasoning_details`
//! back unmodified. Dagway therefore writes them into the signature it gives out,
//! `dgw1.` + base64url(CRC-32, length, LZ4(JSON)), and unpacks them when the client sends the block back, which it does
//! in every later turn. (LZ4 and not zlib, whose tables cost more to set up than all the rest of a short reply.)
//! Text that the client sees in the block is not packed a second time; its length and checksum are, so that a
//! shortened text is noticed.
//! A genuine Claude signature is never wrapped when the block shows exactly the signed text.
//! What comes back was written by a client and is hostile: a [`Budget`] bounds what the envelopes of one request become
//! in memory, and garbage is [`Unpacked::Foreign`].
//! This folder must not know how details are merged from a stream nor how they are attached to a request.
//!
//! | file | what |
//! | --- | --- |
//! | `detail` | one entry of `reasoning_details` |
//! | `budget` | opening an envelope, and what all of a request may become |
//! | `vendor` | which models read which dialect |

mod budget;
mod detail;
mod vendor;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

pub use budget::Budget;
pub use detail::{Detail, Sent};
use vendor::{vendor_of_format, vendor_of_model, without_variant};

/// How every signature of ours begins; the digit is the version of what follows.
pub(crate) const PREFIX: &str = "dgw1.";
/// Bytes before the compressed JSON: its checksum and its length.
const HEAD: usize = 8;

/// What a signature of ours says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The model that reasoned, as it was asked of the upstream.
    #[serde(rename = "m")]
    model: String,
    /// The length of the text that the block showed, in bytes.
    #[serde(rename = "n", default, skip_serializing_if = "is_zero")]
    visible_len: usize,
    /// Its CRC-32.
    #[serde(rename = "h", default, skip_serializing_if = "is_zero_sum")]
    visible_sum: u32,
    /// The thinking text, when it was neither shown nor part of a detail.
    #[serde(rename = "t", default, skip_serializing_if = "String::is_empty")]
    hidden: String,
    /// The entries, without the text that the block showed.
    #[serde(rename = "d", default, skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail>,
}

/// What a thinking block's signature turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unpacked {
    /// One of ours.
    Details(Envelope),
    /// It looks like Anthropic's own: it goes back as the signature of a `reasoning.text` with the block's text.
    Native,
    /// Another program's, or a damaged one of ours: worthless to every upstream.
    Foreign,
    /// No signature.
    Empty,
}

/// What is to be sent back upstream for one thinking block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The entries, complete again; empty when the upstream sent its reasoning as plain text only.
    pub details: Vec<Detail>,
    /// The thinking as plain text, for models that want `reasoning` back.
    pub text: String,
}

/// The text that a thinking block shows, told by length and checksum so that a stream need not keep it.
#[derive(Debug, Default)]
pub struct Shown {
    length: usize,
    checksum: flate2::Crc,
}

impl Shown {
    /// The pieces of a text.
    pub fn of<'t>(pieces: impl IntoIterator<Item = &'t str>) -> Self {
        let mut shown = Self::default();
        for piece in pieces {
            shown.add(piece);
        }
        shown
    }

    /// Another piece was shown.
    pub fn add(&mut self, piece: &str) {
        self.length += piece.len();
        self.checksum.update(piece.as_bytes());
    }
}

impl From<&str> for Shown {
    fn from(text: &str) -> Self {
        Self::of([text])
    }
}

impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length && self.checksum.sum() == other.checksum.sum()
    }
}

impl Envelope {
    /// An envelope around `details` for a block that shows a text; entries whose `visible` is set take that many
    /// bytes of it, in order. `hidden` is text that is found nowhere else.
    #[must_use]
    pub fn new(model: &str, shown: impl Into<Shown>, hidden: String, details: Vec<Detail>) -> Self {
        let shown = shown.into();
        Self {
            model: model.to_owned(),
            visible_len: shown.length,
            visible_sum: shown.checksum.sum(),
            hidden,
            details,
        }
    }

    /// Packs it into the form that a signature takes.
    #[must_use]
    pub fn pack(&self) -> String {
        let json = serde_json::to_vec(self).expect("strings and numbers serialize");
        let mut packed = Vec::with_capacity(HEAD + json.len());
        packed.extend_from_slice(&checksum(&json).to_le_bytes());
        packed.extend_from_slice(&(json.len() as u32).to_le_bytes());
        packed.extend_from_slice(&lz4_flex::block::compress(&json));
        let mut signature = String::with_capacity(PREFIX.len() + packed.len() * 4 / 3 + 3);
        signature.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(packed, &mut signature);
        signature
    }

    /// Whether an upstream model can read these details: any model of the vendor whose dialect they are in,
    /// otherwise only the model that wrote them.
    #[must_use]
    pub fn fits(&self, target_model: &str) -> bool {
        let dialect = self.details.iter().find_map(|d| d.format.as_deref());
        match dialect.and_then(vendor_of_format) {
            Some(vendor) => vendor_of_model(target_model) == vendor,
            None => without_variant(target_model) == without_variant(&self.model),
        }
    }

    /// The same envelope without what it holds, which [`restore`](Self::restore) takes; it fits the same models.
    #[must_use]
    pub fn emptied(&self) -> Self {
        let dialect = self.details.iter().find_map(|d| d.format.clone());
        let detail = dialect.map(|format| Detail {
            format: Some(format),
            ..Detail::default()
        });
        Self {
            model: self.model.clone(),
            visible_len: self.visible_len,
            visible_sum: self.visible_sum,
            hidden: String::new(),
            details: detail.into_iter().collect(),
        }
    }

    /// Makes the details whole again with the text of the block they came back in.
    /// `None` when that text is not the one they were packed with.
    #[must_use]
    pub fn restore(self, thinking: &str) -> Option<Restored> {
        let shown = Shown::from(thinking);
        if shown.length != self.visible_len || shown.checksum.sum() != self.visible_sum {
            return None;
        }
        let mut rest = thinking;
        let mut details = self.details;
        for detail in &mut details {
            if let Some(length) = detail.visible.take() {
                let (own, after) = rest.split_at_checked(length)?;
                rest = after;
                if detail.kind == "reasoning.summary" {
                    detail.summary = Some(own.to_owned());
                } else {
                    detail.text = Some(own.to_owned());
                }
            }
        }
        let text = plain_text(thinking, self.hidden, &details);
        Some(Restored { details, text })
    }
}

fn plain_text(thinking: &str, hidden: String, details: &[Detail]) -> String {
    if !thinking.is_empty() {
        return thinking.to_owned();
    }
    if !hidden.is_empty() {
        return hidden;
    }
    details
        .iter()
        .filter_map(|detail| detail.text.as_deref().or(detail.summary.as_deref()))
        .collect()
}

/// Tells what a signature is that came alone.
#[cfg(test)]
pub fn unpack(signature: &str) -> Unpacked {
    Budget::default().unpack(signature)
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero_sum(n: &u32) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests;
