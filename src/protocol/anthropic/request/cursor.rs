//! A reader of JSON text that goes forward once and decodes nothing it is not asked to.
//!
//! `serde_json` cannot peek, so that "a string or a list of blocks" would be scanned twice or its text decoded and escaped again:
//! together twice the cost of the whole request. It is also what gives every error its path without a second reading.
//! It accepts exactly the texts that `serde_json` accepts (a property test holds it to that), nested up to 128 deep.
//! This file must not know what a request is.

use std::borrow::Cow;

use super::invalid::InvalidRequest;
use super::raw::{Raw, RawStr};
use super::scan::{DEEPEST, Scanner};

type Parsed<T> = Result<T, InvalidRequest>;

/// How many items the lists of a request may have in all, of those that are read one by one: a message, a block or a tool
/// takes more memory than its few letters. Anthropic takes 100,000 messages.
const MOST_ITEMS: usize = 200_000;
/// How many fields are told by name.
const MOST_ASIDES: usize = 32;
/// What is told of the name of a field that nobody knows.
const LONGEST_KEY: usize = 64;
/// What stands for the fields that are not told.
const MORE: &str = "…";

/// Keeps the name of a field that nobody knows among others that are told, or that it was one of too many.
pub(super) fn keep_name(names: &mut Vec<String>, key: &str) {
    if names.len() > MOST_ASIDES {
        return;
    }
    let name = if names.len() == MOST_ASIDES {
        MORE.to_owned()
    } else {
        shortened(key)
    };
    if !names.contains(&name) {
        names.push(name);
    }
}

fn shortened(key: &str) -> String {
    key.chars().take(LONGEST_KEY).collect()
}

/// What a value is, as its first byte tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
    /// The end of the text, or no JSON.
    Other,
}

/// A place in a JSON text, with the means to read what comes next.
pub(super) struct Cursor<'a> {
    scan: Scanner<'a>,
    asides: Vec<Cow<'static, str>>,
    /// Items of lists so far.
    items: usize,
}

