//! Whether Dagway lives, whether it can serve, and its figures.

use std::time::{Duration, Instant};

use actix_web::{HttpResponse, web};
use futures_util::future::{join, join_all};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use super::gateway::Gateway;
use crate::dashboard::Dashboard;
use crate::store::Store;
use crate::upstream::{Upstream, Upstreams};

/// How long an answer about the upstream is good for: probes come often.
const GOOD_FOR: Duration = Duration::from_secs(10);
/// How long the upstream may take to answer a probe.
const PROBE_WAIT: Duration = Duration::from_secs(3);

/// How long the store may take to answer: those who ask often wait no longer than a second or two.
const STORE_WAIT: Duration = Duration::from_secs(1);
/// Why a process that serves is not ready.
const STOPPING: &str = "this Dagway is being stopped: it serves until server.drain_delay is over, \
                        but new requests should go to another";

/// What the last probe of each upstream said, in their order.
#[derive(Default)]
pub struct Probe(Mutex<Option<(Instant, Answers)>>);

/// Whether each upstream answered.
type Answers = Vec<Result<(), String>>;

/// `GET /health`: the process answers, and says what stands on its pages as a notice, such as that no real
/// model answers, or that the store is in trouble; and which process it is, so that whoever finds a lock of it knows whose
/// that is.
pub async fn live(dashboard: web::Data<Dashboard>) -> HttpResponse {
    let mut body = json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION"), "process": std::process::id() });
    if let Some(notice) = &dashboard.notice {
        body["notice"] = notice.as_str().into();
    }
    if let Some(trouble) = dashboard.trouble() {
        body["warning"] = trouble.into();
    }
    HttpResponse::Ok().json(body)
}

/// `GET /health/ready`: the store answers too, and an upstream: a request for a model of another can still be served. A
/// process that is being stopped serves, but wants no new requests.
pub async fn ready(gateway: web::Data<Gateway>, probe: web::Data<Probe>) -> HttpResponse {
    let store = store_answers(&*gateway.store);
    let (store, probed) = join(store, probe.ask(&gateway.upstreams)).await;
    let is_draining = gateway.draining.is_cancelled();
    let is_ready = !is_draining && store.is_ok() && probed.iter().any(Result::is_ok);
    let upstreams: Map<String, Value> = gateway
        .upstreams
        .all()
        .zip(&probed)
        .map(|(upstream, result)| {
            let mut shown = detail(result);
            let models = upstream.models.catalogue();
            shown["host"] = upstream.client.host().into();
            shown["models"] = models.map(|known| known.entries().len()).into();
            (upstream.name().to_owned(), shown)
        })
        .collect();
    let mut body = json!({
        "status": if is_ready { "ready" } else { "not ready" },
        "store": detail(&store),
        "upstreams": upstreams,
        "event_queue": gateway.events.depth(),
    });
    if is_draining {
        body["stopping"] = STOPPING.into();
    }
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
    async fn ask(&self, upstreams: &Upstreams) -> Answers {
        // Held while the upstreams are asked: who comes meanwhile waits for this answer instead of asking, too.
        let mut last = self.0.lock().await;
        if let Some((at, results)) = last.as_ref()
            && at.elapsed() < GOOD_FOR
        {
            return results.clone();
        }
        let results = join_all(upstreams.all().map(|upstream| answers(upstream))).await;
        *last = Some((Instant::now(), results.clone()));
        results
    }
}

/// Whether the store answers, which may take so long.
async fn store_answers(store: &dyn Store) -> Result<(), String> {
    match tokio::time::timeout(STORE_WAIT, store.ready()).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!(
            "the run store did not answer within {} s",
            STORE_WAIT.as_secs()
        )),
    }
}

async fn answers(upstream: &Upstream) -> Result<(), String> {
    upstream
        .client
        .probe(PROBE_WAIT)
        .await
        .map(drop)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::dashboard::fixture::FakeStore;

    #[tokio::test(start_paused = true)]
    async fn a_store_that_does_not_answer_is_not_waited_for() {
        let mut store = FakeStore::new(Vec::new());
        assert_eq!(store_answers(&store).await, Ok(()));
        store.is_silent = true;
        let since = Instant::now();
        let said = store_answers(&store).await.unwrap_err();
        assert_eq!(said, "the run store did not answer within 1 s");
        assert_eq!(since.elapsed(), STORE_WAIT);
        store.is_silent = false;
        store.takes_writes = false;
        let said = store_answers(&store).await.unwrap_err();
        assert!(said.contains("the disk is full"), "{said}");
    }
}
