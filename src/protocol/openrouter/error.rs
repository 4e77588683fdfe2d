//! The upstream's errors, read into Anthropic's.
//!
//! An error comes as an HTTP status, as a 200 with an `error` body, or inside a stream; its reason is often a JSON text
//! inside a JSON text. What the provider said is kept word for word, because Claude Code matches words: it compacts
//! on "prompt is too long", and lowers `max_tokens` on "input length and `max_tokens` exceed context limit".
//! This file must not know how often a request was tried.

use std::time::Duration;

use serde_json::Value;

use super::overflow;
use crate::protocol::anthropic::error::{ApiError, ErrorKind};

/// Claude Code fails at once when told to wait longer, and the JavaScript SDK sleeps for whatever it is told.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// What is shown of a body that is not JSON.
const LONGEST_QUOTE: usize = 300;

/// The headers of an answer that say something about its error.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    /// `retry-after`, in seconds.
    pub retry_after: Option<&'a str>,
    /// `x-ratelimit-reset`, in milliseconds since 1970.
    pub rate_limit_reset: Option<&'a str>,
}

/// An error of the upstream: what the client is told, and what a gateway decides by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{api}")]
pub struct UpstreamError {
    /// What the client is told.
    pub api: ApiError,
    /// Whether another attempt may help.
    pub retryable: bool,
    /// The upstream's word for it, such as `rate_limit_exceeded`, or the status.
    pub code: String,
    /// The provider behind the upstream that failed.
    pub provider: Option<String>,
    /// The provider does not accept the reasoning of earlier turns: another attempt must leave it out.
    pub rejects_reasoning: bool,
}

impl UpstreamError {
    /// No answer came: no connection, no TLS, a broken one.
    #[must_use]
    pub fn unreachable(host: &str, reason: &str) -> Self {
        Self::of_transport(
            ApiError::bad_gateway(format!("cannot reach {host}: {reason}")),
            "unreachable",
        )
    }

    /// An answer came, but it is of no use: `reason` says what is wrong with it.
    #[must_use]
    pub fn no_use(reason: &str) -> Self {
        Self::of_transport(
            ApiError::bad_gateway(format!("the upstream failed: {reason}")),
            "unusable_answer",
        )
    }

    /// No answer came in time.
    #[must_use]
    pub fn timed_out(message: impl Into<String>) -> Self {
        Self::of_transport(ApiError::timeout(message), "timeout")
    }

    fn of_transport(api: ApiError, code: &str) -> Self {
        Self {
            api: api.retry(true),
            retryable: true,
            code: code.to_owned(),
            provider: None,
            rejects_reasoning: false,
        }
    }
}

impl From<UpstreamError> for ApiError {
    fn from(error: UpstreamError) -> Self {
        error.api
    }
}

/// Reads an answer that is no completion.
#[must_use]
pub fn from_answer(
    status: u16,
    content_type: &str,
    headers: Headers<'_>,
    body: &[u8],
) -> UpstreamError {
    let json = serde_json::from_slice::<Value>(body).ok();
    match json.as_ref().and_then(error_of_body) {
        Some(error) => from_value(status, headers, error),
        None => without_error(status, content_type, headers, body),
    }
}

/// Reads the `error` of a chunk or of a completion, which came under a 200.
#[must_use]
pub fn from_stream(error: &str, provider: &str) -> UpstreamError {
    let error: Value = serde_json::from_str(error).unwrap_or(Value::Null);
    let mut error = from_value(200, Headers::default(), &error);
    if error.provider.is_none() && !provider.is_empty() {
        error.provider = Some(provider.to_owned());
    }
    error
}

/// A choice that ended with `finish_reason: "error"` and nothing else.
#[must_use]
pub fn from_finish(native: &str) -> UpstreamError {
    let reason = if native.is_empty() {
        "no reason given"
    } else {
        native
    };
    UpstreamError {
        api: ApiError::overloaded(format!(
            "the provider ended its answer with an error: {reason}"
        ))
        .retry(true),
        retryable: true,
        code: reason.to_owned(),
        provider: None,
        rejects_reasoning: false,
    }
}

