//! The recursion guard: one place where the probe takes and leaves it.
//!
//! A signal handler may call hooked functions while its thread is in the probe. Its stubs count
//! (one instruction each); its timed path must not touch the half-changed state.

use crate::thread::Thread;
use core::sync::atomic::{compiler_fence, Ordering};

/// Takes the guard for the call at `slot`; false if the thread is in the probe already.
///
/// A handler that left by siglongjmp never gave the guard back: on the thread's own stack a slot
/// above the guard's proves that, because the guarded frame is gone.
///
/// # Safety
/// `thread` is the calling thread's live state.
#[inline(always)]
pub unsafe fn take(thread: *mut Thread, slot: u64) -> bool {
    // SAFETY: live by contract, private to this thread.
    unsafe {
        let held = (*thread).guard;
        if held != 0 {
            let own =
                |address: u64| address >= (*thread).stack_low && address < (*thread).stack_high;
            if !(own(held) && own(slot) && slot > held) {
                return false;
            }
        }
        hold(thread, slot);
    }
    true
}

/// Takes the guard that nobody holds.
///
/// # Safety
/// As for [`take`]; the guard is 0.
#[inline(always)]
pub unsafe fn hold(thread: *mut Thread, slot: u64) {
    // SAFETY: live by contract.
    unsafe { (*thread).guard = slot };
    compiler_fence(Ordering::SeqCst);
}

/// Leaves the guard.
///
/// # Safety
/// The calling thread holds it.
#[inline(always)]
pub unsafe fn leave(thread: *mut Thread) {
    compiler_fence(Ordering::SeqCst);
    // SAFETY: live by contract.
    unsafe { (*thread).guard = 0 };
}
