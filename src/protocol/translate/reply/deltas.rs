//! What a delta holds, passed on: thinking, then text, then tools, whatever order the upstream wrote the fields in.
//!
//! This file must not know how chunks arrive nor how an answer is brought to its end.

use super::peek::{called, holds, says};
use super::stop::Finish;
use super::thinking::text_of;
use super::translator::{Translator, origin};
use crate::protocol::json_text;
use crate::protocol::openrouter::chunk::{
    self, Annotation, CallPiece, Choice, Delta, Image, NotAChunk, Object, ReasoningPiece,
};

/// What is kept of a refusal's text.
const LONGEST_REFUSAL: usize = 1 << 20;

impl Translator {
    /// What a choice holds. Some servers send the whole beside every delta or behind all of them, others in the place of
    /// all: it counts when no delta has said anything, and beside an empty one when it comes with the end.
    pub(super) fn content_of<'c, 'a>(&mut self, choice: &'c Choice<'a>) -> Option<&'c Delta<'a>> {
        let delta = choice.delta.as_ref();
        // Asked until one says something: most streams have thousands that do.
        if self.heard.has_deltas || delta.is_some_and(says) {
            self.heard.has_deltas = true;
            return delta;
        }
        let is_end = Finish::of(choice.finish_reason.as_str()) != Finish::Missing;
        match &choice.message {
            Some(message) if is_end && self.has_said_nothing() => Some(message),
            message => delta.or(message.as_ref()),
        }
    }

    /// Passes on what a delta holds.
    ///
    /// # Errors
    ///
    /// [`NotAChunk`] when a list in it has another shape.
    pub(super) fn delta(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>) -> Result<(), NotAChunk> {
        self.reasoning(delta, out)?;
        if self.settings.web_search {
            chunk::for_each(
                delta.annotations,
                |Object(annotation): Object<Annotation<'_>>| {
                    if let Some(citation) = annotation.and_then(|one| one.url_citation) {
                        self.searches.add(&citation);
                    }
                },
            )?;
        }
        let content = chunk::escaped_text(delta.content);
        if !content.is_empty() {
            self.content(&content, out);
        }
        if let Some(refusal) = delta.refusal.and_then(json_text::body)
            && self.heard.refusal.len() + refusal.len() <= LONGEST_REFUSAL
        {
            self.heard.refusal.push_str(refusal);
        }
        self.tool_calls(delta, out)?;
        chunk::for_each(delta.images, |Object(image): Object<Image<'_>>| {
            if let Some(image) = image {
                self.image(&image, out);
            }
        })
    }

    fn reasoning(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>) -> Result<(), NotAChunk> {
        chunk::for_each(delta.reasoning_details, |Object(piece): Object<_>| {
            let piece: Option<ReasoningPiece<'_>> = piece;
            let Some(piece) = piece else {
                return;
            };
            if piece.kind.as_str() == "reasoning.server_tool_call" {
                let tool = piece.tool_name.as_str();
                if self.settings.web_search && tool.contains("web_search") {
                    self.searches.note_call(&piece);
                } else if self.settings.web_fetch && tool.contains("web_fetch") {
                    self.fetches.note_call(&piece);
                }
                return;
            }
            if !text_of(&piece).is_empty() {
                self.make_way_for_thinking(out);
            }
            let model = origin(&self.settings.target_model, self.heard.model.as_deref());
            self.thinking.piece(&piece, model, &mut self.blocks, out);
        })?;
        if !self.thinking.uses_strings() {
            return Ok(());
        }
        let string = [delta.reasoning, delta.reasoning_content]
            .into_iter()
            .filter_map(|string| string.and_then(json_text::body))
            .find(|string| !string.is_empty());
        if let Some(string) = string {
            self.make_way_for_thinking(out);
            self.thinking.string(string, &mut self.blocks, out);
        }
        Ok(())
    }

    fn make_way_for_thinking(&mut self, out: &mut Vec<u8>) {
        if self.thinking.is_asked() && self.blocks.is_text() {
            self.close_text(out);
        }
    }

    fn content(&mut self, escaped: &str, out: &mut Vec<u8>) {
        let mended = self.mender.mend(escaped);
        let Some(scanner) = &mut self.scanner else {
            return self.say(&mended, out);
        };
        let scanned = scanner.scan(&json_text::unescape(&mended));
        self.say(&json_text::escaped(&scanned.text), out);
        if let Some(sequence) = scanned.met {
            self.finish_at_sequence(&sequence, out);
        }
    }

    /// Shows text, after what belongs before it.
    pub(super) fn say(&mut self, escaped: &str, out: &mut Vec<u8>) {
        if escaped.is_empty() {
            return;
        }
        if !self.blocks.is_text() {
            self.make_way_for_text(out);
        }
        if let Some(form) = &mut self.form {
            form.add(escaped);
        }
        self.blocks.text(out, escaped);
    }

    fn make_way_for_text(&mut self, out: &mut Vec<u8>) {
        let model = origin(&self.settings.target_model, self.heard.model.as_deref());
        self.thinking.close(model, &mut self.blocks, out);
        if self.thinking.is_asked() {
            self.thinking.send_unsent(model, &mut self.blocks, out);
        }
        if self.searches.announce(0) {
            self.write_search(out);
        }
        self.write_fetches(out);
    }

    /// Gives out what of the text was held back.
    pub(super) fn flush_text(&mut self, out: &mut Vec<u8>) {
        let mut rest = self.mender.finish().unwrap_or_default().to_owned();
        if let Some(scanner) = &mut self.scanner {
            rest.insert_str(0, &json_text::escaped(&scanner.finish()));
        }
        self.say(&rest, out);
    }

    /// Closes the open text with its citations.
    pub(super) fn close_text(&mut self, out: &mut Vec<u8>) {
        self.flush_text(out);
        if self.blocks.is_text() {
            self.blocks.close_cited_text(out, self.searches.uncited());
        }
    }

    fn tool_calls(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>) -> Result<(), NotAChunk> {
        if self.is_done() {
            return Ok(());
        }
        let mut refused = None;
        self.calls.begin_list();
        chunk::for_each(delta.tool_calls, |Object(piece): Object<CallPiece<'_>>| {
            if let Some(piece) = piece
                && refused.is_none()
            {
                refused = self.calls.push(&piece).err();
            }
        })?;
        if !holds(delta.tool_calls)
            && let Some(function) = called(delta)
        {
            let only = CallPiece {
                function: Some(function),
                ..CallPiece::default()
            };
            refused = self.calls.push(&only).err();
        }
        if let Some(error) = refused {
            self.fail(error, out);
        }
        Ok(())
    }

    /// Anthropic's answers carry no images: a link is shown, or a remark.
    fn image(&mut self, image: &Image<'_>, out: &mut Vec<u8>) {
        if self.is_done() {
            return;
        }
        let url = image
            .image_url
            .as_ref()
            .map_or("", |image| image.url.as_str());
        let remark = if url.starts_with("https://") {
            format!("\n![image]({url})\n")
        } else {
            self.note("an image that the model drew was left out");
            "\n[The model drew an image, which cannot be shown here.]\n".to_owned()
        };
        self.say(&json_text::escaped(&remark), out);
    }
}
