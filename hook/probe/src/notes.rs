//! Which calls are open that nobody timed: the notes that stubs leave.
//!
//! A call that is only counted goes on by a jump and comes back unseen. But its stub leaves a note in
//! front of the thread's counter table: the return address, where on the stack it stands, and the site.
//! There is one place for the C library's APIs and four for all others, by the class of the site's id
//! ([`class_of`]), so the note of `sqlite3_step` survives the `memcpy`s below it.
//!
//! A note is a candidate if the stack still holds the same return address in the same place, above the
//! stack pointer. That alone is not enough: where nothing was stored since, a call that returned long ago
//! leaves it behind. So the walk from the stack pointer upwards ([`crate::unwind`]) decides: a candidate
//! is open if the walk comes by its place. Where the walk ends early (code without unwind
//! information, a signal's frame), only notes of APIs that were seen to make system calls are believed.
//!
//! What remains unknown: an open call whose place was taken by a later one of its class (a callback out of
//! one library's API into another of the same class), or that lies on another stack (coroutines,
//! alternative signal stacks), whose memory may be gone. Stubs of locks leave no note: they are timed
//! whenever they can block. `tests/tests/` measure what is wrong in the end.

use crate::path;
use crate::seam::{Entry, OPEN};
use crate::shadow::on_own_stack;
use crate::sites;
use crate::thread::{reference, Thread};
use crate::unwind::Walk;

/// Notes of a thread.
pub const NOTES: usize = 5;
/// Bytes between the first note and the counter table.
pub const NOTES_BYTES: usize = 128;

/// Frames walked at most.
const FRAMES: u32 = 64;

/// What a stub leaves; 16 bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Note {
    /// The call's return address; 0 = no note.
    pub return_address: u64,
    /// Low half of the address where it stands.
    pub slot_low: u32,
    /// Site id.
    pub site: u32,
}

/// Class of a site, which says where its stub leaves its note (trampoline: `NOTE`).
pub const fn class_of(site: usize) -> usize {
    if site & 1 == 0 {
        0
    } else {
        1 + ((site >> 1) & 3)
    }
}

#[inline(always)]
unsafe fn note(thread: *const Thread, class: usize) -> *mut Note {
    // SAFETY: the notes stand in the page before the table, which is the segment's head.
    unsafe {
        let first = (*thread).table.cast::<u8>().sub(NOTES_BYTES).cast::<Note>();
        first.add(class)
    }
}

/// Leaves the note that a stub leaves, for a call that the probe passes on.
///
/// # Safety
/// `thread` is the calling thread's live state; `slot` holds the return address of the call of `site`.
#[inline(always)]
pub unsafe fn leave(thread: *mut Thread, slot: u64, site: usize) {
    // SAFETY: contract handed on.
    unsafe {
        let note = note(thread, class_of(site));
        (*note).return_address = (slot as *const u64).read_volatile();
        (*note).slot_low = slot as u32;
        (*note).site = site as u32;
    }
}

/// A timed call of `site` begins at `slot`: what was noted deeper on the stack has returned.
///
/// # Safety
/// As for [`leave`].
#[inline(always)]
pub unsafe fn clear(thread: *mut Thread, slot: u64, site: usize) {
    // SAFETY: contract handed on.
    unsafe {
        let note = note(thread, class_of(site));
        if (*note).slot_low.wrapping_sub(slot as u32) as i32 <= 0 {
            (*note).return_address = 0;
        }
    }
}

/// The innermost timed call that is open at the stack pointer `sp`, or null.
///
/// # Safety
/// `thread` is the calling thread's live state.
#[inline(always)]
pub unsafe fn innermost_timed(thread: *const Thread, sp: u64) -> *mut Entry {
    // SAFETY: the chain of parents ends in null.
    unsafe {
        let own = on_own_stack(thread, sp);
        let mut top = (*thread).top;
        while !top.is_null() {
            let gone = own && on_own_stack(thread, (*top).slot) && (*top).slot < sp;
            if (*top).state == OPEN && !gone {
                break;
            }
            top = (*top).parent;
        }
        top
    }
}

/// A call path, and whether its innermost call was told by a note.
#[derive(Clone, Copy)]
pub struct Path {
    /// Reference of its cell; 0 = none.
    pub cell: u32,
    /// The outermost stack slot looked at for it, if a note took part; else 0.
    pub slot: u64,
}

