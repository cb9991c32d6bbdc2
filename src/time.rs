//! Time as the driver tells it, and which phase has which deadline.

use alloc::format;
use alloc::string::String;
use core::fmt;
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

    /// Later than any time that is told: the deadline of what is waited for without one.
    const NEVER: Self = Self(u64::MAX);

    const fn after(self, time: Nanos) -> Self {
        Self(self.0.saturating_add(time.0))
    }
}

/// A length of time in nanoseconds. The longest is for ever: a [`Duration`] that has no room here is 584 years and
/// more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Nanos(u64);

impl Nanos {
    pub(crate) const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    #[allow(clippy::cast_lossless, reason = "`From` is not const")]
    pub(crate) const fn new(time: Duration) -> Self {
        Self(Self::from_secs(time.as_secs()).0.saturating_add(time.subsec_nanos() as u64))
    }
}

impl fmt::Debug for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self(u64::MAX) { f.write_str("off") } else { Duration::from_nanos(self.0).fmt(f) }
    }
}

/// Saturates at the scale's end.
impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        self.after(Nanos::new(duration))
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

    /// A point of this clock on the standard library's, to sleep until a deadline. If the standard library's clock
    /// cannot count that far, the answer is a point some 30 years away: one that has passed would make the driver spin.
    pub fn to_std(&self, time: Instant) -> std::time::Instant {
        const FAR_AWAY: Duration = Duration::from_secs(1_000_000_000);
        let since = Duration::from_nanos(time.as_nanos());
        let point = self.start.checked_add(since).or_else(|| self.start.checked_add(FAR_AWAY));
        point.unwrap_or(self.start)
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

/// Since when each wait lasts; or, where nothing but time can be too late, when it will have lasted too long. Deadlines
/// are computed from these marks.
///
/// A phase that began since the last question begins at this one's `now` (rule 1): its mark is made by the first
/// [`turn`](Self::turn) that finds the phase, and dropped by the first that does not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    now: Instant,
    awaited: Awaited,
    /// Since when it is awaited, and since when nothing of it has come.
    awaited_since: Instant,
    quiet_since: Instant,
    /// When what is unwritten has been so for too long; `NEVER` while nothing is.
    write_due: Instant,
    /// When an exchange has outlasted a shutdown; `NEVER` while none does.
    shutdown_due: Instant,
    /// How long this body was waited for, in all.
    body_wait: Nanos,
    /// Nothing of what was waited for is due before, when that was asked last. `ZERO` where it has not been asked since
    /// something else is awaited, or since a part of a body has come. What is past stays until then.
    first_due: Instant,
}

/// What is waited for at a turn, and whether a part of it has come since the last one, so that it counts from now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) awaited: Awaited,
    pub(crate) has_come: bool,
    pub(crate) unwritten: bool,
    pub(crate) was_written: bool,
}

impl Waits {
    pub(crate) const NONE: Self = Self {
        now: Instant::ZERO,
        awaited: Awaited::Nothing,
        awaited_since: Instant::ZERO,
        quiet_since: Instant::ZERO,
        write_due: Instant::NEVER,
        shutdown_due: Instant::NEVER,
        body_wait: Nanos(0),
        first_due: Instant::ZERO,
    };

    /// Takes the time, and says what it is. "An earlier `now` counts as the latest told."
    pub(crate) fn advance(&mut self, now: Instant) -> Instant {
        let now = Instant(now.0.min(Instant::NEVER.0.saturating_sub(1)));
        if self.awaited == Awaited::Body {
            self.body_wait.0 = self.body_wait.0.saturating_add(now.0.saturating_sub(self.now.0));
        }
        self.now = self.now.max(now);
        self.now
    }

    /// Takes which waits are on.
    pub(crate) fn turn(&mut self, turn: Turn, timeouts: &Timeouts) {
        if self.awaited != turn.awaited {
            if self.awaited == Awaited::Body {
                self.forgive_lateness();
            }
            self.awaited = turn.awaited;
            self.awaited_since = self.now;
            self.quiet_since = self.now;
            self.first_due = Instant::ZERO;
        } else if turn.awaited == Awaited::Body {
            self.turn_of_a_body(turn.has_come);
        } else if turn.has_come {
            self.quiet_since = self.now;
        }
        if !turn.unwritten {
            self.write_due = Instant::NEVER;
        } else if turn.was_written || self.write_due == Instant::NEVER {
            self.write_due = self.now.after(timeouts.write);
        }
    }

    /// Takes whether a graceful shutdown has an exchange to wait for.
    #[cold]
    pub(crate) fn turn_of_a_shutdown(&mut self, in_flight: bool, timeouts: &Timeouts) {
        if !in_flight {
            self.shutdown_due = Instant::NEVER;
        } else if self.shutdown_due == Instant::NEVER {
            self.shutdown_due = self.now.after(timeouts.shutdown);
        }
    }

