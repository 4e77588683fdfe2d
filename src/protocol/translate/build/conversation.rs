//! The messages of an upstream request.
//!
//! A string where there is one text, parts where there are more: families that cache by breakpoints would otherwise see
//! another prefix as soon as the breakpoint has moved on. For all others texts are joined, as some read strings only: those of
//! the model as it said them, all others with an empty line between them.

use super::super::messages::{Media, Messages, Part, Text, ToolTurn, Turn};
use super::super::model::Target;
use super::super::note::Note;
use super::breakpoints::{Breakpoints, Place};
use super::call_ids::CallIds;
use super::thoughts::Thoughts;
use super::writer::Writer;
use crate::protocol::anthropic::request::RawStr;

const REMINDER: &str = "<system-reminder>";
const UNSEEN: &str = "[An image stood here, which this model cannot see.]";

/// Writes the messages, and notes what this model could not be given.
pub(super) struct Conversation<'c> {
    pub(super) target: &'c Target,
    pub(super) ids: CallIds,
    pub(super) breakpoints: &'c mut Breakpoints,
    pub(super) notes: &'c mut Vec<Note>,
    pub(super) thoughts: Thoughts,
    /// Images that could not be shown, and system messages that became text.
    pub(super) unseen: usize,
    pub(super) reminders: usize,
    /// Whether the last message is a tool's.
    pub(super) behind_tool: bool,
}

/// A piece of a user message about to be written.
#[derive(Clone, Copy)]
pub(super) enum Piece<'t> {
    Text(&'t Text<'t>),
    Reminder(&'t Text<'t>),
    Part(&'t Part<'t>),
    Ours(&'static str),
}

impl<'c> Conversation<'c> {
    pub(super) fn new(
        target: &'c Target,
        ids: CallIds,
        breakpoints: &'c mut Breakpoints,
        notes: &'c mut Vec<Note>,
    ) -> Self {
        Self {
            target,
            ids,
            breakpoints,
            notes,
            thoughts: Thoughts::default(),
            unseen: 0,
            reminders: 0,
            behind_tool: false,
        }
    }

    /// Writes all messages; `appendix` goes behind the system prompt. Says whether thoughts were given back that the provider
    /// may refuse.
    pub(super) fn write(
        &mut self,
        out: &mut Writer,
        messages: &Messages<'_>,
        appendix: Option<&Text<'_>>,
    ) -> bool {
        let system: Vec<&Text<'_>> = messages.system.iter().chain(appendix).collect();
        if !system.is_empty() {
            self.texts_message(out, "system", &system, Place::System);
        }
        let mut user: Vec<Piece<'_>> = Vec::new();
        let last = messages.turns.len().saturating_sub(1);
        for (index, turn) in messages.turns.iter().enumerate() {
            match turn {
                Turn::User(parts) => user.extend(parts.iter().map(|part| self.piece(part))),
                Turn::System(texts) if self.target.family.takes_system_anywhere() => {
                    self.user(out, &mut user);
                    let texts: Vec<&Text<'_>> = texts.iter().collect();
                    self.texts_message(out, "system", &texts, Place::Messages);
                }
                Turn::System(texts) => {
                    self.reminders += 1;
                    user.extend(texts.iter().map(reminder));
                }
                Turn::Assistant(turn) => {
                    self.user(out, &mut user);
                    self.assistant(out, turn, index == last);
                }
                Turn::Tool(turn) => self.tool(out, turn),
            }
        }
        self.user(out, &mut user);
        self.take_notes();
        self.thoughts.has_details
    }

    fn piece<'t>(&mut self, part: &'t Part<'t>) -> Piece<'t> {
        match part {
            Part::Text(text) => Piece::Text(text),
            Part::Image(_) if self.target.inputs.is_some_and(|inputs| !inputs.image) => {
                self.unseen += 1;
                Piece::Ours(UNSEEN)
            }
            part => Piece::Part(part),
        }
    }

    pub(super) fn user(&mut self, out: &mut Writer, pieces: &mut Vec<Piece<'_>>) {
        if pieces.is_empty() {
            return;
        }
        self.part_from_tool(out);
        let all_text = !pieces.iter().any(|piece| matches!(piece, Piece::Part(_)));
        let cached = self.target.family.takes_cache_control();
        out.object(|out| {
            out.key("role").string("user");
            out.key("content");
            if all_text && !cached {
                let texts: Vec<&str> = pieces.iter().flat_map(joined).skip(1).collect();
                out.escaped(&texts);
            } else if let [
                Piece::Text(Text {
                    escaped,
                    cache: None,
                    ..
                }),
            ] = pieces.as_slice()
            {
                out.escaped(&[escaped]);
            } else {
                out.array(|out| {
                    for piece in pieces.iter() {
                        self.part(out, *piece);
                    }
                });
            }
        });
        pieces.clear();
    }

