//! A piece of an entry of `reasoning_details`, with everything that stands in it.
//!
//! An entry goes back to its provider as it came, so a field that nobody here knows must not be lost, nor one that is
//! `null`. Fields of another type than expected count as absent, like everywhere in a chunk.
//! This file must not know how pieces become entries.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::chunk::Text;
use super::lenient::Key;

/// A piece of an entry of `reasoning_details`.
#[derive(Debug, Default)]
pub struct ReasoningPiece<'a> {
    /// `reasoning.text`, `reasoning.summary`, `reasoning.encrypted`, `reasoning.server_tool_call`.
    pub kind: Text<'a>,
    /// Of a text.
    pub text: Option<&'a RawValue>,
    /// Of a summary.
    pub summary: Option<&'a RawValue>,
    /// Of an encrypted entry.
    pub data: Text<'a>,
    /// Of a text.
    pub signature: Text<'a>,
    /// The entry's id.
    pub id: Text<'a>,
    /// The dialect.
    pub format: Text<'a>,
    /// The entry's index.
    pub index: Option<&'a RawValue>,
    /// Of a server tool's call.
    pub tool_name: Text<'a>,
    /// Of a server tool's call: JSON text or an object.
    pub arguments: Option<&'a RawValue>,
    /// What a server tool gave: a text, which is often JSON.
    pub result: Option<&'a RawValue>,
    /// Fields that are not known here, and known ones that are `null`, which is `None`.
    pub rest: Vec<(Text<'a>, Option<&'a RawValue>)>,
}

impl<'de: 'a, 'a> Deserialize<'de> for ReasoningPiece<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PieceVisitor)
    }
}

struct PieceVisitor;

impl<'de> Visitor<'de> for PieceVisitor {
    type Value = ReasoningPiece<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut piece = ReasoningPiece::default();
        while let Some(key) = map.next_key::<Key<'de>>()? {
            let text = match key.as_str() {
                "type" => Some(&mut piece.kind),
                "data" => Some(&mut piece.data),
                "signature" => Some(&mut piece.signature),
                "id" => Some(&mut piece.id),
                "format" => Some(&mut piece.format),
                "tool_name" => Some(&mut piece.tool_name),
                _ => None,
            };
            if let Some(text) = text {
                match map.next_value::<Option<Text<'de>>>()? {
                    Some(said) => *text = said,
                    None => piece.rest.push((key.into_text(), None)),
                }
                continue;
            }
            let said = map.next_value::<Option<&'de RawValue>>()?;
            match (key.as_str(), said) {
                ("text", Some(_)) => piece.text = said,
                ("summary", Some(_)) => piece.summary = said,
                ("index", Some(_)) => piece.index = said,
                ("arguments", Some(_)) => piece.arguments = said,
                ("result", Some(_)) => piece.result = said,
                _ => piece.rest.push((key.into_text(), said)),
            }
        }
        Ok(piece)
    }
}
