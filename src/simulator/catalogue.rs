//! The models that the simulator has: what `/models` lists, what requests are checked against.
//!
//! Ids and abilities are those of real models, prices and windows are plausible; names say that they are simulated.
//! It must not know requests.

use serde_json::{Value, json};

/// Who made a model, which decides the dialect of its answers and its ways to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Claude,
    OpenAi,
    Gemini,
    DeepSeek,
    Kimi,
    Other,
}

/// Whether and how a model reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reasoning {
    Never,
    OnRequest,
    ByDefault,
    Always,
}

/// A model of the catalogue.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) id: &'static str,
    pub(super) canonical: &'static str,
    name: &'static str,
    pub(super) family: Family,
    pub(super) context: u64,
    pub(super) max_output: u64,
    /// US dollars per million tokens: input, output, cache read, cache write.
    pub(super) prices: [f64; 4],
    pub(super) reasoning: Reasoning,
    /// Whether reasoning takes a number of tokens.
    pub(super) budgets: bool,
    pub(super) efforts: &'static [&'static str],
    pub(super) tools: bool,
    pub(super) images: bool,
    pub(super) files: bool,
    /// Whether a conversation may end with words of the assistant.
    pub(super) prefill: bool,
}

const ALL_EFFORTS: &[&str] = &["max", "xhigh", "high", "medium", "low"];
const OPENAI_EFFORTS: &[&str] = &["high", "medium", "low", "minimal"];
const FEW_EFFORTS: &[&str] = &["high", "low"];

/// A current Claude: reasons by effort, takes no prefill.
const CLAUDE: Model = Model {
    id: "",
    canonical: "",
    name: "",
    family: Family::Claude,
    context: 1_000_000,
    max_output: 128_000,
    prices: [3.0, 15.0, 0.3, 3.75],
    reasoning: Reasoning::OnRequest,
    budgets: false,
    efforts: ALL_EFFORTS,
    tools: true,
    images: true,
    files: true,
    prefill: false,
};

/// A Claude up to 4.5: reasons by budget, takes a prefill.
const OLDER_CLAUDE: Model = Model {
    context: 200_000,
    max_output: 64_000,
    budgets: true,
    prefill: true,
    ..CLAUDE
};

/// A model of another house.
const FOREIGN: Model = Model {
    family: Family::Other,
    context: 262_144,
    max_output: 65_536,
    prices: [0.6, 2.2, 0.11, 0.0],
    reasoning: Reasoning::ByDefault,
    budgets: true,
    efforts: OPENAI_EFFORTS,
    images: false,
    files: false,
    prefill: true,
    ..CLAUDE
};

