//! The program itself: sentences and exit codes, a real kill, an orderly end.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use dagway::app::{App, Manner};
use dagway::settings::{ClientKey, Secret, Settings};
use dagway::simulator::{self, Answer, Script, Simulator};
use serde_json::Value;

use crate::support::otlp::{self, Collector};
use crate::support::{DEADLINE, TestApp, ask, block_on, eventually};

pub(crate) fn dagway(folder: &Path) -> Command {
    in_folder(Command::new(env!("CARGO_BIN_EXE_dagway")), folder)
}

/// The same with limits of its own, in the words of a shell's `ulimit`.
fn limited(folder: &Path, limits: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", &format!("ulimit {limits} && exec \"$0\"")])
        .arg(env!("CARGO_BIN_EXE_dagway"));
    in_folder(shell, folder)
}

pub(crate) fn in_folder(mut command: Command, folder: &Path) -> Command {
    command
        .env_clear()
        .env("HOME", folder)
        .env("DAGWAY_DATA", folder.join("data"))
        .stdin(Stdio::null());
    command
}

pub(crate) fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_wrong_setting_is_a_sentence_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(dagway(folder.path()).env("DAGWAY_LISTEN", "everywhere"));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("DAGWAY_LISTEN"),
        "{}",
        stderr(&output)
    );
    let output = run(dagway(folder.path()).env("DAGWAY_LISTEN", "127.0.0.1:0"));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("OPENROUTER_API_KEY is not set"),
        "{}",
        stderr(&output)
    );
    let open = run(dagway(folder.path())
        .env("OPENROUTER_API_KEY", "sk-or-x")
        .args(["--listen", "0.0.0.0:0"]));
    assert_eq!(open.status.code(), Some(2));
    assert!(
        stderr(&open).contains("DAGWAY_CLIENT_KEYS"),
        "{}",
        stderr(&open)
    );
}

#[test]
fn a_variable_that_is_empty_names_no_file_and_an_option_in_vain_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let check = ["workflows", "check"];
    let empty = run(dagway(folder.path()).env("DAGWAY_CONFIG", "").args(check));
    assert!(empty.status.success(), "{}", stderr(&empty));
    let nowhere = run(dagway(folder.path())
        .env("DAGWAY_CONFIG", "nowhere.toml")
        .args(check));
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(stderr(&nowhere).contains("nowhere.toml"), "{nowhere:?}");
    let output = run(dagway(folder.path()).args(["settings", "-c", "nope.toml"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let said = stderr(&output);
    assert!(
        said.contains("`dagway settings` does nothing with --config"),
        "{said}"
    );
}

/// A password that is passed over would be none.
#[test]
fn a_setting_that_is_no_text_is_refused_and_other_variables_may_be_what_they_are() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let latin = std::ffi::OsStr::from_bytes(b"caf\xe9");
    for (variable, is_refused) in [
        ("DAGWAY_DASHBOARD_PASSWORD", true),
        ("DAGWAY_SERVER_CLIENT_KEYS", true),
        ("OPENROUTER_API_KEY", true),
        ("OTEL_EXPORTER_OTLP_HEADERS", true),
        ("DAGWAY_PORT", true),
        ("DAGWAY_SERVICE_HOST", false),
        ("CAFE", false),
    ] {
        let output = run(dagway(folder.path())
            .env(variable, latin)
            .args(["workflows", "check"]));
        assert_eq!(output.status.success(), !is_refused, "{variable}");
        let said = format!("the variable {variable}: it is not UTF-8 text");
        assert_eq!(stderr(&output).contains(&said), is_refused, "{output:?}");
    }
}

#[test]
fn the_settings_of_this_machine_do_not_stop_the_conformance_suite() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(dagway(folder.path())
        .env("DAGWAY_STORE_FOO", "1")
        .args(["conformance", "--list"]));
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn the_suite_says_that_it_waits_for_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = dagway(folder.path())
        .args(["conformance", "--upstream-listen", "127.0.0.1:0"])
        .args(["--target", &format!("http://{}", free_address())])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let said = lines.next().unwrap().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(said.contains("yet; waits for it, 120 s at most"), "{said}");
}

#[test]
fn a_file_in_the_place_of_the_data_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let output = run(dagway(folder.path())
        .env("OPENROUTER_API_KEY", "sk-or-x")
        .env("DAGWAY_LISTEN", "127.0.0.1:0")
        .env("DAGWAY_DATA", &file));
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("is a file, not a folder"), "{said}");
}

#[test]
fn too_few_open_files_to_serve_with_are_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(limited(folder.path(), "-n 24")
        .env("OPENROUTER_API_KEY", "sk-or-x")
        .env("DAGWAY_LISTEN", "127.0.0.1:0"));
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(
        said.contains("only 24 ") && said.contains("ulimit -Hn"),
        "{said}"
    );
}

/// Settings with a second upstream, which is far away and has no key.
fn with_a_keyless_upstream(folder: &Path) -> std::path::PathBuf {
    let file = folder.join("settings.toml");
    let text = "[upstreams.far]\nkind = 'openai'\nbase_url = 'https://far.invalid/v1'\nkey_env = 'FAR_KEY'\n";
    std::fs::write(&file, text).unwrap();
    file
}

