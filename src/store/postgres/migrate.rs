//! Brings a database to the present schema: numbered files, each applied once, in order, in one transaction.
//!
//! Replicas that start together take turns. How many were applied stands in `dagway.version`.

use tokio_postgres::{Client, Transaction};

use super::presence::ALONE;
use super::said;

/// All migrations, the first one first. Add to the end; never change one that was released.
pub(super) const MIGRATIONS: [&str; 6] = [
    include_str!("../migrations/postgres/0001_runs.sql"),
    include_str!("../migrations/postgres/0002_estimated.sql"),
    include_str!("../migrations/postgres/0003_retries.sql"),
    include_str!("../migrations/postgres/0004_usage.sql"),
    include_str!("../migrations/postgres/0005_key_name.sql"),
    include_str!("../migrations/postgres/0006_replaced.sql"),
];

/// Why a database cannot be brought to the present schema.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("schema {found} is newer than {known}")]
    Newer { found: usize, known: usize },
    #[error("its schema `dagway` belongs to another program")]
    Foreign,
    #[error("it is encoded in {0}")]
    Encoding(String),
    #[error("{}", said(.0))]
    Database(#[from] tokio_postgres::Error),
}

/// Whether the database has not seen all of `migrations`. Only reads.
pub(super) async fn is_behind(client: &mut Client, migrations: &[&str]) -> Result<bool, Fault> {
    let transaction = client.transaction().await?;
    Ok(schema(&transaction, migrations.len()).await? < migrations.len())
}

/// Applies those of `migrations` that the database has not seen.
pub(super) async fn migrate(client: &mut Client, migrations: &[&str]) -> Result<(), Fault> {
    let transaction = client.transaction().await?;
    let one_at_a_time = format!("SELECT pg_advisory_xact_lock({ALONE})");
    transaction.batch_execute(&one_at_a_time).await?;
    let found = schema(&transaction, migrations.len()).await?;
    for migration in migrations.iter().skip(found) {
        transaction.batch_execute(migration).await?;
    }
    if found < migrations.len() {
        let number = i32::try_from(migrations.len()).unwrap_or(i32::MAX);
        let noted = "INSERT INTO dagway.version (number) VALUES ($1)
            ON CONFLICT (one) DO UPDATE SET number = excluded.number";
        transaction.execute(noted, &[&number]).await?;
    }
    Ok(transaction.commit().await?)
}

/// How many of `known` migrations the database has seen. Only reads.
pub(super) async fn schema(transaction: &Transaction<'_>, known: usize) -> Result<usize, Fault> {
    let row = transaction
        .query_one(
            "SELECT current_setting('server_encoding'),
                EXISTS (SELECT FROM pg_namespace WHERE nspname = 'dagway'),
                to_regclass('dagway.version') IS NOT NULL",
            &[],
        )
        .await?;
    let encoding: String = row.get(0);
    if encoding != "UTF8" {
        return Err(Fault::Encoding(encoding));
    }
    let (has_schema, has_version): (bool, bool) = (row.get(1), row.get(2));
    if !has_version {
        return if has_schema {
            Err(Fault::Foreign)
        } else {
            Ok(0)
        };
    }
    let row = transaction
        .query_one("SELECT number FROM dagway.version", &[])
        .await?;
    let found = usize::try_from(row.get::<_, i32>(0)).unwrap_or(0);
    if found > known {
        return Err(Fault::Newer { found, known });
    }
    Ok(found)
}
