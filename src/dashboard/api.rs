//! The run API: what the pages show, as JSON.
//!
//! Moments are RFC 3339 in UTC with microseconds, durations are milliseconds. Errors are
//! `{"error":{"message":…}}` with a sentence. It must not know HTML.

use actix_web::http::header::ALLOW;
use actix_web::web::{ServiceConfig, get, resource, scope, to};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, Resource, Route, web};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::filter::Query;
use super::page::{Failure, READ, query_pairs};
use super::timeline::gives_a_flow;
use super::{Dashboard, changes, format, payloads, run, state};
use crate::events::{Carries, EdgeInfo, PlanInfo, StepIndex, StepInfo, Timestamp};
use crate::store::{LogLine, RunDetail, RunSummary, StateChange, StepRun, Totals};

/// Mounts the run API. It expects `web::Data<Dashboard>` among the app's data.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(readable("/api/runs", get().to(list)))
        .service(readable("/api/runs/{id}", get().to(detail)))
        .service(readable(
            "/api/runs/{id}/payloads/{name}",
            get().to(payload),
        ))
        .service(readable("/api/runs/{id}/changes", get().to(changes)))
        .service(readable("/api/usage", get().to(usage)))
        .service(readable("/api/workflows", get().to(workflows)))
        .service(scope("/api").default_service(to(not_found)));
}

fn readable(path: &str, route: Route) -> Resource {
    resource(path)
        .route(route)
        .default_service(to(another_method))
}

/// A path below `/api` that leads nowhere.
pub async fn not_found(request: HttpRequest) -> HttpResponse {
    failed(&Failure::Missing(format!(
        "There is nothing at {}; the run API has GET /api/runs, /api/runs/{{id}}, /api/runs/{{id}}/payloads/{{name}}, \
         /api/runs/{{id}}/changes, /api/usage and /api/workflows, without a slash at the end",
        format::ellipsis(request.path(), 120)
    )))
}

/// A path that can only be read, asked for in another way.
pub async fn another_method(request: HttpRequest) -> HttpResponse {
    failed(&Failure::other_method(&request))
}

async fn list(dashboard: web::Data<Dashboard>, request: HttpRequest) -> HttpResponse {
    answer(find(&dashboard, &request).await)
}

async fn find(dashboard: &Dashboard, request: &HttpRequest) -> Result<Value, Failure> {
    let now = Timestamp::now();
    let query = Query::parse(&query_pairs(request)?, now).map_err(Failure::Bad)?;
    let page = dashboard.page(&query).await?;
    let runs: Vec<Summary<'_>> = page.runs.iter().map(|run| Summary::new(run, now)).collect();
    let mut page = json!({ "runs": runs, "next": page.next.map(|next| next.to_string()) });
    if let Some(trouble) = dashboard.trouble() {
        page["warning"] = trouble.into();
    }
    Ok(page)
}

async fn detail(dashboard: web::Data<Dashboard>, id: web::Path<String>) -> HttpResponse {
    answer(read(&dashboard, &id).await)
}

async fn read(dashboard: &Dashboard, id: &str) -> Result<Value, Failure> {
    let id = run::parse_id(id)?;
    let run = run::find_soon(dashboard, id).await?;
    Ok(run_json(&run, Timestamp::now()))
}

async fn payload(
    dashboard: web::Data<Dashboard>,
    path: web::Path<(String, String)>,
) -> HttpResponse {
    let (id, name) = path.into_inner();
    match payloads::load(dashboard.store.as_ref(), &id, &name).await {
        Err(failure) => failed(&failure),
        Ok((bytes, content_type)) => guarded(HttpResponse::Ok())
            .content_type(content_type)
            .body(bytes),
    }
}

async fn changes(
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    request: HttpRequest,
) -> HttpResponse {
    answer(compare(&dashboard, &id, &request).await)
}

