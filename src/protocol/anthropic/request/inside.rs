//! What stands inside a block: blocks, texts, a summary, a setting; read once the type of the block is known.

use super::block::{Block, TextBlock};
use super::cursor::{Cursor, Kind};
use super::invalid::InvalidRequest;
use super::options::{CacheControl, unknown_tag};
use super::raw::Raw;

type Parsed<T> = Result<T, InvalidRequest>;

/// Reads what stands under `field` once the type of what is around it is known.
pub(super) fn inside<'a, T>(
    content: Raw<'a>,
    field: &str,
    around: &mut Cursor<'a>,
    read: impl FnOnce(&mut Cursor<'a>) -> Parsed<T>,
) -> Parsed<T> {
    let mut cursor = Cursor::new(content.as_str());
    let value = read(&mut cursor).map_err(|fault| fault.within(field))?;
    for field in cursor.take_asides() {
        around.aside(field);
    }
    Ok(value)
}

/// Reads the blocks that may stand in a tool's result.
pub(super) fn nested<'a>(cursor: &mut Cursor<'a>) -> Parsed<Vec<Block<'a>>> {
    let blocks = Block::parse_content(cursor)?;
    let misplaced = blocks.iter().position(|block| {
        !matches!(
            block,
            Block::Text(_)
                | Block::Image(..)
                | Block::Document(_)
                | Block::SearchResult(_)
                | Block::ToolReference(_)
                | Block::Marker(_)
        )
    });
    match misplaced {
        Some(index) => Err(unknown_tag(
            blocks[index].kind(),
            "'text', 'image', 'document', 'search_result', 'tool_reference', 'browser_state'",
        )
        .within(index)),
        None => Ok(blocks),
    }
}

pub(super) fn texts<'a>(content: Raw<'a>, cursor: &mut Cursor<'a>) -> Parsed<Vec<TextBlock<'a>>> {
    let mut texts = Vec::new();
    let blocks = inside(content, "content", cursor, nested)?;
    for (index, block) in blocks.into_iter().enumerate() {
        match block {
            Block::Text(text) => texts.push(text),
            other => {
                return Err(unknown_tag(other.kind(), "'text'")
                    .within(index)
                    .within("content"));
            }
        }
    }
    Ok(texts)
}

pub(super) fn summary(content: Raw<'_>, cache: Option<CacheControl>) -> Parsed<TextBlock<'_>> {
    Cursor::new(content.as_str())
        .string()
        .map(|text| TextBlock { text, cache })
        .map_err(|fault| fault.within("content"))
}

/// `citations` is a setting on a document and a list on a text: only the first asks for something.
pub(super) fn wants_citations(cursor: &mut Cursor<'_>) -> Parsed<bool> {
    if cursor.kind() != Kind::Object {
        let cited = cursor.raw()?.as_str();
        if cited != "null" && cited != "[]" {
            cursor.aside("citations");
        }
        return Ok(false);
    }
    let mut enabled = false;
    cursor.object(|cursor, key| {
        match key.as_ref() {
            "enabled" => enabled = cursor.nullable(Cursor::boolean)?.unwrap_or(false),
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(enabled)
}
