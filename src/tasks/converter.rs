//! What turns an upstream's stream into the client's: the translator of the chat lane or the filter of the native one.
//!
//! The flow that pulls must not know which.

use crate::protocol::anthropic::error::ApiError;
use crate::protocol::native::Passage;
use crate::protocol::translate::reply::{Summary, Translator};

/// The converter of one of the lanes.
pub enum Converter {
    /// Chat completions become Anthropic's events.
    Chat(Box<Translator>),
    /// Anthropic's events pass.
    Native(Box<Passage>),
}

impl From<Translator> for Converter {
    fn from(translator: Translator) -> Self {
        Self::Chat(Box::new(translator))
    }
}

impl From<Passage> for Converter {
    fn from(passage: Passage) -> Self {
        Self::Native(Box::new(passage))
    }
}

impl Converter {
    /// Takes bytes of the upstream's stream and appends the client's.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Chat(translator) => translator.push(bytes, out),
            Self::Native(passage) => passage.push(bytes, out),
        }
    }

    /// The upstream's body has ended.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Chat(translator) => translator.end(out),
            Self::Native(passage) => passage.end(out),
        }
    }

    /// The transport failed, or a wait took too long.
    pub fn fail(&mut self, error: ApiError, out: &mut Vec<u8>) {
        match self {
            Self::Chat(translator) => translator.fail(error, out),
            Self::Native(passage) => passage.fail(error, out),
        }
    }

    /// Tells the client that the connection lives.
    pub fn ping(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Chat(translator) => translator.ping(out),
            Self::Native(passage) => passage.ping(out),
        }
    }

    /// Whether the last event is out.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match self {
            Self::Chat(translator) => translator.is_done(),
            Self::Native(passage) => passage.is_done(),
        }
    }

    /// Whether the upstream has said why it stopped and what is still missing is worth a short wait only.
    #[must_use]
    pub fn is_finishing(&self) -> bool {
        match self {
            Self::Chat(translator) => translator.is_finishing(),
            Self::Native(passage) => passage.is_finishing(),
        }
    }

    /// Whether the client has heard a word of the answer, or that one begins.
    #[must_use]
    pub fn has_spoken(&self) -> bool {
        match self {
            Self::Chat(translator) => translator.has_spoken(),
            Self::Native(passage) => passage.has_spoken(),
        }
    }

    /// How many pieces with something in them the upstream has sent.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        match self {
            Self::Chat(translator) => translator.chunks(),
            Self::Native(passage) => passage.events(),
        }
    }

    /// What is known of the answer by now.
    #[must_use]
    pub fn summary(&self) -> Summary {
        match self {
            Self::Chat(translator) => translator.summary(),
            Self::Native(passage) => passage.summary(),
        }
    }
}
