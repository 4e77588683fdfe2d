//! The whole body: its top level, read in one pass.

use std::borrow::Cow;

use super::block::{Block, TextBlock};
use super::check;
use super::cursor::{Cursor, Kind, keep_name};
use super::edits::{self, Edit};
use super::invalid::InvalidRequest;
use super::message::Message;
use super::options::{CacheControl, Display, Format, OutputConfig, Thinking, one_of};
use super::passed::AnthropicsOwn;
use super::raw::Raw;
use super::tool::{Tool, ToolChoice};

type Parsed<T> = Result<T, InvalidRequest>;

/// The bytes of all stop sequences together.
pub(super) const LONGEST_STOPS: usize = 64 << 10;

/// A Messages request, borrowed from the text of its body.
#[derive(Clone, Debug, Default, yoke::Yokeable)]
pub struct Request<'a> {
    /// The model asked for, as written.
    pub model: Cow<'a, str>,
    /// The limit on output tokens; 0 in a request to count tokens, which has none.
    pub max_tokens: u64,
    /// Whether the answer shall be streamed.
    pub stream: bool,
    /// The conversation.
    pub messages: Vec<Message<'a>>,
    /// The system prompt. A string is one block.
    pub system: Vec<TextBlock<'a>>,
    /// What the model may call.
    pub tools: Vec<Tool<'a>>,
    /// How it must choose.
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Whether it shall reason.
    pub thinking: Option<Thinking>,
    /// What the client wants to see of it.
    pub thinking_display: Display,
    /// Effort and form of the answer.
    pub output_config: OutputConfig<'a>,
    /// Texts that end the answer.
    pub stop_sequences: Vec<Cow<'a, str>>,
    /// `temperature`, 0 to 1.
    pub temperature: Option<f64>,
    /// `top_p`, 0 to 1.
    pub top_p: Option<f64>,
    /// `top_k`.
    pub top_k: Option<u64>,
    /// `metadata.user_id`.
    pub user_id: Option<Cow<'a, str>>,
    /// `service_tier: standard_only`.
    pub standard_tier_only: bool,
    /// `speed: fast`.
    pub fast: bool,
    /// A cache breakpoint at the end of the prompt, wherever that is.
    pub cache: Option<CacheControl>,
    /// Models to fall back to.
    pub fallbacks: Vec<Cow<'a, str>>,
    /// OpenRouter's `provider` as the client wrote it, `null` included.
    pub provider: Option<Raw<'a>>,
    /// What to clear from the conversation before it is sent.
    pub edits: Vec<Edit<'a>>,
    /// Fields that are known and mean something to Anthropic's servers alone.
    pub set_aside: Vec<Cow<'static, str>>,
    /// Why a host that keeps no conversations cannot serve it; only read of a body that is passed on.
    pub lost_thread: Option<InvalidRequest>,
    /// What is meant for Anthropic's own API alone; only read of a body that is passed on.
    pub anthropics_own: Vec<AnthropicsOwn>,
    /// The length of the body's text.
    pub body_len: usize,
    /// The names of fields that nobody knows yet.
    pub unknown: Vec<String>,
}

/// What is wrong with a second `model`.
pub(super) const TWICE: &str = "It is given twice";

/// Fields that a translating gateway can only leave out; some carry local paths, so their values are not even kept.
const SET_ASIDE: [&str; 10] = [
    "betas",
    "billing_policy",
    "compaction",
    "diagnostics",
    "fallback_credit_token",
    "inference_geo",
    "prediction",
    "safeguards",
    "user_profile_id",
    "workspace_id",
];

impl<'a> Request<'a> {
    /// Reads the body of `POST /v1/messages` and checks that its parts fit together.
    ///
    /// # Errors
    /// When it is not such a body, or asks for what no chat model behind another API can do.
    pub fn parse(body: &'a str) -> Result<Self, InvalidRequest> {
        let mut seen = Seen::default();
        let request = Self::read(body, &mut seen)?;
        match seen.max_tokens {
            None => return Err(InvalidRequest::missing("max_tokens")),
            // Anthropic takes 0 to warm a cache; no other API can answer nothing.
            Some(0) => {
                return Err(InvalidRequest::at(
                    "max_tokens",
                    "Input should be greater than or equal to 1",
                ));
            }
            Some(_) => {}
        }
        Ok(request)
    }

    /// Reads the body of `POST /v1/messages/count_tokens`, which has neither `max_tokens` nor `stream`.
    ///
    /// # Errors
    /// When it is not such a body.
    pub fn parse_for_count(body: &'a str) -> Result<Self, InvalidRequest> {
        let mut seen = Seen::default();
        let mut request = Self::read(body, &mut seen)?;
        request.max_tokens = 0;
        request.stream = false;
        Ok(request)
    }

