//! `dagway doctor`: what is missing or wrong, each with its cure.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::iter;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Style};
use futures_util::future::join_all;

use super::claude;
use super::code::{Hello, hello, in_between};
use super::{Failure, say};
use crate::app::{self, StartError};
use crate::settings::{ClientKey, Keyless, Settings, Upstream, wants_colours};
use crate::store::{self, Examined, OpenError, postgres};
use crate::telemetry::logging;
use crate::upstream::{self, Kind, Probed};

/// How long the upstream has to answer.
const UPSTREAM_WAIT: Duration = Duration::from_secs(5);

/// How long the collector of traces has to answer.
const COLLECTOR_WAIT: Duration = Duration::from_secs(3);

/// OpenTelemetry's variable for traces alone, which is none of Dagway's.
const UNREAD: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

/// How much is written to see whether the store could be.
const PROBE_BYTES: usize = 100 << 10;

/// What one look found.
struct Finding {
    what: &'static str,
    verdict: Verdict,
    detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Well,
    /// Something is missing that not everybody needs.
    Note,
    Ill,
}

impl Finding {
    fn well(what: &'static str, detail: impl Into<String>) -> Self {
        Self {
            what,
            verdict: Verdict::Well,
            detail: detail.into(),
        }
    }

    fn note(what: &'static str, detail: impl Into<String>) -> Self {
        Self {
            what,
            verdict: Verdict::Note,
            detail: detail.into(),
        }
    }

    fn ill(what: &'static str, detail: impl Into<String>) -> Self {
        Self {
            what,
            verdict: Verdict::Ill,
            detail: detail.into(),
        }
    }
}

/// Looks at everything and prints what it found.
///
/// # Errors
/// Exit code 1 when something is wrong.
pub async fn run(settings: &Settings, environment: &[(String, String)]) -> Result<(), Failure> {
    let mut findings = keys(settings);
    findings.extend(client_keys(&settings.server.client_keys));
    findings.extend(upstreams(settings).await);
    findings.extend([port(settings).await, store(settings).await]);
    findings.extend(workflows(settings));
    findings.push(claude_code(environment).await);
    findings.extend(proxy(settings, environment));
    findings.extend(log(settings));
    findings.extend(traces(settings, environment).await);
    let variable = |wanted: &str| {
        let found = environment.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str())
    };
    let is_coloured = io::stdout().is_terminal() && wants_colours(variable);
    for finding in &findings {
        say(line(finding, is_coloured))?;
    }
    if findings
        .iter()
        .all(|finding| finding.verdict != Verdict::Ill)
    {
        Ok(())
    } else {
        Err(Failure::Exit(1))
    }
}

fn line(finding: &Finding, is_coloured: bool) -> String {
    let (mark, colour) = match finding.verdict {
        Verdict::Well => ("ok  ", AnsiColor::Green),
        Verdict::Note => ("note", AnsiColor::Yellow),
        Verdict::Ill => ("FAIL", AnsiColor::Red),
    };
    let style = if is_coloured {
        colour.on_default().bold()
    } else {
        Style::new()
    };
    let Finding { what, detail, .. } = finding;
    format!("{style}{mark}{style:#}  {what:10}  {detail}")
}

fn keys(settings: &Settings) -> Vec<Finding> {
    if settings.lacks_the_key() {
        let cure = "OPENROUTER_API_KEY is not set; get a key at https://openrouter.ai/keys";
        return vec![Finding::ill("key", cure)];
    }
    let is_strange = |upstream: &Upstream| {
        let key = upstream.key.expose();
        upstream.base_url.contains("openrouter.ai") && !key.is_empty() && !key.starts_with("sk-or-")
    };
    let strange = settings.upstreams.values().find(|one| is_strange(one));
    let mut findings: Vec<Finding> = settings.keyless().map(missing).collect();
    findings.extend(strange.map(|upstream| {
        let key = upstream.key_env.as_deref().unwrap_or("the key");
        let doubt = "does not begin with sk-or-; it may be a key of another service";
        Finding::ill("key", format!("{key} {doubt}"))
    }));
    if findings.is_empty() {
        findings.push(Finding::well("key", "is set"));
    }
    findings
}

