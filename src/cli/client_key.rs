//! The client key that a command presents to the Dagway it asks.
//!
//! It must not know what is asked.

use crate::settings::{Secret, Settings};

/// Claude Code's variable for it.
const VARIABLE: &str = "ANTHROPIC_AUTH_TOKEN";

/// The key for the Dagway at the address of the settings: the user's own choice if it is one of the keys that are known
/// here, for runs are recorded under its name, or else the first of those. Where none is known here, any choice counts, and
/// there may be none.
pub(super) fn of_own(settings: &Settings, environment: &[(String, String)]) -> Option<Secret> {
    let keys = &settings.server.client_keys;
    // Exposed to be compared.
    let is_known = |chosen: &&str| keys.iter().any(|one| one.key.expose() == *chosen);
    let chosen = chosen(environment).filter(|chosen| keys.is_empty() || is_known(chosen));
    chosen.map(Secret::new).or_else(|| first(settings))
}

/// The key for a Dagway elsewhere, whose keys are others as a rule: the user's own choice, or else the first of those that
/// are known here.
pub(super) fn of_another(settings: &Settings, environment: &[(String, String)]) -> Option<Secret> {
    let chosen = chosen(environment).map(Secret::new);
    chosen.or_else(|| first(settings))
}

fn chosen(environment: &[(String, String)]) -> Option<&str> {
    let mut variables = environment.iter();
    let found = variables.find(|(name, value)| name == VARIABLE && !value.is_empty());
    found.map(|(_, value)| value.as_str())
}

fn first(settings: &Settings) -> Option<Secret> {
    let first = settings.server.client_keys.first();
    first.map(|first| first.key.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::ClientKey;

    #[test]
    fn what_the_user_chose_counts_where_it_can_be_right() {
        for (keys, chosen, own, another) in [
            (&["one", "two"][..], Some("two"), Some("two"), Some("two")),
            (&["one", "two"], Some("three"), Some("one"), Some("three")),
            (&["one", "two"], Some(""), Some("one"), Some("one")),
            (&["one", "two"], None, Some("one"), Some("one")),
            (&[], Some("three"), Some("three"), Some("three")),
            (&[], Some(""), None, None),
            (&[], None, None, None),
        ] {
            let mut settings = Settings::defaults().unwrap();
            settings.server.client_keys = keys.iter().copied().map(ClientKey::nameless).collect();
            let variable = chosen.map(|chosen| (VARIABLE.to_owned(), chosen.to_owned()));
            let environment: Vec<_> = variable.into_iter().collect();
            for (found, expected) in [
                (of_own(&settings, &environment), own),
                (of_another(&settings, &environment), another),
            ] {
                let found = found.as_ref().map(Secret::expose);
                assert_eq!(found, expected, "{keys:?} {chosen:?}");
            }
        }
    }
}
