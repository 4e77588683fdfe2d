//! `pass_through`: the answer of a Messages endpoint as it is, but for what breaks Anthropic's SDKs.

use std::sync::Arc;

use serde::Deserialize;

use super::call_upstream::UpstreamAnswer;
use super::client_reply::ClientReply;
use super::convert_response::ReplySummary;
use super::converter::Converter;
use super::deliver::{Conversion, deliver};
use super::map_model::MappedModel;
use super::reply_flow::Patience;
use super::validate::ValidRequest;
use crate::engine::{Cx, Own, Res, Tail, Task, TaskError};
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::native::{Passage, PassageSettings, answering_model, whole};
use crate::protocol::translate::reply::Summary;

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
        deliver(settings, answer, &model, *patience, cx)
    }
}

impl Conversion for PassageSettings {
    fn answering_model(beginning: &[u8]) -> Option<String> {
        answering_model(beginning)
    }

    fn of_events(self) -> Converter {
        Passage::new(self).into()
    }

    fn of_whole(self, body: &[u8]) -> (Result<Vec<u8>, ApiError>, Summary) {
        whole(&self, body)
    }
}
