//! Which `dagway code` serves at an address: whoever has the seat. There is one for each address and data folder.
//!
//! It is the lock of a file, which the system takes back when its process ends, however it ends. So those who wait for it
//! need no word from the one who had it.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::settings::ClientKey;
use crate::store::private;

/// Held as long as this process serves.
#[derive(Debug)]
pub(super) struct Seat {
    _file: File,
}

/// The process that has a seat.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Holder {
    process: Option<u32>,
    keys: Option<KeysMark>,
}

/// Tells sets of client keys apart, and does not tell the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeysMark(String);

impl KeysMark {
    /// Keys in another order are the same.
    pub(super) fn of(keys: &[ClientKey]) -> Self {
        // Exposed to be hashed; a key that can be sent has no line break.
        let mut keys: Vec<&str> = keys.iter().map(|one| one.key.expose()).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut hasher = blake3::Hasher::new_derive_key("dagway code: which client keys");
        for key in keys {
            hasher.update(key.as_bytes()).update(b"\n");
        }
        Self(hasher.finalize().to_hex().chars().take(16).collect())
    }
}

impl Holder {
    /// Whether it lets in those clients, and only those, that this set of keys would let in.
    pub(super) fn demands(&self, keys: &KeysMark) -> bool {
        self.keys.as_ref() == Some(keys)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another `dagway code`")?;
        match self.process {
            Some(process) => write!(f, " (process {process})"),
            None => Ok(()),
        }
    }
}

impl Seat {
    /// Takes the seat, if nobody has it, to demand these keys of clients.
    ///
    /// # Errors
    /// When the folder cannot hold it.
    pub(super) fn take(
        folder: &Path,
        address: SocketAddr,
        KeysMark(keys): &KeysMark,
    ) -> io::Result<Option<Self>> {
        private::folder(folder)?;
        let mut file = private::file(&path(folder, address))?;
        if is_taken(file.try_lock())? {
            return Ok(None);
        }
        file.set_len(0)?;
        // At once: whoever reads it meanwhile finds all of it, or nothing.
        file.write_all(format!("{} {keys}", std::process::id()).as_bytes())?;
        Ok(Some(Self { _file: file }))
    }

    /// Who has it, if anybody has.
    pub(super) fn holder(folder: &Path, address: SocketAddr) -> Option<Holder> {
        let path = path(folder, address);
        // Only looked at: nobody is kept from it by it.
        let file = File::open(&path).ok()?;
        let is_taken = is_taken(file.try_lock_shared()).unwrap_or(false);
        is_taken.then(|| read(&path))
    }
}

/// Whether another process has the lock.
///
/// # Errors
/// When there are no locks in that place.
fn is_taken(lock: Result<(), TryLockError>) -> io::Result<bool> {
    match lock {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn read(path: &Path) -> Holder {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut words = text.split_whitespace();
    Holder {
        process: words.next().and_then(|process| process.parse().ok()),
        keys: words.next().map(|mark| KeysMark(mark.to_owned())),
    }
}

fn path(folder: &Path, address: SocketAddr) -> PathBuf {
    let address = address.to_string().replace(':', "-");
    folder.join(format!("dagway-code-{address}.lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_the_seat_and_is_known_until_it_is_given_back() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        let address: SocketAddr = "[::1]:4000".parse().unwrap();
        let keys = KeysMark::of(&[]);
        assert_eq!(Seat::holder(&folder, address), None, "there is no folder");
        let seat = Seat::take(&folder, address, &keys).unwrap();
        assert!(seat.is_some());
        assert!(Seat::take(&folder, address, &keys).unwrap().is_none());
        let me = Seat::holder(&folder, address).unwrap().to_string();
        assert_eq!(
            me,
            format!("another `dagway code` (process {})", std::process::id())
        );
        let elsewhere = "[::1]:4001".parse().unwrap();
        assert!(Seat::take(&folder, elsewhere, &keys).unwrap().is_some());
        drop(seat);
        assert_eq!(Seat::holder(&folder, address), None);
        assert!(Seat::take(&folder, address, &keys).unwrap().is_some());
        let nowhere = parent.path().join("file");
        std::fs::write(&nowhere, "").unwrap();
        assert!(Seat::take(&nowhere, address, &keys).is_err());
    }

    #[test]
    fn who_has_the_seat_tells_its_keys_apart_from_others_and_keeps_them_secret() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        let address: SocketAddr = "127.0.0.1:4000".parse().unwrap();
        let of = |keys: &[&str]| {
            let keys = keys.iter().copied().map(ClientKey::nameless);
            KeysMark::of(&keys.collect::<Vec<_>>())
        };
        let _seat = Seat::take(&folder, address, &of(&["one", "two"])).unwrap();
        let holder = Seat::holder(&folder, address).unwrap();
        assert!(holder.demands(&of(&["two", "one"])));
        for others in [&["one"][..], &["one", "two", "three"], &["onetwo"], &[]] {
            assert!(!holder.demands(&of(others)), "{others:?}");
        }
        assert!(
            !Holder::default().demands(&of(&[])),
            "nothing is known of it"
        );
        let written = std::fs::read_to_string(path(&folder, address)).unwrap();
        assert!(
            !written.contains("one") && !written.contains("two"),
            "{written}"
        );
    }

    #[test]
    fn a_place_without_locks_is_not_taken() {
        assert!(!is_taken(Ok(())).unwrap());
        assert!(is_taken(Err(TryLockError::WouldBlock)).unwrap());
        let none = io::Error::from(io::ErrorKind::Unsupported);
        let error = is_taken(Err(TryLockError::Error(none))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    }
}
