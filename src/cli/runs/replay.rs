//! `dagway runs replay`: sends the request of a run again, and shows the new run beside the recorded one.
//!
//! The answer is read to its end and not kept: the new run has it.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::header::{AUTHORIZATION, HeaderValue};

use super::answer::{Run, Whole};
use super::args::Runs;
use super::client::Client;
use super::recorded::{self, Recorded};
use super::terminal::{self, Paper};
use super::{chosen, clock, compared, show, text};
use crate::cli::client_key::Undecided;
use crate::cli::{Failure, say_error};
use crate::events::{RunId, State, Timestamp};
use crate::facts;
use crate::settings::Secret;

/// How often it is looked whether a run has ended whose answer has.
const EVERY: Duration = Duration::from_millis(50);
/// How long that may take: what remains is accounting.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// What is to be sent again.
pub(super) struct Wanted<'a> {
    /// Whose request, as it was written.
    pub(super) run: &'a str,
    /// The model to ask instead.
    pub(super) model: Option<&'a str>,
    /// The client key to present, or why it is not known which.
    pub(super) key: Result<Option<Secret>, Undecided>,
    /// Whether it is known whose is to be presented, because the user said so.
    pub(super) is_named: bool,
    /// Whether it is shown only to who demands one.
    pub(super) asks_first: bool,
}

/// A run whole, as it was written and as it is understood.
struct Told {
    json: String,
    whole: Whole,
}

/// Sends the request of a run again.
///
/// # Errors
/// When there is nothing to be sent, when it is not let in, or when the new run did not complete.
pub(super) async fn run(
    client: &Client,
    args: &Runs,
    wanted: Wanted<'_>,
    paper: Paper,
) -> Result<(), Failure> {
    let id = chosen::find(client, wanted.run, &args.filter.of_a_replay()).await?;
    let mut original = Told::of(client, id).await?;
    let mut request = Recorded::of(client, &original.whole).await?;
    let was = request.model();
    if let Some(model) = wanted.model {
        request.ask(model)?;
    }
    if let Some(key) = admission(client, &wanted).await? {
        request.headers.insert(AUTHORIZATION, key);
    }
    say_error(&recorded::announced(client, id, was.as_deref(), &request));
    let replay = answered_by(client, request).await?;
    let replay = settled(client, replay).await?;
    if !original.whole.run.has_ended() {
        original = Told::of(client, id).await?;
    }
    if args.json {
        let (original, replay) = (original.json.trim_end(), replay.json.trim_end());
        terminal::write_json(&format!("{{\"original\":{original},\"replay\":{replay}}}"))?;
    } else {
        let shown = show::page(&replay.whole, Timestamp::now(), clock::here(), paper);
        let compared = compared::table(&original.whole.run, &replay.whole.run, paper);
        terminal::write(format!("{shown}\n{compared}").as_bytes())?;
    }
    outcome(&replay.whole.run)
}

impl Told {
    async fn of(client: &Client, id: RunId) -> Result<Self, Failure> {
        let json = client.json(&format!("/api/runs/{id}"), &[]).await?;
        let whole = client.read(&json)?;
        Ok(Self { json, whole })
    }
}

/// What has to be presented.
async fn admission(client: &Client, wanted: &Wanted<'_>) -> Result<Option<HeaderValue>, Failure> {
    let key = wanted.key.as_ref().map_err(Undecided::clone);
    // A name is not passed over, even where it turns out that nobody wants to know it.
    let key = if wanted.is_named { Ok(key?) } else { key };
    if wanted.asks_first && client.admits(None).await? {
        if wanted.is_named {
            let url = client.url();
            say_error(&format!(
                "the Dagway at {url} demands no client key, so none is presented, and the new run has no key's name"
            ));
        }
        return Ok(None);
    }
    let key = key?;
    let key = key.as_ref().map(bearer).transpose()?;
    if client.admits(key.as_ref()).await? {
        return Ok(key);
    }
    let presented = if key.is_some() {
        "the one that is set here is none of them"
    } else {
        "none is set here"
    };
    Err(Failure::Usage(format!(
        "the Dagway at {} demands one of its client keys, and {presented}; set DAGWAY_CLIENT_KEYS to those that it has, or \
         leave that out and set ANTHROPIC_AUTH_TOKEN to one of them",
        client.url()
    )))
}

/// A key as it is presented.
fn bearer(key: &Secret) -> Result<HeaderValue, Failure> {
    // Exposed to who demands it; the header is marked sensitive.
    let bearer = format!("Bearer {}", key.expose());
    let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| {
        Failure::Usage(
            "ANTHROPIC_AUTH_TOKEN has characters that no header can have; set it to one of the client keys"
                .to_owned(),
        )
    })?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

/// Sends a request and reads its answer to the end. Returns the run that answered.
async fn answered_by(client: &Client, request: Recorded) -> Result<RunId, Failure> {
    let Recorded {
        path,
        query,
        headers,
        body,
    } = request;
    let response = client.post(path, query.as_deref(), headers, body).await?;
    let run = response.headers().get("x-dagway-run");
    let run = run.and_then(|run| run.to_str().ok()?.parse().ok());
    let Some(run) = run else {
        return Err(client.refusal(response, &[]).await?.into());
    };
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        if let Err(error) = piece {
            let broken = client.broken(&error);
            return Err(Failure::Running(format!(
                "{broken}; `dagway runs show {run}` shows how far it came"
            )));
        }
    }
    Ok(run)
}

/// The run once it has ended; if another model had to step in, the run of the last one that did. As it stands when that
/// takes too long.
async fn settled(client: &Client, first: RunId) -> Result<Told, Failure> {
    let since = Instant::now();
    let mut id = first;
    loop {
        let told = Told::of(client, id).await?;
        let run = &told.whole.run;
        let next = run.text(facts::FALLBACK_BY).and_then(|by| by.parse().ok());
        match next {
            _ if since.elapsed() > LONGEST_WAIT => return Ok(told),
            Some(next) => id = next,
            None if run.has_ended() => return Ok(told),
            None => {}
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Whether it went well.
fn outcome(run: &Run) -> Result<(), Failure> {
    let id = run.id;
    if matches!(
        State::from_name(&run.state),
        Some(State::Completed | State::Cached)
    ) {
        return Ok(());
    }
    if !run.has_ended() {
        return Err(Failure::Running(format!(
            "the run {id} goes on though its answer has ended; `dagway runs show {id}` shows how it stands"
        )));
    }
    let state = text::name(&run.state, 20);
    let trouble = run.trouble().map(|trouble| text::line(&trouble));
    let trouble = trouble.map(|trouble| format!(": {trouble}"));
    Err(Failure::Running(format!(
        "the replay is {state}{}",
        trouble.unwrap_or_default()
    )))
}
