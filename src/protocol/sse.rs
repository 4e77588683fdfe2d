//! Server-sent events as bytes: see the HTML standard, section 9.2.
//!
//! [`Reader`] finds the `data` of each event in bytes that arrive in arbitrary pieces. An event that lies whole in
//! one piece, which is nearly every one, is handed out as a slice of that piece: nothing is copied.
//! The names of events, ids and comments are passed over, because no upstream of ours says anything by them.
//! This file must not know what the data means.

use memchr::memchr2;

/// What a line, and the data of one event, may measure.
pub const LONGEST: usize = 32 << 20;
/// Capacity that a buffer keeps after an event that needed more.
const KEPT: usize = 16 << 10;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A body without the byte order mark that some servers write in front of it.
#[must_use]
pub fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)
}

/// A line or an event is longer than [`LONGEST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {} MB", LONGEST >> 20)]
pub struct TooLong;

/// Finds events in pieces of a stream.
#[derive(Debug, Default)]
pub struct Reader {
    /// The beginning of a line whose end has not arrived.
    line: Vec<u8>,
    /// Data lines of the event that is being read.
    data: Vec<u8>,
    has_data: bool,
    /// `data` was handed out and is to be cleared.
    handed_out: bool,
    /// The last piece ended in `\r`, which a `\n` may complete.
    skip_newline: bool,
    after_first_line: bool,
}

impl Reader {
    /// Takes the data of the next event off `input`; `None` when all of `input` is used up.
    ///
    /// # Errors
    ///
    /// [`TooLong`]; the reader must not be used after it.
    pub fn next<'r, 'i: 'r>(
        &'r mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<&'r [u8]>, TooLong> {
        self.clear_handed_out();
        loop {
            if self.skip_newline && !input.is_empty() {
                self.skip_newline = false;
                *input = input.strip_prefix(b"\n").unwrap_or(input);
            }
            if self.after_first_line
                && self.line.is_empty()
                && !self.has_data
                && let Some(data) = whole_event(input)
            {
                return Ok(Some(data));
            }
            let Some(end) = memchr2(b'\n', b'\r', input) else {
                extend(&mut self.line, input)?;
                *input = &[];
                return Ok(None);
            };
            let (line, rest) = input.split_at(end);
            self.skip_newline = rest.first() == Some(&b'\r');
            *input = rest.get(1..).unwrap_or_default();
            if self.take_line(line)? {
                return Ok(Some(&self.data));
            }
        }
    }

    /// The stream has ended: gives the data of an event that lacks its blank line.
    ///
    /// # Errors
    ///
    /// [`TooLong`].
    pub fn finish(&mut self) -> Result<Option<&[u8]>, TooLong> {
        self.clear_handed_out();
        if !self.line.is_empty() {
            self.take_line(b"")?;
        }
        if !self.has_data {
            return Ok(None);
        }
        self.has_data = false;
        self.handed_out = true;
        Ok(Some(&self.data))
    }

    /// Uses the line that `end` completes, and tells whether it ended an event.
    fn take_line(&mut self, end: &[u8]) -> Result<bool, TooLong> {
        if self.line.is_empty() {
            return self.field(end);
        }
        let mut line = std::mem::take(&mut self.line);
        extend(&mut line, end)?;
        let ended = self.field(&line)?;
        line.clear();
        line.shrink_to(KEPT);
        self.line = line;
        Ok(ended)
    }

    fn field(&mut self, mut line: &[u8]) -> Result<bool, TooLong> {
        if !self.after_first_line {
            self.after_first_line = true;
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            self.handed_out = self.has_data;
            return Ok(std::mem::take(&mut self.has_data));
        }
        if let Some(value) = data_of(line) {
            if self.has_data {
                extend(&mut self.data, b"\n")?;
            }
            extend(&mut self.data, value)?;
            self.has_data = true;
        }
        Ok(false)
    }

    fn clear_handed_out(&mut self) {
        if std::mem::take(&mut self.handed_out) {
            self.data.clear();
            self.data.shrink_to(KEPT);
        }
    }
}

/// Takes an event off the input that lies there whole: one data line and a blank one, ended by `\n`.
fn whole_event<'i>(input: &mut &'i [u8]) -> Option<&'i [u8]> {
    let after = input.strip_prefix(b"data:")?;
    let end = memchr2(b'\n', b'\r', after)?;
    let (value, rest) = after.split_at(end);
    *input = rest.strip_prefix(b"\n\n")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

/// The value of a `data` line. A line that opens a JSON object counts as one, because some servers forget the
/// field's name when they answer an error, and so does one of llama.cpp's field `error`.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    if line == b"data" {
        return Some(b"");
    }
    if line.first() == Some(&b'{') {
        return Some(line);
    }
    let value = line
        .strip_prefix(b"data:")
        .or_else(|| line.strip_prefix(b"error:"))?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

