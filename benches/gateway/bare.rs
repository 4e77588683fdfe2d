//! The floor: what the two HTTP libraries under Dagway cost when nothing is done between them.
//!
//! A server of actix-web and a client of reqwest that pass bytes, set as Dagway sets its own: whatever Dagway measures
//! above this is Dagway's. It runs in a process of its own, which is the rig's program started with `--bare`.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE};
use actix_web::rt::net::TcpSocket;
use actix_web::{App, HttpResponse, HttpServer, error, web};
use anyhow::{Context, Result};
use reqwest::{Client, Url};
use tempfile::TempDir;

use crate::process::{Process, wait_until_answers};
use crate::server_thread::BACKLOG;

const ANNOUNCEMENT: &str = "bare on http://";
const LONGEST_START: Duration = Duration::from_secs(10);
const LARGEST_BODY: usize = 64 << 20;

thread_local! {
    // One for each worker, as in Dagway: a shared one would wake another thread for every request.
    static CLIENT: reqwest::Result<Client> = client();
}

/// Starts it before `upstream`.
pub(crate) async fn start(upstream: SocketAddr, workers: usize) -> Result<Process> {
    let folder = TempDir::with_prefix("dagway-bench-bare-")?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("--bare")
        .arg(upstream.to_string())
        .arg("--workers")
        .arg(workers.to_string())
        .stdout(Stdio::piped());
    let mut process = Process::spawn("bare", &mut command, folder)?;
    let address = process.announced(ANNOUNCEMENT, LONGEST_START).await?;
    wait_until_answers(&mut process, address, "/health", LONGEST_START).await?;
    Ok(process)
}

/// Is the server, until it is told to end.
pub(crate) fn serve(upstream: SocketAddr, workers: usize) -> Result<()> {
    // The first one wins, and there is no other.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let upstream: Url = format!("http://{upstream}").parse()?;
    actix_web::rt::System::new().block_on(async move {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let listener = socket.listen(BACKLOG)?.into_std()?;
        let address = listener.local_addr()?;
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::PayloadConfig::new(LARGEST_BODY))
                .app_data(web::Data::new(upstream.clone()))
                .route("/health", web::get().to(HttpResponse::Ok))
                .default_service(web::post().to(pass))
        })
        .workers(workers)
        .tcp_nodelay(true)
        .keep_alive(Duration::from_secs(75))
        .shutdown_timeout(1)
        .listen(listener)?
        .run();
        writeln!(io::stdout().lock(), "{ANNOUNCEMENT}{address}")?;
        server.await.context("the server ended")
    })
}

async fn pass(
    asked: actix_web::HttpRequest,
    body: web::Bytes,
    upstream: web::Data<Url>,
) -> actix_web::Result<HttpResponse> {
    let mut url = upstream.get_ref().clone();
    url.set_path(asked.path());
    let broken = |why: &reqwest::Error| error::ErrorInternalServerError(why.to_string());
    let client = CLIENT.with(|client| client.as_ref().cloned().map_err(broken))?;
    let mut sent = client.post(url);
    for name in [CONTENT_TYPE, AUTHORIZATION] {
        if let Some(value) = asked.headers().get(&name) {
            sent = sent.header(name.as_str(), value.as_bytes());
        }
    }
    let answer = sent.body(body).send().await;
    let answer = answer.map_err(error::ErrorBadGateway)?;
    let is_stream = answer.content_length().is_none();
    let mut response = HttpResponse::build(
        actix_web::http::StatusCode::from_u16(answer.status().as_u16())
            .map_err(error::ErrorBadGateway)?,
    );
    if let Some(kind) = answer.headers().get("content-type") {
        response.insert_header((CONTENT_TYPE, kind.as_bytes()));
    }
    if is_stream {
        return Ok(response.streaming(answer.bytes_stream()));
    }
    let body = answer.bytes().await.map_err(error::ErrorBadGateway)?;
    Ok(response.body(body))
}

fn client() -> reqwest::Result<Client> {
    Client::builder()
        .tls_certs_only([])
        .tcp_nodelay(true)
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(512)
        .pool_idle_timeout(Duration::from_secs(60))
        .no_gzip()
        .build()
}
