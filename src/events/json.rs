//! An artifact as JSON, as much of it as there is room for.
//!
//! Every step of every run has its artifacts written, so this is made for short texts: names of members are taken as they
//! stand in the source, texts are searched for what has to be escaped eight bytes at a time, and nothing is buffered or
//! called through a pointer. What it writes is what `serde_json` writes, byte for byte; tests hold it to that.
//! It must not know what becomes of the text.

use std::fmt::Display;

use serde::Serialize;
use serde::ser;

/// JSON on its way into a buffer that takes only so much.
pub struct Json<'a> {
    out: &'a mut Vec<u8>,
    most: usize,
}

/// Why the rest was not written.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// There was no room for it.
    #[error("there is no more room")]
    Full,
    /// It cannot be told.
    #[error("{0}")]
    Unspeakable(String),
}

impl ser::Error for Stopped {
    fn custom<T: Display>(message: T) -> Self {
        Self::Unspeakable(message.to_string())
    }
}

/// How `serde_json` calls a struct whose only field is JSON already.
const RAW: &str = "$serde_json::private::RawValue";

impl<'a> Json<'a> {
    /// Writes after what stands in `out`, at most `room` bytes.
    pub fn new(out: &'a mut Vec<u8>, room: usize) -> Self {
        let most = out.len().saturating_add(room);
        Self { out, most }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Stopped> {
        let room = self.most - self.out.len();
        if bytes.len() > room {
            self.out.extend_from_slice(&bytes[..room]);
            return Err(Stopped::Full);
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn number(&mut self, number: impl Serialize) -> Result<(), Stopped> {
        serde_json::to_writer(&mut *self.out, &number).map_err(ser::Error::custom)?;
        if self.out.len() > self.most {
            self.out.truncate(self.most);
            return Err(Stopped::Full);
        }
        Ok(())
    }

    /// Whether so many bytes fit in; if so they are appended one by one and need no look at the room each time.
    fn has_room(&mut self, bytes: usize) -> bool {
        let has_room = self.most - self.out.len() >= bytes;
        if has_room {
            self.out.reserve(bytes);
        }
        has_room
    }

    /// A text in quotes.
    fn text(&mut self, text: &[u8]) -> Result<(), Stopped> {
        if to_escape(text).is_none() && self.has_room(text.len() + 2) {
            self.out.push(b'"');
            self.out.extend_from_slice(text);
            self.out.push(b'"');
            return Ok(());
        }
        self.long_text(text)
    }

    /// A text in which something is to be escaped, or for which there is no room.
    fn long_text(&mut self, text: &[u8]) -> Result<(), Stopped> {
        self.put(b"\"")?;
        let mut rest = text;
        while let Some(place) = to_escape(rest) {
            let (plain, special) = rest.split_at(place);
            self.put(plain)?;
            self.escape(special[0])?;
            rest = &special[1..];
        }
        self.put(rest)?;
        self.put(b"\"")
    }

    fn escape(&mut self, byte: u8) -> Result<(), Stopped> {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let short = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            0x08 => b"\\b",
            0x0c => b"\\f",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            _ => {
                let digit = |half: u8| HEX[usize::from(half & 0xf)];
                return self.put(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte)]);
            }
        };
        self.put(short)
    }

    /// A member's name, which stands in the source and holds nothing to escape.
    fn name(&mut self, is_first: &mut bool, name: &'static str) -> Result<(), Stopped> {
        debug_assert_eq!(to_escape(name.as_bytes()), None, "{name}");
        let is_later = !std::mem::take(is_first);
        if self.has_room(name.len() + 4) {
            if is_later {
                self.out.push(b',');
            }
            self.out.push(b'"');
            self.out.extend_from_slice(name.as_bytes());
            self.out.push(b'"');
            self.out.push(b':');
            return Ok(());
        }
        self.put(if is_later { b",\"" } else { b"\"" })?;
        self.put(name.as_bytes())?;
        self.put(b"\":")
    }

    fn variant(&mut self, name: &'static str, open: &[u8]) -> Result<(), Stopped> {
        self.put(b"{")?;
        self.name(&mut true, name)?;
        self.put(open)
    }
}

