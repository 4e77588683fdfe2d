//! A log line as one JSON object: `timestamp`, `level`, `target`, `message`, the line's own fields and, on the same
//! level, those of the spans around it, innermost first.
//!
//! The fields of a span are written as JSON once, when it is opened, straight into the span's buffer: a run opens one
//! span whether it logs or not, so that must cost little. The ready-made JSON format parses them again at every line.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// The format of lines and of fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct JsonLines;

impl<'w> FormatFields<'w> for JsonLines {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut members = Members {
            out: &mut writer,
            which: Which::All,
            outcome: Ok(()),
        };
        fields.record(&mut members);
        members.outcome
    }

    fn add_fields(
        &self,
        current: &'w mut FormattedFields<Self>,
        fields: &tracing::span::Record<'_>,
    ) -> fmt::Result {
        self.format_fields(current.as_writer(), fields)
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        out.write_str(r#"{"timestamp":""#)?;
        SystemTime.format_time(&mut out)?;
        write!(out, r#"","level":"{}","target":""#, metadata.level())?;
        Escaped(&mut out).write_str(metadata.target())?;
        out.write_char('"')?;
        for which in [Which::Message, Which::Others] {
            let mut members = Members {
                out: &mut out,
                which,
                outcome: Ok(()),
            };
            event.record(&mut members);
            members.outcome?;
        }
        let spans = context.event_scope().into_iter().flatten();
        for span in spans {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                out.write_str(&fields.fields)?;
            }
        }
        out.write_str("}\n")
    }
}

/// Which fields are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    Message,
    Others,
}

/// Writes fields as members of an object, each with a comma before it.
struct Members<'a, W> {
    out: &'a mut W,
    which: Which,
    outcome: fmt::Result,
}

impl<W: Write> Members<'_, W> {
    fn member(&mut self, field: &Field, value: impl FnOnce(&mut W) -> fmt::Result) {
        let is_wanted = match self.which {
            Which::All => true,
            Which::Message => field.name() == "message",
            Which::Others => field.name() != "message",
        };
        if is_wanted && self.outcome.is_ok() {
            self.outcome = self.write(field.name(), value);
        }
    }

    fn write(&mut self, name: &str, value: impl FnOnce(&mut W) -> fmt::Result) -> fmt::Result {
        self.out.write_str(",\"")?;
        Escaped(self.out).write_str(name)?;
        self.out.write_str("\":")?;
        value(self.out)
    }
}

impl<W: Write> Visit for Members<'_, W> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.member(field, |out| {
            out.write_char('"')?;
            write!(Escaped(out), "{value:?}")?;
            out.write_char('"')
        });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, |out| {
            out.write_char('"')?;
            Escaped(out).write_str(value)?;
            out.write_char('"')
        });
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |out| write!(out, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |out| write!(out, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |out| write!(out, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field, |out| {
            if value.is_finite() {
                write!(out, "{value}")
            } else {
                out.write_str("null")
            }
        });
    }
}

/// Writes text as the inside of a JSON string.
struct Escaped<'a, W>(&'a mut W);

impl<W: Write> Write for Escaped<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Nearly no text has anything to escape; to look at all of it at once costs next to nothing.
        let is_plain = text.bytes().fold(true, |all, byte| {
            all & (byte >= b' ' && byte != b'"' && byte != b'\\')
        });
        if is_plain {
            return self.0.write_str(text);
        }
        let is_special = |c: char| c < ' ' || c == '"' || c == '\\';
        for run in text.split_inclusive(is_special) {
            let special = run.chars().next_back().filter(|c| is_special(*c));
            let plain = special.and_then(|special| run.strip_suffix(special));
            self.0.write_str(plain.unwrap_or(run))?;
            match special {
                Some('\n') => self.0.write_str("\\n")?,
                Some(c @ ('"' | '\\')) => write!(self.0, "\\{c}")?,
                Some(c) => write!(self.0, "\\u{:04x}", u32::from(c))?,
                None => {}
            }
        }
        Ok(())
    }
}
