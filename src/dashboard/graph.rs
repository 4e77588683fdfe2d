//! The picture of a plan: where its nodes and edges stand.
//!
//! The layout does not depend on a run, so it is computed once per plan (by its hash) and kept;
//! a run only colours it. This file must not know states or HTML.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use dagre::graph::{Graph, GraphOptions};
use dagre::{EdgeLabel, LayoutOptions, NodeLabel, RankDir};

use crate::events::{Carries, EdgeInfo, PlanInfo, StepIndex, StepInfo};

/// Where everything stands, in pixels from the top left corner.
#[derive(Debug, PartialEq)]
pub(crate) struct Geometry {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// The request, from which all starts.
    pub(crate) request: Node,
    /// The steps, in the plan's order.
    pub(crate) steps: Vec<Node>,
    /// One per pair of nodes, however many artifacts travel between them.
    pub(crate) edges: Vec<Edge>,
}

impl Geometry {
    /// Whether letters could not be read if all of it were made to fit into a page, which is 1360 pixels wide at most.
    pub(crate) const fn is_large(&self) -> bool {
        const WIDEST_TO_FIT: u32 = 1700;
        self.width > WIDEST_TO_FIT
    }
}

/// A node by its top left corner.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Node {
    pub(crate) x: i32,
    pub(crate) y: i32,
    pub(crate) width: i32,
    pub(crate) height: i32,
}

/// A routed edge.
#[derive(Debug, PartialEq)]
pub(crate) struct Edge {
    pub(crate) from: Option<StepIndex>,
    pub(crate) to: StepIndex,
    /// The curve, as the `d` of an SVG path.
    pub(crate) path: String,
    /// What travels on it, in words.
    pub(crate) label: String,
    /// Where the label stands: the middle of the curve.
    pub(crate) label_x: i32,
    pub(crate) label_y: i32,
    pub(crate) kind: EdgeKind,
}

/// How an edge is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EdgeKind {
    /// Order alone.
    Order,
    /// What is known at the end of a flow.
    End,
    /// Artifacts.
    Data,
}

const NODE_HEIGHT: i32 = 48;
const REQUEST_WIDTH: i32 = 76;
const REQUEST_HEIGHT: i32 = 32;
const MARGIN: f64 = 12.0;
/// Width of one character of a node's name, and of its second line.
const CHARACTER: f64 = 7.7;
const LINE_CHARACTER: f64 = 5.6;
/// Width of what stands around both: the sign of the state and the margins.
const AROUND_NAME: f64 = 50.0;
const WIDEST: f64 = 256.0;
/// What a node says in its second line at its longest, and behind that when its step may be tried again.
const LONGEST_LINE: &str = "Cancelled · 823 ms";
const AGAIN: &str = " · 3×";

/// Characters of a step's name that fit into the widest node.
pub(crate) const LONGEST_NAME: usize = 26;

/// The geometry of a plan, computed at its first showing.
pub(crate) fn geometry(plan: &PlanInfo) -> Arc<Geometry> {
    /// Plans are few; a flood of them empties the cache rather than growing it.
    const MOST: usize = 256;
    static CACHE: LazyLock<Mutex<HashMap<String, Arc<Geometry>>>> = LazyLock::new(Mutex::default);

    let known = |hash: &str| {
        let cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(hash).cloned()
    };
    if let Some(geometry) = known(&plan.hash) {
        return geometry;
    }
    let geometry = Arc::new(lay_out(plan));
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if cache.len() >= MOST {
        cache.clear();
    }
    cache.insert(plan.hash.clone(), Arc::clone(&geometry));
    geometry
}

fn lay_out(plan: &PlanInfo) -> Geometry {
    let mut graph: Graph<NodeLabel, EdgeLabel> = Graph::with_options(GraphOptions {
        directed: true,
        multigraph: false,
        compound: false,
    });
    graph.set_node(
        name(None),
        Some(sized(f64::from(REQUEST_WIDTH), f64::from(REQUEST_HEIGHT))),
    );
    for (step, index) in plan.steps.iter().zip(0..) {
        let width = width_of(step);
        graph.set_node(
            name(Some(index)),
            Some(sized(width, f64::from(NODE_HEIGHT))),
        );
    }
    let bundles = bundles(plan);
    for bundle in &bundles {
        let straight = if bundle.kind == EdgeKind::Data { 2 } else { 1 };
        let label = EdgeLabel {
            weight: straight,
            ..EdgeLabel::default()
        };
        graph.set_edge(name(bundle.from), name(Some(bundle.to)), Some(label), None);
    }
    dagre::layout(
        &mut graph,
        Some(LayoutOptions {
            rankdir: RankDir::LR,
            nodesep: 20.0,
            edgesep: 12.0,
            ranksep: 36.0,
            marginx: MARGIN,
            marginy: MARGIN,
            ..LayoutOptions::default()
        }),
    );
    read(&graph, plan, &bundles)
}

