//! What a server may choose: limits, timeouts, policies, and the memory that follows from them.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use crate::headers::{DebugField, Headers};
use crate::spare;
use crate::syntax;
use crate::time::Nanos;

/// How much a peer may send, in bytes or in counts. Every limit is inclusive: the limit itself passes.
///
/// # Examples
/// ```
/// use sansgi::{Config, Limits};
/// # fn main() -> Result<(), sansgi::ConfigError> {
/// let limits = Limits::default().max_head_bytes(16 * 1024).max_body_bytes(Some(1 << 20));
/// let config = Config::builder().limits(limits).build()?;
/// # Ok(()) }
/// ```
/// They are a value: each call gives a changed copy, and the compiler warns where that is dropped.
/// ```compile_fail
/// # #![deny(unused_must_use)]
/// let limits = sansgi::Limits::default();
/// limits.max_head_bytes(16 * 1024); // has changed nothing
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "limits are a value: a call gives a changed copy"]
pub struct Limits {
    pub(crate) head_bytes: usize,
    pub(crate) target_bytes: usize,
    pub(crate) method_bytes: usize,
    pub(crate) fields: usize,
    pub(crate) chunk_line_bytes: usize,
    pub(crate) chunk_extension_bytes: u64,
    pub(crate) trailer_bytes: usize,
    pub(crate) body_bytes: u64,
    pub(crate) drain_budget_bytes: u64,
    pub(crate) read_buffer_bytes: usize,
    pub(crate) high_water_bytes: usize,
    pub(crate) requests: u64,
}

/// Longest content that can be declared: others count it in an `i64`, so a longer one would overflow there.
pub(crate) const MAX_LENGTH: u64 = i64::MAX.unsigned_abs();

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 32 * 1024,
            target_bytes: 8 * 1024,
            method_bytes: 32,
            fields: 100,
            chunk_line_bytes: 256,
            chunk_extension_bytes: 16 * 1024,
            trailer_bytes: 8 * 1024,
            body_bytes: MAX_LENGTH,
            drain_budget_bytes: 64 * 1024,
            read_buffer_bytes: 16 * 1024,
            high_water_bytes: 64 * 1024,
            requests: u64::MAX,
        }
    }
}

impl Limits {
    /// Longest request head in bytes, from its first byte (a skipped blank line included) to its empty line, included.
    /// Default 32 KiB: large cookies fit. Beyond it 431. A larger value than 2³²−1 counts as 2³²−1.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Limits::default().max_head_bytes(8 * 1024);
    /// ```
    pub const fn max_head_bytes(mut self, bytes: usize) -> Self {
        self.head_bytes = bytes;
        self
    }

    /// Longest request target in bytes. Default 8 KiB: RFC 9112 §3 recommends at least 8,000 octets for a request line.
    /// Beyond it 414.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Limits::default().max_target_bytes(2 * 1024);
    /// ```
    pub const fn max_target_bytes(mut self, bytes: usize) -> Self {
        self.target_bytes = bytes;
        self
    }

    /// Longest method in bytes. Default 32: the longest of the IANA registry has 17. Beyond it 501 (RFC 9112 §3).
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Limits::default().max_method_bytes(16);
    /// ```
    pub const fn max_method_bytes(mut self, bytes: usize) -> Self {
        self.method_bytes = bytes;
        self
    }

    /// Most field lines of a head, and of a trailer section. Default 100, as most servers have. Beyond it 431.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Limits::default().max_fields(50);
    /// ```
    pub const fn max_fields(mut self, count: usize) -> Self {
        self.fields = count;
        self
    }

    /// Longest line of a chunk in bytes, without its CRLF. Default 256: sixteen digits and a few extensions. Beyond it
    /// 400.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Limits::default().max_chunk_line_bytes(64);
    /// ```
    pub const fn max_chunk_line_bytes(mut self, bytes: usize) -> Self {
        self.chunk_line_bytes = bytes;
        self
    }

    /// Most bytes of chunk extensions in a message, beyond as many as it has bytes of content so far. Default 16 KiB:
    /// small extensions on a long upload pass, a flood of them does not (CVE-2023-39326). Beyond it 400.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Limits::default().max_chunk_extension_bytes(0);
    /// ```
    pub const fn max_chunk_extension_bytes(mut self, bytes: u64) -> Self {
        self.chunk_extension_bytes = bytes;
        self
    }

