//! The tasks and the resources that plans are proved against.

use std::any::Any;
use std::sync::Arc;

use super::task::Task;

/// A task that workflow files may name. The list of all stands in `tasks/mod.rs`.
#[derive(Clone, Copy, Debug)]
pub struct TaskDef {
    /// [`Task::NAME`].
    pub name: &'static str,
    /// [`Task::ABOUT`].
    pub about: &'static str,
}

impl TaskDef {
    /// Describes `T`.
    #[must_use]
    pub const fn of<T: Task>() -> Self {
        Self {
            name: T::NAME,
            about: T::ABOUT,
        }
    }
}

/// What the process offers to tasks, by type.
#[derive(Default)]
pub struct Resources {}

impl Resources {
    /// Offers `resource` to every task that takes a [`Res<T>`](super::Res).
    pub fn insert<T: Any + Send + Sync>(&mut self, resource: Arc<T>) {
        let _ = resource;
        unimplemented!()
    }
}
