//! The head of a response: what the application may say in it, and how it is written.

use alloc::vec::Vec;

use crate::config::{Config, MAX_LENGTH};
use crate::error::Misuse;
use crate::headers;
use crate::outgoing::COPIED_BELOW;
use crate::syntax;

/// A header as an application sends it: name and value.
pub(crate) type Pair<'a> = (&'a [u8], &'a [u8]);

/// "A sender MUST NOT send a connection option corresponding to a field that is intended for all recipients of the
/// content" (RFC 9110 §7.6.1). A proxy removes the fields that `connection` names: without `content-length` nobody
/// knows where the response ends.
const FOR_ALL_RECIPIENTS: [&str; 2] = ["content-length", "date"];

fn is_for_all_recipients(option: &[u8]) -> bool {
    FOR_ALL_RECIPIENTS.iter().any(|field| field.as_bytes().eq_ignore_ascii_case(option))
}

/// What an application's headers say to the connection.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts of one head, not phases of anything")]
pub(crate) struct Found {
    /// Told beforehand: a `content-length` is written in its place.
    pub(crate) keeps_length: bool,
    pub(crate) content_length: Option<u64>,
    pub(crate) close: bool,
    pub(crate) has_upgrade: bool,
    pub(crate) has_date: bool,
    /// `connection` names something besides `close`.
    pub(crate) has_options: bool,
}

impl Found {
    /// Takes a `content-length`.
    fn take_length(&mut self, value: &[u8]) -> Result<(), Misuse> {
        if self.content_length.is_some() {
            return Err(Misuse::HeaderRepeated);
        }
        let length = syntax::decimal(value).filter(|&length| length <= MAX_LENGTH);
        self.content_length = Some(length.ok_or(Misuse::ContentLength)?);
        Ok(())
    }

    /// Takes another header, whose name and value are valid. True if it is written as it is; the others the connection
    /// writes.
    fn take(&mut self, name: &[u8], value: &[u8]) -> Result<bool, Misuse> {
        if syntax::is_name(name, b"connection") {
            return self.take_options(value).map(|()| false);
        }
        // "You may send a `Transfer-Encoding` header in this message, but the server must ignore it" (ASGI, on
        // `http.response.start`).
        if syntax::is_name(name, b"transfer-encoding") {
            return Ok(false);
        }
        if syntax::is_name(name, b"date") {
            if self.has_date {
                return Err(Misuse::HeaderRepeated);
            }
            self.has_date = true;
        } else if syntax::is_name(name, b"upgrade") {
            self.has_upgrade = true;
        }
        Ok(true)
    }

    #[cold] // most responses have none
    fn take_options(&mut self, value: &[u8]) -> Result<(), Misuse> {
        for option in syntax::members(value) {
            if !syntax::is_token(option) || is_for_all_recipients(option) {
                return Err(Misuse::Connection);
            }
            let is_close = option.eq_ignore_ascii_case(b"close");
            self.close |= is_close;
            self.has_options |= !is_close;
        }
        Ok(())
    }
}

