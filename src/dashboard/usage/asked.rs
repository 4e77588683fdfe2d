//! What a URL asks of the figures, and the addresses that ask for other ones or for their runs.
//!
//! It must not know how figures are found or shown.

use std::time::Duration;

use actix_web::HttpRequest;

use crate::dashboard::filter::{Query, RANGES, Range, encode_pairs};
use crate::dashboard::format;
use crate::dashboard::page::{Failure, query_pairs};
use crate::events::Timestamp;
use crate::store::By;

/// The time that is looked at when none is named.
const USUAL: &str = "24h";
const USUAL_LENGTH: Duration = Duration::from_secs(86_400);
/// How all that is recorded is asked for.
pub(crate) const ALL: &str = "all";
/// Groups that are told apart when nobody asks for another number, and at most.
const GROUPS: usize = 100;
const MOST_GROUPS: usize = 1_000;

/// What runs can be told apart by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grouping {
    by: By,
    /// As written in URLs.
    pub(crate) name: &'static str,
    /// As shown.
    pub(crate) label: &'static str,
    /// What runs are called that have none.
    pub(crate) unnamed: &'static str,
    /// The parameter of a list of the runs of one group.
    parameter: &'static str,
}

impl Grouping {
    const fn new(by: By, [name, label, unnamed, parameter]: [&'static str; 4]) -> Self {
        Self {
            by,
            name,
            label,
            unnamed,
            parameter,
        }
    }
}

pub(crate) const GROUPINGS: [Grouping; 6] = [
    Grouping::new(
        By::Model,
        ["model", "Model", "named no model", "model_sent"],
    ),
    Grouping::new(
        By::Provider,
        ["provider", "Provider", "nobody was asked", "provider"],
    ),
    Grouping::new(
        By::Session,
        ["session", "Session", "without a session", "session"],
    ),
    Grouping::new(By::Client, ["client", "Client", "did not say", "client"]),
    Grouping::new(By::Key, ["key", "Key", "without a named key", "key"]),
    Grouping::new(By::Workflow, ["workflow", "Workflow", "none", "workflow"]),
];

/// What a URL asks for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) grouping: Grouping,
    pub(super) query: Query,
    /// At most so many groups.
    pub(super) most: usize,
    /// When it was asked.
    pub(super) now: Timestamp,
}

impl Asked {
    pub(super) fn of(request: &HttpRequest) -> Result<Self, Failure> {
        Self::parse(query_pairs(request)?, Timestamp::now()).map_err(Failure::Bad)
    }

    /// Reads the pairs of a query string: those of a list of runs, but for its order and its pages.
    pub(super) fn parse(pairs: Vec<(String, String)>, now: Timestamp) -> Result<Self, String> {
        let mut grouping = GROUPINGS[0];
        let mut most = GROUPS;
        let mut of_runs = Vec::new();
        let mut is_all = false;
        for (name, value) in pairs {
            let given = value.trim();
            match name.as_str() {
                _ if given.is_empty() => {}
                "by" => grouping = read_grouping(given)?,
                "limit" => most = read_limit(given)?,
                "sort" | "after" => {
                    return Err(format!(
                        "{name}: lists of runs are put in order and paged, figures are not; leave it out"
                    ));
                }
                "range" if given == ALL => is_all = true,
                "range" | "since" => {
                    is_all = false;
                    of_runs.push((name, value));
                }
                _ => of_runs.push((name, value)),
            }
        }
        let mut query = Query::parse(&of_runs, now).map_err(|fault| {
            fault.replace(
                "a list of runs takes",
                "figures take by and what a list of runs takes:",
            )
        })?;
        if query.filter.since.is_none() && !is_all {
            of_runs.push(usual_time(query.filter.until, now));
            query = Query::parse(&of_runs, now)?;
        }
        let end = query.filter.until.map_or(now, |until| until.min(now));
        if query.filter.since.is_some_and(|since| since >= end) {
            return Err(
                "since: the time that is looked at ends before it begins; give a moment that is past, and before until"
                    .to_owned(),
            );
        }
        Ok(Self {
            grouping,
            query,
            most,
            now,
        })
    }

    pub(super) const fn by(&self) -> By {
        self.grouping.by
    }

    /// When the time ends that is looked at.
    pub(super) fn end(&self) -> Timestamp {
        let until = self.query.filter.until;
        until.map_or(self.now, |until| until.min(self.now))
    }

    /// Whether all that is recorded is looked at, from the first run on.
    pub(super) fn is_all(&self) -> bool {
        self.query.filter.since.is_none()
    }

