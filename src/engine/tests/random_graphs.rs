//! Claims that hold for every graph: drawn at random, run, and compared with a model of a few lines.
//!
//! A step has a colour and gives a value of that colour. It needs at most one earlier step of each colour, for its
//! value (compulsory or not) and, if that step is red, perhaps for its token, which is owned. It comes after any.

use std::fmt::Write;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::pin;
use std::task::Poll;

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::engine::port::Inputs;

#[derive(Serialize)]
struct Colour<const C: usize>(usize);
impl<const C: usize> Artifact for Colour<C> {
    const NAME: &'static str = ["Red", "Green", "Blue", "Black"][C];
}

struct Token<const C: usize>(usize);
impl<const C: usize> Owned for Token<C> {
    const NAME: &'static str = "Token";
}

type Need<const C: usize> = Arc<Colour<C>>;
type Wish<const C: usize> = Option<Arc<Colour<C>>>;
/// Nobody gives black.
type NoToken = Wish<3>;
type RedToken = Own<Token<0>>;

/// A port of a node: who gave what it took.
trait Taken: Inputs {
    const CODE: char;
    fn giver(self) -> Option<usize>;
}

impl<const C: usize> Taken for Need<C> {
    const CODE: char = 'n';
    fn giver(self) -> Option<usize> {
        Some(self.0)
    }
}

impl<const C: usize> Taken for Wish<C> {
    const CODE: char = 'w';
    fn giver(self) -> Option<usize> {
        self.map(|colour| colour.0)
    }
}

impl<const C: usize> Taken for Own<Token<C>> {
    const CODE: char = 'n';
    fn giver(self) -> Option<usize> {
        Some(self.0.0)
    }
}

/// Who took what from whom: for each attempt, the givers by colour and of the token.
#[derive(Default)]
struct Handed(Mutex<Vec<(usize, [Option<usize>; 4])>>);

type Ports<A, B, C, T> = fn() -> (A, B, C, T);

#[derive(Deserialize)]
#[serde(transparent, bound = "")]
struct Node<A, B, C, T, const COLOUR: usize>(
    Behaviour,
    #[serde(skip)] PhantomData<Ports<A, B, C, T>>,
);

impl<A: Taken, B: Taken, C: Taken, T: Taken, const COLOUR: usize> Task
    for Node<A, B, C, T, COLOUR>
{
    const NAME: &'static str = "node";
    const ABOUT: &'static str = "Stands in a graph";
    type Input = (A, B, C, T, Res<Probe>, Res<Handed>);
    type Output = (Colour<COLOUR>, Own<Token<COLOUR>>);

    async fn run(
        &self,
        (red, green, blue, token, probe, handed): Self::Input,
        cx: &Cx,
    ) -> Result<Self::Output, TaskError> {
        let id = self.0.id;
        let givers = [red.giver(), green.giver(), blue.giver(), token.giver()];
        handed.0.0.lock().unwrap().push((id, givers));
        self.0.act(&probe, cx).await?;
        Ok((Colour(id), Own(Token(id))))
    }
}

/// All kinds of nodes; their names say what they take and give.
fn nodes() -> Vec<TaskDef> {
    let mut defs = vec![TaskDef::of::<Answer>()];
    reds::<0>(&mut defs);
    reds::<1>(&mut defs);
    reds::<2>(&mut defs);
    defs
}

fn reds<const COLOUR: usize>(defs: &mut Vec<TaskDef>) {
    greens::<Need<0>, COLOUR>(defs);
    greens::<Wish<0>, COLOUR>(defs);
}

fn greens<A: Taken, const COLOUR: usize>(defs: &mut Vec<TaskDef>) {
    blues::<A, Need<1>, COLOUR>(defs);
    blues::<A, Wish<1>, COLOUR>(defs);
}

fn blues<A: Taken, B: Taken, const COLOUR: usize>(defs: &mut Vec<TaskDef>) {
    tokens::<A, B, Need<2>, COLOUR>(defs);
    tokens::<A, B, Wish<2>, COLOUR>(defs);
}

