//! The journal of a run read back: its steps as they stand, its logs, previews and large texts.
//!
//! A database engine reads the parts, asks for [`Journal::preview_blocks`], fetches those and gets a [`RunDetail`].
//! It must not know how parts and blocks are kept.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::Error;
use super::block::BlockHash;
use super::delta;
use super::journal::{self, Entry, Piece};
use super::model::{LogLine, PayloadInfo, Preview, RunDetail, RunSummary, StateChange, StepRun};
use crate::events::{PlanInfo, State, StepIndex, Timestamp};
use crate::facts::payload;

/// The journal of a run, read.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    steps: BTreeMap<StepIndex, StepRun>,
    logs: Vec<LogLine>,
    previews: Vec<(Option<StepIndex>, OpenPreview)>,
    payloads: BTreeMap<String, Text>,
    /// The large text of which a piece was read last.
    last: String,
}

/// A large text as a list of pieces.
#[derive(Debug, Default)]
pub(crate) struct Text {
    /// The pieces, in order.
    pub(crate) pieces: Vec<OwnedPiece>,
    bytes: u64,
    is_shed: bool,
}

/// A [`Piece`] that outlives the part it stood in.
#[derive(Debug)]
pub(crate) enum OwnedPiece {
    /// The bytes themselves.
    Here(Vec<u8>),
    /// A block.
    Block(BlockHash),
    /// Of this length, and made of a block by a delta.
    Like(BlockHash, u64, Vec<u8>),
}

impl OwnedPiece {
    /// The block that it needs.
    pub(crate) const fn block(&self) -> Option<BlockHash> {
        match self {
            Self::Here(_) => None,
            Self::Block(hash) | Self::Like(hash, ..) => Some(*hash),
        }
    }

    /// The text, with the block that it needs.
    ///
    /// # Errors
    /// It cannot be made of that block.
    pub(crate) fn text<'a>(&'a self, block: Option<&'a [u8]>) -> Result<Cow<'a, [u8]>, Error> {
        let corrupt = || Error::Corrupt("a text that is not about its block".to_owned());
        match self {
            Self::Here(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::Block(_) => block.map(Cow::Borrowed).ok_or_else(corrupt),
            Self::Like(_, length, delta) => {
                let length = usize::try_from(*length).ok();
                let text = block.zip(length);
                let text = text.and_then(|(block, length)| delta::apply(block, delta, length));
                text.map(Cow::Owned).ok_or_else(corrupt)
            }
        }
    }
}

#[derive(Debug)]
struct OpenPreview {
    artifact: String,
    truncated: bool,
    text: OwnedPiece,
}

impl Text {
    fn take(&mut self, piece: Piece<'_>) {
        self.bytes += piece.len();
        self.pieces.push(piece.into());
    }
}

impl From<Piece<'_>> for OwnedPiece {
    fn from(piece: Piece<'_>) -> Self {
        match piece {
            Piece::Here(bytes) => Self::Here(bytes.to_vec()),
            Piece::Block(hash, _) => Self::Block(hash),
            Piece::Like(hash, length, delta) => Self::Like(hash, length, delta.to_vec()),
        }
    }
}

impl Journal {
    /// Reads the next part of the journal of a run that started at `base`.
    pub(crate) fn read(&mut self, part: &[u8], base: Timestamp) -> Result<(), Error> {
        for entry in journal::read(part, base) {
            let entry = entry.map_err(|at| {
                Error::Corrupt(format!("the journal of a run, at byte {at} of a part"))
            })?;
            self.take(entry);
        }
        Ok(())
    }

    fn take(&mut self, entry: Entry<'_>) {
        match entry {
            Entry::Step {
                at,
                step,
                state,
                attempt,
                message,
                retry_in,
            } => self.step(step).change(StateChange {
                at,
                state,
                attempt,
                message: message.map(str::to_owned),
                retry_in,
            }),
            Entry::Streaming { step } => self.step(step).streaming = true,
            Entry::Log {
                at,
                step,
                level,
                message,
            } => self.logs.push(LogLine {
                at,
                step,
                level,
                message: message.to_owned(),
            }),
            Entry::Preview {
                step,
                artifact,
                truncated,
                text,
            } => self.previews.push((
                step,
                OpenPreview {
                    artifact: artifact.to_owned(),
                    truncated,
                    text: text.into(),
                },
            )),
            Entry::Payload { name, piece } => {
                name.clone_into(&mut self.last);
                self.text_mut(name).take(piece);
            }
            Entry::More { piece } => {
                if let Some(text) = self.payloads.get_mut(&self.last) {
                    text.take(piece);
                }
            }
            Entry::Shed { name, bytes } => {
                let text = self.text_mut(name);
                text.bytes += bytes;
                text.is_shed = true;
            }
        }
    }

