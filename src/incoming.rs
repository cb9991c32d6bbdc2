//! What was read and not yet interpreted.

use bytes::{Buf as _, Bytes, BytesMut};

/// Heads of up to this size are copied, into memory that an idle connection keeps.
const COPIED_UP_TO: usize = 192;

/// Memory that an idle connection keeps for the fields of its next request.
pub(crate) const KEPT_BYTES: usize = 400;

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
    /// The memory was asked for here, for bytes that are copied: no driver waits to have it back, so it may stay.
    is_own: bool,
}

impl Incoming {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.bytes.capacity() == 0 {
            // Most heads, so that one that drips does not grow byte by byte. `reserve` takes the memory that was here
            // before, if that is large enough and nobody holds a part of it any more.
            self.bytes.reserve(bytes.len().max(1024));
            self.backing = 0;
            self.is_lent = false;
            self.is_own = true;
        }
        self.bytes.extend_from_slice(bytes);
        self.backing = self.backing.max(self.bytes.capacity());
    }

    /// Takes a buffer that was read into: without a copy if nothing else is here, or if it is the one that was lent.
    pub(crate) fn push_buffer(&mut self, buffer: BytesMut) {
        let size = buffer.capacity();
        let place = self.bytes.as_ptr().wrapping_add(self.bytes.len());
        self.is_lent &= !self.bytes.is_empty() && buffer.as_ptr() != place;
        self.is_own &= !self.bytes.is_empty();
        self.bytes.unsplit(buffer);
        self.backing = self.backing.max(size);
    }

    /// Room for `size` bytes behind what is here.
    pub(crate) fn lend(&mut self, size: usize) -> BytesMut {
        if self.is_lent && !self.bytes.is_empty() {
            // While one is out there is no room behind what is here, and to make some would copy it for each that is lent.
            return BytesMut::with_capacity(size);
        }
        self.is_lent = true;
        if self.bytes.capacity().saturating_sub(self.bytes.len()) < size {
            self.bytes.reserve(size);
            self.backing = self.bytes.capacity();
        }
        let end = self.bytes.len();
        self.bytes.split_off(end)
    }

    /// Gives the memory back; what is read next gets its own.
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

    /// The first `length` bytes of content. If `more` of it is to come, memory of our own stays here, to serve again.
    pub(crate) fn take(&mut self, length: usize, more: bool) -> Bytes {
        let length = length.min(self.bytes.len());
        if self.is_small(length) {
            let part = Bytes::copy_from_slice(self.bytes.get(..length).unwrap_or_default());
            self.skip(length);
            part
        } else if more && self.is_own {
            self.bytes.split_to(length).freeze()
        } else {
            self.split(length).freeze()
        }
    }

    /// The first `length` bytes, in place of what `place` held. Few of them are copied, so that its memory serves one
    /// head after the other; and as that is kept by its size, so are those that would keep a larger buffer with them.
    pub(crate) fn take_into(&mut self, length: usize, place: &mut BytesMut) {
        let is_kept = length <= COPIED_UP_TO || length <= KEPT_BYTES && length < self.backing;
        if !is_kept && !self.is_small(length) {
            *place = self.split(length.min(self.bytes.len()));
            return;
        }
        place.clear();
        if place.capacity() < length {
            *place = BytesMut::with_capacity(length.max(COPIED_UP_TO));
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

    /// Where nothing is left of a driver's buffer, the driver may use it again.
    fn let_go(&mut self) {
        if self.bytes.capacity() == 0 && !self.is_own {
            self.clear();
        }
    }
}
