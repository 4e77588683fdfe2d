//! `dagway runs --follow`: a line for each run that begins, and one when it has ended.
//!
//! The run API is asked once a second, for the newest runs and for those that are open and no longer among them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{MissedTickBehavior, interval};

use super::answer::{Page, Run};
use super::args::Runs;
use super::client::{Client, Fault};
use super::clock::{self, Clock};
use super::list::{COLUMNS, row};
use super::table::{Row, Rows, Table};
use super::terminal::{self, Paper};
use crate::cli::{Failure, say_error};
use crate::dashboard::filter::LONGEST_PAGE;
use crate::events::{RunId, Timestamp};

/// How often the server is asked.
const EVERY: Duration = Duration::from_secs(1);
/// Runs that are shown to begin with, when nobody asks for another number.
const AT_FIRST: &str = "10";
/// Pages that are read at a time: more new runs than they hold are not shown, and that is said.
const MOST_PAGES: usize = 5;
/// Open runs that are asked for one by one at a time.
const MOST_ASKED: usize = 16;
/// Runs that are remembered, so that none is shown twice.
const REMEMBERED: usize = 20_000;

/// Shows runs as they come and end, until the reader leaves.
///
/// # Errors
/// When the server is not there at the start, or refuses.
pub(super) async fn run(client: &Client, args: &Runs, paper: Paper) -> Result<(), Failure> {
    let mut watch = Watch {
        client,
        filter: args.filter.pairs(),
        seen: Seen::default(),
    };
    let first = watch
        .begin(args.limit.as_deref().unwrap_or(AT_FIRST))
        .await?;
    let screen = Screen::new(&first, args.json, paper);
    screen.begin()?;
    screen.show(&first)?;
    let mut is_away = false;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match watch.news().await {
            Ok(news) => {
                if std::mem::take(&mut is_away) {
                    say_error(&format!("the Dagway at {} answers again", client.url()));
                }
                if news.has_gap {
                    say_error("more runs came at once than are shown; these are the newest");
                }
                screen.show(&news.runs)?;
            }
            Err(fault) if fault.may_pass() => {
                if !std::mem::replace(&mut is_away, true) {
                    say_error(&format!("{fault}; waiting until it answers again"));
                }
            }
            Err(fault) => return Err(fault.into()),
        }
    }
}

/// A run, as it is understood and as it was written.
#[derive(Debug)]
struct Told {
    run: Run,
    json: Box<RawValue>,
}

impl Told {
    fn read(client: &Client, json: Box<RawValue>) -> Result<Self, Fault> {
        let run = client.read(json.get())?;
        Ok(Self { run, json })
    }
}

/// What is new.
#[derive(Debug)]
struct News {
    /// The oldest first.
    runs: Vec<Told>,
    /// There was more than was read.
    has_gap: bool,
}

/// What is followed.
struct Watch<'a> {
    client: &'a Client,
    filter: Vec<(&'static str, String)>,
    seen: Seen,
}

