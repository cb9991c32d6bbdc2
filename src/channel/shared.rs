//! The connection behind its lock, and those who wait for it to change.

use core::mem;
use core::ops::{Deref, DerefMut};
use core::task::{Context, Poll, Waker};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use crate::action::Action;
use crate::connection::{Connection, Stamp};
use crate::exchange::{Exchange, ExchangeId};
use crate::time::Instant;

/// Futures that wait on one connection are few; room for more is given back when nobody waits.
const KEPT_PLACES: usize = 16;

#[derive(Debug)]
pub(super) struct Shared {
    connection: Connection,
    /// A task has changed something since the driver last asked what to do, or heard of it.
    has_changed: bool,
    driver: Option<Waker>,
    /// Ordered by key, which is by when they began to wait.
    waiting: Vec<Waiting>,
    last_key: Key,
}

/// Names a place on the list, once.
pub(super) type Key = u64;

/// A future, or a channel, that was pending when it was last polled.
#[derive(Debug)]
struct Waiting {
    key: Key,
    id: ExchangeId,
    wanted: Wanted,
    waker: Waker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Something to receive.
    Event,
    /// Less than the high-water mark unwritten.
    Room,
    /// The end of the exchange, or of its client's half.
    End,
}

impl Waiting {
    /// Whether it is worth asking again, now that something has changed, and `may_have_come` of what the peer sends.
    fn may_go_on(&self, connection: &mut Connection, may_have_come: bool) -> bool {
        let mut exchange = connection.exchange(self.id);
        match self.wanted {
            Wanted::Room => exchange.ready().is_ready(),
            // It had found nothing in what was there, so a part can only be in what the driver has brought since, and
            // behind the end of the body there is none: a listener for the disconnect sleeps through the response.
            Wanted::Event => exchange.outcome().is_some() || may_have_come && exchange.trailers().is_none(),
            Wanted::End => exchange.outcome().is_some(),
        }
    }
}

impl Shared {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, has_changed: false, driver: None, waiting: Vec::new(), last_key: 0 }
    }

    /// Puts a future on the list, or leaves it in its place there, and gives the waker back that this replaces.
    fn wait(&mut self, key: &mut Option<Key>, id: ExchangeId, wanted: Wanted, waker: &Waker) -> Option<Waker> {
        if let Some(at) = key.and_then(|key| self.place(key))
            && let Some(place) = self.waiting.get_mut(at)
        {
            return (!place.waker.will_wake(waker)).then(|| mem::replace(&mut place.waker, waker.clone()));
        }
        let waker = waker.clone();
        self.last_key = self.last_key.wrapping_add(1);
        *key = Some(self.last_key);
        self.waiting.push(Waiting { key: self.last_key, id, wanted, waker });
        None
    }

    /// Takes a future off the list, where it is not once it was woken. Its waker is to be dropped without the lock.
    fn leave(&mut self, key: &mut Option<Key>) -> Option<Waker> {
        let at = key.take().and_then(|key| self.place(key))?;
        let waker = self.waiting.remove(at).waker;
        self.shrink();
        Some(waker)
    }

    fn place(&self, key: Key) -> Option<usize> {
        self.waiting.binary_search_by_key(&key, |waiting| waiting.key).ok()
    }

    fn shrink(&mut self) {
        if self.waiting.is_empty() {
            self.waiting.shrink_to(KEPT_PLACES);
        }
    }
}

/// What `ask` answers, with a place on the list if it is pending, and without one if it is ready.
pub(super) fn poll<T>(
    shared: &Mutex<Shared>,
    id: ExchangeId,
    key: &mut Option<Key>,
    wanted: Wanted,
    context: &Context<'_>,
    ask: impl FnOnce(Exchange<'_>) -> Poll<T>,
) -> Poll<T> {
    let mut guard = ConnectionGuard::new(shared, Side::Application);
    let answer = ask(guard.exchange(id));
    let replaced = match answer {
        Poll::Pending => guard.shared.wait(key, id, wanted, context.waker()),
        Poll::Ready(_) => guard.shared.leave(key),
    };
    if replaced.is_some() {
        guard.wakers.get_or_insert_default().replaced = replaced;
    }
    answer
}

/// Whether a task has changed something since the driver asked, or the driver's waker is kept until one does.
pub(super) fn poll_changed(shared: &Mutex<Shared>, context: &Context<'_>) -> Poll<()> {
    let mut shared = lock(shared);
    if mem::take(&mut shared.has_changed) {
        return Poll::Ready(());
    }
    let known = shared.driver.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
    let replaced = if known { None } else { shared.driver.replace(context.waker().clone()) };
    drop(shared);
    drop(replaced);
    Poll::Pending
}

/// Takes the driver's waker, which may be all that keeps the memory of its task.
pub(super) fn forget_driver(shared: &Mutex<Shared>) {
    let waker = lock(shared).driver.take();
    drop(waker);
}

/// Takes who waits no longer off the list.
pub(super) fn leave(shared: &Mutex<Shared>, key: &mut Option<Key>) {
    if key.is_some() {
        let waker = lock(shared).leave(key);
        drop(waker);
    }
}

/// Who holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Driver,
    Application,
}

