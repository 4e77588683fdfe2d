//! `dagway workflows`: proves and prints the graphs.

use std::fmt::Write;
use std::path::PathBuf;

use super::args::Workflows;
use super::{Failure, say};
use crate::app::plans;
use crate::engine::Task;
use crate::events::{Backoff, Carries, PlanInfo, Retry, StepInfo};
use crate::settings::Settings;
use crate::tasks::exec::Exec;
use crate::tasks::http::Http;

/// Proves or prints workflows.
///
/// # Errors
/// All faults of all files.
pub fn run(command: &Workflows, settings: &Settings) -> Result<(), Failure> {
    match command {
        Workflows::Check { files } => check(files, settings),
        Workflows::Show { name } => show(name.as_deref(), settings),
    }
}

fn check(files: &[PathBuf], settings: &Settings) -> Result<(), Failure> {
    let proved = if files.is_empty() {
        plans::describe_all(settings)
    } else {
        plans::describe_files(files, &settings.environment)
    };
    let infos = proved.map_err(|error| Failure::Usage(error.to_string()))?;
    for info in infos {
        let replaces = plans::replaced_by(&info);
        say(format!(
            "{}: {} steps, {}: proved{}",
            info.file,
            info.steps.len(),
            plans::served_by(&info),
            replaces.map_or_else(String::new, |ours| format!("; it replaces {ours}"))
        ))?;
        for step in unheeded(&info) {
            say(format!(
                "  note: nothing waits for the step `{step}`, so that a request is answered whatever it says: write `after = \
                 [\"{step}\"]` below the step that must wait for it, such as [steps.call_upstream], or, if its failure is to \
                 do no harm, `optional = true` below [steps.{step}]"
            ))?;
        }
    }
    Ok(())
}

/// Steps in other languages that could refuse the request, and for which nothing waits.
fn unheeded(info: &PlanInfo) -> Vec<&str> {
    let begins_after_the_answer = after_the_answer(info);
    let is_heeded = |index: usize| {
        let mut from = info.edges.iter().filter_map(|edge| edge.from);
        from.any(|from| usize::from(from) == index)
    };
    let steps = info.steps.iter().enumerate();
    let unheeded = steps.filter(|(index, step)| {
        [Exec::NAME, Http::NAME].contains(&step.task.as_str())
            && !step.optional
            && !begins_after_the_answer[*index]
            && !is_heeded(*index)
    });
    unheeded.map(|(_, step)| step.name.as_str()).collect()
}

/// Of each step, whether it waits for the end of a flow, itself or by a step before it. Edges lead forward.
fn after_the_answer(info: &PlanInfo) -> Vec<bool> {
    let mut are_after = vec![false; info.steps.len()];
    for index in 0..are_after.len() {
        let mut needs = info
            .edges
            .iter()
            .filter(|edge| usize::from(edge.to) == index);
        are_after[index] = needs.any(|edge| {
            let from = edge.from.map(usize::from);
            matches!(edge.carries, Carries::End(_)) || from.is_some_and(|from| are_after[from])
        });
    }
    are_after
}

fn show(name: Option<&str>, settings: &Settings) -> Result<(), Failure> {
    let infos = plans::describe_all(settings).map_err(|error| Failure::Usage(error.to_string()))?;
    let names: Vec<String> = infos.iter().map(|info| info.name.clone()).collect();
    let chosen: Vec<PlanInfo> = infos
        .into_iter()
        .filter(|info| name.is_none_or(|name| info.name == name))
        .collect();
    if chosen.is_empty() {
        let asked = name.unwrap_or_default();
        return Err(Failure::Usage(format!(
            "there is no workflow `{asked}`; there are: {}",
            names.join(", ")
        )));
    }
    for info in &chosen {
        say(text(info))?;
    }
    Ok(())
}

/// A plan as text, steps in the order in which they may run.
fn text(info: &PlanInfo) -> String {
    let mut text = format!(
        "{} ({}, {})\n",
        info.name,
        info.file,
        plans::served_by(info)
    );
    if let Some(ours) = plans::replaced_by(info) {
        let _ = writeln!(text, "  replaces {ours}\n");
    }
    for line in info.about.lines() {
        let line = format!("  {line}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let width = info
        .steps
        .iter()
        .map(|step| step.name.len())
        .max()
        .unwrap_or(0);
    for (index, step) in info.steps.iter().enumerate() {
        let optional = if step.optional { " (optional)" } else { "" };
        let _ = writeln!(text, "\n  {:width$}  {}{optional}", step.name, step.about);
        for line in ports(info, index, step).chain(limits(step)) {
            let _ = writeln!(text, "  {:width$}    {line}", "");
        }
    }
    text.trim_end().to_owned()
}

/// What a step takes, from where, and what it gives.
fn ports(info: &PlanInfo, index: usize, step: &StepInfo) -> impl Iterator<Item = String> {
    let mut lines = Vec::new();
    let mut carried = Vec::new();
    for edge in &info.edges {
        if usize::from(edge.to) != index {
            continue;
        }
        let from = edge.from.and_then(|from| info.steps.get(usize::from(from)));
        let from = from.map_or("request", |step| step.name.as_str());
        let (what, line) = match &edge.carries {
            Carries::Shared(what) => (Some(what), format!("takes {what} from {from}")),
            Carries::Owned(what) => (Some(what), format!("takes over {what} from {from}")),
            Carries::End(what) => {
                let line = format!("waits for {what} at the end of {from}");
                (Some(what), line)
            }
            Carries::Order => (None, format!("runs after {from}")),
        };
        carried.extend(what);
        lines.push(line);
    }
    let resources = step.takes.iter().filter(|name| !carried.contains(name));
    lines.extend(resources.map(|name| format!("uses {name} of the process")));
    lines.extend(step.gives.iter().map(|name| format!("gives {name}")));
    lines.into_iter()
}

/// How long a step may take, how often it is tried, and how many at once.
fn limits(step: &StepInfo) -> impl Iterator<Item = String> {
    let timeout = step.timeout.map(|limit| format!("timeout {limit:?}"));
    let limit = step.limit.map(|limit| format!("limit {limit} at once"));
    let retry = step.retry.as_ref().map(retry);
    timeout.into_iter().chain(retry).chain(limit)
}

fn retry(rule: &Retry) -> String {
    let mut text = format!("retry up to {} attempts, ", rule.attempts);
    let _ = match rule.backoff {
        Backoff::Constant => write!(text, "{:?} apart", rule.base),
        Backoff::Exponential => write!(text, "{:?} to {:?} apart, doubling", rule.base, rule.max),
    };
    text.extend(rule.conditions());
    text
}
