//! What travels on edges, and how a task's signature says what it takes and gives.
//!
//! A task names its ports by types: [`Arc<T>`] shared, [`Own<T>`] for one taker, [`End<T>`] once a flow has ended,
//! [`Res<T>`] a resource of the process, `Option<Arc<T>>` when a skipped or failed optional step may leave it out. A task that
//! does not know what it will work on takes [`Needs`].
//! The plan compares these types when it is compiled; at run time a downcast cannot fail.

use std::any::TypeId;
use std::fmt;
use std::iter;
use std::ops::Deref;
use std::sync::Arc;

use super::error::TaskError;
use super::flow::{End, Tail};
use super::slot::{Held, Intake, Output};
use crate::events::{AnyArtifact, Artifact};

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

/// All that can be shown of what its needs give, whatever that is: for tasks that are told only by the workflow file what
/// they work on. It waits for the end of a flow, and leaves owned values to others.
#[derive(Debug)]
pub struct Needs(pub Vec<Need>);

/// One of the values that a step [`Needs`].
#[derive(Debug)]
pub struct Need {
    /// The step that gave it; `request` for the run's input.
    pub step: Arc<str>,
    /// What it gave.
    pub value: Arc<dyn AnyArtifact>,
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
    /// [`Needs`] (inputs only): in a plan, a port for each value in its place.
    Needs,
}

/// A port as a task's signature declares it.
#[derive(Clone, Copy, Debug)]
pub struct Port {
    /// How it is taken or given.
    pub kind: PortKind,
    /// The type of what passes, for comparing.
    pub id: TypeId,
    /// Its name, for saying.
    pub name: &'static str,
}

impl Port {
    pub(super) fn of<T: ?Sized + 'static>(kind: PortKind, name: &'static str) -> Self {
        let id = TypeId::of::<T>();
        Self { kind, id, name }
    }

    /// Whether this input can take what an output gives.
    pub(super) fn fits(&self, output: &Self) -> bool {
        let is_same_kind = match self.kind {
            PortKind::Optional => output.kind == PortKind::Shared,
            kind => output.kind == kind,
        };
        is_same_kind && self.id == output.id
    }
}

/// The port in words.
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name;
        match self.kind {
            PortKind::Shared | PortKind::Optional => write!(f, "the shared `{name}`"),
            PortKind::Owned => write!(f, "the owned `{name}`"),
            PortKind::End => write!(f, "`{name}` at the end of a flow"),
            PortKind::Resource => write!(f, "the resource `{name}`"),
            PortKind::Needs => write!(f, "all that its needs give"),
        }
    }
}

/// What a task takes: a port, or a tuple of such.
#[diagnostic::on_unimplemented(
    message = "a task cannot take `{Self}`",
    label = "not an input port, nor a tuple of input ports",
    note = "the ports are `Arc<T>`, `Option<Arc<T>>` and `End<T>` with `T: Artifact`, `Own<T>` with `T: Owned`, `Res<T>` and `Needs`; a tuple has up to six"
)]
pub trait Inputs: Send + Sized + 'static {
    /// The ports, in the order in which they are taken.
    fn ports() -> Vec<Port>;

    /// Takes the values from where the plan found them.
    fn take(intake: &mut Intake<'_>) -> Self;
}

impl<T: Artifact> Inputs for Arc<T> {
    fn ports() -> Vec<Port> {
        vec![Port::of::<T>(PortKind::Shared, T::NAME)]
    }

    fn take(intake: &mut Intake<'_>) -> Self {
        intake
            .shared()
            .expect("a step starts when all it needs is there")
    }
}

impl<T: Artifact> Inputs for Option<Arc<T>> {
    fn ports() -> Vec<Port> {
        vec![Port::of::<T>(PortKind::Optional, T::NAME)]
    }

    fn take(intake: &mut Intake<'_>) -> Self {
        intake.shared()
    }
}

impl<T: Owned> Inputs for Own<T> {
    fn ports() -> Vec<Port> {
        vec![Port::of::<T>(PortKind::Owned, T::NAME)]
    }

    fn take(intake: &mut Intake<'_>) -> Self {
        Self(intake.owned())
    }
}

