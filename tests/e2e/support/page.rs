//! A page on loopback, over TLS, because Claude Code fetches nothing without.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::needed;

/// How long one exchange may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that gives the same page for every path, as long as the test runs.
pub(crate) struct Page {
    /// Where it is.
    pub(crate) url: String,
    /// The certificate that has to be trusted for it.
    pub(crate) certificate: PathBuf,
}

impl Page {
    /// Makes a certificate of its own in a folder, and serves the page.
    pub(crate) fn serve(folder: &Path, html: &'static str) -> Self {
        let (certificate, key) = (folder.join("page.pem"), folder.join("page.key"));
        certify(&certificate, &key);
        let config = Arc::new(config(&certificate, &key));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that is not content with the page fails its own test.
                let _ = answer(stream, &config, html);
            }
        });
        Self {
            url: format!("https://{address}/page.html"),
            certificate,
        }
    }
}

fn certify(certificate: &Path, key: &Path) {
    let openssl = needed("openssl", &[PathBuf::from("/usr/bin/openssl")]);
    let made = Command::new(openssl)
        .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"])
        .args(["-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-subj", "/CN=dagway test"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .output()
        .expect("openssl can be run");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
}

fn config(certificate: &Path, key: &Path) -> ServerConfig {
    let certificate = CertificateDer::from_pem_file(certificate).expect("openssl wrote it");
    let key = PrivateKeyDer::from_pem_file(key).expect("openssl wrote it");
    ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("ring speaks the default versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("the key belongs to the certificate")
}

fn answer(stream: TcpStream, config: &Arc<ServerConfig>, html: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let connection = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
    let mut tls = StreamOwned::new(connection, stream);
    let mut request: Vec<u8> = Vec::new();
    let mut piece = [0_u8; 4096];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match tls.read(&mut piece)? {
            0 => return Ok(()),
            read => request.extend(piece.iter().take(read)),
        }
    }
    let length = html.len();
    write!(
        tls,
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{html}"
    )?;
    tls.conn.send_close_notify();
    tls.flush()
}
