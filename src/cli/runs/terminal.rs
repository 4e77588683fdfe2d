//! What is written on: how wide it is, and whether it shows colours.
//!
//! It must not know what is written.

use std::io::{IsTerminal, stdout};

use clap::builder::styling::{AnsiColor, Color, Style};
use rustix::termios::tcgetwinsize;

use super::text;
use crate::cli::Failure;
pub(super) use crate::cli::output::write;
use crate::settings::wants_colours;

/// A terminal that does not tell its width.
const USUAL: usize = 80;
/// On less there is nothing to be read; widths below it are not believed.
const NARROWEST: usize = 20;

/// Standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paper {
    /// Places of a line; without end when absent.
    pub(super) width: Option<usize>,
    /// Whether a person looks at it.
    pub(super) is_terminal: bool,
    /// Whether colours are shown, and wanted.
    pub(super) is_coloured: bool,
}

impl Paper {
    /// Standard output as it is. `COLUMNS` is believed before the terminal, and where there is none.
    pub(super) fn of(environment: &[(String, String)]) -> Self {
        let is_terminal = stdout().is_terminal();
        let measured = is_terminal.then(|| {
            let columns = tcgetwinsize(stdout()).map_or(0, |size| size.ws_col);
            usize::from(columns)
        });
        Self::new(environment, measured)
    }

    /// `measured` is the width of the terminal if there is one, 0 when it does not tell.
    fn new(environment: &[(String, String)], measured: Option<usize>) -> Self {
        let variable = |wanted: &str| {
            let mut all = environment.iter();
            let found = all.find(|(name, value)| name == wanted && !value.is_empty());
            found.map(|(_, value)| value.as_str())
        };
        let believed = |width: &usize| *width >= NARROWEST;
        let told = variable("COLUMNS").and_then(|columns| columns.parse().ok());
        let width = told
            .filter(believed)
            .or_else(|| measured.map(|width| Some(width).filter(believed).unwrap_or(USUAL)));
        let is_terminal = measured.is_some();
        Self {
            width,
            is_terminal,
            is_coloured: is_terminal && wants_colours(variable),
        }
    }

    /// A text in a style, where styles are shown.
    pub(super) fn paint(self, text: &str, style: Style) -> String {
        if self.is_coloured {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

/// A text of a colour.
pub(super) const fn colour(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(colour)))
}

/// What leads to other texts.
pub(super) const TITLE: Style = Style::new().bold();
/// What matters less.
pub(super) const ASIDE: Style = Style::new().dimmed();
/// What went wrong.
pub(super) const WRONG: Style = colour(AnsiColor::Red);

/// Writes JSON and the end of its line.
///
/// # Errors
/// Those of [`write()`].
pub(super) fn write_json(json: &str) -> Result<(), Failure> {
    write(format!("{}\n", text::json(json.trim_end())).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paper(variables: &[(&str, &str)], measured: Option<usize>) -> Paper {
        let owned = variables.iter();
        let owned: Vec<(String, String)> = owned
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Paper::new(&owned, measured)
    }

    #[test]
    fn the_width_is_what_columns_or_the_terminal_says() {
        assert_eq!(paper(&[], None).width, None);
        assert_eq!(paper(&[], Some(132)).width, Some(132));
        assert_eq!(paper(&[], Some(0)).width, Some(USUAL));
        assert_eq!(paper(&[("COLUMNS", "100")], Some(132)).width, Some(100));
        assert_eq!(paper(&[("COLUMNS", "100")], None).width, Some(100));
        for wrong in ["", "0", "many", "-5"] {
            assert_eq!(paper(&[("COLUMNS", wrong)], Some(132)).width, Some(132));
        }
    }

    #[test]
    fn colours_are_for_terminals_of_those_who_want_them() {
        assert!(paper(&[("TERM", "xterm")], Some(80)).is_coloured);
        assert!(paper(&[("NO_COLOR", "")], Some(80)).is_coloured);
        assert!(!paper(&[("NO_COLOR", "1")], Some(80)).is_coloured);
        assert!(!paper(&[("TERM", "dumb")], Some(80)).is_coloured);
        assert!(!paper(&[("COLUMNS", "80")], None).is_coloured);
    }
}
