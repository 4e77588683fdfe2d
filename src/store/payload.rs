//! The large texts of a run on their way into the journal.
//!
//! The first piece of a text is written at once: a request body, a set of headers. A long one is cut where it
//! repeats from turn to turn ([`RecentBodies`]), of a short one what is new in it is kept ([`Familiar`]). What follows, the
//! pieces of a stream, gathers for a while, so that a stream is not a row for each of its pieces, and an open one holds
//! little memory however long it gets.

use bytes::Bytes;

use super::block::{BlockHash, Intake, Minute};
use super::familiar::Familiar;
use super::journal::{self, Entry, Piece};
use super::recent::RecentBodies;
use crate::events::Timestamp;

/// A first piece up to this length stands in the journal as it is.
const SMALL_TEXT: usize = 4 << 10;
/// A part up to this length is not worth a block.
const SMALL_PART: usize = 256;
/// No block is longer than this, whatever it is.
const LONGEST_PART: usize = 1 << 20;
/// How a text is cut that is not a request body.
const FIXED_PART: usize = 64 << 10;
/// So much of a run's streams gathers before it becomes a part of the run's journal.
pub(crate) const STREAM_PART: usize = 4 << 10;

/// Where the pieces of a run's texts go.
pub(crate) struct Out<'a> {
    /// The run's journal.
    pub(crate) journal: &'a mut Vec<u8>,
    /// The start of the run.
    pub(crate) base: Timestamp,
    /// The present minute.
    pub(crate) used: Minute,
    /// Takes the blocks.
    pub(crate) intake: &'a mut Intake,
    /// The bodies seen last.
    pub(crate) recent: &'a mut RecentBodies,
    /// The short texts seen last.
    pub(crate) familiar: &'a mut Familiar,
}

impl Out<'_> {
    fn write(&mut self, entry: &Entry<'_>) {
        journal::write(self.journal, self.base, entry);
    }

    /// Writes a text that begins like others of its name.
    fn short(&mut self, name: &'static str, text: &[u8]) {
        if !text.is_empty() {
            let piece = self.familiar.piece(name, text, self.used, self.intake);
            journal::write(self.journal, self.base, &Entry::Payload { name, piece });
        }
    }

    /// Writes a long text as blocks; short parts between them stand in the journal.
    fn body(&mut self, name: &'static str, body: &Bytes) {
        let mut parts = self.recent.recognise(name, body);
        let longest = if parts.is_request {
            LONGEST_PART
        } else {
            FIXED_PART
        };
        let mut pieces = Pieces {
            name: Some(name),
            out: self,
        };
        let mut written = 0;
        let mut start = 0;
        for (cut, known) in parts.cuts.iter().zip(&mut parts.hashes) {
            let length = cut.end - start;
            if length > SMALL_PART {
                pieces.here(&body[written..start]);
                written = cut.end;
            }
            if length > longest {
                pieces.long_part(&body.slice(start..cut.end), longest);
            } else if length > SMALL_PART {
                let part = start..cut.end;
                let hash = *known.get_or_insert_with(|| BlockHash::of(&body[part.clone()]));
                pieces.block(hash, length, || body.slice(part));
            }
            start = cut.end;
        }
        pieces.here(&body[written..]);
        self.recent.remember(parts);
    }
}

/// The pieces of one text, which are written in one go: only the first one says whose they are.
struct Pieces<'o, 'a> {
    name: Option<&'static str>,
    out: &'o mut Out<'a>,
}

impl Pieces<'_, '_> {
    fn write(&mut self, piece: Piece<'_>) {
        match self.name.take() {
            Some(name) => self.out.write(&Entry::Payload { name, piece }),
            None => self.out.write(&Entry::More { piece }),
        }
    }

    fn here(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.write(Piece::Here(bytes));
        }
    }

    fn block(&mut self, hash: BlockHash, length: usize, own: impl FnOnce() -> Bytes) {
        self.out.intake.put(hash, self.out.used, own);
        self.write(Piece::Block(hash, length as u64));
    }

    fn long_part(&mut self, part: &Bytes, longest: usize) {
        for chunk in part.chunks(longest) {
            self.block(BlockHash::of(chunk), chunk.len(), || part.slice_ref(chunk));
        }
    }
}