/// Reads what was laid out, moved so that no node and no edge lies beyond the top left corner.
fn read(graph: &Graph<NodeLabel, EdgeLabel>, plan: &PlanInfo, bundles: &[Bundle]) -> Geometry {
    let place = |index: Option<StepIndex>| corner(graph, &name(index));
    let mut request = place(None);
    let mut steps: Vec<Node> = (0..)
        .zip(&plan.steps)
        .map(|(index, _)| place(Some(index)))
        .collect();
    let columns = columns(std::iter::once(&request).chain(&steps));
    let mut routes: Vec<Vec<Level>> = bundles
        .iter()
        .map(|bundle| route(graph, bundle, (&request, &steps), &columns))
        .collect();

    let nodes = || std::iter::once(&request).chain(&steps);
    let levels = || routes.iter().flatten().map(|level| pixel(level.y));
    let highest_node = nodes().map(|node| node.y).min().unwrap_or(0);
    let down = pixel(MARGIN) - levels().fold(highest_node, i32::min);
    let lowest_node = nodes().map(|node| node.y + node.height).max().unwrap_or(0);
    let lowest = levels().fold(lowest_node, i32::max);
    let right = nodes().map(|node| node.x + node.width).max().unwrap_or(0);
    let height = lowest + down + pixel(MARGIN);
    let width = right + pixel(MARGIN);

    request.y += down;
    for step in &mut steps {
        step.y += down;
    }
    for level in routes.iter_mut().flatten() {
        level.y += f64::from(down);
    }
    Geometry {
        width: width.unsigned_abs(),
        height: height.unsigned_abs(),
        request,
        steps,
        edges: bundles
            .iter()
            .zip(&routes)
            .map(|(bundle, route)| bundle.edge(route))
            .collect(),
    }
}

fn corner(graph: &Graph<NodeLabel, EdgeLabel>, name: &str) -> Node {
    let Some(label) = graph.node(name) else {
        return Node::default();
    };
    Node {
        x: pixel(label.x.unwrap_or_default() - label.width / 2.0),
        y: pixel(label.y.unwrap_or_default() - label.height / 2.0),
        width: pixel(label.width),
        height: pixel(label.height),
    }
}

/// The columns that nodes stand in, from left to right, by their left and right ends. Nothing stands between them.
fn columns<'a>(nodes: impl Iterator<Item = &'a Node>) -> Vec<(f64, f64)> {
    let mut spans: Vec<(i32, i32)> = nodes.map(|node| (node.x, node.x + node.width)).collect();
    spans.sort_unstable();
    let mut columns: Vec<(f64, f64)> = Vec::new();
    for (left, right) in spans {
        let (left, right) = (f64::from(left), f64::from(right));
        match columns.last_mut() {
            Some(last) if left <= last.1 => last.1 = last.1.max(right),
            _ => columns.push((left, right)),
        }
    }
    columns
}

/// A part of an edge that keeps its height.
#[derive(Clone, Copy, Debug)]
struct Level {
    from: f64,
    to: f64,
    y: f64,
}

/// The levels of an edge, from the middle of a node's right side to the middle of a left side. It passes a column at
/// the height that was kept free for it there, and changes its height between columns alone: so it cuts no node.
fn route(
    graph: &Graph<NodeLabel, EdgeLabel>,
    bundle: &Bundle,
    (request, steps): (&Node, &[Node]),
    columns: &[(f64, f64)],
) -> Vec<Level> {
    let step = |index: StepIndex| steps.get(usize::from(index)).copied().unwrap_or_default();
    let from = bundle.from.map_or(*request, step);
    let to = step(bundle.to);
    let middle = |node: Node| f64::from(node.y) + f64::from(node.height) / 2.0;
    let (start, end) = (f64::from(from.x + from.width), f64::from(to.x));
    let column = |x: f64| {
        let around = columns
            .iter()
            .find(|(left, right)| (*left..=*right).contains(&x));
        around.copied()
    };
    let edge = graph.edge(&name(bundle.from), &name(Some(bundle.to)), None);
    let points = edge.map_or(&[][..], |edge| &edge.points);
    let inner = points
        .get(1..points.len().saturating_sub(1))
        .unwrap_or_default();
    let passed = inner.iter().filter_map(|bend| {
        let (left, right) = column(bend.x)?;
        let is_between = start < left && right < end;
        is_between.then_some(Level {
            from: left,
            to: right,
            y: bend.y,
        })
    });
    let mut route = vec![Level {
        from: start,
        to: column(start).map_or(start, |(_, right)| right),
        y: middle(from),
    }];
    route.extend(passed);
    route.push(Level {
        from: column(end).map_or(end, |(left, _)| left),
        to: end,
        y: middle(to),
    });
    route
}

