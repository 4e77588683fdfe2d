//! One case, as its file says it: what is asked, what the upstream must see and answers, what the client must get.
//!
//! JSON stands in the file as text, as in the documentation of the two APIs. This file must not know how a case is run.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{script, text};

/// One documented behaviour, and how to see whether a gateway has it.
#[derive(Clone, Debug)]
pub struct Case {
    /// `group/name`, from the file's place.
    pub name: String,
    /// What it proves, in a sentence.
    pub pins: String,
    /// Where the behaviour is documented, in words.
    pub source: String,
    /// Whether streams are replayed whole only, because the case waits on purpose.
    pub whole_only: bool,
    /// The conversation, nearly always of one turn.
    pub turns: Vec<Turn>,
}

/// A request of the client and all that follows from it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// What the client sends.
    pub request: Request,
    /// What the upstream must see, in order; nothing means that it must not be asked.
    #[serde(default)]
    pub upstream: Vec<Exchange>,
    /// What the client must get.
    pub answer: Expected,
}

/// What the client sends.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// The method; `POST` when nothing is said.
    pub method: Option<String>,
    /// The path; `/v1/messages` when nothing is said.
    pub path: Option<String>,
    /// Headers over the usual ones; an empty value takes one away.
    pub headers: BTreeMap<String, String>,
    /// The body, JSON.
    pub body: Option<String>,
    /// The body when it shall not be JSON.
    pub raw: Option<String>,
}

/// A request that the upstream must see, and its answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exchange {
    /// The end of the path; `/chat/completions` when nothing is said.
    pub path: Option<String>,
    /// A pattern of the body.
    pub expects: Option<String>,
    /// A pattern of each header.
    pub expects_headers: BTreeMap<String, String>,
    /// Whether the gateway may ask again and again, as it sees fit.
    pub may_repeat: bool,
    /// The status; 200 when nothing is said.
    pub status: Option<u16>,
    /// Headers over the usual ones.
    pub headers: BTreeMap<String, String>,
    /// A stream in shorthand.
    pub chunks: Option<String>,
    /// A stream as it is, byte for byte.
    pub raw: Option<String>,
    /// A whole JSON body.
    pub json: Option<String>,
    /// A body that is neither, with its type in `headers`.
    pub text: Option<String>,
    /// The message of a completion that is otherwise usual.
    pub message: Option<String>,
    /// The finish reason beside `message`.
    pub finish: Option<String>,
    /// The native finish reason beside `message`.
    pub native: Option<String>,
    /// The usage beside `message`.
    pub usage: Option<String>,
    /// How the connection ends.
    pub end: End,
}

/// How an upstream's answer ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// As it should.
    #[default]
    Clean,
    /// The connection breaks.
    Cut,
    /// Nothing more comes, and the connection stays.
    Hang,
}

/// What the client must get.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expected {
    /// The status. Nothing means 200, or with `error`, any status that is an error or a stream that ends in one.
    pub status: Option<u16>,
    /// A pattern of each header.
    pub headers: BTreeMap<String, String>,
    /// A pattern of a JSON body.
    pub body: Option<String>,
    /// A pattern of the message that a stream adds up to.
    pub message: Option<String>,
    /// A pattern of each event of a stream, one a line.
    pub events: Option<String>,
    /// A pattern of the `error` object.
    pub error: Option<String>,
    /// How many pings there must be at least.
    pub pings: usize,
    /// The client hangs up once a text has begun, and the upstream must be let go.
    pub hangs_up: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    pins: String,
    source: String,
    #[serde(default)]
    whole_only: bool,
    request: Option<Request>,
    #[serde(default)]
    upstream: Vec<Exchange>,
    answer: Option<Expected>,
    #[serde(default)]
    turn: Vec<Turn>,
}

impl Case {
    /// Reads a case's file.
    ///
    /// # Errors
    /// In a sentence, what is wrong with it.
    pub fn parse(name: &str, file: &str) -> Result<Self, String> {
        let file: File = toml::from_str(file).map_err(|error| error.to_string())?;
        let mut turns = file.turn;
        match (file.request, file.answer) {
            (Some(request), Some(answer)) if turns.is_empty() => turns.push(Turn {
                request,
                upstream: file.upstream,
                answer,
            }),
            (None, None) if !turns.is_empty() && file.upstream.is_empty() => {}
            _ => return Err("it needs [request] and [answer], or [[turn]]s".to_owned()),
        }
        let case = Self {
            name: name.to_owned(),
            pins: file.pins,
            source: file.source,
            whole_only: file.whole_only,
            turns,
        };
        case.check()?;
        Ok(case)
    }

    /// The folder it is in.
    #[must_use]
    pub fn group(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// Whether every upstream request can be told to be this case's, whatever else is under way.
    #[must_use]
    pub fn is_marked(&self) -> bool {
        self.turns.iter().all(|turn| {
            let body = turn.request.body.as_ref().or(turn.request.raw.as_ref());
            body.is_none() && turn.upstream.is_empty()
                || body.is_some_and(|body| body.contains(text::CASE))
        })
    }

    /// The bytes of the streams that the upstream answers with, under some mark.
    ///
    /// # Errors
    /// In a sentence, which cannot be written.
    pub fn streams(&self) -> Result<Vec<Vec<u8>>, String> {
        let mark = text::Marks::new(0).next();
        let exchanges = self.turns.iter().flat_map(|turn| &turn.upstream);
        exchanges
            .filter(|exchange| exchange.is_stream())
            .map(|exchange| {
                let body = script::body(exchange, &mark)?;
                Ok(body.parts.into_iter().flat_map(|(_, part)| part).collect())
            })
            .collect()
    }

    /// Looks for what would make the case prove nothing.
    fn check(&self) -> Result<(), String> {
        if self.pins.trim().is_empty() || self.source.trim().is_empty() {
            return Err("`pins` and `source` say what it proves".to_owned());
        }
        for turn in &self.turns {
            turn.check()?;
        }
        Ok(())
    }
}

impl Turn {
    fn check(&self) -> Result<(), String> {
        let answer = &self.answer;
        let proves = answer.body.is_some()
            || answer.message.is_some()
            || answer.events.is_some()
            || answer.error.is_some()
            || answer.hangs_up
            || answer.status.is_some();
        if !proves {
            return Err("[answer] expects nothing".to_owned());
        }
        let patterns = [&answer.body, &answer.message, &answer.error];
        for json in patterns.into_iter().flatten() {
            parse("answer", json)?;
        }
        if let Some(body) = &self.request.body {
            parse("request.body", body)?;
        }
        for exchange in &self.upstream {
            exchange.check()?;
        }
        Ok(())
    }
}

impl Exchange {
    fn check(&self) -> Result<(), String> {
        let bodies = [&self.expects, &self.json, &self.message, &self.usage];
        for json in bodies.into_iter().flatten() {
            parse("upstream", json)?;
        }
        let kinds = [
            &self.chunks,
            &self.raw,
            &self.json,
            &self.text,
            &self.message,
        ];
        match kinds.iter().filter(|kind| kind.is_some()).count() {
            1 => Ok(()),
            _ => Err(
                "an [[upstream]] answers with one of chunks, raw, json, text and message"
                    .to_owned(),
            ),
        }
    }

    /// Whether its answer is a stream.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.chunks.is_some() || self.raw.is_some()
    }
}

fn parse(what: &str, json: &str) -> Result<Value, String> {
    serde_json::from_str(json).map_err(|error| format!("{what}: {error} in {json}"))
}
