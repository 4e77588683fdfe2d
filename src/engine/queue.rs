//! The bounded queue between the runs and their observers.
//!
//! This file must not know what an event says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use super::event::{EventBatch, Observer};

/// The bounded queue between the runs and their observers: the sending side.
///
/// Policy when full: a *new* run waits ([`EventSink::has_room`] is asked before one is accepted);
/// a run in progress keeps its events and offers them again; its very last events are handed over with a blocking send.
#[derive(Clone, Debug)]
pub struct EventSink {
    sender: SyncSender<EventBatch>,
    gauge: Arc<Gauge>,
    capacity: usize,
}

/// What both sides of the queue can see.
#[derive(Debug, Default)]
struct Gauge {
    depth: AtomicUsize,
    is_closed: AtomicBool,
}

/// The receiving side of an [`EventSink`].
#[derive(Debug)]
pub struct EventSource {
    receiver: Receiver<EventBatch>,
    gauge: Arc<Gauge>,
}

/// Makes a queue of at most `capacity` batches.
#[must_use]
pub fn event_queue(capacity: usize) -> (EventSink, EventSource) {
    let (sender, receiver) = sync_channel(capacity);
    let gauge = Arc::new(Gauge::default());
    let sink = EventSink {
        sender,
        gauge: Arc::clone(&gauge),
        capacity,
    };
    (sink, EventSource { receiver, gauge })
}

impl EventSink {
    /// Whether a new run may be accepted: half of the queue is kept for the runs in progress.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.gauge.depth.load(Ordering::Relaxed) * 2 < self.capacity
    }

    /// Batches waiting to be observed.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.gauge.depth.load(Ordering::Relaxed)
    }

    /// Offers a batch without waiting.
    ///
    /// # Errors
    /// Gives the batch back when the queue is full. A queue whose observers are gone swallows it: the process is ending.
    pub fn offer(&self, batch: EventBatch) -> Result<(), EventBatch> {
        self.gauge.depth.fetch_add(1, Ordering::Relaxed);
        match self.sender.try_send(batch) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(batch)) => {
                self.gauge.depth.fetch_sub(1, Ordering::Relaxed);
                Err(batch)
            }
            Err(TrySendError::Disconnected(_)) => {
                self.gauge.depth.fetch_sub(1, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// Says that no run will begin any more: once the queue is empty, the observers finish.
    pub fn close(&self) {
        self.gauge.is_closed.store(true, Ordering::Release);
    }

    /// Hands a run's last batch over, waiting for room if need be.
    pub fn hand_over(&self, batch: EventBatch) {
        self.gauge.depth.fetch_add(1, Ordering::Relaxed);
        if self.sender.send(batch).is_err() {
            self.gauge.depth.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl EventSource {
    /// Feeds `observers` until the queue is closed and empty, or every [`EventSink`] is gone, then lets them finish. Blocks: give it a thread.
    pub fn feed(self, observers: &mut [Box<dyn Observer>]) {
        const PAUSE: Duration = Duration::from_millis(10);
        const LONGEST_BUSY: Duration = Duration::from_millis(20);
        let mut last_idle = std::time::Instant::now();
        loop {
            match self.receiver.recv_timeout(PAUSE) {
                Ok(batch) => {
                    self.gauge.depth.fetch_sub(1, Ordering::Relaxed);
                    for observer in observers.iter_mut() {
                        observer.observe(&batch);
                    }
                    if last_idle.elapsed() < LONGEST_BUSY {
                        continue;
                    }
                }
                Err(RecvTimeoutError::Timeout) if self.gauge.is_closed.load(Ordering::Acquire) => {
                    break;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            for observer in observers.iter_mut() {
                observer.idle();
            }
            last_idle = std::time::Instant::now();
        }
        for observer in observers.iter_mut() {
            observer.finish();
        }
    }
}
