//! What the program says when it cannot do what was asked, and how it says it.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::{Server, dagway, diagnosis, in_folder, run, stderr};

/// What `dagway workflows check` prints of the chat lane with these lines behind it, and one below `call_upstream`.
fn checked(more: &str, below_call: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("messages.toml");
    let call = "[steps.call_upstream]\n";
    let text = include_str!("../../workflows/messages.toml");
    let text = text.replace(call, &format!("{call}{below_call}\n"));
    std::fs::write(&file, format!("{text}\n{more}\n")).unwrap();
    let mut command = dagway(folder.path());
    command.env("PATH", "/usr/bin:/bin");
    let output = run(command.args(["workflows", "check"]).arg(&file));
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_step_that_could_refuse_and_that_nothing_waits_for_is_noted() {
    let step = |needs: &str, more: &str| {
        let run = "task = \"exec\"\nwith.command = [\"cat\"]";
        format!("[steps.policy]\n{run}\nneeds = [\"{needs}\"]\n{more}")
    };
    let note = "  note: nothing waits for the step `policy`";
    let said = checked(&step("validate", ""), "");
    assert!(
        said.contains(note) && said.contains("after = [\"policy\"]"),
        "{said}"
    );
    let after_the_end =
        "[steps.then]\ntask = \"http\"\nneeds = [\"policy\"]\nwith.url = \"http://a.test\"\n";
    for (more, below_call) in [
        (step("validate", ""), "after = [\"policy\"]"),
        (step("validate", "optional = true"), ""),
        (step("price_usage", ""), ""),
        (step("price_usage", after_the_end), ""),
    ] {
        let said = checked(&more, below_call);
        assert!(!said.contains("note:"), "{more}: {said}");
    }
}

#[test]
fn standard_output_that_cannot_be_written_is_a_failure_and_a_reader_that_leaves_is_none() {
    let folder = tempfile::tempdir().unwrap();
    for line in [
        "settings",
        "workflows show",
        "workflows check",
        "conformance --list",
        "conformance --filter not_for_kimi --json",
    ] {
        let started = |stdout: Stdio| {
            let mut command = dagway(folder.path());
            command
                .args(line.split(' '))
                .stdout(stdout)
                .stderr(Stdio::piped());
            command.spawn().unwrap()
        };
        let full = File::options().write(true).open("/dev/full").unwrap();
        let refused = started(full.into()).wait_with_output().unwrap();
        assert_eq!(refused.status.code(), Some(1), "{line}");
        let said = stderr(&refused);
        assert!(
            said.contains("standard output cannot be written: No space left"),
            "{said}"
        );
        let mut left = started(Stdio::piped());
        drop(left.stdout.take());
        let left = left.wait_with_output().unwrap();
        assert!(left.status.success(), "{line}: {}", stderr(&left));
        assert_eq!(stderr(&left), "", "{line}");
    }
}

#[test]
fn an_alias_or_a_fallback_that_leads_nowhere_stops_the_start_and_is_told_once_by_the_doctor() {
    let folder = tempfile::tempdir().unwrap();
    // Were it not refused, it would not start all the same: somebody is there already.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let file = folder.path().join("settings.toml");
    for (text, expected) in [
        (
            "[models.aliases]\nmine = \"nowhere\"\n",
            "models.aliases: the alias `mine` stands for `nowhere`, which is no model",
        ),
        (
            "[[models.fallbacks]]\nmatch = \"*\"\nmodels = [\"nowhere\"]\n",
            "models.fallbacks (match = \"*\"): `nowhere` is no model",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let config = ("DAGWAY_CONFIG", file.to_str().unwrap());
        let output = run(dagway(folder.path()).envs([
            config,
            ("OPENROUTER_API_KEY", "sk-or-x"),
            ("DAGWAY_LISTEN", &address),
        ]));
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
        let said = diagnosis(folder.path(), &[config]);
        assert!(
            said.contains(&format!("FAIL  upstream    {expected}")),
            "{said}"
        );
        assert_eq!(said.matches(expected).count(), 1, "{said}");
    }
}

/// What `dagway runs` says that finds no run API at this URL.
fn astray(folder: &Path, server: &str) -> String {
    let output = run(dagway(folder).args(["runs", "--server", server]));
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    stderr(&output)
}

#[test]
fn a_server_that_runs_is_not_said_to_be_started_when_its_url_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), "http://127.0.0.1:9/api/v1", &[]);
    let https = server.url.replace("http://", "https://");
    let said = astray(folder.path(), &https);
    let expected = format!(
        "dagway: what answers at {https} does not speak TLS; write http:// in place of https://\n"
    );
    assert_eq!(said, expected);
    for path in ["/runs", "/v1", "/api"] {
        let said = astray(folder.path(), &format!("{}{path}/", server.url));
        let expected = format!(
            "dagway: the Dagway there has no run API below `{path}`; leave that out: --server {}\n",
            server.url
        );
        assert_eq!(said, expected);
    }
}

#[test]
fn who_listens_and_says_nothing_is_told_from_a_dagway_that_takes_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", mute.local_addr().unwrap());
    let since = Instant::now();
    let said = astray(folder.path(), &url);
    assert!(since.elapsed() < Duration::from_secs(15), "{said}");
    let expected = format!("what listens at {url} does not answer, not even whether it is well");
    assert!(
        said.contains(&expected) && said.contains("--server URL"),
        "{said}"
    );
}

/// What a command writes to a terminal, which `script` is.
fn on_a_terminal(folder: &Path, arguments: &str, variable: (&str, &str)) -> String {
    let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_dagway"));
    let mut command = in_folder(Command::new("script"), folder);
    command
        .env("PATH", "/usr/bin:/bin")
        .env("DAGWAY_LISTEN", "127.0.0.1:0")
        .envs([variable])
        .args(["-q", "-c", &line, "/dev/null"]);
    String::from_utf8_lossy(&run(&mut command).stdout).into_owned()
}

#[test]
fn doctor_and_log_show_colours_to_who_has_and_wants_them() {
    let folder = tempfile::tempdir().unwrap();
    for (variable, is_coloured) in [
        (("TERM", "xterm"), true),
        (("TERM", "dumb"), false),
        (("NO_COLOR", "1"), false),
    ] {
        let doctor = on_a_terminal(folder.path(), "doctor", variable);
        assert!(doctor.contains("claude"), "{doctor}");
        assert_eq!(
            doctor.contains('\u{1b}'),
            is_coloured,
            "{variable:?}: {doctor}"
        );
        let log = on_a_terminal(folder.path(), "demo --rounds 1 --fast", variable);
        assert!(log.contains("turn ended"), "{log}");
        assert_eq!(log.contains('\u{1b}'), is_coloured, "{variable:?}: {log}");
    }
}
