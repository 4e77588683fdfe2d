//! What goes upstream for which model: limits, caching, reasoning, tools, formats, and one whole turn of Claude Code.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::protocol::anthropic::request::Request;
use crate::protocol::openrouter::catalogue::{Catalogue, Entry};
use crate::protocol::translate::dialect::{Dialect, LimitField, ReasoningField};
use crate::protocol::translate::envelope::{Detail, Envelope};
use crate::protocol::translate::model::Target;
use crate::protocol::translate::tokens;
use crate::protocol::translate::{Note, convert_messages, convert_tools};

pub(in crate::protocol::translate) const CLAUDE: &str = "anthropic/claude-sonnet-4.5";
pub(in crate::protocol::translate) const GPT: &str = "openai/gpt-5";
pub(in crate::protocol::translate) const DEEPSEEK: &str = "deepseek/deepseek-v3.2";

/// A request with one user message, and `changes` to it.
pub(in crate::protocol::translate) fn body(changes: &Value) -> Value {
    let mut body =
        json!({"model":"m","max_tokens":50_000,"messages":[{"role":"user","content":"hi"}]});
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// What a target knows is what an entry of the catalogue says.
pub(in crate::protocol::translate) fn known(id: &str, entry: &Value) -> Target {
    let mut entry = entry.clone();
    entry["id"] = id.into();
    let entry: Entry = serde_json::from_value(entry).unwrap();
    Target::new(id, Some(&entry))
}

fn built(body: &Value, target: &Target, routing: &Routing<'_>) -> Built {
    let text = body.to_string();
    let request = Request::parse(&text).unwrap();
    let messages = convert_messages(&request).unwrap();
    let tools = convert_tools(&request).unwrap();
    build_request(&request, &messages, &tools, target, routing).unwrap()
}

/// The upstream request and its notes.
pub(in crate::protocol::translate) fn sent_to(body: &Value, target: &Target) -> (Value, Vec<Note>) {
    let built = built(body, target, &Routing::default());
    (serde_json::from_slice(&built.body).unwrap(), built.notes)
}

/// The upstream request for a model that no catalogue knows.
pub(in crate::protocol::translate) fn sent(body: &Value, model: &str) -> Value {
    sent_to(body, &Target::new(model, None)).0
}

fn notes(body: &Value, target: &Target) -> String {
    let notes = sent_to(body, target).1;
    notes
        .iter()
        .map(Note::as_str)
        .collect::<Vec<_>>()
        .join("\n")
}

fn tool(name: &str) -> Value {
    json!({"name":name,"input_schema":{"type":"object","properties":{}}})
}

#[test]
fn an_ordinary_request_becomes_an_ordinary_request() {
    let body = body(&json!({"stream":true,"temperature":0.5,"stop_sequences":["END"]}));
    assert_eq!(
        sent(&body, GPT),
        json!({"model":GPT,"messages":[{"role":"user","content":"hi"}],"max_tokens":50_000,
            "temperature":0.5,"stop":["END"],"stream":true,"stream_options":{"include_usage":true}})
    );
}

#[test]
fn p59_p60_max_tokens_is_what_the_model_takes() {
    let model = |output: Value, context: Value| {
        known(
            GPT,
            &json!({"context_length":context,"top_provider":{"max_completion_tokens":output}}),
        )
    };
    for (asked, target, expected) in [
        (128_000, model(json!(64_000), json!(400_000)), 64_000),
        (1000, model(json!(64_000), json!(400_000)), 1000),
        (128_000, model(json!(null), json!(null)), 128_000),
        (128_000, model(json!(0), json!(0)), 128_000),
        (128_000, model(json!(null), json!(131_072)), 128_000),
        (131_000, model(json!(null), json!(32_768)), 32_759),
        (50_000, model(json!(null), json!(100)), 4096),
        (1, model(json!(64_000), json!(null)), 16),
    ] {
        let body = body(&json!({"max_tokens":asked}));
        let (sent, notes) = sent_to(&body, &target);
        assert_eq!(sent["max_tokens"], expected, "{asked}");
        assert_eq!(notes.is_empty(), asked == expected);
    }
    assert_eq!(
        sent(&body(&json!({"max_tokens":1})), CLAUDE)["max_tokens"],
        1
    );
}

#[test]
fn what_context_editing_clears_leaves_room_for_the_answer() {
    let result = json!({"type":"tool_result","tool_use_id":"a","content":"word ".repeat(20_000)});
    let wish = |edits: &Value| {
        body(&json!({"context_management":{"edits":edits},"messages":[
        {"role":"user","content":"go"},
        {"role":"assistant","content":[{"type":"tool_use","id":"a","name":"Read","input":{}}]},
        {"role":"user","content":[result]}]}))
    };
    let target = known(GPT, &json!({"context_length":32_768}));
    let room = |edits: &Value| {
        sent_to(&wish(edits), &target).0["max_tokens"]
            .as_u64()
            .unwrap()
    };
    let cleared = json!([{"type":"clear_tool_uses_20250919","trigger":{"type":"tool_uses","value":0},"keep":{"type":"tool_uses","value":0}}]);
    assert_eq!(room(&json!([])), 4096);
    assert!(room(&cleared) > 30_000);
}

#[test]
fn sampling_is_left_out_where_it_would_be_refused() {
    let wish = body(&json!({"temperature":0.2,"top_p":0.9,"top_k":5}));
    let picky = known("openai/o3", &json!({"supported_parameters":["top_p"]}));
    let (request, notes) = sent_to(&wish, &picky);
    assert_eq!(
        (
            &request["temperature"],
            &request["top_p"],
            &request["top_k"]
        ),
        (&json!(null), &json!(0.9), &json!(null))
    );
    assert!(notes[0].as_str().contains("`temperature`, `top_k`"));
    let newer = sent(&wish, "anthropic/claude-opus-5.5");
    assert_eq!(
        (&newer["temperature"], &newer["top_p"]),
        (&json!(null), &json!(null))
    );
    assert_eq!(sent(&wish, CLAUDE)["top_k"], 5);
}

#[test]
fn four_stop_sequences_are_sent_and_blank_ones_never() {
    let wish = body(&json!({"stop_sequences":["", " \n","a","b","c","d","e"]}));
    assert_eq!(sent(&wish, GPT)["stop"], json!(["a", "b", "c", "d"]));
    assert!(notes(&wish, &Target::new(GPT, None)).contains("1 of 5 stop sequences"));
    assert_eq!(
        sent(&body(&json!({"stop_sequences":["\n"]})), GPT)["stop"],
        json!(null)
    );
}

#[test]
fn p73_fields_that_only_anthropic_knows_are_left_out_with_a_note() {
    let wish = body(
        &json!({"context_management":{"edits":[]},"diagnostics":{},"safeguards":[{"cwd":"/home/me"}],"brand_new":1,
        "output_config":{"task_budget":{"type":"tokens","total":5}},"fallbacks":[{"model":"x"}]}),
    );
    let (request, notes) = sent_to(&wish, &Target::new(GPT, None));
    assert_eq!(request.as_object().unwrap().len(), 4);
    assert_eq!(
        notes[0].as_str(),
        "`diagnostics`, `safeguards`, `brand_new`, `output_config.task_budget`, `fallbacks` was left out, because chat completions have no such field"
    );
}

#[test]
fn p61_the_billing_line_is_left_out_of_the_system_prompt() {
    let wish = body(&json!({"system":[
        {"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.330.b85; cc_entrypoint=sdk-cli;"},
        {"type":"text","text":"You are."},{"type":"text","text":""},{"type":"text","text":"Do."}]}));
    assert_eq!(
        sent(&wish, GPT)["messages"][0],
        json!({"role":"system","content":"You are.\n\nDo."})
    );
    assert_eq!(
        sent(&wish, CLAUDE)["messages"][0]["content"],
        json!([{"type":"text","text":"You are."},{"type":"text","text":"Do."}])
    );
    assert!(notes(&wish, &Target::new(GPT, None)).contains("billing line"));
    // A prompt in one text begins with the line and goes on.
    let billing = "x-anthropic-billing-header: cc_version=2.1; a\\b";
    for (prompt, left) in [
        (
            format!("{billing}\nYou are.\n\nDo."),
            Some("You are.\n\nDo."),
        ),
        (format!("{billing}\n \n"), None),
        (billing.to_owned(), None),
    ] {
        let wish = body(&json!({ "system": prompt }));
        let first = &sent(&wish, GPT)["messages"][0];
        match left {
            Some(left) => assert_eq!(*first, json!({"role":"system","content":left})),
            None => assert_eq!(first["role"], "user"),
        }
        assert!(notes(&wish, &Target::new(GPT, None)).contains("billing line"));
    }
}

#[test]
fn p62_the_safety_check_gets_its_few_tokens_and_its_stop() {
    let wish = body(
        &json!({"max_tokens":64,"stop_sequences":["</severity>"],"thinking":{"type":"disabled"},"system":"Judge."}),
    );
    let reasoning = json!({"supported_parameters":["reasoning"],"reasoning":{"mandatory":false,"default_enabled":true}});
    let (request, _) = sent_to(&wish, &known(DEEPSEEK, &reasoning));
    assert_eq!(request["reasoning"], json!({"effort":"none"}));
    assert_eq!(request["stop"], json!(["</severity>"]));
    assert_eq!(request["stream"], false);
    assert_eq!(
        request["messages"],
        json!([{"role":"system","content":"Judge."},{"role":"user","content":"hi"}])
    );
}

#[test]
fn effort_of_a_turn_beats_effort_of_the_request() {
    let wish = body(
        &json!({"thinking":{"type":"adaptive"},"output_config":{"effort":"high"},
        "messages":[{"role":"user","content":"a"},{"role":"system","content":[],"output_config":{"effort":"low"}}]}),
    );
    assert_eq!(sent(&wish, GPT)["reasoning"], json!({"effort":"low"}));
}

fn cached(text: &str) -> Value {
    json!({"type":"text","text":text,"cache_control":{"type":"ephemeral","ttl":"1h"}})
}

#[test]
fn cache_breakpoints_go_to_the_families_that_know_them() {
    let wish = body(
        &json!({"system":[cached("S")],"messages":[{"role":"user","content":[cached("U")]}],"cache_control":{"type":"ephemeral"}}),
    );
    let part =
        |text: &str, cache: Value| json!([{"type":"text","text":text,"cache_control":cache}]);
    let hour = json!({"type":"ephemeral","ttl":"1h"});
    let request = sent(&wish, CLAUDE);
    assert_eq!(request["messages"][0]["content"], part("S", hour.clone()));
    assert_eq!(request["messages"][1]["content"], part("U", hour));
    assert_eq!(request["cache_control"], json!({"type":"ephemeral"}));
    let request = sent(&wish, "google/gemini-3-pro");
    assert_eq!(
        request["messages"][1]["content"],
        part("U", json!({"type":"ephemeral"}))
    );
    let text = sent(&wish, GPT).to_string();
    assert!(!text.contains("cache_control"), "{text}");
}

#[test]
fn p63_at_most_four_breakpoints_are_sent_and_the_best_are_kept() {
    let mut marked = tool("A");
    marked["cache_control"] = json!({"type":"ephemeral"});
    let wish = body(
        &json!({"tools":[marked.clone(), {"name":"B","input_schema":{},"cache_control":{"type":"ephemeral"}}],
        "system":[cached("1"), cached("2")],
        "messages":[{"role":"user","content":[cached("3"), cached("4")]},{"role":"assistant","content":[cached("5")]},{"role":"user","content":[cached("6")]}]}),
    );
    let (request, notes) = sent_to(&wish, &Target::new(CLAUDE, None));
    let text = request.to_string();
    assert_eq!(text.matches("cache_control").count(), 4);
    assert!(
        notes
            .iter()
            .any(|note| note.as_str().starts_with("4 cache breakpoint(s)")),
        "{notes:?}"
    );
    assert!(request["tools"][0]["cache_control"].is_null());
    for marked in [
        &request["tools"][1],
        &request["messages"][0]["content"][1],
        &request["messages"][2]["content"][0],
        &request["messages"][3]["content"][0],
    ] {
        assert!(marked["cache_control"].is_object(), "{marked}");
    }
}

/// A request with so many breakpoints in its tools, its system prompt and its conversation.
fn with_breakpoints([tools, system, said]: [usize; 3], at_the_end: bool) -> Value {
    let marked =
        |count: usize| -> Vec<Value> { (0..count).map(|n| cached(&n.to_string())).collect() };
    let tools: Vec<Value> = (0..tools)
        .map(|n| json!({"name":format!("T{n}"),"input_schema":{},"cache_control":{"type":"ephemeral","ttl":"5m"}}))
        .collect();
    let mut wish = body(&json!({"tools":tools,"system":marked(system)}));
    if said > 0 {
        wish["messages"][0]["content"] = json!(marked(said));
    }
    if at_the_end {
        wish["cache_control"] = json!({"type":"ephemeral"});
    }
    wish
}

/// Which parts of a list carry a breakpoint.
fn marks(list: &Value) -> Vec<bool> {
    let list = list.as_array().map_or(&[][..], Vec::as_slice);
    list.iter()
        .map(|part| part["cache_control"].is_object())
        .collect()
}

#[test]
fn breakpoints_are_kept_from_the_end_with_one_each_for_what_never_changes() {
    // How many stand in tools, system and conversation, whether one is asked for at the end, and how many are kept.
    for (there, at_the_end, kept) in [
        ([0, 0, 0], true, [0, 0, 0]),
        ([1, 1, 2], false, [1, 1, 2]),
        ([1, 1, 2], true, [1, 1, 1]),
        ([1, 1, 5], false, [1, 1, 2]),
        ([0, 0, 6], false, [0, 0, 4]),
        ([0, 0, 6], true, [0, 0, 3]),
        ([6, 0, 0], false, [4, 0, 0]),
        ([0, 6, 0], false, [0, 4, 0]),
        ([3, 3, 0], false, [1, 3, 0]),
        ([3, 1, 1], false, [2, 1, 1]),
        ([3, 3, 3], true, [1, 1, 1]),
    ] {
        let wish = with_breakpoints(there, at_the_end);
        let (request, notes) = sent_to(&wish, &Target::new(CLAUDE, None));
        let (system, messages) = match request["messages"].as_array().unwrap().as_slice() {
            [system, messages] => (marks(&system["content"]), marks(&messages["content"])),
            [messages] => (vec![], marks(&messages["content"])),
            other => panic!("{other:?}"),
        };
        for (marks, kept) in [marks(&request["tools"]), system, messages]
            .iter()
            .zip(kept)
        {
            let count = marks.iter().filter(|mark| **mark).count();
            assert_eq!(count, kept, "{there:?}");
            let mut last = marks.iter().rev().take(kept);
            assert!(last.all(|mark| *mark), "the last are kept: {there:?}");
        }
        let dropped = there.iter().sum::<usize>() - kept.iter().sum::<usize>();
        let told = notes.first().map_or("", Note::as_str);
        let is_told = told.starts_with(&format!("{dropped} cache"));
        assert_eq!(is_told, dropped > 0, "{told}");
        assert_eq!(request.get("cache_control").is_some(), at_the_end);
    }
    let one = sent(&with_breakpoints([1, 0, 0], false), CLAUDE);
    let five_minutes = json!({"type":"ephemeral","ttl":"5m"});
    assert_eq!(one["tools"][0]["cache_control"], five_minutes);
}

#[test]
fn a_prefill_loses_the_white_space_at_its_end_and_nothing_else() {
    for (prefill, expected) in [
        ("said", "said"),
        ("said \n\t\r \n", "said"),
        ("a\nb", "a\nb"),
        (r"C:\n", r"C:\n"),
        ("C:\\\n", r"C:\"),
        (r"C:\\t", r"C:\\t"),
        ("C:\\\\\t ", r"C:\\"),
    ] {
        let messages =
            json!([{"role":"user","content":"go"},{"role":"assistant","content":prefill}]);
        let sent = sent(&body(&json!({"messages":messages})), CLAUDE);
        assert_eq!(sent["messages"][1]["content"], expected, "{prefill:?}");
        assert_eq!(sent["messages"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn claudes_differ_by_version() {
    let prefill = json!({"messages":[{"role":"user","content":"go"},{"role":"assistant","content":"{"}],"temperature":0.5,"top_p":0.5,"top_k":5});
    for (model, goes_on, samples) in [
        ("anthropic/claude-sonnet-4.5", true, true),
        ("anthropic/claude-opus-4.6", false, true),
        ("anthropic/claude-opus-4.7", false, false),
        ("openai/gpt-5", false, true),
    ] {
        let (sent, notes) = sent_to(&body(&prefill), &Target::new(model, None));
        assert_eq!(
            sent["messages"].as_array().unwrap().len() == 2,
            goes_on,
            "{model}"
        );
        for field in ["temperature", "top_p", "top_k"] {
            assert_eq!(sent.get(field).is_some(), samples, "{model} {field}");
        }
        let told = notes
            .iter()
            .any(|note| note.as_str().contains("`temperature`, `top_p`, `top_k`"));
        assert_eq!(told, !samples, "{notes:?}");
    }
}

#[test]
fn sampling_goes_as_far_as_the_model_knows_it() {
    let wish = body(&json!({"temperature":0.5,"top_p":0.25,"top_k":5}));
    for known_one in ["temperature", "top_p", "top_k"] {
        let target = known("x/y", &json!({"supported_parameters":[known_one]}));
        let (sent, _) = sent_to(&wish, &target);
        for field in ["temperature", "top_p", "top_k"] {
            assert_eq!(sent.get(field).is_some(), field == known_one, "{field}");
        }
    }
}

#[test]
fn the_form_of_an_answer_has_a_name_and_the_models_dialect() {
    let schema = json!({"type":"object","properties":{},"additionalProperties":false});
    let formatted = |name: Value, model: &str, demand: Demand| {
        let format = json!({"type":"json_schema","schema":schema,"name":name});
        let wish = body(&json!({"output_config":{"format":format}}));
        let routing = Routing {
            demand,
            ..Routing::default()
        };
        let built = built(&wish, &Target::new(model, None), &routing);
        let sent: Value = serde_json::from_slice(&built.body).unwrap();
        sent["response_format"]["json_schema"].clone()
    };
    let strict = |name: &str| json!({"name":name,"strict":true,"schema":schema});
    assert_eq!(
        formatted(json!(null), GPT, Demand::Strict),
        strict("answer")
    );
    assert_eq!(formatted(json!(""), GPT, Demand::Strict), strict("answer"));
    assert_eq!(
        formatted(json!("person"), GPT, Demand::Strict),
        strict("person")
    );
    assert_ne!(formatted(json!("a b"), GPT, Demand::Strict)["name"], "a b");
    assert_eq!(
        formatted(json!(null), GPT, Demand::Lenient),
        json!({"name":"answer","schema":schema})
    );
    let google = formatted(json!(null), "google/gemini-3-pro", Demand::Strict);
    assert_eq!(google["schema"], json!({"type":"object","properties":{}}));
}

#[test]
fn p39_p64_breakpoints_never_stand_on_thoughts_or_empty_texts() {
    let wish = body(&json!({"messages":[
        {"role":"user","content":[cached("")]},
        {"role":"assistant","content":[
            {"type":"thinking","thinking":"T","signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3h","cache_control":{"type":"ephemeral"}},
            {"type":"text","text":"said"},
            {"type":"tool_use","id":"1","name":"A","input":{},"cache_control":{"type":"ephemeral"}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"","cache_control":{"type":"ephemeral"}}]}]}));
    let request = sent(&wish, CLAUDE);
    assert_eq!(
        request["messages"][0],
        json!({"role":"user","content":"(no content)"})
    );
    let assistant = &request["messages"][1];
    assert_eq!(
        assistant["content"],
        json!([{"type":"text","text":"said","cache_control":{"type":"ephemeral"}}])
    );
    assert_eq!(
        assistant["reasoning_details"][0]["cache_control"],
        json!(null)
    );
    assert_eq!(
        request["messages"][2]["content"],
        json!([{"type":"text","text":"(empty)","cache_control":{"type":"ephemeral"}}])
    );
}

#[test]
fn tools_are_functions_with_whole_schemas() {
    let wish = body(&json!({"tools":[
        {"name":"A","description":"Does \"A\".","input_schema":{"type":"object","properties":{"x":{"type":"string"}}},"type":"custom","input_examples":[{}],"defer_loading":true,"allowed_callers":["direct"],"eager_input_streaming":true},
        {"name":"B","input_schema":{}},
        {"name":"C","input_schema":{"required":[],"additionalProperties":false},"strict":true},
        {"name":"DeferredToolPlaceholder","input_schema":{},"defer_loading":true}]}));
    assert_eq!(
        sent(&wish, GPT)["tools"],
        json!([
            {"type":"function","function":{"name":"A","description":"Does \"A\".","parameters":{"type":"object","properties":{"x":{"type":"string"}}}}},
            {"type":"function","function":{"name":"B","parameters":{"type":"object","properties":{}}}},
            {"type":"function","function":{"name":"C","parameters":{"type":"object","properties":{},"required":[],"additionalProperties":false},"strict":true}}])
    );
    assert_eq!(
        sent(&wish, DEEPSEEK)["tools"][2]["function"]["strict"],
        json!(null)
    );
}

#[test]
fn p12_p14_nothing_of_anthropics_leaks_into_a_tool() {
    let wish = body(
        &json!({"tools":[{"name":"A","type":"custom","input_schema":{},"input_examples":[],"defer_loading":true}]}),
    );
    let text = sent(&wish, CLAUDE)["tools"].to_string();
    for leak in ["custom", "input_examples", "defer_loading"] {
        assert!(!text.contains(leak), "{text}");
    }
}

#[test]
fn p13_schemas_are_cleaned_for_google_only() {
    let wish = body(
        &json!({"tools":[{"name":"A","input_schema":{"$schema":"s","type":"object","properties":{"n":{"type":"integer","exclusiveMinimum":0}}}}]}),
    );
    let parameters = |model| sent(&wish, model)["tools"][0]["function"]["parameters"].clone();
    assert_eq!(
        parameters("google/gemini-3-pro"),
        json!({"type":"object","properties":{"n":{"type":"integer","description":"Greater than 0."}}})
    );
    assert_eq!(parameters(GPT), wish["tools"][0]["input_schema"]);
}

#[test]
fn every_tool_choice_has_its_form() {
    let long = "n".repeat(80);
    let tools = json!([tool("A"), tool(&long), {"type":"web_search_20250305","name":"web_search"}]);
    let renamed = sent(&body(&json!({"tools":tools})), GPT)["tools"][1]["function"]["name"].clone();
    assert_eq!(renamed.as_str().unwrap().len(), 64);
    for (choice, expected) in [
        (json!({"type":"auto"}), json!("auto")),
        (json!({"type":"any"}), json!("required")),
        (json!({"type":"none"}), json!("none")),
        (
            json!({"type":"tool","name":"A"}),
            json!({"type":"function","function":{"name":"A"}}),
        ),
        (
            json!({"type":"tool","name":long}),
            json!({"type":"function","function":{"name":renamed}}),
        ),
        (
            json!({"type":"tool","name":"web_search"}),
            json!({"type":"openrouter:web_search"}),
        ),
    ] {
        let request = sent(&body(&json!({"tools":tools,"tool_choice":choice})), GPT);
        assert_eq!(request["tool_choice"], expected);
        assert_eq!(request["parallel_tool_calls"], json!(null));
    }
    let one = body(
        &json!({"tools":tools,"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}),
    );
    assert_eq!(sent(&one, GPT)["parallel_tool_calls"], false);
}

#[test]
fn a_model_that_chooses_by_itself_is_not_told_how() {
    let target = known("x/y", &json!({"supported_parameters":["tools"]}));
    for (kind, is_noted) in [("auto", false), ("any", true), ("none", true)] {
        let wish = body(&json!({"tools":[tool("A")],"tool_choice":{"type":kind}}));
        let (sent, notes) = sent_to(&wish, &target);
        assert_eq!(
            (sent.get("tool_choice"), notes.len()),
            (None, usize::from(is_noted)),
            "{kind}"
        );
    }
}

#[test]
fn a_choice_without_tools_is_left_out() {
    let wish = body(&json!({"tools":[],"tool_choice":{"type":"any"}}));
    let (request, notes) = sent_to(&wish, &Target::new(GPT, None));
    assert!(request.get("tool_choice").is_none() && request.get("tools").is_none());
    assert!(notes[0].as_str().contains("no tool is offered"));
    let placeholder = body(&json!({"tools":[tool("DeferredToolPlaceholder")],"tool_choice":{"type":"tool","name":"DeferredToolPlaceholder"}})).to_string();
    let request = Request::parse(&placeholder).unwrap();
    assert_eq!(
        convert_tools(&request).unwrap_err().path,
        "tool_choice.name"
    );
}

#[test]
fn p75_web_search_and_fetch_become_the_upstreams() {
    let wish = body(&json!({"tools":[
        {"type":"web_search_20250305","name":"web_search","max_uses":8,"allowed_domains":["a.org"],"user_location":{"type":"approximate","city":"Bern"}},
        {"type":"web_fetch_20260209","name":"web_fetch","blocked_domains":["b.org"],"max_content_tokens":900}],
        "tool_choice":{"type":"auto"}}));
    assert_eq!(
        sent(&wish, GPT)["tools"],
        json!([
            {"type":"openrouter:web_search","parameters":{"max_uses":8,"allowed_domains":["a.org"],"user_location":{"type":"approximate","city":"Bern"}}},
            {"type":"openrouter:web_fetch","parameters":{"blocked_domains":["b.org"],"max_content_tokens":900}}])
    );
}

#[test]
fn tools_that_the_client_runs_get_their_published_schema() {
    let wish = body(&json!({"tools":[
        {"type":"bash_20250124","name":"bash"},{"type":"text_editor_20250728","name":"str_replace_based_edit_tool"},
        {"type":"memory_20250818","name":"memory"},{"type":"computer_20251124","name":"computer","display_width_px":1024,"display_height_px":768}]}));
    let request = sent(&wish, GPT);
    for (index, name) in ["bash", "str_replace_based_edit_tool", "memory", "computer"]
        .into_iter()
        .enumerate()
    {
        let function = &request["tools"][index]["function"];
        assert_eq!(function["name"], name);
        assert_eq!(function["parameters"]["type"], "object");
    }
    assert!(
        request["tools"][3]["function"]["description"]
            .as_str()
            .unwrap()
            .ends_with("1024 pixels wide and 768 pixels high.")
    );
}

#[test]
fn what_is_offered_is_what_the_last_change_left() {
    let reference = |name: &str| json!({"type":"tool_reference","name":name});
    let added = |name: &str| json!({"type":"tool_addition","tool":reference(name)});
    let removed = |name: &str| json!({"type":"tool_removal","tool":reference(name)});
    let defined = |tool: Value| json!({"type":"tool_addition","tool":{"type":"tool_definition","definition":tool}});
    let search = json!({"type":"web_search_20250305","name":"web_search"});
    let odd = "mcp.odd name";
    let offered = |changes: &[Value]| -> Vec<String> {
        let tools = json!([tool("A"), tool(odd), search]);
        let mut messages = vec![json!({"role":"user","content":"hi"})];
        messages.extend(
            changes
                .iter()
                .map(|change| json!({"role":"system","content":[change]})),
        );
        let text = body(&json!({"tools":tools,"messages":messages})).to_string();
        let request = Request::parse(&text).unwrap();
        let tools = convert_tools(&request).unwrap();
        let seen = serde_json::to_value(&tools).unwrap();
        let sent = seen["offered"].as_array().unwrap().iter();
        let sent = sent.map(|name| name.as_str().unwrap());
        sent.map(|name| tools.names.original(name).to_owned())
            .collect()
    };
    let web = "openrouter:web_search";
    assert_eq!(offered(&[]), ["A", odd, web]);
    assert_eq!(offered(&[removed("A")]), [odd, web]);
    assert_eq!(offered(&[removed(odd)]), ["A", web]);
    assert_eq!(offered(&[removed("web_search")]), ["A", odd]);
    assert_eq!(
        offered(&[removed("nobody"), added("nobody")]),
        ["A", odd, web]
    );
    assert_eq!(
        offered(&[removed("A"), removed(odd), added(odd)]),
        [web, odd]
    );
    assert_eq!(
        offered(&[removed("web_search"), added("web_search")]),
        ["A", odd, web]
    );
    assert_eq!(offered(&[defined(tool("B"))]), ["A", odd, web, "B"]);
    assert_eq!(offered(&[defined(tool("A"))]), [odd, web, "A"]);
}

#[test]
fn a_fault_in_a_tool_that_comes_later_is_named_by_its_place() {
    let strange = json!({"type":"strange_20250101","name":"s"});
    let definition = json!({"type":"tool_definition","definition":strange});
    let change = json!({"type":"tool_addition","tool":definition});
    let messages = json!([{"role":"user","content":"hi"},{"role":"system","content":[{"type":"text","text":"t"},change]}]);
    let text = body(&json!({"messages":messages})).to_string();
    let refused = convert_tools(&Request::parse(&text).unwrap()).unwrap_err();
    assert_eq!(refused.path, "messages.1.content.1.tool.definition.type");
}

#[test]
fn tools_that_only_anthropic_runs_are_refused_or_noted() {
    for (kind, path) in [
        ("code_execution_20250825", Some("tools.0.type")),
        ("mcp_toolset", Some("tools.0.type")),
        ("browser_toolset_20260801", Some("tools.0.type")),
        ("quantum_20270101", Some("tools.0.type")),
        ("bash_", Some("tools.0.type")),
        ("tool_search_tool_bm25", None),
        ("advisor_20260301", None),
    ] {
        let text = body(&json!({"tools":[{"type":kind,"name":"n"}]})).to_string();
        let request = Request::parse(&text).unwrap();
        match (convert_tools(&request), path) {
            (Err(refused), Some(path)) => assert_eq!(refused.path, path),
            (Ok(tools), None) => assert!(tools.offers.is_empty() && tools.notes.len() == 1),
            (other, _) => panic!("{kind}: {other:?}"),
        }
    }
}

#[test]
fn p21_tools_for_a_model_without_are_refused_by_name() {
    let text = body(&json!({"tools":[tool("A")]})).to_string();
    let request = Request::parse(&text).unwrap();
    let messages = convert_messages(&request).unwrap();
    let tools = convert_tools(&request).unwrap();
    let target = known("x/plain", &json!({"supported_parameters":["max_tokens"]}));
    let refused =
        build_request(&request, &messages, &tools, &target, &Routing::default()).unwrap_err();
    assert_eq!(refused.path, "tools");
    assert!(refused.message.starts_with("x/plain cannot call tools"));
}

#[test]
fn calls_in_the_history_have_their_tools_even_when_none_is_offered() {
    let wish = body(&json!({"messages":[
        {"role":"user","content":"a"},
        {"role":"assistant","content":[{"type":"tool_use","id":"1","name":"B","input":{}},{"type":"tool_use","id":"2","name":"B","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"1"},{"type":"tool_result","tool_use_id":"2"}]}]}));
    let request = sent(&wish, CLAUDE);
    assert_eq!(
        request["tools"],
        json!([{"type":"function","function":{"name":"B","parameters":{"type":"object","properties":{}}}}])
    );
    assert_eq!(request["tool_choice"], "none");
}

#[test]
fn p76_a_schema_is_put_in_the_strongest_way_the_model_knows() {
    let schema = json!({"type":"object","properties":{"title":{"type":"string"}},"required":["title"],"additionalProperties":false});
    let wish = body(
        &json!({"system":"S","output_config":{"format":{"type":"json_schema","schema":schema}}}),
    );
    let strict =
        json!({"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":schema}});
    assert_eq!(sent(&wish, GPT)["response_format"], strict);
    let mut loose = wish.clone();
    loose["output_config"]["format"]["schema"]["required"] = json!([]);
    assert_eq!(
        sent(&loose, GPT)["response_format"]["json_schema"]["strict"],
        json!(null)
    );
    for (parameters, format) in [
        (json!(["response_format"]), json!({"type":"json_object"})),
        (json!(["tools"]), json!(null)),
    ] {
        let (request, notes) = sent_to(
            &wish,
            &known("x/y", &json!({"supported_parameters":parameters})),
        );
        assert_eq!(request["response_format"], format);
        let system = request["messages"][0]["content"].as_str().unwrap();
        assert!(
            system.starts_with("S\n\nAnswer with one JSON value") && system.contains(r#""title""#),
            "{system}"
        );
        assert!(notes[0].as_str().contains("cannot be held to a schema"));
    }
    let old = body(&json!({"output_format":{"type":"json_schema","schema":schema,"name":"a b"}}));
    assert!(
        sent(&old, GPT)["response_format"]["json_schema"]["name"]
            .as_str()
            .unwrap()
            .starts_with("a_b_")
    );
}

#[test]
fn p70_a_pdf_is_a_file_with_the_parser_that_costs_nothing() {
    let wish = body(&json!({"messages":[{"role":"user","content":[
        {"type":"document","title":"Report","context":"C","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="}},
        {"type":"document","source":{"type":"url","url":"https://a.org/b.pdf"}},
        {"type":"document","title":"T","source":{"type":"text","media_type":"text/plain","data":"line"}},
        {"type":"text","text":"Sum up."}]}]}));
    let request = sent(&wish, GPT);
    assert_eq!(
        request["messages"][0]["content"],
        json!([
            {"type":"text","text":"C"},
            {"type":"file","file":{"filename":"Report.pdf","file_data":"data:application/pdf;base64,JVBERi0="}},
            {"type":"file","file":{"filename":"document.pdf","file_data":"https://a.org/b.pdf"}},
            {"type":"text","text":"Document: T\n\nline"},
            {"type":"text","text":"Sum up."}])
    );
    assert_eq!(
        request["plugins"],
        json!([{"id":"file-parser","pdf":{"engine":"cloudflare-ai"}}])
    );
    let reader = known(
        GPT,
        &json!({"architecture":{"input_modalities":["text","file"]}}),
    );
    assert_eq!(
        sent_to(&wish, &reader).0["plugins"][0]["pdf"]["engine"],
        "native"
    );
}

#[test]
fn an_upstream_that_knows_words_for_effort_gets_the_nearest_one() {
    let said = |changes: Value, field: ReasoningField| {
        let mut target = Target::new(CLAUDE, None);
        target.dialect.reasoning = field;
        let (sent, notes) = sent_to(&body(&changes), &target);
        assert_eq!(sent.get("reasoning"), None, "that is OpenRouter's field");
        (sent["reasoning_effort"].clone(), notes.len())
    };
    let budget = |tokens: u64| json!({"thinking":{"type":"enabled","budget_tokens":tokens}});
    for (changes, word) in [
        (json!({}), json!(null)),
        (json!({"thinking":{"type":"adaptive"}}), json!(null)),
        (json!({"output_config":{"effort":"high"}}), json!("high")),
        (budget(4096), json!("low")),
        (budget(4097), json!("medium")),
        (budget(8192), json!("medium")),
        (budget(8193), json!("high")),
        (budget(30_000), json!("high")),
    ] {
        let wishes = changes != json!({});
        assert_eq!(
            said(changes.clone(), ReasoningField::Effort).0,
            word,
            "{changes}"
        );
        assert_eq!(
            said(changes, ReasoningField::None),
            (json!(null), usize::from(wishes))
        );
    }
}

#[test]
fn a_schema_is_held_to_strictly_where_the_model_can() {
    let strict = |schema: Value, model: &str| {
        let tools = json!([{"name":"A","strict":true,"input_schema":schema}]);
        let (sent, notes) = sent_to(&body(&json!({"tools":tools})), &Target::new(model, None));
        let strict = sent["tools"][0]["function"].get("strict").is_some();
        assert_eq!(
            notes.len(),
            usize::from(!strict),
            "what is left out is noted"
        );
        strict
    };
    let open = json!({"type":"object","properties":{"a":{"type":"string"}}});
    let closed = json!({"type":"object","properties":{},"additionalProperties":false});
    assert!(strict(open.clone(), CLAUDE) && strict(closed.clone(), CLAUDE));
    assert!(!strict(open, GPT) && strict(closed.clone(), GPT));
    assert!(!strict(closed, DEEPSEEK));
}

#[test]
fn an_upstream_of_plain_chat_completions_gets_none_of_openrouters_fields() {
    let mut target = Target::new(GPT, None);
    target.dialect = Dialect::PLAIN;
    let search = json!({"type":"web_search_20250305","name":"web_search"});
    let models = ["x/y".to_owned()];
    let routing = Routing {
        session_id: Some("s"),
        user: Some("u"),
        models: &models,
        ..Routing::default()
    };
    let wish = json!({"stream":true,"top_k":5,"speed":"fast","tools":[tool("A"), search],
        "tool_choice":{"type":"tool","name":"web_search"}});
    let built = built(&body(&wish), &target, &routing);
    let sent: Value = serde_json::from_slice(&built.body).unwrap();
    for field in [
        "session_id",
        "models",
        "service_tier",
        "plugins",
        "reasoning",
        "top_k",
        "tool_choice",
    ] {
        assert_eq!(sent.get(field), None, "{field}");
    }
    assert_eq!(sent["tools"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&sent["user"], &sent["stream_options"]),
        (&json!("u"), &json!({"include_usage":true}))
    );
    let only_search = sent_to(&body(&json!({"tools":[search]})), &target).0;
    assert_eq!(only_search.get("tools"), None);
}

#[test]
fn the_limit_on_an_answer_is_called_what_the_upstream_calls_it() {
    for (limit, name, other) in [
        (LimitField::MaxTokens, "max_tokens", "max_completion_tokens"),
        (
            LimitField::MaxCompletionTokens,
            "max_completion_tokens",
            "max_tokens",
        ),
    ] {
        let mut target = Target::new(GPT, None);
        target.dialect.limit = limit;
        let sent = sent_to(&body(&json!({"max_tokens":100})), &target).0;
        assert_eq!((&sent[name], sent.get(other)), (&json!(100), None));
    }
}

#[test]
fn what_a_run_shows_of_tools_are_names_and_choice() {
    let search = json!({"type":"web_search_20250305","name":"web_search"});
    let shown = |choice: &Value| {
        let wish = json!({"tools":[tool("A"), tool("a b"), search],"tool_choice":choice});
        let text = body(&wish).to_string();
        let request = Request::parse(&text).unwrap();
        serde_json::to_value(convert_tools(&request).unwrap()).unwrap()
    };
    for (choice, word) in [
        (json!(null), json!(null)),
        (json!({"type":"auto"}), json!("auto")),
        (json!({"type":"any"}), json!("required")),
        (json!({"type":"none"}), json!("none")),
        (json!({"type":"tool","name":"A"}), json!("A")),
        (
            json!({"type":"tool","name":"web_search"}),
            json!("openrouter:web_search"),
        ),
    ] {
        let shown = shown(&choice);
        assert_eq!(shown["choice"], word);
        let offered = shown["offered"].as_array().unwrap();
        assert_eq!(
            (&offered[0], &offered[2]),
            (&json!("A"), &json!("openrouter:web_search"))
        );
        assert_eq!(shown["renamed"][offered[1].as_str().unwrap()], "a b");
        assert_eq!(
            (&shown["one_at_a_time"], &shown["notes"]),
            (&json!(false), &json!([]))
        );
    }
    let alone = shown(&json!({"type":"auto","disable_parallel_tool_use":true}));
    assert_eq!(alone["one_at_a_time"], true);
}

#[test]
fn what_a_run_shows_of_messages_is_their_shape() {
    let wish = body(&json!({"system":"secret","messages":[
        {"role":"user","content":"secret"},
        {"role":"assistant","content":[{"type":"tool_use","id":"1","name":"A","input":{"secret":1}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"secret"}]},
        {"role":"system","content":"secret","output_config":{"effort":"low"}},
        {"role":"user","content":"secret"}]}));
    let text = wish.to_string();
    let request = Request::parse(&text).unwrap();
    let shown = serde_json::to_value(convert_messages(&request).unwrap()).unwrap();
    let expected = json!({"system_blocks":1,"turns":5,"roles":"uatsu","effort":"low","notes":[]});
    assert_eq!(shown, expected);
}

#[test]
fn a_session_goes_as_it_is_named() {
    let session = |name: &str| {
        let routing = Routing {
            session_id: Some(name),
            user: Some(""),
            ..Routing::default()
        };
        let built = built(&body(&json!({})), &Target::new(GPT, None), &routing);
        let sent: Value = serde_json::from_slice(&built.body).unwrap();
        assert_eq!(sent.get("user"), None);
        assert_eq!(sent.get("stream_options"), None, "nothing is streamed");
        sent.get("session_id").cloned()
    };
    assert_eq!(session(""), None);
    assert_eq!(session("s:\"a"), Some(json!("s:\"a")));
}

#[test]
fn a_tier_is_asked_for_as_the_client_says() {
    for (changes, tier) in [
        (json!({}), json!(null)),
        (
            json!({"service_tier":"auto","speed":"standard"}),
            json!(null),
        ),
        (json!({"service_tier":"standard_only"}), json!("default")),
        (json!({"speed":"fast"}), json!("priority")),
    ] {
        assert_eq!(
            sent(&body(&changes), GPT)["service_tier"],
            tier,
            "{changes}"
        );
    }
}

#[test]
fn a_context_of_eight_thousand_is_short_and_one_more_is_not() {
    for (length, is_short) in [(8191, true), (8192, true), (8193, false)] {
        let target = known("x/y", &json!({"context_length":length}));
        let sent = sent_to(&body(&json!({})), &target).0;
        assert_eq!(sent.get("plugins").is_some(), is_short, "{length}");
    }
}

#[test]
fn the_limit_leaves_room_for_the_prompt_and_an_eighth() {
    let long = json!({"messages":[{"role":"user","content":"word ".repeat(7000)}]});
    let request = body(&long).to_string();
    let prompt = tokens::estimate(&Request::parse(&request).unwrap());
    for (context, expected) in [
        (0, 50_000),
        (40_000, 40_000 - prompt - prompt / 8),
        (12_000, 4096),
        (100_000, 50_000),
    ] {
        let target = known("x/y", &json!({"context_length":context}));
        assert_eq!(
            sent_to(&body(&long), &target).0["max_tokens"],
            expected,
            "{context}"
        );
    }
    for (asked, model, expected) in [(1, GPT, 16), (16, GPT, 16), (17, GPT, 17), (1, CLAUDE, 1)] {
        let sent = sent_to(
            &body(&json!({"max_tokens":asked})),
            &Target::new(model, None),
        );
        assert_eq!(sent.0["max_tokens"], expected);
        assert_eq!(
            sent.1.len(),
            usize::from(asked != expected),
            "{asked} {model}"
        );
    }
}

#[test]
fn a_short_context_is_not_shortened_unasked() {
    let short = known("x/y", &json!({"context_length":8192}));
    assert_eq!(
        sent_to(&body(&json!({})), &short).0["plugins"],
        json!([{"id":"context-compression","enabled":false}])
    );
    assert_eq!(sent(&body(&json!({})), GPT)["plugins"], json!(null));
}

#[test]
fn p69_a_model_that_cannot_see_is_told_that_there_was_an_image() {
    let wish = body(&json!({"messages":[{"role":"user","content":[
        {"type":"text","text":"Look:"},
        {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}},
        {"type":"image","source":{"type":"url","url":"https://a.org/b.png"}}]}]}));
    let seen = &sent(&wish, GPT)["messages"][0]["content"];
    assert_eq!(
        seen[1],
        json!({"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}})
    );
    assert_eq!(
        seen[2],
        json!({"type":"image_url","image_url":{"url":"https://a.org/b.png"}})
    );
    let blind = known(
        DEEPSEEK,
        &json!({"architecture":{"input_modalities":["text"]}}),
    );
    let (request, notes) = sent_to(&wish, &blind);
    let unseen = "[An image stood here, which this model cannot see.]";
    assert_eq!(
        request["messages"][0]["content"],
        format!("Look:\n\n{unseen}\n\n{unseen}")
    );
    assert!(notes[0].as_str().starts_with("2 image(s)"));
}

#[test]
fn kimis_ids_go_back_exactly_unless_another_model_may_answer() {
    let outward = "dgw_x0_ZnVuY3Rpb25zLkJhc2g6MA";
    let wish = body(&json!({"messages":[
        {"role":"user","content":"go"},
        {"role":"assistant","content":[{"type":"tool_use","id":outward,"name":"Bash","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":outward,"content":"ok"}]}]}));
    for (models, extensions, id) in [
        (&[] as &[&str], true, "functions.Bash:0"),
        (&["moonshotai/kimi-k3"], true, "functions.Bash:0"),
        (&["moonshotai/kimi-k3", CLAUDE], true, outward),
        (&[CLAUDE], false, "functions.Bash:0"),
    ] {
        let models: Vec<String> = models.iter().map(|&model| model.to_owned()).collect();
        let routing = Routing {
            models: &models,
            ..Routing::default()
        };
        let mut target = Target::new("moonshotai/kimi-k2", None);
        target.dialect.extensions = extensions;
        let sent: Value = serde_json::from_slice(&built(&wish, &target, &routing).body).unwrap();
        let messages = &sent["messages"];
        assert_eq!(messages[1]["tool_calls"][0]["id"], id, "{models:?}");
        assert_eq!(messages[2]["tool_call_id"], id, "{models:?}");
    }
}

#[test]
fn the_route_is_part_of_the_request() {
    let models = ["a/b".to_owned(), GPT.to_owned()];
    let provider = serde_json::value::to_raw_value(&json!({"order":["x"]})).unwrap();
    let routing = Routing {
        session_id: Some("s"),
        user: Some("u"),
        models: &models,
        provider: Some(&provider),
        ..Routing::default()
    };
    let wish = body(&json!({"speed":"fast"}));
    let body: Value =
        serde_json::from_slice(&built(&wish, &Target::new(GPT, None), &routing).body).unwrap();
    assert_eq!(
        (&body["session_id"], &body["user"]),
        (&json!("s"), &json!("u"))
    );
    assert_eq!(body["models"], json!([GPT, "a/b"]));
    assert_eq!(body["provider"], json!({"order":["x"]}));
    assert_eq!(body["service_tier"], "priority");
}

#[test]
fn the_clients_provider_goes_before_that_of_the_settings() {
    let settings = serde_json::value::to_raw_value(&json!({"zdr":true})).unwrap();
    let sent = |own: &Value, settings: Option<&RawValue>, extensions: bool| {
        let routing = Routing {
            provider: settings,
            ..Routing::default()
        };
        let mut target = Target::new(GPT, None);
        target.dialect.extensions = extensions;
        let built = built(&body(&json!({"provider":own})), &target, &routing);
        let sent: Value = serde_json::from_slice(&built.body).unwrap();
        let notes = built.notes.iter().map(|note| note.as_str().to_owned());
        (sent["provider"].clone(), notes.collect::<Vec<_>>())
    };
    let own = json!({"only":["azure"]});
    let (both, none) = (Some(&*settings), Vec::<String>::new());
    assert_eq!(sent(&own, None, true), (own.clone(), none.clone()));
    let said = vec![CLIENTS_PROVIDER.to_owned()];
    assert_eq!(sent(&own, both, true), (own.clone(), said));
    assert_eq!(sent(&Value::Null, both, true), (json!({"zdr":true}), none));
    let (provider, notes) = sent(&own, None, false);
    assert_eq!(provider, Value::Null);
    assert!(
        notes
            .concat()
            .starts_with("`provider` was left out, because plain"),
        "{notes:?}"
    );
}

#[test]
fn p66_the_same_request_gives_the_same_bytes() {
    let wish = claude_code_turn();
    let target = Target::new(CLAUDE, None);
    let routing = Routing::default();
    assert_eq!(
        built(&wish, &target, &routing),
        built(&wish, &target, &routing)
    );
}

/// The shape of what Claude Code 2.1 sends in the second round of a turn with parallel tools.
fn claude_code_turn() -> Value {
    json!({
        "model":"claude-sonnet-5-5",
        "max_tokens":128_000,
        "stream":true,
        "thinking":{"type":"adaptive","display":"omitted"},
        "output_config":{"effort":"medium"},
        "context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},
        "metadata":{"user_id":"{\"device_id\":\"d\",\"account_uuid\":\"\",\"session_id\":\"s\"}"},
        "system":[
            {"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.330.b85; cc_entrypoint=sdk-cli;"},
            {"type":"text","text":"You are an agent.","cache_control":{"type":"ephemeral"}},
            {"type":"text","text":"# Rules\n- \"Quote\" with care.","cache_control":{"type":"ephemeral"}}],
        "tools":[
            {"name":"Bash","description":"Runs a command.","input_schema":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"command":{"type":"string"}},"required":["command"],"additionalProperties":false}},
            {"name":"Read","description":"Reads a file.","input_schema":{"type":"object","properties":{"file_path":{"type":"string"}}}},
            {"name":"CronList","description":"Lists.","input_schema":{"type":"object","properties":{}},"defer_loading":true},
            {"name":"DeferredToolPlaceholder","description":"Never.","input_schema":{"type":"object","properties":{}},"defer_loading":true}],
        "messages":[
            {"role":"user","content":"Show me the logo and the tests."},
            {"role":"system","content":"Working directory: /w\nTools to search for: CronList"},
            {"role":"assistant","content":[
                {"type":"thinking","thinking":"","signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk="},
                {"type":"text","text":"I look."},
                {"type":"tool_use","id":"toolu_01","name":"Bash","input":{"command":"ls \"a b\""}},
                {"type":"tool_use","id":"toolu_02","name":"Read","input":{"file_path":"logo.png"}},
                {"type":"tool_use","id":"toolu_03","name":"ToolSearch","input":{"query":"cron"}}]},
            {"role":"user","content":[
                {"type":"tool_result","tool_use_id":"toolu_03","content":[{"type":"tool_reference","tool_name":"CronList"}]},
                {"type":"tool_result","tool_use_id":"toolu_02","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}}]},
                {"type":"tool_result","tool_use_id":"toolu_01","content":"<tool_use_error>no such file</tool_use_error>","is_error":true},
                {"type":"text","text":"Tool loaded.","cache_control":{"type":"ephemeral"}}]},
            {"role":"system","content":[{"type":"text","text":"Keep going.","cache_control":{"type":"ephemeral"}}],"output_config":{"effort":"high"}}]
    })
}

#[test]
fn a_turn_of_claude_code_as_claude_gets_it() {
    let target = known(
        CLAUDE,
        &json!({"context_length":200_000,"top_provider":{"max_completion_tokens":64_000},
            "supported_parameters":["tools","tool_choice","reasoning"],"reasoning":{"mandatory":false,"supports_max_tokens":true},
            "architecture":{"input_modalities":["text","image","file"]}}),
    );
    let (request, notes) = sent_to(&claude_code_turn(), &target);
    insta::assert_json_snapshot!(
        "claude_code_to_claude",
        json!({"request":request,"notes":notes})
    );
}

#[test]
fn a_turn_of_claude_code_as_a_blind_model_gets_it() {
    let target = known(
        DEEPSEEK,
        &json!({"context_length":131_072,"supported_parameters":["tools","tool_choice","reasoning"],
            "reasoning":{"mandatory":false,"supported_efforts":["high"]},"architecture":{"input_modalities":["text"]}}),
    );
    let (request, notes) = sent_to(&claude_code_turn(), &target);
    insta::assert_json_snapshot!(
        "claude_code_to_deepseek",
        json!({"request":request,"notes":notes})
    );
}

#[test]
fn a_turn_of_claude_code_as_gpt_gets_it() {
    let (request, notes) = sent_to(&claude_code_turn(), &Target::new(GPT, None));
    insta::assert_json_snapshot!(
        "claude_code_to_gpt",
        json!({"request":request,"notes":notes})
    );
}

#[test]
fn the_catalogue_leads_to_the_target() {
    let catalogue = Catalogue::parse(br#"{"data":[{"id":"a/b","context_length":5}]}"#).unwrap();
    let target = Target::new("a/b:free", catalogue.get("a/b:free"));
    assert_eq!((target.context_length, target.known), (Some(5), true));
    assert!(!Target::new("a/c", catalogue.get("a/c")).known);
}

#[test]
fn a_thought_that_claude_signed_does_not_go_with_those_of_another() {
    let detail = Detail {
        kind: "reasoning.encrypted".to_owned(),
        data: Some("gAAAA".to_owned()),
        format: Some("openai-responses-v1".to_owned()),
        ..Detail::default()
    };
    let own = Envelope::new(GPT, "", String::new(), vec![detail]).pack();
    let messages = json!([
        {"role":"user","content":"hi"},
        {"role":"assistant","content":[
            {"type":"thinking","thinking":"","signature":own},
            {"type":"thinking","thinking":"T","signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3h"},
            {"type":"redacted_thinking","data":"R"},
            {"type":"text","text":"Hello."}]},
        {"role":"user","content":"and?"},
    ]);
    let sent = sent(&body(&json!({"messages": messages})), GPT);
    let details = &sent["messages"][1]["reasoning_details"];
    assert_eq!(details.as_array().map(Vec::len), Some(1), "{details}");
    assert_eq!(details[0]["data"], "gAAAA");
}

#[test]
fn the_standard_tier_is_kept_to_whatever_speed_is_asked_for() {
    for (wish, tier) in [
        (
            json!({"speed":"fast","service_tier":"standard_only"}),
            "default",
        ),
        (json!({"service_tier":"standard_only"}), "default"),
        (json!({"speed":"fast"}), "priority"),
        (json!({"speed":"fast","service_tier":"auto"}), "priority"),
    ] {
        assert_eq!(sent(&body(&wish), GPT)["service_tier"], tier, "{wish}");
    }
}
