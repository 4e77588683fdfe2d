//! nginx as the yardstick: a plain `proxy_pass` with everything set that makes it fast.

use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::process::{Process, wait_until_answers};

/// Where distributions put it, for users whose PATH has no `sbin`.
const PLACES: [&str; 3] = ["nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"];
const LONGEST_START: Duration = Duration::from_secs(5);

/// Says how to get nginx.
pub(crate) const HOW_TO_INSTALL: &str = "nginx is not installed, and it is what everything here is compared with: install it \
     (`apt-get install nginx-light`, `dnf install nginx`, `brew install nginx`), or leave it out with `--without nginx`";

/// The program, when there is one.
pub(crate) fn find() -> Result<Option<&'static str>> {
    for place in PLACES {
        let version = Command::new(place)
            .arg("-v")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        match version {
            Ok(_) => return Ok(Some(place)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("running {place}")),
        }
    }
    Ok(None)
}

/// Starts it before `upstream`.
pub(crate) async fn start(program: &str, upstream: SocketAddr, workers: usize) -> Result<Process> {
    let folder = TempDir::with_prefix("dagway-bench-nginx-")?;
    // nginx cannot say which port it was given, so a free one is found first.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let config = folder.path().join("nginx.conf");
    fs::write(&config, configuration(&folder, address, upstream, workers)?)?;
    let mut command = Command::new(program);
    command
        .arg("-p")
        .arg(folder.path())
        .arg("-c")
        .arg(&config)
        .arg("-e")
        .arg(folder.path().join("error.log"));
    let mut process = Process::spawn("nginx", &mut command, folder)?;
    wait_until_answers(&mut process, address, "/api/v1/key", LONGEST_START).await?;
    Ok(process)
}

fn configuration(
    folder: &TempDir,
    address: SocketAddr,
    upstream: SocketAddr,
    workers: usize,
) -> Result<String> {
    // Started by root, workers would become another user, to whom the temporary folder is closed.
    let user = if fs::metadata(folder.path())?.uid() == 0 {
        "user root;\n"
    } else {
        ""
    };
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary
        .map(|kind| format!("    {kind}_temp_path {}/{kind};\n", folder.path().display()))
        .concat();
    let path = folder.path().display();
    Ok(format!(
        "{user}daemon off;
pid {path}/nginx.pid;
error_log {path}/error.log warn;
worker_processes {workers};
events {{
    worker_connections 8192;
}}
http {{
    access_log off;
    tcp_nodelay on;
    client_max_body_size 64m;
    client_body_buffer_size 2m;
    keepalive_requests 100000000;
{temporary}
    upstream simulated {{
        server {upstream};
        keepalive 1024;
        keepalive_requests 100000000;
    }}
    server {{
        listen {address} backlog=4096;
        location / {{
            proxy_pass http://simulated;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
        }}
    }}
}}
"
    ))
}
