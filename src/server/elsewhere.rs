//! The rest of Anthropic's API: each documented endpoint that Dagway does not serve says what Dagway does instead.

use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};

use super::errors;
use crate::dashboard::{self, Dashboard};
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
        "GET /v1/models lists the models, and GET /v1/models/{id} tells about the one of that id",
    ),
];

/// What Dagway serves, for a path that is in no list.
const SERVED: &str = "Dagway serves POST /v1/messages, POST /v1/messages/count_tokens, GET /v1/models and GET \
                      /v1/models/{id}";

/// What is said when the path begins with two slashes.
const ONE_SLASH: &str = "the path begins with two slashes: leave the slash out at the end of the base URL \
                         (ANTHROPIC_BASE_URL)";

/// A path of Anthropic's API that Dagway does not serve.
pub async fn not_here(request: HttpRequest) -> HttpResponse {
    answer(
        &request,
        ErrorKind::NotFound.status(),
        ErrorKind::NotFound,
        instead_of(request.path()),
    )
}

/// A path that is served, asked for in another way than those `allowed`.
pub fn another_method(request: &HttpRequest, allowed: &'static str) -> HttpResponse {
    let mut response = answer(request, 405, ErrorKind::InvalidRequest, SERVED);
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// A path that leads nowhere at all, answered in the form of those that it is most like.
pub async fn nowhere(dashboard: web::Data<Dashboard>, request: HttpRequest) -> HttpResponse {
    let path = request.path().trim_start_matches('/');
    match path.split('/').next() {
        Some("v1") => answer(
            &request,
            ErrorKind::NotFound.status(),
            ErrorKind::NotFound,
            ONE_SLASH,
        ),
        Some("api") => dashboard::api::not_found(request).await,
        // Nobody posts to a page.
        _ if !matches!(*request.method(), Method::GET | Method::HEAD) => answer(
            &request,
            ErrorKind::NotFound.status(),
            ErrorKind::NotFound,
            SERVED,
        ),
        _ => dashboard::not_found(dashboard, request).await,
    }
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
    errors::answer(&error, &RunId::now().request_id())
}

fn instead_of(path: &str) -> &'static str {
    let path = path.trim_start_matches("/api");
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
