//! Dagway as its users run it: a release binary, recording on, traces exported.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::process::{Process, wait_until_answers};

/// The one that Cargo built with the rig.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_dagway");
const ANNOUNCEMENT: &str = "listening on http://";
/// Measured is the lane that does most: the one that translates.
const SETTINGS: &str = "[[models.rules]]\nmatch = 'anthropic/*'\nlane = 'chat'\n";
const LONGEST_START: Duration = Duration::from_secs(10);

/// Starts `program` before `upstream`, exporting to `sink` and recording into `database` if one is given, and waits until `/health` answers.
pub(crate) async fn start(
    program: &Path,
    upstream: SocketAddr,
    sink: SocketAddr,
    workers: usize,
    database: Option<&str>,
) -> Result<Process> {
    let folder = TempDir::with_prefix("dagway-bench-")?;
    let settings = folder.path().join("dagway.toml");
    std::fs::write(&settings, SETTINGS)?;
    let mut command = Command::new(program);
    // Nothing of the user's own settings may change what is measured.
    command
        .env_clear()
        .env("HOME", folder.path())
        .env("DAGWAY_CONFIG", settings)
        .env("DAGWAY_DATA", folder.path().join("data"))
        .env("DAGWAY_LISTEN", "127.0.0.1:0")
        .env("DAGWAY_LOG_FILTER", "warn")
        .env("DAGWAY_SERVER_WORKERS", workers.to_string())
        .env("OPENROUTER_API_KEY", "sk-or-bench")
        .env("OPENROUTER_BASE_URL", format!("http://{upstream}/api/v1"))
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{sink}"))
        .stdout(Stdio::piped());
    if let Some(database) = database {
        command.env("DAGWAY_DATABASE_URL", database);
    }
    let mut process = Process::spawn("dagway", &mut command, folder)?;
    let address = process.announced(ANNOUNCEMENT, LONGEST_START).await?;
    wait_until_answers(&mut process, address, "/health", LONGEST_START).await?;
    Ok(process)
}
