//! The workflows in use: those compiled in, and the user's over them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::Semaphore;

use super::folder::{self, File};
use super::upstreams;
use crate::engine::{Plan, Resources, Task};
use crate::events::PlanInfo;
use crate::server::gateway::{MessagesPlan, Plans};
use crate::settings::Settings;
use crate::tasks::count_tokens::CountingSlots;
use crate::tasks::reply_flow::Patience;
use crate::tasks::splice_model::SpliceModel;
use crate::tasks::{self, Environment};
use crate::upstream::{Pools, Upstreams};
use crate::workflow::Faults;

/// A workflow compiled in.
struct BuiltIn {
    route: &'static str,
    /// The name that a file must have to replace it, where its route has several.
    name: Option<&'static str>,
    /// Which lane of its route it is, in words that follow it.
    lane: &'static str,
    file: &'static str,
    text: &'static str,
}

impl BuiltIn {
    /// Whether a workflow would serve here.
    fn is_place_of(&self, plan: &PlanInfo) -> bool {
        let is_named = self.name.is_none_or(|name| name == plan.name);
        is_named && plan.route.as_deref() == Some(self.route)
    }
}

/// The name of the workflow that serves the native lane.
const NATIVE: &str = "native";

/// How many workflows are in use.
const PLACES: usize = 3;

/// The workflows compiled in; for the route that has a lane besides the usual one, the other lane first.
static BUILT_IN: [BuiltIn; PLACES] = [
    BuiltIn {
        route: "POST /v1/messages",
        name: Some(NATIVE),
        lane: " in the native lane",
        file: "workflows/native.toml",
        text: include_str!("../../workflows/native.toml"),
    },
    BuiltIn {
        route: "POST /v1/messages",
        name: None,
        lane: " in the chat lane",
        file: "workflows/messages.toml",
        text: include_str!("../../workflows/messages.toml"),
    },
    BuiltIn {
        route: "POST /v1/messages/count_tokens",
        name: None,
        lane: "",
        file: "workflows/count_tokens.toml",
        text: include_str!("../../workflows/count_tokens.toml"),
    },
];

/// Why the workflows cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// They cannot be read.
    #[error(transparent)]
    Files(#[from] folder::Error),
    /// Files that do not prove.
    #[error("{0}")]
    Faults(#[from] Faults),
    /// A file that serves no route of Dagway.
    #[error(
        "{file}: the route {route} is not one that a workflow can serve; there are: {}",
        routes()
    )]
    Route {
        /// Which file.
        file: String,
        /// What it says.
        route: String,
    },
    /// A file that says no route.
    #[error(
        "{file}: it has no route, so nothing would run it; write `route = \"…\"` with one of: {}",
        routes()
    )]
    NoRoute {
        /// Which file.
        file: String,
    },
    /// A file for the native lane under a name of its own: it would take the place of the translation.
    #[error(
        "{file}: it passes requests on untranslated (`{task}`), which is for the native lane, whose workflow has the name \
         `native`; call it that, or begin with a copy of workflows/messages.toml"
    )]
    Untranslated {
        /// Which file.
        file: String,
        /// The task that shows it.
        task: &'static str,
    },
    /// Two files for one place: one would win in silence.
    #[error("{first} and {second} both serve {route}{lane}; keep one of them in the folder")]
    SameRoute {
        /// A file.
        first: String,
        /// Another file.
        second: String,
        /// What they serve.
        route: &'static str,
        /// Which lane of it, where there are several.
        lane: &'static str,
    },
    /// Two files under one name: nobody could tell their runs apart.
    #[error("{first} and {second} both have the name `{name}`; give one of them another")]
    SameName {
        /// A file.
        first: String,
        /// Another file.
        second: String,
        /// What both are called.
        name: String,
    },
    /// The upstream client that tasks ask for cannot be made.
    #[error(transparent)]
    Upstream(#[from] upstreams::Error),
}

impl Error {
    /// All that is wrong, each in a sentence with its full stop.
    pub(super) fn sentences(&self) -> Vec<String> {
        match self {
            Self::Faults(Faults(sentences)) => sentences.clone(),
            other => vec![format!("{other}.")],
        }
    }
}

/// Proves the workflows in use: the user's `files`, and those compiled in where there is no file.
///
/// # Errors
/// All faults of all files at once, or files that cannot be used together.
pub(super) fn prove(files: &[File], resources: &Resources) -> Result<Plans, Error> {
    let mut proved = Vec::new();
    let mut faults = Vec::new();
    for file in files {
        match prove_one(&file.path, &file.text, resources) {
            Ok(plan) => proved.push(plan),
            Err(Faults(sentences)) => faults.extend(sentences),
        }
    }
    if !faults.is_empty() {
        return Err(Faults(faults).into());
    }
    let mut theirs: [Option<Arc<MessagesPlan>>; PLACES] = Default::default();
    for plan in proved {
        let (ours, place) = place_of(plan.info(), &mut theirs)?;
        if let Some(first) = place {
            return Err(Error::SameRoute {
                first: first.info().file.clone(),
                second: plan.info().file.clone(),
                route: ours.route,
                lane: ours.lane,
            });
        }
        *place = Some(plan);
    }
    with_ours(theirs, resources)
}

