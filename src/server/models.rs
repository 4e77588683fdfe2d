//! `/v1/models`: the upstream's catalogue in Anthropic's shape.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::errors;
use super::gateway::Gateway;
use crate::events::RunId;
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::anthropic::models::{self, ListQuery};

/// How long the first answer waits for the catalogue; Claude Code's discovery gives up after 3 s.
const CATALOGUE_WAIT: Duration = Duration::from_millis(2500);

/// The query of the list.
#[derive(Debug, Deserialize)]
pub struct Query {
    limit: Option<usize>,
    after_id: Option<String>,
    before_id: Option<String>,
}

/// `GET /v1/models`.
pub async fn list(
    query: Result<web::Query<Query>, actix_web::Error>,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    let request_id = request_id();
    let page = async {
        let query = query
            .map_err(|error| ApiError::invalid_request(format!("query: {error}")))?
            .into_inner();
        let catalogue = gateway
            .upstreams
            .wait(CATALOGUE_WAIT)
            .await
            .ok_or_else(no_catalogue)?;
        let wanted = ListQuery {
            limit: query.limit,
            after_id: query.after_id.as_deref(),
            before_id: query.before_id.as_deref(),
        };
        models::list(&catalogue, &wanted).map_err(ApiError::from)
    };
    answer(page.await, &request_id)
}

/// `GET /v1/models/{id}`; an id may hold slashes.
pub async fn retrieve(id: web::Path<String>, gateway: web::Data<Gateway>) -> HttpResponse {
    let request_id = request_id();
    let model = async {
        let catalogue = gateway
            .upstreams
            .wait(CATALOGUE_WAIT)
            .await
            .ok_or_else(no_catalogue)?;
        let id = id.into_inner();
        models::find(&catalogue, &id).ok_or_else(|| {
            ApiError::not_found(format!(
                "model: {id} is not in the upstream's catalogue; GET /v1/models lists what is"
            ))
        })
    };
    answer(model.await, &request_id)
}

fn answer(result: Result<impl serde::Serialize, ApiError>, request_id: &str) -> HttpResponse {
    match result {
        Ok(body) => HttpResponse::Ok()
            .insert_header(("request-id", request_id))
            .json(body),
        Err(error) => errors::answer(&error, request_id),
    }
}

fn request_id() -> String {
    format!("req_{}", RunId::now().simple())
}

fn no_catalogue() -> ApiError {
    ApiError::api(
        "the upstream has not given its model catalogue yet; `dagway doctor` tells whether it can be reached",
    )
}
