//! Which of a client's `anthropic-beta` values go on upstream.
//!
//! Never all of them: hosts of Claude other than Anthropic answer an unknown beta with a 400.
//! OpenRouter takes them as `x-anthropic-beta`.

use super::model::Family;

/// What a chat-completions host of Claude understands; the date at the end of a beta may change.
const CARRIED: [&str; 3] = [
    "interleaved-thinking-",
    "structured-outputs-",
    "context-1m-",
];

/// The betas that `family` may be told of, as a list with commas; `None` when there are none.
#[must_use]
pub fn carried(betas: &str, family: Family) -> Option<String> {
    if family != Family::Claude {
        return None;
    }
    let known = |beta: &&str| CARRIED.iter().any(|prefix| beta.starts_with(prefix));
    let carried: Vec<&str> = betas.split(',').map(str::trim).filter(known).collect();
    (!carried.is_empty()).then(|| carried.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = "claude-code-20250219, interleaved-thinking-2025-05-14,effort-2025-11-24, context-1m-2025-08-07";

    #[test]
    fn only_known_betas_go_on_and_only_to_claude() {
        let expected = "interleaved-thinking-2025-05-14,context-1m-2025-08-07";
        assert_eq!(carried(ASKED, Family::Claude).as_deref(), Some(expected));
        assert_eq!(carried(ASKED, Family::OpenAi), None);
        assert_eq!(carried("claude-code-20250219", Family::Claude), None);
        assert_eq!(carried("", Family::Claude), None);
    }
}
