//! Runs cases against a gateway: sends each request, and compares what came of it on both sides.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::case::Case;
use super::client::{Call, Client};
use super::judge::Judge;
use super::mode::Mode;
use super::report::{Failure, Outcome, Report};
use super::slot::Slot;
use super::text::{Mark, Marks};
use super::upstream::Upstream;
use futures_util::{StreamExt, stream};

/// How to run the suite.
#[derive(Clone, Debug)]
pub struct Options {
    /// The base URL of the gateway under test.
    pub target: String,
    /// A key that it accepts.
    pub key: String,
    /// What the gateway calls a model, where it is not what the cases call it.
    pub models: BTreeMap<String, String>,
    /// How many cases run at a time.
    pub jobs: usize,
    /// What random replays begin with.
    pub seed: u64,
}

/// Runs all cases in all modes that suit them.
///
/// # Errors
/// When the client cannot be made.
pub async fn run(cases: &[Case], upstream: &Upstream, options: &Options) -> Result<Report, String> {
    let client = Client::new(&options.target, &options.key)?;
    let bench = Bench {
        client,
        upstream,
        models: &options.models,
    };
    // A gateway that was asked for its models has read the upstream's list before the first case comes.
    let warm_up = Call {
        method: "GET".to_owned(),
        path: "/v1/models".to_owned(),
        headers: BTreeMap::new(),
        body: None,
        hangs_up: false,
    };
    bench.client.send(&warm_up).await?;
    let mut marks = Marks::new(options.seed);
    let mut jobs = Vec::new();
    for case in cases {
        for mode in modes(case, options.seed) {
            jobs.push((case, mode, marks.next()));
        }
    }
    // Cases that wait begin first, so that the others fill the time.
    jobs.sort_by_key(|(case, ..)| !case.whole_only);
    let (marked, alone): (Vec<_>, Vec<_>) =
        jobs.into_iter().partition(|(case, ..)| case.is_marked());
    let side_by_side = stream::iter(marked)
        .map(|(case, mode, mark)| bench.run(case, mode, mark, false))
        .buffer_unordered(options.jobs.max(1));
    let mut found: Vec<_> = side_by_side.collect().await;
    for (case, mode, mark) in alone {
        found.push(bench.run(case, mode, mark, true).await);
    }
    Ok(Report {
        seed: options.seed,
        outcomes: outcomes(cases, found),
        strays: upstream.strays(),
    })
}

/// The modes that suit a case.
fn modes(case: &Case, seed: u64) -> Vec<Mode> {
    let streams = case.streams().unwrap_or_default();
    match streams.iter().map(Vec::len).max() {
        Some(longest) if !case.whole_only => Mode::all(longest, seed),
        _ => vec![Mode::Whole],
    }
}

fn outcomes(cases: &[Case], found: Vec<(&str, Vec<Failure>)>) -> Vec<Outcome> {
    let mut by_name: BTreeMap<&str, (usize, Vec<Failure>)> = BTreeMap::new();
    for (name, failures) in found {
        let (replays, all) = by_name.entry(name).or_default();
        *replays += 1;
        all.extend(failures);
    }
    let outcome = |case: &Case| {
        let (replays, failures) = by_name.remove(case.name.as_str()).unwrap_or_default();
        Outcome {
            case: case.name.clone(),
            pins: case.pins.clone(),
            replays,
            failures,
        }
    };
    cases.iter().map(outcome).collect()
}

/// What every case is run with.
struct Bench<'a> {
    client: Client,
    upstream: &'a Upstream,
    models: &'a BTreeMap<String, String>,
}

impl Bench<'_> {
    async fn run<'c>(
        &self,
        case: &'c Case,
        mode: Mode,
        mark: Mark,
        is_alone: bool,
    ) -> (&'c str, Vec<Failure>) {
        let slot = Arc::new(Slot::new(mark, mode));
        self.upstream.open(&slot, is_alone);
        let mut judge = Judge::new(&slot, mode, self.models);
        for turn in &case.turns {
            judge.turn += 1;
            slot.expect(&turn.upstream);
            match judge.call(&turn.request) {
                Ok(mut call) => {
                    call.hangs_up = turn.answer.hangs_up;
                    match self.client.send(&call).await {
                        Ok(_) if call.hangs_up => judge.upstream_is_let_go().await,
                        Ok(got) => {
                            judge.upstream(&turn.upstream, &slot.seen());
                            judge.answer(&turn.answer, &got);
                        }
                        Err(error) => judge.fail("answer", "/", "an answer", &error),
                    }
                }
                Err(error) => judge.fail("request", "/", "a request that can be made", &error),
            }
            if !judge.failures.is_empty() {
                break;
            }
        }
        let failures = std::mem::take(&mut judge.failures);
        self.upstream.close(&slot);
        (&case.name, failures)
    }
}