impl<'a> Cursor<'a> {
    /// Stands before the first value of a text.
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            scan: Scanner::new(text),
            asides: Vec::new(),
            items: 0,
        }
    }

    /// Remembers a field that was understood and that only Anthropic's servers can heed. Each is told once. Names that
    /// clients make up are told as long as there are few; those of this program's own are few.
    pub(super) fn aside(&mut self, field: impl Into<Cow<'static, str>>) {
        let mut field = field.into();
        if self.asides.contains(&field) {
            return;
        }
        if matches!(field, Cow::Owned(_)) && self.asides.len() >= MOST_ASIDES {
            field = Cow::Borrowed(MORE);
            if self.asides.contains(&field) {
                return;
            }
        }
        self.asides.push(field);
    }

    /// Remembers a field of `of` that nobody knows; many are not told one by one.
    pub(super) fn aside_unknown(&mut self, of: &str, key: &str) {
        if self.asides.len() >= MOST_ASIDES {
            return self.aside(MORE);
        }
        self.aside(format!("{of}.{}", shortened(key)));
    }

    /// Steps over a field of `of` that nobody knows, and remembers it if it says anything.
    pub(super) fn unknown(&mut self, of: &str, key: &str) -> Parsed<()> {
        if self.nullable(Self::skip)?.is_some() {
            self.aside_unknown(of, key);
        }
        Ok(())
    }

    /// Takes what was set aside so far.
    pub(super) fn take_asides(&mut self) -> Vec<Cow<'static, str>> {
        std::mem::take(&mut self.asides)
    }

    /// Says what comes next.
    pub(super) fn kind(&mut self) -> Kind {
        self.scan.space();
        match self.scan.byte() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => Kind::Other,
        }
    }

    /// Reads an object; `field` must read the value of each key it is given. Faults carry the key.
    pub(super) fn object(
        &mut self,
        mut field: impl FnMut(&mut Self, &Cow<'a, str>) -> Parsed<()>,
    ) -> Parsed<()> {
        if self.kind() != Kind::Object {
            return Err(self.mismatch("Input should be a valid dictionary"));
        }
        self.open()?;
        if self.closes(b'}') {
            return Ok(());
        }
        loop {
            let key = self.key()?;
            field(self, &key).map_err(|fault| fault.within(&key))?;
            if !self.continues(b'}')? {
                return Ok(());
            }
        }
    }

    /// Reads an array; `item` must read each value. Faults carry the index.
    pub(super) fn array(
        &mut self,
        mut item: impl FnMut(&mut Self, usize) -> Parsed<()>,
    ) -> Parsed<()> {
        if self.kind() != Kind::Array {
            return Err(self.mismatch("Input should be a valid list"));
        }
        self.open()?;
        if self.closes(b']') {
            return Ok(());
        }
        for index in 0.. {
            self.items += 1;
            if self.items > MOST_ITEMS {
                return Err(InvalidRequest::here(format!(
                    "the request has more than {MOST_ITEMS} messages, blocks, tools and the like; send fewer of them"
                )));
            }
            item(self, index).map_err(|fault| fault.within(index))?;
            if !self.continues(b']')? {
                break;
            }
        }
        Ok(())
    }

    /// Reads an array into a list.
    pub(super) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        self.array(|cursor, _| {
            items.push(item(cursor)?);
            Ok(())
        })?;
        Ok(items)
    }

    /// Reads `null` as nothing and everything else as `value` says.
    pub(super) fn nullable<T>(
        &mut self,
        value: impl FnOnce(&mut Self) -> Parsed<T>,
    ) -> Parsed<Option<T>> {
        if self.kind() == Kind::Null {
            self.skip()?;
            return Ok(None);
        }
        value(self).map(Some)
    }

    /// Reads a string and leaves it escaped.
    pub(super) fn string(&mut self) -> Parsed<RawStr<'a>> {
        if self.kind() != Kind::String {
            return Err(self.mismatch("Input should be a valid string"));
        }
        let start = self.scan.at + 1;
        self.step(Scanner::skip_string)?;
        Ok(RawStr::checked(self.scan.slice(start, self.scan.at - 1)))
    }

    /// Reads a string and decodes it.
    pub(super) fn text(&mut self) -> Parsed<Cow<'a, str>> {
        self.string().map(RawStr::decode)
    }

    /// Reads a whole number that is not negative.
    pub(super) fn integer(&mut self) -> Parsed<u64> {
        let number = self.number_text("Input should be a valid integer")?;
        if let Ok(number) = number.parse() {
            return Ok(number);
        }
        match number.parse::<f64>() {
            Ok(negative) if negative < 0.0 => Err(InvalidRequest::here(
                "Input should be greater than or equal to 0",
            )),
            // JSON knows one kind of number: 1024.0 and 1e3 are whole.
            Ok(whole) if whole.fract() == 0.0 && whole < 9_007_199_254_740_992.0 => {
                Ok(whole as u64)
            }
            _ => Err(InvalidRequest::here("Input should be a valid integer")),
        }
    }

    /// Reads a number.
    pub(super) fn number(&mut self) -> Parsed<f64> {
        let number = self.number_text("Input should be a valid number")?;
        match number.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(InvalidRequest::here("Input should be a finite number")),
        }
    }

    /// Reads `true` or `false`.
    pub(super) fn boolean(&mut self) -> Parsed<bool> {
        if self.kind() != Kind::Bool {
            return Err(self.mismatch("Input should be a valid boolean"));
        }
        let yes = self.scan.byte() == Some(b't');
        self.skip()?;
        Ok(yes)
    }

    /// Reads any value and leaves it as it is.
    pub(super) fn raw(&mut self) -> Parsed<Raw<'a>> {
        self.scan.space();
        let start = self.scan.at;
        self.skip()?;
        Ok(Raw::checked(self.scan.slice(start, self.scan.at)))
    }

    /// Reads a value as `read` does and leaves it as it is.
    pub(super) fn raw_with(
        &mut self,
        read: impl FnOnce(&mut Self) -> Parsed<()>,
    ) -> Parsed<Raw<'a>> {
        self.scan.space();
        let start = self.scan.at;
        read(self)?;
        Ok(Raw::checked(self.scan.slice(start, self.scan.at)))
    }

    /// Reads an object and leaves it as it is.
    pub(super) fn raw_object(&mut self) -> Parsed<Raw<'a>> {
        if self.kind() != Kind::Object {
            return Err(self.mismatch("Input should be a valid dictionary"));
        }
        self.raw()
    }

    /// Steps over any value, checking it.
    pub(super) fn skip(&mut self) -> Parsed<()> {
        self.step(Scanner::skip)
    }

    /// Proves that nothing but white space is left.
    pub(super) fn finish(mut self) -> Parsed<()> {
        self.scan.space();
        match self.scan.byte() {
            None => Ok(()),
            Some(_) => Err(self.scan.syntax("something follows the end of the value")),
        }
    }

    fn open(&mut self) -> Parsed<()> {
        self.scan.depth += 1;
        if self.scan.depth > DEEPEST {
            return Err(self.scan.syntax("it is nested more than 128 deep"));
        }
        self.scan.at += 1;
        Ok(())
    }

    fn closes(&mut self, end: u8) -> bool {
        self.scan.space();
        let closed = self.scan.byte() == Some(end);
        if closed {
            self.scan.at += 1;
            self.scan.depth -= 1;
        }
        closed
    }

    fn continues(&mut self, end: u8) -> Parsed<bool> {
        if self.closes(end) {
            return Ok(false);
        }
        if self.scan.byte() == Some(b',') {
            self.scan.at += 1;
            return Ok(true);
        }
        Err(self.scan.syntax(if end == b'}' {
            "expected `,` or `}`"
        } else {
            "expected `,` or `]`"
        }))
    }

    fn key(&mut self) -> Parsed<Cow<'a, str>> {
        self.scan.space();
        let start = self.scan.at + 1;
        self.step(Scanner::skip_key_string)?;
        let key = RawStr::checked(self.scan.slice(start, self.scan.at - 1)).decode();
        self.step(Scanner::skip_colon)?;
        Ok(key)
    }

    fn number_text(&mut self, wanted: &str) -> Parsed<&'a str> {
        if self.kind() != Kind::Number {
            return Err(self.mismatch(wanted));
        }
        let start = self.scan.at;
        self.step(Scanner::skip_number)?;
        Ok(self.scan.slice(start, self.scan.at))
    }

    #[inline]
    fn step(
        &mut self,
        step: impl FnOnce(&mut Scanner<'a>) -> Result<(), &'static str>,
    ) -> Parsed<()> {
        step(&mut self.scan).map_err(|what| self.scan.syntax(what))
    }

    /// A value of another kind than was asked for, unless it is no value at all.
    #[cold]
    fn mismatch(&mut self, wanted: &str) -> InvalidRequest {
        match self.skip() {
            Ok(()) => InvalidRequest::here(wanted),
            Err(syntax) => syntax,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn accepts(text: &str) -> bool {
        let mut cursor = Cursor::new(text);
        cursor.skip().and_then(|()| cursor.finish()).is_ok()
    }

    #[test]
    fn it_agrees_with_serde_json_on_the_corners() {
        for text in [
            "",
            " ",
            "{}",
            "[]",
            " { } ",
            "[1,]",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "[,]",
            "01",
            "-",
            "-0",
            "1.",
            "1.5e",
            "1e+5",
            ".5",
            "+1",
            "tru",
            "true",
            "nulll",
            "\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12G4\"",
            "\"\\ud83d\"",
            "\"a\tb\"",
            "\"a\u{7f}b\"",
            "{\"a\" : [ {} , [ ] ] }",
            "[1 2]",
            "{\"a\" 1}",
            "{a:1}",
            "[}",
            "{]",
            "{\"a\":1]",
            "1 1",
            "\u{feff}{}",
            "NaN",
            "\"é😀\"",
            "\"12345678\u{1}\"",
            "\"1234567\\",
            "[[[[]]]]",
            "[\"\"]",
            "-01",
            "1E5",
            "--1",
            "2.e3",
        ] {
            assert_eq!(
                accepts(text),
                serde_json::from_str::<&RawValue>(text).is_ok(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn nesting_is_bounded_however_it_is_read() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(accepts(&deep(128)));
        assert!(!accepts(&deep(130)));
        let filled = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let object = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert!(accepts(&filled(128)) && !accepts(&filled(129)));
        assert!(accepts(&object(128)) && !accepts(&object(129)));
        fn read(cursor: &mut Cursor<'_>, levels: usize) -> Parsed<()> {
            match (levels, cursor.kind()) {
                (1.., Kind::Array) => cursor.array(|cursor, _| read(cursor, levels - 1)),
                (1.., Kind::Object) => cursor.object(|cursor, _| read(cursor, levels - 1)),
                _ => cursor.skip(),
            }
        }
        for levels in [1, 100, 128, 200] {
            for nested in [filled, object] {
                assert!(
                    read(&mut Cursor::new(&nested(128)), levels).is_ok(),
                    "{levels}"
                );
                assert!(
                    read(&mut Cursor::new(&nested(129)), levels).is_err(),
                    "{levels}"
                );
            }
        }
        let mut wide = Cursor::new("[[[]],[[1]],{},{\"a\":{}}]");
        read(&mut wide, 9).unwrap();
        assert_eq!(wide.scan.depth, 0, "what was closed does not count");
        assert!(!accepts(&"[".repeat(100_000)));
        assert!(!accepts(&"{\"a\":".repeat(100_000)));
    }

    #[test]
    fn a_syntax_error_names_line_and_column() {
        let mut cursor = Cursor::new("{\"a\":\n  x}");
        let fault = cursor.skip().unwrap_err();
        assert_eq!(
            fault.message,
            "The request body is not valid JSON: expected a value at line 2 column 3"
        );
    }

    #[test]
    fn names_are_kept_once_as_many_as_are_told_and_no_longer() {
        let mut names = Vec::new();
        for number in 0..1000 {
            for _ in 0..2 {
                keep_name(&mut names, &format!("{number}{}", "é".repeat(100)));
            }
        }
        assert_eq!(names.len(), MOST_ASIDES + 1);
        assert!(names[0].starts_with('0') && names[31].starts_with("31"));
        assert_eq!(names[32], MORE);
        assert!(names.iter().all(|name| name.chars().count() <= LONGEST_KEY));
    }

    #[test]
    fn escaped_keys_are_the_same_keys() {
        let mut cursor = Cursor::new(r#"{"m\u006fdel":1}"#);
        let mut keys = Vec::new();
        cursor
            .object(|cursor, key| {
                keys.push(key.to_string());
                cursor.skip()
            })
            .unwrap();
        assert_eq!(keys, ["model"]);
    }

    #[test]
    fn whole_numbers_may_be_written_as_floats() {
        for (text, number) in [
            ("0", Some(0)),
            ("1024.0", Some(1024)),
            ("1e3", Some(1000)),
            ("1.5", None),
            ("-1", None),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("9007199254740991.0", Some(9_007_199_254_740_991)),
            ("9007199254740992.0", None),
            ("-0", Some(0)),
            ("1e300", None),
            ("\"5\"", None),
            ("true", None),
        ] {
            assert_eq!(Cursor::new(text).integer().ok(), number, "{text}");
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|pairs| pairs.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    #[test]
    fn a_string_ends_where_it_ends_however_long_it_is() {
        for plain in 0..700 {
            let plain = "a".repeat(plain);
            for (end, is_json) in [
                (r#"","b":1"#, true),
                (r#"\"","b":1"#, true),
                (r#"\\","b":1"#, true),
                (r#"\u00e9","b":1"#, true),
                ("\u{1}\"", false),
                (r"\x", false),
                (r"\", false),
                ("", false),
            ] {
                let text = format!(r#"{{"k":"{plain}{end}}}"#);
                assert_eq!(accepts(&text), is_json, "{text}");
                assert_eq!(serde_json::from_str::<&RawValue>(&text).is_ok(), is_json);
            }
        }
    }

    /// Something between the quotes of a string: a run of letters as long as blocks are, an escape, or what is none.
    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => (0..300_usize).prop_map(|length| "x".repeat(length)),
            4 => "(é|😀|[ -!#-\\[\\]-~]){0,70}",
            4 => r#"\\["\\/bfnrt]|\\u[0-9a-f]{4}"#,
            1 => r#"\\[u"x]?|\u{1}|""#,
        ]
    }

    proptest! {
        #[test]
        fn long_strings_are_accepted_as_serde_json_accepts_them(pieces in prop::collection::vec(piece(), 0..12)) {
            let text = format!("[\"{}\",0]", pieces.concat());
            prop_assert_eq!(accepts(&text), serde_json::from_str::<&RawValue>(&text).is_ok(), "{}", text);
        }

        #[test]
        fn every_json_text_is_accepted_whole(value in json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let mut cursor = Cursor::new(&text);
            prop_assert_eq!(cursor.raw().unwrap().as_str(), &text);
            cursor.finish().unwrap();
        }

        #[test]
        fn it_accepts_what_serde_json_accepts(value in json(), at in any::<prop::sample::Index>(), byte in "[ -~\u{1}\u{9f}]") {
            let mut text = serde_json::to_string(&value).unwrap();
            let spots: Vec<_> = text.char_indices().map(|(spot, _)| spot).collect();
            let spot = *at.get(&spots);
            text.remove(spot);
            text.insert_str(spot, &byte);
            prop_assert_eq!(accepts(&text), serde_json::from_str::<&RawValue>(&text).is_ok(), "{}", text);
        }

        #[test]
        fn strings_are_read_as_serde_json_reads_them(text: String) {
            let quoted = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(Cursor::new(&quoted).text().unwrap(), text);
        }
    }
}
