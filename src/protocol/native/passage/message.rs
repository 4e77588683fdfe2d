//! A message that came whole where events were asked for, told as events.
//!
//! The events are the plainest: each block comes with its beginning. What clients look for in pieces is then made
//! pieces of, as it is where a server says it so.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::figures::present;
use super::super::splice::Splice;
use super::Passage;

/// What the run says of it.
pub(super) const CAME_WHOLE: &str =
    "the answer came as one document where events were asked for, and was told as events";

/// What becomes an event of its own.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "present")]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    stop_sequence: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    usage: Option<&'a RawValue>,
}

impl Passage {
    /// Tells a message as events; `false` when it is none.
    pub(super) fn tell_whole(&mut self, data: &[u8], out: &mut Vec<u8>) -> bool {
        let Ok(message) = serde_json::from_slice::<Message<'_>>(data) else {
            return false;
        };
        let Ok(blocks) = serde_json::from_str::<Vec<&RawValue>>(message.content.get()) else {
            return false;
        };
        self.came_whole = true;
        self.note(CAME_WHOLE);
        let mut start = Splice::new(data);
        start.replace(message.content, "[]");
        let ends = [message.stop_reason, message.stop_sequence];
        for end in ends.into_iter().flatten() {
            start.replace(end, "null");
        }
        let start = start.done().unwrap_or_else(|| data.to_vec());
        let start = String::from_utf8_lossy(&start);
        self.tell(
            &format!(r#"{{"type":"message_start","message":{start}}}"#),
            out,
        );
        for (index, block) in blocks.iter().enumerate() {
            self.tell(
                &format!(
                    r#"{{"type":"content_block_start","index":{index},"content_block":{block}}}"#
                ),
                out,
            );
            self.tell(
                &format!(r#"{{"type":"content_block_stop","index":{index}}}"#),
                out,
            );
        }
        let reason = message.stop_reason.map_or("null", RawValue::get);
        let sequence = message.stop_sequence.map_or("null", RawValue::get);
        let usage = message.usage.map(|usage| format!(r#","usage":{usage}"#));
        let usage = usage.unwrap_or_default();
        self.tell(&format!(r#"{{"type":"message_delta","delta":{{"stop_reason":{reason},"stop_sequence":{sequence}}}{usage}}}"#), out);
        self.tell(r#"{"type":"message_stop"}"#, out);
        // The upstream sent one.
        self.events = 1;
        true
    }

    fn tell(&mut self, event: &str, out: &mut Vec<u8>) {
        self.data(event.as_bytes(), out);
    }
}
