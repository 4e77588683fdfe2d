//! One chunk of a streamed chat completion, or a whole completion, borrowed from its bytes.
//!
//! Everything is optional and lenient: a field that has another type than expected counts as absent, because
//! upstreams differ and one odd field must not cost an answer. What is rare or passed on stays raw JSON.
//! This file must not know what Anthropic makes of it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::lenient::{Fault, Key, default_for_the_rest, read_by_fields};
pub use super::lenient::{Object, Text, for_each};
pub use super::reasoning_piece::ReasoningPiece;
use crate::protocol::json_text;
use crate::protocol::sse::without_mark;

/// A chunk, or a whole completion.
#[derive(Debug, Default)]
pub struct Chunk<'a> {
    /// `gen-…`.
    pub id: Text<'a>,
    /// The model really used.
    pub model: Text<'a>,
    /// Who ran it.
    pub provider: Text<'a>,
    /// Token counts and cost.
    pub usage: Option<&'a RawValue>,
    /// Something went wrong.
    pub error: Option<&'a RawValue>,
    /// One choice is asked for; more come from servers that do as they like.
    pub choices: Choices<'a>,
}

/// The choices of a chunk; none when it has another thing in their place.
#[derive(Debug, Default)]
pub struct Choices<'a> {
    /// The first one of index 0, or without an index.
    pub answer: Option<Choice<'a>>,
    /// Whether there are others.
    pub has_others: bool,
}

/// A choice.
#[derive(Debug, Default)]
pub struct Choice<'a> {
    /// Which of several answers it belongs to.
    pub index: Option<&'a RawValue>,
    /// What is new, in a chunk.
    pub delta: Option<Delta<'a>>,
    /// All there is, in a whole completion.
    pub message: Option<Delta<'a>>,
    /// Something went wrong for this choice.
    pub error: Option<&'a RawValue>,
    /// Why it ended, in OpenRouter's words.
    pub finish_reason: Text<'a>,
    /// Why it ended, in the provider's words.
    pub native_finish_reason: Text<'a>,
    /// Anthropic's reasons for a refusal, which some providers pass through.
    pub stop_details: Option<&'a RawValue>,
}

/// New or whole content.
#[derive(Clone, Debug, Default)]
pub struct Delta<'a> {
    /// A string or a list of parts.
    pub content: Option<&'a RawValue>,
    /// The thought as a string.
    pub reasoning: Option<&'a RawValue>,
    /// The same, as other servers call it.
    pub reasoning_content: Option<&'a RawValue>,
    /// The thought as a list of [`ReasoningPiece`].
    pub reasoning_details: Option<&'a RawValue>,
    /// The text of a refusal.
    pub refusal: Option<&'a RawValue>,
    /// A list of [`CallPiece`].
    pub tool_calls: Option<&'a RawValue>,
    /// The only call of servers that know no lists of them: a [`FunctionPiece`].
    pub function_call: Option<&'a RawValue>,
    /// A list of [`Annotation`].
    pub annotations: Option<&'a RawValue>,
    /// Images that the model drew.
    pub images: Option<&'a RawValue>,
}

/// A piece of a tool call.
#[derive(Debug, Default)]
pub struct CallPiece<'a> {
    /// Which of the parallel calls.
    pub index: Option<&'a RawValue>,
    /// The call's id.
    pub id: Text<'a>,
    /// Name and arguments.
    pub function: Option<FunctionPiece<'a>>,
}

/// The function of a [`CallPiece`].
#[derive(Debug, Default)]
pub struct FunctionPiece<'a> {
    /// Its name.
    pub name: Text<'a>,
    /// A piece of JSON text, or an object.
    pub arguments: Option<&'a RawValue>,
}

/// Something said about the text.
#[derive(Debug, Default)]
pub struct Annotation<'a> {
    /// A page that was found.
    pub url_citation: Option<UrlCitation<'a>>,
}

/// A page that a web search found.
#[derive(Debug, Default)]
pub struct UrlCitation<'a> {
    /// Its address.
    pub url: Text<'a>,
    /// Its title: raw, because titles and excerpts are cut anywhere, even inside a character.
    pub title: Option<&'a RawValue>,
    /// What it says.
    pub content: Option<&'a RawValue>,
}

/// A part of a content list.
#[derive(Debug, Default)]
struct Part<'a> {
    text: Option<&'a RawValue>,
}

/// An image that the model drew.
#[derive(Debug, Default)]
pub struct Image<'a> {
    /// Where it is.
    pub image_url: Option<ImageUrl<'a>>,
}

/// The address of an [`Image`].
#[derive(Debug, Default)]
pub struct ImageUrl<'a> {
    /// `https:` or `data:`.
    pub url: Text<'a>,
}

