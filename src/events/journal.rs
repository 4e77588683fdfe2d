//! The events of one run on their way to the observers.
//!
//! Everyone who speaks for a run writes here; the run offers what is written whenever it goes to sleep.
//! While the observers' queue is full the journal keeps its events, and beyond a bound sheds those that a run can be
//! told without. This file must not know what the events mean.

use std::cell::Cell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::event::{Event, EventBatch, EventKind, Level, RunStart};
use super::info::PlanInfo;
use super::queue::EventSink;
use super::run_id::Timestamp;
use super::waits::Waits;

/// Events that may wait before the journal tries to get rid of them.
const MOST_EVENTS: usize = 1_000;
/// Events that the sheet of a thread has room for, to begin with and at most.
const SHEET: usize = 64;
const LARGEST_SHEET: usize = 512;
/// Bytes of payload that may wait before the journal tries to get rid of them.
const MOST_PAYLOAD: usize = 4 << 20;

thread_local! {
    /// What the runs of this thread write on, one after the other: whoever goes to sleep copies its events out.
    ///
    /// Memory that the observers have freed is in another processor's cache. To write there event by event, with a lock
    /// around each, is to wait for it each time; to copy all of them there at once is not.
    static SPARE_SHEET: Cell<Vec<Event>> = const { Cell::new(Vec::new()) };
}

#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) start: Arc<RunStart>,
    pub(crate) plan: Arc<PlanInfo>,
    sink: EventSink,
    pages: Mutex<Pages>,
}

#[derive(Debug)]
struct Pages {
    events: Vec<Event>,
    /// Bytes of payload in `events`.
    payload: usize,
    /// How many events are too many.
    bound: usize,
    lost: Lost,
    /// Payloads that lost a piece: what follows goes too, for a beginning is readable and a hole is not.
    cut: Vec<&'static str>,
    is_closed: bool,
    /// When the last event was.
    latest: Timestamp,
    waits: Waits,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Lost {
    events: u64,
    payload: usize,
}

impl Journal {
    pub(crate) fn new(start: Arc<RunStart>, plan: Arc<PlanInfo>, sink: EventSink) -> Self {
        let pages = Pages {
            events: Vec::new(),
            payload: 0,
            bound: MOST_EVENTS,
            lost: Lost::default(),
            cut: Vec::new(),
            is_closed: false,
            latest: start.at,
            waits: Waits::default(),
        };
        Self {
            start,
            plan,
            sink,
            pages: Mutex::new(pages),
        }
    }

    pub(crate) fn waits_since(&self, since: Instant) {
        self.pages().waits.begin(since);
    }

    pub(crate) fn waits_no_more(&self) {
        self.pages().waits.end(Instant::now());
    }

    pub(crate) fn waited(&self) -> Duration {
        self.pages().waits.until(Instant::now())
    }

    /// Notes what happens now. After the run's end nothing is heard any more.
    pub(crate) fn note(&self, kind: EventKind) {
        self.note_at(Timestamp::now(), kind);
    }

    pub(crate) fn note_at(&self, at: Timestamp, kind: EventKind) {
        self.write(&mut self.pages(), at, kind);
    }

    /// Notes what is no event in time, with the time of what was noted before it: dozens of facts a run need not look at
    /// the clock each.
    pub(crate) fn note_timeless(&self, kind: EventKind) {
        let mut pages = self.pages();
        let at = pages.latest;
        self.write(&mut pages, at, kind);
    }

    #[inline]
    fn write(&self, pages: &mut Pages, at: Timestamp, mut kind: EventKind) {
        if pages.is_closed {
            return;
        }
        kind.bound();
        pages.push(Event { at, kind });
        if pages.is_over() {
            self.offer_or_shed(pages);
        }
    }

    #[cold]
    fn offer_or_shed(&self, pages: &mut Pages) {
        if !self.offer_pages(pages) {
            pages.shed();
        }
    }

    /// Offers what is written to the observers, without waiting.
    pub(crate) fn offer(&self) {
        self.offer_pages(&mut self.pages());
    }

    /// Notes the run's last event, which is not before what was noted last, and hands everything over.
    pub(crate) fn close(&self, at: Timestamp, mut last: EventKind) {
        let events = {
            let mut pages = self.pages();
            if pages.is_closed {
                return;
            }
            pages.confess();
            last.bound();
            let at = at.max(pages.latest);
            pages.write_down(Event { at, kind: last });
            pages.is_closed = true;
            pages.take_events()
        };
        let run = self.start.id;
        self.sink.hand_over(EventBatch { run, events });
    }

