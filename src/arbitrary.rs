//! Generators for those who embed the crate and fuzz their own server with it (feature `arbitrary`): configurations, the
//! bytes of requests, the events of an application, and lists of public calls in any order.
//!
//! All of it is made from a fuzzer's bytes by the crate [`arbitrary`](https://docs.rs/arbitrary), mostly from what is
//! valid, with some that nearly is: random bytes alone would never come behind a request line. A few bytes of input are
//! enough for a call or a request, so that a fuzzer which changes one of them changes one thing. What a given input
//! becomes may change with any version of this crate.
//!
//! Unlike elsewhere in this crate `Debug` shows everything, bodies too: all of it was made up.
//!
//! # Examples
//! Whatever is called, and in whatever order, each `Start` has one `Disconnect`, before the next:
//! ```
//! use sansgi::arbitrary::{Answer, Arbitrary, Calls, Caller, Unstructured};
//! use sansgi::{Action, Config, Connection};
//!
//! fn check(data: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//!     let mut input = Unstructured::new(data);
//!     let mut conn = Connection::new(Config::arbitrary(&mut input)?);
//!     let Calls(calls) = Calls::arbitrary(&mut input)?;
//!     let mut caller = Caller::default();
//!     let mut open = None;
//!     for call in &calls {
//!         match call.apply(&mut conn, &mut caller) {
//!             Answer::Action(Action::Start(id, _)) => assert_eq!(open.replace(id), None, "{calls:?}"),
//!             Answer::Action(Action::Disconnect(id)) => assert_eq!(open.take(), Some(id), "{calls:?}"),
//!             _ => {}
//!         }
//!     }
//!     Ok(())
//! }
//! # for seed in 0..64_u32 {
//! # let data: Vec<u8> = (0..99_u32).map(|n| ((seed * 99 + n).wrapping_mul(2_654_435_761) >> 13) as u8).collect();
//! # check(&data)?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::AddAssign as _;
use core::task::Poll;
use core::time::Duration;

pub use arbitrary::{Arbitrary, Unstructured};
use arbitrary::{Error, Result};
use bytes::{Bytes, BytesMut};

use crate::action::Action;
use crate::config::{Config, EarlyResponse, HalfClose, Limits, Timeouts};
use crate::connection::Connection;
use crate::date::Date;
use crate::error::SendError;
use crate::exchange::{ExchangeId, ReceiveEvent, SendEvent};
use crate::state::Outcome;
use crate::time::Instant;

/// A public call, with what it is given.
///
/// # Examples
/// ```
/// use sansgi::arbitrary::{Answer, Call, Caller, OwnedSendEvent, Whose};
/// use sansgi::{Config, Connection, SendError};
/// let call = Call::Send(Whose::Newest, OwnedSendEvent::ResponseBody { body: "hi".into(), more_body: false });
/// let answer = call.apply(&mut Connection::new(Config::default()), &mut Caller::default());
/// assert_eq!(answer, Answer::Sent(Err(SendError::Complete))); // there is no exchange yet
/// assert_eq!(format!("{call:?}"), r#"Send(Newest, ResponseBody { body: b"hi", more_body: false })"#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// [`Connection::handle_bytes`].
    Bytes(Bytes),
    /// [`Connection::read_buffer`]: the buffer is with a kernel, and becomes that of the next `Read`. One that was there
    /// already is lost.
    Lend,
    /// [`Connection::handle_read`] with these bytes in the lent buffer, or in one that is lent for it.
    Read(Bytes),
    /// [`Connection::handle_read`] with a buffer of the caller's own.
    ReadOwn(Bytes),
    /// [`Connection::handle_eof`].
    Eof,
    /// [`Connection::handle_written`].
    Written(usize),
    /// [`Connection::take_outgoing`].
    TakeOutgoing,
    /// [`Connection::handle_disconnect`].
    Disconnect,
    /// [`Connection::handle_transfer_failed`].
    TransferFailed,
    /// [`Connection::handle_shutdown`].
    Shutdown,
    /// [`Connection::set_date`], in Unix seconds.
    Date(u64),
    /// [`Connection::next_action`].
    NextAction {
        /// How much time has passed since the last one.
        later: Duration,
    },
    /// [`Exchange::receive`](crate::Exchange::receive).
    Receive(Whose),
    /// [`Exchange::ready`](crate::Exchange::ready).
    Ready(Whose),
    /// [`Exchange::send`](crate::Exchange::send).
    Send(Whose, OwnedSendEvent),
    /// [`Exchange::end`](crate::Exchange::end).
    End(Whose),
}

