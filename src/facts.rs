//! The names of a run's figures and of its large texts, in one list.
//!
//! Tasks state them, the store indexes them, spans carry them, pages show them.
//! Where OpenTelemetry's GenAI conventions have a name, it is theirs
//! (<https://github.com/open-telemetry/semantic-conventions-genai>).
//! This file must not know what any of them is computed from.

/// The model the client asked for, as written.
pub const MODEL_ASKED: &str = "dagway.model.asked";
/// The model asked of the upstream.
pub const MODEL_SENT: &str = "gen_ai.request.model";
/// The model that the upstream says it used.
pub const MODEL_USED: &str = "gen_ai.response.model";
/// The conversation: Claude Code's session id.
pub const SESSION: &str = "gen_ai.conversation.id";
/// The sub-agent, when one speaks.
pub const AGENT: &str = "gen_ai.agent.id";
/// Whether the client asked for a stream.
pub const STREAM: &str = "gen_ai.request.stream";
/// The limit on output tokens that was sent.
pub const MAX_TOKENS: &str = "gen_ai.request.max_tokens";
/// Who runs the model for us: `openrouter`.
pub const PROVIDER: &str = "gen_ai.provider.name";
/// Who runs the model behind OpenRouter.
pub const PROVIDER_BEHIND: &str = "openrouter.provider";
/// The upstream's id of the answer.
pub const RESPONSE_ID: &str = "gen_ai.response.id";
/// Why the model stopped, in Anthropic's words.
pub const FINISH_REASON: &str = "gen_ai.response.finish_reasons";
/// Seconds from the sending of the upstream request to the first piece of its answer.
pub const FIRST_TOKEN: &str = "gen_ai.response.time_to_first_chunk";
/// All input tokens, those read from and written to a cache included.
pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// Input tokens read from a cache.
pub const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
/// Input tokens written to a cache.
pub const CACHE_WRITE_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";
/// Output tokens, thinking included.
pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// Seconds from the request's acceptance until the first of the answer was there for the client, attempts and pauses included.
pub const FIRST_FOR_CLIENT: &str = "dagway.first_token_seconds";
/// Output tokens spent on thinking.
pub const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
/// The tokens, and a cost that follows from them, are Dagway's estimate: the upstream did not tell them, in most cases because
/// its answer did not come to its end.
/// Stated only when it is so.
pub const USAGE_IS_ESTIMATE: &str = "dagway.usage.is_estimate";
/// What the answer cost, in US dollars.
pub const COST_USD: &str = "dagway.cost_usd";
/// Time spent by Dagway itself before the reply, in microseconds.
pub const OVERHEAD_US: &str = "dagway.overhead_us";
/// Microseconds until the client's request was there and had its place, from its acceptance on. Stated from a millisecond on.
pub const ARRIVAL_US: &str = "dagway.arrival_us";
/// How many of them it waited for room, because others took it. Stated from a millisecond on.
pub const ARRIVAL_WAIT_US: &str = "dagway.arrival.wait_us";
/// The status of the answer to the client.
pub const STATUS: &str = "http.response.status_code";
/// The status of the upstream's last answer.
pub const UPSTREAM_STATUS: &str = "dagway.upstream.status_code";
/// How the last attempt to call the upstream failed of which no status tells, in a word such as `unreachable`, `cut` or
/// `unusable_answer`. Stated only when one did.
pub const UPSTREAM_FAILURE: &str = "dagway.upstream.failure";
/// Seconds from the beginning of an attempt to call the upstream, before there is a connection, to the headers of its answer;
/// of the last attempt that got some.
pub const UPSTREAM_HEADERS: &str = "dagway.upstream.headers_seconds";
/// How often steps were tried again. The store counts it; stated only when it happened.
pub const RETRIES: &str = "dagway.retries";
/// The model that was asked instead of the one that the client named, because that one could not be had. Stated only then.
pub const FALLBACK_MODEL: &str = "dagway.fallback.model";
/// The run that failed before, for whose model this one asks another.
pub const FALLBACK_AFTER: &str = "dagway.fallback.after_run";
/// The run that asked another model after this one had failed: the client was answered by that, or by one after it.
pub const FALLBACK_BY: &str = "dagway.fallback.by_run";
/// The run whose request this one's client sent again, as that client says: it may be of no run that is known here.
pub const REPLAY_OF: &str = "dagway.replay.of";
/// The kind of an error, in Anthropic's words.
pub const ERROR_TYPE: &str = "error.type";
/// Whose request it is: the name of the client key that was presented. Only a key with a name states it.
/// (<https://opentelemetry.io/docs/specs/semconv/registry/attributes/enduser/>)
pub const KEY: &str = "enduser.id";
/// The client's program.
pub const USER_AGENT: &str = "user_agent.original";
/// The upstream's host.
pub const SERVER_ADDRESS: &str = "server.address";
/// The upstream's port.
pub const SERVER_PORT: &str = "server.port";

