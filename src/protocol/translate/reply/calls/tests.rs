//! Calls in the shapes that upstreams send them, and in all others.

use std::io::{self, Write};

use proptest::prelude::*;
use serde_json::ser::{Formatter, Serializer};
use serde_json::{Value, json};

use super::*;
use crate::protocol::anthropic::request::{DEEPEST_INPUT, Request};

/// What comes of pieces that come in a chunk each.
fn finished(pieces: &[&str], ended: Ended) -> Result<Finished, ApiError> {
    let mut calls = Calls::default();
    for piece in pieces {
        calls.begin_list();
        calls.push(&serde_json::from_str(piece).unwrap())?;
    }
    calls.finish(ended)
}

fn calls(pieces: &[&str]) -> Vec<(String, String, String)> {
    given(finished(pieces, Ended::Orderly).unwrap())
}

/// The calls of lists as chunks bring them, each with several pieces.
fn calls_of_lists(lists: &[&[String]]) -> Vec<(String, String, String)> {
    let mut calls = Calls::default();
    for list in lists {
        calls.begin_list();
        for piece in *list {
            calls.push(&serde_json::from_str(piece).unwrap()).unwrap();
        }
    }
    given(calls.finish(Ended::Orderly).unwrap())
}

fn given(finished: Finished) -> Vec<(String, String, String)> {
    finished
        .calls
        .into_iter()
        .map(|call| (call.id, call.name, call.arguments))
        .collect()
}

fn call(id: &str, name: &str, arguments: &str) -> (String, String, String) {
    (id.to_owned(), name.to_owned(), arguments.to_owned())
}

#[test]
fn interleaved_calls_are_told_apart_by_index() {
    let pieces = [
        r#"{"index":0,"id":"a","type":"function","function":{"name":"A","arguments":""}}"#,
        r#"{"index":1,"id":"b","type":"function","function":{"name":"B","arguments":"{\"x\""}}"#,
        r#"{"index":0,"function":{"arguments":"{\"y\":"}}"#,
        r#"{"index":1,"function":{"arguments":":1}"}}"#,
        r#"{"index":0,"function":{"arguments":"2}"}}"#,
    ];
    assert_eq!(
        calls(&pieces),
        [call("a", "A", "{\"y\":2}"), call("b", "B", "{\"x\":1}")]
    );
}

