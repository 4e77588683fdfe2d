//! `build_request`: the body for the upstream, cut to what the model takes.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::convert_messages::ConvertedMessages;
use super::convert_tools::ConvertedTools;
use super::forms::{Forms, Without};
use super::map_model::MappedModel;
use super::validate::ValidRequest;
use crate::engine::{Cx, Res, Task, TaskError};
use crate::events::{Artifact, Level};
use crate::facts;
use crate::protocol::anthropic::message::AppliedEdit;
use crate::protocol::anthropic::request::{InvalidRequest, Request};
use crate::protocol::translate::betas::carried;
use crate::protocol::translate::{Built, Demand, Messages, Routing, build_request};
use crate::upstream::{Api, Upstreams};

/// Puts the upstream's request together.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BuildRequest {}

/// The upstream's request, ready to be sent, as often as need be.
#[derive(Debug, Serialize)]
pub struct UpstreamRequest {
    /// The JSON body, and what to send when the upstream refuses something that it can do without.
    #[serde(skip)]
    pub forms: Forms,
    /// The length in bytes of the body as it was built.
    pub bytes: usize,
    /// Whether the answer should be a stream.
    pub stream: bool,
    /// What could not be carried, one sentence each.
    pub notes: Vec<String>,
    /// What `context_management` did, if the client asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied_edits: Option<Vec<AppliedEdit>>,
    /// How it is sent.
    #[serde(skip)]
    pub envelope: Envelope,
    /// When it was ready.
    #[serde(skip)]
    pub built: Instant,
}

/// What a request is sent with, besides its body.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// To which endpoint.
    pub api: Api,
    /// Headers of its own.
    pub headers: Vec<(String, String)>,
    /// The client's query.
    pub query: Option<String>,
}

/// A request with its body, which the record keeps elsewhere.
#[derive(Serialize)]
struct Whole<'a> {
    body: &'a RawValue,
    #[serde(flatten)]
    request: &'a UpstreamRequest,
}

impl Artifact for UpstreamRequest {
    const NAME: &'static str = "UpstreamRequest";

    fn write_whole(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        let body = self.forms.body();
        let whole = Whole {
            body: serde_json::from_slice(&body)?,
            request: self,
        };
        serde_json::to_writer(out, &whole)
    }
}

impl Task for BuildRequest {
    const NAME: &'static str = "build_request";
    const ABOUT: &'static str = "Puts the upstream's request together, cut to what the model takes";
    type Input = (
        Arc<ValidRequest>,
        Arc<MappedModel>,
        Arc<ConvertedMessages>,
        Arc<ConvertedTools>,
        Res<Upstreams>,
    );
    type Output = UpstreamRequest;

    async fn run(
        &self,
        (valid, model, messages, tools, upstreams): Self::Input,
        cx: &Cx,
    ) -> Result<UpstreamRequest, TaskError> {
        let request = valid.request.get();
        let parts = Parts {
            fallbacks: fallbacks(request, &model, &upstreams, cx)?,
            valid: Arc::clone(&valid),
            model: Arc::clone(&model),
            tools,
        };
        let built = parts
            .build(messages.0.get(), Demand::Strict)
            .map_err(TaskError::client)?;
        for note in &built.notes {
            cx.log(Level::Warn, note.to_string());
        }
        cx.fact(
            facts::MAX_TOKENS,
            i64::try_from(built.max_tokens).unwrap_or(i64::MAX),
        );
        let body = Bytes::from(built.body);
        cx.payload(facts::payload::UPSTREAM_REQUEST, body.clone());
        let notes = built.notes.iter().map(ToString::to_string).collect();
        let bytes = body.len();
        Ok(UpstreamRequest {
            bytes,
            stream: request.stream,
            notes,
            applied_edits: messages.0.get().applied_edits.clone(),
            envelope: Envelope {
                headers: beta_header(&valid, &model),
                ..Envelope::default()
            },
            forms: forms(body, parts, messages, built.has_thoughts),
            built: Instant::now(),
        })
    }
}

/// All that a request is built of, but for the messages.
struct Parts {
    valid: Arc<ValidRequest>,
    model: Arc<MappedModel>,
    tools: Arc<ConvertedTools>,
    fallbacks: Vec<String>,
}

impl Parts {
    fn build(&self, messages: &Messages<'_>, demand: Demand) -> Result<Built, InvalidRequest> {
        let request = self.valid.request.get();
        let sticky = self.valid.sticky_key();
        let end_user = request.end_user();
        let routing = Routing {
            session_id: sticky.as_deref(),
            user: end_user.as_deref(),
            models: &self.fallbacks,
            provider: self.model.provider.as_deref(),
            demand,
        };
        let (tools, target) = (self.tools.0.get(), &self.model.target);
        build_request(request, messages, tools, target, &routing)
    }
}

/// What may be refused, and can go: reasoning given back, a schema that must be enforced.
fn forms(body: Bytes, parts: Parts, messages: Arc<ConvertedMessages>, has_thoughts: bool) -> Forms {
    let has_schema = parts.valid.request.get().output_config.format.is_some();
    if !has_thoughts && !has_schema {
        return Forms::only(body);
    }
    Forms::new(body, move |without| {
        let (thoughts, strictness) = (Without::Thoughts, Without::Strictness);
        let may_go = |what: &Without| match what {
            Without::Thoughts => has_thoughts,
            Without::Strictness => has_schema,
        };
        if !without.iter().all(may_go) {
            return None;
        }
        let demand = match without.contains(&strictness) {
            true => Demand::Lenient,
            false => Demand::Strict,
        };
        let messages = messages.0.get();
        let built = if without.contains(&thoughts) {
            parts.build(&messages.without_thoughts(), demand)
        } else {
            parts.build(messages, demand)
        };
        Some(built.ok()?.body.into())
    })
}

/// The models that the upstream may fall back to, as it knows them. It can only take over from itself.
fn fallbacks(
    request: &Request<'_>,
    model: &MappedModel,
    upstreams: &Upstreams,
    cx: &Cx,
) -> Result<Vec<String>, TaskError> {
    let mut ids = Vec::new();
    // The client's own holds for all of them.
    let has_own_provider = request.own_provider().is_some();
    let ours = model.provider.as_deref().map(RawValue::get);
    for (index, name) in request.fallbacks.iter().enumerate() {
        let route = upstreams.route(name).map_err(|refused| {
            TaskError::client(InvalidRequest {
                path: format!("fallbacks.{index}.model"),
                ..refused
            })
        })?;
        let (there, here) = (route.upstream.name(), model.upstream.name());
        let why = if !Arc::ptr_eq(&route.upstream, &model.upstream) {
            format!("it is at `{there}` and not at `{here}`")
        } else if !has_own_provider && route.provider.as_deref().map(RawValue::get) != ours {
            "the settings have another `provider` for it, and a request can have one alone"
                .to_owned()
        } else {
            ids.push(route.id.to_string());
            continue;
        };
        cx.log(
            Level::Warn,
            format!("the fallback `{name}` was left out, because {why}"),
        );
    }
    Ok(ids)
}

/// Anthropic betas that this model's provider understands.
fn beta_header(valid: &ValidRequest, model: &MappedModel) -> Vec<(String, String)> {
    let asked = valid.betas.as_deref();
    let betas = asked.and_then(|betas| carried(betas, model.target.family));
    betas
        .filter(|_| model.target.dialect.extensions)
        .map(|betas| ("x-anthropic-beta".to_owned(), betas))
        .into_iter()
        .collect()
}
