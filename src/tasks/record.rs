//! A text of a stream for the record, handed over in pieces, so that an open stream holds little.

use bytes::Bytes;

use crate::events::Reporter;

/// The size of a piece, or about that.
const PIECE: usize = 1 << 10;

/// One of the large texts of a run.
pub(super) struct Record {
    name: &'static str,
    held: Vec<u8>,
}

impl Record {
    pub(super) const fn new(name: &'static str) -> Self {
        let held = Vec::new();
        Self { name, held }
    }

    /// Takes the next bytes of it.
    pub(super) fn take(&mut self, bytes: &[u8], reporter: &Reporter) {
        if self.held.len() + bytes.len() > PIECE {
            self.hand_over(reporter);
        }
        self.make_room(bytes.len());
        self.held.extend_from_slice(bytes);
        if self.held.len() >= PIECE {
            self.hand_over(reporter);
        }
    }

    /// Makes room for so many bytes more, in two steps, and never for more than a piece: thousands of streams may be open,
    /// and half of them hold less than half a piece.
    fn make_room(&mut self, more: usize) {
        let needed = self.held.len() + more;
        if needed > self.held.capacity() {
            let room = if needed <= PIECE / 2 {
                PIECE / 2
            } else {
                PIECE.max(needed)
            };
            self.held.reserve_exact(room - self.held.len());
        }
    }

    /// Hands over what is held.
    pub(super) fn hand_over(&mut self, reporter: &Reporter) {
        if !self.held.is_empty() {
            reporter.payload(self.name, Bytes::from(std::mem::take(&mut self.held)));
        }
    }
}
