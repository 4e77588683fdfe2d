//! What is said of a store by who only looks at it.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::{Script, open_in, plan};
use crate::events::{Observer, State};
use crate::store::{Examined, OpenError, examine};

/// A folder whose database holds an ended run, of a process that is gone.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut opened = open_in(&folder);
    let mut script = Script::new(1_790_000_000_000_000, &plan()).ended(State::Completed);
    opened.recorder.observe(&script.batch());
    opened.recorder.finish();
    folder
}

/// What is said of a folder that nobody has the lock of; see [`open_in`] for who may all the same.
fn said_of(folder: &Path) -> Result<Examined, OpenError> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match examine(folder) {
            Err(OpenError::Locked { .. }) if Instant::now() < deadline => std::thread::yield_now(),
            said => return said,
        }
    }
}

fn database(folder: &Path) -> Connection {
    Connection::open(folder.join("dagway.db")).unwrap()
}

fn version(folder: &Path) -> u32 {
    let pragma = "PRAGMA user_version";
    database(folder)
        .query_row(pragma, [], |row| row.get(0))
        .unwrap()
}

#[test]
fn a_folder_without_a_store_and_one_with_a_good_store_are_fine() {
    let empty = tempfile::tempdir().unwrap();
    said_of(empty.path()).unwrap();
    assert!(!empty.path().join("dagway.db").exists(), "nothing was made");
    let good = folder();
    said_of(good.path()).unwrap();
    let fresh = tempfile::tempdir().unwrap();
    std::fs::write(fresh.path().join("dagway.db"), b"").unwrap();
    said_of(fresh.path()).unwrap();
    assert_eq!(version(fresh.path()), 0, "it was left as it was");
}

#[test]
fn a_store_that_could_not_be_opened_has_the_sentence_of_opening_it() {
    let locked = tempfile::tempdir().unwrap();
    let opened = open_in(&locked);
    let said = examine(locked.path()).unwrap_err();
    assert!(matches!(said, OpenError::Locked { .. }), "{said}");
    drop(opened);

    let newer = folder();
    database(newer.path())
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let said = said_of(newer.path()).unwrap_err();
    assert!(matches!(said, OpenError::Newer { found: 99, .. }), "{said}");
    assert_eq!(version(newer.path()), 99);

    let foreign = tempfile::tempdir().unwrap();
    database(foreign.path())
        .execute("CREATE TABLE theirs (a)", [])
        .unwrap();
    let said = said_of(foreign.path()).unwrap_err();
    assert!(matches!(said, OpenError::Foreign { .. }), "{said}");

    for damage in [
        &b"no database at all, but a long enough text"[..],
        &[0xa5; 65_536],
    ] {
        let broken = tempfile::tempdir().unwrap();
        std::fs::write(broken.path().join("dagway.db"), damage).unwrap();
        let said = said_of(broken.path()).unwrap_err();
        assert!(matches!(said, OpenError::Damaged { .. }), "{said}");
    }

    let no_folder = tempfile::NamedTempFile::new().unwrap();
    let said = said_of(no_folder.path()).unwrap_err();
    assert!(matches!(said, OpenError::NoFolder { .. }), "{said}");
}

#[test]
fn damage_in_the_middle_is_found_though_the_store_could_be_opened() {
    let damaged = folder();
    let file = damaged.path().join("dagway.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let page = 4096;
    assert!(bytes.len() > 4 * page);
    // All but the first pages, which are the schema.
    let rest = bytes.get_mut(2 * page..).unwrap();
    for page in rest.chunks_mut(page).step_by(2) {
        page.fill(0xab);
    }
    std::fs::write(&file, bytes).unwrap();
    let said = said_of(damaged.path()).unwrap_err();
    assert!(matches!(said, OpenError::Damaged { .. }), "{said:?}");
    let said = said.to_string();
    assert!(said.contains("move it away"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}
