//! Every route, in one table.

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, Resource, Route};

use super::{elsewhere, health, models, runs};
use crate::dashboard;

/// What a path takes that can be read, and one that a request is sent to.
const READ: &str = "GET, HEAD";
const SENT: &str = "POST";

/// What a base URL may end in beside nothing: some clients want `/v1` there, and OpenRouter's guide to Claude Code `/api`.
const BASES: [&str; 3] = ["", "/v1", "/api"];

/// Mounts everything.
pub fn all(routes: &mut ServiceConfig) {
    // The usual form first: each path costs a comparison.
    for end in ["", "/"] {
        for base in BASES {
            messages_api(routes, base, end);
        }
    }
    routes
        // greetings, health, figures
        .route("/", web::head().to(health::hello))
        .service(readable("/api/hello", web::get().to(health::hello)))
        .service(readable("/health", web::get().to(health::live)))
        .service(readable("/health/ready", web::get().to(health::ready)))
        .service(readable("/metrics", web::get().to(health::metrics)))
        // what the Messages API has besides, refused with a sentence
        .service(web::scope("/v1").default_service(web::to(elsewhere::not_here)))
        .service(web::scope("/api/v1").default_service(web::to(elsewhere::not_here)))
        .service(web::scope("/api/oauth").default_service(web::to(elsewhere::not_here)))
        .service(web::scope("/api/event_logging").default_service(web::to(elsewhere::thrown_away)))
        // the run API and the pages
        .configure(dashboard::api::routes)
        .configure(dashboard::routes)
        .default_service(web::to(elsewhere::nowhere));
}

/// The Messages API below a base, each path with this end: some clients write a slash behind everything.
fn messages_api(routes: &mut ServiceConfig, base: &str, end: &str) {
    let path = |path: &str| format!("{base}{path}{end}");
    routes
        .service(only(
            SENT,
            &path("/v1/messages"),
            web::post().to(runs::messages),
        ))
        .service(only(
            SENT,
            &path("/v1/messages/count_tokens"),
            web::post().to(runs::count_tokens),
        ))
        .service(only(READ, &path("/v1/models"), web::get().to(models::list)))
        .service(only(
            READ,
            &path("/v1/models/{id:.*[^/]}"),
            web::get().to(models::retrieve),
        ));
}

/// A path of the Messages API that can be asked for in one way alone.
fn only(allowed: &'static str, path: &str, route: Route) -> Resource {
    let otherwise =
        move |request: HttpRequest| async move { elsewhere::another_method(&request, allowed) };
    web::resource(path)
        .route(route)
        .default_service(web::to(otherwise))
}

/// A path for operators and their machines, which can only be read.
fn readable(path: &str, route: Route) -> Resource {
    web::resource(path)
        .route(route)
        .default_service(web::to(dashboard::api::another_method))
}
