//! A request's head: from bytes to a [`Head`].
//!
//! Strict on purpose: what two parsers could read differently is refused, never repaired. Stricter than the RFCs would
//! have it: HTTP/1.2 to 1.9 are refused (RFC 9110 §6.2 would have them processed as 1.1); at most one
//! blank line comes before a request (RFC 9112 §2.2 says "at least one").

use crate::config::Config;
use crate::error::{Limit, ProtocolError};
use crate::framing::{self, Coding, Once, RequestBody, Version};
use crate::headers::{self, Headers, LineScan, ScanFault, Span};
use crate::incoming::Incoming;
use crate::request::{self, Facts, Head, RequestLine, Target, TargetForm};
use crate::syntax;

/// Reads a head as it arrives, each byte once. Each check is made at a place that the stream defines, never where a
/// read ended, so that the first fault is the same at every cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeadParser {
    stage: Stage,
    /// Bytes that came before the head and were skipped: of one blank line, and a CR of a second.
    blank: u8,
    parser: LineParser,
    line: RequestLine,
    /// Where the fields begin.
    start: usize,
    scan: LineScan,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// No byte of the request line is here.
    #[default]
    Before,
    Line,
    Fields,
}

impl HeadParser {
    /// Whether a head has begun. A blank line before it is no part of it: a client of old sends one behind its content.
    pub(crate) fn has_begun(&self) -> bool {
        self.stage != Stage::Before
    }

    /// Whether bytes before the head were skipped: they count.
    pub(crate) fn has_skipped(&self) -> bool {
        self.blank != 0
    }

    /// Bytes of an unfinished head that were looked at.
    pub(crate) fn examined(&self) -> usize {
        match self.stage {
            Stage::Before => 0,
            Stage::Line => self.parser.examined,
            Stage::Fields => self.scan.examined,
        }
    }

    /// Whether the whole head is here.
    pub(crate) fn is_whole(&mut self, incoming: &mut Incoming, config: &Config) -> Result<bool, ProtocolError> {
        if self.stage != Stage::Fields && (incoming.bytes.is_empty() || !self.has_line(incoming, config)?) {
            return Ok(false);
        }
        self.scan.is_whole(&incoming.bytes, self.limit(config)).map_err(|fault| match fault {
            ScanFault::BareLineFeed => ProtocolError::BareLineFeed,
            ScanFault::TooLong => head_too_long(config),
        })
    }

    /// Takes the head, which is here, into `head`, and tells how long it was.
    pub(crate) fn take(
        &mut self,
        incoming: &mut Incoming,
        config: &Config,
        head: &mut Head,
    ) -> Result<usize, ProtocolError> {
        let Self { line, start, scan, .. } = core::mem::take(self);
        // Before their grammar, so malformed lines count too.
        let most = config.limits.fields;
        if scan.lines > most {
            return Err(ProtocolError::exceeded(Limit::Fields, most));
        }
        head.line = line;
        let bytes = incoming.bytes.get(..scan.examined).unwrap_or_default();
        let end = headers::with_table(scan.lines, |table| read_fields(head, bytes, start, table, config))?;
        take_bytes(incoming, end, head);
        if line.parts.form == TargetForm::Absolute {
            // "When an origin server receives a request with an absolute-form of request-target, the origin server MUST
            // ignore the received Host header field (if any) and instead use the host information of the
            // request-target" (RFC 9112 §3.2.2).
            head.headers.replace_host(line.parts.authority);
        }
        Ok(end)
    }

    /// Whether the request line is here.
    #[inline(never)] // asked once or twice a head, where the fields may come byte by byte
    fn has_line(&mut self, incoming: &mut Incoming, config: &Config) -> Result<bool, ProtocolError> {
        if self.stage == Stage::Before {
            if !self.skip_blank_line(incoming, config)? {
                return Ok(false);
            }
            self.stage = Stage::Line;
        }
        let Some((line, end)) = self.parser.step(&incoming.bytes, self.limit(config), config)? else {
            return Ok(false);
        };
        self.line = line;
        self.stage = Stage::Fields;
        self.start = end;
        self.scan = LineScan::at(end);
        Ok(true)
    }

