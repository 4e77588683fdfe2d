//! Limits and sampling: how long the answer may be, what ends it, how the next token is drawn.

use super::super::messages::edited;
use super::super::model::{Family, Target};
use super::super::note::Note;
use super::super::tokens;
use super::writer::Writer;
use crate::protocol::anthropic::request::Request;

/// What OpenRouter's models of the family `openai` want at least.
const OPENAIS_LEAST: u64 = 16;
/// How many `stop` texts the upstream takes.
const MOST_STOPS: usize = 4;
/// An answer is not cut below this for want of room: then the prompt is too long, and the upstream shall say so.
const LEAST_ROOM: u64 = 4096;

/// The limit on output tokens that the model and its context allow.
///
/// Claude Code asks for 128,000 of every model. Providers refuse what exceeds their limit, and many also a prompt and
/// limit that exceed the context together.
pub(super) fn max_tokens(request: &Request<'_>, target: &Target, notes: &mut Vec<Note>) -> u64 {
    let asked = request.max_tokens;
    let mut allowed = asked.min(
        target
            .max_output
            .filter(|most| *most > 0)
            .unwrap_or(u64::MAX),
    );
    if let Some(context) = target.context_length.filter(|context| *context > 0) {
        let prompt = tokens::estimate(&edited(request));
        let room = context.saturating_sub(prompt + prompt / 8);
        allowed = allowed.min(room.max(LEAST_ROOM));
    }
    if target.family == Family::OpenAi {
        allowed = allowed.max(OPENAIS_LEAST);
    }
    if allowed != asked {
        notes.push(Note::new(format!(
            "`max_tokens` was changed from {asked} to {allowed}, which is what {} takes here",
            target.id
        )));
    }
    allowed
}

/// Writes `temperature`, `top_p` and `top_k`, as far as the model takes them.
pub(super) fn sampling(
    out: &mut Writer,
    request: &Request<'_>,
    target: &Target,
    notes: &mut Vec<Note>,
) {
    let fixed = target
        .claude_version()
        .is_some_and(|version| version >= (4, 7));
    let mut left_out = Vec::new();
    if let Some(temperature) = request.temperature {
        if fixed || target.lacks(|known| known.temperature) {
            left_out.push("temperature");
        } else {
            out.key("temperature").value(&temperature);
        }
    }
    if let Some(top_p) = request.top_p {
        if fixed || target.lacks(|known| known.top_p) {
            left_out.push("top_p");
        } else {
            out.key("top_p").value(&top_p);
        }
    }
    if let Some(top_k) = request.top_k {
        // OpenAI does not define it, and refuses what it does not know.
        if fixed || !target.dialect.extensions || target.lacks(|known| known.top_k) {
            left_out.push("top_k");
        } else {
            out.key("top_k").integer(top_k);
        }
    }
    if !left_out.is_empty() {
        notes.push(Note::new(format!(
            "`{}` was left out, because {} does not take it",
            left_out.join("`, `"),
            target.id
        )));
    }
}

/// Writes `stop`. Texts of white space end an answer before it begins and are refused by Anthropic itself.
pub(super) fn stops(out: &mut Writer, request: &Request<'_>, notes: &mut Vec<Note>) {
    let usable: Vec<&str> = request
        .stop_sequences
        .iter()
        .map(AsRef::as_ref)
        .filter(|stop| !stop.trim().is_empty())
        .collect();
    if usable.is_empty() {
        return;
    }
    if usable.len() > MOST_STOPS {
        notes.push(Note::new(format!(
            "{} of {} stop sequences were left out, because the upstream takes four",
            usable.len() - MOST_STOPS,
            usable.len()
        )));
    }
    out.key("stop").array(|out| {
        for stop in usable.into_iter().take(MOST_STOPS) {
            out.string(stop);
        }
    });
}
