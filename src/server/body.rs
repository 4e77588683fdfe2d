//! The body of a request, read within two limits: so much for one, and so much for all that are held at a time.
//!
//! This file must not know what a body says.

use std::sync::Arc;
use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use actix_web::web;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::protocol::anthropic::error::ApiError;
use crate::protocol::anthropic::request::InvalidRequest;

/// The longest pause between two pieces of a body. The whole may also be this much later than one that comes at
/// [`SLOWEST`]. Without an end, it would keep its room from others.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The slowest client that is waited for, in bytes a second.
const SLOWEST: usize = 16 << 10;
/// The longest that a body waits for others to make room.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How soon a client that found no room should come again.
const MOMENT: Duration = Duration::from_secs(1);
/// What room is counted in.
const UNIT: usize = 1 << 10;
/// What is set aside for a body whose length is not announced, to begin with.
const FIRST: usize = 4 << 10;
/// How much of a body has to come before the rest of its announced length is set aside: a promise alone keeps no more room
/// from others.
const EARNEST: usize = 64 << 10;
/// The memory taken for a body before any of it has come, at most.
const STEP: usize = 1 << 20;
/// The largest body for which some room is kept that larger ones cannot take.
const SMALL: usize = 1 << 20;
/// The part of all room that is kept so.
const SHARE_FOR_SMALL: usize = 16;

/// The room for bodies. Cheap to clone; all clones share it.
#[derive(Clone, Debug)]
pub struct Bodies {
    free: Arc<Semaphore>,
    /// For small ones, when large ones have taken all of the other.
    for_small: Arc<Semaphore>,
    /// The largest body in bytes.
    largest: usize,
    /// Room for all in bytes.
    all: usize,
}

/// The room that one body has taken. It is given back when this is dropped.
#[derive(Debug)]
pub struct Room<'a> {
    bodies: &'a Bodies,
    taken: Taken,
    waited: Duration,
}

/// Room that is taken until this is dropped.
#[derive(Debug, Default)]
pub struct Taken {
    free: Option<OwnedSemaphorePermit>,
    for_small: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// Takes bodies of at most `largest` bytes, and of at most `all` bytes together.
    #[must_use]
    pub fn new(largest: usize, all: usize) -> Self {
        let units = (all / UNIT).min(Semaphore::MAX_PERMITS);
        let beside_the_largest = units.saturating_sub(largest.div_ceil(UNIT));
        let for_small = (units / SHARE_FOR_SMALL).min(beside_the_largest);
        Self {
            free: Arc::new(Semaphore::new(units - for_small)),
            for_small: Arc::new(Semaphore::new(for_small)),
            largest,
            all: units * UNIT,
        }
    }

    /// Bytes that are taken.
    #[must_use]
    pub fn held(&self) -> usize {
        let left = self.free.available_permits() + self.for_small.available_permits();
        self.all - left * UNIT
    }

    /// Bytes that may be set aside.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.all
    }

    /// Begins with no room at all.
    #[must_use]
    pub const fn enter(&self) -> Room<'_> {
        Room {
            bodies: self,
            taken: Taken {
                free: None,
                for_small: None,
            },
            waited: Duration::ZERO,
        }
    }

    /// Waits for room. Who waits longest is served first.
    async fn take(&self, units: u32, is_small: bool) -> Option<Taken> {
        let free = Arc::clone(&self.free).acquire_many_owned(units);
        let for_small = Arc::clone(&self.for_small).acquire_many_owned(units);
        let mut taken = Taken::default();
        tokio::select! {
            biased;
            permit = free => taken.free = Some(permit.ok()?),
            permit = for_small, if is_small => taken.for_small = Some(permit.ok()?),
        }
        Some(taken)
    }
}

impl Taken {
    fn units(&self) -> usize {
        let permits = [&self.free, &self.for_small].into_iter().flatten();
        permits.map(OwnedSemaphorePermit::num_permits).sum()
    }

    fn merge(&mut self, more: Self) {
        for (mine, more) in [
            (&mut self.free, more.free),
            (&mut self.for_small, more.for_small),
        ] {
            match (mine.as_mut(), more) {
                (Some(permit), Some(more)) => permit.merge(more),
                (None, more) => *mine = more,
                (Some(_), None) => {}
            }
        }
    }
}

