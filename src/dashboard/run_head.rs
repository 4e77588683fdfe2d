//! The head of a run's page: its state, its figures, how its tokens divide, what identifies it.

use std::time::Duration;

use askama::Template;

use super::TraceUrl;
use super::filter::{encode, encode_pairs};
use super::format;
use super::page::part;
use super::state::StateView;
use crate::events::{RunId, State, Timestamp};
use crate::facts;
use crate::store::{RunDetail, RunSummary};

#[derive(Template)]
#[template(path = "parts/run_head.html")]
struct Head {
    id: RunId,
    title: String,
    state: StateView,
    moving: bool,
    streaming: bool,
    chunks: String,
    asked: String,
    used: Option<String>,
    workflow: String,
    workflow_href: String,
    started: String,
    exact: String,
    ago: String,
    error: Option<String>,
    error_type: Option<String>,
    status: Option<i64>,
    /// Whose error it is, when the upstream answered with one: its name and the status.
    upstream: Option<(String, i64)>,
    /// The page of the run that asked another model instead.
    fallback: Option<String>,
    figures: Vec<Figure>,
    labels: Vec<Label>,
    tokens: Option<TokenBar>,
    /// Its tokens are still to come; their place is kept.
    tokens_due: bool,
}

/// A number that people look for first.
struct Figure {
    name: &'static str,
    value: String,
    title: Option<&'static str>,
    note: Option<String>,
}

/// A text that identifies the run.
struct Label {
    name: &'static str,
    value: String,
    href: Option<String>,
    copies: bool,
}

/// How the tokens of a run divide.
struct TokenBar {
    shares: Vec<TokenShare>,
}

struct TokenShare {
    name: &'static str,
    class: &'static str,
    count: String,
    from: String,
    width: String,
}

/// What a browser's tab says of a run, before the time of day.
pub(super) fn title(run: &RunSummary) -> String {
    let StateView { sign, label, .. } = run.state.into();
    let model = run.text(facts::MODEL_ASKED).unwrap_or(&run.workflow);
    format!("{sign} {label} · {}", format::ellipsis(model, 40))
}

/// The head of a run's page as it stands at `now`.
///
/// Where traces can be looked at, the head leads to that of the run.
pub(super) fn of_run(run: &RunDetail, trace_url: Option<&TraceUrl>, now: Timestamp) -> String {
    let summary = &run.summary;
    let text = |fact| summary.text(fact).map(str::to_owned);
    let asked = text(facts::MODEL_ASKED);
    part(&Head {
        id: summary.id,
        title: title(summary),
        state: summary.state.into(),
        moving: !summary.state.is_final(),
        streaming: summary.streaming,
        chunks: format::chunks(summary.pieces),
        used: text(facts::MODEL_USED).filter(|used| Some(used) != asked.as_ref()),
        asked: asked.unwrap_or_else(|| summary.workflow.clone()),
        workflow: summary.workflow.clone(),
        workflow_href: format!("/workflows/{}", encode(&summary.workflow)),
        started: format::rfc3339(summary.started),
        exact: format::exact(summary.started),
        ago: format::ago(summary.started, now),
        error: summary.error.clone().or_else(|| hung_up(summary, now)),
        error_type: text(facts::ERROR_TYPE),
        status: summary.int(facts::STATUS),
        upstream: summary
            .int(facts::UPSTREAM_STATUS)
            .filter(|status| *status >= 400)
            .map(|status| {
                (
                    text(facts::PROVIDER).unwrap_or_else(|| "the upstream".to_owned()),
                    status,
                )
            }),
        fallback: summary.text(facts::FALLBACK_BY).map(page_of),
        figures: figures(summary, paused(run, now), now),
        labels: labels(summary, trace_url.map(|url| url.of(&summary.trace_id))),
        tokens: TokenBar::new(summary),
        tokens_due: !summary.state.is_final(),
    })
}