async fn compare(dashboard: &Dashboard, id: &str, request: &HttpRequest) -> Result<Value, Failure> {
    let mut against = None;
    for (name, value) in query_pairs(request)? {
        if name != "against" {
            let name = format::ellipsis(&name, 60);
            let sentence = format!(
                "there is no parameter `{name}`; this address takes against, the id of a run"
            );
            return Err(Failure::Bad(sentence));
        }
        against = Some(run::parse_id(&value)?);
    }
    let run = run::find_soon(dashboard, run::parse_id(id)?).await?;
    let store = dashboard.store.as_ref();
    if let Some(other) = against {
        run::find(store, other).await?;
    }
    changes::json_of_run(store, &run.summary, against, Timestamp::now()).await
}

async fn usage(dashboard: web::Data<Dashboard>, request: HttpRequest) -> HttpResponse {
    answer(super::usage::json::answer(&dashboard, &request).await)
}

async fn workflows(dashboard: web::Data<Dashboard>) -> HttpResponse {
    answer(plans(&dashboard).await)
}

async fn plans(dashboard: &Dashboard) -> Result<Value, Failure> {
    let totals = super::workflows::totals(dashboard).await?;
    let present = dashboard.workflows.borrow().clone();
    let plans = present.plans.iter();
    let workflows: Vec<Value> = plans
        .map(|plan| plan_json(plan, totals.get(&plan.name)))
        .collect();
    let refused = present
        .refused
        .as_ref()
        .map(|refused| json!({ "at": format::rfc3339(refused.at), "faults": refused.faults }));
    Ok(json!({
        "workflows": workflows,
        "in_use_since": format::rfc3339(present.since),
        "refused": refused,
    }))
}

fn answer(body: Result<Value, Failure>) -> HttpResponse {
    match body {
        Ok(body) => guarded(HttpResponse::Ok()).json(body),
        Err(failure) => failed(&failure),
    }
}

fn failed(failure: &Failure) -> HttpResponse {
    if let Failure::Store(error) = failure {
        tracing::error!(error = %error, "the run API could not read the store");
    }
    let mut response = guarded(HttpResponse::build(failure.status()));
    if matches!(failure, Failure::OtherMethod(_)) {
        response.insert_header((ALLOW, READ));
    }
    response.json(json!({ "error": { "message": failure.to_string() } }))
}

fn guarded(mut response: HttpResponseBuilder) -> HttpResponseBuilder {
    response
        .insert_header(("cache-control", "no-store"))
        .insert_header(("x-content-type-options", "nosniff"))
        .insert_header(("content-security-policy", "default-src 'none'; sandbox"));
    response
}

/// A run as a member of a list.
#[derive(Serialize)]
pub(super) struct Summary<'a> {
    id: String,
    state: &'static str,
    streaming: bool,
    workflow: &'a str,
    plan: &'a str,
    request_id: &'a str,
    trace_id: &'a str,
    started: String,
    replied: Option<String>,
    ended: Option<String>,
    duration_ms: f64,
    /// From the request on, attempts and pauses included.
    first_token_ms: Option<f64>,
    error: Option<&'a str>,
    pieces: u64,
    bytes: u64,
    facts: &'a std::collections::BTreeMap<String, crate::events::FactValue>,
}

impl<'a> Summary<'a> {
    pub(super) fn new(run: &'a RunSummary, now: Timestamp) -> Self {
        Self {
            id: run.id.to_string(),
            state: run.state.name(),
            streaming: run.streaming,
            workflow: &run.workflow,
            plan: &run.plan,
            request_id: &run.request_id,
            trace_id: &run.trace_id,
            started: format::rfc3339(run.started),
            replied: run.replied.map(format::rfc3339),
            ended: run.ended.map(format::rfc3339),
            duration_ms: millis(run.duration(now)),
            first_token_ms: run.first_token().map(millis),
            error: run.error.as_deref(),
            pieces: run.pieces,
            bytes: run.bytes,
            facts: &run.facts,
        }
    }
}

