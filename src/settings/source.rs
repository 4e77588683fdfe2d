//! Lays the sources of settings over one another and says, for a wrong one, where it was written.

use std::path::Path;

use toml::{Table, Value};

use super::places::{self, Places};
use super::upstreams::OPENROUTER;
use super::written::Written;
use super::{DEFAULTS, Secret, Settings, Upstream, default_data_folder};

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
    /// A section where a setting should be.
    #[error("{origin}: `{section}` is a section, not a setting; {cure}")]
    Section {
        /// Where it was written.
        origin: String,
        /// Which one.
        section: String,
        /// How its settings are written.
        cure: String,
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
    let (table, places) = (layers.table, layers.places);
    finish(table, environment).map_err(|error| error.written_at(&places))
}

/// Makes settings of what was written.
fn finish(table: Table, environment: &[(String, String)]) -> Result<Settings, Error> {
    let mut settings: Settings = serde_path_to_error::deserialize(Written(Value::Table(table)))
        .map_err(|error| {
            let key = error.path().to_string();
            fault(&key, error.into_inner().to_string())
        })?;
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
    defaults: Table,
    table: Table,
    places: Places,
}

impl Layers {
    fn defaults() -> Result<Self, Error> {
        let table = parse(DEFAULTS, "(built-in defaults)")?;
        Ok(Self {
            defaults: table.clone(),
            table,
            places: Places::default(),
        })
    }