    /// What is left of the limit: a blank line that was skipped counts.
    fn limit(&self, config: &Config) -> usize {
        config.limits.head_bytes.saturating_sub(self.blank.into())
    }

    /// True when the first byte of a request line is there. What comes before it is taken byte by byte, so that a
    /// connection that idles behind a part of it holds nothing.
    fn skip_blank_line(&mut self, incoming: &mut Incoming, config: &Config) -> Result<bool, ProtocolError> {
        loop {
            let bytes: &[u8] = &incoming.bytes;
            match (self.blank, bytes.get(..self.limit(config)).unwrap_or(bytes)) {
                (_, []) if bytes.is_empty() => return Ok(false),
                (_, []) => return Err(head_too_long(config)),
                (0 | 2, [first, ..]) if syntax::is(*first, syntax::TOKEN) => return Ok(true),
                // "a server that is expecting to receive and parse a request-line SHOULD ignore at least one empty line
                // (CRLF) received prior to the request-line" (RFC 9112 §2.2): one. A CR behind it is refused with its
                // byte.
                (0 | 2, [b'\r', ..]) | (1, [b'\n', ..]) => {
                    self.blank = self.blank.saturating_add(1);
                    incoming.skip(1);
                }
                (0 | 2, [b'\n', ..]) => return Err(ProtocolError::BareLineFeed),
                // Also refuses the hello of a TLS client at its first byte.
                _ => return Err(ProtocolError::RequestLine),
            }
        }
    }
}

fn head_too_long(config: &Config) -> ProtocolError {
    ProtocolError::exceeded(Limit::HeadBytes, config.limits.head_bytes)
}

/// Finds the parts of a request line as it arrives: `method SP request-target SP HTTP-version CRLF` (RFC 9112 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LineParser {
    examined: usize,
    first_space: Option<usize>,
    second_space: Option<usize>,
}

impl LineParser {
    /// The line, and where it ends, behind its CRLF.
    fn step(
        &mut self,
        buffer: &[u8],
        limit: usize,
        config: &Config,
    ) -> Result<Option<(RequestLine, usize)>, ProtocolError> {
        let allowed = buffer.get(..limit).unwrap_or(buffer);
        let from = self.examined;
        // All that parts or ends anything is a space or a control character; the bytes between are judged with the
        // line.
        for (past, &byte) in allowed.get(from..).unwrap_or_default().iter().enumerate() {
            if byte > b' ' {
                continue;
            }
            let at = from.saturating_add(past);
            let end = at.saturating_add(1);
            if self.examined < at {
                self.check_lengths(allowed, at, config)?;
            }
            self.examined = end;
            match byte {
                b' ' if self.first_space.is_none() => self.first_space = Some(at),
                b' ' if self.second_space.is_none() => self.second_space = Some(at),
                // Behind a target this may end the line; it is no part of what is too long.
                b'\r' if self.first_space.is_some() => {}
                b'\n' => {
                    let Some(line) = allowed.get(..at).and_then(|line| line.strip_suffix(b"\r")) else {
                        return Err(ProtocolError::BareLineFeed);
                    };
                    let (Some(first), Some(second)) = (self.first_space, self.second_space) else {
                        return Err(ProtocolError::RequestLine);
                    };
                    return judge(line, first, second, config).map(|line| Some((line, end)));
                }
                _ => self.check_lengths(allowed, end, config)?,
            }
        }
        if self.examined < allowed.len() {
            self.check_lengths(allowed, allowed.len(), config)?;
        }
        self.examined = allowed.len();
        let Some(beyond) = buffer.get(limit) else { return Ok(None) };
        match beyond {
            b' ' => {}
            b'\r' | b'\n' if self.first_space.is_some() => {}
            // Where both limits are at this byte: a server "that receives a request-target longer than any URI it
            // wishes to parse MUST respond with a 414" (RFC 9112 §3), while a 431 is a MAY (RFC 6585 §5).
            _ => self.check_lengths(buffer, limit.saturating_add(1), config)?,
        }
        Err(head_too_long(config))
    }

