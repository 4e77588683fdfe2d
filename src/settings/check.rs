//! What no single setting can say: settings that do not fit together, and texts that would be accepted and never work.
//!
//! This file must not know where a setting was written.

use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;

use super::client_keys;
use super::source::invalid;
use super::{AT_HOME, Error, Fallback, Kind, Lane, Rule, Secret, Settings, TRACE_ID, Upstream};

impl Settings {
    /// Checks what no single setting can say.
    ///
    /// # Errors
    /// The first thing that is wrong, with its cure.
    pub fn check(&self) -> Result<(), Error> {
        self.check_server()?;
        self.check_pauses()?;
        let trace_url = &self.telemetry.trace_url;
        let is_address = trace_url.contains(TRACE_ID)
            && Url::parse(trace_url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !trace_url.is_empty() && !is_address {
            return invalid(
                "telemetry.trace_url",
                format!(
                    "`{trace_url}` is no address with {TRACE_ID} in it, such as http://127.0.0.1:16686/trace/{TRACE_ID}"
                ),
            );
        }
        for (name, upstream) in &self.upstreams {
            check_base_url(name, upstream)?;
        }
        self.models
            .rules
            .iter()
            .try_for_each(|rule| self.check_rule(rule))?;
        self.models.fallbacks.iter().try_for_each(check_fallback)?;
        check_folder("store.folder", &self.store.folder)?;
        let folder: &PathBuf = &self.workflows.folder;
        check_folder("workflows.folder", folder)?;
        if !folder.as_os_str().is_empty() && !folder.is_dir() {
            return invalid(
                "workflows.folder",
                format!("there is no folder {}", folder.display()),
            );
        }
        Ok(())
    }

    fn check_rule(&self, rule: &Rule) -> Result<(), Error> {
        let Rule { pattern, send, .. } = rule;
        let key = format!("models.rules (match = \"{pattern}\")");
        let Some(upstream) = self.upstreams.get(&rule.upstream) else {
            let known: Vec<&str> = self.upstreams.keys().map(String::as_str).collect();
            let message = format!(
                "there is no upstream `{}`; there are: {}",
                rule.upstream,
                known.join(", ")
            );
            return invalid(&key, message);
        };
        if upstream.kind == Kind::Anthropic && rule.lane == Some(Lane::Chat) {
            let message = format!(
                "`{}` has no chat completions, for it is of the kind \"anthropic\"; leave `lane` out",
                rule.upstream
            );
            return invalid(&key, message);
        }
        if rule.provider.is_some() {
            check_takes_provider(&key, &rule.upstream, upstream)?;
        }
        check_pattern(&key, pattern)?;
        let sent = send.as_deref().unwrap_or(pattern);
        if sent.is_empty() || stars(sent) > stars(pattern) {
            let message =
                format!("`send` is `{sent}`, but it can have one `*` only if `match` has");
            return invalid(&key, message);
        }
        Ok(())
    }

    /// What is done again and again is done with a pause: without one it would keep a core and the upstreams busy.
    fn check_pauses(&self) -> Result<(), Error> {
        let server = &self.server;
        for (key, pause) in [
            ("server.ping_after", server.ping_after),
            ("server.answer_after", server.answer_after),
        ] {
            if pause < Duration::from_millis(100) {
                return invalid(key, "100ms is the least".to_owned());
            }
        }
        if self.upstream.catalogue_refresh < Duration::from_secs(1) {
            return invalid("upstream.catalogue_refresh", "1s is the least".to_owned());
        }
        Ok(())
    }

    /// An address that others reach needs both keys and a password.
    fn check_exposure(&self) -> Result<(), Error> {
        let server = &self.server;
        let mut missing = Vec::new();
        if server.client_keys.is_empty() {
            missing.push("DAGWAY_CLIENT_KEYS to one or more keys of your own");
        }
        if server.dashboard_password.is_empty() {
            missing.push("DAGWAY_DASHBOARD_PASSWORD to a password of your choice");
        }
        if server.is_loopback() || missing.is_empty() {
            return Ok(());
        }
        let message = format!(
            "{} is not a loopback address: everybody who reaches it could spend your credit and read your prompts; set \
             {}, or listen on 127.0.0.1",
            server.listen,
            missing.join(" and ")
        );
        invalid("server.listen", message)
    }

    /// A token opens less than a password or a key, so it must be neither; and without a password there is nothing to open.
    fn check_metrics_token(&self) -> Result<(), Error> {
        let server = &self.server;
        // Exposed to be compared; no message shows it.
        let token = server.metrics_token.expose();
        let is_token = |other: &Secret| other.expose() == token;
        let message = if token.is_empty() {
            return Ok(());
        } else if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            "it holds a character that cannot be sent as a token; use ASCII letters, digits and signs, without spaces"
        } else if server.dashboard_password.is_empty() {
            "without a password of the dashboard /metrics is open to everybody, and a token protects nothing; set \
             DAGWAY_DASHBOARD_PASSWORD too, or leave the token out"
        } else if is_token(&server.dashboard_password) {
            "it is the password of the dashboard, which opens every prompt; choose another token"
        } else if server.client_keys.iter().any(|one| is_token(&one.key)) {
            "it is one of the client keys, which can spend your credit; choose another token"
        } else {
            return Ok(());
        };
        invalid("server.metrics_token", message.to_owned())
    }