fn tokens<A: Taken, B: Taken, C: Taken, const COLOUR: usize>(defs: &mut Vec<TaskDef>) {
    node::<A, B, C, RedToken, COLOUR>(defs);
    node::<A, B, C, NoToken, COLOUR>(defs);
}

fn node<A: Taken, B: Taken, C: Taken, T: Taken, const COLOUR: usize>(defs: &mut Vec<TaskDef>) {
    let mut def = TaskDef::of::<Node<A, B, C, T, COLOUR>>();
    let name: String = [A::CODE, B::CODE, C::CODE, T::CODE].iter().collect();
    def.name = Box::leak(format!("{name}{COLOUR}").into_boxed_str());
    defs.push(def);
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Succeeds,
    SucceedsAtLast,
    Fails,
    Panics,
}

#[derive(Clone, Debug)]
struct Drawn {
    colour: usize,
    /// For each colour the step needed, and whether it is compulsory.
    needs: [Option<(usize, bool)>; 3],
    takes_token: bool,
    after: Vec<usize>,
    optional: bool,
    millis: u64,
    fate: Fate,
    /// How many of its attempts may be at work at once, over all runs.
    limit: Option<u16>,
}

impl Drawn {
    fn attempts(&self) -> usize {
        if self.fate == Fate::SucceedsAtLast {
            2
        } else {
            1
        }
    }

    /// The steps whose end it waits for, and whether it cannot do without their success.
    fn edges<'a>(&'a self, graph: &'a [Self]) -> impl Iterator<Item = (usize, bool)> + 'a {
        let needs = self.needs.iter().enumerate().filter_map(|(colour, need)| {
            let (giver, is_compulsory) = (*need)?;
            Some((giver, is_compulsory || (colour == 0 && self.takes_token)))
        });
        let after = self
            .after
            .iter()
            .map(|step| (*step, !graph[*step].optional));
        needs.chain(after)
    }
}

/// A graph whose last step is the reply's.
#[derive(Clone, Debug)]
struct Graph(Vec<Drawn>);

type RawNeeds = [Option<(Index, bool)>; 3];
type RawStep = (
    usize,
    RawNeeds,
    bool,
    Vec<Index>,
    bool,
    u64,
    Fate,
    Option<u16>,
);

fn raw_step() -> impl Strategy<Value = RawStep> {
    let need = || prop::option::weighted(0.5, any::<(Index, bool)>());
    let fate = prop_oneof![
        8 => Just(Fate::Succeeds),
        2 => Just(Fate::SucceedsAtLast),
        1 => Just(Fate::Fails),
        1 => Just(Fate::Panics),
    ];
    (
        0..3_usize,
        [need(), need(), need()],
        any::<bool>(),
        prop::collection::vec(any::<Index>(), 0..3),
        prop::bool::weighted(0.3),
        0..4_u64,
        fate,
        prop::option::weighted(0.3, 1..3_u16),
    )
}

fn graph() -> impl Strategy<Value = Graph> {
    prop::collection::vec(raw_step(), 1..24).prop_map(|raw| {
        let mut steps: Vec<Drawn> = Vec::new();
        for step in raw {
            let drawn = draw(&steps, step);
            steps.push(drawn);
        }
        let last = steps.last_mut().unwrap();
        last.needs = [None; 3];
        last.takes_token = false;
        spare_the_reply(&mut steps);
        Graph(steps)
    })
}