    /// Whether the part that has an ordinary byte before `end` is too long. It is so at the first byte too many.
    fn check_lengths(&self, allowed: &[u8], end: usize, config: &Config) -> Result<(), ProtocolError> {
        let limits = &config.limits;
        match (self.first_space, self.second_space) {
            (None, _) if end > limits.method_bytes => {
                // "A server that receives a method longer than any that it implements SHOULD respond with a 501" (RFC
                // 9112 §3), if it is a method.
                let method = allowed.get(..limits.method_bytes.saturating_add(1)).unwrap_or_default();
                let too_long = ProtocolError::exceeded(Limit::MethodBytes, limits.method_bytes);
                Err(if syntax::is_token(method) { too_long } else { ProtocolError::Method })
            }
            (Some(space), None) if end.saturating_sub(space) > limits.target_bytes.saturating_add(1) => {
                Err(ProtocolError::exceeded(Limit::TargetBytes, limits.target_bytes))
            }
            _ => Ok(()),
        }
    }
}

/// Judges `line`, which is without its CRLF, by its first two spaces. In this order, which is that of the errors: three
/// parts, each parted by one SP; version; method; whether CONNECT is enabled; target.
fn judge(line: &[u8], first: usize, second: usize, config: &Config) -> Result<RequestLine, ProtocolError> {
    let start = first.saturating_add(1);
    let (method, target) = (Span::new(0..first), Span::new(start..second));
    let rest = line.get(second.saturating_add(1)..).unwrap_or_default();
    let version = match version(rest) {
        _ if target.is_empty() => return Err(ProtocolError::RequestLine),
        Err(_) if rest.contains(&b' ') => return Err(ProtocolError::RequestLine),
        version => version?,
    };
    let name = method.of(line);
    // `PRI` opens HTTP/2's connection preface, and "PRI * HTTP/2.0" has been refused for its version.
    if !syntax::is_token(name) || name == b"PRI" {
        return Err(ProtocolError::Method);
    }
    if name == b"CONNECT" && !config.connect {
        return Err(ProtocolError::ConnectDisabled);
    }
    let parts = parts(name, line.get(..second).unwrap_or_default(), start).ok_or(ProtocolError::Target)?;
    Ok(RequestLine { method, target, parts, version })
}

/// `HTTP-version = "HTTP" "/" DIGIT "." DIGIT`, case-sensitive (RFC 9112 §2.3).
fn version(bytes: &[u8]) -> Result<Version, ProtocolError> {
    match bytes {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(ProtocolError::VersionNotSupported),
        _ => Err(ProtocolError::Version),
    }
}

/// The form of a target and its parts (RFC 9112 §3.2): it is the rest of `line` from `start` on.
fn parts(method: &[u8], line: &[u8], start: usize) -> Option<Target> {
    let target = line.get(start..)?;
    let end = line.len();
    // "the authority-form of request-target is only used for CONNECT requests" (RFC 9112 §3.2.3).
    if method == b"CONNECT" {
        return syntax::is_authority_with_port(target).then(|| Target {
            form: TargetForm::Authority,
            authority: Span::new(start..end),
            ..Target::default()
        });
    }
    match target {
        // "the asterisk-form of request-target is only used for a server-wide OPTIONS request" (RFC 9112 §3.2.4).
        b"*" => (method == b"OPTIONS").then(|| Target {
            form: TargetForm::Asterisk,
            path: Span::new(start..end),
            ..Target::default()
        }),
        [b'/', ..] => {
            let (path, query, found) = path_and_query(line, start)?;
            (found == end).then(|| Target { form: TargetForm::Origin, path, query, authority: Span::default() })
        }
        _ => {
            let scheme = [&b"http://"[..], b"https://"]
                .into_iter()
                .find(|scheme| target.get(..scheme.len()).is_some_and(|found| found.eq_ignore_ascii_case(scheme)))?;
            let rest = target.get(scheme.len()..)?;
            let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
            // "a recipient SHOULD parse for userinfo and treat its presence as an error" (RFC 9110 §4.2.4): `@` is no
            // part of a host.
            syntax::is_authority(rest.get(..length)?).then_some(())?;
            let at = start.saturating_add(scheme.len());
            let path_at = at.saturating_add(length);
            let (path, query, found) = path_and_query(line, path_at)?;
            let authority = Span::new(at..path_at);
            (found == end).then_some(Target { form: TargetForm::Absolute, authority, path, query })
        }
    }
}

