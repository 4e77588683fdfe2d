//! The picture of a plan: where its nodes and edges stand.
//!
//! The layout does not depend on a run, so it is computed once per plan (by its hash) and kept;
//! a run only colours it. This file must not know states or HTML.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use dagre::graph::{Graph, GraphOptions};
use dagre::{EdgeLabel, LayoutOptions, NodeLabel, Point, RankDir};

use crate::events::{Carries, EdgeInfo, PlanInfo, StepIndex};

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
/// Width of one character of a node's name, and of what stands around the name.
const CHARACTER: f64 = 7.6;
const AROUND_NAME: f64 = 50.0;
const NARROWEST: f64 = 120.0;
const WIDEST: f64 = 256.0;
/// How far an edge runs straight before it bends.
const STRAIGHT: f64 = 10.0;

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
        let width = width_of(&step.name);
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

/// Reads what was laid out, moved so that no node and no bend lies beyond the top left corner.
fn read(graph: &Graph<NodeLabel, EdgeLabel>, plan: &PlanInfo, bundles: &[Bundle]) -> Geometry {
    let place = |index: Option<StepIndex>| corner(graph, &name(index));
    let mut request = place(None);
    let mut steps: Vec<Node> = (0..)
        .zip(&plan.steps)
        .map(|(index, _)| place(Some(index)))
        .collect();
    let mut routes: Vec<Vec<Point>> = bundles
        .iter()
        .map(|bundle| route(graph, bundle, &request, &steps))
        .collect();

    let nodes = || std::iter::once(&request).chain(&steps);
    let bends = || routes.iter().flatten();
    let highest_node = nodes().map(|node| node.y).min().unwrap_or(0);
    let highest_bend = bends()
        .map(|bend| pixel(bend.y))
        .min()
        .unwrap_or(highest_node);
    let down = pixel(MARGIN) - highest_node.min(highest_bend);
    let lowest_node = nodes().map(|node| node.y + node.height).max().unwrap_or(0);
    let lowest_bend = bends()
        .map(|bend| pixel(bend.y))
        .max()
        .unwrap_or(lowest_node);
    let right = nodes().map(|node| node.x + node.width).max().unwrap_or(0);
    let height = lowest_node.max(lowest_bend) + down + pixel(MARGIN);
    let width = right + pixel(MARGIN);

    request.y += down;
    for step in &mut steps {
        step.y += down;
    }
    for bend in routes.iter_mut().flatten() {
        bend.y += f64::from(down);
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

/// The bends of an edge. It leaves in the middle of a node's right side and arrives in the middle of a left side,
/// straight for a little while, so that many edges of one node look like one bundle.
fn route(
    graph: &Graph<NodeLabel, EdgeLabel>,
    bundle: &Bundle,
    request: &Node,
    steps: &[Node],
) -> Vec<Point> {
    let from = match bundle.from {
        None => *request,
        Some(from) => steps.get(usize::from(from)).copied().unwrap_or_default(),
    };
    let to = steps
        .get(usize::from(bundle.to))
        .copied()
        .unwrap_or_default();
    let middle = |node: Node| f64::from(node.y) + f64::from(node.height) / 2.0;
    let (start, end) = (f64::from(from.x + from.width), f64::from(to.x));
    let edge = graph.edge(&name(bundle.from), &name(Some(bundle.to)), None);
    let points = edge.map_or(&[][..], |edge| &edge.points);
    let inner = points
        .get(1..points.len().saturating_sub(1))
        .unwrap_or_default();
    let mut route = vec![
        Point {
            x: start,
            y: middle(from),
        },
        Point {
            x: start + STRAIGHT,
            y: middle(from),
        },
    ];
    route.extend(inner.iter().map(|bend| Point {
        x: bend.x,
        y: bend.y,
    }));
    route.push(Point {
        x: end - STRAIGHT,
        y: middle(to),
    });
    route.push(Point {
        x: end,
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
    fn edge(&self, route: &[Point]) -> Edge {
        let middle = route.get(route.len() / 2);
        Edge {
            from: self.from,
            to: self.to,
            path: curve(route),
            label: self.label(),
            label_x: middle.map_or(0, |point| pixel(point.x)),
            label_y: middle.map_or(0, |point| pixel(point.y)),
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

fn width_of(name: &str) -> f64 {
    let characters = name.chars().count().min(LONGEST_NAME) as f64;
    (characters * CHARACTER + AROUND_NAME).clamp(NARROWEST, WIDEST)
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

/// A smooth curve through the neighbourhood of the bends (a uniform cubic B-spline), ending on the first and last point.
fn curve(points: &[Point]) -> String {
    let mut path = String::with_capacity(points.len() * 48);
    let [first, .., last] = points else {
        return path;
    };
    let mut put = |text: std::fmt::Arguments<'_>| {
        path.write_fmt(text)
            .expect("writing to a string never fails");
    };
    put(format_args!("M{:.1} {:.1}", first.x, first.y));
    let padded: Vec<&Point> = std::iter::once(first)
        .chain(points)
        .chain(std::iter::once(last))
        .collect();
    for window in padded.windows(4) {
        let &[_, a, b, c] = window else { continue };
        put(format_args!(
            "C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}",
            (2.0 * a.x + b.x) / 3.0,
            (2.0 * a.y + b.y) / 3.0,
            (a.x + 2.0 * b.x) / 3.0,
            (a.y + 2.0 * b.y) / 3.0,
            (a.x + 4.0 * b.x + c.x) / 6.0,
            (a.y + 4.0 * b.y + c.y) / 6.0,
        ));
    }
    put(format_args!("L{:.1} {:.1}", last.x, last.y));
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

    #[test]
    fn nodes_do_not_overlap() {
        let plan = fixture::messages_plan();
        let geometry = lay_out(&plan);
        assert_eq!(geometry.steps.len(), plan.steps.len());
        assert_eq!(geometry.edges.len(), bundles(&plan).len());
        assert_tidy(&geometry);
        assert!(geometry.edges.iter().all(|edge| edge.path.starts_with('M')));
    }

    #[test]
    fn nodes_of_random_graphs_do_not_overlap() {
        use proptest::prelude::{any, proptest};
        proptest!(proptest::test_runner::Config::with_cases(24), |(
            links in proptest::collection::vec((any::<u16>(), any::<u16>()), 0..40),
            steps in 1_u16..16,
        )| {
            let plan = fixture::random_plan(steps, &links);
            assert_tidy(&lay_out(&plan));
        });
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
