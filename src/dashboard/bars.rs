//! The timeline of a run as rows of bars.
//!
//! Where bars stand comes from [`timeline`](super::timeline); this file adds words and links.

use askama::Template;

use super::format::{self, percent_attribute};
use super::page::part;
use super::state::StateView;
use super::timeline::{Row, Scale, Segment, SegmentKind, Timeline};
use crate::events::{StepIndex, Timestamp};
use crate::store::RunDetail;

#[derive(Template)]
#[template(path = "parts/timeline.html")]
struct Bars {
    rows: Vec<RowView>,
    ticks: Vec<(String, String)>,
    replied: Option<String>,
    stretched: bool,
    stretched_href: String,
    linear_href: String,
}

struct RowView {
    name: String,
    state: StateView,
    critical: bool,
    /// How much of the run's time a critical step took, where that is worth a word.
    share: Option<String>,
    /// Its name stands out, because the run's length hangs on it.
    weighs: bool,
    /// The line under the bars of a critical step.
    underline: Option<(String, String)>,
    selected: bool,
    duration: String,
    bars: Vec<Bar>,
    href: String,
}

struct Bar {
    x: String,
    width: String,
    class: &'static str,
    /// It is drawn as a hatch.
    waits: bool,
    /// The colour: that of the state it ended in.
    state: &'static str,
    title: String,
}

/// The addresses that a timeline links to.
pub(crate) struct Links<S: Fn(&str) -> String> {
    pub(crate) step: S,
    pub(crate) stretched: String,
    pub(crate) linear: String,
}

/// The timeline of a run as it stands at `now`.
pub(crate) fn of_run<S: Fn(&str) -> String>(
    run: &RunDetail,
    selected: StepIndex,
    now: Timestamp,
    scale: Scale,
    links: Links<S>,
) -> String {
    let timeline = Timeline::new(run, now, scale);
    let rows = timeline
        .rows
        .iter()
        .filter_map(|row| {
            let step = run.steps.get(usize::from(row.step))?;
            let name = &run.plan.steps.get(usize::from(row.step))?.name;
            Some(RowView {
                name: name.clone(),
                state: step.state.into(),
                critical: row.critical,
                share: (row.critical && row.share >= WORTH_A_WORD)
                    .then(|| format!("{:.0} %", row.share.min(1.0) * 100.0)),
                weighs: row.critical && row.share >= HEAVY,
                underline: underline(row),
                selected: row.step == selected,
                duration: step.started.map_or_else(
                    || format::UNKNOWN.to_owned(),
                    |started| format::duration(step.ended.unwrap_or(now).since(started)),
                ),
                bars: bars(row, step.streaming),
                href: (links.step)(name),
            })
        })
        .collect();
    part(&Bars {
        rows,
        ticks: timeline
            .ticks
            .into_iter()
            .map(|tick| (percent_attribute(tick.at), tick.label))
            .collect(),
        replied: timeline.replied.map(percent_attribute),
        stretched: scale == Scale::Stretched,
        stretched_href: links.stretched,
        linear_href: links.linear,
    })
}

/// The share of a run's time from which a step of the critical path is told how much it took.
const WORTH_A_WORD: f64 = 0.005;
/// The share from which its name stands out.
const HEAVY: f64 = 0.05;
/// Bars narrower than this share of the width could not be seen.
const THINNEST: f64 = 0.004;

fn underline(row: &Row) -> Option<(String, String)> {
    let (first, last) = (row.segments.first()?, row.segments.last()?);
    let width = (last.to - first.from).max(THINNEST);
    row.critical
        .then(|| (percent_attribute(first.from), percent_attribute(width)))
}

fn bars(row: &Row, streaming: bool) -> Vec<Bar> {
    let last = row.segments.len().saturating_sub(1);
    row.segments
        .iter()
        .enumerate()
        .map(|(index, segment)| {
            let StateView { class: state, .. } = segment.state.into();
            Bar {
                x: percent_attribute(segment.from),
                width: percent_attribute((segment.to - segment.from).max(THINNEST)),
                waits: segment.kind == SegmentKind::Pause,
                class: match segment.kind {
                    SegmentKind::Work => "work",
                    SegmentKind::Pause => "pause",
                    SegmentKind::Stream if streaming && index == last => "stream moving",
                    SegmentKind::Stream => "stream",
                },
                state: match segment.kind {
                    SegmentKind::Pause => "retrying",
                    // An attempt that is tried again has failed.
                    _ if state == "retrying" => "failed",
                    _ => state,
                },
                title: title(segment),
            }
        })
        .collect()
}

fn title(segment: &Segment) -> String {
    let lasted = format::duration(segment.lasted);
    let attempt = segment.attempt;
    let mut title = match segment.kind {
        SegmentKind::Work => format!("attempt {attempt}: {lasted}"),
        SegmentKind::Stream => format!("streaming: {lasted}"),
        SegmentKind::Pause => format!("pause before attempt {}: {lasted}", attempt + 1),
    };
    if let Some(message) = &segment.message {
        title.push_str(" · ");
        title.push_str(&format::ellipsis(message, 240));
    }
    title
}
