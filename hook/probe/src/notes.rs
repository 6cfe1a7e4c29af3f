//! Which calls are open that nobody timed: the notes that stubs leave.
//!
//! A call that is only counted goes on by a jump and comes back unseen. But its stub leaves a note in
//! front of the thread's counter table: the return address, where on the stack it stands, and the site.
//! There is one place for the C library's APIs and four for all others, by the class of the site's id
//! ([`class_of`]), so the note of `sqlite3_step` survives the `memcpy`s below it.
//!
//! A note tells of an open call if the stack still holds the same return address in the same place, and
//! that place lies above the stack pointer. Two errors are possible and measured by
//! `tests/tests/syscalls_attribution.rs`: a call that has returned looks open where nothing has been
//! stored over its return address since (a hole in a later frame); and an open call is not known when a
//! later one of its class has taken the place (a callback out of one library's API into another API of
//! the same class). Stubs of locks leave none: they are timed whenever they can block. Neither do calls
//! on other stacks (coroutines, alternative signal stacks) count, whose memory may be gone.

use crate::path;
use crate::seam::{Entry, OPEN};
use crate::shadow::on_own_stack;
use crate::thread::{reference, Thread};

/// Notes of a thread.
pub const NOTES: usize = 5;
/// Bytes between the first note and the counter table.
pub const NOTES_BYTES: usize = 128;

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

/// The call path at `sp`, below the timed call `above` (or null): its cell, then one for each open note
/// deeper than it. Cells are made where they are missing.
///
/// # Safety
/// As for [`innermost_timed`], with its answer; guard held.
#[inline(always)]
pub unsafe fn path_at(thread: *mut Thread, sp: u64, above: *const Entry) -> Path {
    // SAFETY: contract handed on.
    unsafe {
        let mut path = Path { cell: 0, slot: 0 };
        let mut limit = (*thread).stack_high.wrapping_sub(8);
        if !above.is_null() {
            path.cell = (*above).place.cell;
            if on_own_stack(thread, (*above).slot) {
                limit = (*above).slot;
            }
        }
        if (*thread).max_gap == 1 || !on_own_stack(thread, sp) {
            return path;
        }
        loop {
            let (slot, site) = outermost_open(thread, sp, limit);
            if slot == 0 {
                return path;
            }
            limit = slot;
            let state = path::site_state(thread, site as usize);
            if state.is_null() {
                return path;
            }
            let cell = path::cell(thread, state, path.cell);
            if cell.is_null() {
                return path;
            }
            path = Path { cell: reference(thread, cell), slot };
        }
    }
}

/// Slot and site of the outermost noted call that is open between `sp` and `limit`; slot 0 = none.
#[inline(always)]
unsafe fn outermost_open(thread: *const Thread, sp: u64, limit: u64) -> (u64, u32) {
    let (mut found, mut site) = (0, 0);
    let mut class = 0;
    while class < NOTES {
        // SAFETY: a slot is read between `sp` and `limit`, both on the thread's own stack.
        unsafe {
            let note = note(thread, class);
            let slot = sp.wrapping_add(u64::from((*note).slot_low.wrapping_sub(sp as u32)));
            if slot < limit
                && slot > found
                && slot > sp
                && (*note).return_address != 0
                && (slot as *const u64).read_volatile() == (*note).return_address
            {
                found = slot;
                site = (*note).site;
            }
        }
        class += 1;
    }
    (found, site)
}
