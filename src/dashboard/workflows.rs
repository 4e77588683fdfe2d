//! The workflows: each plan as a graph with its file and its steps.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use askama::Template;

use super::format::Span;
use super::page::{Failure, Shell, answer, part};
use super::state::{StateShare, StateView, shares};
use super::{Dashboard, format, panel, picture};
use crate::events::{PlanInfo, State, Timestamp};
use crate::store::{By, RunFilter, Totals};

/// The workflows as they are at present.
#[derive(Clone, Debug)]
pub struct Workflows {
    /// The plans that serve requests.
    pub plans: Vec<Arc<PlanInfo>>,
    /// Since when they do so together.
    pub since: Timestamp,
    /// The folder whose changes come into use by themselves, if there is one.
    pub watched: Option<String>,
    /// Changed files that did not come into use.
    pub refused: Option<Refused>,
}

/// Why changed workflow files did not come into use.
#[derive(Clone, Debug)]
pub struct Refused {
    /// When they were read.
    pub at: Timestamp,
    /// What is wrong: sentences that name file and cure.
    pub faults: Vec<String>,
}

#[derive(Template)]
#[template(path = "workflows.html")]
struct ListPage {
    shell: Shell,
    watched: Option<String>,
    cards: String,
}

/// What of the list changes with the files.
#[derive(Template)]
#[template(path = "parts/workflow_cards.html")]
struct Cards {
    refused: Option<RefusedView>,
    workflows: Vec<Card>,
}

#[derive(Template)]
#[template(path = "parts/workflow_gone.html")]
struct Gone<'a> {
    name: &'a str,
}

/// What is said of changed files that did not come into use.
struct RefusedView {
    at: Moment,
    faults: Vec<Vec<Span>>,
    /// How many faults are left out.
    more: usize,
    /// Since when there is what stays in use.
    since: Moment,
}

/// A moment as a `<time>` shows it.
struct Moment {
    machine: String,
    text: String,
    ago: String,
}

/// A workflow in a few lines.
struct Card {
    name: String,
    href: String,
    about: Vec<Span>,
    route: Option<String>,
    file: String,
    steps: usize,
    runs: String,
    shares: Vec<StateShare>,
    p50: String,
    p95: String,
    cost: String,
    graph: String,
}

#[derive(Template)]
#[template(path = "workflow.html")]
struct PlanPage {
    shell: Shell,
    name: String,
    plan: String,
    live: Option<String>,
}

/// What of a workflow's page changes with the files.
#[derive(Template)]
#[template(path = "parts/workflow_plan.html")]
struct PlanPart {
    refused: Option<RefusedView>,
    card: Card,
    hash: String,
    steps: Vec<StepRow>,
    lines: Vec<SourceLine>,
}

struct StepRow {
    name: String,
    task: String,
    about: Vec<Span>,
    takes: String,
    gives: String,
    rules: Vec<String>,
    replies: bool,
}

/// A line of a workflow file with its comment set apart.
struct SourceLine {
    code: String,
    comment: String,
}

/// `GET /workflows`.
pub(super) async fn list(dashboard: web::Data<Dashboard>) -> HttpResponse {
    answer(&dashboard, show_list(&dashboard).await)
}

async fn show_list(dashboard: &Dashboard) -> Result<ListPage, Failure> {
    let present = dashboard.workflows.borrow().clone();
    Ok(ListPage {
        shell: Shell::new(dashboard, "workflows"),
        cards: cards(dashboard, &present).await?,
        watched: present.watched,
    })
}

/// The element `#workflows` of the list.
pub(super) async fn cards(dashboard: &Dashboard, present: &Workflows) -> Result<String, Failure> {
    let totals = totals(dashboard).await?;
    let plans = present.plans.iter();
    Ok(part(&Cards {
        refused: RefusedView::new(present),
        workflows: plans
            .map(|plan| Card::new(plan, totals.get(&plan.name)))
            .collect(),
    }))
}

