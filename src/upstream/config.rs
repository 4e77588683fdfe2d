//! How an upstream is reached: its address, its key, its headers; and the sentences when these cannot be used.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use secrecy::{ExposeSecret, SecretString};

use super::client::Kind;
use crate::facts::payload::is_secret_header;
use crate::protocol::translate::dialect::Dialect;

/// How to reach an upstream.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name in the settings.
    pub name: String,
    /// Which API it has.
    pub kind: Kind,
    /// Such as `https://openrouter.ai/api/v1`.
    pub base_url: String,
    /// Sent as its kind wants it.
    pub key: SecretString,
    /// The variable that the key is looked for in, for the sentence about one that is missing or wrong.
    pub key_env: Option<String>,
    /// More headers for every request.
    pub headers: Vec<(String, String)>,
    /// Which chat completions it speaks.
    pub dialect: Dialect,
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// How long an answer is held back to see whether it begins with an error.
    pub early_error_wait: Duration,
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The base URL is none.
    #[error(
        "upstreams.{name}.base_url: `{url}` is not a URL: {source}; write something like https://openrouter.ai/api/v1"
    )]
    Url {
        /// The upstream's name.
        name: String,
        /// What was given.
        url: String,
        /// Why not.
        source: <Url as std::str::FromStr>::Err,
    },
    /// A header that cannot be sent.
    #[error(
        "upstreams.{name}.headers: `{header}` cannot stand in an HTTP request; use ASCII letters, digits and `-` in the \
         name, and neither line ends nor other control characters in the value"
    )]
    Header {
        /// The upstream's name.
        name: String,
        /// The header's name.
        header: String,
    },
    /// A key that cannot be sent.
    #[error(
        "upstreams.{name}: its key{from} has a character that no HTTP request can hold, such as a line end in its \
         midst; copy the key anew"
    )]
    Key {
        /// The upstream's name.
        name: String,
        /// Where the key is looked for, in words that follow it.
        from: String,
    },
    /// The TLS stack could not be set up.
    #[error("the HTTP client could not be made: {0}")]
    Http(#[from] reqwest::Error),
}

/// What is said of an upstream that wants a key and has none; nothing of one whose key may stand in a header.
pub(super) fn keyless(config: &Config) -> Option<String> {
    let Config { name, key_env, .. } = config;
    let mut headers = config.headers.iter();
    let has_secret = headers.any(|(name, _)| is_secret_header(&name.to_ascii_lowercase()));
    if has_secret || !config.key.expose_secret().is_empty() {
        return None;
    }
    let cure = match key_env {
        Some(variable) => format!("set {variable}"),
        None => format!("name the variable that holds it with upstreams.{name}.key_env"),
    };
    Some(format!("the upstream `{name}` has no key: {cure}"))
}

/// What Anthropic's API wants to know of a client that does not say it.
pub(super) const ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// The headers that every call carries.
pub(super) fn headers(config: &Config) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Without a word on it any coding would do (RFC 9110, 12.5.3), and none is read here.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(
        "user-agent",
        HeaderValue::from_static(concat!("dagway/", env!("CARGO_PKG_VERSION"))),
    );
    if config.kind == Kind::Anthropic {
        headers.insert("anthropic-version", ANTHROPIC_VERSION);
    }
    for (name, value) in &config.headers {
        let wrong = || ConfigError::Header {
            name: config.name.clone(),
            header: name.clone(),
        };
        let header = HeaderName::try_from(name).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        // It may well be a key of some kind.
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    let key = config.key.expose_secret();
    if key.is_empty() {
        return Ok(headers);
    }
    let (name, text) = match config.kind {
        Kind::OpenRouter | Kind::OpenAi => (AUTHORIZATION, format!("Bearer {key}")),
        Kind::Anthropic => (HeaderName::from_static("x-api-key"), key.to_owned()),
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| ConfigError::Key {
        name: config.name.clone(),
        from: match &config.key_env {
            Some(variable) => {
                format!(", which {variable}, the file of {variable}_FILE or the settings hold,")
            }
            None => String::new(),
        },
    })?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(headers)
}