/// The place of the first byte that cannot stand in a text as it is.
fn to_escape(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGH: u64 = ONES << 7;
    // The lowest marked byte is right; bytes above it may be marked in error.
    let is_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, rest) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let quote = is_zero(word ^ (ONES * u64::from(b'"')));
        let backslash = is_zero(word ^ (ONES * u64::from(b'\\')));
        let marked = control | quote | backslash;
        if marked != 0 {
            return Some(index * 8 + marked.trailing_zeros() as usize / 8);
        }
    }
    let is_special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
    let place = rest.iter().position(is_special)?;
    Some(words.len() * 8 + place)
}

/// What stands between two brackets.
pub struct Members<'s, 'a> {
    json: &'s mut Json<'a>,
    is_first: bool,
    end: &'static [u8],
    is_raw: bool,
}

fn members<'s, 'a>(json: &'s mut Json<'a>, end: &'static [u8]) -> Members<'s, 'a> {
    Members {
        json,
        is_first: true,
        end,
        is_raw: false,
    }
}

impl Members<'_, '_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stopped> {
        if !self.is_first {
            self.json.put(b",")?;
        }
        self.is_first = false;
        value.serialize(&mut *self.json)
    }

    fn member<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Stopped> {
        if self.is_raw {
            let text = serde_json::to_value(value).map_err(ser::Error::custom)?;
            return self.json.put(text.as_str().unwrap_or_default().as_bytes());
        }
        self.json.name(&mut self.is_first, name)?;
        value.serialize(&mut *self.json)
    }

    fn close(self) -> Result<(), Stopped> {
        self.json.put(self.end)
    }
}

macro_rules! numbers {
    ($($method:ident: $number:ty,)*) => {
        $(fn $method(self, value: $number) -> Result<(), Stopped> {
            self.number(value)
        })*
    };
}

impl<'s, 'a> ser::Serializer for &'s mut Json<'a> {
    type Ok = ();
    type Error = Stopped;
    type SerializeSeq = Members<'s, 'a>;
    type SerializeTuple = Members<'s, 'a>;
    type SerializeTupleStruct = Members<'s, 'a>;
    type SerializeTupleVariant = Members<'s, 'a>;
    type SerializeMap = Members<'s, 'a>;
    type SerializeStruct = Members<'s, 'a>;
    type SerializeStructVariant = Members<'s, 'a>;

    fn serialize_bool(self, value: bool) -> Result<(), Stopped> {
        self.put(if value { b"true" } else { b"false" })
    }
    numbers! {
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_i128: i128,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_u128: u128,
        serialize_f32: f32,
        serialize_f64: f64,
    }

