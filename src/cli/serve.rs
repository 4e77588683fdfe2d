//! `dagway serve`: serves until a signal.

use super::{Failure, open_files, say};
use crate::app::{self, App, Manner, Signals};
use crate::settings::Settings;

/// Serves until SIGTERM, SIGHUP or Ctrl-C, then lets the runs in progress end.
///
/// # Errors
/// When it cannot start.
pub async fn run(settings: Settings) -> Result<(), Failure> {
    if settings.lacks_the_key() {
        return Err(Failure::Usage(
            "OPENROUTER_API_KEY is not set; get a key at https://openrouter.ai/keys and start with \
             `OPENROUTER_API_KEY=sk-or-… dagway`, or look around without one: `dagway demo`"
                .to_owned(),
        ));
    }
    open_files::raise_limit();
    open_files::suffice(&settings)?;
    let app = App::start(
        &settings,
        Manner {
            notice: None,
            log: true,
        },
    )
    .await?;
    open_files::warn_of_few();
    for one in settings.keyless().filter(|one| !one.is_here) {
        tracing::warn!(
            upstream = one.upstream,
            "{one}; until then it refuses every request"
        );
    }
    // Who reads where it listens may stop it at once.
    let signals = Signals::listen();
    greet(&app, &settings, None);
    app.until_signal(signals).await;
    Ok(())
}

/// Where runs are kept, as it is told; an address is told without its password.
fn place_of_runs(settings: &Settings) -> String {
    match app::database(settings) {
        Ok(Some(address)) => address.to_string(),
        Ok(None) | Err(_) => {
            let folder = &settings.store.folder;
            let whole = std::path::absolute(folder);
            whole.as_ref().unwrap_or(folder).display().to_string()
        }
    }
}

/// Says where everything is, and `more`, in one block that no log line comes between. The last line, which begins with
/// `listening on`, is for scripts.
pub(super) fn greet(app: &App, settings: &Settings, more: Option<&str>) {
    let url = app.url();
    // Keys are secrets, and standard output is often a log.
    let token = if settings.server.client_keys.is_empty() {
        "dagway"
    } else {
        "(one of DAGWAY_CLIENT_KEYS)"
    };
    let more = more.map(|line| format!("{line}\n")).unwrap_or_default();
    let said = say(format!(
        "Dagway {version}\n  \
         Claude Code  ANTHROPIC_BASE_URL={url} ANTHROPIC_AUTH_TOKEN={token} claude\n  \
         Dashboard    {url}/\n  \
         Runs         kept in {store}\n{more}\
         listening on http://{address}",
        version = env!("CARGO_PKG_VERSION"),
        store = place_of_runs(settings),
        address = app.address()
    ));
    // It serves all the same.
    if let Err(Failure::Running(why)) = said {
        tracing::warn!("{why}");
    }
}
