//! A place for runs in every engine: a folder for SQLite, a database of its own for PostgreSQL.

use std::time::Duration;

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use super::{open_with, settings};
use crate::store::postgres::{self, Address, OpenError};
use crate::store::{Opened, Settings};

/// Names the PostgreSQL server of the tests, as a user that may make databases. `tests/run` starts one.
const SERVER: &str = "DAGWAY_TEST_POSTGRES";

/// Where runs are kept.
pub(super) enum Stage {
    /// In a folder.
    Sqlite(TempDir),
    /// In a database.
    Postgres(Database),
}

impl Stage {
    /// One for each engine.
    pub(super) async fn all() -> [Self; 2] {
        let folder = tempfile::tempdir().unwrap();
        [Self::Sqlite(folder), Self::Postgres(Database::make().await)]
    }

    /// Opens the store, under settings with which nothing expires.
    pub(super) async fn open(&self) -> Opened {
        self.open_with(|_| {}).await
    }

    /// Opens the store with settings that differ.
    pub(super) async fn open_with(&self, change: impl Fn(&mut Settings)) -> Opened {
        match self {
            Self::Sqlite(folder) => open_with(|| {
                let mut settings = settings(folder);
                change(&mut settings);
                settings
            }),
            Self::Postgres(database) => database.open_with(change).await.unwrap(),
        }
    }

    /// What a query for one number says.
    pub(super) async fn number(&self, sql: &str) -> i64 {
        match self {
            Self::Sqlite(folder) => {
                let file = folder.path().join("dagway.db");
                let database = rusqlite::Connection::open(file).unwrap();
                database.query_row(sql, [], |row| row.get(0)).unwrap()
            }
            Self::Postgres(database) => {
                // The tables stand in a schema of their own.
                let sql = sql.replace(" FROM ", " FROM dagway.");
                let row = database.connect().await.query_one(&sql, &[]).await;
                row.unwrap().get(0)
            }
        }
    }

    /// Changes the database behind the store's back.
    pub(super) async fn execute(&self, sql: &str) {
        match self {
            Self::Sqlite(folder) => {
                let file = folder.path().join("dagway.db");
                let database = rusqlite::Connection::open(file).unwrap();
                database.execute(sql, []).unwrap();
            }
            Self::Postgres(database) => {
                let sql = sql.replace(" FROM ", " FROM dagway.");
                database.connect().await.execute(&sql, &[]).await.unwrap();
            }
        }
    }

    /// The rows of a table.
    pub(super) async fn rows(&self, table: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM {table}")).await
    }
}

/// A database of its own. It is left to the server, which goes when the tests are over.
pub(super) struct Database {
    url: String,
}

impl Database {
    pub(super) async fn make() -> Self {
        let server = std::env::var_os(SERVER).unwrap_or_else(|| {
            panic!("{SERVER} names no PostgreSQL server; `tests/run` starts one for the tests")
        });
        let server = server.into_string().unwrap();
        let name = format!("test_{:016x}", fastrand::u64(..));
        let sql = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
        connect(&server).await.batch_execute(&sql).await.unwrap();
        let (place, _) = server.rsplit_once('/').unwrap();
        Self {
            url: format!("{place}/{name}"),
        }
    }

    /// Its address, as a user would write it.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn address(&self) -> Address {
        self.url.parse().unwrap()
    }

    /// A connection that knows nothing of Dagway.
    pub(super) async fn connect(&self) -> Client {
        connect(&self.url).await
    }

    pub(super) async fn open(&self) -> Opened {
        self.open_with(|_| {}).await.unwrap()
    }

    pub(super) async fn open_with(
        &self,
        change: impl Fn(&mut Settings),
    ) -> Result<Opened, OpenError> {
        let mut settings = Settings {
            keep_for: Duration::from_secs(100 * 365 * 24 * 60 * 60),
            heard_after: Duration::ZERO,
            ..Settings::default()
        };
        change(&mut settings);
        postgres::open(&self.address(), settings).await
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::runtime::Handle::current().spawn(connection);
    client
}
