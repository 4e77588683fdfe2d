//! The Messages API as clients speak it.

pub mod error;
pub mod models;
pub mod request;