/// Which exchange a call of the application is about.
///
/// # Examples
/// ```
/// use sansgi::arbitrary::Whose;
/// assert_ne!(Whose::Newest, Whose::Older);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    /// The one that was started last.
    Newest,
    /// The one before it, which is over.
    Older,
    /// One that was never started.
    NeverIssued,
}

/// What a call gave.
///
/// # Examples
/// ```
/// use sansgi::arbitrary::{Answer, Call, Caller};
/// use sansgi::{Config, Connection};
/// let mut conn = Connection::new(Config::default());
/// assert_eq!(Call::Eof.apply(&mut conn, &mut Caller::default()), Answer::Nothing);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// The call has no answer.
    Nothing,
    /// Of `NextAction`.
    Action(Action),
    /// Of `TakeOutgoing`.
    Taken(Option<Bytes>),
    /// Of `Receive`.
    Received(Poll<ReceiveEvent>),
    /// Of `Ready`.
    Ready(Poll<core::result::Result<(), SendError>>),
    /// Of `Send`.
    Sent(core::result::Result<(), SendError>),
    /// Of `End`.
    Ended(Outcome),
}

/// What a caller keeps from one call to the next: the time, the ids, a buffer that is with a kernel.
///
/// # Examples
/// ```
/// use sansgi::arbitrary::{Call, Caller};
/// use sansgi::{Config, Connection, Instant};
/// let mut conn = Connection::new(Config::default());
/// let mut caller = Caller::default();
/// let _ = Call::NextAction { later: core::time::Duration::from_nanos(5) }.apply(&mut conn, &mut caller);
/// assert_eq!(caller.now(), Instant::from_nanos(5));
/// assert_eq!(caller.id(sansgi::arbitrary::Whose::Older).as_u64(), 0); // nothing was started
/// ```
#[derive(Clone, Debug, Default)]
pub struct Caller {
    now: Instant,
    newest: u64,
    lent: Option<BytesMut>,
}

impl Caller {
    /// The time of the last `NextAction`.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The id that a call names; one that was never issued where there is none yet.
    pub fn id(&self, whose: Whose) -> ExchangeId {
        ExchangeId(match whose {
            Whose::Newest => self.newest,
            Whose::Older => self.newest.saturating_sub(1),
            Whose::NeverIssued => u64::MAX,
        })
    }
}

