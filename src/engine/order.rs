//! Puts steps in an order in which they could run one by one, or names the circle that prevents it.

use std::collections::BTreeSet;

use petgraph::algo::{tarjan_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};

use super::proof::StepProof;
use super::report::Report;

/// The steps, level by level from the start; within a level as in the file.
pub(super) fn sort(steps: &[StepProof<'_>], report: &mut Report<'_>) -> Option<Vec<usize>> {
    let mut graph = DiGraph::<(), ()>::with_capacity(steps.len(), steps.len());
    let nodes: Vec<_> = steps.iter().map(|_| graph.add_node(())).collect();
    for (to, step) in steps.iter().enumerate() {
        let needs = step.needs.iter().filter_map(|(giver, _)| *giver);
        for from in needs.chain(step.after.iter().copied()) {
            graph.update_edge(nodes[from], nodes[to], ());
        }
    }
    let Ok(sorted) = toposort(&graph, None) else {
        report_circles(&graph, steps, report);
        return None;
    };
    let mut levels = vec![0_usize; steps.len()];
    for node in sorted {
        for next in graph.neighbors(node) {
            levels[next.index()] = levels[next.index()].max(levels[node.index()] + 1);
        }
    }
    let mut order: Vec<_> = (0..steps.len()).collect();
    order.sort_by_key(|step| levels[*step]);
    Some(order)
}

/// Reports one circle for each knot of steps that wait for each other.
fn report_circles(graph: &DiGraph<(), ()>, steps: &[StepProof<'_>], report: &mut Report<'_>) {
    for knot in tarjan_scc(graph) {
        let Some(circle) = circle_in(graph, &knot.into_iter().collect()) else {
            continue;
        };
        let span = &steps[circle[0].index()].draft.name.span;
        let names = circle
            .iter()
            .map(|node| &steps[node.index()].draft.name.text);
        let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
        let chain = names.join(" → ");
        let wrong = format!("steps wait for each other, {chain}: remove one of these edges");
        report.add(span, wrong);
    }
}

/// Walks within the knot until a step comes again. A knot of one step need not have a circle.
fn circle_in(graph: &DiGraph<(), ()>, knot: &BTreeSet<NodeIndex>) -> Option<Vec<NodeIndex>> {
    let mut path = vec![*knot.first()?];
    loop {
        let last = *path.last()?;
        let next = graph
            .neighbors(last)
            .filter(|next| knot.contains(next))
            .min()?;
        let seen = path.iter().position(|node| *node == next);
        path.push(next);
        if let Some(begin) = seen {
            return Some(path.split_off(begin));
        }
    }
}
