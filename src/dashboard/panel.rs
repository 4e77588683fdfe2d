//! The details of one step of a run: history, attempts, logs, what it took and what it gave.

use askama::Template;

use super::format::Span;
use super::page::part;
use super::pretty::{self, Token};
use super::state::StateView;
use super::{format, state};
use crate::events::{Backoff, Retry};
use crate::events::{Carries, StepIndex, Timestamp};
use crate::store::{Preview, RunDetail};

/// Bytes of a preview that are shown.
const PREVIEW: usize = 24_000;

#[derive(Template)]
#[template(path = "parts/panel.html")]
struct Panel {
    name: String,
    task: Option<String>,
    about: Vec<Span>,
    state: StateView,
    streaming: bool,
    error: Option<String>,
    rules: Vec<(&'static str, String)>,
    settings: Option<Vec<Token>>,
    history: Vec<Change>,
    logs: Vec<Line>,
    inputs: Vec<Artifact>,
    outputs: Vec<Artifact>,
}

struct Change {
    state: StateView,
    attempt: Option<u16>,
    exact: String,
    since: String,
    lasted: String,
    message: Option<String>,
    retry_in: Option<String>,
}

struct Line {
    since: String,
    level: &'static str,
    message: String,
}

struct Artifact {
    name: String,
    /// The step that gave it.
    from: Option<String>,
    tokens: Vec<Token>,
    cut: bool,
}

/// The details of a step as they stand at `now`.
pub(super) fn of_step(run: &RunDetail, index: StepIndex, now: Timestamp) -> String {
    let at = usize::from(index);
    let (Some(info), Some(step)) = (run.plan.steps.get(at), run.steps.get(at)) else {
        return part(&Empty);
    };
    let start = run.summary.started;
    let logs = run.logs.iter().filter(|line| line.step == Some(index));
    let mut rules = vec![
        ("Takes", info.takes.join(", ")),
        ("Gives", info.gives.join(", ")),
    ];
    rules.extend(
        info.timeout
            .map(|timeout| ("Timeout", format::duration(timeout))),
    );
    rules.extend(info.retry.as_ref().map(|rule| ("Retry", retry(rule))));
    rules.extend(
        info.limit
            .map(|limit| ("Limit", format!("{limit} at work at once"))),
    );
    rules.extend(
        info.optional
            .then(|| ("Optional", "its failure does not fail the run".to_owned())),
    );
    rules.retain(|(_, value)| !value.is_empty());
    let has_settings = !matches!(info.with.trim(), "" | "{}");
    part(&Panel {
        name: info.name.clone(),
        task: (info.task != info.name).then(|| info.task.clone()),
        about: format::prose(&info.about),
        state: step.state.into(),
        streaming: step.streaming,
        error: step
            .error
            .clone()
            .filter(|_| step.state != crate::events::State::Completed),
        rules,
        settings: has_settings.then(|| pretty::json(&info.with, PREVIEW).tokens),
        history: history(run, index, now),
        logs: logs
            .map(|line| Line {
                since: format::duration(line.at.since(start)),
                level: state::level(line.level),
                message: line.message.clone(),
            })
            .collect(),
        inputs: inputs(run, index),
        outputs: step
            .outputs
            .iter()
            .map(|output| artifact(output, None))
            .collect(),
    })
}

#[derive(Template)]
#[template(path = "parts/panel_empty.html")]
struct Empty;

fn history(run: &RunDetail, index: StepIndex, now: Timestamp) -> Vec<Change> {
    let Some(step) = run.steps.get(usize::from(index)) else {
        return Vec::new();
    };
    let changes = step.history.iter().enumerate();
    changes
        .map(|(place, change)| {
            let next = step.history.get(place + 1).map(|next| next.at);
            let lasted = match next {
                Some(next) => format::duration(next.since(change.at)),
                None if change.state.is_final() => String::new(),
                None => format::duration(now.since(change.at)),
            };
            Change {
                state: change.state.into(),
                attempt: (change.attempt > 0).then_some(change.attempt),
                exact: format::exact(change.at),
                since: format::duration(change.at.since(run.summary.started)),
                lasted,
                message: change.message.clone(),
                // Once it is over, its length is told as that of any state.
                retry_in: change
                    .retry_in
                    .filter(|_| next.is_none())
                    .map(format::duration),
            }
        })
        .collect()
}

/// What the step took: the recorded outputs of its needs, and the request.
fn inputs(run: &RunDetail, index: StepIndex) -> Vec<Artifact> {
    let mut inputs = Vec::new();
    for edge in run.plan.edges.iter().filter(|edge| edge.to == index) {
        let (Carries::Shared(name) | Carries::Owned(name) | Carries::End(name)) = &edge.carries
        else {
            continue;
        };
        let Some(from) = edge.from else {
            inputs.extend(
                run.request
                    .iter()
                    .map(|request| artifact(request, Some("request".to_owned()))),
            );
            continue;
        };
        let from = usize::from(from);
        let giver = run.plan.steps.get(from).map(|step| step.name.clone());
        let outputs = run.steps.get(from).map_or(&[][..], |step| &step.outputs);
        let taken = outputs.iter().filter(|output| output.artifact == *name);
        inputs.extend(taken.map(|output| artifact(output, giver.clone())));
    }
    inputs
}

fn artifact(preview: &Preview, from: Option<String>) -> Artifact {
    let pretty = pretty::json(&preview.json, PREVIEW);
    Artifact {
        name: preview.artifact.clone(),
        from,
        tokens: pretty.tokens,
        cut: preview.truncated || pretty.cut,
    }
}

/// A retry rule in words.
pub(super) fn retry(rule: &Retry) -> String {
    let growth = match rule.backoff {
        Backoff::Constant => "every",
        Backoff::Exponential => "doubling from",
    };
    let mut text = format!(
        "{} attempts, {growth} {}",
        rule.attempts,
        format::duration(rule.base)
    );
    if rule.backoff == Backoff::Exponential {
        text.push_str(" to ");
        text.push_str(&format::duration(rule.max));
    }
    text.extend(rule.conditions());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::fixture;

    #[test]
    fn inputs_are_the_outputs_of_the_needs() {
        let run = fixture::completed_run();
        let names = |index| -> Vec<(String, Option<String>)> {
            inputs(&run, index)
                .into_iter()
                .map(|input| (input.name, input.from))
                .collect()
        };
        let pair = |name: &str, from: &str| (name.to_owned(), Some(from.to_owned()));
        assert_eq!(names(0), [pair("ClientRequest", "request")]);
        assert_eq!(
            names(4),
            [
                pair("ValidRequest", "validate"),
                pair("ModelChoice", "map_model"),
                pair("ChatMessages", "convert_messages"),
                pair("ChatTools", "convert_tools")
            ]
        );
    }

    #[test]
    fn a_retry_rule_reads_as_a_sentence() {
        let run = fixture::completed_run();
        let rule = run.plan.steps[fixture::CALL_UPSTREAM]
            .retry
            .clone()
            .unwrap();
        assert_eq!(
            retry(&rule),
            "3 attempts, doubling from 250 ms to 8.00 s, with jitter, or as the answer asks"
        );
    }
}
