//! What was accepted and not yet written: bytes and opaque parts, in order.

use alloc::vec::Vec;
use core::{fmt, slice};

use bytes::{Buf as _, Bytes};

use crate::spare;

/// From this size on a part of a body is queued as it is; below, it is copied behind the head or the chunk's line, so
/// that a small response leaves in one contiguous write.
pub(crate) const COPIED_BELOW: usize = 1024;

/// Memory of up to this size goes to and fro between what was written and the next head. With more of it a head would
/// hold that of a whole response, beside the response that then follows.
const SPARE: usize = 1024;

/// More memory than this is given back once all in it is written, as a stream may go on for long behind a burst.
const BURST: usize = 16 * 1024;

/// How much memory to ask for where so many bytes are to be written. Few sizes, so that it is asked for once, and that
/// what an idle connection keeps serves the next response, which is seldom of the same length.
fn room_for(length: usize) -> usize {
    [128, 256, SPARE, 2 * SPARE].into_iter().find(|&size| length <= size).unwrap_or(length)
}

/// Gives `text` room for `length` bytes in all.
pub(crate) fn make_room(text: &mut Vec<u8>, length: usize) {
    spare::make_room(text, room_for(length));
}

/// Longest text behind content that needs no memory of its own: the lines around a chunk are shorter. With one byte
/// more it would make the queue larger.
const SHORT: usize = 15;

/// Behind `chunk-data` (RFC 9112 §7.1).
const LINE_END: &[u8] = b"\r\n";

/// A part of a body.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Bytes(Bytes),
    /// Bytes that the driver moves by itself.
    Part {
        token: u64,
        length: u64,
    },
}

impl Content {
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => count(bytes.len()),
            Self::Part { length, .. } => *length,
        }
    }

    fn advance(&mut self, written: u64) {
        match self {
            Self::Bytes(bytes) => bytes.advance(usize::try_from(written).unwrap_or(usize::MAX).min(bytes.len())),
            Self::Part { length, .. } => *length = length.saturating_sub(written),
        }
    }
}

/// Content that is queued as it is, of which something is left, and the text behind it.
#[derive(Clone, Debug)]
struct Item {
    content: Content,
    behind: Text,
}

impl Item {
    fn length(&self) -> u64 {
        self.content.length().saturating_add(count(self.behind.bytes().len()))
    }
}

/// Pieces put together, of which none is written.
#[derive(Clone, Debug)]
enum Text {
    Short { text: [u8; SHORT], length: u8 },
    Long(Vec<u8>),
}

impl Text {
    const EMPTY: Self = Self::Short { text: [0; SHORT], length: 0 };

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short { text, length } => text.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(text) => text,
        }
    }

    #[inline]
    fn push(&mut self, piece: &[u8]) {
        if let Self::Short { text, length } = self {
            let start = usize::from(*length);
            let end = start.saturating_add(piece.len());
            if let Some(place) = text.get_mut(start..end) {
                place.copy_from_slice(piece);
                *length = u8::try_from(end).unwrap_or(u8::MAX);
                return;
            }
        }
        self.push_long(piece);
    }

    #[cold] // behind content there are mostly the lines around a chunk
    fn push_long(&mut self, piece: &[u8]) {
        match self {
            Self::Short { .. } => *self = Self::Long([self.bytes(), piece].concat()),
            Self::Long(text) => text.extend_from_slice(piece),
        }
    }
}

/// Bytes or items in order, of which the first may be written. Its memory serves one response after the other.
#[derive(Clone, Debug)]
struct Buffer<T> {
    all: Vec<T>,
    /// How many are: never all, as then they are forgotten.
    written: usize,
}

impl<T> Buffer<T> {
    fn rest(&self) -> &[T] {
        self.all.get(self.written..).unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        debug_assert!(self.written < self.all.len().max(1), "what is written to its end is forgotten");
        self.all.is_empty()
    }

    /// Where more is always queued before all is written, what is written would be kept for ever: so it is let go
    /// before anything grows.
    fn forget_written(&mut self) {
        self.all.drain(..self.written);
        self.written = 0;
    }

    fn memory(&self) -> usize {
        self.all.capacity().saturating_mul(size_of::<T>())
    }

    fn advance(&mut self, length: usize) {
        self.written = self.written.saturating_add(length);
        if self.written >= self.all.len() {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.written = 0;
        self.all.clear();
    }
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Self { all: Vec::new(), written: 0 }
    }
}

impl Buffer<u8> {
    #[inline]
    fn push(&mut self, piece: &[u8]) {
        if self.all.spare_capacity_mut().len() < piece.len() {
            self.make_room(piece.len());
        }
        self.all.extend_from_slice(piece);
    }

    /// For so many bytes more. Above [`SPARE`] it grows by half, so that what is here seldom moves.
    #[cold]
    fn make_room(&mut self, length: usize) {
        self.forget_written();
        let here = self.all.len();
        let all = here.saturating_add(length);
        let growth = if all > SPARE { here / 2 } else { 0 };
        make_room(&mut self.all, all.max(here.saturating_add(growth)));
    }

