//! What an error object of the upstream says: its word, its status, its deepest message.
//!
//! OpenRouter, Anthropic, Google and vLLM each wrap errors in another way, and OpenRouter wraps those of the
//! others once more, as JSON text inside JSON text.
//! This file must not know what follows from it.

use serde_json::Value;

use crate::protocol::json_text::whole_characters;

/// What is shown of a message that is no JSON.
const LONGEST: usize = 1200;

/// The error object of a body: one of OpenRouter's or Anthropic's, of other servers, or a list around one (Google).
pub(super) fn error_of_body(body: &Value) -> Option<&Value> {
    let body = body
        .as_array()
        .and_then(|list| list.first())
        .unwrap_or(body);
    match body.get("error").filter(|error| says_something(error)) {
        None => {
            let says_something = body.get("message").or_else(|| body.get("detail"));
            let is_completion = body.get("choices").is_some();
            (says_something.is_some() && !is_completion).then_some(body)
        }
        Some(error) => Some(error),
    }
}

/// Some servers write the field into every answer.
fn says_something(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.trim().is_empty(),
        _ => true,
    }
}

/// The upstream's word for the error.
pub(super) fn code_of(error: &Value) -> String {
    let words = [
        &error["metadata"]["error_type"],
        &error["error_type"],
        &error["availability"]["code"],
        &error["code"],
        &error["type"],
    ];
    let word = words.into_iter().find_map(Value::as_str);
    match word {
        Some(word) => word.to_owned(),
        None => error["code"]
            .as_u64()
            .map_or_else(|| "error".to_owned(), |code| code.to_string()),
    }
}

/// The status that an error means. Inside a 200 its own code counts, or its word.
pub(super) fn status_of(http_status: u16, error: &Value, word: &str) -> u16 {
    match word {
        "provider_overloaded" | "overloaded_error" => return 529,
        // OpenAI says it with a 429, which no wait ends.
        "insufficient_quota" => return 402,
        _ => {}
    }
    if (400..600).contains(&http_status) {
        return http_status;
    }
    let code = &error["code"];
    let number = code
        .as_u64()
        .or_else(|| code.as_str().and_then(|code| code.parse().ok()));
    if let Some(number) = number.and_then(|number| u16::try_from(number).ok())
        && (400..600).contains(&number)
    {
        return number;
    }
    status_of_word(word)
}

fn status_of_word(word: &str) -> u16 {
    match word {
        "authentication" | "authentication_error" | "invalid_api_key" => 401,
        "payment_required" | "insufficient_quota" | "billing_error" => 402,
        "permission_denied" | "permission_error" | "region_restricted" => 403,
        "not_found"
        | "image_not_found"
        | "not_found_error"
        | "model_not_found"
        | "no_endpoints"
        | "model_deprecated"
        | "model_unavailable_upstream"
        | "privacy_restricted"
        | "constraint_filtered"
        | "free_variant_ended" => 404,
        "payload_too_large" | "request_too_large" => 413,
        "rate_limit_exceeded" | "rate_limit_error" | "capacity_exhausted" => 429,
        "timeout" | "timeout_error" => 504,
        "temporarily_unavailable" => 503,
        "server" | "unmapped" | "server_error" | "api_error" | "internal_error" => 500,
        "invalid_request"
        | "invalid_request_error"
        | "invalid_prompt"
        | "refusal"
        | "context_length_exceeded"
        | "max_tokens_exceeded"
        | "token_limit_exceeded"
        | "string_too_long"
        | "content_policy_violation"
        | "wrong_endpoint"
        | "unprocessable"
        | "precondition_failed" => 400,
        word if word.contains("image") => 400,
        _ => 502,
    }
}

/// What went wrong, in the words of whoever knows best: the deepest message that the provider sent.
pub(super) fn message_of(error: &Value, status: u16) -> String {
    let metadata = &error["metadata"];
    let of_previous = metadata["previous_errors"]
        .as_array()
        .and_then(|errors| errors.last())
        .and_then(|previous| deepest(&previous["raw"], 0));
    let of_provider = deepest(&metadata["raw"], 0).or(of_previous);
    let of_error = || deepest(error, 0);
    of_provider
        .or_else(of_error)
        .unwrap_or_else(|| format!("the upstream answered with status {status} and no reason"))
}

/// The deepest message in a value that may be a JSON text in a JSON text.
fn deepest(value: &Value, depth: usize) -> Option<String> {
    if depth > 8 {
        return None;
    }
    match value {
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => match serde_json::from_str::<Value>(&whole_characters(text)) {
            Ok(inner) if inner.is_object() || inner.is_array() => deepest(&inner, depth + 1),
            _ => Some(quoted(text)),
        },
        Value::Array(list) => list.iter().find_map(|inner| deepest(inner, depth + 1)),
        Value::Object(fields) => ["error", "message", "detail", "msg", "error_message"]
            .into_iter()
            .filter_map(|field| fields.get(field))
            .find_map(|inner| deepest(inner, depth + 1)),
        _ => None,
    }
}

