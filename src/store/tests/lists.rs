//! Lists of runs: what each filter lets through, and pages that neither repeat nor leave out.

use super::stage::Stage;
use super::{Script, eventually, plan, plan_of};
use crate::events::{Observer, RunId, State, Timestamp};
use crate::facts;
use crate::store::{Figure, Opened, RunFilter};

const T0: i64 = 1_790_000_000_000_000;
const MINUTE: i64 = 60_000_000;

/// Twelve runs, a minute apart, oldest first.
async fn twelve(stage: &Stage) -> (Opened, Vec<RunId>) {
    let mut opened = stage.open().await;
    let plans = [plan(), plan_of("count_tokens", &["validate", "count"])];
    let mut ids = Vec::new();
    for number in 0..12_i64 {
        let plan = &plans[usize::from(number % 6 == 5)];
        let mut script = Script::new(T0 + number * MINUTE, plan)
            .fact(facts::SESSION, format!("session-{}", number / 4))
            .fact(facts::MODEL_ASKED, "opus")
            .fact(
                facts::MODEL_USED,
                ["vendor/big-1", "vendor/100%_small"][usize::from(number % 3 == 0)],
            );
        if number % 3 == 0 {
            script = script.fact(facts::PROVIDER_BEHIND, "The \"Provider\"");
        }
        script = match number % 4 {
            0 => script
                .fact(facts::ERROR_TYPE, "overloaded_error")
                .fact(facts::STATUS, 529)
                .failed("the upstream gave up"),
            1 => script,
            _ => script.ended(State::Completed),
        };
        ids.push(script.id);
        opened.recorder.observe(&script.batch());
    }
    let last = ids[11];
    eventually(&mut opened.recorder, || async {
        opened.store.runs_by_id(&[last]).await.unwrap().pop()
    })
    .await;
    (opened, ids)
}

/// The numbers of the runs that `filter` lets through, newest first, read in pages of `limit`.
async fn numbers(opened: &Opened, ids: &[RunId], filter: &RunFilter, limit: u16) -> Vec<usize> {
    let mut numbers = Vec::new();
    let mut after = None;
    loop {
        let page = opened.store.runs(filter, after, limit).await.unwrap();
        assert!(page.runs.len() <= usize::from(limit));
        assert!(page.next.is_none() || page.runs.len() == usize::from(limit));
        for run in &page.runs {
            numbers.push(ids.iter().position(|id| *id == run.id).unwrap());
        }
        after = page.next;
        if after.is_none() {
            return numbers;
        }
    }
}

/// Checks that each filter lets through the runs of these numbers, in pages of any size, and judges each run alike.
async fn check(opened: &Opened, ids: &[RunId], cases: &[(RunFilter, &[usize])]) {
    let mut runs = opened.store.runs_by_id(ids).await.unwrap();
    runs.sort_unstable_by_key(|run| std::cmp::Reverse(run.id));
    for (filter, expected) in cases {
        let admitted = runs
            .iter()
            .filter(|run| filter.admits(run, Timestamp::now()));
        let admitted: Vec<usize> = admitted
            .filter_map(|run| ids.iter().position(|id| *id == run.id))
            .collect();
        assert_eq!(admitted, *expected, "{filter:?}");
        for limit in [1, 2, 3, 50] {
            let found = numbers(opened, ids, filter, limit).await;
            assert_eq!(found, *expected, "{filter:?} in pages of {limit}");
        }
    }
}

const ALL: [usize; 12] = [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0];
const SMALL: [usize; 4] = [9, 6, 3, 0];
const FAILED: [usize; 3] = [8, 4, 0];

fn states(states: &[State]) -> RunFilter {
    RunFilter {
        states: states.to_vec(),
        ..RunFilter::default()
    }
}

fn workflow(workflow: &str) -> RunFilter {
    RunFilter {
        workflow: Some(workflow.to_owned()),
        ..RunFilter::default()
    }
}