/// `GET /workflows/{name}`.
pub(super) async fn page(dashboard: web::Data<Dashboard>, name: web::Path<String>) -> HttpResponse {
    answer(&dashboard, show(&dashboard, &name).await)
}

async fn show(dashboard: &Dashboard, name: &str) -> Result<PlanPage, Failure> {
    let present = dashboard.workflows.borrow().clone();
    let plan = plan(dashboard, &present, name).await?.ok_or_else(|| {
        let name = format::ellipsis(name, 60);
        Failure::Missing(format!("There is no workflow {name}."))
    })?;
    let live = || format!("/live{}", href(name));
    Ok(PlanPage {
        shell: Shell::new(dashboard, "workflows"),
        name: name.to_owned(),
        plan,
        live: present.watched.as_ref().map(|_| live()),
    })
}

/// The element `#workflow` of a workflow's page, if there is one of that name.
pub(super) async fn plan(
    dashboard: &Dashboard,
    present: &Workflows,
    name: &str,
) -> Result<Option<String>, Failure> {
    let Some(plan) = present.plans.iter().find(|plan| plan.name == name) else {
        return Ok(None);
    };
    let totals = totals(dashboard).await?;
    Ok(Some(part(&PlanPart {
        refused: RefusedView::new(present),
        card: Card::new(plan, totals.get(&plan.name)),
        hash: plan.hash.clone(),
        steps: step_rows(plan),
        lines: plan.source.lines().map(SourceLine::new).collect(),
    })))
}

/// What takes the place of `#workflow` when there is none of that name any more.
pub(super) fn gone(name: &str) -> String {
    let name = format::ellipsis(name, 60);
    part(&Gone { name: &name })
}

fn href(name: &str) -> String {
    format!("/workflows/{}", super::filter::encode(name))
}

/// Figures of the last 24 hours by workflow.
pub(super) async fn totals(dashboard: &Dashboard) -> Result<HashMap<String, Totals>, Failure> {
    const DAY: Duration = Duration::from_secs(86_400);
    const DAY_MICROS: i64 = 86_400_000_000;
    let since = Timestamp(Timestamp::now().0.saturating_sub(DAY_MICROS));
    let filter = RunFilter::accepted_since(since);
    let usage = dashboard.store.usage(By::Workflow, DAY, &filter).await?;
    let named = usage.groups.into_iter();
    Ok(named
        .filter_map(|(name, totals)| Some((name?, totals)))
        .collect())
}

impl RefusedView {
    /// A page has to stay one that can be read, whatever lies in the folder.
    const MOST_FAULTS: usize = 20;
    const LONGEST_FAULT: usize = 600;

    fn new(present: &Workflows) -> Option<Self> {
        let refused = present.refused.as_ref()?;
        let shown = refused.faults.iter().take(Self::MOST_FAULTS);
        Some(Self {
            at: Moment::new(refused.at),
            faults: shown
                .map(|fault| format::prose(&format::ellipsis(fault, Self::LONGEST_FAULT)))
                .collect(),
            more: refused.faults.len().saturating_sub(Self::MOST_FAULTS),
            since: Moment::new(present.since),
        })
    }
}

impl Moment {
    fn new(at: Timestamp) -> Self {
        Self {
            machine: format::rfc3339(at),
            text: format::date_and_clock(at),
            ago: format::ago(at, Timestamp::now()),
        }
    }
}

impl Card {
    fn new(plan: &PlanInfo, totals: Option<&Totals>) -> Self {
        let none = Totals::default();
        let totals = totals.unwrap_or(&none);
        let runs = totals.runs();
        let unknown = || (format::UNKNOWN.to_owned(), format::UNKNOWN.to_owned());
        let (p50, p95) = totals.duration_p50_p95.map_or_else(unknown, |(p50, p95)| {
            (format::duration(p50), format::duration(p95))
        });
        Self {
            name: plan.name.clone(),
            href: href(&plan.name),
            about: format::prose(&plan.about),
            route: plan.route.clone(),
            file: plan.file.clone(),
            steps: plan.steps.len(),
            runs: format::thousands(i64::try_from(runs).unwrap_or(i64::MAX)),
            shares: shares(totals),
            p50,
            p95,
            cost: format::money(totals.cost_usd),
            graph: picture::of_plan(plan),
        }
    }