#[test]
fn an_upstream_without_its_key_is_told_at_the_start_and_by_the_doctor() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_a_keyless_upstream(folder.path());
    let expected = "the upstream `far` has no key: set FAR_KEY";
    let said = diagnosis(
        folder.path(),
        &[("DAGWAY_CONFIG", config.to_str().unwrap())],
    );
    assert!(
        said.contains(&format!("FAIL  key         {expected}")),
        "{said}"
    );
    let mut child = dagway(folder.path())
        .env("DAGWAY_CONFIG", &config)
        .env("OPENROUTER_API_KEY", "sk-or-x")
        .env("DAGWAY_LISTEN", "127.0.0.1:0")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = lines
        .map_while(Result::ok)
        .find(|line| line.contains(expected));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(told.is_some());
}

#[test]
fn a_request_to_an_upstream_without_its_key_is_told_which_variable_to_set() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            let openrouter = settings.upstreams.get_mut("openrouter").unwrap();
            openrouter.key = Secret::new("");
        })
        .await;
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 401, "{}", got.body);
        let error = &got.json()["error"];
        assert_eq!(error["type"], "authentication_error");
        let expected = "the upstream `openrouter` has no key: set OPENROUTER_API_KEY";
        assert!(
            error["message"].as_str().unwrap().contains(expected),
            "{error}"
        );
        app.stop().await;
    });
}

#[test]
fn more_workers_than_the_server_can_have_are_a_sentence_too() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(dagway(folder.path())
        .env("OPENROUTER_API_KEY", "sk-or-x")
        .env("DAGWAY_LISTEN", "127.0.0.1:0")
        .env("DAGWAY_SERVER_WORKERS", "100000"));
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(
        said.contains("DAGWAY_SERVER_WORKERS") && said.contains("from 0 to 512"),
        "{said}"
    );
}

#[test]
fn a_port_in_use_is_a_sentence_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(dagway(folder.path())
        .env("OPENROUTER_API_KEY", "sk-or-x")
        .env("DAGWAY_LISTEN", &address));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains(&address) && stderr(&output).contains("DAGWAY_LISTEN"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn nobody_can_connect_before_the_store_is_open_and_the_log_says_what_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    // It takes connections and says nothing.
    let database = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = database.local_addr().unwrap().port();
    let address = free_address().to_string();
    let url = format!("postgres://me:open-sesame@127.0.0.1:{port}/runs");
    let child = dagway(folder.path())
        .env("OPENROUTER_API_KEY", "sk-or-x")
        .env("DAGWAY_LISTEN", &address)
        .env("DAGWAY_DATABASE_URL", url)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = Server {
        child,
        url: String::new(),
    };
    let lines = BufReader::new(server.child.stderr.take().unwrap()).lines();
    let told = lines
        .map_while(Result::ok)
        .find(|line| line.contains("waiting for the database"));
    let told = told.expect("it says what it waits for");
    assert!(told.contains("\"level\":\"WARN\""), "{told}");
    assert!(told.contains(&format!("127.0.0.1:{port}")), "{told}");
    assert!(!told.contains("open-sesame"), "{told}");
    let refused = TcpStream::connect(&address).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    server.kill();
}

#[test]
fn workflows_are_checked_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(dagway(folder.path()).args(["workflows", "check"]));
    assert!(output.status.success(), "{}", stderr(&output));
    let output = run(dagway(folder.path()).args(["workflows", "show", "messages"]));
    let shown = String::from_utf8(output.stdout).unwrap();
    insta::assert_snapshot!(shown);
    let missing = folder.path().join("missing.toml");
    let output = run(dagway(folder.path())
        .args(["workflows", "check"])
        .arg(&missing));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).ends_with("; check the path, and who may read it\n"),
        "{}",
        stderr(&output)
    );
    let file = folder.path().join("broken.toml");
    std::fs::write(&file, "name = 'broken'\nreply = 'nobody'\n[steps.validate]\nneeds = ['reqest']\n[steps.wish]\ntask = 'grant'\n").unwrap();
    let output = run(dagway(folder.path())
        .args(["workflows", "check"])
        .arg(&file));
    assert_eq!(output.status.code(), Some(2));
    for word in ["reqest", "grant", "nobody", "broken.toml"] {
        assert!(
            stderr(&output).contains(word),
            "no {word} in: {}",
            stderr(&output)
        );
    }
    let of_folder = run(dagway(folder.path())
        .args(["workflows", "check"])
        .arg(folder.path()));
    assert_eq!(
        (of_folder.status.code(), stderr(&of_folder)),
        (Some(2), stderr(&output)),
        "a folder stands for its files"
    );
    std::fs::remove_file(&file).unwrap();
    let empty = run(dagway(folder.path())
        .args(["workflows", "check"])
        .arg(folder.path()));
    assert_eq!(empty.status.code(), Some(2));
    assert!(
        stderr(&empty).contains("ends in .toml; put one there"),
        "{}",
        stderr(&empty)
    );
}

