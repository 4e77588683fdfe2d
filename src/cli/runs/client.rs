//! Asks a Dagway that runs, over its run API, and its Messages API for a request that is sent again.
//!
//! The password goes only to the address of its own settings and to who demands it as Dagway does, and is printed nowhere.
//! So it is with a client key.
//! This file must not know what is asked for.

use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;

use super::answer::Refusal;
use super::text;
use crate::app::url_here;
use crate::cli::Failure;
use crate::dashboard::filter::encode_pairs;
use crate::settings::{Secret, Settings};
use crate::upstream;

/// The longest wait for a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// How long an answer may take before it is looked whether a Dagway is there at all.
const DOUBT: Duration = Duration::from_secs(2);
/// How long a Dagway may take to say that it is there.
const HELLO_WAIT: Duration = Duration::from_secs(3);
/// The longest silence of a server that is asked.
const SILENCE: Duration = Duration::from_secs(30);
/// The longest answer that is held in memory: a run with the longest texts that settings allow for its artifacts has more,
/// and then the dashboard shows it.
const LONGEST: usize = 256 << 20;

/// A way to a Dagway.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    /// Whether it is the one of the settings.
    is_own: bool,
    password: Option<Secret>,
    /// Whether the password is presented: it was demanded, or is known to be.
    presents: Cell<bool>,
}

/// Why there is no answer that could be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// Nobody is there.
    #[error(
        "no Dagway answers at {url}: {reason}; start it with `dagway`, or say where it runs with --server URL"
    )]
    Away { url: String, reason: String },
    /// Somebody is there, who speaks no TLS.
    #[error("what answers at {url} does not speak TLS; write http:// in place of https://")]
    Plain { url: String },
    /// Its answer did not come, or broke off.
    #[error("the Dagway at {url} did not answer to the end: {reason}")]
    Broken { url: String, reason: String },
    /// Somebody takes requests and says nothing.
    #[error(
        "what listens at {url} does not answer, not even whether it is well, so it is hardly Dagway; say where Dagway runs \
         with --server URL (`dagway doctor` looks who has the address of the settings)"
    )]
    Mute { url: String },
    /// Something else is there.
    #[error(
        "what answers at {url} (with status {status}) is not Dagway; say where Dagway runs with --server URL"
    )]
    Stranger { url: String, status: u16 },
    /// It is there, but not where it was looked for.
    #[error("the Dagway there has no run API below `{path}`; leave that out: --server {origin}")]
    Astray { path: String, origin: String },
    /// It wants a password that is not known here.
    #[error(
        "the Dagway at {url} demands the password of its dashboard; set DAGWAY_DASHBOARD_PASSWORD to it"
    )]
    Locked { url: String },
    /// It wants another password.
    #[error(
        "the Dagway at {url} refuses the password of its dashboard that the settings have; set \
         DAGWAY_DASHBOARD_PASSWORD to the right one"
    )]
    WrongPassword { url: String },
    /// It refuses, and says why.
    #[error("{0}")]
    Refused(String),
    /// It cannot answer at present, and says why.
    #[error("the Dagway at {url} cannot answer: {sentence}")]
    Unwell { url: String, sentence: String },
    /// It speaks another language.
    #[error(
        "the answer of the Dagway at {url} is not understood ({reason}); is it of another version?"
    )]
    Unreadable { url: String, reason: String },
}

impl Fault {
    /// Whether it may be over by itself.
    pub(super) const fn may_pass(&self) -> bool {
        match self {
            Self::Away { .. } | Self::Broken { .. } | Self::Mute { .. } | Self::Unwell { .. } => {
                true
            }
            // What stands before a Dagway that is restarted, such as a load balancer.
            Self::Stranger { status, .. } => *status >= 500,
            Self::Plain { .. }
            | Self::Astray { .. }
            | Self::Locked { .. }
            | Self::WrongPassword { .. }
            | Self::Refused(_)
            | Self::Unreadable { .. } => false,
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Broken { .. } | Fault::Unwell { .. } | Fault::Unreadable { .. } => {
                Self::Running(fault.to_string())
            }
            _ => Self::Usage(fault.to_string()),
        }
    }
}

