//! A measured process: started with a folder of its own, stopped and cleaned up when dropped, whatever happened.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cpu::Meter;

const LOOK_EVERY: Duration = Duration::from_millis(1);
const LONGEST_STOP: Duration = Duration::from_secs(3);
const SHOWN_COMPLAINTS: usize = 1_000;

/// A running process with its temporary folder.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    folder: TempDir,
    spawned: Instant,
    address: Option<SocketAddr>,
    ready_after: Duration,
}

impl Process {
    /// Starts it; what it says on stderr is kept in its folder.
    pub(crate) fn spawn(
        name: &'static str,
        command: &mut Command,
        folder: TempDir,
    ) -> Result<Self> {
        let complaints = File::create(folder.path().join("stderr"))?;
        command
            .stdin(Stdio::null())
            .stderr(complaints)
            .current_dir(folder.path());
        let spawned = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        Ok(Self {
            name,
            child,
            folder,
            spawned,
            address: None,
            ready_after: Duration::ZERO,
        })
    }

    /// Where it listens, as it says on a line of its piped output that begins with `announcement`.
    pub(crate) async fn announced(
        &mut self,
        announcement: &'static str,
        within: Duration,
    ) -> Result<SocketAddr> {
        let told = self.lines_with(announcement)?;
        let address = tokio::task::spawn_blocking(move || told.recv_timeout(within)).await?;
        address.with_context(|| {
            let (name, complaints) = (self.name, self.complaints());
            format!("{name} did not say where it listens; it said: {complaints}")
        })
    }

    /// Reads what the process says, to the end so that it never blocks on a full pipe, and picks out where it listens.
    fn lines_with(&mut self, announcement: &'static str) -> Result<Receiver<SocketAddr>> {
        let output = self.child.stdout.take().context("the output is piped")?;
        let (tell, told) = sync_channel(1);
        let read = move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let address = line
                    .trim()
                    .strip_prefix(announcement)
                    .and_then(|rest| rest.trim_end_matches('/').parse().ok());
                if let Some(address) = address {
                    // Nobody listens any more once the wait is over.
                    let _ = tell.try_send(address);
                }
            }
        };
        std::thread::Builder::new()
            .name(format!("{}-output", self.name))
            .spawn(read)?;
        Ok(told)
    }

    pub(crate) fn meter(&self) -> Meter {
        Meter::new(self.child.id())
    }

    /// Where it answers, once it does.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        self.address
            .with_context(|| format!("{} is not ready", self.name))
    }

    /// From its start to its first answer.
    pub(crate) fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// The end of what it said on stderr.
    pub(crate) fn complaints(&self) -> String {
        let text = fs::read(self.folder.path().join("stderr")).unwrap_or_default();
        let end = text
            .get(text.len().saturating_sub(SHOWN_COMPLAINTS)..)
            .unwrap_or_default();
        String::from_utf8_lossy(end).trim().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Asked politely, nginx takes its workers along and Dagway finishes its records.
        let asked = Command::new("kill")
            .arg("-TERM")
            .arg(self.child.id().to_string())
            .stderr(Stdio::null())
            .status();
        let deadline = Instant::now() + LONGEST_STOP;
        while asked.is_ok() && Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::park_timeout(LOOK_EVERY * 5);
        }
        for pid in self.meter().processes().into_iter().skip(1) {
            let _ = Command::new("kill")
                .arg("-KILL")
                .arg(pid.to_string())
                .stderr(Stdio::null())
                .status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until the process answers `path` with 200, and notes how long that took from its start.
pub(crate) async fn wait_until_answers(
    process: &mut Process,
    address: SocketAddr,
    path: &str,
    within: Duration,
) -> Result<()> {
    while process.spawned.elapsed() < within {
        if answers(address, path).await {
            process.ready_after = process.spawned.elapsed();
            process.address = Some(address);
            return Ok(());
        }
        if let Some(status) = process.child.try_wait()? {
            bail!(
                "{} ended ({status}) before it was ready: {}",
                process.name,
                process.complaints()
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bail!(
        "{} did not answer {path} within {within:?}: {}",
        process.name,
        process.complaints()
    )
}

async fn answers(address: SocketAddr, path: &str) -> bool {
    let Ok(mut socket) = TcpStream::connect(address).await else {
        return false;
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut start = [0; 12];
    let asked = async {
        socket.write_all(request.as_bytes()).await?;
        socket.read_exact(&mut start).await
    };
    let answered = tokio::time::timeout(Duration::from_secs(1), asked).await;
    matches!(answered, Ok(Ok(_))) && &start == b"HTTP/1.1 200"
}
