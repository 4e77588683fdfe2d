//! The list of models in Anthropic's shape (`GET /v1/models`), made from the upstream's catalogue.
//!
//! Claude Code shows only models whose id names `claude` or `anthropic`, and takes what it knows of a Claude from its
//! name. So models of other vendors are listed as `anthropic-or/vendor/model`: shown, but never taken for a Claude.
//! This file must not know how the catalogue is fetched nor who asks.

use serde::Serialize;

use super::model::{DISCOVERY_PREFIX, Family};
use crate::protocol::anthropic::request::InvalidRequest;
use crate::protocol::openrouter::catalogue::{Catalogue, Entry, Level, ReasoningAbility};

const DEFAULT_LIMIT: usize = 20;
const LARGEST_LIMIT: usize = 1000;

/// Which part of the list is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListQuery<'a> {
    /// At most so many; 20 unless said.
    pub limit: Option<usize>,
    /// Those behind this one.
    pub after_id: Option<&'a str>,
    /// Those before this one.
    pub before_id: Option<&'a str>,
    /// In one of these stages of their life; any when empty.
    pub lifecycle: &'a [Lifecycle],
}

/// A stage of a model's life. What is retired is no longer in a catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Lifecycle {
    /// It stays.
    Active,
    /// It will be taken off.
    Deprecated,
    /// It was taken off.
    Retired,
}

impl Lifecycle {
    /// The stage of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(name: &str) -> Result<Self, InvalidRequest> {
        match name {
            "active" => Ok(Self::Active),
            "deprecated" => Ok(Self::Deprecated),
            "retired" => Ok(Self::Retired),
            _ => Err(InvalidRequest::at(
                "lifecycle",
                "Input should be 'active', 'deprecated' or 'retired'",
            )),
        }
    }

    fn of(entry: &Entry) -> Self {
        match entry.expiration_date {
            Some(_) => Self::Deprecated,
            None => Self::Active,
        }
    }
}

/// A page of the list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Page {
    /// The models.
    pub data: Vec<ModelInfo>,
    /// Whether there are more in the direction asked for.
    pub has_more: bool,
    /// The first id on the page.
    pub first_id: Option<String>,
    /// The last id on the page.
    pub last_id: Option<String>,
}

/// A model in Anthropic's shape.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelInfo {
    /// Always `model`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The id to ask for.
    pub id: String,
    /// For humans.
    pub display_name: String,
    /// When it was listed.
    pub created_at: String,
    /// Whether it stays.
    pub lifecycle: Lifecycle,
    /// When it will be taken off.
    pub retires_at: Option<String>,
    /// `haiku`, `sonnet`, `opus` …, for a Claude.
    pub line: Option<&'static str>,
    /// The context, in tokens.
    pub max_input_tokens: Option<u64>,
    /// The longest answer, in tokens.
    pub max_tokens: Option<u64>,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// Whether something can be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Support {
    /// Yes or no.
    pub supported: bool,
}

