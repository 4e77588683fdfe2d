//! Which variables of the environment are settings, and which settings they stand for.
//!
//! This file must not know what a setting means.

use toml::{Table, Value};

/// Short names of the environment, and the settings they stand for.
const SHORT_NAMES: [(&str, &str, &str); 15] = [
    ("DAGWAY_LISTEN", "server", "listen"),
    ("DAGWAY_DATA", "store", "folder"),
    ("DAGWAY_DATABASE_URL", "store", "database"),
    ("DAGWAY_CLIENT_KEYS", "server", "client_keys"),
    ("DAGWAY_DASHBOARD_PASSWORD", "server", "dashboard_password"),
    ("DAGWAY_METRICS_TOKEN", "server", "metrics_token"),
    ("DAGWAY_DATABASE_URL_FILE", "store", "database_file"),
    ("DAGWAY_CLIENT_KEYS_FILE", "server", "client_keys_file"),
    (
        "DAGWAY_DASHBOARD_PASSWORD_FILE",
        "server",
        "dashboard_password_file",
    ),
    ("DAGWAY_METRICS_TOKEN_FILE", "server", "metrics_token_file"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry", "endpoint"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "telemetry", "headers"),
    (
        "OTEL_EXPORTER_OTLP_HEADERS_FILE",
        "telemetry",
        "headers_file",
    ),
    ("OTEL_SERVICE_NAME", "telemetry", "service_name"),
    (
        "OTEL_RESOURCE_ATTRIBUTES",
        "telemetry",
        "resource_attributes",
    ),
];

/// The short name for the base URL of the upstream that is built in.
pub(super) const OPENROUTER_BASE_URL: &str = "OPENROUTER_BASE_URL";

/// Settings of the upstream that is built in, as they would be called if they had long names, and their variables.
const OF_OPENROUTER: [(&str, &str); 4] = [
    ("DAGWAY_UPSTREAMS_OPENROUTER_BASE_URL", OPENROUTER_BASE_URL),
    ("DAGWAY_UPSTREAMS_OPENROUTER_KEY", "OPENROUTER_API_KEY"),
    ("DAGWAY_UPSTREAMS_OPENROUTER_API_KEY", "OPENROUTER_API_KEY"),
    (
        "DAGWAY_UPSTREAMS_OPENROUTER_KEY_FILE",
        "OPENROUTER_API_KEY_FILE",
    ),
];

/// The variable that holds what one with a long name was meant to hold.
pub(super) fn of_openrouter(written: &str) -> Option<&'static str> {
    let found = OF_OPENROUTER.iter().find(|(long, _)| *long == written);
    found.map(|(_, short)| *short)
}

/// What people call the address to listen on, who know it from other programs.
const LISTEN_ELSEWHERE: [&str; 3] = ["DAGWAY_PORT", "DAGWAY_HOST", "DAGWAY_ADDRESS"];

/// Variables with our prefix that are not settings.
const NOT_SETTINGS: [&str; 1] = ["DAGWAY_CONFIG"];

/// Further variables that someone may mean.
const OTHERS: [&str; 4] = [
    "DAGWAY_CONFIG",
    "OPENROUTER_API_KEY",
    "OPENROUTER_API_KEY_FILE",
    OPENROUTER_BASE_URL,
];

/// The most letters in which a name that is meant may differ from what was written.
const LIKE: usize = 3;

/// Whether a variable with our prefix and this value is none of our settings. Kubernetes tells each container of every service beside
/// it, so that a service called `dagway` sets `DAGWAY_SERVICE_HOST`, `DAGWAY_PORT` and more
/// (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>).
pub(super) fn is_no_setting(variable: &str, value: &str) -> bool {
    // A port as a person writes it is meant for us.
    let is_port = variable == "DAGWAY_PORT" && value.contains("://");
    is_port || is_none_by_name(variable)
}

fn is_none_by_name(variable: &str) -> bool {
    let is_of_kubernetes = ["DAGWAY_SERVICE_", "DAGWAY_PORT_"]
        .iter()
        .any(|prefix| variable.starts_with(prefix));
    is_of_kubernetes || NOT_SETTINGS.contains(&variable)
}

/// Whether a variable is one that settings are read from, whatever it holds.
pub fn may_be_setting(variable: &str) -> bool {
    let is_ours = variable.starts_with("DAGWAY_") && !is_none_by_name(variable);
    let has_short_name = SHORT_NAMES.iter().any(|(name, ..)| *name == variable);
    let is_other = OTHERS.contains(&variable) && !NOT_SETTINGS.contains(&variable);
    is_ours || has_short_name || is_other
}

/// The setting that a variable stands for, if it is one of ours.
pub(super) fn setting_of(variable: &str) -> Option<(String, String)> {
    if let Some((_, section, key)) = SHORT_NAMES.iter().find(|(name, ..)| *name == variable) {
        return Some(((*section).to_owned(), (*key).to_owned()));
    }
    let rest = variable.strip_prefix("DAGWAY_")?.to_ascii_lowercase();
    let (section, key) = rest.split_once('_').unwrap_or((&rest, ""));
    Some((section.to_owned(), key.to_owned()))
}

/// The variable that was meant by one that is none: it is spelt alike, or has what was written as a part.
pub(super) fn meant(written: &str, defaults: &Table) -> Option<String> {
    if LISTEN_ELSEWHERE.contains(&written) {
        return Some("DAGWAY_LISTEN".to_owned());
    }
    let ending = written.replacen("DAGWAY_", "_", 1);
    let is_part = |name: &str| {
        let goes_on = name.strip_prefix(written);
        goes_on.is_some_and(|rest| rest.starts_with('_')) || name.ends_with(&ending)
    };
    let unlike = |name: &str| match strsim::levenshtein(name, written) {
        letters if is_part(name) => letters.min(LIKE - 1),
        letters => letters,
    };
    let short = SHORT_NAMES.iter().map(|(name, ..)| (*name).to_owned());
    let others = OTHERS.iter().map(|name| (*name).to_owned());
    let known = short.chain(others).chain(long_names(defaults));
    known
        .map(|name| (unlike(&name), name.len(), name))
        .min()
        .filter(|(unlike, ..)| *unlike <= LIKE)
        .map(|(_, _, name)| name)
}

/// The long names of all settings that a variable can hold.
fn long_names(defaults: &Table) -> impl Iterator<Item = String> {
    let sections = defaults.iter().filter_map(|(section, entries)| {
        let entries = entries.as_table()?.iter();
        Some(entries.map(move |(key, value)| (section, key, value)))
    });
    sections
        .flatten()
        .filter(|(.., value)| !is_of_tables(value))
        .map(|(section, key, _)| format!("DAGWAY_{section}_{key}").to_ascii_uppercase())
}

/// Whether a value, in the file, is made of tables, which one line of text cannot say.
pub(super) fn is_of_tables(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(Value::is_table),
        other => other.is_table(),
    }
}
