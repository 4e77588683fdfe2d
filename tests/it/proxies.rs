//! The proxies of the environment: who is asked through them, and who is not.

use crate::program::{code, diagnosis, run};

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
