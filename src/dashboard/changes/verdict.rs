//! What the difference of two requests means for a prompt cache, in sentences.
//!
//! A provider's cache holds the beginning of a prompt, tools before system before messages, as far as it is the same;
//! Anthropic's for five minutes after its last use, or for an hour if that was asked for, and only up to where a request
//! marked it (<https://openrouter.ai/docs/guides/best-practices/prompt-caching>). It must not know how texts are compared.

use std::time::Duration;

use super::request::{Piece, Place, Request};
use crate::dashboard::format;
use crate::facts;
use crate::store::RunSummary;

/// How long a cache keeps what nobody asks for, unless an hour was asked for.
const CACHE_LIFE: Duration = Duration::from_mins(5);

/// The whole in a sentence, and what else speaks for or against a cache's help.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) sentence: String,
    /// The later request goes on where the earlier one ended.
    pub(super) goes_on: bool,
    /// How much of the earlier request the later one begins with, in words.
    pub(super) same: String,
    /// Input tokens that were read from a cache, once it is known.
    pub(super) cached: Option<String>,
    /// Why a cache may not have helped although the beginning is the same.
    pub(super) hints: Vec<String>,
    /// Settings that differ: name, before, after.
    pub(super) settings: Vec<(String, String, String)>,
}

/// One of the two runs, and what it asked.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) run: RunSummary,
    pub(super) request: Request,
}

/// Judges the way from an earlier turn to a later one, of which `same_first` pieces at the beginning are the same.
pub(super) fn judge(earlier: &Turn, later: &Turn, same_first: usize) -> Verdict {
    let before = &earlier.request.pieces;
    let goes_on = same_first == before.len();
    let same_weight: usize = before.iter().take(same_first).map(Piece::weight).sum();
    let weight: usize = before.iter().map(Piece::weight).sum();
    let share = format::share(as_count(same_weight), as_count(weight));
    Verdict {
        sentence: sentence(&earlier.request, &later.request, same_first),
        goes_on,
        same: format!(
            "{same_first} of {} parts{}",
            before.len(),
            share.map_or_else(String::new, |share| format!(", {share} of the text"))
        ),
        cached: cached(&later.run),
        hints: hints(earlier, later),
        settings: settings(&earlier.request, &later.request),
    }
}

fn as_count(weight: usize) -> i64 {
    i64::try_from(weight).unwrap_or(i64::MAX)
}

fn sentence(earlier: &Request, later: &Request, same_first: usize) -> String {
    let (before, after) = (&earlier.pieces, &later.pieces);
    if same_first == before.len() {
        return match after.len() - same_first {
            0 => "The same was asked again.".to_owned(),
            1 => "It goes on where the earlier one ended, with one part more.".to_owned(),
            more => format!("It goes on where the earlier one ended, with {more} parts more."),
        };
    }
    // What a cache needs next and does not find.
    let place = before.get(same_first).map(|piece| piece.place);
    let what = match place {
        Some(Place::Tools) => "the tools",
        Some(Place::System) => "the system prompt",
        Some(Place::Message(_)) | None => "the messages",
    };
    match same_first.checked_sub(1).and_then(|last| before.get(last)) {
        None => format!(
            "It begins differently: the first difference is in {what}, so no cache of the earlier one can help."
        ),
        Some(last) => format!(
            "The first difference is in {what}: a cache of the earlier one helps up to “{}” and no further.",
            last.label
        ),
    }
}

fn cached(run: &RunSummary) -> Option<String> {
    // What nobody counted was not told apart either.
    if run.is(facts::USAGE_IS_ESTIMATE) {
        return None;
    }
    let input = run.int(facts::INPUT_TOKENS)?;
    let read = run.int(facts::CACHE_READ_TOKENS)?;
    let share = format::share(read, input)?;
    Some(format!(
        "{} of {} tokens, {share}",
        format::thousands(read),
        format::thousands(input)
    ))
}

