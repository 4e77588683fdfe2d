//! The events of one run on their way to the observers.
//!
//! Everyone who speaks for a run writes here; the run offers what is written whenever it goes to sleep.
//! While the observers' queue is full the journal keeps its events, and beyond a bound sheds those that a run can be
//! told without. This file must not know what the events mean.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::event::{Event, EventBatch, EventKind, Level, RunStart, StepIndex, Timestamp};
use super::queue::EventSink;

/// Events that may wait before the journal tries to get rid of them.
const MOST_EVENTS: usize = 1_000;
/// Bytes of payload that may wait before the journal tries to get rid of them.
const MOST_PAYLOAD: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct Journal {
    pub(super) start: Arc<RunStart>,
    /// The step whose output the run gives away.
    pub(super) reply: StepIndex,
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
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Lost {
    events: u64,
    payload: usize,
}

impl Journal {
    pub(super) fn new(
        start: Arc<RunStart>,
        reply: StepIndex,
        sink: EventSink,
        capacity: usize,
    ) -> Self {
        let pages = Pages {
            events: Vec::with_capacity(capacity),
            payload: 0,
            bound: MOST_EVENTS,
            lost: Lost::default(),
            cut: Vec::new(),
            is_closed: false,
        };
        Self {
            start,
            reply,
            sink,
            pages: Mutex::new(pages),
        }
    }

    /// Notes what happens now. After the run's end nothing is heard any more.
    pub(super) fn note(&self, kind: EventKind) {
        self.note_at(Timestamp::now(), kind);
    }

    pub(super) fn note_at(&self, at: Timestamp, kind: EventKind) {
        let mut pages = self.pages();
        if pages.is_closed {
            return;
        }
        pages.push(Event { at, kind });
        if pages.is_over() && !self.offer_pages(&mut pages) {
            pages.shed();
        }
    }

    /// Offers what is written to the observers, without waiting.
    pub(super) fn offer(&self) {
        self.offer_pages(&mut self.pages());
    }

    /// Notes the run's last event and hands everything over, waiting for room if need be.
    pub(super) fn close(&self, last: EventKind) {
        let events = {
            let mut pages = self.pages();
            if pages.is_closed {
                return;
            }
            pages.confess();
            let at = Timestamp::now();
            pages.events.push(Event { at, kind: last });
            pages.is_closed = true;
            std::mem::take(&mut pages.events)
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
        let events = std::mem::take(&mut pages.events);
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
    fn push(&mut self, event: Event) {
        if let EventKind::Payload { name, piece } = &event.kind {
            if self.cut.contains(name) {
                self.lost.events += 1;
                self.lost.payload += piece.len();
                return;
            }
            self.payload += piece.len();
        }
        self.events.push(event);
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
        let at = Timestamp::now();
        self.events.push(Event { at, kind });
        true
    }
}
