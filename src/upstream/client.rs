//! One pooled HTTP client for one upstream.
//!
//! URLs and headers that never change are made once. Keys are marked sensitive, so that they print nowhere.
//! `TCP_NODELAY` is on: without it, small requests wait 40 ms for an acknowledgement.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Request, Url};
use secrecy::{ExposeSecret, SecretString};

use super::answer::Answer;
use super::headers;
use crate::protocol::openrouter::error::UpstreamError;

/// How to reach an upstream.
#[derive(Clone, Debug)]
pub struct Config {
    /// Such as `https://openrouter.ai/api/v1`.
    pub base_url: String,
    /// Sent as a bearer token.
    pub api_key: SecretString,
    /// Sent as `HTTP-Referer`.
    pub referer: String,
    /// Sent as `X-OpenRouter-Title`.
    pub title: String,
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
        "`{url}` is not a URL: {source}; set OPENROUTER_BASE_URL to something like https://openrouter.ai/api/v1"
    )]
    Url {
        /// What was given.
        url: String,
        /// Why not.
        source: <Url as std::str::FromStr>::Err,
    },
    /// A value that cannot stand in a header.
    #[error("{what} holds a character that no HTTP header may hold")]
    Header {
        /// Which value.
        what: &'static str,
    },
    /// The TLS stack could not be set up.
    #[error("the HTTP client could not be made: {0}")]
    Http(#[from] reqwest::Error),
}

/// Begins an HTTP client as all of Dagway's are: TLS by rustls with ring, the web's root certificates compiled in, so that
/// an image without certificates works; no redirects, because a key must not follow them.
///
/// # Errors
/// When the root certificates cannot be read, which a test would have shown.
pub fn http() -> reqwest::Result<reqwest::ClientBuilder> {
    // The first one wins; a second call finds the same provider installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    let roots = roots
        .map(|der| reqwest::Certificate::from_der(der))
        .collect::<Result<Vec<_>, _>>()?;
    let builder = reqwest::Client::builder().tls_certs_only(roots);
    Ok(builder
        .tcp_nodelay(true)
        .redirect(reqwest::redirect::Policy::none()))
}

/// A client for one upstream. Cheap to share; all connections are pooled.
#[derive(Debug)]
pub struct Client {
    /// For what goes on beside requests.
    http: reqwest::Client,
    /// For completions: a pool for each worker thread, see [`Client::completing`].
    pools: Pools,
    base: Url,
    completions: Url,
    headers: HeaderMap,
    has_key: bool,
    early_error_wait: Duration,
}

/// How to make the pool of a worker thread, and by which name the thread finds it again.
#[derive(Debug)]
struct Pools {
    name: u64,
    connect_timeout: Duration,
}

thread_local! {
    static POOLS: RefCell<Vec<(u64, reqwest::Client)>> = const { RefCell::new(Vec::new()) };
}

impl Pools {
    fn new(connect_timeout: Duration) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            name,
            connect_timeout,
        }
    }

    fn build(&self) -> reqwest::Result<reqwest::Client> {
        http()?
            .connect_timeout(self.connect_timeout)
            .pool_max_idle_per_host(512)
            .pool_idle_timeout(Duration::from_secs(60))
            .no_gzip()
            .build()
    }

    /// The pool of this thread, made when it is first asked for.
    fn of_this_thread(&self) -> reqwest::Result<reqwest::Client> {
        POOLS.with_borrow_mut(|pools| {
            if let Some((_, pool)) = pools.iter().find(|(name, _)| *name == self.name) {
                return Ok(pool.clone());
            }
            let pool = self.build()?;
            pools.push((self.name, pool.clone()));
            Ok(pool)
        })
    }
}

/// What differs from call to call.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// The JSON body.
    pub body: Bytes,
    /// Whether the answer should be a stream.
    pub stream: bool,
    /// The `traceparent` to send.
    pub traceparent: Option<String>,
    /// Anthropic betas that the upstream may see (`x-anthropic-beta`).
    pub betas: Option<String>,
}