/// Nothing when the cache did help.
fn hints(earlier: &Turn, later: &Turn) -> Vec<String> {
    let mut hints = Vec::new();
    let tokens = |turn: &Turn, fact| turn.run.int(fact).unwrap_or_default();
    let read = tokens(later, facts::CACHE_READ_TOKENS);
    if read > 0 && read >= tokens(earlier, facts::INPUT_TOKENS) / 2 {
        return hints;
    }
    let names = [
        (facts::MODEL_SENT, "The model was another"),
        (facts::PROVIDER, "The upstream was another"),
        (facts::PROVIDER_BEHIND, "The provider was another"),
    ];
    for (fact, what) in names {
        if let (Some(a), Some(b)) = (earlier.run.text(fact), later.run.text(fact))
            && a != b
        {
            let (a, b) = (format::ellipsis(a, 80), format::ellipsis(b, 80));
            hints.push(format!(
                "{what}: {a}, now {b}. Each has a cache of its own."
            ));
        }
    }
    let pause = later.run.started.since(earlier.run.started);
    if pause >= CACHE_LIFE {
        hints.push(format!(
            "{} lay between the two: most caches forget after five minutes without use.",
            format::duration(pause)
        ));
    }
    let (before, now) = (&earlier.run, &later.run);
    if before.started < now.started && before.ended.is_none_or(|ended| ended > now.started) {
        hints.push(
            "The earlier one was still being answered: a cache is filled when an answer begins."
                .to_owned(),
        );
    }
    let marks = |request: &Request| request.pieces.iter().any(|piece| piece.is_breakpoint);
    let is_claude = earlier
        .run
        .text(facts::MODEL_SENT)
        .is_some_and(|model| model.contains("claude"));
    if is_claude && !marks(&earlier.request) && earlier.request.setting("cache_control").is_none() {
        hints.push(
            "The earlier one marks no cache breakpoint; Claude models cache nothing without one."
                .to_owned(),
        );
    }
    hints
}

