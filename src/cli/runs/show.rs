//! `dagway runs show`: one run whole.
//!
//! It must not know how the run was found.

use jiff::tz::TimeZone;

use super::answer::{Change, Run, Step, Whole};
use super::args::Runs;
use super::client::Client;
use super::clock::Clock;
use super::list::{state, state_of};
use super::terminal::{self, ASIDE, Paper, TITLE, WRONG};
use super::{bars, chosen, payload, text};
use crate::cli::Failure;
use crate::dashboard::format;
use crate::events::{State, Timestamp};
use crate::facts;

/// Places for the names of figures.
const NAMES: usize = 10;
/// Places of a step's name.
const LONGEST_STEP: usize = 32;
/// Places of the time axis: fewer say nothing, more say no more.
const AXIS: std::ops::RangeInclusive<usize> = 12..=72;
/// Places of the time axis where lines have no end.
const USUAL_AXIS: usize = 60;

/// Shows a run.
///
/// # Errors
/// When there is no such run.
pub(super) async fn run(
    client: &Client,
    args: &Runs,
    run: &str,
    paper: Paper,
) -> Result<(), Failure> {
    let id = chosen::find(client, run, &args.filter).await?;
    let json = client.json(&format!("/api/runs/{id}"), &[]).await?;
    if args.json {
        return terminal::write_json(&json);
    }
    let whole: Whole = client.read(&json)?;
    let said = page(&whole, Timestamp::now(), TimeZone::system(), paper);
    terminal::write(said.as_bytes())
}

/// A run whole, as text.
pub(super) fn page(whole: &Whole, now: Timestamp, zone: TimeZone, paper: Paper) -> String {
    let clock = Clock::new([whole.run.started], now, zone);
    let page = Page {
        whole,
        clock: &clock,
        now,
        paper,
    };
    page.text()
}

/// A run as it is shown.
struct Page<'a> {
    whole: &'a Whole,
    clock: &'a Clock,
    now: Timestamp,
    paper: Paper,
}

