//! The Messages API as clients speak it.

pub mod delivery;
pub mod error;
pub mod event;
pub mod message;
pub mod request;
