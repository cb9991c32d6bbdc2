//! The system's allocator, and what each thread takes from it: tests run beside each other.

#![allow(dead_code, reason = "each test crate takes what it needs")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// Blocks that were asked for so far; one that is to grow counts again.
pub(crate) fn allocations() -> usize {
    ALLOCATIONS.get()
}

/// Bytes of all these blocks.
pub(crate) fn allocated() -> usize {
    ALLOCATED.get()
}

/// Bytes that were asked for and not given back.
pub(crate) fn held() -> usize {
    HELD.get()
}

/// The most that was held at once since this was last asked. A block that is replaced may have to move, so it counts
/// beside the one that replaces it.
pub(crate) fn take_peak() -> usize {
    PEAK.replace(held())
}

fn count(size: usize) {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    ALLOCATED.set(ALLOCATED.get() + size);
    HELD.set(HELD.get() + size);
    PEAK.set(PEAK.get().max(HELD.get()));
}

fn discount(size: usize) {
    // A block that another thread has allocated may end here.
    HELD.set(HELD.get().saturating_sub(size));
}

// SAFETY: all is handed to the system's allocator as it came; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        discount(layout.size());
        // SAFETY: the caller's.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        discount(layout.size());
        // SAFETY: the caller's.
        unsafe { System.dealloc(block, layout) }
    }
}
