//! The parameters of a list of runs, read from a URL: the same for the page, its live updates and the run API.
//!
//! A wrong parameter is a sentence with the cure. It must not know how runs are fetched or shown.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::duration;
use crate::events::{RunId, State, Timestamp};
use crate::store::{Figure, RunFilter};

/// Rows of a page when nobody asks for another number.
pub(crate) const PAGE: u16 = 50;
/// Rows of a page at most.
pub(crate) const LONGEST_PAGE: u16 = 200;

const PARAMETERS: &str = "state, workflow, model, model_sent, provider, client, key, session, request_id, q, range, since, until, min_duration, min_cost, min_retries, replaced, sort, limit, after";

/// Those that are names as a run has them, blanks included.
const EXACT: [&str; 4] = ["model_sent", "provider", "client", "key"];

/// What a URL asks of a list of runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Query {
    /// Which runs.
    pub(crate) filter: RunFilter,
    /// The last `range` until now, as written; it is the page's shorthand for `since`.
    pub(crate) range: Option<Range>,
    /// Those with most of it first; the newest first when there is none.
    pub(crate) sort: Option<Sort>,
    /// Those after this one, in that order.
    pub(crate) after: Option<RunId>,
    /// At most so many.
    pub(crate) limit: u16,
}

/// A parameter that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Its name.
    pub(crate) name: String,
    /// What was given.
    pub(crate) value: String,
    /// What is wrong, and what would be right.
    pub(crate) sentence: String,
}

/// A span of time that ends now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// As written in URLs.
    pub(crate) name: &'static str,
    /// As shown.
    pub(crate) label: &'static str,
    length: Duration,
}

/// An order besides the newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sort {
    /// As written in URLs.
    pub(crate) name: &'static str,
    /// As shown.
    pub(crate) label: &'static str,
    pub(crate) figure: Figure,
}

/// The orders besides the newest first.
pub(crate) const SORTS: [Sort; 3] = [
    Sort::new("duration", "Slowest first", Figure::Duration),
    Sort::new("cost", "Costliest first", Figure::Cost),
    Sort::new("tokens", "Most tokens first", Figure::Tokens),
];
/// How the usual order is written.
const NEWEST: &str = "started";

impl Sort {
    const fn new(name: &'static str, label: &'static str, figure: Figure) -> Self {
        Self {
            name,
            label,
            figure,
        }
    }
}

/// The spans of time that the page offers.
pub(crate) const RANGES: [Range; 5] = [
    Range::new("15m", "Last 15 minutes", 15 * 60),
    Range::new("1h", "Last hour", 3_600),
    Range::new("24h", "Last 24 hours", 86_400),
    Range::new("7d", "Last 7 days", 7 * 86_400),
    Range::new("30d", "Last 30 days", 30 * 86_400),
];

impl Range {
    const fn new(name: &'static str, label: &'static str, seconds: u64) -> Self {
        Self {
            name,
            label,
            length: Duration::from_secs(seconds),
        }
    }
}

impl Default for Query {
    fn default() -> Self {
        Self {
            filter: RunFilter::default(),
            range: None,
            sort: None,
            after: None,
            limit: PAGE,
        }
    }
}

impl Query {
    /// Reads the pairs of a query string. Empty values count as absent, because forms send them.
    ///
    /// # Errors
    /// A sentence that names the parameter and the cure.
    pub(crate) fn parse(pairs: &[(String, String)], now: Timestamp) -> Result<Self, String> {
        let (query, faults) = Self::parse_what_can_be(pairs, now);
        match faults.into_iter().next() {
            Some(fault) => Err(fault.sentence),
            None => Ok(query),
        }
    }

    /// Reads as many of the pairs as can be read, and says what is wrong with the others.
    pub(crate) fn parse_what_can_be(
        pairs: &[(String, String)],
        now: Timestamp,
    ) -> (Self, Vec<Fault>) {
        let mut query = Self::default();
        let mut faults = Vec::new();
        for (name, value) in pairs {
            let given = value.trim();
            if given.is_empty() {
                continue;
            }
            // Such names are compared as they are.
            let given = if EXACT.contains(&name.as_str()) {
                value
            } else {
                given
            };
            if let Err(sentence) = query.take(name, given, now) {
                let (name, value) = (name.clone(), given.to_owned());
                faults.push(Fault {
                    name,
                    value,
                    sentence,
                });
            }
        }
        (query, faults)
    }

