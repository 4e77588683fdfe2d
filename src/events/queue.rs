//! The bounded queue between the runs and their observers.
//!
//! This file must not know what an event says.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::event::{EventBatch, Observer};

/// Bytes of payload that may wait. Once an answer has begun, nobody but this queue holds its request.
const MOST_BYTES: usize = 256 << 20;

/// The bounded queue between the runs and their observers: the sending side.
///
/// It is full when it holds its number of batches, or [`MOST_BYTES`] of payload. Policy when full: a *new* run waits
/// ([`EventSink::has_room`] is asked before one is accepted); a run in progress keeps its events and offers them again.
/// Nobody ever waits for room, for it is the threads of the server that would: the last events of a run are put beside a
/// full queue, one batch for each run that was in progress.
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
    bytes: AtomicUsize,
    /// When no run could begin any more.
    closed: OnceLock<Instant>,
    /// The last batches of runs that ended while the queue was full.
    beside: Mutex<VecDeque<EventBatch>>,
    panics: AtomicU64,
}

impl Gauge {
    fn add(&self, batch: &EventBatch) -> usize {
        self.depth.fetch_add(1, Ordering::Relaxed);
        let bytes = batch.payload();
        self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    fn take_off(&self, batch: &EventBatch) {
        self.depth.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(batch.payload(), Ordering::Relaxed);
    }

    fn put_beside(&self, batch: EventBatch) {
        let mut beside = self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        beside.push_back(batch);
    }

    fn take_beside(&self) -> VecDeque<EventBatch> {
        let mut beside = self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *beside)
    }
}

/// The receiving side of an [`EventSink`].
#[derive(Debug)]
pub struct EventSource {
    receiver: Receiver<EventBatch>,
    gauge: Arc<Gauge>,
    /// Last batches of runs. What those runs sent before has been read.
    last: VecDeque<EventBatch>,
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
    let source = EventSource {
        receiver,
        gauge,
        last: VecDeque::new(),
    };
    (sink, source)
}

impl EventSink {
    /// Whether a new run may be accepted: half of the queue is kept for the runs in progress.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.load() * 2 < self.capacity
    }

    /// How full the queue is: of so many batches as it holds at most, by their number or by their bytes.
    #[must_use]
    pub fn load(&self) -> usize {
        let share = self.bytes() as u128 * self.capacity as u128 / MOST_BYTES as u128;
        self.depth()
            .max(usize::try_from(share).unwrap_or(usize::MAX))
    }

    /// Batches waiting to be observed.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.gauge.depth.load(Ordering::Relaxed)
    }

    /// Bytes of payload in them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.gauge.bytes.load(Ordering::Relaxed)
    }

    /// Batches that may wait.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes of payload that may wait.
    #[must_use]
    pub const fn most_bytes(&self) -> usize {
        MOST_BYTES
    }

    /// How often an observer panicked. What it was told then is lost to it alone.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.gauge.panics.load(Ordering::Relaxed)
    }

    /// Offers a batch without waiting.
    ///
    /// # Errors
    /// Gives the batch back when the queue is full. A queue whose observers are gone swallows it: the process is ending.
    pub fn offer(&self, batch: EventBatch) -> Result<(), EventBatch> {
        // One batch always goes in, however large.
        if self.gauge.add(&batch) > MOST_BYTES && self.depth() > 1 {
            self.gauge.take_off(&batch);
            return Err(batch);
        }
        match self.sender.try_send(batch) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(batch)) => {
                self.gauge.take_off(&batch);
                Err(batch)
            }
            Err(TrySendError::Disconnected(batch)) => {
                self.gauge.take_off(&batch);
                Ok(())
            }
        }
    }

    /// Says that no run will begin any more: once the queue is empty, the observers finish.
    pub fn close(&self) {
        let _ = self.gauge.closed.set(Instant::now());
    }

    /// When that was first said.
    #[must_use]
    pub fn closed(&self) -> Option<Instant> {
        self.gauge.closed.get().copied()
    }

    /// Hands a run's last batch over, which is put beside a queue that is full.
    pub fn hand_over(&self, batch: EventBatch) {
        self.gauge.add(&batch);
        match self.sender.try_send(batch) {
            Ok(()) => {}
            Err(TrySendError::Full(batch)) => self.gauge.put_beside(batch),
            Err(TrySendError::Disconnected(batch)) => self.gauge.take_off(&batch),
        }
    }
}

