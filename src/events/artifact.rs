//! What passes on an edge, as observers see it.

use std::any::Any;
use std::io;

use serde::Serialize;

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
    /// When `out` fails; a capped writer uses this to stop early.
    fn write_json(&self, out: &mut dyn io::Write) -> serde_json::Result<()>;
}

impl<T: Artifact> AnyArtifact for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn write_json(&self, out: &mut dyn io::Write) -> serde_json::Result<()> {
        // The serialiser writes a few bytes at a time: gathered, they cost one virtual call and not a hundred.
        let mut out = io::BufWriter::with_capacity(512, out);
        serde_json::to_writer(&mut out, self)?;
        io::Write::flush(&mut out).map_err(serde_json::Error::io)
    }
}

impl std::fmt::Debug for dyn AnyArtifact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
