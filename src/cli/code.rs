//! `dagway code`: Claude Code through Dagway, in one command.

use std::net::SocketAddr;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::claude;
use super::{Failure, say_error};
use crate::app::{App, Manner, url_here};
use crate::settings::Settings;
use crate::upstream;

/// How long a server that may be there already has to answer.
const HELLO_WAIT: Duration = Duration::from_millis(800);

/// Starts `claude` with the right variables; starts Dagway in this process when none runs at the address.
///
/// # Errors
/// When `claude` is not there or Dagway cannot start; otherwise the exit code is that of `claude`.
pub async fn run(settings: Settings, arguments: &[String]) -> Result<(), Failure> {
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
    let app = if dagway_answers(listen).await {
        None
    } else {
        if settings.lacks_the_key() {
            return Err(Failure::Usage(
                "OPENROUTER_API_KEY is not set; get a key at https://openrouter.ai/keys".to_owned(),
            ));
        }
        // The terminal belongs to Claude Code, so there is no log: what happens is on the dashboard.
        Some(App::start(&settings, Manner::default())?)
    };
    let url = app.as_ref().map_or_else(|| url_here(listen), App::url);
    say_error(&format!(
        "Claude Code through {url}; watch the runs at {url}/"
    ));
    let child = Command::new(program)
        .args(arguments)
        .env("ANTHROPIC_BASE_URL", &url)
        .env("ANTHROPIC_AUTH_TOKEN", key)
        .env_remove("ANTHROPIC_API_KEY")
        .kill_on_drop(true)
        .spawn();
    let status = match child {
        Ok(child) => outcome(child).await,
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
        None => Err(Failure::Exit(130)),
    }
}

/// Waits for Claude Code to end. Ctrl-C reaches both and is Claude Code's to act on; SIGTERM ends both.
async fn outcome(mut child: Child) -> std::io::Result<ExitStatus> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            status = child.wait() => return status,
            _ = terminate.recv() => child.start_kill()?,
            _ = tokio::signal::ctrl_c() => {}
        }
    }
}

/// Whether a Dagway answers there already.
async fn dagway_answers(address: SocketAddr) -> bool {
    let ask = async {
        let client = upstream::client::http().ok()?.no_proxy().build().ok()?;
        let answer = client
            .get(format!("http://{address}/health"))
            .send()
            .await
            .ok()?;
        let is_dagway = answer.status().is_success() && answer.headers().contains_key("request-id");
        is_dagway.then_some(())
    };
    tokio::time::timeout(HELLO_WAIT, ask)
        .await
        .is_ok_and(|answer| answer.is_some())
}