read_by_fields!(Chunk: id, model, provider, usage, error as Fault<'_>, choices);
read_by_fields!(Choice: index, delta as Object<_>, message as Object<_>, error as Fault<'_>, finish_reason,
    native_finish_reason, stop_details);
read_by_fields!(Delta: content, reasoning, reasoning_content, reasoning_details, refusal, tool_calls, function_call,
    annotations, images);
read_by_fields!(CallPiece: index, id, function as Object<_>);
read_by_fields!(FunctionPiece: name, arguments);
read_by_fields!(Annotation: url_citation as Object<_>);
read_by_fields!(UrlCitation: url, title, content);
read_by_fields!(Part: text);
read_by_fields!(Image: image_url as Object<_>);
read_by_fields!(ImageUrl: url);

/// Why a piece of the stream is not a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAChunk {
    /// JSON, but not an object: to be passed over.
    NotAnObject,
    /// Not JSON, or an object of another shape.
    Malformed,
}

impl<'a> Chunk<'a> {
    /// Reads a chunk.
    ///
    /// # Errors
    ///
    /// [`NotAChunk`].
    pub fn read(data: &'a [u8]) -> Result<Self, NotAChunk> {
        let data = without_mark(data);
        if data.trim_ascii_start().first() == Some(&b'{') {
            // Checked once, the text need not be checked string by string. What is no text may still be readable: nobody
            // looks into fields that are passed over.
            let read = match std::str::from_utf8(data) {
                Ok(text) => serde_json::from_str(text),
                Err(_) => serde_json::from_slice(data),
            };
            return read.map_err(|_| NotAChunk::Malformed);
        }
        match serde_json::from_slice::<IgnoredAny>(data) {
            Ok(_) => Err(NotAChunk::NotAnObject),
            Err(_) => Err(NotAChunk::Malformed),
        }
    }
}

/// The escaped text of a string, or of the texts in a list; what else is in the list is passed over.
#[must_use]
pub fn escaped_text(content: Option<&RawValue>) -> Cow<'_, str> {
    let Some(content) = content else {
        return Cow::Borrowed("");
    };
    if let Some(text) = json_text::body(content) {
        return Cow::Borrowed(text);
    }
    let mut joined = String::new();
    // Every element of a list is some JSON value: none can fail.
    let _ = for_each(Some(content), |part: &RawValue| {
        joined.push_str(text_of_part(part).unwrap_or_default());
    });
    Cow::Owned(joined)
}

fn text_of_part(part: &RawValue) -> Option<&str> {
    json_text::body(part).or_else(|| {
        let part: Part<'_> = serde_json::from_str(part.get()).ok()?;
        json_text::body(part.text?)
    })
}

impl Choice<'_> {
    fn is_of_another_answer(&self) -> bool {
        let index = self.index.and_then(|index| index.get().parse::<u64>().ok());
        index.is_some_and(|index| index > 0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Choices<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ChoicesVisitor)
    }
}

struct ChoicesVisitor;

impl<'de> Visitor<'de> for ChoicesVisitor {
    type Value = Choices<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut choices = Choices::default();
        while let Some(choice) = list.next_element::<Choice<'de>>()? {
            if choices.answer.is_some() || choice.is_of_another_answer() {
                choices.has_others = true;
            } else {
                choices.answer = Some(choice);
            }
        }
        Ok(choices)
    }

    default_for_the_rest!(Choices<'de>; string, map);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_object_where_one_belongs_costs_nothing_else() {
        for odd in ["\"\"", "null", "[]", "[1]", "7", "-7", "7.5", "true"] {
            let chunk = format!(r#"{{"choices":[{{"delta":{odd},"finish_reason":"stop"}}]}}"#);
            let chunk = Chunk::read(chunk.as_bytes()).unwrap();
            let choice = chunk.choices.answer.unwrap();
            assert!(choice.delta.is_none(), "{odd}");
            assert_eq!(choice.finish_reason.as_str(), "stop");

            let calls =
                format!(r#"[{odd},{{"id":"a","function":{odd}}},{{"function":{{"name":"A"}}}}]"#);
            let calls: &RawValue = serde_json::from_str(&calls).unwrap();
            let mut read = Vec::new();
            let all = for_each(Some(calls), |Object(piece): Object<CallPiece<'_>>| {
                read.extend(piece.map(|piece| {
                    let name = piece.function.map(|function| function.name);
                    let name = name.map(|name| name.as_str().to_owned());
                    (piece.id.as_str().to_owned(), name)
                }));
            });
            assert!(all.is_ok(), "{odd}");
            let expected = [
                ("a".to_owned(), None),
                (String::new(), Some("A".to_owned())),
            ];
            assert_eq!(read, expected, "{odd}");
        }
    }
}
