//! A figure that somebody else keeps, read whenever `/metrics` is asked for.

use std::collections::HashMap;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, Metric, MetricFamily, MetricType};

use crate::events::EventSink;

/// A name, a sentence about it and the way to read it.
pub struct Probe {
    pub(super) name: &'static str,
    help: &'static str,
    /// The name and the value that tell it from others of its name.
    label: Option<(&'static str, &'static str)>,
    pub(super) read: Box<dyn Fn() -> f64 + Send + Sync>,
}

impl Probe {
    /// Describes a count. A name that ends in `_total` is that of a counter, which never falls; any other that of a
    /// gauge.
    pub fn new(
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        Self::measure(name, help, move || as_float(read()))
    }

    /// Describes a figure that is no count; otherwise as [`Probe::new`].
    pub fn measure(
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            help,
            label: None,
            read: Box::new(read),
        }
    }

    /// The same with a label. All probes of one name need the same help, and the same label with a value of its own each.
    #[must_use]
    pub fn with_label(self, name: &'static str, value: &'static str) -> Self {
        Self {
            label: Some((name, value)),
            ..self
        }
    }

    /// What waits for the observers, and how they fare.
    #[must_use]
    pub fn event_queue(sink: &EventSink) -> [Self; 5] {
        let probe = |name, help, read: fn(&EventSink) -> u64| {
            let sink = sink.clone();
            Self::new(name, help, move || read(&sink))
        };
        [
            probe(
                "dagway_event_queue_batches",
                "Batches of events waiting for the recorder, the spans and the metrics. When half of the queue is full, \
                 new runs wait.",
                |sink| u64::try_from(sink.depth()).unwrap_or(u64::MAX),
            ),
            probe(
                "dagway_event_queue_batches_limit",
                "Batches that may wait.",
                |sink| u64::try_from(sink.capacity()).unwrap_or(u64::MAX),
            ),
            probe(
                "dagway_event_queue_bytes",
                "Bytes of requests and answers in them, which fill the queue too.",
                |sink| u64::try_from(sink.bytes()).unwrap_or(u64::MAX),
            ),
            probe(
                "dagway_event_queue_bytes_limit",
                "Bytes that may wait.",
                |sink| u64::try_from(sink.most_bytes()).unwrap_or(u64::MAX),
            ),
            probe(
                "dagway_observer_panics_total",
                "Panics of the recorder, the spans or the metrics. What they were told then is missing there.",
                EventSink::panics,
            ),
        ]
    }

    /// Checks name and help, so that the text format can be trusted.
    pub(super) fn into_collector(self) -> prometheus::Result<impl Collector> {
        let labels = self.label.iter();
        let labels: HashMap<String, String> = labels
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let (name, help) = (self.name.to_owned(), self.help.to_owned());
        let desc = Desc::new(name, help, Vec::new(), labels)?;
        Ok(Described { probe: self, desc })
    }
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Probe").field(&self.name).finish()
    }
}

struct Described {
    probe: Probe,
    desc: Desc,
}

impl Collector for Described {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let value = (self.probe.read)();
        let mut family = MetricFamily::default();
        family.set_name(self.probe.name.to_owned());
        family.set_help(self.probe.help.to_owned());
        let mut metric = Metric::default();
        metric.set_label(self.desc.const_label_pairs.clone());
        if self.probe.name.ends_with("_total") {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
            family.set_field_type(MetricType::COUNTER);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
            family.set_field_type(MetricType::GAUGE);
        }
        family.set_metric(vec![metric]);
        vec![family]
    }
}

/// Exact up to 2^53, which is as far as Prometheus counts.
#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus has no other number than the 64-bit float"
)]
pub(super) fn as_float(count: u64) -> f64 {
    count as f64
}
