//! Memory that connections have given back, for the next that needs some on the same thread.
//!
//! Most connections are idle most of the time, so each keeps little, and what a request takes beyond that would be
//! asked of the allocator each time. But a thread looks at one connection at a time: one piece of each kind is enough
//! for most requests, and costs nobody a lock.
//!
//! It decides nothing but where memory comes from. Without `std` there is nowhere to keep it: then all of it comes from
//! the allocator, and goes back there.

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

use bytes::{Buf as _, BytesMut};

use crate::headers::Place;

/// A piece of up to this size serves whoever needs less. A larger one serves only those who need more than this, as
/// they may have to hold it for as long as their peer likes.
pub(crate) const SMALL_BYTES: usize = 4 * 1024;

/// No larger piece is kept: one that is not small serves for a quarter of its size at least.
const MOST_BYTES: usize = 4 * SMALL_BYTES;

/// A text of up to this size is mostly the whole memory of a connection's response, and does not make room for a larger
/// one.
const SHORT_TEXT_BYTES: usize = 256;

/// As much is kept for the names of fields, and as much for their places.
const FIELDS_BYTES: usize = SMALL_BYTES / 2;

/// What the pieces of a connection may have beyond what it needs: one of any size for the bytes that come, and small
/// ones for those of the head, for two texts, and for the fields of the head and of the trailers.
pub(crate) const MOST_BEYOND_NEED: usize = if cfg!(feature = "std") { MOST_BYTES + 5 * SMALL_BYTES } else { 0 };

/// An empty buffer with room for `least` bytes. One that was kept has room for `most` at most.
pub(crate) fn buffer(least: usize, most: usize) -> BytesMut {
    let kept = if least <= MOST_BYTES { look(|kept| kept.buffer(least).take()).flatten() } else { None };
    kept.filter(|kept| (least..=most).contains(&kept.size())).unwrap_or_else(|| BytesMut::with_capacity(least))
}

/// Takes the memory of a buffer back, if that is `size` bytes and nobody else holds a part of it.
pub(crate) fn keep_buffer(buffer: &mut BytesMut, size: usize) {
    buffer.clear();
    if size <= MOST_BYTES && is_all(buffer, size) {
        look(|kept| kept.buffer(size).keep(core::mem::take(buffer)));
    }
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
    let kept = if size <= SMALL_BYTES { look(|kept| kept.text(size).take()).flatten() } else { None };
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
    if size > 0 && size <= SMALL_BYTES {
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
    let sizes = look(|Kept { small, large, short_text, text, names, places }| {
        [small.size(), large.size(), short_text.size(), text.size(), names.size(), places.size()]
    });
    sizes.unwrap_or_default().into_iter().fold(0, usize::saturating_add)
}

/// What a thread keeps.
struct Kept {
    small: Slot<BytesMut>,
    large: Slot<BytesMut>,
    short_text: Slot<Vec<u8>>,
    text: Slot<Vec<u8>>,
    names: Slot<String>,
    places: Slot<Vec<Place>>,
}

impl Kept {
    /// Where a buffer of this size is.
    fn buffer(&self, size: usize) -> &Slot<BytesMut> {
        if size <= SMALL_BYTES { &self.small } else { &self.large }
    }

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
                small: Slot(Cell::new(None)),
                large: Slot(Cell::new(None)),
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