/// The large texts of a run, each kept as pieces in order.
pub mod payload {
    /// Whether the value of the header with this name, in lower case, is a secret, in either direction: it is kept and shown
    /// without it. Companies and their gateways have names of their own (`x-amzn-oidc-data`, `cf-access-client-secret`), so
    /// that not names are known but the words that say so in them.
    #[must_use]
    pub fn is_secret_header(name: &str) -> bool {
        // Words as bytes: this looks at every header of every request.
        let is_word = |word: &[u8]| {
            matches!(
                word,
                b"apikey"
                    | b"assertion"
                    | b"auth"
                    | b"authorization"
                    | b"cookie"
                    | b"credential"
                    | b"credentials"
                    | b"jwt"
                    | b"key"
                    | b"oidc"
                    | b"passwd"
                    | b"password"
                    | b"secret"
                    | b"token"
            )
        };
        let mut words = name.as_bytes().split(|byte| matches!(byte, b'-' | b'_'));
        words.any(is_word) && !matches!(name, "idempotency-key" | "sec-websocket-key")
    }

    /// What the client asked, byte for byte.
    pub const CLIENT_REQUEST: &str = "client.request";
    /// The client's headers as a JSON object, secrets redacted.
    pub const CLIENT_REQUEST_HEADERS: &str = "client.request.headers";
    /// What Dagway sent upstream.
    pub const UPSTREAM_REQUEST: &str = "upstream.request";
    /// What Dagway sent instead, after the upstream had refused something of the request, once or twice.
    pub const UPSTREAM_REQUEST_AGAIN: [&str; 2] = ["upstream.request.2", "upstream.request.3"];
    /// The headers it was sent with, secrets redacted.
    pub const UPSTREAM_REQUEST_HEADERS: &str = "upstream.request.headers";
    /// The answers that were refusals, of every attempt: a line each, which is a JSON object with `attempt`, `status`,
    /// `headers` and `body`.
    pub const UPSTREAM_REFUSALS: &str = "upstream.refusals";
    /// What the provider answered.
    pub const UPSTREAM_RESPONSE: &str = "upstream.response";
    /// The headers of that answer.
    pub const UPSTREAM_RESPONSE_HEADERS: &str = "upstream.response.headers";
    /// What the client got.
    pub const CLIENT_RESPONSE: &str = "client.response";
    /// The headers it got.
    pub const CLIENT_RESPONSE_HEADERS: &str = "client.response.headers";

    /// All of them, in the order of their way.
    pub const ALL: [&str; 11] = [
        CLIENT_REQUEST,
        CLIENT_REQUEST_HEADERS,
        UPSTREAM_REQUEST,
        UPSTREAM_REQUEST_HEADERS,
        UPSTREAM_REQUEST_AGAIN[0],
        UPSTREAM_REQUEST_AGAIN[1],
        UPSTREAM_REFUSALS,
        UPSTREAM_RESPONSE,
        UPSTREAM_RESPONSE_HEADERS,
        CLIENT_RESPONSE,
        CLIENT_RESPONSE_HEADERS,
    ];
}