impl<T: Artifact> Inputs for End<T> {
    fn ports() -> Vec<Port> {
        vec![Port::of::<T>(PortKind::End, T::NAME)]
    }

    fn take(intake: &mut Intake<'_>) -> Self {
        let (value, how) = intake.end();
        Self { value, how }
    }
}

impl<T: ?Sized + Send + Sync + 'static> Inputs for Res<T> {
    fn ports() -> Vec<Port> {
        let name = short_name(std::any::type_name::<T>());
        vec![Port::of::<T>(PortKind::Resource, name)]
    }

    fn take(intake: &mut Intake<'_>) -> Self {
        Self(intake.resource())
    }
}

impl Inputs for Needs {
    fn ports() -> Vec<Port> {
        vec![Port::of::<Self>(PortKind::Needs, "Needs")]
    }

    fn take(intake: &mut Intake<'_>) -> Self {
        Self(intake.needs())
    }
}

/// The last part of a type's path, its parameters left out.
fn short_name(path: &'static str) -> &'static str {
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path)
}

/// What a task gives: a port, or a tuple of such.
#[diagnostic::on_unimplemented(
    message = "a task cannot give `{Self}`",
    label = "not an output port, nor a tuple of output ports",
    note = "the ports are `T` and `Tail<T>` with `T: Artifact`, and `Own<T>` with `T: Owned`; a tuple has up to six"
)]
pub trait Outputs: Send + Sized + 'static {
    /// The ports, in the order in which they are given.
    fn ports() -> Vec<Port>;

    /// Forgets the types of the values.
    fn give(self) -> impl Iterator<Item = Output>;
}

impl<T: Artifact> Outputs for T {
    fn ports() -> Vec<Port> {
        vec![Port::of::<T>(PortKind::Shared, T::NAME)]
    }

    fn give(self) -> impl Iterator<Item = Output> {
        iter::once(Output::Now(Held::Shared(Arc::new(self))))
    }
}

impl<T: Owned> Outputs for Own<T> {
    fn ports() -> Vec<Port> {
        vec![Port::of::<T>(PortKind::Owned, T::NAME)]
    }

    fn give(self) -> impl Iterator<Item = Output> {
        iter::once(Output::Now(Held::Owned(Box::new(self.0))))
    }
}

impl<T: Artifact> Outputs for Tail<T> {
    fn ports() -> Vec<Port> {
        vec![Port::of::<T>(PortKind::End, T::NAME)]
    }

    fn give(self) -> impl Iterator<Item = Output> {
        iter::once(Output::Tail(Box::pin(async move {
            let reported = self.receiver.await;
            let unreported = "its flow was dropped without a report";
            let (value, how) = reported.map_err(|_| Arc::new(TaskError::ours(unreported)))?;
            Ok((Arc::new(value) as Arc<dyn AnyArtifact>, how))
        })))
    }
}

impl Inputs for () {
    fn ports() -> Vec<Port> {
        Vec::new()
    }

    fn take(_: &mut Intake<'_>) -> Self {}
}

impl Outputs for () {
    fn ports() -> Vec<Port> {
        Vec::new()
    }

    fn give(self) -> impl Iterator<Item = Output> {
        iter::empty()
    }
}

macro_rules! tuple {
    ($($port:ident $place:tt)+) => {
        impl<$($port: Inputs),*> Inputs for ($($port,)*) {
            fn ports() -> Vec<Port> {
                [$($port::ports()),*].concat()
            }

            fn take(intake: &mut Intake<'_>) -> Self {
                ($($port::take(intake),)*)
            }
        }

        impl<$($port: Outputs),*> Outputs for ($($port,)*) {
            fn ports() -> Vec<Port> {
                [$($port::ports()),*].concat()
            }

            fn give(self) -> impl Iterator<Item = Output> {
                iter::empty()$(.chain(self.$place.give()))+
            }
        }
    };
}

tuple!(A 0);
tuple!(A 0 B 1);
tuple!(A 0 B 1 C 2);
tuple!(A 0 B 1 C 2 D 3);
tuple!(A 0 B 1 C 2 D 3 E 4);
tuple!(A 0 B 1 C 2 D 3 E 4 F 5);
