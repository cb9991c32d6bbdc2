//! Memory that connections have given back, for the next that needs some on the same thread.
//!
//! Most connections are idle most of the time, so each keeps little, and what a request takes beyond that would be
//! asked of the allocator each time. But a thread looks at one connection at a time: one piece of each kind is enough
//! for most requests, and costs nobody a lock.
//!
//! It decides nothing but where memory comes from. So a buffer serves only those who ask for just its size: what is cut
//! from it depends on that, and must not depend on what other connections did. Without `std` there is nowhere to keep
//! memory: then all of it comes from the allocator, and goes back there.

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

use bytes::{Buf as _, BytesMut};

use crate::headers::Place;

/// The sizes of buffers that are kept, one of each.
const BUFFERS: [usize; 6] = [512, 1024, 2 * 1024, 4 * 1024, 8 * 1024, 16 * 1024];

/// No larger text is kept. One that is kept serves whoever needs less.
pub(crate) const TEXT_BYTES: usize = 4 * 1024;

/// A text of up to this size is mostly the whole memory of a connection's response, and does not make room for a larger
/// one.
const SHORT_TEXT_BYTES: usize = 256;

/// As much is kept for the names of fields, and as much for their places.
const FIELDS_BYTES: usize = 2 * 1024;

/// What a connection may have beyond what it needs: for its text, and for the fields of the head and of the trailers.
pub(crate) const MOST_BEYOND_NEED: usize = if cfg!(feature = "std") { TEXT_BYTES + 4 * FIELDS_BYTES } else { 0 };

/// An empty buffer of just this size.
pub(crate) fn buffer(size: usize) -> BytesMut {
    let kept = place_of(size).and_then(|place| look(|kept| kept.buffers.get(place)?.take())).flatten();
    kept.unwrap_or_else(|| BytesMut::with_capacity(size))
}

/// Takes the memory of a buffer back, if that is `size` bytes and nobody else holds a part of it.
pub(crate) fn keep_buffer(buffer: &mut BytesMut, size: usize) {
    buffer.clear();
    if let Some(place) = place_of(size)
        && is_all(buffer, size)
    {
        look(|kept| kept.buffers.get(place).map(|slot| slot.keep(core::mem::take(buffer))));
    }
}

/// Where buffers of this size are kept, if they are.
fn place_of(size: usize) -> Option<usize> {
    BUFFERS.iter().position(|&kept| kept == size)
}

/// Whether all the memory that an empty buffer is a part of is `size` bytes, and is nobody else's.
fn is_all(buffer: &mut BytesMut, size: usize) -> bool {
    // Room that is at hand is given without a look at what else there is: so one byte of it is taken away.
    if buffer.capacity() != 0 {
        buffer.resize(1, 0);
        buffer.advance(1);
    }
    buffer.try_reclaim(size) && !buffer.try_reclaim(size.saturating_add(1))
}

/// Gives `text` room for `size` bytes in all.
pub(crate) fn make_room(text: &mut Vec<u8>, size: usize) {
    let kept = if size <= TEXT_BYTES { look(|kept| kept.text(size).take()).flatten() } else { None };
    match kept.filter(|kept| kept.size() >= size) {
        Some(mut kept) => {
            kept.extend_from_slice(text);
            keep_text(core::mem::replace(text, kept));
        }
        None => text.reserve_exact(size.saturating_sub(text.len())),
    }
}

/// Takes the memory of a text back.
pub(crate) fn keep_text(mut text: Vec<u8>) {
    text.clear();
    let size = text.size();
    if size > 0 && size <= TEXT_BYTES {
        look(|kept| kept.text(size).keep(text));
    }
}

/// Memory for the names of fields: some, or none.
pub(crate) fn names() -> String {
    look(|kept| kept.names.take()).flatten().unwrap_or_default()
}

/// Takes such memory back.
pub(crate) fn keep_names(mut names: String) {
    names.clear();
    if names.size() <= FIELDS_BYTES {
        look(|kept| kept.names.keep(names));
    }
}

/// Memory for the places of fields: some, or none.
pub(crate) fn places() -> Vec<Place> {
    look(|kept| kept.places.take()).flatten().unwrap_or_default()
}

/// Takes such memory back.
pub(crate) fn keep_places(mut places: Vec<Place>) {
    places.clear();
    if places.size() <= FIELDS_BYTES {
        look(|kept| kept.places.keep(places));
    }
}

/// Bytes of memory that this thread keeps, but for the counts of those who share a buffer.
#[doc(hidden)]
pub fn spare_bytes() -> usize {
    let all = look(|Kept { buffers, short_text, text, names, places }| {
        let others = [short_text.size(), text.size(), names.size(), places.size()];
        buffers.iter().map(Slot::size).chain(others).fold(0, usize::saturating_add)
    });
    all.unwrap_or(0)
}

/// What a thread keeps.
struct Kept {
    buffers: [Slot<BytesMut>; BUFFERS.len()],
    short_text: Slot<Vec<u8>>,
    text: Slot<Vec<u8>>,
    names: Slot<String>,
    places: Slot<Vec<Place>>,
}

impl Kept {
    /// Where a text of this size is.
    fn text(&self, size: usize) -> &Slot<Vec<u8>> {
        if size <= SHORT_TEXT_BYTES { &self.short_text } else { &self.text }
    }
}

/// One piece of memory, or none.
struct Slot<T>(Cell<Option<T>>);

impl<T: Memory> Slot<T> {
    /// What is kept. One that turns out not to serve is gone, and makes room for one that does.
    fn take(&self) -> Option<T> {
        self.0.take()
    }

    /// Keeps the larger one of what is kept and of `piece`.
    fn keep(&self, piece: T) {
        let size = piece.size();
        let other = self.0.replace(Some(piece));
        if other.as_ref().is_some_and(|other| other.size() > size) {
            self.0.set(other);
        }
    }

    fn size(&self) -> usize {
        let piece = self.0.take();
        let size = piece.as_ref().map_or(0, Memory::size);
        self.0.set(piece);
        size
    }
}

trait Memory {
    fn size(&self) -> usize;
}

impl Memory for BytesMut {
    fn size(&self) -> usize {
        self.capacity()
    }
}

impl Memory for Vec<u8> {
    fn size(&self) -> usize {
        self.capacity()
    }
}

impl Memory for String {
    fn size(&self) -> usize {
        self.capacity()
    }
}

impl Memory for Vec<Place> {
    fn size(&self) -> usize {
        self.capacity().saturating_mul(size_of::<Place>())
    }
}

/// Looks at what the thread keeps, which is gone where the thread ends.
#[cfg(feature = "std")]
fn look<R>(look: impl FnOnce(&Kept) -> R) -> Option<R> {
    std::thread_local! {
        static KEPT: Kept = const {
            Kept {
                buffers: [const { Slot(Cell::new(None)) }; BUFFERS.len()],
                short_text: Slot(Cell::new(None)),
                text: Slot(Cell::new(None)),
                names: Slot(Cell::new(None)),
                places: Slot(Cell::new(None)),
            }
        };
    }
    KEPT.try_with(look).ok()
}

#[cfg(not(feature = "std"))]
fn look<R>(_look: impl FnOnce(&Kept) -> R) -> Option<R> {
    None
}
