//! The rows against the code: each example has the outcome that its row states, and all that is read has a row.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Outcome, Part, Row, rows, table};
use crate::protocol::anthropic::request::{InvalidRequest, Request};
use crate::protocol::translate::dialect::Dialect;
use crate::protocol::translate::model::{Target, resolve};
use crate::protocol::translate::{Built, Routing, build_request, convert_messages, convert_tools};

const SMALLEST: [(&str, &str); 3] = [
    ("model", r#""openai/gpt-5""#),
    ("max_tokens", "50000"),
    ("messages", r#"[{"role":"user","content":"hi"}]"#),
];

/// The body of an example: its own fields as they are written, and the compulsory ones that it leaves out.
fn body(example: &str) -> String {
    let own: Map<String, Value> = serde_json::from_str(example)
        .unwrap_or_else(|error| panic!("{example} is no object: {error}"));
    let mut fields: Vec<String> = SMALLEST
        .iter()
        .filter(|(name, _)| !own.contains_key(*name))
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    let inside = example
        .strip_prefix('{')
        .unwrap()
        .strip_suffix('}')
        .unwrap();
    if !own.is_empty() {
        fields.push(inside.to_owned());
    }
    format!("{{{}}}", fields.join(","))
}

/// All that happens to a request between the client and OpenRouter.
fn translated(body: &str) -> Result<Built, InvalidRequest> {
    translated_to(body, Dialect::OPENROUTER)
}

fn translated_to(body: &str, dialect: Dialect) -> Result<Built, InvalidRequest> {
    let request = Request::parse(body)?;
    let known = std::collections::BTreeMap::new();
    let target = Target::new(&resolve(&request.model, &known)?, None);
    let target = Target { dialect, ..target };
    let models = request.fallbacks.iter().map(|model| resolve(model, &known));
    let models = models.collect::<Result<Vec<_>, _>>()?;
    let session = request.session_id();
    let user = request.end_user();
    let routing = Routing {
        session_id: session.as_deref(),
        user: user.as_deref(),
        models: &models,
        ..Routing::default()
    };
    let messages = convert_messages(&request)?;
    let tools = convert_tools(&request)?;
    build_request(&request, &messages, &tools, &target, &routing)
}

/// Why a row is wrong about an example.
fn broken(row: &Row, example: &str, proof: &str) -> Option<String> {
    let built = match (translated(&body(example)), row.outcome) {
        (Err(error), Outcome::Refused) => {
            return (!error.to_string().contains(proof)).then(|| error.to_string());
        }
        (Err(error), _) => return Some(format!("refused: {error}")),
        (Ok(_), Outcome::Refused) => return Some("it is not refused".to_owned()),
        (Ok(built), _) => built,
    };
    let sent = String::from_utf8(built.body).unwrap();
    let is_json = serde_json::from_str::<Value>(&sent).is_ok();
    let notes: Vec<&str> = built.notes.iter().map(super::super::Note::as_str).collect();
    let holds = match (row.outcome, proof.strip_prefix('!')) {
        (Outcome::Carried, _) => {
            example.contains(proof) && sent.contains(proof) && notes.is_empty()
        }
        (Outcome::Degraded, _) => notes.iter().any(|note| note.contains(proof)),
        (_, Some(absent)) => example.contains(absent) && !sent.contains(absent),
        (_, None) => sent.contains(proof),
    };
    (!holds || !is_json).then(|| format!("sent {sent}\nwith {notes:?}"))
}

#[test]
fn every_row_is_true_of_each_of_its_names() {
    let mut faults = Vec::new();
    for row in rows() {
        for name in row.names {
            let example = row.example.replace('$', name);
            let proof = row.proof.replace('$', name);
            if let Some(fault) = broken(row, &example, &proof) {
                faults.push(format!(
                    "{name} is not {:?} as {proof:?} of {example}:\n{fault}",
                    row.outcome
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn a_plain_server_is_sent_the_same_or_the_run_says_what_was_left_out() {
    let mut faults = Vec::new();
    for row in rows() {
        for name in row.names {
            let example = row.example.replace('$', name);
            let proof = row.proof.replace('$', name);
            let is_said_upstream = matches!(row.outcome, Outcome::Carried | Outcome::Translated);
            if !is_said_upstream || proof.starts_with('!') {
                continue;
            }
            // `session_id` only keeps a conversation at one host, which a plain server is.
            let proof = match *name {
                "metadata" => "\"user\":\"",
                _ => &proof,
            };
            match translated_to(&body(&example), Dialect::PLAIN) {
                Ok(built) => {
                    let sent = String::from_utf8(built.body).unwrap();
                    if !sent.contains(proof) && built.notes.is_empty() {
                        faults.push(format!("{name}: no {proof} and no note:\n{sent}"));
                    }
                }
                Err(error) => faults.push(format!("{name}: {error}")),
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    let simple = translated_to(&body("{}"), Dialect::PLAIN).unwrap();
    assert!(simple.notes.is_empty(), "{:?}", simple.notes);
}

#[test]
fn the_documentation_shows_these_rows() {
    let shown = include_str!("../coverage.md");
    let table_begins = shown.find("## ").unwrap_or(shown.len());
    let (_, shown) = shown.split_at(table_begins);
    assert!(
        shown == table(),
        "coverage.md should end with\n\n{}",
        table()
    );
}

#[test]
fn an_example_that_is_false_is_found() {
    let field = |name: &str| *rows().find(|row| row.names.contains(&name)).unwrap();
    let holds = |row: &Row, proof: &str| broken(row, row.example, proof).is_none();
    let system = field("system");
    assert!(holds(&system, system.proof));
    assert!(!holds(&system, "Be unkind."));
    for outcome in [Outcome::Degraded, Outcome::Refused] {
        assert!(!holds(&Row { outcome, ..system }, system.proof));
    }
    let refused = field("mcp_servers");
    let outcome = Outcome::Degraded;
    assert!(!holds(&Row { outcome, ..refused }, refused.proof));
}

fn named(part: Part) -> BTreeSet<&'static str> {
    let rows = rows().filter(|row| row.part == part);
    rows.flat_map(|row| row.names.iter().copied()).collect()
}

/// The words in quotes of a source that look like names on the wire, between two marks.
fn words<'s>(source: &'s str, from: &str, to: &str) -> BTreeSet<&'s str> {
    let (_, rest) = source
        .split_once(from)
        .unwrap_or_else(|| panic!("no {from:?}"));
    let (region, _) = rest.split_once(to).unwrap_or_else(|| panic!("no {to:?}"));
    let mut words = BTreeSet::new();
    for line in region.lines().map(str::trim) {
        let pattern = line.split_once("=>").map_or(line, |(pattern, _)| pattern);
        if !line.starts_with(['"', '|', '(']) {
            continue;
        }
        let quoted = pattern.split('"').skip(1).step_by(2);
        let is_name = |word: &&str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        words.extend(quoted.filter(is_name));
    }
    words
}

fn missing<'s>(read: &BTreeSet<&'s str>, part: Part) -> Vec<&'s str> {
    let named = named(part);
    let lacking = read.iter().filter(|word| !named.contains(*word));
    lacking.copied().collect()
}

const BODY: &str = include_str!("../../anthropic/request/body.rs");
const BLOCK: &str = include_str!("../../anthropic/request/block.rs");
const TOOL: &str = include_str!("../../anthropic/request/tool.rs");
const OPTIONS: &str = include_str!("../../anthropic/request/options.rs");
const SOURCE: &str = include_str!("../../anthropic/request/source.rs");
const EDITS: &str = include_str!("../../anthropic/request/edits.rs");
const MESSAGE: &str = include_str!("../../anthropic/request/message.rs");

#[test]
fn whatever_the_parser_reads_has_a_row() {
    for (source, from, to, part, least) in [
        (
            BODY,
            "fn field(",
            "/// Which of the compulsory",
            Part::Field,
            20,
        ),
        (BODY, "const SET_ASIDE", "];", Part::Field, 8),
        (BLOCK, "fn into_block(", "fn needed", Part::Block, 16),
        (BLOCK, "const RESULTS", "];", Part::Block, 8),
        (
            SOURCE,
            "match kind.as_ref() {\n            \"base64\"",
            "other =>",
            Part::Source,
            4,
        ),
        (TOOL, "let mode = match", "other =>", Part::Choice, 4),
        (
            OPTIONS,
            "let thinking = match",
            "other =>",
            Part::Thinking,
            4,
        ),
        (
            OPTIONS,
            "impl<'a> OutputConfig",
            "Ok(config)",
            Part::Output,
            3,
        ),
        (EDITS, "Ok(match kind", "_ =>", Part::Edit, 3),
        (MESSAGE, "const ALL", "];", Part::Message, 3),
    ] {
        let read = words(source, from, to);
        assert!(read.len() >= least, "{from} {read:?}");
        let missing = missing(&read, part);
        assert!(missing.is_empty(), "{part:?} without a row: {missing:?}");
    }
}

#[test]
fn a_refusal_lists_the_blocks_that_have_a_row() {
    let expected = crate::protocol::anthropic::request::EXPECTED_BLOCKS;
    let listed: BTreeSet<&str> = expected.trim_matches('\'').split("', '").collect();
    assert_eq!(missing(&listed, Part::Block), [""; 0]);
    let blocks = named(Part::Block);
    let unlisted: Vec<_> = blocks
        .iter()
        .filter(|name| !name.contains([' ', '.']) && !listed.contains(*name))
        .collect();
    assert_eq!(unlisted, [&"hologram"]);
}

/// The types that the official SDKs know, the beta ones included.
const SDK_TOOLS: &str = "custom bash_20241022 bash_20250124 code_execution_20250522 code_execution_20250825 \
    code_execution_20260120 code_execution_20260521 browser_toolset_20260801 computer_20241022 memory_20250818 \
    computer_20250124 text_editor_20241022 computer_20251124 computer_toolset_20260801 text_editor_20250124 \
    text_editor_20250429 text_editor_20250728 web_search_20250305 web_fetch_20250910 web_search_20260209 \
    web_fetch_20260209 web_fetch_20260309 web_search_20260318 web_fetch_20260318 advisor_20260301 \
    tool_search_tool_bm25_20251119 tool_search_tool_bm25 tool_search_tool_regex_20251119 tool_search_tool_regex \
    mcp_toolset";
const SDK_FIELDS: &str = "max_tokens messages model cache_control container diagnostics inference_geo metadata \
    output_config service_tier speed stop_sequences system thinking tool_choice tools user_profile_id workspace_id \
    stream billing_policy compaction context_management fallback_credit_token fallbacks mcp_servers thread betas \
    temperature top_p top_k output_format";
const SDK_BLOCKS: &str = "text image document search_result thinking redacted_thinking tool_use tool_result \
    server_tool_use web_search_tool_result web_fetch_tool_result code_execution_tool_result \
    bash_code_execution_tool_result text_editor_code_execution_tool_result tool_search_tool_result container_upload \
    advisor_tool_result mcp_tool_use mcp_tool_result compaction tool_addition tool_removal mcp_tool_listing fallback \
    tool_reference browser_state";

#[test]
fn whatever_the_sdks_can_send_has_a_row() {
    for (known, part) in [
        (SDK_TOOLS, Part::Tool),
        (SDK_FIELDS, Part::Field),
        (SDK_BLOCKS, Part::Block),
    ] {
        let known: BTreeSet<&str> = known.split_whitespace().collect();
        let missing = missing(&known, part);
        assert!(missing.is_empty(), "{part:?} without a row: {missing:?}");
    }
}
