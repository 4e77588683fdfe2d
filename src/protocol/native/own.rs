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

use crate::protocol::json_text;
use crate::protocol::translate::envelope::PREFIX;

/// What stands in a message that would be empty, which the API refuses.
const NOTHING: &str = r#"{"type":"text","text":"(no content)"}"#;

/// Where such blocks and citations stand in a body, and what stands there instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnBlocks {
    /// The places in bytes, in ascending order, each with what stands there instead.
    pub cuts: Vec<(Range<usize>, Cow<'static, str>)>,
    /// How many thoughts are left out.
    thoughts: usize,
    /// How many web searches are told in words.
    searches: usize,
    /// How many citations are left out.
    citations: usize,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    messages: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Vec<&'a RawValue>,
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

/// Finds them. What is no history passes, for the other side to judge.
#[must_use]
pub fn own_blocks(body: &str) -> OwnBlocks {
    let mut found = OwnBlocks::default();
    if !may_hold_any(body.as_bytes()) {
        return found;
    }
    let Ok(Body { messages }) = serde_json::from_str(body) else {
        return found;
    };
    let contents: Vec<Vec<(&RawValue, Block<'_>)>> = messages.into_iter().map(blocks).collect();
    let searches: HashSet<&str> = contents
        .iter()
        .flatten()
        .filter(|(_, block)| block.found().is_some())
        .filter_map(|(_, block)| block.tool_use_id.map(RawValue::get))
        .collect();
    for blocks in &contents {
        found.leave_out(body, blocks, &searches);
    }
    found.cuts.sort_by_key(|(place, _)| place.start);
    found
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

/// The blocks of a message whose content is a list.
fn blocks(message: &RawValue) -> Vec<(&RawValue, Block<'_>)> {
    let message = serde_json::from_str::<Message<'_>>(message.get());
    let content = message.map(|message| message.content).unwrap_or_default();
    let read = content.into_iter().map(|raw| {
        let block = serde_json::from_str(raw.get()).unwrap_or_default();
        (raw, block)
    });
    read.collect()
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
    fn leave_out(
        &mut self,
        body: &str,
        blocks: &[(&RawValue, Block<'_>)],
        searches: &HashSet<&str>,
    ) {
        let mut items = Vec::with_capacity(blocks.len());
        for (raw, block) in blocks {
            let place = place(body, raw.get());
            let fate = self.fate(block, searches);
            items.push((place.clone(), matches!(fate, Fate::Goes)));
            match fate {
                Fate::Goes => {}
                Fate::Stays => self.leave_out_citations(body, block),
                Fate::IsTold(text) => self.cuts.push((place, text.into())),
            }
        }
        self.cut(&items, NOTHING);
    }

    fn fate(&mut self, block: &Block<'_>, searches: &HashSet<&str>) -> Fate {
        let is_ours = |raw: Option<&RawValue>| raw.is_some_and(is_marked);
        if is_ours(block.signature) || is_ours(block.data) {
            self.thoughts += 1;
            return Fate::Goes;
        }
        if let Some(pages) = block.found() {
            self.searches += 1;
            return told(&pages).map_or(Fate::Goes, Fate::IsTold);
        }
        match block.id {
            Some(id) if searches.contains(id.get()) => Fate::Goes,
            _ => Fate::Stays,
        }
    }

    fn leave_out_citations(&mut self, body: &str, block: &Block<'_>) {
        let Some(list) = block.citations else {
            return;
        };
        let Ok(citations) = serde_json::from_str::<Vec<&RawValue>>(list.get()) else {
            return;
        };
        let is_own = |citation: &RawValue| {
            let page = serde_json::from_str::<Page<'_>>(citation.get());
            page.is_ok_and(|page| page.encrypted_index.is_some_and(is_no_cipher))
        };
        let items: Vec<(Range<usize>, bool)> = citations
            .into_iter()
            .map(|citation| (place(body, citation.get()), is_own(citation)))
            .collect();
        self.citations += items.iter().filter(|(_, is_own)| *is_own).count();
        self.cut(&items, "");
    }

    /// Cuts items out of a list, with the commas between; puts `nothing` in the place of all of them.
    fn cut(&mut self, items: &[(Range<usize>, bool)], nothing: &'static str) {
        let (Some((first, _)), Some((last, _))) = (items.first(), items.last()) else {
            return;
        };
        let Some(last_kept) = items.iter().rposition(|(_, goes)| !goes) else {
            self.cuts.push((first.start..last.end, nothing.into()));
            return;
        };
        for pair in items[..=last_kept].windows(2) {
            if pair[0].1 {
                self.cuts
                    .push((pair[0].0.start..pair[1].0.start, "".into()));
            }
        }
        if last_kept + 1 < items.len() {
            self.cuts
                .push((items[last_kept].0.end..last.end, "".into()));
        }
    }
}

impl<'a> Block<'a> {
    /// The pages of a search that Dagway showed.
    fn found(&self) -> Option<Vec<Page<'a>>> {
        self.tool_use_id?;
        let list = self.content?.get();
        let pages = serde_json::from_str::<Vec<Page<'a>>>(list).ok()?;
        let is_own = |page: &Page<'_>| page.encrypted_content.is_some_and(is_no_cipher);
        pages.iter().any(is_own).then_some(pages)
    }
}

/// A text block with the titles and addresses of pages; `None` when they have none.
fn told(pages: &[Page<'_>]) -> Option<String> {
    let mut told = String::new();
    for page in pages {
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
    }
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