    fn take(&mut self, name: &str, value: &str, now: Timestamp) -> Result<(), String> {
        let filter = &mut self.filter;
        match name {
            "state" => {
                for name in value.split(',') {
                    let state = state(name.trim())?;
                    if !filter.states.contains(&state) {
                        filter.states.push(state);
                    }
                }
            }
            "workflow" => filter.workflow = Some(value.to_owned()),
            "model" => filter.model = Some(value.to_owned()),
            "model_sent" => filter.model_sent = Some(value.to_owned()),
            "provider" => filter.provider = Some(value.to_owned()),
            "client" => filter.client = Some(value.to_owned()),
            "key" => filter.key = Some(value.to_owned()),
            "session" => filter.session = Some(value.to_owned()),
            "request_id" => filter.request_id = Some(value.to_owned()),
            "q" => filter.search = Some(value.to_owned()),
            "range" => {
                let range = range(value)?;
                filter.since = Some(before(now, range.length));
                self.range = Some(range);
            }
            "since" => {
                filter.since = Some(moment(name, value, now)?);
                self.range = None;
            }
            "until" => filter.until = Some(moment(name, value, now)?),
            "min_duration" => filter.min_duration = Some(length(value)?),
            "min_cost" => filter.min_cost = Some(dollars(value)?),
            "min_retries" => filter.min_retries = Some(retries(value)?),
            "replaced" => filter.replaced = Some(is_yes(name, value)?),
            "sort" => self.sort = sort(value)?,
            "limit" => self.limit = limit(value)?,
            "after" => self.after = Some(after(value)?),
            _ => {
                return Err(format!(
                    "there is no parameter {}; a list of runs takes {PARAMETERS}",
                    quoted(name)
                ));
            }
        }
        Ok(())
    }

    /// The query string that asks the same, from the first page on, without a leading `?`.
    pub(crate) fn encode(&self) -> String {
        self.encode_with_after(None)
    }

    /// The query string that asks for what comes after a run.
    pub(crate) fn encode_after(&self, after: RunId) -> String {
        self.encode_with_after(Some(after))
    }

    fn encode_with_after(&self, after: Option<RunId>) -> String {
        let mut pairs = self.pairs();
        pairs.extend(self.sort.map(|sort| ("sort", sort.name.to_owned())));
        if self.limit != PAGE {
            pairs.push(("limit", self.limit.to_string()));
        }
        pairs.extend(after.map(|after| ("after", after.to_string())));
        encode_pairs(&pairs)
    }

    /// The pairs that say which runs.
    pub(crate) fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs: Vec<(&'static str, String)> = Vec::new();
        let filter = &self.filter;
        pairs.extend(
            filter
                .states
                .iter()
                .map(|state| ("state", state.name().to_owned())),
        );
        let texts = [
            ("workflow", &filter.workflow),
            ("model", &filter.model),
            ("model_sent", &filter.model_sent),
            ("provider", &filter.provider),
            ("client", &filter.client),
            ("key", &filter.key),
            ("session", &filter.session),
            ("request_id", &filter.request_id),
            ("q", &filter.search),
        ];
        for (name, value) in texts {
            pairs.extend(value.iter().map(|value| (name, value.clone())));
        }
        match (self.range, filter.since) {
            (Some(range), _) => pairs.push(("range", range.name.to_owned())),
            (None, Some(since)) => pairs.push(("since", super::format::rfc3339(since))),
            (None, None) => {}
        }
        pairs.extend(
            filter
                .until
                .map(|until| ("until", super::format::rfc3339(until))),
        );
        let least = filter.min_duration.map(written_length);
        pairs.extend(least.map(|least| ("min_duration", least)));
        pairs.extend(filter.min_cost.map(|cost| ("min_cost", cost.to_string())));
        pairs.extend(
            filter
                .min_retries
                .map(|least| ("min_retries", least.to_string())),
        );
        let replaced = filter.replaced.map(yes_or_no);
        pairs.extend(replaced.map(|word| ("replaced", word.to_owned())));
        pairs
    }

    /// Whether any run may be missing because of the filter.
    pub(crate) fn narrows(&self) -> bool {
        self.filter != RunFilter::default()
    }
}

/// Writes the pairs as `name=value&…`.
pub(crate) fn encode_pairs(pairs: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        text.extend(utf8_percent_encode(value, ESCAPED));
    }
    text
}

/// The text as a part of a path.
pub(crate) fn encode(value: &str) -> String {
    utf8_percent_encode(value, ESCAPED).to_string()
}

/// Everything but what RFC 3986 (2.3) leaves unreserved.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

fn state(name: &str) -> Result<State, String> {
    State::ALL
        .into_iter()
        .find(|state| state.name().eq_ignore_ascii_case(name))
        .ok_or_else(|| {
            let names: Vec<&str> = State::ALL.iter().map(|state| state.name()).collect();
            format!(
                "state: there is no state {}; give one of {}",
                quoted(name),
                names.join(", ")
            )
        })
}

