//! The routes of the simulator, and the way from a request to an answer.
//!
//! A request is checked first, whatever is scripted: a wrong translation must not hide behind a prepared answer.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, rt, web};
use serde_json::{Value, json};

use super::catalogue::{self, Family};
use super::completion::Completion;
use super::conversation::Conversation;
use super::dialect;
use super::line::Line;
use super::native;
use super::persona;
use super::refusal::{Refusal, usual_message};
use super::script::{Answer, Break, End, Piece, Turn};
use super::seen::{Seen, Watch};
use super::server::Host;
use super::state::State;
use super::stream::{self, Tempo};
use super::strict;

const LONGEST_PAUSE: u64 = 60_000;

/// Every route.
pub(super) fn all(config: &mut web::ServiceConfig) {
    config
        .service(
            web::scope("/api/v1")
                .route("/chat/completions", web::post().to(chat))
                .route("/messages", web::post().to(native::messages))
                .route("/models", web::get().to(models))
                .route("/model/{author}/{slug}", web::get().to(model))
                .route("/key", web::get().to(key))
                .route("/credits", web::get().to(credits)),
        )
        .default_service(web::to(nowhere));
}

async fn models(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let watch = noted(&request, &state, Value::Null, 0);
    if state.settings.host == Host::Anthropic {
        return told(watch, &native::listing());
    }
    told(watch, &catalogue::listing())
}

async fn model(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    state: web::Data<State>,
) -> HttpResponse {
    let watch = noted(&request, &state, Value::Null, 0);
    let (author, slug) = path.into_inner();
    match catalogue::find(&format!("{author}/{slug}")) {
        Some(model) => told(watch, &json!({ "data": model.entry() })),
        None => refused(
            watch,
            &Refusal::platform(404, format!("Model {author}/{slug} not found")),
        ),
    }
}

async fn key(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let watch = noted(&request, &state, Value::Null, 0);
    match authorised(&request) {
        Ok(()) => told(
            watch,
            &json!({ "data": {
            "label": "simulated", "limit": null, "limit_remaining": null, "limit_reset": null,
            "usage": 0.0, "usage_daily": 0.0, "usage_weekly": 0.0, "usage_monthly": 0.0,
            "is_free_tier": false, "is_management_key": false, "include_byok_in_limit": false,
            "expires_at": null, "rate_limit": { "requests": -1, "interval": "10s" },
        } }),
        ),
        Err(refusal) => refused(watch, &refusal),
    }
}

async fn credits(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let watch = noted(&request, &state, Value::Null, 0);
    match authorised(&request) {
        Ok(()) => told(
            watch,
            &json!({ "data": { "total_credits": 100.0, "total_usage": 0.0 } }),
        ),
        Err(refusal) => refused(watch, &refusal),
    }
}

async fn nowhere(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let watch = noted(&request, &state, Value::Null, 0);
    refused(
        watch,
        &Refusal::platform(
            404,
            format!("Not Found: {} {}", request.method(), request.path()),
        ),
    )
}

async fn chat(request: HttpRequest, bytes: web::Bytes, state: web::Data<State>) -> HttpResponse {
    let parsed = serde_json::from_slice::<Value>(&bytes);
    let body = parsed.as_ref().map_or(Value::Null, Clone::clone);
    let watch = noted(&request, &state, body, bytes.len());
    if let Err(refusal) = authorised(&request) {
        return refused(watch, &refusal);
    }
    let body = match parsed {
        Ok(body) => body,
        Err(error) => {
            return refused(
                watch,
                &Refusal::platform(400, format!("the body is not JSON: {error}")),
            );
        }
    };
    let conversation = match Conversation::read(&body) {
        Ok(conversation) => conversation,
        Err(refusal) => return refused(watch, &refusal),
    };
    if let Err(refusal) = strict::check(&conversation) {
        return refused(watch, &refusal);
    }
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
        Some(Answer::Reset) => torn(&request, watch).await,
        Some(Answer::Turn(turn)) => {
            play(&state, watch, &conversation, *turn, &dialect::name(16)).await
        }
        Some(Answer::BuiltIn) | None => {
            let cue = persona::answer(&conversation);
            play(&state, watch, &conversation, cue.turn, &cue.name).await
        }
    }
}