#[test]
fn an_address_that_is_none_is_refused_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(dagway(folder.path()).args(["-l", "4000"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("such as 127.0.0.1:4000"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_doctor_names_what_is_wrong_and_leaves_a_private_folder() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let output = run(dagway(folder.path())
        .env("OPENROUTER_BASE_URL", "http://127.0.0.1:9/api/v1")
        .env("DAGWAY_LISTEN", "127.0.0.1:0")
        .arg("doctor"));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    for line in [
        "note  key         the upstream `openrouter` has no key: set OPENROUTER_API_KEY, if it wants one",
        "FAIL  upstream",
        "ok    port",
        "ok    store",
        "note  claude",
    ] {
        assert!(said.contains(line), "no {line} in: {said}");
    }
    let data = std::fs::metadata(folder.path().join("data")).unwrap();
    assert_eq!(data.permissions().mode() & 0o777, 0o700);
}

/// What the doctor says, in a folder with these variables besides those of a key and a free port.
pub(crate) fn diagnosis(folder: &Path, variables: &[(&str, &str)]) -> String {
    let output = run(dagway(folder)
        .env("OPENROUTER_API_KEY", "sk-or-x")
        .env("OPENROUTER_BASE_URL", "http://127.0.0.1:9/api/v1")
        .env("DAGWAY_LISTEN", "127.0.0.1:0")
        .envs(variables.iter().copied())
        .arg("doctor"));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// A server that knows nothing: it answers everything with 404.
fn stranger() -> std::net::SocketAddr {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let _ = socket.read(&mut [0; 4096]);
            let _ = socket.write_all(
                b"HTTP/1.1 404 Not Found\r\nrequest-id: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            );
        }
    });
    address
}

#[test]
fn the_doctor_sees_that_the_store_cannot_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("dagway.db"), [0xa5; 8192]).unwrap();
    let said = diagnosis(folder.path(), &[]);
    assert!(said.contains("FAIL  store       the run store "), "{said}");
    assert!(
        said.contains("move it away") && said.contains(".recover"),
        "{said}"
    );
    assert!(!said.contains("disk space"), "{said}");
}

#[test]
fn the_doctor_sees_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    // A device that takes an empty file, and not a byte more.
    let probe = data.join(".dagway-doctor");
    std::os::unix::fs::symlink("/dev/full", &probe).unwrap();
    let said = diagnosis(folder.path(), &[]);
    let expected = format!(
        "FAIL  store       {} cannot be written: No space left",
        data.display()
    );
    assert!(said.contains(&expected), "{said}");
    assert!(said.contains("make room on its disk"), "{said}");
    assert!(!probe.is_symlink(), "nothing is left behind");
    let said = diagnosis(folder.path(), &[]);
    assert!(said.contains("ok    store"), "{said}");
    assert!(!probe.exists(), "nothing is left behind");
}

#[test]
fn the_doctor_sees_a_log_filter_that_would_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = [("DAGWAY_LOG_FILTER", "dagway=loud")];
    let said = diagnosis(folder.path(), &wrong);
    let expected = "FAIL  log         `dagway=loud` is no log filter: ";
    assert!(said.contains(expected), "{said}");
    assert!(said.contains("log.filter"), "{said}");
    assert!(!diagnosis(folder.path(), &[]).contains("  log  "));
}

#[test]
fn the_doctor_tells_a_stranger_from_openrouter_and_from_dagway() {
    let folder = tempfile::tempdir().unwrap();
    let stranger = stranger().to_string();
    let base_url = format!("http://{stranger}/wrong");
    let variables = [
        ("OPENROUTER_BASE_URL", base_url.as_str()),
        ("DAGWAY_LISTEN", &stranger),
    ];
    let said = diagnosis(folder.path(), &variables);
    let upstream = format!(
        "FAIL  upstream    openrouter: something answers at {base_url}, but not OpenRouter's API"
    );
    let port = format!("FAIL  port        {stranger} is in use by a program that is not Dagway");
    assert!(said.contains(&upstream) && said.contains(&port), "{said}");
    assert!(said.contains("upstreams.openrouter.base_url"), "{said}");
}

#[test]
fn a_dagway_that_runs_is_nothing_wrong_to_the_doctor_but_one_elsewhere_has_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "http://127.0.0.1:9/api/v1");
    let listen = server.url.strip_prefix("http://").unwrap();
    let said = diagnosis(folder.path(), &[("DAGWAY_LISTEN", listen)]);
    assert!(
        said.contains(&format!("ok    port        {listen} is in use by Dagway")),
        "{said}"
    );
    assert!(
        said.contains(&format!("in use by the Dagway that runs at {listen}")),
        "{said}"
    );
    let said = diagnosis(folder.path(), &[]);
    assert!(
        said.contains("FAIL  store       another Dagway records into"),
        "{said}"
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Server::start(elsewhere.path(), "http://127.0.0.1:9/api/v1");
    let listen = other.url.strip_prefix("http://").unwrap();
    let said = diagnosis(folder.path(), &[("DAGWAY_LISTEN", listen)]);
    let holder = format!(
        "(it is the process {}, and not the one at {listen})",
        server.id()
    );
    assert!(
        said.contains("FAIL  store       another Dagway records into"),
        "{said}"
    );
    assert!(said.contains(&holder), "{said}");
    // An earlier version did not say who it is.
    std::fs::write(folder.path().join("data/dagway.lock"), "").unwrap();
    let said = diagnosis(folder.path(), &[("DAGWAY_LISTEN", listen)]);
    let expected = format!("is in use by a Dagway; one runs at {listen}");
    assert!(
        said.contains("note  store ") && said.contains(&expected),
        "{said}"
    );
}

