//! The proxies of the environment: who is asked through them, and who is not.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::program::{code, dagway, diagnosis, run, stderr};

/// A Claude Code behind a proxy would ask that for 127.0.0.1, which is another machine there.
#[test]
fn code_has_claude_reach_dagway_past_the_proxy_of_the_environment() {
    let script = "printf '%s\n' \"$NO_PROXY\" \"$no_proxy\" \"$HTTPS_PROXY\"";
    for (given, expected) in [
        (None, "127.0.0.1"),
        (Some("corp.test"), "corp.test,127.0.0.1"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = code(folder.path(), script);
        let output = run(command
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .envs(given.map(|given| ("NO_PROXY", given))));
        let said = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines, [expected, expected, "http://127.0.0.1:9"]);
    }
}

#[test]
fn the_doctor_notes_a_proxy_that_a_claude_started_by_hand_would_ask_for_dagway() {
    let folder = tempfile::tempdir().unwrap();
    let proxy = ("HTTPS_PROXY", "http://127.0.0.1:9");
    let said = diagnosis(folder.path(), &[proxy]);
    let expected = "note  proxy       HTTPS_PROXY is set: ";
    assert!(said.contains(expected), "{said}");
    assert!(said.contains("add 127.0.0.1 to NO_PROXY"), "{said}");
    let said = diagnosis(folder.path(), &[proxy, ("NO_PROXY", "127.0.0.1")]);
    assert!(!said.contains("  proxy  "), "{said}");
}

/// A proxy that hangs up on everybody, and how many have asked it.
fn proxy() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            counted.fetch_add(1, Ordering::Relaxed);
            drop(socket);
        }
    });
    (url, asked)
}

/// Nothing leaves this machine.
#[test]
fn demo_and_suite_reach_what_they_simulate_past_the_proxy_of_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let (url, asked) = proxy();
    for (arguments, expected) in [
        (&["demo", "--rounds", "1", "--fast"][..], "round 1: "),
        (&["conformance", "--filter", "not_for_kimi"], "1 passed"),
    ] {
        let output = run(dagway(folder.path())
            .env("DAGWAY_LISTEN", "127.0.0.1:0")
            .envs([
                ("HTTP_PROXY", &url),
                ("http_proxy", &url),
                ("ALL_PROXY", &url),
            ])
            .args(arguments));
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(asked.load(Ordering::Relaxed), 0, "{arguments:?}: {said}");
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(
            said.contains(expected) && !said.contains(" 0 answers"),
            "{said}"
        );
    }
}

#[test]
fn an_upstream_that_is_not_reached_through_a_proxy_is_told_with_the_proxy_and_none_of_its_secrets()
{
    let folder = tempfile::tempdir().unwrap();
    let upstream = |variables: &[(&str, &str)]| {
        let said = diagnosis(folder.path(), variables);
        let line = said.lines().find(|line| line.contains("  upstream "));
        line.unwrap().to_owned()
    };
    let proxy = ("HTTP_PROXY", "http://me:open-sesame@127.0.0.1:9");
    let far = ("OPENROUTER_BASE_URL", "http://far.invalid/api/v1");
    let told = upstream(&[proxy, far]);
    assert!(
        told.contains("through the proxy http://127.0.0.1:9 of HTTP_PROXY"),
        "{told}"
    );
    assert!(
        told.contains("NO_PROXY") && !told.contains("sesame"),
        "{told}"
    );
    let (hangs_up, _) = self::proxy();
    let cut = upstream(&[("HTTP_PROXY", &hangs_up), far]);
    assert!(
        cut.contains(&format!("through the proxy {hangs_up}")),
        "{cut}"
    );
    let here = upstream(&[proxy]);
    assert!(
        here.contains("is its address right, and does it run?"),
        "{here}"
    );
    let excepted = upstream(&[proxy, far, ("NO_PROXY", "far.invalid")]);
    assert!(
        excepted.contains("is its address right, and does it run?"),
        "{excepted}"
    );
}
