//! What goes into an envelope and comes out again, and what a client may make of it.

use proptest::prelude::*;

use super::budget::{LONGEST_INFLATED, MOST_DETAILS, MOST_PARTS};
use super::*;

fn summary(text: &str) -> Detail {
    Detail {
        kind: "reasoning.summary".to_owned(),
        visible: Some(text.len()),
        format: Some("openai-responses-v1".to_owned()),
        index: Some(0),
        ..Detail::default()
    }
}

fn encrypted() -> Detail {
    Detail {
        kind: "reasoning.encrypted".to_owned(),
        data: Some("gAAAA+/=".to_owned()),
        id: Some("rs_1".to_owned()),
        format: Some("openai-responses-v1".to_owned()),
        index: Some(0),
        ..Detail::default()
    }
}

fn reopened(envelope: &Envelope) -> Envelope {
    match unpack(&envelope.pack()) {
        Unpacked::Details(envelope) => envelope,
        other => panic!("{other:?}"),
    }
}

#[test]
fn visible_text_is_given_back_to_the_entries_it_came_from() {
    let details = vec![summary("Grüße. "), summary("Then"), encrypted()];
    let envelope = Envelope::new("openai/gpt-5", "Grüße. Then", String::new(), details);
    let restored = reopened(&envelope).restore("Grüße. Then").unwrap();
    assert_eq!(restored.details[0].summary.as_deref(), Some("Grüße. "));
    assert_eq!(restored.details[1].summary.as_deref(), Some("Then"));
    assert_eq!(restored.details[2], encrypted());
    assert_eq!(restored.text, "Grüße. Then");
}

#[test]
fn a_text_is_the_same_however_it_was_shown() {
    let shown = Shown::of(["ab", "", "c"]);
    assert_eq!(shown, Shown::from("abc"));
    assert_eq!(shown.length, 3);
    assert_ne!(shown, Shown::from("abd"));
}

#[test]
fn a_shortened_text_is_noticed() {
    let envelope = Envelope::new("a/b", "abc", String::new(), vec![summary("abc")]);
    assert_eq!(reopened(&envelope).restore("ab"), None);
    assert_eq!(reopened(&envelope).restore("abd"), None);
}

#[test]
fn hidden_text_comes_back_as_plain_text() {
    let envelope = Envelope::new("moonshotai/kimi-k2", "", "a thought".to_owned(), vec![]);
    let restored = reopened(&envelope).restore("").unwrap();
    assert_eq!(restored.text, "a thought");
    assert!(restored.details.is_empty());
}

#[test]
fn details_go_to_their_vendor_or_to_their_model_only() {
    let openai = Envelope::new("openai/gpt-5", "", String::new(), vec![encrypted()]);
    assert!(openai.fits("openai/gpt-5.1:nitro"));
    assert!(openai.fits("~openai/gpt-latest"));
    assert!(!openai.fits("anthropic/claude-sonnet-4.5"));
    let plain = Envelope::new("deepseek/deepseek-v3.2", "", String::new(), vec![]);
    assert!(plain.fits("deepseek/deepseek-v3.2:free"));
    assert!(!plain.fits("deepseek/deepseek-r1"));
}

#[test]
fn vendors_are_told_by_the_beginning_of_a_models_id() {
    let of = |format: &str| {
        let detail = Detail {
            format: Some(format.to_owned()),
            ..encrypted()
        };
        Envelope::new("a/b", "", String::new(), vec![detail])
    };
    for (format, model, fits) in [
        ("meta-responses-v1", "meta-llama/llama-5", true),
        ("meta-responses-v1", "meta/muse", true),
        ("xai-responses-v1", "x-ai/grok-4", true),
        ("google-gemini-v1", "~google/gemini-latest", true),
        ("openai-responses-v1", "gpt-5", false),
        ("unknown", "a/b:free", true),
        ("unknown", "a/b@preset/mine", true),
        ("unknown", "a/c", false),
    ] {
        assert_eq!(of(format).fits(model), fits, "{format} {model}");
    }
}

