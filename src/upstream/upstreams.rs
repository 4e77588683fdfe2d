//! All upstreams, and which model is where: names, rules, lanes.
//!
//! A name is first replaced by what its alias stands for. The first rule that fits then says upstream and lane; it may
//! fit the name as it is (`local/qwen3`, `claude-opus-4-5`) or the id under which OpenRouter lists it
//! (`anthropic/claude-opus-4.5`). What no rule fits goes to the first upstream in the chat lane, by its id there.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::value::RawValue;

use super::client::{Client, Kind};
use super::fallbacks::{Candidate, Cooldowns, Fallback};
use super::models::Models;
use super::routes::Routes;
use crate::protocol::anthropic::request::InvalidRequest;
use crate::protocol::openrouter::catalogue::{Catalogue, Entry};
use crate::protocol::translate::model::{DISCOVERY_PREFIX, Target, meant, resolve};

/// An upstream: how it is spoken to and what models it has.
#[derive(Debug)]
pub struct Upstream {
    /// The way there.
    pub client: Client,
    /// Its models.
    pub models: Models,
}

impl Upstream {
    /// An upstream whose catalogue has not come yet.
    #[must_use]
    pub fn new(client: Client) -> Self {
        let models = Models::default();
        Self { client, models }
    }

    /// Its name in the settings.
    #[must_use]
    pub fn name(&self) -> &str {
        self.client.name()
    }

    /// One of its models, with what its catalogue says of it.
    #[must_use]
    pub fn target(&self, id: &str) -> Target {
        let target = self.models.target(id);
        Target {
            dialect: self.client.dialect(),
            ..target
        }
    }
}

/// How a request goes to an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lane {
    /// Translated to chat completions.
    #[default]
    Chat,
    /// As it is, to a Messages endpoint.
    Native,
}

impl Lane {
    /// The word for it in the settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Native => "native",
        }
    }
}

/// Where models of a name are.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What the name is like.
    pub pattern: Pattern,
    /// Where it is.
    pub upstream: Arc<Upstream>,
    /// How requests go there.
    pub lane: Lane,
    /// Its name there; as it matched when absent.
    pub send: Option<Pattern>,
    /// OpenRouter's `provider` object for it.
    pub provider: Option<Arc<RawValue>>,
}

/// A text with at most one star, which stands for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    before: String,
    after: Option<String>,
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Self {
        match text.split_once('*') {
            Some((before, after)) => Self {
                before: before.to_owned(),
                after: Some(after.to_owned()),
            },
            None => Self {
                before: text.to_owned(),
                after: None,
            },
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_star("*"))
    }
}

impl Pattern {
    /// What the star stands for in a text that fits; nothing where there is no star.
    #[must_use]
    pub fn star<'t>(&self, text: &'t str) -> Option<&'t str> {
        let rest = text.strip_prefix(self.before.as_str())?;
        match &self.after {
            Some(after) => rest.strip_suffix(after.as_str()),
            None => rest.is_empty().then_some(rest),
        }
    }

    /// The text in which the star stands for `star`.
    #[must_use]
    pub fn with_star(&self, star: &str) -> String {
        match &self.after {
            Some(after) => [&self.before, star, after].concat(),
            None => self.before.clone(),
        }
    }
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub struct Route {
    /// To whom.
    pub upstream: Arc<Upstream>,
    /// How.
    pub lane: Lane,
    /// The model's name there.
    pub id: Arc<str>,
    /// OpenRouter's `provider` object, as the settings have it: which hosts may answer, in which order, at which price. It is
    /// there for upstreams that do not take it, too, which are not sent it.
    pub provider: Option<Arc<RawValue>>,
}

impl Route {
    /// The model at its upstream and at its hosts there, in one word: two names that lead there are the same model.
    fn place(&self) -> Arc<str> {
        let provider = self.provider.as_deref().map_or("", RawValue::get);
        let upstream = self.upstream.name();
        [upstream, ":", &*self.id, provider].concat().into()
    }
}

/// A fallback that leads nowhere.
#[derive(Debug, thiserror::Error)]
#[error("models.fallbacks (match = \"{pattern}\"): {reason}")]
pub struct UnknownFallback {
    /// For whom it was to step in.
    pub pattern: String,
    /// Which it is, and what would be right.
    pub reason: String,
}

/// An alias that leads nowhere.
#[derive(Debug, thiserror::Error)]
#[error("models.aliases: {reason}")]
pub struct UnknownAlias {
    /// Which it is, and what would be right.
    pub reason: String,
}

