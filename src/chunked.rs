//! The chunked transfer coding (RFC 9112 §7.1), in and out.
//!
//! A chunk's line is read by a machine of our own, byte by byte: `httparse::parse_chunk_size` accepts lines that the
//! grammar refuses (`;`, `5 `, a line feed inside an extension), each of them a known smuggling vector.

use crate::config::{Limits, MAX_LENGTH};
use crate::error::{Limit, ProtocolError};
use crate::outgoing::Outgoing;
use crate::syntax;

/// Where the decoder is in
/// `chunked-body = *( chunk-size [ chunk-ext ] CRLF chunk-data CRLF ) 1*("0") [ chunk-ext ] CRLF trailer-section CRLF`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    /// `chunk-size = 1*HEXDIG`; how many digits are here.
    Size(u8),
    /// `chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`: white space that a `;` must follow.
    BeforeSemicolon,
    /// White space before a name.
    BeforeName,
    Name,
    /// White space that a `=` or a `;` must follow.
    AfterName,
    /// White space before a value.
    BeforeValue,
    Value,
    /// Inside a quoted string. CR and LF are no part of one: what looks like a line end here is none.
    Quoted,
    /// Behind a backslash inside one.
    Escaped,
    /// Behind one.
    AfterQuoted,
    /// Behind the CR of the line.
    LineFeed,
    /// Behind the data, which does not come here: the next two bytes must be CR LF, and each is checked as it comes.
    DataReturn,
    DataLineFeed,
}

/// Reads the framing and says how much data follows. What it is given next is behind that data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ChunkedDecoder {
    place: Place,
    /// Of the line so far.
    size: u64,
    line_bytes: usize,
    /// Of all lines so far.
    extension_bytes: u64,
    /// Of the chunks whose lines were read.
    content_bytes: u64,
}

impl ChunkedDecoder {
    pub(crate) const NEW: Self =
        Self { place: Place::Size(0), size: 0, line_bytes: 0, extension_bytes: 0, content_bytes: 0 };

    /// How many bytes of framing are at the front of `input`, and how many of data follow, where the framing is here,
    /// and nothing but what there has to be: as nearly all is. All other goes byte by byte, in [`Self::advance`], where
    /// alone it is said what is wrong with it.
    pub(crate) fn plain(&mut self, input: &[u8], limits: &Limits) -> Option<(usize, u64)> {
        let line_at = match self.place {
            Place::DataReturn if input.starts_with(b"\r\n") => 2,
            Place::Size(0) => 0,
            _ => return None,
        };
        let (line, size) = plain_line(input.get(line_at..)?, limits)?;
        let content_bytes = self.content_bytes.saturating_add(size);
        if size == 0 || content_bytes > limits.body_bytes {
            return None;
        }
        self.place = Place::DataReturn;
        self.content_bytes = content_bytes;
        Some((line_at.saturating_add(line), size))
    }

    /// How many bytes of framing are at the front of `input`, and, if the chunk's line is here to its end, how many of
    /// data follow. None do behind the last chunk.
    pub(crate) fn advance(&mut self, input: &[u8], limits: &Limits) -> Result<(usize, Option<u64>), ProtocolError> {
        let is_from_its_start = matches!(self.place, Place::Size(0) | Place::DataReturn);
        for (before, &byte) in input.iter().enumerate() {
            self.byte(byte, limits)?;
            if self.place == Place::DataReturn {
                let framing = before.saturating_add(1);
                let size = core::mem::take(&mut self.size);
                debug_assert!(
                    !is_from_its_start
                        || size == 0
                        || input
                            .get(..framing)
                            .map(<[u8]>::trim_ascii)
                            .is_none_or(|line| line.len() > 15 || !line.iter().all(u8::is_ascii_hexdigit)),
                    "what is plain does not come here"
                );
                return Ok((framing, Some(size)));
            }
        }
        Ok((input.len(), None))
    }

    /// Forgets what decides nothing once it is large: content beyond the extensions so far.
    pub(crate) fn saturate(&mut self) {
        self.content_bytes = self.content_bytes.min(self.extension_bytes.saturating_add(2));
    }

    /// One byte of framing. A fault is found at the first byte that cannot continue it, so at the same byte at every
    /// cut.
    fn byte(&mut self, byte: u8, limits: &Limits) -> Result<(), ProtocolError> {
        let place = match (self.place, byte) {
            (Place::DataReturn, b'\r') => Place::DataLineFeed,
            (Place::DataLineFeed, b'\n') => Place::Size(0),
            // `5 CRLF hello XX 0 CRLF CRLF`: a decoder that skips two bytes here sees another request (CVE-2025-43859).
            (Place::DataReturn | Place::DataLineFeed, _) => return Err(ProtocolError::ChunkEnd),
            (Place::LineFeed, b'\n') => return self.line_ended(limits),
            (Place::Size(1..) | Place::Name | Place::Value | Place::AfterQuoted, b'\r') => Place::LineFeed,
            _ => self.in_line(byte, limits)?,
        };
        self.place = place;
        Ok(())
    }

