//! The upstream's catalogue of models: what each can do and what it costs (`GET /models`).
//!
//! OpenRouter adds fields and values without notice, so an entry is read field by field: what is odd counts as unsaid,
//! and an entry without an id is left out. Prices are US dollars per token, written as strings.
//! This file must not know how the list is fetched nor what a request makes of it.

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub use super::pricing::{Metered, Pricing};

/// All models of the upstream, in its order.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
}

impl Catalogue {
    /// Reads the answer to `GET /models`.
    ///
    /// # Errors
    /// When it is not JSON with a list called `data`.
    pub fn parse(answer: &[u8]) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        struct Page {
            data: Vec<Value>,
        }
        let page: Page = serde_json::from_slice(answer)?;
        let entries = page
            .data
            .into_iter()
            .map(with_limits)
            .filter_map(|entry| serde_json::from_value::<Entry>(entry).ok())
            .filter(|entry| !entry.id.is_empty());
        Ok(Self::new(entries.collect()))
    }

    /// Makes a catalogue of entries.
    #[must_use]
    pub fn new(entries: Vec<Entry>) -> Self {
        let mut by_name = HashMap::with_capacity(entries.len() * 2);
        for (index, entry) in entries.iter().enumerate() {
            by_name.insert(entry.id.clone(), index);
        }
        for (index, entry) in entries.iter().enumerate() {
            let slug = entry.canonical_slug.iter();
            for name in slug {
                by_name.entry(name.clone()).or_insert(index);
            }
        }
        Self { entries, by_name }
    }

    /// Lists the entries in the upstream's order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Finds a model by its id or dated slug; a variant such as `:nitro` or a preset is found as its model,
    /// unless it is listed itself as `:free` ones are.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Entry> {
        let without_preset = id.split_once("@preset/").map_or(id, |(model, _)| model);
        let without_variant = without_preset
            .split_once(':')
            .map_or(without_preset, |(model, _)| model);
        [id, without_preset, without_variant]
            .into_iter()
            .find_map(|name| self.by_name.get(name))
            .and_then(|&index| self.entries.get(index))
            .map(|entry| self.target_of_alias(entry))
    }

    /// `~vendor/name-latest` is listed with the model that it stands for now.
    fn target_of_alias<'c>(&'c self, entry: &'c Entry) -> &'c Entry {
        let target = entry.alias_target.as_deref();
        target
            .and_then(|id| self.by_name.get(id))
            .and_then(|&index| self.entries.get(index))
            .unwrap_or(entry)
    }
}

/// Puts the limits of plain servers where OpenRouter has them: `max_model_len` is vLLM's, `context_window` Groq's,
/// `max_context_length` Mistral's, `meta.n_ctx` llama.cpp's.
fn with_limits(mut entry: Value) -> Value {
    let is_count = |value: &Value| value.as_u64().is_some_and(|count| count > 0);
    let context = [
        &entry["context_length"],
        &entry["max_model_len"],
        &entry["context_window"],
        &entry["max_context_length"],
        &entry["meta"]["n_ctx"],
    ];
    let context = context.into_iter().find(|value| is_count(value)).cloned();
    let output = Some(&entry["max_completion_tokens"]);
    let output = output.filter(|value| is_count(value)).cloned();
    let Some(entry) = entry.as_object_mut() else {
        return entry;
    };
    if let Some(context) = context {
        entry.insert("context_length".to_owned(), context);
    }
    if let Some(output) = output
        && !entry.contains_key("top_provider")
    {
        let told = serde_json::json!({ "max_completion_tokens": output });
        entry.insert("top_provider".to_owned(), told);
    }
    Value::Object(std::mem::take(entry))
}

