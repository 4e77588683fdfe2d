//! Patterns of JSON: what must be there, what must not, what is the same in two places.
//!
//! A pattern is JSON. Objects are subsets: what the pattern does not name may be anything. Lists have the same length and
//! match one by one. Everything else is equal, but for the words below, which begin with `@`.
//!
//! | pattern | matches |
//! | --- | --- |
//! | `"@any"` | whatever is there |
//! | `"@absent"` | nothing: the key is not there |
//! | `"@none"` | nothing, or null |
//! | `"@string"`, `"@nonempty"`, `"@int"` | a text, a text or list with something in it, a whole number |
//! | `"@starts:x"`, `"@ends:x"`, `"@contains:x"`, `"@lacks:x"` | a text that does; `contains` and `lacks` ignore case, and an object or list lacks what nothing in it says |
//! | `"@min:5"`, `"@max:5"` | a number |
//! | `"@bind:x"` | anything, the same at every place of the case |
//! | `{"@json": p}` | a text that is JSON as `p` says |
//! | `{"@exact": v}` | exactly `v`, no key more |
//! | `{"@has": [p, …]}`, `{"@has_no": [p, …]}` | a list with, without such items |
//! | `{"@all": [p, …]}`, `{"@any_of": [p, …]}`, `{"@not": p}` | what the patterns say together |

use std::collections::BTreeMap;

use serde_json::Value;

/// The values that `@bind:` has given names.
pub(super) type Bindings = BTreeMap<String, Value>;

/// One place at which a pattern and a value differ.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Difference {
    pub(super) path: String,
    pub(super) expected: String,
    pub(super) got: String,
}

/// Finds where `got` is not as `pattern` says.
pub(super) fn differences(
    pattern: &Value,
    got: Option<&Value>,
    bindings: &mut Bindings,
) -> Vec<Difference> {
    let mut matcher = Matcher {
        bindings,
        found: Vec::new(),
    };
    matcher.compare(pattern, got, "");
    matcher.found
}

struct Matcher<'a> {
    bindings: &'a mut Bindings,
    found: Vec<Difference>,
}

impl Matcher<'_> {
    fn compare(&mut self, pattern: &Value, got: Option<&Value>, path: &str) {
        match (pattern, got) {
            (Value::String(word), got) if word.starts_with('@') => self.word(word, got, path),
            (Value::Object(keys), got) if keys.len() == 1 && is_operator(keys) => {
                self.operator(pattern, keys, got, path);
            }
            (Value::Object(keys), Some(Value::Object(found))) => {
                for (key, pattern) in keys {
                    self.compare(pattern, found.get(key), &format!("{path}/{key}"));
                }
            }
            (Value::Array(patterns), Some(Value::Array(items)))
                if patterns.len() == items.len() =>
            {
                for (at, (pattern, item)) in patterns.iter().zip(items).enumerate() {
                    self.compare(pattern, Some(item), &format!("{path}/{at}"));
                }
            }
            (Value::Array(patterns), Some(Value::Array(items))) => {
                self.differ(path, &format!("{} items: {pattern}", patterns.len()), got);
                for (at, (pattern, item)) in patterns.iter().zip(items).enumerate() {
                    self.compare(pattern, Some(item), &format!("{path}/{at}"));
                }
            }
            (pattern, Some(got)) if is_equal(pattern, got) => {}
            (pattern, got) => self.differ(path, &pattern.to_string(), got),
        }
    }

    fn differ(&mut self, path: &str, expected: &str, got: Option<&Value>) {
        self.found.push(Difference {
            path: if path.is_empty() { "/" } else { path }.to_owned(),
            expected: expected.to_owned(),
            got: got.map_or_else(|| "nothing".to_owned(), Value::to_string),
        });
    }

    fn word(&mut self, word: &str, got: Option<&Value>, path: &str) {
        if let Some(name) = word.strip_prefix("@bind:") {
            return self.bind(name, got, path);
        }
        if !says_so(word, got) {
            self.differ(path, word, got);
        }
    }

    fn bind(&mut self, name: &str, got: Option<&Value>, path: &str) {
        let Some(value) = got else {
            return self.differ(path, &format!("something to call `{name}`"), got);
        };
        match self.bindings.get(name) {
            None => {
                self.bindings.insert(name.to_owned(), value.clone());
            }
            Some(bound) if bound == value => {}
            Some(bound) => {
                let expected = format!("`{name}`, which is {bound}");
                self.differ(path, &expected, got);
            }
        }
    }

    fn operator(
        &mut self,
        whole: &Value,
        keys: &serde_json::Map<String, Value>,
        got: Option<&Value>,
        path: &str,
    ) {
        for (operator, pattern) in keys {
            let patterns = pattern.as_array().map(Vec::as_slice).unwrap_or_default();
            let items = got.and_then(Value::as_array);
            let holds = match operator.as_str() {
                "@exact" => got == Some(pattern),
                "@json" => return self.inner(pattern, got, path),
                "@all" => {
                    patterns
                        .iter()
                        .for_each(|pattern| self.compare(pattern, got, path));
                    return;
                }
                "@any_of" => patterns.iter().any(|pattern| self.fits(pattern, got)),
                "@not" => !self.fits(pattern, got),
                "@has" => items.is_some_and(|items| self.has_all(patterns, items)),
                "@has_no" => {
                    items.is_none_or(|items| !patterns.iter().any(|p| self.is_among(p, items)))
                }
                _ => false,
            };
            if !holds {
                self.differ(path, &whole.to_string(), got);
            }
        }
    }

    fn inner(&mut self, pattern: &Value, got: Option<&Value>, path: &str) {
        let parsed = got
            .and_then(Value::as_str)
            .and_then(|text| serde_json::from_str::<Value>(text).ok());
        match parsed {
            Some(value) => self.compare(pattern, Some(&value), &format!("{path}(json)")),
            None => self.differ(path, &format!("JSON text like {pattern}"), got),
        }
    }

    fn has_all(&mut self, patterns: &[Value], items: &[Value]) -> bool {
        patterns.iter().all(|pattern| self.is_among(pattern, items))
    }

    fn is_among(&mut self, pattern: &Value, items: &[Value]) -> bool {
        items.iter().any(|item| self.fits(pattern, Some(item)))
    }

    /// Whether it matches; what it binds stays bound only then.
    fn fits(&mut self, pattern: &Value, got: Option<&Value>) -> bool {
        let mut tried = self.bindings.clone();
        let fits = differences(pattern, got, &mut tried).is_empty();
        if fits {
            *self.bindings = tried;
        }
        fits
    }
}