/// All upstreams and the rules between them.
#[derive(Debug)]
pub struct Upstreams {
    first: Arc<Upstream>,
    others: Vec<Arc<Upstream>>,
    rules: Vec<Rule>,
    aliases: BTreeMap<String, String>,
    provider: Option<Arc<RawValue>>,
    routes: Routes,
    fallbacks: Vec<Fallback>,
    cooldowns: Cooldowns,
}

impl Upstreams {
    /// `first` takes what no rule fits.
    #[must_use]
    pub fn new(
        first: Arc<Upstream>,
        others: Vec<Arc<Upstream>>,
        rules: Vec<Rule>,
        aliases: BTreeMap<String, String>,
    ) -> Self {
        Self {
            first,
            others,
            rules,
            aliases,
            provider: None,
            routes: Routes::default(),
            fallbacks: Vec::new(),
            cooldowns: Cooldowns::default(),
        }
    }

    /// With OpenRouter's `provider` object for what no rule fits.
    #[must_use]
    pub fn with_provider(mut self, provider: Option<Arc<RawValue>>) -> Self {
        self.provider = provider;
        self
    }

    /// With models that may step in for others; the first entry that fits a name counts. One that failed is asked last
    /// during its `cooldown`.
    ///
    /// # Errors
    /// When one of them is none that Dagway knows: which, and for whom it was to step in.
    pub fn with_fallbacks(
        mut self,
        fallbacks: Vec<Fallback>,
        cooldown: Duration,
    ) -> Result<Self, UnknownFallback> {
        for fallback in &fallbacks {
            for model in &fallback.models {
                self.route(model).map_err(|refused| UnknownFallback {
                    pattern: fallback.pattern.to_string(),
                    reason: refused.message,
                })?;
            }
        }
        self.fallbacks = fallbacks;
        self.cooldowns = Cooldowns::lasting(cooldown);
        Ok(self)
    }

    /// Looks where the aliases lead.
    ///
    /// # Errors
    /// The first that stands for no model: which, and what would be right.
    pub fn prove_aliases(&self) -> Result<(), UnknownAlias> {
        for alias in self.aliases.keys() {
            self.find_route(alias).map_err(|refused| UnknownAlias {
                reason: refused.message,
            })?;
        }
        Ok(())
    }

    /// All of them; the one that takes what no rule fits comes first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Their hosts, for a log.
    #[must_use]
    pub fn hosts(&self) -> String {
        let hosts: Vec<&str> = self.all().map(|one| one.client.host()).collect();
        hosts.join(",")
    }

    /// Where a request for a model goes.
    ///
    /// # Errors
    /// When the name is none that Dagway knows: another model than the one asked for is never taken silently.
    pub fn route(&self, asked: &str) -> Result<Route, InvalidRequest> {
        self.routes.get_or_find(asked, || self.find_route(asked))
    }

    /// Whether any model has fallbacks.
    #[must_use]
    pub fn have_fallbacks(&self) -> bool {
        !self.fallbacks.is_empty()
    }

    /// All models that may step in for others, by the names under which they are asked.
    pub fn fallbacks(&self) -> impl Iterator<Item = &str> {
        let models = self.fallbacks.iter().flat_map(|one| &one.models);
        models.map(|model| &**model)
    }

    /// The models that may be asked for a request that names `asked`, the likeliest first; none when
    /// nobody may step in, or the name is none that Dagway knows.
    #[must_use]
    pub fn candidates(&self, asked: &str) -> Vec<Candidate> {
        let (bare, id) = self.names_of(asked);
        let listed = id.as_deref().ok();
        let fits = |fallback: &&Fallback| {
            let mut names = [Some(bare), listed].into_iter().flatten();
            names.any(|name| fallback.pattern.star(name).is_some())
        };
        let Some(fallback) = self.fallbacks.iter().find(fits) else {
            return Vec::new();
        };
        let Ok(asked) = self.route(asked) else {
            return Vec::new();
        };
        let models = fallback.models.iter().filter_map(|model| {
            let route = self.route(model).ok()?;
            Some((Some(Arc::clone(model)), route.place()))
        });
        let mut places = HashSet::new();
        let all = std::iter::once((None, asked.place())).chain(models);
        let candidates: Vec<_> = all
            .filter(|(_, place)| places.insert(Arc::clone(place)))
            .collect();
        if candidates.len() < 2 {
            return Vec::new();
        }
        let mut candidates = self.cooldowns.in_order(candidates);
        // Who comes last is waited for: nobody is left to be asked.
        if let Some((_, before)) = candidates.split_last_mut() {
            for candidate in before {
                candidate.patience = fallback.patience;
            }
        }
        candidates
    }

