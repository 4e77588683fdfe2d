//! Lays the sources of settings over one another and says, for a wrong one, where it was written.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::upstreams::OPENROUTER;
use super::{DEFAULTS, Kind, Lane, Rule, Secret, Settings, Upstream, default_data_folder};

/// Why the settings cannot be used. Each is a sentence with its cure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file given by the user cannot be read.
    #[error(
        "cannot read the settings file {path}: {source}; check the path given by --config or DAGWAY_CONFIG"
    )]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the settings file {path} is not valid TOML: {message}")]
    Syntax {
        /// The file.
        path: String,
        /// The parser's word, with line and column.
        message: String,
    },
    /// A setting that does not exist.
    #[error("{origin}: there is no setting `{key}`{hint}; `dagway settings` lists all of them")]
    Unknown {
        /// Where it was written.
        origin: String,
        /// What was written.
        key: String,
        /// A near name.
        hint: String,
    },
    /// A value of the wrong kind.
    #[error("{origin}: the setting `{key}` is wrong: {message}")]
    Invalid {
        /// Where it was written.
        origin: String,
        /// Which one.
        key: String,
        /// What is wrong, and what would be right.
        message: String,
    },
}

/// Short names of the environment, and the settings they stand for.
const SHORT_NAMES: [(&str, &str, &str); 8] = [
    ("DAGWAY_LISTEN", "server", "listen"),
    ("DAGWAY_DATA", "store", "folder"),
    ("DAGWAY_CLIENT_KEYS", "server", "client_keys"),
    ("DAGWAY_DASHBOARD_PASSWORD", "server", "dashboard_password"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry", "endpoint"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "telemetry", "headers"),
    ("OTEL_SERVICE_NAME", "telemetry", "service_name"),
    (
        "OTEL_RESOURCE_ATTRIBUTES",
        "telemetry",
        "resource_attributes",
    ),
];

/// The short name for the base URL of the upstream that is built in.
const OPENROUTER_BASE_URL: &str = "OPENROUTER_BASE_URL";

/// Variables with our prefix that are not settings.
const NOT_SETTINGS: [&str; 1] = ["DAGWAY_CONFIG"];

/// Reads the settings: the defaults, over them `file` if one is given, over that the environment.
///
/// # Errors
/// The first wrong setting, with the place where it was written.
pub fn read(file: Option<&Path>, environment: &[(String, String)]) -> Result<Settings, Error> {
    let mut layers = Layers::defaults()?;
    if let Some(path) = file {
        layers.lay_file(path)?;
    }
    layers.lay_environment(environment)?;
    let mut settings = layers.finish()?;
    if settings.store.folder.as_os_str().is_empty() {
        settings.store.folder = default_data_folder(environment);
    }
    for (name, upstream) in &mut settings.upstreams {
        find_key(name, upstream, environment)?;
    }
    settings.check()?;
    Ok(settings)
}

/// The sources laid so far, and where each changed setting was written.
struct Layers {
    table: Table,
    origins: Vec<(String, String)>,
}

impl Layers {
    fn defaults() -> Result<Self, Error> {
        let table = parse(DEFAULTS, "(built-in defaults)")?;
        Ok(Self {
            table,
            origins: Vec::new(),
        })
    }

    fn lay_file(&mut self, path: &Path) -> Result<(), Error> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| Error::Unreadable {
            path: name.clone(),
            source,
        })?;
        for (section, value) in parse(&text, &name)? {
            let Value::Table(entries) = value else {
                return Err(self.unknown(&name, &section));
            };
            for (key, value) in entries {
                self.set(&name, &section, &key, value)?;
            }
        }
        Ok(())
    }

    fn lay_environment(&mut self, environment: &[(String, String)]) -> Result<(), Error> {
        for (name, text) in environment {
            if text.is_empty() || NOT_SETTINGS.contains(&name.as_str()) {
                continue;
            }
            if name == OPENROUTER_BASE_URL {
                let url = Value::String(text.clone());
                let value = Value::Table(Table::from_iter([("base_url".to_owned(), url)]));
                self.set(
                    &format!("the variable {name}"),
                    "upstreams",
                    OPENROUTER,
                    value,
                )?;
                continue;
            }
            let Some((section, key)) = setting_of(name) else {
                continue;
            };
            let value = self.value_like(&section, &key, text);
            self.set(&format!("the variable {name}"), &section, &key, value)?;
        }
        Ok(())
    }

    /// Reads `text` as the kind of value that the default has.
    fn value_like(&self, section: &str, key: &str, text: &str) -> Value {
        let default = self.table.get(section).and_then(|entries| entries.get(key));
        match default {
            Some(Value::Array(_)) => {
                let items = text
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty());
                Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
            }
            Some(Value::Integer(_)) => text
                .parse()
                .map_or_else(|_| Value::String(text.to_owned()), Value::Integer),
            Some(Value::Boolean(_)) => text
                .parse()
                .map_or_else(|_| Value::String(text.to_owned()), Value::Boolean),
            _ => Value::String(text.to_owned()),
        }
    }

    fn set(&mut self, origin: &str, section: &str, key: &str, value: Value) -> Result<(), Error> {
        let path = format!("{section}.{key}");
        let Some(Value::Table(entries)) = self.table.get_mut(section) else {
            return Err(self.unknown(origin, section));
        };
        match (entries.get_mut(key), value) {
            (Some(Value::Table(ours)), Value::Table(theirs)) => ours.extend(theirs),
            // The first rule that fits counts, so the user's come first.
            (Some(Value::Array(ours)), Value::Array(theirs)) if path == "models.rules" => {
                ours.splice(0..0, theirs);
            }
            (Some(slot), value) => *slot = value,
            (None, value @ Value::Table(_)) if section == "upstreams" => {
                entries.insert(key.to_owned(), value);
            }
            (None, _) => return Err(self.unknown(origin, &path)),
        }
        self.origins.push((path, origin.to_owned()));
        Ok(())
    }

    fn unknown(&self, origin: &str, key: &str) -> Error {
        let known = self.table.iter().flat_map(|(section, entries)| {
            let keys = entries.as_table().into_iter().flat_map(Table::keys);
            keys.map(move |key| format!("{section}.{key}"))
                .chain([section.clone()])
        });
        let nearest = known
            .map(|name| (strsim::levenshtein(&name, key), name))
            .min();
        let hint = match nearest {
            Some((distance, name)) if distance <= 3 => format!(" (did you mean `{name}`?)"),
            _ => String::new(),
        };
        Error::Unknown {
            origin: origin.to_owned(),
            key: key.to_owned(),
            hint,
        }
    }

    fn finish(self) -> Result<Settings, Error> {
        serde_path_to_error::deserialize(Value::Table(self.table)).map_err(|error| {
            let key = error.path().to_string();
            let written = self
                .origins
                .iter()
                .rev()
                .find(|(path, _)| key.starts_with(path.as_str()));
            let origin = written.map_or_else(
                || "built-in defaults".to_owned(),
                |(_, origin)| origin.clone(),
            );
            let message = error.into_inner().message().to_owned();
            Error::Invalid {
                origin,
                key,
                message,
            }
        })
    }
}

