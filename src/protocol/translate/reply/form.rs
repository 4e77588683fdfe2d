//! Whether an answer has the form that was asked for: its text against the client's JSON Schema.
//!
//! The answer goes out as it is, whatever is found: the client that asked for a form reads it anyway, and a run says
//! what was wrong with it. What is found names places, never what stands there.
//! This file must not know when an answer has ended.

use std::error::Error;

use boon::{Compiler, Schemas, UrlLoader, ValidationError};
use serde_json::Value;

use crate::protocol::json_text;

/// Longer answers are not checked.
const LONGEST: usize = 4 << 20;
/// Under which name the schema is compiled; nothing is ever fetched.
const SCHEMA: &str = "answer:/schema";

/// The form of one answer, and the text so far.
#[derive(Debug)]
pub(super) struct Form {
    schema: String,
    /// Escaped.
    text: String,
    is_too_long: bool,
}

/// Nothing is loaded from anywhere: a schema that refers to another place cannot be checked.
struct Nowhere;

impl UrlLoader for Nowhere {
    fn load(&self, _url: &str) -> Result<Value, Box<dyn Error>> {
        Err("nothing is fetched for a schema".into())
    }
}

impl Form {
    pub(super) fn new(schema: String) -> Self {
        Self {
            schema,
            text: String::new(),
            is_too_long: false,
        }
    }

    /// More of the answer's text was given out.
    pub(super) fn add(&mut self, escaped: &str) {
        if self.text.len() + escaped.len() > LONGEST {
            self.is_too_long = true;
        } else if !self.is_too_long {
            self.text.push_str(escaped);
        }
    }

    /// What is wrong with the answer, in a sentence.
    pub(super) fn fault(&self) -> Option<String> {
        if self.is_too_long {
            return Some("the answer is too long to be checked against its schema".to_owned());
        }
        let text = json_text::unescape(&self.text);
        let Ok(answer) = serde_json::from_str::<Value>(&text) else {
            return Some("the answer is not the JSON that was asked for".to_owned());
        };
        let mut schemas = Schemas::new();
        let Some(schema) = self.compiled(&mut schemas) else {
            return Some(
                "the answer was not checked, because its schema is none or refers to another place"
                    .to_owned(),
            );
        };
        let fault = schemas.validate(&answer, schema).err()?;
        let fault = first(&fault);
        let rule = fault.schema_url.strip_prefix(SCHEMA).unwrap_or_default();
        Some(format!(
            "the answer does not fit the schema that was asked for: `{}` breaks the rule at `{rule}`",
            fault.instance_location
        ))
    }

    fn compiled(&self, schemas: &mut Schemas) -> Option<boon::SchemaIndex> {
        let schema = serde_json::from_str(&self.schema).ok()?;
        let mut compiler = Compiler::new();
        compiler.use_loader(Box::new(Nowhere));
        compiler.add_resource(SCHEMA, schema).ok()?;
        compiler.compile(SCHEMA, schemas).ok()
    }
}

/// The innermost fault: those around it say only that something inside is wrong.
fn first<'f, 's, 'v>(fault: &'f ValidationError<'s, 'v>) -> &'f ValidationError<'s, 'v> {
    fault.causes.first().map_or(fault, first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fault(schema: &str, answer: &str) -> Option<String> {
        let mut form = Form::new(schema.to_owned());
        form.add(&json_text::escaped(answer));
        form.fault()
    }

    const PERSON: &str = r#"{"type":"object","properties":{"name":{"type":"string","minLength":2},"tags":{"type":"array","items":{"enum":["a","b"]}}},"required":["name"],"additionalProperties":false}"#;

    #[test]
    fn an_answer_that_fits_has_no_fault() {
        assert_eq!(fault(PERSON, r#"{"name":"Åse","tags":["a"]}"#), None);
        assert_eq!(fault("true", " 7\n"), None);
        let recursive = r##"{"$defs":{"n":{"type":"object","properties":{"next":{"$ref":"#/$defs/n"}}}},"$ref":"#/$defs/n"}"##;
        assert_eq!(fault(recursive, r#"{"next":{"next":{}}}"#), None);
    }

    #[test]
    fn a_fault_names_the_place_and_the_rule_and_not_what_was_said() {
        let said = fault(PERSON, r#"{"name":"ok","tags":["a","secret"]}"#).unwrap();
        assert!(
            said.contains("`/tags/1`") && said.contains("#/properties/tags/items"),
            "{said}"
        );
        assert!(!said.contains("secret"), "{said}");
        assert!(fault(PERSON, "{}").is_some());
        assert!(fault(PERSON, r#"{"name":"ok","more":1}"#).is_some());
        let fenced = fault(PERSON, "```json\n{}\n```").unwrap();
        assert_eq!(fenced, "the answer is not the JSON that was asked for");
    }

    #[test]
    fn a_schema_that_refers_elsewhere_is_not_followed() {
        for schema in [
            r#"{"$ref":"file:///etc/hostname"}"#,
            r#"{"$ref":"https://example.org/schema"}"#,
            r#"{"$schema":"https://example.org/other"}"#,
            r#"{"type":"nothing"}"#,
            "7",
        ] {
            assert!(
                fault(schema, "{}").unwrap().contains("not checked"),
                "{schema}"
            );
        }
    }

    #[test]
    fn four_megabytes_are_checked_and_one_byte_more_is_not() {
        let quoted = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
        for (length, is_checked) in [(LONGEST, true), (LONGEST + 1, false)] {
            let mut form = Form::new(r#"{"type":"string"}"#.to_owned());
            let text = quoted(length);
            let (head, tail) = text.split_at(9);
            form.add(head);
            form.add(tail);
            assert_eq!(form.fault().is_none(), is_checked, "{length}");
            form.add("");
            assert_eq!(form.fault().is_none(), is_checked, "{length}");
        }
        let mut form = Form::new("true".to_owned());
        form.add(&quoted(LONGEST + 1));
        form.add("7");
        assert!(
            form.fault().unwrap().contains("too long"),
            "what came after it is no answer"
        );
    }

    #[test]
    fn an_answer_beyond_all_measure_is_not_kept() {
        let mut form = Form::new("true".to_owned());
        for _ in 0..6 {
            form.add(&"1".repeat(1 << 20));
        }
        assert!(form.text.len() <= LONGEST);
        assert!(form.fault().unwrap().contains("too long"));
    }

    proptest! {
        #[test]
        fn no_schema_and_no_answer_cause_a_panic(
            keyword in prop::sample::select(vec!["$ref","$id","$schema","type","pattern","items","allOf","not","multipleOf","properties","$dynamicRef","patternProperties","format","$anchor","if"]),
            value in prop_oneof![Just("\"#\"".to_owned()), Just("\"#/a\"".to_owned()), Just("0".to_owned()), Just("[]".to_owned()), Just("[{}]".to_owned()), Just("{\"(\":{}}".to_owned()), Just("\"(a{999}){999}\"".to_owned()), "\\PC{0,9}".prop_map(|text| Value::from(text).to_string())],
            answer in prop_oneof![Just("{}".to_owned()), Just("[1]".to_owned()), Just("1e400".to_owned()), "\\PC{0,9}".prop_map(|text| Value::from(text).to_string())],
        ) {
            fault(&format!("{{\"{keyword}\":{value}}}"), &answer);
        }
    }
}