/// The path and the query that begin at `start`, and where the last of them ends: `absolute-path [ "?" query ]`, and
/// what clients really send besides. No fragment: it is no part of a request target. (No sum wraps: each is a place in
/// `line`.)
#[inline]
fn path_and_query(line: &[u8], start: usize) -> Option<(Span, Span, usize)> {
    let mark = start.wrapping_add(syntax::run(line.get(start..)?, syntax::PATH));
    let path = Span::new(start..mark);
    if line.get(mark) != Some(&b'?') {
        return Some((path, Span::default(), mark));
    }
    let at = mark.wrapping_add(1);
    let end = at.wrapping_add(syntax::run(line.get(at..)?, syntax::QUERY));
    Some((path, Span::new(at..end), end))
}

/// Few heads of up to this size have more than eight fields. One that does goes the long way.
const SHORT_HEAD: usize = 128;

/// The short way: takes a head as nearly all are, here to its end, without a fault, with a target in origin-form and
/// few fields, and tells how long it was. `None` for any other, which then goes the long way: only there it is said
/// what is wrong.
pub(crate) fn take_whole(incoming: &mut Incoming, config: &Config, head: &mut Head) -> Option<usize> {
    let bytes: &[u8] = &incoming.bytes;
    let bytes = bytes.get(..config.limits.head_bytes).unwrap_or(bytes);
    let start = whole_line(bytes, config, &mut head.line)?;
    // A table is filled before httparse looks at it, which for few fields costs as much as what it does with them.
    let (mut small, mut large);
    let table: &mut [_] = if bytes.len() <= SHORT_HEAD {
        small = [httparse::EMPTY_HEADER; 8];
        &mut small
    } else {
        large = [httparse::EMPTY_HEADER; Headers::FEW];
        &mut large
    };
    let most = table.len().min(config.limits.fields);
    let table = table.get_mut(..most)?;
    let end = read_fields(head, bytes, start, table, config).ok()?;
    take_bytes(incoming, end, head);
    Some(end)
}

/// Takes the bytes of a head that was read.
fn take_bytes(incoming: &mut Incoming, end: usize, head: &mut Head) {
    incoming.take_into(end, &mut head.headers.raw);
    if head.facts.body == RequestBody::Length(0) {
        incoming.give_back();
    }
}

/// Reads the request line of such a head into `line`, where it stays, and tells where it ends. What it takes, [`judge`]
/// would take as the same. (No sum wraps: each is a place in `bytes`, or just behind it.)
fn whole_line(bytes: &[u8], config: &Config, line: &mut RequestLine) -> Option<usize> {
    // Most methods are this one.
    let space = if bytes.starts_with(b"GET ") { 3 } else { syntax::run(bytes, syntax::TOKEN) };
    let start = space.wrapping_add(1);
    let (method, [b' ', b'/', ..]) = bytes.split_at_checked(space)? else { return None };
    let (path, query, end) = path_and_query(bytes, start)?;
    let version = match bytes.get(end..)? {
        rest if rest.starts_with(b" HTTP/1.1\r\n") => Version::Http11,
        rest if rest.starts_with(b" HTTP/1.0\r\n") => Version::Http10,
        _ => return None,
    };
    if matches!(method, b"" | b"CONNECT" | b"PRI")
        || space > config.limits.method_bytes
        || end.wrapping_sub(start) > config.limits.target_bytes
    {
        return None;
    }
    let parts = Target { form: TargetForm::Origin, path, query, authority: Span::default() };
    *line = RequestLine { method: Span::new(0..space), target: Span::new(start..end), parts, version };
    Some(end.wrapping_add(b" HTTP/1.1\r\n".len()))
}

/// Reads and judges the fields, at most as many as `table` has places, which begin at `start`, and tells where they
/// end. In this order, which is that of the errors: grammar (400), Host, Connection, Content-Length, Transfer-Encoding,
/// both together (400), another coding (501), body limit (413), Expect (417).
fn read_fields<'a>(
    head: &mut Head,
    bytes: &'a [u8],
    start: usize,
    table: &mut [httparse::Header<'a>],
    config: &Config,
) -> Result<usize, ProtocolError> {
    let mut said = Said::default();
    let end = head.headers.parse(bytes, start, table, |name, value| said.add(name, value));
    let end = end.ok_or(ProtocolError::Field)?;
    head.facts = said.judge(head.line.version, config)?;
    Ok(end)
}

