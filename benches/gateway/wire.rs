//! HTTP/1.1 as far as the rig needs it: finding the end of heads and of answers.
//!
//! Both sides of the rig read millions of messages, so this reads bytes as they come and keeps nothing but the head,
//! the beginning of a stream until its first token, and the last few bytes. It knows no sockets.

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem;

/// Stands in the first content chunk of every simulated stream and nowhere else.
pub(crate) const FIRST_TOKEN: &str = "~first";

const LONGEST_HEAD: usize = 16 << 10;
const LONGEST_OPENING: usize = 64 << 10;
const KEPT_TAIL: usize = 96;
/// Sixteen times this is as long as a chunk can be said to be.
const LARGEST_CHUNK: usize = 1 << 28;

/// The length of a head with its empty line, once it is complete.
pub(crate) fn head_length(bytes: &[u8]) -> Option<usize> {
    memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// The value of a header, by its name in lower case.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// One answer as it arrives.
#[derive(Debug)]
pub(crate) struct Answer {
    stage: Stage,
    head: Vec<u8>,
    status: u16,
    opening: Vec<u8>,
    has_token: bool,
    tail: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Head,
    Counted(usize),
    ChunkSize(usize),
    ChunkSizeEnd(usize),
    ChunkData(usize),
    ChunkDataEnd,
    Trailer { line: usize },
    Done,
}

impl Answer {
    pub(crate) fn new() -> Self {
        Self {
            stage: Stage::Head,
            head: Vec::with_capacity(512),
            status: 0,
            opening: Vec::new(),
            has_token: false,
            tail: Vec::new(),
        }
    }

    /// Takes the next bytes of the connection.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<()> {
        if matches!(self.stage, Stage::Head) {
            bytes = self.feed_head(bytes)?;
        }
        while !bytes.is_empty() && !self.is_done() {
            bytes = self.feed_body(bytes)?;
        }
        Ok(())
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    pub(crate) fn has_token(&self) -> bool {
        self.has_token
    }

    /// An answer that ended well: status 200 and, for a stream, its own word for the end.
    pub(crate) fn check(&self, ending: Option<&str>) -> Result<()> {
        let tail = String::from_utf8_lossy(&self.tail);
        ensure!(self.status == 200, "status {}: …{tail}", self.status);
        if let Some(ending) = ending {
            ensure!(
                tail.contains(ending),
                "the stream ends without {ending}: …{tail}"
            );
        }
        Ok(())
    }

    fn feed_head<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8]> {
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        let Some(length) = head_length(&self.head) else {
            ensure!(self.head.len() < LONGEST_HEAD, "a head without an end");
            return Ok(&[]);
        };
        let head = self.head.get(..length).unwrap_or_default();
        let head = std::str::from_utf8(head).context("a head that is no text")?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        self.status = status.context("an answer without a status")?;
        self.stage = match (
            header(head, "content-length"),
            header(head, "transfer-encoding"),
        ) {
            (Some(length), _) => counted(length.parse().context("content-length")?),
            (None, Some("chunked")) => Stage::ChunkSize(0),
            _ => bail!("an answer without a length: {head}"),
        };
        Ok(bytes.get(length - before..).unwrap_or_default())
    }

    fn feed_body<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8]> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(&[]);
        };
        match self.stage {
            Stage::Counted(left) | Stage::ChunkData(left) => {
                let (body, rest) = bytes.split_at(left.min(bytes.len()));
                self.keep(body);
                let left = left - body.len();
                self.stage = match self.stage {
                    Stage::Counted(_) => counted(left),
                    _ if left == 0 => Stage::ChunkDataEnd,
                    _ => Stage::ChunkData(left),
                };
                return Ok(rest);
            }
            Stage::ChunkSize(size) => {
                self.stage = match (char::from(first).to_digit(16), first) {
                    (Some(digit), _) if size < LARGEST_CHUNK => {
                        Stage::ChunkSize((size << 4) + digit as usize)
                    }
                    (None, b'\r' | b';') => Stage::ChunkSizeEnd(size),
                    _ => bail!("a chunk whose size is no number"),
                };
            }
            Stage::ChunkSizeEnd(size) if first == b'\n' => {
                self.stage = if size == 0 {
                    Stage::Trailer { line: 0 }
                } else {
                    Stage::ChunkData(size)
                };
            }
            Stage::ChunkDataEnd if first == b'\n' => self.stage = Stage::ChunkSize(0),
            Stage::Trailer { line: 0 } if first == b'\n' => self.stage = Stage::Done,
            Stage::Trailer { .. } if first == b'\n' => self.stage = Stage::Trailer { line: 0 },
            Stage::Trailer { line } if first != b'\r' => {
                self.stage = Stage::Trailer { line: line + 1 }
            }
            _ => {}
        }
        Ok(rest)
    }

    fn keep(&mut self, body: &[u8]) {
        if !self.has_token && self.opening.len() < LONGEST_OPENING {
            let from = self.opening.len().saturating_sub(FIRST_TOKEN.len());
            self.opening.extend_from_slice(body);
            let unseen = self.opening.get(from..).unwrap_or_default();
            self.has_token = memmem::find(unseen, FIRST_TOKEN.as_bytes()).is_some();
        }
        let news = body
            .get(body.len().saturating_sub(KEPT_TAIL)..)
            .unwrap_or_default();
        let surplus = (self.tail.len() + news.len()).saturating_sub(KEPT_TAIL);
        self.tail.drain(..surplus.min(self.tail.len()));
        self.tail.extend_from_slice(news);
    }
}

fn counted(left: usize) -> Stage {
    if left == 0 {
        Stage::Done
    } else {
        Stage::Counted(left)
    }
}
