//! What the upstream tells of its server tools' calls: JSON in a string, or JSON.
//!
//! This file must not know which tools there are.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::protocol::json_text;

/// Reads the arguments or the result of a call; `None` when they have another shape.
pub(super) fn read<T: DeserializeOwned>(told: &RawValue) -> Option<T> {
    match json_text::body(told) {
        Some(escaped) => serde_json::from_str(&json_text::unescape(escaped)).ok(),
        None => serde_json::from_str(told.get()).ok(),
    }
}
