//! Schemas that are combined at the top, which no provider takes there, merged into one object.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::names;

/// Merges the schemas that stand under `anyOf`, `oneOf` and `allOf` at the top of a schema into one object: their
/// properties together, required what all of them require (of `allOf`: what any does).
#[must_use]
pub fn with_plain_top(schema: &str) -> String {
    let Ok(Value::Object(mut top)) = serde_json::from_str::<Value>(schema) else {
        return schema.to_owned();
    };
    for combiner in ["allOf", "anyOf", "oneOf"] {
        let Some(Value::Array(parts)) = top.shift_remove(combiner) else {
            continue;
        };
        merge_parts(&mut top, &parts, combiner == "allOf");
    }
    top.insert("type".to_owned(), json!("object"));
    top.entry("properties").or_insert_with(|| json!({}));
    Value::Object(top).to_string()
}

/// A part of a combination, or the definition that it refers to.
fn resolved<'v>(top: &'v Map<String, Value>, part: &'v Value) -> &'v Value {
    let path = part["$ref"]
        .as_str()
        .and_then(|path| path.strip_prefix("#/"));
    let target = path.and_then(|path| {
        let mut steps = path.split('/');
        let first = top.get(steps.next()?)?;
        steps.try_fold(first, |inside, step| inside.get(step))
    });
    target.unwrap_or(part)
}

fn merge_parts(top: &mut Map<String, Value>, parts: &[Value], all_hold: bool) {
    let whole: &Map<String, Value> = top;
    // A definition says nothing new the second time.
    let mut seen = HashSet::new();
    let parts: Vec<&Value> = parts
        .iter()
        .map(|part| resolved(whole, part))
        .filter(|&part| seen.insert(std::ptr::from_ref(part)))
        .collect();
    let properties = more_properties(whole, &parts);
    let required = more_required(whole, &parts, all_hold);
    let own = top.entry("properties").or_insert_with(|| json!({}));
    if let Some(own) = own.as_object_mut() {
        own.extend(properties);
    }
    if required.is_empty() {
        return;
    }
    match top.get_mut("required") {
        Some(Value::Array(own)) => own.extend(required),
        _ => {
            top.insert("required".to_owned(), Value::Array(required));
        }
    }
}

/// The properties of the parts that the schema itself has not.
fn more_properties(top: &Map<String, Value>, parts: &[&Value]) -> Map<String, Value> {
    let own = top.get("properties").and_then(Value::as_object);
    let mut more = Map::new();
    let described = parts
        .iter()
        .filter_map(|part| part["properties"].as_object());
    for (name, schema) in described.flatten() {
        let is_known = own.is_some_and(|own| own.contains_key(name)) || more.contains_key(name);
        if !is_known {
            more.insert(name.clone(), schema.clone());
        }
    }
    more
}

/// The names that the parts require and the schema itself does not.
fn more_required(top: &Map<String, Value>, parts: &[&Value], all_hold: bool) -> Vec<Value> {
    let required: Vec<HashSet<&str>> = parts
        .iter()
        .map(|part| names(part.get("required")).collect())
        .collect();
    let mut known: HashSet<&str> = names(top.get("required")).collect();
    // What all parts require, the first requires too.
    let asked = if all_hold {
        parts
    } else {
        parts.get(..1).unwrap_or_default()
    };
    asked
        .iter()
        .flat_map(|part| names(part.get("required")))
        .filter(|&name| {
            known.insert(name) && (all_hold || required.iter().all(|part| part.contains(name)))
        })
        .map(Value::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combined_schemas_at_the_top_become_one() {
        let merged = |schema: Value| -> Value {
            serde_json::from_str(&with_plain_top(&schema.to_string())).unwrap()
        };
        let part = |name: &str, required: Value| json!({"type":"object","properties":{name:{"type":"string"}},"required":required});
        let choice = json!({"anyOf":[part("a", json!(["a","c"])), part("b", json!(["c"]))]});
        assert_eq!(
            merged(choice),
            json!({"properties":{"a":{"type":"string"},"b":{"type":"string"}},"required":["c"],"type":"object"})
        );
        let sum = json!({"required":["z"],"allOf":[part("a", json!(["a"])), {"$ref":"#/$defs/p"}],"$defs":{"p":part("b", json!(["b"]))}});
        assert_eq!(merged(sum)["required"], json!(["z", "a", "b"]));
        let own = json!({"properties":{"a":{"type":"number"}},"required":["a"],"allOf":[part("a", json!(["a","b"])),{"$ref":"#/no/where"}]});
        assert_eq!(
            merged(own),
            json!({"properties":{"a":{"type":"number"}},"required":["a","b"],"type":"object"})
        );
        assert_eq!(with_plain_top("[]"), "[]");
        assert_eq!(
            merged(json!({"oneOf":7})),
            json!({"type":"object","properties":{}})
        );
    }

    #[test]
    fn many_names_and_many_references_at_the_top_are_merged_like_few() {
        let merged = |schema: Value| -> Value {
            serde_json::from_str(&with_plain_top(&schema.to_string())).unwrap()
        };
        let few = json!({"required":["z"],"anyOf":[{"required":["b","z","a","a"]},{"required":["a","b","c"]}]});
        assert_eq!(
            merged(few),
            json!({"type":"object","properties":{},"required":["z","b","a"]})
        );
        let names: Vec<String> = (0..10_000).map(|name| name.to_string()).collect();
        for combiner in ["anyOf", "allOf"] {
            let part = json!({"required":names});
            assert_eq!(
                merged(json!({combiner:[part, part]})),
                json!({"type":"object","properties":{},"required":names})
            );
        }
        let big: Map<_, _> = (0..1000)
            .map(|name| {
                let word = json!({"type":"string","description":"A word of the language."});
                (name.to_string(), word)
            })
            .collect();
        let definitions = json!({"big":{"properties":big,"required":["1"]}});
        let references = vec![json!({"$ref":"#/$defs/big"}); 2000];
        assert_eq!(
            merged(json!({"anyOf":references,"$defs":definitions})),
            json!({"type":"object","properties":big,"required":["1"],"$defs":definitions})
        );
    }
}
