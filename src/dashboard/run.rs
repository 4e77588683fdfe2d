//! The page of one run, made of parts that are sent again when they change.
//!
//! It must not know how the parts reach an open page.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use super::filter::encode_pairs;
use super::page::{Failure, Shell, answer, moved, part, query_pairs, with_query};
use super::side::Side;
use super::timeline::{Scale, critical_path};
use super::{Dashboard, bars, format, panel, payloads, picture, run_head, state};
use crate::events::{RunId, State, StepIndex, Timestamp};
use crate::store::{RunDetail, RunSummary, Store};

/// How long after its acceptance a run may not be recorded yet: the recorder needs 40 ms, a busy machine more.
const NEWS_WITHIN: Duration = Duration::from_secs(2);

#[derive(Template)]
#[template(path = "run.html")]
struct Page {
    shell: Shell,
    title: String,
    parts: Vec<Part>,
    /// Where the page hears of changes; none when nothing can change any more.
    live: Option<String>,
    live_key: String,
}

/// A part of the page.
pub(super) struct Part {
    /// The id of its element.
    pub(super) id: &'static str,
    /// Its element whole.
    pub(super) html: String,
}

/// What the address says about a run's page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    step: Option<String>,
    /// The side of the payloads; the one that tells most when none is named.
    payload: Option<Side>,
    /// The run that this one is compared with.
    against: Option<RunId>,
    scale: Scale,
}

/// `GET /runs/{id}`.
pub(super) async fn page(
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    request: HttpRequest,
) -> HttpResponse {
    if let Some(run) = RunId::of_request(&id) {
        return moved(&with_query(&format!("/runs/{run}"), &request));
    }
    answer(&dashboard, show(&dashboard, &id, &request).await)
}

async fn show(dashboard: &Dashboard, id: &str, request: &HttpRequest) -> Result<Page, Failure> {
    let view = View::parse(&query_pairs(request)?)?;
    let run = find_soon(dashboard, parse_id(id)?).await?;
    let parts = parts(dashboard, &run, &view, Timestamp::now()).await?;
    let summary = &run.summary;
    let id = summary.id;
    // The tab that is open stays open, whatever becomes of the run.
    let query = view.settled(&run).encode();
    Ok(Page {
        shell: Shell::new(dashboard, "runs"),
        title: format!(
            "{} · {}",
            run_head::title(summary),
            format::clock(summary.started)
        ),
        parts,
        live: (!summary.state.is_final()).then(|| format!("/live/runs/{id}{query}")),
        live_key: blake3::hash(query.as_bytes())
            .to_hex()
            .chars()
            .take(8)
            .collect(),
    })
}

/// Reads a run's id from a path, or that of its request, which is the one that clients are told.
pub(super) fn parse_id(text: &str) -> Result<RunId, Failure> {
    let id = RunId::of_request(text).or_else(|| text.parse().ok());
    id.ok_or_else(|| {
        let text = format::ellipsis(text, 60);
        Failure::Missing(format!(
            "{text} is not the id of a run: give the x-dagway-run of an answer, or its request-id."
        ))
    })
}

/// The run of an id; of a run that was accepted a moment ago, waits until it is recorded.
///
/// An answer names its run before the run's first row is written: who follows the name at once must find it.
pub(super) async fn find_soon(dashboard: &Dashboard, id: RunId) -> Result<RunDetail, Failure> {
    let mut changes = (dashboard.changes)();
    let recorded = async {
        loop {
            match find(dashboard.store.as_ref(), id).await {
                Err(Failure::Missing(_))
                    if !matches!(changes.recv().await, Err(RecvError::Closed)) => {}
                found => return found,
            }
        }
    };
    if Timestamp::now().since(id.accepted()) > NEWS_WITHIN {
        return find(dashboard.store.as_ref(), id).await;
    }
    match timeout(NEWS_WITHIN, recorded).await {
        Ok(found) => found,
        Err(_) => find(dashboard.store.as_ref(), id).await,
    }
}

/// The run of an id.
pub(super) async fn find(store: &dyn Store, id: RunId) -> Result<RunDetail, Failure> {
    if let Some(run) = store.run(id).await? {
        return Ok(run);
    }
    let sentence = match store.ready().await {
        Ok(()) => format!(
            "There is no run {id}. It may have been removed by retention, or its request was refused before a run began."
        ),
        Err(_) => format!(
            "There is no run {id} in the store. It may not have been written yet: the store refuses writes at present. \
             GET /health/ready tells when it takes them again."
        ),
    };
    Err(Failure::Missing(sentence))
}

