//! Where runs are kept, and how long. Plain data: it must not know where the values come from.

use std::path::PathBuf;
use std::time::Duration;

/// The settings of the recorder and of its database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The folder of the database. It is made when it is missing.
    pub folder: PathBuf,
    /// Runs older than this are deleted.
    pub keep_for: Duration,
    /// The oldest runs are deleted when the database grows beyond this.
    pub keep_bytes: u64,
    /// The longest text kept of one artifact.
    pub preview_bytes: usize,
    /// Whether requests and answers are kept at all.
    pub payloads: bool,
    /// The longest a single read may take.
    pub read_limit: Duration,
    /// How long processes that share a database may need to hear which blocks will be deleted.
    pub heard_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            folder: PathBuf::from("dagway-data"),
            keep_for: 14 * DAY,
            keep_bytes: 2 << 30,
            preview_bytes: 16 << 10,
            payloads: true,
            read_limit: Duration::from_secs(5),
            heard_after: Duration::from_secs(150),
        }
    }
}
