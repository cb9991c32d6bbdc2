//! V: what the bytes that a server wrote say, if they are what RFC 9112 lets it write.
//!
//! P7 of `SECURITY.md`: for each request, in order, any number of 1xx and then one final response, and at most one
//! error response at the end. The length is exact, or the chunks are well-formed, or the connection ends the body and
//! is closed; no body where none may be; at most one Date, Content-Length, Transfer-Encoding and Connection; nothing
//! behind the last response. It is stricter than a client should be: what a client may forgive is a fault here.

use super::grammar::{self, CR, Field, LF, elements, field_line, hexadecimal, is, is_one_of, is_token, values};

/// What the server was asked, as far as it bears on the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) method: Vec<u8>,
    /// The version is HTTP/1 and this.
    pub(crate) minor: u8,
    pub(crate) expects_continue: bool,
    pub(crate) takes_trailers: bool,
    /// The protocols that it offered to switch to.
    pub(crate) upgrades: Vec<Vec<u8>>,
}

/// What became of the connection behind the last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It is still there.
    Open,
    Closed,
    /// Closed in a way that says: this was cut.
    Reset,
    /// Handed over to another protocol.
    Switched,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) fields: Vec<Field>,
}

/// How a body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// A response, with the interim ones before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) interim: Vec<Head>,
    pub(crate) head: Head,
    pub(crate) framing: Framing,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<Field>,
    /// Whether a client can tell that this is all of it.
    pub(crate) is_complete: bool,
    /// Whether it answers a request that was delivered; else it is the error response to one that was not.
    pub(crate) is_asked: bool,
}

/// All that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) responses: Vec<Response>,
    /// Interim responses whose final one is not there.
    pub(crate) interim: Vec<Head>,
}

/// Why these are not the bytes of a server, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) what: &'static str,
}

pub(crate) fn validate(asked: &[Asked], output: &[u8], end: End) -> Result<Output, Fault> {
    let mut reader = Reader { output, at: 0, end };
    reader.read_all(asked).map_err(|what| Fault { at: reader.at, what })
}

struct Reader<'a> {
    output: &'a [u8],
    at: usize,
    end: End,
}

type Verdict<T> = Result<T, &'static str>;

fn require(truth: bool, what: &'static str) -> Verdict<()> {
    if truth { Ok(()) } else { Err(what) }
}

