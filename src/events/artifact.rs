//! What passes on an edge, as observers see it.

use std::any::Any;

use serde::Serialize;

use super::capped::Capped;

/// A type that travels on an edge. What it serialises to is what the dashboard shows, capped.
pub trait Artifact: Serialize + Send + Sync + 'static {
    /// The name on the edge, in plan errors and on pages.
    const NAME: &'static str;
}

/// An [`Artifact`] whose type was forgotten.
pub trait AnyArtifact: Any + Send + Sync {
    /// [`Artifact::NAME`].
    fn name(&self) -> &'static str;

    /// Writes the artifact as JSON.
    ///
    /// # Errors
    /// When there was no room for all of it.
    fn write_json(&self, out: &mut Capped<'_>) -> serde_json::Result<()>;
}

impl<T: Artifact> AnyArtifact for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn write_json(&self, out: &mut Capped<'_>) -> serde_json::Result<()> {
        serde_json::to_writer(out, self)
    }
}

impl std::fmt::Debug for dyn AnyArtifact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
