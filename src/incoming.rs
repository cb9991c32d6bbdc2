//! What was read and not yet interpreted.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::spare;

/// Memory that an idle connection keeps for the fields of its next request. Heads of up to this size are copied into
/// it.
pub(crate) const KEPT_BYTES: usize = 400;

/// No head is much shorter than this.
const LEAST_HEAD: usize = 64;

/// The read buffer: one piece of memory, given away whole or in parts, without copying what is large.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts of one buffer, not phases of anything")]
pub(crate) struct Incoming {
    pub(crate) bytes: BytesMut,
    /// Size of the memory that a part of `bytes` would pin. As those below it saturates: it need only be large.
    backing: u32,
    /// The peer has closed its sending half behind `bytes`.
    pub(crate) ended: bool,
    /// A buffer was lent from behind `bytes` and has not come back there: it may be out, or lost.
    is_lent: bool,
    /// Size of the largest memory of which a rest was lent: a buffer that comes may pin all of it, and show less.
    lent_from: u32,
    /// Size of the memory that was lent as a whole and has not come back.
    lent_whole: u32,
    /// The memory was asked for here, or is what was lent: no driver waits to have it back, so it may stay while more
    /// is to come.
    is_own: bool,
    /// The memory of the last head's bytes was asked for here, too.
    gave_own: bool,
}

impl Incoming {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.room() < bytes.len() {
            if self.bytes.is_empty() {
                if !self.is_own {
                    self.clear();
                }
                self.is_lent = false;
            }
            // Most heads, so that one that drips does not grow byte by byte, and then twice as much at least. It is the
            // memory that was here before, if that is large enough and nobody holds a part of it any more.
            let all = match self.bytes.len() {
                0 => bytes.len().max(1024),
                here => rounded_up(here.saturating_add(bytes.len())),
            };
            self.make_room(bytes.len(), all);
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes a buffer that was read into: without a copy if nothing else is here, or if it is the one that was lent.
    pub(crate) fn push_buffer(&mut self, buffer: BytesMut) {
        if self.bytes.is_empty() {
            let size = saturated(buffer.capacity());
            self.backing = size.max(self.lent_from);
            // As far as anybody can tell.
            self.is_own = size == self.lent_whole;
            self.is_lent = false;
            self.lent_whole = 0;
            self.bytes = buffer;
        } else if self.bytes.as_ptr().wrapping_add(self.bytes.len()) == buffer.as_ptr() {
            self.is_lent = false;
            self.bytes.unsplit(buffer);
            self.backing = self.backing.max(saturated(self.bytes.capacity()));
        } else {
            self.push(&buffer);
        }
    }

    /// Room for `size` bytes behind what is here, or a quarter more, or as much more as is here: what drips is seldom
    /// moved.
    pub(crate) fn lend(&mut self, size: usize) -> BytesMut {
        let here = self.bytes.len();
        let most = size.saturating_add(here.max(size / 4));
        if self.is_lent && here > 0 || self.room() > most {
            // While one is out there is no room behind what is here, and to make some would copy it for each that is
            // lent. What bytes were copied into may have more room than is to be read.
            return BytesMut::with_capacity(size);
        }
        if self.room() < size {
            self.make_room(size, if here == 0 { size } else { here.saturating_add(most) });
        }
        if here == 0 && saturated(self.bytes.capacity()) == self.backing {
            self.lent_whole = core::mem::take(&mut self.backing);
            return core::mem::take(&mut self.bytes);
        }
        self.lent_from = self.lent_from.max(self.backing);
        self.is_lent = true;
        self.bytes.split_off(here)
    }

    /// Bytes for which there is room behind what is here.
    fn room(&self) -> usize {
        self.bytes.capacity().saturating_sub(self.bytes.len())
    }

    /// Makes it `size` bytes or more, in memory of `all` bytes if it has to be new. Not by `reserve`: that may keep
    /// what was taken off the front in larger memory, and does not tell how large.
    fn make_room(&mut self, size: usize, all: usize) {
        if self.bytes.try_reclaim(size) {
            return;
        }
        let mut memory = spare::buffer(all);
        memory.extend_from_slice(&self.bytes);
        self.clear();
        self.backing = saturated(memory.capacity());
        self.bytes = memory;
        self.is_own = true;
    }

    /// Forgets what is here; what is read next gets its own memory. That which was asked for here is kept for whoever
    /// needs some next.
    #[inline(never)] // the turn that asks whether it is due is short
    pub(crate) fn clear(&mut self) {
        if self.is_own {
            spare::keep_buffer(&mut self.bytes, usize::try_from(self.backing).unwrap_or(usize::MAX));
        }
        self.is_own = false;
        self.forget();
    }

    /// Whether a part of this size is copied: a `Bytes` pins all of the buffer that it is cut from, here more than four
    /// times its own size.
    pub(crate) fn is_small(&self, length: usize) -> bool {
        saturated(length) < self.backing / 4
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
    /// head after the other. An idle connection keeps that by its size: so it is no part of a buffer, which may be
    /// larger than it shows.
    pub(crate) fn take_into(&mut self, length: usize, place: &mut BytesMut) {
        if length > KEPT_BYTES && !self.is_small(length) {
            self.gave_own = self.is_own && length == self.bytes.len();
            *place = self.split(length.min(self.bytes.len()));
            return;
        }
        if place.capacity() < length {
            *place = self.place_for(length);
        }
        place.clear();
        place.extend_from_slice(self.bytes.get(..length).unwrap_or_default());
        self.skip(length);
    }

    /// Memory for a head of this length.
    #[cold] // mostly there is that of the last one
    fn place_for(&mut self, length: usize) -> BytesMut {
        self.gave_own = true;
        if length > KEPT_BYTES {
            spare::buffer(rounded_up(length))
        } else {
            BytesMut::with_capacity(length.max(LEAST_HEAD))
        }
    }

    /// Takes the memory of the last head back, unless it is a driver's.
    pub(crate) fn take_back(&mut self, bytes: &mut BytesMut) {
        if core::mem::take(&mut self.gave_own) {
            let size = bytes.capacity();
            spare::keep_buffer(bytes, size);
        }
        *bytes = BytesMut::new();
    }

    /// Takes the first `length` bytes away. Where nothing is left of a driver's buffer, the driver may use it again.
    pub(crate) fn skip(&mut self, length: usize) {
        if length >= self.bytes.capacity() && !self.is_own {
            self.forget();
        } else {
            self.bytes.advance(length.min(self.bytes.len()));
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

    /// Whether any memory is here, also if nothing is in it.
    pub(crate) fn has_memory(&self) -> bool {
        self.backing != 0
    }

    /// Gives the memory back, if nothing is left in it: no content is to come, and it is not to be held for as long as
    /// a response takes, or until the next request comes.
    pub(crate) fn give_back(&mut self) {
        if self.has_memory() && self.bytes.is_empty() {
            self.clear();
        }
    }

    fn forget(&mut self) {
        self.bytes = BytesMut::new();
        self.backing = 0;
    }
}

/// To a size that is kept, if there is one.
fn rounded_up(size: usize) -> usize {
    size.checked_next_power_of_two().unwrap_or(size)
}

fn saturated(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