/// A model.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// Such as `openai/gpt-5`.
    #[serde(deserialize_with = "lenient")]
    pub id: String,
    /// The dated form of the id, which answers name.
    #[serde(deserialize_with = "lenient")]
    pub canonical_slug: Option<String>,
    /// For humans.
    #[serde(deserialize_with = "lenient")]
    pub name: Option<String>,
    /// When it was listed, in seconds since 1970.
    #[serde(deserialize_with = "lenient")]
    pub created: Option<i64>,
    /// The largest context any provider offers, in tokens.
    #[serde(deserialize_with = "lenient")]
    pub context_length: Option<u64>,
    /// What goes in.
    #[serde(deserialize_with = "lenient")]
    pub architecture: Option<Architecture>,
    /// What it costs.
    #[serde(deserialize_with = "lenient")]
    pub pricing: Option<Pricing>,
    /// What its best provider allows.
    #[serde(deserialize_with = "lenient")]
    pub top_provider: Option<TopProvider>,
    /// Which request fields some provider of it knows.
    #[serde(deserialize_with = "lenient")]
    pub supported_parameters: Option<Parameters>,
    /// How it reasons; absent when it does not.
    #[serde(deserialize_with = "lenient")]
    pub reasoning: Option<ReasoningAbility>,
    /// For an alias, the model it stands for.
    #[serde(deserialize_with = "lenient")]
    pub alias_target: Option<String>,
    /// When it will be taken off, as a date.
    #[serde(deserialize_with = "lenient")]
    pub expiration_date: Option<String>,
}

impl Entry {
    /// The longest answer, in tokens.
    #[must_use]
    pub fn max_output(&self) -> Option<u64> {
        self.top_provider?.max_completion_tokens
    }

    /// What goes in, if it is said.
    #[must_use]
    pub fn inputs(&self) -> Option<Modalities> {
        self.architecture?.input_modalities
    }
}

/// What goes into a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Architecture {
    /// The kinds of input.
    #[serde(deserialize_with = "lenient")]
    pub input_modalities: Option<Modalities>,
}

/// What the best provider of a model allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TopProvider {
    /// The context, in tokens.
    #[serde(deserialize_with = "lenient")]
    pub context_length: Option<u64>,
    /// The longest answer, in tokens.
    #[serde(deserialize_with = "lenient")]
    pub max_completion_tokens: Option<u64>,
}

/// Kinds of input besides text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Value>")]
pub struct Modalities {
    /// Images.
    pub image: bool,
    /// PDF files, read by the model itself.
    pub file: bool,
    /// Sound.
    pub audio: bool,
    /// Moving pictures.
    pub video: bool,
}

impl From<Vec<Value>> for Modalities {
    fn from(names: Vec<Value>) -> Self {
        let has = |name: &str| names.iter().any(|known| known == name);
        Self {
            image: has("image"),
            file: has("file"),
            audio: has("audio"),
            video: has("video"),
        }
    }
}

/// Which of the request fields that Dagway sends are known to some provider of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Value>")]
pub struct Parameters {
    /// `tools`.
    pub tools: bool,
    /// `tool_choice`.
    pub tool_choice: bool,
    /// `reasoning`.
    pub reasoning: bool,
    /// `response_format`.
    pub response_format: bool,
    /// `response_format` with a schema.
    pub structured_outputs: bool,
    /// `temperature`.
    pub temperature: bool,
    /// `top_p`.
    pub top_p: bool,
    /// `top_k`.
    pub top_k: bool,
    /// `stop`.
    pub stop: bool,
}

impl From<Vec<Value>> for Parameters {
    fn from(names: Vec<Value>) -> Self {
        let has = |name: &str| names.iter().any(|known| known == name);
        Self {
            tools: has("tools"),
            tool_choice: has("tool_choice"),
            reasoning: has("reasoning") || has("include_reasoning"),
            response_format: has("response_format") || has("structured_outputs"),
            structured_outputs: has("structured_outputs"),
            temperature: has("temperature"),
            top_p: has("top_p"),
            top_k: has("top_k"),
            stop: has("stop"),
        }
    }
}

/// A level of reasoning as the upstream names it, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// `none`: no reasoning.
    None,
    /// `minimal`.
    Minimal,
    /// `low`.
    Low,
    /// `medium`.
    Medium,
    /// `high`.
    High,
    /// `xhigh`.
    Xhigh,
    /// `max`.
    Max,
}

impl Level {
    /// All levels, weakest first.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Minimal,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Xhigh,
        Self::Max,
    ];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
        }
    }
}

/// A set of [`Level`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Value>")]
pub struct Levels(u8);

impl Levels {
    /// Says whether a level is in it.
    #[must_use]
    pub fn contains(self, level: Level) -> bool {
        self.0 & (1 << level as u8) != 0
    }

    /// Says whether nothing is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Lists what is in it, weakest first.
    pub fn iter(self) -> impl Iterator<Item = Level> {
        Level::ALL
            .into_iter()
            .filter(move |level| self.contains(*level))
    }
}