pub(super) static MODELS: [Model; 20] = [
    Model {
        id: "anthropic/claude-opus-5.5",
        canonical: "anthropic/claude-5.5-opus-20260915",
        name: "Anthropic: Claude Opus 5.5",
        prices: [5.0, 25.0, 0.5, 6.25],
        ..CLAUDE
    },
    Model {
        id: "anthropic/claude-sonnet-5.5",
        canonical: "anthropic/claude-5.5-sonnet-20260915",
        name: "Anthropic: Claude Sonnet 5.5",
        ..CLAUDE
    },
    Model {
        id: "anthropic/claude-haiku-5.5",
        canonical: "anthropic/claude-5.5-haiku-20261001",
        name: "Anthropic: Claude Haiku 5.5",
        prices: [1.0, 5.0, 0.1, 1.25],
        ..CLAUDE
    },
    Model {
        id: "anthropic/claude-fable-5.2",
        canonical: "anthropic/claude-5.2-fable-20260804",
        name: "Anthropic: Claude Fable 5.2",
        prices: [10.0, 50.0, 1.0, 12.5],
        ..CLAUDE
    },
    Model {
        id: "anthropic/claude-sonnet-5",
        canonical: "anthropic/claude-5-sonnet-20260512",
        name: "Anthropic: Claude Sonnet 5",
        ..CLAUDE
    },
    Model {
        id: "anthropic/claude-opus-4.8",
        canonical: "anthropic/claude-4.8-opus-20260528",
        name: "Anthropic: Claude Opus 4.8",
        prices: [5.0, 25.0, 0.5, 6.25],
        ..CLAUDE
    },
    Model {
        id: "anthropic/claude-opus-4.6",
        canonical: "anthropic/claude-4.6-opus-20260205",
        name: "Anthropic: Claude Opus 4.6",
        prices: [5.0, 25.0, 0.5, 6.25],
        budgets: true,
        ..CLAUDE
    },
    Model {
        id: "anthropic/claude-sonnet-4.6",
        canonical: "anthropic/claude-4.6-sonnet-20260217",
        name: "Anthropic: Claude Sonnet 4.6",
        budgets: true,
        ..CLAUDE
    },
    Model {
        id: "anthropic/claude-sonnet-4.5",
        canonical: "anthropic/claude-4.5-sonnet-20250929",
        name: "Anthropic: Claude Sonnet 4.5",
        ..OLDER_CLAUDE
    },
    Model {
        id: "anthropic/claude-haiku-4.5",
        canonical: "anthropic/claude-4.5-haiku-20251001",
        name: "Anthropic: Claude Haiku 4.5",
        prices: [1.0, 5.0, 0.1, 1.25],
        ..OLDER_CLAUDE
    },
    Model {
        id: "anthropic/claude-opus-4.1",
        canonical: "anthropic/claude-4.1-opus-20250805",
        name: "Anthropic: Claude Opus 4.1",
        prices: [15.0, 75.0, 1.5, 18.75],
        max_output: 32_000,
        ..OLDER_CLAUDE
    },
    Model {
        id: "anthropic/claude-3.5-haiku",
        canonical: "anthropic/claude-3-5-haiku-20241022",
        name: "Anthropic: Claude 3.5 Haiku",
        prices: [0.8, 4.0, 0.08, 1.0],
        max_output: 8_192,
        reasoning: Reasoning::Never,
        ..OLDER_CLAUDE
    },
    Model {
        id: "openai/gpt-5",
        canonical: "openai/gpt-5-2025-08-07",
        name: "OpenAI: GPT-5",
        family: Family::OpenAi,
        context: 400_000,
        max_output: 128_000,
        prices: [1.25, 10.0, 0.125, 0.0],
        reasoning: Reasoning::Always,
        budgets: false,
        images: true,
        files: true,
        ..FOREIGN
    },
    Model {
        id: "openai/gpt-5.6-mini",
        canonical: "openai/gpt-5.6-mini-2026-07-30",
        name: "OpenAI: GPT-5.6 Mini",
        family: Family::OpenAi,
        context: 400_000,
        max_output: 128_000,
        prices: [0.3, 2.4, 0.03, 0.0],
        budgets: false,
        images: true,
        files: true,
        ..FOREIGN
    },
    Model {
        id: "google/gemini-3-pro",
        canonical: "google/gemini-3-pro-20260120",
        name: "Google: Gemini 3 Pro",
        family: Family::Gemini,
        context: 1_048_576,
        max_output: 65_536,
        prices: [2.0, 12.0, 0.2, 0.375],
        reasoning: Reasoning::Always,
        efforts: FEW_EFFORTS,
        images: true,
        files: true,
        ..FOREIGN
    },
    Model {
        id: "deepseek/deepseek-v4",
        canonical: "deepseek/deepseek-v4-20260424",
        name: "DeepSeek: DeepSeek V4",
        family: Family::DeepSeek,
        prices: [0.27, 1.1, 0.027, 0.0],
        ..FOREIGN
    },
    Model {
        id: "moonshotai/kimi-k3",
        canonical: "moonshotai/kimi-k3-20260611",
        name: "MoonshotAI: Kimi K3",
        family: Family::Kimi,
        images: true,
        ..FOREIGN
    },
    Model {
        id: "qwen/qwen3.5-coder",
        canonical: "qwen/qwen3.5-coder-20260310",
        name: "Qwen: Qwen3.5 Coder",
        reasoning: Reasoning::Never,
        prices: [0.22, 0.95, 0.05, 0.0],
        ..FOREIGN
    },
    Model {
        id: "z-ai/glm-5",
        canonical: "z-ai/glm-5-20260211",
        name: "Z.AI: GLM 5",
        context: 204_800,
        ..FOREIGN
    },
    Model {
        id: "simulated/plain-8b",
        canonical: "simulated/plain-8b-20260101",
        name: "Simulated: Plain 8B, text only",
        context: 8_192,
        max_output: 2_048,
        reasoning: Reasoning::Never,
        tools: false,
        prices: [0.05, 0.05, 0.0, 0.0],
        ..FOREIGN
    },
];

/// The model of that name, with or without a routing suffix such as `:nitro`.
pub(super) fn find(name: &str) -> Option<&'static Model> {
    let plain = match name.rsplit_once(':') {
        Some((plain, "free" | "nitro" | "floor" | "exacto" | "extended")) => plain,
        _ => name,
    };
    MODELS
        .iter()
        .find(|model| model.id == plain || model.canonical == plain)
}

