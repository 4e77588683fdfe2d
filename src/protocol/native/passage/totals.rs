//! The figures of an answer where SDKs look for them, and the reason for its end.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::figures::{object, present, text};
use super::super::splice::Splice;
use super::events::{Delta, Event, Next};
use super::{Passage, unnamed_stop};

#[derive(Deserialize)]
struct Counts<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    input_tokens: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Totals<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    output_tokens: Option<&'a RawValue>,
}

impl Passage {
    /// The end of an answer, with its reason and its figures.
    pub(super) fn message_delta(
        &mut self,
        event: &Event<'_>,
        splice: &mut Splice<'_>,
        out: &mut Vec<u8>,
    ) -> Next {
        let mut missing = Vec::new();
        let delta = event
            .delta
            .and_then(|raw| Some((raw, object::<Delta<'_>>(raw)?)));
        let said = delta.as_ref().and_then(|(_, delta)| delta.stop_reason);
        let first = self.figures.summary.native_finish.clone();
        let first = first.filter(|_| self.figures.has_stopped);
        match (&delta, first) {
            (None, first) => {
                let reason = first.map_or_else(|| "null".to_owned(), |first| quoted(&first));
                let delta = format!(r#"{{"stop_reason":{reason},"stop_sequence":null}}"#);
                match event.delta {
                    Some(unusable) => splice.replace(unusable, delta),
                    None => missing.push(format!(r#""delta":{delta}"#)),
                }
            }
            (Some((raw, delta)), None) => {
                self.figures.stopped(said);
                let reason = self.figures.summary.stop_reason;
                if let Some(stop) = unnamed_stop(&self.settings, reason, delta.stop_sequence) {
                    match delta.stop_sequence {
                        Some(null) => splice.replace_string(null, stop),
                        None => splice.add(raw, &format!(r#""stop_sequence":{}"#, quoted(stop))),
                    }
                }
            }
            (Some((raw, _)), Some(first)) => match said {
                None => splice.add(raw, &format!(r#""stop_reason":{}"#, quoted(&first))),
                Some(said) if text(said).as_deref() == Some(&first) => {}
                Some(said) => {
                    self.note("the answer gave two reasons for its end; the first counts");
                    splice.replace_string(said, &first);
                }
            },
        }
        if self.figures.has_stopped {
            self.close(out);
        }
        self.figures.used_in_all(event.usage);
        missing.extend(self.mend_totals(event.usage, splice));
        if !missing.is_empty() {
            splice.add_to_all(&missing.join(","));
        }
        Next::Pass
    }

    /// Puts the count of output tokens into the usage of an end, where SDKs look for it; gives the usage if it is missing.
    fn mend_totals(&self, usage: Option<&RawValue>, splice: &mut Splice<'_>) -> Option<String> {
        let output = self.figures.output_tokens();
        let count = format!(r#""output_tokens":{output}"#);
        let Some(usage) = usage else {
            return Some(format!(r#""usage":{{{count}}}"#));
        };
        match object::<Totals<'_>>(usage) {
            None => splice.replace(usage, format!("{{{count}}}")),
            Some(Totals {
                output_tokens: None,
            }) => splice.add(usage, &count),
            Some(Totals {
                output_tokens: Some(said),
            }) if said.get() == "null" => splice.replace(said, output.to_string()),
            Some(_) => {}
        }
        None
    }
}

/// Puts an estimate of the input tokens into the usage of a start that counts none; gives the usage if it is missing.
pub(super) fn mend_counts(
    usage: Option<&RawValue>,
    estimate: u64,
    has_counted: bool,
    splice: &mut Splice<'_>,
) -> Option<String> {
    let both = format!(r#"{{"input_tokens":{estimate},"output_tokens":0}}"#);
    let Some(usage) = usage else {
        return Some(format!(r#""usage":{both}"#));
    };
    match object::<Counts<'_>>(usage) {
        None => splice.replace(usage, both),
        Some(_) if has_counted => {}
        Some(Counts {
            input_tokens: Some(zero),
        }) => splice.replace(zero, estimate.to_string()),
        Some(Counts { input_tokens: None }) => {
            splice.add(usage, &format!(r#""input_tokens":{estimate}"#));
        }
    }
    None
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