/// What a model can do through Dagway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    batch: Support,
    citations: Support,
    code_execution: Support,
    context_management: Support,
    effort: EffortSupport,
    image_input: Support,
    pdf_input: Support,
    server_tools: ServerToolSupport,
    structured_outputs: Support,
    thinking: ThinkingSupport,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct EffortSupport {
    supported: bool,
    low: Support,
    medium: Support,
    high: Support,
    xhigh: Support,
    max: Support,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct ServerToolSupport {
    supported: bool,
    code_execution: Support,
    web_search: Support,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct ThinkingSupport {
    supported: bool,
    types: ThinkingTypes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct ThinkingTypes {
    adaptive: Support,
    between_tools: Support,
    disabled: Support,
    enabled: Support,
}

/// Gives a page of the list, in the catalogue's order.
///
/// # Errors
/// When the limit is out of range or the page is to begin at a model that is not in the list.
pub fn list(catalogue: &Catalogue, query: &ListQuery<'_>) -> Result<Page, InvalidRequest> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=LARGEST_LIMIT).contains(&limit) {
        return Err(InvalidRequest::at(
            "limit",
            "Input should be between 1 and 1000",
        ));
    }
    let entries = catalogue.entries();
    let place = |id: &str, field: &str| {
        let id = upstream_id(id);
        entries
            .iter()
            .position(|entry| entry.id == id)
            .ok_or_else(|| {
                InvalidRequest::at(field, format!("`{id}` is not in the list of models"))
            })
    };
    let (rest, backwards) = match (query.after_id, query.before_id) {
        (Some(_), Some(_)) => {
            return Err(InvalidRequest::at(
                "before_id",
                "Only one of `after_id` and `before_id` can be given",
            ));
        }
        (Some(after), None) => (entries.get(place(after, "after_id")? + 1..), false),
        (None, Some(before)) => (entries.get(..place(before, "before_id")?), true),
        (None, None) => (Some(entries), false),
    };
    let is_wanted = |entry: &&Entry| {
        query.lifecycle.is_empty() || query.lifecycle.contains(&Lifecycle::of(entry))
    };
    let rest: Vec<&Entry> = rest.into_iter().flatten().filter(is_wanted).collect();
    let more = rest.len().saturating_sub(limit);
    let shown = if backwards {
        rest.get(more..)
    } else {
        rest.get(..rest.len() - more)
    };
    let data: Vec<ModelInfo> = shown
        .unwrap_or_default()
        .iter()
        .map(|entry| ModelInfo::of(entry))
        .collect();
    Ok(Page {
        has_more: more > 0,
        first_id: data.first().map(|model| model.id.clone()),
        last_id: data.last().map(|model| model.id.clone()),
        data,
    })
}

/// Finds one model by the id it is listed under or by the upstream's.
#[must_use]
pub fn find(catalogue: &Catalogue, id: &str) -> Option<ModelInfo> {
    catalogue.get(upstream_id(id)).map(ModelInfo::of)
}

fn upstream_id(listed: &str) -> &str {
    listed.strip_prefix(DISCOVERY_PREFIX).unwrap_or(listed)
}

impl ModelInfo {
    /// Describes an entry of the catalogue.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        let family = Family::of(&entry.id);
        let id = if family == Family::Claude {
            entry.id.clone()
        } else {
            format!("{DISCOVERY_PREFIX}{}", entry.id)
        };
        Self {
            kind: "model",
            id,
            display_name: entry.name.clone().unwrap_or_else(|| entry.id.clone()),
            created_at: timestamp(entry.created.unwrap_or(0)),
            lifecycle: Lifecycle::of(entry),
            retires_at: entry.expiration_date.as_deref().and_then(midnight),
            line: (family == Family::Claude)
                .then(|| line(&entry.id))
                .flatten(),
            max_input_tokens: entry.context_length,
            max_tokens: entry.max_output(),
            capabilities: Capabilities::of(entry),
        }
    }
}

fn timestamp(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_string()
}

/// The catalogue says a day or a time.
fn midnight(date: &str) -> Option<String> {
    if date.parse::<jiff::Timestamp>().is_ok() {
        return Some(date.to_owned());
    }
    date.parse::<jiff::civil::Date>()
        .ok()
        .map(|day| format!("{day}T00:00:00Z"))
}

fn line(id: &str) -> Option<&'static str> {
    ["haiku", "sonnet", "opus", "fable", "mythos"]
        .into_iter()
        .find(|line| id.contains(line))
}

impl Capabilities {
    fn of(entry: &Entry) -> Self {
        let yes = |supported| Support { supported };
        let inputs = entry.inputs().unwrap_or_default();
        let parameters = entry.supported_parameters.unwrap_or_default();
        let reasons = entry.reasoning.is_some() || parameters.reasoning;
        let ability = entry.reasoning.unwrap_or_default();
        let tools = parameters.tools;
        Self {
            batch: yes(false),
            citations: yes(false),
            code_execution: yes(false),
            context_management: yes(false),
            effort: EffortSupport::of(reasons, ability),
            image_input: yes(inputs.image),
            // The upstream reads PDFs for models that cannot.
            pdf_input: yes(true),
            server_tools: ServerToolSupport {
                supported: tools,
                code_execution: yes(false),
                web_search: yes(tools),
            },
            structured_outputs: yes(parameters.structured_outputs),
            thinking: ThinkingSupport {
                supported: reasons,
                types: ThinkingTypes {
                    adaptive: yes(reasons),
                    between_tools: yes(false),
                    disabled: yes(!ability.mandatory),
                    enabled: yes(reasons),
                },
            },
        }
    }
}