    fn in_line(&mut self, byte: u8, limits: &Limits) -> Result<Place, ProtocolError> {
        self.line_bytes = self.line_bytes.saturating_add(1);
        if self.line_bytes > limits.chunk_line_bytes {
            return Err(ProtocolError::exceeded(Limit::ChunkLineBytes, limits.chunk_line_bytes));
        }
        if let (Place::Size(digits), Some(digit)) = (self.place, syntax::hex_digit(byte)) {
            // "recipients MUST anticipate potentially large hexadecimal numerals and prevent parsing errors due to
            // integer conversion overflows" (RFC 9112 §7.1): sixteen digits, up to 2⁶³−1.
            let size = self.size.checked_mul(16).and_then(|size| size.checked_add(digit.into()));
            self.size = size.filter(|&size| size <= MAX_LENGTH && digits < 16).ok_or(ProtocolError::ChunkLine)?;
            return Ok(Place::Size(digits.saturating_add(1)));
        }
        // All that is no digit of the size and no CRLF is extension. "A server ought to limit the total length of chunk
        // extensions received in a request" (RFC 9112 §7.1.1).
        self.extension_bytes = self.extension_bytes.saturating_add(1);
        if self.extension_bytes > limits.chunk_extension_bytes.saturating_add(self.content_bytes) {
            let max = limits.chunk_extension_bytes;
            return Err(ProtocolError::LimitExceeded { limit: Limit::ChunkExtensionBytes, max });
        }
        self.in_extension(byte)
    }

    fn in_extension(&self, byte: u8) -> Result<Place, ProtocolError> {
        let is_space = matches!(byte, b' ' | b'\t');
        let is_token = syntax::is(byte, syntax::TOKEN);
        match (self.place, byte) {
            (
                Place::Size(1..)
                | Place::BeforeSemicolon
                | Place::AfterQuoted
                | Place::Value
                | Place::Name
                | Place::AfterName,
                b';',
            ) => Ok(Place::BeforeName),
            (Place::Size(1..) | Place::BeforeSemicolon | Place::AfterQuoted | Place::Value, _) if is_space => {
                Ok(Place::BeforeSemicolon)
            }
            (Place::BeforeName, _) if is_space => Ok(Place::BeforeName),
            (Place::BeforeName | Place::Name, _) if is_token => Ok(Place::Name),
            (Place::Name | Place::AfterName, b'=') => Ok(Place::BeforeValue),
            (Place::Name | Place::AfterName, _) if is_space => Ok(Place::AfterName),
            (Place::BeforeValue, _) if is_space => Ok(Place::BeforeValue),
            (Place::BeforeValue, b'"') => Ok(Place::Quoted),
            (Place::BeforeValue | Place::Value, _) if is_token => Ok(Place::Value),
            (Place::Quoted, b'"') => Ok(Place::AfterQuoted),
            (Place::Quoted, b'\\') => Ok(Place::Escaped),
            (Place::Quoted, _) if syntax::is(byte, syntax::QDTEXT) => Ok(Place::Quoted),
            (Place::Escaped, _) if syntax::is(byte, syntax::FIELD) => Ok(Place::Quoted),
            _ => Err(ProtocolError::ChunkLine),
        }
    }

    fn line_ended(&mut self, limits: &Limits) -> Result<(), ProtocolError> {
        let content_bytes = self.content_bytes.saturating_add(self.size);
        if content_bytes > limits.body_bytes {
            return Err(ProtocolError::LimitExceeded { limit: Limit::BodyBytes, max: limits.body_bytes });
        }
        self.content_bytes = content_bytes;
        self.line_bytes = 0;
        self.place = Place::DataReturn;
        Ok(())
    }
}

/// How long a line is that is nothing but a size, and that size.
fn plain_line(input: &[u8], limits: &Limits) -> Option<(usize, u64)> {
    let mut size = 0;
    let mut rest = input;
    while let [byte, behind @ ..] = rest
        && let Some(digit) = syntax::hex_digit(*byte)
    {
        size = size << 4 | u64::from(digit);
        rest = behind;
    }
    let digits = input.len().saturating_sub(rest.len());
    // Fifteen digits fit whatever they are. More than sixteen are a fault, so no long run of them is looked at often.
    (digits <= limits.chunk_line_bytes.min(15) && rest.starts_with(b"\r\n")).then(|| (digits.saturating_add(2), size))
}

/// The line of a chunk, `chunk-size CRLF`. Never of an empty one: that would end the body.
pub(crate) fn encode_size(size: u64, into: &mut Outgoing) {
    debug_assert!(size > 0, "a chunk of no bytes is the last chunk");
    let mut line = *b"0000000000000000\r\n";
    let leading_zeros = usize::try_from(size.leading_zeros() / 4).unwrap_or(0);
    let mut rest = size;
    for place in line.iter_mut().take(16).skip(leading_zeros).rev() {
        *place = last_hex_digit(rest);
        rest >>= 4;
    }
    into.put(line.get(leading_zeros..).unwrap_or_default());
}

fn last_hex_digit(number: u64) -> u8 {
    b"0123456789abcdef".get(usize::try_from(number & 15).unwrap_or(0)).copied().unwrap_or(b'0')
}