impl Call {
    /// Makes the call.
    ///
    /// # Examples
    /// ```
    /// use sansgi::arbitrary::{Answer, Call, Caller};
    /// use sansgi::{Action, Config, Connection};
    /// let mut conn = Connection::new(Config::default());
    /// let mut caller = Caller::default();
    /// let next = Call::NextAction { later: Default::default() };
    /// assert_eq!(Call::Bytes("GET / HTTP/1.0\r\n\r\n".into()).apply(&mut conn, &mut caller), Answer::Nothing);
    /// assert!(matches!(next.apply(&mut conn, &mut caller), Answer::Action(Action::Start(..))));
    /// ```
    pub fn apply(&self, connection: &mut Connection, caller: &mut Caller) -> Answer {
        match self {
            Self::Bytes(bytes) => connection.handle_bytes(bytes),
            Self::Lend => caller.lent = Some(connection.read_buffer()),
            Self::Read(bytes) => {
                let mut buffer = caller.lent.take().unwrap_or_else(|| connection.read_buffer());
                buffer.extend_from_slice(bytes);
                connection.handle_read(buffer);
            }
            Self::ReadOwn(bytes) => connection.handle_read(BytesMut::from(&bytes[..])),
            Self::Eof => connection.handle_eof(),
            Self::Written(count) => connection.handle_written(*count),
            Self::TakeOutgoing => return Answer::Taken(connection.take_outgoing()),
            Self::Disconnect => connection.handle_disconnect(),
            Self::TransferFailed => connection.handle_transfer_failed(),
            Self::Shutdown => connection.handle_shutdown(),
            Self::Date(seconds) => connection.set_date(Date::from_unix(*seconds)),
            Self::NextAction { later } => {
                // Saturates, as the operator does, which the lints do not know.
                caller.now.add_assign(*later);
                let action = connection.next_action(caller.now);
                if let Action::Start(id, _) = &action {
                    caller.newest = id.as_u64();
                }
                return Answer::Action(action);
            }
            Self::Receive(whose) => return Answer::Received(connection.exchange(caller.id(*whose)).receive()),
            Self::Ready(whose) => return Answer::Ready(connection.exchange(caller.id(*whose)).ready()),
            Self::Send(whose, event) => {
                let mut exchange = connection.exchange(caller.id(*whose));
                return Answer::Sent(event.lend(|event| exchange.send(event)));
            }
            Self::End(whose) => return Answer::Ended(connection.exchange(caller.id(*whose)).end()),
        }
        Answer::Nothing
    }

    /// A call; what is read comes from `stream`, which is made longer where it is too short.
    fn generate(input: &mut Unstructured<'_>, stream: &mut Bytes) -> Result<Self> {
        Ok(match input.int_in_range(0..=63_u8)? {
            0..=8 => Self::Bytes(read(input, stream)?),
            9 => Self::Bytes(raw(input)?),
            10 => Self::Lend,
            11 | 12 => Self::Read(read(input, stream)?),
            13 => Self::ReadOwn(read(input, stream)?),
            14 => Self::Eof,
            15..=20 => Self::Written(pick(input, &[usize::MAX, usize::MAX, 0, 1, 2, 5, 40, 1000])?),
            21 => Self::TakeOutgoing,
            22 => Self::Disconnect,
            23 => Self::TransferFailed,
            24 => Self::Shutdown,
            25 => Self::Date(input.arbitrary()?),
            26..=37 => Self::NextAction { later: Duration::ZERO },
            38 | 39 => Self::NextAction { later: Duration::from_nanos(pick(input, &LATER)?) },
            40..=44 => Self::Receive(Whose::Newest),
            45 => Self::Receive(input.arbitrary()?),
            46 => Self::Ready(input.arbitrary()?),
            47..=59 => Self::Send(Whose::Newest, input.arbitrary()?),
            60 | 61 => Self::Send(input.arbitrary()?, input.arbitrary()?),
            62 => Self::End(Whose::Newest),
            _ => Self::End(input.arbitrary()?),
        })
    }
}

/// Nanoseconds: none to speak of, and behind each of the usual deadlines.
const LATER: [u64; 8] = [1, 1_000_000, 1_000_000_000, 5_000_000_001, 31_000_000_000, 61_000_000_000, 1 << 40, u64::MAX];

/// The next piece of the stream.
fn read(input: &mut Unstructured<'_>, stream: &mut Bytes) -> Result<Bytes> {
    if stream.is_empty() {
        *stream = RequestBytes::arbitrary(input)?.to_bytes();
    }
    let size = pick(input, &[usize::MAX, usize::MAX, usize::MAX, 1, 2, 7, 20, 40])?;
    Ok(stream.split_to(size.min(stream.len())))
}

