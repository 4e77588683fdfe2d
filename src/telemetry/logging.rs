//! The process's log: lines for people on a terminal, JSON for machines otherwise, always on stderr.
//!
//! What is logged inside a run carries the run's id and the request's: the server enters a span around the run.
//! Spans of background work ([`BACKGROUND`]) go to the span export; runs get theirs from events and are left out here,
//! as are the spans that HTTP libraries open.

use std::io::IsTerminal;

use opentelemetry::trace::TracerProvider;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{Directive, EnvFilter, FilterFn, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Registry, fmt};

use super::export::SpanExport;
use super::json_lines::JsonLines;
use super::people_lines::PeopleFields;

/// The target of spans that stand for background work and are exported: the fetch of a catalogue, the reload of
/// workflows. Modules that must not know telemetry write it out.
pub const BACKGROUND: &str = "dagway::background";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Pretty on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// A line for people.
    Pretty,
    /// An object a line.
    Json,
}

/// Why there can be no log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter cannot be read.
    #[error(
        "`{filter}` is no log filter: {source}; give `log.filter` a level, such as `info`, or levels for parts, such as \
         `warn,dagway=debug`"
    )]
    Filter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Somebody else logs already.
    #[error("the process has a log already")]
    Taken,
}

/// Starts the process's log on stderr, with colours where `may_be_coloured` and it is a terminal. `filter` is in the words
/// of `RUST_LOG`; `export` takes the spans of background work, if there is one.
///
/// # Errors
/// When the filter cannot be read, or at the second call.
pub fn init(
    format: Format,
    filter: &str,
    may_be_coloured: bool,
    export: Option<&SpanExport>,
) -> Result<(), Error> {
    let is_terminal = std::io::stderr().is_terminal();
    let format = match format {
        Format::Auto if is_terminal => Format::Pretty,
        Format::Auto => Format::Json,
        chosen => chosen,
    };
    let is_coloured = is_terminal && may_be_coloured;
    let log = subscriber(format, filter, export, std::io::stderr, is_coloured)?;
    tracing::subscriber::set_global_default(log).map_err(|_| Error::Taken)
}

/// Looks whether [`init`] would take this filter.
///
/// # Errors
/// When it cannot be read.
pub fn check(filter: &str) -> Result<(), Error> {
    parsed(filter).map(drop)
}

fn parsed(filter: &str) -> Result<EnvFilter, Error> {
    let parsed = EnvFilter::builder().parse(filter);
    parsed.map_err(|source| Error::Filter {
        filter: filter.to_owned(),
        source,
    })
}

/// A log with its filter; `Format::Auto` means JSON.
fn subscriber<W>(
    format: Format,
    filter: &str,
    export: Option<&SpanExport>,
    writer: W,
    is_coloured: bool,
) -> Result<impl Subscriber + Send + Sync + use<W>, Error>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let env_filter = parsed(filter)?;
    // One filter for all: a filter on each layer would cost every entering of a run's span.
    let env_filter = match export {
        Some(_) => env_filter.add_directive(background_directive()),
        None => env_filter,
    };
    let lines = fmt::layer().with_writer(writer);
    let lines = match format {
        Format::Pretty => lines
            .compact()
            .with_ansi(is_coloured)
            .fmt_fields(PeopleFields)
            .boxed(),
        Format::Auto | Format::Json => lines.event_format(JsonLines).fmt_fields(JsonLines).boxed(),
    };
    Ok(Registry::default()
        .with(env_filter)
        .with(lines)
        .with(export.map(background)))
}

/// Lets the spans of background work pass a filter that is stricter than they are.
fn background_directive() -> Directive {
    format!("{BACKGROUND}=info")
        .parse()
        .expect("a target and a level make a directive")
}

/// Hands spans of background work to the export, with what was logged inside them.
fn background<S>(export: &SpanExport) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    tracing_opentelemetry::layer()
        .with_tracer(export.provider().tracer("dagway"))
        .with_context_activation(false)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(FilterFn::new(is_background))
}

