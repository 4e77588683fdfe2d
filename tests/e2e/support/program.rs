//! A program that runs beside a test: bounded in time, gone with the test, its output kept for the report.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The longest wait for a program to be ready.
const SOON: Duration = Duration::from_secs(30);

/// A path below `tests/e2e`.
pub(crate) fn in_this_folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/e2e")
        .join(path)
}

/// The first of these paths that exists; without one, the test fails and says how to get it.
pub(crate) fn needed(what: &str, places: &[PathBuf]) -> PathBuf {
    let found = places.iter().find(|place| place.exists());
    let Some(path) = found else {
        panic!("{what} is not installed (looked for {places:?}); `tests/run` installs it");
    };
    path.clone()
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    address.port().to_string()
}

/// A program that is running. Dropped, it is killed together with what it started.
pub(crate) struct Program {
    child: Child,
    name: String,
}

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The output of a program that must have succeeded.
    pub(crate) fn succeeded(self, what: &str) -> String {
        assert!(
            self.status.success(),
            "{what} failed with {}\n--- stdout\n{}\n--- stderr\n{}",
            self.status,
            self.stdout,
            self.stderr
        );
        self.stdout
    }
}

impl Program {
    /// Starts a program that nobody talks to.
    pub(crate) fn start(
        path: &Path,
        arguments: &[&str],
        folder: &Path,
        variables: &[(&str, &str)],
    ) -> Self {
        Self::start_with(Stdio::null(), path, arguments, folder, variables)
    }

    /// Starts a program in a process group of its own, with nothing of this process's environment but `PATH`.
    pub(crate) fn start_with(
        stdin: Stdio,
        path: &Path,
        arguments: &[&str],
        folder: &Path,
        variables: &[(&str, &str)],
    ) -> Self {
        let name = path.display().to_string();
        let child = Command::new(path)
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH"))
            .envs(variables.iter().copied())
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        Self { child, name }
    }

    /// Waits until it listens on this port, and gives the whole address.
    pub(crate) async fn listening_on(&self, port: &str) -> String {
        let address = format!("127.0.0.1:{port}");
        let listens = async {
            while TcpStream::connect(&address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let waited = tokio::time::timeout(SOON, listens).await;
        assert!(waited.is_ok(), "{} does not listen on {address}", self.name);
        address
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub(crate) async fn interrupt(&self) {
        let pid = self.child.id().expect("the program is still running");
        let sent = Command::new("kill")
            .args(["-INT", &pid.to_string()])
            .status()
            .await;
        assert!(
            sent.is_ok_and(|status| status.success()),
            "{} cannot be interrupted",
            self.name
        );
    }

    /// Talks in lines of JSON until the last one has come, then lets the program end.
    pub(crate) async fn talk(
        mut self,
        first: &Value,
        reply: impl Fn(&Value) -> Option<Value>,
        is_last: impl Fn(&Value) -> bool,
        patience: Duration,
    ) -> Ended {
        let mut stdin = self.child.stdin.take().expect("stdin is piped");
        let stdout = self.child.stdout.take().expect("stdout is piped");
        let talked = converse(&mut stdin, stdout, first, reply, is_last);
        let Ok(heard) = tokio::time::timeout(patience, talked).await else {
            panic!(
                "{} did not say its last word within {patience:?}",
                self.name
            );
        };
        drop(stdin);
        let mut stderr = Vec::new();
        if let Some(mut pipe) = self.child.stderr.take() {
            let _ = tokio::time::timeout(patience, pipe.read_to_end(&mut stderr)).await;
        }
        let status = tokio::time::timeout(patience, self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("{} did not end after its last word", self.name));
        Ended {
            status: status.expect("a child can be waited for"),
            stdout: heard,
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    /// Waits for the end, at most so long.
    pub(crate) async fn end(mut self, patience: Duration) -> Ended {
        let mut stdout = self.child.stdout.take().expect("stdout is piped");
        let mut stderr = self.child.stderr.take().expect("stderr is piped");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let waited = tokio::time::timeout(patience, async {
            tokio::join!(
                stdout.read_to_end(&mut out),
                stderr.read_to_end(&mut err),
                self.child.wait()
            )
            .2
        })
        .await;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        match waited {
            Ok(status) => Ended {
                status: status.expect("a child can be waited for"),
                stdout: text(out),
                stderr: text(err),
            },
            Err(_) => panic!(
                "{} did not end within {patience:?}\n--- stdout\n{}\n--- stderr\n{}",
                self.name,
                text(out),
                text(err)
            ),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // The group holds what the program started, which `kill_on_drop` does not reach.
        if let Some(pid) = self.child.id() {
            let group = format!("-{pid}");
            let _ = std::process::Command::new("kill")
                .args(["-KILL", "--", &group])
                .stderr(Stdio::null())
                .status();
        }
    }
}

async fn converse(
    stdin: &mut ChildStdin,
    stdout: ChildStdout,
    first: &Value,
    reply: impl Fn(&Value) -> Option<Value>,
    is_last: impl Fn(&Value) -> bool,
) -> String {
    let mut lines = BufReader::new(stdout).lines();
    let mut heard = String::new();
    let mut say = Some(first.clone());
    loop {
        if let Some(words) = say.take() {
            let line = format!("{words}\n");
            stdin
                .write_all(line.as_bytes())
                .await
                .expect("the program listens");
        }
        let Ok(Some(line)) = lines.next_line().await else {
            return heard;
        };
        heard.push_str(&line);
        heard.push('\n');
        let said = serde_json::from_str(&line).unwrap_or_default();
        if is_last(&said) {
            return heard;
        }
        say = reply(&said);
    }
}