/// A large text of an open run.
#[derive(Debug)]
pub(crate) struct OpenPayload {
    /// Which text.
    pub(crate) name: &'static str,
    /// As they came: to join them in one place that grows would cost more memory than it holds.
    gathered: Vec<Bytes>,
    has_begun: bool,
    /// Bytes left out since the last entry said so, once any were.
    shed: Option<u64>,
}

impl OpenPayload {
    /// A text of which nothing was seen yet.
    pub(crate) const fn new(name: &'static str) -> Self {
        Self {
            name,
            gathered: Vec::new(),
            has_begun: false,
            shed: None,
        }
    }

    /// Whether a part of it was left out.
    pub(crate) const fn is_gone(&self) -> bool {
        self.shed.is_some()
    }

    /// Takes the next piece.
    pub(crate) fn take(&mut self, piece: &Bytes, out: &mut Out<'_>) {
        if self.has_begun {
            self.gathered.push(piece.clone());
        } else if piece.len() <= SMALL_TEXT {
            out.short(self.name, piece);
        } else {
            out.body(self.name, piece);
        }
        self.has_begun = true;
    }

    /// Bytes that wait to be written.
    pub(crate) fn gathered(&self) -> usize {
        self.gathered.iter().map(Bytes::len).sum()
    }

    /// Writes what has gathered.
    pub(crate) fn hand_over(&mut self, out: &mut Out<'_>) {
        let gathered = std::mem::take(&mut self.gathered);
        let name = Some(self.name);
        let mut pieces = Pieces { name, out };
        for piece in &gathered {
            if piece.len() > FIXED_PART {
                pieces.long_part(piece, FIXED_PART);
            } else {
                pieces.here(piece);
            }
        }
    }

    /// Leaves the next piece out, and with it the text: one with a hole is of no use.
    pub(crate) fn shed(&mut self, piece: &Bytes, out: &mut Out<'_>) {
        if self.shed.is_none() {
            self.shed = Some(0);
            let bytes = (self.gathered() + piece.len()) as u64;
            self.gathered = Vec::new();
            let name = self.name;
            out.write(&Entry::Shed { name, bytes });
        } else if let Some(shed) = &mut self.shed {
            *shed += piece.len() as u64;
        }
    }

