//! As much HTTP/1.1 as an upstream needs, by hand: a suite that cuts answers where no server would must hold the socket.

use std::collections::BTreeMap;
use std::io;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::tcp::OwnedReadHalf;

/// The longest head of a request.
const LONGEST_HEAD: usize = 64 << 10;
/// The longest body of a request.
const LONGEST_BODY: usize = 64 << 20;

/// A request as the upstream sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    /// Names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

/// Reads the next request of a connection; nothing when it has ended.
pub(super) async fn request(from: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Seen>> {
    let mut seen = Seen::default();
    let Some(first) = line(from).await? else {
        return Ok(None);
    };
    let mut words = first.split(' ');
    seen.method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    seen.path = target.split('?').next().unwrap_or_default().to_owned();
    let mut length = 0;
    while let Some(line) = line(from).await? {
        length += line.len();
        if line.is_empty() {
            break;
        }
        if length > LONGEST_HEAD {
            return Err(io::Error::other("the head of a request is too long"));
        }
        if let Some((name, value)) = line.split_once(':') {
            let value = value.trim().to_owned();
            seen.headers.insert(name.to_ascii_lowercase(), value);
        }
    }
    let body = body(from, &seen.headers).await?;
    seen.body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(seen))
}

async fn line(from: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = from.take(LONGEST_HEAD as u64).read_line(&mut line).await?;
    let line = line.trim_end_matches(['\r', '\n']).to_owned();
    Ok((read > 0).then_some(line))
}

async fn body(
    from: &mut BufReader<OwnedReadHalf>,
    headers: &BTreeMap<String, String>,
) -> io::Result<Vec<u8>> {
    let is_chunked = headers
        .get("transfer-encoding")
        .is_some_and(|coding| coding.contains("chunked"));
    if is_chunked {
        return chunked(from).await;
    }
    let length = headers
        .get("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    exactly(from, length).await
}

async fn chunked(from: &mut BufReader<OwnedReadHalf>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let head = line(from).await?.unwrap_or_default();
        let size = head.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
        let piece = exactly(from, size).await?;
        line(from).await?;
        if size == 0 {
            return Ok(body);
        }
        body.extend(piece);
        if body.len() > LONGEST_BODY {
            return Err(io::Error::other("the body of a request is too long"));
        }
    }
}

async fn exactly(from: &mut BufReader<OwnedReadHalf>, length: usize) -> io::Result<Vec<u8>> {
    if length > LONGEST_BODY {
        return Err(io::Error::other("the body of a request is too long"));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// The head of an answer whose body comes in chunks.
pub(super) fn head(status: u16, headers: &BTreeMap<String, String>) -> String {
    let lines = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    format!(
        "HTTP/1.1 {status} Conformance\r\n{}transfer-encoding: chunked\r\n\r\n",
        lines.collect::<String>()
    )
}

/// A chunk of a body.
pub(super) fn chunk(piece: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
    chunk.extend_from_slice(piece);
    chunk.extend_from_slice(b"\r\n");
    chunk
}
