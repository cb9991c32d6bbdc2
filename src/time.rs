//! Time as the driver tells it, and which phase has which deadline.

use alloc::format;
use alloc::string::String;
use core::ops::{Add, AddAssign};
use core::time::Duration;

use crate::config::Timeouts;

/// A point in time: nanoseconds since a point that the driver picks, on a clock that never runs backwards.
///
/// The connection has no clock. It learns the time from [`Connection::next_action`](crate::Connection::next_action) and
/// names deadlines on the same scale, so a simulator may use any numbers, and a driver its runtime's clock.
///
/// # Examples
/// ```
/// use core::time::Duration;
/// use sansgi::Instant;
/// let start = Instant::from_nanos(5);
/// let later = start + Duration::from_millis(1);
/// assert_eq!(later.as_nanos(), 1_000_005);
/// assert_eq!(later.saturating_duration_since(start), Duration::from_millis(1));
/// assert_eq!(start.saturating_duration_since(later), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The point that the driver picked.
    pub const ZERO: Self = Self(0);

    /// Nanoseconds since the point that the driver picked; they last for 584 years.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the point that the driver picked.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was, or zero if it is later.
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// `None` beyond the scale's end: a deadline that never comes.
    pub(crate) fn checked_add(self, duration: Duration) -> Option<Self> {
        let seconds = duration.as_secs().checked_mul(1_000_000_000)?;
        self.0.checked_add(seconds)?.checked_add(duration.subsec_nanos().into()).map(Self)
    }
}

/// Saturates at the scale's end.
impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        self.checked_add(duration).unwrap_or(Self(u64::MAX))
    }
}

/// Saturates at the scale's end.
impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = self.add(duration);
    }
}

/// Converts between the standard library's clock and [`Instant`]. One serves all connections of a program.
///
/// # Examples
/// ```
/// use sansgi::Clock;
/// let clock = Clock::new();
/// let now = clock.now();
/// assert!(clock.at(clock.to_std(now)) == now);
/// ```
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: std::time::Instant,
}

#[cfg(feature = "std")]
impl Clock {
    /// A clock whose zero is now.
    pub fn new() -> Self {
        Self { start: std::time::Instant::now() }
    }

    /// What time it is.
    pub fn now(&self) -> Instant {
        self.at(std::time::Instant::now())
    }

    /// A point of the standard library's clock on this one; what was before this clock's zero becomes zero.
    pub fn at(&self, time: std::time::Instant) -> Instant {
        Instant::ZERO.add(time.saturating_duration_since(self.start))
    }

    /// A point of this clock on the standard library's, to sleep until a deadline.
    pub fn to_std(&self, time: Instant) -> std::time::Instant {
        let since = Duration::from_nanos(time.as_nanos());
        self.start.checked_add(since).unwrap_or(self.start)
    }
}

#[cfg(feature = "std")]
impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// What the peer is waited for to send: one thing at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Awaited {
    #[default]
    Nothing,
    /// A request, while nothing is left to write.
    Request,
    /// The rest of a head.
    Head,
    /// More of a body that the application, or the drain, waits for.
    Body,
    /// Its close.
    Close,
}

/// What has lasted too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// The peer owes this.
    Peer(Awaited),
    /// The peer does not read what is unwritten.
    Write,
    /// An exchange outlasts the shutdown.
    Shutdown,
}

/// Since when each wait lasts. A deadline is computed from these marks; nothing is armed and nothing cancelled.
///
/// "A phase that began since the last question begins at this one's `now`": a mark is made by the first
/// [`turn`](Self::turn) that finds its phase, and dropped by the first that does not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waits {
    now: Instant,
    awaited: Awaited,
    /// Since when it is awaited, and since when nothing of it has come.
    awaited_since: Instant,
    quiet_since: Instant,
    unwritten_since: Option<Instant>,
    shutdown_since: Option<Instant>,
    /// How long this body was waited for, in all.
    body_wait: Duration,
}

/// What is waited for at a turn, and whether a part of it has come since the last one, so that it counts from now.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts of one moment, not phases of anything")]
pub(crate) struct Turn {
    pub(crate) awaited: Awaited,
    pub(crate) has_come: bool,
    pub(crate) unwritten: bool,
    pub(crate) was_written: bool,
    pub(crate) shutting_down: bool,
}

impl Waits {
    /// Takes the time. "An earlier `now` counts as the latest told."
    pub(crate) fn advance(&mut self, now: Instant) {
        if self.awaited == Awaited::Body {
            self.body_wait = self.body_wait.saturating_add(now.saturating_duration_since(self.now));
        }
        self.now = self.now.max(now);
    }

