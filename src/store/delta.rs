//! A text as what it has in common with an earlier one, and what is new in it.
//!
//! It is made for texts that the same program wrote: headers, previews, answers. Such a text differs in a few values
//! that stand in the same places, so both are compared from the front, from the end, and between these after each comma.
//! A delta is a row of steps: bytes that are new, then bytes of the base, which begin a little after the ones before.
//! The format is a contract with databases in the field. This file must not know what texts are for.

use memchr::memchr;

use super::number;

/// Fewer bytes of the base are not worth a step.
const LEAST_COPY: usize = 10;
/// So many bytes are compared at once while they are the same.
const STRIDE: usize = 1 << 10;

/// Appends to `out` what makes `text` of `base`.
pub(crate) fn write(base: &[u8], text: &[u8], out: &mut Vec<u8>) {
    let prefix = common_prefix(base, text);
    let suffix = common_suffix(&base[prefix..], &text[prefix..]);
    let mut script = Script {
        out,
        text,
        written: 0,
        taken: 0,
    };
    script.copy(0, 0, prefix);
    let middle = (&base[..base.len() - suffix], &text[..text.len() - suffix]);
    script.middle(middle, prefix);
    if suffix > 0 || script.written < text.len() {
        script.copy(base.len() - suffix, text.len() - suffix, suffix);
    }
}

/// Makes the text of `length` bytes that [`write()`] was given; `None` when `delta` is not about `base`.
pub(crate) fn apply(base: &[u8], mut delta: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut taken = 0_usize;
    while !delta.is_empty() {
        let new = number::take_length(&mut delta)?;
        let (new, rest) = delta.split_at_checked(new)?;
        text.extend_from_slice(new);
        delta = rest;
        let start = taken.checked_add(number::take_length(&mut delta)?)?;
        taken = start.checked_add(number::take_length(&mut delta)?)?;
        text.extend_from_slice(base.get(start..taken)?);
        // A broken delta could ask for all memory.
        if text.len() > length {
            return None;
        }
    }
    (text.len() == length).then_some(text)
}

struct Script<'a> {
    out: &'a mut Vec<u8>,
    text: &'a [u8],
    /// Bytes of the text that are written.
    written: usize,
    /// Where the bytes of the base that were copied last end.
    taken: usize,
}

impl Script<'_> {
    /// Finds what is common after the commas of both, from `start` on.
    fn middle(&mut self, (base, text): (&[u8], &[u8]), start: usize) {
        let (mut from, mut to) = (start, start);
        while let (Some(earlier), Some(later)) =
            (memchr(b',', &base[from..]), memchr(b',', &text[to..]))
        {
            from += earlier;
            to += later;
            let same = common_prefix(&base[from..], &text[to..]);
            if same >= LEAST_COPY {
                self.copy(from, to, same);
            }
            // The comma is the same in any case.
            from += same;
            to += same;
        }
    }

    /// Writes the text up to `to` as new, and `length` bytes after it as bytes of the base.
    fn copy(&mut self, from: usize, to: usize, length: usize) {
        let new = &self.text[self.written..to];
        number::write(self.out, new.len() as u64);
        self.out.extend_from_slice(new);
        number::write(self.out, (from - self.taken) as u64);
        number::write(self.out, length as u64);
        self.written = to + length;
        self.taken = from + length;
    }
}

/// How many bytes are the same at the beginning of both.
pub(crate) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let strides = a.chunks_exact(STRIDE).zip(b.chunks_exact(STRIDE));
    let mut same = STRIDE * strides.take_while(|(a, b)| a == b).count();
    let (mut a, mut b) = (&a[same..], &b[same..]);
    while let (Some((word, after)), Some((other, other_after))) =
        (a.split_first_chunk::<8>(), b.split_first_chunk::<8>())
    {
        let unlike = u64::from_le_bytes(*word) ^ u64::from_le_bytes(*other);
        if unlike != 0 {
            return same + unlike.trailing_zeros() as usize / 8;
        }
        same += 8;
        (a, b) = (after, other_after);
    }
    let rest = a.iter().zip(b);
    same + rest.take_while(|(a, b)| a == b).count()
}

