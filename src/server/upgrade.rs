//! Offers to go on in another protocol (RFC 9110, 7.8), such as the one of HTTP/2 that Java's client makes with every
//! request. They are all declined: the answer comes in HTTP/1.1.
//!
//! The HTTP library ends the connection behind such an answer, and takes all that follows an offer of WebSocket for one
//! body without an end. So the answer says that the connection ends, and the body ends where its length says.
//! This file must not know any route.

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::ConnectionType;
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage};
use futures_util::{StreamExt, stream};

/// Answers as if nothing had been offered, and ends the connection.
///
/// # Errors
/// Those of the handlers behind it.
pub async fn declined<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let has_offer = request.head().connection_type() == ConnectionType::Upgrade
        || request.headers().contains_key(UPGRADE);
    if !has_offer {
        return next.call(request).await;
    }
    if !request.headers().contains_key(TRANSFER_ENCODING) {
        let length = announced(&request);
        let body = request.take_payload();
        request.set_payload(of_length(body, length));
    }
    let mut response = next.call(request).await?;
    let head = response.response_mut().head_mut();
    head.set_connection_type(ConnectionType::Close);
    Ok(response)
}

/// How long the body is; a request that says nothing of one has none (RFC 9112, 6.3).
fn announced(request: &ServiceRequest) -> usize {
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.trim().parse().ok());
    length.unwrap_or(0)
}

/// The first bytes of a body, and not what follows.
fn of_length(body: Payload, length: usize) -> Payload {
    let pieces = stream::unfold((body, length), async |(mut body, left)| {
        if left == 0 {
            return None;
        }
        let broken_off = || Err(PayloadError::Incomplete(None));
        let piece = body.next().await.unwrap_or_else(broken_off);
        let piece = piece.map(|mut piece| {
            piece.truncate(left);
            piece
        });
        let left = piece.as_ref().map_or(0, |piece| left - piece.len());
        Some((piece, (body, left)))
    });
    Payload::Stream {
        payload: pieces.boxed_local(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    async fn read(pieces: &[&'static str], length: usize) -> Result<String, PayloadError> {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Ok(Bytes::from_static(piece.as_bytes())))
            .collect();
        let body = Payload::Stream {
            payload: stream::iter(pieces).boxed_local(),
        };
        let mut body = of_length(body, length);
        let mut whole = String::new();
        while let Some(piece) = body.next().await {
            whole.push_str(std::str::from_utf8(&piece?).unwrap());
        }
        Ok(whole)
    }

    #[tokio::test]
    async fn a_body_ends_where_its_length_says() {
        assert_eq!(read(&["ab", "cd", "ef"], 3).await.unwrap(), "abc");
        assert_eq!(read(&["ab", "cd"], 4).await.unwrap(), "abcd");
        assert_eq!(read(&["ab"], 0).await.unwrap(), "");
        assert!(read(&["ab"], 3).await.is_err(), "it broke off");
    }
}
