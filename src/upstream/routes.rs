//! The routes that were found lately, by the name that was asked for.
//!
//! To find one takes the rules of names, thousands of instructions of them, twice a request; and clients ask for the same
//! few models all day. This file must not know how a route is found.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use super::upstreams::Route;

/// Names that are remembered. Clients make names up, so that there must be an end; then all are forgotten.
const MOST_NAMES: usize = 256;
/// The longest name that is.
const LONGEST_NAME: usize = 128;

/// Remembers where names lead. What leads nowhere is not remembered.
#[derive(Debug, Default)]
pub(super) struct Routes(RwLock<HashMap<Box<str>, Route>>);

impl Routes {
    /// The route for `asked`, found by `find` unless it is remembered.
    pub(super) fn get_or_find<E>(
        &self,
        asked: &str,
        find: impl FnOnce() -> Result<Route, E>,
    ) -> Result<Route, E> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = known.get(asked) {
            return Ok(route.clone());
        }
        drop(known);
        let route = find()?;
        if asked.len() <= LONGEST_NAME {
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MOST_NAMES {
                known.clear();
            }
            known.insert(asked.into(), route.clone());
        }
        Ok(route)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use secrecy::SecretString;

    use super::super::client::{Client, Config, Kind};
    use super::super::upstreams::{Lane, Upstream};
    use super::*;
    use crate::protocol::translate::dialect::Dialect;

    fn route(id: &str) -> Route {
        let client = Client::new(&Config {
            name: "openrouter".to_owned(),
            kind: Kind::OpenRouter,
            base_url: "http://openrouter.test/v1".to_owned(),
            key: SecretString::from(""),
            key_env: None,
            headers: Vec::new(),
            dialect: Dialect::OPENROUTER,
            connect_timeout: Duration::from_secs(1),
            early_error_wait: Duration::from_secs(1),
        });
        Route {
            upstream: Arc::new(Upstream::new(client.unwrap())),
            lane: Lane::Chat,
            id: id.into(),
            provider: None,
        }
    }

    #[test]
    fn a_route_is_found_once_and_a_refusal_every_time() {
        let routes = Routes::default();
        let first = routes.get_or_find("a", || Ok::<_, ()>(route("found")));
        assert_eq!(&*first.unwrap().id, "found");
        let again = routes.get_or_find("a", || Err("it was to be remembered"));
        assert_eq!(&*again.unwrap().id, "found");
        for _ in 0..2 {
            assert_eq!(routes.get_or_find("b", || Err("no")).unwrap_err(), "no");
        }
        let other = routes.get_or_find("b", || Ok::<_, ()>(route("other")));
        assert_eq!(&*other.unwrap().id, "other");
    }

    #[test]
    fn what_clients_make_up_does_not_fill_the_memory() {
        let routes = Routes::default();
        let known = route("x");
        for number in 0..2_000 {
            let found =
                routes.get_or_find(&format!("name-{number}"), || Ok::<_, ()>(known.clone()));
            found.unwrap();
        }
        let long = "x".repeat(LONGEST_NAME + 1);
        let found = routes.get_or_find(&long, || Ok::<_, ()>(known.clone()));
        found.unwrap();
        let names = routes.0.read().unwrap();
        assert!(names.len() <= MOST_NAMES);
        assert!(!names.contains_key(long.as_str()));
    }
}
