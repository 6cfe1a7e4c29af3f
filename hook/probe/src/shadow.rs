//! The shadow stack: open timed calls of a thread, found by their stack slot.
//!
//! An entry is stale when its frame is gone without a return (exception, longjmp, thread end).
//! On the thread's own stack that is proved by a new call at or above its slot. Entries on other
//! stacks (coroutines, sigaltstack) are never dropped by comparison: an unwinder and the return
//! path read the return address from them. Entries live at fixed addresses for that reason.
//!
//! Open and spare entries are linked through the same field. A signal handler may leave in the middle
//! of a push or pop for good (siglongjmp, asynchronous cancellation) and hooked calls follow: so an
//! entry leaves one list before it is changed and is whole before it joins the other, in this order
//! ([`step`]); in between it belongs to none and is lost at worst.

use crate::cold;
use crate::seam::{Entry, Frame, FREE, OPEN};
use crate::thread::{at, Thread};
use core::sync::atomic::{compiler_fence, AtomicBool, Ordering};
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

/// What is written before comes before what is written behind, as a signal handler of this thread sees
/// it. Costs no instruction.
#[inline(always)]
pub fn step() {
    compiler_fence(Ordering::SeqCst);
}

/// Pushes an entry for a call at `slot` that returns to `return_to`; null when none is free.
///
/// # Safety
/// `thread` is the calling thread's live state, guard held.
#[inline(always)]
pub unsafe fn push(thread: *mut Thread, slot: u64, return_to: u64) -> *mut Entry {
    // SAFETY: open and spare entries are this thread's.
    unsafe {
        drop_stale(thread, slot, return_to);
        if (*thread).spare.is_null() && !more_entries(thread) {
            return core::ptr::null_mut();
        }
        let entry = (*thread).spare;
        (*thread).spare = (*entry).parent;
        step();
        (*entry).return_address = return_to;
        (*entry).slot = slot;
        (*entry).thread = thread;
        (*entry).parent = (*thread).top;
        (*entry).state = OPEN;
        (*entry).below = 0;
        (*entry).wait_below = 0;
        (*entry).longest = 0;
        step();
        (*thread).top = entry;
        entry
    }
}

/// Makes an entry spare: one never used, or those whose frames are gone; false when there is none.
#[cold]
unsafe fn more_entries(thread: *mut Thread) -> bool {
    // SAFETY: contract of `push`; `fresh` is below the capacity.
    unsafe {
        if (*thread).fresh < (*thread).entry_capacity {
            let entry = (*thread).entries.add((*thread).fresh as usize);
            (*thread).fresh += 1;
            (*entry).parent = core::ptr::null_mut();
            step();
            (*thread).spare = entry;
            return true;
        }
        // Deep recursion fills it honestly: asking the kernel on each call would cost more than
        // the calls that are not timed are worth.
        if (*thread).collect_pause > 0 {
            (*thread).collect_pause -= 1;
            return false;
        }
        (*thread).collect_pause = COLLECT_PAUSE;
        cold::call(cold::calls().collect, thread as u64, 0, 0);
        !(*thread).spare.is_null()
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
        while !(*thread).top.is_null() {
            let entry = (*thread).top;
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
            (*thread).top = (*entry).parent;
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
        let cell: *mut Cell = at(thread, (*entry).place.cell);
        (*cell).abandoned += 1;
        (*(*thread).segment).abandoned += 1;
    }
}

/// Gives a closed entry back.
///
/// # Safety
/// `entry` is no longer linked from `top` and belongs to the calling thread's live state; guard held.
#[inline(always)]
pub unsafe fn release(thread: *mut Thread, entry: *mut Entry) {
    // SAFETY: live by contract.
    unsafe {
        step();
        (*entry).state = FREE;
        (*entry).parent = (*thread).spare;
        step();
        (*thread).spare = entry;
    }
}

/// Takes `entry`, whose call returned, out of the open ones; those above it on the same stack were
/// unwound.
///
/// # Safety
/// `entry` is open and belongs to the calling thread's live state; guard held.
#[inline(always)]
pub unsafe fn pop(thread: *mut Thread, entry: *mut Entry) {
    // SAFETY: contract handed on.
    unsafe {
        if (*thread).top == entry {
            (*thread).top = (*entry).parent;
            release(thread, entry);
            return;
        }
        pop_inner(thread, entry);
    }
}

#[cold]
unsafe fn pop_inner(thread: *mut Thread, entry: *mut Entry) {
    // SAFETY: as for `pop`; the chain of parents ends in null.
    unsafe {
        let mut other = (*thread).top;
        while !other.is_null() && other != entry {
            other = (*other).parent;
        }
        if other.is_null() {
            return;
        }
        let mut link = &raw mut (*thread).top;
        loop {
            let other = *link;
            let last = other == entry;
            let unwound = !last
                && on_own_stack(thread, (*other).slot)
                && on_own_stack(thread, (*entry).slot)
                && (*other).slot < (*entry).slot
                && proved_gone(other);
            if last || unwound || (*other).state != OPEN {
                *link = (*other).parent;
                if !last && (*other).state == OPEN {
                    abandon(thread, other);
                }
                release(thread, other);
            } else {
                link = &raw mut (*other).parent;
            }
            if last {
                return;
            }
        }
    }
}
