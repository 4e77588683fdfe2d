//! A span as OTLP writes it, with its events, links and status.
//!
//! It must not know which spans go together.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{Event, Link, SpanId, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry_sdk::trace::SpanData;

use super::attributes::attributes;
use super::wire::Writer;

/// Says of a context's flags that they tell whether it is of another process.
const HAS_IS_REMOTE: u32 = 0x100;
/// Says that it is.
const IS_REMOTE: u32 = 0x200;

/// What a span without attributes takes, roughly.
const BARE_SPAN: usize = 128;
/// What an attribute takes, roughly.
const ATTRIBUTE: usize = 40;

/// Writes a `Span`.
pub(super) fn span(to: &mut Writer, span: &SpanData) {
    let context = &span.span_context;
    to.array(1, context.trace_id().to_bytes());
    to.array(2, context.span_id().to_bytes());
    trace_state(to, 3, context.trace_state());
    if span.parent_span_id != SpanId::INVALID {
        to.array(4, span.parent_span_id.to_bytes());
    }
    to.text(5, &span.name);
    to.varint(6, kind(&span.span_kind));
    to.fixed64(7, nanoseconds(span.start_time));
    to.fixed64(8, nanoseconds(span.end_time));
    attributes(to, 9, &span.attributes);
    to.count(10, span.dropped_attributes_count);
    for event in &span.events.events {
        to.nested(11, BARE_SPAN, |to| write_event(to, event));
    }
    to.count(12, span.events.dropped_count);
    for link in &span.links.links {
        to.nested(13, BARE_SPAN, |to| write_link(to, link));
    }
    to.count(14, span.links.dropped_count);
    write_status(to, 15, &span.status);
    let flags = flags(context.trace_flags(), span.parent_span_is_remote);
    to.fixed32(16, flags);
}

/// Roughly how many bytes a span takes.
pub(super) fn expected_len(span: &SpanData) -> usize {
    BARE_SPAN + ATTRIBUTE * span.attributes.len()
}

fn write_event(to: &mut Writer, event: &Event) {
    to.fixed64(1, nanoseconds(event.timestamp));
    to.text(2, &event.name);
    attributes(to, 3, &event.attributes);
    to.count(4, event.dropped_attributes_count);
}

fn write_link(to: &mut Writer, link: &Link) {
    let context = &link.span_context;
    to.array(1, context.trace_id().to_bytes());
    to.array(2, context.span_id().to_bytes());
    trace_state(to, 3, context.trace_state());
    attributes(to, 4, &link.attributes);
    to.count(5, link.dropped_attributes_count);
    to.fixed32(6, flags(context.trace_flags(), context.is_remote()));
}

fn write_status(to: &mut Writer, field: u32, status: &Status) {
    match status {
        Status::Unset => to.array(field, []),
        Status::Ok => to.sized(field, 2, |to| to.varint(3, 1)),
        Status::Error { description } => to.nested(field, description.len(), |to| {
            to.text(2, description);
            to.varint(3, 2);
        }),
    }
}

fn trace_state(to: &mut Writer, field: u32, state: &TraceState) {
    if *state != TraceState::NONE {
        to.text(field, &state.header());
    }
}

const fn kind(kind: &SpanKind) -> u64 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

fn flags(own: TraceFlags, is_remote: bool) -> u32 {
    let remote = if is_remote { IS_REMOTE } else { 0 };
    u32::from(own.to_u8()) | HAS_IS_REMOTE | remote
}

/// Nanoseconds since 1970, which have room until the year 2554. What was before counts as 1970.
fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs().wrapping_mul(1_000_000_000);
    seconds.wrapping_add(u64::from(since.subsec_nanos()))
}