fn settings(earlier: &Request, later: &Request) -> Vec<(String, String, String)> {
    const LONGEST: usize = 200;
    let shown = |value: &str| format::ellipsis(value, LONGEST);
    let absent = || "not given".to_owned();
    let mut differences = Vec::new();
    for (name, value) in &earlier.settings {
        match later.setting(name) {
            Some(now) if now == value => {}
            now => differences.push((shown(name), shown(value), now.map_or_else(absent, shown))),
        }
    }
    for (name, value) in &later.settings {
        if earlier.setting(name).is_none() {
            differences.push((shown(name), absent(), shown(value)));
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::super::{diff, request};
    use super::*;
    use crate::dashboard::fixture;
    use crate::events::{FactValue, Timestamp};

    fn turn(at: i64, facts: &[(&str, FactValue)], body: &Value) -> Turn {
        let mut run = fixture::completed_run().summary;
        run.started = Timestamp(at * 1_000_000);
        run.ended = Some(Timestamp(at * 1_000_000 + 1));
        let facts = facts.iter();
        run.facts = facts
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect::<BTreeMap<_, _>>();
        let request = request::read(body.to_string().as_bytes()).unwrap();
        Turn { run, request }
    }

    fn judged(earlier: &Turn, later: &Turn) -> Verdict {
        let same = diff::same_first(&earlier.request.pieces, &later.request.pieces);
        judge(earlier, later, same)
    }

    fn text(text: &str) -> FactValue {
        FactValue::Text(text.into())
    }

    #[test]
    fn the_sentence_names_the_first_difference() {
        let request = |tools: &[&str], system: &str, messages: &[&str]| {
            let tools: Vec<Value> = tools.iter().map(|name| json!({"name": name})).collect();
            let messages: Vec<Value> = messages
                .iter()
                .map(|text| json!({"role": "user", "content": text}))
                .collect();
            json!({"tools": tools, "system": system, "messages": messages})
        };
        let earlier = request(&["Read", "Bash"], "s", &["a", "b"]);
        let sentences: Vec<String> = [
            request(&["Read", "Bash"], "s", &["a", "b"]),
            request(&["Read", "Bash"], "s", &["a", "b", "c"]),
            request(&["Read", "Bash"], "s", &["a", "b", "c", "d"]),
            request(&["Read", "Bash"], "s", &["a"]),
            request(&["Read", "Bash"], "s", &["a", "x"]),
            request(&["Read", "Bash"], "x", &["a", "b"]),
            request(&["Read"], "s", &["a", "b"]),
            request(&["Grep", "Read", "Bash"], "s", &["a", "b"]),
        ]
        .iter()
        .map(|later| {
            let verdict = judged(&turn(0, &[], &earlier), &turn(1, &[], later));
            format!(
                "{} {} ({})",
                if verdict.goes_on { "+" } else { "-" },
                verdict.sentence,
                verdict.same
            )
        })
        .collect();
        insta::assert_snapshot!(sentences.join("\n"), @r"
        + The same was asked again. (5 of 5 parts, 100 % of the text)
        + It goes on where the earlier one ended, with one part more. (5 of 5 parts, 100 % of the text)
        + It goes on where the earlier one ended, with 2 parts more. (5 of 5 parts, 100 % of the text)
        - The first difference is in the messages: a cache of the earlier one helps up to “message 1, user” and no further. (4 of 5 parts, 78 % of the text)
        - The first difference is in the messages: a cache of the earlier one helps up to “message 1, user” and no further. (4 of 5 parts, 78 % of the text)
        - The first difference is in the system prompt: a cache of the earlier one helps up to “tool Bash” and no further. (2 of 5 parts, 32 % of the text)
        - The first difference is in the tools: a cache of the earlier one helps up to “tool Read” and no further. (1 of 5 parts, 16 % of the text)
        - It begins differently: the first difference is in the tools, so no cache of the earlier one can help. (0 of 5 parts, 0 % of the text)
        ");
    }

    #[test]
    fn a_cache_that_did_not_help_has_its_reasons() {
        let body = json!({"messages": [{"role": "user", "content": "a"}]});
        let facts = |model: &str, provider: &str, read: i64| {
            [
                (facts::MODEL_SENT, text(model)),
                (facts::PROVIDER_BEHIND, text(provider)),
                (facts::INPUT_TOKENS, FactValue::Int(1_000)),
                (facts::CACHE_READ_TOKENS, FactValue::Int(read)),
            ]
        };
        let earlier = turn(0, &facts("anthropic/claude-x", "Anthropic", 0), &body);
        let later = turn(299, &facts("anthropic/claude-x", "Google", 499), &body);
        insta::assert_snapshot!(judged(&earlier, &later).hints.join("\n"), @r"
        The provider was another: Anthropic, now Google. Each has a cache of its own.
        The earlier one marks no cache breakpoint; Claude models cache nothing without one.
        ");
        let later = turn(300, &facts("z/m", "Anthropic", 0), &body);
        insta::assert_snapshot!(judged(&earlier, &later).hints.join("\n"), @r"
        The model was another: anthropic/claude-x, now z/m. Each has a cache of its own.
        5 m 00 s lay between the two: most caches forget after five minutes without use.
        The earlier one marks no cache breakpoint; Claude models cache nothing without one.
        ");
        let later = turn(300, &facts("z/m", "Google", 500), &body);
        assert_eq!(judged(&earlier, &later).hints, Vec::<String>::new());

        let mut open = turn(0, &facts("z/m", "Z", 0), &body);
        let later = turn(1, &facts("z/m", "Z", 0), &body);
        assert_eq!(judged(&open, &later).hints, Vec::<String>::new());
        open.run.ended = None;
        insta::assert_snapshot!(judged(&open, &later).hints.join("\n"), @"The earlier one was still being answered: a cache is filled when an answer begins.");
        open.run.ended = Some(Timestamp(1_000_001));
        assert_eq!(judged(&open, &later).hints.len(), 1);
        // A run beside itself, or beside a later one, did not wait for it.
        assert_eq!(judged(&open, &open).hints, Vec::<String>::new());
        assert_eq!(judged(&later, &open).hints, Vec::<String>::new());
    }

    #[test]
    fn breakpoints_are_missed_only_where_there_are_none() {
        let facts = [(facts::MODEL_SENT, text("anthropic/claude-x"))];
        let mark = json!({"type": "ephemeral"});
        let plain = json!({"messages": [{"role": "user", "content": "a"}]});
        let whole = json!({"cache_control": mark, "messages": [{"role": "user", "content": "a"}]});
        let block = json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": mark}]}]});
        let hints = |body: &Value| {
            judged(&turn(0, &facts, body), &turn(1, &facts, body))
                .hints
                .len()
        };
        assert_eq!((hints(&plain), hints(&whole), hints(&block)), (1, 0, 0));
    }

    #[test]
    fn what_was_read_from_a_cache_is_told_once_it_is_known() {
        let body = json!({});
        let cached = |facts: &[(&str, FactValue)]| {
            judged(&turn(0, &[], &body), &turn(1, facts, &body)).cached
        };
        assert_eq!(cached(&[]), None);
        let input = (facts::INPUT_TOKENS, FactValue::Int(2_000));
        // As of a run that counts tokens.
        assert_eq!(cached(std::slice::from_ref(&input)), None);
        let none = (facts::CACHE_READ_TOKENS, FactValue::Int(0));
        assert_eq!(
            cached(&[input.clone(), none.clone()]).as_deref(),
            Some("0 of 2\u{202f}000 tokens, 0 %")
        );
        let estimate = (facts::USAGE_IS_ESTIMATE, FactValue::Bool(true));
        assert_eq!(cached(&[input.clone(), none, estimate]), None);
        let read = (facts::CACHE_READ_TOKENS, FactValue::Int(1_500));
        assert_eq!(
            cached(&[input, read]).as_deref(),
            Some("1\u{202f}500 of 2\u{202f}000 tokens, 75 %")
        );
    }

    #[test]
    fn settings_that_differ_are_listed() {
        let earlier = json!({"a": 1, "b": {"x": 1}, "c": 3, "messages": []});
        let later = json!({"a": 1, "b": {"x": 2}, "d": "y", "messages": [], "tools": []});
        let settings = judged(&turn(0, &[], &earlier), &turn(1, &[], &later)).settings;
        let expected = [
            ("b", "{\"x\":1}", "{\"x\":2}"),
            ("c", "3", "not given"),
            ("d", "not given", "\"y\""),
        ]
        .map(|(name, before, after)| (name.to_owned(), before.to_owned(), after.to_owned()));
        assert_eq!(settings, expected);
    }
}
