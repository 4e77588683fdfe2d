//! Schemas in the subset that Google's models take.
//!
//! What has no place in it is told in the description. References are followed, because Google knows none, but no further
//! than a hostile schema may make it grow.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::names;

/// Keywords that Google knows.
const GOOGLE_KEYWORDS: [&str; 22] = [
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
const GOOGLE_FORMATS: [&str; 6] = ["enum", "date-time", "int32", "int64", "float", "double"];
/// How often a definition may be put in place of a reference to it, one inside the other.
const DEEPEST_REFERENCE: usize = 4;
/// How deep a schema may be nested, references followed: deeper ones would exhaust the stack.
const DEEPEST: usize = 64;
/// How often altogether: a hostile schema of a hundred references to itself would grow a millionfold.
const MOST_REFERENCES: usize = 200;
/// What is told of a definition that is not put in place of a reference to it.
const KEPT_UNEXPANDED: [&str; 4] = ["type", "enum", "const", "description"];
/// Keywords that say what kind of value is meant.
const SHAPES: [&str; 7] = [
    "type",
    "enum",
    "const",
    "anyOf",
    "oneOf",
    "items",
    "properties",
];

/// A schema in the subset that Google's models take.
#[derive(Debug)]
pub struct GoogleSchema {
    /// The schema.
    pub text: String,
    /// Whether it was too deep, or referred to too much, to be told to its end.
    pub is_cut: bool,
}

/// Rewrites a schema in the subset that Google's models take. A text that is no schema stays as it is.
#[must_use]
pub fn for_google(schema: &str) -> GoogleSchema {
    let Ok(whole) = serde_json::from_str::<Value>(schema) else {
        return GoogleSchema {
            text: schema.to_owned(),
            is_cut: false,
        };
    };
    let reader = Reader {
        whole: &whole,
        followed: Cell::new(0),
        is_cut: Cell::new(false),
    };
    let text = reader.clean(&whole, Depth::default()).to_string();
    GoogleSchema {
        text,
        is_cut: reader.is_cut.get(),
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
    is_cut: Cell<bool>,
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
            self.is_cut.set(true);
            return anything;
        }
        if let Some(target) = self.referenced(fields) {
            inside.references += 1;
            let follows = self.may_follow(inside);
            return match target {
                Value::Object(target) if !follows => {
                    let mut told = self.glance(target);
                    shape(&mut told);
                    self.keywords(&told, inside)
                }
                _ => self.clean(target, inside),
            };
        }
        let merged = self.merged(fields, &mut inside);
        self.keywords(&merged, inside)
    }

    fn keywords(&self, fields: &Map<String, Value>, depth: Depth) -> Value {
        let mut clean = Map::new();
        for (key, value) in fields {
            self.keyword(&mut clean, key, value, depth);
        }
        tidy(&mut clean);
        Value::Object(clean)
    }

    fn referenced(&self, fields: &Map<String, Value>) -> Option<&Value> {
        let reference = fields.get("$ref")?.as_str()?;
        self.whole.pointer(reference.strip_prefix('#')?)
    }

    /// Counts a reference, and says whether it is still followed.
    fn may_follow(&self, depth: Depth) -> bool {
        self.followed.set(self.followed.get() + 1);
        let few = self.followed.get() <= MOST_REFERENCES;
        let follows = few && depth.references <= DEEPEST_REFERENCE;
        if !follows {
            self.is_cut.set(true);
        }
        follows
    }

    /// What a definition says of itself, without what is inside it.
    fn glance(&self, target: &Map<String, Value>) -> Map<String, Value> {
        // A long description must not be repeated without end. A type is short.
        let few = self.followed.get() <= 2 * MOST_REFERENCES;
        let mut told = Map::new();
        for key in KEPT_UNEXPANDED {
            let Some(value) = target.get(key) else {
                continue;
            };
            let is_short = key == "type" && value.as_str().is_some_and(|kind| kind.len() < 10);
            if is_short || (few && is_plain(value)) {
                told.insert(key.to_owned(), value.clone());
            }
        }
        told
    }

    /// `allOf` says that all of its parts hold: their keywords are as good as the schema's own.
    fn merged<'m>(
        &self,
        fields: &'m Map<String, Value>,
        depth: &mut Depth,
    ) -> Cow<'m, Map<String, Value>> {
        let Some(Value::Array(parts)) = fields.get("allOf") else {
            return Cow::Borrowed(fields);
        };
        let mut merged = fields.clone();
        let mut is_cut = false;
        let references = depth.references + 1;
        for part in parts {
            let Value::Object(part) = part else { continue };
            let Some(Value::Object(target)) = self.referenced(part) else {
                merge(&mut merged, part);
                continue;
            };
            depth.references = references;
            if self.may_follow(*depth) {
                merge(&mut merged, target);
            } else {
                merge(&mut merged, &self.glance(target));
                is_cut = true;
            }
        }
        if is_cut {
            shape(&mut merged);
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
            ("format", Value::String(format)) if !GOOGLE_FORMATS.contains(&format.as_str()) => {
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
            _ if GOOGLE_KEYWORDS.contains(&key) => {
                clean.insert(key.to_owned(), value.clone());
            }
            _ => {}
        }
    }
}

