//! A request becomes a run, and the run an answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder, web};
use bytes::Bytes;
use futures_util::Stream;
use tracing::Instrument;

use super::body::Room;
use super::early::EarlyAnswer;
use super::gateway::{Gateway, go_on_with_turn};
use super::guard::KeyName;
use super::turn::{Candidates, Opening, Turn};
use super::{body, errors};
use crate::events::{Level, Reporter, RunId, RunStart, Timestamp, TraceContext};
use crate::facts::payload::is_secret_header;
use crate::facts::{self, payload};
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::anthropic::request::asked_model;
use crate::tasks::reply_flow::{GIVEN_UP, STOPPING};
use crate::tasks::{ClientReply, ClientRequest, Content};
use crate::upstream::Lane;
use crate::upstream::headers::to_json;

/// `POST /v1/messages`.
pub async fn messages(
    request: HttpRequest,
    body: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    serve(&request, body, &gateway, Endpoint::Messages).await
}

/// `POST /v1/messages/count_tokens`.
pub async fn count_tokens(
    request: HttpRequest,
    body: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    serve(&request, body, &gateway, Endpoint::CountTokens).await
}

/// Which route was called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Messages,
    CountTokens,
}

async fn serve(
    request: &HttpRequest,
    body: web::Payload,
    gateway: &web::Data<Gateway>,
    endpoint: Endpoint,
) -> HttpResponse {
    let (at, since) = (Timestamp::now(), Instant::now());
    let id = RunId::of(at);
    let request_id: Arc<str> = id.request_id().into();
    let arrived = tokio::select! {
        biased;
        arrived = arrive(request.headers(), body, gateway, since) => arrived,
        () = gateway.last_call.cancelled() => Err(ApiError::overloaded(STOPPING)),
    };
    let (text, arrival) = match arrived {
        Ok(arrived) => arrived,
        Err(error) => return errors::answer(&error, &request_id),
    };
    let mut input = client_request(request.headers(), text);
    input.key = key_name(request);
    let (lane, candidates) = whom_to_ask(gateway, endpoint, &mut input);
    input.passes_unread = lane == Lane::Native;
    if lane == Lane::Native || candidates.is_some() {
        pass_on(request, &mut input);
    }
    let (trace, tracestate) = trace_of(request.headers(), id);
    let start = RunStart {
        id,
        at,
        request_id,
        trace,
        tracestate,
    };
    let (run_id, request_id) = (id.text(), &*start.request_id);
    let key = input.key.as_deref();
    let span = tracing::error_span!("run", run.id = run_id, request.id = request_id, key);
    let plan = match endpoint {
        Endpoint::Messages => gateway.plan(lane),
        Endpoint::CountTokens => Arc::clone(&gateway.plans.load().count_tokens),
    };
    let body = input.body().filter(|_| endpoint == Endpoint::Messages);
    let opening = Opening {
        plan,
        input: Arc::new(input),
        start,
        headers: shown(request.headers()),
    };
    let answer = async {
        let turn = Turn::begin(opening, gateway, candidates);
        arrival.state(turn.reporter());
        run(gateway, turn, body, arrival.room).await
    };
    answer.instrument(span).await
}

/// Waits until a request that has been arriving `since` then is there, and has its place. A body that is not taken is the
/// run's first failure.
async fn arrive<'a>(
    headers: &HeaderMap,
    body: web::Payload,
    gateway: &'a Gateway,
    since: Instant,
) -> Result<(Result<String, ApiError>, Arrival<'a>), ApiError> {
    let mut room = gateway.bodies.enter();
    let text = body::read(headers, body, &mut room).await;
    let read = since.elapsed();
    gateway.admit().await?;
    let took = since.elapsed();
    let waited = room.waited() + took.saturating_sub(read);
    let arrival = Arrival { took, waited, room };
    Ok((text, arrival))
}

