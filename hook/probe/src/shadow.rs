//! The shadow stack: open timed calls of a thread, found by their stack slot.
//!
//! An entry is stale when its frame is gone without a return (exception, longjmp, thread end).
//! On the thread's own stack that is proved by a new call at or above its slot. Entries on other
//! stacks (coroutines, sigaltstack) are never dropped by comparison: an unwinder and the return
//! path read the return address from them. Entries live at fixed addresses for that reason.

use crate::cold;
use crate::seam::{Entry, Frame, FREE, OPEN};
use crate::thread::{at, Thread};
use core::sync::atomic::{AtomicBool, Ordering};
use perfvisor_format::Cell;

/// Set once a stack switcher (swapcontext, …) was called in this process: stacks may then lie
/// inside one another, and staleness also needs the slot to hold something else than our return.
pub static STACKS_SWITCH: AtomicBool = AtomicBool::new(false);

/// Timed calls passed on untimed between two looks through a full shadow stack.
const COLLECT_PAUSE: u32 = 1 << 16;

unsafe extern "C" {
    fn perfvisor_return();
}

/// The address every timed call returns to.
#[inline(always)]
pub fn return_address() -> u64 {
    perfvisor_return as *const () as u64
}

/// Whether `address` lies on the thread's own stack.
///
/// # Safety
/// `thread` is live.
#[inline(always)]
pub unsafe fn on_own_stack(thread: *const Thread, address: u64) -> bool {
    // SAFETY: live by contract.
    unsafe { address >= (*thread).stack_low && address < (*thread).stack_high }
}

/// Pushes an entry for a call at `slot` that returns to `return_to`; null when none is free.
///
/// # Safety
/// `thread` is the calling thread's live state, guard held.
#[inline(always)]
pub unsafe fn push(thread: *mut Thread, slot: u64, return_to: u64) -> *mut Entry {
    // SAFETY: indices in `open` and `free` are < entry_capacity.
    unsafe {
        drop_stale(thread, slot, return_to);
        if (*thread).free_count == 0 {
            // Deep recursion fills it honestly: asking the kernel on each call would cost more than
            // the calls that are not timed are worth.
            if (*thread).collect_pause > 0 {
                (*thread).collect_pause -= 1;
                return core::ptr::null_mut();
            }
            (*thread).collect_pause = COLLECT_PAUSE;
            cold::call(cold::calls().collect, thread as u64, 0, 0);
            if (*thread).free_count == 0 {
                return core::ptr::null_mut();
            }
        }
        (*thread).free_count -= 1;
        let index = *(*thread).free.add((*thread).free_count as usize);
        let entry = (*thread).entries.add(index as usize);
        let mut parent = 0;
        if (*thread).open_count > 0 {
            parent = *(*thread).open.add((*thread).open_count as usize - 1) + 1;
        }
        (*entry).return_address = return_to;
        (*entry).slot = slot;
        (*entry).thread = thread;
        (*entry).parent = parent;
        (*entry).index = index;
        (*entry).state = OPEN;
        (*entry).below = 0;
        (*entry).wait_below = 0;
        (*entry).longest = 0;
        *(*thread).open.add((*thread).open_count as usize) = index;
        (*thread).open_count += 1;
        entry
    }
}

/// Keeps the integer arguments of the call.
///
/// # Safety
/// Both are live.
#[inline(always)]
pub unsafe fn copy_arguments(entry: *mut Entry, frame: *const Frame) {
    let mut index = 0;
    while index < 6 {
        // One by one: the trampoline stored eight bytes each, and a wider load would wait.
        // SAFETY: live by contract, six elements each.
        unsafe {
            (*entry).args[index] = (&raw const (*frame).args[index]).read_volatile();
        }
        index += 1;
    }
}

#[inline(always)]
unsafe fn drop_stale(thread: *mut Thread, slot: u64, return_to: u64) {
    // SAFETY: as for `push`.
    unsafe {
        while (*thread).open_count > 0 {
            let index = *(*thread).open.add((*thread).open_count as usize - 1);
            let entry = (*thread).entries.add(index as usize);
            if (*entry).state == OPEN {
                if (*entry).slot > slot || !on_own_stack(thread, (*entry).slot) {
                    return;
                }
                // A target that left by a tail jump into another hooked call: still open.
                if (*entry).slot == slot && return_to == return_address() {
                    return;
                }
                if !on_own_stack(thread, slot) || !proved_gone(entry) {
                    return;
                }
                abandon(thread, entry);
            }
            (*thread).open_count -= 1;
            release(thread, entry);
        }
    }
}

#[inline(always)]
unsafe fn proved_gone(entry: *mut Entry) -> bool {
    // SAFETY: the slot lies on the thread's own stack, whose pages stay mapped once touched.
    !STACKS_SWITCH.load(Ordering::Relaxed)
        || unsafe { ((*entry).slot as *const u64).read_volatile() } != return_address()
}

/// Notes in the cell that the end of a call was not seen.
#[cold]
unsafe fn abandon(thread: *mut Thread, entry: *mut Entry) {
    // SAFETY: the entry's cell is one of this thread.
    unsafe {
        let cell: *mut Cell = at(thread, (*entry).cell);
        (*cell).abandoned += 1;
        (*(*thread).segment).abandoned += 1;
    }
}

/// Gives a closed entry back.
///
/// # Safety
/// `entry` is no longer open and belongs to the calling thread's live state; guard held.
#[inline(always)]
pub unsafe fn release(thread: *mut Thread, entry: *mut Entry) {
    // SAFETY: the free stack has room for every entry.
    unsafe {
        (*entry).state = FREE;
        *(*thread).free.add((*thread).free_count as usize) = (*entry).index;
        (*thread).free_count += 1;
    }
}

/// Takes `entry`, whose call returned, out of the open ones; those above it on the same stack were
/// unwound.
///
/// # Safety
/// `entry` is open and belongs to the calling thread's live state; guard held.
#[inline(always)]
pub unsafe fn pop(thread: *mut Thread, entry: *mut Entry) {
    // SAFETY: indices stay within the arrays.
    unsafe {
        let top = (*thread).open_count as usize;
        if top > 0 && *(*thread).open.add(top - 1) == (*entry).index {
            (*thread).open_count -= 1;
            release(thread, entry);
            return;
        }
        pop_inner(thread, entry);
    }
}

#[cold]
unsafe fn pop_inner(thread: *mut Thread, entry: *mut Entry) {
    // SAFETY: as for `pop`; the write index never passes the read index.
    unsafe {
        let count = (*thread).open_count as usize;
        let mut position = count;
        while position > 0 && *(*thread).open.add(position - 1) != (*entry).index {
            position -= 1;
        }
        if position == 0 {
            return;
        }
        let mut kept = position - 1;
        for above in position..count {
            let index = *(*thread).open.add(above);
            let other = (*thread).entries.add(index as usize);
            let gone = (*other).state != OPEN
                || (on_own_stack(thread, (*other).slot)
                    && on_own_stack(thread, (*entry).slot)
                    && (*other).slot < (*entry).slot
                    && proved_gone(other));
            if gone {
                if (*other).state == OPEN {
                    abandon(thread, other);
                }
                release(thread, other);
            } else {
                *(*thread).open.add(kept) = index;
                kept += 1;
            }
        }
        (*thread).open_count = kept as u32;
        release(thread, entry);
    }
}