    /// Gives the conversation's id: Claude Code writes it into `metadata.user_id`, as JSON or between underscores.
    /// What others write there is taken as it is.
    #[must_use]
    pub fn session_id(&self) -> Option<Cow<'_, str>> {
        let user_id = self.user_id.as_deref()?;
        if let Some(session) = identity(user_id).session_id {
            return Some(Cow::Owned(session));
        }
        match user_id.rsplit_once("_session_") {
            Some((_, session)) if !session.is_empty() => Some(Cow::Borrowed(session)),
            _ if user_id.is_empty() || user_id.starts_with('{') => None,
            _ => Some(Cow::Borrowed(user_id)),
        }
    }

    /// Gives the client's own wish which of OpenRouter's hosts may answer; `null` is none.
    #[must_use]
    pub fn own_provider(&self) -> Option<Raw<'a>> {
        self.provider.filter(|provider| provider.as_str() != "null")
    }

    /// Gives an opaque name of the end user, the same in all their sessions, from which nobody learns who they are.
    #[must_use]
    pub fn end_user(&self) -> Option<String> {
        let user_id = self.user_id.as_deref().filter(|id| !id.is_empty())?;
        let identity = identity(user_id);
        let person = match (identity.account_uuid, identity.device_id) {
            (Some(account), _) if !account.is_empty() => account,
            (_, Some(device)) => device,
            _ => user_id
                .rsplit_once("_session_")
                .map_or(user_id, |(person, _)| person)
                .to_owned(),
        };
        Some(
            blake3::hash(person.as_bytes())
                .to_hex()
                .chars()
                .take(32)
                .collect(),
        )
    }

    fn read(body: &'a str, seen: &mut Seen<'a>) -> Parsed<Self> {
        let mut request = Self {
            body_len: body.len(),
            ..Self::default()
        };
        let mut cursor = Cursor::new(body);
        cursor
            .object(|cursor, key| request.field(seen, cursor, key))
            .and_then(|()| {
                request.set_aside = cursor.take_asides();
                let format = &mut request.output_config.format;
                *format = format.or(seen.output_format);
                cursor.finish()
            })
            .and_then(|()| seen.complete())
            .and_then(|()| check::together(&request))
            .map_err(InvalidRequest::of_body)?;
        Ok(request)
    }

    fn field(&mut self, seen: &mut Seen<'a>, cursor: &mut Cursor<'a>, key: &str) -> Parsed<()> {
        match key {
            // The first one decides where the request goes.
            "model" if seen.model => return Err(InvalidRequest::here(TWICE)),
            "model" => {
                self.model = cursor.text()?;
                seen.model = true;
            }
            "messages" => {
                self.messages = cursor.list(Message::parse)?;
                seen.messages = true;
            }
            "max_tokens" => {
                seen.max_tokens = cursor.nullable(Cursor::integer)?;
                self.max_tokens = seen.max_tokens.unwrap_or_default();
            }
            "stream" => self.stream = cursor.nullable(Cursor::boolean)?.unwrap_or(false),
            "system" => self.system = cursor.nullable(system)?.unwrap_or_default(),
            "tools" => {
                self.tools = cursor
                    .nullable(|cursor| cursor.list(Tool::parse))?
                    .unwrap_or_default();
            }
            "tool_choice" => self.tool_choice = cursor.nullable(ToolChoice::parse)?,
            "thinking" => {
                let (thinking, display) = cursor.nullable(Thinking::parse)?.unzip();
                self.thinking = thinking;
                self.thinking_display = display.unwrap_or_default();
            }
            "output_config" => {
                self.output_config = cursor.nullable(OutputConfig::parse)?.unwrap_or_default();
            }
            "output_format" => seen.output_format = cursor.nullable(Format::parse)?,
            _ => return self.rare_field(cursor, key),
        }
        Ok(())
    }

    fn rare_field(&mut self, cursor: &mut Cursor<'a>, key: &str) -> Parsed<()> {
        match key {
            "stop_sequences" => {
                self.stop_sequences = cursor.nullable(stop_sequences)?.unwrap_or_default();
            }
            "temperature" => self.temperature = cursor.nullable(share)?,
            "top_p" => self.top_p = cursor.nullable(share)?,
            "top_k" => self.top_k = cursor.nullable(Cursor::integer)?,
            "metadata" => self.user_id = cursor.nullable(user_id)?.flatten(),
            "service_tier" => {
                let tiers = [("auto", false), ("standard_only", true)];
                self.standard_tier_only = cursor
                    .nullable(|cursor| one_of(cursor, &tiers))?
                    .unwrap_or(false);
            }
            "speed" => {
                let speeds = [("fast", true), ("standard", false)];
                self.fast = cursor
                    .nullable(|cursor| one_of(cursor, &speeds))?
                    .unwrap_or(false);
            }
            "cache_control" => self.cache = cursor.nullable(CacheControl::parse)?,
            "context_management" => {
                self.edits = cursor.nullable(edits::parse)?.unwrap_or_default();
            }
            "provider" => {
                self.provider = Some(match cursor.kind() {
                    Kind::Null => cursor.raw()?,
                    _ => cursor.raw_object()?,
                });
            }
            "fallbacks" => self.fallbacks = cursor.nullable(fallbacks)?.unwrap_or_default(),
            "mcp_servers" | "container" => check::absent(cursor, key)?,
            "thread" => {
                if check::begins_a_thread(cursor.raw()?)? {
                    cursor.aside("thread");
                }
            }
            known => match SET_ASIDE.iter().find(|name| **name == known) {
                Some(name) => {
                    if cursor.nullable(Cursor::skip)?.is_some() {
                        cursor.aside(*name);
                    }
                }
                None => {
                    cursor.skip()?;
                    keep_name(&mut self.unknown, key);
                }
            },
        }
        Ok(())
    }
}

