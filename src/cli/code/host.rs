//! The Dagway that a session uses: one that runs, or one of this process; and who goes on when it ends.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use super::hello::{Hello, hello};
use super::seat::{Holder, KeysMark, Seat};
use crate::app::{App, Manner, StartError};
use crate::cli::{Failure, open_files, say_error};
use crate::settings::Settings;
use crate::store::OpenError;

/// How often the seat is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How often a Dagway that has no seat is asked whether it still runs.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long another Dagway may take to start, or to end: it lets requests end, and writes what is left.
const OTHERS_WAIT: Duration = Duration::from_secs(30);

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
            if let Some((hello, holder)) = answering(folder, listen).await {
                return Ok(Self::Another { hello, holder });
            }
            match take_seat(settings) {
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

/// What the Dagway says that answers at the address, and who had the seat before and afterwards. Where that differs, one
/// came or went, and the answer may have been the last of the one that went.
async fn answering(folder: &Path, listen: SocketAddr) -> Option<(Hello, Option<Holder>)> {
    loop {
        let before = Seat::holder(folder, listen);
        let hello = hello(listen).await?;
        let holder = Seat::holder(folder, listen);
        if holder == before {
            return Some((hello, holder));
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

/// Waits until no Dagway serves at the address any more, and serves in its place. Returns only then.
///
/// # Errors
/// When it cannot serve there.
pub(super) async fn succeed(settings: &Settings) -> Result<Box<Ours>, StartError> {
    let (folder, listen) = (&settings.store.folder, settings.server.listen);
    let mut in_vain_since = None;
    loop {
        let pause = if Seat::holder(folder, listen).is_some() {
            in_vain_since = None;
            LOOK_AGAIN
        } else if hello(listen).await.is_some() {
            in_vain_since = None;
            ASK_AGAIN
        } else {
            match serve(settings).await {
                Some(Ok(ours)) => return Ok(ours),
                Some(Err(error)) => {
                    let since = in_vain_since.get_or_insert_with(Instant::now);
                    if !is_taken(&error) || since.elapsed() > OTHERS_WAIT {
                        return Err(error);
                    }
                }
                None => {}
            }
            LOOK_AGAIN
        };
        tokio::time::sleep(pause).await;
    }
}

/// Takes the seat and serves, if nobody has it. What cannot serve does not keep the seat: it would keep others from it.
async fn serve(settings: &Settings) -> Option<Result<Box<Ours>, StartError>> {
    let seat = take_seat(settings).ok()??;
    let started = start_silent(settings).await;
    Some(started.map(|app| {
        let _seat = Some(seat);
        Box::new(Ours { app, _seat })
    }))
}

/// Whether another process has what a Dagway needs, maybe no longer for long.
const fn is_taken(error: &StartError) -> bool {
    matches!(
        error,
        StartError::Listen { .. } | StartError::Store(OpenError::Locked { .. })
    )
}

fn take_seat(settings: &Settings) -> io::Result<Option<Seat>> {
    let keys = KeysMark::of(&settings.server.client_keys);
    Seat::take(&settings.store.folder, settings.server.listen, &keys)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;

    /// The longest a test waits for something that must happen.
    const DEADLINE: Duration = Duration::from_secs(20);

    /// Settings, and a listener at their address.
    fn somewhere(folder: &Path) -> (Settings, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut settings = Settings::defaults().unwrap();
        settings.simulate("http://127.0.0.1:9/api/v1", "sk-or-test");
        settings.store.folder = folder.join("data");
        settings.server.listen = listener.local_addr().unwrap();
        (settings, listener)
    }

    /// Answers the request as a Dagway does.
    fn say_hello(mut socket: TcpStream) {
        let _ = socket.read(&mut [0; 4096]).unwrap();
        let answer = b"HTTP/1.1 200 OK\r\nx-dagway-overhead-us: 1\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
        socket.write_all(answer).unwrap();
    }

    #[actix_web::test]
    async fn what_ends_while_it_is_asked_is_not_what_a_session_uses() {
        let folder = tempfile::tempdir().unwrap();
        let (settings, listener) = somewhere(folder.path());
        let seat = take_seat(&settings).unwrap().unwrap();
        let ends = thread::spawn(move || {
            let (socket, _) = listener.accept().unwrap();
            drop(listener);
            drop(seat);
            say_hello(socket);
        });
        let host = Host::find(&settings).await.unwrap();
        ends.join().unwrap();
        let Host::Ours(ours) = host else {
            panic!("nobody is there any more");
        };
        ours.app.stop().await;
    }

    #[actix_web::test]
    async fn who_waits_for_a_dagway_without_a_seat_leaves_the_seat_free_until_it_can_serve() {
        let folder = tempfile::tempdir().unwrap();
        let (settings, listener) = somewhere(folder.path());
        let (data, listen) = (settings.store.folder.clone(), settings.server.listen);
        let holders = thread::spawn(move || {
            let sockets = listener.incoming().take(2);
            let asked = sockets.map(|socket| {
                let holder = Seat::holder(&data, listen);
                say_hello(socket.unwrap());
                holder
            });
            asked.collect::<Vec<_>>()
        });
        let ours = tokio::time::timeout(DEADLINE, succeed(&settings)).await;
        let ours = ours.expect("it serves").unwrap();
        assert_eq!(holders.join().unwrap(), [None, None]);
        let me = Seat::holder(&settings.store.folder, listen);
        assert!(me.is_some(), "who serves has the seat");
        ours.app.stop().await;
    }
}
