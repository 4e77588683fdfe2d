//! `dagway runs`: the runs of a Dagway that is at work, for whoever has a terminal and no browser.
//!
//! It asks the run API and knows no more than that tells. Whatever it shows came from a client or a model and is hostile:
//! [`text`] cleans it.
//!
//! | file | what |
//! | --- | --- |
//! | [`args`] | the arguments |
//! | `client`, `answer` | asks the run API, and what that answers |
//! | `chosen` | which run is meant |
//! | `list`, `follow`, `show`, `changes`, `payload`, `replay`, `usage` | what is asked for: one file each |
//! | `recorded`, `compared` | a recorded request as it is sent again, and two runs beside each other |
//! | `table`, `bars`, `words` | columns, bars on a time axis, figures in words |
//! | `clock`, `text`, `terminal` | how moments and texts are written, and on what |

mod answer;
pub mod args;
mod bars;
mod changes;
mod chosen;
mod client;
mod clock;
mod compared;
mod follow;
mod list;
mod payload;
mod recorded;
mod replay;
mod show;
mod table;
mod terminal;
#[cfg(test)]
mod tests;
mod text;
mod usage;
mod words;

use super::{Failure, client_key};
use crate::settings::Settings;
use args::{Command, Runs};
use client::Client;
use replay::Wanted;
use terminal::Paper;

/// Lists runs, follows them, shows one, sends its request again, or adds up what they use. The client key of the name
/// `whose` is presented for that.
///
/// # Errors
/// When the server is not there, refuses, or knows no such run.
pub async fn run(
    args: &Runs,
    settings: &Settings,
    environment: &[(String, String)],
    whose: Option<&str>,
) -> Result<(), Failure> {
    let paper = Paper::of(environment);
    let client = Client::new(args.server.as_deref(), settings)?;
    let is_of_the_list = args.follow || args.sort.is_some() || args.after.is_some();
    let is_usage = matches!(args.command, Some(Command::Usage { .. }));
    match &args.command {
        Some(_) if args.limit.is_some() && !is_usage => Err(Failure::Usage(
            "--limit is about lists and usage; leave it out to see one run".to_owned(),
        )),
        Some(_) if is_of_the_list => Err(Failure::Usage(
            "--follow, --sort and --after are about the list; leave them out here"
                .to_owned(),
        )),
        None if args.follow && args.filter.until.is_some() => Err(Failure::Usage(
            "--follow waits for runs to come, and none of them begins before --until; leave one of the two out".to_owned(),
        )),
        Some(Command::Show { run }) => show::run(&client, args, run, paper).await,
        Some(Command::Changes { run, against }) => {
            changes::run(&client, args, run, against.as_deref(), paper).await
        }
        Some(Command::Payload { .. }) if args.json => Err(Failure::Usage(
            "a payload is printed as it is; leave --json out".to_owned(),
        )),
        Some(Command::Payload { run, name }) => payload::run(&client, args, run, name, paper).await,
        Some(Command::Replay { run, model }) => {
            let key = if client.is_own() {
                client_key::of_own(settings, environment, whose)
            } else {
                client_key::of_another(settings, environment, whose)
            };
            let asks_first = !client.is_own() || settings.server.client_keys.is_empty();
            let is_named = whose.is_some();
            let wanted = Wanted { run, model: model.as_deref(), key, is_named, asks_first };
            replay::run(&client, args, wanted, paper).await
        }
        Some(Command::Usage { by }) => usage::run(&client, args, by.as_deref(), paper).await,
        None if args.follow => follow::run(&client, args, paper).await,
        None => list::run(&client, args, paper).await,
    }
}
