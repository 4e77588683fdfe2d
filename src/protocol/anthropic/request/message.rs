//! Messages: who said it, and what.

use super::block::Block;
use super::cursor::Cursor;
use super::invalid::InvalidRequest;
use super::options::{Effort, OutputConfig, one_of};

type Parsed<T> = Result<T, InvalidRequest>;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The client's side, tool results included.
    User,
    /// The model.
    Assistant,
    /// Instructions in the middle of the conversation.
    System,
}

impl Role {
    const ALL: [(&'static str, Self); 3] = [
        ("user", Self::User),
        ("assistant", Self::Assistant),
        ("system", Self::System),
    ];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
        }
    }
}

/// One message of the conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<'a> {
    /// Who speaks.
    pub role: Role,
    /// What is said. A string is one text block.
    pub content: Vec<Block<'a>>,
    /// The effort from this turn on, which a system message can set.
    pub effort: Option<Effort>,
}

impl<'a> Message<'a> {
    pub(super) fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let mut role = None;
        let mut content = None;
        let mut effort = None;
        cursor.object(|cursor, key| {
            match key.as_ref() {
                "role" => role = Some(one_of(cursor, &Role::ALL)?),
                "content" => content = Some(Block::parse_content(cursor)?),
                "output_config" => {
                    effort = cursor
                        .nullable(OutputConfig::parse)?
                        .and_then(|config| config.effort);
                }
                "clear_at" => {
                    let at = cursor.nullable(Cursor::text)?;
                    if at.is_some_and(|at| at != "never") {
                        cursor.aside("clear_at");
                    }
                }
                other => cursor.unknown("messages.*", other)?,
            }
            Ok(())
        })?;
        let role = role.ok_or_else(|| InvalidRequest::missing("role"))?;
        let content = match (content, role) {
            (Some(content), _) => content,
            (None, Role::System) => Vec::new(),
            (None, _) => return Err(InvalidRequest::missing("content")),
        };
        Ok(Self {
            role,
            content,
            effort,
        })
    }
}
