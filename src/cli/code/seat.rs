//! Which `dagway code` serves at an address: whoever has the seat. There is one for each address and data folder.
//!
//! It is the lock of a file, which the system takes back when its process ends, however it ends. So those who wait for it
//! need no word from the one who had it.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::store::private;

/// Held as long as this process serves.
#[derive(Debug)]
pub(super) struct Seat {
    _file: File,
}

/// The process that has a seat.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Holder(Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another `dagway code`")?;
        match self.0 {
            Some(process) => write!(f, " (process {process})"),
            None => Ok(()),
        }
    }
}

impl Seat {
    /// Takes the seat, if nobody has it.
    ///
    /// # Errors
    /// When the folder cannot hold it.
    pub(super) fn take(folder: &Path, address: SocketAddr) -> io::Result<Option<Self>> {
        private::folder(folder)?;
        let mut file = private::file(&path(folder, address))?;
        if is_taken(file.try_lock())? {
            return Ok(None);
        }
        file.set_len(0)?;
        write!(file, "{}", std::process::id())?;
        Ok(Some(Self { _file: file }))
    }

    /// Who has it, if anybody has.
    pub(super) fn holder(folder: &Path, address: SocketAddr) -> Option<Holder> {
        let path = path(folder, address);
        // Only looked at: nobody is kept from it by it.
        let file = File::open(&path).ok()?;
        let is_taken = is_taken(file.try_lock_shared()).unwrap_or(false);
        is_taken.then(|| Holder(read(&path)))
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

fn read(path: &Path) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
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
        assert_eq!(Seat::holder(&folder, address), None, "there is no folder");
        let seat = Seat::take(&folder, address).unwrap();
        assert!(seat.is_some());
        assert!(Seat::take(&folder, address).unwrap().is_none());
        let me = Seat::holder(&folder, address).unwrap().to_string();
        assert_eq!(
            me,
            format!("another `dagway code` (process {})", std::process::id())
        );
        let elsewhere = "[::1]:4001".parse().unwrap();
        assert!(Seat::take(&folder, elsewhere).unwrap().is_some());
        drop(seat);
        assert_eq!(Seat::holder(&folder, address), None);
        assert!(Seat::take(&folder, address).unwrap().is_some());
        let nowhere = parent.path().join("file");
        std::fs::write(&nowhere, "").unwrap();
        assert!(Seat::take(&nowhere, address).is_err());
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
