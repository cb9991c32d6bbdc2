//! R: what a stream of bytes says, if it is a stream of HTTP/1.1 requests; or by which of its bytes it is refused.
//!
//! Written from RFC 9112, RFC 9110 and, where these leave room, the project's own rules: a sentence in quotes without a
//! source is one of those (`SECURITY.md` tells which are stricter than the RFCs). It reads one byte after the other and
//! never looks ahead, so what it says of a stream it says of all that begin with it.

use super::grammar::{
    self, CR, Field, HTAB, LF, SP, elements, field_line, hexadecimal, is, is_obs_text, is_one_of, is_ows, is_tchar,
    is_token, is_vchar, values,
};

/// "up to 2⁶³−1"
const MAX_LENGTH: u64 = (1 << 63) - 1;

/// "Sizes are inclusive: the limit itself passes."
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) head_bytes: usize,
    pub(crate) method_bytes: usize,
    pub(crate) target_bytes: usize,
    pub(crate) fields: usize,
    pub(crate) chunk_line_bytes: usize,
    pub(crate) chunk_extension_bytes: u64,
    pub(crate) trailer_bytes: usize,
    pub(crate) body_bytes: u64,
    /// Whether CONNECT is served.
    pub(crate) connect: bool,
}

impl Limits {
    /// The project's.
    pub(crate) const DEFAULT: Self = Self {
        head_bytes: 32 * 1024,
        method_bytes: 32,
        target_bytes: 8 * 1024,
        fields: 100,
        chunk_line_bytes: 256,
        chunk_extension_bytes: 16 * 1024,
        trailer_bytes: 8 * 1024,
        body_bytes: MAX_LENGTH,
        connect: false,
    };
}

/// One request. Offsets count the bytes of the stream up to and with the one that decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "four facts that have nothing to do with each other")]
pub(crate) struct Request {
    pub(crate) method: Vec<u8>,
    pub(crate) target: Vec<u8>,
    pub(crate) raw_path: Vec<u8>,
    pub(crate) query: Vec<u8>,
    pub(crate) authority: Vec<u8>,
    /// The version is HTTP/1 and this.
    pub(crate) minor: u8,
    pub(crate) fields: Vec<Field>,
    /// `None`: chunked, or no such field.
    pub(crate) content_length: Option<u64>,
    pub(crate) has_body: bool,
    /// The protocols that a 101 may switch to.
    pub(crate) upgrades: Vec<Vec<u8>>,
    pub(crate) expects_continue: bool,
    pub(crate) takes_trailers: bool,
    /// Whether the client would keep the connection, if the length of the response is known.
    pub(crate) is_persistent: bool,
    /// As much as is here.
    pub(crate) body: Vec<u8>,
    /// Those that are kept.
    pub(crate) trailers: Vec<Field>,
    pub(crate) head_end: usize,
    pub(crate) end: Option<usize>,
}

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The bytes end here: between requests, a blank line included, or inside one.
    Incomplete {
        inside: bool,
    },
    Refused {
        status: u16,
        at: usize,
    },
    /// The last request was the connection's last: "what still arrives is neither parsed nor stored".
    Finished {
        at: usize,
    },
}

/// A whole stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) requests: Vec<Request>,
    pub(crate) stop: Stop,
}

/// Why a part of the grammar came to no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Halt {
    Dry,
    Refused(u16),
}