impl EventSource {
    /// Feeds `observers` until the queue is closed and empty, or every [`EventSink`] is gone, then lets them finish. Blocks: give it a thread.
    ///
    /// While runs are under way it looks into the queue from time to time instead of waiting at it: to wake a waiting
    /// thread costs a run a system call for each batch, more than all its other bookkeeping.
    /// After a lull it does wait there, so that a gateway nobody uses leaves the processor asleep.
    ///
    /// An observer that panics is told of what comes next all the same.
    pub fn feed(mut self, observers: &mut [Box<dyn Observer>]) {
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
            let is_closed = self.gauge.closed.get().is_some();
            let drained = self.drain(observers, first.take(), last_idle + 2 * IDLE_PAUSE);
            if last_idle.elapsed() >= IDLE_PAUSE {
                self.tell(observers, |observer| observer.idle());
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
        self.tell(observers, |observer| observer.finish());
    }

    fn tell(&self, observers: &mut [Box<dyn Observer>], what: impl Fn(&mut dyn Observer)) {
        for observer in observers {
            let told = catch_unwind(AssertUnwindSafe(|| what(&mut **observer)));
            if told.is_err() {
                self.gauge.panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!(
                    "an observer of runs panicked: what it was told is not recorded, traced or counted"
                );
            }
        }
    }

    /// The next batch: of those in the queue, then of those beside it.
    fn next(&mut self) -> Result<EventBatch, TryRecvError> {
        let empty = match self.receiver.try_recv() {
            Ok(batch) => return Ok(batch),
            Err(empty) => empty,
        };
        if let Some(last) = self.last.pop_front() {
            return Ok(last);
        }
        // What their runs sent before them may have come to the queue since it was looked into.
        self.last = self.gauge.take_beside();
        if self.last.is_empty() {
            return Err(empty);
        }
        self.next()
    }

    /// Feeds `first`, which has left the queue already, and what is in the queue, no longer than `until`.
    fn drain(
        &mut self,
        observers: &mut [Box<dyn Observer>],
        mut first: Option<EventBatch>,
        until: Instant,
    ) -> Drained {
        let mut drained = Drained::Nothing;
        loop {
            let batch = match first.take().map_or_else(|| self.next(), Ok) {
                Ok(batch) => batch,
                Err(TryRecvError::Empty) => return drained,
                Err(TryRecvError::Disconnected) => return Drained::Gone,
            };
            self.gauge.take_off(&batch);
            self.tell(observers, |observer| observer.observe(&batch));
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
    use super::super::event::{Event, EventKind};
    use super::super::run_id::{RunId, Timestamp};
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

    /// A batch of a run that is told by its number, with a payload of so many bytes.
    fn heavy(run: RunId, bytes: usize) -> EventBatch {
        let piece = bytes::Bytes::from(vec![0; bytes]);
        let kind = EventKind::Payload { name: "n", piece };
        let at = Timestamp(0);
        EventBatch {
            run,
            events: vec![Event { at, kind }],
        }
    }

    #[test]
    fn the_last_batch_of_a_run_waits_for_nobody_and_comes_after_those_before() {
        struct Order(Arc<Mutex<Vec<(RunId, usize)>>>);
        impl Observer for Order {
            fn observe(&mut self, batch: &EventBatch) {
                let told = (batch.run, batch.payload());
                self.0.lock().unwrap().push(told);
            }
        }
        let (sink, source) = event_queue(2);
        let (one, other) = (RunId::now(), RunId::now());
        sink.offer(heavy(one, 1)).unwrap();
        sink.offer(heavy(other, 2)).unwrap();
        sink.offer(heavy(one, 3)).unwrap_err();
        // From the thread that reads: a blocking send would never return.
        sink.hand_over(heavy(one, 4));
        sink.hand_over(heavy(other, 5));
        assert_eq!((sink.depth(), sink.bytes()), (4, 12));
        assert!(!sink.has_room());
        sink.close();
        let told = Arc::<Mutex<Vec<_>>>::default();
        source.feed(&mut [Box::new(Order(Arc::clone(&told)))]);
        let told = told.lock().unwrap();
        assert_eq!(*told, [(one, 1), (other, 2), (one, 4), (other, 5)]);
        assert_eq!((sink.depth(), sink.bytes()), (0, 0));
    }

    #[test]
    fn a_queue_is_full_of_bytes_too() {
        let (sink, source) = event_queue(1_000);
        let run = RunId::now();
        let quarter = MOST_BYTES / 4;
        sink.offer(heavy(run, quarter)).unwrap();
        assert_eq!(sink.load(), 250);
        assert!(sink.has_room());
        sink.offer(heavy(run, quarter)).unwrap();
        assert!(!sink.has_room());
        sink.offer(heavy(run, 2 * quarter)).unwrap();
        let back = sink.offer(heavy(run, 1)).unwrap_err();
        assert_eq!(sink.bytes(), MOST_BYTES);
        drop(back);
        sink.close();
        source.feed(&mut []);
        assert_eq!(sink.bytes(), 0);
        // One that is heavier than all may be gets through when it is alone.
        let (sink, _source) = event_queue(1_000);
        sink.offer(heavy(run, MOST_BYTES + 1)).unwrap();
        assert!(!sink.has_room());
    }

    #[test]
    fn an_observer_that_panics_is_told_the_rest_and_others_everything() {
        struct Shaky(Told);
        impl Observer for Shaky {
            fn observe(&mut self, batch: &EventBatch) {
                self.0.observe(batch);
                assert_ne!(batch.payload(), 1, "on purpose");
            }
        }
        let (sink, source) = event_queue(8);
        let run = RunId::now();
        sink.offer(heavy(run, 1)).unwrap();
        sink.offer(heavy(run, 2)).unwrap();
        sink.close();
        let (shaky, steady) = (Told::default(), Told::default());
        source.feed(&mut [Box::new(Shaky(shaky.clone())), Box::new(steady.clone())]);
        let batches = |told: &Told| {
            let told = told.0.lock().unwrap();
            told.iter().filter(|word| **word == "batch").count()
        };
        assert_eq!((batches(&shaky), batches(&steady)), (2, 2));
        assert_eq!(sink.panics(), 1);
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
