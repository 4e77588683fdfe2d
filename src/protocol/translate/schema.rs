//! JSON Schemas in the dialect that a model's provider understands.
//!
//! Google takes a subset and refuses a request for one keyword too many; what is lost is told in the description where
//! a model can use it. Strict mode wants every property required and no others, and refuses a schema that says less.
//! This file must not know what the schemas are for.

use std::borrow::Cow;
use std::cell::Cell;

use serde_json::{Map, Value, json};

/// Keywords that Google knows.
const GOOGLES: [&str; 22] = [
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "items",
    "minItems",
    "maxItems",
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "anyOf",
    "propertyOrdering",
    "default",
    "example",
];
/// `format`s that Google knows.
const FORMATS: [&str; 6] = ["enum", "date-time", "int32", "int64", "float", "double"];
/// How often a definition may be put in place of a reference to it, one inside the other.
const DEEPEST_REFERENCE: usize = 4;
/// How deep a schema may be nested, references followed: deeper ones would exhaust the stack.
const DEEPEST: usize = 64;
/// How often altogether: a hostile schema of a hundred references to itself would grow a millionfold.
const MOST_REFERENCES: usize = 200;

/// Rewrites a schema in the subset that Google's models take. A text that is no schema stays as it is.
#[must_use]
pub fn for_google(schema: &str) -> String {
    let Ok(whole) = serde_json::from_str::<Value>(schema) else {
        return schema.to_owned();
    };
    let reader = Reader {
        whole: &whole,
        followed: Cell::new(0),
    };
    reader.clean(&whole, Depth::default()).to_string()
}

