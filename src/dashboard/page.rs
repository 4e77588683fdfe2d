//! What all pages share: the shell around them, their headers, and the pages that say what went wrong.
//!
//! It must not know any single page.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, LOCATION};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use askama::Template;

use super::disarm::disarmed;
use super::{Dashboard, MOST_VIEWERS, assets};
use crate::store;

/// The policy of every page: own files alone, nothing inline, no frames.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What stands around a page.
pub(crate) struct Shell {
    pub(crate) notice: Option<String>,
    pub(crate) trouble: String,
    pub(crate) version: &'static str,
    /// The entry of the navigation that the page belongs to.
    pub(crate) section: &'static str,
}

impl Shell {
    pub(crate) fn new(dashboard: &Dashboard, section: &'static str) -> Self {
        Self {
            notice: dashboard.notice.clone(),
            trouble: trouble(dashboard),
            version: dashboard.version,
            section,
        }
    }

    /// The URL of a style or script by its plain name.
    #[expect(
        clippy::unused_self,
        reason = "templates call it by the shell they have"
    )]
    pub(crate) fn asset(&self, name: &str) -> String {
        assets::url(name)
    }
}

#[derive(Template)]
#[template(path = "parts/trouble.html")]
struct Trouble {
    sentence: Option<String>,
}

/// The banner that says why a page may not be true, hidden while it is.
pub(crate) fn trouble(dashboard: &Dashboard) -> String {
    part(&Trouble {
        sentence: dashboard.trouble(),
    })
}

/// Why a page cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The URL asks for something that cannot be.
    #[error("{0}")]
    Bad(String),
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// The address can only be read.
    #[error("{0} can do nothing at this address; open it with GET.")]
    OtherMethod(String),
    /// More open pages want to stay live than are served.
    #[error(
        "{MOST_VIEWERS} pages are watching already; close one of them, or load this one again later."
    )]
    Crowded,
    /// Others add figures up.
    #[error("Others are adding figures up; load this page again in a moment.")]
    Busy,
    /// It would take too long.
    #[error(
        "Adding these runs up takes longer than {} s; take a shorter time, or a filter.", .0.as_secs()
    )]
    TooMuch(Duration),
    /// The process ends while the page is being made.
    #[error("The server is stopping; load this page again when it runs again.")]
    Stopping,
    /// The store is not well.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What a path takes that can only be read.
pub(crate) const READ: &str = "GET, HEAD";

impl Failure {
    /// The path of `request` can only be read.
    pub(crate) fn other_method(request: &HttpRequest) -> Self {
        Self::OtherMethod(super::format::ellipsis(request.method().as_str(), 20))
    }

    /// The status that tells it to machines.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::OtherMethod(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Crowded | Self::Busy | Self::TooMuch(_) | Self::Stopping | Self::Store(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    shell: Shell,
    status: u16,
    title: &'static str,
    sentence: String,
}

/// The page, or the page that says why there is none.
pub(crate) fn answer<T: Template>(dashboard: &Dashboard, page: Result<T, Failure>) -> HttpResponse {
    match page {
        Ok(page) => render(HttpResponse::Ok(), &page),
        Err(failure) => failed(dashboard, &failure),
    }
}

/// The page that says what went wrong.
pub(crate) fn failed(dashboard: &Dashboard, failure: &Failure) -> HttpResponse {
    if let Failure::Store(error) = failure {
        tracing::error!(error = %error, "a page could not be read from the store");
    }
    let title = match failure {
        Failure::Bad(_) => "This address does not work",
        Failure::Missing(_) => "Nothing is here",
        Failure::OtherMethod(_) => "This address can only be read",
        Failure::Crowded => "Too many pages are watching",
        Failure::Busy => "Figures are being added up",
        Failure::TooMuch(_) => "These are too many runs",
        Failure::Stopping => "The server is stopping",
        Failure::Store(_) => "The run store does not answer",
    };
    let status = failure.status();
    let mut response = HttpResponse::build(status);
    if matches!(failure, Failure::OtherMethod(_)) {
        response.insert_header((ALLOW, READ));
    }
    let page = ErrorPage {
        shell: Shell::new(dashboard, ""),
        status: status.as_u16(),
        title,
        sentence: failure.to_string(),
    };
    render(response, &page)
}

/// The page for a path that leads nowhere; for the server to mount where no other route fits.
pub async fn not_found(dashboard: web::Data<Dashboard>, request: HttpRequest) -> HttpResponse {
    if let Some(place) = without_last_slash(&request) {
        return moved(&place);
    }
    let sentence = format!(
        "There is no page at {}.",
        super::format::ellipsis(request.path(), 120)
    );
    failed(&dashboard, &Failure::Missing(sentence))
}

/// The page as an answer.
pub(crate) fn render(mut response: HttpResponseBuilder, page: &impl Template) -> HttpResponse {
    guard(&mut response);
    match page.render() {
        Ok(html) => response
            .content_type("text/html; charset=utf-8")
            .insert_header(("cache-control", "no-store"))
            .body(disarmed(html)),
        Err(error) => {
            tracing::error!(error = %error, "a template failed");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// The page that a slash too many at its end hides.
fn without_last_slash(request: &HttpRequest) -> Option<String> {
    let path = request.path().strip_suffix('/')?.trim_end_matches('/');
    // No other path is sent anywhere: one that begins with two slashes would lead to another host.
    let is_page = ["/runs", "/usage", "/workflows"].iter().any(|page| {
        let rest = path.strip_prefix(page);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    is_page.then(|| with_query(path, request))
}

/// A path with the query of a request.
pub(crate) fn with_query(path: &str, request: &HttpRequest) -> String {
    match request.query_string() {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// Says where a page is.
pub(crate) fn moved(place: &str) -> HttpResponse {
    let mut response = HttpResponse::PermanentRedirect();
    guard(&mut response);
    response.insert_header((LOCATION, place)).finish()
}

/// The page for a path that can only be read, asked for in another way.
pub(crate) async fn another_method(
    dashboard: web::Data<Dashboard>,
    request: HttpRequest,
) -> HttpResponse {
    failed(&dashboard, &Failure::other_method(&request))
}

/// The text of a part of a page. A template over strings fails only when memory does; the part is then empty.
pub(crate) fn part(template: &impl Template) -> String {
    template.render().map(disarmed).unwrap_or_else(|error| {
        tracing::error!(error = %error, "a template failed");
        String::new()
    })
}

/// The headers that keep hostile text from doing harm.
pub(crate) fn guard(response: &mut HttpResponseBuilder) {
    response
        .insert_header(("content-security-policy", POLICY))
        .insert_header(("x-content-type-options", "nosniff"))
        .insert_header(("referrer-policy", "no-referrer"));
}

/// The pairs of a query string, in order.
pub(crate) fn query_pairs(request: &HttpRequest) -> Result<Vec<(String, String)>, Failure> {
    web::Query::<Vec<(String, String)>>::from_query(request.query_string())
        .map(web::Query::into_inner)
        .map_err(|_| {
            Failure::Bad(
                "the part of the address after ? is not made of name=value pairs".to_owned(),
            )
        })
}