/// Whether a provider says that the reasoning of earlier turns is not its own or was changed.
#[must_use]
pub fn rejects_reasoning(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let signature = message.contains("signature")
        && (message.contains("thinking") || message.contains("thought"))
        && ["invalid", "corrupted", "missing", "not valid"]
            .into_iter()
            .any(|word| message.contains(word));
    signature || message.contains("invalid_encrypted_content")
}

/// The error object of a body: OpenRouter's, OpenAI's, Anthropic's, or a list around one (Google).
fn error_of_body(body: &Value) -> Option<&Value> {
    let body = body
        .as_array()
        .and_then(|list| list.first())
        .unwrap_or(body);
    match body.get("error") {
        Some(Value::Null) | None => {
            let says_something = body.get("message").or_else(|| body.get("detail"));
            let is_completion = body.get("choices").is_some();
            (says_something.is_some() && !is_completion).then_some(body)
        }
        Some(error) => Some(error),
    }
}

/// What is known of an error before it is judged.
struct Facts<'e> {
    status: u16,
    code: String,
    provider: Option<&'e str>,
    message: String,
    error: &'e Value,
    headers: Headers<'e>,
}

fn from_value(http_status: u16, headers: Headers<'_>, error: &Value) -> UpstreamError {
    let metadata = &error["metadata"];
    let code = code_of(error);
    let status = status_of(http_status, error, &code);
    let facts = Facts {
        status,
        provider: metadata["provider_name"].as_str(),
        message: message_of(error, status),
        code,
        error,
        headers,
    };
    judged(&facts)
}

fn judged(facts: &Facts<'_>) -> UpstreamError {
    let error = facts.error;
    let available = error["availability"]["retryable"].as_bool();
    let said = match facts.provider {
        Some(provider) => format!("[{provider}] {}", facts.message),
        None => facts.message.clone(),
    };
    let overflow = matches!(facts.status, 400 | 404 | 413 | 422)
        .then(|| overflow::reworded(&facts.code, &facts.message, &said))
        .flatten();
    let (api, retryable) = match overflow {
        Some(message) => (ApiError::invalid_request(message), false),
        None => by_status(facts, said),
    };
    let retryable = available.unwrap_or(retryable) && api.should_retry != Some(false);
    UpstreamError {
        rejects_reasoning: rejects_reasoning(&api.message),
        api: api.retry(retryable),
        retryable,
        code: facts.code.clone(),
        provider: facts.provider.map(str::to_owned),
    }
}

/// The table of the translation: kind, status, and whether trying again may help.
fn by_status(facts: &Facts<'_>, said: String) -> (ApiError, bool) {
    let error = facts.error;
    match facts.status {
        401 => {
            let message = format!("the upstream refused Dagway's API key: {said}");
            (ApiError::authentication(message), false)
        }
        402 if is_in_flight(error) => (limited(facts, said), true),
        402 => (ApiError::billing(said + &billing_hints(error)), false),
        403 => (ApiError::permission(said + &permission_hints(error)), false),
        404 | 405 => (
            ApiError::not_found(said + &availability_hints(error)),
            false,
        ),
        408 | 504 | 524 => (ApiError::timeout(said), true),
        413 => {
            let api = ApiError::new(ErrorKind::RequestTooLarge, said);
            (api, false)
        }
        429 => (limited(facts, said), true),
        502 if is_of_provider(facts) => (waiting(facts, ApiError::overloaded(said)), true),
        503 | 529 => (waiting(facts, ApiError::overloaded(said)), true),
        500 => (ApiError::api(said), true),
        400..=499 => (ApiError::invalid_request(said), false),
        _ => (waiting(facts, ApiError::bad_gateway(said)), true),
    }
}

/// A 429: waits that are longer than a client should sleep are said in words.
fn limited(facts: &Facts<'_>, said: String) -> ApiError {
    if is_daily(&facts.message) {
        let resets = facts
            .headers
            .rate_limit_reset
            .or_else(|| facts.error["metadata"]["headers"]["X-RateLimit-Reset"].as_str())
            .and_then(time_of)
            .map(|time| format!("; resets {time}"))
            .unwrap_or_default();
        let message = format!("request limit reached (daily{resets}): {said}");
        return ApiError::rate_limit(message, None).retry(false);
    }
    waiting(facts, ApiError::rate_limit(said, None))
}

