//! A wire between a process and its database that can be cut, or made to say nothing: real sockets, closed for real.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::stage::Database;
use crate::store::Opened;

#[derive(Clone, Copy, PartialEq)]
enum Condition {
    Whole,
    /// Nothing passes, and nobody is told.
    Held,
    /// Every connection is closed, and none is taken.
    Cut,
}

/// The wire. It is cut when it is dropped.
pub(super) struct Wire {
    address: SocketAddr,
    condition: Arc<watch::Sender<Condition>>,
}

impl Wire {
    /// A wire to the server of `database`.
    pub(super) async fn before(database: &Database) -> Self {
        let server = database.server();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (condition, seen) = watch::channel(Condition::Whole);
        #[expect(clippy::disallowed_methods, reason = "the runtime of the test ends it")]
        tokio::runtime::Handle::current().spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let seen = seen.clone();
                #[expect(clippy::disallowed_methods, reason = "the runtime of the test ends it")]
                tokio::runtime::Handle::current().spawn(pass(near, server.clone(), seen));
            }
        });
        Self {
            address,
            condition: Arc::new(condition),
        }
    }

    /// Opens the store through it.
    pub(super) async fn open(&self, database: &Database) -> Opened {
        database.through(self.address).open().await
    }

    pub(super) fn cut(&self) {
        self.condition.send_replace(Condition::Cut);
    }

    pub(super) fn hold(&self) {
        self.condition.send_replace(Condition::Held);
    }

    /// New connections pass; old ones stay as they are.
    pub(super) fn mend(&self) {
        self.condition.send_replace(Condition::Whole);
    }
}

/// Passes bytes until the wire is cut; from when it is held, this connection says nothing any more.
async fn pass(mut near: TcpStream, server: String, mut seen: watch::Receiver<Condition>) {
    if *seen.borrow() == Condition::Cut {
        return;
    }
    if *seen.borrow() == Condition::Held {
        let _ = seen.wait_for(|now| *now == Condition::Cut).await;
        return;
    }
    let mut far = TcpStream::connect(server).await.unwrap();
    let passed = tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => return,
        changed = seen.wait_for(|now| *now != Condition::Whole) => changed.map(|now| *now),
    };
    if passed.is_ok_and(|now| now == Condition::Held) {
        // Both ends stay open, until the wire is cut or gone.
        let _ = seen.wait_for(|now| *now == Condition::Cut).await;
    }
}
