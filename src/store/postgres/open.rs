//! Connects, migrates, marks what dead processes left behind; the sentences when it cannot.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::address::{self, Address};
use super::columns::STATEMENTS;
use super::link::Link;
use super::migrate::{self, MIGRATIONS, migrate, schema};
use super::presence::bury;
use super::read::PostgresStore;
use super::session::Wire;
use super::write::PostgresSink;
use super::{TooSlow, said};
use crate::store::live::Live;
use crate::store::recorder::Recorder;
use crate::store::settings::Settings;
use crate::store::stats::RecorderStats;
use crate::store::{Error, Opened};

/// The longest that each part of opening may take, but for migrations.
const LONGEST: Duration = Duration::from_secs(60);
/// The longest that migrations may take, or another replica's: one may write every run anew.
const LONGEST_MIGRATION: Duration = Duration::from_secs(3_600);
/// The longest that a look may take.
const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// What can go wrong on the way to a session.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Address(#[from] address::Fault),
    #[error("{}", said(.0))]
    Database(#[from] tokio_postgres::Error),
    #[error(transparent)]
    Migration(#[from] migrate::Fault),
    #[error(transparent)]
    TooSlow(#[from] TooSlow),
    #[error(transparent)]
    Other(#[from] Error),
    #[error("its user may not create in it")]
    Forbidden,
}

/// Why the store cannot be opened, and the cure.
#[derive(Debug, thiserror::Error)]
#[error("the run store {address} cannot be opened: {why}; {cure}")]
pub struct OpenError {
    address: String,
    why: String,
    cure: String,
}

/// Opens the store in the database at `address`, making its tables when they are missing.
/// To be called on the runtime that drives connections, which must not be the thread that records.
///
/// # Errors
/// With a sentence that names the database and the cure.
pub async fn open(address: &Address, settings: Settings) -> Result<Opened, OpenError> {
    connect(address, settings)
        .await
        .map_err(|trouble| refusal(address, &trouble))
}

/// Looks whether the store could be opened, and changes nothing: for a person who asks what is wrong.
///
/// # Errors
/// Those that opening the store would have.
pub async fn examine(address: &Address) -> Result<(), OpenError> {
    within(LONGEST_LOOK, look(address))
        .await
        .map_err(|trouble| refusal(address, &trouble))
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    let done = tokio::time::timeout(limit, work).await;
    done.unwrap_or_else(|_| Err(TooSlow(limit).into()))
}

async fn connect(address: &Address, settings: Settings) -> Result<Opened, Trouble> {
    let live = Live::default();
    let mut wire = within(LONGEST, Wire::connect(address, live.clone())).await?;
    let look = async { Ok(migrate::is_behind(&mut wire.client, &MIGRATIONS).await?) };
    if within(LONGEST, look).await? {
        tracing::info!(server.address = %address, "the database is brought to the present schema");
        let migrated = async { Ok(migrate(&mut wire.client, &MIGRATIONS).await?) };
        within(LONGEST_MIGRATION, migrated).await?;
    }
    within(LONGEST, opened(address, settings, wire, live)).await
}

/// Begins a session on a database of the present schema.
async fn opened(
    address: &Address,
    settings: Settings,
    wire: Wire,
    live: Live,
) -> Result<Opened, Trouble> {
    let mut session = wire.begin(&STATEMENTS, None).await?;
    let transaction = session.client.transaction().await?;
    let crashed = bury(&transaction, session.process).await?;
    transaction.commit().await?;
    let stats = Arc::new(RecorderStats::of_a_start(crashed));
    let link = Link::new(address.clone(), live.clone(), Handle::current(), session);
    let sink = PostgresSink::new(link, settings.heard_after);
    let store = PostgresStore::new(address, settings.read_limit, Arc::clone(&stats))?;
    Ok(Opened {
        store: Arc::new(store),
        recorder: Recorder::new(Box::new(sink), settings, live.clone(), stats),
        live,
        crashed,
    })
}

async fn look(address: &Address) -> Result<(), Trouble> {
    let mut wire = Wire::connect(address, Live::default()).await?;
    let is_fresh = is_fresh(&mut wire.client).await?;
    let question = if is_fresh {
        "SELECT has_database_privilege(current_database(), 'CREATE') AND NOT pg_is_in_recovery()"
    } else {
        "SELECT has_table_privilege('dagway.runs', 'INSERT, UPDATE') AND NOT pg_is_in_recovery()"
    };
    let may_write: bool = wire.client.query_one(question, &[]).await?.get(0);
    if may_write {
        Ok(())
    } else {
        Err(Trouble::Forbidden)
    }
}

async fn is_fresh(client: &mut Client) -> Result<bool, Trouble> {
    let transaction = client.build_transaction().read_only(true).start().await?;
    Ok(schema(&transaction, MIGRATIONS.len()).await? == 0)
}

fn refusal(address: &Address, trouble: &Trouble) -> OpenError {
    OpenError {
        address: address.to_string(),
        why: trouble.to_string(),
        cure: cure(address, trouble),
    }
}

fn cure(address: &Address, trouble: &Trouble) -> String {
    let (user, database) = (address.user(), address.database());
    let origin = address.origin();
    let another = format!("or name another database in {origin}");
    let grant = format!(
        "let it: GRANT CREATE ON DATABASE \"{database}\" TO \"{user}\", on a server that is no standby, {another}"
    );
    let error = match trouble {
        Trouble::Migration(migrate::Fault::Newer { .. }) => {
            return format!("use the newer Dagway that made its tables, {another}");
        }
        Trouble::Migration(migrate::Fault::Foreign) => {
            return format!("rename that schema, {another}");
        }
        Trouble::Migration(migrate::Fault::Encoding(_)) => {
            return format!(
                "make one with `CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`, {another}"
            );
        }
        Trouble::Address(_) => return format!("correct the address in {origin}"),
        Trouble::Forbidden => return grant,
        Trouble::Database(error) | Trouble::Migration(migrate::Fault::Database(error)) => error,
        Trouble::TooSlow(_) | Trouble::Other(_) => {
            return format!("see whether it is well, {another}");
        }
    };
    match error.code() {
        Some(code) if *code == SqlState::INVALID_CATALOG_NAME => {
            format!("make it with `createdb {database}`, {another}")
        }
        Some(code) if is_about_the_user(code) => {
            format!("correct the user and the password in {origin}")
        }
        Some(code)
            if *code == SqlState::INSUFFICIENT_PRIVILEGE
                || *code == SqlState::READ_ONLY_SQL_TRANSACTION =>
        {
            grant
        }
        Some(_) => format!("see the server's log, {another}"),
        None if said(error).contains("certificate") => {
            format!(
                "name the file of its root certificates with sslrootcert=FILE in {origin}, or do without TLS with \
                 sslmode=disable where nobody else can listen"
            )
        }
        None if said(error).contains("TLS") => {
            format!(
                "let the server offer TLS, or do without it with sslmode=disable in {origin} where nobody else can listen"
            )
        }
        None => format!("start it, or correct the address in {origin}"),
    }
}

fn is_about_the_user(code: &SqlState) -> bool {
    *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION
}