fn draw(earlier: &[Drawn], raw: RawStep) -> Drawn {
    let (colour, needs, wants_token, after, optional, millis, fate, limit) = raw;
    let mut colours = 0..3_usize;
    let needs = needs.map(|need| {
        let colour = colours.next()?;
        let (index, is_compulsory) = need?;
        let of_colour = (0..earlier.len()).filter(|step| earlier[*step].colour == colour);
        let of_colour: Vec<_> = of_colour.collect();
        (!of_colour.is_empty()).then(|| (*index.get(&of_colour), is_compulsory))
    });
    let is_taken = |giver| {
        earlier
            .iter()
            .any(|step| step.takes_token && step.needs[0].map(|n| n.0) == Some(giver))
    };
    let red = needs[0].map(|(giver, _)| giver);
    let takes_token =
        wants_token && fate != Fate::SucceedsAtLast && red.is_some_and(|giver| !is_taken(giver));
    let mut after: Vec<_> = after
        .iter()
        .filter(|_| !earlier.is_empty())
        .map(|index| index.index(earlier.len()))
        .collect();
    after.sort_unstable();
    after.dedup();
    Drawn {
        colour,
        needs,
        takes_token,
        after,
        optional,
        millis,
        fate,
        limit,
    }
}

/// Makes compulsory what the reply depends on, as the plan demands.
fn spare_the_reply(steps: &mut [Drawn]) {
    let mut seen = vec![false; steps.len()];
    let mut path = vec![steps.len() - 1];
    while let Some(step) = path.pop() {
        if std::mem::replace(&mut seen[step], true) {
            continue;
        }
        steps[step].optional = false;
        let compulsory = steps[step].edges(steps).filter(|edge| edge.1);
        path.extend(compulsory.map(|(needed, _)| needed));
    }
}

impl Graph {
    fn name(&self, step: usize) -> String {
        if step + 1 == self.0.len() {
            return "answer".to_owned();
        }
        format!("s{step}")
    }

    fn names(&self, steps: impl Iterator<Item = usize>) -> String {
        let names: Vec<_> = steps.map(|step| format!("{:?}", self.name(step))).collect();
        names.join(", ")
    }

    fn write(&self) -> String {
        let mut text = String::new();
        for (id, step) in self.0.iter().enumerate() {
            let name = self.name(id);
            let task = if name == "answer" {
                name.clone()
            } else {
                let code =
                    |need: Option<(usize, bool)>| if need.is_some_and(|n| n.1) { 'n' } else { 'w' };
                let mut task: String = step.needs.iter().map(|need| code(*need)).collect();
                task.push(if step.takes_token { 'n' } else { 'w' });
                format!("{task}{}", step.colour)
            };
            let needs = self.names(step.needs.iter().flatten().map(|need| need.0));
            let after = self.names(step.after.iter().copied());
            let failures = match step.fate {
                Fate::Succeeds | Fate::Panics => 0,
                Fate::SucceedsAtLast => 1,
                Fate::Fails => 9,
            };
            let panics = step.fate == Fate::Panics;
            let (millis, optional) = (step.millis, step.optional);
            writeln!(text, "[steps.{name}]\ntask = \"{task}\"\nneeds = [{needs}]\nafter = [{after}]\noptional = {optional}").unwrap();
            writeln!(text, "with = {{ id = {id}, millis = {millis}, failures = {failures}, panics = {panics} }}").unwrap();
            if step.fate == Fate::SucceedsAtLast {
                writeln!(text, "retry = {{ attempts = 2, base = \"3ms\" }}").unwrap();
            }
            if let Some(limit) = step.limit {
                writeln!(text, "limit = {limit}\ntimeout = \"9s\"").unwrap();
            }
        }
        text
    }

    /// The model: how each step ends.
    fn ends(&self) -> Vec<State> {
        let mut ends: Vec<State> = Vec::new();
        for step in &self.0 {
            let is_lost = step
                .edges(&self.0)
                .any(|(needed, is_compulsory)| is_compulsory && ends[needed] != State::Completed);
            ends.push(match step.fate {
                _ if is_lost => State::Skipped,
                Fate::Succeeds | Fate::SucceedsAtLast => State::Completed,
                Fate::Fails => State::Failed,
                Fate::Panics => State::Crashed,
            });
        }
        ends
    }

