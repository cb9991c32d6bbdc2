//! What was accepted and not yet written: bytes and opaque parts, in order.

use alloc::vec::Vec;
use core::{fmt, slice};

use bytes::{Buf as _, Bytes};

use crate::spare;

/// From this size on a part of a body is queued as it is; below, it is copied behind the head or the chunk's line, so
/// that a small response leaves in one contiguous write.
pub(crate) const COPIED_BELOW: usize = 1024;

/// Text of up to this size is copied for a kernel that keeps it, and its memory stays for what is next.
const SPARE: usize = 1024;

/// More memory than this is given back once all in it is written, as a stream may go on for long behind a burst.
const BURST: usize = 16 * 1024;

/// How much memory to ask for where so many bytes are to be written. Few sizes, so that it is asked for once, and that
/// what an idle connection keeps serves the next response, which is seldom of the same length.
fn room_for(length: usize) -> usize {
    [128, 256, SPARE, 2 * SPARE].into_iter().find(|&size| length <= size).unwrap_or(length)
}

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

/// Content that is queued as it is, of which something is left.
#[derive(Clone, Debug)]
struct Item {
    content: Content,
    /// How much of the text comes before it.
    at: usize,
}

/// Items in order, of which the first may be written. Its memory serves one response after the other.
#[derive(Clone, Debug, Default)]
struct Queue {
    all: Vec<Item>,
    /// How many are: never all, as then they are forgotten.
    written: usize,
}

impl Queue {
    fn rest(&self) -> &[Item] {
        self.all.get(self.written..).unwrap_or_default()
    }

    fn rest_mut(&mut self) -> &mut [Item] {
        self.all.get_mut(self.written..).unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        debug_assert!(self.written < self.all.len().max(1), "what is written to its end is forgotten");
        self.all.is_empty()
    }

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

    /// Where more is always queued before all is written, what is written would be kept for ever: so it is let go
    /// before anything grows.
    fn forget_written(&mut self) {
        self.all.drain(..self.written);
        self.written = 0;
    }

    fn first(&self) -> Option<&Item> {
        self.all.get(self.written)
    }

    fn first_mut(&mut self) -> Option<&mut Item> {
        self.all.get_mut(self.written)
    }

