//! Whether Dagway lives, whether it can serve, and its figures.

use std::time::{Duration, Instant};

use actix_web::{HttpResponse, web};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::gateway::Gateway;

/// How long an answer about the upstream is good for: probes come often.
const GOOD_FOR: Duration = Duration::from_secs(10);
/// How long the upstream may take to answer a probe.
const PROBE_WAIT: Duration = Duration::from_secs(3);

/// What the last probe of the upstream said.
#[derive(Default)]
pub struct Probe(Mutex<Option<(Instant, Result<(), String>)>>);

/// `GET /health`: the process answers.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

/// `GET /health/ready`: the store and the upstream answer too.
pub async fn ready(gateway: web::Data<Gateway>, probe: web::Data<Probe>) -> HttpResponse {
    let store = gateway
        .store
        .ready()
        .await
        .map_err(|error| error.to_string());
    let upstream = probe.ask(&gateway).await;
    let is_ready = store.is_ok() && upstream.is_ok();
    let models = gateway
        .models
        .catalogue()
        .map(|catalogue| catalogue.entries().len());
    let body = json!({
        "status": if is_ready { "ready" } else { "not ready" },
        "store": detail(&store),
        "upstream": detail(&upstream),
        "upstream_host": gateway.client.host(),
        "models": models,
        "event_queue": gateway.events.depth(),
    });
    let mut response = if is_ready {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    response.json(body)
}

/// `GET /metrics`, for Prometheus.
pub async fn metrics(gateway: web::Data<Gateway>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body((gateway.metrics)())
}

/// `HEAD /` and `HEAD /api/hello`: what clients send to warm a connection up.
pub async fn hello() -> HttpResponse {
    HttpResponse::Ok().finish()
}

fn detail(result: &Result<(), String>) -> Value {
    match result {
        Ok(()) => json!({ "ok": true }),
        Err(error) => json!({ "ok": false, "error": error }),
    }
}

impl Probe {
    async fn ask(&self, gateway: &Gateway) -> Result<(), String> {
        let mut last = self.0.lock().await;
        if let Some((at, result)) = last.as_ref()
            && at.elapsed() < GOOD_FOR
        {
            return result.clone();
        }
        let result = match gateway.client.get("key", PROBE_WAIT).await {
            Ok(_) => Ok(()),
            // An endpoint without `/key` is no OpenRouter, but it answers.
            Err(error) if error.api.status == 404 => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        *last = Some((Instant::now(), result.clone()));
        result
    }
}
