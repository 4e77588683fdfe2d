//! The rows of the body's fields and of messages.

use super::super::Outcome::{Carried, Degraded, Refused, Translated};
use super::super::Part::{Field, Message};
use super::super::Row;
use super::table;

table! { pub(super) ROWS
    Field ["model"] Translated "an alias, a name of Anthropic's or an id of the catalogue becomes the upstream's id ([`model::resolve`])"
        r#"{"model":"claude-sonnet-4-5-20250929"}"#
        => r#""model":"anthropic/claude-sonnet-4.5""#;
    Field ["messages"] Carried "texts go byte for byte, escapes included; messages of one role in a row are one, and every tool call is answered exactly once"
        r#"{"messages":[{"role":"user","content":"a \u00e9 \/ \"b\""}]}"#
        => r#"a \u00e9 \/ \"b\""#;
    Field ["system"] Translated "the first message; several blocks are joined for families that do not cache by breakpoints"
        r#"{"system":[{"type":"text","text":"Be kind."},{"type":"text","text":"Be brief."}]}"#
        => r#"{"role":"system","content":"Be kind.\n\nBe brief."}"#;
    Field ["max_tokens"] Carried "lowered, with a note, to what the model and the rest of its context take"
        r#"{"max_tokens":1234}"#
        => r#""max_tokens":1234"#;
    Field ["max_tokens"] ("0") Refused "no other API can warm a cache and answer nothing"
        r#"{"max_tokens":0}"#
        => "max_tokens: Input should be greater than or equal to 1";
    Field ["stream"] Carried "the answer comes the way it was asked for"
        r#"{"stream":true}"#
        => r#""stream":true"#;
    Field ["temperature", "top_p"] Carried "left out, with a note, for models that refuse it"
        r#"{"$":0.5}"#
        => r#""$":0.5"#;
    Field ["top_k"] Carried "left out, with a note, for models that refuse it"
        r#"{"top_k":7}"#
        => r#""top_k":7"#;
    Field ["stop_sequences"] Translated "`stop`; blank ones are left out"
        r#"{"stop_sequences":["END"," "]}"#
        => r#""stop":["END"]"#;
    Field ["stop_sequences"] ("more than four") Degraded "four go upstream, the rest ends the answer here"
        r#"{"stop_sequences":["a","b","c","d","e"]}"#
        => "1 of 5 stop sequences were left out";
    Field ["tools"] Translated "see [tools](#tools)"
        r#"{"tools":[{"name":"Read","input_schema":{"type":"object","properties":{}}}]}"#
        => r#""tools":[{"type":"function","function":{"name":"Read""#;
    Field ["tool_choice"] Translated "see [`tool_choice`](#tool_choice)"
        r#"{"tools":[{"name":"Read","input_schema":{}}],"tool_choice":{"type":"auto"}}"#
        => r#""tool_choice":"auto""#;
    Field ["thinking"] Translated "see [`thinking`](#thinking)"
        r#"{"model":"anthropic/claude-sonnet-4.5","thinking":{"type":"enabled","budget_tokens":2048}}"#
        => r#""reasoning":{"max_tokens":2048}"#;
    Field ["output_config"] Translated "see [`output_config`](#output_config)"
        r#"{"output_config":{"effort":"low"}}"#
        => r#""reasoning":{"effort":"low"}"#;
    Field ["output_format"] Translated "the older name of `output_config.format`"
        r#"{"output_format":{"type":"json_schema","schema":{"type":"string"}}}"#
        => r#""response_format":{"type":"json_schema","json_schema":{"name":"answer""#;
    Field ["metadata"] Translated "`user_id` becomes an opaque `user` and the conversation's `session_id`, as a hash where it names no session"
        r#"{"metadata":{"user_id":"user_a_session_b"}}"#
        => r#""session_id":"b","user":""#;
    Field ["metadata"] ("anything but `user_id`") Degraded "left out"
        r#"{"metadata":{"user_id":"user_a_session_b","team":"t"}}"#
        => "`metadata.team` was left out";
    Field ["service_tier"] Translated "`standard_only` is `default`; `auto` is left to the upstream"
        r#"{"service_tier":"standard_only"}"#
        => r#""service_tier":"default""#;
    Field ["speed"] Translated "`fast` is the service tier `priority`"
        r#"{"speed":"fast"}"#
        => r#""service_tier":"priority""#;
    Field ["speed"] ("with `service_tier: standard_only`") Degraded "left out: the standard tier is asked for"
        r#"{"speed":"fast","service_tier":"standard_only"}"#
        => "`speed` was left out";
    Field ["cache_control"] Carried "to families that cache by breakpoints; the others cache by themselves and are sent none"
        r#"{"model":"anthropic/claude-sonnet-4.5","cache_control":{"type":"ephemeral","ttl":"1h"}}"#
        => r#""cache_control":{"type":"ephemeral","ttl":"1h"}"#;
    Field ["cache_control"] ("a fifth") Degraded "a request has four at most: the last of the tools, of the system prompt and of the conversation stay"
        r#"{"model":"anthropic/claude-sonnet-4.5","system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"text","text":"b","cache_control":{"type":"ephemeral"}},{"type":"text","text":"c","cache_control":{"type":"ephemeral"}},{"type":"text","text":"d","cache_control":{"type":"ephemeral"}},{"type":"text","text":"e","cache_control":{"type":"ephemeral"}}]}"#
        => "1 cache breakpoint(s) were left out";
    Field ["fallbacks"] Translated "`models`; retries on other models are then the upstream's"
        r#"{"fallbacks":[{"model":"claude-haiku-4-5"}]}"#
        => r#""models":["openai/gpt-5","anthropic/claude-haiku-4.5"]"#;
    Field ["fallbacks"] (r#"`"default"`"#) Degraded "Anthropic's own list is known to Anthropic alone"
        r#"{"fallbacks":"default"}"#
        => "`fallbacks` was left out";
    Field ["fallbacks"] ("their own settings") Degraded "the upstream's fallbacks take the request's own settings"
        r#"{"fallbacks":[{"model":"claude-haiku-4-5","max_tokens":9}]}"#
        => "`fallbacks.*.max_tokens";
    Field ["provider"] Carried "OpenRouter's own field: which hosts may answer; the client's goes before that of the settings, as a whole"
        r#"{"provider":{"only":["azure"],"zdr":true}}"#
        => r#""provider":{"only":["azure"],"zdr":true}"#;
    Field ["context_management"] Translated "see [`context_management.edits`](#context_managementedits)"
        r#"{"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]}}"#
        => "!context_management";
    Field ["betas"] Degraded "left out; the header `anthropic-beta` carries what Claude's hosts understand ([`betas`])"
        r#"{"betas":["interleaved-thinking-2025-05-14"]}"#
        => "`betas` was left out";
    Field ["billing_policy", "compaction", "diagnostics", "fallback_credit_token", "inference_geo", "prediction", "safeguards", "user_profile_id", "workspace_id"] Degraded "left out: only Anthropic's servers know what it means"
        r#"{"$":{}}"#
        => "`$` was left out";
    Field ["mcp_servers"] Refused "remote MCP servers are called by Anthropic's API; clients can connect them themselves"
        r#"{"mcp_servers":[{"type":"url","url":"https://a.example","name":"a"}]}"#
        => "mcp_servers: remote MCP servers";
    Field ["container"] Refused "containers for code execution exist at Anthropic only"
        r#"{"container":"c"}"#
        => "container: containers for code execution";
    Field ["thread"] ("its beginning") Degraded "left out: conversations are not kept, and all messages are there"
        r#"{"thread":{"type":"create"}}"#
        => "`thread` was left out";
    Field ["thread"] ("its continuation") Refused "conversations are not kept; the code `thread_not_found` makes the SDKs send all messages"
        r#"{"thread":{"type":"continue","previous_message_id":"m"}}"#
        => "thread: conversations are not kept here";
    Field ["anything_else"] Degraded "left out"
        r#"{"anything_else":1}"#
        => "`anything_else` was left out";
    Message ["user"] Translated "tool results come first, in the order of their calls, then the rest"
        r#"{"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}"#
        => r#"{"role":"user","content":"hi"}"#;
    Message ["assistant"] Translated "its texts, its thoughts and its calls in one message"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"text","text":"well"},{"type":"text","text":"so"}]},{"role":"user","content":"on"}]}"#
        => r#"{"role":"assistant","content":"wellso"}"#;
    Message ["assistant"] ("last, a prefill") Degraded "Claude before 4.6 goes on where its message ends; the others are asked to"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":"So"}]}"#
        => "ends with the beginning of an answer";
    Message ["system"] ("mid-conversation") Translated "at its place, to OpenAI's models"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"system","content":"Be brief."}]}"#
        => r#"{"role":"system","content":"Be brief."}"#;
    Message ["system"] ("mid-conversation") Degraded "elsewhere a `<system-reminder>` of the user's, at its place"
        r#"{"model":"anthropic/claude-sonnet-4.5","messages":[{"role":"user","content":"go"},{"role":"system","content":"Be brief."}]}"#
        => "became <system-reminder> text";
    Message ["system.output_config"] Translated "the effort of the last one holds"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"system","content":[],"output_config":{"effort":"low"}}]}"#
        => r#""reasoning":{"effort":"low"}"#;
    Message ["system.clear_at"] Degraded "left out: the message stays"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"system","content":"Be brief.","clear_at":"next_user_message"}]}"#
        => "`clear_at` was left out";
    Message ["anything_else"] Degraded "left out"
        r#"{"messages":[{"role":"user","content":"go","$":1}]}"#
        => "`messages.*.$` was left out";
}
