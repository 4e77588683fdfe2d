//! Attributes as OTLP writes them: a name and a value of any kind.
//!
//! Of all that is written they are the most by far, so their lengths are computed, which is cheap for messages as small
//! as these, and nothing is filled in afterwards. This file must not know what has attributes.

use opentelemetry::{Array, KeyValue, Value};

use super::wire::{Writer, field_len, varint_len};

/// The length of an `AnyValue` that holds a `bool`.
const BOOL: usize = 2;
/// The length of an `AnyValue` that holds a `double`.
const DOUBLE: usize = 9;

/// Writes a `KeyValue` for each of `attributes`.
pub(super) fn attributes<'a>(
    to: &mut Writer,
    field: u32,
    attributes: impl IntoIterator<Item = &'a KeyValue>,
) {
    for KeyValue { key, value, .. } in attributes {
        attribute(to, field, key.as_str(), value);
    }
}

/// Writes a `KeyValue`.
pub(super) fn attribute(to: &mut Writer, field: u32, key: &str, value: &Value) {
    let value_len = value_len(value);
    let length = field_len(key.len()) + field_len(value_len);
    to.sized(field, length, |to| {
        to.bytes(1, key.as_bytes());
        to.sized(2, value_len, |to| write_value(to, value));
    });
}

#[inline]
fn value_len(value: &Value) -> usize {
    match value {
        Value::String(text) => text_len(text.as_str()),
        Value::Bool(_) => BOOL,
        Value::I64(int) => int_len(*int),
        Value::F64(_) => DOUBLE,
        Value::Array(array) => field_len(array_len(array)),
        _ => 0,
    }
}

/// Writes what stands in an `AnyValue`. One of a kind that OpenTelemetry has not yet stays empty, which is legal.
fn write_value(to: &mut Writer, value: &Value) {
    match value {
        Value::String(text) => write_text(to, text.as_str()),
        Value::Bool(bool) => write_bool(to, *bool),
        Value::I64(int) => write_int(to, *int),
        Value::F64(float) => write_double(to, *float),
        Value::Array(array) => to.sized(5, array_len(array), |to| write_array(to, array)),
        _ => {}
    }
}

fn array_len(array: &Array) -> usize {
    match array {
        Array::String(items) => items
            .iter()
            .map(|text| field_len(text_len(text.as_str())))
            .sum(),
        Array::Bool(items) => items.len() * field_len(BOOL),
        Array::I64(items) => items.iter().map(|int| field_len(int_len(*int))).sum(),
        Array::F64(items) => items.len() * field_len(DOUBLE),
        _ => 0,
    }
}

/// Writes what stands in an `ArrayValue`: an `AnyValue` for each item.
fn write_array(to: &mut Writer, array: &Array) {
    match array {
        Array::String(items) => items.iter().for_each(|text| {
            let text = text.as_str();
            to.sized(1, text_len(text), |to| write_text(to, text));
        }),
        Array::Bool(items) => items.iter().for_each(|bool| {
            to.sized(1, BOOL, |to| write_bool(to, *bool));
        }),
        Array::I64(items) => items.iter().for_each(|int| {
            to.sized(1, int_len(*int), |to| write_int(to, *int));
        }),
        Array::F64(items) => items.iter().for_each(|float| {
            to.sized(1, DOUBLE, |to| write_double(to, *float));
        }),
        _ => {}
    }
}

#[inline]
fn text_len(text: &str) -> usize {
    field_len(text.len())
}

#[inline]
fn int_len(int: i64) -> usize {
    1 + varint_len(int.cast_unsigned())
}

#[inline]
fn write_text(to: &mut Writer, text: &str) {
    to.bytes(1, text.as_bytes());
}

fn write_bool(to: &mut Writer, bool: bool) {
    to.varint(2, u64::from(bool));
}

#[inline]
fn write_int(to: &mut Writer, int: i64) {
    to.varint(3, int.cast_unsigned());
}

fn write_double(to: &mut Writer, double: f64) {
    to.fixed64(4, double.to_bits());
}