    /// The first one is gone, and nothing of it is kept.
    fn advance(&mut self) {
        if let Some(first) = self.first_mut() {
            first.content = Content::Bytes(Bytes::new());
        }
        self.written = self.written.saturating_add(1);
        if self.written >= self.all.len() {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.written = 0;
        self.all.clear();
    }

    fn memory(&self) -> usize {
        self.all.capacity().wrapping_mul(size_of::<Item>())
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Outgoing {
    /// Taken by a kernel that keeps it, and not yet written.
    in_flight: u64,
    /// All the text, in order. Its memory serves one response after the other.
    text: Vec<u8>,
    /// How much of it is written. Once nothing else is left, it is forgotten.
    written: usize,
    /// Where in it the draft begins: it is not queued yet, and nobody else sees it.
    draft_at: usize,
    /// The content between.
    queue: Queue,
    /// Of all that is queued, so 0 only if there is nothing; the most that can be counted where opaque parts are longer
    /// than that.
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
        debug_assert!(self.draft().is_empty(), "a draft comes before what is queued behind it");
        if !self.has_room(piece.len()) {
            self.make_room(piece.len());
        }
        self.text.extend_from_slice(piece);
        self.draft_at = self.text.len();
        self.accept(count(piece.len()));
    }

    /// Whether there is memory for so many bytes of text more.
    pub(crate) fn has_room(&self, length: usize) -> bool {
        self.text.capacity().wrapping_sub(self.text.len()) >= length
    }

    /// Makes room for so many bytes of text more. Above [`SPARE`] it grows by half, so that what is here seldom moves.
    #[cold]
    pub(crate) fn make_room(&mut self, length: usize) {
        self.forget_written();
        let here = self.text.len();
        let all = here.saturating_add(length);
        let growth = if all > SPARE { here / 2 } else { 0 };
        spare::make_room(&mut self.text, room_for(all.max(here.saturating_add(growth))));
    }

    /// Where more is always queued before all is written, what is written would be kept for ever: so it is let go
    /// before anything grows.
    fn forget_written(&mut self) {
        self.text.drain(..self.written);
        self.draft_at = self.draft_at.saturating_sub(self.written);
        for item in self.queue.rest_mut() {
            item.at = item.at.saturating_sub(self.written);
        }
        self.written = 0;
    }

    /// What is not queued yet: it can still be changed, or thrown away.
    pub(crate) fn draft(&self) -> &[u8] {
        self.text.get(self.draft_at..).unwrap_or_default()
    }

    /// The text that the draft is the end of: more is put behind it.
    pub(crate) fn draft_mut(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// Throws away what of the draft is behind its first bytes.
    pub(crate) fn cut_draft(&mut self, length: usize) {
        self.text.truncate(self.draft_at.saturating_add(length));
        self.tidy();
    }

    /// Queues the draft.
    pub(crate) fn release(&mut self) {
        let length = self.text.len().saturating_sub(self.draft_at);
        self.draft_at = self.text.len();
        self.accept(count(length));
    }

    /// Queues what of the draft is behind its first bytes: they stay a draft, behind it.
    pub(crate) fn release_behind(&mut self, length: usize) {
        let draft = self.text.get_mut(self.draft_at..).unwrap_or_default();
        let released = draft.len().saturating_sub(length);
        draft.rotate_right(released);
        self.draft_at = self.draft_at.saturating_add(released);
        self.accept(count(released));
    }

    /// Bytes that are not written: those in flight and those of opaque parts included.
    pub(crate) fn unwritten(&self) -> u64 {
        self.unwritten
    }

    /// Whether as many bytes or more are not written.
    pub(crate) fn holds(&self, bytes: usize) -> bool {
        self.unwritten >= count(bytes)
    }

    /// Queues content, which is not empty, and where it is the data of a chunk the line end behind it.
    pub(crate) fn push(&mut self, content: Content, is_chunk: bool) {
        debug_assert!(content.length() > 0, "nothing is moved for nothing");
        match content {
            Content::Bytes(bytes) if bytes.len() < COPIED_BELOW => self.put(&bytes),
            Content::Bytes(_) | Content::Part { .. } => self.queue_up(content),
        }
        if is_chunk {
            self.put(LINE_END);
        }
    }

    fn queue_up(&mut self, content: Content) {
        self.trim();
        self.accept(content.length());
        self.queue.push(Item { content, at: self.draft_at });
    }

    /// Whether all of it is written.
    pub(crate) fn is_empty(&self) -> bool {
        let is_empty = self.unwritten == 0;
        debug_assert_eq!(
            is_empty,
            self.in_flight == 0 && self.written == self.draft_at && self.queue.is_empty(),
            "what is unwritten is counted"
        );
        is_empty
    }

    /// `written` bytes more are with the kernel; more than there are counts as all.
    pub(crate) fn written(&mut self, written: u64) {
        // Mostly it is all. What is beyond counting is more than was counted.
        if written >= self.unwritten && self.unwritten != u64::MAX {
            self.in_flight = 0;
            self.written = self.draft_at;
            self.queue.clear();
            self.unwritten = 0;
            self.tidy();
            if self.memory() > BURST {
                self.give_back();
            }
            return;
        }
        let landed = written.min(self.in_flight);
        self.in_flight = self.in_flight.saturating_sub(landed);
        let mut left = written.saturating_sub(landed);
        loop {
            let first = self.front().len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.written = self.written.saturating_add(first);
            left = left.saturating_sub(count(first));
            let Some(item) = self.queue.first_mut() else { break };
            let length = item.content.length();
            if left < length {
                item.content.advance(left);
                left = 0;
                break;
            }
            left = left.saturating_sub(length);
            self.queue.advance();
        }
        self.tidy();
        self.unwritten = match self.unwritten {
            u64::MAX => self.count_again(),
            known => known.saturating_sub(written.saturating_sub(left)),
        };
    }

    /// Where all is written, the text begins again.
    #[inline]
    fn tidy(&mut self) {
        if self.written == self.text.len() && self.queue.is_empty() {
            self.text.clear();
            self.written = 0;
            self.draft_at = 0;
        } else {
            self.trim();
        }
    }

    /// The text does not shrink by itself, and content may be queued behind it for long: so it keeps no more than twice
    /// what is left of it.
    #[inline]
    fn trim(&mut self) {
        let left = self.text.len().saturating_sub(self.written);
        if self.text.capacity() > spare::TEXT_BYTES && self.text.capacity() > left.saturating_mul(2) {
            self.give_back();
        }
    }

    #[cold]
    fn give_back(&mut self) {
        self.forget_written();
        self.text.shrink_to_fit();
        self.queue.forget_written();
        self.queue.all.shrink_to_fit();
    }

    /// What is unwritten, where it may have been beyond counting: nobody knows how far.
    #[cold]
    fn count_again(&self) -> u64 {
        let text = self.in_flight.saturating_add(count(self.draft_at.saturating_sub(self.written)));
        self.queue.rest().iter().map(|item| item.content.length()).fold(text, u64::saturating_add)
    }

    fn accept(&mut self, length: u64) {
        self.unwritten = self.unwritten.saturating_add(length);
    }

    /// The text that comes first.
    fn front(&self) -> &[u8] {
        let end = self.queue.first().map_or(self.draft_at, |item| item.at);
        self.text.get(self.written..end).unwrap_or_default()
    }

    /// The chunks to write now: up to the first opaque part.
    pub(crate) fn chunks(&self) -> Chunks<'_> {
        let text = self.text.get(..self.draft_at).unwrap_or_default();
        Chunks { text, given: self.written, items: self.queue.rest().iter() }
    }

    /// The first chunk, for a kernel that keeps it.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        let front = self.front();
        let bytes = if front.is_empty() {
            let Content::Bytes(bytes) = &mut self.queue.first_mut()?.content else { return None };
            let bytes = core::mem::take(bytes);
            self.queue.advance();
            bytes
        } else if front.len() <= SPARE.max(self.text.capacity() / 2)
            || !self.queue.is_empty()
            || !self.draft().is_empty()
        {
            // Its memory stays for what is next, and the kernel keeps no more of it than it writes.
            let bytes = Bytes::copy_from_slice(front);
            self.written = self.written.saturating_add(bytes.len());
            bytes
        } else {
            let mut bytes = Bytes::from(core::mem::take(&mut self.text));
            bytes.advance(self.written);
            self.written = 0;
            self.draft_at = 0;
            bytes
        };
        self.tidy();
        self.in_flight = self.in_flight.saturating_add(count(bytes.len()));
        Some(bytes)
    }

    /// What is to be written next.
    pub(crate) fn due(&self) -> Due {
        if !self.front().is_empty() {
            return Due::Bytes;
        }
        match self.queue.first().map(|item| &item.content) {
            // Behind bytes that a kernel keeps nothing is due before they are written.
            Some(Content::Part { .. }) if self.in_flight > 0 => Due::Nothing,
            Some(&Content::Part { token, length }) => Due::Part { token, remaining: length },
            Some(Content::Bytes(_)) => Due::Bytes,
            None => Due::Nothing,
        }
    }

    /// Drops all of it, the draft too.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Keeps at most `most_bytes` of its memory, where there is nothing to write.
    pub(crate) fn shrink(&mut self, most_bytes: usize) {
        debug_assert!(self.is_empty() && self.text.is_empty(), "what is unwritten is kept");
        if self.memory() > most_bytes {
            self.give_all_back(most_bytes);
        }
    }

    #[inline(never)] // mostly there is no more
    fn give_all_back(&mut self, most_bytes: usize) {
        if self.queue.memory() > most_bytes {
            self.queue = Queue::default();
        }
        if self.memory() > most_bytes {
            spare::keep_text(core::mem::take(&mut self.text));
        }
    }

    /// Bytes that it has asked for. (No sum wraps: it is all there.)
    fn memory(&self) -> usize {
        self.text.capacity().wrapping_add(self.queue.memory())
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
    text: &'a [u8],
    /// How much of the text was given, or is written.
    given: usize,
    items: slice::Iter<'a, Item>,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let end = self.items.as_slice().first().map_or(self.text.len(), |item| item.at);
        if self.given < end {
            let text = self.text.get(self.given..end);
            self.given = end;
            return text;
        }
        let Content::Bytes(bytes) = &self.items.next()?.content else {
            *self = Self { text: &[], given: 0, items: slice::Iter::default() };
            return None;
        };
        Some(bytes)
    }
}

impl fmt::Debug for Chunks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone().map(<[u8]>::len)).finish()
    }
}
