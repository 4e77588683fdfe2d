//! An artifact's text, capped: the serialiser stops as soon as the cap is reached, so that an artifact of a megabyte
//! costs no more than the cap.

use crate::events::AnyArtifact;
use crate::events::capped::Capped;

/// Writes the artifact's JSON into `out` (emptied first), at most `cap` bytes; returns whether it was cut off.
///
/// What is left is valid UTF-8. An artifact that cannot be serialised leaves what it wrote until then.
pub(crate) fn write(artifact: &dyn AnyArtifact, cap: usize, out: &mut Vec<u8>) -> bool {
    out.clear();
    let truncated = artifact.write_json(&mut Capped::new(out, cap)).is_err();
    if truncated && let Err(broken) = std::str::from_utf8(out) {
        out.truncate(broken.valid_up_to());
    }
    truncated
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use serde::ser::SerializeSeq;
    use serde::{Serialize, Serializer};

    use super::*;
    use crate::events::Artifact;

    #[derive(Serialize)]
    struct Word(String);

    impl Artifact for Word {
        const NAME: &'static str = "word";
    }

    fn preview(text: &str, cap: usize) -> (String, bool) {
        let mut out = vec![1, 2, 3];
        let truncated = write(&Word(text.to_owned()), cap, &mut out);
        (String::from_utf8(out).unwrap(), truncated)
    }

    #[test]
    fn a_text_at_the_cap_is_whole_and_one_byte_more_is_cut() {
        assert_eq!(preview("abc", 5), ("\"abc\"".to_owned(), false));
        assert_eq!(preview("abc", 4), ("\"abc".to_owned(), true));
    }

    #[test]
    fn a_character_is_never_cut_in_two() {
        for cap in 0..12 {
            let (text, truncated) = preview("äöü€", cap);
            assert!(text.len() <= cap);
            assert_eq!(truncated, cap < 11, "{text}");
        }
    }

    struct Endless;

    impl Serialize for Endless {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut numbers = serializer.serialize_seq(None)?;
            for number in 0..1_000_000 {
                WRITTEN.set(number);
                numbers.serialize_element(&number)?;
            }
            numbers.end()
        }
    }

    impl Artifact for Endless {
        const NAME: &'static str = "endless";
    }

    thread_local! {
        static WRITTEN: Cell<u32> = const { Cell::new(0) };
    }

    #[test]
    fn the_serialiser_stops_at_the_cap() {
        let mut out = Vec::new();
        assert!(write(&Endless, 1000, &mut out));
        assert_eq!(out.len(), 1000);
        assert!(WRITTEN.get() < 500, "stopped at {}", WRITTEN.get());
    }
}