    fn part(&mut self, out: &mut Writer, piece: Piece<'_>) {
        match piece {
            Piece::Text(text) => self.text_part(out, &[&text.escaped], text, Place::Messages),
            Piece::Reminder(text) => {
                let wrapped = [REMINDER, "\\n", &text.escaped, "\\n</system-reminder>"];
                self.text_part(out, &wrapped, text, Place::Messages);
            }
            Piece::Ours(text) => out.object(|out| {
                out.key("type").string("text");
                out.key("text").string(text);
            }),
            Piece::Part(Part::Image(media)) => out.object(|out| {
                out.key("type").string("image_url");
                out.key("image_url").object(|out| {
                    out.key("url");
                    address(out, *media);
                });
            }),
            Piece::Part(Part::File { name, media }) => out.object(|out| {
                out.key("type").string("file");
                out.key("file").object(|out| {
                    out.key("filename").escaped(&[name]);
                    out.key("file_data");
                    address(out, *media);
                });
            }),
            Piece::Part(Part::Text(text)) => {
                self.text_part(out, &[&text.escaped], text, Place::Messages);
            }
        }
    }

    fn text_part(&mut self, out: &mut Writer, pieces: &[&str], text: &Text<'_>, place: Place) {
        out.object(|out| {
            out.key("type").string("text");
            out.key("text").escaped(pieces);
            self.breakpoints.write(out, text.cache, place);
        });
    }

    fn texts_message(
        &mut self,
        out: &mut Writer,
        role: &'static str,
        texts: &[&Text<'_>],
        place: Place,
    ) {
        out.object(|out| {
            out.key("role").string(role);
            out.key("content");
            self.texts(out, texts, place);
        });
    }

    pub(super) fn texts(&mut self, out: &mut Writer, texts: &[&Text<'_>], place: Place) {
        let cached = self.target.family.takes_cache_control();
        match texts {
            [
                Text {
                    escaped,
                    cache: None,
                    ..
                },
            ] => out.escaped(&[escaped]),
            texts if !cached => out.joined(texts.iter().copied()),
            texts => out.array(|out| {
                for text in texts {
                    self.text_part(out, &[&text.escaped], text, place);
                }
            }),
        }
    }

    fn tool(&mut self, out: &mut Writer, turn: &ToolTurn<'_>) {
        let texts: Vec<&Text<'_>> = turn.texts.iter().collect();
        let id = self.ids.sent(&turn.id);
        out.object(|out| {
            out.key("role").string("tool");
            out.key("tool_call_id").string(&id);
            out.key("content");
            self.texts(out, &texts, Place::Messages);
        });
        self.behind_tool = true;
    }

    fn take_notes(&mut self) {
        let id = &self.target.id;
        if self.reminders > 0 {
            self.notes.push(Note::new(format!(
                "{} system message(s) in mid-conversation became <system-reminder> text, because {id} takes one at the start only",
                self.reminders
            )));
        }
        if self.unseen > 0 {
            self.notes.push(Note::new(format!(
                "{} image(s) were replaced by a sentence, because {id} cannot see",
                self.unseen
            )));
        }
        if self.thoughts.dropped > 0 {
            self.notes.push(Note::new(format!(
                "{} earlier thought(s) were left out, because {id} cannot read them",
                self.thoughts.dropped
            )));
        }
    }
}

/// A system message in words, unless the client wrapped it itself.
fn reminder<'t>(text: &'t Text<'t>) -> Piece<'t> {
    if text.escaped.starts_with(REMINDER) {
        Piece::Text(text)
    } else {
        Piece::Reminder(text)
    }
}

/// The texts of a piece with an empty line before them.
fn joined<'t>(piece: &Piece<'t>) -> impl Iterator<Item = &'t str> + use<'t> {
    let (before, text, behind): (&str, &'t str, &str) = match *piece {
        Piece::Text(text) => ("", &text.escaped, ""),
        Piece::Reminder(text) => (
            "<system-reminder>\\n",
            &text.escaped,
            "\\n</system-reminder>",
        ),
        Piece::Ours(text) => ("", text, ""),
        Piece::Part(_) => ("", "", ""),
    };
    ["\\n\\n", before, text, behind].into_iter()
}

fn address(out: &mut Writer, media: Media<'_>) {
    match media {
        Media::Url(url) => out.escaped(&[url.escaped()]),
        Media::Data { media_type, data } => out.escaped(&[
            "data:",
            RawStr::escaped(media_type),
            ";base64,",
            RawStr::escaped(data),
        ]),
    }
}
