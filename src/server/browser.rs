//! Pages of other origins that have a client key: what their browser must be told before it lets them ask, and read what
//! they get (Fetch Standard, 3.3).
//!
//! The key is what shows that a page is wanted, so that nothing of this is said where there are no keys. Anthropic's API
//! wants `anthropic-dangerous-direct-browser-access: true` besides, by which a page owns up to holding a key; here it may
//! send that. This file must not know which paths are open to pages.

use actix_web::HttpResponse;
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
};

/// What a page may do with the Messages API.
const METHODS: &str = "GET, HEAD, POST";
/// For how many seconds a browser need not ask again; more than two hours are no more for some.
const REMEMBERED: &str = "7200";

/// Whether a browser asks if a page may send what it wants to. It sends no key with that.
pub(super) fn is_question(request: &ServiceRequest) -> bool {
    let headers = request.headers();
    request.method() == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The page behind a request.
pub(super) struct Page {
    origin: HeaderValue,
}

impl Page {
    /// The page that the browser names, if a page of any kind is behind this.
    pub(super) fn of(request: &ServiceRequest) -> Option<Self> {
        let origin = request.headers().get(ORIGIN)?.clone();
        Some(Self { origin })
    }

    /// The answer to a browser's question: a page may send every header, and each time it has to have a key.
    pub(super) fn may_ask(request: &ServiceRequest) -> HttpResponse {
        let mut answer = HttpResponse::NoContent();
        answer
            .insert_header((ACCESS_CONTROL_ALLOW_METHODS, METHODS))
            .insert_header((ACCESS_CONTROL_MAX_AGE, REMEMBERED));
        if let Some(wanted) = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS) {
            answer.insert_header((ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone()));
        }
        answer.finish()
    }

    /// Lets the page read an answer, with all the headers that it has.
    pub(super) fn may_read(self, headers: &mut HeaderMap) {
        let names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        let names = HeaderValue::from_str(&names.join(", "));
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin);
        headers.append(VARY, HeaderValue::from_static("Origin"));
        if let Ok(names) = names {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, names);
        }
    }
}
