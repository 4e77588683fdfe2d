//! Schemas for Moonshot's models, which want the type of a choice inside each of its alternatives.

use std::borrow::Cow;

use serde_json::Value;

/// Rewrites a schema for Moonshot's models, which want the type of a choice inside each of its alternatives.
#[must_use]
pub fn for_moonshot(schema: &str) -> Cow<'_, str> {
    if !schema.contains("\"anyOf\"") {
        return Cow::Borrowed(schema);
    }
    match serde_json::from_str::<Value>(schema) {
        Ok(mut whole) => {
            push_types_down(&mut whole);
            Cow::Owned(whole.to_string())
        }
        Err(_) => Cow::Borrowed(schema),
    }
}

fn push_types_down(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("anyOf").is_some_and(Value::is_array)
                && let Some(kind) = fields.shift_remove("type")
                && let Some(Value::Array(choices)) = fields.get_mut("anyOf")
            {
                for choice in choices.iter_mut().filter_map(Value::as_object_mut) {
                    if !choice.contains_key("$ref") {
                        choice.entry("type").or_insert_with(|| kind.clone());
                    }
                }
            }
            fields.values_mut().for_each(push_types_down);
        }
        Value::Array(items) => items.iter_mut().for_each(push_types_down),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn moonshot_reads_alternatives_wherever_they_stand() {
        let moonshot = |schema: Value| -> Value {
            serde_json::from_str(&for_moonshot(&schema.to_string())).unwrap()
        };
        for (schema, clean) in [
            (
                json!({"allOf":[{"type":"string","anyOf":[{}]}]}),
                json!({"allOf":[{"anyOf":[{"type":"string"}]}]}),
            ),
            (
                json!({"type":"string","anyOf":[{"anyOf":[{}]}]}),
                json!({"anyOf":[{"anyOf":[{"type":"string"}]}]}),
            ),
            (
                json!({"type":"object","properties":{"anyOf":{"type":"string"}}}),
                json!({"type":"object","properties":{"anyOf":{"type":"string"}}}),
            ),
            (json!({"anyOf":[{}, true]}), json!({"anyOf":[{}, true]})),
        ] {
            assert_eq!(moonshot(schema.clone()), clean, "{schema}");
        }
        assert_eq!(
            for_moonshot("\"anyOf\" and no schema"),
            "\"anyOf\" and no schema"
        );
    }

    #[test]
    fn moonshot_reads_the_type_inside_each_alternative() {
        let schema = r#"{"type":"object","properties":{"x":{"type":"string","anyOf":[{"enum":["a"]},{"type":"null"},{"$ref":"y"}]}}}"#;
        let clean: Value = serde_json::from_str(&for_moonshot(schema)).unwrap();
        let expected =
            json!({"anyOf":[{"enum":["a"],"type":"string"},{"type":"null"},{"$ref":"y"}]});
        assert_eq!(clean["properties"]["x"], expected);
        assert!(matches!(
            for_moonshot(r#"{"type":"object"}"#),
            Cow::Borrowed(_)
        ));
    }
}
