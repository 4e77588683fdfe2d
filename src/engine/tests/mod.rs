//! What the tests of the engine share: a run with its events, and tasks that do as their settings say.

mod faults;
mod flows;
mod limits;
mod needs;
mod random_graphs;
mod running;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Cx, Own, Owned, Plan, Res, Resources, Run, Task, TaskDef, TaskError};
use crate::events::{
    Artifact, Event, EventBatch, EventKind, EventSink, EventSource, Observer, RunId, RunStart,
    State, Timestamp, TraceContext, event_queue,
};

#[derive(Debug, PartialEq, Serialize)]
struct Request(u32);
impl Artifact for Request {
    const NAME: &'static str = "Request";
}

#[derive(Debug, PartialEq, Serialize)]
struct Word(String);
impl Artifact for Word {
    const NAME: &'static str = "Word";
}

#[derive(Debug, PartialEq)]
struct Reply(u32);
impl Owned for Reply {
    const NAME: &'static str = "Reply";
}

/// Sees from inside what the tasks of a run do.
#[derive(Default)]
struct Probe {
    /// Attempts begun, by the step's `id`.
    begun: Mutex<Vec<usize>>,
    /// Attempts that ended by themselves.
    ended: Mutex<Vec<usize>>,
    /// When each attempt's reply was due, by the step's `id`.
    due: Mutex<Vec<(usize, Option<Instant>)>>,
    /// Futures that exist.
    live: AtomicUsize,
    /// By the step's `id`, how many of them exist, and how many did at most.
    at_once: Mutex<HashMap<usize, [usize; 2]>>,
}

impl Probe {
    fn begun(&self) -> Vec<usize> {
        self.begun.lock().unwrap().clone()
    }

    fn due(&self) -> Vec<(usize, Option<Instant>)> {
        self.due.lock().unwrap().clone()
    }

    fn ended(&self) -> Vec<usize> {
        self.ended.lock().unwrap().clone()
    }

    fn live(&self) -> usize {
        self.live.load(Ordering::SeqCst)
    }

    /// How many attempts of a step there were at most at the same time.
    fn most_at_once(&self, id: usize) -> usize {
        self.at_once
            .lock()
            .unwrap()
            .get(&id)
            .map_or(0, |[_, most]| *most)
    }
}

struct Alive<'a>(&'a Probe, usize);

impl<'a> Alive<'a> {
    fn new(probe: &'a Probe, id: usize) -> Self {
        probe.live.fetch_add(1, Ordering::SeqCst);
        let mut at_once = probe.at_once.lock().unwrap();
        let [now, most] = at_once.entry(id).or_default();
        *now += 1;
        *most = (*most).max(*now);
        Self(probe, id)
    }
}

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        let Self(probe, id) = self;
        probe.live.fetch_sub(1, Ordering::SeqCst);
        probe.at_once.lock().unwrap().get_mut(id).unwrap()[0] -= 1;
    }
}

/// How a test task behaves.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Behaviour {
    id: usize,
    /// How often it lets others go first.
    yields: u32,
    millis: u64,
    /// How many attempts fail before one succeeds.
    failures: u16,
    is_final: bool,
    retry_after_millis: Option<u64>,
    panics: bool,
    hangs: bool,
}

impl Behaviour {
    async fn act(&self, probe: &Probe, cx: &Cx) -> Result<(), TaskError> {
        let _alive = Alive::new(probe, self.id);
        probe.begun.lock().unwrap().push(self.id);
        probe.due.lock().unwrap().push((self.id, cx.reply_due()));
        for _ in 0..self.yields {
            tokio::task::yield_now().await;
        }
        if self.millis > 0 {
            tokio::time::sleep(Duration::from_millis(self.millis)).await;
        }
        if self.hangs {
            std::future::pending::<()>().await;
        }
        probe.ended.lock().unwrap().push(self.id);
        assert!(!self.panics, "step {} was told to panic", self.id);
        if cx.attempt() > self.failures {
            return Ok(());
        }
        let error = TaskError::upstream(format!("attempt {} was told to fail", cx.attempt()));
        if self.is_final {
            return Err(error);
        }
        Err(error.retry(self.retry_after_millis.map(Duration::from_millis)))
    }
}

