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
//! This file must not know how details are merged from a stream nor how they are attached to a request.

use std::slice;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

/// How every signature of ours begins; the digit is the version of what follows.
pub(crate) const PREFIX: &str = "dgw1.";
/// What the envelopes of one request may inflate to together.
const LONGEST_INFLATED: usize = 16 << 20;
/// How many details one envelope may hold; one that says nothing takes four bytes of JSON and hundreds in memory.
const MOST_DETAILS: usize = 4096;
/// How many [`Parts`] the envelopes of one request may hold together.
const MOST_PARTS: usize = 1 << 16;
/// No LZ4 inflates to more than this many times its length.
const MOST_TIMES: usize = 255;
/// Bytes before the compressed JSON: its checksum and its length.
const HEAD: usize = 8;
/// The shortest text that is believed to be a signature of Anthropic's (real ones have hundreds of characters).
const SHORTEST_NATIVE: usize = 16;

/// One entry of `reasoning_details`, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// `reasoning.text`, `reasoning.summary` or `reasoning.encrypted`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The thought, of a `reasoning.text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The summary, of a `reasoning.summary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The opaque payload, of a `reasoning.encrypted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The provider's signature under the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// The provider's id of the entry; Gemini writes the id of the tool call here that the entry belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The dialect, such as `anthropic-claude-v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The provider's index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<i64>,
    /// What else stood in it, fields that are `null` included.
    #[serde(rename = "x", default, skip_serializing_if = "Map::is_empty")]
    pub rest: Map<String, Value>,
    /// Inside an envelope: how many bytes of the block's visible text are this entry's text. Never sent upstream.
    #[serde(rename = "~", default, skip_serializing_if = "Option::is_none")]
    pub visible: Option<usize>,
}

/// A [`Detail`] as the upstream wrote it.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'d>(pub &'d Detail);

impl Serialize for Sent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let detail = self.0;
        let texts = [
            ("text", &detail.text),
            ("summary", &detail.summary),
            ("data", &detail.data),
            ("signature", &detail.signature),
            ("id", &detail.id),
            ("format", &detail.format),
        ];
        let mut fields = serializer.serialize_map(None)?;
        fields.serialize_entry("type", &detail.kind)?;
        for (name, text) in texts {
            if let Some(text) = text {
                fields.serialize_entry(name, text)?;
            }
        }
        if let Some(index) = detail.index {
            fields.serialize_entry("index", &index)?;
        }
        for (name, value) in &detail.rest {
            fields.serialize_entry(name, value)?;
        }
        fields.end()
    }
}

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

/// What the envelopes of one request may still become together; one that is too large for it is foreign.
#[derive(Debug)]
pub struct Budget {
    bytes: usize,
    parts: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            bytes: LONGEST_INFLATED,
            parts: MOST_PARTS,
        }
    }
}

impl Budget {
    /// Tells what the signature of a thinking block is.
    #[must_use]
    pub fn unpack(&mut self, signature: &str) -> Unpacked {
        let signature = signature.trim();
        if signature.is_empty() {
            return Unpacked::Empty;
        }
        if let Some(packed) = signature.strip_prefix(PREFIX) {
            let opened = self.opened(packed);
            return opened.map_or(Unpacked::Foreign, Unpacked::Details);
        }
        if looks_native(signature) {
            Unpacked::Native
        } else {
            Unpacked::Foreign
        }
    }

    /// What is inflated in vain counts too, because it took the time.
    fn opened(&mut self, signature: &str) -> Option<Envelope> {
        let packed = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let (sum, rest) = packed.split_first_chunk()?;
        let (length, compressed) = rest.split_first_chunk()?;
        let length = u32::from_le_bytes(*length) as usize;
        if length / MOST_TIMES > compressed.len() {
            return None;
        }
        self.bytes = self.bytes.checked_sub(length)?;
        let json = lz4_flex::block::decompress(compressed, length).ok()?;
        if json.len() != length || checksum(&json) != u32::from_le_bytes(*sum) {
            return None;
        }
        let parts = Parts::of(&json);
        if parts.details > MOST_DETAILS {
            return None;
        }
        self.parts = self.parts.checked_sub(parts.details + parts.values)?;
        serde_json::from_slice(&json).ok()
    }
}

