//! The bounded queue between the runs and their observers.
//!
//! This file must not know what an event says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::{Duration, Instant};

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
    ///
    /// While runs are under way it looks into the queue from time to time instead of waiting at it: to wake a waiting
    /// thread costs a run a system call for each batch, more than all its other bookkeeping.
    /// After a lull it does wait there, so that a gateway nobody uses leaves the processor asleep.
    pub fn feed(self, observers: &mut [Box<dyn Observer>]) {
        const BUSY_PAUSE: Duration = Duration::from_millis(1);
        const IDLE_PAUSE: Duration = Duration::from_millis(10);
        /// Longer than an observer keeps anything back that is to be written.
        const LULL: Duration = Duration::from_millis(300);
        const LULL_PAUSE: Duration = Duration::from_millis(100);
        let mut last_idle = Instant::now();
        let mut last_batch = Instant::now();
        let mut first = None;
        loop {
            // Read before the queue: what came before the close is then seen.
            let is_closed = self.gauge.is_closed.load(Ordering::Acquire);
            let drained = self.drain(observers, first.take(), last_idle + 2 * IDLE_PAUSE);
            if last_idle.elapsed() >= IDLE_PAUSE {
                observers.iter_mut().for_each(|observer| observer.idle());
                last_idle = Instant::now();
            }
            match drained {
                Drained::Gone => break,
                Drained::Nothing if is_closed => break,
                Drained::Nothing if last_batch.elapsed() >= LULL => {
                    first = self.receiver.recv_timeout(LULL_PAUSE).ok();
                }
                Drained::Nothing => std::thread::park_timeout(IDLE_PAUSE),
                Drained::Some => {
                    last_batch = Instant::now();
                    std::thread::park_timeout(BUSY_PAUSE);
                }
                Drained::NotAll => last_batch = Instant::now(),
            }
        }
        observers.iter_mut().for_each(|observer| observer.finish());
    }

    /// Feeds `first`, which has left the queue already, and what is in the queue, no longer than `until`.
    fn drain(
        &self,
        observers: &mut [Box<dyn Observer>],
        mut first: Option<EventBatch>,
        until: Instant,
    ) -> Drained {
        let mut drained = Drained::Nothing;
        loop {
            let batch = match first.take().map_or_else(|| self.receiver.try_recv(), Ok) {
                Ok(batch) => batch,
                Err(TryRecvError::Empty) => return drained,
                Err(TryRecvError::Disconnected) => return Drained::Gone,
            };
            self.gauge.depth.fetch_sub(1, Ordering::Relaxed);
            for observer in observers.iter_mut() {
                observer.observe(&batch);
            }
            if Instant::now() >= until {
                return Drained::NotAll;
            }
            drained = Drained::Some;
        }
    }
}

/// What a look into the queue found.
enum Drained {
    Nothing,
    Some,
    /// There may be more; other duties come first.
    NotAll,
    /// Nobody can send any more.
    Gone,
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::run_id::RunId;
    use super::*;

    /// Notes what an observer is told.
    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<Vec<&'static str>>>);

    impl Observer for Told {
        fn observe(&mut self, _: &EventBatch) {
            self.0.lock().unwrap().push("batch");
        }

        fn idle(&mut self) {
            self.0.lock().unwrap().push("idle");
        }

        fn finish(&mut self) {
            self.0.lock().unwrap().push("finish");
        }
    }

    fn batch() -> EventBatch {
        let (run, events) = (RunId::now(), Vec::new());
        EventBatch { run, events }
    }

    #[test]
    fn a_closed_queue_is_read_to_its_end() {
        let (sink, source) = event_queue(8);
        sink.offer(batch()).unwrap();
        sink.hand_over(batch());
        sink.close();
        let told = Told::default();
        source.feed(&mut [Box::new(told.clone())]);
        let told: Vec<_> = told.0.lock().unwrap().clone();
        let kept = told.iter().filter(|word| **word != "idle");
        assert_eq!(
            kept.copied().collect::<Vec<_>>(),
            ["batch", "batch", "finish"]
        );
        assert_eq!(told.last(), Some(&"finish"));
        assert_eq!(sink.depth(), 0);
    }

    #[test]
    fn after_a_lull_a_batch_wakes_the_observers_and_hardly_anything_else_does() {
        struct Telling(std::sync::mpsc::Sender<&'static str>);
        impl Observer for Telling {
            fn observe(&mut self, _: &EventBatch) {
                self.0.send("batch").unwrap();
            }
            fn idle(&mut self) {
                self.0.send("idle").unwrap();
            }
        }
        let (sink, source) = event_queue(8);
        let (sender, told) = std::sync::mpsc::channel();
        let feeder = std::thread::spawn(move || source.feed(&mut [Box::new(Telling(sender))]));
        // More looks, ten milliseconds apart, than fit into the time that makes a lull.
        assert!(told.iter().take(33).all(|word| word == "idle"));
        let asleep = Instant::now();
        assert!(told.iter().take(3).all(|word| word == "idle"));
        assert!(asleep.elapsed() >= Duration::from_millis(200));
        sink.offer(batch()).unwrap();
        assert!(told.iter().any(|word| word == "batch"));
        assert_eq!(sink.depth(), 0);
        sink.close();
        feeder.join().unwrap();
    }

    #[test]
    fn a_full_queue_gives_batches_back_and_has_no_room_before_it_is_full() {
        let (sink, source) = event_queue(2);
        assert!(sink.has_room());
        sink.offer(batch()).unwrap();
        assert!(!sink.has_room());
        sink.offer(batch()).unwrap();
        let last = batch();
        let back = sink.offer(last).unwrap_err();
        assert_eq!(sink.depth(), 2);
        drop(source);
        assert!(sink.offer(back).is_ok(), "nobody reads any more");
    }
}
