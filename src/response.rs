//! The head of a response: what the application may say in it, and how it is written.

use crate::config::MAX_LENGTH;
use crate::error::Misuse;
use crate::framing::Lines;
use crate::headers::REFUSED_IN_TRAILERS;
use crate::outgoing::Put;
use crate::syntax::{self, Digits};

/// A header as an application sends it: name and value.
pub(crate) type Pair<'a> = (&'a [u8], &'a [u8]);

/// What an application's headers say to the connection.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts of one head, not phases of anything")]
pub(crate) struct Found<'a> {
    pub(crate) content_length: Option<u64>,
    pub(crate) close: bool,
    pub(crate) upgrade: Lines<'a>,
    /// `connection` names `upgrade`.
    pub(crate) names_upgrade: bool,
    pub(crate) has_date: bool,
    /// There are headers that the connection writes itself.
    has_ours: bool,
    /// `connection` names something besides `close` and `keep-alive`.
    has_options: bool,
}

/// Headers that the connection writes by itself, once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ours {
    Connection,
    ContentLength,
    TransferEncoding,
}

fn ours(name: &[u8]) -> Option<Ours> {
    if syntax::is_name(name, b"content-length") {
        Some(Ours::ContentLength)
    } else if syntax::is_name(name, b"connection") {
        Some(Ours::Connection)
    } else if syntax::is_name(name, b"transfer-encoding") {
        Some(Ours::TransferEncoding)
    } else {
        None
    }
}

fn is_kept_alive_or_closed(option: &[u8]) -> bool {
    option.eq_ignore_ascii_case(b"close") || option.eq_ignore_ascii_case(b"keep-alive")
}

/// "status, names (any case) and values are validated **before** anything latches": the one validator of all field lines
/// that an application supplies.
pub(crate) fn check<'a>(headers: &[Pair<'a>]) -> Result<Found<'a>, Misuse> {
    let mut found = Found::default();
    for &(name, value) in headers {
        if !syntax::is_token(name) {
            return Err(Misuse::HeaderName);
        }
        if !syntax::is_field_value(value) {
            return Err(Misuse::HeaderValue);
        }
        match ours(name) {
            Some(Ours::Connection) => {
                for option in syntax::members(value) {
                    if !syntax::is_token(option) {
                        return Err(Misuse::Connection);
                    }
                    found.close |= option.eq_ignore_ascii_case(b"close");
                    found.names_upgrade |= option.eq_ignore_ascii_case(b"upgrade");
                    found.has_options |= !is_kept_alive_or_closed(option);
                }
                found.has_ours = true;
            }
            Some(Ours::ContentLength) => {
                if found.content_length.is_some() {
                    return Err(Misuse::HeaderRepeated);
                }
                let length = syntax::decimal(value).filter(|&length| length <= MAX_LENGTH);
                found.content_length = Some(length.ok_or(Misuse::ContentLength)?);
                found.has_ours = true;
            }
            // ASGI: "Transfer-Encoding … headers sent by the application MUST be ignored".
            Some(Ours::TransferEncoding) => found.has_ours = true,
            None if syntax::is_name(name, b"date") => {
                if found.has_date {
                    return Err(Misuse::HeaderRepeated);
                }
                found.has_date = true;
            }
            None if syntax::is_name(name, b"upgrade") => found.upgrade.add(value),
            None => {}
        }
    }
    Ok(found)
}

