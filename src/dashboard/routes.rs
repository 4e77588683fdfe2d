//! The table of the dashboard's routes.
//!
//! Only pages and files are compressed: the encoder would hold back a stream of events until its buffer is full.

use actix_web::middleware::Compress;
use actix_web::web::{ServiceConfig, get, resource, to};
use actix_web::{Resource, Route};

use super::page::another_method;
use super::{assets, live, payloads, run, runs, usage, workflows};

/// Mounts the dashboard. It expects `web::Data<Dashboard>` among the app's data.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(page("/", get().to(runs::page)).wrap(Compress::default()))
        .service(page("/runs", get().to(runs::page)).wrap(Compress::default()))
        .service(page("/runs/{id}", get().to(run::page)).wrap(Compress::default()))
        .service(
            page("/runs/{id}/payloads/{name}", get().to(payloads::raw)).wrap(Compress::default()),
        )
        .service(page("/usage", get().to(usage::page)).wrap(Compress::default()))
        .service(page("/workflows", get().to(workflows::list)).wrap(Compress::default()))
        .service(page("/workflows/{name}", get().to(workflows::page)).wrap(Compress::default()))
        .service(page("/live/runs", get().to(live::runs)))
        .service(page("/live/runs/{id}", get().to(live::run)))
        .service(page("/live/workflows", get().to(live::all_workflows)))
        .service(page("/live/workflows/{name}", get().to(live::one_workflow)))
        .service(page("/assets/{file}", get().to(assets::serve)).wrap(Compress::default()));
}

/// A path that can only be read.
fn page(path: &str, route: Route) -> Resource {
    resource(path)
        .route(route)
        .default_service(to(another_method))
}
