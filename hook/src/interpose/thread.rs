//! Threads: how they begin (a prepared start routine) and how they end (the last TSD round).

use super::start_routine;
use crate::cold::{self, Beginning};
use crate::store::lock::Cold;
use crate::store::threads;
use alloc::boxed::Box;
use core::sync::atomic::{AtomicU32, Ordering};
use perfvisor_probe::thread::{idle_table, local, Thread};

/// Rounds of destructors glibc makes (PTHREAD_DESTRUCTOR_ITERATIONS).
const ROUNDS: u32 = 4;

static KEY: AtomicU32 = AtomicU32::new(u32::MAX);

/// Makes the TSD key. Early, so its number is small: setting it then allocates nothing.
pub fn init() {
    let mut key = 0;
    // SAFETY: key is a local; the destructor is ours.
    if unsafe { libc::pthread_key_create(&mut key, Some(destructor)) } == 0 {
        KEY.store(key, Ordering::Relaxed);
    }
}

fn set(value: *const core::ffi::c_void) {
    let key = KEY.load(Ordering::Relaxed);
    if key != u32::MAX {
        // SAFETY: the key is ours.
        unsafe { libc::pthread_setspecific(key, value) };
    }
}

/// Asks for the destructor at the calling thread's end.
pub fn mark_thread(thread: *mut Thread) {
    set(thread.cast());
}

/// A forked child: its only thread is new to us.
pub fn unmark() {
    set(core::ptr::null());
}

/// The table of a thread that is not to be recorded (any more): its end was noted, or there was no
/// room for it. Its calls count for the process (`late.pv`).
///
/// It is the idle table, half a word further on: the stub's decrement lands in the high half of the
/// idle word, which turns negative too, and the probe, which divides by eight, reads the same site.
/// So the mark costs no thread-local word of its own, and it stands in the thread's own memory until
/// the thread is gone. A TSD value does not: glibc clears all of them after the last round of
/// destructors, and frees the thread's buffers through hooked slots after that.
fn closed_table() -> *mut u64 {
    // Only the address counts here; stubs reach at most the idle table's last half word.
    idle_table().cast::<u8>().wrapping_add(4).cast()
}

/// The calling thread is not to be recorded any more.
pub fn close_thread() {
    // SAFETY: the calling thread's own words.
    unsafe {
        (*local()).thread = core::ptr::null_mut();
        (*local()).table = closed_table();
    }
}

/// Whether the calling thread was closed.
pub fn thread_is_closed() -> bool {
    // SAFETY: the calling thread's own word.
    unsafe { (*local()).table == closed_table() }
}

/// Runs once a round; the last one ends the thread, so that other destructors' calls still count.
unsafe extern "C" fn destructor(value: *mut core::ffi::c_void) {
    let thread = value.cast::<Thread>();
    // SAFETY: the value is the calling thread's state, unless a fork replaced it.
    unsafe {
        if (*local()).thread != thread {
            return;
        }
        (*thread).end_rounds += 1;
        if (*thread).end_rounds < ROUNDS {
            set(value);
            return;
        }
        if !super::restricted() {
            cold::end_thread(thread);
        }
    }
}

/// What pthread_create's stand-in hands to the new thread.
struct Prepared {
    beginning: Beginning,
    arg: usize,
}

/// Notes what is known of a thread about to be created; null when nothing is recorded.
///
/// # Safety
/// Called by the stand-in, in the creating thread, with pthread_create's own arguments.
#[no_mangle]
pub unsafe extern "C" fn perfvisor_thread_prepare(
    start: usize,
    arg: usize,
    attributes: *const libc::pthread_attr_t,
) -> *mut core::ffi::c_void {
    if crate::load::phase() != crate::load::Phase::Recording || super::restricted() {
        return core::ptr::null_mut();
    }
    let _cold = Cold::enter();
    let mut beginning = Beginning { start: start as u64, ..Beginning::default() };
    // SAFETY: the creating thread's own state; attributes are the host's.
    unsafe {
        let inner = start_routine::inner(start, arg);
        beginning.inner = inner.function as u64;
        beginning.pointer = inner.pointer as u64;
        let thread = (*local()).thread;
        if !thread.is_null() {
            beginning.creator = (*thread).index + 1;
            beginning.creator_site = calling_address(thread);
        }
        if !attributes.is_null() {
            let mut size = 0;
            if libc::pthread_attr_getstacksize(attributes, &mut size) == 0 {
                beginning.stack_bytes = size as u64;
            }
        }
    }
    Box::into_raw(Box::new(Prepared { beginning, arg })).cast()
}

/// Return address of the innermost open timed call: pthread_create itself is always timed.
unsafe fn calling_address(thread: *mut Thread) -> u64 {
    // SAFETY: the calling thread's own entries.
    unsafe {
        let entry = (*thread).top;
        if entry.is_null() {
            return 0;
        }
        (*entry).return_address
    }
}

/// The thread was not created after all.
///
/// # Safety
/// `prepared` came from `perfvisor_thread_prepare` and is used once.
#[no_mangle]
pub unsafe extern "C" fn perfvisor_thread_unprepare(prepared: *mut core::ffi::c_void) {
    let _cold = Cold::enter();
    // SAFETY: by contract.
    drop(unsafe { Box::from_raw(prepared.cast::<Prepared>()) });
}

/// The new thread's first step: its record and state; gives back the user's function and argument.
///
/// # Safety
/// As for `perfvisor_thread_unprepare`; the pointers are the stand-in's locals.
#[no_mangle]
pub unsafe extern "C" fn perfvisor_thread_begin(
    prepared: *mut core::ffi::c_void,
    start: *mut usize,
    arg: *mut usize,
) {
    // SAFETY: by contract.
    unsafe {
        let beginning = {
            let _cold = Cold::enter();
            let prepared = Box::from_raw(prepared.cast::<Prepared>());
            *start = prepared.beginning.start as usize;
            *arg = prepared.arg;
            prepared.beginning
        };
        cold::begin_thread(&beginning);
    }
}

/// pthread_setname_np(thread, name).
pub unsafe fn at_set_name(pthread: u64, name: u64) {
    // SAFETY: the name is the C string the host passes.
    unsafe { rename(name, |thread| (*thread).pthread == pthread) };
}

/// prctl(PR_SET_NAME, name).
pub unsafe fn at_own_name(name: u64) {
    // SAFETY: as above.
    unsafe {
        let own = (*local()).thread;
        rename(name, |thread| thread == own);
    }
}

unsafe fn rename(name: u64, is_it: impl Fn(*mut Thread) -> bool) {
    if name == 0 {
        return;
    }
    let _cold = Cold::enter();
    // SAFETY: the host's own C string.
    let name = unsafe { core::ffi::CStr::from_ptr(name as *const core::ffi::c_char) };
    cold::for_each_live(|thread| {
        if is_it(thread) {
            // SAFETY: live threads' states stay mapped.
            if let Some(record) = threads::get(unsafe { (*thread).index }) {
                threads::set_name(record, name.to_bytes());
            }
        }
    });
}