fn is_operator(keys: &serde_json::Map<String, Value>) -> bool {
    keys.keys().all(|key| key.starts_with('@'))
}

/// Whether a value is what a word that begins with `@` says.
fn says_so(word: &str, got: Option<&Value>) -> bool {
    let text = got.and_then(Value::as_str);
    let number = got.and_then(Value::as_f64);
    let word = word.strip_prefix('@').unwrap_or(word);
    let (word, argument) = word.split_once(':').unwrap_or((word, ""));
    let lower = argument.to_lowercase();
    let bound = argument.parse::<f64>().unwrap_or(f64::NAN);
    match word {
        "any" => got.is_some(),
        "absent" => got.is_none(),
        "none" => got.is_none_or(Value::is_null),
        "string" => text.is_some(),
        "nonempty" => match got {
            Some(Value::Array(items)) => !items.is_empty(),
            _ => text.is_some_and(|text| !text.is_empty()),
        },
        "int" => got.is_some_and(|got| got.is_u64() || got.is_i64()),
        "starts" => text.is_some_and(|text| text.starts_with(argument)),
        "ends" => text.is_some_and(|text| text.ends_with(argument)),
        "contains" => text.is_some_and(|text| text.to_lowercase().contains(&lower)),
        "lacks" => match got {
            Some(whole @ (Value::Object(_) | Value::Array(_))) => {
                !whole.to_string().to_lowercase().contains(&lower)
            }
            _ => text.is_some_and(|text| !text.to_lowercase().contains(&lower)),
        },
        "min" => number.is_some_and(|number| number >= bound),
        "max" => number.is_some_and(|number| number <= bound),
        _ => false,
    }
}

/// Equal, where `1` and `1.0` are the same number.
fn is_equal(pattern: &Value, got: &Value) -> bool {
    let numbers = pattern.as_f64().zip(got.as_f64());
    pattern == got || numbers.is_some_and(|(one, other)| (one - other).abs() < f64::EPSILON)
}

