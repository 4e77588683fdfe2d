//! The arguments, and the text of `--help`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::runs::args::Runs;
use crate::settings::listen_address;

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
        dagway runs --state failed            which runs failed, without a browser\n  \
        dagway doctor                         find out what is missing\n\n\
        Every setting, with its default and its variable: dagway settings\n\
        Secrets may stand in files: OPENROUTER_API_KEY_FILE, DAGWAY_CLIENT_KEYS_FILE, DAGWAY_DASHBOARD_PASSWORD_FILE,\n\
        DAGWAY_METRICS_TOKEN_FILE, DAGWAY_DATABASE_URL_FILE and OTEL_EXPORTER_OTLP_HEADERS_FILE name them"
)]
pub struct Args {
    /// A file with settings, which the variable `DAGWAY_CONFIG` may name, too; `dagway settings` prints the defaults
    #[arg(long, short, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where to listen, in place of 127.0.0.1:4000; port 0 takes a free one
    #[arg(long, short, global = true, value_name = "ADDRESS:PORT", value_parser = listen_address)]
    pub listen: Option<SocketAddr>,
    /// Whose client key `code` and `runs replay` present: a name in `DAGWAY_CLIENT_KEYS`
    #[arg(long = "as", global = true, value_name = "NAME")]
    pub whose: Option<String>,
    /// What to do; `serve` when nothing is said
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Args {
    /// Reads a command line, the program's name first. What follows `code` is not looked at: it is Claude Code's, also
    /// where Dagway has an option of the same name.
    ///
    /// # Errors
    /// Clap's word for what cannot be read, or for help that was asked for.
    pub fn read(line: Vec<OsString>) -> Result<Self, clap::Error> {
        let is_code = |end: &usize| {
            let (last, before) = (line.get(end - 1), line.get(..*end));
            last.is_some_and(|last| last == "code") && before.is_some_and(ends_in_code)
        };
        let Some(end) = (1..=line.len()).find(is_code) else {
            return Self::parsed(line);
        };
        let (ours, theirs) = line.split_at(end);
        let theirs = match theirs {
            [only] if only == "--help" || only == "-h" => return Self::parsed(&line),
            [first, rest @ ..] if first == "--" => rest,
            all => all,
        };
        let mut args = Self::parsed(ours)?;
        args.command = Some(Command::Code {
            arguments: theirs.to_vec(),
        });
        Ok(args)
    }

    fn parsed<W: Into<OsString> + Clone>(
        line: impl IntoIterator<Item = W>,
    ) -> Result<Self, clap::Error> {
        let mut command = command();
        let mut matches = command.try_get_matches_from_mut(line)?;
        let args = Self::from_arg_matches_mut(&mut matches);
        args.map_err(|error| error.format(&mut command))
    }
}

/// The commands, with a help that leaves out the options for all with which one does nothing. They are known there all the
/// same, to be refused by name.
fn command() -> clap::Command {
    let mut command = Args::command();
    for (name, in_vain) in [
        ("serve", &[AS_ID][..]),
        ("demo", &[AS_ID]),
        ("doctor", &[AS_ID]),
        ("workflows", &[AS_ID, "listen"]),
        ("settings", &[AS_ID, "listen", "config"]),
        ("conformance", &[AS_ID, "listen", "config"]),
        ("runs", &[AS_ID]),
    ] {
        let hidden = of_all(&command, in_vain).map(|option| option.hide(true));
        let hidden: Vec<Arg> = hidden.collect();
        command = command.mut_subcommand(name, |one| one.args(hidden));
    }
    let presented: Vec<Arg> = of_all(&command, &[AS_ID]).collect();
    command.mut_subcommand("runs", |runs| {
        let limit: Vec<Arg> = of_all(&runs, &["limit"]).collect();
        let hidden = limit.into_iter().map(|option| option.hide(true));
        let hidden: Vec<Arg> = hidden.collect();
        let mut runs = runs.mut_subcommand("replay", |replay| replay.args(presented));
        for name in ["show", "changes", "payload", "replay"] {
            runs = runs.mut_subcommand(name, |one| one.args(hidden.clone()));
        }
        runs
    })
}

/// Options of a command that its commands have, too.
fn of_all<'c>(command: &'c clap::Command, ids: &'c [&str]) -> impl Iterator<Item = Arg> + 'c {
    let options = command.get_arguments();
    options
        .filter(|option| ids.contains(&option.get_id().as_str()))
        .cloned()
}

impl Args {
    /// The name of the command, when it does nothing with an option that was given, and that option.
    pub(super) fn given_in_vain(&self) -> Option<(&'static str, &'static str)> {
        let (command, reads_settings, presents_key) = match &self.command {
            None => return self.whose.as_ref().map(|_| ("serve", AS)),
            Some(Command::Settings) => ("settings", false, false),
            Some(Command::Conformance(_)) => ("conformance", false, false),
            Some(Command::Workflows { .. }) => ("workflows", true, false),
            Some(Command::Serve) => ("serve", true, false),
            Some(Command::Demo(_)) => ("demo", true, false),
            Some(Command::Doctor) => ("doctor", true, false),
            Some(Command::Runs(runs)) => ("runs", true, runs.presents_key()),
            Some(Command::Code { .. }) => ("code", true, true),
        };
        let listens = reads_settings && command != "workflows";
        let option = match (&self.config, self.listen, &self.whose) {
            (Some(_), ..) if !reads_settings => "--config",
            (_, Some(_), _) if !listens => "--listen",
            (.., Some(_)) if !presents_key => AS,
            _ => return None,
        };
        Some((command, option))
    }
}

const AS: &str = "--as";
/// What clap calls it.
const AS_ID: &str = "whose";

/// Whether the last word of a command line is the command `code`, and not a value or a part of another command.
fn ends_in_code(line: &[OsString]) -> bool {
    let args = Args::parsed(line);
    args.is_ok_and(|args| matches!(args.command, Some(Command::Code { .. })))
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves the Messages API, the dashboard and the run API (the default)
    Serve,
    /// Shows live runs without key or network, against a simulated OpenRouter that is part of this binary
    Demo(Demo),
    /// Starts Claude Code through Dagway, and Dagway first when it does not run yet
    #[command(
        override_usage = "dagway [OPTIONS] code [ARGS]...",
        after_help = "Whatever follows `code` goes to `claude` as it is, options too, such as -c, -p or --version; Dagway's own \
            options come before `code`.\nWhere several client keys with names are known, --as NAME says whose it presents, or \
            ANTHROPIC_AUTH_TOKEN is one of them.\nThe help of `claude` itself: dagway code -- --help"
    )]
    Code {
        /// Arguments for `claude`
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "ARGS"
        )]
        arguments: Vec<OsString>,
    },
    /// Lists the runs of a Dagway at work, follows them, or shows one
    Runs(Box<Runs>),
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
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4100", value_parser = listen_address, requires = "target")]
    pub upstream_listen: SocketAddr,
    /// A key that the other gateway accepts
    #[arg(
        long,
        value_name = "KEY",
        default_value = "conformance",
        requires = "target"
    )]
    pub key: String,
    /// What the other gateway calls a model, such as openai/gpt-5=my-gpt; may be repeated
    #[arg(long = "model", value_name = "NAME=NAME", requires = "target")]
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
        /// Files to prove, or folders of them, as if they were the files of your folder
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
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        command().debug_assert();
    }

    fn read(line: &str) -> Result<Args, clap::Error> {
        Args::read(line.split(' ').map(OsString::from).collect())
    }

    fn for_claude(line: &str) -> Vec<OsString> {
        match read(line).map(|args| args.command) {
            Ok(Some(Command::Code { arguments })) => arguments,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn arguments_for_claude_pass_untouched() {
        for theirs in [
            "-p hello --model opus",
            "-c",
            "-l",
            "--continue",
            "--version",
            "-V",
            "--config other --listen nowhere",
            "-p x --help",
            "-- x",
            "code -c",
        ] {
            let line = format!("dagway --config mine.toml code {theirs}");
            let expected = theirs.strip_prefix("-- ").unwrap_or(theirs);
            let expected: Vec<&str> = expected.split(' ').collect();
            assert_eq!(for_claude(&line), expected);
            let args = read(&line).unwrap();
            assert_eq!(args.config, Some(PathBuf::from("mine.toml")), "{line}");
        }
        assert_eq!(for_claude("dagway code -- --help"), ["--help"]);
        assert!(for_claude("dagway -c code --listen 127.0.0.1:1 code").is_empty());
    }

    #[test]
    fn help_for_code_is_dagways_own_and_tells_the_way_to_claudes() {
        for line in ["dagway code --help", "dagway code -h", "dagway help code"] {
            let help = read(line).unwrap_err();
            assert!(help.to_string().contains("dagway code -- --help"), "{help}");
        }
    }

    #[test]
    fn an_option_that_a_command_does_nothing_with_is_known() {
        for (line, expected) in [
            ("dagway settings -c x", Some(("settings", "--config"))),
            (
                "dagway -l 127.0.0.1:1 settings",
                Some(("settings", "--listen")),
            ),
            (
                "dagway conformance --listen 127.0.0.1:1",
                Some(("conformance", "--listen")),
            ),
            ("dagway conformance -c x", Some(("conformance", "--config"))),
            (
                "dagway workflows check -l 127.0.0.1:1",
                Some(("workflows", "--listen")),
            ),
            ("dagway workflows check -c x", None),
            ("dagway runs -c x -l 127.0.0.1:1", None),
            ("dagway --as x", Some(("serve", "--as"))),
            ("dagway doctor --as x", Some(("doctor", "--as"))),
            ("dagway runs --as x", Some(("runs", "--as"))),
            ("dagway runs replay latest --as x", None),
            ("dagway --as x runs replay latest", None),
            ("dagway --as x code --as y", None),
            ("dagway -c x -l 127.0.0.1:1", None),
        ] {
            assert_eq!(read(line).unwrap().given_in_vain(), expected, "{line}");
        }
    }

    #[test]
    fn the_help_of_a_command_lists_no_option_that_it_refuses() {
        for command in [
            "serve",
            "demo",
            "doctor",
            "settings",
            "conformance",
            "workflows",
            "workflows check",
            "workflows show",
            "code",
            "runs",
            "runs show",
            "runs changes",
            "runs payload",
            "runs usage",
            "runs replay",
        ] {
            let help = read(&format!("dagway {command} --help"))
                .unwrap_err()
                .to_string();
            let lists = |option: &str| help.lines().any(|line| line.contains(option));
            let needed = match command {
                "runs payload" => " x y",
                "runs show" | "runs changes" | "runs replay" => " x",
                "workflows" => " check",
                _ => "",
            };
            for (option, value) in [
                ("--config", "x"),
                ("--listen", "127.0.0.1:1"),
                ("--as", "x"),
            ] {
                let args = match command {
                    "code" => read(&format!("dagway {option} {value} code")),
                    _ => read(&format!("dagway {command}{needed} {option} {value}")),
                };
                let is_refused = args.unwrap().given_in_vain().is_some();
                assert_eq!(
                    lists(&format!("{option} <")),
                    !is_refused,
                    "{command} {option}: {help}"
                );
            }
            let counts = matches!(command, "runs" | "runs usage");
            assert_eq!(lists("--limit <"), counts, "{command}: {help}");
        }
        let Some(Command::Runs(runs)) = read("dagway runs show x -n 3").unwrap().command else {
            panic!("it is another command");
        };
        assert_eq!(runs.limit.as_deref(), Some("3"), "it is refused by name");
    }

    #[test]
    fn what_is_told_of_another_gateway_needs_that_gateway() {
        for option in ["--key k", "--model a=b", "--upstream-listen 127.0.0.1:1"] {
            let refused = read(&format!("dagway conformance {option}")).unwrap_err();
            let said = refused.to_string();
            assert!(said.contains("--target <URL>"), "{option}: {said}");
            assert!(
                read(&format!(
                    "dagway conformance --target http://a.test {option}"
                ))
                .is_ok()
            );
        }
        assert!(read("dagway conformance --filter ping").is_ok());
    }

    #[test]
    fn the_word_code_elsewhere_is_no_command() {
        let args = read("dagway workflows show code -c mine.toml").unwrap();
        assert!(matches!(args.command, Some(Command::Workflows { .. })));
        assert_eq!(args.config, Some(PathBuf::from("mine.toml")));
        assert!(read("dagway --config code").unwrap().command.is_none());
        assert!(read("dagway nothing code").is_err());
    }
}
