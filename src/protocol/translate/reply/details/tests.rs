//! Entries as upstreams send them: in pieces, out of order, signed late.

use serde_json::json;

use super::*;
use crate::protocol::json_text;
use crate::protocol::translate::envelope::{Restored, Sent, Unpacked, unpack};

fn merged(pieces: &[&str]) -> Details {
    let mut details = Details::default();
    merge(&mut details, pieces);
    details
}

fn merge(details: &mut Details, pieces: &[&str]) {
    for piece in pieces {
        let piece: ReasoningPiece<'_> = serde_json::from_str(piece).unwrap();
        let text = piece
            .text
            .or(piece.summary)
            .and_then(json_text::body)
            .unwrap_or_default();
        details.merge(&piece, text);
    }
}

fn restored(signature: &str, thinking: &str) -> Restored {
    match unpack(signature) {
        Unpacked::Details(envelope) => envelope.restore(thinking).unwrap(),
        other => panic!("{other:?}"),
    }
}

const CLAUDE_TEXT: &str =
    r#"{"type":"reasoning.text","text":"abc","format":"anthropic-claude-v1","index":0}"#;
const CLAUDE_SIGNATURE: &str =
    r#"{"type":"reasoning.text","signature":"c2ln","format":"anthropic-claude-v1","index":0}"#;

#[test]
fn a_signature_joins_its_text_and_travels_bare() {
    let mut details = merged(&[CLAUDE_TEXT, CLAUDE_SIGNATURE]);
    assert_eq!(
        details.seal("anthropic/claude", "abc".into(), String::new()),
        "c2ln"
    );
    assert!(!details.has_unsent());
}

#[test]
fn a_signed_text_that_is_not_shown_travels_in_an_envelope() {
    let mut details = merged(&[CLAUDE_TEXT, CLAUDE_SIGNATURE]);
    let signature = details.seal("anthropic/claude", Shown::default(), String::new());
    let restored = restored(&signature, "");
    assert_eq!(restored.details[0].text.as_deref(), Some("abc"));
    assert_eq!(restored.details[0].signature.as_deref(), Some("c2ln"));
}

#[test]
fn a_late_signature_makes_its_entry_be_carried_whole() {
    let mut details = merged(&[CLAUDE_TEXT]);
    let early = details.seal("anthropic/claude", "abc".into(), String::new());
    assert!(restored(&early, "abc").details.is_empty());
    assert!(!details.has_unsent());
    merge(&mut details, &[CLAUDE_SIGNATURE]);
    assert!(details.has_unsent());
    let late = restored(
        &details.seal("anthropic/claude", Shown::default(), String::new()),
        "",
    );
    assert_eq!(late.details[0].text.as_deref(), Some("abc"));
    assert_eq!(late.details[0].signature.as_deref(), Some("c2ln"));
}

#[test]
fn a_summary_and_an_encrypted_entry_of_one_index_stay_apart() {
    let mut details = merged(&[
        r#"{"type":"reasoning.summary","summary":"I ","index":0,"format":"openai-responses-v1"}"#,
        r#"{"type":"reasoning.summary","summary":"think","index":0}"#,
        r#"{"type":"reasoning.encrypted","data":"QUJD","id":"rs_1","index":0,"format":"openai-responses-v1"}"#,
        r#"{"type":"reasoning.encrypted","data":"QUJD","id":"rs_1","index":0}"#,
    ]);
    let signature = details.seal("openai/gpt-5", "I think".into(), String::new());
    let details = restored(&signature, "I think").details;
    assert_eq!(details.len(), 2);
    assert_eq!(details[0].summary.as_deref(), Some("I think"));
    assert_eq!(details[1].data.as_deref(), Some("QUJD"));
}

#[test]
fn an_entry_without_id_adopts_the_id_that_comes() {
    let mut details = merged(&[
        r#"{"type":"reasoning.summary","summary":"a","index":0}"#,
        r#"{"type":"reasoning.summary","summary":"b","index":0,"id":"rs_1"}"#,
        r#"{"type":"reasoning.summary","summary":"c","index":0,"id":"rs_2"}"#,
    ]);
    let signature = details.seal("openai/gpt-5", "abc".into(), String::new());
    let details = restored(&signature, "abc").details;
    let summaries: Vec<_> = details
        .iter()
        .filter_map(|d| d.summary.as_deref())
        .collect();
    assert_eq!(summaries, ["ab", "c"]);
}

