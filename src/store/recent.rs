//! The bodies seen last. A turn repeats nearly all of the one before it, and comparing bytes is thirty times as fast
//! as scanning and hashing them again: only what lies between the common beginning and the common end is looked at.

use std::collections::VecDeque;

use bytes::Bytes;

use super::block::BlockHash;
use super::cut::{Alike, Cut, Same, cut};
use super::delta::{common_prefix, common_suffix};

/// Conversations remembered, and bytes of all of them together.
const MOST: usize = 32;
const MOST_BYTES: usize = 4 << 20;
/// Bodies that have less in common are strangers.
const ACQUAINTED: usize = 1 << 10;

/// A body in parts.
#[derive(Debug)]
pub(crate) struct Parts {
    name: &'static str,
    body: Bytes,
    /// Where each part ends.
    pub(crate) cuts: Vec<Cut>,
    /// The hash of each part, as far as it is known.
    pub(crate) hashes: Vec<Option<BlockHash>>,
    /// Whether it was cut as a request body; otherwise it is one part.
    pub(crate) is_request: bool,
}

/// The memory of bodies, the last one seen at the end.
#[derive(Debug, Default)]
pub(crate) struct RecentBodies {
    bodies: VecDeque<Parts>,
    bytes: usize,
}

impl RecentBodies {
    /// Cuts a body into parts, and finds the hashes of those that an earlier body called `name` had too.
    ///
    /// That earlier body is forgotten: [`RecentBodies::remember`] the new one in its place.
    pub(crate) fn recognise(&mut self, name: &'static str, body: &Bytes) -> Parts {
        let mut cuts = Vec::new();
        let Some((index, prefix)) = self.most_alike(name, body) else {
            let is_request = cut(body, None, &mut cuts).is_some();
            return Parts {
                name,
                body: body.clone(),
                hashes: vec![None; cuts.len()],
                cuts,
                is_request,
            };
        };
        let earlier = &self.bodies[index];
        let alike = Alike {
            cuts: &earlier.cuts,
            length: earlier.body.len(),
            prefix,
            suffix: common_suffix(&earlier.body, body),
        };
        let same = cut(body, Some(alike), &mut cuts);
        let hashes = hashes(earlier, same.unwrap_or_default(), cuts.len());
        // A conversation that has only its beginning in common goes on beside this one.
        if prefix > earlier.body.len() / 2 {
            self.forget(index);
        }
        Parts {
            name,
            body: body.clone(),
            cuts,
            hashes,
            is_request: same.is_some(),
        }
    }

    /// Remembers a body, and forgets the ones seen longest ago.
    pub(crate) fn remember(&mut self, parts: Parts) {
        if !parts.is_request || parts.body.len() > MOST_BYTES / 2 {
            return;
        }
        self.bytes += parts.body.len();
        self.bodies.push_back(parts);
        while self.bodies.len() > MOST || self.bytes > MOST_BYTES {
            self.forget(0);
        }
    }

    fn forget(&mut self, index: usize) {
        if let Some(parts) = self.bodies.remove(index) {
            self.bytes -= parts.body.len();
        }
    }

    /// The body with the longest common beginning, the latest of these, and that beginning's length.
    fn most_alike(&self, name: &str, body: &[u8]) -> Option<(usize, usize)> {
        let mut most = None;
        for (index, earlier) in self.bodies.iter().enumerate().rev() {
            if earlier.name != name {
                continue;
            }
            let prefix = common_prefix(&earlier.body, body);
            let least = most.map_or(ACQUAINTED - 1, |(_, prefix)| prefix);
            if prefix > least {
                most = Some((index, prefix));
            }
            if prefix == body.len() {
                break;
            }
        }
        most
    }
}

/// The hashes of `count` parts, of which these are the same as in the earlier body.
fn hashes(earlier: &Parts, same: Same, count: usize) -> Vec<Option<BlockHash>> {
    let mut hashes = Vec::with_capacity(count);
    hashes.extend_from_slice(&earlier.hashes[..same.first]);
    hashes.resize(count - same.last, None);
    hashes.extend_from_slice(&earlier.hashes[earlier.hashes.len() - same.last..]);
    hashes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recognises and remembers a body; returns how many of its hashes were known.
    fn take(recent: &mut RecentBodies, name: &'static str, body: &str) -> usize {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let mut parts = recent.recognise(name, &body);
        let known = parts.hashes.iter().flatten().count();
        let mut start = 0;
        for (cut, hash) in parts.cuts.iter().zip(&mut parts.hashes) {
            let right = BlockHash::of(&body[start..cut.end]);
            assert_eq!(*hash.get_or_insert(right), right);
            start = cut.end;
        }
        assert_eq!(start, body.len());
        recent.remember(parts);
        known
    }

    fn turn(conversation: &str, messages: usize) -> String {
        let messages: Vec<String> = (0..messages)
            .map(|message| format!("{conversation} {message} {}", "x".repeat(300)))
            .collect();
        serde_json::json!({"messages": messages, "tools": ["t".repeat(2000)]}).to_string()
    }

    #[test]
    fn of_the_next_turn_only_the_new_message_is_hashed() {
        let mut recent = RecentBodies::default();
        assert_eq!(take(&mut recent, "a", &turn("one", 10)), 0);
        assert_eq!(take(&mut recent, "a", &turn("one", 11)), 13);
        assert_eq!(take(&mut recent, "a", &turn("one", 11)), 15);
        assert_eq!(take(&mut recent, "b", &turn("one", 11)), 0, "another text");
        assert_eq!(recent.bodies.len(), 2);
    }

    #[test]
    fn conversations_side_by_side_are_told_apart() {
        let mut recent = RecentBodies::default();
        for turns in 10..15 {
            for conversation in ["one", "two", "three"] {
                let known = take(&mut recent, "a", &turn(conversation, turns));
                assert_eq!(known > 0, turns > 10, "{conversation} {turns}");
            }
        }
        assert_eq!(recent.bodies.len(), 3);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut recent = RecentBodies::default();
        for conversation in 0..40 {
            take(&mut recent, "a", &turn(&conversation.to_string(), 400));
            let bytes: usize = recent.bodies.iter().map(|parts| parts.body.len()).sum();
            assert_eq!(bytes, recent.bytes);
            assert!(bytes <= MOST_BYTES && recent.bodies.len() <= MOST);
        }
        take(&mut recent, "a", &turn("huge", 7000));
        assert!(
            recent
                .bodies
                .iter()
                .all(|parts| parts.body.len() < MOST_BYTES / 2)
        );
    }
}
