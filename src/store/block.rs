//! Texts kept once, by their hash.
//!
//! A client repeats its whole conversation at every turn. What it repeats is hashed, found among the blocks seen
//! lately and not written again. A block carries the minute of its last use; since runs are deleted oldest first,
//! a block last used before the oldest run that is left belongs to nobody, and no references need counting.

use std::collections::HashMap;
use std::mem;

use bytes::Bytes;
use foldhash::fast::RandomState;
use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

use crate::events::Timestamp;

/// Names a block by its content: the first 16 bytes of its BLAKE3 hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BlockHash(pub(crate) [u8; 16]);

impl BlockHash {
    /// The name of `data`.
    pub(crate) fn of(data: &[u8]) -> Self {
        let mut short = [0; 16];
        short.copy_from_slice(&blake3::hash(data).as_bytes()[..16]);
        Self(short)
    }
}

/// Whole minutes since the Unix epoch: how exactly a block's last use is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Minute(pub(crate) i64);

impl Minute {
    /// The minute in which `at` lies.
    pub(crate) const fn of(at: Timestamp) -> Self {
        Self(at.0.div_euclid(60_000_000))
    }
}

/// A block to be written, unless the database has it already.
#[derive(Clone, Debug)]
pub(crate) struct NewBlock {
    /// Its name.
    pub(crate) hash: BlockHash,
    /// Its content.
    pub(crate) data: Bytes,
    /// When it was used.
    pub(crate) used: Minute,
}

/// A block that the database has and that was used again.
#[derive(Clone, Debug)]
pub(crate) struct Touched {
    /// Its name.
    pub(crate) hash: BlockHash,
    /// Its content, in case that the database has lost it.
    data: Bytes,
    /// When it was used.
    pub(crate) used: Minute,
}

/// The blocks on their way into the database, and the memory of those that are there.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    /// To be written with the next commit.
    pub(crate) new: Vec<NewBlock>,
    /// To be touched with the next commit.
    pub(crate) touched: Vec<Touched>,
    /// Bytes of both.
    pub(crate) bytes: usize,
    seen: Seen,
    deleted_before: Minute,
    /// The latest use so far. The order of runs does not go back when the clock is set back, and no use may either.
    latest: Minute,
}

impl Intake {
    /// Takes a block in. `own` makes it last until the next commit; it is not asked for a block of which nothing is to be
    /// written.
    pub(crate) fn put(&mut self, hash: BlockHash, used: Minute, own: impl FnOnce() -> Bytes) {
        let used = used.max(self.latest);
        self.latest = used;
        match self.seen.last_use(&hash) {
            Some(last) if last >= used => return,
            Some(last) if last >= self.deleted_before => {
                let data = own();
                self.bytes += data.len();
                self.touched.push(Touched { hash, data, used });
            }
            _ => {
                let data = own();
                self.bytes += data.len();
                self.new.push(NewBlock { hash, data, used });
            }
        }
        self.seen.insert(hash, used);
    }

    /// Forgets what has been committed.
    pub(crate) fn committed(&mut self) {
        self.new.clear();
        self.new.shrink_to(1024);
        self.touched.clear();
        self.touched.shrink_to(1024);
        self.bytes = 0;
    }

    /// Forgets which blocks the database has: each is written again when it comes again, and those that were only to be
    /// touched are written with the next commit.
    pub(crate) fn forget(&mut self) {
        self.seen = Seen::default();
        for block in &self.new {
            self.seen.insert(block.hash, block.used);
        }
        for Touched { hash, data, used } in mem::take(&mut self.touched) {
            self.bytes -= data.len();
            self.put(hash, used, || data);
        }
    }

    /// Learns that blocks last used before `minute` were deleted.
    pub(crate) fn deleted_before(&mut self, minute: Minute) {
        self.deleted_before = self.deleted_before.max(minute);
        // What is used from now on is not among them.
        self.latest = self.latest.max(minute);
    }
}

/// Blocks known to be in the database, in two generations: when the younger is full, the older is forgotten.
#[derive(Debug, Default)]
struct Seen {
    young: HashMap<BlockHash, Minute, RandomState>,
    old: HashMap<BlockHash, Minute, RandomState>,
}

impl Seen {
    /// Blocks per generation, about 1.5 MB.
    const GENERATION: usize = 32 << 10;

    fn last_use(&mut self, hash: &BlockHash) -> Option<Minute> {
        if let Some(minute) = self.young.get(hash) {
            return Some(*minute);
        }
        let minute = self.old.remove(hash)?;
        self.insert(*hash, minute);
        Some(minute)
    }