fn range(name: &str) -> Result<Range, String> {
    RANGES
        .into_iter()
        .find(|range| range.name == name)
        .ok_or_else(|| {
            let names: Vec<&str> = RANGES.iter().map(|range| range.name).collect();
            format!(
                "range: {} is not a span of time; give one of {}, or use since and until",
                quoted(name),
                names.join(", ")
            )
        })
}

/// Reads a moment, or how long before now it was.
fn moment(name: &str, value: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Some(length) = duration::parse(value) {
        return Ok(before(now, length));
    }
    // A `+` that was not percent-encoded arrives as a blank.
    let moment: Result<jiff::Timestamp, _> = value.replace(' ', "+").parse();
    moment
        .map(|moment| Timestamp(moment.as_microsecond()))
        .map_err(|_| {
            format!(
                "{name}: {} is not a moment; write it as RFC 3339, such as 2026-11-22T08:00:00Z, or how long ago it was, \
                 such as 90m or 2d",
                quoted(value)
            )
        })
}

/// Reads a length of time, with its units: without them, some would mean seconds and some milliseconds.
fn length(value: &str) -> Result<Duration, String> {
    duration::parse(value).ok_or_else(|| {
        format!(
            "min_duration: {} is not a length of time; give one with its unit, such as {}",
            quoted(value),
            duration::EXAMPLES
        )
    })
}

/// A length of time as [`length`] reads it.
pub(crate) fn written_length(length: Duration) -> String {
    match length.as_micros() {
        micros @ 0..1_000 => format!("{micros}us"),
        micros @ 1_000..1_000_000 => format!("{}ms", micros as f64 / 1e3),
        micros => format!("{}s", micros as f64 / 1e6),
    }
}

fn dollars(value: &str) -> Result<f64, String> {
    let amount: Option<f64> = value.trim_start_matches('$').parse().ok();
    amount
        .filter(|amount| amount.is_finite() && *amount >= 0.0)
        .ok_or_else(|| {
            format!(
                "min_cost: {} is not an amount; give US dollars, such as 0.05",
                quoted(value)
            )
        })
}

fn retries(value: &str) -> Result<u32, String> {
    value.parse().map_err(|_| {
        format!(
            "min_retries: {} is not a count; give a whole number, such as 1",
            quoted(value)
        )
    })
}

/// How it is written that something has to be so, or must not.
const YES: &str = "yes";
const NO: &str = "no";

/// Whether something has to be so, as [`is_yes`] reads it.
pub(crate) const fn yes_or_no(is_yes: bool) -> &'static str {
    if is_yes { YES } else { NO }
}

fn is_yes(name: &str, value: &str) -> Result<bool, String> {
    match value {
        YES => Ok(true),
        NO => Ok(false),
        _ => Err(format!(
            "{name}: {} is neither {YES} nor {NO}; give one of them",
            quoted(value)
        )),
    }
}

fn sort(name: &str) -> Result<Option<Sort>, String> {
    let sort = SORTS.into_iter().find(|sort| sort.name == name);
    if sort.is_some() || name == NEWEST {
        return Ok(sort);
    }
    let names = SORTS.map(|sort| sort.name).join(", ");
    Err(format!(
        "sort: {} is no order; give one of {NEWEST}, {names}",
        quoted(name)
    ))
}

fn limit(value: &str) -> Result<u16, String> {
    value
        .parse()
        .ok()
        .filter(|limit| (1..=LONGEST_PAGE).contains(limit))
        .ok_or_else(|| {
            format!(
                "limit: {} does not do; give a whole number from 1 to {LONGEST_PAGE}",
                quoted(value)
            )
        })
}

fn after(value: &str) -> Result<RunId, String> {
    value.parse().map_err(|_| {
        format!(
            "after: {} is not a run; give the next of the page before, or leave it out",
            quoted(value)
        )
    })
}

fn before(now: Timestamp, length: Duration) -> Timestamp {
    let micros = i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
    // Nothing was before the epoch, and not every moment before it can be written.
    Timestamp(now.0.saturating_sub(micros).max(0))
}