impl Client {
    /// Finds the way to the server at `given`, else to the one at the address of the settings. Nothing is sent.
    pub(super) fn new(given: Option<&str>, settings: &Settings) -> Result<Self, Failure> {
        let listen = settings.server.listen;
        if given.is_none() && listen.port() == 0 {
            return Err(Failure::Usage(
                "the settings let Dagway listen on any free port; say where it runs with --server URL".to_owned(),
            ));
        }
        let written = given.map_or_else(|| url_here(listen), str::to_owned);
        let mut base = parse(&written).ok_or_else(|| {
            // What may hold a password is not repeated.
            let written = if written.contains('@') {
                "what is given".to_owned()
            } else {
                format!("`{}`", text::line(&written))
            };
            Failure::Usage(format!(
                "--server: {written} is not a URL such as http://127.0.0.1:4000"
            ))
        })?;
        let inline = take_password(&mut base);
        let known = &settings.server.dashboard_password;
        let password = inline.or_else(|| (!known.is_empty()).then(|| known.clone()));
        // The settings that it would be compared with are these. Asking without it first would count as a refusal there.
        let is_own = parse(&url_here(listen)).is_some_and(|own| own == base);
        Ok(Self {
            http: http(&base, Some(SILENCE)).map_err(|error| unusable(&error))?,
            base,
            is_own,
            presents: Cell::new(is_own && password.is_some()),
            password,
        })
    }

    /// The JSON at a path of the run API, as it was written.
    pub(super) async fn json(&self, path: &str, pairs: &[(&str, String)]) -> Result<String, Fault> {
        let response = self.get(path, pairs).await?;
        let bytes = self.whole(response).await?;
        String::from_utf8(bytes).map_err(|error| self.unreadable(&error))
    }

    /// Reads what [`Client::json`] gave.
    pub(super) fn read<T: DeserializeOwned>(&self, json: &str) -> Result<T, Fault> {
        serde_json::from_str(json).map_err(|error| self.unreadable(&error))
    }

    /// An answer that is no refusal.
    pub(super) async fn get(
        &self,
        path: &str,
        pairs: &[(&str, String)],
    ) -> Result<Response, Fault> {
        let mut response = self.send(path, pairs).await?;
        if is_demanded(&response) && self.password.is_some() && !self.presents.replace(true) {
            response = self.send(path, pairs).await?;
        }
        self.expect_dagway(&response)?;
        if response.status().is_success() {
            return Ok(response);
        }
        if is_demanded(&response) {
            let url = self.url();
            return Err(match self.password {
                None => Fault::Locked { url },
                Some(_) => Fault::WrongPassword { url },
            });
        }
        Err(self.refusal(response, pairs).await?)
    }

    /// Sends a body to a path of the Messages API, and waits for its answer as long as that takes. An answer may be a
    /// refusal.
    pub(super) async fn post(
        &self,
        path: &str,
        query: Option<&str>,
        headers: HeaderMap,
        body: String,
    ) -> Result<Response, Fault> {
        let patient = http(&self.base, None).map_err(|error| self.unreadable(&error))?;
        let mut url = self.at(path);
        url.set_query(query);
        let request = patient.post(url).headers(headers).body(body);
        let response = request.send().await.map_err(|error| self.unsent(&error))?;
        self.expect_dagway(&response)?;
        Ok(response)
    }

    /// Whether the Messages API lets in who presents this, or nothing. Nothing is asked of a model.
    pub(super) async fn admits(&self, key: Option<&HeaderValue>) -> Result<bool, Fault> {
        let mut request = self.http.get(self.at("/v1/messages"));
        if let Some(key) = key {
            request = request.header(AUTHORIZATION, key);
        }
        let response = self.answer(request).await?;
        self.expect_dagway(&response)?;
        Ok(response.status() != StatusCode::UNAUTHORIZED)
    }

    fn expect_dagway(&self, response: &Response) -> Result<(), Fault> {
        let is_dagway = response.headers().contains_key("x-dagway-overhead-us");
        let status = response.status();
        if is_dagway && !status.is_redirection() {
            return Ok(());
        }
        let (url, status) = (self.url(), status.as_u16());
        Err(Fault::Stranger { url, status })
    }

    /// What an answer says that is a refusal.
    pub(super) async fn refusal(
        &self,
        response: Response,
        pairs: &[(&str, String)],
    ) -> Result<Fault, Fault> {
        let status = response.status();
        let body = self.whole(response).await?;
        let told: Option<Refusal> = serde_json::from_slice(&body).ok();
        if status == StatusCode::NOT_FOUND
            && let Some(astray) = self.astray(told.as_ref())
        {
            return Ok(astray);
        }
        let sentence = told.map_or_else(
            || format!("the Dagway at {} answers with status {status}", self.url()),
            |told| by_its_option(pairs, text::line(&told.error.message)),
        );
        Ok(if status.is_server_error() {
            let url = self.url();
            Fault::Unwell { url, sentence }
        } else {
            Fault::Refused(sentence)
        })
    }

