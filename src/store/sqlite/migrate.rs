//! Brings a database to the present schema: numbered files, each applied once, in order, in one transaction.
//!
//! The number of the last one stands in the database's `user_version`, and `application_id` says whose database it is.

use rusqlite::{Connection, TransactionBehavior};

/// "DAGW": so that a database of another program is not taken for ours.
const APPLICATION: i64 = 0x4441_4757;

/// All migrations, the first one first. Add to the end; never change one that was released.
pub(super) const MIGRATIONS: [&str; 7] = [
    include_str!("../migrations/sqlite/0001_runs.sql"),
    include_str!("../migrations/sqlite/0002_alive.sql"),
    include_str!("../migrations/sqlite/0003_estimated.sql"),
    include_str!("../migrations/sqlite/0004_retries.sql"),
    include_str!("../migrations/sqlite/0005_usage.sql"),
    include_str!("../migrations/sqlite/0006_key_name.sql"),
    include_str!("../migrations/sqlite/0007_replaced.sql"),
];

/// Why a database cannot be brought to the present schema.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("schema {found} is newer than {known}")]
    Newer { found: u32, known: u32 },
    #[error("it belongs to another program")]
    Foreign,
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
}

/// Applies those of `migrations` that the database has not seen.
pub(super) fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<(), Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    let found = schema(&transaction, migrations)?;
    let applied = usize::try_from(found).unwrap_or(usize::MAX);
    for migration in migrations.iter().skip(applied) {
        transaction.execute_batch(migration)?;
    }
    if found < known {
        transaction.pragma_update(None, "user_version", known)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
    }
    Ok(transaction.commit()?)
}

/// How many of `migrations` the database has seen. Only reads.
pub(super) fn schema(connection: &Connection, migrations: &[&str]) -> Result<u32, Fault> {
    let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let application: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let is_fresh = found == 0 && application == 0 && tables == 0;
    if !is_fresh && application != APPLICATION {
        return Err(Fault::Foreign);
    }
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(Fault::Newer { found, known });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(connection: &Connection) -> u32 {
        connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .unwrap()
    }

    #[test]
    fn a_database_of_version_1_is_brought_up_and_keeps_its_rows() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &MIGRATIONS[..1]).unwrap();
        let insert = "INSERT INTO plans (hash, name, info) VALUES ('h', 'n', '{}')";
        connection.execute(insert, []).unwrap();
        let later = [
            MIGRATIONS[0],
            "ALTER TABLE plans ADD COLUMN note TEXT NOT NULL DEFAULT 'kept'",
        ];
        migrate(&mut connection, &later).unwrap();
        let note: String = connection
            .query_row("SELECT note FROM plans WHERE hash = 'h'", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!((note.as_str(), version(&connection)), ("kept", 2));
        migrate(&mut connection, &later).unwrap();
    }

    #[test]
    fn columns_that_came_later_are_filled_for_runs_of_an_older_version() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &MIGRATIONS[..2]).unwrap();
        let insert = "INSERT INTO runs (id, state, streaming, workflow, plan, request_id, trace_id, started, seen, pieces,
                bytes, models, facts)
            VALUES (?, 'Failed', 0, 'w', 'h', 'r', x'00', 1, 1, 0, 0, '', ?)";
        let facts = [
            r#"{"a":1,"dagway.usage.is_estimate":true,"dagway.retries":2}"#,
            r#"{"a":"\"dagway.usage.is_estimate\":true,\"dagway.retries\":2,\"dagway.fallback.by_run\":"}"#,
            r#"{"dagway.fallback.by_run":"0199-2","dagway.retries":"many"}"#,
            r#"{"dagway.model.asked":"opus","gen_ai.request.model":"v/\"opus\"","openrouter.provider":"","gen_ai.provider.name":"openai","user_agent.original":"c"}"#,
        ];
        for (id, facts) in facts.into_iter().enumerate() {
            connection
                .execute(insert, (id.to_le_bytes(), facts))
                .unwrap();
        }
        migrate(&mut connection, &MIGRATIONS).unwrap();
        let mut marks = connection
            .prepare("SELECT estimated, retries, concat_ws('|', model, provider, client, key_name), replaced FROM runs ORDER BY row")
            .unwrap();
        let marks = marks
            .query_map([], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .unwrap();
        assert_eq!(
            marks
                .collect::<Result<Vec<(bool, i64, String, bool)>, _>>()
                .unwrap(),
            [
                (true, 2, String::new(), false),
                (false, 0, String::new(), false),
                (false, 0, String::new(), true),
                (false, 0, "v/\"opus\"|openai|c".to_owned(), false),
            ]
        );
    }

    #[test]
    fn a_migration_that_fails_leaves_the_database_as_it_was() {
        let mut connection = Connection::open_in_memory().unwrap();
        let broken = [MIGRATIONS[0], "CREATE TABLE t (a); DROP TABLE missing"];
        assert!(migrate(&mut connection, &broken).is_err());
        assert_eq!(version(&connection), 0);
        migrate(&mut connection, &MIGRATIONS).unwrap();
    }

    #[test]
    fn a_newer_database_and_a_foreign_one_are_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &MIGRATIONS).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let fault = migrate(&mut connection, &MIGRATIONS).unwrap_err();
        assert!(matches!(fault, Fault::Newer { found: 99, .. }), "{fault}");

        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute("CREATE TABLE theirs (a)", []).unwrap();
        let fault = migrate(&mut connection, &MIGRATIONS).unwrap_err();
        assert!(matches!(fault, Fault::Foreign), "{fault}");
    }
}
