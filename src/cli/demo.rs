//! `dagway demo`: live runs without key or network, against the simulated OpenRouter.

use super::args;
use super::{Failure, open_files, say, serve};
use crate::app::{App, Manner, Signals};
use crate::settings::{Secret, Settings};
use crate::simulator::sessions::{self, Pace};
use crate::simulator::{self, Simulator};

/// What every page says during the demo.
const NOTICE: &str = "Simulated upstream: no model was asked. The answers come from a simulation inside this binary.";

/// The same for the terminal.
const SIMULATED: &str =
    "  SIMULATED    the models are simulated: nothing leaves this machine, nothing is charged";

/// Starts the simulated OpenRouter and the real server, and drives sessions until Ctrl-C.
///
/// # Errors
/// When one of them cannot start, or standard output cannot be written.
pub async fn run(mut settings: Settings, args: &args::Demo) -> Result<(), Failure> {
    open_files::raise_limit();
    open_files::suffice(&settings)?;
    let (timing, pace) = if args.fast {
        (simulator::Settings::immediate(), Pace::Fast)
    } else {
        (simulator::Settings::realistic(), Pace::Human)
    };
    // Nobody looks into the simulated upstream's log here.
    let timing = simulator::Settings { keeps: 0, ..timing };
    let simulator = Simulator::start(timing).await.map_err(|error| {
        Failure::Running(format!(
            "the simulated OpenRouter could not be started: {error}"
        ))
    })?;
    settings.simulate(&simulator.base_url(), "sk-or-simulated");
    settings.store.folder = settings.store.folder.join("demo");
    // What is simulated does not belong among a team's runs.
    settings.store.database = Secret::new("");
    let app = App::start(
        &settings,
        Manner {
            notice: Some(NOTICE.to_owned()),
            log: true,
        },
    )
    .await?;
    let mut signals = Signals::listen();
    serve::greet(&app, &settings, Some(SIMULATED));
    let url = app.url();
    let key = settings.server.client_keys.first();
    // Exposed to the clients that present it.
    let key = key.map(|one| one.key.expose());
    let rounds = args.rounds;
    let traffic = async move {
        let mut round = 0;
        while rounds.is_none_or(|rounds| round < rounds) {
            round += 1;
            match sessions::drive(&url, key, pace).await {
                Ok(report) => say(format!("round {round}: {report}"))?,
                Err(error) => say(format!(
                    "round {round}: the simulated client gave up: {error}"
                ))?,
            }
        }
        Ok(())
    };
    let told = tokio::select! {
        () = signals.next() => Ok(()),
        told = traffic => told,
    };
    app.stop_sooner_at(signals.next()).await;
    simulator.stop().await;
    told
}