fn missing(one: Keyless<'_>) -> Finding {
    if one.is_here {
        return Finding::note("key", format!("{one}, if it wants one"));
    }
    Finding::ill("key", one.to_string())
}

/// Whose keys are taken, where any are demanded.
fn client_keys(keys: &[ClientKey]) -> Option<Finding> {
    let what = "clients";
    let names: Vec<&str> = keys.iter().filter_map(|one| one.name.as_deref()).collect();
    let nameless = keys.len() - names.len();
    let told = match (&names[..], nameless) {
        ([], 0) => return None,
        ([], 1) => "need the one key, which has no name".to_owned(),
        ([], count) => format!("need one of {count} keys, which have no names"),
        (names, 0) => format!("need the key of {}", names.join(", ")),
        (names, count) => format!(
            "need the key of {}, or one of {count} without a name",
            names.join(", ")
        ),
    };
    // Padding stands at an end; what stands before another one may be meant as a name.
    let looks_named = |one: &&ClientKey| {
        let key = one.key.expose().trim_end_matches('=');
        one.name.is_none() && key.contains('=')
    };
    if keys.iter().find(looks_named).is_some() {
        let doubt = "one without a name has a `=` in it: if its name stands there, write `alice = KEY`, with spaces around the sign";
        return Some(Finding::note(what, format!("{told}; {doubt}")));
    }
    Some(Finding::well(what, told))
}

async fn upstreams(settings: &Settings) -> Vec<Finding> {
    match app::upstreams::of(settings) {
        Ok(upstreams) => join_all(upstreams.all().map(|one| upstream(one))).await,
        Err(error) => vec![Finding::ill("upstream", error.to_string())],
    }
}

async fn upstream(upstream: &upstream::Upstream) -> Finding {
    let (name, client) = (upstream.name(), &upstream.client);
    let url = client.base_url();
    match client.probe(UPSTREAM_WAIT).await {
        Ok(Probed::TakesTheKey) if client.has_key() => Finding::well(
            "upstream",
            format!("{name}: {url} answers and takes the key"),
        ),
        Ok(Probed::TakesTheKey) => Finding::well("upstream", format!("{name}: {url} answers")),
        Ok(Probed::Answers) => not_found(upstream),
        Err(error) if error.api.status == 401 && !client.has_key() => {
            Finding::ill("upstream", format!("{url} answers, but {error}"))
        }
        Err(error) if error.api.status == 401 => Finding::ill(
            "upstream",
            match client.kind() {
                Kind::OpenRouter => format!(
                    "{name}: {url} answers but refuses the key ({error}); make a new one at https://openrouter.ai/keys"
                ),
                _ => format!("{name}: {url} answers but refuses the key ({error})"),
            },
        ),
        Err(error) => Finding::ill(
            "upstream",
            format!("{name}: {error} (check the network, a proxy, and upstreams.{name}.base_url)"),
        ),
    }
}

/// Something answers, but not what was asked for. OpenRouter has it for certain, others may do without.
fn not_found(upstream: &upstream::Upstream) -> Finding {
    let (name, client) = (upstream.name(), &upstream.client);
    let url = client.base_url();
    match client.kind() {
        Kind::OpenRouter => Finding::ill(
            "upstream",
            format!(
                "{name}: something answers at {url}, but not OpenRouter's API; correct upstreams.{name}.base_url \
                 (OpenRouter's own is https://openrouter.ai/api/v1), or its kind when another API is there"
            ),
        ),
        Kind::OpenAi | Kind::Anthropic => Finding::well(
            "upstream",
            format!(
                "{name}: {url} answers, but lists no models at {url}/models; \
                 check upstreams.{name}.base_url when requests fail"
            ),
        ),
    }
}

