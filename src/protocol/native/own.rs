//! What Dagway itself put into a client's history, and no server of the Messages API would take back.
//!
//! The chat lane packs the reasoning of other models into a signature of Dagway's own, and shows their web searches
//! with encrypted contents that are empty. When the session goes on with a model of the native lane, these come along,
//! and a server of the Messages API answers what it has not signed or encrypted itself with a 400, in this turn and all
//! that follow. This file must not know what is packed into them.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::figures::object;
use crate::protocol::json_text;
use crate::protocol::openrouter::chunk::for_each;
use crate::protocol::translate::envelope::PREFIX;

/// What stands in a message that would be empty, which the API refuses.
const NOTHING: &str = r#"{"type":"text","text":"(no content)"}"#;

/// Where such blocks and citations stand in a body, and what stands there instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnBlocks {
    /// The places in bytes, in ascending order, each with what stands there instead.
    pub cuts: Vec<Cut>,
    /// How many thoughts are left out.
    thoughts: usize,
    /// How many web searches are told in words.
    searches: usize,
    /// How many citations are left out.
    citations: usize,
}

/// A place, and what stands there instead.
type Cut = (Range<usize>, Cow<'static, str>);

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    messages: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Block<'a> {
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_use_id: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
}

/// A page that was found, or a citation of it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Page<'a> {
    #[serde(borrow)]
    encrypted_content: Option<&'a RawValue>,
    #[serde(borrow)]
    encrypted_index: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    url: Option<&'a RawValue>,
}

/// Finds them, one block after another: a body may hold millions. What is no history passes, for the other side to judge.
#[must_use]
pub fn own_blocks(body: &str) -> OwnBlocks {
    let mut found = OwnBlocks::default();
    if !may_hold_any(body.as_bytes()) {
        return found;
    }
    let Ok(Body { messages }) = serde_json::from_str(body) else {
        return found;
    };
    let mut searches = HashSet::new();
    each(messages, |message| {
        if holds_pages(message) {
            each(content(message), |block| searches.extend(own_search(block)));
        }
    });
    each(messages, |message| {
        if !searches.is_empty() || may_hold_any(message.get().as_bytes()) {
            found.leave_out(body, content(message), &searches);
        }
    });
    found.cuts.sort_by_key(|(place, _)| place.start);
    found
}

/// The elements of a list, of which each is some JSON value: none can fail.
fn each<'a>(list: Option<&'a RawValue>, each: impl FnMut(&'a RawValue)) {
    let _ = for_each(list, each);
}

/// Whether it is worth a look: few bodies hold any, and to look for the words costs next to nothing.
fn may_hold_any(body: &[u8]) -> bool {
    let is_empty = |at: usize| {
        let behind = body.get(at..).unwrap_or_default();
        let value = [&b"\"encrypted_content\""[..], b"\"encrypted_index\""]
            .iter()
            .find_map(|key| behind.strip_prefix(*key))
            .and_then(|rest| rest.trim_ascii_start().strip_prefix(b":"));
        value.is_some_and(|value| value.trim_ascii_start().starts_with(b"\"\""))
    };
    memmem::find(body, PREFIX.as_bytes()).is_some()
        || memmem::find_iter(body, b"\"encrypted_").any(is_empty)
}

fn content(message: &RawValue) -> Option<&RawValue> {
    object::<Message<'_>>(message)?.content
}

/// The id of a search's call, as it is written, if the block is its result and Dagway showed it.
fn own_search(block: &RawValue) -> Option<&str> {
    if !holds_pages(block) {
        return None;
    }
    let block = object::<Block<'_>>(block)?;
    block.found()?;
    block.tool_use_id.map(RawValue::get)
}

/// Whether it is worth a look for pages that were found.
fn holds_pages(raw: &RawValue) -> bool {
    memmem::find(raw.get().as_bytes(), b"\"encrypted_content\"").is_some()
}

/// What becomes of a block.
enum Fate {
    Stays,
    Goes,
    IsTold(String),
}