impl Room<'_> {
    /// How long it has waited for others to make room.
    #[must_use]
    pub const fn waited(&self) -> Duration {
        self.waited
    }

    /// What is taken, for who needs it longer; it is given back when that is dropped.
    #[must_use]
    pub fn keep(self) -> Taken {
        self.taken
    }

    /// Makes sure that `bytes` fit of a body that is small or not, waiting for a while if others are in the way.
    async fn fit(&mut self, bytes: usize, is_small: bool) -> Result<(), ApiError> {
        let lacks = bytes.div_ceil(UNIT).saturating_sub(self.taken.units());
        if lacks == 0 {
            return Ok(());
        }
        let no_room = || {
            let all = self.bodies.all >> 20;
            let message = format!(
                "the requests that wait for their answers take all of the {all} MB that \
                 server.body_memory_mb allows; try again in a moment"
            );
            ApiError {
                retry_after: Some(MOMENT),
                ..ApiError::overloaded(message)
            }
        };
        let lacks = u32::try_from(lacks).map_err(|_| no_room())?;
        let since = Instant::now();
        let more = tokio::time::timeout(LONGEST_WAIT, self.bodies.take(lacks, is_small)).await;
        self.waited += since.elapsed();
        let more = more.ok().flatten().ok_or_else(no_room)?;
        self.taken.merge(more);
        Ok(())
    }
}

/// The body as text. What is wrong with it is the run's first failure, so that every request is one.
///
/// # Errors
/// What the client is told: the body is packed, too large, broken off or no text, or there is no room for it.
pub async fn read(
    headers: &HeaderMap,
    body: web::Payload,
    room: &mut Room<'_>,
) -> Result<String, ApiError> {
    is_plain(headers)?;
    let body = read_whole(headers, body, room).await?;
    let no_text = |_| InvalidRequest::at("body", "the body is not UTF-8 text").into();
    String::from_utf8(body).map_err(no_text)
}

/// Whether the body comes as it is: nothing is unpacked here, where a few bytes could become gigabytes.
fn is_plain(headers: &HeaderMap) -> Result<(), ApiError> {
    let codings = headers.get_all(CONTENT_ENCODING);
    let packed = codings
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .find(|coding| {
            !coding.trim().is_empty() && !coding.trim().eq_ignore_ascii_case("identity")
        });
    let Some(coding) = packed else {
        return Ok(());
    };
    let coding: String = coding.chars().take(60).collect();
    let message = format!(
        "content-encoding: bodies in `{coding}` are not taken; send the JSON as it is, without this header"
    );
    Err(ApiError {
        status: 415,
        ..ApiError::invalid_request(message).retry(false)
    })
}