    /// All that narrows the figures besides time: name and value.
    pub(super) fn narrowed(&self) -> Vec<(&'static str, String)> {
        let mut pairs = self.query.pairs();
        pairs.retain(|(name, _)| !is_time(name));
        pairs
    }

    /// The address of figures that are told apart in another way, or without the filter.
    pub(super) fn usage(&self, grouping: &Grouping, is_narrowed: bool) -> String {
        let mut pairs = vec![("by", grouping.name.to_owned())];
        let of_runs = self.query.pairs().into_iter();
        pairs.extend(of_runs.filter(|(name, _)| is_narrowed || is_time(name)));
        if self.is_all() {
            pairs.push(("range", ALL.to_owned()));
        }
        format!("/usage?{}", encode_pairs(&pairs))
    }

    /// The address of the runs that are counted here, and of those that `more` lets through.
    pub(super) fn runs(&self, more: &[(&str, String)]) -> String {
        let is_replaced = |name: &str| {
            let stands_for = |other: &str| other == name || (is_begin(other) && is_begin(name));
            more.iter().any(|(other, _)| stands_for(other))
        };
        let mut pairs: Vec<(&str, String)> = self.query.pairs();
        pairs.retain(|(name, _)| !is_replaced(name));
        pairs.extend(more.iter().cloned());
        if pairs.is_empty() {
            return "/runs".to_owned();
        }
        format!("/runs?{}", encode_pairs(&pairs))
    }

    /// The address of the runs of a group.
    pub(super) fn runs_of(&self, name: &str) -> String {
        self.runs(&[(self.grouping.parameter, name.to_owned())])
    }

    /// The address of the runs of a slot, those with most of something first. A part of the first slot, and of the last, may
    /// lie outside of the time that is looked at.
    pub(super) fn runs_in(&self, slot: [Timestamp; 2], sort: Option<&str>) -> String {
        let [from, until] = slot;
        let from = self
            .query
            .filter
            .since
            .map_or(from, |since| since.max(from));
        let until = self.query.filter.until.map_or(until, |end| end.min(until));
        let mut more = vec![
            ("since", format::rfc3339(from)),
            ("until", format::rfc3339(until)),
        ];
        more.extend(sort.map(|sort| ("sort", sort.to_owned())));
        self.runs(&more)
    }

    /// The time that is looked at, in words.
    pub(super) fn time(&self) -> String {
        let until = self.query.filter.until;
        let until = until.map_or_else(String::new, |until| {
            format!(", until {}", format::date_and_minute(until))
        });
        let begin = match (self.query.range, self.query.filter.since) {
            (Some(range), _) => range.label.to_owned(),
            (None, Some(since)) => format!("Since {}", format::date_and_minute(since)),
            (None, None) => "All that is recorded".to_owned(),
        };
        format!("{begin}{until}")
    }
}

/// The last day, or the day before `until`.
fn usual_time(until: Option<Timestamp>, now: Timestamp) -> (String, String) {
    let Some(until) = until else {
        return ("range".to_owned(), USUAL.to_owned());
    };
    let length = i64::try_from(USUAL_LENGTH.as_micros()).unwrap_or(i64::MAX);
    let since = Timestamp(until.min(now).0.saturating_sub(length));
    ("since".to_owned(), format::rfc3339(since))
}

fn is_begin(name: &str) -> bool {
    matches!(name, "range" | "since")
}

fn is_time(name: &str) -> bool {
    is_begin(name) || name == "until"
}

fn read_grouping(given: &str) -> Result<Grouping, String> {
    let known = GROUPINGS
        .into_iter()
        .find(|grouping| grouping.name == given);
    known.ok_or_else(|| {
        let names = GROUPINGS.map(|grouping| grouping.name).join(", ");
        format!(
            "by: runs are not told apart by `{}`; give one of {names}",
            format::ellipsis(given, 60)
        )
    })
}

fn read_limit(given: &str) -> Result<usize, String> {
    let limit = given
        .parse()
        .ok()
        .filter(|limit| (1..=MOST_GROUPS).contains(limit));
    limit.ok_or_else(|| {
        format!(
            "limit: `{}` is no number of groups; give one from 1 to {MOST_GROUPS}",
            format::ellipsis(given, 60)
        )
    })
}

/// The ranges that the page offers, and which is chosen.
pub(super) fn ranges(asked: &Asked) -> Vec<(Range, bool)> {
    let chosen = asked.query.range;
    RANGES
        .into_iter()
        .map(|range| (range, chosen == Some(range)))
        .collect()
}