impl OwnBlocks {
    /// What the run shall say of it.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let thoughts = match self.thoughts {
            0 => None,
            1 => Some("1 thought of another model was left out of".to_owned()),
            more => Some(format!("{more} thoughts of other models were left out of")),
        };
        let searches = match self.searches {
            0 => None,
            1 => Some("1 web search of another model was told in words in".to_owned()),
            more => Some(format!(
                "{more} web searches of other models were told in words in"
            )),
        };
        let citations = match self.citations {
            0 => None,
            1 => Some("1 citation of another model was left out of".to_owned()),
            more => Some(format!("{more} citations of other models were left out of")),
        };
        let whats = [thoughts, searches, citations].into_iter().flatten();
        whats
            .map(|what| {
                format!(
                    "{what} the history, because this model could not verify them and would refuse the request"
                )
            })
            .collect()
    }

    /// Cuts such blocks out of a message.
    fn leave_out<'a>(
        &mut self,
        body: &str,
        blocks: Option<&'a RawValue>,
        searches: &HashSet<&'a str>,
    ) {
        let mut cutter = Cutter::default();
        each(blocks, |raw| {
            let place = place(body, raw.get());
            let block = object::<Block<'_>>(raw).unwrap_or_default();
            let fate = self.fate(&block, searches);
            let cut = cutter.item(&place, matches!(fate, Fate::Goes));
            self.cuts.extend(cut);
            match fate {
                Fate::Goes => {}
                Fate::Stays => self.leave_out_citations(body, &block),
                Fate::IsTold(text) => self.cuts.push((place, text.into())),
            }
        });
        self.cuts.extend(cutter.finish(NOTHING));
    }

    fn fate(&mut self, block: &Block<'_>, searches: &HashSet<&str>) -> Fate {
        let is_ours = |raw: Option<&RawValue>| raw.is_some_and(is_marked);
        if is_ours(block.signature) || is_ours(block.data) {
            self.thoughts += 1;
            return Fate::Goes;
        }
        if let Some(pages) = block.found() {
            self.searches += 1;
            return told(pages).map_or(Fate::Goes, Fate::IsTold);
        }
        match block.id {
            Some(id) if searches.contains(id.get()) => Fate::Goes,
            _ => Fate::Stays,
        }
    }

    fn leave_out_citations(&mut self, body: &str, block: &Block<'_>) {
        let mut cutter = Cutter::default();
        each(block.citations, |citation| {
            let page = object::<Page<'_>>(citation).unwrap_or_default();
            let is_own = page.encrypted_index.is_some_and(is_no_cipher);
            self.citations += usize::from(is_own);
            self.cuts
                .extend(cutter.item(&place(body, citation.get()), is_own));
        });
        self.cuts.extend(cutter.finish(""));
    }
}

/// Cuts items out of a list as they pass by, with the commas between.
#[derive(Default)]
struct Cutter {
    /// Where the first of those begins that go and are not yet cut.
    from: Option<usize>,
    /// Where the last ends that stays.
    kept: Option<usize>,
    /// Where the last ends.
    end: usize,
}

impl Cutter {
    /// Takes the next item; what is cut is known when one stays.
    fn item(&mut self, place: &Range<usize>, goes: bool) -> Option<Cut> {
        self.end = place.end;
        if goes {
            self.from.get_or_insert(place.start);
            return None;
        }
        self.kept = Some(place.end);
        let from = self.from.take()?;
        Some((from..place.start, "".into()))
    }

    /// The list has ended: puts `nothing` in the place of all items if none stays.
    fn finish(self, nothing: &'static str) -> Option<Cut> {
        let from = self.from?;
        Some(match self.kept {
            Some(kept) => (kept..self.end, "".into()),
            None => (from..self.end, nothing.into()),
        })
    }
}

impl<'a> Block<'a> {
    /// The pages of a search that Dagway showed.
    fn found(&self) -> Option<&'a RawValue> {
        self.tool_use_id?;
        let pages = self.content.filter(|content| holds_pages(content))?;
        let mut is_own = false;
        each(Some(pages), |page| {
            let page = object::<Page<'_>>(page).unwrap_or_default();
            is_own |= page.encrypted_content.is_some_and(is_no_cipher);
        });
        is_own.then_some(pages)
    }
}

