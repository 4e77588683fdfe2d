//! Which cache breakpoints are sent: four at most, and only to models that they mean something to.
//!
//! The last one of the tools and of the system prompt hold what never changes, the last ones of the conversation
//! what grew last. Those in between are the first to go.

use super::super::messages::{Messages, Part, Turn};
use super::super::model::{Family, Target};
use super::super::tools::{Offer, Tools};
use super::writer::Writer;
use crate::protocol::anthropic::request::{CacheControl, Ttl};

/// What Anthropic accepts in a request.
const MOST: usize = 4;

/// A place that a breakpoint can stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Tools,
    System,
    Messages,
}

/// How many breakpoints of each place are yet to be passed over.
pub(super) struct Breakpoints {
    family: Family,
    /// Whether any is sent.
    taken: bool,
    pass_over: [usize; 3],
    /// How many there are more than can be sent.
    pub(super) dropped: usize,
    /// Whether there are any that the model would take, but nothing says that its upstream does.
    pub(super) unknown: bool,
}

impl Breakpoints {
    pub(super) fn choose(
        messages: &Messages<'_>,
        tools: &Tools<'_>,
        at_the_end: Option<CacheControl>,
        target: &Target,
    ) -> Self {
        let mut chosen = Self {
            family: target.family,
            taken: target.takes_cache_control(),
            pass_over: [0; 3],
            dropped: 0,
            unknown: false,
        };
        let there = || [in_tools(tools), in_system(messages), in_messages(messages)];
        if !chosen.taken {
            let is_any = || at_the_end.is_some() || there().into_iter().any(|count| count > 0);
            chosen.unknown = target.family.takes_cache_control() && is_any();
            return chosen;
        }
        let there = there();
        let mut left = MOST - usize::from(at_the_end.is_some());
        let mut keep = [0; 3];
        for (kept, there) in keep.iter_mut().zip(there).take(2) {
            *kept = there.min(1);
            left -= *kept;
        }
        // Then from the end of the conversation backwards.
        for place in [Place::Messages, Place::System, Place::Tools] {
            let place = place as usize;
            let more = (there[place] - keep[place]).min(left);
            keep[place] += more;
            left -= more;
        }
        for (place, there) in there.into_iter().enumerate() {
            chosen.pass_over[place] = there - keep[place];
            chosen.dropped += there - keep[place];
        }
        chosen
    }

    /// Writes the breakpoint of a text or tool, if it is one of those that are sent.
    pub(super) fn write(&mut self, out: &mut Writer, cache: Option<CacheControl>, place: Place) {
        let Some(cache) = cache.filter(|_| self.taken) else {
            return;
        };
        let pass_over = &mut self.pass_over[place as usize];
        if *pass_over > 0 {
            *pass_over -= 1;
            return;
        }
        out.key("cache_control").raw(self.form(cache));
    }

    /// A lifetime is Anthropic's own idea.
    pub(super) fn form(&self, cache: CacheControl) -> &'static str {
        match (self.family, cache.ttl) {
            (Family::Claude, Some(Ttl::OneHour)) => r#"{"type":"ephemeral","ttl":"1h"}"#,
            (Family::Claude, Some(Ttl::FiveMinutes)) => r#"{"type":"ephemeral","ttl":"5m"}"#,
            _ => r#"{"type":"ephemeral"}"#,
        }
    }
}

fn in_tools(tools: &Tools<'_>) -> usize {
    let marked = |offer: &&Offer<'_>| match offer {
        Offer::Function(function) => function.cache.is_some(),
        Offer::Server(_) => false,
    };
    tools.offers.iter().filter(marked).count()
}

fn in_system(messages: &Messages<'_>) -> usize {
    let system = &messages.system;
    system.iter().filter(|text| text.cache.is_some()).count()
}

fn in_messages(messages: &Messages<'_>) -> usize {
    let in_turn = |turn: &Turn<'_>| match turn {
        Turn::System(texts) => texts.iter().filter(|text| text.cache.is_some()).count(),
        Turn::Assistant(turn) => turn
            .texts
            .iter()
            .filter(|text| text.cache.is_some())
            .count(),
        Turn::Tool(turn) => turn
            .texts
            .iter()
            .filter(|text| text.cache.is_some())
            .count(),
        Turn::User(parts) => parts
            .iter()
            .filter(|part| matches!(part, Part::Text(text) if text.cache.is_some()))
            .count(),
    };
    messages.turns.iter().map(in_turn).sum()
}
