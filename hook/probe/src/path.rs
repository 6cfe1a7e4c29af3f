//! From (site) to its state and from (call path, site) to its cell; wait edges.

use crate::buffer::{publish, take};
use crate::cold;
use crate::thread::{at, reference, MapSlot, Thread};
use perfvisor_format::{BlockKind, Cell, SiteState, WaitEdge, CELL_FLAG_COLLAPSED};

/// Longest call path that is told apart.
pub const MAX_DEPTH: u16 = 64;
/// Most wait edges one thread keeps.
pub const MAX_WAIT_EDGES: u32 = 4096;

const SITE_KEY: u64 = 0xffff_ffff_0000_0000;
const WAIT_KEY: u64 = 0xffff_fffe_0000_0000;

/// The slot of `key`: its own, or the empty one where it belongs. Null when the map is full.
#[inline(always)]
pub(crate) unsafe fn slot(thread: *mut Thread, key: u64) -> *mut MapSlot {
    // SAFETY: the map has 2^map_bits slots, the index is masked.
    unsafe {
        let bits = (*thread).map_bits;
        let mask = (1usize << bits) - 1;
        let mut index = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as usize;
        loop {
            let slot = (*thread).map.add(index & mask);
            if (*slot).key == key || (*slot).key == 0 {
                return slot;
            }
            index += 1;
        }
    }
}

/// Makes room for one more key; false when there is none.
#[inline(always)]
pub(crate) unsafe fn room(thread: *mut Thread) -> bool {
    // SAFETY: `thread` is live.
    unsafe {
        (*thread).map_used * 4 < 3 << (*thread).map_bits
            || cold::call(cold::calls().grow_map, thread as u64, 0, 0) != 0
    }
}

/// Adds a key that is not there.
///
/// # Safety
/// [`room`] was asked before.
pub(crate) unsafe fn insert(thread: *mut Thread, key: u64, value: u32) {
    // SAFETY: `room` was asked before, so an empty slot exists.
    unsafe {
        let slot = slot(thread, key);
        (*slot).key = key;
        (*slot).value = value;
        (*thread).map_used += 1;
    }
}

/// State of `site` in this thread; null when there is no room.
///
/// # Safety
/// `thread` is the calling thread's live state, guard held, `site < MAX_SITES`.
#[inline(always)]
pub unsafe fn site_state(thread: *mut Thread, site: usize) -> *mut SiteState {
    let key = SITE_KEY | (site as u64 + 1);
    // SAFETY: contract handed on.
    unsafe {
        let found = slot(thread, key);
        if (*found).key == key {
            return at(thread, (*found).value);
        }
        new_site_state(thread, site, key)
    }
}

#[cold]
unsafe fn new_site_state(thread: *mut Thread, site: usize, key: u64) -> *mut SiteState {
    // SAFETY: contract of `site_state`.
    unsafe {
        if !room(thread) {
            return core::ptr::null_mut();
        }
        let state: *mut SiteState = take(thread, BlockKind::Sites);
        if state.is_null() {
            return state;
        }
        (*state).site = site as u32;
        (*state).gap = 1;
        publish(thread, BlockKind::Sites);
        insert(thread, key, reference(thread, state));
        let segment = (*thread).segment;
        if (*segment).site_limit <= site as u64 {
            (*segment).site_limit = site as u64 + 1;
        }
        state
    }
}

/// Cell of `site` called from the path `parent` (reference, 0 = none); null when there is no room.
///
/// # Safety
/// As for [`site_state`]; `state` is the site's state and `parent` a cell of this thread.
#[inline(always)]
pub unsafe fn cell(thread: *mut Thread, state: *mut SiteState, parent: u32) -> *mut Cell {
    // SAFETY: contract handed on; cached references were made here.
    unsafe {
        if (*state).cached_parent == parent && (*state).cached_cell != 0 {
            return at(thread, (*state).cached_cell);
        }
        find_cell(thread, state, parent)
    }
}

