//! The forms of an upstream request: as it was built, and without what the upstream has refused since.
//!
//! Whether a provider accepts what another of its hosts signed, or holds itself to a schema, shows only when it is asked.
//! Most requests never need another form, so it is built when one does.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// What a form can go without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// The reasoning of earlier turns.
    Thoughts,
    /// `strict`: the schema of the answer is still sent, but no host must enforce it.
    Strictness,
}

/// Builds the form that goes without these, if there is one.
type Build = dyn Fn(&[Without]) -> Option<Bytes> + Send + Sync;

/// The body to send, and how to make another of it.
pub struct Forms {
    build: Box<Build>,
    now: Mutex<Form>,
}

/// A body, and what it goes without.
struct Form {
    without: Vec<Without>,
    body: Bytes,
}

impl Forms {
    /// A body that there is no other form of.
    #[must_use]
    pub fn only(body: Bytes) -> Self {
        Self::new(body, |_| None)
    }

    /// A body, and how to build it without something. `build` gives `None` when that would change nothing.
    #[must_use]
    pub fn new(
        body: Bytes,
        build: impl Fn(&[Without]) -> Option<Bytes> + Send + Sync + 'static,
    ) -> Self {
        let without = Vec::new();
        Self {
            build: Box::new(build),
            now: Mutex::new(Form { without, body }),
        }
    }

    /// The body to send now.
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.now().body.clone()
    }

    /// How many things the body to send goes without.
    #[must_use]
    pub fn count(&self) -> usize {
        self.now().without.len()
    }

    /// Leaves something out from now on. Says whether there is now something else to send than before.
    pub fn leave_out(&self, what: Without) -> bool {
        let mut now = self.now();
        if now.without.contains(&what) {
            return false;
        }
        let mut without = now.without.clone();
        without.push(what);
        let Some(body) = (self.build)(&without) else {
            return false;
        };
        *now = Form { without, body };
        true
    }

    fn now(&self) -> MutexGuard<'_, Form> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Forms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.now();
        f.debug_struct("Forms")
            .field("without", &now.without)
            .field("bytes", &now.body.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms() -> Forms {
        Forms::new(Bytes::from_static(b"whole"), |without| {
            Some(format!("{without:?}").into())
        })
    }

    #[test]
    fn what_was_refused_stays_out_and_is_left_out_once() {
        let forms = forms();
        assert_eq!(forms.body(), "whole");
        assert!(forms.leave_out(Without::Strictness));
        assert_eq!(forms.body(), "[Strictness]");
        assert!(
            !forms.leave_out(Without::Strictness),
            "sent again, it would be refused again"
        );
        assert!(forms.leave_out(Without::Thoughts));
        assert_eq!(forms.body(), "[Strictness, Thoughts]");
        assert_eq!(forms.count(), 2);
    }

    #[test]
    fn what_cannot_be_built_is_not_sent() {
        let forms = Forms::only(Bytes::from_static(b"whole"));
        assert!(!forms.leave_out(Without::Thoughts));
        assert_eq!((forms.body(), forms.count()), ("whole".into(), 0));
    }
}
