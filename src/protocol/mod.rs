//! The two dialects and the translation between them. Pure: no async, no I/O, no clock.
//!
//! | folder | what |
//! | --- | --- |
//! | [`anthropic`] | the Messages API: requests, events, messages, errors |
//! | [`openrouter`] | chat completions: chunks, catalogue, errors |
//! | [`native`] | Anthropic's answers passed on, without what breaks its SDKs |
//! | [`translate`] | one into the other, both ways |
//! | [`sse`] | server-sent events, byte by byte |
//! | [`json_text`] | text that stays escaped on its way |

pub mod anthropic;
pub mod json_text;
pub mod native;
pub mod openrouter;
pub mod sse;
pub mod translate;
