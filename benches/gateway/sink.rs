//! The OTLP receiver: takes every export at once, counts its bytes and throws it away.
//!
//! Dagway exports to it during the whole run, as to a collector that is never the bottleneck. It runs on a thread of its
//! own, so that it delays neither the upstream nor the load generator.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::server_thread::ServerThread;
use crate::wire;

/// An empty `ExportTraceServiceResponse` has no bytes at all.
const ACCEPTED: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
const READ_BUFFER: usize = 64 << 10;

/// A running receiver; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Sink {
    counts: Arc<Counts>,
    thread: ServerThread,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Sink {
    pub(crate) fn start() -> Result<Self> {
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        let thread = ServerThread::start("sink", move |listener| serve(listener, shared))?;
        Ok(Self { counts, thread })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.thread.address()
    }

    /// How many exports came, and their bytes.
    pub(crate) fn received(&self) -> (u64, u64) {
        let requests = self.counts.requests.load(Ordering::Relaxed);
        (requests, self.counts.bytes.load(Ordering::Relaxed))
    }
}

async fn serve(listener: TcpListener, counts: Arc<Counts>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let counts = Arc::clone(&counts);
        connections.spawn(async move {
            // An exporter that goes away ends its connection and nothing else.
            let _ = converse(socket, &counts).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(mut socket: TcpStream, counts: &Counts) -> Result<()> {
    socket.set_nodelay(true)?;
    let mut pending = Vec::with_capacity(READ_BUFFER);
    loop {
        let Some(length) = wire::head_length(&pending) else {
            if socket.read_buf(&mut pending).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let head = std::str::from_utf8(pending.get(..length).unwrap_or_default())?;
        ensure!(
            head.starts_with("POST /v1/traces "),
            "not an export: {head}"
        );
        let body: usize = wire::header(head, "content-length").map_or(Ok(0), str::parse)?;
        while pending.len() < length + body {
            ensure!(
                socket.read_buf(&mut pending).await? > 0,
                "the connection ended inside an export"
            );
        }
        pending.drain(..length + body);
        counts.requests.fetch_add(1, Ordering::Relaxed);
        counts.bytes.fetch_add(body as u64, Ordering::Relaxed);
        socket.write_all(ACCEPTED).await?;
    }
}