#[test]
fn wrong_headers_for_the_collector_are_a_sentence_about_them() {
    let folder = tempfile::tempdir().unwrap();
    for (headers, expected) in [
        ("foo", "entry 1 of OTEL_EXPORTER_OTLP_HEADERS"),
        ("a b=c", "`a b` cannot be sent"),
    ] {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
            ("OTEL_EXPORTER_OTLP_HEADERS", headers),
        ];
        let output = run(dagway(folder.path())
            .env("OPENROUTER_API_KEY", "sk-or-x")
            .env("DAGWAY_LISTEN", "127.0.0.1:0")
            .envs(variables));
        assert_eq!(output.status.code(), Some(2));
        let said = stderr(&output);
        assert!(
            said.contains(expected) && said.contains("OTEL_EXPORTER_OTLP_HEADERS"),
            "{said}"
        );
        assert!(!said.contains("OTLP_ENDPOINT"), "{said}");
        assert!(diagnosis(folder.path(), &variables).contains("FAIL  traces"));
    }
}

#[test]
fn the_doctor_asks_the_collector_of_traces() {
    let folder = tempfile::tempdir().unwrap();
    let traces = |variable: &str, value: &str| {
        let said = diagnosis(folder.path(), &[(variable, value)]);
        let line = said.lines().find(|line| line.contains("  traces "));
        line.map(str::to_owned)
    };
    let endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let collector = Collector::start();
    let at = collector.endpoint();
    let well = format!("ok    traces      {at}/v1/traces takes them");
    assert_eq!(traces(endpoint, at), Some(well));
    collector.answer(otlp::Answer::Refuse(401));
    let refused = traces(endpoint, at).unwrap();
    let begins = format!("FAIL  traces      {at}/v1/traces: the collector answered 401 ");
    assert!(refused.starts_with(&begins), "{refused}");
    assert!(refused.contains("OTEL_EXPORTER_OTLP_HEADERS"), "{refused}");
    let elsewhere = traces(endpoint, &format!("http://{}", stranger())).unwrap();
    assert!(
        elsewhere.contains("what stands before /v1/traces"),
        "{elsewhere}"
    );
    let unread = traces("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", at).unwrap();
    assert!(
        unread.starts_with("note  traces      go nowhere: "),
        "{unread}"
    );
    assert_eq!(traces("OTEL_SERVICE_NAME", "x"), None);
}

#[test]
fn the_demo_presents_a_key_where_one_is_demanded_and_prints_none() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(dagway(folder.path())
        .env("DAGWAY_LISTEN", "127.0.0.1:0")
        .env("DAGWAY_CLIENT_KEYS", "alice = very-secret,other")
        .args(["demo", "--rounds", "1", "--fast"]));
    assert!(output.status.success(), "{}", stderr(&output));
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(said.contains("(one of DAGWAY_CLIENT_KEYS)"), "{said}");
    assert!(!said.contains("very-secret") && !stderr(&output).contains("very-secret"));
    assert!(said.contains("round 1: "), "{said}");
    assert!(!said.contains(" 0 answers"), "{said}");
    let logged = stderr(&output);
    let turn = logged.lines().find(|line| line.contains("turn ended"));
    let turn: Value = serde_json::from_str(turn.unwrap()).unwrap();
    assert_eq!(turn["key"], "alice", "{turn}");
    let millis = |name: &str| turn[name].as_f64().unwrap_or_default();
    assert!(0.0 < millis("first_token_ms"), "{turn}");
    assert!(millis("first_token_ms") <= millis("duration_ms"), "{turn}");
    assert_eq!(
        (&turn["upstream"], &turn["upstream.status"]),
        (&"openrouter".into(), &200.into()),
        "{turn}"
    );
    for name in ["model", "model.used", "run.id", "request.id", "trace.id"] {
        assert!(turn[name].is_string(), "{name} in {turn}");
    }
    // Both lanes are in use, as for whoever tries it.
    assert!(
        said.contains("1 refused") && !said.contains("fault"),
        "{said}"
    );
}

#[test]
fn a_metrics_token_that_opens_more_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    // Were it not refused, it would not start all the same: somebody is there already.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (token, said) in [
        ("the-password", "it is the password of the dashboard"),
        ("the-key", "it is one of the client keys"),
    ] {
        let output = run(dagway(folder.path())
            .env("OPENROUTER_API_KEY", "sk-or-x")
            .env("DAGWAY_LISTEN", &address)
            .env("DAGWAY_DASHBOARD_PASSWORD", "the-password")
            .env("DAGWAY_CLIENT_KEYS", "the-key")
            .env("DAGWAY_METRICS_TOKEN", token));
        assert_eq!(output.status.code(), Some(2));
        let told = stderr(&output);
        assert!(told.contains(said), "{told}");
        assert!(told.contains("choose another token"), "{told}");
    }
}

