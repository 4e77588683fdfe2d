//! Tells pages which runs have changed, once the change can be read from the store.

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::events::RunId;

/// Announcements a slow subscriber may be behind before it is told that it missed some.
const BACKLOG: usize = 256;

/// Runs that changed with one commit.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Their names, each once; none when it is not known which they are, and everything should be read anew.
    pub runs: Arc<[RunId]>,
}

/// Where to hear of changes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Live(broadcast::Sender<Changed>);

impl Default for Live {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl Live {
    /// Hears of every commit from now on. A subscriber that is too slow gets
    /// [`Lagged`](broadcast::error::RecvError::Lagged): it should read its runs anew.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Changed> {
        self.0.subscribe()
    }

    /// Announces that changes were missed.
    pub(crate) fn missed(&self) {
        self.publish(std::iter::empty());
    }

    /// Announces a commit; nobody may be listening.
    pub(crate) fn publish(&self, runs: impl Iterator<Item = RunId>) {
        if self.0.receiver_count() > 0 {
            let _ = self.0.send(Changed {
                runs: runs.collect(),
            });
        }
    }
}
