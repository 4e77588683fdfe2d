//! `dagway code`: Claude Code through Dagway, in one command.
//!
//! | file | what |
//! | --- | --- |
//! | [`mod@hello`] | what a Dagway says that runs already |
//! | [`host`] | the Dagway that a session uses |
//! | [`proxies`] | how requests get past the proxies of the environment |
//! | [`seat`] | which `dagway code` serves, and who does when that ends |

mod hello;
mod host;
mod proxies;
mod seat;

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Failure, claude, client_key, say_error};
use crate::app::{App, Hangup, Signals, url_here};
use crate::settings::{Secret, Settings};
pub(super) use hello::{Hello, hello};
use host::{Host, succeed};
pub(super) use proxies::in_between;
use seat::{Holder, KeysMark};

/// How long Claude Code may take to end when it is asked to.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long Dagway may take to end before it says what it waits for.
const MOMENT: Duration = Duration::from_secs(1);

/// Starts `claude` with the right variables; starts Dagway in this process when none runs at the address, or when the
/// one that does ends with another `dagway code`.
///
/// It presents the client key of the name `whose`, if one is given.
///
/// # Errors
/// When `claude` is not there, when it is not known which key to present, or when Dagway cannot start; otherwise the exit code is that of `claude`.
pub async fn run(
    settings: Settings,
    arguments: &[OsString],
    environment: &[(String, String)],
    whose: Option<&str>,
) -> Result<(), Failure> {
    let key = client_key::of_own(&settings, environment, whose)?;
    let path = std::env::var_os("PATH");
    let program = claude::find(path.as_deref())
        .ok_or_else(|| Failure::Usage(format!("`claude` is not in your PATH; {}", claude::CURE)))?;
    let host = Host::find(&settings).await?;
    let token = token(&host, &settings, key);
    if matches!(host, Host::Another { .. }) && hello::refuses(settings.server.listen, &token).await
    {
        return Err(Failure::Usage(refused(&settings)));
    }
    let url = match &host {
        Host::Ours(ours) => ours.app.url(),
        Host::Another { .. } => url_here(settings.server.listen),
    };
    greet(&url, &host, &settings);
    // Listened for before there is a child: a signal in between would leave it behind.
    let terminate = signal(SignalKind::terminate())
        .map_err(|error| Failure::Running(format!("signals cannot be listened for: {error}")))?;
    let hangup = Hangup::listen();
    let child = Command::new(program)
        .args(arguments)
        .env("ANTHROPIC_BASE_URL", &url)
        .env("ANTHROPIC_AUTH_TOKEN", token)
        .envs(proxies::exceptions(environment, &url))
        .env_remove("ANTHROPIC_API_KEY")
        .kill_on_drop(true)
        .spawn();
    let status = match child {
        Ok(child) => accompany(outcome(child, terminate, hangup), host, &settings).await,
        Err(error) => {
            stop(host).await;
            Err(error)
        }
    };
    let status = status
        .map_err(|error| Failure::Running(format!("`claude` could not be started: {error}")))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => Err(Failure::Exit(u8::try_from(code).unwrap_or(1))),
        None => Err(Failure::Exit(code_of_signal(status))),
    }
}

/// The key that Claude Code presents. A Dagway of this process without keys takes any; the user's stays here then.
fn token(host: &Host, settings: &Settings, key: Option<Secret>) -> String {
    let takes_any = matches!(host, Host::Ours(_)) && settings.server.client_keys.is_empty();
    let key = key.filter(|_| !takes_any);
    // Exposed to the program that is to present it.
    key.map_or_else(|| "dagway".to_owned(), |key| key.expose().to_owned())
}

/// What is said when the Dagway that runs does not take the key.
fn refused(settings: &Settings) -> String {
    let url = url_here(settings.server.listen);
    let cure = if settings.server.client_keys.is_empty() {
        "set that variable here"
    } else {
        "the one that is presented here is none of them; set it to the same keys here"
    };
    format!("the Dagway at {url} demands one of its DAGWAY_CLIENT_KEYS; {cure}")
}

