//! RFC 9112 §6.3 as pure functions: where a request's body ends, and where a response's does.

use crate::config::MAX_LENGTH;
use crate::error::{Limit, ProtocolError};
use crate::syntax;

/// The version of a request.
///
/// # Examples
/// ```
/// assert_eq!(sansgi::Version::Http11.as_str(), "1.1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
}

impl Version {
    /// As ASGI's `http_version` has it.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(sansgi::Version::Http10.as_str(), "1.0");
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
        }
    }
}

/// How a request's body is delimited. There is no "until the connection closes": "If this is a request message and none
/// of the above are true, then the message body length is zero" (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestBody {
    Length(u64),
    Chunked,
}

impl Default for RequestBody {
    /// None.
    fn default() -> Self {
        Self::Length(0)
    }
}

/// What the lines of a field say that may come once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Once<T> {
    /// There is none.
    #[default]
    Absent,
    Is(T),
    /// There are two, or what the one says is not valid.
    Wrong,
}

impl<T: Copy> Once<T> {
    /// Takes one more line, which is `None` where it is not valid.
    pub(crate) fn add(&mut self, value: Option<T>) {
        *self = match (&self, value) {
            (Self::Absent, Some(value)) => Self::Is(value),
            (Self::Absent | Self::Is(_) | Self::Wrong, _) => Self::Wrong,
        };
    }

    /// What it says, if there is one; `error` if it is wrong.
    pub(crate) fn valid_or<E>(self, error: E) -> Result<Option<T>, E> {
        match self {
            Self::Absent => Ok(None),
            Self::Is(value) => Ok(Some(value)),
            Self::Wrong => Err(error),
        }
    }
}

/// The body of a request. The method has no say in it (CL.0 smuggling).
pub(crate) fn request_body(
    version: Version,
    content_length: Once<u64>,
    transfer_encoding: Once<Coding>,
    max_body_bytes: u64,
) -> Result<RequestBody, ProtocolError> {
    // RFC 9112 §6.3 lets us accept a list of equal numbers; we do not, since others take the first or the last.
    let length = content_length.valid_or(ProtocolError::ContentLength)?;
    let coding = match transfer_encoding.valid_or(ProtocolError::TransferEncoding)? {
        // "A server or client that receives an HTTP/1.0 message containing a Transfer-Encoding header field MUST treat
        // the message as if the framing is faulty" (RFC 9112 §6.1).
        Some(_) if version == Version::Http10 => return Err(ProtocolError::TransferEncoding),
        coding => coding,
    };
    match (length, coding) {
        // "A server MAY reject a request that contains both Content-Length and Transfer-Encoding" (RFC 9112 §6.1). We
        // do: a proxy that believes the other field would see another request here.
        (Some(_), Some(_)) => Err(ProtocolError::ContentLengthAndTransferEncoding),
        // "A server that receives a request message with a transfer coding it does not understand SHOULD respond with
        // 501" (RFC 9112 §6.1).
        (None, Some(Coding::Unsupported)) => Err(ProtocolError::TransferCoding),
        (None, Some(Coding::Chunked)) => Ok(RequestBody::Chunked),
        (Some(length), None) if length > max_body_bytes.min(MAX_LENGTH) => {
            Err(ProtocolError::LimitExceeded { limit: Limit::BodyBytes, max: max_body_bytes })
        }
        (Some(length), None) => Ok(RequestBody::Length(length)),
        (None, None) => Ok(RequestBody::Length(0)),
    }
}

/// The transfer coding of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Chunked,
    Unsupported,
}

/// `chunked` alone, or a list of two or more codings that ends with it and has it nowhere else.
#[inline(never)] // few requests have one
pub(crate) fn transfer_coding(value: &[u8]) -> Option<Coding> {
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    if is_chunked(value) {
        return Some(Coding::Chunked);
    }
    let mut codings = value.split(|&byte| byte == b',').map(syntax::trim_ows);
    let last = codings.next_back().unwrap_or_default();
    let mut others = codings.peekable();
    let is_list = others.peek().is_some()
        && is_chunked(last)
        && others.all(|coding| syntax::is_token(coding) && !is_chunked(coding));
    is_list.then_some(Coding::Unsupported)
}

/// How a response's body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ResponseBody {
    /// There is none, whatever the application sends.
    None,
    Length(u64),
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

/// The methods that decide how their responses end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum AskedBy {
    Head,
    Connect,
    Other,
}

impl AskedBy {
    /// Whether a response of this status ends HTTP on its connection.
    pub(crate) fn switches(self, status: u16) -> bool {
        status == 101 || self == Self::Connect && (200..=299).contains(&status)
    }

    /// Whether the application's `content-length` stays in a response of this status.
    pub(crate) fn keeps_length(self, status: u16) -> bool {
        match status {
            // "A server MUST NOT send any Transfer-Encoding or Content-Length header fields in a 2xx (Successful)
            // response to CONNECT" (RFC 9110 §9.3.6).
            200..=299 if self == Self::Connect => false,
            // "A server MUST NOT send a Content-Length header field in any response with a status code of 1xx
            // (Informational) or 204 (No Content)" (RFC 9110 §8.6). That of a 205 is ours.
            100..=199 | 204 | 205 => false,
            _ => true,
        }
    }
}

/// The body of a final response.
pub(crate) fn response_body(
    version: Version,
    asked_by: AskedBy,
    status: u16,
    content_length: Option<u64>,
) -> ResponseBody {
    match status {
        // "Any 2xx (Successful) response to a CONNECT request implies that the connection will become a tunnel" (RFC
        // 9112 §6.3).
        200..=299 if asked_by == AskedBy::Connect => ResponseBody::None,
        100..=199 | 204 | 205 | 304 => ResponseBody::None,
        // "The HEAD method is identical to GET except that the server MUST NOT send content in the response" (RFC 9110
        // §9.3.2). What a GET would have had is the application's to say; none is invented.
        _ if asked_by == AskedBy::Head => ResponseBody::None,
        _ => match (content_length, version) {
            (Some(length), _) => ResponseBody::Length(length),
            (None, Version::Http11) => ResponseBody::Chunked,
            // "A server MUST NOT send a response containing Transfer-Encoding unless the corresponding request
            // indicates HTTP/1.1 (or later minor revisions)" (RFC 9112 §6.1).
            (None, Version::Http10) => ResponseBody::UntilClose,
        },
    }
}
