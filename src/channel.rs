//! The waker part, once, for every async driver: a connection that tasks share.
//!
//! No I/O, no runtime and no executor of its own: wakers are all it knows. It costs an [`Arc`] for the connection, a
//! [`Mutex`], which is held for one call of the connection and never across an `await`, and a list with one waker for
//! each future that waits. There is no lock-free path and none for a single thread: see [`Channel`] for what that
//! costs.
//!
//! Three rules of wakers that are easy to break:
//! - Wakers are woken and dropped once the lock is free: either may run any code, a task that locks this one included.
//!   They are cloned under it, which every executor does by counting.
//! - Who is pending is on the list, with the waker of its last poll, and who is ready or dropped is not.
//! - All are woken who can go on, not one: a future that was woken may be dropped instead of polled.

mod shared;

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::{Arc, Mutex};

pub use self::shared::ConnectionGuard;
use self::shared::{Key, Shared, Side, Wanted};
use crate::connection::Connection;
use crate::error::SendError;
use crate::exchange::{Exchange, ExchangeId, ReceiveEvent, SendEvent};
use crate::headers::Headers;
use crate::state::Outcome;

/// The driver's side: the connection behind a lock, and one future to wait on. Dropping it tells the connection that
/// the transport is gone, so no task waits for ever.
///
/// # Examples
/// A driver's loop, for any runtime; what it waits for is the runtime's: the socket, as `read` and `write` say, and a
/// timer for the deadline, if there is one.
/// ```
/// # use sansgi::{Action, Clock, Config, Connection, Driver, Wait, ExchangeId, Request, Channel};
/// # async fn socket_or_deadline(_: Wait) -> std::io::Result<()> { Ok(()) }
/// # fn spawn(_: Request, _: Channel) {}
/// # async fn either<T>(a: impl Future<Output = T>, b: impl Future<Output = ()>) {}
/// async fn drive(clock: Clock) {
///     let mut driver = Driver::new(Connection::new(Config::default()));
///     loop {
///         let action = driver.lock().next_action(clock.now());
///         match action {
///             Action::Start(id, request) => spawn(request, driver.channel(id)),
///             Action::Wait(wait) => either(socket_or_deadline(wait), driver.changed()).await,
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
        Self(Arc::new(Mutex::new(Shared::new(connection))))
    }

    /// The connection, for a call or a few. When the guard is dropped, the tasks are woken that can go on. Do not hold
    /// it across an `await`, nor for long: the tasks of other threads wait for the lock. Neither use nor drop a channel
    /// of it meanwhile, or a future of one: that would wait for itself for ever.
    ///
    /// # Examples
    /// ```
    /// # use sansgi::{Config, Connection, Driver};
    /// let mut driver = Driver::new(Connection::new(Config::default()));
    /// driver.lock().handle_bytes(b"GET / HT");
    /// ```
    pub fn lock(&mut self) -> ConnectionGuard<'_> {
        ConnectionGuard::new(&self.0, Side::Driver)
    }

    /// Waits until a task has changed something since [`next_action`](ConnectionGuard::next_action) was last asked:
    /// time to ask it again. It does not matter what the driver has locked the connection for in between, and nothing
    /// is lost when the future is dropped. It is not ready twice for the same change.
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
        shared::poll_changed(&self.0, context)
    }

    /// The application's side of an exchange.
    ///
    /// # Examples
    /// See [`Channel`].
    pub fn channel(&self, id: ExchangeId) -> Channel {
        Channel::new(&self.0, id)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.lock().handle_disconnect();
        // Channels may outlive it for long.
        shared::forget_driver(&self.0);
    }
}

/// The application's side of an exchange: ASGI's `receive` and `send`, for any task of any executor. Clone it for as
/// many tasks as you like: a reader, a writer and a listener for the disconnect may wait at once. Of several that
/// wait for the same thing, all are woken. A part of the body goes to one of them: which one is the executor's choice.
///
/// The connection drops the bytes of a body under its lock. So if they have an owner
/// ([`Bytes::from_owner`](bytes::Bytes::from_owner)), its `drop` must not use a channel of this connection: it would
/// wait for itself for ever.
///
/// A channel may outlive its exchange, and then says `Disconnect`; it may outlive the [`Driver`] too, and then keeps
/// the memory of the connection.
///
/// # Cost
/// So that a channel is `Send` and `Sync`, each call takes a lock that all channels of the connection and its driver
/// share: some 20 ns where nobody else holds it. A future that waits has a place of 40 bytes on a list, and there a
/// clone of its waker; one that is ready at once has neither.
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
#[derive(Debug)]
pub struct Channel {
    shared: Arc<Mutex<Shared>>,
    id: ExchangeId,
    /// On the list, while `poll_receive` is pending.
    receiver: Option<Key>,
    /// On the list, while `poll_ready` is pending.
    sender: Option<Key>,
}

impl Channel {
    fn new(shared: &Arc<Mutex<Shared>>, id: ExchangeId) -> Self {
        Self { shared: Arc::clone(shared), id, receiver: None, sender: None }
    }

