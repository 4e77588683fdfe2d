//! The client key that a command presents to the Dagway it asks.
//!
//! It must not know what is asked.

use super::Failure;
use crate::settings::{ClientKey, Secret, Settings};

/// Claude Code's variable for it.
const VARIABLE: &str = "ANTHROPIC_AUTH_TOKEN";

/// Why there is no key to present, and the cure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Undecided {
    /// Any of them would record the runs under the name of a person or a machine.
    #[error(
        "runs are recorded under the name of the client key that is presented, and several are known here: say whose is to \
         be presented with --as NAME before the command (there are: {0}), or set {VARIABLE} to that key"
    )]
    Several(String),
    /// Nobody has this name.
    #[error("--as: no client key that is known here has the name `{0}`; there are: {1}")]
    Unknown(String, String),
    /// Nobody has any.
    #[error(
        "--as: no client key that is known here has a name; give each one in DAGWAY_CLIENT_KEYS, such as `alice = KEY`"
    )]
    Nameless,
}

impl From<Undecided> for Failure {
    fn from(undecided: Undecided) -> Self {
        Self::Usage(undecided.to_string())
    }
}

/// The key for the Dagway at the address of the settings: that of `name`, if the user gives one; or else the user's own
/// token if it is one of the keys that are known here; or else the one that is nobody else's, see [`nobody_elses`]. Where
/// none is known here, any token counts, and there may be none.
///
/// # Errors
/// When it would be somebody's by chance, or there is none of this name.
pub(super) fn of_own(
    settings: &Settings,
    environment: &[(String, String)],
    name: Option<&str>,
) -> Result<Option<Secret>, Undecided> {
    let keys = &settings.server.client_keys;
    // Exposed to be compared.
    let is_known = |token: &&str| keys.iter().any(|one| one.key.expose() == *token);
    let token = token(environment).filter(|token| keys.is_empty() || is_known(token));
    of(keys, name, token)
}

/// The key for a Dagway elsewhere, whose keys are others as a rule: the same, but any token of the user's counts.
///
/// # Errors
/// As [`of_own`].
pub(super) fn of_another(
    settings: &Settings,
    environment: &[(String, String)],
    name: Option<&str>,
) -> Result<Option<Secret>, Undecided> {
    of(&settings.server.client_keys, name, token(environment))
}

fn of(
    keys: &[ClientKey],
    name: Option<&str>,
    token: Option<&str>,
) -> Result<Option<Secret>, Undecided> {
    match (name, token) {
        (Some(name), _) => named(keys, name).map(Some),
        (None, Some(token)) => Ok(Some(Secret::new(token))),
        (None, None) => nobody_elses(keys),
    }
}

fn token(environment: &[(String, String)]) -> Option<&str> {
    let mut variables = environment.iter();
    let found = variables.find(|(name, value)| name == VARIABLE && !value.is_empty());
    found.map(|(_, value)| value.as_str())
}

fn named(keys: &[ClientKey], name: &str) -> Result<Secret, Undecided> {
    let found = keys.iter().find(|one| one.name.as_deref() == Some(name));
    match found {
        Some(one) => Ok(one.key.clone()),
        None if names(keys).is_empty() => Err(Undecided::Nameless),
        None => Err(Undecided::Unknown(name.to_owned(), names(keys))),
    }
}

/// The only key, or the first that has no name: the runs of those are not told apart.
fn nobody_elses(keys: &[ClientKey]) -> Result<Option<Secret>, Undecided> {
    let found = match keys {
        [only] => Some(only),
        keys => keys.iter().find(|one| one.name.is_none()),
    };
    match found {
        Some(one) => Ok(Some(one.key.clone())),
        None if keys.is_empty() => Ok(None),
        None => Err(Undecided::Several(names(keys))),
    }
}

fn names(keys: &[ClientKey]) -> String {
    let names = keys.iter().filter_map(|one| one.name.as_deref());
    Vec::from_iter(names).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = Result<Option<&'static str>, Undecided>;

    /// What is found for the own Dagway, and for another.
    fn found(keys: &[ClientKey], token: Option<&str>, name: Option<&str>) -> [Found; 2] {
        let mut settings = Settings::defaults().unwrap();
        settings.server.client_keys = keys.to_vec();
        let variable = token.map(|token| (VARIABLE.to_owned(), token.to_owned()));
        let environment: Vec<_> = variable.into_iter().collect();
        let own = of_own(&settings, &environment, name);
        let another = of_another(&settings, &environment, name);
        [own, another].map(|found| found.map(|key| key.map(|key| &*key.expose().to_owned().leak())))
    }

    #[test]
    fn what_the_user_chose_counts_where_it_can_be_right() {
        for (keys, token, own, another) in [
            (&["one", "two"][..], Some("two"), Some("two"), Some("two")),
            (&["one", "two"], Some("three"), Some("one"), Some("three")),
            (&["one", "two"], Some(""), Some("one"), Some("one")),
            (&["one", "two"], None, Some("one"), Some("one")),
            (&[], Some("three"), Some("three"), Some("three")),
            (&[], Some(""), None, None),
            (&[], None, None, None),
        ] {
            let nameless = Vec::from_iter(keys.iter().copied().map(ClientKey::nameless));
            let found = found(&nameless, token, None);
            assert_eq!(found, [Ok(own), Ok(another)], "{keys:?} {token:?}");
        }
    }

    #[test]
    fn nobody_is_given_the_name_of_somebody_else() {
        let (alice, bob) = (ClientKey::named("alice", "a"), ClientKey::named("bob", "b"));
        let keys = [alice, bob, ClientKey::nameless("n")];
        let [several, mixed] = [&keys[..2], &keys[..]];
        let undecided = || Err(Undecided::Several("alice, bob".to_owned()));
        for (keys, token, name, own, another) in [
            (&keys[..1], None, None, Ok(Some("a")), Ok(Some("a"))),
            (&keys[..1], Some("x"), None, Ok(Some("a")), Ok(Some("x"))),
            (several, None, None, undecided(), undecided()),
            (several, Some("x"), None, undecided(), Ok(Some("x"))),
            (several, Some("b"), None, Ok(Some("b")), Ok(Some("b"))),
            (
                several,
                Some("b"),
                Some("alice"),
                Ok(Some("a")),
                Ok(Some("a")),
            ),
            (mixed, None, None, Ok(Some("n")), Ok(Some("n"))),
            (mixed, Some("x"), Some("bob"), Ok(Some("b")), Ok(Some("b"))),
        ] {
            let found = found(keys, token, name);
            assert_eq!(found, [own, another], "{keys:?} {token:?} {name:?}");
        }
        let said = |keys: &[ClientKey], name: Option<&str>| {
            let [own, another] = found(keys, None, name);
            assert_eq!(own, another);
            own.unwrap_err().to_string()
        };
        insta::assert_snapshot!(said(several, None), @"runs are recorded under the name of the client key that is presented, and several are known here: say whose is to be presented with --as NAME before the command (there are: alice, bob), or set ANTHROPIC_AUTH_TOKEN to that key");
        insta::assert_snapshot!(said(mixed, Some("carol")), @"--as: no client key that is known here has the name `carol`; there are: alice, bob");
        insta::assert_snapshot!(said(&keys[2..], Some("carol")), @"--as: no client key that is known here has a name; give each one in DAGWAY_CLIENT_KEYS, such as `alice = KEY`");
        assert_eq!(said(&[], Some("carol")), said(&keys[2..], Some("carol")));
    }
}