pub(crate) fn recognise(bytes: &[u8], limits: &Limits) -> Stream {
    let mut cursor = Cursor { bytes, at: 0 };
    let mut requests = Vec::new();
    let stop = loop {
        let start = cursor.at;
        let mut head = match read_head(&mut cursor, limits) {
            Ok(head) => head,
            // A blank line "begins no head", and a CR is no more than one yet.
            Err(Halt::Dry) => break Stop::Incomplete { inside: !b"\r\n\r".starts_with(&bytes[start..]) },
            Err(Halt::Refused(status)) => break Stop::Refused { status, at: cursor.at },
        };
        let end = read_body(&mut cursor, &mut head, limits);
        let mut request = head.request;
        request.end = end.is_ok().then_some(cursor.at);
        let is_persistent = request.is_persistent;
        requests.push(request);
        match end {
            Ok(()) if is_persistent => {}
            Ok(()) => break Stop::Finished { at: cursor.at },
            Err(Halt::Dry) => break Stop::Incomplete { inside: true },
            Err(Halt::Refused(status)) => break Stop::Refused { status, at: cursor.at },
        }
    };
    Stream { requests, stop }
}

/// The bytes, and how many of them were taken: the place of any verdict.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn next(&mut self) -> Result<u8, Halt> {
        let byte = *self.bytes.get(self.at).ok_or(Halt::Dry)?;
        self.at += 1;
        Ok(byte)
    }
}

struct Head {
    request: Request,
    framing: Framing,
    /// The members of `connection`.
    options: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
}

fn read_head(cursor: &mut Cursor, limits: &Limits) -> Result<Head, Halt> {
    let start = cursor.at;
    let line = read_request_line(cursor, limits)?;
    let lines = read_lines(cursor, start, limits.head_bytes)?;
    let fields = judge_lines(&lines, limits)?;
    judge_fields(line, fields, limits, cursor.at)
}

/// "a size limit at its first byte too many"
fn within(cursor: &Cursor, start: usize, limit: usize) -> Result<(), Halt> {
    if cursor.at - start > limit { Err(Halt::Refused(431)) } else { Ok(()) }
}

/// What a request line says.
struct RequestLine {
    method: Vec<u8>,
    target: Vec<u8>,
    parts: Target,
    minor: u8,
}

fn read_request_line(cursor: &mut Cursor, limits: &Limits) -> Result<RequestLine, Halt> {
    let start = cursor.at;
    let mut byte = cursor.next()?;
    within(cursor, start, limits.head_bytes)?;
    if byte == CR {
        // "One CRLF": a server "SHOULD ignore at least one empty line (CRLF) received prior to the request-line" (RFC
        // 9112 §2.2). "A CR there that no LF follows, at the byte behind it."
        let next = cursor.next()?;
        within(cursor, start, limits.head_bytes)?;
        if next != LF {
            return Err(Halt::Refused(400));
        }
        byte = cursor.next()?;
        within(cursor, start, limits.head_bytes)?;
        if byte == CR {
            // "A second one 400", and anything else behind this CR too.
            cursor.next()?;
            within(cursor, start, limits.head_bytes)?;
            return Err(Halt::Refused(400));
        }
    }
    // "The first byte of a request line … that is neither a token character nor CR, at that byte."
    if !is_tchar(byte) {
        return Err(Halt::Refused(400));
    }

    let line_start = cursor.at - 1;
    let mut spaces = 0;
    let mut part_bytes = 0;
    let mut before = 0;
    loop {
        if byte == SP {
            spaces += 1;
            part_bytes = 0;
        } else {
            part_bytes += 1;
        }
        // "Any token up to 32 bytes … at the 33rd byte 501, or 400 if one of the 33 is no token character."
        if spaces == 0 && part_bytes > limits.method_bytes {
            let is_token = is_token(&cursor.bytes[line_start..cursor.at]);
            return Err(Halt::Refused(if is_token { 501 } else { 400 }));
        }
        // "414 at the first byte too many that is not SP, CR or LF." Where the head's limit ends at the same byte, this
        // one counts: a server "that receives a request-target longer than any URI it wishes to parse MUST respond with
        // a 414" (RFC 9112 §3), while a 431 is a MAY (RFC 6585 §5).
        if spaces == 1 && part_bytes > limits.target_bytes && ![SP, CR, LF].contains(&byte) {
            return Err(Halt::Refused(414));
        }
        within(cursor, start, limits.head_bytes)?;
        if byte == LF {
            // "A bare LF at that byte."
            if before != CR {
                return Err(Halt::Refused(400));
            }
            return judge_request_line(&cursor.bytes[line_start..cursor.at - 2], limits);
        }
        before = byte;
        byte = cursor.next()?;
    }
}