/// How many bytes are the same at the end of both.
pub(crate) fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    let strides = a.rchunks_exact(STRIDE).zip(b.rchunks_exact(STRIDE));
    let mut same = STRIDE * strides.take_while(|(a, b)| a == b).count();
    let (mut a, mut b) = (&a[..a.len() - same], &b[..b.len() - same]);
    while let (Some((before, word)), Some((other_before, other))) =
        (a.split_last_chunk::<8>(), b.split_last_chunk::<8>())
    {
        let unlike = u64::from_le_bytes(*word) ^ u64::from_le_bytes(*other);
        if unlike != 0 {
            return same + unlike.leading_zeros() as usize / 8;
        }
        same += 8;
        (a, b) = (before, other_before);
    }
    let rest = a.iter().rev().zip(b.iter().rev());
    same + rest.take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn delta(base: &[u8], text: &[u8]) -> Vec<u8> {
        let mut delta = Vec::new();
        write(base, text, &mut delta);
        assert_eq!(apply(base, &delta, text.len()).as_deref(), Some(text));
        delta
    }

    #[test]
    fn values_in_the_same_places_cost_what_is_new_in_them() {
        let answer = |id: &str, tokens: u32| {
            format!(
                r#"{{"id":"{id}","model":"anthropic/claude-opus-5","usage":{{"input_tokens":{tokens},"output_tokens":24}},"cost":0.1}}"#
            )
        };
        let base = answer("gen-1111111111", 1_234);
        let delta = delta(base.as_bytes(), answer("gen-2222222222", 99_999).as_bytes());
        assert!(delta.len() < 30, "{}", delta.len());
    }

    #[test]
    fn the_same_text_is_a_few_bytes_and_a_strange_one_little_more_than_itself() {
        let text = "x".repeat(2_000);
        assert!(delta(text.as_bytes(), text.as_bytes()).len() <= 4);
        assert!(delta(b"{\"a\":1}", text.as_bytes()).len() <= 2_010);
        assert!(delta(b"", b"").len() <= 3);
    }

    /// Texts that have much in common, and commas.
    fn parts() -> impl Strategy<Value = Vec<u8>> {
        let word = prop::sample::select(vec![
            "\"input_tokens\":1",
            "\"a\":12345678901234567890",
            ",",
            ",\"output_tokens\":",
            "é",
            "x",
        ]);
        prop::collection::vec(word, 0..40).prop_map(|words| words.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn every_text_comes_back(base in parts(), text in parts()) {
            delta(&base, &text);
        }

        #[test]
        fn any_bytes_come_back(
            base in prop::collection::vec(any::<u8>(), 0..300),
            text in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            delta(&base, &text);
        }

        #[test]
        fn a_broken_delta_is_refused(
            base in prop::collection::vec(any::<u8>(), 0..100),
            delta in prop::collection::vec(0_u8..40, 0..100),
            length in 0_usize..200,
        ) {
            if let Some(text) = apply(&base, &delta, length) {
                prop_assert_eq!(text.len(), length);
            }
        }

        #[test]
        fn beginnings_and_ends_are_found_to_the_byte(
            same in prop::collection::vec(any::<u8>(), 0..3000),
            a in prop::collection::vec(any::<u8>(), 0..3000),
            b in prop::collection::vec(any::<u8>(), 0..3000),
        ) {
            let naive = |a: &mut dyn Iterator<Item = &u8>, b: &mut dyn Iterator<Item = &u8>| {
                a.zip(b).take_while(|(a, b)| a == b).count()
            };
            let (left, right) = ([&same[..], &a].concat(), [&same[..], &b].concat());
            prop_assert_eq!(common_prefix(&left, &right), naive(&mut left.iter(), &mut right.iter()));
            let (left, right) = ([&a[..], &same].concat(), [&b[..], &same].concat());
            prop_assert_eq!(
                common_suffix(&left, &right),
                naive(&mut left.iter().rev(), &mut right.iter().rev())
            );
        }
    }
}