/// A run that was dropped before its reply cannot say why. That Dagway itself gave it up would show as an answer.
fn hung_up(run: &RunSummary, now: Timestamp) -> Option<String> {
    let was_left = run.state == State::Cancelled
        && run.replied.is_none()
        && run.text(facts::ERROR_TYPE).is_none();
    was_left.then(|| {
        let waited = format::duration(run.duration(now));
        format!("the client hung up after {waited}")
    })
}

fn figures(run: &RunSummary, paused: Duration, now: Timestamp) -> Vec<Figure> {
    let unknown = || format::UNKNOWN.to_owned();
    let figure = |name, value: Option<String>, note: Option<String>| Figure {
        name,
        value: value.unwrap_or_else(unknown),
        title: None,
        note,
    };
    let is_estimate = run.is(facts::USAGE_IS_ESTIMATE);
    let usage = |name, value: Option<String>, note: Option<String>| Figure {
        title: (is_estimate && value.is_some()).then_some(format::WHY_ESTIMATED),
        ..match value {
            Some(known) if is_estimate => figure(name, Some(format::about(&known)), note),
            value => figure(name, value, note),
        }
    };
    let input = run.int(facts::INPUT_TOKENS);
    let cached = run.int(facts::CACHE_READ_TOKENS);
    let share = input
        .zip(cached)
        // What nobody counted was not told apart either.
        .filter(|_| !is_estimate)
        .and_then(|(all, read)| format::share(read, all));
    let overhead = run.micros(facts::OVERHEAD_US);
    let thinking = run
        .int(facts::REASONING_TOKENS)
        .filter(|tokens| *tokens > 0);
    vec![
        figure(
            "Duration",
            Some(format::duration(run.duration(now))),
            parts_of_time(run, paused),
        ),
        figure(
            "First token",
            run.first_token().map(format::duration),
            first_of_the_attempt(run),
        ),
        figure("Dagway's own time", overhead.map(format::duration), None),
        usage(
            "Tokens in",
            input.map(format::thousands),
            share.map(|share| format!("{share} from cache")),
        ),
        usage(
            "Tokens out",
            run.int(facts::OUTPUT_TOKENS).map(format::thousands),
            joined([
                thinking.map(|tokens| format!("{} thinking", format::thousands(tokens))),
                speed(run),
            ]),
        ),
        usage("Cost", run.float(facts::COST_USD).map(format::money), None),
    ]
}