/// "Three parts, each parted by one SP, else 400; then version, method, CONNECT's 501 before its target is looked at,
/// target."
fn judge_request_line(line: &[u8], limits: &Limits) -> Result<RequestLine, Halt> {
    let parts: Vec<&[u8]> = line.split(|&byte| byte == SP).collect();
    // Two spaces in a row are not "one SP", so an empty part is none.
    let [method, target, version] = parts[..] else { return Err(Halt::Refused(400)) };
    if method.is_empty() || target.is_empty() || version.is_empty() {
        return Err(Halt::Refused(400));
    }
    let minor = judge_version(version)?;
    // "`PRI` with 1.x 400"
    if !is_token(method) || method == b"PRI" {
        return Err(Halt::Refused(400));
    }
    if method == b"CONNECT" && !limits.connect {
        return Err(Halt::Refused(501));
    }
    let parts = judge_target(method, target).ok_or(Halt::Refused(400))?;
    Ok(RequestLine { method: method.to_vec(), target: target.to_vec(), parts, minor })
}

/// "HTTP-version = HTTP-name "/" DIGIT "." DIGIT", case-sensitive (RFC 9112 §2.3). "Any other `HTTP/d.d` 505; anything
/// else 400."
fn judge_version(version: &[u8]) -> Result<u8, Halt> {
    match version {
        b"HTTP/1.0" => Ok(0),
        b"HTTP/1.1" => Ok(1),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Err(Halt::Refused(505))
        }
        _ => Err(Halt::Refused(400)),
    }
}

/// What a target says: the authority is `None` where Host has it.
struct Target {
    raw_path: Vec<u8>,
    query: Vec<u8>,
    authority: Option<Vec<u8>>,
    is_absolute: bool,
}

/// "request-target = origin-form / absolute-form / authority-form / asterisk-form" (RFC 9112 §3.2).
fn judge_target(method: &[u8], target: &[u8]) -> Option<Target> {
    if method == b"CONNECT" {
        // "authority-form with CONNECT only". "A server MUST reject a CONNECT request that targets an empty or invalid
        // port number" (RFC 9110 §9.3.6).
        let port = grammar::authority(target)?.port?;
        let authority = Some(target.to_vec());
        return (!port.is_empty()).then_some(Target {
            raw_path: Vec::new(),
            query: Vec::new(),
            authority,
            is_absolute: false,
        });
    }
    if target == b"*" {
        // "`*` with OPTIONS only"
        let target = Target { raw_path: b"*".to_vec(), query: Vec::new(), authority: None, is_absolute: false };
        return (method == b"OPTIONS").then_some(target);
    }
    if target.first() == Some(&b'/') {
        let (raw_path, query) = judge_path_and_query(target)?;
        return Some(Target { raw_path, query, authority: None, is_absolute: false });
    }
    // "absolute-form (`http`, `https`; no userinfo …)": absolute-URI = scheme ":" hier-part [ "?" query ], and for
    // these two hier-part = "//" authority path-abempty (RFC 9110 §4.2.1).
    let colon = target.iter().position(|&byte| byte == b':')?;
    let (scheme, rest) = target.split_at(colon);
    let rest = rest.strip_prefix(b"://").filter(|_| is_one_of(scheme, &["http", "https"]))?;
    let authority_end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(authority_end);
    grammar::authority(authority)?;
    let (mut raw_path, query) = judge_path_and_query(rest)?;
    if raw_path.is_empty() {
        // "`OPTIONS http://a` means `*`"; "absolute-form: its path, `/` if empty, but `*` for an OPTIONS with neither
        // path nor query", where "none and empty are the same" (design, `Request`).
        raw_path = if method == b"OPTIONS" && query.is_empty() { b"*".to_vec() } else { b"/".to_vec() };
    }
    Some(Target { raw_path, query, authority: Some(authority.to_vec()), is_absolute: true })
}

