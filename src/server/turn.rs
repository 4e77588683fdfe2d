//! The runs of one request: the first one, and one for each model that has to step in.
//!
//! A model that cannot be had gives way to its [fallbacks](crate::upstream::fallbacks), and only while the client has got
//! nothing of an answer. Each is a run of its own, because its graph, its conversions and its lane are those of another
//! model; the runs name each other. This file must not know how an answer reaches its client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web;
use bytes::Bytes;
use tracing::{Instrument, Span};

use super::errors;
use super::gateway::{Gateway, MessagesPlan, go_on};
use crate::engine::{Fault, ReplyDue, Run, RunFailure, Task};
use crate::events::{Level, Reporter, RunId, RunStart, State, Timestamp};
use crate::facts::{self, payload};
use crate::protocol::anthropic::request::Request;
use crate::protocol::openrouter::error::UpstreamError;
use crate::tasks::call_upstream::CallUpstream;
use crate::tasks::reply_flow::{GIVEN_UP, HUNG_UP};
use crate::tasks::{ClientReply, ClientRequest};
use crate::upstream::{Candidate, Upstreams};

/// A request that a run answers, or another one if that cannot.
pub(super) struct Turn {
    run: Run<ClientReply>,
    received: Instant,
    span: Span,
    chain: Option<Box<Chain>>,
}

/// The models that may be asked for a request, the likeliest first.
pub(super) struct Candidates {
    /// The model that the request names.
    named: String,
    /// The model that is asked.
    asking: Candidate,
    /// Those that may still be.
    others: std::vec::IntoIter<Candidate>,
}

impl Candidates {
    /// Those for a request that names this model; nothing when nobody may step in.
    pub(super) fn of(upstreams: &Upstreams, named: &str) -> Option<Self> {
        let mut others = upstreams.candidates(named).into_iter();
        Some(Self {
            asking: others.next()?,
            others,
            named: named.to_owned(),
        })
    }

    /// The model that is asked, unless it is the one that the request names.
    pub(super) fn instead(&self) -> Option<Arc<str>> {
        self.asking.instead.clone()
    }

    /// The name by which it is asked.
    fn name(&self) -> &str {
        self.asking.instead.as_deref().unwrap_or(&self.named)
    }

    /// Why the model that the request names is not asked first, where it failed of late.
    fn why_spared(&self) -> Option<String> {
        let instead = self.asking.instead.as_deref()?;
        let mut others = self.others.as_slice().iter();
        let failed = others.find(|other| other.instead.is_none())?.failed?;
        Some(format!(
            "`{instead}` is asked instead of `{}`, which could not be had {} s ago",
            self.named,
            failed.as_secs()
        ))
    }
}

/// What it takes to begin another run for the same request.
struct Chain {
    gateway: web::Data<Gateway>,
    candidates: Candidates,
    /// What the client is told if nobody can be had: why the model that it named cannot.
    told: Option<RunFailure>,
    /// What the first run began with.
    input: Arc<ClientRequest>,
    headers: Bytes,
}

impl Chain {
    /// Whether another model may help. That the request is at fault is for the model to say that the client named: another
    /// may take less than that one does.
    fn may_help(&self, failure: &RunFailure) -> bool {
        let error = failure.error.source.downcast_ref::<UpstreamError>();
        self.candidates.asking.instead.is_some()
            || failure.error.fault == Fault::Upstream
                && !error.is_some_and(UpstreamError::blames_the_request)
    }

    /// Notes why the model that was asked has not answered.
    fn note(&mut self, failure: &RunFailure) {
        let error = failure.error.source.downcast_ref::<UpstreamError>();
        // That another step took too long, or left no time for its answer, is not for the model to pay for.
        let was_asked = failure.task == CallUpstream::NAME && failure.attempts > 0;
        let is_silent = failure.state == State::TimedOut && was_asked;
        let is_out = is_silent || error.is_some_and(UpstreamError::is_an_outage);
        if is_out && !self.chooses_hosts() {
            self.gateway.upstreams.cool_down(self.candidates.name());
        }
        if self.candidates.asking.instead.is_none() {
            self.told = Some(failure.clone());
        }
    }

    /// Whether the client says itself which hosts may answer: that these are out tells others nothing.
    fn chooses_hosts(&self) -> bool {
        let text = self.input.text.as_deref().ok();
        let request = text.and_then(|text| Request::parse_to_pass(text).ok());
        request.is_some_and(|request| request.own_provider().is_some())
    }

    /// Goes on to the next model, and begins its run.
    fn next(&mut self, before: &RunStart) -> Option<Run<ClientReply>> {
        let candidates = &mut self.candidates;
        candidates.asking = candidates.others.next()?;
        let mut input = ClientRequest::clone(&self.input);
        input.instead = candidates.instead();
        let at = Timestamp::now();
        let id = RunId::of(at);
        let start = RunStart {
            id,
            at,
            request_id: id.request_id().into(),
            trace: before.trace,
            tracestate: before.tracestate.clone(),
        };
        let lane = self.gateway.upstreams.lane(self.candidates.name());
        let opening = Opening {
            plan: self.gateway.plan(lane),
            input: Arc::new(input),
            start,
            headers: self.headers.clone(),
        };
        Some(opening.begin(&self.gateway, self.candidates.asking.patience))
    }

