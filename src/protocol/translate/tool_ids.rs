//! Ids of tool calls: what the client sees for what the upstream said, and the way back.
//!
//! Anthropic's ids match `^[a-zA-Z0-9_-]+$`, and Claude Code loses results or loops for ever when one id stands twice
//! in a conversation. Upstreams say `call_0` in every turn, `functions.Bash:0` (Kimi), or nothing. So:
//!
//! | upstream says | the client sees | goes back to Kimi |
//! | --- | --- | --- |
//! | `call_abc`, new in the conversation | `call_abc` | `call_abc` |
//! | `call_0`, a second time | `dgw_u1_call_0` | `dgw_u1_call_0`: repeated ids confuse providers as well |
//! | `functions.Bash:0` | `dgw_x0_ZnVuY3Rpb25zLkJhc2g6MA` | `functions.Bash:0`: the form is part of Kimi's training |
//! | `functions.Bash:0`, a second time | `dgw_x1_ZnVuY3Rpb25zLkJhc2g6MA` | `functions.Bash:0`: its provider says so itself |
//! | `dgw_…`, copied from the history by a model | `dgw_x0_…` | the same `dgw_…` |
//! | nothing | `toolu_<message>_<n>` | the same |
//!
//! To all other models the client's id goes as it is: Claude's servers refuse `functions.Bash:0`, and most refuse an
//! id that stands twice. Only what is too long for them is replaced by `dgw_h_` and a hash ([`plain`]).
//!
//! A call and its result carry the same client id, so they stay a pair on every way back.
//! This file must not know what a tool call is besides its id.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const PREFIX: &str = "dgw_";
/// Followed by a number, `_` and base64url of an id that goes back exactly.
const EXACT: &str = "dgw_x";
/// Followed by a number, `_` and the beginning of a plain id that was used before; goes back as it stands.
const REPEATED: &str = "dgw_u";
/// Followed by a hash of an id that would be too long.
const HASHED: &str = "dgw_h_";
/// Longer ids are replaced; no upstream writes such.
const LONGEST: usize = 512;
/// What is kept of a message's id and of a repeated id, because some upstreams take no more than 40 characters back.
const KEPT: usize = 24;
/// What those upstreams take.
const TAKEN: usize = 40;

/// The ids of one conversation, and how the ids of a new message join them.
#[derive(Clone, Debug, Default)]
pub struct ToolIds {
    /// Those of the conversation, until the first call needs to know them: most answers hold none.
    history: Vec<String>,
    used: HashSet<String>,
    /// The number to try next for a form and what stands behind the number: all below are taken.
    next: HashMap<(&'static str, String), usize>,
    /// What ids are made of when the upstream gives none; unique for the message.
    seed: String,
    made: usize,
}

impl ToolIds {
    /// Starts with the ids that the conversation already holds, as the client knows them.
    #[must_use]
    pub fn new(history: Vec<String>, message_id: &str) -> Self {
        let id = message_id.strip_prefix("msg_").unwrap_or(message_id);
        let mut seed: String = id.chars().filter(|c| is_plain_char(*c)).collect();
        // The end of an id is its random part.
        seed.drain(..seed.len().saturating_sub(KEPT));
        Self {
            history,
            used: HashSet::new(),
            next: HashMap::new(),
            seed,
            made: 0,
        }
    }

    /// What is unique for the message in all ids that are made.
    #[must_use]
    pub fn seed(&self) -> &str {
        &self.seed
    }

    /// Gives the client's id for an upstream id and remembers it as used.
    pub fn outward(&mut self, upstream: &str) -> String {
        self.used.extend(std::mem::take(&mut self.history));
        let id = self.unused(upstream);
        self.used.insert(id.clone());
        id
    }

    fn unused(&mut self, upstream: &str) -> String {
        if upstream.is_empty() || upstream.len() > LONGEST {
            return self.made();
        }
        let ours = upstream.starts_with(PREFIX);
        let plain = upstream.chars().all(is_plain_char);
        if plain && !ours {
            if !self.used.contains(upstream) {
                return upstream.to_owned();
            }
            let beginning = upstream.get(..KEPT).unwrap_or(upstream);
            return self.numbered(REPEATED, beginning, 1);
        }
        self.numbered(EXACT, &URL_SAFE_NO_PAD.encode(upstream), 0)
    }

    fn made(&mut self) -> String {
        loop {
            let id = format!("toolu_{}_{}", self.seed, self.made);
            self.made += 1;
            if !self.used.contains(&id) {
                return id;
            }
        }
    }

