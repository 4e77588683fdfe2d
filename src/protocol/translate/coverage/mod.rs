//! What becomes of each part of a Messages request, as data: a row for each field, role, block, source, tool and choice.
//!
//! The table in the documentation of [`translate`](super) is made of these rows, and a test sends the example of each
//! row through the translation and looks for its proof. So a row cannot promise what the code does not do, and what
//! the parser learns to read must get a row.

mod rows;
#[cfg(test)]
mod tests;

use std::fmt::Write;

pub use rows::rows;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A field of the body.
    Field,
    /// A message's role, and what a message says besides its content.
    Message,
    /// A content block.
    Block,
    /// Where an image or a document is.
    Source,
    /// A tool, by its type, and what a tool says of itself.
    Tool,
    /// `tool_choice`.
    Choice,
    /// `thinking`.
    Thinking,
    /// `output_config`.
    Output,
    /// `context_management.edits`.
    Edit,
}

impl Part {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Field, "Fields of the body"),
        (Self::Message, "Messages"),
        (Self::Block, "Content blocks"),
        (Self::Source, "Sources of images and documents"),
        (Self::Tool, "Tools"),
        (Self::Choice, "`tool_choice`"),
        (Self::Thinking, "`thinking`"),
        (Self::Output, "`output_config`"),
        (Self::Edit, "`context_management.edits`"),
    ];
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes upstream byte for byte.
    Carried,
    /// It is said in the upstream's words, and nothing is lost.
    Translated,
    /// It is weakened or left out, and a note in the run says so.
    Degraded,
    /// The request is refused with a 400 that names the place.
    Refused,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Carried => "carried",
            Self::Translated => "translated",
            Self::Degraded => "degraded",
            Self::Refused => "refused",
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What it is about.
    pub part: Part,
    /// The names that share this row, as they are written in a request.
    pub names: &'static [&'static str],
    /// What is said beside the names: under which condition the row holds.
    pub when: &'static str,
    /// What becomes of it.
    pub outcome: Outcome,
    /// How.
    pub how: &'static str,
    /// Fields of a request in which it stands, as JSON; each name in turn is put in place of `$`.
    pub example: &'static str,
    /// What proves it. Of what is carried or translated: a text in the upstream's body, or, behind `!`, one that must
    /// not be there. Of what is degraded: a part of the note. Of what is refused: a part of the error, path first.
    pub proof: &'static str,
}

/// The table in Markdown, as the documentation shows it.
#[must_use]
pub fn table() -> String {
    let mut table = String::new();
    for (part, title) in Part::ALL {
        let _ = write!(
            table,
            "## {title}\n\n| what | outcome | how |\n| --- | --- | --- |\n"
        );
        for row in rows().filter(|row| row.part == part) {
            let names: Vec<String> = row.names.iter().map(|name| format!("`{name}`")).collect();
            let names = names.join(", ");
            let when = match row.when {
                "" => String::new(),
                when => format!(" ({when})"),
            };
            let outcome = row.outcome.word();
            let _ = writeln!(table, "| {names}{when} | {outcome} | {} |", row.how);
        }
        table.push('\n');
    }
    table.truncate(table.trim_end().len());
    table.push('\n');
    table
}