    /// Remembers that the model of this name cannot be had, whatever is asked of it.
    pub fn cool_down(&self, asked: &str) {
        if let Ok(route) = self.route(asked) {
            self.cooldowns.begin(&route.place());
        }
    }

    /// Notes that the model of this name answers.
    pub fn is_there(&self, asked: &str) {
        if let Ok(route) = self.route(asked) {
            self.cooldowns.end(&route.place());
        }
    }

    /// What a name stands for: without what marks it as one that Dagway lists, and the id under which `OpenRouter` lists it.
    fn names_of<'n>(&'n self, asked: &'n str) -> (&'n str, Result<String, InvalidRequest>) {
        let name = meant(asked, &self.aliases);
        let id = resolve(name, &BTreeMap::new());
        (name.strip_prefix(DISCOVERY_PREFIX).unwrap_or(name), id)
    }

    fn find_route(&self, asked: &str) -> Result<Route, InvalidRequest> {
        let (bare, id) = self.names_of(asked);
        let by_rule = self.rules.iter().find_map(|rule| {
            let listed = id.as_deref().ok();
            [Some(bare), listed].into_iter().flatten().find_map(|name| {
                let star = rule.pattern.star(name)?;
                let sent = match (&rule.send, rule.upstream.client.kind()) {
                    (Some(send), _) => send.with_star(star),
                    (None, Kind::OpenRouter) => listed?.to_owned(),
                    (None, Kind::OpenAi | Kind::Anthropic) => name.to_owned(),
                };
                Some(Route {
                    upstream: Arc::clone(&rule.upstream),
                    lane: rule.lane,
                    id: sent.into(),
                    provider: rule.provider.clone(),
                })
            })
        });
        match (by_rule, id) {
            (Some(route), _) => Ok(route),
            (None, Ok(id)) => Ok(Route {
                upstream: Arc::clone(&self.first),
                lane: Lane::Chat,
                id: id.into(),
                provider: self.provider.clone(),
            }),
            (None, Err(_)) => Err(match resolve(asked, &self.aliases) {
                Err(refused) => refused,
                Ok(_) => {
                    InvalidRequest::at("model", format!("`{asked}` is no model that Dagway knows"))
                }
            }),
        }
    }

    /// The model that is asked for by this name, under the name by which it is listed; `None` when no catalogue has it.
    #[must_use]
    pub fn entry(&self, asked: &str) -> Option<Entry> {
        let route = self.route(asked).ok()?;
        let catalogue = route.upstream.models.catalogue()?;
        let entry = catalogue.get(&route.id)?;
        self.listed(&route.upstream, entry)
            .or_else(|| Some(entry.clone()))
    }

    /// The lane of a request for a model; what cannot be routed is refused in the chat lane.
    #[must_use]
    pub fn lane(&self, asked: &str) -> Lane {
        self.route(asked).map_or(Lane::Chat, |route| route.lane)
    }

    /// The models of all upstreams, each under the name by which it can be asked for; `None` before any has come.
    #[must_use]
    pub fn catalogue(&self) -> Option<Arc<Catalogue>> {
        if self.others.is_empty() {
            return self.first.models.catalogue();
        }
        let known: Vec<_> = self
            .all()
            .filter_map(|upstream| Some((upstream, upstream.models.catalogue()?)))
            .collect();
        if known.is_empty() {
            return None;
        }
        let entries = known.iter().flat_map(|(upstream, catalogue)| {
            catalogue
                .entries()
                .iter()
                .filter_map(|entry| self.listed(upstream, entry))
        });
        Some(Arc::new(Catalogue::new(entries.collect())))
    }

    /// The merged catalogue, waiting for the first fetches at most `within`.
    pub async fn wait(&self, within: Duration) -> Option<Arc<Catalogue>> {
        join_all(self.all().map(|upstream| upstream.models.wait(within))).await;
        self.catalogue()
    }

    /// Keeps all catalogues fresh, for ever.
    pub async fn keep_fresh(&self, every: Duration) {
        join_all(
            self.all()
                .map(|upstream| upstream.models.keep_fresh(&upstream.client, every)),
        )
        .await;
    }

    /// A model under the name that leads to it; `None` when no name does.
    fn listed(&self, upstream: &Arc<Upstream>, entry: &Entry) -> Option<Entry> {
        let by_rule = self
            .rules
            .iter()
            .filter(|rule| Arc::ptr_eq(&rule.upstream, upstream))
            .filter_map(|rule| match &rule.send {
                Some(send) => Some(rule.pattern.with_star(send.star(&entry.id)?)),
                None => Some(entry.id.clone()),
            });
        let leads_there = |name: &String| {
            self.route(name)
                .is_ok_and(|route| Arc::ptr_eq(&route.upstream, upstream) && *route.id == *entry.id)
        };
        let own = std::iter::once(entry.id.clone());
        let id = own.chain(by_rule).find(leads_there)?;
        Some(Entry {
            id,
            ..entry.clone()
        })
    }
}