    /// Where content is queued behind it, it does not grow, while what is behind the content may: so it keeps no more
    /// than twice what it holds.
    #[inline]
    fn trim(&mut self) {
        if self.all.capacity() > spare::TEXT_BYTES && self.all.capacity() > self.rest().len().saturating_mul(2) {
            self.give_back();
        }
    }

    #[cold]
    fn give_back(&mut self) {
        self.forget_written();
        self.all.shrink_to_fit();
    }
}

impl Buffer<Item> {
    fn push(&mut self, item: Item) {
        if self.all.len() == self.all.capacity() {
            self.make_room();
        }
        self.all.push(item);
    }

    /// Mostly there is one, and an idle connection can keep its memory.
    #[cold]
    fn make_room(&mut self) {
        self.forget_written();
        self.all.reserve_exact(self.all.len().max(1));
    }

    fn first_mut(&mut self) -> Option<&mut Item> {
        self.all.get_mut(self.written)
    }

    fn last_mut(&mut self) -> Option<&mut Item> {
        self.all.last_mut()
    }

    /// The first one, of which nothing is kept.
    fn pop(&mut self) -> Option<Item> {
        let nothing = Item { content: Content::Bytes(Bytes::new()), behind: Text::EMPTY };
        let first = core::mem::replace(self.first_mut()?, nothing);
        self.advance(1);
        Some(first)
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Outgoing {
    /// Taken by a kernel that keeps it, and not yet written.
    in_flight: u64,
    /// The text that comes first.
    front: Buffer<u8>,
    /// Behind it.
    queue: Buffer<Item>,
    /// Of all of it, so 0 only if there is nothing; the most that can be counted where opaque parts are longer than
    /// that.
    unwritten: u64,
}

/// What is to be written next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    /// A chunk of bytes.
    Bytes,
    /// An opaque part: all before it is written.
    Part {
        token: u64,
        remaining: u64,
    },
}

impl Outgoing {
    #[inline]
    pub(crate) fn put(&mut self, piece: &[u8]) {
        self.accept(count(piece.len()));
        match self.queue.last_mut() {
            None => self.front.push(piece),
            Some(last) => last.behind.push(piece),
        }
    }

    /// Bytes that are not written: those in flight and those of opaque parts included.
    pub(crate) fn unwritten(&self) -> u64 {
        self.unwritten
    }

    /// Whether as many bytes or more are not written.
    pub(crate) fn holds(&self, bytes: usize) -> bool {
        self.unwritten >= count(bytes)
    }

    /// The memory of what was written, for the next head.
    pub(crate) fn take_spare(&mut self) -> Vec<u8> {
        if self.has_spare() { core::mem::take(&mut self.front.all) } else { Vec::new() }
    }

    fn has_spare(&self) -> bool {
        self.front.is_empty() && self.front.all.capacity() <= SPARE
    }

    /// Queues all of `text`, which is left empty.
    pub(crate) fn append(&mut self, text: &mut Vec<u8>) {
        if self.has_spare() && self.queue.is_empty() {
            self.accept(count(text.len()));
            core::mem::swap(&mut self.front.all, text);
        } else {
            self.put(text);
        }
        text.clear();
    }

    /// Queues content, which is not empty, and where it is the data of a chunk the line end behind it.
    pub(crate) fn push(&mut self, content: Content, is_chunk: bool) {
        debug_assert!(content.length() > 0, "nothing is moved for nothing");
        match content {
            Content::Bytes(bytes) if bytes.len() < COPIED_BELOW => {
                self.put(&bytes);
                if is_chunk {
                    self.put(LINE_END);
                }
            }
            Content::Bytes(_) | Content::Part { .. } => self.queue_up(content, is_chunk),
        }
    }

    fn queue_up(&mut self, content: Content, is_chunk: bool) {
        if self.queue.is_empty() {
            self.front.trim();
        }
        let mut item = Item { content, behind: Text::EMPTY };
        if is_chunk {
            item.behind.push(LINE_END);
        }
        self.accept(item.length());
        self.queue.push(item);
    }

    /// Whether all of it is written.
    pub(crate) fn is_empty(&self) -> bool {
        let is_empty = self.unwritten == 0;
        debug_assert_eq!(
            is_empty,
            self.in_flight == 0 && self.front.is_empty() && self.queue.is_empty(),
            "what is unwritten is counted"
        );
        is_empty
    }

