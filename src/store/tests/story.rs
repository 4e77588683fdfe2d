//! What any database engine has to tell: runs from their first event to their last, as the pages ask for them.

use std::time::Duration;

use super::stage::Stage;
use super::{Script, eventually, plan, plan_of};
use crate::events::{EventKind, FactValue, Level, Observer, RunId, State, Timestamp};
use crate::facts::{self, payload};
use crate::store::{By, RunDetail, RunFilter, Store};

/// Midnight of the day on which the story happens.
const T0: i64 = 1_790_000_000_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_engine_tells_the_story() {
    for stage in Stage::all().await {
        let mut opened = stage.open().await;
        story(&*opened.store, &mut opened.recorder).await;
    }
}

/// Walks through everything that [`Store`] promises.
async fn story(store: &dyn Store, recorder: &mut dyn Observer) {
    store.ready().await.unwrap();
    an_empty_store_is_no_error(store).await;
    let streamed = a_run_is_seen_while_it_is_open(store, recorder).await;
    let failed = a_failed_run_keeps_its_retries(store, recorder).await;
    totals_count_both(store).await;
    a_page_ends_where_the_next_begins(store, &[failed, streamed]).await;
    recorder.finish();
    store.ready().await.unwrap();
}

async fn an_empty_store_is_no_error(store: &dyn Store) {
    let id = RunId::now();
    let page = store.runs(&RunFilter::default(), None, 50).await.unwrap();
    assert!(page.runs.is_empty() && page.next.is_none());
    assert!(store.run(id).await.unwrap().is_none());
    assert!(store.plan("none").await.unwrap().is_none());
    let text = store.payload(id, payload::CLIENT_REQUEST).await.unwrap();
    assert!(text.is_none());
    assert_eq!(store.oldest().await.unwrap(), None);
    let totals = store.totals(Timestamp(0)).await.unwrap();
    assert!(totals.by_state.is_empty() && totals.duration_p50_p95.is_none());
}

/// A request body of about 30 KB, and an answer in pieces.
fn request() -> String {
    let messages: Vec<_> = (0..30)
        .map(|n| serde_json::json!({"role": "user", "content": format!("{n}").repeat(500)}))
        .collect();
    serde_json::json!({"model": "opus", "messages": messages, "stream": true}).to_string()
}

async fn a_run_is_seen_while_it_is_open(store: &dyn Store, recorder: &mut dyn Observer) -> RunId {
    let mut script = Script::new(T0, &plan())
        .produced(None, "please")
        .payload(payload::CLIENT_REQUEST, &request())
        .step(0, State::Running)
        .fact(facts::MODEL_ASKED, "opus")
        .fact(facts::SESSION, "session-1")
        .produced(Some(0), "valid")
        .log(Some(0), "looks fine")
        .step(0, State::Completed)
        .step(1, State::Running);
    let id = script.id;
    recorder.observe(&script.batch());
    let seen = eventually(recorder, || async { store.run(id).await.unwrap() }).await;
    assert_eq!(seen.summary.state, State::Running);
    assert!(!seen.summary.streaming);
    assert_eq!(seen.plan, *plan());
    assert_eq!(step_states(&seen)[..2], [State::Completed, State::Running]);
    assert_eq!(step_states(&seen)[2..], [State::Pending, State::Pending]);

    script = script
        .step(1, State::Completed)
        .step(2, State::Running)
        .then(EventKind::Replied);
    for piece in 0..200 {
        script = script
            .payload(payload::CLIENT_RESPONSE, &format!("data: {piece:0200}\n\n"))
            .progress(2, piece + 1, (piece + 1) * 208);
    }
    recorder.observe(&script.batch());
    let seen = eventually(recorder, || async {
        let run = store.run(id).await.unwrap()?;
        run.summary.streaming.then_some(run)
    })
    .await;
    assert!(seen.steps[2].streaming);

    script = script.step(2, State::Completed).step(3, State::Running);
    recorder.observe(&script.batch());
    eventually(recorder, || async {
        let run = store.run(id).await.unwrap()?;
        let has_passed = !run.summary.streaming && run.summary.ended.is_none();
        has_passed.then_some(())
    })
    .await;

    script = script
        .fact(facts::INPUT_TOKENS, 1200_i64)
        .fact(facts::OUTPUT_TOKENS, 80_i64)
        .fact(facts::COST_USD, 0.25)
        .fact(facts::STREAM, true)
        .step(3, State::Completed)
        .ended(State::Completed);
    recorder.observe(&script.batch());
    let whole = eventually(recorder, || async {
        let run = store.run(id).await.unwrap()?;
        run.summary.ended.is_some().then_some(run)
    })
    .await;
    the_streamed_run_is_whole(store, &whole).await;
    id
}

