//! An allocator that counts what one thread asks of it while that thread wants to know.
//!
//! A program that measures says `#[global_allocator] static COUNTING: Counting = Counting;`. Outside of [`counted`] a
//! request costs the reading of one flag of its thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, with counts.
pub struct Counting;

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests for memory; a block that grows is one.
    pub allocations: u64,
    /// Bytes asked for, less bytes given back.
    pub bytes: i64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.allocations += other.allocations;
        self.bytes += other.bytes;
    }
}

thread_local! {
    static OPEN: Cell<bool> = const { Cell::new(false) };
    static COUNTS: Cell<Counts> = const { Cell::new(Counts { allocations: 0, bytes: 0 }) };
}

/// Does something and gives what it asked for, on this thread alone.
pub fn counted<T>(work: impl FnOnce() -> T) -> (T, Counts) {
    let (was_open, before) = (OPEN.replace(true), COUNTS.get());
    let value = work();
    OPEN.set(was_open);
    let after = COUNTS.get();
    let counts = Counts { allocations: after.allocations - before.allocations, bytes: after.bytes - before.bytes };
    (value, counts)
}

/// Does something within [`counted`] that is not to be counted.
pub fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    let was_open = OPEN.replace(false);
    let value = work();
    OPEN.set(was_open);
    value
}

fn note(allocations: u64, bytes: i64) {
    if OPEN.get() {
        let counts = COUNTS.get();
        COUNTS.set(Counts { allocations: counts.allocations + allocations, bytes: counts.bytes + bytes });
    }
}

// SAFETY: every request goes to the system's allocator as it is; counting touches two cells of the thread that need no
// memory and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size() as i64);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size() as i64);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        note(0, -(layout.size() as i64));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(1, size as i64 - layout.size() as i64);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(place, layout, size) }
    }
}