#[test]
fn a_call_that_is_said_again_in_another_spelling_is_one_call() {
    let begin = r#"{"index":0,"id":"a","function":{"name":"A","arguments":""}}"#;
    let once = r#"{"index":0,"function":{"arguments":"{\"a\":1,\"b\":\"é\"}"}}"#;
    let expected = [call("a", "A", r#"{"a":1,"b":"é"}"#)];
    let blanks = r#"{"index":0,"function":{"arguments":"{\"a\": 1, \"b\": \"\\u00e9\"}"}}"#;
    assert_eq!(calls(&[begin, once, blanks]), expected);
    let in_pieces = [
        begin,
        once,
        r#"{"index":0,"function":{"arguments":"{\"a\""}}"#,
        r#"{"index":0,"function":{"arguments":":1,\"b\":\"é\"}"}}"#,
    ];
    assert_eq!(calls(&in_pieces), expected);
    let with_id = [
        begin,
        once,
        r#"{"index":0,"id":"a","function":{"name":"A","arguments":"{ \"b\":\"é\","}}"#,
        r#"{"index":0,"id":"a","function":{"name":"A","arguments":"\"a\":1}"}}"#,
    ];
    assert_eq!(calls(&with_id), expected);
    let twice = [begin, once, blanks, blanks];
    assert_eq!(calls(&twice), expected);
}

#[test]
fn an_empty_object_that_the_arguments_follow_was_none() {
    let pieces = [
        r#"{"index":0,"id":"a","function":{"name":"A","arguments":"{}"}}"#,
        r#"{"index":0,"id":"a","function":{"name":"A","arguments":"{\"x\":1}"}}"#,
    ];
    assert_eq!(calls(&pieces), [call("a", "A", "{\"x\":1}")]);
    let unsaid = [
        r#"{"index":0,"id":"a","function":{"name":"A","arguments":"{}"}}"#,
        r#"{"index":0,"function":{"arguments":"{\"x\":1}"}}"#,
    ];
    assert_eq!(calls(&unsaid), [call("a", "A", "{\"x\":1}")]);
    // A name of its own makes it another call of a server that gives no ids.
    let named = [
        r#"{"index":0,"function":{"name":"A","arguments":"{}"}}"#,
        r#"{"index":0,"function":{"name":"A","arguments":"{\"x\":1}"}}"#,
    ];
    assert_eq!(
        calls(&named),
        [call("", "A", "{}"), call("", "A", "{\"x\":1}")]
    );
}

#[test]
fn calls_on_one_index_are_told_apart_by_id_or_by_a_second_object() {
    let by_id = [
        r#"{"index":0,"id":"a","function":{"name":"A","arguments":"{}"}}"#,
        r#"{"index":0,"id":"b","function":{"name":"A","arguments":"{\"x\":"}}"#,
        r#"{"index":0,"function":{"arguments":"1}"}}"#,
    ];
    assert_eq!(
        calls(&by_id),
        [call("a", "A", "{}"), call("b", "A", "{\"x\":1}")]
    );
    let by_object = [
        r#"{"index":0,"id":"","function":{"name":"A","arguments":"{\"x\":1}{\"x\":"}}"#,
        r#"{"index":0,"function":{"arguments":"2}"}}"#,
    ];
    assert_eq!(
        calls(&by_object),
        [call("", "A", "{\"x\":1}"), call("", "A", "{\"x\":2}")]
    );
}

#[test]
fn arguments_may_come_before_the_name_and_without_index() {
    let pieces = [
        r#"{"index":3,"function":{"arguments":"{\"x\":"}}"#,
        r#"{"index":3,"id":"a","function":{"name":"A","arguments":"1}"}}"#,
    ];
    assert_eq!(calls(&pieces), [call("a", "A", "{\"x\":1}")]);
    let without_index = [
        r#"{"id":"a","function":{"name":"A","arguments":"{\"x\":"}}"#,
        r#"{"function":{"arguments":"1}"}}"#,
        r#"{"id":"b","function":{"name":"A","arguments":"{}"}}"#,
        r#"{"index":-1,"function":{"name":"C","arguments":"{}"}}"#,
    ];
    let expected = [
        call("a", "A", "{\"x\":1}"),
        call("b", "A", "{}"),
        call("", "C", "{}"),
    ];
    assert_eq!(calls(&without_index), expected);
}

#[test]
fn repeats_and_blanks_after_a_whole_call_are_dropped() {
    let pieces = [
        r#"{"index":0,"id":"a","function":{"name":"A","arguments":"{\"x\":{}}"}}"#,
        r#"{"index":0,"id":"a","function":{"name":"A","arguments":" \n"}}"#,
        r#"{"index":0,"id":"a","function":{"name":"A","arguments":"{\"x\":{}}"}}"#,
    ];
    assert_eq!(calls(&pieces), [call("a", "A", "{\"x\":{}}")]);
}

#[test]
fn an_object_that_nests_its_own_beginning_is_no_repeat() {
    let pieces = [
        r#"{"index":0,"id":"a","function":{"name":"A","arguments":"{\"a\":"}}"#,
        r#"{"index":0,"function":{"arguments":"{\"a\":1}"}}"#,
        r#"{"index":0,"function":{"arguments":"}"}}"#,
    ];
    assert_eq!(calls(&pieces), [call("a", "A", "{\"a\":{\"a\":1}}")]);
}

#[test]
fn arguments_may_be_an_object_or_absent() {
    let pieces = [
        r#"{"index":0,"id":"a","function":{"name":"A","arguments":{"x": "}"}}}"#,
        r#"{"index":1,"id":"b","function":{"name":"B"}}"#,
        r#"{"index":2,"id":"c","function":{"name":"C","arguments":null}}"#,
        r#"{"index":3,"id":"d","function":{"name":"D","arguments":"null"}}"#,
    ];
    let expected = [
        call("a", "A", "{\"x\": \"}\"}"),
        call("b", "B", "{}"),
        call("c", "C", "{}"),
        call("d", "D", "{}"),
    ];
    assert_eq!(calls(&pieces), expected);
}

#[test]
fn small_faults_are_repaired_and_great_ones_are_errors() {
    let with = |arguments: &str| {
        let arguments = serde_json::to_string(arguments).unwrap();
        let piece =
            format!(r#"{{"index":0,"id":"a","function":{{"name":"A","arguments":{arguments}}}}}"#);
        finished(&[&piece], Ended::Orderly).map(|finished| finished.calls[0].arguments.clone())
    };
    assert_eq!(with("{\"x\":[1,2,],}").unwrap(), "{\"x\":[1,2]}");
    assert_eq!(
        with("{\"x\":{\"y\":\"}\\\"\"").unwrap(),
        "{\"x\":{\"y\":\"}\\\"\"}}"
    );
    assert_eq!(with("{\"x\":1}}").unwrap(), "{\"x\":1}");
    for broken in [
        "{\"x\":\"cut",
        "{\"x\":",
        "{\"x\"",
        "[1]",
        "text",
        "\"{}\"",
        "{]",
        "{x:1}",
    ] {
        assert!(with(broken).is_err(), "{broken}");
    }
}

#[test]
fn control_characters_in_strings_are_escaped() {
    let with = |arguments: &str| {
        let piece = piece(Some(0), "a", "A", arguments);
        finished(&[&piece], Ended::Orderly)
            .map(|finished| (finished.calls[0].arguments.clone(), finished.repaired))
    };
    let lines = with("{\"x\":\"a\nb\r\n\tc\u{1}\u{1f}\",\n\"y\":\"\\n\"}").unwrap();
    assert_eq!(
        lines,
        (
            "{\"x\":\"a\\nb\\r\\n\\tc\\u0001\\u001f\",\n\"y\":\"\\n\"}".to_owned(),
            1
        )
    );
    assert_eq!(with("{\"a\nb\":1,}").unwrap().0, "{\"a\\nb\":1}");
    // Nobody knows what a backslash before one of them meant.
    assert!(with("{\"x\":\"a\\\nb\"}").is_err());
}

#[test]
fn arguments_are_as_deep_as_a_request_may_bring_them_back() {
    let nested = |depth: usize| {
        format!("{}{}", "{\"a\":".repeat(depth - 1), "{\"a\":1") + &"}".repeat(depth)
    };
    let comes_back = |arguments: &str| {
        let body = format!(
            r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"assistant","content":[{{"type":"tool_use","id":"a","name":"A","input":{arguments}}}]}}]}}"#
        );
        Request::parse(&body).is_ok()
    };
    for (depth, is_taken) in [
        (DEEPEST_INPUT - 1, true),
        (DEEPEST_INPUT, true),
        (DEEPEST_INPUT + 1, false),
    ] {
        let arguments = nested(depth);
        assert_eq!(comes_back(&arguments), is_taken, "{depth}");
        for piece in [
            piece(Some(0), "a", "A", &arguments),
            format!(r#"{{"index":0,"id":"a","function":{{"name":"A","arguments":{arguments}}}}}"#),
            piece(Some(0), "a", "A", arguments.trim_end_matches('}')),
        ] {
            let given = finished(&[&piece], Ended::Orderly);
            assert_eq!(given.is_ok(), is_taken, "{depth}");
            if let Err(error) = given {
                assert!(
                    error.message.contains("nested more than"),
                    "{}",
                    error.message
                );
            }
        }
    }
}