    /// The next one in which the same body is awaited.
    #[inline(never)] // few turns are in a body
    fn turn_of_a_body(&mut self, has_come: bool) {
        if has_come {
            self.forgive_lateness();
            self.quiet_since = self.now;
        }
        // A question may have a turn before it interprets what has come, and one behind it.
        if has_come || self.first_due > self.now {
            self.first_due = Instant::ZERO;
        }
    }

    /// "What was told before the question came in time, however late" (rule 1): that nobody asked when something was
    /// due is not a body's slowness. So where a part of it, or its end, has come, the time since then does not count.
    #[inline(never)] // few turns are in a body
    fn forgive_lateness(&mut self) {
        if self.first_due != Instant::ZERO {
            self.body_wait.0 = self.body_wait.0.saturating_sub(self.now.0.saturating_sub(self.first_due.0));
        }
    }

    /// A new body, which nobody has waited for.
    pub(crate) fn body_begins(&mut self) {
        self.body_wait = Nanos(0);
    }

    /// Whether what was waited for before this turn may be due. A wait that began since is not.
    pub(crate) fn may_be_due(&self) -> bool {
        self.first_due <= self.now
    }

    /// What has lasted too long, of what has nothing to do with bytes that came and are not interpreted yet.
    pub(crate) fn overdue_before_reading(&self, timeouts: &Timeouts) -> Option<Overdue> {
        if self.write_due <= self.now {
            return Some(Overdue::Write);
        }
        if self.shutdown_due <= self.now {
            return Some(Overdue::Shutdown);
        }
        if self.awaited == Awaited::Close { self.overdue_close(timeouts) } else { None }
    }

    #[cold] // mostly there is a next request
    fn overdue_close(&self, timeouts: &Timeouts) -> Option<Overdue> {
        (self.peer_deadline(timeouts, 0) <= self.now).then_some(Overdue::Peer(Awaited::Close))
    }

    /// When the next of them will have lasted too long, `None` if there is none; or which of them has.
    pub(crate) fn deadline(&mut self, timeouts: &Timeouts, body_bytes: u64) -> Result<Option<Instant>, Overdue> {
        let peer = self.peer_deadline(timeouts, body_bytes);
        let first = peer.min(self.write_due).min(self.shutdown_due);
        self.first_due = first;
        if first <= self.now {
            return Err(self.overdue_before_reading(timeouts).unwrap_or(Overdue::Peer(self.awaited)));
        }
        Ok(self.first_due())
    }

    /// When the next of what was waited for at the last turn will have lasted too long.
    pub(crate) fn first_due(&self) -> Option<Instant> {
        (self.first_due != Instant::NEVER).then_some(self.first_due)
    }

    /// Whether it was the body's rate, before its silence, that was too low.
    pub(crate) fn rate_is_overdue(&self, timeouts: &Timeouts, body_bytes: u64) -> bool {
        let rate = self.rate_deadline(timeouts, body_bytes);
        rate <= self.now && rate < self.quiet_since.after(timeouts.body)
    }

    pub(crate) fn fingerprint(&self) -> String {
        let (is_unwritten, is_shutting_down) = (self.write_due != Instant::NEVER, self.shutdown_due != Instant::NEVER);
        format!("{:?} {is_unwritten} {is_shutting_down}", self.awaited)
    }

    fn peer_deadline(&self, timeouts: &Timeouts, body_bytes: u64) -> Instant {
        match self.awaited {
            Awaited::Nothing => Instant::NEVER,
            // Bytes extend neither of them: a head that drips would never be late.
            Awaited::Request => self.awaited_since.after(timeouts.idle),
            Awaited::Head => self.awaited_since.after(timeouts.head),
            Awaited::Body => self.quiet_since.after(timeouts.body).min(self.rate_deadline(timeouts, body_bytes)),
            Awaited::Close => {
                self.quiet_since.after(timeouts.linger_quiet).min(self.awaited_since.after(timeouts.linger))
            }
        }
    }

    /// When as many bytes as have come will be too few for the time they took.
    fn rate_deadline(&self, timeouts: &Timeouts, body_bytes: u64) -> Instant {
        let nanos_of_bytes = u128::from(body_bytes)
            .saturating_mul(1_000_000_000)
            .checked_div(timeouts.body_bytes_per_second.into()) // off, when it is zero
            .and_then(|nanos| u64::try_from(nanos).ok());
        let Some(nanos_of_bytes) = nanos_of_bytes else { return Instant::NEVER };
        // The rate itself is enough.
        let enough_until = Nanos(nanos_of_bytes.saturating_add(1)).max(timeouts.body_rate_after);
        // As long after now as the wait may still last; or as long before as it has lasted too long.
        let waited_too_long = self.body_wait.0.saturating_sub(enough_until.0);
        let left = enough_until.0.saturating_sub(self.body_wait.0);
        Instant(self.now.0.saturating_sub(waited_too_long).saturating_add(left))
    }
}
