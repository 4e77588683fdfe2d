//! A server of plain OpenAI chat completions: no field that OpenAI does not define, no vendor in a model's name, thoughts
//! as `reasoning_content`, token counts only when they are asked for.

use std::sync::{Arc, Mutex};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

const FIELDS: [&str; 17] = [
    "model",
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "stream",
    "stream_options",
    "temperature",
    "top_p",
    "stop",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "user",
    "reasoning_effort",
    "seed",
    "n",
];
const OF_MESSAGES: [&str; 6] = [
    "role",
    "content",
    "tool_calls",
    "tool_call_id",
    "name",
    "reasoning_content",
];
const OF_PARTS: [&str; 4] = ["type", "text", "image_url", "file"];

type Bodies = Arc<Mutex<Vec<Value>>>;

/// The server, listening.
pub(crate) struct Plain {
    pub(crate) url: String,
    bodies: Bodies,
    server: ServerHandle,
}

impl Plain {
    pub(crate) fn start() -> Self {
        let bodies = Bodies::default();
        let shared = web::Data::new(Arc::clone(&bodies));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .route("/v1/chat/completions", web::post().to(completions))
                .route("/v1/models", web::get().to(models))
                .route("/models", web::get().to(models))
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
        let url = format!("http://{}/v1", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        tokio::task::spawn_local(server);
        Self {
            url,
            bodies,
            server: handle,
        }
    }

    /// The bodies that arrived, oldest first.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.bodies.lock().unwrap().clone()
    }

    pub(crate) async fn stop(self) {
        self.server.stop(false).await;
    }
}

fn may_enter(request: &HttpRequest) -> bool {
    let header = request.headers().get("authorization");
    header.is_some_and(|value| value == "Bearer plain-key")
}

fn refused(status: u16, message: &str, code: &str) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(status).unwrap();
    HttpResponse::build(status).json(json!({ "error": {
        "message": message, "type": "invalid_request_error", "param": null, "code": code,
    } }))
}

async fn models(request: HttpRequest) -> HttpResponse {
    if !may_enter(&request) {
        return refused(401, "Incorrect API key provided", "invalid_api_key");
    }
    HttpResponse::Ok().json(json!({ "object": "list", "data": [
        { "id": "tiny-1b", "object": "model", "created": 1_700_000_000, "owned_by": "me" },
    ] }))
}

async fn completions(
    request: HttpRequest,
    body: web::Json<Value>,
    bodies: web::Data<Bodies>,
) -> HttpResponse {
    if !may_enter(&request) {
        return refused(401, "Incorrect API key provided", "invalid_api_key");
    }
    let body = body.into_inner();
    bodies.lock().unwrap().push(body.clone());
    if let Some(name) = unknown(&body) {
        let message = format!("Unrecognized request argument supplied: {name}");
        return refused(400, &message, "unknown_parameter");
    }
    match body["model"].as_str() {
        Some("tiny-1b") => {}
        Some("full-1b") => {
            let message = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.";
            return refused(400, message, "context_length_exceeded");
        }
        _ => return refused(404, "The model does not exist", "model_not_found"),
    }
    if body["stream"] == true {
        let text: String = chunks(&body)
            .iter()
            .map(|chunk| format!("data: {chunk}\n\n"))
            .collect();
        return HttpResponse::Ok()
            .content_type("text/event-stream")
            .body(text + "data: [DONE]\n\n");
    }
    HttpResponse::Ok().json(json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "tiny-1b",
        "choices": [{ "index": 0, "finish_reason": "stop", "message": {
            "role": "assistant", "content": "Plain as can be.", "reasoning_content": "Plainly.",
        } }],
        "usage": { "prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17 },
    }))
}

/// The first field that OpenAI does not define.
fn unknown(body: &Value) -> Option<String> {
    let strange = |value: &Value, known: &[&str]| {
        let fields = value.as_object()?;
        fields
            .keys()
            .find(|name| !known.contains(&name.as_str()))
            .cloned()
    };
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    let parts = messages
        .iter()
        .filter_map(|message| message["content"].as_array())
        .flatten();
    let tools = body["tools"].as_array().cloned().unwrap_or_default();
    strange(body, &FIELDS)
        .or_else(|| {
            messages
                .iter()
                .find_map(|message| strange(message, &OF_MESSAGES))
        })
        .or_else(|| parts.clone().find_map(|part| strange(part, &OF_PARTS)))
        .or_else(|| {
            tools
                .iter()
                .find_map(|tool| strange(tool, &["type", "function"]))
        })
}

fn chunks(body: &Value) -> Vec<Value> {
    let chunk = |delta: Value, finish: Value| {
        json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "tiny-1b",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] })
    };
    let has_result = body["messages"].to_string().contains("\"tool\"");
    let mut chunks = vec![chunk(
        json!({ "role": "assistant", "content": "" }),
        Value::Null,
    )];
    let finish = if body["tools"].is_array() && !has_result {
        let call = |function: Value| json!({ "index": 0, "function": function });
        let mut first = call(json!({ "name": "Bash", "arguments": "" }));
        first["id"] = "call_1".into();
        first["type"] = "function".into();
        for call in [
            first,
            call(json!({ "arguments": "{\"command\"" })),
            call(json!({ "arguments": ":\"ls\"}" })),
        ] {
            chunks.push(chunk(json!({ "tool_calls": [call] }), Value::Null));
        }
        "tool_calls"
    } else {
        chunks.push(chunk(json!({ "reasoning_content": "Plain" }), Value::Null));
        chunks.push(chunk(json!({ "reasoning_content": "ly." }), Value::Null));
        chunks.push(chunk(json!({ "content": "Plain as " }), Value::Null));
        chunks.push(chunk(json!({ "content": "can be." }), Value::Null));
        "stop"
    };
    chunks.push(chunk(json!({}), finish.into()));
    if body["stream_options"]["include_usage"] == true {
        chunks.push(json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "tiny-1b",
            "choices": [], "usage": { "prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17 } }));
    }
    chunks
}
