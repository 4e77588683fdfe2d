//! `dagway workflows`: proves and prints the graphs.

use std::fmt::Write;
use std::path::PathBuf;

use super::args::Workflows;
use super::{Failure, say};
use crate::app::plans;
use crate::events::{Carries, PlanInfo};
use crate::settings::Settings;

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
        plans::describe_files(files)
    };
    let infos = proved.map_err(|error| Failure::Usage(error.to_string()))?;
    for info in infos {
        let route = info.route.as_deref().unwrap_or("no route");
        say(format!(
            "{}: {} steps, {route}: proved",
            info.file,
            info.steps.len()
        ));
    }
    Ok(())
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
        say(text(info));
    }
    Ok(())
}

/// A plan as text, steps in the order in which they may run.
fn text(info: &PlanInfo) -> String {
    let mut text = format!(
        "{} ({}, {})\n  {}\n",
        info.name,
        info.file,
        info.route.as_deref().unwrap_or("no route"),
        info.about
    );
    let width = info
        .steps
        .iter()
        .map(|step| step.name.len())
        .max()
        .unwrap_or(0);
    for (index, step) in info.steps.iter().enumerate() {
        let optional = if step.optional { " (optional)" } else { "" };
        let _ = writeln!(text, "\n  {:width$}  {}{optional}", step.name, step.about);
        for edge in info
            .edges
            .iter()
            .filter(|edge| usize::from(edge.to) == index)
        {
            let from = edge.from.and_then(|from| info.steps.get(usize::from(from)));
            let from = from.map_or("request", |step| step.name.as_str());
            let _ = match &edge.carries {
                Carries::Shared(what) => {
                    writeln!(text, "  {:width$}    takes {what} from {from}", "")
                }
                Carries::Owned(what) => {
                    writeln!(text, "  {:width$}    takes over {what} from {from}", "")
                }
                Carries::End(what) => writeln!(
                    text,
                    "  {:width$}    waits for {what} at the end of {from}",
                    ""
                ),
                Carries::Order => writeln!(text, "  {:width$}    runs after {from}", ""),
            };
        }
    }
    text.trim_end().to_owned()
}
