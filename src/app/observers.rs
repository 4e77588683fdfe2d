//! Those who watch the runs, on a thread of their own: telemetry and the recorder.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::{oneshot, watch};

use super::StartError;
use crate::dashboard::Workflows;
use crate::events::{EventSink, EventSource, Observer};
use crate::settings;
use crate::store::{Recorder, RecorderStats};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::{Probe, RunObserver, RunTraces, SpanExport, examine, export};
use crate::upstream::{self, Upstreams};

/// How long the last spans may take to leave.
const LAST_EXPORT: Duration = Duration::from_secs(3);

/// The observers at work.
pub(super) struct Observers {
    thread: std::thread::JoinHandle<()>,
    export: Option<SpanExport>,
}

impl Observers {
    /// Lets them watch what comes out of `source`; `probes` are shown beside their own figures.
    pub(super) fn start(
        traces: Option<RunTraces>,
        recorder: Recorder,
        events: &EventSink,
        source: EventSource,
        mut probes: Vec<Probe>,
    ) -> Result<(Self, Arc<Metrics>), StartError> {
        probes.extend(store_probes(recorder.stats()));
        probes.extend(recorder_probes(recorder.stats()));
        probes.extend(Probe::event_queue(events));
        let depth = events.clone();
        let recorder = recorder.with_queue(super::EVENT_QUEUE, move || depth.load());
        let queue = events.clone();
        let recorder = recorder.with_end(move || queue.closed());
        let export = traces.as_ref().map(|traces| traces.export().clone());
        probes.extend(traces.iter().map(RunTraces::probe));
        probes.extend(export.iter().flat_map(SpanExport::probes));
        let metrics =
            Arc::new(Metrics::new(probes).map_err(|error| StartError::Observers(Box::new(error)))?);
        // Telemetry is quick and never waits; the recorder may wait for the disk and comes last.
        let mut observers: [Box<dyn Observer>; 2] = [
            Box::new(RunObserver::new(Arc::clone(&metrics), traces)),
            Box::new(recorder),
        ];
        let thread = std::thread::Builder::new()
            .name("observers".to_owned())
            .spawn(move || source.feed(&mut observers))
            .map_err(|error| StartError::Observers(Box::new(error)))?;
        Ok((Self { thread, export }, metrics))
    }

    /// Waits until all that was observed is written and exported, at most `within`.
    ///
    /// It waits on a thread of its own: the runtime does not end before those do that it has for what blocks.
    pub(super) async fn finish(self, within: Duration) {
        let (ended, last) = oneshot::channel();
        let wait = move || {
            let is_whole = self.thread.join().is_ok();
            if let Some(export) = self.export
                && let Err(error) = export.shutdown(LAST_EXPORT)
            {
                tracing::warn!(%error, "the last traces were not exported");
            }
            // Nobody waits any more when the time is up.
            let _ = ended.send(is_whole);
        };
        let waiter = std::thread::Builder::new().name("last-words".to_owned());
        if let Err(error) = waiter.spawn(wait) {
            tracing::error!(%error, "the last runs may not be recorded: no thread can be started to wait for that");
            return;
        }
        match tokio::time::timeout(within, last).await {
            Ok(Ok(true)) => {}
            Ok(_) => tracing::error!("the observers broke off; the last runs may not be recorded"),
            Err(_) => tracing::error!(
                "the observers did not end in time; the last runs may not be recorded"
            ),
        }
    }
}

/// Makes the text of `/metrics`, in which each workflow has its lines from the moment on in which it comes into use.
pub(super) fn metrics_text(
    metrics: Arc<Metrics>,
    workflows: watch::Receiver<Workflows>,
) -> Box<dyn Fn() -> String + Send + Sync> {
    Box::new(move || {
        for plan in &workflows.borrow().plans {
            metrics.expect(&plan.name);
        }
        metrics.render()
    })
}

/// Gives each upstream its lines before it is asked for anything: the settings name all that there will be.
pub(super) fn expect_upstreams(metrics: &Metrics, upstreams: &Upstreams) {
    for upstream in upstreams.all() {
        metrics.expect_upstream(upstream.client.name());
    }
    for model in upstreams.fallbacks() {
        metrics.expect_fallback(model);
    }
}

/// The traces of runs, when the settings name a collector.
pub(super) fn traces(settings: &settings::Telemetry) -> Result<Option<RunTraces>, StartError> {
    let fails = |error: Box<dyn std::error::Error + Send + Sync>| StartError::Traces(error);
    let Some(collector) = collector(settings).map_err(|error| fails(Box::new(error)))? else {
        return Ok(None);
    };
    let client = client().map_err(|error| fails(Box::new(error)))?;
    let runtime = tokio::runtime::Handle::current();
    let export = SpanExport::start(&collector, client, runtime);
    let export = export.map_err(|error| fails(Box::new(error)))?;
    Ok(Some(RunTraces::new(export, settings.messages)))
}

/// What requests to the collector go over.
fn client() -> Result<reqwest::Client, reqwest::Error> {
    upstream::client::http().and_then(|builder| builder.no_proxy().build())
}

/// Asks the collector that the settings name, if they name one, whether it would take spans, and waits so long for it. Gives
/// where it is.
///
/// # Errors
/// Why it would not, with the cure.
pub(crate) async fn ask_collector(
    settings: &settings::Telemetry,
    within: Duration,
) -> Result<Option<String>, Box<dyn std::error::Error + Send + Sync>> {
    let Some(collector) = collector(settings)? else {
        return Ok(None);
    };
    let answers = examine::examine(&collector, client()?, within).await?;
    Ok(Some(answers))
}

