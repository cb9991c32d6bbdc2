//! A request's head as the application sees it.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::framing::{RequestBody, Version};
use crate::headers::{Headers, Span};
use crate::incoming::Incoming;
use crate::syntax;

/// The form of a request target (RFC 9112 §3.2).
///
/// # Examples
/// ```
/// # use sansgi::{Action, Config, Connection, Instant};
/// use sansgi::TargetForm;
/// # let mut conn = Connection::new(Config::default());
/// conn.handle_bytes(b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n");
/// let Action::Start(_, request) = conn.next_action(Instant::ZERO) else { unreachable!() };
/// assert_eq!(request.target_form(), TargetForm::Asterisk);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum TargetForm {
    /// `/path?query`
    #[default]
    Origin,
    /// `http://authority/path?query`, as to a proxy.
    Absolute,
    /// `host:port`, with CONNECT.
    Authority,
    /// `*`, with OPTIONS.
    Asterisk,
}

/// A request's head. Cloning it costs a reference count.
///
/// The scheme, the client's and the server's address and the root path of ASGI's scope are the driver's to know.
///
/// # Examples
/// ```
/// # use sansgi::{Action, Config, Connection, Instant, Version};
/// let mut conn = Connection::new(Config::default());
/// conn.handle_bytes(b"POST /a%20b?x=1 HTTP/1.1\r\nHost: example.org\r\nContent-Length: 5\r\n\r\n");
/// let Action::Start(_, request) = conn.next_action(Instant::ZERO) else { unreachable!() };
/// assert_eq!(request.method(), "POST");
/// assert_eq!(request.target(), b"/a%20b?x=1");
/// assert_eq!(request.raw_path(), b"/a%20b");
/// assert_eq!(request.path(), "/a b");
/// assert_eq!(request.query(), b"x=1");
/// assert_eq!(request.authority(), b"example.org");
/// assert_eq!(request.version(), Version::Http11);
/// assert_eq!(request.content_length(), Some(5));
/// assert!(request.has_body());
/// ```
#[derive(Clone)]
pub struct Request(Arc<Head>);

#[derive(Clone, Default)]
pub(crate) struct Head {
    pub(crate) headers: Headers,
    pub(crate) line: RequestLine,
    pub(crate) facts: Facts,
}

/// The parts of a request line, as positions in the head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestLine {
    pub(crate) method: Span,
    pub(crate) target: Span,
    pub(crate) parts: Target,
    pub(crate) version: Version,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) form: TargetForm,
    pub(crate) authority: Span,
    pub(crate) path: Span,
    pub(crate) query: Span,
}

/// What the fields say to the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts of one head, not phases of anything")]
pub(crate) struct Facts {
    pub(crate) body: RequestBody,
    /// Whether a `content-length` says so.
    pub(crate) has_length: bool,
    pub(crate) persistent: bool,
    pub(crate) expects_continue: bool,
    pub(crate) accepts_trailers: bool,
    /// Whether there is a protocol that a 101 may switch to.
    pub(crate) upgrades: bool,
}

/// `protocol = protocol-name ["/" protocol-version]`, both tokens (RFC 9110 §7.8). RFC 9113 §3.1 has deprecated `h2c`.
pub(crate) fn may_be_switched_to(protocol: &[u8]) -> bool {
    let mut parts = protocol.splitn(2, |&byte| byte == b'/');
    parts.all(syntax::is_token) && !protocol.eq_ignore_ascii_case(b"h2c")
}

impl Request {
    /// Makes `last` a request to read the next head into: the one that it is if nobody else holds it, so that its
    /// memory serves again.
    #[inline] // nobody does, mostly
    pub(crate) fn renewed(last: &mut Option<Self>) -> &mut Self {
        if last.as_ref().is_some_and(|Self(head)| Arc::strong_count(head) > 1) {
            *last = None;
        }
        last.get_or_insert_with(Self::unread)
    }

