//! `exec`: a step in any language. A program is told the step's needs as JSON, and answers with JSON.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::environment::Environment;
use super::json::{self, Json, LONGEST_ANSWER, broke};
use crate::engine::{Cx, Needs, Resources, Task, TaskError};
use crate::events::Level;

/// The variables of Dagway's own environment that every program gets: none of them holds a key.
const PASSED: [&str; 9] = [
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SHELL",
];
/// The lines of a program's error output that are kept in the step's log, and the longest of them in bytes.
const MOST_LINES: usize = 100;
const LONGEST_LINE: u64 = 4 << 10;

/// Runs a program. Its variables may be secret, so it has no `Debug`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// The program and its arguments.
    command: Vec<String>,
    /// Variables for it, beside those that every program gets; `${NAME}` stands for one of Dagway's own.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// The folder in which it runs; Dagway's own if there is none.
    #[serde(default)]
    folder: Option<PathBuf>,
    /// Where the program is.
    #[serde(skip)]
    program: PathBuf,
}

impl Task for Exec {
    const NAME: &'static str = "exec";
    const ABOUT: &'static str = "Runs a program, JSON in, JSON out";
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(10));
    const LIMIT: Option<u16> = Some(16);
    type Input = Needs;
    type Output = Json;

    fn prepare(&mut self, resources: &Resources) -> Result<(), String> {
        let ours = resources.find::<Environment>().unwrap_or_default();
        let Some(program) = self.command.first().filter(|name| !name.is_empty()) else {
            return Err(
                "correct `with.command`: write the program and its arguments, such as [\"python3\", \"policy.py\"]"
                    .to_owned(),
            );
        };
        if let Some(folder) = self.folder.as_deref().filter(|folder| !folder.is_dir()) {
            let folder = folder.display();
            return Err(format!("correct `with.folder`: {folder} is no folder"));
        }
        let found = find(program, self.folder.as_deref(), ours.get("PATH"));
        self.program = found.ok_or_else(|| {
            format!(
                "correct `with.command`: `{program}` is no program, neither a file that can be run nor in a folder of PATH"
            )
        })?;
        if self.command.iter().any(|word| word.contains('\0')) {
            return Err("correct `with.command`: no program takes the character NUL".to_owned());
        }
        for (name, value) in &mut self.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return Err(format!(
                    "correct `with.env`: {name:?} is no name of a variable, or its value has the character NUL"
                ));
            }
            let filled = ours.fill_in(value);
            *value = filled.map_err(|wrong| format!("correct `with.env.{name}`: {wrong}"))?;
        }
        for name in PASSED {
            if let Some(value) = ours.get(name) {
                let entry = self.env.entry(name.to_owned());
                entry.or_insert_with(|| value.to_owned());
            }
        }
        Ok(())
    }

    async fn run(&self, needs: Needs, cx: &Cx) -> Result<Json, TaskError> {
        let question = json::question(&needs, cx)?;
        drop(needs);
        let _waiting = cx.waiting();
        let mut child = self.spawn(cx)?;
        let group = Group::of(&child);
        let (status, said, last_line) = talk(&mut child, &question, cx).await?;
        group.has_ended();
        if status.success() {
            return json::answer(said);
        }
        if let Some(refusal) = json::refusal(&said) {
            return Err(TaskError::client(refusal));
        }
        let why = last_line.map_or_else(String::new, |line| format!(": {line}"));
        let how = how_it_ended(status);
        Err(broke(format!("`{}` {how}{why}", self.command[0])).retry(None))
    }
}

impl Exec {
    fn spawn(&self, cx: &Cx) -> Result<Child, TaskError> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.command[1..])
            .env_clear()
            .envs(&self.env)
            .env("DAGWAY_RUN", cx.run_id().text())
            .env("DAGWAY_STEP", json::step_of(cx))
            .env("TRACEPARENT", json::traceparent(cx))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let cannot = |error: io::Error| {
            let cure = match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::NOEXEC) => "; a script begins with a line such as #!/bin/sh",
                _ => "",
            };
            broke(format!(
                "`{}` cannot be run: {error}{cure}",
                self.command[0]
            ))
            .retry(None)
        };
        command.spawn().map_err(cannot)
    }
}

/// A program and all that it has started, ended together when nobody waits for them any more.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    /// The program has ended by itself, and its number may soon be another's.
    fn has_ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Nobody has waited for the program yet, so the number is still its own.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Tells the program what it is to work on, and hears it until it ends.
async fn talk(
    child: &mut Child,
    question: &[u8],
    cx: &Cx,
) -> Result<(ExitStatus, Vec<u8>, Option<String>), TaskError> {
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(broke("a pipe to it is missing"));
    };
    let tell = async {
        // A program that does not read is free not to.
        let _ = stdin.write_all(question).await;
        drop(stdin);
        Ok(())
    };
    let log = async { Ok(log_lines(stderr, cx).await) };
    let ((), said, last_line) = tokio::try_join!(tell, hear(stdout), log)?;
    let status = child.wait().await;
    let status = status.map_err(|error| broke(format!("how it ended is not known: {error}")))?;
    Ok((status, said, last_line))
}

