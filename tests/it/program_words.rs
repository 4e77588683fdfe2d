//! What the program says when it cannot do what was asked, and how it says it.

use std::fs::File;
use std::process::Stdio;

use crate::program::{dagway, run, stderr};

#[test]
fn standard_output_that_cannot_be_written_is_a_failure_and_a_reader_that_leaves_is_none() {
    let folder = tempfile::tempdir().unwrap();
    for line in [
        "settings",
        "workflows show",
        "workflows check",
        "conformance --list",
        "conformance --filter ping --json",
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
