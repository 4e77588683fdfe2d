//! What travels on edges, and how a task's signature says what it takes and gives.
//!
//! A task names its ports by types: [`Arc<T>`] shared, [`Own<T>`] for one taker, [`End<T>`] once a flow has ended,
//! [`Res<T>`] a resource of the process, `Option<Arc<T>>` when a skipped or failed optional step may leave it out.
//! The plan compares these types when it is compiled; at run time a downcast cannot fail.

use std::any::TypeId;
use std::ops::Deref;
use std::sync::Arc;

use super::flow::{End, Tail};
use super::slot::{Given, Intake, Output};
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

/// A port as a task's signature declares it.
#[derive(Clone, Copy, Debug)]
pub struct Port {
    /// How it is taken or given.
    pub kind: PortKind,
    /// What passes.
    pub carries: PortType,
}

impl Port {
    fn of<T: ?Sized + 'static>(kind: PortKind, name: &'static str) -> Self {
        let id = TypeId::of::<T>();
        Self {
            kind,
            carries: PortType { id, name },
        }
    }
}

/// A port or a tuple of ports that a task takes. Implemented here for `()`, every port type and tuples up to six.
#[diagnostic::on_unimplemented(
    message = "a task cannot take `{Self}`",
    label = "not a port, nor a tuple of ports",
    note = "a task takes `()`, `Arc<T>`, `Option<Arc<T>>`, `Own<T>`, `End<T>`, `Res<T>` or a tuple of up to six of these"
)]
pub trait Inputs: Send + Sized + 'static {
    /// The ports, in the order in which they are taken.
    fn ports() -> Vec<Port>;

    /// Takes the values from where the plan found them.
    fn take(intake: &mut Intake<'_>) -> Self;
}

/// A port or a tuple of ports that a task gives. Implemented here for `()`, every port type and tuples up to four.
#[diagnostic::on_unimplemented(
    message = "a task cannot give `{Self}`",
    label = "not an artifact, nor a tuple of outputs",
    note = "a task gives `()`, a `T: Artifact`, `Own<T>`, `Tail<T>` or a tuple of up to four of these"
)]
pub trait Outputs: Send + Sized + 'static {
    /// The ports, in the order in which they are given.
    fn ports() -> Vec<Port>;

    /// Puts the values where the run collects them.
    fn give(self) -> Given;
}

/// One input of a task.
#[diagnostic::on_unimplemented(
    message = "a task cannot take `{Self}`",
    label = "not an input port",
    note = "the ports are `Arc<T>`, `Option<Arc<T>>` and `End<T>` with `T: Artifact`, `Own<T>` with `T: Owned`, and `Res<T>`"
)]
pub trait InputPort: Send + Sized + 'static {
    /// The declaration.
    fn port() -> Port;

    /// Takes the value.
    fn take(intake: &mut Intake<'_>) -> Self;
}

impl<T: Artifact> InputPort for Arc<T> {
    fn port() -> Port {
        Port::of::<T>(PortKind::Shared, T::NAME)
    }

    fn take(intake: &mut Intake<'_>) -> Self {
        intake
            .shared()
            .expect("a step starts when all it needs is there")
    }
}

impl<T: Artifact> InputPort for Option<Arc<T>> {
    fn port() -> Port {
        Port::of::<T>(PortKind::Optional, T::NAME)
    }

    fn take(intake: &mut Intake<'_>) -> Self {
        intake.shared()
    }
}

impl<T: Owned> InputPort for Own<T> {
    fn port() -> Port {
        Port::of::<T>(PortKind::Owned, T::NAME)
    }

    fn take(intake: &mut Intake<'_>) -> Self {
        Self(intake.owned())
    }
}

impl<T: Artifact> InputPort for End<T> {
    fn port() -> Port {
        Port::of::<T>(PortKind::End, T::NAME)
    }

    fn take(intake: &mut Intake<'_>) -> Self {
        let (value, how) = intake.end();
        Self { value, how }
    }
}

impl<T: ?Sized + Send + Sync + 'static> InputPort for Res<T> {
    fn port() -> Port {
        Port::of::<T>(PortKind::Resource, short_name(std::any::type_name::<T>()))
    }

    fn take(intake: &mut Intake<'_>) -> Self {
        Self(intake.resource())
    }
}

/// The last part of a type's path, its parameters left out.
fn short_name(path: &'static str) -> &'static str {
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path)
}

/// One output of a task.
#[diagnostic::on_unimplemented(
    message = "a task cannot give `{Self}`",
    label = "not an output port",
    note = "the outputs are `T` and `Tail<T>` with `T: Artifact`, and `Own<T>` with `T: Owned`"
)]
pub trait OutputPort: Send + Sized + 'static {
    /// The declaration.
    fn port() -> Port;

    /// Forgets the type.
    fn give(self) -> Output;
}

impl<T: Artifact> OutputPort for T {
    fn port() -> Port {
        Port::of::<T>(PortKind::Shared, T::NAME)
    }

    fn give(self) -> Output {
        Output::Shared(Arc::new(self))
    }
}

impl<T: Owned> OutputPort for Own<T> {
    fn port() -> Port {
        Port::of::<T>(PortKind::Owned, T::NAME)
    }

    fn give(self) -> Output {
        Output::Owned(Box::new(self.0))
    }
}

impl<T: Artifact> OutputPort for Tail<T> {
    fn port() -> Port {
        Port::of::<T>(PortKind::End, T::NAME)
    }

    fn give(self) -> Output {
        Output::Tail(Box::pin(async move {
            let (value, how) = self.receiver.await.ok()?;
            Some((Arc::new(value) as Arc<dyn AnyArtifact>, how))
        }))
    }
}

impl<P: InputPort> Inputs for P {
    fn ports() -> Vec<Port> {
        vec![P::port()]
    }

    fn take(intake: &mut Intake<'_>) -> Self {
        P::take(intake)
    }
}

impl<P: OutputPort> Outputs for P {
    fn ports() -> Vec<Port> {
        vec![P::port()]
    }

    fn give(self) -> Given {
        let mut given = Given::default();
        given[0] = Some(OutputPort::give(self));
        given
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

    fn give(self) -> Given {
        Given::default()
    }
}

macro_rules! inputs {
    ($($port:ident)*) => {
        impl<$($port: InputPort),*> Inputs for ($($port,)*) {
            fn ports() -> Vec<Port> {
                vec![$($port::port()),*]
            }

            fn take(intake: &mut Intake<'_>) -> Self {
                ($($port::take(intake),)*)
            }
        }
    };
}

inputs!(A);
inputs!(A B);
inputs!(A B C);
inputs!(A B C D);
inputs!(A B C D E);
inputs!(A B C D E F);

macro_rules! outputs {
    ($($port:ident $place:tt)*) => {
        impl<$($port: OutputPort),*> Outputs for ($($port,)*) {
            fn ports() -> Vec<Port> {
                vec![$($port::port()),*]
            }

            fn give(self) -> Given {
                let mut given = Given::default();
                $(given[$place] = Some(self.$place.give());)*
                given
            }
        }
    };
}

outputs!(A 0);
outputs!(A 0 B 1);
outputs!(A 0 B 1 C 2);
outputs!(A 0 B 1 C 2 D 3);
