//! How the answer reaches the client in both lanes: as events while it comes, or whole.
//!
//! It states what came and what the client gets, and must not know what a lane makes of an answer.

use bytes::Bytes;

use super::call_upstream::{UpstreamAnswer, UpstreamContent};
use super::client_reply::{ClientReply, Content};
use super::convert_response::ReplySummary;
use super::converter::Converter;
use super::map_model::MappedModel;
use super::reply_flow::{Patience, ReplyFlow, Timing, state_first};
use crate::engine::{Cx, FlowEnd, Own, Tail, TailReporter, TaskError, tail};
use crate::facts::{self, payload};
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::translate::reply::Summary;
use crate::upstream::ByteFlow;

/// What a lane makes of an answer.
pub(super) trait Conversion {
    /// The model that answers, as the beginning of a stream names it.
    fn answering_model(beginning: &[u8]) -> Option<String>;

    /// For an answer that comes as events.
    fn of_events(self) -> Converter;

    /// For one that came whole.
    fn of_whole(self, body: &[u8]) -> (Result<Vec<u8>, ApiError>, Summary);
}

/// What both lanes give.
pub(super) type Delivered = (Own<ClientReply>, Tail<ReplySummary>);

/// Hands the answer on. A flow is wrapped, and nothing of it is read here.
pub(super) fn deliver(
    conversion: impl Conversion,
    answer: UpstreamAnswer,
    asked: &MappedModel,
    patience: Patience,
    cx: &Cx,
) -> Result<Delivered, TaskError> {
    let timing = Timing {
        sent: answer.sent,
        patience,
    };
    let (end, tail) = tail();
    let (content, answering) = match answer.content {
        UpstreamContent::Stream(flow) => streamed(conversion, flow, timing, end, cx),
        UpstreamContent::AsEvent(body) => {
            cx.payload(payload::UPSTREAM_RESPONSE, body.clone());
            streamed(conversion, ByteFlow::of_event(&body), timing, end, cx)
        }
        UpstreamContent::Whole(body) => {
            let waited = answer.arrived.duration_since(answer.sent);
            cx.fact(facts::FIRST_TOKEN, waited.as_secs_f64());
            state_first(cx.reporter());
            whole(conversion, &body, end, cx)?
        }
    };
    let reply = ClientReply {
        content,
        model: Some(answering.unwrap_or_else(|| asked.target.id.clone())),
        generation: answer.generation,
        headers: answer.passed_headers,
    };
    Ok((Own(reply), tail))
}

fn streamed<C: Conversion>(
    conversion: C,
    flow: ByteFlow,
    timing: Timing,
    end: TailReporter<ReplySummary>,
    cx: &Cx,
) -> (Content, Option<String>) {
    let answering = C::answering_model(flow.beginning());
    let reporter = cx.reporter().clone();
    let flow = ReplyFlow::new(flow, conversion.of_events(), timing, end, reporter);
    (Content::Stream(Box::new(flow)), answering)
}

fn whole(
    conversion: impl Conversion,
    body: &Bytes,
    end: TailReporter<ReplySummary>,
    cx: &Cx,
) -> Result<(Content, Option<String>), TaskError> {
    cx.payload(payload::UPSTREAM_RESPONSE, body.clone());
    let (message, summary) = conversion.of_whole(body);
    let message = Bytes::from(message.map_err(TaskError::upstream)?);
    let answering = summary.model_used.clone();
    end.report(ReplySummary(summary), FlowEnd::Finished);
    cx.payload(payload::CLIENT_RESPONSE, message.clone());
    Ok((Content::Whole(message), answering))
}
