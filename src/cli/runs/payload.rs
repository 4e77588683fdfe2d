//! `dagway runs payload`: one of the large texts of a run, byte for byte.

use futures_util::StreamExt;

use super::args::Runs;
use super::client::Client;
use super::terminal::Paper;
use super::{chosen, terminal, text};
use crate::cli::Failure;
use crate::dashboard::filter::encode;
use crate::dashboard::side::Side;

/// Prints a payload.
///
/// # Errors
/// When the run has none of this name, or it is no longer kept.
pub(super) async fn run(
    client: &Client,
    args: &Runs,
    run: &str,
    name: &str,
    paper: Paper,
) -> Result<(), Failure> {
    let id = chosen::find(client, run, &args.filter).await?;
    let path = format!("/api/runs/{id}/payloads/{}", encode(full_name(name)));
    let response = client.get(&path, &[]).await?;
    let mut pieces = response.bytes_stream();
    let mut shown = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| client.broken(&error))?;
        if paper.is_terminal {
            shown.extend_from_slice(&piece);
        } else {
            terminal::write(&piece)?;
        }
    }
    if paper.is_terminal {
        let shown = text::lines(&String::from_utf8_lossy(&shown));
        terminal::write(format!("{}\n", shown.trim_end_matches('\n')).as_bytes())?;
    }
    Ok(())
}

/// The name that the run API has for it; what is no short name is for the run API to judge.
fn full_name(name: &str) -> &str {
    let mut sides = Side::ALL.into_iter();
    let side = sides.find(|side| side.is_payload() && side.name() == name);
    side.map_or(name, |side| side.body())
}

/// The short name of a payload, where it has one.
pub(super) fn short_name(name: &str) -> Option<&'static str> {
    let mut sides = Side::ALL.into_iter();
    let side = sides.find(|side| side.is_payload() && side.body() == name);
    side.map(Side::name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::payload;

    #[test]
    fn payloads_have_short_names() {
        assert_eq!(full_name("asked"), payload::CLIENT_REQUEST);
        assert_eq!(full_name("sent-3"), payload::UPSTREAM_REQUEST_AGAIN[1]);
        assert_eq!(full_name("got"), payload::CLIENT_RESPONSE);
        for told in ["conversation", "changes"] {
            assert_eq!(full_name(told), told);
        }
        assert_eq!(
            full_name(payload::CLIENT_RESPONSE_HEADERS),
            payload::CLIENT_RESPONSE_HEADERS
        );
        assert_eq!(short_name(payload::UPSTREAM_REFUSALS), Some("refused"));
        assert_eq!(short_name(payload::CLIENT_REQUEST), Some("asked"));
        assert_eq!(short_name(payload::CLIENT_REQUEST_HEADERS), None);
    }
}