/// "Raw non-ASCII, controls and `#` refused; … in a query all other visible ASCII, in a path all but `<`, `>`, `\`, a
/// backtick."
fn judge_path_and_query(bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let path_end = bytes.iter().position(|&byte| byte == b'?').unwrap_or(bytes.len());
    let (path, rest) = bytes.split_at(path_end);
    let query = rest.strip_prefix(b"?").unwrap_or_default();
    let is_query_byte = |&byte: &u8| is_vchar(byte) && byte != b'#';
    let is_path_byte = |byte: &u8| is_query_byte(byte) && !b"<>\\`".contains(byte);
    let is_right = path.iter().all(is_path_byte) && query.iter().all(is_query_byte);
    is_right.then(|| (path.to_vec(), query.to_vec()))
}

/// The lines of a field section, up to its empty one, which is not among them.
fn read_lines<'a>(cursor: &mut Cursor<'a>, start: usize, limit: usize) -> Result<Vec<&'a [u8]>, Halt> {
    let mut lines = Vec::new();
    loop {
        let line_start = cursor.at;
        let mut before = 0;
        loop {
            let byte = cursor.next()?;
            within(cursor, start, limit)?;
            if byte == LF && before != CR {
                // "A bare LF at that byte."
                return Err(Halt::Refused(400));
            }
            if byte == LF {
                break;
            }
            before = byte;
        }
        let line = &cursor.bytes[line_start..cursor.at - 2];
        if line.is_empty() {
            return Ok(lines);
        }
        lines.push(line);
    }
}

/// "Number of field lines, well-formed or not (431), field grammar (400)".
fn judge_lines(lines: &[&[u8]], limits: &Limits) -> Result<Vec<Field>, Halt> {
    if lines.len() > limits.fields {
        return Err(Halt::Refused(431));
    }
    lines.iter().map(|line| field_line(line).ok_or(Halt::Refused(400))).collect()
}

