//! What a collector says of a request that it took: how many of the spans it did not, and why.
//!
//! It must not know what is done about it.

/// The `partial_success` of an `ExportTraceServiceResponse`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PartialSuccess {
    /// Spans that were not taken.
    pub(crate) rejected: u64,
    /// Why, or something that the collector wishes to be known although it took all.
    pub(crate) message: String,
}

/// Reads an answer as far as it can be read; what cannot be read says nothing.
pub(crate) fn partial_success(answer: &[u8]) -> PartialSuccess {
    let mut said = PartialSuccess::default();
    for field in Fields(answer) {
        let Field::Bytes(1, partial_success) = field else {
            continue;
        };
        for field in Fields(partial_success) {
            match field {
                // A count below zero is none.
                Field::Varint(1, rejected) => {
                    said.rejected = u64::try_from(rejected.cast_signed()).unwrap_or(0);
                }
                Field::Bytes(2, message) => {
                    said.message = String::from_utf8_lossy(message).into_owned();
                }
                _ => {}
            }
        }
    }
    said
}

/// The fields of a message, until one is no field.
struct Fields<'a>(&'a [u8]);

/// A field's number and what stands in it.
enum Field<'a> {
    Varint(u64, u64),
    Bytes(u64, &'a [u8]),
    Other,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let key = self.varint()?;
        let number = key >> 3;
        Some(match key & 7 {
            0 => Field::Varint(number, self.varint()?),
            1 => self.take(8).map(|_| Field::Other)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(number, self.take(length)?)
            }
            5 => self.take(4).map(|_| Field::Other)?,
            _ => return None,
        })
    }
}

impl<'a> Fields<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };
    use prost::Message;

    use super::*;

    #[test]
    fn what_a_collector_says_is_read() {
        for (rejected_spans, rejected, message) in [
            (0, 0, ""),
            (1, 1, "too old"),
            (i64::MAX, i64::MAX.cast_unsigned(), ""),
            (-1, 0, "odd"),
        ] {
            let answer = ExportTraceServiceResponse {
                partial_success: Some(ExportTracePartialSuccess {
                    rejected_spans,
                    error_message: message.to_owned(),
                }),
            };
            let said = partial_success(&answer.encode_to_vec());
            assert_eq!((said.rejected, &*said.message), (rejected, message));
        }
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        let nothing = PartialSuccess::default();
        for answer in [
            &b""[..],
            &[0xff; 12],
            &[0x0a, 0x05, 0x08],
            &[0x0b],
            b"{\"partialSuccess\":{}}",
            b"<html>",
        ] {
            assert_eq!(partial_success(answer), nothing, "{answer:x?}");
        }
    }
}
