//! The tasks and the resources that plans are proved against.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::attempt::AnyTask;
use super::port::{Inputs, Outputs, Port};
use super::task::Task;

/// Makes a task from its settings, or says what is wrong with them.
type Make = fn(&Value, &Resources) -> Result<Arc<dyn AnyTask>, String>;

/// A task that workflow files may name. The list of all stands in `tasks/mod.rs`.
#[derive(Clone, Copy, Debug)]
pub struct TaskDef {
    /// [`Task::NAME`].
    pub name: &'static str,
    /// [`Task::ABOUT`].
    pub about: &'static str,
    /// [`Task::TIMEOUT`].
    pub timeout: Option<Duration>,
    /// [`Task::LIMIT`].
    pub limit: Option<u16>,
    pub(super) takes: fn() -> Vec<Port>,
    pub(super) gives: fn() -> Vec<Port>,
    pub(super) make: Make,
}

impl TaskDef {
    /// Describes `T`.
    #[must_use]
    pub const fn of<T: Task>() -> Self {
        Self {
            name: T::NAME,
            about: T::ABOUT,
            timeout: T::TIMEOUT,
            limit: T::LIMIT,
            takes: T::Input::ports,
            gives: T::Output::ports,
            make: |with, resources| {
                let mut task = settings::<T>(with)?;
                task.prepare(resources)?;
                Ok(Arc::new(task))
            },
        }
    }
}

/// Reads a task's settings. A task without any may be a unit struct, which serde reads from null alone.
fn settings<T: Task>(with: &Value) -> Result<T, String> {
    let read = |with| serde_path_to_error::deserialize::<&Value, T>(with);
    read(with).or_else(|error| {
        let is_empty = with.as_object().is_some_and(serde_json::Map::is_empty);
        match (read(&Value::Null), error.path().to_string().as_str()) {
            (Ok(unit), _) if is_empty => Ok(unit),
            (Ok(_), _) => Err("remove `with`, for it has none".to_owned()),
            (Err(_), ".") => Err(format!("correct `with`: {}", error.inner())),
            (Err(_), path) => Err(format!("correct `with.{path}`: {}", error.inner())),
        }
    })
}

/// What the process offers to tasks, by type.
#[derive(Default)]
pub struct Resources {
    by_type: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl Resources {
    /// Offers `resource` to every task that takes a [`Res<T>`](super::Res).
    pub fn insert<T: ?Sized + Any + Send + Sync>(&mut self, resource: Arc<T>) {
        self.by_type.insert(TypeId::of::<T>(), Arc::new(resource));
    }

    /// The resource of this type, if it is offered.
    #[must_use]
    pub fn find<T: ?Sized + Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let found = self.get(TypeId::of::<T>())?;
        found.downcast_ref::<Arc<T>>().cloned()
    }

    /// The resource of this type: an `Arc<T>` in a box.
    pub(super) fn get(&self, id: TypeId) -> Option<&Arc<dyn Any + Send + Sync>> {
        self.by_type.get(&id)
    }
}
