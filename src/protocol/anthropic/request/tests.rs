//! What is read of a request, and what is refused with which words at which path.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use serde_json::{Value, json};
use yoke::Yoke;

use super::*;

const SMALLEST: &str =
    r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}"#;

/// The smallest request with `changes` made to it; `null` takes a field away.
fn body(changes: &Value) -> String {
    let mut body: Value = serde_json::from_str(SMALLEST).unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            body.as_object_mut().unwrap().remove(name);
        } else {
            body[name] = value.clone();
        }
    }
    body.to_string()
}

fn message(role: &str, content: &Value) -> String {
    body(&json!({"messages":[{"role":role,"content":content}]}))
}

#[test]
fn a_request_can_be_carried_with_its_text() {
    let text = Arc::new(SMALLEST.to_owned());
    let yoke: Yoke<Request<'static>, Arc<String>> =
        Yoke::try_attach_to_cart(text, |text| Request::parse(text)).unwrap();
    assert_eq!(yoke.get().model, "m");
    let Block::Text(text) = &yoke.get().messages[0].content[0] else {
        panic!("a string is a text block");
    };
    assert_eq!(text.text.decode(), "hi");
}

#[test]
fn what_nobody_looks_at_is_not_copied() {
    let text = message("user", &json!("a\nb \"c\" é"));
    let request = Request::parse(&text).unwrap();
    let Block::Text(block) = &request.messages[0].content[0] else {
        panic!("a string is a text block");
    };
    let inside = text.as_bytes().as_ptr_range();
    assert!(inside.contains(&block.text.escaped().as_ptr()));
}

#[test]
fn every_field_is_read() {
    let text = body(&json!({
        "system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral","ttl":"1h"}}],
        "tools":[{"name":"T","description":"D","input_schema":{"type":"object"},"strict":true,"type":"custom"}],
        "tool_choice":{"type":"tool","name":"T","disable_parallel_tool_use":true},
        "thinking":{"type":"enabled","budget_tokens":2048,"display":"omitted"},
        "output_config":{"effort":"xhigh","format":{"type":"json_schema","schema":{}},"task_budget":{"type":"tokens","total":9}},
        "stop_sequences":["a"],"temperature":0.5,"top_p":1,"top_k":7,"stream":true,"speed":"fast","service_tier":"standard_only",
        "metadata":{"user_id":"u"},"fallbacks":[{"model":"f"}],"provider":{"zdr":true},"cache_control":{"type":"ephemeral"},
        "context_management":{"edits":[]},"betas":["b"],"new_thing":{"x":1},"container":null,"mcp_servers":[]
    }));
    let request = Request::parse(&text).unwrap();
    assert_eq!(
        request.system[0].cache,
        Some(CacheControl {
            ttl: Some(Ttl::OneHour)
        })
    );
    assert_eq!(request.tools[0].name(), Some("T"));
    let choice = request.tool_choice.as_ref().unwrap();
    assert_eq!(
        (&choice.mode, choice.one_at_a_time),
        (&ChoiceMode::Tool("T".into()), true)
    );
    assert_eq!(
        request.thinking,
        Some(Thinking::Enabled {
            budget_tokens: 2048
        })
    );
    assert_eq!(request.output_config.effort, Some(Effort::Xhigh));
    assert_eq!(request.output_config.format.unwrap().schema.as_str(), "{}");
    assert!(request.output_config.task_budget && request.stream && request.fast);
    assert_eq!(
        (request.temperature, request.top_p, request.top_k),
        (Some(0.5), Some(1.0), Some(7))
    );
    assert_eq!(request.fallbacks, ["f"]);
    let provider = request.own_provider().map(Raw::as_str);
    assert_eq!(provider, Some("{\"zdr\":true}"));
    assert_eq!(request.set_aside, ["betas"]);
    assert_eq!(request.unknown, ["new_thing"]);
}

#[test]
fn null_is_the_same_as_absent() {
    let all = [
        "system",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "output_format",
        "stop_sequences",
        "temperature",
        "top_p",
        "top_k",
        "metadata",
        "service_tier",
        "speed",
        "cache_control",
        "fallbacks",
        "provider",
        "stream",
        "context_management",
        "container",
        "mcp_servers",
    ];
    let nulls: String = all.iter().map(|name| format!(",\"{name}\":null")).collect();
    let text = SMALLEST.replace("\"max_tokens\":1", &format!("\"max_tokens\":1{nulls}"));
    let request = Request::parse(&text).unwrap();
    assert!(request.set_aside.is_empty() && request.unknown.is_empty());
    assert_eq!(request.own_provider(), None);
    let text = body(&json!({"provider":"azure"}));
    let refused = Request::parse(&text).unwrap_err();
    assert_eq!(refused.path, "provider");
}