    fn numbered(&mut self, kind: &'static str, rest: &str, first: usize) -> String {
        let key = (kind, rest.to_owned());
        let number = self.next.entry(key).or_insert(first);
        loop {
            let id = format!("{kind}{number}_{rest}");
            *number += 1;
            if !self.used.contains(&id) {
                return id;
            }
        }
    }
}

/// Gives the upstream's own id for an id of the client's history.
#[must_use]
pub fn decode(outward: &str) -> Cow<'_, str> {
    match Exact::of(outward) {
        Some(exact) => Cow::Owned(exact.upstream),
        None => Cow::Borrowed(outward),
    }
}

/// Gives the id that goes to an upstream that shall not see another's form. The client's own is plain and unique; one
/// that was made long here becomes a hash, the same in every turn.
#[must_use]
pub fn plain(outward: &str) -> Cow<'_, str> {
    if outward.len() <= TAKEN || Exact::of(outward).is_none() {
        return Cow::Borrowed(outward);
    }
    let hash: String = blake3::hash(outward.as_bytes())
        .to_hex()
        .chars()
        .take(KEPT)
        .collect();
    Cow::Owned(format!("{HASHED}{hash}"))
}

/// Makes another id of one that the client's history holds more than once. It decodes to the same.
#[must_use]
pub fn again(outward: &str, number: usize) -> String {
    match Exact::of(outward) {
        Some(exact) => format!("{EXACT}{}0{number}_{}", exact.number, exact.encoded),
        None => format!("{outward}_{number}"),
    }
}

/// An id that was encoded here, in its parts.
struct Exact<'i> {
    number: &'i str,
    encoded: &'i str,
    upstream: String,
}

impl<'i> Exact<'i> {
    fn of(outward: &'i str) -> Option<Self> {
        let (number, encoded) = outward.strip_prefix(EXACT)?.split_once('_')?;
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let upstream = String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()?;
        (!upstream.is_empty()).then_some(Self {
            number,
            encoded,
            upstream,
        })
    }
}

