//! The real Claude Code CLI in a home and a project of its own.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Ended, Program, Stage, in_this_folder, needed};

const PATIENCE: Duration = Duration::from_secs(150);

/// How the CLI is started.
pub(crate) struct Claude<'a> {
    stage: &'a Stage,
    pub(crate) project: PathBuf,
    home: PathBuf,
    mode: &'static str,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
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
            mode: "bypassPermissions",
            arguments: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// Adds arguments.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Sets a variable.
    pub(crate) fn knowing(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts in plan mode: nothing may change before the user has agreed to a plan.
    pub(crate) fn planning(mut self) -> Self {
        self.mode = "plan";
        self
    }

    /// The user's settings.
    pub(crate) fn settle(&self, settings: &Value) {
        let folder = self.home.join(".claude");
        std::fs::create_dir_all(&folder).expect("the home can be written");
        std::fs::write(folder.join("settings.json"), settings.to_string())
            .expect("the home can be written");
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
        self.run(Stdio::null(), &["-p", &prompt(turns)])
    }

    /// Asks for these turns and waits for the end.
    pub(crate) async fn ask(&self, turns: &Value) -> Told {
        Told::from(self.start(turns).end(PATIENCE).await)
    }

    /// Goes on with the last conversation, and asks for these turns.
    pub(crate) async fn ask_more(&self, turns: &Value, arguments: &[&str]) -> Told {
        self.say_more(&prompt(turns), arguments).await
    }

    /// Goes on with the last conversation, with words or a command.
    pub(crate) async fn say_more(&self, words: &str, arguments: &[&str]) -> Told {
        let all = [&["-p", words, "--continue"], arguments].concat();
        Told::from(self.run(Stdio::null(), &all).end(PATIENCE).await)
    }

    /// Asks for these turns as an application does, and agrees to what the CLI wants to be allowed.
    pub(crate) async fn ask_and_agree(&self, turns: &Value) -> Told {
        let program = self.run(
            Stdio::piped(),
            &[
                "-p",
                "--input-format",
                "stream-json",
                "--permission-prompt-tool",
                "stdio",
            ],
        );
        let message = json!({ "role": "user", "content": prompt(turns) });
        let first = json!({ "type": "user", "message": message });
        let ended = program.talk(&first, agree, is_the_result, PATIENCE);
        Told::from(ended.await)
    }

    fn run(&self, stdin: Stdio, first: &[&str]) -> Program {
        let mut arguments = first.to_vec();
        arguments.extend(["--permission-mode", self.mode]);
        arguments.extend(["--output-format", "stream-json", "--verbose"]);
        arguments.extend(self.arguments.iter().map(String::as_str));
        let home = self.home.display().to_string();
        let mut variables = vec![
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
        let own = self.variables.iter();
        variables.extend(own.map(|(name, value)| (name.as_str(), value.as_str())));
        Program::start_with(stdin, &binary(), &arguments, &self.project, &variables)
    }
}

fn prompt(turns: &Value) -> String {
    format!("Please help. SIM[{}]", json!({ "turns": turns }))
}

/// Allows what the CLI asks to be allowed.
fn agree(said: &Value) -> Option<Value> {
    if said["request"]["subtype"] != "can_use_tool" {
        return None;
    }
    let allowed = json!({ "behavior": "allow", "updatedInput": said["request"]["input"] });
    Some(json!({ "type": "control_response", "response": {
        "subtype": "success", "request_id": said["request_id"], "response": allowed,
    } }))
}

fn is_the_result(said: &Value) -> bool {
    said["type"] == "result"
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

    /// Whether the CLI reported an event of its own of this kind.
    pub(crate) fn reports(&self, subtype: &str) -> bool {
        self.events
            .iter()
            .any(|event| event["type"] == "system" && event["subtype"] == subtype)
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
