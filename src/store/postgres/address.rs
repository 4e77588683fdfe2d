//! Where the database is, how it is reached, and how that is said without the password.

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Where an address is written, unless it is said.
pub const ORIGIN: &str = "DAGWAY_DATABASE_URL";
/// The longest that one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(5);
/// A silent connection is looked at so often: a server that is gone without a word is noticed by it.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// The address of a PostgreSQL database. Prints itself without the password.
#[derive(Clone)]
pub struct Address {
    config: Config,
    roots: Option<PathBuf>,
    origin: Arc<str>,
}

/// Why an address cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Fault(String);

impl FromStr for Address {
    type Err = Fault;

    /// Reads `postgres://user:password@host:5432/database`, with `sslmode` and `sslrootcert` as PostgreSQL's own clients
    /// know them.
    fn from_str(text: &str) -> Result<Self, Fault> {
        let fault = |why: &str| {
            // The text may hold a password and is not repeated.
            Fault(format!(
                "{why}; write it as postgres://user:password@host:5432/database"
            ))
        };
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(fault("it does not begin with postgres://"));
        }
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let (query, roots) = parameters(query);
        let mut config: Config = format!("{place}?{query}")
            .parse()
            .map_err(|error: tokio_postgres::Error| fault(&super::said(&error)))?;
        let has_at = |host: &Host| matches!(host, Host::Tcp(name) if name.contains('@'));
        if config.get_hosts().iter().any(has_at) {
            return Err(fault(
                "its host holds an @; write an @ of the password as %40",
            ));
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(fault("it names no host"));
        }
        if config.get_user().unwrap_or_default().is_empty() {
            return Err(fault("it names no user"));
        }
        if config.get_dbname().unwrap_or_default().is_empty() {
            return Err(fault("it names no database"));
        }
        if !query.contains("sslmode=") && is_here(&config) {
            config.ssl_mode(SslMode::Disable);
        }
        if config.get_application_name().is_none() {
            config.application_name("dagway");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if !query.contains("keepalives") {
            config
                .keepalives_idle(KEEPALIVE)
                .keepalives_interval(KEEPALIVE / 3)
                .keepalives_retries(3);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(2 * KEEPALIVE);
        }
        Ok(Self {
            config,
            roots,
            origin: ORIGIN.into(),
        })
    }
}

/// The parameters that are the driver's, and the file of root certificates, which is ours to read.
fn parameters(query: &str) -> (String, Option<PathBuf>) {
    let mut roots = None;
    let mut rest = Vec::new();
    for parameter in query.split('&') {
        match parameter.split_once('=') {
            // The web's roots are compiled in.
            Some(("sslrootcert", "system")) => {}
            Some(("sslrootcert", path)) => {
                let path = percent_decode_str(path).decode_utf8_lossy();
                roots = Some(PathBuf::from(&*path));
            }
            // Certificates are always verified in full.
            Some(("sslmode", "verify-ca" | "verify-full")) => rest.push("sslmode=require"),
            _ => rest.push(parameter),
        }
    }
    (rest.join("&"), roots)
}

/// Whether nothing between us and it could listen. The address that a host is given counts, not its name.
fn is_here(config: &Config) -> bool {
    let is_here = |host: &Host| match host {
        Host::Tcp(name) => {
            let address = name.parse::<IpAddr>();
            name == "localhost" || address.is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    };
    let addresses = config.get_hostaddrs();
    if addresses.is_empty() {
        return config.get_hosts().iter().all(is_here);
    }
    addresses.iter().all(IpAddr::is_loopback)
}

impl Address {
    /// Names the place where the address was written, so that faults can say what to correct.
    #[must_use]
    pub fn written_in(mut self, origin: &str) -> Self {
        self.origin = origin.into();
        self
    }

    /// Where it was written.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// What the driver needs to connect.
    pub(super) const fn config(&self) -> &Config {
        &self.config
    }

    /// The user that the database knows us by.
    pub(super) fn user(&self) -> &str {
        self.config.get_user().unwrap_or_default()
    }

    /// The database's name.
    pub(super) fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or_default()
    }

    /// TLS for the connection, used when `sslmode` asks for it or the server offers it.
    ///
    /// # Errors
    /// When the file of root certificates cannot be read.
    pub(super) fn tls(&self) -> Result<MakeRustlsConnect, Fault> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Fault(error.to_string()))?;
        let roots = match &self.roots {
            Some(file) => roots_of(file)?,
            None => web_roots(),
        };
        let client = builder.with_root_certificates(roots).with_no_client_auth();
        Ok(MakeRustlsConnect::new(client))
    }
}

