//! Tools: what the model may call, and how it must choose.

use std::borrow::Cow;

use super::cursor::{Cursor, keep_name};
use super::invalid::InvalidRequest;
use super::options::{CacheControl, unknown_tag};
use super::raw::{Raw, RawStr};

type Parsed<T> = Result<T, InvalidRequest>;

/// A tool in the request.
#[derive(Clone, Debug, PartialEq)]
pub enum Tool<'a> {
    /// One with a schema of the client's own.
    Custom(CustomTool<'a>),
    /// One that Anthropic defines, run by the client or by Anthropic's servers.
    Server(Box<ServerTool<'a>>),
}

impl Tool<'_> {
    /// The name under which the model calls it; toolsets have none.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Custom(tool) => Some(&tool.name),
            Self::Server(tool) => tool.name.as_deref(),
        }
    }
}

/// A tool with a schema of the client's own.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomTool<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// What it does.
    pub description: Option<RawStr<'a>>,
    /// The JSON Schema of its input, an object.
    pub schema: Raw<'a>,
    /// Whether the schema says `type`.
    pub schema_has_type: bool,
    /// Whether the schema says `properties`.
    pub schema_has_properties: bool,
    /// Whether the schema's top is a choice or a sum of others, which no provider takes there.
    pub schema_is_combined: bool,
    /// Whether calls must follow the schema exactly.
    pub strict: bool,
    /// A cache breakpoint.
    pub cache: Option<CacheControl>,
}

/// A tool that Anthropic defines.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerTool<'a> {
    /// Its type with the date, such as `web_search_20250305`.
    pub kind: Cow<'a, str>,
    /// Its name.
    pub name: Option<Cow<'a, str>>,
    /// `max_uses`.
    pub max_uses: Option<u64>,
    /// `allowed_domains`, a list.
    pub allowed_domains: Option<Raw<'a>>,
    /// `blocked_domains`, a list.
    pub blocked_domains: Option<Raw<'a>>,
    /// `user_location`, an object.
    pub user_location: Option<Raw<'a>>,
    /// `max_content_tokens`.
    pub max_content_tokens: Option<u64>,
    /// The width and height of a screen.
    pub display: Option<(u64, u64)>,
    /// Whether the client can show parts of the screen.
    pub zoom: bool,
    /// A cache breakpoint.
    pub cache: Option<CacheControl>,
}

/// `tool_choice`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolChoice<'a> {
    /// How the model must choose.
    pub mode: ChoiceMode<'a>,
    /// `disable_parallel_tool_use`.
    pub one_at_a_time: bool,
}

/// `tool_choice.type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChoiceMode<'a> {
    /// As it likes.
    Auto,
    /// Some tool.
    Any,
    /// This tool.
    Tool(Cow<'a, str>),
    /// No tool.
    None,
}

impl<'a> ToolChoice<'a> {
    pub(super) fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let mut kind = None;
        let mut name = None;
        let mut one_at_a_time = false;
        cursor.object(|cursor, key| {
            match key.as_ref() {
                "type" => kind = Some(cursor.text()?),
                "name" => name = cursor.nullable(Cursor::text)?,
                "disable_parallel_tool_use" => {
                    one_at_a_time = cursor.nullable(Cursor::boolean)?.unwrap_or(false);
                }
                other => cursor.unknown("tool_choice", other)?,
            }
            Ok(())
        })?;
        let kind = kind.ok_or_else(|| InvalidRequest::missing("type"))?;
        let mode = match kind.as_ref() {
            "auto" => ChoiceMode::Auto,
            "any" => ChoiceMode::Any,
            "none" => ChoiceMode::None,
            "tool" => ChoiceMode::Tool(name.ok_or_else(|| InvalidRequest::missing("name"))?),
            other => return Err(unknown_tag(other, "'auto', 'any', 'tool', 'none'")),
        };
        Ok(Self {
            mode,
            one_at_a_time,
        })
    }
}

/// Fields that are known and that no other API has, each with the value that asks for nothing.
const SET_ASIDE: [(&str, &str); 6] = [
    ("display_number", "null"),
    ("input_examples", "[]"),
    ("max_characters", "null"),
    ("response_inclusion", r#""full""#),
    ("url_sources", "{}"),
    ("use_cache", "true"),
];

/// The type of the computer tool whose client may be asked for parts of the screen.
pub(in crate::protocol) const ZOOMS: &str = "computer_20251124";

/// Every field of a tool that is looked at; its `type` may stand behind them.
#[derive(Default)]
struct Fields<'a> {
    kind: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    description: Option<RawStr<'a>>,
    schema: Option<Schema<'a>>,
    strict: bool,
    cache: Option<CacheControl>,
    max_uses: Option<u64>,
    allowed_domains: Option<Raw<'a>>,
    blocked_domains: Option<Raw<'a>>,
    user_location: Option<Raw<'a>>,
    max_content_tokens: Option<u64>,
    width: Option<u64>,
    height: Option<u64>,
    zoom: bool,
    /// The names of those that nobody knows.
    unknown: Vec<String>,
}

struct Schema<'a> {
    text: Raw<'a>,
    has_type: bool,
    has_properties: bool,
    is_combined: bool,
}

impl<'a> Tool<'a> {
    pub(super) fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let mut fields = Fields::default();
        cursor.object(|cursor, key| fields.read(cursor, key))?;
        fields.set_aside(cursor);
        match fields.kind.as_deref() {
            None | Some("custom") => fields.custom().map(Tool::Custom),
            Some(_) => Ok(Tool::Server(Box::new(fields.server()))),
        }
    }
}