#[test]
fn an_envelope_says_only_what_there_is_to_say() {
    let said = |envelope: &Envelope| serde_json::to_string(envelope).unwrap();
    let empty = Envelope::new("a/b", "", String::new(), vec![]);
    assert_eq!(said(&empty), r#"{"m":"a/b"}"#);
    let full = Envelope::new("a/b", "abc", "t".to_owned(), vec![encrypted()]);
    let full = said(&full);
    for name in ["m", "n", "h", "t", "d"] {
        assert!(full.contains(&format!("\"{name}\":")), "{full}");
    }
    assert!(!full.contains('~') && !full.contains("\"x\""), "{full}");
}

#[test]
fn plain_text_is_what_was_shown_then_what_was_hidden_then_what_the_entries_say() {
    let text = |text: &str| Detail {
        kind: "reasoning.text".to_owned(),
        text: Some(text.to_owned()),
        ..Detail::default()
    };
    let mut said = summary("b");
    said.visible = None;
    said.summary = Some("b".to_owned());
    for (shown, hidden, plain) in [
        ("shown", "hidden", "shown"),
        ("", "hidden", "hidden"),
        ("", "", "ab"),
    ] {
        let details = vec![text("a"), encrypted(), said.clone()];
        let envelope = Envelope::new("a/b", shown, hidden.to_owned(), details);
        assert_eq!(envelope.restore(shown).unwrap().text, plain);
    }
}

#[test]
fn a_signature_of_sixteen_characters_may_be_anthropics() {
    for (signature, expected) in [
        ("abcdefgh+/=01234", Unpacked::Native),
        ("abcdefgh+/=0123", Unpacked::Foreign),
        ("abcdefgh-_=01234", Unpacked::Foreign),
        ("0123456789012345", Unpacked::Foreign),
        (" abcdefgh01234567\n", Unpacked::Native),
    ] {
        assert_eq!(unpack(signature), expected, "{signature}");
    }
}

#[test]
fn signatures_of_others_are_told_apart() {
    assert_eq!(unpack(" "), Unpacked::Empty);
    assert_eq!(unpack("EqQBCgIYAhIM1gbcDa9GJwZA2b3h"), Unpacked::Native);
    for foreign in [
        "1712345678901",
        "1712345678901234567",
        "dgw1.",
        "dgw1.!!",
        "dgw1.AAAA",
        "dgw9.AAAABBBBCCCCDDDD",
    ] {
        assert_eq!(unpack(foreign), Unpacked::Foreign, "{foreign}");
    }
}

/// A signature around any JSON, which claims to be of any length.
fn signed(json: &str, claimed: usize) -> String {
    let json = json.as_bytes();
    let mut packed = checksum(json).to_le_bytes().to_vec();
    packed.extend_from_slice(&(claimed as u32).to_le_bytes());
    packed.extend_from_slice(&lz4_flex::block::compress(json));
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(packed))
}

