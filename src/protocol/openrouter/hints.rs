//! What an error of the upstream says besides its message, for a human.
//!
//! This file must not know which error needs which hint.

use std::fmt::Write;

use serde_json::Value;

/// Who set the limit and where it is raised.
pub(super) fn billing(error: &Value) -> String {
    let metadata = &error["metadata"];
    let mut hints = String::new();
    for (name, value) in [
        ("limit", &metadata["limit_source"]),
        ("hint", &metadata["remedy_hint"]),
    ] {
        if let Some(value) = value.as_str() {
            let _ = write!(hints, " ({name}: {value})");
        }
    }
    hints.push_str(" — credits: https://openrouter.ai/settings/credits");
    hints
}

/// Why it was forbidden.
pub(super) fn permission(error: &Value) -> String {
    let metadata = &error["metadata"];
    hints([
        ("reasons", &metadata["reasons"]),
        ("patterns", &metadata["patterns"]),
        ("limit", &metadata["limit_source"]),
        ("resets at", &metadata["resets_at"]),
    ])
}

/// Why no endpoint is left and what is there instead.
pub(super) fn availability(error: &Value) -> String {
    let availability = &error["availability"];
    hints([
        ("reason", &availability["code"]),
        ("excluded by", &availability["excluded_by"]),
        ("available instead", &availability["fallback_models"]),
    ])
}

fn hints<const N: usize>(facts: [(&str, &Value); N]) -> String {
    let mut hints = String::new();
    for (name, value) in facts {
        let words = match value {
            Value::String(word) => word.clone(),
            Value::Array(words) => words
                .iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(", "),
            _ => continue,
        };
        if !words.is_empty() {
            let _ = write!(hints, " ({name}: {words})");
        }
    }
    hints
}