/// Puts bound values in the places of `"@use:name"`.
///
/// # Errors
/// When nothing has that name.
pub(super) fn substitute(value: &mut Value, bindings: &Bindings) -> Result<(), String> {
    match value {
        Value::String(text) => {
            if let Some(name) = text.strip_prefix("@use:") {
                let bound = bindings.get(name);
                *value = bound
                    .ok_or_else(|| format!("nothing was called `{name}`"))?
                    .clone();
            }
            Ok(())
        }
        Value::Array(items) => items
            .iter_mut()
            .try_for_each(|item| substitute(item, bindings)),
        Value::Object(keys) => keys
            .values_mut()
            .try_for_each(|item| substitute(item, bindings)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(pattern: &Value, got: &Value) -> Vec<String> {
        differences(pattern, Some(got), &mut Bindings::new())
            .into_iter()
            .map(|difference| difference.path)
            .collect()
    }

    #[test]
    fn objects_are_subsets_and_lists_are_not() {
        assert!(paths(&json!({"a": 1}), &json!({"a": 1.0, "b": 2})).is_empty());
        assert_eq!(paths(&json!({"a": [1]}), &json!({"a": [1, 2]})), ["/a"]);
        assert_eq!(paths(&json!({"a": {"b": 1}}), &json!({"a": {}})), ["/a/b"]);
        assert_eq!(paths(&json!([1, 2]), &json!([1, 3])), ["/1"]);
        assert_eq!(
            paths(&json!({"@exact": {"a": 1}}), &json!({"a": 1, "b": 2})),
            ["/"]
        );
    }

    #[test]
    fn every_word_can_fail() {
        let cases = [
            ("@any", json!({"x": null}), json!({})),
            ("@absent", json!({}), json!({"x": null})),
            ("@none", json!({"x": null}), json!({"x": 0})),
            ("@string", json!({"x": ""}), json!({"x": 1})),
            ("@nonempty", json!({"x": "a"}), json!({"x": ""})),
            ("@nonempty", json!({"x": [1]}), json!({"x": []})),
            ("@int", json!({"x": 3}), json!({"x": 3.5})),
            ("@starts:ab", json!({"x": "abc"}), json!({"x": "bab"})),
            ("@ends:bc", json!({"x": "abc"}), json!({"x": "bca"})),
            ("@contains:BC", json!({"x": "abcd"}), json!({"x": "acd"})),
            ("@lacks:b", json!({"x": "ac"}), json!({"x": "aBc"})),
            (
                "@lacks:b",
                json!({"x": {"y": ["a"]}}),
                json!({"x": {"y": ["aB"]}}),
            ),
            ("@min:5", json!({"x": 5}), json!({"x": 4})),
            ("@max:5", json!({"x": 5}), json!({"x": "5"})),
            ("@nonsense", json!(null), json!({"x": 1})),
        ];
        for (word, good, bad) in cases {
            let pattern = json!({ "x": word });
            if !good.is_null() {
                assert!(paths(&pattern, &good).is_empty(), "{word} {good}");
            }
            assert_eq!(paths(&pattern, &bad), ["/x"], "{word} {bad}");
        }
    }

    #[test]
    fn every_operator_can_fail() {
        let cases = [
            (json!({"@json": {"a": 1}}), json!("{\"a\":1}"), json!("{}")),
            (
                json!({"@has": [{"a": 1}]}),
                json!([{"a": 1}, 2]),
                json!([2]),
            ),
            (json!({"@has_no": [2]}), json!([1]), json!([1, 2])),
            (
                json!({"@all": ["@starts:a", "@ends:b"]}),
                json!("ab"),
                json!("ac"),
            ),
            (json!({"@any_of": [1, 2]}), json!(2), json!(3)),
            (json!({"@not": 1}), json!(2), json!(1)),
        ];
        for (pattern, good, bad) in cases {
            assert!(paths(&pattern, &good).is_empty(), "{pattern} {good}");
            assert!(!paths(&pattern, &bad).is_empty(), "{pattern} {bad}");
        }
    }

    #[test]
    fn what_is_bound_is_the_same_everywhere_and_can_be_used() {
        let pattern = json!(["@bind:id", "@bind:id"]);
        assert!(paths(&pattern, &json!(["a", "a"])).is_empty());
        assert_eq!(paths(&pattern, &json!(["a", "b"])), ["/1"]);
        let mut bindings = Bindings::new();
        differences(&pattern, Some(&json!(["a", "a"])), &mut bindings);
        let mut request = json!({"id": "@use:id"});
        substitute(&mut request, &bindings).unwrap();
        assert_eq!(request, json!({"id": "a"}));
        assert!(substitute(&mut json!("@use:other"), &bindings).is_err());
    }
}
