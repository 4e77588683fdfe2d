//! The upstream's errors, read into Anthropic's.
//!
//! An error comes as an HTTP status, as a 200 with an `error` body, or inside a stream; its reason is often a JSON text
//! inside a JSON text. What the provider said is kept word for word, because Claude Code matches words: it compacts
//! on "prompt is too long", and lowers `max_tokens` on "input length and `max_tokens` exceed context limit".
//!
//! A failure that may pass says `x-should-retry: true` even after Dagway's own attempts, which end within seconds: the
//! client's patience is longer (Claude Code goes on for minutes), and a turn that is saved is worth the attempts that
//! multiply. What cannot pass says `false`.
//! This file must not know how often a request was tried.

use jiff::Timestamp;
use serde_json::Value;

use super::reason::{code_of, error_of_body, message_of, status_of};
use super::wait::Wait;
use super::{hints, overflow};
use crate::protocol::anthropic::error::{ApiError, ErrorKind};
use crate::protocol::json_text::whole_characters;

/// What is shown of a body that is not JSON.
const LONGEST_QUOTE: usize = 300;

/// The words for what failed without a status that tells how.
pub const FAILURES: [&str; 6] = [
    UNREACHABLE,
    CUT,
    EMPTY_ANSWER,
    UNUSABLE_ANSWER,
    TOO_MANY_OPEN_FILES,
    TIMEOUT,
];
const UNREACHABLE: &str = "unreachable";
const CUT: &str = "cut";
const EMPTY_ANSWER: &str = "empty_answer";
const UNUSABLE_ANSWER: &str = "unusable_answer";
const TOO_MANY_OPEN_FILES: &str = "too_many_open_files";
const TIMEOUT: &str = "timeout";

/// The headers of an answer that say something about its error.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    /// `retry-after`: seconds, or a date (RFC 9110, 10.2.3).
    pub retry_after: Option<&'a str>,
    /// `retry-after-ms`, which counts before it.
    pub retry_after_ms: Option<&'a str>,
    /// `x-should-retry`, which counts before the status.
    pub should_retry: Option<bool>,
    /// `x-ratelimit-reset`, in milliseconds since 1970.
    pub rate_limit_reset: Option<&'a str>,
    /// When the answer came, which a date among them is compared with.
    pub came: Timestamp,
}

/// An error of the upstream: what the client is told, and what a gateway decides by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{api}")]
pub struct UpstreamError {
    /// What the client is told.
    pub api: ApiError,
    /// The status of the answer, if one came: 200 when the error came in the midst of a stream.
    pub status: Option<u16>,
    /// Whether another attempt may help.
    pub retryable: bool,
    /// The upstream's word for it, such as `rate_limit_exceeded`, or the status.
    pub code: String,
    /// The provider behind the upstream that failed.
    pub provider: Option<String>,
    /// The provider does not accept the reasoning of earlier turns: another attempt must leave it out.
    pub rejects_reasoning: bool,
    /// No host holds itself to a schema as asked: another attempt may ask for less.
    pub rejects_strictness: bool,
}

impl UpstreamError {
    /// No answer came: no connection, no TLS, a broken one.
    #[must_use]
    pub fn unreachable(place: &str, reason: &str) -> Self {
        Self::of_transport(
            ApiError::bad_gateway(format!("cannot reach {place}: {reason}")),
            UNREACHABLE,
        )
    }

    /// The connection broke before the answer began.
    #[must_use]
    pub fn cut_off(place: &str, reason: &str) -> Self {
        Self {
            code: CUT.to_owned(),
            ..Self::unreachable(place, reason)
        }
    }

    /// The connection broke, or was closed, before the answer was whole.
    #[must_use]
    pub fn cut(reason: &str) -> Self {
        Self {
            code: CUT.to_owned(),
            ..Self::no_use(reason)
        }
    }

    /// The gateway itself may open no further connection.
    #[must_use]
    pub fn no_connection_left() -> Self {
        Self::of_transport(
            ApiError::overloaded(
                "Dagway has as many connections and files open as its process may have; try again in a moment, and \
                 raise the limit (`ulimit -n`, LimitNOFILE= of a systemd unit, --ulimit nofile= of a container)",
            ),
            TOO_MANY_OPEN_FILES,
        )
    }

