//! The real Claude Code CLI in a home and a project of its own.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Ended, Program, Stage, in_this_folder, needed};

const PATIENCE: Duration = Duration::from_secs(150);

/// How the CLI is started.
pub(crate) struct Claude<'a> {
    stage: &'a Stage,
    pub(crate) project: PathBuf,
    home: PathBuf,
    arguments: Vec<String>,
}

/// What the CLI said.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) ended: Ended,
    pub(crate) events: Vec<Value>,
}

impl<'a> Claude<'a> {
    /// A CLI with a fresh home, in an empty project.
    pub(crate) fn new(stage: &'a Stage) -> Self {
        Self {
            stage,
            project: stage.folder("project"),
            home: stage.folder("home"),
            arguments: Vec::new(),
        }
    }

    /// Adds arguments.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// A file of the project, as an absolute path.
    pub(crate) fn file(&self, name: &str) -> String {
        self.project.join(name).display().to_string()
    }

    /// What a file of the project holds.
    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.project.join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Puts a file into the project.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.project.join(name), content).expect("the project can be written");
    }

    /// Asks for these turns of the simulated model, without waiting.
    pub(crate) fn start(&self, turns: &Value) -> Program {
        let prompt = format!("Please help. SIM[{}]", json!({ "turns": turns }));
        let mut arguments = vec![
            "-p",
            &prompt,
            "--permission-mode",
            "bypassPermissions",
            "--output-format",
            "stream-json",
            "--verbose",
        ];
        arguments.extend(self.arguments.iter().map(String::as_str));
        let home = self.home.display().to_string();
        let variables = [
            ("HOME", home.as_str()),
            ("IS_SANDBOX", "1"),
            ("ANTHROPIC_BASE_URL", &self.stage.url),
            ("ANTHROPIC_AUTH_TOKEN", "dummy"),
            ("DISABLE_TELEMETRY", "1"),
            ("DISABLE_ERROR_REPORTING", "1"),
            ("DISABLE_AUTOUPDATER", "1"),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
            ("CLAUDE_CODE_MAX_RETRIES", "2"),
        ];
        Program::start(&binary(), &arguments, &self.project, &variables)
    }

    /// Asks for these turns and waits for the end.
    pub(crate) async fn ask(&self, turns: &Value) -> Told {
        Told::from(self.start(turns).end(PATIENCE).await)
    }
}

impl From<Ended> for Told {
    fn from(ended: Ended) -> Self {
        let lines = ended.stdout.lines();
        let events = lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        Self { ended, events }
    }
}

impl Told {
    /// The last answer, of a session that succeeded.
    pub(crate) fn answer(&self) -> &str {
        let result = self.result();
        assert!(
            self.ended.status.success() && result["is_error"] == false,
            "the session failed: {result:#}\n--- stderr\n{}",
            self.ended.stderr
        );
        result["result"].as_str().expect("a result is text")
    }

    /// The event with which a session ends.
    pub(crate) fn result(&self) -> &Value {
        let mut newest_first = self.events.iter().rev();
        newest_first
            .find(|event| event["type"] == "result")
            .unwrap_or_else(|| panic!("the session gave no result: {:#?}", self.ended))
    }

    /// The results of tools, as the CLI reports them.
    pub(crate) fn tool_results(&self) -> Vec<&Value> {
        let of_user = self.events.iter().filter(|event| event["type"] == "user");
        of_user
            .filter_map(|event| event["message"]["content"].as_array())
            .flatten()
            .filter(|block| block["type"] == "tool_result")
            .collect()
    }

    /// Fails if a tool reported an error.
    pub(crate) fn no_tool_failed(&self) {
        for result in self.tool_results() {
            assert_ne!(result["is_error"], true, "a tool failed: {result:#}");
        }
    }
}

/// The native binary, from the package of this platform, or from `DAGWAY_TEST_CLAUDE`.
fn binary() -> PathBuf {
    let machine = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "x64",
    };
    let package = format!("node_modules/@anthropic-ai/claude-code-linux-{machine}/claude");
    let mut places = vec![in_this_folder(&package)];
    let chosen = std::env::vars_os().find(|(name, _)| name == "DAGWAY_TEST_CLAUDE");
    places.extend(chosen.map(|(_, path)| PathBuf::from(path)));
    places.reverse();
    needed("Claude Code", &places)
}
