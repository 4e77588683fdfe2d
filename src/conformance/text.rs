//! What is filled into the texts of a case before it is run: its mark, and long repetitions.

/// Stands for the mark of the run of a case, by which the upstream knows whose request it sees.
pub(super) const CASE: &str = "@case";
const REPEAT: &str = "@repeat(";

/// The mark of one run of a case: no other request holds it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mark(String);

/// Makes marks that no earlier process has made.
#[derive(Debug)]
pub(super) struct Marks {
    beginning: String,
    next: usize,
}

impl Marks {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            beginning: format!("case-{seed:016x}-"),
            next: 0,
        }
    }

    pub(super) fn next(&mut self) -> Mark {
        self.next += 1;
        Mark(format!("{}{:05}", self.beginning, self.next))
    }
}

impl Mark {
    /// Finds any mark in a body.
    pub(super) fn find(body: &str) -> Option<Self> {
        let length = "case-".len() + 16 + "-".len() + 5;
        body.match_indices("case-").find_map(|(at, _)| {
            let candidate = body.get(at..at + length)?;
            let digits = candidate.strip_prefix("case-")?;
            let is_mark = digits
                .chars()
                .all(|c| c == '-' || c.is_ascii_digit() || c.is_ascii_hexdigit());
            is_mark.then(|| Self(candidate.to_owned()))
        })
    }

    /// Fills the mark and the repetitions into a text: `@case`, `@repeat(3,ab)`.
    pub(super) fn fill(&self, text: &str) -> String {
        repeated(&text.replace(CASE, &self.0))
    }
}

fn repeated(text: &str) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(REPEAT) {
        filled.push_str(before);
        let arguments = after.split_once(')');
        let parsed = arguments.and_then(|(arguments, tail)| {
            let (count, what) = arguments.split_once(',')?;
            Some((count.parse::<usize>().ok()?, what, tail))
        });
        let Some((count, what, tail)) = parsed else {
            filled.push_str(REPEAT);
            rest = after;
            continue;
        };
        filled.push_str(&what.repeat(count));
        rest = tail;
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_filled_in_and_found_again() {
        let mark = Marks::new(7).next();
        let text = mark.fill(r#"{"text":"in case-of @case!"}"#);
        assert_eq!(Mark::find(&text), Some(mark));
        assert_eq!(Mark::find("a case-study of nothing"), None);
    }

    #[test]
    fn repetitions_are_written_out() {
        assert_eq!(repeated("a@repeat(3,bc)d@repeat(x)"), "abcbcbcd@repeat(x)");
    }
}
