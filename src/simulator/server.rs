//! The simulated OpenRouter as a server: where it listens, on which thread, and until when.
//!
//! The server lives on a thread with a runtime of its own, so that it can be started from any runtime and outlives none.
//! It must not know what is answered.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::{Extensions, ServerHandle};
use actix_web::middleware::DefaultHeaders;
use actix_web::{App, HttpServer, rt, web};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;

use super::line::Line;
use super::routes;
use super::script::Script;
use super::seen::Seen;
use super::state::State;

const BODY_LIMIT: usize = 64 * 1024 * 1024;
/// How many connections may wait to be accepted: a crowd of streams opens as many at once.
const WAITING_CONNECTIONS: u32 = 4096;

/// Where and how fast the simulator answers.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The address to listen on; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// The time to the first chunk.
    pub first_token: Duration,
    /// The time between two chunks.
    pub pace: Duration,
    /// Whose Messages endpoint it has.
    pub host: Host,
    /// How many requests it keeps for whoever wants to see them.
    pub keeps: usize,
}

/// Whose Messages endpoint is simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Host {
    /// OpenRouter's, with what breaks Anthropic's SDKs.
    #[default]
    OpenRouter,
    /// Anthropic's own.
    Anthropic,
}

impl Default for Settings {
    /// The same as [`Settings::immediate`].
    fn default() -> Self {
        Self::immediate()
    }
}

impl Settings {
    /// Any port of the loopback, without delays: what tests want.
    #[must_use]
    pub fn immediate() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            first_token: Duration::ZERO,
            pace: Duration::ZERO,
            host: Host::OpenRouter,
            keeps: 4_096,
        }
    }

    /// Any port of the loopback, as fast as a real model: what a demo wants.
    #[must_use]
    pub fn realistic() -> Self {
        Self {
            first_token: Duration::from_millis(300),
            pace: Duration::from_millis(20),
            ..Self::immediate()
        }
    }
}

/// A simulated OpenRouter that is listening. Dropped, it stops.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    state: Arc<State>,
    server: ServerHandle,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Simulator {
    /// Binds the address and answers from then on.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let listener = listen(settings.listen)?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::new(settings));
        let (tell, told) = oneshot::channel();
        let of_thread = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("simulator".to_owned())
            .spawn(move || {
                rt::System::new().block_on(async move {
                    let server = serve(listener, of_thread)?;
                    let _ = tell.send(server.handle());
                    server.await
                })
            })?;
        match told.await {
            Ok(server) => Ok(Self {
                address,
                state,
                server,
                thread: Some(thread),
            }),
            Err(_) => Err(outcome(thread)
                .err()
                .unwrap_or_else(|| io::Error::other("the simulator did not start"))),
        }
    }

    /// Where it is, as `OPENROUTER_BASE_URL` wants it.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/api/v1", self.address)
    }

    /// What arrived so far, oldest first; the log keeps the last 4,096 requests and 128 MB.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        self.state.log.all()
    }

    /// Adds answers to those that are still to come.
    pub fn script(&self, script: Script) {
        self.state.add(script);
    }

    /// Stops at once: connections are closed, the port is free.
    pub async fn stop(mut self) {
        self.server.stop(false).await;
        if let Some(thread) = self.thread.take() {
            let _ = rt::task::spawn_blocking(move || outcome(thread)).await;
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // The command is sent by the call; what it returns only waits.
        drop(self.server.stop(false));
    }
}

fn outcome(thread: JoinHandle<io::Result<()>>) -> io::Result<()> {
    thread
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the simulator's thread panicked")))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING_CONNECTIONS)?.into_std()
}

fn serve(listener: TcpListener, state: Arc<State>) -> io::Result<actix_web::dev::Server> {
    let state = web::Data::from(state);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .app_data(web::PayloadConfig::new(BODY_LIMIT))
            .wrap(DefaultHeaders::new().add(("x-dagway-simulated", "true")))
            .configure(routes::all)
    })
    .workers(1)
    .tcp_nodelay(true)
    .h1_allow_half_closed(false)
    .on_connect(|connection, extensions: &mut Extensions| {
        if let Some(line) = connection.downcast_ref::<TcpStream>().and_then(Line::of) {
            extensions.insert(line);
        }
    })
    .shutdown_timeout(1)
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}