pub(super) async fn torn(request: &HttpRequest, mut watch: Watch) -> HttpResponse {
    watch.finished();
    match request.conn_data::<Line>().map(Line::reset) {
        Some(Ok(())) => std::future::pending().await,
        _ => HttpResponse::InternalServerError().finish(),
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
        let message = failure
            .message
            .as_deref()
            .unwrap_or_else(|| usual_message(failure.status));
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
    if conversation.streams() {
        let id = completion.frame.id.clone();
        let (pieces, end) = stream::pieces(completion, tempo, breaks.as_ref());
        return streamed(watch, &id, pieces, end);
    }
    rt::time::sleep(tempo.first).await;
    whole(watch, &completion, breaks.as_ref())
}

pub(super) fn tempo(state: &State, conversation: &Conversation<'_>, turn: &Turn) -> Tempo {
    let pause = turn
        .pause_ms
        .map(|ms| Duration::from_millis(ms.min(LONGEST_PAUSE)));
    Tempo {
        first: state.settings.first_token,
        pace: pause.unwrap_or(state.settings.pace),
        comments: if conversation.model.family == Family::Gemini {
            0
        } else {
            2
        },
    }
}

fn whole(watch: Watch, completion: &Completion, breaks: Option<&Break>) -> HttpResponse {
    match breaks {
        Some(breaks) => refused(
            watch,
            &Refusal::platform(breaks.code, breaks.message.as_str()),
        ),
        None => {
            let mut response = HttpResponse::Ok();
            response.insert_header(("x-generation-id", completion.frame.id.as_str()));
            sent(watch, &mut response, completion.whole().to_string())
        }
    }
}

pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

pub(super) fn noted(request: &HttpRequest, state: &State, body: Value, bytes: usize) -> Watch {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value)));
    let seen = Seen {
        number: 0,
        at: SystemTime::now(),
        method: request.method().to_string(),
        path: request.path().to_owned(),
        headers: headers.collect(),
        body: Arc::new(body),
        status: None,
        refused: None,
        finished: false,
        hung_up: false,
    };
    state.log.arrived(seen, bytes)
}

/// Any key will do but none, and one that says it is invalid.
fn authorised(request: &HttpRequest) -> Result<(), Refusal> {
    let header = request
        .headers()
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    match header.and_then(|header| header.strip_prefix("Bearer ")) {
        None | Some("") => Err(Refusal::platform(401, "No auth credentials found")),
        Some(key) if key.contains("invalid") => Err(Refusal::platform(401, "User not found.")),
        Some(_) => Ok(()),
    }
}

fn told(watch: Watch, body: &Value) -> HttpResponse {
    sent(watch, &mut HttpResponse::Ok(), body.to_string())
}

fn refused(watch: Watch, refusal: &Refusal) -> HttpResponse {
    watch.refused(refusal.status, &refusal_text(refusal));
    raw(
        watch,
        refusal.status,
        &refusal.headers,
        refusal.body().to_string(),
    )
}

/// The most telling words of a refusal: the provider's own, if it has any.
fn refusal_text(refusal: &Refusal) -> String {
    let body = refusal.body();
    let raw = body.pointer("/error/metadata/raw").and_then(Value::as_str);
    raw.map_or_else(|| refusal.message.clone(), str::to_owned)
}

pub(super) fn raw(
    watch: Watch,
    status: u16,
    headers: &[(String, String)],
    body: String,
) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    for (name, value) in headers {
        response.insert_header((name.as_str(), value.as_str()));
    }
    sent(watch, &mut response, body)
}

pub(super) fn sent(
    mut watch: Watch,
    response: &mut HttpResponseBuilder,
    body: String,
) -> HttpResponse {
    let mut response = response.body(body);
    let headers = response.headers_mut();
    if !headers.contains_key("content-type") {
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, json);
    }
    watch.answered(response.status().as_u16());
    watch.finished();
    response
}

pub(super) fn streamed(
    watch: Watch,
    id: &str,
    pieces: impl Iterator<Item = Piece> + 'static,
    end: End,
) -> HttpResponse {
    watch.answered(200);
    HttpResponse::Ok()
        .insert_header(("content-type", "text/event-stream"))
        .insert_header(("cache-control", "no-cache"))
        .insert_header(("x-generation-id", id))
        .streaming(stream::body(pieces, end, watch))
}
