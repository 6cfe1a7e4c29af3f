//! Exit of a timed call.

use crate::buffer::{add_to_histogram, publish, take, usual};
use crate::clock::now;
use crate::cold;
use crate::every;
use crate::guard;
use crate::pace;
use crate::path::{add_wait, Wait};
use crate::seam::{Entry, DONE, OPEN};
use crate::shadow;
use crate::sites;
use crate::sync::commit_u64;
use crate::thread::{at, local, Thread};
use perfvisor_format::{
    BlockKind, Cell, Event, EventChunkHeader, SiteState, SlowCall, WaitKind, EVENT_LONG,
};

/// Timed calls before a cell's own tail is known.
pub const TAIL_KNOWN: u64 = 64;
/// Until then a call is slow from here on (cycles; 1 ms at 3 GHz).
const FIRST_THRESHOLD: u64 = 3_000_000;
/// No call shorter than this (cycles; 2 µs at 3 GHz) is worth keeping.
pub const LEAST_THRESHOLD: u64 = 6_000;

/// Events lost between two requests for room that was refused.
const EVENT_PAUSE: u32 = 4096;

/// Ends the call of `entry`; `result` is its rax.
///
/// # Safety
/// Called by the trampoline only, with the entry that rbx held.
#[no_mangle]
pub unsafe extern "C" fn perfvisor_probe_exit(entry: *mut Entry, result: u64) {
    let end = now();
    // SAFETY: entries live as long as the process.
    unsafe {
        let thread = (*local()).thread;
        if !every::leave(thread, entry, end) {
            leave(thread, entry, end, result);
        }
    }
}

#[inline(never)]
unsafe fn leave(thread: *mut Thread, entry: *mut Entry, end: u64, result: u64) {
    // SAFETY: contract of `perfvisor_probe_exit`.
    unsafe {
        if (*entry).state != OPEN {
            return;
        }
        // Another thread's entry (a coroutine that moved), a fork's parent's, or a thread that ended.
        if (*entry).thread != thread || thread.is_null() || !guard::take(thread, (*entry).slot) {
            (*entry).state = DONE;
            return;
        }
        finish(thread, entry, end, result);
        guard::leave(thread);
    }
}

#[inline(always)]
unsafe fn finish(thread: *mut Thread, entry: *mut Entry, end: u64, result: u64) {
    // SAFETY: guard held; references of the entry are of this thread's segment.
    unsafe {
        let start = (*entry).start;
        let duration = end.saturating_sub(start);
        let cell: *mut Cell = at(thread, (*entry).place.cell);
        let state: *mut SiteState = at(thread, (*entry).place.site_state);
        if (*entry).wait == 0 && duration > LEAST_THRESHOLD {
            lost_race(entry);
        }
        let visible = (*entry).place.weight > 1 && pace::visible(state, duration);
        if visible {
            stand_for_itself(cell, entry, duration);
        }
        let weight = (*entry).place.weight;
        let own_wait = if (*entry).wait != 0 { duration } else { 0 };
        let wait = if own_wait != 0 { own_wait } else { (*entry).wait_below.min(duration) };

        add_to_parent(entry, duration, wait);
        add_to_cell(cell, entry, duration, wait);
        add_to_histogram(thread, cell, duration, weight);
        let segment = (*thread).segment;
        (*segment).timed += 1;
        (*segment).last_tsc = end;
        if own_wait != 0 {
            waited(thread, entry, cell, own_wait, end);
        }
        if duration > (*cell).slow_threshold {
            judge(thread, entry, cell, duration, wait, result);
        } else if (*cell).timed & ((*cell).timed - 1) == 0 && (*cell).timed >= TAIL_KNOWN {
            set_threshold(thread, cell);
        }
        if !(*thread).event.is_null() {
            write_event(thread, entry, duration);
        }
        if (*thread).recent.is_null() {
            learn(entry, state, duration, visible);
        }
        shadow::pop(thread, entry);
    }
}

/// A lock that read free before the call, and yet the call was long: somebody else was faster.
#[cold]
unsafe fn lost_race(entry: *mut Entry) {
    // SAFETY: live entry, whose site is in range.
    unsafe {
        let site = (*entry).place.site as usize;
        let info = sites::info(site);
        if site >= sites::MUTEX_FIRST && info.object < 6 {
            (*entry).wait = info.wait;
            (*entry).object = (*entry).args[(info.object & 7) as usize];
        }
    }
}

/// Hands the call and its window to the pace. Where every call is timed there is nothing to learn.
#[inline(always)]
unsafe fn learn(entry: *const Entry, state: *mut SiteState, duration: u64, visible: bool) {
    // SAFETY: guard held.
    unsafe {
        let last = (*state).last_tsc;
        let calls = if last != 0 { (*entry).calls } else { 0 };
        // A call out of turn leaves the window open: its calls are counted when the next turn comes.
        if (*entry).calls != 0 {
            (*state).last_tsc = (*entry).start.wrapping_add(duration);
        }
        let before = (*entry).start.saturating_sub(last);
        pace::learn(state, &pace::Timed { duration, before, calls, visible });
    }
}

