//! One pooled HTTP client for one upstream.
//!
//! URLs and headers that never change are made once. Keys are marked sensitive, so that they print nowhere.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Request, Url};
use rustix::io::Errno;

use super::answer::Answer;
use super::config::{ANTHROPIC_VERSION, headers, keyless};
pub use super::config::{Config, ConfigError};
use super::pools::{Pools, proxy_for};
pub use super::pools::{http, is_here};
use super::refusal::Failure;
use crate::protocol::openrouter::error::UpstreamError;
use crate::protocol::translate::dialect::Dialect;

/// Which API an upstream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Chat completions with OpenRouter's extensions, and a Messages endpoint.
    OpenRouter,
    /// Chat completions as OpenAI defines them.
    OpenAi,
    /// The Messages API.
    Anthropic,
}

/// Which of an upstream's endpoints is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Api {
    /// `POST /chat/completions`.
    #[default]
    Chat,
    /// `POST /messages`.
    Messages,
}

/// A client for one upstream. Cheap to share; all connections are pooled.
#[derive(Debug)]
pub struct Client {
    /// For what goes on beside requests.
    http: reqwest::Client,
    /// For completions: a pool for each worker thread, see [`Client::completing`].
    pools: Pools,
    name: String,
    kind: Kind,
    dialect: Dialect,
    base: Url,
    completions: Url,
    messages: Url,
    headers: HeaderMap,
    /// What is said of a refusal when there is no key.
    keyless: Option<String>,
    early_error_wait: Duration,
}

/// What a probe has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    /// It answers, and its answer needed the key.
    TakesTheKey,
    /// It answers, but has not what was asked for.
    Answers,
}

/// What differs from call to call.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// The endpoint.
    pub api: Api,
    /// The JSON body.
    pub body: Bytes,
    /// Whether the answer should be a stream.
    pub stream: bool,
    /// The `traceparent` to send.
    pub traceparent: Option<String>,
    /// Headers of this call alone; one that no HTTP request can hold is left out.
    pub headers: Vec<(String, String)>,
    /// The client's query, for an endpoint that is called as the client called Dagway.
    pub query: Option<String>,
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
                name: config.name.clone(),
                url: config.base_url.clone(),
                source,
            })
        };
        let base = parse(trimmed)?;
        let pools = Pools::to(&base, config.connect_timeout);
        let http = pools.build()?;
        Ok(Self {
            http,
            pools,
            name: config.name.clone(),
            kind: config.kind,
            dialect: config.dialect,
            base,
            completions: parse(&format!("{trimmed}/chat/completions"))?,
            messages: parse(&format!("{trimmed}/messages"))?,
            headers: headers(config)?,
            keyless: keyless(config),
            early_error_wait: config.early_error_wait,
        })
    }

    /// The upstream's name in the settings.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which API it has.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Which chat completions it speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The base URL.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Whether a key is configured.
    #[must_use]
    pub fn has_key(&self) -> bool {
        self.keyless.is_none()
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

    /// Asks a model, with the [headers of the call](Self::headers_of). Returns when the answer's headers are in, of which
    /// `begins` is told, and, for an error, its body.
    ///
    /// # Errors
    /// Every refusal and every failure of the transport, mapped for the client.
    pub async fn complete(
        &self,
        call: &Call,
        headers: HeaderMap,
        begins: impl FnOnce(),
    ) -> Result<Answer, Failure> {
        let mut request = Request::new(Method::POST, self.endpoint(call));
        *request.headers_mut() = headers;
        *request.body_mut() = Some(call.body.clone().into());
        let response = self
            .completing()
            .execute(request)
            .await
            .map_err(|error| self.unreachable(&error))?;
        begins();
        let answer = Answer::read(response, call.api).await;
        answer.map_err(|failure| Failure {
            error: Box::new(self.for_want_of_a_key(*failure.error)),
            ..failure
        })
    }

    /// Fetches a small JSON document below the base URL.
    ///
    /// # Errors
    /// As for [`Client::complete`], and when it takes longer than `within`.
    pub async fn get(&self, path: &str, within: Duration) -> Result<Bytes, UpstreamError> {
        let url = format!("{}/{path}", self.base_url());
        let url = Url::parse(&url)
            .map_err(|error| UpstreamError::unreachable(&self.place(), &error.to_string()))?;
        let mut request = Request::new(Method::GET, url);
        *request.headers_mut() = self.headers.clone();
        *request.timeout_mut() = Some(within);
        let response = self
            .http
            .execute(request)
            .await
            .map_err(|error| self.unreachable(&error))?;
        let api = match self.kind {
            Kind::OpenRouter | Kind::OpenAi => Api::Chat,
            Kind::Anthropic => Api::Messages,
        };
        let answer = Answer::read(response, api).await;
        answer
            .map_err(|failure| self.for_want_of_a_key(*failure.error))?
            .whole()
            .await
    }

    /// Asks for something small that needs the key, to see whether the upstream answers and takes it.
    ///
    /// # Errors
    /// As for [`Client::get`]; an upstream that has no such thing answers all the same.
    pub async fn probe(&self, within: Duration) -> Result<Probed, UpstreamError> {
        let path = match self.kind {
            Kind::OpenRouter => "key",
            Kind::OpenAi | Kind::Anthropic => "models",
        };
        match self.get(path, within).await {
            Ok(_) => Ok(Probed::TakesTheKey),
            Err(error) if error.api.status == 404 => Ok(Probed::Answers),
            Err(error) => Err(error),
        }
    }

    /// Sets up this thread's pool, so that its first request does not wait for it.
    pub fn warm_up(&self) {
        drop(self.completing());
    }

    fn endpoint(&self, call: &Call) -> Url {
        let mut url = match call.api {
            Api::Chat => self.completions.clone(),
            Api::Messages => self.messages.clone(),
        };
        if call.query.is_some() {
            url.set_query(call.query.as_deref());
        }
        url
    }

    /// The HTTP client of this thread.
    fn completing(&self) -> reqwest::Client {
        self.pools
            .of_this_thread()
            .unwrap_or_else(|_| self.http.clone())
    }

    /// The headers of a call.
    #[must_use]
    pub fn headers_of(&self, call: &Call) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.headers.len() + call.headers.len() + 4);
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        let accept = if call.stream {
            "text/event-stream"
        } else {
            "application/json"
        };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if call.api == Api::Messages {
            headers.insert("anthropic-version", ANTHROPIC_VERSION);
        }
        let traceparent = call.traceparent.as_deref();
        if let Some(value) = traceparent.and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert("traceparent", value);
        }
        for (name, value) in &call.headers {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::from_str(value))
            {
                headers.insert(name, value);
            }
        }
        headers
    }

    /// The same error; when it is that there is no key, it says so.
    fn for_want_of_a_key(&self, mut error: UpstreamError) -> UpstreamError {
        if let Some(sentence) = &self.keyless
            && error.status == Some(401)
        {
            error.api.message = format!("{sentence} (it said: {})", error.api.message);
        }
        error
    }

    fn unreachable(&self, error: &reqwest::Error) -> UpstreamError {
        let mut reason = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            if inner.downcast_ref().is_some_and(lacks_files) {
                return UpstreamError::no_connection_left();
            }
            reason = inner.to_string();
            cause = inner.source();
        }
        let reason = reason.split(" (os error").next().unwrap_or_default();
        let is_away = error.is_connect() || error.is_timeout();
        let reason = match self.proxy() {
            Some(proxy) => format!(
                "{reason}; it is asked through the proxy {proxy} of HTTP_PROXY, HTTPS_PROXY or ALL_PROXY: does that run? \
                 NO_PROXY names hosts to be reached without it"
            ),
            None if is_away => format!("{reason}; is its address right, and does it run?"),
            None => reason.to_owned(),
        };
        if is_away {
            return UpstreamError::unreachable(&self.place(), &reason);
        }
        UpstreamError::cut_off(&self.place(), &reason)
    }

    /// The proxy through which it is asked, if any.
    fn proxy(&self) -> Option<String> {
        (!is_here(&self.base)).then(|| proxy_for(&self.base))?
    }

    /// Which upstream it is and where, without what its URL may hold of secrets.
    fn place(&self) -> String {
        let origin = self.base.origin().ascii_serialization();
        format!("the upstream {} at {origin}", self.name)
    }
}

