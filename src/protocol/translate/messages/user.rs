//! Turns of the client: tool results go to their calls, the rest stays a user turn.

use super::convert::Walk;
use super::fold;
use super::part::{Media, Part, Text, move_cache};
use super::result;
use super::turn::Turn;
use crate::protocol::anthropic::request::{Block, CacheControl, Document, SearchResult, Source};
use crate::protocol::translate::note::Note;

const UNCITED: &str = "citations were asked of a document, which chat completions cannot give";

/// Reads a user message.
pub(super) fn read<'a>(walk: &mut Walk<'a>, blocks: &[Block<'a>]) {
    let mut parts = Vec::with_capacity(blocks.len());
    let mut has_results = false;
    for block in blocks {
        match block {
            Block::ToolResult(tool_result) => {
                has_results = true;
                let answer = result::answer(tool_result, &mut walk.notes);
                if walk
                    .pairing
                    .answer(&tool_result.tool_use_id, answer)
                    .is_err()
                {
                    walk.notes.push(Note::new(format!(
                        "the result of `{}` was left out, because no call before it has that id",
                        tool_result.tool_use_id
                    )));
                }
            }
            other => read_part(walk, &mut parts, other),
        }
    }
    if parts.is_empty() && !has_results {
        parts.push(Part::Text(Text::plain("(no content)")));
    }
    if parts.is_empty() {
        return;
    }
    match walk.after.last_mut() {
        Some(Turn::User(before)) => before.extend(parts),
        _ => walk.after.push(Turn::User(parts)),
    }
}

fn read_part<'a>(walk: &mut Walk<'a>, parts: &mut Vec<Part<'a>>, block: &Block<'a>) {
    match block {
        Block::Text(text) => parts.extend(Text::of_block(*text).map(Part::Text)),
        Block::Image(source, cache) => {
            parts.extend(image(source));
            cache_texts(parts, *cache, &mut walk.notes);
        }
        Block::Document(document) => {
            push_document(parts, document, &mut walk.notes);
            cache_texts(parts, document.cache, &mut walk.notes);
        }
        Block::SearchResult(found) => {
            parts.push(Part::Text(search_result(found, &mut walk.notes)));
        }
        Block::ToolReference(name) => parts.push(Part::Text(result::tool_reference(name))),
        Block::ServerResult(given) => {
            parts.push(Part::Text(fold::result(given, &mut walk.notes)));
        }
        Block::Compaction(Some(summary)) if !summary.text.is_blank() => {
            parts.push(Part::Text(fold::summary(*summary)));
        }
        other => walk.left_out(other.kind()),
    }
}

fn cache_texts(parts: &mut [Part<'_>], cache: Option<CacheControl>, notes: &mut Vec<Note>) {
    let texts = parts.iter_mut().filter_map(|part| match part {
        Part::Text(text) => Some(text),
        _ => None,
    });
    move_cache(texts, cache, notes);
}

/// Makes a part of an image.
pub(super) fn image<'a>(source: &Source<'a>) -> Option<Part<'a>> {
    media(source).map(Part::Image)
}

fn media<'a>(source: &Source<'a>) -> Option<Media<'a>> {
    match source {
        Source::Base64 { media_type, data } => Some(Media::Data {
            media_type: *media_type,
            data: *data,
        }),
        Source::Url(url) => Some(Media::Url(*url)),
        Source::Text(_) | Source::Blocks(_) => None,
    }
}

/// Makes parts of a document: a file of a PDF, texts and images of the rest.
pub(super) fn push_document<'a>(
    parts: &mut Vec<Part<'a>>,
    document: &Document<'a>,
    notes: &mut Vec<Note>,
) {
    if document.citations {
        notes.push(Note::new(UNCITED));
    }
    let header = header(document);
    match &document.source {
        Source::Text(text) => {
            let joined = match header {
                Some(header) => Some(Text::escaped(format!("{header}\\n\\n{}", text.escaped()))),
                None if text.is_blank() => None,
                None => Some(Text::of(*text)),
            };
            parts.extend(joined.map(Part::Text));
        }
        Source::Blocks(blocks) => {
            parts.extend(header.map(|header| Part::Text(Text::escaped(header))));
            for block in blocks {
                match block {
                    Block::Text(text) => parts.extend(Text::of_block(*text).map(Part::Text)),
                    Block::Image(source, _) => parts.extend(image(source)),
                    other => notes.push(Note::new(format!(
                        "a `{}` block inside a document was left out",
                        other.kind()
                    ))),
                }
            }
        }
        source => {
            if let Some(context) = document.context.filter(|context| !context.is_blank()) {
                parts.push(Part::Text(Text::of(context)));
            }
            parts.extend(media(source).map(|media| Part::File {
                name: file_name(document),
                media,
            }));
        }
    }
}

fn header(document: &Document<'_>) -> Option<String> {
    let title = document.title.filter(|title| !title.is_blank());
    let context = document.context.filter(|context| !context.is_blank());
    match (title, context) {
        (None, None) => None,
        (Some(title), None) => Some(format!("Document: {}", title.escaped())),
        (None, Some(context)) => Some(context.escaped().to_owned()),
        (Some(title), Some(context)) => Some(format!(
            "Document: {}\\n{}",
            title.escaped(),
            context.escaped()
        )),
    }
}

fn file_name<'a>(document: &Document<'a>) -> std::borrow::Cow<'a, str> {
    match document.title.filter(|title| !title.is_blank()) {
        Some(title) if title.escaped().to_ascii_lowercase().ends_with(".pdf") => {
            title.escaped().into()
        }
        Some(title) => format!("{}.pdf", title.escaped()).into(),
        None => "document.pdf".into(),
    }
}

/// Makes a text of a search result.
pub(super) fn search_result<'a>(found: &SearchResult<'a>, notes: &mut Vec<Note>) -> Text<'a> {
    if found.citations {
        notes.push(Note::new(UNCITED));
    }
    let mut text = format!(
        "{}\\nSource: {}",
        found.title.escaped(),
        found.source.escaped()
    );
    for piece in &found.content {
        text.push_str("\\n");
        text.push_str(piece.text.escaped());
    }
    let inner = found.content.iter().rev().find_map(|piece| piece.cache);
    Text {
        escaped: text.into(),
        cache: found.cache.or(inner),
        goes_on: false,
    }
}