impl Page<'_> {
    fn text(&self) -> String {
        let mut lines = vec![self.head(), String::new()];
        lines.extend(self.figures());
        lines.push(String::new());
        lines.extend(self.steps());
        if !self.whole.logs.is_empty() {
            lines.push(String::new());
            lines.push(self.paper.paint("LOG", TITLE));
            lines.extend(self.log());
        }
        if !self.whole.payloads.is_empty() {
            lines.push(String::new());
            lines.push(self.paper.paint("PAYLOADS", TITLE));
            lines.extend(self.payloads());
        }
        lines.join("\n") + "\n"
    }

    fn head(&self) -> String {
        let run = &self.whole.run;
        let state = state(run);
        format!(
            "{}  {}  {}",
            self.paper.paint(&state.text, state.style.bold()),
            text::line(&run.workflow),
            run.id
        )
    }

    fn figures(&self) -> Vec<String> {
        let run = &self.whole.run;
        let label = |fact| run.text(fact).map(text::line);
        let (asked, used) = run.models();
        let models = [asked, used].into_iter().flatten().map(text::line);
        let models = models.collect::<Vec<_>>().join(" → ");
        let provider = label(facts::PROVIDER_BEHIND).or_else(|| label(facts::PROVIDER));
        let agent =
            label(facts::AGENT).map_or_else(String::new, |agent| format!(", agent {agent}"));
        let started = format!(
            "{}, {}",
            self.clock.long(run.started),
            format::ago(run.started, self.now)
        );
        let model = provider.map_or_else(|| models.clone(), |by| format!("{models}, by {by}"));
        let pairs = [
            ("model", (!models.is_empty()).then_some(model)),
            ("started", Some(started)),
            ("took", Some(took(run))),
            ("tokens", tokens(run)),
            (
                "cost",
                run.float(facts::COST_USD)
                    .map(|cost| about(run, format::money(cost))),
            ),
            ("answer", answer(run)),
            (
                "session",
                label(facts::SESSION).map(|session| session + &agent),
            ),
            ("client", label(facts::USER_AGENT)),
            (
                "request",
                Some(text::line(&run.request_id)).filter(|id| !id.is_empty()),
            ),
            (
                "trace",
                Some(text::line(&run.trace_id)).filter(|id| !id.is_empty()),
            ),
        ];
        let mut lines = Vec::new();
        if let Some(trouble) = run.trouble() {
            let named = self.named("error", &text::lines(&trouble));
            lines.extend(named.iter().map(|line| self.paper.paint(line, WRONG)));
        }
        let known = pairs
            .iter()
            .filter_map(|(name, value)| Some((name, value.as_ref()?)));
        lines.extend(known.flat_map(|(name, value)| self.named(name, value)));
        lines
    }

    /// A value of one line or several with its name before it.
    fn named(&self, name: &str, value: &str) -> Vec<String> {
        let places = self
            .paper
            .width
            .map(|width| width.saturating_sub(NAMES + 2));
        let wrapped = text::wrap(value, places).into_iter();
        let lines = wrapped.enumerate().map(|(number, line)| {
            let name = if number == 0 { name } else { "" };
            format!("{}{line}", text::left(&format!("  {name}"), NAMES + 2))
        });
        lines.map(|line| line.trim_end().to_owned()).collect()
    }

    fn steps(&self) -> Vec<String> {
        let run = &self.whole.run;
        let widest = |cells: &mut dyn Iterator<Item = usize>, title: &str| {
            cells.max().unwrap_or(0).max(text::width(title))
        };
        let steps = || self.whole.steps.iter();
        let cells: Vec<[String; 4]> = steps().map(|step| cells(run, step)).collect();
        let states: Vec<_> = steps()
            .map(|step| state_of(&step.state, step.streaming))
            .collect();
        let titles = ["STEP", "TRIES", "BEGAN", "TOOK"];
        let widths = [0, 1, 2, 3].map(|column| {
            let mut widths = cells.iter().map(|cells| text::width(&cells[column]));
            widest(&mut widths, titles[column])
        });
        let of_states = widest(
            &mut states.iter().map(|state| text::width(&state.text)),
            "STATE",
        );
        let line = |cells: [&str; 4], state: String, bar: &str| {
            let [step, tries, began, took] = cells;
            let [w_step, w_tries, w_began, w_took] = widths;
            let step = text::left(step, w_step);
            let tries = text::right(tries, w_tries);
            let began = text::right(began, w_began);
            let took = text::right(took, w_took);
            let line = format!("{step}  {state}  {tries}  {began}  {took}  {bar}");
            line.trim_end().to_owned()
        };
        let taken = widths.iter().sum::<usize>() + of_states + 5 * 2;
        let axis = self.axis(taken);
        let total = format::duration(run.duration());
        let scale = axis.map(|axis| format!("0{}", text::right(&total, axis.saturating_sub(1))));
        let head = line(
            titles,
            text::left("STATE", of_states),
            &scale.unwrap_or_default(),
        );
        let mut lines = vec![self.paper.paint(&head, TITLE)];
        for ((step, cells), state) in steps().zip(&cells).zip(&states) {
            let bar = axis.map(|axis| match why_not(step) {
                Some(why) => self.paper.paint(&text::cut(&why, axis), ASIDE),
                None => bars::bar(run, step, axis, self.paper),
            });
            let state = self
                .paper
                .paint(&text::left(&state.text, of_states), state.style);
            let cells = cells.each_ref().map(String::as_str);
            lines.push(line(cells, state, &bar.unwrap_or_default()));
            lines.extend(step.history.iter().flat_map(|change| self.failure(change)));
        }
        if axis.is_some() {
            lines.push(self.paper.paint(bars::LEGEND, ASIDE));
        }
        lines
    }

    /// Places of the time axis beside so many others; nothing when there are too few.
    fn axis(&self, taken: usize) -> Option<usize> {
        let Some(width) = self.paper.width else {
            return Some(USUAL_AXIS);
        };
        let left = width.saturating_sub(taken).min(*AXIS.end());
        AXIS.contains(&left).then_some(left)
    }

    /// What an attempt failed with, and the pause before the next one.
    fn failure(&self, change: &Change) -> Vec<String> {
        const INDENT: &str = "  └ ";
        let Some(message) = change.message.as_ref().filter(|_| change.attempt > 0) else {
            return Vec::new();
        };
        // What the run failed with stands above all.
        let trouble = self.whole.run.trouble();
        if change.retry_in_ms.is_none()
            && trouble.is_some_and(|all| all.ends_with(message.as_str()))
        {
            return Vec::new();
        }
        let pause = change.retry_in_ms.map(|pause| {
            let pause = format::duration(pause);
            format!(", then a pause of {pause}")
        });
        let (attempt, pause) = (change.attempt, pause.unwrap_or_default());
        let said = format!("attempt {attempt}{pause}: {}", text::lines(message));
        let places = self.paper.width;
        let places = places.map(|width| width.saturating_sub(text::width(INDENT)));
        let style = match State::from_name(&change.state) {
            Some(State::Retrying) => ASIDE,
            _ => WRONG,
        };
        let lines = text::wrap(&said, places).into_iter().enumerate();
        let lines = lines.map(|(number, line)| {
            let indent = if number == 0 { INDENT } else { "    " };
            self.paper.paint(&format!("{indent}{line}"), style)
        });
        lines.collect()
    }

    fn log(&self) -> Vec<String> {
        let run = &self.whole.run;
        let lines = self.whole.logs.iter().map(|line| {
            let after = format::duration(line.at.since(run.started));
            let step = line
                .step
                .as_deref()
                .map_or_else(|| "run".to_owned(), step_name);
            let level = text::name(&line.level, 5);
            (
                format!("{}  {level:5}  {step}", text::right(&after, 8)),
                &line.message,
            )
        });
        let lines: Vec<(String, &String)> = lines.collect();
        let widest = lines
            .iter()
            .map(|(head, _)| text::width(head))
            .max()
            .unwrap_or(0);
        let places = self
            .paper
            .width
            .map(|width| width.saturating_sub(widest + 2).max(20));
        let shown = lines.iter().flat_map(|(head, message)| {
            let wrapped = text::wrap(&text::lines(message), places).into_iter();
            wrapped.enumerate().map(|(number, line)| {
                let head = if number == 0 { head.as_str() } else { "" };
                format!("{}  {line}", text::left(head, widest))
                    .trim_end()
                    .to_owned()
            })
        });
        shown.collect()
    }

    fn payloads(&self) -> impl Iterator<Item = String> {
        let widest = self
            .whole
            .payloads
            .iter()
            .map(|payload| text::width(&payload.name));
        let widest = widest.max().unwrap_or(0);
        self.whole.payloads.iter().map(move |payload| {
            let size = if payload.gone {
                "gone".to_owned()
            } else {
                format::bytes(payload.bytes)
            };
            let name = text::left(&text::line(&payload.name), widest);
            let short = payload::short_name(&payload.name).unwrap_or_default();
            format!("{name}  {}  {short}", text::right(&size, 9))
                .trim_end()
                .to_owned()
        })
    }
}