impl Watch<'_> {
    /// The newest runs, at most `limit`. Those before them are known from now on, but not shown.
    async fn begin(&mut self, limit: &str) -> Result<Vec<Told>, Fault> {
        let (shown, next) = self.page(limit, None).await?;
        let shown = self.seen.take(shown);
        if let (Some(_), Some(oldest)) = (next, shown.first().map(|told| told.run.id)) {
            let (before, _) = self.page(&LONGEST_PAGE.to_string(), Some(oldest)).await?;
            for told in before {
                self.seen.pass_over(told.run.id);
            }
        }
        Ok(shown)
    }

    /// What came or ended since the last time.
    async fn news(&mut self) -> Result<News, Fault> {
        let mut told = Vec::new();
        let mut after = None;
        let mut has_gap = true;
        for _ in 0..MOST_PAGES {
            let (page, next) = self.page(&LONGEST_PAGE.to_string(), after).await?;
            let reaches_known = page.iter().any(|told| self.seen.knows(told.run.id));
            after = page.last().map(|told| told.run.id);
            told.extend(page);
            if reaches_known || next.is_none() {
                has_gap = false;
                break;
            }
        }
        let listed: Vec<RunId> = told.iter().map(|told| told.run.id).collect();
        for id in self.seen.open_beside(&listed) {
            match self.one(id).await {
                Ok(one) => told.push(one),
                // Retention has removed it.
                Err(Fault::Refused(_)) => self.seen.pass_over(id),
                Err(fault) => return Err(fault),
            }
        }
        let runs = self.seen.take(told);
        Ok(News { runs, has_gap })
    }

    /// A page of runs, and what begins the next one.
    async fn page(
        &self,
        limit: &str,
        after: Option<RunId>,
    ) -> Result<(Vec<Told>, Option<String>), Fault> {
        let mut pairs = self.filter.clone();
        pairs.push(("limit", limit.to_owned()));
        pairs.extend(after.map(|after| ("after", after.to_string())));
        let json = self.client.json("/api/runs", &pairs).await?;
        let page: Page = self.client.read(&json)?;
        let runs = page.runs.into_iter();
        let runs = runs.map(|run| Told::read(self.client, run));
        Ok((runs.collect::<Result<_, _>>()?, page.next))
    }

    async fn one(&self, id: RunId) -> Result<Told, Fault> {
        #[derive(Deserialize)]
        struct Whole {
            run: Box<RawValue>,
        }
        let json = self.client.json(&format!("/api/runs/{id}"), &[]).await?;
        let whole: Whole = self.client.read(&json)?;
        Told::read(self.client, whole.run)
    }
}

/// Which runs have been shown.
#[derive(Debug, Default)]
struct Seen {
    /// Each with whether its end is still to be shown.
    runs: BTreeMap<RunId, bool>,
    /// The open run that was asked for last: they take turns.
    last_asked: Option<RunId>,
}

impl Seen {
    fn knows(&self, id: RunId) -> bool {
        self.runs.contains_key(&id)
    }

    /// Nothing more is said of a run.
    fn pass_over(&mut self, id: RunId) {
        self.runs.insert(id, false);
    }

    /// Those that are to be shown, the oldest first; from now on they have been.
    fn take(&mut self, mut told: Vec<Told>) -> Vec<Told> {
        told.sort_by_key(|told| told.run.id);
        told.retain(|told| {
            let has_ended = told.run.has_ended();
            let before = self.runs.insert(told.run.id, !has_ended);
            match before {
                None => true,
                Some(was_open) => {
                    // What was passed over or has ended stays so.
                    self.runs.insert(told.run.id, was_open && !has_ended);
                    was_open && has_ended
                }
            }
        });
        while self.runs.len() > REMEMBERED {
            let closed = self.runs.iter().find(|(_, is_open)| !**is_open);
            let forgotten = closed
                .or_else(|| self.runs.first_key_value())
                .map(|(id, _)| *id);
            forgotten.and_then(|id| self.runs.remove(&id));
        }
        told
    }

    /// Open runs that are not among those listed, at most [`MOST_ASKED`] in turn.
    fn open_beside(&mut self, listed: &[RunId]) -> Vec<RunId> {
        let open =
            |(id, is_open): (&RunId, &bool)| (*is_open && !listed.contains(id)).then_some(*id);
        let is_next = |id: &RunId| self.last_asked.is_none_or(|last| *id > last);
        let all: Vec<RunId> = self.runs.iter().filter_map(open).collect();
        let start = all.partition_point(|id| !is_next(id));
        let turns = all
            .iter()
            .cycle()
            .skip(start)
            .take(all.len().min(MOST_ASKED));
        let asked: Vec<RunId> = turns.copied().collect();
        self.last_asked = asked.last().copied();
        asked
    }
}

/// How runs are written.
struct Screen {
    table: Table,
    is_json: bool,
    zone: TimeZone,
}