impl Client {
    /// Makes a client. No connection is opened.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let trimmed = config.base_url.trim_end_matches('/');
        let parse = |text: &str| {
            Url::parse(text).map_err(|source| ConfigError::Url {
                url: config.base_url.clone(),
                source,
            })
        };
        let pools = Pools::new(config.connect_timeout);
        let http = pools.build()?;
        Ok(Self {
            http,
            pools,
            base: parse(trimmed)?,
            completions: parse(&format!("{trimmed}/chat/completions"))?,
            headers: headers(config)?,
            has_key: !config.api_key.expose_secret().is_empty(),
            early_error_wait: config.early_error_wait,
        })
    }

    /// Whether a key is configured.
    #[must_use]
    pub fn has_key(&self) -> bool {
        self.has_key
    }

    /// The upstream's host.
    #[must_use]
    pub fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    /// The upstream's port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.base.port_or_known_default().unwrap_or_default()
    }

    /// How long an answer is held back to see whether it begins with an error.
    #[must_use]
    pub fn early_error_wait(&self) -> Duration {
        self.early_error_wait
    }

    /// The headers of a call as they are sent, secrets redacted: for showing.
    #[must_use]
    pub fn shown_headers(&self, call: &Call) -> Bytes {
        let headers = self.call_headers(call);
        headers::to_json(
            headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes())),
        )
    }

    /// Asks for a completion. Returns when the answer's headers are in, and, for an error, its body.
    ///
    /// # Errors
    /// Every refusal and every failure of the transport, mapped for the client.
    pub async fn complete(&self, call: &Call) -> Result<Answer, UpstreamError> {
        let mut request = Request::new(Method::POST, self.completions.clone());
        *request.headers_mut() = self.call_headers(call);
        *request.body_mut() = Some(call.body.clone().into());
        let response = self
            .completing()
            .execute(request)
            .await
            .map_err(|error| self.unreachable(&error))?;
        Answer::read(response, call.stream).await
    }

    /// Fetches a small JSON document below the base URL.
    ///
    /// # Errors
    /// As for [`Client::complete`], and when it takes longer than `within`.
    pub async fn get(&self, path: &str, within: Duration) -> Result<Bytes, UpstreamError> {
        let url = format!("{}/{path}", self.base);
        let url = Url::parse(&url)
            .map_err(|error| UpstreamError::unreachable(self.host(), &error.to_string()))?;
        let mut request = Request::new(Method::GET, url);
        *request.headers_mut() = self.headers.clone();
        *request.timeout_mut() = Some(within);
        let response = self
            .http
            .execute(request)
            .await
            .map_err(|error| self.unreachable(&error))?;
        Answer::read(response, false).await?.whole().await
    }

    /// Sets up this thread's pool, so that its first request does not wait for it.
    pub fn warm_up(&self) {
        drop(self.completing());
    }

    /// The HTTP client of this thread. A connection is driven by the thread that opened it: one shared by all would
    /// wake another thread for every request, at 35 to 50 µs each.
    fn completing(&self) -> reqwest::Client {
        self.pools
            .of_this_thread()
            .unwrap_or_else(|_| self.http.clone())
    }

    fn call_headers(&self, call: &Call) -> HeaderMap {
        let mut headers = self.headers.clone();
        let accept = if call.stream {
            "text/event-stream"
        } else {
            "application/json"
        };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        let extra = [
            ("traceparent", &call.traceparent),
            ("x-anthropic-beta", &call.betas),
        ];
        for (name, value) in extra {
            if let Some(value) = value
                .as_deref()
                .and_then(|text| HeaderValue::from_str(text).ok())
            {
                headers.insert(name, value);
            }
        }
        headers
    }

    fn unreachable(&self, error: &reqwest::Error) -> UpstreamError {
        let mut reason = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            reason = inner.to_string();
            cause = inner.source();
        }
        UpstreamError::unreachable(self.host(), &reason)
    }
}

/// The headers that every call carries.
fn headers(config: &Config) -> Result<HeaderMap, ConfigError> {
    let value = |what: &'static str, text: &str| {
        HeaderValue::from_str(text).map_err(|_| ConfigError::Header { what })
    };
    let mut headers = HeaderMap::with_capacity(12);
    let key = config.api_key.expose_secret();
    if !key.is_empty() {
        let mut bearer = value("the upstream key", &format!("Bearer {key}"))?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if !config.referer.is_empty() {
        headers.insert("http-referer", value("upstream.referer", &config.referer)?);
    }
    if !config.title.is_empty() {
        headers.insert(
            "x-openrouter-title",
            value("upstream.title", &config.title)?,
        );
        headers.insert(
            "x-openrouter-categories",
            HeaderValue::from_static("cli-agent"),
        );
    }
    headers.insert(
        "user-agent",
        HeaderValue::from_static(concat!("dagway/", env!("CARGO_PKG_VERSION"))),
    );
    Ok(headers)
}
