//! JSON read without taking offence: what has another type than expected reads as nothing.
//!
//! This file must not know what is read.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::chunk::NotAChunk;
use crate::protocol::json_text;

/// Makes a visitor read numbers, `true`, `false` and `null` as the default, and those of `string`, `list` and `map` that
/// are named.
macro_rules! default_for_the_rest {
    (string $value:ty) => {
        fn visit_str<E>(self, _: &str) -> Result<$value, E> {
            Ok(<$value>::default())
        }
    };
    (list $value:ty) => {
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<$value, A::Error> {
            while list.next_element::<serde::de::IgnoredAny>()?.is_some() {}
            Ok(<$value>::default())
        }
    };
    (map $value:ty) => {
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$value, A::Error> {
            use serde::de::IgnoredAny;
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(<$value>::default())
        }
    };
    ($value:ty; $($kind:ident),*) => {
        fn visit_unit<E>(self) -> Result<$value, E> {
            Ok(<$value>::default())
        }

        fn visit_bool<E>(self, _: bool) -> Result<$value, E> {
            Ok(<$value>::default())
        }

        fn visit_i64<E>(self, _: i64) -> Result<$value, E> {
            Ok(<$value>::default())
        }

        fn visit_u64<E>(self, _: u64) -> Result<$value, E> {
            Ok(<$value>::default())
        }

        fn visit_f64<E>(self, _: f64) -> Result<$value, E> {
            Ok(<$value>::default())
        }

        $(default_for_the_rest!($kind $value);)*
    };
}
pub(super) use default_for_the_rest;

/// Reads objects field by field, `Wrapper` around a value being what reads it. What is derived refuses an object with a field
/// that is written twice; here the last one counts, as for others who read JSON.
macro_rules! read_by_fields {
    (@value $map:ident) => {
        $map.next_value()?
    };
    (@value $map:ident $wrapper:ty) => {
        $map.next_value::<$wrapper>()?.0
    };
    ($object:ident: $($field:ident $(as $wrapper:ty)?),+) => {
        impl<'de: 'a, 'a> Deserialize<'de> for $object<'a> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields;

                impl<'de> Visitor<'de> for Fields {
                    type Value = $object<'de>;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        let mut object = $object::default();
                        while let Some(key) = map.next_key::<Key<'de>>()? {
                            match key.as_str() {
                                $(stringify!($field) => {
                                    object.$field = read_by_fields!(@value map $($wrapper)?);
                                })+
                                _ => {
                                    map.next_value::<IgnoredAny>()?;
                                }
                            }
                        }
                        Ok(object)
                    }
                }

                deserializer.deserialize_map(Fields)
            }
        }
    };
}
pub(super) use read_by_fields;

/// A field's name.
pub(super) struct Key<'a>(Cow<'a, str>);

impl<'a> Key<'a> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn into_text(self) -> Text<'a> {
        Text(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Borrowed(name)))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Owned(name.to_owned())))
    }
}

/// A string; anything else reads as the empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    /// The string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The string, if it says anything.
    #[must_use]
    pub fn filled(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(&*self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    /// Servers cut texts inside characters, and a string with half of one is none to a parser: it is read as it stands.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?;
        let text = json_text::body(json).map(json_text::unescape);
        Ok(Self(text.unwrap_or_default()))
    }
}

/// An object; nothing when another thing stands in its place.
#[derive(Debug)]
pub struct Object<T>(pub Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

/// What went wrong; `null`, `false` and a blank string say that nothing did.
pub(super) struct Fault<'a>(pub(super) Option<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Fault<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let said = Option::<&RawValue>::deserialize(deserializer)?;
        let is_none = |json: &&RawValue| {
            json.get() == "false"
                || json_text::body(json).is_some_and(|text| text.trim().is_empty())
        };
        Ok(Self(said.filter(|json| !is_none(json))))
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|read| Object(Some(read)))
    }

    default_for_the_rest!(Object<T>; string, list);
}

/// Calls `each` with the elements of a JSON list of objects. What is no list has no elements.
///
/// # Errors
///
/// [`NotAChunk::Malformed`] when an element is not of the shape.
pub fn for_each<'a, T: Deserialize<'a>>(
    list: Option<&'a RawValue>,
    mut each: impl FnMut(T),
) -> Result<(), NotAChunk> {
    let Some(list) = list.filter(|list| list.get().starts_with('[')) else {
        return Ok(());
    };
    let elements = Elements {
        each: &mut each,
        element: PhantomData,
    };
    serde_json::Deserializer::from_str(list.get())
        .deserialize_seq(elements)
        .map_err(|_| NotAChunk::Malformed)
}

struct Elements<'f, F, T> {
    each: &'f mut F,
    element: PhantomData<T>,
}

impl<'de, F: FnMut(T), T: Deserialize<'de>> Visitor<'de> for Elements<'_, F, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element()? {
            (self.each)(element);
        }
        Ok(())
    }
}