/// A run whole, as it stands at `now`.
pub(crate) fn run_json(run: &RunDetail, now: Timestamp) -> Value {
    let steps: Vec<Value> = run
        .steps
        .iter()
        .map(|step| step_json(&run.plan, step, now))
        .collect();
    let logs: Vec<Value> = run
        .logs
        .iter()
        .map(|line| log_json(&run.plan, line))
        .collect();
    json!({
        "run": Summary::new(&run.summary, now),
        "steps": steps,
        "logs": logs,
        "request": run.request,
        "payloads": run.payloads,
    })
}

fn step_json(plan: &PlanInfo, step: &StepRun, now: Timestamp) -> Value {
    let info = plan.steps.get(usize::from(step.step));
    let history: Vec<Value> = step.history.iter().map(change_json).collect();
    json!({
        "name": info.map(|info| &info.name),
        "task": info.map(|info| &info.task),
        "state": step.state.name(),
        "streaming": step.streaming,
        "gives_flow": gives_a_flow(plan, step.step),
        "started": step.started.map(format::rfc3339),
        "ended": step.ended.map(format::rfc3339),
        "duration_ms": step.started.map(|started| millis(step.ended.unwrap_or(now).since(started))),
        "attempts": step.attempts,
        "error": step.error,
        "history": history,
        "outputs": step.outputs,
    })
}

fn change_json(change: &StateChange) -> Value {
    json!({
        "at": format::rfc3339(change.at),
        "state": change.state.name(),
        "attempt": change.attempt,
        "message": change.message,
        "retry_in_ms": change.retry_in.map(millis),
    })
}

fn log_json(plan: &PlanInfo, line: &LogLine) -> Value {
    json!({
        "at": format::rfc3339(line.at),
        "level": state::level(line.level),
        "step": line.step.and_then(|step| step_name(plan, step)),
        "message": line.message,
    })
}

fn plan_json(plan: &PlanInfo, totals: Option<&Totals>) -> Value {
    let steps: Vec<Value> = plan.steps.iter().map(step_info_json).collect();
    let edges: Vec<Value> = plan
        .edges
        .iter()
        .map(|edge| edge_json(plan, edge))
        .collect();
    let runs: Map<String, Value> = totals
        .iter()
        .flat_map(|totals| &totals.by_state)
        .map(|(state, count)| (state.name().to_owned(), (*count).into()))
        .collect();
    json!({
        "name": plan.name,
        "about": plan.about,
        "file": plan.file,
        "route": plan.route,
        "hash": plan.hash,
        "reply": step_name(plan, plan.reply),
        "steps": steps,
        "edges": edges,
        "runs_24h": runs,
        "source": plan.source,
    })
}

fn step_info_json(step: &StepInfo) -> Value {
    let settings: Value = serde_json::from_str(&step.with).unwrap_or(Value::Null);
    json!({
        "name": step.name,
        "task": step.task,
        "about": step.about,
        "with": settings,
        "optional": step.optional,
        "timeout_ms": step.timeout.map(millis),
        "retry": step.retry.as_ref().map(|rule| json!({
            "attempts": rule.attempts,
            "backoff": rule.backoff,
            "base_ms": millis(rule.base),
            "max_ms": millis(rule.max),
            "jitter": rule.jitter,
            "honour_retry_after": rule.honour_retry_after,
            "timeouts": rule.timeouts,
        })),
        "limit": step.limit,
        "takes": step.takes,
        "gives": step.gives,
    })
}

fn edge_json(plan: &PlanInfo, edge: &EdgeInfo) -> Value {
    let (kind, artifact) = match &edge.carries {
        Carries::Shared(name) => ("shared", Some(name)),
        Carries::Owned(name) => ("owned", Some(name)),
        Carries::End(name) => ("end", Some(name)),
        Carries::Order => ("order", None),
    };
    json!({
        "from": edge.from.map_or(Some("request"), |from| step_name(plan, from)),
        "to": step_name(plan, edge.to),
        "kind": kind,
        "artifact": artifact,
    })
}

fn step_name(plan: &PlanInfo, step: StepIndex) -> Option<&str> {
    plan.steps
        .get(usize::from(step))
        .map(|step| step.name.as_str())
}

fn millis(duration: std::time::Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}