    fn lay_file(&mut self, path: &Path) -> Result<(), Error> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| Error::Unreadable {
            path: name.clone(),
            source,
        })?;
        let sections = parse(&text, &name)?;
        for (setting, line) in places::lines(&text) {
            self.places.note(&setting, &format!("{name}:{line}"));
        }
        for (section, value) in sections {
            let place = self.places.of(&section).unwrap_or(&name).to_owned();
            let Value::Table(entries) = value else {
                let cure = format!("write its settings below a line of their own, `[{section}]`");
                return Err(self.no_setting(place, &section, cure));
            };
            if !self.table.contains_key(&section) {
                return Err(self.unknown(&place, &section));
            }
            for (key, value) in entries {
                let setting = format!("{section}.{key}");
                let place = self.places.of(&setting).unwrap_or(&name).to_owned();
                self.set(&place, &section, &key, value)?;
            }
        }
        Ok(())
    }

    fn lay_environment(&mut self, environment: &[(String, String)]) -> Result<(), Error> {
        for (name, text) in environment {
            if !text.is_empty() && !NOT_SETTINGS.contains(&name.as_str()) {
                self.lay_variable(name, text)?;
            }
        }
        Ok(())
    }

    fn lay_variable(&mut self, name: &str, text: &str) -> Result<(), Error> {
        let place = format!("the variable {name}");
        if name == OPENROUTER_BASE_URL {
            let url = Value::String(text.to_owned());
            let value = Value::Table(Table::from_iter([("base_url".to_owned(), url)]));
            self.set(&place, "upstreams", OPENROUTER, value)?;
            self.places.note("upstreams.openrouter.base_url", &place);
            return Ok(());
        }
        let Some((section, key)) = setting_of(name) else {
            return Ok(());
        };
        let setting = format!("{section}.{key}");
        if self.is_of_tables(&section, &key) {
            let message = "a variable cannot hold it; write it into a file and start with `dagway --config FILE` \
                           (`dagway settings` shows how it is written)";
            return Err(Error::Invalid {
                origin: place,
                key: setting.trim_end_matches('.').to_owned(),
                message: message.to_owned(),
            });
        }
        if key.is_empty() {
            let entries = self.table.get(&section).and_then(Value::as_table);
            let mut plain = entries
                .into_iter()
                .flatten()
                .filter(|(_, value)| !value.is_table() && !value.is_array());
            let first = plain.next().map(|(key, _)| key.to_ascii_uppercase());
            let example = first.unwrap_or_default();
            let cure = format!("name one of its settings, such as {name}_{example}");
            return Err(self.no_setting(place, &section, cure));
        }
        let value = self.value_like(&section, &key, text);
        self.set(&place, &section, &key, value)?;
        self.places.note(&setting, &place);
        Ok(())
    }

    /// Whether a setting, in the file, is made of tables, which one line of text cannot say.
    fn is_of_tables(&self, section: &str, key: &str) -> bool {
        let default = self.default(section, key);
        section == "upstreams"
            || match default {
                Some(Value::Array(items)) => items.iter().any(Value::is_table),
                Some(default) => default.is_table(),
                None => false,
            }
    }

    fn default(&self, section: &str, key: &str) -> Option<&Value> {
        self.defaults.get(section)?.get(key)
    }

    /// Reads `text` as the kind of value that the default has.
    fn value_like(&self, section: &str, key: &str, text: &str) -> Value {
        let default = self.default(section, key);
        match default {
            Some(Value::Array(_)) => {
                let items = text
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty());
                Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
            }
            Some(Value::Integer(_)) => text
                .trim()
                .parse()
                .map_or_else(|_| Value::String(text.to_owned()), Value::Integer),
            Some(Value::Boolean(_)) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Value::Boolean(true),
                "false" | "no" | "off" | "0" => Value::Boolean(false),
                _ => Value::String(text.to_owned()),
            },
            _ => Value::String(text.to_owned()),
        }
    }

    fn set(&mut self, origin: &str, section: &str, key: &str, value: Value) -> Result<(), Error> {
        let path = format!("{section}.{key}");
        let Some(Value::Table(entries)) = self.table.get_mut(section) else {
            return Err(self.unknown(origin, &path));
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
        Ok(())
    }

    /// A section, or nothing known, stands where a setting should.
    fn no_setting(&self, origin: String, section: &str, cure: String) -> Error {
        if !self.table.contains_key(section) {
            return self.unknown(&origin, section);
        }
        Error::Section {
            origin,
            section: section.to_owned(),
            cure,
        }
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
}

impl Error {
    /// Says where the wrong setting was written, when that is known.
    fn written_at(self, places: &Places) -> Self {
        let Self::Invalid {
            origin,
            key,
            message,
        } = self
        else {
            return self;
        };
        Self::Invalid {
            origin: places.of(&key).map_or(origin, str::to_owned),
            key,
            message,
        }
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

/// A wrong setting; where it was written is said later, where that is known.
pub(super) fn fault(key: &str, message: String) -> Error {
    Error::Invalid {
        origin: "settings".to_owned(),
        key: key.to_owned(),
        message,
    }
}

pub(super) fn invalid(key: &str, message: String) -> Result<(), Error> {
    Err(fault(key, message))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::{Kind, Lane};
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
        insta::assert_snapshot!(fails(&[("DAGWAY_SERVER_WORKERS", "many")]), @r#"the variable DAGWAY_SERVER_WORKERS: the setting `server.workers` is wrong: `many` is not a whole number from 0 to 512"#);
        insta::assert_snapshot!(fails(&[("OPENROUTER_BASE_URL", "openrouter.ai")]), @"the variable OPENROUTER_BASE_URL: the setting `upstreams.openrouter.base_url` is wrong: `openrouter.ai` is no http or https URL, such as https://openrouter.ai/api/v1");
    }

    #[test]
    fn a_number_that_a_library_would_choke_on_is_a_sentence() {
        for (variable, value, expected) in [
            (
                "DAGWAY_SERVER_WORKERS",
                "100000",
                "`100000` is not a whole number from 0 to 512",
            ),
            (
                "DAGWAY_SERVER_WORKERS",
                "-1",
                "`-1` is not a whole number from 0 to 512",
            ),
            (
                "DAGWAY_SERVER_BODY_LIMIT_MB",
                "0",
                "`0` is not a whole number from 1 to 1024",
            ),
            (
                "DAGWAY_SERVER_BODY_LIMIT_MB",
                "1.5",
                "`1.5` is not a whole number from 1 to 1024",
            ),
            (
                "DAGWAY_STORE_KEEP_MB",
                "17592186044416",
                "from 1 to 1000000000",
            ),
            (
                "DAGWAY_STORE_PREVIEW_KB",
                "18014398509481984",
                "from 0 to 65536",
            ),
            (
                "DAGWAY_STORE_KEEP_FOR",
                "99999999999h",
                "`99999999999h` is not",
            ),
            (
                "DAGWAY_STORE_KEEP_FOR",
                "876001h",
                "`876001h` is not between 1ms and 876000h",
            ),
            (
                "DAGWAY_UPSTREAM_IDLE_TIMEOUT",
                "1ns",
                "`1ns` is not between 1ms and 876000h",
            ),
            ("DAGWAY_SERVER_PING_AFTER", "1ms", "100ms is the least"),
            (
                "DAGWAY_UPSTREAM_CATALOGUE_REFRESH",
                "5ms",
                "1s is the least",
            ),
            (
                "DAGWAY_LISTEN",
                "127.0.0.1:65536",
                "is not an IP address with a port",
            ),
        ] {
            let said = fails(&[(variable, value)]);
            assert!(said.contains(expected) && said.contains(variable), "{said}");
        }
        let most = environment(&[
            ("DAGWAY_SERVER_WORKERS", "512"),
            ("DAGWAY_STORE_KEEP_FOR", "876000h"),
        ]);
        assert_eq!(read(None, &most).unwrap().server.workers, 512);
    }

    #[test]
    fn a_switch_takes_the_words_that_people_type() {
        for (word, is_on) in [
            ("yes", true),
            ("1", true),
            ("On", true),
            ("no", false),
            ("0", false),
            ("off", false),
        ] {
            let settings = read(None, &environment(&[("DAGWAY_STORE_PAYLOADS", word)])).unwrap();
            assert_eq!(settings.store.payloads, is_on, "{word}");
        }
        insta::assert_snapshot!(fails(&[("DAGWAY_STORE_PAYLOADS", "maybe")]), @"the variable DAGWAY_STORE_PAYLOADS: the setting `store.payloads` is wrong: `maybe` is not true or false");
    }

    #[test]
    fn a_variable_that_names_no_single_setting_is_a_sentence() {
        insta::assert_snapshot!(fails(&[("DAGWAY_SERVER", "1")]), @"the variable DAGWAY_SERVER: `server` is a section, not a setting; name one of its settings, such as DAGWAY_SERVER_BODY_LIMIT_MB");
        insta::assert_snapshot!(fails(&[("DAGWAY_NOTHING", "1")]), @"the variable DAGWAY_NOTHING: there is no setting `nothing`; `dagway settings` lists all of them");
        insta::assert_snapshot!(fails(&[("DAGWAY_MODELS_RULES", "x")]), @"the variable DAGWAY_MODELS_RULES: the setting `models.rules` is wrong: a variable cannot hold it; write it into a file and start with `dagway --config FILE` (`dagway settings` shows how it is written)");
        for variable in [
            "DAGWAY_UPSTREAMS",
            "DAGWAY_UPSTREAMS_LOCAL_BASE_URL",
            "DAGWAY_MODELS_ALIASES",
        ] {
            let said = fails(&[(variable, "x")]);
            assert!(
                said.contains(variable) && said.contains("--config FILE"),
                "{said}"
            );
        }
    }

    #[test]
    fn what_would_never_work_is_refused() {
        for (variable, value, expected) in [
            (
                "OPENROUTER_BASE_URL",
                "http://x/v1?x=1",
                "leave that part out",
            ),
            (
                "OPENROUTER_BASE_URL",
                "http://x/v1#x",
                "leave that part out",
            ),
            ("OPENROUTER_BASE_URL", "http://", "is no http or https URL"),
            (
                "DAGWAY_SERVER_ALLOWED_HOSTS",
                "gateway.example,http://x",
                "`http://x` is no host name",
            ),
            (
                "DAGWAY_SERVER_ALLOWED_HOSTS",
                "x:80",
                "without http://, port",
            ),
            (
                "DAGWAY_SERVER_ALLOWED_HOSTS",
                "*.x",
                "`*.x` is no host name",
            ),
            ("DAGWAY_CLIENT_KEYS", "schlüssel", "no client can send"),
        ] {
            let said = fails(&[(variable, value)]);
            assert!(said.contains(expected) && said.contains(variable), "{said}");
        }
        let names = environment(&[(
            "DAGWAY_SERVER_ALLOWED_HOSTS",
            "gateway.example, [fe80::1], 10.0.0.7",
        )]);
        assert_eq!(read(None, &names).unwrap().server.allowed_hosts.len(), 3);
    }

    #[test]
    fn a_wrong_line_of_a_file_is_named() {
        for (text, line, expected) in [
            (
                "[server]\nworkers = 600\n",
                2,
                "`600` is not a whole number from 0 to 512",
            ),
            (
                "[server]\nlisten = 4000\n",
                2,
                "in quotes: \"127.0.0.1:4000\"",
            ),
            ("[server]\nclient_keys = 'a'\n", 2, "`a` is not a list"),
            (
                "[server]\n\n\ndashboard_password = 12345\n",
                4,
                "it is not a text; put it in quotes",
            ),
            (
                "[upstream]\nidle_timeout = 240\n",
                2,
                "a time with its unit",
            ),
            (
                "[store]\npayloads = 'yes'\n",
                2,
                "`yes` is not true or false",
            ),
            (
                "[log]\nformat = 'loud'\n",
                2,
                "`loud` is not one of: auto, pretty, json",
            ),
            (
                "[log]\nformat = 5\n",
                2,
                "one of these words, in quotes: auto, pretty, json",
            ),
            ("[log]\nlevel = 'x'\n", 2, "there is no setting `log.level`"),
            ("[models]\naliases = 'x'\n", 2, "`x` is not a table"),
            (
                "[models.aliases]\na = 5\n",
                2,
                "`5` is not a text in quotes",
            ),
            ("[models]\nrules = ['x']\n", 2, "`x` is not a table"),
            (
                "[[models.rules]]\nmatch = 'x'\n[[models.rules]]\nmatch = 'y'\nlane = 1\n",
                5,
                "in quotes: chat, native",
            ),
            (
                "[upstreams.a]\nkind = 'openai'\nbase_url = 'http://x'\nquirks = { cache_control = 'x' }\n",
                4,
                "true or false",
            ),
            (
                "[upstreams.a]\nkind = 'openai'\nbase_url = 'http://x?y'\n",
                3,
                "leave that part out",
            ),
            (
                "server = 1\n",
                1,
                "`server` is a section, not a setting; write its settings below a line of their own, `[server]`",
            ),
            (
                "\n[servr]\n",
                2,
                "there is no setting `servr` (did you mean `server`?)",
            ),
        ] {
            let file = file(text);
            let said = read(Some(file.path()), &[]).unwrap_err().to_string();
            let place = format!("{}:{line}: ", file.path().display());
            assert!(
                said.starts_with(&place) && said.contains(expected),
                "{text}: {said}"
            );
            assert!(
                !said.contains("expected ") && !said.contains("12345"),
                "{said}"
            );
        }
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
                "`fast` is not one of: chat, native",
            ),
            ("[upstreams.a]\nkind = 'openai'\n", "it needs `base_url`"),
            (
                "[upstreams.a]\nkind = 'openai'\nbase_url = 'x'\n",
                "`x` is no http or https URL",
            ),
            (
                "[upstreams.a]\nkind = 'openai'\nbase_url = 'http://x'\nbase_ulr = 'x'\n",
                "it has no `base_ulr`; it may have: kind, base_url",
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