fn is_plain_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(used: &[&str]) -> ToolIds {
        ToolIds::new(used.iter().map(|&id| id.to_owned()).collect(), "msg_01Ab")
    }

    #[test]
    fn a_plain_new_id_passes_through() {
        let id = ids(&[]).outward("toolu_bdrk_01");
        assert_eq!(
            (id.as_str(), decode(&id).as_ref()),
            ("toolu_bdrk_01", "toolu_bdrk_01")
        );
    }

    #[test]
    fn an_id_that_repeats_from_turn_to_turn_becomes_unique_on_both_sides() {
        let mut first = ids(&["call_0"]);
        let id = first.outward("call_0");
        assert_eq!(id, "dgw_u1_call_0");
        assert_eq!(decode(&id), "dgw_u1_call_0");
        assert_eq!(first.outward("call_0"), "dgw_u2_call_0");
    }

    #[test]
    fn numbers_that_are_taken_are_passed_over() {
        let mut conversation = ids(&["call_0", "dgw_u2_call_0"]);
        assert_eq!(conversation.outward("call_0"), "dgw_u1_call_0");
        assert_eq!(conversation.outward("call_0"), "dgw_u3_call_0");
        let beginning = "a".repeat(KEPT);
        let (one, two) = (format!("{beginning}1"), format!("{beginning}2"));
        let mut alike = ids(&[one.as_str(), two.as_str()]);
        assert_eq!(alike.outward(&one), format!("dgw_u1_{beginning}"));
        assert_eq!(alike.outward(&two), format!("dgw_u2_{beginning}"));
    }

    #[test]
    fn an_id_that_repeats_very_often_stays_unique() {
        for (upstream, last) in [
            ("call_0", "dgw_u20000_call_0"),
            ("functions.Bash:0", "dgw_x19999_ZnVuY3Rpb25zLkJhc2g6MA"),
            ("", "toolu_01Ab_19999"),
        ] {
            let mut conversation = ids(&["call_0"]);
            let given: Vec<String> = (0..20_000)
                .map(|_| conversation.outward(upstream))
                .collect();
            assert_eq!(given.iter().collect::<HashSet<_>>().len(), 20_000);
            assert_eq!(given[19_999], last);
        }
    }

    #[test]
    fn kimis_id_comes_back_exactly_even_when_it_repeats() {
        let mut conversation = ids(&[]);
        let one = conversation.outward("functions.Bash:0");
        let two = conversation.outward("functions.Bash:0");
        assert_ne!(one, two);
        assert_eq!(decode(&one), "functions.Bash:0");
        assert_eq!(decode(&two), "functions.Bash:0");
    }

    #[test]
    fn an_id_of_ours_that_a_model_copied_comes_back_as_it_was_said() {
        let id = ids(&["dgw_u1_call_0"]).outward("dgw_u1_call_0");
        assert_eq!(decode(&id), "dgw_u1_call_0");
        assert_ne!(id, "dgw_u1_call_0");
    }

    #[test]
    fn an_empty_id_gets_one_of_the_message() {
        let mut conversation = ids(&["toolu_01Ab_0"]);
        assert_eq!(conversation.outward(""), "toolu_01Ab_1");
        assert_eq!(conversation.outward(""), "toolu_01Ab_2");
    }

    #[test]
    fn what_is_made_up_is_short_enough_to_go_back() {
        let mut conversation =
            ToolIds::new(vec!["a".repeat(40)], &format!("msg_{}", "0f".repeat(16)));
        for upstream in ["a".repeat(40), String::new(), "a".repeat(600)] {
            let id = conversation.outward(&upstream);
            assert!(id.len() <= 40, "{id}");
            assert_eq!(decode(&id), id);
        }
    }

    #[test]
    fn an_id_of_five_hundred_letters_passes_and_a_longer_one_is_replaced() {
        let longest = "a".repeat(LONGEST);
        assert_eq!(ids(&[]).outward(&longest), longest);
        assert_eq!(ids(&[]).outward(&"a".repeat(LONGEST + 1)), "toolu_01Ab_0");
    }

    #[test]
    fn what_is_made_up_holds_the_end_of_the_messages_id() {
        for (message, seed) in [
            ("msg_01Ab", "01Ab"),
            ("gen:1-2_3", "gen1-2_3"),
            ("msg_abcdefghijklmnopqrstuvwxyz", "cdefghijklmnopqrstuvwxyz"),
            ("", ""),
        ] {
            assert_eq!(ToolIds::new(Vec::new(), message).seed(), seed);
        }
    }

    #[test]
    fn damaged_ids_of_ours_stay_as_they_are() {
        for id in [
            "dgw_",
            "dgw_x",
            "dgw_x0_",
            "dgw_x_ZnVu",
            "dgw_x0_!",
            "dgw_xa_ZnVu",
        ] {
            assert_eq!(decode(id), id);
        }
    }

    #[test]
    fn an_id_that_goes_to_other_models_is_the_clients_unless_it_was_made_too_long() {
        let short = "dgw_x0_ZnVuY3Rpb25zLkJhc2g6MA";
        let foreign = "toolu_".repeat(20);
        for id in ["", "call_0", short, foreign.as_str()] {
            assert_eq!(plain(id), id);
        }
        let mut conversation = ids(&[]);
        let long = format!("functions.{}:0", "n".repeat(60));
        let (one, two) = (conversation.outward(&long), conversation.outward(&long));
        let sent = plain(&one);
        assert_eq!(sent, plain(&one));
        assert_ne!(sent, plain(&two));
        assert!(
            sent.len() <= TAKEN && sent.chars().all(is_plain_char),
            "{sent}"
        );
    }

    #[test]
    fn another_of_an_id_differs_and_decodes_to_the_same() {
        assert_eq!(again("a", 2), "a_2");
        let id = "dgw_x1_ZnVuY3Rpb25zLkJhc2g6MA";
        assert_eq!(again(id, 2), "dgw_x102_ZnVuY3Rpb25zLkJhc2g6MA");
        assert_eq!(decode(&again(id, 2)), decode(id));
    }

    proptest! {
        #[test]
        fn ids_are_unique_well_formed_and_reversible(said in prop::collection::vec(prop_oneof!["call_[01]", "\\PC{0,12}", "dgw_[ux][0-2]_[a-c]{1,3}"], 0..12)) {
            let mut conversation = ids(&["call_0"]);
            let mut seen = vec!["call_0".to_owned()];
            for upstream in said {
                let id = conversation.outward(&upstream);
                prop_assert!(id.chars().all(is_plain_char) && !id.is_empty());
                prop_assert!(!seen.contains(&id));
                let odd = !upstream.chars().all(is_plain_char) || upstream.starts_with(PREFIX);
                if odd {
                    prop_assert_eq!(decode(&id), upstream);
                } else {
                    prop_assert_eq!(&*decode(&id), id.as_str());
                }
                seen.push(id);
            }
        }
    }
}
