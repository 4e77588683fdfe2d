//! The workflow files in use: those compiled in, and those of the user's folder over them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::upstreams;
use crate::engine::plan::Faults;
use crate::engine::{Plan, Resources};
use crate::events::PlanInfo;
use crate::server::gateway::MessagesPlan;
use crate::settings::Settings;
use crate::tasks;
use crate::tasks::build_request::ProviderWish;
use crate::tasks::count_tokens::CountingSlots;
use crate::tasks::reply_flow::Patience;
use crate::upstream::Upstreams;

/// A workflow compiled in.
struct BuiltIn {
    route: &'static str,
    /// The name that a file must have to replace it, where its route has several.
    name: Option<&'static str>,
    file: &'static str,
    text: &'static str,
}

/// The workflows compiled in; for the route that has a lane besides the usual one, the other lane first.
const BUILT_IN: [BuiltIn; 3] = [
    BuiltIn {
        route: "POST /v1/messages",
        name: Some("native"),
        file: "workflows/native.toml",
        text: include_str!("../../workflows/native.toml"),
    },
    BuiltIn {
        route: "POST /v1/messages",
        name: None,
        file: "workflows/messages.toml",
        text: include_str!("../../workflows/messages.toml"),
    },
    BuiltIn {
        route: "POST /v1/messages/count_tokens",
        name: None,
        file: "workflows/count_tokens.toml",
        text: include_str!("../../workflows/count_tokens.toml"),
    },
];

/// Why the workflows cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or the folder cannot be read.
    #[error("cannot read {path}: {source}; check workflows.folder")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Files that do not prove.
    #[error("{0}")]
    Faults(#[from] Faults),
    /// A file that serves no route of Dagway.
    #[error("{file}: the route {route} is not one that a workflow can serve; there are: {known}")]
    Route {
        /// Which file.
        file: String,
        /// What it says.
        route: String,
        /// What it could say.
        known: String,
    },
    /// The upstream client that tasks ask for cannot be made.
    #[error(transparent)]
    Upstream(#[from] crate::upstream::client::ConfigError),
}

/// The plans in use.
pub struct Plans {
    /// For `POST /v1/messages` in the chat lane.
    pub messages: Arc<MessagesPlan>,
    /// For the same in the native lane.
    pub native: Arc<MessagesPlan>,
    /// For `POST /v1/messages/count_tokens`.
    pub count_tokens: Arc<MessagesPlan>,
}

/// Proves the workflows in use.
///
/// # Errors
/// All faults of a file at once.
pub fn compile(settings: &Settings, resources: &Resources) -> Result<Plans, Error> {
    let [native, messages, count_tokens] = sources(&settings.workflows.folder)?;
    let plan = |(file, text): &(String, String)| {
        Plan::compile(file, text, tasks::ALL, resources).map(Arc::new)
    };
    Ok(Plans {
        messages: plan(&messages)?,
        native: plan(&native)?,
        count_tokens: plan(&count_tokens)?,
    })
}

/// Proves the workflows in use and describes them, without starting anything.
///
/// # Errors
/// As [`compile`].
pub fn describe_all(settings: &Settings) -> Result<Vec<PlanInfo>, Error> {
    let plans = compile(
        settings,
        &resources(settings, Arc::new(upstreams::of(settings)?)),
    )?;
    Ok([plans.messages, plans.native, plans.count_tokens]
        .iter()
        .map(|plan| plan.info().as_ref().clone())
        .collect())
}

/// Proves `files` and describes them.
///
/// # Errors
/// All faults of a file at once.
pub fn describe_files(files: &[PathBuf]) -> Result<Vec<PlanInfo>, Error> {
    let settings = Settings::defaults().expect("the defaults are tested");
    let resources = resources(&settings, Arc::new(upstreams::of(&settings)?));
    let mut infos = Vec::new();
    for path in files {
        let (file, text) = read(path)?;
        let plan: MessagesPlan = Plan::compile(&file, &text, tasks::ALL, &resources)?;
        infos.push(plan.info().as_ref().clone());
    }
    Ok(infos)
}

/// What the process offers to tasks.
pub(super) fn resources(settings: &Settings, upstreams: Arc<Upstreams>) -> Resources {
    let upstream = &settings.upstream;
    let patience = Patience {
        ping_after: settings.server.ping_after,
        idle: upstream.idle_timeout,
        progress: upstream.progress_timeout,
    };
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let mut resources = Resources::default();
    resources.insert(upstreams);
    resources.insert(Arc::new(patience));
    resources.insert(Arc::new(ProviderWish {
        json: provider_wish(&settings.models.provider),
    }));
    resources.insert(Arc::new(CountingSlots {
        semaphore: Arc::new(Semaphore::new(cores)),
    }));
    resources
}

/// The `provider` object of the settings; they were checked to hold one or nothing.
fn provider_wish(json: &str) -> Option<Box<serde_json::value::RawValue>> {
    serde_json::from_str(json).ok()
}

/// The file and text for each route: the user's where there is one, else ours.
fn sources(folder: &Path) -> Result<[(String, String); BUILT_IN.len()], Error> {
    let mut sources = BUILT_IN.map(|ours| (ours.file.to_owned(), ours.text.to_owned()));
    if folder.as_os_str().is_empty() {
        return Ok(sources);
    }
    let unreadable = |source| Error::Unreadable {
        path: folder.display().to_string(),
        source,
    };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            paths.push(path);
        }
    }
    paths.sort();
    for path in paths {
        let (file, text) = read(&path)?;
        let (route, name) = (word_of(&text, "route"), word_of(&text, "name"));
        // A file whose route cannot be read is a fault of its own; the plan says it best.
        let place = BUILT_IN.iter().position(|ours| {
            let is_route = route.as_deref().is_none_or(|route| route == ours.route);
            is_route && ours.name.is_none_or(|known| name.as_deref() == Some(known))
        });
        match place.and_then(|place| sources.get_mut(place)) {
            Some(source) => *source = (file, text),
            None => {
                let mut known = BUILT_IN.map(|ours| ours.route).to_vec();
                known.dedup();
                let known = known.join(", ");
                return Err(Error::Route {
                    file,
                    route: route.unwrap_or_default(),
                    known,
                });
            }
        }
    }
    Ok(sources)
}

fn word_of(text: &str, key: &str) -> Option<String> {
    text.parse::<toml::Table>()
        .ok()?
        .get(key)?
        .as_str()
        .map(str::to_owned)
}

fn read(path: &Path) -> Result<(String, String), Error> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| Error::Unreadable {
        path: file.clone(),
        source,
    })?;
    Ok((file, text))
}
