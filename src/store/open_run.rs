//! One run while its events come in: its row as it stands, and the part of its journal that is not yet written.
//!
//! It must not know when it is written, nor by what.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::batch::{Change, RunRow, RunWrite};
use super::block::{BlockHash, Intake, Minute};
use super::familiar::Familiar;
use super::journal::{self, Entry, Piece};
use super::payload::{OpenPayload, Out, STREAM_PART};
use super::preview;
use super::recent::RecentBodies;
use super::stats::{RecorderStats, add};
use crate::events::{
    AnyArtifact, Event, EventKind, FactValue, Level, PlanInfo, RunStart, State, StepIndex,
    Timestamp,
};
use crate::facts;

/// A preview up to this length stands in the journal; a longer one is likely to come again and becomes a block.
const SMALL_PREVIEW: usize = 2 << 10;

/// What a short run writes into its journal, about.
const USUAL_JOURNAL: usize = 1 << 10;

/// What is left out when the recorder is behind; each level includes the ones before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shedding {
    /// Nothing.
    #[default]
    Nothing,
    /// The texts of artifacts.
    Previews,
    /// Requests and answers too.
    Payloads,
}

/// What runs need to take their events in.
pub(crate) struct Desk<'a> {
    pub(crate) intake: &'a mut Intake,
    pub(crate) stats: &'a RecorderStats,
    pub(crate) scratch: &'a mut Vec<u8>,
    pub(crate) recent: &'a mut RecentBodies,
    pub(crate) familiar: &'a mut Familiar,
    pub(crate) shedding: Shedding,
    pub(crate) preview_bytes: usize,
    pub(crate) payloads: bool,
}

/// What an event asks of the recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Nothing changed.
    None,
    /// A flow went on: it is enough to write that now and then.
    Progress,
    /// To be written with the next commit.
    Now,
}

/// A run that is open, or not yet written to its end.
#[derive(Debug)]
pub(crate) struct OpenRun {
    row: RunRow,
    journal: Vec<u8>,
    parts: u32,
    payloads: Vec<OpenPayload>,
    streaming_steps: Vec<StepIndex>,
    said_shed: bool,
    /// The end of its journal was given up.
    is_cut_off: bool,
    change: Option<Change>,
    /// It stands on the recorder's list of runs to write.
    pub(crate) is_listed: bool,
    /// When its progress was written last.
    pub(crate) progress_written: Option<Instant>,
    /// Its progress waits for its time.
    pub(crate) progress_waits: bool,
}

impl OpenRun {
    /// A run of which nothing is known but its start.
    pub(crate) fn new(start: Arc<RunStart>, plan: Arc<PlanInfo>) -> Self {
        Self {
            row: RunRow {
                seen: start.at,
                start,
                plan,
                state: State::Running,
                streaming: false,
                replied: None,
                ended: None,
                error: None,
                pieces: 0,
                bytes: 0,
                facts: Vec::new(),
            },
            journal: Vec::with_capacity(USUAL_JOURNAL),
            parts: 0,
            payloads: Vec::new(),
            streaming_steps: Vec::new(),
            said_shed: false,
            is_cut_off: false,
            change: Some(Change::New),
            is_listed: false,
            progress_written: None,
            progress_waits: false,
        }
    }

    /// The plan that it is pinned to.
    pub(crate) const fn plan(&self) -> &Arc<PlanInfo> {
        &self.row.plan
    }

    /// Whether nothing can follow.
    pub(crate) const fn is_over(&self) -> bool {
        self.row.ended.is_some()
    }

    /// Whether there is something to write.
    pub(crate) const fn is_dirty(&self) -> bool {
        self.change.is_some()
    }

    /// Whether the database has no row of it.
    pub(crate) fn is_new(&self) -> bool {
        self.change == Some(Change::New)
    }

    /// Bytes of its journal that wait.
    pub(crate) const fn waiting_bytes(&self) -> usize {
        self.journal.len()
    }

    /// Marks the row as changed.
    pub(crate) fn mark(&mut self, change: Change) {
        self.change = self.change.max(Some(change));
    }

