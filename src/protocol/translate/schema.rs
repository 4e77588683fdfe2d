//! JSON Schemas in the dialect that a model's provider understands.
//!
//! Google takes a subset and refuses a request for one keyword too many; what is lost is told in the description where
//! a model can use it. Strict mode wants every property required and no others, and refuses a schema that says less.
//! This file must not know what the schemas are for.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;

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
/// What is told of a definition that is not put in place of a reference to it.
const TOLD: [&str; 4] = ["type", "enum", "const", "description"];
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
pub struct Googles {
    /// The schema.
    pub text: String,
    /// Whether it was too deep, or referred to too much, to be told to its end.
    pub is_cut: bool,
}

/// Rewrites a schema in the subset that Google's models take. A text that is no schema stays as it is.
#[must_use]
pub fn for_google(schema: &str) -> Googles {
    let Ok(whole) = serde_json::from_str::<Value>(schema) else {
        return Googles {
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
    Googles {
        text,
        is_cut: reader.is_cut.get(),
    }
}

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

fn names(required: Option<&Value>) -> impl Iterator<Item = &str> {
    let all = required.and_then(Value::as_array);
    all.into_iter().flatten().filter_map(Value::as_str)
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
        for key in TOLD {
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