    fn step(&mut self, step: StepIndex) -> &mut StepRun {
        self.steps.entry(step).or_insert_with(|| StepRun::new(step))
    }

    fn text_mut(&mut self, name: &str) -> &mut Text {
        self.payloads.entry(name.to_owned()).or_default()
    }

    /// A large text, unless the run has none of this name or it was left out.
    pub(crate) fn into_text(mut self, name: &str) -> Option<Text> {
        self.payloads.remove(name).filter(|text| !text.is_shed)
    }

    /// The blocks that [`Journal::into_detail`] needs.
    pub(crate) fn preview_blocks(&self) -> impl Iterator<Item = BlockHash> {
        self.previews
            .iter()
            .filter_map(|(_, preview)| preview.text.block())
    }

    /// The blocks of which its large texts are made, by the name of the text.
    pub(crate) fn payload_blocks(&self) -> impl Iterator<Item = (&str, BlockHash)> {
        self.payloads.iter().flat_map(|(name, text)| {
            let blocks = text.pieces.iter().filter_map(OwnedPiece::block);
            blocks.map(move |hash| (name.as_str(), hash))
        })
    }

    /// Marks a large text as gone: a block of it is missing.
    pub(crate) fn lose_text(&mut self, name: &str) {
        self.text_mut(name).is_shed = true;
    }

    /// The run whole. A preview whose block is not among `blocks` is left out.
    pub(crate) fn into_detail(
        mut self,
        summary: RunSummary,
        plan: PlanInfo,
        blocks: &HashMap<BlockHash, Vec<u8>>,
    ) -> RunDetail {
        let mut steps: Vec<StepRun> = (0..plan.steps.len())
            .filter_map(|step| StepIndex::try_from(step).ok())
            .map(|step| {
                self.steps
                    .remove(&step)
                    .unwrap_or_else(|| StepRun::new(step))
            })
            .collect();
        for step in &mut steps {
            step.settle(&summary);
        }
        let mut request = None;
        for (step, preview) in self.previews {
            let Some(preview) = preview.read(blocks) else {
                continue;
            };
            match step {
                None => request = Some(preview),
                Some(step) => {
                    if let Some(step) = steps.get_mut(usize::from(step)) {
                        step.outputs.push(preview);
                    }
                }
            }
        }
        RunDetail {
            summary,
            plan,
            steps,
            logs: self.logs,
            request,
            payloads: infos(self.payloads),
        }
    }
}

/// Lists the texts in the order of their way, those that Dagway itself does not know at the end.
fn infos(payloads: BTreeMap<String, Text>) -> Vec<PayloadInfo> {
    let mut infos: Vec<PayloadInfo> = payloads
        .into_iter()
        .map(|(name, text)| PayloadInfo {
            name,
            bytes: text.bytes,
            gone: text.is_shed,
        })
        .collect();
    infos.sort_by_key(|info| {
        let known = payload::ALL.iter().position(|name| *name == info.name);
        known.unwrap_or(payload::ALL.len())
    });
    infos
}

impl OpenPreview {
    fn read(self, blocks: &HashMap<BlockHash, Vec<u8>>) -> Option<Preview> {
        let block = match self.text.block() {
            Some(hash) => Some(blocks.get(&hash)?.as_slice()),
            None => None,
        };
        let text = self.text.text(block).ok()?;
        Some(Preview {
            json: String::from_utf8_lossy(&text).into_owned(),
            artifact: self.artifact,
            truncated: self.truncated,
        })
    }
}

impl StepRun {
    /// A step of which nothing was heard.
    const fn new(step: StepIndex) -> Self {
        Self {
            step,
            state: State::Pending,
            streaming: false,
            started: None,
            ended: None,
            attempts: 0,
            error: None,
            history: Vec::new(),
            outputs: Vec::new(),
        }
    }

    fn change(&mut self, change: StateChange) {
        self.state = change.state;
        self.attempts = self.attempts.max(change.attempt);
        if change.state == State::Running && self.started.is_none() {
            self.started = Some(change.at);
        }
        self.ended = change.state.is_final().then_some(change.at);
        if change.message.is_some() {
            self.error.clone_from(&change.message);
        } else if change.state == State::Completed {
            self.error = None;
        }
        self.history.push(change);
    }

    /// Brings a step that was left open in line with a run that is over.
    fn settle(&mut self, run: &RunSummary) {
        if let Some(ended) = run.ended
            && !self.state.is_final()
        {
            let was_at_work = self.started.is_some();
            let state = match run.state {
                State::Crashed | State::Cancelled if was_at_work => run.state,
                _ if was_at_work => State::Crashed,
                _ => State::Skipped,
            };
            let attempt = self.attempts;
            self.change(StateChange {
                at: ended,
                state,
                attempt,
                message: None,
                retry_in: None,
            });
        }
        self.streaming &= self.state == State::Running;
    }
}
