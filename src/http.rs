//! To and from the types of the [`http`] crate: feature `http`.
//!
//! A request becomes a [`http::Request`] by [`Request::to_http`], its trailers a [`HeaderMap`] by `try_from`; a
//! [`http::Response`] becomes a [`ResponseStart`], its trailers an [`EventHeaders`]. Bodies stay what they are: events.
//!
//! What is lost on the way: the case of names, the order of fields of different names (those of one name keep theirs),
//! the reason phrase and the version of a response. What cannot be converted at all is a [`ToHttpError`].
//!
//! `use sansgi::*` hides the crate `http` behind this module: import by name what you need.
//!
//! # Examples
//! ```
//! # use sansgi::{Action, Config, Connection, Driver, Instant};
//! use http::{Response, StatusCode};
//! use sansgi::http::ResponseStart;
//! use sansgi::{Channel, Request, SendError, SendEvent};
//!
//! async fn run(request: Request, channel: Channel) -> Result<(), SendError> {
//!     let _ending = channel.end_on_drop();
//!     let response = match request.to_http() {
//!         Ok(request) => route(&request),
//!         Err(_) => status(StatusCode::BAD_REQUEST),
//!     };
//!     channel.send(ResponseStart::from(&response).event()).await?;
//!     let body = response.into_body().into();
//!     channel.send(SendEvent::ResponseBody { body, more_body: false }).await
//! }
//!
//! /// What a framework on the `http` crate would do.
//! fn route(request: &http::Request<()>) -> Response<&'static str> {
//!     if request.uri().path() == "/" { Response::new("hello\n") } else { status(StatusCode::NOT_FOUND) }
//! }
//!
//! fn status(status: StatusCode) -> Response<&'static str> {
//!     let mut response = Response::new("");
//!     *response.status_mut() = status;
//!     response
//! }
//! # let mut driver = Driver::new(Connection::new(Config::default()));
//! # driver.lock().handle_bytes(b"GET /missing HTTP/1.1\r\nhost: a\r\n\r\n");
//! # let Action::Start(id, request) = driver.lock().next_action(Instant::ZERO) else { unreachable!() };
//! # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
//! # assert!(std::pin::pin!(run(request, driver.channel(id))).poll(&mut context).is_ready());
//! # assert!(driver.lock().outgoing().next().unwrap().starts_with(b"HTTP/1.1 404 Not Found\r\n"));
//! ```

use alloc::vec::Vec;
use core::fmt;

use ::http::header::{HeaderMap, HeaderName, HeaderValue};
use ::http::uri::{self, Authority, Uri};
use ::http::{Method, Response, StatusCode, response};
use bytes::Bytes;
use thiserror::Error;

use crate::exchange::SendEvent;
use crate::framing::Version;
use crate::headers::{self, DebugField, Headers};
use crate::request::{Request, TargetForm};

/// Why a request cannot be converted to the types of the [`http`] crate, although it was accepted. The connection need
/// not end for any of these: an application answers with a status of its choice, usually 400.
///
/// # Examples
/// ```
/// # use sansgi::{Action, Config, Connection, Instant};
/// use sansgi::http::ToHttpError;
/// # let mut conn = Connection::new(Config::default());
/// conn.handle_bytes(b"GET /?q=<b> HTTP/1.1\r\nhost: a\r\n\r\n"); // as some clients send it
/// let Action::Start(_, request) = conn.next_action(Instant::ZERO) else { unreachable!() };
/// assert_eq!(request.to_http().unwrap_err(), ToHttpError::Target);
/// assert_eq!(request.query(), b"q=<b>");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ToHttpError {
    /// The method is no [`Method`]. None is known: 1.4 and 1.5 take every token.
    #[error("the request method is no http::Method")]
    Method,
    /// The target is no [`Uri`]: its query holds a `"`, `<` or `>`, its host is percent-encoded or an address of a
    /// future version with many colons (`[v1.a:b:…]`, RFC 3986 §3.2.2), or it is longer than 65,534 bytes, which only
    /// raised limits let in.
    #[error("the request target is no http::Uri")]
    Target,
    /// A name is no [`HeaderName`], or a value no [`HeaderValue`]: a name is longer than 65,535 bytes, which only
    /// raised limits let in.
    #[error("a field is no http::HeaderName and http::HeaderValue")]
    Field,
    /// There are more names than a [`HeaderMap`] holds, which is some 24,000; only raised limits let so many in.
    #[error("there are more fields than a http::HeaderMap holds")]
    TooManyFields,
}

