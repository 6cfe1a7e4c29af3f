//! The short way of a thread that times every call (`--exact`, events).
//!
//! There the probe runs at each call, and most calls are alike: the thread has seen the call path
//! before, nothing waits, nothing is slow, no frame was unwound. Both functions here do such a call
//! from end to end and leave all others, untouched, to the general way ([`crate::entry`],
//! [`crate::exit`]), which also fills in what the short way looks up. What they skip is needed for
//! estimates only: no gap is drawn and no window learnt, since each call stands for itself.

use crate::buffer;
use crate::exit::{set_threshold, write_event, LEAST_THRESHOLD, TAIL_KNOWN};
use crate::guard;
use crate::seam::{Entry, Frame, Place, OPEN};
use crate::shadow;
use crate::sites;
use crate::sync::remaining;
use crate::thread::{at, Thread};
use core::ptr::null_mut;
use perfvisor_format::Cell;

/// Call paths a thread remembers; 8 KiB.
pub const RECENT: usize = 256;
/// The counter word may sink so far below zero before the general way lifts it again.
const LOWEST: i32 = -(1 << 20);

/// A call path met before, of a site that needs nothing unusual.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Recent {
    /// Reference of the calling path's cell << 32 | site id + 1; 0 = empty.
    key: u64,
    /// Zero.
    reserved: u64,
    /// The path's place, for a call that stands for itself.
    place: Place,
}

#[inline(always)]
fn key_of(parent: u32, site: usize) -> u64 {
    u64::from(parent) << 32 | (site as u64 + 1)
}

/// Cells are 6 units of 64 bytes: their lowest bit says nothing.
#[inline(always)]
unsafe fn find(thread: *const Thread, parent: u32, site: usize) -> *mut Recent {
    // SAFETY: `recent` has RECENT elements, the index is masked.
    unsafe { (*thread).recent.add((site ^ (parent >> 1) as usize) & (RECENT - 1)) }
}

/// Remembers where the general way found the call of `entry`.
///
/// # Safety
/// `entry` is complete, belongs to `thread`, and its site has no flag but `ALWAYS_TIMED`.
#[inline(always)]
pub unsafe fn remember(thread: *const Thread, entry: *const Entry) {
    // SAFETY: live by contract; the parent is null or an entry of this thread.
    unsafe {
        if (*thread).recent.is_null() {
            return;
        }
        let above = (*entry).parent;
        let parent = if above.is_null() { 0 } else { (*above).place.cell };
        let site = (*entry).place.site as usize;
        let recent = find(thread, parent, site);
        (*recent).key = key_of(parent, site);
        (*recent).place = Place { weight: 1, ..(*entry).place };
    }
}

/// Begins a call, up to but not including its time stamp; null: not a call for the short way.
///
/// # Safety
/// As for [`crate::entry::perfvisor_probe_entry`]; `word` is the site's word in the table of
/// `thread`, which is the calling thread's live state.
#[inline(always)]
pub unsafe fn enter(
    frame: *const Frame,
    slot: u64,
    word: *const u64,
    site: usize,
    thread: *mut Thread,
) -> *mut Entry {
    // SAFETY: contract handed on.
    unsafe {
        if (*thread).recent.is_null() || (*thread).guard != 0 {
            return null_mut();
        }
        guard::hold(thread, slot);
        let entry = fill(frame, slot, word, site, thread);
        guard::leave(thread);
        entry
    }
}

#[inline(always)]
unsafe fn fill(
    frame: *const Frame,
    slot: u64,
    word: *const u64,
    site: usize,
    thread: *mut Thread,
) -> *mut Entry {
    // SAFETY: contract of `enter`, guard held.
    unsafe {
        let entry = (*thread).spare;
        if entry.is_null() || (*thread).rescan != 0 || remaining(word) < LOWEST {
            return null_mut();
        }
        if site >= sites::MUTEX_FIRST && sites::would_block(site, (*frame).args[0]) {
            return null_mut();
        }
        let above = (*thread).top;
        let (mut parent, mut depth) = (0, 1);
        if !above.is_null() {
            if (*above).state != OPEN || (*above).slot <= slot {
                return null_mut();
            }
            parent = (*above).place.cell;
            depth = (*above).depth + 1;
        }
        let recent = find(thread, parent, site);
        if (*recent).key != key_of(parent, site) {
            return null_mut();
        }
        (*thread).spare = (*entry).parent;
        shadow::step();
        (*entry).return_address = (slot as *const u64).read_volatile();
        (*entry).slot = slot;
        (*entry).thread = thread;
        (*entry).parent = above;
        (*entry).place = (*recent).place;
        (*entry).state = OPEN;
        (*entry).wait = 0;
        (*entry).depth = depth;
        (*entry).holder = 0;
        (*entry).below = 0;
        (*entry).wait_below = 0;
        (*entry).longest = 0;
        (*entry).object = 0;
        (*entry).calls = 0;
        shadow::copy_arguments(entry, frame);
        shadow::step();
        (*thread).top = entry;
        entry
    }
}

/// Ends a call at `end`; false: not a call for the short way, nothing done.
///
/// # Safety
/// As for [`crate::exit::perfvisor_probe_exit`]; `thread` is the calling thread's state or null.
#[inline(always)]
pub unsafe fn leave(thread: *mut Thread, entry: *mut Entry, end: u64) -> bool {
    // SAFETY: entries live as long as the process; `top` is one of this thread only.
    unsafe {
        let duration = end.wrapping_sub((*entry).start);
        // A clock that went back, too, shows as a long call.
        let plain = duration <= LEAST_THRESHOLD
            && (*entry).state == OPEN
            && (*entry).wait == 0
            && (*entry).place.weight == 1
            && (*entry).wait_below == 0;
        if !plain || thread.is_null() || (*thread).guard != 0 || (*thread).recent.is_null() {
            return false;
        }
        guard::hold(thread, (*entry).slot);
        let done = fold(thread, entry, duration, end);
        guard::leave(thread);
        done
    }
}

#[inline(always)]
unsafe fn fold(thread: *mut Thread, entry: *mut Entry, duration: u64, end: u64) -> bool {
    // SAFETY: contract of `leave`, guard held.
    unsafe {
        let cell: *mut Cell = at(thread, (*entry).place.cell);
        if (*thread).top != entry {
            return false;
        }
        let bucket = buffer::short_bucket(thread, cell, duration);
        if bucket.is_null() {
            return false;
        }
        *bucket += 1;
        let above = (*entry).parent;
        if !above.is_null() {
            (*above).below = (*above).below.wrapping_add(duration);
        }
        add(cell, duration, (*entry).below);
        let segment = (*thread).segment;
        (*segment).timed += 1;
        (*segment).last_tsc = end;
        let timed = (*cell).timed;
        if timed & (timed - 1) == 0 && timed >= TAIL_KNOWN {
            set_threshold(thread, cell);
        }
        if !(*thread).event.is_null() {
            write_event(thread, entry, duration);
        }
        (*thread).top = above;
        shadow::release(thread, entry);
        true
    }
}

/// Folds a call that stands for itself and did not wait.
#[inline(always)]
unsafe fn add(cell: *mut Cell, duration: u64, below: u64) {
    // SAFETY: live cell.
    unsafe {
        (*cell).timed += 1;
        (*cell).represented += 1;
        (*cell).sum += duration;
        (*cell).weighted_sum += duration;
        (*cell).weighted_self += duration as i64 - below as i64;
        if duration < (*cell).min {
            (*cell).min = duration;
        }
        if duration > (*cell).max {
            (*cell).max = duration;
        }
    }
}
