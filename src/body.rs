//! The body of a request and of a response, whatever delimits it.

use crate::chunked::ChunkedDecoder;
use crate::config::Limits;
use crate::error::{Limit, Misuse, ProtocolError};
use crate::framing::{RequestBody, ResponseBody};
use crate::headers::{LineScan, ScanFault};

/// Reads the body of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BodyDecoder {
    /// Of content that comes before anything else: of the whole body, or of a chunk whose line was read.
    left: u64,
    framing: Framing,
    /// Of content, so far.
    pub(crate) content_bytes: u64,
}

/// What follows the content that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// Nothing: the length was known.
    Length,
    Chunked(ChunkedDecoder),
    /// The trailer section, behind the last chunk.
    Trailers(LineScan),
}

/// What is at the front of the input, once the framing before it is taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Nothing; more must come.
    Nothing,
    /// As many bytes of content.
    Content(usize),
    /// A whole trailer section, as many bytes long and with as many lines.
    Trailers { bytes: usize, lines: usize },
    /// The end of a body of known length.
    End,
}

impl BodyDecoder {
    /// No body. Also the value between exchanges, so that no caller handles "no decoder".
    pub(crate) const EMPTY: Self = Self { left: 0, framing: Framing::Length, content_bytes: 0 };

    /// This body is next.
    pub(crate) fn begin(&mut self, body: RequestBody) {
        match body {
            RequestBody::Length(length) => {
                self.left = length;
                self.framing = Framing::Length;
            }
            RequestBody::Chunked => {
                self.left = 0;
                self.framing = Framing::Chunked(ChunkedDecoder::NEW);
            }
        }
        self.content_bytes = 0;
    }

    /// How many bytes of framing are at the front of `input`, and what follows them. A fault changes nothing, so it is
    /// found again by the next who asks.
    #[inline] // mostly there is no framing
    pub(crate) fn piece(&mut self, input: &[u8], limits: &Limits) -> Result<(usize, Piece), ProtocolError> {
        if self.left > 0 {
            return Ok((0, self.content(input)));
        }
        if self.framing == Framing::Length {
            return Ok((0, Piece::End));
        }
        if input.is_empty() { Ok((0, Piece::Nothing)) } else { self.framed_piece(input, limits) }
    }

    /// What is here of the content that is left.
    fn content(&self, input: &[u8]) -> Piece {
        if input.is_empty() {
            return Piece::Nothing;
        }
        Piece::Content(usize::try_from(self.left).map_or(input.len(), |left| left.min(input.len())))
    }

    /// [`Self::piece`] where framing is next.
    #[inline(never)] // so that content costs little
    fn framed_piece(&mut self, input: &[u8], limits: &Limits) -> Result<(usize, Piece), ProtocolError> {
        if let Framing::Chunked(decoder) = &mut self.framing
            && let Some((framing, size)) = decoder.plain(input, limits)
        {
            self.left = size;
            return Ok((framing, self.content(input.get(framing..).unwrap_or_default())));
        }
        self.odd_piece(input, limits)
    }

    /// [`Self::framed_piece`] where the framing is not all here, or not plain, or the trailers are next.
    #[cold]
    fn odd_piece(&mut self, input: &[u8], limits: &Limits) -> Result<(usize, Piece), ProtocolError> {
        let mut ahead = *self;
        let (framing, size) = match &mut ahead.framing {
            Framing::Chunked(decoder) => decoder.advance(input, limits)?,
            Framing::Length | Framing::Trailers(_) => (0, None),
        };
        match size {
            Some(0) => ahead.framing = Framing::Trailers(LineScan::default()),
            Some(size) => ahead.left = size,
            None => {}
        }
        let rest = input.get(framing..).unwrap_or_default();
        let piece = match &mut ahead.framing {
            Framing::Trailers(scan) => trailers(scan, rest, limits)?,
            Framing::Length | Framing::Chunked(_) => ahead.content(rest),
        };
        *self = ahead;
        Ok((framing, piece))
    }

    /// As many bytes of content were taken off the input.
    pub(crate) fn took(&mut self, content: usize) {
        let bytes = u64::try_from(content).unwrap_or(u64::MAX);
        self.content_bytes = self.content_bytes.saturating_add(bytes);
        self.left = self.left.saturating_sub(bytes);
    }

    /// Bytes of an unfinished trailer section that were looked at.
    pub(crate) fn examined(&self) -> usize {
        match &self.framing {
            Framing::Length | Framing::Chunked(_) => 0,
            Framing::Trailers(scan) => scan.examined,
        }
    }

    /// Without the counters that decide nothing once they are large.
    pub(crate) fn saturated(mut self) -> Self {
        self.content_bytes = self.content_bytes.min(2);
        if let Framing::Chunked(decoder) = &mut self.framing {
            decoder.saturate();
        }
        self
    }

    /// Whether `input` holds the body to its end, and how many bytes of it were looked through. A body with
    /// a fault in it counts as whole: the fault is told when it is reached.
    pub(crate) fn is_whole(mut self, input: &[u8], limits: &Limits) -> (bool, usize) {
        let mut at = 0_usize;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            let Ok((framing, piece)) = self.piece(rest, limits) else { return (true, at) };
            at = at.saturating_add(framing);
            match piece {
                Piece::Nothing => return (false, input.len()),
                Piece::Content(content) => {
                    self.took(content);
                    at = at.saturating_add(content);
                }
                Piece::Trailers { bytes, .. } => return (true, at.saturating_add(bytes)),
                Piece::End => return (true, at),
            }
        }
    }
}

/// Trailers are scanned for their end, as a head is, and judged when it is here.
fn trailers(scan: &mut LineScan, section: &[u8], limits: &Limits) -> Result<Piece, ProtocolError> {
    let mut ahead = *scan;
    match ahead.is_whole(section, limits.trailer_bytes) {
        Ok(true) => Ok(Piece::Trailers { bytes: ahead.examined, lines: ahead.lines }),
        Ok(false) => {
            *scan = ahead;
            Ok(Piece::Nothing)
        }
        Err(ScanFault::BareLineFeed) => Err(ProtocolError::BareLineFeed),
        Err(ScanFault::TooLong) => Err(ProtocolError::exceeded(Limit::TrailerBytes, limits.trailer_bytes)),
    }
}

/// Counts the body of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BodyEncoder(ResponseBody);

impl BodyEncoder {
    /// No body. Also the value between exchanges.
    pub(crate) const NONE: Self = Self(ResponseBody::None);

    pub(crate) fn new(body: ResponseBody) -> Self {
        Self(body)
    }

    /// Counts a part of this length, unless it passes the `content-length`, or ends the body short of it: then nothing
    /// is changed.
    pub(crate) fn count(&mut self, length: u64, last: bool) -> Result<(), Misuse> {
        if let ResponseBody::Length(left) = &mut self.0 {
            match left.checked_sub(length) {
                None => return Err(Misuse::BodyTooLong),
                Some(1..) if last => return Err(Misuse::BodyTooShort),
                Some(rest) => *left = rest,
            }
        }
        Ok(())
    }

    /// Without what decides nothing while it is large.
    pub(crate) fn saturated(self) -> Self {
        match self.0 {
            ResponseBody::Length(left) => Self(ResponseBody::Length(left.min(2))),
            ResponseBody::None | ResponseBody::Chunked | ResponseBody::UntilClose => self,
        }
    }

    /// Whether what the application sends is written at all.
    pub(crate) fn is_written(self) -> bool {
        self.0 != ResponseBody::None
    }

    pub(crate) fn is_chunked(self) -> bool {
        self.0 == ResponseBody::Chunked
    }
}
