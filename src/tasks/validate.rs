//! `validate`: the body is a request that can be served.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde::ser::{Serialize, Serializer};
use yoke::Yoke;

use super::client_request::ClientRequest;
use super::json::Json;
use crate::engine::{Cx, Task, TaskError};
use crate::events::{Artifact, Level};
use crate::facts;
use crate::protocol::anthropic::request::{Request, asked_model};
use crate::protocol::json_text::whole_characters;

/// The longest key of a conversation that the upstream takes, in bytes.
const LONGEST_SESSION: usize = 256;

/// Parses the body once, into types that borrow from it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Validate {
    endpoint: Endpoint,
}

/// Whose rules apply.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Endpoint {
    #[default]
    Messages,
    CountTokens,
    /// The body passes as it is: only what has to be known of it is read.
    Native,
}

/// A request that can be served, and the text it borrows from.
pub struct ValidRequest {
    /// The parsed request.
    pub request: Yoke<Request<'static>, Arc<String>>,
    /// The model that the client named, where the request is not its own and may name another.
    pub client_asked: Option<String>,
    /// The model to ask instead of the one that it names.
    pub instead: Option<Arc<str>>,
    /// Whether all of it was read, and not only what is needed to pass it on.
    pub is_read: bool,
    /// The conversation's id, from the header or from the body.
    pub session: Option<String>,
    /// The sub-agent's id.
    pub agent: Option<String>,
    /// `anthropic-beta`.
    pub betas: Option<String>,
}

impl ValidRequest {
    /// The key by which OpenRouter keeps a session at one provider, so that its cache hits. A sub-agent has another
    /// prefix, hence another key. Where the whole user id stands for the session, its hash is given: it may name a person.
    #[must_use]
    pub fn sticky_key(&self) -> Option<String> {
        let session = self.session.as_deref()?;
        let key = match &self.agent {
            Some(agent) => format!("{session}:{agent}"),
            None => session.to_owned(),
        };
        let may_name_a_person = self.request.get().user_id.as_deref() == Some(session);
        // A longer one is not taken; its hash keeps conversations apart as well.
        let is_too_long = key.len() > LONGEST_SESSION;
        Some(if is_too_long || may_name_a_person {
            blake3::hash(key.as_bytes()).to_hex().to_string()
        } else {
            key
        })
    }
}

impl Serialize for ValidRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.request.get().serialize(serializer)
    }
}

impl Artifact for ValidRequest {
    const NAME: &'static str = "ValidRequest";

    fn write_whole(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        out.extend_from_slice(self.request.backing_cart().as_bytes());
        Ok(())
    }
}

impl Task for Validate {
    const NAME: &'static str = "validate";
    const ABOUT: &'static str = "Checks the request's shape and parses it once";
    type Input = (Arc<ClientRequest>, Option<Arc<Json>>);
    type Output = ValidRequest;

    async fn run(
        &self,
        (input, other_body): Self::Input,
        cx: &Cx,
    ) -> Result<ValidRequest, TaskError> {
        // Who asks is known before what is asked, and also of a request that is refused.
        for (name, said) in [
            (facts::USER_AGENT, &input.user_agent),
            (facts::SESSION, &input.session),
            (facts::AGENT, &input.agent),
        ] {
            if let Some(said) = said {
                cx.fact(name, said.as_str());
            }
        }
        let text = body_of(&input, other_body.as_deref(), cx)?;
        let text = match self.endpoint {
            Endpoint::Native => text,
            Endpoint::Messages | Endpoint::CountTokens => with_whole_characters(text, cx),
        };
        let mut is_read = self.endpoint != Endpoint::Native;
        let parsed = Yoke::try_attach_to_cart(Arc::clone(&text), |text| match self.endpoint {
            Endpoint::Messages => Request::parse(text),
            // What an upstream reads by itself may hold what is unknown here, and is counted all the same.
            Endpoint::CountTokens if input.passes_unread => {
                Request::parse_for_count(text).or_else(|_| {
                    is_read = false;
                    Request::parse_to_pass(text)
                })
            }
            Endpoint::CountTokens => Request::parse_for_count(text),
            Endpoint::Native => Request::parse_to_pass(text),
        });
        let request = parsed.map_err(|refused| {
            if let Some(asked) = asked_model(&text) {
                cx.fact(facts::MODEL_ASKED, asked.name.as_ref());
            }
            TaskError::client(refused)
        })?;
        let parsed: &Request<'_> = request.get();
        let client_asked = other_body.and_then(|_| asked_model(input.text.as_deref().ok()?));
        let client_asked = client_asked.map(|asked| asked.name.into_owned());
        let asked = client_asked.as_deref().unwrap_or(&parsed.model);
        cx.fact(facts::MODEL_ASKED, asked);
        cx.fact(facts::STREAM, parsed.stream);
        let from_body = || {
            let session = parsed.session_id()?.into_owned();
            cx.fact(facts::SESSION, session.as_str());
            Some(session)
        };
        let session = input.session.clone().or_else(from_body);
        Ok(ValidRequest {
            request,
            client_asked,
            instead: input.instead.clone(),
            is_read,
            session,
            agent: input.agent.clone(),
            betas: input.betas.clone(),
        })
    }
}

/// The body to read: the client's, unless a step before gave another.
fn body_of(input: &ClientRequest, other: Option<&Json>, cx: &Cx) -> Result<Arc<String>, TaskError> {
    let clients = input.text.clone().map_err(TaskError::client)?;
    let Some(Json(body)) = other else {
        return Ok(clients);
    };
    let note = "the body is what a step before gave, not what the client sent";
    cx.log(Level::Info, note);
    Ok(Arc::new(body.get().to_owned()))
}

/// Clients that cut a text between two halves of a character send one of them; hosts refuse such a request whole.
fn with_whole_characters(text: Arc<String>, cx: &Cx) -> Arc<String> {
    let Cow::Owned(whole) = whole_characters(&text) else {
        return text;
    };
    // Whole characters are written again in lower case.
    if whole.eq_ignore_ascii_case(&text) {
        return text;
    }
    let note = "halves of characters (lone surrogates) were replaced by U+FFFD: hosts refuse them";
    cx.log(Level::Warn, note);
    Arc::new(whole)
}
