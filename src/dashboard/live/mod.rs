//! The streams that keep open pages true: one for a list of runs, one for a run, one for workflows.
//!
//! A stream hears which runs have changed, reads them again and sends the parts of the page that differ from what
//! it sent before, as htmx partials. It sends at most one message in the time of its [`Pace`], so that a busy gateway
//! does not spend itself on its own pages, and starts with the present state, so that nothing is lost
//! between the page and the stream, or while a tab was in the background.

mod list;
mod run;
mod workflows;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use futures_util::stream::{self, StreamExt};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Dashboard;
use super::page::{Failure, failed};
use crate::events::RunId;
use crate::store::Changed;

pub(super) use list::{list_address, runs};
pub(super) use run::run;
pub(super) use workflows::{all as all_workflows, one as one_workflow};

/// How often a stream speaks.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// The least time between two messages.
    least: Duration,
    /// How often what is running is shown anew, because its duration grows.
    beat: Duration,
    /// The least time between two readings of the totals.
    totals: Duration,
    /// How long a stream is silent at most, so that proxies keep it open.
    silence: Duration,
}

/// How long a stream is silent at most, so that proxies keep it open.
const SILENCE: Duration = Duration::from_secs(15);
const PACE: Pace = Pace {
    least: Duration::from_millis(250),
    beat: Duration::from_secs(1),
    totals: Duration::from_secs(3),
    silence: SILENCE,
};
/// Changed runs that are gathered for one message; when there are more, the page is read anew.
const MOST: usize = 200;

/// Answers with the messages that `next` gives, until it gives none; if there is a place for one more viewer.
fn events<W, N, F>(dashboard: &Dashboard, begin: impl FnOnce() -> (W, N)) -> HttpResponse
where
    W: 'static,
    N: Fn(W) -> F + 'static,
    F: Future<Output = Option<(Bytes, W)>> + 'static,
{
    let Ok(place) = Arc::clone(&dashboard.places.viewers).try_acquire_owned() else {
        return failed(dashboard, &Failure::Crowded);
    };
    let (watch, next) = begin();
    let messages = stream::unfold(watch, next);
    let closing = dashboard.closing.clone().cancelled_owned();
    let messages = messages.take_until(closing).map(move |message| {
        let _held = &place;
        Ok::<_, std::convert::Infallible>(message)
    });
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("cache-control", "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .insert_header(("x-content-type-options", "nosniff"))
        .streaming(messages)
}

/// What a stream was woken by.
enum Wake {
    Changes(HashSet<RunId>),
    /// More has changed than could be followed.
    Flood,
    Time,
    /// The process is ending.
    End,
}

/// Waits for changes until `deadline`; once one is heard, gathers more until `pace_ends`.
async fn wait(
    changes: &mut Receiver<Changed>,
    deadline: Instant,
    pace_ends: Instant,
    concerns: impl Fn(&RunId) -> bool,
) -> Wake {
    let mut heard = HashSet::new();
    let mut until = deadline;
    loop {
        let news = match timeout_at(until, changes.recv()).await {
            Ok(Ok(news)) => news,
            Ok(Err(RecvError::Lagged(_))) => {
                sleep_until(pace_ends).await;
                return Wake::Flood;
            }
            Ok(Err(RecvError::Closed)) => return Wake::End,
            Err(_) if heard.is_empty() => return Wake::Time,
            Err(_) => return Wake::Changes(heard),
        };
        if news.runs.is_empty() {
            sleep_until(pace_ends).await;
            return Wake::Flood;
        }
        heard.extend(news.runs.iter().copied().filter(&concerns));
        if heard.len() > MOST {
            sleep_until(pace_ends).await;
            return Wake::Flood;
        }
        if !heard.is_empty() {
            until = pace_ends.max(Instant::now());
        }
    }
}

/// Adds a part that replaces, or is merged into, the element with that id.
fn partial(html: &mut String, id: &str, swap: &str, part: &str) {
    for piece in [
        "<hx-partial hx-target=\"#",
        id,
        "\" hx-swap=\"",
        swap,
        "\">",
        part,
        "</hx-partial>",
    ] {
        html.push_str(piece);
    }
}

/// A Server-Sent Event with this HTML; a comment when there is none.
fn message(html: &str) -> Bytes {
    if html.is_empty() {
        return Bytes::from_static(b": still here\n\n");
    }
    let mut text = String::with_capacity(html.len() + html.len() / 16);
    // A lone carriage return ends a line of a stream too: hostile text must not end one.
    for line in html.split(['\n', '\r']) {
        text.push_str("data: ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const QUICK: Pace = Pace {
        least: Duration::from_millis(20),
        beat: Duration::from_millis(40),
        totals: Duration::from_millis(40),
        silence: Duration::from_millis(60),
    };

    pub(super) fn text(bytes: &Bytes) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn every_line_of_a_message_is_data() {
        assert_eq!(
            text(&message("a\nb\revent: over")),
            "data: a\ndata: b\ndata: event: over\n\n"
        );
    }
}