/// Whether the process, or the whole system, has as many files and connections open as it may.
fn lacks_files(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn config(key: &str, key_env: Option<&str>) -> Config {
        Config {
            name: "mine".to_owned(),
            kind: Kind::OpenAi,
            base_url: "https://mine.test/v1".to_owned(),
            key: SecretString::from(key),
            key_env: key_env.map(str::to_owned),
            headers: Vec::new(),
            dialect: Dialect::PLAIN,
            connect_timeout: Duration::from_secs(1),
            early_error_wait: Duration::from_secs(1),
        }
    }

    #[test]
    fn a_key_or_header_that_cannot_be_sent_is_named_with_the_cure() {
        let said = |config: &Config| Client::new(config).unwrap_err().to_string();
        let key = said(&config("sk\nx", Some("MINE_KEY")));
        assert!(
            key.contains("upstreams.mine") && key.contains("MINE_KEY"),
            "{key}"
        );
        assert!(
            key.contains("copy the key anew") && !key.contains("sk"),
            "{key}"
        );
        let mut headers = config("", None);
        headers
            .headers
            .push(("x team".to_owned(), "blue".to_owned()));
        let header = said(&headers);
        assert!(
            header.contains("upstreams.mine.headers: `x team`"),
            "{header}"
        );
    }

    #[test]
    fn a_refusal_for_want_of_a_key_says_so_and_no_other_does() {
        let refused = |status| UpstreamError {
            status: Some(status),
            ..UpstreamError::no_use("it is refused")
        };
        let said = |config: &Config, status| {
            let client = Client::new(config).unwrap();
            client.for_want_of_a_key(refused(status)).to_string()
        };
        let expected = "the upstream `mine` has no key: set MINE_KEY";
        let without = config("", Some("MINE_KEY"));
        assert!(said(&without, 401).contains(expected));
        assert!(!said(&without, 403).contains(expected));
        assert!(!said(&config("k", Some("MINE_KEY")), 401).contains(expected));
        assert!(said(&without, 401).contains("it is refused"));
        let mut in_a_header = without;
        let header = ("Api-Key".to_owned(), "wrong".to_owned());
        in_a_header.headers.push(header);
        assert!(!said(&in_a_header, 401).contains("has no key"));
        let nowhere = said(&config("", None), 401);
        assert!(nowhere.contains("upstreams.mine.key_env"), "{nowhere}");
    }
}
