//! How the model shall think, answer and cache: the small settings of a request.

use super::cursor::Cursor;
use super::invalid::InvalidRequest;
use super::raw::{Raw, RawStr};

type Parsed<T> = Result<T, InvalidRequest>;

/// How long a prompt cache entry lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// Five minutes, the default.
    FiveMinutes,
    /// One hour.
    OneHour,
}

/// A cache breakpoint: everything up to here may be read from a cache next time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheControl {
    /// The lifetime, if the client says.
    pub ttl: Option<Ttl>,
}

impl CacheControl {
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        let mut kind = None;
        let mut ttl = None;
        cursor.object(|cursor, key| {
            match key.as_ref() {
                "type" => kind = Some(one_of(cursor, &[("ephemeral", ())])?),
                "ttl" => {
                    let lifetimes = [("5m", Ttl::FiveMinutes), ("1h", Ttl::OneHour)];
                    ttl = cursor.nullable(|cursor| one_of(cursor, &lifetimes))?;
                }
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        kind.ok_or_else(|| InvalidRequest::missing("type"))?;
        Ok(Self { ttl })
    }
}

/// `thinking`: whether the model shall reason before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thinking {
    /// With a budget in tokens.
    Enabled {
        /// `budget_tokens`.
        budget_tokens: u64,
    },
    /// As much as the model finds right.
    Adaptive,
    /// Between tool calls only.
    BetweenTools,
    /// Not at all.
    Disabled,
}

/// What the client wants to see of the model's thinking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Display {
    /// Its text, or a summary of it.
    #[default]
    Shown,
    /// Only that there was some: empty blocks with signatures.
    Omitted,
}

impl Display {
    /// Claude Code asks for `updates`, of which a text that comes piece by piece is one.
    const ALL: [(&'static str, Self); 3] = [
        ("summarized", Self::Shown),
        ("updates", Self::Shown),
        ("omitted", Self::Omitted),
    ];
}

impl Thinking {
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Parsed<(Self, Display)> {
        let mut kind = None;
        let mut budget = None;
        let mut display = Display::default();
        cursor.object(|cursor, key| {
            match key.as_ref() {
                "type" => kind = Some(cursor.text()?),
                "display" => {
                    let wish = cursor.nullable(|cursor| one_of(cursor, &Display::ALL))?;
                    display = wish.unwrap_or_default();
                }
                "budget_tokens" => budget = cursor.nullable(Cursor::integer)?,
                other => cursor.unknown("thinking", other)?,
            }
            Ok(())
        })?;
        let kind = kind.ok_or_else(|| InvalidRequest::missing("type"))?;
        let thinking = match kind.as_ref() {
            "adaptive" => Ok(Self::Adaptive),
            "between_tools" => Ok(Self::BetweenTools),
            "disabled" => Ok(Self::Disabled),
            "enabled" => match budget {
                Some(budget_tokens) if budget_tokens >= 1024 => Ok(Self::Enabled { budget_tokens }),
                Some(_) => Err(InvalidRequest::at(
                    "budget_tokens",
                    "Input should be greater than or equal to 1024",
                )),
                None => Err(InvalidRequest::missing("budget_tokens")),
            },
            other => Err(unknown_tag(
                other,
                "'enabled', 'disabled', 'adaptive', 'between_tools'",
            )),
        };
        thinking.map(|thinking| (thinking, display))
    }
}

/// `output_config.effort`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// `low`.
    Low,
    /// `medium`.
    Medium,
    /// `high`.
    High,
    /// `xhigh`.
    Xhigh,
    /// `max`.
    Max,
}

impl Effort {
    const ALL: [(&'static str, Self); 5] = [
        ("low", Self::Low),
        ("medium", Self::Medium),
        ("high", Self::High),
        ("xhigh", Self::Xhigh),
        ("max", Self::Max),
    ];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
        }
    }
}

/// The form that the answer must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format<'a> {
    /// The JSON Schema.
    pub schema: Raw<'a>,
    /// Its name, if the client gives one.
    pub name: Option<RawStr<'a>>,
}

impl<'a> Format<'a> {
    pub(super) fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let mut kind = None;
        let mut schema = None;
        let mut name = None;
        cursor.object(|cursor, key| {
            match key.as_ref() {
                "type" => kind = Some(one_of(cursor, &[("json_schema", ())])?),
                "schema" => schema = Some(cursor.raw_object()?),
                "name" => name = cursor.nullable(Cursor::string)?,
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        kind.ok_or_else(|| InvalidRequest::missing("type"))?;
        Ok(Self {
            schema: schema.ok_or_else(|| InvalidRequest::missing("schema"))?,
            name,
        })
    }
}

/// `output_config`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputConfig<'a> {
    /// How hard the model shall work.
    pub effort: Option<Effort>,
    /// The form that the answer must have.
    pub format: Option<Format<'a>>,
    /// Whether a budget for a whole task was given, which only Anthropic knows.
    pub task_budget: bool,
}

impl<'a> OutputConfig<'a> {
    pub(super) fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let mut config = Self::default();
        cursor.object(|cursor, key| {
            match key.as_ref() {
                "effort" => {
                    config.effort = cursor.nullable(|cursor| one_of(cursor, &Effort::ALL))?;
                }
                "format" => config.format = cursor.nullable(Format::parse)?,
                "task_budget" => config.task_budget = cursor.nullable(Cursor::raw)?.is_some(),
                other => cursor.unknown("output_config", other)?,
            }
            Ok(())
        })?;
        Ok(config)
    }
}

/// Reads a string that must be one of a few.
pub(super) fn one_of<T: Copy>(cursor: &mut Cursor<'_>, choices: &[(&str, T)]) -> Parsed<T> {
    let text = cursor.text()?;
    choices
        .iter()
        .find(|(name, _)| *name == text)
        .map(|&(_, choice)| choice)
        .ok_or_else(|| {
            let names: Vec<_> = choices
                .iter()
                .map(|(name, _)| format!("'{name}'"))
                .collect();
            let listed = match names.split_last() {
                Some((last, [])) => last.clone(),
                Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
                None => String::new(),
            };
            InvalidRequest::here(format!("Input should be {listed}"))
        })
}

/// Refuses an object whose `type` is none of those expected, in Anthropic's words.
pub(super) fn unknown_tag(tag: &str, expected: &str) -> InvalidRequest {
    InvalidRequest::here(format!(
        "Input tag '{tag}' found using 'type' does not match any of the expected tags: {expected}"
    ))
}
