//! Claims about single runs: order, attempts, time limits, failures, cancellation.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use insta::assert_snapshot;

use super::super::ReplyDue;
use super::*;

#[tokio::test]
async fn a_run_tells_its_story_in_order() {
    let rig = Rig::of(
        r#"
        [steps.speak]
        [steps.answer]
        needs = ["request", "speak"]
        [steps.listen]
        needs = ["speak"]
        with = { yields = 2 }
        "#,
    );
    let mut run = rig.start();
    assert_eq!(run.reply().await.unwrap(), Reply(44));
    assert_eq!(run.finish().await, State::Completed);
    assert_snapshot!(rig.events().told(), @r"
    started test
    request produced Request
    speak Running 1
    speak produced Word
    speak Completed 1
    answer Running 1
    listen Running 1
    answer Completed 1
    Replied
    listen Completed 1
    ended Completed
    ");
}

#[tokio::test]
async fn a_run_begins_with_its_request_a_step_when_it_is_polled_and_the_end_is_the_last_outcome_s()
{
    let rig = Rig::of("[steps.answer]\n[steps.idle]\nafter = [\"answer\"]");
    let start = begin();
    let (accepted, _) = (start.at, tick());
    let mut run = rig.plan.start(Arc::new(Request(40)), start, &rig.sink);
    let before_reply = tick();
    run.reply().await.unwrap();
    let before_finish = tick();
    let mut finish = pin!(run.finish());
    let state = poll_fn(|cx| Poll::Ready(finish.as_mut().poll(cx))).await;
    assert_eq!(state, Poll::Ready(State::Completed));
    let seen = rig.events();
    let begun = |place: u16| {
        let running = move |kind: &EventKind| matches!(kind, EventKind::Step { step, state: State::Running, .. } if *step == place);
        seen.time_of(running)
    };
    let started = seen.time_of(|kind| matches!(kind, EventKind::Started { .. }));
    assert_eq!(started, accepted);
    assert!(begun(0) >= before_reply && begun(0) < before_finish);
    assert!(begun(1) >= before_finish);
    let [.., last_outcome, end] = seen.events.as_slice() else {
        panic!("a step ended, and the run");
    };
    assert_eq!(end.at, last_outcome.at);
}

#[tokio::test]
async fn a_step_ends_when_its_outcome_is_known_or_its_run_is_dropped() {
    let steps = "[steps.speak]\nwith = { millis = 20 }\n[steps.answer]\nneeds = [\"speak\"]\nwith = { hangs = true }";
    let rig = Rig::of(steps);
    let mut run = rig.start();
    let wait = tokio::time::timeout(Duration::from_millis(100), run.reply());
    assert!(wait.await.is_err());
    let before_drop = tick();
    drop(run);
    let seen = rig.events();
    let time = |wanted: u16, wanted_state: State| {
        seen.time_of(|kind| matches!(kind, EventKind::Step { step, state, .. } if (*step, *state) == (wanted, wanted_state)))
    };
    let (begun, ended) = (time(0, State::Running), time(0, State::Completed));
    assert!(ended.0 - begun.0 >= 19_000, "{begun:?} {ended:?}");
    assert!(time(1, State::Running) >= ended);
    assert!(time(1, State::Cancelled) >= before_drop);
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_and_counts_its_attempts() {
    let rig = Rig::of(
        r#"
        [steps.speak]
        with = { failures = 2 }
        retry = { attempts = 3, base = "100ms", jitter = false }
        [steps.answer]
        needs = ["speak"]
        "#,
    );
    let begin = Instant::now();
    let mut run = rig.start();
    assert_eq!(run.reply().await.unwrap(), Reply(4));
    assert_eq!(begin.elapsed().as_millis(), 300);
    assert_eq!(run.finish().await, State::Completed);
    assert_snapshot!(rig.events().told(), @r"
    started test
    request produced Request
    speak Running 1
    speak Retrying 1 in 100ms: attempt 1 was told to fail
    speak Running 2
    speak Retrying 2 in 200ms: attempt 2 was told to fail
    speak Running 3
    speak produced Word
    speak Completed 3
    answer Running 1
    answer Completed 1
    Replied
    ended Completed
    ");
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_s_error_is_the_run_s() {
    let rig = Rig::of(
        r#"
        [steps.answer]
        with = { failures = 9 }
        retry = { attempts = 2, jitter = false }
        "#,
    );
    let mut run = rig.start();
    let failure = run.reply().await.unwrap_err();
    assert_eq!(failure.to_string(), "answer: attempt 2 was told to fail");
    assert_eq!(run.finish().await, State::Failed);
    assert_eq!(rig.probe.begun().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_final_is_not_tried_again() {
    let rig = Rig::of(
        r#"
        [steps.answer]
        with = { failures = 1, is_final = true }
        retry = { attempts = 5 }
        "#,
    );
    let mut run = rig.start();
    run.reply().await.unwrap_err();
    run.finish().await;
    assert_eq!(rig.probe.begun().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_other_side_s_pause_is_kept_or_the_step_fails_at_once() {
    let retry_after = |millis: u64| {
        Rig::of(&format!(
            r#"
            [steps.answer]
            with = {{ failures = 1, retry_after_millis = {millis} }}
            retry = {{ attempts = 2, base = "1ms", max = "5s" }}
            "#
        ))
    };
    let begin = Instant::now();
    let patient = retry_after(5_000);
    let mut run = patient.start();
    run.reply().await.unwrap();
    assert_eq!(begin.elapsed().as_millis(), 5_000);
    drop(run);
    let impatient = retry_after(5_001);
    let mut run = impatient.start();
    run.reply().await.unwrap_err();
    assert_eq!(begin.elapsed().as_millis(), 5_000);
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_holds_for_each_attempt() {
    let rig = Rig::of(
        r#"
        [steps.answer]
        with = { hangs = true }
        timeout = "1s"
        retry = { attempts = 3, base = "100ms", jitter = false }
        "#,
    );
    let begin = Instant::now();
    let mut run = rig.start();
    let failure = run.reply().await.unwrap_err();
    assert_eq!(failure.state, State::TimedOut);
    assert_eq!(begin.elapsed().as_millis(), 3_300);
    assert_eq!(rig.probe.live(), 0);
    assert_eq!(run.finish().await, State::TimedOut);
    assert_snapshot!(rig.events().told(), @r"
    started test
    request produced Request
    answer Running 1
    answer Retrying 1 in 100ms: it was not done within 1s
    answer Running 2
    answer Retrying 2 in 200ms: it was not done within 1s
    answer Running 3
    answer TimedOut 3: it was not done within 1s
    ended TimedOut: answer: it was not done within 1s
    ");
}

#[tokio::test(start_paused = true)]
async fn a_rule_may_leave_out_what_ran_out_of_time() {
    let rig = Rig::of(
        r#"
        [steps.answer]
        with = { hangs = true }
        timeout = "1s"
        retry = { attempts = 3, timeouts = false }
        "#,
    );
    let begin = Instant::now();
    let mut run = rig.start();
    let failure = run.reply().await.unwrap_err();
    assert_eq!(failure.state, State::TimedOut);
    assert_eq!(begin.elapsed().as_millis(), 1_000, "it was tried once");
    assert_eq!(run.finish().await, State::TimedOut);
}

#[tokio::test]
async fn a_panic_fails_its_run_alone_and_is_named() {
    let rig = Rig::of(
        r#"
        [steps.speak]
        with = { id = 7, panics = true }
        retry = { attempts = 3 }
        [steps.answer]
        task = "repeat"
        needs = ["speak"]
        [steps.idle]
        "#,
    );
    let mut run = rig.start();
    let failure = run.reply().await.unwrap_err();
    assert_eq!(failure.state, State::Crashed);
    assert_eq!(run.finish().await, State::Failed);
    let seen = rig.events();
    assert_eq!(seen.last_state("idle"), Some(State::Completed));
    assert_snapshot!(seen.told(), @r"
    started test
    request produced Request
    speak Running 1
    idle Running 1
    speak Crashed 1: it panicked: step 7 was told to panic
    answer Skipped 0: step `speak` panicked
    idle Completed 1
    ended Failed: speak: it panicked: step 7 was told to panic
    ");
}

#[tokio::test]
async fn an_optional_step_may_fail() {
    let rig = Rig::of(
        r#"
        [steps.speak]
        optional = true
        with = { failures = 1 }
        [steps.listen]
        needs = ["speak"]
        [steps.idle]
        after = ["speak"]
        [steps.answer]
        needs = ["speak", "request"]
        "#,
    );
    let mut run = rig.start();
    assert_eq!(run.reply().await.unwrap(), Reply(40));
    assert_eq!(run.finish().await, State::Completed);
    let seen = rig.events();
    assert_eq!(seen.states("speak"), [State::Running, State::Failed]);
    assert_eq!(seen.states("listen"), [State::Skipped]);
    assert_eq!(seen.states("idle"), [State::Running, State::Completed]);
}

#[tokio::test]
async fn a_failure_beside_the_reply_fails_the_run_after_it() {
    let rig = Rig::of(
        r#"
        [steps.answer]
        [steps.idle]
        with = { failures = 1, yields = 3 }
        [steps.later]
        task = "idle"
        after = ["idle"]
        "#,
    );
    let mut run = rig.start();
    run.reply().await.unwrap();
    assert_eq!(run.finish().await, State::Failed);
    let seen = rig.events();
    assert_eq!(seen.states("later"), [State::Skipped]);
    let last = seen.told();
    let last = last.lines().last().unwrap();
    assert_eq!(last, "ended Failed: idle: attempt 1 was told to fail");
}

#[tokio::test]
async fn what_does_not_depend_on_a_failure_runs_after_the_reply_s_error() {
    let rig = Rig::of(
        r#"
        [steps.answer]
        with = { failures = 1 }
        [steps.idle]
        with = { yields = 5 }
        "#,
    );
    let mut run = rig.start();
    run.reply().await.unwrap_err();
    assert_eq!(rig.probe.ended().len(), 1);
    assert_eq!(run.finish().await, State::Failed);
    assert_eq!(rig.events().last_state("idle"), Some(State::Completed));
}

#[tokio::test]
async fn the_reply_does_not_wait_for_other_steps() {
    let rig =
        Rig::of("[steps.idle]\nwith = { hangs = true }\n[steps.answer]\nwith = { yields = 2 }");
    let mut run = rig.start();
    run.reply().await.unwrap();
    assert_eq!(rig.probe.live(), 1);
    drop(run);
    assert_eq!(rig.probe.live(), 0);
    let seen = rig.events();
    assert_eq!(seen.states("idle"), [State::Running, State::Cancelled]);
    assert_eq!(seen.told().lines().last().unwrap(), "ended Cancelled");
}

#[tokio::test]
async fn a_run_that_is_dropped_says_why() {
    let rig = Rig::of("[steps.answer]\nwith = { hangs = true }");
    let mut run = rig.start();
    run.if_dropped("nobody waits");
    let waiting = tokio::time::timeout(Duration::ZERO, run.reply()).await;
    assert!(waiting.is_err());
    drop(run);
    let told = rig.events().told();
    let said = "answer Cancelled 1: nobody waits after 0.";
    assert!(told.contains(said), "{told}");
    let last = told.lines().last().unwrap();
    let said = "ended Cancelled: answer: nobody waits after 0.";
    assert!(last.starts_with(said), "{told}");
}

#[tokio::test]
async fn what_is_said_last_is_why_a_run_was_dropped() {
    let steps = "[steps.idle]\nwith = { hangs = true }\n[steps.answer]";
    let rig = Rig::of(steps);
    let mut run = rig.start();
    run.if_dropped("nobody waits");
    run.reply().await.unwrap();
    run.if_dropped("the house closes");
    {
        let finish = pin!(run.finish());
        let waiting = tokio::time::timeout(Duration::ZERO, finish).await;
        assert!(waiting.is_err());
    }
    let told = rig.events().told();
    let said = "ended Cancelled: idle: the house closes after 0.";
    assert!(told.lines().last().unwrap().starts_with(said), "{told}");
}

#[tokio::test]
async fn a_run_that_was_never_polled_is_cancelled_too() {
    let rig = Rig::of("[steps.answer]");
    drop(rig.start());
    assert_snapshot!(rig.events().told(), @r"
    started test
    request produced Request
    answer Cancelled 0
    ended Cancelled
    ");
}

#[tokio::test]
async fn a_run_dropped_when_all_is_done_is_not_cancelled() {
    let rig = Rig::of("[steps.answer]");
    let mut run = rig.start();
    run.reply().await.unwrap();
    drop(run);
    assert_eq!(
        rig.events().told().lines().last().unwrap(),
        "ended Completed"
    );
}

#[tokio::test]
async fn a_run_finished_without_asking_for_its_reply_still_runs() {
    let rig = Rig::of("[steps.answer]\nwith = { yields = 1 }");
    assert_eq!(rig.start().finish().await, State::Completed);
    assert_eq!(rig.probe.begun().len(), 1);
}

#[tokio::test]
async fn the_reply_can_be_had_once() {
    let rig = Rig::of("[steps.answer]");
    let mut run = rig.start();
    run.reply().await.unwrap();
    let second = run.reply().await.unwrap_err();
    assert_eq!(second.error.to_string(), "its reply was taken before");
    assert_eq!(run.finish().await, State::Completed);
}

#[tokio::test]
async fn an_abandoned_wait_for_the_reply_can_be_taken_up_again() {
    let rig = Rig::of("[steps.answer]\nwith = { yields = 4 }");
    let mut run = rig.start();
    {
        let mut waiting = pin!(run.reply());
        let first = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_ready())).await;
        assert!(!first);
    }
    assert_eq!(run.reply().await.unwrap(), Reply(0));
}

#[tokio::test]
async fn what_a_task_and_the_server_say_is_heard() {
    let rig = Rig::of("[steps.answer]");
    let mut run = rig.start();
    run.reporter().fact("before", 1);
    run.reporter().progress(2, 3);
    run.reply().await.unwrap();
    let reporter = run.reporter().clone();
    tick();
    reporter.log(crate::events::Level::Info, "after the reply");
    run.finish().await;
    reporter.log(crate::events::Level::Info, "after the end");
    reporter.flush();
    drop(reporter);
    assert_snapshot!(rig.events().told(), @r#"
    started test
    request produced Request
    Fact { name: "before", value: Some(Int(1)) }
    Progress { step: 0, pieces: 2, bytes: 3 }
    answer Running 1
    answer Completed 1
    Replied
    Log { step: None, level: Info, message: "after the reply" }
    ended Completed
    "#);
}

#[tokio::test]
async fn events_are_offered_whenever_the_run_sleeps() {
    let rig = Rig::of("[steps.answer]\nwith = { yields = 3 }");
    let mut run = rig.start();
    {
        let mut waiting = pin!(run.reply());
        poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_ready())).await;
    }
    assert_eq!(rig.sink.depth(), 1);
    run.reply().await.unwrap();
    assert_eq!(rig.sink.depth(), 1, "the end of the run follows at once");
    run.finish().await;
    assert_eq!(rig.sink.depth(), 2);
}

#[test]
fn a_chain_of_skipped_steps_may_be_as_long_as_a_plan() {
    use std::fmt::Write;
    let mut steps =
        "[steps.answer]\n[steps.s0]\ntask = \"idle\"\nwith = { failures = 1 }\n".to_owned();
    for step in 1..4_000 {
        let before = step - 1;
        writeln!(
            steps,
            "[steps.s{step}]\ntask = \"idle\"\nafter = [\"s{before}\"]"
        )
        .unwrap();
    }
    let rig = Rig::of(&steps);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let state = runtime.block_on(async {
        let mut run = rig.start();
        run.reply().await.unwrap();
        run.finish().await
    });
    assert_eq!(state, State::Failed);
    assert_eq!(rig.probe.begun().len(), 2);
    let seen = rig.events();
    assert_eq!(seen.states("s3999"), [State::Skipped]);
}

#[tokio::test]
async fn an_input_is_dropped_when_its_last_taker_is_done() {
    let rig = Rig::of(
        r#"
        [steps.answer]
        needs = ["request"]
        [steps.idle]
        with = { hangs = true }
        "#,
    );
    let input = Arc::new(Request(1));
    let (sink, source) = event_queue(0);
    drop(source);
    let mut run = rig.plan.start(Arc::clone(&input), begin(), &sink);
    run.reply().await.unwrap();
    let mut waiting = pin!(run.finish());
    let is_over = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_ready())).await;
    assert!(!is_over);
    assert_eq!(Arc::strong_count(&input), 1);
}

/// The moment so many milliseconds from now at which a reply is due.
pub(super) fn in_time(run: &mut Run<Reply>, milliseconds: u64) {
    due_and_tried_until(run, milliseconds, milliseconds);
}

/// The same, where no attempt begins from another moment on.
fn due_and_tried_until(run: &mut Run<Reply>, due: u64, last_attempt: u64) {
    let after = |milliseconds| Instant::now() + Duration::from_millis(milliseconds);
    run.set_reply_due(ReplyDue {
        at: after(due),
        last_attempt: after(last_attempt),
        why: "it was slow".into(),
    });
}

#[tokio::test(start_paused = true)]
async fn what_a_reply_waits_for_ends_when_it_is_due_and_the_rest_goes_on() {
    let rig = Rig::of(
        r#"
        [steps.speak]
        with = { millis = 5000 }
        retry = { attempts = 3 }
        timeout = "4s"
        [steps.answer]
        task = "repeat"
        needs = ["speak"]
        [steps.idle]
        with = { millis = 7000 }
        [steps.later]
        task = "idle"
        after = ["speak"]
        "#,
    );
    let begin = Instant::now();
    let mut run = rig.start();
    in_time(&mut run, 3_000);
    let failure = run.reply().await.unwrap_err();
    assert_eq!(begin.elapsed(), Duration::from_secs(3));
    assert_eq!(
        (failure.step.as_str(), failure.state),
        ("speak", State::TimedOut)
    );
    assert_eq!(run.finish().await, State::TimedOut);
    assert_snapshot!(rig.events().told(), @r"
    started test
    request produced Request
    speak Running 1
    idle Running 1
    speak TimedOut 1: it was slow
    later Skipped 0: step `speak` timed out
    answer Skipped 0: step `speak` timed out
    idle Completed 1
    ended TimedOut: speak: it was slow
    ");
}

#[tokio::test(start_paused = true)]
async fn a_reply_waits_for_what_its_step_comes_after_no_longer_than_it_is_due() {
    let rig = Rig::of("[steps.idle]\nwith = { millis = 5000 }\n[steps.answer]\nafter = [\"idle\"]");
    let mut run = rig.start();
    in_time(&mut run, 3_000);
    let failure = run.reply().await.unwrap_err();
    let failed = (failure.step.as_str(), failure.state);
    assert_eq!(failed, ("idle", State::TimedOut));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_step_counts_where_it_ends_before_that_of_the_reply() {
    let rig = Rig::of("[steps.answer]\nwith = { millis = 5000 }\ntimeout = \"2s\"");
    let mut run = rig.start();
    in_time(&mut run, 3_000);
    let failure = run.reply().await.unwrap_err();
    assert_eq!(failure.to_string(), "answer: it was not done within 2s");
}

#[tokio::test(start_paused = true)]
async fn a_reply_in_time_leaves_its_time_to_what_comes_after_it() {
    let rig = Rig::of(
        r#"
        [steps.answer]
        with = { millis = 1000 }
        [steps.idle]
        after = ["answer"]
        with = { millis = 5000 }
        "#,
    );
    let mut run = rig.start();
    in_time(&mut run, 2_000);
    assert!(run.reply().await.is_ok());
    assert_eq!(run.finish().await, State::Completed);
}

#[tokio::test(start_paused = true)]
async fn no_pause_outlasts_the_time_that_a_reply_has() {
    for (due, last_attempt, attempts, state) in [
        (1_000, 1_000, 1, State::Failed),
        (1_001, 1_001, 2, State::Completed),
        (9_000, 1_000, 1, State::Failed),
        (9_000, 1_001, 2, State::Completed),
    ] {
        let rig = Rig::of(
            r#"
            [steps.answer]
            with = { failures = 1 }
            retry = { attempts = 2, base = "1s", jitter = false }
            [steps.idle]
            with = { failures = 1 }
            retry = { attempts = 2, base = "8s", jitter = false }
            "#,
        );
        let mut run = rig.start();
        due_and_tried_until(&mut run, due, last_attempt);
        let begin = Instant::now();
        let replied = run.reply().await;
        assert_eq!(replied.is_ok(), state == State::Completed, "{due}");
        assert_eq!(begin.elapsed().is_zero(), state == State::Failed, "{due}");
        assert_eq!(run.finish().await, state);
        let seen = rig.events();
        assert_eq!(seen.last_state("idle"), Some(State::Completed), "{due}");
        let tries = seen.states("answer").into_iter();
        let tries = tries.filter(|state| *state == State::Running);
        assert_eq!(tries.count(), attempts, "{due}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_reply_comes_after_ends_when_it_is_due_too() {
    let rig = Rig::of(
        r#"
        [steps.idle]
        with = { millis = 5000 }
        [steps.answer]
        after = ["idle"]
        "#,
    );
    let begin = Instant::now();
    let mut run = rig.start();
    in_time(&mut run, 3_000);
    let failure = run.reply().await.unwrap_err();
    assert_eq!(failure.to_string(), "idle: it was slow");
    assert_eq!(begin.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_later_attempt_has_what_the_earlier_ones_left() {
    let rig = Rig::of(
        r#"
        [steps.answer]
        with = { millis = 2000, failures = 1 }
        retry = { attempts = 9, base = "100ms", jitter = false }
        "#,
    );
    let begin = Instant::now();
    let mut run = rig.start();
    in_time(&mut run, 3_000);
    let failure = run.reply().await.unwrap_err();
    assert_eq!(failure.to_string(), "answer: it was slow");
    assert_eq!(begin.elapsed(), Duration::from_secs(3));
    assert_eq!(run.finish().await, State::TimedOut);
    let tries = rig.events().states("answer").into_iter();
    let tries = tries.filter(|state| *state == State::Running);
    assert_eq!(tries.count(), 2, "it is not tried again");
}

#[tokio::test(start_paused = true)]
async fn what_the_reply_does_not_wait_for_knows_of_no_time_that_it_is_due() {
    let rig = Rig::of(
        r#"
        [steps.speak]
        with = { id = 1 }
        [steps.answer]
        with = { id = 2, failures = 1 }
        retry = { attempts = 2 }
        needs = ["speak"]
        [steps.idle]
        with = { id = 3 }
        [steps.listen]
        with = { id = 4 }
        needs = ["speak"]
        [steps.later]
        task = "idle"
        with = { id = 5 }
        after = ["answer"]
        "#,
    );
    let mut run = rig.start();
    in_time(&mut run, 60_000);
    let due = Some(Instant::now() + Duration::from_secs(60));
    run.reply().await.unwrap();
    assert_eq!(run.finish().await, State::Completed);
    let mut known = rig.probe.due();
    known.sort_by_key(|(id, _)| *id);
    let expected = [
        (1, due),
        (2, due),
        (2, due),
        (3, None),
        (4, None),
        (5, None),
    ];
    assert_eq!(known, expected);
}