/// All models.
pub(super) fn all() -> impl Iterator<Item = &'static Model> {
    MODELS.iter()
}

/// The catalogue as `/models` gives it.
pub(super) fn listing() -> Value {
    let entries: Vec<Value> = MODELS.iter().map(Model::entry).collect();
    json!({ "data": entries, "total_count": entries.len(), "links": {} })
}

impl Model {
    /// What the catalogue says of it.
    pub(super) fn entry(&self) -> Value {
        let mut entry = json!({
            "id": self.id,
            "canonical_slug": self.canonical,
            "name": format!("{} (simulated)", self.name),
            "created": 1_767_225_600,
            "description": "A simulated model: it answers from a script and costs nothing.",
            "context_length": self.context,
            "architecture": self.architecture(),
            "pricing": self.pricing(),
            "top_provider": {
                "context_length": self.context,
                "max_completion_tokens": self.max_output,
                "is_moderated": false,
            },
            "per_request_limits": null,
            "supported_parameters": self.parameters(),
            "default_parameters": {},
            "knowledge_cutoff": null,
            "expiration_date": null,
            "links": { "details": format!("/api/v1/models/{}/endpoints", self.id) },
        });
        if self.reasoning != Reasoning::Never
            && let Some(fields) = entry.as_object_mut()
        {
            fields.insert("reasoning".to_owned(), self.reasoning_abilities());
        }
        entry
    }

    fn reasoning_abilities(&self) -> Value {
        json!({
            "mandatory": self.reasoning == Reasoning::Always,
            "default_enabled": self.reasoning != Reasoning::OnRequest,
            "supported_efforts": self.efforts,
            "default_effort": "medium",
            "supports_max_tokens": self.budgets,
        })
    }

    fn architecture(&self) -> Value {
        let mut inputs = vec!["text"];
        if self.images {
            inputs.push("image");
        }
        if self.files {
            inputs.push("file");
        }
        json!({
            "modality": format!("{}->text", inputs.join("+")),
            "input_modalities": inputs,
            "output_modalities": ["text"],
            "tokenizer": match self.family {
                Family::Claude => "Claude",
                Family::OpenAi => "GPT",
                Family::Gemini => "Gemini",
                Family::DeepSeek => "DeepSeek",
                Family::Kimi | Family::Other => "Other",
            },
            "instruct_type": null,
        })
    }

    fn pricing(&self) -> Value {
        let [prompt, completion, read, write] = self.prices.map(per_token);
        json!({
            "prompt": prompt, "completion": completion, "request": "0", "image": "0",
            "input_cache_read": read, "input_cache_write": write,
        })
    }

    fn parameters(&self) -> Vec<&'static str> {
        let mut names = vec!["max_tokens", "stop", "temperature", "top_p"];
        if self.tools {
            names.extend([
                "tools",
                "tool_choice",
                "response_format",
                "structured_outputs",
            ]);
        }
        if self.reasoning != Reasoning::Never {
            names.extend(["reasoning", "include_reasoning"]);
        }
        names
    }
}

fn per_token(per_million: f64) -> String {
    let digits = format!("{:.10}", per_million / 1e6);
    let short = digits.trim_end_matches('0').trim_end_matches('.');
    short.to_owned()
}

#[cfg(test)]
mod tests {
    use super::{MODELS, find, listing};

    #[test]
    fn every_model_is_found_by_id_slug_and_suffix() {
        for model in &MODELS {
            assert_eq!(find(model.id).map(|found| found.id), Some(model.id));
            assert_eq!(find(model.canonical).map(|found| found.id), Some(model.id));
            let nitro = format!("{}:nitro", model.id);
            assert_eq!(find(&nitro).map(|found| found.id), Some(model.id));
        }
        assert!(find("anthropic/claude-sonnet-5.5:thinking").is_none());
        assert!(find("claude-sonnet-5-5").is_none());
    }

    #[test]
    fn entries_say_that_they_are_simulated_and_price_in_strings() {
        let listing = listing();
        let first = &listing["data"][0];
        assert_eq!(first["name"], "Anthropic: Claude Opus 5.5 (simulated)");
        assert_eq!(first["pricing"]["prompt"], "0.000005");
        assert_eq!(first["pricing"]["input_cache_read"], "0.0000005");
        assert_eq!(first["reasoning"]["mandatory"], false);
        let plain = find("simulated/plain-8b")
            .expect("it is in the list")
            .entry();
        assert!(plain.get("reasoning").is_none());
        assert_eq!(plain["architecture"]["modality"], "text->text");
    }
}
