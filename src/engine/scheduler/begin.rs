//! How an attempt begins: where its step has a place for it, and for as long as it may take.
//!
//! This file must not know what follows from its outcome.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Scheduler;
use crate::engine::attempt::{Place, TimeLimit, wait_for_place};
use crate::engine::cx::Cx;
use crate::engine::run::ReplyDue;
use crate::engine::slot::Intake;
use crate::events::{EventKind, Level, State, StepIndex};

impl Scheduler {
    /// Begins an attempt, where there is a place for it.
    pub(super) fn begin(&mut self, step: StepIndex) {
        let places = self.graph.steps[usize::from(step)].places.clone();
        match places.map(|places| (Arc::clone(&places).try_acquire_owned(), places)) {
            None => self.attempt(step, None),
            Some((Ok(place), _)) => self.attempt(step, Some(place)),
            Some((Err(_), places)) => self.queue(step, places),
        }
    }

    /// Waits for a place for an attempt.
    fn queue(&mut self, step: StepIndex, places: Arc<Semaphore>) {
        let time_limit = self.time_left_for_reply(step);
        let reporter = self.reporter.of_step(step);
        self.wait_for(wait_for_place(places, reporter, time_limit));
        self.enter(step, State::Pending, None, None);
        self.note(EventKind::Log {
            step: Some(step),
            level: Level::Info,
            message: "it waits for its turn: as many attempts of this step as its `limit` allows are at work".to_owned(),
        });
    }

    pub(super) fn attempt(&mut self, step: StepIndex, place: Option<Place>) {
        let planned = &self.graph.steps[usize::from(step)];
        let time_limit = self.time_limit(step);
        let due = self.due(step).map(|due| due.at);
        let run = &mut self.counters.steps[usize::from(step)];
        run.attempt = run.attempt.saturating_add(1);
        let cx = Cx::new(self.reporter.of_step(step), run.attempt, due);
        let intake = Intake::new(&planned.sources, &mut self.slots);
        let work = Arc::clone(&planned.task).attempt(intake, cx, time_limit, place);
        self.begun.push_back(work);
        self.enter(step, State::Running, None, None);
    }

    /// When what a step does is of no use to the reply any more.
    pub(super) fn due(&self, step: StepIndex) -> Option<&ReplyDue> {
        let leads_to_reply = self.graph.steps[usize::from(step)].leads_to_reply;
        self.reply_due.as_ref().filter(|_| leads_to_reply)
    }

    /// How long an attempt that begins now may take.
    fn time_limit(&self, step: StepIndex) -> Option<TimeLimit> {
        let of_step = self.graph.info.steps[usize::from(step)].timeout;
        match self.time_left_for_reply(step) {
            Some(TimeLimit::OfReply(left, why)) if of_step.is_none_or(|lasts| left < lasts) => {
                Some(TimeLimit::OfReply(left, why))
            }
            _ => of_step.map(TimeLimit::OfStep),
        }
    }

    /// How long what begins now is of use to the reply.
    fn time_left_for_reply(&self, step: StepIndex) -> Option<TimeLimit> {
        let due = self.due(step)?;
        let left = due.at.duration_since(Instant::now());
        Some(TimeLimit::OfReply(left, Arc::clone(&due.why)))
    }
}
