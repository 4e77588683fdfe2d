//! The streams that keep the pages of workflows true: they speak when the files have changed.

use std::time::Duration;

use actix_web::web::Bytes;
use actix_web::{HttpResponse, web};
use tokio::sync::watch::Receiver;
use tokio::time::timeout;

use super::{SILENCE, events, message, partial};
use crate::dashboard::Dashboard;
use crate::dashboard::workflows::{self, Workflows};

/// `GET /live/workflows`.
pub(in crate::dashboard) async fn all(dashboard: web::Data<Dashboard>) -> HttpResponse {
    events(&dashboard.clone(), || {
        (Watch::new(dashboard, None, SILENCE), Watch::next)
    })
}

/// `GET /live/workflows/{name}`.
pub(in crate::dashboard) async fn one(
    dashboard: web::Data<Dashboard>,
    name: web::Path<String>,
) -> HttpResponse {
    events(&dashboard.clone(), || {
        let name = Some(name.into_inner());
        (Watch::new(dashboard, name, SILENCE), Watch::next)
    })
}

/// A page of workflows that is being looked at.
struct Watch {
    dashboard: web::Data<Dashboard>,
    /// The workflow that is looked at, or all.
    name: Option<String>,
    present: Receiver<Workflows>,
    silence: Duration,
}

impl Watch {
    fn new(dashboard: web::Data<Dashboard>, name: Option<String>, silence: Duration) -> Self {
        let mut present = dashboard.workflows.clone();
        // The present state is the first message: the page may be older than the stream.
        present.mark_changed();
        Self {
            dashboard,
            name,
            present,
            silence,
        }
    }

    async fn next(mut self) -> Option<(Bytes, Self)> {
        match timeout(self.silence, self.present.changed()).await {
            Err(_) => return Some((message(""), self)),
            // No file is watched: nothing will ever change.
            Ok(Err(_)) => return None,
            Ok(Ok(())) => {}
        }
        let present = self.present.borrow_and_update().clone();
        let mut html = String::new();
        // A store that fails for a moment costs the viewer a message, not the stream.
        match &self.name {
            None => {
                if let Ok(part) = workflows::cards(&self.dashboard, &present).await {
                    partial(&mut html, "workflows", "outerMorph", &part);
                }
            }
            Some(name) => {
                if let Ok(part) = workflows::plan(&self.dashboard, &present, name).await {
                    let part = part.unwrap_or_else(|| workflows::gone(name));
                    partial(&mut html, "workflow", "outerMorph", &part);
                }
            }
        }
        Some((message(&html), self))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::dashboard::Refused;
    use crate::dashboard::fixture::{self, FakeStore};
    use crate::events::Timestamp;

    const QUICK: Duration = Duration::from_millis(20);

    fn text(bytes: &Bytes) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_page_hears_of_refused_files_and_of_its_own_end() {
        let (mut dashboard, _changes) = fixture::dashboard(Arc::new(FakeStore::new(Vec::new())));
        let (sender, present) = tokio::sync::watch::channel(fixture::workflows());
        dashboard.workflows = present;
        let dashboard = web::Data::new(dashboard);
        let name = Some("messages".to_owned());
        for (name, target) in [(None, "#workflows"), (name, "#workflow")] {
            sender.send_replace(fixture::workflows());
            let watch = Watch::new(dashboard.clone(), name.clone(), QUICK);
            let (first, watch) = watch.next().await.unwrap();
            assert!(text(&first).contains(&format!("hx-target=\"{target}\"")));
            let (still, watch) = watch.next().await.unwrap();
            assert_eq!(text(&still), ": still here\n\n");

            sender.send_modify(|present| {
                let faults = vec!["a.toml:3: <b>wrong</b>.".to_owned()];
                let at = Timestamp::now();
                present.refused = Some(Refused { at, faults });
            });
            let (told, watch) = watch.next().await.unwrap();
            assert!(
                text(&told).contains("a.toml:3: &#60;b&#62;wrong"),
                "{}",
                text(&told)
            );

            sender.send_modify(|present| present.plans.clear());
            let (empty, _) = watch.next().await.unwrap();
            let said = if name.is_some() {
                "not in use any more"
            } else {
                "No workflow is loaded"
            };
            assert!(text(&empty).contains(said), "{}", text(&empty));
        }
        let watch = Watch::new(dashboard, None, QUICK);
        drop(sender);
        let (_, watch) = watch.next().await.unwrap();
        assert!(watch.next().await.is_none(), "nothing changes any more");
    }
}
