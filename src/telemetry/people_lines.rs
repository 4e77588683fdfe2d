//! The fields of a log line for people: what a line needs to be understood, in dim names and plain values.
//!
//! What the page of the run shows better is left out, and so is what is empty: a line has to fit a terminal. Machines
//! read [`json_lines`](super::json_lines), which leaves nothing out.

use std::fmt::{self, Debug};

use clap::builder::styling::{Effects, Style};
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{FormatFields, Writer};

/// Fields that make a line long and say nothing that its run's id does not lead to.
const LEFT_OUT: [&str; 3] = ["request.id", "trace.id", "session"];

/// The names of fields.
const NAME: Style = Style::new().effects(Effects::DIMMED);

/// The format of fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeopleFields;

impl<'w> FormatFields<'w> for PeopleFields {
    fn format_fields<R: RecordFields>(&self, out: Writer<'w>, fields: R) -> fmt::Result {
        let mut words = Words {
            out,
            is_first: true,
            outcome: Ok(()),
        };
        fields.record(&mut words);
        words.outcome
    }
}

/// Writes fields as words with a space between them.
struct Words<'w> {
    out: Writer<'w>,
    is_first: bool,
    outcome: fmt::Result,
}

impl Words<'_> {
    fn write(&mut self, name: &str, value: &dyn Debug) -> fmt::Result {
        if !std::mem::replace(&mut self.is_first, false) {
            self.out.write_char(' ')?;
        }
        match (name, self.out.has_ansi_escapes()) {
            ("message", _) => write!(self.out, "{value:?}"),
            (_, true) => write!(self.out, "{NAME}{name}={NAME:#}{value:?}"),
            (_, false) => write!(self.out, "{name}={value:?}"),
        }
    }
}

impl Visit for Words<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let name = field.name();
        // Fields of the older `log` crate repeat what the line's head says.
        let is_wanted = !LEFT_OUT.contains(&name) && !name.starts_with("log.");
        if is_wanted && self.outcome.is_ok() {
            self.outcome = self.write(name, value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        // Most turns leave a cache alone; where one is used, the input alone would mislead.
        let is_unused = value == 0 && field.name().starts_with("cache_");
        if !is_unused {
            self.record_debug(field, &value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.record_debug(field, &format_args!("{value}")),
            _ if value.is_empty() => {}
            _ => self.record_debug(field, &value),
        }
    }
}
