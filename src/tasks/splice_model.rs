//! `splice_model`: the client's body as it is, with the model's name as the upstream knows it, and without what is for
//! Anthropic's eyes only where another reads it. OpenRouter gets the `provider` object of the settings with it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde::Deserialize;

use super::build_request::{Envelope, UpstreamRequest};
use super::client_request::{ClientRequest, shared_bytes};
use super::forms::Forms;
use super::map_model::MappedModel;
use super::validate::ValidRequest;
use crate::engine::{Cx, Task, TaskError};
use crate::events::Level;
use crate::facts;
use crate::protocol::anthropic::request::{AnthropicsOwn, Request};
use crate::protocol::native::{own_blocks, spliced, with_member};
use crate::protocol::translate::CLIENTS_PROVIDER;
use crate::upstream::{Api, Kind};

/// Passes the body on. Bytes are copied once, and only when something changes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpliceModel {}

impl Task for SpliceModel {
    const NAME: &'static str = "splice_model";
    const ABOUT: &'static str =
        "Puts the upstream's name of the model into the body and leaves the rest";
    type Input = (Arc<ClientRequest>, Arc<ValidRequest>, Arc<MappedModel>);
    type Output = UpstreamRequest;

    async fn run(
        &self,
        (client, valid, model): Self::Input,
        cx: &Cx,
    ) -> Result<UpstreamRequest, TaskError> {
        let request = valid.request.get();
        let keeps_threads = model.upstream.client.kind() != Kind::OpenRouter;
        if let Some(lost) = request.lost_thread.as_ref().filter(|_| !keeps_threads) {
            // Unread, it would lose all that was said before.
            return Err(TaskError::client(lost.clone()));
        }
        let text = valid.request.backing_cart();
        // Anthropic's own API gets what is its own.
        let left_out: &[AnthropicsOwn] = match model.upstream.client.kind() {
            Kind::OpenRouter => &request.anthropics_own,
            Kind::OpenAi | Kind::Anthropic => &[],
        };
        let own = own_blocks(text);
        let mut notes: Vec<String> = left_out.iter().map(|own| own.why.to_owned()).collect();
        notes.extend(own.notes());
        let provider = provider(text, request, &model, &mut notes);
        for note in &notes {
            cx.log(Level::Warn, note.as_str());
        }
        let cuts = left_out.iter().map(|own| (&own.place, own.instead));
        let own = own.cuts.iter();
        let cuts = cuts.chain(own.map(|(place, instead)| (place, instead.as_ref())));
        let provider = provider.iter();
        let cuts = cuts.chain(provider.map(|(place, json)| (place, json.as_str())));
        let body = match spliced(text, &model.target.id, cuts) {
            Some(body) => Bytes::from(body),
            None => shared_bytes(text),
        };
        if let Ok(limit @ 1..) = i64::try_from(request.max_tokens) {
            cx.fact(facts::MAX_TOKENS, limit);
        }
        cx.payload(facts::payload::UPSTREAM_REQUEST, body.clone());
        let mut headers = client.passed_headers.clone();
        if model.upstream.client.kind() == Kind::OpenRouter
            && let Some(session) = valid.sticky_key()
        {
            // The body stays untouched, so the session goes beside it.
            headers.push(("x-session-id".to_owned(), session));
        }
        Ok(UpstreamRequest {
            bytes: body.len(),
            // A thought that is refused here is the client's to take back: its body passes as it is.
            forms: Forms::only(body),
            stream: request.stream,
            notes,
            applied_edits: None,
            envelope: Envelope {
                api: Api::Messages,
                headers,
                query: client.query.clone(),
            },
            built: Instant::now(),
        })
    }
}

/// The cut that puts the `provider` object of the settings into a body for OpenRouter, unless the client has sent its own.
/// A note says when it goes nowhere.
fn provider(
    text: &str,
    request: &Request<'_>,
    model: &MappedModel,
    notes: &mut Vec<String>,
) -> Option<(Range<usize>, String)> {
    let provider = model.provider.as_deref()?;
    let client = &model.upstream.client;
    if !model.target.dialect.extensions {
        let name = client.name();
        notes.push(format!(
            "`provider` of the settings was left out, because it is OpenRouter's own and `{name}` does not take it"
        ));
        return None;
    }
    if request.own_provider().is_some() {
        notes.push(CLIENTS_PROVIDER.to_owned());
        return None;
    }
    Some(with_member(
        text,
        "provider",
        provider.get(),
        request.provider,
    ))
}
