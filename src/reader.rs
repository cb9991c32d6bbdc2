//! The reading half: from bytes to a request, the parts of its body and its trailers, in stream order and no further
//! than somebody asks.

use alloc::format;
use alloc::string::{String, ToString as _};

use bytes::Bytes;

use crate::body::{BodyDecoder, Piece};
use crate::config::Config;
use crate::error::{Limit, ProtocolError};
use crate::framing::RequestBody;
use crate::head::{self, HeadParser};
use crate::headers::{self, Headers};
use crate::incoming::Incoming;
use crate::request::Request;

#[derive(Clone, Debug)]
pub(crate) struct Reader {
    pub(crate) incoming: Incoming,
    head: HeadParser,
    /// Of the current exchange, or of the last one.
    request: Option<Request>,
    decoder: BodyDecoder,
    /// Of a request whose body has ended.
    trailers: Headers,
    /// The end of the body was delivered or drained.
    ended: bool,
    /// The client waits for a 100 that it did not get, whatever of its body came since.
    continue_is_due: bool,
    /// Bytes of content that were thrown away.
    drained: u64,
    /// Whether the body is here to its end, once the stream has ended.
    rest_is_whole: Option<bool>,
    /// Content came since somebody last looked. Chunk lines and trailers, however they drip, are none.
    pub(crate) has_progressed: bool,
    /// Bytes that were looked at, each as often as it was, but for those of what is unfinished.
    examined: u64,
}

/// A part of a body.
#[derive(Debug)]
pub(crate) enum Part {
    Nothing,
    Content { bytes: Bytes, last: bool },
}

