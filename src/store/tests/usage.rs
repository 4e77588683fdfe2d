//! Figures told apart: by what a run was of, and by when it came.

use std::time::Duration;

use super::stage::Stage;
use super::{Script, plan, plan_of};
use crate::events::{Observer, State, Timestamp};
use crate::facts;
use crate::store::{By, Opened, RunFilter};

const T0: i64 = 1_790_000_000_000_000;
const HOUR: Duration = Duration::from_secs(3_600);
/// A name that a hostile client or provider chose.
const HOSTILE: &str = "a \"model\" \\ with \u{7}, \u{1f980} and 'quotes'";

/// Five runs: of a named model and of a hostile one, one that only asked, one that was refused, and one of another
/// workflow two hours later.
async fn five(stage: &Stage) -> Opened {
    let mut opened = stage.open().await;
    let started = |number: i64| Script::new(T0 + number, &plan());
    let answered = |script: Script, model: &str, cost: f64| {
        script
            .fact(facts::MODEL_ASKED, "opus")
            .fact(facts::MODEL_SENT, "vendor/opus")
            .fact(facts::MODEL_USED, model)
            .fact(facts::PROVIDER, "openrouter")
            .fact(facts::COST_USD, cost)
            .ended(State::Completed)
    };
    let later = Script::new(
        T0 + 7_200_000_000,
        &plan_of("count_tokens", &["validate", "count"]),
    );
    let scripts = [
        answered(
            started(0)
                .fact(facts::SESSION, "s-1")
                .fact(facts::PROVIDER_BEHIND, "Some Cloud"),
            "vendor/opus-1",
            0.25,
        ),
        answered(started(1).fact(facts::USER_AGENT, HOSTILE), HOSTILE, 0.5),
        started(2)
            .fact(facts::MODEL_ASKED, "opus")
            .fact(facts::MODEL_SENT, "vendor/opus")
            .failed("the upstream gave up"),
        started(3).failed("refused"),
        later.ended(State::Completed),
    ];
    for mut script in scripts {
        opened.recorder.observe(&script.batch());
    }
    opened.recorder.finish();
    opened
}

/// Names with the number of their runs, in the order of names.
async fn told(opened: &Opened, by: By, filter: &RunFilter) -> Vec<(String, u64)> {
    let groups = opened.store.totals_by(by, filter).await.unwrap();
    let mut told: Vec<(String, u64)> = groups
        .into_iter()
        .map(|(name, totals)| (name, totals.by_state.iter().map(|(_, runs)| runs).sum()))
        .collect();
    told.sort();
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_are_told_apart_by_what_a_run_was_of() {
    for stage in Stage::all().await {
        let opened = five(&stage).await;
        let expected: [(By, &[(&str, u64)]); 5] = [
            (
                By::Model,
                &[
                    ("", 2),
                    (HOSTILE, 1),
                    ("vendor/opus", 1),
                    ("vendor/opus-1", 1),
                ],
            ),
            (
                By::Provider,
                &[("", 3), ("Some Cloud", 1), ("openrouter", 1)],
            ),
            (By::Session, &[("", 4), ("s-1", 1)]),
            (By::Client, &[("", 4), (HOSTILE, 1)]),
            (By::Workflow, &[("count_tokens", 1), ("messages", 4)]),
        ];
        for (by, expected) in expected {
            let told = told(&opened, by, &RunFilter::default()).await;
            let told: Vec<(&str, u64)> = told.iter().map(|(name, n)| (&**name, *n)).collect();
            assert_eq!(told, expected, "{by:?}");
        }
        let models = opened
            .store
            .totals_by(By::Model, &RunFilter::default())
            .await;
        let hostile = &models.unwrap()[HOSTILE];
        assert!((hostile.cost_usd - 0.5).abs() < 1e-9);
        assert_eq!(hostile.by_state, [(State::Completed, 1)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_a_filter_lets_through_is_told_apart() {
    for stage in Stage::all().await {
        let opened = five(&stage).await;
        let dear = RunFilter {
            states: vec![State::Completed, State::Failed],
            min_cost: Some(0.3),
            ..RunFilter::default()
        };
        assert_eq!(
            told(&opened, By::Model, &dear).await,
            [(HOSTILE.to_owned(), 1)]
        );
        let none = RunFilter::accepted_since(Timestamp(i64::MAX));
        assert_eq!(told(&opened, By::Session, &none).await, []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_over_time_stand_under_the_beginning_of_their_slot() {
    for stage in Stage::all().await {
        let opened = five(&stage).await;
        let hours = opened
            .store
            .totals_over_time(HOUR, &RunFilter::default())
            .await
            .unwrap();
        let micros = i64::try_from(HOUR.as_micros()).unwrap();
        let first = T0 / micros * micros;
        let told: Vec<_> = hours
            .iter()
            .map(|(begin, totals)| (begin.0, totals.by_state.clone()))
            .collect();
        assert_eq!(
            told,
            [
                (first, vec![(State::Completed, 2), (State::Failed, 2)]),
                (first + 2 * micros, vec![(State::Completed, 1)]),
            ]
        );
        assert!((hours[0].1.cost_usd - 0.75).abs() < 1e-9);
    }
}