fn extend(buffer: &mut Vec<u8>, bytes: &[u8]) -> Result<(), TooLong> {
    if buffer.len() + bytes.len() > LONGEST {
        return Err(TooLong);
    }
    buffer.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(pieces: &[&[u8]]) -> Vec<String> {
        let mut reader = Reader::default();
        let mut events = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            while let Some(data) = reader.next(&mut input).unwrap() {
                events.push(String::from_utf8_lossy(data).into_owned());
            }
        }
        if let Some(data) = reader.finish().unwrap() {
            events.push(String::from_utf8_lossy(data).into_owned());
        }
        events
    }

    #[test]
    fn every_way_to_end_a_line_is_understood() {
        for newline in ["\n", "\r\n", "\r"] {
            let stream =
                ": hello\n\ndata: one\n\nevent: x\nid: 7\ndata:two\ndata:  three\n\ndata\n\n"
                    .replace('\n', newline);
            assert_eq!(read(&[stream.as_bytes()]), ["one", "two\n three", ""]);
        }
    }

    #[test]
    fn a_stream_reads_the_same_however_it_is_cut() {
        let stream = "\u{feff}data: ä\r\n\r\n: c\n\ndata: {\"x\":1}\n\ndata: a\rdata: b\r\rdata:🎈\n\ndata: end";
        let whole = read(&[stream.as_bytes()]);
        assert_eq!(whole, ["ä", "{\"x\":1}", "a\nb", "🎈", "end"]);
        for one in 0..stream.len() {
            for two in one..stream.len() {
                let (head, rest) = stream.as_bytes().split_at(one);
                let (middle, tail) = rest.split_at(two - one);
                assert_eq!(read(&[head, middle, tail]), whole, "cut at {one} and {two}");
            }
        }
    }

    #[test]
    fn an_event_that_lies_whole_in_a_piece_is_not_copied() {
        let stream = b": hello\n\ndata: one\n\ndata:two\n\ndata: three\n";
        let inside = stream.as_ptr_range();
        let mut reader = Reader::default();
        let mut input = stream.as_slice();
        for expected in [b"one".as_slice(), b"two"] {
            let data = reader.next(&mut input).unwrap().unwrap();
            assert_eq!(data, expected);
            assert!(inside.contains(&data.as_ptr()), "{expected:?}");
        }
        assert_eq!(reader.next(&mut input), Ok(None));
        let mut rest = b"\n".as_slice();
        assert_eq!(reader.next(&mut rest), Ok(Some(b"three".as_slice())));
    }

    #[test]
    fn an_event_of_many_lines_is_bounded_as_one_line_is() {
        let mut reader = Reader::default();
        let line = [b"data: ".as_slice(), &vec![b'x'; LONGEST / 2 - 1], b"\n"].concat();
        assert_eq!(reader.next(&mut line.as_slice()), Ok(None));
        assert_eq!(reader.next(&mut line.as_slice()), Ok(None));
        assert_eq!(reader.next(&mut b"data:\n".as_slice()), Ok(None));
        assert_eq!(reader.next(&mut b"data:\n".as_slice()), Err(TooLong));
        assert_eq!(
            TooLong.to_string(),
            "an event of the stream is longer than 32 MB"
        );
    }

    #[test]
    fn an_object_without_its_field_name_is_data() {
        assert_eq!(read(&[b"{\"error\":1}"]), ["{\"error\":1}"]);
        assert_eq!(read(&[b"hello\nworld: x\n\n"]), Vec::<String>::new());
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut reader = Reader::default();
        let piece = vec![b'x'; LONGEST / 4];
        for _ in 0..4 {
            assert_eq!(reader.next(&mut piece.as_slice()), Ok(None));
        }
        assert_eq!(reader.next(&mut b"x".as_slice()), Err(TooLong));
    }

    #[test]
    fn a_large_event_leaves_little_behind() {
        let mut reader = Reader::default();
        let large = vec![b'y'; 1 << 20];
        for piece in [b"data: ".as_slice(), &large, b"\n"] {
            assert_eq!(reader.next(&mut { piece }), Ok(None));
        }
        assert_eq!(
            reader.next(&mut b"\n".as_slice()).unwrap().map(<[u8]>::len),
            Some(1 << 20)
        );
        assert_eq!(reader.next(&mut b"".as_slice()), Ok(None));
        assert!(reader.line.capacity() <= KEPT && reader.data.capacity() <= KEPT);
    }

    proptest! {
        #[test]
        fn cutting_never_changes_what_is_read(stream in "(data: ?|:|id|[\\{ab]|\n|\r|\r\n){0,40}", cuts in prop::collection::vec(0usize..200, 0..6)) {
            let bytes = stream.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.push(0);
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(read(&pieces), read(&[bytes]));
        }
    }
}