#[test]
fn the_limit_loses_what_it_cut_and_nothing_else() {
    let whole = r#"{"index":0,"id":"a","function":{"name":"A","arguments":""}}"#;
    let cut = r#"{"index":1,"id":"b","function":{"name":"B","arguments":"{\"x\":\"c"}}"#;
    let ended = finished(&[whole, cut], Ended::ByLimit).unwrap();
    assert_eq!((ended.calls.len(), ended.lost), (1, 1));
    let unbegun = finished(&[whole], Ended::ByLimit).unwrap();
    assert_eq!((unbegun.calls.len(), unbegun.lost), (0, 1));
    assert!(finished(&[cut], Ended::Orderly).is_err());
}

#[test]
fn a_character_in_halves_is_one_character() {
    let pieces = [
        r#"{"index":0,"id":"a","function":{"name":"A","arguments":"{\"x\":\"\ud83d"}}"#,
        r#"{"index":0,"function":{"arguments":"\ude00\"}"}}"#,
    ];
    assert_eq!(calls(&pieces), [call("a", "A", "{\"x\":\"😀\"}")]);
}

#[test]
fn calls_are_bounded() {
    let piece = serde_json::to_string(&"{}".repeat(2000)).unwrap();
    let piece = format!(r#"{{"index":0,"function":{{"name":"A","arguments":{piece}}}}}"#);
    assert!(finished(&[&piece], Ended::Orderly).is_err());
    let many: Vec<String> = (0..600)
        .map(|id| format!(r#"{{"id":"c{id}","function":{{"name":"A","arguments":"{{}}"}}}}"#))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(finished(&many, Ended::Orderly).is_err());
}

proptest! {
    #[test]
    fn what_is_given_out_is_an_object(pieces in prop::collection::vec((0i64..3, "(c|d)?", "[AB]?", "([{}\\[\\],:1\"\\\\ x]){0,6}"), 0..12), limit: bool) {
        let pieces: Vec<String> = pieces.into_iter().map(|(index, id, name, arguments)| {
            serde_json::json!({"index": index - 1, "id": id, "function": {"name": name, "arguments": arguments}}).to_string()
        }).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let ended = if limit { Ended::ByLimit } else { Ended::Orderly };
        if let Ok(finished) = finished(&pieces, ended) {
            for call in finished.calls {
                prop_assert!(is_object(&call.arguments) && !call.name.is_empty());
            }
        }
    }
}

/// A piece as upstreams write it: no field that is empty.
fn piece(index: Option<i64>, id: &str, name: &str, arguments: &str) -> String {
    let mut piece = json!({"function": {}});
    if let Some(index) = index {
        piece["index"] = json!(index);
    }
    if !id.is_empty() {
        piece["id"] = json!(id);
    }
    if !name.is_empty() {
        piece["function"]["name"] = json!(name);
    }
    if !arguments.is_empty() {
        piece["function"]["arguments"] = json!(arguments);
    }
    piece.to_string()
}

fn calls_of(pieces: &[String]) -> Vec<(String, String, String)> {
    calls(&pieces.iter().map(String::as_str).collect::<Vec<_>>())
}

const X: &str = "{\"x\":1}";
const Y: &str = "{\"y\":2}";

/// Two pieces on one index as `id name arguments`, each a word or `-`.
fn on_one_index(pieces: [&str; 2]) -> Vec<(String, String, String)> {
    let pieces = pieces.map(|written| {
        let words: Vec<&str> = written.split(' ').collect();
        let word = |at: usize| words[at].trim_matches('-');
        piece(Some(0), word(0), word(1), word(2))
    });
    calls_of(&pieces)
}

#[test]
fn a_piece_on_a_known_index_goes_on_with_its_call() {
    for (what, pieces, id, name) in [
        ("an id without a name", [r#"a A {"x":"#, "b - 1}"], "a", "A"),
        ("a late id", [r#"- A {"x":"#, "a A 1}"], "a", "A"),
        ("a late name", [r#"- - {"x":1}"#, "a A -"], "a", "A"),
        (
            "a name in pieces",
            ["a Ba -", r#"- sh {"x":1}"#],
            "a",
            "Bash",
        ),
        ("all said again", ["a A -", r#"a A {"x":1}"#], "a", "A"),
        ("a name said again", ["a A -", r#"- A {"x":1}"#], "a", "A"),
        ("another name", ["a A -", r#"a B {"x":1}"#], "a", "A"),
        (
            "another name amid arguments",
            [r#"a A {"x":"#, "- B 1}"],
            "a",
            "A",
        ),
        (
            "all of it again",
            [r#"a A {"x":1}"#, r#"a A {"x":1}"#],
            "a",
            "A",
        ),
        ("a blank end", [r#"a A {"x":1}"#, "- - \n"], "a", "A"),
        ("an id after the end", [r#"- A {"x":1}"#, "a - -"], "a", "A"),
    ] {
        assert_eq!(on_one_index(pieces), [call(id, name, X)], "{what}");
    }
}

#[test]
fn a_piece_on_a_known_index_begins_another_call() {
    for (what, pieces, first, second) in [
        (
            "another id",
            [r#"a A {"x":1}"#, r#"b A {"y":2}"#],
            ["a", "A"],
            ["b", "A"],
        ),
        (
            "a late id",
            [r#"- A {"x":1}"#, r#"b A {"y":2}"#],
            ["", "A"],
            ["b", "A"],
        ),
        (
            "another name",
            [r#"- A {"x":1}"#, r#"- B {"y":2}"#],
            ["", "A"],
            ["", "B"],
        ),
        (
            "another with the id",
            [r#"a A {"x":1}"#, r#"a B {"y":2}"#],
            ["a", "A"],
            ["a", "B"],
        ),
        (
            "the name again",
            [r#"- A {"x":1}"#, r#"- A {"y":2}"#],
            ["", "A"],
            ["", "A"],
        ),
        (
            "only arguments",
            [r#"a A {"x":1}"#, r#"- - {"y":2}"#],
            ["a", "A"],
            ["", "A"],
        ),
    ] {
        let expected = [call(first[0], first[1], X), call(second[0], second[1], Y)];
        assert_eq!(on_one_index(pieces), expected, "{what}");
    }
}

#[test]
fn another_id_and_name_begin_another_call_even_amid_arguments() {
    let pieces = [
        piece(Some(0), "a", "A", "{\"x\":"),
        piece(Some(0), "b", "B", X),
        piece(Some(0), "", "", "\n"),
    ];
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    let finished = finished(&pieces, Ended::ByLimit).unwrap();
    assert_eq!((finished.calls.len(), finished.lost), (1, 1));
    assert_eq!(
        (
            finished.calls[0].id.as_str(),
            finished.calls[0].arguments.as_str()
        ),
        ("b", X)
    );
}

#[test]
fn what_follows_on_an_index_belongs_to_its_latest_call() {
    let pieces = [
        piece(Some(0), "a", "A", X),
        piece(Some(1), "c", "C", "{\"c\":"),
        piece(Some(0), "b", "B", "{\"y\":"),
        piece(Some(1), "", "", "3}"),
        piece(Some(0), "", "", "2}"),
    ];
    let expected = [
        call("a", "A", X),
        call("c", "C", "{\"c\":3}"),
        call("b", "B", Y),
    ];
    assert_eq!(calls_of(&pieces), expected);
}

#[test]
fn without_an_index_the_id_the_name_and_the_order_tell() {
    let whole = |id: &str, name: &str| piece(None, id, name, X);
    let halves = |[id, name]: [&str; 2], [later_id, later_name]: [&str; 2]| {
        [
            piece(None, id, name, "{\"x\":"),
            piece(None, later_id, later_name, "1}"),
        ]
    };
    for (pieces, expected) in [
        (halves(["a", "A"], ["a", "A"]), call("a", "A", X)),
        (halves(["a", "A"], ["", ""]), call("a", "A", X)),
        (halves(["", "A"], ["a", "A"]), call("a", "A", X)),
        (halves(["", "A"], ["a", ""]), call("a", "A", X)),
        (halves(["a", ""], ["", "A"]), call("a", "A", X)),
        (halves(["", ""], ["a", "A"]), call("a", "A", X)),
    ] {
        assert_eq!(calls_of(&pieces), [expected], "{pieces:?}");
    }
    for (pieces, expected) in [
        ([whole("a", "A"), whole("b", "A")], [["a", "A"], ["b", "A"]]),
        ([whole("a", "A"), whole("b", "")], [["a", "A"], ["b", ""]]),
        ([whole("", "A"), whole("", "B")], [["", "A"], ["", "B"]]),
        ([whole("", "A"), whole("b", "A")], [["", "A"], ["b", "A"]]),
    ] {
        let opened = opened(&pieces);
        assert_eq!(opened, expected, "{pieces:?}");
    }
    let interleaved = [
        piece(None, "a", "A", "{\"x\":"),
        piece(None, "b", "B", "{\"y\":"),
        piece(None, "a", "", "1}"),
        piece(None, "b", "", "2}"),
    ];
    assert_eq!(
        calls_of(&interleaved),
        [call("a", "A", X), call("b", "B", Y)]
    );
}

#[test]
fn calls_that_share_an_id_are_told_apart_by_their_names() {
    for (first, second) in [("{}", X), (X, Y), (X, X), ("{}", "{}")] {
        let expected = [call("c", "A", first), call("c", "B", second)];
        for index in [None, Some(0)] {
            let pieces = [
                piece(index, "c", "A", first),
                piece(index, "c", "B", second),
            ];
            assert_eq!(calls_of(&pieces), expected, "{index:?} {first} {second}");
            assert_eq!(calls_of_lists(&[&pieces]), expected);
        }
    }
    let said_again = [("A", X), ("B", X), ("A", X), ("B", X)];
    let pieces = said_again.map(|(name, arguments)| piece(None, "c", name, arguments));
    assert_eq!(calls_of(&pieces), [call("c", "A", X), call("c", "B", X)]);
    let goes_on = [
        piece(None, "c", "A", X),
        piece(None, "c", "B", "{\"y\":"),
        piece(None, "c", "", "2}"),
    ];
    assert_eq!(calls_of(&goes_on), [call("c", "A", X), call("c", "B", Y)]);
}

#[test]
fn what_another_tool_is_given_is_no_repeat() {
    let amid = [
        piece(Some(0), "", "A", "{\"x\":"),
        piece(Some(0), "", "B", "1}{\"x\":1}"),
    ];
    assert_eq!(calls_of(&amid), [call("", "A", X), call("", "B", X)]);
}

#[test]
fn equal_calls_in_one_list_are_as_many_calls() {
    for index in [None, Some(0)] {
        for arguments in [X, "{}", ""] {
            let whole = || piece(index, "", "A", arguments);
            let given = if arguments.is_empty() {
                "{}"
            } else {
                arguments
            };
            let two = [call("", "A", given), call("", "A", given)];
            let list = [whole(), whole()];
            assert_eq!(calls_of_lists(&[&list]), two, "{index:?} {arguments}");
            // The last of them once more, in a later chunk.
            assert_eq!(
                calls_of_lists(&[&list, &[whole()]]),
                two,
                "{index:?} {arguments}"
            );
        }
        let apart = [piece(index, "", "A", X)];
        assert_eq!(calls_of_lists(&[&apart, &apart]), [call("", "A", X)]);
        let in_pieces = [
            piece(index, "", "A", "{\"x\":"),
            piece(index, "", "A", "1}"),
        ];
        assert_eq!(calls_of_lists(&[&in_pieces]), [call("", "A", X)]);
        let after_the_name = [piece(index, "", "A", ""), piece(index, "", "", X)];
        assert_eq!(calls_of_lists(&[&after_the_name]), [call("", "A", X)]);
    }
}

#[test]
fn an_index_may_be_a_text_or_have_a_point() {
    for (first, second) in [
        ("\"0\"", "\"1\""),
        ("0.0", "1.0"),
        ("\"0\"", "1"),
        ("1e0", "2"),
    ] {
        let on =
            |index: &str, piece: String| piece.replacen('{', &format!("{{\"index\":{index},"), 1);
        let pieces = [
            on(first, piece(None, "a", "A", "{\"x\":")),
            on(second, piece(None, "b", "B", "{\"y\":")),
            on(first, piece(None, "", "", "1}")),
            on(second, piece(None, "", "", "2}")),
        ];
        assert_eq!(
            calls_of(&pieces),
            [call("a", "A", X), call("b", "B", Y)],
            "{first} {second}"
        );
    }
}

/// The id and the name of each call that pieces open, whether it is whole or not.
fn opened(pieces: &[String]) -> Vec<[String; 2]> {
    let mut calls = Calls::default();
    for piece in pieces {
        calls.begin_list();
        calls.push(&serde_json::from_str(piece).unwrap()).unwrap();
    }
    let slots = calls.slots.into_iter();
    slots.map(|slot| [slot.id, slot.name]).collect()
}

#[test]
fn a_name_that_changes_amid_arguments_is_another_call_when_there_is_no_index() {
    let pieces = [piece(None, "", "A", "{\"x\":"), piece(None, "", "B", X)];
    assert_eq!(opened(&pieces), [["", "A"], ["", "B"]]);
}

#[test]
fn an_index_out_of_measure_is_no_index() {
    for odd in [
        "-1",
        "513",
        "1.5",
        "\"-1\"",
        "\"a\"",
        "1e9",
        "99999999999999999999",
    ] {
        let pieces = [
            format!(r#"{{"index":{odd},"id":"a","function":{{"name":"A","arguments":"{{}}"}}}}"#),
            format!(r#"{{"index":{odd},"id":"b","function":{{"name":"B","arguments":"{{"}}}}"#),
            piece(None, "", "", "}"),
        ];
        assert_eq!(
            calls_of(&pieces),
            [call("a", "A", "{}"), call("b", "B", "{}")],
            "{odd}"
        );
    }
    for index in [0, 512] {
        let pieces = [
            piece(Some(index), "a", "A", "{"),
            piece(Some(7), "b", "B", "{}"),
            piece(Some(index), "", "", "}"),
        ];
        assert_eq!(
            calls_of(&pieces),
            [call("a", "A", "{}"), call("b", "B", "{}")],
            "{index}"
        );
    }
}

#[test]
fn what_an_end_makes_of_a_call_depends_on_what_it_has() {
    let (orderly, limit, unsaid) = (Ended::Orderly, Ended::ByLimit, Ended::Unsaid);
    // The last call's name and arguments, the end, and how many calls are given and lost; none is an error.
    let table = [
        ("A", X, orderly, Some((2, 0))),
        ("A", X, limit, Some((2, 0))),
        ("A", X, unsaid, Some((2, 0))),
        ("A", "", orderly, Some((2, 0))),
        ("A", " ", limit, Some((1, 1))),
        ("A", "", unsaid, Some((1, 1))),
        ("A", "null", orderly, Some((2, 0))),
        ("A", "null", limit, Some((2, 0))),
        ("A", "{\"x\":[1", orderly, Some((2, 0))),
        ("A", "{\"x\":[1", limit, Some((1, 1))),
        ("A", "{\"x\":[1", unsaid, Some((1, 1))),
        ("A", "[1]", orderly, None),
        ("A", "[1]", limit, Some((1, 1))),
        ("", "", orderly, Some((1, 0))),
        ("", "", limit, Some((1, 1))),
        ("", "", unsaid, Some((1, 1))),
        ("", X, orderly, None),
        ("", X, limit, Some((1, 1))),
        ("", X, unsaid, Some((1, 1))),
    ];
    for (name, arguments, ended, expected) in table {
        let pieces = [
            piece(Some(0), "z", "Z", "{}"),
            piece(Some(1), "a", name, arguments),
        ];
        let pieces = pieces.each_ref().map(String::as_str);
        let counted = finished(&pieces, ended)
            .ok()
            .map(|f| (f.calls.len(), f.lost));
        assert_eq!(counted, expected, "{name} {arguments} {ended:?}");
    }
}

#[test]
fn only_the_last_call_may_have_lost_its_arguments_to_the_limit() {
    let pieces = [piece(Some(0), "a", "A", ""), piece(Some(1), "b", "B", X)];
    let pieces = pieces.each_ref().map(String::as_str);
    let finished = finished(&pieces, Ended::ByLimit).unwrap();
    assert_eq!((finished.calls.len(), finished.lost), (2, 0));
    assert_eq!(finished.calls[0].arguments, "{}");
}

#[test]
fn an_error_names_the_tool_that_was_called_wrongly() {
    let message = |name: &str, arguments: &str| {
        let piece = piece(Some(0), "a", name, arguments);
        finished(&[&piece], Ended::Orderly).unwrap_err().message
    };
    assert!(message("Read", "[1]").contains("called Read with"));
    assert!(message("", X).contains("called a tool without a name with"));
}

#[test]
fn what_begins_as_something_else_is_no_call_where_an_object_follows() {
    for arguments in ["[1]{\"x\":1}", "x{\"x\":1}"] {
        let piece = piece(Some(0), "a", "A", arguments);
        assert!(finished(&[&piece], Ended::Orderly).is_err(), "{arguments}");
        let cut = finished(&[&piece], Ended::ByLimit).unwrap();
        assert_eq!((cut.calls.len(), cut.lost), (0, 1), "{arguments}");
    }
}

#[test]
fn null_before_the_arguments_is_nothing() {
    let pieces = [
        r#"{"index":0,"id":"a","function":{"name":"A","arguments":null}}"#,
        r#"{"index":0,"function":{"arguments":"{\"x\":1}"}}"#,
    ];
    assert_eq!(calls(&pieces), [call("a", "A", X)]);
}

#[test]
fn blanks_around_arguments_are_left_out() {
    let pieces = [
        piece(Some(0), "a", "A", " \n{\"x\":"),
        piece(Some(0), "", "", "1} "),
    ];
    assert_eq!(calls_of(&pieces), [call("a", "A", X)]);
}

#[test]
fn sixteen_megabytes_of_arguments_are_the_most() {
    let blanks = |count: usize| piece(Some(0), "a", "A", &" ".repeat(count));
    let mut calls = Calls::default();
    assert!(calls.is_empty());
    for _ in 0..4 {
        let piece = blanks(LARGEST / 4);
        calls.push(&serde_json::from_str(&piece).unwrap()).unwrap();
    }
    assert_eq!((calls.size(), calls.is_empty()), (LARGEST, false));
    assert!(
        calls
            .push(&serde_json::from_str(&blanks(1)).unwrap())
            .is_err()
    );
}

#[test]
fn the_most_calls_are_all_given_whole() {
    let objects: Vec<String> = (0..=MOST).map(|n| format!("{{\"n\":{n}}}")).collect();
    let of = |objects: &[String]| {
        let piece = piece(Some(0), "", "A", &objects.concat());
        finished(&[&piece], Ended::Orderly).map(|finished| finished.calls)
    };
    let calls = of(&objects[1..]).unwrap();
    assert!(calls.iter().map(|call| &call.arguments).eq(&objects[1..]));
    assert!(calls.iter().all(|call| call.name == "A"));
    assert!(of(&objects).is_err());
}

/// Writes JSON as careless models do: with a comma before every closing bracket.
struct Careless;

impl Formatter for Careless {
    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b",]")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b" , }")
    }
}

fn carelessly(value: &Value) -> String {
    let mut written = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut written, Careless);
    serde::Serialize::serialize(value, &mut serializer).unwrap();
    String::from_utf8(written).unwrap()
}

fn object() -> impl Strategy<Value = Value> {
    let text = "([a{}\\[\\],:\"\\\\ é]){0,4}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i32>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((text, inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    prop::collection::vec((text, value), 0..4)
        .prop_map(|fields| Value::Object(fields.into_iter().collect()))
}

proptest! {
    #[test]
    fn an_object_is_one_call_however_it_is_cut(object in object()) {
        let text = object.to_string();
        let pieces: Vec<String> = text
            .chars()
            .enumerate()
            .map(|(at, c)| if at == 0 { piece(Some(0), "a", "A", &c.to_string()) } else { piece(Some(0), "", "", &c.to_string()) })
            .collect();
        prop_assert_eq!(calls_of(&pieces), [call("a", "A", &text)]);
    }

    #[test]
    fn objects_one_after_another_are_a_call_each(first in object(), second in object(), cut in 0usize..200) {
        let (first, second) = (first.to_string(), second.to_string());
        prop_assume!(first != second);
        let both = format!("{first}{second}");
        let cut = both.floor_char_boundary(cut.clamp(1, both.len() - 1));
        // What follows an empty object in the next piece are the true arguments.
        prop_assume!(first != "{}" || cut != first.len());
        let (head, tail) = both.split_at(cut);
        let pieces = [piece(Some(0), "a", "A", head), piece(Some(0), "", "", tail)];
        prop_assert_eq!(calls_of(&pieces), [call("a", "A", &first), call("", "A", &second)]);
    }

    #[test]
    fn commas_brackets_and_what_follows_are_repaired(object in object(), after in "[\\]}x\"]?", open: bool) {
        prop_assume!(open || object != json!({}) || !after.is_empty());
        let mut careless = carelessly(&object);
        if open {
            let end = careless.trim_end_matches([' ', ',', ']', '}']).len();
            careless.truncate(end);
        } else {
            careless.push_str(&after);
        }
        let piece = piece(Some(0), "a", "A", &careless);
        let finished = finished(&[&piece], Ended::Orderly).unwrap();
        prop_assert_eq!(finished.repaired, 1);
        let given: Value = serde_json::from_str(&finished.calls[0].arguments).unwrap();
        prop_assert_eq!(given, object);
    }
}
