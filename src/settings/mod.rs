//! Settings: read once, here only, from the compiled-in defaults, a file and the environment.
//!
//! A wrong setting is a sentence that says where it was written and what would be right.
//! This module must not know what a setting is used for.

mod check;
mod client_keys;
mod keys;
mod models;
mod places;
mod provider;
mod secrets;
mod source;
#[cfg(test)]
mod tests;
mod upstreams;
mod variables;
mod written;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use crate::duration;
pub use client_keys::ClientKey;
pub use keys::Keyless;
pub use models::{Fallback, Lane, Models, Rule};
pub use provider::{NoObject, Provider};
pub use source::{Error, read, read_with};
pub use upstreams::{Kind, LimitField, Quirks, ReasoningField, Upstream};
pub use variables::may_be_setting;

/// The defaults, commented: the reference of all settings.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// All settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How clients reach Dagway.
    pub server: Server,
    /// Where the models are, by name.
    pub upstreams: BTreeMap<String, Upstream>,
    /// How long any of them is waited for.
    pub upstream: Waits,
    /// What model names mean.
    pub models: Models,
    /// Where the graphs come from.
    pub workflows: Workflows,
    /// What is kept of runs, and where.
    pub store: Store,
    /// What is written to the log.
    pub log: Log,
    /// Where traces go.
    pub telemetry: Telemetry,
    /// The whole environment, for what the user's workflow files take from it.
    #[serde(skip)]
    pub environment: BTreeMap<String, SecretString>,
}

/// `[server]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Where to listen.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// Keys that clients may present.
    #[serde(deserialize_with = "client_keys::list")]
    pub client_keys: Vec<ClientKey>,
    /// The password of dashboard and run API.
    pub dashboard_password: Secret,
    /// What opens the metrics alone.
    pub metrics_token: Secret,
    /// Host names under which this server may be addressed, besides the loopback ones. When it is empty, all of them where
    /// others can connect.
    pub allowed_hosts: Vec<String>,
    /// The largest request body, in megabytes.
    #[serde(deserialize_with = "written::whole::<1, 1024, _, _>")]
    pub body_limit_mb: u32,
    /// What the bodies of all requests that wait for their answer to begin may take together, in megabytes.
    #[serde(deserialize_with = "written::whole::<1, 65_536, _, _>")]
    pub body_memory_mb: u32,
    /// Worker threads; 0 is one per core, and more than 512 the server cannot have.
    #[serde(deserialize_with = "written::whole::<0, 512, _, _>")]
    pub workers: usize,
    /// How long a stream may tell the client nothing before it gets a ping.
    #[serde(deserialize_with = "time")]
    pub ping_after: Duration,
    /// How long a client that asked for a stream may be left without one.
    #[serde(deserialize_with = "time")]
    pub answer_after: Duration,
    /// How long a client may take nothing of what it is sent.
    #[serde(deserialize_with = "time")]
    pub stalled_client: Duration,
    /// How long requests are accepted after a signal.
    #[serde(deserialize_with = "time_or_none")]
    pub drain_delay: Duration,
    /// How long requests may go on after that.
    #[serde(deserialize_with = "time")]
    pub shutdown_grace: Duration,
}

/// `[upstream]`: how long any upstream is waited for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waits {
    /// The longest wait for a connection.
    #[serde(deserialize_with = "time")]
    pub connect_timeout: Duration,
    /// The longest silence without any byte.
    #[serde(deserialize_with = "time")]
    pub idle_timeout: Duration,
    /// The longest silence without data.
    #[serde(deserialize_with = "time")]
    pub progress_timeout: Duration,
    /// How long an answer is held back to see whether it begins with an error.
    #[serde(deserialize_with = "time")]
    pub early_error_wait: Duration,
    /// How often the catalogues are fetched.
    #[serde(deserialize_with = "time")]
    pub catalogue_refresh: Duration,
}

/// `[workflows]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workflows {
    /// A folder with the user's workflow files, or nothing.
    pub folder: PathBuf,
    /// Whether what changes there comes into use while the server runs.
    pub reload: bool,
}

/// `[store]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// The folder of the run store; never empty once read.
    pub folder: PathBuf,
    /// The URL of a PostgreSQL database that is the run store instead; empty: none.
    pub database: Secret,
    /// Where that URL was written, if it was: a variable, the one that names its file, or a line of a settings file.
    #[serde(skip)]
    pub database_origin: Option<String>,
    /// How long runs are kept.
    #[serde(deserialize_with = "time")]
    pub keep_for: Duration,
    /// How large the store may grow, in megabytes.
    #[serde(deserialize_with = "written::whole::<1, 1_000_000_000, _, _>")]
    pub keep_mb: u64,
    /// Whether bodies are kept.
    pub payloads: bool,
    /// The longest text kept of an artifact, in kilobytes.
    #[serde(deserialize_with = "written::whole::<0, 65_536, _, _>")]
    pub preview_kb: usize,
}

/// `[log]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// Which lines are written.
    pub filter: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    /// For eyes.
    Pretty,
    /// For machines.
    Json,
}

