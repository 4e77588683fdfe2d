//! `convert_tools`: tool definitions in the upstream's dialect, whatever the model.

use std::sync::Arc;

use serde::Deserialize;
use serde::ser::{Serialize, Serializer};
use yoke::Yoke;

use super::validate::ValidRequest;
use crate::engine::{Cx, Task, TaskError};
use crate::events::Artifact;
use crate::protocol::translate::{Tools, convert_tools};

/// Converts tools and tool choice.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConvertTools {}

/// Tools in the upstream's dialect, borrowed from the request's text.
pub struct ConvertedTools(pub Yoke<Tools<'static>, Arc<String>>);

impl Serialize for ConvertedTools {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.get().serialize(serializer)
    }
}

impl Artifact for ConvertedTools {
    const NAME: &'static str = "ChatTools";
}

impl Task for ConvertTools {
    const NAME: &'static str = "convert_tools";
    const ABOUT: &'static str = "Converts tool definitions, with names every provider takes";
    type Input = Arc<ValidRequest>;
    type Output = ConvertedTools;

    async fn run(&self, valid: Arc<ValidRequest>, _cx: &Cx) -> Result<ConvertedTools, TaskError> {
        let converted = valid
            .request
            .try_map_project_cloned(|request, _| convert_tools(request));
        converted.map(ConvertedTools).map_err(TaskError::client)
    }
}
