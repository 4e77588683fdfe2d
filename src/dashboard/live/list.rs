//! The stream of a list of runs: rows that changed, and the figures above them.

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use tokio::sync::broadcast::Receiver;
use tokio::time::Instant;

use super::{MOST, PACE, Pace, Wake, events, message, partial, wait};
use crate::dashboard::filter::{Query, encode_pairs};
use crate::dashboard::page::{Failure, failed, query_pairs, trouble};
use crate::dashboard::{Dashboard, rows, totals};
use crate::events::{RunId, Timestamp};
use crate::store::{Changed, RunSummary};

/// The parameter of a list's stream that names the rows which are shown and not over yet.
const OPEN: &str = "open";

/// The address of the live rows of a list that shows these runs.
pub(in crate::dashboard) fn list_address(query: &str, shown: &[RunSummary]) -> String {
    let open = running(shown);
    if open.is_empty() {
        return format!("/live/runs?{query}");
    }
    let open = encode_pairs(&[(OPEN, joined(&open))]);
    format!("/live/runs?{query}&{open}")
}

/// `GET /live/runs`: rows of the list with the same query string.
pub(in crate::dashboard) async fn runs(
    dashboard: web::Data<Dashboard>,
    request: HttpRequest,
) -> HttpResponse {
    match asked_of_list(&request) {
        Err(failure) => failed(&dashboard, &failure),
        Ok((query, open)) => events(&dashboard.clone(), || {
            (
                ListWatch::new(dashboard, query, open, PACE),
                ListWatch::next,
            )
        }),
    }
}

fn asked_of_list(request: &HttpRequest) -> Result<(Query, Vec<RunId>), Failure> {
    let (open, pairs): (Vec<_>, Vec<_>) = query_pairs(request)?
        .into_iter()
        .partition(|(name, _)| name == OPEN);
    let query = Query::parse(&pairs, Timestamp::now()).map_err(Failure::Bad)?;
    let told = request.headers().get("last-event-id");
    let open = match told.and_then(|told| told.to_str().ok()) {
        Some(told) => ids(told),
        None => open.iter().flat_map(|(_, open)| ids(open)).collect(),
    };
    Ok((query, open))
}

fn joined(ids: &[RunId]) -> String {
    let ids: Vec<String> = ids.iter().map(RunId::to_string).collect();
    ids.join(",")
}

/// What [`joined`] wrote; anything else in it is passed over.
fn ids(text: &str) -> Vec<RunId> {
    let ids = text.split(',').filter_map(|id| id.parse().ok());
    ids.take(MOST).collect()
}

/// A list that is being looked at.
struct ListWatch {
    dashboard: web::Data<Dashboard>,
    query: Query,
    changes: Receiver<Changed>,
    pace: Pace,
    /// Rows that are shown as running.
    running: Vec<RunId>,
    /// Those of them that the browser knows of, to tell them after a break.
    told: Vec<RunId>,
    started: bool,
    /// The store failed to say what had changed, so the page is shown whole next.
    is_behind: bool,
    sent: Instant,
    totals_sent: Option<Instant>,
    totals_due: bool,
    /// The banner about the store, as it was sent or came with the page.
    trouble: String,
}

impl ListWatch {
    fn new(dashboard: web::Data<Dashboard>, query: Query, open: Vec<RunId>, pace: Pace) -> Self {
        let changes = (dashboard.changes)();
        Self {
            // The page may have been made before: the first message brings it.
            trouble: String::new(),
            dashboard,
            query,
            changes,
            pace,
            told: open.clone(),
            running: open,
            started: false,
            is_behind: false,
            sent: Instant::now(),
            totals_sent: None,
            totals_due: false,
        }
    }