impl FromIterator<Level> for Levels {
    fn from_iter<I: IntoIterator<Item = Level>>(levels: I) -> Self {
        Self(
            levels
                .into_iter()
                .fold(0, |set, level| set | 1 << level as u8),
        )
    }
}

impl From<Vec<Value>> for Levels {
    fn from(names: Vec<Value>) -> Self {
        Level::ALL
            .into_iter()
            .filter(|level| names.iter().any(|name| name == level.as_str()))
            .collect()
    }
}

/// How a model reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReasoningAbility {
    /// It cannot be turned off.
    #[serde(deserialize_with = "lenient")]
    pub mandatory: bool,
    /// It reasons unless told not to.
    #[serde(deserialize_with = "lenient")]
    pub default_enabled: bool,
    /// The levels it takes; unsaid means all.
    #[serde(rename = "supported_efforts", deserialize_with = "lenient")]
    pub efforts: Option<Levels>,
    /// It takes a budget in tokens.
    #[serde(deserialize_with = "lenient")]
    pub supports_max_tokens: bool,
}

/// Reads a value, or takes it as unsaid when it has another shape than expected.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"data":[
        {"id":"openai/gpt-5","canonical_slug":"openai/gpt-5-2025-08-07","name":"OpenAI: GPT-5","created":1754587413,
         "context_length":400000,"architecture":{"input_modalities":["text","image","file"],"tokenizer":"GPT"},
         "pricing":{"prompt":"0.00000125","completion":"0.00001","input_cache_read":"0.000000125","web_search":"0.01","new":{"x":1}},
         "top_provider":{"context_length":400000,"max_completion_tokens":128000,"is_moderated":true},
         "supported_parameters":["tools","tool_choice","reasoning","response_format","structured_outputs","seed",7],
         "reasoning":{"mandatory":true,"supported_efforts":["high","medium","low","minimal"],"default_effort":"medium"}},
        {"id":"openai/gpt-oss-20b:free","context_length":"odd","pricing":{"prompt":0,"completion":"0"},"reasoning":null},
        {"id":"~openai/gpt-latest","alias_target":"openai/gpt-5"},
        {"id":"openrouter/auto","pricing":{"prompt":"-1","completion":"-1"},"supported_parameters":{"odd":true}},
        {"name":"no id"}, 5
    ],"extra":1}"#;

    fn catalogue() -> Catalogue {
        Catalogue::parse(ANSWER.as_bytes()).unwrap()
    }

    #[test]
    fn the_limits_of_plain_servers_are_read_where_they_say_them() {
        let answer = serde_json::json!({ "data": [
            { "id": "vllm", "max_model_len": 32_768 },
            { "id": "groq", "context_window": 131_072, "max_completion_tokens": 32_768 },
            { "id": "mistral", "max_context_length": 262_144 },
            { "id": "llama", "meta": { "n_ctx": 4_096 } },
            { "id": "openrouter", "context_length": 10, "max_model_len": 20, "max_completion_tokens": 5,
              "top_provider": { "max_completion_tokens": 7 } },
            { "id": "odd", "max_model_len": "many", "context_window": 0, "meta": [] },
        ]});
        let catalogue = Catalogue::parse(answer.to_string().as_bytes()).unwrap();
        let limits = |id: &str| {
            let entry = catalogue.get(id).unwrap();
            (entry.context_length, entry.max_output())
        };
        assert_eq!(limits("vllm"), (Some(32_768), None));
        assert_eq!(limits("groq"), (Some(131_072), Some(32_768)));
        assert_eq!(limits("mistral"), (Some(262_144), None));
        assert_eq!(limits("llama"), (Some(4_096), None));
        assert_eq!(limits("openrouter"), (Some(10), Some(7)));
        assert_eq!(limits("odd"), (None, None));
    }

    #[test]
    fn an_entry_says_what_the_model_can_do() {
        let catalogue = catalogue();
        let gpt = catalogue.get("openai/gpt-5").unwrap();
        assert_eq!(gpt.max_output(), Some(128_000));
        assert!(gpt.inputs().unwrap().image && gpt.inputs().unwrap().file);
        let parameters = gpt.supported_parameters.unwrap();
        assert!(parameters.tools && !parameters.temperature);
        let reasoning = gpt.reasoning.unwrap();
        assert!(reasoning.mandatory && !reasoning.supports_max_tokens);
        let efforts: Vec<_> = reasoning
            .efforts
            .unwrap()
            .iter()
            .map(Level::as_str)
            .collect();
        assert_eq!(efforts, ["minimal", "low", "medium", "high"]);
    }

    #[test]
    fn each_name_stands_for_its_ability_and_two_for_another_as_well() {
        let parameters = |names: &[&str]| {
            let names: Vec<Value> = names.iter().map(|&name| name.into()).collect();
            serde_json::to_value(Parameters::from(names)).unwrap()
        };
        for name in [
            "tools",
            "tool_choice",
            "reasoning",
            "response_format",
            "temperature",
            "top_p",
            "top_k",
            "stop",
        ] {
            let known = parameters(&[name]);
            let known = known.as_object().unwrap().iter();
            let known: Vec<&str> = known
                .filter(|(_, has)| **has == true)
                .map(|(name, _)| name.as_str())
                .collect();
            assert_eq!(known, [name]);
        }
        assert_eq!(
            parameters(&["include_reasoning"]),
            parameters(&["reasoning"])
        );
        let structured = parameters(&["structured_outputs"]);
        assert_eq!(
            (
                &structured["structured_outputs"],
                &structured["response_format"]
            ),
            (&true.into(), &true.into())
        );
        let inputs = |name: &str| Modalities::from(vec![name.into()]);
        assert!(
            inputs("image").image
                && inputs("file").file
                && inputs("audio").audio
                && inputs("video").video
        );
        assert_eq!(inputs("text"), Modalities::default());
    }

    #[test]
    fn levels_are_a_set() {
        let none = Levels::default();
        assert!(none.is_empty() && !none.contains(Level::None) && none.iter().next().is_none());
        for level in Level::ALL {
            let one: Levels = [level, level].into_iter().collect();
            assert!(!one.is_empty() && one.iter().eq([level]), "{level:?}");
            assert_eq!(one, Levels::from(vec![level.as_str().into(), "odd".into()]));
        }
        let all: Levels = Level::ALL.into_iter().collect();
        assert!(all.iter().eq(Level::ALL));
    }

    #[test]
    fn odd_fields_count_as_unsaid_and_odd_entries_are_left_out() {
        let catalogue = catalogue();
        assert_eq!(catalogue.entries().len(), 4);
        let free = catalogue.get("openai/gpt-oss-20b:free").unwrap();
        assert_eq!(free.context_length, None);
        assert_eq!(free.reasoning, None);
        assert_eq!(
            catalogue
                .get("openrouter/auto")
                .unwrap()
                .supported_parameters,
            None
        );
        assert!(Catalogue::parse(b"{}").is_err());
        assert!(Catalogue::parse(b"<html>").is_err());
    }

    #[test]
    fn variants_slugs_presets_and_aliases_lead_to_the_model() {
        let catalogue = catalogue();
        for name in [
            "openai/gpt-5:nitro",
            "openai/gpt-5-2025-08-07",
            "openai/gpt-5@preset/mine",
            "~openai/gpt-latest",
        ] {
            assert_eq!(catalogue.get(name).unwrap().id, "openai/gpt-5", "{name}");
        }
        for name in ["openai/gpt-oss-20b", "@preset/mine", "nobody/nothing"] {
            assert_eq!(catalogue.get(name), None, "{name}");
        }
    }

    #[test]
    fn cached_input_costs_less() {
        let pricing = catalogue().get("openai/gpt-5").unwrap().pricing.unwrap();
        let used = Metered {
            input: 1000,
            cache_read: 10_000,
            cache_write: 100,
            output: 500,
            web_searches: 2,
        };
        let cost = pricing.cost(&used).unwrap();
        let expected =
            1000.0 * 1.25e-6 + 10_000.0 * 1.25e-7 + 100.0 * 1.25e-6 + 500.0 * 1e-5 + 0.02;
        assert!((cost - expected).abs() < 1e-12, "{cost}");
    }

    #[test]
    fn a_price_that_varies_gives_no_cost() {
        let pricing = catalogue().get("openrouter/auto").unwrap().pricing.unwrap();
        assert_eq!(pricing.cost(&Metered::default()), None);
    }
}