/// Which of the compulsory fields were there, and what only counts where another field says nothing.
#[derive(Default)]
struct Seen<'a> {
    model: bool,
    messages: bool,
    max_tokens: Option<u64>,
    output_format: Option<Format<'a>>,
}

impl Seen<'_> {
    fn complete(&self) -> Parsed<()> {
        for (there, field) in [(self.model, "model"), (self.messages, "messages")] {
            if !there {
                return Err(InvalidRequest::missing(field));
            }
        }
        Ok(())
    }
}

/// What Claude Code puts as JSON into `metadata.user_id`.
#[derive(Default, serde::Deserialize)]
struct Identity {
    session_id: Option<String>,
    account_uuid: Option<String>,
    device_id: Option<String>,
}

fn identity(user_id: &str) -> Identity {
    if !user_id.starts_with('{') {
        return Identity::default();
    }
    let identity: Identity = serde_json::from_str(user_id).unwrap_or_default();
    Identity {
        session_id: identity.session_id.filter(|id| !id.is_empty()),
        ..identity
    }
}

fn system<'a>(cursor: &mut Cursor<'a>) -> Parsed<Vec<TextBlock<'a>>> {
    if !matches!(cursor.kind(), Kind::String | Kind::Array) {
        cursor.skip()?;
        return Err(InvalidRequest::here(
            "Input should be a valid string or list",
        ));
    }
    let mut texts = Vec::new();
    for (index, block) in Block::parse_content(cursor)?.into_iter().enumerate() {
        match block {
            Block::Text(text) => texts.push(text),
            other => {
                let fault = super::options::unknown_tag(other.kind(), "'text'");
                return Err(fault.within(index));
            }
        }
    }
    Ok(texts)
}

/// Stop sequences: every piece of an answer is searched for them.
fn stop_sequences<'a>(cursor: &mut Cursor<'a>) -> Parsed<Vec<Cow<'a, str>>> {
    let mut sequences = Vec::new();
    let mut bytes = 0;
    cursor.array(|cursor, _| {
        let sequence = cursor.text()?;
        bytes += sequence.len();
        if bytes > LONGEST_STOPS {
            let message = "the sequences have more than 64 KB together; give fewer or shorter ones";
            return Err(InvalidRequest::here(message));
        }
        sequences.push(sequence);
        Ok(())
    })?;
    Ok(sequences)
}

fn share(cursor: &mut Cursor<'_>) -> Parsed<f64> {
    let number = cursor.number()?;
    if number < 0.0 {
        return Err(InvalidRequest::here(
            "Input should be greater than or equal to 0",
        ));
    }
    if number > 1.0 {
        return Err(InvalidRequest::here(
            "Input should be less than or equal to 1",
        ));
    }
    Ok(number)
}

pub(super) fn user_id<'a>(cursor: &mut Cursor<'a>) -> Parsed<Option<Cow<'a, str>>> {
    let mut user_id = None;
    cursor.object(|cursor, key| {
        match key.as_ref() {
            "user_id" => user_id = cursor.nullable(Cursor::text)?,
            other => cursor.unknown("metadata", other)?,
        }
        Ok(())
    })?;
    Ok(user_id)
}

fn fallbacks<'a>(cursor: &mut Cursor<'a>) -> Parsed<Vec<Cow<'a, str>>> {
    if cursor.kind() == Kind::String {
        // "default" asks for Anthropic's own list.
        cursor.skip()?;
        cursor.aside("fallbacks");
        return Ok(Vec::new());
    }
    cursor.list(|cursor| {
        let mut model = None;
        cursor.object(|cursor, key| {
            match key.as_ref() {
                "model" => model = Some(cursor.text()?),
                "max_tokens" | "output_config" | "speed" | "thinking" => {
                    if cursor.nullable(Cursor::raw)?.is_some() {
                        cursor.aside("fallbacks.*.max_tokens, output_config, speed, thinking");
                    }
                }
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        model.ok_or_else(|| InvalidRequest::missing("model"))
    })
}
