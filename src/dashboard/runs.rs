//! The list of runs: filter, rows, paging.
//!
//! It must not know how one run is shown whole.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::filter::{Fault, Query, RANGES, Range, SORTS, Sort, written_length, yes_or_no};
use super::page::{Failure, Shell, answer, query_pairs, render};
use super::state::StateView;
use super::{Dashboard, format, live, rows, totals};
use crate::events::{State, Timestamp};
use crate::store::{RunFilter, RunPage};

/// States that runs are often filtered by; any other that is asked for is shown beside them.
const CHIPS: [State; 6] = [
    State::Running,
    State::Completed,
    State::Failed,
    State::TimedOut,
    State::Cancelled,
    State::Crashed,
];

/// The columns: class, label and, where the list can be put in its order, how that is written.
const COLUMNS: [(&str, &str, Option<&str>); 9] = [
    ("c-state", "State", None),
    ("c-time", "Started", Some("started")),
    ("c-model", "Model", None),
    ("c-session", "Session", None),
    ("c-num c-in", "Tokens in", Some("tokens")),
    ("c-num c-out", "Out", None),
    ("c-num c-cost", "Cost", Some("cost")),
    ("c-num c-first", "First token", None),
    ("c-num c-duration", "Duration", Some("duration")),
];

#[derive(Template)]
#[template(path = "runs.html")]
struct Page {
    shell: Shell,
    /// What is filtered for, for the browser's tab.
    title: String,
    totals: String,
    /// The figures of all runs that the filter lets through.
    matched: String,
    filter: FilterView,
    rows: String,
    is_empty: bool,
    narrowed: bool,
    heads: Vec<Head>,
    /// This is not the first page.
    paged: bool,
    sorted: bool,
    further: Option<String>,
    /// The first page of the same filter and order.
    first: String,
    /// Where the page hears of changes.
    live: Option<String>,
    /// What is wrong with the filter.
    faults: Vec<Fault>,
    begin: Begin,
}

/// What a client is told to begin with, where no run is yet.
struct Begin {
    /// Scheme, host and port by which the reader has come.
    origin: String,
    /// What stands for the client key.
    token: &'static str,
    demands_key: bool,
}

impl Begin {
    fn new(dashboard: &Dashboard, request: &HttpRequest) -> Self {
        let come = request.connection_info();
        let is_address = |c: char| c.is_ascii_alphanumeric() || ".:-_[]".contains(c);
        // It is pasted into a shell: whatever no host is named by does not come there.
        let is_plain = !come.host().is_empty() && come.host().chars().all(is_address);
        let host = if is_plain {
            come.host()
        } else {
            "127.0.0.1:4000"
        };
        let scheme = if come.scheme() == "https" {
            "https"
        } else {
            "http"
        };
        Self {
            origin: format!("{scheme}://{host}"),
            token: if dashboard.demands_key {
                "YOUR_CLIENT_KEY"
            } else {
                "dagway"
            },
            demands_key: dashboard.demands_key,
        }
    }
}

/// What the filter bar shows.
struct FilterView {
    chips: Vec<Chip>,
    workflows: Vec<(String, bool)>,
    workflow_chosen: bool,
    model: String,
    session: String,
    search: String,
    min_duration: Typed,
    min_cost: Typed,
    /// How many retries are looked for, at least.
    min_retries: Option<u32>,
    /// Whether runs are looked for that a fallback replaced, or the others: in a word of the URL and in one for readers.
    replaced: Option<(&'static str, &'static str)>,
    sorts: Vec<(Sort, bool)>,
    ranges: Vec<(Range, bool)>,
    /// Names that came by the URL and are compared whole: parameter, what it is called, and the name.
    exact: Vec<(&'static str, &'static str, String)>,
    /// Moments that came by the URL and that the form only carries on.
    since: Option<String>,
    until: Option<String>,
    limit: Option<u16>,
    range_chosen: bool,
}

/// What stands in a field that takes figures.
#[derive(Default)]
struct Typed {
    value: String,
    is_wrong: bool,
}

impl From<Option<String>> for Typed {
    fn from(value: Option<String>) -> Self {
        Self {
            value: value.unwrap_or_default(),
            is_wrong: false,
        }
    }
}

/// A column's head.
struct Head {
    class: &'static str,
    label: &'static str,
    /// Puts the list into the order of this column.
    order: Option<String>,
    /// The list is in that order.
    on: bool,
}

struct Chip {
    state: StateView,
    value: &'static str,
    on: bool,
}

/// `GET /` and `GET /runs`.
pub(super) async fn page(dashboard: web::Data<Dashboard>, request: HttpRequest) -> HttpResponse {
    match show(&dashboard, &request).await {
        Ok(page) if !page.faults.is_empty() => render(HttpResponse::BadRequest(), &page),
        page => answer(&dashboard, page),
    }
}

async fn show(dashboard: &Dashboard, request: &HttpRequest) -> Result<Page, Failure> {
    let now = Timestamp::now();
    let (query, faults) = Query::parse_what_can_be(&query_pairs(request)?, now);
    let totals = totals::of_the_day(dashboard, now).await?;
    if !faults.is_empty() {
        let none = RunPage {
            runs: Vec::new(),
            next: None,
        };
        let page = view(
            dashboard,
            request,
            (&query, &none),
            [totals, String::new()],
            now,
        );
        return Ok(page.with_faults(faults));
    }
    let found = dashboard.page(&query).await?;
    let matched = totals::of_matches(dashboard, &query)
        .await?
        .unwrap_or_default();
    Ok(view(
        dashboard,
        request,
        (&query, &found),
        [totals, matched],
        now,
    ))
}