/// Gives the reply.
#[derive(Deserialize)]
struct Answer(Behaviour);
impl Task for Answer {
    const NAME: &'static str = "answer";
    const ABOUT: &'static str = "Answers";
    type Input = (Option<Arc<Request>>, Option<Arc<Word>>, Res<Probe>);
    type Output = Own<Reply>;

    async fn run(
        &self,
        (request, word, probe): Self::Input,
        cx: &Cx,
    ) -> Result<Own<Reply>, TaskError> {
        self.0.act(&probe, cx).await?;
        let length = word.map_or(0, |word| u32::try_from(word.0.len()).unwrap());
        Ok(Own(Reply(request.map_or(0, |request| request.0) + length)))
    }
}

/// Gives the reply, not without a word.
#[derive(Deserialize)]
struct Repeat(Behaviour);
impl Task for Repeat {
    const NAME: &'static str = "repeat";
    const ABOUT: &'static str = "Answers with a word";
    type Input = (Arc<Word>, Res<Probe>);
    type Output = Own<Reply>;

    async fn run(&self, (word, probe): Self::Input, cx: &Cx) -> Result<Own<Reply>, TaskError> {
        self.0.act(&probe, cx).await?;
        Ok(Own(Reply(u32::try_from(word.0.len()).unwrap())))
    }
}

/// Gives a word.
#[derive(Deserialize)]
struct Speak(Behaviour);
impl Task for Speak {
    const NAME: &'static str = "speak";
    const ABOUT: &'static str = "Says a word";
    type Input = Res<Probe>;
    type Output = Word;

    async fn run(&self, probe: Res<Probe>, cx: &Cx) -> Result<Word, TaskError> {
        self.0.act(&probe, cx).await?;
        Ok(Word("word".to_owned()))
    }
}

/// Needs a word, gives nothing.
#[derive(Deserialize)]
struct Listen(Behaviour);
impl Task for Listen {
    const NAME: &'static str = "listen";
    const ABOUT: &'static str = "Hears a word";
    type Input = (Arc<Word>, Res<Probe>);
    type Output = ();

    async fn run(&self, (_, probe): Self::Input, cx: &Cx) -> Result<(), TaskError> {
        self.0.act(&probe, cx).await
    }
}

/// Takes nothing, gives nothing.
#[derive(Deserialize)]
struct Idle(Behaviour);
impl Task for Idle {
    const NAME: &'static str = "idle";
    const ABOUT: &'static str = "Is there";
    type Input = Res<Probe>;
    type Output = ();

    async fn run(&self, probe: Res<Probe>, cx: &Cx) -> Result<(), TaskError> {
        self.0.act(&probe, cx).await
    }
}

const TASKS: [TaskDef; 5] = [
    TaskDef::of::<Repeat>(),
    TaskDef::of::<Answer>(),
    TaskDef::of::<Speak>(),
    TaskDef::of::<Listen>(),
    TaskDef::of::<Idle>(),
];

/// A plan, and what its runs can be seen by.
struct Rig<R> {
    plan: Arc<Plan<Request, R>>,
    probe: Arc<Probe>,
    sink: EventSink,
    source: EventSource,
}

impl Rig<Reply> {
    fn of(steps: &str) -> Self {
        Self::with(steps, &TASKS)
    }
}

impl<R: Owned> Rig<R> {
    /// Compiles `steps` below a head that makes `answer` the step of the reply.
    fn with(steps: &str, tasks: &[TaskDef]) -> Self {
        let text = format!("name = \"test\"\nreply = \"answer\"\n{steps}");
        let probe = Arc::new(Probe::default());
        let mut resources = Resources::default();
        resources.insert(Arc::clone(&probe));
        let plan = Plan::compile("test.toml", &text, tasks, &resources).unwrap();
        let (sink, source) = event_queue(10_000);
        Self {
            plan: Arc::new(plan),
            probe,
            sink,
            source,
        }
    }