async fn read_whole(
    headers: &HeaderMap,
    mut body: web::Payload,
    room: &mut Room<'_>,
) -> Result<Vec<u8>, ApiError> {
    let limit = room.bodies.largest;
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let too_large = || ApiError::request_too_large(limit);
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    // All that is announced finds room at once, as soon as the body is seen to come: bodies that grow side by side would keep
    // it from each other. The memory itself is taken as the bytes come.
    let is_small = |claim: usize| announced.unwrap_or(claim) <= SMALL;
    let promised = announced.unwrap_or(FIRST);
    let mut claim = promised.min(EARNEST);
    room.fit(claim, is_small(claim)).await?;
    let mut whole = Vec::with_capacity(promised.min(STEP));
    let begun = Instant::now();
    while let Some(piece) = next_piece(&mut body, begun, whole.len()).await? {
        let piece = piece.map_err(|_| {
            ApiError::invalid_request(
                "body: it broke off before its end, or its chunks are malformed; send it again",
            )
        })?;
        let length = whole.len() + piece.len();
        if length > limit {
            return Err(too_large());
        }
        if length > claim {
            let doubled = (2 * claim).min(limit);
            claim = if length > promised {
                doubled.max(length)
            } else {
                promised
            };
            room.fit(claim, is_small(claim)).await?;
        }
        if length > whole.capacity() {
            let grown = (2 * whole.capacity()).min(claim).max(length);
            whole.reserve_exact(grown - whole.len());
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// The next piece of a body that was begun then, and of which so many bytes have come.
async fn next_piece(
    body: &mut web::Payload,
    begun: Instant,
    bytes: usize,
) -> Result<Option<Result<Bytes, PayloadError>>, ApiError> {
    let due = begun + LONGEST_PAUSE + Duration::from_secs((bytes / SLOWEST) as u64);
    let until = due.min(Instant::now() + LONGEST_PAUSE);
    let piece = tokio::time::timeout_at(until, body.next()).await;
    piece.map_err(|_| {
        let message = if until == due && bytes > 0 {
            "body: it comes more slowly than 16 KB a second; send it again over a better connection"
        } else {
            "body: nothing more of it came for 30 s"
        };
        ApiError::invalid_request(message)
    })
}

#[cfg(test)]
mod tests {
    use actix_web::FromRequest;
    use actix_web::dev::Payload;
    use actix_web::test::TestRequest;
    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn room_is_counted_in_whole_kilobytes_and_given_back() {
        let bodies = Bodies::new(1 << 20, 10_000);
        let mut room = bodies.enter();
        assert_eq!(bodies.held(), 0);
        room.fit(1, false).await.unwrap();
        assert_eq!(bodies.held(), 1024);
        room.fit(1024, false).await.unwrap();
        assert_eq!(bodies.held(), 1024);
        room.fit(1025, false).await.unwrap();
        assert_eq!(bodies.held(), 2048);
        drop(room);
        assert_eq!(bodies.held(), 0);
    }

    /// What comes of a body whose pieces, of so many bytes, come after a pause each.
    async fn in_pieces(pieces: usize, bytes: usize, pause: Duration) -> Result<usize, String> {
        let pieces = stream::iter(0..pieces).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, PayloadError>(Bytes::from(vec![b' '; bytes]))
        });
        let mut payload: Payload = Payload::Stream {
            payload: pieces.boxed_local(),
        };
        let request = TestRequest::default().to_http_request();
        let body = web::Payload::from_request(&request, &mut payload).await;
        let bodies = Bodies::new(8 << 20, 8 << 20);
        let mut room = bodies.enter();
        let read = read_whole(&HeaderMap::new(), body.unwrap(), &mut room).await;
        read.map(|whole| whole.len()).map_err(|error| error.message)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_be_slow_but_not_for_ever() {
        let second = Duration::from_secs(1);
        // A bad connection: 4 MB in four minutes.
        assert_eq!(in_pieces(240, 17 << 10, second).await, Ok(240 * (17 << 10)));
        assert_eq!(in_pieces(1, 10, 29 * second).await, Ok(10));
        let begun = Instant::now();
        let refused = in_pieces(1_000, 1, 29 * second).await.unwrap_err();
        assert!(refused.contains("16 KB a second"), "{refused}");
        assert_eq!(begun.elapsed(), LONGEST_PAUSE);
        let refused = in_pieces(2, 8 << 20, 31 * second).await.unwrap_err();
        assert!(refused.contains("nothing more of it came"), "{refused}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_waits_and_is_then_refused() {
        let bodies = Bodies::new(1 << 20, 4096);
        let mut first = bodies.enter();
        first.fit(3 << 10, false).await.unwrap();
        let mut second = bodies.enter();
        let error = second.fit(2 << 10, false).await.unwrap_err();
        assert_eq!(error.status, 529);
        assert_eq!(error.retry_after, Some(MOMENT));
        assert!(error.message.contains("server.body_memory_mb"), "{error}");

        assert_eq!(bodies.held(), 3 << 10, "who was refused holds nothing");

        let (fitted, ()) = tokio::join!(second.fit(2 << 10, false), async { drop(first) });
        fitted.unwrap();
        assert_eq!(bodies.held(), 2048);
        assert!(second.waited() >= LONGEST_WAIT, "{:?}", second.waited());
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_leave_some_room_for_small_ones() {
        let bodies = Bodies::new(8 << 20, 64 << 20);
        let large = async || {
            let mut room = bodies.enter();
            room.fit(8 << 20, false).await.map(|()| room)
        };
        let mut held = Vec::new();
        for _ in 0..7 {
            held.push(large().await.unwrap());
        }
        assert_eq!(large().await.unwrap_err().status, 529, "4 MB are kept");
        let mut small = bodies.enter();
        small.fit(SMALL, true).await.unwrap();
        small.fit(4 * SMALL, true).await.unwrap();
        assert_eq!((small.waited(), bodies.held()), (Duration::ZERO, 60 << 20));
        let mut last = bodies.enter();
        last.fit(8 << 20, true).await.unwrap_err();
        drop((small, held));
        assert_eq!(bodies.held(), 0, "all of it is given back");
        let only = Bodies::new(1 << 20, 1 << 20);
        only.enter().fit(1 << 20, false).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_length_that_is_only_announced_keeps_little_room() {
        let bodies = Bodies::new(32 << 20, 64 << 20);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, (32 << 20).into());
        for (came, kept) in [(1, EARNEST), (EARNEST + 1, 32 << 20)] {
            let piece = Ok::<_, PayloadError>(Bytes::from(vec![b' '; came]));
            let pieces = stream::iter([piece]).chain(stream::pending());
            let mut payload: Payload = Payload::Stream {
                payload: pieces.boxed_local(),
            };
            let request = TestRequest::default().to_http_request();
            let body = web::Payload::from_request(&request, &mut payload).await;
            let mut room = bodies.enter();
            let reading = read_whole(&headers, body.unwrap(), &mut room);
            let waited = tokio::time::timeout(Duration::from_secs(1), reading).await;
            assert!(waited.is_err(), "the rest does not come");
            assert_eq!(bodies.held(), kept, "{came} bytes have come");
        }
    }
}