fn waiting(facts: &Facts<'_>, mut api: ApiError) -> ApiError {
    let Some(wait) = wait_of(facts) else {
        return api;
    };
    api.retry_after = Some(wait.min(LONGEST_WAIT));
    if wait <= LONGEST_WAIT {
        return api;
    }
    api.message
        .push_str(&format!(" (try again in {})", in_words(wait)));
    api.retry(false)
}

fn wait_of(facts: &Facts<'_>) -> Option<Duration> {
    let of_header = facts
        .headers
        .retry_after
        .and_then(|value| value.trim().parse::<f64>().ok());
    let seconds = of_header
        .or_else(|| facts.error["availability"]["retry_after"].as_f64())
        .or_else(|| facts.error["metadata"]["retry_after"].as_f64())?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn in_words(wait: Duration) -> String {
    match wait.as_secs() {
        seconds @ ..120 => format!("{seconds} seconds"),
        seconds @ ..7200 => format!("{} minutes", seconds.div_ceil(60)),
        seconds => format!("{} hours", seconds.div_ceil(3600)),
    }
}

fn time_of(milliseconds: &str) -> Option<String> {
    let milliseconds = milliseconds.trim().parse().ok()?;
    let time = jiff::Timestamp::from_millisecond(milliseconds).ok()?;
    Some(time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

fn is_daily(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("per-day") || message.contains("per day") || message.contains("daily")
}

fn is_in_flight(error: &Value) -> bool {
    let metadata = &error["metadata"];
    let limit_source = metadata["limit_source"]
        .as_str()
        .or_else(|| error["limit_source"].as_str());
    metadata["reason"] == "in_flight_budget_exhausted"
        || limit_source == Some("openrouter_in_flight_budget")
}

fn is_of_provider(facts: &Facts<'_>) -> bool {
    facts.provider.is_some() || facts.code.starts_with("provider_")
}

fn billing_hints(error: &Value) -> String {
    let metadata = &error["metadata"];
    let mut hints = String::new();
    for (name, value) in [
        ("limit", &metadata["limit_source"]),
        ("hint", &metadata["remedy_hint"]),
    ] {
        if let Some(value) = value.as_str() {
            hints.push_str(&format!(" ({name}: {value})"));
        }
    }
    hints.push_str(" — credits: https://openrouter.ai/settings/credits");
    hints
}

fn permission_hints(error: &Value) -> String {
    let metadata = &error["metadata"];
    hints([
        ("reasons", &metadata["reasons"]),
        ("patterns", &metadata["patterns"]),
        ("limit", &metadata["limit_source"]),
        ("resets at", &metadata["resets_at"]),
    ])
}

fn availability_hints(error: &Value) -> String {
    let availability = &error["availability"];
    hints([
        ("reason", &availability["code"]),
        ("excluded by", &availability["excluded_by"]),
        ("available instead", &availability["fallback_models"]),
    ])
}

fn hints<const N: usize>(facts: [(&str, &Value); N]) -> String {
    let mut hints = String::new();
    for (name, value) in facts {
        let words = match value {
            Value::String(word) => word.clone(),
            Value::Array(words) => words
                .iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(", "),
            _ => continue,
        };
        if !words.is_empty() {
            hints.push_str(&format!(" ({name}: {words})"));
        }
    }
    hints
}

/// The upstream's word for the error.
fn code_of(error: &Value) -> String {
    let words = [
        &error["metadata"]["error_type"],
        &error["error_type"],
        &error["availability"]["code"],
        &error["code"],
        &error["type"],
    ];
    let word = words.into_iter().find_map(Value::as_str);
    match word {
        Some(word) => word.to_owned(),
        None => error["code"]
            .as_u64()
            .map_or_else(|| "error".to_owned(), |code| code.to_string()),
    }
}

/// The status that an error means. Inside a 200 its own code counts, or its word.
fn status_of(http_status: u16, error: &Value, word: &str) -> u16 {
    if word == "provider_overloaded" || word == "overloaded_error" {
        return 529;
    }
    if (400..600).contains(&http_status) {
        return http_status;
    }
    let code = &error["code"];
    let number = code
        .as_u64()
        .or_else(|| code.as_str().and_then(|code| code.parse().ok()));
    if let Some(number) = number.and_then(|number| u16::try_from(number).ok())
        && (400..600).contains(&number)
    {
        return number;
    }
    status_of_word(word)
}

fn status_of_word(word: &str) -> u16 {
    match word {
        "authentication" | "authentication_error" | "invalid_api_key" => 401,
        "payment_required" | "insufficient_quota" | "billing_error" => 402,
        "permission_denied" | "permission_error" | "region_restricted" => 403,
        "not_found"
        | "image_not_found"
        | "not_found_error"
        | "model_not_found"
        | "no_endpoints"
        | "model_deprecated"
        | "model_unavailable_upstream"
        | "privacy_restricted"
        | "constraint_filtered"
        | "free_variant_ended" => 404,
        "payload_too_large" | "request_too_large" => 413,
        "rate_limit_exceeded" | "rate_limit_error" | "capacity_exhausted" => 429,
        "timeout" | "timeout_error" => 504,
        "temporarily_unavailable" => 503,
        "provider_unavailable" => 502,
        "server" | "unmapped" | "server_error" | "api_error" | "internal_error" => 500,
        "invalid_request"
        | "invalid_request_error"
        | "invalid_prompt"
        | "refusal"
        | "context_length_exceeded"
        | "max_tokens_exceeded"
        | "token_limit_exceeded"
        | "string_too_long"
        | "content_policy_violation"
        | "wrong_endpoint"
        | "unprocessable"
        | "precondition_failed" => 400,
        word if word.contains("image") => 400,
        _ => 502,
    }
}

/// What went wrong, in the words of whoever knows best: the deepest message that the provider sent.
fn message_of(error: &Value, status: u16) -> String {
    let metadata = &error["metadata"];
    let of_previous = metadata["previous_errors"]
        .as_array()
        .and_then(|errors| errors.last())
        .and_then(|previous| deepest(&previous["raw"], 0));
    let of_provider = deepest(&metadata["raw"], 0).or(of_previous);
    let of_error = || deepest(error, 0);
    of_provider
        .or_else(of_error)
        .unwrap_or_else(|| format!("the upstream answered with status {status} and no reason"))
}

/// The deepest message in a value that may be a JSON text in a JSON text.
fn deepest(value: &Value, depth: usize) -> Option<String> {
    if depth > 8 {
        return None;
    }
    match value {
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner) if inner.is_object() || inner.is_array() => deepest(&inner, depth + 1),
            _ => Some(quoted(text)),
        },
        Value::Array(list) => list.iter().find_map(|inner| deepest(inner, depth + 1)),
        Value::Object(fields) => ["error", "message", "detail", "msg", "error_message"]
            .into_iter()
            .filter_map(|field| fields.get(field))
            .find_map(|inner| deepest(inner, depth + 1)),
        _ => None,
    }
}

fn quoted(text: &str) -> String {
    let text = text.trim();
    let end = text.floor_char_boundary(4 * LONGEST_QUOTE);
    text.get(..end).unwrap_or(text).to_owned()
}

/// An answer without an error object: a web page, plain text, nothing, or JSON of another kind.
fn without_error(
    status: u16,
    content_type: &str,
    headers: Headers<'_>,
    body: &[u8],
) -> UpstreamError {
    let text = String::from_utf8_lossy(body.get(..4 * LONGEST_QUOTE).unwrap_or(body));
    let text = text.trim();
    let is_page = content_type.contains("html") || text.starts_with('<');
    let mut message = if is_page {
        format!("the upstream answered with status {status} and a web page instead of JSON")
    } else if text.is_empty() {
        format!("the upstream answered with status {status} and nothing else")
    } else {
        let end = text.floor_char_boundary(LONGEST_QUOTE);
        let shown = text.get(..end).unwrap_or(text);
        format!("the upstream answered with status {status}: {shown}")
    };
    let wrong_place = status < 400 || matches!(status, 404 | 405);
    if wrong_place {
        message.push_str("; is its base URL right? OpenRouter's ends in /api/v1");
    }
    let facts = Facts {
        status: if status < 400 { 502 } else { status },
        code: status.to_string(),
        provider: None,
        message,
        error: &Value::Null,
        headers,
    };
    let mut error = judged(&facts);
    if wrong_place {
        error.retryable = false;
        error.api.should_retry = Some(false);
    }
    error
}
