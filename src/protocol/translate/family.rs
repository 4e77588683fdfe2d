//! Who made a model, and what follows from that.

use serde::Serialize;

/// Who made a model: what its dialect, its reasoning and its cache are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Anthropic.
    Claude,
    /// GPT and the o series.
    OpenAi,
    /// Google's Gemini.
    Gemini,
    /// The models called `deepseek`.
    DeepSeek,
    /// Moonshot's Kimi.
    Kimi,
    /// Alibaba's Qwen.
    Qwen,
    /// The models called `minimax`.
    MiniMax,
    /// Z.AI's GLM.
    Glm,
    /// xAI's Grok.
    Grok,
    /// Mistral.
    Mistral,
    /// Somebody else.
    Other,
}

impl Family {
    /// Tells the family by the vendor in a model's id, or by the model's name when another vendor serves it.
    #[must_use]
    pub fn of(model: &str) -> Self {
        let model = model.trim_start_matches('~');
        let (vendor, name) = model.split_once('/').unwrap_or(("", model));
        let by_vendor = match vendor {
            "anthropic" => Self::Claude,
            "openai" => Self::OpenAi,
            "deepseek" => Self::DeepSeek,
            "moonshotai" => Self::Kimi,
            "qwen" | "alibaba" => Self::Qwen,
            "minimax" => Self::MiniMax,
            "z-ai" | "thudm" => Self::Glm,
            "x-ai" => Self::Grok,
            "mistralai" | "mistral" => Self::Mistral,
            _ => Self::Other,
        };
        if by_vendor != Self::Other {
            return by_vendor;
        }
        [
            ("claude", Self::Claude),
            ("gpt-", Self::OpenAi),
            ("gemini", Self::Gemini),
            ("deepseek", Self::DeepSeek),
            ("kimi", Self::Kimi),
            ("qwen", Self::Qwen),
            ("minimax", Self::MiniMax),
            ("glm", Self::Glm),
            ("grok", Self::Grok),
            ("mistral", Self::Mistral),
        ]
        .into_iter()
        .find(|(beginning, _)| name.starts_with(beginning))
        .map_or(Self::Other, |(_, family)| family)
    }

    /// Says whether marked cache breakpoints mean something to it; the others cache by themselves or not at all.
    #[must_use]
    pub fn takes_cache_control(self) -> bool {
        matches!(self, Self::Claude | Self::Gemini | Self::Qwen)
    }

    /// Says whether a system message may stand in mid-conversation. Elsewhere it is moved to the top, which spoils
    /// the cache and the meaning, or refused.
    #[must_use]
    pub fn takes_system_anywhere(self) -> bool {
        matches!(self, Self::OpenAi)
    }

    /// Says whether it wants its thoughts back as plain text beside its tool calls.
    #[must_use]
    pub fn wants_thoughts_as_text(self) -> bool {
        matches!(self, Self::DeepSeek | Self::Kimi | Self::MiniMax)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_told_by_vendor_then_by_name() {
        for (id, family) in [
            ("anthropic/claude-opus-5.5", Family::Claude),
            ("~anthropic/claude-latest", Family::Claude),
            ("openai/gpt-5:free", Family::OpenAi),
            ("google/gemini-3-pro", Family::Gemini),
            ("google/gemma-3", Family::Other),
            ("deepseek/deepseek-v3.2", Family::DeepSeek),
            ("moonshotai/kimi-k3", Family::Kimi),
            ("z-ai/glm-4.7", Family::Glm),
            ("x-ai/grok-4", Family::Grok),
            ("mistralai/devstral", Family::Mistral),
            ("minimax/minimax-m2", Family::MiniMax),
            ("qwen/qwen3-coder", Family::Qwen),
            ("anthropic/opus", Family::Claude),
            ("openai/o3", Family::OpenAi),
            ("deepseek/r1", Family::DeepSeek),
            ("moonshotai/moonlight", Family::Kimi),
            ("qwen/qwq-32b", Family::Qwen),
            ("alibaba/tongyi", Family::Qwen),
            ("minimax/m2", Family::MiniMax),
            ("z-ai/autoglm", Family::Glm),
            ("thudm/chat", Family::Glm),
            ("x-ai/coder", Family::Grok),
            ("mistral/codestral", Family::Mistral),
            ("mistralai/glm-not", Family::Mistral),
            ("someone/gpt-oss-120b", Family::OpenAi),
            ("someone/claude-like", Family::Claude),
            ("kimi-k2", Family::Kimi),
            ("meta-llama/llama-4", Family::Other),
            ("@preset/x", Family::Other),
        ] {
            assert_eq!(Family::of(id), family, "{id}");
        }
    }

    #[test]
    fn families_differ_in_caches_instructions_and_thoughts() {
        use Family::{
            Claude, DeepSeek, Gemini, Glm, Grok, Kimi, MiniMax, Mistral, OpenAi, Other, Qwen,
        };
        let all = [
            Claude, OpenAi, Gemini, DeepSeek, Kimi, Qwen, MiniMax, Glm, Grok, Mistral, Other,
        ];
        let those = |is_one: fn(Family) -> bool| -> Vec<Family> {
            all.into_iter().filter(|family| is_one(*family)).collect()
        };
        assert_eq!(those(Family::takes_cache_control), [Claude, Gemini, Qwen]);
        assert_eq!(those(Family::takes_system_anywhere), [OpenAi]);
        assert_eq!(
            those(Family::wants_thoughts_as_text),
            [DeepSeek, Kimi, MiniMax]
        );
    }
}
