//! What names a run, and the moments of its events.
//!
//! Both count microseconds since the Unix epoch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::{Builder, Uuid};

/// What a request's id begins with.
const REQUEST: &str = "req_";

/// Names one run. Time-ordered (UUID version 7), so that its order is the order of acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(Uuid);

impl RunId {
    /// Makes an id for a run that is accepted now.
    #[must_use]
    pub fn now() -> Self {
        Self::of(Timestamp::now())
    }

    /// Makes an id for a run that is accepted at this moment, or a microsecond after the last id of this process if that
    /// would be later: ids are in the order of their making.
    #[must_use]
    pub fn of(accepted: Timestamp) -> Self {
        /// The moment of the last id, in microseconds.
        static LAST: AtomicU64 = AtomicU64::new(0);
        let now = u64::try_from(accepted.0).unwrap_or(0);
        let after = |last: u64| Some(now.max(last.saturating_add(1)));
        let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after);
        let moment = now.max(last.unwrap_or(0).saturating_add(1));
        // RFC 9562 §6.2, method 3: the 12 bits after the milliseconds hold the fraction. Drawing the rest is left to
        // a fast generator, because asking the kernel costs more than starting the run.
        let fraction = u128::from(moment % 1_000 * 4_096 / 1_000) << 64;
        let drawn = u128::from(fastrand::u64(..));
        let [_, _, _, _, _, _, tail @ ..] = (fraction | drawn).to_be_bytes();
        Self(Builder::from_unix_timestamp_millis(moment / 1_000, &tail).into_uuid())
    }

    /// The 16 bytes as stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// When the run was accepted, to the millisecond; the epoch for an id of another making.
    #[must_use]
    pub fn accepted(&self) -> Timestamp {
        let millis = self.0.get_timestamp().map_or(0, |moment| {
            let (seconds, nanos) = moment.to_unix();
            seconds * 1_000 + u64::from(nanos / 1_000_000)
        });
        Timestamp(i64::try_from(millis * 1_000).unwrap_or(i64::MAX))
    }

    /// The id as 32 hex digits, for where hyphens would be noise.
    #[must_use]
    pub fn simple(&self) -> impl std::fmt::Display {
        *self.0.as_simple()
    }

    /// The id as it is written everywhere else.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        self.0.as_hyphenated().encode_lower(&mut text).to_owned()
    }

    /// The id by which the client knows the request that the run serves.
    #[must_use]
    pub fn request_id(&self) -> String {
        let mut digits = [0; uuid::fmt::Simple::LENGTH];
        [REQUEST, self.0.as_simple().encode_lower(&mut digits)].concat()
    }

    /// Takes back what [`RunId::request_id`] gave.
    #[must_use]
    pub fn of_request(id: &str) -> Option<Self> {
        let digits = id.strip_prefix(REQUEST)?;
        Uuid::try_parse(digits).ok().map(Self)
    }

    /// Takes back what [`RunId::as_bytes`] gave.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl std::str::FromStr for RunId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The present moment.
    #[must_use]
    pub fn now() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }

    /// Time passed since `earlier`; zero when the clock was set back in between.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// The same moment for interfaces that speak [`SystemTime`].
    #[must_use]
    pub fn to_system_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(u64::try_from(self.0).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_the_moment_that_it_is_made_of_and_another_one_the_next() {
        let moment = Timestamp(Timestamp::now().0 + 5_000);
        let [first, second] = [moment; 2].map(RunId::of);
        // The other tests of this process make ids, too, one for each microsecond that passes or more.
        let told = first.accepted().0 - moment.0 / 1_000 * 1_000;
        assert!((0..=11_000).contains(&told), "{told}");
        assert!(first < second, "{first} {second}");
    }

    #[test]
    fn ids_of_runs_are_in_the_order_of_their_making_and_tell_its_time() {
        let before = Timestamp::now().0 / 1_000;
        let ids: Vec<_> = (0..10_000).map(|_| RunId::now()).collect();
        let after = Timestamp::now().0 / 1_000 + 16;
        assert!(ids.is_sorted_by(|one, next| one < next));
        for id in [ids[0], ids[9_999]] {
            assert_eq!(id.0.get_version_num(), 7);
            let (secs, nanos) = id.0.get_timestamp().unwrap().to_unix();
            let millis = i64::try_from(secs).unwrap() * 1_000 + i64::from(nanos) / 1_000_000;
            assert!(
                (before..=after).contains(&millis),
                "{before} {millis} {after}"
            );
        }
    }
}
