//! One keep-alive connection of the load generator: it writes a request and reads the answer to its end.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bodies::{Body, stamp};
use crate::target::Target;
use crate::wire::Answer;

const READ_BUFFER: usize = 32 << 10;
const LONGEST_ANSWER: Duration = Duration::from_secs(60);

/// An open connection with a request of its own to send again and again.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    target: Target,
    request: Body,
    is_stream: bool,
    buffer: Vec<u8>,
}

/// What one request took, from the moment given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shot {
    pub(crate) latency: Duration,
    pub(crate) first_token: Option<Duration>,
}

impl Connection {
    pub(crate) async fn open(target: Target, request: Body, is_stream: bool) -> Result<Self> {
        let socket = connect(&target).await?;
        Ok(Self {
            socket,
            target,
            request,
            is_stream,
            buffer: vec![0; READ_BUFFER],
        })
    }

    /// Opens it again after a failure, which leaves half an answer in it.
    pub(crate) async fn reopen(&mut self) -> Result<()> {
        self.socket = connect(&self.target).await?;
        Ok(())
    }

    /// Sends the request; times are counted from `since`. `on_token` is called when a stream's first token is here.
    pub(crate) async fn ask(&mut self, since: Instant, on_token: impl FnMut()) -> Result<Shot> {
        let asked = tokio::time::timeout(LONGEST_ANSWER, self.exchange(since, on_token)).await;
        asked.context("no complete answer in time")?
    }

    async fn exchange(&mut self, since: Instant, mut on_token: impl FnMut()) -> Result<Shot> {
        stamp(
            self.request
                .bytes
                .get_mut(self.request.nonce.clone())
                .unwrap_or_default(),
        );
        self.socket.write_all(&self.request.bytes).await?;
        let mut answer = Answer::new();
        let mut first_token = None;
        while !answer.is_done() {
            let read = self.socket.read(&mut self.buffer).await?;
            ensure!(read > 0, "the connection ended inside an answer");
            answer.feed(self.buffer.get(..read).unwrap_or_default())?;
            if first_token.is_none() && answer.has_token() {
                first_token = Some(since.elapsed());
                on_token();
            }
        }
        let latency = since.elapsed();
        answer.check(self.is_stream.then(|| self.target.way.ending()))?;
        ensure!(
            !self.is_stream || first_token.is_some(),
            "a stream without its first token"
        );
        Ok(Shot {
            latency,
            first_token,
        })
    }
}

async fn connect(target: &Target) -> Result<TcpStream> {
    let socket = TcpStream::connect(target.address).await;
    let socket = socket.with_context(|| format!("connecting to {}", target.way.name()))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}