fn prove_one(file: &str, text: &str, resources: &Resources) -> Result<Arc<MessagesPlan>, Faults> {
    Plan::compile(file, text, tasks::ALL, resources).map(Arc::new)
}

/// Fills the places that are empty with what is compiled in.
fn with_ours(
    theirs: [Option<Arc<MessagesPlan>>; PLACES],
    resources: &Resources,
) -> Result<Plans, Error> {
    let [native, messages, count_tokens] = &BUILT_IN;
    let [their_native, their_messages, their_count_tokens] = theirs;
    let plan = |theirs: Option<Arc<MessagesPlan>>, ours: &BuiltIn| match theirs {
        Some(plan) => Ok(plan),
        None => prove_one(ours.file, ours.text, resources),
    };
    let plans = Plans {
        native: plan(their_native, native)?,
        messages: plan(their_messages, messages)?,
        count_tokens: plan(their_count_tokens, count_tokens)?,
    };
    have_names_of_their_own(&plans.infos())?;
    Ok(plans)
}

/// The place that a workflow is for.
fn place_of<'a>(
    info: &PlanInfo,
    places: &'a mut [Option<Arc<MessagesPlan>>; PLACES],
) -> Result<(&'static BuiltIn, &'a mut Option<Arc<MessagesPlan>>), Error> {
    let file = info.file.clone();
    let Some(route) = info.route.clone() else {
        return Err(Error::NoRoute { file });
    };
    let mut places = BUILT_IN.iter().zip(places);
    let (ours, place) = places
        .find(|(ours, _)| ours.is_place_of(info))
        .ok_or_else(|| Error::Route {
            file: file.clone(),
            route,
        })?;
    let task = SpliceModel::NAME;
    if ours.name != Some(NATIVE) && info.steps.iter().any(|step| step.task == task) {
        return Err(Error::Untranslated { file, task });
    }
    Ok((ours, place))
}

fn have_names_of_their_own(plans: &[Arc<PlanInfo>]) -> Result<(), Error> {
    for (index, plan) in plans.iter().enumerate() {
        let mut others = plans.iter().skip(index + 1);
        if let Some(other) = others.find(|other| other.name == plan.name) {
            return Err(Error::SameName {
                first: plan.file.clone(),
                second: other.file.clone(),
                name: plan.name.clone(),
            });
        }
    }
    Ok(())
}

/// The routes that a workflow can serve.
fn routes() -> String {
    let mut routes = BUILT_IN.each_ref().map(|ours| ours.route).to_vec();
    routes.dedup();
    routes.join(", ")
}

/// What a workflow serves, in words: its route, and the lane where there are several.
#[must_use]
pub fn served_by(plan: &PlanInfo) -> String {
    let place = BUILT_IN.iter().find(|ours| ours.is_place_of(plan));
    match (place, &plan.route) {
        (Some(ours), _) => format!("{}{}", ours.route, ours.lane),
        (None, Some(route)) => route.clone(),
        (None, None) => "no route".to_owned(),
    }
}

/// The file compiled in whose place a workflow takes, unless it is that one.
#[must_use]
pub fn replaced_by(plan: &PlanInfo) -> Option<&'static str> {
    let ours = BUILT_IN.iter().find(|ours| ours.is_place_of(plan))?;
    (ours.text != plan.source).then_some(ours.file)
}

/// Proves the workflows in use and describes them, without starting anything.
///
/// # Errors
/// All faults of all files at once, or files that cannot be used together.
pub fn describe_all(settings: &Settings) -> Result<Vec<PlanInfo>, Error> {
    let upstreams = Arc::new(upstreams::of(settings)?);
    let files = folder::read_all(&settings.workflows.folder)?;
    let plans = prove(&files, &resources(settings, upstreams))?;
    let infos = plans.infos();
    Ok(infos.iter().map(|info| info.as_ref().clone()).collect())
}

