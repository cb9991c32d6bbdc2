//! Errors, sorted by whose fault it is.
//!
//! A peer's fault is a [`ProtocolError`]: the connection answers it by itself and a getter tells. A clumsy application
//! gets a [`SendError`] at the call, with nothing changed. Our own faults are `debug_assert!`s.

use thiserror::Error;

/// A limit of [`Limits`](crate::Limits) that the peer went beyond.
///
/// # Examples
/// ```
/// use sansgi::{Limit, ProtocolError};
/// let fault = ProtocolError::LimitExceeded { limit: Limit::TargetBytes, max: 8192 };
/// assert_eq!(fault.status(), 414);
/// assert_eq!(fault.to_string(), "the request target is longer than 8192 bytes");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// Bytes of a request head.
    HeadBytes,
    /// Bytes of a request method.
    MethodBytes,
    /// Bytes of a request target.
    TargetBytes,
    /// Field lines of a head.
    Fields,
    /// Field lines of a trailer section.
    TrailerFields,
    /// Bytes of a chunk's line.
    ChunkLineBytes,
    /// Bytes of all chunk extensions of a message, beyond as many as it has bytes of content.
    ChunkExtensionBytes,
    /// Bytes of a trailer section.
    TrailerBytes,
    /// Bytes of a request's content.
    BodyBytes,
}

impl Limit {
    const fn what(self) -> (&'static str, &'static str) {
        match self {
            Self::HeadBytes => ("the request head is longer than", "bytes"),
            Self::MethodBytes => ("the request method is longer than", "bytes"),
            Self::TargetBytes => ("the request target is longer than", "bytes"),
            Self::Fields => ("the request head has more than", "field lines"),
            Self::TrailerFields => ("the trailer section has more than", "field lines"),
            Self::ChunkLineBytes => ("a chunk line is longer than", "bytes"),
            Self::ChunkExtensionBytes => ("the chunk extensions exceed the content by more than", "bytes"),
            Self::TrailerBytes => ("the trailer section is longer than", "bytes"),
            Self::BodyBytes => ("the request content is longer than", "bytes"),
        }
    }
}

/// What the peer did wrong.
///
/// The connection answers with [`status`](Self::status) where no final response is out yet, and closes; a driver learns
/// of it from [`Connection::fault`](crate::Connection::fault), for its log. No variant and no message holds a byte that
/// the peer has sent, so a log or an error page cannot be injected into.
///
/// # Examples
/// ```
/// use sansgi::{Config, Connection, Instant, ProtocolError};
/// let mut conn = Connection::new(Config::default());
/// conn.handle_bytes(b"GET / HTTP/1.1\r\nContent-Length : 5\r\n\r\n"); // white space before the colon
/// let _ = conn.next_action(Instant::ZERO);
/// assert_eq!(conn.fault(), Some(ProtocolError::Field));
/// assert_eq!(conn.fault().map(ProtocolError::status), Some(400));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A line feed without a carriage return before it, in a head or a trailer section (RFC 9112 §2.2).
    #[error("a line feed without a carriage return before it")]
    BareLineFeed,
    /// The request line is not three parts, each parted by one space (RFC 9112 §3), or more than one blank line came
    /// before it.
    #[error("the request line is malformed")]
    RequestLine,
    /// The method is no token, or is `PRI` (RFC 9112 §3.1; RFC 9113 §3.4).
    #[error("the request method is malformed")]
    Method,
    /// CONNECT, which this server does not do (RFC 9110 §15.6.2).
    #[error("the CONNECT method is not enabled")]
    ConnectDisabled,
    /// The target is in none of the four forms, or in one that does not go with its method (RFC 9112 §3.2).
    #[error("the request target is malformed, or its form does not fit the method")]
    Target,
    /// What stands in its place is no version (RFC 9112 §2.3).
    #[error("the HTTP version is malformed")]
    Version,
    /// A well-formed version other than HTTP/1.0 and HTTP/1.1 (RFC 9110 §15.6.6).
    #[error("the HTTP version is neither 1.0 nor 1.1")]
    VersionNotSupported,
    /// A field line is malformed: white space before the colon, a folded line, a control character … (RFC 9112 §5).
    #[error("a field line is malformed")]
    Field,
    /// Host is missing, double or malformed (RFC 9112 §3.2).
    #[error("the Host field is missing, repeated or malformed")]
    Host,
    /// A member of Connection is no token (RFC 9110 §7.6.1).
    #[error("the Connection field is malformed")]
    Connection,
    /// Content-Length is repeated or not 1 to 19 digits (RFC 9112 §6.3).
    #[error("the Content-Length field is repeated or malformed")]
    ContentLength,
    /// Transfer-Encoding is repeated, malformed, or on HTTP/1.0 (RFC 9112 §6.1).
    #[error("the Transfer-Encoding field is repeated, malformed or on HTTP/1.0")]
    TransferEncoding,
    /// Content-Length and Transfer-Encoding in one request (RFC 9112 §6.1).
    #[error("both Content-Length and Transfer-Encoding are present")]
    ContentLengthAndTransferEncoding,
    /// A transfer coding besides `chunked` (RFC 9112 §6.1).
    #[error("a transfer coding other than chunked is not supported")]
    TransferCoding,
    /// An expectation other than `100-continue`, of a request with content and of HTTP/1.1; elsewhere it is ignored
    /// (RFC 9110 §10.1.1).
    #[error("the expectation cannot be met")]
    Expectation,
    /// A chunk's line, its size and extensions, is malformed (RFC 9112 §7.1).
    #[error("a chunk line is malformed")]
    ChunkLine,
    /// A chunk's data without the CRLF that ends it (RFC 9112 §7.1).
    #[error("a chunk does not end with CRLF")]
    ChunkEnd,
    /// A trailer section is malformed, or has a field that may not be in one (RFC 9110 §6.5.1).
    #[error("the trailer section is malformed or has a field that may not be in one")]
    Trailer,
    /// More than a limit allows.
    #[error("{} {max} {}", limit.what().0, limit.what().1)]
    LimitExceeded {
        /// Which.
        limit: Limit,
        /// How much it allows.
        max: u64,
    },
    /// The head did not come within [`Timeouts::head`](crate::Timeouts::head) (RFC 9110 §15.5.9).
    #[error("the request head did not arrive in time")]
    HeadTimeout,
    /// No content came for [`Timeouts::body`](crate::Timeouts::body).
    #[error("the request content stopped arriving")]
    BodyTimeout,
    /// Content came more slowly than [`Timeouts::body_rate`](crate::Timeouts::body_rate) asks for.
    #[error("the request content arrives too slowly")]
    BodyRate,
}

