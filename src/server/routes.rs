//! Every route, in one table.

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

use super::{errors, health, models, runs};
use crate::dashboard;
use crate::engine::RunId;
use crate::protocol::anthropic::error::ApiError;

/// Mounts everything.
pub fn all(routes: &mut ServiceConfig) {
    routes
        // the Messages API
        .route("/v1/messages", web::post().to(runs::messages))
        .route(
            "/v1/messages/count_tokens",
            web::post().to(runs::count_tokens),
        )
        .route("/v1/models", web::get().to(models::list))
        .route("/v1/models/{id:.+}", web::get().to(models::retrieve))
        // a base URL that already ends in /v1
        .route("/v1/v1/messages", web::post().to(runs::messages))
        .route(
            "/v1/v1/messages/count_tokens",
            web::post().to(runs::count_tokens),
        )
        .route("/v1/v1/models", web::get().to(models::list))
        // greetings, health, figures
        .route("/", web::head().to(health::hello))
        .route("/api/hello", web::head().to(health::hello))
        .route("/api/hello", web::get().to(health::hello))
        .route("/health", web::get().to(health::live))
        .route("/health", web::head().to(health::live))
        .route("/health/ready", web::get().to(health::ready))
        .route("/metrics", web::get().to(health::metrics))
        // what the Messages API has besides, refused with a sentence
        .service(web::scope("/v1").default_service(web::to(not_here)))
        // the run API and the pages
        .configure(dashboard::api::routes)
        .configure(dashboard::routes);
}

/// A path of Anthropic's API that Dagway does not serve.
async fn not_here(request: HttpRequest) -> HttpResponse {
    let message = format!(
        "{} {} is not served by Dagway: it serves POST /v1/messages, POST /v1/messages/count_tokens, \
         GET /v1/models and GET /v1/models/{{id}}",
        request.method(),
        request.path()
    );
    errors::answer(
        &ApiError::not_found(message),
        &format!("req_{}", RunId::now().simple()),
    )
}