/// "… Host, Connection, Content-Length, Transfer-Encoding, both together, coding (501), body limit (413), Expect
/// (417)".
fn judge_fields(line: RequestLine, fields: Vec<Field>, limits: &Limits, head_end: usize) -> Result<Head, Halt> {
    let bad = Halt::Refused(400);
    let is_1_1 = line.minor == 1;

    match values(&fields, "host")[..] {
        // "required on 1.1, absent is fine on 1.0, never two, on either"
        [] if !is_1_1 => {}
        // "or the whole value empty"
        [host] if host.is_empty() || grammar::authority(host).is_some() => {}
        _ => return Err(bad),
    }

    // "All lines; a list of tokens (empty members skipped); a member that is no token 400."
    let options: Vec<Vec<u8>> = elements(&fields, "connection").into_iter().map(<[u8]>::to_vec).collect();
    if !options.iter().all(|option| is_token(option)) {
        return Err(bad);
    }

    // "One line, `1*19DIGIT`; a second line or a list refused, equal or not."
    let content_length = match values(&fields, "content-length")[..] {
        [] => None,
        [value] => Some(grammar::decimal(value).ok_or(bad)?),
        _ => return Err(bad),
    };

    // "One line, HTTP/1.1, no Content-Length, value the single token `chunked`. …" Compare RFC 9112 §6.1.
    let coding = match values(&fields, "transfer-encoding")[..] {
        [] => Coding::None,
        [value] if is_1_1 => judge_transfer_encoding(value).ok_or(bad)?,
        _ => return Err(bad),
    };
    if content_length.is_some() && coding != Coding::None {
        return Err(bad);
    }
    if coding == Coding::NotOurs {
        return Err(Halt::Refused(501));
    }

    let framing = match coding {
        Coding::Chunked => Framing::Chunked,
        // "If this is a request message and none of the above are true, then the message body length is zero" (RFC 9112
        // §6.3).
        Coding::None | Coding::NotOurs => Framing::Length(content_length.unwrap_or(0)),
    };
    if matches!(framing, Framing::Length(length) if length > limits.body_bytes.min(MAX_LENGTH)) {
        return Err(Halt::Refused(413));
    }

    let has_body = framing != Framing::Length(0);
    let expectations = values(&fields, "expect");
    // "Exactly one `Expect` whose value is `100-continue` … any other value, a list, an empty value or two lines 417;
    // ignored on 1.0, and without a body."
    let expects_continue = is_1_1 && has_body && !expectations.is_empty();
    if expects_continue && !matches!(expectations[..], [value] if is(value, "100-continue")) {
        return Err(Halt::Refused(417));
    }

    let has_option = |name: &str| options.iter().any(|option| is(option, name));
    // RFC 9112 §9.3. A refused CONNECT is the last request: a client that did not wait for the answer has sent the
    // tunnel's bytes behind it (RFC 9931).
    let is_persistent = !has_option("close") && (is_1_1 || has_option("keep-alive")) && line.method != b"CONNECT";
    // "Needs `Connection: upgrade`, 1.1 and no body (a length of 0 is none), else it is ignored, not refused; `h2c`
    // ignored."
    // RFC 9110 §7.8: `protocol = protocol-name ["/" protocol-version]`, both of them tokens; anything else is no offer.
    let is_protocol = |protocol: &[u8]| match protocol.iter().position(|&byte| byte == b'/') {
        Some(at) => is_token(&protocol[..at]) && is_token(&protocol[at + 1..]),
        None => is_token(protocol),
    };
    let mut upgrades = Vec::new();
    if has_option("upgrade") && is_1_1 && !has_body {
        let offered = elements(&fields, "upgrade").into_iter();
        let offered = offered.filter(|protocol| is_protocol(protocol) && !is(protocol, "h2c"));
        upgrades.extend(offered.map(<[u8]>::to_vec));
    }
    let takes_trailers = elements(&fields, "te").into_iter().any(|coding| is(coding, "trailers"));
    let authority = match &line.parts.authority {
        Some(authority) => authority.clone(),
        None => values(&fields, "host").first().map(|host| host.to_vec()).unwrap_or_default(),
    };
    let fields = if line.parts.is_absolute { replace_host(fields, &authority) } else { fields };

    let request = Request {
        method: line.method,
        target: line.target,
        raw_path: line.parts.raw_path,
        query: line.parts.query,
        authority,
        minor: line.minor,
        fields,
        content_length,
        has_body,
        upgrades,
        expects_continue,
        takes_trailers,
        is_persistent,
        body: Vec::new(),
        trailers: Vec::new(),
        head_end,
        end: None,
    };
    Ok(Head { request, framing, options })
}

/// "When an origin server receives a request with an absolute-form of request-target, the origin server MUST ignore the
/// received Host header field (if any) and instead use the host information of the request-target" (RFC 9112 §3.2.2);
/// "in the headers the application sees too (first in the list, named `host`, if there was none)".
fn replace_host(mut fields: Vec<Field>, authority: &[u8]) -> Vec<Field> {
    match fields.iter_mut().find(|(name, _)| is(name, "host")) {
        Some((_, value)) => *value = authority.to_vec(),
        None => fields.insert(0, (b"host".to_vec(), authority.to_vec())),
    }
    fields
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    None,
    Chunked,
    NotOurs,
}

/// "The single token `chunked`. A comma-separated list of two or more tokens, none empty, no parameters, the last
/// `chunked` and no other: 501; all else 400."
fn judge_transfer_encoding(value: &[u8]) -> Option<Coding> {
    let codings = grammar::list(value);
    let (last, others) = codings.split_last()?;
    let are_right = is(last, "chunked") && others.iter().all(|coding| is_token(coding) && !is(coding, "chunked"));
    are_right.then_some(if others.is_empty() { Coding::Chunked } else { Coding::NotOurs })
}

