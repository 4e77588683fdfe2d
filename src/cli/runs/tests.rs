//! How runs are written, on wide paper and on narrow, from what the run API answers of the dashboard's examples.

use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr;

use super::answer::{Run, Whole};
use super::list::{self, COLUMNS};
use super::show;
use super::table::{Rows, Table};
use super::terminal::Paper;
use crate::dashboard::api::run_json;
use crate::dashboard::fixture;
use crate::facts;
use crate::store::RunDetail;

fn paper(width: Option<usize>) -> Paper {
    Paper {
        width,
        is_terminal: width.is_some(),
        is_coloured: false,
    }
}

fn whole(run: &RunDetail) -> Whole {
    serde_json::from_value(run_json(run, fixture::now())).unwrap()
}

fn all() -> Vec<Run> {
    let mut runs: Vec<Run> = fixture::all_runs()
        .iter()
        .map(|run| whole(run).run)
        .collect();
    runs.sort_by_key(|run| std::cmp::Reverse(run.started));
    runs
}

fn listed(width: Option<usize>) -> String {
    list::table(&all(), fixture::now(), TimeZone::UTC, paper(width))
}

fn shown(run: &RunDetail, width: Option<usize>) -> String {
    show::page(&whole(run), fixture::now(), TimeZone::UTC, paper(width))
}

#[test]
fn a_list_has_as_many_columns_as_there_is_room_for() {
    insta::assert_snapshot!("list_at_80", listed(Some(80)));
    insta::assert_snapshot!("list_at_120", listed(Some(120)));
    insta::assert_snapshot!("list_at_200", listed(Some(200)));
    insta::assert_snapshot!("list_without_end", listed(None));
}

#[test]
fn a_run_is_shown_with_its_steps_on_a_time_axis() {
    insta::assert_snapshot!("retried_at_100", shown(&fixture::retried_run(), Some(100)));
    insta::assert_snapshot!("failed_at_80", shown(&fixture::failed_run(), Some(80)));
    insta::assert_snapshot!(
        "streaming_without_end",
        shown(&fixture::streaming_run(), None)
    );
}

fn compared(recorded: &RunDetail, replayed: &RunDetail, width: Option<usize>) -> String {
    super::compared::table(&whole(recorded).run, &whole(replayed).run, paper(width))
}

#[test]
fn two_runs_of_one_request_stand_beside_each_other() {
    let (failed, retried) = (fixture::failed_run(), fixture::retried_run());
    insta::assert_snapshot!("compared_at_80", compared(&failed, &retried, Some(80)));
    let (whole, streaming) = (fixture::completed_run(), fixture::streaming_run());
    insta::assert_snapshot!("compared_without_end", compared(&whole, &streaming, None));
}

#[test]
fn nothing_is_wider_than_the_paper() {
    for width in [72, 80, 100, 133, 160, 200, 250] {
        let mut said = listed(Some(width));
        for run in fixture::all_runs() {
            said.push_str(&shown(&run, Some(width)));
            said.push_str(&compared(&run, &fixture::hostile_run(), Some(width)));
        }
        for line in said.lines() {
            assert!(line.width() <= width, "{width}: {line}");
        }
    }
}

#[test]
fn a_stranger_writes_nothing_but_text() {
    let hostile = fixture::hostile_run();
    let mut answered = run_json(&hostile, fixture::now());
    // In every text of the answer there is what a terminal would obey.
    poison(&mut answered);
    let whole: Whole = serde_json::from_value(answered).unwrap();
    for width in [None, Some(80)] {
        let shown = show::page(&whole, fixture::now(), TimeZone::UTC, paper(width));
        let listed = list::table(
            std::slice::from_ref(&whole.run),
            fixture::now(),
            TimeZone::UTC,
            paper(width),
        );
        let compared = super::compared::table(&whole.run, &whole.run, paper(width));
        for said in [&shown, &listed, &compared] {
            assert!(said.contains("\\u{1b}"), "{said}");
            let harmful =
                |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
            assert!(!said.contains(harmful), "{said:?}");
        }
        // A line of a stranger's does not look as if it were ours.
        assert!(
            shown.lines().all(|line| !line.starts_with("forged")),
            "{shown}"
        );
        assert!(!listed.contains("\nforged"), "{listed}");
        assert!(!compared.contains("\nforged"), "{compared}");
    }
}

/// Puts escapes into all texts but those that must be understood.
fn poison(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => text.push_str("\u{1b}[2J\u{9b}31m\u{202e}\r\nforged"),
        serde_json::Value::Array(all) => all.iter_mut().for_each(poison),
        serde_json::Value::Object(all) => {
            let understood = ["id", "started", "replied", "ended", "at"];
            let others = all
                .iter_mut()
                .filter(|(name, _)| !understood.contains(&name.as_str()));
            others.for_each(|(_, value)| poison(value));
        }
        _ => {}
    }
}

