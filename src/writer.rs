//! The writing half: a response as it is accepted, and what of it is not written yet.

use alloc::format;
use alloc::string::String;

use crate::body::BodyEncoder;
use crate::chunked;
use crate::config::Config;
use crate::date::Date;
use crate::error::Misuse;
use crate::framing::{self, AskedBy, ResponseBody, Version};
use crate::outgoing::{Content, Due, Outgoing};
use crate::request::Request;
use crate::response::{self, Found, Pair};
use crate::syntax;

/// What of the request decides the form of its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Asked {
    version: Version,
    by: AskedBy,
    accepts_trailers: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Writer {
    /// Its draft is the head, until the first body event: a small response leaves in one write, and a crash in between
    /// becomes a real 500. All of it but the end of its `connection` line and the empty line.
    pub(crate) outgoing: Outgoing,
    asked: Asked,
    /// The held head ends inside a `connection` line.
    line_is_open: bool,
    encoder: BodyEncoder,
    /// The start declared trailers.
    declared_trailers: bool,
    /// Behind the last chunk's line, inside the trailer section.
    in_trailers: bool,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self {
            outgoing: Outgoing::default(),
            asked: Asked { version: Version::Http11, by: AskedBy::Other, accepts_trailers: false },
            line_is_open: false,
            encoder: BodyEncoder::NONE,
            declared_trailers: false,
            in_trailers: false,
        }
    }

    /// A response to this request is owed.
    pub(crate) fn begin(&mut self, request: &Request) {
        debug_assert!(self.outgoing.draft().is_empty(), "a head is held in its own exchange only");
        let by = if request.is_head() {
            AskedBy::Head
        } else if request.is_connect() {
            AskedBy::Connect
        } else {
            AskedBy::Other
        };
        self.asked = Asked { version: request.version(), by, accepts_trailers: request.accepts_trailers() };
        self.encoder = BodyEncoder::NONE;
        self.declared_trailers = false;
        self.in_trailers = false;
    }

    /// Whether a response of this status ends HTTP on its connection: a 101, or a 2xx to CONNECT.
    pub(crate) fn switches(&self, status: u16) -> bool {
        self.asked.by.switches(status)
    }

    /// Makes the head and holds it. True if the connection cannot outlive the response.
    pub(crate) fn hold_head(
        &mut self,
        status: u16,
        headers: &[Pair<'_>],
        trailers: bool,
        config: &Config,
        date: Option<Date>,
    ) -> Result<bool, Misuse> {
        if !self.outgoing.has_room(response::usual_length(headers)) {
            self.make_room(status, headers, config);
        }
        let mut found = Found { keeps_length: self.asked.by.keeps_length(status), ..Found::default() };
        let head = self.outgoing.draft_mut();
        response::write_status_line(status, head);
        response::write_fields(headers, &mut found, head).inspect_err(|_| self.outgoing.cut_draft(0))?;
        let body = framing::response_body(self.asked.version, self.asked.by, status, found.content_length);
        let head = self.outgoing.draft_mut();
        if body == ResponseBody::Chunked {
            head.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        // "a server MUST NOT generate content in a 205 response" (RFC 9110 §15.3.6). RFC 9112 §6.3 does not count 205
        // among those that end with their head, so the length has to say it.
        if status == 205 && !self.asked.by.switches(status) {
            head.extend_from_slice(b"content-length: 0\r\n");
        }
        // A date of the application's stands.
        if let Some(date) = date.filter(|_| !found.has_date) {
            head.extend_from_slice(b"date: ");
            head.extend_from_slice(date.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        for default in &config.default_headers {
            if !headers.iter().any(|(sent, _)| sent.eq_ignore_ascii_case(default.name())) {
                head.extend_from_slice(&default.line);
            }
        }
        if found.has_options || found.has_upgrade {
            self.add_options(headers, &found);
        }
        self.encoder = BodyEncoder::new(body);
        self.declared_trailers = trailers;
        // Where no length is known on HTTP/1.0, the end of the connection is the end of the body. A client that did not
        // wait for the 2xx to its CONNECT has sent the tunnel's bytes: they must not become a request.
        Ok(found.close || body == ResponseBody::UntilClose || self.asked.by == AskedBy::Connect)
    }

    /// Once for the whole head, and for its content where that is copied behind it.
    #[cold] // mostly there is the memory of the last one
    fn make_room(&mut self, status: u16, headers: &[Pair<'_>], config: &Config) {
        let body = framing::response_body(self.asked.version, self.asked.by, status, None);
        let expected = response::expected_length(headers, config, body != ResponseBody::None);
        self.outgoing.make_room(expected);
    }

    /// The application's `connection` options, in a line that is left open for ours.
    #[cold] // most responses have none
    fn add_options(&mut self, headers: &[Pair<'_>], found: &Found) {
        self.line_is_open = found.has_options && response::write_options(headers, self.outgoing.draft_mut());
        // "A sender of Upgrade MUST also send an "Upgrade" connection option" (RFC 9110 §7.8): a 101, a 426, or whoever
        // just says what it speaks. The application may have sent it itself.
        if found.has_upgrade && !self.names(b"upgrade") {
            self.add_option(b"upgrade");
        }
    }

    #[cold] // a connection of HTTP/1.1 that is kept has none
    fn add_option(&mut self, option: &[u8]) {
        let head = self.outgoing.draft_mut();
        head.extend_from_slice(if self.line_is_open { b", " } else { b"connection: " });
        head.extend_from_slice(option);
        self.line_is_open = true;
    }

    /// Whether this is an option of the line that is open.
    #[cold] // most responses have none
    fn names(&self, option: &[u8]) -> bool {
        let head = self.outgoing.draft();
        let line = head.rsplit(|&byte| byte == b'\n').next().filter(|_| self.line_is_open).unwrap_or_default();
        let options = line.strip_prefix(b"connection: ").unwrap_or_default();
        syntax::members(options).any(|named| named.eq_ignore_ascii_case(option))
    }

    /// Queues the held head. Only now is it known whether the connection ends with this response.
    pub(crate) fn release_head(&mut self, close: bool) {
        let option: Option<&[u8]> = match (close, self.asked.version) {
            // "A server that does not support persistent connections MUST send the "close" connection option in every
            // response message that does not have a 1xx (Informational) status code" (RFC 9112 §9.3).
            (true, _) => Some(b"close"),
            // An HTTP/1.0 client keeps the connection only when it is told so.
            (false, Version::Http10) if !self.names(b"keep-alive") => Some(b"keep-alive"),
            (false, Version::Http10 | Version::Http11) => None,
        };
        if let Some(option) = option {
            self.add_option(option);
        }
        self.release_as_it_is();
    }

    /// Queues the held head as it is: behind a switch nothing of HTTP follows.
    pub(crate) fn release_as_it_is(&mut self) {
        self.end_head();
        self.outgoing.release();
    }

    fn end_head(&mut self) {
        let head = self.outgoing.draft_mut();
        if self.line_is_open {
            head.extend_from_slice(b"\r\n");
        }
        self.line_is_open = false;
        head.extend_from_slice(b"\r\n");
    }

    /// Throws the held head away.
    pub(crate) fn drop_head(&mut self) {
        self.outgoing.cut_draft(0);
        self.line_is_open = false;
    }

    /// Whether trailers follow the body.
    pub(crate) fn has_declared_trailers(&self) -> bool {
        self.declared_trailers
    }

    /// Counts a body event, unless its length is not what was announced. Nothing is queued yet.
    pub(crate) fn count_body(&mut self, content: &Content, last: bool) -> Result<(), Misuse> {
        self.encoder.count(content.length(), last)
    }

    /// Queues a body event that was counted; `last` if the response ends with it.
    pub(crate) fn write_body(&mut self, content: Content, last: bool) {
        // Nothing of an empty part: an empty chunk would end the body.
        if self.encoder.is_written() && content.length() > 0 {
            let is_chunk = self.encoder.is_chunked();
            if is_chunk {
                chunked::encode_size(content.length(), &mut self.outgoing);
            }
            self.outgoing.push(content, is_chunk);
        }
        if last {
            self.finish_body();
        }
    }

    /// Queues trailers, if they are valid. They are dropped where the body is not chunked, or the client has not said
    /// `te: trailers`.
    pub(crate) fn write_trailers(&mut self, headers: &[Pair<'_>], last: bool) -> Result<(), Misuse> {
        debug_assert!(self.outgoing.draft().is_empty(), "the head is out");
        let draft = self.outgoing.draft_mut();
        if !self.in_trailers {
            draft.extend_from_slice(b"0\r\n");
        }
        response::write_trailers(headers, draft).inspect_err(|_| self.outgoing.cut_draft(0))?;
        if self.encoder.is_chunked() && self.asked.accepts_trailers && !headers.is_empty() {
            self.outgoing.release();
            self.in_trailers = true;
        } else {
            self.outgoing.cut_draft(0);
        }
        if last {
            self.finish_body();
        }
        Ok(())
    }

    #[inline(never)] // once a response, not for each part of its body
    fn finish_body(&mut self) {
        if self.encoder.is_chunked() {
            self.write_last_chunk();
        }
    }

    #[inline(never)] // so that a response with a length saves nothing on the stack
    fn write_last_chunk(&mut self) {
        let end: &[u8] = if self.in_trailers { b"\r\n" } else { b"0\r\n\r\n" };
        self.outgoing.put(end);
    }

    /// Queues an interim response, if it is valid and `is_due`, before a head that is held. It is never sent to
    /// HTTP/1.0 (RFC 9110 §15.2), and says nothing of a body, since it has none.
    pub(crate) fn write_interim(&mut self, status: u16, headers: &[Pair<'_>], is_due: bool) -> Result<(), Misuse> {
        let (held, held_is_open) = (self.outgoing.draft().len(), self.line_is_open);
        let mut found = Found::default();
        let interim = self.outgoing.draft_mut();
        response::write_status_line(status, interim);
        let answer = response::write_fields(headers, &mut found, interim);
        if answer.is_ok() && is_due && self.asked.version == Version::Http11 {
            self.add_options(headers, &found);
            self.end_head();
            self.outgoing.release_behind(held);
        }
        self.outgoing.cut_draft(held);
        self.line_is_open = held_is_open;
        answer
    }

    /// Queues an error response, the last of its connection. It has no content: nothing that the peer sent can be in
    /// it, and it is right for HEAD too, also when the method was never understood.
    #[cold]
    pub(crate) fn write_error(&mut self, status: u16, config: &Config, date: Option<Date>) {
        self.drop_head();
        let answer = self.hold_head(status, &[(b"content-length", b"0")], false, config, date);
        debug_assert!(answer.is_ok(), "there is nothing to refuse");
        self.release_head(true);
    }

    pub(crate) fn fingerprint(&self) -> String {
        let Self { outgoing, asked, line_is_open, encoder, declared_trailers, in_trailers } = self;
        let part = match outgoing.due() {
            Due::Part { token, remaining } => Some((token, remaining.min(2))),
            Due::Nothing | Due::Bytes => None,
        };
        let held = (outgoing.draft().escape_ascii(), line_is_open);
        let outgoing = (outgoing.is_empty(), part);
        // CONNECT is told with its request, and decides nothing behind its head.
        let by = if asked.by == AskedBy::Connect { AskedBy::Other } else { asked.by };
        let asked = Asked { by, ..*asked };
        let body = (encoder.saturated(), declared_trailers, in_trailers);
        format!("{outgoing:?} {asked:?} \"{}\" {} {body:?}", held.0, held.1)
    }

    /// Gives large buffers back, between two exchanges.
    pub(crate) fn shrink(&mut self, most_bytes: usize) {
        self.outgoing.shrink(most_bytes);
    }
}
