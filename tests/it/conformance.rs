//! The conformance suite against a real Dagway on an ephemeral port, and the suite itself: no case twice, none undocumented.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use dagway::cli::conformance::of_dagway;
use dagway::conformance::{Case, Mode, Options, Upstream, embedded, markdown, run};
use dagway::protocol::translate::reply::{ReplySettings, Translator};

use crate::support::block_on;

/// Streams up to this length are cut at every byte.
const SHORT: usize = 1000;

fn cases() -> Vec<Case> {
    embedded().expect("every file is a case")
}

#[test]
fn dagway_passes_every_case() {
    let cases = cases();
    let report = block_on(of_dagway(&cases, 8, fastrand::u64(..))).expect("it starts");
    println!("{report}");
    let failed = report.outcomes.iter().filter(|o| !o.failures.is_empty());
    let failed: Vec<&str> = failed.map(|outcome| outcome.case.as_str()).collect();
    assert_eq!(failed, Vec::<&str>::new(), "these cases fail");
    assert_eq!(report.strays, Vec::<String>::new());
    assert!(cases.len() >= 250);
}

/// The suite's own upstream is as bad a gateway as there can be: it answers every request, and never rightly.
#[test]
fn a_gateway_that_does_nothing_right_passes_no_case() {
    block_on(async {
        let mut cases = cases();
        // Nothing can be waited for that never comes.
        cases.retain(|case| !case.whole_only);
        let any_port = "127.0.0.1:0".parse().expect("an address");
        let upstream = Upstream::start(any_port).await.expect("a free port");
        let gateway = Upstream::start(any_port).await.expect("a free port");
        let options = Options {
            target: gateway.base_url(),
            key: "conformance".to_owned(),
            models: BTreeMap::new(),
            jobs: 8,
            seed: 1,
        };
        let report = run(&cases, &upstream, &options).await.expect("it runs");
        let passed = report.outcomes.iter().filter(|o| o.failures.is_empty());
        let passed: Vec<&str> = passed.map(|outcome| outcome.case.as_str()).collect();
        assert_eq!(passed, Vec::<&str>::new());
    });
}

#[test]
fn the_readme_lists_what_each_case_pins() {
    let readme = include_str!("../conformance/README.md");
    let (_, listed) = readme
        .split_once("<!-- cases -->")
        .expect("the mark is there");
    let is_same = listed.trim() == markdown(&cases()).trim();
    assert!(
        is_same,
        "put the output of `dagway conformance --markdown` after the mark in tests/conformance/README.md"
    );
}

#[test]
fn no_two_cases_are_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/cases");
    let mut by_content: BTreeMap<String, String> = BTreeMap::new();
    let mut by_pin: BTreeMap<String, String> = BTreeMap::new();
    for case in cases() {
        let path = folder.join(&case.name).with_extension("toml");
        let file = std::fs::read_to_string(path).expect("an embedded case has a file");
        let content = file.split_once("\n\n").expect("a head and a body").1;
        let same = by_content.insert(content.to_owned(), case.name.clone());
        assert_eq!(same, None, "{} has the same content", case.name);
        let same = by_pin.insert(case.pins.clone(), case.name.clone());
        assert_eq!(same, None, "{} pins the same", case.name);
    }
}

/// Over sockets every stream is cut into single bytes; here each short one is cut in two, at every byte.
#[test]
fn a_cut_between_any_two_bytes_changes_nothing() {
    let mut cuts = 0;
    let mut seen = BTreeSet::new();
    for case in cases() {
        for stream in case.streams().expect("every stream can be written") {
            if !seen.insert(stream.clone()) {
                continue;
            }
            let whole = translated(&[&stream]);
            if stream.len() > SHORT {
                let pieces = Mode::Random(cuts).cut(&stream);
                assert_eq!(translated(&pieces), whole, "{}", case.name);
                continue;
            }
            for at in 1..stream.len() {
                let (one, other) = stream.split_at(at);
                assert_eq!(
                    translated(&[one, other]),
                    whole,
                    "{} cut at {at}",
                    case.name
                );
                cuts += 1;
            }
        }
    }
    println!("{cuts} cuts");
    assert!(cuts > 10_000);
}

/// What a stream becomes, with the texts of neighbouring deltas as they are: a cut within a line must not show.
fn translated(pieces: &[&[u8]]) -> String {
    let mut translator = Translator::new(ReplySettings {
        message_id: "msg_1".to_owned(),
        model: "openai/gpt-5".to_owned(),
        target_model: "openai/gpt-5".to_owned(),
        thinking_asked: true,
        ..ReplySettings::default()
    });
    let mut out = Vec::new();
    for piece in pieces {
        translator.push(piece, &mut out);
    }
    translator.end(&mut out);
    String::from_utf8(out).expect("events are UTF-8")
}