#[test]
fn colours_are_on_terminals_and_change_no_width() {
    let coloured = Paper {
        is_coloured: true,
        ..paper(Some(80))
    };
    let said = list::table(&all(), fixture::now(), TimeZone::UTC, coloured);
    assert!(said.contains("\u{1b}[31m✕ Failed"), "{said:?}");
    let mut plain = String::new();
    for (number, piece) in said.split('\u{1b}').enumerate() {
        let text = if number == 0 {
            piece
        } else {
            piece.split_once('m').unwrap().1
        };
        plain.push_str(text);
    }
    let trimmed = |text: &str| {
        text.lines()
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(trimmed(&plain), trimmed(&listed(Some(80))));
}

#[test]
fn a_followed_table_has_room_for_what_is_to_come() {
    let table = |width| Table::new(&COLUMNS, &[], Rows::First, paper(width)).head();
    assert_eq!(
        table(Some(80)),
        "STATE        STARTED   MODEL                        COST      TIME  RUN"
    );
    assert!(table(None).ends_with("ERROR"));
}

#[test]
fn what_another_version_says_is_shown_as_far_as_it_is_understood() {
    let mut answered = run_json(&fixture::completed_run(), fixture::now());
    answered["run"]["state"] = "Levitating".into();
    answered["run"]["news"] = 1.into();
    answered["run"]["facts"] = serde_json::json!({ "gen_ai.usage.input_tokens": "many" });
    answered["steps"][0]
        .as_object_mut()
        .unwrap()
        .remove("gives_flow");
    answered.as_object_mut().unwrap().remove("payloads");
    let whole: Whole = serde_json::from_value(answered).unwrap();
    let said = show::page(&whole, fixture::now(), TimeZone::UTC, paper(None));
    assert!(said.starts_with("Levitating  messages  "), "{said}");
    assert!(said.contains("so far"), "{said}");
}

#[test]
fn usage_is_a_table_that_ends_with_all_together() {
    let figures = |completed: u64, failed: u64, cost: f64| {
        serde_json::json!({
            "runs": completed + failed, "by_state": {"Completed": completed, "Failed": failed, "Cancelled": 0},
            "input_tokens": completed * 1_000, "cache_read_tokens": completed * 500, "output_tokens": completed * 40,
            "replaced": failed / 2, "cost_usd": cost, "estimated": failed, "duration_ms": 1.5, "p50_ms": 1_234.5, "p95_ms": null,
        })
    };
    let group = |name: &str, completed, failed, cost| {
        let mut group = figures(completed, failed, cost);
        group["name"] = name.into();
        group
    };
    let mut unnamed = figures(0, 2, 0.0);
    unnamed["name"] = serde_json::Value::Null;
    let usage = serde_json::json!({
        "by": "model", "since": null, "until": null, "groups_left_out": 3, "slot_ms": 60_000, "slots": [],
        "total": figures(45, 3, 1.0),
        "groups": [
            group("vendor/a-model-whose-name-is-longer-than-most", 40, 0, 0.75),
            group("vendor/\u{1b}[31mred", 5, 1, 0.25),
            unnamed,
        ],
    });
    let usage = serde_json::from_value(usage).unwrap();
    insta::assert_snapshot!("usage_at_60", super::usage::table(&usage, paper(Some(60))));
    insta::assert_snapshot!(
        "usage_at_120",
        super::usage::table(&usage, paper(Some(120)))
    );
}

#[test]
fn a_list_says_which_runs_were_replaced_and_which_stand_in() {
    let with = |mut run: RunDetail, stated: &[(&str, &str)]| {
        for (fact, value) in stated {
            let value = (*value).into();
            run.summary.facts.insert((*fact).to_owned(), value);
        }
        run
    };
    let runs = [
        with(fixture::failed_run(), &[(facts::FALLBACK_BY, "0199-2")]),
        with(
            fixture::completed_run(),
            &[(facts::FALLBACK_AFTER, "0199-1")],
        ),
        with(
            fixture::completed_run(),
            &[(facts::FALLBACK_MODEL, "openai/gpt-5\u{1b}")],
        ),
    ];
    let runs = runs.map(|run| {
        let answered = run_json(&run, fixture::now());
        serde_json::from_value::<Whole>(answered).unwrap().run
    });
    let said = list::table(&runs, fixture::now(), TimeZone::UTC, paper(None));
    let lines: Vec<&str> = said.lines().skip(1).collect();
    assert!(lines[0].contains("  replaced by run 2 · "), "{said}");
    assert!(lines[1].ends_with("  stands in for run 1"), "{said}");
    assert!(
        lines[2].contains("  openai/gpt-5") && lines[2].ends_with(" asked instead"),
        "{said}"
    );
    assert!(!said.contains('\u{1b}'), "{said:?}");
}