fn with_details(detail: &str, count: usize) -> String {
    let details = vec![detail; count].join(",");
    let json = format!(r#"{{"m":"a/b","d":[{details}]}}"#);
    signed(&json, json.len())
}

fn with_hidden(length: usize) -> String {
    Envelope::new("a/b", "", "a".repeat(length), vec![]).pack()
}

fn takes(budget: &mut Budget, signature: &str) -> bool {
    matches!(budget.unpack(signature), Unpacked::Details(_))
}

#[test]
fn a_bomb_does_not_go_off() {
    let bomb_of = |length: usize, claimed: usize| {
        signed(&format!("{{\"m\":\"{}\"}}", "a".repeat(length)), claimed)
    };
    let bomb = bomb_of(LONGEST_INFLATED, LONGEST_INFLATED + 8);
    assert!(bomb.len() < LONGEST_INFLATED / 100);
    assert_eq!(unpack(&bomb), Unpacked::Foreign);
    assert_eq!(unpack(&bomb_of(LONGEST_INFLATED, 100)), Unpacked::Foreign);
    assert_eq!(unpack(&bomb_of(10, LONGEST_INFLATED)), Unpacked::Foreign);
    assert!(matches!(unpack(&bomb_of(10, 18)), Unpacked::Details(_)));
    let largest = bomb_of(LONGEST_INFLATED - 8, LONGEST_INFLATED);
    assert!(matches!(unpack(&largest), Unpacked::Details(_)));
}

#[test]
fn more_details_than_anyone_thinks_are_foreign() {
    let tiny = r#"{"type":""}"#;
    for detail in [tiny, r#"[""]"#] {
        let signature = with_details(detail, 100_000);
        assert_eq!(unpack(&signature), Unpacked::Foreign, "{detail}");
    }
    for (count, taken) in [(MOST_DETAILS, true), (MOST_DETAILS + 1, false)] {
        let mut budget = Budget::default();
        assert_eq!(takes(&mut budget, &with_details(tiny, count)), taken);
    }
    for (count, taken) in [(1_000, true), (100_000, false)] {
        let zeros = vec!["0"; count].join(",");
        let detail = format!(r#"{{"type":"","x":{{"a":[{zeros}]}}}}"#);
        let mut budget = Budget::default();
        assert_eq!(takes(&mut budget, &with_details(&detail, 1)), taken);
    }
}

#[test]
fn the_envelopes_of_a_request_share_what_they_may_inflate_to() {
    let mut budget = Budget::default();
    let large = with_hidden(9 << 20);
    assert!(takes(&mut budget, &large));
    assert_eq!(budget.unpack(&large), Unpacked::Foreign);
    assert!(takes(&mut budget, &with_hidden(6 << 20)));
}

#[test]
fn the_envelopes_of_a_request_share_how_many_details_they_may_hold() {
    let mut budget = Budget::default();
    let many = with_details(r#"{"type":""}"#, MOST_DETAILS);
    for _ in 0..MOST_PARTS / MOST_DETAILS {
        assert!(takes(&mut budget, &many));
    }
    assert_eq!(budget.unpack(&many), Unpacked::Foreign);
    assert!(takes(&mut budget, &with_hidden(10)));
}

#[test]
fn an_honest_envelope_is_taken_after_many_others() {
    let mut budget = Budget::default();
    for _ in 0..2_000 {
        assert!(takes(&mut budget, &with_details(r#"{"type":""}"#, 5)));
    }
    for _ in 0..100 {
        assert!(!takes(&mut budget, &signed("{}", LONGEST_INFLATED)));
    }
    let details = vec![summary("Hm."), encrypted()];
    let envelope = Envelope::new("openai/gpt-5", "Hm.", String::new(), details);
    let unpacked = budget.unpack(&envelope.pack());
    assert_eq!(unpacked, Unpacked::Details(envelope));
}

#[test]
fn an_emptied_envelope_fits_the_same_models() {
    for details in [vec![], vec![Detail::default(), encrypted()]] {
        let envelope = Envelope::new("a/b", "", "t".to_owned(), details);
        let emptied = envelope.emptied();
        assert!(emptied.hidden.is_empty() && emptied.details.len() <= 1);
        for model in ["openai/gpt-5", "a/b:free", "a/c"] {
            assert_eq!(emptied.fits(model), envelope.fits(model), "{model}");
        }
    }
}

#[test]
fn a_damaged_envelope_is_foreign() {
    let packed = Envelope::new("openai/gpt-5", "", String::new(), vec![encrypted()]).pack();
    for at in PREFIX.len()..packed.len() {
        let mut damaged = packed.clone().into_bytes();
        damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
        let damaged = String::from_utf8(damaged).unwrap();
        assert_ne!(damaged, packed);
        assert_eq!(unpack(&damaged), Unpacked::Foreign, "damaged at {at}");
    }
}

#[test]
fn what_looks_like_parts_in_a_text_is_none() {
    let hidden = r#"{[,"\"#.repeat(20_000);
    let envelope = Envelope::new("a/b", "", hidden.clone(), vec![]);
    assert_eq!(reopened(&envelope).restore("").unwrap().text, hidden);
}

proptest! {
    #[test]
    fn every_envelope_comes_back_as_it_was(texts in prop::collection::vec(".{0,40}", 0..5), data in "[A-Za-z0-9+/=]{0,200}") {
        let visible = texts.concat();
        let mut details: Vec<Detail> = texts.iter().map(|text| summary(text)).collect();
        details.push(Detail { data: Some(data), ..encrypted() });
        let envelope = Envelope::new("openai/gpt-5", visible.as_str(), String::new(), details);
        prop_assert_eq!(&reopened(&envelope), &envelope);
        let restored = envelope.restore(&visible).unwrap();
        let summaries: Vec<&str> = restored.details.iter().filter_map(|d| d.summary.as_deref()).collect();
        prop_assert_eq!(summaries, texts);
    }

    #[test]
    fn garbage_is_never_details(garbage in "\\PC{0,80}") {
        prop_assert!(!matches!(unpack(&garbage), Unpacked::Details(_)));
        let _ = unpack(&format!("{PREFIX}{garbage}"));
    }
}