fn read_body(cursor: &mut Cursor, head: &mut Head, limits: &Limits) -> Result<(), Halt> {
    match head.framing {
        Framing::Length(length) => read_content(cursor, &mut head.request.body, length),
        Framing::Chunked => {
            read_chunks(cursor, &mut head.request.body, limits)?;
            head.request.trailers = read_trailers(cursor, &head.options, limits)?;
            Ok(())
        }
    }
}

fn read_content(cursor: &mut Cursor, body: &mut Vec<u8>, length: u64) -> Result<(), Halt> {
    for _ in 0..length {
        body.push(cursor.next()?);
    }
    Ok(())
}

/// "chunked-body = *chunk last-chunk trailer-section CRLF" (RFC 9112 §7.1): the chunks and the last one's line.
fn read_chunks(cursor: &mut Cursor, body: &mut Vec<u8>, limits: &Limits) -> Result<(), Halt> {
    let mut extension_bytes = 0;
    loop {
        let decoded = u64::try_from(body.len()).unwrap();
        let mut line = ChunkLine {
            start: cursor.at,
            max_bytes: limits.chunk_line_bytes,
            extension_bytes,
            // "At most 16 KiB plus the body bytes decoded so far."
            max_extension_bytes: limits.chunk_extension_bytes.saturating_add(decoded),
            cursor,
        };
        let size = line.read()?;
        extension_bytes = line.extension_bytes;
        if size == 0 {
            return Ok(());
        }
        // "A chunk that would pass the body limit at the CRLF of its line (413)"; without one, a body is "up to 2⁶³−1".
        if decoded.checked_add(size).is_none_or(|total| total > limits.body_bytes.min(MAX_LENGTH)) {
            return Err(Halt::Refused(413));
        }
        read_content(cursor, body, size)?;
        // "After data the next two bytes must be CR LF, checked one by one."
        for expected in [CR, LF] {
            if cursor.next()? != expected {
                return Err(Halt::Refused(400));
            }
        }
    }
}

/// "A chunk line at the first byte that cannot continue one, at the latest its CRLF."
struct ChunkLine<'a, 'b> {
    cursor: &'a mut Cursor<'b>,
    start: usize,
    max_bytes: usize,
    /// Of the message so far.
    extension_bytes: u64,
    max_extension_bytes: u64,
}

impl ChunkLine<'_, '_> {
    /// "chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF" up to the first CRLF.
    fn read(&mut self) -> Result<u64, Halt> {
        // "`1*16HEXDIG` up to 2⁶³−1"
        let mut size = 0;
        let mut digits = 0;
        let mut byte = self.next()?;
        while let Some(digit) = hexadecimal(byte) {
            digits += 1;
            if digits > 16 || size > (MAX_LENGTH - digit) / 16 {
                return Err(Halt::Refused(400));
            }
            size = size * 16 + digit;
            byte = self.next()?;
        }
        if digits == 0 {
            return Err(Halt::Refused(400));
        }
        if byte != CR {
            self.count_extension_byte()?;
            self.read_extensions(byte)?;
        }
        if self.next()? == LF { Ok(size) } else { Err(Halt::Refused(400)) }
    }

    /// "chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )" (RFC 9112 §7.1.1), at least one,
    /// from its first byte to the CR behind the last.
    fn read_extensions(&mut self, mut byte: u8) -> Result<(), Halt> {
        loop {
            byte = self.skip_white_space(byte)?;
            if byte != b';' {
                return Err(Halt::Refused(400));
            }
            byte = self.next_extension_byte()?;
            byte = self.skip_white_space(byte)?;
            // "chunk-ext-name = token"
            byte = self.read_token(byte)?;
            if byte == CR {
                return Ok(());
            }
            byte = self.skip_white_space(byte)?;
            if byte == b'=' {
                byte = self.next_extension_byte()?;
                byte = self.skip_white_space(byte)?;
                // "chunk-ext-val = token / quoted-string"
                byte = if byte == b'"' { self.read_quoted_string()? } else { self.read_token(byte)? };
                if byte == CR {
                    return Ok(());
                }
            }
        }
    }

