//! What the upstream shall answer to one running case, and what it saw of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use serde_json::json;

use super::case::{End, Exchange};
use super::mode::Mode;
use super::script::{self, Body};
use super::text::Mark;
use super::wire::Seen;

/// An answer on its way to the gateway.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    /// Each with the pause before it.
    pub(super) pieces: Vec<(Duration, Vec<u8>)>,
    pub(super) end: End,
}

/// One run of a case, as the upstream knows it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) mark: Mark,
    mode: Mode,
    state: Mutex<State>,
    /// Told when the gateway closes a connection whose answer has no end.
    pub(super) let_go: Notify,
}

#[derive(Debug, Default)]
struct State {
    exchanges: Vec<Exchange>,
    seen: Vec<Seen>,
}

impl Slot {
    pub(super) fn new(mark: Mark, mode: Mode) -> Self {
        Self {
            mark,
            mode,
            state: Mutex::default(),
            let_go: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a turn.
    pub(super) fn expect(&self, exchanges: &[Exchange]) {
        *self.state() = State {
            exchanges: exchanges.to_vec(),
            seen: Vec::new(),
        };
    }

    /// Ends a turn: what was seen of it, oldest first.
    pub(super) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state().seen)
    }

    /// Notes a request and answers it.
    pub(super) fn answer(&self, seen: Seen) -> Reply {
        let mut state = self.state();
        let at = state.seen.len();
        state.seen.push(seen);
        let repeated = state
            .exchanges
            .last()
            .filter(|exchange| exchange.may_repeat);
        match state.exchanges.get(at).or(repeated) {
            Some(exchange) => self.reply(exchange),
            None => refusal("the case expects no further request upstream"),
        }
    }

    fn reply(&self, exchange: &Exchange) -> Reply {
        let body = match script::body(exchange, &self.mark) {
            Ok(body) => body,
            Err(error) => return refusal(&error),
        };
        let mut headers = BTreeMap::from([
            ("content-type".to_owned(), body.content_type.to_owned()),
            ("x-generation-id".to_owned(), "gen-conformance".to_owned()),
        ]);
        let said = exchange.headers.iter();
        headers.extend(said.map(|(name, value)| (name.to_ascii_lowercase(), value.clone())));
        let mode = if exchange.is_stream() {
            self.mode
        } else {
            Mode::Whole
        };
        Reply {
            status: exchange.status.unwrap_or(200),
            headers,
            pieces: cut(mode, &body),
            end: exchange.end,
        }
    }
}

/// Cuts each part of a body; the pause before a part is one before its first piece.
fn cut(mode: Mode, body: &Body) -> Vec<(Duration, Vec<u8>)> {
    let mut pieces = Vec::new();
    for (pause, part) in &body.parts {
        let first = pieces.len();
        let cut = mode.cut(part).into_iter();
        pieces.extend(cut.map(|piece| (Duration::ZERO, piece.to_vec())));
        if let Some((before, _)) = pieces.get_mut(first) {
            *before = *pause;
        }
    }
    pieces
}

/// What a request gets that no case expects.
pub(super) fn refusal(reason: &str) -> Reply {
    let body =
        json!({ "error": { "code": 500, "message": format!("conformance suite: {reason}") } });
    json_reply(500, &body.to_string())
}

/// A whole JSON answer.
pub(super) fn json_reply(status: u16, body: &str) -> Reply {
    Reply {
        status,
        headers: BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]),
        pieces: vec![(Duration::ZERO, body.as_bytes().to_vec())],
        end: End::Clean,
    }
}
