//! Who talks about what: several users at a time, each in a session of their own, story after story.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::client::Client;
use super::user::User;
use super::{Pace, Report};
use crate::simulator::stories::{self, Story};

/// What is asked of which model, and how.
pub(super) enum Errand {
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
    let users =
        [first(), second(), third()].map(|errands| User::new(client, pace).run_all(errands));
    let mut whole = Report::default();
    for report in join_all(users).await {
        whole.add(report);
    }
    whole
}

fn adaptive() -> Value {
    json!({ "type": "adaptive" })
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
            story: stories::changelog(),
        },
        Errand::Delegate {
            model: "claude-haiku-5-5",
            story: stories::explain(),
        },
        Errand::Tell {
            model: "moonshotai/kimi-k3",
            thinking: adaptive(),
            story: stories::rename(),
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
            story: stories::flags(),
        },
        Errand::Tell {
            model: "claude-sonnet-4-5",
            thinking: budget,
            story: stories::explain(),
        },
        Errand::Leave {
            model: "claude-sonnet-5-5",
            story: stories::essay(),
        },
        Errand::Blunder,
    ]
}
