//! Reads `SIM[…]`, the stage direction that a test puts into a prompt.
//!
//! It must not know what a turn becomes on the wire.

use serde::Deserialize;
use serde_json::{Value, json};

use super::conversation::{Conversation, role, texts};
use super::script::Turn;

const MARK: &str = "SIM[";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Directive {
    turns: Vec<Value>,
}

/// A turn that a directive wants now.
#[derive(Debug)]
pub(super) struct Cue {
    /// What to play.
    pub(super) turn: Turn,
    /// The name of this turn of this directive in this conversation, under which failures are counted.
    pub(super) name: String,
}

impl Cue {
    /// Names a turn by its conversation and its place there.
    pub(super) fn new(turn: Turn, conversation: &Conversation<'_>, place: &str) -> Self {
        let whole = format!("{} {place}", conversation.session());
        Self {
            turn,
            name: blake3::hash(whole.as_bytes()).to_hex().to_string(),
        }
    }
}

/// The turn that the newest directive of the conversation wants now, if there is one.
/// A directive that cannot be read is answered with the reason.
pub(super) fn cue(conversation: &Conversation<'_>) -> Option<Cue> {
    let (place, text) = newest(conversation)?;
    let later = conversation.messages.iter().skip(place);
    let number = later.filter(|message| role(message) == "assistant").count();
    let turn = read(text, number)
        .unwrap_or_else(|reason| Turn::text(format!("The directive cannot be read: {reason}")));
    Some(Cue::new(
        turn,
        conversation,
        &format!("{place} {number} {text}"),
    ))
}

fn newest<'a>(conversation: &Conversation<'a>) -> Option<(usize, &'a str)> {
    let backwards = conversation.messages.iter().enumerate().rev();
    backwards
        .filter(|(_, message)| role(message) == "user")
        .find_map(|(place, message)| {
            let text = texts(message)
                .into_iter()
                .find_map(|text| text.split_once(MARK))?;
            Some((place, text.1))
        })
}

fn read(text: &str, number: usize) -> Result<Turn, String> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Directive>();
    let directive = match values.next() {
        Some(Ok(directive)) => directive,
        Some(Err(error)) => return Err(error.to_string()),
        None => return Err("it is empty".to_owned()),
    };
    let Some(turn) = directive.turns.into_iter().nth(number) else {
        return Ok(Turn::text("The directive has no more turns."));
    };
    serde_json::from_value(full_form(turn)).map_err(|error| format!("turn {number}: {error}"))
}

/// Writes the short form `{"tool": …, "args": …}` out.
fn full_form(mut turn: Value) -> Value {
    if let Some(fields) = turn.as_object_mut()
        && let Some(name) = fields.remove("tool")
    {
        let args = fields.remove("args").unwrap_or_else(|| json!({}));
        fields.insert("tools".to_owned(), json!([{ "name": name, "args": args }]));
    }
    turn
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::cue;
    use crate::simulator::conversation::Conversation;

    fn text_of_cue(messages: &Value) -> Option<String> {
        let body = json!({ "model": "anthropic/claude-sonnet-5.5", "messages": messages });
        let conversation = Conversation::read(&body).expect("the request is readable");
        cue(&conversation).map(|cue| cue.turn.text)
    }

    #[test]
    fn the_turn_is_chosen_by_the_assistant_messages_since_the_directive() {
        let directive = r#"please SIM[{"turns":[{"text":"one"},{"text":"two"}]}] now"#;
        let user = json!({ "role": "user", "content": [{ "type": "text", "text": directive }] });
        let said = json!({ "role": "assistant", "content": "one" });
        let asked = json!({ "role": "user", "content": "go on" });
        assert_eq!(text_of_cue(&json!([user])).as_deref(), Some("one"));
        assert_eq!(
            text_of_cue(&json!([user, said, asked])).as_deref(),
            Some("two")
        );
        let ended = text_of_cue(&json!([user, said, asked, said, asked]));
        assert_eq!(ended.as_deref(), Some("The directive has no more turns."));
        assert_eq!(text_of_cue(&json!([asked])), None);
    }

    #[test]
    fn a_directive_within_the_arguments_of_another_belongs_to_the_inner_conversation() {
        let inner = r#"SIM[{"turns":[{"text":"inner"}]}]"#;
        let outer = json!({ "turns": [{ "tool": "Agent", "args": { "prompt": inner } }, { "text": "outer" }] });
        let user = json!({ "role": "user", "content": format!("SIM[{outer}]") });
        assert_eq!(text_of_cue(&json!([user])).as_deref(), Some(""));
        let said = json!({ "role": "assistant", "content": "called" });
        assert_eq!(text_of_cue(&json!([user, said])).as_deref(), Some("outer"));
        assert_eq!(
            text_of_cue(&json!([{ "role": "user", "content": inner }])).as_deref(),
            Some("inner")
        );
    }

    #[test]
    fn a_directive_that_cannot_be_read_says_why() {
        for text in ["SIM[", "SIM[{]", r#"SIM[{"turns":[{"txt":"x"}]}]"#] {
            let said =
                text_of_cue(&json!([{ "role": "user", "content": text }])).unwrap_or_default();
            assert!(said.starts_with("The directive cannot be read: "), "{said}");
        }
    }
}