    fn skip_white_space(&mut self, mut byte: u8) -> Result<u8, Halt> {
        while is_ows(byte) {
            byte = self.next_extension_byte()?;
        }
        Ok(byte)
    }

    /// From its first byte; gives the byte behind it.
    fn read_token(&mut self, mut byte: u8) -> Result<u8, Halt> {
        if !is_tchar(byte) {
            return Err(Halt::Refused(400));
        }
        while is_tchar(byte) {
            byte = self.next_extension_byte()?;
        }
        Ok(byte)
    }

    /// "quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE" (RFC 9110 §5.6.4) from behind its first quote; gives
    /// the byte behind its last.
    fn read_quoted_string(&mut self) -> Result<u8, Halt> {
        loop {
            let byte = self.next_extension_byte()?;
            match byte {
                b'"' => return self.next_extension_byte(),
                // "quoted-pair = "\" ( HTAB / SP / VCHAR / obs-text )"
                b'\\' => {
                    let escaped = self.next_extension_byte()?;
                    if !(escaped == HTAB || escaped == SP || is_vchar(escaped) || is_obs_text(escaped)) {
                        return Err(Halt::Refused(400));
                    }
                }
                // "qdtext = HTAB / SP / %x21 / %x23-5B / %x5D-7E / obs-text"
                HTAB | SP | 0x21 | 0x23..=0x5b | 0x5d..=0x7e | 0x80..=0xff => {}
                _ => return Err(Halt::Refused(400)),
            }
        }
    }

    /// "At most 256 bytes without its CRLF": one more may be its CR, and nothing but LF may follow that.
    fn next(&mut self) -> Result<u8, Halt> {
        let byte = self.cursor.next()?;
        if self.cursor.at - self.start > self.max_bytes && byte != CR && byte != LF {
            return Err(Halt::Refused(400));
        }
        Ok(byte)
    }

    /// All between the digits and the CRLF is extension.
    fn next_extension_byte(&mut self) -> Result<u8, Halt> {
        let byte = self.next()?;
        if byte != CR {
            self.count_extension_byte()?;
        }
        Ok(byte)
    }

    fn count_extension_byte(&mut self) -> Result<(), Halt> {
        self.extension_bytes += 1;
        if self.extension_bytes > self.max_extension_bytes { Err(Halt::Refused(400)) } else { Ok(()) }
    }
}

/// "Refused names (400)".
const REFUSED_TRAILERS: [&str; 9] = [
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

/// "Dropped".
const DROPPED_TRAILERS: [&str; 20] = [
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

/// "Judged at the end of the section like a head: count, grammar (400), refused names (400)." From "behind the last
/// chunk's line to the final CRLF, included".
fn read_trailers(cursor: &mut Cursor, options: &[Vec<u8>], limits: &Limits) -> Result<Vec<Field>, Halt> {
    let lines = read_lines(cursor, cursor.at, limits.trailer_bytes)?;
    let mut fields = judge_lines(&lines, limits)?;
    // "A refused name stays refused though `Connection` lists it."
    if fields.iter().any(|(name, _)| is_one_of(name, &REFUSED_TRAILERS)) {
        return Err(Halt::Refused(400));
    }
    // "The names in the request's `Connection`, and …, and names beginning `x-forwarded-`."
    fields.retain(|(name, _)| {
        let is_listed = options.iter().any(|option| option.eq_ignore_ascii_case(name));
        let is_forwarded = name.len() >= 12 && is(&name[..12], "x-forwarded-");
        !is_listed && !is_forwarded && !is_one_of(name, &DROPPED_TRAILERS)
    });
    Ok(fields)
}
