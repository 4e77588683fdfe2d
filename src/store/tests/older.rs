//! A database of an older version is brought to the present one, its runs with it.

use super::stage::Database;
use crate::events::Observer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_that_came_later_are_filled_from_the_facts_of_older_runs() {
    let database = Database::make().await;
    let client = database.connect().await;
    let first = include_str!("../migrations/postgres/0001_runs.sql");
    client.batch_execute(first).await.unwrap();
    let runs = [
        r#"{"a":1,"dagway.usage.is_estimate":true,"dagway.retries":12}"#,
        r#"{"a":"\"dagway.usage.is_estimate\":true,\"dagway.retries\":2,\"dagway.fallback.by_run\":\"x \u0000"}"#,
        r#"{"dagway.fallback.by_run":"0199-2","dagway.retries":"many"}"#,
        r#"{"z":1,"dagway.model.asked":"opus","gen_ai.request.model":"v/opus","openrouter.provider":"","gen_ai.provider.name":"openai","user_agent.original":"a \"c\""}"#,
    ];
    for facts in runs {
        let insert = format!(
            "INSERT INTO dagway.runs (id, process, state, streaming, workflow, plan, request_id, trace_id, started, ended,
                seen, pieces, bytes, models, facts)
            VALUES (gen_random_uuid(), 1, 'Failed', false, 'w', 'h', 'r', '', 1, 2, 2, 0, 0, '', '{facts}')"
        );
        client.batch_execute(&insert).await.unwrap();
    }
    let noted = "INSERT INTO dagway.version (number) VALUES (1)";
    client.batch_execute(noted).await.unwrap();

    let mut opened = database.open().await;
    let sql = "SELECT estimated, retries, concat_ws('|', model, provider, client, key_name), replaced FROM dagway.runs
        ORDER BY retries DESC, facts";
    let rows = client.query(sql, &[]).await.unwrap();
    let marks = rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect::<Vec<(bool, i64, &str, bool)>>();
    assert_eq!(
        marks,
        [
            (true, 12, "", false),
            (false, 0, "", false),
            (false, 0, "", true),
            (false, 0, "v/opus|openai", false)
        ]
    );
    opened.recorder.finish();
}