impl ProtocolError {
    pub(crate) fn exceeded(limit: Limit, max: usize) -> Self {
        Self::LimitExceeded { limit, max: u64::try_from(max).unwrap_or(u64::MAX) }
    }

    /// The status of the answer, one of 400, 408, 413, 414, 417, 431, 501 and 505 (RFC 9110 §15.5, §15.6; 431 is
    /// RFC 6585 §5).
    ///
    /// # Examples
    /// ```
    /// assert_eq!(sansgi::ProtocolError::VersionNotSupported.status(), 505);
    /// ```
    pub const fn status(self) -> u16 {
        match self {
            Self::BareLineFeed
            | Self::RequestLine
            | Self::Method
            | Self::Target
            | Self::Version
            | Self::Field
            | Self::Host
            | Self::Connection
            | Self::ContentLength
            | Self::TransferEncoding
            | Self::ContentLengthAndTransferEncoding
            | Self::ChunkLine
            | Self::ChunkEnd
            | Self::Trailer => 400,
            Self::HeadTimeout | Self::BodyTimeout | Self::BodyRate => 408,
            Self::Expectation => 417,
            Self::ConnectDisabled | Self::TransferCoding => 501,
            Self::VersionNotSupported => 505,
            Self::LimitExceeded { limit, .. } => match limit {
                Limit::BodyBytes => 413,
                Limit::TargetBytes => 414,
                Limit::HeadBytes | Limit::Fields | Limit::TrailerBytes | Limit::TrailerFields => 431,
                Limit::ChunkLineBytes | Limit::ChunkExtensionBytes => 400,
                Limit::MethodBytes => 501,
            },
        }
    }
}

/// Why an event of the application was refused. The call changed nothing: no byte is out, and a right event may follow.
///
/// # Examples
/// ```
/// use sansgi::{Misuse, SendError};
/// let refused = SendError::Misuse(Misuse::HeaderName);
/// assert_eq!(refused.to_string(), "the application broke the protocol: a header name is not a token");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The application did what it may not. A second try with a right event is possible; an application that ends
    /// instead has failed.
    #[error("the application broke the protocol: {0}")]
    Misuse(#[from] Misuse),
    /// The response is complete, or its connection was handed over, or it has failed: because the application has
    /// ended, or because the driver could not get the bytes of a part, of this response or of the one before it. ASGI
    /// asks that this be ignored.
    #[error("the response is complete")]
    Complete,
    /// The client has left, or is not waited for any more: it broke the protocol, it was too slow, or the time for a
    /// graceful shutdown was over (ASGI 2.4 raises `OSError` here).
    #[error("the client has disconnected")]
    Disconnected,
}