    /// Whether nothing is left to offer.
    fn offer_pages(&self, pages: &mut Pages) -> bool {
        if pages.events.is_empty() {
            return true;
        }
        let lost = pages.lost;
        let has_confessed = pages.confess();
        let run = self.start.id;
        let events = pages.take_events();
        let Err(batch) = self.sink.offer(EventBatch { run, events }) else {
            pages.payload = 0;
            pages.bound = MOST_EVENTS;
            return true;
        };
        pages.events = batch.events;
        if has_confessed {
            pages.events.pop();
            pages.lost = lost;
        }
        false
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    #[inline]
    fn push(&mut self, event: Event) {
        self.latest = self.latest.max(event.at);
        if let EventKind::Payload { name, piece } = &event.kind {
            if self.cut.contains(name) {
                self.lost.events += 1;
                self.lost.payload += piece.len();
                return;
            }
            self.payload += piece.len();
        }
        self.write_down(event);
    }

    #[inline]
    fn write_down(&mut self, event: Event) {
        if self.events.capacity() == 0 {
            self.take_sheet();
        }
        self.events.push(event);
    }

    fn take_sheet(&mut self) {
        // A thread that is ending has none.
        self.events = SPARE_SHEET.try_with(Cell::take).unwrap_or_default();
        self.events.reserve(SHEET);
    }

    /// Takes the events out and leaves the sheet to the next run of this thread.
    fn take_events(&mut self) -> Vec<Event> {
        let mut sheet = std::mem::take(&mut self.events);
        if sheet.capacity() > LARGEST_SHEET {
            return sheet;
        }
        let mut events = Vec::with_capacity(sheet.len());
        events.append(&mut sheet);
        let _ = SPARE_SHEET.try_with(|spare| spare.set(sheet));
        events
    }

    fn is_over(&self) -> bool {
        self.events.len() >= self.bound || self.payload > MOST_PAYLOAD
    }

    /// Drops previews and payloads; if these are not many, log lines, progress and overruled facts too.
    fn shed(&mut self) {
        let before = self.events.len();
        let Self { events, cut, .. } = self;
        events.retain(|event| match &event.kind {
            EventKind::Payload { name, .. } => {
                if !cut.contains(name) {
                    cut.push(name);
                }
                false
            }
            EventKind::Produced { .. } => false,
            _ => true,
        });
        if events.len() * 2 > MOST_EVENTS {
            let mut stated = Vec::new();
            events.reverse();
            events.retain(|event| match event.kind {
                EventKind::Log { .. } | EventKind::Progress { .. } => false,
                EventKind::Fact { name, .. } => {
                    let is_last = !stated.contains(&name);
                    if is_last {
                        stated.push(name);
                    }
                    is_last
                }
                _ => true,
            });
            events.reverse();
        }
        self.bound = MOST_EVENTS.max(self.events.len() * 2);
        self.lost.events += u64::try_from(before - self.events.len()).unwrap_or(u64::MAX);
        self.lost.payload += std::mem::take(&mut self.payload);
    }

    /// Says what was shed, if anything was.
    fn confess(&mut self) -> bool {
        let Lost { events, payload } = std::mem::take(&mut self.lost);
        if events == 0 {
            return false;
        }
        let kind = EventKind::Log {
            step: None,
            level: Level::Warn,
            message: format!(
                "{events} events with {payload} bytes of payload were left out, because the observers could not keep up"
            ),
        };
        let at = Timestamp::now().max(self.latest);
        self.latest = at;
        self.write_down(Event { at, kind });
        true
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::artifact::Artifact;
    use super::super::event::{Observer, TraceContext};
    use super::super::queue::{EventSource, event_queue};
    use super::super::run_id::RunId;
    use super::super::state::State;
    use super::*;

    #[derive(serde::Serialize)]
    struct Preview;
    impl Artifact for Preview {
        const NAME: &'static str = "Preview";
    }

    fn journal(room: usize) -> (Journal, EventSource) {
        let (sink, source) = event_queue(room);
        let id = RunId::now();
        let start = RunStart {
            id,
            at: Timestamp::now(),
            request_id: "req_test".into(),
            trace: TraceContext::of_run(id),
            tracestate: None,
        };
        let plan = Arc::new(PlanInfo::default());
        (Journal::new(Arc::new(start), plan, sink), source)
    }

    fn log(message: &str) -> EventKind {
        EventKind::Log {
            step: None,
            level: Level::Info,
            message: message.to_owned(),
        }
    }

    fn payload(name: &'static str, bytes: usize) -> EventKind {
        let piece = Bytes::from(vec![b'.'; bytes]);
        EventKind::Payload { name, piece }
    }

    fn produced() -> EventKind {
        EventKind::Produced {
            step: None,
            value: Arc::new(Preview),
        }
    }

    const ENDED: EventKind = EventKind::Ended {
        state: State::Completed,
        error: None,
    };

    /// Closes the journal and says what was received, a word or a log line each; pieces with their length.
    fn received(journal: Journal, source: EventSource) -> Vec<String> {
        struct Received(Arc<Mutex<Vec<String>>>);
        impl Observer for Received {
            fn observe(&mut self, batch: &EventBatch) {
                let words = batch.events.iter().map(|event| match &event.kind {
                    EventKind::Log { message, .. } => message.clone(),
                    EventKind::Payload { name, piece } => format!("{name} {}", piece.len()),
                    EventKind::Fact { name, value } => format!("{name} {value:?}"),
                    EventKind::Produced { .. } => "produced".to_owned(),
                    EventKind::Ended { .. } => "ended".to_owned(),
                    other => format!("{other:?}"),
                });
                self.0.lock().unwrap().extend(words);
            }
        }
        let words = Arc::<Mutex<Vec<String>>>::default();
        let observer = Received(Arc::clone(&words));
        let feeder = std::thread::spawn(move || source.feed(&mut [Box::new(observer)]));
        journal.close(Timestamp::now(), ENDED);
        drop(journal);
        feeder.join().unwrap();
        let words = words.lock().unwrap();
        words.clone()
    }

    #[test]
    fn what_the_queue_refuses_is_kept_and_offered_again() {
        let (journal, source) = journal(1);
        journal.note(log("one"));
        journal.offer();
        journal.note(log("two"));
        journal.offer();
        journal.note(log("three"));
        journal.offer();
        assert_eq!(received(journal, source), ["one", "two", "three", "ended"]);
    }

    #[test]
    fn what_has_no_time_bears_that_of_what_was_noted_before() {
        let (journal, _source) = journal(8);
        let (begun, value) = (journal.start.at, Some(1.into()));
        let fact = EventKind::Fact { name: "n", value };
        journal.note_timeless(fact.clone());
        journal.note_at(Timestamp(begun.0 + 5), log("later"));
        journal.note_timeless(fact.clone());
        journal.note_at(Timestamp(begun.0 + 3), log("told late"));
        journal.note_timeless(fact);
        let pages = journal.pages();
        let after = pages.events.iter().map(|event| event.at.0 - begun.0);
        assert_eq!(after.collect::<Vec<_>>(), [0, 5, 5, 3, 5]);
    }

    #[test]
    fn a_large_payload_passes_while_there_is_room() {
        let (journal, source) = journal(8);
        journal.note(payload("body", 32 << 20));
        journal.note(payload("body", 1));
        let bytes = 32 << 20;
        let expected = [format!("body {bytes}"), "body 1".into(), "ended".into()];
        assert_eq!(received(journal, source), expected);
    }

    #[test]
    fn payloads_and_previews_are_shed_first_and_cut_rather_than_holed() {
        let (journal, source) = journal(1);
        journal.note(payload("body", 1));
        journal.offer();
        journal.note(log("kept"));
        journal.note(produced());
        journal.note(payload("body", 2));
        journal.note(payload("other", MOST_PAYLOAD));
        journal.note(payload("body", 3));
        journal.note(payload("headers", 4));
        let shed = MOST_PAYLOAD + 2 + 3;
        let confession = format!(
            "4 events with {shed} bytes of payload were left out, because the observers could not keep up"
        );
        let expected = ["body 1", "kept", "headers 4", &confession, "ended"];
        assert_eq!(received(journal, source), expected);
    }

    #[test]
    fn what_is_confessed_is_not_after_the_end() {
        let (journal, _source) = journal(1);
        let begun = journal.start.at;
        let mut pages = journal.pages();
        pages.lost.events = 1;
        assert!(pages.confess());
        let [.., confession] = &pages.events[..] else {
            panic!("it is written down")
        };
        assert!(confession.at >= begun);
        assert_eq!(confession.at, pages.latest, "by which the end is dated");
    }

    #[test]
    fn a_journal_that_nobody_reads_is_bounded() {
        let (journal, source) = journal(0);
        for _ in 0..5_000 {
            journal.note(produced());
            journal.note(log("chatter"));
            let value = Some(1.into());
            journal.note(EventKind::Fact { name: "n", value });
            journal.offer();
            let pages = journal.pages();
            assert!(pages.events.len() <= MOST_EVENTS);
            assert!(pages.events.capacity() <= 4 * MOST_EVENTS);
        }
        let received = received(journal, source);
        assert!(received.len() < MOST_EVENTS + 2);
        assert!(received.contains(&"n Some(Int(1))".to_owned()));
        assert_eq!(received.last().unwrap(), "ended");
    }

    #[test]
    fn how_long_a_run_waits_is_known_while_it_does_and_afterwards() {
        let (journal, _source) = journal(8);
        assert_eq!(journal.waited(), Duration::ZERO);
        let second = Duration::from_secs(1);
        journal.waits_since(Instant::now().checked_sub(second).unwrap());
        assert!(journal.waited() >= second);
        journal.waits_no_more();
        let waited = journal.waited();
        assert!(waited >= second);
        assert_eq!(journal.waited(), waited);
    }

    #[test]
    fn after_the_end_nothing_is_heard() {
        let (journal, source) = journal(8);
        journal.close(Timestamp::now(), ENDED);
        journal.note(log("late"));
        journal.offer();
        journal.close(Timestamp::now(), ENDED);
        assert_eq!(received(journal, source), ["ended"]);
    }

    #[test]
    fn observers_that_are_gone_are_no_reason_to_wait() {
        let (journal, source) = journal(0);
        drop(source);
        journal.note(log("unheard"));
        journal.offer();
        journal.close(Timestamp::now(), ENDED);
        assert!(journal.pages().events.is_empty());
    }
}
