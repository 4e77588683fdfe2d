//! A service of a user's own, for steps that call a URL: it answers as it was told, and keeps what arrived.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::Value;

/// A request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Call {
    pub(crate) fn header(&self, wanted: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

#[derive(Default)]
struct State {
    answers: VecDeque<(u16, String)>,
    calls: Vec<Call>,
}

/// The service, listening.
pub(crate) struct Service {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
    server: ServerHandle,
}

impl Service {
    /// Answers with these one after the other, then with an empty 200. A 429 asks to wait for 7 seconds, a 529
    /// for two hours.
    pub(crate) fn start(answers: &[(u16, &str)]) -> Self {
        let answers = answers
            .iter()
            .map(|(status, body)| (*status, (*body).to_owned()));
        let state = Arc::new(Mutex::new(State {
            answers: answers.collect(),
            calls: Vec::new(),
        }));
        let shared = web::Data::from(Arc::clone(&state));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .default_service(web::to(answer))
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
        let url = format!("http://{}", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        tokio::task::spawn_local(server);
        Self {
            url,
            state,
            server: handle,
        }
    }

    /// What arrived, oldest first.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.state.lock().unwrap().calls.clone()
    }

    pub(crate) async fn stop(self) {
        self.server.stop(false).await;
    }
}

async fn answer(
    request: HttpRequest,
    body: web::Bytes,
    state: web::Data<Mutex<State>>,
) -> HttpResponse {
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.to_string(), value)
    });
    let mut state = state.lock().unwrap();
    state.calls.push(Call {
        method: request.method().to_string(),
        path: request.uri().to_string(),
        headers: headers.collect(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    let (status, body) = state.answers.pop_front().unwrap_or((200, String::new()));
    let mut answer = HttpResponse::build(StatusCode::from_u16(status).unwrap());
    match status {
        429 => drop(answer.insert_header(("retry-after", "7"))),
        529 => drop(answer.insert_header(("retry-after", "7200"))),
        _ => {}
    }
    answer.body(body)
}
