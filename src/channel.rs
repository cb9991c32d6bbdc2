//! The waker part, once, for every async driver: a connection that tasks share.
//!
//! No I/O, no runtime and no executor of its own: wakers are all it knows. It costs a [`Mutex`], which is held for one
//! call of the connection and never across an `await`, and a list with one waker for each task that waits.

use core::fmt;
use core::future::Future;
use core::ops::{Deref, DerefMut};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use crate::connection::{Connection, Stamp};
use crate::error::SendError;
use crate::exchange::{ExchangeId, ReceiveEvent, SendEvent};
use crate::headers::Headers;
use crate::state::Outcome;

#[derive(Debug)]
struct Shared {
    connection: Connection,
    /// Something changed since the driver last looked.
    has_changed: bool,
    driver: Option<Waker>,
    waiting: Vec<(Key, Waker)>,
    next_key: Key,
}

/// Names a future that waits, so that it leaves nothing behind when it is dropped.
type Key = u64;

impl Shared {
    fn wait(&mut self, key: &mut Option<Key>, waker: &Waker) {
        let key = *key.get_or_insert_with(|| {
            self.next_key = self.next_key.wrapping_add(1);
            self.next_key
        });
        match self.waiting.iter_mut().find(|(waiting, _)| *waiting == key) {
            Some((_, known)) => known.clone_from(waker),
            None => self.waiting.push((key, waker.clone())),
        }
    }
}

/// The driver's side: the connection behind a lock, and one future to wait on. Dropping it tells the connection that the
/// transport is gone, so no task waits for ever.
///
/// # Examples
/// A driver's loop, for any runtime; what it waits for is the runtime's:
/// ```
/// # use sansgi::{Action, Clock, Config, Connection, Driver, Wait, ExchangeId, Request, Channel};
/// # async fn socket(_: Wait) -> std::io::Result<()> { Ok(()) }
/// # fn spawn(_: Request, _: Channel) {}
/// # async fn either<T>(a: impl Future<Output = T>, b: impl Future<Output = ()>) {}
/// async fn drive(clock: Clock) {
///     let mut driver = Driver::new(Connection::new(Config::default()));
///     loop {
///         let action = driver.lock().next_action(clock.now());
///         match action {
///             Action::Start(id, request) => spawn(request, driver.channel(id)),
///             Action::Wait(wait) => either(socket(wait), driver.changed()).await,
///             Action::Close { .. } => break,
///             _ => {} // Shutdown, Transfer, Switch
///         }
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Driver(Arc<Mutex<Shared>>);

impl Driver {
    /// Shares the connection.
    ///
    /// # Examples
    /// See [`Driver`].
    pub fn new(connection: Connection) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            connection,
            has_changed: false,
            driver: None,
            waiting: Vec::new(),
            next_key: 0,
        })))
    }

    /// The connection, for a call or a few. When the guard is dropped, all tasks are woken for which something may have
    /// changed. Do not hold it across an `await`.
    ///
    /// # Examples
    /// ```
    /// # use sansgi::{Config, Connection, Driver};
    /// let mut driver = Driver::new(Connection::new(Config::default()));
    /// driver.lock().handle_bytes(b"GET / HT");
    /// ```
    pub fn lock(&mut self) -> ConnectionGuard<'_> {
        let mut guard = ConnectionGuard::new(&self.0, Side::Driver);
        guard.shared.has_changed = false;
        guard
    }

    /// Waits until a task has changed something since the last [`lock`](Self::lock): time to ask
    /// [`Connection::next_action`] again. Nothing is lost when the future is dropped.
    ///
    /// # Examples
    /// See [`Driver`].
    pub fn changed(&mut self) -> impl Future<Output = ()> + Send {
        core::future::poll_fn(|context| self.poll_changed(context))
    }

    /// As [`changed`](Self::changed), for a driver that is written as a `poll` function.
    ///
    /// # Examples
    /// ```
    /// # use std::task::{Context, Poll, Waker};
    /// # use sansgi::{Config, Connection, Driver};
    /// let mut driver = Driver::new(Connection::new(Config::default()));
    /// assert_eq!(driver.poll_changed(&mut Context::from_waker(Waker::noop())), Poll::Pending);
    /// ```
    pub fn poll_changed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut shared = lock(&self.0);
        if shared.has_changed {
            return Poll::Ready(());
        }
        shared.driver = Some(context.waker().clone());
        Poll::Pending
    }

    /// The application's side of an exchange.
    ///
    /// # Examples
    /// See [`Channel`].
    pub fn channel(&self, id: ExchangeId) -> Channel {
        Channel { shared: Arc::clone(&self.0), id }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.lock().handle_disconnect();
    }
}

