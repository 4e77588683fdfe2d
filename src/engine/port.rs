//! What travels on edges, and how a task's signature says what it takes and gives.
//!
//! A task names its ports by types: [`Arc<T>`] shared, [`Own<T>`] for one taker, [`End<T>`] once a flow has ended,
//! [`Res<T>`] a resource of the process, `Option<Arc<T>>` when a skipped or failed optional step may leave it out.
//! The plan compares these types when it is compiled; at run time a downcast cannot fail.

use std::any::{Any, TypeId};
use std::io;
use std::ops::Deref;
use std::sync::Arc;

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
        serde_json::to_writer(out, self)
    }
}

impl std::fmt::Debug for dyn AnyArtifact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A value with exactly one taker. As an output it need not be [`Sync`] nor serialisable: only its name is shown.
#[derive(Debug)]
pub struct Own<T>(pub T);

/// A type that may travel as [`Own`]: a stream, a socket, a reply under way.
pub trait Owned: Send + 'static {
    /// The name on the edge, in plan errors and on pages.
    const NAME: &'static str;
}

/// A resource of the process: the upstream client, the model catalogue. Proved to exist when the plan is compiled.
#[derive(Debug)]
pub struct Res<T: ?Sized>(pub Arc<T>);

impl<T: ?Sized> Deref for Res<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The type of a port, for comparing and for saying.
#[derive(Clone, Copy, Debug)]
pub struct PortType {
    /// Compared.
    pub id: TypeId,
    /// Said.
    pub name: &'static str,
}

/// How a port is taken or given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortKind {
    /// `Arc<T>`.
    Shared,
    /// `Option<Arc<T>>` (inputs only).
    Optional,
    /// [`Own<T>`].
    Owned,
    /// `Tail<T>` as an output, `End<T>` as an input.
    End,
    /// [`Res<T>`] (inputs only).
    Resource,
}

/// A port or a tuple of ports that a task takes. Implemented here for `()`, every port type and tuples up to six.
pub trait Inputs: Send + Sized + 'static {
    // The engine fills this in: port types for the plan, and how to gather the values.
}

/// A port or a tuple of ports that a task gives. Implemented here for `()`, every port type and tuples up to four.
pub trait Outputs: Send + Sized + 'static {
    // The engine fills this in: port types for the plan, and how to put the values into slots.
}
