//! Changes to an event stream: to its chunks, to its frames, to its bytes.

use fastrand::Rng;

use crate::json;
use crate::vocabulary::Vocabulary;

/// Frames that upstreams and what lies between have been seen to send, and some that they may.
const FRAMES: [&[u8]; 14] = [
    b"data: [DONE]\n\n",
    b": OPENROUTER PROCESSING\n\n",
    b"data:\n\n",
    b"data\n\n",
    b"event: error\ndata: {\"error\":{\"code\":502,\"message\":\"gone\"}}\n\n",
    b"data: {\"error\":{\"code\":429,\"message\":\"slow down\",\"metadata\":{\"error_type\":\"rate_limit_exceeded\"}}}\n\n",
    b"data: {\"choices\":[]}\n\n",
    b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"error\"}]}\n\n",
    b"data: <html>Bad gateway</html>\n\n",
    b"id: 7\nretry: 10\n\n",
    b"\r\n\r\n",
    b"\xef\xbb\xbfdata: {}\n\n",
    b"data: {\"choices\":\ndata: []}\n\n",
];

/// Changes a stream; a body that is no stream is changed as JSON.
pub(crate) fn mutate(rng: &mut Rng, input: &[u8], words: &Vocabulary) -> Vec<u8> {
    if input.first() == Some(&b'{') && rng.u8(..8) > 0 {
        return json::mutate(rng, input, words);
    }
    let mut frames = frames(input);
    let place = rng.usize(..=frames.len());
    match (rng.u8(..10), frames.get(place).cloned()) {
        (0, Some(_)) => drop(frames.remove(place)),
        (1, Some(frame)) => frames.insert(place, frame),
        (2, Some(_)) => {
            let other = rng.usize(..frames.len());
            frames.swap(place, other);
        }
        (3, _) => {
            let frame = rng.choice(FRAMES).unwrap_or_default();
            frames.insert(place, frame.to_vec());
        }
        (4, _) => return json::rewritten(rng, input),
        (5, _) => return with_other_newlines(rng, input),
        (_, Some(frame)) => {
            let changed = changed_chunk(rng, &frame, words);
            frames.splice(place..=place, [changed]);
        }
        (_, None) => frames.truncate(place / 2),
    }
    frames.concat()
}

/// The stream cut behind each blank line.
fn frames(input: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut frame = Vec::new();
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        frame.extend_from_slice(line);
        if line == b"\n" {
            frames.push(std::mem::take(&mut frame));
        }
    }
    if !frame.is_empty() {
        frames.push(frame);
    }
    frames
}

fn changed_chunk(rng: &mut Rng, frame: &[u8], words: &Vocabulary) -> Vec<u8> {
    let Some(data) = frame.strip_prefix(b"data: ") else {
        return json::rewritten(rng, frame);
    };
    let data = json::mutate(rng, data.trim_ascii_end(), words);
    [b"data: ", data.as_slice(), b"\n\n"].concat()
}

fn with_other_newlines(rng: &mut Rng, input: &[u8]) -> Vec<u8> {
    let newline: &[u8] = if rng.bool() { b"\r\n" } else { b"\r" };
    let lines: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    lines.join(newline)
}
