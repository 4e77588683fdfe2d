//! The order of turns, the repairs, and what becomes of every kind of block.

use serde_json::{Value, json};

use crate::protocol::anthropic::request::Request;
use crate::protocol::translate::build::tests::{CLAUDE, DEEPSEEK, GPT, body, known, sent, sent_to};
use crate::protocol::translate::convert_messages;
use crate::protocol::translate::envelope::{Detail, Envelope};
use crate::protocol::translate::model::Target;
use crate::protocol::translate::tool_ids::ToolIds;

const SIGNATURE: &str = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk=";

fn talk(messages: &Value) -> Value {
    body(&json!({"messages":messages}))
}

fn to(messages: impl std::borrow::Borrow<Value>, model: &str) -> Value {
    sent(&talk(messages.borrow()), model)["messages"].clone()
}

fn notes(messages: impl std::borrow::Borrow<Value>, model: &str) -> String {
    let (_, notes) = sent_to(&talk(messages.borrow()), &Target::new(model, None));
    notes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

fn user(content: impl Into<Value>) -> Value {
    json!({"role":"user","content":content.into()})
}

fn assistant(content: impl Into<Value>) -> Value {
    json!({"role":"assistant","content":content.into()})
}

fn call(id: &str) -> Value {
    json!({"type":"tool_use","id":id,"name":"T","input":{"a":1}})
}

fn result(id: &str, content: impl Into<Value>) -> Value {
    json!({"type":"tool_result","tool_use_id":id,"content":content.into()})
}

fn sent_call(id: &str) -> Value {
    json!({"id":id,"type":"function","function":{"name":"T","arguments":"{\"a\":1}"}})
}

fn sent_result(id: &str, content: &str) -> Value {
    json!({"role":"tool","tool_call_id":id,"content":content})
}

fn text(text: &str) -> Value {
    json!({"type":"text","text":text})
}

fn image() -> Value {
    json!({"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA"}})
}

