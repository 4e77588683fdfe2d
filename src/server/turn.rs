//! The runs of one request: the first one, and one for each model that has to step in.
//!
//! A model that cannot be had gives way to its [fallbacks](crate::upstream::fallbacks), and only while the client has got
//! nothing of an answer. Each is a run of its own, because its graph, its conversions and its lane are those of another
//! model; the runs name each other. This file must not know how an answer reaches its client.

use std::sync::Arc;
use std::time::Instant;

use actix_web::web;
use bytes::Bytes;
use tracing::{Instrument, Span};

use super::errors;
use super::gateway::{Gateway, MessagesPlan, go_on};
use crate::engine::{Fault, Run, RunFailure};
use crate::events::{Level, Reporter, RunId, RunStart, State, Timestamp};
use crate::facts::{self, payload};
use crate::protocol::anthropic::request::Request;
use crate::protocol::openrouter::error::UpstreamError;
use crate::tasks::reply_flow::{GIVEN_UP, HUNG_UP};
use crate::tasks::{ClientReply, ClientRequest};
use crate::upstream::Candidate;

/// A request that a run answers, or another one if that cannot.
pub(super) struct Turn {
    run: Run<ClientReply>,
    received: Instant,
    span: Span,
    relay: Option<Box<Relay>>,
}

/// What it takes to begin another run for the same request.
pub(super) struct Relay {
    gateway: web::Data<Gateway>,
    /// The model that the request names.
    named: String,
    /// The model that is asked.
    asking: Candidate,
    /// Those that may still be.
    others: std::vec::IntoIter<Candidate>,
    /// What the client is told if nobody can be had: why the model that it named cannot.
    told: Option<RunFailure>,
    /// What the runs start with; known when the first one does.
    input: Option<Arc<ClientRequest>>,
    headers: Bytes,
}

impl Relay {
    /// Who may be asked for a request that names this model; nothing when nobody may step in.
    pub(super) fn of(gateway: &web::Data<Gateway>, named: &str) -> Option<Box<Self>> {
        let mut others = gateway.upstreams.candidates(named).into_iter();
        let asking = others.next()?;
        Some(Box::new(Self {
            gateway: gateway.clone(),
            named: named.to_owned(),
            asking,
            others,
            told: None,
            input: None,
            headers: Bytes::new(),
        }))
    }

    /// The model that is asked, unless it is the one that the request names.
    pub(super) fn instead(&self) -> Option<Arc<str>> {
        self.asking.instead.clone()
    }

    /// The name by which it is asked.
    fn name(&self) -> &str {
        self.asking.instead.as_deref().unwrap_or(&self.named)
    }

    /// Whether another model may help. That the request is at fault is for the model to say that the client named: another
    /// may take less than that one does.
    fn may_help(&self, failure: &RunFailure) -> bool {
        let error = failure.error.source.downcast_ref::<UpstreamError>();
        self.asking.instead.is_some()
            || failure.error.fault == Fault::Upstream
                && !error.is_some_and(UpstreamError::blames_the_request)
    }

    /// Notes why the model that was asked has not answered.
    fn note(&mut self, failure: &RunFailure) {
        let error = failure.error.source.downcast_ref::<UpstreamError>();
        let is_out =
            failure.state == State::TimedOut || error.is_some_and(UpstreamError::is_an_outage);
        if is_out && !self.chooses_hosts() {
            self.gateway.upstreams.cool_down(self.name());
        }
        if self.asking.instead.is_none() {
            self.told = Some(failure.clone());
        }
    }

    /// Whether the client says itself which hosts may answer: that these are out tells others nothing.
    fn chooses_hosts(&self) -> bool {
        let text = self
            .input
            .as_ref()
            .and_then(|input| input.text.as_deref().ok());
        let request = text.and_then(|text| Request::parse_to_pass(text).ok());
        request.is_some_and(|request| request.own_provider().is_some())
    }

    /// Goes on to the next model, and begins its run.
    fn next(&mut self, before: &RunStart) -> Option<Run<ClientReply>> {
        self.asking = self.others.next()?;
        let mut input = ClientRequest::clone(self.input.as_deref()?);
        input.instead = self.instead();
        let id = RunId::now();
        let start = RunStart {
            id,
            at: Timestamp::now(),
            request_id: id.request_id().into(),
            trace: before.trace,
            tracestate: before.tracestate.clone(),
        };
        let lane = self.gateway.upstreams.lane(self.name());
        let opening = Opening {
            plan: self.gateway.plan(lane),
            input: Arc::new(input),
            start,
            headers: self.headers.clone(),
        };
        Some(opening.begin(&self.gateway))
    }
}

impl Relay {
    /// What the client is told when nobody is left to ask.
    fn last_word(&mut self, failure: RunFailure, reporter: &Reporter) -> RunFailure {
        let is_of_another = self.asking.instead.is_some();
        let Some(told) = self.told.take().filter(|_| is_of_another) else {
            return failure;
        };
        let note = format!("the client is told why `{}` could not be had", self.named);
        reporter.log(Level::Warn, note);
        told
    }

    /// Says in the run that has failed who is asked next, and in the next one after whom.
    fn say_who_goes_on(&self, failed: &Reporter, failure: &RunFailure, next: &Reporter) {
        let run_id = next.run_id().text();
        let note = format!("`{}` is asked instead, in the run {run_id}", self.name());
        failed.log(Level::Warn, note);
        failed.fact(facts::ERROR_TYPE, errors::of_run(failure).kind.name());
        failed.fact(facts::FALLBACK_BY, run_id);
        next.fact(facts::FALLBACK_AFTER, failed.run_id().text());
    }

