//! The unit of work.

use std::future::Future;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::cx::Cx;
use super::error::{Fault, TaskError};
use super::port::{Inputs, Outputs};
use super::registry::Resources;

/// One unit of work. The struct's fields are its settings, as written under `with`;
/// give it `#[serde(deny_unknown_fields)]`, and `#[serde(default)]` where a default makes sense.
pub trait Task: DeserializeOwned + Send + Sync + 'static {
    /// The name by which workflow files call it.
    const NAME: &'static str;
    /// One line, third person: "Maps the model the client asked for".
    const ABOUT: &'static str;
    /// How long an attempt may take where the workflow file says nothing of it.
    const TIMEOUT: Option<Duration> = None;
    /// How many attempts of a step may be at work at once where the workflow file says nothing of it. It needs a time limit,
    /// so that each gives its place back.
    const LIMIT: Option<u16> = None;
    /// Whose fault it is when an attempt takes too long: that of whom it waits for. Where that is the upstream, another
    /// model may be asked instead.
    const WAITS_FOR: Fault = Fault::Ours;
    /// What it takes: a port or a tuple of ports.
    type Input: Inputs;
    /// What it gives: `T: Artifact`, `Own<T>`, `Tail<T>`, `()` or a tuple of these.
    type Output: Outputs;

    /// Completes the settings from what the process offers, once, when the plan is proved.
    ///
    /// # Errors
    /// What is wrong with them, and the cure.
    fn prepare(&mut self, _: &Resources) -> Result<(), String> {
        Ok(())
    }

    /// Does the work. Dropping the future cancels it, at any await.
    fn run(
        &self,
        input: Self::Input,
        cx: &Cx,
    ) -> impl Future<Output = Result<Self::Output, TaskError>> + Send;
}
