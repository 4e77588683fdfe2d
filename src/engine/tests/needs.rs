//! Claims about tasks that take all that their needs give, and about limits that a task has by itself.

use super::super::{Fault, FlowEnd, Needs, Tail, TailReporter, tail};
use super::*;

/// Says what it was given, by whom.
#[derive(Deserialize)]
struct Gather {}
impl Task for Gather {
    const NAME: &'static str = "gather";
    const ABOUT: &'static str = "Takes all that there is";
    // Behind the needs stands another port, which must not be taken for one of them.
    type Input = (Needs, Res<Probe>);
    type Output = Word;

    async fn run(&self, (needs, probe): Self::Input, _: &Cx) -> Result<Word, TaskError> {
        assert_eq!(probe.live(), 0);
        let needs = needs.0.iter().map(|need| {
            let mut json = Vec::new();
            need.value.write_whole(&mut json).unwrap();
            format!("{} {}", need.step, String::from_utf8(json).unwrap())
        });
        Ok(Word(needs.collect::<Vec<_>>().join(", ")))
    }
}

#[derive(Serialize)]
struct Shape(u32);
impl Artifact for Shape {
    const NAME: &'static str = "Shape";

    fn write_whole(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        out.extend(b"all of it");
        Ok(())
    }
}

/// Gives the reply, which is a flow, something shared, and what is known at the flow's end.
#[derive(Deserialize)]
struct Pour {}
impl Task for Pour {
    const NAME: &'static str = "pour";
    const ABOUT: &'static str = "Lets something pass";
    type Input = ();
    type Output = (Shape, Own<Poured>, Tail<Word>);

    async fn run(&self, (): (), _: &Cx) -> Result<Self::Output, TaskError> {
        let (reporter, tail) = tail();
        Ok((Shape(1), Own(Poured(reporter)), tail))
    }
}

struct Poured(TailReporter<Word>);
impl Owned for Poured {
    const NAME: &'static str = "Poured";
}

/// Never ends by itself.
#[derive(Deserialize)]
struct Sleep {}
impl Task for Sleep {
    const NAME: &'static str = "sleep";
    const ABOUT: &'static str = "Sleeps";
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(5));
    type Input = ();
    type Output = Own<Reply>;

    async fn run(&self, (): (), _: &Cx) -> Result<Own<Reply>, TaskError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn what_the_needs_give_comes_with_the_names_of_its_givers() {
    let steps = "needs = [\"gather\", \"request\"]\n\
         [steps.gather]\nneeds = [\"twice\", \"request\", \"idle\"]\nafter = [\"other\"]\n\
         [steps.twice]\ntask = \"speak\"\n[steps.idle]\ntask = \"speak\"\n[steps.other]\ntask = \"speak\"";
    let tasks = [&TASKS[..], &[TaskDef::of::<Gather>()]].concat();
    let rig = Rig::<Reply>::with(&format!("[steps.answer]\n{steps}"), &tasks);
    let mut run = rig.start();
    let said = "twice \"word\", request 40, idle \"word\"";
    let length = u32::try_from(said.len()).unwrap();
    assert_eq!(run.reply().await.unwrap(), Reply(40 + length));
    assert_eq!(run.finish().await, State::Completed);
    let info = rig.plan.info();
    let place = info.steps.iter().position(|step| step.name == "gather");
    let place = place.unwrap();
    assert_eq!(
        info.steps[place].takes,
        ["Word", "Request", "Word", "Probe"]
    );
    let into = info
        .edges
        .iter()
        .filter(|edge| usize::from(edge.to) == place);
    assert_eq!(into.count(), 4);
}

#[tokio::test]
async fn it_waits_for_the_end_of_a_flow_and_leaves_the_flow_to_others() {
    let steps = "[steps.answer]\ntask = \"pour\"\n[steps.gather]\nneeds = [\"answer\"]";
    let tasks = [TaskDef::of::<Pour>(), TaskDef::of::<Gather>()];
    let rig = Rig::<Poured>::with(steps, &tasks);
    let mut run = rig.start();
    let Poured(reporter) = run.reply().await.unwrap();
    let mut rest = std::pin::pin!(run.finish());
    assert!(futures_util::poll!(rest.as_mut()).is_pending());
    reporter.report(Word("end".to_owned()), FlowEnd::Finished);
    assert_eq!(rest.await, State::Completed);
    let seen = rig.events();
    assert_eq!(seen.states("gather"), [State::Running, State::Completed]);
    let said = seen.events.iter().find_map(|event| match &event.kind {
        EventKind::Produced {
            step: Some(1),
            value,
        } => {
            let mut json = Vec::new();
            value.write_whole(&mut json).unwrap();
            Some(String::from_utf8(json).unwrap())
        }
        _ => None,
    });
    let said = said.unwrap();
    assert_eq!(said, r#""answer all of it, answer \"end\"""#);
}

#[tokio::test]
async fn a_need_that_fails_skips_it() {
    let steps = "[steps.answer]\nneeds = [\"request\"]\n\
         [steps.gather]\nneeds = [\"speak\"]\n\
         [steps.speak]\nwith = { failures = 1, is_final = true }";
    let tasks = [&TASKS[..], &[TaskDef::of::<Gather>()]].concat();
    let rig = Rig::<Reply>::with(steps, &tasks);
    let mut run = rig.start();
    assert_eq!(run.reply().await.unwrap(), Reply(40));
    assert_eq!(run.finish().await, State::Failed);
    assert_eq!(rig.events().states("gather"), [State::Skipped]);
}

#[test]
fn a_need_that_gives_nothing_to_several_is_a_fault() {
    let text = "name = \"test\"\nreply = \"answer\"\n[steps.answer]\ntask = \"sleep\"\n\
         [steps.gather]\nneeds = [\"answer\", \"idle\"]\n[steps.idle]";
    let tasks = [
        TaskDef::of::<Sleep>(),
        TaskDef::of::<Gather>(),
        TaskDef::of::<Idle>(),
    ];
    let mut resources = Resources::default();
    resources.insert(Arc::new(Probe::default()));
    let plan = Plan::<Request, Reply>::compile("test.toml", text, &tasks, &resources);
    let faults = plan.err().unwrap().0;
    assert_eq!(
        faults,
        [
            "test.toml:6: step `gather` needs `answer` but takes nothing that it gives: move `answer` to `after` if only \
             the order matters.",
            "test.toml:6: step `gather` needs `idle` but takes nothing that it gives: move `idle` to `after` if only the \
             order matters.",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_has_its_own_limit_and_says_whose_fault_it_is() {
    for (written, lasts) in [("", 5), ("timeout = \"2s\"", 2)] {
        let steps = format!("[steps.answer]\ntask = \"sleep\"\n{written}");
        let rig = Rig::<Reply>::with(&steps, &[TaskDef::of::<Sleep>()]);
        let limit = Duration::from_secs(lasts);
        assert_eq!(rig.plan.info().steps[0].timeout, Some(limit));
        let begin = Instant::now();
        let mut run = rig.start();
        let failure = run.reply().await.unwrap_err();
        assert_eq!(begin.elapsed().as_secs(), lasts);
        assert_eq!(failure.state, State::TimedOut);
        assert_eq!(failure.error.fault, Fault::Ours);
        assert_eq!(run.finish().await, State::TimedOut);
    }
}