impl Kind {
    /// The lane of a rule that names none.
    #[must_use]
    pub fn usual_lane(self) -> Lane {
        match self {
            Self::OpenRouter | Self::OpenAi => Lane::Chat,
            Self::Anthropic => Lane::Native,
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::super::client::Config;
    use super::*;
    use crate::protocol::translate::dialect::Dialect;

    fn upstream(name: &str, kind: Kind) -> Arc<Upstream> {
        let client = Client::new(&Config {
            name: name.to_owned(),
            kind,
            base_url: format!("http://{name}.test/v1"),
            key: SecretString::from(""),
            key_env: None,
            headers: Vec::new(),
            dialect: Dialect::OPENROUTER,
            connect_timeout: Duration::from_secs(1),
            early_error_wait: Duration::from_secs(1),
        });
        Arc::new(Upstream::new(client.unwrap()))
    }

    fn upstreams() -> Upstreams {
        let openrouter = upstream("openrouter", Kind::OpenRouter);
        let local = upstream("local", Kind::OpenAi);
        let anthropic = upstream("anthropic", Kind::Anthropic);
        let rule = |pattern: &str, upstream: &Arc<Upstream>, lane, send: Option<&str>| Rule {
            pattern: Pattern::from(pattern),
            upstream: Arc::clone(upstream),
            lane,
            send: send.map(Pattern::from),
            provider: None,
        };
        let rules = vec![
            rule("local/*", &local, Lane::Chat, Some("*")),
            rule("tiny", &local, Lane::Chat, Some("tiny-model:1b")),
            rule("claude-opus-*", &anthropic, Lane::Native, None),
            rule("claude-3-*", &anthropic, Lane::Native, Some("claude-3-*")),
            rule("claude-haiku-*", &openrouter, Lane::Chat, None),
            rule("anthropic/*", &openrouter, Lane::Native, None),
            rule("nobody*", &openrouter, Lane::Native, None),
        ];
        let aliases = [
            ("fast", "local/qwen3"),
            ("sonnet", "anthropic/claude-sonnet-5.5"),
        ];
        let aliases = aliases.map(|(name, meant)| (name.to_owned(), meant.to_owned()));
        Upstreams::new(openrouter, vec![local, anthropic], rules, aliases.into())
    }

    #[test]
    fn the_first_rule_that_fits_says_where_and_how() {
        let upstreams = upstreams();
        for (asked, expected) in [
            ("local/qwen3", ("local", Lane::Chat, "qwen3")),
            ("local/a/b:c", ("local", Lane::Chat, "a/b:c")),
            ("anthropic-or/local/qwen3", ("local", Lane::Chat, "qwen3")),
            ("fast", ("local", Lane::Chat, "qwen3")),
            ("tiny", ("local", Lane::Chat, "tiny-model:1b")),
            (
                "sonnet",
                ("openrouter", Lane::Native, "anthropic/claude-sonnet-5.5"),
            ),
            (
                "claude-sonnet-4-5[1m]",
                ("openrouter", Lane::Native, "anthropic/claude-sonnet-4.5"),
            ),
            (
                "claude-3-5-haiku-20241022",
                ("anthropic", Lane::Native, "claude-3-5-haiku-20241022"),
            ),
            (
                "claude-haiku-5-5",
                ("openrouter", Lane::Chat, "anthropic/claude-haiku-5.5"),
            ),
            ("openai/gpt-5", ("openrouter", Lane::Chat, "openai/gpt-5")),
        ] {
            let route = upstreams.route(asked).unwrap();
            assert_eq!(
                (route.upstream.name(), route.lane, &*route.id),
                expected,
                "{asked}"
            );
        }
        assert!(upstreams.route("gpt-5").is_err());
        assert!(
            upstreams.route("nobody-knows").is_err(),
            "OpenRouter has no such names"
        );
        assert_eq!(upstreams.lane("gpt-5"), Lane::Chat);
    }

    #[test]
    fn an_absent_send_is_the_name_that_matched() {
        let route = upstreams().route("claude-opus-4-5-20251101").unwrap();
        assert_eq!(
            (route.upstream.name(), &*route.id),
            ("anthropic", "claude-opus-4-5-20251101")
        );
    }

    #[test]
    fn models_are_listed_under_the_name_that_leads_to_them() {
        let upstreams = upstreams();
        let all: Vec<_> = upstreams.all().cloned().collect();
        let listed = |upstream: usize, id: &str| {
            let entry = Entry {
                id: id.to_owned(),
                ..Entry::default()
            };
            upstreams
                .listed(&all[upstream], &entry)
                .map(|entry| entry.id)
        };
        assert_eq!(listed(0, "openai/gpt-5").as_deref(), Some("openai/gpt-5"));
        assert_eq!(listed(1, "qwen3").as_deref(), Some("local/qwen3"));
        assert_eq!(
            listed(1, "tiny-model:1b").as_deref(),
            Some("local/tiny-model:1b")
        );
        assert_eq!(
            listed(2, "claude-opus-4-5").as_deref(),
            Some("claude-opus-4-5")
        );
        assert_eq!(listed(2, "claude-sonnet-4-5"), None, "no rule leads there");
        assert_eq!(listed(0, "local/x"), None, "a rule takes it away");
    }

    #[test]
    fn a_model_at_other_hosts_may_step_in_for_itself() {
        let openrouter = upstream("openrouter", Kind::OpenRouter);
        let rule = |pattern: &str, provider: &str| Rule {
            pattern: Pattern::from(pattern),
            upstream: Arc::clone(&openrouter),
            lane: Lane::Chat,
            send: Some(Pattern::from("a/b")),
            provider: Some(RawValue::from_string(provider.to_owned()).unwrap().into()),
        };
        let rules = vec![
            rule("at/x", "{\"only\":[\"x\"]}"),
            rule("at/y", "{\"only\":[\"y\"]}"),
            rule("also/x", "{\"only\":[\"x\"]}"),
        ];
        let upstreams = Upstreams::new(openrouter, Vec::new(), rules, BTreeMap::new());
        let fallback = Fallback {
            pattern: Pattern::from("at/x"),
            models: vec!["also/x".into(), "at/y".into()],
            patience: Some(Duration::from_secs(20)),
        };
        let upstreams = upstreams.with_fallbacks(vec![fallback], Duration::from_mins(1));
        let upstreams = upstreams.unwrap();
        let asked = || {
            let candidates = upstreams.candidates("at/x").into_iter();
            let told =
                candidates.map(|one| (one.instead.as_deref().map(str::to_owned), one.patience));
            Vec::from_iter(told)
        };
        let (other, patience) = (Some("at/y".to_owned()), Some(Duration::from_secs(20)));
        assert_eq!(asked(), [(None, patience), (other.clone(), None)]);
        upstreams.cool_down("at/x");
        assert_eq!(
            asked(),
            [(other, patience), (None, None)],
            "the last one is waited for"
        );
    }

    #[test]
    fn a_further_name_for_a_model_does_not_take_the_place_of_its_id() {
        let mut upstreams = upstreams();
        let first = Arc::clone(&upstreams.first);
        upstreams.rules.push(Rule {
            pattern: Pattern::from("elsewhere"),
            upstream: Arc::clone(&first),
            lane: Lane::Native,
            send: Some(Pattern::from("openai/gpt-5")),
            provider: None,
        });
        let entry = Entry {
            id: "openai/gpt-5".to_owned(),
            ..Entry::default()
        };
        assert_eq!(
            upstreams.route("elsewhere").unwrap().id,
            "openai/gpt-5".into()
        );
        assert_eq!(upstreams.listed(&first, &entry).unwrap().id, "openai/gpt-5");
    }

    #[test]
    fn a_star_stands_for_what_is_between() {
        let pattern = Pattern::from("a*z");
        assert_eq!(pattern.star("abcz"), Some("bc"));
        assert_eq!(pattern.star("az"), Some(""));
        assert_eq!(pattern.star("a"), None);
        assert_eq!(pattern.with_star("-"), "a-z");
        assert_eq!(Pattern::from("x").star("x"), Some(""));
        assert_eq!(Pattern::from("x").star("xy"), None);
    }
}