    /// An answer came, but it is of no use: `reason` says what is wrong with it.
    #[must_use]
    pub fn no_use(reason: &str) -> Self {
        Self::of_transport(
            ApiError::bad_gateway(format!("the upstream failed: {reason}")),
            UNUSABLE_ANSWER,
        )
    }

    /// As [`no_use`](Self::no_use), and the next answer will be no better.
    #[must_use]
    pub fn of_no_use_ever(reason: &str) -> Self {
        let mut error = Self::no_use(reason);
        error.retryable = false;
        error.api.should_retry = Some(false);
        error
    }

    /// An answer came, and there is nothing in it.
    #[must_use]
    pub fn empty() -> Self {
        Self::of_transport(
            ApiError::overloaded("the provider gave an empty answer"),
            EMPTY_ANSWER,
        )
    }

    /// No answer came in time.
    #[must_use]
    pub fn timed_out(message: impl Into<String>) -> Self {
        Self::of_transport(ApiError::timeout(message), TIMEOUT)
    }

    /// Whether the request is at fault, and not the model, its host or the way there. Anthropic tells with a 400 that there
    /// is no credit, and OpenRouter that there is no such model.
    #[must_use]
    pub fn blames_the_request(&self) -> bool {
        let is_a_mistake = matches!(
            self.api.kind,
            ErrorKind::InvalidRequest | ErrorKind::RequestTooLarge
        );
        let of_the_model = ["credit balance is too low", "is not a valid model ID"];
        is_a_mistake
            && !of_the_model
                .iter()
                .any(|words| self.api.message.contains(words))
    }

    /// Whether the next request would fare no better, whatever it asks: what one request was refused for is none of others'.
    #[must_use]
    pub fn is_an_outage(&self) -> bool {
        match self.api.kind {
            ErrorKind::Authentication
            | ErrorKind::Billing
            | ErrorKind::RateLimit
            | ErrorKind::Api
            | ErrorKind::Timeout
            | ErrorKind::Overloaded => true,
            ErrorKind::Permission
            | ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::InvalidRequest
            | ErrorKind::RequestTooLarge => false,
        }
    }

