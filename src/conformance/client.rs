//! The client that the suite plays: sends a case's request as an SDK would, and reads the answer whole.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Method;

/// The longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(45);

/// An answer.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

/// A request, ready to be sent.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Option<String>,
    /// Whether to hang up once a text has begun.
    pub(super) hangs_up: bool,
}

/// A client of one gateway.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl Client {
    /// Makes a client. No connection is opened.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn new(base: &str, key: &str) -> Result<Self, String> {
        let said = |error: &dyn std::error::Error| format!("the client could not be made: {error}");
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        let tls = rustls::ClientConfig::builder_with_provider(
            rustls::crypto::ring::default_provider().into(),
        )
        .with_safe_default_protocol_versions()
        .map_err(|error| said(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .tcp_nodelay(true)
            .connect_timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| said(&error))?;
        Ok(Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
            key: key.to_owned(),
        })
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// When the connection fails or the answer does not end in time.
    pub(super) async fn send(&self, call: &Call) -> Result<Got, String> {
        tokio::time::timeout(PATIENCE, self.exchange(call))
            .await
            .map_err(|_| format!("no end of the answer within {} s", PATIENCE.as_secs()))?
    }

    async fn exchange(&self, call: &Call) -> Result<Got, String> {
        let method = Method::from_bytes(call.method.as_bytes()).map_err(|e| e.to_string())?;
        let url = format!("{}{}", self.base, call.path);
        let mut headers = BTreeMap::from([
            ("x-api-key".to_owned(), self.key.clone()),
            ("anthropic-version".to_owned(), "2023-06-01".to_owned()),
            ("content-type".to_owned(), "application/json".to_owned()),
            ("accept".to_owned(), "application/json".to_owned()),
        ]);
        headers.extend(call.headers.clone());
        let mut request = self.http.request(method, url);
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(name, value.replace("@key", &self.key));
        }
        if let Some(body) = &call.body {
            request = request.body(body.clone());
        }
        let response = request.send().await.map_err(|error| because(&error))?;
        let status = response.status().as_u16();
        let headers = response.headers().iter().filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        });
        let headers = headers.collect();
        let mut body = Vec::new();
        let mut pieces = response.bytes_stream();
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) => body.extend_from_slice(&piece),
                // A broken end is judged by what came: a stream without its last event has a fault.
                Err(_) => break,
            }
            if call.hangs_up && memchr::memmem::find(&body, b"content_block_delta").is_some() {
                break;
            }
        }
        Ok(Got {
            status,
            headers,
            body: String::from_utf8(body).map_err(|_| "the answer is not UTF-8".to_owned())?,
        })
    }
}

fn because(error: &reqwest::Error) -> String {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        reason = format!("{reason}: {inner}");
        cause = inner.source();
    }
    reason
}