    #[cold] // a connection holds one
    fn unread() -> Self {
        Self(Arc::default())
    }

    /// To read into, if nobody else holds it: without the code that would copy it.
    pub(crate) fn own_head(&mut self) -> Option<&mut Head> {
        Arc::get_mut(&mut self.0)
    }

    /// To read into; nobody else holds it.
    pub(crate) fn head_mut(&mut self) -> &mut Head {
        debug_assert!(Arc::get_mut(&mut self.0).is_some(), "a head that somebody holds would be copied");
        Arc::make_mut(&mut self.0)
    }

    /// Forgets its fields, whose bytes came from `incoming`, and keeps little of their memory. False if somebody else
    /// holds it, too: then nothing is done.
    #[inline] // mostly that is soon done
    pub(crate) fn try_empty(&mut self, incoming: &mut Incoming) -> bool {
        self.own_head().map(|head| head.headers.empty(incoming)).is_some()
    }

    /// Bytes of the heap that it takes. (No sum wraps: it is all there.)
    pub(crate) fn memory(&self) -> usize {
        // Beside it there are the counts of those who share it.
        let shared = size_of::<(usize, usize, Head)>();
        self.0.headers.memory().wrapping_add(shared)
    }

    /// The method, as it came: "get" is not "GET" (RFC 9110 §9.1).
    pub fn method(&self) -> &str {
        match self.part(self.0.line.method) {
            // Nearly all, and often asked.
            b"GET" => "GET",
            b"POST" => "POST",
            method => core::str::from_utf8(method).unwrap_or_default(),
        }
    }

    /// The whole request target, as it came.
    pub fn target(&self) -> &[u8] {
        self.part(self.0.line.target)
    }

    /// The form of the target.
    pub fn target_form(&self) -> TargetForm {
        self.0.line.parts.form
    }

    /// The path, as it came: nothing is decoded. `*` in asterisk-form, empty with CONNECT. In absolute-form `/` stands
    /// for an empty path, and `*` for an OPTIONS with neither path nor query (RFC 9112 §3.2.4).
    ///
    /// # Examples
    /// ```
    /// # use sansgi::{Action, Config, Connection, Instant};
    /// let raw_path = |head: &[u8]| {
    ///     let mut conn = Connection::new(Config::default());
    ///     conn.handle_bytes(head);
    ///     let Action::Start(_, request) = conn.next_action(Instant::ZERO) else { unreachable!() };
    ///     String::from_utf8_lossy(request.raw_path()).into_owned()
    /// };
    /// assert_eq!(raw_path(b"GET /a%2Fb/../c?d HTTP/1.1\r\nhost: e\r\n\r\n"), "/a%2Fb/../c");
    /// assert_eq!(raw_path(b"GET http://e HTTP/1.1\r\nhost: e\r\n\r\n"), "/");
    /// assert_eq!(raw_path(b"OPTIONS http://e HTTP/1.1\r\nhost: e\r\n\r\n"), "*");
    /// ```
    pub fn raw_path(&self) -> &[u8] {
        let parts = self.0.line.parts;
        match parts.form {
            TargetForm::Absolute if parts.path.is_empty() => {
                if self.method() == "OPTIONS" && parts.query.is_empty() {
                    b"*"
                } else {
                    b"/"
                }
            }
            TargetForm::Origin | TargetForm::Absolute | TargetForm::Authority | TargetForm::Asterisk => {
                self.part(parts.path)
            }
        }
    }

    /// The path, decoded by [`decode_path`].
    pub fn path(&self) -> String {
        decode_path(self.raw_path())
    }

    /// The query, without its `?`; none and an empty one are the same.
    pub fn query(&self) -> &[u8] {
        self.part(self.0.line.parts.query)
    }

    /// The authority of the target URI (RFC 9112 §3.3): from the target, or else from Host; empty if there is none.
    pub fn authority(&self) -> &[u8] {
        match self.0.line.parts.form {
            TargetForm::Authority | TargetForm::Absolute => self.part(self.0.line.parts.authority),
            TargetForm::Origin | TargetForm::Asterisk => self.0.headers.get("host").unwrap_or_default(),
        }
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.0.line.version
    }

