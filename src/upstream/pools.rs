//! Pools of connections: of each set, such as an upstream's, one for each worker thread.
//!
//! A connection is driven by the thread that opened it: one shared by all would wake another thread for every request,
//! at 35 to 50 µs each. `TCP_NODELAY` is on: without it, small requests wait 40 ms for an acknowledgement.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

/// Begins an HTTP client as all of Dagway's are: TLS by rustls with ring, the web's root certificates compiled in, so that
/// an image without certificates works; no redirects, because a key must not follow them.
///
/// # Errors
/// When the root certificates cannot be read, which a test would have shown.
pub fn http() -> reqwest::Result<reqwest::ClientBuilder> {
    // The first one wins; a second call finds the same provider installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    let roots = roots
        .map(|der| reqwest::Certificate::from_der(der))
        .collect::<Result<Vec<_>, _>>()?;
    let builder = reqwest::Client::builder().tls_certs_only(roots);
    Ok(builder
        .tcp_nodelay(true)
        .redirect(reqwest::redirect::Policy::none()))
}

/// Whether a URL leads to this machine, where no proxy is asked: one elsewhere would look for it on its own.
#[must_use]
pub fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// The proxy of the environment through which a client of [`http`] asks for this, if it asks through one, without what
/// its URL may hold of secrets.
pub(super) fn proxy_for(url: &Url) -> Option<String> {
    let proxy = Matcher::from_system().intercept(&url.as_str().parse().ok()?)?;
    let (scheme, authority) = (proxy.uri().scheme_str()?, proxy.uri().authority()?);
    let host = authority.as_str().rsplit('@').next()?;
    Some(format!("{scheme}://{host}"))
}

/// How to make the pool of a worker thread, and by which name the thread finds it again.
#[derive(Debug)]
pub struct Pools {
    name: u64,
    connect_timeout: Duration,
    asks_proxies: bool,
}

thread_local! {
    static POOLS: RefCell<Vec<(u64, reqwest::Client)>> = const { RefCell::new(Vec::new()) };
}

impl Pools {
    /// Pools of connections that take so long to be opened at most.
    #[must_use]
    pub fn new(connect_timeout: Duration) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            name,
            connect_timeout,
            asks_proxies: true,
        }
    }

    /// The same for connections to this URL alone: to this machine they go past the proxies of the environment.
    #[must_use]
    pub fn to(url: &Url, connect_timeout: Duration) -> Self {
        Self {
            asks_proxies: !is_here(url),
            ..Self::new(connect_timeout)
        }
    }

    pub(super) fn build(&self) -> reqwest::Result<reqwest::Client> {
        let mut builder = http()?;
        if !self.asks_proxies {
            builder = builder.no_proxy();
        }
        builder
            .connect_timeout(self.connect_timeout)
            // HTTP/1.1, as everywhere here. Over HTTP/2 all streams of a thread would share one connection: one client that
            // does not read would stop the others, beyond the server's limit of streams requests would wait unseen, and a
            // break would end them all.
            .http1_only()
            .pool_max_idle_per_host(512)
            .pool_idle_timeout(Duration::from_secs(60))
            .no_gzip()
            .build()
    }

    /// The pool of this thread, made when it is first asked for.
    ///
    /// # Errors
    /// As [`http`].
    pub fn of_this_thread(&self) -> reqwest::Result<reqwest::Client> {
        POOLS.with_borrow_mut(|pools| {
            if let Some((_, pool)) = pools.iter().find(|(name, _)| *name == self.name) {
                return Ok(pool.clone());
            }
            let pool = self.build()?;
            pools.push((self.name, pool.clone()));
            Ok(pool)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_told_from_others() {
        for (url, here) in [
            ("http://127.8.8.8:1", true),
            ("http://localhost", true),
            ("http://LOCALHOST:11434/v1", true),
            ("http://[::1]:4000", true),
            ("http://localhost.evil.test", false),
            ("http://10.0.0.1:4000", false),
        ] {
            assert_eq!(is_here(&Url::parse(url).unwrap()), here, "{url}");
        }
    }
}