impl Request {
    /// The head as a [`http::Request`] without a body: method, target, version and all fields.
    ///
    /// The target is taken as it came: in origin-form the [`Uri`] is a path and a query, in absolute-form it has scheme
    /// and authority too, with CONNECT it is an authority, and in asterisk-form its path is `*`. An empty query is told
    /// from none. In absolute-form `host` is the target's authority, as in [`headers`](Self::headers), and the path of
    /// an `OPTIONS http://a` is `/`, where [`raw_path`](Self::raw_path) has the `*` that a forwarder sends.
    ///
    /// Values that `Debug` hides in this crate are marked as sensitive, so that it hides them there too.
    ///
    /// It costs one copy of the head, which all values share: who keeps one of them keeps the head.
    ///
    /// # Errors
    /// [`ToHttpError`], for the few requests that are well-formed but beyond these types.
    ///
    /// # Examples
    /// ```
    /// # use sansgi::{Action, Config, Connection, Instant};
    /// # let mut conn = Connection::new(Config::default());
    /// conn.handle_bytes(b"GET /a%20b?x=1 HTTP/1.1\r\nHost: example.org\r\nX-Tag: one\r\nx-tag: two\r\n\r\n");
    /// let Action::Start(_, request) = conn.next_action(Instant::ZERO) else { unreachable!() };
    /// let request: http::Request<()> = request.to_http()?;
    /// assert_eq!(request.method(), http::Method::GET);
    /// assert_eq!((request.uri().path(), request.uri().query()), ("/a%20b", Some("x=1")));
    /// assert_eq!(request.version(), http::Version::HTTP_11);
    /// assert_eq!(request.headers()["host"], "example.org");
    /// assert_eq!(request.headers().get_all("x-tag").iter().collect::<Vec<_>>(), ["one", "two"]);
    /// # Ok::<(), sansgi::http::ToHttpError>(())
    /// ```
    pub fn to_http(&self) -> Result<::http::Request<()>, ToHttpError> {
        let raw = Bytes::copy_from_slice(self.headers().raw());
        let mut request = ::http::Request::new(());
        *request.method_mut() = Method::from_bytes(self.method().as_bytes()).map_err(|_| ToHttpError::Method)?;
        *request.uri_mut() = uri(self, &raw).ok_or(ToHttpError::Target)?;
        *request.version_mut() = self.version().into();
        *request.headers_mut() = header_map(self.headers(), &raw)?;
        Ok(request)
    }
}

fn uri(request: &Request, raw: &Bytes) -> Option<Uri> {
    let target = shared(raw, request.headers().raw(), request.target());
    match request.target_form() {
        TargetForm::Origin | TargetForm::Absolute | TargetForm::Asterisk => Uri::from_maybe_shared(target).ok(),
        // Said in parts, since "http:80" alone could be a scheme.
        TargetForm::Authority => {
            let mut parts = uri::Parts::default();
            parts.authority = Some(Authority::from_maybe_shared(target).ok()?);
            Uri::from_parts(parts).ok()
        }
    }
}

/// What `part` is of `original`, of its copy.
fn shared(copy: &Bytes, original: &[u8], part: &[u8]) -> Bytes {
    let start = part.as_ptr().addr().wrapping_sub(original.as_ptr().addr());
    let found = copy.get(start..start.saturating_add(part.len()));
    debug_assert_eq!(found, Some(part), "a part lies in its head");
    copy.slice_ref(found.unwrap_or_default())
}

fn header_map(headers: &Headers, raw: &Bytes) -> Result<HeaderMap, ToHttpError> {
    // Of many fields most may have the same name: that there is no room for as many names is no error yet.
    let mut map = HeaderMap::try_with_capacity(headers.len()).unwrap_or_default();
    for field in headers {
        let name = HeaderName::from_bytes(field.name().as_bytes()).map_err(|_| ToHttpError::Field)?;
        let value = shared(raw, headers.raw(), field.value());
        let mut value = HeaderValue::from_maybe_shared(value).map_err(|_| ToHttpError::Field)?;
        value.set_sensitive(headers::is_secret(field.name().as_bytes()));
        map.try_append(name, value).map_err(|_| ToHttpError::TooManyFields)?;
    }
    Ok(map)
}

/// [`Request::to_http`].
impl TryFrom<&Request> for ::http::Request<()> {
    type Error = ToHttpError;

    fn try_from(request: &Request) -> Result<Self, ToHttpError> {
        request.to_http()
    }
}

/// The fields of a head or of trailers, duplicates included.
impl TryFrom<&Headers> for HeaderMap {
    type Error = ToHttpError;

    fn try_from(headers: &Headers) -> Result<Self, ToHttpError> {
        header_map(headers, &Bytes::copy_from_slice(headers.raw()))
    }
}

impl From<Version> for ::http::Version {
    fn from(version: Version) -> Self {
        match version {
            Version::Http10 => Self::HTTP_10,
            Version::Http11 => Self::HTTP_11,
        }
    }
}