fn quoted(value: &str) -> String {
    format!("`{}`", super::format::ellipsis(value, 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Query, String> {
        let pairs: Vec<(String, String)> = text
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Query::parse(&pairs, Timestamp(1_795_337_652_000_000))
    }

    #[test]
    fn a_url_survives_the_round_trip() {
        let id = RunId::now();
        let query = parse(&format!(
            "state=failed,Crashed&workflow=messages&model=son&request_id=req_1&q=x&range=1h&min_duration=1.5s&min_cost=0.05&min_retries=2&replaced=no&sort=cost&limit=10&after={id}"
        ))
        .unwrap();
        assert_eq!(
            query.encode_after(id),
            format!(
                "state=Failed&state=Crashed&workflow=messages&model=son&request_id=req_1&q=x&range=1h&min_duration=1.5s&min_cost=0.05&min_retries=2&replaced=no&sort=cost&limit=10&after={id}"
            )
        );
        assert_eq!(parse(&query.encode_after(id)).unwrap(), query);
        assert!(query.narrows());
    }

    #[test]
    fn empty_values_are_absent() {
        assert_eq!(parse("state=&q=&model=%20").unwrap().filter.search, None);
        assert_eq!(parse("state=&q=&session=").unwrap(), Query::default());
        assert_eq!(parse("sort=started").unwrap(), Query::default());
    }

    #[test]
    fn a_wrong_parameter_is_named_with_its_cure() {
        let sentences: Vec<String> = [
            "state=done",
            "range=2y",
            "since=yesterday",
            "until=12",
            "min_duration=-1s",
            "min_duration=long",
            "min_duration=500",
            "min_cost=NaN",
            "min_retries=-1",
            "replaced=true",
            "sort=model",
            "limit=0",
            "limit=201",
            "after=12",
            "colour=red",
        ]
        .into_iter()
        .map(|text| parse(text).unwrap_err())
        .collect();
        insta::assert_snapshot!(sentences.join("\n"), @r"
        state: there is no state `done`; give one of Scheduled, Pending, Running, Retrying, Completed, Cached, Failed, TimedOut, Cancelling, Cancelled, Crashed, Paused, Skipped
        range: `2y` is not a span of time; give one of 15m, 1h, 24h, 7d, 30d, or use since and until
        since: `yesterday` is not a moment; write it as RFC 3339, such as 2026-11-22T08:00:00Z, or how long ago it was, such as 90m or 2d
        until: `12` is not a moment; write it as RFC 3339, such as 2026-11-22T08:00:00Z, or how long ago it was, such as 90m or 2d
        min_duration: `-1s` is not a length of time; give one with its unit, such as 250ms, 30s, 1m30s, 12h or 14d
        min_duration: `long` is not a length of time; give one with its unit, such as 250ms, 30s, 1m30s, 12h or 14d
        min_duration: `500` is not a length of time; give one with its unit, such as 250ms, 30s, 1m30s, 12h or 14d
        min_cost: `NaN` is not an amount; give US dollars, such as 0.05
        min_retries: `-1` is not a count; give a whole number, such as 1
        replaced: `true` is neither yes nor no; give one of them
        sort: `model` is no order; give one of started, duration, cost, tokens
        limit: `0` does not do; give a whole number from 1 to 200
        limit: `201` does not do; give a whole number from 1 to 200
        after: `12` is not a run; give the next of the page before, or leave it out
        there is no parameter `colour`; a list of runs takes state, workflow, model, model_sent, provider, client, key, session, request_id, q, range, since, until, min_duration, min_cost, min_retries, replaced, sort, limit, after
        ");
    }

    #[test]
    fn a_length_of_time_is_read_as_it_is_written() {
        let read = |text: &str| length(text).map(written_length);
        for (text, written) in [
            ("2 s", "2s"),
            ("1.5m", "90s"),
            ("500ms", "500ms"),
            ("12.345s", "12.345s"),
            ("0.5ms", "500us"),
            ("7µs", "7us"),
            ("1m30s", "90s"),
            ("2min", "120s"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(written), "{text}");
            assert_eq!(read(written).as_deref(), Ok(written));
        }
    }

    #[test]
    fn a_moment_may_be_so_long_ago() {
        let hour = parse("range=1h").unwrap().filter;
        for written in ["since=60m", "since=1h", "since=3600 s"] {
            assert_eq!(parse(written).unwrap().filter, hour, "{written}");
        }
        assert_eq!(
            parse("since=2d").unwrap().filter.since,
            parse("since=1d24h").unwrap().filter.since
        );
        let longest = parse("since=876000h").unwrap();
        assert_eq!(longest.filter.since, Some(Timestamp(0)));
        for wrong in [
            "since=-1h",
            "since=12",
            "since=99999999999999999999d",
            "since=h",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn moments_take_offsets() {
        let zulu = parse("since=2026-11-22T08:00:00Z").unwrap();
        let offset = parse("since=2026-11-22T09:00:00 01:00").unwrap();
        assert_eq!(zulu.filter, offset.filter);
    }

    #[test]
    fn hostile_values_are_encoded() {
        assert_eq!(
            encode_pairs(&[("q", "a&b=<é>".to_owned())]),
            "q=a%26b%3D%3C%C3%A9%3E"
        );
    }
}
