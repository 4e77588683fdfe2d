//! Content blocks: what messages are made of.

use std::borrow::Cow;

use super::change::{self, ToolChange};
use super::cursor::{Cursor, Kind, keep_name};
use super::inside::{inside, nested, summary, texts, wants_citations};
use super::invalid::InvalidRequest;
use super::options::{CacheControl, unknown_tag};
use super::raw::{Raw, RawStr};
use super::source::{AnySource, Document, SearchResult, Source};

type Parsed<T> = Result<T, InvalidRequest>;

/// The types that are read, as a refusal lists them.
pub(in crate::protocol) const EXPECTED: &str = "'text', 'image', 'document', 'search_result', 'thinking', 'redacted_thinking', 'tool_use', 'tool_result', 'tool_reference', 'server_tool_use', 'web_search_tool_result', 'web_fetch_tool_result', 'code_execution_tool_result', 'bash_code_execution_tool_result', 'text_editor_code_execution_tool_result', 'tool_search_tool_result', 'advisor_tool_result', 'mcp_tool_use', 'mcp_tool_result', 'mcp_tool_listing', 'container_upload', 'compaction', 'fallback', 'tool_addition', 'tool_removal', 'browser_state'";

/// What tools of Anthropic's servers, and MCP servers that they call, give.
const RESULTS: [&str; 8] = [
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
    "advisor_tool_result",
    "mcp_tool_result",
];

/// Blocks of which all fields are known.
const WRITTEN_BY_CLIENTS: [&str; 8] = [
    "text",
    "image",
    "document",
    "search_result",
    "thinking",
    "redacted_thinking",
    "tool_use",
    "tool_result",
];

/// A `text` block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextBlock<'a> {
    /// The text.
    pub text: RawStr<'a>,
    /// A cache breakpoint.
    pub cache: Option<CacheControl>,
}

/// A `tool_use` block, also of a server tool or of MCP.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolUse<'a> {
    /// The call's id.
    pub id: Cow<'a, str>,
    /// The tool's name.
    pub name: Cow<'a, str>,
    /// The tool's input, an object.
    pub input: Raw<'a>,
    /// A cache breakpoint.
    pub cache: Option<CacheControl>,
}

/// A `tool_result` block.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolResult<'a> {
    /// The id of the call that it answers.
    pub tool_use_id: Cow<'a, str>,
    /// What came out.
    pub content: Vec<Block<'a>>,
    /// Whether the tool failed.
    pub is_error: bool,
    /// A cache breakpoint.
    pub cache: Option<CacheControl>,
}

/// What a tool of Anthropic's servers, or an MCP server that they called, gave.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerResult<'a> {
    /// The block's type, such as `web_search_tool_result`.
    pub kind: Cow<'a, str>,
    /// The content in that type's own shape.
    pub content: Option<Raw<'a>>,
    /// The tool failed; only an MCP server's result says it here.
    pub is_error: bool,
    /// A cache breakpoint.
    pub cache: Option<CacheControl>,
}

