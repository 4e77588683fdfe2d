//! The stream of one run's page: the parts of it that changed.

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use tokio::sync::broadcast::Receiver;
use tokio::time::Instant;

use super::{PACE, Pace, Wake, events, message, partial, wait};
use crate::dashboard::page::{failed, query_pairs};
use crate::dashboard::run::{View, parse_id};
use crate::dashboard::{Dashboard, run as run_page};
use crate::events::{RunId, Timestamp};
use crate::store::Changed;

/// `GET /live/runs/{id}`: parts of the run's page with the same query string.
pub(in crate::dashboard) async fn run(
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    request: HttpRequest,
) -> HttpResponse {
    let asked = query_pairs(&request)
        .and_then(|pairs| View::parse(&pairs))
        .and_then(|view| Ok((parse_id(&id)?, view)));
    match asked {
        Err(failure) => failed(&dashboard, &failure),
        Ok((id, view)) => events(&dashboard.clone(), || {
            (RunWatch::new(dashboard, id, view, PACE), RunWatch::next)
        }),
    }
}

/// A run that is being looked at.
struct RunWatch {
    dashboard: web::Data<Dashboard>,
    id: RunId,
    view: View,
    changes: Receiver<Changed>,
    pace: Pace,
    /// Hashes of the parts as they were sent.
    parts: Vec<blake3::Hash>,
    started: bool,
    over: bool,
    sent: Instant,
}

impl RunWatch {
    fn new(dashboard: web::Data<Dashboard>, id: RunId, view: View, pace: Pace) -> Self {
        let changes = (dashboard.changes)();
        Self {
            dashboard,
            id,
            view,
            changes,
            pace,
            parts: Vec::new(),
            started: false,
            over: false,
            sent: Instant::now(),
        }
    }

    async fn next(mut self) -> Option<(Bytes, Self)> {
        if self.over {
            return None;
        }
        if self.started {
            let id = self.id;
            let beat = Instant::now() + self.pace.beat;
            let woken = wait(
                &mut self.changes,
                beat,
                self.sent + self.pace.least,
                |run| *run == id,
            )
            .await;
            if matches!(woken, Wake::End) {
                return None;
            }
        }
        self.started = true;
        let message = self.message().await;
        self.sent = Instant::now();
        Some((message, self))
    }

    async fn message(&mut self) -> Bytes {
        let store = self.dashboard.store.as_ref();
        let now = Timestamp::now();
        let Ok(run) = run_page::find(store, self.id).await else {
            return message("");
        };
        let Ok(parts) = run_page::parts(&self.dashboard, &run, &self.view, now).await else {
            return message("");
        };
        let mut html = String::new();
        let mut hashes = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            let hash = blake3::hash(part.html.as_bytes());
            if self.parts.get(index) != Some(&hash) {
                partial(&mut html, part.id, "outerMorph", &part.html);
            }
            hashes.push(hash);
        }
        self.parts = hashes;
        self.over = run.summary.state.is_final();
        let mut bytes: Vec<u8> = message(&html).into();
        if self.over {
            bytes.extend_from_slice(b"event: over\ndata: over\n\n");
        }
        bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tests::{QUICK, text};
    use super::*;
    use crate::dashboard::fixture::{self, FakeStore};
    use crate::events::State;

    #[tokio::test]
    async fn a_run_sends_its_parts_once_and_ends_with_the_run() {
        let store = Arc::new(FakeStore::new(vec![fixture::streaming_run()]));
        let id = fixture::streaming_run().summary.id;
        let (dashboard, changes) = fixture::dashboard(store.clone());
        let watch = RunWatch::new(web::Data::new(dashboard), id, View::default(), QUICK);

        let (first, watch) = watch.next().await.unwrap();
        assert!(text(&first).contains("hx-target=\"#run-graph\""));
        assert!(text(&first).contains("hx-target=\"#run-log\""));

        let (second, watch) = watch.next().await.unwrap();
        assert!(
            !text(&second).contains("hx-target=\"#run-log\""),
            "the log has not changed"
        );

        {
            let mut runs = store.runs.lock().unwrap();
            let now = fixture::now();
            for step in &mut runs[0].steps {
                step.state = State::Completed;
                step.streaming = false;
                step.ended = Some(now);
            }
            runs[0].summary.state = State::Completed;
            runs[0].summary.ended = Some(now);
        }
        changes.send(Changed { runs: [id].into() }).unwrap();
        let (third, watch) = watch.next().await.unwrap();
        assert!(text(&third).ends_with("event: over\ndata: over\n\n"));
        assert!(watch.next().await.is_none());
    }
}