async fn the_streamed_run_is_whole(store: &dyn Store, whole: &RunDetail) {
    let run = &whole.summary;
    assert_eq!(run.state, State::Completed);
    assert_eq!(run.workflow, "messages");
    assert_eq!(run.plan, whole.plan.hash);
    assert_eq!(run.started, Timestamp(T0));
    assert_eq!(run.trace_id.len(), 32);
    assert_eq!((run.pieces, run.bytes), (200, 200 * 208));
    assert!(run.replied.unwrap() < run.ended.unwrap());
    assert_eq!(run.text(facts::MODEL_ASKED), Some("opus"));
    assert_eq!(run.int(facts::INPUT_TOKENS), Some(1200));
    assert_eq!(run.float(facts::COST_USD), Some(0.25));
    assert_eq!(run.facts.get(facts::STREAM), Some(&FactValue::Bool(true)));

    assert!(step_states(whole).iter().all(|s| *s == State::Completed));
    assert!(whole.steps.iter().all(|step| !step.streaming));
    let first = &whole.steps[0];
    assert_eq!(first.history.len(), 2);
    assert_eq!(first.attempts, 1);
    assert!(first.started < first.ended);
    assert_eq!(first.outputs[0].json, "\"valid\"");
    assert_eq!(whole.request.as_ref().unwrap().json, "\"please\"");
    assert_eq!(whole.logs[0].message, "looks fine");
    assert_eq!(whole.logs[0].step, Some(0));

    let names = whole.payloads.iter().map(|p| (&*p.name, p.bytes, p.gone));
    let expected = [
        (payload::CLIENT_REQUEST, request().len() as u64, false),
        (payload::CLIENT_RESPONSE, 200 * 208, false),
    ];
    assert_eq!(names.collect::<Vec<_>>(), expected);
    let read = |name| store.payload(run.id, name);
    let text = read(payload::CLIENT_REQUEST).await.unwrap().unwrap();
    assert_eq!(text, request().as_bytes());
    let text = read(payload::CLIENT_RESPONSE).await.unwrap().unwrap();
    assert_eq!(text.len(), 200 * 208);
    assert!(text.starts_with(b"data: 000"));
    assert!(read("no such text").await.unwrap().is_none());
}

async fn a_failed_run_keeps_its_retries(store: &dyn Store, recorder: &mut dyn Observer) -> RunId {
    let attempt = |state, attempt, message: &str, retry_in| EventKind::Step {
        step: 1,
        state,
        attempt,
        message: (!message.is_empty()).then(|| message.into()),
        retry_in,
    };
    let pause = Some(Duration::from_millis(250));
    let other = plan_of("batch", &["validate", "call_upstream", "log_usage"]);
    let mut script = Script::new(T0 + 10_000_000, &other)
        .step(0, State::Completed)
        .then(attempt(State::Running, 1, "", None))
        .then(attempt(State::Retrying, 1, "overloaded", pause))
        .then(attempt(State::Running, 2, "", None))
        .then(attempt(State::Retrying, 2, "busy", pause))
        .then(attempt(State::Running, 3, "", None))
        .then(attempt(State::Failed, 3, "still overloaded", None))
        .then(EventKind::Log {
            step: None,
            level: Level::Error,
            message: "gave up".to_owned(),
        })
        .failed("step `call_upstream` Failed: still overloaded");
    let id = script.id;
    recorder.observe(&script.batch());
    let run = eventually(recorder, || async { store.run(id).await.unwrap() }).await;
    let step = &run.steps[1];
    assert_eq!((step.state, step.attempts), (State::Failed, 3));
    assert_eq!(run.summary.int(facts::RETRIES), Some(2));
    assert_eq!(step.error.as_deref(), Some("still overloaded"));
    assert_eq!(step.history[1].state, State::Retrying);
    assert_eq!(step.history[1].retry_in, pause);
    assert_eq!(step.history[1].message.as_deref(), Some("overloaded"));
    assert_eq!(run.steps[2].state, State::Skipped);
    assert_eq!(run.logs[0].level, Level::Error);
    let error = run.summary.error.as_deref().unwrap();
    assert!(error.ends_with("still overloaded"));
    id
}

async fn totals_count_both(store: &dyn Store) {
    let totals = store.totals(Timestamp(T0)).await.unwrap();
    let by_state = [(State::Completed, 1), (State::Failed, 1)];
    assert_eq!(totals.by_state, by_state);
    assert_eq!((totals.input_tokens, totals.output_tokens), (1200, 80));
    assert!((totals.cost_usd - 0.25).abs() < 1e-9);
    let (p50, p95) = totals.duration_p50_p95.unwrap();
    assert_eq!(p50, p95, "one is completed");
    assert!(p50 < totals.duration);
    let later = store.totals(Timestamp(T0 + 1)).await.unwrap();
    assert_eq!(later.by_state, [(State::Failed, 1)]);
    assert!(later.duration_p50_p95.is_none() && later.duration > Duration::ZERO);
    let all = RunFilter::accepted_since(Timestamp(T0));
    let usage = store
        .usage(By::Workflow, Duration::from_secs(1), &all)
        .await;
    let mut groups = usage.unwrap().groups;
    groups.sort_by(|(name, _), (other, _)| name.cmp(other));
    let [(batch, failed), (messages, answered)] = &groups[..] else {
        panic!("{groups:?}");
    };
    assert_eq!(
        [batch.as_deref(), messages.as_deref()],
        [Some("batch"), Some("messages")]
    );
    assert_eq!(failed.by_state, [(State::Failed, 1)]);
    assert_eq!(answered.input_tokens, 1200);
}

async fn a_page_ends_where_the_next_begins(store: &dyn Store, newest_first: &[RunId]) {
    let mut after = None;
    for (index, id) in newest_first.iter().enumerate() {
        let page = store.runs(&RunFilter::default(), after, 1).await.unwrap();
        assert_eq!(page.runs[0].id, *id);
        assert_eq!(page.next.is_some(), index + 1 < newest_first.len());
        after = page.next;
    }
    let mut ids = newest_first.to_vec();
    ids.push(RunId::now());
    let rows = store.runs_by_id(&ids).await.unwrap();
    assert_eq!(rows.len(), newest_first.len());
}

fn step_states(run: &RunDetail) -> Vec<State> {
    run.steps.iter().map(|step| step.state).collect()
}