/// What an application may not do: the rules of ASGI's HTTP messages, and of RFC 9110 and 9112 behind them.
///
/// # Examples
/// ```
/// assert_eq!(sansgi::Misuse::BodyTooLong.to_string(), "more body than its content-length");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Misuse {
    /// A body, or trailers, before `ResponseStart`.
    #[error("the response has not been started")]
    NotStarted,
    /// A second `ResponseStart`.
    #[error("the response has already been started")]
    AlreadyStarted,
    /// A body event after the one that had `more_body: false`.
    #[error("the body has already ended")]
    BodyEnded,
    /// Trailers before the body has ended.
    #[error("trailers before the end of the body")]
    BodyNotEnded,
    /// Trailers, where the start did not declare them.
    #[error("trailers that the start of the response did not declare")]
    TrailersNotDeclared,
    /// A final status outside 200..=599, or an interim one that is not in 102..=199.
    #[error("the status is out of range")]
    Status,
    /// 101 without an `upgrade` field that names one protocol which this request offered.
    #[error("a switch to a protocol that the request did not offer")]
    UpgradeNotOffered,
    /// A 2xx response to a CONNECT whose content has not been received to its end.
    #[error("a tunnel before the end of the request's content")]
    TunnelBeforeBodyEnd,
    /// A header name that is no token (RFC 9110 §5.1).
    #[error("a header name is not a token")]
    HeaderName,
    /// A header value with a control character, or with white space at an end (RFC 9110 §5.5).
    #[error("a header value has a control character, or white space at an end")]
    HeaderValue,
    /// `content-length` or `date` more than once.
    #[error("a header that may come once is repeated")]
    HeaderRepeated,
    /// A `content-length` that is not 1 to 19 digits up to 2⁶³−1.
    #[error("the content-length is malformed")]
    ContentLength,
    /// A `connection` that is no list of tokens, or names a field that is for all recipients: `content-length`, `date`
    /// (RFC 9110 §7.6.1).
    #[error("the connection header is malformed, or names a field that is for all recipients")]
    Connection,
    /// A field that may not be in trailers (RFC 9110 §6.5.1).
    #[error("a field that may not be in trailers")]
    TrailerField,
    /// A body event that passes the `content-length`.
    #[error("more body than its content-length")]
    BodyTooLong,
    /// A last body event that leaves the body short of its `content-length`.
    #[error("less body than its content-length")]
    BodyTooShort,
}

/// Why a connection ends, or will: for a log.
///
/// # Examples
/// ```
/// use sansgi::{Action, CloseReason, Config, Connection, Instant};
/// let mut conn = Connection::new(Config::default());
/// assert_eq!(conn.close_reason(), None);
/// conn.handle_shutdown();
/// assert_eq!(conn.next_action(Instant::ZERO), Action::Close { reset: false });
/// assert_eq!(conn.close_reason(), Some(CloseReason::Shutdown));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The client closed its sending half.
    #[error("the client has closed")]
    ClientClosed,
    /// The transport is gone.
    #[error("the transport is gone")]
    ClientLeft,
    /// The client broke the protocol, or was too slow.
    #[error("the client's fault: {0}")]
    Fault(ProtocolError),
    /// No request came in time.
    #[error("no request came in time")]
    Idle,
    /// The client did not read in time.
    #[error("the client did not read in time")]
    WriteTimeout,
    /// A response was complete before its request was received, and the rest of the request is not read: there is too
    /// much of it; its `100-continue` was not answered, so nobody knows whether it comes; or the policy is
    /// [`EarlyResponse::Close`](crate::EarlyResponse::Close).
    #[error("the response came before the whole request")]
    EarlyResponse,
    /// Either side asked for it, the version or the form of the response did, or the limit of requests was reached.
    #[error("the last request was answered")]
    LastRequest,
    /// [`Connection::handle_transfer_failed`](crate::Connection::handle_transfer_failed).
    #[error("a part of the response could not be had")]
    TransferFailed,
    /// The application ended before its response was complete.
    #[error("the application has failed")]
    ApplicationFailed,
    /// [`Connection::handle_shutdown`](crate::Connection::handle_shutdown).
    #[error("shutdown")]
    Shutdown,
    /// The last exchange took longer than a shutdown may.
    #[error("the exchange outlasted the shutdown")]
    ShutdownTimeout,
    /// The connection was handed over.
    #[error("handed over to another protocol")]
    Switched,
}
