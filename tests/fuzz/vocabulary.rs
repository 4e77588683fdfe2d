//! The words of the corpus: what a mutation can say that is understood, at the wrong place.

use fastrand::Rng;
use serde_json::{Value, json};

/// Texts longer than this are no words.
const LONGEST_WORD: usize = 40;

/// Keys, short texts and whole subtrees of the corpus.
pub(crate) struct Vocabulary {
    keys: Vec<String>,
    words: Vec<String>,
    trees: Vec<Value>,
}

impl Vocabulary {
    /// Collects the words of these documents, whether they are JSON or streams of it.
    pub(crate) fn of(documents: &[Vec<u8>]) -> Self {
        let mut vocabulary = Self {
            keys: Vec::new(),
            words: Vec::new(),
            trees: Vec::new(),
        };
        for document in documents {
            let text = String::from_utf8_lossy(document);
            match serde_json::from_str(&text) {
                Ok(value) => vocabulary.collect(&value),
                Err(_) => text
                    .lines()
                    .filter_map(|line| line.strip_prefix("data: "))
                    .filter_map(|data| serde_json::from_str(data).ok())
                    .for_each(|value| vocabulary.collect(&value)),
            }
        }
        vocabulary.keys.sort();
        vocabulary.keys.dedup();
        vocabulary.words.sort();
        vocabulary.words.dedup();
        vocabulary
    }

    fn collect(&mut self, value: &Value) {
        match value {
            Value::String(text) if text.len() <= LONGEST_WORD => self.words.push(text.clone()),
            Value::Array(items) => {
                self.trees.push(value.clone());
                items.iter().for_each(|item| self.collect(item));
            }
            Value::Object(fields) => {
                self.trees.push(value.clone());
                for (key, field) in fields {
                    self.keys.push(key.clone());
                    self.collect(field);
                }
            }
            _ => {}
        }
    }

    /// A key that means something somewhere.
    pub(crate) fn key(&self, rng: &mut Rng) -> String {
        rng.choice(&self.keys).cloned().unwrap_or_default()
    }

    /// A value: a word of the corpus, a part of it, or one that is seldom thought of.
    pub(crate) fn value(&self, rng: &mut Rng) -> Value {
        match rng.u8(..4) {
            0 => rng.choice(&self.words).cloned().into(),
            1 => rng.choice(&self.trees).cloned().unwrap_or_default(),
            _ => odd_value(rng),
        }
    }
}

fn odd_value(rng: &mut Rng) -> Value {
    let text = |text: &str| Value::from(text);
    match rng.u8(..24) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(u64::MAX),
        5 => json!(i64::MIN),
        6 => json!(1e308),
        7 => json!(0.1),
        8 => json!([]),
        9 => json!({}),
        10 => json!([null]),
        11 => json!({ "": null }),
        12 => text(""),
        13 => text(" \n\t"),
        14 => text("\u{0}\u{1}\u{7f}"),
        15 => text("\u{2028}\u{feff}\u{202e}"),
        16 => text("äöü €😀 e\u{301}"),
        17 => text("\"\\/{}[]data: \n\nevent: error\n\n"),
        18 => text("[DONE]"),
        19 => "long ".repeat(2_000).into(),
        20 => "\u{10ffff}".repeat(100).into(),
        21 => text("dgw_x0_ZnVuY3Rpb25zLkJhc2g6MA"),
        22 => text("</antml></thinking>"),
        _ => nested(rng.usize(1..150)),
    }
}

/// A value in so many lists and objects.
fn nested(depth: usize) -> Value {
    (0..depth).fold(json!("deep"), |inner, level| {
        if level % 2 == 0 {
            json!([inner])
        } else {
            json!({ "a": inner })
        }
    })
}