impl<'a> Fields<'a> {
    fn read(&mut self, cursor: &mut Cursor<'a>, key: &str) -> Parsed<()> {
        match key {
            "type" => self.kind = cursor.nullable(Cursor::text)?,
            "name" => self.name = cursor.nullable(Cursor::text)?,
            "description" => self.description = cursor.nullable(Cursor::string)?,
            "input_schema" => self.schema = cursor.nullable(Schema::parse)?,
            "strict" => self.strict = cursor.nullable(Cursor::boolean)?.unwrap_or(false),
            "cache_control" => self.cache = cursor.nullable(CacheControl::parse)?,
            "max_uses" => self.max_uses = cursor.nullable(Cursor::integer)?,
            "allowed_domains" => self.allowed_domains = cursor.nullable(domains)?,
            "blocked_domains" => self.blocked_domains = cursor.nullable(domains)?,
            "user_location" => self.user_location = cursor.nullable(Cursor::raw_object)?,
            "max_content_tokens" => self.max_content_tokens = cursor.nullable(Cursor::integer)?,
            "display_width_px" => self.width = cursor.nullable(Cursor::integer)?,
            "display_height_px" => self.height = cursor.nullable(Cursor::integer)?,
            "enable_zoom" => self.zoom = cursor.nullable(Cursor::boolean)?.unwrap_or(false),
            "allowed_callers" => callers(cursor)?,
            // What a tool search would have to find is there.
            "defer_loading" => cursor.skip()?,
            "eager_input_streaming" => {
                if cursor.nullable(Cursor::boolean)? == Some(true) {
                    cursor.aside("eager_input_streaming");
                }
            }
            "citations" => {
                if super::inside::wants_citations(cursor)? {
                    cursor.aside("web_fetch.citations");
                }
            }
            other => {
                let value = cursor.raw()?.as_str();
                match SET_ASIDE.iter().find(|(name, _)| *name == other) {
                    _ if matches!(value, "null" | "[]") => {}
                    Some((_, default)) if is_just(value, default) => {}
                    Some((name, _)) => cursor.aside(*name),
                    None => keep_name(&mut self.unknown, other),
                }
            }
        }
        Ok(())
    }

    /// Remembers what is not heeded, now that the type is known. Of the advisor nothing is.
    fn set_aside(&self, cursor: &mut Cursor<'a>) {
        let kind = self.kind.as_deref().unwrap_or_default();
        if self.zoom && kind != ZOOMS {
            cursor.aside("enable_zoom");
        }
        if !kind.starts_with("advisor_") {
            for key in &self.unknown {
                cursor.aside_unknown("tools.*", key);
            }
        }
    }

    fn custom(self) -> Parsed<CustomTool<'a>> {
        let name = self.name.ok_or_else(|| InvalidRequest::missing("name"))?;
        if name.is_empty() {
            return Err(InvalidRequest::at(
                "name",
                "String should have at least 1 character",
            ));
        }
        let schema = self
            .schema
            .ok_or_else(|| InvalidRequest::missing("input_schema"))?;
        Ok(CustomTool {
            name,
            description: self.description,
            schema: schema.text,
            schema_has_type: schema.has_type,
            schema_has_properties: schema.has_properties,
            schema_is_combined: schema.is_combined,
            strict: self.strict,
            cache: self.cache,
        })
    }

    fn server(self) -> ServerTool<'a> {
        ServerTool {
            kind: self.kind.unwrap_or_default(),
            name: self.name,
            max_uses: self.max_uses,
            allowed_domains: self.allowed_domains,
            blocked_domains: self.blocked_domains,
            user_location: self.user_location,
            max_content_tokens: self.max_content_tokens,
            display: self.width.zip(self.height),
            zoom: self.zoom,
            cache: self.cache,
        }
    }
}

impl<'a> Schema<'a> {
    fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let mut has_type = false;
        let mut has_properties = false;
        let mut is_combined = false;
        let text = cursor.raw_with(|cursor| {
            cursor.object(|cursor, key| {
                match key.as_ref() {
                    "type" => {
                        has_type = true;
                        super::options::one_of(cursor, &[("object", ())])?;
                    }
                    "properties" => {
                        has_properties = true;
                        cursor.raw_object()?;
                    }
                    "anyOf" | "oneOf" | "allOf" => {
                        is_combined = true;
                        cursor.skip()?;
                    }
                    _ => cursor.skip()?,
                }
                Ok(())
            })
        })?;
        Ok(Self {
            text,
            has_type,
            has_properties,
            is_combined,
        })
    }
}

/// Whether a value is this one, whatever white space is in it.
fn is_just(value: &str, plain: &str) -> bool {
    let said = value.bytes().filter(|byte| !byte.is_ascii_whitespace());
    said.eq(plain.bytes())
}

/// Whoever else may call a tool, it is offered; a tool that the model itself may not call is worth a note.
fn callers(cursor: &mut Cursor<'_>) -> Parsed<()> {
    let callers = cursor
        .nullable(|cursor| cursor.list(Cursor::text))?
        .unwrap_or_default();
    if !callers.is_empty() && callers.iter().all(|caller| caller != "direct") {
        cursor.aside("allowed_callers");
    }
    Ok(())
}

fn domains<'a>(cursor: &mut Cursor<'a>) -> Parsed<Raw<'a>> {
    cursor.raw_with(|cursor| cursor.array(|cursor, _| cursor.string().map(drop)))
}