    async fn next(mut self) -> Option<(Bytes, Self)> {
        let store = self.dashboard.store.clone();
        let found = if self.started {
            let now = Instant::now();
            let is_quiet = self.running.is_empty() && !self.totals_due && !self.is_behind;
            let patience = if is_quiet {
                self.pace.silence
            } else {
                self.pace.beat
            };
            let woken = wait(
                &mut self.changes,
                now + patience,
                self.sent + self.pace.least,
                |_| true,
            )
            .await;
            match woken {
                Wake::End => return None,
                Wake::Flood => self.whole_page().await,
                Wake::Time | Wake::Changes(_) if self.is_behind => self.whole_page().await,
                Wake::Time => store.runs_by_id(&self.running).await.ok(),
                Wake::Changes(mut runs) => {
                    self.totals_due = true;
                    runs.extend(&self.running);
                    let runs: Vec<RunId> = runs.into_iter().collect();
                    store.runs_by_id(&runs).await.ok()
                }
            }
        } else {
            self.started = true;
            self.whole_page().await
        };
        // A store that fails for a moment costs the viewer a message, neither the stream nor what changed meanwhile.
        self.is_behind = found.is_none();
        let mut found = found
            .inspect(|found| self.running = running(found))
            .unwrap_or_default();
        found.sort_unstable_by_key(|run| std::cmp::Reverse(run.id));
        let message = self.message(&found).await;
        self.sent = Instant::now();
        Some((message, self))
    }

    /// The page as it is now, and what has left it while it was shown as running: because the filter asks for what runs,
    /// or because newer runs came.
    async fn whole_page(&mut self) -> Option<Vec<RunSummary>> {
        self.totals_due = true;
        let mut runs = self.dashboard.list(&self.query).await.ok()?.runs;
        let is_there = |id: &RunId| runs.iter().any(|run| run.id == *id);
        let left = self.running.iter().copied().filter(|id| !is_there(id));
        let left: Vec<RunId> = left.collect();
        if !left.is_empty() {
            runs.extend(self.dashboard.store.runs_by_id(&left).await.ok()?);
        }
        Some(runs)
    }

    async fn message(&mut self, found: &[RunSummary]) -> Bytes {
        let mut html = String::new();
        if !found.is_empty() {
            let rows = rows::rows(found, &self.query, Timestamp::now());
            partial(&mut html, "rows", "rows", &rows);
        }
        let rested = self
            .totals_sent
            .is_none_or(|sent| sent.elapsed() >= self.pace.totals);
        if self.totals_due
            && rested
            && let Ok(totals) = totals::of_the_day(&self.dashboard, Timestamp::now()).await
        {
            partial(&mut html, "totals", "outerMorph", &totals);
            if let Ok(Some(matched)) = totals::of_matches(&self.dashboard, &self.query).await {
                partial(&mut html, "matched", "outerMorph", &matched);
            }
            self.totals_sent = Some(Instant::now());
            self.totals_due = false;
        }
        let trouble = trouble(&self.dashboard);
        if trouble != self.trouble {
            partial(&mut html, "trouble", "outerMorph", &trouble);
            self.trouble = trouble;
        }
        let message = message(&html);
        if self.told == self.running {
            return message;
        }
        self.told.clone_from(&self.running);
        let mut text = format!("id: {}\n", joined(&self.told)).into_bytes();
        text.extend_from_slice(&message);
        text.into()
    }
}