/// The setting that a variable stands for, if it is one of ours.
fn setting_of(variable: &str) -> Option<(String, String)> {
    if let Some((_, section, key)) = SHORT_NAMES.iter().find(|(name, ..)| *name == variable) {
        return Some(((*section).to_owned(), (*key).to_owned()));
    }
    let rest = variable.strip_prefix("DAGWAY_")?.to_ascii_lowercase();
    let (section, key) = rest.split_once('_').unwrap_or((&rest, ""));
    Some((section.to_owned(), key.to_owned()))
}

fn parse(text: &str, name: &str) -> Result<Table, Error> {
    text.parse::<Table>().map_err(|error| Error::Syntax {
        path: name.to_owned(),
        message: error.to_string().trim_end().to_owned(),
    })
}

impl Settings {
    /// Checks what no single setting can say.
    ///
    /// # Errors
    /// The first thing that is wrong, with its cure.
    pub fn check(&self) -> Result<(), Error> {
        self.check_server()?;
        let provider = &self.models.provider;
        let is_object =
            serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(provider).is_ok();
        if !provider.is_empty() && !is_object {
            return invalid(
                "models.provider",
                format!("`{provider}` is no JSON object, such as {{\"order\":[\"anthropic\"]}}"),
            );
        }
        for (name, upstream) in &self.upstreams {
            let url = &upstream.base_url;
            if !(url.starts_with("http://") || url.starts_with("https://")) {
                return invalid(
                    &format!("upstreams.{name}.base_url"),
                    format!(
                        "`{url}` is no http or https URL, such as https://openrouter.ai/api/v1"
                    ),
                );
            }
        }
        self.models
            .rules
            .iter()
            .try_for_each(|rule| self.check_rule(rule))?;
        let folder: &PathBuf = &self.workflows.folder;
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
        let stars = |text: &str| text.matches('*').count();
        if pattern.is_empty() || stars(pattern) > 1 {
            return invalid(&key, "`match` needs a name with at most one `*`".to_owned());
        }
        let sent = send.as_deref().unwrap_or(pattern);
        if sent.is_empty() || stars(sent) > stars(pattern) {
            let message =
                format!("`send` is `{sent}`, but it can have one `*` only if `match` has");
            return invalid(&key, message);
        }
        Ok(())
    }

