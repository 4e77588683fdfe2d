//! Every route, in one table.

use actix_web::web::{self, ServiceConfig};
use actix_web::{Resource, Route};

use super::{elsewhere, health, models, runs};
use crate::dashboard;

/// Mounts everything.
pub fn all(routes: &mut ServiceConfig) {
    routes
        // the Messages API
        .service(only("/v1/messages", web::post().to(runs::messages)))
        .service(only(
            "/v1/messages/count_tokens",
            web::post().to(runs::count_tokens),
        ))
        .service(only("/v1/models", web::get().to(models::list)))
        .service(only("/v1/models/{id:.+}", web::get().to(models::retrieve)))
        // a base URL that already ends in /v1
        .service(only("/v1/v1/messages", web::post().to(runs::messages)))
        .service(only(
            "/v1/v1/messages/count_tokens",
            web::post().to(runs::count_tokens),
        ))
        .service(only("/v1/v1/models", web::get().to(models::list)))
        // greetings, health, figures
        .route("/", web::head().to(health::hello))
        .route("/api/hello", web::head().to(health::hello))
        .route("/api/hello", web::get().to(health::hello))
        .route("/health", web::get().to(health::live))
        .route("/health", web::head().to(health::live))
        .route("/health/ready", web::get().to(health::ready))
        .route("/metrics", web::get().to(health::metrics))
        // what the Messages API has besides, refused with a sentence
        .service(web::scope("/v1").default_service(web::to(elsewhere::not_here)))
        .service(web::scope("/api/oauth").default_service(web::to(elsewhere::not_here)))
        .service(web::scope("/api/event_logging").default_service(web::to(elsewhere::thrown_away)))
        // the run API and the pages
        .configure(dashboard::api::routes)
        .configure(dashboard::routes);
}

/// A path that can be asked for in one way alone.
fn only(path: &str, route: Route) -> Resource {
    web::resource(path)
        .route(route)
        .default_service(web::to(elsewhere::another_method))
}
