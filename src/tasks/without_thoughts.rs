//! The second form of an upstream request: without the reasoning of earlier turns, for an upstream that refuses it.
//!
//! Whether a provider accepts what another of its hosts signed shows only when it is asked. Most requests never need this
//! form, so it is built when one does.

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;

/// The second form, and whether it is the one to send.
pub struct WithoutThoughts {
    build: Box<dyn Fn() -> Option<Bytes> + Send + Sync>,
    body: OnceLock<Option<Bytes>>,
}

impl WithoutThoughts {
    /// Remembers how to build it.
    #[must_use]
    pub fn new(build: impl Fn() -> Option<Bytes> + Send + Sync + 'static) -> Self {
        Self {
            build: Box::new(build),
            body: OnceLock::new(),
        }
    }

    /// Builds it, to be sent from now on. Says whether there is now something else to send than before.
    pub fn choose(&self) -> bool {
        let is_first = self.body.get().is_none();
        self.body.get_or_init(&self.build).is_some() && is_first
    }

    /// The body, once it was chosen.
    #[must_use]
    pub fn chosen(&self) -> Option<&Bytes> {
        self.body.get()?.as_ref()
    }
}

impl fmt::Debug for WithoutThoughts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithoutThoughts")
            .field("chosen", &self.chosen().is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_chosen_once() {
        let second = WithoutThoughts::new(|| Some(Bytes::from_static(b"second")));
        assert_eq!(second.chosen(), None);
        assert!(second.choose());
        assert!(
            !second.choose(),
            "asked a third time, it would be refused again"
        );
        assert_eq!(second.chosen().map(AsRef::as_ref), Some(&b"second"[..]));
        assert!(!WithoutThoughts::new(|| None).choose());
    }
}
