//! Ended threads beyond `keep_threads` are added to their group's segment, so that a million short
//! threads cost what a few live ones do.
//!
//! A group is a `Thread` that no thread runs: the same cells, map and arena, without a table in use.
//! FORMAT.md, "Folding", says what a reader does when a kill interrupts this.

use super::fold_syscalls;
use super::segment;
use core::ptr::null_mut;
use perfvisor_format::{
    BlockHeader, BlockKind, Cell, SegmentKind, SiteState, SlowCall, WaitEdge, ARENA_OFFSET,
    OCTAVES, SUB_BUCKETS,
};
use perfvisor_probe::sync::count_low;
use perfvisor_probe::thread::{at, reference, Thread};
use perfvisor_probe::{buffer, path};

/// Slow calls a group keeps.
const GROUP_SLOW_CALLS: u32 = 4096;

/// Groups of the current image, linked by `Thread.next`. Guarded by the cold lock.
static mut GROUPS: *mut Thread = null_mut();

/// Forgets the groups (a forked child's own image).
pub fn restart() {
    // SAFETY: under the cold lock.
    unsafe { GROUPS = null_mut() };
}

/// The group of `key`, made on first use; null when there is no room.
unsafe fn group(key: u64) -> *mut Thread {
    // SAFETY: under the cold lock.
    unsafe {
        let mut group = GROUPS;
        while !group.is_null() {
            if (*group).group_key == key {
                return group;
            }
            group = (*group).next;
        }
        let fresh = segment::new_private();
        if fresh.is_null() || segment::attach_file(fresh, SegmentKind::Group).is_err() {
            return null_mut();
        }
        segment::begin(fresh, SegmentKind::Group, (*fresh).segment_number, key);
        (*fresh).group_key = key;
        (*fresh).slow_limit = GROUP_SLOW_CALLS;
        (*fresh).max_gap = 1;
        (*fresh).next = GROUPS;
        GROUPS = fresh;
        fresh
    }
}

/// Calls `each` with every used element of `kind`, in order.
pub unsafe fn elements<T>(thread: *mut Thread, kind: BlockKind, mut each: impl FnMut(*mut T)) {
    // SAFETY: blocks are walked as they were made, up to the commit word.
    unsafe {
        let mut offset = ARENA_OFFSET;
        let end = (*(*thread).segment).committed as usize;
        while offset < end {
            let block = (*thread).base.add(offset).cast::<BlockHeader>();
            if (*block).kind == kind as u16 {
                for index in 0..(*block).used as usize {
                    let at = BlockHeader::BYTES + index * kind.element_bytes();
                    each(block.cast::<u8>().add(at).cast());
                }
            }
            offset += (*block).bytes as usize;
        }
    }
}

/// Exact count of a site in a thread.
unsafe fn exact_count(thread: *const Thread, state: *const SiteState) -> u64 {
    // SAFETY: the site's word lies in the thread's table.
    unsafe {
        let word = (*thread).table.add((*state).site as usize);
        let fresh = count_low(word).wrapping_sub((*state).base_count as u32);
        (*state).base_count + u64::from(fresh)
    }
}

/// Calls and cycles waited of a thread, for its record.
pub unsafe fn totals(thread: *mut Thread) -> (u64, u64) {
    let mut calls = 0;
    // SAFETY: the thread has ended; its segment is whole.
    unsafe {
        elements::<SiteState>(thread, BlockKind::Sites, |state| {
            calls += exact_count(thread, state);
        });
        (calls, (*thread).waited)
    }
}

/// Adds the ended `thread` (record `index`) to the group of `key`; the group's number, or `None` when
/// it could not be folded (then its segment must be kept).
pub unsafe fn fold(thread: *mut Thread, index: u32, key: u64) -> Option<u32> {
    // SAFETY: under the cold lock; `thread` runs nowhere.
    unsafe {
        let group = group(key);
        if group.is_null() {
            return None;
        }
        let head = (*group).segment;
        (*head).fold_thread = u64::from(index) + 1;
        let mut number = 0;
        elements::<SiteState>(thread, BlockKind::Sites, |state| {
            number += 1;
            fold_site(thread, group, state, number);
        });
        elements::<Cell>(thread, BlockKind::Cells, |cell| fold_cell(thread, group, cell));
        elements::<WaitEdge>(thread, BlockKind::Waits, |edge| fold_wait(thread, group, edge));
        elements::<SlowCall>(thread, BlockKind::SlowCalls, |slow| {
            fold_slow(thread, group, slow, index);
        });
        fold_syscalls::fold(thread, group, index);
        let own = (*thread).segment;
        (*head).lost_syscall_cells += (*own).lost_syscall_cells;
        (*head).lost_syscall_objects += (*own).lost_syscall_objects;
        (*head).lost_slow_syscalls += (*own).lost_slow_syscalls;
        (*head).lost_slow_calls += (*own).lost_slow_calls;
        (*head).lost_cells += (*own).lost_cells;
        (*head).lost_waits += (*own).lost_waits;
        (*head).abandoned += (*own).abandoned;
        (*head).timed += (*own).timed;
        (*head).last_tsc = (*head).last_tsc.max((*own).last_tsc);
        Some((*group).segment_number)
    }
}

/// Ends the journal, once the record says `Folded`.
pub unsafe fn close_journal(key: u64) {
    // SAFETY: under the cold lock.
    unsafe {
        let group = group(key);
        if !group.is_null() {
            (*(*group).segment).fold_site = 0;
            (*(*group).segment).fold_thread = 0;
        }
    }
}

