//! An OTLP/HTTP collector on a real socket: it decodes the protobuf and keeps the spans for tests to look at.
//!
//! It must not know who exports to it.

use std::sync::mpsc;
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::sync::watch;

/// The longest time a test waits for spans.
const PATIENCE: Duration = Duration::from_secs(60);

/// What has arrived so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    /// Requests, refused ones included.
    pub(crate) requests: usize,
    /// The attributes of the resource, from the last request.
    pub(crate) resource: Vec<KeyValue>,
    /// The headers of the last request.
    pub(crate) headers: Vec<(String, String)>,
    /// All spans that were taken, in order of arrival.
    pub(crate) spans: Vec<Span>,
}

/// How the collector answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Takes what comes, and says that it took all but so many spans.
    TakeAllBut(i64),
    /// Refuses it with this status.
    Refuse(u16),
    /// Says nothing until it is told to do something else.
    Silence,
}

/// A collector under way; it ends when it is dropped.
pub(crate) struct Collector {
    address: String,
    received: watch::Receiver<Received>,
    answer: watch::Sender<Answer>,
    server: ServerHandle,
}

#[derive(Clone)]
struct Desk {
    received: watch::Sender<Received>,
    answer: watch::Receiver<Answer>,
}

impl Collector {
    /// Listens on a free port of the loopback interface.
    pub(crate) fn start() -> Self {
        let (received_in, received) = watch::channel(Received::default());
        let (answer, answer_out) = watch::channel(Answer::TakeAllBut(0));
        let desk = Desk {
            received: received_in,
            answer: answer_out,
        };
        let (started_in, started) = mpsc::channel();
        std::thread::spawn(move || {
            let make_app = move || {
                App::new()
                    .app_data(web::Data::new(desk.clone()))
                    .app_data(web::PayloadConfig::new(64 << 20))
                    .route("/v1/traces", web::post().to(take))
            };
            let server = HttpServer::new(make_app)
                .workers(1)
                .disable_signals()
                .bind(("127.0.0.1", 0))
                .expect("a free port of the loopback interface can be had");
            let address = format!("http://{}", server.addrs()[0]);
            let server = server.run();
            started_in
                .send((address, server.handle()))
                .expect("the test waits for the address");
            actix_web::rt::System::new()
                .block_on(server)
                .expect("the collector serves until it is stopped");
        });
        let (address, server) = started.recv().expect("the collector starts");
        Self {
            address,
            received,
            answer,
            server,
        }
    }

    /// What to give as `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) fn endpoint(&self) -> &str {
        &self.address
    }

    /// Changes how requests are answered, those under way included.
    pub(crate) fn answer(&self, answer: Answer) {
        self.answer.send_replace(answer);
    }

    /// Waits until what was received satisfies `enough`, and gives it.
    pub(crate) async fn wait_until(&self, enough: impl FnMut(&Received) -> bool) -> Received {
        let mut received = self.received.clone();
        let waiting = tokio::time::timeout(PATIENCE, received.wait_for(enough));
        match waiting.await {
            Ok(Ok(received)) => received.clone(),
            _ => panic!(
                "the collector waited in vain; it has {:#?}",
                self.received.borrow().spans
            ),
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

async fn take(request: HttpRequest, body: web::Bytes, desk: web::Data<Desk>) -> HttpResponse {
    let mut answer = desk.answer.clone();
    desk.received.send_modify(|received| received.requests += 1);
    let spoken = answer.wait_for(|answer| *answer != Answer::Silence).await;
    let rejected_spans = match spoken.as_deref() {
        Ok(Answer::Refuse(status)) => {
            let status = actix_web::http::StatusCode::from_u16(*status);
            return HttpResponse::new(status.expect("tests name statuses that exist"));
        }
        Ok(Answer::TakeAllBut(rejected)) => *rejected,
        Ok(Answer::Silence) | Err(_) => 0,
    };
    // The next answer must not wait for this one to be given.
    drop(spoken);
    let Ok(export) = ExportTraceServiceRequest::decode(body) else {
        return HttpResponse::BadRequest().finish();
    };
    let headers = request.headers().iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        (name.to_string(), value.into_owned())
    });
    desk.received.send_modify(|received| {
        received.headers = headers.collect();
        for resource_spans in export.resource_spans {
            received.resource = resource_spans.resource.unwrap_or_default().attributes;
            for scope_spans in resource_spans.scope_spans {
                received.spans.extend(scope_spans.spans);
            }
        }
    });
    let rejected = ExportTracePartialSuccess {
        rejected_spans,
        error_message: "they are too old".to_owned(),
    };
    let answer = ExportTraceServiceResponse {
        partial_success: (rejected_spans > 0).then_some(rejected),
    };
    HttpResponse::Ok()
        .content_type("application/x-protobuf")
        .body(answer.encode_to_vec())
}
