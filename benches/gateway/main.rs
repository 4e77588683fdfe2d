//! The load rig: what Dagway adds to a request, next to what nginx adds, on the same machine in the same minutes.
//!
//! `cargo bench --bench gateway` starts a simulated upstream ([`upstream`]), a receiver of traces ([`sink`]), nginx
//! ([`nginx`]), the libraries that Dagway speaks HTTP with and nothing else ([`bare`]), and the release binary of Dagway
//! with recording and tracing on ([`dagway`]), all on 127.0.0.1, and puts the same loads ([`scenario`], [`crowd`]) on each
//! in turns.
//!
//! | file | what |
//! | --- | --- |
//! | [`rig`] | the order of rounds |
//! | [`scenario`], [`crowd`] | what is measured |
//! | [`load`], [`connection`], [`wire`] | the load generator |
//! | [`bodies`], [`tools`], [`prose`] | what is sent |
//! | [`upstream`], [`script`], [`sink`], [`server_thread`] | what answers |
//! | [`nginx`], [`bare`], [`dagway`], [`process`], [`target`] | what is measured against what |
//! | [`cpu`], [`stats`] | processor time, memory, medians |
//! | [`report`], [`goals`], [`json`] | what comes out |
//!
//! It knows Dagway from outside only: its command, its settings and its API.

mod bare;
mod bodies;
mod connection;
mod cpu;
mod crowd;
mod dagway;
mod goals;
mod json;
mod load;
mod nginx;
mod options;
mod process;
mod prose;
mod report;
mod rig;
mod scenario;
mod script;
mod server_thread;
mod sink;
mod stats;
mod target;
mod tools;
mod upstream;
mod wire;

use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::options::Options;
use crate::rig::Rig;
use crate::target::Way;

// Dagway's, so that the bare way has it too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(upstream) = options.bare {
        return match bare::serve(upstream, options.workers()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&format!("{error:#}"));
                ExitCode::FAILURE
            }
        };
    }
    if !options.bench {
        // `cargo test --all-targets` runs benches too; nobody wants to be measured then.
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode> {
    let nginx = nginx::find()?;
    if nginx.is_none() && !options.without.contains(&Way::Nginx) {
        complain(nginx::HOW_TO_INSTALL);
        return Ok(ExitCode::from(2));
    }
    let rig = Rig::new(options, nginx.unwrap_or_default())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        // Whoever loses is dropped, and with it every process and every folder.
        let results = tokio::select! {
            results = rig.run() => results?,
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
            _ = terminated.recv() => bail!("terminated"),
        };
        report::ending(&results)?;
        let goals = goals::all(&results);
        goals::print(&goals)?;
        if let Some(path) = &options.json {
            let text = format!("{:#}\n", json::document(&results, &goals));
            fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn complain(sentence: &str) {
    // A closed stderr leaves nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{sentence}");
}
