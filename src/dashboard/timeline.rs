//! When each step of a run worked, waited and streamed, and which steps the run's length hangs on.
//!
//! Numbers only, as shares of the width; it must not know HTML.

use std::time::Duration;

use crate::events::{Carries, PlanInfo, State, StepIndex, Timestamp};
use crate::store::{RunDetail, StepRun};

use super::format;

/// How time is mapped to width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scale {
    /// As long as it took: it shows where the time went.
    #[default]
    Linear,
    /// Each stretch between two events is as wide as the logarithm of its length,
    /// so that microseconds stay visible beside the seconds of an upstream call.
    Stretched,
}

/// The bars of a run.
#[derive(Debug, PartialEq)]
pub(crate) struct Timeline {
    /// One per step, in the plan's order.
    pub(crate) rows: Vec<Row>,
    /// Where time is written on the axis.
    pub(crate) ticks: Vec<Tick>,
    /// Where the reply was handed over.
    pub(crate) replied: Option<f64>,
}

/// The bars of a step; empty when it never started.
#[derive(Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) step: StepIndex,
    /// Whether the run would have been shorter, had this step been.
    pub(crate) critical: bool,
    /// Its share of the run's time.
    pub(crate) share: f64,
    pub(crate) segments: Vec<Segment>,
}

/// A piece of a bar.
#[derive(Debug, PartialEq)]
pub(crate) struct Segment {
    /// Where it starts, from 0 to 1.
    pub(crate) from: f64,
    /// Where it ends.
    pub(crate) to: f64,
    pub(crate) kind: SegmentKind,
    pub(crate) attempt: u16,
    pub(crate) lasted: Duration,
    /// The state that it ended in.
    pub(crate) state: State,
    pub(crate) message: Option<String>,
}

/// What a step did meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentKind {
    /// It worked.
    Work,
    /// Its output was passing.
    Stream,
    /// It waited for its next attempt.
    Pause,
}

/// A mark on the axis.
#[derive(Debug, PartialEq)]
pub(crate) struct Tick {
    pub(crate) at: f64,
    pub(crate) label: String,
}

impl Timeline {
    /// Draws a run as it stands at `now`.
    pub(crate) fn new(run: &RunDetail, now: Timestamp, scale: Scale) -> Self {
        let axis = Axis::new(run, now, scale);
        let critical = critical_path(&run.plan, &run.steps, now);
        let total = run.summary.duration(now).as_secs_f64();
        let share = |step: &StepRun| {
            let lasted = step
                .started
                .map(|from| step.ended.unwrap_or(now).since(from));
            lasted.map_or(0.0, |lasted| lasted.as_secs_f64() / total.max(1e-6))
        };
        let rows = run
            .steps
            .iter()
            .map(|step| Row {
                step: step.step,
                critical: critical.contains(&step.step),
                share: share(step),
                segments: segments(run, step, now, &axis),
            })
            .collect();
        Self {
            rows,
            ticks: axis.ticks(scale),
            replied: run.summary.replied.map(|at| axis.place(at)),
        }
    }
}

fn segments(run: &RunDetail, step: &StepRun, now: Timestamp, axis: &Axis) -> Vec<Segment> {
    let end = step.ended.unwrap_or(now);
    let streams_from = run
        .summary
        .replied
        .filter(|_| gives_a_flow(&run.plan, step.step));
    let mut segments = Vec::new();
    for (index, change) in step.history.iter().enumerate() {
        let kind = match change.state {
            State::Running => SegmentKind::Work,
            State::Retrying => SegmentKind::Pause,
            _ => continue,
        };
        let next = step.history.get(index + 1);
        let until = next.map_or(end, |next| next.at).max(change.at);
        let state = next.map_or(change.state, |next| next.state);
        let piece = |kind, from: Timestamp, to: Timestamp| Segment {
            from: axis.place(from),
            to: axis.place(to),
            kind,
            attempt: change.attempt,
            lasted: to.since(from),
            state,
            message: match kind {
                SegmentKind::Pause => change.message.clone(),
                _ => next.and_then(|next| next.message.clone()),
            },
        };
        match streams_from {
            Some(replied)
                if kind == SegmentKind::Work && change.at <= replied && replied < until =>
            {
                segments.push(piece(SegmentKind::Work, change.at, replied));
                segments.push(piece(SegmentKind::Stream, replied, until));
            }
            _ => segments.push(piece(kind, change.at, until)),
        }
    }
    segments
}

/// Whether what a step gives may still be passing after the step returned it.
pub(crate) fn gives_a_flow(plan: &PlanInfo, step: StepIndex) -> bool {
    plan.reply == step
        || plan.edges.iter().any(|edge| {
            edge.from == Some(step) && matches!(edge.carries, Carries::Owned(_) | Carries::End(_))
        })
}