    /// Longest trailer section in bytes, from behind the last chunk's line to the final CRLF, included. Default 8 KiB:
    /// a checksum or a signature needs far less. Beyond it 431. A larger value than 2³²−1 counts as 2³²−1.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Limits::default().max_trailer_bytes(1024);
    /// ```
    pub const fn max_trailer_bytes(mut self, bytes: usize) -> Self {
        self.trailer_bytes = bytes;
        self
    }

    /// Longest request content in bytes; `None`, the default, leaves it to the application. Beyond it 413, before the
    /// first byte too many is received: at the end of the head, or of a chunk's line. More than 2⁶³−1 counts as that.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Limits::default().max_body_bytes(Some(10 << 20));
    /// ```
    pub const fn max_body_bytes(mut self, bytes: Option<u64>) -> Self {
        self.body_bytes = match bytes {
            Some(bytes @ ..=MAX_LENGTH) => bytes,
            Some(_) | None => MAX_LENGTH,
        };
        self
    }

    /// Most bytes of content that are read and thrown away behind an early response, to keep the connection. Default
    /// 64 KiB: about what is under way when the response leaves. Beyond it the connection is closed.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Limits::default().drain_budget_bytes(0);
    /// ```
    pub const fn drain_budget_bytes(mut self, bytes: u64) -> Self {
        self.drain_budget_bytes = bytes;
        self
    }

    /// Bytes that are read ahead of the application's demand, and the room that
    /// [`Connection::read_buffer`](crate::Connection::read_buffer) gives, which is 16 MiB at most. Default 16 KiB, a
    /// TLS record. It must not be 0.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Limits::default().read_buffer_bytes(64 * 1024);
    /// ```
    pub const fn read_buffer_bytes(mut self, bytes: usize) -> Self {
        self.read_buffer_bytes = bytes;
        self
    }

    /// When this many bytes or more are unwritten, [`Exchange::ready`](crate::Exchange::ready) is pending and no
    /// further request is started. Default 64 KiB, as asyncio's transports have. It must not be 0.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Limits::default().high_water_bytes(256 * 1024);
    /// ```
    pub const fn high_water_bytes(mut self, bytes: usize) -> Self {
        self.high_water_bytes = bytes;
        self
    }

    /// Most requests of one connection, at least one; its last response says `connection: close`. `None`, the default,
    /// is no limit.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Limits::default().max_requests(Some(1000));
    /// ```
    pub const fn max_requests(mut self, count: Option<u64>) -> Self {
        self.requests = match count {
            Some(count) => count,
            None => u64::MAX,
        };
        self
    }
}

/// How long the connection waits for its peer. No timer but that of [`shutdown`](Self::shutdown) runs while it is the
/// application that is waited for. [`Duration::MAX`] switches a timer off.
///
/// # Examples
/// ```
/// use core::time::Duration;
/// use sansgi::{Config, Timeouts};
/// # fn main() -> Result<(), sansgi::ConfigError> {
/// let config = Config::builder().timeouts(Timeouts::default().idle(Duration::from_secs(5))).build()?;
/// # Ok(()) }
/// ```
/// They are a value: each call gives a changed copy, and the compiler warns where that is dropped.
/// ```compile_fail
/// # #![deny(unused_must_use)]
/// let timeouts = sansgi::Timeouts::default();
/// timeouts.idle(core::time::Duration::from_secs(5)); // has changed nothing
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "timeouts are a value: a call gives a changed copy"]
pub struct Timeouts {
    pub(crate) idle: Nanos,
    pub(crate) head: Nanos,
    pub(crate) body: Nanos,
    pub(crate) body_bytes_per_second: u64,
    pub(crate) body_rate_after: Nanos,
    pub(crate) write: Nanos,
    pub(crate) linger_quiet: Nanos,
    pub(crate) linger: Nanos,
    pub(crate) shutdown: Nanos,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            idle: Nanos::from_secs(75),
            head: Nanos::from_secs(30),
            body: Nanos::from_secs(30),
            body_bytes_per_second: 128,
            body_rate_after: Nanos::from_secs(30),
            write: Nanos::from_secs(60),
            linger_quiet: Nanos::from_secs(5),
            linger: Nanos::from_secs(30),
            shutdown: Nanos::from_secs(30),
        }
    }
}

impl Timeouts {
    /// No byte of a request, and nothing unwritten: closed without an answer. Default 75 s, longer than a proxy's usual
    /// 60 s, so that the proxy closes first and no request is lost between.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Timeouts::default().idle(core::time::Duration::from_secs(5));
    /// ```
    pub const fn idle(mut self, time: Duration) -> Self {
        self.idle = Nanos::new(time);
        self
    }

