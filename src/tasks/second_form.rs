//! The second form of an upstream request, for an upstream that refuses something of the first one.
//!
//! Whether a provider accepts what another of its hosts signed, or holds itself to a schema, shows only when it is asked.
//! Most requests never need such a form, so it is built when one does.

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;

/// What a second form goes without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// The reasoning of earlier turns.
    Thoughts,
    /// `strict`: the schema of the answer is still sent, but no host must enforce it.
    Strictness,
}

/// A second form, and whether it is the one to send.
pub struct SecondForm {
    without: Without,
    build: Box<dyn Fn() -> Option<Bytes> + Send + Sync>,
    body: OnceLock<Option<Bytes>>,
}

impl SecondForm {
    /// Remembers how to build it.
    #[must_use]
    pub fn new(
        without: Without,
        build: impl Fn() -> Option<Bytes> + Send + Sync + 'static,
    ) -> Self {
        Self {
            without,
            build: Box::new(build),
            body: OnceLock::new(),
        }
    }

    /// What it goes without.
    #[must_use]
    pub fn without(&self) -> Without {
        self.without
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

impl fmt::Debug for SecondForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecondForm")
            .field("without", &self.without)
            .field("chosen", &self.chosen().is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_chosen_once() {
        let second = SecondForm::new(Without::Thoughts, || Some(Bytes::from_static(b"second")));
        assert_eq!(second.chosen(), None);
        assert!(second.choose());
        assert!(
            !second.choose(),
            "asked a third time, it would be refused again"
        );
        assert_eq!(second.chosen().map(AsRef::as_ref), Some(&b"second"[..]));
        assert!(!SecondForm::new(Without::Thoughts, || None).choose());
    }
}
