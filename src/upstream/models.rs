//! An upstream's model catalogue: fetched at the start, refreshed in the background, never waited for by a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;
use tracing::Instrument;
use tracing::field::Empty;

use super::client::{Client, Kind};
use crate::protocol::native;
use crate::protocol::openrouter::catalogue::Catalogue;
use crate::protocol::openrouter::error::UpstreamError;
use crate::protocol::translate::model::Target;

/// How long one fetch may take.
const FETCH_WAIT: Duration = Duration::from_secs(20);
/// The pause after a failed fetch.
const RETRY_PAUSE: Duration = Duration::from_secs(15);

/// What the upstream says about its models; nothing until the first fetch has come back.
#[derive(Debug, Default)]
pub struct Models {
    catalogue: ArcSwapOption<Catalogue>,
    /// Whether a fetch has ended, well or not.
    tried: AtomicBool,
    arrived: Notify,
}

impl Models {
    /// A model by its id, with what the catalogue says of it.
    #[must_use]
    pub fn target(&self, id: &str) -> Target {
        let catalogue = self.catalogue.load();
        Target::new(
            id,
            catalogue.as_ref().and_then(|catalogue| catalogue.get(id)),
        )
    }

    /// The catalogue, if it has come.
    #[must_use]
    pub fn catalogue(&self) -> Option<Arc<Catalogue>> {
        self.catalogue.load_full()
    }

    /// The catalogue, waiting for the end of the first fetch at most `within`.
    pub async fn wait(&self, within: Duration) -> Option<Arc<Catalogue>> {
        let arrived = self.arrived.notified();
        // Once it was tried, what came of that is there: asked first, or a catalogue that comes meanwhile is not seen.
        if self.tried.load(Ordering::Acquire) || self.catalogue().is_some() {
            return self.catalogue();
        }
        let _ = tokio::time::timeout(within, arrived).await;
        self.catalogue()
    }

    /// Fetches the catalogue once.
    ///
    /// # Errors
    /// When the upstream does not give one; the old one stays.
    pub async fn fetch(&self, client: &Client) -> Result<usize, UpstreamError> {
        let read = match client.kind() {
            Kind::OpenRouter | Kind::OpenAi => {
                Catalogue::parse(&client.get("models", FETCH_WAIT).await?)
            }
            Kind::Anthropic => {
                native::catalogue(&client.get("models?limit=1000", FETCH_WAIT).await?)
            }
        };
        let catalogue = read.map_err(|error| {
            UpstreamError::no_use(&format!("its model catalogue cannot be read: {error}"))
        })?;
        let count = catalogue.entries().len();
        self.catalogue.store(Some(Arc::new(catalogue)));
        Ok(count)
    }

    /// Fetches the catalogue as background work, which is traced.
    async fn fetch_in_span(&self, client: &Client) -> Result<usize, UpstreamError> {
        let span = tracing::info_span!(
            target: "dagway::background",
            "fetch_catalogue",
            dagway.upstream = client.name(),
            dagway.models = Empty,
            otel.status_description = Empty,
        );
        let fetched = self.fetch(client).instrument(span.clone()).await;
        match &fetched {
            Ok(count) => span.record("dagway.models", count),
            Err(error) => span.record("otel.status_description", error.to_string()),
        };
        fetched
    }

    /// Keeps the catalogue fresh, for ever. Logs a failure once, and its end.
    pub async fn keep_fresh(&self, client: &Client, every: Duration) {
        let mut was_well = true;
        loop {
            let fetched = self.fetch_in_span(client).await;
            self.tried.store(true, Ordering::Release);
            self.arrived.notify_waiters();
            let pause = match fetched {
                Ok(count) => {
                    if !was_well {
                        tracing::info!(
                            upstream = client.name(),
                            models = count,
                            "the model catalogue is there again"
                        );
                    }
                    was_well = true;
                    every
                }
                Err(error) => {
                    if was_well {
                        tracing::warn!(upstream = client.name(), %error, "the model catalogue could not be fetched; models are used as named");
                    }
                    was_well = false;
                    RETRY_PAUSE
                }
            };
            tokio::time::sleep(pause).await;
        }
    }
}
