//! What is written here says the same as what OpenTelemetry's own crates make of the same spans.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Array, InstrumentationScope, Key, KeyValue, StringValue, Value};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use prost::Message;

use super::request::Sender;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_collector_reads_what_the_crates_of_opentelemetry_would_have_sent(
        resource in resource(),
        batch in vec(span(), 0..6),
    ) {
        compare(&resource, batch);
    }
}

#[test]
fn a_batch_of_many_scopes_and_long_texts_reads_the_same() {
    let scopes = (0..20).map(|version| {
        InstrumentationScope::builder("scope")
            .with_version(format!("{}", version % 7))
            .build()
    });
    let batch = scopes.map(|instrumentation_scope| SpanData {
        attributes: vec![KeyValue::new("text", "é".repeat(100_000))],
        instrumentation_scope,
        ..plain()
    });
    compare(&Resource::builder_empty().build(), batch.collect());
}

#[test]
fn a_span_of_defaults_reads_the_same() {
    let resource = Resource::builder_empty().build();
    compare(&resource, Vec::new());
    compare(&resource, vec![plain()]);
}

fn compare(resource: &Resource, batch: Vec<SpanData>) {
    let written = Sender::new(resource).request(&batch);
    let read = ExportTraceServiceRequest::decode(&*written).unwrap();
    let resource_spans = group_spans_by_resource_and_scope(batch, &resource.into());
    let expected = ExportTraceServiceRequest { resource_spans };
    assert_eq!(read, expected);
}

fn plain() -> SpanData {
    SpanData {
        span_context: SpanContext::NONE,
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: Cow::Borrowed(""),
        start_time: UNIX_EPOCH + Duration::from_nanos(1),
        end_time: UNIX_EPOCH + Duration::from_nanos(2),
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::default(),
    }
}

fn span() -> impl Strategy<Value = SpanData> {
    let whose = (context(), any::<u64>(), any::<bool>(), kind(), text());
    let when = (time(), time());
    let told = (attributes(), count(), events(), links(), status());
    (whose, when, told, scope()).prop_map(|(whose, when, told, instrumentation_scope)| {
        let (span_context, parent, parent_span_is_remote, span_kind, name) = whose;
        let (attributes, dropped_attributes_count, events, links, status) = told;
        SpanData {
            span_context,
            // Every other span has none.
            parent_span_id: SpanId::from(parent * (parent % 2)),
            parent_span_is_remote,
            span_kind,
            name: name.into(),
            start_time: when.0,
            end_time: when.1,
            attributes,
            dropped_attributes_count,
            events,
            links,
            status,
            instrumentation_scope,
        }
    })
}

fn context() -> impl Strategy<Value = SpanContext> {
    let state = prop_oneof![
        Just(TraceState::NONE),
        vec(("[a-z]{1,3}", "[!-+]{1,200}"), 0..3)
            .prop_map(|pairs| TraceState::from_key_value(pairs).unwrap_or_default()),
    ];
    let id = (any::<u128>(), any::<u64>());
    (id, any::<u8>(), any::<bool>(), state).prop_map(|((trace, span), flags, is_remote, state)| {
        let flags = TraceFlags::new(flags);
        SpanContext::new(
            TraceId::from(trace),
            SpanId::from(span),
            flags,
            is_remote,
            state,
        )
    })
}

fn kind() -> impl Strategy<Value = SpanKind> {
    prop_oneof![
        Just(SpanKind::Client),
        Just(SpanKind::Server),
        Just(SpanKind::Producer),
        Just(SpanKind::Consumer),
        Just(SpanKind::Internal),
    ]
}

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![
        Just(Status::Unset),
        Just(Status::Ok),
        text().prop_map(Status::error),
    ]
}