    /// One of [`FAILURES`] where no status tells how the attempt failed. An error under a 200 is an answer of no use.
    #[must_use]
    pub fn failure(&self) -> Option<&'static str> {
        match self.status {
            Some(300..) => None,
            Some(_) => Some(UNUSABLE_ANSWER),
            None => {
                let known = FAILURES.into_iter().find(|word| *word == self.code);
                Some(known.unwrap_or(UNUSABLE_ANSWER))
            }
        }
    }

    fn of_transport(api: ApiError, code: &str) -> Self {
        Self {
            api: api.retry(true),
            status: None,
            retryable: true,
            code: code.to_owned(),
            provider: None,
            rejects_reasoning: false,
            rejects_strictness: false,
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
    let json = parsed(body);
    let json = json.as_ref();
    match json.and_then(error_of_body) {
        Some(error) => from_value(status, headers, error),
        // It is the right place, and it had nothing to say.
        None if status < 400 && json.is_some_and(|json| json["choices"].is_array()) => {
            UpstreamError::no_use("its answer has no choices")
        }
        None => without_error(status, content_type, headers, body),
    }
}

/// Reads the `error` of a chunk or of a completion, which came under a 200.
#[must_use]
pub fn from_stream(error: &str, provider: &str) -> UpstreamError {
    let error = parsed(error.as_bytes()).unwrap_or(Value::Null);
    let mut error = from_value(200, Headers::default(), &error);
    if error.provider.is_none() && !provider.is_empty() {
        error.provider = Some(provider.to_owned());
    }
    error
}

/// Reads an event without choices that says an error in the way of a server's plain answers: `{"object": "error",
/// "message": …}`, or what stands in llama.cpp's `error:` lines.
#[must_use]
pub fn of_event(data: &[u8]) -> Option<UpstreamError> {
    let body = parsed(data)?;
    let error = error_of_body(&body)?;
    Some(from_value(200, Headers::default(), error))
}

/// Reads JSON that quotes what others said, perhaps cut inside a character: that must not cost its meaning.
fn parsed(json: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(json);
    serde_json::from_str(&whole_characters(&text)).ok()
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
        status: Some(200),
        retryable: true,
        code: reason.to_owned(),
        provider: None,
        rejects_reasoning: false,
        rejects_strictness: false,
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

/// Whether nobody takes the parameters as they are, or `strict` among them: a schema that need not be enforced may pass.
fn rejects_strictness(status: u16, message: &str) -> bool {
    let named = [
        "`strict`",
        "'strict'",
        "\"strict\"",
        "response_format",
        "json_schema",
    ];
    match status {
        404 => message.contains("requested parameters"),
        400 | 422 => named.iter().any(|name| message.contains(name)),
        _ => false,
    }
}

/// What is known of an error before it is judged.
struct Facts<'e> {
    answered: u16,
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
        answered: http_status,
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
    let said = match facts.provider {
        Some(provider) => format!("[{provider}] {}", facts.message),
        None => facts.message.clone(),
    };
    // llama.cpp says it with a 500 when it notices only while it answers.
    let overflow = matches!(facts.status, 400 | 404 | 413 | 422 | 500)
        .then(|| overflow::reworded(&facts.code, &facts.message, &said))
        .flatten();
    let wait = Wait::read(facts.headers, facts.error, &facts.message);
    let (api, by_status) = match overflow {
        Some(message) => (ApiError::invalid_request(message), false),
        None => by_status(facts, said, &wait),
    };
    let by_error = || facts.error["availability"]["retryable"].as_bool();
    let by_upstream = facts.headers.should_retry.or_else(by_error);
    let is_over_for_today = wait.is_daily() && api.kind == ErrorKind::RateLimit;
    let retryable = by_upstream.unwrap_or(by_status) && !wait.is_hopeless() && !is_over_for_today;
    UpstreamError {
        rejects_reasoning: rejects_reasoning(&api.message),
        rejects_strictness: rejects_strictness(facts.status, &api.message),
        api: api.retry(retryable),
        status: Some(facts.answered),
        retryable,
        code: facts.code.clone(),
        provider: facts.provider.map(str::to_owned),
    }
}

/// The table of the translation: the error, and whether trying again may help.
fn by_status(facts: &Facts<'_>, said: String, wait: &Wait) -> (ApiError, bool) {
    let error = facts.error;
    match facts.status {
        401 if facts.provider.is_some() => (ApiError::authentication(said), false),
        401 => {
            let message = format!("the upstream refused Dagway's API key: {said}");
            (ApiError::authentication(message), false)
        }
        402 if is_in_flight(error) => (wait.onto(ApiError::rate_limit(said, None)), true),
        // OpenAI's, and of those who speak like it.
        402 if facts.code == "insufficient_quota" => (ApiError::billing(said), false),
        402 => (ApiError::billing(said + &hints::billing(error)), false),
        403 => (
            ApiError::permission(said + &hints::permission(error)),
            false,
        ),
        404 | 405 => (
            ApiError::not_found(said + &hints::availability(error)),
            false,
        ),
        408 | 504 | 524 => (ApiError::timeout(said), true),
        // Clients try it again, too.
        409 => (ApiError::new(ErrorKind::Conflict, said), true),
        413 => (ApiError::new(ErrorKind::RequestTooLarge, said), false),
        429 => (wait.onto(ApiError::rate_limit(said, None)), true),
        502 if is_of_provider(facts) => (wait.onto(ApiError::overloaded(said)), true),
        503 | 529 => (wait.onto(ApiError::overloaded(said)), true),
        500 => (ApiError::api(said), true),
        400..=499 => (ApiError::invalid_request(said), false),
        _ => (wait.onto(ApiError::bad_gateway(said)), true),
    }
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
        answered: status,
        status,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use serde_json::json;

    fn answered(status: u16, error: Value) -> UpstreamError {
        let mut body = json!({"user_id": "u"});
        body["error"] = error;
        let body = body.to_string();
        from_answer(
            status,
            "application/json",
            Headers::default(),
            body.as_bytes(),
        )
    }

    fn limited_with(headers: Headers<'_>, error: Value) -> UpstreamError {
        let mut body = json!({});
        body["error"] = error;
        let body = body.to_string();
        from_answer(429, "application/json", headers, body.as_bytes())
    }

    #[test]
    fn every_status_has_its_kind() {
        let rows = [
            (400, 400, ErrorKind::InvalidRequest, false),
            (401, 401, ErrorKind::Authentication, false),
            (402, 402, ErrorKind::Billing, false),
            (403, 403, ErrorKind::Permission, false),
            (404, 404, ErrorKind::NotFound, false),
            (405, 404, ErrorKind::NotFound, false),
            (408, 504, ErrorKind::Timeout, true),
            (409, 409, ErrorKind::Conflict, true),
            (412, 400, ErrorKind::InvalidRequest, false),
            (413, 413, ErrorKind::RequestTooLarge, false),
            (422, 400, ErrorKind::InvalidRequest, false),
            (429, 429, ErrorKind::RateLimit, true),
            (500, 500, ErrorKind::Api, true),
            (502, 502, ErrorKind::Api, true),
            (503, 529, ErrorKind::Overloaded, true),
            (504, 504, ErrorKind::Timeout, true),
            (524, 504, ErrorKind::Timeout, true),
            (529, 529, ErrorKind::Overloaded, true),
            (599, 502, ErrorKind::Api, true),
        ];
        for (status, expected, kind, retryable) in rows {
            let error = answered(status, json!({"code": status, "message": "m"}));
            assert_eq!(
                (error.api.status, error.api.kind),
                (expected, kind),
                "{status}"
            );
            assert_eq!(error.retryable, retryable, "{status}");
            assert_eq!(error.api.should_retry, Some(retryable), "{status}");
            assert_eq!(error.code, status.to_string());
        }
    }

    #[test]
    fn the_deepest_message_is_told_with_its_provider() {
        let raw = json!({"error": {"message": json!({"error": {"message": "tools.3: bad schema"}}).to_string()}}).to_string();
        let error = answered(
            400,
            json!({"code": 400, "message": "Provider returned error", "metadata": {"raw": raw, "provider_name": "Groq"}}),
        );
        assert_eq!(error.api.message, "[Groq] tools.3: bad schema");
        assert_eq!(error.provider.as_deref(), Some("Groq"));
        let plain = answered(
            502,
            json!({"message": "x", "metadata": {"raw": "upstream died", "provider_name": "Z"}}),
        );
        assert_eq!(plain.api.message, "[Z] upstream died");
        assert_eq!(plain.api.status, 529);
        let list = from_answer(
            400,
            "",
            Headers::default(),
            br#"[{"error":{"message":"as Google says"}}]"#,
        );
        assert_eq!(list.api.message, "as Google says");
        let previous = answered(
            502,
            json!({"message": "x", "metadata": {"previous_errors": [{"raw": "{\"message\":\"deep\"}"}]}}),
        );
        assert_eq!(previous.api.message, "deep");
    }

    #[test]
    fn half_a_character_does_not_cost_an_error_its_meaning() {
        let error = r#"{"code":402,"message":"no \ud83d","metadata":{"reason":"in_flight_budget_exhausted","provider_name":"P\ude00"}}"#;
        let body = format!(r#"{{"error":{error}}}"#);
        let event = format!(r#"{{"message":"slow down \ud83d","code":429,"metadata":{error}}}"#);
        for (error, status, message) in [
            (
                from_answer(402, "", Headers::default(), body.as_bytes()),
                429,
                "[P\u{fffd}] no \u{fffd}",
            ),
            (from_stream(error, ""), 429, "[P\u{fffd}] no \u{fffd}"),
            (
                of_event(event.as_bytes()).unwrap(),
                429,
                "slow down \u{fffd}",
            ),
        ] {
            assert_eq!(error.api.status, status);
            assert_eq!(
                (error.api.message.as_str(), error.retryable),
                (message, true)
            );
        }
        let inner = r#"{"error":{"message":"deep \ud83d"}}"#;
        let raw = answered(400, json!({"message": "x", "metadata": {"raw": inner}}));
        assert_eq!(raw.api.message, "deep \u{fffd}");
        let latin = b"{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"caf\xe9\"}}";
        let latin = from_answer(429, "", Headers::default(), latin);
        assert_eq!(
            (latin.api.kind, latin.retryable),
            (ErrorKind::Billing, false)
        );
    }

    #[test]
    fn an_error_that_says_nothing_is_none() {
        for nothing in [json!(""), json!(false), json!(null)] {
            let mut event = json!({"choices": []});
            event["error"] = nothing.clone();
            assert_eq!(of_event(event.to_string().as_bytes()), None, "{nothing}");
            event["message"] = json!("no");
            event.as_object_mut().unwrap().remove("choices");
            let error = of_event(event.to_string().as_bytes()).unwrap();
            assert_eq!(error.api.message, "no", "{nothing}");
        }
    }

    #[test]
    fn a_prompt_that_does_not_fit_is_said_in_claude_codes_words() {
        let message = "This endpoint's maximum context length is 1000 tokens. However, you requested about 2000 tokens (1900 of text input, 100 in the output).";
        let error = answered(400, json!({"code": 400, "message": message}));
        assert!(
            error
                .api
                .message
                .starts_with("prompt is too long: 1900 tokens > 1000 maximum")
        );
        assert_eq!((error.api.status, error.retryable), (400, false));
        let large = answered(
            413,
            json!({"message": "Input is too long for requested model."}),
        );
        assert_eq!(
            (large.api.status, large.api.kind),
            (400, ErrorKind::InvalidRequest)
        );
        let coded = answered(
            200,
            json!({"code": "context_length_exceeded", "message": "no"}),
        );
        assert_eq!(coded.api.message, "prompt is too long (no)");
    }

    #[test]
    fn a_200_is_judged_by_its_code_or_its_word() {
        let rows = [
            (json!({"code": 401, "message": "m"}), 401),
            (json!({"code": "429", "message": "m"}), 429),
            (json!({"code": "server_error", "message": "m"}), 500),
            (
                json!({"metadata": {"error_type": "provider_overloaded"}, "message": "m"}),
                529,
            ),
            (
                json!({"code": 503, "metadata": {"error_type": "provider_overloaded"}}),
                529,
            ),
            (json!({"metadata": {"error_type": "image_too_large"}}), 400),
            (
                json!({"availability": {"code": "no_endpoints"}, "message": "m"}),
                404,
            ),
            (json!({"type": "overloaded_error", "message": "m"}), 529),
            (json!("words"), 502),
            (json!({"code": 7}), 502),
        ];
        for (error, status) in rows {
            assert_eq!(answered(200, error.clone()).api.status, status, "{error}");
        }
    }

    #[test]
    fn an_exhausted_budget_in_flight_is_a_limit_and_other_debts_are_not() {
        let in_flight = answered(
            402,
            json!({"code": 402, "message": "m", "metadata": {"reason": "in_flight_budget_exhausted"}}),
        );
        assert_eq!((in_flight.api.status, in_flight.retryable), (429, true));
        let debt = answered(
            402,
            json!({"code": 402, "message": "m", "metadata": {"limit_source": "openrouter_key_limit", "remedy_hint": "raise it"}}),
        );
        assert_eq!((debt.api.status, debt.retryable), (402, false));
        assert!(
            debt.api.message.contains("openrouter_key_limit")
                && debt.api.message.contains("raise it")
        );
        assert!(
            debt.api
                .message
                .contains("https://openrouter.ai/settings/credits")
        );
    }

    #[test]
    fn waits_are_passed_on_when_short_and_said_in_words_when_long() {
        let error = json!({"code": 429, "message": "slow down"});
        let after = |seconds| Headers {
            retry_after: Some(seconds),
            ..Headers::default()
        };
        let short = limited_with(after("7"), error.clone());
        assert_eq!(short.api.retry_after, Some(Duration::from_secs(7)));
        assert_eq!(short.api.should_retry, Some(true));
        let long = limited_with(after("3000"), error.clone());
        assert_eq!(long.api.retry_after, Some(Duration::from_secs(60)));
        assert_eq!(
            (long.api.should_retry, long.retryable),
            (Some(false), false)
        );
        assert_eq!(long.api.message, "slow down (try again in 50 minutes)");
        for odd in ["-1", "soon", "1e400", ""] {
            assert_eq!(
                limited_with(after(odd), error.clone()).api.retry_after,
                None,
                "{odd}"
            );
        }
    }

    #[test]
    fn what_the_upstream_says_of_retrying_counts_before_the_status() {
        let error = json!({"code": 429, "message": "slow down"});
        let told = |should_retry| Headers {
            should_retry,
            ..Headers::default()
        };
        for (said, expected) in [(None, true), (Some(true), true), (Some(false), false)] {
            let error = limited_with(told(said), error.clone());
            assert_eq!(error.retryable, expected, "{said:?}");
            assert_eq!(error.api.should_retry, Some(expected), "{said:?}");
        }
    }

    #[test]
    fn the_daily_quota_of_free_models_is_not_worth_a_retry() {
        let headers = Headers {
            rate_limit_reset: Some("1786233600000"),
            ..Headers::default()
        };
        let error = limited_with(
            headers,
            json!({"code": 429, "message": "Rate limit exceeded: free-models-per-day. Add 10 credits"}),
        );
        assert_eq!(
            (error.api.status, error.retryable, error.api.should_retry),
            (429, false, Some(false))
        );
        assert!(
            error
                .api
                .message
                .starts_with("request limit reached (daily; resets 2026-08-09 00:00 UTC): ")
        );
    }

    #[test]
    fn the_upstreams_own_word_on_retries_wins() {
        let never = answered(
            429,
            json!({"code": 429, "message": "m", "availability": {"retryable": false}}),
        );
        assert_eq!(
            (never.retryable, never.api.should_retry),
            (false, Some(false))
        );
        let hints = answered(
            404,
            json!({"code": 404, "message": "no endpoints", "availability": {"code": "constraint_filtered", "retryable": true,
                   "excluded_by": ["max_price"], "fallback_models": ["a/b", "c/d"]}}),
        );
        assert!(hints.retryable);
        let said = "no endpoints (reason: constraint_filtered) (excluded by: max_price) (available instead: a/b, c/d)";
        assert_eq!(hints.api.message, said);
    }

    #[test]
    fn a_moderated_request_is_told_why() {
        let error = answered(
            403,
            json!({"code": 403, "message": "flagged", "metadata": {"reasons": ["violence", "x"]}}),
        );
        assert_eq!(error.api.message, "flagged (reasons: violence, x)");
    }

    #[test]
    fn a_completion_without_choices_is_worth_another_attempt() {
        let empty = from_answer(200, "", Headers::default(), br#"{"id":"x","choices":[]}"#);
        assert_eq!((empty.api.status, empty.retryable), (502, true));
        assert!(!empty.api.message.contains("base URL"), "{empty}");
        let other = from_answer(200, "", Headers::default(), br#"{"status":"ok"}"#);
        assert_eq!((other.api.status, other.retryable), (502, false));
        assert!(other.api.message.contains("base URL"), "{other}");
    }

    #[test]
    fn web_pages_and_silence_hint_at_the_base_url() {
        let page = from_answer(
            200,
            "text/html; charset=utf-8",
            Headers::default(),
            b"<!DOCTYPE html>",
        );
        assert_eq!((page.api.status, page.retryable), (502, false));
        assert!(page.api.message.contains("web page") && page.api.message.contains("base URL"));
        let missing = from_answer(404, "text/html", Headers::default(), b"<html>");
        assert_eq!(missing.api.status, 404);
        assert!(missing.api.message.contains("base URL"));
        let edge = from_answer(
            502,
            "text/html",
            Headers::default(),
            b"<html>cloudflare</html>",
        );
        assert_eq!((edge.api.status, edge.retryable), (502, true));
        let silence = from_answer(500, "", Headers::default(), b"");
        assert_eq!(
            silence.api.message,
            "the upstream answered with status 500 and nothing else"
        );
        let long = from_answer(
            400,
            "text/plain",
            Headers::default(),
            "ä".repeat(5000).as_bytes(),
        );
        assert!(long.api.message.len() < 500);
    }

    #[test]
    fn reasoning_that_a_provider_refuses_is_recognized() {
        for message in [
            "messages.1.content.0: Invalid `signature` in `thinking` block",
            "Corrupted thought signature.",
        ] {
            let error = answered(400, json!({"code": 400, "message": message}));
            assert!(error.rejects_reasoning && error.api.message.contains(message));
        }
        assert!(!answered(400, json!({"message": "invalid tool schema"})).rejects_reasoning);
    }

    #[test]
    fn only_words_on_the_signatures_of_thoughts_speak_of_reasoning() {
        for (message, is_one) in [
            ("Invalid `signature` in `thinking` block", true),
            ("Thought signature is not valid", true),
            ("the thinking block has a MISSING signature", true),
            ("code: invalid_encrypted_content", true),
            ("invalid signature of the request", false),
            ("invalid thinking budget", false),
            ("thinking blocks have a signature", false),
            ("invalid request", false),
        ] {
            assert_eq!(rejects_reasoning(message), is_one, "{message}");
        }
    }

    #[test]
    fn an_error_in_a_stream_names_its_provider_once() {
        let of = |error: Value, provider: &str| from_stream(&error.to_string(), provider).provider;
        let named = json!({"code": 502, "message": "m", "metadata": {"provider_name": "Groq"}});
        let unnamed = json!({"code": 502, "message": "m"});
        assert_eq!(of(named.clone(), "Chunk").as_deref(), Some("Groq"));
        assert_eq!(of(named, "").as_deref(), Some("Groq"));
        assert_eq!(of(unnamed.clone(), "Chunk").as_deref(), Some("Chunk"));
        assert_eq!(of(unnamed, ""), None);
        let error = from_stream("{\"code\":429,\"message\":\"slow\"}", "");
        assert_eq!((error.api.status, error.status), (429, Some(200)));
    }

    #[test]
    fn a_refused_key_is_dagways_own_unless_a_provider_refused_it() {
        let own = answered(401, json!({"code": 401, "message": "no"}));
        assert!(own.api.message.contains("Dagway's API key"));
        let providers = answered(
            401,
            json!({"code": 401, "message": "no", "metadata": {"provider_name": "Groq"}}),
        );
        assert_eq!(providers.api.message, "[Groq] no");
    }

    #[test]
    fn a_gateways_fault_behind_the_upstream_is_an_overload() {
        for (error, status) in [
            (json!({"code": 502, "message": "m"}), 502),
            (json!({"code": "provider_error", "message": "m"}), 529),
            (
                json!({"code": 502, "message": "m", "metadata": {"provider_name": "Z"}}),
                529,
            ),
        ] {
            assert_eq!(answered(502, error.clone()).api.status, status, "{error}");
        }
    }

    #[test]
    fn a_budget_in_flight_is_told_in_any_of_three_places() {
        let in_flight = "openrouter_in_flight_budget";
        for (error, status) in [
            (
                json!({"metadata": {"reason": "in_flight_budget_exhausted"}}),
                429,
            ),
            (json!({"metadata": {"limit_source": in_flight}}), 429),
            (json!({"limit_source": in_flight}), 429),
            (
                json!({"metadata": {"reason": "other", "limit_source": "other"}}),
                402,
            ),
            (json!({"limit_source": "other"}), 402),
        ] {
            assert_eq!(answered(402, error.clone()).api.status, status, "{error}");
        }
    }

    #[test]
    fn a_daily_quota_is_hopeless_for_limits_only() {
        let message = "Rate limit exceeded: free-models-per-day";
        assert!(!answered(429, json!({"message": message})).retryable);
        assert!(answered(503, json!({"message": message})).retryable);
    }

    #[test]
    fn what_did_not_come_over_the_wire_is_worth_another_attempt() {
        for (error, status, code) in [
            (UpstreamError::no_use("cut"), 502, "unusable_answer"),
            (UpstreamError::timed_out("too late"), 504, "timeout"),
            (
                UpstreamError::unreachable("host", "refused"),
                502,
                "unreachable",
            ),
        ] {
            assert_eq!((error.status, error.retryable), (None, true));
            assert_eq!((error.api.status, error.code.as_str()), (status, code));
            assert_eq!(ApiError::from(error).should_retry, Some(true));
        }
        assert_eq!(
            UpstreamError::no_use("cut").api.message,
            "the upstream failed: cut"
        );
    }

    #[test]
    fn a_finish_with_an_error_is_told_with_its_reason() {
        let told = |native: &str| {
            let error = from_finish(native);
            assert_eq!((error.api.status, error.retryable), (529, true));
            assert!(error.api.message.ends_with(&format!(": {}", error.code)));
            error.code
        };
        assert_eq!(told("RECITATION"), "RECITATION");
        assert_eq!(told(""), "no reason given");
    }

    #[test]
    fn plain_text_is_quoted_from_where_it_begins_to_where_it_grows_long() {
        let quoted = |status: u16, body: &str| {
            let error = from_answer(status, "text/plain", Headers::default(), body.as_bytes());
            error.api.message
        };
        let late = format!("{}oops", " ".repeat(500));
        assert_eq!(
            quoted(500, &late),
            "the upstream answered with status 500: oops"
        );
        let long = "ab".repeat(400);
        let shown = long.get(..LONGEST_QUOTE).unwrap();
        assert_eq!(
            quoted(400, &long),
            format!("the upstream answered with status 400: {shown}")
        );
        for (status, hints) in [
            (200, true),
            (302, true),
            (400, false),
            (404, true),
            (405, true),
            (502, false),
        ] {
            assert_eq!(
                quoted(status, "oops").contains("base URL"),
                hints,
                "{status}"
            );
        }
    }

    #[test]
    fn a_page_is_told_by_its_type_or_by_its_beginning() {
        for (content_type, body, is_page) in [
            ("text/html", "oops", true),
            ("text/plain", " <p>oops", true),
            ("text/plain", "oops", false),
        ] {
            let error = from_answer(502, content_type, Headers::default(), body.as_bytes());
            let message = error.api.message;
            assert_eq!(message.contains("a web page"), is_page, "{message}");
        }
    }

    #[test]
    fn a_demand_that_no_host_meets_is_known() {
        let nobody = "No endpoints found that can handle the requested parameters.";
        for (status, message, is_one) in [
            (404, nobody, true),
            (404, "No endpoints found for this model.", false),
            (400, "Invalid schema for response_format 'answer'", true),
            (400, "invalid tool schema", false),
            (500, nobody, false),
        ] {
            let error = answered(status, json!({"code": status, "message": message}));
            assert_eq!(error.rejects_strictness, is_one, "{status} {message}");
        }
    }

    #[test]
    fn other_servers_errors_are_read_too() {
        let bare = from_answer(
            400,
            "",
            Headers::default(),
            br#"{"object":"error","message":"vLLM says no","code":400}"#,
        );
        assert_eq!(bare.api.message, "vLLM says no");
        let detail = from_answer(
            422,
            "",
            Headers::default(),
            br#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#,
        );
        assert_eq!(detail.api.message, "field required");
        let unreachable = UpstreamError::unreachable("openrouter.ai", "connection refused");
        assert_eq!((unreachable.api.status, unreachable.retryable), (502, true));
        assert_eq!(
            unreachable.to_string(),
            "cannot reach openrouter.ai: connection refused"
        );
    }
}