/// The head of a [`http::Response`], or of its [`Parts`](response::Parts), for
/// [`SendEvent::ResponseStart`], which borrows its headers. This holds the list of them; their names and values stay in
/// the response. The response's version is not looked at.
///
/// What the connection would refuse of any other response it refuses of this one too, when it is sent: a status beyond
/// 200..=599, white space at the ends of a value, a second `content-length` or `date`, an option of `connection` that
/// is no token, or names one of these two.
///
/// # Examples
/// ```
/// use sansgi::http::ResponseStart;
/// # use sansgi::{Action, Config, Connection, Instant, SendEvent};
/// # let mut conn = Connection::new(Config::default());
/// # conn.handle_bytes(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
/// # let Action::Start(id, _) = conn.next_action(Instant::ZERO) else { unreachable!() };
/// let response = http::Response::builder().status(201).header("location", "/1").body("made\n")?;
/// let (parts, body) = response.into_parts();
/// let mut exchange = conn.exchange(id);
/// exchange.send(ResponseStart::from(&parts).event())?;
/// exchange.send(SendEvent::ResponseBody { body: body.into(), more_body: false })?;
/// # let out: Vec<u8> = conn.outgoing().flatten().copied().collect();
/// # let head = b"HTTP/1.1 201 Created\r\nlocation: /1\r\ntransfer-encoding: chunked\r\n\r\n5\r\nmade\n\r\n0\r\n\r\n";
/// # assert_eq!(out, head);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ResponseStart<'a> {
    status: StatusCode,
    headers: EventHeaders<'a>,
    trailers: bool,
}

impl ResponseStart<'_> {
    /// Declares that trailers follow the body.
    ///
    /// # Examples
    /// See [`EventHeaders`].
    pub fn with_trailers(self) -> Self {
        Self { trailers: true, ..self }
    }

    /// The event.
    ///
    /// # Examples
    /// See [`ResponseStart`].
    pub fn event(&self) -> SendEvent<'_> {
        SendEvent::ResponseStart { status: self.status.as_u16(), headers: &self.headers.0, trailers: self.trailers }
    }
}

impl<'a, B> From<&'a Response<B>> for ResponseStart<'a> {
    fn from(response: &'a Response<B>) -> Self {
        Self { status: response.status(), headers: response.headers().into(), trailers: false }
    }
}

impl<'a> From<&'a response::Parts> for ResponseStart<'a> {
    fn from(parts: &'a response::Parts) -> Self {
        Self { status: parts.status, headers: (&parts.headers).into(), trailers: false }
    }
}

/// A [`HeaderMap`] as a list that the events can borrow, in the map's order, duplicates included.
///
/// # Examples
/// ```
/// use http::{HeaderMap, HeaderValue, Response};
/// use sansgi::http::{EventHeaders, ResponseStart};
/// # use sansgi::{Action, Config, Connection, Instant, SendEvent};
/// # let mut conn = Connection::new(Config::default());
/// # conn.handle_bytes(b"GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n");
/// # let Action::Start(id, _) = conn.next_action(Instant::ZERO) else { unreachable!() };
/// let mut exchange = conn.exchange(id);
/// exchange.send(ResponseStart::from(&Response::new(())).with_trailers().event())?;
/// exchange.send(SendEvent::ResponseBody { body: "12".into(), more_body: false })?;
/// let trailers = HeaderMap::from_iter([("x-sum".parse()?, HeaderValue::from(3))]);
/// exchange.send(EventHeaders::from(&trailers).trailers(false))?;
/// # let out: Vec<u8> = conn.outgoing().flatten().copied().collect();
/// assert!(out.ends_with(b"\r\n\r\n2\r\n12\r\n0\r\nx-sum: 3\r\n\r\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct EventHeaders<'a>(Vec<(&'a [u8], &'a [u8])>);

impl EventHeaders<'_> {
    /// [`SendEvent::ResponseTrailers`].
    ///
    /// # Examples
    /// See [`EventHeaders`].
    pub fn trailers(&self, more_trailers: bool) -> SendEvent<'_> {
        SendEvent::ResponseTrailers { headers: &self.0, more_trailers }
    }

    /// [`SendEvent::Informational`].
    ///
    /// # Examples
    /// ```
    /// use http::{HeaderMap, StatusCode, header};
    /// use sansgi::http::EventHeaders;
    /// # use sansgi::{Action, Config, Connection, Instant};
    /// # let mut conn = Connection::new(Config::default());
    /// # conn.handle_bytes(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    /// # let Action::Start(id, _) = conn.next_action(Instant::ZERO) else { unreachable!() };
    /// let hints = HeaderMap::from_iter([(header::LINK, "</style.css>; rel=preload".parse()?)]);
    /// conn.exchange(id).send(EventHeaders::from(&hints).informational(StatusCode::EARLY_HINTS))?;
    /// # let out: Vec<u8> = conn.outgoing().flatten().copied().collect();
    /// # assert_eq!(out, b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn informational(&self, status: StatusCode) -> SendEvent<'_> {
        SendEvent::Informational { status: status.as_u16(), headers: &self.0 }
    }
}

impl<'a> From<&'a HeaderMap> for EventHeaders<'a> {
    fn from(map: &'a HeaderMap) -> Self {
        Self(map.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())).collect())
    }
}

/// Names and values; of credentials and cookies only how long they are.
impl fmt::Debug for EventHeaders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|&(name, value)| DebugField { name, value })).finish()
    }
}
