//! The composition root: the only place that knows every module.
//!
//! Start: upstreams → plans → address → store → listener → observers → server. Stop: the other way round, so that nothing is lost.

mod connection;
mod doors;
mod folder;
mod observers;
pub mod plans;
mod reload;
mod signals;
pub mod upstreams;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{App as ActixApp, HttpServer, web};
use arc_swap::ArcSwap;
use secrecy::ExposeSecret;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::dashboard::{self, Dashboard, TraceUrl};
use crate::events::event_queue;
use crate::server::early::Early;
use crate::server::guard::{self, Guard};
use crate::server::health::Probe;
use crate::server::{Afterwards, Gateway, head, http10, routes, upgrade};
use crate::settings::{self, LogFormat, Settings};
use crate::store::postgres::{self, Address, AddressFault};
use crate::store::{self, Opened};
use crate::telemetry::logging::Format;
use crate::telemetry::{self, RunTraces};
use doors::Doors;
use observers::Observers;
pub(crate) use observers::ask_collector;
use reload::{Outcomes, Proved, Reload};
pub use signals::{Hangup, Signals, outlive_file_limit};

/// How many batches of events may wait to be observed. A batch is some hundred bytes, besides its payloads.
const EVENT_QUEUE: usize = 16_384;
/// How long the database may take to open before it is said that it is waited for.
const SOON: Duration = Duration::from_secs(2);
/// How long observers may take to write what is left when the process ends: the last tries of the recorder, and the last
/// export of spans after them.
const LAST_WORDS: Duration = Duration::from_secs(11);
/// How long an answer that ends with an error, because the grace is over, may take to reach its client.
const LAST_CALL: Duration = Duration::from_secs(2);
/// How long runs that are dropped may take to say so.
const A_MOMENT: Duration = Duration::from_millis(200);

