//! Who talks about what: several users at a time, each in a session of their own, story after story.

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{Client, Error, Identity, Message};
use super::{Pace, Report};
use crate::simulator::stories::{self, Story};

/// No story has more turns; a conversation that does not end is a fault.
const MOST_TURNS: usize = 12;

/// What is asked of which model, and how.
enum Errand {
    /// A story from beginning to end.
    Tell {
        model: &'static str,
        thinking: Value,
        story: Story,
    },
    /// A story that a sub-agent tells.
    Delegate { model: &'static str, story: Story },
    /// A question whose answer is not streamed.
    Quick { model: &'static str, story: Story },
    /// An answer that is not waited for.
    Leave { model: &'static str, story: Story },
    /// How many tokens a question has.
    Count { model: &'static str, story: Story },
    /// A request that must be refused.
    Blunder,
}

/// Leads a round: three users at once.
pub(super) async fn all(client: &Client, pace: Pace) -> Report {
    let mut whole = Report::default();
    for report in
        join_all([first(), second(), third()].map(|errands| lane(client, pace, errands))).await
    {
        whole.add(report);
    }
    whole
}

fn adaptive() -> Value {
    json!({ "type": "adaptive" })
}

fn story(number: usize) -> Story {
    stories::all()
        .into_iter()
        .nth(number)
        .unwrap_or_else(stories::one_word)
}

fn first() -> Vec<Errand> {
    vec![
        Errand::Count {
            model: "claude-sonnet-5-5",
            story: stories::flaky_test(),
        },
        Errand::Tell {
            model: "claude-sonnet-5-5",
            thinking: adaptive(),
            story: stories::flaky_test(),
        },
        Errand::Tell {
            model: "openai/gpt-5",
            thinking: adaptive(),
            story: stories::busy_hour(),
        },
    ]
}

fn second() -> Vec<Errand> {
    vec![
        Errand::Tell {
            model: "claude-opus-5-5",
            thinking: adaptive(),
            story: story(1),
        },
        Errand::Delegate {
            model: "claude-haiku-5-5",
            story: story(3),
        },
        Errand::Tell {
            model: "moonshotai/kimi-k3",
            thinking: adaptive(),
            story: story(2),
        },
        Errand::Tell {
            model: "google/gemini-3-pro",
            thinking: adaptive(),
            story: stories::torn_answer(),
        },
        Errand::Quick {
            model: "claude-haiku-5-5",
            story: stories::one_word(),
        },
    ]
}

fn third() -> Vec<Errand> {
    let budget = json!({ "type": "enabled", "budget_tokens": 4_000 });
    vec![
        Errand::Tell {
            model: "deepseek/deepseek-v4",
            thinking: adaptive(),
            story: story(4),
        },
        Errand::Tell {
            model: "claude-sonnet-4-5",
            thinking: budget,
            story: story(3),
        },
        Errand::Leave {
            model: "claude-sonnet-5-5",
            story: stories::essay(),
        },
        Errand::Blunder,
    ]
}

async fn lane(client: &Client, pace: Pace, errands: Vec<Errand>) -> Report {
    let mut report = Report::default();
    let who = Identity {
        session: Uuid::now_v7().to_string(),
        agent: None,
    };
    for errand in errands {
        if let Err(error) = run(client, pace, &who, errand, &mut report).await {
            report.faults.push(error.to_string());
        }
        tokio::time::sleep(pace.user()).await;
    }
    report
}

async fn run(
    client: &Client,
    pace: Pace,
    who: &Identity,
    errand: Errand,
    report: &mut Report,
) -> Result<(), Error> {
    match errand {
        Errand::Tell {
            model,
            thinking,
            story,
        } => {
            tell(
                client,
                pace,
                who,
                Request::new(model, thinking),
                &story,
                report,
            )
            .await
        }
        Errand::Delegate { model, story } => {
            let agent = Some(format!("a{:016x}", fastrand::u64(..)));
            let who = Identity {
                agent,
                ..who.clone()
            };
            tell(
                client,
                pace,
                &who,
                Request::new(model, adaptive()),
                &story,
                report,
            )
            .await
        }
        Errand::Quick { model, story } => {
            let body = Request::plain(model).body(&[asked(&story)], false);
            report.requests += 1;
            let message = client.message(who, &body).await?;
            take(report, &message);
            Ok(())
        }
        Errand::Leave { model, story } => {
            let body = Request::plain(model).body(&[asked(&story)], true);
            report.requests += 1;
            client.leave_after(40, who, &body).await?;
            report.left += 1;
            Ok(())
        }
        Errand::Count { model, story } => {
            let mut body = Request::plain(model).body(&[asked(&story)], false);
            if let Some(fields) = body.as_object_mut() {
                fields.retain(|name, _| !matches!(name.as_str(), "stream" | "max_tokens"));
            }
            client.count_tokens(who, &body).await?;
            report.counts += 1;
            Ok(())
        }
        Errand::Blunder => blunder(client, who, report).await,
    }
}

async fn blunder(client: &Client, who: &Identity, report: &mut Report) -> Result<(), Error> {
    let body = json!({
        "model": "claude-sonnet-5-5", "max_tokens": 100,
        "messages": [{ "role": "user", "content": [{ "type": "text", "text": 7 }] }],
    });
    report.requests += 1;
    match client.message(who, &body).await {
        Err(Error::Refused { status: 400, .. }) => {
            report.refused += 1;
            Ok(())
        }
        Err(error) => Err(error),
        Ok(_) => Err(Error::Malformed(
            "a request that is wrong was answered".to_owned(),
        )),
    }
}

/// Leads a story to its end, turn by turn.
async fn tell(
    client: &Client,
    pace: Pace,
    who: &Identity,
    request: Request,
    story: &Story,
    report: &mut Report,
) -> Result<(), Error> {
    let mut messages = vec![asked(story)];
    let results = story.turns.iter().map(|(_, results)| results.as_slice());
    for results in results
        .chain(std::iter::repeat(&[] as &[&str]))
        .take(MOST_TURNS)
    {
        let message = turn(client, who, &request, &messages, report).await?;
        take(report, &message);
        if message.stop_reason != "tool_use" {
            return Ok(());
        }
        tokio::time::sleep(pace.tool()).await;
        let answers = results_for(&message, results);
        messages.push(json!({ "role": "assistant", "content": message.content }));
        messages.push(json!({ "role": "user", "content": answers }));
    }
    Err(Error::Malformed(
        "a conversation that does not end".to_owned(),
    ))
}

/// One turn, with a second try that is not streamed when the first breaks off, as coding agents do it.
async fn turn(
    client: &Client,
    who: &Identity,
    request: &Request,
    messages: &[Value],
    report: &mut Report,
) -> Result<Message, Error> {
    report.requests += 1;
    match client.message(who, &request.body(messages, true)).await {
        Err(Error::Torn { .. }) => {
            report.torn += 1;
            report.requests += 1;
            client.message(who, &request.body(messages, false)).await
        }
        Err(Error::Refused {
            status: 429 | 529, ..
        }) => {
            report.refused += 1;
            report.requests += 1;
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            client.message(who, &request.body(messages, true)).await
        }
        other => other,
    }
}

fn take(report: &mut Report, message: &Message) {
    let count = |kind: &str| {
        let of_kind = |block: &&Value| block.get("type").and_then(Value::as_str) == Some(kind);
        u32::try_from(message.content.iter().filter(of_kind).count()).unwrap_or(u32::MAX)
    };
    report.answers += 1;
    report.tool_calls += count("tool_use");
    report.thoughts += count("thinking");
    let tokens = |name: &str| message.usage.get(name).and_then(Value::as_u64).unwrap_or(0);
    report.input_tokens += [
        "input_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
    ]
    .map(tokens)
    .iter()
    .sum::<u64>();
    report.output_tokens += tokens("output_tokens");
}

fn asked(story: &Story) -> Value {
    json!({ "role": "user", "content": [{ "type": "text", "text": story.prompt }] })
}

/// The results of a message's calls; the last carries the cache mark, as coding agents place it.
fn results_for(message: &Message, results: &[&str]) -> Vec<Value> {
    let calls = message
        .content
        .iter()
        .filter(|block| block.get("type").and_then(Value::as_str) == Some("tool_use"));
    let given = results
        .iter()
        .copied()
        .chain(std::iter::repeat("(no output)"));
    let mut blocks: Vec<Value> = calls
        .zip(given)
        .map(|(call, result)| json!({ "type": "tool_result", "tool_use_id": call.get("id"), "content": result }))
        .collect();
    if let Some(last) = blocks.last_mut() {
        last["cache_control"] = json!({ "type": "ephemeral" });
    }
    blocks
}

/// What stays the same over a conversation.
struct Request {
    model: &'static str,
    thinking: Option<Value>,
}

impl Request {
    fn new(model: &'static str, thinking: Value) -> Self {
        Self {
            model,
            thinking: Some(thinking),
        }
    }

    fn plain(model: &'static str) -> Self {
        Self {
            model,
            thinking: None,
        }
    }

    fn body(&self, messages: &[Value], streams: bool) -> Value {
        // Only the newest cache mark of the messages is kept: four are the limit, two of them are in the system text.
        let mut messages = messages.to_vec();
        let older = messages.len().saturating_sub(1);
        for message in messages.iter_mut().take(older) {
            for block in message
                .get_mut("content")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                block
                    .as_object_mut()
                    .map(|block| block.remove("cache_control"));
            }
        }
        let mut body = json!({
            "model": self.model,
            "max_tokens": 8_192,
            "stream": streams,
            "system": system(),
            "tools": tools(),
            "messages": messages,
            "metadata": { "user_id": "simulated" },
        });
        if let Some(thinking) = &self.thinking {
            body["thinking"] = thinking.clone();
        }
        body
    }
}

fn system() -> Value {
    let mark = json!({ "type": "ephemeral" });
    json!([
        { "type": "text", "text": "This is the demo of Dagway: both the user and the model are simulated.", "cache_control": mark },
        { "type": "text", "text": "You help with a small Rust project. Read before you change, test after it, and say briefly what you did.", "cache_control": mark },
    ])
}

fn tools() -> Value {
    let tool = |name: &str, description: &str, required: &[&str]| {
        let properties: serde_json::Map<String, Value> = required
            .iter()
            .map(|field| ((*field).to_owned(), json!({ "type": "string" })))
            .collect();
        json!({ "name": name, "description": description, "input_schema": {
            "type": "object", "properties": properties, "required": required,
        } })
    };
    json!([
        tool("Bash", "Runs a command in a shell.", &["command"]),
        tool(
            "Edit",
            "Replaces a text in a file.",
            &["file_path", "old_string", "new_string"]
        ),
        tool("Grep", "Searches files for a pattern.", &["pattern"]),
        tool("Read", "Reads a file.", &["file_path"]),
        tool("Write", "Writes a file.", &["file_path", "content"]),
    ])
}