/// Step, attempts, when it began after the run did, and how long it took.
fn cells(run: &Run, step: &Step) -> [String; 4] {
    let unknown = || format::UNKNOWN.to_owned();
    let began = step
        .started
        .map(|started| format::duration(started.since(run.started)));
    let took = step.started.map(|started| {
        let ended = step.ended.unwrap_or_else(|| run.until());
        format::duration(ended.since(started))
    });
    let attempts = (step.attempts > 0).then(|| step.attempts.to_string());
    [
        step.name.as_deref().map_or_else(unknown, step_name),
        attempts.unwrap_or_else(unknown),
        began.unwrap_or_else(unknown),
        took.unwrap_or_else(unknown),
    ]
}

fn step_name(name: &str) -> String {
    text::name(name, LONGEST_STEP)
}

/// Why a step never began, where that is known.
fn why_not(step: &Step) -> Option<String> {
    let last = step.history.last().filter(|_| step.started.is_none())?;
    last.message.as_deref().map(text::line)
}

fn took(run: &Run) -> String {
    let mut said = Vec::new();
    let duration = format::duration(run.duration());
    said.push(match State::from_name(&run.state) {
        // The process died under it, and was last known to live this long after the run's start.
        Some(State::Crashed) => format!("at least {duration}"),
        _ if !run.has_ended() => format!("{duration} so far"),
        _ => duration,
    });
    let first = run.seconds(facts::FIRST_TOKEN).map(format::duration);
    said.extend(first.map(|first| format!("first token after {first}")));
    let own = run
        .int(facts::OVERHEAD_US)
        .and_then(|micros| u64::try_from(micros).ok());
    let own = own.map(|micros| format::duration(std::time::Duration::from_micros(micros)));
    said.extend(own.map(|own| format!("Dagway itself {own}")));
    said.extend(run.int(facts::RETRIES).map(format::retries));
    said.join(", ")
}

fn tokens(run: &Run) -> Option<String> {
    let count = |fact| {
        run.int(fact)
            .map(|count| about(run, format::thousands(count)))
    };
    let input = run.int(facts::INPUT_TOKENS);
    let mut input_said = format!("{} in", count(facts::INPUT_TOKENS)?);
    let notes = [
        (facts::CACHE_READ_TOKENS, "from cache"),
        (facts::CACHE_WRITE_TOKENS, "to cache"),
    ];
    let shares = notes.into_iter().filter_map(|(fact, what)| {
        let tokens = run.int(fact).filter(|tokens| *tokens > 0)?;
        Some(format!("{} {what}", format::share(tokens, input?)?))
    });
    let shares: Vec<String> = shares.collect();
    if !shares.is_empty() {
        input_said.push_str(&format!(" ({})", shares.join(", ")));
    }
    let output = count(facts::OUTPUT_TOKENS).unwrap_or_else(|| format::UNKNOWN.to_owned());
    let mut said = format!("{input_said}, {output} out");
    if let Some(thinking) = run
        .int(facts::REASONING_TOKENS)
        .filter(|tokens| *tokens > 0)
    {
        said.push_str(&format!(" ({} thinking)", format::thousands(thinking)));
    }
    if run.is_estimate() {
        said.push_str(&format!(" ({})", format::WHY_ESTIMATED));
    }
    Some(said)
}

fn about(run: &Run, figure: String) -> String {
    if run.is_estimate() {
        format::about(&figure)
    } else {
        figure
    }
}

/// What the client got.
fn answer(run: &Run) -> Option<String> {
    let mut said = Vec::new();
    said.extend(
        run.int(facts::STATUS)
            .map(|status| format!("status {status}")),
    );
    said.extend(run.text(facts::ERROR_TYPE).map(text::line));
    said.extend(run.text(facts::FINISH_REASON).map(text::line));
    if run.pieces > 0 {
        let pieces = format::chunks(run.pieces);
        said.push(format!("{pieces}, {}", format::bytes(run.bytes)));
    }
    let upstream = run
        .int(facts::UPSTREAM_STATUS)
        .filter(|status| *status != 200);
    said.extend(upstream.map(|status| format!("the upstream's status {status}")));
    (!said.is_empty()).then(|| said.join(", "))
}
