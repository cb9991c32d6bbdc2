//! Time as the driver tells it, and which phase has which deadline.

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
        let nanos = u64::try_from(duration.as_nanos()).ok()?;
        self.0.checked_add(nanos).map(Self)
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

/// What the connection may be waiting for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Timer {
    /// A request, while nothing is left to write.
    Idle,
    /// The rest of a head.
    Head,
    /// More of a body that the application, or the drain, waits for.
    Body,
    /// The peer to read what is unwritten.
    Write,
    /// The peer to close, or to send something.
    LingerQuiet,
    /// The peer to close.
    Linger,
    /// The last exchange of a connection that is shutting down.
    Shutdown,
}

impl Timer {
    const ALL: [Self; 7] =
        [Self::Write, Self::Shutdown, Self::Linger, Self::LingerQuiet, Self::Idle, Self::Head, Self::Body];
}

/// Since when each wait lasts. A deadline is computed from these marks; nothing is armed and nothing cancelled.
///
/// "A phase that began since the last question begins at this one's `now`": a mark is made by the first
/// [`turn`](Self::turn) that finds its phase, and dropped by the first that does not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks {
    now: Instant,
    since: [Option<Instant>; Timer::ALL.len()],
    /// How long this body was waited for, in all.
    body_wait: Duration,
}

/// How a wait stands at a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody waits.
    Off,
    /// It goes on.
    On,
    /// It goes on, but what was awaited came in part, so it counts from now.
    Renewed,
}

impl Marks {
    /// Takes the time. "An earlier `now` counts as the latest told."
    pub(crate) fn advance(&mut self, now: Instant) {
        if self.mark(Timer::Body).is_some() {
            self.body_wait = self.body_wait.saturating_add(now.saturating_duration_since(self.now));
        }
        self.now = self.now.max(now);
    }

    /// Takes which waits are on.
    pub(crate) fn turn(&mut self, phase: impl Fn(Timer) -> Phase) {
        for (timer, mark) in Timer::ALL.into_iter().zip(&mut self.since) {
            *mark = match phase(timer) {
                Phase::Off => None,
                Phase::On => Some(mark.unwrap_or(self.now)),
                Phase::Renewed => Some(self.now),
            };
        }
    }

    /// A new body, which nobody has waited for.
    pub(crate) fn body_begins(&mut self) {
        self.body_wait = Duration::ZERO;
    }

    /// The first wait that has lasted too long.
    pub(crate) fn due(&self, timeouts: &Timeouts, body_bytes: u64) -> Option<Timer> {
        Timer::ALL
            .into_iter()
            .find(|&timer| self.deadline_of(timer, timeouts, body_bytes).is_some_and(|deadline| deadline <= self.now))
    }

    /// When the first of them will have.
    pub(crate) fn deadline(&self, timeouts: &Timeouts, body_bytes: u64) -> Option<Instant> {
        Timer::ALL.into_iter().filter_map(|timer| self.deadline_of(timer, timeouts, body_bytes)).min()
    }

    /// Whether it is the body's rate, not its silence, that is too low.
    pub(crate) fn rate_is_due(&self, timeouts: &Timeouts, body_bytes: u64) -> bool {
        self.rate_deadline(timeouts, body_bytes).is_some_and(|deadline| deadline <= self.now)
    }

    fn mark(&self, timer: Timer) -> Option<Instant> {
        Timer::ALL.into_iter().zip(self.since).find_map(|(each, mark)| if each == timer { mark } else { None })
    }

    fn deadline_of(&self, timer: Timer, timeouts: &Timeouts, body_bytes: u64) -> Option<Instant> {
        let mark = self.mark(timer)?;
        match timer {
            Timer::Idle => mark.checked_add(timeouts.idle),
            Timer::Head => mark.checked_add(timeouts.head),
            Timer::Body => {
                let silence = mark.checked_add(timeouts.body);
                let rate = self.rate_deadline(timeouts, body_bytes);
                silence.into_iter().chain(rate).min()
            }
            Timer::Write => mark.checked_add(timeouts.write),
            Timer::LingerQuiet => mark.checked_add(timeouts.linger_quiet),
            Timer::Linger => mark.checked_add(timeouts.linger),
            Timer::Shutdown => mark.checked_add(timeouts.shutdown),
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
        self.now.checked_add(enough_until.saturating_sub(self.body_wait))
    }
}