#[test]
fn what_is_redacted_or_unknown_is_not_carried() {
    let details = merged(&[
        r#"{"type":"reasoning.encrypted","data":"[REDACTED]","index":0}"#,
        r#"{"type":"reasoning.server_tool_call","tool_name":"x","index":1}"#,
        r#"{"type":"reasoning.text","text":"unsigned","format":"google-gemini-v1","index":2}"#,
    ]);
    assert!(!details.has_unsent());
}

#[test]
fn interleaved_texts_are_carried_whole_because_the_block_shows_them_in_another_order() {
    let mut details = merged(&[
        r#"{"type":"reasoning.text","text":"a1","index":0}"#,
        r#"{"type":"reasoning.text","text":"b1","index":1}"#,
        r#"{"type":"reasoning.text","text":"a2","index":0}"#,
    ]);
    let signature = details.seal("x/y", "a1b1a2".into(), String::new());
    let details = restored(&signature, "a1b1a2").details;
    assert_eq!(details[0].text.as_deref(), Some("a1a2"));
    assert_eq!(details[1].text.as_deref(), Some("b1"));
}

#[test]
fn so_many_entries_as_no_model_gives_are_given_up() {
    let piece = |index: usize| format!(r#"{{"type":"reasoning.text","text":"","index":{index}}}"#);
    let mut details = Details::default();
    for index in 0..MOST {
        merge(&mut details, &[&piece(index), &piece(index)]);
    }
    assert!(!details.were_given_up());
    merge(&mut details, &[&piece(MOST), &piece(MOST)]);
    assert!(details.were_given_up());
}

#[test]
fn details_beyond_all_measure_are_given_up() {
    let mut details = Details::default();
    let piece: ReasoningPiece<'_> = serde_json::from_str(CLAUDE_TEXT).unwrap();
    let megabyte = "x".repeat(1 << 20);
    for _ in 0..6 {
        details.merge(&piece, &megabyte);
    }
    assert!(details.were_given_up() && !details.has_unsent());
    let signature = details.seal("x/y", "shown".into(), String::new());
    assert!(restored(&signature, "shown").details.is_empty());
}

/// The entries that a block would carry which shows nothing, as they go back upstream.
fn carried(details: &mut Details) -> Vec<Value> {
    let signature = details.seal("x/y", Shown::from("something else"), String::new());
    let details = restored(&signature, "something else").details;
    details.iter().map(|detail| json!(Sent(detail))).collect()
}

fn merge_values(details: &mut Details, pieces: &[Value]) {
    let pieces: Vec<String> = pieces.iter().map(Value::to_string).collect();
    merge(
        details,
        &pieces.iter().map(String::as_str).collect::<Vec<_>>(),
    );
}

fn carried_of(pieces: &[Value]) -> Vec<Value> {
    let mut details = Details::default();
    merge_values(&mut details, pieces);
    carried(&mut details)
}

/// A piece of a text, with other fields.
fn text(text: &str, mut fields: Value) -> Value {
    fields["type"] = json!(TEXT);
    fields["text"] = json!(text);
    fields
}

fn encrypted(data: &str, mut fields: Value) -> Value {
    fields["type"] = json!(ENCRYPTED);
    fields["data"] = json!(data);
    fields
}

#[test]
fn what_an_upstream_would_not_take_back_is_not_carried() {
    for (piece, is_carried) in [
        (
            json!({"type": "reasoning.new", "text": "t", "signature": "s"}),
            false,
        ),
        (encrypted("QQ==", json!({})), true),
        (encrypted("", json!({"id": "a"})), false),
        (encrypted("[REDACTED]", json!({})), false),
        (json!({"type": ENCRYPTED, "signature": "s"}), false),
        (text("t", json!({"format": CLAUDE})), false),
        (text("t", json!({"format": CLAUDE, "signature": "s"})), true),
        (text("t", json!({"format": GEMINI})), false),
        (text("t", json!({"format": GEMINI, "signature": "s"})), true),
        (text("t", json!({"format": "other"})), true),
        (text("t", json!({})), true),
        (text("", json!({})), false),
        (text("", json!({"signature": "s"})), true),
        (json!({"type": SUMMARY, "summary": "s"}), true),
        (json!({"type": SUMMARY, "summary": ""}), false),
        (
            json!({"type": SUMMARY, "format": CLAUDE, "summary": "s"}),
            true,
        ),
    ] {
        let mut details = Details::default();
        merge_values(&mut details, std::slice::from_ref(&piece));
        assert_eq!(details.has_unsent(), is_carried, "{piece}");
        assert_eq!(
            carried(&mut details).len(),
            usize::from(is_carried),
            "{piece}"
        );
        assert!(!details.has_unsent());
    }
}

#[test]
fn pieces_are_one_entry_when_type_and_id_or_type_and_index_agree() {
    let pieces = |first: Value, second: Value| carried_of(&[first, second]).len();
    for (first, second, entries) in [
        (json!({"index": 0}), json!({"index": 0}), 1),
        (json!({"index": 0}), json!({"index": 1}), 2),
        (json!({}), json!({}), 1),
        (json!({}), json!({"index": 0}), 2),
        (json!({"id": "a"}), json!({"id": "a"}), 1),
        (
            json!({"id": "a", "index": 0}),
            json!({"id": "a", "index": 1}),
            1,
        ),
        (
            json!({"id": "a", "index": 0}),
            json!({"id": "b", "index": 0}),
            2,
        ),
        (json!({"id": "a", "index": 0}), json!({"index": 0}), 1),
        (json!({"id": "a", "index": 0}), json!({"index": 1}), 2),
        (json!({"index": 0}), json!({"id": "a", "index": 0}), 1),
        (json!({"index": 0}), json!({"id": "a", "index": 1}), 2),
    ] {
        let what = format!("{first} {second}");
        assert_eq!(
            pieces(text("a", first.clone()), text("b", second.clone())),
            entries,
            "{what}"
        );
        assert_eq!(
            pieces(text("a", first), encrypted("b", second)),
            2,
            "{what}"
        );
    }
    let entries = carried_of(&[
        encrypted("a", json!({"index": 0})),
        text("b", json!({"index": 0})),
        encrypted("c", json!({"index": 0, "id": "x"})),
    ]);
    assert_eq!(
        entries[0],
        json!({"type": ENCRYPTED, "data": "ac", "id": "x", "index": 0})
    );
    assert_eq!(entries.len(), 2);
}

#[test]
fn the_fields_of_the_pieces_come_together() {
    let entries = carried_of(&[
        text(
            "a",
            json!({"index": 0, "format": "one", "signature": "s1", "x": 1, "y": null}),
        ),
        text(
            "b",
            json!({"index": 0, "format": "two", "signature": "s2", "z": [2]}),
        ),
    ]);
    assert_eq!(
        entries,
        [
            json!({"type": TEXT, "text": "ab", "signature": "s2", "format": "two", "index": 0,
            "x": 1, "y": null, "z": [2]})
        ]
    );
    let data = carried_of(&[
        encrypted("QUJD", json!({})),
        encrypted("QUJD", json!({})),
        encrypted("REVG", json!({})),
    ]);
    assert_eq!(data, [json!({"type": ENCRYPTED, "data": "QUJDREVG"})]);
}

#[test]
fn a_field_that_is_null_at_first_is_what_it_is_said_to_be_later() {
    let said = [
        ("text", json!("t")),
        ("data", json!("d")),
        ("signature", json!("s")),
        ("id", json!("i")),
        ("format", json!("f")),
        ("index", json!(1)),
    ];
    for (name, value) in said {
        let mut first = text("t", json!({"index": 1, "signature": null}));
        let mut second = first.clone();
        first[name] = Value::Null;
        second[name] = value.clone();
        if name == "index" {
            // Without an index the pieces must be known by their id.
            first["id"] = json!("i");
            second["id"] = json!("i");
        }
        let signature = (name != "signature").then_some(&Value::Null);
        let entries = carried_of(&[first, second]);
        assert_eq!(entries.len(), 1, "{name}");
        assert_eq!(entries[0][name], value, "{name}");
        assert_eq!(
            entries[0].get("signature").filter(|s| s.is_null()),
            signature,
            "{name}"
        );
    }
    let summary = |summary: Value| json!({"type": SUMMARY, "summary": summary, "text": null});
    assert_eq!(
        carried_of(&[summary(Value::Null), summary(json!("s"))]),
        [summary(json!("s"))]
    );
}

#[test]
fn a_piece_that_is_signed_and_says_something_is_no_late_signature() {
    let mut details = Details::default();
    let unsigned = text("a", json!({"format": CLAUDE, "index": 0}));
    let signed = text("b", json!({"format": CLAUDE, "index": 0, "signature": "s"}));
    merge_values(&mut details, &[unsigned]);
    assert!(carried(&mut details).is_empty());
    merge_values(&mut details, std::slice::from_ref(&signed));
    assert_eq!(carried(&mut details), [signed]);
    let more = encrypted("more", json!({"id": "e", "signature": "s"}));
    merge_values(&mut details, &[encrypted("data", json!({"id": "e"}))]);
    assert_eq!(carried(&mut details).len(), 1);
    merge_values(&mut details, std::slice::from_ref(&more));
    assert_eq!(carried(&mut details), [more]);
}

#[test]
fn an_entry_that_was_carried_is_known_by_its_id_and_index_and_not_carried_again() {
    let again = |first: Value, second: Value| {
        let mut details = Details::default();
        merge_values(&mut details, &[text("a", first)]);
        assert_eq!(carried(&mut details).len(), 1);
        let mut second = second;
        second["type"] = json!(TEXT);
        second["signature"] = json!("s");
        merge_values(&mut details, &[second]);
        details.has_unsent()
    };
    assert!(!again(
        json!({"index": 3, "signature": "s"}),
        json!({"index": 3})
    ));
    assert!(!again(
        json!({"id": "a", "signature": "s"}),
        json!({"id": "a"})
    ));
    assert!(!again(json!({"index": 3}), json!({"index": 3})));
    assert!(again(
        json!({"index": 3, "signature": "s"}),
        json!({"index": 4})
    ));
    assert!(again(
        json!({"id": "a", "signature": "s"}),
        json!({"id": "b"})
    ));
    assert!(again(json!({}), json!({"index": 0})));
}

#[test]
fn a_late_signature_signs_the_latest_entry_that_it_fits() {
    let mut details = Details::default();
    let part = |said: &str, index: i64| text(said, json!({"format": CLAUDE, "index": index}));
    merge_values(&mut details, &[part("a", 0), part("b", 1)]);
    assert!(carried(&mut details).is_empty());
    merge_values(&mut details, &[part("c", 0)]);
    assert!(carried(&mut details).is_empty());
    let signature = json!({"type": TEXT, "signature": "s", "index": 0});
    merge_values(&mut details, std::slice::from_ref(&signature));
    let signed = text("c", json!({"format": CLAUDE, "index": 0, "signature": "s"}));
    assert_eq!(carried(&mut details), [signed]);
    merge_values(&mut details, &[signature]);
    assert!(!details.has_unsent());
}

#[test]
fn a_signature_of_an_open_entry_is_not_late() {
    let entries = carried_of(&[
        text("a", json!({"format": CLAUDE, "index": 0})),
        json!({"type": TEXT, "signature": "s", "index": 0}),
        text("b", json!({"index": 0})),
    ]);
    let whole = text(
        "ab",
        json!({"format": CLAUDE, "index": 0, "signature": "s"}),
    );
    assert_eq!(entries, [whole]);
}

#[test]
fn a_thought_after_a_signed_one_begins_another_block() {
    let signed = text("a", json!({"index": 0, "signature": "s"}));
    let unsigned = text("a", json!({"index": 0}));
    let next = text("b", json!({"index": 1}));
    let summary = json!({"type": SUMMARY, "summary": "b", "index": 1});
    let only_signed = json!({"type": TEXT, "signature": "s", "index": 1});
    for (before, piece, begins) in [
        (vec![&signed], &next, true),
        (vec![&unsigned], &next, false),
        (vec![], &next, false),
        (vec![&signed], &unsigned, false),
        (vec![&signed], &summary, false),
        (vec![&signed], &only_signed, false),
        (vec![&signed, &next], &unsigned, false),
        (vec![&unsigned, &only_signed], &unsigned, true),
    ] {
        let mut details = Details::default();
        for piece in &before {
            merge_values(&mut details, &[(*piece).clone()]);
        }
        let piece = piece.to_string();
        let piece: ReasoningPiece<'_> = serde_json::from_str(&piece).unwrap();
        assert_eq!(details.begins_after_signed(&piece), begins, "{before:?}");
        carried(&mut details);
        assert!(
            !details.begins_after_signed(&piece),
            "a closed block is not in the way"
        );
    }
}

#[test]
fn a_call_takes_its_entries_with_it_when_its_id_changes() {
    let mut details = Details::default();
    merge_values(
        &mut details,
        &[
            encrypted("a", json!({"id": "x"})),
            encrypted("b", json!({"id": "y"})),
        ],
    );
    details.follow_call("x", "z");
    let entries = carried(&mut details);
    assert_eq!(
        (&entries[0]["id"], &entries[1]["id"]),
        (&json!("z"), &json!("y"))
    );
    // What went out already went out under its id: its late pieces are known by that.
    details.follow_call("y", "z");
    merge_values(
        &mut details,
        &[json!({"type": ENCRYPTED, "signature": "s", "id": "y"})],
    );
    assert!(!details.has_unsent());
}

#[test]
fn a_bare_signature_stands_only_for_one_thought_of_claudes_that_the_block_shows() {
    let signed = || {
        text(
            "abc",
            json!({"format": CLAUDE, "index": 0, "signature": "c2ln"}),
        )
    };
    let mut with_null = signed();
    with_null["id"] = Value::Null;
    let mut with_more = signed();
    with_more["more"] = json!(1);
    let mut of_another = signed();
    of_another["format"] = json!("other");
    let summary = json!({"type": SUMMARY, "summary": "abc", "format": CLAUDE, "signature": "c2ln"});
    let also_encrypted = [signed(), encrypted("QQ==", json!({"id": "e"}))];
    for (pieces, shown, is_bare) in [
        (&[signed()][..], "abc", true),
        (&[with_null], "abc", true),
        (&[with_more], "abc", false),
        (&[of_another], "abc", false),
        (&[summary], "abc", false),
        (&also_encrypted, "abc", false),
        (&[signed()], "abd", false),
        (&[text("abc", json!({"index": 0}))], "abc", false),
    ] {
        let mut details = Details::default();
        merge_values(&mut details, pieces);
        let signature = details.seal("anthropic/claude", shown.into(), String::new());
        assert_eq!(signature == "c2ln", is_bare, "{pieces:?} {shown}");
        if !is_bare {
            let entries = restored(&signature, shown).details;
            let sent: Vec<Value> = entries.iter().map(|detail| json!(Sent(detail))).collect();
            assert_eq!(sent, pieces, "nothing of it is lost");
        }
    }
}

#[test]
fn a_text_that_the_block_shows_is_not_carried_a_second_time() {
    let long = "a thought that is long and not like itself: 0123456789".repeat(3);
    let sealed = |shown: &str| {
        let mut details = Details::default();
        merge_values(&mut details, &[text(&long, json!({"index": 0}))]);
        details.seal("x/y", shown.into(), String::new())
    };
    assert!(sealed(&long).len() < sealed("").len());
    let entries = restored(&sealed(&long), &long).details;
    assert_eq!(
        (entries[0].text.as_deref(), entries[0].visible),
        (Some(long.as_str()), None)
    );
}

#[test]
fn four_megabytes_of_everything_are_the_most() {
    let measured = |more: usize| {
        let signature = "s".repeat(1000 + more);
        let name = "n".repeat(500);
        let mut fields = json!({"signature": signature, "other": "12345678", "index": 0});
        fields[name] = Value::Null;
        let spent = 1000 + "other".len() + "\"12345678\"".len() + 500;
        let data = "d".repeat(2000);
        let mut piece = text(&"t".repeat(LARGEST - spent - 2000), fields);
        piece["data"] = json!(data);
        let mut details = Details::default();
        merge_values(&mut details, &[piece]);
        details
    };
    assert!(!measured(0).were_given_up() && measured(0).has_unsent());
    let mut too_much = measured(1);
    assert!(too_much.were_given_up() && !too_much.has_unsent());
    merge_values(&mut too_much, &[text("more", json!({}))]);
    assert!(!too_much.has_unsent(), "half of a thought is worth nothing");
}
