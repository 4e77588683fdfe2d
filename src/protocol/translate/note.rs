//! Notes: what a translation left out, moved or weakened, said in a sentence that the run shows.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

/// One sentence about what the other side could not be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Note(Cow<'static, str>);

impl Note {
    /// Makes a note of a sentence.
    pub fn new(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self(sentence.into())
    }

    /// The sentence.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