/// Trailers pass the same validator, and may hold nothing that belongs into a head (RFC 9110 §6.5.1).
pub(crate) fn check_trailers(headers: &[Pair<'_>]) -> Result<(), Misuse> {
    let is_refused = |name: &[u8]| {
        name.eq_ignore_ascii_case(b"connection")
            || REFUSED_IN_TRAILERS.iter().any(|refused| refused.as_bytes().eq_ignore_ascii_case(name))
    };
    for &(name, value) in headers {
        if is_refused(name) {
            return Err(Misuse::TrailerField);
        }
        check(&[(name, value)])?;
    }
    Ok(())
}

/// `status-line = HTTP-version SP status-code SP [ reason-phrase ] CRLF` (RFC 9112 §4). Ours is the version of the
/// server, not of the request (RFC 9110 §6.2).
pub(crate) fn write_status_line(status: u16, into: &mut impl Put) {
    if let Some(line) = registered_status_line(status) {
        into.put(line.as_bytes());
    } else {
        // "the reason-phrase … A client SHOULD ignore" it; it may be empty, the space before it may not be left out.
        into.put(b"HTTP/1.1 ");
        into.put(Digits::decimal(status.into()).as_bytes());
        into.put(b" \r\n");
    }
}

/// `field-line = field-name ":" OWS field-value OWS` and CRLF (RFC 9112 §5).
pub(crate) fn write_field(name: &[u8], value: &[u8], into: &mut impl Put) {
    into.put(name);
    into.put(b": ");
    into.put(value);
    into.put(b"\r\n");
}

/// The application's headers, but for those that the connection writes.
pub(crate) fn write_fields(headers: &[Pair<'_>], found: Found<'_>, into: &mut impl Put) {
    for &(name, value) in headers {
        if !found.has_ours || ours(name).is_none() {
            write_field(name, value, into);
        }
    }
}

/// The options of all the application's `connection` lines, in one line that is left open for ours: true if it is.
pub(crate) fn write_options(headers: &[Pair<'_>], found: Found<'_>, into: &mut impl Put) -> bool {
    if !found.has_options {
        return false;
    }
    let lines = headers.iter().filter(|(name, _)| ours(name) == Some(Ours::Connection));
    let options = lines.flat_map(|(_, value)| syntax::members(value)).filter(|option| !is_kept_alive_or_closed(option));
    let mut before: &[u8] = b"connection: ";
    for option in options {
        into.put(before);
        into.put(option);
        before = b", ";
    }
    true
}

macro_rules! registered_status_lines {
    ($($status:literal $reason:literal)*) => {
        /// The status lines of the IANA registry. No application supplies a reason phrase: it would be one more place to
        /// inject into.
        fn registered_status_line(status: u16) -> Option<&'static str> {
            match status {
                $($status => Some(concat!("HTTP/1.1 ", $status, " ", $reason, "\r\n")),)*
                _ => None,
            }
        }
    };
}

registered_status_lines! {
    100 "Continue"
    101 "Switching Protocols"
    102 "Processing"
    103 "Early Hints"
    200 "OK"
    201 "Created"
    202 "Accepted"
    203 "Non-Authoritative Information"
    204 "No Content"
    205 "Reset Content"
    206 "Partial Content"
    207 "Multi-Status"
    208 "Already Reported"
    226 "IM Used"
    300 "Multiple Choices"
    301 "Moved Permanently"
    302 "Found"
    303 "See Other"
    304 "Not Modified"
    305 "Use Proxy"
    307 "Temporary Redirect"
    308 "Permanent Redirect"
    400 "Bad Request"
    401 "Unauthorized"
    402 "Payment Required"
    403 "Forbidden"
    404 "Not Found"
    405 "Method Not Allowed"
    406 "Not Acceptable"
    407 "Proxy Authentication Required"
    408 "Request Timeout"
    409 "Conflict"
    410 "Gone"
    411 "Length Required"
    412 "Precondition Failed"
    413 "Content Too Large"
    414 "URI Too Long"
    415 "Unsupported Media Type"
    416 "Range Not Satisfiable"
    417 "Expectation Failed"
    421 "Misdirected Request"
    422 "Unprocessable Content"
    423 "Locked"
    424 "Failed Dependency"
    425 "Too Early"
    426 "Upgrade Required"
    428 "Precondition Required"
    429 "Too Many Requests"
    431 "Request Header Fields Too Large"
    451 "Unavailable For Legal Reasons"
    500 "Internal Server Error"
    501 "Not Implemented"
    502 "Bad Gateway"
    503 "Service Unavailable"
    504 "Gateway Timeout"
    505 "HTTP Version Not Supported"
    506 "Variant Also Negotiates"
    507 "Insufficient Storage"
    508 "Loop Detected"
    511 "Network Authentication Required"
}