    /// `written` bytes more are with the kernel; more than there are counts as all.
    pub(crate) fn written(&mut self, written: u64) {
        // Mostly it is all. What is beyond counting is more than was counted.
        if written >= self.unwritten && self.unwritten != u64::MAX {
            self.in_flight = 0;
            self.front.clear();
            self.queue.clear();
            self.unwritten = 0;
            if self.memory() > BURST {
                self.clear();
            }
            return;
        }
        let landed = written.min(self.in_flight);
        self.in_flight = self.in_flight.saturating_sub(landed);
        let mut left = written.saturating_sub(landed);
        loop {
            let first = self.front.rest().len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.front.advance(first);
            left = left.saturating_sub(count(first));
            let Some(item) = self.queue.first_mut() else { break };
            let length = item.content.length();
            if left < length {
                item.content.advance(left);
                left = 0;
                break;
            }
            left = left.saturating_sub(length);
            self.content_is_gone();
        }
        if !self.queue.is_empty() {
            self.front.trim();
        }
        self.unwritten = match self.unwritten {
            u64::MAX => self.count_again(),
            known => known.saturating_sub(written.saturating_sub(left)),
        };
    }

    /// The text behind the first content comes to the front, where there is none.
    fn content_is_gone(&mut self) {
        debug_assert!(self.front.is_empty(), "what comes first is written first");
        match self.queue.pop().map(|item| item.behind) {
            Some(Text::Long(text)) => self.front.all = text,
            Some(short) => self.front.push(short.bytes()),
            None => {}
        }
    }

    /// What is unwritten, where it may have been beyond counting: nobody knows how far.
    #[cold]
    fn count_again(&self) -> u64 {
        let front = self.in_flight.saturating_add(count(self.front.rest().len()));
        self.queue.rest().iter().map(Item::length).fold(front, u64::saturating_add)
    }

    fn accept(&mut self, length: u64) {
        self.unwritten = self.unwritten.saturating_add(length);
    }

    /// The chunks to write now: up to the first opaque part.
    pub(crate) fn chunks(&self) -> Chunks<'_> {
        Chunks { text: self.front.rest(), items: self.queue.rest().iter() }
    }

    /// The first chunk, for a kernel that keeps it.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        let bytes = if self.front.is_empty() {
            let Content::Bytes(bytes) = &mut self.queue.first_mut()?.content else { return None };
            let bytes = core::mem::take(bytes);
            self.content_is_gone();
            bytes
        } else if self.front.rest().len() <= SPARE.max(self.front.all.capacity() / 2) {
            // Its memory stays for what is next, and the kernel keeps no more of it than it writes.
            let bytes = Bytes::copy_from_slice(self.front.rest());
            self.front.clear();
            bytes
        } else {
            let Buffer { all, written } = core::mem::take(&mut self.front);
            let mut bytes = Bytes::from(all);
            bytes.advance(written);
            bytes
        };
        self.in_flight = self.in_flight.saturating_add(count(bytes.len()));
        Some(bytes)
    }

    /// What is to be written next.
    pub(crate) fn due(&self) -> Due {
        if !self.front.is_empty() {
            return Due::Bytes;
        }
        match self.queue.rest().first().map(|item| &item.content) {
            // Behind bytes that a kernel keeps nothing is due before they are written.
            Some(Content::Part { .. }) if self.in_flight > 0 => Due::Nothing,
            Some(&Content::Part { token, length }) => Due::Part { token, remaining: length },
            Some(Content::Bytes(_)) => Due::Bytes,
            None => Due::Nothing,
        }
    }

    /// Drops all of it.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Keeps at most `most_bytes` of its memory, where there is nothing to write: takes `spare` for what is more.
    pub(crate) fn shrink(&mut self, most_bytes: usize, spare: &mut Vec<u8>) {
        debug_assert!(self.is_empty(), "what is unwritten is kept");
        if self.queue.memory() > most_bytes {
            self.queue = Buffer::default();
        }
        if self.memory() > most_bytes {
            spare::keep_text(core::mem::replace(&mut self.front.all, core::mem::take(spare)));
        }
        if self.memory() > most_bytes {
            spare::keep_text(core::mem::take(&mut self.front.all));
            self.clear();
        }
    }

    /// Bytes that it has asked for.
    fn memory(&self) -> usize {
        self.front.memory().saturating_add(self.queue.memory())
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// The chunks that [`Connection::outgoing`](crate::Connection::outgoing) gives, in order; none of them is empty.
///
/// # Examples
/// ```
/// # use sansgi::{Config, Connection, Instant};
/// let mut conn = Connection::new(Config::default());
/// conn.handle_bytes(b"no request\r\n");
/// let _ = conn.next_action(Instant::ZERO);
/// let slices: Vec<std::io::IoSlice> = conn.outgoing().map(std::io::IoSlice::new).collect();
/// assert_eq!(slices.len(), 1);
/// assert!(slices[0].starts_with(b"HTTP/1.1 400 "));
/// ```
#[derive(Clone)]
pub struct Chunks<'a> {
    /// Before the items; empty when it was given, or is.
    text: &'a [u8],
    items: slice::Iter<'a, Item>,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        if !self.text.is_empty() {
            return Some(core::mem::take(&mut self.text));
        }
        let item = self.items.next()?;
        let Content::Bytes(bytes) = &item.content else {
            self.items = slice::Iter::default();
            return None;
        };
        self.text = item.behind.bytes();
        Some(bytes)
    }
}

impl fmt::Debug for Chunks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone().map(<[u8]>::len)).finish()
    }
}
