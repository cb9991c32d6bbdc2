//! The application's half: ASGI's events, and the handle through which they pass.

#![deny(clippy::wildcard_enum_match_arm)]

use core::fmt;
use core::task::Poll;

use bytes::Bytes;

use crate::connection::Connection;
use crate::error::SendError;
use crate::headers::{DebugField, Headers};
use crate::state::Outcome;

/// Names one request and its response. An id is never reused on its connection, and means nothing on another. Whoever
/// still holds it long after the exchange is over gets [`ReceiveEvent::Disconnect`] and can touch nothing else.
///
/// # Examples
/// ```
/// # use sansgi::{Action, Config, Connection, Instant};
/// let mut conn = Connection::new(Config::default());
/// conn.handle_bytes(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
/// let Action::Start(id, _) = conn.next_action(Instant::ZERO) else { unreachable!() };
/// assert_eq!(id.as_u64(), 1);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub(crate) u64);

impl ExchangeId {
    /// Counts from 1 on each connection; for logs and maps.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExchangeId({})", self.0)
    }
}

impl fmt::Display for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an application receives: ASGI's `http.request` and `http.disconnect`.
///
/// # Examples
/// ```
/// use bytes::Bytes;
/// use sansgi::ReceiveEvent;
/// let event = ReceiveEvent::Request { body: Bytes::from_static(b"secret"), more_body: false };
/// assert_eq!(format!("{event:?}"), "Request { body: 6 bytes, more_body: false }");
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use = "a part of the body is told once"]
pub enum ReceiveEvent {
    /// A part of the body. A request without one gives a single empty part with `more_body: false`.
    Request {
        /// The part; adjacent parts belong together however they were cut.
        body: Bytes,
        /// Whether another part follows. If not, the body is over, and [`Exchange::trailers`] are there. What `receive`
        /// then waits for is `Disconnect`, which comes when the response is complete or the client has left: do not ask
        /// on the way to an answer.
        more_body: bool,
    },
    /// Nothing will ever follow; [`Exchange::outcome`] says why. From now on this is the answer, at once and for ever.
    /// It may come before the exchange is over: a client that has closed its sending half is still answered.
    ///
    /// Two others have this name. By [`Action::Disconnect`](crate::Action::Disconnect) the connection tells the driver
    /// that the exchange is over; by [`Connection::handle_disconnect`](crate::Connection::handle_disconnect) the driver
    /// tells the connection that the transport is gone.
    Disconnect,
}

impl fmt::Debug for ReceiveEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request { body, more_body } => f
                .debug_struct("Request")
                .field("body", &format_args!("{} bytes", body.len()))
                .field("more_body", more_body)
                .finish(),
            Self::Disconnect => f.write_str("Disconnect"),
        }
    }
}

