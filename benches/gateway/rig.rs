//! The rig itself: what stands around the targets, and the order of rounds.
//!
//! Rounds alternate, target by target, because a machine is never equally busy for long: what disturbs one round of a
//! target disturbs its neighbours too, and differences are taken within a round.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::crowd::{Crowd, Fresh};
use crate::options::Options;
use crate::process::Process;
use crate::scenario::{Extent, Sample, Scenario};
use crate::sink::Sink;
use crate::target::{Target, Way};
use crate::upstream::Upstream;
use crate::{bare, cpu, dagway, nginx, report};

/// A stream holds two files open, here its client and its upstream end, in a proxy the other two; one more is for safety.
const FILES_PER_STREAM: usize = 3;
const OTHER_FILES: usize = 200;

/// Upstream, receiver of traces, and what is compared.
#[derive(Debug)]
pub(crate) struct Rig {
    upstream: Upstream,
    sink: Sink,
    ways: Vec<Way>,
    nginx: &'static str,
    workers: usize,
    /// Another build of Dagway.
    also: Option<PathBuf>,
    /// Where Dagway keeps its runs, if not in SQLite.
    database: Option<String>,
    extent: Extent,
    only: Vec<String>,
}

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) crowds: Vec<Rounds<Fresh>>,
    pub(crate) loads: Vec<Rounds<Sample>>,
    /// Exports that the receiver of traces was sent, and their bytes.
    pub(crate) exported: (u64, u64),
    /// The highest resident memory over all loads, in bytes, by way.
    pub(crate) peaks: Vec<(Way, f64)>,
}

/// The rounds of one load, target by target.
#[derive(Debug)]
pub(crate) struct Rounds<T> {
    pub(crate) name: String,
    pub(crate) by_way: Vec<(Way, Vec<T>)>,
}

impl<T> Rounds<T> {
    fn new(name: String, ways: &[Way]) -> Self {
        Self {
            name,
            by_way: ways.iter().map(|way| (*way, Vec::new())).collect(),
        }
    }

    /// The rounds on one target; none when it was left out.
    pub(crate) fn of(&self, way: Way) -> &[T] {
        self.by_way
            .iter()
            .find(|(candidate, _)| *candidate == way)
            .map_or(&[], |(_, rounds)| rounds)
    }
}

impl Rig {
    pub(crate) fn new(options: &Options, nginx: &'static str) -> Result<Self> {
        Ok(Self {
            upstream: Upstream::start()?,
            sink: Sink::start()?,
            ways: Way::ALL
                .into_iter()
                .filter(|way| !options.without.contains(way))
                .filter(|way| *way != Way::Also || options.also.is_some())
                .collect(),
            nginx,
            workers: options.workers(),
            also: options.also.as_deref().map(absolute).transpose()?,
            database: options.database.clone(),
            extent: if options.quick {
                Extent::Quick
            } else {
                Extent::Full
            },
            only: options.only.clone(),
        })
    }

    /// Measures everything, and shows each load's figures as soon as they are known.
    pub(crate) async fn run(&self) -> Result<Results> {
        let mut results = Results::default();
        report::machine(self.workers)?;
        for crowd in self.crowds()? {
            let rounds = self.crowd_rounds(crowd).await?;
            report::crowd(&rounds)?;
            results.crowds.push(rounds);
        }
        let scenarios: Vec<Scenario> = self
            .extent
            .scenarios()
            .into_iter()
            .filter(|scenario| self.wants(&scenario.name))
            .collect();
        if !scenarios.is_empty() {
            let processes = self.start_all().await?;
            for scenario in scenarios {
                let rounds = self.load_rounds(&scenario, &processes).await?;
                report::load(&rounds)?;
                results.loads.push(rounds);
            }
            let peak = |(way, process): &(Way, Option<Process>)| {
                Some((*way, process.as_ref()?.meter().peak() as f64))
            };
            results.peaks = processes.iter().filter_map(peak).collect();
        }
        results.exported = self.sink.received();
        Ok(results)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }

    fn crowds(&self) -> Result<Vec<Crowd>> {
        let room = cpu::open_files_limit().saturating_sub(OTHER_FILES) / FILES_PER_STREAM;
        let streams = room.min(1000);
        if streams < 1000 {
            let mut out = io::stdout().lock();
            writeln!(
                out,
                "only {streams} streams at once, because few files may be open here; `ulimit -n 8192` lifts that\n"
            )?;
        }
        let crowds = Crowd::all(self.extent, streams);
        Ok(crowds
            .into_iter()
            .filter(|crowd| self.wants(&crowd.name()))
            .collect())
    }

    async fn crowd_rounds(&self, crowd: Crowd) -> Result<Rounds<Fresh>> {
        let mut rounds = Rounds::new(crowd.name(), &self.ways);
        for _ in 0..self.extent.crowd_rounds() {
            for (way, samples) in &mut rounds.by_way {
                let process = self.start(*way).await?;
                let target = self.target(*way, process.as_ref())?;
                samples.push(crowd.run(target, process.as_ref(), &self.upstream).await?);
            }
        }
        Ok(rounds)
    }

    async fn load_rounds(
        &self,
        scenario: &Scenario,
        processes: &[(Way, Option<Process>)],
    ) -> Result<Rounds<Sample>> {
        let mut rounds = Rounds::new(scenario.name.clone(), &self.ways);
        for _ in 0..self.extent.rounds() {
            for ((way, samples), (_, process)) in rounds.by_way.iter_mut().zip(processes) {
                let target = self.target(*way, process.as_ref())?;
                let sample = scenario.run(target, &self.upstream, self.extent).await;
                let sample = sample.with_context(|| {
                    let complaints = process
                        .as_ref()
                        .map(Process::complaints)
                        .unwrap_or_default();
                    format!("{} on {} {complaints}", scenario.name, way.name())
                })?;
                samples.push(sample);
            }
        }
        Ok(rounds)
    }

    async fn start_all(&self) -> Result<Vec<(Way, Option<Process>)>> {
        let mut started = Vec::with_capacity(self.ways.len());
        for way in &self.ways {
            started.push((*way, self.start(*way).await?));
        }
        Ok(started)
    }

    async fn start(&self, way: Way) -> Result<Option<Process>> {
        let upstream = self.upstream.address();
        match way {
            Way::Direct => Ok(None),
            Way::Nginx => nginx::start(self.nginx, upstream, self.workers)
                .await
                .map(Some),
            Way::Bare => bare::start(upstream, self.workers).await.map(Some),
            Way::Dagway => self
                .start_dagway(Path::new(dagway::PROGRAM))
                .await
                .map(Some),
            Way::Also => match &self.also {
                Some(program) => self.start_dagway(program).await.map(Some),
                None => Ok(None),
            },
        }
    }

    async fn start_dagway(&self, program: &Path) -> Result<Process> {
        let (upstream, sink) = (self.upstream.address(), self.sink.address());
        let database = self.database.as_deref();
        dagway::start(program, upstream, sink, self.workers, database).await
    }

    fn target(&self, way: Way, process: Option<&Process>) -> Result<Target> {
        let Some(process) = process else {
            return Ok(Target {
                way,
                address: self.upstream.address(),
                meter: None,
            });
        };
        Ok(Target {
            way,
            address: process.address()?,
            meter: Some(process.meter()),
        })
    }
}

/// Every process is started in a folder of its own.
fn absolute(program: &Path) -> Result<PathBuf> {
    program
        .canonicalize()
        .with_context(|| format!("--also: {}", program.display()))
}
