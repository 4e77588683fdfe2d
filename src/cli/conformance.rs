//! `dagway conformance`: proves a gateway, Dagway or another, with the cases of the conformance suite.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use reqwest::Url;
use tokio::net::TcpStream;

use super::args;
use super::{Failure, say, say_error};
use crate::app::{App, Manner};
use crate::conformance::{self, Case, Options, Report, Upstream};
use crate::settings::{Lane, Rule, Settings};

/// The models of the cases about the native lane.
const NATIVE: &str = "anthropic/claude-fable-*";

/// How long the gateway under test may take to start, and how often it is looked for.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Runs the suite, or lists it.
///
/// # Errors
/// Exit code 1 when a case fails; a sentence when nothing can be run.
pub async fn run(args: &args::Conformance) -> Result<(), Failure> {
    let cases = chosen(args)?;
    if args.list {
        return say(conformance::list(&cases).trim_end());
    }
    if args.markdown {
        return say(conformance::markdown(&cases).trim_end());
    }
    let report = match &args.target {
        Some(target) => of_another(args, target, &cases).await?,
        None => of_dagway(&cases, args.jobs, seed(args)).await?,
    };
    if args.json {
        let json = serde_json::to_string_pretty(&report);
        say(json.map_err(|error| Failure::Running(error.to_string()))?)?;
    } else {
        say(report.to_string())?;
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
        provider: None,
    }];
    settings.store.folder.clone_from(&folder);
    let app = App::start(&settings, Manner::default()).await?;
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
        ))?;
    }
    has_come(target).await?;
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

/// Waits until something listens at the target: a gateway that asks its upstream for models when it starts must be
/// started when this upstream is there.
async fn has_come(target: &str) -> Result<(), Failure> {
    let no_url = |error| Failure::Usage(format!("`--target {target}` is not a URL: {error}"));
    let url = Url::parse(target).map_err(no_url)?;
    let (host, port) = (url.host_str(), url.port_or_known_default());
    let (Some(host), Some(port)) = (host, port) else {
        let message = format!("`--target {target}` names no host; try http://127.0.0.1:4000");
        return Err(Failure::Usage(message));
    };
    let listens = async {
        let mut is_told = false;
        while TcpStream::connect((host, port)).await.is_err() {
            if !std::mem::replace(&mut is_told, true) {
                let longest = LONGEST_WAIT.as_secs();
                say_error(&format!(
                    "nothing listens at {target} yet; waits for it, {longest} s at most"
                ));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(LONGEST_WAIT, listens)
        .await
        .map_err(|_| Failure::Usage(format!("nothing listens at {target}; start the gateway")))
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
    let named = |case: &Case, parts: &[String]| parts.iter().any(|part| case.name.contains(part));
    cases.retain(|case| {
        (args.filter.is_empty() || named(case, &args.filter)) && !named(case, &args.skip)
    });
    if cases.is_empty() {
        return Err(Failure::Usage("no case has such a name".to_owned()));
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn names(arguments: &[&str]) -> Vec<String> {
        let arguments = ["dagway", "conformance"].iter().chain(arguments);
        let parsed = args::Args::parse_from(arguments);
        let Some(args::Command::Conformance(args)) = parsed.command else {
            panic!("it is another command");
        };
        let cases = chosen(&args).unwrap();
        cases.into_iter().map(|case| case.name).collect()
    }

    #[test]
    fn cases_are_chosen_by_filter_and_skip() {
        let all = names(&[]);
        let some = names(&["--filter", "usage/", "--filter", "tools/"]);
        assert!(
            some.iter()
                .all(|name| name.contains("usage/") || name.contains("tools/"))
        );
        let fewer = names(&[
            "--filter", "usage/", "--filter", "tools/", "--skip", "tools/",
        ]);
        assert!(fewer.iter().all(|name| name.contains("usage/")));
        assert!(all.len() > some.len() && some.len() > fewer.len() && !fewer.is_empty());
    }
}
