//! `convert_messages`: system and messages in the upstream's dialect, whatever the model.

use std::sync::Arc;

use serde::Deserialize;
use serde::ser::{Serialize, Serializer};
use yoke::Yoke;

use super::validate::ValidRequest;
use crate::engine::{Cx, Task, TaskError};
use crate::events::Artifact;
use crate::protocol::translate::{Messages, convert_messages};

/// Converts system and messages.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConvertMessages {}

/// Messages in the upstream's dialect, borrowed from the request's text.
pub struct ConvertedMessages(pub Yoke<Messages<'static>, Arc<String>>);

impl Serialize for ConvertedMessages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.get().serialize(serializer)
    }
}

impl Artifact for ConvertedMessages {
    const NAME: &'static str = "ChatMessages";
}

impl Task for ConvertMessages {
    const NAME: &'static str = "convert_messages";
    const ABOUT: &'static str =
        "Converts system and messages, with images, tool results and thinking";
    type Input = Arc<ValidRequest>;
    type Output = ConvertedMessages;

    async fn run(
        &self,
        valid: Arc<ValidRequest>,
        _cx: &Cx,
    ) -> Result<ConvertedMessages, TaskError> {
        let converted = valid
            .request
            .try_map_project_cloned(|request, _| convert_messages(request));
        converted.map(ConvertedMessages).map_err(TaskError::client)
    }
}
