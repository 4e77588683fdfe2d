//! `map_model`: which model the upstream is asked for. An unknown name is refused, never replaced.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::validate::ValidRequest;
use crate::engine::{Artifact, Cx, Res, Task, TaskError};
use crate::facts;
use crate::protocol::translate::model::{Target, resolve};
use crate::upstream::Models;

/// Finds the upstream's name and abilities of the model asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MapModel {
    /// Names that go before those of the settings.
    aliases: BTreeMap<String, String>,
}

/// The names that people type, from the settings.
#[derive(Debug, Default)]
pub struct Aliases {
    /// The upstream's id for each name.
    pub names: BTreeMap<String, String>,
}

/// The model to ask for.
#[derive(Debug, Serialize)]
pub struct MappedModel {
    /// As the client wrote it; answers echo it, because clients key on it.
    pub asked: String,
    /// As the upstream knows it.
    pub target: Target,
}

impl Artifact for MappedModel {
    const NAME: &'static str = "MappedModel";
}

impl Task for MapModel {
    const NAME: &'static str = "map_model";
    const ABOUT: &'static str = "Maps the model the client asked for";
    type Input = (Arc<ValidRequest>, Res<Aliases>, Res<Models>);
    type Output = MappedModel;

    async fn run(
        &self,
        (valid, aliases, models): Self::Input,
        cx: &Cx,
    ) -> Result<MappedModel, TaskError> {
        let asked = valid.request.get().model.as_ref();
        let id = match self.aliases.get(asked) {
            Some(id) => id.clone(),
            None => resolve(asked, &aliases.names).map_err(TaskError::client)?,
        };
        let target = models.target(&id);
        cx.fact(facts::MODEL_SENT, id);
        Ok(MappedModel {
            asked: asked.to_owned(),
            target,
        })
    }
}
