//! **Dagway** is a gateway for Claude Code and every other client of the Anthropic Messages API.
//! It sends their requests to OpenRouter, or to any OpenAI-compatible endpoint, and **each request is a run of a workflow**:
//! a graph of small tasks that a scheduler runs concurrently, records, and shows while it happens.
//!
//! This page is the map. It says where things are, and what each place deliberately does *not* know.
//!
//! # A request, from end to end
//!
//! ```text
//!  client ──POST /v1/messages──►  validate ─┬─► map_model ────────┐
//!                                           ├─► convert_messages ─┼─► build_request ─► call_upstream ─► convert_response ══► SSE / JSON
//!                                           └─► convert_tools ────┘      (retries)          ┊ (when the answer has ended)
//!                                                                                           └┄► price_usage ─► log_usage
//!   every step: state, timing, attempts, logs, input, output ──► recorder ──► SQLite or PostgreSQL ──► dashboard, run API
//!                                                            └─► spans (OTLP), metrics (Prometheus)
//! ```
//!
//! That is the **chat lane**. In the **native lane** (`workflows/native.toml`) an upstream that has the Messages API itself gets
//! the body as it is: `validate` reads what must be known of it, `splice_model` replaces the model's name, `pass_through` leaves
//! out of the answer what breaks SDKs ([`protocol::native`]); the other tasks are the same. [`upstream::Upstreams`] holds the
//! named upstreams and the rules that say which model is where and in which lane.
//!
//! 1. [`server::runs`] reads the body, waits until the observers have room, and starts a [`engine::Run`] of the plan for the
//!    route and the lane of the model. The plan was proved before it came into use ([`engine::Plan`]), when the process started or
//!    when the user's files changed (`app::reload`); the run keeps it, and is polled by the request's own task and, after
//!    the answer, by one that the gateway owns.
//! 2. The steps run as soon as what they need is there. Each is a [`tasks`] file of a page or so, that calls the pure functions of
//!    [`protocol`]: [`protocol::anthropic::request`] parses the body once, into types that borrow from it;
//!    [`protocol::translate`] turns it into the upstream's request.
//! 3. [`tasks::call_upstream`] returns when the answer's headers are in. A model is asked again before that moment, and never
//!    after it.
//! 4. [`tasks::convert_response`] wraps the stream in the translator and returns at once: the client's socket pulls
//!    ([`tasks::reply_flow`]). Nothing stands between the upstream's stream and that socket: no channel, no task, no buffer. A stream that is long in coming
//!    begins with pings ([`server::early`]).
//! 5. When the flow has ended, whole, broken or dropped, its tail is reported; `price_usage` and `log_usage` run then.
//! 6. All that was observed went as [`events`] through one bounded queue to the observers, on a thread of their own: the
//!    [`store`]'s recorder, and the spans and metrics of [`telemetry`].
//!
//! # The modules, and what each may use
//!
//! A test (`tests/it/house.rs`) reads this table and holds the sources to it.
//!
//! | module | what it is for | may use | does not know |
//! | --- | --- | --- | --- |
//! | [`engine`] | tasks, plans, runs | `events`, `workflow` | HTTP, LLMs, SQL |
//! | [`workflow`] | a workflow file as written | `duration`, `events` | what tasks there are, how a run is executed |
//! | [`events`] | what can be observed of a run, and its way out | nothing | how a run is executed, who observes it |
//! | [`facts`] | the names of a run's figures | nothing | how they are found |
//! | [`duration`] | lengths of time as people write them | nothing | what takes so long |
//! | [`protocol`] | the two dialects and the translation | nothing | async, I/O, clocks |
//! | [`settings`] | all settings, read once | `duration`, `facts` | what they are used for |
//! | [`upstream`] | the other side over HTTP | `facts`, `protocol` | runs, clients |
//! | [`store`] | recorder and run store | `events`, `facts` | HTTP, pages |
//! | [`telemetry`] | logs, spans, metrics | `events`, `facts` | where events come from |
//! | [`tasks`] | where engine and protocol meet | `engine`, `events`, `facts`, `protocol`, `upstream`, `store` | actix |
//! | [`dashboard`] | pages and run API | `duration`, `events`, `facts`, `store` | the upstream |
//! | [`server`] | routes, guard, errors | `engine`, `events`, `facts`, `protocol`, `upstream`, `store`, `tasks`, `dashboard` | SQL, pages |
//! | [`simulator`] | a simulated OpenRouter for demo and tests | nothing | Dagway |
//! | [`conformance`] | cases that prove a gateway, and what runs them | nothing | Dagway |
//! | [`app`] | the composition root | all | |
//! | [`cli`] | commands | all | |
//!
//! # Vocabulary
//!
//! | word | meaning |
//! | --- | --- |
//! | **Task** | a unit of work, a Rust type in [`tasks`] |
//! | **Artifact** | a type that travels on an edge |
//! | **Workflow** | a TOML file in `workflows/` that draws tasks as a graph |
//! | **Step** | a task's place in a workflow |
//! | **Plan** | a workflow proved against the tasks; compiled once, immutable |
//! | **Run** | one execution of a plan; a **step run** is one step of it, with its attempts |
//! | **Flow** | a stream that passes through a run |
//! | **Tail** | what is known once a flow has ended, or was dropped |
//! | **Event** | what can be observed of a run |
//! | **Resource** | something of the process that tasks use |
//!
//! # How to add a task
//!
//! A file in [`tasks`] and its `mod`, an entry in [`tasks::ALL`], a step in a workflow of each lane (`workflows/messages.toml`,
//! `workflows/native.toml`), and `after` on the steps that must wait for it. The README goes through it with a whole task;
//! [`tasks::map_model`] is a good one to read first. A step in another language needs none of this: [`tasks::exec`] and
//! [`tasks::http`] bring it in.

pub mod app;
pub mod cli;
pub mod conformance;
pub mod dashboard;
pub mod duration;
pub mod engine;
pub mod events;
pub mod facts;
pub mod protocol;
pub mod server;
pub mod settings;
pub mod simulator;
pub mod store;
pub mod tasks;
pub mod telemetry;
pub mod upstream;
pub mod workflow;