    /// What the client is told when nobody is left to ask.
    fn last_word(&mut self, failure: RunFailure, reporter: &Reporter) -> RunFailure {
        let is_of_another = self.candidates.asking.instead.is_some();
        let Some(told) = self.told.take().filter(|_| is_of_another) else {
            return failure;
        };
        let note = format!(
            "the client is told why `{}` could not be had",
            self.candidates.named
        );
        reporter.log(Level::Warn, note);
        told
    }

    /// Says in the run that has failed who is asked next, and in the next one after whom.
    fn say_who_goes_on(&self, failed: &Reporter, failure: &RunFailure, next: &Reporter) {
        let run_id = next.run_id().text();
        let name = self.candidates.name();
        let note = format!("`{name}` is asked instead, in the run {run_id}");
        failed.log(Level::Warn, note);
        failed.fact(facts::ERROR_TYPE, errors::of_run(failure).kind.name());
        failed.fact(facts::FALLBACK_BY, run_id);
        next.fact(facts::FALLBACK_AFTER, failed.run_id().text());
    }

    /// Names a run in the log.
    fn span_of(&self, start: &RunStart) -> Span {
        let (run_id, request_id) = (start.id.text(), &*start.request_id);
        let key = self.input.key.as_deref();
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
    /// Begins the run of a model that has so long until the first piece of its answer is there.
    fn begin(self, gateway: &Gateway, patience: Option<Duration>) -> Run<ClientReply> {
        let input = Arc::clone(&self.input);
        let mut run = self.plan.start(self.input, self.start, &gateway.events);
        run.if_dropped(HUNG_UP);
        if let Some(patience) = patience {
            run.set_reply_due(due_after(patience));
        }
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

/// In the last tenth of its patience a model is not asked again: hardly any begins to answer in what is left, and each that is
/// given up may have to be paid for.
const LAST_PART: u32 = 10;

/// When a model is given up that has not begun to answer, and why.
fn due_after(patience: Duration) -> ReplyDue {
    let at = tokio::time::Instant::now() + patience;
    let why = format!(
        "its answer had not begun after {patience:?}, the time that `models.fallbacks.patience` gives it"
    );
    ReplyDue {
        at,
        last_attempt: at - patience / LAST_PART,
        why: why.into(),
    }
}

impl Turn {
    /// Begins the first run. The current span has to be its.
    pub(super) fn begin(
        opening: Opening,
        gateway: &web::Data<Gateway>,
        candidates: Option<Candidates>,
    ) -> Self {
        let received = opening.input.received;
        let why_spared = candidates.as_ref().and_then(Candidates::why_spared);
        let patience = candidates.as_ref().and_then(|one| one.asking.patience);
        let chain = candidates.map(|candidates| {
            Box::new(Chain {
                gateway: gateway.clone(),
                candidates,
                told: None,
                input: Arc::clone(&opening.input),
                headers: opening.headers.clone(),
            })
        });
        let run = opening.begin(gateway, patience);
        if let Some(why) = why_spared {
            run.reporter().log(Level::Warn, why);
        }
        Self {
            run,
            received,
            span: Span::current(),
            chain,
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
        if let (Ok(_), Some(chain)) = (&replied, &self.chain) {
            let name = chain.candidates.name();
            chain.gateway.upstreams.is_there(name);
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
        let Some(chain) = self.chain.as_mut().filter(|chain| chain.may_help(&failure)) else {
            return Err(failure);
        };
        chain.note(&failure);
        let failed = self.run.reporter().clone();
        let Some(next) = chain.next(failed.start()) else {
            return Err(chain.last_word(failure, &failed));
        };
        chain.say_who_goes_on(&failed, &failure, next.reporter());
        let span = chain.span_of(next.reporter().start());
        self.received = Instant::now();
        let span = std::mem::replace(&mut self.span, span);
        let mut failed = std::mem::replace(&mut self.run, next);
        // It was not the client that ended it.
        failed.if_dropped(GIVEN_UP);
        go_on(&chain.gateway.tracker, failed.finish().instrument(span));
        Ok(())
    }

    /// Whether steps will wait for others once the answer is there, and none does already.
    pub(super) fn waits_after_reply(&self) -> bool {
        self.run.waits_after_reply()
    }

    /// Runs what remains after the answer. Returns the final state of the run that gave it.
    pub(super) async fn finish(self) -> State {
        let Self {
            run, span, chain, ..
        } = self;
        // It holds the request, which a stream may outlive by minutes.
        drop(chain);
        run.finish().instrument(span).await
    }
}
