//! What the recorder tells those who show runs while they happen.

use std::sync::Arc;

use crate::engine::RunId;

/// These runs have changed in the store. Whoever hears it reads them again.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Which.
    pub runs: Arc<[RunId]>,
}
