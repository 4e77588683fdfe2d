//! OpenRouter's `provider` object, written as a table or as a JSON text.
//!
//! This file must not know what may stand in it: OpenRouter adds to it, so what is unknown passes on.

use std::fmt;
use std::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

/// Which hosts of OpenRouter may answer, in which order, at which price, under which data policy; or nothing of that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provider(String);

/// A text that is no object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no JSON object, such as {{\"order\":[\"anthropic\"]}}")]
pub struct NoObject(String);

impl Provider {
    /// The object as JSON text; `None` when it says nothing.
    #[must_use]
    pub fn json(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|json| !json.is_empty())
    }
}

impl FromStr for Provider {
    type Err = NoObject;

    /// Reads a JSON object; an empty text says nothing, as an empty object does.
    fn from_str(text: &str) -> Result<Self, NoObject> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::default());
        }
        let object: Map<String, Value> =
            serde_json::from_str(text).map_err(|_| NoObject(text.to_owned()))?;
        Ok(match object.is_empty() {
            true => Self::default(),
            false => Self(text.to_owned()),
        })
    }
}

impl<'de> Deserialize<'de> for Provider {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = Provider;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenRouter's `provider`, a table such as { order = [\"anthropic\"] } or the same as JSON in quotes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Provider, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Provider, A::Error> {
        let object = Map::deserialize(MapAccessDeserializer::new(entries))?;
        if object.is_empty() {
            return Ok(Provider::default());
        }
        let object = Value::Object(object);
        if holds_null(&object) {
            // TOML has no null, so it was one of these.
            let message = "it holds `inf` or `nan`, which no JSON can say; leave that entry out";
            return Err(A::Error::custom(message));
        }
        Ok(Provider(object.to_string()))
    }
}

fn holds_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(holds_null),
        Value::Object(entries) => entries.values().any(holds_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
