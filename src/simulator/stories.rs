//! The stories of the demo: what a user asks, what the model answers turn by turn, what the tools give back.
//!
//! Both ends read them, the built-in model its turns and [`super::sessions`] its prompts and results.
//! They must not know how either end speaks.

use serde_json::{Value, json};

use super::conversation::{Conversation, role, texts};
use super::directive::Cue;
use super::script::{Break, BreakKind, Failure, Turn};

/// A conversation that can be led.
#[derive(Debug)]
pub(super) struct Story {
    /// What the user asks.
    pub(super) prompt: &'static str,
    /// The model's turns, each with the results of its calls in their order.
    pub(super) turns: Vec<(Turn, Vec<&'static str>)>,
}

impl Story {
    fn new(prompt: &'static str) -> Self {
        Self {
            prompt,
            turns: Vec::new(),
        }
    }

    fn turn(mut self, turn: Turn, results: &[&'static str]) -> Self {
        self.turns.push((turn, results.to_vec()));
        self
    }
}

/// The turn that a story wants now, if the conversation follows one.
pub(super) fn cue(conversation: &Conversation<'_>) -> Option<Cue> {
    let stories = all();
    let backwards = conversation.messages.iter().enumerate().rev();
    let (place, story) = backwards
        .filter(|(_, message)| role(message) == "user")
        .find_map(|(place, message)| {
            let asked = texts(message);
            let story = stories.iter().find(|story| asked.contains(&story.prompt))?;
            Some((place, story))
        })?;
    let later = conversation.messages.iter().skip(place);
    let number = later.filter(|message| role(message) == "assistant").count();
    let (turn, _) = story.turns.get(number)?;
    Some(Cue::new(
        turn.clone(),
        conversation,
        &format!("{place} {number}"),
    ))
}

/// Every story.
pub(super) fn all() -> Vec<Story> {
    vec![
        flaky_test(),
        changelog(),
        rename(),
        explain(),
        flags(),
        busy_hour(),
        torn_answer(),
        essay(),
        one_word(),
    ]
}

fn read(path: &str) -> Value {
    json!({ "file_path": path })
}

fn bash(command: &str, description: &str) -> Value {
    json!({ "command": command, "description": description })
}

/// A fault is found and mended, with thinking, parallel reading and a tool at each turn.
pub(super) fn flaky_test() -> Story {
    Story::new("The test `a_late_answer_is_kept` fails about one time in five. Find out why and fix it.")
        .turn(
            Turn {
                text: "I'll look at the test and at the code it exercises.".to_owned(),
                ..Turn::default()
            }
            .thinking("A test that fails now and then usually depends on time or on order. First I want to see the test itself and the buffer it goes through.")
            .and_tool("Grep", json!({ "pattern": "a_late_answer_is_kept", "path": "tests" }))
            .and_tool("Read", read("src/buffer.rs")),
            &[
                "tests/buffer.rs:41:fn a_late_answer_is_kept() {",
                "pub fn push(&mut self, at: Instant, answer: Answer) {\n    self.answers.retain(|kept| at - kept.at < self.window);\n    self.answers.push(Kept { at, answer });\n}",
            ],
        )
        .turn(
            Turn::tool("Read", json!({ "file_path": "tests/buffer.rs", "offset": 36, "limit": 20 }))
                .thinking("`retain` compares with the time of the newest answer. If two answers arrive in the wrong order, `at - kept.at` saturates to zero and the older one stays: so the loss must come from the test's clock."),
            &["fn a_late_answer_is_kept() {\n    let now = Instant::now();\n    buffer.push(now, late);\n    buffer.push(Instant::now(), early);\n    assert_eq!(buffer.len(), 2);\n}"],
        )
        .turn(
            Turn {
                text: "The second push reads the clock again, so under load the window has passed. The test should use one instant.".to_owned(),
                ..Turn::tool("Edit", json!({
                    "file_path": "tests/buffer.rs",
                    "old_string": "buffer.push(Instant::now(), early);",
                    "new_string": "buffer.push(now, early);",
                }))
            },
            &["The file tests/buffer.rs has been updated."],
        )
        .turn(
            Turn::tool("Bash", bash("cargo test --test buffer -- --test-threads 8", "Run the buffer tests")),
            &["running 14 tests\n..............\ntest result: ok. 14 passed; 0 failed; finished in 0.08s"],
        )
        .turn(
            Turn::text("Fixed. The test read the clock twice; on a busy machine more than the buffer's 5 ms window lay between the two readings, and the first answer was rightly dropped. It now uses one instant for both pushes. All 14 buffer tests pass.")
                .thinking("Fourteen passed. I should say what was wrong, not only that it is gone."),
            &[],
        )
}

/// Thinking, one command, a longer answer.
pub(super) fn changelog() -> Story {
    Story::new("Write the changelog entry for what was merged since v0.8.0.")
        .turn(
            Turn::tool("Bash", bash("git log --oneline v0.8.0..HEAD", "List merged commits"))
                .thinking("The log since the tag tells what was merged; merge commits carry the titles."),
            &["9f31c02 Keep a session on its host\n4be77a1 Say which key was refused\n02c9d1e Answer count_tokens without the upstream\nd81f0aa Stop a stream when its reader is gone"],
        )
        .turn(
            Turn::text("## Unreleased\n\n### Added\n- Token counts are answered locally, in under 5 ms.\n- A session stays on the host that holds its cache.\n\n### Fixed\n- A stream whose reader is gone is stopped at once, so that nothing more is billed.\n- A refused key is named in the error.")
                .thinking("Four commits: two are additions, two are fixes. Users care about the effect, so each line states it."),
            &[],
        )
}

/// Three calls whose arguments arrive in turns.
pub(super) fn rename() -> Story {
    let edit = |path: &str| json!({ "file_path": path, "old_string": "fn fetch_all", "new_string": "fn fetch_page" });
    Story::new("Rename `fetch_all` to `fetch_page` everywhere.")
        .turn(
            Turn::tool("Grep", json!({ "pattern": "fetch_all", "output_mode": "files_with_matches" })),
            &["src/client.rs\nsrc/pages.rs\ntests/pages.rs"],
        )
        .turn(
            Turn {
                text: "Three files name it.".to_owned(),
                interleave: true,
                ..Turn::tool("Edit", edit("src/client.rs"))
            }
            .and_tool("Edit", edit("src/pages.rs"))
            .and_tool("Edit", edit("tests/pages.rs")),
            &["The file src/client.rs has been updated.", "The file src/pages.rs has been updated.", "The file tests/pages.rs has been updated."],
        )
        .turn(Turn::text("Renamed in `src/client.rs`, `src/pages.rs` and `tests/pages.rs`; nothing else mentions it."), &[])
}

/// One question, one answer with thinking.
pub(super) fn explain() -> Story {
    Story::new("Why does a stream behind a proxy sometimes stall for 40 ms?").turn(
        Turn::text("Because of two optimisations that wait for each other. Nagle's algorithm holds a small packet back while an earlier one is unacknowledged; delayed acknowledgement holds the acknowledgement back, typically for 40 ms, in the hope of sending it along with data. A server that writes many small events meets both. Setting `TCP_NODELAY` on every socket that carries the stream ends it.")
            .thinking("Forty milliseconds is the delayed-ACK timer on Linux. Together with Nagle it gives exactly this stall, and the cure is TCP_NODELAY."),
        &[],
    )
}

/// A short exchange with ids that repeat.
pub(super) fn flags() -> Story {
    Story::new("Which feature flags are still read by the code?")
        .turn(
            Turn {
                ids: super::script::ToolIds::Repeat,
                ..Turn::tool(
                    "Bash",
                    bash("grep -rn 'flag(' src | wc -l", "Count uses of flags"),
                )
            },
            &["17"],
        )
        .turn(
            Turn {
                ids: super::script::ToolIds::Repeat,
                ..Turn::tool(
                    "Bash",
                    bash("grep -rhno 'flag(\"[a-z_]*' src | sort -u", "List flags"),
                )
            },
            &["flag(\"batch_writes\nflag(\"new_parser"],
        )
        .turn(
            Turn::text("Two: `batch_writes` and `new_parser`. They are read in 17 places."),
            &[],
        )
}

/// The upstream is busy once, then answers.
pub(super) fn busy_hour() -> Story {
    Story::new("Give me three names for a command that prints the dependency graph.").turn(
        Turn {
            fail: Some(Failure {
                status: 429,
                times: 1,
                retry_after: Some(1),
                message: None,
            }),
            ..Turn::text("`graph`, `tree` and `deps`. The first says what is printed, the second how, the third of what.")
        },
        &[],
    )
}

/// The answer breaks off in the middle.
pub(super) fn torn_answer() -> Story {
    Story::new("Compare three ways to store time series in SQLite.").turn(
        Turn {
            breaks: Some(Break {
                after: 9,
                kind: BreakKind::Error,
                times: 1,
                code: 502,
                message: "Provider disconnected".to_owned(),
            }),
            ..Turn::text("One row per sample is the simplest: an integer key for the time, one column per value, and an index that is the table itself. It stays fast up to some hundred million rows.")
        },
        &[],
    )
}

/// A long answer, for a reader who loses patience.
pub(super) fn essay() -> Story {
    Story::new("Write a long essay on the history of the semicolon.").turn(
        Turn {
            chunks: Some(600),
            ..Turn::text("The semicolon was first printed in Venice in 1494, in a dialogue by Pietro Bembo; its cutter was Francesco Griffo. It marked a pause between comma and colon, and printers took to it at once. ")
        },
        &[],
    )
}

/// A side question whose answer is not streamed.
pub(super) fn one_word() -> Story {
    Story::new("Answer with one word: is the sky green?").turn(Turn::text("No."), &[])
}
