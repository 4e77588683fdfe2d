//! Protobuf's wire format, written into one growing buffer.
//!
//! The length of a message stands before it. Where it is not known beforehand, the writer leaves as many bytes for it as
//! the expected length needs, and moves what it wrote when the guess was wrong. So nothing is measured twice, nothing is
//! allocated but the buffer, and no byte is moved more often than it lies deep.
//! It must not know what the fields mean. Source: <https://protobuf.dev/programming-guides/encoding/>.

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH_DELIMITED: u32 = 2;
const FIXED32: u32 = 5;

/// A message under way.
///
/// The buffer is filled with zeros a little ahead of what is written and the small functions are always inlined, so that
/// a short field is a comparison and a store: a trace has hundreds of them, and a call for each costs more than all else.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    /// Where what is written ends.
    end: usize,
}

impl Writer {
    /// Begins with room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            end: 0,
        }
    }

    /// All that was written.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.end);
        self.bytes
    }

    /// Writes fields that were written elsewhere.
    pub(super) fn fields(&mut self, written: &[u8]) {
        self.put_slice(written);
    }

    /// An `int64`, `bool` or enumeration, also when it is zero.
    #[inline(always)]
    pub(super) fn varint(&mut self, field: u32, value: u64) {
        self.key_and_varint(field << 3 | VARINT, value);
    }

    /// A `uint32`; zero goes without saying.
    #[inline(always)]
    pub(super) fn count(&mut self, field: u32, value: u32) {
        if value != 0 {
            self.varint(field, u64::from(value));
        }
    }

    /// A `fixed64` or, by its bits, a `double`.
    #[inline(always)]
    pub(super) fn fixed64(&mut self, field: u32, value: u64) {
        self.raw_varint(u64::from(field << 3 | FIXED64));
        self.put(value.to_le_bytes());
    }

    /// A `fixed32`.
    #[inline(always)]
    pub(super) fn fixed32(&mut self, field: u32, value: u32) {
        self.raw_varint(u64::from(field << 3 | FIXED32));
        self.put(value.to_le_bytes());
    }

    /// `bytes` of which there are always so many.
    #[inline(always)]
    pub(super) fn array<const N: usize>(&mut self, field: u32, value: [u8; N]) {
        self.key_and_length(field, N);
        self.put(value);
    }

    /// `bytes` or a `string`, also when it is empty.
    #[inline(always)]
    pub(super) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.key_and_length(field, value.len());
        self.put_slice(value);
    }

    /// A `string`; the empty one goes without saying.
    #[inline]
    pub(super) fn text(&mut self, field: u32, value: &str) {
        if !value.is_empty() {
            self.bytes(field, value.as_bytes());
        }
    }

    /// A message in the message: what `write` writes, which is `expected` to have about so many bytes.
    #[inline]
    pub(super) fn nested(&mut self, field: u32, expected: usize, write: impl FnOnce(&mut Self)) {
        self.raw_varint(u64::from(field << 3 | LENGTH_DELIMITED));
        let at = self.end;
        let room = varint_len(expected as u64);
        self.end += room;
        write(self);
        self.fill_in_length(at, room);
    }

    /// A message in the message: what `write` writes, which has exactly so many bytes.
    #[inline(always)]
    pub(super) fn sized(&mut self, field: u32, length: usize, write: impl FnOnce(&mut Self)) {
        self.key_and_length(field, length);
        let end = self.end + length;
        write(self);
        debug_assert_eq!(self.end, end, "the length was computed right");
    }

    /// Writes the length of all that follows the `room` bytes that were left for it.
    fn fill_in_length(&mut self, at: usize, room: usize) {
        let content = at + room..self.end;
        let length = content.len() as u64;
        let needed = varint_len(length);
        self.end = at + needed + content.len();
        // Also where the guess was right: the content may be empty, and the room that was left not yet there.
        let longer = content.end.max(self.end);
        if longer > self.bytes.len() {
            self.make_room(longer);
        }
        if needed != room {
            self.bytes.copy_within(content, at + needed);
        }
        fill_with_varint(&mut self.bytes[at..at + needed], length);
    }

    #[inline(always)]
    fn key_and_length(&mut self, field: u32, length: usize) {
        self.key_and_varint(field << 3 | LENGTH_DELIMITED, length as u64);
    }

    /// Nearly always a byte each.
    #[inline(always)]
    fn key_and_varint(&mut self, key: u32, value: u64) {
        match (u8::try_from(key), u8::try_from(value)) {
            (Ok(key @ ..0x80), Ok(value @ ..0x80)) => self.put([key, value]),
            _ => {
                self.raw_varint(u64::from(key));
                self.raw_varint(value);
            }
        }
    }

    #[inline(always)]
    fn raw_varint(&mut self, value: u64) {
        match u16::try_from(value) {
            Ok(short @ ..0x80) => self.put([short as u8]),
            Ok(short @ ..0x4000) => self.put([short as u8 | 0x80, (short >> 7) as u8]),
            _ => self.long_varint(value),
        }
    }

    fn long_varint(&mut self, value: u64) {
        let mut bytes = [0; LONGEST_VARINT];
        let bytes = &mut bytes[..varint_len(value)];
        fill_with_varint(bytes, value);
        self.put_slice(bytes);
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, value: [u8; N]) {
        let end = self.end + N;
        if end > self.bytes.len() {
            self.make_room(end);
        }
        self.bytes[self.end..end].copy_from_slice(&value);
        self.end = end;
    }

    #[inline]
    fn put_slice(&mut self, value: &[u8]) {
        let end = self.end + value.len();
        if end > self.bytes.len() {
            self.make_room(end);
        }
        self.bytes[self.end..end].copy_from_slice(value);
        self.end = end;
    }

    /// Lengthens the buffer, which does not reach to `end`, by a little more than that, which stays in the nearest cache
    /// until it is written.
    #[cold]
    fn make_room(&mut self, end: usize) {
        self.bytes.resize(end + 1024, 0);
    }
}