/// The steps that the run's length hangs on, the last one first.
///
/// It walks back from the step that ended last: at each step to the need that set it free.
/// A need sets free when it ended, but no later than its dependent started: one that returned a flow is still at work then.
pub(crate) fn critical_path(plan: &PlanInfo, steps: &[StepRun], now: Timestamp) -> Vec<StepIndex> {
    let started = |index: StepIndex| steps.get(usize::from(index)).and_then(|step| step.started);
    let ended = |step: &StepRun| step.ended.unwrap_or(now);
    let last = steps
        .iter()
        .filter(|step| step.started.is_some())
        .max_by_key(|step| (ended(step), step.started));
    let mut path = Vec::new();
    let mut current = last.map(|step| step.step);
    while let Some(index) = current {
        path.push(index);
        let Some(free) = started(index) else { break };
        current = plan
            .edges
            .iter()
            .filter(|edge| edge.to == index)
            .filter_map(|edge| {
                let from = edge.from?;
                let need = steps.get(usize::from(from))?;
                let began = need.started?;
                Some(((ended(need).min(free), began, from), from))
            })
            .max()
            .map(|(_, from)| from)
            // A plan has no cycle; a damaged record must not loop either.
            .filter(|from| !path.contains(from));
    }
    path
}

/// Maps moments of a run to shares of the width.
struct Axis {
    start: Timestamp,
    /// Moments in order, each with its place.
    marks: Vec<(Timestamp, f64)>,
}

impl Axis {
    fn new(run: &RunDetail, now: Timestamp, scale: Scale) -> Self {
        let start = run.summary.started;
        let mut moments: Vec<Timestamp> = run
            .steps
            .iter()
            .flat_map(|step| {
                step.history
                    .iter()
                    .filter(|change| change.state != State::Pending && change.attempt > 0)
                    .map(|change| change.at)
                    .chain(step.started)
                    .chain(step.ended)
            })
            .chain(run.summary.replied)
            .chain([start, run.summary.ended.unwrap_or(now)])
            .map(|at| at.max(start))
            .collect();
        moments.sort_unstable();
        moments.dedup();

        let mut marks = Vec::with_capacity(moments.len());
        let (mut place, mut before) = (0.0, start);
        for at in moments {
            place += scale.width(at.since(before));
            marks.push((at, place));
            before = at;
        }
        if place > 0.0 {
            for (_, mark) in &mut marks {
                *mark /= place;
            }
        }
        Self { start, marks }
    }

    /// Where a moment stands; between two marks in proportion.
    fn place(&self, at: Timestamp) -> f64 {
        let after = self.marks.partition_point(|(mark, _)| *mark < at);
        let Some(&(right, right_place)) = self.marks.get(after) else {
            return 1.0;
        };
        let Some(&(left, left_place)) = after.checked_sub(1).and_then(|i| self.marks.get(i)) else {
            return 0.0;
        };
        let share = at.since(left).as_secs_f64() / right.since(left).as_secs_f64();
        left_place + (right_place - left_place) * share
    }

    fn ticks(&self, scale: Scale) -> Vec<Tick> {
        match scale {
            Scale::Stretched => self.ticks_at_events(),
            Scale::Linear => self.ticks_at_round_times(),
        }
    }

    /// Ticks where something happened, as many as have room for their labels. Events that are microseconds apart may
    /// stand far apart and yet read the same, since a label has three digits: one of them is enough.
    fn ticks_at_events(&self) -> Vec<Tick> {
        const ROOM: f64 = 0.12;
        let mut ticks: Vec<Tick> = Vec::new();
        for &(at, place) in &self.marks {
            let label = since_start(at.since(self.start));
            let has_room = ticks
                .last()
                .is_none_or(|last| place - last.at >= ROOM && label != last.label);
            if has_room && place <= 1.0 - ROOM / 2.0 {
                ticks.push(Tick { at: place, label });
            }
        }
        ticks
    }

    /// Ticks at 1, 2 or 5 times a power of ten microseconds.
    fn ticks_at_round_times(&self) -> Vec<Tick> {
        const ABOUT: f64 = 6.0;
        let end = self.marks.last().map_or(self.start, |(at, _)| *at);
        let total = end.since(self.start).as_micros() as f64;
        if total < 1.0 {
            return Vec::new();
        }
        let rough = total / ABOUT;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|factor| factor * power)
            .into_iter()
            .find(|step| *step >= rough)
            .unwrap_or(rough)
            .max(1.0);
        let mut ticks = Vec::new();
        let mut at = 0.0;
        while at < total * 0.96 {
            ticks.push(Tick {
                at: at / total,
                label: round_time(at, total),
            });
            at += step;
        }
        ticks
    }
}

impl Scale {
    fn width(self, passed: Duration) -> f64 {
        /// Stretches shorter than this are shown in proportion.
        const KNEE_MICROS: f64 = 30.0;
        let micros = passed.as_micros() as f64;
        match self {
            Self::Linear => micros,
            Self::Stretched => (micros / KNEE_MICROS).ln_1p(),
        }
    }
}

/// A round time on an axis of `total`, all in microseconds: in the unit of the axis, without figures behind the last that
/// tells.
fn round_time(at: f64, total: f64) -> String {
    let (unit, name) = match total {
        ..1e3 => (1.0, "µs"),
        ..1e6 => (1e3, "ms"),
        ..6e8 => (1e6, "s"),
        _ => return since_start(Duration::from_micros(at as u64)),
    };
    if at == 0.0 {
        return "0".to_owned();
    }
    format!("{} {name}", at / unit)
}