    /// Which exchange it is.
    ///
    /// # Examples
    /// See [`ExchangeId`].
    pub fn id(&self) -> ExchangeId {
        self.id
    }

    /// The next part of the body, or `Disconnect`: [`Exchange::receive`](crate::Exchange::receive) as a future. When it
    /// is dropped nothing is lost: a part is taken when the future is ready, not before. What it has asked for stays
    /// asked, so the body's timer goes on: to wait for the disconnect alone there is
    /// [`disconnected`](Self::disconnected). A dropped future wakes nobody, so a `poll` function asks
    /// [`poll_receive`](Self::poll_receive).
    ///
    /// # Examples
    /// See [`Channel`].
    #[must_use = "futures do nothing unless polled"]
    pub fn receive(&self) -> impl Future<Output = ReceiveEvent> + Send + Unpin {
        Receive(Place { channel: self, key: None })
    }

    /// Waits until less than the high-water mark is unwritten, and then sends:
    /// [`Exchange::send`](crate::Exchange::send) as a future. When it is dropped before it is ready, nothing was sent;
    /// when it is ready, all was.
    ///
    /// # Errors
    /// As [`Exchange::send`](crate::Exchange::send).
    ///
    /// # Examples
    /// See [`Channel`].
    #[must_use = "futures do nothing unless polled"]
    pub fn send<'a>(&'a self, event: SendEvent<'a>) -> impl Future<Output = Result<(), SendError>> + Send + Unpin {
        Sending { place: Place { channel: self, key: None }, event: Some(event) }
    }

    /// [`receive`](Self::receive) as a `poll` function, for those who implement one themselves, such as that of a
    /// stream or of a body. The task that polled last is woken, as long as this channel is not dropped: so keep one
    /// for it, and clone one for each other task.
    ///
    /// # Examples
    /// ```
    /// # use std::task::{Context, Poll};
    /// use sansgi::{Channel, ReceiveEvent};
    /// # use bytes::Bytes;
    /// struct Body {
    ///     channel: Channel,
    ///     has_ended: bool,
    /// }
    /// impl Body {
    ///     fn poll_part(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
    ///         if self.has_ended {
    ///             return Poll::Ready(None);
    ///         }
    ///         self.channel.poll_receive(context).map(|event| match event {
    ///             ReceiveEvent::Request { body, more_body } => {
    ///                 self.has_ended = !more_body;
    ///                 Some(body)
    ///             }
    ///             ReceiveEvent::Disconnect => None, // of a real body: an error, as it was cut
    ///         })
    ///     }
    /// }
    /// ```
    pub fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<ReceiveEvent> {
        let Self { shared, id, receiver, .. } = self;
        shared::poll(shared, *id, receiver, Wanted::Event, context, |mut exchange| exchange.receive())
    }

    /// Whether less than the high-water mark is unwritten, [`Exchange::ready`](crate::Exchange::ready), as a `poll`
    /// function: once it is ready, [`send_now`](Self::send_now) does what [`send`](Self::send) would. The task that
    /// polled last is woken, as with [`poll_receive`](Self::poll_receive).
    ///
    /// # Errors
    /// As [`Exchange::ready`](crate::Exchange::ready).
    ///
    /// # Examples
    /// ```
    /// # use std::task::{Context, Poll, ready};
    /// # use sansgi::{Channel, SendError, SendEvent};
    /// # use bytes::Bytes;
    /// fn poll_write(channel: &mut Channel, context: &mut Context<'_>, body: Bytes) -> Poll<Result<(), SendError>> {
    ///     ready!(channel.poll_ready(context))?;
    ///     Poll::Ready(channel.send_now(SendEvent::ResponseBody { body, more_body: true }))
    /// }
    /// ```
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let Self { shared, id, sender, .. } = self;
        shared::poll(shared, *id, sender, Wanted::Room, context, |mut exchange| exchange.ready())
    }

    /// Waits until [`receive`](Self::receive) would say `Disconnect`, and says why, without asking for anything: it
    /// takes no part of the body, sends no 100 Continue and starts no timer. For a task that works for this client and
    /// is to stop when nobody waits for its result.
    ///
    /// A transport that is gone is seen at once. A client that only closes its half is not noticed before its whole
    /// request was received, also where it has no content. With [`HalfClose::Abort`](crate::HalfClose::Abort) one
    /// without content need not be received; with [`HalfClose::Ignore`](crate::HalfClose::Ignore) it is never noticed.
    /// So receive the body first.
    ///
    /// # Examples
    /// ```
    /// # use std::task::{Context, Poll, Waker};
    /// # use sansgi::{Config, Connection, Driver, Action, Instant};
    /// use sansgi::Outcome;
    /// # let mut driver = Driver::new(Connection::new(Config::default()));
    /// # driver.lock().handle_bytes(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    /// # let Action::Start(id, _) = driver.lock().next_action(Instant::ZERO) else { unreachable!() };
    /// let channel = driver.channel(id);
    /// let mut disconnected = std::pin::pin!(channel.disconnected());
    /// # let mut context = Context::from_waker(Waker::noop());
    /// assert!(disconnected.as_mut().poll(&mut context).is_pending());
    /// driver.lock().handle_disconnect();
    /// assert_eq!(disconnected.poll(&mut context), Poll::Ready(Outcome::ClientLeft));
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub fn disconnected(&self) -> impl Future<Output = Outcome> + Send + Unpin {
        Disconnected(Place { channel: self, key: None })
    }

    /// Calls of the exchange under one lock: the others see all that they do at once, and the driver is woken once.
    ///
    /// The lock is held meanwhile. So do not wait in there, and neither use nor drop another channel of this connection
    /// or its driver: that would wait for itself for ever. A `receive` or `ready` that is pending in there wakes nobody
    /// later.
    ///
    /// # Examples
    /// A whole response, of which the driver hears when all of it is there:
    /// ```
    /// # use sansgi::{Channel, SendError, SendEvent};
    /// # use bytes::Bytes;
    /// fn respond(channel: &Channel, body: Bytes) -> Result<(), SendError> {
    ///     channel.with(|mut exchange| {
    ///         exchange.send(SendEvent::ResponseStart { status: 200, headers: &[], trailers: false })?;
    ///         exchange.send(SendEvent::ResponseBody { body, more_body: false })
    ///     })
    /// }
    /// ```
    pub fn with<T>(&self, calls: impl FnOnce(Exchange<'_>) -> T) -> T {
        calls(ConnectionGuard::new(&self.shared, Side::Application).exchange(self.id))
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
        self.with(|mut exchange| exchange.send(event))
    }

    /// [`Exchange::trailers`](crate::Exchange::trailers).
    ///
    /// # Examples
    /// See [`Exchange::trailers`](crate::Exchange::trailers).
    pub fn trailers(&self) -> Option<Headers> {
        self.with(|exchange| exchange.trailers().cloned())
    }

    /// [`Exchange::outcome`](crate::Exchange::outcome).
    ///
    /// # Examples
    /// See [`Outcome`].
    pub fn outcome(&self) -> Option<Outcome> {
        self.with(|exchange| exchange.outcome())
    }

    /// [`Exchange::end`](crate::Exchange::end): the application has returned or crashed.
    ///
    /// # Examples
    /// See [`Exchange::end`](crate::Exchange::end).
    pub fn end(&self) -> Outcome {
        self.with(|mut exchange| exchange.end())
    }

    /// A guard that calls [`end`](Self::end) when it is dropped: when the application returns, panics or is cancelled.
    /// It does not catch a panic: that is the executor's to do, or a `catch_unwind`'s around the task.
    ///
    /// # Examples
    /// See [`Channel`].
    pub fn end_on_drop(&self) -> EndOnDrop {
        EndOnDrop(self.clone())
    }
}