/// The application's side of an exchange: ASGI's `receive` and `send`, for any task of any executor. Clone it for as many
/// tasks as you like: a reader, a writer and a listener for the disconnect may wait at once.
///
/// # Examples
/// ```
/// # use sansgi::{Action, Config, Connection, Driver, Instant};
/// use sansgi::{Channel, ReceiveEvent, SendError, SendEvent};
///
/// async fn echo(channel: Channel) -> Result<(), SendError> {
///     let _ending = channel.end_on_drop(); // also when this is cancelled, or panics
///     channel.send(SendEvent::ResponseStart { status: 200, headers: &[], trailers: false }).await?;
///     while let ReceiveEvent::Request { body, more_body } = channel.receive().await {
///         channel.send(SendEvent::ResponseBody { body, more_body }).await?;
///         if !more_body {
///             break;
///         }
///     }
///     assert_eq!(channel.receive().await, ReceiveEvent::Disconnect);
///     Ok(())
/// }
/// # let mut driver = Driver::new(Connection::new(Config::default()));
/// # driver.lock().handle_bytes(b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi");
/// # let Action::Start(id, _) = driver.lock().next_action(Instant::ZERO) else { unreachable!() };
/// # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// # assert!(std::pin::pin!(echo(driver.channel(id))).poll(&mut context).is_ready());
/// ```
#[derive(Clone, Debug)]
pub struct Channel {
    shared: Arc<Mutex<Shared>>,
    id: ExchangeId,
}

impl Channel {
    /// Which exchange it is.
    ///
    /// # Examples
    /// See [`ExchangeId`].
    pub fn id(&self) -> ExchangeId {
        self.id
    }

    /// The next part of the body, or `Disconnect`: [`Exchange::receive`](crate::Exchange::receive) as a future. When it
    /// is dropped nothing is lost: a part is taken when the future is ready, not before.
    ///
    /// # Examples
    /// See [`Channel`].
    #[must_use = "futures do nothing unless polled"]
    pub fn receive(&self) -> impl Future<Output = ReceiveEvent> + Send + Unpin {
        Receive { channel: self, key: None }
    }

    /// Waits until less than the high-water mark is unwritten, and then sends: [`Exchange::send`](crate::Exchange::send)
    /// as a future. When it is dropped before it is ready, nothing was sent; when it is ready, all was.
    ///
    /// # Errors
    /// As [`Exchange::send`](crate::Exchange::send).
    ///
    /// # Examples
    /// See [`Channel`].
    #[must_use = "futures do nothing unless polled"]
    pub fn send<'a>(&'a self, event: SendEvent<'a>) -> impl Future<Output = Result<(), SendError>> + Send + Unpin {
        Sending { channel: self, event: Some(event), key: None }
    }

    /// Sends without waiting for room, from code that is not async.
    ///
    /// # Errors
    /// As [`Exchange::send`](crate::Exchange::send).
    ///
    /// # Examples
    /// ```
    /// # use sansgi::{Config, Connection, Driver, Action, Instant, SendEvent};
    /// # let mut driver = Driver::new(Connection::new(Config::default()));
    /// # driver.lock().handle_bytes(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    /// # let Action::Start(id, _) = driver.lock().next_action(Instant::ZERO) else { unreachable!() };
    /// let channel = driver.channel(id);
    /// channel.send_now(SendEvent::ResponseStart { status: 200, headers: &[], trailers: false })?;
    /// # Ok::<(), sansgi::SendError>(())
    /// ```
    pub fn send_now(&self, event: SendEvent<'_>) -> Result<(), SendError> {
        self.lock().exchange(self.id).send(event)
    }

    /// [`Exchange::trailers`](crate::Exchange::trailers).
    ///
    /// # Examples
    /// See [`Exchange::trailers`](crate::Exchange::trailers).
    pub fn trailers(&self) -> Option<Headers> {
        self.lock().exchange(self.id).trailers().cloned()
    }

    /// [`Exchange::outcome`](crate::Exchange::outcome).
    ///
    /// # Examples
    /// See [`Outcome`].
    pub fn outcome(&self) -> Option<Outcome> {
        self.lock().exchange(self.id).outcome()
    }

    /// [`Exchange::end`](crate::Exchange::end): the application has returned or crashed.
    ///
    /// # Examples
    /// See [`Exchange::end`](crate::Exchange::end).
    pub fn end(&self) -> Outcome {
        self.lock().exchange(self.id).end()
    }

    /// A guard that calls [`end`](Self::end) when it is dropped: when the application returns, panics or is cancelled.
    ///
    /// # Examples
    /// See [`Channel`].
    pub fn end_on_drop(&self) -> EndOnDrop {
        EndOnDrop(self.clone())
    }

    fn lock(&self) -> ConnectionGuard<'_> {
        ConnectionGuard::new(&self.shared, Side::Application)
    }

    fn leave(&self, key: Option<Key>) {
        if let Some(key) = key {
            lock(&self.shared).waiting.retain(|(waiting, _)| *waiting != key);
        }
    }
}

