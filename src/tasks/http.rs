//! `http`: a step behind a URL. A service is told the step's needs as JSON, and answers with JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;

use super::environment::Environment;
use super::json::{self, Json, LONGEST_ANSWER, broke};
use crate::engine::{Cx, Needs, Res, Resources, Task, TaskError};
use crate::protocol::openrouter::wait;
use crate::upstream::Pools;
use crate::upstream::byte_flow::root_cause;

/// Calls a URL. What it is made of may be secret, so it has no `Debug`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Where; `${NAME}` stands for a variable of Dagway's environment, here and in the headers.
    url: String,
    /// How. A `GET` and a `HEAD` tell nothing.
    #[serde(default)]
    method: Verb,
    /// Further headers.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// What is sent.
    #[serde(skip)]
    call: Option<(Url, HeaderMap)>,
}

/// The methods that there is a use for.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum Verb {
    Get,
    Head,
    #[default]
    Post,
    Put,
    Patch,
    Delete,
}

impl Task for Http {
    const NAME: &'static str = "http";
    const ABOUT: &'static str = "Calls a URL, JSON in, JSON out";
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(10));
    type Input = (Needs, Res<Pools>);
    type Output = Json;

    fn prepare(&mut self, resources: &Resources) -> Result<(), String> {
        let ours = resources.find::<Environment>().unwrap_or_default();
        let url = ours.fill_in(&self.url).and_then(|url| read_url(&url));
        let url = url.map_err(|wrong| format!("correct `with.url`: {wrong}"))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in &self.headers {
            let header = ours
                .fill_in(value)
                .and_then(|value| read_header(name, &value));
            let (name, value) =
                header.map_err(|wrong| format!("correct `with.headers.{name}`: {wrong}"))?;
            headers.insert(name, value);
        }
        self.call = Some((url, headers));
        Ok(())
    }

    async fn run(&self, (needs, pools): Self::Input, cx: &Cx) -> Result<Json, TaskError> {
        let question = if matches!(self.method, Verb::Get | Verb::Head) {
            json::check(&needs)?;
            None
        } else {
            Some(json::question(&needs, cx)?)
        };
        drop(needs);
        let _waiting = cx.waiting();
        let (url, headers) = self
            .call
            .clone()
            .ok_or_else(|| broke("it was not prepared"))?;
        let client = pools.of_this_thread().map_err(unreached)?;
        let mut call = client
            .request(self.method.name(), url)
            .headers(headers)
            .header("traceparent", json::traceparent(cx));
        if let Some(state) = &cx.start().tracestate {
            call = call.header("tracestate", &**state);
        }
        if let Some(question) = question {
            call = call.body(question);
        }
        let answer = call.send().await.map_err(unreached)?;
        let (status, wait) = (answer.status(), wait_of(&answer));
        let said = whole(answer).await?;
        if status.is_success() {
            return json::answer(said);
        }
        if let Some(refusal) = json::refusal(&said) {
            return Err(TaskError::client(match wait {
                Some(time) => wait::refused_for(refusal, time),
                None => refusal,
            }));
        }
        Err(refused(status, wait))
    }
}

impl Verb {
    fn name(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Head => Method::HEAD,
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            Self::Patch => Method::PATCH,
            Self::Delete => Method::DELETE,
        }
    }
}

/// Reads a URL. It may hold a secret, and so is not repeated.
fn read_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("it is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("it begins neither with http:// nor with https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it has a user in it; give the header `authorization` instead".to_owned());
    }
    Ok(url)
}

fn read_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let name = HeaderName::try_from(name).map_err(|_| "this is no name of a header".to_owned())?;
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| "its value has characters that no header may have".to_owned())?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// How long it asks to wait before another attempt.
fn wait_of(answer: &Response) -> Option<Duration> {
    let wait = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
    wait::asked(wait, Timestamp::now())
}

async fn whole(mut answer: Response) -> Result<Vec<u8>, TaskError> {
    let mut said = Vec::new();
    while let Some(piece) = next(&mut answer).await? {
        if said.len() + piece.len() > LONGEST_ANSWER {
            let most = LONGEST_ANSWER >> 20;
            return Err(broke(format!("it answered more than {most} MB")));
        }
        said.extend_from_slice(&piece);
    }
    Ok(said)
}

async fn next(answer: &mut Response) -> Result<Option<Bytes>, TaskError> {
    let piece = answer.chunk().await;
    piece.map_err(|error| {
        // A URL may hold a secret.
        let why = root_cause(&error.without_url());
        broke(format!("its answer broke off: {why}")).retry(None)
    })
}

fn unreached(error: reqwest::Error) -> TaskError {
    let why = root_cause(&error.without_url());
    broke(format!("it cannot be reached: {why}")).retry(None)
}

/// A status that is no success, from a service that says no more.
fn refused(status: StatusCode, wait: Option<Duration>) -> TaskError {
    let failure = broke(format!(
        "it answered with status {status}, and no error in the shape of Anthropic's"
    ));
    let may_help = status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
        );
    if may_help {
        failure.retry(wait)
    } else {
        failure
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    fn prepared(with: Value) -> Result<(Url, HeaderMap), String> {
        let variables = [
            ("HOST", "hooks.example"),
            ("KEY", "sk-1"),
            ("BROKEN", "a\nb"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.into()));
        let mut resources = Resources::default();
        resources.insert(Arc::new(Environment(variables.into())));
        let mut http: Http = serde_json::from_value(with).map_err(|error| error.to_string())?;
        http.prepare(&resources)?;
        Ok(http.call.unwrap())
    }

    #[test]
    fn variables_stand_in_the_url_and_in_headers() {
        let with = json!({ "url": "https://${HOST}/a?b", "headers": { "X-Key": "Key ${KEY}" } });
        let (url, headers) = prepared(with).unwrap();
        assert_eq!(url.as_str(), "https://hooks.example/a?b");
        assert_eq!(headers["x-key"], "Key sk-1");
        assert_eq!(headers["content-type"], "application/json");
        let with = json!({ "url": "http://a", "headers": { "Content-Type": "text/plain" } });
        assert_eq!(prepared(with).unwrap().1["content-type"], "text/plain");
    }

    #[test]
    fn what_cannot_be_called_is_told_with_the_cure() {
        for (with, said) in [
            (
                json!({ "url": "hooks.example" }),
                "correct `with.url`: it is no URL: relative URL without a base",
            ),
            (
                json!({ "url": "ftp://hooks.example" }),
                "correct `with.url`: it begins neither with http:// nor with https://",
            ),
            (
                json!({ "url": "http://me:${KEY}@hooks.example" }),
                "correct `with.url`: it has a user in it; give the header `authorization` instead",
            ),
            (
                json!({ "url": "http://${NOBODY}" }),
                "correct `with.url`: the variable NOBODY is not set; set it where Dagway is started",
            ),
            (
                json!({ "url": "http://a", "headers": { "x y": "" } }),
                "correct `with.headers.x y`: this is no name of a header",
            ),
            (
                json!({ "url": "http://a", "headers": { "x": "${BROKEN}" } }),
                "correct `with.headers.x`: its value has characters that no header may have",
            ),
        ] {
            assert_eq!(prepared(with).unwrap_err(), said);
        }
        let said = prepared(json!({ "url": "http://a", "method": "FETCH" })).unwrap_err();
        assert!(
            said.starts_with("unknown variant `FETCH`, expected one of `GET`"),
            "{said}"
        );
    }
}