impl Reader<'_> {
    fn read_all(&mut self, asked: &[Asked]) -> Verdict<Output> {
        let mut responses: Vec<Response> = Vec::new();
        let mut interim = Vec::new();
        while self.at < self.output.len() {
            if let Some(last) = responses.last() {
                let before = responses.len().checked_sub(1).and_then(|index| asked.get(index));
                require_persistent(last, before)?;
            }
            let request = asked.get(responses.len());
            let Some(head) = self.read_head()? else {
                // A part of a head: the rest may be on its way, or was lost with the connection.
                require(matches!(self.end, End::Open | End::Reset), "the output ends in a head")?;
                break;
            };
            require_once(&head)?;
            if (100..200).contains(&head.status) && head.status != 101 {
                require_interim(&head, request, &interim)?;
                interim.push(head);
                continue;
            }
            let framing = judge_framing(&head, request)?;
            let (body, trailers, is_complete) = self.read_body(framing, request)?;
            let is_asked = request.is_some();
            responses.push(Response {
                interim: core::mem::take(&mut interim),
                head,
                framing,
                body,
                trailers,
                is_complete,
                is_asked,
            });
        }
        self.judge_end(&responses, asked)?;
        Ok(Output { responses, interim })
    }

    fn judge_end(&self, responses: &[Response], asked: &[Asked]) -> Verdict<()> {
        let switches = responses.last().is_some_and(|last| is_switch(last, asked.get(responses.len() - 1)));
        require(switches == (self.end == End::Switched), "switched without a response that says so, or the reverse")?;
        let is_cut = responses.last().is_some_and(|last| !last.is_complete);
        match self.end {
            End::Closed => require(!is_cut, "a cut response, and the connection closed as if it were whole"),
            // "Reset if you can": a whole response may be followed by one, where the client stopped reading.
            End::Open | End::Reset | End::Switched => Ok(()),
        }
    }

    /// `None`: the output ends in it.
    fn read_head(&mut self) -> Verdict<Option<Head>> {
        let start = self.at;
        let Some(line) = self.read_line()? else {
            let begins_well = self.output[start..].iter().zip(VERSION).all(|(byte, expected)| byte == expected);
            require(begins_well, "bytes that begin no response")?;
            return Ok(None);
        };
        let status = judge_status_line(line)?;
        let Some(fields) = self.read_fields()? else { return Ok(None) };
        Ok(Some(Head { status, fields }))
    }

    /// A field section with its empty line; `None`: the output ends in it.
    fn read_fields(&mut self) -> Verdict<Option<Vec<Field>>> {
        let mut fields = Vec::new();
        loop {
            match self.read_line()? {
                None => return Ok(None),
                Some([]) => return Ok(Some(fields)),
                Some(line) => fields.push(field_line(line).ok_or("a malformed field line")?),
            }
        }
    }

    /// A line without its CRLF; `None`: the output ends in it. "A sender MUST NOT generate a bare CR" (RFC 9112 §2.2).
    fn read_line(&mut self) -> Verdict<Option<&[u8]>> {
        let start = self.at;
        while let Some(&byte) = self.output.get(self.at) {
            self.at += 1;
            let is_behind_cr = self.at - start >= 2 && self.output[self.at - 2] == CR;
            require((byte == LF) == is_behind_cr, "a CR without an LF, or an LF without a CR")?;
            if byte == LF {
                return Ok(Some(&self.output[start..self.at - 2]));
            }
        }
        Ok(None)
    }

    /// The content, the trailers, and whether both are whole.
    fn read_body(&mut self, framing: Framing, request: Option<&Asked>) -> Verdict<(Vec<u8>, Vec<Field>, bool)> {
        match framing {
            Framing::None => Ok((Vec::new(), Vec::new(), true)),
            Framing::Length(length) => {
                let content = self.take(length).to_vec();
                let is_complete = u64::try_from(content.len()) == Ok(length);
                Ok((content, Vec::new(), is_complete))
            }
            Framing::UntilClose => {
                let content = self.take(u64::MAX).to_vec();
                Ok((content, Vec::new(), self.end == End::Closed))
            }
            Framing::Chunked => {
                let mut content = Vec::new();
                let trailers = self.read_chunks(&mut content)?;
                let is_complete = trailers.is_some();
                let trailers = trailers.unwrap_or_default();
                judge_trailers(&trailers, request)?;
                Ok((content, trailers, is_complete))
            }
        }
    }

    /// "chunked-body = *chunk last-chunk trailer-section CRLF" (RFC 9112 §7.1), without extensions; `None`: the output
    /// ends in it.
    fn read_chunks(&mut self, content: &mut Vec<u8>) -> Verdict<Option<Vec<Field>>> {
        loop {
            let Some(line) = self.read_line()? else { return Ok(None) };
            require((1..=16).contains(&line.len()), "a chunk size of no digits, or of more than 16")?;
            let mut size = 0;
            for &digit in line {
                let digit = hexadecimal(digit).ok_or("a chunk size that is no number")?;
                size = size * 16 + digit;
            }
            if size == 0 {
                return self.read_fields();
            }
            content.extend_from_slice(self.take(size));
            for expected in [CR, LF] {
                match self.take(1) {
                    [] => return Ok(None),
                    &[byte] => require(byte == expected, "a chunk without its CRLF")?,
                    _ => unreachable!("one byte was taken"),
                }
            }
        }
    }

    /// As many bytes as there are, and no more than asked for.
    fn take(&mut self, length: u64) -> &[u8] {
        let rest = &self.output[self.at..];
        let taken = usize::try_from(length).map_or(rest.len(), |length| length.min(rest.len()));
        self.at += taken;
        &rest[..taken]
    }
}

/// The version of this server, with the space behind it.
const VERSION: &[u8] = b"HTTP/1.1 ";