    /// From a head's first byte to its last, however they drip: 408. Default 30 s.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Timeouts::default().head(core::time::Duration::from_secs(10));
    /// ```
    pub const fn head(mut self, time: Duration) -> Self {
        self.head = Nanos::new(time);
        self
    }

    /// No byte of content while a `receive` or the drain waits for one: 408, or a cut where the response's head is out.
    /// The lines of chunks and trailers are no content. Default 30 s.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Timeouts::default().body(core::time::Duration::from_secs(10));
    /// ```
    pub const fn body(mut self, time: Duration) -> Self {
        self.body = Nanos::new(time);
        self
    }

    /// Content that comes more slowly than `bytes_per_second`, once it was waited for `after` in all: as
    /// [`body`](Self::body). Default 128 bytes a second after 30 s; 0 bytes switch it off.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Timeouts::default().body_rate(1024, core::time::Duration::from_secs(10));
    /// ```
    pub const fn body_rate(mut self, bytes_per_second: u64, after: Duration) -> Self {
        self.body_bytes_per_second = bytes_per_second;
        self.body_rate_after = Nanos::new(after);
        self
    }

    /// How long something may be unwritten while none of it is written; then it is dropped, and the connection is
    /// reset. Default 60 s. A kernel with a large send buffer may take nothing for that long although the client reads:
    /// set `TCP_NOTSENT_LOWAT`.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Timeouts::default().write(core::time::Duration::from_secs(30));
    /// ```
    pub const fn write(mut self, time: Duration) -> Self {
        self.write = Nanos::new(time);
        self
    }

    /// After our side was shut down: the connection closes when nothing has come for `quiet`, or after `total` in any
    /// case. Default 5 s and 30 s. Until then what the client still sends is read and thrown away, since a close with
    /// unread bytes resets the connection, and the reset can overtake the response (RFC 9112 §9.6).
    ///
    /// # Examples
    /// ```
    /// use core::time::Duration;
    /// let _ = sansgi::Timeouts::default().linger(Duration::from_secs(1), Duration::from_secs(10));
    /// ```
    pub const fn linger(mut self, quiet: Duration, total: Duration) -> Self {
        self.linger_quiet = Nanos::new(quiet);
        self.linger = Nanos::new(total);
        self
    }

    /// From [`Connection::handle_shutdown`](crate::Connection::handle_shutdown) to the end of the exchange in flight;
    /// then it ends as if its application had crashed. Default 30 s. A response that is complete is still written, as
    /// long as the client reads it.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Timeouts::default().shutdown(core::time::Duration::from_secs(10));
    /// ```
    pub const fn shutdown(mut self, time: Duration) -> Self {
        self.shutdown = Nanos::new(time);
        self
    }
}

/// What it means when a client closes its sending half after a whole request.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), sansgi::ConfigError> {
/// let config = sansgi::Config::builder().half_close(sansgi::HalfClose::Ignore).build()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HalfClose {
    /// It has left, or is about to: `receive` is `Disconnect`, while the response is still taken and written. Default.
    Disconnect,
    /// It just has nothing more to say: nothing changes before the response is complete. For applications that take
    /// `Disconnect` for the end and stop sending. A client that has closed its socket is then noticed by a write that
    /// fails, and by nothing else: an application that waits before it sends may wait for nobody.
    Ignore,
    /// It has left, as uvicorn and hyper take it by default, and its exchange is over, if the response is not
    /// complete: `receive` is `Disconnect`, `send` is refused, [`Action::Disconnect`](crate::Action::Disconnect) is
    /// told at once, and the outcome is [`ClientLeft`](crate::Outcome::ClientLeft). What was accepted is written, but
    /// for a head that is held; a response whose head is out is then cut, by a reset. Requests behind it do not start.
    ///
    /// For applications that fail, or are to be cancelled, when their client leaves, and for those that wait in
    /// silence. The price: a client that closes its half and waits for its answer gets none.
    ///
    /// A body that is here to its end is received first. So an application that leaves it alone is not told; where the
    /// request has no body it is, whether it asks or not.
    Abort,
}

/// What becomes of the connection when a response is complete before its request has been received.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), sansgi::ConfigError> {
/// let config = sansgi::Config::builder().early_response(sansgi::EarlyResponse::Close).build()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EarlyResponse {
    /// The rest is read and thrown away, within [`Limits::drain_budget_bytes`], and the connection kept. Default. A
    /// request whose `100-continue` was not answered is closed all the same: nobody knows whether its content comes.
    Drain,
    /// The connection is closed.
    Close,
}

