//! W3C Trace Context, and the ids of the spans that a run will have.
//!
//! Source: <https://www.w3.org/TR/trace-context/>. This file must not know OpenTelemetry.

use std::sync::Arc;

use super::event::{StepIndex, TraceContext};
use super::run_id::RunId;

impl TraceContext {
    /// Reads a `traceparent` header; anything malformed is as good as absent, as the standard demands.
    #[must_use]
    pub fn parse(traceparent: &str) -> Option<Self> {
        let mut parts = traceparent.trim().split('-');
        let version = hex::<1>(parts.next()?)?;
        let trace_id = hex::<16>(parts.next()?)?;
        let parent = hex::<8>(parts.next()?)?;
        let flags = hex::<1>(parts.next()?)?;
        let is_known_form = version[0] != 0xff && (version[0] != 0 || parts.next().is_none());
        let is_valid = is_known_form && trace_id != [0; 16] && parent != [0; 8];
        is_valid.then_some(Self {
            trace_id,
            parent: Some(parent),
            sampled: flags[0] & 1 == 1,
        })
    }

    /// Joins the lines of a `tracestate` header; `None` for one that is empty, longer than must be passed on, or not
    /// made of the characters that it may have.
    #[must_use]
    pub fn tracestate<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Option<Arc<str>> {
        /// As long as the standard asks everybody to pass on.
        const LONGEST: usize = 512;
        let lines: Vec<&[u8]> = lines.into_iter().collect();
        let state = String::from_utf8(lines.join(&b","[..])).ok()?;
        let is_legal = |byte: u8| matches!(byte, b'\t' | b' '..=b'~');
        let is_passed_on = state.len() <= LONGEST && state.bytes().all(is_legal);
        (is_passed_on && !state.trim().is_empty()).then(|| state.into())
    }

    /// A trace of the run's own: its id is the run's id.
    #[must_use]
    pub const fn of_run(run: RunId) -> Self {
        Self {
            trace_id: *run.as_bytes(),
            parent: None,
            sampled: true,
        }
    }

    /// The header that makes `span` the parent of what the receiver does.
    #[must_use]
    pub fn traceparent(&self, span: [u8; 8]) -> String {
        let trace = u128::from_be_bytes(self.trace_id);
        let span = u64::from_be_bytes(span);
        format!("00-{trace:032x}-{span:016x}-{:02x}", u8::from(self.sampled))
    }
}

/// The id of a run's root span.
#[must_use]
pub fn root_span_id(run: RunId) -> [u8; 8] {
    span_id(run, 0)
}

/// The id of a step's span.
#[must_use]
pub fn step_span_id(run: RunId, step: StepIndex) -> [u8; 8] {
    span_id(run, 1 + u64::from(step))
}

/// The id of the CLIENT span for the call that a step makes.
#[must_use]
pub fn call_span_id(run: RunId, step: StepIndex) -> [u8; 8] {
    span_id(run, (1 << 32) + u64::from(step))
}

/// Mixes a run's id with a small number, by the finaliser of `SplitMix64`.
fn span_id(run: RunId, salt: u64) -> [u8; 8] {
    let id = u128::from_be_bytes(*run.as_bytes());
    let folded = u64::try_from(id >> 64).unwrap_or(0)
        ^ u64::try_from(id & u128::from(u64::MAX)).unwrap_or(0);
    let mut x = folded.wrapping_add(salt.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    x.max(1).to_be_bytes()
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_lower_hex = text.len() == 2 * N
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !is_lower_hex {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_survives_the_round_trip() {
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = TraceContext::parse(header).unwrap();
        assert_eq!(context.traceparent(context.parent.unwrap()), header);
    }

    #[test]
    fn a_malformed_traceparent_is_absent() {
        let malformed = [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-éééééééééééééééé-b7ad6b7169203331-01",
        ];
        for header in malformed {
            assert_eq!(TraceContext::parse(header), None, "{header}");
        }
    }

    #[test]
    fn a_tracestate_is_passed_on_unless_it_is_too_long_or_illegal() {
        let state =
            |lines: &[&str]| TraceContext::tracestate(lines.iter().map(|line| line.as_bytes()));
        assert_eq!(state(&["a=1,b=2"]).as_deref(), Some("a=1,b=2"));
        assert_eq!(state(&["a=1", "b=2"]).as_deref(), Some("a=1,b=2"));
        assert!(state(&[&"x".repeat(512)]).is_some());
        for lines in [
            &[][..],
            &[""],
            &["  "],
            &[&"x".repeat(513)],
            &["a=é"],
            &["a=\u{7f}"],
            &["a=1\r\nb: 2"],
        ] {
            assert_eq!(state(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn span_ids_of_a_run_differ() {
        let run = RunId::now();
        let mut ids = vec![root_span_id(run)];
        for step in 0..200 {
            ids.push(step_span_id(run, step));
            ids.push(call_span_id(run, step));
        }
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
