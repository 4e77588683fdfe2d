//! The arguments, and the text of `--help`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Runs Claude Code, and every other client of the Anthropic Messages API, on any model that OpenRouter serves.
///
/// Each request is a run of a workflow: a graph of small tasks that you can watch in the browser while it happens.
#[derive(Debug, Parser)]
#[command(
    name = "dagway",
    version,
    after_help = "Examples:\n  \
        OPENROUTER_API_KEY=sk-or-… dagway     serve on http://127.0.0.1:4000\n  \
        dagway code                           start Claude Code through Dagway\n  \
        dagway demo                           look around: no key, no network\n  \
        dagway doctor                         find out what is missing\n\n\
        Every setting, with its default and its variable: dagway settings"
)]
pub struct Args {
    /// A file with settings; `dagway settings` prints the defaults
    #[arg(long, short, global = true, env = "DAGWAY_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where to listen, in place of 127.0.0.1:4000; port 0 takes a free one
    #[arg(long, short, global = true, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// What to do; `serve` when nothing is said
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves the Messages API, the dashboard and the run API (the default)
    Serve,
    /// Shows live runs without key or network, against a simulated OpenRouter that is part of this binary
    Demo(Demo),
    /// Starts Claude Code through Dagway, and Dagway first when it does not run yet
    Code {
        /// Arguments for `claude`
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "ARGS"
        )]
        arguments: Vec<String>,
    },
    /// Checks or shows the workflow files
    Workflows {
        /// What to do with them
        #[command(subcommand)]
        command: Workflows,
    },
    /// Looks for what is missing or wrong, and says how to cure it
    Doctor,
    /// Proves a gateway with the conformance suite: Dagway itself, or another
    Conformance(Conformance),
    /// Prints every setting with its default and its meaning
    Settings,
}

/// How the demo goes.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Stops after so many rounds of sessions; without it, the demo goes on until Ctrl-C
    #[arg(long, value_name = "N")]
    pub rounds: Option<u32>,
    /// Lets the simulated models answer at once
    #[arg(long)]
    pub fast: bool,
}

/// What to prove, and how.
#[derive(Debug, clap::Args)]
pub struct Conformance {
    /// The base URL of another gateway; without it, Dagway starts itself with default settings
    #[arg(long, value_name = "URL")]
    pub target: Option<String>,
    /// Where to listen as the upstream that the other gateway must ask
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4100")]
    pub upstream_listen: SocketAddr,
    /// A key that the other gateway accepts
    #[arg(long, value_name = "KEY", default_value = "conformance")]
    pub key: String,
    /// What the other gateway calls a model, such as openai/gpt-5=my-gpt; may be repeated
    #[arg(long = "model", value_name = "NAME=NAME")]
    pub models: Vec<String>,
    /// Only cases whose name contains this; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub filter: Vec<String>,
    /// No cases whose name contains this; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub skip: Vec<String>,
    /// A folder of cases in place of those that are part of this program
    #[arg(long, value_name = "FOLDER")]
    pub cases: Option<PathBuf>,
    /// How many cases run at a time
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub jobs: usize,
    /// What random replays begin with; printed, so that a run can be repeated
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Lists the cases and what each pins
    #[arg(long)]
    pub list: bool,
    /// Prints the tables of the suite's README
    #[arg(long, hide = true)]
    pub markdown: bool,
    /// Prints the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// What to do with workflow files.
#[derive(Debug, Subcommand)]
pub enum Workflows {
    /// Proves the built-in workflows, those of your folder, or the files given
    Check {
        /// Files to prove
        files: Vec<PathBuf>,
    },
    /// Prints the steps of the workflows, what they take and give
    Show {
        /// Only this workflow
        name: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn arguments_for_claude_pass_untouched() {
        let args = Args::parse_from(["dagway", "code", "-p", "hello", "--model", "opus"]);
        let Some(Command::Code { arguments }) = args.command else {
            panic!("not the command given")
        };
        assert_eq!(arguments, ["-p", "hello", "--model", "opus"]);
    }
}