/// A content block.
#[derive(Clone, Debug, PartialEq)]
pub enum Block<'a> {
    /// `text`.
    Text(TextBlock<'a>),
    /// `image`.
    Image(Source<'a>, Option<CacheControl>),
    /// `document`.
    Document(Box<Document<'a>>),
    /// `search_result`.
    SearchResult(Box<SearchResult<'a>>),
    /// `thinking`.
    Thinking {
        /// The text, often empty.
        text: RawStr<'a>,
        /// The signature; absent and empty are the same.
        signature: Option<Cow<'a, str>>,
    },
    /// `redacted_thinking`.
    RedactedThinking(Cow<'a, str>),
    /// `tool_use`.
    ToolUse(ToolUse<'a>),
    /// `tool_result`.
    ToolResult(ToolResult<'a>),
    /// `tool_reference`: a tool that a search has loaded.
    ToolReference(Cow<'a, str>),
    /// `server_tool_use`, `mcp_tool_use`.
    ServerToolUse(ToolUse<'a>),
    /// `…_tool_result` of a server tool.
    ServerResult(ServerResult<'a>),
    /// `compaction`: the summary that replaces what came before.
    Compaction(Option<TextBlock<'a>>),
    /// `tool_addition`, `tool_removal`.
    ToolChange(Box<ToolChange<'a>>),
    /// A block that means something to Anthropic's servers alone, by its type.
    Marker(Cow<'a, str>),
}

impl<'a> Block<'a> {
    /// Reads a string, which stands for one text block, or a list of blocks.
    pub(super) fn parse_content(cursor: &mut Cursor<'a>) -> Parsed<Vec<Self>> {
        if cursor.kind() == Kind::String {
            let text = cursor.string()?;
            return Ok(vec![Self::Text(TextBlock { text, cache: None })]);
        }
        cursor.list(Self::parse)
    }

    /// The block's type, as it is written.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Text(_) => "text",
            Self::Image(..) => "image",
            Self::Document(_) => "document",
            Self::SearchResult(_) => "search_result",
            Self::Thinking { .. } => "thinking",
            Self::RedactedThinking(_) => "redacted_thinking",
            Self::ToolUse(_) => "tool_use",
            Self::ToolResult(_) => "tool_result",
            Self::ToolReference(_) => "tool_reference",
            Self::ServerToolUse(_) => "server_tool_use",
            Self::ServerResult(result) => &result.kind,
            Self::Compaction(_) => "compaction",
            Self::ToolChange(change) => match change.as_ref() {
                ToolChange::Removed(_) => "tool_removal",
                ToolChange::Defined(_) | ToolChange::Added(_) => "tool_addition",
            },
            Self::Marker(kind) => kind,
        }
    }

    fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let mut fields = Fields::default();
        cursor.object(|cursor, key| fields.read(cursor, key))?;
        fields.set_aside(cursor);
        fields.into_block(cursor)
    }
}

/// Every field that a block can have; its `type` may stand behind them.
#[derive(Default)]
struct Fields<'a> {
    kind: Option<Cow<'a, str>>,
    text: Option<RawStr<'a>>,
    thinking: Option<RawStr<'a>>,
    signature: Option<Cow<'a, str>>,
    data: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    input: Option<Raw<'a>>,
    tool_use_id: Option<Cow<'a, str>>,
    content: Option<Raw<'a>>,
    /// The same, read as blocks.
    blocks: Option<Vec<Block<'a>>>,
    is_error: bool,
    source: Option<AnySource<'a>>,
    title: Option<RawStr<'a>>,
    context: Option<RawStr<'a>>,
    citations: bool,
    tool_name: Option<Cow<'a, str>>,
    tool: Option<Raw<'a>>,
    cache: Option<CacheControl>,
    /// The names of those that nobody knows.
    unknown: Vec<String>,
}

impl<'a> Fields<'a> {
    fn read(&mut self, cursor: &mut Cursor<'a>, key: &str) -> Parsed<()> {
        match key {
            "type" => self.kind = Some(cursor.text()?),
            "text" => self.text = Some(cursor.string()?),
            "thinking" => self.thinking = Some(cursor.string()?),
            "signature" => self.signature = cursor.nullable(Cursor::text)?,
            "data" => self.data = Some(cursor.text()?),
            "id" => self.id = Some(cursor.text()?),
            "name" => self.name = Some(cursor.text()?),
            "input" => self.input = cursor.nullable(Cursor::raw_object)?,
            "tool_use_id" => self.tool_use_id = Some(cursor.text()?),
            "content" => self.content = cursor.nullable(|cursor| self.content(cursor))?,
            "is_error" => self.is_error = cursor.nullable(Cursor::boolean)?.unwrap_or(false),
            "source" => self.source = Some(AnySource::parse(cursor)?),
            "title" => self.title = cursor.nullable(Cursor::string)?,
            "context" => self.context = cursor.nullable(Cursor::string)?,
            "citations" => self.citations = wants_citations(cursor)?,
            "tool_name" => self.tool_name = Some(cursor.text()?),
            "tool" => self.tool = Some(cursor.raw()?),
            "cache_control" => self.cache = cursor.nullable(CacheControl::parse)?,
            "transformations" | "toolset_name" | "caller" => aside(cursor, key)?,
            other => {
                if cursor.nullable(Cursor::skip)?.is_some() {
                    keep_name(&mut self.unknown, other);
                }
            }
        }
        Ok(())
    }

    /// Remembers fields that nobody knows. What only Anthropic's servers make has fields that are told in words.
    fn set_aside(&self, cursor: &mut Cursor<'a>) {
        let kind = self.kind.as_deref().unwrap_or_default();
        if WRITTEN_BY_CLIENTS.contains(&kind) {
            for key in &self.unknown {
                cursor.aside_unknown(kind, key);
            }
        }
    }

    /// Reads what came out of a tool at once when the type says that it is that: most of a long conversation is.
    fn content(&mut self, cursor: &mut Cursor<'a>) -> Parsed<Raw<'a>> {
        self.blocks = None;
        if self.kind.as_deref() != Some("tool_result") {
            return cursor.raw();
        }
        cursor.raw_with(|cursor| {
            self.blocks = Some(nested(cursor)?);
            Ok(())
        })
    }

    fn into_block(self, cursor: &mut Cursor<'a>) -> Parsed<Block<'a>> {
        let kind = needed(self.kind, "type")?;
        Ok(match kind.as_ref() {
            "text" => Block::Text(TextBlock {
                text: needed(self.text, "text")?,
                cache: self.cache,
            }),
            "thinking" => Block::Thinking {
                text: needed(self.thinking, "thinking")?,
                signature: self.signature.filter(|signature| !signature.is_empty()),
            },
            "redacted_thinking" => Block::RedactedThinking(needed(self.data, "data")?),
            "tool_use" => Block::ToolUse(tool_use(self.id, self.name, self.input, self.cache)?),
            "server_tool_use" | "mcp_tool_use" => {
                Block::ServerToolUse(tool_use(self.id, self.name, self.input, self.cache)?)
            }
            "tool_result" => Block::ToolResult(ToolResult {
                tool_use_id: needed(self.tool_use_id, "tool_use_id")?,
                content: match (self.blocks, self.content) {
                    (Some(blocks), Some(_)) => blocks,
                    (None, Some(content)) => inside(content, "content", cursor, nested)?,
                    (_, None) => Vec::new(),
                },
                is_error: self.is_error,
                cache: self.cache,
            }),
            "tool_reference" => Block::ToolReference(needed(self.tool_name, "tool_name")?),
            "image" => Block::Image(needed(self.source, "source")?.image()?, self.cache),
            "document" => Block::Document(Box::new(Document {
                source: needed(self.source, "source")?.document()?,
                title: self.title,
                context: self.context,
                citations: self.citations,
                cache: self.cache,
            })),
            "search_result" => Block::SearchResult(Box::new(SearchResult {
                title: needed(self.title, "title")?,
                source: needed(self.source, "source")?.name()?,
                content: texts(needed(self.content, "content")?, cursor)?,
                citations: self.citations,
                cache: self.cache,
            })),
            "compaction" => Block::Compaction(match self.content {
                Some(content) => Some(summary(content, self.cache)?),
                None => None,
            }),
            "tool_addition" | "tool_removal" => {
                change::parse(kind, needed(self.tool, "tool")?, cursor)?
            }
            "mcp_tool_listing" | "container_upload" | "fallback" | "browser_state" => {
                Block::Marker(kind)
            }
            result if RESULTS.contains(&result) => Block::ServerResult(ServerResult {
                content: self.content,
                is_error: self.is_error,
                cache: self.cache,
                kind,
            }),
            other => return Err(unknown_tag(other, EXPECTED)),
        })
    }
}

fn needed<T>(value: Option<T>, field: &str) -> Parsed<T> {
    value.ok_or_else(|| InvalidRequest::missing(field))
}

fn tool_use<'a>(
    id: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    input: Option<Raw<'a>>,
    cache: Option<CacheControl>,
) -> Parsed<ToolUse<'a>> {
    Ok(ToolUse {
        id: needed(id, "id")?,
        name: needed(name, "name")?,
        input: input.unwrap_or(Raw::EMPTY_OBJECT),
        cache,
    })
}

/// Notes what a block says to Anthropic's servers alone. That the model itself called a tool says nothing.
fn aside(cursor: &mut Cursor<'_>, key: &str) -> Parsed<()> {
    let (field, unsaid) = match key {
        "transformations" => ("transformations", "{}"),
        "toolset_name" => ("toolset_name", "null"),
        _ => ("caller", r#"{"type":"direct"}"#),
    };
    let value = cursor.raw()?;
    let said = value
        .as_str()
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace());
    if value.as_str() != "null" && !said.eq(unsaid.bytes()) {
        cursor.aside(field);
    }
    Ok(())
}
