//! What was accepted and not yet written: bytes and opaque parts, in order.

use alloc::collections::{VecDeque, vec_deque};
use alloc::vec::Vec;
use core::fmt;

use bytes::{Buf as _, Bytes};

/// From this size on a part of a body is queued as it is; below, it is copied behind the head or the chunk's line, so
/// that a small response leaves in one contiguous write.
const COPIED_BELOW: usize = 1024;

/// Memory of up to this size goes to and fro between what was written and the next head. With more of it a head would
/// hold that of a whole response, beside the response that then follows.
const SPARE: usize = 1024;

/// Longest piece that is kept in its place in the queue: the lines around a chunk.
const SMALL: usize = 30;

#[derive(Clone, Debug)]
enum Item {
    Bytes(Bytes),
    /// Pieces put together, behind something that was queued as it is.
    Buffer(Buffer),
    /// A few bytes: they need no memory of their own.
    Small(Small),
    /// Bytes that the driver moves by itself.
    Part {
        token: u64,
        remaining: u64,
    },
}

#[derive(Clone, Copy, Debug)]
struct Small {
    text: [u8; SMALL],
    start: u8,
    end: u8,
}

impl Small {
    const EMPTY: Self = Self { text: [0; SMALL], start: 0, end: 0 };

    fn bytes(&self) -> &[u8] {
        self.text.get(usize::from(self.start)..usize::from(self.end)).unwrap_or_default()
    }

    /// False if they do not fit.
    fn push(&mut self, bytes: &[u8]) -> bool {
        let start = usize::from(self.end);
        let end = start.saturating_add(bytes.len());
        let Some(place) = self.text.get_mut(start..end) else { return false };
        place.copy_from_slice(bytes);
        self.end = u8::try_from(end).unwrap_or(u8::MAX);
        true
    }

    fn advance(&mut self, length: usize) {
        self.start = self.start.saturating_add(u8::try_from(length).unwrap_or(u8::MAX)).min(self.end);
    }
}

/// Pieces put together, of which some may be written. Its memory serves one response after the other.
#[derive(Clone, Debug, Default)]
struct Buffer {
    text: Vec<u8>,
    written: usize,
}

impl Buffer {
    fn bytes(&self) -> &[u8] {
        self.text.get(self.written..).unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        self.written == self.text.len()
    }

    #[inline]
    fn push(&mut self, piece: &[u8]) {
        if self.text.capacity().saturating_sub(self.text.len()) < piece.len() {
            self.make_room(piece.len());
        }
        self.text.extend_from_slice(piece);
    }

    /// Where more is always queued before all is written, what is written would be kept for ever: it is let go. What
    /// then moves is no more than twice what is queued until it moves again.
    #[cold]
    fn make_room(&mut self, length: usize) {
        self.text.drain(..self.written);
        self.written = 0;
        let here = self.text.len();
        self.text.reserve_exact(length.max(here / 2).max(SPARE.saturating_sub(here)));
    }