/// Says where the session goes, and what it depends on.
fn greet(url: &str, host: &Host, settings: &Settings) {
    if let Host::Another { hello, holder } = host {
        if let Some(notice) = &hello.notice {
            say_error(&format!("the Dagway at {url}: {notice}"));
        }
        if let Some(holder) = holder {
            let then = hindrance(holder, settings).map_or_else(
                || "goes on in this session when that one ends".to_owned(),
                |why| format!("ends with it, for {why}"),
            );
            say_error(&format!(
                "the Dagway at {url} is part of {holder} and {then}; `dagway` in a terminal of its own outlives both"
            ));
        }
    }
    say_error(&format!(
        "Claude Code through {url}; watch the runs at {url}/"
    ));
}

/// Why this process cannot go on with the Dagway of another `dagway code` when that ends. With other keys, it would refuse
/// the sessions that the other let in, or let in what the other refused.
fn hindrance(holder: &Holder, settings: &Settings) -> Option<&'static str> {
    if settings.lacks_the_key() {
        return Some("OPENROUTER_API_KEY is not set here");
    }
    let keys = KeysMark::of(&settings.server.client_keys);
    (!holder.demands(&keys)).then_some("its DAGWAY_CLIENT_KEYS are not those that are set here")
}

/// Waits for Claude Code to end, with a Dagway at its side all the time; then stops what is of this process.
async fn accompany(
    ends: impl Future<Output = std::io::Result<ExitStatus>>,
    host: Host,
    settings: &Settings,
) -> std::io::Result<ExitStatus> {
    let may_succeed = match &host {
        Host::Another { holder, .. } => holder
            .as_ref()
            .is_some_and(|holder| hindrance(holder, settings).is_none()),
        Host::Ours(_) => false,
    };
    if !may_succeed {
        let status = ends.await;
        stop(host).await;
        return status;
    }
    let mut ends = pin!(ends);
    let successor = tokio::select! {
        status = &mut ends => return status,
        successor = succeed(settings) => successor,
    };
    let status = ends.await;
    match successor {
        Ok(ours) => stop(Host::Ours(ours)).await,
        Err(error) => say_error(&format!(
            "the Dagway that this session used has ended, and this session could start none in its place: {error}"
        )),
    }
    status
}

/// Stops what is of this process, whose seat is free only afterwards.
async fn stop(host: Host) {
    if let Host::Ours(ours) = host {
        stop_app(ours.app).await;
    }
}

/// Lets the requests of other sessions end, unless a signal says that there is no time for them.
async fn stop_app(app: App) {
    let mut signals = Signals::listen();
    let mut stopping = pin!(app.stop_sooner_at(signals.next()));
    tokio::select! {
        () = &mut stopping => return,
        () = tokio::time::sleep(MOMENT) => {}
    }
    say_error(
        "waits for requests in progress, such as those of other sessions, and until they are recorded; Ctrl-C ends the requests",
    );
    stopping.await;
}

/// The exit code by which a shell tells that a signal ended a program.
fn code_of_signal(status: ExitStatus) -> u8 {
    let signal = status.signal().unwrap_or_default();
    u8::try_from(128 + signal).unwrap_or(1)
}

/// Waits for Claude Code to end. Ctrl-C reaches both and is Claude Code's to act on. SIGTERM reaches Dagway alone, which
/// passes it on: Claude Code must be able to leave the terminal as it found it. So it is with SIGHUP, whoever sends it.
async fn outcome(
    mut child: Child,
    mut terminate: Signal,
    mut hangup: Hangup,
) -> std::io::Result<ExitStatus> {
    loop {
        tokio::select! {
            status = child.wait() => return status,
            _ = terminate.recv() => break,
            () = hangup.next() => break,
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    if let Some(id) = child.id()
        && pass_on_sigterm(id)
        && let Ok(status) = tokio::time::timeout(LAST_WORDS, child.wait()).await
    {
        return status;
    }
    child.start_kill()?;
    child.wait().await
}

/// Whether SIGTERM was sent.
fn pass_on_sigterm(process: u32) -> bool {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    process.is_some_and(|process| kill_process(process, rustix::process::Signal::TERM).is_ok())
}
