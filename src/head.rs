//! A request's head: from bytes to a [`Request`].
//!
//! Stricter than the RFC allows a server to be, on purpose: "what two parsers could read differently is refused, never
//! repaired". Deviations: HTTP/1.2 to 1.9 are refused (RFC 9110 §2.5 would have them processed as 1.1); at most one
//! blank line comes before a request (RFC 9112 §2.2 says "at least one").

use bytes::{Buf as _, Bytes};

use crate::config::Config;
use crate::error::{Limit, ProtocolError};
use crate::framing::{self, Lines, RequestBody, Version};
use crate::headers::{Headers, LineScan, ScanFault, Span};
use crate::incoming::Incoming;
use crate::request::{Facts, Request, RequestLine, Target, TargetForm};
use crate::syntax;

/// Reads a head as it arrives, each byte once, and judges it where the stream says so, not where a read ended: "each
/// check has one verdict point in the stream".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeadParser {
    stage: Stage,
    /// Length of the blank line that came before the head and was skipped.
    blank: usize,
    line: RequestLine,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// No byte of the request line is here.
    #[default]
    Before,
    Line(LineParser),
    Fields {
        start: usize,
        scan: LineScan,
    },
}

impl HeadParser {
    /// Whether a head has begun. "A blank line before it is not one."
    pub(crate) fn has_begun(&self) -> bool {
        self.stage != Stage::Before
    }

    /// Bytes of an unfinished head that were looked at.
    pub(crate) fn examined(&self) -> usize {
        match &self.stage {
            Stage::Before => 0,
            Stage::Line(line) => line.examined,
            Stage::Fields { scan, .. } => scan.examined,
        }
    }

    /// Takes a whole head off what came, if there is one; `spare` is an old one whose memory may be used again.
    pub(crate) fn step(
        &mut self,
        incoming: &mut Incoming,
        config: &Config,
        spare: &mut Option<Request>,
    ) -> Result<Option<Request>, ProtocolError> {
        loop {
            // "A head is counted from its first byte, a skipped blank line included."
            let limit = config.limits.head_bytes.saturating_sub(self.blank);
            match &mut self.stage {
                Stage::Before => {
                    if !self.skip_blank_line(incoming, config)? {
                        return Ok(None);
                    }
                    self.stage = Stage::Line(LineParser::default());
                }
                Stage::Line(parser) => match parser.step(&incoming.bytes, limit, config)? {
                    Some((line, end)) => {
                        self.line = line;
                        self.stage = Stage::Fields { start: end, scan: LineScan::at(end) };
                    }
                    None => return Ok(None),
                },
                Stage::Fields { start, scan } => {
                    let end = scan.end(&incoming.bytes, limit).map_err(|fault| match fault {
                        ScanFault::BareLineFeed => ProtocolError::BareLineFeed,
                        ScanFault::TooLong => head_too_long(config),
                    })?;
                    let Some(end) = end else { return Ok(None) };
                    let (start, lines, line) = (*start, scan.lines, self.line);
                    *self = Self::default();
                    let raw = incoming.take(end);
                    let judge = |headers: &mut Headers| judge_fields(headers, raw, start, lines, line, config);
                    return Request::new(line, spare.take(), judge).map(Some);
                }
            }
        }
    }