    fn serialize_char(self, value: char) -> Result<(), Stopped> {
        self.text(value.encode_utf8(&mut [0; 4]).as_bytes())
    }
    fn serialize_str(self, value: &str) -> Result<(), Stopped> {
        self.text(value.as_bytes())
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<(), Stopped> {
        value.serialize(self)
    }
    fn serialize_none(self) -> Result<(), Stopped> {
        self.serialize_unit()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Stopped> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), Stopped> {
        self.put(b"null")
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Stopped> {
        self.serialize_unit()
    }
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Stopped> {
        self.text(variant.as_bytes())
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Stopped> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Stopped> {
        self.variant(variant, b"")?;
        value.serialize(&mut *self)?;
        self.put(b"}")
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Members<'s, 'a>, Stopped> {
        self.put(b"[")?;
        Ok(members(self, b"]"))
    }
    fn serialize_tuple(self, _: usize) -> Result<Members<'s, 'a>, Stopped> {
        self.serialize_seq(None)
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Members<'s, 'a>, Stopped> {
        self.serialize_seq(None)
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Members<'s, 'a>, Stopped> {
        self.variant(variant, b"[")?;
        Ok(members(self, b"]}"))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Members<'s, 'a>, Stopped> {
        self.put(b"{")?;
        Ok(members(self, b"}"))
    }
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Members<'s, 'a>, Stopped> {
        if name == RAW {
            return Ok(Members {
                is_raw: true,
                ..members(self, b"")
            });
        }
        self.serialize_map(None)
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Members<'s, 'a>, Stopped> {
        self.variant(variant, b"{")?;
        Ok(members(self, b"}}"))
    }
}

macro_rules! lists {
    ($($list:ident::$method:ident,)*) => {
        $(impl ser::$list for Members<'_, '_> {
            type Ok = ();
            type Error = Stopped;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stopped> {
                self.element(value)
            }
            fn end(self) -> Result<(), Stopped> {
                self.close()
            }
        })*
    };
}

lists! {
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
}

macro_rules! structs {
    ($($struct:ident,)*) => {
        $(impl ser::$struct for Members<'_, '_> {
            type Ok = ();
            type Error = Stopped;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Stopped> {
                self.member(name, value)
            }
            fn end(self) -> Result<(), Stopped> {
                self.close()
            }
        })*
    };
}

structs! {
    SerializeStruct,
    SerializeStructVariant,
}

impl ser::SerializeMap for Members<'_, '_> {
    type Ok = ();
    type Error = Stopped;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Stopped> {
        let start = self.json.out.len();
        let written = self.element(key);
        let out = &mut *self.json.out;
        // A number or a yes or no as a key stands in quotes.
        let at = start + usize::from(out.get(start) == Some(&b','));
        let is_bare = out.get(at).is_some_and(|first| *first != b'"');
        if is_bare {
            out.insert(at, b'"');
            out.truncate(self.json.most);
        }
        written?;
        if is_bare {
            self.json.put(b"\"")?;
        }
        self.json.put(b":")
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stopped> {
        value.serialize(&mut *self.json)
    }
    fn end(self) -> Result<(), Stopped> {
        self.close()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Clone, Debug, Serialize)]
    enum Kind {
        Plain,
        #[serde(rename = "new")]
        New(Option<f64>),
        Pair(u8, char),
        Named {
            text: String,
            unit: (),
        },
    }

    #[derive(Clone, Debug, Serialize)]
    struct Sample {
        texts: Vec<String>,
        kinds: Vec<Kind>,
        #[serde(skip_serializing_if = "Option::is_none")]
        number: Option<i64>,
        counts: BTreeMap<u32, bool>,
        flags: BTreeMap<String, (i8, u128, f32)>,
        raw: Box<RawValue>,
        empty: [u8; 0],
    }

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![
            Just(Kind::Plain),
            any::<Option<f64>>().prop_map(Kind::New),
            any::<(u8, char)>().prop_map(|(byte, char)| Kind::Pair(byte, char)),
            any::<String>().prop_map(|text| Kind::Named { text, unit: () }),
        ]
    }

    prop_compose! {
        fn sample()(
            texts in prop::collection::vec("[a-z\"\\\\\\x00-\\x1fé€\\x7f]{0,30}", 0..6),
            kinds in prop::collection::vec(kind(), 0..4),
            number: Option<i64>,
            counts in prop::collection::btree_map(any::<u32>(), any::<bool>(), 0..3),
            flags in prop::collection::btree_map(any::<String>(), any::<(i8, u128, f32)>(), 0..3),
        ) -> Sample {
            let raw = RawValue::from_string(r#"{"a": [1,"x"]}"#.to_owned()).unwrap();
            Sample { texts, kinds, number, counts, flags, raw, empty: [] }
        }
    }

    proptest! {
        #[test]
        fn it_is_what_serde_json_writes_as_far_as_there_is_room(sample in sample(), room in 0_usize..600) {
            let whole = serde_json::to_vec(&sample).unwrap();
            let mut out = b"before".to_vec();
            let written = sample.serialize(&mut Json::new(&mut out, whole.len()));
            prop_assert!(written.is_ok());
            prop_assert_eq!(&out[6..], &whole[..]);

            let mut out = Vec::new();
            let written = sample.serialize(&mut Json::new(&mut out, room));
            prop_assert_eq!(written.is_ok(), room >= whole.len());
            prop_assert_eq!(&out[..], &whole[..room.min(whole.len())]);
        }

        #[test]
        fn the_first_byte_to_escape_is_found(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let naive = text.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\'));
            prop_assert_eq!(to_escape(&text), naive);
        }
    }
}