fn quoted(text: &str) -> String {
    let text = text.trim();
    let end = text.floor_char_boundary(LONGEST);
    text.get(..end).unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_error_is_found_wherever_servers_put_it() {
        let error = json!({"message": "no"});
        for (body, expected) in [
            (json!({"error": error}), Some(&error)),
            (json!([{"error": error}]), Some(&error)),
            (json!({"message": "no"}), Some(&error)),
            (json!({"message": "no", "error": null}), None),
            (json!({"message": "no", "choices": []}), None),
            (json!({"choices": []}), None),
            (json!({"data": []}), None),
        ] {
            let found = error_of_body(&body);
            match expected {
                Some(expected) => assert_eq!(found, Some(expected), "{body}"),
                None => assert_eq!(found.filter(|found| *found != &body), None, "{body}"),
            }
        }
        assert_eq!(
            error_of_body(&json!({"message": "no", "choices": []})),
            None
        );
        assert_eq!(error_of_body(&json!({"data": []})), None);
    }

    #[test]
    fn words_stand_for_statuses() {
        for (word, status) in [
            ("permission_denied", 403),
            ("no_endpoints", 404),
            ("payload_too_large", 413),
            ("request_too_large", 413),
            ("rate_limit_exceeded", 429),
            ("server", 500),
            ("invalid_prompt", 400),
            ("bad_image_url", 400),
            ("provider_unavailable", 502),
            ("temporarily_unavailable", 503),
            ("timeout", 504),
            ("a word of tomorrow", 502),
        ] {
            assert_eq!(status_of_word(word), status, "{word}");
        }
    }

    #[test]
    fn the_word_that_says_most_is_taken() {
        for (error, word) in [
            (
                json!({"metadata":{"error_type":"a"},"error_type":"b","code":"c"}),
                "a",
            ),
            (json!({"error_type":"b","availability":{"code":"c"}}), "b"),
            (json!({"availability":{"code":"c"},"code":"d"}), "c"),
            (json!({"code":"d","type":"e"}), "d"),
            (json!({"code":429,"type":"e"}), "e"),
            (json!({"code":429}), "429"),
            (json!({"message":"m"}), "error"),
        ] {
            assert_eq!(code_of(&error), word, "{error}");
        }
    }

    #[test]
    fn a_status_is_the_answers_then_the_codes_then_the_words() {
        for (http, error, word, status) in [
            (404, json!({"code":500}), "x", 404),
            (599, json!({}), "x", 599),
            (400, json!({}), "server", 400),
            (500, json!({}), "provider_overloaded", 529),
            (500, json!({}), "overloaded_error", 529),
            (200, json!({"code":429}), "x", 429),
            (200, json!({"code":"429"}), "x", 429),
            (200, json!({"code":399}), "server", 500),
            (200, json!({"code":600}), "server", 500),
            (200, json!({"code":4_000_000}), "timeout", 504),
            (399, json!({}), "timeout", 504),
            (600, json!({}), "timeout", 504),
        ] {
            assert_eq!(
                status_of(http, &error, word),
                status,
                "{http} {error} {word}"
            );
        }
    }

    #[test]
    fn words_of_every_kind_stand_for_statuses() {
        for (words, status) in [
            (
                &["authentication", "authentication_error", "invalid_api_key"][..],
                401,
            ),
            (
                &["payment_required", "insufficient_quota", "billing_error"],
                402,
            ),
            (&["permission_error", "region_restricted"], 403),
            (
                &["image_not_found", "model_not_found", "free_variant_ended"],
                404,
            ),
            (&["rate_limit_error", "capacity_exhausted"], 429),
            (&["timeout_error"], 504),
            (
                &["unmapped", "server_error", "api_error", "internal_error"],
                500,
            ),
            (
                &["context_length_exceeded", "precondition_failed", "image"],
                400,
            ),
            (&["", "500"], 502),
        ] {
            for word in words {
                assert_eq!(status_of_word(word), status, "{word}");
            }
        }
    }

    #[test]
    fn the_message_is_the_providers_then_the_last_attempts_then_the_errors() {
        let previous = json!([{"raw":"first"},{"raw":"last"}]);
        for (error, message) in [
            (
                json!({"message":"m","metadata":{"raw":"r","previous_errors":previous}}),
                "r",
            ),
            (
                json!({"message":"m","metadata":{"raw":" ","previous_errors":previous}}),
                "last",
            ),
            (
                json!({"message":"m","metadata":{"previous_errors":[]}}),
                "m",
            ),
            (
                json!({"code":5}),
                "the upstream answered with status 418 and no reason",
            ),
        ] {
            assert_eq!(message_of(&error, 418), message, "{error}");
        }
    }

    #[test]
    fn the_deepest_message_is_found_in_every_shape() {
        for (value, message) in [
            (json!(" said "), Some("said")),
            (json!("5"), Some("5")),
            (json!("[\"listed\"]"), Some("listed")),
            (json!("{\"detail\":\"inside\"}"), Some("inside")),
            (json!({"error":" ","message":"m"}), Some("m")),
            (json!({"error":{"code":5},"msg":"m"}), Some("m")),
            (json!({"error_message":"m"}), Some("m")),
            (json!([{"loc":1},{"msg":"second"}]), Some("second")),
            (json!({"other":"m"}), None),
            (json!(5), None),
            (json!(""), None),
        ] {
            assert_eq!(deepest(&value, 0).as_deref(), message, "{value}");
        }
        let long = json!("é".repeat(LONGEST));
        assert_eq!(deepest(&long, 0).unwrap(), "é".repeat(LONGEST / 2));
    }

    #[test]
    fn a_message_is_looked_for_eight_levels_deep() {
        let nested =
            |levels: usize| (0..levels).fold(json!("deep"), |inner, _| json!({ "error": inner }));
        assert_eq!(deepest(&nested(8), 0).as_deref(), Some("deep"));
        assert_eq!(deepest(&nested(9), 0), None);
        let listed = |levels: usize| (0..levels).fold(json!("deep"), |inner, _| json!([inner]));
        assert_eq!(deepest(&listed(8), 0).as_deref(), Some("deep"));
        assert_eq!(deepest(&listed(9), 0), None);
    }
}