    /// True when the first byte of a request line is there.
    fn skip_blank_line(&mut self, incoming: &mut Incoming, config: &Config) -> Result<bool, ProtocolError> {
        loop {
            let buffer = &mut incoming.bytes;
            let mut bytes = buffer.iter().take(config.limits.head_bytes.saturating_sub(self.blank));
            let Some(&first) = bytes.next() else {
                return if buffer.is_empty() { Ok(false) } else { Err(head_too_long(config)) };
            };
            match (first, bytes.next()) {
                (b'\r', None) if buffer.len() > 1 => return Err(head_too_long(config)),
                (b'\r', None) => return Ok(false),
                // "a server that is expecting to receive and parse a request-line SHOULD ignore at least one empty line
                // (CRLF) received prior to the request-line" (RFC 9112 §2.2): one.
                (b'\r', Some(b'\n')) if self.blank == 0 => {
                    self.blank = 2;
                    buffer.advance(2);
                }
                (b'\n', _) => return Err(ProtocolError::BareLineFeed),
                _ if syntax::is(first, syntax::TOKEN) => return Ok(true),
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
        // All that parts or ends anything is a space or a control character; the bytes between are judged with the line.
        while let Some(between) =
            allowed.get(self.examined..).and_then(|rest| rest.iter().position(|&byte| byte <= b' '))
        {
            let at = self.examined.saturating_add(between);
            let end = at.saturating_add(1);
            if between > 0 {
                self.check_lengths(allowed, at, config)?;
            }
            match (allowed.get(..at), allowed.get(at)) {
                (Some([line @ .., b'\r']), Some(b'\n')) => return Ok(Some((self.judge(line, config)?, end))),
                (_, Some(b'\n')) => return Err(ProtocolError::BareLineFeed),
                (_, Some(b' ')) if self.first_space.is_none() => self.first_space = Some(at),
                (_, Some(b' ')) if self.second_space.is_none() => self.second_space = Some(at),
                // Behind a target this may end the line; it is no part of what is too long.
                (_, Some(b'\r')) if self.first_space.is_some() => {}
                _ => self.check_lengths(allowed, end, config)?,
            }
            self.examined = end;
        }
        if self.examined < allowed.len() {
            self.check_lengths(allowed, allowed.len(), config)?;
        }
        self.examined = allowed.len();
        if buffer.len() > limit { Err(head_too_long(config)) } else { Ok(None) }
    }

    /// Whether the part that has an ordinary byte before `end` is too long: "a size limit at its first byte too many".
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

    /// "the request line at its CRLF (three parts, each parted by one SP, else 400; then version, method, CONNECT's 501
    /// before its target is looked at, target)".
    fn judge(&self, line: &[u8], config: &Config) -> Result<RequestLine, ProtocolError> {
        let (Some(first), Some(second)) = (self.first_space, self.second_space) else {
            return Err(ProtocolError::RequestLine);
        };
        let after = |space: usize| space.saturating_add(1);
        let (method, target) = (Span::new(0..first), Span::new(after(first)..second));
        let rest = line.get(after(second)..).unwrap_or_default();
        if target.is_empty() || rest.contains(&b' ') {
            return Err(ProtocolError::RequestLine);
        }
        let version = version(rest)?;
        let name = method.of(line);
        // `PRI` opens HTTP/2's connection preface, and "PRI * HTTP/2.0" has been refused for its version.
        if !syntax::is_token(name) || name == b"PRI" {
            return Err(ProtocolError::Method);
        }
        if name == b"CONNECT" && !config.connect {
            return Err(ProtocolError::ConnectDisabled);
        }
        let parts = parts(name, target.of(line), after(first)).ok_or(ProtocolError::Target)?;
        Ok(RequestLine { method, target, parts, version })
    }
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

/// The form of a target and its parts (RFC 9112 §3.2); `start` is where it lies in the head.
fn parts(method: &[u8], target: &[u8], start: usize) -> Option<Target> {
    let end = start.saturating_add(target.len());
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
            let (path, query) = path_and_query(target, start)?;
            Some(Target { form: TargetForm::Origin, path, query, authority: Span::default() })
        }
        _ => {
            let scheme = [&b"http://"[..], b"https://"]
                .into_iter()
                .find(|scheme| target.get(..scheme.len()).is_some_and(|found| found.eq_ignore_ascii_case(scheme)))?;
            let rest = target.get(scheme.len()..)?;
            let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
            let (authority, hierarchy) = rest.split_at_checked(length)?;
            // No userinfo: "its use is deprecated", and phishing's (RFC 9110 §4.2.4); `@` is no part of a host.
            syntax::is_authority(authority).then_some(())?;
            let at = start.saturating_add(scheme.len());
            let path_at = at.saturating_add(length);
            let (path, query) = path_and_query(hierarchy, path_at)?;
            Some(Target { form: TargetForm::Absolute, authority: Span::new(at..path_at), path, query })
        }
    }
}

/// `absolute-path [ "?" query ]`, and what clients really send besides. No fragment: it is no part of a request target.
fn path_and_query(bytes: &[u8], start: usize) -> Option<(Span, Span)> {
    let mark = bytes.iter().position(|&byte| !syntax::is(byte, syntax::PATH));
    let end = start.saturating_add(bytes.len());
    match mark {
        None => Some((Span::new(start..end), Span::default())),
        Some(mark) => match bytes.get(mark..)? {
            [b'?', query @ ..] => {
                let at = start.saturating_add(mark);
                syntax::all(query, syntax::QUERY).then(|| (Span::new(start..at), Span::new(at.saturating_add(1)..end)))
            }
            _ => None,
        },
    }
}

/// Judges the fields, "at the head's end", in this order: "number of field lines, well-formed or not (431), field
/// grammar (400), Host, Connection, Content-Length, Transfer-Encoding, both together, coding (501), body limit (413),
/// Expect (417)".
fn judge_fields(
    headers: &mut Headers,
    raw: Bytes,
    start: usize,
    lines: usize,
    line: RequestLine,
    config: &Config,
) -> Result<Facts, ProtocolError> {
    if lines > config.limits.fields {
        return Err(ProtocolError::exceeded(Limit::Fields, config.limits.fields));
    }
    if !headers.parse(raw, start, lines) {
        return Err(ProtocolError::Field);
    }
    let facts = facts(headers, line, config)?;
    if line.parts.form == TargetForm::Absolute {
        // "When an origin server receives a request with an absolute-form of request-target, the origin server MUST
        // ignore the received Host header field (if any) and instead use the host information of the request-target"
        // (RFC 9112 §3.2.2).
        headers.replace_host(line.parts.authority);
    }
    Ok(facts)
}

fn facts(headers: &Headers, line: RequestLine, config: &Config) -> Result<Facts, ProtocolError> {
    let version = line.version;
    let [mut host, mut content_length, mut transfer_encoding, mut expect] = [Lines::default(); 4];
    let (mut close, mut keep_alive, mut upgrade, mut options_are_tokens) = (false, false, false, true);
    let (mut has_upgrade, mut takes_trailers) = (false, false);
    for field in headers {
        let value = field.value();
        match field.name() {
            "host" => host.add(value),
            "content-length" => content_length.add(value),
            "transfer-encoding" => transfer_encoding.add(value),
            "expect" => expect.add(value),
            "connection" => {
                for option in syntax::members(value) {
                    options_are_tokens &= syntax::is_token(option);
                    close |= option.eq_ignore_ascii_case(b"close");
                    keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    upgrade |= option.eq_ignore_ascii_case(b"upgrade");
                }
            }
            "upgrade" => has_upgrade = true,
            "te" => {
                let names = syntax::members(value).filter_map(|member| member.split(|&byte| byte == b';').next());
                takes_trailers |= names.map(syntax::trim_ows).any(|name| name.eq_ignore_ascii_case(b"trailers"));
            }
            _ => {}
        }
    }

    // "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host
    // header field and to any request message that contains more than one Host header field line or a Host header field
    // with an invalid field value" (RFC 9112 §3.2).
    match host.single(ProtocolError::Host)? {
        Some(host) if host.is_empty() || syntax::is_authority(host) => {}
        None if version == Version::Http10 => {}
        Some(_) | None => return Err(ProtocolError::Host),
    }
    if !options_are_tokens {
        return Err(ProtocolError::Connection);
    }
    let body = framing::request_body(version, content_length, transfer_encoding, config.limits.body_bytes)?;
    let has_body = body != RequestBody::Length(0);
    // "A server that receives a 100-continue expectation in an HTTP/1.0 request MUST ignore that expectation", and it
    // "MAY omit … if there is no content" (RFC 9110 §10.1.1).
    let expects_continue = match expect.single(ProtocolError::Expectation) {
        _ if version == Version::Http10 || !has_body => false,
        Ok(Some(value)) if value.eq_ignore_ascii_case(b"100-continue") => true,
        Ok(None) => false,
        Ok(Some(_)) | Err(_) => return Err(ProtocolError::Expectation),
    };
    Ok(Facts {
        body,
        has_length: content_length.first.is_some(),
        persistent: !close && (version == Version::Http11 || keep_alive),
        expects_continue,
        takes_trailers,
        upgrades: upgrade && has_upgrade && version == Version::Http11 && !has_body,
    })
}