    fn check_server(&self) -> Result<(), Error> {
        let server = &self.server;
        let exposed =
            "everybody who reaches this address could spend your credit and read your prompts";
        if !server.is_loopback() && server.client_keys.is_empty() {
            let cure =
                "set DAGWAY_CLIENT_KEYS to one or more keys of your own, or listen on 127.0.0.1";
            return invalid(
                "server.listen",
                format!(
                    "{} is not a loopback address: {exposed}; {cure}",
                    server.listen
                ),
            );
        }
        if !server.is_loopback() && server.dashboard_password.is_empty() {
            let cure = "set DAGWAY_DASHBOARD_PASSWORD, or listen on 127.0.0.1";
            return invalid(
                "server.listen",
                format!(
                    "{} is not a loopback address: {exposed}; {cure}",
                    server.listen
                ),
            );
        }
        if server.client_keys.iter().any(Secret::is_empty) {
            return invalid("server.client_keys", "one of the keys is empty".to_owned());
        }
        if !(1..=1024).contains(&server.body_limit_mb) {
            return invalid(
                "server.body_limit_mb",
                format!("{} is not between 1 and 1024", server.body_limit_mb),
            );
        }
        Ok(())
    }
}

/// Finds the key of an upstream: the variable counts before the file, and that before what is written in the settings.
fn find_key(
    name: &str,
    upstream: &mut Upstream,
    environment: &[(String, String)],
) -> Result<(), Error> {
    let variable = upstream.key_env.as_deref().and_then(|wanted| {
        let found = environment.iter().find(|(name, _)| name == wanted);
        found
            .map(|(_, key)| key.trim())
            .filter(|key| !key.is_empty())
    });
    if let Some(key) = variable {
        upstream.key = Secret::new(key);
        return Ok(());
    }
    let Some(path) = &upstream.key_file else {
        return Ok(());
    };
    match std::fs::read_to_string(path) {
        Ok(key) if !key.trim().is_empty() => {
            upstream.key = Secret::new(key.trim());
            Ok(())
        }
        Ok(_) => invalid(
            &format!("upstreams.{name}.key_file"),
            format!("{} is empty; write the key into it", path.display()),
        ),
        Err(error) => invalid(
            &format!("upstreams.{name}.key_file"),
            format!("cannot read {}: {error}", path.display()),
        ),
    }
}

