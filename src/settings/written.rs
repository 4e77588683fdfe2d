//! Settings as they were written, turned into the types of this module, with faults in plain words: a person who starts a
//! program knows no Rust.
//!
//! This file must not know which settings there are.

use std::fmt::{self, Display};

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use toml::Value;

/// A value of a settings file or of the environment.
pub(super) struct Written(pub(super) Value);

/// What is wrong with a value, without its place.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Fault(String);

impl Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let plain = plain(expected);
        // In a variable it would be no text, so it stands in a file.
        match found {
            Unexpected::Str(text) if is_quoted(text, &plain) => Self(format!(
                "`\"{text}\"` is a text and not {plain}; write it without quotes"
            )),
            _ => Self(format!("{} is not {plain}", shown(found))),
        }
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Self(format!("`{variant}` is not one of: {}", known.join(", ")))
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self(format!(
            "it has no `{field}`; it may have: {}",
            known.join(", ")
        ))
    }

    fn missing_field(field: &'static str) -> Self {
        Self(format!("it needs `{field}`, which is missing"))
    }
}

fn shown(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("`{value}`"),
        Unexpected::Signed(value) => format!("`{value}`"),
        Unexpected::Float(value) => format!("`{value}`"),
        Unexpected::Str(text) => format!("`{text}`"),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

/// Whether a text would be what is wanted, if it had no quotes.
fn is_quoted(text: &str, wanted: &str) -> bool {
    let text = text.trim();
    match wanted {
        "true or false" => text.parse::<bool>().is_ok(),
        wanted => wanted.starts_with("a whole number") && text.parse::<i64>().is_ok(),
    }
}

/// What a type of ours wants, in words of the settings file.
fn plain(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    match expected.as_str() {
        "a string" | "path string" => "a text in quotes, such as \"…\"".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list, such as [\"one\", \"two\"]".to_owned(),
        "a map" => "a table, such as { name = \"value\" }".to_owned(),
        ours if ours.starts_with("struct ") => {
            "a table, such as { name = \"value\" }; `dagway settings` shows how it is written"
                .to_owned()
        }
        _ => expected,
    }
}

impl<'de> Deserializer<'de> for Written {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(text) => visitor.visit_string(text),
            Value::Integer(number) => visitor.visit_i64(number),
            Value::Float(number) => visitor.visit_f64(number),
            Value::Boolean(is_so) => visitor.visit_bool(is_so),
            Value::Datetime(_) => Err(Fault::invalid_type(Unexpected::Other("a date"), &visitor)),
            Value::Array(items) => {
                SeqDeserializer::new(items.into_iter().map(Written)).deserialize_any(visitor)
            }
            Value::Table(entries) => {
                let entries = entries.into_iter().map(|(key, value)| (key, Self(value)));
                MapDeserializer::new(entries).deserialize_any(visitor)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(word) => visitor.visit_enum(word.into_deserializer()),
            _ => Err(Fault(format!(
                "it is one of these words, in quotes: {}",
                known.join(", ")
            ))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl IntoDeserializer<'_, Fault> for Written {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Reads a whole number from `LEAST` to `MOST`; what lies outside would overflow somewhere, or make a library panic.
pub(super) fn whole<'de, const LEAST: u64, const MOST: u64, N, D>(
    deserializer: D,
) -> Result<N, D::Error>
where
    N: TryFrom<u64>,
    D: Deserializer<'de>,
{
    let number = deserializer.deserialize_u64(Whole::<LEAST, MOST>)?;
    N::try_from(number).map_err(|_| D::Error::custom(format!("`{number}` is too large")))
}

struct Whole<const LEAST: u64, const MOST: u64>;

impl<const LEAST: u64, const MOST: u64> Visitor<'_> for Whole<LEAST, MOST> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {LEAST} to {MOST}")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
        if (LEAST..=MOST).contains(&number) {
            Ok(number)
        } else {
            Err(E::invalid_value(Unexpected::Unsigned(number), &self))
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<u64, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }
}