#[test]
fn the_type_of_a_block_may_stand_behind_its_content() {
    let text = message(
        "user",
        &json!([
            {"content":[{"text":"out","type":"text"}],"tool_use_id":"1","type":"tool_result"},
            {"source":{"data":"AA","media_type":"image/png","type":"base64"},"type":"image"}
        ]),
    );
    let text = text.replace(r#"{"content":[{"text""#, r#" { "content" : [ {"text""#);
    let request = Request::parse(&text).unwrap();
    let kinds: Vec<_> = request.messages[0]
        .content
        .iter()
        .map(Block::kind)
        .collect();
    assert_eq!(kinds, ["tool_result", "image"]);
}

fn refusal(body: &str) -> String {
    Request::parse(body).unwrap_err().to_string()
}

fn refuses(body: &str, words: &str) {
    assert_eq!(refusal(body), words, "{body}");
}

fn refuses_field(name: &str, value: &Value, words: &str) {
    refuses(&body(&json!({ name: value })), words);
}

fn refuses_block(role: &str, block: &Value, words: &str) {
    refuses(&message(role, &json!([block])), words);
}

#[test]
fn what_is_compulsory_is_asked_for_in_anthropics_words() {
    for field in ["model", "max_tokens", "messages"] {
        refuses_field(field, &json!(null), &format!("{field}: Field required"));
    }
    refuses_field(
        "model",
        &json!(""),
        "model: String should have at least 1 character",
    );
    refuses_field(
        "max_tokens",
        &json!(0),
        "max_tokens: Input should be greater than or equal to 1",
    );
    refuses_field(
        "messages",
        &json!([]),
        "messages: at least one message is required",
    );
}

#[test]
fn values_of_another_type_are_refused_in_anthropics_words() {
    for (field, value, words) in [
        ("model", json!(5), "a valid string"),
        ("max_tokens", json!("9"), "a valid integer"),
        ("max_tokens", json!(1.5), "a valid integer"),
        ("max_tokens", json!(-1), "greater than or equal to 0"),
        ("messages", json!({}), "a valid list"),
        ("system", json!(5), "a valid string or list"),
        ("stream", json!("yes"), "a valid boolean"),
        ("temperature", json!(1.5), "less than or equal to 1"),
        ("top_p", json!(-0.1), "greater than or equal to 0"),
        ("thinking", json!([]), "a valid dictionary"),
    ] {
        refuses_field(field, &value, &format!("{field}: Input should be {words}"));
    }
    refuses_field(
        "stop_sequences",
        &json!([1]),
        "stop_sequences.0: Input should be a valid string",
    );
    refuses_field(
        "cache_control",
        &json!({"type":"forever"}),
        "cache_control.type: Input should be 'ephemeral'",
    );
    refuses_field(
        "output_config",
        &json!({"effort":"huge"}),
        "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'",
    );
}

#[test]
fn faults_in_messages_are_named_by_index() {
    let refuses = |message: Value, words: &str| refuses_field("messages", &json!([message]), words);
    refuses(json!(5), "messages.0: Input should be a valid dictionary");
    refuses(json!({"content":"a"}), "messages.0.role: Field required");
    refuses(json!({"role":"user"}), "messages.0.content: Field required");
    refuses(
        json!({"role":"user","content":null}),
        "messages.0.content: Input should be a valid list",
    );
    refuses(
        json!({"role":"tool","content":"a"}),
        "messages.0.role: Input should be 'user', 'assistant' or 'system'",
    );
}

#[test]
fn faults_in_blocks_are_named_by_index() {
    let at = "messages.0.content.0";
    refuses_block(
        "user",
        &json!({"text":"a"}),
        &format!("{at}.type: Field required"),
    );
    refuses_block(
        "user",
        &json!({"type":"text"}),
        &format!("{at}.text: Field required"),
    );
    refuses_block(
        "user",
        &json!({"type":"text","text":null}),
        &format!("{at}.text: Input should be a valid string"),
    );
    let call = |input: Value| json!({"type":"tool_use","id":"1","name":"a","input":input});
    refuses_block(
        "assistant",
        &call(json!([])),
        &format!("{at}.input: Input should be a valid dictionary"),
    );
    let image = |media: &str| json!({"type":"image","source":{"type":"base64","media_type":media,"data":"AA"}});
    refuses_block(
        "user",
        &image("image/bmp"),
        &format!(
            "{at}.source.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
        ),
    );
    let page =
        json!({"type":"document","source":{"type":"base64","media_type":"text/html","data":""}});
    refuses_block(
        "user",
        &page,
        &format!("{at}.source.media_type: Input should be 'application/pdf'"),
    );
    let inner = json!({"type":"tool_result","tool_use_id":"1","content":[{"type":"thinking","thinking":""}]});
    refuses_block(
        "user",
        &inner,
        &format!(
            "{at}.content.0: Input tag 'thinking' found using 'type' does not match any of the expected tags: 'text', 'image', 'document', 'search_result', 'tool_reference', 'browser_state'"
        ),
    );
}

#[test]
fn a_tools_result_reads_the_same_in_whatever_order_it_is_written() {
    let contents = [
        r#""out""#,
        "null",
        "7",
        "[]",
        "[7]",
        r#"[{"type":"text","text":"a\nb"},{"text":"c","type":"text"}]"#,
        r#"[{"type":"text"}]"#,
        r#"[{"type":"text","text":"a"},{"type":"thinking","thinking":""}]"#,
        r#"[{"type":"text","text":"a","toolset_name":"t"}]"#,
        r#"[{"type":"tool_result","tool_use_id":"2","content":"deeper"}]"#,
        r#"[{"type":"image","source":{"type":"url","url":"https://u"}}]"#,
    ];
    for content in contents {
        let parts = [
            r#""type":"tool_result""#.to_owned(),
            r#""tool_use_id":"1""#.to_owned(),
            format!(r#""content":{content}"#),
        ];
        let read = |order: &[usize]| {
            let fields: Vec<_> = order.iter().map(|at| parts[*at].as_str()).collect();
            let block = fields.join(",");
            let call = r#"{"type":"tool_use","id":"1","name":"T","input":{}}"#;
            let text = format!(
                r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":"hi"}},{{"role":"assistant","content":[{call}]}},{{"role":"user","content":[{{{block}}}]}}]}}"#
            );
            match Request::parse(&text) {
                Ok(request) => format!("{:?} {:?}", request.messages, request.set_aside),
                Err(fault) => fault.to_string(),
            }
        };
        let type_first = read(&[0, 1, 2]);
        for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            assert_eq!(read(&order), type_first, "{content} in order {order:?}");
        }
    }
}

#[test]
fn of_a_field_that_is_written_twice_the_last_counts() {
    let read = |block: &str| {
        let text = message("user", &json!([])).replace("[]", &format!("[{block}]"));
        let request = Request::parse(&text).map_err(|fault| fault.to_string())?;
        Ok::<_, String>(format!("{:?}", request.messages[0].content))
    };
    let result = |fields: &str| read(&format!(r#"{{"tool_use_id":"1",{fields}}}"#));
    let last = result(r#""type":"tool_result","content":"b""#).unwrap();
    assert!(last.contains("\"b\""), "{last}");
    for fields in [
        r#""type":"tool_result","content":"a","content":"b""#,
        r#""content":"a","type":"tool_result","content":"b""#,
        r#""type":"text","content":"b","type":"tool_result""#,
        r#""type":"tool_result","content":null,"content":"b""#,
    ] {
        assert_eq!(result(fields).as_ref(), Ok(&last), "{fields}");
    }
    let none = result(r#""type":"tool_result""#);
    let unsaid = result(r#""type":"tool_result","content":"a","content":null"#);
    assert_eq!(unsaid, none);
}

#[test]
fn of_a_field_of_the_body_that_is_written_twice_the_last_counts() {
    let schema = |name: &str| {
        format!(r#"{{"type":"json_schema","name":"{name}","schema":{{"type":"object"}}}}"#)
    };
    let [a, b] = [schema("a"), schema("b")];
    let [old, older] = [&a, &b].map(|format| format!(r#""output_format":{format}"#));
    let config = format!(r#""output_config":{{"format":{a}}}"#);
    let said = r#"[{"role":"user","content":"no"}]"#;
    for (first, last) in [
        (r#""provider":{"zdr":true}"#, r#""provider":null"#),
        (r#""provider":{"zdr":true}"#, r#""provider":{"zdr":false}"#),
        (r#""provider":null"#, r#""provider":{"zdr":true}"#),
        (r#""max_tokens":7"#, r#""max_tokens":8"#),
        (r#""stream":true"#, r#""stream":null"#),
        (r#""system":"a""#, r#""system":null"#),
        (
            r#""tools":[{"name":"T","input_schema":{}}]"#,
            r#""tools":[]"#,
        ),
        (
            r#""thinking":{"type":"adaptive","display":"omitted"}"#,
            r#""thinking":null"#,
        ),
        (&old, &older),
        (&old, r#""output_format":null"#),
        (&config, r#""output_config":{"effort":"low"}"#),
        (r#""output_config":{"effort":"low"}"#, &config),
        (r#""stop_sequences":["a"]"#, r#""stop_sequences":null"#),
        (r#""temperature":0.5"#, r#""temperature":0.25"#),
        (r#""metadata":{"user_id":"a"}"#, r#""metadata":{}"#),
        (
            r#""service_tier":"standard_only""#,
            r#""service_tier":"auto""#,
        ),
        (r#""speed":"fast""#, r#""speed":"standard""#),
        (
            r#""cache_control":{"type":"ephemeral"}"#,
            r#""cache_control":null"#,
        ),
        (r#""fallbacks":[{"model":"a"}]"#, r#""fallbacks":[]"#),
        (
            &format!(r#""messages":{said}"#),
            r#""messages":[{"role":"user","content":"yes"}]"#,
        ),
    ] {
        let read = |fields: &str| {
            // What is in the smallest request comes before.
            let text = format!("{},{fields}}}", SMALLEST.strip_suffix('}').unwrap());
            let request = Request::parse(&text).unwrap();
            format!(
                "{:?}",
                Request {
                    body_len: 0,
                    ..request
                }
            )
        };
        assert_eq!(read(&format!("{first},{last}")), read(last));
        assert_ne!(read(first), read(last), "{first} says something");
    }
}

#[test]
fn what_costs_more_than_its_letters_is_limited() {
    let long = "x".repeat(33 << 10);
    let refused = refusal(&body(&json!({ "stop_sequences": [long, long] })));
    let words =
        "stop_sequences.1: the sequences have more than 64 KB together; give fewer or shorter ones";
    assert_eq!(refused, words);

    let blocks = |count| {
        let block = json!({ "type": "text", "text": "h" });
        message("user", &vec![block; count].into())
    };
    assert!(Request::parse(&blocks(199_999)).is_ok(), "with its message");
    let words = "messages.0.content: the request has more than 200000 messages, blocks, tools and the like; send fewer of them";
    assert_eq!(refusal(&blocks(200_000)), words);
}

#[test]
fn a_second_model_is_refused() {
    let twice = SMALLEST.replace(r#""model":"m""#, r#""model":"m","model":"m""#);
    let refused = Request::parse(&twice).unwrap_err().to_string();
    assert_eq!(refused, "model: It is given twice");
}

#[test]
fn blocks_stand_where_their_role_may_have_them() {
    let at = "messages.0.content.0";
    let call = json!({"type":"tool_use","id":"1","name":"a","input":{}});
    refuses_block(
        "user",
        &call,
        &format!("{at}: `tool_use` blocks can only be in `assistant` messages"),
    );
    let result = json!({"type":"tool_result","tool_use_id":"1"});
    refuses_block(
        "assistant",
        &result,
        &format!("{at}: `tool_result` blocks can only be in `user` messages"),
    );
    let image = json!({"type":"image","source":{"type":"url","url":"https://u"}});
    refuses_block(
        "system",
        &image,
        &format!("{at}: `image` blocks can only be in `user` messages"),
    );
    refuses_field(
        "system",
        &json!([image]),
        "system.0: Input tag 'image' found using 'type' does not match any of the expected tags: 'text'",
    );
}

#[test]
fn faults_in_thinking_are_named() {
    let refuses = |thinking: Value, words: &str| refuses_field("thinking", &thinking, words);
    refuses(
        json!({"type":"enabled"}),
        "thinking.budget_tokens: Field required",
    );
    refuses(
        json!({"type":"enabled","budget_tokens":100}),
        "thinking.budget_tokens: Input should be greater than or equal to 1024",
    );
    refuses(
        json!({"type":"on"}),
        "thinking: Input tag 'on' found using 'type' does not match any of the expected tags: 'enabled', 'disabled', 'adaptive', 'between_tools'",
    );
}

#[test]
fn faults_in_tools_are_named_by_index() {
    let refuses = |tools: Value, words: &str| refuses_field("tools", &tools, words);
    refuses(
        json!([{"name":"a"}]),
        "tools.0.input_schema: Field required",
    );
    refuses(json!([{"input_schema":{}}]), "tools.0.name: Field required");
    refuses(
        json!([{"name":"a","input_schema":{"type":"string"}}]),
        "tools.0.input_schema.type: Input should be 'object'",
    );
    refuses(
        json!([{"name":"a","input_schema":{}},{"name":"a","input_schema":{}}]),
        "tools.1.name: Tool names must be unique, and `a` is taken",
    );
    let refuses = |choice: Value, words: &str| refuses_field("tool_choice", &choice, words);
    refuses(json!({"type":"tool"}), "tool_choice.name: Field required");
    refuses(
        json!({"type":"tool","name":"x"}),
        "tool_choice.name: Tool 'x' not found in provided tools",
    );
    refuses(
        json!({"type":"all"}),
        "tool_choice: Input tag 'all' found using 'type' does not match any of the expected tags: 'auto', 'any', 'tool', 'none'",
    );
}

#[test]
fn what_is_no_json_is_refused_with_the_place() {
    let no_json = "The request body is not valid JSON:";
    refuses("[]", "body: Input should be a valid dictionary");
    refuses(
        "",
        &format!("body: {no_json} expected a value at line 1 column 1"),
    );
    let unquoted = SMALLEST.replace("\"hi\"", "hi");
    refuses(
        &unquoted,
        &format!("messages.0.content: {no_json} expected a value at line 1 column 66"),
    );
    let longer = format!("{SMALLEST}x");
    refuses(
        &longer,
        &format!("body: {no_json} something follows the end of the value at line 1 column 73"),
    );
}

#[test]
fn a_thread_may_begin_but_not_go_on() {
    let begins = body(&json!({"thread":{"type":"create"}}));
    assert_eq!(Request::parse(&begins).unwrap().set_aside, ["thread"]);
    let none = body(&json!({"thread":null}));
    assert!(Request::parse(&none).unwrap().set_aside.is_empty());
    let goes_on = body(&json!({"thread":{"type":"continue","previous_message_id":"m"}}));
    let lost = Request::parse(&goes_on).unwrap_err();
    assert_eq!(
        (lost.path.as_str(), lost.code),
        ("thread", Some("thread_not_found"))
    );
    let odd = Request::parse(&body(&json!({"thread":"m"})))
        .unwrap_err()
        .code;
    assert_eq!(odd, None);
}

#[test]
fn what_only_anthropics_servers_can_do_is_refused_with_the_cure() {
    for (body, path, cure) in [
        (
            body(&json!({"mcp_servers":[{"type":"url","url":"u","name":"n"}]})),
            "mcp_servers",
            "connect them in the client",
        ),
        (
            body(&json!({"container":"c"})),
            "container",
            "leave this field out",
        ),
        (
            body(&json!({"thread":{"type":"continue","previous_message_id":"m"}})),
            "thread",
            "send all messages",
        ),
        (
            message(
                "user",
                &json!([{"type":"image","source":{"type":"file","file_id":"f"}}]),
            ),
            "messages.0.content.0.source",
            "`base64` or `url`",
        ),
        (
            message(
                "user",
                &json!([{"type":"document","source":{"type":"file","file_id":"f"}}]),
            ),
            "messages.0.content.0.source",
            "`base64` or `url`",
        ),
    ] {
        let refused = Request::parse(&body).unwrap_err();
        assert_eq!(refused.path, path);
        assert!(refused.message.contains(cure), "{refused}");
    }
}

#[test]
fn a_block_of_an_unknown_type_is_refused_with_the_types_that_are_known() {
    let refused = refusal(&message(
        "user",
        &json!([{"type":"text","text":"a"},{"type":"hologram"}]),
    ));
    assert!(refused.starts_with("messages.0.content.1: Input tag 'hologram' found using 'type' does not match any of the expected tags: 'text', 'image', "), "{refused}");
    assert!(Request::parse(&message("user", &json!([{"type":"_tool_result"}]))).is_err());
}

#[test]
fn a_system_message_may_be_empty_beside_its_output_config() {
    let text = body(
        &json!({"messages":[{"role":"user","content":"a"},{"role":"system","content":[],"output_config":{"effort":"low"}},{"role":"system"}]}),
    );
    let request = Request::parse(&text).unwrap();
    assert_eq!(request.messages[1].effort, Some(Effort::Low));
    assert!(request.messages[2].content.is_empty());
}

#[test]
fn a_count_needs_no_max_tokens() {
    let text = body(&json!({"max_tokens":null}));
    assert_eq!(Request::parse_for_count(&text).unwrap().max_tokens, 0);
    let text = body(&json!({"max_tokens":5,"stream":true}));
    let request = Request::parse_for_count(&text).unwrap();
    assert!(request.max_tokens == 0 && !request.stream);
    assert_eq!(Request::parse_for_count("{}").unwrap_err().path, "model");
}

#[test]
fn the_session_is_read_from_the_user_id_in_all_its_forms() {
    let json_form = r#"{"device_id":"d","account_uuid":"","session_id":"s-1"}"#;
    for (user_id, session) in [
        (json_form, Some("s-1")),
        ("user_abc_account__session_s-2", Some("s-2")),
        ("somebody", Some("somebody")),
        (r#"{"device_id":"d"}"#, None),
        (r#"{"session_id":5}"#, None),
        (r#"{"session_id":""}"#, None),
        (
            "user_abc_account__session_",
            Some("user_abc_account__session_"),
        ),
        ("", None),
    ] {
        let text = body(&json!({"metadata":{"user_id":user_id}}));
        let request = Request::parse(&text).unwrap();
        assert_eq!(request.session_id().as_deref(), session, "{user_id}");
    }
    assert_eq!(Request::parse(SMALLEST).unwrap().session_id(), None);
}

#[test]
fn the_calls_of_a_conversation_are_known_by_their_ids() {
    let call = |id: &str| json!({"type":"tool_use","id":id,"name":"Read","input":{}});
    let result = |id: &str| json!({"type":"tool_result","tool_use_id":id});
    let messages = json!([
        {"role":"user","content":"hi"},
        {"role":"assistant","content":[call("a"), call("b")]},
        {"role":"user","content":[result("a"), result("b")]},
        {"role":"assistant","content":[call("c")]},
        {"role":"user","content":[result("c")]},
    ]);
    let text = body(&json!({"messages": messages}));
    assert_eq!(Request::parse(&text).unwrap().tool_ids(), ["a", "b", "c"]);
}

#[test]
fn what_the_upstream_may_run_is_known_by_the_types_of_the_tools() {
    for (tools, search, fetch) in [
        (json!([]), false, false),
        (
            json!([{"name":"web_search","input_schema":{}}]),
            false,
            false,
        ),
        (
            json!([{"type":"web_search_20250305","name":"web_search"}]),
            true,
            false,
        ),
        (
            json!([{"type":"web_fetch_20250910","name":"web_fetch"}]),
            false,
            true,
        ),
        (
            json!([{"name":"T","input_schema":{}},{"type":"web_fetch_20250910","name":"f"},{"type":"web_search_20250305","name":"s"}]),
            true,
            true,
        ),
    ] {
        let text = body(&json!({ "tools": tools }));
        let request = Request::parse(&text).unwrap();
        let offered = (request.offers_web_search(), request.offers_web_fetch());
        assert_eq!(offered, (search, fetch), "{tools}");
    }
}

#[test]
fn a_tool_that_the_model_may_not_call_itself_is_worth_a_note() {
    for (callers, is_noted) in [
        (json!(null), false),
        (json!([]), false),
        (json!(["direct"]), false),
        (json!(["code_execution_20250825", "direct"]), false),
        (json!(["code_execution_20250825"]), true),
    ] {
        let tool = json!({"name":"T","input_schema":{},"allowed_callers":callers});
        let text = body(&json!({"tools":[tool]}));
        let noted = Request::parse(&text).unwrap().set_aside;
        assert_eq!(
            noted.contains(&"allowed_callers".into()),
            is_noted,
            "{callers}"
        );
    }
}

#[test]
fn thinking_is_asked_for_and_shown_as_the_request_says() {
    for (thinking, asked, omitted) in [
        (json!(null), false, false),
        (json!({"type":"disabled"}), false, false),
        (json!({"type":"adaptive"}), true, false),
        (json!({"type":"adaptive","display":"omitted"}), true, true),
        (
            json!({"type":"enabled","budget_tokens":1024,"display":"summarized"}),
            true,
            false,
        ),
    ] {
        let text = body(&json!({"max_tokens":5000,"thinking":thinking}));
        let request = Request::parse(&text).unwrap();
        let seen = (request.asks_for_thinking(), request.omits_thinking());
        assert_eq!(seen, (asked, omitted), "{thinking}");
    }
}

#[test]
fn an_account_that_is_empty_names_nobody() {
    let named = |user_id: &Value| {
        let text = body(&json!({"metadata":{"user_id":user_id.to_string()}}));
        Request::parse(&text).unwrap().end_user().unwrap()
    };
    let device = named(&json!({"device_id":"d","account_uuid":""}));
    assert_eq!(device, named(&json!({"device_id":"d"})));
    let account = named(&json!({"device_id":"d","account_uuid":"a"}));
    assert_eq!(account, named(&json!({"device_id":"e","account_uuid":"a"})));
    assert_ne!(account, device);
}

#[test]
fn the_end_user_is_the_same_in_all_sessions_and_not_readable() {
    let user = |user_id: &str| {
        let text = body(&json!({"metadata":{"user_id":user_id}}));
        Request::parse(&text).unwrap().end_user()
    };
    let one = user(r#"{"device_id":"d","account_uuid":"","session_id":"1"}"#).unwrap();
    assert_eq!(
        Some(&one),
        user(r#"{"device_id":"d","account_uuid":"","session_id":"2"}"#).as_ref()
    );
    assert_ne!(
        Some(&one),
        user(r#"{"device_id":"e","session_id":"1"}"#).as_ref()
    );
    assert_eq!(
        user("user_a_account_b_session_1"),
        user("user_a_account_b_session_2")
    );
    assert_eq!(one.len(), 32);
    assert_eq!(user(""), None);
}

#[test]
fn the_form_of_an_answer_may_stand_in_either_of_two_fields() {
    let format = |name: &str| json!({"type":"json_schema","schema":{},"name":name});
    let named = |text: &str| {
        let request = Request::parse(text).unwrap();
        let name = request.output_config.format.and_then(|format| format.name);
        name.map(|name| name.decode().into_owned())
    };
    let (new, old) = (
        json!({"format":format("new")}).to_string(),
        format("old").to_string(),
    );
    for (fields, name) in [
        (format!(r#""output_config":{new}"#), Some("new")),
        (format!(r#""output_format":{old}"#), Some("old")),
        (
            format!(r#""output_config":{new},"output_format":{old}"#),
            Some("new"),
        ),
        (
            format!(r#""output_format":{old},"output_config":{new}"#),
            Some("new"),
        ),
        (
            format!(r#""output_format":{old},"output_config":{{"effort":"low"}}"#),
            Some("old"),
        ),
        (
            r#""output_format":null,"output_config":null"#.to_owned(),
            None,
        ),
    ] {
        let text = format!("{{{fields},{}", SMALLEST.strip_prefix('{').unwrap());
        assert_eq!(named(&text).as_deref(), name, "{fields}");
    }
}

#[test]
fn the_length_of_a_body_is_known() {
    assert_eq!(Request::parse(SMALLEST).unwrap().body_len, SMALLEST.len());
}

#[test]
fn the_preview_names_choice_and_thinking_as_they_were_written() {
    let previewed = |changes: &Value| -> Value {
        let text = body(changes);
        serde_json::to_value(Request::parse(&text).unwrap()).unwrap()
    };
    let tool = json!([{"name":"T","input_schema":{}}]);
    for (choice, word) in [
        (json!({"type":"auto"}), "auto"),
        (json!({"type":"any"}), "any"),
        (json!({"type":"none"}), "none"),
        (json!({"type":"tool","name":"T"}), "T"),
    ] {
        let seen = previewed(&json!({"tools":tool,"tool_choice":choice}));
        assert_eq!(seen["tool_choice"], word);
    }
    for (thinking, word) in [
        (json!({"type":"enabled","budget_tokens":1024}), "enabled"),
        (json!({"type":"adaptive"}), "adaptive"),
        (json!({"type":"between_tools"}), "between_tools"),
        (json!({"type":"disabled"}), "disabled"),
    ] {
        let seen = previewed(&json!({"max_tokens":4096,"thinking":thinking}));
        assert_eq!(seen["thinking"], word);
    }
    for effort in ["low", "medium", "high", "xhigh", "max"] {
        let seen = previewed(&json!({"output_config":{"effort":effort}}));
        assert_eq!(seen["effort"], effort);
    }
    let unknown = previewed(&json!({"brand_new":1,"betas":["x"]}));
    assert_eq!(unknown["left_out"], json!(["betas", "brand_new"]));
}

/// What is set aside of a body.
fn aside(text: &str) -> Vec<Cow<'static, str>> {
    Request::parse(text).unwrap().set_aside
}

#[test]
fn what_a_block_says_to_anthropics_servers_is_set_aside_once() {
    let with = |field: &str, value: &Value| {
        let mut block = json!({"type":"text","text":"a"});
        block[field] = value.clone();
        aside(&message("user", &json!([block, block])))
    };
    for (field, unsaid, said) in [
        ("transformations", json!({}), json!({"x":1})),
        ("toolset_name", json!(null), json!("t")),
        (
            "caller",
            json!({"type":"direct"}),
            json!({"type":"code_execution_20250825"}),
        ),
        ("citations", json!([]), json!([{"type":"char_location"}])),
    ] {
        assert_eq!(with(field, &unsaid), [""; 0], "{field}");
        assert_eq!(with(field, &json!(null)), [""; 0], "{field}");
        assert_eq!(with(field, &said), [field]);
    }
    let spaced = message("user", &json!([{"type":"text","text":"a","caller":7}]))
        .replace('7', "{ \"type\": \"direct\" }");
    assert_eq!(aside(&spaced), [""; 0]);
    let inner = json!([{"type":"tool_result","tool_use_id":"1","content":[{"type":"text","text":"a","toolset_name":"t"}]}]);
    let call = json!([{"type":"tool_use","id":"1","name":"T","input":{}}]);
    let messages = json!([{"role":"user","content":"go"},{"role":"assistant","content":call},{"role":"user","content":inner}]);
    assert_eq!(
        aside(&body(&json!({"messages":messages}))),
        ["toolset_name"]
    );
}

#[test]
fn what_else_only_anthropics_servers_can_heed_is_set_aside() {
    for (at, noted) in [
        (json!(null), false),
        (json!("never"), false),
        (json!("end"), true),
    ] {
        let messages = json!([{"role":"user","content":"go","clear_at":at}]);
        assert_eq!(
            aside(&body(&json!({"messages":messages}))).len(),
            usize::from(noted),
            "{at}"
        );
    }
    for field in [
        "input_examples",
        "url_sources",
        "response_inclusion",
        "use_cache",
    ] {
        for (value, noted) in [(json!(null), false), (json!([]), false), (json!([1]), true)] {
            let mut tool = json!({"name":"T","input_schema":{}});
            tool[field] = value;
            let expected: &[&str] = if noted { &[field] } else { &[] };
            assert_eq!(aside(&body(&json!({"tools":[tool]}))), expected);
        }
    }
    for (field, default, other) in [
        ("use_cache", json!(true), json!(false)),
        ("response_inclusion", json!("full"), json!("excluded")),
        ("url_sources", json!({}), json!({"a":1})),
    ] {
        let with = |value: Value| {
            let tool = json!({"type":"web_fetch_20260318","name":"f",field:value});
            aside(&body(&json!({"tools":[tool]}))).len()
        };
        assert_eq!((with(default), with(other)), (0, 1), "{field}");
    }
    let fallback = json!([{"model":"a"},{"model":"b","speed":"fast"}]);
    let text = body(&json!({"fallbacks":fallback}));
    let request = Request::parse(&text).unwrap();
    assert_eq!((request.fallbacks.len(), request.set_aside.len()), (2, 1));
    let text = body(&json!({"fallbacks":"default"}));
    let request = Request::parse(&text).unwrap();
    assert_eq!(
        (request.fallbacks.len(), request.set_aside),
        (0, vec!["fallbacks".into()])
    );
}

#[test]
fn a_picture_is_what_its_bytes_say() {
    let (png, pdf) = ("iVBORw0KGgoAAAANSUhEUg", "JVBERi0xLjQKJcfsj6IK");
    let block = |kind: &str, media_type: &str, data: &str| json!({"type":kind,"source":{"type":"base64","media_type":media_type,"data":data}});
    let accepted = |block: &Value| Request::parse(&message("user", &json!([block]))).is_ok();
    assert!(accepted(&block("image", "image/png", png)));
    assert!(
        accepted(&block("image", "image/png", "AAAA")),
        "what is not known may be anything"
    );
    assert!(accepted(&block("document", "application/pdf", pdf)));
    assert!(accepted(&block("document", "application/pdf", "AAAA")));
    let at = "messages.0.content.0.source";
    refuses_block(
        "user",
        &block("image", "image/jpeg", png),
        &format!(
            "{at}: The image was specified using the image/jpeg media type, but the image appears to be a image/png file"
        ),
    );
    refuses_block(
        "user",
        &block("document", "application/pdf", png),
        &format!("{at}: The PDF specified was not valid: it appears to be a image/png file"),
    );
}

#[test]
fn a_source_has_what_its_type_needs() {
    let at = "messages.0.content.0.source";
    let refuses = |kind: &str, source: Value, words: &str| {
        refuses_block(
            "user",
            &json!({"type":kind,"source":source}),
            &format!("{at}{words}"),
        );
    };
    refuses(
        "image",
        json!({"type":"base64","data":"AAAA"}),
        ".media_type: Field required",
    );
    refuses(
        "image",
        json!({"type":"base64","media_type":"image/png"}),
        ".data: Field required",
    );
    refuses("image", json!({"type":"url"}), ".url: Field required");
    refuses("document", json!({"type":"text"}), ".data: Field required");
    refuses(
        "document",
        json!({"type":"content"}),
        ".content: Field required",
    );
    refuses("image", json!({}), ".type: Field required");
    refuses(
        "image",
        json!("name"),
        ": Input should be a valid dictionary",
    );
}

#[test]
fn a_source_has_a_type_that_its_block_may_have() {
    let at = "messages.0.content.0.source";
    let refuses = |kind: &str, source: Value, words: &str| {
        refuses_block(
            "user",
            &json!({"type":kind,"source":source}),
            &format!("{at}{words}"),
        );
    };
    let tag = |tag: &str, expected: &str| {
        format!(
            ": Input tag '{tag}' found using 'type' does not match any of the expected tags: {expected}"
        )
    };
    let of_images = "'base64', 'url', 'file'";
    refuses(
        "image",
        json!({"type":"text","data":"x"}),
        &tag("text", of_images),
    );
    refuses(
        "image",
        json!({"type":"content","content":"x"}),
        &tag("content", of_images),
    );
    refuses(
        "image",
        json!({"type":"odd"}),
        &tag("odd", "'base64', 'url', 'text', 'content', 'file'"),
    );
    let found =
        json!({"type":"search_result","title":"T","source":{"type":"url","url":"u"},"content":[]});
    refuses_block(
        "user",
        &found,
        &format!("{at}: Input should be a valid string"),
    );
    let odd = json!({"type":"search_result","title":"T","source":"S","content":[{"type":"image","source":{"type":"url","url":"https://u"}}]});
    refuses_block(
        "user",
        &odd,
        "messages.0.content.0.content.0: Input tag 'image' found using 'type' does not match any of the expected tags: 'text'",
    );
}

fn edits(edit: &Value) -> Vec<Edit<'static>> {
    let text = body(&json!({"context_management":{"edits":[edit]}}));
    let text: &'static str = text.leak();
    Request::parse(text).unwrap().edits
}

#[test]
fn clearing_of_tool_uses_is_read_as_it_is_documented() {
    for (fields, expected) in [
        (json!({}), ClearToolUses::default()),
        (
            json!({"trigger":{"type":"tool_uses","value":7},"keep":{"type":"tool_uses","value":2}}),
            ClearToolUses {
                trigger: Trigger::ToolUses(7),
                keep: 2,
                ..ClearToolUses::default()
            },
        ),
        (
            json!({"trigger":{"value":7,"type":"input_tokens"},"clear_at_least":{"type":"input_tokens","value":5}}),
            ClearToolUses {
                trigger: Trigger::InputTokens(7),
                at_least: Some(5),
                ..ClearToolUses::default()
            },
        ),
        (
            json!({"exclude_tools":["A"],"clear_tool_inputs":true,"trigger":null,"keep":null,"clear_at_least":null}),
            ClearToolUses {
                excluded: vec!["A".into()],
                inputs: Inputs::Cleared,
                ..ClearToolUses::default()
            },
        ),
        (
            json!({"exclude_tools":null,"clear_tool_inputs":false}),
            ClearToolUses::default(),
        ),
        (
            json!({"clear_tool_inputs":["A"]}),
            ClearToolUses {
                inputs: Inputs::ClearedOf(vec!["A".into()]),
                ..ClearToolUses::default()
            },
        ),
    ] {
        let mut edit = fields.clone();
        edit["type"] = json!("clear_tool_uses_20250919");
        assert_eq!(edits(&edit), [Edit::ClearToolUses(expected)], "{edit}");
    }
}

#[test]
fn edits_are_as_many_as_can_mean_something() {
    let edits = |count: usize| {
        let edits = vec![json!({"type":"clear_thinking_20251015"}); count];
        body(&json!({"context_management":{"edits":edits}}))
    };
    assert!(Request::parse(&edits(64)).is_ok());
    let refused = Request::parse(&edits(65)).unwrap_err().to_string();
    assert_eq!(
        refused,
        "context_management.edits: List should have at most 64 items"
    );
}

#[test]
fn other_edits_are_read_and_newer_ones_set_aside() {
    let keep = |value: Value| json!({"type":"clear_thinking_20251015","keep":value});
    let four = json!({"type":"thinking_turns","value":4});
    for (edit, expected) in [
        (keep(json!(null)), Edit::ClearThinking(Some(1))),
        (keep(json!("all")), Edit::ClearThinking(None)),
        (keep(json!({"type":"all"})), Edit::ClearThinking(None)),
        (keep(four), Edit::ClearThinking(Some(4))),
        (json!({"type":"compact_20260112"}), Edit::Compact),
    ] {
        assert_eq!(edits(&edit), [expected], "{edit}");
    }
    let newer =
        body(&json!({"context_management":{"edits":[{"type":"newer"}, {"type":"newer"}],"x":1}}));
    let newer = Request::parse(&newer).unwrap();
    assert_eq!(
        (newer.edits.len(), newer.set_aside),
        (0, vec!["context_management.edits".into()])
    );
    for (edit, words) in [
        (json!({}), "type: Field required"),
        (keep(json!({"value":1})), "keep.type: Field required"),
        (
            keep(json!({"type":"thinking_turns"})),
            "keep.value: Field required",
        ),
        (keep(json!("none")), "keep: Input should be 'all'"),
    ] {
        refuses_field(
            "context_management",
            &json!({"edits":[edit]}),
            &format!("context_management.edits.0.{words}"),
        );
    }
}

#[test]
fn the_preview_shows_the_shape_and_no_text() {
    let text = body(&json!({
        "system":"secret","tools":[{"name":"T","input_schema":{}},{"type":"web_search_20250305","name":"web_search"}],
        "messages":[{"role":"user","content":"secret"},{"role":"system","content":"secret"},{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"T","input":{"secret":1}}]}],
        "thinking":{"type":"adaptive"},"output_config":{"effort":"low"},"safeguards":[{"cwd":"/secret"}]
    }));
    let preview = serde_json::to_string(&Request::parse(&text).unwrap()).unwrap();
    assert!(!preview.contains("secret"), "{preview}");
    insta::assert_snapshot!(preview, @r#"{"model":"m","max_tokens":1,"stream":false,"system_blocks":1,"messages":3,"roles":"usa","blocks":{"text":2,"tool_use":1},"tools":["T","web_search_20250305"],"tool_choice":null,"thinking":"adaptive","effort":"low","left_out":["safeguards"]}"#);
}

#[test]
fn what_nobody_knows_or_heeds_is_set_aside_by_name() {
    let text = |block: Value| message("user", &json!([block]));
    for (request, expected) in [
        (
            body(&json!({"metadata":{"user_id":"u","team":1,"no":null}})),
            "metadata.team",
        ),
        (
            body(&json!({"messages":[{"role":"user","content":"hi","id":"m"}]})),
            "messages.*.id",
        ),
        (
            text(json!({"type":"text","text":"a","mood":1,"no":null})),
            "text.mood",
        ),
        (
            text(json!({"mood":1,"text":"a","type":"text"})),
            "text.mood",
        ),
        (
            body(&json!({"tools":[{"name":"T","input_schema":{},"parameters":{},"no":null}]})),
            "tools.*.parameters",
        ),
        (
            body(&json!({"max_tokens":5000,"thinking":{"type":"adaptive","block_binding":{}}})),
            "thinking.block_binding",
        ),
        (
            body(&json!({"output_config":{"verbosity":"low"}})),
            "output_config.verbosity",
        ),
        (
            body(&json!({"tools":[{"name":"T","input_schema":{},"eager_input_streaming":true}]})),
            "eager_input_streaming",
        ),
        (
            body(
                &json!({"tools":[{"type":"web_fetch_20250910","name":"f","citations":{"enabled":true}}]}),
            ),
            "web_fetch.citations",
        ),
        (
            body(&json!({"tools":[{"type":"computer_20250124","name":"c","enable_zoom":true}]})),
            "enable_zoom",
        ),
        (
            body(&json!({"tools":[{"type":"computer_20250124","name":"c","display_number":1}]})),
            "display_number",
        ),
        (
            body(&json!({"tools":[{"type":"text_editor_20250728","name":"e","max_characters":9}]})),
            "max_characters",
        ),
    ] {
        assert_eq!(aside(&request), [expected], "{request}");
    }
}

#[test]
fn what_is_heeded_or_says_nothing_is_not_set_aside() {
    for request in [
        body(
            &json!({"tools":[{"name":"T","input_schema":{},"defer_loading":true,"eager_input_streaming":false}]}),
        ),
        body(
            &json!({"tools":[{"type":"web_fetch_20250910","name":"f","citations":{"enabled":false}}]}),
        ),
        body(&json!({"tools":[{"type":"computer_20251124","name":"c","enable_zoom":true}]})),
        body(&json!({"tools":[{"type":"advisor_20260301","name":"a","model":"m","max_tokens":1}]})),
        body(&json!({"metadata":{"user_id":"u"}})),
        message(
            "assistant",
            &json!([{"type":"mcp_tool_use","id":"1","name":"n","server_name":"s","input":{}}]),
        ),
    ] {
        assert_eq!(aside(&request), [""; 0], "{request}");
    }
}

#[test]
fn of_many_fields_that_nobody_knows_a_few_are_told() {
    let mut tool = json!({"name":"T","input_schema":{}});
    for number in 0..5000 {
        tool[format!("{number}{}", "x".repeat(200))] = json!(1);
    }
    let told = aside(&body(&json!({"tools":[tool]})));
    assert_eq!((told.len(), told.last().unwrap().as_ref()), (33, "…"));
    assert!(told.iter().all(|name| name.chars().count() < 80));
}

#[test]
fn of_fields_inside_many_blocks_a_few_are_told() {
    let blocks = |of: &str| -> Vec<Value> {
        let named = |number| json!({"type":"text","text":"a",format!("{of}{number}"):1});
        (0..3000).map(named).collect()
    };
    let result = |number| {
        json!({"type":"tool_result","tool_use_id":"1","content":blocks(number)}).to_string()
    };
    // The type stands last: what is inside is read once it is known.
    let late = |block: String, kind: &str| {
        let said = format!(r#""type":"{kind}","#);
        let rest = block.replacen(&said, "", 1);
        let open = rest.strip_suffix('}').unwrap();
        format!(r#"{open},"type":"{kind}"}}"#)
    };
    let found = json!({"type":"search_result","title":"t","source":"s","content":blocks("f")});
    let contents = [
        late(result("a"), "tool_result"),
        late(result("b"), "tool_result"),
        result("c"),
        found.to_string(),
    ];
    let content = contents.join(",");
    let text = format!(
        r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"assistant","content":[{{"type":"tool_use","id":"1","name":"T","input":{{}}}}]}},{{"role":"user","content":[{content}]}}]}}"#
    );
    let told = aside(&text);
    let more = told.iter().filter(|name| name.as_ref() == "…").count();
    assert_eq!((told.len(), more), (33, 1), "{told:?}");
}

#[test]
fn of_many_fields_of_the_body_a_few_are_kept() {
    let mut text = body(&json!({"betas":["x"],"billing_policy":1}));
    text.truncate(text.len() - 1);
    for number in 0..5000 {
        let long = "x".repeat(100);
        write!(text, r#","{number}{long}":1,"betas":["x"]"#).unwrap();
    }
    text.push('}');
    let request = Request::parse(&text).unwrap();
    assert_eq!(
        (request.unknown.len(), request.unknown[32].as_str()),
        (33, "…")
    );
    assert!(request.unknown.iter().all(|name| name.len() <= 64));
    assert_eq!(request.set_aside.len(), 2);
}

#[test]
fn a_display_is_one_that_is_known() {
    let with = |display: Value| {
        let thinking = json!({"type":"adaptive","display":display});
        Request::parse(&body(&json!({"max_tokens":5000,"thinking":thinking})))
            .map(|request| request.thinking_display)
            .map_err(|fault| fault.to_string())
    };
    for display in [json!(null), json!("summarized"), json!("updates")] {
        assert_eq!(with(display), Ok(Display::Shown));
    }
    assert_eq!(with(json!("omitted")), Ok(Display::Omitted));
    let refused = with(json!("loud")).unwrap_err();
    assert!(
        refused.starts_with("thinking.display: Input should be 'summarized'"),
        "{refused}"
    );
}

#[test]
fn a_source_holds_base64_or_an_address_in_the_web() {
    let refused = |source: &Value| {
        let block = json!([{"type":"image","source":source}]);
        let read = Request::parse(&message("user", &block)).map(drop);
        read.map_err(|fault| fault.path)
    };
    let at = |field: &str| Err(format!("messages.0.content.0.source.{field}"));
    for (data, expected) in [
        ("AAAA", Ok(())),
        ("AA\nAA==", Ok(())),
        ("hello, world", at("data")),
        ("data:image/png;base64,AAAA", at("data")),
    ] {
        let source = json!({"type":"base64","media_type":"image/png","data":data});
        assert_eq!(refused(&source), expected, "{data}");
    }
    for (url, expected) in [
        ("https://a.example/b.png", Ok(())),
        ("HTTP://a.example/b.png", Ok(())),
        ("ftp://a.example/b.png", at("url")),
        ("file:///etc/passwd", at("url")),
        ("data:image/png;base64,AAAA", at("url")),
        ("", at("url")),
        ("ééééé", at("url")),
    ] {
        let source = json!({"type":"url","url":url});
        assert_eq!(refused(&source), expected, "{url}");
    }
    let escaped = message(
        "user",
        &json!([{"type":"image","source":{"type":"url","url":"https://a/b"}}]),
    )
    .replace("https://", r"https:\/\/");
    assert!(Request::parse(&escaped).is_ok());
}