impl EffortSupport {
    fn of(reasons: bool, ability: ReasoningAbility) -> Self {
        let takes = |level| Support {
            supported: reasons && ability.efforts.is_none_or(|levels| levels.contains(level)),
        };
        Self {
            supported: reasons,
            low: takes(Level::Low),
            medium: takes(Level::Medium),
            high: takes(Level::High),
            xhigh: takes(Level::Xhigh),
            max: takes(Level::Max),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn catalogue() -> Catalogue {
        let models = json!({"data":[
            {"id":"anthropic/claude-sonnet-4.5","name":"Anthropic: Claude Sonnet 4.5","created":1_759_161_676,"context_length":1_000_000,
             "top_provider":{"max_completion_tokens":64000},"architecture":{"input_modalities":["text","image"]},
             "supported_parameters":["tools","reasoning","structured_outputs"],"reasoning":{"mandatory":false,"supported_efforts":["high","low"]}},
            {"id":"openai/gpt-5","expiration_date":"2027-01-31"},
            {"id":"qwen/qwen3-coder:free","created":-99_999_999_999_999_i64},
            {"id":"x/y"}
        ]});
        Catalogue::parse(models.to_string().as_bytes()).unwrap()
    }

    fn ids(query: ListQuery<'_>) -> (Vec<String>, bool) {
        let page = list(&catalogue(), &query).unwrap();
        (
            page.data.into_iter().map(|model| model.id).collect(),
            page.has_more,
        )
    }

    #[test]
    fn a_model_looks_like_anthropics() {
        let model = find(&catalogue(), "anthropic/claude-sonnet-4.5").unwrap();
        let shown = serde_json::to_value(&model).unwrap();
        assert_eq!(shown["type"], "model");
        assert_eq!(shown["created_at"], "2025-09-29T16:01:16Z");
        assert_eq!(shown["line"], "sonnet");
        assert_eq!(shown["max_input_tokens"], 1_000_000);
        assert_eq!(shown["max_tokens"], 64_000);
        assert_eq!(shown["capabilities"]["effort"]["high"]["supported"], true);
        assert_eq!(
            shown["capabilities"]["effort"]["medium"]["supported"],
            false
        );
        assert_eq!(shown["capabilities"]["image_input"]["supported"], true);
        assert_eq!(
            shown["capabilities"]["thinking"]["types"]["disabled"]["supported"],
            true
        );
    }

    #[test]
    fn models_of_others_are_listed_so_that_claude_code_shows_them_and_found_by_both_names() {
        let listed = "anthropic-or/openai/gpt-5";
        for id in [listed, "openai/gpt-5"] {
            let model = find(&catalogue(), id).unwrap();
            assert_eq!(model.id, listed);
            assert_eq!(model.retires_at.as_deref(), Some("2027-01-31T00:00:00Z"));
            assert_eq!(model.lifecycle, Lifecycle::Deprecated);
        }
        assert_eq!(find(&catalogue(), "nobody/nothing"), None);
        let odd = find(&catalogue(), "qwen/qwen3-coder:free").unwrap();
        assert_eq!(odd.created_at, "1970-01-01T00:00:00Z");
    }

    #[test]
    fn pages_follow_each_other_in_both_directions() {
        let (first, more) = ids(ListQuery {
            limit: Some(2),
            ..ListQuery::default()
        });
        assert_eq!(
            first,
            ["anthropic/claude-sonnet-4.5", "anthropic-or/openai/gpt-5"]
        );
        assert!(more);
        let after = ListQuery {
            limit: Some(2),
            after_id: Some(&first[1]),
            ..ListQuery::default()
        };
        let (second, more) = ids(after);
        assert_eq!(
            second,
            ["anthropic-or/qwen/qwen3-coder:free", "anthropic-or/x/y"]
        );
        assert!(!more);
        let before = ListQuery {
            limit: Some(1),
            before_id: Some(&second[0]),
            ..ListQuery::default()
        };
        assert_eq!(ids(before), (vec![first[1].clone()], true));
        let end = ListQuery {
            after_id: Some("x/y"),
            ..ListQuery::default()
        };
        assert_eq!(ids(end), (vec![], false));
    }

    #[test]
    fn a_stage_of_life_can_be_asked_for() {
        let of = |lifecycle: &[Lifecycle]| {
            ids(ListQuery {
                limit: Some(1),
                lifecycle,
                ..ListQuery::default()
            })
        };
        let gpt = vec!["anthropic-or/openai/gpt-5".to_owned()];
        assert_eq!(of(&[Lifecycle::Deprecated]), (gpt, false));
        assert_eq!(of(&[Lifecycle::Retired]), (vec![], false));
        let (_, more) = of(&[Lifecycle::Active, Lifecycle::Deprecated]);
        assert!(more);
        assert!(Lifecycle::read("young").is_err());
    }

    #[test]
    fn twenty_models_are_a_page_unless_another_number_is_asked() {
        let models: Vec<_> = (0..21).map(|n| json!({"id":format!("x/{n}")})).collect();
        let catalogue = Catalogue::parse(json!({"data":models}).to_string().as_bytes()).unwrap();
        for (limit, shown, more) in [
            (None, 20, true),
            (Some(20), 20, true),
            (Some(21), 21, false),
            (Some(1000), 21, false),
            (Some(1), 1, true),
        ] {
            let page = list(
                &catalogue,
                &ListQuery {
                    limit,
                    ..ListQuery::default()
                },
            )
            .unwrap();
            assert_eq!((page.data.len(), page.has_more), (shown, more), "{limit:?}");
            assert_eq!(page.first_id.as_deref(), Some("anthropic-or/x/0"));
            assert_eq!(page.last_id, Some(format!("anthropic-or/x/{}", shown - 1)));
        }
    }

    #[test]
    fn what_a_model_can_is_told_from_the_catalogue() {
        let told = |entry: serde_json::Value| {
            let mut entry = entry;
            entry["id"] = json!("x/opus");
            let entry: Entry = serde_json::from_value(entry).unwrap();
            let info = ModelInfo::of(&entry);
            assert_eq!(info.line, None, "only Claude's models have one");
            serde_json::to_value(info.capabilities).unwrap()
        };
        let no = |supported: &serde_json::Value| supported["supported"] == false;
        let nothing = told(json!({}));
        for name in [
            "batch",
            "citations",
            "code_execution",
            "context_management",
            "effort",
            "image_input",
            "server_tools",
            "structured_outputs",
            "thinking",
        ] {
            assert!(no(&nothing[name]), "{name}");
        }
        assert!(!no(&nothing["pdf_input"]) && no(&nothing["effort"]["high"]));
        assert!(!no(&nothing["thinking"]["types"]["disabled"]));
        let tools = told(json!({"supported_parameters":["tools"]}));
        assert!(!no(&tools["server_tools"]) && !no(&tools["server_tools"]["web_search"]));
        assert!(no(&tools["server_tools"]["code_execution"]) && no(&tools["thinking"]));
        for reasons in [
            json!({"supported_parameters":["reasoning"]}),
            json!({"reasoning":{}}),
        ] {
            let told = told(reasons);
            let types = &told["thinking"]["types"];
            assert!(!no(&told["thinking"]) && !no(&types["adaptive"]) && !no(&types["enabled"]));
            assert!(no(&types["between_tools"]) && !no(&told["effort"]["max"]));
        }
        let mandatory = told(json!({"reasoning":{"mandatory":true,"supported_efforts":["max"]}}));
        assert!(no(&mandatory["thinking"]["types"]["disabled"]));
        assert!(no(&mandatory["effort"]["low"]) && !no(&mandatory["effort"]["max"]));
    }

    #[test]
    fn a_model_is_retired_at_the_time_that_is_said() {
        for (date, retires) in [
            ("2027-01-31", Some("2027-01-31T00:00:00Z")),
            ("2027-01-31T12:00:00Z", Some("2027-01-31T12:00:00Z")),
            ("soon", None),
        ] {
            assert_eq!(midnight(date).as_deref(), retires);
        }
    }

    #[test]
    fn odd_queries_are_refused_by_name() {
        for (query, path) in [
            (
                ListQuery {
                    limit: Some(0),
                    ..ListQuery::default()
                },
                "limit",
            ),
            (
                ListQuery {
                    limit: Some(1001),
                    ..ListQuery::default()
                },
                "limit",
            ),
            (
                ListQuery {
                    after_id: Some("no"),
                    ..ListQuery::default()
                },
                "after_id",
            ),
            (
                ListQuery {
                    before_id: Some("no"),
                    ..ListQuery::default()
                },
                "before_id",
            ),
            (
                ListQuery {
                    before_id: Some("x/y"),
                    after_id: Some("x/y"),
                    ..ListQuery::default()
                },
                "before_id",
            ),
        ] {
            assert_eq!(list(&catalogue(), &query).unwrap_err().path, path);
        }
    }
}