/// A text block with the titles and addresses of pages; `None` when they have none.
fn told(pages: &RawValue) -> Option<String> {
    let mut told = String::new();
    each(Some(pages), |page| {
        let page = object::<Page<'_>>(page).unwrap_or_default();
        let said = [page.title, page.url]
            .into_iter()
            .filter_map(|raw| raw.and_then(json_text::body))
            .filter(|said| !said.is_empty())
            .collect::<Vec<_>>()
            .join(" — ");
        if !said.is_empty() {
            told.push_str("\\n");
            told.push_str(&said);
        }
    });
    let is_any = !told.is_empty();
    is_any.then(|| format!(r#"{{"type":"text","text":"[Result of web_search]{told}"}}"#))
}

/// Whether a string is what Dagway signs or encrypts with.
fn is_marked(raw: &RawValue) -> bool {
    let text = raw.get().strip_prefix('"');
    text.is_some_and(|text| text.starts_with(PREFIX))
}

/// Whether a string that should be encrypted is none of Anthropic's.
fn is_no_cipher(raw: &RawValue) -> bool {
    raw.get() == r#""""# || is_marked(raw)
}

/// Where a part of a body stands in it.
fn place(body: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - body.as_ptr().addr();
    start..start + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content with the cuts made, and how much that was.
    fn left(content: &str) -> (String, usize) {
        let around = |content: &str| {
            format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":"hi dgw1."}}, {{"role":"assistant","content":{content}}}]}}"#
            )
        };
        let body = around(content);
        let own = own_blocks(&body);
        let count = own.thoughts + own.searches + own.citations;
        assert_eq!(own.notes().is_empty(), count == 0);
        let mut left = body;
        for (place, instead) in own.cuts.into_iter().rev() {
            left.replace_range(place, &instead);
        }
        serde_json::from_str::<serde_json::Value>(&left).expect("it stays JSON");
        let (head, tail) = (around("|"), "|");
        let (head, tail) = head.split_once(tail).unwrap();
        let left = left.strip_prefix(head).unwrap().strip_suffix(tail).unwrap();
        (left.to_owned(), count)
    }

    #[test]
    fn thoughts_that_dagway_signed_are_cut_out_and_all_else_stays() {
        const OURS: &str = r#"{"type":"thinking","thinking":"x","signature":"dgw1.AAAA"}"#;
        const HIDDEN: &str = r#"{"type":"redacted_thinking","data":"dgw1.BBBB"}"#;
        const THEIRS: &str = r#"{"type":"thinking","thinking":"dgw1.","signature":"ErUB"}"#;
        const CALL: &str =
            r#"{"type":"tool_use","id":"t","name":"n","input":{"signature":"dgw1."}}"#;
        for (content, expected, count) in [
            (format!("[{OURS},{CALL}]"), format!("[{CALL}]"), 1),
            (
                format!("[ {OURS} , {HIDDEN} , {CALL} ]"),
                format!("[ {CALL} ]"),
                2,
            ),
            (format!("[{CALL},{OURS}]"), format!("[{CALL}]"), 1),
            (
                format!("[{OURS},{CALL},{HIDDEN},{THEIRS},{OURS},{OURS}]"),
                format!("[{CALL},{THEIRS}]"),
                4,
            ),
            (format!("[{OURS},{HIDDEN}]"), format!("[{NOTHING}]"), 2),
            (
                format!("[{THEIRS},{CALL}]"),
                format!("[{THEIRS},{CALL}]"),
                0,
            ),
            (
                r#""dgw1. in a text""#.to_owned(),
                r#""dgw1. in a text""#.to_owned(),
                0,
            ),
            ("[7,null]".to_owned(), "[7,null]".to_owned(), 0),
            (
                format!(r#"[["dgw1.","dgw1."],7,{OURS}, {OURS},"dgw1."]"#),
                r#"[["dgw1.","dgw1."],7,"dgw1."]"#.to_owned(),
                2,
            ),
            ("[]".to_owned(), "[]".to_owned(), 0),
        ] {
            assert_eq!(left(&content), (expected, count), "{content}");
        }
    }

    #[test]
    fn what_is_no_history_passes() {
        for body in [
            "dgw1.",
            r#"{"messages":"dgw1."}"#,
            r#"["dgw1."]"#,
            r#"{"encrypted_content":""}"#,
        ] {
            assert_eq!(own_blocks(body), OwnBlocks::default(), "{body}");
        }
    }

    const SEARCH: &str =
        r#"{"type":"server_tool_use","id":"s1","name":"web_search","input":{"query":"q"}}"#;
    const TOLD: &str =
        r#"{"type":"text","text":"[Result of web_search]\nA \"t\" — https://a\nhttps://b"}"#;
    const CITED: &str = r#"{"type":"web_search_result_location","url":"https://a","title":"A","cited_text":"c","encrypted_index":"Eo8B"}"#;

    /// A search's result, with what is encrypted in it.
    fn found(id: &str, encrypted: &str) -> String {
        format!(
            r#"{{"type":"web_search_tool_result","tool_use_id":"{id}","content":[
                {{"type":"web_search_result","title":"A \"t\"","url":"https://a","encrypted_content":{encrypted},"page_age":null}},
                {{"type":"web_search_result","title":"","url":"https://b","encrypted_content":{encrypted}}}]}}"#
        )
    }

    #[test]
    fn searches_that_dagway_showed_are_told_in_words() {
        let theirs = found("s1", r#""EqgB""#);
        for encrypted in [r#""""#, r#""dgw1.AAAA""#] {
            let ours = found("s1", encrypted);
            let bare = r#"{"type":"web_search_tool_result","tool_use_id":"s1","content":[{"encrypted_content":""}]}"#;
            let text = r#"{"type":"text","text":"so"}"#;
            for (content, expected, count) in [
                (
                    format!("[{SEARCH},{ours},{text}]"),
                    format!("[{TOLD},{text}]"),
                    1,
                ),
                (format!("[{SEARCH},{ours}]"), format!("[{TOLD}]"), 1),
                (
                    format!("[{text}, {ours} , {SEARCH}]"),
                    format!("[{text}, {TOLD}]"),
                    1,
                ),
                (format!("[{SEARCH},{bare}]"), format!("[{NOTHING}]"), 1),
                (
                    format!("[{SEARCH},{theirs},{text}]"),
                    format!("[{SEARCH},{theirs},{text}]"),
                    0,
                ),
            ] {
                assert_eq!(left(&content), (expected, count), "{content}");
            }
        }
    }

    #[test]
    fn a_call_goes_with_its_result_in_another_message() {
        let ours = found("s1", r#""""#);
        let other = SEARCH.replace("s1", "s2");
        let body = format!(
            r#"{{"messages":[{{"role":"assistant","content":[{SEARCH},{other}]}},{{"role":"assistant","content":[{ours}]}}]}}"#
        );
        let mut left = body.clone();
        for (place, instead) in own_blocks(&body).cuts.into_iter().rev() {
            left.replace_range(place, &instead);
        }
        let expected = format!(
            r#"{{"messages":[{{"role":"assistant","content":[{other}]}},{{"role":"assistant","content":[{TOLD}]}}]}}"#
        );
        assert_eq!(left, expected);
    }

    #[test]
    fn citations_that_dagway_made_are_cut_out_and_others_stay() {
        let ours = CITED.replace("Eo8B", "");
        let spaced = CITED.replace(r#""encrypted_index":"Eo8B""#, r#""encrypted_index" : "" "#);
        let text =
            |cited: &str| format!(r#"[{{"type":"text","text":"so","citations":[{cited}]}}]"#);
        for (cited, expected, count) in [
            (ours.clone(), String::new(), 1),
            (format!("{ours},{CITED}"), CITED.to_owned(), 1),
            (format!("{CITED}, {spaced}"), CITED.to_owned(), 1),
            (CITED.to_owned(), CITED.to_owned(), 0),
        ] {
            assert_eq!(left(&text(&cited)), (text(&expected), count), "{cited}");
        }
    }

    #[test]
    fn only_what_is_no_cipher_is_worth_a_look() {
        for (body, is_worth) in [
            (r#""encrypted_content":"""#, true),
            ("\"encrypted_index\" :\n \"\"", true),
            (r#""signature":"dgw1.AA""#, true),
            (
                r#""encrypted_content":"EqgB","encrypted_index":"Eo8B""#,
                false,
            ),
            (r#""encrypted_content":null"#, false),
            (r#"\"encrypted_content\":\"\""#, false),
            (r#""encrypted_stdout":"""#, false),
            (r#""encrypted_"#, false),
        ] {
            assert_eq!(may_hold_any(body.as_bytes()), is_worth, "{body}");
        }
    }

    #[test]
    fn what_was_left_out_is_said_with_its_number() {
        let own = OwnBlocks {
            thoughts: 1,
            searches: 2,
            citations: 3,
            ..OwnBlocks::default()
        };
        let notes = own.notes();
        for (note, what) in notes.iter().zip([
            "1 thought of another model was left out of the history",
            "2 web searches of other models were told in words in the history",
            "3 citations of other models were left out of the history",
        ]) {
            assert!(note.starts_with(what), "{note}");
        }
        assert_eq!(notes.len(), 3);
    }
}
