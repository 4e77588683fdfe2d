//! The upstream that the suite plays: a port that answers every running case as its file says.
//!
//! It tells cases apart by the mark in the body; a request without one belongs to the case that runs alone.
//! It must not know what is expected of a request: it notes it and hands it over.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::case::End;
use super::slot::{Reply, Slot, json_reply, refusal};
use super::text::Mark;
use super::wire::{self, Seen};

/// The models that the upstream lists, with abilities that differ.
const CATALOGUE: &str = include_str!("../../tests/conformance/catalogue.json");
/// How long an answer that hangs is held.
const LONGEST_HANG: Duration = Duration::from_secs(60);

/// The upstream, listening. Dropped, it stops.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    desk: Arc<Desk>,
    _accepting: Accepting,
}

/// Takes connections and owns them all.
type Accepting = AbortOnDropHandle<()>;

/// Who gets which request.
#[derive(Debug, Default)]
struct Desk {
    slots: Mutex<HashMap<Mark, Arc<Slot>>>,
    alone: Mutex<Option<Arc<Slot>>>,
    strays: Mutex<Vec<Seen>>,
}

impl Upstream {
    /// Takes the address and answers from then on.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let desk = Arc::default();
        #[expect(
            clippy::disallowed_methods,
            reason = "the upstream owns it: dropped, it ends"
        )]
        let accepting = tokio::spawn(accept(listener, Arc::clone(&desk)));
        Ok(Self {
            address,
            desk,
            _accepting: AbortOnDropHandle::new(accepting),
        })
    }

    /// What the gateway under test must have as the base URL of its upstream.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/api/v1", self.address)
    }

    /// Lets a case receive what bears its mark, and if it is to run alone, what bears none.
    pub(super) fn open(&self, slot: &Arc<Slot>, is_alone: bool) {
        held(&self.desk.slots).insert(slot.mark.clone(), Arc::clone(slot));
        if is_alone {
            *held(&self.desk.alone) = Some(Arc::clone(slot));
        }
    }

    /// Ends what [`Self::open`] began.
    pub(super) fn close(&self, slot: &Slot) {
        held(&self.desk.slots).remove(&slot.mark);
        held(&self.desk.alone).take_if(|alone| alone.mark == slot.mark);
    }

    /// Requests that belonged to no case that was running.
    pub(super) fn strays(&self) -> Vec<String> {
        let strays = std::mem::take(&mut *held(&self.desk.strays));
        strays
            .into_iter()
            .map(|seen| format!("{} {}", seen.method, seen.path))
            .collect()
    }
}

impl Desk {
    fn answer(&self, seen: Seen) -> (Reply, Option<Arc<Slot>>) {
        if seen.method == "GET" && seen.path.ends_with("/models") {
            return (json_reply(200, CATALOGUE), None);
        }
        if seen.method != "POST" {
            let not_found = r#"{"error":{"code":404,"message":"Not Found"}}"#;
            return (json_reply(404, not_found), None);
        }
        let slot = match Mark::find(&seen.body) {
            Some(mark) => held(&self.slots).get(&mark).cloned(),
            None => held(&self.alone).clone(),
        };
        if let Some(slot) = slot {
            return (slot.answer(seen), Some(slot));
        }
        held(&self.strays).push(seen);
        let refused = refusal("no case that is running expects this request");
        (refused, None)
    }
}

/// A lock whose holder panicked still guards whole values.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, desk: Arc<Desk>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let desk = Arc::clone(&desk);
        // A connection that breaks is the gateway's business; the case sees what came of it.
        connections.spawn(async move { converse(socket, &desk).await });
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(socket: TcpStream, desk: &Desk) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let (read, mut write) = socket.into_split();
    let mut read = BufReader::new(read);
    while let Some(seen) = wire::request(&mut read).await? {
        let (reply, slot) = desk.answer(seen);
        let sent = send(reply, &mut read, &mut write).await;
        if matches!(sent, Ok(true)) {
            continue;
        }
        if let Some(slot) = slot {
            slot.let_go.notify_one();
        }
        break;
    }
    Ok(())
}

/// Sends an answer, each piece in a chunk and a write of its own. Returns whether the connection can go on.
async fn send(
    reply: Reply,
    read: &mut BufReader<OwnedReadHalf>,
    write: &mut OwnedWriteHalf,
) -> io::Result<bool> {
    let head = wire::head(reply.status, &reply.headers);
    write.write_all(head.as_bytes()).await?;
    for (pause, piece) in reply.pieces.iter().filter(|(_, piece)| !piece.is_empty()) {
        if !pause.is_zero() {
            tokio::time::sleep(*pause).await;
        }
        write.write_all(&wire::chunk(piece)).await?;
        write.flush().await?;
        tokio::task::yield_now().await;
    }
    match reply.end {
        End::Clean => {
            write.write_all(&wire::chunk(b"")).await?;
            Ok(true)
        }
        End::Cut => Ok(false),
        End::Hang => {
            let mut byte = [0];
            let _ = tokio::time::timeout(LONGEST_HANG, read.read(&mut byte)).await;
            Ok(false)
        }
    }
}
