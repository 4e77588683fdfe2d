//! The graph of a plan as SVG, coloured by a run or plain.
//!
//! The geometry comes from [`graph`](super::graph); this file adds states, links and words.

use std::sync::Arc;

use askama::Template;

use super::format;
use super::graph::{EdgeKind, Geometry, LONGEST_NAME, Node, geometry};
use super::page::part;
use super::state::StateView;
use crate::events::{PlanInfo, State, StepIndex, Timestamp};
use crate::store::{RunDetail, StepRun};

#[derive(Template)]
#[template(path = "parts/graph.html")]
struct Picture {
    geometry: Arc<Geometry>,
    title: String,
    nodes: Vec<NodeView>,
    edges: Vec<EdgeView>,
}

struct NodeView {
    place: Node,
    name: String,
    full_name: String,
    about: String,
    /// The second line.
    line: String,
    state: Option<StateView>,
    classes: String,
    href: Option<String>,
}

struct EdgeView {
    path: String,
    label: String,
    label_x: i32,
    label_y: i32,
    classes: &'static str,
    kind: &'static str,
}

/// A plan without a run.
pub(crate) fn of_plan(plan: &PlanInfo) -> String {
    let geometry = geometry(plan);
    let nodes = plan
        .steps
        .iter()
        .zip(&geometry.steps)
        .map(|(step, place)| NodeView {
            place: *place,
            name: format::ellipsis(&step.name, LONGEST_NAME),
            full_name: step.name.clone(),
            about: step.about.clone(),
            line: if step.task == step.name {
                String::new()
            } else {
                format::ellipsis(&step.task, LONGEST_NAME)
            },
            state: None,
            classes: if step.optional { "optional" } else { "" }.to_owned(),
            href: None,
        })
        .collect();
    let edges = edges(&geometry, |_| "idle");
    draw(plan, geometry, nodes, edges)
}

/// A run's plan with the states of its steps. `href` gives the address that selects a step.
pub(crate) fn of_run(
    run: &RunDetail,
    selected: StepIndex,
    now: Timestamp,
    href: impl Fn(&str) -> String,
) -> String {
    let plan = &run.plan;
    let geometry = geometry(plan);
    let nodes = plan
        .steps
        .iter()
        .zip(&geometry.steps)
        .zip(0..)
        .map(|((step, place), index)| {
            let step_run = run.steps.get(usize::from(index));
            let state = step_run.map_or(State::Pending, |step| step.state);
            let streaming = step_run.is_some_and(|step| step.streaming);
            let mut classes = String::new();
            for (class, holds) in [
                ("optional", step.optional),
                ("selected", index == selected),
                ("streaming", streaming),
                ("moving", state == State::Running),
            ] {
                if holds {
                    classes.push_str(class);
                    classes.push(' ');
                }
            }
            NodeView {
                place: *place,
                name: format::ellipsis(&step.name, LONGEST_NAME),
                full_name: step.name.clone(),
                about: step.about.clone(),
                line: step_run.map_or_else(String::new, |step| line(step, now)),
                state: Some(state.into()),
                classes,
                href: Some(href(&step.name)),
            }
        })
        .collect();
    let edges = edges(&geometry, |from| {
        let Some(from) = from else { return "done" };
        match run.steps.get(usize::from(from)) {
            Some(step) if step.streaming => "flowing",
            Some(step) if matches!(step.state, State::Completed | State::Cached) => "done",
            _ => "idle",
        }
    });
    draw(plan, geometry, nodes, edges)
}

fn line(step: &StepRun, now: Timestamp) -> String {
    let StateView { label, .. } = step.state.into();
    let duration = step
        .started
        .map(|started| format::duration(step.ended.unwrap_or(now).since(started)));
    let again = match step.attempts {
        0 | 1 => String::new(),
        attempts => format!(" · {attempts}×"),
    };
    match duration {
        Some(duration) if step.streaming => format!("Streaming · {duration}{again}"),
        Some(duration) if step.state == State::Completed => format!("{duration}{again}"),
        Some(duration) => format!("{label} · {duration}{again}"),
        None => label.to_owned(),
    }
}

fn edges(geometry: &Geometry, class: impl Fn(Option<StepIndex>) -> &'static str) -> Vec<EdgeView> {
    geometry
        .edges
        .iter()
        .map(|edge| EdgeView {
            path: edge.path.clone(),
            label: edge.label.clone(),
            label_x: edge.label_x,
            label_y: edge.label_y,
            classes: class(edge.from),
            kind: match edge.kind {
                EdgeKind::Data => "data",
                EdgeKind::End => "end",
                EdgeKind::Order => "order",
            },
        })
        .collect()
}

fn draw(
    plan: &PlanInfo,
    geometry: Arc<Geometry>,
    nodes: Vec<NodeView>,
    edges: Vec<EdgeView>,
) -> String {
    part(&Picture {
        geometry,
        title: format!("The graph of the workflow {}", plan.name),
        nodes,
        edges,
    })
}
