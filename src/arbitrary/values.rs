//! What calls are made of: events, requests, configurations.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use arbitrary::{Arbitrary, Error, Result, Unstructured};
use bytes::Bytes;

use crate::config::{Config, EarlyResponse, HalfClose, Limits, Timeouts};
use crate::exchange::SendEvent;

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
        pick(input, &[Self::Disconnect, Self::Ignore, Self::Abort])
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

pub(super) fn pick<T: Copy>(input: &mut Unstructured<'_>, choices: &[T]) -> Result<T> {
    input.choose(choices).copied()
}

/// One of these texts, or else some of the input as it is.
fn text(input: &mut Unstructured<'_>, choices: &[&'static str]) -> Result<Bytes> {
    match choices.get(input.choose_index(choices.len().saturating_add(1))?) {
        Some(text) => Ok(Bytes::from_static(text.as_bytes())),
        None => raw(input),
    }
}

pub(super) fn raw(input: &mut Unstructured<'_>) -> Result<Bytes> {
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
