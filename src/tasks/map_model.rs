//! `map_model`: which model of which upstream is asked. An unknown name is refused, never replaced.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::validate::ValidRequest;
use crate::engine::{Cx, Res, Task, TaskError};
use crate::events::Artifact;
use crate::facts;
use crate::protocol::translate::model::Target;
use crate::upstream::{Lane, Upstream, Upstreams};

/// Finds upstream, name and abilities of the model asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MapModel {
    /// Names that go before those of the settings. They do not change the lane, which is chosen before a run begins.
    aliases: BTreeMap<String, String>,
}

/// The model to ask for.
#[derive(Debug)]
pub struct MappedModel {
    /// As the client wrote it; answers echo it, because clients key on it.
    pub asked: String,
    /// As the upstream knows it.
    pub target: Target,
    /// Who is asked.
    pub upstream: Arc<Upstream>,
    /// How.
    pub lane: Lane,
    /// OpenRouter's `provider` object that the settings have for it.
    pub provider: Option<Arc<RawValue>>,
}

impl Serialize for MappedModel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut model = serializer.serialize_struct("MappedModel", 5)?;
        model.serialize_field("asked", &self.asked)?;
        model.serialize_field("upstream", self.upstream.name())?;
        model.serialize_field("lane", self.lane.name())?;
        model.serialize_field("target", &self.target)?;
        match &self.provider {
            Some(provider) => model.serialize_field("provider", provider)?,
            None => model.skip_field("provider")?,
        }
        model.end()
    }
}

impl Artifact for MappedModel {
    const NAME: &'static str = "MappedModel";
}

impl Task for MapModel {
    const NAME: &'static str = "map_model";
    const ABOUT: &'static str = "Maps the model the client asked for";
    type Input = (Arc<ValidRequest>, Res<Upstreams>);
    type Output = MappedModel;

    async fn run(
        &self,
        (valid, upstreams): Self::Input,
        cx: &Cx,
    ) -> Result<MappedModel, TaskError> {
        let asked = valid.request.get().model.as_ref();
        let wanted = valid.instead.as_deref().unwrap_or(asked);
        let name = self.aliases.get(wanted).map_or(wanted, String::as_str);
        let route = upstreams.route(name).map_err(TaskError::client)?;
        let target = route.upstream.target(&route.id);
        cx.fact(facts::MODEL_SENT, route.id);
        let named = valid.client_asked.as_deref().unwrap_or(asked);
        Ok(MappedModel {
            asked: named.to_owned(),
            target,
            upstream: route.upstream,
            lane: route.lane,
            provider: route.provider,
        })
    }
}