fn joined(parts: [Option<String>; 2]) -> Option<String> {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// Where the time went, as far as it is worth a word.
fn parts_of_time(run: &RunSummary, paused: Duration) -> Option<String> {
    let mut parts = Vec::new();
    // The process died under it, and was last known to live this long after the run's start.
    parts.extend((run.state == State::Crashed).then(|| "at least".to_owned()));
    parts.extend(format::arrival(
        run.micros(facts::ARRIVAL_US),
        run.micros(facts::ARRIVAL_WAIT_US),
    ));
    parts.extend(
        (!paused.is_zero()).then(|| format!("{} waiting to retry", format::duration(paused))),
    );
    let streamed = streaming_time(run).map(format::duration);
    parts.extend(streamed.map(|streamed| format!("{streamed} streaming")));
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// How long the answer took from its first word to its last.
fn streaming_time(run: &RunSummary) -> Option<Duration> {
    run.is(facts::STREAM).then_some(())?;
    let passed = run.ended?.since(run.started);
    Some(passed.saturating_sub(run.first_token()?))
}

/// What the upstream's last attempt took, where the client waited longer: before it lies what else was tried.
fn first_of_the_attempt(run: &RunSummary) -> Option<String> {
    /// Less than this is nothing but the way through Dagway.
    const WORTH_A_WORD: Duration = Duration::from_millis(20);
    let attempt = Duration::try_from_secs_f64(run.float(facts::FIRST_TOKEN)?).ok()?;
    let before = run.first_token()?.saturating_sub(attempt);
    let told = format::duration(attempt);
    match run.int(facts::RETRIES) {
        Some(retries) => Some(format!("{told} in attempt {}", retries.saturating_add(1))),
        None => (before >= WORTH_A_WORD).then(|| format!("{told} to the first bytes")),
    }
}

/// How many tokens came in a second of a streamed answer.
fn speed(run: &RunSummary) -> Option<String> {
    /// A shorter stream says little of how fast it was.
    const LEAST: Duration = Duration::from_millis(200);
    let time = streaming_time(run).filter(|time| *time >= LEAST)?;
    let tokens = run.int(facts::OUTPUT_TOKENS).filter(|tokens| *tokens > 0)?;
    // What nobody counted has no speed either.
    (!run.is(facts::USAGE_IS_ESTIMATE)).then_some(())?;
    Some(format!(
        "{:.0} a second",
        tokens as f64 / time.as_secs_f64()
    ))
}

/// How long steps waited for their next attempts, all together.
fn paused(run: &RunDetail, now: Timestamp) -> Duration {
    let changes = run.steps.iter().flat_map(|step| {
        let next = step.history.iter().skip(1).map(|change| change.at);
        step.history
            .iter()
            .zip(next.chain([step.ended.unwrap_or(now)]))
    });
    changes
        .filter(|(change, _)| change.state == State::Retrying)
        .map(|(change, until)| until.since(change.at))
        .sum()
}

/// The page of a run.
fn page_of(run: &str) -> String {
    format!("/runs/{}", encode(run))
}

/// After which run this one asked another model, or which model it asked because the one that was named was left alone.
fn fallback_label(run: &RunSummary) -> Option<Label> {
    let after = run.text(facts::FALLBACK_AFTER);
    let value = after.or_else(|| run.text(facts::FALLBACK_MODEL))?;
    Some(Label {
        name: if after.is_some() {
            "Fallback after"
        } else {
            "Fallback"
        },
        value: value.to_owned(),
        href: after.map(page_of),
        copies: false,
    })
}

/// The run whose request was sent again.
fn replay_label(run: &RunSummary) -> Option<Label> {
    let replayed = run.text(facts::REPLAY_OF)?;
    Some(Label {
        name: "Replay of",
        value: replayed.to_owned(),
        href: Some(page_of(replayed)),
        copies: false,
    })
}

fn labels(run: &RunSummary, trace: Option<String>) -> Vec<Label> {
    let others_of = |parameter, fact| {
        let name = run.text(fact)?;
        let query = encode_pairs(&[(parameter, name.to_owned())]);
        Some((name.to_owned(), format!("/runs?{query}")))
    };
    let session = others_of("session", facts::SESSION);
    let key = others_of("key", facts::KEY);
    let plain = |name, fact| {
        run.text(fact).map(|value| Label {
            name,
            value: value.to_owned(),
            href: None,
            copies: false,
        })
    };
    let id = |name, value: &str, href| {
        Some(Label {
            name,
            value: value.to_owned(),
            href,
            copies: true,
        })
    };
    let provider = match (run.text(facts::PROVIDER_BEHIND), run.text(facts::PROVIDER)) {
        (Some(behind), Some(front)) => Some(format!("{behind} via {front}")),
        (one, other) => one.or(other).map(str::to_owned),
    };
    let labels = [
        provider.map(|value| Label {
            name: "Provider",
            value,
            href: None,
            copies: false,
        }),
        plain("Model sent", facts::MODEL_SENT),
        fallback_label(run),
        replay_label(run),
        plain("Stopped by", facts::FINISH_REASON),
        session.map(|(value, href)| Label {
            name: "Session",
            value,
            href: Some(href),
            copies: false,
        }),
        plain("Agent", facts::AGENT),
        plain("Client", facts::USER_AGENT),
        key.map(|(value, href)| Label {
            name: "Key",
            value,
            href: Some(href),
            copies: false,
        }),
        id("Request id", &run.request_id, None),
        id("Trace id", &run.trace_id, trace),
        id("Run id", &run.id.to_string(), None),
    ];
    labels.into_iter().flatten().collect()
}

impl TokenBar {
    fn new(run: &RunSummary) -> Option<Self> {
        let int = |fact| run.int(fact).unwrap_or(0).max(0);
        let input = run.int(facts::INPUT_TOKENS)?;
        let (read, written) = (
            int(facts::CACHE_READ_TOKENS),
            int(facts::CACHE_WRITE_TOKENS),
        );
        let output = int(facts::OUTPUT_TOKENS);
        let thinking = int(facts::REASONING_TOKENS).min(output);
        let pieces = [
            ("from cache", "cache-read", read),
            ("to cache", "cache-write", written),
            ("new input", "fresh", (input - read - written).max(0)),
            ("thinking", "thinking", thinking),
            ("answer", "answer", output - thinking),
        ];
        let total: i64 = pieces.iter().map(|(_, _, count)| count).sum();
        if total == 0 {
            return None;
        }
        let is_estimate = run.is(facts::USAGE_IS_ESTIMATE);
        let mut before = 0;
        let shares = pieces
            .into_iter()
            .filter(|(_, _, count)| *count > 0)
            .map(|(name, class, count)| {
                let from = before as f64 / total as f64;
                before += count;
                let told = format::thousands(count);
                TokenShare {
                    name,
                    class,
                    count: if is_estimate {
                        format::about(&told)
                    } else {
                        told
                    },
                    from: format::percent_attribute(from),
                    width: format::percent_attribute(count as f64 / total as f64),
                }
            })
            .collect();
        Some(Self { shares })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::fixture;
    use crate::events::FactValue;

    #[test]
    fn the_token_bar_adds_up() {
        let bar = TokenBar::new(&fixture::completed_run().summary).unwrap();
        let names: Vec<_> = bar
            .shares
            .iter()
            .map(|share| (share.name, share.count.replace('\u{202f}', "")))
            .collect();
        assert_eq!(
            names,
            [
                ("from cache", "45120".to_owned()),
                ("to cache", "2304".to_owned()),
                ("new input", "789".to_owned()),
                ("thinking", "402".to_owned()),
                ("answer", "785".to_owned())
            ]
        );
    }

    #[test]
    fn estimated_figures_say_so() {
        let mut run = fixture::completed_run().summary;
        let fact = facts::USAGE_IS_ESTIMATE.to_owned();
        run.facts.insert(fact, FactValue::Bool(true));
        run.facts
            .insert(facts::CACHE_READ_TOKENS.to_owned(), FactValue::Int(0));
        let told: Vec<_> = figures(&run, Duration::ZERO, fixture::now())
            .into_iter()
            .filter(|figure| figure.title == Some(format::WHY_ESTIMATED))
            .map(|figure| (figure.value, figure.note))
            .collect();
        assert!(told.iter().all(|(value, _)| value.starts_with("≈ ")));
        let bar = TokenBar::new(&run).unwrap();
        assert!(bar.shares.iter().all(|share| share.count.starts_with("≈ ")));
        let notes: Vec<_> = told.into_iter().map(|(_, note)| note).collect();
        assert_eq!(notes, [None, Some("402 thinking".to_owned()), None]);
    }

    #[test]
    fn whose_key_it_was_leads_to_the_runs_of_that_key() {
        let mut run = fixture::completed_run();
        let head = of_run(&run, None, fixture::now());
        assert!(!head.contains("<dt>Key</dt>"), "{head}");
        let name = FactValue::from("a+b@c");
        run.summary.facts.insert(facts::KEY.to_owned(), name);
        let head = of_run(&run, None, fixture::now());
        let link = "<a href=\"/runs?key=a%2Bb%40c\"><bdi>a+b@c</bdi></a>";
        assert!(
            head.contains("<dt>Key</dt>") && head.contains(link),
            "{head}"
        );
    }

    #[test]
    fn the_trace_is_a_link_where_traces_can_be_looked_at() {
        let run = fixture::completed_run();
        let url = TraceUrl::new("http://jaeger/trace/{id}?x", "{id}").unwrap();
        let link = format!(
            "<a href=\"http://jaeger/trace/{}?x\">",
            run.summary.trace_id
        );
        assert!(of_run(&run, Some(&url), fixture::now()).contains(&link));
        assert!(!of_run(&run, None, fixture::now()).contains("jaeger"));
    }

    #[test]
    fn a_run_and_its_fallback_lead_to_each_other() {
        let with = |mut run: RunDetail, stated: &[(&str, &str)]| {
            for (fact, value) in stated {
                let value = FactValue::from(*value);
                run.summary.facts.insert((*fact).to_owned(), value);
            }
            of_run(&run, None, fixture::now())
        };
        let by = [(facts::FALLBACK_BY, "0199-2")];
        let failed = with(fixture::failed_run(), &by);
        assert!(failed.contains("<a href=\"/runs/0199-2\">A fallback was asked instead</a>"));
        let after = [
            (facts::FALLBACK_MODEL, "openai/gpt-5"),
            (facts::FALLBACK_AFTER, "0199-1"),
        ];
        let after = with(fixture::completed_run(), &after);
        assert!(after.contains("<dt>Fallback after</dt>"));
        assert!(after.contains("<a href=\"/runs/0199-1\"><bdi>0199-1</bdi></a>"));
        let spared = [(facts::FALLBACK_MODEL, "openai/gpt-5")];
        let spared = with(fixture::completed_run(), &spared);
        assert!(spared.contains("<dt>Fallback</dt><dd title=\"openai/gpt-5\">"));
    }

    #[test]
    fn a_replay_leads_to_the_run_whose_request_it_is() {
        let mut run = fixture::completed_run();
        let head = of_run(&run, None, fixture::now());
        assert!(!head.contains("Replay of"), "{head}");
        let replayed = FactValue::from("0199-1");
        let fact = facts::REPLAY_OF.to_owned();
        run.summary.facts.insert(fact, replayed);
        let head = of_run(&run, None, fixture::now());
        let label =
            "<dt>Replay of</dt><dd title=\"0199-1\"><a href=\"/runs/0199-1\"><bdi>0199-1</bdi></a>";
        assert!(head.contains(label), "{head}");
    }

    #[test]
    fn where_the_time_went_is_said_below_the_duration() {
        let run = fixture::retried_run();
        let told = |name: &str| {
            let figures = figures(&run.summary, paused(&run, fixture::now()), fixture::now());
            let figure = figures.into_iter().find(|figure| figure.name == name);
            figure.and_then(|figure| figure.note)
        };
        let notes = ["Duration", "First token", "Tokens out"].map(told);
        assert_eq!(
            notes.each_ref().map(Option::as_deref),
            [
                Some("1.52 s waiting to retry · 1.70 s streaming"),
                Some("612 ms in attempt 3"),
                Some("402 thinking · 698 a second"),
            ]
        );
    }

    #[test]
    fn a_tab_says_state_and_model() {
        let mut run = fixture::failed_run().summary;
        run.facts.insert(
            facts::MODEL_ASKED.to_owned(),
            FactValue::from("m".repeat(50)),
        );
        let model = format!("{}…", "m".repeat(39));
        assert_eq!(title(&run), format!("✕ Failed · {model}"));
    }

    #[test]
    fn a_crashed_run_lasted_at_least_as_long_as_is_known() {
        let note = |state| {
            let mut run = fixture::failed_run().summary;
            run.state = state;
            figures(&run, Duration::ZERO, fixture::now()).remove(0).note
        };
        assert_eq!(note(State::Crashed).as_deref(), Some("at least"));
        assert_eq!(note(State::Failed), None);
    }
}