/// The collector that the settings name, if they name one.
///
/// # Errors
/// When one of them cannot be used.
fn collector(settings: &settings::Telemetry) -> Result<Option<export::Settings>, export::Error> {
    if settings.endpoint.is_empty() {
        return Ok(None);
    }
    let headers = export::pairs("OTEL_EXPORTER_OTLP_HEADERS", settings.headers.expose())?;
    let secret = |(name, value): (String, String)| (name, SecretString::from(value));
    let collector = export::Settings {
        headers: headers.into_iter().map(secret).collect(),
        service_name: Some(settings.service_name.clone()),
        resource: export::pairs("OTEL_RESOURCE_ATTRIBUTES", &settings.resource_attributes)?,
        ..export::Settings::new(settings.endpoint.clone())
    };
    collector.check()?;
    Ok(Some(collector))
}

/// How the run store is at present.
fn store_probes(stats: &Arc<RecorderStats>) -> [Probe; 3] {
    let [state, last_commit, waiting] = [(); 3].map(|()| Arc::clone(stats));
    [
        Probe::new(
            "dagway_store_up",
            "1 while the run store takes what is written, 0 since it refused a write.",
            move || u64::from(!state.is_failing()),
        ),
        Probe::measure(
            "dagway_store_last_commit_seconds",
            "How long the last commit took.",
            move || last_commit.last_commit().as_secs_f64(),
        ),
        Probe::new(
            "dagway_store_waiting_runs",
            "Runs that wait until the run store takes writes again.",
            move || waiting.waiting_runs.load(Ordering::Relaxed),
        ),
    ]
}

/// What the recorder has done so far.
fn recorder_probes(stats: &Arc<RecorderStats>) -> Vec<Probe> {
    let probe = |name, help, read: fn(&RecorderStats) -> &AtomicU64| {
        let stats = Arc::clone(stats);
        Probe::new(name, help, move || read(&stats).load(Ordering::Relaxed))
    };
    vec![
        probe(
            "dagway_store_commits_total",
            "Transactions of the run store.",
            |stats| &stats.batches,
        ),
        probe(
            "dagway_store_rows_total",
            "Rows written to the run store.",
            |stats| &stats.rows,
        ),
        probe(
            "dagway_store_errors_total",
            "Writes that the run store refused.",
            |stats| &stats.errors,
        ),
        probe(
            "dagway_store_shed_previews_total",
            "Artifacts whose text was not kept because the recorder was behind.",
            |stats| &stats.shed_previews,
        ),
        probe(
            "dagway_store_shed_payload_bytes_total",
            "Bytes of bodies not kept because the recorder was behind.",
            |stats| &stats.shed_payload_bytes,
        ),
        probe(
            "dagway_store_lost_runs_total",
            "Runs given up, whole or from a moment on, because the database refused them for too long.",
            |stats| &stats.lost_runs,
        ),
        probe(
            "dagway_crashed_runs_total",
            "Runs that were open when their process ended and that this process has marked Crashed, at its start or later.",
            |stats| &stats.crashed_runs,
        ),
        probe(
            "dagway_store_expired_runs_total",
            "Runs removed by retention.",
            |stats| &stats.expired_runs,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::events::{PlanInfo, Timestamp};
    use crate::protocol::anthropic::error::ErrorKind;
    use crate::protocol::openrouter::error;
    use crate::telemetry::{attempts, blame};

    fn plan(name: &str) -> Arc<PlanInfo> {
        Arc::new(PlanInfo {
            name: name.to_owned(),
            about: String::new(),
            file: String::new(),
            source: String::new(),
            route: None,
            hash: String::new(),
            reply: 0,
            steps: Vec::new(),
            edges: Vec::new(),
        })
    }

    #[test]
    fn observers_that_hang_do_not_hold_the_process_up() {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let (release, hang) = std::sync::mpsc::channel::<()>();
        let patience = Duration::from_secs(20);
        let thread = std::thread::spawn(move || {
            let _ = hang.recv_timeout(patience);
        });
        let export = None;
        let begun = Instant::now();
        runtime.block_on(Observers { thread, export }.finish(Duration::from_millis(20)));
        drop(runtime);
        let took = begun.elapsed();
        assert!(took < patience / 2, "the end took {took:?}");
        drop(release);
    }

    #[test]
    fn a_workflow_has_its_lines_when_it_comes_into_use() {
        let (present, workflows) = watch::channel(Workflows {
            plans: vec![plan("first")],
            since: Timestamp(0),
            watched: None,
            refused: None,
        });
        let text = metrics_text(Arc::new(Metrics::new(Vec::new()).unwrap()), workflows);
        let has = |text: &str, workflow: &str| {
            let line = format!("dagway_runs_total{{state=\"Failed\",workflow=\"{workflow}\"}} 0");
            text.lines().any(|found| found == line)
        };
        let before = text();
        assert!(has(&before, "first") && !has(&before, "mine"), "{before}");
        present.send_modify(|shown| shown.plans.push(plan("mine")));
        assert!(has(&text(), "mine"));
    }

    #[test]
    fn telemetry_knows_all_kinds_of_errors_that_a_client_may_be_told() {
        assert_eq!(ErrorKind::ALL.map(ErrorKind::name), blame::KINDS);
    }

    #[test]
    fn telemetry_knows_all_words_for_attempts_of_which_no_status_tells() {
        assert_eq!(error::FAILURES, attempts::FAILURES);
    }
}