#[test]
fn every_command_reads_a_secret_from_its_file_and_says_when_it_cannot() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.server.dashboard_password = Secret::new("open sesame");
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let typed = |name: &str, arguments: &[&str]| {
            let mut command = dagway(folder.path());
            command
                .env("OPENROUTER_API_KEY", "sk-or-x")
                .env("DAGWAY_LISTEN", app.app.address().to_string())
                .env("DAGWAY_DASHBOARD_PASSWORD_FILE", folder.path().join(name))
                .args(arguments);
            tokio::task::spawn_blocking(move || run(&mut command))
        };
        std::fs::write(folder.path().join("password"), "open sesame\n").unwrap();
        let listed = typed("password", &["runs"]).await.unwrap();
        assert!(listed.status.success(), "{}", stderr(&listed));
        for arguments in [
            &["serve"][..],
            &["code"],
            &["demo", "--rounds", "1"],
            &["doctor"],
            &["runs"],
            &["workflows", "check"],
        ] {
            let refused = typed("nowhere", arguments).await.unwrap();
            let said = stderr(&refused);
            assert_eq!(refused.status.code(), Some(2), "{said}");
            let expected = "dagway: the variable DAGWAY_DASHBOARD_PASSWORD_FILE: ";
            assert!(said.starts_with(expected), "{said}");
            assert!(said.ends_with("or mount the secret there\n"), "{said}");
            assert_eq!(refused.stdout, b"");
        }
        app.stop().await;
    });
}

#[test]
fn every_setting_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(dagway(folder.path()).arg("settings"));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().trim_end(),
        dagway::settings::DEFAULTS.trim_end()
    );
}

#[test]
fn a_users_workflow_replaces_the_built_in_one() {
    let folder = tempfile::tempdir().unwrap();
    let workflows = folder.path().join("workflows");
    std::fs::create_dir(&workflows).unwrap();
    let built_in = include_str!("../../workflows/messages.toml");
    std::fs::write(
        workflows.join("mine.toml"),
        built_in.replace("attempts = 3", "attempts = 7"),
    )
    .unwrap();
    let output = run(dagway(folder.path())
        .env("DAGWAY_WORKFLOWS_FOLDER", &workflows)
        .args(["workflows", "check"]));
    let said = String::from_utf8(output.stdout).unwrap();
    let expected = "mine.toml: 9 steps, POST /v1/messages in the chat lane: proved; it replaces workflows/messages.toml";
    assert!(said.contains(expected), "{said}");
}

/// A `claude` that does what `script` says, and a PATH on which it is.
fn claude(folder: &Path, script: &str) -> std::ffi::OsString {
    use std::os::unix::fs::PermissionsExt;
    let bin = folder.join("bin");
    std::fs::create_dir(&bin).unwrap();
    let program = bin.join("claude");
    std::fs::write(
        &program,
        format!("#!/bin/sh\ncd '{}'\n{script}\n", folder.display()),
    )
    .unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::env::join_paths([bin.as_path(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap()
}

/// `dagway code`, before an upstream that is not there.
pub(crate) fn code(folder: &Path, script: &str) -> Command {
    let mut command = dagway(folder);
    command
        .env("PATH", claude(folder, script))
        .env("OPENROUTER_API_KEY", "sk-or-test")
        .env("OPENROUTER_BASE_URL", "http://127.0.0.1:9/api/v1")
        .args(["--listen", "127.0.0.1:0", "code"]);
    command
}

#[test]
fn what_follows_code_reaches_claude_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = code(folder.path(), "printf '%s\\n' \"$@\"; exit 3");
    let theirs = ["-c", "-l", "--config", "x", "-p", "two words", "--version"];
    let output = run(command.args(theirs));
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.lines().collect::<Vec<_>>(), theirs);
}

#[test]
fn code_says_what_the_dagway_says_of_itself_that_it_finds() {
    block_on(async {
        let data = tempfile::tempdir().unwrap();
        let mut settings = Settings::defaults().unwrap();
        settings.server.listen = "127.0.0.1:0".parse().unwrap();
        settings.simulate("http://127.0.0.1:9/api/v1", "sk-or-test");
        settings.store.folder = data.path().to_owned();
        let manner = Manner {
            notice: Some("no model is asked here".to_owned()),
            ..Manner::default()
        };
        let app = App::start(&settings, manner).await.unwrap();
        let address = app.url().trim_start_matches("http://").to_owned();
        let folder = tempfile::tempdir().unwrap();
        let mut command = dagway(folder.path());
        command
            .env("PATH", claude(folder.path(), "exit 0"))
            .args(["--listen", &address, "code"]);
        let output = tokio::task::spawn_blocking(move || run(&mut command));
        let said = stderr(&output.await.unwrap());
        assert!(said.contains("no model is asked here"), "{said}");
        assert!(said.contains(&address), "{said}");
        app.stop().await;
    });
}

/// An address at which nobody listens.
fn free_address() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// A `dagway code` whose `claude` goes on until there is a file `stop-NAME`.
struct Session {
    child: Child,
    folder: std::path::PathBuf,
    name: &'static str,
}

impl Session {
    const SCRIPT: &str =
        "echo \"$ANTHROPIC_AUTH_TOKEN\" > started-$1; while [ ! -e stop-$1 ]; do sleep 0.05; done";

    async fn begin(
        folder: &Path,
        path: &std::ffi::OsStr,
        listen: &str,
        name: &'static str,
    ) -> Self {
        Self::begin_with(folder, path, listen, name, &[]).await
    }

    async fn begin_with(
        folder: &Path,
        path: &std::ffi::OsStr,
        listen: &str,
        name: &'static str,
        variables: &[(&str, &str)],
    ) -> Self {
        let child = dagway(folder)
            .env("PATH", path)
            .envs(variables.iter().copied())
            .env("OPENROUTER_API_KEY", "sk-or-test")
            .env("OPENROUTER_BASE_URL", "http://127.0.0.1:9/api/v1")
            .args(["--listen", listen, "code", name])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let folder = folder.to_owned();
        let session = Self {
            child,
            folder,
            name,
        };
        let started = session.folder.join(format!("started-{name}"));
        eventually("claude has started", || started.exists()).await;
        session
    }

    /// Lets Claude Code end; what the session said.
    async fn end(self) -> String {
        std::fs::write(self.folder.join(format!("stop-{}", self.name)), "").unwrap();
        let ended = tokio::task::spawn_blocking(move || self.child.wait_with_output().unwrap());
        let output = ended.await.unwrap();
        assert!(output.status.success(), "{output:?}");
        stderr(&output)
    }
}

#[test]
fn a_session_goes_on_when_the_one_that_served_it_ends() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let path = claude(folder, Session::SCRIPT);
        let listen = free_address().to_string();
        let first = Session::begin(folder, &path, &listen, "first").await;
        let second = Session::begin(folder, &path, &listen, "second").await;
        let served_by = first.child.id();
        first.end().await;
        let http = dagway::upstream::client::http().unwrap();
        let http = http.no_proxy().build().unwrap();
        let health = format!("http://{listen}/health");
        let since = std::time::Instant::now();
        while http.get(&health).send().await.is_err() {
            assert!(since.elapsed() < DEADLINE, "nobody took its place");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let third = Session::begin(folder, &path, &listen, "third").await;
        let taken_over_by = second.child.id();
        let said = third.end().await;
        let part_of = |process| format!("is part of another `dagway code` (process {process})");
        assert!(said.contains(&part_of(taken_over_by)), "{said}");
        let said = second.end().await;
        assert!(said.contains(&part_of(served_by)), "{said}");
        assert!(
            said.contains("goes on in this session when that one ends"),
            "{said}"
        );
        assert!(
            http.get(&health).send().await.is_err(),
            "it ended with the last"
        );
    });
}