    /// Which steps have ended, given how many attempts of each have.
    fn ended(&self, ends: &[State], attempts: &[usize]) -> Vec<bool> {
        let mut ended: Vec<bool> = Vec::new();
        for (id, step) in self.0.iter().enumerate() {
            let mut edges = step.edges(&self.0);
            ended.push(match ends[id] {
                State::Skipped => edges.any(|(needed, is_compulsory)| {
                    is_compulsory && ended[needed] && ends[needed] != State::Completed
                }),
                _ => attempts[id] == step.attempts(),
            });
        }
        ended
    }

    /// Whenever a run sleeps, a step has begun if and only if all that it waits for has ended.
    fn check_asleep(&self, ends: &[State], probe: &Probe) {
        let count = |of: &[usize]| {
            let mut counts = vec![0; self.0.len()];
            of.iter().for_each(|id| counts[*id] += 1);
            counts
        };
        let (begun, ended) = (count(&probe.begun()), count(&probe.ended()));
        let ended = self.ended(ends, &ended);
        for (id, step) in self.0.iter().enumerate() {
            let may_begin = step.edges(&self.0).all(|(needed, _)| ended[needed]);
            let should_begin = may_begin && ends[id] != State::Skipped;
            assert_eq!(begun[id] > 0, should_begin, "step {id} of {self:#?}");
        }
    }

    /// What each port of a step should have taken.
    fn givers(&self, ends: &[State], id: usize) -> [Option<usize>; 4] {
        let step = &self.0[id];
        let given = step.needs.map(|need| {
            need.map(|n| n.0)
                .filter(|giver| ends[*giver] == State::Completed)
        });
        let [red, green, blue] = given;
        [red, green, blue, red.filter(|_| step.takes_token)]
    }

    fn run_state(&self, ends: &[State]) -> State {
        let harm = self
            .0
            .iter()
            .zip(ends)
            .any(|(step, end)| !step.optional && matches!(end, State::Failed | State::Crashed));
        if harm {
            State::Failed
        } else {
            State::Completed
        }
    }
}

struct Trial {
    rig: Rig<Reply>,
    handed: Arc<Handed>,
}

impl Trial {
    fn of(graph: &Graph) -> Self {
        let text = format!("name = \"random\"\nreply = \"answer\"\n{}", graph.write());
        let (probe, handed) = (Arc::new(Probe::default()), Arc::new(Handed::default()));
        let mut resources = Resources::default();
        resources.insert(Arc::clone(&probe));
        resources.insert(Arc::clone(&handed));
        let plan = match Plan::compile("random.toml", &text, &nodes(), &resources) {
            Ok(plan) => Arc::new(plan),
            Err(faults) => panic!("{faults}\n{text}"),
        };
        let (sink, source) = event_queue(10_000);
        let rig = Rig {
            plan,
            probe,
            sink,
            source,
        };
        Self { rig, handed }
    }

    /// Runs so many times at once, each to its end.
    fn run_together(&self, runs: usize) -> Vec<State> {
        let run = || async {
            let mut run = self.rig.start();
            let _ = run.reply().await;
            run.finish().await
        };
        runtime().block_on(join_all((0..runs).map(|_| run())))
    }

