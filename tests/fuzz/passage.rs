//! The bytes of a Messages endpoint on the native lane: what passes is made of whole events and ends once.
//!
//! What the events say is the other side's affair. Their order and their numbers are judged: SDKs fail over these.

use std::sync::Arc;

use dagway::protocol::anthropic::error::ApiError;
use dagway::protocol::native::{Passage, PassageSettings, from_answer, peek, whole};
use dagway::protocol::openrouter::error::Headers;
use fastrand::Rng;
use serde_json::Value;

use crate::answer::pieces;
use crate::driver::{Target, fuzz, hash};
use crate::stream;

/// Streams up to here are also fed byte by byte.
const SHORT: usize = 3_000;

#[test]
fn what_passes_is_whole_events_and_ends_once() {
    fuzz(&Target {
        name: "native",
        judge,
        mutate: stream::mutate,
    });
}

fn judge(input: &[u8]) -> Result<String, String> {
    let mut rng = Rng::with_seed(hash(input));
    let settings = settings(&mut rng);
    let out = passed(&settings, &[input]);
    let kinds = kinds(&out).map_err(|fault| explained(&fault, &out))?;
    if passed(&settings, &pieces(&mut rng, input)) != out {
        return Err("it depends on where the stream is cut".to_owned());
    }
    if input.len() <= SHORT && passed(&settings, &input.chunks(1).collect::<Vec<_>>()) != out {
        return Err("it depends on whether the stream comes byte by byte".to_owned());
    }
    interrupted(&mut rng, &settings, input)?;
    let _ = peek(input);
    let refused = from_answer(400, "application/json", Headers::default(), input);
    let folded = as_a_whole(&settings, input)?;
    Ok(format!("{kinds:?} {folded} {}", refused.api.kind.name()))
}

fn settings(rng: &mut Rng) -> PassageSettings {
    PassageSettings {
        message_id: "msg_f".to_owned(),
        model: rng.bool().then(|| "claude-opus-5-5".to_owned()),
        request_id: "req_f".to_owned(),
        only_stop: rng.bool().then(|| "</x>".to_owned()),
        body: rng.bool().then(|| Arc::new("{\"messages\":[]}".to_owned())),
    }
}

fn passed(settings: &PassageSettings, pieces: &[&[u8]]) -> Vec<u8> {
    let mut passage = Passage::new(settings.clone());
    let mut out = Vec::new();
    for piece in pieces {
        passage.push(piece, &mut out);
    }
    passage.end(&mut out);
    let _ = passage.summary();
    out
}

/// Pings between the pieces, and the connection breaks somewhere.
fn interrupted(rng: &mut Rng, settings: &PassageSettings, input: &[u8]) -> Result<(), String> {
    let mut passage = Passage::new(settings.clone());
    let mut out = Vec::new();
    for piece in pieces(rng, input) {
        passage.push(piece, &mut out);
        passage.ping(&mut out);
        if rng.u8(..4) == 0 {
            passage.fail(ApiError::bad_gateway("it broke"), &mut out);
        }
    }
    passage.end(&mut out);
    kinds(&out)
        .map(drop)
        .map_err(|fault| explained(&fault, &out))
}

fn explained(fault: &str, out: &[u8]) -> String {
    format!("{fault} in\n{}", String::from_utf8_lossy(out))
}

/// The types of the events, each of which is a frame of its own; the last one ends the stream, and only the last.
fn kinds(out: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(out).map_err(|error| error.to_string())?;
    let mut kinds = Vec::new();
    let mut order = Some(Order::default());
    for frame in text.split_inclusive("\n\n") {
        let fault = || format!("not a frame: {frame:?}");
        let frame = frame.strip_suffix("\n\n").ok_or_else(fault)?;
        let (event, data) = frame.split_once('\n').ok_or_else(fault)?;
        let kind = event.strip_prefix("event: ").ok_or_else(fault)?;
        let data = data.strip_prefix("data: ").ok_or_else(fault)?;
        let data: Value = match serde_json::from_str(data) {
            // It is valid JSON, of which this reader cannot hold a number or half a character.
            Err(error) if is_beyond_this_reader(&error.to_string()) => {
                kinds.push(kind.to_owned());
                order = None;
                continue;
            }
            read => read.map_err(|error| format!("{error}: {frame:?}"))?,
        };
        // Of two types this reader knows the second, and the events are told apart by the first.
        if data["type"] != kind && !text.contains(&format!("{{\"type\":\"{kind}\"")) {
            return Err(format!("{kind} carries {}", data["type"]));
        }
        if let Some(order) = &mut order {
            order.take(kind, &data)?;
        }
        kinds.push(kind.to_owned());
    }
    let ends = |kind: &&String| *kind == "message_stop" || *kind == "error";
    if kinds.iter().filter(ends).count() != 1 || kinds.last().filter(ends).is_none() {
        return Err("it does not end once".to_owned());
    }
    kinds.dedup();
    Ok(kinds)
}

/// What an SDK has heard of an answer: it appends blocks and finds them by their numbers.
#[derive(Default)]
struct Order {
    has_begun: bool,
    /// For each block, whether it is open.
    blocks: Vec<bool>,
}

impl Order {
    fn take(&mut self, kind: &str, event: &Value) -> Result<(), String> {
        let fault = |fault: &str| Err(format!("{fault}: {event}"));
        let of_a_message = matches!(kind, "message_start" | "message_delta" | "message_stop")
            || kind.starts_with("content_block_");
        if of_a_message && self.has_begun == (kind == "message_start") {
            return fault("a start that is missing or comes twice");
        }
        let index = event["index"].as_u64().unwrap_or(u64::MAX);
        let begun = self.blocks.len() as u64;
        let open = usize::try_from(index)
            .ok()
            .and_then(|index| self.blocks.get_mut(index));
        match (kind, open) {
            ("message_start", _) => {
                let message = &event["message"];
                self.has_begun = true;
                if message["usage"].is_object() && !message["content"].is_null() {
                    return Ok(());
                }
                fault("a start without usage or content")
            }
            ("content_block_start", _) if index != begun => fault("a block with a wrong number"),
            ("content_block_start", _) => {
                self.blocks.push(true);
                Ok(())
            }
            ("content_block_delta", None) => fault("a piece of no block"),
            ("content_block_stop", Some(open)) if *open => {
                *open = false;
                Ok(())
            }
            ("content_block_stop", _) => fault("the end of no block"),
            ("message_delta", _)
                if !event["delta"].is_object() || event["usage"]["output_tokens"].is_null() =>
            {
                fault("an end without delta or usage")
            }
            _ => Ok(()),
        }
    }
}

fn is_beyond_this_reader(fault: &str) -> bool {
    let faults = [
        "number out of range",
        "surrogate",
        "recursion limit",
        "invalid unicode code point",
        "unexpected end of hex escape",
    ];
    faults.iter().any(|known| fault.contains(known))
}

/// The same bytes as the answer to a request that did not stream. A body passes as it is, bytes that are no text with it.
fn as_a_whole(settings: &PassageSettings, input: &[u8]) -> Result<String, String> {
    let (message, _) = whole(settings, input);
    let message = match message {
        Ok(message) => message,
        Err(error) => return Ok(error.kind.name().to_owned()),
    };
    match serde_json::from_slice::<Value>(&message) {
        Ok(message) => Ok(message["stop_reason"].to_string()),
        Err(error) if is_beyond_this_reader(&error.to_string()) => Ok("huge".to_owned()),
        Err(error) => Err(format!("the message is no JSON: {error}")),
    }
}
