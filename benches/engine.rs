//! What a run costs beyond its tasks: nanoseconds for graphs of ready tasks, events recorded and read by a thread.
//!
//! `cargo bench --bench engine`. Each figure is over batches of runs, so that the clock costs nothing:
//! the fastest batch, and the median one.

#![expect(clippy::print_stdout, reason = "a bench prints")]

use std::fmt::Write;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use dagway::engine::{
    Cx, End, FlowEnd, Own, Owned, Plan, Resources, Tail, TailReporter, Task, TaskDef, TaskError,
    tail,
};
use dagway::events::{
    Artifact, EventBatch, EventSink, Observer, RunId, RunStart, State, Timestamp, TraceContext,
    event_queue,
};
use serde::{Deserialize, Serialize};

/// As in the gateway's binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Defines artifacts without content.
macro_rules! artifacts {
    ($($name:ident)*) => {
        $(
            #[derive(Serialize)]
            struct $name(u64);
            impl Artifact for $name {
                const NAME: &'static str = stringify!($name);
            }
        )*
    };
}

artifacts!(Request Valid Model Messages Tools Upstream Summary Price);

struct Flow(Option<TailReporter<Summary>>);
impl Owned for Flow {
    const NAME: &'static str = "Flow";
}

/// Defines tasks that are ready at once.
macro_rules! tasks {
    ($($task:ident $name:literal $input:ty => $output:ty, $body:expr;)*) => {
        $(
            #[derive(Deserialize)]
            struct $task {}
            impl Task for $task {
                const NAME: &'static str = $name;
                const ABOUT: &'static str = "Is ready at once";
                type Input = $input;
                type Output = $output;

                async fn run(&self, input: $input, _: &Cx) -> Result<$output, TaskError> {
                    let give: fn($input) -> $output = $body;
                    Ok(give(input))
                }
            }
        )*
    };
}

tasks! {
    Validate "validate" Arc<Request> => Valid, |request| Valid(request.0);
    MapModel "map_model" Arc<Valid> => Model, |valid| Model(valid.0);
    ConvertMessages "convert_messages" Arc<Valid> => Messages, |valid| Messages(valid.0);
    ConvertTools "convert_tools" Arc<Valid> => Tools, |valid| Tools(valid.0);
    BuildRequest "build_request" (Arc<Model>, Arc<Messages>, Arc<Tools>) => Upstream,
        |(model, messages, tools)| Upstream(model.0 + messages.0 + tools.0);
    Answer "answer" Arc<Upstream> => Own<Flow>, |_| Own(Flow(None));
    Stream "stream" Arc<Upstream> => (Own<Flow>, Tail<Summary>), |_| {
        let (reporter, tail) = tail();
        (Own(Flow(Some(reporter))), tail)
    };
    PriceUsage "price_usage" End<Summary> => Price, |end| Price(end.value.0);
    LogUsage "log_usage" Arc<Price> => (), |_| ();
    Idle "idle" () => (), |()| ();
    Begin "begin" Arc<Request> => Own<Flow>, |_| Own(Flow(None));
}

const TASKS: [TaskDef; 11] = [
    TaskDef::of::<Answer>(),
    TaskDef::of::<Begin>(),
    TaskDef::of::<BuildRequest>(),
    TaskDef::of::<ConvertMessages>(),
    TaskDef::of::<ConvertTools>(),
    TaskDef::of::<Idle>(),
    TaskDef::of::<LogUsage>(),
    TaskDef::of::<MapModel>(),
    TaskDef::of::<PriceUsage>(),
    TaskDef::of::<Stream>(),
    TaskDef::of::<Validate>(),
];

const SIX: &str = r#"
    [steps.validate]
    needs = ["request"]
    [steps.map_model]
    needs = ["validate"]
    [steps.convert_messages]
    needs = ["validate"]
    [steps.convert_tools]
    needs = ["validate"]
    [steps.build_request]
    needs = ["map_model", "convert_messages", "convert_tools"]
    [steps.answer]
    needs = ["build_request"]
"#;

/// Reads the events and lets them go.
struct Drain;
impl Observer for Drain {
    fn observe(&mut self, batch: &EventBatch) {
        black_box(batch);
    }
}

fn main() {
    let (sink, source) = event_queue(1 << 16);
    let drain = std::thread::spawn(move || source.feed(&mut [Box::new(Drain)]));
    let streamed = SIX.replace("[steps.answer]", "[steps.answer]\ntask = \"stream\"");
    let streamed = format!(
        "{streamed}[steps.price_usage]\nneeds = [\"answer\"]\n[steps.log_usage]\nneeds = [\"price_usage\"]"
    );
    measure("6 steps, as in messages.toml", SIX, &sink);
    measure("8 steps with a flow and its tail", &streamed, &sink);
    measure("chain of 100", &chain(100), &sink);
    measure("fan-out of 100", &fan_out(100), &sink);
    drop(sink);
    drain.join().expect("the drain does not panic");
}

fn chain(steps: usize) -> String {
    let mut text = "[steps.answer]\ntask = \"begin\"\nneeds = [\"request\"]\n".to_owned();
    let mut before = "answer".to_owned();
    for step in 1..steps {
        writeln!(
            text,
            "[steps.s{step}]\ntask = \"idle\"\nafter = [\"{before}\"]"
        )
        .expect("a String takes all");
        before = format!("s{step}");
    }
    text
}

fn fan_out(steps: usize) -> String {
    let mut text = "[steps.answer]\ntask = \"begin\"\nneeds = [\"request\"]\n".to_owned();
    for step in 0..steps {
        writeln!(
            text,
            "[steps.s{step}]\ntask = \"idle\"\nafter = [\"answer\"]"
        )
        .expect("a String takes all");
    }
    text
}

fn measure(name: &str, steps: &str, sink: &EventSink) {
    const BATCHES: usize = 300;
    let text = format!("name = \"bench\"\nreply = \"answer\"\n{steps}");
    let plan = Plan::compile("bench.toml", &text, &TASKS, &Resources::default());
    let plan = Arc::new(plan.expect("the file is right"));
    let runs: u32 = if plan.info().steps.len() < 10 {
        500
    } else {
        50
    };
    let mut nanos: Vec<_> = (0..BATCHES)
        .map(|_| {
            while sink.depth() > 0 {
                std::thread::yield_now();
            }
            let begin = Instant::now();
            (0..runs).for_each(|_| run(&plan, sink));
            begin.elapsed().as_nanos() / u128::from(runs)
        })
        .collect();
    nanos.sort_unstable();
    let (fastest, median) = (nanos[0], nanos[BATCHES / 2]);
    println!("{name:<34} min {fastest:>7} ns   p50 {median:>7} ns");
}

fn run(plan: &Arc<Plan<Request, Flow>>, sink: &EventSink) {
    let id = RunId::now();
    let start = RunStart {
        id,
        at: Timestamp::now(),
        request_id: Arc::from(""),
        trace: TraceContext::of_run(id),
        tracestate: None,
    };
    let mut run = plan.start(Arc::new(Request(1)), start, sink);
    let reply = ready(run.reply());
    if let Some(reporter) = reply.ok().and_then(|Flow(reporter)| reporter) {
        reporter.report(Summary(1), FlowEnd::Finished);
    }
    assert_eq!(ready(run.finish()), State::Completed);
}

/// Polls a future that does not have to wait.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return value;
        }
    }
}