/// All that travels between two nodes.
struct Bundle {
    from: Option<StepIndex>,
    to: StepIndex,
    names: Vec<String>,
    kind: EdgeKind,
}

impl Bundle {
    fn edge(&self, route: &[Level]) -> Edge {
        let (label_x, label_y) = match route {
            [first, last] => ((first.to + last.from) / 2.0, (first.y + last.y) / 2.0),
            _ => route
                .get(route.len() / 2)
                .map_or((0.0, 0.0), |level| ((level.from + level.to) / 2.0, level.y)),
        };
        Edge {
            from: self.from,
            to: self.to,
            path: curve(route),
            label: self.label(),
            label_x: pixel(label_x),
            label_y: pixel(label_y),
            kind: self.kind,
        }
    }

    fn label(&self) -> String {
        if self.names.is_empty() {
            "order only".to_owned()
        } else {
            self.names.join(", ")
        }
    }
}

fn bundles(plan: &PlanInfo) -> Vec<Bundle> {
    let mut bundles: Vec<Bundle> = Vec::with_capacity(plan.edges.len());
    for edge in &plan.edges {
        let (name, kind) = carried(edge);
        let same = bundles
            .iter_mut()
            .find(|bundle| bundle.from == edge.from && bundle.to == edge.to);
        match same {
            Some(bundle) => {
                bundle.names.extend(name);
                bundle.kind = bundle.kind.max(kind);
            }
            None => bundles.push(Bundle {
                from: edge.from,
                to: edge.to,
                names: name.into_iter().collect(),
                kind,
            }),
        }
    }
    bundles
}

fn carried(edge: &EdgeInfo) -> (Option<String>, EdgeKind) {
    match &edge.carries {
        Carries::Shared(name) | Carries::Owned(name) => (Some(name.clone()), EdgeKind::Data),
        Carries::End(name) => (Some(format!("{name} at its end")), EdgeKind::End),
        Carries::Order => (None, EdgeKind::Order),
    }
}

fn name(index: Option<StepIndex>) -> String {
    index.map_or_else(|| "request".to_owned(), |index| index.to_string())
}

fn width_of(step: &StepInfo) -> f64 {
    let length = |text: &str| text.chars().count() as f64;
    let name = length(&step.name).min(LONGEST_NAME as f64) * CHARACTER;
    let again = step.retry.as_ref().map_or(0.0, |_| length(AGAIN));
    let line = (length(LONGEST_LINE) + again) * LINE_CHARACTER;
    (name.max(line) + AROUND_NAME).min(WIDEST)
}

fn sized(width: f64, height: f64) -> NodeLabel {
    NodeLabel {
        width,
        height,
        ..NodeLabel::default()
    }
}

fn pixel(value: f64) -> i32 {
    value.round() as i32
}

