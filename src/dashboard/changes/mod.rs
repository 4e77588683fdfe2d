//! What a turn's request changed since the turn before: why a cache helped, or did not.
//!
//! Compared is what was sent upstream, because that is what providers cache. Where one of the two sent nothing, or they went
//! through different workflows, it is what their clients asked: a request beside its own translation would differ all over.
//!
//! | file | what |
//! | --- | --- |
//! | [`request`] | a recorded request in pieces |
//! | [`diff`] | two of them side by side |
//! | [`verdict`] | what the difference means for a cache |
//! | [`json`] | all of it for programs |

mod diff;
mod json;
mod request;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::HashSet;

use actix_web::web;
use askama::Template;
use serde_json::Value;

use self::diff::{Diff, Group};
use self::verdict::{Turn, Verdict};
use super::page::{Failure, part};
use super::run::View;
use super::{format, run_head};
use crate::events::{RunId, Timestamp};
use crate::facts::{self, payload};
use crate::store::{RunFilter, RunSummary, Store};

/// Earlier runs that are looked at for the one that is most like this run.
const CANDIDATES: usize = 8;
/// Runs among which those are chosen: many sub-agents may work between two turns of a conversation.
const REACH: u16 = 64;
/// Bytes of earlier requests that are read for that.
const MOST_BYTES: usize = 16 << 20;

/// The tab as a whole.
#[derive(Template)]
#[template(path = "parts/changes.html")]
struct Tab {
    bases: Vec<Base>,
    found: Found,
}

/// Which of a run's requests is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// What was sent upstream, in the last form in which it was.
    Sent,
    /// What the client asked.
    Asked,
}

/// Requests in the same form.
struct Texts {
    form: Form,
    later: Option<Vec<u8>>,
    earlier: Option<Vec<u8>>,
}

/// A time of day, which the page's script tells in the reader's own zone.
struct Clock {
    text: String,
    at: String,
}

impl Clock {
    fn of(at: Timestamp) -> Self {
        Self {
            text: format::clock(at),
            at: format::rfc3339(at),
        }
    }
}

/// A run to compare with.
struct Base {
    href: String,
    clock: Clock,
    title: String,
    on: bool,
}

/// What there is to show.
enum Found {
    Changes(Box<Changes>),
    /// There is nothing to compare, and why.
    Nothing(&'static str),
}

/// Two turns whose requests can be compared.
struct Pair {
    form: Form,
    earlier: Turn,
    later: Turn,
}

/// A run's request beside that of an earlier run.
struct Changes {
    base_href: String,
    base_title: String,
    base_clock: Clock,
    /// How far the two are apart, in words.
    apart: String,
    verdict: Verdict,
    diff: Diff,
}

/// Compares `run` with the run that `view` names, else with the one before it that is most like it.
pub(super) async fn of_run(
    store: &dyn Store,
    run: &RunSummary,
    view: &View,
) -> Result<String, Failure> {
    let candidates = before(store, run).await?;
    let mut chosen = None;
    let found = match find(store, run, view.against(), &candidates).await? {
        Ok(pair) => {
            chosen = Some(pair.earlier.run.id);
            Found::Changes(blocking(move || Box::new(compared(&pair))).await?)
        }
        Err(why) => Found::Nothing(why),
    };
    let bases = candidates.iter().map(|base| Base {
        href: view.href_against(run, base.id),
        clock: Clock::of(base.started),
        title: run_head::title(base),
        on: Some(base.id) == chosen,
    });
    Ok(part(&Tab {
        bases: bases.collect(),
        found,
    }))
}

/// Compares `run` with the run `against`, else with the one before it that is most like it, for programs.
pub(super) async fn json_of_run(
    store: &dyn Store,
    run: &RunSummary,
    against: Option<RunId>,
    now: Timestamp,
) -> Result<Value, Failure> {
    let candidates = before(store, run).await?;
    match find(store, run, against, &candidates).await? {
        Ok(pair) => blocking(move || json::of(&pair, now)).await,
        Err(why) => Ok(json::of_nothing(run, why, now)),
    }
}

/// The two turns to compare; or why there are not two.
async fn find(
    store: &dyn Store,
    run: &RunSummary,
    against: Option<RunId>,
    candidates: &[RunSummary],
) -> Result<Result<Pair, &'static str>, Failure> {
    const GONE: &str = "This run's request is not kept, or not yet.";
    let named = match against {
        Some(id) => match store.runs_by_id(&[id]).await?.pop() {
            Some(named) => Some(named),
            None => return Ok(Err("There is no such run to compare with.")),
        },
        None => None,
    };
    let Texts {
        form,
        later,
        earlier,
    } = texts(store, run, named.as_ref()).await?;
    let Some(bytes) = later else {
        return Ok(Err(GONE));
    };
    let Some(later) = turn(run, bytes).await? else {
        return Ok(Err(match form {
            Form::Sent => "What was sent is no JSON object: see “Dagway sent”.",
            Form::Asked => "What was asked is no JSON object: see “Client asked”.",
        }));
    };
    if let Some(named) = named {
        let earlier = match earlier {
            Some(bytes) => turn(&named, bytes).await?,
            None => None,
        };
        let why = "The request of the run to compare with is not kept, or is no JSON object.";
        return Ok(pair(form, earlier, later).ok_or(why));
    }
    let earlier = likest(store, candidates, &later, form).await?;
    let why = match (candidates, run.text(facts::SESSION)) {
        ([], None) => {
            "No earlier run went through this workflow: there is nothing to compare with."
        }
        ([], Some(_)) => {
            "No earlier run of this session went through this workflow: there is nothing to compare with."
        }
        _ => {
            "No earlier run has anything in common with this one. Choose one to compare with all the same."
        }
    };
    Ok(pair(form, earlier, later).ok_or(why))
}

