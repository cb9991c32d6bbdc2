//! Field sections: where one ends, and what is in it. A request head and a trailer section share both.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::{ControlFlow, Range};

use bytes::BytesMut;

use crate::incoming::{Incoming, KEPT_BYTES};
use crate::spare;
use crate::syntax;

/// The fields of a request's head, or of its trailer section: in the order they came, duplicates included, never
/// joined.
///
/// # Examples
/// ```
/// # use sansgi::{Action, Config, Connection, Instant};
/// let mut conn = Connection::new(Config::default());
/// conn.handle_bytes(b"GET / HTTP/1.1\r\nHost: a\r\nX-Tag: one\r\nx-tag: two\r\n\r\n");
/// let Action::Start(_, request) = conn.next_action(Instant::ZERO) else { unreachable!() };
/// let headers = request.headers();
/// assert_eq!(headers.len(), 3);
/// assert_eq!(headers.get("host"), Some(&b"a"[..]));
/// assert_eq!(headers.get_all("X-TAG").collect::<Vec<_>>(), [b"one", b"two"]);
/// let names: Vec<_> = headers.iter().map(|field| (field.name(), field.name_as_sent())).collect();
/// assert_eq!(names, [("host", &b"Host"[..]), ("x-tag", b"X-Tag"), ("x-tag", b"x-tag")]);
/// assert_eq!(headers.iter().next_back().map(|field| field.value()), Some(&b"two"[..]));
/// ```
#[derive(Clone, Default)]
pub struct Headers {
    /// The bytes as they came.
    pub(crate) raw: BytesMut,
    /// All names in lower case, one behind the other.
    names: String,
    fields: Vec<Place>,
}

/// A table for so many lines. One for the hundred that are allowed would cost more than to parse what most heads have.
pub(crate) fn with_table<'a, R>(lines: usize, parse: impl FnOnce(&mut [httparse::Header<'a>]) -> R) -> R {
    if let Some(few) = [httparse::EMPTY_HEADER; Headers::FEW].get_mut(..lines) {
        return parse(few);
    }
    match [httparse::EMPTY_HEADER; 100].get_mut(..lines) {
        Some(many) => parse(many),
        None => parse(&mut vec![httparse::EMPTY_HEADER; lines]),
    }
}

/// Where a field is in [`Headers::raw`]. Its name in lower case is as long, and in [`Headers::names`] follows that of
/// the field before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    name: Span,
    value: Span,
}

impl Place {
    /// The name of a field that was put in by the connection: there is none as sent.
    const INSERTED: Span = Span { start: u32::MAX, len: 0 };

    fn name_len(self) -> usize {
        if self.name == Self::INSERTED { "host".len() } else { self.name.len() }
    }
}

/// A range of a head, whose length is limited to 32 bits when the configuration is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    len: u32,
}

impl Span {
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "a head is no longer than 32 bits count")]
    pub(crate) fn new(range: Range<usize>) -> Self {
        debug_assert!(u32::try_from(range.end).is_ok(), "a head is no longer than 32 bits count");
        Self { start: range.start as u32, len: range.end.wrapping_sub(range.start) as u32 }
    }

    /// Where `part` is in `head`, which it is a part of. (No sum wraps: it is a place in `head`, or just behind it.)
    #[inline]
    fn of_part(part: &[u8], head: &[u8]) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(head.as_ptr().addr());
        Self::new(start..start.wrapping_add(part.len()))
    }

    pub(crate) fn is_empty(self) -> bool {
        self.len == 0
    }

    fn len(self) -> usize {
        usize::try_from(self.len).unwrap_or(usize::MAX)
    }

    fn range(self) -> Range<usize> {
        let start = usize::try_from(self.start).unwrap_or(usize::MAX);
        start..start.saturating_add(self.len())
    }

    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        let bytes = bytes.get(self.range());
        debug_assert!(bytes.is_some(), "a span lies in its head");
        bytes.unwrap_or_default()
    }
}

/// A field: a name and a value.
///
/// # Examples
/// ```
/// # use sansgi::{Action, Config, Connection, Instant};
/// # let mut conn = Connection::new(Config::default());
/// # conn.handle_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
/// # let Action::Start(_, request) = conn.next_action(Instant::ZERO) else { unreachable!() };
/// let asgi: Vec<(&[u8], &[u8])> = request.headers().iter().map(|f| (f.name().as_bytes(), f.value())).collect();
/// assert_eq!(asgi, [(&b"host"[..], &b"a"[..])]);
/// ```
#[derive(Clone, Copy)]
pub struct Field<'a> {
    name: &'a str,
    name_as_sent: &'a [u8],
    value: &'a [u8],
}