unsafe fn find_cell(thread: *mut Thread, state: *mut SiteState, parent: u32) -> *mut Cell {
    // SAFETY: contract of `cell`.
    unsafe {
        let site = (*state).site;
        let mut effective = parent;
        let mut depth = 1;
        if parent != 0 {
            let above: *mut Cell = at(thread, parent);
            depth = (*above).depth + 1;
            if depth > MAX_DEPTH {
                effective = (*above).parent;
                depth = MAX_DEPTH;
            }
        }
        let key = (u64::from(effective) << 32) | (u64::from(site) + 1);
        let found = slot(thread, key);
        let cell: *mut Cell = if (*found).key == key {
            at(thread, (*found).value)
        } else {
            new_cell(thread, site, effective, depth, key)
        };
        if cell.is_null() {
            return cell;
        }
        if effective != parent {
            (*cell).flags |= CELL_FLAG_COLLAPSED;
        }
        (*state).cached_parent = parent;
        (*state).cached_cell = reference(thread, cell);
        cell
    }
}

#[cold]
unsafe fn new_cell(thread: *mut Thread, site: u32, parent: u32, depth: u16, key: u64) -> *mut Cell {
    // SAFETY: contract of `cell`.
    unsafe {
        if !room(thread) {
            return core::ptr::null_mut();
        }
        let cell: *mut Cell = take(thread, BlockKind::Cells);
        if cell.is_null() {
            return cell;
        }
        (*cell).parent = parent;
        (*cell).site = site;
        (*cell).depth = depth;
        (*cell).min = u64::MAX;
        publish(thread, BlockKind::Cells);
        insert(thread, key, reference(thread, cell));
        cell
    }
}

/// What a wait was: see [`WaitEdge`].
pub struct Wait {
    /// Site of the blocking call.
    pub site: u32,
    /// Holder's tid or 0.
    pub holder: u32,
    /// Lock address, fd, …
    pub object: u64,
    /// WaitKind.
    pub kind: u8,
    /// Cell of the blocking call.
    pub cell: u32,
    /// Cycles.
    pub duration: u64,
    /// End time stamp.
    pub end: u64,
}

/// Adds one wait to its edge.
///
/// # Safety
/// As for [`site_state`].
pub unsafe fn add_wait(thread: *mut Thread, wait: &Wait) {
    // SAFETY: contract handed on.
    unsafe {
        let mut hash =
            (wait.object ^ (u64::from(wait.holder) << 40) ^ (u64::from(wait.site) << 20))
                .wrapping_mul(0xd6e8_feb8_6659_fd93)
                >> 32;
        loop {
            let key = WAIT_KEY | (hash & 0xffff_ffff);
            let found = slot(thread, key);
            if (*found).key != key {
                break;
            }
            let edge: *mut WaitEdge = at(thread, (*found).value);
            if (*edge).object == wait.object
                && (*edge).holder_tid == wait.holder
                && (*edge).site == wait.site
            {
                (*edge).count += 1;
                (*edge).sum += wait.duration;
                if wait.duration > (*edge).max {
                    (*edge).max = wait.duration;
                    (*edge).max_tsc = wait.end;
                }
                return;
            }
            hash += 1;
        }
        new_edge(thread, wait, WAIT_KEY | (hash & 0xffff_ffff));
    }
}

#[cold]
unsafe fn new_edge(thread: *mut Thread, wait: &Wait, key: u64) {
    // SAFETY: contract of `add_wait`.
    unsafe {
        let edge: *mut WaitEdge = if (*thread).wait_edges < MAX_WAIT_EDGES && room(thread) {
            take(thread, BlockKind::Waits)
        } else {
            core::ptr::null_mut()
        };
        if edge.is_null() {
            (*(*thread).segment).lost_waits += 1;
            return;
        }
        (*thread).wait_edges += 1;
        (*edge).site = wait.site;
        (*edge).holder_tid = wait.holder;
        (*edge).object = wait.object;
        (*edge).count = 1;
        (*edge).sum = wait.duration;
        (*edge).max = wait.duration;
        (*edge).max_tsc = wait.end;
        (*edge).kind = u16::from(wait.kind);
        (*edge).cell = wait.cell;
        publish(thread, BlockKind::Waits);
        insert(thread, key, reference(thread, edge));
    }
}