/// The connection of a [`Driver`](crate::Driver), while it is locked.
///
/// # Examples
/// See [`Driver::lock`](crate::Driver::lock).
#[derive(Debug)]
#[must_use = "dropped at once, it has locked the connection for nothing"]
pub struct ConnectionGuard<'a> {
    shared: MutexGuard<'a, Shared>,
    side: Side,
    /// None: the driver has it, and nobody waits, so there is nobody to tell what changes.
    before: Option<Stamp>,
    /// None: there is nobody to wake. Dropped after the lock, as the fields of a struct are dropped in order.
    wakers: Option<Wakers>,
}

/// What is woken, and what is only dropped, once the lock is free.
#[derive(Debug, Default)]
struct Wakers {
    replaced: Option<Waker>,
    /// Mostly there is one, which needs no memory of its own.
    woken: Option<Wake>,
    more_woken: Vec<Wake>,
    driver: Option<Wake>,
}

/// Wakes when it is dropped: of several that are dropped together, the others also when one of them panics.
#[derive(Debug)]
struct Wake(Option<Waker>);

impl Drop for Wake {
    fn drop(&mut self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }
}

impl<'a> ConnectionGuard<'a> {
    pub(super) fn new(mutex: &'a Mutex<Shared>, side: Side) -> Self {
        let shared = lock(mutex);
        let before = (side == Side::Application || !shared.waiting.is_empty()).then(|| shared.connection.stamp());
        Self { shared, side, before, wakers: None }
    }

    /// Asks [`Connection::next_action`]. What the tasks have changed until now is thereby known to the driver:
    /// [`Driver::changed`](crate::Driver::changed) does not tell of it any more.
    ///
    /// # Examples
    /// See [`Driver`](crate::Driver).
    pub fn next_action(&mut self, now: Instant) -> Action {
        self.shared.has_changed = false;
        self.shared.connection.next_action(now)
    }

    /// Rule 4, for those who wait: behind a call of the application the driver asks `next_action` again, and behind a
    /// call of either side those tasks ask again that can go on. Calls that have changed nothing wake nobody, or a
    /// `receive` that waits and a driver that waits would wake each other for ever.
    #[inline(never)] // mostly nobody waits while the driver calls
    fn tell(&mut self, before: Stamp) {
        let now = self.shared.connection.stamp();
        if before == now {
            return;
        }
        let Shared { connection, has_changed, driver, waiting, .. } = &mut *self.shared;
        if self.side == Side::Application {
            *has_changed = true;
            if let Some(waker) = driver.take() {
                self.wakers.get_or_insert_default().driver = Some(Wake(Some(waker)));
            }
        }
        if waiting.is_empty() {
            return;
        }
        // Else each piece of an echo that is written would wake the task that waits for the next one.
        let may_have_come = self.side == Side::Driver && before.differs_beside_writing(now);
        let mut woken = waiting
            .extract_if(.., |waiting| waiting.may_go_on(connection, may_have_come))
            .map(|waiting| Wake(Some(waiting.waker)));
        if let Some(first) = woken.next() {
            let wakers = self.wakers.get_or_insert_default();
            wakers.woken = Some(first);
            wakers.more_woken.extend(woken);
            self.shared.shrink();
        }
    }
}

impl Deref for ConnectionGuard<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.shared.connection
    }
}

impl DerefMut for ConnectionGuard<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.shared.connection
    }
}

impl Drop for ConnectionGuard<'_> {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            self.tell(before);
        }
    }
}

/// A panic elsewhere leaves the connection as it was between two calls, so it may go on.
fn lock(mutex: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
