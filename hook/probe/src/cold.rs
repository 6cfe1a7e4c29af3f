//! The way out of the hot path: what the hook does for it, with all registers kept.

use crate::seam::Frame;
use crate::thread::{local, Thread};

/// The hook's side. All set once before any slot is patched.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ColdCalls {
    /// Makes the calling thread's `Thread`; null if it cannot be recorded. Args: 0, 0, 0.
    pub attach: extern "C" fn(u64, u64, u64) -> u64,
    /// New block for elements of a kind: (thread, kind, 0) → header address or 0.
    pub new_block: extern "C" fn(u64, u64, u64) -> u64,
    /// Doubles the thread's map: (thread, 0, 0) → 1 if done.
    pub grow_map: extern "C" fn(u64, u64, u64) -> u64,
    /// Makes a page of the counter table part of the file: (thread, page, 0) → 1 if done.
    pub table_page: extern "C" fn(u64, u64, u64) -> u64,
    /// Next chunk for events: (thread, 0, 0) → 1 if there is room.
    pub event_chunk: extern "C" fn(u64, u64, u64) -> u64,
    /// Frees shadow entries whose slot no longer holds our return address: (thread, 0, 0).
    pub collect: extern "C" fn(u64, u64, u64) -> u64,
    /// Something special: (thread or 0, site, frame).
    pub special: extern "C" fn(u64, u64, u64) -> u64,
    /// Learns what a descriptor leads to: (thread, descriptor, 0) → its `descriptors::Descriptor` word.
    pub descriptor: extern "C" fn(u64, u64, u64) -> u64,
    /// How the frame of the code that an address returns to is laid out: (address, 0, 0) → a word of
    /// `unwind::word_of`, which it has also learnt.
    pub unwind_row: extern "C" fn(u64, u64, u64) -> u64,
    /// The process restricts its system calls from here on: (0, 0, 0).
    pub restricted: extern "C" fn(u64, u64, u64) -> u64,
}

extern "C" fn nothing(_: u64, _: u64, _: u64) -> u64 {
    0
}

/// The functions in force.
pub static mut COLD: ColdCalls = ColdCalls {
    attach: nothing,
    new_block: nothing,
    grow_map: nothing,
    table_page: nothing,
    event_chunk: nothing,
    collect: nothing,
    special: nothing,
    descriptor: nothing,
    unwind_row: nothing,
    restricted: nothing,
};

/// Counters of calls no thread could count: `MAX_SITES` u64 in `late.pv`, or null.
pub static mut LATE: *mut u64 = core::ptr::null_mut();

unsafe extern "C" {
    fn perfvisor_cold(f: extern "C" fn(u64, u64, u64) -> u64, a: u64, b: u64, c: u64) -> u64;
}

/// Calls `f` with every vector, mask and x87 register saved around it.
#[cold]
#[inline(never)]
pub fn call(f: extern "C" fn(u64, u64, u64) -> u64, a: u64, b: u64, c: u64) -> u64 {
    // SAFETY: the trampoline's contract is that `f` is a function of three words.
    unsafe {
        touch_stack();
        perfvisor_cold(f, a, b, c)
    }
}

/// Bytes of stack that cold work takes at most.
const COLD_STACK: u64 = 8192;

/// Overflows the stack now, if cold work would: signals are blocked in there, and a host that handles its
/// overflows on another stack would be ended instead. Only on the first thread's stack, which grows when it
/// is read and has nothing near below; that of another thread ends in a guard page, and it may be small.
#[inline(always)]
unsafe fn touch_stack() {
    let here = 0u64;
    let here = &raw const here as u64;
    // SAFETY: the calling thread's state, or null. What is read lies within the bounds of its stack: it is
    // there, or the kernel makes it, or says that the stack has overflown.
    unsafe {
        let thread = (*local()).thread;
        if thread.is_null() || (*thread).index != 0 {
            return;
        }
        let (low, high) = ((*thread).stack_low, (*thread).stack_high);
        if here < high && here > low + 2 * COLD_STACK {
            ((here - COLD_STACK / 2) as *const u8).read_volatile();
            ((here - COLD_STACK) as *const u8).read_volatile();
        }
    }
}

/// Stack that learning a descriptor or a row of an unwind table asks for, bytes: each takes less than half.
const ROOM: u64 = 32 << 10;

/// Whether the calling thread has stack for more than the least: not near the end of its own, nor on
/// another (coroutines, alternative signal stacks), whose end is not known.
#[inline(always)]
pub fn has_room() -> bool {
    let here = 0u64;
    let here = &raw const here as u64;
    // SAFETY: the calling thread's state, or null.
    unsafe {
        let thread = (*local()).thread;
        !thread.is_null() && here < (*thread).stack_high && here > (*thread).stack_low + ROOM
    }
}

/// The table of cold functions.
#[inline(always)]
pub fn calls() -> ColdCalls {
    // SAFETY: written once before the first slot is patched, read-only since.
    unsafe { (&raw const COLD).read() }
}

/// Whether a new thread may be recorded now. Written by the hook.
pub static RECORDING: core::sync::atomic::AtomicBool = core::sync::atomic::AtomicBool::new(false);

/// Makes the calling thread's `Thread`, or null.
#[cold]
pub fn attach() -> *mut Thread {
    // Acquire pairs with the hook's Release: what recording needs is ready.
    if !RECORDING.load(core::sync::atomic::Ordering::Acquire) {
        return core::ptr::null_mut();
    }
    call(calls().attach, 0, 0, 0) as *mut Thread
}

/// Runs what is special about `site`.
#[cold]
pub fn special(thread: *mut Thread, site: usize, frame: *mut Frame) {
    call(calls().special, thread as u64, site as u64, frame as u64);
}

/// Counts a call that no thread can count.
#[cold]
pub fn count_late(site: usize) {
    use core::sync::atomic::{AtomicU64, Ordering};
    // SAFETY: LATE is null or points to MAX_SITES counters; site < MAX_SITES.
    unsafe {
        let late = (&raw const LATE).read();
        if !late.is_null() {
            // Relaxed: a counter, read after the process or with a tolerance of a call.
            AtomicU64::from_ptr(late.add(site)).fetch_add(1, Ordering::Relaxed);
        }
    }
}
