//! A request becomes a run, and the run an answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::error::PayloadError;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use bytes::Bytes;
use futures_util::StreamExt;
use tracing::Instrument;

use super::errors;
use super::gateway::{Gateway, MessagesPlan};
use crate::events::{Reporter, RunId, RunStart, Timestamp, TraceContext};
use crate::facts::{self, payload};
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::anthropic::request::InvalidRequest;
use crate::tasks::reply_flow::STOPPING;
use crate::tasks::{ClientReply, ClientRequest, Content};
use crate::upstream::Lane;
use crate::upstream::headers::to_json;

/// The longest pause in the middle of a request body.
const BODY_PAUSE: Duration = Duration::from_secs(30);

/// `POST /v1/messages`.
pub async fn messages(
    request: HttpRequest,
    body: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    serve(&request, body, &gateway, Door::Messages).await
}

/// `POST /v1/messages/count_tokens`.
pub async fn count_tokens(
    request: HttpRequest,
    body: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    serve(&request, body, &gateway, Door::CountTokens).await
}

/// Which route was called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Messages,
    CountTokens,
}

async fn serve(
    request: &HttpRequest,
    body: web::Payload,
    gateway: &Gateway,
    door: Door,
) -> HttpResponse {
    let id = RunId::now();
    let request_id: Arc<str> = id.request_id().into();
    let text = read_text(request.headers(), body, gateway.body_limit).await;
    if let Err(error) = gateway.admit().await {
        return errors::answer(&error, &request_id);
    }
    let mut input = client_request(request.headers(), text);
    let lane = match &input.text {
        Ok(body) if door == Door::Messages => gateway.lane(body),
        _ => Lane::Chat,
    };
    if lane == Lane::Native {
        pass_on(request, &mut input);
    }
    let plan = plan_for(gateway, door, lane);
    let trace = header(request.headers(), "traceparent")
        .as_deref()
        .and_then(TraceContext::parse);
    let tracestate = trace.and_then(|_| {
        let lines = request.headers().get_all("tracestate");
        TraceContext::tracestate(lines.map(HeaderValue::as_bytes))
    });
    let trace = trace.unwrap_or_else(|| TraceContext::of_run(id));
    let start = RunStart {
        id,
        at: Timestamp::now(),
        request_id,
        trace,
        tracestate,
    };
    let span = tracing::error_span!("run", run.id = %id, request.id = %start.request_id);
    run(gateway, &plan, (request.headers(), input), start)
        .instrument(span)
        .await
}

/// The plan for a request. The run keeps it, whatever comes into use meanwhile.
fn plan_for(gateway: &Gateway, door: Door, lane: Lane) -> Arc<MessagesPlan> {
    let plans = gateway.plans.load();
    Arc::clone(match (door, lane) {
        (Door::CountTokens, _) => &plans.count_tokens,
        (Door::Messages, Lane::Chat) => &plans.messages,
        (Door::Messages, Lane::Native) => &plans.native,
    })
}

async fn run(
    gateway: &Gateway,
    plan: &Arc<MessagesPlan>,
    (headers, input): (&HeaderMap, ClientRequest),
    start: RunStart,
) -> HttpResponse {
    let received = input.received;
    let asked = input.body();
    let mut run = plan.start(Arc::new(input), start, &gateway.events);
    let reporter = run.reporter().clone();
    reporter.payload(payload::CLIENT_REQUEST_HEADERS, shown(headers));
    if let Some(asked) = asked {
        reporter.payload(payload::CLIENT_REQUEST, asked);
    }
    let replied = tokio::select! {
        biased;
        replied = run.reply() => Some(replied),
        () = gateway.last_call.cancelled() => None,
    };
    let response = match replied {
        Some(Ok(mut reply)) => {
            if let Content::Stream(flow) = &mut reply.content {
                flow.end_at(gateway.last_call.clone());
            }
            answer(reply, &reporter, received)
        }
        Some(Err(failure)) => refuse(&errors::of_run(&failure), &reporter, received),
        None => return refuse(&ApiError::overloaded(STOPPING), &reporter, received),
    };
    let rest = gateway.tracker.track_future(run.finish().in_current_span());
    actix_web::rt::spawn(rest);
    response
}

/// Answers with an error, and records it.
fn refuse(error: &ApiError, reporter: &Reporter, received: Instant) -> HttpResponse {
    let request_id = &reporter.start().request_id;
    reporter.fact(facts::ERROR_TYPE, error.kind.name());
    let body = Bytes::from(error.body(request_id));
    reporter.payload(payload::CLIENT_RESPONSE, body);
    let mut response = errors::answer(error, request_id);
    state_answer(&mut response, reporter, received);
    response
}

