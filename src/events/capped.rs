//! A buffer that takes only so much: it stops the serialiser as soon as it is full, so that an artifact of a megabyte costs
//! no more than what is kept of it. This file must not know what is written.

use std::io;

/// A writer behind what stands in a buffer, for so many bytes.
#[derive(Debug)]
pub struct Capped<'a> {
    out: &'a mut Vec<u8>,
    room: usize,
}

impl<'a> Capped<'a> {
    /// Appends to `out`, at most `room` bytes.
    pub fn new(out: &'a mut Vec<u8>, room: usize) -> Self {
        Self { out, room }
    }
}

impl io::Write for Capped<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    // The serialiser writes a few bytes at a time; the loop of the default costs as much as the work.
    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let taken = bytes.get(..self.room).unwrap_or(bytes);
        self.out.extend_from_slice(taken);
        self.room -= taken.len();
        if taken.len() < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