    /// Runs to the end, or until the run has slept `naps` times; then drops it.
    fn run(&self, graph: &Graph, naps: usize) -> Option<State> {
        let ends = graph.ends();
        let mut naps_left = naps;
        runtime().block_on(async {
            let mut run = self.rig.start();
            let mut whole = pin!(async move {
                let reply = run.reply().await;
                assert_eq!(reply.is_ok(), ends_well(graph));
                run.finish().await
            });
            poll_fn(|cx| match whole.as_mut().poll(cx) {
                Poll::Ready(state) => Poll::Ready(Some(state)),
                Poll::Pending if naps_left == 0 => Poll::Ready(None),
                Poll::Pending => {
                    graph.check_asleep(&ends, &self.rig.probe);
                    naps_left -= 1;
                    Poll::Pending
                }
            })
            .await
        })
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

fn ends_well(graph: &Graph) -> bool {
    graph.ends().last() == Some(&State::Completed)
}

/// Checks that a step's states follow each other as they may, and gives the last.
fn last_of(states: &[State]) -> State {
    let (last, before) = states.split_last().expect("every step comes to an end");
    assert!(last.is_final(), "{states:?}");
    for (place, state) in before.iter().enumerate() {
        let expected = [State::Running, State::Retrying][place % 2];
        assert_eq!(*state, expected, "{states:?}");
    }
    *last
}

fn check_story(seen: &Seen) {
    let is_end = |event: &Event| matches!(event.kind, EventKind::Ended { .. });
    assert!(matches!(seen.events[0].kind, EventKind::Started { .. }));
    assert!(is_end(seen.events.last().unwrap()));
    assert_eq!(seen.events.iter().filter(|event| is_end(event)).count(), 1);
}

proptest! {
    #[test]
    fn every_step_runs_once_after_its_needs_and_a_failure_skips_exactly_its_dependants(graph in graph()) {
        let trial = Trial::of(&graph);
        let state = trial.run(&graph, usize::MAX);
        let ends = graph.ends();
        prop_assert_eq!(state, Some(graph.run_state(&ends)));
        prop_assert_eq!(trial.rig.probe.live(), 0);
        let handed = std::mem::take(&mut *trial.handed.0.lock().unwrap());
        let begun = trial.rig.probe.begun();
        let seen = trial.rig.events();
        check_story(&seen);
        for (id, step) in graph.0.iter().enumerate() {
            let attempts = begun.iter().filter(|begun| **begun == id).count();
            let expected = if ends[id] == State::Skipped { 0 } else { step.attempts() };
            prop_assert_eq!(attempts, expected, "step {} of {:#?}", id, &graph);
            prop_assert_eq!(last_of(&seen.states(&graph.name(id))), ends[id]);
        }
        for (id, givers) in &handed {
            prop_assert_eq!(*givers, graph.givers(&ends, *id), "step {} of {:#?}", id, &graph);
        }
        let mut tokens: Vec<_> = handed.iter().filter_map(|(_, givers)| givers[3]).collect();
        let taken = tokens.len();
        tokens.sort_unstable();
        tokens.dedup();
        prop_assert_eq!(tokens.len(), taken, "an owned value has one taker");
    }

    #[test]
    fn runs_at_once_keep_to_limits_and_each_goes_as_it_would_alone(graph in graph(), runs in 1..5_usize) {
        let trial = Trial::of(&graph);
        let ends = graph.ends();
        prop_assert_eq!(trial.run_together(runs), vec![graph.run_state(&ends); runs]);
        prop_assert_eq!(trial.rig.probe.live(), 0);
        let begun = trial.rig.probe.begun();
        for (id, step) in graph.0.iter().enumerate() {
            let attempts = begun.iter().filter(|begun| **begun == id).count();
            let of_one = if ends[id] == State::Skipped { 0 } else { step.attempts() };
            prop_assert_eq!(attempts, runs * of_one, "step {} of {:#?}", id, &graph);
            let at_once = trial.rig.probe.most_at_once(id);
            prop_assert!(step.limit.is_none_or(|limit| at_once <= usize::from(limit)), "step {} of {:#?}", id, &graph);
        }
    }

    #[test]
    fn a_run_dropped_at_any_moment_leaves_nothing_running(graph in graph(), naps in 0..20_usize) {
        let trial = Trial::of(&graph);
        let state = trial.run(&graph, naps);
        prop_assert_eq!(trial.rig.probe.live(), 0);
        let ends = graph.ends();
        let attempts: Vec<_> = (0..graph.0.len())
            .map(|id| trial.rig.probe.ended().iter().filter(|ended| **ended == id).count())
            .collect();
        let ended = graph.ended(&ends, &attempts);
        let seen = trial.rig.events();
        check_story(&seen);
        for (id, has_ended) in ended.iter().enumerate() {
            let expected = if *has_ended || state.is_some() { ends[id] } else { State::Cancelled };
            prop_assert_eq!(last_of(&seen.states(&graph.name(id))), expected, "step {} of {:#?}", id, &graph);
        }
    }
}