fn answer(reply: ClientReply, reporter: &Reporter, received: Instant) -> HttpResponse {
    let mut builder = HttpResponse::Ok();
    insert(&mut builder, "request-id", &reporter.start().request_id);
    if let Some(model) = &reply.model {
        insert(&mut builder, "x-dagway-model", model);
    }
    if let Some(generation) = &reply.generation {
        insert(&mut builder, "x-generation-id", generation);
    }
    for (name, value) in &reply.headers {
        builder.insert_header((name.as_str(), value.as_str()));
    }
    let mut response = match reply.content {
        Content::Whole(body) => {
            builder.insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json")));
            builder.body(body)
        }
        Content::Stream(flow) => {
            builder.insert_header((
                CONTENT_TYPE,
                HeaderValue::from_static("text/event-stream; charset=utf-8"),
            ));
            builder.insert_header((
                CACHE_CONTROL,
                HeaderValue::from_static("no-cache, no-transform"),
            ));
            builder.insert_header((
                HeaderName::from_static("x-accel-buffering"),
                HeaderValue::from_static("no"),
            ));
            builder.streaming(flow)
        }
    };
    state_answer(&mut response, reporter, received);
    response
}

/// Adds the headers that every answer of a run has, and records what the client got.
fn state_answer(response: &mut HttpResponse, reporter: &Reporter, received: Instant) {
    let own = received.elapsed().saturating_sub(reporter.waited());
    let overhead = u64::try_from(own.as_micros()).unwrap_or(u64::MAX);
    let status = i64::from(response.status().as_u16());
    let headers = response.headers_mut();
    for (name, text) in [
        ("x-dagway-run", reporter.run_id().to_string()),
        ("x-dagway-overhead-us", overhead.to_string()),
    ] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    reporter.fact(facts::STATUS, status);
    reporter.fact(
        facts::OVERHEAD_US,
        i64::try_from(overhead).unwrap_or(i64::MAX),
    );
    reporter.payload(payload::CLIENT_RESPONSE_HEADERS, shown(headers));
}

fn insert(builder: &mut HttpResponseBuilder, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        builder.insert_header((HeaderName::from_static(name), value));
    }
}

/// Whether the body comes as it is: nothing is unpacked here, where a few bytes could become gigabytes.
fn is_plain(headers: &HeaderMap) -> Result<(), ApiError> {
    let codings = headers.get_all(CONTENT_ENCODING);
    let packed = codings
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .find(|coding| {
            !coding.trim().is_empty() && !coding.trim().eq_ignore_ascii_case("identity")
        });
    let Some(coding) = packed else {
        return Ok(());
    };
    let coding: String = coding.chars().take(60).collect();
    let message = format!(
        "content-encoding: bodies in `{coding}` are not taken; send the JSON as it is, without this header"
    );
    Err(ApiError {
        status: 415,
        ..ApiError::invalid_request(message).retry(false)
    })
}

/// The body as text. What is wrong with it is the run's first failure, so that every request is one.
async fn read_text(
    headers: &HeaderMap,
    body: web::Payload,
    limit: usize,
) -> Result<String, ApiError> {
    is_plain(headers)?;
    let body = read_body(headers, body, limit).await?;
    let no_text = |_| InvalidRequest::at("body", "the body is not UTF-8 text").into();
    String::from_utf8(body).map_err(no_text)
}

async fn read_body(
    headers: &HeaderMap,
    mut body: web::Payload,
    limit: usize,
) -> Result<Vec<u8>, ApiError> {
    let announced =
        header(headers, CONTENT_LENGTH.as_str()).and_then(|text| text.parse::<usize>().ok());
    let too_large = || ApiError::request_too_large(limit);
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    // An announced length is only a promise: no more than 1 MB is set aside for it.
    let mut whole = Vec::with_capacity(announced.unwrap_or(4096).min(1 << 20));
    while let Some(piece) = next_piece(&mut body).await? {
        let piece = piece.map_err(|_| {
            ApiError::invalid_request(
                "body: it broke off before its end, or its chunks are malformed; send it again",
            )
        })?;
        if whole.len() + piece.len() > limit {
            return Err(too_large());
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

async fn next_piece(
    body: &mut web::Payload,
) -> Result<Option<Result<Bytes, PayloadError>>, ApiError> {
    let piece = tokio::time::timeout(BODY_PAUSE, body.next()).await;
    piece
        .map_err(|_| ApiError::invalid_request("body: nothing more of it came for 30 s".to_owned()))
}

fn client_request(headers: &HeaderMap, text: Result<String, ApiError>) -> ClientRequest {
    ClientRequest {
        bytes: text.as_ref().map_or(0, String::len),
        text: text.map(Arc::new),
        session: header(headers, "x-claude-code-session-id"),
        agent: header(headers, "x-claude-code-agent-id"),
        user_agent: header(headers, "user-agent"),
        betas: header(headers, "anthropic-beta"),
        passed_headers: Vec::new(),
        query: None,
        received: Instant::now(),
    }
}

/// Adds what the native lane passes on besides the body.
fn pass_on(request: &HttpRequest, input: &mut ClientRequest) {
    let headers = request.headers().iter();
    let anthropics = headers.filter(|(name, _)| name.as_str().starts_with("anthropic-"));
    input.passed_headers = anthropics
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect();
    let query = request.query_string();
    input.query = (!query.is_empty()).then(|| query.to_owned());
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Headers as they are kept, secrets redacted.
fn shown(headers: &HeaderMap) -> Bytes {
    to_json(
        headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes())),
    )
}
