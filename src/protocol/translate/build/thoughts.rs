//! The model's earlier reasoning, given back to it: whole, in order, once, and only to a model that can read it.

use std::collections::HashSet;

use super::super::envelope::{Detail, Sent};
use super::super::messages::{Assistant, Messages, Thought, Turn};
use super::super::model::{Family, Target};
use super::call_ids::{CallIds, NamedCalls};
use super::writer::Writer;

/// What providers write in place of a thought that they do not show; it cannot be given back.
const HIDDEN: &str = "[REDACTED]";

/// What was given back so far, and how much could not be.
#[derive(Default)]
pub(super) struct Thoughts {
    /// Types and ids of details: some providers answer a repeated one with a masked error 500. An id alone says too
    /// little, because the summary and the encrypted text of one thought share it.
    seen: HashSet<(String, String)>,
    /// Thoughts that this model cannot read.
    pub(super) dropped: usize,
    /// Whether any were given back as `reasoning_details`, which the provider may refuse.
    pub(super) has_details: bool,
}

/// Says whether a Claude with a thinking budget would refuse the conversation, because the tool loop that it is to go on
/// with began without a thought of its own: another model began it, or the client dropped the thought.
pub(super) fn loop_began_without(messages: &Messages<'_>, target: &Target) -> bool {
    let budgeted = target
        .claude_version()
        .is_some_and(|version| version < (4, 6));
    let goes_on = matches!(messages.turns.last(), Some(Turn::Tool(_)));
    if !budgeted || !goes_on {
        return false;
    }
    let first = messages
        .turns
        .iter()
        .rev()
        .take_while(|turn| matches!(turn, Turn::Tool(_) | Turn::Assistant(_)))
        .filter_map(|turn| match turn {
            Turn::Assistant(turn) => Some(turn),
            _ => None,
        })
        .last();
    first.is_some_and(|turn| {
        let none = Thoughts::default();
        !turn
            .thoughts
            .iter()
            .any(|thought| none.has_details(thought, target))
    })
}

/// How entries of `reasoning_details` made of Anthropic's own blocks are called.
const NATIVE: &str = "anthropic-claude-v1";

impl Thoughts {
    /// Writes `reasoning_details` or `reasoning` of an assistant message.
    pub(super) fn write(
        &mut self,
        out: &mut Writer,
        turn: &Assistant<'_>,
        target: &Target,
        ids: CallIds,
    ) {
        let extensions = target.dialect.extensions;
        let words = if extensions {
            "reasoning"
        } else {
            "reasoning_content"
        };
        let mut has_details = false;
        let mut plain = String::new();
        for thought in &turn.thoughts {
            if extensions && self.has_details(thought, target) {
                has_details = true;
            } else if !Self::add_plain(&mut plain, thought, target) {
                self.dropped += 1;
            }
        }
        if has_details {
            self.has_details = true;
            self.dropped += usize::from(!plain.is_empty());
            out.key("reasoning_details")
                .array(|out| self.details(out, turn, target, ids));
        } else if !plain.is_empty() {
            out.key(words).string(&plain);
        } else if target.family.wants_thoughts_as_text() && !turn.calls.is_empty() {
            // Without the field these models refuse a turn in which they called a tool.
            out.key(words).string("");
        }
    }

    fn has_details(&self, thought: &Thought<'_>, target: &Target) -> bool {
        match thought {
            Thought::Packed(packed) => {
                let (envelope, restored) = packed.as_ref();
                envelope.fits(&target.id) && restored.details.iter().any(|one| self.may_go(one))
            }
            Thought::Signed { .. } | Thought::Redacted(_) => target.family == Family::Claude,
            Thought::Plain(_) => false,
        }
    }

    /// Adds the text of a thought for a model that wants text; says whether anything could be used.
    fn add_plain(plain: &mut String, thought: &Thought<'_>, target: &Target) -> bool {
        match thought {
            Thought::Packed(packed) => {
                let (envelope, restored) = packed.as_ref();
                // Claude and Gemini take no thought that they did not sign, in whatever field.
                let signs = matches!(target.family, Family::Claude | Family::Gemini);
                let own = restored.details.is_empty() && envelope.fits(&target.id) && !signs;
                if own || target.family.wants_thoughts_as_text() {
                    plain.push_str(&restored.text);
                    return true;
                }
            }
            Thought::Plain(text) | Thought::Signed { text, .. }
                if target.family.wants_thoughts_as_text() =>
            {
                plain.push_str(&text.decode());
                return true;
            }
            Thought::Plain(_) | Thought::Signed { .. } | Thought::Redacted(_) => {}
        }
        false
    }

    fn details(&mut self, out: &mut Writer, turn: &Assistant<'_>, target: &Target, ids: CallIds) {
        let calls = NamedCalls::new(ids, &turn.calls);
        let mut index: u64 = 0;
        for thought in &turn.thoughts {
            match thought {
                Thought::Packed(packed) => {
                    let (envelope, restored) = packed.as_ref();
                    if envelope.fits(&target.id) {
                        self.packed(out, &restored.details, &calls);
                        index += restored.details.len() as u64;
                    }
                }
                Thought::Signed { text, signature } if target.family == Family::Claude => {
                    out.object(|out| {
                        out.key("type").string("reasoning.text");
                        out.key("text").escaped(&[text.escaped()]);
                        out.key("signature").string(signature);
                        out.key("format").string(NATIVE);
                        out.key("index").integer(index);
                    });
                    index += 1;
                }
                Thought::Redacted(data) if target.family == Family::Claude => {
                    out.object(|out| {
                        out.key("type").string("reasoning.encrypted");
                        out.key("data").string(data);
                        out.key("format").string(NATIVE);
                        out.key("index").integer(index);
                    });
                    index += 1;
                }
                Thought::Plain(_) | Thought::Signed { .. } | Thought::Redacted(_) => {}
            }
        }
    }

    fn packed(&mut self, out: &mut Writer, details: &[Detail], calls: &NamedCalls<'_>) {
        for detail in details {
            if !self.may_go(detail) {
                self.dropped += 1;
                continue;
            }
            if let Some(id) = &detail.id {
                self.seen.insert((detail.kind.clone(), id.clone()));
            }
            match calls.renamed(detail) {
                Some(renamed) => out.value(&Sent(&renamed)),
                None => out.value(&Sent(detail)),
            }
        }
    }

    fn may_go(&self, detail: &Detail) -> bool {
        let hidden = [&detail.data, &detail.text, &detail.summary]
            .into_iter()
            .any(|content| content.as_deref() == Some(HIDDEN));
        let repeated = detail
            .id
            .as_ref()
            .is_some_and(|id| self.seen.contains(&(detail.kind.clone(), id.clone())));
        // Both vendors refuse a thought that they did not sign.
        let unsigned = detail.kind == "reasoning.text"
            && detail.signature.is_none()
            && matches!(
                detail.format.as_deref(),
                Some("anthropic-claude-v1" | "google-gemini-v1")
            );
        !hidden && !repeated && !unsigned
    }
}
