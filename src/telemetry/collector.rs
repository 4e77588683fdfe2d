//! The collector as the settings name it: where it is, what is sent along, and who it learns the spans are from.
//!
//! This file must not know how spans get there.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{ResourceDetector, TelemetryResourceDetector};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::export::Error;

/// Where spans go, and how many may wait.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The collector, without `/v1/traces` (`OTEL_EXPORTER_OTLP_ENDPOINT`).
    pub endpoint: String,
    /// Sent with every request (`OTEL_EXPORTER_OTLP_HEADERS`).
    pub headers: Vec<(String, SecretString)>,
    /// The longest time that one request may take (`OTEL_EXPORTER_OTLP_TIMEOUT`).
    pub timeout: Duration,
    /// `service.name` (`OTEL_SERVICE_NAME`); without it the one among [`Settings::resource`], and else `dagway`.
    pub service_name: Option<String>,
    /// What else is known of the process (`OTEL_RESOURCE_ATTRIBUTES`).
    pub resource: Vec<(String, String)>,
    /// Spans that may wait for export.
    pub queue: usize,
    /// The longest time a span waits for others to go with it.
    pub delay: Duration,
}

impl Settings {
    /// The settings for a collector at `endpoint`, with everything else as it is by default.
    #[must_use]
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            headers: Vec::new(),
            timeout: Duration::from_secs(10),
            service_name: None,
            resource: Vec::new(),
            queue: 8192,
            delay: Duration::from_secs(1),
        }
    }

    /// Looks whether an export could start with them.
    ///
    /// # Errors
    /// The first thing that is wrong, with its cure.
    pub fn check(&self) -> Result<(), Error> {
        traces_url(&self.endpoint)?;
        headers(&self.headers)?;
        Ok(())
    }
}

/// Reads `name=value` pairs separated by commas, values percent-encoded, as OpenTelemetry's `variable` has them.
///
/// # Errors
/// When something between two commas is no pair. It is counted and not shown, for it may be a secret.
pub fn pairs(variable: &'static str, text: &str) -> Result<Vec<(String, String)>, Error> {
    let mut pairs = Vec::new();
    for (place, pair) in (1..).zip(text.split(',')) {
        if pair.trim().is_empty() {
            continue;
        }
        match pair.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                let value = percent_decode_str(value.trim()).decode_utf8_lossy();
                pairs.push((name.trim().to_owned(), value.into_owned()));
            }
            _ => return Err(Error::Pair { variable, place }),
        }
    }
    Ok(pairs)
}

pub(super) fn traces_url(endpoint: &str) -> Result<Url, Error> {
    let parse = |text: &str| Url::parse(text).map_err(|_| Error::Endpoint);
    let url = parse(endpoint)?;
    let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
    let has_more = url.query().is_some() || url.fragment().is_some();
    if !is_http || has_more {
        return Err(Error::Endpoint);
    }
    parse(&format!("{}/v1/traces", endpoint.trim_end_matches('/')))
}

/// The headers of `pairs`; of those with the same name, the last.
pub(super) fn headers(pairs: &[(String, SecretString)]) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let fault = || Error::Header(name.clone());
        let known = HeaderName::try_from(name).map_err(|_| fault())?;
        let mut value = HeaderValue::try_from(value.expose_secret()).map_err(|_| fault())?;
        value.set_sensitive(true);
        headers.insert(known, value);
    }
    Ok(headers)
}

pub(super) fn resource(settings: &Settings) -> Resource {
    let given = settings
        .resource
        .iter()
        .map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    let mut builder = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", "dagway"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            // Tells replicas apart, and the process before a restart from the one after.
            KeyValue::new("service.instance.id", Uuid::now_v7().to_string()),
            KeyValue::new("process.pid", i64::from(std::process::id())),
        ])
        .with_attributes(
            TelemetryResourceDetector
                .detect()
                .iter()
                .map(|(key, value)| KeyValue::new(key.clone(), value.clone())),
        )
        .with_attributes(given);
    if let Some(name) = &settings.service_name {
        builder = builder.with_service_name(name.clone());
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";

    #[test]
    fn values_of_pairs_are_percent_decoded() {
        let text = "authorization=Basic%20YTpi%3D%3d, deployment.place = K%C3%B6ln ,odd=100%,half=%4,no=%zz%41,";
        let expected = [
            ("authorization", "Basic YTpi=="),
            ("deployment.place", "Köln"),
            ("odd", "100%"),
            ("half", "%4"),
            ("no", "%zzA"),
        ];
        assert_eq!(
            pairs(HEADERS, text).unwrap(),
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn what_is_no_pair_is_a_sentence_without_the_secret() {
        for (text, place) in [("foo", 1), ("a=b,secret", 2), ("=x", 1)] {
            let said = pairs(HEADERS, text).unwrap_err().to_string();
            assert_eq!(
                said,
                format!(
                    "entry {place} of OTEL_EXPORTER_OTLP_HEADERS is no name=value pair; write such pairs with commas \
                     between them, and %2C for a comma in a value"
                )
            );
        }
    }

    #[test]
    fn a_header_that_cannot_be_sent_and_an_endpoint_that_is_none_are_sentences() {
        let with = |endpoint: &str, name: &str| Settings {
            headers: vec![(name.to_owned(), SecretString::from("c"))],
            ..Settings::new(endpoint)
        };
        let said = with("http://localhost:4318", "a b").check().unwrap_err();
        assert_eq!(
            said.to_string(),
            "the OTLP header `a b` cannot be sent: its name or its value holds a character that no header may have; \
             OTEL_EXPORTER_OTLP_HEADERS takes name=value pairs with commas between them"
        );
        for endpoint in ["localhost:4318", "http://localhost:4318?x=1", "ftp://x"] {
            let said = with(endpoint, "a").check().unwrap_err().to_string();
            assert!(
                said.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT is no OTLP endpoint; give"),
                "{said}"
            );
        }
        with("http://localhost:4318/base/", "a").check().unwrap();
    }
}