/// Says whether a schema may be enforced in strict mode.
#[must_use]
pub fn is_strict(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            let closed = match fields.get("properties") {
                Some(Value::Object(properties)) => {
                    let required = fields.get("required").and_then(Value::as_array);
                    let all = properties.keys().all(|name| {
                        required.is_some_and(|required| required.iter().any(|known| known == name))
                    });
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
        let parts: Vec<Value> = parts.into_iter().map(|part| resolved(&top, part)).collect();
        merge_parts(&mut top, &parts, combiner == "allOf");
    }
    top.insert("type".to_owned(), json!("object"));
    top.entry("properties").or_insert_with(|| json!({}));
    Value::Object(top).to_string()
}

/// A part of a combination, or the definition that it refers to.
fn resolved(top: &Map<String, Value>, part: Value) -> Value {
    let path = part["$ref"]
        .as_str()
        .and_then(|path| path.strip_prefix("#/"));
    let target = path.and_then(|path| {
        let mut steps = path.split('/');
        let first = top.get(steps.next()?)?;
        steps.try_fold(first, |inside, step| inside.get(step))
    });
    target.cloned().unwrap_or(part)
}

fn merge_parts(top: &mut Map<String, Value>, parts: &[Value], all_hold: bool) {
    let properties = top.entry("properties").or_insert_with(|| json!({}));
    if let Some(properties) = properties.as_object_mut() {
        let more = parts
            .iter()
            .filter_map(|part| part["properties"].as_object());
        for (name, schema) in more.flatten() {
            properties
                .entry(name.clone())
                .or_insert_with(|| schema.clone());
        }
    }
    let required = |part: &Value| part["required"].as_array().cloned().unwrap_or_default();
    let named = parts
        .iter()
        .flat_map(required)
        .filter(|name| all_hold || parts.iter().all(|part| required(part).contains(name)));
    let mut all = match top.get("required") {
        Some(Value::Array(names)) => names.clone(),
        _ => Vec::new(),
    };
    for name in named {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    if !all.is_empty() {
        top.insert("required".to_owned(), Value::Array(all));
    }
}

/// How far inside the schema a part of it is.
#[derive(Clone, Copy, Default)]
struct Depth {
    levels: usize,
    references: usize,
}

struct Reader<'v> {
    whole: &'v Value,
    followed: Cell<usize>,
}

impl Reader<'_> {
    fn clean(&self, schema: &Value, depth: Depth) -> Value {
        // `true` and `{}` mean anything, which Google can only be told as an object.
        let anything = json!({ "type": "object" });
        let Value::Object(fields) = schema else {
            return anything;
        };
        let mut inside = Depth {
            levels: depth.levels + 1,
            ..depth
        };
        if inside.levels > DEEPEST {
            return anything;
        }
        if let Some(target) = self.referenced(fields) {
            self.followed.set(self.followed.get() + 1);
            inside.references += 1;
            let few = self.followed.get() <= MOST_REFERENCES;
            return if few && inside.references <= DEEPEST_REFERENCE {
                self.clean(target, inside)
            } else {
                anything
            };
        }
        let mut clean = Map::new();
        for (key, value) in self.merged(fields).iter() {
            self.keyword(&mut clean, key, value, inside);
        }
        tidy(&mut clean);
        Value::Object(clean)
    }

    fn referenced(&self, fields: &Map<String, Value>) -> Option<&Value> {
        let reference = fields.get("$ref")?.as_str()?;
        self.whole.pointer(reference.strip_prefix('#')?)
    }

    /// `allOf` says that all of its parts hold: their keywords are as good as the schema's own.
    fn merged<'m>(&self, fields: &'m Map<String, Value>) -> Cow<'m, Map<String, Value>> {
        let Some(Value::Array(parts)) = fields.get("allOf") else {
            return Cow::Borrowed(fields);
        };
        let mut merged = fields.clone();
        for part in parts {
            let Value::Object(part) = part else { continue };
            let part = match self.referenced(part) {
                Some(Value::Object(target)) => target,
                _ => part,
            };
            for (key, value) in part {
                match (merged.get_mut(key), value) {
                    (Some(Value::Object(own)), Value::Object(more)) => {
                        own.extend(
                            more.iter()
                                .map(|(name, value)| (name.clone(), value.clone())),
                        );
                    }
                    (Some(Value::Array(own)), Value::Array(more)) if key == "required" => {
                        own.extend(more.iter().cloned());
                    }
                    (Some(_), _) => {}
                    (None, value) => {
                        merged.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        Cow::Owned(merged)
    }

    fn keyword(&self, clean: &mut Map<String, Value>, key: &str, value: &Value, depth: Depth) {
        let cleaned_list = |value: &Value| match value {
            Value::Array(items) => items.iter().map(|item| self.clean(item, depth)).collect(),
            _ => Value::Array(Vec::new()),
        };
        match (key, value) {
            ("properties", Value::Object(properties)) => {
                let properties: Map<_, _> = properties
                    .iter()
                    .map(|(name, schema)| (name.clone(), self.clean(schema, depth)))
                    .collect();
                clean.insert(key.to_owned(), Value::Object(properties));
            }
            ("items", Value::Object(_)) => {
                clean.insert(key.to_owned(), self.clean(value, depth));
            }
            ("items", Value::Array(items)) => {
                if let Some(first) = items.first() {
                    clean.insert(key.to_owned(), self.clean(first, depth));
                }
            }
            ("anyOf" | "oneOf", Value::Array(_)) => {
                clean.insert("anyOf".to_owned(), cleaned_list(value));
            }
            ("type", Value::Array(types)) => type_of(clean, types),
            ("const", Value::String(_)) => {
                clean.insert("enum".to_owned(), json!([value]));
            }
            ("const", _) => describe(clean, &format!("Always {value}.")),
            ("enum", Value::Array(values)) if !values.iter().all(Value::is_string) => {
                let listed: Vec<_> = values.iter().map(Value::to_string).collect();
                describe(clean, &format!("One of: {}.", listed.join(", ")));
            }
            ("exclusiveMinimum", Value::Number(_)) => {
                describe(clean, &format!("Greater than {value}."));
            }
            ("exclusiveMaximum", Value::Number(_)) => {
                describe(clean, &format!("Less than {value}."));
            }
            ("multipleOf", Value::Number(_)) => describe(clean, &format!("A multiple of {value}.")),
            ("format", Value::String(format)) if !FORMATS.contains(&format.as_str()) => {
                describe(clean, &format!("Format: {format}."));
            }
            ("description", Value::String(text)) => {
                // What other keywords have told already goes behind it.
                let told = match clean.remove("description") {
                    Some(Value::String(told)) => format!("{text} {told}"),
                    _ => text.clone(),
                };
                clean.insert(key.to_owned(), Value::String(told));
            }
            _ if GOOGLES.contains(&key) => {
                clean.insert(key.to_owned(), value.clone());
            }
            _ => {}
        }
    }
}

fn describe(clean: &mut Map<String, Value>, told: &str) {
    let text = match clean.remove("description") {
        Some(Value::String(text)) => format!("{text} {told}"),
        _ => told.to_owned(),
    };
    clean.insert("description".to_owned(), Value::String(text));
}

fn type_of(clean: &mut Map<String, Value>, types: &[Value]) {
    let real: Vec<&Value> = types.iter().filter(|kind| *kind != "null").collect();
    if real.len() < types.len() {
        clean.insert("nullable".to_owned(), Value::Bool(true));
    }
    match real.as_slice() {
        [] => {}
        [kind] => {
            clean.insert("type".to_owned(), (*kind).clone());
        }
        kinds => {
            let choices = kinds.iter().map(|kind| json!({ "type": kind })).collect();
            clean.insert("anyOf".to_owned(), Value::Array(choices));
        }
    }
}

/// Google refuses a list without `items` and a required property that is not described.
fn tidy(clean: &mut Map<String, Value>) {
    let kind = clean.get("type").and_then(Value::as_str).map(str::to_owned);
    if kind.as_deref() == Some("array") && !clean.contains_key("items") {
        clean.insert("items".to_owned(), json!({ "type": "string" }));
    }
    if clean.contains_key("enum") && kind.is_none() {
        clean.insert("type".to_owned(), json!("string"));
    }
    if let Some(Value::Array(required)) = clean.get("required").cloned() {
        let properties = clean.get("properties").and_then(Value::as_object);
        let mut known: Vec<Value> = Vec::new();
        for name in required {
            let described = name
                .as_str()
                .is_some_and(|name| properties.is_some_and(|all| all.contains_key(name)));
            if described && !known.contains(&name) {
                known.push(name);
            }
        }
        if known.is_empty() {
            clean.remove("required");
        } else {
            clean.insert("required".to_owned(), Value::Array(known));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn google(schema: &Value) -> Value {
        serde_json::from_str(&for_google(&schema.to_string())).unwrap()
    }

    #[test]
    fn what_google_does_not_know_is_said_in_words() {
        for (schema, words) in [
            (json!({"type": "integer", "const": 5}), "Always 5."),
            (json!({"type": "integer", "enum": [1, 2]}), "One of: 1, 2."),
            (
                json!({"type": "number", "exclusiveMinimum": 0}),
                "Greater than 0.",
            ),
            (
                json!({"type": "number", "exclusiveMaximum": 9}),
                "Less than 9.",
            ),
        ] {
            let description = &google(&schema)["description"];
            assert!(
                description
                    .as_str()
                    .is_some_and(|text| text.contains(words)),
                "{description}"
            );
        }
        assert_eq!(
            google(&json!({"type": "string", "const": "a"}))["enum"],
            json!(["a"])
        );
    }

    #[test]
    fn what_google_knows_is_kept_and_everything_inside_is_cleaned() {
        for (schema, clean) in [
            (
                json!({"type":"string","enum":["a"],"format":"date-time","default":"a","x":1}),
                json!({"type":"string","enum":["a"],"format":"date-time","default":"a"}),
            ),
            (
                json!({"type":"integer","enum":["1"]}),
                json!({"type":"integer","enum":["1"]}),
            ),
            (
                json!({"type":"integer","multipleOf":5}),
                json!({"type":"integer","description":"A multiple of 5."}),
            ),
            (
                json!({"type":"integer","exclusiveMinimum":0,"exclusiveMaximum":9,"description":"Few."}),
                json!({"type":"integer","description":"Few. Greater than 0. Less than 9."}),
            ),
            (
                json!({"type":"array","items":{"type":"string","x":1}}),
                json!({"type":"array","items":{"type":"string"}}),
            ),
            (
                json!({"type":"array","items":[{"type":"string","x":1},{"type":"number"}]}),
                json!({"type":"array","items":{"type":"string"}}),
            ),
            (
                json!({"type":"object","properties":{"a":{"type":"string","x":1},"b":true}}),
                json!({"type":"object","properties":{"a":{"type":"string"},"b":{"type":"object"}}}),
            ),
            (
                json!({"anyOf":[{"type":"string","x":1}]}),
                json!({"anyOf":[{"type":"string"}]}),
            ),
            (json!({"type":["string"]}), json!({"type":"string"})),
            (json!({"type":["null"]}), json!({"nullable":true})),
            (
                json!({"type":["string","number","null"]}),
                json!({"nullable":true,"anyOf":[{"type":"string"},{"type":"number"}]}),
            ),
            (
                json!({"type":"object","required":["a","a","b"],"properties":{"a":{"type":"string"}}}),
                json!({"type":"object","required":["a"],"properties":{"a":{"type":"string"}}}),
            ),
            (
                json!({"type":"object","required":["b",7],"properties":{"a":{"type":"string"}}}),
                json!({"type":"object","properties":{"a":{"type":"string"}}}),
            ),
            (
                json!({"type":"object","required":["a"]}),
                json!({"type":"object"}),
            ),
        ] {
            assert_eq!(google(&schema), clean, "{schema}");
        }
        assert_eq!(for_google("no schema"), "no schema");
    }

    #[test]
    fn what_all_parts_say_is_merged_and_the_schemas_own_word_wins() {
        let schema = json!({
            "$defs":{"p":{"required":["b"],"properties":{"b":{"type":"number"}}}},
            "type":"object","description":"own","required":["a"],"enum":["own"],
            "properties":{"a":{"type":"string"},"b":{"type":"string"}},
            "allOf":[true,{"$ref":"#/$defs/p"},{"$ref":"#/nowhere","description":"more","enum":["more"],"maxProperties":3}]
        });
        assert_eq!(
            google(&schema),
            json!({"type":"object","description":"own","required":["a","b"],"enum":["own"],
                "properties":{"a":{"type":"string"},"b":{"type":"number"}},"maxProperties":3})
        );
    }

    #[test]
    fn schemas_are_followed_sixty_four_levels_down_and_four_references_deep() {
        let text = json!({"type":"string"});
        let nested = |levels: usize| {
            (1..levels).fold(
                text.clone(),
                |inner, _| json!({"type":"array","items":inner}),
            )
        };
        assert_eq!(google(&nested(DEEPEST)), nested(DEEPEST));
        let deeper = google(&nested(DEEPEST + 1)).to_string();
        assert!(
            !deeper.contains("string") && deeper.contains("object"),
            "{deeper}"
        );
        let referring = |references: usize| {
            let mut definitions = json!({"0": text});
            for n in 1..references {
                definitions[n.to_string()] = json!({"$ref": format!("#/$defs/{}", n - 1)});
            }
            json!({"$defs": definitions, "$ref": format!("#/$defs/{}", references - 1)})
        };
        assert_eq!(google(&referring(DEEPEST_REFERENCE)), text);
        assert_eq!(
            google(&referring(DEEPEST_REFERENCE + 1)),
            json!({"type":"object"})
        );
    }

    #[test]
    fn two_hundred_references_are_followed_and_no_more() {
        let properties: Map<_, _> = (0..=MOST_REFERENCES)
            .map(|name| (name.to_string(), json!({"$ref":"#/$defs/p"})))
            .collect();
        let schema = json!({"$defs":{"p":{"type":"string"}},"properties":properties});
        let clean = google(&schema);
        let of = |name: usize| clean["properties"][name.to_string()]["type"].clone();
        assert_eq!(of(MOST_REFERENCES - 1), "string");
        assert_eq!(of(MOST_REFERENCES), "object");
    }

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
    fn p13_keywords_that_google_refuses_are_told_in_words() {
        for (schema, clean) in [
            (
                json!({"$schema":"x","type":"object","properties":{"$schema":{"type":"string"}},"additionalProperties":false}),
                json!({"type":"object","properties":{"$schema":{"type":"string"}}}),
            ),
            (
                json!({"type":"integer","exclusiveMinimum":0,"description":"How many.","maximum":9}),
                json!({"type":"integer","description":"How many. Greater than 0.","maximum":9}),
            ),
            (json!({"const":"a"}), json!({"enum":["a"],"type":"string"})),
            (
                json!({"type":"integer","enum":[1,2]}),
                json!({"type":"integer","description":"One of: 1, 2."}),
            ),
            (
                json!({"type":["string","null"],"format":"uri"}),
                json!({"nullable":true,"type":"string","description":"Format: uri."}),
            ),
            (
                json!({"oneOf":[{"type":"string"},{"const":"b"}]}),
                json!({"anyOf":[{"type":"string"},{"enum":["b"],"type":"string"}]}),
            ),
            (
                json!({"type":"array"}),
                json!({"type":"array","items":{"type":"string"}}),
            ),
            (
                json!({"type":"object","required":["a","b"],"properties":{"a":{"type":"string"}},"propertyNames":{}}),
                json!({"type":"object","required":["a"],"properties":{"a":{"type":"string"}}}),
            ),
            (
                json!({"allOf":[{"type":"object","required":["a"]},{"properties":{"a":{"type":"number"}}}]}),
                json!({"type":"object","required":["a"],"properties":{"a":{"type":"number"}}}),
            ),
            (
                json!({"$defs":{"p":{"type":"string"}},"type":"object","properties":{"a":{"$ref":"#/$defs/p"}}}),
                json!({"type":"object","properties":{"a":{"type":"string"}}}),
            ),
        ] {
            assert_eq!(google(&schema), clean, "{schema}");
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_comes_to_an_end() {
        let schema = json!({"type":"object","properties":{"next":{"$ref":"#"}}});
        assert!(google(&schema).to_string().len() < 1000);
        let wide = json!({"$defs":{"n":{"type":"object","properties":{"a":{"$ref":"#/$defs/n"},"b":{"$ref":"#/$defs/n"}}}},"$ref":"#/$defs/n"});
        assert!(google(&wide).to_string().len() < 10_000);
        let deep = format!(
            "{}{}{}",
            r#"{"items":"#.repeat(120),
            r##"{"$ref":"#"}"##,
            "}".repeat(120)
        );
        assert!(for_google(&deep).len() < 10_000);
        let many: Map<_, _> = (0..100)
            .map(|name| (name.to_string(), json!({"$ref":"#"})))
            .collect();
        let hostile = json!({"type":"object","properties":many});
        assert!(google(&hostile).to_string().len() < 2_000_000);
    }

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

    fn schema() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(true)),
            Just(json!({"type":"string"})),
            Just(json!({"$ref":"#"})),
            Just(json!({"$ref":"#/nowhere"})),
            Just(json!({"const":1,"enum":[null]})),
            any::<i32>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let keys = prop::sample::select(vec![
                "properties",
                "items",
                "anyOf",
                "allOf",
                "type",
                "required",
                "const",
                "enum",
                "description",
                "a",
            ]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::vec((keys, inner), 0..5).prop_map(|pairs| pairs
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect::<Map<_, _>>()
                    .into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_schema_makes_it_fail(schema in schema()) {
            let clean = google(&schema);
            prop_assert!(clean.is_object());
            let _ = is_strict(&schema);
        }
    }
}