/// Reads all that it says.
async fn hear(stdout: impl AsyncRead + Unpin) -> Result<Vec<u8>, TaskError> {
    let mut said = Vec::new();
    let most = LONGEST_ANSWER as u64 + 1;
    let read = stdout.take(most).read_to_end(&mut said).await;
    read.map_err(|error| broke(format!("its answer cannot be read: {error}")))?;
    if said.len() > LONGEST_ANSWER {
        let most = LONGEST_ANSWER >> 20;
        return Err(broke(format!("it said more than {most} MB")));
    }
    Ok(said)
}

/// Writes its error output into the step's log, and gives the last line that says something.
async fn log_lines(stderr: impl AsyncRead + Unpin, cx: &Cx) -> Option<String> {
    let mut stderr = BufReader::new(stderr);
    let mut last = None;
    for count in 0_usize.. {
        let mut line = Vec::new();
        let read = (&mut stderr)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
            .await;
        if read.unwrap_or(0) == 0 {
            break;
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        match count.cmp(&MOST_LINES) {
            std::cmp::Ordering::Less => cx.log(Level::Info, line.as_str()),
            std::cmp::Ordering::Equal => {
                cx.log(
                    Level::Warn,
                    format!("only the first {MOST_LINES} lines are kept"),
                );
            }
            std::cmp::Ordering::Greater => {}
        }
        if !line.trim().is_empty() {
            last = Some(line);
        }
    }
    last
}

fn how_it_ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

/// Where a program is that is named as in a shell that is in this folder.
fn find(program: &str, folder: Option<&Path>, path: Option<&str>) -> Option<PathBuf> {
    let there = |file: PathBuf| {
        let file = folder.map_or_else(|| file.clone(), |folder| folder.join(&file));
        let file = std::path::absolute(file).ok()?;
        can_be_run(&file).then_some(file)
    };
    if program.contains('/') {
        return there(program.into());
    }
    let mut folders = std::env::split_paths(OsStr::new(path?));
    folders.find_map(|folder| there(folder.join(program)))
}

fn can_be_run(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let about = file.metadata();
    about.is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    /// A task of these settings where the environment has `PATH` and one more variable.
    fn prepared(with: Value) -> Result<Exec, String> {
        let variables = [
            ("PATH", "/nowhere:/bin:/usr/bin"),
            ("OURS", "1"),
            ("TZ", "UTC"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.into()));
        let mut resources = Resources::default();
        resources.insert(Arc::new(Environment(variables.into())));
        let mut exec: Exec = serde_json::from_value(with).map_err(|error| error.to_string())?;
        exec.prepare(&resources)?;
        Ok(exec)
    }

    /// What is said of wrong settings.
    fn refused(with: Value) -> String {
        prepared(with).map(|_| ()).unwrap_err()
    }

    #[test]
    fn a_program_is_found_as_a_shell_finds_it() {
        let exec = prepared(json!({ "command": ["sh", "-c", "true"] })).unwrap();
        assert_eq!(exec.program, Path::new("/bin/sh"));
        let here = tempfile::tempdir().unwrap();
        let file = here.path().join("policy");
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        let with = json!({ "command": [file] });
        let said = refused(with.clone());
        assert!(
            said.ends_with("is no program, neither a file that can be run nor in a folder of PATH"),
            "{said}"
        );
        let mut mode = file.metadata().unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
        std::fs::set_permissions(&file, mode).unwrap();
        assert_eq!(prepared(with).unwrap().program, file);
        let with = json!({ "command": ["./policy"], "folder": here.path() });
        let program = prepared(with).unwrap().program;
        assert_eq!(program, file, "as after `cd` into its folder");
        let found = |path| find("policy", Some(here.path()), Some(path));
        assert_eq!(found("/nowhere:."), Some(here.path().join("policy")));
        assert_eq!(found("/nowhere:src"), None, "not in one of Dagway's own");
    }

    #[test]
    fn a_program_gets_what_is_named_and_what_holds_no_key() {
        let with = json!({ "command": ["sh"], "env": { "A": "${OURS}2", "TZ": "CET" } });
        let env = prepared(with).unwrap().env;
        let env: Vec<_> = env
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(env, ["A=12", "PATH=/nowhere:/bin:/usr/bin", "TZ=CET"]);
    }

    #[test]
    fn what_cannot_be_run_is_told_with_the_cure() {
        let said = refused;
        let how = "correct `with.command`: write the program and its arguments, such as [\"python3\", \"policy.py\"]";
        assert_eq!(said(json!({ "command": [] })), how);
        assert_eq!(said(json!({ "command": [""] })), how);
        assert_eq!(
            said(json!({ "command": ["no-such-program"] })),
            "correct `with.command`: `no-such-program` is no program, neither a file that can be run nor in a folder of PATH"
        );
        assert_eq!(
            said(json!({ "command": ["sh"], "folder": "/bin/sh" })),
            "correct `with.folder`: /bin/sh is no folder"
        );
        assert_eq!(
            said(json!({ "command": ["sh"], "env": { "A": "${NONE}" } })),
            "correct `with.env.A`: the variable NONE is not set; set it where Dagway is started"
        );
        assert_eq!(
            said(json!({ "command": ["sh", "-c", "\0"] })),
            "correct `with.command`: no program takes the character NUL"
        );
        for env in [
            json!({ "A=B": "" }),
            json!({ "": "" }),
            json!({ "A": "\0" }),
        ] {
            let said = said(json!({ "command": ["sh"], "env": env }));
            assert!(said.starts_with("correct `with.env`: \""), "{said}");
        }
    }
}