/// Decides which model is asked, and in which lane: the one that the body names, unless it could not be had of late and
/// another may step in.
fn whom_to_ask(
    gateway: &Gateway,
    endpoint: Endpoint,
    input: &mut ClientRequest,
) -> (Lane, Option<Candidates>) {
    let text = input.text.as_deref().ok();
    let Some(asked) = text.and_then(|text| asked_model(text)) else {
        return (Lane::Chat, None);
    };
    let upstreams = &gateway.upstreams;
    let may_fall_back = endpoint == Endpoint::Messages && upstreams.have_fallbacks();
    let candidates = may_fall_back
        .then(|| Candidates::of(upstreams, &asked.name))
        .flatten();
    let instead = candidates.as_ref().and_then(Candidates::instead);
    let lane = upstreams.lane(instead.as_deref().unwrap_or(&asked.name));
    input.instead = instead;
    (lane, candidates)
}

/// The trace that a request is part of, with what other vendors say of it, or else one of the run's own.
fn trace_of(headers: &HeaderMap, run: RunId) -> (TraceContext, Option<Arc<str>>) {
    let told = header(headers, "traceparent");
    let Some(trace) = told.as_deref().and_then(TraceContext::parse) else {
        return (TraceContext::of_run(run), None);
    };
    let lines = headers.get_all("tracestate");
    let state = TraceContext::tracestate(lines.map(HeaderValue::as_bytes));
    (trace, state)
}

/// The name of the key that a request came in with.
fn key_name(request: &HttpRequest) -> Option<Arc<str>> {
    let noted = request.extensions_mut().remove();
    noted.map(|KeyName(name)| name)
}

/// How long it took until a request was there and had its place.
struct Arrival<'a> {
    took: Duration,
    /// How much of it is Dagway's: it waited for room, not for the client.
    waited: Duration,
    /// It is given back when there is an answer: what a run keeps of its request from then on is the observers'.
    room: Room<'a>,
}

impl Arrival<'_> {
    /// States what can be felt.
    fn state(&self, reporter: &Reporter) {
        const LEAST: Duration = Duration::from_millis(1);
        for (fact, time) in [
            (facts::ARRIVAL_US, self.took),
            (facts::ARRIVAL_WAIT_US, self.waited),
        ] {
            if time >= LEAST {
                let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
                reporter.fact(fact, micros);
            }
        }
    }
}

/// Answers with what the turn gives. A body is that of a request whose answer can be a stream.
async fn run(
    gateway: &Gateway,
    mut turn: Turn,
    body: Option<Bytes>,
    room: Room<'_>,
) -> HttpResponse {
    let replied = tokio::select! {
        biased;
        replied = turn.reply() => Some(replied),
        () = gateway.last_call.cancelled() => None,
        () = gateway.early.due(body.as_deref()) => {
            let (reporter, received) = (turn.reporter().clone(), turn.received());
            let stream = EarlyAnswer::new(turn, gateway, room.keep());
            return answer_early(stream, &reporter, received);
        }
    };
    let (reporter, received) = (turn.reporter().clone(), turn.received());
    let response = match replied {
        Some(Ok(mut reply)) => {
            if let Content::Stream(flow) = &mut reply.content {
                flow.end_at(gateway.last_call.clone());
            }
            answer(reply, &reporter, received)
        }
        Some(Err(failure)) => refuse(&errors::of_run(&failure), &reporter, received),
        None => {
            turn.if_dropped(GIVEN_UP);
            return refuse(&ApiError::overloaded(STOPPING), &reporter, received);
        }
    };
    // The client has its answer, or none: who ends the rest before its time is Dagway.
    turn.if_dropped(GIVEN_UP);
    go_on_with_turn(&gateway.tracker, &gateway.afterwards, turn);
    response
}

/// Answers with an error, and records it.
fn refuse(error: &ApiError, reporter: &Reporter, received: Instant) -> HttpResponse {
    let request_id = &reporter.start().request_id;
    reporter.fact(facts::ERROR_TYPE, error.kind.name());
    let body = Bytes::from(error.body(request_id));
    reporter.progress(1, body.len() as u64);
    reporter.payload(payload::CLIENT_RESPONSE, body);
    let mut response = errors::answer(error, request_id);
    state_answer(&mut response, reporter, received);
    response
}

