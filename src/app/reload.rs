//! Puts changed workflow files to use while the server runs: all of them together, or none.
//!
//! Requests never wait for it: they load the plans that are in use at the moment. A run holds the plan that it began with.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_web::web;
use tokio::sync::watch;

use super::folder::{self, File, Watch};
use super::plans;
use crate::dashboard::{Refused, Workflows};
use crate::engine::Resources;
use crate::events::Timestamp;
use crate::server::Gateway;
use crate::server::gateway::Plans;
use crate::settings;
use crate::telemetry::Probe;
use crate::telemetry::logging::BACKGROUND;

/// How often the folder is looked at; a change is in use two looks after it was made.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// A look takes at most this part of the time, however slow the disk is.
const LEAST_REST: u32 = 20;

/// How often changed files were judged, and how.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    used: AtomicU64,
    refused: AtomicU64,
}

impl Outcomes {
    /// The same for `/metrics`.
    pub(super) fn probes(self: &Arc<Self>) -> Vec<Probe> {
        let probe = |outcome, read: fn(&Self) -> &AtomicU64| {
            let outcomes = Arc::clone(self);
            Probe::new(
                "dagway_workflow_reloads_total",
                "Changes of the folder of workflows: `used` are those that came into use, `refused` those that did not \
                 prove.",
                move || read(&outcomes).load(Ordering::Relaxed),
            )
            .with_label("outcome", outcome)
        };
        vec![
            probe("used", |outcomes| &outcomes.used),
            probe("refused", |outcomes| &outcomes.refused),
        ]
    }
}

/// The folder that is to be watched, if there is one.
pub(super) fn watched(settings: &settings::Workflows) -> Option<&Path> {
    let is_watched = settings.reload && !settings.folder.as_os_str().is_empty();
    is_watched.then_some(&settings.folder)
}

/// What is shown of plans that have just come into use.
pub(super) fn shown(plans: &Plans, settings: &settings::Workflows) -> Workflows {
    Workflows {
        plans: plans.infos(),
        since: Timestamp::now(),
        watched: watched(settings).map(|folder| folder.display().to_string()),
        refused: None,
    }
}

/// Files that proved, and what they were proved against.
pub(super) struct Proved {
    pub(super) files: Vec<File>,
    pub(super) resources: Resources,
}

/// Judges the folder's files whenever they have changed.
pub(super) struct Reload {
    watch: Watch,
    /// What the files were proved against at the start: tasks of all plans share it.
    resources: Resources,
    in_use: Vec<File>,
    /// What was read last, in use or refused. It is judged once.
    judged: Result<Vec<File>, String>,
    gateway: web::Data<Gateway>,
    shown: watch::Sender<Workflows>,
    outcomes: Arc<Outcomes>,
}

impl Reload {
    /// Begins with files whose plans are in use.
    pub(super) fn new(
        folder: &Path,
        Proved { files, resources }: Proved,
        gateway: web::Data<Gateway>,
        shown: watch::Sender<Workflows>,
        outcomes: Arc<Outcomes>,
    ) -> Self {
        Self {
            watch: Watch::new(folder.to_owned()),
            resources,
            judged: Ok(files.clone()),
            in_use: files,
            gateway,
            shown,
            outcomes,
        }
    }

    /// Goes on until it is dropped.
    pub(super) async fn keep(mut self) {
        let mut pause = LOOK_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            // Disks may be slow, and proving takes milliseconds: no other task has to wait for them.
            let turn = tokio::task::spawn_blocking(move || {
                let begun = Instant::now();
                self.turn();
                (self, begun.elapsed())
            });
            let Ok((again, took)) = turn.await else {
                tracing::error!("the workflow files are watched no longer; start Dagway anew");
                return;
            };
            self = again;
            pause = LOOK_PAUSE.max(took * LEAST_REST);
        }
    }

    fn turn(&mut self) {
        let Some(read) = self.watch.look_again() else {
            return;
        };
        let found = read.map_err(|error: folder::Error| format!("{error}."));
        if found == self.judged {
            return;
        }
        let _traced = tracing::info_span!(target: BACKGROUND, "reload_workflows").entered();
        match &found {
            Err(sentence) => self.refuse(vec![sentence.clone()]),
            Ok(files) => match plans::prove(files, &self.resources) {
                Ok(plans) => self.put_to_use(files, plans),
                Err(error) => self.refuse(error.sentences()),
            },
        }
        self.judged = found;
    }

    fn put_to_use(&mut self, files: &[File], plans: Plans) {
        let infos = plans.infos();
        let before = self.gateway.plans.swap(Arc::new(plans)).infos();
        let mut renewed = Vec::new();
        for plan in &infos {
            if before.iter().all(|old| old.hash != plan.hash) {
                renewed.push(format!("{} {}", plan.name, plan.hash));
            }
        }
        tracing::info!(
            files = changes(&self.in_use, files),
            plans = renewed.join(", "),
            "changed workflow files are in use"
        );
        self.in_use = files.to_vec();
        self.shown.send_modify(|shown| {
            shown.plans = infos;
            shown.since = Timestamp::now();
            shown.refused = None;
        });
        self.outcomes.used.fetch_add(1, Ordering::Relaxed);
    }

    fn refuse(&self, faults: Vec<String>) {
        tracing::warn!(
            faults = faults.join(" "),
            "changed workflow files do not prove; what was in use stays"
        );
        let at = Timestamp::now();
        self.shown
            .send_modify(|shown| shown.refused = Some(Refused { at, faults }));
        self.outcomes.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// What differs, in words: `a.toml changed, b.toml removed`.
fn changes(before: &[File], after: &[File]) -> String {
    let mut words = String::new();
    let mut say = |file: &File, what: &str| {
        let comma = if words.is_empty() { "" } else { ", " };
        let _ = write!(words, "{comma}{} {what}", file.path);
    };
    for file in after {
        match before.iter().find(|old| old.path == file.path) {
            None => say(file, "added"),
            Some(old) if old.text != file.text => say(file, "changed"),
            Some(_) => {}
        }
    }
    let is_there = |old: &File| after.iter().any(|file| file.path == old.path);
    for old in before.iter().filter(|old| !is_there(old)) {
        say(old, "removed");
    }
    if words.is_empty() {
        words.push_str("as they were before");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_folder_is_watched_unless_that_is_switched_off() {
        let mut settings = settings::Settings::defaults().unwrap().workflows;
        assert_eq!(watched(&settings), None, "there is none");
        settings.folder = "mine".into();
        assert_eq!(watched(&settings), Some(Path::new("mine")));
        settings.reload = false;
        assert_eq!(watched(&settings), None);
    }

    #[test]
    fn the_log_tells_which_files_changed_and_how() {
        let before = [file("a", "1"), file("b", "1"), file("c", "1")];
        let after = [file("b", "2"), file("c", "1"), file("d", "1")];
        assert_eq!(changes(&before, &after), "b changed, d added, a removed");
        assert_eq!(changes(&before, &before), "as they were before");
    }
}
