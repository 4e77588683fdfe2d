//! The runs under way: the batches of each folded into its record, until it ends.
//!
//! The memory is bounded; what does not fit is told to the caller. This file must not know what a record says.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::outline::Outlines;
use super::record::{Ending, RunRecord};
use crate::events::{EventBatch, EventKind, PlanInfo, RunId, RunStart};

/// The runs under way, at most so many.
#[derive(Debug)]
pub(super) struct OpenRuns {
    runs: HashMap<RunId, RunRecord, RandomState>,
    plans: Outlines,
    most: usize,
}

/// What a batch meant for the run it belongs to.
#[derive(Debug)]
pub(super) enum Folded<'r> {
    /// The run goes on.
    Open(&'r mut RunRecord),
    /// The run is not followed.
    Unknown,
    /// There was no room to follow a run that began.
    Shed(Arc<RunStart>),
    /// The run is over.
    Ended(Box<(RunRecord, Ending)>),
}

impl OpenRuns {
    pub(super) fn new(most: usize) -> Self {
        Self {
            runs: HashMap::default(),
            plans: Outlines::default(),
            most,
        }
    }

    /// Runs under way that are remembered.
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Takes in a batch.
    pub(super) fn fold(&mut self, batch: &EventBatch) -> Folded<'_> {
        let is_full = self.runs.len() >= self.most;
        match self.runs.entry(batch.run) {
            Entry::Occupied(mut open) => match open.get_mut().take_in_all(batch) {
                Some(ending) => Folded::Ended(Box::new((open.remove(), ending))),
                None => Folded::Open(open.into_mut()),
            },
            Entry::Vacant(place) => {
                let Some((start, plan)) = began(batch) else {
                    return Folded::Unknown;
                };
                let mut record = RunRecord::new(start, self.plans.of(plan));
                match record.take_in_all(batch) {
                    Some(ending) => Folded::Ended(Box::new((record, ending))),
                    None if is_full => Folded::Shed(Arc::clone(start)),
                    None => Folded::Open(place.insert(record)),
                }
            }
        }
    }
}

fn began(batch: &EventBatch) -> Option<(&Arc<RunStart>, &Arc<PlanInfo>)> {
    match &batch.events.first()?.kind {
        EventKind::Started { start, plan } => Some((start, plan)),
        _ => None,
    }
}