impl<'a> Field<'a> {
    /// The name in lower case, as ASGI has it.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The name as it came, for a proxy that passes it on.
    pub fn name_as_sent(&self) -> &'a [u8] {
        self.name_as_sent
    }

    /// The value, without the white space around it.
    pub fn value(&self) -> &'a [u8] {
        self.value
    }
}

impl Headers {
    /// Most heads have no more fields than this, also those of a browser that come through a few proxies.
    pub(crate) const FEW: usize = 32;

    /// Memory that a field takes beside its own bytes.
    pub(crate) const BYTES_A_FIELD: usize = size_of::<Place>();

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// All fields, in order.
    pub fn iter(&self) -> Fields<'_> {
        Fields { raw: &self.raw, names: &self.names, places: self.fields.iter() }
    }

    /// The value of the first field of this name, which may be in any case. Others of this name are not looked at.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// The values of all fields of this name, in any case, in order.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// Parses the field lines of `head` from `start` to the empty line into `table`, which has as many places as there
    /// may be lines, and shows each to `see`: its name as it came, and its value. Returns where the section ends, or
    /// `None` if it is malformed or not here to its end. The bytes are not taken yet.
    ///
    /// httparse takes a line feed alone for the end of a line, as RFC 9112 §2.2 allows and we do not, so the end of
    /// each line is looked at here.
    pub(crate) fn parse<'a>(
        &mut self,
        head: &'a [u8],
        start: usize,
        table: &mut [httparse::Header<'a>],
        mut see: impl FnMut(&'a [u8], &'a [u8]),
    ) -> Option<usize> {
        let Ok(httparse::Status::Complete((parsed, found))) = httparse::parse_headers(head.get(start..)?, table) else {
            return None;
        };
        let end = start.checked_add(parsed)?;
        if !head.get(..end)?.ends_with(b"\r\n\r\n") {
            return None;
        }
        // No sum wraps: they are all in `head`.
        let mut length_of_names = 0_usize;
        for field in found {
            let name = field.name.as_bytes();
            length_of_names = length_of_names.wrapping_add(name.len());
            // Where it begins the line before it has ended.
            let at = Span::of_part(name, head).range().start;
            if at != start && !head.get(..at)?.ends_with(b"\r\n") {
                return None;
            }
            see(name, field.value);
        }
        self.place(head, end, found, length_of_names);
        Some(end)
    }

    /// Keeps where the fields are in `head`, whose first `length` bytes they end, and their names, which are
    /// `length_of_names` bytes long.
    fn place(&mut self, head: &[u8], length: usize, found: &[httparse::Header<'_>], length_of_names: usize) {
        if self.fields.capacity() < found.len() || self.names.capacity() < length_of_names {
            self.make_room(length, found.len(), length_of_names);
        }
        let Self { names, fields, .. } = self;
        fields.clear();
        fields.extend(found.iter().map(|field| Place {
            name: Span::of_part(field.name.as_bytes(), head),
            value: Span::of_part(field.value, head),
        }));
        names.clear();
        names.extend(found.iter().map(|field| field.name));
        make_lower(names);
    }

    /// For so many fields of a head of `length` bytes, with names of this length in all.
    #[cold] // mostly there is the memory of the last head
    fn make_room(&mut self, length: usize, fields: usize, length_of_names: usize) {
        let raw = if length <= KEPT_BYTES { length } else { 0 };
        let all = fields.saturating_mul(Self::BYTES_A_FIELD).saturating_add(length_of_names).saturating_add(raw);
        // An idle connection would not keep it.
        if all > KEPT_BYTES {
            if self.names.capacity() < length_of_names {
                self.names = spare::names();
            }
            if self.fields.capacity() < fields {
                self.fields = spare::places();
            }
        }
        self.names.clear();
        self.names.reserve_exact(length_of_names);
        self.fields.clear();
        self.fields.reserve_exact(fields);
    }

    /// Forgets the fields, whose bytes came from `incoming`. At most [`KEPT_BYTES`] of their memory are kept for the
    /// next head; what is more goes back.
    #[inline]
    pub(crate) fn empty(&mut self, incoming: &mut Incoming) {
        if self.memory() > KEPT_BYTES {
            self.give_back(incoming);
        }
        self.raw.clear();
        self.names.clear();
        self.fields.clear();
    }

    #[inline(never)] // mostly it is no more
    fn give_back(&mut self, incoming: &mut Incoming) {
        if self.raw.capacity() > KEPT_BYTES {
            incoming.take_back(&mut self.raw);
        }
        if self.memory() > KEPT_BYTES {
            spare::keep_places(core::mem::take(&mut self.fields));
        }
        if self.memory() > KEPT_BYTES {
            spare::keep_names(core::mem::take(&mut self.names));
        }
    }

    /// Bytes of memory that it has. (No sum wraps: it is all there.)
    pub(crate) fn memory(&self) -> usize {
        let fields = self.fields.capacity().wrapping_mul(Self::BYTES_A_FIELD);
        self.raw.capacity().wrapping_add(self.names.capacity()).wrapping_add(fields)
    }

    /// The bytes that all of it was parsed from.
    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Gives `host` the value at `value`, and puts it first if there is none.
    pub(crate) fn replace_host(&mut self, value: Span) {
        let host = self.iter().position(|field| field.name == "host");
        if let Some(place) = host.and_then(|host| self.fields.get_mut(host)) {
            place.value = value;
        } else {
            self.names.insert_str(0, "host");
            self.fields.insert(0, Place { name: Place::INSERTED, value });
        }
    }

    /// Keeps the fields whose name passes, each of which is asked for once, in order.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        let mut kept = String::with_capacity(self.names.len());
        let mut names = self.names.as_str();
        self.fields.retain(|place| {
            let (name, rest) = names.split_at_checked(place.name_len()).unwrap_or_default();
            names = rest;
            let keeps = keep(name);
            kept.push_str(if keeps { name } else { "" });
            keeps
        });
        self.names = kept;
    }
}