/// Those of the rows that have to be shown again as time goes by, the newest ones when they are many.
fn running(rows: &[RunSummary]) -> Vec<RunId> {
    let running = rows.iter().filter(|run| !run.state.is_final());
    let mut running: Vec<RunId> = running.map(|run| run.id).collect();
    running.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
    running.truncate(MOST);
    running
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering::Relaxed;

    use super::super::tests::{QUICK, text};
    use super::*;
    use crate::dashboard::fixture::{self, FakeStore};
    use crate::events::State;
    use crate::store::RunFilter;

    /// A list of all runs, begun without a row.
    fn watch_of(dashboard: Dashboard) -> ListWatch {
        ListWatch::new(
            web::Data::new(dashboard),
            Query::default(),
            Vec::new(),
            QUICK,
        )
    }

    #[tokio::test]
    async fn a_list_sends_what_changed_and_gathers_what_comes_close_together() {
        let store = Arc::new(FakeStore::new(vec![
            fixture::completed_run(),
            fixture::failed_run(),
        ]));
        let (dashboard, changes) = fixture::dashboard(store);
        let watch = watch_of(dashboard);
        let (first, watch) = watch.next().await.unwrap();
        assert_eq!(text(&first).matches("<tr").count(), 2);

        let completed = fixture::completed_run().summary.id;
        let failed = fixture::failed_run().summary.id;
        changes
            .send(Changed {
                runs: [completed].into(),
            })
            .unwrap();
        changes
            .send(Changed {
                runs: [failed, completed].into(),
            })
            .unwrap();
        let (second, watch) = watch.next().await.unwrap();
        assert_eq!(text(&second).matches("<tr").count(), 2);
        assert!(text(&second).contains("hx-target=\"#rows\""));

        drop(changes);
        drop(watch);
    }

    #[tokio::test]
    async fn a_row_that_is_shown_as_running_hears_of_its_end_though_it_left_the_list() {
        let store = Arc::new(FakeStore::new(vec![fixture::completed_run()]));
        let (dashboard, _changes) = fixture::dashboard(store);
        let dashboard = web::Data::new(dashboard);
        let query = Query {
            filter: RunFilter {
                states: vec![State::Running],
                ..RunFilter::default()
            },
            ..Query::default()
        };
        let ended = fixture::completed_run().summary.id;
        let watch = |open| ListWatch::new(dashboard.clone(), query.clone(), open, QUICK);

        let (first, _) = watch(Vec::new()).next().await.unwrap();
        assert!(!text(&first).contains("<tr"), "{}", text(&first));
        let (first, next) = watch(vec![ended]).next().await.unwrap();
        let first = text(&first);
        assert!(
            first.contains(&format!("<tr id=\"run-{ended}\"")),
            "{first}"
        );
        assert!(first.contains("data-stray") && first.contains("Completed"));
        // The browser is told to forget it.
        assert!(first.starts_with("id: \n"), "{first}");
        assert!(next.running.is_empty());
    }

    #[tokio::test]
    async fn a_row_that_a_flood_pushed_off_the_page_is_followed_to_its_end() {
        let store = Arc::new(FakeStore::new(vec![fixture::streaming_run()]));
        let open = fixture::streaming_run().summary.id;
        let (dashboard, changes) = fixture::dashboard(store.clone());
        let query = Query {
            limit: 1,
            ..Query::default()
        };
        let watch = ListWatch::new(web::Data::new(dashboard), query, Vec::new(), QUICK);
        let (first, watch) = watch.next().await.unwrap();
        assert!(text(&first).starts_with(&format!("id: {open}\n")));
        {
            let mut runs = store.runs.lock().unwrap();
            runs[0].summary.state = State::Completed;
            let mut newer = fixture::completed_run();
            newer.summary.id = RunId::now();
            runs.insert(0, newer);
        }
        let missed = Changed { runs: [].into() };
        changes.send(missed).unwrap();
        let (message, watch) = watch.next().await.unwrap();
        let row = format!("<tr id=\"run-{open}\"");
        assert!(text(&message).contains(&row), "{}", text(&message));
        assert!(watch.running.is_empty());
    }

    #[tokio::test]
    async fn a_run_that_began_while_the_store_failed_is_shown_once_it_answers() {
        let store = Arc::new(FakeStore::new(vec![fixture::completed_run()]));
        let (dashboard, changes) = fixture::dashboard(store.clone());
        let watch = watch_of(dashboard);
        let (_, watch) = watch.next().await.unwrap();
        let new = {
            let mut newer = fixture::streaming_run();
            newer.summary.id = RunId::now();
            let new = newer.summary.id;
            store.runs.lock().unwrap().insert(0, newer);
            new
        };
        store.failures.store(1, Relaxed);
        changes.send(Changed { runs: [new].into() }).unwrap();
        let (missed, watch) = watch.next().await.unwrap();
        assert!(!text(&missed).contains("<tr"), "{}", text(&missed));
        let (made_up, _) = watch.next().await.unwrap();
        let row = format!("<tr id=\"run-{new}\"");
        assert!(text(&made_up).contains(&row), "{}", text(&made_up));
    }

    #[test]
    fn what_a_page_shows_as_running_stands_in_the_address_of_its_stream() {
        let run = fixture::streaming_run().summary;
        let id = run.id;
        let shown = [run, fixture::completed_run().summary];
        assert_eq!(list_address("", &shown), format!("/live/runs?&open={id}"));
        assert_eq!(
            list_address("q=a", &shown),
            format!("/live/runs?q=a&open={id}")
        );
        assert_eq!(list_address("q=a", &shown[1..]), "/live/runs?q=a");
        assert_eq!(list_address("", &shown[1..]), "/live/runs?");
        let asked = |request: actix_web::test::TestRequest| {
            asked_of_list(&request.to_http_request()).map_or_else(|_| Vec::new(), |(_, open)| open)
        };
        let request = || {
            let address = list_address("q=a", &shown);
            actix_web::test::TestRequest::default().uri(&address)
        };
        assert_eq!(asked(request()), [id]);
        let other = RunId::now();
        let told = ("last-event-id", format!("x,{other}"));
        assert_eq!(asked(request().insert_header(told)), [other]);
        assert_eq!(asked(request().insert_header(("last-event-id", ""))), []);
    }

    #[tokio::test]
    async fn a_silent_stream_says_that_it_is_alive_and_ends_with_the_process() {
        let store = Arc::new(FakeStore::new(Vec::new()));
        let (mut dashboard, changes) = fixture::dashboard(store);
        let (alone, receiver) = tokio::sync::broadcast::channel(1);
        let receiver = std::sync::Mutex::new(Some(receiver));
        dashboard.changes = Arc::new(move || receiver.lock().unwrap().take().unwrap());
        drop(changes);
        let mut watch = watch_of(dashboard);
        for _ in 0..3 {
            let (message, next) = watch.next().await.unwrap();
            watch = next;
            assert!(text(&message).ends_with("\n\n"));
        }
        drop(alone);
        assert!(watch.next().await.is_none());
    }

    #[tokio::test]
    async fn a_flood_reads_the_page_anew() {
        let store = Arc::new(FakeStore::new(vec![fixture::completed_run()]));
        let (dashboard, changes) = fixture::dashboard(store);
        let watch = watch_of(dashboard);
        let (_, watch) = watch.next().await.unwrap();
        for _ in 0..40 {
            let runs = [RunId::now()].into();
            changes.send(Changed { runs }).unwrap();
        }
        let (message, _) = watch.next().await.unwrap();
        assert_eq!(text(&message).matches("<tr").count(), 1);
    }

    #[tokio::test]
    async fn when_news_were_missed_the_page_is_read_anew() {
        let store = Arc::new(FakeStore::new(vec![fixture::completed_run()]));
        let (dashboard, changes) = fixture::dashboard(store);
        let watch = watch_of(dashboard);
        let (_, watch) = watch.next().await.unwrap();
        let missed = Changed { runs: [].into() };
        changes.send(missed).unwrap();
        let (message, _) = watch.next().await.unwrap();
        assert_eq!(text(&message).matches("<tr").count(), 1);
    }

    #[actix_web::test]
    async fn a_page_too_many_is_told_and_a_place_is_free_when_a_page_is_closed() {
        let (mut dashboard, _changes) = fixture::dashboard(Arc::new(FakeStore::new(Vec::new())));
        dashboard.places.viewers = Arc::new(tokio::sync::Semaphore::new(1));
        let dashboard = web::Data::new(dashboard);
        let watch = || {
            let request = actix_web::test::TestRequest::default().to_http_request();
            runs(dashboard.clone(), request)
        };
        let first = watch().await;
        assert_eq!(first.status(), 200);
        assert_eq!(watch().await.status(), 503);
        drop(first);
        assert_eq!(watch().await.status(), 200);
    }
}