    /// The address of the runs of this workflow.
    fn runs_href(&self) -> String {
        self.narrowed_href(&[])
    }

    fn narrowed_href(&self, more: &[(&'static str, &str)]) -> String {
        let mut pairs = vec![("workflow", self.name.clone())];
        pairs.extend(
            more.iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        pairs.push(("range", "24h".to_owned()));
        format!("/runs?{}", super::filter::encode_pairs(&pairs))
    }

    /// The address that counts the runs of a share.
    fn share_href(&self, share: &StateShare) -> String {
        if share.state == StateView::REPLACED {
            return self.narrowed_href(&[("replaced", "yes")]);
        }
        let mut states = State::ALL.into_iter();
        let state = states.find(|state| StateView::from(*state) == share.state);
        let mut more = Vec::from_iter(state.map(|state| ("state", state.name())));
        if self
            .shares
            .iter()
            .any(|other| other.state == StateView::REPLACED)
        {
            more.push(("replaced", "no"));
        }
        self.narrowed_href(&more)
    }
}

fn step_rows(plan: &PlanInfo) -> Vec<StepRow> {
    (0..)
        .zip(&plan.steps)
        .map(|(index, step)| {
            let mut rules = Vec::new();
            rules.extend(
                step.timeout
                    .map(|timeout| format!("timeout {}", format::duration(timeout))),
            );
            rules.extend(step.retry.as_ref().map(panel::retry));
            rules.extend(step.limit.map(|limit| format!("limit {limit}")));
            rules.extend(step.optional.then(|| "optional".to_owned()));
            StepRow {
                name: step.name.clone(),
                task: step.task.clone(),
                about: format::prose(&step.about),
                takes: step.takes.join(", "),
                gives: step.gives.join(", "),
                rules,
                replies: index == plan.reply,
            }
        })
        .collect()
}

impl SourceLine {
    /// A `#` starts a comment unless it stands in a string.
    fn new(line: &str) -> Self {
        let mut quote = None;
        let comment = line.char_indices().find(|(_, c)| {
            match (*c, quote) {
                ('"' | '\'', None) => quote = Some(*c),
                (c, Some(open)) if c == open => quote = None,
                ('#', None) => return true,
                _ => {}
            }
            false
        });
        let at = comment.map_or(line.len(), |(at, _)| at);
        let (code, comment) = line.split_at(at);
        Self {
            code: code.to_owned(),
            comment: comment.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::fixture;

    #[test]
    fn a_comment_is_set_apart_and_a_string_is_not_one() {
        let line = SourceLine::new(r##"a = "x # y" # why"##);
        assert_eq!(line.code, r##"a = "x # y" "##);
        assert_eq!(line.comment, "# why");
        assert_eq!(SourceLine::new("b = 1").comment, "");
    }

    #[test]
    fn each_share_leads_to_the_runs_that_it_counts() {
        let hrefs = |replaced| {
            let totals = Totals {
                by_state: vec![(State::Failed, 1)],
                replaced,
                ..Totals::default()
            };
            let card = Card::new(&fixture::messages_plan(), Some(&totals));
            let shares = card.shares.iter();
            Vec::from_iter(shares.map(|share| card.share_href(share)))
        };
        assert_eq!(
            hrefs(2),
            [
                "/runs?workflow=messages&state=Failed&replaced=no&range=24h",
                "/runs?workflow=messages&replaced=yes&range=24h",
            ]
        );
        let failed = "/runs?workflow=messages&state=Failed&range=24h";
        assert_eq!(hrefs(0), [failed], "where none was replaced");
    }
}
