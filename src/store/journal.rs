//! What happened in a run, as bytes: the form in which its history, logs, previews and texts are kept.
//!
//! Each commit appends one part to the journal of every run that changed, so that an open run holds nothing in
//! memory that is already safe, and a run of nine steps is one row and not ten. Entries are a tag and a few
//! variable-length numbers and texts; a long part is compressed by whoever writes it.
//! The format is a contract with databases in the field: tags and codes are never reused.

use std::time::Duration;

use super::block::BlockHash;
use super::number;
use crate::events::{Level, State, StepIndex, Timestamp};

/// One thing in a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    /// A step run changed its state.
    Step {
        at: Timestamp,
        step: StepIndex,
        state: State,
        attempt: u16,
        message: Option<&'a str>,
        retry_in: Option<Duration>,
    },
    /// The output of a step is a flow that has begun to pass.
    Streaming { step: StepIndex },
    /// A line of a log.
    Log {
        at: Timestamp,
        step: Option<StepIndex>,
        level: Level,
        message: &'a str,
    },
    /// The text of an artifact, whole or cut off.
    Preview {
        step: Option<StepIndex>,
        artifact: &'a str,
        truncated: bool,
        text: Piece<'a>,
    },
    /// The next piece of a large text.
    Payload { name: &'a str, piece: Piece<'a> },
    /// One more piece of the large text that stands before it in the same part.
    More { piece: Piece<'a> },
    /// So many bytes of a large text were not kept; what is left of it is of no use.
    Shed { name: &'a str, bytes: u64 },
}

/// A text: here, in a block, or as its difference from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Short: it stands here.
    Here(&'a [u8]),
    /// Long, or likely to come again: it stands in a block of this length.
    Block(BlockHash, u64),
    /// Much like a block: what makes of it this text of this length ([`delta`](super::delta)).
    Like(BlockHash, u64, &'a [u8]),
}

impl Piece<'_> {
    /// Its length in bytes.
    pub(crate) const fn len(&self) -> u64 {
        match self {
            Self::Here(bytes) => bytes.len() as u64,
            Self::Block(_, length) | Self::Like(_, length, _) => *length,
        }
    }
}

/// Appends `entry` to `journal`; times are kept as distances from `base`, the start of the run.
pub(crate) fn write(journal: &mut Vec<u8>, base: Timestamp, entry: &Entry<'_>) {
    let mut out = Writer { out: journal, base };
    match entry {
        Entry::Step {
            at,
            step,
            state,
            attempt,
            message,
            retry_in,
        } => {
            let has = u8::from(message.is_some()) << 6 | u8::from(retry_in.is_some()) << 7;
            out.byte(1);
            out.byte(state_code(*state) | has);
            out.time(*at);
            out.number(u64::from(*step));
            out.number(u64::from(*attempt));
            message.iter().for_each(|text| out.bytes(text.as_bytes()));
            retry_in.iter().for_each(|pause| out.pause(*pause));
        }
        Entry::Streaming { step } => {
            out.byte(2);
            out.number(u64::from(*step));
        }
        Entry::Log {
            at,
            step,
            level,
            message,
        } => {
            out.byte(3);
            out.byte(level_code(*level));
            out.time(*at);
            out.step(*step);
            out.bytes(message.as_bytes());
        }
        Entry::Preview {
            step,
            artifact,
            truncated,
            text,
        } => {
            out.byte(4);
            out.byte(u8::from(*truncated));
            out.step(*step);
            out.bytes(artifact.as_bytes());
            out.piece(text);
        }
        Entry::Payload { name, piece } => {
            out.named(5, name);
            out.piece(piece);
        }
        Entry::More { piece } => {
            out.byte(7);
            out.piece(piece);
        }
        Entry::Shed { name, bytes } => {
            out.named(6, name);
            out.number(*bytes);
        }
    }
}

/// The entries of one part, in order. After one that cannot be read (an `Err` that says where) it ends.
pub(crate) fn read(part: &[u8], base: Timestamp) -> impl Iterator<Item = Result<Entry<'_>, usize>> {
    let mut reader = Reader { rest: part, base };
    std::iter::from_fn(move || {
        if reader.rest.is_empty() {
            return None;
        }
        let at = part.len() - reader.rest.len();
        let entry = reader.entry();
        if entry.is_none() {
            reader.rest = &[];
        }
        Some(entry.ok_or(at))
    })
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    base: Timestamp,
}