fn since_start(passed: Duration) -> String {
    if passed.is_zero() {
        return "0".to_owned();
    }
    format::duration(passed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::fixture;

    fn names(run: &RunDetail, path: &[StepIndex]) -> Vec<String> {
        path.iter()
            .rev()
            .map(|index| run.plan.steps[usize::from(*index)].name.clone())
            .collect()
    }

    #[test]
    fn the_critical_path_follows_the_slowest_needs() {
        let run = fixture::completed_run();
        let path = critical_path(&run.plan, &run.steps, Timestamp::now());
        assert_eq!(
            names(&run, &path),
            [
                "validate",
                "convert_messages",
                "build_request",
                "call_upstream",
                "convert_response",
                "price_usage",
                "log_usage"
            ]
        );
    }

    #[test]
    fn a_run_without_steps_has_no_critical_path() {
        let run = fixture::completed_run();
        assert!(critical_path(&run.plan, &[], Timestamp::now()).is_empty());
    }

    #[test]
    fn bars_stay_on_the_axis_and_in_order() {
        for scale in [Scale::Stretched, Scale::Linear] {
            for run in fixture::all_runs() {
                let timeline = Timeline::new(&run, fixture::now(), scale);
                for row in &timeline.rows {
                    for segment in &row.segments {
                        assert!((0.0..=1.0).contains(&segment.from), "{segment:?}");
                        assert!((segment.from..=1.0).contains(&segment.to), "{segment:?}");
                    }
                    for pair in row.segments.windows(2) {
                        assert!(pair[0].to <= pair[1].from + 1e-9, "{pair:?}");
                    }
                }
                for pair in timeline.ticks.windows(2) {
                    assert!(pair[0].at < pair[1].at, "{pair:?}");
                    assert_ne!(pair[0].label, pair[1].label);
                }
            }
        }
    }

    #[test]
    fn a_retried_step_shows_its_attempts_and_the_pauses_between() {
        let run = fixture::retried_run();
        let timeline = Timeline::new(&run, fixture::now(), Scale::Stretched);
        let call = &timeline.rows[fixture::CALL_UPSTREAM];
        let kinds: Vec<(SegmentKind, u16)> = call
            .segments
            .iter()
            .map(|segment| (segment.kind, segment.attempt))
            .collect();
        assert_eq!(
            kinds,
            [
                (SegmentKind::Work, 1),
                (SegmentKind::Pause, 1),
                (SegmentKind::Work, 2),
                (SegmentKind::Pause, 2),
                (SegmentKind::Work, 3),
                (SegmentKind::Stream, 3),
            ]
        );
    }

    #[test]
    fn only_steps_that_give_a_flow_stream() {
        let run = fixture::completed_run();
        let timeline = Timeline::new(&run, fixture::now(), Scale::Linear);
        let streaming: Vec<&str> = timeline
            .rows
            .iter()
            .filter(|row| {
                row.segments
                    .iter()
                    .any(|segment| segment.kind == SegmentKind::Stream)
            })
            .map(|row| run.plan.steps[usize::from(row.step)].name.as_str())
            .collect();
        assert_eq!(streaming, ["call_upstream", "convert_response"]);
    }

    #[test]
    fn round_times_are_written_in_one_unit_and_without_needless_figures() {
        for (at, total, label) in [
            (0.0, 2e6, "0"),
            (500_000.0, 2e6, "0.5 s"),
            (1_000_000.0, 2e6, "1 s"),
            (50_000.0, 300_000.0, "50 ms"),
            (200.0, 900.0, "200 µs"),
            (100_000_000.0, 5e8, "100 s"),
            (1_200_000_000.0, 6e9, "20 m 00 s"),
        ] {
            assert_eq!(round_time(at, total), label);
        }
    }

    #[test]
    fn what_reads_the_same_is_written_once_on_a_stretched_axis() {
        let start = Timestamp(0);
        let marks = [0, 3_420_000, 3_420_400, 3_424_000, 3_500_000];
        let axis = Axis {
            start,
            marks: marks
                .into_iter()
                .zip([0.0, 0.3, 0.5, 0.7, 0.9])
                .map(|(at, place)| (Timestamp(at), place))
                .collect(),
        };
        let ticks = axis.ticks(Scale::Stretched);
        let labels: Vec<&str> = ticks.iter().map(|tick| tick.label.as_str()).collect();
        assert_eq!(labels, ["0", "3.42 s", "3.50 s"]);
    }

    #[test]
    fn a_linear_axis_is_in_proportion() {
        let run = fixture::completed_run();
        let axis = Axis::new(&run, fixture::now(), Scale::Linear);
        let start = run.summary.started;
        let end = run.summary.ended.unwrap();
        let middle = Timestamp(i64::midpoint(start.0, end.0));
        assert!((axis.place(middle) - 0.5).abs() < 1e-3);
        assert_eq!(axis.place(start), 0.0);
        assert_eq!(axis.place(end), 1.0);
    }
}