impl<'a> Arbitrary<'a> for Call {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        Self::generate(input, &mut Bytes::new())
    }
}

impl<'a> Arbitrary<'a> for Whose {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        pick(input, &[Self::Newest, Self::Newest, Self::Older, Self::NeverIssued])
    }
}

/// Calls in any order, as many as the input is good for. What their `Bytes` and `Read` give are the pieces of a stream of
/// requests, in order: so these are calls that come somewhere.
///
/// # Examples
/// ```
/// use sansgi::arbitrary::{Arbitrary, Call, Calls, Unstructured};
/// let Calls(calls) = Calls::arbitrary(&mut Unstructured::new(&[14, 22]))?;
/// assert_eq!(calls, [Call::Eof, Call::Disconnect]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls(pub Vec<Call>);

/// More tell no more, and cost time.
const MOST_CALLS: usize = 256;

impl<'a> Arbitrary<'a> for Calls {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let mut stream = Bytes::new();
        let mut calls = Vec::new();
        while !input.is_empty() && calls.len() < MOST_CALLS {
            calls.push(Call::generate(input, &mut stream)?);
        }
        Ok(Self(calls))
    }
}

/// An event of an application that owns its headers; [`lend`](Self::lend) makes a [`SendEvent`] of it.
///
/// # Examples
/// ```
/// use sansgi::SendEvent;
/// use sansgi::arbitrary::{Arbitrary, OwnedSendEvent, Unstructured};
/// let start = OwnedSendEvent::ResponseStart {
///     status: 200,
///     headers: vec![("content-length".into(), "5".into())],
///     trailers: false,
/// };
/// let expected = SendEvent::ResponseStart { status: 200, headers: &[(b"content-length", b"5")], trailers: false };
/// assert!(start.lend(|event| event == expected));
/// let any = OwnedSendEvent::arbitrary(&mut Unstructured::new(b"any bytes"))?;
/// # let _ = any;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of `SendEvent`, and are described there")]
pub enum OwnedSendEvent {
    /// [`SendEvent::ResponseStart`].
    ResponseStart { status: u16, headers: Vec<(Bytes, Bytes)>, trailers: bool },
    /// [`SendEvent::ResponseBody`].
    ResponseBody { body: Bytes, more_body: bool },
    /// [`SendEvent::ResponsePart`].
    ResponsePart { token: u64, len: u64, more_body: bool },
    /// [`SendEvent::ResponseTrailers`].
    ResponseTrailers { headers: Vec<(Bytes, Bytes)>, more_trailers: bool },
    /// [`SendEvent::Informational`].
    Informational { status: u16, headers: Vec<(Bytes, Bytes)> },
}