/// "status-line = HTTP-version SP status-code SP [ reason-phrase ]" (RFC 9112 §4).
fn judge_status_line(line: &[u8]) -> Verdict<u16> {
    let rest = line.strip_prefix(VERSION).ok_or("a malformed status line")?;
    let (code, rest) = rest.split_at_checked(3).ok_or("a malformed status line")?;
    let reason = rest.strip_prefix(b" ").ok_or("a malformed status line")?;
    // "reason-phrase = 1*( HTAB / SP / VCHAR / obs-text )"
    let is_allowed = |&byte: &u8| byte == b'\t' || byte == b' ' || grammar::is_vchar(byte) || byte >= 0x80;
    require(reason.iter().all(is_allowed), "a malformed reason phrase")?;
    let status = grammar::decimal(code).and_then(|code| u16::try_from(code).ok()).ok_or("a malformed status code")?;
    // "Values outside the range 100..599 are invalid" (RFC 9110 §15).
    require((100..600).contains(&status), "a status code outside 100..599")?;
    Ok(status)
}

/// "At most one Date, Content-Length, Transfer-Encoding, Connection", and each well-formed.
fn require_once(head: &Head) -> Verdict<()> {
    for name in ["date", "content-length", "transfer-encoding", "connection"] {
        require(values(&head.fields, name).len() <= 1, "a field that may come once is repeated")?;
    }
    for date in values(&head.fields, "date") {
        require(is_imf_fixdate(date), "a Date that is no IMF-fixdate")?;
    }
    let options = elements(&head.fields, "connection");
    require(options.iter().all(|option| is_token(option)), "a Connection that is no list of tokens")
}

/// "IMF-fixdate = day-name "," SP date1 SP time-of-day SP GMT" (RFC 9110 §5.6.7), by its shape.
fn is_imf_fixdate(date: &[u8]) -> bool {
    const SHAPE: &[u8] = b"Aaa, 00 Aaa 0000 00:00:00 GMT";
    date.len() == SHAPE.len()
        && date.iter().zip(SHAPE).enumerate().all(|(index, (&byte, &shape))| match shape {
            _ if index >= 26 => byte == shape,
            b'A' => byte.is_ascii_uppercase(),
            b'a' => byte.is_ascii_lowercase(),
            b'0' => byte.is_ascii_digit(),
            _ => byte == shape,
        })
}

/// RFC 9110 §15.2: "a server MUST NOT send a 1xx response to an HTTP/1.0 client". A 100 answers an expectation
/// (§10.1.1).
fn require_interim(head: &Head, request: Option<&Asked>, before: &[Head]) -> Verdict<()> {
    let request = request.ok_or("an interim response to nobody")?;
    require(request.minor == 1, "an interim response to HTTP/1.0")?;
    for name in ["content-length", "transfer-encoding"] {
        // RFC 9112 §6.1, RFC 9110 §8.6.
        require(values(&head.fields, name).is_empty(), "an interim response with framing")?;
    }
    if head.status == 100 {
        require(request.expects_continue, "a 100 that was not expected")?;
        require(before.iter().all(|head| head.status != 100), "a second 100")?;
    }
    Ok(())
}