    /// The fields. In absolute-form Host is the target's authority, whatever came (RFC 9112 §3.2.2).
    ///
    /// # Examples
    /// ```
    /// # use sansgi::{Action, Config, Connection, Instant};
    /// # let mut conn = Connection::new(Config::default());
    /// conn.handle_bytes(b"GET http://a/ HTTP/1.1\r\nhost: b\r\n\r\n");
    /// let Action::Start(_, request) = conn.next_action(Instant::ZERO) else { unreachable!() };
    /// assert_eq!(request.headers().get("host"), Some(&b"a"[..]));
    /// assert_eq!(request.authority(), b"a");
    /// ```
    pub fn headers(&self) -> &Headers {
        &self.0.headers
    }

    /// The declared length of the content, in bytes; `None` if it is chunked, or if there is no `content-length`.
    pub fn content_length(&self) -> Option<u64> {
        match self.0.facts.body {
            RequestBody::Length(length) => self.0.facts.has_length.then_some(length),
            RequestBody::Chunked => None,
        }
    }

    /// Whether content is to come. A declared length of 0 is none.
    ///
    /// # Examples
    /// ```
    /// # use sansgi::{Action, Config, Connection, Instant};
    /// # let mut conn = Connection::new(Config::default());
    /// conn.handle_bytes(b"PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    /// let Action::Start(_, request) = conn.next_action(Instant::ZERO) else { unreachable!() };
    /// assert_eq!((request.has_body(), request.content_length()), (true, None)); // how long, nobody knows yet
    /// ```
    pub fn has_body(&self) -> bool {
        self.0.facts.body != RequestBody::Length(0)
    }

    /// Whether the client waits for a 100 before it sends its content: `expect: 100-continue` (RFC 9110 §10.1.1). The
    /// first `receive` sends it. An expectation of HTTP/1.0, or without content, is none.
    ///
    /// # Examples
    /// ```
    /// # use sansgi::{Action, Config, Connection, Instant};
    /// # let mut conn = Connection::new(Config::default());
    /// conn.handle_bytes(b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n");
    /// let Action::Start(_, request) = conn.next_action(Instant::ZERO) else { unreachable!() };
    /// assert!(request.expects_continue());
    /// ```
    pub fn expects_continue(&self) -> bool {
        self.0.facts.expects_continue
    }

    /// Whether the client takes trailers: `te: trailers` (RFC 9110 §10.1.4). If not, or if the body is not chunked,
    /// those of the response are dropped.
    ///
    /// # Examples
    /// ```
    /// # use sansgi::{Action, Config, Connection, Instant};
    /// # let mut conn = Connection::new(Config::default());
    /// conn.handle_bytes(b"GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n");
    /// let Action::Start(_, request) = conn.next_action(Instant::ZERO) else { unreachable!() };
    /// assert!(request.accepts_trailers());
    /// ```
    pub fn accepts_trailers(&self) -> bool {
        self.0.facts.accepts_trailers
    }

    /// The protocols that a 101 may switch to: those of `upgrade`, if the request has `connection: upgrade`, is
    /// HTTP/1.1 and has no body (RFC 9110 §7.8), but for `h2c` (RFC 9113 §3.1 has deprecated it), and for what
    /// is no protocol, such as `a b`.
    ///
    /// # Examples
    /// ```
    /// # use sansgi::{Action, Config, Connection, Instant};
    /// # let mut conn = Connection::new(Config::default());
    /// conn.handle_bytes(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c, websocket\r\n\r\n");
    /// let Action::Start(_, request) = conn.next_action(Instant::ZERO) else { unreachable!() };
    /// assert_eq!(request.upgrades().collect::<Vec<_>>(), [b"websocket"]);
    /// ```
    pub fn upgrades(&self) -> impl Iterator<Item = &[u8]> {
        let offered = self.0.facts.upgrades.then(|| self.0.headers.get_all("upgrade").flat_map(syntax::members));
        offered.into_iter().flatten().filter(|protocol| may_be_switched_to(protocol))
    }

