//! The rows of tools and of how the model shall choose, think and answer.

use super::super::Outcome::{Carried, Degraded, Refused, Translated};
use super::super::Part::{Choice, Edit, Output, Thinking, Tool};
use super::super::Row;
use super::table;

table! { pub(super) ROWS
    Tool ["custom"] Carried "a function; its schema goes as it is, with `type` and `properties` if they are missing, and in the dialect of Google's and Moonshot's models to those"
        r#"{"tools":[{"type":"custom","name":"Read","description":"Reads.","input_schema":{"type":"object","properties":{"p":{"type":"string","format":"uri"}}}}]}"#
        => r#"{"type":"object","properties":{"p":{"type":"string","format":"uri"}}}"#;
    Tool ["custom"] ("a choice of schemas") Degraded "no provider takes schemas combined at the top, so they are merged"
        r#"{"tools":[{"name":"Read","input_schema":{"anyOf":[{"type":"object","properties":{"a":{}}},{"type":"object","properties":{"b":{}}}]}}]}"#
        => "the schemas that `Read` combines at its top were merged";
    Tool ["strict"] Translated "to Claude, and to OpenAI's models where the schema is closed"
        r#"{"tools":[{"name":"Read","strict":true,"input_schema":{"type":"object","properties":{},"additionalProperties":false}}]}"#
        => r#""strict":true"#;
    Tool ["strict"] Degraded "elsewhere it is left out"
        r#"{"model":"deepseek/deepseek-v3.2","tools":[{"name":"Read","strict":true,"input_schema":{"type":"object","properties":{"p":{"type":"string","format":"uri"}}}}]}"#
        => "`strict` of the tool `Read` was left out";
    Tool ["defer_loading"] Translated "the tool is offered: upstream there is no search for tools that are not"
        r#"{"tools":[{"name":"Read","defer_loading":true,"input_schema":{"type":"object","properties":{"p":{"type":"string","format":"uri"}}}}]}"#
        => r#""name":"Read""#;
    Tool ["input_examples"] Degraded "left out"
        r#"{"tools":[{"name":"Read","$":[{"p":"x"}],"input_schema":{"type":"object","properties":{"p":{"type":"string","format":"uri"}}}}]}"#
        => "`$` was left out";
    Tool ["eager_input_streaming"] Degraded "a call is given out when its input is whole, because clients run what is closed"
        r#"{"tools":[{"name":"Read","$":true,"input_schema":{"type":"object","properties":{}}}]}"#
        => "`$` was left out";
    Tool ["anything_else"] Degraded "left out"
        r#"{"tools":[{"name":"Read","$":true,"input_schema":{"type":"object","properties":{}}}]}"#
        => "`tools.*.$` was left out";
    Tool ["allowed_callers"] ("without `direct`") Degraded "the tool is offered to the model all the same"
        r#"{"tools":[{"name":"Read","$":["code_execution_20260120"],"input_schema":{"type":"object","properties":{"p":{"type":"string","format":"uri"}}}}]}"#
        => "`$` was left out";
    Tool ["bash_20241022", "bash_20250124"] Translated "a function with the published schema"
        r#"{"tools":[{"type":"$","name":"bash"}]}"#
        => r#""function":{"name":"bash","description":"Runs a command"#;
    Tool ["text_editor_20241022", "text_editor_20250124", "text_editor_20250429", "text_editor_20250728"] Translated "a function with the schema that is published for its date"
        r#"{"tools":[{"type":"$","name":"str_replace_editor"}]}"#
        => r#""function":{"name":"str_replace_editor","description":"Views, creates"#;
    Tool ["max_characters"] Degraded "left out: the client cuts what it shows"
        r#"{"tools":[{"type":"text_editor_20250728","name":"str_replace_based_edit_tool","$":1000}]}"#
        => "`$` was left out";
    Tool ["memory_20250818"] Translated "a function with the published schema"
        r#"{"tools":[{"type":"$","name":"memory"}]}"#
        => r#""function":{"name":"memory","description":"Keeps notes"#;
    Tool ["computer_20241022", "computer_20250124", "computer_20251124"] Translated "a function with the schema that is published for its date; its description tells the size of the screen"
        r#"{"tools":[{"type":"$","name":"computer","display_width_px":800,"display_height_px":600}]}"#
        => "The screen is 800 pixels wide and 600 pixels high.";
    Tool ["enable_zoom"] ("of `computer_20251124`") Translated "the action `zoom` is offered"
        r#"{"tools":[{"type":"computer_20251124","name":"computer","$":true,"display_width_px":800,"display_height_px":600}]}"#
        => r#","zoom"]"#;
    Tool ["enable_zoom"] ("elsewhere") Degraded "left out"
        r#"{"tools":[{"type":"computer_20250124","name":"computer","$":true,"display_width_px":800,"display_height_px":600}]}"#
        => "`$` was left out";
    Tool ["display_number"] Degraded "left out: the client knows its display"
        r#"{"tools":[{"type":"computer_20250124","name":"computer","$":1,"display_width_px":800,"display_height_px":600}]}"#
        => "`$` was left out";
    Tool ["web_search_20250305", "web_search_20260209", "web_search_20260318"] Translated "`openrouter:web_search`; the answer has its hits and citations in Anthropic's blocks"
        r#"{"tools":[{"type":"$","name":"web_search","max_uses":3,"blocked_domains":["a.example"]}]}"#
        => r#"{"type":"openrouter:web_search","parameters":{"max_uses":3,"excluded_domains":["a.example"]}}"#;
    Tool ["web_fetch_20250910", "web_fetch_20260209", "web_fetch_20260309", "web_fetch_20260318"] Translated "`openrouter:web_fetch`; the answer has its pages in Anthropic's blocks"
        r#"{"tools":[{"type":"$","name":"web_fetch","max_uses":3,"allowed_domains":["a.example"]}]}"#
        => r#"{"type":"openrouter:web_fetch","parameters":{"max_uses":3,"allowed_domains":["a.example"]}}"#;
    Tool ["citations"] ("of `web_fetch`") Degraded "left out: the upstream decides what it cites"
        r#"{"tools":[{"type":"web_fetch_20260318","name":"web_fetch","$":{"enabled":true}}]}"#
        => "`web_fetch.$` was left out";
    Tool ["url_sources", "response_inclusion", "use_cache"] Degraded "left out"
        r#"{"tools":[{"type":"web_fetch_20260318","name":"web_fetch","$":false}]}"#
        => "`$` was left out";
    Tool ["tool_search_tool_bm25_20251119", "tool_search_tool_bm25", "tool_search_tool_regex_20251119", "tool_search_tool_regex"] Degraded "left out: all tools that the client lists are offered"
        r#"{"tools":[{"type":"$","name":"tool_search"}]}"#
        => "the tool search was left out";
    Tool ["advisor_20260301"] Degraded "left out: only Anthropic's servers run it"
        r#"{"tools":[{"type":"$","name":"advisor","model":"claude-opus-5"}]}"#
        => "the advisor tool was left out";
    Tool ["code_execution_20250522", "code_execution_20250825", "code_execution_20260120", "code_execution_20260521", "mcp_toolset"] Refused "only Anthropic's servers run it"
        r#"{"tools":[{"type":"$","name":"code_execution","mcp_server_name":"s"}]}"#
        => "tools.0.type: `$` is run by Anthropic's servers only";
    Tool ["browser_toolset_20260801", "computer_toolset_20260801"] Refused "only Anthropic's models know its members' schemas"
        r#"{"tools":[{"type":"$"}]}"#
        => "tools.0.type: `$` stands for tools that Anthropic's models know by heart";
    Tool ["hologram_20990101"] ("and whatever else") Refused "an unknown type is refused with those that are known"
        r#"{"tools":[{"type":"$","name":"h"}]}"#
        => "tools.0.type: Input tag '$' found using 'type' does not match any of the expected tags: 'custom'";
    Choice ["auto"] Translated "`auto`"
        r#"{"tools":[{"name":"Read","input_schema":{}},{"type":"web_search_20250305","name":"web_search"}],"tool_choice":{"type":"auto"}}"#
        => r#""tool_choice":"auto""#;
    Choice ["any"] Translated "`required`"
        r#"{"tools":[{"name":"Read","input_schema":{}},{"type":"web_search_20250305","name":"web_search"}],"tool_choice":{"type":"any"}}"#
        => r#""tool_choice":"required""#;
    Choice ["tool"] Translated "that function, or that tool of the upstream's"
        r#"{"tools":[{"name":"Read","input_schema":{}},{"type":"web_search_20250305","name":"web_search"}],"tool_choice":{"type":"tool","name":"Read"}}"#
        => r#""tool_choice":{"type":"function","function":{"name":"Read"}}"#;
    Choice ["tool"] ("one that is not there") Refused "a choice must be among the tools"
        r#"{"tools":[{"name":"Read","input_schema":{}},{"type":"web_search_20250305","name":"web_search"}],"tool_choice":{"type":"tool","name":"Write"}}"#
        => "tool_choice.name: Tool 'Write' not found in provided tools";
    Choice ["none"] Translated "`none`; the tools stay, so that the history is valid"
        r#"{"tools":[{"name":"Read","input_schema":{}},{"type":"web_search_20250305","name":"web_search"}],"tool_choice":{"type":"none"}}"#
        => r#""tool_choice":"none""#;
    Choice ["disable_parallel_tool_use"] Translated "`parallel_tool_calls`"
        r#"{"tools":[{"name":"Read","input_schema":{}},{"type":"web_search_20250305","name":"web_search"}],"tool_choice":{"type":"any","disable_parallel_tool_use":true}}"#
        => r#""parallel_tool_calls":false"#;
    Choice ["anything_else"] Degraded "left out"
        r#"{"tools":[{"name":"Read","input_schema":{}}],"tool_choice":{"type":"any","$":1}}"#
        => "`tool_choice.$` was left out";
    Choice ["any", "tool"] ("with `thinking`, to Claude") Degraded "Claude cannot reason when it must call a tool, so it does not"
        r#"{"model":"anthropic/claude-sonnet-4.5","thinking":{"type":"adaptive"},"tools":[{"name":"Read","input_schema":{}},{"type":"web_search_20250305","name":"web_search"}],"tool_choice":{"type":"$","name":"Read"}}"#
        => "reasoning was turned off";
    Thinking ["enabled"] Translated "a budget where the model takes one, else the effort that is nearest"
        r#"{"thinking":{"type":"enabled","budget_tokens":20000}}"#
        => r#""reasoning":{"effort":"high"}"#;
    Thinking ["budget_tokens"] ("below 1024") Refused "as Anthropic does"
        r#"{"thinking":{"type":"enabled","budget_tokens":1000}}"#
        => "thinking.budget_tokens: Input should be greater than or equal to 1024";
    Thinking ["adaptive"] Translated "the effort that is asked for, else the model's own"
        r#"{"thinking":{"type":"adaptive"}}"#
        => r#""reasoning":{"enabled":true}"#;
    Thinking ["between_tools"] Degraded "as `adaptive`"
        r#"{"thinking":{"type":"between_tools"}}"#
        => "reasoning between tool calls alone cannot be asked for";
    Thinking ["disabled"] Translated "said where the model may be told; the least it can where it cannot stop"
        r#"{"model":"anthropic/claude-sonnet-4.5","thinking":{"type":"disabled"}}"#
        => r#""reasoning":{"effort":"none"}"#;
    Thinking ["display"] Translated "`omitted` empties the blocks of the answer; reasoning is never excluded upstream, because that would lose its signatures"
        r#"{"thinking":{"type":"adaptive","display":"omitted"}}"#
        => "!omitted";
    Thinking ["display"] ("unknown") Refused "as Anthropic does"
        r#"{"thinking":{"type":"adaptive","display":"loud"}}"#
        => "thinking.display: Input should be 'summarized', 'updates' or 'omitted'";
    Thinking ["block_binding", "anything_else"] Degraded "left out"
        r#"{"thinking":{"type":"adaptive","$":{}}}"#
        => "`thinking.$` was left out";
    Output ["effort"] Translated "`reasoning`, at the level of the model's that is nearest"
        r#"{"output_config":{"effort":"xhigh"}}"#
        => r#""reasoning":{"effort":"xhigh"}"#;
    Output ["format"] Translated "`response_format`, strict where the schema allows; the answer is checked against the schema, and a note says if it does not fit"
        r#"{"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}}}}"#
        => r#""response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":true"#;
    Output ["task_budget"] Degraded "left out"
        r#"{"output_config":{"task_budget":{"type":"tokens","total":5}}}"#
        => "`output_config.task_budget` was left out";
    Output ["anything_else"] Degraded "left out"
        r#"{"output_config":{"$":1}}"#
        => "`output_config.$` was left out";
    Edit ["clear_tool_uses_20250919"] Translated "done here, exactly where it counts calls and by an estimate where it counts tokens; told in the answer's `context_management.applied_edits`"
        r#"{"model":"anthropic/claude-sonnet-4.5","context_management":{"edits":[{"type":"$","trigger":{"type":"tool_uses","value":0},"keep":{"type":"tool_uses","value":0}}]},"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"Read","input":{"p":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"old news"}]}]}"#
        => "[This tool result was cleared to save context.]";
    Edit ["clear_thinking_20251015"] Translated "done here; told in the answer's `context_management.applied_edits`"
        r#"{"model":"anthropic/claude-sonnet-4.5","context_management":{"edits":[{"type":"$","keep":{"type":"thinking_turns","value":0}}]},"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3h"},{"type":"text","text":"so"}]},{"role":"user","content":"on"}]}"#
        => "!EqQBCgIYAhIM1gbcDa9GJwZA2b3h";
    Edit ["compact_20260112"] Degraded "left out: nothing is summarised"
        r#"{"context_management":{"edits":[{"type":"$"}]}}"#
        => "`context_management` asks for `compact_20260112`";
    Edit ["anything_else"] Degraded "left out"
        r#"{"context_management":{"edits":[{"type":"$"}]}}"#
        => "`context_management.edits` was left out";
}
