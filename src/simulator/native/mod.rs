//! The simulated Messages endpoint: `POST /messages`, as OpenRouter has it or as Anthropic does.
//!
//! The built-in model, directives, stories and scripts are those of chat completions: a request is read into the same
//! conversation, and a turn is said in Anthropic's events. As OpenRouter's, the endpoint has the peculiarities that break
//! Anthropic's SDKs: `[DONE]`, ids that begin with `gen-`, no input tokens at the start, every thought said twice.

pub(super) mod events;
mod request;
mod searches;

use actix_web::{HttpRequest, HttpResponse, rt, web};
use serde_json::{Value, json};

use super::completion::Completion;
use super::conversation::Conversation;
use super::dialect;
use super::persona;
use super::refusal::{Refusal, usual_message};
use super::routes::{noted, now, raw, sent, streamed, tempo, torn};
use super::script::{Answer, Turn};
use super::seen::Watch;
use super::server::Host;
use super::state::State;

/// `POST /messages`.
pub(super) async fn messages(
    http: HttpRequest,
    bytes: web::Bytes,
    state: web::Data<State>,
) -> HttpResponse {
    let parsed = serde_json::from_slice::<Value>(&bytes);
    let body = parsed.as_ref().map_or(Value::Null, Clone::clone);
    let watch = noted(&http, &state, body, bytes.len());
    let session = header(&http, "x-session-id");
    let chat = authorised(&http)
        .and_then(|()| versioned(&http))
        .and_then(|()| {
            parsed.map_err(|error| Refusal::platform(400, format!("the body is not JSON: {error}")))
        })
        .and_then(|body| request::as_chat(&body, session));
    let chat = match chat {
        Ok(chat) => chat,
        Err(refusal) => return refused(watch, &refusal),
    };
    let conversation = match Conversation::read(&chat) {
        Ok(conversation) => conversation,
        Err(refusal) => return refused(watch, &refusal),
    };
    let scripted = watch.snapshot().and_then(|seen| state.scripted(&seen));
    match scripted {
        Some(Answer::Http {
            status,
            headers,
            body,
        }) => raw(watch, status, &headers, body),
        Some(Answer::Sse { pieces, end }) => {
            streamed(watch, "gen-scripted", pieces.into_iter(), end)
        }
        Some(Answer::Hang) => std::future::pending().await,
        Some(Answer::Reset) => torn(&http, watch).await,
        Some(Answer::Turn(turn)) => {
            play(&state, watch, &conversation, *turn, &dialect::name(16)).await
        }
        Some(Answer::BuiltIn) | None => {
            let cue = persona::answer(&conversation);
            play(&state, watch, &conversation, cue.turn, &cue.name).await
        }
    }
}

async fn play(
    state: &State,
    watch: Watch,
    conversation: &Conversation<'_>,
    turn: Turn,
    name: &str,
) -> HttpResponse {
    if let Some(failure) = &turn.fail
        && state.has_to_fail(name, failure.times)
    {
        let usual = usual_message(failure.status);
        let message = failure.message.as_deref().unwrap_or(usual);
        let refusal = Refusal::platform(failure.status, message);
        return match failure.retry_after {
            Some(seconds) => refused(
                watch,
                &refusal.with_header("retry-after", seconds.to_string()),
            ),
            None => refused(watch, &refusal),
        };
    }
    let breaks = turn
        .breaks
        .clone()
        .filter(|breaks| state.has_to_fail(&format!("{name} break"), breaks.times));
    let cached = state.cache(conversation.session(), conversation.prompt_tokens());
    let completion = Completion::new(&turn, conversation, now(), cached);
    let tempo = tempo(state, conversation, &turn);
    let host = state.settings.host;
    let id = completion.frame.id.clone();
    if conversation.streams() {
        let (pieces, end) = events::pieces(&completion, host, tempo, breaks.as_ref());
        return streamed(watch, &id, pieces.into_iter(), end);
    }
    rt::time::sleep(tempo.first).await;
    match breaks {
        Some(breaks) => refused(
            watch,
            &Refusal::platform(breaks.code, breaks.message.as_str()),
        ),
        None => {
            let mut response = HttpResponse::Ok();
            response.insert_header(("x-generation-id", id.as_str()));
            let message = events::message(&completion, host);
            sent(watch, &mut response, message.to_string())
        }
    }
}

/// Any key will do but none, in either header.
fn authorised(http: &HttpRequest) -> Result<(), Refusal> {
    let bearer = header(http, "authorization")
        .and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned));
    match header(http, "x-api-key").or(bearer).as_deref() {
        None | Some("") => Err(Refusal::platform(401, "x-api-key header is required")),
        Some(key) if key.contains("invalid") => Err(Refusal::platform(401, "invalid x-api-key")),
        Some(_) => Ok(()),
    }
}

fn versioned(http: &HttpRequest) -> Result<(), Refusal> {
    match header(http, "anthropic-version") {
        Some(_) => Ok(()),
        None => Err(Refusal::platform(
            400,
            "anthropic-version: header is required",
        )),
    }
}

fn header(http: &HttpRequest, name: &str) -> Option<String> {
    let value = http.headers().get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

fn refused(watch: Watch, refusal: &Refusal) -> HttpResponse {
    watch.refused(refusal.status, &refusal.message);
    let body = events::error(refusal.status, &refusal.message);
    raw(watch, refusal.status, &refusal.headers, body.to_string())
}

/// `GET /models`, to somebody who asks as Anthropic's clients do.
pub(super) fn listing() -> Value {
    let models = super::catalogue::all().filter(|model| model.id.starts_with("anthropic/"));
    let models: Vec<Value> = models
        .map(|model| {
            json!({
                "type": "model", "id": request::anthropics_name(model.id),
                "display_name": format!("{} (simulated)", request::anthropics_name(model.id)),
                "created_at": "2026-01-01T00:00:00Z",
                "max_input_tokens": model.context, "max_tokens": model.max_output,
            })
        })
        .collect();
    json!({ "data": models, "has_more": false, "first_id": null, "last_id": null })
}

impl Host {
    fn is_openrouter(self) -> bool {
        self == Self::OpenRouter
    }
}