/// Makes lower case of names, in blocks of which the last one overlaps: behind whole blocks std goes on byte by byte.
/// They are tokens, so a block may end at any byte.
fn make_lower(names: &mut str) {
    if names.len() >= 16 {
        make_lower_in_blocks::<16>(names);
    } else if names.len() >= 4 {
        // Host alone, mostly.
        make_lower_in_blocks::<4>(names);
    } else {
        names.make_ascii_lowercase();
    }
}

fn make_lower_in_blocks<const BLOCK: usize>(names: &mut str) {
    let length = names.len();
    let blocks = length & !BLOCK.wrapping_sub(1);
    names.get_mut(..blocks).unwrap_or_default().make_ascii_lowercase();
    if blocks != length {
        names.get_mut(length.wrapping_sub(BLOCK)..).unwrap_or_default().make_ascii_lowercase();
    }
}

/// The fields of [`Headers`], in order.
///
/// # Examples
/// See [`Headers`].
#[derive(Clone)]
pub struct Fields<'a> {
    raw: &'a [u8],
    names: &'a str,
    places: core::slice::Iter<'a, Place>,
}

impl<'a> Fields<'a> {
    fn field(&self, place: Place, name: &'a str) -> Field<'a> {
        let name_as_sent = if place.name == Place::INSERTED { name.as_bytes() } else { place.name.of(self.raw) };
        Field { name, name_as_sent, value: place.value.of(self.raw) }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let place = *self.places.next()?;
        let (name, names) = self.names.split_at_checked(place.name_len())?;
        self.names = names;
        Some(self.field(place, name))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.places.size_hint()
    }
}

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

impl DoubleEndedIterator for Fields<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let place = *self.places.next_back()?;
        let (names, name) = self.names.split_at_checked(self.names.len().checked_sub(place.name_len())?)?;
        self.names = names;
        Some(self.field(place, name))
    }
}

impl ExactSizeIterator for Fields<'_> {}

impl<'a> IntoIterator for &'a Headers {
    type Item = Field<'a>;
    type IntoIter = Fields<'a>;

    fn into_iter(self) -> Fields<'a> {
        self.iter()
    }
}

/// Names and values; of credentials and cookies only how long they are.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        DebugField { name: self.name.as_bytes(), value: self.value }.fmt(f)
    }
}

/// Whether a field of this name holds credentials or cookies.
pub(crate) fn is_secret(name: &[u8]) -> bool {
    let secret = [&b"authorization"[..], b"proxy-authorization", b"cookie", b"set-cookie"];
    secret.iter().any(|secret| secret.eq_ignore_ascii_case(name))
}

/// How any field is shown: of credentials and cookies only how long the value is.
pub(crate) struct DebugField<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
}