/// Straight lines at the levels, and a smooth curve from each to the next.
fn curve(levels: &[Level]) -> String {
    let mut path = String::with_capacity(levels.len() * 64);
    let mut put = |text: std::fmt::Arguments<'_>| {
        path.write_fmt(text)
            .expect("writing to a string never fails");
    };
    let mut before: Option<Level> = None;
    for level in levels {
        match before {
            None => put(format_args!("M{:.1} {:.1}", level.from, level.y)),
            Some(last) => {
                let middle = f64::midpoint(last.to, level.from);
                put(format_args!(
                    "C{middle:.1} {:.1} {middle:.1} {:.1} {:.1} {:.1}",
                    last.y, level.y, level.from, level.y
                ));
            }
        }
        put(format_args!("L{:.1} {:.1}", level.to, level.y));
        before = Some(*level);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::fixture;

    fn overlap(a: &Node, b: &Node) -> bool {
        a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
    }

    fn assert_tidy(geometry: &Geometry) {
        let nodes: Vec<&Node> = std::iter::once(&geometry.request)
            .chain(&geometry.steps)
            .collect();
        for (index, node) in nodes.iter().enumerate() {
            assert!(node.x >= 0 && node.y >= 0, "{node:?}");
            assert!((node.x + node.width).unsigned_abs() <= geometry.width);
            assert!((node.y + node.height).unsigned_abs() <= geometry.height);
            for other in &nodes[..index] {
                assert!(!overlap(node, other), "{node:?} {other:?}");
            }
        }
    }

    /// Points along an edge that was drawn by [`curve`].
    fn points(path: &str) -> Vec<(f64, f64)> {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for piece in path.split(['M', 'L', 'C']).skip(1) {
            let numbers = piece.split(' ').map(|number| number.parse().unwrap());
            let numbers: Vec<f64> = numbers.collect();
            let last = points.last().copied();
            match (last, &numbers[..]) {
                (Some((x0, y0)), [x1, y1, x2, y2, x3, y3]) => {
                    let along = |share: f64, [a, b, c, d]: [f64; 4]| {
                        let rest = 1.0 - share;
                        a * rest.powi(3)
                            + 3.0 * b * rest.powi(2) * share
                            + 3.0 * c * rest * share.powi(2)
                            + d * share.powi(3)
                    };
                    points.extend((1..=20).map(|part| {
                        let share = f64::from(part) / 20.0;
                        (
                            along(share, [x0, *x1, *x2, *x3]),
                            along(share, [y0, *y1, *y2, *y3]),
                        )
                    }));
                }
                (Some((x0, y)), [x1, _]) => {
                    points
                        .extend((1..=20).map(|part| (x0 + (x1 - x0) * f64::from(part) / 20.0, y)));
                }
                (_, numbers) => points.push((numbers[0], numbers[1])),
            }
        }
        points
    }

    fn assert_cuts_no_node(geometry: &Geometry) {
        for edge in &geometry.edges {
            for (x, y) in points(&edge.path) {
                assert!(y >= 0.0 && y <= f64::from(geometry.height), "{edge:?}");
                for node in std::iter::once(&geometry.request).chain(&geometry.steps) {
                    let (left, top) = (f64::from(node.x), f64::from(node.y));
                    let (right, bottom) =
                        (left + f64::from(node.width), top + f64::from(node.height));
                    let cuts = left + 0.5 < x && x < right - 0.5 && top < y && y < bottom;
                    assert!(!cuts, "{edge:?} cuts {node:?} at {x} {y}");
                }
            }
        }
    }

    #[test]
    fn nodes_do_not_overlap_and_no_edge_cuts_one() {
        let plan = fixture::messages_plan();
        let geometry = lay_out(&plan);
        assert_eq!(geometry.steps.len(), plan.steps.len());
        assert_eq!(geometry.edges.len(), bundles(&plan).len());
        assert_tidy(&geometry);
        assert_cuts_no_node(&geometry);
        assert!(geometry.edges.iter().all(|edge| edge.path.starts_with('M')));
    }

    #[test]
    fn random_graphs_have_no_overlap_and_no_edge_through_a_node() {
        use proptest::prelude::{any, proptest};
        proptest!(proptest::test_runner::Config::with_cases(24), |(
            links in proptest::collection::vec((any::<u16>(), any::<u16>()), 0..40),
            steps in 1_u16..16,
        )| {
            let plan = fixture::random_plan(steps, &links);
            let geometry = lay_out(&plan);
            assert_tidy(&geometry);
            assert_cuts_no_node(&geometry);
        });
    }

    #[test]
    fn a_graph_is_large_when_it_is_wider_than_a_page_by_a_quarter() {
        let chain = |steps: u16| {
            let links: Vec<_> = (1..steps).map(|step| (step - 1, step)).collect();
            lay_out(&fixture::random_plan(steps, &links))
        };
        assert!(!lay_out(&fixture::messages_plan()).is_large());
        assert!(!chain(4).is_large());
        assert!(chain(16).is_large(), "{}", chain(16).width);
    }

    #[test]
    fn the_layout_is_deterministic_and_kept() {
        let plan = fixture::messages_plan();
        assert_eq!(lay_out(&plan), lay_out(&plan));
        assert!(Arc::ptr_eq(&geometry(&plan), &geometry(&plan)));
    }

    #[test]
    fn edges_run_from_left_to_right() {
        let plan = fixture::messages_plan();
        let geometry = lay_out(&plan);
        for edge in &geometry.edges {
            let from = edge
                .from
                .map_or(geometry.request, |from| geometry.steps[usize::from(from)]);
            let to = geometry.steps[usize::from(edge.to)];
            assert!(from.x + from.width < to.x, "{edge:?}");
        }
    }
}
