//! Short texts that come again nearly as they were: headers, previews, requests and answers of the same kind.
//!
//! The last few of each name are remembered. When one comes that is much like one of them, that one becomes a block and
//! the new one is kept as its difference: a run's journal then holds what is its own, and needs no compression.
//! It must not know where texts come from.

use bytes::Bytes;

use super::block::{BlockHash, Intake, Minute};
use super::delta;
use super::journal::Piece;

/// A shorter text is not worth a look.
const LEAST: usize = 48;
/// A longer one is not remembered.
const LONGEST: usize = 4 << 10;
/// Texts remembered of each name: of as many kinds of requests that take turns.
const MOST: usize = 6;
/// What a reference to a block takes beside the difference.
const REFERENCE: usize = 20;

/// The memory of texts: two dozen names, a few kilobytes each, half a megabyte at most.
#[derive(Debug, Default)]
pub(crate) struct Familiar {
    shelves: Vec<Shelf>,
    delta: Vec<u8>,
}

/// The texts of one name, the one used last first.
#[derive(Debug)]
struct Shelf {
    name: &'static str,
    texts: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    text: Bytes,
    /// Its name as a block; it is one from its first use as a base on.
    hash: Option<BlockHash>,
}

impl Familiar {
    /// The shortest way to keep `text`, and takes the block in that it needs.
    pub(crate) fn piece<'a>(
        &'a mut self,
        name: &'static str,
        text: &'a [u8],
        used: Minute,
        intake: &mut Intake,
    ) -> Piece<'a> {
        if text.len() < LEAST || text.len() > LONGEST {
            return Piece::Here(text);
        }
        let place = self.shelves.iter().position(|shelf| shelf.name == name);
        let place = place.unwrap_or_else(|| {
            let texts = Vec::with_capacity(MOST);
            self.shelves.push(Shelf { name, texts });
            self.shelves.len() - 1
        });
        let texts = &mut self.shelves[place].texts;
        let Some(like) = like(texts, text, &mut self.delta) else {
            texts.truncate(MOST - 1);
            let stranger = Known {
                text: Bytes::copy_from_slice(text),
                hash: None,
            };
            texts.insert(0, stranger);
            return Piece::Here(text);
        };
        // The usual one stands first, and a rotation by nothing costs nothing.
        texts[..=like].rotate_right(1);
        let known = &mut texts[0];
        let hash = *known.hash.get_or_insert_with(|| BlockHash::of(&known.text));
        intake.put(hash, used, || known.text.clone());
        let length = text.len() as u64;
        if self.delta.is_empty() {
            return Piece::Block(hash, length);
        }
        Piece::Like(hash, length, &self.delta)
    }
}

/// The place of the first text that `text` is much like; `difference` is empty when it is the same, else what is new.
fn like(texts: &[Known], text: &[u8], difference: &mut Vec<u8>) -> Option<usize> {
    difference.clear();
    let same = texts.iter().position(|known| known.text == text);
    same.or_else(|| {
        texts.iter().position(|known| {
            difference.clear();
            delta::write(&known.text, text, difference);
            difference.len() + REFERENCE <= text.len() / 2
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::journal::Piece;
    use super::*;

    /// A memory of texts, and the blocks that it gave away.
    #[derive(Default)]
    struct Desk {
        familiar: Familiar,
        intake: Intake,
    }

    impl Desk {
        /// Keeps a text, and returns how many bytes that takes in a journal.
        fn keep(&mut self, name: &'static str, text: &str, minute: i64) -> usize {
            let text = text.as_bytes();
            let piece = self
                .familiar
                .piece(name, text, Minute(minute), &mut self.intake);
            match piece {
                Piece::Here(here) => {
                    assert_eq!(here, text);
                    here.len()
                }
                Piece::Block(hash, length) => {
                    assert_eq!(hash, BlockHash::of(text));
                    assert_eq!(length, text.len() as u64);
                    REFERENCE
                }
                Piece::Like(hash, length, difference) => {
                    let blocks = &self.intake.new;
                    let base = blocks.iter().find(|block| block.hash == hash).unwrap();
                    let length = usize::try_from(length).unwrap();
                    let made = delta::apply(&base.data, difference, length);
                    assert_eq!(made.as_deref(), Some(text));
                    difference.len() + REFERENCE
                }
            }
        }
    }

    fn headers(host: &str, length: usize) -> String {
        let fixed = "\"accept\":\"application/json\",\"user-agent\":\"claude-cli/2.1.330\"";
        format!("{{\"content-length\":\"{length}\",{fixed},\"host\":\"{host}\"}}")
    }

    #[test]
    fn of_the_second_text_of_a_kind_only_what_is_new_is_kept() {
        let mut desk = Desk::default();
        let first = headers("localhost:8080", 1_000);
        assert_eq!(desk.keep("a", &first, 1), first.len());
        assert!(desk.intake.new.is_empty(), "it may never come again");
        assert!(desk.keep("a", &headers("localhost:8080", 99), 1) < 40);
        assert!(desk.keep("a", &headers("localhost:8081", 99), 1) < 40);
        assert_eq!(desk.intake.new.len(), 1);
        let other = headers("localhost:8080", 1_000);
        assert_eq!(desk.keep("b", &other, 1), other.len(), "another name");
    }

    #[test]
    fn kinds_that_take_turns_are_all_remembered() {
        let mut desk = Desk::default();
        let kind = |kind: usize, turn: usize| format!("{}{turn}", kind.to_string().repeat(200));
        for turn in 0..3 {
            for number in 0..MOST {
                let kept = desk.keep("a", &kind(number, turn), 1);
                assert_eq!(kept < 100, turn > 0, "{turn} {number}: {kept}");
            }
        }
        assert!(desk.familiar.shelves[0].texts.len() <= MOST);
    }

    #[test]
    fn a_base_is_touched_as_any_block_is() {
        let mut desk = Desk::default();
        for minute in [1, 1, 2, 2, 3] {
            desk.keep("a", &headers("h", 7), minute);
        }
        assert_eq!((desk.intake.new.len(), desk.intake.touched.len()), (1, 2));
        desk.intake.committed();
        desk.intake.forget();
        desk.keep("a", &headers("h", 7), 3);
        assert_eq!(desk.intake.new.len(), 1, "the database may have lost it");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_kept_as_it_is(
            texts in prop::collection::vec(("[a-c,]{0,120}", 0_usize..3), 0..40),
        ) {
            let mut desk = Desk::default();
            for (text, name) in &texts {
                desk.keep(["x", "y", "z"][*name], text, 1);
            }
        }
    }
}