async fn port(settings: &Settings) -> Finding {
    let listen = settings.server.listen;
    match tokio::net::TcpListener::bind(listen).await {
        Ok(_) => Finding::well("port", format!("{listen} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => in_use(listen).await,
        Err(source) => {
            let address = listen;
            let fault = StartError::Listen { address, source };
            Finding::ill("port", fault.to_string())
        }
    }
}

/// What it means that the address is taken: nothing bad when it is taken by Dagway.
async fn in_use(listen: SocketAddr) -> Finding {
    if hello(listen).await.is_some() {
        return Finding::well(
            "port",
            format!("{listen} is in use by Dagway, which runs already"),
        );
    }
    Finding::ill(
        "port",
        format!(
            "{listen} is in use by a program that is not Dagway; end it or choose another port with DAGWAY_LISTEN"
        ),
    )
}

async fn store(settings: &Settings) -> Finding {
    match app::database(settings) {
        Ok(None) => folder(settings).await,
        Ok(Some(address)) => match postgres::examine(&address).await {
            Ok(()) => Finding::well("store", format!("{address} can be written")),
            Err(error) => Finding::ill("store", error.to_string()),
        },
        Err(fault) => Finding::ill("store", fault.to_string()),
    }
}

async fn folder(settings: &Settings) -> Finding {
    let folder = &settings.store.folder;
    let shown = folder.display();
    let listen = settings.server.listen;
    let mut note = "";
    match store::examine(folder) {
        Ok(Examined::Whole) => {}
        Ok(Examined::InPart) => note = "; it is too large to be searched for damage to the end",
        Err(locked @ OpenError::Locked { .. }) => {
            let holder = store::holder(folder);
            return match hello(listen).await {
                Some(hello) => taken(folder, holder, listen, hello, &locked),
                None => Finding::ill("store", locked.to_string()),
            };
        }
        Err(error) => return Finding::ill("store", error.to_string()),
    }
    match try_to_write(folder) {
        Ok(()) => Finding::well("store", format!("{shown} can be written{note}")),
        Err(error) => Finding::ill(
            "store",
            format!("{shown} cannot be written: {error}; {}", cure(&error)),
        ),
    }
}

/// What it means that a process records into the folder, while a Dagway answers at the address.
fn taken(
    folder: &Path,
    holder: Option<u32>,
    listen: SocketAddr,
    hello: Hello,
    locked: &OpenError,
) -> Finding {
    let shown = folder.display();
    let (Some(holder), Some(answers)) = (holder, hello.process) else {
        let who = format!("{shown} is in use by a Dagway; one runs at {listen}");
        return Finding::note("store", who);
    };
    if holder != answers {
        let who = format!("{locked} (it is the process {holder}, and not the one at {listen})");
        return Finding::ill("store", who);
    }
    let by = format!("{shown} is in use by the Dagway that runs at {listen}");
    match hello.warning {
        Some(trouble) => Finding::ill("store", format!("{by}, which says: {trouble}")),
        None => Finding::well("store", by),
    }
}

/// Writes a file into the folder, as far as the disk, and removes it. It is no empty one, which a full disk takes, and none
/// that could be packed.
fn try_to_write(folder: &Path) -> io::Result<()> {
    let probe = folder.join(".dagway-doctor");
    let bytes: Vec<u8> = iter::repeat_with(|| fastrand::u8(..))
        .take(PROBE_BYTES)
        .collect();
    let written = File::create(&probe).and_then(|mut file| {
        file.write_all(&bytes)?;
        file.sync_all()
    });
    let removed = fs::remove_file(&probe);
    written.and(removed)
}

fn cure(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make room on its disk, or choose another folder with DAGWAY_DATA"
        }
        _ => "choose another folder with DAGWAY_DATA",
    }
}

/// Nothing when they cannot be looked at for want of the upstreams, of which it is told what is wrong with them.
fn workflows(settings: &Settings) -> Option<Finding> {
    match app::plans::describe_all(settings) {
        Ok(infos) => Some(Finding::well(
            "workflows",
            format!("{} proved", infos.len()),
        )),
        Err(app::plans::Error::Upstream(_)) => None,
        Err(error) => Some(Finding::ill("workflows", error.to_string())),
    }
}

