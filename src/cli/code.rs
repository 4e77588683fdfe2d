//! `dagway code`: Claude Code through Dagway, in one command.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, kill_process};
use serde::Deserialize;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::claude;
use super::{Failure, say_error};
use crate::app::{App, Manner, url_here};
use crate::settings::Settings;
use crate::upstream;

/// How long a server that may be there already has to answer.
const HELLO_WAIT: Duration = Duration::from_millis(800);
/// How long Claude Code may take to end when it is asked to.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Starts `claude` with the right variables; starts Dagway in this process when none runs at the address.
///
/// # Errors
/// When `claude` is not there or Dagway cannot start; otherwise the exit code is that of `claude`.
pub async fn run(settings: Settings, arguments: &[OsString]) -> Result<(), Failure> {
    let path = std::env::var_os("PATH");
    let program = claude::find(path.as_deref())
        .ok_or_else(|| Failure::Usage(format!("`claude` is not in your PATH; {}", claude::CURE)))?;
    let key = settings
        .server
        .client_keys
        .first()
        .map_or("dagway", |key| key.expose())
        .to_owned();
    let listen = settings.server.listen;
    let app = if let Some(hello) = hello(listen).await {
        if let Some(notice) = hello.notice {
            say_error(&format!("the Dagway at {}: {notice}", url_here(listen)));
        }
        None
    } else {
        if settings.lacks_the_key() {
            return Err(Failure::Usage(
                "OPENROUTER_API_KEY is not set; get a key at https://openrouter.ai/keys".to_owned(),
            ));
        }
        // The terminal belongs to Claude Code, so there is no log: what happens is on the dashboard.
        Some(App::start(&settings, Manner::default()).await?)
    };
    let url = app.as_ref().map_or_else(|| url_here(listen), App::url);
    say_error(&format!(
        "Claude Code through {url}; watch the runs at {url}/"
    ));
    // Listened for before there is a child: a signal in between would leave it behind.
    let terminate = signal(SignalKind::terminate())
        .map_err(|error| Failure::Running(format!("signals cannot be listened for: {error}")))?;
    let child = Command::new(program)
        .args(arguments)
        .env("ANTHROPIC_BASE_URL", &url)
        .env("ANTHROPIC_AUTH_TOKEN", key)
        .env_remove("ANTHROPIC_API_KEY")
        .kill_on_drop(true)
        .spawn();
    let status = match child {
        Ok(child) => outcome(child, terminate).await,
        Err(error) => Err(error),
    };
    if let Some(app) = app {
        app.stop().await;
    }
    let status = status
        .map_err(|error| Failure::Running(format!("`claude` could not be started: {error}")))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => Err(Failure::Exit(u8::try_from(code).unwrap_or(1))),
        None => Err(Failure::Exit(code_of_signal(status))),
    }
}

/// The exit code by which a shell tells that a signal ended a program.
fn code_of_signal(status: ExitStatus) -> u8 {
    let signal = status.signal().unwrap_or_default();
    u8::try_from(128 + signal).unwrap_or(1)
}

/// Waits for Claude Code to end. Ctrl-C reaches both and is Claude Code's to act on. SIGTERM reaches Dagway alone, which
/// passes it on: Claude Code must be able to leave the terminal as it found it.
async fn outcome(mut child: Child, mut terminate: Signal) -> std::io::Result<ExitStatus> {
    loop {
        tokio::select! {
            status = child.wait() => return status,
            _ = terminate.recv() => break,
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

/// What a Dagway says of itself.
#[derive(Debug, Default, Deserialize)]
struct Hello {
    /// Such as that no real model answers.
    #[serde(default)]
    notice: Option<String>,
    /// Such as that its store cannot be written.
    #[serde(default)]
    warning: Option<String>,
}

/// Whether a Dagway answers there already.
pub(super) async fn dagway_answers(address: SocketAddr) -> bool {
    hello(address).await.is_some()
}

/// What is wrong with the Dagway that answers there.
pub(super) async fn trouble(address: SocketAddr) -> Option<String> {
    hello(address).await?.warning
}

/// What the Dagway says that answers there; its every answer, also a refusal, tells what it took of its own time.
async fn hello(address: SocketAddr) -> Option<Hello> {
    let ask = async {
        let client = upstream::client::http().ok()?.no_proxy().build().ok()?;
        let answer = client
            .get(format!("{}/health", url_here(address)))
            .send()
            .await
            .ok()?;
        let is_dagway = answer.headers().contains_key("x-dagway-overhead-us");
        let body = answer.bytes().await.ok()?;
        is_dagway.then(|| serde_json::from_slice(&body).unwrap_or_default())
    };
    tokio::time::timeout(HELLO_WAIT, ask).await.ok().flatten()
}