impl View {
    /// Reads the pairs of a query string.
    pub(super) fn parse(pairs: &[(String, String)]) -> Result<Self, Failure> {
        let mut view = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "step" => view.step = Some(value.clone()),
                "payload" => view.payload = Some(Side::parse(value)?),
                "against" => view.against = Some(parse_id(value)?),
                "scale" => {
                    view.scale = match value.as_str() {
                        "stretched" => Scale::Stretched,
                        "linear" => Scale::Linear,
                        _ => {
                            return Err(Failure::Bad(
                                "scale: give linear or stretched, or leave it out".to_owned(),
                            ));
                        }
                    };
                }
                _ => {
                    return Err(Failure::Bad(format!(
                        "there is no parameter `{}`; the page of a run takes step, payload, against, scale",
                        format::ellipsis(name, 60)
                    )));
                }
            }
        }
        Ok(view)
    }

    /// The query string that shows the same, with its `?`; empty for the plain page.
    pub(super) fn encode(&self) -> String {
        let mut pairs = Vec::new();
        pairs.extend(self.step.iter().map(|step| ("step", step.clone())));
        let payload = self.payload.map(Side::name);
        pairs.extend(payload.map(|name| ("payload", name.to_owned())));
        pairs.extend(self.against.map(|run| ("against", run.to_string())));
        if self.scale == Scale::Stretched {
            pairs.push(("scale", "stretched".to_owned()));
        }
        match encode_pairs(&pairs) {
            text if text.is_empty() => text,
            text => format!("?{text}"),
        }
    }

    /// The same, with the side of the payloads named that is shown.
    fn settled(self, run: &RunDetail) -> Self {
        let payload = self.payload.unwrap_or_else(|| Side::of_interest(run));
        Self {
            payload: Some(payload),
            ..self
        }
    }

    fn href(&self, run: &RunSummary) -> String {
        format!("/runs/{}{}", run.id, self.encode())
    }

    /// The address that shows another side of the payloads.
    pub(super) fn href_of_payload(&self, run: &RunSummary, payload: Side) -> String {
        Self {
            payload: Some(payload),
            ..self.clone()
        }
        .href(run)
    }

    /// The address that compares the run with another.
    pub(super) fn href_against(&self, run: &RunSummary, other: RunId) -> String {
        Self {
            payload: Some(Side::Changes),
            against: Some(other),
            ..self.clone()
        }
        .href(run)
    }

    fn href_of_step(&self, run: &RunSummary, step: &str) -> String {
        let step = Some(step.to_owned());
        Self {
            step,
            ..self.clone()
        }
        .href(run)
    }

    fn href_of_scale(&self, run: &RunSummary, scale: Scale) -> String {
        Self {
            scale,
            ..self.clone()
        }
        .href(run)
    }

    /// The run that this one is to be compared with, when one is named.
    pub(super) fn against(&self) -> Option<RunId> {
        self.against
    }

    /// The side of the payloads that is asked for.
    pub(super) fn payload(&self) -> Option<Side> {
        self.payload
    }
}

/// All parts of the page as they stand at `now`.
pub(super) async fn parts(
    dashboard: &Dashboard,
    run: &RunDetail,
    view: &View,
    now: Timestamp,
) -> Result<Vec<Part>, Failure> {
    let store = dashboard.store.as_ref();
    let summary = &run.summary;
    let selected = selected(run, view, now)?;
    let links = bars::Links {
        step: |step: &str| view.href_of_step(summary, step),
        stretched: view.href_of_scale(summary, Scale::Stretched),
        linear: view.href_of_scale(summary, Scale::Linear),
    };
    let graph = picture::of_run(run, selected, now, |step| view.href_of_step(summary, step));
    let timeline = bars::of_run(run, selected, now, view.scale, links);
    let part = |id, html| Part { id, html };
    Ok(vec![
        part(
            "run-head",
            run_head::of_run(run, dashboard.trace_url.as_ref(), now),
        ),
        part("run-graph", section("run-graph", "Graph", &graph)),
        part("run-timeline", timeline),
        part("run-panel", panel::of_step(run, selected, now)),
        part("run-log", log(run)),
        part("run-payloads", payloads::of_run(store, run, view).await?),
    ])
}

