//! The table of the dashboard's routes.
//!
//! Only pages and files are compressed: the encoder would hold back a stream of events until its buffer is full.

use actix_web::middleware::Compress;
use actix_web::web::{ServiceConfig, get, resource};

use super::{assets, live, payloads, run, runs, workflows};

/// Mounts the dashboard. It expects `web::Data<Dashboard>` among the app's data.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(
            resource("/")
                .wrap(Compress::default())
                .route(get().to(runs::page)),
        )
        .service(
            resource("/runs")
                .wrap(Compress::default())
                .route(get().to(runs::page)),
        )
        .service(
            resource("/runs/{id}")
                .wrap(Compress::default())
                .route(get().to(run::page)),
        )
        .service(
            resource("/runs/{id}/payloads/{name}")
                .wrap(Compress::default())
                .route(get().to(payloads::raw)),
        )
        .service(
            resource("/workflows")
                .wrap(Compress::default())
                .route(get().to(workflows::list)),
        )
        .service(
            resource("/workflows/{name}")
                .wrap(Compress::default())
                .route(get().to(workflows::page)),
        )
        .service(resource("/live/runs").route(get().to(live::runs)))
        .service(resource("/live/runs/{id}").route(get().to(live::run)))
        .service(
            resource("/assets/{file}")
                .wrap(Compress::default())
                .route(get().to(assets::serve)),
        );
}