/// 64 bits, seven a byte.
const LONGEST_VARINT: usize = 10;

/// How long a field is, with a number below 16, that holds so many bytes.
#[inline]
pub(super) const fn field_len(content: usize) -> usize {
    1 + varint_len(content as u64) + content
}

/// How long `value` is as a varint.
#[inline]
pub(super) const fn varint_len(value: u64) -> usize {
    if value < 0x80 {
        return 1;
    }
    let bits = 64 - value.leading_zeros();
    bits.div_ceil(7) as usize
}

/// Fills `bytes`, which are as many as `value` needs.
#[inline]
fn fill_with_varint(bytes: &mut [u8], value: u64) {
    let mut rest = value;
    for byte in bytes {
        // Every byte but the last says that there are more.
        *byte = (rest & 0x7f) as u8 | if rest >= 0x80 { 0x80 } else { 0 };
        rest >>= 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_has_as_few_bytes_as_it_can() {
        for (value, bytes) in [
            (0, &[0][..]),
            (127, &[0x7f]),
            (128, &[0x80, 0x01]),
            (16_383, &[0xff, 0x7f]),
            (16_384, &[0x80, 0x80, 0x01]),
            (
                u64::MAX,
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            ),
        ] {
            let mut writer = Writer::default();
            writer.raw_varint(value);
            assert_eq!(writer.into_bytes(), bytes, "{value}");
        }
    }

    #[test]
    fn a_wrong_guess_of_a_length_costs_no_byte() {
        let content = [7; 20_000];
        for length in [0, 1, 125, 126, 127, 128, 16_380, 16_384, 20_000] {
            let written = |expected| {
                let mut writer = Writer::default();
                writer.text(1, "before");
                writer.nested(2, expected, |inner| {
                    inner.nested(3, expected, |inner| inner.bytes(4, &content[..length]));
                });
                writer.text(5, "after");
                writer.into_bytes()
            };
            let right = written(length);
            for expected in [0, 128, 16_384, usize::MAX] {
                assert!(written(expected) == right, "{expected} for {length}");
            }
        }
    }
}