    fn insert(&mut self, hash: BlockHash, used: Minute) {
        if self.young.len() >= Self::GENERATION {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(hash, used);
    }
}

/// A block of this length is worth packing: it is written once and kept for long.
pub(crate) const LONG_BLOCK: usize = 1 << 10;
/// A part of a journal of this length is worth packing. One of a short run is not: it says nothing twice, and packing it
/// would cost the processor more than everything else that is done to record the run.
pub(crate) const LONG_PART: usize = 4 << 10;

/// What packing needs, kept from one text to the next.
#[derive(Default)]
pub(crate) struct Packer {
    table: CompressTable,
    out: Vec<u8>,
}

impl Packer {
    /// Compresses `data`, unless it is shorter than is `worth_it`, and returns the shorter of the two.
    ///
    /// What is returned is compressed exactly when it is shorter than `data`.
    pub(crate) fn pack<'a>(&'a mut self, data: &'a [u8], worth_it: usize) -> &'a [u8] {
        if data.len() < worth_it {
            return data;
        }
        let room = get_maximum_output_size(data.len());
        if self.out.len() < room {
            self.out.resize(room, 0);
        }
        match compress_into_with_table(data, &mut self.out, &mut self.table) {
            Ok(length) if length < data.len() => &self.out[..length],
            _ => data,
        }
    }
}

/// Takes back what [`Packer::pack`] gave for a text of `length` bytes; `None` when it cannot be that.
pub(crate) fn unpack(packed: Vec<u8>, length: usize) -> Option<Vec<u8>> {
    // LZ4 spends at least one byte on 255, so that a broken length cannot ask for all memory.
    let longest = packed.len().saturating_mul(256);
    if packed.len() == length {
        return Some(packed);
    }
    if length > longest {
        return None;
    }
    let data = lz4_flex::block::decompress(&packed, length).ok()?;
    (data.len() == length).then_some(data)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn put(intake: &mut Intake, data: &'static [u8], minute: i64) {
        let hash = BlockHash::of(data);
        intake.put(hash, Minute(minute), || Bytes::from_static(data));
    }

    #[test]
    fn a_block_is_written_once_and_touched_once_a_minute() {
        let mut intake = Intake::default();
        for minute in [5, 5, 6, 6, 4] {
            put(&mut intake, b"block", minute);
        }
        assert_eq!(intake.new.len(), 1);
        assert_eq!(intake.touched.len(), 1);
    }

    #[test]
    fn a_block_that_retention_deleted_is_written_again() {
        let mut intake = Intake::default();
        put(&mut intake, b"old", 5);
        put(&mut intake, b"young", 9);
        intake.committed();
        intake.deleted_before(Minute(8));
        put(&mut intake, b"old", 10);
        put(&mut intake, b"young", 10);
        assert_eq!(intake.new.len(), 1);
        assert_eq!(intake.new[0].hash, BlockHash::of(b"old"));
        assert_eq!(intake.touched.len(), 1);
    }

    #[test]
    fn what_was_to_be_touched_is_written_when_the_database_may_have_lost_it() {
        let mut intake = Intake::default();
        put(&mut intake, b"known", 5);
        intake.committed();
        put(&mut intake, b"known", 6);
        put(&mut intake, b"known", 7);
        put(&mut intake, b"new", 7);
        assert_eq!((intake.new.len(), intake.touched.len()), (1, 2));
        assert_eq!(intake.bytes, 2 * b"known".len() + b"new".len());
        intake.forget();
        assert_eq!((intake.new.len(), intake.touched.len()), (2, 0));
        assert_eq!(&intake.new[1].data[..], b"known");
        assert_eq!(intake.new[1].used, Minute(7));
        assert_eq!(intake.bytes, b"known".len() + b"new".len());
        // Both are on their way, and need not be written twice.
        put(&mut intake, b"known", 7);
        put(&mut intake, b"new", 7);
        assert_eq!((intake.new.len(), intake.touched.len()), (2, 0));
        intake.forget();
        assert_eq!(intake.new.len(), 2);
    }

    #[test]
    fn no_use_goes_back_when_the_clock_does() {
        let mut intake = Intake::default();
        put(&mut intake, b"before", 9);
        put(&mut intake, b"after", 4);
        assert_eq!(intake.new[1].used, Minute(9));
        intake.committed();
        intake.deleted_before(Minute(12));
        put(&mut intake, b"before", 5);
        assert_eq!(intake.new.len(), 1, "it was deleted");
        assert_eq!(intake.new[0].used, Minute(12));
    }

    #[test]
    fn the_memory_of_blocks_is_bounded_and_keeps_what_is_in_use() {
        let mut intake = Intake::default();
        put(&mut intake, b"in use", 1);
        for number in 0..100_000_u32 {
            let data = number.to_le_bytes();
            let hash = BlockHash::of(&data);
            intake.put(hash, Minute(1), || Bytes::copy_from_slice(&data));
            if number % 10_000 == 0 {
                put(&mut intake, b"in use", 1);
            }
        }
        assert!(intake.seen.young.len() + intake.seen.old.len() <= 2 * Seen::GENERATION);
        assert_eq!(intake.new.len(), 100_001);
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_back(data in prop::collection::vec(0_u8..4, 0..2000)) {
            let mut packer = Packer::default();
            // What one text left behind must not show in the next.
            for text in [&data[..], &data[data.len() / 2..], &data[..]] {
                let packed = packer.pack(text, 100).to_vec();
                prop_assert!(packed.len() <= text.len());
                let unpacked = unpack(packed, text.len());
                prop_assert_eq!(unpacked.as_deref(), Some(text));
            }
        }

        #[test]
        fn a_broken_pack_is_refused(packed in prop::collection::vec(any::<u8>(), 0..300)) {
            let length = packed.len() + 1;
            if let Some(data) = unpack(packed, length) {
                prop_assert_eq!(data.len(), length);
            }
        }
    }
}