/// What an application sends: ASGI's `http.response.*`. Headers are borrowed: they are validated and written down at
/// once.
///
/// # Examples
/// ```
/// use sansgi::SendEvent;
/// let start = SendEvent::ResponseStart {
///     status: 200,
///     headers: &[(b"content-type", b"text/plain"), (b"set-cookie", b"id=secret")],
///     trailers: false,
/// };
/// assert_eq!(
///     format!("{start:?}"),
///     "ResponseStart { status: 200, headers: [content-type: text/plain, set-cookie: <9 bytes>], trailers: false }",
/// );
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendEvent<'a> {
    /// The head: ASGI's `http.response.start`. It is held until the first body event, so that a small response leaves
    /// in one write, and an application that crashes in between still gives a 500. A body event that is empty and has
    /// `more_body` flushes it, for a client that is to see it before there is a part. That costs a write. And a head
    /// that is out cannot say any more that the connection ends, as it may behind content that was not received: an
    /// application that will not receive it says `connection: close` itself.
    ///
    /// `content-length` and `connection` are understood, `transfer-encoding` is ignored. Without a `content-length` the
    /// body is chunked, or for an HTTP/1.0 client ended by the end of the connection.
    ResponseStart {
        /// 200..=599; or 101 with an `upgrade` that names one protocol which the request offered
        /// ([`Request::upgrades`](crate::Request::upgrades)). A 101, and a 2xx to CONNECT, complete the response: no
        /// body follows. To a 101, as to any response with an `upgrade`, the connection adds `connection: upgrade`.
        status: u16,
        /// Names in any case, values without white space at their ends. Byte string literals may stand here as they
        /// are; in a variable or a `Vec` they need the type, or the compiler finds arrays of different lengths (E0308):
        /// `let headers: &[(&[u8], &[u8])] = &[(b"content-type", b"text/plain"), (b"x", b"y")];`
        headers: &'a [(&'a [u8], &'a [u8])],
        /// Whether `ResponseTrailers` follow the body.
        trailers: bool,
    },
    /// A part of the body: ASGI's `http.response.body`.
    ResponseBody {
        /// Queued as it is, without a copy, unless it is small.
        body: Bytes,
        /// Whether another part follows.
        more_body: bool,
    },
    /// A part of the body that the driver moves by itself, such as a file: ASGI's `http.response.zerocopysend` and
    /// `http.response.pathsend`. [`Action::Transfer`](crate::Action::Transfer) tells when it is due.
    ResponsePart {
        /// What driver and application call it among themselves; it comes back in `Transfer` as it is.
        token: u64,
        /// Its length in bytes, which is a promise. If there turn out to be fewer, the driver calls
        /// [`Connection::handle_transfer_failed`](crate::Connection::handle_transfer_failed), and the response is cut.
        len: u64,
        /// Whether another part follows.
        more_body: bool,
    },
    /// Trailers, after a start that declared them: ASGI's `http.response.trailers`. They are written if the body is
    /// chunked and the client has said `te: trailers`, else dropped.
    ResponseTrailers {
        /// As in `ResponseStart`; but no field that frames, routes or authenticates a message, controls it, or says how
        /// its content is to be read (`content-type`, `content-encoding`, `content-range`): these belong in the head
        /// (RFC 9110 §6.5.1).
        headers: &'a [(&'a [u8], &'a [u8])],
        /// Whether more of them follow.
        more_trailers: bool,
    },
    /// An interim response such as 103, to an HTTP/1.1 client and before the head is out; else dropped.
    Informational {
        /// 102..=199: the connection sends 100 by itself, and 101 is a `ResponseStart`.
        status: u16,
        /// As in `ResponseStart`.
        headers: &'a [(&'a [u8], &'a [u8])],
    },
}

/// Lengths instead of bodies, and of the values of credentials and cookies.
impl fmt::Debug for SendEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Pairs<'a>(&'a [(&'a [u8], &'a [u8])]);
        impl fmt::Debug for Pairs<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.0.iter().map(|&(name, value)| DebugField { name, value })).finish()
            }
        }
        match self {
            Self::ResponseStart { status, headers, trailers } => f
                .debug_struct("ResponseStart")
                .field("status", status)
                .field("headers", &Pairs(headers))
                .field("trailers", trailers)
                .finish(),
            Self::ResponseBody { body, more_body } => f
                .debug_struct("ResponseBody")
                .field("body", &format_args!("{} bytes", body.len()))
                .field("more_body", more_body)
                .finish(),
            Self::ResponsePart { token, len, more_body } => f
                .debug_struct("ResponsePart")
                .field("token", token)
                .field("len", len)
                .field("more_body", more_body)
                .finish(),
            Self::ResponseTrailers { headers, more_trailers } => f
                .debug_struct("ResponseTrailers")
                .field("headers", &Pairs(headers))
                .field("more_trailers", more_trailers)
                .finish(),
            Self::Informational { status, headers } => {
                f.debug_struct("Informational").field("status", status).field("headers", &Pairs(headers)).finish()
            }
        }
    }
}

