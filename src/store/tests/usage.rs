//! Figures told apart: by what a run was of, and by when it came.

use std::time::Duration;

use super::stage::Stage;
use super::{Script, plan, plan_of};
use crate::events::{Observer, State, Timestamp};
use crate::facts;
use crate::store::{By, Opened, RunFilter, Totals, Usage};

const T0: i64 = 1_790_000_000_000_000;
const HOUR: Duration = Duration::from_secs(3_600);
/// A name that a hostile client or provider chose.
const HOSTILE: &str = "a \"model\" \\ with \u{7}, \u{1f980} and 'quotes'";

/// Not that of a provider: a filter that looks at the wrong one finds nothing.
const CLIENT: &str = "a \"client\" \\ \u{7}";

/// Five runs: of a named provider, of a client and a provider with hostile names, one that nobody answered, one that was
/// refused, and one of another workflow two hours later.
async fn five(stage: &Stage) -> Opened {
    let mut opened = stage.open().await;
    let started = |number: i64| Script::new(T0 + number, &plan());
    let answered = |script: Script, provider: &str, cost: f64| {
        script
            .fact(facts::MODEL_ASKED, "opus")
            .fact(facts::MODEL_SENT, "vendor/opus")
            .fact(facts::MODEL_USED, "vendor/opus-1")
            .fact(facts::PROVIDER, "openrouter")
            .fact(facts::PROVIDER_BEHIND, provider)
            .fact(facts::COST_USD, cost)
            .ended(State::Completed)
    };
    let later = plan_of("count_tokens", &["validate", "count"]);
    let later = Script::new(T0 + 7_200_000_000, &later);
    let scripts = [
        answered(started(0).fact(facts::SESSION, "s-1"), "Some Cloud", 0.25),
        answered(
            started(1)
                .fact(facts::USER_AGENT, CLIENT)
                .fact(facts::KEY, "alice"),
            HOSTILE,
            0.5,
        ),
        started(2)
            .fact(facts::MODEL_ASKED, "opus")
            .fact(facts::MODEL_SENT, "vendor/opus")
            .fact(facts::PROVIDER, "openrouter")
            .fact(facts::PROVIDER_BEHIND, "")
            .failed("the upstream gave up"),
        started(3).fact(facts::KEY, "alice").failed("refused"),
        later
            .fact(facts::MODEL_ASKED, "opus")
            .fact(facts::KEY, "bob")
            .ended(State::Completed),
    ];
    for mut script in scripts {
        opened.recorder.observe(&script.batch());
    }
    opened.recorder.finish();
    opened
}

async fn usage(opened: &Opened, by: By, filter: &RunFilter) -> Usage {
    opened.store.usage(by, HOUR, filter).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_a_fallback_replaced_counts_as_that_and_in_no_state() {
    for stage in Stage::all().await {
        let mut opened = stage.open().await;
        let script = |number: i64| Script::new(T0 + number, &plan()).fact(facts::MODEL_SENT, "m");
        let next = script(1).fact(facts::FALLBACK_AFTER, "0199-1");
        let scripts = [
            script(0)
                .fact(facts::FALLBACK_BY, "0199-2")
                .failed("it is out"),
            next.ended(State::Completed),
            script(2).failed("for its client, too"),
        ];
        let first = scripts[0].id;
        for mut script in scripts {
            opened.recorder.observe(&script.batch());
        }
        opened.recorder.finish();
        let usage = usage(&opened, By::Model, &RunFilter::default()).await;
        let totals = opened.store.totals_of(&RunFilter::default(), 3).await;
        let of_a_list = totals.unwrap().expect("no more than three");
        for totals in [
            &usage.all,
            &usage.groups[0].1,
            &usage.slots[0].1,
            &of_a_list,
        ] {
            let mut by_state = totals.by_state.clone();
            by_state.sort_by_key(|(state, _)| state.name());
            assert_eq!(by_state, [(State::Completed, 1), (State::Failed, 1)]);
            assert_eq!((totals.replaced, totals.runs()), (1, 3));
        }
        let none = opened.store.totals_of(&RunFilter::default(), 2).await;
        assert!(none.unwrap().is_none(), "it is one of the runs");
        for (replaced, expected) in [(true, 1), (false, 2)] {
            let filter = RunFilter {
                replaced: Some(replaced),
                ..RunFilter::default()
            };
            let found = opened.store.runs(&filter, None, 50).await.unwrap().runs;
            assert_eq!(found.len(), expected, "{replaced}");
            assert_eq!(found.iter().any(|run| run.id == first), replaced);
            let now = Timestamp(T0);
            assert!(found.iter().all(|run| filter.admits(run, now)));
            let other = RunFilter {
                replaced: Some(!replaced),
                ..RunFilter::default()
            };
            assert!(!found.iter().any(|run| other.admits(run, now)));
        }
    }
}

/// A name and how many runs it has.
type Group<'a> = (Option<&'a str>, u64);