impl OwnedSendEvent {
    /// Lends the event to what takes it.
    ///
    /// # Examples
    /// ```
    /// # use sansgi::{Action, Config, Connection, Instant};
    /// use sansgi::arbitrary::OwnedSendEvent;
    /// # let mut conn = Connection::new(Config::default());
    /// # conn.handle_bytes(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    /// # let Action::Start(id, _) = conn.next_action(Instant::ZERO) else { unreachable!() };
    /// let hint = OwnedSendEvent::Informational { status: 103, headers: vec![("link".into(), "</a>".into())] };
    /// hint.lend(|event| conn.exchange(id).send(event))?;
    /// # Ok::<(), sansgi::SendError>(())
    /// ```
    pub fn lend<T>(&self, take: impl FnOnce(SendEvent<'_>) -> T) -> T {
        match self {
            Self::ResponseStart { status, headers, trailers } => {
                take(SendEvent::ResponseStart { status: *status, headers: &pairs(headers), trailers: *trailers })
            }
            Self::ResponseBody { body, more_body } => {
                take(SendEvent::ResponseBody { body: body.clone(), more_body: *more_body })
            }
            Self::ResponsePart { token, len, more_body } => {
                take(SendEvent::ResponsePart { token: *token, len: *len, more_body: *more_body })
            }
            Self::ResponseTrailers { headers, more_trailers } => {
                take(SendEvent::ResponseTrailers { headers: &pairs(headers), more_trailers: *more_trailers })
            }
            Self::Informational { status, headers } => {
                take(SendEvent::Informational { status: *status, headers: &pairs(headers) })
            }
        }
    }
}

fn pairs(headers: &[(Bytes, Bytes)]) -> Vec<(&[u8], &[u8])> {
    headers.iter().map(|(name, value)| (&name[..], &value[..])).collect()
}

impl<'a> Arbitrary<'a> for OwnedSendEvent {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match input.int_in_range(0..=15_u8)? {
            0..=4 => Self::ResponseStart {
                status: status(input)?,
                headers: headers(input)?,
                trailers: input.ratio(1_u8, 8)?,
            },
            5..=10 => Self::ResponseBody { body: filler(input, b'b')?, more_body: input.arbitrary()? },
            11 | 12 => Self::ResponsePart {
                token: input.arbitrary::<u8>()?.into(),
                len: pick(input, &[0, 1, 5, 30, 2000, 1 << 40, u64::MAX])?,
                more_body: input.arbitrary()?,
            },
            13 | 14 => Self::ResponseTrailers { headers: headers(input)?, more_trailers: input.arbitrary()? },
            _ => Self::Informational { status: status(input)?, headers: headers(input)? },
        })
    }
}

fn status(input: &mut Unstructured<'_>) -> Result<u16> {
    match pick(input, &[200, 200, 200, 204, 205, 304, 404, 500, 101, 103, 100, 199, 600, 0, u16::MAX])? {
        u16::MAX => input.arbitrary(),
        status => Ok(status),
    }
}

fn headers(input: &mut Unstructured<'_>) -> Result<Vec<(Bytes, Bytes)>> {
    const NAMES: [&str; 11] = [
        "content-length",
        "x-tag",
        "connection",
        "Content-Type",
        "upgrade",
        "date",
        "transfer-encoding",
        "trailer",
        "set-cookie",
        "bad name",
        "",
    ];
    const VALUES: [&str; 12] = [
        "5",
        "a",
        "0",
        "close",
        "keep-alive",
        "websocket",
        "upgrade, x",
        "chunked",
        "",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        " a",
        "a\r\nx: y",
    ];
    let count = pick(input, &[0, 0, 0, 1, 1, 1, 2, 5])?;
    (0..count).map(|_| Ok((text(input, &NAMES)?, text(input, &VALUES)?))).collect()
}

/// A request as a client sends it: valid, or nearly.
///
/// # Examples
/// ```
/// use sansgi::arbitrary::{Arbitrary, RequestBytes, Unstructured};
/// use sansgi::{Action, Config, Connection, Instant};
/// let request = RequestBytes::arbitrary(&mut Unstructured::new(&[]))?;
/// assert_eq!(request.head, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
/// let mut conn = Connection::new(Config::default());
/// conn.handle_bytes(&request.to_bytes());
/// assert!(matches!(conn.next_action(Instant::ZERO), Action::Start(..)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestBytes {
    /// The request line and the fields, with the empty line.
    pub head: Bytes,
    /// The content in its framing, and what is behind it.
    pub body: Bytes,
}

impl RequestBytes {
    /// Both, one behind the other.
    ///
    /// # Examples
    /// ```
    /// use sansgi::arbitrary::RequestBytes;
    /// let request = RequestBytes { head: "PUT / HTTP/1.0\r\ncontent-length: 2\r\n\r\n".into(), body: "hi".into() };
    /// assert_eq!(request.to_bytes(), "PUT / HTTP/1.0\r\ncontent-length: 2\r\n\r\nhi");
    /// ```
    pub fn to_bytes(&self) -> Bytes {
        [&self.head[..], &self.body[..]].concat().into()
    }
}