#[test]
fn a_session_with_other_keys_says_that_it_ends_with_the_one_that_serves_it() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let path = claude(folder, Session::SCRIPT);
        let listen = free_address().to_string();
        let keys = |keys| [("DAGWAY_CLIENT_KEYS", keys)];
        let first = Session::begin_with(folder, &path, &listen, "first", &keys("one,two")).await;
        let same = Session::begin_with(folder, &path, &listen, "same", &keys("two,one")).await;
        let fewer = Session::begin_with(folder, &path, &listen, "fewer", &keys("two")).await;
        let said = same.end().await;
        assert!(said.contains("goes on in this session"), "{said}");
        let said = fewer.end().await;
        let why = "ends with it, for its DAGWAY_CLIENT_KEYS are not those that are set here";
        assert!(said.contains(why), "{said}");
        first.end().await;
    });
}

#[test]
fn a_session_that_waits_for_requests_of_others_says_so_and_ends_at_ctrl_c() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let simulator = Simulator::start(simulator::Settings::immediate())
            .await
            .unwrap();
        let is_theirs = |seen: &simulator::Seen| seen.body.to_string().contains("wait for ever");
        simulator.script(Script::new().when(is_theirs, Answer::Hang));
        let script = "echo $ANTHROPIC_BASE_URL > written; mv written url; while [ ! -e stop ]; do sleep 0.05; done";
        let child = code(folder, script)
            .env("OPENROUTER_BASE_URL", simulator.base_url())
            .env("DAGWAY_SERVER_SHUTDOWN_GRACE", "1h")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut session = Server {
            child,
            url: String::new(),
        };
        let url = folder.join("url");
        eventually("claude has started", || url.exists()).await;
        session.url = std::fs::read_to_string(url).unwrap().trim().to_owned();
        let http = dagway::upstream::client::http().unwrap();
        let http = http.no_proxy().build().unwrap();
        let request = http.post(format!("{}/v1/messages", session.url));
        let of_another = request.body(ask("wait for ever").to_string()).send();
        let of_another = tokio::task::spawn_local(of_another);
        let has_come = || simulator.requests().iter().any(is_theirs);
        eventually("the request is on its way", has_come).await;
        std::fs::write(folder.join("stop"), "").unwrap();
        let lines = BufReader::new(session.child.stderr.take().unwrap()).lines();
        let says_so = tokio::task::spawn_blocking(|| {
            let mut lines = lines.map_while(Result::ok);
            lines.any(|line| line.contains("such as those of other sessions"))
        });
        let says_so = tokio::time::timeout(DEADLINE, says_so).await;
        assert!(says_so.expect("it says so").unwrap());
        let interrupt = ["-INT", &session.id().to_string()];
        let sent = Command::new("kill").args(interrupt).status();
        assert!(sent.unwrap().success());
        let mut status = None;
        eventually("the session ends", || {
            status = session.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        assert!(status.unwrap().success(), "{status:?}");
        let _ = of_another.await;
        simulator.stop().await;
    });
}

