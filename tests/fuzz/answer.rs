//! An upstream's bytes, however they are cut: events in good grammar that end once, in a message or in an error.

use dagway::protocol::anthropic::error::ApiError;
use dagway::protocol::openrouter::error::{self, Headers};
use dagway::protocol::translate::reply::{ReplySettings, Translator, peek, whole};
use fastrand::Rng;

use crate::driver::{Target, fuzz, hash};
use crate::grammar::{self, Received};
use crate::{request, stream};

/// Streams up to here are also fed byte by byte.
const SHORT: usize = 3_000;

#[test]
fn an_answer_is_told_in_good_grammar_and_ends_once() {
    fuzz(&Target {
        name: "upstream",
        judge,
        mutate: stream::mutate,
    });
}

fn judge(input: &[u8]) -> Result<String, String> {
    // The settings follow from the input, so that a file of the corpus says everything.
    let mut rng = Rng::with_seed(hash(input));
    let settings = settings(&mut rng);
    let out = told(&settings, &[input]);
    let received = grammar::complete(&out).map_err(|fault| explained(&fault, &out))?;
    if told(&settings, &pieces(&mut rng, input)) != out {
        return Err("it depends on where the stream is cut".to_owned());
    }
    if input.len() <= SHORT && told(&settings, &input.chunks(1).collect::<Vec<_>>()) != out {
        return Err("it depends on whether the stream comes byte by byte".to_owned());
    }
    interrupted(&mut rng, &settings, input)?;
    let folded = as_a_whole(&settings, input)?;
    let _ = peek(input);
    let refused = error::from_answer(502, "text/event-stream", Headers::default(), input);
    Ok(format!(
        "{} {folded} {}",
        treatment(&received),
        refused.api.kind.name()
    ))
}

fn settings(rng: &mut Rng) -> ReplySettings {
    let stops = [
        vec![],
        vec!["</x>".to_owned()],
        vec!["a".to_owned(), "ab".to_owned()],
    ];
    ReplySettings {
        message_id: "msg_f".to_owned(),
        model: "claude-opus-5-5".to_owned(),
        request_id: "req_f".to_owned(),
        target_model: rng
            .choice([
                "openai/gpt-5",
                "anthropic/claude-opus-5.5",
                "google/gemini-3-pro",
                "moonshotai/kimi-k3",
            ])
            .unwrap_or_default()
            .to_owned(),
        input_estimate: 100,
        thinking_asked: rng.bool(),
        display_omitted: rng.bool(),
        stop_sequences: rng.choice(stops).unwrap_or_default(),
        used_tool_ids: vec!["call_0".to_owned(), "toolu_a".to_owned()],
        web_search: rng.bool(),
        ..ReplySettings::default()
    }
}

fn told(settings: &ReplySettings, pieces: &[&[u8]]) -> Vec<u8> {
    let mut translator = Translator::new(settings.clone());
    let mut out = Vec::new();
    for piece in pieces {
        translator.push(piece, &mut out);
    }
    translator.end(&mut out);
    let _ = translator.summary();
    out
}

/// The stream, cut in up to eight places.
pub(crate) fn pieces<'a>(rng: &mut Rng, input: &'a [u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = input;
    for _ in 0..rng.usize(1..9) {
        let (piece, remaining) = rest.split_at(rng.usize(..=rest.len()));
        pieces.push(piece);
        rest = remaining;
    }
    pieces.push(rest);
    pieces
}

/// Pings between the pieces, and the connection breaks somewhere.
fn interrupted(rng: &mut Rng, settings: &ReplySettings, input: &[u8]) -> Result<(), String> {
    let mut translator = Translator::new(settings.clone());
    let mut out = Vec::new();
    for piece in pieces(rng, input) {
        translator.push(piece, &mut out);
        translator.ping(&mut out);
        if rng.u8(..4) == 0 {
            translator.fail(ApiError::bad_gateway("it broke"), &mut out);
        }
    }
    translator.end(&mut out);
    grammar::complete(&out).map_err(|fault| explained(&fault, &out))?;
    Ok(())
}

fn explained(fault: &str, out: &[u8]) -> String {
    format!("{fault} in\n{}", String::from_utf8_lossy(out))
}

/// The same bytes as the answer to a request that did not stream.
fn as_a_whole(settings: &ReplySettings, input: &[u8]) -> Result<String, String> {
    let (message, summary) = whole(settings.clone(), input);
    let message = match message {
        Ok(message) => message,
        Err(error) => return Ok(error.kind.name().to_owned()),
    };
    let Some(message) = request::read(&message).map_err(|error| error.to_string())? else {
        return Ok("a number that is out of range here".to_owned());
    };
    let is_complete = message["type"] == "message"
        && message["content"].is_array()
        && message["stop_reason"].is_string()
        && message["usage"]["output_tokens"].is_u64()
        && summary.stop_reason.is_some();
    if !is_complete {
        return Err(format!("the message is not complete: {message}"));
    }
    Ok(message["stop_reason"].to_string())
}

fn treatment(received: &Received) -> String {
    format!(
        "{:?} {} {} {}",
        received.kinds(),
        received.stop_reason(),
        received.error_type(),
        received.text().is_empty()
    )
}