/// What a filter is called on the page.
pub(super) fn words(name: &str, value: &str) -> String {
    let value = format::ellipsis(value, 60);
    match name {
        "q" => format!("“{value}”"),
        "min_duration" => format!("took at least {value}"),
        "min_cost" => format!("cost at least ${value}"),
        "replaced" => format!("replaced by a fallback: {value}"),
        "min_retries" => format!("retried at least {value}×"),
        "model" => format!("model with “{value}”"),
        "model_sent" => format!("model {value}"),
        "request_id" => format!("request {value}"),
        name => format!("{name} {value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-09-21 14:13:20 UTC.
    const NOW: Timestamp = Timestamp(1_790_000_000_000_000);

    fn parse(pairs: &[(&str, &str)]) -> Result<Asked, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Asked::parse(pairs.iter().map(owned).collect(), NOW)
    }

    #[test]
    fn a_day_is_looked_at_unless_something_else_is_said() {
        let length = |pairs: &[(&str, &str)]| {
            let asked = parse(pairs).unwrap();
            let since = asked.query.filter.since;
            since.map(|since| (asked.end().0 - since.0) / 3_600_000_000)
        };
        assert_eq!(length(&[]), Some(24));
        assert_eq!(length(&[("until", "2d")]), Some(24));
        assert_eq!(length(&[("until", "2030-01-01T00:00:00Z")]), Some(24));
        assert_eq!(length(&[("range", "7d")]), Some(24 * 7));
        assert_eq!(length(&[("range", "7d"), ("since", "2h")]), Some(2));
        assert_eq!(length(&[("since", "2h"), ("range", "7d")]), Some(24 * 7));
        assert_eq!(length(&[("range", "all")]), None);
        assert_eq!(length(&[("range", "all"), ("until", "2d")]), None);
    }

    #[test]
    fn a_time_that_ends_before_it_begins_is_refused() {
        for pairs in [
            [("since", "1h"), ("until", "2h")],
            [
                ("since", "2030-01-01T00:00:00Z"),
                ("until", "2031-01-01T00:00:00Z"),
            ],
        ] {
            let refused = parse(&pairs).unwrap_err();
            assert!(
                refused.starts_with("since: the time that is looked at"),
                "{refused}"
            );
        }
    }

    #[test]
    fn links_keep_what_was_asked_and_say_the_rest_more_exactly() {
        let asked = parse(&[
            ("by", "provider"),
            ("model", "opus"),
            ("q", "cloud"),
            ("range", "7d"),
        ])
        .unwrap();
        assert_eq!(
            asked.runs_of(" The \"Cloud\" "),
            "/runs?model=opus&q=cloud&range=7d&provider=%20The%20%22Cloud%22%20"
        );
        assert_eq!(asked.runs(&[]), "/runs?model=opus&q=cloud&range=7d");
        assert_eq!(
            asked.usage(&GROUPINGS[2], true),
            "/usage?by=session&model=opus&q=cloud&range=7d"
        );
        assert_eq!(
            asked.usage(&GROUPINGS[2], false),
            "/usage?by=session&range=7d"
        );
        let week = 7 * 86_400_000_000;
        let before = Timestamp(NOW.0 - week - 1_000_000);
        let after = Timestamp(NOW.0 - week + 1_000_000);
        assert_eq!(
            asked.runs_in([before, after], Some("cost")),
            "/runs?model=opus&q=cloud&since=2026-09-14T14%3A13%3A20.000000Z&until=2026-09-14T14%3A13%3A21.000000Z&sort=cost"
        );
        let all = parse(&[("range", "all")]).unwrap();
        assert_eq!(all.usage(&GROUPINGS[0], true), "/usage?by=model&range=all");
        assert_eq!(all.runs(&[]), "/runs");
    }

    #[test]
    fn a_name_is_looked_for_as_it_is_and_found_in_the_link_again() {
        let asked = parse(&[("client", " a client ")]).unwrap();
        assert_eq!(asked.query.filter.client.as_deref(), Some(" a client "));
        assert_eq!(asked.narrowed(), [("client", " a client ".to_owned())]);
        let asked = parse(&[("by", "key"), ("key", "bob")]).unwrap();
        assert_eq!(asked.query.filter.key.as_deref(), Some("bob"));
        assert_eq!(asked.narrowed(), [("key", "bob".to_owned())]);
        assert_eq!(asked.runs_of("a+b@c"), "/runs?range=24h&key=a%2Bb%40c");
    }
}