fn sent_image() -> Value {
    json!({"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}})
}

#[test]
fn an_empty_document_leaves_no_empty_text() {
    let empty = json!({"type":"document","title":"","source":{"type":"text","media_type":"text/plain","data":" "}});
    let pdf = json!({"type":"document","context":" ","source":{"type":"url","url":"https://a"}});
    assert_eq!(
        to(json!([user(json!([empty]))]), GPT)[0]["content"],
        "(no content)"
    );
    let parts = &to(json!([user(json!([empty, pdf]))]), GPT)[0]["content"];
    assert_eq!(parts.as_array().map(Vec::len), Some(1));
}

#[test]
fn a_text_document_is_introduced_by_its_title_and_context() {
    for (title, context, expected) in [
        (json!(null), json!(null), "body"),
        (json!(" "), json!(" "), "body"),
        (json!("T"), json!(null), "Document: T\n\nbody"),
        (json!(null), json!("C"), "C\n\nbody"),
        (json!("T"), json!("C"), "Document: T\nC\n\nbody"),
    ] {
        let source = json!({"type":"text","media_type":"text/plain","data":"body"});
        let document = json!({"type":"document","title":title,"context":context,"source":source});
        let sent = to(json!([user(json!([document]))]), GPT);
        assert_eq!(sent[0]["content"], expected, "{title} {context}");
        let source = json!({"type":"content","content":[text("body"), text("more")]});
        let document = json!({"type":"document","title":title,"context":context,"source":source});
        let sent = to(json!([user(json!([document]))]), GPT);
        assert_eq!(
            sent[0]["content"],
            format!("{expected}\n\nmore"),
            "{title} {context}"
        );
    }
}

#[test]
fn a_file_is_called_by_its_title_and_ends_in_pdf() {
    for (title, name) in [
        (json!(null), "document.pdf"),
        (json!(" "), "document.pdf"),
        (json!("Report"), "Report.pdf"),
        (json!("Report.pdf"), "Report.pdf"),
        (json!("REPORT.PDF"), "REPORT.PDF"),
    ] {
        let document = json!({"type":"document","title":title,"context":"C","source":{"type":"url","url":"https://a"}});
        let sent = to(json!([user(json!([document]))]), GPT);
        assert_eq!(sent[0]["content"][0]["text"], "C");
        assert_eq!(sent[0]["content"][1]["file"]["filename"], name, "{title}");
    }
}

#[test]
fn citations_that_cannot_be_given_are_noted() {
    let on = json!({"enabled":true});
    let source = json!({"type":"text","media_type":"text/plain","data":"body"});
    let document =
        |citations: &Value| json!({"type":"document","source":source,"citations":citations});
    let found = |citations: &Value| json!({"type":"search_result","title":"T","source":"S","content":[text("x")],"citations":citations});
    for block in [document(&on), found(&on)] {
        assert!(notes(json!([user(json!([block]))]), GPT).contains("citations were asked"));
    }
    for block in [document(&json!({"enabled":false})), found(&json!(null))] {
        assert_eq!(notes(json!([user(json!([block]))]), GPT), "");
    }
}

#[test]
fn a_breakpoint_that_a_part_cannot_carry_moves_to_the_text_before_it() {
    let hour = json!({"type":"ephemeral","ttl":"1h"});
    let plain = json!({"type":"ephemeral"});
    let marked = |mut block: Value, cache: &Value| {
        block["cache_control"] = cache.clone();
        block
    };
    let pdf = json!({"type":"document","source":{"type":"url","url":"https://a"}});
    for block in [image(), pdf] {
        let sent = to(
            json!([user(json!([text("a"), marked(block.clone(), &plain)]))]),
            CLAUDE,
        );
        assert_eq!(sent[0]["content"][0]["cache_control"], plain);
        let own = marked(text("a"), &hour);
        let sent = to(json!([user(json!([own, marked(block, &plain)]))]), CLAUDE);
        assert_eq!(sent[0]["content"][0]["cache_control"], hour);
    }
    let found =
        |inner: &[Value]| json!({"type":"search_result","title":"T","source":"S","content":inner});
    let inner = [
        marked(text("x"), &plain),
        marked(text("y"), &hour),
        text("z"),
    ];
    let sent = to(json!([user(json!([found(&inner)]))]), CLAUDE);
    assert_eq!(sent[0]["content"][0]["cache_control"], hour);
    let sent = to(
        json!([user(json!([marked(found(&inner), &plain)]))]),
        CLAUDE,
    );
    assert_eq!(sent[0]["content"][0]["cache_control"], plain);
    let calls = json!([text("a"), marked(call("1"), &plain)]);
    let sent = to(
        json!([
            user("go"),
            assistant(calls),
            user(json!([marked(result("1", "R"), &hour)]))
        ]),
        CLAUDE,
    );
    assert_eq!(sent[1]["content"][0]["cache_control"], plain);
    assert_eq!(sent[2]["content"][0]["cache_control"], hour);
    // An image of a result goes to another message; its breakpoint stays with the words.
    let mixed = result("1", json!([text("R"), marked(image(), &hour)]));
    let sent = to(
        json!([
            user("go"),
            assistant(json!([call("1")])),
            user(json!([mixed]))
        ]),
        CLAUDE,
    );
    let words = sent[2]["content"].as_array().unwrap();
    assert_eq!(words.last().unwrap()["cache_control"], hour);
}

#[test]
fn a_breakpoint_of_a_block_that_is_told_in_words_stands_on_the_words() {
    let cache = json!({"type":"ephemeral"});
    for mut block in [
        json!({"type":"web_search_tool_result","tool_use_id":"s","content":[{"title":"T","url":"https://a"}]}),
        json!({"type":"mcp_tool_result","tool_use_id":"s","content":[text("R")]}),
        json!({"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"q"}}),
        json!({"type":"mcp_tool_use","id":"s","name":"m","input":{}}),
        json!({"type":"compaction","content":"We met."}),
    ] {
        block["cache_control"] = cache.clone();
        let messages = json!([
            user("go"),
            assistant(json!([text("a"), block])),
            user("more")
        ]);
        let sent = to(&messages, CLAUDE);
        let words = sent[1]["content"].as_array().unwrap();
        assert_eq!(words.len(), 2, "{block}");
        assert_eq!(words[0].get("cache_control"), None, "{block}");
        assert_eq!(words[1]["cache_control"], cache, "{block}");
        assert_eq!(notes(messages, CLAUDE), "", "{block}");
    }
    for mut block in [
        json!({"type":"web_search_tool_result","tool_use_id":"s","content":[]}),
        json!({"type":"compaction","content":"We met."}),
    ] {
        block["cache_control"] = cache.clone();
        let sent = to(json!([user(json!([block]))]), CLAUDE);
        assert_eq!(sent[0]["content"][0]["cache_control"], cache, "{block}");
    }
}

#[test]
fn a_breakpoint_without_a_text_is_noted() {
    let cache = json!({"type":"ephemeral"});
    let mut picture = image();
    picture["cache_control"] = cache.clone();
    let mut silent = call("1");
    silent["cache_control"] = cache;
    for messages in [
        json!([user(json!([picture]))]),
        json!([
            user("go"),
            assistant(json!([silent])),
            user(json!([result("1", "R")]))
        ]),
    ] {
        assert!(notes(messages, CLAUDE).contains("a cache breakpoint was left out"));
    }
}

#[test]
fn a_conversation_without_thoughts_is_the_same_otherwise() {
    let turn =
        |blocks: Value| talk(&json!([user("go"), assistant(blocks), user("more")])).to_string();
    let plain = turn(json!([text("said")]));
    let thoughtless = convert_messages(&Request::parse(&plain).unwrap()).unwrap();
    let thoughtful = turn(json!([thinking("t", SIGNATURE), text("said")]));
    let thoughtful = convert_messages(&Request::parse(&thoughtful).unwrap()).unwrap();
    assert_ne!(thoughtful.turns, thoughtless.turns);
    assert_eq!(thoughtful.without_thoughts().turns, thoughtless.turns);
}

#[test]
fn a_summary_that_is_blank_is_no_summary() {
    let compaction = |content: &Value| json!({"type":"compaction","content":content});
    for (content, is_told) in [
        (json!("We met."), true),
        (json!(" "), false),
        (json!(null), false),
    ] {
        let blocks = json!([compaction(&content), text("x")]);
        for messages in [
            json!([user("go"), assistant(blocks.clone()), user("more")]),
            json!([user(blocks)]),
        ] {
            let told = to(messages.clone(), GPT).to_string();
            assert_eq!(told.contains("Summary of"), is_told, "{messages}");
            let notes = notes(messages, GPT);
            assert_eq!(notes.contains("`compaction` block was left out"), !is_told);
        }
    }
}

#[test]
fn calls_of_servers_are_told_by_what_they_looked_for() {
    for (input, told) in [
        (json!({"query":"q"}), "[s: q]"),
        (json!({"url":"u"}), "[s: u]"),
        (
            json!({"query":"q","limit":5}),
            "[s: {\"query\":\"q\",\"limit\":5}]",
        ),
        (json!({"query":7}), "[s: {\"query\":7}]"),
        (json!({"code":"1+1"}), "[s: {\"code\":\"1+1\"}]"),
    ] {
        let block = json!({"type":"server_tool_use","id":"i","name":"s","input":input});
        let sent = to(
            json!([user("go"), assistant(json!([block])), user("more")]),
            GPT,
        );
        assert_eq!(sent[1]["content"], told);
    }
}

#[test]
fn p17_results_come_first_in_the_order_of_the_calls_and_texts_behind_them() {
    let messages = json!([
        user("go"),
        assistant(json!([text("I call."), call("a"), call("b")])),
        user(json!([
            text("first"),
            result("b", "B"),
            result("a", "A"),
            text("Tool loaded.")
        ]))
    ]);
    assert_eq!(
        to(messages, GPT),
        json!([
            user("go"),
            {"role":"assistant","content":"I call.","tool_calls":[sent_call("a"), sent_call("b")]},
            sent_result("a", "A"),
            sent_result("b", "B"),
            user("first\n\nTool loaded.")
        ])
    );
}

#[test]
fn results_may_come_in_several_messages_with_instructions_between_them() {
    let messages = json!([
        user("go"),
        assistant(json!([call("a"), call("b")])),
        user(json!([result("b", "B")])),
        {"role":"system","content":"note"},
        user(json!([result("a", "A")])),
        user("and now?")
    ]);
    let sent = to(messages, DEEPSEEK);
    assert_eq!(
        (&sent[2], &sent[3]),
        (&sent_result("a", "A"), &sent_result("b", "B"))
    );
    let reminded = user("<system-reminder>\nnote\n</system-reminder>\n\nand now?");
    assert_eq!(sent[4], reminded);
}

#[test]
fn an_answer_is_not_gone_on_with_because_all_that_followed_it_was_left_out() {
    let messages = json!([
        user("go"),
        assistant("Done."),
        user(json!([result("nobody", "R")]))
    ]);
    let sent = to(&messages, GPT);
    assert_eq!(sent[1]["content"], "Done.");
    assert_eq!(sent[2], json!({"role":"user","content":"(no content)"}));
    assert_eq!(sent.as_array().unwrap().len(), 3);
    assert!(notes(&messages, GPT).contains("no call before it has that id"));
}

#[test]
fn p16_a_call_without_a_result_is_answered_and_a_result_without_a_call_is_left_out() {
    let messages = json!([
        user("go"),
        assistant(json!([call("a"), call("b")])),
        user(json!([
            result("b", "B"),
            result("b", "again"),
            result("z", "Z")
        ])),
        assistant("done"),
        user(json!([result("a", "late")]))
    ]);
    let expected = json!([
        user("go"),
        {"role":"assistant","content":null,"tool_calls":[sent_call("a"), sent_call("b")]},
        sent_result("a", "[The tool call was interrupted and gave no result]"),
        sent_result("b", "B"),
        assistant("done")
    ]);
    let sent = to(messages.clone(), GPT);
    assert_eq!(
        sent.as_array().unwrap()[..5],
        expected.as_array().unwrap()[..]
    );
    let notes = notes(messages, GPT);
    for note in [
        "the call of `T` without a result",
        "the result of `b` was left out",
        "the result of `z`",
        "the result of `a`",
    ] {
        assert!(notes.contains(note), "{notes}");
    }
}

#[test]
fn a_conversation_may_end_with_calls() {
    let sent = to(json!([user("go"), assistant(json!([call("a")]))]), GPT);
    assert_eq!(sent[2]["role"], "tool");
    assert_eq!(sent.as_array().unwrap().len(), 3);
}

#[test]
fn messages_of_one_role_in_a_row_are_one() {
    let messages = json!([
        user("a"),
        user(json!([text("b"), text("c")])),
        assistant("d"),
        assistant(json!([text("e"), call("1")])),
        user(json!([result("1", "R")])),
        user("f")
    ]);
    assert_eq!(
        to(messages.clone(), GPT),
        json!([
            user("a\n\nb\n\nc"),
            {"role":"assistant","content":"d\n\ne","tool_calls":[sent_call("1")]},
            sent_result("1", "R"),
            user("f")
        ])
    );
    assert_eq!(
        to(messages, CLAUDE)[0]["content"],
        json!([text("a"), text("b"), text("c")])
    );
}

#[test]
fn calls_of_two_assistant_messages_in_a_row_are_answered_together() {
    let messages = json!([
        user("go"),
        assistant(json!([call("a")])),
        assistant(json!([call("b")])),
        user(json!([result("a", "A"), result("b", "B")]))
    ]);
    let sent = to(messages, GPT);
    assert_eq!(
        sent[1]["tool_calls"],
        json!([sent_call("a"), sent_call("b")])
    );
    assert_eq!(
        (&sent[2], &sent[3]),
        (&sent_result("a", "A"), &sent_result("b", "B"))
    );
}

#[test]
fn p08_ids_that_stand_twice_are_told_apart_the_same_way_each_time() {
    let turn = |id: &str, answer: &str| {
        [
            assistant(json!([call(id)])),
            user(json!([result(id, answer)])),
        ]
    };
    let mut messages = vec![user("go")];
    messages.extend(turn("call_0", "1"));
    let shorter = to(json!(messages), GPT);
    messages.extend(turn("call_0", "2"));
    messages.extend(turn("", "3"));
    let sent = to(json!(messages), GPT);
    assert_eq!(
        sent.as_array().unwrap()[..3],
        shorter.as_array().unwrap()[..]
    );
    assert_eq!(sent[3]["tool_calls"][0]["id"], "call_0_2");
    assert_eq!(sent[4], sent_result("call_0_2", "2"));
    assert_eq!(sent[5]["tool_calls"][0]["id"], "call");
    let twice = to(
        json!([
            user("go"),
            assistant(json!([call("x"), call("x")])),
            user(json!([result("x", "1"), result("x", "2")]))
        ]),
        GPT,
    );
    assert_eq!(
        (&twice[2], &twice[3]),
        (&sent_result("x", "1"), &sent_result("x_2", "2"))
    );
}

#[test]
fn mistral_gets_ids_of_its_own_form_and_no_user_behind_a_tool() {
    let messages = json!([
        user("go"),
        assistant(json!([call("toolu_01"), call("aB3dE6gH9")])),
        user(json!([
            result("toolu_01", "1"),
            result("aB3dE6gH9", "2"),
            text("more")
        ])),
        assistant(json!([call("toolu_02")])),
        user(json!([result("toolu_02", "3")]))
    ]);
    assert!(notes(&messages, "mistralai/devstral-medium").contains("“I see.”"));
    assert!(!notes(&messages, GPT).contains("“I see.”"));
    let sent = to(messages, "mistralai/devstral-medium");
    let id = sent[2]["tool_call_id"].as_str().unwrap();
    assert!(id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!(sent[1]["tool_calls"][0]["id"], id);
    assert_eq!(sent[3]["tool_call_id"], "aB3dE6gH9");
    let roles: Vec<_> = sent
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["role"].as_str().unwrap())
        .collect();
    assert_eq!(
        roles,
        [
            "user",
            "assistant",
            "tool",
            "tool",
            "assistant",
            "user",
            "assistant",
            "tool"
        ]
    );
}

#[test]
fn ids_for_mistral_are_made_of_all_letters_so_that_two_are_hardly_ever_the_same() {
    let sent_id = |id: &str| {
        let messages = json!([
            user("go"),
            assistant(json!([call(id)])),
            user(json!([result(id, "R")]))
        ]);
        let sent = to(messages, "mistralai/devstral");
        let id = sent[1]["tool_calls"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(sent[2]["tool_call_id"], id);
        id
    };
    let ids: Vec<String> = (0..60).map(|n| sent_id(&format!("call_{n}"))).collect();
    assert!(
        ids.iter()
            .all(|id| id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    );
    let letters: std::collections::BTreeSet<char> = ids.iter().flat_map(|id| id.chars()).collect();
    assert_eq!(letters.len(), 62);
    assert_eq!(sent_id("abcDEF123"), "abcDEF123");
    assert_ne!(sent_id("abcDEF12"), "abcDEF12");
    assert_ne!(sent_id("abcDEF_12"), "abcDEF_12");
}

#[test]
fn what_a_model_cannot_be_given_is_counted() {
    let blind = known(
        "x/blind",
        &json!({"architecture":{"input_modalities":["text"]}}),
    );
    let system = json!({"role":"system","content":"Mind."});
    let messages = json!([
        user(json!([image(), image(), text("a")])),
        assistant("b"),
        system,
        user("c"),
        assistant("d"),
        system,
        user("e")
    ]);
    let (_, notes) = sent_to(&talk(&messages), &blind);
    let told: Vec<&str> = notes
        .iter()
        .map(|note| note.as_str().split(' ').next().unwrap())
        .collect();
    assert_eq!(told, ["2", "2"], "{notes:?}");
    assert!(
        notes[0].as_str().contains("system message(s)") && notes[1].as_str().contains("image(s)")
    );
}

/// Two calls under the id that Kimi gave both, with the ids that the client knows them by.
fn kimis_calls() -> ([String; 2], Value) {
    let mut ids = ToolIds::new(Vec::new(), "msg_1");
    let (first, second) = (
        ids.outward("functions.Bash:0"),
        ids.outward("functions.Bash:0"),
    );
    let messages = json!([
        user("go"),
        assistant(json!([call(&first)])),
        user(json!([result(&first, "1")])),
        assistant(json!([call(&second)])),
        user(json!([result(&second, "2")]))
    ]);
    ([first, second], messages)
}

#[test]
fn p09_kimis_ids_go_to_other_models_as_the_client_knows_them() {
    let (ids, messages) = kimis_calls();
    assert_eq!(ids[0], "dgw_x0_ZnVuY3Rpb25zLkJhc2g6MA");
    assert_eq!(ids[1], "dgw_x1_ZnVuY3Rpb25zLkJhc2g6MA");
    for model in [CLAUDE, GPT, DEEPSEEK, "google/gemini-3-pro"] {
        let sent = to(&messages, model);
        for (turn, id) in [1_usize, 3].into_iter().zip(&ids) {
            assert_eq!(sent[turn]["tool_calls"][0]["id"], id.as_str(), "{model}");
            assert_eq!(sent[turn + 1]["tool_call_id"], id.as_str(), "{model}");
        }
    }
    let sent = to(&messages, "mistralai/devstral");
    assert_eq!(sent[1]["tool_calls"][0]["id"], sent[2]["tool_call_id"]);
    assert_ne!(sent[2]["tool_call_id"], sent[4]["tool_call_id"]);
}

#[test]
fn p09_kimis_ids_go_back_as_kimi_wrote_them() {
    let (_, messages) = kimis_calls();
    let sent = to(messages, "moonshotai/kimi-k2");
    assert_eq!(sent[1]["tool_calls"][0]["id"], "functions.Bash:0");
    assert_eq!(sent[2]["tool_call_id"], "functions.Bash:0");
    assert_eq!(
        (&sent[4]["tool_call_id"], &sent[4]["content"]),
        (&json!("functions.Bash:0"), &json!("2"))
    );
}

#[test]
fn p10_p11_names_in_the_history_are_those_that_are_offered() {
    let long = format!("mcp__{}", "n".repeat(80));
    let wish = body(&json!({
        "tools":[{"name":long,"input_schema":{}},{"name":"ToolSearch","input_schema":{}}],
        "messages":[user("go"), assistant(json!([{"type":"tool_use","id":"1","name":long,"input":{}}])),
            user(json!([result("1", json!([{"type":"tool_reference","tool_name":long}]))]))]}));
    let request = sent(&wish, GPT);
    let name = request["tools"][0]["function"]["name"].as_str().unwrap();
    assert_eq!(
        request["messages"][1]["tool_calls"][0]["function"]["name"],
        name
    );
    assert_eq!(
        request["messages"][2]["content"],
        format!("The tool {name} is now available.")
    );
}

#[test]
fn p19_parts_of_a_result_are_texts_and_not_json() {
    let messages = |content: Value| {
        json!([
            user("go"),
            assistant(json!([call("1")])),
            user(json!([result("1", content)]))
        ])
    };
    for (content, told) in [
        (json!([text("a"), text("b")]), "a\n\nb"),
        (json!(""), "(empty)"),
        (json!([]), "(empty)"),
        (json!([text(" \n")]), "(empty)"),
        (
            json!([{"type":"search_result","title":"T","source":"https://s","content":[text("c")]}]),
            "T\nSource: https://s\nc",
        ),
        (
            json!([{"type":"document","title":"D","source":{"type":"content","content":[text("inside")]}}]),
            "Document: D\n\ninside",
        ),
    ] {
        assert_eq!(to(messages(content), GPT)[2]["content"], told);
    }
    let absent = json!([
        user("go"),
        assistant(json!([call("1")])),
        user(json!([{"type":"tool_result","tool_use_id":"1"}]))
    ]);
    assert_eq!(to(absent, GPT)[2]["content"], "(empty)");
}

#[test]
fn a_failed_tool_says_so() {
    for (content, told) in [
        ("no file", "Error: no file"),
        (
            "<tool_use_error>x</tool_use_error>",
            "<tool_use_error>x</tool_use_error>",
        ),
        ("Error: x", "Error: x"),
        ("", "Error: (empty)"),
    ] {
        let failed =
            json!({"type":"tool_result","tool_use_id":"1","content":content,"is_error":true});
        assert_eq!(
            to(
                json!([
                    user("go"),
                    assistant(json!([call("1")])),
                    user(json!([failed]))
                ]),
                GPT
            )[2]["content"],
            told
        );
    }
}

#[test]
fn p68_images_of_results_follow_all_results_of_the_turn() {
    let messages = json!([
        user("go"),
        assistant(json!([call("a"), call("b")])),
        user(json!([
            result("b", json!([text("B"), image(), text("end")])),
            result("a", json!([image()])),
            text("see")
        ]))
    ]);
    let sent = to(messages, GPT);
    assert_eq!(sent[2], sent_result("a", "[An image is attached below.]"));
    assert_eq!(
        sent[3],
        sent_result("b", "B\n\n[An image is attached below.]\n\nend")
    );
    let label = text("[Attached to the result of T:]");
    assert_eq!(
        sent[4]["content"],
        json!([label, sent_image(), label, sent_image(), text("see")])
    );
}

#[test]
fn pdfs_of_results_follow_too() {
    let pdf = json!({"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"}});
    let messages = json!([
        user("go"),
        assistant(json!([call("1")])),
        user(json!([result(
            "1",
            json!([text("PDF file read: a.pdf"), pdf])
        )]))
    ]);
    let sent = to(messages, GPT);
    assert_eq!(
        sent[2]["content"],
        "PDF file read: a.pdf\n\n[A file is attached below.]"
    );
    assert_eq!(
        sent[3]["content"][1]["file"]["file_data"],
        "data:application/pdf;base64,JVBE"
    );
}

#[test]
fn p74_instructions_stay_in_their_place() {
    let messages = json!([
        user("a"),
        {"role":"system","content":"Environment \"x\""},
        assistant("b"),
        {"role":"system","content":[text("<system-reminder>own</system-reminder>"), text("")]},
        {"role":"system","content":[],"output_config":{"effort":"low"}}
    ]);
    assert_eq!(
        to(messages.clone(), GPT),
        json!([user("a"), {"role":"system","content":"Environment \"x\""}, assistant("b"), {"role":"system","content":"<system-reminder>own</system-reminder>"}])
    );
    assert_eq!(
        to(messages.clone(), DEEPSEEK),
        json!([
            user("a\n\n<system-reminder>\nEnvironment \"x\"\n</system-reminder>"),
            assistant("b"),
            user("<system-reminder>own</system-reminder>")
        ])
    );
    assert!(notes(messages, DEEPSEEK).starts_with("2 system message(s) in mid-conversation"));
}

#[test]
fn p71_p72_nothing_empty_is_sent() {
    for (messages, sent) in [
        (json!([user("")]), json!([user("(no content)")])),
        (
            json!([user("a"), assistant(""), user("b")]),
            json!([user("a\n\nb")]),
        ),
        (
            json!([
                user("a"),
                assistant(json!([])),
                user(json!([text(" "), text("b")]))
            ]),
            json!([user("a\n\nb")]),
        ),
        (
            json!([
                user("a"),
                assistant("b"),
                user(json!([])),
                assistant("c"),
                user("d")
            ]),
            json!([
                user("a"),
                assistant("b"),
                user("(no content)"),
                assistant("c"),
                user("d")
            ]),
        ),
        (
            json!([assistant("hello"), user("a")]),
            json!([user("(no content)"), assistant("hello"), user("a")]),
        ),
        (
            json!([
                user("a"),
                assistant(json!([{"type":"thinking","thinking":"t","signature":SIGNATURE}])),
                user("b")
            ]),
            json!([user("a\n\nb")]),
        ),
    ] {
        assert_eq!(to(messages.clone(), GPT), sent, "{messages}");
    }
    let text = talk(&json!([{"role":"system","content":""}])).to_string();
    let request = Request::parse(&text).unwrap();
    assert_eq!(convert_messages(&request).unwrap_err().path, "messages");
}

#[test]
fn a_prefill_is_continued_by_the_model_or_on_request() {
    let messages = |end: &str| json!([user("a"), assistant(end)]);
    for (end, kept) in [
        ("{ \n\t ", "{"),
        ("x", "x"),
        ("C:\\n", "C:\\n"),
        ("a\\\\n\n", "a\\\\n"),
    ] {
        assert_eq!(to(messages(end), CLAUDE), messages(kept));
    }
    let sent = to(messages("x "), GPT);
    assert_eq!(sent[1], assistant("x"));
    assert!(
        sent[2]["content"]
            .as_str()
            .unwrap()
            .starts_with("Go on exactly")
    );
    assert!(notes(messages("x"), "anthropic/claude-opus-5.5").contains("asked to go on"));
}

fn thinking(text: &str, signature: &str) -> Value {
    json!({"type":"thinking","thinking":text,"signature":signature})
}

fn detail(kind: &str, format: &str, id: Option<&str>) -> Detail {
    Detail {
        kind: kind.to_owned(),
        data: (kind == "reasoning.encrypted").then(|| "gAAA".to_owned()),
        format: Some(format.to_owned()),
        id: id.map(ToOwned::to_owned),
        ..Detail::default()
    }
}

fn packed(model: &str, visible: &str, details: Vec<Detail>) -> Value {
    thinking(
        visible,
        &Envelope::new(model, visible, String::new(), details).pack(),
    )
}

fn thought(block: &Value) -> Value {
    json!([
        user("go"),
        assistant(json!([block, text("said")])),
        user("more")
    ])
}

#[test]
fn a_claude_signature_goes_back_to_claude_and_to_nobody_else() {
    let messages = thought(&thinking("I \"think\".", SIGNATURE));
    let details = json!([{"type":"reasoning.text","text":"I \"think\".","signature":SIGNATURE,"format":"anthropic-claude-v1","index":0}]);
    assert_eq!(
        to(messages.clone(), CLAUDE)[1]["reasoning_details"],
        details
    );
    let gpt = to(messages.clone(), GPT)[1].clone();
    assert_eq!(gpt, assistant("said"));
    assert!(notes(messages.clone(), GPT).contains("1 earlier thought(s)"));
    assert_eq!(to(messages, DEEPSEEK)[1]["reasoning"], "I \"think\".");
}

#[test]
fn p38_thoughts_keep_their_order_and_redacted_ones_their_place() {
    let blocks = json!([thinking("a", SIGNATURE), {"type":"redacted_thinking","data":"RRR"}, thinking("b", SIGNATURE), text("said")]);
    let details =
        to(json!([user("go"), assistant(blocks), user("more")]), CLAUDE)[1]["reasoning_details"]
            .clone();
    assert_eq!(details.as_array().unwrap().len(), 3);
    assert_eq!(
        details[1],
        json!({"type":"reasoning.encrypted","data":"RRR","format":"anthropic-claude-v1","index":1})
    );
    assert_eq!(
        (&details[2]["text"], &details[2]["index"]),
        (&json!("b"), &json!(2))
    );
}

#[test]
fn p26_an_envelope_gives_its_details_back() {
    let mut summary = detail("reasoning.summary", "openai-responses-v1", None);
    summary.visible = Some(4);
    let encrypted = detail("reasoning.encrypted", "openai-responses-v1", Some("rs_1"));
    let block = packed(GPT, "Hmm.", vec![summary, encrypted]);
    assert_eq!(
        to(thought(&block), "openai/gpt-5-mini")[1]["reasoning_details"],
        json!([
            {"type":"reasoning.summary","summary":"Hmm.","format":"openai-responses-v1"},
            {"type":"reasoning.encrypted","data":"gAAA","id":"rs_1","format":"openai-responses-v1"}])
    );
}

#[test]
fn p25_details_of_two_kinds_may_share_an_id() {
    let kinds = ["reasoning.summary", "reasoning.encrypted"];
    let details = kinds.map(|kind| detail(kind, "openai-responses-v1", Some("rs_1")));
    let block = packed(GPT, "", details.to_vec());
    let sent = to(thought(&block), GPT);
    let sent = sent[1]["reasoning_details"].as_array().unwrap();
    let names: Vec<_> = sent.iter().map(|detail| &detail["type"]).collect();
    assert_eq!(names, kinds);
    assert!(sent.iter().all(|detail| detail["id"] == "rs_1"), "{sent:?}");
}

#[test]
fn p25_the_same_detail_goes_back_once() {
    let block = packed(
        GPT,
        "",
        vec![detail(
            "reasoning.encrypted",
            "openai-responses-v1",
            Some("rs_1"),
        )],
    );
    let messages = json!([
        user("1"),
        assistant(json!([block, text("a")])),
        user("2"),
        assistant(json!([block, text("b")])),
        user("3")
    ]);
    let sent = to(messages, GPT);
    assert_eq!(sent[1]["reasoning_details"][0]["id"], "rs_1");
    assert_eq!(sent[3], assistant("b"));
}

#[test]
fn a_detail_that_names_a_call_goes_back_under_the_id_of_the_call() {
    let outward = "dgw_x0_dG9vbDow";
    // Older envelopes hold the upstream's own id.
    for named in [outward, "tool:0"] {
        for (model, format, id) in [
            ("google/gemini-3-pro", "google-gemini-v1", outward),
            ("moonshotai/kimi-k2", "unknown", "tool:0"),
        ] {
            let details = ["rs_1", named]
                .map(|id| detail("reasoning.encrypted", format, Some(id)))
                .to_vec();
            let messages = json!([
                user("go"),
                assistant(json!([packed(model, "", details), call(outward)])),
                user(json!([result(outward, "R")]))
            ]);
            let sent = to(messages, model);
            assert_eq!(sent[1]["tool_calls"][0]["id"], id);
            assert_eq!(sent[1]["reasoning_details"][0]["id"], "rs_1");
            assert_eq!(sent[1]["reasoning_details"][1]["id"], id, "{named}");
            assert_eq!(sent[2]["tool_call_id"], id);
        }
    }
}

#[test]
fn p27_foreign_details_stay_behind_after_a_switch_of_model() {
    let block = packed(
        GPT,
        "",
        vec![detail(
            "reasoning.encrypted",
            "openai-responses-v1",
            Some("rs_1"),
        )],
    );
    for model in [CLAUDE, "google/gemini-3-pro", "x-ai/grok-4"] {
        assert_eq!(to(thought(&block), model)[1], assistant("said"), "{model}");
    }
    assert!(notes(thought(&block), CLAUDE).contains("1 earlier thought(s)"));
}

#[test]
fn a_tool_loop_that_another_model_began_goes_on_without_reasoning() {
    let foreign = packed(
        GPT,
        "",
        vec![detail(
            "reasoning.encrypted",
            "openai-responses-v1",
            Some("rs_1"),
        )],
    );
    let own = thinking("t", SIGNATURE);
    let turn = |block: &Value, id: &str| {
        [
            assistant(json!([block, call(id)])),
            user(json!([result(id, "R")])),
        ]
    };
    let reasoning = |first: &Value, second: &Value, end: &[Value], model: &str| {
        let mut messages = vec![user("go")];
        messages.extend(turn(first, "1"));
        messages.extend(turn(second, "2"));
        messages.extend_from_slice(end);
        let mut wish = talk(&json!(messages));
        wish["thinking"] = json!({"type":"enabled","budget_tokens":2000});
        sent(&wish, model)["reasoning"].clone()
    };
    let on = json!({"max_tokens":2000});
    let off = json!({"effort":"none"});
    assert_eq!(reasoning(&foreign, &own, &[], CLAUDE), off);
    assert_eq!(reasoning(&own, &text("calls"), &[], CLAUDE), on);
    assert_eq!(reasoning(&foreign, &foreign, &[user("next")], CLAUDE), on);
    let newer = reasoning(&foreign, &own, &[], "anthropic/claude-opus-4.6");
    assert_eq!(newer, on, "newer ones do not mind");
    let adaptive = reasoning(&foreign, &own, &[], "anthropic/claude-opus-5.5");
    assert_eq!(adaptive, json!({"effort":"low"}));
}

#[test]
fn p28_geminis_signature_of_a_call_goes_back_with_the_call() {
    let encrypted = detail("reasoning.encrypted", "google-gemini-v1", Some("tool_T_x1"));
    let block = packed("google/gemini-3-pro", "", vec![encrypted]);
    let messages = json!([
        user("go"),
        assistant(json!([block, call("tool_T_x1")])),
        user(json!([result("tool_T_x1", "R")]))
    ]);
    let sent = to(messages, "google/gemini-3-flash");
    assert_eq!(
        sent[1]["reasoning_details"][0]["id"],
        sent[1]["tool_calls"][0]["id"]
    );
}

#[test]
fn anthropics_own_blocks_are_counted_on_behind_what_an_envelope_carries() {
    let signed = |text: &str| {
        let mut detail = detail("reasoning.text", "anthropic-claude-v1", None);
        detail.text = Some(text.to_owned());
        detail.signature = Some(SIGNATURE.to_owned());
        detail
    };
    let packed = packed(CLAUDE, "other", vec![signed("a"), signed("b")]);
    let blocks = json!([packed, thinking("c", SIGNATURE), {"type":"redacted_thinking","data":"R"}, thinking("d", SIGNATURE), text("said")]);
    let sent = to(json!([user("go"), assistant(blocks), user("more")]), CLAUDE);
    let details = sent[1]["reasoning_details"].as_array().unwrap();
    let told: Vec<_> = details
        .iter()
        .map(|detail| (detail["text"].as_str(), detail["index"].as_u64()))
        .collect();
    let (a, b, c, d) = (Some("a"), Some("b"), Some("c"), Some("d"));
    assert_eq!(
        told,
        [
            (a, None),
            (b, None),
            (c, Some(2)),
            (None, Some(3)),
            (d, Some(4))
        ]
    );
}

#[test]
fn every_thought_that_cannot_be_read_is_counted() {
    let own = || {
        packed(
            GPT,
            "",
            vec![detail(
                "reasoning.encrypted",
                "openai-responses-v1",
                Some("rs_1"),
            )],
        )
    };
    let plain = packed(GPT, "plain", vec![]);
    let redacted = json!({"type":"redacted_thinking","data":"R"});
    let claudes = thinking("c", SIGNATURE);
    for (blocks, left_out) in [
        (vec![own()], 0),
        (vec![claudes.clone()], 1),
        (vec![claudes.clone(), claudes.clone(), redacted.clone()], 3),
        (vec![own(), claudes, redacted], 2),
        (vec![own(), own()], 1),
        (vec![own(), plain.clone()], 1),
        (vec![plain], 0),
    ] {
        let mut content = blocks.clone();
        content.push(text("said"));
        let messages = json!([user("go"), assistant(content), user("more")]);
        let expected = format!("{left_out} earlier thought(s)");
        let notes = notes(messages, GPT);
        assert_eq!(
            notes.contains(&expected),
            left_out > 0,
            "{blocks:?}: {notes}"
        );
    }
}

#[test]
fn a_model_that_wants_words_gets_those_of_every_thought() {
    let hidden = thinking(
        "",
        &Envelope::new(GPT, "", "hidden ".to_owned(), vec![]).pack(),
    );
    let blocks = json!([
        packed(GPT, "packed ", vec![]),
        hidden,
        thinking("signed ", SIGNATURE),
        thinking("plain", "1712345678901"),
        text("said")
    ]);
    let messages = json!([user("go"), assistant(blocks), user("more")]);
    assert_eq!(
        to(messages, DEEPSEEK)[1]["reasoning"],
        "packed hidden signed plain"
    );
}

#[test]
fn p31_p32_a_signature_that_means_nothing_is_not_sent() {
    for signature in ["1712345678901", "", "dgw1.broken"] {
        let sent = to(thought(&thinking("t", signature)), CLAUDE);
        assert_eq!(sent[1], assistant("said"), "{signature}");
    }
    let without = json!({"type":"thinking","thinking":"t"});
    assert_eq!(to(thought(&without), CLAUDE)[1], assistant("said"));
    assert_eq!(to(thought(&without), DEEPSEEK)[1]["reasoning"], "t");
}

#[test]
fn a_thought_whose_text_was_changed_is_not_given_back_as_signed() {
    let mut block = packed(
        GPT,
        "long thought",
        vec![detail("reasoning.encrypted", "openai-responses-v1", None)],
    );
    block["thinking"] = json!("short");
    assert_eq!(to(thought(&block), GPT)[1], assistant("said"));
    assert!(notes(thought(&block), GPT).contains("another text"));
}

#[test]
fn redacted_and_unsigned_details_are_not_given_back() {
    let mut hidden = detail("reasoning.encrypted", "openai-responses-v1", None);
    hidden.data = Some("[REDACTED]".to_owned());
    assert_eq!(
        to(thought(&packed(GPT, "", vec![hidden])), GPT)[1],
        assistant("said")
    );
    let mut unsigned = detail("reasoning.text", "google-gemini-v1", None);
    unsigned.text = Some("t".to_owned());
    assert_eq!(
        to(
            thought(&packed("google/gemini-3-pro", "", vec![unsigned])),
            "google/gemini-3-pro"
        )[1],
        assistant("said")
    );
}

#[test]
fn p26_models_that_want_their_thoughts_back_always_get_the_field_beside_calls() {
    let messages = |blocks: Value| {
        json!([
            user("go"),
            assistant(blocks),
            user(json!([result("1", "R")]))
        ])
    };
    assert_eq!(
        to(messages(json!([call("1")])), DEEPSEEK)[1]["reasoning"],
        ""
    );
    assert_eq!(
        to(messages(json!([call("1")])), GPT)[1].get("reasoning"),
        None
    );
    let block = packed(DEEPSEEK, "so", vec![]);
    assert_eq!(
        to(messages(json!([block, call("1")])), DEEPSEEK)[1]["reasoning"],
        "so"
    );
}

#[test]
fn what_anthropics_servers_did_is_told_in_words() {
    let messages = json!([
        user("go"),
        assistant(json!([
            {"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"rust"}},
            {"type":"web_search_tool_result","tool_use_id":"s","content":[{"type":"web_search_result","title":"Rust","url":"https://rust-lang.org","encrypted_content":"zzz"}]},
            {"type":"web_fetch_tool_result","tool_use_id":"f","content":{"type":"web_fetch_result","url":"https://a.org","content":{"type":"document","title":"A","source":{"type":"text","media_type":"text/plain","data":"page"}}}},
            {"type":"code_execution_tool_result","tool_use_id":"c","content":{"type":"code_execution_result","stdout":"4","stderr":"","return_code":0,"content":[]}},
            {"type":"web_search_tool_result","tool_use_id":"e","content":{"type":"web_search_tool_result_error","error_code":"unavailable"}},
            {"type":"mcp_tool_result","tool_use_id":"m","is_error":true,"content":[{"type":"text","text":"broken"}]},
            text("So.")
        ])),
        user("more")
    ]);
    assert_eq!(
        to(messages, GPT)[1]["content"],
        "[web_search: rust]\n\n[Result of web_search]\nRust — https://rust-lang.org\n\n[Result of web_fetch]\nhttps://a.org\nA\npage\n\n[Result of code_execution]\n4\n\n[Result of web_search]\nunavailable\n\n[Error of mcp]\nbroken\n\nSo."
    );
}

#[test]
fn a_compaction_is_a_summary_and_markers_are_noted() {
    let messages = json!([
        user("go"),
        assistant(
            json!([{"type":"compaction","content":"We did \"x\"."}, {"type":"fallback","from":{"model":"a"},"to":{"model":"b"}}])
        ),
        user(json!([{"type":"container_upload","file_id":"f"}, text("more")]))
    ]);
    let sent = to(messages.clone(), GPT);
    assert_eq!(
        sent[1]["content"],
        "Summary of the conversation so far:\nWe did \"x\"."
    );
    let notes = notes(messages, GPT);
    assert!(
        notes.contains("`fallback` block was left out")
            && notes.contains("`container_upload` block was left out"),
        "{notes}"
    );
}

#[test]
fn a_result_without_text_is_noted_once_and_only_where_something_is_encrypted() {
    let ran = |content: Value| json!({"type":"code_execution_tool_result","tool_use_id":"s","content":content});
    let silent = ran(
        json!({"type":"code_execution_result","stdout":"","stderr":"","return_code":0,"content":[]}),
    );
    let found = json!({"type":"web_search_tool_result","tool_use_id":"s","content":[{"encrypted_content":""}]});
    let sealed = ran(
        json!({"type":"encrypted_code_execution_result","encrypted_stdout":"e","stderr":"","return_code":0,"content":[]}),
    );
    let of = |results: &[&Value]| {
        let mut turns = vec![user("go")];
        turns.extend(
            results
                .iter()
                .map(|&result| assistant(json!([result, text("so")]))),
        );
        turns.push(user("on"));
        notes(Value::from(turns), GPT)
    };
    assert_eq!(of(&[&silent, &found]), "");
    let noted = of(&[&sealed, &silent, &sealed]);
    assert_eq!(noted.lines().count(), 1, "{noted}");
    assert!(noted.contains("told as `(no text)`"), "{noted}");
}

#[test]
fn a_text_goes_on_with_the_one_before_unless_something_stands_between_them() {
    let goes_on = |blocks: Value| {
        let messages = json!([
            {"role":"user","content":"go"},
            {"role":"assistant","content":"before"},
            {"role":"assistant","content":blocks},
            {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}
        ]);
        let body = json!({"model":"m","max_tokens":9,"messages":messages}).to_string();
        let request = Request::parse(&body).unwrap();
        let messages = convert_messages(&request).unwrap();
        let Some(super::Turn::Assistant(turn)) = messages.turns.get(1) else {
            panic!("{:?}", messages.turns);
        };
        let goes_on = turn.texts.iter().map(|text| text.goes_on);
        goes_on.skip(1).collect::<Vec<_>>()
    };
    let search = json!({"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"q"}});
    let thought = json!({"type":"thinking","thinking":"hm","signature":""});
    let said = |said: &str| json!({"type":"text","text":said});
    let (a, b) = (said("a"), said("b"));
    assert_eq!(goes_on(json!([a, b])), [false, true]);
    assert_eq!(goes_on(json!([a, thought, b])), [false, true]);
    assert_eq!(goes_on(json!([a, said(""), b])), [false, true]);
    assert_eq!(goes_on(json!([a, said(" "), b])), [false, false]);
    assert_eq!(
        goes_on(json!([a, search, b, a])),
        [false, false, false, true]
    );
}