/// All that a server chooses for its connections, which share it in an `Arc`.
///
/// # Examples
/// ```
/// use sansgi::{Config, Connection};
/// # fn main() -> Result<(), sansgi::ConfigError> {
/// let config = Config::builder().default_header("server", "example").build()?;
/// let conn = Connection::new(config);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Config {
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) half_close: HalfClose,
    pub(crate) early_response: EarlyResponse,
    pub(crate) connect: bool,
    pub(crate) default_headers: Vec<DefaultHeader>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            half_close: HalfClose::Disconnect,
            early_response: EarlyResponse::Drain,
            connect: false,
            default_headers: Vec::new(),
        }
    }
}

impl Config {
    /// Most bytes of heap that a connection holds, whatever its peer sends: if the driver reads only while
    /// [`Wait::read`](crate::Wait::read) says so, at most [`Limits::read_buffer_bytes`] at a time, and the application
    /// waits for [`Exchange::ready`](crate::Exchange::ready). An idle connection holds at most 700 bytes.
    ///
    /// With `std`, a thread keeps memory that its connections have given back for the next that needs some, at most 40
    /// KiB for all of them: that comes on top.
    ///
    /// Not counted are the received parts that the application keeps, the chunks that the driver has
    /// [taken](crate::Connection::take_outgoing), and what the application sends by its own choice: its headers;
    /// what its last event has beyond the high-water mark; and up to 250 bytes for each
    /// [`SendEvent::ResponsePart`](crate::SendEvent::ResponsePart) (its place in the queue, and that of its chunk's
    /// line), of which many fit below the mark if each stands for few bytes.
    ///
    /// # Examples
    /// ```
    /// use sansgi::{Config, Limits};
    /// # fn main() -> Result<(), sansgi::ConfigError> {
    /// let small = Limits::default().max_head_bytes(4096).read_buffer_bytes(1024).high_water_bytes(4096);
    /// assert!(Config::builder().limits(small).build()?.memory_bound() < Config::default().memory_bound());
    /// # Ok(()) }
    /// ```
    pub fn memory_bound(&self) -> usize {
        let limits = &self.limits;
        let section = limits.head_bytes.max(limits.trailer_bytes);
        // What came and is not interpreted: an unfinished section or a full read buffer, and one more read. A buffer
        // that grows has twice the size it needs, and lives beside the one it replaces.
        let incoming = section.max(limits.read_buffer_bytes).saturating_add(limits.read_buffer_bytes).saturating_mul(3);
        // The head and the trailers of the request; of each its bytes, its names in lower case, its places.
        let headers = section.saturating_add(limits.fields.saturating_mul(Headers::BYTES_A_FIELD)).saturating_mul(4);
        // What is unwritten: what an echo sends back may be parts of buffers four times as large; text has memory that
        // doubles, beside that which it leaves.
        let outgoing = limits.high_water_bytes.saturating_mul(5);
        // A head as it is made, and behind what is unwritten.
        let lines = self.default_headers.iter().map(|header| header.line.len());
        let head = lines.fold(0, usize::saturating_add).saturating_mul(5);
        let all = incoming.saturating_add(headers).saturating_add(outgoing).saturating_add(head).saturating_add(4096);
        all.saturating_add(spare::MOST_BEYOND_NEED)
    }

    /// The defaults, to be changed and built.
    ///
    /// # Examples
    /// ```
    /// assert!(sansgi::Config::builder().build().is_ok());
    /// ```
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder { config: Self::default() }
    }
}

/// Of default headers that hold a secret it shows only the length.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.default_headers.iter().map(DefaultHeader::parts);
        let default_headers: Vec<_> = parts.map(|(name, value)| DebugField { name, value }).collect();
        f.debug_struct("Config")
            .field("limits", &self.limits)
            .field("timeouts", &self.timeouts)
            .field("half_close", &self.half_close)
            .field("early_response", &self.early_response)
            .field("connect", &self.connect)
            .field("default_headers", &default_headers)
            .finish()
    }
}

/// A header of every response, as it is written.
#[derive(Clone)]
pub(crate) struct DefaultHeader {
    /// Its line, CRLF included.
    pub(crate) line: Vec<u8>,
    name_length: usize,
}

