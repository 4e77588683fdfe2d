//! A table of a workflow file while it is read: each value by itself, so that each wrong one is a fault of its own.

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::report::{Report, suggestion};
use super::{Name, Span};

/// The keys of a table, each with a right value.
pub(super) type Keys = &'static [(&'static str, &'static str)];

/// A table of the file while it is read.
pub(super) struct Table<'a, 'r, 'f> {
    pub(super) whose: &'a str,
    entries: &'a DeTable<'a>,
    span: Span,
    keys: Keys,
    pub(super) report: &'r mut Report<'f>,
}

impl<'a, 'r, 'f> Table<'a, 'r, 'f> {
    /// Begins to read; other keys than `keys` are faults.
    pub(super) fn new(
        whose: &'a str,
        entries: &Spanned<&'a DeTable<'a>>,
        keys: Keys,
        report: &'r mut Report<'f>,
    ) -> Self {
        let known = || keys.iter().map(|(key, _)| *key);
        for key in entries.get_ref().keys() {
            let written = key.get_ref();
            if known().all(|known| known != written) {
                let cure = suggestion(written, known());
                let wrong = format!("{whose} has the unknown key `{written}`: {cure}");
                report.add(&key.span(), wrong);
            }
        }
        Self {
            whose,
            span: entries.span(),
            entries: entries.get_ref(),
            keys,
            report,
        }
    }

    /// Reports that `key` is missing or empty, if it is.
    pub(super) fn demand(&mut self, key: &str) {
        let value = self.entries.get(key);
        if value.is_none_or(|value| value.get_ref().as_str() == Some("")) {
            let cure = self.example(key);
            self.report(&format!("has no `{key}`: {cure}"));
        }
    }

    /// Reports that something is wrong with the whole table.
    pub(super) fn report(&mut self, wrong: &str) {
        let whose = self.whose;
        self.report.add(&self.span, format!("{whose} {wrong}"));
    }

    /// Reads the value of `key`, if it is there and of the right form.
    pub(super) fn get<T: Deserialize<'a>>(&mut self, key: &str) -> Option<T> {
        let value = self.entries.get(key)?;
        let read = T::deserialize(ValueDeserializer::from(value.clone()));
        read.inspect_err(|_| self.report_form(key, value)).ok()
    }

    /// Reads the text of `key` by `parse`, which gives nothing for one of the wrong form.
    pub(super) fn parse<T>(&mut self, key: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let value = self.entries.get(key)?;
        let read = value.get_ref().as_str().and_then(parse);
        if read.is_none() {
            self.report_form(key, value);
        }
        read
    }

    /// The table under `key`, if it is there and is one.
    pub(super) fn table(&mut self, key: &str) -> Option<Spanned<&'a DeTable<'a>>> {
        let value = self.entries.get(key)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.report_form(key, value);
        }
        Some(Spanned::new(value.span(), table?))
    }

    /// Reads a list of step names, none of which may stand there twice.
    pub(super) fn names(&mut self, key: &str) -> Vec<Name> {
        let mut names: Vec<Name> = Vec::new();
        for name in self.get::<Vec<Name>>(key).unwrap_or_default() {
            let whose = self.whose;
            if names
                .iter()
                .any(|earlier| earlier.get_ref() == name.get_ref())
            {
                let twice = format!(
                    "{whose} names `{}` twice in `{key}`: once is enough",
                    name.get_ref()
                );
                self.report.add(&name.span(), twice);
            } else {
                names.push(name);
            }
        }
        names
    }

    fn report_form(&mut self, key: &str, value: &Spanned<DeValue<'_>>) {
        let (whose, cure) = (self.whose, self.example(key));
        let wrong = format!("{whose} says `{key}` in a way that cannot be read: {cure}");
        self.report.add(&value.span(), wrong);
    }

    fn example(&self, key: &str) -> String {
        let right = self.keys.iter().find(|(known, _)| *known == key);
        let right = right.map_or("…", |(_, right)| right);
        format!("write {key} = {right} or the like")
    }
}