impl Writer<'_> {
    fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    fn named(&mut self, tag: u8, name: &str) {
        self.byte(tag);
        self.bytes(name.as_bytes());
    }

    fn number(&mut self, number: u64) {
        number::write(self.out, number);
    }

    /// Small distances of either sign become small numbers.
    fn time(&mut self, at: Timestamp) {
        self.number(number::folded(at.0.wrapping_sub(self.base.0)));
    }

    fn pause(&mut self, pause: Duration) {
        self.number(u64::try_from(pause.as_micros()).unwrap_or(u64::MAX));
    }

    fn step(&mut self, step: Option<StepIndex>) {
        self.number(step.map_or(0, |step| u64::from(step) + 1));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    fn piece(&mut self, piece: &Piece<'_>) {
        match piece {
            Piece::Here(bytes) => {
                self.byte(0);
                self.bytes(bytes);
            }
            Piece::Block(hash, length) => {
                self.byte(1);
                self.out.extend_from_slice(&hash.0);
                self.number(*length);
            }
            Piece::Like(hash, length, delta) => {
                self.byte(2);
                self.out.extend_from_slice(&hash.0);
                self.number(*length);
                self.bytes(delta);
            }
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    base: Timestamp,
}

impl<'a> Reader<'a> {
    fn entry(&mut self) -> Option<Entry<'a>> {
        match self.byte()? {
            1 => {
                let flags = self.byte()?;
                Some(Entry::Step {
                    state: state_of(flags & 0x3f)?,
                    at: self.time()?,
                    step: self.small()?,
                    attempt: self.small()?,
                    message: if flags & 0x40 == 0 {
                        None
                    } else {
                        Some(self.text()?)
                    },
                    retry_in: if flags & 0x80 == 0 {
                        None
                    } else {
                        Some(Duration::from_micros(self.number()?))
                    },
                })
            }
            2 => Some(Entry::Streaming {
                step: self.small()?,
            }),
            3 => Some(Entry::Log {
                level: level_of(self.byte()?)?,
                at: self.time()?,
                step: self.step()?,
                message: self.text()?,
            }),
            4 => Some(Entry::Preview {
                truncated: self.byte()? != 0,
                step: self.step()?,
                artifact: self.text()?,
                text: self.piece()?,
            }),
            5 => Some(Entry::Payload {
                name: self.text()?,
                piece: self.piece()?,
            }),
            7 => Some(Entry::More {
                piece: self.piece()?,
            }),
            6 => Some(Entry::Shed {
                name: self.text()?,
                bytes: self.number()?,
            }),
            _ => None,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<u64> {
        number::take(&mut self.rest)
    }

    fn small(&mut self) -> Option<u16> {
        u16::try_from(self.number()?).ok()
    }

    fn time(&mut self) -> Option<Timestamp> {
        let distance = number::unfolded(self.number()?);
        Some(Timestamp(self.base.0.wrapping_add(distance)))
    }

    fn step(&mut self) -> Option<Option<StepIndex>> {
        match self.number()? {
            0 => Some(None),
            step => Some(Some(StepIndex::try_from(step - 1).ok()?)),
        }
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn piece(&mut self) -> Option<Piece<'a>> {
        match self.byte()? {
            0 => Some(Piece::Here(self.bytes()?)),
            1 => Some(Piece::Block(self.hash()?, self.number()?)),
            2 => Some(Piece::Like(self.hash()?, self.number()?, self.bytes()?)),
            _ => None,
        }
    }

    fn hash(&mut self) -> Option<BlockHash> {
        Some(BlockHash(self.take(16)?.try_into().ok()?))
    }
}

/// The code is what stands on disk, whatever becomes of the order of the enum.
const fn state_code(state: State) -> u8 {
    match state {
        State::Scheduled => 0,
        State::Pending => 1,
        State::Running => 2,
        State::Retrying => 3,
        State::Completed => 4,
        State::Cached => 5,
        State::Failed => 6,
        State::TimedOut => 7,
        State::Cancelling => 8,
        State::Cancelled => 9,
        State::Crashed => 10,
        State::Paused => 11,
        State::Skipped => 12,
    }
}

fn state_of(code: u8) -> Option<State> {
    State::ALL
        .into_iter()
        .find(|state| state_code(*state) == code)
}

const fn level_code(level: Level) -> u8 {
    match level {
        Level::Debug => 0,
        Level::Info => 1,
        Level::Warn => 2,
        Level::Error => 3,
    }
}

const fn level_of(code: u8) -> Option<Level> {
    match code {
        0 => Some(Level::Debug),
        1 => Some(Level::Info),
        2 => Some(Level::Warn),
        3 => Some(Level::Error),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BASE: Timestamp = Timestamp(1_700_000_000_000_000);

    /// The numbers and texts from which any entry is made.
    type Seed = (u8, u8, i64, u16, Option<String>, Option<u64>, Vec<u8>);

    fn entry(seed: &Seed) -> Entry<'_> {
        let (kind, code, time, step, text, number, bytes) = seed;
        let at = Timestamp(*time);
        let some_step = (number.is_some() && *step < u16::MAX).then_some(*step);
        let message = text.as_deref().unwrap_or("");
        let piece = match number {
            Some(length) if code % 3 == 0 => Piece::Like(BlockHash::of(bytes), *length, bytes),
            Some(length) => Piece::Block(BlockHash::of(bytes), *length),
            None => Piece::Here(bytes),
        };
        match kind % 7 {
            0 => Entry::Step {
                at,
                step: *step,
                state: State::ALL[usize::from(*code) % State::ALL.len()],
                attempt: step.rotate_left(3),
                message: text.as_deref(),
                retry_in: number.map(Duration::from_micros),
            },
            1 => Entry::Streaming { step: *step },
            2 => Entry::Log {
                at,
                step: some_step,
                level: level_of(code % 4).unwrap(),
                message,
            },
            3 => Entry::Preview {
                step: some_step,
                artifact: message,
                truncated: code % 2 == 0,
                text: piece,
            },
            4 => Entry::Payload {
                name: message,
                piece,
            },
            5 => Entry::More { piece },
            _ => Entry::Shed {
                name: message,
                bytes: number.unwrap_or(7),
            },
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back(seeds in prop::collection::vec(any::<Seed>(), 0..20)) {
            let mut journal = Vec::new();
            for seed in &seeds {
                write(&mut journal, BASE, &entry(seed));
            }
            let read = read(&journal, BASE).collect::<Result<Vec<_>, _>>().unwrap();
            prop_assert_eq!(read, seeds.iter().map(entry).collect::<Vec<_>>());
        }

        #[test]
        fn broken_bytes_are_refused_and_never_loop(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(read(&bytes, BASE).count() <= bytes.len());
        }

        #[test]
        fn a_journal_cut_short_is_refused(seed in any::<Seed>()) {
            let mut journal = Vec::new();
            write(&mut journal, BASE, &entry(&seed));
            for length in 1..journal.len() {
                prop_assert!(read(&journal[..length], BASE).any(|entry| entry.is_err()));
            }
        }
    }

    #[test]
    fn a_change_of_state_takes_few_bytes() {
        let mut journal = Vec::new();
        let at = Timestamp(BASE.0 + 800_000);
        let entry = Entry::Step {
            at,
            step: 3,
            state: State::Completed,
            attempt: 1,
            message: None,
            retry_in: None,
        };
        write(&mut journal, BASE, &entry);
        assert!(journal.len() <= 7, "{}", journal.len());
    }

    #[test]
    fn what_earlier_versions_wrote_is_read() {
        let block = BlockHash::of(b"block");
        let mut journal = Vec::new();
        journal.extend(b"\x04\x01\x02\x04Said\x00\x03\"a\"");
        journal.extend(b"\x05\x0eclient.request\x01");
        journal.extend(block.0);
        journal.extend(b"\x80\x40");
        journal.extend(b"\x05\x0eclient.request\x00\x02]}");
        let client_request = |piece| Entry::Payload {
            name: "client.request",
            piece,
        };
        let expected = [
            Entry::Preview {
                step: Some(1),
                artifact: "Said",
                truncated: true,
                text: Piece::Here(b"\"a\""),
            },
            client_request(Piece::Block(block, 8192)),
            client_request(Piece::Here(b"]}")),
        ];
        let read: Result<Vec<_>, _> = read(&journal, BASE).collect();
        assert_eq!(read.unwrap(), expected);
    }
}
