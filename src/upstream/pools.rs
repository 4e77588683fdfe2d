//! Pools of connections: of each set, such as an upstream's, one for each worker thread.
//!
//! A connection is driven by the thread that opened it: one shared by all would wake another thread for every request,
//! at 35 to 50 µs each. `TCP_NODELAY` is on: without it, small requests wait 40 ms for an acknowledgement.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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

/// How to make the pool of a worker thread, and by which name the thread finds it again.
#[derive(Debug)]
pub struct Pools {
    name: u64,
    connect_timeout: Duration,
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
        }
    }

    pub(super) fn build(&self) -> reqwest::Result<reqwest::Client> {
        http()?
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