impl<'a> Arbitrary<'a> for RequestBytes {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        const LINES: [&str; 16] = [
            "GET / HTTP/1.1",
            "GET / HTTP/1.1",
            "POST /a?b=c HTTP/1.1",
            "POST / HTTP/1.1",
            "HEAD / HTTP/1.1",
            "GET / HTTP/1.0",
            "PUT /%zz HTTP/1.0",
            "OPTIONS * HTTP/1.1",
            "GET http://b/c?d HTTP/1.1",
            "CONNECT b:80 HTTP/1.1",
            "M-SEARCH / HTTP/1.1",
            "get / HTTP/1.1",
            "\r\nGET / HTTP/1.1",
            "GET / HTTP/1.2",
            "PRI * HTTP/2.0",
            "GET /#a HTTP/1.1",
        ];
        const FIELDS: [&str; 16] = [
            "connection: close",
            "connection: keep-alive",
            "connection: upgrade\r\nupgrade: websocket",
            "expect: 100-continue",
            "te: trailers",
            "Cookie: a=b",
            "x-empty:",
            "x-tag: caf\u{e9}",
            "accept: \t*/* \t",
            "content-length: 1",
            "transfer-encoding: gzip, chunked",
            "host: b",
            "expect: a",
            "connection: x y",
            "name : value",
            " folded",
        ];
        let mut head = Vec::new();
        push(&mut head, &[pick(input, &LINES)?, "\r\nhost: a\r\n"]);
        for _ in 0..pick(input, &[0, 0, 0, 0, 1, 1, 2, 4])? {
            push(&mut head, &[pick(input, &FIELDS)?, "\r\n"]);
        }
        let mut body = Vec::new();
        match input.int_in_range(0..=3_u8)? {
            0 | 1 => {}
            2 => {
                body.extend_from_slice(&filler(input, b'a')?);
                push(&mut head, &["content-length: ", &format!("{}", body.len()), "\r\n"]);
            }
            _ => {
                push(&mut head, &["transfer-encoding: chunked\r\n"]);
                push_chunks(input, &mut body)?;
            }
        }
        push(&mut head, &["\r\n"]);
        spoil(input, &mut head)?;
        spoil(input, &mut body)?;
        Ok(Self { head: head.into(), body: body.into() })
    }
}

fn push(bytes: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        bytes.extend_from_slice(part.as_bytes());
    }
}

fn push_chunks(input: &mut Unstructured<'_>, body: &mut Vec<u8>) -> Result<()> {
    for _ in 0..pick(input, &[1, 0, 1, 2, 5])? {
        let content = filler(input, b'a')?;
        if !content.is_empty() {
            let extension = pick(input, &["", "", "", ";a", " ; a = \"b\\\"\"", ";"])?;
            push(body, &[&format!("{:x}", content.len()), extension, "\r\n"]);
            body.extend_from_slice(&content);
            push(body, &["\r\n"]);
        }
    }
    let trailers = pick(input, &["", "", "x-sum: 7\r\n", "cookie: a\r\n", "host: b\r\n", "x\r\n"])?;
    push(body, &["0\r\n", trailers, "\r\n"]);
    Ok(())
}

/// One of the faults that clients and attackers make; mostly none.
fn spoil(input: &mut Unstructured<'_>, bytes: &mut Vec<u8>) -> Result<()> {
    let (removed, put): (usize, &[u8]) = match input.int_in_range(0..=31_u8)? {
        0..=24 => return Ok(()),
        25 => (1, b""),
        26 => (1, b"\r"),
        27 => (1, b"\n"),
        28 => (0, b"\x00"),
        29 => (0, b" "),
        30 => (0, b"\r\n"),
        _ => (usize::MAX, b""),
    };
    let at = input.arbitrary::<u16>()?.into();
    let rest = bytes.split_off(bytes.len().min(at));
    bytes.extend_from_slice(put);
    bytes.extend(rest.into_iter().skip(removed));
    Ok(())
}

