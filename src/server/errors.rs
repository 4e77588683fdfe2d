//! Failures as Anthropic errors: `{"type":"error","error":{"type":…,"message":…},"request_id":…}`.
//!
//! Nothing else in the server makes error bodies.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use crate::engine::{Fault, RunFailure};
use crate::events::State;
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::anthropic::request::InvalidRequest;
use crate::protocol::openrouter::error::UpstreamError;

/// The error that a failed run answers with.
#[must_use]
pub fn of_run(failure: &RunFailure) -> ApiError {
    let source = failure.error.source.as_ref();
    if let Some(error) = source.downcast_ref::<UpstreamError>() {
        return error.api.clone();
    }
    if let Some(error) = source.downcast_ref::<ApiError>() {
        return error.clone();
    }
    if let Some(error) = source.downcast_ref::<InvalidRequest>() {
        return ApiError::from(error.clone());
    }
    if failure.state == State::TimedOut {
        return ApiError::timeout(format!(
            "step `{}` took too long: {}",
            failure.step, failure.error
        ));
    }
    match failure.error.fault {
        Fault::Client => ApiError::invalid_request(failure.to_string()),
        Fault::Upstream | Fault::Ours => ApiError::api(failure.to_string()),
    }
}

/// The answer that carries an error.
#[must_use]
pub fn answer(error: &ApiError, request_id: &str) -> HttpResponse {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json")));
    response.insert_header((HeaderName::from_static("request-id"), request_id));
    if let Some(wait) = error.retry_after {
        response.insert_header((
            HeaderName::from_static("retry-after"),
            wait.as_secs().max(1).to_string(),
        ));
    }
    if let Some(should_retry) = error.should_retry {
        let word = if should_retry { "true" } else { "false" };
        response.insert_header((HeaderName::from_static("x-should-retry"), word));
    }
    response.body(error.body(request_id))
}