/// Why Dagway cannot start. Each is a sentence with its cure.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The run store cannot be opened.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// The run store in PostgreSQL cannot be opened.
    #[error(transparent)]
    Database(#[from] postgres::OpenError),
    /// The database's address cannot be read.
    #[error("the setting `store.database` ({origin}) is wrong: {fault}")]
    DatabaseAddress {
        /// Where it was written.
        origin: String,
        /// What is wrong, and what would be right.
        #[source]
        fault: AddressFault,
    },
    /// The upstream cannot be spoken to.
    #[error(transparent)]
    Upstream(#[from] upstreams::Error),
    /// A workflow does not prove.
    #[error(transparent)]
    Workflows(#[from] plans::Error),
    /// The workflows cannot be read.
    #[error(transparent)]
    Files(#[from] folder::Error),
    /// Traces cannot be exported.
    #[error("traces cannot be exported: {0}")]
    Traces(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The log cannot be started.
    #[error(transparent)]
    Log(#[from] telemetry::logging::Error),
    /// A thread cannot be started, or figures collide.
    #[error("the observers cannot be started: {0}")]
    Observers(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {}", connection::why_not(.source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What differs between a server and a demo, and between a program and a test.
#[derive(Debug, Default)]
pub struct Manner {
    /// A sentence for the head of every page.
    pub notice: Option<String>,
    /// Whether to start the process's log, of which there can be one.
    pub log: bool,
}

/// Dagway, serving.
pub struct App {
    address: SocketAddr,
    server: ServerHandle,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
    gateway: web::Data<Gateway>,
    background: CancellationToken,
    observers: Observers,
    drain_delay: Duration,
    grace: Duration,
}

impl App {
    /// Starts everything and serves.
    ///
    /// # Errors
    /// A sentence with the cure. Nothing is left running.
    pub async fn start(settings: &Settings, manner: Manner) -> Result<Self, StartError> {
        let spans = start_telling(&manner, settings)?;
        let upstreams = Arc::new(upstreams::of(settings)?);
        let resources = plans::resources(settings, Arc::clone(&upstreams));
        let files = folder::read_all(&settings.workflows.folder)?;
        let plans = plans::prove(&files, &resources)?;
        let (opened, listener) = open(settings).await?;
        let (events, feed) = event_queue(EVENT_QUEUE);
        let outcomes = Arc::new(Outcomes::default());
        let doors = Doors::new(settings);
        let probes = Vec::from_iter(outcomes.probes().into_iter().chain(doors.probes()));
        let (observers, metrics) = Observers::start(spans, opened.recorder, &events, feed, probes)?;
        observers::expect_upstreams(&metrics, &upstreams);
        let (present, workflows) = watch::channel(reload::shown(&plans, &settings.workflows));
        let gateway = web::Data::new(Gateway {
            plans: ArcSwap::from_pointee(plans),
            events,
            tracker: TaskTracker::new(),
            afterwards: Afterwards::here(),
            draining: CancellationToken::new(),
            last_call: CancellationToken::new(),
            upstreams,
            store: Arc::clone(&opened.store),
            metrics: observers::metrics_text(metrics, workflows.clone()),
            bodies: doors.bodies.clone(),
            early: early(&settings.server),
        });
        let background = CancellationToken::new();
        let dashboard = Dashboard {
            store: opened.store,
            workflows,
            changes: Arc::new(move || opened.live.subscribe()),
            places: dashboard::Places::default(),
            closing: background.clone(),
            notice: manner.notice,
            demands_key: !settings.server.client_keys.is_empty(),
            trace_url: TraceUrl::new(&settings.telemetry.trace_url, settings::TRACE_ID),
            version: env!("CARGO_PKG_VERSION"),
        };
        keep_fresh(settings, &gateway, &background);
        if let Some(folder) = reload::watched(&settings.workflows) {
            let proved = Proved { files, resources };
            let reload = Reload::new(folder, proved, gateway.clone(), present, outcomes);
            keep(&gateway.tracker, &background, reload.keep());
        }
        let shared = Shared::new(gateway.clone(), dashboard, doors.guard);
        let served = serve(listener, &settings.server, shared);
        let (address, server, served) = served.inspect_err(|_| background.cancel())?;
        tracing::info!(server.address = %address, upstreams = gateway.upstreams.hosts(), "Dagway serves");
        Ok(Self {
            address,
            server,
            served,
            gateway,
            background,
            observers,
            drain_delay: settings.server.drain_delay,
            grace: settings.server.shutdown_grace,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL for clients on this machine.
    #[must_use]
    pub fn url(&self) -> String {
        url_here(self.address)
    }

    /// Serves until one of the signals and for the drain delay after it, then stops; a second signal shortens the delay
    /// and the grace.
    pub async fn until_signal(self, mut signals: Signals) {
        signals.next().await;
        let is_hurried = self.drain(signals.next()).await;
        let hurry = async {
            if !is_hurried {
                signals.next().await;
            }
        };
        self.stop_sooner_at(hurry).await;
    }

    /// Serves on for the drain delay, and says that nothing new should come. Whether `hurry` has ended it.
    async fn drain(&self, hurry: impl Future<Output = ()>) -> bool {
        if self.drain_delay.is_zero() {
            return false;
        }
        self.gateway.draining.cancel();
        tracing::info!(delay = ?self.drain_delay, "Dagway will stop; until then it serves, and is not ready");
        tokio::select! {
            () = tokio::time::sleep(self.drain_delay) => false,
            () = hurry => true,
        }
    }

    /// Stops: no new requests, those in progress end within the grace, then the observers write what is left.
    pub async fn stop(self) {
        self.stop_sooner_at(std::future::pending()).await;
    }

    /// Stops as [`App::stop`] does, with a grace that ends when `hurry` does.
    pub async fn stop_sooner_at(self, hurry: impl Future<Output = ()>) {
        tracing::info!("Dagway stops; requests in progress may end");
        self.background.cancel();
        let grace = self.grace;
        let mut over = pin!(async move {
            let _ = tokio::time::timeout(grace, hurry).await;
        });
        let mut served = self.served;
        let stopping = self.server.stop(true);
        let in_time = tokio::select! {
            _ = &mut served => true,
            () = &mut over => false,
        };
        if !in_time {
            tracing::warn!("some requests took too long; they end with an error");
            self.gateway.last_call.cancel();
            let _ = served.await;
        }
        stopping.await;
        self.gateway.tracker.close();
        if in_time {
            // What goes on after answers has what is left of the grace.
            tokio::select! {
                () = self.gateway.tracker.wait() => {}
                () = over => {}
            }
        }
        let ended = tokio::time::timeout(LAST_CALL, self.gateway.tracker.wait()).await;
        if ended.is_err() {
            tracing::warn!("some runs did not end in time");
            self.gateway.afterwards.over.cancel();
            let _ = tokio::time::timeout(A_MOMENT, self.gateway.tracker.wait()).await;
        }
        self.gateway.events.close();
        self.observers.finish(LAST_WORDS).await;
    }
}

/// Starts the traces, if they go anywhere, and the log, if there is to be one.
fn start_telling(manner: &Manner, settings: &Settings) -> Result<Option<RunTraces>, StartError> {
    let traces = observers::traces(&settings.telemetry)?;
    if !manner.log {
        return Ok(traces);
    }
    let log = &settings.log;
    let format = match log.format {
        LogFormat::Auto => Format::Auto,
        LogFormat::Pretty => Format::Pretty,
        LogFormat::Json => Format::Json,
    };
    let export = traces.as_ref().map(RunTraces::export);
    // Exposed to be looked at; two of them are no secrets.
    let variable = |name: &str| {
        settings
            .environment
            .get(name)
            .map(ExposeSecret::expose_secret)
    };
    let may_be_coloured = settings::wants_colours(variable);
    telemetry::logging::init(format, &log.filter, may_be_coloured, export)?;
    Ok(traces)
}

/// Opens the run store: in the database that is named, or else in the folder.
async fn open_store(settings: &Settings) -> Result<Opened, StartError> {
    let opened = match database(settings)? {
        Some(address) => {
            let opening = postgres::open(&address, store_settings(settings));
            told_when_slow(Box::pin(opening), &address).await?
        }
        None => store::open(store_settings(settings))?,
    };
    if opened.crashed > 0 {
        tracing::warn!(
            runs = opened.crashed,
            "runs were open when their process ended; they are shown as Crashed"
        );
    }
    Ok(opened)
}

/// Waits for the database, and says so when that takes long: until it is open nobody can connect, and nothing else tells why.
async fn told_when_slow<T>(mut opening: impl Future<Output = T> + Unpin, address: &Address) -> T {
    if let Ok(opened) = tokio::time::timeout(SOON, &mut opening).await {
        return opened;
    }
    tracing::warn!(server.address = %address, "waiting for the database");
    opening.await
}

/// The address of the database that the settings name, if they name one.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn database(settings: &Settings) -> Result<Option<Address>, StartError> {
    let store = &settings.store;
    if store.database.is_empty() {
        return Ok(None);
    }
    let origin = store.database_origin.as_deref().unwrap_or(postgres::ORIGIN);
    // Exposed to be taken apart; an address prints itself without its password.
    match store.database.expose().parse::<Address>() {
        Ok(address) => Ok(Some(address.written_in(origin))),
        Err(fault) => Err(StartError::DatabaseAddress {
            origin: origin.to_owned(),
            fault,
        }),
    }
}

fn store_settings(settings: &Settings) -> store::Settings {
    let ours = &settings.store;
    store::Settings {
        folder: ours.folder.clone(),
        keep_for: ours.keep_for,
        keep_bytes: ours.keep_mb << 20,
        preview_bytes: ours.preview_kb << 10,
        payloads: ours.payloads,
        ..store::Settings::default()
    }
}

/// Opens the store, and the door behind it. The address is taken before, so that a second Dagway says the right thing; but
/// nobody can connect until the store is open: a load balancer may take that for a sign that requests are served.
async fn open(settings: &Settings) -> Result<(Opened, std::net::TcpListener), StartError> {
    let address = settings.server.listen;
    let fails = |source| StartError::Listen { address, source };
    let socket = connection::take(address).map_err(fails)?;
    let opened = open_store(settings).await?;
    let listener = connection::listen(socket).map_err(fails)?;
    Ok((opened, listener))
}

/// Goes on with `work` in the background until the process is asked to stop.
fn keep(
    tracker: &TaskTracker,
    background: &CancellationToken,
    work: impl Future<Output = ()> + Send + 'static,
) {
    let stopped = background.clone().cancelled_owned();
    tracker.spawn(async move {
        tokio::select! {
            () = stopped => {}
            () = work => {}
        }
    });
}

type Serving = (
    SocketAddr,
    ServerHandle,
    tokio::task::JoinHandle<std::io::Result<()>>,
);

/// When an answer begins that has not come.
fn early(server: &settings::Server) -> Early {
    Early {
        answer_after: server.answer_after,
        ping_after: server.ping_after,
    }
}

/// Keeps the catalogues of models fresh.
fn keep_fresh(settings: &Settings, gateway: &Gateway, background: &CancellationToken) {
    let every = settings.upstream.catalogue_refresh;
    let models = Arc::clone(&gateway.upstreams);
    let fresh = async move { models.keep_fresh(every).await };
    keep(&gateway.tracker, background, fresh);
}

/// What all workers share.
struct Shared {
    gateway: web::Data<Gateway>,
    dashboard: web::Data<Dashboard>,
    guard: web::Data<Guard>,
    probe: web::Data<Probe>,
}

impl Shared {
    fn new(gateway: web::Data<Gateway>, dashboard: Dashboard, guard: Guard) -> Self {
        Self {
            gateway,
            dashboard: web::Data::new(dashboard),
            guard: web::Data::new(guard),
            probe: web::Data::new(Probe::default()),
        }
    }
}

fn serve(
    listener: std::net::TcpListener,
    settings: &settings::Server,
    shared: Shared,
) -> Result<Serving, StartError> {
    let fails = |source| StartError::Listen {
        address: settings.listen,
        source,
    };
    let address = listener.local_addr().map_err(fails)?;
    let tracker = shared.gateway.tracker.clone();
    let stalled_client = settings.stalled_client;
    let server = HttpServer::new(move || {
        let upstreams = shared.gateway.upstreams.all();
        upstreams.for_each(|one| one.client.warm_up());
        ActixApp::new()
            .app_data(shared.gateway.clone())
            .app_data(shared.dashboard.clone())
            .app_data(shared.guard.clone())
            .app_data(shared.probe.clone())
            .wrap(from_fn(head::as_get))
            .wrap(from_fn(guard::check))
            .wrap(from_fn(http10::unframed))
            .wrap(from_fn(upgrade::declined))
            .configure(routes::all)
    })
    .workers(settings.threads())
    // Without it, every stream stalls for 40 ms (Nagle's algorithm against delayed acknowledgements).
    .tcp_nodelay(true)
    .on_connect(move |connection, _| connection::end_when_stalled(connection, stalled_client))
    // A client that closes its side has gone: what was asked for it upstream must end.
    .h1_allow_half_closed(false)
    .keep_alive(Duration::from_secs(75))
    .client_request_timeout(Duration::from_secs(30))
    .shutdown_timeout((settings.shutdown_grace + LAST_CALL).as_secs())
    .disable_signals()
    .listen(listener)
    .map_err(fails)?
    .run();
    let handle = server.handle();
    let served = tracker.spawn(server);
    Ok((address, handle, served))
}

/// The base URL for clients on this machine of a server that listens at `address`: all addresses together are none that
/// a browser could open.
#[must_use]
pub fn url_here(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_on_this_machine_get_an_address_that_they_can_open() {
        for (listen, url) in [
            ("127.0.0.1:4000", "http://127.0.0.1:4000"),
            ("10.0.0.7:80", "http://10.0.0.7:80"),
            ("0.0.0.0:4000", "http://127.0.0.1:4000"),
            ("[::]:4000", "http://[::1]:4000"),
        ] {
            assert_eq!(url_here(listen.parse().unwrap()), url);
        }
    }
}
