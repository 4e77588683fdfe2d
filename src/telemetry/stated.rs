//! The facts stated of a run: the last value of each name, in the order of their first statement.
//!
//! There are a few dozen, most are stated once, and many are asked for at the end. A hint for each of 64 hashes of names,
//! at hand without an allocation, answers most of that by one comparison. This file must not know what a name means.

use crate::events::FactValue;

/// The facts of one run.
#[derive(Debug)]
pub(super) struct StatedFacts {
    list: Vec<(&'static str, Option<FactValue>)>,
    /// For each hash, 0 while no name with it was stated; else one more than the place where one of them may be.
    hints: [u8; 64],
}

impl StatedFacts {
    pub(super) fn new() -> Self {
        Self {
            // As many as are stated before an answer begins: a thousand may be open.
            list: Vec::with_capacity(16),
            hints: [0; 64],
        }
    }

    /// The last value stated under this name.
    #[inline]
    pub(super) fn get(&self, name: &str) -> Option<&FactValue> {
        let place = self.place(name, hash(name))?;
        self.list.get(place)?.1.as_ref()
    }

    /// In the order of their first statement.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &FactValue)> {
        let stated = self.list.iter();
        stated.filter_map(|(name, value)| Some((*name, value.as_ref()?)))
    }

    /// How many there are at most.
    pub(super) const fn most(&self) -> usize {
        self.list.len()
    }

    /// Takes in a statement; it replaces an earlier one of this name. `None`: there is no longer any.
    #[inline]
    pub(super) fn state(&mut self, name: &'static str, value: Option<FactValue>) {
        let hash = hash(name);
        let place = self.place(name, hash);
        if let Some((_, stated)) = place.and_then(|place| self.list.get_mut(place)) {
            *stated = value;
            return;
        }
        self.list.push((name, value));
        // A wrong hint is as good as a right one of another name: both lead to a search.
        self.hints[hash] = u8::try_from(self.list.len()).unwrap_or(u8::MAX);
    }

    #[inline]
    fn place(&self, name: &str, hash: usize) -> Option<usize> {
        let hinted = usize::from(self.hints[hash]).checked_sub(1)?;
        match self.list.get(hinted) {
            Some((stated, _)) if *stated == name => Some(hinted),
            _ => self.list.iter().position(|(stated, _)| *stated == name),
        }
    }
}

/// One of 64, of the length of a name and its end, in which names differ most.
#[inline]
fn hash(name: &str) -> usize {
    let end = name.as_bytes().last_chunk::<8>();
    let end = end.map_or(0, |end| u64::from_le_bytes(*end));
    let mixed = (end ^ name.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 58) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_name_wins_and_its_first_place_stays() {
        // So many that hashes collide and hints overflow.
        let names: Vec<String> = (0..400).map(|index| format!("name.{index}")).collect();
        let names: Vec<&'static str> = names.into_iter().map(|name| &*name.leak()).collect();
        let mut facts = StatedFacts::new();
        for value in 0..3_i64 {
            for name in names.iter().chain(&["", "a", "b", "ab", "é"]) {
                facts.state(name, Some(FactValue::Int(value)));
            }
        }
        assert_eq!(facts.iter().count(), names.len() + 5);
        for (name, (stated, _)) in names.iter().zip(facts.iter()) {
            assert_eq!(*name, stated);
            assert_eq!(facts.get(name), Some(&FactValue::Int(2)));
        }
        facts.state(names[7], None);
        facts.state("never.stated", None);
        assert_eq!(facts.get(names[7]), None);
        assert_eq!(facts.iter().count(), names.len() + 4);
        facts.state(names[7], Some(FactValue::Int(5)));
        assert_eq!(facts.iter().nth(7), Some((names[7], &FactValue::Int(5))));
        assert_eq!(facts.get("name.400"), None);
        assert_eq!(facts.get("ba"), None);
    }
}
