//! Who and how much is let in, as the settings say, and what `/metrics` tells of it.

use std::sync::Arc;

use secrecy::SecretString;

use crate::server::body::Bodies;
use crate::server::guard::{ClientKey, Guard};
use crate::server::refusals::{Reason, Refusals};
use crate::settings::{self, Settings};
use crate::telemetry::Probe;

/// What requests have to pass.
pub(super) struct Doors {
    pub(super) bodies: Bodies,
    pub(super) guard: Guard,
}

impl Doors {
    pub(super) fn new(settings: &Settings) -> Self {
        let server = &settings.server;
        let bytes = |megabytes: u32| megabytes as usize * (1 << 20);
        // Exposed to be compared with what is presented.
        let secret = |secret: &settings::Secret| SecretString::from(secret.expose());
        let client_key = |one: &settings::ClientKey| ClientKey {
            name: one.name.as_deref().map(Arc::from),
            key: secret(&one.key),
        };
        Self {
            bodies: Bodies::new(bytes(server.body_limit_mb), bytes(server.body_memory_mb)),
            guard: Guard {
                client_keys: server.client_keys.iter().map(client_key).collect(),
                password: (!server.dashboard_password.is_empty())
                    .then(|| secret(&server.dashboard_password)),
                metrics_token: (!server.metrics_token.is_empty())
                    .then(|| secret(&server.metrics_token)),
                allowed_hosts: (server.is_loopback() || !server.allowed_hosts.is_empty())
                    .then(|| server.allowed_hosts.clone()),
                refusals: Arc::default(),
            },
        }
    }

    /// The room that is taken, and those who were turned away.
    pub(super) fn probes(&self) -> Vec<Probe> {
        let bodies = self.bodies.clone();
        let held = Probe::new(
            "dagway_request_body_bytes",
            "Bytes set aside for the bodies of requests that wait for their answer to begin.",
            move || bodies.held() as u64,
        );
        let bodies = self.bodies.clone();
        let limit = Probe::new(
            "dagway_request_body_bytes_limit",
            "Bytes that may be set aside for them. When they are, requests wait for room, and are refused when none comes.",
            move || bodies.limit() as u64,
        );
        let refused = Reason::ALL.map(|reason| refused(&self.guard.refusals, reason));
        [held, limit].into_iter().chain(refused).collect()
    }
}

fn refused(refusals: &Arc<Refusals>, reason: Reason) -> Probe {
    let refusals = Arc::clone(refusals);
    let probe = Probe::new(
        "dagway_refused_requests_total",
        "Requests that were not let in, which are no runs: by a foreign host name or origin, or for want of a client key \
         or the password.",
        move || refusals.count(reason),
    );
    probe.with_label("reason", reason.name())
}
