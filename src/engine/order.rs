//! Puts steps in an order in which they could run one by one, or names the circle that prevents it.

use std::collections::{BTreeSet, HashMap};

use petgraph::algo::{tarjan_scc, toposort};
use petgraph::graphmap::DiGraphMap;

use crate::workflow::{Report, StepDraft};

/// A graph of steps, counted as in the file.
type Graph = DiGraphMap<usize, ()>;

/// The steps, level by level from the start; within a level, and if there is a circle, as in the file.
pub(super) fn sort<'a>(drafts: &'a [StepDraft], report: &mut Report<'_>) -> Vec<&'a StepDraft> {
    let names = drafts.iter().map(StepDraft::name);
    let places: HashMap<_, _> = names.zip(0..).collect();
    let mut graph = Graph::new();
    for (to, draft) in drafts.iter().enumerate() {
        graph.add_node(to);
        for earlier in draft.needs.iter().chain(&draft.after) {
            if let Some(from) = places.get(earlier.get_ref().as_str()) {
                graph.add_edge(*from, to, ());
            }
        }
    }
    let Ok(sorted) = toposort(&graph, None) else {
        report_circles(&graph, drafts, report);
        return drafts.iter().collect();
    };
    let mut levels = vec![0_usize; drafts.len()];
    for step in sorted {
        for next in graph.neighbors(step) {
            levels[next] = levels[next].max(levels[step] + 1);
        }
    }
    let mut order: Vec<_> = drafts.iter().zip(levels).collect();
    order.sort_by_key(|(_, level)| *level);
    order.into_iter().map(|(draft, _)| draft).collect()
}

/// Reports one circle for each knot of steps that wait for each other.
fn report_circles(graph: &Graph, drafts: &[StepDraft], report: &mut Report<'_>) {
    for knot in tarjan_scc(graph) {
        let Some(circle) = circle_in(graph, &knot.into_iter().collect()) else {
            continue;
        };
        let names = circle.iter().map(|step| drafts[*step].name());
        let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
        let chain = names.join(" → ");
        let wrong = format!("steps wait for each other, {chain}: remove one of these edges");
        report.add(&drafts[circle[0]].name.span(), wrong);
    }
}

/// Walks within the knot until a step comes again. A knot of one step need not have a circle.
fn circle_in(graph: &Graph, knot: &BTreeSet<usize>) -> Option<Vec<usize>> {
    let mut path = vec![*knot.first()?];
    loop {
        let nexts = graph.neighbors(*path.last()?);
        let next = nexts.filter(|next| knot.contains(next)).min()?;
        let seen = path.iter().position(|step| *step == next);
        path.push(next);
        if let Some(begin) = seen {
            return Some(path.split_off(begin));
        }
    }
}