    /// Whether its response may hand the connection over. It is asked for every read, and an offer may be long.
    pub(crate) fn may_switch(&self) -> bool {
        self.0.facts.upgrades || self.is_connect()
    }

    pub(crate) fn body(&self) -> RequestBody {
        self.0.facts.body
    }

    pub(crate) fn is_head(&self) -> bool {
        self.part(self.0.line.method) == b"HEAD"
    }

    pub(crate) fn is_connect(&self) -> bool {
        self.0.line.parts.form == TargetForm::Authority
    }

    /// Whether the client would keep the connection (RFC 9112 §9.3).
    pub(crate) fn is_persistent(&self) -> bool {
        self.0.facts.persistent
    }

    /// Of each of these fields, whether `connection` names it, and how many bytes of its options were looked at: each
    /// once for all names, since both may be many.
    pub(crate) fn connection_names(&self, fields: &Headers) -> (Vec<bool>, usize) {
        let mut examined = 0_usize;
        let mut names: Vec<_> = fields.iter().map(|field| (field.name(), false)).collect();
        names.sort_unstable();
        for option in self.0.headers.get_all("connection").flat_map(syntax::members) {
            examined = examined.saturating_add(option.len());
            // The last of those that are equal stands for all of them.
            let at = names.partition_point(|(name, _)| !option.iter().map(u8::to_ascii_lowercase).lt(name.bytes()));
            if let Some((name, is_named)) = at.checked_sub(1).and_then(|at| names.get_mut(at)) {
                *is_named |= name.as_bytes().eq_ignore_ascii_case(option);
            }
        }
        let is_named = |name: &str| {
            let at = names.partition_point(|(other, _)| *other <= name);
            at.checked_sub(1).and_then(|at| names.get(at)).is_some_and(|&(_, is_named)| is_named)
        };
        (fields.iter().map(|field| is_named(field.name())).collect(), examined)
    }

    fn part(&self, span: Span) -> &[u8] {
        span.of(self.0.headers.raw())
    }
}

/// Equal heads, byte for byte.
impl PartialEq for Request {
    fn eq(&self, other: &Self) -> bool {
        self.0.headers.raw() == other.0.headers.raw()
    }
}

impl Eq for Request {}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method())
            .field("target", &format_args!("{}", self.target().escape_ascii()))
            .field("version", &self.version())
            .field("headers", self.headers())
            .field("body", &self.0.facts.body)
            .finish()
    }
}

/// A path as ASGI's `path` has it: `%` and two hexadecimal digits become a byte, then the whole is read as UTF-8, with
/// U+FFFD for what is none. Both steps lose something: `%2F` becomes a `/`, `%00` a NUL, and two raw paths may become
/// one. A `%` without two digits stays. Decide on the raw path where that matters.
///
/// # Examples
/// ```
/// assert_eq!(sansgi::decode_path(b"/caf%C3%A9/100%"), "/café/100%");
/// assert_eq!(sansgi::decode_path(b"/%ff"), "/\u{fffd}");
/// ```
pub fn decode_path(raw_path: &[u8]) -> String {
    let mut decoded = Vec::with_capacity(raw_path.len());
    let mut rest = raw_path;
    while let [byte, tail @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, tail @ ..] => {
                let digits = syntax::hex_digit(*high).zip(syntax::hex_digit(*low));
                digits.map(|(high, low)| (high << 4 | low, tail))
            }
            _ => None,
        };
        let (byte, tail) = escaped.unwrap_or((*byte, tail));
        decoded.push(byte);
        rest = tail;
    }
    match String::from_utf8_lossy(&decoded) {
        Cow::Borrowed(text) => text.into(),
        Cow::Owned(text) => text,
    }
}