    fn start(&self) -> Run<R> {
        self.plan.start(Arc::new(Request(40)), begin(), &self.sink)
    }

    /// Everything that was said, in order.
    fn events(self) -> Seen {
        self.heard(None)
    }

    /// Everything that was said of one run, in order.
    fn events_of(self, run: RunId) -> Seen {
        self.heard(Some(run))
    }

    fn heard(self, of: Option<RunId>) -> Seen {
        drop(self.sink);
        let events = Arc::default();
        let collector = Collector(Arc::clone(&events), of);
        self.source.feed(&mut [Box::new(collector)]);
        let events = std::mem::take(&mut *events.lock().unwrap());
        assert!(events.is_sorted_by_key(|event: &Event| event.at));
        let names = self.plan.info().steps.iter();
        let names = names.map(|step| step.name.clone()).collect();
        Seen { names, events }
    }
}

fn begin() -> RunStart {
    let id = RunId::now();
    RunStart {
        id,
        at: Timestamp::now(),
        request_id: "req_test".into(),
        trace: TraceContext::of_run(id),
        tracestate: None,
    }
}

/// Waits until the clock shows another moment, and gives it.
fn tick() -> Timestamp {
    let begin = Timestamp::now();
    loop {
        let now = Timestamp::now();
        if now > begin {
            return now;
        }
    }
}

/// Keeps the events, of one run alone if it is given.
struct Collector(Arc<Mutex<Vec<Event>>>, Option<RunId>);

impl Observer for Collector {
    fn observe(&mut self, batch: &EventBatch) {
        assert!(!batch.events.is_empty(), "a batch is never empty");
        if self.1.is_none_or(|run| run == batch.run) {
            self.0.lock().unwrap().extend_from_slice(&batch.events);
        }
    }
}

/// The events of one run.
struct Seen {
    names: Vec<String>,
    events: Vec<Event>,
}

impl Seen {
    /// The states that a step went through, by its name.
    fn states(&self, name: &str) -> Vec<State> {
        let place = self.names.iter().position(|known| known == name);
        let states = self.events.iter().filter_map(|event| match &event.kind {
            EventKind::Step { step, state, .. } if Some(usize::from(*step)) == place => {
                Some(*state)
            }
            _ => None,
        });
        states.collect()
    }

    /// When the first event of this kind was.
    fn time_of(&self, is_it: impl Fn(&EventKind) -> bool) -> Timestamp {
        let mut events = self.events.iter();
        events.find(|event| is_it(&event.kind)).unwrap().at
    }

    fn last_state(&self, name: &str) -> Option<State> {
        self.states(name).last().copied()
    }

    /// The run's events in words, one a line, without times.
    fn told(&self) -> String {
        let lines: Vec<_> = self
            .events
            .iter()
            .map(|event| self.tell(&event.kind))
            .collect();
        lines.join("\n")
    }

    fn tell(&self, kind: &EventKind) -> String {
        let name = |step: &u16| self.names[usize::from(*step)].as_str();
        match kind {
            EventKind::Started { plan, .. } => format!("started {}", plan.name),
            EventKind::Step {
                step,
                state,
                attempt,
                message,
                retry_in,
            } => {
                let message = message
                    .as_ref()
                    .map(|m| format!(": {m}"))
                    .unwrap_or_default();
                let pause = retry_in.map(|p| format!(" in {p:?}")).unwrap_or_default();
                let name = name(step);
                format!("{name} {} {attempt}{pause}{message}", state.name())
            }
            EventKind::Produced { step, value } => {
                let name = step.as_ref().map_or("request", name);
                format!("{name} produced {}", value.name())
            }
            EventKind::Ended { state, error } => {
                let error = error.as_ref().map(|e| format!(": {e}")).unwrap_or_default();
                format!("ended {}{error}", state.name())
            }
            other => format!("{other:?}"),
        }
    }
}