/// Names with the number of their runs, in the order of names.
fn told(usage: &Usage) -> Vec<Group<'_>> {
    let groups = usage.groups.iter();
    let mut told: Vec<_> = groups
        .map(|(name, totals)| (name.as_deref(), runs(totals)))
        .collect();
    told.sort_unstable();
    told
}

fn runs(totals: &Totals) -> u64 {
    totals.by_state.iter().map(|(_, runs)| runs).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_are_told_apart_by_what_a_run_was_of() {
    for stage in Stage::all().await {
        let opened = five(&stage).await;
        let expected: [(By, &[Group<'_>]); 6] = [
            (
                By::Model,
                &[(None, 1), (Some("opus"), 1), (Some("vendor/opus"), 3)],
            ),
            (
                By::Provider,
                &[
                    (None, 2),
                    (Some("Some Cloud"), 1),
                    (Some(HOSTILE), 1),
                    (Some("openrouter"), 1),
                ],
            ),
            (By::Session, &[(None, 4), (Some("s-1"), 1)]),
            (By::Client, &[(None, 4), (Some(CLIENT), 1)]),
            (By::Key, &[(None, 2), (Some("alice"), 2), (Some("bob"), 1)]),
            (
                By::Workflow,
                &[(Some("count_tokens"), 1), (Some("messages"), 4)],
            ),
        ];
        for (by, expected) in expected {
            let usage = usage(&opened, by, &RunFilter::default()).await;
            assert_eq!(told(&usage), expected, "{by:?}");
            assert_eq!(runs(&usage.all), 5);
            assert!((usage.all.cost_usd - 0.75).abs() < 1e-9);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_s_name_finds_the_runs_that_were_counted() {
    for stage in Stage::all().await {
        let opened = five(&stage).await;
        for by in [By::Model, By::Provider, By::Client, By::Key] {
            let usage = usage(&opened, by, &RunFilter::default()).await;
            for (name, totals) in usage.groups {
                let Some(name) = name else {
                    continue;
                };
                let mut filter = RunFilter::default();
                let exact = match by {
                    By::Model => &mut filter.model_sent,
                    By::Provider => &mut filter.provider,
                    By::Client => &mut filter.client,
                    _ => &mut filter.key,
                };
                *exact = Some(name);
                let found = opened.store.runs(&filter, None, 50).await.unwrap().runs;
                assert_eq!(found.len() as u64, runs(&totals), "{filter:?}");
                let now = Timestamp(T0);
                assert!(found.iter().all(|run| filter.admits(run, now)));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_a_filter_lets_through_is_added_up() {
    for stage in Stage::all().await {
        let opened = five(&stage).await;
        let dear = RunFilter {
            states: vec![State::Completed, State::Failed],
            min_cost: Some(0.3),
            ..RunFilter::default()
        };
        let dear = usage(&opened, By::Provider, &dear).await;
        assert_eq!(told(&dear), [(Some(HOSTILE), 1)]);
        assert_eq!((runs(&dear.all), dear.slots.len()), (1, 1));
        let none = RunFilter::accepted_since(Timestamp(i64::MAX));
        let none = usage(&opened, By::Session, &none).await;
        assert!(none.groups.is_empty() && none.slots.is_empty());
        assert_eq!(runs(&none.all), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_over_time_stand_under_the_beginning_of_their_slot() {
    for stage in Stage::all().await {
        let opened = five(&stage).await;
        let oldest = opened.store.oldest().await.unwrap().unwrap();
        assert!((T0..T0 + 1_000).contains(&oldest.0), "{oldest:?}");
        let slots = usage(&opened, By::Model, &RunFilter::default()).await.slots;
        let micros = i64::try_from(HOUR.as_micros()).unwrap();
        let first = T0 / micros * micros;
        let told: Vec<_> = slots
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
        assert!((slots[0].1.cost_usd - 0.75).abs() < 1e-9);
    }
}