/// Proves `files` as if they were the folder, with the variables that they name, and describes them.
///
/// # Errors
/// As [`describe_all`].
pub fn describe_files(
    files: &[PathBuf],
    environment: &BTreeMap<String, SecretString>,
) -> Result<Vec<PlanInfo>, Error> {
    let mut settings = Settings::defaults().expect("the defaults are tested");
    settings.environment = environment.clone();
    let upstreams = Arc::new(upstreams::of(&settings)?);
    let files = folder::named(files)?;
    let infos = prove(&files, &resources(&settings, upstreams))?.infos();
    let of_file = |file: &File| infos.iter().find(|info| info.file == file.path);
    let given = files.iter().filter_map(of_file);
    Ok(given.map(|info| info.as_ref().clone()).collect())
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
    resources.insert(Arc::new(Pools::new(upstream.connect_timeout)));
    resources.insert(Arc::new(Environment(settings.environment.clone())));
    resources.insert(Arc::new(CountingSlots {
        semaphore: Arc::new(Semaphore::new(cores)),
    }));
    resources
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: &str = include_str!("../../workflows/messages.toml");
    const COUNT: &str = include_str!("../../workflows/count_tokens.toml");
    const UNTRANSLATED: &str = include_str!("../../workflows/native.toml");

    /// What is said of a folder with these files, checked one by one and as the server takes them.
    fn said(files: &[(&str, String)]) -> Result<usize, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let shown = format!("{}/", folder.path().display());
        let mut settings = Settings::defaults().unwrap();
        folder.path().clone_into(&mut settings.workflows.folder);
        let served = describe_all(&settings).map(|_| files.len());
        let paths: Vec<PathBuf> = files
            .iter()
            .map(|(name, _)| folder.path().join(name))
            .collect();
        let checked = describe_files(&paths, &BTreeMap::new()).map(|infos| infos.len());
        let [served, checked] = [served, checked]
            .map(|result| result.map_err(|error| error.to_string().replace(&shown, "")));
        assert_eq!(served, checked, "the check says what the server does");
        served
    }

    #[test]
    fn a_file_that_the_server_refuses_is_not_proved() {
        let foreign = MESSAGES.replace("POST /v1/messages", "GET /foo");
        assert_eq!(
            said(&[("a.toml", foreign)]).unwrap_err(),
            "a.toml: the route GET /foo is not one that a workflow can serve; there are: POST /v1/messages, \
             POST /v1/messages/count_tokens"
        );
        let without = MESSAGES.replace("route = \"POST /v1/messages\"", "");
        assert!(
            said(&[("a.toml", without)])
                .unwrap_err()
                .starts_with("a.toml: it has no route")
        );
    }

    #[test]
    fn two_files_for_one_place_or_of_one_name_are_a_fault_that_names_both() {
        let other = MESSAGES.replace("\"messages\"", "\"other\"");
        assert_eq!(
            said(&[("a.toml", MESSAGES.to_owned()), ("b.toml", other)]).unwrap_err(),
            "a.toml and b.toml both serve POST /v1/messages in the chat lane; keep one of them in the folder"
        );
        let same = COUNT.replace("name  = \"count_tokens\"", "name = \"mine\"");
        let mine = MESSAGES.replace("\"messages\"", "\"mine\"");
        assert_eq!(
            said(&[("a.toml", mine), ("b.toml", same)]).unwrap_err(),
            "a.toml and b.toml both have the name `mine`; give one of them another"
        );
        let like_ours = COUNT.replace("name  = \"count_tokens\"", "name = \"messages\"");
        assert_eq!(
            said(&[("a.toml", like_ours)]).unwrap_err(),
            "workflows/messages.toml and a.toml both have the name `messages`; give one of them another"
        );
    }

    #[test]
    fn a_workflow_that_does_not_translate_cannot_take_the_place_of_the_one_that_does() {
        let mine = UNTRANSLATED.replace("name  = \"native\"", "name = \"mine\"");
        assert_ne!(mine, UNTRANSLATED);
        let said = said(&[("a.toml", mine)]).unwrap_err();
        assert!(
            said.starts_with("a.toml: it passes requests on untranslated"),
            "{said}"
        );
        assert!(said.contains("`native`; call it that"), "{said}");
    }

    #[test]
    fn what_a_workflow_serves_and_replaces_is_told() {
        let infos = describe_all(&Settings::defaults().unwrap()).unwrap();
        let told: Vec<_> = infos
            .iter()
            .map(|info| (served_by(info), replaced_by(info)))
            .collect();
        let lane = |lane: &str| format!("POST /v1/messages in the {lane} lane");
        assert!(told.contains(&(lane("chat"), None)), "{told:?}");
        assert!(told.contains(&(lane("native"), None)), "{told:?}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, MESSAGES.replace("\"messages\"", "\"mine\"")).unwrap();
        let infos = describe_files(&[file], &BTreeMap::new()).unwrap();
        assert_eq!(served_by(&infos[0]), lane("chat"));
        assert_eq!(replaced_by(&infos[0]), Some("workflows/messages.toml"));
    }

    #[test]
    fn the_faults_of_all_files_are_told_at_once() {
        let broken = |text: &str| text.replace("[steps.validate]", "[steps.validat]");
        let files = [("a.toml", broken(MESSAGES)), ("b.toml", broken(COUNT))];
        let said = said(&files).unwrap_err();
        assert!(
            said.contains("a.toml:") && said.contains("b.toml:"),
            "{said}"
        );
    }

    #[test]
    fn a_file_for_each_place_is_fine() {
        let files = [
            ("a.toml", MESSAGES),
            ("b.toml", UNTRANSLATED),
            ("c.toml", COUNT),
        ];
        assert_eq!(
            said(&files.map(|(name, text)| (name, text.to_owned()))),
            Ok(3)
        );
    }
}
