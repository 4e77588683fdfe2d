//! Failures as Anthropic errors: `{"type":"error","error":{"type":…,"message":…},"request_id":…}`.
//!
//! Nothing else in the server makes such bodies; the guard has words of its own for people.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use crate::engine::{Fault, RunFailure};
use crate::events::{State, shortened};
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::anthropic::request::InvalidRequest;
use crate::protocol::openrouter::error::UpstreamError;
use crate::tasks::json::Broke;

/// The error that a failed run answers with. It may quote the request, but does not give all of it back.
#[must_use]
pub fn of_run(failure: &RunFailure) -> ApiError {
    const LONGEST: usize = 8 << 10;
    let error = in_full(failure);
    ApiError {
        message: shortened(&error.message, LONGEST).into_owned(),
        ..error
    }
}

fn in_full(failure: &RunFailure) -> ApiError {
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
    if let Some(Broke(_)) = source.downcast_ref() {
        return ApiError::api(format!(
            "the step `{}`, which the operator of this gateway has added, failed; the run of this request shows how",
            failure.step
        ));
    }
    if failure.state == State::TimedOut {
        return ApiError::timeout(format!(
            "step `{}` took too long: {}",
            failure.step, failure.error
        ));
    }
    match failure.error.fault {
        Fault::Client => ApiError::invalid_request(failure.error.to_string()),
        Fault::Upstream => ApiError::api(failure.error.to_string()),
        Fault::Ours => of_our_fault(failure),
    }
}

/// What broke inside is for the run's page: to a client it says nothing, and the words of a panic may hold a piece of the
/// prompt, which belongs into no log either.
fn of_our_fault(failure: &RunFailure) -> ApiError {
    tracing::error!(
        task.name = failure.step,
        state = failure.state.name(),
        "a step broke by a fault of Dagway's own; its run says how"
    );
    ApiError::api(format!(
        "Dagway broke at its step `{}`, by a fault of its own; the run of this request shows what happened, and the same \
         request may well fail again",
        failure.step
    ))
}

/// The answer that carries an error.
#[must_use]
pub fn answer(error: &ApiError, request_id: &str) -> HttpResponse {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json")));
    response.insert_header((HeaderName::from_static("request-id"), request_id));
    if let Some(wait) = error.retry_after {
        // Whole seconds, and not too early.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        response.insert_header((
            HeaderName::from_static("retry-after"),
            seconds.max(1).to_string(),
        ));
    }
    for (name, value) in &error.headers {
        response.insert_header((name.as_str(), value.as_str()));
    }
    if let Some(should_retry) = error.should_retry {
        let word = if should_retry { "true" } else { "false" };
        response.insert_header((HeaderName::from_static("x-should-retry"), word));
    }
    response.body(error.body(request_id))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::TaskError;

    #[test]
    fn a_panic_reaches_the_client_as_a_plain_sentence() {
        let inside =
            "it panicked: called `Result::unwrap()` on an `Err` value: RuntimeError(StackOverflow)";
        for state in [State::Crashed, State::Failed] {
            let error = of_run(&RunFailure {
                step: "count_tokens".to_owned(),
                task: "count_tokens".to_owned(),
                attempts: 1,
                state,
                error: Arc::new(TaskError::ours(inside)),
            });
            assert_eq!((error.status, error.kind.name()), (500, "api_error"));
            insta::allow_duplicates! {
                insta::assert_snapshot!(error.message, @"Dagway broke at its step `count_tokens`, by a fault of its own; the run of this request shows what happened, and the same request may well fail again");
            }
        }
    }
}
