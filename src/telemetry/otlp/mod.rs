//! OTLP, OpenTelemetry's protocol, as far as spans need it: requests written and answers read.
//!
//! | file | what |
//! | --- | --- |
//! | [`request`] | the spans of a batch, grouped, below who sends them |
//! | [`spans`] | a span and all that belongs to it |
//! | [`attributes`] | what is said of them |
//! | [`wire`] | protobuf's wire format |
//! | [`answer`] | what the collector did not take |
//!
//! Spans are written straight from the SDK's types: to make messages of them first, measure those and then write them costs
//! five times as much. Pure: bytes out, bytes in. It must not know how they travel.
//! Source: <https://github.com/open-telemetry/opentelemetry-proto>, whose field numbers stand in the code beside each name.

pub(super) mod answer;
mod attributes;
pub(super) mod request;
mod spans;
#[cfg(test)]
mod tests;
mod wire;
