//! HEAD wherever GET is (RFC 9110, 9.3.2): the same answer without its body.
//!
//! It must not know any route, except for the one that is another thing under HEAD.

use actix_web::Error;
use actix_web::body::{self, BodySize, BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;

/// Lets the routes for GET answer HEAD. `HEAD /` is what clients send to warm a connection up, and has its own.
///
/// # Errors
/// Those of the handlers behind it.
pub async fn as_get<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    if request.method() != Method::HEAD || request.path() == "/" {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    request.head_mut().method = Method::GET;
    let response = next.call(request).await?;
    // A body of known length gives the header and is not sent. A flow would be followed to its end for nothing.
    Ok(response.map_body(|_, answer| match answer.size() {
        BodySize::Stream => EitherBody::right(BoxBody::new(body::None::new())),
        BodySize::None | BodySize::Sized(_) => EitherBody::left(answer),
    }))
}
