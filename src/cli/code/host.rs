//! The Dagway that a session uses: one that runs, or one of this process; and who goes on when it ends.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::hello::{Hello, hello};
use super::seat::{Holder, Seat};
use crate::app::{App, Manner, StartError};
use crate::cli::{Failure, open_files, say_error};
use crate::settings::Settings;
use crate::store::OpenError;

/// How often the seat is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How long another `dagway code` may take to start, or to end.
const OTHERS_WAIT: Duration = Duration::from_secs(30);
/// How long address and store may stay taken after their process has ended.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// A Dagway of this process, and the seat that says so.
pub(super) struct Ours {
    pub(super) app: App,
    _seat: Option<Seat>,
}

/// The Dagway that a session uses.
pub(super) enum Host {
    /// One of this process.
    Ours(Box<Ours>),
    /// One that runs already.
    Another {
        /// What it says of itself.
        hello: Hello,
        /// The `dagway code` that it ends with.
        holder: Option<Holder>,
    },
}

impl Host {
    /// Finds the Dagway at the address of the settings, or starts one there.
    ///
    /// # Errors
    /// When it cannot start.
    pub(super) async fn find(settings: &Settings) -> Result<Self, Failure> {
        let (folder, listen) = (&settings.store.folder, settings.server.listen);
        if listen.port() == 0 {
            return start(settings, None).await;
        }
        let since = Instant::now();
        let mut is_told = false;
        loop {
            if let Some(hello) = hello(listen).await {
                let holder = Seat::holder(folder, listen);
                return Ok(Self::Another { hello, holder });
            }
            match Seat::take(folder, listen) {
                Ok(Some(seat)) => return start(settings, Some(seat)).await,
                Ok(None) if since.elapsed() < OTHERS_WAIT => {}
                // A folder that cannot hold the seat cannot hold the store either, which has the better sentence; or
                // there are no locks in that place, and so nobody to wait for.
                Ok(None) | Err(_) => return start(settings, None).await,
            }
            if let Some(holder) = Seat::holder(folder, listen).filter(|_| !is_told) {
                say_error(&format!("waits for {holder}, which starts or ends"));
                is_told = true;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

async fn start(settings: &Settings, seat: Option<Seat>) -> Result<Host, Failure> {
    if settings.lacks_the_key() {
        return Err(Failure::Usage(
            "OPENROUTER_API_KEY is not set; get a key at https://openrouter.ai/keys".to_owned(),
        ));
    }
    // What the limit is stays Claude Code's own affair: programs take it over from this process.
    open_files::suffice(settings)?;
    let app = start_silent(settings).await?;
    Ok(Host::Ours(Box::new(Ours { app, _seat: seat })))
}

/// The terminal belongs to Claude Code, so there is no log: what happens is on the dashboard.
async fn start_silent(settings: &Settings) -> Result<App, StartError> {
    App::start(settings, Manner::default()).await
}

/// Waits until the `dagway code` that serves at the address ends, and serves in its place. Returns only then.
///
/// # Errors
/// When nobody serves there any more.
pub(super) async fn succeed(settings: &Settings) -> Result<Box<Ours>, StartError> {
    let (folder, listen) = (&settings.store.folder, settings.server.listen);
    let seat = loop {
        if let Ok(Some(seat)) = Seat::take(folder, listen) {
            break seat;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    };
    let since = Instant::now();
    loop {
        let error = match start_silent(settings).await {
            Ok(app) => {
                let _seat = Some(seat);
                return Ok(Box::new(Ours { app, _seat }));
            }
            Err(error) => error,
        };
        let is_still_taken = matches!(
            error,
            StartError::Listen { .. } | StartError::Store(OpenError::Locked { .. })
        );
        if !is_still_taken || since.elapsed() > AFTERWARDS {
            return nobody_serves(listen, error).await;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The error, unless a Dagway answers at the address: then all is well, and this never returns.
async fn nobody_serves(listen: SocketAddr, error: StartError) -> Result<Box<Ours>, StartError> {
    if hello(listen).await.is_some() {
        std::future::pending::<()>().await;
    }
    Err(error)
}