fn events() -> impl Strategy<Value = SpanEvents> {
    let event = (text(), time(), attributes(), count())
        .prop_map(|(name, at, attributes, dropped)| Event::new(name, at, attributes, dropped));
    (vec(event, 0..3), count()).prop_map(|(events, dropped_count)| {
        let mut all = SpanEvents::default();
        all.events = events;
        all.dropped_count = dropped_count;
        all
    })
}

fn links() -> impl Strategy<Value = SpanLinks> {
    let link = (context(), attributes(), count())
        .prop_map(|(context, attributes, dropped)| Link::new(context, attributes, dropped));
    (vec(link, 0..3), count()).prop_map(|(links, dropped_count)| {
        let mut all = SpanLinks::default();
        all.links = links;
        all.dropped_count = dropped_count;
        all
    })
}

fn scope() -> impl Strategy<Value = InstrumentationScope> {
    let scope = |name: &'static str| InstrumentationScope::builder(name);
    let attributes = [KeyValue::new("a", 1), KeyValue::new("b", "")];
    let mut turned = attributes.clone();
    turned.reverse();
    prop_oneof![
        Just(scope("").build()),
        Just(scope("dagway").with_version("1").build()),
        Just(scope("dagway").with_version("2").build()),
        Just(scope("dagway").with_schema_url("https://schema/1").build()),
        Just(scope("dagway").with_attributes(attributes).build()),
        Just(scope("dagway").with_attributes(turned).build()),
    ]
}

fn resource() -> impl Strategy<Value = Resource> {
    let schema = prop_oneof![Just(None), Just(Some("https://schema/resource"))];
    (attributes(), schema).prop_map(|(attributes, schema)| {
        let builder = Resource::builder_empty();
        match schema {
            Some(schema) => builder.with_schema_url(attributes, schema).build(),
            None => builder.with_attributes(attributes).build(),
        }
    })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let key = prop_oneof![
        Just(Key::from_static_str("gen_ai.request.model")),
        text().prop_map(Key::new),
        text().prop_map(|text| Key::new(Arc::from(text))),
    ];
    vec(
        (key, value()).prop_map(|(key, value)| KeyValue::new(key, value)),
        0..5,
    )
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        int().prop_map(Value::I64),
        float().prop_map(Value::F64),
        string().prop_map(Value::String),
        vec(any::<bool>(), 0..200).prop_map(|items| Value::Array(Array::Bool(items))),
        vec(int(), 0..200).prop_map(|items| Value::Array(Array::I64(items))),
        vec(float(), 0..200).prop_map(|items| Value::Array(Array::F64(items))),
        vec(string(), 0..4).prop_map(|items| Value::Array(Array::String(items))),
    ]
}

fn string() -> impl Strategy<Value = StringValue> {
    prop_oneof![
        Just(StringValue::from("static")),
        text().prop_map(StringValue::from),
        text().prop_map(|text| StringValue::from(Arc::<str>::from(text))),
    ]
}

/// Empty, short, around the lengths at which a length takes another byte, and huge.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "\\PC{1,20}",
        (90..140_usize).prop_map(|length| "x".repeat(length)),
        (16_300..16_400_usize).prop_map(|length| "y".repeat(length)),
    ]
}

fn int() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(0),
        Just(i64::MIN),
        Just(i64::MAX),
        -200..200_i64,
        any::<i64>()
    ]
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(f64::INFINITY),
        Just(f64::MIN_POSITIVE),
        -1e9..1e9
    ]
}

fn count() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 0..300_u32, any::<u32>()]
}

/// Also before 1970 and after the nanoseconds since then have overflown.
fn time() -> impl Strategy<Value = SystemTime> {
    let beyond = Duration::from_secs(600 * 366 * 86_400);
    prop_oneof![
        Just(UNIX_EPOCH),
        Just(UNIX_EPOCH - Duration::from_secs(1)),
        Just(UNIX_EPOCH + beyond),
        any::<u64>().prop_map(|nanos| UNIX_EPOCH + Duration::from_nanos(nanos)),
    ]
}