impl DefaultHeader {
    fn new(name: &[u8], value: &[u8]) -> Self {
        Self { line: [name, b": ", value, b"\r\n"].concat(), name_length: name.len() }
    }

    fn parts(&self) -> (&[u8], &[u8]) {
        let (name, rest) = self.line.split_at_checked(self.name_length).unwrap_or_default();
        (name, rest.strip_prefix(b": ").and_then(|rest| rest.strip_suffix(b"\r\n")).unwrap_or_default())
    }

    pub(crate) fn name(&self) -> &[u8] {
        self.parts().0
    }
}

/// Collects a [`Config`] and checks it once, in [`build`](Self::build).
///
/// # Examples
/// ```
/// use sansgi::{Config, ConfigError};
/// let refused = Config::builder().default_header("ser ver", "x").build();
/// assert_eq!(refused.err(), Some(ConfigError::DefaultHeader));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct ConfigBuilder {
    config: Config,
}

impl ConfigBuilder {
    /// How much a peer may send.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Config::builder().limits(sansgi::Limits::default().max_fields(50));
    /// ```
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self
    }

    /// How long to wait for a peer.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Config::builder().timeouts(sansgi::Timeouts::default());
    /// ```
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.config.timeouts = timeouts;
        self
    }

    /// What a half-closed connection means.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Config::builder().half_close(sansgi::HalfClose::Ignore);
    /// ```
    pub fn half_close(mut self, policy: HalfClose) -> Self {
        self.config.half_close = policy;
        self
    }

    /// What an early response does to the connection.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Config::builder().early_response(sansgi::EarlyResponse::Close);
    /// ```
    pub fn early_response(mut self, policy: EarlyResponse) -> Self {
        self.config.early_response = policy;
        self
    }

    /// Whether CONNECT reaches the application. Default no: 501.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Config::builder().connect(true);
    /// ```
    pub fn connect(mut self, enabled: bool) -> Self {
        self.config.connect = enabled;
        self
    }

    /// A header of every response, errors and switches included, but for interim ones. It is left out where the
    /// application sends one of the same name. This may be called several times, also with one name.
    ///
    /// # Examples
    /// ```
    /// let _ = sansgi::Config::builder().default_header("server", "example");
    /// ```
    pub fn default_header(mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.config.default_headers.push(DefaultHeader::new(&name.into(), &value.into()));
        self
    }

    /// Checks it.
    ///
    /// # Errors
    /// [`ConfigError::DefaultHeader`] for a default header that would be refused from the application too, or that only
    /// the connection may write: `connection`, `content-length`, `transfer-encoding`, `date`, `upgrade`, `keep-alive`;
    /// [`ConfigError::Zero`] for a read buffer or a high-water mark of 0 bytes.
    ///
    /// # Examples
    /// ```
    /// use sansgi::{Config, ConfigError, Limits};
    /// let refused = Config::builder().limits(Limits::default().read_buffer_bytes(0)).build();
    /// assert_eq!(refused.err(), Some(ConfigError::Zero));
    /// ```
    pub fn build(self) -> Result<Config, ConfigError> {
        let mut config = self.config;
        // Positions in a head have 32 bits.
        let most = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
        config.limits.head_bytes = config.limits.head_bytes.min(most);
        config.limits.trailer_bytes = config.limits.trailer_bytes.min(most);
        for header in &config.default_headers {
            let (name, value) = header.parts();
            // The last two would have to be named in `connection`.
            let ours =
                [&b"connection"[..], b"content-length", b"transfer-encoding", b"date", b"upgrade", b"keep-alive"];
            if !syntax::is_token(name)
                || !syntax::is_field_value(value)
                || ours.iter().any(|ours| ours.eq_ignore_ascii_case(name))
            {
                return Err(ConfigError::DefaultHeader);
            }
        }
        if config.limits.read_buffer_bytes == 0 || config.limits.high_water_bytes == 0 {
            return Err(ConfigError::Zero);
        }
        Ok(config)
    }
}

/// Why a [`Config`] cannot be built.
///
/// # Examples
/// ```
/// assert_eq!(sansgi::ConfigError::Zero.to_string(), "the read buffer or the high-water mark is 0 bytes");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A default header is malformed, or is one of those that the connection writes itself.
    #[error("a default header is malformed, or is one that the connection writes itself")]
    DefaultHeader,
    /// With a read buffer or a high-water mark of 0 bytes no connection would ever move.
    #[error("the read buffer or the high-water mark is 0 bytes")]
    Zero,
}
