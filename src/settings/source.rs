//! Lays the sources of settings over one another and says, for a wrong one, where it was written.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;

use toml::{Table, Value};

use super::places::{self, Places};
use super::upstreams::OPENROUTER;
use super::variables::{self, OPENROUTER_BASE_URL};
use super::written::Written;
use super::{DEFAULTS, Settings, client_keys, default_data_folder, keys, secrets};

/// What is said of a setting that is a table.
const IN_FILES_ALONE: &str = "a variable cannot hold it; write it into a file and start with `dagway --config FILE` (`dagway \
                              settings` shows how it is written)";

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
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no text.
    #[error("the settings file {path} is not UTF-8 text; save it in that encoding")]
    Encoding {
        /// The file.
        path: String,
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
    /// A variable that another setting names cannot be used.
    #[error("the variable {variable}: {message}")]
    Variable {
        /// Which one.
        variable: String,
        /// What is wrong, and what would be right.
        message: String,
    },
}

/// Reads the settings: the defaults, over them `file` if one is given, over that the environment.
///
/// # Errors
/// The first wrong setting, with the place where it was written.
pub fn read(file: Option<&Path>, environment: &[(String, String)]) -> Result<Settings, Error> {
    read_with(file, environment, None)
}

/// The same with the address of `--listen` over all of it, if one is given.
///
/// # Errors
/// As [`read`].
pub fn read_with(
    file: Option<&Path>,
    environment: &[(String, String)],
    listen: Option<SocketAddr>,
) -> Result<Settings, Error> {
    let mut layers = Layers::defaults()?;
    if let Some(path) = file {
        layers.lay_file(path)?;
    }
    layers.lay_environment(environment)?;
    if let Some(address) = listen {
        layers.lay_listen(address)?;
    }
    layers.read_secrets()?;
    let (table, places) = (layers.table, layers.places);
    let mut settings = finish(table, environment).map_err(|error| error.written_at(&places))?;
    settings.store.database_origin = places.of("store.database").map(places::bare);
    Ok(settings)
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
        keys::find(name, upstream, environment)?;
    }
    client_keys::find(&mut settings.server.client_keys, environment)?;
    let variables = environment.iter().cloned();
    settings.environment = variables
        .map(|(name, value)| (name, value.into()))
        .collect();
    settings.check()?;
    Ok(settings)
}

/// The sources laid so far, and where each changed setting was written.
struct Layers {
    defaults: Table,
    table: Table,
    places: Places,
    /// The secrets that the current source has given so far.
    given: Vec<String>,
}

impl Layers {
    fn defaults() -> Result<Self, Error> {
        let table = parse(DEFAULTS, "(built-in defaults)")?;
        Ok(Self {
            defaults: table.clone(),
            table,
            places: Places::default(),
            given: Vec::new(),
        })
    }

