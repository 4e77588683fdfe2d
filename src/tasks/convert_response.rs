//! `convert_response`: the model's answer in Anthropic's words, as it comes.
//!
//! The flow is taken by move and wrapped; nothing is buffered and nothing is spawned: the client's socket pulls.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::build_request::UpstreamRequest;
use super::call_upstream::{UpstreamAnswer, UpstreamContent};
use super::client_reply::{ClientReply, Content};
use super::convert_tools::ConvertedTools;
use super::map_model::MappedModel;
use super::reply_flow::{Patience, ReplyFlow};
use super::validate::ValidRequest;
use crate::engine::{Cx, FlowEnd, Own, Res, Tail, Task, TaskError, tail};
use crate::events::Artifact;
use crate::facts;
use crate::protocol::translate::reply::{
    ReplySettings, Summary, Translator, answering_model, whole,
};
use crate::protocol::translate::tokens;

/// Wraps the answer in the translator. The times are how long silence is borne.
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
        let (reporter, tail) = tail();
        let answering;
        let content = match answer.content {
            UpstreamContent::Stream(flow) => {
                answering = answering_model(flow.beginning());
                let translator = Translator::new(settings);
                let timing = (*patience, answer.sent);
                Content::Stream(Box::new(ReplyFlow::new(
                    flow,
                    translator,
                    reporter,
                    cx.reporter().clone(),
                    timing,
                )))
            }
            UpstreamContent::Whole(body) => {
                cx.fact(
                    facts::FIRST_TOKEN,
                    answer.arrived.duration_since(answer.sent).as_secs_f64(),
                );
                cx.payload(facts::payload::UPSTREAM_RESPONSE, body.clone());
                let (converted, summary) = whole(settings, &body);
                let message = converted.map_err(TaskError::upstream)?;
                answering = summary.model_used.clone();
                reporter.report(ReplySummary(summary), FlowEnd::Finished);
                let message = Bytes::from(message);
                cx.payload(facts::payload::CLIENT_RESPONSE, message.clone());
                Content::Whole(message)
            }
        };
        let reply = ClientReply {
            content,
            model: Some(answering.unwrap_or_else(|| model.target.id.clone())),
            generation: answer.generation,
            headers: Vec::new(),
        };
        Ok((Own(reply), tail))
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
        input_estimate: tokens::estimate(request),
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
