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
    is_sent: bool,
}

/// What to send now.
#[derive(Debug, PartialEq)]
pub struct Sending {
    /// The body.
    pub body: Bytes,
    /// What it goes without that the body sent before had, and how many things it goes without altogether.
    pub left_out: Option<(Without, usize)>,
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
            now: Mutex::new(Form {
                without,
                body,
                is_sent: false,
            }),
        }
    }

    /// The body to send now. It counts as sent: what it goes without is told this once.
    #[must_use]
    pub fn send(&self) -> Sending {
        let mut now = self.now();
        let is_new = !std::mem::replace(&mut now.is_sent, true);
        let latest = now.without.last().filter(|_| is_new);
        Sending {
            body: now.body.clone(),
            left_out: latest.map(|what| (*what, now.without.len())),
        }
    }

    /// The body as it would be sent now.
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.now().body.clone()
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
        *now = Form {
            without,
            body,
            is_sent: false,
        };
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

    fn sending(body: &'static str, left_out: Option<(Without, usize)>) -> Sending {
        let body = body.into();
        Sending { body, left_out }
    }

    #[test]
    fn what_was_refused_stays_out_and_is_left_out_and_told_once() {
        let forms = forms();
        assert_eq!(forms.send(), sending("whole", None));
        assert!(forms.leave_out(Without::Strictness));
        let first = Some((Without::Strictness, 1));
        assert_eq!(forms.send(), sending("[Strictness]", first));
        assert_eq!(forms.send(), sending("[Strictness]", None));
        assert!(
            !forms.leave_out(Without::Strictness),
            "sent again, it would be refused again"
        );
        assert!(forms.leave_out(Without::Thoughts));
        let second = Some((Without::Thoughts, 2));
        assert_eq!(forms.send(), sending("[Strictness, Thoughts]", second));
    }

    #[test]
    fn what_cannot_be_built_is_not_sent() {
        let forms = Forms::only(Bytes::from_static(b"whole"));
        assert!(!forms.leave_out(Without::Thoughts));
        assert_eq!(forms.send(), sending("whole", None));
    }
}