#[test]
fn code_presents_the_users_own_token_where_keys_are_demanded_and_says_when_it_is_refused() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.server.client_keys = vec![ClientKey::nameless("their-key")];
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let path = claude(folder.path(), "echo $ANTHROPIC_AUTH_TOKEN");
        let address = app.app.address().to_string();
        let session = |variables: &[(&str, &str)]| {
            let mut command = dagway(folder.path());
            command
                .env("PATH", &path)
                .envs(variables.iter().copied())
                .args(["--listen", &address, "code"]);
            tokio::task::spawn_blocking(move || run(&mut command))
        };
        let with_token = session(&[("ANTHROPIC_AUTH_TOKEN", "their-key")])
            .await
            .unwrap();
        assert_eq!(String::from_utf8(with_token.stdout).unwrap(), "their-key\n");
        // Of keys that are known here, the one that was chosen: runs are recorded under its name.
        let of_bob = session(&[
            ("DAGWAY_CLIENT_KEYS", "alice = another, bob = their-key"),
            ("ANTHROPIC_AUTH_TOKEN", "their-key"),
        ])
        .await
        .unwrap();
        assert_eq!(String::from_utf8(of_bob.stdout).unwrap(), "their-key\n");
        let without = session(&[]).await.unwrap();
        assert_eq!(without.status.code(), Some(2));
        let said = stderr(&without);
        assert!(
            said.contains("one of its DAGWAY_CLIENT_KEYS; set that variable here"),
            "{said}"
        );
        let wrong = session(&[("DAGWAY_CLIENT_KEYS", "another")]).await.unwrap();
        assert!(
            stderr(&wrong).contains("is none of them"),
            "{}",
            stderr(&wrong)
        );
        app.stop().await;
    });
}

#[test]
fn code_lends_nobody_the_name_of_somebody_else() {
    block_on(async {
        let keys = [
            ClientKey::named("alice", "of-alice"),
            ClientKey::named("bob", "of-bob"),
        ];
        let app = TestApp::start_with(|settings| settings.server.client_keys = keys.to_vec()).await;
        let folder = tempfile::tempdir().unwrap();
        let path = claude(folder.path(), "echo $ANTHROPIC_AUTH_TOKEN");
        let address = app.app.address().to_string();
        let session = |options: &[&str], token: Option<&str>| {
            let mut command = dagway(folder.path());
            command
                .env("PATH", &path)
                .env("DAGWAY_CLIENT_KEYS", "alice = of-alice, bob = of-bob")
                .envs(token.map(|token| ("ANTHROPIC_AUTH_TOKEN", token)))
                .args(["--listen", &address])
                .args(options)
                .arg("code");
            tokio::task::spawn_blocking(move || run(&mut command))
        };
        for (options, token, expected) in [
            (&[][..], None, Err("with --as NAME before the command")),
            (&[], Some("of-a-stranger"), Err("(there are: alice, bob)")),
            (&["--as", "carol"], None, Err("has the name `carol`")),
            (&["--as", "bob"], None, Ok("of-bob\n")),
            (&["--as", "bob"], Some("of-alice"), Ok("of-bob\n")),
            (&[], Some("of-alice"), Ok("of-alice\n")),
        ] {
            let output = session(options, token).await.unwrap();
            let (said, presented) = (stderr(&output), String::from_utf8(output.stdout).unwrap());
            match expected {
                Ok(key) => assert_eq!(presented, key, "{said}"),
                Err(sentence) => {
                    assert_eq!(output.status.code(), Some(2), "{said}");
                    assert!(said.contains(sentence), "{said}");
                    assert!(presented.is_empty() && !said.contains("of-"), "{said}");
                }
            }
        }
        app.stop().await;
    });
}

#[test]
fn sigterm_is_passed_on_so_that_claude_can_clean_up() {
    let folder = tempfile::tempdir().unwrap();
    let script = "trap 'echo restored > restored; exit 7' TERM\necho > started\nwhile :; do sleep 0.05; done";
    let mut child = code(folder.path(), script)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    block_on(eventually("claude has started", || {
        folder.path().join("started").exists()
    }));
    let sent = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(7));
    assert!(folder.path().join("restored").exists());
}

/// A plain client.
fn client() -> reqwest::Client {
    let http = dagway::upstream::client::http().unwrap();
    http.no_proxy().build().unwrap()
}

/// A server of the test's own; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
}

impl Server {
    fn start(folder: &Path, upstream: &str) -> Self {
        Self::start_with(folder, upstream, &[])
    }

    pub(crate) fn start_with(folder: &Path, upstream: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = dagway(folder);
        command.envs(variables.iter().copied());
        Self::of(command, upstream)
    }

    /// With limits of its own, in the words of a shell's `ulimit`.
    pub(crate) fn start_limited(folder: &Path, upstream: &str, limits: &str) -> Self {
        Self::of(limited(folder, limits), upstream)
    }