/// The step whose details are shown: the one asked for, else the one that failed, else the one that took longest.
fn selected(run: &RunDetail, view: &View, now: Timestamp) -> Result<StepIndex, Failure> {
    if let Some(name) = &view.step {
        let place = run.plan.steps.iter().position(|step| step.name == *name);
        return place
            .and_then(|place| place.try_into().ok())
            .ok_or_else(|| {
                Failure::Bad(format!(
                    "step: the workflow {} has no step {}",
                    run.plan.name,
                    format::ellipsis(name, 60)
                ))
            });
    }
    let failed = run
        .steps
        .iter()
        .find(|step| matches!(step.state, State::Failed | State::TimedOut | State::Crashed));
    if let Some(step) = failed {
        return Ok(step.step);
    }
    let lasted = |index: &StepIndex| {
        let step = run.steps.get(usize::from(*index))?;
        Some(step.ended.unwrap_or(now).since(step.started?))
    };
    let slowest = critical_path(&run.plan, &run.steps, now)
        .into_iter()
        .max_by_key(lasted);
    Ok(slowest.unwrap_or(0))
}

#[derive(Template)]
#[template(path = "parts/section.html")]
struct Section<'a> {
    id: &'a str,
    title: &'a str,
    inner: &'a str,
}

fn section(id: &str, title: &str, inner: &str) -> String {
    part(&Section { id, title, inner })
}

#[derive(Template)]
#[template(path = "parts/log.html")]
struct Log {
    lines: Vec<Line>,
}

struct Line {
    clock: String,
    since: String,
    level: &'static str,
    step: Option<String>,
    message: String,
}

fn log(run: &RunDetail) -> String {
    let lines = run
        .logs
        .iter()
        .map(|line| Line {
            clock: format::clock_micros(line.at),
            since: format::duration(line.at.since(run.summary.started)),
            level: state::level(line.level),
            step: line
                .step
                .and_then(|step| run.plan.steps.get(usize::from(step)))
                .map(|step| step.name.clone()),
            message: line.message.clone(),
        })
        .collect();
    part(&Log { lines })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::fixture;

    #[tokio::test]
    async fn a_run_that_was_just_accepted_is_waited_for() {
        let mut run = fixture::completed_run();
        run.summary.id = RunId::now();
        let id = run.summary.id;
        let store = std::sync::Arc::new(fixture::FakeStore::new(Vec::new()));
        let (dashboard, changes) = fixture::dashboard(store.clone());
        let recording = async {
            // The first news is of another run.
            for runs in [vec![fixture::failed_run()], vec![run]] {
                while changes.receiver_count() == 0 {
                    tokio::task::yield_now().await;
                }
                let ids: Vec<RunId> = runs.iter().map(|run| run.summary.id).collect();
                store.runs.lock().unwrap().extend(runs);
                changes
                    .send(crate::store::Changed { runs: ids.into() })
                    .unwrap();
                tokio::task::yield_now().await;
            }
        };
        let (found, ()) = tokio::join!(find_soon(&dashboard, id), recording);
        assert_eq!(found.unwrap().summary.id, id);
    }

    #[tokio::test]
    async fn an_old_run_that_is_gone_is_missing_at_once() {
        let gone = fixture::completed_run().summary.id;
        assert!(Timestamp::now().since(gone.accepted()) > NEWS_WITHIN);
        let store = std::sync::Arc::new(fixture::FakeStore::new(Vec::new()));
        let (dashboard, _changes) = fixture::dashboard(store);
        assert!(matches!(
            find_soon(&dashboard, gone).await,
            Err(Failure::Missing(_))
        ));
    }

    #[tokio::test]
    async fn a_run_that_is_missing_while_writes_are_refused_may_not_be_written_yet() {
        let gone = fixture::completed_run().summary.id;
        let mut store = fixture::FakeStore::new(Vec::new());
        let sentence = async |store: &fixture::FakeStore| {
            let found = find(store, gone).await;
            found.err().map(|failure| failure.to_string()).unwrap()
        };
        assert!(sentence(&store).await.contains("removed by retention"));
        store.takes_writes = false;
        let sentence = sentence(&store).await;
        assert!(sentence.contains("not have been written yet"), "{sentence}");
        assert!(!sentence.contains("retention"), "{sentence}");
    }

    #[test]
    fn the_failed_step_is_shown_first() {
        let view = View::default();
        let shown = |run: &RunDetail| {
            let index = selected(run, &view, fixture::now()).unwrap();
            run.plan.steps[usize::from(index)].name.clone()
        };
        assert_eq!(shown(&fixture::failed_run()), "call_upstream");
        assert_eq!(shown(&fixture::completed_run()), "call_upstream");
    }

    #[test]
    fn a_view_survives_the_round_trip() {
        let pairs = [("step", "a b"), ("payload", "got"), ("scale", "stretched")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let view = View::parse(&pairs).unwrap();
        assert_eq!(view.encode(), "?step=a%20b&payload=got&scale=stretched");
        assert_eq!(View::default().encode(), "");
        assert!(View::parse(&[("colour".to_owned(), String::new())]).is_err());
    }
}
