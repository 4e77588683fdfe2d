//! The rest of Anthropic's API: each documented endpoint that Dagway does not serve says what Dagway does instead.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse};

use super::errors;
use crate::events::RunId;
use crate::protocol::anthropic::error::{ApiError, ErrorKind};

/// What is said of the paths that begin so (behind `/v1/`); the first that fits counts.
const INSTEAD: [(&[&str], &str); 7] = [
    (
        &["messages/batches"],
        "Message Batches are not served yet: send the `params` of each of its requests to POST /v1/messages",
    ),
    (
        &["files"],
        "files are not stored: put their content into the request to POST /v1/messages, as base64, text or a URL",
    ),
    (
        &["skills"],
        "skills run in containers of Anthropic's, which no other upstream has: give their instructions in the system \
         prompt and their scripts as tools of POST /v1/messages",
    ),
    (
        &["complete"],
        "Text Completions have been replaced by POST /v1/messages",
    ),
    (
        &[
            "agents",
            "sessions",
            "environments",
            "deployments",
            "dreams",
            "memory_stores",
            "tunnels",
            "vaults",
            "webhooks",
        ],
        "agents that Anthropic hosts are not part of Dagway: run the loop on your side, with Claude Code or an SDK's tool \
         runner over POST /v1/messages",
    ),
    (
        &[
            "organizations",
            "organization",
            "user_profiles",
            "workspaces",
        ],
        "Dagway has no organizations: client keys are DAGWAY_CLIENT_KEYS, and what was used and spent is told by GET \
         /api/runs and GET /metrics",
    ),
    (
        &["models"],
        "models are listed, not changed: GET /v1/models and GET /v1/models/{id}",
    ),
];

/// What Dagway serves, for a path that is in no list.
const SERVED: &str = "Dagway serves POST /v1/messages, POST /v1/messages/count_tokens, GET /v1/models and GET \
                      /v1/models/{id}";

/// A path of Anthropic's API that Dagway does not serve.
pub async fn not_here(request: HttpRequest) -> HttpResponse {
    answer(
        &request,
        ErrorKind::NotFound.status(),
        ErrorKind::NotFound,
        instead_of(request.path()),
    )
}

/// A path that is served, asked for in another way.
pub async fn another_method(request: HttpRequest) -> HttpResponse {
    answer(&request, 405, ErrorKind::InvalidRequest, SERVED)
}

fn answer(request: &HttpRequest, status: u16, kind: ErrorKind, sentence: &str) -> HttpResponse {
    let message = format!(
        "{} {} is not served by Dagway: {sentence}",
        request.method(),
        request.path()
    );
    let error = ApiError {
        status,
        ..ApiError::new(kind, message).retry(false)
    };
    let mut response = errors::answer(&error, &format!("req_{}", RunId::now().simple()));
    if request.method() == Method::HEAD {
        response = response.drop_body().map_into_boxed_body();
    }
    response
}

fn instead_of(path: &str) -> &'static str {
    let path = path.trim_start_matches("/v1").trim_start_matches('/');
    let begins = |prefix: &&&str| {
        let rest = path.strip_prefix(**prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    INSTEAD
        .iter()
        .find(|(prefixes, _)| prefixes.iter().any(|prefix| begins(&prefix)))
        .map_or(SERVED, |(_, sentence)| sentence)
}

/// `POST /api/event_logging/…`: clients report what they do to Anthropic; here it is thrown away unread.
pub async fn thrown_away() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_is_chosen_by_whole_words() {
        assert!(instead_of("/v1/files").contains("files are not stored"));
        assert!(instead_of("/v1/files/f_1/content").contains("files are not stored"));
        assert_eq!(instead_of("/v1/filesystem"), SERVED);
        assert_eq!(instead_of("/v1/messages/unknown"), SERVED);
    }
}