/// The one validator of all field lines that an application supplies. It writes them in their order, but for those that
/// the connection writes itself, and adds what they say to `found`, which is the caller's, so that it need not be
/// moved. Where it refuses one, its caller throws away what was written before it: then nothing has happened.
pub(crate) fn write_fields(headers: &[Pair<'_>], found: &mut Found, into: &mut Vec<u8>) -> Result<(), Misuse> {
    for &(name, mut value) in headers {
        // Its name is a token and a number is a value: nobody needs to look at them for that.
        if syntax::is_name(name, b"content-length") {
            found.take_length(value)?;
            if !found.keeps_length {
                continue;
            }
            value = syntax::without_leading_zeros(value);
            into.extend_from_slice(b"content-length: ");
        } else {
            // Most responses have it: it is a token, and says nothing to the connection.
            let is_usual = name == b"content-type";
            if !is_usual && !syntax::is_token(name) {
                return Err(Misuse::HeaderName);
            }
            if !syntax::is_field_value(value) {
                return Err(Misuse::HeaderValue);
            }
            if is_usual {
                into.extend_from_slice(b"content-type: ");
            } else if found.take(name, value)? {
                into.extend_from_slice(name);
                into.extend_from_slice(b": ");
            } else {
                continue;
            }
        }
        into.extend_from_slice(value);
        into.extend_from_slice(b"\r\n");
    }
    Ok(())
}

/// Most heads with so many headers are no longer: most fields have 32 bytes at most, as status line and date have.
pub(crate) fn usual_length(headers: &[Pair<'_>]) -> usize {
    headers.len().saturating_add(2).saturating_mul(32)
}

/// About how long a response with these headers is, with its content, if it `has_content`, where that is copied behind
/// its head.
pub(crate) fn expected_length(headers: &[Pair<'_>], config: &Config, has_content: bool) -> usize {
    /// The status line, a date and the empty line.
    const OURS: usize = 64;
    let fields = headers.iter().map(|(name, value)| name.len().saturating_add(value.len()).saturating_add(4));
    let defaults = config.default_headers.iter().map(|default| default.line.len());
    let length = headers.iter().find(|(name, _)| has_content && syntax::is_name(name, b"content-length"));
    let content = length.and_then(|(_, digits)| usize::try_from(syntax::decimal(digits)?).ok());
    let copied = content.filter(|&length| length < COPIED_BELOW);
    fields.chain(defaults).chain(copied).fold(OURS, usize::saturating_add)
}

/// What of a response has to be known before its content: who may see it, how long, and where to go instead.
const CONTROLS: [&str; 7] = ["age", "date", "expires", "location", "retry-after", "vary", "www-authenticate"];

/// Trailers pass the same validator. "A sender MUST NOT generate a trailer field unless the sender knows the
/// corresponding header field name's definition permits" it (RFC 9110 §6.5.1): none that would not be taken from a
/// client either, and none that controls a response.
pub(crate) fn write_trailers(headers: &[Pair<'_>], into: &mut Vec<u8>) -> Result<(), Misuse> {
    for header @ &(name, _) in headers {
        if headers::is_refused_in_trailers(name)
            || headers::is_dropped_from_trailers(name)
            || CONTROLS.iter().any(|control| control.as_bytes().eq_ignore_ascii_case(name))
        {
            return Err(Misuse::TrailerField);
        }
        // Each by itself: a repeated one is none that could not be.
        write_fields(core::slice::from_ref(header), &mut Found::default(), into)?;
    }
    Ok(())
}

/// `status-line = HTTP-version SP status-code SP [ reason-phrase ] CRLF` (RFC 9112 §4). Ours is the version of the
/// server, not of the request (RFC 9110 §6.2).
#[inline]
pub(crate) fn write_status_line(status: u16, into: &mut Vec<u8>) {
    const OK: &[u8] = match registered_status_line(200) {
        Some(line) => line.as_bytes(),
        None => b"",
    };
    // Known with its length, it is copied without a call.
    if status == 200 {
        into.extend_from_slice(OK);
    } else {
        write_other_status_line(status, into);
    }
}

#[cold] // most responses are a 200
fn write_other_status_line(status: u16, into: &mut Vec<u8>) {
    match registered_status_line(status) {
        Some(line) => into.extend_from_slice(line.as_bytes()),
        None => write_line_without_reason(status, into),
    }
}

/// "A server MUST send the space that separates the status-code from the reason-phrase even when the reason-phrase is
/// absent" (RFC 9112 §4).
#[cold] // most statuses are registered
fn write_line_without_reason(status: u16, into: &mut Vec<u8>) {
    let digits =
        [status / 100, status / 10, status].map(|number| b'0'.wrapping_add(u8::try_from(number % 10).unwrap_or(0)));
    into.extend_from_slice(b"HTTP/1.1 ");
    into.extend_from_slice(&digits);
    into.extend_from_slice(b" \r\n");
}

/// The options of all the application's `connection` lines, in one line that is left open for ours: true if it is.
///
/// Whether the connection is kept is ours to say. But "when a field aside from Connection is used to supply control
/// information for or about the current connection, the sender MUST list the corresponding field name" (RFC 9110
/// §7.6.1): so `keep-alive` is written where it names a field.
pub(crate) fn write_options(headers: &[Pair<'_>], into: &mut Vec<u8>) -> bool {
    let lines = |wanted: &'static [u8]| headers.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(wanted));
    let keep_alive = &b"keep-alive"[..];
    let names_a_field = lines(keep_alive).next().is_some();
    let is_ours = |option: &[u8]| {
        option.eq_ignore_ascii_case(b"close") || option.eq_ignore_ascii_case(keep_alive) && !names_a_field
    };
    let mut before: &[u8] = b"connection: ";
    let mut is_open = false;
    for option in lines(b"connection").flat_map(|(_, value)| syntax::members(value)).filter(|option| !is_ours(option)) {
        into.extend_from_slice(before);
        into.extend_from_slice(option);
        before = b", ";
        is_open = true;
    }
    is_open
}

macro_rules! registered_status_lines {
    ($($status:literal $reason:literal)*) => {
        /// The status lines of the IANA registry. No application supplies a reason phrase: it would be one more place
        /// to inject into.
        #[inline(never)] // it is a large table, of which one is enough
        const fn registered_status_line(status: u16) -> Option<&'static str> {
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