fn merge(merged: &mut Map<String, Value>, part: &Map<String, Value>) {
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

/// Calls an object what does not say what kind of value is meant.
fn shape(fields: &mut Map<String, Value>) {
    if !SHAPES.iter().any(|key| fields.contains_key(*key)) {
        fields.insert("type".to_owned(), json!("object"));
    }
}

/// Says whether nothing is nested in what a keyword says, but for a list.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Object(_) => false,
        Value::Array(items) => !items.iter().any(|item| item.is_object() || item.is_array()),
        _ => true,
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
    if let Some(required @ Value::Array(_)) = clean.get("required").cloned() {
        let properties = clean.get("properties").and_then(Value::as_object);
        let mut seen = HashSet::new();
        let described = |name: &&str| properties.is_some_and(|all| all.contains_key(*name));
        let known: Vec<Value> = names(Some(&required))
            .filter(|name| described(name) && seen.insert(*name))
            .map(Value::from)
            .collect();
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
    use crate::protocol::translate::schema::is_strict;

    fn google(schema: &Value) -> Value {
        serde_json::from_str(&for_google(&schema.to_string()).text).unwrap()
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
        assert_eq!(for_google("no schema").text, "no schema");
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
        let text = json!({"type":"string","maxLength":9});
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
            json!({"type":"string"})
        );
        assert_eq!(
            google(&referring(DEEPEST_REFERENCE + 2)),
            json!({"type":"object"})
        );
        for (schema, is_cut) in [
            (nested(DEEPEST), false),
            (nested(DEEPEST + 1), true),
            (referring(DEEPEST_REFERENCE), false),
            (referring(DEEPEST_REFERENCE + 1), true),
        ] {
            assert_eq!(for_google(&schema.to_string()).is_cut, is_cut, "{schema}");
        }
    }

    #[test]
    fn what_is_not_followed_any_more_is_told_without_its_inside() {
        let past = |target: Value| {
            let mut definitions = json!({ "0": target });
            for n in 1..=DEEPEST_REFERENCE {
                definitions[n.to_string()] = json!({"$ref": format!("#/$defs/{}", n - 1)});
            }
            let first = format!("#/$defs/{DEEPEST_REFERENCE}");
            google(&json!({"$defs": definitions, "$ref": first}))
        };
        for (target, told) in [
            (
                json!({"type":"string","description":"A day.","enum":["Monday"],"maxLength":9}),
                json!({"type":"string","description":"A day.","enum":["Monday"]}),
            ),
            (
                json!({"type":["string","null"]}),
                json!({"type":"string","nullable":true}),
            ),
            (
                json!({"enum":["a","b"]}),
                json!({"type":"string","enum":["a","b"]}),
            ),
            (json!({"const":"a"}), json!({"type":"string","enum":["a"]})),
            (
                json!({"type":"integer","enum":[1,2]}),
                json!({"type":"integer","description":"One of: 1, 2."}),
            ),
            (
                json!({"type":"object","description":"A node.","required":["a"],"properties":{"a":{"type":"string"}}}),
                json!({"type":"object","description":"A node."}),
            ),
            (
                json!({"properties":{"a":{"type":"string"}}}),
                json!({"type":"object"}),
            ),
            (json!({"enum":[{"a":1}]}), json!({"type":"object"})),
            (json!(true), json!({"type":"object"})),
        ] {
            assert_eq!(past(target.clone()), told, "{target}");
        }
    }

    #[test]
    fn references_inside_all_of_are_counted_like_any_others() {
        let schema = json!({"type":"object","properties":{"left":{"allOf":[{"$ref":"#"}]},"right":{"allOf":[{"$ref":"#"}]}}});
        let clean = google(&schema);
        assert!(clean.to_string().len() < 100_000);
        assert_eq!(clean["type"], "object");
        let deepest =
            (0..DEEPEST_REFERENCE).fold(&clean, |inside, _| &inside["properties"]["left"]);
        assert_eq!(
            deepest["properties"],
            json!({"left":{"type":"object"},"right":{"type":"object"}})
        );
        let cut = json!({"$defs":{"p":{"title":"p"}},"properties":{
            "next":{"allOf":[{"$ref":"#"}]},"other":{"allOf":[{"$ref":"#/$defs/p"},{"type":"string"}]}}});
        let clean = google(&cut);
        let deepest =
            (0..DEEPEST_REFERENCE).fold(&clean, |inside, _| &inside["properties"]["next"]);
        assert_eq!(
            deepest["properties"],
            json!({"next":{"type":"object"},"other":{"type":"string"}})
        );
    }

    #[test]
    fn two_hundred_references_are_followed_and_no_more() {
        let target = json!({"type":"string","description":"A word.","maxLength":9});
        for reference in [
            json!({"$ref":"#/$defs/p"}),
            json!({"allOf":[{"$ref":"#/$defs/p"}]}),
        ] {
            let properties: Map<_, _> = (0..=2 * MOST_REFERENCES)
                .map(|name| (name.to_string(), reference.clone()))
                .collect();
            let clean = google(&json!({"$defs":{"p":target},"properties":properties}));
            let of = |name: usize| clean["properties"][name.to_string()].clone();
            let told = json!({"type":"string","description":"A word."});
            assert_eq!(of(MOST_REFERENCES - 1), target);
            assert_eq!(of(MOST_REFERENCES), told);
            assert_eq!(of(2 * MOST_REFERENCES - 1), told);
            assert_eq!(of(2 * MOST_REFERENCES), json!({"type":"string"}));
        }
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
        assert!(for_google(&deep).text.len() < 10_000);
        let many: Map<_, _> = (0..100)
            .map(|name| (name.to_string(), json!({"$ref":"#"})))
            .collect();
        let hostile = json!({"type":"object","properties":many});
        assert!(google(&hostile).to_string().len() < 2_000_000);
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