fn invalid(key: &str, message: String) -> Result<(), Error> {
    Err(Error::Invalid {
        origin: "settings".to_owned(),
        key: key.to_owned(),
        message,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn fails(pairs: &[(&str, &str)]) -> String {
        read(None, &environment(pairs)).unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_valid_and_complete() {
        let settings = Settings::defaults().unwrap();
        assert_eq!(settings.server.listen.to_string(), "127.0.0.1:4000");
        let openrouter = &settings.upstreams["openrouter"];
        assert_eq!(openrouter.base_url, "https://openrouter.ai/api/v1");
        assert_eq!(settings.models.rules[0].lane, Some(Lane::Native));
    }

    #[test]
    fn the_environment_overrides_the_file_and_the_file_the_defaults() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(
            file,
            "[server]\nlisten = '127.0.0.1:1'\nworkers = 7\n[models.aliases]\nmine = 'a/b'\n"
        )
        .unwrap();
        let variables = environment(&[
            ("DAGWAY_LISTEN", "127.0.0.1:2"),
            ("DAGWAY_STORE_PAYLOADS", "false"),
        ]);
        let settings = read(Some(file.path()), &variables).unwrap();
        assert_eq!(settings.server.listen.port(), 2);
        assert_eq!(settings.server.workers, 7);
        assert!(!settings.store.payloads);
        assert_eq!(settings.models.aliases.get("mine").unwrap(), "a/b");
        assert!(settings.models.aliases.contains_key("opus"));
    }

    #[test]
    fn a_wrong_setting_is_a_sentence_with_place_and_cure() {
        insta::assert_snapshot!(fails(&[("DAGWAY_LISTEN", "localhost")]), @"the variable DAGWAY_LISTEN: the setting `server.listen` is wrong: `localhost` is not an IP address with a port, such as 127.0.0.1:4000");
        insta::assert_snapshot!(fails(&[("DAGWAY_UPSTREAM_IDLE_TIMEOUT", "240")]), @"the variable DAGWAY_UPSTREAM_IDLE_TIMEOUT: the setting `upstream.idle_timeout` is wrong: `240` is not a time; write it with its unit, such as 30s");
        insta::assert_snapshot!(fails(&[("DAGWAY_SERVER_LISTENN", "x")]), @"the variable DAGWAY_SERVER_LISTENN: there is no setting `server.listenn` (did you mean `server.listen`?); `dagway settings` lists all of them");
        insta::assert_snapshot!(fails(&[("DAGWAY_SERVER_WORKERS", "many")]), @r#"the variable DAGWAY_SERVER_WORKERS: the setting `server.workers` is wrong: invalid type: string "many", expected usize"#);
        insta::assert_snapshot!(fails(&[("OPENROUTER_BASE_URL", "openrouter.ai")]), @"settings: the setting `upstreams.openrouter.base_url` is wrong: `openrouter.ai` is no http or https URL, such as https://openrouter.ai/api/v1");
    }

    #[test]
    fn an_open_address_demands_keys_and_a_password() {
        assert!(fails(&[("DAGWAY_LISTEN", "0.0.0.0:4000")]).contains("DAGWAY_CLIENT_KEYS"));
        assert!(
            fails(&[
                ("DAGWAY_LISTEN", "0.0.0.0:4000"),
                ("DAGWAY_CLIENT_KEYS", "k")
            ])
            .contains("DAGWAY_DASHBOARD_PASSWORD")
        );
        let whole = [
            ("DAGWAY_LISTEN", "0.0.0.0:4000"),
            ("DAGWAY_CLIENT_KEYS", "k, l"),
            ("DAGWAY_DASHBOARD_PASSWORD", "p"),
        ];
        assert_eq!(
            read(None, &environment(&whole))
                .unwrap()
                .server
                .client_keys
                .len(),
            2
        );
    }

    #[test]
    fn secrets_do_not_print() {
        let settings = read(
            None,
            &environment(&[("OPENROUTER_API_KEY", "sk-or-v1-secret")]),
        )
        .unwrap();
        assert_eq!(
            settings.upstreams["openrouter"].key.expose(),
            "sk-or-v1-secret"
        );
        assert!(!format!("{settings:?}").contains("secret"));
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn a_user_adds_upstreams_and_their_rules_come_first() {
        let key = file("  secret-of-a-file\n");
        let text = format!(
            "[upstreams.local]\nkind = 'openai'\nbase_url = 'http://127.0.0.1:1/v1'\nkey_file = '{}'\n\
             quirks = {{ max_tokens = 'max_completion_tokens' }}\n\
             [upstreams.other]\nkind = 'anthropic'\nbase_url = 'https://a.test/v1'\nkey_env = 'OTHER_KEY'\nkey = 'written'\n\
             [upstreams.openrouter]\nheaders = {{ x-team = 'blue' }}\n\
             [[models.rules]]\nmatch = 'local/*'\nsend = '*'\nupstream = 'local'\n",
            key.path().display()
        );
        let settings = file(&text);
        let variables = environment(&[("OTHER_KEY", "of-the-environment")]);
        let settings = read(Some(settings.path()), &variables).unwrap();
        let local = &settings.upstreams["local"];
        assert_eq!(
            (local.kind, local.key.expose()),
            (Kind::OpenAi, "secret-of-a-file")
        );
        assert!(local.quirks.max_tokens.is_some() && local.quirks.reasoning.is_none());
        assert_eq!(
            settings.upstreams["other"].key.expose(),
            "of-the-environment"
        );
        let openrouter = &settings.upstreams["openrouter"];
        assert_eq!(
            openrouter.base_url, "https://openrouter.ai/api/v1",
            "the rest stays"
        );
        assert_eq!(openrouter.headers["x-team"], "blue");
        let patterns: Vec<&str> = settings
            .models
            .rules
            .iter()
            .map(|rule| rule.pattern.as_str())
            .collect();
        assert_eq!(patterns, ["local/*", "anthropic/*"]);
        let without_the_variable = read(Some(file(&text).path()), &[]).unwrap();
        assert_eq!(
            without_the_variable.upstreams["other"].key.expose(),
            "written"
        );
    }

    #[test]
    fn a_wrong_upstream_or_rule_is_a_sentence_too() {
        for (text, expected) in [
            (
                "[[models.rules]]\nmatch = 'x/*'\nupstream = 'nobody'\n",
                "there is no upstream `nobody`; there are: openrouter",
            ),
            ("[[models.rules]]\nmatch = '*/*'\n", "at most one `*`"),
            (
                "[[models.rules]]\nmatch = 'x'\nsend = '*'\n",
                "`send` is `*`",
            ),
            (
                "[[models.rules]]\nmatch = 'x'\nlane = 'fast'\n",
                "unknown variant `fast`, expected `chat` or `native`",
            ),
            (
                "[upstreams.a]\nkind = 'openai'\n",
                "missing field `base_url`",
            ),
            (
                "[upstreams.a]\nkind = 'openai'\nbase_url = 'x'\n",
                "`x` is no http or https URL",
            ),
            (
                "[upstreams.a]\nkind = 'openai'\nbase_url = 'http://x'\nbase_ulr = 'x'\n",
                "unknown field `base_ulr`",
            ),
            (
                "[upstreams.a]\nkind = 'openai'\nbase_url = 'http://x'\nkey_file = '/nowhere/key'\n",
                "cannot read /nowhere/key",
            ),
            (
                "[upstreams.a]\nkind = 'anthropic'\nbase_url = 'http://x'\n[[models.rules]]\nmatch = 'x'\nupstream = 'a'\nlane = 'chat'\n",
                "`a` has no chat completions",
            ),
        ] {
            let said = read(Some(file(text).path()), &[]).unwrap_err().to_string();
            assert!(said.contains(expected), "{text}: {said}");
        }
    }
}