/// Tells what a signature is that came alone.
#[cfg(test)]
pub fn unpack(signature: &str) -> Unpacked {
    Budget::default().unpack(signature)
}

/// What takes more of the memory than of the JSON of an envelope.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parts {
    details: usize,
    /// What stands in details besides their own fields, about; never less.
    values: usize,
}

impl Parts {
    /// How deep the list of details is.
    const LIST: usize = 2;

    /// Counts them before anything is made of them. A detail may be written as an array too.
    /// The count is right up to the first fault of the JSON, where reading it ends.
    fn of(json: &[u8]) -> Self {
        let mut parts = Self::default();
        let mut depth: usize = 0;
        let mut bytes = json.iter();
        while let Some(&byte) = bytes.next() {
            match byte {
                b'"' => skip_string(&mut bytes),
                b'{' | b'[' => {
                    parts.details += usize::from(depth == Self::LIST);
                    parts.values += usize::from(depth > Self::LIST);
                    depth += 1;
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                b',' => parts.values += usize::from(depth > Self::LIST + 1),
                _ => {}
            }
        }
        parts
    }
}

/// Goes behind the quote that ends a string.
fn skip_string(bytes: &mut slice::Iter<'_, u8>) {
    while let Some(at) = memchr::memchr2(b'"', b'\\', bytes.as_slice()) {
        if bytes.nth(at) == Some(&b'"') {
            return;
        }
        bytes.next();
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// The digits of base64; a table, because a conversation brings hundreds of signatures back with every turn.
const BASE64: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        byte += 1;
    }
    table
};

/// Base64 and no mere number: at least one proxy signs with the time of day.
fn looks_native(signature: &str) -> bool {
    let bytes = signature.as_bytes();
    let is_base64 = bytes
        .iter()
        .fold(true, |all, &byte| all & BASE64[usize::from(byte)]);
    bytes.len() >= SHORTEST_NATIVE && is_base64 && !bytes.iter().all(u8::is_ascii_digit)
}

fn vendor_of_format(format: &str) -> Option<&'static str> {
    let vendor = match format {
        "anthropic-claude-v1" => "anthropic",
        "google-gemini-v1" => "google",
        "openai-responses-v1" | "azure-openai-responses-v1" | "bedrock-openai-responses-v1" => {
            "openai"
        }
        "xai-responses-v1" | "bedrock-xai-responses-v1" => "x-ai",
        "meta-responses-v1" => "meta",
        _ => return None,
    };
    Some(vendor)
}

fn vendor_of_model(model: &str) -> &str {
    let vendor = model.split_once('/').map_or("", |(vendor, _)| vendor);
    match vendor.strip_prefix('~').unwrap_or(vendor) {
        "meta-llama" => "meta",
        vendor => vendor,
    }
}