/// What the fields say to the connection, as they are parsed.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts of one head, not phases of anything")]
struct Said {
    /// Only whether it is right: its value is among the fields.
    host: Once<()>,
    content_length: Once<u64>,
    transfer_encoding: Once<Coding>,
    /// `100-continue`: any other is wrong.
    expect: Once<()>,
    /// An option of `connection`, as the next two are.
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    /// An option of `connection` is no token.
    odd_option: bool,
    /// A protocol that may be switched to.
    offers_upgrade: bool,
    accepts_trailers: bool,
}

impl Said {
    fn add(&mut self, name: &[u8], value: &[u8]) {
        // Most names are seen not to be one of these by how long they are.
        match name.len() {
            2 if syntax::is_name(name, b"te") => self.add_codings(value),
            4 if syntax::is_name(name, b"host") => {
                self.host.add((value.is_empty() || syntax::is_authority(value)).then_some(()));
            }
            6 if syntax::is_name(name, b"expect") => {
                self.expect.add(value.eq_ignore_ascii_case(b"100-continue").then_some(()));
            }
            7 if syntax::is_name(name, b"upgrade") => self.add_protocols(value),
            10 if syntax::is_name(name, b"connection") => self.add_options(value),
            14 if syntax::is_name(name, b"content-length") => self.content_length.add(syntax::decimal(value)),
            17 if syntax::is_name(name, b"transfer-encoding") => {
                self.transfer_encoding.add(framing::transfer_coding(value));
            }
            _ => {}
        }
    }

    // What few requests have is looked at out of line, so that the loop over the fields stays short.

    #[inline(never)]
    fn add_codings(&mut self, value: &[u8]) {
        // `t-codings = "trailers" / ( transfer-coding [ weight ] )` (RFC 9110 §10.1.4): the keyword has no parameters.
        let mut codings = syntax::members_with_parameters(value);
        self.accepts_trailers |= codings.any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
    }

    #[inline(never)]
    fn add_protocols(&mut self, value: &[u8]) {
        self.offers_upgrade |= syntax::members(value).any(request::may_be_switched_to);
    }

    #[inline(never)]
    fn add_options(&mut self, value: &[u8]) {
        // Mostly that is all, and no list has to be parted.
        if syntax::is_name(value, b"keep-alive") {
            self.keep_alive = true;
            return;
        }
        for option in syntax::members(value) {
            self.odd_option |= !syntax::is_token(option);
            self.close |= syntax::is_name(option, b"close");
            self.keep_alive |= syntax::is_name(option, b"keep-alive");
            self.upgrade |= syntax::is_name(option, b"upgrade");
        }
    }

    fn judge(&self, version: Version, config: &Config) -> Result<Facts, ProtocolError> {
        // "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host
        // header field and to any request message that contains more than one Host header field line or a Host header
        // field with an invalid field value" (RFC 9112 §3.2).
        if self.host.valid_or(ProtocolError::Host)?.is_none() && version == Version::Http11 {
            return Err(ProtocolError::Host);
        }
        if self.odd_option {
            return Err(ProtocolError::Connection);
        }
        let max_body_bytes = config.limits.body_bytes;
        let body = framing::request_body(version, self.content_length, self.transfer_encoding, max_body_bytes)?;
        let has_body = body != RequestBody::Length(0);
        // "A server that receives a 100-continue expectation in an HTTP/1.0 request MUST ignore that expectation", and
        // it "MAY omit sending a 100 (Continue) response … if the framing indicates that there is no content" (RFC 9110
        // §10.1.1).
        let expects_continue =
            version == Version::Http11 && has_body && self.expect.valid_or(ProtocolError::Expectation)?.is_some();
        Ok(Facts {
            body,
            has_length: self.content_length != Once::Absent,
            persistent: !self.close && (version == Version::Http11 || self.keep_alive),
            expects_continue,
            accepts_trailers: self.accepts_trailers,
            upgrades: self.upgrade && self.offers_upgrade && version == Version::Http11 && !has_body,
        })
    }
}
