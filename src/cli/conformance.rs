//! `dagway conformance`: proves a gateway, Dagway or another, with the cases of the conformance suite.

use std::net::{Ipv4Addr, SocketAddr};

use super::args;
use super::{Failure, say};
use crate::app::{App, Manner};
use crate::conformance::{self, Case, Options, Report, Upstream};
use crate::settings::{Lane, Rule, Settings};

/// The models of the cases about the native lane.
const NATIVE: &str = "anthropic/claude-fable-*";

/// Runs the suite, or lists it.
///
/// # Errors
/// Exit code 1 when a case fails; a sentence when nothing can be run.
pub async fn run(args: &args::Conformance) -> Result<(), Failure> {
    let cases = chosen(args)?;
    if args.list {
        say(conformance::list(&cases).trim_end());
        return Ok(());
    }
    if args.markdown {
        say(conformance::markdown(&cases).trim_end());
        return Ok(());
    }
    let report = match &args.target {
        Some(target) => of_another(args, target, &cases).await?,
        None => of_dagway(&cases, args.jobs, seed(args)).await?,
    };
    if args.json {
        let json = serde_json::to_string_pretty(&report);
        say(json.map_err(|error| Failure::Running(error.to_string()))?);
    } else {
        say(report.to_string());
    }
    if report.is_good() {
        Ok(())
    } else {
        Err(Failure::Exit(1))
    }
}

/// Starts a Dagway with default settings before the suite's upstream, and runs the cases against it.
///
/// # Errors
/// When it cannot start.
pub async fn of_dagway(cases: &[Case], jobs: usize, seed: u64) -> Result<Report, Failure> {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let upstream = listen(any_port).await?;
    let folder = std::env::temp_dir().join(format!("dagway-conformance-{seed:016x}"));
    let mut settings = Settings::defaults()?;
    settings.server.listen = any_port;
    settings.simulate(&upstream.base_url(), "conformance");
    // The cases are about translation, of Claude models too, but for one that passes through.
    settings.models.rules = vec![Rule {
        pattern: NATIVE.to_owned(),
        upstream: "openrouter".to_owned(),
        lane: Some(Lane::Native),
        send: None,
    }];
    settings.store.folder.clone_from(&folder);
    let app = App::start(&settings, Manner::default())?;
    let report = conformance::run(cases, &upstream, &options(app.url(), jobs, seed)).await;
    app.stop().await;
    // What is left behind is in the folder for temporary files.
    let _ = std::fs::remove_dir_all(&folder);
    report.map_err(Failure::Running)
}

/// Runs the cases against a gateway that somebody else started.
async fn of_another(
    args: &args::Conformance,
    target: &str,
    cases: &[Case],
) -> Result<Report, Failure> {
    let upstream = listen(args.upstream_listen).await?;
    if !args.json {
        say(format!(
            "{target} must have {} as the base URL of its upstream, OpenAI-compatible, with any key",
            upstream.base_url()
        ));
    }
    let mut options = options(target.to_owned(), args.jobs, seed(args));
    options.key.clone_from(&args.key);
    for renamed in &args.models {
        let Some((ours, theirs)) = renamed.split_once('=') else {
            return Err(Failure::Usage(format!(
                "`--model {renamed}` is not NAME=NAME, such as openai/gpt-5=my-gpt"
            )));
        };
        options.models.insert(ours.to_owned(), theirs.to_owned());
    }
    conformance::run(cases, &upstream, &options)
        .await
        .map_err(Failure::Running)
}

fn options(target: String, jobs: usize, seed: u64) -> Options {
    Options {
        target,
        key: "conformance".to_owned(),
        models: std::collections::BTreeMap::new(),
        jobs,
        seed,
    }
}

fn seed(args: &args::Conformance) -> u64 {
    args.seed.unwrap_or_else(|| fastrand::u64(..))
}

async fn listen(address: SocketAddr) -> Result<Upstream, Failure> {
    Upstream::start(address).await.map_err(|error| {
        Failure::Usage(format!(
            "cannot listen on {address}: {error}; choose another with --upstream-listen"
        ))
    })
}

/// The cases that the arguments name.
fn chosen(args: &args::Conformance) -> Result<Vec<Case>, Failure> {
    let cases = match &args.cases {
        Some(folder) => conformance::read_folder(folder),
        None => conformance::embedded(),
    };
    let mut cases = cases.map_err(|error| Failure::Usage(error.to_string()))?;
    cases
        .retain(|case| args.filter.is_empty() || args.filter.iter().any(|f| case.name.contains(f)));
    if cases.is_empty() {
        return Err(Failure::Usage("no case has such a name".to_owned()));
    }
    Ok(cases)
}