    fn lay_file(&mut self, path: &Path) -> Result<(), Error> {
        self.given.clear();
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| {
            let path = name.clone();
            match source.kind() {
                ErrorKind::InvalidData => Error::Encoding { path },
                _ => Error::Unreadable { path, source },
            }
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
        self.given.clear();
        for (name, text) in environment {
            if !text.is_empty() && !variables::is_no_setting(name, text) {
                let laid = self.lay_variable(name, text);
                laid.map_err(|error| error.meaning(variables::meant(name, &self.defaults)))?;
            }
        }
        Ok(())
    }

    fn lay_listen(&mut self, address: SocketAddr) -> Result<(), Error> {
        let place = "the option --listen";
        let address = Value::String(address.to_string());
        self.set(place, "server", "listen", address)?;
        self.places.note("server.listen", place);
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
        let Some((section, key)) = variables::setting_of(name) else {
            return Ok(());
        };
        let setting = format!("{section}.{key}");
        let default = self.default(&section, &key);
        let is_of_tables = default.is_some_and(variables::is_of_tables);
        // Its default holds no table that could show it.
        if section == "upstreams" || is_of_tables || setting == "models.fallbacks" {
            let message = match variables::of_openrouter(name) {
                Some(short) => format!("its variable is {short}; set that"),
                None => IN_FILES_ALONE.to_owned(),
            };
            return Err(Error::Invalid {
                origin: place,
                key: setting.trim_end_matches('.').to_owned(),
                message,
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
        // An empty list often allows everything, which nobody asks for by commas.
        if value.as_array().is_some_and(Vec::is_empty) {
            let message = "it lists nothing: only blanks and commas are in the variable; write an entry into it, or unset it";
            return Err(Error::Invalid {
                origin: place,
                key: setting,
                message: message.to_owned(),
            });
        }
        self.set(&place, &section, &key, value)?;
        self.places.note(&setting, &place);
        Ok(())
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
                    .split([',', '\n'])
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
        if section == "upstreams" && !value.is_table() {
            return Err(Error::Section {
                origin: origin.to_owned(),
                section: path.clone(),
                cure: format!(
                    "write a line of its own, `[{path}]`, and below it `kind` and `base_url`"
                ),
            });
        }
        if !is_empty(&value) {
            self.replace_counterpart(origin, section, key)?;
        }
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

    /// A secret replaces one that an earlier source gave in the other way: itself, or by the file that holds it. One source
    /// gives it in one way.
    fn replace_counterpart(&mut self, origin: &str, section: &str, key: &str) -> Result<(), Error> {
        let Some(other) = secrets::counterpart(section, key) else {
            return Ok(());
        };
        let (ours, theirs) = (format!("{section}.{key}"), format!("{section}.{other}"));
        if self.given.contains(&theirs) {
            let place = self.places.of(&theirs).unwrap_or("settings");
            let message = format!("`{theirs}` is given, too ({place}); leave one of the two out");
            return Err(Error::Invalid {
                origin: origin.to_owned(),
                key: ours,
                message,
            });
        }
        let nothing = self.default(section, &other).cloned();
        let entries = self.table.get_mut(section).and_then(Value::as_table_mut);
        if let (Some(nothing), Some(entries)) = (nothing, entries) {
            entries.insert(other, nothing);
        }
        self.given.push(ours);
        Ok(())
    }

    /// Puts what is in the files of secrets in the place of their names.
    fn read_secrets(&mut self) -> Result<(), Error> {
        for (section, key, in_file) in secrets::settings() {
            let entries = self.table.get_mut(section).and_then(Value::as_table_mut);
            let named = entries.and_then(|entries| entries.remove(&in_file));
            let setting = format!("{section}.{in_file}");
            let place = self.places.of(&setting).unwrap_or("settings").to_owned();
            let wrong = |message: String| Error::Invalid {
                origin: place.clone(),
                key: setting.clone(),
                message,
            };
            let path = match named {
                Some(Value::String(path)) if !path.trim().is_empty() => path,
                Some(Value::String(_)) | None => continue,
                Some(_) => return Err(wrong("it is the path of a file, in quotes".to_owned())),
            };
            let path = Path::new(path.trim());
            let holds_several = self.default(section, key).is_some_and(Value::is_array);
            let read = if holds_several {
                secrets::read
            } else {
                secrets::read_one
            };
            let text = read(path).map_err(|fault| wrong(fault.to_string()))?;
            let value = self.value_like(section, key, &text);
            if is_empty(&value) {
                let message = format!("{} holds no key; write one into it", path.display());
                return Err(wrong(message));
            }
            let secret = format!("{section}.{key}");
            self.places.note(&secret, &place);
            let entries = self.table.get_mut(section).and_then(Value::as_table_mut);
            entries.and_then(|entries| entries.insert(key.to_owned(), value));
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
        // One that was written outside its section is told by its name alone.
        let unlike = |name: &str| match name.split_once('.') {
            Some((_, bare)) if bare == key => 0,
            _ => strsim::levenshtein(name, key),
        };
        let nearest = known.map(|name| (unlike(&name), name)).min();
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
    /// Says which variable was meant, in place of a setting, when a variable is none.
    fn meaning(mut self, variable: Option<String>) -> Self {
        if let Self::Unknown { hint, .. } = &mut self {
            let meant = variable.map(|variable| format!(" (did you mean {variable}?)"));
            *hint = meant.unwrap_or_default();
        }
        self
    }

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

/// Whether a value gives nothing where a secret may be.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn parse(text: &str, name: &str) -> Result<Table, Error> {
    text.parse::<Table>().map_err(|error| Error::Syntax {
        path: name.to_owned(),
        message: error.to_string().trim_end().to_owned(),
    })
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
