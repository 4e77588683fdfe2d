//! The simulated upstream: OpenRouter's wire form from memory that was rendered before the first request.
//!
//! It runs on a thread of its own, reads a request only to find its end, and answers what the rig set before the load:
//! a whole completion, or a stream all at once or paced. It does not look into bodies, so a request that comes directly,
//! through nginx or translated by Dagway costs it the same.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::script::Script;
use crate::server_thread::ServerThread;
use crate::wire;

const READ_BUFFER: usize = 64 << 10;

/// How completions are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// One JSON document.
    Whole,
    /// So many content chunks as server-sent events.
    Stream { chunks: u32, flow: Flow },
}

/// How the chunks of a stream follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// All in one write.
    AtOnce,
    /// Each in a write of its own, as fast as it goes.
    OneByOne,
    /// Each in a write of its own, so far apart.
    Paced(Duration),
}

/// A running upstream; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Upstream {
    state: Arc<State>,
    thread: ServerThread,
}

#[derive(Debug)]
struct State {
    reply: Mutex<Reply>,
    completions: AtomicU64,
    script: Script,
}

impl Upstream {
    pub(crate) fn start() -> Result<Self> {
        let state = Arc::new(State {
            reply: Mutex::new(Reply::Whole),
            completions: AtomicU64::new(0),
            script: Script::render(),
        });
        let shared = Arc::clone(&state);
        let thread = ServerThread::start("upstream", move |listener| serve(listener, shared))?;
        Ok(Self { state, thread })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.thread.address()
    }

    /// Sets how completions are answered from now on.
    pub(crate) fn answer_with(&self, reply: Reply) {
        *self.state.lock() = reply;
    }

    /// How many completions were asked for so far.
    pub(crate) fn completions(&self) -> u64 {
        self.state.completions.load(Ordering::Relaxed)
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Reply> {
        // Whoever held it only ever wrote one whole value.
        self.reply.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            // A peer that goes away ends its connection and nothing else.
            let _ = converse(socket, &state).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(mut socket: TcpStream, state: &State) -> Result<()> {
    socket.set_nodelay(true)?;
    let mut buffer = vec![0; READ_BUFFER];
    let mut filled = 0;
    loop {
        let Some((path, length, body)) = read_head(&mut socket, &mut buffer, &mut filled).await?
        else {
            return Ok(());
        };
        let end = length + body;
        if end <= filled {
            buffer.copy_within(end..filled, 0);
            filled -= end;
        } else {
            skip(&mut socket, &mut buffer, end - filled).await?;
            filled = 0;
        }
        answer(&mut socket, state, path).await?;
    }
}

#[derive(Clone, Copy)]
enum Path {
    Completions,
    Models,
    Key,
    Unknown,
}

/// The path of the next request, the length of its head and that of its body; nothing at the end of the connection.
async fn read_head(
    socket: &mut TcpStream,
    buffer: &mut [u8],
    filled: &mut usize,
) -> Result<Option<(Path, usize, usize)>> {
    loop {
        let seen = buffer.get(..*filled).unwrap_or_default();
        if let Some(length) = wire::head_length(seen) {
            let head = std::str::from_utf8(seen.get(..length).unwrap_or_default())?;
            let body = wire::header(head, "content-length").map_or(Ok(0), str::parse)?;
            let target = head.split(' ').nth(1).unwrap_or_default();
            let path = match target {
                "/api/v1/chat/completions" => Path::Completions,
                "/api/v1/models" | "/api/v1/models/user" => Path::Models,
                "/api/v1/key" => Path::Key,
                _ => Path::Unknown,
            };
            return Ok(Some((path, length, body)));
        }
        let room = buffer.get_mut(*filled..).filter(|room| !room.is_empty());
        let read = socket
            .read(room.context("a head longer than the buffer")?)
            .await?;
        if read == 0 {
            return Ok(None);
        }
        *filled += read;
    }
}

async fn skip(socket: &mut TcpStream, buffer: &mut [u8], mut left: usize) -> Result<()> {
    while left > 0 {
        let room = left.min(buffer.len());
        let read = socket
            .read(buffer.get_mut(..room).unwrap_or_default())
            .await?;
        anyhow::ensure!(read > 0, "the connection ended inside a body");
        left -= read;
    }
    Ok(())
}

async fn answer(socket: &mut TcpStream, state: &State, path: Path) -> Result<()> {
    let script = &state.script;
    match path {
        Path::Completions => {
            state.completions.fetch_add(1, Ordering::Relaxed);
            let reply = *state.lock();
            match reply {
                Reply::Whole => socket.write_all(&script.completion).await?,
                Reply::Stream { chunks, flow } => stream(socket, script, chunks, flow).await?,
            }
        }
        Path::Models => socket.write_all(&script.models).await?,
        Path::Key => socket.write_all(&script.key).await?,
        Path::Unknown => socket.write_all(&script.not_found).await?,
    }
    Ok(())
}

async fn stream(socket: &mut TcpStream, script: &Script, chunks: u32, flow: Flow) -> Result<()> {
    let mut clock = match flow {
        Flow::Paced(gap) => Some(tokio::time::interval(gap)),
        Flow::AtOnce | Flow::OneByOne => None,
    };
    let mut out = script.stream_head.clone();
    for (index, event) in script.events(chunks).enumerate() {
        if index > 0 && flow != Flow::AtOnce {
            socket.write_all(&out).await?;
            out.clear();
            tokio::task::yield_now().await;
        }
        if let Some(clock) = &mut clock {
            clock.tick().await;
        }
        out.extend_from_slice(event);
    }
    out.extend_from_slice(&script.stream_end);
    socket.write_all(&out).await?;
    Ok(())
}