/// The call path where `walk` begins, below the timed call `above` (or null): its cell, then one for each open
/// noted call deeper than it. Cells are made where they are missing.
///
/// # Safety
/// As for [`innermost_timed`], with its answer; guard held.
#[inline(always)]
pub unsafe fn path_at(thread: *mut Thread, walk: Walk, above: *const Entry) -> Path {
    // SAFETY: contract handed on.
    unsafe {
        let mut path = Path { cell: 0, slot: 0 };
        let mut limit = (*thread).stack_high.wrapping_sub(16);
        if !above.is_null() {
            path.cell = (*above).place.cell;
            if on_own_stack(thread, (*above).slot) {
                limit = (*above).slot;
            }
        }
        if (*thread).max_gap == 1 || !on_own_stack(thread, walk.sp) {
            return path;
        }
        let candidates = candidates(thread, walk.sp, limit);
        if candidates == 0 {
            return path;
        }
        let mut open = open_ones(thread, walk, candidates);
        while open != 0 {
            let class = outermost(thread, walk.sp, open);
            open &= !(1 << class);
            let note = note(thread, class);
            let state = path::site_state(thread, (*note).site as usize);
            if state.is_null() {
                return path;
            }
            let cell = path::cell(thread, state, path.cell);
            if cell.is_null() {
                return path;
            }
            path = Path { cell: reference(thread, cell), slot: slot_of(note, walk.sp) };
        }
        path
    }
}

/// Where the return address of `note` stands, seen from `sp`.
#[inline(always)]
unsafe fn slot_of(note: *const Note, sp: u64) -> u64 {
    // SAFETY: live by contract.
    sp.wrapping_add(u64::from(unsafe { (*note).slot_low }.wrapping_sub(sp as u32)))
}

/// Bit per class: its note's return address still stands where it was, between `sp` and `limit`.
#[inline(always)]
unsafe fn candidates(thread: *const Thread, sp: u64, limit: u64) -> u32 {
    let (mut found, mut class) = (0, 0);
    while class < NOTES {
        // SAFETY: a slot is read between `sp` and `limit`, both on the thread's own stack.
        unsafe {
            let note = note(thread, class);
            let slot = slot_of(note, sp);
            if slot < limit
                && slot >= sp
                && (*note).return_address != 0
                && (slot as *const u64).read_volatile() == (*note).return_address
            {
                found |= 1 << class;
            }
        }
        class += 1;
    }
    found
}

/// The class of the outermost of `notes` (one bit each, at least one).
#[inline(always)]
unsafe fn outermost(thread: *const Thread, sp: u64, notes: u32) -> usize {
    let (mut highest, mut found, mut class) = (0, 0, 0);
    while class < NOTES {
        // SAFETY: live by contract.
        let slot = unsafe { slot_of(note(thread, class), sp) };
        if notes & (1 << class) != 0 && slot >= highest {
            highest = slot;
            found = class;
        }
        class += 1;
    }
    found
}

/// Those of `candidates` that the walk comes by.
#[inline(always)]
unsafe fn open_ones(thread: *const Thread, mut walk: Walk, candidates: u32) -> u32 {
    // SAFETY: contract of `path_at`.
    unsafe {
        let sp = walk.sp;
        let last = slot_of(note(thread, outermost(thread, sp, candidates)), sp);
        let (low, high) = ((*thread).stack_low, (*thread).stack_high);
        let (mut open, mut frames) = (0, 0);
        while frames < FRAMES {
            let Some(slot) = walk.step(low, high) else { break };
            let mut class = 0;
            while class < NOTES {
                if candidates & (1 << class) != 0 && slot_of(note(thread, class), sp) == slot {
                    open |= 1 << class;
                }
                class += 1;
            }
            if slot >= last {
                return open;
            }
            frames += 1;
        }
        // Above here nothing is proved; below it all was seen.
        let mut class = 0;
        while class < NOTES {
            let note = note(thread, class);
            let likely = sites::info((*note).site as usize).flags & sites::MAKES_SYSTEM_CALLS != 0;
            if candidates & (1 << class) != 0 && likely && slot_of(note, sp) >= walk.sp {
                open |= 1 << class;
            }
            class += 1;
        }
        open
    }
}