/// One exchange, as its application sees it. It may be asked from any task, in any order, also long after its end.
///
/// After any of these calls the driver asks [`Connection::next_action`] again before it sleeps. Unless the call was
/// pending or refused, every task that waits in `receive` or `ready` asks again too. [`Channel`](crate::Channel) sees
/// to both.
///
/// # Examples
/// ```
/// # use std::task::Poll;
/// # use sansgi::{Action, Config, Connection, Instant};
/// use sansgi::{Outcome, ReceiveEvent, SendEvent};
/// let mut conn = Connection::new(Config::default());
/// conn.handle_bytes(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
/// let Action::Start(id, _) = conn.next_action(Instant::ZERO) else { unreachable!() };
///
/// let mut exchange = conn.exchange(id);
/// assert!(matches!(exchange.receive(), Poll::Ready(ReceiveEvent::Request { more_body: false, .. })));
/// assert_eq!(exchange.receive(), Poll::Pending); // what else could come is `Disconnect`
/// exchange.send(SendEvent::ResponseStart { status: 200, headers: &[(b"content-length", b"3")], trailers: false })?;
/// exchange.send(SendEvent::ResponseBody { body: "hi\n".into(), more_body: false })?;
/// assert_eq!(exchange.receive(), Poll::Ready(ReceiveEvent::Disconnect)); // and so for ever
/// assert_eq!(exchange.end(), Outcome::Complete);
/// # Ok::<(), sansgi::SendError>(())
/// ```
#[derive(Debug)]
pub struct Exchange<'a> {
    pub(crate) connection: &'a mut Connection,
    pub(crate) id: ExchangeId,
}

