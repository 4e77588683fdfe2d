//! `server.client_keys`: the keys that clients may present, and the names under which runs tell them apart.
//!
//! A fault here never shows what was written: it may be a key.

use std::fmt;
use std::path::PathBuf;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::source::invalid;
use super::{Error, Secret, keys};

/// The longest name of a key, in characters.
const LONGEST_NAME: usize = 64;

/// A key that clients may present.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientKey {
    /// Whose it is: a person or a machine. Runs are recorded under it; those of a key without one are not told apart.
    #[serde(default)]
    pub name: Option<String>,
    /// The key; once read, the one that counts, wherever it was given.
    #[serde(default = "Secret::none")]
    pub key: Secret,
    /// The variable that holds the key.
    #[serde(default)]
    pub key_env: Option<String>,
    /// The file that holds the key.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
}

impl ClientKey {
    /// A key that is nobody's in particular.
    #[must_use]
    pub fn nameless(key: impl Into<String>) -> Self {
        Self {
            name: None,
            key: Secret::new(key),
            key_env: None,
            key_file: None,
        }
    }

    /// The key of a person or a machine.
    #[must_use]
    pub fn named(name: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            ..Self::nameless(key)
        }
    }

    /// Reads `key`, or `name = key` with blanks around the sign: a key may hold any sign, but no blank.
    fn written(text: &str) -> Self {
        let named = text.split_once('=').filter(|(name, key)| {
            name.ends_with(char::is_whitespace) && key.starts_with(char::is_whitespace)
        });
        match named {
            Some((name, key)) => Self::named(name.trim(), key.trim()),
            None => Self::nameless(text.trim()),
        }
    }
}

/// Reads the list.
pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ClientKey>, D::Error> {
    deserializer.deserialize_any(List)
}

const NO_LIST: &str = "it is not a list; write it in brackets, such as [\"KEY\", { name = \"alice\", key_env = \"ALICE_KEY\" }]";
const NO_ENTRY: &str = "it is no key; write it in quotes, or as a table such as { name = \"alice\", key_env = \"ALICE_KEY\" }";

/// Refuses all that is neither of the wanted kinds in one sentence, where Serde would show it.
macro_rules! refuse {
    ($sentence:ident: $($visit:ident($type:ty)),*) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str($sentence)
        }

        $(fn $visit<E: serde::de::Error>(self, _: $type) -> Result<Self::Value, E> {
            Err(E::custom($sentence))
        })*
    };
}

struct List;

impl<'de> Visitor<'de> for List {
    type Value = Vec<ClientKey>;

    refuse!(NO_LIST: visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_str(&str));

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(A::Error::custom(NO_LIST))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut keys = Vec::new();
        while let Some(Entry(key)) = entries.next_element()? {
            keys.push(key);
        }
        Ok(keys)
    }
}

/// An entry of the list: a text or a table.
struct Entry(ClientKey);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnEntry).map(Self)
    }
}

struct AnEntry;

impl<'de> Visitor<'de> for AnEntry {
    type Value = ClientKey;

    refuse!(NO_ENTRY: visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64));

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(A::Error::custom(NO_ENTRY))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(ClientKey::written(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Self::Value, A::Error> {
        ClientKey::deserialize(MapAccessDeserializer::new(table))
    }
}

/// Finds the keys that stand in variables and files.
pub(super) fn find(keys: &mut [ClientKey], environment: &[(String, String)]) -> Result<(), Error> {
    for (index, entry) in keys.iter_mut().enumerate() {
        let setting = setting(index);
        let (variable, file) = (entry.key_env.as_deref(), entry.key_file.as_deref());
        if let Some(key) = keys::elsewhere(&setting, variable, file, environment)? {
            entry.key = key;
        }
        if entry.key.is_empty() {
            let message = match &entry.key_env {
                Some(variable) => {
                    format!("the variable {variable} holds no key; set it, or leave this entry out")
                }
                None if entry.name.is_some() => {
                    "it has a name and no key; add `key_env` with the variable that holds \
                     the key, `key_file` with its file, or `key`"
                        .to_owned()
                }
                None => "the key is empty".to_owned(),
            };
            return invalid(&setting, message);
        }
    }
    Ok(())
}

/// Checks what a client can send, and that a name says whose a run is.
pub(super) fn check(keys: &[ClientKey]) -> Result<(), Error> {
    for (index, entry) in keys.iter().enumerate() {
        let ClientKey { name, key, .. } = entry;
        if !key.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = "the key holds a character that no client can send; use ASCII letters, digits and signs, without \
                           spaces (a key with a name is written `alice = KEY`)";
            return invalid(&setting(index), message.to_owned());
        }
        if name.as_deref().is_some_and(|name| !is_name(name)) {
            let message = format!(
                "the name of the key is none; use 1 to {LONGEST_NAME} letters, digits and the signs - _ . @ +, without \
                 spaces"
            );
            return invalid(&setting(index), message);
        }
        for earlier in &keys[..index] {
            check_pair(&setting(index), earlier, entry)?;
        }
    }
    Ok(())
}

fn check_pair(setting: &str, earlier: &ClientKey, later: &ClientKey) -> Result<(), Error> {
    let is_same_key = earlier.key.expose() == later.key.expose();
    match (&earlier.name, &later.name) {
        (Some(name), Some(other)) if name == other => invalid(
            setting,
            format!("`{name}` is the name of two keys; give each a name of its own"),
        ),
        (Some(name), Some(other)) if is_same_key => invalid(
            setting,
            format!("`{name}` and `{other}` have the same key; give each a key of its own"),
        ),
        (Some(name), None) | (None, Some(name)) if is_same_key => invalid(
            setting,
            format!("the key of `{name}` stands there without a name, too; leave one of them out"),
        ),
        _ => Ok(()),
    }
}

/// What can be typed, read and told from another; nothing that turns or hides a text on a page.
fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.chars().count())
        && name
            .chars()
            .all(|one| one.is_alphanumeric() || "-_.@+".contains(one))
}

fn setting(index: usize) -> String {
    format!("server.client_keys[{index}]")
}