impl Screen {
    /// Lays the table out for rows that are not known yet, from those that are.
    fn new(first: &[Told], is_json: bool, paper: Paper) -> Self {
        let zone = clock::here();
        let rows: Vec<Row> = first.iter().map(|told| row_of(told, &zone)).collect();
        Self {
            table: Table::new(&COLUMNS, &rows, Rows::First, paper),
            is_json,
            zone,
        }
    }

    fn begin(&self) -> Result<(), Failure> {
        if self.is_json {
            return Ok(());
        }
        terminal::write(format!("{}\n", self.table.head()).as_bytes())
    }

    fn show(&self, told: &[Told]) -> Result<(), Failure> {
        for told in told {
            if self.is_json {
                terminal::write_json(told.json.get())?;
            } else {
                let line = self.table.row(&row_of(told, &self.zone));
                terminal::write(format!("{line}\n").as_bytes())?;
            }
        }
        Ok(())
    }
}

fn row_of(told: &Told, zone: &TimeZone) -> Row {
    let now = Timestamp::now();
    let clock = Clock::new([told.run.started], now, zone.clone());
    row(&told.run, &clock, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> RunId {
        RunId::from_bytes([number; 16])
    }

    fn told(number: u8, state: &str) -> Told {
        let json = serde_json::json!({
            "id": id(number).to_string(), "state": state, "workflow": "messages",
            "started": "2026-11-22T08:42:12.000000Z", "duration_ms": 1.5, "error": null,
        });
        Told {
            run: serde_json::from_value(json.clone()).unwrap(),
            json: serde_json::value::to_raw_value(&json).unwrap(),
        }
    }

    fn shown(seen: &mut Seen, told: Vec<Told>) -> Vec<(RunId, String)> {
        let news = seen.take(told).into_iter();
        news.map(|told| (told.run.id, told.run.state)).collect()
    }

    #[test]
    fn a_run_is_shown_when_it_comes_and_when_it_has_ended() {
        let mut seen = Seen::default();
        let two = || vec![told(2, "Running"), told(1, "Completed")];
        let first = shown(&mut seen, two());
        assert_eq!(
            first,
            [
                (id(1), "Completed".to_owned()),
                (id(2), "Running".to_owned())
            ]
        );
        assert_eq!(shown(&mut seen, two()), []);
        let ended = shown(&mut seen, vec![told(2, "Failed"), told(1, "Completed")]);
        assert_eq!(ended, [(id(2), "Failed".to_owned())]);
        assert_eq!(shown(&mut seen, vec![told(2, "Failed")]), []);
        // One that was recorded late is none the less new.
        let late = shown(&mut seen, vec![told(0, "Running")]);
        assert_eq!(late, [(id(0), "Running".to_owned())]);
    }

    #[test]
    fn what_was_passed_over_is_never_shown() {
        let mut seen = Seen::default();
        seen.pass_over(id(1));
        assert_eq!(shown(&mut seen, vec![told(1, "Running")]), []);
        assert_eq!(shown(&mut seen, vec![told(1, "Failed")]), []);
        assert!(seen.knows(id(1)) && !seen.knows(id(2)));
    }

    #[test]
    fn open_runs_that_are_no_longer_listed_take_turns() {
        let mut seen = Seen::default();
        seen.take((0..40).map(|number| told(number, "Running")).collect());
        let listed = [id(0), id(20)];
        let mut asked: Vec<RunId> = Vec::new();
        for _ in 0..3 {
            let turn = seen.open_beside(&listed);
            assert_eq!(turn.len(), MOST_ASKED);
            asked.extend(turn);
        }
        assert!(!asked.contains(&id(0)) && !asked.contains(&id(20)));
        asked.sort_unstable();
        asked.dedup();
        assert_eq!(asked.len(), 38);
        seen.take((0..40).map(|number| told(number, "Completed")).collect());
        assert_eq!(seen.open_beside(&[]), []);
    }
}
