//! Whether a schema says all that strict mode wants said.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::names;

/// Says whether a schema may be enforced in strict mode.
#[must_use]
pub fn is_strict(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            let closed = match fields.get("properties") {
                Some(Value::Object(properties)) => {
                    let required: HashSet<&str> = names(fields.get("required")).collect();
                    let all = properties
                        .keys()
                        .all(|name| required.contains(name.as_str()));
                    all && fields.get("additionalProperties") == Some(&Value::Bool(false))
                }
                Some(_) => false,
                None => fields.get("type") != Some(&json!("object")),
            };
            closed && fields.values().all(is_strict)
        }
        Value::Array(items) => items.iter().all(is_strict),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strictness_needs_every_property_required_and_no_others() {
        for (schema, strict) in [
            (
                json!({"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}),
                true,
            ),
            (
                json!({"type":"object","properties":{"a":{"type":"string"}},"required":[],"additionalProperties":false}),
                false,
            ),
            (
                json!({"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}),
                false,
            ),
            (json!({"type":"object"}), false),
            (
                json!({"type":"array","items":{"type":"object","properties":{}}}),
                false,
            ),
            (json!({"type":"string"}), true),
            (json!({"properties":7}), false),
            (json!({"anyOf":[{"type":"object"}]}), false),
            (json!({"anyOf":[{"type":"string"}]}), true),
            (
                json!({"type":"object","properties":{"a":{"type":"object"}},"required":["a"],"additionalProperties":false}),
                false,
            ),
            (
                json!({"type":"object","properties":{},"additionalProperties":true}),
                false,
            ),
            (
                json!({"type":"object","properties":{},"additionalProperties":false}),
                true,
            ),
        ] {
            assert_eq!(is_strict(&schema), strict, "{schema}");
        }
    }
}
