//! What passes on an edge, as observers see it.

use std::any::Any;

use serde::Serialize;

use super::capped::Capped;

/// A type that travels on an edge. What it serialises to is what the dashboard shows, capped.
pub trait Artifact: Serialize + Send + Sync + 'static {
    /// The name on the edge, in plan errors and on pages.
    const NAME: &'static str;
    /// Whether what it serialises to may quote a prompt or an answer, so that it is kept only where these are.
    const MAY_QUOTE: bool = false;

    /// Writes all of it as JSON, for steps that are not written in Rust: what it serialises to, unless that is less.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    fn write_whole(&self, out: &mut Vec<u8>) -> serde_json::Result<()>
    where
        Self: Sized,
    {
        serde_json::to_writer(out, self)
    }
}

/// An [`Artifact`] whose type was forgotten.
pub trait AnyArtifact: Any + Send + Sync {
    /// [`Artifact::NAME`].
    fn name(&self) -> &'static str;

    /// [`Artifact::MAY_QUOTE`].
    fn may_quote(&self) -> bool;

    /// Writes the artifact as JSON.
    ///
    /// # Errors
    /// When there was no room for all of it.
    fn write_json(&self, out: &mut Capped<'_>) -> serde_json::Result<()>;

    /// [`Artifact::write_whole`].
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    fn write_whole(&self, out: &mut Vec<u8>) -> serde_json::Result<()>;
}

impl<T: Artifact> AnyArtifact for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn may_quote(&self) -> bool {
        T::MAY_QUOTE
    }

    fn write_json(&self, out: &mut Capped<'_>) -> serde_json::Result<()> {
        serde_json::to_writer(out, self)
    }

    fn write_whole(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        Artifact::write_whole(self, out)
    }
}

impl std::fmt::Debug for dyn AnyArtifact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
