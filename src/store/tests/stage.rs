//! A place for runs in every engine: a folder for SQLite, a database of its own for PostgreSQL.

use std::ffi::OsString;
use std::time::Duration;

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use super::{open_with, settings};
use crate::store::postgres::{self, Address, OpenError};
use crate::store::{Opened, Settings};

/// Names the PostgreSQL server of the tests, as a user that may make databases. `tests/run` starts one.
const SERVER: &str = "DAGWAY_TEST_POSTGRES";
/// Names the file with the root of its certificate.
const ROOTS: &str = "DAGWAY_TEST_POSTGRES_ROOTS";

fn of_the_environment(variable: &str) -> String {
    let value = std::env::var_os(variable).unwrap_or_else(|| {
        panic!("{variable} is not set; `tests/run` starts a PostgreSQL server for the tests and sets it")
    });
    value.into_string().unwrap()
}

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

    /// What tells another process where it is: the folder, or the database's URL.
    pub(super) fn place(&self) -> OsString {
        match self {
            Self::Sqlite(folder) => folder.path().into(),
            Self::Postgres(database) => database.url().into(),
        }
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
        let server = of_the_environment(SERVER);
        let name = format!("test_{:016x}", fastrand::u64(..));
        let sql = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
        connect(&server).await.batch_execute(&sql).await.unwrap();
        let (place, _) = server.rsplit_once('/').unwrap();
        Self {
            url: format!("{place}/{name}"),
        }
    }

    /// One that another process has made.
    pub(super) fn at(url: &str) -> Self {
        Self {
            url: url.to_owned(),
        }
    }

    /// Its address, as a user would write it.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The file with the root of the server's certificate.
    pub(super) fn roots() -> String {
        of_the_environment(ROOTS)
    }

    /// Its server's host and port.
    pub(super) fn server(&self) -> String {
        let place = self.url.rsplit_once('/').unwrap().0;
        place.rsplit_once('@').unwrap().1.to_owned()
    }

    /// The same database by way of `proxy`.
    pub(super) fn through(&self, proxy: std::net::SocketAddr) -> Self {
        Self::at(&self.url.replace(&self.server(), &proxy.to_string()))
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
    #[expect(clippy::disallowed_methods, reason = "the runtime of the test ends it")]
    tokio::runtime::Handle::current().spawn(connection);
    client
}
