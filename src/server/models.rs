//! `/v1/models`: the upstream's catalogue in Anthropic's shape.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};

use super::errors;
use super::gateway::Gateway;
use crate::events::RunId;
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::anthropic::request::InvalidRequest;
use crate::protocol::translate::models::{self, Lifecycle, ListQuery, ModelInfo};

/// How long the first answer waits for the catalogue; Claude Code's discovery gives up after 3 s.
const CATALOGUE_WAIT: Duration = Duration::from_millis(2500);

/// The query of the list; what else stands in it is for others.
#[derive(Debug, Default)]
struct Query {
    limit: Option<usize>,
    after_id: Option<String>,
    before_id: Option<String>,
    lifecycle: Vec<Lifecycle>,
}

impl Query {
    fn read(text: &str) -> Result<Self, ApiError> {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(text).map_err(|_| {
            ApiError::invalid_request(
                "query: what follows ? in the URL is not made of name=value pairs",
            )
        })?;
        let mut query = Self::default();
        for (name, value) in pairs.into_inner() {
            match name.as_str() {
                "limit" => query.limit = Some(limit(&value)?),
                "after_id" => query.after_id = Some(value),
                "before_id" => query.before_id = Some(value),
                "lifecycle" | "lifecycle[]" => query.lifecycle.push(Lifecycle::read(&value)?),
                _ => {}
            }
        }
        Ok(query)
    }
}

/// A number whatever it is: which ones are allowed is decided with the list.
fn limit(text: &str) -> Result<usize, ApiError> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        ApiError::from(InvalidRequest::at(
            "limit",
            format!("Input should be a whole number between 1 and 1000, not `{shown}`"),
        ))
    })
}

/// `GET /v1/models`.
pub async fn list(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let request_id = request_id();
    let page = async {
        let query = Query::read(request.query_string())?;
        let catalogue = gateway
            .upstreams
            .wait(CATALOGUE_WAIT)
            .await
            .ok_or_else(no_catalogue)?;
        let wanted = ListQuery {
            limit: query.limit,
            after_id: query.after_id.as_deref(),
            before_id: query.before_id.as_deref(),
            lifecycle: &query.lifecycle,
        };
        models::list(&catalogue, &wanted).map_err(ApiError::from)
    };
    answer(page.await, &request_id)
}

/// `GET /v1/models/{id}`; an id may hold slashes, or be any name by which the model can be asked for.
pub async fn retrieve(id: web::Path<String>, gateway: web::Data<Gateway>) -> HttpResponse {
    let request_id = request_id();
    let model =
        async {
            let catalogue = gateway
                .upstreams
                .wait(CATALOGUE_WAIT)
                .await
                .ok_or_else(no_catalogue)?;
            let id = id.into_inner();
            let by_name = || {
                gateway
                    .upstreams
                    .entry(&id)
                    .map(|entry| ModelInfo::of(&entry))
            };
            models::find(&catalogue, &id).or_else(by_name).ok_or_else(|| {
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
    RunId::now().request_id()
}

fn no_catalogue() -> ApiError {
    ApiError::api(
        "the upstream has not given its model catalogue yet; `dagway doctor` tells whether it can be reached",
    )
}
