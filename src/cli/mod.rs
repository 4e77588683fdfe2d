//! The command line: what a person types.
//!
//! One file per command. Every error a person can cause is a sentence with its cure, exit code 2;
//! what goes wrong while running is exit code 1.

mod args;
pub mod claude;
mod client_key;
pub mod code;
pub mod conformance;
pub mod demo;
pub mod doctor;
mod open_files;
mod output;
pub mod runs;
pub mod serve;
pub mod workflows;

use std::path::PathBuf;
use std::process::ExitCode;

pub use args::Args;
use args::Command;
use output::{say, say_error};

use crate::app::{StartError, outlive_file_limit};
use crate::settings::{self, Settings};

/// A command's failure, in a sentence.
#[derive(Debug)]
pub enum Failure {
    /// The person can cure it: exit code 2.
    Usage(String),
    /// It went wrong: exit code 1.
    Running(String),
    /// Somebody else's exit code, such as that of `claude`.
    Exit(u8),
}

impl From<settings::Error> for Failure {
    fn from(error: settings::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Reads the arguments and does what they say.
#[must_use]
pub fn main() -> ExitCode {
    let mut args = Args::read(std::env::args_os().collect()).unwrap_or_else(|said| said.exit());
    if let Some((command, option)) = args.given_in_vain() {
        say_error(&format!(
            "`dagway {command}` does nothing with {option}; leave it out"
        ));
        return ExitCode::from(2);
    }
    let named = std::env::var_os("DAGWAY_CONFIG").filter(|name| !name.is_empty());
    args.config = args.config.or_else(|| named.map(PathBuf::from));
    match environment().and_then(|environment| run(&args, &environment)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(sentence)) => {
            say_error(&sentence);
            ExitCode::from(2)
        }
        Err(Failure::Running(sentence)) => {
            say_error(&sentence);
            ExitCode::FAILURE
        }
        Err(Failure::Exit(code)) => ExitCode::from(code),
    }
}

/// The variables of the environment that are text. Those that may be settings have to be: a password that is passed over
/// would be none.
fn environment() -> Result<Vec<(String, String)>, Failure> {
    let mut environment = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else {
            continue;
        };
        match value.into_string() {
            Ok(value) => environment.push((name, value)),
            Err(_) if settings::may_be_setting(&name) => {
                let said =
                    format!("the variable {name}: it is not UTF-8 text; set it in that encoding");
                return Err(Failure::Usage(said));
            }
            Err(_) => {}
        }
    }
    Ok(environment)
}

fn run(args: &Args, environment: &[(String, String)]) -> Result<(), Failure> {
    if let Some(Command::Settings) = args.command {
        return say(settings::DEFAULTS.trim_end());
    }
    let settings = match args.command {
        // It proves Dagway with the settings that all have, whatever this machine's are.
        Some(Command::Conformance(_)) => Settings::defaults()?,
        _ => settings::read_with(args.config.as_deref(), environment, args.listen)?,
    };
    if let Some(Command::Workflows { command }) = &args.command {
        return workflows::run(command, &settings);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::Running(format!("the runtime could not be started: {error}")))?;
    actix_web::rt::System::with_tokio_rt(move || runtime).block_on(dispatch(
        args,
        settings,
        environment,
    ))
}

async fn dispatch(
    args: &Args,
    settings: Settings,
    environment: &[(String, String)],
) -> Result<(), Failure> {
    outlive_file_limit();
    let whose = args.whose.as_deref();
    match &args.command {
        None | Some(Command::Serve) => serve::run(settings).await,
        Some(Command::Demo(demo)) => demo::run(settings, demo).await,
        Some(Command::Code { arguments }) => {
            code::run(settings, arguments, environment, whose).await
        }
        Some(Command::Conformance(conformance)) => conformance::run(conformance).await,
        Some(Command::Runs(args)) => runs::run(args, &settings, environment, whose).await,
        Some(Command::Doctor) => doctor::run(&settings, environment).await,
        Some(Command::Settings | Command::Workflows { .. }) => Ok(()),
    }
}
