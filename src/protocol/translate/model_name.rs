//! Which model a name means.
//!
//! Clients ask by all kinds of names: what people type (`opus`), what Claude Code makes up (`claude-opus-5-5[1m]`),
//! what Anthropic dates, what OpenRouter lists. Each is resolved by a rule that can be said in a sentence.
//! A name that no rule knows is refused with the cure: another model than the one asked for is never taken silently.
//! This file must not know where aliases come from.

use std::collections::BTreeMap;

use crate::protocol::anthropic::request::InvalidRequest;

/// The prefix under which models of other vendors are listed to clients that only show names with `anthropic` in them.
pub const DISCOVERY_PREFIX: &str = "anthropic-or/";

/// Resolves the name that a client asked for to the upstream's id of a model.
///
/// | asked | sent |
/// | --- | --- |
/// | a key of `aliases`; the longest that ends in `*` and fits | what stands there, resolved by the rows below |
/// | `…[1m]` | without it |
/// | `vendor/model`, `~vendor/model-latest`, `vendor/model:free`, `@preset/mine` | itself |
/// | `anthropic-or/vendor/model` | `vendor/model` |
/// | `claude-sonnet-4-5-20250929`, `claude-3-5-haiku-latest` | `anthropic/claude-sonnet-4.5`, `anthropic/claude-3.5-haiku` |
///
/// # Errors
/// When no row fits. The path is `model`.
pub fn resolve(asked: &str, aliases: &BTreeMap<String, String>) -> Result<String, InvalidRequest> {
    let name = without_window(asked.trim());
    let meant = meant(asked, aliases);
    listed(meant)
        .or_else(|| claude(meant))
        .ok_or_else(|| unknown(asked, name, meant, aliases))
}

/// The name that is meant by the one asked for: without a window, its alias replaced.
#[must_use]
pub fn meant<'n>(asked: &'n str, aliases: &'n BTreeMap<String, String>) -> &'n str {
    let name = without_window(asked.trim());
    alias(name, aliases).map_or(name, |meant| without_window(meant.trim()))
}

/// Claude Code appends `[1m]` to a name to say which context window it assumes.
fn without_window(name: &str) -> &str {
    let cut = name
        .strip_suffix("[1m]")
        .or_else(|| name.strip_suffix("[1M]"));
    cut.unwrap_or(name).trim_end()
}

fn alias<'a>(name: &str, aliases: &'a BTreeMap<String, String>) -> Option<&'a str> {
    if let Some(exact) = aliases.get(name) {
        return Some(exact);
    }
    let ignoring_case = aliases
        .iter()
        .find(|(alias, _)| alias.eq_ignore_ascii_case(name));
    let fitting = || {
        aliases
            .iter()
            .filter(|(alias, _)| {
                alias
                    .strip_suffix('*')
                    .is_some_and(|beginning| name.starts_with(beginning))
            })
            .max_by_key(|(alias, _)| alias.len())
    };
    ignoring_case
        .or_else(fitting)
        .map(|(_, meant)| meant.as_str())
}

/// An id as the upstream lists them, with a vendor in front.
fn listed(name: &str) -> Option<String> {
    let name = name.strip_prefix(DISCOVERY_PREFIX).unwrap_or(name);
    let plain = name.bytes().all(|byte| byte.is_ascii_graphic());
    let (vendor, model) = name.split_once('/')?;
    (plain && !vendor.is_empty() && !model.is_empty()).then(|| name.to_owned())
}

/// Anthropic's own names, in which versions are written with dashes and a date may follow.
fn claude(name: &str) -> Option<String> {
    let (name, variant) = match name.split_once(':') {
        Some((name, variant)) => (name, Some(variant)),
        None => (name, None),
    };
    let mut words: Vec<&str> = name.strip_prefix("claude-")?.split('-').collect();
    words.pop_if(|last| is_date(last) || *last == "latest");
    let slug = match words.as_slice() {
        [line, "preview"] if is_line(line) => format!("{line}-preview"),
        [line, version] if is_line(line) && is_version(version) => format!("{line}-{version}"),
        [line, major, minor] if is_line(line) && is_number(major) && is_number(minor) => {
            format!("{line}-{major}.{minor}")
        }
        [version, line] if is_version(version) && is_line(line) => format!("{version}-{line}"),
        [major, minor, line] if is_number(major) && is_number(minor) && is_line(line) => {
            format!("{major}.{minor}-{line}")
        }
        _ => return None,
    };
    let variant = variant.map(|variant| format!(":{variant}"));
    Some(format!(
        "anthropic/claude-{slug}{}",
        variant.unwrap_or_default()
    ))
}

