//! Finding the `claude` program.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// How to get it.
pub(super) const CURE: &str = "install it with `npm install -g @anthropic-ai/claude-code`";

/// Looks for `claude` in the folders of `path`, as a shell would.
pub(super) fn find(path: Option<&OsStr>) -> Option<PathBuf> {
    std::env::split_paths(path?)
        .map(|folder| folder.join("claude"))
        .find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}