impl fmt::Debug for DebugField<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_secret(self.name) {
            write!(f, "{}: <{} bytes>", self.name.escape_ascii(), self.value.len())
        } else {
            write!(f, "{}: {}", self.name.escape_ascii(), self.value.escape_ascii())
        }
    }
}

/// One pass over the lines of a field section as they arrive, to its empty line. It goes on where it stopped, so that a
/// section which comes byte by byte costs no more than one that comes whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct LineScan {
    /// Bytes that need not be looked at again.
    pub(crate) examined: usize,
    line_start: usize,
    /// Complete lines, without the empty one.
    pub(crate) lines: usize,
}

/// Where a scan stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScanFault {
    BareLineFeed,
    /// The section is not over at the limit's last byte, and there is one more.
    TooLong,
}

impl LineScan {
    /// Begins at `start`, behind a request line.
    pub(crate) fn at(start: usize) -> Self {
        Self { examined: start, line_start: start, lines: 0 }
    }

    /// Whether the section is here to its end, the empty line; then it is the bytes that were examined.
    #[inline]
    pub(crate) fn is_whole(&mut self, bytes: &[u8], limit: usize) -> Result<bool, ScanFault> {
        // What is behind the limit is not looked at: a fault there would come too late at one cut and in time at
        // another.
        let allowed = bytes.get(..limit).unwrap_or(bytes);
        // Most pieces of a head that drips end no line.
        if syntax::has_line_feed(allowed.get(self.examined..).unwrap_or_default())
            && let ControlFlow::Break(answer) = self.look_at_lines(allowed)
        {
            self.examined = self.line_start;
            return answer;
        }
        self.examined = allowed.len();
        if bytes.len() > limit { Err(ScanFault::TooLong) } else { Ok(false) }
    }

    #[inline(never)] // so that a piece which ends no line costs little
    fn look_at_lines(&mut self, allowed: &[u8]) -> ControlFlow<Result<bool, ScanFault>> {
        let from = self.examined;
        let answer = syntax::line_feeds(allowed.get(from..).unwrap_or_default(), |past| {
            let line_feed = from.wrapping_add(past);
            // "a recipient MAY recognize a single LF as a line terminator" (RFC 9112 §2.2): we may not, since where one
            // peer does and the other does not they see two different heads.
            if allowed.get(line_feed.wrapping_sub(1)) != Some(&b'\r') {
                return ControlFlow::Break(Err(ScanFault::BareLineFeed));
            }
            let is_empty = line_feed.wrapping_sub(self.line_start) == 1;
            self.line_start = line_feed.wrapping_add(1);
            if is_empty {
                return ControlFlow::Break(Ok(true));
            }
            self.lines = self.lines.wrapping_add(1);
            ControlFlow::Continue(())
        });
        debug_assert!(answer.is_break() || self.line_start > from, "where no line ends nobody looks for one");
        answer
    }
}

/// Framing, routing, authentication and the meaning of the content are settled before a trailer is seen. A field of
/// these in a trailer section is an attempt to unsettle them (CVE-2023-45648, CVE-2025-53643).
const REFUSED_IN_TRAILERS: [&str; 9] = [
    "transfer-encoding",
    "content-length",
    "host",
    "trailer",
    "authorization",
    "proxy-authorization",
    "content-encoding",
    "content-type",
    "content-range",
];

/// Controls, conditions and per-connection fields: of no use in a trailer section, and of no harm when dropped.
const DROPPED_FROM_TRAILERS: [&str; 20] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "te",
    "upgrade",
    "expect",
    "cookie",
    "cookie2",
    "set-cookie",
    "cache-control",
    "pragma",
    "max-forwards",
    "range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
    "forwarded",
];

/// All that begins so is dropped too.
const DROPPED_PREFIX: &[u8] = b"x-forwarded-";

/// Whether a field of this name, in any case, is refused in a trailer section.
pub(crate) fn is_refused_in_trailers(name: &[u8]) -> bool {
    REFUSED_IN_TRAILERS.iter().any(|refused| refused.as_bytes().eq_ignore_ascii_case(name))
}

/// Whether a field of this name, in any case, is dropped from a trailer section.
pub(crate) fn is_dropped_from_trailers(name: &[u8]) -> bool {
    DROPPED_FROM_TRAILERS.iter().any(|dropped| dropped.as_bytes().eq_ignore_ascii_case(name))
        || name.get(..DROPPED_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(DROPPED_PREFIX))
}
