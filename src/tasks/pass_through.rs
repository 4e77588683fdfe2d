//! `pass_through`: the answer of a Messages endpoint as it is, but for what breaks Anthropic's SDKs.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;

use super::call_upstream::{UpstreamAnswer, UpstreamContent};
use super::client_reply::{ClientReply, Content};
use super::convert_response::ReplySummary;
use super::map_model::MappedModel;
use super::reply_flow::{Patience, ReplyFlow};
use super::validate::ValidRequest;
use crate::engine::{Cx, FlowEnd, Own, Res, Tail, Task, TaskError, tail};
use crate::facts;
use crate::protocol::native::{Passage, PassageSettings, answering_model, whole};

/// Wraps the answer in the filter and returns at once: the client's socket pulls.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PassThrough {}

impl Task for PassThrough {
    const NAME: &'static str = "pass_through";
    const ABOUT: &'static str = "Passes the answer on as it comes, without what breaks SDKs";
    type Input = (
        Own<UpstreamAnswer>,
        Arc<ValidRequest>,
        Arc<MappedModel>,
        Res<Patience>,
    );
    type Output = (Own<ClientReply>, Tail<ReplySummary>);

    async fn run(&self, input: Self::Input, cx: &Cx) -> Result<Self::Output, TaskError> {
        let (Own(answer), valid, model, patience) = input;
        let settings = PassageSettings {
            message_id: format!("msg_{}", cx.run_id().simple()),
            // Even an id of the catalogue is answered under its dated form, which clients have no window and price for.
            model: Some(model.asked.clone()),
            request_id: cx.start().request_id.to_string(),
            only_stop: match valid.request.get().stop_sequences.as_slice() {
                [only] => Some(only.clone().into_owned()),
                _ => None,
            },
            body: Some(Arc::clone(valid.request.backing_cart())),
        };
        let (reporter, tail) = tail();
        let answering;
        let content = match answer.content {
            UpstreamContent::Stream(flow) => {
                answering = answering_model(flow.beginning());
                Content::Stream(Box::new(ReplyFlow::new(
                    flow,
                    Passage::new(settings),
                    reporter,
                    cx.reporter().clone(),
                    (*patience, answer.sent),
                )))
            }
            UpstreamContent::Whole(body) => {
                cx.fact(
                    facts::FIRST_TOKEN,
                    answer.arrived.duration_since(answer.sent).as_secs_f64(),
                );
                cx.payload(facts::payload::UPSTREAM_RESPONSE, body.clone());
                let (passed, summary) = whole(&settings, &body);
                let message = passed.map_err(TaskError::upstream)?;
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
            headers: answer.passed_headers,
        };
        Ok((Own(reply), tail))
    }
}