    /// What there is to write.
    pub(crate) fn to_write(&self) -> Option<RunWrite<'_>> {
        Some(RunWrite {
            row: &self.row,
            change: self.change?,
            part: self.parts,
            journal: &self.journal,
        })
    }

    /// Gives up what waits of the journal of a run that is over, and says so in its place; the row is still to be written.
    /// Returns whether this has lost something.
    pub(crate) fn give_up_journal(&mut self) -> bool {
        if self.is_cut_off || self.journal.is_empty() {
            return false;
        }
        self.is_cut_off = true;
        self.journal = Vec::new();
        let entry = Entry::Log {
            at: self.row.seen,
            step: None,
            level: Level::Warn,
            message: "the store refused to be written for too long: the last steps, logs and texts of this run were not kept",
        };
        journal::write(&mut self.journal, self.row.start.at, &entry);
        true
    }

    /// Learns that what [`OpenRun::to_write`] gave has been committed.
    pub(crate) fn written(&mut self, now: Instant) {
        if !self.journal.is_empty() {
            self.parts += 1;
            self.journal = Vec::new();
        }
        self.change = None;
        self.is_listed = false;
        self.progress_written = Some(now);
        self.progress_waits = false;
    }

    /// Takes an event in. What it changes in the row is marked, except for progress.
    pub(crate) fn take(&mut self, event: &Event, desk: &mut Desk<'_>) -> Urgency {
        self.row.seen = self.row.seen.max(event.at);
        match &event.kind {
            EventKind::Started { .. } => return Urgency::None,
            EventKind::Progress {
                step,
                pieces,
                bytes,
            } => return self.progress(*step, *pieces, *bytes),
            EventKind::Payload { name, piece } => {
                let journal_before = self.journal.len();
                self.payload(name, piece, event.at, desk);
                if self.journal.len() == journal_before {
                    return Urgency::None;
                }
                self.mark(Change::Progress);
                return Urgency::Now;
            }
            EventKind::Produced { step, value } => {
                self.preview(*step, &**value, event.at, desk);
                self.mark(Change::Progress);
                return Urgency::Now;
            }
            EventKind::Step { step, state, .. } => {
                self.write_down(event);
                let change = if *state == State::Retrying {
                    self.count_retry();
                    Change::Whole
                } else {
                    self.flow_has_passed(*step, *state)
                };
                self.mark(change);
                return Urgency::Now;
            }
            EventKind::Log { .. } => {
                self.write_down(event);
                self.mark(Change::Progress);
                return Urgency::Now;
            }
            EventKind::Fact { name, value } => match value {
                Some(value) => self.fact(name, value),
                None => self.row.facts.retain(|(stated, _)| stated != name),
            },
            EventKind::Replied => {
                self.row.replied = Some(event.at);
                self.row.streaming = true;
            }
            EventKind::Ended { state, error } => {
                self.close_payloads(event.at, desk);
                self.row.state = *state;
                self.row.streaming = false;
                self.row.ended = Some(event.at);
                self.row.error.clone_from(error);
            }
        }
        self.mark(Change::Whole);
        Urgency::Now
    }

    /// A step that gave a flow is over when the flow has passed; what follows the reply may last longer.
    fn flow_has_passed(&mut self, step: StepIndex, state: State) -> Change {
        let has_passed = self.row.streaming && step == self.row.plan.reply && state.is_final();
        if !has_passed {
            return Change::Progress;
        }
        self.row.streaming = false;
        Change::Whole
    }

    fn write_down(&mut self, event: &Event) {
        let entry = match &event.kind {
            EventKind::Step {
                step,
                state,
                attempt,
                message,
                retry_in,
            } => Entry::Step {
                at: event.at,
                step: *step,
                state: *state,
                attempt: *attempt,
                message: message.as_deref(),
                retry_in: *retry_in,
            },
            EventKind::Log {
                step,
                level,
                message,
            } => Entry::Log {
                at: event.at,
                step: *step,
                level: *level,
                message,
            },
            _ => return,
        };
        journal::write(&mut self.journal, self.row.start.at, &entry);
    }

    fn count_retry(&mut self) {
        let stated = self
            .row
            .facts
            .iter()
            .find(|(name, _)| *name == facts::RETRIES);
        let before = match stated {
            Some((_, FactValue::Int(count))) => *count,
            _ => 0,
        };
        self.fact(facts::RETRIES, &FactValue::Int(before.saturating_add(1)));
    }

    fn fact(&mut self, name: &'static str, value: &FactValue) {
        let facts = &mut self.row.facts;
        match facts.iter_mut().find(|(key, _)| *key == name) {
            Some((_, old)) => old.clone_from(value),
            None => facts.push((name, value.clone())),
        }
    }

    /// Counts the flow of the reply; that of another step only while the reply's is not known.
    fn progress(&mut self, step: StepIndex, pieces: u64, bytes: u64) -> Urgency {
        let reply = self.row.plan.reply;
        let is_first = !self.streaming_steps.contains(&step);
        if is_first {
            self.streaming_steps.push(step);
            let entry = Entry::Streaming { step };
            journal::write(&mut self.journal, self.row.start.at, &entry);
        }
        if step == reply || !self.streaming_steps.contains(&reply) {
            self.row.pieces = pieces;
            self.row.bytes = bytes;
        }
        if is_first {
            self.mark(Change::Progress);
            return Urgency::Now;
        }
        Urgency::Progress
    }

    fn preview(
        &mut self,
        step: Option<StepIndex>,
        artifact: &dyn AnyArtifact,
        at: Timestamp,
        desk: &mut Desk<'_>,
    ) {
        if artifact.may_quote() && !desk.payloads {
            return;
        }
        if desk.shedding >= Shedding::Previews {
            add(&desk.stats.shed_previews, 1);
            return self.say_shed(at);
        }
        let truncated = preview::write(artifact, desk.preview_bytes, desk.scratch);
        let name = artifact.name();
        let used = Minute::of(self.row.seen);
        let text = desk.scratch.as_slice();
        let text = if text.len() <= SMALL_PREVIEW {
            desk.familiar.piece(name, text, used, desk.intake)
        } else {
            let hash = BlockHash::of(text);
            desk.intake.put(hash, used, || Bytes::copy_from_slice(text));
            Piece::Block(hash, text.len() as u64)
        };
        let entry = Entry::Preview {
            step,
            artifact: name,
            truncated,
            text,
        };
        journal::write(&mut self.journal, self.row.start.at, &entry);
    }

    fn payload(&mut self, name: &'static str, piece: &Bytes, at: Timestamp, desk: &mut Desk<'_>) {
        if !desk.payloads {
            return;
        }
        let index = match self.payloads.iter().position(|open| open.name == name) {
            Some(index) => index,
            None => {
                self.payloads.push(OpenPayload::new(name));
                self.payloads.len() - 1
            }
        };
        let is_shed = desk.shedding >= Shedding::Payloads || self.payloads[index].is_gone();
        let mut out = Out {
            journal: &mut self.journal,
            base: self.row.start.at,
            used: Minute::of(self.row.seen),
            intake: desk.intake,
            recent: desk.recent,
            familiar: desk.familiar,
        };
        if is_shed {
            self.payloads[index].shed(piece, &mut out);
            add(&desk.stats.shed_payload_bytes, piece.len());
            self.say_shed(at);
        } else {
            self.payloads[index].take(piece, &mut out);
            let gathered: usize = self.payloads.iter().map(OpenPayload::gathered).sum();
            if gathered >= STREAM_PART {
                self.payloads
                    .iter_mut()
                    .for_each(|payload| payload.hand_over(&mut out));
            }
        }
    }

    fn close_payloads(&mut self, at: Timestamp, desk: &mut Desk<'_>) {
        let mut out = Out {
            journal: &mut self.journal,
            base: self.row.start.at,
            used: Minute::of(self.row.seen.max(at)),
            intake: desk.intake,
            recent: desk.recent,
            familiar: desk.familiar,
        };
        for payload in &mut self.payloads {
            payload.close(&mut out);
        }
        self.payloads = Vec::new();
    }

    /// Says once, in the run's own log, that it is not recorded whole.
    fn say_shed(&mut self, at: Timestamp) {
        if self.said_shed {
            return;
        }
        self.said_shed = true;
        let entry = Entry::Log {
            at,
            step: None,
            level: Level::Warn,
            message: "the recorder was behind, or the store refused to be written: some inputs, outputs or payloads of this run were not kept",
        };
        journal::write(&mut self.journal, self.row.start.at, &entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::payload;
    use crate::store::tests::{plan, start};

    #[test]
    fn an_open_stream_holds_a_few_kilobytes_however_long_it_gets() {
        const PIECE: usize = 2 << 10;
        let mut run = OpenRun::new(start(1), plan());
        let (mut intake, mut recent, mut familiar) = <(Intake, RecentBodies, Familiar)>::default();
        let stats = RecorderStats::default();
        let mut scratch = Vec::new();
        let mut held = 0;
        for piece in 0..200 {
            let name = [payload::UPSTREAM_RESPONSE, payload::CLIENT_RESPONSE][piece % 2];
            let kind = EventKind::Payload {
                name,
                piece: Bytes::from(vec![b'x'; PIECE]),
            };
            let mut desk = Desk {
                intake: &mut intake,
                stats: &stats,
                scratch: &mut scratch,
                recent: &mut recent,
                familiar: &mut familiar,
                shedding: Shedding::Nothing,
                preview_bytes: 1000,
                payloads: true,
            };
            let at = Timestamp(2);
            let urgency = run.take(&Event { at, kind }, &mut desk);
            assert_eq!(urgency == Urgency::Now, run.waiting_bytes() > 0);
            if urgency == Urgency::Now {
                run.written(Instant::now());
            }
            let gathered: usize = run.payloads.iter().map(OpenPayload::gathered).sum();
            held += gathered + run.journal.capacity();
            assert!(gathered < STREAM_PART);
        }
        assert!(held / 200 <= STREAM_PART / 2, "{}", held / 200);
        let rows = usize::try_from(run.parts).unwrap();
        assert!(rows <= 2 + 200 * PIECE / STREAM_PART, "{rows}");
    }
}
