//! The arguments of `dagway runs`, and the text of its `--help`.
//!
//! What a filter takes is known to the run API alone: values are passed on as they are written.

use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;

/// Which runs, and how they are shown.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
        dagway runs --state failed,timedout --since 1h    what failed in the last hour\n  \
        dagway runs --sort cost --since 24h -n 5          the five costliest turns of a day\n  \
        dagway runs --follow                              runs as they come and end\n  \
        dagway runs show latest --state failed            the newest failure, step by step\n  \
        dagway runs changes latest                        why a cache helped the newest turn, or did not\n  \
        dagway runs usage --by session --since 7d         which sessions cost most\n  \
        dagway runs usage --by key --since 30d            who spent it\n  \
        dagway runs payload 5a5a5a5a0003 sent | jq        what Dagway sent upstream\n  \
        dagway runs replay latest --state failed          whether the same request fails again\n  \
        dagway runs replay latest --model openai/gpt-5    how another model answers it\n  \
        dagway runs --json | jq -r '.runs[].id'           for scripts\n\n\
        It asks the Dagway that runs at the address of your settings (127.0.0.1:4000), or the one at --server, and presents \
        the dashboard's password of your settings (DAGWAY_DASHBOARD_PASSWORD) where one is demanded.")]
pub struct Runs {
    /// Where Dagway runs, in place of the address that the settings have
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// Prints what the run API answers; with --follow, a line for each run
    #[arg(long, global = true)]
    pub json: bool,
    /// Which runs.
    #[command(flatten)]
    pub filter: Filter,
    /// At most so many runs, up to 200 [default: 50; with --follow, 10 to begin with], or rows of usage, up to 1000 [default: 100]
    #[arg(long, short = 'n', global = true, value_name = "N")]
    pub limit: Option<String>,
    /// In this order: started (the newest first), duration, cost or tokens (the greatest first)
    #[arg(long, value_name = "ORDER", conflicts_with = "follow")]
    pub sort: Option<String>,
    /// Only runs that come after this one: the page after the one that ends with it
    #[arg(long, value_name = "ID", conflicts_with = "follow")]
    pub after: Option<String>,
    /// Prints runs as they come and end, the newest last, until Ctrl-C
    #[arg(long, short)]
    pub follow: bool,
    /// What to do; the runs are listed when nothing is said
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Which runs. All of it holds at once.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Filters")]
pub struct Filter {
    /// In this state, such as failed, running or timedout; several with commas between
    #[arg(long, global = true, value_name = "STATE")]
    pub state: Vec<String>,
    /// Whose model, as asked for, sent or used, contains this
    #[arg(long, global = true, value_name = "TEXT")]
    pub model: Option<String>,
    /// Of which exactly this model was sent upstream, or asked for where none was
    #[arg(long, global = true, value_name = "NAME")]
    pub model_sent: Option<String>,
    /// Whom exactly this provider answered
    #[arg(long, global = true, value_name = "NAME")]
    pub provider: Option<String>,
    /// Of exactly this client, by its user-agent
    #[arg(long, global = true, value_name = "NAME")]
    pub client: Option<String>,
    /// That came in with the client key of exactly this name
    #[arg(long, global = true, value_name = "NAME")]
    pub key: Option<String>,
    /// Of this session of Claude Code
    #[arg(long, global = true, value_name = "ID")]
    pub session: Option<String>,
    /// Of this workflow, such as messages or native
    #[arg(long, global = true, value_name = "NAME")]
    pub workflow: Option<String>,
    /// With this text in error, model, provider, session or id, or with this status
    #[arg(long, global = true, value_name = "TEXT")]
    pub search: Option<String>,
    /// Begun within such a time (15m, 1h, 7d), or since a moment (2026-11-22T08:00:00Z)
    #[arg(long, global = true, value_name = "WHEN")]
    pub since: Option<String>,
    /// Begun before such a time ago, or before a moment
    #[arg(long, global = true, value_name = "WHEN")]
    pub until: Option<String>,
    /// That took at least so long, such as 250ms, 30s or 1m30s
    #[arg(long, global = true, value_name = "TIME")]
    pub min_duration: Option<String>,
    /// That cost at least so many US dollars, such as 0.05
    #[arg(long, global = true, value_name = "USD")]
    pub min_cost: Option<String>,
    /// Of which steps were tried again at least so many times, such as 1
    #[arg(long, global = true, value_name = "N")]
    pub min_retries: Option<String>,
    /// That failed and were replaced by a fallback (yes), or were not (no)
    #[arg(long, global = true, value_name = "yes|no")]
    pub replaced: Option<String>,
}

/// What to do with one run, or with all of them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows a run: its figures, each step on the run's time axis, errors, log, payloads
    Show {
        /// `latest` (of those the filters let through), an id of a run or of a request, or the last digits of one
        #[arg(value_name = "RUN")]
        run: String,
    },
    /// Shows what a run's request changed since the turn before, and why a cache helped or did not
    Changes {
        /// `latest` (of those the filters let through), an id of a run or of a request, or the last digits of one
        #[arg(value_name = "RUN")]
        run: String,
        /// The run to compare with, named in the same way, in place of the one before that is most like it
        #[arg(long, value_name = "RUN")]
        against: Option<String>,
    },
    /// Adds up what runs used, those of the last 24 hours unless `--since` says otherwise
    Usage {
        /// Told apart by model, provider, session, client, key or workflow [default: model]
        #[arg(long, value_name = "WHAT")]
        by: Option<String>,
    },
    /// Prints a payload of a run as it is
    ///
    /// To a terminal, control characters are written out (\u{1b}), because they would be obeyed there; to a file or a pipe
    /// goes every byte as it was.
    Payload {
        /// `latest` (of those the filters let through), an id of a run or of a request, or the last digits of one
        #[arg(value_name = "RUN")]
        run: String,
        /// asked, sent, sent-2, sent-3, refused, answered or got; or a name as `show` lists it, such as
        /// client.request.headers
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Sends a run's request again, and shows the new run beside the recorded one
    ///
    /// The body goes to the same address as it was recorded, byte for byte, with the headers that are Anthropic's and Claude
    /// Code's. A model answers, so it costs what a turn costs. The answer is read to its end and recorded, and not printed:
    /// `dagway runs payload RUN got` does that. Ctrl-C hangs up.
    ///
    /// It presents the client key of `--as NAME`, or `ANTHROPIC_AUTH_TOKEN` if that is one of the `DAGWAY_CLIENT_KEYS` that
    /// are set here or there are none, or else the only one of these, or one that has no name: the new run is recorded under
    /// the name. At another `--server`, any `ANTHROPIC_AUTH_TOKEN` counts, and keys go only to who demands one.
    ///
    /// It exits with 0 when the new run completed, and with 1 when it did not.
    #[command(after_help = "Examples:\n  \
        dagway runs replay latest --state failed          whether the newest failure fails again\n  \
        dagway runs replay latest --model openai/gpt-5    how another model answers it\n  \
        dagway runs replay latest --json | jq .replay.run.facts")]
    Replay {
        /// `latest` (of those the filters let through), an id of a run or of a request, or the last digits of one
        #[arg(value_name = "RUN")]
        run: String,
        /// The model to ask in place of the one that the request names; nothing else of the body changes
        #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
        model: Option<String>,
    },
}

impl Runs {
    /// Whether a client key is needed for it.
    pub(in crate::cli) const fn presents_key(&self) -> bool {
        matches!(self.command, Some(Command::Replay { .. }))
    }
}

impl Filter {
    /// The parameters that the run API has for it.
    pub(super) fn pairs(&self) -> Vec<(&'static str, String)> {
        let states = self.state.iter().map(|state| ("state", state.clone()));
        let others = [
            ("model", &self.model),
            ("model_sent", &self.model_sent),
            ("provider", &self.provider),
            ("client", &self.client),
            ("key", &self.key),
            ("session", &self.session),
            ("workflow", &self.workflow),
            ("q", &self.search),
            ("since", &self.since),
            ("until", &self.until),
            ("min_duration", &self.min_duration),
            ("min_cost", &self.min_cost),
            ("min_retries", &self.min_retries),
            ("replaced", &self.replaced),
        ];
        let others = others
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?)));
        states.chain(others).collect()
    }

    /// The same for `replay`, whose `--model` is the model to ask.
    pub(super) fn of_a_replay(&self) -> Self {
        Self {
            model: None,
            ..self.clone()
        }
    }

    /// Whether it lets every run through.
    pub(super) fn is_empty(&self) -> bool {
        self.pairs().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::cli::args::{Args, Command as Main};

    fn read(line: &str) -> Runs {
        let line = line.split(' ').map(OsString::from).collect();
        match Args::read(line).map(|args| args.command) {
            Ok(Some(Main::Runs(runs))) => *runs,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn filters_stand_before_a_command_or_behind_it() {
        for line in [
            "dagway runs --state failed,crashed --min-cost 0.05 show latest",
            "dagway runs show latest --state failed,crashed --min-cost 0.05",
            "dagway runs --state failed,crashed show latest --min-cost 0.05",
        ] {
            let runs = read(line);
            let expected = [("state", "failed,crashed"), ("min_cost", "0.05")];
            let expected = expected.map(|(name, value)| (name, value.to_owned()));
            assert_eq!(runs.filter.pairs(), expected, "{line}");
            assert!(matches!(runs.command, Some(Command::Show { run }) if run == "latest"));
        }
        assert!(read("dagway runs -f -n 3").filter.is_empty());
        let replaced = read("dagway runs usage --replaced no").filter;
        assert_eq!(replaced.pairs(), [("replaced", "no".to_owned())]);
    }

    #[test]
    fn the_model_of_a_replay_is_the_one_to_ask_and_no_filter() {
        for line in [
            "dagway runs replay latest --state failed --model gpt-5",
            "dagway runs --model gpt-5 replay latest --state failed",
        ] {
            let runs = read(line);
            let filter = runs.filter.of_a_replay().pairs();
            assert_eq!(filter, [("state", "failed".to_owned())], "{line}");
            let Some(Command::Replay { model, .. }) = runs.command else {
                panic!("{line}");
            };
            assert_eq!(model.as_deref(), Some("gpt-5"), "{line}");
        }
        let line = ["dagway", "runs", "replay", "latest", "--model", ""];
        assert!(Args::read(line.map(OsString::from).to_vec()).is_err());
    }
}
