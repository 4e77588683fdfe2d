//! What the handlers share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::Bodies;
use super::early::Early;
use super::turn::Turn;
use crate::engine::Plan;
use crate::events::{EventSink, PlanInfo};
use crate::protocol::anthropic::error::ApiError;
use crate::store::Store;
use crate::tasks::{ClientReply, ClientRequest};
use crate::upstream::{Lane, Upstreams};

/// A plan that serves a route of the Messages API.
pub type MessagesPlan = Plan<ClientRequest, ClientReply>;

/// The longest a new request waits while the observers catch up.
const LONGEST_ADMISSION: Duration = Duration::from_secs(5);
/// How often it looks again.
const ADMISSION_PAUSE: Duration = Duration::from_millis(2);

/// The plans that serve requests, proved together.
pub struct Plans {
    /// For `POST /v1/messages` in the chat lane.
    pub messages: Arc<MessagesPlan>,
    /// For the same in the native lane.
    pub native: Arc<MessagesPlan>,
    /// For `POST /v1/messages/count_tokens`.
    pub count_tokens: Arc<MessagesPlan>,
}

impl Plans {
    /// What they look like.
    #[must_use]
    pub fn infos(&self) -> Vec<Arc<PlanInfo>> {
        [&self.messages, &self.native, &self.count_tokens]
            .map(|plan| Arc::clone(plan.info()))
            .into()
    }
}

/// What the handlers share. One for the process.
pub struct Gateway {
    /// The plans in use. They may be replaced at any time; a run holds the one that it began with.
    pub plans: ArcSwap<Plans>,
    /// Where events go.
    pub events: EventSink,
    /// Owns what goes on after an answer.
    pub tracker: TaskTracker,
    /// Where what waits for others after an answer goes on.
    pub afterwards: Afterwards,
    /// Cancelled when the process is to stop, but serves for a while yet: nothing new should be sent to it.
    pub draining: CancellationToken,
    /// Cancelled when a stopping process can wait no longer: what is still under way then ends with an error.
    pub last_call: CancellationToken,
    /// The upstreams and their models.
    pub upstreams: Arc<Upstreams>,
    /// The recorded runs.
    pub store: Arc<dyn Store>,
    /// Makes the text of `/metrics`.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// The room for request bodies.
    pub bodies: Bodies,
    /// When an answer begins that has not come.
    pub early: Early,
}

/// Where turns go on after their answers when they wait for others.
#[derive(Clone)]
pub struct Afterwards {
    /// One that outlives the server's workers.
    runtime: Handle,
    /// Cancelled when the process ends: what still goes on is dropped.
    pub over: CancellationToken,
}

impl Afterwards {
    /// On the runtime of who asks.
    #[must_use]
    pub fn here() -> Self {
        Self {
            runtime: Handle::current(),
            over: CancellationToken::new(),
        }
    }
}

/// Goes on with what remains of a run after its answer, on this worker. The tracker owns it: a process that stops waits
/// for it.
#[expect(
    clippy::disallowed_methods,
    reason = "a run stays on its worker, and the tracker that shutdown drains owns it"
)]
pub(super) fn go_on(tracker: &TaskTracker, rest: impl Future<Output: 'static> + 'static) {
    actix_web::rt::spawn(tracker.track_future(rest));
}

/// Goes on with what remains of a turn after its answer. Where steps will wait for others then, it does so on the process's own
/// runtime: the workers of a server that stops end with their last connection, and what goes on there ends with them.
pub(super) fn go_on_with_turn(tracker: &TaskTracker, afterwards: &Afterwards, turn: Turn) {
    if !turn.waits_after_reply() {
        return go_on(tracker, turn.finish());
    }
    let over = afterwards.over.clone();
    let rest = async move {
        // A turn that is dropped says so.
        let _ = over.run_until_cancelled_owned(turn.finish()).await;
    };
    tracker.spawn_on(rest, &afterwards.runtime);
}

impl Gateway {
    /// The plan for a message in a lane. A run keeps it, whatever comes into use meanwhile.
    #[must_use]
    pub fn plan(&self, lane: Lane) -> Arc<MessagesPlan> {
        let plans = self.plans.load();
        Arc::clone(match lane {
            Lane::Chat => &plans.messages,
            Lane::Native => &plans.native,
        })
    }

    /// Waits until the observers have room for another run: a full queue slows requests down rather than losing a run.
    ///
    /// # Errors
    /// Overloaded, when they do not catch up in time.
    pub async fn admit(&self) -> Result<(), ApiError> {
        if self.events.has_room() {
            return Ok(());
        }
        let since = Instant::now();
        while since.elapsed() < LONGEST_ADMISSION {
            tokio::time::sleep(ADMISSION_PAUSE).await;
            if self.events.has_room() {
                return Ok(());
            }
        }
        let message = "Dagway is recording more runs than its disk can take; try again in a moment";
        Err(ApiError::overloaded(message))
    }
}
