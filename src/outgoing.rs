//! What was accepted and not yet written: bytes and opaque parts, in order.

use alloc::collections::VecDeque;
use core::fmt;

use bytes::{Buf as _, Bytes, BytesMut};

/// From this size on a part of a body is queued as it is; below, it is copied behind the head or the chunk's line, so
/// that a small response leaves in one contiguous write.
const COPIED_BELOW: usize = 1024;

#[derive(Clone, Debug)]
enum Item {
    Bytes(Bytes),
    /// Bytes that the driver moves by itself.
    Part {
        token: u64,
        remaining: u64,
    },
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Outgoing {
    /// Taken by a kernel that keeps it, and not yet written.
    in_flight: u64,
    queue: VecDeque<Item>,
    /// Behind the queue: what was written into a buffer of our own.
    tail: BytesMut,
    unwritten: u64,
}

impl Outgoing {
    /// Bytes that are not written: those in flight and those of opaque parts included.
    pub(crate) fn unwritten(&self) -> u64 {
        self.unwritten
    }

    /// Queues what `write` appends to the buffer.
    pub(crate) fn write(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let before = self.tail.len();
        write(&mut self.tail);
        self.unwritten = self.unwritten.saturating_add(count(self.tail.len().saturating_sub(before)));
    }

    /// Queues all of `buffer`, which is left empty.
    pub(crate) fn append(&mut self, buffer: &mut BytesMut) {
        self.unwritten = self.unwritten.saturating_add(count(buffer.len()));
        if self.tail.is_empty() {
            core::mem::swap(&mut self.tail, buffer);
        } else {
            self.tail.extend_from_slice(buffer);
        }
        buffer.clear();
    }

    pub(crate) fn push(&mut self, bytes: Bytes) {
        if bytes.len() < COPIED_BELOW {
            self.write(|tail| tail.extend_from_slice(&bytes));
        } else {
            self.unwritten = self.unwritten.saturating_add(count(bytes.len()));
            self.seal();
            self.queue.push_back(Item::Bytes(bytes));
        }
    }

    pub(crate) fn push_part(&mut self, token: u64, length: u64) {
        if length > 0 {
            self.unwritten = self.unwritten.saturating_add(length);
            self.seal();
            self.queue.push_back(Item::Part { token, remaining: length });
        }
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let sealed = self.tail.split().freeze();
            self.queue.push_back(Item::Bytes(sealed));
        }
    }

    /// `written` bytes more are with the kernel; "more than there are counts as all".
    pub(crate) fn written(&mut self, written: u64) {
        let mut left = written.min(self.unwritten);
        self.unwritten = self.unwritten.saturating_sub(left);
        let landed = left.min(self.in_flight);
        self.in_flight = self.in_flight.saturating_sub(landed);
        left = left.saturating_sub(landed);
        while left > 0 {
            let size = match self.queue.front_mut() {
                Some(Item::Bytes(bytes)) => {
                    let size = left.min(count(bytes.len()));
                    bytes.advance(usize::try_from(size).unwrap_or(bytes.len()));
                    if bytes.is_empty() {
                        self.queue.pop_front();
                    }
                    size
                }
                Some(Item::Part { remaining, .. }) => {
                    let size = left.min(*remaining);
                    *remaining = remaining.saturating_sub(size);
                    if *remaining == 0 {
                        self.queue.pop_front();
                    }
                    size
                }
                None => {
                    let size = usize::try_from(left).unwrap_or(self.tail.len()).min(self.tail.len());
                    self.tail.advance(size);
                    break;
                }
            };
            left = left.saturating_sub(size);
        }
    }

    /// The chunks to write now: up to the first opaque part.
    pub(crate) fn chunks(&self) -> Chunks<'_> {
        Chunks { outgoing: self, next: 0 }
    }

    /// The first chunk, for a kernel that keeps it.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        let bytes = match self.queue.front() {
            Some(Item::Part { .. }) => return None,
            Some(Item::Bytes(_)) => match self.queue.pop_front() {
                Some(Item::Bytes(bytes)) => bytes,
                Some(Item::Part { .. }) | None => return None,
            },
            None if self.tail.is_empty() => return None,
            None => self.tail.split().freeze(),
        };
        self.in_flight = self.in_flight.saturating_add(count(bytes.len()));
        Some(bytes)
    }

    /// The opaque part whose turn it is: all before it is written.
    pub(crate) fn part(&self) -> Option<(u64, u64)> {
        match self.queue.front() {
            Some(&Item::Part { token, remaining }) if self.in_flight == 0 => Some((token, remaining)),
            Some(Item::Part { .. } | Item::Bytes(_)) | None => None,
        }
    }

    /// Drops all of it.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Gives large buffers back when there is nothing to write.
    pub(crate) fn shrink(&mut self, keep_bytes: usize) {
        if self.unwritten == 0 {
            if self.tail.capacity() > keep_bytes {
                self.tail = BytesMut::new();
            }
            if self.queue.capacity() > 4 {
                self.queue = VecDeque::new();
            }
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
    outgoing: &'a Outgoing,
    next: usize,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        self.next = index.checked_add(1)?;
        match self.outgoing.queue.get(index) {
            Some(Item::Bytes(bytes)) => Some(bytes),
            Some(Item::Part { .. }) => {
                self.next = usize::MAX;
                None
            }
            None if index == self.outgoing.queue.len() && !self.outgoing.tail.is_empty() => Some(&self.outgoing.tail),
            None => None,
        }
    }
}

impl fmt::Debug for Chunks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone().map(<[u8]>::len)).finish()
    }
}
