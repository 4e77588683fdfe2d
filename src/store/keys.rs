//! Hashing for maps whose keys are sixteen random bytes already: the ids of runs and the hashes of blocks.
//!
//! The usual hashing of such a key costs more than finding its place. One multiplication is enough here: ids are drawn by
//! this process. A client does choose what is hashed into a block's name, and could search for texts whose names end
//! alike; so a number that nobody outside knows goes into the product, and with it what alike means.
//! It must not know what is kept in the maps.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Makes the hashers of one map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyHashing(u64);

impl Default for KeyHashing {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0_u8) | 1)
    }
}

impl BuildHasher for KeyHashing {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher {
            secret: self.0,
            hash: 0,
        }
    }
}

/// Hashes one key.
#[derive(Debug)]
pub(crate) struct KeyHasher {
    secret: u64,
    hash: u64,
}

impl Hasher for KeyHasher {
    fn write(&mut self, key: &[u8]) {
        for word in key.as_chunks::<8>().0 {
            let mixed = u128::from(self.hash ^ u64::from_le_bytes(*word)) * u128::from(self.secret);
            self.hash = (mixed ^ (mixed >> 64)) as u64;
        }
    }

    // The length that stands before the bytes of a key is the same for all.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::events::RunId;

    #[test]
    fn ids_are_spread_over_all_places_and_all_marks_of_a_map() {
        let hashing = KeyHashing::default();
        let ids: Vec<RunId> = (0..4096).map(|_| RunId::now()).collect();
        let hashes = ids.iter().map(|id| hashing.hash_one(id));
        let places: HashSet<u64> = hashes.clone().map(|hash| hash % 1024).collect();
        let marks: HashSet<u64> = hashes.map(|hash| hash >> 57).collect();
        assert!(places.len() > 900, "{}", places.len());
        assert_eq!(marks.len(), 128);
    }

    #[test]
    fn maps_of_two_processes_agree_on_nothing() {
        let id = RunId::now();
        let hashes: HashSet<u64> = (0..100)
            .map(|_| KeyHashing::default().hash_one(id))
            .collect();
        assert!(hashes.len() > 98);
    }
}