impl<'a> Arbitrary<'a> for Limits {
    /// The defaults, and small ones, which are reached.
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let limits = Self::default();
        if input.ratio(1_u8, 2)? {
            return Ok(limits);
        }
        let mut few = |default: usize| pick(input, &[default, default, 0, 1, 2, 16, 64, 300]);
        let limits = limits
            .max_head_bytes(few(32 * 1024)?)
            .max_target_bytes(few(8 * 1024)?)
            .max_method_bytes(few(32)?)
            .max_fields(few(100)?)
            .max_chunk_line_bytes(few(256)?)
            .max_chunk_extension_bytes(count(few(16 * 1024)?))
            .max_trailer_bytes(few(8 * 1024)?)
            .drain_budget_bytes(count(few(64 * 1024)?))
            // A connection with a buffer of no size is refused.
            .read_buffer_bytes(few(16 * 1024)?.max(1))
            .high_water_bytes(few(64 * 1024)?.max(1));
        let limits = limits.max_body_bytes(pick(input, &[None, None, Some(0), Some(1), Some(16), Some(u64::MAX)])?);
        Ok(limits.max_requests(pick(input, &[None, None, Some(0), Some(1), Some(2), Some(u64::MAX)])?))
    }
}

impl<'a> Arbitrary<'a> for Timeouts {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        const SECOND: Duration = Duration::from_secs(1);
        const MINUTE: Duration = Duration::from_secs(60);
        let timeouts = Self::default();
        if input.ratio(1_u8, 2)? {
            return Ok(timeouts);
        }
        let mut time = || pick(input, &[SECOND, MINUTE, Duration::ZERO, Duration::from_nanos(1), Duration::MAX]);
        let timeouts = timeouts
            .idle(time()?)
            .head(time()?)
            .body(time()?)
            .write(time()?)
            .linger(time()?, time()?)
            .shutdown(time()?);
        let rate_after = time()?;
        Ok(timeouts.body_rate(pick(input, &[128, 0, 1, u64::MAX])?, rate_after))
    }
}

impl<'a> Arbitrary<'a> for HalfClose {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        pick(input, &[Self::Disconnect, Self::Ignore])
    }
}

impl<'a> Arbitrary<'a> for EarlyResponse {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        pick(input, &[Self::Drain, Self::Close])
    }
}

impl<'a> Arbitrary<'a> for Config {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let builder = Self::builder().limits(input.arbitrary()?).timeouts(input.arbitrary()?);
        let builder =
            builder.half_close(input.arbitrary()?).early_response(input.arbitrary()?).connect(input.arbitrary()?);
        let builder = if input.arbitrary()? { builder.default_header("server", "a") } else { builder };
        builder.build().map_err(|_| Error::IncorrectFormat)
    }
}

fn pick<T: Copy>(input: &mut Unstructured<'_>, choices: &[T]) -> Result<T> {
    input.choose(choices).copied()
}

/// One of these texts, or else some of the input as it is.
fn text(input: &mut Unstructured<'_>, choices: &[&'static str]) -> Result<Bytes> {
    match choices.get(input.choose_index(choices.len().saturating_add(1))?) {
        Some(text) => Ok(Bytes::from_static(text.as_bytes())),
        None => raw(input),
    }
}

fn raw(input: &mut Unstructured<'_>) -> Result<Bytes> {
    let size = input.int_in_range(0..=15_usize)?.min(input.len());
    input.bytes(size).map(Bytes::copy_from_slice)
}

/// Content, of which only the length matters: some is put together with what is around it, some is not.
fn filler(input: &mut Unstructured<'_>, byte: u8) -> Result<Bytes> {
    Ok(vec![byte; pick(input, &[5, 0, 1, 2, 30, 300, 2000])?].into())
}

fn count(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}