/// Nothing when no proxy stands between Claude Code and Dagway.
fn proxy(settings: &Settings, environment: &[(String, String)]) -> Option<Finding> {
    let url = app::url_here(settings.server.listen);
    let (variable, host) = in_between(environment, &url)?;
    let told = format!(
        "{variable} is set: a `claude` that you start by hand would ask that proxy for {url}; add {host} to NO_PROXY and \
         no_proxy then (`dagway code` does so by itself)"
    );
    Some(Finding::note("proxy", told))
}

/// Nothing when it can be read.
fn log(settings: &Settings) -> Option<Finding> {
    let wrong = logging::check(&settings.log.filter).err()?;
    Some(Finding::ill("log", wrong.to_string()))
}

/// Nothing when no traces are wanted.
async fn traces(settings: &Settings, environment: &[(String, String)]) -> Option<Finding> {
    let what = "traces";
    match app::ask_collector(&settings.telemetry, COLLECTOR_WAIT).await {
        Ok(Some(url)) => Some(Finding::well(what, format!("{url} takes them"))),
        Ok(None) => {
            let mut variables = environment.iter();
            let found = variables.find(|(name, value)| name == UNREAD && !value.is_empty());
            found.map(|_| {
                let cure = "set OTEL_EXPORTER_OTLP_ENDPOINT to what stands before /v1/traces in it";
                Finding::note(what, format!("go nowhere: {UNREAD} is not read; {cure}"))
            })
        }
        Err(error) => Some(Finding::ill(what, error.to_string())),
    }
}

async fn claude_code(environment: &[(String, String)]) -> Finding {
    let path = environment
        .iter()
        .find(|(name, _)| name == "PATH")
        .map(|(_, value)| OsString::from(value));
    let Some(program) = claude::find(path.as_deref()) else {
        return Finding::note(
            "claude",
            format!(
                "`claude` is not in your PATH; to use it here, {}",
                claude::CURE
            ),
        );
    };
    let asked = tokio::process::Command::new(&program)
        .arg("--version")
        .output();
    match tokio::time::timeout(Duration::from_secs(20), asked).await {
        Ok(Ok(output)) if output.status.success() => {
            let version = String::from_utf8_lossy(&output.stdout);
            Finding::well(
                "claude",
                format!("{} {}", program.display(), version.trim()),
            )
        }
        _ => Finding::ill(
            "claude",
            format!(
                "{} does not answer to --version; {}",
                program.display(),
                claude::CURE
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_keys_are_taken_is_told_and_no_key() {
        let told = |keys: &[ClientKey]| client_keys(keys).map(|finding| line(&finding, false));
        let (alice, bob) = (
            ClientKey::named("alice", "a=b"),
            ClientKey::named("bob", "k"),
        );
        let nameless = ClientKey::nameless("secret==");
        assert_eq!(told(&[]), None);
        assert_eq!(
            told(&[alice.clone(), bob]).unwrap(),
            "ok    clients     need the key of alice, bob"
        );
        assert_eq!(
            told(&[alice, nameless.clone()]).unwrap(),
            "ok    clients     need the key of alice, or one of 1 without a name"
        );
        assert_eq!(
            told(std::slice::from_ref(&nameless)).unwrap(),
            "ok    clients     need the one key, which has no name"
        );
        let meant = told(&[nameless, ClientKey::nameless("carol=secret")]).unwrap();
        assert!(meant.starts_with("note  clients     need one of 2 keys, which have no names; "));
        assert!(meant.contains("write `alice = KEY`") && !meant.contains("secret"));
    }

    #[test]
    fn marks_are_coloured_where_colour_is_wanted() {
        let found = [
            Finding::well("port", "is free"),
            Finding::ill("key", "none"),
        ];
        let plain = found.each_ref().map(|finding| line(finding, false));
        assert_eq!(
            plain,
            ["ok    port        is free", "FAIL  key         none"]
        );
        let [well, ill] = found.each_ref().map(|finding| line(finding, true));
        assert!(
            well.starts_with("\u{1b}[1m\u{1b}[32mok  \u{1b}[0m"),
            "{well:?}"
        );
        assert!(
            ill.starts_with("\u{1b}[1m\u{1b}[31mFAIL\u{1b}[0m"),
            "{ill:?}"
        );
    }
}
