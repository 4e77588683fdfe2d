//! Says no to requests that real hosts refuse, in the words that they use.
//!
//! It is as strict as the strictest host of a family, because a translation that only lenient hosts take is wrong.
//! It must not answer anything itself.

mod media;
mod messages;
mod parameters;
mod reasoning;
mod tools;

use super::conversation::Conversation;
use super::refusal::Refusal;

/// Checks a request whole.
pub(super) fn check(conversation: &Conversation<'_>) -> Result<(), Refusal> {
    parameters::check(conversation)?;
    tools::check(conversation)?;
    messages::check(conversation)?;
    reasoning::check(conversation)
}

#[cfg(test)]
mod tests;
