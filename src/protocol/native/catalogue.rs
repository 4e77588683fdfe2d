//! The list of models as a server of the Messages API gives it.

use serde::Deserialize;
use serde_json::Value;

use crate::protocol::openrouter::catalogue::{
    Architecture, Catalogue, Entry, Modalities, Parameters, ReasoningAbility, TopProvider,
};

#[derive(Deserialize)]
struct Page {
    data: Vec<Value>,
}

/// Reads the answer to `GET /v1/models`. What is odd counts as unsaid, and an entry without an id is left out.
///
/// # Errors
/// When it is not JSON with a list called `data`.
pub fn catalogue(answer: &[u8]) -> serde_json::Result<Catalogue> {
    let page: Page = serde_json::from_slice(answer)?;
    Ok(Catalogue::new(page.data.iter().filter_map(entry).collect()))
}

fn entry(model: &Value) -> Option<Entry> {
    let id = model["id"].as_str().filter(|id| !id.is_empty())?;
    let text = |name: &str| model[name].as_str().map(str::to_owned);
    let can = |name: &str| model["capabilities"][name]["supported"].as_bool();
    let created = model["created_at"]
        .as_str()
        .and_then(|time| time.parse::<jiff::Timestamp>().ok())
        .map(jiff::Timestamp::as_second);
    let says_abilities = model["capabilities"].is_object();
    let thinks = can("thinking").unwrap_or(true);
    Some(Entry {
        id: id.to_owned(),
        name: text("display_name"),
        created,
        context_length: model["max_input_tokens"].as_u64(),
        top_provider: Some(TopProvider {
            context_length: model["max_input_tokens"].as_u64(),
            max_completion_tokens: model["max_tokens"].as_u64(),
        }),
        architecture: says_abilities.then(|| Architecture {
            input_modalities: Some(Modalities {
                image: can("image_input").unwrap_or(false),
                file: can("pdf_input").unwrap_or(false),
                ..Modalities::default()
            }),
        }),
        supported_parameters: Some(Parameters {
            tools: true,
            tool_choice: true,
            reasoning: thinks,
            response_format: can("structured_outputs").unwrap_or(false),
            structured_outputs: can("structured_outputs").unwrap_or(false),
            temperature: true,
            top_p: true,
            top_k: true,
            stop: true,
        }),
        reasoning: thinks.then(ReasoningAbility::default),
        expiration_date: text("retires_at"),
        ..Entry::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abilities_count_as_they_are_told_and_thinking_where_nothing_is() {
        let read = |capabilities: Value| {
            let model =
                serde_json::json!({"id":"m","capabilities":capabilities,"retires_at":"2027-01-31"});
            entry(&model).unwrap()
        };
        let bare = read(Value::Null);
        assert_eq!((bare.inputs(), bare.reasoning.is_some()), (None, true));
        assert!(bare.supported_parameters.unwrap().reasoning);
        assert_eq!(bare.expiration_date.as_deref(), Some("2027-01-31"));
        let none = read(serde_json::json!({"thinking":{"supported":false}}));
        let parameters = none.supported_parameters.unwrap();
        assert!(!parameters.reasoning && !parameters.structured_outputs && parameters.tools);
        assert_eq!(
            (none.inputs(), none.reasoning),
            (Some(Modalities::default()), None)
        );
        let all = read(
            serde_json::json!({"pdf_input":{"supported":true},"structured_outputs":{"supported":true}}),
        );
        assert!(all.inputs().unwrap().file && !all.inputs().unwrap().image);
        let parameters = all.supported_parameters.unwrap();
        assert!(parameters.structured_outputs && parameters.response_format);
    }

    #[test]
    fn a_list_of_models_is_read_and_what_is_odd_counts_as_unsaid() {
        let answer = br#"{"data":[
            {"type":"model","id":"claude-sonnet-4-5-20250929","display_name":"Claude Sonnet 4.5","created_at":"2025-09-29T00:00:00Z",
             "max_input_tokens":200000,"max_tokens":64000,"capabilities":{"image_input":{"supported":true},"thinking":{"supported":true}}},
            {"id":"bare","created_at":7}, {"id":""}, {}, 3
        ],"has_more":false}"#;
        let catalogue = catalogue(answer).unwrap();
        let ids: Vec<&str> = catalogue
            .entries()
            .iter()
            .map(|entry| entry.id.as_str())
            .collect();
        assert_eq!(ids, ["claude-sonnet-4-5-20250929", "bare"]);
        let sonnet = catalogue.get("claude-sonnet-4-5-20250929").unwrap();
        assert_eq!(
            (sonnet.context_length, sonnet.max_output()),
            (Some(200_000), Some(64_000))
        );
        assert_eq!(sonnet.created, Some(1_759_104_000));
        assert_eq!(sonnet.name.as_deref(), Some("Claude Sonnet 4.5"));
        let provider = sonnet.top_provider.unwrap();
        assert_eq!(provider.context_length, Some(200_000));
        let parameters = sonnet.supported_parameters.unwrap();
        assert!(parameters.tools && parameters.tool_choice && parameters.stop);
        assert!(parameters.temperature && parameters.top_p && parameters.top_k);
        assert_eq!(sonnet.pricing, None);
        assert!(sonnet.inputs().unwrap().image);
        assert!(super::catalogue(b"{}").is_err());
    }
}
