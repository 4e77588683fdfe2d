//! The workflow files in use: those compiled in, and those of the user's folder over them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::upstream_client;
use crate::engine::plan::Faults;
use crate::engine::{Plan, PlanInfo, Resources};
use crate::server::gateway::MessagesPlan;
use crate::settings::Settings;
use crate::tasks::build_request::ProviderWish;
use crate::tasks::count_tokens::CountingSlots;
use crate::tasks::reply_flow::Patience;
use crate::tasks::{self, Aliases};
use crate::upstream::{Client, Models};

/// The routes that workflows serve, and the workflow compiled in for each.
const BUILT_IN: [(&str, &str, &str); 2] = [
    (
        "POST /v1/messages",
        "workflows/messages.toml",
        include_str!("../../workflows/messages.toml"),
    ),
    (
        "POST /v1/messages/count_tokens",
        "workflows/count_tokens.toml",
        include_str!("../../workflows/count_tokens.toml"),
    ),
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
    /// For `POST /v1/messages`.
    pub messages: Arc<MessagesPlan>,
    /// For `POST /v1/messages/count_tokens`.
    pub count_tokens: Arc<MessagesPlan>,
}

/// Proves the workflows in use.
///
/// # Errors
/// All faults of a file at once.
pub fn compile(settings: &Settings, resources: &Resources) -> Result<Plans, Error> {
    let [messages, count_tokens] = sources(&settings.workflows.folder)?;
    let plan = |(file, text): &(String, String)| {
        Plan::compile(file, text, tasks::ALL, resources).map(Arc::new)
    };
    Ok(Plans {
        messages: plan(&messages)?,
        count_tokens: plan(&count_tokens)?,
    })
}

/// Proves the workflows in use and describes them, without starting anything.
///
/// # Errors
/// As [`compile`].
pub fn describe_all(settings: &Settings) -> Result<Vec<PlanInfo>, Error> {
    let resources = resources(
        settings,
        Arc::new(upstream_client(settings)?),
        Arc::default(),
    );
    let plans = compile(settings, &resources)?;
    Ok([plans.messages, plans.count_tokens]
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
    let resources = resources(
        &settings,
        Arc::new(upstream_client(&settings)?),
        Arc::default(),
    );
    let mut infos = Vec::new();
    for path in files {
        let (file, text) = read(path)?;
        let plan: MessagesPlan = Plan::compile(&file, &text, tasks::ALL, &resources)?;
        infos.push(plan.info().as_ref().clone());
    }
    Ok(infos)
}

/// What the process offers to tasks.
pub(super) fn resources(
    settings: &Settings,
    client: Arc<Client>,
    models: Arc<Models>,
) -> Resources {
    let upstream = &settings.upstream;
    let patience = Patience {
        ping_after: settings.server.ping_after,
        idle: upstream.idle_timeout,
        progress: upstream.progress_timeout,
    };
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let mut resources = Resources::default();
    resources.insert(client);
    resources.insert(models);
    resources.insert(Arc::new(Aliases {
        names: settings.models.aliases.clone(),
    }));
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
fn sources(folder: &Path) -> Result<[(String, String); 2], Error> {
    let mut sources = BUILT_IN.map(|(_, file, text)| (file.to_owned(), text.to_owned()));
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
        let route = route_of(&text);
        // A file whose route cannot be read is a fault of its own; the plan says it best.
        let place = BUILT_IN
            .iter()
            .position(|(known, ..)| route.as_deref().is_none_or(|route| route == *known));
        match place.and_then(|place| sources.get_mut(place)) {
            Some(source) => *source = (file, text),
            None => {
                let known = BUILT_IN.map(|(known, ..)| known).join(", ");
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

fn route_of(text: &str) -> Option<String> {
    text.parse::<toml::Table>()
        .ok()?
        .get("route")?
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