/// The web's roots, compiled in, as for upstreams.
fn web_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    roots
}

fn roots_of(file: &Path) -> Result<RootCertStore, Fault> {
    let fault = |why: String| Fault(format!("sslrootcert={}: {why}", file.display()));
    let text = fs::read(file).map_err(|error| fault(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| fault(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| fault(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(fault("there is no PEM certificate in it".to_owned()));
    }
    Ok(roots)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(path)) => path.display().to_string(),
            None => self
                .config
                .get_hostaddrs()
                .first()
                .map_or_else(String::new, ToString::to_string),
        };
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        let (user, database) = (self.user(), self.database());
        write!(f, "postgres://{user}@{host}:{port}/{database}")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Address, String> {
        text.parse().map_err(|fault: Fault| fault.to_string())
    }

    #[test]
    fn it_prints_itself_without_the_password() {
        let address = read("postgresql://ann:s3cret@db.example:6000/runs?sslmode=require").unwrap();
        assert_eq!(address.to_string(), "postgres://ann@db.example:6000/runs");
        assert_eq!(format!("{address:?}"), address.to_string());
        let several = read(
            "postgres://ann@one:1,two:2/runs?target_session_attrs=read-write&options=-c%20a%3D1",
        );
        assert_eq!(several.unwrap().config.get_hosts().len(), 2);
        let socket = read("postgres://ann@%2Frun%2Fpostgresql/runs").unwrap();
        assert_eq!(
            socket.to_string(),
            "postgres://ann@/run/postgresql:5432/runs"
        );
    }

    #[test]
    fn tls_is_as_the_address_says_and_off_on_this_machine() {
        let mode = |text: &str| read(text).unwrap().config.get_ssl_mode();
        assert_eq!(mode("postgres://a@db.example/d"), SslMode::Prefer);
        assert_eq!(mode("postgres://a@localhost/d"), SslMode::Disable);
        assert_eq!(mode("postgres://a@127.0.0.1/d"), SslMode::Disable);
        assert_eq!(
            mode("postgres://a@127.0.0.1/d?sslmode=require"),
            SslMode::Require
        );
        assert_eq!(
            mode("postgres://a@db.example/d?sslmode=verify-full"),
            SslMode::Require
        );
        assert_eq!(
            mode("postgres://a@db.example/d?sslmode=disable"),
            SslMode::Disable
        );
    }

    #[test]
    fn an_address_that_is_given_for_a_name_decides_whether_it_is_here() {
        let mode = |text: &str| read(text).unwrap().config.get_ssl_mode();
        let away = "hostaddr=203.0.113.5";
        assert_eq!(
            mode(&format!("postgres://a@localhost/d?{away}")),
            SslMode::Prefer
        );
        assert_eq!(mode(&format!("postgres://a@/d?{away}")), SslMode::Prefer);
        assert_eq!(
            mode("postgres://a@db.example/d?hostaddr=127.0.0.1"),
            SslMode::Disable
        );
    }

    #[test]
    fn what_the_address_says_of_time_counts() {
        let config = read("postgres://a@h/d?connect_timeout=2&keepalives_idle=7")
            .unwrap()
            .config;
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(2)));
        assert_eq!(config.get_keepalives_idle(), Duration::from_secs(7));
        let config = read("postgres://a@h/d").unwrap().config;
        assert_eq!(config.get_connect_timeout(), Some(&CONNECT));
        assert_eq!(config.get_keepalives_idle(), KEEPALIVE);
    }

    #[test]
    fn what_is_missing_is_said_and_the_password_is_not() {
        for (text, word) in [
            ("s3cret", "begin with"),
            ("mysql://a:s3cret@h/d", "postgres://"),
            ("postgres://:s3cret@h/d", "no user"),
            ("postgres://a:s3cret@h", "no database"),
            ("postgres://a:p@s3cret@h/d", "%40"),
            ("postgres://a:s3cret@h:99999/d", "port"),
            ("postgres://a:s3cret@h/d?sslmode=sometimes", "sslmode"),
            ("postgres://a:s3cret@h/d?unknown=1", "unknown"),
        ] {
            let fault = read(text).unwrap_err();
            assert!(fault.contains(word), "{text}: {fault}");
            assert!(!fault.contains("s3cret"), "{fault}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("roots.pem");
        let text = format!("postgres://a@h/d?sslrootcert={}", file.display());
        let address = read(&text).unwrap();
        let fault = |address: &Address| address.tls().err().unwrap().to_string();
        assert!(fault(&address).contains("roots.pem"), "{}", fault(&address));
        fs::write(&file, "nothing").unwrap();
        assert!(fault(&address).contains("no PEM certificate"));
    }
}
