//! Generators for those who embed the crate and fuzz their own server with it (feature `arbitrary`): configurations,
//! the bytes of requests, the events of an application, and lists of public calls in any order.
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

mod values;

use alloc::vec::Vec;
use core::ops::AddAssign as _;
use core::task::Poll;
use core::time::Duration;

use arbitrary::Result;
pub use arbitrary::{Arbitrary, Unstructured};
use bytes::{Bytes, BytesMut};

pub use self::values::{OwnedSendEvent, RequestBytes};
use self::values::{pick, raw};
use crate::action::Action;
use crate::connection::Connection;
use crate::date::Date;
use crate::error::SendError;
use crate::exchange::{ExchangeId, ReceiveEvent};
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
    /// [`Connection::read_buffer`]: the buffer is with a kernel, and becomes that of the next `Read`. One that was
    /// there already is lost.
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

/// Calls in any order, as many as the input is good for. What their `Bytes` and `Read` give are the pieces of a stream
/// of requests, in order: so these are calls that come somewhere.
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
