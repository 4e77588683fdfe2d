//! The tasks: where engine and protocol meet. One file each, and the artifacts that it gives.
//!
//! **Adding a task is one file with its `mod`, one entry in [`ALL`], one step in a workflow of each lane.** It then has a node
//! on the graph, a bar in every timeline, a span, a metric and a line in `dagway workflows show`. A task opens no span and
//! writes no row.

pub mod build_request;
pub mod call_upstream;
pub mod client_reply;
pub mod client_request;
pub mod convert_messages;
pub mod convert_response;
pub mod convert_tools;
pub mod converter;
pub mod count_tokens;
mod deliver;
mod environment;
pub mod exec;
pub mod forms;
pub mod http;
pub mod json;
pub mod log_usage;
pub mod map_model;
pub mod pass_through;
pub mod price_usage;
mod record;
pub mod reply_flow;
pub mod splice_model;
mod tokenizer;
pub mod validate;

pub use client_reply::{ClientReply, Content};
pub use client_request::ClientRequest;
pub use environment::Environment;

use crate::engine::TaskDef;

/// Every task that a workflow file may name, in alphabetical order.
pub const ALL: &[TaskDef] = &[
    TaskDef::of::<build_request::BuildRequest>(),
    TaskDef::of::<call_upstream::CallUpstream>(),
    TaskDef::of::<convert_messages::ConvertMessages>(),
    TaskDef::of::<convert_response::ConvertResponse>(),
    TaskDef::of::<convert_tools::ConvertTools>(),
    TaskDef::of::<count_tokens::CountTokens>(),
    TaskDef::of::<exec::Exec>(),
    TaskDef::of::<http::Http>(),
    TaskDef::of::<log_usage::LogUsage>(),
    TaskDef::of::<map_model::MapModel>(),
    TaskDef::of::<pass_through::PassThrough>(),
    TaskDef::of::<price_usage::PriceUsage>(),
    TaskDef::of::<splice_model::SpliceModel>(),
    TaskDef::of::<validate::Validate>(),
];
