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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hints_are_told_as_far_as_there_are_any() {
        let forbidden = json!({"metadata":{"reasons":["a",7,"b"],"patterns":[],"limit_source":"key","resets_at":5}});
        assert_eq!(permission(&forbidden), " (reasons: a, b) (limit: key)");
        assert_eq!(permission(&json!({})), "");
        let gone =
            json!({"availability":{"code":"c","excluded_by":["x"],"fallback_models":["m","n"]}});
        assert_eq!(
            availability(&gone),
            " (reason: c) (excluded by: x) (available instead: m, n)"
        );
        let credits = " — credits: https://openrouter.ai/settings/credits";
        assert_eq!(billing(&json!({"metadata":{"limit_source":7}})), credits);
        let limited = json!({"metadata":{"limit_source":"key","remedy_hint":"raise it"}});
        assert_eq!(
            billing(&limited),
            format!(" (limit: key) (hint: raise it){credits}")
        );
    }
}
