//! `count_tokens`: how many tokens a request has, counted by a real tokenizer.
//!
//! Anthropic publishes no tokenizer for its current models, so the count is an estimate: OpenAI's `o200k` vocabulary over
//! all texts, plus fixed costs for images and for the frame of messages and tools. On the samples of Anthropic's own
//! documentation it is within 5 % of what is written there; a header of the answer says that it is an estimate.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::client_reply::{ClientReply, Content};
use super::tokenizer;
use super::validate::ValidRequest;
use crate::engine::{Cx, Own, Res, Task, TaskError};
use crate::facts::payload;
use crate::protocol::anthropic::request::InvalidRequest;
use crate::protocol::translate::messages::edited;
use crate::protocol::translate::tokens::{Countable, countable, countable_of_any};

/// The header that says what the count is.
const ESTIMATE: (&str, &str) = ("x-dagway-token-count", "estimate");

/// Counts in a thread of its own: 100 KB take some milliseconds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CountTokens {}

/// Bounds how many counts go on at a time: Claude Code's `/context` asks for 26 at once.
#[derive(Debug)]
pub struct CountingSlots {
    /// A permit for each count.
    pub semaphore: Arc<Semaphore>,
}

/// Anthropic's `MessageTokensCount`.
#[derive(Serialize)]
struct Count {
    input_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_management: Option<Unedited>,
}

/// What the count would be without the edits that the request asks for.
#[derive(Serialize)]
struct Unedited {
    original_input_tokens: u64,
}

impl Task for CountTokens {
    const NAME: &'static str = "count_tokens";
    const ABOUT: &'static str = "Counts the request's tokens";
    type Input = (Arc<ValidRequest>, Res<CountingSlots>);
    type Output = Own<ClientReply>;

    async fn run(
        &self,
        (valid, slots): Self::Input,
        cx: &Cx,
    ) -> Result<Own<ClientReply>, TaskError> {
        let slot = Arc::clone(&slots.semaphore)
            .acquire_owned()
            .await
            .map_err(TaskError::ours)?;
        // A thread cannot be stopped from outside: when the step is over before the count, it hears of it here.
        let over = CancellationToken::new();
        let _is_over_when_dropped = over.clone().drop_guard();
        let counted = tokio::task::spawn_blocking(move || {
            let counted = count(&valid, &over);
            drop(slot);
            counted
        });
        let counted = counted
            .await
            .map_err(|error| match error.try_into_panic() {
                // The step's own panic: the engine knows what to do with it.
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(cancelled) => TaskError::ours(cancelled),
            })?;
        let count = counted?;
        cx.fact(
            crate::facts::INPUT_TOKENS,
            i64::try_from(count.input_tokens).unwrap_or(i64::MAX),
        );
        let body = Bytes::from(serde_json::to_vec(&count).map_err(TaskError::ours)?);
        cx.payload(payload::CLIENT_RESPONSE, body.clone());
        Ok(Own(ClientReply {
            content: Content::Whole(body),
            model: None,
            generation: None,
            headers: vec![(ESTIMATE.0.to_owned(), ESTIMATE.1.to_owned())],
        }))
    }
}

fn count(valid: &ValidRequest, over: &CancellationToken) -> Result<Count, TaskError> {
    if !valid.is_read {
        let parts = countable_of_any(valid.request.backing_cart());
        let parts = parts.ok_or_else(|| TaskError::client(InvalidRequest::missing("messages")))?;
        return Ok(Count {
            input_tokens: tokens_of(&parts, over)?,
            context_management: None,
        });
    }
    let request = valid.request.get();
    let edited = edited(request);
    let input_tokens = tokens_of(&countable(&edited), over)?;
    let original_input_tokens = match edited {
        Cow::Borrowed(_) => input_tokens,
        Cow::Owned(_) => tokens_of(&countable(request), over)?,
    };
    let asks_for_edits = !request.edits.is_empty();
    Ok(Count {
        input_tokens,
        context_management: asks_for_edits.then_some(Unedited {
            original_input_tokens,
        }),
    })
}

fn tokens_of(parts: &Countable<'_>, over: &CancellationToken) -> Result<u64, TaskError> {
    let mut tokens = parts.fixed;
    for text in &parts.texts {
        let counted = tokenizer::count(text, || !over.is_cancelled());
        let counted = counted.ok_or_else(|| TaskError::ours("the count was given up"))?;
        tokens += counted as u64;
    }
    Ok(tokens)
}
