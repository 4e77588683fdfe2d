//! Which processes live, and the runs of those that do not.
//!
//! A process has a number, and holds the advisory lock of that number as long as its connection lives. Who gets the lock
//! of another process knows that it is gone: killed, or cut off. One that was cut off takes its number again when it is
//! back, and its runs as well.

use tokio_postgres::{Client, Error, GenericClient, Row};
use uuid::Uuid;

use super::session::{Audience, announcements};
use crate::events::{RunId, Timestamp};

/// The first half of our advisory locks: "DAGW". The second is a process's number, or 0.
const CLASS: i32 = 0x4441_4757;
/// The lock of what one process does at a time, as the arguments of PostgreSQL's functions.
pub(super) const ALONE: &str = "1145128791, 0";
const _: () = assert!(CLASS == 1_145_128_791, "it stands in ALONE");

/// What a run of a process that is gone failed of.
const GONE: &str = "the process ended while the run was under way";

/// Gives this process a number, and takes the number's lock.
pub(super) async fn enlist(client: &Client) -> Result<i32, Error> {
    let number: i32 = client
        .query_one("SELECT nextval('dagway.process_numbers')::integer", &[])
        .await?
        .get(0);
    take(client, number).await?;
    let noted = "INSERT INTO dagway.processes (number) VALUES ($1)";
    client.execute(noted, &[&number]).await?;
    Ok(number)
}

/// Takes the number again after the connection was lost. The server may not have noticed the loss, and still keep the lock
/// for the old connection: it is ended.
///
/// What others took for crashed meanwhile runs on.
pub(super) async fn return_as(client: &Client, number: i32) -> Result<(), Error> {
    // Whether there was one to end makes no difference.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_locks
        WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid::bigint = $1 AND objid::bigint = $2
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let lock = [i64::from(CLASS), i64::from(number)];
    client.query(end, &[&lock[0], &lock[1]]).await?;
    take(client, number).await?;
    let again = "INSERT INTO dagway.processes (number) VALUES ($1) ON CONFLICT DO NOTHING";
    client.execute(again, &[&number]).await?;
    let revived = "UPDATE dagway.runs
        SET state = 'Running', streaming = replied IS NOT NULL, ended = NULL, error = NULL
        WHERE process = $1 AND state = 'Crashed' AND error = $2 RETURNING id";
    let revived = client.query(revived, &[&number, &GONE]).await?;
    announce(client, &revived).await?;
    Ok(())
}

async fn take(client: &Client, number: i32) -> Result<(), Error> {
    client
        .query_one("SELECT pg_advisory_lock($1, $2)", &[&CLASS, &number])
        .await?;
    Ok(())
}

/// Marks the open runs of processes that are gone, and strikes those processes off the list. `own` is not looked at.
///
/// When a run ended nobody knows: it lasted at least until its last event, and until its process was last known to live.
/// What a struck process had stored counts as stored by `own`, so that the sum stays.
///
/// After a start of the server nobody has a lock yet: those who live get ten seconds to come back.
///
/// To be called in a transaction, whose end lets go of the locks.
pub(super) async fn bury<C: GenericClient + Sync>(client: &C, own: i32) -> Result<usize, Error> {
    let gone = client
        .query(
            "SELECT number FROM dagway.processes
             WHERE number <> $1 AND now() - pg_postmaster_start_time() > interval '10 s'
                 AND pg_try_advisory_xact_lock($2, number) FOR UPDATE SKIP LOCKED",
            &[&own, &CLASS],
        )
        .await?;
    if gone.is_empty() {
        return Ok(0);
    }
    let gone: Vec<i32> = gone.iter().map(|row| row.get(0)).collect();
    let crashed = client
        .query(
            "UPDATE dagway.runs AS run SET state = 'Crashed', streaming = false,
                 ended = greatest(run.seen, run.started, coalesce(process.at, 0)),
                 error = coalesce(run.error, $2)
             FROM dagway.processes AS process
             WHERE run.process = process.number AND run.ended IS NULL AND process.number = ANY($1)
             RETURNING run.id",
            &[&gone, &GONE],
        )
        .await?;
    announce(client, &crashed).await?;
    client
        .execute(
            "WITH struck AS (DELETE FROM dagway.processes WHERE number = ANY($1) RETURNING bytes)
             UPDATE dagway.processes SET bytes = bytes + (SELECT coalesce(sum(bytes), 0) FROM struck)::bigint
             WHERE number = $2",
            &[&gone, &own],
        )
        .await?;
    Ok(crashed.len())
}

/// Announces to everybody that the runs have changed whose ids stand in the rows.
async fn announce<C: GenericClient + Sync>(client: &C, rows: &[Row]) -> Result<(), Error> {
    let ids = rows.iter().map(|row| row.get::<_, Uuid>(0));
    let runs: Vec<RunId> = ids.map(|id| RunId::from_bytes(id.into_bytes())).collect();
    let announced = "SELECT pg_notify('dagway_runs', runs) FROM unnest($1::text[]) AS runs";
    let announcements = announcements(&runs, Audience::All);
    client.query(announced, &[&announcements]).await?;
    Ok(())
}

/// Notes that the process lives and has runs under way.
pub(super) async fn alive(client: &Client, own: i32, at: Timestamp) -> Result<(), Error> {
    let noted = "UPDATE dagway.processes SET at = $2 WHERE number = $1";
    client.execute(noted, &[&own, &at.0]).await?;
    Ok(())
}
