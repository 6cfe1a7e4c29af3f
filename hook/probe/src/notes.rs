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
use perfvisor_format::MAX_SITES;

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
    /// The stack slot of its innermost call, if a note told of it; else 0.
    pub slot: u64,
}

/// What the notes say at one moment: a signal handler's calls may change them at any other.
struct Seen {
    /// Where each note's return address stands; 0 = it is no candidate, or not open.
    slots: [u64; NOTES],
    sites: [u32; NOTES],
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
        let mut seen = candidates(thread, walk.sp, limit);
        if highest(&seen.slots) == 0 {
            return path;
        }
        keep_open(thread, walk, &mut seen);
        loop {
            let slot = highest(&seen.slots);
            if slot == 0 {
                return path;
            }
            let site = take(&mut seen, slot);
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

/// The outermost slot; 0 = none.
#[inline(always)]
fn highest(slots: &[u64; NOTES]) -> u64 {
    let (mut found, mut class) = (0, 0);
    while class < NOTES {
        if slots[class] > found {
            found = slots[class];
        }
        class += 1;
    }
    found
}

/// Takes the note at `slot` out; its site.
#[inline(always)]
fn take(seen: &mut Seen, slot: u64) -> u32 {
    let (mut site, mut class) = (0, 0);
    while class < NOTES {
        if seen.slots[class] == slot {
            seen.slots[class] = 0;
            site = seen.sites[class];
        }
        class += 1;
    }
    site
}

/// The notes whose return address still stands where it was, between `sp` and `limit`.
#[inline(always)]
unsafe fn candidates(thread: *const Thread, sp: u64, limit: u64) -> Seen {
    let mut seen = Seen { slots: [0; NOTES], sites: [0; NOTES] };
    let mut class = 0;
    while class < NOTES {
        // SAFETY: a slot is read between `sp` and `limit`, both on the thread's own stack. Volatile: read
        // once, whatever a handler does.
        unsafe {
            let note = note(thread, class).read_volatile();
            let slot = sp.wrapping_add(u64::from(note.slot_low.wrapping_sub(sp as u32)));
            if slot < limit
                && slot >= sp
                && note.return_address != 0
                && (note.site as usize) < MAX_SITES
                && (slot as *const u64).read_volatile() == note.return_address
            {
                seen.slots[class] = slot;
                seen.sites[class] = note.site;
            }
        }
        class += 1;
    }
    seen
}

/// Drops the candidates whose calls are over: those whose slot the walk does not come by.
#[inline(always)]
unsafe fn keep_open(thread: *const Thread, mut walk: Walk, seen: &mut Seen) {
    // SAFETY: contract of `path_at`.
    unsafe {
        let last = highest(&seen.slots);
        let (low, high) = ((*thread).stack_low, (*thread).stack_high);
        let mut open = [false; NOTES];
        let (mut frames, mut complete) = (0, false);
        while frames < FRAMES && !complete {
            let Some(slot) = walk.step(low, high) else { break };
            let mut class = 0;
            while class < NOTES {
                open[class] |= seen.slots[class] == slot;
                class += 1;
            }
            complete = slot >= last;
            frames += 1;
        }
        let mut class = 0;
        while class < NOTES {
            // Above where the walk ended nothing is proved; below it all was seen.
            let unproved = !complete && seen.slots[class] >= walk.sp;
            let flags = sites::info(seen.sites[class] as usize).flags;
            let likely = unproved && flags & sites::MAKES_SYSTEM_CALLS != 0;
            if !(open[class] || likely) {
                seen.slots[class] = 0;
            }
            class += 1;
        }
    }
}
