//! The rows, in the order of the documentation. Each is a sentence of it, an example and the example's proof:
//!
//! ```text
//! Part ["name", …] ("when") Outcome "how"
//!     "example"
//!     => "proof";
//! ```

mod blocks;
mod fields;
mod tools;

use super::Row;

/// Writes rows down without their fields' names, which would make most of the text.
macro_rules! table {
    ($vis:vis $name:ident $($part:ident [$($names:literal),+] $(($when:literal))? $outcome:ident $how:literal
        $example:literal => $proof:literal;)+) => {
        $vis const $name: &[Row] = &[$(Row {
            part: $part,
            names: &[$($names),+],
            when: concat!($($when)?),
            outcome: $outcome,
            how: $how,
            example: $example,
            proof: $proof,
        }),+];
    };
}
use table;

/// All rows.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    [fields::ROWS, blocks::ROWS, tools::ROWS]
        .into_iter()
        .flatten()
}