    /// What it means that nothing is there, when it is for the path of the base. A path that a proxy takes away for Dagway is
    /// none that Dagway could name.
    fn astray(&self, told: Option<&Refusal>) -> Option<Fault> {
        let path = self.base.path().trim_end_matches('/').to_owned();
        let is_named = |told: &Refusal| told.error.message.contains(&format!("{path}/api/"));
        let origin = self.base.origin().ascii_serialization();
        let is_astray = !path.is_empty() && told.is_none_or(is_named);
        is_astray.then_some(Fault::Astray { path, origin })
    }

    async fn send(&self, path: &str, pairs: &[(&str, String)]) -> Result<Response, Fault> {
        let mut url = self.at(path);
        url.set_query((!pairs.is_empty()).then(|| encode_pairs(pairs)).as_deref());
        let mut request = self.http.get(url);
        if self.presents.get() {
            // Shown to who demanded it, or would; the header is marked sensitive.
            let password = self.password.as_ref().map(Secret::expose);
            request = request.basic_auth("dagway", password);
        }
        self.answer(request).await
    }

    /// The answer to a request. While it is long in coming, it is asked whether a Dagway is there, which says so at once.
    async fn answer(&self, request: RequestBuilder) -> Result<Response, Fault> {
        let mut answer = pin!(request.send());
        let soon = tokio::time::timeout(DOUBT, &mut answer).await;
        let answer = match soon {
            Ok(answer) => answer,
            Err(_) => {
                let hello = self.http.get(self.at("/health")).timeout(HELLO_WAIT);
                match select(answer, pin!(hello.send())).await {
                    Either::Left((answer, _)) => answer,
                    Either::Right((Err(error), _)) if error.is_timeout() => {
                        let url = self.url();
                        return Err(Fault::Mute { url });
                    }
                    Either::Right((_, answer)) => answer.await,
                }
            }
        };
        answer.map_err(|error| self.unsent(&error))
    }

    /// A request to which there was no answer.
    fn unsent(&self, error: &reqwest::Error) -> Fault {
        let (url, reason) = (self.url(), reason(error));
        // What rustls says of bytes that are no TLS.
        if self.base.scheme() == "https" && reason.contains("corrupt message") {
            return Fault::Plain { url };
        }
        if error.is_connect() {
            Fault::Away { url, reason }
        } else {
            Fault::Broken { url, reason }
        }
    }