    fn advance(&mut self, length: usize) {
        self.written = self.written.saturating_add(length);
        if self.written >= self.text.len() {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.written = 0;
        self.text.clear();
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Outgoing {
    /// Taken by a kernel that keeps it, and not yet written.
    in_flight: u64,
    /// What comes first.
    front: Buffer,
    /// Behind it.
    queue: VecDeque<Item>,
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
    pub(crate) fn put(&mut self, piece: &[u8]) {
        self.accept(count(piece.len()));
        let has_room = match self.queue.back_mut() {
            None => {
                self.front.push(piece);
                true
            }
            Some(Item::Buffer(buffer)) => {
                buffer.push(piece);
                true
            }
            Some(Item::Small(small)) => small.push(piece),
            Some(Item::Bytes(_) | Item::Part { .. }) => false,
        };
        if !has_room {
            self.queue.push_back(Item::of(piece));
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
        if self.has_spare() { core::mem::take(&mut self.front.text) } else { Vec::new() }
    }

    fn has_spare(&self) -> bool {
        self.front.is_empty() && self.front.text.capacity() <= SPARE
    }

    /// Queues all of `text`, which is left empty.
    pub(crate) fn append(&mut self, text: &mut Vec<u8>) {
        if self.has_spare() && self.queue.is_empty() {
            self.accept(count(text.len()));
            core::mem::swap(&mut self.front.text, text);
        } else {
            self.put(text);
        }
        text.clear();
    }

    pub(crate) fn push(&mut self, bytes: Bytes) {
        if bytes.len() < COPIED_BELOW {
            self.put(&bytes);
        } else {
            self.accept(count(bytes.len()));
            self.queue.push_back(Item::Bytes(bytes));
        }
    }

    /// An opaque part, which is not empty.
    pub(crate) fn push_part(&mut self, token: u64, length: u64) {
        debug_assert!(length > 0, "nothing is moved for nothing");
        self.accept(length);
        self.queue.push_back(Item::Part { token, remaining: length });
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
            return;
        }
        let landed = written.min(self.in_flight);
        self.in_flight = self.in_flight.saturating_sub(landed);
        let mut left = written.saturating_sub(landed);
        let first = self.front.bytes().len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.front.advance(first);
        left = left.saturating_sub(count(first));
        while left > 0
            && let Some(item) = self.queue.front_mut()
        {
            let length = item.length();
            if length > left {
                item.advance(left);
                left = 0;
            } else {
                self.queue.pop_front();
                left = left.saturating_sub(length);
            }
        }
        self.unwritten = match self.unwritten {
            u64::MAX => self.count_again(),
            known => known.saturating_sub(written.saturating_sub(left)),
        };
    }

    /// What is unwritten, where it may have been beyond counting: nobody knows how far.
    #[cold]
    fn count_again(&self) -> u64 {
        let front = self.in_flight.saturating_add(count(self.front.bytes().len()));
        self.queue.iter().map(Item::length).fold(front, u64::saturating_add)
    }

    fn accept(&mut self, length: u64) {
        self.unwritten = self.unwritten.saturating_add(length);
    }

    /// The chunks to write now: up to the first opaque part.
    pub(crate) fn chunks(&self) -> Chunks<'_> {
        Chunks { front: self.front.bytes(), queue: self.queue.iter() }
    }

    /// The first chunk, for a kernel that keeps it.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        let bytes = if self.front.is_empty() {
            let bytes = self.queue.front()?.bytes()?;
            let taken = match self.queue.front() {
                Some(Item::Bytes(bytes)) => bytes.clone(),
                Some(Item::Buffer(_) | Item::Small(_) | Item::Part { .. }) | None => Bytes::copy_from_slice(bytes),
            };
            self.queue.pop_front();
            taken
        } else {
            let Buffer { text, written } = core::mem::take(&mut self.front);
            let mut bytes = Bytes::from(text);
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
        match self.queue.front() {
            // Behind bytes that a kernel keeps nothing is due before they are written.
            Some(Item::Part { .. }) if self.in_flight > 0 => Due::Nothing,
            Some(&Item::Part { token, remaining }) => Due::Part { token, remaining },
            Some(Item::Bytes(_) | Item::Buffer(_) | Item::Small(_)) => Due::Bytes,
            None => Due::Nothing,
        }
    }

    /// Drops all of it.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Gives large buffers back, where there is nothing to write.
    pub(crate) fn shrink(&mut self, keep_bytes: usize) {
        debug_assert!(self.is_empty(), "what is unwritten is kept");
        let queue = self.queue.capacity().saturating_mul(size_of::<Item>());
        if self.front.text.capacity().saturating_add(queue) > keep_bytes {
            self.front = Buffer::default();
        }
        if queue > keep_bytes {
            self.queue = VecDeque::new();
        }
    }
}

impl Item {
    fn of(piece: &[u8]) -> Self {
        let mut small = Small::EMPTY;
        if small.push(piece) { Self::Small(small) } else { Self::Buffer(Buffer { text: piece.to_vec(), written: 0 }) }
    }

    /// `None` if it is opaque.
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Buffer(buffer) => Some(buffer.bytes()),
            Self::Small(small) => Some(small.bytes()),
            Self::Part { .. } => None,
        }
    }

    fn length(&self) -> u64 {
        match self {
            Self::Part { remaining, .. } => *remaining,
            Self::Bytes(_) | Self::Buffer(_) | Self::Small(_) => count(self.bytes().unwrap_or_default().len()),
        }
    }

    fn advance(&mut self, length: u64) {
        let size = usize::try_from(length).unwrap_or(usize::MAX);
        match self {
            Self::Bytes(bytes) => bytes.advance(size.min(bytes.len())),
            Self::Buffer(buffer) => buffer.advance(size),
            Self::Small(small) => small.advance(size),
            Self::Part { remaining, .. } => *remaining = remaining.saturating_sub(length),
        }
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
    /// Before the queue; empty when it was given, or is.
    front: &'a [u8],
    queue: vec_deque::Iter<'a, Item>,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        if !self.front.is_empty() {
            return Some(core::mem::take(&mut self.front));
        }
        let bytes = self.queue.next()?.bytes();
        if bytes.is_none() {
            self.queue = vec_deque::Iter::default();
        }
        bytes
    }
}

impl fmt::Debug for Chunks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone().map(<[u8]>::len)).finish()
    }
}
