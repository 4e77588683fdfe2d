//! A batch of spans as the request that a collector takes: who sends them, and the spans of each scope together.
//!
//! It must not know what a span consists of.

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;

use super::attributes::{attribute, attributes};
use super::spans;
use super::wire::Writer;

/// Who sends, as it stands in every request: written once.
#[derive(Debug)]
pub(crate) struct Sender {
    fields: Vec<u8>,
}

impl Sender {
    /// Writes what belongs to `resource`.
    pub(crate) fn new(resource: &Resource) -> Self {
        let mut to = Writer::default();
        to.nested(1, 256, |to| {
            for (key, value) in resource {
                attribute(to, 1, key.as_str(), value);
            }
        });
        to.text(3, resource.schema_url().unwrap_or_default());
        let fields = to.into_bytes();
        Self { fields }
    }

    /// Writes an `ExportTraceServiceRequest` with these spans.
    pub(crate) fn request(&self, batch: &[SpanData]) -> Vec<u8> {
        let expected = batch.iter().map(spans::expected_len).sum::<usize>() + self.fields.len();
        // An eighth more, because a buffer that is too small by a byte doubles.
        let mut to = Writer::with_capacity(expected + expected / 8);
        to.nested(1, expected, |to| {
            to.fields(&self.fields);
            for (scope, spans) in by_scope(batch) {
                to.nested(2, expected, |to| scope_spans(to, scope, &spans));
            }
        });
        to.into_bytes()
    }
}

/// Writes what stands in `ScopeSpans`.
fn scope_spans(to: &mut Writer, scope: &InstrumentationScope, spans: &[&SpanData]) {
    to.nested(1, 32, |to| {
        to.text(1, scope.name());
        to.text(2, scope.version().unwrap_or_default());
        attributes(to, 3, scope.attributes());
    });
    for span in spans {
        to.nested(2, spans::expected_len(span), |to| spans::span(to, span));
    }
    to.text(3, scope.schema_url().unwrap_or_default());
}

/// The spans of each scope, in their order. The scopes of a process are few, and most spans have that of the span before.
fn by_scope(batch: &[SpanData]) -> Vec<(&InstrumentationScope, Vec<&SpanData>)> {
    let mut groups: Vec<(&InstrumentationScope, Vec<&SpanData>)> = Vec::new();
    for span in batch {
        let scope = &span.instrumentation_scope;
        match groups.iter_mut().find(|(known, _)| are_same(known, scope)) {
            Some((_, spans)) => spans.push(span),
            None => groups.push((scope, vec![span])),
        }
    }
    groups
}

/// OpenTelemetry's own comparison sorts the attributes of both, of which most scopes have none.
fn are_same(one: &InstrumentationScope, other: &InstrumentationScope) -> bool {
    let is_bare = |scope: &InstrumentationScope| scope.attributes().next().is_none();
    if is_bare(one) && is_bare(other) {
        one.name() == other.name()
            && one.version() == other.version()
            && one.schema_url() == other.schema_url()
    } else {
        one == other
    }
}