/// Counts a call that no window could have hidden once instead of `weight` times (see `pace`).
#[cold]
unsafe fn stand_for_itself(cell: *mut Cell, entry: *mut Entry, duration: u64) {
    // SAFETY: guard held, live cell and entry.
    unsafe {
        let weight = u64::from((*entry).place.weight);
        let (w, d) = (weight as f64, duration as f64);
        (*cell).visible_calls += 1;
        (*cell).visible_sum += duration;
        (*cell).visible_weight += weight;
        (*cell).visible_weighted += duration * weight;
        (*cell).visible_variance += w * (w - 1.0) * d * d;
        (*entry).place.weight = 1;
    }
}

#[inline(always)]
unsafe fn add_to_parent(entry: *mut Entry, duration: u64, wait: u64) {
    // SAFETY: the parent is null or an entry of the same thread.
    unsafe {
        let above = (*entry).parent;
        if above.is_null() || (*above).state != OPEN {
            return;
        }
        let weight = u64::from((*entry).place.weight);
        (*above).below = (*above).below.wrapping_add(duration * weight);
        (*above).wait_below = (*above).wait_below.wrapping_add(wait * weight);
        let (longest, object, site, holder, kind) = if (*entry).wait != 0 {
            let kind = u16::from((*entry).wait);
            (duration, (*entry).object, (*entry).place.site, (*entry).holder, kind)
        } else {
            let kind = (*entry).longest_kind;
            let site = (*entry).longest_site;
            ((*entry).longest, (*entry).longest_object, site, (*entry).longest_holder, kind)
        };
        if longest > (*above).longest {
            (*above).longest = longest;
            (*above).longest_object = object;
            (*above).longest_site = site;
            (*above).longest_holder = holder;
            (*above).longest_kind = kind;
        }
    }
}

#[inline(always)]
unsafe fn add_to_cell(cell: *mut Cell, entry: *const Entry, duration: u64, wait: u64) {
    // SAFETY: live cell.
    unsafe {
        let weight = u64::from((*entry).place.weight);
        (*cell).timed += 1;
        (*cell).represented += weight;
        (*cell).sum += duration;
        (*cell).weighted_sum += duration * weight;
        let own = duration as i64 - (*entry).below as i64;
        (*cell).weighted_self += own * weight as i64;
        (*cell).weighted_wait += wait * weight;
        if duration < (*cell).min {
            (*cell).min = duration;
        }
        if duration > (*cell).max {
            (*cell).max = duration;
        }
        if weight > 1 {
            let w = weight as f64;
            let d = duration as f64;
            let factor = w * (w - 1.0);
            (*cell).variance_0 += factor;
            (*cell).variance_1 += factor * d;
            (*cell).variance_2 += factor * d * d;
        }
    }
}

#[inline(never)]
unsafe fn waited(thread: *mut Thread, entry: *const Entry, cell: *mut Cell, wait: u64, end: u64) {
    // SAFETY: guard held.
    unsafe {
        (*cell).wait_sum += wait;
        (*thread).waited += wait;
        if (*entry).wait == WaitKind::Sleep as u8 {
            return;
        }
        let edge = Wait {
            site: (*entry).place.site,
            holder: (*entry).holder,
            object: (*entry).object,
            kind: (*entry).wait,
            cell: (*entry).place.cell,
            duration: wait,
            end,
        };
        add_wait(thread, &edge);
    }
}

/// A cell's tail: eight times the mean and six standard deviations above it, both of its usual calls.
///
/// # Safety
/// `cell` is a cell of `thread`.
#[cold]
#[inline(never)]
pub unsafe fn set_threshold(thread: *const Thread, cell: *mut Cell) {
    // SAFETY: contract handed on.
    unsafe {
        let directory = (&raw const (*cell).histogram).cast::<u32>();
        let limit = threshold_of(thread, directory, (*cell).represented >> (*cell).histogram_shift);
        (*cell).slow_threshold = limit.max(LEAST_THRESHOLD);
    }
}

/// Where the tail of a histogram begins, cycles; `all` is what its buckets add up to.
///
/// # Safety
/// As for [`usual`].
#[cold]
#[inline(never)]
pub unsafe fn threshold_of(thread: *const Thread, directory: *const u32, all: u64) -> u64 {
    // SAFETY: contract handed on.
    unsafe {
        let (mean, variance) = usual(thread, directory, all);
        // Newton's steps from above come near enough for a threshold; libm is out of reach.
        let mut root = mean.max(1.0);
        let mut step = 0;
        while step < 12 {
            root = 0.5 * (root + variance / root);
            step += 1;
        }
        (8.0 * mean).max(mean + 6.0 * root) as u64
    }
}