    /// Writes what is left: the run is over.
    pub(crate) fn close(&mut self, out: &mut Out<'_>) {
        self.hand_over(out);
        if let Some(bytes) = self.shed.filter(|bytes| *bytes > 0) {
            let name = self.name;
            out.write(&Entry::Shed { name, bytes });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::delta;
    use super::*;

    #[derive(Default)]
    struct Shelf {
        journal: Vec<u8>,
        intake: Intake,
        recent: RecentBodies,
        familiar: Familiar,
        blocks: HashMap<BlockHash, Bytes>,
        stored: usize,
    }

    impl Shelf {
        fn with<T>(&mut self, work: impl FnOnce(&mut Out<'_>) -> T) -> T {
            let result = work(&mut Out {
                journal: &mut self.journal,
                base: Timestamp(0),
                used: Minute(0),
                intake: &mut self.intake,
                recent: &mut self.recent,
                familiar: &mut self.familiar,
            });
            for block in self.intake.new.drain(..) {
                self.stored += block.data.len();
                self.blocks.insert(block.hash, block.data);
            }
            result
        }

        /// The text in the journal, and the journal emptied.
        fn text(&mut self) -> Vec<u8> {
            let mut text = Vec::new();
            for entry in journal::read(&self.journal, Timestamp(0)) {
                let (Entry::Payload { piece, .. } | Entry::More { piece }) = entry.unwrap() else {
                    panic!("no piece of a text");
                };
                match piece {
                    Piece::Here(bytes) => text.extend_from_slice(bytes),
                    Piece::Block(hash, length) => {
                        assert_eq!(self.blocks[&hash].len() as u64, length);
                        text.extend_from_slice(&self.blocks[&hash]);
                    }
                    Piece::Like(hash, length, delta) => {
                        let length = usize::try_from(length).unwrap();
                        text.extend(delta::apply(&self.blocks[&hash], delta, length).unwrap());
                    }
                }
            }
            self.stored += self.journal.len();
            self.journal.clear();
            text
        }
    }

    fn store(shelf: &mut Shelf, body: &[u8]) -> Vec<u8> {
        let mut payload = OpenPayload::new("t");
        shelf.with(|out| {
            payload.take(&Bytes::copy_from_slice(body), out);
            payload.close(out);
        });
        shelf.text()
    }

    #[test]
    fn a_stream_comes_back_whole_and_what_was_handed_over_is_not_held() {
        let mut shelf = Shelf::default();
        let mut payload = OpenPayload::new("t");
        let mut sent = Vec::new();
        let lengths = (0..200).map(|n| n * 37 % 1009);
        for length in lengths.chain([30_000, 1, 8192, 0, 5, 3 * FIXED_PART, 7]) {
            let piece: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            sent.extend_from_slice(&piece);
            shelf.with(|out| payload.take(&Bytes::from(piece), out));
            if payload.gathered() >= STREAM_PART {
                shelf.with(|out| payload.hand_over(out));
                assert_eq!((payload.gathered(), payload.gathered.capacity()), (0, 0));
            }
        }
        shelf.with(|out| payload.close(out));
        assert_eq!(shelf.text(), sent);
        assert!(shelf.blocks.values().all(|block| block.len() <= FIXED_PART));
    }

    /// A turn of a coding session as its client sends it: the mark of the cache moves to the last message.
    fn turn(messages: usize) -> String {
        let tools: Vec<String> = (0..20)
            .map(|tool| format!(r#"{{"name":"tool{tool}","about":"{}"}}"#, "t".repeat(2000)))
            .collect();
        let messages: Vec<String> = (0..messages)
            .map(|message| {
                let mark = if message + 1 == messages {
                    r#","cache_control":{"type":"ephemeral"}"#
                } else {
                    ""
                };
                let text = format!("{message} {}", "m".repeat(900));
                format!(r#"{{"role":"user","content":[{{"type":"text","text":"{text}"{mark}}}]}}"#)
            })
            .collect();
        format!(
            r#"{{"model":"m","messages":[{}],"system":[{{"text":"turn {}"}},{{"text":"{}"}}],"tools":[{}],"stream":true}}"#,
            messages.join(","),
            messages.len(),
            "s".repeat(20_000),
            tools.join(",")
        )
    }

    #[test]
    fn a_session_of_100_turns_stores_each_message_once() {
        let mut shelf = Shelf::default();
        let mut sum = 0;
        for number in 1..=100 {
            let body = turn(2 * number);
            sum += body.len();
            assert!(store(&mut shelf, body.as_bytes()) == body.as_bytes());
        }
        // Uncompressed, the new messages twice (with the mark and without), and the lists of hashes.
        let longest = turn(200).len();
        assert!(sum > 60 * longest);
        assert!(
            shelf.stored < 4 * longest,
            "{} bytes stored of {sum}, the longest turn has {longest}",
            shelf.stored
        );
    }

    #[test]
    fn no_block_is_too_long_and_what_is_no_request_is_cut_all_the_same() {
        let image = serde_json::json!({"messages": [{"content": "A".repeat(3 << 20)}]}).to_string();
        for (body, longest) in [(image, LONGEST_PART), ("x".repeat(300_000), FIXED_PART)] {
            let mut shelf = Shelf::default();
            assert!(store(&mut shelf, body.as_bytes()) == body.as_bytes());
            assert!(shelf.blocks.values().all(|block| block.len() <= longest));
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(48))]
        #[test]
        fn any_body_comes_back_byte_for_byte(body in proptest::collection::vec(proptest::num::u8::ANY, 0..9000)) {
            let mut shelf = Shelf::default();
            proptest::prop_assert_eq!(store(&mut shelf, &body), body);
        }

        #[test]
        fn any_request_comes_back_byte_for_byte(
            messages in proptest::collection::vec(r#"["\\\[\]{}a-z ,]{0,400}"#, 0..8),
            pretty in proptest::bool::ANY,
        ) {
            let list: Vec<_> = messages
                .iter()
                .map(|text| serde_json::json!({"content": [{"text": text}, {"text": "x".repeat(5000)}]}))
                .collect();
            let request = serde_json::json!({"messages": list, "tools": messages, "system": messages});
            let body = if pretty { format!("{request:#}") } else { request.to_string() };
            let mut shelf = Shelf::default();
            proptest::prop_assert_eq!(store(&mut shelf, body.as_bytes()), body.into_bytes());
        }
    }
}