/// Begins an answer that has not come.
fn answer_early(stream: EarlyAnswer, reporter: &Reporter, received: Instant) -> HttpResponse {
    reporter.log(
        Level::Info,
        "the upstream has said nothing yet; the client's stream was begun with pings, so that it does not give up",
    );
    let mut builder = HttpResponse::Ok();
    insert(&mut builder, "request-id", &reporter.start().request_id);
    let mut response = stream_of(&mut builder, stream);
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
            reporter.progress(1, body.len() as u64);
            builder.insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json")));
            builder.body(body)
        }
        Content::Stream(flow) => stream_of(&mut builder, flow),
    };
    state_answer(&mut response, reporter, received);
    response
}

/// An answer that comes as events. It is not to be held back anywhere on its way.
fn stream_of(
    builder: &mut HttpResponseBuilder,
    events: impl Stream<Item = Result<Bytes, Infallible>> + 'static,
) -> HttpResponse {
    builder
        .insert_header((
            CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream; charset=utf-8"),
        ))
        .insert_header((
            CACHE_CONTROL,
            HeaderValue::from_static("no-cache, no-transform"),
        ))
        .insert_header((
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ))
        .streaming(events)
}

/// Adds the headers that every answer of a run has, and records what the client got.
fn state_answer(response: &mut HttpResponse, reporter: &Reporter, received: Instant) {
    let own = received.elapsed().saturating_sub(reporter.waited());
    let overhead = u64::try_from(own.as_micros()).unwrap_or(u64::MAX);
    let status = i64::from(response.status().as_u16());
    let headers = response.headers_mut();
    for (name, text) in [
        ("x-dagway-run", reporter.run_id().text()),
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

/// Adds a header, unless an upstream made its value up: clients refuse what is too long, and the run has it all the same.
fn insert(builder: &mut HttpResponseBuilder, name: &'static str, value: &str) {
    const LONGEST: usize = 512;
    if value.len() <= LONGEST
        && let Ok(value) = HeaderValue::from_str(value)
    {
        builder.insert_header((HeaderName::from_static(name), value));
    }
}

fn client_request(headers: &HeaderMap, text: Result<String, ApiError>) -> ClientRequest {
    ClientRequest {
        key: None,
        instead: None,
        replay_of: header(headers, "x-dagway-replay-of").and_then(|run| run.parse().ok()),
        bytes: text.as_ref().map_or(0, String::len),
        text: text.map(Arc::new),
        session: header(headers, "x-claude-code-session-id"),
        agent: header(headers, "x-claude-code-agent-id"),
        user_agent: header(headers, "user-agent"),
        betas: list(headers, "anthropic-beta"),
        passed_headers: Vec::new(),
        query: None,
        passes_unread: false,
        received: Instant::now(),
    }
}

/// Adds what the native lane passes on besides the body.
fn pass_on(request: &HttpRequest, input: &mut ClientRequest) {
    let headers = request.headers();
    let names = headers.keys().map(HeaderName::as_str);
    let anthropics = names.filter(|name| name.starts_with("anthropic-"));
    input.passed_headers = anthropics
        .filter_map(|name| Some((name.to_owned(), list(headers, name)?)))
        .collect();
    input.query = without_secrets(request.query_string());
}

/// A query without what its names say to be secrets: keys for Dagway, which are nobody else's business.
fn without_secrets(query: &str) -> Option<String> {
    let is_secret = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        is_secret_header(&name.to_ascii_lowercase())
    };
    let others: Vec<&str> = query.split('&').filter(|pair| !is_secret(pair)).collect();
    let query = others.join("&");
    (!query.is_empty()).then_some(query)
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// What a header says that may stand in several lines, which is as good as one line with commas (RFC 9110, 5.3).
fn list(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines: Vec<&str> = headers
        .get_all(name)
        .filter_map(|line| line.to_str().ok())
        .collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// Headers as they are kept, secrets redacted.
fn shown(headers: &HeaderMap) -> Bytes {
    to_json(
        headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_passes_on_without_its_secrets() {
        for (query, passes) in [
            ("", None),
            ("beta=true", Some("beta=true")),
            ("beta=true&a%20b&&=", Some("beta=true&a%20b&&=")),
            ("key=k", None),
            (
                "API_KEY=k&beta=true&access-token=t&x-auth",
                Some("beta=true"),
            ),
        ] {
            assert_eq!(without_secrets(query).as_deref(), passes, "{query}");
        }
    }
}
