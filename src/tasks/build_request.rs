//! `build_request`: the body for the upstream, cut to what the model takes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::convert_messages::ConvertedMessages;
use super::convert_tools::ConvertedTools;
use super::map_model::{Aliases, MappedModel};
use super::validate::ValidRequest;
use crate::engine::{Artifact, Cx, Level, Res, Task, TaskError};
use crate::facts;
use crate::protocol::translate::betas::carried;
use crate::protocol::translate::model::resolve;
use crate::protocol::translate::{Routing, build_request};

/// Puts the upstream's request together.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BuildRequest {}

/// The upstream's `provider` object from the settings: which providers may serve, in which order, at which price.
#[derive(Debug, Default)]
pub struct ProviderWish {
    /// The object, if there is one.
    pub json: Option<Box<RawValue>>,
}

/// The upstream's request, ready to be sent, as often as need be.
#[derive(Debug, Serialize)]
pub struct UpstreamRequest {
    /// The JSON body.
    #[serde(skip)]
    pub body: Bytes,
    /// The body's length in bytes.
    pub bytes: usize,
    /// Whether the answer should be a stream.
    pub stream: bool,
    /// What could not be carried, one sentence each.
    pub notes: Vec<String>,
    /// Anthropic betas that this model's provider understands.
    pub betas: Option<String>,
    /// When it was ready.
    #[serde(skip)]
    pub built: Instant,
}

impl Artifact for UpstreamRequest {
    const NAME: &'static str = "UpstreamRequest";
}

impl Task for BuildRequest {
    const NAME: &'static str = "build_request";
    const ABOUT: &'static str = "Puts the upstream's request together, cut to what the model takes";
    type Input = (
        Arc<ValidRequest>,
        Arc<MappedModel>,
        Arc<ConvertedMessages>,
        Arc<ConvertedTools>,
        Res<Aliases>,
        Res<ProviderWish>,
    );
    type Output = UpstreamRequest;

    async fn run(
        &self,
        (valid, model, messages, tools, aliases, provider): Self::Input,
        cx: &Cx,
    ) -> Result<UpstreamRequest, TaskError> {
        let request = valid.request.get();
        let fallbacks = fallbacks(&request.fallbacks, &aliases.names)?;
        let sticky = sticky_key(valid.session.as_deref(), valid.agent.as_deref());
        let end_user = request.end_user();
        let routing = Routing {
            session_id: sticky.as_deref(),
            user: end_user.as_deref(),
            models: &fallbacks,
            provider: provider.json.as_deref(),
        };
        let built = build_request(
            request,
            messages.0.get(),
            tools.0.get(),
            &model.target,
            &routing,
        );
        let built = built.map_err(TaskError::client)?;
        for note in &built.notes {
            cx.log(Level::Warn, note.to_string());
        }
        cx.fact(
            facts::MAX_TOKENS,
            i64::try_from(request.max_tokens).unwrap_or(i64::MAX),
        );
        let body = Bytes::from(built.body);
        cx.payload(facts::payload::UPSTREAM_REQUEST, body.clone());
        let notes = built.notes.iter().map(ToString::to_string).collect();
        let bytes = body.len();
        Ok(UpstreamRequest {
            body,
            bytes,
            stream: request.stream,
            notes,
            betas: valid
                .betas
                .as_deref()
                .and_then(|betas| carried(betas, model.target.family)),
            built: Instant::now(),
        })
    }
}

/// The models that the upstream may fall back to, as it knows them.
fn fallbacks(
    asked: &[Cow<'_, str>],
    aliases: &BTreeMap<String, String>,
) -> Result<Vec<String>, TaskError> {
    asked
        .iter()
        .map(|model| resolve(model, aliases).map_err(TaskError::client))
        .collect()
}

/// OpenRouter keeps a session at one provider, so that its cache hits. A sub-agent has another prefix, hence another key.
fn sticky_key(session: Option<&str>, agent: Option<&str>) -> Option<String> {
    const LONGEST: usize = 256;
    let session = session?;
    let key = match agent {
        Some(agent) => format!("{session}:{agent}"),
        None => session.to_owned(),
    };
    (key.len() <= LONGEST).then_some(key)
}
