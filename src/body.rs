//! The body of a request and of a response, whatever delimits it.

use crate::chunked::{ChunkedDecoder, Front};
use crate::config::Limits;
use crate::error::{Limit, Misuse, ProtocolError};
use crate::framing::{RequestBody, ResponseBody};
use crate::headers::{LineScan, ScanFault};

/// Reads the body of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BodyDecoder {
    framing: Framing,
    /// Of content, so far.
    pub(crate) content_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// As many bytes are left.
    Length(u64),
    Chunked(ChunkedDecoder, LineScan),
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
    pub(crate) const EMPTY: Self = Self { framing: Framing::Length(0), content_bytes: 0 };

    pub(crate) fn new(body: RequestBody) -> Self {
        let framing = match body {
            RequestBody::Length(length) => Framing::Length(length),
            RequestBody::Chunked => Framing::Chunked(ChunkedDecoder::NEW, LineScan::default()),
        };
        Self { framing, content_bytes: 0 }
    }

    /// How many bytes of framing are at the front of `input`, and what follows them. A fault changes nothing, so it is
    /// found again by the next who asks.
    #[inline] // mostly there is no content
    pub(crate) fn piece(&mut self, input: &[u8], limits: &Limits) -> Result<(usize, Piece), ProtocolError> {
        match &mut self.framing {
            Framing::Length(0) => Ok((0, Piece::End)),
            Framing::Length(_) | Framing::Chunked(..) if input.is_empty() => Ok((0, Piece::Nothing)),
            Framing::Length(left) => {
                let content = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                Ok((0, Piece::Content(content)))
            }
            Framing::Chunked(decoder, scan) => chunked_piece(decoder, scan, input, limits),
        }
    }

    /// As many bytes of content were taken off the input.
    pub(crate) fn took(&mut self, content: usize) {
        let bytes = u64::try_from(content).unwrap_or(u64::MAX);
        self.content_bytes = self.content_bytes.saturating_add(bytes);
        match &mut self.framing {
            Framing::Length(left) => *left = left.saturating_sub(bytes),
            Framing::Chunked(decoder, _) => decoder.took(content),
        }
    }

    /// Bytes of an unfinished trailer section that were looked at.
    pub(crate) fn examined(&self) -> usize {
        match &self.framing {
            Framing::Length(_) => 0,
            Framing::Chunked(_, scan) => scan.examined,
        }
    }

    /// Without the counters that decide nothing once they are large.
    pub(crate) fn saturated(mut self) -> Self {
        self.content_bytes = self.content_bytes.min(2);
        if let Framing::Chunked(decoder, _) = &mut self.framing {
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

/// [`BodyDecoder::piece`] of a chunked body. Apart from it, as most requests have none.
fn chunked_piece(
    decoder: &mut ChunkedDecoder,
    scan: &mut LineScan,
    input: &[u8],
    limits: &Limits,
) -> Result<(usize, Piece), ProtocolError> {
    if let Some(content) = decoder.data(input) {
        return Ok((0, Piece::Content(content)));
    }
    if let Some((framing, content)) = decoder.plain(input, limits) {
        return Ok((framing, Piece::Content(content)));
    }
    let mut ahead = *decoder;
    let (framing, front) = ahead.advance(input, limits)?;
    let piece = match front {
        Front::Nothing => Piece::Nothing,
        Front::Content(content) => Piece::Content(content),
        Front::Trailers => trailers(scan, input.get(framing..).unwrap_or_default(), limits)?,
    };
    *decoder = ahead;
    Ok((framing, piece))
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
