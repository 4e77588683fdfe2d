//! The collector as the settings name it: where it is, what is sent along, and who it learns the spans are from.
//!
//! This file must not know how spans get there.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{ResourceDetector, TelemetryResourceDetector};
use secrecy::{ExposeSecret, SecretString};

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
}

pub(super) fn traces_url(endpoint: &str) -> Result<String, Error> {
    let fault = || Error::Endpoint(endpoint.to_owned());
    let url = reqwest::Url::parse(endpoint).map_err(|_| fault())?;
    let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
    if !is_http {
        return Err(fault());
    }
    Ok(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
}

/// Checks the headers, because the exporter leaves out in silence what it cannot send.
pub(super) fn headers(pairs: &[(String, SecretString)]) -> Result<HashMap<String, String>, Error> {
    let mut headers = HashMap::new();
    for (name, value) in pairs {
        let is_name = reqwest::header::HeaderName::try_from(name).is_ok();
        let is_value = reqwest::header::HeaderValue::try_from(value.expose_secret()).is_ok();
        if !is_name || !is_value {
            return Err(Error::Header(name.clone()));
        }
        headers.insert(name.clone(), value.expose_secret().to_owned());
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