    /// Takes which waits are on.
    pub(crate) fn turn(&mut self, turn: Turn) {
        if self.awaited != turn.awaited {
            self.awaited = turn.awaited;
            self.awaited_since = self.now;
            self.quiet_since = self.now;
        }
        if turn.has_come {
            self.quiet_since = self.now;
        }
        self.unwritten_since = match self.unwritten_since {
            Some(since) if turn.unwritten && !turn.was_written => Some(since),
            Some(_) | None => turn.unwritten.then_some(self.now),
        };
        self.shutdown_since = if turn.shutting_down { self.shutdown_since.or(Some(self.now)) } else { None };
    }

    /// A new body, which nobody has waited for.
    pub(crate) fn body_begins(&mut self) {
        self.body_wait = Duration::ZERO;
    }

    /// Whether, at the last turn, there was a wait that has nothing to do with bytes that came and are not interpreted yet.
    pub(crate) fn has_more_than_reading(&self) -> bool {
        self.unwritten_since.is_some() || self.shutdown_since.is_some() || self.awaited == Awaited::Close
    }

    /// What has lasted too long, of what has nothing to do with bytes that came and are not interpreted yet.
    pub(crate) fn overdue_before_reading(&self, timeouts: &Timeouts, body_bytes: u64) -> Option<Overdue> {
        if self.is_due(self.write_deadline(timeouts)) {
            return Some(Overdue::Write);
        }
        if self.is_due(self.shutdown_deadline(timeouts)) {
            return Some(Overdue::Shutdown);
        }
        let closes = self.awaited == Awaited::Close && self.is_due(self.peer_deadline(timeouts, body_bytes));
        closes.then_some(Overdue::Peer(Awaited::Close))
    }

    /// What has lasted too long.
    pub(crate) fn overdue(&self, timeouts: &Timeouts, body_bytes: u64) -> Option<Overdue> {
        self.overdue_before_reading(timeouts, body_bytes)
            .or_else(|| self.is_due(self.peer_deadline(timeouts, body_bytes)).then_some(Overdue::Peer(self.awaited)))
    }

    /// When the first of them will have.
    pub(crate) fn deadline(&self, timeouts: &Timeouts, body_bytes: u64) -> Option<Instant> {
        earlier(
            earlier(self.write_deadline(timeouts), self.shutdown_deadline(timeouts)),
            self.peer_deadline(timeouts, body_bytes),
        )
    }

    /// Whether it was the body's rate, before its silence, that was too low.
    pub(crate) fn rate_is_overdue(&self, timeouts: &Timeouts, body_bytes: u64) -> bool {
        let silence = self.quiet_since.checked_add(timeouts.body);
        self.rate_deadline(timeouts, body_bytes)
            .is_some_and(|rate| rate <= self.now && silence.is_none_or(|silence| rate < silence))
    }

    pub(crate) fn fingerprint(&self) -> String {
        format!("{:?} {} {}", self.awaited, self.unwritten_since.is_some(), self.shutdown_since.is_some())
    }

    fn is_due(&self, deadline: Option<Instant>) -> bool {
        deadline.is_some_and(|deadline| deadline <= self.now)
    }

    fn write_deadline(&self, timeouts: &Timeouts) -> Option<Instant> {
        self.unwritten_since?.checked_add(timeouts.write)
    }

    fn shutdown_deadline(&self, timeouts: &Timeouts) -> Option<Instant> {
        self.shutdown_since?.checked_add(timeouts.shutdown)
    }

    fn peer_deadline(&self, timeouts: &Timeouts, body_bytes: u64) -> Option<Instant> {
        match self.awaited {
            Awaited::Nothing => None,
            // "Bytes do not extend it", neither the one nor the other.
            Awaited::Request => self.awaited_since.checked_add(timeouts.idle),
            Awaited::Head => self.awaited_since.checked_add(timeouts.head),
            Awaited::Body => {
                earlier(self.quiet_since.checked_add(timeouts.body), self.rate_deadline(timeouts, body_bytes))
            }
            Awaited::Close => earlier(
                self.quiet_since.checked_add(timeouts.linger_quiet),
                self.awaited_since.checked_add(timeouts.linger),
            ),
        }
    }

    /// When as many bytes as have come will be too few for the time they took.
    fn rate_deadline(&self, timeouts: &Timeouts, body_bytes: u64) -> Option<Instant> {
        let nanos_of_bytes = u128::from(body_bytes)
            .saturating_mul(1_000_000_000)
            .checked_div(timeouts.body_bytes_per_second.into())? // off, when it is zero
            .saturating_add(1); // the rate itself is enough
        let nanos = u64::try_from(nanos_of_bytes).ok()?;
        let enough_until = Duration::from_nanos(nanos).max(timeouts.body_rate_after);
        // As long after now as the wait may still last; or as long before as it has lasted too long.
        let waited_too_long = self.body_wait.saturating_sub(enough_until);
        let now = Instant(self.now.0.saturating_sub(u64::try_from(waited_too_long.as_nanos()).unwrap_or(u64::MAX)));
        now.checked_add(enough_until.saturating_sub(self.body_wait))
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