/// `vendor/model` without `:free`, `:nitro` and the like and without a preset.
fn without_variant(model: &str) -> &str {
    let end = model.find([':', '@']).unwrap_or(model.len());
    model.get(..end).unwrap_or(model)
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn summary(text: &str) -> Detail {
        Detail {
            kind: "reasoning.summary".to_owned(),
            visible: Some(text.len()),
            format: Some("openai-responses-v1".to_owned()),
            index: Some(0),
            ..Detail::default()
        }
    }

    fn encrypted() -> Detail {
        Detail {
            kind: "reasoning.encrypted".to_owned(),
            data: Some("gAAAA+/=".to_owned()),
            id: Some("rs_1".to_owned()),
            format: Some("openai-responses-v1".to_owned()),
            index: Some(0),
            ..Detail::default()
        }
    }

    fn reopened(envelope: &Envelope) -> Envelope {
        match unpack(&envelope.pack()) {
            Unpacked::Details(envelope) => envelope,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn visible_text_is_given_back_to_the_entries_it_came_from() {
        let details = vec![summary("Grüße. "), summary("Then"), encrypted()];
        let envelope = Envelope::new("openai/gpt-5", "Grüße. Then", String::new(), details);
        let restored = reopened(&envelope).restore("Grüße. Then").unwrap();
        assert_eq!(restored.details[0].summary.as_deref(), Some("Grüße. "));
        assert_eq!(restored.details[1].summary.as_deref(), Some("Then"));
        assert_eq!(restored.details[2], encrypted());
        assert_eq!(restored.text, "Grüße. Then");
    }

    #[test]
    fn a_text_is_the_same_however_it_was_shown() {
        let shown = Shown::of(["ab", "", "c"]);
        assert_eq!(shown, Shown::from("abc"));
        assert_eq!(shown.length, 3);
        assert_ne!(shown, Shown::from("abd"));
    }

    #[test]
    fn the_format_of_an_entry_names_its_vendor() {
        for (format, vendor) in [
            ("anthropic-claude-v1", Some("anthropic")),
            ("google-gemini-v1", Some("google")),
            ("openai-responses-v1", Some("openai")),
            ("azure-openai-responses-v1", Some("openai")),
            ("bedrock-openai-responses-v1", Some("openai")),
            ("xai-responses-v1", Some("x-ai")),
            ("bedrock-xai-responses-v1", Some("x-ai")),
            ("meta-responses-v1", Some("meta")),
            ("unknown", None),
        ] {
            assert_eq!(vendor_of_format(format), vendor, "{format}");
        }
    }

    #[test]
    fn a_shortened_text_is_noticed() {
        let envelope = Envelope::new("a/b", "abc", String::new(), vec![summary("abc")]);
        assert_eq!(reopened(&envelope).restore("ab"), None);
        assert_eq!(reopened(&envelope).restore("abd"), None);
    }

    #[test]
    fn hidden_text_comes_back_as_plain_text() {
        let envelope = Envelope::new("moonshotai/kimi-k2", "", "a thought".to_owned(), vec![]);
        let restored = reopened(&envelope).restore("").unwrap();
        assert_eq!(restored.text, "a thought");
        assert!(restored.details.is_empty());
    }

    #[test]
    fn details_go_to_their_vendor_or_to_their_model_only() {
        let openai = Envelope::new("openai/gpt-5", "", String::new(), vec![encrypted()]);
        assert!(openai.fits("openai/gpt-5.1:nitro"));
        assert!(openai.fits("~openai/gpt-latest"));
        assert!(!openai.fits("anthropic/claude-sonnet-4.5"));
        let plain = Envelope::new("deepseek/deepseek-v3.2", "", String::new(), vec![]);
        assert!(plain.fits("deepseek/deepseek-v3.2:free"));
        assert!(!plain.fits("deepseek/deepseek-r1"));
    }

    #[test]
    fn vendors_are_told_by_the_beginning_of_a_models_id() {
        let of = |format: &str| {
            let detail = Detail {
                format: Some(format.to_owned()),
                ..encrypted()
            };
            Envelope::new("a/b", "", String::new(), vec![detail])
        };
        for (format, model, fits) in [
            ("meta-responses-v1", "meta-llama/llama-5", true),
            ("meta-responses-v1", "meta/muse", true),
            ("xai-responses-v1", "x-ai/grok-4", true),
            ("google-gemini-v1", "~google/gemini-latest", true),
            ("openai-responses-v1", "gpt-5", false),
            ("unknown", "a/b:free", true),
            ("unknown", "a/b@preset/mine", true),
            ("unknown", "a/c", false),
        ] {
            assert_eq!(of(format).fits(model), fits, "{format} {model}");
        }
    }

    #[test]
    fn an_envelope_says_only_what_there_is_to_say() {
        let said = |envelope: &Envelope| serde_json::to_string(envelope).unwrap();
        let empty = Envelope::new("a/b", "", String::new(), vec![]);
        assert_eq!(said(&empty), r#"{"m":"a/b"}"#);
        let full = Envelope::new("a/b", "abc", "t".to_owned(), vec![encrypted()]);
        let full = said(&full);
        for name in ["m", "n", "h", "t", "d"] {
            assert!(full.contains(&format!("\"{name}\":")), "{full}");
        }
        assert!(!full.contains('~') && !full.contains("\"x\""), "{full}");
    }

    #[test]
    fn plain_text_is_what_was_shown_then_what_was_hidden_then_what_the_entries_say() {
        let text = |text: &str| Detail {
            kind: "reasoning.text".to_owned(),
            text: Some(text.to_owned()),
            ..Detail::default()
        };
        let mut said = summary("b");
        said.visible = None;
        said.summary = Some("b".to_owned());
        for (shown, hidden, plain) in [
            ("shown", "hidden", "shown"),
            ("", "hidden", "hidden"),
            ("", "", "ab"),
        ] {
            let details = vec![text("a"), encrypted(), said.clone()];
            let envelope = Envelope::new("a/b", shown, hidden.to_owned(), details);
            assert_eq!(envelope.restore(shown).unwrap().text, plain);
        }
    }

    #[test]
    fn a_signature_of_sixteen_characters_may_be_anthropics() {
        for (signature, expected) in [
            ("abcdefgh+/=01234", Unpacked::Native),
            ("abcdefgh+/=0123", Unpacked::Foreign),
            ("abcdefgh-_=01234", Unpacked::Foreign),
            ("0123456789012345", Unpacked::Foreign),
            (" abcdefgh01234567\n", Unpacked::Native),
        ] {
            assert_eq!(unpack(signature), expected, "{signature}");
        }
    }

    #[test]
    fn signatures_of_others_are_told_apart() {
        assert_eq!(unpack(" "), Unpacked::Empty);
        assert_eq!(unpack("EqQBCgIYAhIM1gbcDa9GJwZA2b3h"), Unpacked::Native);
        for foreign in [
            "1712345678901",
            "1712345678901234567",
            "dgw1.",
            "dgw1.!!",
            "dgw1.AAAA",
            "dgw9.AAAABBBBCCCCDDDD",
        ] {
            assert_eq!(unpack(foreign), Unpacked::Foreign, "{foreign}");
        }
    }

    /// A signature around any JSON, which claims to be of any length.
    fn signed(json: &str, claimed: usize) -> String {
        let json = json.as_bytes();
        let mut packed = checksum(json).to_le_bytes().to_vec();
        packed.extend_from_slice(&(claimed as u32).to_le_bytes());
        packed.extend_from_slice(&lz4_flex::block::compress(json));
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(packed))
    }

    fn with_details(detail: &str, count: usize) -> String {
        let details = vec![detail; count].join(",");
        let json = format!(r#"{{"m":"a/b","d":[{details}]}}"#);
        signed(&json, json.len())
    }

    fn with_hidden(length: usize) -> String {
        Envelope::new("a/b", "", "a".repeat(length), vec![]).pack()
    }

    fn takes(budget: &mut Budget, signature: &str) -> bool {
        matches!(budget.unpack(signature), Unpacked::Details(_))
    }

    #[test]
    fn a_bomb_does_not_go_off() {
        let bomb_of = |length: usize, claimed: usize| {
            signed(&format!("{{\"m\":\"{}\"}}", "a".repeat(length)), claimed)
        };
        let bomb = bomb_of(LONGEST_INFLATED, LONGEST_INFLATED + 8);
        assert!(bomb.len() < LONGEST_INFLATED / 100);
        assert_eq!(unpack(&bomb), Unpacked::Foreign);
        assert_eq!(unpack(&bomb_of(LONGEST_INFLATED, 100)), Unpacked::Foreign);
        assert_eq!(unpack(&bomb_of(10, LONGEST_INFLATED)), Unpacked::Foreign);
        assert!(matches!(unpack(&bomb_of(10, 18)), Unpacked::Details(_)));
        let largest = bomb_of(LONGEST_INFLATED - 8, LONGEST_INFLATED);
        assert!(matches!(unpack(&largest), Unpacked::Details(_)));
    }

    #[test]
    fn more_details_than_anyone_thinks_are_foreign() {
        let tiny = r#"{"type":""}"#;
        for detail in [tiny, r#"[""]"#] {
            let signature = with_details(detail, 100_000);
            assert_eq!(unpack(&signature), Unpacked::Foreign, "{detail}");
        }
        for (count, taken) in [(MOST_DETAILS, true), (MOST_DETAILS + 1, false)] {
            let mut budget = Budget::default();
            assert_eq!(takes(&mut budget, &with_details(tiny, count)), taken);
        }
        for (count, taken) in [(1_000, true), (100_000, false)] {
            let zeros = vec!["0"; count].join(",");
            let detail = format!(r#"{{"type":"","x":{{"a":[{zeros}]}}}}"#);
            let mut budget = Budget::default();
            assert_eq!(takes(&mut budget, &with_details(&detail, 1)), taken);
        }
    }

    #[test]
    fn the_envelopes_of_a_request_share_what_they_may_inflate_to() {
        let mut budget = Budget::default();
        let large = with_hidden(9 << 20);
        assert!(takes(&mut budget, &large));
        assert_eq!(budget.unpack(&large), Unpacked::Foreign);
        assert!(takes(&mut budget, &with_hidden(6 << 20)));
    }

    #[test]
    fn the_envelopes_of_a_request_share_how_many_details_they_may_hold() {
        let mut budget = Budget::default();
        let many = with_details(r#"{"type":""}"#, MOST_DETAILS);
        for _ in 0..MOST_PARTS / MOST_DETAILS {
            assert!(takes(&mut budget, &many));
        }
        assert_eq!(budget.unpack(&many), Unpacked::Foreign);
        assert!(takes(&mut budget, &with_hidden(10)));
    }

    #[test]
    fn an_honest_envelope_is_taken_after_many_others() {
        let mut budget = Budget::default();
        for _ in 0..2_000 {
            assert!(takes(&mut budget, &with_details(r#"{"type":""}"#, 5)));
        }
        for _ in 0..100 {
            assert!(!takes(&mut budget, &signed("{}", LONGEST_INFLATED)));
        }
        let details = vec![summary("Hm."), encrypted()];
        let envelope = Envelope::new("openai/gpt-5", "Hm.", String::new(), details);
        let unpacked = budget.unpack(&envelope.pack());
        assert_eq!(unpacked, Unpacked::Details(envelope));
    }

    #[test]
    fn parts_are_counted_outside_of_texts() {
        for (json, details, values) in [
            (r#"{"m":"a/b"}"#, 0, 0),
            (r#"{"m":"a","n":1,"d":[{"type":"a","id":"b"},["c"]]}"#, 2, 0),
            (r#"{"d":[{"type":"a","x":{"b":null,"c":[1,2]}}]}"#, 1, 4),
            (r#"{"t":"[[[{,\"{[\\","d":[{"type":"{,[\\\"[{"}]}"#, 1, 0),
            (r#"]]}{"d":[{"#, 1, 0),
        ] {
            let parts = Parts { details, values };
            assert_eq!(Parts::of(json.as_bytes()), parts, "{json}");
        }
        let hidden = r#"{[,"\"#.repeat(20_000);
        let envelope = Envelope::new("a/b", "", hidden.clone(), vec![]);
        assert_eq!(reopened(&envelope).restore("").unwrap().text, hidden);
    }

    #[test]
    fn an_emptied_envelope_fits_the_same_models() {
        for details in [vec![], vec![Detail::default(), encrypted()]] {
            let envelope = Envelope::new("a/b", "", "t".to_owned(), details);
            let emptied = envelope.emptied();
            assert!(emptied.hidden.is_empty() && emptied.details.len() <= 1);
            for model in ["openai/gpt-5", "a/b:free", "a/c"] {
                assert_eq!(emptied.fits(model), envelope.fits(model), "{model}");
            }
        }
    }

    #[test]
    fn a_damaged_envelope_is_foreign() {
        let packed = Envelope::new("openai/gpt-5", "", String::new(), vec![encrypted()]).pack();
        for at in PREFIX.len()..packed.len() {
            let mut damaged = packed.clone().into_bytes();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(damaged).unwrap();
            assert_ne!(damaged, packed);
            assert_eq!(unpack(&damaged), Unpacked::Foreign, "damaged at {at}");
        }
    }

    proptest! {
        #[test]
        fn every_envelope_comes_back_as_it_was(texts in prop::collection::vec(".{0,40}", 0..5), data in "[A-Za-z0-9+/=]{0,200}") {
            let visible = texts.concat();
            let mut details: Vec<Detail> = texts.iter().map(|text| summary(text)).collect();
            details.push(Detail { data: Some(data), ..encrypted() });
            let envelope = Envelope::new("openai/gpt-5", visible.as_str(), String::new(), details);
            prop_assert_eq!(&reopened(&envelope), &envelope);
            let restored = envelope.restore(&visible).unwrap();
            let summaries: Vec<&str> = restored.details.iter().filter_map(|d| d.summary.as_deref()).collect();
            prop_assert_eq!(summaries, texts);
        }

        #[test]
        fn garbage_is_never_details(garbage in "\\PC{0,80}") {
            prop_assert!(!matches!(unpack(&garbage), Unpacked::Details(_)));
            let _ = unpack(&format!("{PREFIX}{garbage}"));
        }
    }
}
