//! Databases that cannot be the store: what is said, with the cure and without the password.

use super::stage::Database;
use crate::store::Settings;
use crate::store::postgres::{self, Address};

/// What opening says. Looking has to name the same cure.
async fn refusal(url: &str) -> String {
    let address: Address = url.parse().unwrap();
    let opened = postgres::open(&address, Settings::default()).await;
    let opening = opened.err().expect("it was opened").to_string();
    let looking = postgres::examine(&address).await.unwrap_err().to_string();
    assert!(!opening.contains("s3cret") && !looking.contains("s3cret"));
    assert!(
        looking.starts_with("the run store postgres://"),
        "{looking}"
    );
    let cure = |said: &str| said.rsplit_once("; ").unwrap().1.to_owned();
    assert_eq!(cure(&opening), cure(&looking));
    opening
}

async fn refusal_after(sql: &str) -> String {
    let database = Database::make().await;
    database.connect().await.batch_execute(sql).await.unwrap();
    refusal(database.url()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_reached_is_said_with_the_cure() {
    let database = Database::make().await;
    let url = database.url();
    let free = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let nobody = url.replace(&database.server(), &free);
    let said = refusal(&nobody).await;
    assert!(
        said.contains("refused") && said.contains("start it"),
        "{said}"
    );

    let (place, name) = url.rsplit_once('/').unwrap();
    let said = refusal(&format!("{place}/no_such_{name}")).await;
    assert!(said.contains(&format!("createdb no_such_{name}")), "{said}");

    let stranger = format!("postgres://stranger:s3cret@{}/{name}", database.server());
    let said = refusal(&stranger).await;
    assert!(
        said.contains("\"stranger\"") && said.contains("user and the password"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_others_is_left_alone() {
    let said = refusal_after("CREATE SCHEMA dagway; CREATE TABLE dagway.theirs (a text)").await;
    assert!(
        said.contains("another program") && said.contains("rename"),
        "{said}"
    );
    let newer = "CREATE SCHEMA dagway; CREATE TABLE dagway.version (one boolean PRIMARY KEY, number integer);
        INSERT INTO dagway.version VALUES (true, 99)";
    let said = refusal_after(newer).await;
    assert!(
        said.contains("schema 99 is newer") && said.contains("newer Dagway"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_not_write_is_told_who_may_let_them() {
    let database = Database::make().await;
    let name = database.url().rsplit_once('/').unwrap().1.to_owned();
    let reader = format!("reader_{name}");
    let client = database.connect().await;
    let role = format!("CREATE ROLE {reader} LOGIN PASSWORD 's3cret'");
    client.batch_execute(&role).await.unwrap();
    let url = format!("postgres://{reader}:s3cret@{}/{name}", database.server());
    let said = refusal(&url).await;
    let grant = format!("GRANT CREATE ON DATABASE \"{name}\" TO \"{reader}\"");
    assert!(said.contains(&grant), "{said}");
    client.batch_execute(&grant).await.unwrap();
    postgres::examine(&url.parse().unwrap()).await.unwrap();
    // Looking has made nothing.
    let made = "SELECT count(*) FROM pg_namespace WHERE nspname = 'dagway'";
    assert_eq!(
        client.query_one(made, &[]).await.unwrap().get::<_, i64>(0),
        0
    );
    postgres::open(&url.parse().unwrap(), Settings::default())
        .await
        .unwrap();
    postgres::examine(&url.parse().unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_cannot_hold_every_sign_is_refused() {
    let database = Database::make().await;
    let client = database.connect().await;
    let name = database.url().rsplit_once('/').unwrap().1.to_owned() + "_latin";
    let make = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
    client.batch_execute(&make).await.unwrap();
    let (place, _) = database.url().rsplit_once('/').unwrap();
    let said = refusal(&format!("{place}/{name}")).await;
    assert!(
        said.contains("encoded in LATIN1") && said.contains("UTF8"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_verified_against_the_web_s_roots_or_those_that_are_named() {
    let database = Database::make().await;
    let demanded = format!("{}?sslmode=require", database.url());
    let said = refusal(&demanded).await;
    assert!(
        said.contains("certificate") && said.contains("sslrootcert=FILE"),
        "{said}"
    );
    let named = format!("{demanded}&sslrootcert={}", Database::roots());
    let address: Address = named.parse().unwrap();
    let opened = postgres::open(&address, Settings::default()).await.unwrap();
    opened.store.ready().await.unwrap();
    let encrypted = "SELECT count(*) FILTER (WHERE ssl.ssl), count(*) FROM pg_stat_ssl AS ssl
        JOIN pg_stat_activity AS backend USING (pid) WHERE backend.application_name = 'dagway' AND datname = current_database()";
    let row = database
        .connect()
        .await
        .query_one(encrypted, &[])
        .await
        .unwrap();
    let (encrypted, all): (i64, i64) = (row.get(0), row.get(1));
    assert!(
        all >= 2 && encrypted == all,
        "{encrypted} of {all} connections are encrypted"
    );
}