/// Ends an exchange when it is dropped. See [`Channel::end_on_drop`].
///
/// # Examples
/// See [`Channel`].
#[derive(Debug)]
#[must_use = "dropped at once, it ends the exchange at once"]
pub struct EndOnDrop(Channel);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The future of [`Channel::receive`].
struct Receive<'a> {
    channel: &'a Channel,
    key: Option<Key>,
}

impl Future for Receive<'_> {
    type Output = ReceiveEvent;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<ReceiveEvent> {
        let channel = self.channel;
        let mut guard = channel.lock();
        let answer = guard.exchange(channel.id).receive();
        if answer.is_pending() {
            guard.shared.wait(&mut self.key, context.waker());
        }
        answer
    }
}

impl Drop for Receive<'_> {
    fn drop(&mut self) {
        self.channel.leave(self.key);
    }
}

/// The future of [`Channel::send`].
struct Sending<'a> {
    channel: &'a Channel,
    /// Until it was sent.
    event: Option<SendEvent<'a>>,
    key: Option<Key>,
}

impl Future for Sending<'_> {
    type Output = Result<(), SendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let channel = self.channel;
        let mut guard = channel.lock();
        match guard.exchange(channel.id).ready() {
            Poll::Pending => {
                guard.shared.wait(&mut self.key, context.waker());
                Poll::Pending
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {
                debug_assert!(self.event.is_some(), "a future is not polled once it is ready");
                Poll::Ready(self.event.take().map_or(Ok(()), |event| guard.exchange(channel.id).send(event)))
            }
        }
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.channel.leave(self.key);
    }
}

/// Who holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Driver,
    Application,
}

/// The connection of a [`Driver`], while it is locked.
///
/// # Examples
/// See [`Driver::lock`].
#[derive(Debug)]
pub struct ConnectionGuard<'a> {
    shared: MutexGuard<'a, Shared>,
    side: Side,
    before: Stamp,
    /// Dropped after the lock, as the fields of a struct are dropped in order: a waker may run its task at once.
    woken: Woken,
}

/// Wakes when it is dropped.
#[derive(Debug, Default)]
struct Woken {
    tasks: Vec<(Key, Waker)>,
    driver: Option<Waker>,
}

impl Drop for Woken {
    fn drop(&mut self) {
        for waker in self.tasks.drain(..).map(|(_, waker)| waker).chain(self.driver.take()) {
            waker.wake();
        }
    }
}

impl<'a> ConnectionGuard<'a> {
    fn new(mutex: &'a Mutex<Shared>, side: Side) -> Self {
        let shared = lock(mutex);
        let before = shared.connection.stamp();
        Self { shared, side, before, woken: Woken::default() }
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

/// "After any call on the connection … the driver asks `next_action` again before it sleeps, and every task waiting in
/// `receive` or `ready` asks again (wake all, of every exchange)": but for calls that have changed nothing, or a `receive`
/// that waits and a driver that waits would wake each other for ever.
impl Drop for ConnectionGuard<'_> {
    fn drop(&mut self) {
        let shared = &mut *self.shared;
        if shared.connection.stamp() == self.before {
            return;
        }
        self.woken.tasks = core::mem::take(&mut shared.waiting);
        if self.side == Side::Application {
            shared.has_changed = true;
            self.woken.driver = shared.driver.take();
        }
    }
}

/// A panic elsewhere leaves the connection as it was between two calls, so it may go on.
fn lock(mutex: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says no more than the connection does.
impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exchange {}", self.id)
    }
}
