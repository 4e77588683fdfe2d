//! How a stream is cut into the pieces that go over the socket.

use std::fmt;

/// Streams up to this length are also replayed byte by byte.
const SHORT: usize = 8 << 10;
/// The longest piece of a random replay.
const LONGEST_PIECE: usize = 700;

/// How streams are replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In one piece.
    Whole,
    /// A piece for every byte.
    EveryByte,
    /// In pieces of random lengths, the same for the same seed.
    Random(u64),
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("whole"),
            Self::EveryByte => f.write_str("byte by byte"),
            Self::Random(seed) => write!(f, "at random, seed {seed}"),
        }
    }
}

impl Mode {
    /// The modes for streams of which the longest has so many bytes.
    #[must_use]
    pub fn all(longest: usize, seed: u64) -> Vec<Self> {
        let second = if longest <= SHORT {
            Self::EveryByte
        } else {
            Self::Random(seed)
        };
        vec![Self::Whole, second]
    }

    /// Cuts a stream.
    #[must_use]
    pub fn cut(self, bytes: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::Whole if bytes.is_empty() => Vec::new(),
            Self::Whole => vec![bytes],
            Self::EveryByte => bytes.chunks(1).collect(),
            Self::Random(seed) => at_random(bytes, seed),
        }
    }
}

fn at_random(bytes: &[u8], seed: u64) -> Vec<&[u8]> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = random.usize(1..=LONGEST_PIECE).min(rest.len());
        let (piece, after) = rest.split_at(length);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mode_loses_a_byte() {
        let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
        for mode in [Mode::Whole, Mode::EveryByte, Mode::Random(3)] {
            assert_eq!(mode.cut(&bytes).concat(), bytes, "{mode}");
        }
        assert_eq!(Mode::Random(3).cut(&bytes), Mode::Random(3).cut(&bytes));
        assert!(Mode::Random(3).cut(&bytes).len() > 5);
    }
}
