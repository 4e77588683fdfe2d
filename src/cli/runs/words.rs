//! The figures of a run in words, for the head of what is shown of it.
//!
//! It must not know where they stand.

use std::time::Duration;

use super::answer::Run;
use super::clock::Clock;
use super::text;
use crate::dashboard::format;
use crate::events::{State, Timestamp};
use crate::facts;

/// All that is known, each with its name.
pub(super) fn all(run: &Run, clock: &Clock, now: Timestamp) -> Vec<(&'static str, String)> {
    let label = |fact| run.text(fact).map(text::line);
    let id = |id: &str| Some(text::line(id)).filter(|id| !id.is_empty());
    let started = format!(
        "{}, {}",
        clock.long(run.started),
        format::ago(run.started, now)
    );
    let cost = run.float(facts::COST_USD);
    let pairs = [
        ("model", model(run)),
        ("fallback", fallback(run)),
        ("replay of", label(facts::REPLAY_OF)),
        ("started", Some(started)),
        ("took", Some(took(run))),
        ("tokens", tokens(run)),
        ("cost", cost.map(|cost| about(run, format::money(cost)))),
        ("answer", answer(run)),
        ("session", label(facts::SESSION)),
        ("agent", label(facts::AGENT)),
        ("client", label(facts::USER_AGENT)),
        ("key", label(facts::KEY)),
        ("request", id(&run.request_id)),
        ("trace", id(&run.trace_id)),
    ];
    let known = pairs
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    known.collect()
}

fn model(run: &Run) -> Option<String> {
    let (asked, used) = run.models();
    let names: Vec<String> = [asked, used]
        .into_iter()
        .flatten()
        .map(text::line)
        .collect();
    let names = Some(names.join(" → ")).filter(|names| !names.is_empty())?;
    let provider = run
        .text(facts::PROVIDER_BEHIND)
        .or_else(|| run.text(facts::PROVIDER));
    Some(match provider {
        Some(provider) => format!("{names}, by {}", text::line(provider)),
        None => names,
    })
}

/// Which model was asked instead of the one that was named, after which run, and which run went on.
fn fallback(run: &Run) -> Option<String> {
    let told = |fact, before: &str| Some(format!("{before}{}", text::line(run.text(fact)?)));
    let parts = [
        told(facts::FALLBACK_MODEL, ""),
        told(facts::FALLBACK_AFTER, "after run "),
        told(facts::FALLBACK_BY, "asked in run "),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn took(run: &Run) -> String {
    let duration = format::duration(run.duration());
    let mut said = vec![match State::from_name(&run.state) {
        // The process died under it, and was last known to live this long after the run's start.
        Some(State::Crashed) => format!("at least {duration}"),
        _ if !run.has_ended() => format!("{duration} so far"),
        _ => duration,
    }];
    let micros = |fact| {
        let micros = run.int(fact).and_then(|micros| u64::try_from(micros).ok());
        micros.map(Duration::from_micros)
    };
    said.extend(format::arrival(
        micros(facts::ARRIVAL_US),
        micros(facts::ARRIVAL_WAIT_US),
    ));
    let first = run.first_token().map(format::duration);
    said.extend(first.map(|first| format!("first token after {first}")));
    let own = micros(facts::OVERHEAD_US).map(format::duration);
    said.extend(own.map(|own| format!("Dagway itself {own}")));
    said.extend(run.int(facts::RETRIES).map(format::retries));
    said.join(", ")
}

fn tokens(run: &Run) -> Option<String> {
    let count = |fact| {
        run.int(fact)
            .map(|count| about(run, format::thousands(count)))
    };
    let some = |fact| run.int(fact).filter(|tokens| *tokens > 0);
    let input = count(facts::INPUT_TOKENS)?;
    let output = count(facts::OUTPUT_TOKENS).unwrap_or_else(|| format::UNKNOWN.to_owned());
    let share = |fact, what| {
        let share = format::share(some(fact)?, run.int(facts::INPUT_TOKENS)?)?;
        Some(format!("{share} {what}"))
    };
    let cached = [
        share(facts::CACHE_READ_TOKENS, "from cache"),
        share(facts::CACHE_WRITE_TOKENS, "to cache"),
    ];
    let thinking = some(facts::REASONING_TOKENS)
        .map(|thinking| format!("{} thinking", format::thousands(thinking)));
    let why = run.is_estimate().then(|| format::WHY_ESTIMATED.to_owned());
    let (cached, thinking) = (aside(cached), aside([thinking]));
    let why = aside([why]);
    Some(format!("{input} in{cached}, {output} out{thinking}{why}"))
}

/// What is known of these, in brackets.
fn aside<const N: usize>(notes: [Option<String>; N]) -> String {
    let known: Vec<String> = notes.into_iter().flatten().collect();
    if known.is_empty() {
        return String::new();
    }
    format!(" ({})", known.join(", "))
}

/// A figure of usage, with the sign for what is only about right.
pub(super) fn about(run: &Run, figure: String) -> String {
    if run.is_estimate() {
        format::about(&figure)
    } else {
        figure
    }
}

/// What the client got.
fn answer(run: &Run) -> Option<String> {
    let mut said = Vec::new();
    said.extend(
        run.int(facts::STATUS)
            .map(|status| format!("status {status}")),
    );
    said.extend(run.text(facts::ERROR_TYPE).map(text::line));
    said.extend(run.text(facts::FINISH_REASON).map(text::line));
    if run.pieces > 0 {
        let pieces = format::chunks(run.pieces);
        said.push(format!("{pieces}, {}", format::bytes(run.bytes)));
    }
    let upstream = run
        .int(facts::UPSTREAM_STATUS)
        .filter(|status| *status != 200);
    said.extend(upstream.map(|status| format!("the upstream's status {status}")));
    (!said.is_empty()).then(|| said.join(", "))
}
