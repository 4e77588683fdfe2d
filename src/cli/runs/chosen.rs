//! Which run is meant: the newest, one by its id or that of its request, or one by the last digits of its id.
//!
//! It must not know what the run is wanted for.

use super::answer::Page;
use super::args::Filter;
use super::client::Client;
use super::text;
use crate::cli::Failure;
use crate::events::RunId;

/// The word for the newest run.
const LATEST: &str = "latest";
/// Fewer digits occur in the ids of other runs by chance.
const FEWEST_DIGITS: usize = 6;
/// Candidates that are named.
const NAMED: usize = 5;

/// What was written in place of a run.
#[derive(Debug, PartialEq)]
enum Meant {
    Latest,
    /// This one, by what the run API takes for an id.
    This(RunId),
    /// One that begins or ends with these digits.
    Digits(String),
}

/// Finds the run that is meant by `written`.
pub(super) async fn find(
    client: &Client,
    written: &str,
    filter: &Filter,
) -> Result<RunId, Failure> {
    let meant = meant(written).ok_or_else(|| {
        let written = text::cut(&text::line(written), 60).into_owned();
        Failure::Usage(format!(
            "`{written}` does not name a run; give {LATEST}, the id of a run or of a request, or at least {FEWEST_DIGITS} of \
             its last digits, as `dagway runs` lists them"
        ))
    })?;
    if meant != Meant::Latest && !filter.is_empty() {
        return Err(Failure::Usage(format!(
            "filters choose the run that is {LATEST}; leave them out where a run is named"
        )));
    }
    match meant {
        Meant::This(id) => Ok(id),
        Meant::Latest => latest(client, filter).await,
        Meant::Digits(digits) => by_digits(client, &digits).await,
    }
}

fn meant(written: &str) -> Option<Meant> {
    if written.eq_ignore_ascii_case(LATEST) {
        return Some(Meant::Latest);
    }
    let whole = RunId::of_request(written).or_else(|| written.parse().ok());
    if let Some(id) = whole {
        return Some(Meant::This(id));
    }
    let digits = written.strip_prefix("req_").unwrap_or(written);
    let digits = digits.replace('-', "").to_ascii_lowercase();
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_hex && (FEWEST_DIGITS..32).contains(&digits.len())).then_some(Meant::Digits(digits))
}

async fn latest(client: &Client, filter: &Filter) -> Result<RunId, Failure> {
    let mut pairs = filter.pairs();
    pairs.push(("limit", "1".to_owned()));
    let page: Page = client.read(&client.json("/api/runs", &pairs).await?)?;
    let runs = page.read().map_err(|error| client.unreadable(&error))?;
    let newest = runs.first().map(|run| run.id);
    newest.ok_or_else(|| {
        Failure::Usage(if filter.is_empty() {
            "there is no run yet".to_owned()
        } else {
            "there is no such run; `dagway runs` lists all".to_owned()
        })
    })
}

async fn by_digits(client: &Client, digits: &str) -> Result<RunId, Failure> {
    let pairs = [("q", digits.to_owned()), ("limit", "200".to_owned())];
    let page: Page = client.read(&client.json("/api/runs", &pairs).await?)?;
    let runs = page.read().map_err(|error| client.unreadable(&error))?;
    // The search looks elsewhere, too.
    let is_meant = |id: &RunId| {
        let whole = id.simple().to_string();
        whole.ends_with(digits) || whole.starts_with(digits)
    };
    let found: Vec<RunId> = runs.iter().map(|run| run.id).filter(is_meant).collect();
    match found[..] {
        [one] => Ok(one),
        [] => Err(Failure::Usage(format!(
            "there is no run whose id ends or begins with {digits}; `dagway runs` lists them, and retention may have removed it"
        ))),
        _ => {
            let named = found.iter().take(NAMED).map(RunId::to_string);
            let named = named.collect::<Vec<_>>().join("\n  ");
            let more = if found.len() > NAMED { "\n  …" } else { "" };
            Err(Failure::Usage(format!(
                "{digits} may be one of several runs; give more of its id, or all of it:\n  {named}{more}"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_by_word_id_or_digits() {
        let id: RunId = "01a2026b-8aa0-705a-805a-5a5a5a5a0003".parse().unwrap();
        let digits = |digits: &str| Some(Meant::Digits(digits.to_owned()));
        for (written, expected) in [
            ("latest", Some(Meant::Latest)),
            (
                "01a2026b-8aa0-705a-805a-5a5a5a5a0003",
                Some(Meant::This(id)),
            ),
            ("01A2026B8AA0705A805A5A5A5A5A0003", Some(Meant::This(id))),
            (
                "req_01a2026b8aa0705a805a5a5a5a5a0003",
                Some(Meant::This(id)),
            ),
            ("5A5a5a5a0003", digits("5a5a5a5a0003")),
            ("01a2026b-8aa0", digits("01a2026b8aa0")),
            ("req_01a2026b", digits("01a2026b")),
            ("a0003", None),
            ("newest", None),
            ("", None),
            ("../../x", None),
            ("01a2026b8aa0705a805a5a5a5a5a00034", None),
        ] {
            assert_eq!(meant(written), expected, "{written}");
        }
    }
}