    fn check_server(&self) -> Result<(), Error> {
        let server = &self.server;
        self.check_exposure()?;
        if server.body_memory_mb < server.body_limit_mb {
            let message = format!(
                "{} MB are less than the largest body may have (server.body_limit_mb, {} MB)",
                server.body_memory_mb, server.body_limit_mb
            );
            return invalid("server.body_memory_mb", message);
        }
        client_keys::check(&server.client_keys)?;
        self.check_metrics_token()?;
        if let Some(wrong) = server.allowed_hosts.iter().find(|name| !is_host(name)) {
            let message = format!(
                "`{wrong}` is no host name; write the name alone, without http://, port, path or `*`, such as \
                 gateway.example"
            );
            return invalid("server.allowed_hosts", message);
        }
        Ok(())
    }
}

/// A wish that nobody hears would be taken for granted.
fn check_takes_provider(key: &str, name: &str, upstream: &Upstream) -> Result<(), Error> {
    let extensions = upstream.quirks.extensions;
    if upstream.kind != Kind::OpenRouter && extensions != Some(true) {
        let message = format!(
            "`provider` is OpenRouter's, and `{name}` is not of the kind \"openrouter\"; leave `provider` out, name another \
             `upstream`, or say with `extensions = true` in its quirks that it takes OpenRouter's fields"
        );
        return invalid(key, message);
    }
    if extensions == Some(false) {
        let message = format!(
            "`provider` would not be sent, because `upstreams.{name}.quirks` has `extensions = false`; leave one of the two out"
        );
        return invalid(key, message);
    }
    Ok(())
}

/// Whose names lead somewhere is not known here.
fn check_fallback(fallback: &Fallback) -> Result<(), Error> {
    let Fallback {
        pattern, models, ..
    } = fallback;
    let key = format!("models.fallbacks (match = \"{pattern}\")");
    check_pattern(&key, pattern)?;
    if models.is_empty() {
        let message = "`models` names no model that could step in";
        return invalid(&key, message.to_owned());
    }
    if let Some(wrong) = models.iter().find(|one| one.is_empty() || stars(one) > 0) {
        let message =
            format!("`{wrong}` in `models` is no name of a model; only `match` may have a `*`");
        return invalid(&key, message);
    }
    Ok(())
}

fn check_pattern(key: &str, pattern: &str) -> Result<(), Error> {
    if pattern.is_empty() || stars(pattern) > 1 {
        return invalid(key, "`match` needs a name with at most one `*`".to_owned());
    }
    Ok(())
}

fn stars(text: &str) -> usize {
    text.matches('*').count()
}

/// Whether a Host header can hold it, as it is compared: without a port.
fn is_host(name: &str) -> bool {
    let bracketed = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = bracketed {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !name.is_empty() && name.bytes().all(is_usual)
}

/// A folder with the name `~` is what nobody means.
fn check_folder(key: &str, folder: &Path) -> Result<(), Error> {
    if folder.starts_with("~") {
        return invalid(key, format!("`{}` {AT_HOME}", folder.display()));
    }
    Ok(())
}

/// Paths are appended to it, so nothing may come after its own.
fn check_base_url(name: &str, upstream: &Upstream) -> Result<(), Error> {
    let text = &upstream.base_url;
    let key = format!("upstreams.{name}.base_url");
    let is_http = text.starts_with("http://") || text.starts_with("https://");
    // What stands before an `@`, or behind a `?`, may be a secret: it is not repeated.
    let place = text.split_once("://").map_or(&**text, |(_, place)| place);
    let host = place.split(['/', '?', '#']).next().unwrap_or_default();
    if host.contains('@') {
        let message = "it has a user or a password in it, which would not be sent; give the key with key_env, or the \
                       header `authorization` below headers";
        return invalid(&key, message.to_owned());
    }
    let shown = text.split(['?', '#']).next().unwrap_or_default();
    let Some(url) = Url::parse(text).ok().filter(|_| is_http) else {
        let message =
            format!("`{shown}` is no http or https URL, such as https://openrouter.ai/api/v1");
        return invalid(&key, message);
    };
    if url.query().is_some() || url.fragment().is_some() {
        let message = format!(
            "`{shown}` is followed by a part that begins with `?` or `#`, and paths such as /chat/completions are appended to it; \
             leave that part out"
        );
        return invalid(&key, message);
    }
    Ok(())
}