/// How far a drain came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// More must come.
    Pending,
    Ended,
    OverBudget,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self {
            incoming: Incoming::default(),
            head: HeadParser::default(),
            request: None,
            decoder: BodyDecoder::EMPTY,
            trailers: Headers::default(),
            ended: true,
            continue_is_due: false,
            drained: 0,
            rest_is_whole: None,
            has_progressed: false,
            examined: 0,
        }
    }

    /// Whether the whole head of the next request is here.
    #[inline]
    pub(crate) fn has_head(&mut self, config: &Config) -> Result<bool, ProtocolError> {
        self.head.is_whole(&mut self.incoming, config)
    }

    /// The next request, if its head came at once and is right. Where it is not, [`Self::looked_in_vain`] counts the
    /// look.
    pub(crate) fn whole_request(&mut self, config: &Config) -> Option<Request> {
        if self.head.has_skipped() {
            return None;
        }
        let request = Request::renewed(&mut self.request);
        let taken = request.own_head().and_then(|head| head::take_whole(&mut self.incoming, config, head));
        let Some(length) = taken else {
            if !request.try_empty(&mut self.incoming) {
                self.request = None;
            }
            return None;
        };
        let request = request.clone();
        self.count(length);
        self.begin(&request);
        Some(request)
    }

    /// A head was looked at by the short way before it was by the long one: no further than it reaches.
    pub(crate) fn looked_in_vain(&mut self) {
        self.count(self.head.examined());
    }

    /// The next request, whose head is here.
    pub(crate) fn request(&mut self, config: &Config) -> Result<Request, ProtocolError> {
        let request = Request::renewed(&mut self.request);
        match self.head.take(&mut self.incoming, config, request.head_mut()) {
            Ok(length) => {
                let request = request.clone();
                // A whole head is looked at once more, by the parser of its fields.
                self.count(length.saturating_mul(2));
                self.begin(&request);
                Ok(request)
            }
            Err(error) => {
                self.request = None;
                Err(error)
            }
        }
    }

    /// The body of this request is next.
    fn begin(&mut self, request: &Request) {
        self.decoder.begin(request.body());
        self.forget_trailers();
        self.ended = false;
        self.continue_is_due = request.expects_continue();
        self.drained = 0;
        self.rest_is_whole = None;
        self.has_progressed = false;
    }

    /// Bytes that were looked at, each as often as it was.
    pub(crate) fn bytes_examined(&self) -> u64 {
        let unfinished = self.head.examined().saturating_add(self.decoder.examined());
        self.examined.saturating_add(u64::try_from(unfinished).unwrap_or(u64::MAX))
    }

    /// An idle connection holds nothing of its last request but a little memory for the next.
    pub(crate) fn release(&mut self) {
        debug_assert!(self.incoming.bytes.is_empty(), "what comes before a head is taken byte by byte");
        self.incoming.give_back();
        if let Some(request) = &mut self.request
            && !request.headers().raw().is_empty()
            && !request.try_empty(&mut self.incoming)
        {
            self.request = None;
        }
        self.forget_trailers();
    }

    /// Bytes of memory that it then still has.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.request.as_ref().map_or(0, Request::memory)
    }

    fn forget_trailers(&mut self) {
        if !self.trailers.is_empty() {
            self.trailers = Headers::default();
        }
    }

    /// The request of the current exchange, or of the last one.
    pub(crate) fn current(&self) -> Option<&Request> {
        self.request.as_ref()
    }

    /// Whether its response may hand the connection over.
    pub(crate) fn may_switch(&self) -> bool {
        self.request.as_ref().is_some_and(Request::may_switch)
    }

    /// Whether a part of a head is here.
    pub(crate) fn head_has_begun(&self) -> bool {
        self.head.has_begun()
    }

    /// The next part of the body. Each costs its receiver a turn, and a small one a copy: so it is put together with
    /// its neighbours, of which the smaller one moves.
    pub(crate) fn part(&mut self, config: &Config) -> Result<Part, ProtocolError> {
        let first = self.piece(config)?;
        let Piece::Content(mut content) = first else {
            let last = self.end(first, config)?;
            return Ok(if last { Part::Content { bytes: Bytes::new(), last } } else { Part::Nothing });
        };
        self.decoder.took(content);
        // In the buffer: `start` bytes to be skipped, the content, `gap` bytes of framing, and what is next. So no sum
        // of these is beyond counting.
        let (mut start, mut gap) = (0_usize, 0_usize);
        let next = loop {
            let end = start.wrapping_add(content);
            let ahead = self.incoming.bytes.get(end.wrapping_add(gap)..).unwrap_or_default();
            // A fault is for the next who asks: the content before it is delivered first.
            let Ok((framing, next)) = self.decoder.piece(ahead, &config.limits) else { break Piece::Nothing };
            self.count(framing);
            gap = gap.wrapping_add(framing);
            let Piece::Content(more) = next else { break next };
            let at = end.wrapping_add(gap);
            if !self.incoming.is_small(content.min(more)) {
                break next;
            }
            if more <= content {
                self.incoming.bytes.copy_within(at..at.wrapping_add(more), end);
            } else {
                self.incoming.bytes.copy_within(start..end, start.wrapping_add(gap));
                start = start.wrapping_add(gap);
                gap = 0;
            }
            self.decoder.took(more);
            content = content.wrapping_add(more);
        };
        self.incoming.skip(start);
        let is_more_to_come = matches!(next, Piece::Nothing | Piece::Content(_));
        let bytes = self.incoming.take(content, gap, is_more_to_come);
        self.has_progressed = true;
        let last = self.end(next, config).unwrap_or(false);
        if last {
            self.incoming.give_back();
        }
        Ok(Part::Content { bytes, last })
    }

    /// Whether a part, or the end, is here for a `receive` that waits.
    pub(crate) fn has_part(&mut self, config: &Config) -> Result<bool, ProtocolError> {
        let piece = self.piece(config)?;
        if let Piece::Trailers { bytes, lines } = piece
            && lines > 0
        {
            // As any fault of a body, one in here is found for a `receive` that waits, also when its caller has given
            // up.
            self.judge_trailers(bytes, lines, config)?;
            self.count(bytes);
        }
        Ok(piece != Piece::Nothing)
    }

    /// Throws the rest of the body away, within the budget. Of a chunked body what is thrown away counts, as decoded
    /// bytes; a declared length was compared as a whole, by [`Self::may_drain`].
    pub(crate) fn drain(&mut self, config: &Config) -> Result<Drained, ProtocolError> {
        loop {
            match self.piece(config)? {
                Piece::Nothing => return Ok(Drained::Pending),
                Piece::Content(content) => {
                    self.decoder.took(content);
                    self.incoming.skip(content);
                    self.has_progressed = true;
                    self.drained = self.drained.saturating_add(u64::try_from(content).unwrap_or(u64::MAX));
                    if self.drained > config.limits.drain_budget_bytes {
                        return Ok(Drained::OverBudget);
                    }
                }
                end @ (Piece::Trailers { .. } | Piece::End) => {
                    self.end(end, config)?;
                    self.incoming.give_back();
                    return Ok(Drained::Ended);
                }
            }
        }
    }

    /// Whether what is left of the body can be drained at all.
    pub(crate) fn may_drain(&self, config: &Config) -> bool {
        match self.request.as_ref().map(Request::body) {
            Some(RequestBody::Length(length)) => length <= config.limits.drain_budget_bytes,
            Some(RequestBody::Chunked) | None => true,
        }
    }

    /// Whether a body was declared and its end was not delivered.
    pub(crate) fn has_undelivered_body(&self) -> bool {
        !self.ended && self.request.as_ref().is_some_and(Request::has_body)
    }

    /// Whether the client waits for a 100 that it did not get.
    pub(crate) fn continue_is_due(&self) -> bool {
        self.continue_is_due
    }

    pub(crate) fn continue_was_sent(&mut self) {
        self.continue_is_due = false;
    }

    /// Whether the body is here to its end. Asked at the end of the stream, to tell a whole request from a torn one;
    /// looked through once.
    pub(crate) fn rest_is_whole(&mut self, config: &Config) -> bool {
        if let Some(known) = self.rest_is_whole {
            return known;
        }
        let (is_whole, examined) = self.decoder.is_whole(&self.incoming.bytes, &config.limits);
        self.count(examined);
        self.rest_is_whole = Some(is_whole);
        is_whole
    }

    /// Of the request, once its body has ended.
    pub(crate) fn trailers(&self) -> Option<&Headers> {
        self.ended.then_some(&self.trailers)
    }

    /// Of content, so far.
    pub(crate) fn content_bytes(&self) -> u64 {
        self.decoder.content_bytes
    }

    pub(crate) fn fingerprint(&self) -> String {
        let Self { incoming, head, decoder, ended, continue_is_due, rest_is_whole, has_progressed, .. } = self;
        let (bytes, stream_ended) = (incoming.bytes.escape_ascii(), incoming.ended);
        let request = self.request.as_ref().map(|request| request.headers().raw().escape_ascii());
        let (decoder, drained) = (decoder.saturated(), self.drained.min(2));
        let flags = (ended, continue_is_due, rest_is_whole, has_progressed, drained, self.trailers().is_some());
        format!("\"{bytes}\" {stream_ended} {head:?} {:?} {decoder:?} {flags:?}", request.map(|raw| raw.to_string()))
    }

    fn count(&mut self, examined: usize) {
        self.examined = self.examined.wrapping_add(u64::try_from(examined).unwrap_or(u64::MAX));
    }

    #[inline] // mostly it is content
    fn piece(&mut self, config: &Config) -> Result<Piece, ProtocolError> {
        let (framing, piece) = self.decoder.piece(&self.incoming.bytes, &config.limits)?;
        if framing != 0 {
            self.pass(framing);
        }
        Ok(piece)
    }

    /// Takes framing away that was looked at.
    #[inline(never)] // mostly there is none
    fn pass(&mut self, framing: usize) {
        self.count(framing);
        self.incoming.skip(framing);
    }

    /// Takes the end of the body, with its trailers, if `piece` is that.
    #[inline] // mostly there are no trailers
    fn end(&mut self, piece: Piece, config: &Config) -> Result<bool, ProtocolError> {
        match piece {
            Piece::Nothing | Piece::Content(_) => return Ok(false),
            Piece::Trailers { bytes, lines } => self.take_trailers(bytes, lines, config)?,
            Piece::End => {}
        }
        self.ended = true;
        Ok(true)
    }

    fn take_trailers(&mut self, bytes: usize, lines: usize, config: &Config) -> Result<(), ProtocolError> {
        // There may be none: the empty line alone.
        if lines > 0 {
            self.trailers = self.judge_trailers(bytes, lines, config)?;
        }
        // Looked through for its end, and by the parser of its fields.
        self.count(bytes.saturating_mul(2));
        self.incoming.skip(bytes);
        self.incoming.give_back();
        Ok(())
    }

    /// The trailers that may be seen. In this order, which is that of the errors: number of lines (431), grammar (400),
    /// names that are refused (400); those that control something are dropped (RFC 9110 §6.5.1).
    fn judge_trailers(&mut self, bytes: usize, lines: usize, config: &Config) -> Result<Headers, ProtocolError> {
        if lines > config.limits.fields {
            return Err(ProtocolError::exceeded(Limit::TrailerFields, config.limits.fields));
        }
        let mut trailers = Headers::default();
        let section = self.incoming.bytes.get(..bytes).unwrap_or_default();
        let end = headers::with_table(lines, |table| trailers.parse(section, 0, table, |_, _| {}));
        end.ok_or(ProtocolError::Trailer)?;
        trailers.raw.extend_from_slice(section);
        if trailers.iter().any(|field| headers::is_refused_in_trailers(field.name().as_bytes())) {
            return Err(ProtocolError::Trailer);
        }
        let named = self.request.as_ref().map(|request| request.connection_names(&trailers));
        let (named, examined) = named.unwrap_or_default();
        self.count(examined);
        let mut named = named.into_iter();
        trailers.retain(|name| !named.next().unwrap_or(false) && !headers::is_dropped_from_trailers(name.as_bytes()));
        // Of those that were dropped nothing is held.
        Ok(if trailers.is_empty() { Headers::default() } else { trailers })
    }
}