    /// A path there.
    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    /// The body of an answer.
    pub(super) async fn whole(&self, response: Response) -> Result<Vec<u8>, Fault> {
        let mut body = Vec::new();
        let mut pieces = response.bytes_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| self.broken(&error))?;
            if body.len() + piece.len() > LONGEST {
                let reason = format!("it is longer than {} MB", LONGEST >> 20);
                return Err(self.unreadable(&reason));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// An answer that broke off.
    pub(super) fn broken(&self, error: &reqwest::Error) -> Fault {
        let (url, reason) = (self.url(), reason(error));
        Fault::Broken { url, reason }
    }

    /// An answer that says something else than it should.
    pub(super) fn unreadable(&self, reason: &dyn std::fmt::Display) -> Fault {
        let (url, reason) = (self.url(), text::line(&reason.to_string()));
        Fault::Unreadable { url, reason }
    }

    /// Whether it is the one of the settings, by its address.
    pub(super) const fn is_own(&self) -> bool {
        self.is_own
    }

    /// Where it is, as it is written in sentences.
    pub(super) fn url(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }
}

/// An HTTP client that bears so much silence.
fn http(base: &Url, silence: Option<Duration>) -> reqwest::Result<reqwest::Client> {
    let mut builder = upstream::client::http()?.connect_timeout(CONNECT_WAIT);
    if let Some(silence) = silence {
        builder = builder.read_timeout(silence);
    }
    if upstream::client::is_here(base) {
        builder = builder.no_proxy();
    }
    builder.build()
}

/// A refusal that names a parameter of the run API, with the option by which it was given here.
fn by_its_option(pairs: &[(&str, String)], sentence: String) -> String {
    let of_sentence = |&(name, _): &(&str, String)| {
        let rest = sentence.strip_prefix(name)?.strip_prefix(": ")?;
        Some(match name {
            "q" => format!("--search: {rest}"),
            name => format!("--{}: {rest}", name.replace('_', "-")),
        })
    };
    pairs.iter().find_map(of_sentence).unwrap_or(sentence)
}

/// A URL of HTTP; that it is one may be left out.
fn parse(written: &str) -> Option<Url> {
    let has_scheme = written.contains("://");
    let url = if has_scheme {
        Url::parse(written)
    } else {
        Url::parse(&format!("http://{written}"))
    };
    let mut url = url.ok()?;
    url.set_query(None);
    url.set_fragment(None);
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

/// Takes a password out of a URL, so that it is shown nowhere.
fn take_password(url: &mut Url) -> Option<Secret> {
    let decode = |text: &str| {
        let bytes = percent_encoding::percent_decode_str(text);
        bytes.decode_utf8_lossy().into_owned()
    };
    let password = url.password().map(|password| Secret::new(decode(password)));
    // Both can fail only for URLs without a host, which are refused.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    password
}

/// Whether the answer is Dagway's demand for the password of its dashboard.
fn is_demanded(response: &Response) -> bool {
    let challenge = response.headers().get(WWW_AUTHENTICATE);
    let is_ours = challenge
        .and_then(|challenge| challenge.to_str().ok())
        .is_some_and(|challenge| challenge.contains("realm=\"Dagway\""));
    response.status().as_u16() == 401 && is_ours
}

/// The innermost reason: the others say only that a request failed.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    text::line(&innermost.to_string())
}

fn unusable(error: &reqwest::Error) -> Failure {
    Failure::Running(format!("no HTTP client can be made: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(written: &str) -> Option<String> {
        parse(written).map(|url| url.to_string())
    }

    #[test]
    fn a_refusal_names_the_option_that_was_given() {
        let pairs = [("limit", "0".to_owned()), ("min_cost", "x".to_owned())];
        for (sentence, told) in [
            ("limit: `0` does not do", "--limit: `0` does not do"),
            ("min_cost: no amount", "--min-cost: no amount"),
            ("sort: `x` is no order", "sort: `x` is no order"),
            ("limits are low", "limits are low"),
        ] {
            assert_eq!(by_its_option(&pairs, sentence.to_owned()), told);
        }
    }

    #[test]
    fn a_server_is_a_url_whose_scheme_may_be_left_out() {
        assert_eq!(
            shown("127.0.0.1:4000").as_deref(),
            Some("http://127.0.0.1:4000/")
        );
        assert_eq!(
            shown("localhost:4000").as_deref(),
            Some("http://localhost:4000/")
        );
        assert_eq!(shown("[::1]:4000").as_deref(), Some("http://[::1]:4000/"));
        assert_eq!(
            shown("https://gateway.test/dagway?x#y").as_deref(),
            Some("https://gateway.test/dagway")
        );
        for wrong in [
            "",
            "ftp://127.0.0.1",
            "http://",
            "127.0.0.1:99999",
            "http://a b",
        ] {
            assert_eq!(shown(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_used_and_never_shown() {
        let mut settings = Settings::defaults().unwrap();
        settings.server.dashboard_password = Secret::new("of the settings");
        let client =
            Client::new(Some("http://me:open%20sesame@127.0.0.1:4000"), &settings).unwrap();
        assert_eq!(client.password.as_ref().unwrap().expose(), "open sesame");
        assert_eq!(client.url(), "http://127.0.0.1:4000");
        assert!(!format!("{client:?}").contains("sesame"));
        let wrong = Client::new(Some("http://me:sesame@a b"), &settings).unwrap_err();
        assert!(!format!("{wrong:?}").contains("sesame"), "{wrong:?}");
        let client = Client::new(None, &settings).unwrap();
        assert_eq!(
            client.password.as_ref().unwrap().expose(),
            "of the settings"
        );
    }

    #[test]
    fn the_password_is_presented_at_once_at_the_address_of_the_settings_alone() {
        let mut settings = Settings::defaults().unwrap();
        let presents = |server: Option<&str>, settings: &Settings| {
            let client = Client::new(server, settings).unwrap();
            client.presents.get()
        };
        assert!(!presents(None, &settings), "there is none");
        settings.server.dashboard_password = Secret::new("open sesame");
        assert!(presents(None, &settings));
        assert!(presents(Some("127.0.0.1:4000"), &settings));
        for other in [
            "127.0.0.1:4001",
            "127.0.0.2:4000",
            "https://127.0.0.1:4000",
            "http://127.0.0.1:4000/elsewhere",
            "http://me:open%20sesame@gateway.test",
        ] {
            assert!(!presents(Some(other), &settings), "{other}");
        }
    }
}
