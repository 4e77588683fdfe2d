//! Tool results: words for the tool message, images and files for the user message behind it.

use super::pairing::Answer;
use super::part::{Part, Text, move_cache};
use super::user;
use crate::protocol::anthropic::request::{Block, ToolChange, ToolResult};
use crate::protocol::translate::note::Note;
use crate::protocol::translate::tool_names::ToolNames;

/// Makes a tool result into words and what only a user message can carry.
pub(super) fn answer<'a>(result: &ToolResult<'a>, notes: &mut Vec<Note>) -> Answer<'a> {
    let mut parts = Vec::with_capacity(result.content.len());
    // What goes to the user message leaves its breakpoint here, where its words stand.
    let mut cache = None;
    for block in &result.content {
        match block {
            Block::Text(text) => parts.extend(Text::of_block(*text).map(Part::Text)),
            Block::Image(source, of_image) => {
                parts.extend(user::image(source));
                cache = of_image.or(cache);
            }
            Block::Document(document) => {
                user::push_document(&mut parts, document, notes);
                cache = document.cache.or(cache);
            }
            Block::SearchResult(found) => {
                parts.push(Part::Text(user::search_result(found, notes)));
            }
            Block::ToolReference(name) => parts.push(Part::Text(tool_reference(name))),
            other => notes.push(Note::new(format!(
                "a `{}` block in a tool result was left out, because no chat model reads one",
                other.kind()
            ))),
        }
    }
    let mut answer = divide(parts);
    if answer.texts.is_empty() {
        answer.texts.push(Text::plain("(empty)"));
    }
    if result.is_error {
        mark_as_error(&mut answer.texts);
    }
    move_cache(answer.texts.iter_mut(), result.cache.or(cache), notes);
    answer
}

/// Tells the model that what it can call has changed; the tools themselves go where all tools go.
pub(super) fn tool_change<'a>(change: &ToolChange<'_>) -> Text<'a> {
    match change {
        ToolChange::Added(name) => tool_reference(name),
        ToolChange::Defined(tool) => tool_reference(tool.name().unwrap_or_default()),
        ToolChange::Removed(name) => Text::plain(format!(
            "The tool {} is no longer available.",
            ToolNames::default().outward(name)
        )),
    }
}

/// Tells the model that a tool it searched for can be called now.
pub(super) fn tool_reference<'a>(name: &str) -> Text<'a> {
    let mut names = ToolNames::default();
    Text::plain(format!(
        "The tool {} is now available.",
        names.outward(name)
    ))
}

fn divide(parts: Vec<Part<'_>>) -> Answer<'_> {
    let mut answer = Answer {
        texts: Vec::with_capacity(parts.len()),
        media: Vec::new(),
    };
    for part in parts {
        match part {
            Part::Text(text) => answer.texts.push(text),
            Part::Image(_) => {
                answer
                    .texts
                    .push(Text::plain("[An image is attached below.]"));
                answer.media.push(part);
            }
            Part::File { .. } => {
                answer
                    .texts
                    .push(Text::plain("[A file is attached below.]"));
                answer.media.push(part);
            }
        }
    }
    answer
}

/// Chat completions have no flag for a tool that failed, so its words must say it.
fn mark_as_error(texts: &mut [Text<'_>]) {
    let Some(first) = texts.first_mut() else {
        return;
    };
    let says_so = ["<tool_use_error>", "Error", "error"]
        .iter()
        .any(|beginning| first.escaped.starts_with(beginning));
    if !says_so {
        first.escaped = format!("Error: {}", first.escaped).into();
    }
}
