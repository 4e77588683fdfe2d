//! Claims about steps of which only so many attempts may be at work at once.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use futures_util::future::join_all;
use insta::assert_snapshot;

use super::running::in_time;
use super::*;

/// A reply that takes a second, one at a time.
const ONE_SECOND: &str = "[steps.answer]\nwith = { millis = 1000 }\ntimeout = \"1.5s\"\nlimit = 1";

/// Polls once, and says whether it is done.
async fn is_ready(work: &mut (impl Future + Unpin)) -> bool {
    let mut work = pin!(work);
    poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx).is_ready())).await
}

#[tokio::test(start_paused = true)]
async fn runs_take_turns_in_order_and_the_time_of_each_begins_with_its_turn() {
    for (limit, expected) in [(1, [1, 2, 3, 4, 5]), (2, [1, 1, 2, 2, 3])] {
        let steps = ONE_SECOND.replace("limit = 1", &format!("limit = {limit}"));
        let rig = Rig::of(&steps);
        assert_eq!(rig.plan.info().steps[0].limit, Some(limit));
        let begin = Instant::now();
        let runs = expected.map(|_| async {
            let mut run = rig.start();
            run.reply().await.unwrap();
            let after = begin.elapsed().as_secs();
            assert_eq!(run.finish().await, State::Completed);
            after
        });
        assert_eq!(join_all(runs).await, expected);
        assert_eq!(rig.probe.most_at_once(0), usize::from(limit));
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_waits_for_its_turn_is_pending() {
    let rig = Rig::of(ONE_SECOND);
    let (mut first, mut second) = (rig.start(), rig.start());
    let (one, two) = tokio::join!(first.reply(), second.reply());
    assert!(one.is_ok() && two.is_ok());
    first.finish().await;
    let second = (second.reporter().run_id(), second.finish().await).0;
    let told = rig.events_of(second).told();
    assert_snapshot!(told, @r#"
    started test
    request produced Request
    answer Pending 0
    Log { step: Some(0), level: Info, message: "it waits for its turn: as many attempts of this step as its `limit` allows are at work" }
    answer Running 1
    answer Completed 1
    Replied
    ended Completed
    "#);
}

#[tokio::test]
async fn the_wait_for_a_turn_is_not_the_run_s_own_time() {
    let rig = Rig::of(&ONE_SECOND.replace("1000", "30"));
    let (mut first, mut second) = (rig.start(), rig.start());
    let (one, two) = tokio::join!(first.reply(), second.reply());
    assert!(one.is_ok() && two.is_ok());
    let waited = |run: &Run<Reply>| run.reporter().waited().as_millis();
    assert_eq!(waited(&first), 0);
    let before = waited(&second);
    assert!(before >= 25, "{before}");
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(waited(&second), before, "the wait is over");
}

#[tokio::test(start_paused = true)]
async fn a_run_dropped_while_it_waits_leaves_its_turn_to_the_next_and_says_why() {
    let rig = Rig::of(ONE_SECOND);
    let begin = Instant::now();
    let (mut first, mut second, mut third) = (rig.start(), rig.start(), rig.start());
    second.if_dropped("nobody waits");
    let dropped = second.reporter().run_id();
    {
        let (mut one, mut three) = (pin!(first.reply()), pin!(third.reply()));
        assert!(!is_ready(&mut one).await);
        assert!(!is_ready(&mut pin!(second.reply())).await);
        assert!(!is_ready(&mut three).await);
        drop(second);
        let (one, three) = tokio::join!(one, three);
        assert!(one.is_ok() && three.is_ok());
    }
    assert_eq!(begin.elapsed().as_secs(), 2);
    assert_eq!(rig.probe.begun().len(), 2);
    drop((first, third));
    let told = rig.events_of(dropped).told();
    let said = "answer Cancelled 0: nobody waits after 0.";
    assert!(told.contains(said), "{told}");
    let said = "ended Cancelled: answer: nobody waits after 0.";
    assert!(told.lines().last().unwrap().starts_with(said), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_run_dropped_at_work_gives_its_place_back() {
    let rig = Rig::of(ONE_SECOND);
    let mut first = rig.start();
    assert!(!is_ready(&mut pin!(first.reply())).await);
    let mut second = rig.start();
    let mut reply = pin!(second.reply());
    assert!(!is_ready(&mut reply).await);
    let begin = Instant::now();
    drop(first);
    assert!(reply.await.is_ok());
    assert_eq!(begin.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_for_a_turn_than_the_reply_is_of_use() {
    let rig = Rig::of(ONE_SECOND);
    let (mut first, mut second, mut third) = (rig.start(), rig.start(), rig.start());
    in_time(&mut second, 700);
    let begin = Instant::now();
    let late = async {
        let failure = second.reply().await.unwrap_err();
        assert_eq!(failure.to_string(), "answer: it was slow");
        assert_eq!(failure.attempts, 0);
        assert_eq!(begin.elapsed().as_millis(), 700);
        assert_eq!(second.finish().await, State::TimedOut);
    };
    let (one, (), three) = tokio::join!(first.reply(), late, third.reply());
    assert!(one.is_ok() && three.is_ok());
    assert_eq!(begin.elapsed().as_secs(), 2);
    assert_eq!(rig.probe.begun().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_fails_or_hangs_or_panics_gives_its_place_back_and_a_pause_takes_none() {
    for (behaviour, millis) in [("hangs", 1_000), ("panics", 0)] {
        let rig = Rig::of(&format!(
            "[steps.answer]\nwith = {{ {behaviour} = true }}\ntimeout = \"1s\"\nlimit = 1"
        ));
        let begin = Instant::now();
        for _ in 0..2 {
            assert!(rig.start().reply().await.is_err());
        }
        assert_eq!(begin.elapsed().as_millis(), 2 * millis, "{behaviour}");
    }
    let rig = Rig::of(
        "[steps.answer]\nwith = { millis = 100, failures = 1 }\ntimeout = \"1s\"\nlimit = 1\n\
         retry = { attempts = 2, base = \"100ms\", jitter = false }",
    );
    let begin = Instant::now();
    let (mut first, mut second) = (rig.start(), rig.start());
    let (one, two) = tokio::join!(first.reply(), second.reply());
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(begin.elapsed().as_millis(), 400, "they alternate");
    let second = (second.reporter().run_id(), drop((first, second))).0;
    let mut states = rig.events_of(second).states("answer");
    states.retain(|state| *state != State::Pending);
    let expected = [
        State::Running,
        State::Retrying,
        State::Running,
        State::Completed,
    ];
    assert_eq!(states, expected);
}

#[tokio::test(start_paused = true)]
async fn each_plan_and_each_step_has_a_limit_of_its_own() {
    let steps = format!(
        "{ONE_SECOND}\n[steps.idle]\nwith = {{ id = 1, millis = 1000 }}\ntimeout = \"2s\"\nlimit = 1"
    );
    let (old, new) = (Rig::of(&steps), Rig::of(&steps));
    let begin = Instant::now();
    let whole = |rig: &Rig<Reply>| {
        let run = rig.start();
        async { assert_eq!(run.finish().await, State::Completed) }
    };
    tokio::join!(whole(&old), whole(&new));
    assert_eq!(begin.elapsed().as_secs(), 1);
    tokio::join!(whole(&new), whole(&new));
    assert_eq!(begin.elapsed().as_secs(), 3);
}

/// May be at work in two places.
#[derive(Deserialize)]
struct Dear {}
impl Task for Dear {
    const NAME: &'static str = "dear";
    const ABOUT: &'static str = "Costs something";
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(5));
    const LIMIT: Option<u16> = Some(2);
    type Input = ();
    type Output = Own<Reply>;

    async fn run(&self, (): (), _: &Cx) -> Result<Own<Reply>, TaskError> {
        Ok(Own(Reply(1)))
    }
}

#[test]
fn a_task_has_a_limit_where_the_file_names_none() {
    for (written, limit) in [("", 2), ("limit = 7", 7)] {
        let steps = format!("[steps.answer]\ntask = \"dear\"\n{written}");
        let rig = Rig::<Reply>::with(&steps, &[TaskDef::of::<Dear>()]);
        assert_eq!(rig.plan.info().steps[0].limit, Some(limit));
    }
}