/// The rules of RFC 9112 §6.3 in their order, and what §6.1, RFC 9110 §8.6 and §15 forbid a sender.
fn judge_framing(head: &Head, request: Option<&Asked>) -> Verdict<Framing> {
    let lengths = values(&head.fields, "content-length");
    let codings = values(&head.fields, "transfer-encoding");
    let method = request.map(|request| request.method.as_slice());
    // Of a request that could not be read nothing is known, so nothing may be taken for granted.
    let minor = request.map_or(0, |request| request.minor);

    let length = match lengths[..] {
        [] => None,
        [length] => Some(grammar::decimal(length).ok_or("a Content-Length that is no number")?),
        _ => unreachable!("once"),
    };
    require(length.is_none() || codings.is_empty(), "Content-Length and Transfer-Encoding")?;
    if let [coding] = codings[..] {
        require(is(coding, "chunked"), "a transfer coding other than chunked")?;
        // "A server MUST NOT send a response containing Transfer-Encoding unless the corresponding request indicates
        // HTTP/1.1" (RFC 9112 §6.1).
        require(minor == 1, "Transfer-Encoding to HTTP/1.0")?;
    }
    let is_tunnel = method == Some(b"CONNECT") && (200..300).contains(&head.status);
    if head.status == 101 || head.status == 204 || is_tunnel {
        require(length.is_none() && codings.is_empty(), "framing where it must not be")?;
    }
    if head.status == 101 {
        require_switch(head, request)?;
    }
    if request.is_none() {
        require((400..600).contains(&head.status), "a response that nobody asked for")?;
        require(wants_close(head), "an error response that does not close")?;
    }

    if method == Some(b"HEAD") || head.status == 101 || head.status == 204 || head.status == 304 || is_tunnel {
        return Ok(Framing::None);
    }
    let framing = match (codings.is_empty(), length) {
        (false, _) => Framing::Chunked,
        (true, Some(length)) => Framing::Length(length),
        (true, None) => Framing::UntilClose,
    };
    // "A server MUST NOT generate content in a 205 response" (RFC 9110 §15.3.6); "with `content-length: 0`".
    require(head.status != 205 || framing == Framing::Length(0), "a 205 with content")?;
    Ok(framing)
}

/// "A server that sends a 101 (Switching Protocols) response MUST send an Upgrade header field", with a protocol that
/// the client offered, and `connection: upgrade` (RFC 9110 §7.8).
fn require_switch(head: &Head, request: Option<&Asked>) -> Verdict<()> {
    let request = request.ok_or("a switch that nobody asked for")?;
    let options = elements(&head.fields, "connection");
    require(options.iter().any(|option| is(option, "upgrade")), "a switch without `connection: upgrade`")?;
    let protocols = elements(&head.fields, "upgrade");
    let [protocol] = protocols[..] else { return Err("a switch to none, or to several protocols") };
    let was_offered = request.upgrades.iter().any(|offered| offered.eq_ignore_ascii_case(protocol));
    require(was_offered, "a switch to a protocol that was not offered")
}

fn is_switch(response: &Response, request: Option<&Asked>) -> bool {
    let is_connect = request.is_some_and(|request| request.method == b"CONNECT");
    response.head.status == 101 || is_connect && (200..300).contains(&response.head.status)
}

fn wants_close(head: &Head) -> bool {
    elements(&head.fields, "connection").into_iter().any(|option| is(option, "close"))
}

/// Whether anything may follow: RFC 9112 §9.3, §9.6.
fn require_persistent(last: &Response, request: Option<&Asked>) -> Verdict<()> {
    require(last.is_asked, "output behind an error response")?;
    require(!is_switch(last, request), "output behind a switch")?;
    require(!wants_close(&last.head), "output behind `connection: close`")?;
    require(last.framing != Framing::UntilClose, "output behind a body that ends with the connection")?;
    let is_1_0 = request.is_some_and(|request| request.minor == 0);
    let keeps = elements(&last.head.fields, "connection").into_iter().any(|option| is(option, "keep-alive"));
    require(!is_1_0 || keeps, "HTTP/1.0 kept without `connection: keep-alive`")
}

/// RFC 9110 §6.5.1: fields for framing, routing, authentication and content may not be trailers. "Written if chunked
/// and the client sent `te: trailers`."
fn judge_trailers(trailers: &[Field], request: Option<&Asked>) -> Verdict<()> {
    const NEVER: [&str; 9] = [
        "transfer-encoding",
        "content-length",
        "host",
        "trailer",
        "connection",
        "content-encoding",
        "content-type",
        "content-range",
        "set-cookie",
    ];
    let may_come = trailers.is_empty() || request.is_some_and(|request| request.takes_trailers);
    require(may_come, "trailers that the client does not take")?;
    let are_right = trailers.iter().all(|(name, _)| !is_one_of(name, &NEVER));
    require(are_right, "a field that may not be a trailer")
}