/// `[telemetry]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// The base URL of an OTLP/HTTP receiver, or nothing.
    pub endpoint: String,
    /// `name=value` pairs sent along.
    pub headers: Secret,
    /// The service's name in traces.
    pub service_name: String,
    /// `name=value` pairs that describe the service.
    pub resource_attributes: String,
    /// Whether spans carry what errors say and steps log.
    pub messages: bool,
    /// The address of a trace where traces are looked at, with [`TRACE_ID`] in the place of its id; or nothing.
    pub trace_url: String,
}

/// What stands for the id of a trace in [`Telemetry::trace_url`].
pub const TRACE_ID: &str = "{trace_id}";

impl Settings {
    /// The defaults alone, as with an empty environment.
    ///
    /// # Errors
    /// Never in a released binary: the defaults are tested.
    pub fn defaults() -> Result<Self, Error> {
        read(None, &[])
    }
}

impl Settings {
    /// Puts a simulation in the place of every upstream.
    pub fn simulate(&mut self, base_url: &str, key: &str) {
        let mut simulated = self.upstreams.remove(upstreams::OPENROUTER);
        if let Some(openrouter) = &mut simulated {
            base_url.clone_into(&mut openrouter.base_url);
            openrouter.key = Secret::new(key);
        }
        self.upstreams = simulated
            .map(|openrouter| (upstreams::OPENROUTER.to_owned(), openrouter))
            .into_iter()
            .collect();
        // They were chosen for the upstreams that are gone.
        self.models.fallbacks.clear();
        self.models
            .rules
            .retain(|rule| rule.upstream == upstreams::OPENROUTER);
    }
}

impl Server {
    /// How many worker threads there are to be.
    #[must_use]
    pub fn threads(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            workers => workers,
        }
    }

    /// Whether only programs on this machine can connect.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.listen.ip().is_loopback()
    }
}

/// A text that never appears in logs: it prints as `[redacted]`.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// No text, where one may be left out.
    fn none() -> Self {
        Self::new("")
    }

    /// The text itself. Say why at every call.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether nothing was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_empty() {
            "[empty]"
        } else {
            "[redacted]"
        })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The fault of a text would show what was written in its place.
        let text = String::deserialize(deserializer)
            .map_err(|_| serde::de::Error::custom("it is not a text; put it in quotes"))?;
        let secret = text.trim();
        if secret.is_empty() && !text.is_empty() {
            // Taken for none, it would leave open what was meant to be shut.
            let blank = "it is blank; write the secret, or nothing at all for none";
            return Err(serde::de::Error::custom(blank));
        }
        Ok(Self::new(secret))
    }
}

/// Times that can be counted from now: a clock overflows beyond some, and a wait of none is a busy loop.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_hours(876_000);

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer).map_err(|_| {
        serde::de::Error::custom("it is an IP address with a port, in quotes: \"127.0.0.1:4000\"")
    })?;
    listen_address(&text).map_err(serde::de::Error::custom)
}

/// An address to listen at. `localhost` is the loopback that clients try first where they are told of 127.0.0.1.
///
/// # Errors
/// A sentence with the cure.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let numbers = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numbers
        .parse()
        .map_err(|_| format!("`{text}` is not an IP address with a port, such as 127.0.0.1:4000"))
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    time_within(SHORTEST, "between 1ms and 876000h", deserializer)
}

/// A time that need not be written.
fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    time(deserializer).map(Some)
}

/// A time that may be none at all.
fn time_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    time_within(Duration::ZERO, "between 0s and 876000h", deserializer)
}

fn time_within<'de, D: Deserializer<'de>>(
    shortest: Duration,
    range: &str,
    deserializer: D,
) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer).map_err(|_| {
        serde::de::Error::custom("it is a time with its unit, in quotes, such as \"30s\"")
    })?;
    let duration = duration::parse(&text).ok_or_else(|| {
        serde::de::Error::custom(format!(
            "`{text}` is not a time; write it with its unit, such as {}",
            duration::EXAMPLES
        ))
    })?;
    if !(shortest..=LONGEST).contains(&duration) {
        return Err(serde::de::Error::custom(format!("`{text}` is not {range}")));
    }
    Ok(duration)
}

/// Whether colours are wanted on a terminal, by these variables: `NO_COLOR` (<https://no-color.org>) wants none, and a
/// terminal that is `dumb` has none.
pub fn wants_colours<'a>(variable: impl Fn(&str) -> Option<&'a str>) -> bool {
    variable("NO_COLOR").is_none_or(str::is_empty) && variable("TERM") != Some("dumb")
}

/// What is said of a path with a `~` in front.
const AT_HOME: &str =
    "begins with `~`, which shells alone replace by your home folder; write the path in full";

/// Where runs are stored when nobody said otherwise.
fn default_data_folder(environment: &[(String, String)]) -> PathBuf {
    let variable = |name: &str| {
        environment
            .iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value)
    };
    if let Some(data) = variable("XDG_DATA_HOME") {
        return Path::new(data).join("dagway");
    }
    match variable("HOME") {
        Some(home) => Path::new(home).join(".local/share/dagway"),
        None => PathBuf::from(".dagway"),
    }
}
