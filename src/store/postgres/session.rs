//! The writer's connection: its statements, its place among the processes, and what other processes announce on it.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use futures_util::future::try_join_all;
use tokio::runtime::Handle;
use tokio_postgres::{AsyncMessage, Client, Notification, Statement};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::address::Address;
use super::open::Trouble;
use super::presence;
use crate::events::RunId;
use crate::store::live::Live;

/// On which announcements are made.
pub(super) const CHANNEL: &str = "dagway_runs";
/// Runs in one announcement: PostgreSQL takes less than 8,000 bytes.
pub(super) const MOST_ANNOUNCED: usize = 240;

/// When this process falls silent in mid-transaction, frozen or cut off, the server lets go of its locks, so that the
/// others can go on.
const MANNERS: &str =
    "SET idle_in_transaction_session_timeout = '10s'; SET tcp_keepalives_idle = 15;
    SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; SET tcp_user_timeout = '30s'";

/// Moves the bytes of a connection until it is dropped.
type Driver = AbortOnDropHandle<()>;

/// A connection that writes.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) statements: Vec<Statement>,
    /// This process's number.
    pub(super) process: i32,
    _driver: Driver,
}

/// A connection, and what the server tells on it unasked.
pub(super) struct Wire {
    pub(super) client: Client,
    /// The connection's number at the server, once it is known.
    backend: Arc<AtomicI32>,
    driver: Driver,
}

impl Wire {
    /// Connects. What other processes announce goes to `live` once [`CHANNEL`] is listened to.
    pub(super) async fn connect(address: &Address, live: Live) -> Result<Self, Trouble> {
        let tls = address.tls()?;
        let (client, mut connection) = address.config().connect(tls).await?;
        let backend = Arc::new(AtomicI32::new(0));
        let own = Arc::clone(&backend);
        #[expect(
            clippy::disallowed_methods,
            reason = "the connection's handle owns it: dropped, it ends"
        )]
        let driver = Handle::current().spawn(async move {
            // Every failure reaches the client too.
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(news) = message {
                    hear(&news, own.load(Ordering::Relaxed), &live);
                }
            }
        });
        let driver = AbortOnDropHandle::new(driver);
        client.batch_execute(MANNERS).await?;
        Ok(Self {
            client,
            backend,
            driver,
        })
    }

    /// Takes a place among the processes: a new one, or the one that this process had before.
    pub(super) async fn begin(
        self,
        statements: &[&str],
        before: Option<i32>,
    ) -> Result<Session, Trouble> {
        let Self { client, driver, .. } = self;
        let backend: i32 = client
            .query_one("SELECT pg_backend_pid()", &[])
            .await?
            .get(0);
        self.backend.store(backend, Ordering::Relaxed);
        let process = match before {
            Some(process) => {
                presence::return_as(&client, process).await?;
                process
            }
            None => presence::enlist(&client).await?,
        };
        let prepared = statements.iter().map(|sql| client.prepare(sql));
        let statements = try_join_all(prepared).await?;
        client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
        Ok(Session {
            client,
            statements,
            process,
            _driver: driver,
        })
    }
}

/// Who is to hear of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// The other processes: the recorder tells the pages of its own, and to tell them twice costs a read.
    Others,
    /// Everybody: nobody's recorder has made the change.
    All,
}

/// What an announcement for everybody begins with.
const TO_ALL: &str = "all:";

/// Tells the pages of this process what was announced. Announcements come back to the connection that made them, too.
fn hear(news: &Notification, own: i32, live: &Live) {
    let (audience, ids) = match news.payload().strip_prefix(TO_ALL) {
        Some(ids) => (Audience::All, ids),
        None => (Audience::Others, news.payload()),
    };
    let is_own = news.process_id() == own;
    if news.channel() != CHANNEL || is_own && audience == Audience::Others {
        return;
    }
    let runs = ids.split(',').filter_map(|id| Uuid::try_parse(id).ok());
    let runs: Vec<RunId> = runs.map(|id| RunId::from_bytes(id.into_bytes())).collect();
    live.publish(runs.into_iter());
}

/// The announcements that these runs have changed.
pub(super) fn announcements(runs: &[RunId], audience: Audience) -> Vec<String> {
    let prefix = match audience {
        Audience::Others => "",
        Audience::All => TO_ALL,
    };
    let text = |runs: &[RunId]| {
        let ids: Vec<String> = runs.iter().map(|run| run.simple().to_string()).collect();
        format!("{prefix}{}", ids.join(","))
    };
    runs.chunks(MOST_ANNOUNCED).map(text).collect()
}
