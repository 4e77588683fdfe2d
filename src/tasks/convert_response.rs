//! `convert_response`: the model's answer in Anthropic's words, as it comes.
//!
//! The flow is taken by move and wrapped; nothing is buffered and nothing is spawned: the client's socket pulls.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::build_request::UpstreamRequest;
use super::call_upstream::UpstreamAnswer;
use super::client_reply::ClientReply;
use super::convert_tools::ConvertedTools;
use super::converter::Converter;
use super::deliver::{Conversion, deliver};
use super::map_model::MappedModel;
use super::reply_flow::Patience;
use super::validate::ValidRequest;
use crate::engine::{Cx, Own, Res, Tail, Task, TaskError};
use crate::events::Artifact;
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::translate::messages::edited;
use crate::protocol::translate::reply::{
    ReplySettings, Summary, Translator, answering_model, whole,
};
use crate::protocol::translate::tokens;

/// Wraps the answer in the translator.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConvertResponse {}

/// What is known of an answer once it has ended.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct ReplySummary(pub Summary);

impl Artifact for ReplySummary {
    const NAME: &'static str = "ReplySummary";
}

impl Task for ConvertResponse {
    const NAME: &'static str = "convert_response";
    const ABOUT: &'static str = "Converts the answer, as it comes, into Anthropic's events";
    type Input = (
        Own<UpstreamAnswer>,
        Arc<UpstreamRequest>,
        Arc<ValidRequest>,
        Arc<MappedModel>,
        Arc<ConvertedTools>,
        Res<Patience>,
    );
    type Output = (Own<ClientReply>, Tail<ReplySummary>);

    async fn run(&self, input: Self::Input, cx: &Cx) -> Result<Self::Output, TaskError> {
        let (Own(answer), request, valid, model, tools, patience) = input;
        let settings = ReplySettings {
            applied_edits: request.applied_edits.clone(),
            ..reply_settings(cx, &valid, &model, &tools)
        };
        deliver(settings, answer, &model, *patience, cx)
    }
}

impl Conversion for ReplySettings {
    fn answering_model(beginning: &[u8]) -> Option<String> {
        answering_model(beginning)
    }

    fn of_events(self) -> Converter {
        Translator::new(self).into()
    }

    fn of_whole(self, body: &[u8]) -> (Result<Vec<u8>, ApiError>, Summary) {
        whole(self, body)
    }
}

fn reply_settings(
    cx: &Cx,
    valid: &ValidRequest,
    model: &MappedModel,
    tools: &ConvertedTools,
) -> ReplySettings {
    let request = valid.request.get();
    ReplySettings {
        message_id: format!("msg_{}", cx.run_id().simple()),
        model: model.asked.clone(),
        request_id: cx.start().request_id.to_string(),
        target_model: model.target.id.clone(),
        input_estimate: tokens::estimate(&edited(request)),
        names: tools.0.get().names.clone(),
        thinking_asked: request.asks_for_thinking(),
        display_omitted: request.omits_thinking(),
        stop_sequences: request
            .stop_sequences
            .iter()
            .map(|stop| stop.clone().into_owned())
            .collect(),
        used_tool_ids: request.tool_ids(),
        web_search: request.offers_web_search(),
        web_fetch: request.offers_web_fetch(),
        schema: request
            .output_config
            .format
            .map(|format| format.schema.as_str().to_owned()),
        applied_edits: None,
    }
}