impl Page {
    /// The filter as it was typed, with what is wrong in it instead of runs.
    fn with_faults(mut self, faults: Vec<Fault>) -> Self {
        let typed = |name| {
            let fault = faults.iter().find(|fault| fault.name == name);
            fault.map(|fault| fault.value.clone())
        };
        for (name, field) in [
            ("min_duration", &mut self.filter.min_duration),
            ("min_cost", &mut self.filter.min_cost),
        ] {
            if let Some(value) = typed(name) {
                field.value = value;
                field.is_wrong = true;
            }
        }
        self.narrowed = true;
        self.live = None;
        self.faults = faults;
        self
    }
}

fn view(
    dashboard: &Dashboard,
    request: &HttpRequest,
    (query, found): (&Query, &RunPage),
    [totals, matched]: [String; 2],
    now: Timestamp,
) -> Page {
    let live_query = match query.after {
        Some(after) => query.encode_after(after),
        None => query.encode(),
    };
    Page {
        shell: Shell::new(dashboard, "runs"),
        title: title(query),
        totals,
        matched,
        filter: FilterView::new(dashboard, query),
        rows: rows::rows(&found.runs, query, now),
        is_empty: found.runs.is_empty(),
        narrowed: query.narrows(),
        heads: heads(query),
        paged: query.after.is_some(),
        sorted: query.sort.is_some(),
        further: found
            .next
            .map(|next| format!("/runs?{}", query.encode_after(next))),
        first: href(query),
        live: Some(live::list_address(&live_query, &found.runs)),
        faults: Vec::new(),
        begin: Begin::new(dashboard, request),
    }
}

/// The words of a filter that tell one tab from another.
fn title(query: &Query) -> String {
    let RunFilter {
        states,
        search,
        model,
        session,
        workflow,
        ..
    } = &query.filter;
    let mut said: Vec<String> = Vec::new();
    said.extend(
        states
            .iter()
            .map(|state| StateView::from(*state).label.to_owned()),
    );
    said.extend(query.sort.map(|sort| sort.label.to_owned()));
    said.extend(session.as_deref().map(format::session));
    let words = [search, model, workflow].into_iter().flatten();
    said.extend(words.map(|words| format::ellipsis(words, 40)));
    said.join(", ")
}

/// The first page of what is asked for.
fn href(query: &Query) -> String {
    match query.encode() {
        text if text.is_empty() => "/runs".to_owned(),
        text => format!("/runs?{text}"),
    }
}

fn heads(query: &Query) -> Vec<Head> {
    let head = |&(class, label, order): &(_, _, Option<&str>)| {
        let sort = order.and_then(|name| SORTS.into_iter().find(|sort| sort.name == name));
        let ordered = Query {
            sort,
            ..query.clone()
        };
        Head {
            class,
            label,
            order: order.map(|_| href(&ordered)),
            on: order.is_some() && sort == query.sort,
        }
    };
    COLUMNS.iter().map(head).collect()
}

/// The names that runs are compared with whole.
fn exact(filter: &RunFilter) -> Vec<(&'static str, &'static str, String)> {
    let names = [
        ("model_sent", "model", &filter.model_sent),
        ("provider", "provider", &filter.provider),
        ("client", "client", &filter.client),
        ("key", "key", &filter.key),
    ];
    let given = names.into_iter();
    given
        .filter_map(|(parameter, called, name)| Some((parameter, called, name.clone()?)))
        .collect()
}

impl FilterView {
    fn new(dashboard: &Dashboard, query: &Query) -> Self {
        let filter = &query.filter;
        let unusual = filter.states.iter().filter(|state| !CHIPS.contains(state));
        let chips = CHIPS
            .iter()
            .chain(unusual)
            .map(|state| Chip {
                state: (*state).into(),
                value: state.name(),
                on: filter.states.contains(state),
            })
            .collect();
        let present = dashboard.workflows.borrow().plans.clone();
        let mut names: Vec<String> = present
            .iter()
            .map(|plan| plan.name.clone())
            .chain(filter.workflow.clone())
            .collect();
        names.sort_unstable();
        names.dedup();
        let is_chosen = |name: &String| filter.workflow.as_ref() == Some(name);
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        Self {
            chips,
            workflows: names
                .into_iter()
                .map(|name| (name.clone(), is_chosen(&name)))
                .collect(),
            workflow_chosen: filter.workflow.is_some(),
            model: text(&filter.model),
            session: text(&filter.session),
            search: text(&filter.search),
            min_duration: filter.min_duration.map(written_length).into(),
            min_cost: filter.min_cost.map(|cost| cost.to_string()).into(),
            min_retries: filter.min_retries,
            replaced: filter.replaced.map(|is_replaced| {
                let label = if is_replaced {
                    "Replaced"
                } else {
                    "Not replaced"
                };
                (yes_or_no(is_replaced), label)
            }),
            sorts: SORTS
                .into_iter()
                .map(|sort| (sort, query.sort == Some(sort)))
                .collect(),
            ranges: RANGES
                .into_iter()
                .map(|range| (range, query.range == Some(range)))
                .collect(),
            exact: exact(filter),
            since: filter
                .since
                .filter(|_| query.range.is_none())
                .map(format::rfc3339),
            until: filter.until.map(format::rfc3339),
            limit: (query.limit != super::filter::PAGE).then_some(query.limit),
            range_chosen: query.range.is_some() || filter.since.is_some(),
        }
    }
}
