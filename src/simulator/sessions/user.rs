//! One user in a session: runs errands one after the other, and counts what came of them.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Builder;

use super::client::{Client, Error, Identity, Message};
use super::lanes::Errand;
use super::request::{Request, asked, results_for};
use super::{Pace, Report};
use crate::simulator::stories::Story;

/// No story has more turns; a conversation that does not end is a fault.
const MOST_TURNS: usize = 12;

/// The user.
pub(super) struct User<'a> {
    client: &'a Client,
    pace: Pace,
    who: Identity,
    report: Report,
}

impl<'a> User<'a> {
    /// A user with a session of their own.
    pub(super) fn new(client: &'a Client, pace: Pace) -> Self {
        // A random id, as coding agents take it: ids that begin with the time look alike in a list.
        let random = fastrand::u128(..).to_be_bytes();
        let session = Builder::from_random_bytes(random).into_uuid().to_string();
        Self {
            client,
            pace,
            who: Identity {
                session,
                agent: None,
            },
            report: Report::default(),
        }
    }

    /// Runs the errands, with pauses between them.
    pub(super) async fn run_all(mut self, errands: Vec<Errand>) -> Report {
        for errand in errands {
            if let Err(error) = self.run(errand).await {
                self.report.faults.push(error.to_string());
            }
            tokio::time::sleep(self.pace.user()).await;
        }
        self.report
    }

    async fn run(&mut self, errand: Errand) -> Result<(), Error> {
        match errand {
            Errand::Tell {
                model,
                thinking,
                story,
            } => self.tell(&Request::new(model, thinking), &story).await,
            Errand::Delegate { model, story } => {
                self.who.agent = Some(format!("a{:016x}", fastrand::u64(..)));
                let told = self
                    .tell(&Request::new(model, json!({ "type": "adaptive" })), &story)
                    .await;
                self.who.agent = None;
                told
            }
            Errand::Quick { model, story } => self.quick(&Request::plain(model), &story).await,
            Errand::Leave { model, story } => self.leave(&Request::plain(model), &story).await,
            Errand::Count { model, story } => self.count(&Request::plain(model), &story).await,
            Errand::Blunder => self.blunder().await,
        }
    }

    async fn quick(&mut self, request: &Request, story: &Story) -> Result<(), Error> {
        self.report.requests += 1;
        let body = request.body(&[asked(story)], false);
        let message = self.client.message(&self.who, &body).await?;
        self.take(&message);
        Ok(())
    }

    async fn leave(&mut self, request: &Request, story: &Story) -> Result<(), Error> {
        self.report.requests += 1;
        let body = request.body(&[asked(story)], true);
        self.client.leave_after(40, &self.who, &body).await?;
        self.report.left += 1;
        Ok(())
    }

    async fn count(&mut self, request: &Request, story: &Story) -> Result<(), Error> {
        let mut body = request.body(&[asked(story)], false);
        if let Some(fields) = body.as_object_mut() {
            fields.retain(|name, _| !matches!(name.as_str(), "stream" | "max_tokens"));
        }
        self.client.count_tokens(&self.who, &body).await?;
        self.report.counts += 1;
        Ok(())
    }

    async fn blunder(&mut self) -> Result<(), Error> {
        let body = json!({
            "model": "openai/gpt-5", "max_tokens": 100,
            "messages": [{ "role": "user", "content": [{ "type": "text", "text": 7 }] }],
        });
        self.report.requests += 1;
        match self.client.message(&self.who, &body).await {
            Err(Error::Refused { status: 400, .. }) => {
                self.report.refused += 1;
                Ok(())
            }
            Err(error) => Err(error),
            Ok(_) => Err(Error::Malformed(
                "a request that is wrong was answered".to_owned(),
            )),
        }
    }

    /// Leads a story to its end, turn by turn.
    async fn tell(&mut self, request: &Request, story: &Story) -> Result<(), Error> {
        let mut messages = vec![asked(story)];
        for number in 0..MOST_TURNS {
            let message = self.turn(request, &messages).await?;
            self.take(&message);
            if message.stop_reason != "tool_use" {
                return Ok(());
            }
            tokio::time::sleep(self.pace.tool()).await;
            let results = story
                .turns
                .get(number)
                .map_or(&[] as &[&str], |(_, results)| results);
            let answers = results_for(&message, results);
            messages.push(json!({ "role": "assistant", "content": message.content }));
            messages.push(json!({ "role": "user", "content": answers }));
        }
        Err(Error::Malformed(
            "a conversation that does not end".to_owned(),
        ))
    }

    /// One turn, with a second try that is not streamed when the first breaks off, as coding agents do it.
    async fn turn(&mut self, request: &Request, messages: &[Value]) -> Result<Message, Error> {
        self.report.requests += 1;
        let again = match self
            .client
            .message(&self.who, &request.body(messages, true))
            .await
        {
            Err(Error::Torn { .. }) => {
                self.report.torn += 1;
                request.body(messages, false)
            }
            Err(Error::Refused {
                status: 429 | 529, ..
            }) => {
                self.report.refused += 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
                request.body(messages, true)
            }
            other => return other,
        };
        self.report.requests += 1;
        self.client.message(&self.who, &again).await
    }

    fn take(&mut self, message: &Message) {
        let count = |kind: &str| {
            let of_kind = |block: &&Value| block.get("type").and_then(Value::as_str) == Some(kind);
            u32::try_from(message.content.iter().filter(of_kind).count()).unwrap_or(u32::MAX)
        };
        let tokens = |name: &str| message.usage.get(name).and_then(Value::as_u64).unwrap_or(0);
        self.report.answers += 1;
        self.report.tool_calls += count("tool_use");
        self.report.thoughts += count("thinking");
        self.report.input_tokens += tokens("input_tokens");
        self.report.input_tokens += tokens("cache_read_input_tokens");
        self.report.input_tokens += tokens("cache_creation_input_tokens");
        self.report.output_tokens += tokens("output_tokens");
    }
}