    fn of(command: Command, upstream: &str) -> Self {
        Self::with_log(command, upstream, Stdio::null())
    }

    fn with_log(mut command: Command, upstream: &str, log: Stdio) -> Self {
        command
            .env("OPENROUTER_API_KEY", "sk-or-test")
            .env("OPENROUTER_BASE_URL", upstream)
            .env("DAGWAY_LISTEN", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
        Self {
            child,
            url: url.expect("the server says where it listens"),
        }
    }
}

impl Server {
    /// Of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, named as for `kill`.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the server ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }

    /// As nothing else ends it: by SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn who_speaks_no_http_leaves_no_line_in_the_log_unless_that_is_asked_for() {
    for (filter, is_told) in [(None, false), (Some("info"), true)] {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut command = dagway(folder.path());
        command.envs(filter.map(|filter| ("DAGWAY_LOG_FILTER", filter)));
        let file = File::create(&log).unwrap();
        let server = Server::with_log(command, "http://127.0.0.1:9/api/v1", file.into());
        let address = server.url.trim_start_matches("http://").to_owned();
        for _ in 0..3 {
            let mut socket = TcpStream::connect(&address).unwrap();
            socket.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        }
        drop(server);
        let log = std::fs::read_to_string(log).unwrap();
        assert!(log.contains("Dagway serves"), "{log}");
        assert_eq!(log.contains("actix_http"), is_told, "{log}");
    }
}

#[test]
fn a_kill_loses_no_run_and_the_open_ones_are_shown_as_crashed() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let simulator = Simulator::start(simulator::Settings::immediate())
            .await
            .unwrap();
        let http = dagway::upstream::client::http()
            .unwrap()
            .no_proxy()
            .build()
            .unwrap();
        let mut server = Server::start(folder.path(), &simulator.base_url());
        let done = http
            .post(format!("{}/v1/messages", server.url))
            .body(ask("hello").to_string())
            .send()
            .await
            .unwrap();
        let done_id = done.headers()["x-dagway-run"].to_str().unwrap().to_owned();
        done.bytes().await.unwrap();
        simulator.script(Script::new().when(
            |seen| seen.body.to_string().contains("wait for ever"),
            Answer::Hang,
        ));
        let url = format!("{}/v1/messages", server.url);
        let hanging =
            tokio::task::spawn_local(http.post(url).body(ask("wait for ever").to_string()).send());
        let arrived = || {
            simulator
                .requests()
                .iter()
                .any(|seen| seen.body.to_string().contains("wait for ever"))
        };
        eventually("the request is on its way", arrived).await;
        // The promise is about runs accepted more than 100 ms ago; the store's own tests look at the 100 ms closely.
        tokio::time::sleep(Duration::from_millis(400)).await;
        server.kill();
        let _ = hanging.await;

        let again = Server::start(folder.path(), &simulator.base_url());
        let body = http
            .get(format!("{}/api/runs", again.url))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let page: Value = serde_json::from_str(&body).unwrap();
        let runs = page["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 2, "{page}");
        assert_eq!(runs[0]["state"], "Crashed");
        assert_eq!(
            (
                runs[1]["id"].as_str().unwrap(),
                runs[1]["state"].as_str().unwrap()
            ),
            (done_id.as_str(), "Completed")
        );
        drop(again);
        simulator.stop().await;
    });
}

#[test]
fn a_signal_lets_the_stream_in_progress_end() {
    for signal in ["-TERM", "-HUP"] {
        block_on(a_stream_ends_whole_after(signal));
    }
}

async fn a_stream_ends_whole_after(signal: &str) {
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::start(simulator::Settings::immediate())
        .await
        .unwrap();
    // Whoever runs the tests may have been started to outlive the terminal.
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_dagway")]);
    let mut server = Server::of(in_folder(command, folder.path()), &simulator.base_url());
    let mut turn = simulator::Turn::text("one two three four five six seven eight nine ten");
    turn.chunks = Some(10);
    turn.pause_ms = Some(60);
    simulator.script(Script::new().then(turn));
    let request = client().post(format!("{}/v1/messages", server.url));
    let response = request.body(ask("count").to_string()).send().await.unwrap();
    server.signal(signal);
    let body = String::from_utf8(response.bytes().await.unwrap().to_vec()).unwrap();
    assert!(body.contains("event: message_stop"), "{signal}: {body}");
    let status = server.end().await;
    assert!(status.success(), "{signal}: {status:?}");
    simulator.stop().await;
}

#[test]
fn who_was_started_to_outlive_the_terminal_goes_on_when_that_is_closed() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        // As `nohup` does.
        let mut shell = Command::new("/bin/sh");
        let program = env!("CARGO_BIN_EXE_dagway");
        shell.args(["-c", "trap '' HUP; exec \"$0\"", program]);
        let mut server = Server::of(in_folder(shell, folder.path()), "http://127.0.0.1:9/api/v1");
        server.signal("-HUP");
        let health = client().get(format!("{}/health", server.url));
        assert_eq!(health.send().await.unwrap().status(), 200);
        server.signal("-TERM");
        assert!(server.end().await.success());
    });
}
