//! The Messages API as clients speak it.

pub mod error;
pub mod request;
