//! Standard output and standard error, as all commands write them.
//!
//! It must not know what is written.

use std::io::{ErrorKind, Write, stderr, stdout};

use super::Failure;

/// Writes bytes to standard output, at once.
///
/// # Errors
/// When it cannot be written. A reader that has left has enough: nothing went wrong then, and nothing more is said.
pub(super) fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::Exit(0),
        _ => Failure::Running(format!("standard output cannot be written: {error}")),
    })
}

/// Writes a line to standard output, for a command that has more to do than to write: a reader that has left is no reason
/// to end it.
///
/// # Errors
/// When it cannot be written.
pub(super) fn say(line: impl AsRef<str>) -> Result<(), Failure> {
    match write(format!("{}\n", line.as_ref()).as_bytes()) {
        Err(Failure::Exit(0)) => Ok(()),
        written => written,
    }
}

/// Writes an error to standard error.
pub(super) fn say_error(sentence: &str) {
    let _ = writeln!(stderr().lock(), "dagway: {sentence}");
}