fn is_date(word: &str) -> bool {
    word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_number(word: &str) -> bool {
    (1..=2).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) fn is_version(word: &str) -> bool {
    match word.split_once('.') {
        Some((major, minor)) => is_number(major) && is_number(minor),
        None => is_number(word),
    }
}

fn is_line(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn unknown(
    asked: &str,
    name: &str,
    meant: &str,
    aliases: &BTreeMap<String, String>,
) -> InvalidRequest {
    if meant != name {
        return InvalidRequest::at(
            "model",
            format!(
                "the alias `{name}` stands for `{meant}`, which is no model: write an id such as `vendor/model` there"
            ),
        );
    }
    let near = near(name, aliases);
    let hint = if near.is_empty() {
        String::new()
    } else {
        format!(" Did you mean {}?", near.join(" or "))
    };
    InvalidRequest::at(
        "model",
        format!(
            "`{asked}` is no model that Dagway knows.{hint} Ask for an alias, for a Claude model such as \
             `claude-sonnet-4-5`, or for an id of the catalogue such as `vendor/model`, or give `{name}` a meaning \
             under `[models.aliases]` in the settings"
        ),
    )
}

/// Aliases that differ from a name by a slip of the finger, or contain it or are contained.
fn near(name: &str, aliases: &BTreeMap<String, String>) -> Vec<String> {
    // A name can be as long as a request; what is longer than this is no slip.
    let lower: String = name.to_ascii_lowercase().chars().take(40).collect();
    let mut found: Vec<(usize, &str)> = aliases
        .keys()
        .map(String::as_str)
        .filter(|alias| !alias.ends_with('*'))
        .filter_map(|alias| {
            let small = alias.to_ascii_lowercase();
            let slips = strsim::osa_distance(&lower, &small);
            let part = lower.len() > 2 && (small.contains(&lower) || lower.contains(&small));
            (slips <= 2 && slips < alias.len() || part).then_some((slips, alias))
        })
        .collect();
    found.sort_unstable();
    found
        .into_iter()
        .take(3)
        .map(|(_, alias)| format!("`{alias}`"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aliases() -> BTreeMap<String, String> {
        [
            ("opus", "anthropic/claude-opus-5.5"),
            ("sonnet", "claude-sonnet-4-5"),
            ("haiku", "anthropic/claude-haiku-5.5"),
            ("big", "anthropic/claude-sonnet-4.5"),
            ("small", "openai/gpt-5-mini"),
            ("broken", "nonsense"),
            ("claude-haiku-*", "z-ai/glm-4.7"),
            ("claude-*", "moonshotai/kimi-k2"),
        ]
        .map(|(name, meant)| (name.to_owned(), meant.to_owned()))
        .into()
    }

    #[test]
    fn a_line_of_models_is_a_word_of_small_letters() {
        for (word, is_one) in [
            ("sonnet", true),
            ("", false),
            ("4", false),
            ("opus4", false),
        ] {
            assert_eq!(is_line(word), is_one, "{word}");
        }
    }

    #[test]
    fn names_are_resolved_by_rule() {
        let no_patterns: BTreeMap<_, _> = aliases()
            .into_iter()
            .filter(|(alias, _)| !alias.ends_with('*'))
            .collect();
        for (asked, sent) in [
            ("opus", "anthropic/claude-opus-5.5"),
            ("Opus", "anthropic/claude-opus-5.5"),
            ("opus[1m]", "anthropic/claude-opus-5.5"),
            ("sonnet", "anthropic/claude-sonnet-4.5"),
            ("claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4.5"),
            ("claude-sonnet-4-20250514", "anthropic/claude-sonnet-4"),
            ("claude-opus-4-1", "anthropic/claude-opus-4.1"),
            ("claude-3-5-haiku-20241022", "anthropic/claude-3.5-haiku"),
            ("claude-3-5-sonnet-latest", "anthropic/claude-3.5-sonnet"),
            ("claude-3-7-sonnet-20250219", "anthropic/claude-3.7-sonnet"),
            ("claude-3-opus-20240229", "anthropic/claude-3-opus"),
            ("claude-opus-5-5", "anthropic/claude-opus-5.5"),
            ("claude-opus-5-5[1m]", "anthropic/claude-opus-5.5"),
            ("claude-fable-5-2", "anthropic/claude-fable-5.2"),
            ("claude-sonnet-5", "anthropic/claude-sonnet-5"),
            ("claude-sonnet-4.5", "anthropic/claude-sonnet-4.5"),
            ("claude-3.5-haiku", "anthropic/claude-3.5-haiku"),
            ("claude-mythos-preview", "anthropic/claude-mythos-preview"),
            ("claude-sonnet-4-5:beta", "anthropic/claude-sonnet-4.5:beta"),
            ("openai/gpt-5", "openai/gpt-5"),
            (
                "anthropic/claude-sonnet-4.5[1m]",
                "anthropic/claude-sonnet-4.5",
            ),
            ("qwen/qwen3-coder:free", "qwen/qwen3-coder:free"),
            (
                "~anthropic/claude-sonnet-latest",
                "~anthropic/claude-sonnet-latest",
            ),
            ("@preset/mine", "@preset/mine"),
            ("openai/gpt-5@preset/mine", "openai/gpt-5@preset/mine"),
            ("anthropic-or/moonshotai/kimi-k3", "moonshotai/kimi-k3"),
        ] {
            assert_eq!(resolve(asked, &no_patterns).unwrap(), sent, "{asked}");
        }
    }

    #[test]
    fn a_pattern_of_aliases_takes_what_nothing_nearer_names() {
        for (asked, sent) in [
            ("claude-haiku-4-5-20251001", "z-ai/glm-4.7"),
            ("claude-opus-5-5", "moonshotai/kimi-k2"),
            ("opus", "anthropic/claude-opus-5.5"),
        ] {
            assert_eq!(resolve(asked, &aliases()).unwrap(), sent, "{asked}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_cure() {
        for (asked, hint) in [
            ("opsu", "knows. Did you mean `opus`? Ask for"),
            ("sonnet5", "Did you mean `sonnet`?"),
            ("gpt-5", "knows. Ask for"),
            ("gpt-5", "an id of the catalogue such as `vendor/model`"),
            ("", "is no model"),
            ("openai/", "is no model"),
            ("/gpt", "is no model"),
            ("a b/c", "is no model"),
            ("broken", "the alias `broken` stands for `nonsense`"),
        ] {
            let mut aliases = aliases();
            aliases.retain(|alias, _| !alias.ends_with('*'));
            let refused = resolve(asked, &aliases).unwrap_err();
            assert_eq!(refused.path, "model");
            assert!(refused.message.contains(hint), "{asked}: {refused}");
        }
    }

    #[test]
    fn aliases_that_are_near_are_named_nearest_first() {
        let aliases: BTreeMap<_, _> = ["sonnet", "sonnets", "sone", "nets", "a", "ab", "pit*"]
            .map(|alias| (alias.to_owned(), "a/b".to_owned()))
            .into();
        for (name, expected) in [
            ("sonnet", &["`sonnet`", "`sonnets`", "`sone`"][..]),
            ("SONNET", &["`sonnet`", "`sonnets`", "`sone`"]),
            ("sonet", &["`sone`", "`sonnet`", "`sonnets`"]),
            ("onn", &["`sone`", "`sonnet`", "`sonnets`"]),
            ("on", &["`sone`"]),
            ("so", &["`sone`"]),
            ("my-sonnet-5", &["`sonnet`"]),
            ("pit", &[]),
            ("x", &[]),
            ("xy", &[]),
            ("abx", &["`ab`", "`a`"]),
        ] {
            assert_eq!(near(name, &aliases), expected, "{name}");
        }
        let aliases = [("My-Workhorse".to_owned(), "a/b".to_owned())].into();
        for name in ["workhorse", "the-my-workhorse-2"] {
            assert_eq!(near(name, &aliases), ["`My-Workhorse`"], "{name}");
        }
    }

    #[test]
    fn a_claude_name_that_no_rule_reads_is_not_guessed() {
        for asked in [
            "claude",
            "claude-",
            "claude-2-1-x-y",
            "claude-sonnet",
            "claude-20250101",
            "claude-sonnet-123-4",
            "claude-latest",
            "claude-sonnet-ab",
            "claude-sonnet-x1",
            "claude-sonnet-4.x",
            "claude-sonnet-x.5",
            "claude-sonnet-4-x",
            "claude-sonnet-4-2025092",
            "claude-sonnet-4-abcdefgh",
            "claude-x1-preview",
            "claude-x1-4",
            "claude-x1-4-5",
            "claude-4-x1",
            "claude-3-5-x1",
            "claude-3-x1-sonnet",
            "claude-x1-5-sonnet",
        ] {
            assert!(resolve(asked, &BTreeMap::new()).is_err(), "{asked}");
        }
    }
}