/// Another channel of the same exchange, on which nobody waits yet.
impl Clone for Channel {
    fn clone(&self) -> Self {
        Self::new(&self.shared, self.id)
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        shared::leave(&self.shared, &mut self.receiver);
        shared::leave(&self.shared, &mut self.sender);
    }
}

/// Which exchange it is, for a log.
impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exchange {}", self.id)
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

/// Of a future: where it is on the list of those who wait, if it is. Dropped, it is no longer.
struct Place<'a> {
    channel: &'a Channel,
    key: Option<Key>,
}

impl Place<'_> {
    fn poll<T>(&mut self, wanted: Wanted, context: &Context<'_>, ask: impl FnOnce(Exchange<'_>) -> Poll<T>) -> Poll<T> {
        shared::poll(&self.channel.shared, self.channel.id, &mut self.key, wanted, context, ask)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        shared::leave(&self.channel.shared, &mut self.key);
    }
}

/// The future of [`Channel::receive`].
struct Receive<'a>(Place<'a>);

impl Future for Receive<'_> {
    type Output = ReceiveEvent;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<ReceiveEvent> {
        self.0.poll(Wanted::Event, context, |mut exchange| exchange.receive())
    }
}

/// The future of [`Channel::disconnected`].
struct Disconnected<'a>(Place<'a>);

impl Future for Disconnected<'_> {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        self.0.poll(Wanted::End, context, |exchange| exchange.outcome().map_or(Poll::Pending, Poll::Ready))
    }
}

/// The future of [`Channel::send`].
struct Sending<'a> {
    place: Place<'a>,
    /// Until it was sent.
    event: Option<SendEvent<'a>>,
}

impl Future for Sending<'_> {
    type Output = Result<(), SendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { place, event } = &mut *self;
        place.poll(Wanted::Room, context, |mut exchange| {
            exchange.ready().map(|ready| {
                ready?;
                debug_assert!(event.is_some(), "a future is not polled once it is ready");
                event.take().map_or(Ok(()), |event| exchange.send(event))
            })
        })
    }
}