/// Spans by their target; events of ours that are grave enough, which the layer puts on the span they happen in.
fn is_background(metadata: &Metadata<'_>) -> bool {
    if metadata.is_span() {
        metadata.target().starts_with(BACKGROUND)
    } else {
        metadata.target().starts_with("dagway") && *metadata.level() <= Level::INFO
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tracing::{Span, error, error_span, info, info_span, warn};

    use super::*;
    use crate::telemetry::export::Settings;
    use crate::telemetry::receiver::Collector;

    /// A writer that keeps what is written.
    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Paper {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    /// What is on paper after `work`.
    pub(in crate::telemetry) fn written(
        format: Format,
        filter: &str,
        work: impl FnOnce(),
    ) -> String {
        let paper = Paper::default();
        let writer = paper.clone();
        let log = subscriber(format, filter, None, move || writer.clone(), false).unwrap();
        tracing::subscriber::with_default(log, work);
        paper.text()
    }

    /// As the server opens it around a run.
    fn run_span() -> Span {
        error_span!("run", run.id = %"0199a1b2", request.id = "req_1")
    }

    #[test]
    fn a_line_logged_in_a_run_names_it() {
        let text = written(Format::Json, "info", || {
            let _run = run_span().entered();
            info!(
                attempt = 2,
                model = "a \"b\"\n",
                ratio = 0.5,
                ok = true,
                "sent upstream"
            );
        });
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut line = line.as_object().unwrap().clone();
        let timestamp = line.shift_remove("timestamp").unwrap();
        assert!(timestamp.as_str().unwrap().ends_with('Z'));
        assert_eq!(
            serde_json::to_string(&line).unwrap(),
            concat!(
                r#"{"level":"INFO","target":"dagway::telemetry::logging::tests","message":"sent upstream","#,
                r#""attempt":2,"model":"a \"b\"\n","ratio":0.5,"ok":true,"run.id":"0199a1b2","request.id":"req_1"}"#
            )
        );
        assert_eq!(text.lines().count(), 1, "one line, whatever is in it");
    }

    #[test]
    fn a_line_for_people_is_one_line() {
        let text = written(Format::Pretty, "info", || {
            let _run = run_span().entered();
            info!(
                attempt = 2,
                model = "m",
                provider = "",
                cache_read_tokens = 5_u64,
                cache_write_tokens = 0_u64,
                trace.id = "0199a1b2",
                session = "s-1",
                "sent upstream"
            );
        });
        let (_, line) = text.split_once(' ').unwrap();
        assert_eq!(
            line.trim_start(),
            "INFO run: dagway::telemetry::logging::tests: sent upstream attempt=2 model=\"m\" cache_read_tokens=5 run.id=0199a1b2\n"
        );
    }

    #[test]
    fn what_libraries_say_without_need_is_left_out_of_the_usual_log() {
        let defaults = include_str!("../settings/defaults.toml").lines();
        let filter = defaults
            .filter_map(|line| line.strip_prefix("filter = "))
            .next();
        let text = written(Format::Pretty, filter.unwrap().trim_matches('"'), || {
            info!(target: "actix_server::builder", "starting 2 workers");
            warn!(target: "actix_server::accept", "no more sockets");
            warn!(target: "deadpool.postgres", "Connection error: db error");
            error!(target: "deadpool.postgres", "worse");
            info!("ready");
        });
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(!text.contains("workers"), "{text}");
        assert!(!text.contains("db error"), "{text}");
    }

    #[test]
    fn a_strict_filter_keeps_the_runs_name() {
        let text = written(Format::Json, "warn", || {
            let _run = run_span().entered();
            info!("not written");
            warn!("written");
        });
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["run.id"], "0199a1b2");
        assert_eq!(line["message"], "written");
    }

    #[test]
    fn a_number_that_json_lacks_is_null() {
        let text = written(Format::Json, "info", || {
            info!(ratio = f64::NAN, big = u128::MAX, "odd");
        });
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["ratio"], serde_json::Value::Null);
        assert_eq!(line["big"], u128::MAX.to_string());
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_a_sentence() {
        let error = subscriber(Format::Json, "dagway=loud", None, io::sink, false)
            .err()
            .unwrap();
        assert!(
            error
                .to_string()
                .starts_with("`dagway=loud` is no log filter: "),
            "{error}"
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn only_background_work_is_exported() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let collector = Collector::start();
        let settings = Settings {
            delay: Duration::from_millis(5),
            ..Settings::new(collector.endpoint())
        };
        let runtime = tokio::runtime::Handle::current();
        let export = SpanExport::start(&settings, reqwest::Client::new(), runtime).unwrap();
        let log = subscriber(Format::Json, "warn", Some(&export), io::sink, false).unwrap();
        tracing::subscriber::with_default(log, || {
            run_span().in_scope(|| info!("in a run"));
            info_span!(target: "hyper::client", "connect").in_scope(|| {});
            info_span!(target: BACKGROUND, "fetch_catalogue", models = 3).in_scope(|| {
                warn!(target: "dagway::upstream", "fetched late");
                warn!(target: "hyper::client", "left out");
            });
        });
        let received = collector
            .wait_until(|received| !received.spans.is_empty())
            .await;

        let [span] = &received.spans[..] else {
            panic!("there is one, not {:?}", received.spans)
        };
        assert_eq!(span.name, "fetch_catalogue");
        let events: Vec<_> = span.events.iter().map(|event| &event.name).collect();
        assert_eq!(events, ["fetched late"]);
    }
}