/// The call is beyond its cell's tail, or the tail is not known yet.
#[inline(never)]
unsafe fn judge(
    thread: *mut Thread,
    entry: *const Entry,
    cell: *mut Cell,
    duration: u64,
    wait: u64,
    result: u64,
) {
    // SAFETY: guard held.
    unsafe {
        if (*cell).slow_threshold == 0 {
            (*cell).slow_threshold = FIRST_THRESHOLD;
            if duration <= FIRST_THRESHOLD {
                return;
            }
        }
        (*cell).slow_seen += 1;
        (*cell).slow_sum += duration;
        let threshold = (*cell).slow_threshold;
        // More than one call in 256 is no tail: look higher.
        if (*cell).slow_seen * 256 > (*cell).timed + 2048 {
            (*cell).slow_threshold = threshold.saturating_mul(2).max(duration / 2);
        }
        let segment = (*thread).segment;
        let slow: *mut SlowCall = if (*thread).slow_kept < (*thread).slow_limit {
            take(thread, BlockKind::SlowCalls)
        } else {
            core::ptr::null_mut()
        };
        if slow.is_null() {
            (*segment).lost_slow_calls += 1;
            return;
        }
        (*thread).slow_kept += 1;
        fill_slow(slow, entry, duration, wait, result, threshold);
        publish(thread, BlockKind::SlowCalls);
    }
}

unsafe fn fill_slow(
    slow: *mut SlowCall,
    entry: *const Entry,
    duration: u64,
    wait: u64,
    result: u64,
    threshold: u64,
) {
    // SAFETY: an element taken and not yet published.
    unsafe {
        (*slow).start_tsc = (*entry).start;
        (*slow).duration = duration;
        (*slow).cell = (*entry).place.cell;
        (*slow).site = (*entry).place.site;
        (*slow).args = (*entry).args;
        (*slow).return_address = (*entry).return_address;
        (*slow).result = result;
        (*slow).below = (*entry).below;
        (*slow).wait = wait;
        (*slow).threshold = threshold;
        (*slow).wait_site = u32::MAX;
        if (*entry).wait != 0 {
            (*slow).object = (*entry).object;
            (*slow).holder_tid = (*entry).holder;
            (*slow).wait_kind = u16::from((*entry).wait);
            (*slow).wait_site = (*entry).place.site;
        } else if (*entry).longest != 0 {
            (*slow).object = (*entry).longest_object;
            (*slow).holder_tid = (*entry).longest_holder;
            (*slow).wait_kind = (*entry).longest_kind;
            (*slow).wait_site = (*entry).longest_site;
        }
    }
}

/// Writes the event of a call.
///
/// # Safety
/// `entry` is the ending call's, `thread` the calling thread's live state with a chunk; guard held.
#[inline(always)]
pub unsafe fn write_event(thread: *mut Thread, entry: *const Entry, duration: u64) {
    // SAFETY: event .. event_end is mapped and ours; room for two records is checked.
    unsafe {
        let end = (*thread).event.wrapping_add(2 * Event::BYTES);
        if end > (*thread).event_end && !more_events(thread) {
            (*(*thread).segment).lost_events += 1;
            return;
        }
        let mut at = (*thread).event.cast::<Event>();
        let depth = u32::from((*entry).depth).min(255);
        (*at).start_tsc = (*entry).start;
        (*at).site_and_depth = (*entry).place.site | (depth << 24);
        if duration < u64::from(EVENT_LONG) {
            (*at).duration = duration as u32;
            at = at.add(1);
        } else {
            (*at).duration = EVENT_LONG;
            at.add(1).cast::<u64>().write(duration);
            at = at.add(2);
        }
        (*thread).event = at.cast();
        (*(*thread).segment).events += 1;
        let chunk = (*thread).event_chunk;
        let begin = chunk.cast::<u8>().add(EventChunkHeader::BYTES);
        commit_u64(&raw mut (*chunk).committed, at.cast::<u8>().offset_from(begin) as u64);
    }
}

/// Makes room for events; false when there is none. A full disk is not asked at each call.
#[cold]
#[inline(never)]
unsafe fn more_events(thread: *mut Thread) -> bool {
    // SAFETY: the calling thread's live state, guard held.
    unsafe {
        if (*thread).event_pause > 0 {
            (*thread).event_pause -= 1;
            return false;
        }
        if cold::call(cold::calls().event_chunk, thread as u64, 0, 0) != 0 {
            return true;
        }
        (*thread).event_pause = EVENT_PAUSE;
        false
    }
}
