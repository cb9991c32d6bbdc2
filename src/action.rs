//! What a driver is told.

use core::fmt;

use bytes::Bytes;

use crate::exchange::ExchangeId;
use crate::request::Request;
use crate::time::Instant;

/// What the driver does next.
///
/// # Examples
/// ```
/// use sansgi::{Action, Config, Connection, Instant};
/// let mut conn = Connection::new(Config::default());
/// let Action::Wait(wait) = conn.next_action(Instant::ZERO) else { unreachable!() };
/// assert!(wait.read && !wait.write);
/// assert_eq!(wait.deadline, Some(Instant::from_nanos(75_000_000_000))); // idle
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use = "an action is told to be acted on; some are told once"]
#[non_exhaustive]
pub enum Action {
    /// A request head arrived: run the application. Told once; exactly one `Disconnect` of the same id follows.
    Start(ExchangeId, Request),
    /// The exchange is over: nothing of it will be taken or given any more, so release what it holds. Told once. An
    /// application that still runs is not wrong: its `receive` answers
    /// [`ReceiveEvent::Disconnect`](crate::ReceiveEvent::Disconnect), which it may have heard long before.
    ///
    /// What was accepted may still be unwritten: `Transfer` still asks for its parts, and a `Switch` may follow.
    ///
    /// This does not mean that the client has left: a response that is complete ends its exchange too. If the transport
    /// is gone it is you who tells the connection, by
    /// [`Connection::handle_disconnect`](crate::Connection::handle_disconnect).
    Disconnect(ExchangeId),
    /// All before it is written: move these bytes by yourself, and report them with
    /// [`Connection::handle_written`](crate::Connection::handle_written), or with
    /// [`Connection::handle_transfer_failed`](crate::Connection::handle_transfer_failed) if they cannot be had. Told
    /// until done; keep what the token names until then, or until `Close`.
    Transfer {
        /// From [`SendEvent::ResponsePart`](crate::SendEvent::ResponsePart).
        token: u64,
        /// Bytes that are left of it.
        remaining: u64,
        /// If the socket has no room now, sleep for this as for an [`Action::Wait`], so that reading goes on meanwhile.
        /// Its `write` is true.
        wait: Wait,
    },
    /// The connection was handed over, by the exchange that was started last: the socket is yours, with the bytes that
    /// were already read. Told once, when the response that says so is written; nothing follows but an empty `Wait`.
    Switch {
        /// The value of the response's `upgrade`; empty for CONNECT.
        protocol: Bytes,
        /// Bytes behind the request: the next protocol's first.
        leftover: Bytes,
    },
    /// Shut the sending half of the socket down. Told once; lingering follows.
    Shutdown,
    /// Close the socket. Nothing follows, ever.
    Close {
        /// A response was cut: reset the connection if you can, so that its client cannot take it for whole.
        reset: bool,
    },
    /// Sleep until one of these happens. If it names none, it is the application that is waited for.
    Wait(Wait),
}

/// Of bytes that are left over only how many there are.
impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(id, request) => f.debug_tuple("Start").field(id).field(request).finish(),
            Self::Disconnect(id) => f.debug_tuple("Disconnect").field(id).finish(),
            Self::Transfer { token, remaining, wait } => f
                .debug_struct("Transfer")
                .field("token", token)
                .field("remaining", remaining)
                .field("wait", wait)
                .finish(),
            Self::Switch { protocol, leftover } => f
                .debug_struct("Switch")
                .field("protocol", protocol)
                .field("leftover", &format_args!("{} bytes", leftover.len()))
                .finish(),
            Self::Shutdown => f.write_str("Shutdown"),
            Self::Close { reset } => f.debug_struct("Close").field("reset", reset).finish(),
            Self::Wait(wait) => f.debug_tuple("Wait").field(wait).finish(),
        }
    }
}

/// What to sleep for.
///
/// # Examples
/// ```
/// use sansgi::Wait;
/// assert_eq!(Wait::default(), Wait { read: false, write: false, deadline: None });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wait {
    /// Bytes, or the end of the stream, to read.
    pub read: bool,
    /// Room to write what [`Connection::outgoing`](crate::Connection::outgoing) gives.
    pub write: bool,
    /// Ask again then. Always later than the `now` of the question.
    pub deadline: Option<Instant>,
}
