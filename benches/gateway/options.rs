//! The command line of the rig.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

use crate::target::Way;

/// Measures Dagway against nginx, against its own HTTP libraries with nothing between them, and against no proxy at all,
/// in one run and in turns.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench gateway --", version = None::<&str>)]
pub(crate) struct Options {
    /// Short rounds and fewer loads: about a minute.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only loads whose name contains this; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// Leave a target out.
    #[arg(long, value_name = "TARGET", value_parser = way)]
    pub(crate) without: Vec<Way>,
    /// Measure this program too, another build of Dagway, such as the one that `.ci/release` makes.
    #[arg(long, value_name = "FILE")]
    pub(crate) also: Option<PathBuf>,
    /// Be the pass-through server before this upstream; the rig starts itself so.
    #[arg(long, value_name = "ADDRESS", hide = true)]
    pub(crate) bare: Option<SocketAddr>,
    /// Worker threads of Dagway and of the bare way, and worker processes of nginx; one per core, at most two, when not given.
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<usize>,
    /// Let Dagway keep its runs in this PostgreSQL database instead of SQLite; a URL as in `DAGWAY_DATABASE_URL`.
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<String>,
    /// Also write every round's figures to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Given by `cargo bench`; without it nothing is measured.
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
}

impl Options {
    /// How many workers each proxy has.
    pub(crate) fn workers(&self) -> usize {
        self.workers.unwrap_or_else(|| {
            std::thread::available_parallelism()
                .map_or(2, usize::from)
                .min(2)
        })
    }
}

fn way(name: &str) -> Result<Way, String> {
    let known = Way::ALL.into_iter().find(|way| way.name() == name);
    known.ok_or_else(|| {
        format!("`{name}` is no target; these are: direct, nginx, bare, dagway, also")
    })
}
