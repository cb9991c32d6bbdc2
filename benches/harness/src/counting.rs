//! The allocator of every measured program: the system's, counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static HELD: AtomicUsize = AtomicUsize::new(0);

/// Allocations so far; one that was moved to grow counts again.
pub(crate) fn allocations() -> u64 {
    ALLOCATIONS.load(Relaxed)
}

/// Bytes that are allocated now, as they were asked for.
pub(crate) fn held() -> usize {
    HELD.load(Relaxed)
}

/// Not a read-modify-write: the measured programs have one thread, and this costs an instruction instead of a lock.
fn count(bytes_more: usize, bytes_less: usize) {
    ALLOCATIONS.store(ALLOCATIONS.load(Relaxed).wrapping_add(u64::from(bytes_more > 0)), Relaxed);
    HELD.store(HELD.load(Relaxed).wrapping_add(bytes_more).wrapping_sub(bytes_less), Relaxed);
}

// SAFETY: all of it is the system's allocator's doing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(0, layout.size());
        unsafe { System.dealloc(memory, layout) }
    }
}