fn pair(form: Form, earlier: Option<Turn>, later: Turn) -> Option<Pair> {
    earlier.map(|earlier| Pair {
        form,
        earlier,
        later,
    })
}

/// What is compared of a run and of the one it is to be compared with, when one is named.
async fn texts(
    store: &dyn Store,
    run: &RunSummary,
    named: Option<&RunSummary>,
) -> Result<Texts, Failure> {
    if named.is_none_or(|named| named.workflow == run.workflow) {
        let sent = texts_of(store, run, named, Form::Sent).await?;
        if sent.later.is_some() && sent.earlier.is_some() == named.is_some() {
            return Ok(sent);
        }
    }
    texts_of(store, run, named, Form::Asked).await
}

async fn texts_of(
    store: &dyn Store,
    run: &RunSummary,
    named: Option<&RunSummary>,
    form: Form,
) -> Result<Texts, Failure> {
    Ok(Texts {
        form,
        later: bytes(store, run.id, form).await?,
        earlier: match named {
            Some(named) => bytes(store, named.id, form).await?,
            None => None,
        },
    })
}

fn compared(pair: &Pair) -> Changes {
    let Pair { earlier, later, .. } = pair;
    let diff = diff::between(&earlier.request.pieces, &later.request.pieces);
    let (before, after) = (&earlier.run, &later.run);
    Changes {
        base_href: format!("/runs/{}", before.id),
        base_title: run_head::title(before),
        base_clock: Clock::of(before.started),
        apart: if before.started > after.started {
            let pause = before.started.since(after.started);
            format!("{} after this one", format::duration(pause))
        } else {
            let pause = after.started.since(before.started);
            format!("{} before", format::duration(pause))
        },
        verdict: verdict::judge(earlier, later, diff.same_first),
        diff,
    }
}

/// The runs before `run` that may be its earlier turns, newest first; the same agent's before those of others.
async fn before(store: &dyn Store, run: &RunSummary) -> Result<Vec<RunSummary>, Failure> {
    let filter = RunFilter {
        workflow: Some(run.workflow.clone()),
        session: run.text(facts::SESSION).map(str::to_owned),
        ..RunFilter::default()
    };
    let mut runs = store.runs(&filter, Some(run.id), REACH).await?.runs;
    leave_out_replaced(&mut runs, run);
    let agent = run.text(facts::AGENT);
    runs.sort_by_key(|other| other.text(facts::AGENT) != agent);
    runs.truncate(CANDIDATES);
    runs.sort_unstable_by_key(|other| std::cmp::Reverse(other.id));
    Ok(runs)
}

/// Leaves out runs whose request another one of them, or `run` itself, made again with a fallback: it is no turn of its own.
fn leave_out_replaced(runs: &mut Vec<RunSummary>, run: &RunSummary) {
    let there: HashSet<String> = runs.iter().map(|other| other.id.to_string()).collect();
    runs.retain(|other| {
        let by = other.text(facts::FALLBACK_BY);
        !by.is_some_and(|by| there.contains(by) || by == run.id.to_string())
    });
}

/// The candidate that has most in common with `later`, the newest of those that have as much.
///
/// Not that whose beginning has: of a turn whose first tool is another, that would be a stranger.
async fn likest(
    store: &dyn Store,
    candidates: &[RunSummary],
    later: &Turn,
    form: Form,
) -> Result<Option<Turn>, Failure> {
    let mut best = None;
    let mut most = 0;
    let mut bytes_left = MOST_BYTES;
    for candidate in candidates {
        let Some(bytes) = bytes(store, candidate.id, form).await? else {
            continue;
        };
        bytes_left = bytes_left.saturating_sub(bytes.len());
        if let Some(other) = turn(candidate, bytes).await? {
            let common = diff::in_common(&other.request.pieces, &later.request.pieces);
            if common > most {
                most = common;
                best = Some(other);
            }
        }
        if bytes_left == 0 {
            break;
        }
    }
    Ok(best)
}

/// A run's request.
async fn bytes(store: &dyn Store, id: RunId, form: Form) -> Result<Option<Vec<u8>>, Failure> {
    let [second, third] = payload::UPSTREAM_REQUEST_AGAIN;
    let names: &[&str] = match form {
        Form::Sent => &[third, second, payload::UPSTREAM_REQUEST],
        Form::Asked => &[payload::CLIENT_REQUEST],
    };
    for name in names {
        if let Some(bytes) = store.payload(id, name).await? {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

/// A run and what it asked; `None` when that is no JSON object.
async fn turn(run: &RunSummary, bytes: Vec<u8>) -> Result<Option<Turn>, Failure> {
    let run = run.clone();
    blocking(move || request::read(&bytes).map(|request| Turn { run, request })).await
}

/// Long requests take milliseconds to compare: requests that are served meanwhile must not wait for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    web::block(work).await.map_err(|_| Failure::Stopping)
}
