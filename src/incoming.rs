//! What was read and not yet interpreted.

use bytes::{Buf as _, Bytes, BytesMut};

/// Memory that an idle connection keeps for the fields of its next request. Heads of up to this size are copied into
/// it.
pub(crate) const KEPT_BYTES: usize = 400;

/// Most heads are no longer than this.
const USUAL_HEAD: usize = 192;

/// The read buffer: one piece of memory, given away whole or in parts, without copying what is large.
#[derive(Clone, Debug, Default)]
pub(crate) struct Incoming {
    pub(crate) bytes: BytesMut,
    /// Size of the memory that a part of `bytes` would pin.
    backing: usize,
    /// The peer has closed its sending half behind `bytes`.
    pub(crate) ended: bool,
    /// A buffer was lent from behind `bytes` and has not come back there: it may be out, or lost.
    is_lent: bool,
    /// Size of the memory that a lent buffer pins, which may be more than it shows. Saturates: it need only be large.
    lent_from: u32,
    /// The memory was asked for here: no driver waits to have it back, so it may stay while more is to come.
    is_own: bool,
}

impl Incoming {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.room() < bytes.len() {
            if self.bytes.is_empty() {
                if !self.is_own {
                    self.bytes = BytesMut::new();
                }
                self.is_lent = false;
                self.is_own = true;
            }
            // Most heads, so that one that drips does not grow byte by byte. It is the memory that was here before, if
            // that is large enough and nobody holds a part of it any more.
            self.make_room(bytes.len().max(1024));
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes a buffer that was read into: without a copy if nothing else is here, or if it is the one that was lent.
    pub(crate) fn push_buffer(&mut self, buffer: BytesMut) {
        if self.bytes.is_empty() {
            // One that was lent may come from behind bytes that are gone: then there is more of its memory than it
            // shows.
            self.backing = buffer.capacity().max(usize::try_from(self.lent_from).unwrap_or(usize::MAX));
            self.is_lent = false;
            // The one that was lent, as far as anybody can tell.
            self.is_own = self.lent_from != 0;
            self.lent_from = 0;
            self.bytes = buffer;
        } else if self.bytes.as_ptr().wrapping_add(self.bytes.len()) == buffer.as_ptr() {
            self.is_lent = false;
            self.bytes.unsplit(buffer);
            self.backing = self.backing.max(self.bytes.capacity());
        } else {
            self.push(&buffer);
        }
    }

    /// Room for `size` bytes behind what is here.
    pub(crate) fn lend(&mut self, size: usize) -> BytesMut {
        if self.is_lent && !self.bytes.is_empty() {
            // While one is out there is no room behind what is here, and to make some would copy it for each that is
            // lent.
            return BytesMut::with_capacity(size);
        }
        if self.room() < size {
            self.make_room(size);
        }
        self.lent_from = self.lent_from.max(u32::try_from(self.backing).unwrap_or(u32::MAX));
        if self.bytes.is_empty() {
            return core::mem::take(&mut self.bytes);
        }
        self.is_lent = true;
        let end = self.bytes.len();
        self.bytes.split_off(end)
    }

    /// Bytes for which there is room behind what is here.
    fn room(&self) -> usize {
        self.bytes.capacity().saturating_sub(self.bytes.len())
    }

    /// Makes it `size` bytes or more. Not by `reserve`: that may keep what was taken off the front in larger memory,
    /// and does not tell how large.
    fn make_room(&mut self, size: usize) {
        if self.bytes.try_reclaim(size) {
            return;
        }
        let here = self.bytes.len();
        // What drips is seldom moved.
        let spare = if here == 0 { 0 } else { here.max(size / 4) };
        let mut memory = BytesMut::with_capacity(here.saturating_add(size).saturating_add(spare));
        memory.extend_from_slice(&self.bytes);
        self.backing = memory.capacity();
        self.bytes = memory;
    }

    /// Forgets what is here, with its memory; what is read next gets its own.
    pub(crate) fn clear(&mut self) {
        self.bytes = BytesMut::new();
        self.backing = 0;
        self.is_own = false;
    }

    /// Whether a part of this size is copied: a `Bytes` pins all of the buffer that it is cut from, here more than four
    /// times its own size.
    pub(crate) fn is_small(&self, length: usize) -> bool {
        length < self.backing / 4
    }

    /// The first `length` bytes, of content. The `gap` bytes of framing behind them go too. If `more` content is to
    /// come, memory of our own stays here, to serve again.
    pub(crate) fn take(&mut self, length: usize, gap: usize, more: bool) -> Bytes {
        let whole = length.saturating_add(gap).min(self.bytes.len());
        if self.is_small(length) {
            let part = Bytes::copy_from_slice(self.bytes.get(..length).unwrap_or_default());
            self.skip(whole);
            return part;
        }
        let mut part = if more && self.is_own { self.bytes.split_to(whole) } else { self.split(whole) };
        part.truncate(length);
        part.freeze()
    }

    /// The first `length` bytes, in place of what `place` held. Few of them are copied, so that its memory serves one
    /// head after the other. That is kept by its size, so it is never part of a buffer, which may be larger than it
    /// shows.
    pub(crate) fn take_into(&mut self, length: usize, place: &mut BytesMut) {
        if length > KEPT_BYTES && !self.is_small(length) {
            *place = self.split(length.min(self.bytes.len()));
            return;
        }
        place.clear();
        if place.capacity() < length {
            *place = BytesMut::with_capacity(length.max(USUAL_HEAD));
        }
        place.extend_from_slice(self.bytes.get(..length).unwrap_or_default());
        self.skip(length);
    }

    /// Takes the first `length` bytes away.
    pub(crate) fn skip(&mut self, length: usize) {
        if length != 0 {
            self.bytes.advance(length.min(self.bytes.len()));
            self.let_go();
        }
    }

    /// The first `length` bytes, without a copy. All of them take the buffer with them, which then has no other holder.
    fn split(&mut self, length: usize) -> BytesMut {
        if length < self.bytes.len() {
            return self.bytes.split_to(length);
        }
        self.backing = 0;
        self.is_own = false;
        core::mem::take(&mut self.bytes)
    }

    /// Gives the memory back, if nothing is left in it: no content is to come, and it is not to be held for as long as a
    /// response takes, or until the next request comes.
    pub(crate) fn give_back(&mut self) {
        if self.backing != 0 && self.bytes.is_empty() {
            self.clear();
        }
    }

    /// Where nothing is left of a driver's buffer, the driver may use it again.
    fn let_go(&mut self) {
        if self.bytes.capacity() == 0 && !self.is_own {
            self.clear();
        }
    }
}