unsafe fn fold_site(thread: *mut Thread, group: *mut Thread, from: *mut SiteState, number: u64) {
    // SAFETY: under the cold lock.
    unsafe {
        let to = path::site_state(group, (*from).site as usize);
        let head = (*group).segment;
        if to.is_null() {
            (*head).lost_cells += 1;
            return;
        }
        (*head).fold_count_before = (*to).base_count;
        (*head).fold_site = number;
        (*to).base_count += exact_count(thread, from);
        (*to).unseen_max += (*from).unseen_max;
        (*to).long_windows += (*from).long_windows;
        (*to).longest_excess = (*to).longest_excess.max((*from).longest_excess);
        (*to).gap = (*to).gap.max((*from).gap);
        (*to).last_tsc = (*to).last_tsc.max((*from).last_tsc);
    }
}

unsafe fn fold_cell(thread: *mut Thread, group: *mut Thread, from: *mut Cell) {
    // SAFETY: parents stand before their children, so a parent's translation is known.
    unsafe {
        let parent = match (*from).parent {
            0 => 0,
            reference => (*at::<Cell>(thread, reference)).folded_into as u32,
        };
        let state = path::site_state(group, (*from).site as usize);
        let to = if state.is_null() { null_mut() } else { path::cell(group, state, parent) };
        if to.is_null() {
            (*(*group).segment).lost_cells += 1;
            return;
        }
        (*from).folded_into = u64::from(reference(group, to));
        (*to).flags |= (*from).flags;
        (*to).timed += (*from).timed;
        (*to).represented += (*from).represented;
        (*to).sum += (*from).sum;
        (*to).weighted_sum += (*from).weighted_sum;
        (*to).weighted_self += (*from).weighted_self;
        (*to).weighted_wait += (*from).weighted_wait;
        (*to).min = (*to).min.min((*from).min);
        (*to).max = (*to).max.max((*from).max);
        (*to).variance_0 += (*from).variance_0;
        (*to).variance_1 += (*from).variance_1;
        (*to).variance_2 += (*from).variance_2;
        (*to).visible_calls += (*from).visible_calls;
        (*to).visible_sum += (*from).visible_sum;
        (*to).visible_weight += (*from).visible_weight;
        (*to).visible_weighted += (*from).visible_weighted;
        (*to).visible_variance += (*from).visible_variance;
        (*to).slow_threshold = (*to).slow_threshold.max((*from).slow_threshold);
        (*to).slow_seen += (*from).slow_seen;
        (*to).slow_sum += (*from).slow_sum;
        (*to).wait_sum += (*from).wait_sum;
        (*to).abandoned += (*from).abandoned;
        let chunks = (&raw const (*from).histogram).cast::<u32>();
        let shift = (*from).histogram_shift;
        let to_chunks = (&raw mut (*to).histogram).cast::<u32>();
        fold_histogram(thread, group, (chunks, shift), (to_chunks, &raw mut (*to).histogram_shift));
    }
}

/// Adds a histogram of `thread` (its directory of chunks, its shift) to one of `group`.
pub unsafe fn fold_histogram(
    thread: *mut Thread,
    group: *mut Thread,
    (chunks, shift): (*const u32, u32),
    (to_chunks, to_shift): (*mut u32, *mut u32),
) {
    // SAFETY: chunk references are of their own segment.
    unsafe {
        for octave in 0..OCTAVES {
            let source = chunks.add(octave).read();
            if source == 0 {
                continue;
            }
            let chunk: *const u32 = at(thread, source);
            for sub in 0..SUB_BUCKETS {
                let count = u64::from(*chunk.add(sub)) << shift;
                let (low, _) =
                    perfvisor_format::bucket_bounds(perfvisor_format::Bucket { octave, sub });
                let mut left = count;
                while left > 0 {
                    let part = left.min(u64::from(u32::MAX)) as u32;
                    buffer::add_to_chunks(group, to_chunks, to_shift, low, part);
                    left -= u64::from(part);
                }
            }
        }
    }
}

unsafe fn fold_wait(thread: *mut Thread, group: *mut Thread, from: *mut WaitEdge) {
    // SAFETY: the edge's cell was folded before.
    unsafe {
        let cell = (*at::<Cell>(thread, (*from).cell)).folded_into as u32;
        let wait = path::Wait {
            site: (*from).site,
            holder: (*from).holder_tid,
            object: (*from).object,
            kind: (*from).kind as u8,
            cell,
            duration: (*from).max,
            end: (*from).max_tsc,
        };
        path::add_wait(group, &wait);
        // The edge made or found counts one wait of the longest duration; add the rest.
        elements::<WaitEdge>(group, BlockKind::Waits, |edge| {
            if (*edge).site == wait.site
                && (*edge).object == wait.object
                && (*edge).holder_tid == wait.holder
            {
                (*edge).count += (*from).count - 1;
                (*edge).sum += (*from).sum - (*from).max;
            }
        });
    }
}

unsafe fn fold_slow(thread: *mut Thread, group: *mut Thread, from: *mut SlowCall, index: u32) {
    // SAFETY: the call's cell was folded before.
    unsafe {
        if (*group).slow_kept >= (*group).slow_limit {
            (*(*group).segment).lost_slow_calls += 1;
            return;
        }
        let to: *mut SlowCall = buffer::take(group, BlockKind::SlowCalls);
        if to.is_null() {
            (*(*group).segment).lost_slow_calls += 1;
            return;
        }
        *to = *from;
        (*to).cell = (*at::<Cell>(thread, (*from).cell)).folded_into as u32;
        (*to).reserved_small = index + 1;
        buffer::publish(group, BlockKind::SlowCalls);
        (*group).slow_kept += 1;
    }
}
