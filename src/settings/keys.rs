//! Where keys are found, and which upstreams have none.

use std::path::Path;

use super::source::fault;
use super::{Error, Secret, Settings, Upstream, secrets};

/// Finds the key of an upstream: the variable counts before the file, and that before what is written in the settings.
pub(super) fn find(
    name: &str,
    upstream: &mut Upstream,
    environment: &[(String, String)],
) -> Result<(), Error> {
    let (variable, file) = (upstream.key_env.as_deref(), upstream.key_file.as_deref());
    let setting = format!("upstreams.{name}");
    if let Some(key) = elsewhere(&setting, variable, file, environment)? {
        upstream.key = key;
    }
    Ok(())
}

/// The key that stands outside of the settings: in the variable or the file that it names with `_FILE`, or else in the
/// file of the settings.
pub(super) fn elsewhere(
    setting: &str,
    key_env: Option<&str>,
    key_file: Option<&Path>,
    environment: &[(String, String)],
) -> Result<Option<Secret>, Error> {
    if let Some(variable) = key_env
        && let Some(key) = secrets::of_variable(variable, environment)?
    {
        return Ok(Some(key));
    }
    let key = key_file.map(secrets::read_one).transpose();
    key.map(|key| key.map(Secret::new))
        .map_err(|error| fault(&format!("{setting}.key_file"), error.to_string()))
}

/// An upstream whose variable holds no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyless<'a> {
    /// The upstream's name.
    pub upstream: &'a str,
    /// The variable.
    pub variable: &'a str,
    /// Whether it is on this machine, where servers seldom want one.
    pub is_here: bool,
}

impl std::fmt::Display for Keyless<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            upstream, variable, ..
        } = self;
        write!(f, "the upstream `{upstream}` has no key: set {variable}")
    }
}

impl Settings {
    /// The upstreams that have no key though a variable is named for it.
    pub fn keyless(&self) -> impl Iterator<Item = Keyless<'_>> {
        let upstreams = self.upstreams.iter();
        let without = upstreams.filter(|(_, one)| !one.may_have_a_key());
        without.filter_map(|(name, one)| {
            Some(Keyless {
                upstream: name,
                variable: one.key_env.as_deref()?,
                is_here: one.is_here(),
            })
        })
    }

    /// Whether the one key that is needed is missing: OpenRouter is the only upstream, and it is the real one.
    #[must_use]
    pub fn lacks_the_key(&self) -> bool {
        let [openrouter] = self.upstreams.values().collect::<Vec<_>>()[..] else {
            return false;
        };
        !openrouter.may_have_a_key() && openrouter.base_url.contains("openrouter.ai")
    }
}