impl Exchange<'_> {
    /// The next part of the body, or `Disconnect`. Asking is demand. The first call sends the 100 Continue that is due.
    /// A call that finds nothing is remembered, even if its caller gives up: until a part or `Disconnect` is there, the
    /// body is read and its timer runs.
    ///
    /// Once `Disconnect`, always `Disconnect`, at once: when the response is complete, when the client has left, broke
    /// the protocol or was too slow, and for an id whose exchange is over or never was.
    ///
    /// # Examples
    /// ```
    /// # use std::task::Poll;
    /// # use sansgi::{Action, Config, Connection, Instant, ReceiveEvent};
    /// let mut conn = Connection::new(Config::default());
    /// conn.handle_bytes(b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab");
    /// let Action::Start(id, _) = conn.next_action(Instant::ZERO) else { unreachable!() };
    /// let part = ReceiveEvent::Request { body: "ab".into(), more_body: true };
    /// assert_eq!(conn.exchange(id).receive(), Poll::Ready(part));
    /// assert_eq!(conn.exchange(id).receive(), Poll::Pending);
    /// conn.handle_bytes(b"cd");
    /// let rest = ReceiveEvent::Request { body: "cd".into(), more_body: false };
    /// assert_eq!(conn.exchange(id).receive(), Poll::Ready(rest));
    /// ```
    #[must_use = "a part of the body is told once"]
    pub fn receive(&mut self) -> Poll<ReceiveEvent> {
        self.connection.receive(self.id)
    }

    /// Whether less than the high-water mark is unwritten, the bytes of opaque parts included. Ask before
    /// [`send`](Self::send), which never refuses for want of room: an application that does not wait here queues in
    /// memory.
    ///
    /// # Errors
    /// As [`send`](Self::send), when nothing more is taken.
    ///
    /// # Examples
    /// ```
    /// # use std::task::Poll;
    /// # use sansgi::{Action, Config, Connection, Instant, Limits, SendEvent};
    /// # let config = Config::builder().limits(Limits::default().high_water_bytes(4)).build()?;
    /// # let mut conn = Connection::new(config);
    /// # conn.handle_bytes(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    /// # let Action::Start(id, _) = conn.next_action(Instant::ZERO) else { unreachable!() };
    /// let mut exchange = conn.exchange(id);
    /// exchange.send(SendEvent::ResponseStart { status: 200, headers: &[], trailers: false })?;
    /// assert_eq!(exchange.ready(), Poll::Ready(Ok(()))); // the head is held
    /// exchange.send(SendEvent::ResponseBody { body: "hello".into(), more_body: true })?;
    /// assert_eq!(exchange.ready(), Poll::Pending);
    /// conn.handle_written(usize::MAX);
    /// assert_eq!(conn.exchange(id).ready(), Poll::Ready(Ok(())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ready(&mut self) -> Poll<Result<(), SendError>> {
        self.connection.ready(self.id)
    }

    /// Takes an event of the response. What was taken is written, unless the transport is lost or the client stops
    /// reading.
    ///
    /// # Errors
    /// [`SendError::Misuse`] where the rules are broken, [`SendError::Complete`] once the response is complete or has
    /// failed, [`SendError::Disconnected`] once the client is gone, or waited for no more. A refused event changes
    /// nothing.
    ///
    /// # Examples
    /// ```
    /// # use sansgi::{Action, Config, Connection, Instant};
    /// use sansgi::{Misuse, SendError, SendEvent};
    /// # let mut conn = Connection::new(Config::default());
    /// # conn.handle_bytes(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    /// # let Action::Start(id, _) = conn.next_action(Instant::ZERO) else { unreachable!() };
    /// let mut exchange = conn.exchange(id);
    /// let split = SendEvent::ResponseStart { status: 302, headers: &[(b"location", b"/\r\nx: y")], trailers: false };
    /// assert_eq!(exchange.send(split), Err(SendError::Misuse(Misuse::HeaderValue)));
    /// ```
    #[inline] // who sends mostly knows which event it is
    pub fn send(&mut self, event: SendEvent<'_>) -> Result<(), SendError> {
        self.connection.send(self.id, event)
    }

    /// The trailers of the request, or an empty section if there are none: from when its body has been received to its
    /// end until its exchange is over, or for good where the client has left during it; else `None`. Fields that must
    /// not be trusted in trailers are left out, and none is merged into the headers.
    ///
    /// # Examples
    /// ```
    /// # use sansgi::{Action, Config, Connection, Instant};
    /// let mut conn = Connection::new(Config::default());
    /// conn.handle_bytes(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\nX-Sum: 7\r\n\r\n");
    /// let Action::Start(id, _) = conn.next_action(Instant::ZERO) else { unreachable!() };
    /// let mut exchange = conn.exchange(id);
    /// assert!(exchange.trailers().is_none());
    /// assert!(exchange.receive().is_ready());
    /// assert_eq!(exchange.trailers().and_then(|trailers| trailers.get("x-sum")), Some(&b"7"[..]));
    /// ```
    pub fn trailers(&self) -> Option<&Headers> {
        self.connection.trailers(self.id)
    }

    /// Why `receive` says `Disconnect`; `None` before it does. [`Outcome::HalfClosed`] can still become another one,
    /// which then stays. For an id older than the last one, or one of no exchange, it is [`Outcome::Complete`].
    ///
    /// An end of the stream that was just told, by [`Connection::handle_eof`], counts from the next
    /// [`receive`](Self::receive) or [`Connection::next_action`] on, not here before them.
    ///
    /// # Examples
    /// See [`Outcome`].
    pub fn outcome(&self) -> Option<Outcome> {
        self.connection.outcome(self.id)
    }

    /// The application has returned or crashed. Call this in every case, since an exchange waits for its application
    /// without a deadline. If the response is complete, nothing happens. If it is not, it becomes a 500; or, where its
    /// head is out already, it is cut: what is not whole is never ended cleanly. Background work may go on: it needs no
    /// exchange.
    ///
    /// # Examples
    /// ```
    /// # use sansgi::{Action, Config, Connection, Instant, Outcome};
    /// # let mut conn = Connection::new(Config::default());
    /// # conn.handle_bytes(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    /// # let Action::Start(id, _) = conn.next_action(Instant::ZERO) else { unreachable!() };
    /// assert_eq!(conn.exchange(id).end(), Outcome::Failed);
    /// assert!(conn.outgoing().next().is_some_and(|bytes| bytes.starts_with(b"HTTP/1.1 500 ")));
    /// ```
    pub fn end(&mut self) -> Outcome {
        self.connection.end(self.id)
    }
}
