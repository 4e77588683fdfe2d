//! Changes to a JSON text: first to what it means, then to how it is written.

use fastrand::Rng;
use serde_json::{Map, Value};

use crate::vocabulary::Vocabulary;

/// Changes a document; one that is no JSON is changed as bytes.
pub(crate) fn mutate(rng: &mut Rng, input: &[u8], words: &Vocabulary) -> Vec<u8> {
    if rng.u8(..5) == 0 {
        return rewritten(rng, input);
    }
    let Ok(mut document) = serde_json::from_slice::<Value>(input) else {
        return rewritten(rng, input);
    };
    change(rng, &mut document, words);
    document.to_string().into_bytes()
}

/// Walks to some place and changes it.
fn change(rng: &mut Rng, value: &mut Value, words: &Vocabulary) {
    let goes_on = rng.u8(..7) > 0;
    match value {
        Value::Array(items) if goes_on && !items.is_empty() => {
            let chosen = rng.usize(..items.len());
            if let Some(item) = items.get_mut(chosen) {
                change(rng, item, words);
            }
        }
        Value::Object(fields) if goes_on && !fields.is_empty() => {
            let chosen = rng.usize(..fields.len());
            if let Some((_, field)) = fields.iter_mut().nth(chosen) {
                change(rng, field, words);
            }
        }
        Value::Array(items) => change_items(rng, items, words),
        Value::Object(fields) => change_fields(rng, fields, words),
        Value::String(text) if rng.bool() => *value = changed_text(rng, text).into(),
        _ => *value = words.value(rng),
    }
}

fn change_items(rng: &mut Rng, items: &mut Vec<Value>, words: &Vocabulary) {
    let place = rng.usize(..=items.len());
    match (rng.u8(..6), items.get(place).cloned()) {
        (0, Some(_)) => drop(items.remove(place)),
        (1, Some(item)) => items.insert(place, item),
        (2, Some(_)) => {
            let other = rng.usize(..items.len());
            items.swap(place, other);
        }
        (3, Some(item)) => items.extend(std::iter::repeat_n(item, 20)),
        (4, _) => items.truncate(place),
        _ => items.insert(place, words.value(rng)),
    }
}

fn change_fields(rng: &mut Rng, fields: &mut Map<String, Value>, words: &Vocabulary) {
    let names: Vec<String> = fields.keys().cloned().collect();
    let name = rng.choice(&names).cloned().unwrap_or_default();
    match rng.u8(..6) {
        0 => drop(fields.shift_remove(&name)),
        1 => drop(fields.insert(name, words.value(rng))),
        2 => {
            let value = fields.shift_remove(&name).unwrap_or_default();
            fields.insert(words.key(rng), value);
        }
        3 => {
            let value = fields.get(&name).cloned().unwrap_or_default();
            fields.insert(words.key(rng), value);
        }
        4 => {
            let value = fields.shift_remove(&name).unwrap_or_default();
            fields.insert(name, Value::Array(vec![value]));
        }
        _ => drop(fields.insert(words.key(rng), words.value(rng))),
    }
}

fn changed_text(rng: &mut Rng, text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let (head, tail) = letters.split_at(rng.usize(..=letters.len()));
    let text_of = |letters: &[char]| letters.iter().collect::<String>();
    match rng.u8(..5) {
        0 => text_of(head),
        1 => text_of(tail),
        2 => format!("{}{}{}", text_of(head), rng.char(..), text_of(tail)),
        3 => text.repeat(rng.usize(2..40)),
        _ => format!("{} {}", text_of(tail), text_of(head)),
    }
}

/// What no writer of JSON writes: broken escapes, huge numbers, the same key twice, bytes that are no text.
const SNIPPETS: [&[u8]; 24] = [
    b"\\ud800",
    b"\\udfff\\ud83d",
    b"\\u0000",
    b"\\ud83d\\ude00",
    b"\\x",
    b"\\",
    b"\"",
    b"\xff\xfe",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\0",
    b"1e999",
    b"-0",
    b"123456789012345678901234567890",
    b"0.1e-400",
    b"01",
    b"NaN",
    b"null",
    b",",
    b"\"type\":\"text\",\"type\":\"image\",",
    b"\"model\":\"claude-opus-5-5\",",
    b"}{",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b"\xef\xbb\xbf",
];

/// Changes the bytes, preferably where something ends.
pub(crate) fn rewritten(rng: &mut Rng, input: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    let ends: Vec<usize> = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| b"\"{}[],:\n".contains(byte))
        .map(|(place, _)| place)
        .collect();
    let anywhere = rng.usize(..=bytes.len());
    let place = match rng.choice(&ends) {
        Some(end) if rng.u8(..4) > 0 => *end + rng.usize(..2),
        _ => anywhere,
    };
    match rng.u8(..7) {
        0..=2 => {
            let snippet = rng.choice(SNIPPETS).unwrap_or_default();
            bytes.splice(place..place, snippet.iter().copied());
        }
        3 => bytes.truncate(place),
        4 => {
            let end = (place + rng.usize(1..20)).min(bytes.len());
            bytes.drain(place..end);
        }
        5 => bytes
            .splice(place..place, std::iter::repeat_n(b'[', rng.usize(1..3_000)))
            .for_each(drop),
        _ => {
            if let Some(byte) = bytes.get_mut(place) {
                *byte = rng.u8(..);
            }
        }
    }
    bytes
}
