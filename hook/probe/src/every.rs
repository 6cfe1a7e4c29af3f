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
use crate::seam::{Entry, Frame, OPEN};
use crate::shadow;
use crate::sites;
use crate::sync::remaining;
use crate::thread::{at, Thread};
use core::ptr::null_mut;
use perfvisor_format::Cell;

/// Call paths a thread remembers; 4 KiB.
pub const RECENT: usize = 256;
/// The counter word may sink so far below zero before the general way lifts it again.
const LOWEST: i32 = -(1 << 20);

/// A call path met before, of a site that needs nothing unusual.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Recent {
    /// Reference of the calling path's cell << 32 | site id + 1; 0 = empty.
    key: u64,
    /// Reference of the path's cell.
    cell: u32,
    /// Reference of the site's state.
    state: u32,
}

#[inline(always)]
fn key_of(parent: u32, site: usize) -> u64 {
    u64::from(parent) << 32 | (site as u64 + 1)
}

/// Cells are 6 units of 64 bytes: their lowest bit says nothing.
#[inline(always)]
unsafe fn place(thread: *const Thread, parent: u32, site: usize) -> *mut Recent {
    // SAFETY: `recent` has RECENT elements, the index is masked.
    unsafe { (*thread).recent.add((site ^ (parent >> 1) as usize) & (RECENT - 1)) }
}

/// Remembers where the general way found the call of `entry`.
///
/// # Safety
/// `entry` is complete, belongs to `thread`, and its site has no flag but `ALWAYS_TIMED`.
#[inline(always)]
pub unsafe fn remember(thread: *const Thread, entry: *const Entry) {
    // SAFETY: live by contract; the parent index names an entry of this thread.
    unsafe {
        if (*thread).recent.is_null() {
            return;
        }
        let site = (*entry).site as usize;
        let mut parent = 0;
        if (*entry).parent != 0 {
            parent = (*(*thread).entries.add((*entry).parent as usize - 1)).cell;
        }
        let recent = place(thread, parent, site);
        (*recent).key = key_of(parent, site);
        (*recent).cell = (*entry).cell;
        (*recent).state = (*entry).site_state;
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
    // SAFETY: contract handed on; indices in `open` and `free` are < entry_capacity.
    unsafe {
        let usual = !(*thread).recent.is_null()
            && (*thread).guard == 0
            && (*thread).rescan == 0
            && (*thread).free_count != 0
            && remaining(word) >= LOWEST;
        if !usual || (site >= sites::MUTEX_FIRST && sites::would_block(site, (*frame).args[0])) {
            return null_mut();
        }
        let (mut parent, mut above_cell, mut depth) = (0, 0, 1);
        let open = (*thread).open_count as usize;
        if open != 0 {
            let index = *(*thread).open.add(open - 1);
            let above = (*thread).entries.add(index as usize);
            if (*above).state != OPEN || (*above).slot <= slot {
                return null_mut();
            }
            parent = index + 1;
            above_cell = (*above).cell;
            depth = (*above).depth + 1;
        }
        let recent = place(thread, above_cell, site);
        if (*recent).key != key_of(above_cell, site) {
            return null_mut();
        }
        guard::hold(thread, slot);
        (*thread).free_count -= 1;
        let index = *(*thread).free.add((*thread).free_count as usize);
        let entry = (*thread).entries.add(index as usize);
        (*entry).return_address = (slot as *const u64).read_volatile();
        (*entry).slot = slot;
        (*entry).thread = thread;
        (*entry).cell = (*recent).cell;
        (*entry).site = site as u32;
        (*entry).weight = 1;
        (*entry).parent = parent;
        (*entry).index = index;
        (*entry).state = OPEN;
        (*entry).wait = 0;
        (*entry).depth = depth;
        (*entry).holder = 0;
        (*entry).below = 0;
        (*entry).wait_below = 0;
        (*entry).object = 0;
        (*entry).longest = 0;
        (*entry).site_state = (*recent).state;
        (*entry).calls = 0;
        shadow::copy_arguments(entry, frame);
        *(*thread).open.add(open) = index;
        (*thread).open_count = open as u32 + 1;
        guard::leave(thread);
        entry
    }
}

/// Ends a call at `end`; false: not a call for the short way, nothing done.
///
/// # Safety
/// As for [`crate::exit::perfvisor_probe_exit`]; `thread` is the calling thread's state or null.
#[inline(always)]
pub unsafe fn leave(thread: *mut Thread, entry: *mut Entry, end: u64) -> bool {
    // SAFETY: entries live as long as the process; a live thread's indices are in range.
    unsafe {
        let duration = end.wrapping_sub((*entry).start);
        let plain = (*entry).thread == thread
            && !thread.is_null()
            && (*entry).state == OPEN
            && (*entry).wait == 0
            && (*entry).weight == 1
            && (*entry).wait_below == 0
            && (*entry).longest == 0;
        // A clock that went back, too, shows as a long call.
        if !plain || duration > LEAST_THRESHOLD {
            return false;
        }
        let top = ((*thread).open_count as usize).wrapping_sub(1);
        let usual = !(*thread).recent.is_null() && (*thread).guard == 0;
        if !usual || (*thread).open_count == 0 || *(*thread).open.add(top) != (*entry).index {
            return false;
        }
        let cell: *mut Cell = at(thread, (*entry).cell);
        let bucket = buffer::short_bucket(thread, cell, duration);
        if bucket.is_null() {
            return false;
        }
        guard::hold(thread, (*entry).slot);
        *bucket += 1;
        let above = (*thread).entries.add(((*entry).parent as usize).wrapping_sub(1));
        if (*entry).parent != 0 && (*above).state == OPEN {
            (*above).below = (*above).below.wrapping_add(duration);
        }
        add(cell, duration, (*entry).below);
        (*(*thread).segment).timed += 1;
        (*(*thread).segment).last_tsc = end;
        let timed = (*cell).timed;
        if timed & (timed - 1) == 0 && timed >= TAIL_KNOWN {
            set_threshold(thread, cell);
        }
        if !(*thread).event.is_null() {
            write_event(thread, entry, duration);
        }
        (*thread).open_count = top as u32;
        shadow::release(thread, entry);
        guard::leave(thread);
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