fn session(session: &str) -> RunFilter {
    RunFilter {
        session: Some(session.to_owned()),
        ..RunFilter::default()
    }
}

fn model(model: &str) -> RunFilter {
    RunFilter {
        model: Some(model.to_owned()),
        ..RunFilter::default()
    }
}

fn named([model_sent, provider]: [Option<&str>; 2]) -> RunFilter {
    RunFilter {
        model_sent: model_sent.map(str::to_owned),
        provider: provider.map(str::to_owned),
        ..RunFilter::default()
    }
}

fn search(text: &str) -> RunFilter {
    RunFilter {
        search: Some(text.to_owned()),
        ..RunFilter::default()
    }
}

fn between(since: Option<i64>, until: Option<i64>) -> RunFilter {
    let minute = |minutes| Timestamp(T0 + minutes * MINUTE);
    RunFilter {
        since: since.map(minute),
        until: until.map(minute),
        ..RunFilter::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_filter_lets_through_what_it_says() {
    for stage in Stage::all().await {
        let (opened, ids) = twelve(&stage).await;
        let all_together = RunFilter {
            states: vec![State::Completed],
            session: Some("session-1".to_owned()),
            search: Some("big".to_owned()),
            ..between(Some(1), Some(9))
        };
        let cases: [(RunFilter, &[usize]); 20] = [
            (RunFilter::default(), &ALL),
            (states(&[State::Failed]), &FAILED),
            (
                states(&[State::Failed, State::Running]),
                &[9, 8, 5, 4, 1, 0],
            ),
            (states(&[State::Paused]), &[]),
            (workflow("count_tokens"), &[11, 5]),
            (session("session-1"), &[7, 6, 5, 4]),
            (session("session"), &[]),
            (model("SMALL"), &SMALL),
            (model("100%_"), &SMALL),
            (model("1__%"), &[]),
            (model("opus"), &ALL),
            (named([Some("opus"), None]), &ALL),
            (named([Some("opu"), None]), &[]),
            (named([Some("OPUS"), None]), &[]),
            (named([None, Some("The \"Provider\"")]), &SMALL),
            (named([Some("opus"), Some("Provider")]), &[]),
            (between(Some(9), None), &[11, 10, 9]),
            (between(None, Some(2)), &[1, 0]),
            (between(Some(3), Some(3)), &[]),
            (all_together, &[7]),
        ];
        check(&opened, &ids, &cases).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slow_and_the_costly_are_found_and_added_up() {
    for stage in Stage::all().await {
        let mut opened = stage.open().await;
        let mut ids = Vec::new();
        for number in 0..6_i64 {
            let mut script = Script::new(T0 + number * MINUTE, &plan());
            for _ in 0..number {
                script = script.log(None, "time goes by");
            }
            if number > 1 {
                script = script.fact(facts::COST_USD, number as f64 / 100.0);
            }
            if number % 2 == 1 {
                script = script.fact(facts::RETRIES, number);
            }
            script = script.ended(State::Completed);
            ids.push(script.id);
            opened.recorder.observe(&script.batch());
        }
        opened.recorder.finish();
        let all = opened.store.runs(&RunFilter::default(), None, 50).await;
        let third = all.unwrap().runs[2].duration(Timestamp(T0));
        let slow = RunFilter {
            min_duration: Some(third),
            ..RunFilter::default()
        };
        let costly = RunFilter {
            min_cost: Some(0.02),
            ..RunFilter::default()
        };
        let retried = |least| RunFilter {
            min_retries: Some(least),
            ..RunFilter::default()
        };
        let cases: [(RunFilter, &[usize]); 4] = [
            (slow.clone(), &[5, 4, 3]),
            (costly, &[5, 4, 3, 2]),
            (retried(1), &[5, 3, 1]),
            (retried(3), &[5, 3]),
        ];
        check(&opened, &ids, &cases).await;
        let totals = opened.store.totals_of(&slow, 3).await.unwrap().unwrap();
        assert_eq!(totals.by_state, [(State::Completed, 3)]);
        assert!((totals.cost_usd - 0.12).abs() < 1e-9);
        assert!(totals.duration >= third * 3);
        assert!(opened.store.totals_of(&slow, 2).await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_median_is_that_of_runs_in_which_a_model_answered_if_any_did() {
    for stage in Stage::all().await {
        let mut opened = stage.open().await;
        let counted = || Script::new(T0, &plan()).fact(facts::INPUT_TOKENS, 10);
        for _ in 0..5 {
            let mut script = counted().ended(State::Completed);
            opened.recorder.observe(&script.batch());
        }
        let median = |totals: crate::store::Totals| totals.duration_p50_p95.unwrap().0;
        opened.recorder.write(std::time::Instant::now());
        let quick = median(opened.store.totals(Timestamp(T0)).await.unwrap());
        let mut script = counted()
            .fact(facts::OUTPUT_TOKENS, 20)
            .log(None, "time goes by")
            .ended(State::Completed);
        opened.recorder.observe(&script.batch());
        opened.recorder.finish();
        let slow = median(opened.store.totals(Timestamp(T0)).await.unwrap());
        assert_eq!(slow, quick + std::time::Duration::from_millis(2));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_finds_errors_models_sessions_and_ids_and_takes_every_sign_literally() {
    for stage in Stage::all().await {
        let (opened, ids) = twelve(&stage).await;
        let seventh = opened.store.runs_by_id(&ids[7..8]).await.unwrap();
        let request_id = &seventh[0].request_id;
        let id = ids[3].to_string();
        let digits = ids[3].simple().to_string();
        let begin: String = "req_".chars().chain(digits.chars().take(13)).collect();
        let few: String = digits.chars().skip(20).take(5).collect();
        let cases: [(RunFilter, &[usize]); 18] = [
            (search("Gave up"), &FAILED),
            (search("\0zzzz"), &[]),
            (search("zzzz\0"), &[]),
            (search("overloaded_ERROR"), &FAILED),
            // A status, and never three digits of an id.
            (search("529"), &FAILED),
            (search("52"), &[]),
            (search("200"), &[]),
            (search(&few), &[]),
            (search(&begin), &[3]),
            (search("provider"), &SMALL),
            (search("session-2"), &[11, 10, 9, 8]),
            (search("vendor/100"), &SMALL),
            (search(request_id), &[7]),
            (search(&id), &[3]),
            (search(&format!(" {} ", id.to_uppercase())), &[3]),
            (search("%"), &SMALL),
            (search("' OR 1=1 --"), &[]),
            (search(""), &ALL),
        ];
        check(&opened, &ids, &cases).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_accepted_while_paging_does_not_shift_the_pages() {
    for stage in Stage::all().await {
        let (mut opened, ids) = twelve(&stage).await;
        let filter = RunFilter::default();
        let first = opened.store.runs(&filter, None, 5).await.unwrap();
        let mut script = Script::new(T0 + 100 * MINUTE, &plan());
        let new = script.id;
        opened.recorder.observe(&script.batch());
        eventually(&mut opened.recorder, || async {
            opened.store.runs_by_id(&[new]).await.unwrap().pop()
        })
        .await;
        let second = opened.store.runs(&filter, first.next, 50).await.unwrap();
        let rest: Vec<RunId> = second.runs.iter().map(|run| run.id).collect();
        let expected: Vec<RunId> = ids[..7].iter().rev().copied().collect();
        assert_eq!(rest, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_announced_once_they_can_be_read_and_a_slow_listener_is_told() {
    for stage in Stage::all().await {
        let mut opened = stage.open().await;
        let mut listener = opened.live.subscribe();
        let mut script = Script::new(T0, &plan()).step(0, State::Running);
        opened.recorder.observe(&script.batch());
        let changed = eventually(&mut opened.recorder, || {
            std::future::ready(listener.try_recv().ok())
        })
        .await;
        assert_eq!(&*changed.runs, [script.id]);
        assert_eq!(
            opened.store.runs_by_id(&changed.runs).await.unwrap().len(),
            1
        );

        for number in 0..300 {
            let mut script = Script::new(T0 + number, &plan());
            opened.recorder.observe(&script.batch());
            opened.recorder.write(std::time::Instant::now());
        }
        let lagged = listener.try_recv().unwrap_err();
        assert!(matches!(
            lagged,
            tokio::sync::broadcast::error::TryRecvError::Lagged(_)
        ));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_listed_by_its_request_id() {
    for stage in Stage::all().await {
        let mut opened = stage.open().await;
        let mut scripts: Vec<Script> = (0..3).map(|_| Script::now(&plan())).collect();
        for script in &mut scripts {
            opened.recorder.observe(&script.batch());
        }
        opened.recorder.finish();
        let all = opened.store.runs(&RunFilter::default(), None, 50).await;
        for run in all.unwrap().runs {
            let filter = RunFilter {
                request_id: Some(run.request_id),
                ..RunFilter::default()
            };
            let found = opened.store.runs(&filter, None, 50).await.unwrap().runs;
            let ids: Vec<RunId> = found.iter().map(|run| run.id).collect();
            assert_eq!(ids, [run.id]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_whose_figures_are_estimates_are_counted_among_the_others() {
    const SAYS_SO: &str = r#""dagway.usage.is_estimate":true"#;
    for stage in Stage::all().await {
        let mut opened = stage.open().await;
        let states = [
            State::Completed,
            State::Failed,
            State::Cancelled,
            State::Failed,
        ];
        let scripts = (0..).zip(states).map(|(number, state)| {
            let script = Script::new(T0 + number, &plan()).fact(facts::SESSION, SAYS_SO);
            let script = match number {
                0 | 1 => script.fact(facts::USAGE_IS_ESTIMATE, true),
                _ => script,
            };
            script.ended(state)
        });
        scripts.for_each(|mut script| opened.recorder.observe(&script.batch()));
        opened.recorder.finish();
        let all = opened.store.totals(Timestamp(T0)).await.unwrap();
        assert_eq!(all.estimated, 2);
        let failed = RunFilter {
            states: vec![State::Failed],
            ..RunFilter::default()
        };
        let failed = opened.store.totals_of(&failed, 9).await.unwrap().unwrap();
        assert_eq!(
            (failed.estimated, failed.by_state),
            (1, vec![(State::Failed, 2)])
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_were_only_counted_are_not_among_those_sent() {
    for stage in Stage::all().await {
        let mut opened = stage.open().await;
        for (number, output) in (0..).zip([Some(5_i64), None]) {
            let script = Script::new(T0 + number, &plan()).fact(facts::INPUT_TOKENS, 100_i64);
            let script = match output {
                Some(output) => script.fact(facts::OUTPUT_TOKENS, output),
                None => script,
            };
            let mut script = script.ended(State::Completed);
            opened.recorder.observe(&script.batch());
        }
        opened.recorder.finish();
        let totals = opened.store.totals(Timestamp(T0)).await.unwrap();
        assert_eq!((totals.input_tokens, totals.output_tokens), (100, 5));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_beyond_all_measure_are_added_up_to_the_most_that_can_be_told() {
    for stage in Stage::all().await {
        let mut opened = stage.open().await;
        for number in 0..2 {
            let mut script = Script::new(T0 + number, &plan())
                .fact(facts::OUTPUT_TOKENS, i64::MAX)
                .ended(State::Completed);
            opened.recorder.observe(&script.batch());
        }
        opened.recorder.finish();
        let totals = opened.store.totals(Timestamp(T0)).await.unwrap();
        assert_eq!(totals.output_tokens, i64::MAX);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn costs_beyond_all_measure_are_bounded_and_runs_without_a_cost_count_for_nothing() {
    for stage in Stage::all().await {
        let mut opened = stage.open().await;
        let costs = [
            Some(1e308),
            Some(1e308),
            Some(f64::INFINITY),
            Some(0.5),
            None,
        ];
        for (number, cost) in (0..).zip(costs) {
            let mut script = Script::new(T0 + number, &plan());
            if let Some(cost) = cost {
                script = script.fact(facts::COST_USD, cost);
            }
            script = script.ended(State::Completed);
            opened.recorder.observe(&script.batch());
        }
        opened.recorder.finish();
        let all = opened.store.totals(Timestamp(T0)).await.unwrap();
        assert!((all.cost_usd - 3e9 - 0.5).abs() < 1e-3, "{}", all.cost_usd);
        let any = RunFilter::default();
        let some = opened.store.totals_of(&any, 9).await.unwrap().unwrap();
        assert!((some.cost_usd - all.cost_usd).abs() < 1e-3);
    }
}

/// The numbers of the runs in the order of `figure`, read in pages of `limit`.
async fn ranked(
    opened: &Opened,
    ids: &[RunId],
    order: (Figure, &RunFilter),
    limit: u16,
) -> Vec<usize> {
    let (figure, filter) = order;
    let mut numbers = Vec::new();
    let mut after = None;
    loop {
        let page = opened
            .store
            .runs_by(figure, filter, after, limit)
            .await
            .unwrap();
        assert!(page.runs.len() <= usize::from(limit));
        for run in &page.runs {
            numbers.push(ids.iter().position(|id| *id == run.id).unwrap());
        }
        after = page.next;
        if after.is_none() {
            return numbers;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_in_the_order_of_a_figure_has_the_greatest_first_and_the_newest_of_equals() {
    for stage in Stage::all().await {
        let mut opened = stage.open().await;
        let mut ids = Vec::new();
        let costs = [Some(0.2), None, Some(0.7), Some(0.2), Some(0.0), None];
        let tokens = [
            (5, Some(5)),
            (100, Some(1)),
            (0, Some(10)),
            (i64::MAX, Some(i64::MAX)),
            (3, Some(0)),
            // Counted, and sent to no model.
            (500, None),
        ];
        for (number, (cost, (input, output))) in costs.into_iter().zip(tokens).enumerate() {
            let began = T0 + i64::try_from(number).unwrap() * MINUTE;
            let mut script = Script::new(began, &plan()).fact(facts::INPUT_TOKENS, input);
            if let Some(output) = output {
                script = script.fact(facts::OUTPUT_TOKENS, output);
            }
            if let Some(cost) = cost {
                script = script.fact(facts::COST_USD, cost);
            }
            // The first one is under way still, and so has been for longest.
            for _ in 0..number * 3 % 5 {
                script = script.log(None, "time goes by");
            }
            if number > 0 {
                let state = [State::Completed, State::Failed][number % 2];
                script = script.ended(state);
            }
            ids.push(script.id);
            opened.recorder.observe(&script.batch());
        }
        opened.recorder.finish();
        let any = RunFilter::default();
        let failed = states(&[State::Failed]);
        let cases: [(Figure, &RunFilter, &[usize]); 5] = [
            (Figure::Duration, &any, &[0, 3, 4, 1, 2, 5]),
            (Figure::Cost, &any, &[2, 3, 0, 4, 5, 1]),
            (Figure::Tokens, &any, &[3, 1, 2, 0, 4, 5]),
            (Figure::Cost, &failed, &[3, 5, 1]),
            (Figure::Tokens, &session("none"), &[]),
        ];
        for (figure, filter, expected) in cases {
            for limit in [1, 2, 3, 50] {
                let found = ranked(&opened, &ids, (figure, filter), limit).await;
                assert_eq!(found, expected, "{figure:?} in pages of {limit}");
            }
        }
        let gone = Some(RunId::now());
        let none = opened.store.runs_by(Figure::Cost, &any, gone, 5).await;
        assert!(none.unwrap().runs.is_empty(), "after a run that is gone");
    }
}