    /// Names a run in the log.
    fn span_of(&self, start: &RunStart) -> Span {
        let (run_id, request_id) = (start.id.text(), &*start.request_id);
        let key = self.input.as_ref().and_then(|input| input.key.as_deref());
        tracing::error_span!(parent: None, "run", run.id = run_id, request.id = request_id, key)
    }
}

/// What a run begins with.
pub(super) struct Opening {
    pub(super) plan: Arc<MessagesPlan>,
    pub(super) input: Arc<ClientRequest>,
    pub(super) start: RunStart,
    /// The client's headers as they are kept.
    pub(super) headers: Bytes,
}

impl Opening {
    fn begin(self, gateway: &Gateway) -> Run<ClientReply> {
        let input = Arc::clone(&self.input);
        let mut run = self.plan.start(self.input, self.start, &gateway.events);
        run.if_dropped(HUNG_UP);
        let reporter = run.reporter();
        if let Some(key) = &input.key {
            reporter.fact(facts::KEY, Arc::clone(key));
        }
        if let Some(replayed) = input.replay_of {
            reporter.fact(facts::REPLAY_OF, replayed.text());
        }
        if let Some(instead) = &input.instead {
            reporter.fact(facts::FALLBACK_MODEL, Arc::clone(instead));
        }
        reporter.payload(payload::CLIENT_REQUEST_HEADERS, self.headers);
        if let Some(body) = input.body() {
            reporter.payload(payload::CLIENT_REQUEST, body);
        }
        run
    }
}

impl Turn {
    /// Begins the first run. The current span has to be its.
    pub(super) fn begin(
        opening: Opening,
        gateway: &Gateway,
        mut relay: Option<Box<Relay>>,
    ) -> Self {
        if let Some(relay) = &mut relay {
            relay.input = Some(Arc::clone(&opening.input));
            relay.headers = opening.headers.clone();
        }
        let turn = Self {
            received: opening.input.received,
            run: opening.begin(gateway),
            span: Span::current(),
            relay,
        };
        turn.say_who_is_spared();
        turn
    }

    /// A model that failed of late is not asked first, and the run that asks another says so.
    fn say_who_is_spared(&self) {
        let Some(relay) = &self.relay else { return };
        let mut others = relay.others.as_slice().iter();
        let spared = others.find(|other| other.instead.is_none());
        let failed = spared.and_then(|spared| spared.failed);
        if let (Some(instead), Some(failed)) = (&relay.asking.instead, failed) {
            let note = format!(
                "`{instead}` is asked instead of `{}`, which could not be had {} s ago",
                relay.named,
                failed.as_secs()
            );
            self.run.reporter().log(Level::Warn, note);
        }
    }

    /// Speaks for the run that is under way.
    pub(super) fn reporter(&self) -> &Reporter {
        self.run.reporter()
    }

    /// When that run had its request.
    pub(super) fn received(&self) -> Instant {
        self.received
    }

    /// Names that run in the log.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// As [`Run::if_dropped`].
    pub(super) fn if_dropped(&mut self, what: &'static str) {
        self.run.if_dropped(what);
    }

    /// The answer of the run that is under way; [`Turn::fall_back`] if it has none.
    ///
    /// # Errors
    /// When that run has failed.
    pub(super) async fn attempt(&mut self) -> Result<ClientReply, RunFailure> {
        let replied = self.run.reply().await;
        if let (Ok(_), Some(relay)) = (&replied, &self.relay) {
            relay.gateway.upstreams.is_there(relay.name());
        }
        replied
    }

    /// The answer of the first run that has one.
    ///
    /// # Errors
    /// When nobody could be had: what the client is told.
    pub(super) async fn reply(&mut self) -> Result<ClientReply, RunFailure> {
        let mut replied = self.attempt().await;
        while let Err(failure) = replied {
            self.fall_back(failure)?;
            let span = self.span.clone();
            replied = self.attempt().instrument(span).await;
        }
        replied
    }

    /// Begins the run of the next model, if another model may help and there is one.
    ///
    /// # Errors
    /// When there is none: what the client is told.
    pub(super) fn fall_back(&mut self, failure: RunFailure) -> Result<(), RunFailure> {
        let Some(relay) = self.relay.as_mut().filter(|relay| relay.may_help(&failure)) else {
            return Err(failure);
        };
        relay.note(&failure);
        let failed = self.run.reporter().clone();
        let Some(next) = relay.next(failed.start()) else {
            return Err(relay.last_word(failure, &failed));
        };
        relay.say_who_goes_on(&failed, &failure, next.reporter());
        let span = relay.span_of(next.reporter().start());
        self.received = Instant::now();
        let span = std::mem::replace(&mut self.span, span);
        let mut failed = std::mem::replace(&mut self.run, next);
        // It was not the client that ended it.
        failed.if_dropped(GIVEN_UP);
        go_on(&relay.gateway.tracker, failed.finish().instrument(span));
        Ok(())
    }

    /// Runs what remains after the answer. Returns the final state of the run that gave it.
    pub(super) async fn finish(self) -> State {
        let Self {
            run, span, relay, ..
        } = self;
        // It holds the request, which a stream may outlive by minutes.
        drop(relay);
        run.finish().instrument(span).await
    }
}
