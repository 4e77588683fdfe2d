//! The rows of content blocks and of their sources.

use super::super::Outcome::{Carried, Degraded, Refused, Translated};
use super::super::Part::{Block, Source};
use super::super::Row;
use super::table;

table! { pub(super) ROWS
    Block ["text"] Carried "blank ones are left out"
        r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a\tb \u2014"}]}]}"#
        => r#"a\tb \u2014"#;
    Block ["text.citations"] Degraded "left out: a model that is not Claude cannot have given them"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"text","text":"w","citations":[{"type":"web_search_result_location","url":"u","title":"t","cited_text":"c","encrypted_index":"x"}]},{"type":"text","text":"so"}]},{"role":"user","content":"on"}]}"#
        => "`citations` was left out";
    Block ["text.anything_else"] ("and of every block that clients write") Degraded "left out"
        r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a","anything_else":1}]}]}"#
        => "`$` was left out";
    Block ["image"] Translated "`image_url`; a sentence for a model that cannot see"
        r#"{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}}]}]}"#
        => r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}"#;
    Block ["image.transformations"] Degraded "left out"
        r#"{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="},"transformations":{"oversized_image":"downsize"}}]}]}"#
        => "`transformations` was left out";
    Block ["document"] Translated "see [sources](#sources-of-images-and-documents); title and context stand before the text"
        r#"{"messages":[{"role":"user","content":[{"type":"document","title":"T","context":"C","source":{"type":"text","media_type":"text/plain","data":"body"}}]}]}"#
        => r#"Document: T\nC\n\nbody"#;
    Block ["document.citations", "search_result.citations"] Degraded "the content goes, but chat completions cite nothing but web pages"
        r#"{"messages":[{"role":"user","content":[{"type":"search_result","title":"T","source":"s","content":[{"type":"text","text":"x"}],"citations":{"enabled":true}},{"type":"document","citations":{"enabled":true},"source":{"type":"text","media_type":"text/plain","data":"body"}}]}]}"#
        => "citations were asked of a document";
    Block ["search_result"] Translated "a text with title and source"
        r#"{"messages":[{"role":"user","content":[{"type":"search_result","title":"T","source":"https://a","content":[{"type":"text","text":"found"}]}]}]}"#
        => r#"T\nSource: https://a\nfound"#;
    Block ["thinking"] ("with its signature") Carried "`reasoning_details`, as they came, to the family that wrote them; text to models that want text"
        r#"{"model":"anthropic/claude-sonnet-4.5","messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm \"x\"","signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3h"},{"type":"text","text":"so"}]},{"role":"user","content":"on"}]}"#
        => "EqQBCgIYAhIM1gbcDa9GJwZA2b3h";
    Block ["thinking"] ("of another family") Degraded "another family cannot read it"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3h"},{"type":"text","text":"so"}]},{"role":"user","content":"on"}]}"#
        => "1 earlier thought(s) were left out";
    Block ["redacted_thinking"] Carried "`reasoning.encrypted`, to Claude"
        r#"{"model":"anthropic/claude-sonnet-4.5","messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"redacted_thinking","data":"EmwKAhgBEgy3va3pzix"},{"type":"text","text":"so"}]},{"role":"user","content":"on"}]}"#
        => "EmwKAhgBEgy3va3pzix";
    Block ["redacted_thinking"] ("of another family") Degraded "another family cannot read it"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"redacted_thinking","data":"EmwKAhgBEgy3va3pzix"},{"type":"text","text":"so"}]},{"role":"user","content":"on"}]}"#
        => "1 earlier thought(s) were left out";
    Block ["tool_use"] Translated "a tool call; a name over 64 characters or with others than letters, digits, `_` and `-` has a short form that the answer undoes, and so has an id that stands twice"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"Read","input":{"p":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"ok"}]}]}"#
        => r#""tool_calls":[{"id":"a","type":"function","function":{"name":"Read","arguments":"{\"p\":1}"}}]"#;
    Block ["tool_use"] ("without a result") Degraded "it is answered as interrupted"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"Read","input":{"p":1}},{"type":"text","text":"so"}]},{"role":"user","content":"on"}]}"#
        => "the call of `Read` without a result was answered as interrupted";
    Block ["tool_use.caller"] Degraded "left out, unless it is the model itself"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"Read","input":{"p":1},"caller":{"type":"code_execution_20260120","tool_id":"t"}},{"type":"text","text":"so"}]},{"role":"user","content":"on"}]}"#
        => "`caller`";
    Block ["tool_use.toolset_name"] Degraded "left out"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"Read","input":{"p":1},"toolset_name":"browser"},{"type":"text","text":"so"}]},{"role":"user","content":"on"}]}"#
        => "`toolset_name`";
    Block ["tool_result"] Translated "a `tool` message directly behind its call"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"Read","input":{"p":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"ok"}]}]}"#
        => r#"{"role":"tool","tool_call_id":"a","content":"ok"}"#;
    Block ["tool_result"] ("images and PDFs in it") Translated "a mark in the tool message, and the image or file in a user message behind all results"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"Read","input":{"p":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}}]}]}]}"#
        => "[Attached to the result of Read:]";
    Block ["tool_result"] ("without a call") Degraded "it is left out"
        r#"{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"x","content":"ok"},{"type":"text","text":"on"}]}]}"#
        => "the result of `x` was left out";
    Block ["tool_result.is_error"] Translated "its text says so"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"Read","input":{"p":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"no such file","is_error":true}]}]}"#
        => "Error: no such file";
    Block ["tool_reference"] Translated "a text that says that the tool can be called"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"Read","input":{"p":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"tool_reference","tool_name":"CronList"}]}]}]}"#
        => "The tool CronList is now available.";
    Block ["server_tool_use", "mcp_tool_use"] Translated "told in words"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"$","id":"s","name":"web_search","server_name":"m","input":{"query":"rust"}},{"type":"text","text":"so"}]},{"role":"user","content":"on"}]}"#
        => "[web_search: rust]";
    Block ["web_search_tool_result"] Translated "title, address and text, told in words"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"$","tool_use_id":"s","content":[{"type":"web_search_result","title":"T","url":"https://a","encrypted_content":"e"}]},{"type":"text","text":"so"}]},{"role":"user","content":"on"}]}"#
        => "https://a";
    Block ["web_fetch_tool_result"] Translated "title, address and text, told in words"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"$","tool_use_id":"s","content":{"type":"web_fetch_result","url":"https://a","content":{"type":"document","source":{"type":"text","media_type":"text/plain","data":"page"}}}},{"type":"text","text":"so"}]},{"role":"user","content":"on"}]}"#
        => "https://a";
    Block ["code_execution_tool_result", "bash_code_execution_tool_result"] Translated "what was printed, told in words"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"$","tool_use_id":"s","content":{"type":"code_execution_result","content":[],"return_code":0,"stderr":"","stdout":"forty-two"}},{"type":"text","text":"so"}]},{"role":"user","content":"on"}]}"#
        => "forty-two";
    Block ["code_execution_tool_result", "bash_code_execution_tool_result"] ("its files") Degraded "only Anthropic's servers hold them"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"$","tool_use_id":"s","content":{"type":"code_execution_result","content":[{"type":"code_execution_output","file_id":"f"}],"return_code":0,"stderr":"","stdout":"forty-two"}},{"type":"text","text":"so"}]},{"role":"user","content":"on"}]}"#
        => "files in a `$` block were left out";
    Block ["code_execution_tool_result", "advisor_tool_result"] ("encrypted") Degraded "`(no text)` stands for what only Anthropic's servers can read"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"$","tool_use_id":"s","content":{"type":"advisor_redacted_result","encrypted_content":"e","encrypted_stdout":"e","content":[]}},{"type":"text","text":"so"}]},{"role":"user","content":"on"}]}"#
        => "a `$` block was told as `(no text)`";
    Block ["text_editor_code_execution_tool_result", "advisor_tool_result", "mcp_tool_result"] Translated "its texts, told in words"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"$","tool_use_id":"s","content":[{"type":"text","text":"seen"}]},{"type":"text","text":"so"}]},{"role":"user","content":"on"}]}"#
        => "seen";
    Block ["tool_search_tool_result"] Translated "the names of the tools, told in words"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"$","tool_use_id":"s","content":{"type":"tool_search_tool_search_result","tool_references":[{"type":"tool_reference","tool_name":"CronList"}]}},{"type":"text","text":"so"}]},{"role":"user","content":"on"}]}"#
        => "CronList";
    Block ["compaction"] Translated "the summary, as a text"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"compaction","content":"They met."},{"type":"text","text":"so"}]},{"role":"user","content":"on"}]}"#
        => r#"Summary of the conversation so far:\nThey met."#;
    Block ["compaction"] ("encrypted") Degraded "encrypted summaries are for Anthropic's servers"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"compaction","content":null,"encrypted_content":"x"},{"type":"text","text":"so"}]},{"role":"user","content":"on"}]}"#
        => "a `compaction` block was left out";
    Block ["tool_addition"] Translated "the tool is offered, and a system message says so"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"system","content":[{"type":"tool_addition","tool":{"type":"tool_definition","definition":{"name":"New","input_schema":{"type":"object","properties":{}}}}}]}]}"#
        => r#""function":{"name":"New""#;
    Block ["tool_removal"] Translated "the tool is offered no more, and a system message says so"
        r#"{"tools":[{"name":"Old","input_schema":{}}],"messages":[{"role":"user","content":"go"},{"role":"system","content":[{"type":"tool_removal","tool":{"type":"tool_reference","name":"Old"}}]}]}"#
        => "The tool Old is no longer available.";
    Block ["tool_addition", "tool_removal"] ("of MCP tools") Degraded "left out: remote MCP servers are called by Anthropic's API only"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"system","content":[{"type":"$","tool":{"type":"mcp_tool_reference","server_name":"s","name":"n"}}]}]}"#
        => "a `$` block was left out";
    Block ["mcp_tool_listing", "container_upload", "fallback"] Degraded "left out"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"$","file_id":"f"},{"type":"text","text":"so"}]},{"role":"user","content":"on"}]}"#
        => "a `$` block was left out";
    Block ["browser_state"] Degraded "left out"
        r#"{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"Read","input":{"p":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"browser_state"}]}]}]}"#
        => "a `browser_state` block in a tool result was left out";
    Block ["hologram"] ("and whatever else") Refused "an unknown type is refused with those that are known"
        r#"{"messages":[{"role":"user","content":[{"type":"hologram"}]}]}"#
        => "messages.0.content.0: Input tag 'hologram' found using 'type' does not match any of the expected tags: 'text', 'image'";
    Source ["base64"] ("image") Carried "a `data:` address"
        r#"{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgoAAA"}}]}]}"#
        => "iVBORw0KGgoAAA";
    Source ["base64"] ("what is none") Refused "no provider could read it"
        r#"{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"a picture!"}}]}]}"#
        => "messages.0.content.0.source.data: Invalid base64 data";
    Source ["base64"] ("image, mislabelled") Refused "the bytes must be what the media type says"
        r#"{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"/9j/4AAQSkZJRg=="}}]}]}"#
        => "messages.0.content.0.source: The image was specified using the image/png media type, but the image appears to be a image/jpeg file";
    Source ["url"] ("image") Carried "fetched by the provider"
        r#"{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://a.example/b.png"}}]}]}"#
        => "https://a.example/b.png";
    Source ["url"] ("with another scheme than `http` or `https`") Refused "no provider could fetch it"
        r#"{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"ftp://a.example/b.png"}}]}]}"#
        => "messages.0.content.0.source.url: Input should be a URL";
    Source ["file"] ("image") Refused "other providers cannot read Anthropic's files"
        r#"{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"file","file_id":"f"}}]}]}"#
        => "messages.0.content.0.source: files uploaded to Anthropic";
    Source ["base64"] ("document") Translated "a `file` part, read by the model itself or by the upstream's parser"
        r#"{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0xLjQ="}}]}]}"#
        => r#"{"type":"file","file":{"filename":"document.pdf","file_data":"data:application/pdf;base64,JVBERi0xLjQ="}}"#;
    Source ["base64"] ("document, mislabelled") Refused "the bytes must be a PDF"
        r#"{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"iVBORw0KGgo="}}]}]}"#
        => "messages.0.content.0.source: The PDF specified was not valid";
    Source ["url"] ("document") Carried "a `file` part, fetched by the upstream"
        r#"{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"url","url":"https://a.example/b.pdf"}}]}]}"#
        => "https://a.example/b.pdf";
    Source ["text"] ("document") Carried "a text"
        r#"{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"a\nb"}}]}]}"#
        => r#"a\nb"#;
    Source ["content"] ("document") Translated "its texts and images, in order"
        r#"{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"content","content":[{"type":"text","text":"one"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}}]}}]}]}"#
        => r#"{"type":"text","text":"one"},{"type":"image_url""#;
    Source ["file"] ("document") Refused "other providers cannot read Anthropic's files"
        r#"{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"f"}}]}]}"#
        => "messages.0.content.0.source: files uploaded to Anthropic";
}
