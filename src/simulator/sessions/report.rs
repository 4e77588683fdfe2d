//! What came of a round of conversations.

use std::fmt;

/// Counts over a round, and what went wrong that should not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Requests for a message.
    pub requests: u32,
    /// Messages that came whole.
    pub answers: u32,
    /// Tools that were called.
    pub tool_calls: u32,
    /// Blocks of thinking.
    pub thoughts: u32,
    /// Input tokens, those of caches included.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Requests that were refused, as they should be.
    pub refused: u32,
    /// Answers that broke off.
    pub torn: u32,
    /// Answers that the client did not wait for.
    pub left: u32,
    /// Token counts that were asked for.
    pub counts: u32,
    /// What went wrong that should not have, in sentences.
    pub faults: Vec<String>,
}

impl Report {
    /// Adds another report to this.
    pub(super) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.answers += other.answers;
        self.tool_calls += other.tool_calls;
        self.thoughts += other.thoughts;
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.refused += other.refused;
        self.torn += other.torn;
        self.left += other.left;
        self.counts += other.counts;
        self.faults.extend(other.faults);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests, {} answers, {} tool calls, {} input and {} output tokens, {} broke off, {} left early, {} refused",
            self.requests,
            self.answers,
            self.tool_calls,
            self.input_tokens,
            self.output_tokens,
            self.torn,
            self.left,
            self.refused,
        )?;
        for fault in &self.faults {
            write!(f, "; {fault}")?;
        }
        Ok(())
    }
}
