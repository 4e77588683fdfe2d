//! Typical streams, written out: what a client sees, word for word.

use serde_json::json;

use super::script::{
    call, claude, delta, details, ended, more_arguments, replay_with, settings, stream, text,
};

fn transcript(stream: &str) -> String {
    replay_with(&settings(), stream).2
}

/// Envelopes hold compressed bytes, which say nothing to a reader and change with the compressor.
fn without_envelopes(transcript: &str) -> String {
    let mut pieces = transcript.split("dgw1.");
    let mut readable = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let rest = piece
            .find('"')
            .and_then(|end| piece.get(end..))
            .unwrap_or_default();
        readable.push_str("dgw1.(envelope)");
        readable.push_str(rest);
    }
    readable
}

#[test]
fn a_plain_answer() {
    insta::assert_snapshot!(transcript(&ended(
        vec![text("Hello"), text(", \"world\"\n")],
        "stop"
    )));
}

#[test]
fn claude_thinks_and_calls_two_tools() {
    let chunks = vec![
        claude(json!({"text": "I must "})),
        claude(json!({"text": "look."})),
        claude(json!({"signature": "EqQBCkYIBhgCKkD+sig=="})),
        text("Let me look."),
        call(0, "toolu_01", "Read", ""),
        call(1, "toolu_02", "Bash", ""),
        more_arguments(1, "{\"command\":"),
        more_arguments(0, "{\"file_path\":\"/a\"}"),
        more_arguments(1, "\"ls\"}"),
    ];
    insta::assert_snapshot!(transcript(&ended(chunks, "tool_calls")));
}

#[test]
fn an_answer_breaks_in_the_middle_of_a_call() {
    let error = json!({"id": "gen-1", "error": {"code": 502, "message": "Provider disconnected", "metadata": {"provider_name": "Together"}},
                       "choices": [{"delta": {"content": ""}, "finish_reason": "error"}]});
    let chunks = [text("Let me"), call(0, "call_1", "Bash", "{\"com"), error];
    insta::assert_snapshot!(transcript(&stream(&chunks)));
}

#[test]
fn kimi_thinks_aloud_and_names_calls_its_own_way() {
    let chunks = vec![
        delta(json!({"content": "", "reasoning": "Hm"})),
        call(0, "functions.Bash:0", "Bash", "{\"command\":\"ls\"}"),
    ];
    insta::assert_snapshot!(without_envelopes(&transcript(&ended(chunks, "tool_calls"))));
}

#[test]
fn openai_summarizes_and_encrypts() {
    let chunks = vec![
        details(
            json!([{"type": "reasoning.summary", "summary": "Thinking", "index": 0, "format": "openai-responses-v1"}]),
        ),
        details(
            json!([{"type": "reasoning.encrypted", "data": "gAAAA", "id": "rs_1", "index": 0, "format": "openai-responses-v1"}]),
        ),
        text("Done."),
    ];
    insta::assert_snapshot!(without_envelopes(&transcript(&ended(chunks, "stop"))));
}
