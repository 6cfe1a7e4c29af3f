//! What a thread remembers of its last call at a site, so that the next one like it costs little.

use super::object::unknown;
use super::seam::{SyscallFrame, HELD_BELOW};
use crate::descriptors;
use crate::notes::{Note, NOTES_BYTES};
use crate::seam::Entry;
use crate::thread::Thread;
use perfvisor_format::{SyscallCell, SyscallObject};

/// Calls a thread remembers; 4 KiB.
pub const FAST: usize = 32;

/// A call is like this one if all of it is the same: the same place in the same frame on the stack,
/// below the same timed call and the same notes, on the same object. Read by the assembly, which finds it
/// by the site and the stack pointer.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Fast {
    /// Stack pointer, `HELD_BELOW` bytes below the host's; 0 = nothing is remembered.
    pub sp: u64,
    /// The thread's innermost timed call.
    pub top: *const Entry,
    /// Slot and site of the note of class 0.
    pub note: u64,
    /// Sum of those of the others.
    pub others: u64,
    /// The stack slot of the innermost noted call, or the address of the next field.
    pub slot: *const u64,
    /// What must stand there.
    pub return_address: u64,
    /// Where it is counted.
    pub cell: *mut SyscallCell,
    /// Its object, or one that is never written to a file.
    pub object: *mut SyscallObject,
    /// Its first argument.
    pub argument: u64,
    /// What the descriptor in its first argument leads to.
    pub word: u32,
    /// Zero.
    pub reserved_word: u32,
    /// Number of the place.
    pub site: u32,
    /// Cell of `top`.
    pub top_cell: u32,
    /// Zero.
    pub reserved: [u64; 5],
}

#[inline(always)]
unsafe fn notes(thread: *const Thread) -> (u64, u64) {
    // SAFETY: the notes stand in the page before the table.
    unsafe {
        let first = (*thread).table.cast::<u8>().sub(NOTES_BYTES).cast::<Note>();
        let word = |class: usize| (&raw const (*first.add(class)).slot_low).cast::<u64>().read();
        let others = word(1).wrapping_add(word(2)).wrapping_add(word(3)).wrapping_add(word(4));
        (word(0), others)
    }
}

/// Remembers a call that was counted in `cell`. `slot` is that of the innermost note, or 0.
///
/// # Safety
/// `thread` is the calling thread's live state, guard held; `frame` is the call's.
#[inline(always)]
pub unsafe fn remember(
    thread: *mut Thread,
    frame: *const SyscallFrame,
    cell: *mut SyscallCell,
    object: *mut SyscallObject,
    slot: u64,
) {
    // SAFETY: contract handed on.
    unsafe {
        let sp = (*frame).sp - HELD_BELOW;
        let fast = crate::thread::fast(thread, (*frame).site as usize + (sp as u32 >> 4) as usize);
        let top = (*thread).top;
        let (note, others) = notes(thread);
        (*thread).fast_used = 1;
        // First, so that a handler's calls in between do not find a mixture.
        (*fast).sp = 0;
        crate::shadow::step();
        (*fast).top = top;
        (*fast).top_cell = if top.is_null() { 0 } else { (*top).place.cell };
        (*fast).note = note;
        (*fast).others = others;
        (*fast).slot = &raw const (*fast).return_address;
        (*fast).return_address = 1;
        if slot != 0 {
            (*fast).slot = slot as *const u64;
            (*fast).return_address = (slot as *const u64).read_volatile();
        }
        (*fast).cell = cell;
        (*fast).object = if object.is_null() { unknown() } else { object };
        (*fast).argument = (*frame).args[0];
        (*fast).word = descriptors::known((*frame).args[0]).0;
        (*fast).site = (*frame).site as u32;
        crate::shadow::step();
        (*fast).sp = sp;
    }
}
