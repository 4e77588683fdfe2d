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
        // Never more room than that: thousands of streams may be open.
        let room = PIECE.max(bytes.len());
        self.held.reserve_exact(room - self.held.len());
        self.held.extend_from_slice(bytes);
        if self.held.len() >= PIECE {
            self.hand_over(reporter);
        }
    }

    /// Hands over what is held.
    pub(super) fn hand_over(&mut self, reporter: &Reporter) {
        if !self.held.is_empty() {
            reporter.payload(self.name, Bytes::from(std::mem::take(&mut self.held)));
        }
    }
}
