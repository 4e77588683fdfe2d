//! What is known of an answer once it has ended, or was dropped.
//!
//! This file must not know how any of it was found out.

use serde::Serialize;

use crate::protocol::anthropic::error::ApiError;
use crate::protocol::anthropic::message::{StopReason, Usage};

/// The figures of one answer.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// The upstream's id, `gen-…`.
    pub response_id: Option<String>,
    /// The model that answered.
    pub model_used: Option<String>,
    /// Who ran it.
    pub provider: Option<String>,
    /// Why it stopped; `None` when the answer did not end in order.
    pub stop_reason: Option<StopReason>,
    /// The provider's word for it.
    pub native_finish: Option<String>,
    /// What it used, in Anthropic's arithmetic.
    pub usage: Usage,
    /// Whether `usage` is a guess, because the upstream's never came.
    pub usage_is_estimate: bool,
    /// What it cost, in US dollars, if the upstream says so.
    pub cost_usd: Option<f64>,
    /// Chunks that the upstream sent.
    pub chunks: u64,
    /// The error that ended it.
    pub error: Option<ApiError>,
    /// What was lost or changed on the way, in sentences.
    pub notes: Vec<String>,
}
